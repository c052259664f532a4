"""Claims and slip uses at the hub: as often as a slip allows, across lanes, restarts and orders (S4)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub import centre
from sync.hub.archive import RecordChange
from sync.hub.centre import By, CentreRefused
from sync.hub.engine import schema_steps
from sync.link.messages import ClaimVerdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Fact, Stream, UsesReturned
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText
from sync.vocabulary.records import Binding, Direction, ReleaseSlip, SlipKind, SlipState
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_device import AT, OTHER_SLIP, SLIP, TOPICS, Bench, Device, at

GRANTED, REFUSED = ClaimVerdict.GRANTED, ClaimVerdict.REFUSED


def slip(slip_no: str = SLIP, *, uses: int = 1, state: SlipState = SlipState.APPROVED) -> ReleaseSlip:
    return ReleaseSlip(
        slip_no=SlipNo(slip_no),
        direction=Direction.IN,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        vehicle_kg=Decimal(10),
        cargo_gross_kg=Decimal(5),
        total_kg=Decimal(15),
        enterprise=EnterpriseCode("330260A000"),
        state=state,
        valid_from=UtcText("2026-01-01T00:00:00Z"),
        valid_until=UtcText("2026-12-31T00:00:00Z"),
        uses_allowed=uses,
    )


def put(bench: Bench, *slips: ReleaseSlip) -> None:
    changes = [RecordChange("release_slips", str(one.slip_no), to_json(one).decode()) for one in slips]
    with bench.archive.transaction():
        bench.archive.apply_changes("site", changes, AT)


@pytest.fixture
def lane() -> Device:
    return Device()


@pytest.fixture
def other() -> Device:
    return Device("lane-out")


@pytest.fixture
def bench(place: Place, lane: Device, other: Device) -> Bench:
    bench = Bench(place, lane, other)
    put(bench, slip(), slip(OTHER_SLIP))
    return bench


def tell(bench: Bench, device: Device, *facts: Fact) -> None:
    for fact in facts:
        assert bench.facts(device, device.batch([fact]))


def states(bench: Bench) -> list[tuple[str, str, str]]:
    return [
        (c, s, x) for c, s, x in bench.rows("SELECT claim_id, slip_no, state FROM claim_slips ORDER BY 1, 2")
    ]


def test_a_claim_on_an_approved_slip_is_granted_and_kept(bench: Bench, lane: Device) -> None:
    answer = bench.ask(lane, "c1", 7)
    assert (answer.claim_id, answer.device, answer.passage, answer.verdict, answer.why) == (
        "c1",
        "lane-in",
        7,
        GRANTED,
        "",
    )
    assert bench.rows("SELECT claim_id, device, passage, plate, verdict, why, asked_utc FROM claims") == [
        ("c1", "lane-in", 7, "", "granted", "", AT)
    ]
    assert states(bench) == [("c1", SLIP, "granted")]


def test_the_answer_goes_to_the_device_that_asked_ahead_of_routine_traffic(
    bench: Bench, lane: Device
) -> None:
    (answer,) = bench.receiver.receive(TOPICS.claim("lane-in"), lane.claim("c1", 7), AT)
    assert (answer.topic, answer.retain, answer.connection) == (
        TOPICS.claim_answer("lane-in"),
        False,
        "alarm",
    )


def test_a_slip_used_up_by_one_lane_is_refused_to_the_other(
    bench: Bench, lane: Device, other: Device
) -> None:
    assert bench.ask(lane, "c1", 7).verdict is GRANTED
    answer = bench.ask(other, "c2", 3)
    assert (answer.verdict, answer.why) == (REFUSED, f"slip_used {SLIP}")
    assert states(bench) == [("c1", SLIP, "granted"), ("c2", SLIP, "refused")]


def test_asked_again_the_answer_is_the_same_even_after_a_restart_and_a_change_of_records(
    bench: Bench, lane: Device, other: Device
) -> None:
    first = [bench.ask(lane, "c1", 7), bench.ask(other, "c2", 3)]
    put(bench, slip(state=SlipState.CANCELLED))
    bench.restart()
    assert [bench.ask(lane, "c1", 7), bench.ask(other, "c2", 3)] == first
    assert len(bench.rows("SELECT * FROM claims")) == 2


def test_a_slip_may_be_used_as_often_as_it_allows(bench: Bench, lane: Device, other: Device) -> None:
    put(bench, slip(uses=2))
    verdicts = [
        bench.ask(lane, "c1", 7).verdict,
        bench.ask(other, "c2", 3).verdict,
        bench.ask(lane, "c3", 8).verdict,
    ]
    assert verdicts == [GRANTED, GRANTED, REFUSED]


def test_several_slips_are_granted_all_or_none(bench: Bench, lane: Device, other: Device) -> None:
    assert bench.ask(lane, "c1", 7, OTHER_SLIP).verdict is GRANTED
    assert bench.ask(other, "c2", 3, SLIP, OTHER_SLIP).verdict is REFUSED
    assert bench.ask(other, "c3", 4, SLIP).verdict is GRANTED


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (None, "slip_not_found Z3111I240728000000000009"),
        (SlipState.APPLIED, "slip_not_approved Z3111I240728000000000009"),
        (SlipState.CANCELLED, "slip_not_approved Z3111I240728000000000009"),
    ],
)
def test_a_slip_unknown_or_not_approved_is_refused(
    bench: Bench, lane: Device, made: SlipState | None, why: str
) -> None:
    number = "Z3111I240728000000000009"
    put(bench, *[slip(number, state=state) for state in [made] if state is not None])
    answer = bench.ask(lane, "c1", 7, number)
    assert (answer.verdict, answer.why) == (REFUSED, why)


def test_a_claim_id_asked_again_for_something_else_is_refused_without_an_answer(
    bench: Bench, lane: Device, other: Device
) -> None:
    bench.ask(lane, "c1", 7)
    topic = TOPICS.claim
    assert bench.receiver.receive(topic("lane-in"), lane.claim("c1", 8), AT) == []
    assert bench.receiver.receive(topic("lane-in"), lane.claim("c1", 7, OTHER_SLIP), AT) == []
    assert bench.receiver.receive(topic("lane-out"), other.claim("c1", 7), AT) == []
    assert set(bench.alarms()) == {"claim_differs"}
    assert states(bench) == [("c1", SLIP, "granted")]


@ON_SQLITE
def test_a_claim_that_cannot_be_stored_is_not_answered(bench: Bench, lane: Device) -> None:
    (pages,) = bench.archive._db.execute("PRAGMA page_count").fetchone()
    bench.archive._db.execute(f"PRAGMA max_page_count = {pages}")
    answered = 0
    for number in range(400):
        slips = [f"Z3111I2407{day:02d}000000000{number:03d}" for day in range(10, 40)]
        asked = lane.claim(f"c{number}", number + 1, *slips)
        answered += len(bench.receiver.receive(TOPICS.claim("lane-in"), asked, AT))
    assert answered < 400
    assert bench.rows("SELECT count(*) FROM claims") == [(answered,)]


# --- facts end claims -------------------------------------------------------------------------------------


def test_a_crossing_turns_the_grant_into_a_use(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"), lane.crossing(7, ["u1"], "c1"))
    assert states(bench) == [("c1", SLIP, "crossed")]
    assert bench.ask(other, "c2", 3).verdict is REFUSED
    assert bench.alarms() == []


def test_a_returned_use_may_be_granted_again(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.say(UsesReturned(7, ("u1",), "c1", "backed out")))
    assert states(bench) == [("c1", SLIP, "returned")]
    assert bench.ask(other, "c2", 3).verdict is GRANTED


def test_a_claim_withdrawn_before_it_arrives_is_not_granted(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.say(UsesReturned(7, (), "c1", "no answer in time")))
    answer = bench.ask(lane, "c1", 7)
    assert (answer.verdict, answer.why) == (REFUSED, "claim was returned before it arrived")
    assert states(bench) == [("c1", SLIP, "returned")]
    assert bench.ask(other, "c2", 3).verdict is GRANTED


def test_a_refused_claim_that_is_returned_stays_refused(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(other, "c0", 1)
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.say(UsesReturned(7, (), "c1", "held")))
    assert states(bench) == [("c0", SLIP, "granted"), ("c1", SLIP, "refused")]


def test_a_vehicle_that_crossed_although_refused_counts_and_is_alarmed(
    bench: Bench, lane: Device, other: Device
) -> None:
    bench.ask(other, "c0", 1)
    tell(bench, other, other.crossing(1, ["u0"], "c0"))
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.crossing(7, ["u1"], "c1"))
    assert states(bench) == [("c0", SLIP, "crossed"), ("c1", SLIP, "crossed")]
    assert bench.rows("SELECT device, code, detail FROM hub_alarms") == [
        ("lane-in", "double_use", f"slip {SLIP} crossed 2 times, 1 allowed: lane-in/7, lane-out/1")
    ]


def test_a_fact_cannot_end_the_claim_of_another_device(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, other, other.say(UsesReturned(3, (), "c1", "mischief")))
    assert states(bench) == [("c1", SLIP, "granted")]
    assert bench.alarms() == ["claim_foreign"]


# --- uses the offline policy allowed ----------------------------------------------------------------------


def test_an_offline_crossing_uses_the_slip_up(bench: Bench, lane: Device, other: Device) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]), lane.crossing(7, ["u1"]))
    answer = bench.ask(other, "c2", 3)
    assert (answer.verdict, answer.why) == (REFUSED, f"slip_used {SLIP}")
    assert bench.alarms() == []


def test_a_double_use_the_policy_allowed_is_alarmed_once_and_names_both_passages(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]), lane.crossing(7, ["u1"]))
    tell(bench, other, other.ruling(3, [SLIP], ["u1"]), other.crossing(3, ["u1"]))
    bench.restart()
    tell(bench, other, *other.facts[Stream.ROUTINE])
    assert bench.rows("SELECT code, detail FROM hub_alarms") == [
        ("double_use", f"slip {SLIP} crossed 2 times, 1 allowed: lane-in/7, lane-out/3")
    ]


def test_a_crossing_that_arrives_before_its_ruling_is_counted_when_the_ruling_tells_the_slip(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]), lane.crossing(7, ["u1"]))
    ruling, crossing = other.ruling(3, [SLIP], ["u9"]), other.crossing(3, ["u9"])
    tell(bench, other, crossing)
    assert bench.alarms() == []
    tell(bench, other, ruling)
    assert bench.alarms() == ["double_use"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("last", ["crossed", "returned"])
def test_of_two_words_on_a_use_the_later_by_position_holds_whichever_arrives_first(
    bench: Bench, lane: Device, order: tuple[int, int], last: str
) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"))
    words = {
        "crossed": lambda: lane.crossing(7, ["u1"], "c1"),
        "returned": lambda: lane.say(UsesReturned(7, ("u1",), "c1", "disproved")),
    }
    first = {"crossed": "returned", "returned": "crossed"}[last]
    facts = [words[first](), words[last]()]
    tell(bench, lane, *[facts[index] for index in order])
    assert states(bench) == [("c1", SLIP, last)]
    assert bench.rows("SELECT state FROM uses") == [(last,)]


def test_facts_issued_again_in_a_new_epoch_are_no_second_use(bench: Bench, lane: Device) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"), lane.crossing(7, ["u1"], "c1"))
    tell(bench, lane, lane.ruling(8, [OTHER_SLIP], ["u2"]), lane.crossing(8, ["u2"]))
    lane.begin("f" * 32)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"), lane.crossing(7, ["u1"], "c1"))
    tell(bench, lane, lane.ruling(8, [OTHER_SLIP], ["u2"]), lane.crossing(8, ["u2"]))
    assert [bench.archive.uses_of(number).crossed for number in (SLIP, OTHER_SLIP)] == [
        ("lane-in/7",),
        ("lane-in/8",),
    ]
    assert bench.alarms() == []


def test_a_crossing_on_a_claim_the_hub_lost_still_counts(bench: Bench, lane: Device, other: Device) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "lost"), lane.crossing(7, ["u1"], "lost"))
    assert bench.ask(other, "c2", 3).verdict is REFUSED


def test_a_slip_that_is_gone_from_the_records_allows_one_use(bench: Bench, lane: Device) -> None:
    gone = "Z3111I240728000000000099"
    tell(bench, lane, lane.ruling(7, [gone], ["u1"]), lane.crossing(7, ["u1"]))
    assert bench.alarms() == []
    tell(bench, lane, lane.ruling(8, [gone], ["u2"]), lane.crossing(8, ["u2"]))
    assert bench.alarms() == ["double_use"]


def test_a_ruling_whose_uses_and_slips_do_not_pair_is_alarmed(bench: Bench, lane: Device) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP, OTHER_SLIP], ["u1"]))
    assert bench.alarms() == ["uses_unmatched"]


# --- uses that stand on no grant --------------------------------------------------------------------------

BY = By(("4604001",), "seen on the camera: it backed out")


def test_a_use_that_the_written_policy_reserved_is_taken_before_its_vehicle_has_crossed(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]))
    answer = bench.ask(other, "c2", 3)
    assert (answer.verdict, answer.why) == (REFUSED, f"slip_used {SLIP}")
    assert bench.ask(other, "c3", 4, OTHER_SLIP).verdict is GRANTED
    tell(bench, lane, lane.crossing(7, ["u1"]))
    assert (bench.ask(other, "c4", 5).verdict, bench.alarms()) == (REFUSED, [])


def test_it_ends_when_the_lane_says_that_it_is_returned(bench: Bench, lane: Device, other: Device) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]))
    tell(bench, lane, lane.say(UsesReturned(7, ("u1",), "", "restarted before any raise order")))
    assert bench.ask(other, "c2", 3).verdict is GRANTED


@pytest.mark.parametrize("end", ["crossed", "returned"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_yesterdays_ruling_and_its_end_count_once_whichever_arrives_first_or_both_together(
    bench: Bench, lane: Device, other: Device, end: str, order: tuple[int, int]
) -> None:
    put(bench, slip(uses=2))
    ruled = lane.ruling(7, [SLIP], ["u1"])
    returned = end == "returned"
    ended = lane.say(UsesReturned(7, ("u1",), "", "restarted")) if returned else lane.crossing(7, ["u1"])
    facts = [ruled, ended]
    more = [lane.ruling(8, [OTHER_SLIP], ["u2"]), lane.crossing(8, ["u2"])]
    tell(bench, lane, *[facts[index] for index in order])
    assert bench.facts(lane, lane.batch(more))
    taken = [bench.archive.uses_of(number).taken for number in (SLIP, OTHER_SLIP)]
    assert taken == [1 if end == "crossed" else 0, 1]
    assert bench.ask(other, "c2", 3).verdict is GRANTED
    assert centre.open_uses(bench.archive, AT) == ()


def test_a_use_that_stands_on_a_grant_is_no_second_one(bench: Bench, lane: Device, other: Device) -> None:
    put(bench, slip(uses=2))
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"))
    assert bench.archive.uses_of(SLIP).taken == 1
    assert bench.ask(other, "c2", 3).verdict is GRANTED
    assert centre.open_uses(bench.archive, AT) == ()


def test_a_hub_that_lost_a_claim_takes_its_use_for_taken_and_grants_that_claim_again(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "lost"))
    assert bench.ask(other, "c2", 3).verdict is REFUSED
    assert bench.ask(lane, "lost", 7).verdict is GRANTED
    assert bench.archive.uses_of(SLIP).taken == 1
    tell(bench, lane, lane.crossing(7, ["u1"], "lost"))
    assert (bench.archive.uses_of(SLIP).crossed, bench.alarms()) == (("lane-in/7",), [])


def test_a_use_whose_claim_was_refused_after_all_is_taken_beside_the_others_grant(
    bench: Bench, lane: Device, other: Device
) -> None:
    """The hub was put back from a backup between the grant and what the lane made of it."""
    bench.ask(other, "c2", 3)
    assert bench.ask(lane, "c1", 7).verdict is REFUSED
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"))
    tell(bench, other, other.say(UsesReturned(3, (), "c2", "backed out")))
    assert bench.ask(other, "c3", 4).verdict is REFUSED
    (seen,) = centre.open_uses(bench.archive, AT)
    assert (seen.use.device, seen.use.use_id, seen.use.claim_id) == ("lane-in", "u1", "c1")


def test_an_officer_ends_the_use_of_a_lane_that_will_never_tell(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP, OTHER_SLIP], ["u1", "u2"]))
    bench.archive.revoke("lane-in")
    (seen, _) = centre.open_uses(bench.archive, at(90))
    assert (seen.use.slip_no, seen.use.passage, seen.use.told_utc, seen.age_s) == (SLIP, 7, AT, 90.0)
    assert centre.release_use(bench.archive, "lane-in", "u1", BY, AT) == SLIP
    assert bench.ask(other, "c2", 3).verdict is GRANTED
    assert bench.ask(other, "c3", 4, OTHER_SLIP).verdict is REFUSED
    (act,) = bench.archive.acts(10)
    assert (act.act, act.subject, act.officers, act.reason) == ("release_use", "u1", BY.officers, BY.reason)
    assert act.detail == f"lane-in passage 7: {SLIP}"


def test_what_an_officer_ended_stays_ended_when_its_facts_come_again_and_not_when_it_crossed(
    bench: Bench, lane: Device, other: Device
) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]))
    centre.release_use(bench.archive, "lane-in", "u1", BY, AT)
    lane.begin("f" * 32)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]))
    assert bench.ask(other, "c2", 3).verdict is GRANTED
    tell(bench, other, other.ruling(3, [SLIP], ["u9"], "c2"), other.crossing(3, ["u9"], "c2"))
    assert bench.alarms() == []
    tell(bench, lane, lane.crossing(7, ["u1"]))
    assert bench.alarms() == ["double_use"]


@pytest.mark.parametrize(("device", "use_id"), [("lane-in", "u1"), ("lane-out", "u2"), ("lane-in", "u3")])
def test_only_an_open_use_without_a_grant_is_ended_by_hand(
    bench: Bench, lane: Device, device: str, use_id: str
) -> None:
    """`u1` stands on a grant, `u2` is of another lane, `u3` has crossed."""
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"), lane.ruling(8, [OTHER_SLIP], ["u2"]))
    tell(bench, lane, lane.ruling(9, [OTHER_SLIP], ["u3"]), lane.crossing(9, ["u3"]))
    with pytest.raises(CentreRefused, match="no use"):
        centre.release_use(bench.archive, device, use_id, BY, AT)
    with pytest.raises(CentreRefused, match="an officer and a reason"):
        centre.release_use(bench.archive, "lane-in", "u2", By((), ""), AT)
    assert bench.archive.acts(10) == ()


def test_a_use_that_stays_open_for_hours_is_told_once(bench: Bench, lane: Device) -> None:
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"]))
    for day in (0, 1, 2):
        bench.receiver.tick(f"2026-02-0{day + 1}T00:00:00.000000Z")
    ((detail,),) = bench.rows("SELECT detail FROM hub_alarms WHERE code = 'grant_old'")
    assert detail == (
        f"use u1 of passage 7, slip {SLIP}: told of at {AT}, it stands on no grant, and nothing has ended it"
    )


def undone(step: int) -> str:
    """SQL that takes away what later schema steps made."""
    later = "".join(sql for _, sql in schema_steps()[step:])
    tables = list(dict.fromkeys(re.findall(r"CREATE TABLE (\w+)", later)))
    indexes = [name for name, of in re.findall(r"CREATE INDEX (\w+) ON (\w+)", later) if of not in tables]
    return "".join([f"DROP TABLE {name};" for name in tables] + [f"DROP INDEX {name};" for name in indexes])


@ON_SQLITE
def test_open_uses_of_an_older_archive_stand_on_their_passages_grants(
    bench: Bench, lane: Device, other: Device
) -> None:
    """Schema step 8: until then a use did not say what it stands on."""
    put(bench, slip(uses=2), slip(OTHER_SLIP, uses=2))
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.ruling(7, [SLIP], ["u1"], "c1"), lane.ruling(8, [OTHER_SLIP], ["u2"]))
    bench.ask(other, "c2", 3, OTHER_SLIP)
    tell(bench, other, other.ruling(3, [OTHER_SLIP], ["u3"], "c2"))
    centre.release_claim(bench.archive, "c2", BY, AT)
    bench.archive.close()
    db = sqlite3.connect(bench.path)
    db.executescript(undone(8))
    db.executescript(
        "DROP INDEX uses_open; ALTER TABLE uses DROP COLUMN told_utc; UPDATE uses SET claim_id = '';"
        "PRAGMA user_version = 7;"
    )
    db.close()
    bench.open()
    assert [bench.archive.uses_of(number).taken for number in (SLIP, OTHER_SLIP)] == [1, 1]
    (seen,) = centre.open_uses(bench.archive, at(60))
    assert (seen.use.use_id, seen.use.told_utc) == ("u2", AT)


# --- whatever the order -----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_any_order_of_claims_and_facts_no_more_is_granted_than_allowed_and_double_uses_are_alarmed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Two lanes, one slip of two uses, five passages: claims and facts of each arrive in any order."""
    lanes = [Device(), Device("lane-out")]
    bench = Bench(tmp_path_factory.mktemp("hub"), *lanes)
    put(bench, slip(uses=2))
    steps: list[Callable[[], object]] = []
    crossed = 0
    for number in range(5):
        device = lanes[number % 2]
        claim_id, use_id = f"c{number}", f"u{number}"
        end = data.draw(st.sampled_from(["crossed", "returned", "open", "offline", "reserved"]))
        if end not in ("offline", "reserved"):
            steps.append(lambda d=device, c=claim_id, n=number: bench.ask(d, c, n + 1))  # type: ignore[misc]
        facts: list[Fact] = []
        match end:
            case "crossed":
                facts = [device.ruling(number + 1, [SLIP], [use_id], claim_id)]
                facts.append(device.crossing(number + 1, [use_id], claim_id))
            case "offline":
                facts = [device.ruling(number + 1, [SLIP], [use_id]), device.crossing(number + 1, [use_id])]
            case "reserved":
                facts = [device.ruling(number + 1, [SLIP], [use_id])]
            case "returned":
                facts = [device.say(UsesReturned(number + 1, (), claim_id, "held"))]
            case _:
                pass
        crossed += end in ("crossed", "offline")
        steps += [lambda d=device, f=fact: tell(bench, d, f) for fact in facts]  # type: ignore[misc]
    grants: set[str] = set()
    for step in data.draw(st.permutations(steps)):
        told = bench.rows(
            "SELECT count(*) FROM uses WHERE claim_id = '' AND slip_no <> '' AND state <> 'returned'"
        )[0][0]
        step()
        granted = {c for (c,) in bench.rows("SELECT claim_id FROM claim_slips WHERE state = 'granted'")}
        assert len(granted) <= 2
        if granted - grants:
            assert told + len(granted) <= 2
        grants |= granted
    assert len(bench.archive.uses_of(SLIP).crossed) == crossed
    double = [
        detail for code, detail in bench.rows("SELECT code, detail FROM hub_alarms") if code == "double_use"
    ]
    assert any(f"crossed {crossed} times" in detail for detail in double) == (crossed > 2)
    bench.archive.close()
