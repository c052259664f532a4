"""溯源码: looked up by anybody who is signed in; given out, printed and recalled by a shift leader."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response

from sync.hub.archive import Archive
from sync.hub.centre import By, CentreRefused
from sync.hub.console.accounts import Role
from sync.hub.console.context import Console, Session, commanding, console_of, needs, signed_in
from sync.hub.console.evidence import PathStep, parcel_page, path_of, record_somewhere
from sync.hub.console.finding import waybills_of_trace
from sync.hub.console.refusing import Refused, words_of
from sync.hub.label_sheet import label_sheet
from sync.hub.tracing import (
    MOST,
    Checked,
    Hits,
    check,
    hits_of,
    issue,
    labels_of,
    parcels_of_slip,
    reach_of,
)
from sync.store.journal import utc_now
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Recall
from sync.vocabulary.rulings import Text
from sync.vocabulary.trace_codes import PREFIX, is_ours

router = APIRouter(include_in_schema=False)
HITS_SHOWN: Final = 200
LOOKED_THROUGH_S: Final = 5.0
_BETWEEN: Final = re.compile(r"[\s,，、;；]+")


@router.get("/trace")
def trace(
    request: Request,
    session: Annotated[Session, Depends(signed_in)],
    q: Annotated[str, Query(max_length=1_500)] = "",
) -> Response:
    """`q`: a label's QR text, a trace code, a waybill number, or a batch."""
    console = console_of(request)
    asked = q.strip()
    if asked:
        console.note_read(session, "trace", asked[:100])
    return _page(console, request, asked)


def _page(console: Console, request: Request, asked: str, **more: Any) -> Response:
    checked: Checked | None = None
    said: Text | None = None
    seen = None
    path: tuple[PathStep, ...] = ()
    hits: Hits | None = None
    with console.archive() as archive, console.shown() as shown:
        try:
            checked = check(archive, asked)
        except Malformed as why:
            said = words_of(why)
        code = asked if checked is None else checked.claims.trace_code
        numbers = waybills_of_trace(archive, code) or waybills_of_trace(archive, code.upper())
        number = numbers[0] if numbers else code.upper() if asked else ""
        seen = parcel_page(archive, shown, number) if number and not said else None
        if seen is not None:
            path = path_of(archive, shown, number)
        recalls = _recalls(archive)
    if seen is None and asked and not asked.startswith(PREFIX):
        batch = Recall(recall_no="-", batch_nos=(asked[:200],), reason_zh="-", reason_en="-")
        hits = _hits(console, batch)
    values: dict[str, Any] = {
        "asked": asked,
        "checked": checked,
        "unread": said,
        "seen": seen,
        "steps": path,
        "hits": hits if hits is None or hits.seen else None,
        "recalls": recalls,
        "is_mistyped": asked.upper().startswith("KT") and len(asked) == 19 and not is_ours(asked.upper()),
        "can_issue": console.config.slip_key is not None,
        "given": None,
        "refused_why": None,
        **more,
    }
    return console.page(request, "trace.html", **values)


@router.post("/trace/codes")
def give_codes(
    request: Request,
    session: Annotated[Session, Depends(commanding)],
    _: Annotated[Session, Depends(needs(Role.LEAD))],
    reason: Annotated[str, Form(max_length=400)],
    slip_no: Annotated[str, Form(max_length=64)] = "",
    waybill_nos: Annotated[str, Form(max_length=100_000)] = "",
) -> Response:
    """Codes for all parcels of a slip, or for the waybills named; their labels are one click further."""
    console = console_of(request)
    private, settings = console.config.slip_key, console.config.slips
    if private is None or settings is None:
        raise Refused(422, "no_trace_key")
    by = By((session.officer,), reason)
    try:
        with console.archive() as archive:
            wanted = [each for each in _BETWEEN.split(waybill_nos) if each]
            scope = _scope_of(console, archive, slip_no.strip(), wanted)
            wanted += parcels_of_slip(archive, scope, slip_no.strip()) if slip_no.strip() else ()
            given = issue(archive, scope, wanted, private, settings, by, utc_now(), pick=secrets.randbelow)
    except CentreRefused as why:
        return _page(console, request, "", refused_why=words_of(why))
    console.log.info("trace codes given", officer=session.officer, fresh=given.fresh)
    return _page(console, request, "", given=given)


@router.post("/trace/labels.pdf")
def labels(
    request: Request,
    session: Annotated[Session, Depends(commanding)],
    _: Annotated[Session, Depends(needs(Role.LEAD))],
    waybill_nos: Annotated[str, Form(max_length=200_000)],
) -> Response:
    """A sheet of labels of parcels that have their codes; printed again it is the same."""
    console = console_of(request)
    private, settings = console.config.slip_key, console.config.slips
    wanted = [each for each in _BETWEEN.split(waybill_nos) if each][:MOST]
    if private is None or settings is None:
        raise Refused(422, "no_trace_key")
    if not wanted:
        raise Refused(422, "no_waybills")
    console.note_read(session, "labels", f"{len(wanted)} from {wanted[0]}")
    with console.archive() as archive:
        found = [
            label
            for scope in archive.scopes()
            for label in labels_of(archive, scope.scope, wanted, private, settings)
        ]
    if not found:
        raise Refused(422, "no_trace_codes")
    return Response(
        label_sheet(found, console.site().name_zh),
        media_type="application/pdf",
        headers={"Content-Disposition": 'attachment; filename="labels.pdf"', "Cache-Control": "no-store"},
    )


@router.get("/trace/recall/{recall_no}")
def recall(
    request: Request,
    recall_no: Annotated[str, Path(max_length=200)],
    session: Annotated[Session, Depends(signed_in)],
) -> Response:
    """What a recall hits and where that is, and which devices know of it."""
    console = console_of(request)
    console.note_read(session, "recall", recall_no)
    with console.archive() as archive:
        body = record_somewhere(archive, "recalls", recall_no)[1]
        if body is None:
            raise Refused(404, "no_such_recall")
        try:
            known = from_json(body, Recall)
        except Malformed as error:
            raise Refused(404, "unreadable", words_of(error)) from error
        number, at_utc, reached = reach_of(archive, "recalls", recall_no)
    hits = _hits(console, known)
    return console.page(
        request, "recall.html", recall=known, written=number, at_utc=at_utc, reached=reached, hits=hits
    )


def _hits(console: Console, recall: Recall) -> Hits:
    with console.heavy() as heavy, heavy.archive() as archive:
        return hits_of(archive, recall, most=HITS_SHOWN, within_s=LOOKED_THROUGH_S)


def _recalls(archive: Archive) -> tuple[Recall, ...]:
    """The latest first."""
    found = []
    for body in archive.bodies_of("recalls"):
        try:
            found.append(from_json(body, Recall))
        except Malformed:
            continue
    return tuple(sorted(found, key=lambda each: str(each.issued or ""), reverse=True))[:50]


def _scope_of(console: Console, archive: Archive, slip_no: str, wanted: list[str]) -> str:
    """Where the slip is, or the first of the waybills; else the hub's first. Raises `CentreRefused`."""
    found = record_somewhere(archive, "release_slips", slip_no)[0] if slip_no else ""
    if slip_no and not found:
        raise CentreRefused(f"本场所没有核放单 {slip_no}", f"{slip_no} is no release slip of this site")
    found = found or (record_somewhere(archive, "waybills", wanted[0])[0] if wanted else "")
    return found or console.config.sync.scopes[0]
