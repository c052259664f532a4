"""An officer's handheld at a lane (S8): online the centre tells the lane within two seconds; with the broker
off the lane's own scanner reads the code from the screen and the arm rises."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import publish

from edge.handheld import lane_help
from edge.handheld.context import Context as Around
from edge.handheld.context import SignedIn, Sync
from edge.handheld.effects import Commit, Effect, SignCode
from edge.handheld.events import CodeSigned, Committed
from edge.handheld.lane_help import CodeAsked, LaneChosen, PassageGiven, ReasonGiven
from hardware_sims.cast import LANE_IN, SCOPE
from sync.hub.archive import Archive, RecordChange
from sync.link.keys import public_pem
from sync.link.messages import Context, Status
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.commands import RequestAnswered
from sync.vocabulary.facts import Stream
from sync.vocabulary.handheld_facts import ReleaseAsked
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer
from sync.vocabulary.release_codes import body_of, signed_bytes, text_of
from tests.system.conftest import Launcher, _rows, _utc, until
from tests.system.test_commands_process import TOPICS, Commanded
from tests.unit.test_hub_device import Device

OFFICER = "4604077"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SOONEST_S = 2.0
"""From the officer's touch to the arm's order, online."""


class Hand:
    """A handheld: its lane help as it is, its link as bytes at the broker."""

    def __init__(self, site: Commanded) -> None:
        self.site = site
        self.device = Device("handheld-7")
        self.state = lane_help.State()
        archive = Archive.open(site.lane_site.site.archive)
        officer = Officer(
            officer_no=OFFICER,
            authorisations=("manual_release",),
            public_key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
            valid_until=UtcText("2099-01-01T00:00:00Z"),
        )
        with archive.transaction():
            archive.enrol(self.device.name, public_pem(self.device.private.public_key()).decode())
            change = RecordChange("officers", OFFICER, to_json(officer).decode())
            self.number = archive.apply_changes(SCOPE, [change], _utc(0.0)).number
        archive.close()
        until(lambda: self.number <= self._lanes_number(), "the lane knows the officer")

    def _lanes_number(self) -> int:
        files = self.site.lane_site.data.glob("records-*.sqlite")
        return max((_rows(file, "SELECT number FROM feed")[0][0] for file in files), default=0)

    def say(self, topic: str, payload: bytes) -> None:
        publish.single(topic, payload, 1, hostname="127.0.0.1", port=self.site.lane_site.site.broker_port)

    def connect(self) -> None:
        status = Status(device=self.device.name, online=True, nonce="7" * 32, time=_utc(0.0))
        self.say(TOPICS.status(self.device.name), self.device.payload(Context.STATUS, status))
        (begun,) = self.device.facts[Stream.ALARM]
        self.say(TOPICS.facts(self.device.name, Stream.ALARM), self.device.batch([begun]))

    def held_passage(self) -> int:
        (held,) = until(
            lambda: [
                f for f in self.site.lane_site.facts("ruling_made") if f["ruling"]["verdict"] != "release"
            ],
            "somebody is held",
        )
        return int(held["passage"])

    def sign(self, passage: int, *, online: bool) -> list[Effect]:
        """What the officer touches, and what the vault signs; the facts committed and the code shown."""
        effects: list[Effect] = []
        around = Around(
            at_s=0.0,
            utc=_utc(0.0),
            device=self.device.name,
            officer=SignedIn(officer_no=OFFICER, authorisations=("manual_release",), since_s=0.0),
            sync=Sync(online=online),
        )
        for intent in (LaneChosen(LANE_IN), PassageGiven(str(passage)), ReasonGiven("人工核对"), CodeAsked()):
            self.state, stepped = lane_help.step(self.state, around, intent)
            effects += stepped
        (asked,) = [effect for effect in effects if isinstance(effect, SignCode)]
        body = body_of(asked.code)
        text = text_of(body, KEY.sign(signed_bytes(body)))
        self.state, committed = lane_help.step(self.state, around, CodeSigned(asked.request, text))
        (commit,) = [effect for effect in committed if isinstance(effect, Commit)]
        self.state, _ = lane_help.step(self.state, around, Committed(commit.request, 1))
        shown = lane_help.view(self.state, around).code
        assert shown is not None
        self.shown = shown.text
        return [commit]

    def ask(self, commit: Effect) -> None:
        assert isinstance(commit, Commit)
        (asked,) = [told.data for told in commit.facts if isinstance(told.data, ReleaseAsked)]
        fact = self.device.say(asked, Stream.ALARM)
        self.say(TOPICS.facts(self.device.name, Stream.ALARM), self.device.batch([fact]))


@pytest.fixture
def site(tmp_path: Path, launch: Launcher) -> Commanded:
    return Commanded(tmp_path / "site", launch)


def test_online_the_arm_is_ordered_up_within_two_seconds_of_the_officers_touch_and_the_officer_hears_so(
    site: Commanded,
) -> None:
    hand, lane_site = Hand(site), site.lane_site
    hand.connect()
    lane_site.go()
    passage = hand.held_passage()
    began = _utc(0.0)
    (commit,) = hand.sign(passage, online=True)
    hand.ask(commit)
    lane_site.happened("relay_pulse", name="open")
    fact = lane_site.fact("command_taken")
    assert (fact["kind"], fact["officers"], fact["reason"], fact["outcome"]) == (
        "manual_release", [OFFICER], "人工核对", "done",
    )  # fmt: skip
    ((ordered,),) = _rows(lane_site.journal, "SELECT body FROM facts WHERE kind = 'raise_ordered'")
    took = datetime.fromisoformat(json.loads(ordered)["time"]) - datetime.fromisoformat(began)
    print(f"from the officer's touch to the arm's order: {took.total_seconds():.3f} s")
    assert 0.0 <= took.total_seconds() <= SOONEST_S

    def outcomes() -> list[str]:
        rows = _rows(lane_site.site.archive, "SELECT body FROM commands WHERE device = ?", hand.device.name)
        return sorted(from_json(body, RequestAnswered).outcome for (body,) in rows)

    until(lambda: outcomes() == ["done", "given"], "the officer is told that it is done")
    lane_site.fact("vehicle_crossed")
    assert lane_site.raise_pulses() == 1


def test_with_the_broker_off_the_lanes_scanner_reads_the_code_and_the_arm_rises_once(
    site: Commanded,
) -> None:
    hand, lane_site = Hand(site), site.lane_site
    lane_site.go()
    passage = hand.held_passage()
    site.broker.process.terminate()
    site.broker.ended()
    (commit,) = hand.sign(passage, online=False)
    assert isinstance(commit, Commit)
    assert not any(isinstance(told.data, ReleaseAsked) for told in commit.facts)
    lane_site.tell(f"code {LANE_IN} {hand.shown}")
    lane_site.happened("relay_pulse", name="open")
    released = [fact for fact in lane_site.facts("ruling_made") if fact["ruling"]["verdict"] == "release"]
    assert [(fact["passage"], fact["officer"], fact["claim"]) for fact in released] == [
        (passage, OFFICER, "manual")
    ]
    lane_site.tell(f"code {LANE_IN} {hand.shown}")
    lane_site.fact("vehicle_crossed")
    assert lane_site.raise_pulses() == 1
