"""One page to prove any passage, parcel or fact; the evidence it names; the signed file to take along."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse

from sync.hub.blob_files import BlobFiles, is_sha256
from sync.hub.console.context import Console, Session, console_of, evidence_answer, signed_in
from sync.hub.console.evidence import firm_named, parcel_page, passage_page, told_of_waybill
from sync.hub.console.refusing import Refused, said
from sync.hub.console.telling import (
    fact_lines,
    field_words,
    kind_words,
    lane_reason,
    reading_detail,
    value_words,
)
from sync.hub.console.words.proof import proof_problem
from sync.hub.looking_back import Proof, Told, ToldPassage, passages_told, prove, told_at
from sync.vocabulary.facts import Stream
from sync.vocabulary.rulings import Text

router = APIRouter(include_in_schema=False)

Device = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Epoch = Annotated[str, Path(max_length=64, pattern=r"^[0-9A-Za-z._-]+$")]
Passage = Annotated[int, Path(ge=0, le=2**62)]
Waybill = Annotated[str, Path(min_length=1, max_length=60)]
_WORDS: Final[dict[str, Any]] = {
    "field": field_words,
    "value": value_words,
    "kind_words": kind_words,
    "lane_reason": lane_reason,
    "reading_detail": reading_detail,
    "problem": proof_problem,
}


def _numbered(console: Console, device: str, passage: int) -> tuple[ToldPassage, ...]:
    """Raises 404."""
    with console.archive() as archive:
        found = passages_told(archive, device, passage)
    if not found:
        raise Refused(404, "no_such_passage")
    return found


@router.get("/passage/{device}/{passage}")
def passages(
    request: Request, device: Device, passage: Passage, session: Annotated[Session, Depends(signed_in)]
) -> Response:
    """By the number alone: its page, or a choice where a lane that lost its disk has counted again."""
    return _choice(request, session, device, passage, "")


@router.get("/passage/{device}/{passage}/proof")
def proofs(
    request: Request, device: Device, passage: Passage, session: Annotated[Session, Depends(signed_in)]
) -> Response:
    return _choice(request, session, device, passage, "/proof")


def _choice(request: Request, session: Session, device: str, passage: int, behind: str) -> Response:
    console = console_of(request)
    found = _numbered(console, device, passage)
    if len(found) == 1:
        return RedirectResponse(f"/passage/{device}/{found[0].epoch}/{passage}{behind}", 303)
    console.note_read(session, "passage", f"{device}/{passage}")
    with console.shown() as shown:
        rows = shown.passages_numbered(device, passage)
    return console.page(
        request, "passages.html", status=300, device=device, passage=passage, rows=rows, **_WORDS
    )


@router.get("/passage/{device}/{epoch}/{passage}")
def passage(
    request: Request,
    device: Device,
    epoch: Epoch,
    passage: Passage,
    session: Annotated[Session, Depends(signed_in)],
) -> Response:
    console = console_of(request)
    with console.archive() as archive, console.shown() as shown:
        seen = passage_page(archive, shown, console.config.site, device, epoch, passage)
        firm = firm_named(archive, seen.row.enterprise) if seen is not None and seen.row is not None else ""
    if seen is None:
        # A fact names the epoch it was told in; its passage may have been opened in an earlier one.
        numbered = _numbered(console, device, passage)
        opened = next((one.epoch for one in numbered if epoch in {each.epoch for each in one.told}), None)
        if opened is None:
            raise Refused(404, "no_such_passage")
        return RedirectResponse(f"/passage/{device}/{opened}/{passage}", 303)
    console.note_read(session, "passage", f"{device}/{passage}")
    return console.page(request, "passage.html", seen=seen, firm=firm, **_WORDS)


@router.get("/passage/{device}/{epoch}/{passage}/proof")
def passage_proof(
    request: Request,
    device: Device,
    epoch: Epoch,
    passage: Passage,
    session: Annotated[Session, Depends(signed_in)],
) -> Response:
    console = console_of(request)
    console.note_read(session, "proof", f"{device}/{passage}")
    numbered = _numbered(console, device, passage)
    told = next((each.told for each in numbered if each.epoch == epoch), None)
    if told is None:
        raise Refused(404, "no_such_passage")
    with console.archive() as archive:
        others = (each for each in numbered if each.epoch != epoch)
        proof = prove(archive, device, told, passage=passage, others=others)
    name = f"{device}-{passage}" if len(numbered) == 1 else f"{device}-{epoch[:8]}-{passage}"
    return _segment(console, request, session, proof, name)


@router.get("/parcel/{waybill_no}")
def parcel(
    request: Request, waybill_no: Waybill, session: Annotated[Session, Depends(signed_in)]
) -> Response:
    console = console_of(request)
    console.note_read(session, "parcel", waybill_no)
    with console.archive() as archive, console.shown() as shown:
        seen = parcel_page(archive, shown, waybill_no)
    if seen is None:
        raise Refused(404, "no_such_waybill")
    return console.page(request, "parcel.html", seen=seen, **_WORDS)


@router.get("/parcel/{waybill_no}/proof/{device}")
def parcel_proof(
    request: Request, waybill_no: Waybill, device: Device, session: Annotated[Session, Depends(signed_in)]
) -> Response:
    console = console_of(request)
    console.note_read(session, "proof", f"{waybill_no} {device}")
    with console.archive() as archive, console.shown() as shown:
        told = [one for one in told_of_waybill(archive, shown, waybill_no) if one.device == device]
        if not told:
            raise Refused(404, "told_nothing", device)
        proof = prove(archive, device, told)
    return _segment(console, request, session, proof, f"{waybill_no}-{device}")


def _one(console: Console, device: str, epoch: str, stream: Stream, seq: int) -> tuple[Told, Proof]:
    """One fact and its proof. Raises 404."""
    with console.archive() as archive:
        told = told_at(archive, [(device, epoch, stream.value, seq)])
        if not told:
            raise Refused(404, "no_such_fact")
        return told[0], prove(archive, device, told)


@router.get("/fact/{device}/{epoch}/{stream}/{seq}")
def fact(
    request: Request,
    device: Device,
    epoch: Epoch,
    stream: Stream,
    seq: Annotated[int, Path(ge=1, le=2**62)],
    session: Annotated[Session, Depends(signed_in)],
) -> Response:
    console = console_of(request)
    console.note_read(session, "fact", f"{device}/{epoch}/{stream.value}/{seq}")
    one, proof = _one(console, device, epoch, stream, seq)
    lines = () if one.body is None else fact_lines(one.body.data)
    return console.page(
        request, "fact.html", one=one, lines=lines, proof=proof, raw=_indented(one.fact.body), **_WORDS
    )


@router.get("/fact/{device}/{epoch}/{stream}/{seq}/proof")
def fact_proof(
    request: Request,
    device: Device,
    epoch: Epoch,
    stream: Stream,
    seq: Annotated[int, Path(ge=1, le=2**62)],
    session: Annotated[Session, Depends(signed_in)],
) -> Response:
    console = console_of(request)
    console.note_read(session, "proof", f"{device}/{epoch}/{stream.value}/{seq}")
    _, proof = _one(console, device, epoch, stream, seq)
    return _segment(console, request, session, proof, f"{device}-{stream.value}-{seq}")


def _segment(console: Console, request: Request, session: Session, proof: Proof, name: str) -> Response:
    if not proof.holds:
        against = [proof_problem(each) for each in (proof.uncovered, *proof.problems[:3]) if each]
        why = Text("；".join(each.zh for each in against), "; ".join(each.en for each in against))
        raise Refused(409, "uncovered" if proof.uncovered else "no_proof", why)
    console.log.info("proof exported", officer=session.officer, name=name)
    return Response(
        proof.segment,
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="kakou-proof-{_plain(name)}.json"',
            "Cache-Control": "no-store",
        },
    )


@router.get("/blob/{sha256}")
def blob(request: Request, sha256: str, session: Annotated[Session, Depends(signed_in)]) -> Response:
    """Evidence that a stored fact names, its hash proved while it is read."""
    console = console_of(request)
    blobs = console.config.blobs
    if not is_sha256(sha256) or blobs is None:
        raise Refused(404, "no_such_file")
    with console.archive() as archive:
        state = archive.blob_state(sha256)
    if state != "stored":
        raise Refused(404, "file_not_here", _why_not_here(state))
    console.note_read(session, "picture", sha256)
    data = BlobFiles(blobs.folder).read(sha256)
    if data is None:
        raise Refused(404, "file_altered")
    return evidence_answer(request, data, sha256)


def _why_not_here(state: str) -> Text:
    return said(f"refused.file.{state or 'unnamed'}")


def _plain(name: str) -> str:
    return "".join(each if each.isascii() and (each.isalnum() or each in "-._") else "_" for each in name)


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=1)
    except ValueError:
        return body
