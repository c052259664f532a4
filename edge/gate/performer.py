"""Carries out a lane's effects on things handed to it: journal, records, link, ports, timers. Opens nothing.

The same performer serves the program and the world test; only what it is handed differs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, assert_never

import msgspec

from edge.devices.readings import (
    AnswerDeviceOrder,
    Gather,
    Order,
    PulseRelay,
    SendPictures,
    SetRelay,
    ShowText,
)
from edge.gate.config import RelaysPart
from edge.gate.effects import (
    AnswerCommand,
    AnswerPlatform,
    AskClaim,
    AskPlatform,
    CheckCommand,
    CheckReleaseCode,
    Commit,
    Effect,
    LookUp,
    LowerArm,
    Memory,
    RaiseArm,
    Resync,
    SetLights,
    Show,
    ShowForAWhile,
    ShowOwnAgain,
    ShowPlatform,
    TakePicture,
    TellStatus,
    WakeAfter,
    Wipe,
    WithdrawClaim,
)
from edge.gate.events import (
    CodeJudged,
    CommandChecked,
    Event,
    Findings,
    OfficerReleased,
    OrderFailed,
    RecordsFound,
    ReleaseRefused,
    SpotCheck,
    SupplementGiven,
    Timer,
)
from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.runtime.loop import EffectFailed
from edge.runtime.ports import OrderNotTaken
from sync.link.keys import signature_holds
from sync.link.shown_slips import judged_by
from sync.policy.ages import between_s, moment, records_age_s, zone_of
from sync.policy.draws import spot_check_due
from sync.store.journal import BlobOwed, Journal, JournalFull, SpotCheckPending
from sync.store.records import FeedState, Records, StoreRefused
from sync.vocabulary import slip_codes
from sync.vocabulary.blobs import BlobClass, named_by
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.commands import Supplement as SupplementAct
from sync.vocabulary.facts import (
    Alarm,
    ArmRaised,
    FactDraft,
    FactTooLong,
    OrderInterrupted,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
    UsesReturned,
    VehicleCrossed,
)
from sync.vocabulary.numbers import Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Enterprise,
    Officer,
    OfficerState,
    ReleaseSlip,
    Vehicle,
    Waybill,
)
from sync.vocabulary.release_codes import VALID_S, parse, signed_bytes
from sync.vocabulary.rulings import Verdict

MANUAL_RELEASE = "manual_release"
"""The authorisation an officer needs for it, and for leading a vehicle aside."""
SUPPLEMENT = "supplement"
"""The authorisation to enter what a device could not read (补采)."""

CLOCKS_APART_S = 10.0
"""A handheld's clock may run ahead of the lane's by so much."""

CLOCK_NOT_SET = "2024-"
"""A lane PC without a battery starts its clock before this year."""


class LinkPort(Protocol):
    """What a lane asks of the link. Every call only enqueues."""

    def claim(
        self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]
    ) -> None: ...

    def withdraw(self, claim_id: str) -> None: ...

    def facts_waiting(self) -> None: ...


class CentrePort(Protocol):
    """What a lane answers the centre, and does at its word. Every call only enqueues."""

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None: ...

    def tell_status(self) -> None: ...

    def resync(self) -> None: ...

    def wipe(self, command: Command, force: bool) -> None:
        """Ends with the event `Wiped`."""


class NoCentre:
    """Nobody commands."""

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None:
        pass

    def tell_status(self) -> None:
        pass

    def resync(self) -> None:
        pass

    def wipe(self, command: Command, force: bool) -> None:
        pass


class PicturesPort(Protocol):
    """What a lane asks of its evidence pictures. Neither call waits for a camera."""

    def take(self, request: TakePicture) -> None: ...

    def read(self, sha256: str) -> bytes | None: ...


class NoPictures:
    """A lane without cameras."""

    def take(self, request: TakePicture) -> None:
        pass

    def read(self, sha256: str) -> bytes | None:
        return None


_PLATFORM = "platform"


class SavedMemory(msgspec.Struct, frozen=True):
    """The lane's memory as the journal keeps it."""

    saved_utc: str
    memory: Memory


def read_memory(raw: bytes | None, utc: str) -> tuple[Memory | None, float | None]:
    """(memory, seconds since it was saved or None where no clock can tell)."""
    if raw is None:
        return None, None
    try:
        saved = from_json(raw, SavedMemory)
    except Malformed:
        return None, None
    down_s = between_s(saved.saved_utc, utc)
    return saved.memory, down_s if down_s is not None and down_s >= 0 else None


_BEGINNINGS = PassageOpened | RulingMade | RaiseOrdered
_ENDS = ArmRaised | VehicleCrossed | UsesReturned | OrderInterrupted | PassageClosed


def is_end(commit: Commit) -> bool:
    """The end of what is under way may use the disk's reserve; nothing new begins on it (S1, G8)."""
    kinds = [told.data for told in commit.facts]
    return any(isinstance(data, _ENDS) for data in kinds) and not any(
        isinstance(data, _BEGINNINGS) for data in kinds
    )


PASSAGES_REMEMBERED = 64


def _evidence_of(commit: Commit) -> set[int]:
    """Passages that these facts tell of as held, inspected or alarming."""
    found: set[int] = set()
    for told in commit.facts:
        match told.data:
            case RulingMade(passage=passage, ruling=ruling) if ruling.verdict is not Verdict.RELEASE:
                found.add(passage)
            case Alarm(passage=int(passage)):
                found.add(passage)
            case _:
                pass
    return found


@dataclass(frozen=True, slots=True)
class Things:
    """What a performer works on."""

    lane_id: str
    journal: Journal
    records: Callable[[], Records | None]
    """The current generation's reader; None before the first snapshot came."""
    link: LinkPort
    order: Callable[[str, str, Order], None]
    """(device, order id, order): raises `OrderNotTaken`."""
    put: Callable[[Event], None]
    """Into the lane's own inbox."""
    wake_after: Callable[[Timer, float], None]
    clock: Clock
    relays: RelaysPart
    draw_key: bytes | None
    clock_must_be_known: bool
    has_board: bool
    pictures: PicturesPort = field(default_factory=NoPictures)
    centre: CentrePort = field(default_factory=NoCentre)
    say: Callable[[str, str], None] = lambda zh, en: None
    """(Chinese, English) through the lane PC's own voice, where it has one."""
    not_before_utc: str = CLOCK_NOT_SET
    """A clock that shows less has not been set since the machine was switched on: no age is known (S10)."""
    new_id: Callable[[], str] = lambda: secrets.token_hex(16)


class LanePerformer:
    def __init__(self, things: Things) -> None:
        self._things = things
        self._shown: Show | None = None
        self._wanted_text: Show | None = None
        self._centres_text: Show | None = None
        """In place of the lane's own, for a while."""
        self._wanted_lights: bool | None = None
        self._lights: bool | None = None
        self._orders = 0
        self._evidence: dict[int, None] = {}
        """Passages whose pictures are evidence of a hold or an alarm, the latest last."""

    def perform(self, effect: Effect) -> None:
        """Raises `EffectFailed` where a commit did not become durable; every other failure is an event."""
        match effect:
            case Commit():
                self._commit(effect)
            case RaiseArm(order_id):
                self._arm(order_id, self._things.relays.open)
            case LowerArm():
                self._lower(effect)
            case SetLights(green):
                self._set_lights(green)
            case Show():
                self._show(effect)
            case LookUp(passage, request):
                self._things.put(RecordsFound(passage, request, self._find(effect)))
            case CheckReleaseCode(passage, text):
                self._things.put(self._checked(passage, text))
            case CheckCommand(command):
                self._things.put(self._checked_command(command))
            case AnswerCommand(command_id, outcome, why):
                self._things.centre.answer(command_id, outcome, why)
            case ShowForAWhile(zh, en):
                self._show_centres(Show(zh, en, "amber"))
            case ShowOwnAgain():
                self._show_own_again()
            case Resync():
                self._things.centre.resync()
            case TellStatus():
                self._things.centre.tell_status()
            case Wipe(command, force):
                self._things.centre.wipe(command, force)
            case AskClaim(claim_id, passage, plate, slip_nos):
                self._things.link.claim(claim_id, passage, plate, slip_nos)
            case WithdrawClaim(claim_id):
                self._things.link.withdraw(claim_id)
            case WakeAfter(timer, seconds):
                self._things.wake_after(timer, seconds)
            case TakePicture():
                self._things.pictures.take(effect)
            case AskPlatform():
                self._ask_platform(effect)
            case ShowPlatform(seq_no, sha256):
                self._show_platform(seq_no, sha256)
            case AnswerPlatform(order_no, done):
                self._try(_PLATFORM, self._next("platform"), AnswerDeviceOrder(order_no, done))
            case _:
                assert_never(effect)

    def io_is_back(self) -> None:
        """The board may have lost its relays: lights are set again at the next change."""
        self._lights = None

    def say_again(self) -> None:
        """What board and lights should show, once more: a board answers nothing, and one that had no power or
        was unplugged stays dark. Nothing is spoken again (S9)."""
        text = self._centres_text or self._wanted_text
        if text is not None and self._things.has_board:
            again = ShowText((text.zh, text.en), text.colour)
            self._shown = text if self._try("board", self._next("board"), again) else None
        if self._lights is None and self._wanted_lights is not None:
            self._set_lights(self._wanted_lights)

    # --- the journal --------------------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> None:
        things = self._things
        time, uncertainty_ms = things.clock.utc_text(), things.clock.uncertainty_ms()
        drafts = [
            FactDraft(things.new_id(), told.stream, time, things.clock.boot_id(), uncertainty_ms, told.data)
            for told in commit.facts
        ]
        memory = None if commit.memory is None else to_json(SavedMemory(time, commit.memory))
        evidence_of = _evidence_of(commit) - self._evidence.keys()
        for passage in evidence_of:
            self._evidence[passage] = None
        while len(self._evidence) > PASSAGES_REMEMBERED:
            del self._evidence[next(iter(self._evidence))]
        try:
            things.journal.commit(
                drafts,
                uses=commit.uses,
                lane_state=memory,
                spot_checks=[SpotCheckPending(c.plate, c.enterprise, c.day) for c in commit.spot_checks],
                discharged=commit.discharged,
                blobs=self._blobs_of(commit),
                into_reserve=is_end(commit),
            )
        except (JournalFull, StoreRefused, FactTooLong) as error:
            raise EffectFailed(str(error)) from error
        for passage in evidence_of:
            # Only the order in which pictures go up: what is committed does not fail for it.
            with suppress(JournalFull, StoreRefused):
                things.journal.urge_blobs(passage)
        if drafts:
            things.link.facts_waiting()

    def _blobs_of(self, commit: Commit) -> list[BlobOwed]:
        """What the facts of a commit name is owed to the centre with them."""
        return [
            BlobOwed(
                named.sha256,
                named.size_bytes,
                BlobClass.HELD if named.passage in self._evidence else BlobClass.ROUTINE,
                named.passage,
            )
            for told in commit.facts
            if (named := named_by(told.data)) is not None
        ]

    # --- the cabinet --------------------------------------------------------------------------------------

    def _arm(self, order_id: str, channel: int) -> None:
        """A refusal to take the order is an event, so that what follows the order is done all the same."""
        try:
            self._things.order("io", order_id, PulseRelay(channel, self._things.relays.pulse_s))
        except OrderNotTaken as refused:
            self._things.put(OrderFailed(order_id, str(refused)))

    def _lower(self, lower: LowerArm) -> None:
        """S2: a commit may have taken long; on inputs that are stale by now nothing is lowered."""
        if self._things.relays.close is None:
            return
        if self._things.clock.monotonic_s() > lower.not_after_s:
            self._things.put(OrderFailed(lower.order_id, "what stands under the arm is not known any more"))
            return
        self._arm(lower.order_id, self._things.relays.close)

    def _set_lights(self, green: bool) -> None:
        self._wanted_lights = green
        if green is self._lights:
            return
        relays = self._things.relays
        if relays.green is not None:
            self._set_green(relays.green, green)
        if relays.red is not None:
            self._try("io", f"{self._next('light')}-red", SetRelay(relays.red, not green))
        self._lights = green

    def _set_green(self, channel: int, green: bool) -> None:
        pulse = PulseRelay(channel, self._things.relays.green_pulse_s)
        self._try("io", f"{self._next('light')}-green", pulse if green else SetRelay(channel, False))

    def renew_green(self) -> None:
        """Before its pulse ends. A program that hangs or died does not, and the light goes out by itself."""
        if self._lights and self._things.relays.green is not None:
            self._set_green(self._things.relays.green, True)

    def _show(self, show: Show) -> None:
        if show != self._wanted_text:
            self._things.say(show.zh, show.en)
        self._wanted_text, self._centres_text = show, None
        self._put_on_board(show)

    def _show_centres(self, show: Show) -> None:
        self._centres_text = show
        self._things.say(show.zh, show.en)
        self._put_on_board(show)

    def _show_own_again(self) -> None:
        self._centres_text = None
        if self._wanted_text is not None:
            self._put_on_board(self._wanted_text)

    def _put_on_board(self, show: Show) -> None:
        if not self._things.has_board or show == self._shown:
            return
        if self._try("board", self._next("board"), ShowText((show.zh, show.en), show.colour, show.zh)):
            self._shown = show

    def _next(self, what: str) -> str:
        self._orders += 1
        return f"{what}-{self._orders}"

    def _try(self, device: str, order_id: str, order: Order) -> bool:
        try:
            self._things.order(device, order_id, order)
        except OrderNotTaken:
            # The device's loss is reported by whoever watches it; words and lamps hold nobody up.
            return False
        return True

    # --- the customs platform -----------------------------------------------------------------------------

    def _ask_platform(self, ask: AskPlatform) -> None:
        gather = Gather(
            seq_no=ask.seq_no,
            plate=ask.plate,
            epc=ask.epc,
            trailer_plate=ask.trailer_plate,
            card_no=ask.card_no,
            slip_nos=ask.slip_nos,
            gross_kg=ask.gross_kg,
            container_front=next(iter(ask.containers), ""),
            container_back=next(iter(ask.containers[1:]), ""),
            supplement=ask.supplement,
        )
        self._try(_PLATFORM, f"gather-{ask.seq_no}", gather)

    def _show_platform(self, seq_no: str, sha256: str) -> None:
        jpeg = None
        with suppress(OSError):
            jpeg = self._things.pictures.read(sha256)
        if jpeg is not None:
            self._try(_PLATFORM, self._next("pictures"), SendPictures(seq_no, (("vehicle", jpeg),)))

    # --- officers (S8) ------------------------------------------------------------------------------------

    def _checked(self, passage: int, text: str) -> Event:
        things = self._things
        try:
            shown = parse(text)
        except Malformed as error:
            return ReleaseRefused(passage, str(error))
        code = shown.code
        utc = things.clock.utc_text()
        age_s = between_s(code.issued, utc)
        needs = SUPPLEMENT if code.action == "supplement" else MANUAL_RELEASE
        officer, needed = self._rostered(code.officer, needs)
        if isinstance(officer, str):
            return ReleaseRefused(passage, officer)
        if not signature_holds(officer.public_key, signed_bytes(shown.body), shown.signature):
            return ReleaseRefused(passage, f"the signature is not officer {code.officer}'s")
        if (code.lane, code.passage) != (things.lane_id, passage):
            return ReleaseRefused(passage, f"the code is for {code.lane} passage {code.passage}")
        if age_s is None or not -CLOCKS_APART_S <= age_s <= VALID_S:
            return ReleaseRefused(passage, f"the code was issued at {code.issued}, it is {utc}")
        if code.action == "supplement":
            return SupplementGiven(passage, code.officer, code.field, code.value, code.reason, needed)
        return OfficerReleased(passage, code.officer, code.reason, needed, aside=code.action == "aside")

    def _rostered(self, number: str, needs: str) -> tuple[Officer | str, int | None]:
        """The officer, or why it may not; and how many the site asks for, where it says so."""
        utc = self._things.clock.utc_text()
        try:
            records = self._things.records()
            officer = records.get("officers", number) if records is not None else None
            site = records.site() if records is not None else None
        except (StoreRefused, Malformed) as error:
            return f"the roster cannot be read: {error}", None
        needed = site.manual_release_officers if site is not None else None
        if not isinstance(officer, Officer):
            return f"officer {number[:40]} is not on this lane's roster", needed
        if officer.state is not OfficerState.ACTIVE or UtcText(utc) >= officer.valid_until:
            return f"officer {number} is not active", needed
        if needs not in officer.authorisations:
            return f"officer {number} has no authorisation {needs}", needed
        return officer, needed

    def _checked_command(self, command: Command) -> Event:
        """The centre has signed that these officers gave it; whether they may is this lane's to know (S8)."""
        needs = SUPPLEMENT if isinstance(command.act, SupplementAct) else MANUAL_RELEASE
        needed: int | None = None
        for number in command.officers:
            officer, needed = self._rostered(number, needs)
            if isinstance(officer, str):
                return CommandChecked(command, needed, officer)
        return CommandChecked(command, needed)

    # --- the records --------------------------------------------------------------------------------------

    def _find(self, look: LookUp) -> Findings:
        things = self._things
        utc = things.clock.utc_text()
        try:
            records = things.records()
            if records is None:
                return Findings(utc=UtcText(utc), day=utc[:10])
            with records.snapshot() as state:
                return self._read(look, records, utc, state)
        except (StoreRefused, Malformed):
            # An unreadable cache is no ground to stand on: as if there were none.
            return Findings(utc=UtcText(utc), day=utc[:10])

    def _read(
        self,
        look: LookUp,
        records: Records,
        utc: str,
        state: FeedState,
    ) -> Findings:
        things = self._things
        site = records.site()
        day = moment(utc).astimezone(zone_of(site)).date().isoformat()
        by_plate = {plate: _vehicle(records, plate) for plate in look.plates}
        local_time = moment(utc).astimezone(zone_of(site)).strftime("%Y%m%d%H%M%S")
        by_tag: dict[Epc, Vehicle | None] = {epc: records.vehicle_by_tag(epc) for epc in look.tags}
        plates = dict.fromkeys([*look.plates, *(v.plate for v in by_tag.values() if v is not None)])
        slips: dict[SlipNo, ReleaseSlip] = {}
        for plate in plates:
            slips |= {slip.slip_no: slip for slip in records.slips_for_plate(plate)}
        for card in look.cards:
            slips |= {slip.slip_no: slip for slip in records.slips_for_card(card)}
        waybills = {number: _waybill(records, number) for number in look.waybill_nos}
        codes: list[CodeJudged] = []
        for text in look.codes:
            judged, made = self._code_judged(records, state, text, utc)
            codes.append(judged)
            if made is not None:
                slips[made.slip_no] = made
        unknown: list[SlipNo] = []
        for slip_no in look.slip_nos:
            found = slips.get(slip_no) or records.get("release_slips", slip_no)
            if isinstance(found, ReleaseSlip):
                slips[slip_no] = found
            else:
                unknown.append(slip_no)
        enterprises: dict[str, Enterprise] = {}
        for code in {str(slip.enterprise) for slip in slips.values()}:
            row = records.get("enterprises", code)
            if isinstance(row, Enterprise):
                enterprises[code] = row
        vehicles = [slip.plate for slip in slips.values() if slip.plate is not None]
        uses, pending = things.journal.known_of(list(slips), vehicles if things.draw_key is not None else ())
        return Findings(
            utc=UtcText(utc),
            day=day,
            by_plate=by_plate,
            by_tag=by_tag,
            slips=tuple(slips.values()),
            unknown_slip_nos=tuple(unknown),
            codes=tuple(codes),
            enterprises=enterprises,
            controls=records.controls(),
            recalls=records.recalls(),
            waybills=waybills,
            local_time=local_time,
            site=site,
            uses=uses,
            spot_checks=self._spot_checks(slips, enterprises, pending, day),
            scope=state.scope,
            epoch=state.epoch,
            number=state.number,
            age_s=self._age_s(state.verified_utc, utc),
        )

    def _code_judged(
        self, records: Records, state: FeedState, text: str, utc: str
    ) -> tuple[CodeJudged, ReleaseSlip | None]:
        """Raises `Malformed` only where records cannot be read: the text was whole when it was read."""
        shown = slip_codes.parse(text)
        judged = judged_by(records, state, shown, UtcText(utc))
        claims = shown.claims
        told = CodeJudged(claims.slip_no, shown.kid, shown.sha256, claims.issued, judged.standing, judged.why)
        return told, judged.slip

    def _spot_checks(
        self,
        slips: dict[SlipNo, ReleaseSlip],
        enterprises: dict[str, Enterprise],
        pending: dict[str, SpotCheckPending],
        day: str,
    ) -> dict[str, SpotCheck]:
        """By slip. A vehicle is drawn once an enterprise, unless a check of it is pending (S11)."""
        key = self._things.draw_key
        if key is None:
            return {}
        drawn: dict[tuple[Plate, str], SpotCheck] = {}
        checks: dict[str, SpotCheck] = {}
        for slip in slips.values():
            plate, code = slip.plate, str(slip.enterprise)
            enterprise = enterprises.get(code)
            if plate is None or enterprise is None:
                continue
            left, check = pending.get(plate), drawn.get((plate, code))
            if left is not None:
                check = SpotCheck(True, left.enterprise, left.day, pending=True)
            elif check is None:
                check = SpotCheck(spot_check_due(key, enterprise, plate, day), code, day)
                drawn[plate, code] = check
            checks[slip.slip_no] = check
        return checks

    def _age_s(self, verified_utc: str | None, utc: str) -> float | None:
        things = self._things
        known = not things.clock_must_be_known or things.clock.uncertainty_ms() != UNKNOWN_MS
        return records_age_s(verified_utc, utc, clock_is_known=known, not_before_utc=things.not_before_utc)


def _vehicle(records: Records, plate: Plate) -> Vehicle | None:
    found = records.get("vehicles", plate)
    return found if isinstance(found, Vehicle) else None


def _waybill(records: Records, waybill_no: WaybillNo) -> Waybill | None:
    found = records.get("waybills", waybill_no)
    return found if isinstance(found, Waybill) else None
