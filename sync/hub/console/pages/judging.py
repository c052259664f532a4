"""Remote judging (集中判图): the stations' queues, judged from the centre over their own contract.

The station decides everything: who may sit there, what is in whose hands, which verdict counts. Here its
words are passed on to the officer it signed in, and to nobody else; every verdict is the station's fact.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from sync.hub.console.accounts import Role
from sync.hub.console.context import Console, Session, commanding, console_of, needs
from sync.hub.console.refusing import Refused
from sync.hub.console.stations import (
    MOST_COMMAND_BYTES,
    MOST_PICTURE_BYTES,
    Refusal,
    Seat,
    StationAway,
    Stations,
    Stream,
)
from sync.hub.console.words import WORDS
from sync.hub.console.words.judging import FOR_THE_SCRIPT
from sync.vocabulary.rulings import Text

router = APIRouter(include_in_schema=False)
KEPT_EVENTS: Final = 8
"""A browser that takes its views slower than they come gets the newest."""
MOST_DIFFERENCE_BYTES: Final = 4 * 1024 * 1024
MOST_EVENTS: Final = 256
"""Of all kinds that wait for a browser; then the stream is over, and it asks for another."""
STILL_SIGNED_IN_EVERY_S: Final = 1.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_PICTURE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,159}")
"""The contract's: a hot folder's pictures are called NAME@time."""
_PICTURES: Final = {"planes.png": "image/png", "preview.jpg": "image/jpeg"}
_KEPT_BY_KIND: Final = {
    "application/octet-stream": "private, max-age=31536000, immutable",
    "image/jpeg": "private, max-age=600",
}
"""The page keeps whole pictures itself; small ones it draws anew with every view."""

MayJudge = Annotated[Session, Depends(needs(Role.DUTY))]


def judging(
    session: Annotated[Session, Depends(commanding)], _: Annotated[Session, Depends(needs(Role.DUTY))]
) -> Session:
    return session


Judging = Annotated[Session, Depends(judging)]


def _stations(request: Request) -> Stations:
    found: Stations = request.app.state.stations
    return found


def _known(request: Request, station: str) -> Stations:
    stations = _stations(request)
    if station not in stations.names:
        raise Refused(404, "no_such_station")
    return stations


def _seat(request: Request, session: Session, station: str) -> Seat:
    seat = _known(request, station).seat(session.cookie, station)
    if seat is None:
        raise Refused(409, "no_desk")
    return seat


# --- pages ----------------------------------------------------------------------------------------------


@router.get("/judging")
def page(request: Request, session: MayJudge) -> Response:
    console, stations = console_of(request), _stations(request)
    rows = []
    for name in stations.names:
        state = "away"
        with contextlib.suppress(StationAway):
            state = "ready" if stations.ask(name, "GET", "/healthz").status == 200 else "silent"
        rows.append({"name": name, "state": state, "seat": stations.seat(session.cookie, name)})
    return console.page(request, "judging.html", rows=rows)


@router.get("/judging/{station}")
def desk_page(request: Request, session: MayJudge, station: str) -> Response:
    stations = _known(request, station)
    return _desk(request, station, stations.seat(session.cookie, station))


def _desk(
    request: Request, station: str, seat: Seat | None, *, said: Text | None = None, status: int = 200
) -> Response:
    console = console_of(request)
    words = {key.removeprefix("judging."): WORDS[key] for key in FOR_THE_SCRIPT}
    return console.page(
        request, "judging_desk.html", status=status, station=station, seat=seat, said=said, words=words
    )


@router.post("/judging/{station}/sign-in")
def sign_in(
    request: Request, session: Judging, station: str, pin: Annotated[str, Form(min_length=1, max_length=12)]
) -> Response:
    """The officer's own PIN, at that station; it counts wrong ones, not we."""
    stations, console = _known(request, station), console_of(request)
    try:
        found = stations.sign_in(session.cookie, station, session.officer, pin)
    except StationAway as away:
        console.log.warning("station away", station=station, why=str(away)[:200])
        words = WORDS["judging.away"]
        return _desk(request, station, None, said=Text(*words), status=503)
    if isinstance(found, Refusal):
        return _desk(request, station, None, said=Text(found.words.zh, found.words.en), status=403)
    console.note_read(session, "judging", station)
    console.log.info("judging from here", station=station, officer=session.officer, desk=found.desk)
    return RedirectResponse(f"/judging/{station}", 303)


@router.post("/judging/{station}/sign-out")
def sign_out(request: Request, session: Judging, station: str) -> Response:
    _known(request, station).sign_out(session.cookie, station)
    return RedirectResponse("/judging", 303)


# --- passed on ------------------------------------------------------------------------------------------


@router.post("/judging/{station}/commands")
async def command(request: Request, session: Judging, station: str) -> Response:
    seat = _seat(request, session, station)
    body = await _body(request)
    stations, console = _stations(request), console_of(request)
    try:
        answer = await asyncio.to_thread(stations.ask, station, "POST", "/v1/commands", body=body, seat=seat)
    except StationAway as away:
        raise Refused(502, "away") from away
    shown = _shown(body)
    if shown and answer.status == 202:
        await asyncio.to_thread(console.note_read, session, "x_ray_picture", f"{station}/{shown}")
    return _passed_on(stations, session, station, seat, answer.status, answer.body, "application/json")


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_COMMAND_BYTES:
            raise Refused(413, "too_large")
    return body


class _Shown(msgspec.Struct, frozen=True):
    do: str = ""
    parcel: int = 0


def _shown(body: bytes) -> int:
    """Whose picture it says is on the screen; 0: it is another command."""
    try:
        told = msgspec.json.decode(body, type=_Shown)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    return told.parcel if told.do == "shown" else 0


@router.get("/judging/{station}/pictures/{picture}/{kind}")
def picture(request: Request, session: MayJudge, station: str, picture: str, kind: str) -> Response:
    if _PICTURE.fullmatch(picture) is None or kind not in _PICTURES:
        raise Refused(404, "no_such_picture")
    return _fetched(request, session, station, f"/v1/pictures/{picture}/{kind}", _PICTURES[kind])


@router.get("/judging/{station}/pictures/{picture}/differences/{reference}")
def difference(request: Request, session: MayJudge, station: str, picture: str, reference: str) -> Response:
    """Where the picture differs from a reference, as the station works it out: it has both pictures whole."""
    if _PICTURE.fullmatch(picture) is None or _PICTURE.fullmatch(reference) is None:
        raise Refused(404, "no_such_picture")
    seat, stations = _seat(request, session, station), _stations(request)
    path = f"/v1/pictures/{picture}/differences/{reference}.png"
    try:
        answer = stations.ask(station, "GET", path, seat=seat, most_bytes=MOST_DIFFERENCE_BYTES)
    except StationAway as away:
        raise Refused(502, "away") from away
    passed_on = _passed_on(stations, session, station, seat, answer.status, answer.body, "image/png")
    # The page keeps it by the calibration it was seen by; nobody else does.
    passed_on.headers["Cache-Control"] = "no-store"
    if answer.common:
        passed_on.headers["X-Kakou-Common"] = answer.common
    return passed_on


@router.get("/judging/{station}/tables/{table}/{mode}")
def table(request: Request, session: MayJudge, station: str, table: str, mode: str) -> Response:
    if _NAME.fullmatch(table) is None or _NAME.fullmatch(mode) is None:
        raise Refused(404, "no_such_picture")
    path = f"/v1/tables/{table}/{mode}.bin"
    return _fetched(request, session, station, path, "application/octet-stream")


def _fetched(request: Request, session: Session, station: str, path: str, media: str) -> Response:
    seat, stations = _seat(request, session, station), _stations(request)
    try:
        answer = stations.ask(station, "GET", path, seat=seat, most_bytes=MOST_PICTURE_BYTES)
    except StationAway as away:
        raise Refused(502, "away") from away
    return _passed_on(stations, session, station, seat, answer.status, answer.body, media)


def _passed_on(
    stations: Stations, session: Session, station: str, seat: Seat, status: int, body: bytes, media: str
) -> Response:
    """With a kind of content of our own: a station's word for it is not taken. Only what is nobody's (a
    table of colours) is kept by the browser for longer than the page."""
    if status == 401:
        stations.forget(session.cookie, station, seat)
        raise Refused(409, "no_desk")
    good = status == 200 and media != "application/json"
    headers = {"Cache-Control": _KEPT_BY_KIND.get(media, "no-store") if good else "no-store"}
    return Response(body, status, media_type=media if good else "application/json", headers=headers)


# --- the stream -----------------------------------------------------------------------------------------


@router.get("/judging/{station}/stream")
async def stream(request: Request, session: MayJudge, station: str) -> Response:
    """The station's own, passed on as long as both sessions stand: while it is open, the officer is there."""
    seat, stations, console = _seat(request, session, station), _stations(request), console_of(request)
    try:
        opened = await asyncio.to_thread(stations.stream, station, seat)
    except StationAway as away:
        if str(away).endswith(": 401"):
            stations.forget(session.cookie, station, seat)
            raise Refused(409, "no_desk") from away
        raise Refused(502, "away") from away
    events = _relayed(console, stations, session, seat, opened)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _relayed(
    console: Console, stations: Stations, session: Session, seat: Seat, opened: Stream
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()

    def put(event: tuple[str, bytes] | None) -> None:
        # Views are whole: of several that wait, the newest says all. An answer is said once.
        if event is not None and event[0] == "view" and waiting.qsize() >= KEPT_EVENTS:
            return
        if waiting.qsize() >= MOST_EVENTS:
            opened.close()
            return
        waiting.put_nowait(event)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            for event in opened.events():
                loop.call_soon_threadsafe(put, event)
            loop.call_soon_threadsafe(put, None)

    def end() -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(put, None)

    until = contextlib.ExitStack()
    until.enter_context(console.told_of_end(end))
    reading = threading.Thread(target=read, name=f"judging-{seat.station}", daemon=True)
    reading.start()
    try:
        yield b"retry: 1000\n\n"
        while await asyncio.to_thread(console.stands, session):
            try:
                event = await asyncio.wait_for(waiting.get(), STILL_SIGNED_IN_EVERY_S)
            except TimeoutError:
                continue
            if event is None:
                return
            name, data = event
            yield b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
            if name == "ended":
                stations.forget(session.cookie, seat.station, seat)
                return
        yield b'event: ended\ndata: {"why":"console"}\n\n'
        await asyncio.to_thread(stations.sign_out, session.cookie, seat.station)
    finally:
        until.close()
        opened.close()
