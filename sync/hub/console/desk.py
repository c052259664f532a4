"""The exception desk: who has a held vehicle in hand, and what was done about it (S8). No HTTP, no clock.

Whatever reaches a lane or a handheld goes through `sync.hub.centre`, under the officers' numbers; the step
kept here names what it became, and its outcome stands where the answer is kept. What only concerns the desk
itself (taken in hand, handed on, escalated) is an act of the centre besides.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sync.hub.archive import Archive, CentreAct, CommandRow
from sync.hub.centre import By, give, issue_order, later
from sync.hub.console.accounts import Role, standing
from sync.hub.console.shown import PassageRow
from sync.hub.drawing import free_officers
from sync.hub.looking_back import passages_told
from sync.hub.terms import HubAlarm
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.commands import (
    ASKED,
    LONGEST_VALID_S,
    MAX_REASON,
    Act,
    BoardText,
    LaneClose,
    ManualRelease,
    Outcome,
    Supplement,
    TakePictures,
    kind_of_act,
)
from sync.vocabulary.facts import (
    CommandTaken,
    ParcelChecked,
    PassageClosed,
    PictureMissed,
    PictureTaken,
    ReadingKept,
    RulingMade,
)
from sync.vocabulary.numbers import Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    InspectionMethod,
    InspectionOrder,
    Officer,
    OfficerState,
    OrderCause,
    OrderPart,
    OrderState,
)
from sync.vocabulary.rulings import Verdict

SECOND_WITHIN_S: Final = 120.0
"""For the second officer to confirm a release from a session of their own."""
COMMAND_VALID_S: Final = 60
PICTURES_VALID_S: Final = 20
"""Later, nobody would call it now."""
BOARD_S: Final = 60
MAY_RELEASE: Final = "manual_release"
MAY_INSPECT: Final = "inspect"
MAY_SUPPLEMENT: Final = "supplement"
AT_THE_DESK: Final = frozenset({Role.DUTY, Role.LEAD})
MOST_NOTE: Final = 500


class Hold(NamedTuple):
    """A vehicle in a lane: device, the epoch its passage was opened in, and its number."""

    device: str
    epoch: str
    passage: int


def hold_at(row: PassageRow) -> Hold:
    return Hold(row.device, row.epoch, row.passage)


class DeskRefused(ValueError):
    """It cannot be done so: the key of the words that say why, and what goes into them."""

    def __init__(self, key: str, *more: object) -> None:
        super().__init__(key, *more)
        self.key = key
        self.more = more


@dataclass(frozen=True, slots=True)
class InHand:
    owner: str
    taken_utc: str
    escalated_utc: str
    note: str


@dataclass(frozen=True, slots=True)
class Step:
    at_utc: str
    officers: tuple[str, ...]
    what: str
    ref: str
    detail: str
    reason: str
    state: str
    """Of the command or order it became, as it stands now; empty: it was the desk's alone."""
    why: str


@dataclass(frozen=True, slots=True)
class AskedRelease:
    release_id: str
    hold: Hold
    aside: bool
    asked_by: str
    reason: str
    asked_utc: str
    until_utc: str


@dataclass(frozen=True, slots=True)
class HoldSeen:
    """What the lane's own facts tell of a passage."""

    ruling: RulingMade | None
    readings: tuple[ReadingKept, ...]
    pictures: tuple[PictureTaken, ...]
    missed: tuple[PictureMissed, ...]
    """Of those the centre asked for last: the cameras that gave none, and why."""
    parcels: tuple[ParcelChecked, ...]
    answers: tuple[CommandTaken, ...]
    ended: str
    """How, once it has."""


def is_held(row: PassageRow) -> bool:
    waits = row.verdict in (Verdict.HOLD.value, Verdict.INSPECT.value) and not row.sent_on
    return waits and not row.closed_utc


def seen(archive: Archive, hold: Hold) -> HoldSeen:
    numbered = passages_told(archive, hold.device, hold.passage)
    told = next((each.told for each in numbered if each.epoch == hold.epoch), ())
    ruling: RulingMade | None = None
    pictures: list[PictureTaken] = []
    missed: list[PictureMissed] = []
    parcels: list[ParcelChecked] = []
    answers: list[CommandTaken] = []
    ended = ""
    for one in told:
        match None if one.body is None else one.body.data:
            case RulingMade() as data:
                ruling = data
            case PictureTaken() as data:
                # A camera may send one picture under two names.
                if data not in pictures:
                    pictures.append(data)
            case PictureMissed(moment=moment) as data if moment == ASKED:
                missed.append(data)
            case ParcelChecked() as data:
                parcels.append(data)
            case CommandTaken() as data:
                answers.append(data)
                if data.kind == _PICTURES and data.outcome == Outcome.DONE:
                    missed = []
            case PassageClosed(outcome=outcome):
                ended = outcome
            case _:
                pass
    return HoldSeen(
        ruling,
        () if ruling is None else ruling.readings,
        tuple(pictures),
        tuple(missed),
        tuple(parcels),
        tuple(answers),
        ended,
    )


# --- in hand ----------------------------------------------------------------------------------------------


def in_hand(archive: Archive) -> dict[Hold, InHand]:
    rows = archive.engine.execute(
        "SELECT device, epoch, passage, owner, taken_utc, escalated_utc, note FROM console_holds"
    ).fetchall()
    return {Hold(device, epoch, passage): InHand(*rest) for device, epoch, passage, *rest in rows}


def take(archive: Archive, hold: Hold, officer: str, at_utc: str, *, reason: str = "") -> None:
    """Out of another officer's hands only with a reason. Raises `DeskRefused`."""
    with archive.transaction():
        before = _one(archive, hold)
        owner = "" if before is None else before.owner
        if owner == officer:
            return
        if owner and not reason.strip():
            raise DeskRefused("desk.taken_by", owner)
        archive.engine.execute(
            "INSERT INTO console_holds (device, epoch, passage, owner, taken_utc) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (device, epoch, passage) DO UPDATE SET owner = excluded.owner, "
            "taken_utc = excluded.taken_utc",
            (*hold, officer, at_utc),
        )
        detail = f"from {owner}" if owner else ""
        _stepped(archive, hold, at_utc, (officer,), "take", "", detail, reason, act="hold_taken")


def leave(archive: Archive, hold: Hold, officer: str, at_utc: str, reason: str) -> None:
    """Hand it back to the queue. Raises `DeskRefused`."""
    with archive.transaction():
        _must_have(archive, hold, officer)
        archive.engine.execute(
            "UPDATE console_holds SET owner = '', taken_utc = ? "
            "WHERE device = ? AND epoch = ? AND passage = ?",
            (at_utc, *hold),
        )
        _stepped(archive, hold, at_utc, (officer,), "leave", "", "", reason, act="hold_left")


def escalate(archive: Archive, hold: Hold, officer: str, at_utc: str, reason: str) -> None:
    """To the shift leader: it stands before all others. Once: pressed twice, there is one alarm. Raises
    `DeskRefused`."""
    reason = _reason(reason)
    with archive.transaction():
        _must_have(archive, hold, officer)
        found = _one(archive, hold)
        if found is not None and found.escalated_utc:
            raise DeskRefused("desk.escalated_already")
        archive.engine.execute(
            "UPDATE console_holds SET escalated_utc = ?, note = ? "
            "WHERE device = ? AND epoch = ? AND passage = ?",
            (at_utc, reason[:MOST_NOTE], *hold),
        )
        _stepped(archive, hold, at_utc, (officer,), "escalate", "", "", reason, act="hold_escalated")
        # On every wall, with an owner and a clock, until somebody ends it.
        archive.add_alarm(
            at_utc, hold.device, HubAlarm.HOLD_ESCALATED, f"passage {hold.passage}: {officer}: {reason}"
        )


def calm(archive: Archive, hold: Hold, officer: str, at_utc: str, reason: str) -> None:
    """The shift leader has looked: it stands by its deadline again. Raises `DeskRefused`."""
    reason = _reason(reason)
    with archive.transaction():
        archive.engine.execute(
            "UPDATE console_holds SET escalated_utc = '', note = '' "
            "WHERE device = ? AND epoch = ? AND passage = ?",
            hold,
        )
        _stepped(archive, hold, at_utc, (officer,), "calm", "", "", reason, act="hold_calmed")


def _one(archive: Archive, hold: Hold) -> InHand | None:
    row = archive.engine.execute(
        "SELECT owner, taken_utc, escalated_utc, note FROM console_holds "
        "WHERE device = ? AND epoch = ? AND passage = ?",
        hold,
    ).fetchone()
    return None if row is None else InHand(*row)


def _must_have(archive: Archive, hold: Hold, officer: str) -> None:
    """One vehicle, one officer: who has not taken it in hand does nothing about it."""
    found = _one(archive, hold)
    if found is None or not found.owner:
        raise DeskRefused("desk.take_first")
    if found.owner != officer:
        raise DeskRefused("desk.taken_by", found.owner)


# --- what is said to lane and handheld ----------------------------------------------------------------------


def command(archive: Archive, hold: Hold, act: Act, officer: str, reason: str, at_utc: str) -> CommandRow:
    """To the lane, by who has the vehicle in hand. Raises `DeskRefused`, `CentreRefused`, `ValueError`."""
    reason = _reason(reason)
    with archive.transaction():
        _must_have(archive, hold, officer)
        if isinstance(act, Supplement):
            must_be_allowed(archive, officer, MAY_SUPPLEMENT, at_utc)
        row = give(archive, hold.device, act, By((officer,), reason), valid_s=COMMAND_VALID_S, at_utc=at_utc)
        _stepped(
            archive,
            hold,
            at_utc,
            (officer,),
            _WHAT[kind_of_act(act)],
            row.command_id,
            _said(act),
            reason,
        )
    return row


_WHAT: Final = {"board_text": "board", "supplement": "supplement", "lane_close": "close"}


def _said(act: Act) -> str:
    match act:
        case BoardText():
            return " / ".join(act.text())
        case Supplement(field=field, value=value):
            return f"{field}: {value}"
        case LaneClose():
            return ""
        case _:
            return ""


def ask_pictures(
    archive: Archive, hold: Hold, officer: str, reason: str, at_utc: str, *, in_hand: bool = True
) -> CommandRow:
    """Of the vehicle in the lane, now; one request a lane at a time. `in_hand`: it is held, and who asks must
    have it. Raises `DeskRefused`, `CentreRefused`, `ValueError`."""
    reason = _reason(reason)
    act = TakePictures(passage=hold.passage)
    with archive.transaction():
        if in_hand:
            _must_have(archive, hold, officer)
        if _pictures_under_way(archive, hold.device, at_utc):
            raise DeskRefused("desk.pictures_given")
        by = By((officer,), reason)
        row = give(archive, hold.device, act, by, valid_s=PICTURES_VALID_S, at_utc=at_utc)
        _stepped(archive, hold, at_utc, (officer,), "pictures", row.command_id, "", reason)
    return row


_PICTURES: Final = "take_pictures"


def _pictures_under_way(archive: Archive, device: str, at_utc: str) -> bool:
    """One that the lane has not answered yet, and that is not void; whoever gave it."""
    row = archive.engine.execute(
        "SELECT 1 FROM commands WHERE device = ? AND given_utc > ? AND kind = ? "
        "AND state IN ('waiting', 'sent') AND good_until_utc > ?",
        (device, later(at_utc, -LONGEST_VALID_S), _PICTURES, at_utc),
    ).fetchone()
    return row is not None


def release(
    archive: Archive,
    hold: Hold,
    officers: Sequence[str],
    reason: str,
    at_utc: str,
    *,
    aside: bool,
    needed: int,
) -> CommandRow:
    """Every one of `officers` has proved who they are. As many different ones as the site wants, each
    rostered for it; the lane checks them again by its own roster (S8). Raises `DeskRefused`,
    `CentreRefused`."""
    reason = _reason(reason)
    with archive.transaction():
        _must_have(archive, hold, officers[0])
        if len(set(officers)) < needed:
            raise DeskRefused("desk.another_officer")
        for officer in officers:
            must_be_allowed(archive, officer, MAY_RELEASE, at_utc)
        if _release_under_way(archive, hold):
            # Pressed twice: the lane would refuse the second, and that is what would be read.
            raise DeskRefused("desk.given_already")
        who = tuple(dict.fromkeys(officers))
        act = ManualRelease(passage=hold.passage, aside=aside)
        row = give(archive, hold.device, act, By(who, reason), valid_s=COMMAND_VALID_S, at_utc=at_utc)
        what = "aside" if aside else "release"
        _stepped(archive, hold, at_utc, who, what, row.command_id, "", reason)
    return row


def _release_under_way(archive: Archive, hold: Hold) -> bool:
    """One was given that the lane has not answered yet, and that is not void."""
    releases = (each for each in steps(archive, hold) if each.what in ("release", "aside"))
    return any(each.state in ("waiting", "sent") for each in releases)


def ask_second(
    archive: Archive, hold: Hold, officer: str, reason: str, at_utc: str, *, aside: bool
) -> AskedRelease:
    """Another officer is to confirm it from their own session, within two minutes. Raises `DeskRefused`."""
    reason = _reason(reason)
    with archive.transaction():
        _must_have(archive, hold, officer)
        must_be_allowed(archive, officer, MAY_RELEASE, at_utc)
        archive.engine.execute(
            "UPDATE console_releases SET state = 'withdrawn' "
            "WHERE device = ? AND epoch = ? AND passage = ? AND state = 'waiting'",
            hold,
        )
        asked = AskedRelease(
            secrets.token_hex(8),
            hold,
            aside,
            officer,
            reason,
            at_utc,
            later(at_utc, SECOND_WITHIN_S),
        )
        archive.engine.execute(
            "INSERT INTO console_releases VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '', '', ?)",
            (
                asked.release_id,
                hold.device,
                hold.passage,
                int(aside),
                officer,
                reason,
                at_utc,
                asked.until_utc,
                hold.epoch,
            ),
        )
        detail = "aside" if aside else "release"
        _stepped(archive, hold, at_utc, (officer,), "ask_second", "", detail, reason, act="release_asked")
    return asked


def waiting_releases(archive: Archive, at_utc: str) -> tuple[AskedRelease, ...]:
    """Those a second officer may still confirm."""
    rows = archive.engine.execute(
        "SELECT release_id, device, epoch, passage, aside, asked_by, reason, asked_utc, until_utc "
        "FROM console_releases WHERE state = 'waiting' AND until_utc > ? ORDER BY asked_utc",
        (at_utc,),
    ).fetchall()
    return tuple(
        AskedRelease(release_id, Hold(device, epoch, passage), bool(aside), by, reason, asked, until)
        for release_id, device, epoch, passage, aside, by, reason, asked, until in rows
    )


def confirm(
    archive: Archive, hold: Hold, release_id: str, second: str, at_utc: str, *, needed: int
) -> CommandRow:
    """By the second officer, from a session of their own; for the vehicle they see; once. Raises
    `DeskRefused`, `CentreRefused`."""
    with archive.transaction():
        asked = next(
            (
                each
                for each in waiting_releases(archive, at_utc)
                if (each.release_id, each.hold) == (release_id, hold)
            ),
            None,
        )
        if asked is None:
            raise DeskRefused("desk.no_longer_waiting")
        if asked.asked_by == second:
            raise DeskRefused("desk.another_officer")
        both = (asked.asked_by, second)
        must_be_two(archive, asked.asked_by, second, at_utc)
        row = release(archive, asked.hold, both, asked.reason, at_utc, aside=asked.aside, needed=needed)
        done = archive.engine.execute(
            "UPDATE console_releases SET state = 'given', answered_by = ?, command_id = ? "
            "WHERE release_id = ? AND state = 'waiting'",
            (second, row.command_id, release_id),
        ).rowcount
        if done != 1:
            raise DeskRefused("desk.no_longer_waiting")
    return row


def must_be_two(archive: Archive, first: str, second: str, at_utc: str) -> None:
    """One person is not both officers (S8): an account is one's own only once its officer was confirmed by
    what the giver of its password does not have, and has set another. Raises `DeskRefused`."""
    for officer, other in ((first, second), (second, first)):
        account = standing(archive, officer, at_utc)
        if account is None or not account.roles & AT_THE_DESK:
            raise DeskRefused("desk.not_allowed", officer)
        if not account.confirmed_utc:
            raise DeskRefused("desk.not_confirmed", officer)
        if account.changed_by == other:
            raise DeskRefused("desk.own_password_first", officer, other)


def withdraw(archive: Archive, hold: Hold, release_id: str, officer: str, at_utc: str) -> None:
    """By who asked for it. Raises `DeskRefused`."""
    with archive.transaction():
        done = archive.engine.execute(
            "UPDATE console_releases SET state = 'withdrawn' "
            "WHERE release_id = ? AND asked_by = ? AND state = 'waiting' "
            "AND device = ? AND epoch = ? AND passage = ?",
            (release_id, officer, *hold),
        ).rowcount
        if done != 1:
            raise DeskRefused("desk.no_longer_waiting")
        _stepped(archive, hold, at_utc, (officer,), "withdraw", "", "", "", act="release_withdrawn")


def must_be_allowed(archive: Archive, officer: str, authorisation: str, at_utc: str) -> None:
    """Rostered, active, and authorised for it now. Raises `DeskRefused`."""
    body = archive.record("officers", officer)
    try:
        rostered = None if body is None else from_json(body, Officer)
    except Malformed:
        rostered = None
    if (
        rostered is None
        or rostered.state is not OfficerState.ACTIVE
        or str(rostered.valid_until) <= at_utc
        or authorisation not in rostered.authorisations
    ):
        raise DeskRefused("desk.not_allowed", officer)


# --- an officer is sent -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SendWish:
    officers: tuple[str, ...]
    """Empty: whoever is free takes it."""
    method: InspectionMethod | None
    parts: tuple[OrderPart, ...]
    instructions: str
    due_s: float


def send_officer(
    archive: Archive, scope: str, row: PassageRow, wish: SendWish, officer: str, reason: str, at_utc: str
) -> InspectionOrder:
    """An inspection order for the held vehicle, to the handhelds of the scope. Not a second one while the
    first is open. Raises `DeskRefused`, `CentreRefused`."""
    reason = _reason(reason)
    slips: list[str] = json.loads(row.slips)
    slip = next((found for each in slips if (found := SlipNo.parse(each)) is not None), None)
    plate = Plate.parse(row.plate)
    if slip is None and plate is None:
        raise DeskRefused("desk.nothing_to_inspect")
    with archive.transaction():
        hold = hold_at(row)
        _must_have(archive, hold, officer)
        known = known_orders(archive)
        open_one = open_order(archive, known, slip, plate)
        if open_one is not None:
            raise DeskRefused("desk.ordered_already", open_one.order_no)
        for each in wish.officers:
            must_be_allowed(archive, each, MAY_INSPECT, at_utc)
        order = InspectionOrder(
            order_no=f"DESK-{at_utc[:10].replace('-', '')}-{secrets.token_hex(4).upper()}",
            slip_no=slip,
            plate=plate,
            cause=OrderCause.OFFICER,
            cause_detail=f"{row.device} {row.passage}: {reason}"[:400],
            authorisation=MAY_INSPECT,
            officers=wish.officers,
            parts=wish.parts,
            method=wish.method,
            instructions_zh=wish.instructions[:400],
            instructions_en=wish.instructions[:400],
            issued=UtcText(at_utc),
            issued_by=officer,
            due=UtcText(later(at_utc, wish.due_s)),
        )
        issue_order(archive, scope, order, By((officer,), reason))
        _stepped(
            archive,
            hold,
            at_utc,
            (officer,),
            "order",
            order.order_no,
            ", ".join(wish.officers),
            reason,
        )
    return order


def known_orders(archive: Archive) -> tuple[InspectionOrder, ...]:
    found = []
    for body in archive.bodies_of("inspection_orders"):
        try:
            found.append(from_json(body, InspectionOrder))
        except Malformed:
            continue
    return tuple(found)


def open_order(
    archive: Archive, known: Sequence[InspectionOrder], slip: str | None, plate: str | None
) -> InspectionOrder | None:
    """Of this vehicle or its slip, and not ended by a finding."""
    for order in known:
        about = (slip is not None and order.slip_no == slip) or (plate is not None and order.plate == plate)
        if about and order.state is OrderState.OPEN and order_state(archive, order.order_no) != "found":
            return order
    return None


def order_state(archive: Archive, order_no: str) -> str:
    steps = {step.step for step in archive.order_steps(order_no)}
    return next((each for each in ("found", "inspected", "taken") if each in steps), "issued")


def officers_free(archive: Archive, scope: str, at_utc: str) -> tuple[str, ...]:
    """Authorised to inspect, active, and with no order in hand."""
    return free_officers(archive, scope, MAY_INSPECT, known_orders(archive), at_utc)


# --- kept -------------------------------------------------------------------------------------------------


def steps(archive: Archive, hold: Hold) -> tuple[Step, ...]:
    """The latest first, each with how it stands."""
    rows = archive.engine.execute(
        "SELECT at_utc, officers, what, ref, detail, reason FROM console_steps "
        "WHERE device = ? AND epoch = ? AND passage = ? ORDER BY at_utc DESC, step_id",
        hold,
    ).fetchall()
    found = []
    for at_utc, officers, what, ref, detail, reason in rows:
        state, why = _outcome(archive, what, ref)
        found.append(Step(at_utc, tuple(json.loads(officers)), what, ref, detail, reason, state, why))
    return tuple(found)


def _outcome(archive: Archive, what: str, ref: str) -> tuple[str, str]:
    if not ref:
        return "", ""
    if what == "order":
        told = archive.order_steps(ref)
        return order_state(
            archive, ref
        ), "" if not told else f"{', '.join(told[-1].officers)} {told[-1].detail}"
    row = archive.command(ref)
    return ("", "") if row is None else (row.state, row.why)


def _stepped(
    archive: Archive,
    hold: Hold,
    at_utc: str,
    officers: tuple[str, ...],
    what: str,
    ref: str,
    detail: str,
    reason: str,
    *,
    act: str = "",
) -> None:
    archive.engine.execute(
        "INSERT INTO console_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            hold.device,
            hold.passage,
            at_utc,
            secrets.token_hex(4),
            json.dumps(officers),
            what,
            ref,
            detail[:400],
            reason,
            hold.epoch,
        ),
    )
    if act:
        archive.add_act(CentreAct(at_utc, act, f"{hold.device}/{hold.passage}", officers, reason, detail))


def _reason(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= MAX_REASON or not text.isprintable():
        raise DeskRefused("desk.reason_wanted", MAX_REASON)
    return text
