"""The power goes between any two effects of an inspection: what the officer had done stays done, the order
has one end, and going on leads there (G1)."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.handheld import app as machine
from edge.handheld import inspection
from edge.handheld.app import App, Device, Opened
from edge.handheld.effects import CheckPin, Commit, Effect, LookUp, TakePhoto, Wanted
from edge.handheld.events import (
    Committed,
    EvidenceKept,
    FactsAcknowledged,
    Found,
    OfficerFindings,
    OrderFindings,
    PinChecked,
    SignInAsked,
    SiteChanged,
)
from edge.handheld.inspection.wants import (
    AllAsDeclared,
    Begun,
    FindingChosen,
    HandlingChosen,
    LineCounted,
    MethodChosen,
    OrdersAsked,
    OrderTakeAsked,
    PhotoAsked,
    ReadyAsked,
    RemarkWritten,
    SendAsked,
)
from edge.handheld.memory import read
from edge.handheld.view import GoTo, Page
from sync.vocabulary.facts import FactData, kind_of
from sync.vocabulary.records import InspectionMethod
from tests.machine.handheld_plays import ALL, RECORDS, SITE, UTC, waybill, waybill_no
from tests.machine.test_handheld_inspection import order

SCRIPT = (
    SignInAsked("4604001", "1111"),
    GoTo(Page.INSPECTION),
    OrdersAsked(),
    OrderTakeAsked("XD-1"),
    Begun(),
    MethodChosen(InspectionMethod.OPENED),
    AllAsDeclared(str(waybill_no(1))),
    LineCounted(str(waybill_no(1)), "1", "2", "完好"),
    PhotoAsked("外观"),
    RemarkWritten("看过"),
    FindingChosen("nothing"),
    HandlingChosen("released"),
    ReadyAsked(),
    SendAsked("XD-1"),
)


class PowerCut(Exception):
    """Before the effect that would have come next."""


class Disk:
    """What stays: facts and memory, written together."""

    def __init__(self) -> None:
        self.facts: list[FactData] = []
        self.memory: bytes | None = None

    def kinds(self) -> list[str]:
        return [kind_of(data) for data in self.facts]


class Running:
    """The whole machine and its performer, until the power goes."""

    def __init__(self, disk: Disk, effects_left: int = 1_000_000, seen: list[Any] | None = None) -> None:
        self.disk = disk
        self.seen = [] if seen is None else seen
        """The drafts after every step."""
        self.left = effects_left
        self.done = 0
        self.at_s = 0.0
        self.app: App = machine.begun(Device("handheld-1"))
        memory, problems = read(disk.memory)
        assert problems == ()
        self.tell(Opened(memory), Committed(0, len(disk.facts)), SiteChanged(SITE))

    @property
    def drafts(self) -> Any:
        return self.app.states["inspection"].drafts

    def tell(self, *events: Any) -> None:
        """Each with everything that follows from it."""
        waiting = list(events)
        while waiting:
            self.at_s += 1.0
            self.app, effects = machine.step(self.app, self.at_s, UTC, waiting.pop(0))
            self.seen.append(plain(self.drafts))
            for effect in effects:
                if self.done == self.left:
                    raise PowerCut
                self.done += 1
                waiting[:0] = self.perform(effect)

    def perform(self, effect: Effect) -> list[Any]:
        match effect:
            case Commit(facts, _, request, memory):
                self.disk.facts += [told.data for told in facts]
                self.disk.memory = memory if memory is not None else self.disk.memory
                return [Committed(request, len(self.disk.facts))] if request else []
            case CheckPin(request):
                return [PinChecked(request, "right", ALL)]
            case TakePhoto(request):
                return [EvidenceKept(request, f"{request:064x}", 10, "photo", UTC)]
            case LookUp(request, Wanted.ORDERS, ""):
                return [Found(request, OrderFindings((order(),)), RECORDS)]
            case LookUp(request, Wanted.ORDERS):
                return [Found(request, OrderFindings((), waybills=(waybill(1),)), RECORDS)]
            case LookUp(request, Wanted.OFFICER, text):
                return [Found(request, OfficerFindings(text, "active", ALL), RECORDS)]
            case _:
                return []


def plain(drafts: Any) -> Any:
    """Without what a restart says about itself: a picture that was being taken was not taken."""
    return [
        msgspec.structs.replace(
            draft, evidence=tuple(each for each in draft.evidence if each.state == "kept")
        )
        for draft in drafts
    ]


def play_until(effects: int) -> tuple[Disk, list[Any], bool]:
    """The disk, the drafts as they were from the last whole touch on, and whether the power went at all."""
    disk = Disk()
    seen: list[Any] = [[]]
    try:
        running = Running(disk, effects, seen)
        for touch in SCRIPT:
            del seen[:-1]
            running.tell(touch)
    except PowerCut:
        return disk, seen, True
    return disk, seen, False


def test_between_any_two_effects_the_power_may_go_and_nothing_an_officer_did_is_lost_or_done_twice() -> None:
    whole = Disk()
    Running(whole).tell(*SCRIPT)
    assert whole.kinds().count("finding_made") == 1
    effects, went = 0, True
    while went:
        effects += 1
        disk, allowed, went = play_until(effects)
        assert plain(read(disk.memory)[0].inspection.drafts) in allowed, effects
        again = Running(disk)
        assert all(draft.lines for draft in again.drafts), effects
        told = disk.kinds()
        here = [draft.order_no for draft in again.drafts]
        assert ("XD-1" in here) is ("order_taken" in told and "finding_made" not in told), effects
        kept = {data.sha256 for data in disk.facts if kind_of(data) == "evidence_taken"}  # type: ignore[union-attr]
        assert {item.sha256 for draft in again.drafts for item in draft.evidence if item.sha256} <= kept
        again.tell(*SCRIPT)
        assert disk.kinds().count("finding_made") == 1, effects
        assert disk.kinds().count("inspection_made") == 1, effects
        assert disk.kinds().count("order_taken") == 1, effects
        again.tell(FactsAcknowledged(len(disk.facts)))
        (row,) = inspection.view(again.app.states["inspection"], machine.context(again.app, 0.0, UTC)).drafts
        assert row.state == "sent", effects
    assert effects > 20
