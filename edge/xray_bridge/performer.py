"""Carries out a station's effects on things handed to it: journal, records, ports, pictures, evidence. Opens
nothing.

The same performer serves the program and the world test; only what it is handed differs. X1: the orders here
are all there are, and each is a pulse the board itself ends.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

import msgspec
import structlog

from edge.devices.readings import BeltOutput, EnergiseOutput, Order, ReleaseOutput, TriggerRead
from edge.runtime.clock import Clock
from edge.runtime.loop import EffectFailed
from edge.runtime.ports import OrderNotTaken
from edge.xray_bridge.analysing import PREVIEW, Check, Judge, Task, in_a_fact
from edge.xray_bridge.config import PulsePart
from edge.xray_bridge.effects import (
    Analyse,
    AnswerCommand,
    AnswerDesk,
    AskStop,
    CheckWedge,
    Commit,
    DropPicture,
    Effect,
    KeepEvidence,
    Light,
    LookUp,
    Memory,
    PermitFeed,
    Pulse,
    Resync,
    SavePicture,
    SetTower,
    TellStatus,
    Told,
    TriggerPortal,
    WakeAfter,
)
from edge.xray_bridge.events import Event, GoodsFound, NotPulsed, Saved, Timer
from edge.xray_bridge.imaging.comparing import References
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.values import Chute, Goods, Verdict
from sync.policy.ages import between_s
from sync.store.journal import BlobOwed, Journal, JournalFull
from sync.store.records import StoreRefused
from sync.vocabulary.blobs import BlobClass, named_by
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import FactData, FactDraft, FactTooLong
from sync.vocabulary.xray_facts import ParcelSeen, ParcelXRayed, XRayFileKept

PULSES_REMEMBERED: Final = 1_024
MEMORY_UNREADABLE: Final = "its memory cannot be read"
STOP_S: Final = 1.0
"""Of the request to stop; the drives are free to, and the station asks again."""

_TOWER: Final[dict[Light, BeltOutput]] = {
    Light.RED: "tower_red",
    Light.AMBER: "tower_amber",
    Light.GREEN: "tower_green",
}


class SavedMemory(msgspec.Struct, frozen=True):
    """The station's memory as the journal keeps it."""

    saved_utc: str
    memory: Memory


def read_memory(raw: bytes | None, utc: str, *, position: int = 0) -> tuple[Memory | None, float | None]:
    """(memory, seconds since it was saved or None where no clock can tell). No memory: the station is new.
    One that cannot be read: nobody knows what was on the belt, nor whether the station was closed, so it is
    until an officer has looked (X3); its parcels' numbers go on behind the journal's `position`."""
    if raw is None:
        return None, None
    try:
        saved = from_json(raw, SavedMemory)
    except Malformed:
        return Memory(next_parcel=position + 1, closed=MEMORY_UNREADABLE), None
    down_s = between_s(saved.saved_utc, utc)
    return saved.memory, down_s if down_s is not None and down_s >= 0 else None


def ends_only(commit: Commit) -> bool:
    """The end of what is under way may use the disk's reserve; nothing begins on it, nothing passes (G8)."""
    return not any(
        isinstance(told.data, ParcelSeen)
        or (isinstance(told.data, ParcelXRayed) and told.data.verdict == Verdict.PASSED)
        for told in commit.facts
    )


class PicturesPort(Protocol):
    def get(self, picture: str) -> Held | None: ...

    def drop(self, picture: str) -> None: ...


class EvidencePort(Protocol):
    """What a station asks of its evidence. Neither call waits for a disk; each is answered by an event."""

    def keep(self, effect: KeepEvidence, held: Held | None) -> None:
        """None: it is no longer in memory; then it was kept before, and this is a later word on it."""
        ...

    def save(self, effect: SavePicture, held: Held) -> None: ...


class LinkPort(Protocol):
    def facts_waiting(self) -> None: ...

    def answer_command(self, command_id: str, outcome: Outcome, why: str) -> None: ...

    def resync(self) -> None: ...

    def tell_status(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Things:
    """What a performer works on."""

    journal: Journal
    goods: Callable[[str], Goods | None]
    """By what the portal read."""
    references: Callable[[Goods | None], Callable[[], References]]
    """Reads the records at once; what it answers is called on a worker's thread."""
    link: LinkPort
    order: Callable[[str, str, Order], None]
    """(device, order id, order): raises `OrderNotTaken`."""
    put: Callable[[Event], None]
    """Into the station's own inbox."""
    wake_after: Callable[[Timer, float], None]
    clock: Clock
    pulses: PulsePart
    pictures: PicturesPort
    analyse: Callable[[Task], None]
    evidence: EvidencePort
    answer_desk: Callable[[AnswerDesk], None]
    has_flag_chute: bool
    triggered: tuple[str, ...] = ()
    """Portal readers that must be told to read."""
    new_id: Callable[[], str] = lambda: secrets.token_hex(16)


class StationPerformer:
    """For the station's one thread."""

    def __init__(self, things: Things) -> None:
        self._things = things
        self._orders = 0
        self._pulsed: deque[int] = deque(maxlen=PULSES_REMEMBERED)
        self._permitted = False
        self._light: Light | None = None

    def perform(self, effect: Effect) -> None:
        """Raises `EffectFailed` where a commit did not become durable; every other failure is an event, or
        nothing happens, which means recheck."""
        match effect:
            case Commit():
                self._commit(effect)
            case Pulse():
                self._pulse(effect)
            case PermitFeed(permitted):
                self._permit(permitted)
            case AskStop(why):
                _logger().warning("asks the belt to stop", why=why)
                self._try("belt", EnergiseOutput("stop_request", STOP_S))
            case SetTower(light):
                self._set_tower(light)
            case TriggerPortal(on):
                self._trigger(on)
            case LookUp(parcel, request, text):
                self._things.put(GoodsFound(parcel, request, self._things.goods(text)))
            case Analyse(picture, parcel, goods):
                self._things.analyse(Judge(picture, parcel, goods, self._things.references(goods)))
            case KeepEvidence():
                self._things.evidence.keep(effect, self._things.pictures.get(effect.picture))
            case DropPicture(picture):
                self._things.pictures.drop(picture)
            case SavePicture():
                self._save(effect)
            case CheckWedge(picture):
                self._things.analyse(Check(picture))
            case AnswerDesk():
                self._things.answer_desk(effect)
            case AnswerCommand(command_id, outcome, why):
                self._things.link.answer_command(command_id, outcome, why)
            case Resync():
                self._things.link.resync()
            case TellStatus():
                self._things.link.tell_status()
            case WakeAfter(timer, seconds):
                self._things.wake_after(timer, seconds)
            case _:
                assert_never(effect)

    # --- the journal --------------------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> None:
        told = tuple(Told(each.stream, self._with_preview(each.data)) for each in commit.facts)
        try:
            self._write(commit, told)
        except FactTooLong:
            # What was decided must be durable, with or without a picture beside it.
            try:
                self._write(commit, commit.facts)
            except FactTooLong as error:
                raise EffectFailed(str(error)) from error

    def _write(self, commit: Commit, facts: tuple[Told, ...]) -> None:
        """Raises `FactTooLong`, `EffectFailed`."""
        things = self._things
        time, uncertainty_ms = things.clock.utc_text(), things.clock.uncertainty_ms()
        drafts = [
            FactDraft(things.new_id(), told.stream, time, things.clock.boot_id(), uncertainty_ms, told.data)
            for told in facts
        ]
        memory = None if commit.memory is None else to_json(SavedMemory(time, commit.memory))
        try:
            things.journal.commit(
                drafts, lane_state=memory, blobs=_blobs_of(facts), into_reserve=ends_only(commit)
            )
        except (JournalFull, StoreRefused) as error:
            raise EffectFailed(str(error)) from error
        if drafts:
            things.link.facts_waiting()

    def _with_preview(self, data: FactData) -> FactData:
        """Whoever opens a parcel sees what the line saw. One that passed is opened by nobody."""
        if not isinstance(data, ParcelXRayed) or data.preview or not data.picture:
            return data
        if data.verdict == Verdict.PASSED:
            return data
        held = self._things.pictures.get(data.picture)
        if held is None or PREVIEW not in held.made:
            return data
        return msgspec.structs.replace(data, preview=in_a_fact(held.made[PREVIEW]))

    # --- the belt -----------------------------------------------------------------------------------------

    def _pulse(self, pulse: Pulse) -> None:
        """X2: one energised pulse, ended by the board. The commit before it may have taken long: too late,
        and it is not sent, for it would move another parcel."""
        things = self._things
        late_s = things.clock.monotonic_s() - pulse.not_after_s
        match pulse.chute:
            case Chute.PASS:
                output: BeltOutput = "pass"
            case Chute.FLAG if things.has_flag_chute:
                output = "flag"
            case Chute.FLAG | Chute.RECHECK:
                return
            case _:
                assert_never(pulse.chute)
        if late_s > 0:
            _logger().warning("a pulse came too late and was not sent", parcel=pulse.parcel, late_s=late_s)
            things.put(NotPulsed(pulse.parcel))
            return
        if pulse.parcel in self._pulsed:
            _logger().error("a second pulse for a parcel was not sent", parcel=pulse.parcel)
            return
        self._pulsed.append(pulse.parcel)
        order = EnergiseOutput(output, things.pulses.divert_s, pulse.not_after_s)
        if not self._try("belt", order, f"{output}-{pulse.parcel}"):
            things.put(NotPulsed(pulse.parcel))

    def _permit(self, permitted: bool) -> None:
        before, self._permitted = self._permitted, permitted
        if permitted:
            self._energise("feed_permit")
        elif before:
            self._try("belt", ReleaseOutput("feed_permit"))

    def _set_tower(self, light: Light) -> None:
        before, self._light = self._light, light
        if before is not None and before is not light:
            self._try("belt", ReleaseOutput(_TOWER[before]))
        self._energise(_TOWER[light])

    def renew(self) -> None:
        """Before the pulses end. A program that hangs or died does not: permit and light fall then."""
        if self._permitted:
            self._energise("feed_permit")
        if self._light is not None:
            self._energise(_TOWER[self._light])

    def withdraw(self) -> None:
        """The program ends or is broken: nothing is renewed any more."""
        self._permit(False)
        self._light = None

    def _energise(self, output: BeltOutput) -> None:
        now_s, pulses = self._things.clock.monotonic_s(), self._things.pulses
        self._try("belt", EnergiseOutput(output, pulses.permit_s, now_s + pulses.permit_s))

    def _trigger(self, on: bool) -> None:
        if on:
            for device in self._things.triggered:
                self._try(device, TriggerRead())

    def _try(self, device: str, order: Order, name: str = "") -> bool:
        """False: it was not taken."""
        self._orders += 1
        try:
            self._things.order(device, name or f"order-{self._orders}", order)
        except OrderNotTaken as refused:
            # Nothing is sent, so nothing passes; the device's loss is reported by whoever watches it.
            what = type(order).__name__
            _logger().warning("an order was not taken", device=device, order=what, why=str(refused))
            return False
        return True

    # --- pictures -----------------------------------------------------------------------------------------

    def _save(self, effect: SavePicture) -> None:
        held = self._things.pictures.get(effect.picture)
        if held is None:
            why = "the picture is not in memory any more"
            self._things.put(Saved(effect.parcel, effect.picture, effect.kind, "", why))
            return
        self._things.evidence.save(effect, held)


def _blobs_of(facts: tuple[Told, ...]) -> list[BlobOwed]:
    """What the facts of a commit name is owed to the centre with them."""
    owed = []
    for told in facts:
        named = named_by(told.data)
        if named is not None:
            held = isinstance(told.data, XRayFileKept) and told.data.held
            blob_class = BlobClass.HELD if held else BlobClass.ROUTINE
            owed.append(BlobOwed(named.sha256, named.size_bytes, blob_class, named.passage))
    return owed


def _logger() -> structlog.stdlib.BoundLogger:
    found: structlog.stdlib.BoundLogger = structlog.get_logger("performer")
    return found
