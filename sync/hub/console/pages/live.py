"""Live (实时音视频): what handhelds show, with sound on request, kept only when marked; and the lanes' latest
evidence pictures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse

from sync.hub import centre
from sync.hub.archive import Archive, CentreAct
from sync.hub.centre import CentreRefused
from sync.hub.console.accounts import Role
from sync.hub.console.context import Console, Session, commanding, console_of, needs
from sync.hub.console.desk import DeskRefused, Step, ask_pictures, hold_at, steps
from sync.hub.console.live_rooms import LiveRefused, LiveRooms, LiveWish, Room, recordings
from sync.hub.console.pages.desk import Holding, fragment
from sync.hub.console.refusing import Refused, words_of
from sync.hub.console.shown import PassageRow
from sync.store.journal import utc_now
from sync.vocabulary.codec import Malformed
from sync.vocabulary.commands import ASKED, MAX_REASON, Outcome
from sync.vocabulary.facts import CommandTaken, FactData, PictureMissed, PictureTaken, read_body

router = APIRouter(include_in_schema=False)
BOUNDARY: Final = b"kakou-picture"
PICTURE_EVERY_S: Final = 0.03
SOUND_WAIT_S: Final = 1.0
MOST_KEPT_SHOWN: Final = 50
PASSAGES_BACK: Final = 4
MOST_LANE_PICTURES: Final = 3

MayWatch = Annotated[Session, Depends(needs(Role.DUTY))]
MayHear = Annotated[Session, Depends(needs(Role.DUTY, Role.LEAD, Role.AUDIT))]


def watching(
    session: Annotated[Session, Depends(commanding)], _: Annotated[Session, Depends(needs(Role.DUTY))]
) -> Session:
    return session


Acting = Annotated[Session, Depends(watching)]
Why = Annotated[str, Form(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


def _rooms(request: Request) -> LiveRooms:
    found: LiveRooms = request.app.state.live
    return found


def _room(request: Request, session: Session, device: str) -> Room:
    room = _rooms(request).of(session, device)
    if room is None:
        raise Refused(404, "not_watched")
    room.seen()
    return room


# --- what there is --------------------------------------------------------------------------------------


@router.get("/live")
def page(request: Request, session: MayWatch) -> Response:
    return _page(request, session)


def _page(
    request: Request,
    session: Session,
    *,
    said: tuple[object, ...] = (),
    status: int = 200,
    typed: str = "",
) -> Response:
    """`typed`: why a picture was wanted that was refused."""
    console = console_of(request)
    console.note_seen(session, "live", "lanes")
    return console.page(
        request,
        "live.html",
        status=status,
        said=said,
        typed=typed,
        **_now(request, session),
        **lanes_of(console),
    )


def _now(request: Request, session: Session) -> dict[str, Any]:
    """Who shows something, who can be asked, what was kept."""
    console = console_of(request)
    has_live = console.config.live is not None
    shown, away = _rooms(request).shown(session.officer) if has_live else ((), None)
    with console.archive() as archive:
        kept = recordings(archive, MOST_KEPT_SHOWN)
    return {
        "has_live": has_live,
        "sessions": shown,
        "away": away,
        "handhelds": _handhelds(console),
        "kept": kept,
        "most_reason": MAX_REASON,
    }


@router.get("/live/now")
async def now(request: Request, session: MayWatch, after: int = -1) -> Response:
    console = console_of(request)

    def made() -> Response:
        console.note_seen(session, "live", "lanes")
        return console.page(request, "live_now.html", **_now(request, session))

    return await fragment(console, after, made)


@router.get("/live/lanes")
async def lanes(request: Request, session: MayWatch, after: int = -1) -> Response:
    console = console_of(request)

    def made() -> Response:
        console.note_seen(session, "live", "lanes")
        return console.page(request, "live_lanes.html", **lanes_of(console))

    return await fragment(console, after, made)


def _handhelds(console: Console) -> list[centre.LaneSeen]:
    """Those that have told that they are one, the ones that hear first."""
    found = []
    with console.archive() as archive:
        for device in archive.devices():
            kept = archive.status(device)
            if kept is None or '"handheld"' not in kept[0]:
                continue
            with contextlib.suppress(CentreRefused):
                found.append(centre.lane(archive, device))
    return sorted(found, key=lambda each: (not each.hears, each.device))


@dataclass(frozen=True, slots=True)
class LaneShown:
    device: str
    inside: PassageRow | None
    """The vehicle in it, as far as its facts have come."""
    step: Step | None
    """The last request for pictures of that vehicle."""
    pictures: list[tuple[PassageRow, PictureTaken]]
    missed: list[PictureMissed]
    """Cameras that gave none when they were asked last, and why."""


def lanes_of(console: Console) -> dict[str, Any]:
    """Every lane's latest pictures that are here: of the passage it has in it, or of those just before."""
    rows = []
    of_site = tuple(lane.lane for lane in console.site().lanes)
    with console.archive() as archive, console.shown() as shown:
        for device in dict.fromkeys((*of_site, *archive.devices())):
            passed = shown.passages_last(device, PASSAGES_BACK)
            if not passed and device not in of_site:
                continue
            inside = _inside(passed)
            asked = None
            if inside is not None:
                told = steps(archive, hold_at(inside))
                asked = next((each for each in told if each.what == "pictures"), None)
            pictures: list[tuple[PassageRow, PictureTaken]] = []
            missed: list[PictureMissed] = []
            for row in passed:
                pictures, none = _pictured(archive, row)
                missed = none if row is inside else missed
                if pictures:
                    break
            rows.append(LaneShown(device, inside, asked, pictures[:MOST_LANE_PICTURES], missed))
    return {"lanes": rows}


def _inside(passed: Sequence[PassageRow]) -> PassageRow | None:
    """Of a lane's passages, the latest first: whoever came before the last is in it no more (S5)."""
    return passed[0] if passed and not passed[0].closed_utc else None


def _pictured(
    archive: Archive, row: PassageRow
) -> tuple[list[tuple[PassageRow, PictureTaken]], list[PictureMissed]]:
    """Its pictures that are here, the latest first; and what the last request of the centre got none of."""
    stored = {
        blob.sha256 for blob in archive.blobs_of_passage(row.device, row.passage) if blob.state == "stored"
    }
    bodies = archive.engine.execute(
        "SELECT body FROM facts WHERE device = ? AND passage = ? AND epoch = ? "
        "AND kind IN ('picture_taken', 'picture_missed', 'command_taken') ORDER BY position DESC",
        (row.device, row.passage, row.epoch),
    ).fetchall()
    taken: dict[PictureTaken, None] = {}
    missed: list[PictureMissed] = []
    is_last = True
    for (text,) in bodies:
        match _fact_in(text):
            case PictureTaken() as data if data.sha256 in stored:
                taken[data] = None
            case PictureMissed(moment=moment) as data if is_last and moment == ASKED:
                missed.append(data)
            case CommandTaken(kind="take_pictures", outcome=Outcome.DONE):
                is_last = False
            case _:
                pass
    return [(row, each) for each in taken], missed


def _fact_in(text: str) -> FactData | None:
    try:
        return read_body(text).data
    except Malformed:
        return None


@router.post("/live/lane/{device}/{epoch}/{passage}/pictures")
def ask_lane(request: Request, session: Acting, hold: Holding, reason: Why) -> Response:
    """现场拍照: of the vehicle in a lane, held or not."""
    console = console_of(request)
    with console.shown() as shown:
        row = _inside(shown.passages_last(hold.device, 1))
    try:
        if row is None or hold_at(row) != hold:
            raise DeskRefused("desk.not_inside")
        with console.archive() as archive:
            ask_pictures(archive, hold, session.officer, reason, utc_now(), in_hand=False)
    except DeskRefused as refused:
        return _page(request, session, said=(refused.key, *refused.more), status=409, typed=reason)
    except (CentreRefused, ValueError) as refused:
        said = ("live.refused", words_of(refused))
        return _page(request, session, said=said, status=409, typed=reason)
    console.pulse.beat()
    return RedirectResponse("/live", 303)


# --- one handheld ---------------------------------------------------------------------------------------


def _begin(request: Request, session: Session, device: str, wish: LiveWish) -> Response:
    console = console_of(request)
    try:
        _rooms(request).begin(session, device, wish)
    except LiveRefused as refused:
        return _page(request, session, said=(refused.key, *refused.more), status=409)
    except (CentreRefused, ValueError) as refused:
        return _page(request, session, said=("live.refused", words_of(refused)), status=409)
    console.note_read(session, "live", device)
    return RedirectResponse(f"/live/{device}", 303)


@router.post("/live/{device}/watch")
def watch(request: Request, session: Acting, device: str, reason: Why) -> Response:
    """What its officer began."""
    wish = LiveWish(ask=False, sound=True, keep=False, minutes=30, reason=reason.strip())
    return _begin(request, session, device, wish)


@router.post("/live/{device}/ask")
def ask(
    request: Request,
    session: Acting,
    device: str,
    reason: Why,
    sound: Annotated[str, Form(max_length=8)] = "",
    keep: Annotated[str, Form(max_length=8)] = "",
    minutes: Annotated[int, Form(ge=1, le=29)] = 5,
) -> Response:
    """Whoever holds it is asked to show what they see; no answer is no."""
    wish = LiveWish(ask=True, sound=bool(sound), keep=bool(keep), minutes=minutes, reason=reason.strip())
    return _begin(request, session, device, wish)


@router.get("/live/{device}")
def room_page(request: Request, session: MayWatch, device: str) -> Response:
    room = _rooms(request).of(session, device)
    if room is None:
        return RedirectResponse("/live", 303)
    room.seen()
    return _room_page(request, room)


def _room_page(request: Request, room: Room, *, said: tuple[object, ...] = (), status: int = 200) -> Response:
    console = console_of(request)
    return console.page(
        request, "live_room.html", status=status, room=room, said=said, most_reason=MAX_REASON
    )


@router.get("/live/{device}/state")
async def room_state(request: Request, session: MayWatch, device: str, after: int = -1) -> Response:
    console, room = console_of(request), _room(request, session, device)
    return await fragment(console, after, lambda: console.page(request, "live_room_parts.html", room=room))


@router.get("/live/{device}/pictures")
async def pictures(request: Request, session: MayWatch, device: str) -> Response:
    """MJPEG: the newest whenever there is one; a slow browser misses some."""
    room = _room(request, session, device)
    return StreamingResponse(
        _frames(console_of(request), room),
        media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _frames(console: Console, room: Room) -> AsyncIterator[bytes]:
    number = 0
    while not room.ended and not console.ending.is_set():
        room.seen()
        newest, jpeg = room.picture()
        if newest == number:
            await asyncio.sleep(PICTURE_EVERY_S)
            continue
        number = newest
        head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg))
        yield head + jpeg + b"\r\n"
    yield b"--%s--\r\n" % BOUNDARY


@router.get("/live/{device}/sound")
async def sound(request: Request, session: MayWatch, device: str, after: int = -1) -> Response:
    """16-bit samples, 8,000 a second, of what came since; the first question is written down."""
    console, room = console_of(request), _room(request, session, device)
    if after < 0:
        await run_in_threadpool(_heard, console, session, room)
    until_s = time.monotonic() + SOUND_WAIT_S
    number, samples = room.sound_after(after)
    while after >= 0 and not samples and time.monotonic() < until_s and not room.ended:
        if console.ending.is_set():
            break
        await asyncio.sleep(PICTURE_EVERY_S)
        number, samples = room.sound_after(after)
    headers = {"X-Kakou-Next": str(number), "Cache-Control": "no-store"}
    return Response(samples, media_type="application/octet-stream", headers=headers)


def _heard(console: Console, session: Session, room: Room) -> None:
    with console.archive() as archive, archive.transaction():
        archive.add_act(
            CentreAct(utc_now(), "live_sound", room.device, (session.officer,), room.wish.reason, "")
        )


def _in_room(request: Request, session: Session, device: str, act: Callable[[Room], object]) -> Response:
    room = _room(request, session, device)
    try:
        act(room)
    except LiveRefused as refused:
        return _room_page(request, room, said=(refused.key, *refused.more), status=409)
    except OSError as error:
        return _room_page(request, room, said=("live.refused", words_of(error)), status=503)
    console_of(request).pulse.beat()
    return RedirectResponse(f"/live/{device}", 303)


@router.post("/live/{device}/keep")
def keep(request: Request, session: Acting, device: str, reason: Why) -> Response:
    return _in_room(request, session, device, lambda room: room.keep(reason.strip()))


@router.post("/live/{device}/keep-no-more")
def keep_no_more(request: Request, session: Acting, device: str) -> Response:
    def act(room: Room) -> None:
        if room.keeper is not None:
            room.keeper.stop()
            room.keeper.wait(5.0)

    return _in_room(request, session, device, act)


@router.post("/live/{device}/leave")
def leave(request: Request, session: Acting, device: str) -> Response:
    """Who asked for it ends it for everybody; who only watched leaves it."""
    _room(request, session, device).leave()
    return RedirectResponse("/live", 303)


@router.get("/live-kept/{name}")
def kept_file(request: Request, session: MayHear, name: str) -> Response:
    """AVI, as any player opens it."""
    console = console_of(request)
    with console.archive() as archive:
        known = archive.engine.execute(
            "SELECT ended_utc FROM console_recordings WHERE name = ?", (name[:200],)
        ).fetchone()
    path = console.part.live_folder / name
    if known is None or not known[0] or not path.is_file():
        raise Refused(404, "no_such_recording")
    console.note_read(session, "live_kept", name)
    return FileResponse(path, media_type="video/x-msvideo", filename=name)
