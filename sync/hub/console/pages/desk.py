"""The exception desk: held vehicles by deadline, one page a hold, and what can be done about it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from sync.hub import centre
from sync.hub.archive import Archive
from sync.hub.blob_files import BlobFiles
from sync.hub.centre import CentreRefused, later
from sync.hub.console import desk
from sync.hub.console.accounts import proved
from sync.hub.console.context import Console, Session, commanding, console_of, evidence_answer, needs
from sync.hub.console.desk import DeskRefused, Hold
from sync.hub.console.evidence import firm_named
from sync.hub.console.pages.doors import Throttle
from sync.hub.console.refusing import Refused, words_of
from sync.hub.console.shown import PassageRow
from sync.hub.console.telling import reading_detail, value_words
from sync.hub.console.words.acts import step_detail, step_why
from sync.store.journal import utc_now
from sync.vocabulary.commands import (
    BOARD_PRESETS,
    MAX_BOARD_TEXT,
    MAX_VALUE,
    BoardText,
    LaneClose,
    Supplement,
)
from sync.vocabulary.records import InspectionMethod, OrderPart
from sync.vocabulary.rulings import GUIDES, OWNERS, WAYS, Owner, Reason, Text, Way

router = APIRouter(include_in_schema=False)

WAIT_S: Final = 2.0
"""A page that asks for what is new is answered by then in any case: commands are settled without a fact."""
LOOK_EVERY_S: Final = 0.1
MOST_INSTRUCTIONS: Final = 200
SAID: Final = frozenset(
    {
        "desk.done_take",
        "desk.done_leave",
        "desk.done_escalate",
        "desk.done_calm",
        "desk.done_given",
        "desk.done_asked",
        "desk.done_withdrawn",
        "desk.done_order",
    }
)

Passage = Annotated[int, Path(ge=0, le=2**62)]
Device = Annotated[str, Path(max_length=64)]
Epoch = Annotated[str, Path(max_length=64)]


def holding(device: Device, epoch: Epoch, passage: Passage) -> Hold:
    return Hold(device, epoch, passage)


Holding = Annotated[Hold, Depends(holding)]
AtDesk = Annotated[Session, Depends(needs(*desk.AT_THE_DESK))]


def acting(
    session: Annotated[Session, Depends(commanding)], _: Annotated[Session, Depends(needs(*desk.AT_THE_DESK))]
) -> Session:
    """May be at the desk, and it is their own page that asks."""
    return session


Acting = Annotated[Session, Depends(acting)]
Why = Annotated[str, Form(max_length=200)]


# --- to look at ---------------------------------------------------------------------------------------------


@router.get("/desk")
def page(request: Request, session: AtDesk) -> Response:
    console = console_of(request)
    console.note_seen(session, "desk", "queue")
    return console.page(request, "desk.html", **queue_of(console))


@router.get("/desk/queue")
async def queue(request: Request, session: AtDesk, after: int = -1) -> Response:
    """The list alone, when something has changed or time is over."""
    console = console_of(request)

    def made() -> Response:
        console.note_seen(session, "desk", "queue")
        return console.page(request, "desk_queue.html", **queue_of(console))

    return await fragment(console, after, made)


@router.get("/desk/hold/{device}/{passage}")
def numbered_page(request: Request, session: AtDesk, device: Device, passage: Passage) -> Response:
    """By the number alone: the vehicle that had it last."""
    with console_of(request).shown() as shown:
        row = shown.passage(device, passage)
    if row is None:
        raise Refused(404, "no_such_passage")
    return RedirectResponse(f"/desk/hold/{row.address}", 303)


@router.get("/desk/hold/{device}/{epoch}/{passage}")
def hold_page(request: Request, session: AtDesk, hold: Holding, said: str = "") -> Response:
    console = console_of(request)
    console.note_read(session, "hold", f"{hold.device}/{hold.passage}")
    return _hold(request, hold, said=(said,) if said in SAID else ())


@router.get("/desk/hold/{device}/{epoch}/{passage}/state")
async def hold_state(request: Request, session: AtDesk, hold: Holding, after: int = -1) -> Response:
    console = console_of(request)

    def made() -> Response:
        console.note_seen(session, "hold", f"{hold.device}/{hold.passage}")
        return console.page(request, "hold_parts.html", **hold_of(console, session, hold))

    return await fragment(console, after, made)


@router.get("/desk/hold/{device}/{epoch}/{passage}/picture/{sha256}")
def picture(request: Request, session: AtDesk, hold: Holding, sha256: str) -> Response:
    """An evidence picture that a fact of this passage names; its hash is proved on the way."""
    console = console_of(request)
    with console.archive() as archive:
        named = {blob.sha256 for blob in archive.blobs_of_passage(hold.device, hold.passage)}
    content = BlobFiles(console.config.blobs.folder).read(sha256) if sha256 in named else None
    if content is None:
        raise Refused(404, "no_such_picture")
    console.note_seen(session, "picture", sha256)
    return evidence_answer(request, content, sha256)


async def fragment(console: Console, after: int, make: Callable[[], Response]) -> Response:
    """Part of a page, once the pulse is another than `after` or a while is over."""
    until_s = time.monotonic() + WAIT_S
    # The end of the console is a beat of its pulse, too.
    while after == console.pulse.number and time.monotonic() < until_s:  # noqa: ASYNC110  beaten by threads
        await asyncio.sleep(LOOK_EVERY_S)
    number = console.pulse.number
    answer = await run_in_threadpool(make)
    answer.headers["X-Kakou-Pulse"] = str(number)
    answer.headers["X-Kakou-Now"] = utc_now()
    return answer


def queue_of(console: Console) -> dict[str, Any]:
    """Held vehicles: what was escalated first, then by deadline."""
    now = utc_now()
    due_s = console.part.hold_due_s
    with console.shown() as shown:
        held = [row for row in shown.passages_open() if desk.is_held(row)]
    with console.archive() as archive:
        in_hand = desk.in_hand(archive)
        waiting = desk.waiting_releases(archive, now)
    rows: list[dict[str, Any]] = []
    for row in held:
        hand = in_hand.get(desk.hold_at(row))
        due_utc = _due_utc(row, due_s)
        rows.append(
            {
                "row": row,
                "reasons": _reasons(row),
                "owner": _owner(row.owner),
                "due_utc": due_utc,
                "overdue": due_utc <= now,
                "hand": "" if hand is None else hand.owner,
                "escalated": "" if hand is None else hand.escalated_utc,
                "note": "" if hand is None else hand.note,
            }
        )
    rows.sort(key=lambda each: (not each["escalated"], each["due_utc"], each["row"].device))
    return {"rows": rows, "waiting": waiting, "pulse": console.pulse.number}


def _due_utc(row: PassageRow, due_s: float) -> str:
    """Empty, and so before all others, where the lane's clock said nothing that can be read."""
    try:
        return later(row.held_utc or row.ruled_utc, due_s)
    except (ValueError, OverflowError):
        return ""


def hold_of(console: Console, session: Session, hold: Hold) -> dict[str, Any]:
    """Raises 404."""
    with console.shown() as shown:
        row = shown.passage(hold.device, hold.passage, hold.epoch)
    if row is None:
        raise Refused(404, "no_such_passage")
    now = utc_now()
    site = console.site()
    with console.archive() as archive:
        seen = desk.seen(archive, hold)
        stored = {blob.sha256: blob.state for blob in archive.blobs_of_passage(hold.device, hold.passage)}
        hand = desk.in_hand(archive).get(hold)
        steps = desk.steps(archive, hold)
        waiting = [each for each in desk.waiting_releases(archive, now) if each.hold == hold]
        mine = hand is not None and hand.owner == session.officer
        free = desk.officers_free(archive, _scope(console), now) if mine else ()
        lane = _lane(archive, hold.device)
        firm = firm_named(archive, row.enterprise)
    due_utc = _due_utc(row, console.part.hold_due_s)
    return {
        "row": row,
        "slips": json.loads(row.slips),
        "texts": json.loads(row.texts),
        "reasons": _reasons(row),
        "owner": _owner(row.owner),
        "ways": _ways(row),
        "due_utc": due_utc,
        "overdue": due_utc <= now,
        "held": desk.is_held(row),
        "seen": seen,
        "pictures": [(each, stored.get(each.sha256, "missing")) for each in seen.pictures],
        "hand": hand,
        "mine": mine,
        "steps": steps,
        "waiting": waiting,
        "lane": lane,
        "firm": firm,
        "value": value_words,
        "step_detail": step_detail,
        "step_why": step_why,
        "reading_detail": reading_detail,
        "needed": site.manual_release_officers,
        "typed": {},
        "presets": BOARD_PRESETS,
        "most_board": MAX_BOARD_TEXT,
        "most_value": MAX_VALUE,
        "methods": ["", *(each.value for each in InspectionMethod)],
        "parts": [each.value for each in OrderPart],
        "free": free,
        "most_instructions": MOST_INSTRUCTIONS,
        "pulse": console.pulse.number,
    }


def _lane(archive: Archive, device: str) -> centre.LaneSeen | None:
    try:
        return centre.lane(archive, device)
    except CentreRefused:
        return None


def _reasons(row: PassageRow) -> list[dict[str, Any]]:
    """Each reason of the ruling, and what is to be done about it."""
    found = []
    for code in json.loads(row.codes):
        known = code in Reason._value2member_map_
        guide = GUIDES.get(Reason(code)) if known else None
        found.append({"code": code, "guide": None if guide is None else Text(guide.zh, guide.en)})
    zh, en = json.loads(row.texts)
    for place, each in enumerate(found):
        each["text"] = Text(zh[place], en[place]) if place < len(zh) and place < len(en) else None
    return found


def _owner(name: str) -> Text | None:
    return OWNERS[Owner(name)] if name in Owner._value2member_map_ else None


def _ways(row: PassageRow) -> dict[str, Text]:
    return {each: WAYS[Way(each)] for each in json.loads(row.ways) if each in Way._value2member_map_}


def _hold(request: Request, hold: Hold, *, said: tuple[object, ...] = (), status: int = 200) -> Response:
    console = console_of(request)
    session: Session = request.state.session
    values = {**hold_of(console, session, hold), "typed": getattr(request.state, "typed", {})}
    return console.page(request, "hold.html", status=status, said=said, refused=status != 200, **values)


def _scope(console: Console) -> str:
    """Orders go to the site's first scope."""
    return console.config.sync.scopes[0]


# --- what can be done ---------------------------------------------------------------------------------------


def _typed(request: Request, form: str, **fields: object) -> None:
    """Stands in the form again when it is refused: a vehicle waits for who types. Never a password."""
    request.state.typed = {form: fields}


def _do(request: Request, hold: Hold, done: str, act: Callable[[Archive], object]) -> Response:
    """Done, and back to the page; or the page with the reason why not, and nothing was done."""
    console = console_of(request)
    try:
        with console.archive() as archive:
            act(archive)
    except DeskRefused as refused:
        return _hold(request, hold, said=(refused.key, *refused.more), status=409)
    except (CentreRefused, ValueError) as refused:
        return _hold(request, hold, said=("desk.refused", words_of(refused)), status=409)
    finally:
        console.pulse.beat()
    return RedirectResponse(f"/desk/hold/{hold.device}/{hold.epoch}/{hold.passage}?said={done}", 303)


def _still_held(request: Request, hold: Hold) -> PassageRow:
    with console_of(request).shown() as shown:
        row = shown.passage(hold.device, hold.passage, hold.epoch)
    if row is None:
        raise Refused(404, "no_such_passage")
    # One whose number another vehicle has got since is over (S5): the lane knows a number alone.
    if not desk.is_held(row):
        raise DeskRefused("desk.not_held")
    return row


@router.post("/desk/hold/{device}/{epoch}/{passage}/take")
def take(request: Request, session: Acting, hold: Holding, reason: Why = "") -> Response:
    _typed(request, "take", reason=reason)

    def act(archive: Archive) -> None:
        _still_held(request, hold)
        desk.take(archive, hold, session.officer, utc_now(), reason=reason)

    return _do(request, hold, "desk.done_take", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/leave")
def leave(request: Request, session: Acting, hold: Holding, reason: Why = "") -> Response:
    return _do(
        request,
        hold,
        "desk.done_leave",
        lambda archive: desk.leave(archive, hold, session.officer, utc_now(), reason),
    )


@router.post("/desk/hold/{device}/{epoch}/{passage}/escalate")
def escalate(request: Request, session: Acting, hold: Holding, reason: Why) -> Response:
    _typed(request, "escalate", reason=reason)

    def act(archive: Archive) -> None:
        _still_held(request, hold)
        desk.escalate(archive, hold, session.officer, utc_now(), reason)

    return _do(request, hold, "desk.done_escalate", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/calm")
def calm(request: Request, session: Acting, hold: Holding, reason: Why) -> Response:
    _typed(request, "calm", reason=reason)
    return _do(
        request,
        hold,
        "desk.done_calm",
        lambda archive: desk.calm(archive, hold, session.officer, utc_now(), reason),
    )


@router.post("/desk/hold/{device}/{epoch}/{passage}/board")
def board(
    request: Request,
    session: Acting,
    hold: Holding,
    reason: Why,
    preset: Annotated[int, Form(ge=0, le=1_000)] = 0,
    zh: Annotated[str, Form(max_length=MAX_BOARD_TEXT)] = "",
    en: Annotated[str, Form(max_length=MAX_BOARD_TEXT)] = "",
) -> Response:
    _typed(request, "board", preset=preset, zh=zh, en=en, reason=reason)

    def act(archive: Archive) -> None:
        # What was meant for one driver is not for the next to read.
        _still_held(request, hold)
        desk.command(archive, hold, _text(hold, preset, zh, en), session.officer, reason, utc_now())

    return _do(request, hold, "desk.done_given", act)


def _text(hold: Hold, preset: int, zh: str, en: str) -> BoardText:
    """For the driver of this vehicle alone, however late it comes to the lane."""
    if preset:
        return BoardText(preset=preset, seconds=desk.BOARD_S, passage=hold.passage)
    if not (zh.strip() and en.strip()):
        raise DeskRefused("desk.both_languages")
    return BoardText(zh=zh.strip(), en=en.strip(), seconds=desk.BOARD_S, passage=hold.passage)


@router.post("/desk/hold/{device}/{epoch}/{passage}/pictures")
def pictures(request: Request, session: Acting, hold: Holding, reason: Why) -> Response:
    """现场拍照: of the vehicle that is held there now."""
    _typed(request, "pictures", reason=reason)

    def act(archive: Archive) -> None:
        _still_held(request, hold)
        desk.ask_pictures(archive, hold, session.officer, reason, utc_now())

    return _do(request, hold, "desk.done_given", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/supplement")
def supplement(
    request: Request,
    session: Acting,
    hold: Holding,
    reason: Why,
    field: Annotated[str, Form(pattern="^(plate|weight|slip|container)$")],
    value: Annotated[str, Form(max_length=MAX_VALUE)],
) -> Response:
    _typed(request, "supplement", field=field, value=value, reason=reason)

    def act(archive: Archive) -> None:
        _still_held(request, hold)
        given = Supplement(passage=hold.passage, field=field, value=value.strip())  # type: ignore[arg-type]
        desk.command(archive, hold, given, session.officer, reason, utc_now())

    return _do(request, hold, "desk.done_given", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/release")
def release(
    request: Request,
    session: Acting,
    hold: Holding,
    reason: Why,
    aside: Annotated[str, Form(max_length=8)] = "",
    second: Annotated[str, Form(max_length=64)] = "",
    second_password: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Where the site wants two officers: the second proves who they are here, or is asked to confirm."""
    _typed(request, "aside" if aside else "release", reason=reason, second=second)
    needed = console_of(request).site().manual_release_officers
    alone = needed < 2 or bool(second.strip())

    def act(archive: Archive) -> None:
        row = _still_held(request, hold)
        way = Way.ASIDE if aside else Way.RELEASE
        if way.value not in json.loads(row.ways):
            raise DeskRefused("desk.not_this_way")
        now = utc_now()
        if not alone:
            desk.ask_second(archive, hold, session.officer, reason, now, aside=bool(aside))
            return
        officers = [session.officer]
        if second.strip():
            officers.append(_second(request, archive, session, second.strip(), second_password, now))
        desk.release(archive, hold, officers, reason, now, aside=bool(aside), needed=needed)

    return _do(request, hold, "desk.done_given" if alone else "desk.done_asked", act)


def _second(
    request: Request, archive: Archive, session: Session, officer: str, password: str, now: str
) -> str:
    """The second officer's number, proved. As slow to guess at as the sign-in page."""
    if officer == session.officer:
        raise DeskRefused("desk.another_officer")
    throttle: Throttle = request.app.state.throttle
    names = (f"officer {officer}", f"second {session.officer}")
    wait_s = throttle.takes(names, time.monotonic())
    if wait_s > 0:
        raise DeskRefused("sign_in.wait", round(wait_s) + 1)
    account = proved(archive, officer, password, now)
    if account is None:
        console_of(request).log.warning("second officer refused", officer=officer[:64], first=session.officer)
        raise DeskRefused("sign_in.wrong")
    throttle.right(names)
    if not account.roles & desk.AT_THE_DESK:
        raise DeskRefused("desk.not_allowed", officer)
    desk.must_be_two(archive, session.officer, account.officer_no, now)
    return account.officer_no


@router.post("/desk/hold/{device}/{epoch}/{passage}/confirm")
def confirm(
    request: Request,
    session: Acting,
    hold: Holding,
    release_id: Annotated[str, Form(max_length=32)],
) -> Response:
    """By the second officer, from a session of their own."""
    needed = console_of(request).site().manual_release_officers

    def act(archive: Archive) -> None:
        _still_held(request, hold)
        desk.confirm(archive, hold, release_id, session.officer, utc_now(), needed=needed)

    return _do(request, hold, "desk.done_given", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/withdraw")
def withdraw(
    request: Request,
    session: Acting,
    hold: Holding,
    release_id: Annotated[str, Form(max_length=32)],
) -> Response:
    return _do(
        request,
        hold,
        "desk.done_withdrawn",
        lambda archive: desk.withdraw(archive, hold, release_id, session.officer, utc_now()),
    )


@router.post("/desk/hold/{device}/{epoch}/{passage}/order")
def order(
    request: Request,
    session: Acting,
    hold: Holding,
    reason: Why,
    officer: Annotated[str, Form(max_length=64)] = "",
    method: Annotated[InspectionMethod | None, Form()] = None,
    part: Annotated[list[OrderPart] | None, Form(max_length=8)] = None,
    instructions: Annotated[str, Form(max_length=MOST_INSTRUCTIONS)] = "",
    due_min: Annotated[int, Form(ge=1, le=1_440)] = 30,
) -> Response:
    _typed(
        request,
        "order",
        officer=officer,
        method=method or "",
        parts=part or [],
        instructions=instructions,
        due_min=due_min,
        reason=reason,
    )

    def act(archive: Archive) -> None:
        row = _still_held(request, hold)
        wish = desk.SendWish(
            officers=(officer.strip(),) if officer.strip() else (),
            method=method,
            parts=tuple(part or ()),
            instructions=instructions.strip(),
            due_s=due_min * 60.0,
        )
        desk.send_officer(archive, _scope(console_of(request)), row, wish, session.officer, reason, utc_now())

    return _do(request, hold, "desk.done_order", act)


@router.post("/desk/hold/{device}/{epoch}/{passage}/close")
def close(request: Request, session: Acting, hold: Holding, reason: Why) -> Response:
    """The lane is taken out of service; only an officer at the lane takes it back (S12)."""
    _typed(request, "close", reason=reason)
    return _do(
        request,
        hold,
        "desk.done_given",
        lambda archive: desk.command(archive, hold, LaneClose(), session.officer, reason, utc_now()),
    )
