"""S4, S10: what a lane lets a signed slip code do. Real records, a real look-up and the lane's own machine;
codes issued by the hub's own room from its own archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from edge.devices.readings import CodeSeen
from edge.gate.config import RelaysPart, Wires
from edge.gate.effects import AskClaim, Commit, Effect, LookUp, RaiseArm
from edge.gate.events import (
    ClaimAnswered,
    Event,
    InputsRead,
    LinkChanged,
    PlateRead,
    ReadFailed,
    SlipShown,
    TagRead,
    WeightRead,
)
from edge.gate.performer import LanePerformer, Things
from edge.gate.translation import to_event
from sync.hub.archive import Archive, ClaimRow, RecordChange
from sync.hub.slips import Issued, SlipNotIssued, SlipSettings, issue, keys_of, put_key, revoke_key
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.policy.shown_slips import RecordsThen, Standing, judge
from sync.store.journal import Journal
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import RulingMade
from sync.vocabulary.numbers import Plate, UtcText
from sync.vocabulary.records import (
    COLLECTIONS,
    Condition,
    Control,
    ControlAction,
    CreditTier,
    KeyState,
    Mode,
    Recall,
    Record,
    ReleaseSlip,
    Site,
    SlipKey,
    SlipState,
    key_of,
)
from sync.vocabulary.slip_codes import parse
from sync.vocabulary.uses import SlipUse, UseState
from tests.machine.plays import CLEAR, FINDINGS, HERE, ON_SCALE, PLATE, TAG, Play, codes
from tests.unit.test_slip_codes import CLAIMS, KEY
from tests.unit.test_slip_codes import code as code_of

SCOPE, EPOCH = "site-demo", "ab" * 16
NOW = "2026-11-22T03:00:30.000000Z"
HEAD_SEEN = "2026-11-22T02:50:00.000000Z"
SETTINGS = SlipSettings(key_file=Path("unused"), issuer="zhengzhou")
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
(VEHICLE,) = [known for known in FINDINGS.by_plate.values() if known is not None]
(FIRM,) = FINDINGS.enterprises.values()
(SLIP,) = FINDINGS.slips
SITE = Site(
    site="demo",
    name_zh="郑州",
    name_en="Zhengzhou",
    offline_release_tiers=(CreditTier.HIGH,),
    inspection_beyond_barrier=True,
)
WAITING = replace(SLIP, state=SlipState.APPLIED)


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
    def claim(self, *_: object) -> None: ...
    def withdraw(self, claim_id: str) -> None: ...
    def facts_waiting(self) -> None: ...


def changes(records: Sequence[Record], first: int = 1) -> tuple[Change, ...]:
    names = {kind: name for name, kind in COLLECTIONS.items()}
    return tuple(
        Change(number, names[type(each)], key_of(each), ChangeOp.PUT, to_json(each).decode())
        for number, each in enumerate(records, start=first)
    )


@dataclass
class Centre:
    """A hub's archive with one scope, and the codes it gives out."""

    folder: Path

    def __post_init__(self) -> None:
        self.archive = Archive.open(self.folder / "archive.sqlite")
        with self.archive.transaction():
            self.archive.add_scope(SCOPE, new_id=lambda: EPOCH)
        self.key = put_key(self.archive, SCOPE, KEY, SETTINGS, "2026-11-01T00:00:00Z")
        self.say(SITE, VEHICLE, FIRM)

    def say(self, *records: Record) -> int:
        """Put records; answers the scope's number."""
        with self.archive.transaction():
            wanted = [RecordChange(each.collection, each.key, each.body) for each in changes(records)]
            return self.archive.apply_changes(SCOPE, wanted, NOW).number

    def issue(self, utc: str = "2026-11-22T03:00:00Z", key: Ed25519PrivateKey = KEY) -> Issued:
        return issue(self.archive, SCOPE, SLIP.slip_no, key, SETTINGS, utc)

    def log(self) -> list[Change]:
        rows = self.archive.log_after(SCOPE, EPOCH, 0)
        return [Change(row.number, row.collection, row.key, ChangeOp(row.op), row.body) for row in rows]


@dataclass
class Lane:
    """The lane's machine; look-ups are answered from a real records file."""

    folder: Path
    feed: list[Change]
    uses: tuple[SlipUse, ...] = ()
    play: Play = field(default_factory=Play)
    asked: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting: list[Event] = []
        self.records = Records.open(new_generation(self.folder, 1, SCOPE, EPOCH), writable=True)
        self.journal = Journal.open(self.folder / "journal.sqlite", device="lane-in-1", reserve_bytes=0)
        self.journal.commit([], uses=self.uses)
        self.records.apply(FeedBatch(SCOPE, EPOCH, 1, len(self.feed), tuple(self.feed)))
        self.records.note_verified(HEAD_SEEN)
        self.performer = LanePerformer(self._things(self.records, self.journal, self.waiting))

    def close(self) -> None:
        self.records.close()
        self.journal.close()

    def tell(self, *events: Event) -> list[Effect]:
        self.waiting += events
        asked: list[Effect] = []
        while self.waiting:
            new = self.play.say(self.waiting.pop(0))
            asked += new
            for effect in new:
                if isinstance(effect, LookUp):
                    self.performer.perform(effect)
        self.asked += asked
        return asked

    def _things(self, records: Records, journal: Journal, waiting: list[Event]) -> Things:
        return Things(
            lane_id="lane-in-1",
            journal=journal,
            records=lambda: records,
            link=NoLink(),
            order=lambda device, order_id, order: None,
            put=waiting.append,
            wake_after=lambda timer, seconds: None,
            clock=StoppedClock(),
            relays=RelaysPart(open=0),
            draw_key=None,
            clock_must_be_known=True,
            has_board=False,
        )

    def arrive(self, shown: Event | None = None, *, online: bool = False) -> list[Effect]:
        """Loop, plate, tag, weight, and the code; offline the claim is never answered."""
        self.tell(InputsRead(CLEAR), LinkChanged(online), InputsRead(HERE), PlateRead(PLATE), TagRead(TAG))
        if shown is not None:
            self.tell(shown)
        for _ in range(14):
            self.tell(InputsRead(ON_SCALE), WeightRead(Decimal(20_000), None))
        return self.asked

    def rulings(self) -> list[RulingMade]:
        return [
            told.data
            for effect in self.asked
            if isinstance(effect, Commit)
            for told in effect.facts
            if isinstance(told.data, RulingMade)
        ]

    def raised(self) -> bool:
        return any(isinstance(effect, RaiseArm) for effect in self.asked)


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    (tmp_path / "hub").mkdir()
    return Centre(tmp_path / "hub")


def shown(text: str) -> Event:
    event = to_event("scanner", CodeSeen(text), Wires(signals={}))
    assert event is not None
    return event


class LaneMaker(Protocol):
    def __call__(self, feed: list[Change], uses: tuple[SlipUse, ...] = ()) -> Lane: ...


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[LaneMaker]:
    """A lane whose records have got this far."""
    made: list[Lane] = []

    def make(feed: list[Change], uses: tuple[SlipUse, ...] = ()) -> Lane:
        (tmp_path / "lane").mkdir()
        made.append(Lane(tmp_path / "lane", feed, uses))
        return made[0]

    yield make
    for each in made:
        each.close()


# --- the lane ---------------------------------------------------------------------------------------------


def test_cut_off_a_lane_releases_on_a_code_that_is_newer_than_its_records(
    lane: LaneMaker, centre: Centre
) -> None:
    here = lane(centre.log())
    centre.say(SLIP)
    made = centre.issue()
    here.arrive(shown(made.text))
    assert here.raised()
    (ruling,) = here.rulings()
    (told,) = ruling.codes
    assert (told.slip_no, told.kid, told.standing) == (SLIP.slip_no, made.kid, "stands")
    assert told.sha256 == parse(made.text).sha256
    assert (told.issued, ruling.claim) == (made.claims.issued, "offline")
    assert [(r.value, r.detail) for r in ruling.readings if r.kind == "signed code"] == [
        (SLIP.slip_no, f"{told.kid} {told.sha256}")
    ]


def test_a_code_turns_an_application_the_records_know_into_an_approval(
    lane: LaneMaker, centre: Centre
) -> None:
    """Slips approved minutes too late for the feed."""
    centre.say(WAITING)
    here = lane(centre.log())
    centre.say(SLIP)
    here.arrive(shown(centre.issue().text))
    assert here.raised()


def test_online_the_hubs_claim_still_decides(lane: LaneMaker, centre: Centre) -> None:
    here = lane(centre.log())
    centre.say(SLIP)
    here.arrive(shown(centre.issue().text), online=True)
    (claim,) = [effect for effect in here.asked if isinstance(effect, AskClaim)]
    assert (claim.slip_nos, here.raised()) == ((SLIP.slip_no,), False)
    here.tell(ClaimAnswered(claim.claim_id, False, "slip_used"))
    assert (codes(here.play), here.raised()) == (("claim_refused",), False)


def test_offline_the_credit_tier_still_decides(lane: LaneMaker, centre: Centre) -> None:
    centre.say(replace(FIRM, tier=CreditTier.LOW))
    here = lane(centre.log())
    centre.say(SLIP)
    here.arrive(shown(centre.issue().text))
    assert (codes(here.play), here.raised()) == (("claim_unanswered",), False)


@pytest.mark.parametrize(
    ("forbids", "reason"),
    [
        (Recall(recall_no="ZH1", slip_nos=(SLIP.slip_no,), reason_zh="召回", reason_en="recall"), "recalled"),
        (
            Control(
                control_id="BK1",
                version=1,
                mode=Mode.LIVE,
                condition=Condition(slip_nos=(SLIP.slip_no,)),
                action=ControlAction.HOLD,
                valid_from=UtcText("2026-11-01T00:00:00Z"),
                valid_until=UtcText("2026-12-01T00:00:00Z"),
                reason_zh="风险",
                reason_en="risk",
            ),
            "control_hold",
        ),
        (replace(WAITING, quarantine="required"), "quarantine_required"),
        (replace(SLIP, state=SlipState.CANCELLED), "slip_cancelled"),
        (replace(SLIP, state=SlipState.PASSED), "slip_used"),
        (replace(SITE, max_age_s=60), "records_too_old"),
    ],
)
def test_a_code_takes_back_nothing_that_the_records_forbid(
    lane: LaneMaker, centre: Centre, forbids: Record, reason: str
) -> None:
    centre.say(forbids)
    here = lane(centre.log())
    if isinstance(forbids, Recall):
        centre.say(replace(forbids, slip_nos=()))
    centre.say(SLIP)
    here.arrive(shown(centre.issue().text))
    assert (codes(here.play), here.raised()) == ((reason,), False)


def test_a_use_in_this_lanes_own_journal_counts_against_a_code(lane: LaneMaker, centre: Centre) -> None:
    used = SlipUse("u1", SLIP.slip_no, 1, "", UseState.CROSSED)
    here = lane(centre.log(), (used,))
    centre.say(SLIP)
    here.arrive(shown(centre.issue().text))
    assert (codes(here.play), here.raised()) == (("slip_used",), False)


def test_records_that_have_caught_up_decide_alone(lane: LaneMaker, centre: Centre) -> None:
    """The slip was taken back after the paper was printed, and the lane knows it."""
    centre.say(SLIP)
    made = centre.issue()
    with centre.archive.transaction():
        centre.archive.apply_changes(SCOPE, [RecordChange("release_slips", SLIP.slip_no, None)], NOW)
    here = lane(centre.log())
    here.arrive(shown(made.text))
    assert (codes(here.play), here.raised()) == (("slip_not_found",), False)
    assert [told.standing for told in here.rulings()[-1].codes] == ["records"]


@pytest.mark.parametrize("spoilt", ["forged", "ended", "revoked", "unknown key"])
def test_a_code_that_does_not_hold_is_a_hold_with_its_reason(
    lane: LaneMaker, centre: Centre, spoilt: str
) -> None:
    key, utc = KEY, "2026-11-22T03:00:00Z"
    if spoilt == "revoked":
        revoke_key(centre.archive, SCOPE, centre.key.kid, NOW)
    feed = centre.log()
    centre.say(SLIP, centre.key)
    if spoilt == "ended":
        utc = "2026-11-20T03:00:00Z"
    if spoilt == "unknown key":
        key = OTHER_KEY
        put_key(centre.archive, SCOPE, key, SETTINGS, "2026-11-01T00:00:00Z")
    made = centre.issue(utc, key)
    text = made.text
    if spoilt == "forged":
        text = code_of(replace(made.claims, issuer="zhengzhou"), OTHER_KEY)
    here = lane(feed)
    here.arrive(shown(text))
    assert (codes(here.play), here.raised()) == (("slip_code_refused",), False)
    (told,) = here.rulings()[-1].codes
    assert told.standing == "refused"
    expected = {"forged": "no key", "ended": "ended at", "revoked": "was revoked", "unknown key": "no key"}
    assert expected[spoilt] in told.why


def test_a_code_of_another_vehicle_releases_nobody(lane: LaneMaker, centre: Centre) -> None:
    here = lane(centre.log())
    centre.say(replace(SLIP, plate=Plate("豫A54321")))
    here.arrive(shown(centre.issue().text))
    assert (codes(here.play), here.raised()) == (("slip_other_vehicle",), False)


def test_shown_to_a_held_lane_a_code_lets_it_look_again(lane: LaneMaker, centre: Centre) -> None:
    here = lane(centre.log())
    here.arrive()
    assert codes(here.play) == ("slip_not_found",)
    centre.say(SLIP)
    here.tell(shown(centre.issue().text))
    assert here.raised()


@pytest.mark.parametrize("text", ["KS1:", "KS1:ABC", code_of()[:-3], code_of().lower(), "KS1:" + "A" * 4000])
def test_a_code_that_was_not_read_whole_is_no_evidence(text: str) -> None:
    """S7."""
    event = shown(text)
    assert isinstance(event, ReadFailed | SlipShown)
    assert isinstance(event, ReadFailed)


# --- the policy -------------------------------------------------------------------------------------------

CODE = parse(code_of())
LANE_KEY = SlipKey(
    kid=CODE.kid,
    public_key="",
    issuer=CLAIMS.issuer,
    valid_from=UtcText("2026-01-01T00:00:00Z"),
    valid_until=UtcText("2027-01-01T00:00:00Z"),
)
BEHIND = RecordsThen("ab" * 16, 12_344, "2026-11-22T02:00:00Z")
ABOUT = ReleaseSlip(
    slip_no=CLAIMS.slip_no,
    direction=CLAIMS.direction,
    kind=CLAIMS.kind,
    binding=CLAIMS.binding,
    vehicle_kg=Decimal(1),
    cargo_gross_kg=Decimal(1),
    total_kg=Decimal(2),
    enterprise=CLAIMS.enterprise,
    state=SlipState.APPROVED,
    valid_from=CLAIMS.valid_from,
    valid_until=CLAIMS.expires,
)


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({}, Standing.STANDS),
        ({"signature_holds": False}, Standing.REFUSED),
        ({"key": None}, Standing.REFUSED),
        ({"key": replace(LANE_KEY, kid="00" * 8)}, Standing.REFUSED),
        ({"key": replace(LANE_KEY, state=KeyState.REVOKED)}, Standing.REFUSED),
        ({"key": replace(LANE_KEY, issuer="other")}, Standing.REFUSED),
        # Roll-over: what was signed while a key was in use stays good, and nothing before or after.
        ({"key": replace(LANE_KEY, valid_until=UtcText("2026-11-22T03:00:01Z"))}, Standing.STANDS),
        ({"key": replace(LANE_KEY, valid_until=CLAIMS.issued)}, Standing.REFUSED),
        ({"key": replace(LANE_KEY, valid_from=CLAIMS.issued)}, Standing.STANDS),
        ({"key": replace(LANE_KEY, valid_from=UtcText("2026-11-22T03:00:01Z"))}, Standing.REFUSED),
        ({"utc": UtcText("2026-11-22T23:59:59Z")}, Standing.STANDS),
        ({"utc": CLAIMS.expires}, Standing.REFUSED),
        # Equal numbers of one epoch: the records know all that the code knows.
        ({"records": RecordsThen(BEHIND.epoch, 12_345, "")}, Standing.RECORDS),
        ({"records": RecordsThen(BEHIND.epoch, 12_344, "2030-01-01T00:00:00Z")}, Standing.STANDS),
        # Another epoch: only the hub's own dates compare.
        ({"records": RecordsThen("cd" * 16, 10**9, "2026-11-22T02:59:59.9Z")}, Standing.STANDS),
        ({"records": RecordsThen("cd" * 16, 1, "2026-11-22T03:00:00Z")}, Standing.RECORDS),
        ({"records": RecordsThen("cd" * 16, 1, "")}, Standing.STANDS),
        ({"known": ABOUT}, Standing.STANDS),
        ({"known": replace(ABOUT, state=SlipState.APPLIED)}, Standing.STANDS),
        ({"known": replace(ABOUT, state=SlipState.DELETED)}, Standing.RECORDS),
        ({"known": replace(ABOUT, state=SlipState.CANCELLED)}, Standing.RECORDS),
        ({"known": replace(ABOUT, state=SlipState.PASSED_FIRST)}, Standing.RECORDS),
    ],
)
def test_what_a_code_may_do(changed: dict[str, object], standing: Standing) -> None:
    usual: dict[str, object] = {
        "key": LANE_KEY,
        "signature_holds": True,
        "known": None,
        "records": BEHIND,
        "utc": UtcText("2026-11-22T03:00:30Z"),
    }
    judged = judge(CODE, **{**usual, **changed})  # type: ignore[arg-type]
    assert judged.standing is standing
    assert (judged.slip is not None) == (standing is Standing.STANDS)
    assert bool(judged.why) == (standing is Standing.REFUSED)


# --- the hub ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ((), "is not in scope"),
        ((WAITING,), "is not approved"),
        ((replace(SLIP, quarantine="required"),), "quarantine"),
        ((replace(SLIP, valid_until=UtcText("2026-11-22T03:00:00Z")),), "ended at"),
        ((replace(SLIP, plate=None),), "names no vehicle"),
        (
            (SLIP, Recall(recall_no="ZH1", enterprises=(SLIP.enterprise,), reason_zh="召", reason_en="r")),
            "is recalled",
        ),
    ],
)
def test_the_hub_gives_out_no_code_for_what_it_would_not_release(
    centre: Centre, records: tuple[Record, ...], why: str
) -> None:
    if records:
        centre.say(*records)
    with pytest.raises(SlipNotIssued, match=why):
        centre.issue()


def test_a_slip_whose_uses_are_taken_gets_no_code(centre: Centre) -> None:
    centre.say(SLIP)
    with centre.archive.transaction():
        row = ClaimRow("lane-in-1", 1, PLATE, "granted", "", (SLIP.slip_no,))
        centre.archive.add_claim("c1", row, "granted", NOW)
    with pytest.raises(SlipNotIssued, match="has no use left: 1 of 1"):
        centre.issue()


def test_a_code_is_dated_after_the_last_head_and_never_outlives_its_slip(centre: Centre) -> None:
    centre.say(replace(SLIP, valid_until=UtcText("2026-11-22T09:30:00.5Z")))
    with centre.archive.transaction():
        centre.archive.set_head_issued(SCOPE, "2026-11-22T03:00:00.250000Z")
    claims = centre.issue("2026-11-22T02:00:00Z").claims
    assert (claims.issued, claims.expires) == ("2026-11-22T03:00:01Z", "2026-11-22T09:30:00Z")
    assert claims.feed_number == len(centre.log())


def test_keys_roll_over_and_a_revoked_one_stays_revoked(centre: Centre) -> None:
    centre.say(SLIP)
    second = put_key(centre.archive, SCOPE, OTHER_KEY, SETTINGS, "2026-11-22T01:00:00Z")
    assert centre.issue(key=KEY).kid != centre.issue(key=OTHER_KEY).kid == second.kid
    revoke_key(centre.archive, SCOPE, second.kid, NOW)
    assert put_key(centre.archive, SCOPE, OTHER_KEY, SETTINGS, NOW).state is KeyState.REVOKED
    with pytest.raises(SlipNotIssued, match="is not in force"):
        centre.issue(key=OTHER_KEY)
    assert {key.kid: key.state for key in keys_of(centre.archive, SCOPE)} == {
        centre.key.kid: KeyState.ACTIVE,
        second.kid: KeyState.REVOKED,
    }
    with pytest.raises(SlipNotIssued, match="no key 0000"):
        revoke_key(centre.archive, SCOPE, "00" * 8, NOW)
