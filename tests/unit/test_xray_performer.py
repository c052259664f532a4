"""What a station's performer sends to the belt's board, and what it never sends (X1, X2, G8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from edge.devices.readings import (
    BeltSeen,
    CodeSeen,
    EnergiseOutput,
    EyeEdge,
    Order,
    OrderRefused,
    ReleaseOutput,
    XrayStateSeen,
)
from edge.runtime.loop import EffectFailed
from edge.runtime.ports import OrderNotTaken
from edge.xray_bridge.analysing import PREVIEW, in_a_fact
from edge.xray_bridge.config import PulsePart
from edge.xray_bridge.effects import Commit, Light, Memory, PermitFeed, Pulse, SetTower, Told
from edge.xray_bridge.events import BeltRead, CodeRead, Event, EyeSeen, NotPulsed
from edge.xray_bridge.performer import StationPerformer, Things, read_memory
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.station import woken
from edge.xray_bridge.translation import Translator
from edge.xray_bridge.values import Chute, Eye
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.xray_facts import ParcelSeen, ParcelSorted, ParcelXRayed
from tests.machine.xray_plays import SETTINGS

JPEG = b"\xff\xd8 small"


class OneHeld:
    def __init__(self) -> None:
        self.made = {PREVIEW: JPEG}


@dataclass
class Bench:
    journal: Journal
    now_s: float = 100.0
    hung_up: bool = False
    told: list[Event] = field(default_factory=list)
    orders: list[tuple[str, str, Order]] = field(default_factory=list)

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_text(self) -> str:
        return "2026-11-22T08:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5

    def facts_waiting(self) -> None:
        """The link is told; nothing to see here."""

    def get(self, picture: str) -> Held | None:
        return cast(Held, OneHeld()) if picture == "p-1" else None

    def performer(self, *, has_flag_chute: bool = True) -> StationPerformer:
        here = cast(Any, self)
        return StationPerformer(
            Things(
                journal=self.journal, goods=here, references=here, link=here,
                order=self.order, put=self.told.append, wake_after=here, clock=here,
                pulses=PulsePart(divert_s=0.7), pictures=here, analyse=here, evidence=here,
                answer_desk=here, has_flag_chute=has_flag_chute,
            )
        )  # fmt: skip

    def order(self, device: str, order_id: str, order: Order) -> None:
        if self.hung_up:
            raise OrderNotTaken("the line is not open")
        self.orders.append((device, order_id, order))

    def sent(self) -> list[str]:
        return [order.output for _, _, order in self.orders if isinstance(order, EnergiseOutput)]

    def facts(self) -> list[FactData]:
        found = self.journal.facts_from(Stream.ROUTINE, 1, max_facts=100, max_bytes=1 << 20)
        return [read_body(fact.body).data for fact in found]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Journal.open(tmp_path / "journal.sqlite", device="xray-1", reserve_bytes=0) as journal:
        yield Bench(journal)


def xrayed(verdict: str, picture: str = "p-1") -> Told:
    return Told(Stream.ROUTINE, ParcelXRayed(parcel=1, picture=picture, verdict=verdict, by="officer"))


def test_a_pass_is_one_pulse_of_the_length_the_config_says(bench: Bench) -> None:
    bench.performer().perform(Pulse(Chute.PASS, 7, not_after_s=100.2))
    assert bench.orders == [("belt", "pass-7", EnergiseOutput("pass", 0.7, 100.2))]


def test_a_late_pulse_is_not_sent(bench: Bench) -> None:
    bench.performer().perform(Pulse(Chute.PASS, 7, not_after_s=99.9))
    assert bench.orders == []
    assert bench.told == [NotPulsed(7)]


def test_a_pulse_the_board_does_not_take_is_said_to_be_none(bench: Bench) -> None:
    bench.hung_up = True
    bench.performer().perform(Pulse(Chute.PASS, 7, not_after_s=100.2))
    assert bench.told == [NotPulsed(7)]


def test_a_second_pulse_for_a_parcel_is_not_sent(bench: Bench) -> None:
    performer = bench.performer()
    for _ in range(2):
        performer.perform(Pulse(Chute.PASS, 7, not_after_s=101.0))
    assert bench.sent() == ["pass"]


def test_recheck_is_no_pulse_and_a_site_without_inspection_chute_gets_none_there(bench: Bench) -> None:
    performer = bench.performer(has_flag_chute=False)
    performer.perform(Pulse(Chute.RECHECK, 7, not_after_s=101.0))
    performer.perform(Pulse(Chute.FLAG, 8, not_after_s=101.0))
    assert bench.orders == []


def test_the_feed_permit_stands_only_as_long_as_it_is_renewed(bench: Bench) -> None:
    performer = bench.performer()
    performer.renew()
    assert bench.sent() == []
    performer.perform(PermitFeed(True))
    performer.renew()
    performer.perform(PermitFeed(False))
    performer.renew()
    assert bench.sent() == ["feed_permit", "feed_permit"]
    assert bench.orders[-1][2] == ReleaseOutput("feed_permit")
    assert all(
        order.not_after_s == 101.0 for _, _, order in bench.orders[:2] if isinstance(order, EnergiseOutput)
    )


def test_a_program_that_ends_withdraws_the_permit_and_renews_nothing(bench: Bench) -> None:
    performer = bench.performer()
    performer.perform(PermitFeed(True))
    performer.perform(SetTower(Light.GREEN))
    performer.withdraw()
    bench.orders.clear()
    performer.renew()
    assert bench.orders == []


def test_what_is_flagged_or_rechecked_carries_its_picture_and_what_passed_does_not(bench: Bench) -> None:
    performer = bench.performer()
    performer.perform(Commit((xrayed("passed"), xrayed("recheck"), xrayed("recheck", "another"))))
    told = [each.preview for each in bench.facts() if isinstance(each, ParcelXRayed)]
    assert told == ["", in_a_fact(JPEG), ""]


def test_on_a_full_disk_nothing_begins_or_passes_and_what_is_under_way_ends(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite", device="xray-1", reserve_bytes=1 << 60) as journal:
        bench = Bench(journal)
        performer = bench.performer()
        for refused in (xrayed("passed"), Told(Stream.ROUTINE, ParcelSeen(parcel=1, leading_mm=0.0))):
            with pytest.raises(EffectFailed):
                performer.perform(Commit((refused,)))
        ended = ParcelSorted(parcel=1, verdict="recheck", ordered="recheck", confirmed=True)
        performer.perform(Commit((xrayed("recheck"), Told(Stream.ROUTINE, ended))))
        assert ended in bench.facts()


def test_the_memory_comes_back_with_how_long_ago_it_was_written(bench: Bench) -> None:
    bench.performer().perform(Commit((), Memory(next_parcel=9, on_belt=(7, 8))))
    raw = bench.journal.lane_state()
    assert read_memory(raw, "2026-11-22T08:00:30.000000Z") == (Memory(next_parcel=9, on_belt=(7, 8)), 30.0)
    assert read_memory(raw, "2026-11-22T07:00:00.000000Z")[1] is None
    assert read_memory(None, "2026-11-22T08:00:30.000000Z") == (None, None)


def test_a_memory_that_cannot_be_read_closes_the_station_and_uses_no_parcels_number_again() -> None:
    memory, down_s = read_memory(b"{}", "2026-11-22T08:00:30.000000Z", position=77)
    assert memory is not None
    assert (memory.next_parcel, memory.closed, down_s) == (78, "its memory cannot be read", None)
    station, effects = woken(SETTINGS, 0.0, memory, down_s)
    assert "closed" in station.feed_reasons
    assert PermitFeed(False) in effects


def test_a_pulse_the_board_did_not_send_is_told_as_not_pulsed() -> None:
    translator = Translator()

    def told(order: str, *, not_done: bool) -> Event | None:
        return translator.to_event(9.0, "belt", OrderRefused(order, "too late to be sent", not_done=not_done))

    assert told("pass-12", not_done=True) == NotPulsed(12)
    assert told("flag-7", not_done=True) == NotPulsed(7)
    # Whether it was carried out is not known: the eyes in the chutes say it.
    assert told("pass-12", not_done=False) is None
    assert told("order-12", not_done=True) is None


def test_a_code_is_placed_where_the_belt_stood_when_it_was_read() -> None:
    translator = Translator()
    assert translator.to_event(9.0, "portal", CodeSeen("YT1")) == CodeRead("YT1", None, "")
    seen = BeltSeen(1_000.0, 300.0, 3, running=True, forward=True)
    assert translator.to_event(10.0, "belt", seen) == BeltRead(1_000.0, True, True, origin=3)
    assert translator.to_event(10.1, "portal", CodeSeen(" YT1 ", "]C0")) == CodeRead(
        "YT1", 1_030.0, "code128"
    )
    edge = translator.to_event(10.1, "belt", EyeEdge("diverter", True, 1_030.0, 4.0, 3, 0.02))
    assert edge == EyeSeen(Eye.DIVERTER, True, 1_030.0, 4.0, 3, 0.02)


def machine_says(*, emergency_stop: bool) -> XrayStateSeen:
    return XrayStateSeen(
        count=0, mm_per_count=0.1, source_on=True, belt_running=True, belt_forward=True, jam=False,
        emergency_stop=emergency_stop, interlock_open=False, warming_up=False, fault_code=0,
        kilovolts=160.0, microamperes=400, start="a1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("board", "machine", "later_s", "emergency"),
    [
        (None, False, 1.0, False),
        (None, True, 1.0, True),
        (False, True, 1.0, True),
        (True, False, 1.0, True),
        (None, False, 4.0, None),
        (False, True, 4.0, False),
    ],
)
def test_an_emergency_stop_is_what_board_or_machine_say_now(
    board: bool | None, machine: bool, later_s: float, emergency: bool | None
) -> None:
    """A machine that fell silent says nothing of now."""
    translator = Translator()
    translator.to_event(10.0, "xray", machine_says(emergency_stop=machine))
    seen = BeltSeen(1_000.0, 300.0, 3, running=True, forward=True, emergency_stop=board)
    read = translator.to_event(10.0 + later_s, "belt", seen)
    assert isinstance(read, BeltRead)
    assert read.emergency is emergency
