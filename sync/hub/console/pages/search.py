"""One box for every number: plate, slip, waybill, trace code, enterprise, officer; and a time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response

from sync.hub.console.context import Session, console_of, signed_in
from sync.hub.console.finding import MOST, find
from sync.hub.console.telling import kind_words, value_words
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.trace_codes import code_in

router = APIRouter(include_in_schema=False)


@router.get("/search")
def search(
    request: Request,
    session: Annotated[Session, Depends(signed_in)],
    q: Annotated[str, Query(max_length=1_500)] = "",
    since: Annotated[str, Query(max_length=30)] = "",
    until: Annotated[str, Query(max_length=30)] = "",
    lane: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Times are the site's own, as a browser's field writes them."""
    console = console_of(request)
    asked = code_in(q.strip())[:100]
    wrong = ""
    try:
        from_utc, to_utc = _utc(since, console.zone), _utc(until, console.zone)
    except ValueError:
        from_utc = to_utc = ""
        wrong = "search.bad_time"
    # Passages of a time are plates, too.
    console.note_read(session, "search", asked or f"{lane.strip()} {since} – {until}".strip())
    with console.archive() as archive, console.shown() as shown:
        found = find(archive, shown, asked, from_utc, to_utc, lane.strip())
    return console.page(
        request,
        "search.html",
        found=found,
        since=since,
        until=until,
        lane=lane,
        wrong=wrong,
        most=MOST,
        kind_words=kind_words,
        value=value_words,
    )


def _utc(local: str, zone: ZoneInfo) -> str:
    """Raises `ValueError`."""
    if not local:
        return ""
    try:
        return utc_text(datetime.fromisoformat(local).replace(tzinfo=zone))
    except OverflowError as error:
        raise ValueError(f"{local}: before or after all times") from error
