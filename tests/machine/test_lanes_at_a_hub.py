"""Two lanes' machines and a hub between them: one slip, one use, whatever is told when (S4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edge.gate.effects import AskClaim, Commit, Effect
from edge.gate.events import ClaimAnswered, Findings, InputsRead
from sync.hub import centre
from sync.hub.archive import RecordChange
from sync.hub.centre import By
from sync.link.messages import ClaimVerdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Fact, Stream
from sync.vocabulary.records import CreditTier
from tests.machine.plays import CLEAR, FINDINGS, GONE_UP, MOVING, SETTINGS, SLIP, UP, Play, codes, orders
from tests.unit.test_hub_device import AT, Bench, Device

BY = By(("4604001",), "seen: it backed out")


def with_policy() -> Findings:
    """The site releases its best-known firms when the hub does not answer."""
    assert FINDINGS.site is not None
    site = msgspec.structs.replace(FINDINGS.site, offline_release_tiers=(CreditTier.HIGH,))
    return replace(FINDINGS, site=site)


class Lane:
    """A machine, and the facts it commits as its device tells them."""

    def __init__(self, bench: Bench, device: Device) -> None:
        self.play = Play(replace(SETTINGS, lane_id=device.name))
        self._bench = bench
        self._device = device
        self._committed = 0

    def come(self, *, online: bool) -> list[Effect]:
        return self.play.arrive(findings=with_policy(), online=online)

    def tell(self) -> None:
        """The link is there: everything not yet told."""
        commits = [e for e in self.play.asked if isinstance(e, Commit)]
        told: dict[Stream, list[Fact]] = {stream: [] for stream in Stream}
        for commit in commits[self._committed :]:
            for each in commit.facts:
                told[Stream(each.stream)].append(self._device.say(each.data, Stream(each.stream)))
        self._committed = len(commits)
        for stream, facts in told.items():
            if facts:
                self._bench.facts(self._device, self._device.batch(facts), stream)

    def ask(self) -> list[Effect]:
        """The hub answers what the machine asked last."""
        asked = [e for e in self.play.asked if isinstance(e, AskClaim)][-1]
        answer = self._bench.ask(self._device, asked.claim_id, asked.passage, *map(str, asked.slip_nos))
        granted = answer.verdict is ClaimVerdict.GRANTED
        return self.play.say(ClaimAnswered(asked.claim_id, granted, answer.why))

    def cross(self) -> None:
        self.play.say(InputsRead(MOVING), InputsRead(UP))
        self.play.under()
        self.play.clear()

    def back_off(self) -> None:
        """After the raise order: the use stays reserved."""
        self.play.say(InputsRead(MOVING), InputsRead(UP))
        self.play.wait(6.0, GONE_UP, kg="0")
        self.play.say(InputsRead(CLEAR))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, Device("lane-1"), Device("lane-2"))
    (slip,) = FINDINGS.slips
    with bench.archive.transaction():
        change = RecordChange("release_slips", str(SLIP), to_json(slip).decode())
        bench.archive.apply_changes("site", [change], AT)
    return bench


@pytest.fixture
def lanes(bench: Bench) -> tuple[Lane, Lane]:
    return Lane(bench, bench.devices["lane-1"]), Lane(bench, bench.devices["lane-2"])


def test_what_one_lane_reserved_by_the_written_policy_the_other_is_refused_before_anybody_crossed(
    lanes: tuple[Lane, Lane],
) -> None:
    first, second = lanes
    assert orders(first.come(online=False)) == ["RaiseArm"]
    first.tell()
    second.come(online=True)
    assert (orders(second.ask()), codes(second.play)) == ([], ("claim_refused",))


def test_when_it_has_crossed_it_is_one_use_and_no_alarm(bench: Bench, lanes: tuple[Lane, Lane]) -> None:
    first, second = lanes
    first.come(online=False)
    first.tell()
    first.cross()
    first.tell()
    second.come(online=True)
    assert orders(second.ask()) == []
    assert bench.archive.uses_of(str(SLIP)).crossed == ("lane-1/1",)
    assert "double_use" not in bench.alarms()


def test_told_only_after_the_other_was_granted_it_is_a_double_use_once_both_have_crossed(
    bench: Bench, lanes: tuple[Lane, Lane]
) -> None:
    first, second = lanes
    first.come(online=False)
    second.come(online=True)
    assert orders(second.ask()) == ["RaiseArm"]
    for lane in lanes:
        lane.cross()
        lane.tell()
    assert bench.alarms().count("double_use") == 1


def test_a_use_whose_vehicle_backed_off_is_an_officers_to_end(bench: Bench, lanes: tuple[Lane, Lane]) -> None:
    first, second = lanes
    first.come(online=False)
    first.back_off()
    first.tell()
    second.come(online=True)
    assert orders(second.ask()) == []
    (seen,) = centre.open_uses(bench.archive, AT)
    assert (seen.use.device, seen.use.slip_no) == ("lane-1", str(SLIP))
    centre.release_use(bench.archive, "lane-1", seen.use.use_id, BY, AT)
    third = Lane(bench, bench.devices["lane-2"])
    third.play = Play(replace(SETTINGS, lane_id="lane-2", run="r2"))
    third.come(online=True)
    assert orders(third.ask()) == ["RaiseArm"]
