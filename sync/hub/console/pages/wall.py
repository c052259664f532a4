"""The wall: a page written on the server, and a stream that brings each part again when it changed.

The view is made once a change for all screens (`sync.hub.console.watching`); what differs between two screens
is their language, and the token in the forms."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from sync.hub.console.accounts import Role
from sync.hub.console.alarms import MOST_NOTE, OpenAlarm, end, take
from sync.hub.console.context import Session, commanding, console_of, language_of, signed_in
from sync.hub.console.refusing import Refused
from sync.hub.console.watching import CSRF, PARTS, Wall
from sync.store.journal import utc_now

router = APIRouter(include_in_schema=False)
STILL_THERE_EVERY_S: Final = 5.0
"""How often a silent stream says that it lives, and asks whether its session does."""
KNOWN_WITHIN_S: Final = 5.0
"""How old a view may be that is said to stand."""
MOST_STREAMS: Final = 16
"""Of one session: so many screens one officer may leave open."""
_MAY: Final = frozenset({Role.DUTY, Role.LEAD})


def wall_of(request: Request) -> Wall:
    found: Wall = request.app.state.wall
    return found


def alarm_duty(session: Annotated[Session, Depends(commanding)]) -> Session:
    if not session.roles & _MAY:
        raise Refused(403, "role")
    return session


@router.get("/")
def wall_page(request: Request, session: Annotated[Session, Depends(signed_in)], said: str = "") -> Response:
    console = console_of(request)
    painted = wall_of(request).painted(language_of(request), at_once=True)
    # Plates in the lanes and firms by name are on it.
    console.note_seen(session, "wall", "lanes, firms")
    return console.page(
        request,
        "wall.html",
        parts={part: _own(html, session) for part, html in painted.parts.items()},
        names=PARTS,
        view_number=painted.number,
        may=bool(session.roles & _MAY),
        said=said if said in ("taken", "ended", "changed", "note_wanted") else "",
    )


@router.get("/coverage")
def coverage_page(request: Request, session: Annotated[Session, Depends(signed_in)]) -> Response:
    """Every firm: the wall has room for some."""
    console = console_of(request)
    console.note_read(session, "coverage", "firms")
    return console.page(request, "wall_coverage_all.html", view=wall_of(request).view())


@router.get("/wall/stream")
async def wall_stream(
    request: Request, session: Annotated[Session, Depends(signed_in)], after: int = -1
) -> Response:
    """Server-sent events. `parts`: those that changed since the view of that number, as HTML; the event's id
    is the view's number. `still`: nothing changed. `gone`: sign in again."""
    if session.streams >= MOST_STREAMS:
        raise Refused(429, "streams")
    await run_in_threadpool(console_of(request).note_seen, session, "wall", "lanes, firms")
    # Who was cut off gets everything: it cannot be known what reached him.
    after = -1 if request.headers.get("last-event-id") else after
    return StreamingResponse(
        _events(request, session, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(request: Request, session: Session, after: int) -> AsyncIterator[str]:
    wall, console, language = wall_of(request), console_of(request), language_of(request)
    loop, other = asyncio.get_running_loop(), asyncio.Event()

    def changed() -> None:
        # A console that is ending has closed its loop.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(other.set)

    key = wall.listen(changed)
    session.streams += 1
    until = contextlib.ExitStack()
    until.enter_context(console.told_of_end(changed))
    try:
        yield "retry: 1000\n\n"
        checked_s = loop.time()
        while not console.ending.is_set():
            other.clear()
            painted = await run_in_threadpool(wall.painted, language)
            if painted.number != after:
                parts = {
                    part: _own(html, session)
                    for part, html in painted.parts.items()
                    if painted.changed[part] > after
                }
                after = painted.number
                yield f"id: {after}\nevent: parts\ndata: {json.dumps(parts, ensure_ascii=False)}\n\n"
            try:
                await asyncio.wait_for(other.wait(), STILL_THERE_EVERY_S)
            except TimeoutError:
                # A view that cannot be made is not one that stands: the screen says that it hears nothing.
                known = wall.unlooked_s() < KNOWN_WITHIN_S
                yield "event: still\ndata: {}\n\n" if known else ": not looked at\n\n"
            if loop.time() - checked_s >= STILL_THERE_EVERY_S:
                checked_s = loop.time()
                # A wall that only watches stays signed in.
                session.touched_s = time.monotonic()
                if await run_in_threadpool(console_of(request).session, request) is None:
                    yield "event: gone\ndata: {}\n\n"
                    return
    finally:
        session.streams -= 1
        wall.leave(key)
        until.close()


def _own(html: str, session: Session) -> str:
    return html.replace(CSRF, session.token)


@router.post("/alarms/take")
def take_alarm(
    request: Request,
    session: Annotated[Session, Depends(alarm_duty)],
    alarm: Annotated[str, Form(max_length=300)],
    seen_owner: Annotated[str, Form(max_length=64)] = "",
    same: Annotated[int, Form(ge=0)] = 0,
    until_utc: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """`seen_owner`: whom the page showed; another has been quicker otherwise, and nothing is done. `same`,
    `until_utc`: all that stood with it on the page, see `_meant`."""
    wall = wall_of(request)
    found = wall.alarm(alarm)
    if found is None:
        return _said(request, 404, "ended")
    alarms = _meant(wall, found, same, until_utc)
    if alarms is None:
        return _said(request, 409, "changed")
    with console_of(request).archive() as archive:
        done = take(archive, alarms, session.officer, seen_owner=seen_owner, at_utc=utc_now())
    return _said(request, 200, "") if done else _said(request, 409, "taken")


@router.post("/alarms/end")
def end_alarm(
    request: Request,
    session: Annotated[Session, Depends(alarm_duty)],
    alarm: Annotated[str, Form(max_length=300)],
    note: Annotated[str, Form(max_length=MOST_NOTE)] = "",
    same: Annotated[int, Form(ge=0)] = 0,
    until_utc: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """`same`, `until_utc`: all that stood with it on the page, see `_meant`."""
    wall = wall_of(request)
    found = wall.alarm(alarm)
    if found is None:
        return _said(request, 404, "ended")
    if not note.strip():
        return _said(request, 422, "note_wanted")
    alarms = _meant(wall, found, same, until_utc)
    if alarms is None:
        return _said(request, 409, "changed")
    with console_of(request).archive() as archive:
        ended = end(archive, alarms, session.officer, note.strip(), utc_now())
    return _said(request, 200, "", ended=ended) if ended else _said(request, 404, "ended")


def _meant(wall: Wall, alarm: OpenAlarm, same: int, until_utc: str) -> tuple[OpenAlarm, ...] | None:
    """The alarm alone, or the `same` alarms of its line, the latest told at `until_utc`. None: it is another
    line by now, and nobody has seen all of it."""
    if same <= 1:
        return (alarm,)
    alarms = wall.alarms_like(alarm, until_utc)
    return alarms if len(alarms) == same else None


def _said(request: Request, status: int, code: str, **more: int) -> Response:
    console_of(request).pulse.beat()
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/?said={code}" if code else "/", 303)
    return JSONResponse({"code": code or "done", **more}, status)
