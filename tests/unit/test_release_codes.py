"""S8: a manual release needs an authorised officer and a reason, works without a network, and is a fact."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.readings import CodeSeen
from edge.gate.config import RelaysPart, Wires
from edge.gate.effects import CheckReleaseCode, Commit, RaiseArm
from edge.gate.events import Event, OfficerReleased, ReleaseCodeShown, ReleaseRefused, Timer
from edge.gate.lane import Holding, Raising
from edge.gate.performer import LanePerformer, Things
from edge.gate.translation import to_event
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.journal import Journal
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.facts import RulingMade
from sync.vocabulary.numbers import Plate, SlipNo, UtcText
from sync.vocabulary.records import Officer, OfficerState
from sync.vocabulary.release_codes import ReleaseCode, body_of, parse, signed_bytes, text_of
from tests.machine.plays import FINDINGS, Play, alarms, orders

LANE = "lane-in-1"
NOW = "2026-11-22T03:00:30.000000Z"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CODE = ReleaseCode(
    lane=LANE, passage=1, officer="4604001", reason="称重设备故障", issued=UtcText("2026-11-22T03:00:00Z")
)


def shown(code: ReleaseCode = CODE, key: Ed25519PrivateKey = KEY) -> str:
    body = body_of(code)
    return text_of(body, key.sign(signed_bytes(body)))


def issued(utc: str) -> str:
    return shown(msgspec.structs.replace(CODE, issued=UtcText(utc)))


def officer(**changes: object) -> Officer:
    return msgspec.structs.replace(
        Officer(
            officer_no="4604001",
            authorisations=("manual_release",),
            public_key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
            valid_until=UtcText("2027-01-01T00:00:00Z"),
        ),
        **changes,
    )


class StoppedClock:
    def monotonic_s(self) -> float:
        return 0.0

    def utc_text(self) -> str:
        return NOW

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


class NoLink:
    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        raise AssertionError("nothing is claimed here")

    def withdraw(self, claim_id: str) -> None:
        raise AssertionError("nothing was claimed here")

    def facts_waiting(self) -> None:
        raise AssertionError("nothing is committed here")


@dataclass
class Cabinet:
    """A performer over a real records file with one officer in it."""

    folder: Path
    answers: list[Event] = field(default_factory=list)

    def check(self, text: str, known: Officer | None, passage: int = 1) -> Event:
        path = new_generation(self.folder, len(self.answers) + 1, "site-demo", "e" * 32)
        with (
            Records.open(path, writable=True) as records,
            Journal.open(self.folder / "journal.sqlite", device=LANE, reserve_bytes=0) as journal,
        ):
            if known is not None:
                change = Change(1, "officers", known.officer_no, ChangeOp.PUT, to_json(known).decode())
                records.apply(FeedBatch("site-demo", "e" * 32, 1, 1, (change,)))
            LanePerformer(self._things(records, journal)).perform(CheckReleaseCode(passage, text))
        return self.answers[-1]

    def _things(self, records: Records, journal: Journal) -> Things:
        def no_order(device: str, order_id: str, order: object) -> None:
            raise AssertionError("checking a code moves nothing")

        def no_timer(timer: Timer, seconds: float) -> None:
            raise AssertionError("checking a code waits for nothing")

        return Things(
            lane_id=LANE,
            journal=journal,
            records=lambda: records,
            link=NoLink(),
            order=no_order,
            put=self.answers.append,
            wake_after=no_timer,
            clock=StoppedClock(),
            relays=RelaysPart(open=0),
            draw_key=None,
            clock_must_be_known=True,
            has_board=False,
        )


@pytest.fixture
def cabinet(tmp_path: Path) -> Cabinet:
    return Cabinet(tmp_path)


def test_a_right_code_of_an_authorised_officer_is_believed(cabinet: Cabinet) -> None:
    assert cabinet.check(shown(), officer()) == OfficerReleased(1, "4604001", "称重设备故障", None)


@pytest.mark.parametrize(
    ("text", "known", "passage", "why"),
    [
        (shown(), None, 1, "not on this lane's roster"),
        (shown(), officer(state=OfficerState.REVOKED), 1, "not active"),
        (shown(), officer(valid_until=UtcText("2026-11-22T03:00:30Z")), 1, "not active"),
        (shown(), officer(authorisations=("supplement",)), 1, "no authorisation manual_release"),
        (shown(key=Ed25519PrivateKey.from_private_bytes(bytes(32))), officer(), 1, "signature"),
        (shown(), officer(public_key="no key"), 1, "signature"),
        (shown(), officer(), 2, "passage 1"),
        (shown(msgspec.structs.replace(CODE, lane="lane-out-1")), officer(), 1, "lane-out-1"),
        (issued("2026-11-22T02:59:29Z"), officer(), 1, "issued"),
        (issued("2026-11-22T03:00:41Z"), officer(), 1, "issued"),
        ("KKR1:", officer(), 1, "dot"),
        ("KKR1:" + "A" * 2_000, officer(), 1, "at most"),
    ],
    ids=[
        "unknown officer", "revoked", "expired", "not authorised", "another's key", "a key that is none",
        "another passage", "another lane", "61 s old", "from the future", "cut off", "too long",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_says_why(
    cabinet: Cabinet, text: str, known: Officer | None, passage: int, why: str
) -> None:
    refused = cabinet.check(text, known, passage)
    assert isinstance(refused, ReleaseRefused)
    assert why in refused.why


@given(place=st.integers(0, 10_000), letter=st.sampled_from("ABCxyz019-_"))
def test_a_code_with_one_letter_changed_is_no_code(place: int, letter: str) -> None:
    good = shown()
    at = 5 + place % (len(good) - 5)
    changed = good[:at] + letter + good[at + 1 :]
    try:
        read = parse(changed)
    except Malformed:
        return
    same = (read.body, read.signature) == (parse(good).body, parse(good).signature)
    # The last letter of a group has bits nobody reads: the same bytes may be spelt in two ways.
    assert same or not _verifies(read.body, read.signature)


def _verifies(body: str, signature: bytes) -> bool:
    try:
        KEY.public_key().verify(signature, signed_bytes(body))
    except Exception:  # noqa: BLE001
        return False
    return True


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(Malformed):
        parse("KKR1:" + text)


def test_a_scanned_code_becomes_a_question_not_a_slip() -> None:
    assert to_event("scanner", CodeSeen(shown()), Wires({})) == ReleaseCodeShown(shown())


# --- the lane ---------------------------------------------------------------------------------------------


def held(officers: int = 1) -> Play:
    assert FINDINGS.site is not None
    site = msgspec.structs.replace(FINDINGS.site, manual_release_officers=officers)
    play = Play()
    play.arrive(kg="21000", findings=replace(FINDINGS, site=site))
    assert isinstance(play.lane.phase, Holding)
    return play


def test_an_officers_release_is_recorded_and_then_raises() -> None:
    play = held()
    asked = play.say(ReleaseCodeShown(shown()))
    assert asked == [CheckReleaseCode(1, shown())]
    released = play.say(OfficerReleased(1, "4604001", "地磅故障"))
    commit = next(e for e in released if isinstance(e, Commit))
    assert released.index(commit) < [type(e) for e in released].index(RaiseArm)
    ruling = next(t.data for t in commit.facts if isinstance(t.data, RulingMade))
    assert (ruling.ruling.codes(), ruling.officer, ruling.claim) == (("manual_release",), "4604001", "manual")
    assert ruling.ruling.reasons[0].detail == "地磅故障"
    assert isinstance(play.lane.phase, Raising)


def test_the_same_code_shown_again_moves_nothing() -> None:
    play = held()
    play.say(OfficerReleased(1, "4604001", "地磅故障"))
    assert orders(play.say(OfficerReleased(1, "4604001", "地磅故障"))) == []


def test_where_the_site_asks_for_two_officers_one_is_not_enough_however_often() -> None:
    play = held(officers=2)
    once = play.say(OfficerReleased(1, "4604001", "a"), OfficerReleased(1, "4604001", "a"))
    assert orders(once) == []
    assert orders(play.say(OfficerReleased(1, "4604002", "b"))) == ["RaiseArm"]


def test_a_refused_code_is_an_alarm_and_moves_nothing() -> None:
    play = held()
    refused = play.say(ReleaseRefused(1, "the signature is not officer 4604001's"))
    assert alarms(refused) == ["input_refused"]
    assert orders(refused) == []


def test_a_code_for_nobody_is_not_looked_at() -> None:
    play = Play()
    assert play.say(ReleaseCodeShown(shown()), OfficerReleased(1, "4604001", "a")) == []
    assert Decimal(play.lane.next_passage) == 1
