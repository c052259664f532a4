"""Commands at the hub: signed for the connection of now, said until answered, kept; claims ended by hand;
inspection orders and what facts tell of them (S4, S8, G10, G11)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub import centre
from sync.hub.archive import RecordChange
from sync.hub.centre import By, CentreRefused
from sync.hub.commanding import AT_ONCE
from sync.hub.terms import Outgoing
from sync.link.messages import ClaimVerdict, Context, Status
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.commands import (
    Act,
    AskStatus,
    BoardText,
    Command,
    CommandResult,
    LaneClose,
    ManualRelease,
    Outcome,
    Revoke,
)
from sync.vocabulary.facts import (
    CommandTaken,
    FindingMade,
    InspectionMade,
    OrderTaken,
    PassageClosed,
    PassageOpened,
    RulingMade,
    UsesReturned,
)
from sync.vocabulary.numbers import SlipNo, UtcText
from sync.vocabulary.records import InspectionOrder, Officer, OrderCause
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_claims import put, slip, tell
from tests.unit.test_hub_device import AT, SLIP, TOPICS, Bench, Device, at, opened

BY = By(("4604001",), "checked on camera")
NONCE, OTHER_NONCE = "1" * 32, "2" * 32


@pytest.fixture
def lane() -> Device:
    return Device()


@pytest.fixture
def other() -> Device:
    return Device("lane-out")


@pytest.fixture
def bench(place: Place, lane: Device, other: Device) -> Bench:
    bench = Bench(place, lane, other)
    put(bench, slip())
    return bench


def connect(
    bench: Bench, device: Device, nonce: str = NONCE, seconds: int = 0, *, online: bool = True
) -> None:
    """Its status comes, and is written."""
    status = Status(device=device.name, online=online, nonce=nonce if online else "", time=at(seconds))
    bench.receiver.receive(TOPICS.status(device.name), device.payload(Context.STATUS, status), at(seconds))
    bench.receiver.tick(at(seconds))


def give(
    bench: Bench, act: Act, device: str = "lane-in", *, valid_s: int = 30, command_id: str = "command-1"
) -> str:
    row = centre.give(
        bench.archive, device, act, BY, valid_s=valid_s, at_utc=at(0), new_id=lambda: command_id
    )
    return row.command_id


def said(outgoing: list[Outgoing]) -> list[Command]:
    return [opened(message, Context.COMMAND, Command) for message in outgoing]


def answer(
    bench: Bench,
    device: Device,
    outcome: Outcome = Outcome.DONE,
    why: str = "",
    *,
    command_id: str = "command-1",
    seconds: int = 1,
) -> None:
    told = CommandResult(command_id=command_id, device=device.name, outcome=outcome, why=why)
    payload = device.payload(Context.RESULT, told)
    assert bench.receiver.receive(TOPICS.result(device.name), payload, at(seconds)) == []


def state(bench: Bench, command_id: str = "command-1") -> tuple[str, str]:
    row = bench.archive.command(command_id)
    assert row is not None
    return row.state, row.why


# --- down -------------------------------------------------------------------------------------------------


def test_a_command_is_signed_for_the_connection_of_now_and_addressed(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, ManualRelease(passage=7))
    (message,) = bench.receiver.commands(at(1))
    assert (message.topic, message.retain, message.connection) == (TOPICS.command("lane-in"), False, "alarm")
    (command,) = said([message])
    assert command == Command(
        command_id="command-1",
        device="lane-in",
        nonce=NONCE,
        issued=UtcText(at(1)),
        valid_s=29,
        officers=("4604001",),
        reason="checked on camera",
        act=ManualRelease(passage=7),
    )
    assert state(bench) == ("sent", "")


def test_nothing_is_said_to_a_device_that_hears_nothing(bench: Bench, lane: Device) -> None:
    give(bench, AskStatus())
    assert bench.receiver.commands(at(1)) == []
    connect(bench, lane, online=False)
    assert bench.receiver.commands(at(2)) == []
    connect(bench, lane, seconds=3)
    assert len(bench.receiver.commands(at(3))) == 1


def test_it_is_said_again_every_second_until_it_is_answered(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, AskStatus())
    times = [len(bench.receiver.commands(at(second))) for second in range(1, 5)]
    assert times == [1, 1, 1, 1]
    answer(bench, lane, seconds=5)
    assert bench.receiver.commands(at(6)) == []
    assert state(bench) == ("done", "")


def test_within_a_second_it_is_said_once_whoever_asks(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, AskStatus())
    assert len(bench.receiver.commands(at(1))) == 1
    bench.restart()
    assert bench.receiver.commands(at(1)) == []


def test_of_two_workers_that_see_it_together_one_says_it(bench: Bench) -> None:
    give(bench, AskStatus())
    with bench.archive.transaction():
        first = bench.archive.command_said("command-1", NONCE, before_utc=at(0), now_utc=at(1))
        again = bench.archive.command_said("command-1", NONCE, before_utc=at(0), now_utc=at(1))
        later = bench.archive.command_said("command-1", NONCE, before_utc=at(1), now_utc=at(2))
    assert (first, again, later) == (True, False, True)


def test_after_a_restart_of_the_hub_it_goes_on_being_said(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, AskStatus())
    bench.receiver.commands(at(1))
    bench.restart()
    (command,) = said(bench.receiver.commands(at(3)))
    assert (command.command_id, command.nonce) == ("command-1", NONCE)


def test_a_new_connection_hears_it_again_while_it_is_good_and_not_after(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, AskStatus(), valid_s=10)
    bench.receiver.commands(at(1))
    connect(bench, lane, OTHER_NONCE, 2)
    assert [command.nonce for command in said(bench.receiver.commands(at(2)))] == [OTHER_NONCE]
    connect(bench, lane, "3" * 32, 11)
    assert bench.receiver.commands(at(11)) == []


def test_what_is_accepted_is_asked_after_now_and_then(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, LaneClose())
    bench.receiver.commands(at(1))
    answer(bench, lane, Outcome.ACCEPTED, "when the arm is down", seconds=1)
    times = [len(bench.receiver.commands(at(second))) for second in range(2, 12)]
    assert times == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    answer(bench, lane, Outcome.DONE, seconds=12)
    assert state(bench) == ("done", "")


@ON_SQLITE
def test_what_was_accepted_and_never_done_stays_so_and_stands_in_nobodys_way(
    bench: Bench, lane: Device
) -> None:
    connect(bench, lane)
    with bench.archive.transaction():
        for number in range(AT_ONCE):
            give(bench, LaneClose(), command_id=f"closing-{number}", valid_s=10)
            bench.archive.settle_command(f"closing-{number}", "lane-in", "accepted", "", at(1))
    assert bench.receiver.commands(at(60)) == []
    row = centre.give(bench.archive, "lane-in", AskStatus(), By((), ""), valid_s=30, at_utc=at(60))
    assert [command.command_id for command in said(bench.receiver.commands(at(61)))] == [row.command_id]
    assert state(bench, "closing-0") == ("accepted", "")


@pytest.mark.parametrize(("connected", "why"), [(True, "no answer"), (False, "the device was not connected")])
def test_what_nobody_answered_in_its_time_expires(
    bench: Bench, lane: Device, connected: bool, why: str
) -> None:
    connect(bench, lane, online=connected)
    give(bench, AskStatus(), valid_s=10)
    bench.receiver.commands(at(1))
    bench.receiver.commands(at(14))
    assert state(bench)[0] in ("sent", "waiting")
    bench.receiver.commands(at(16))
    assert state(bench) == ("expired", why)
    answer(bench, lane, Outcome.DONE, seconds=17)
    assert state(bench) == ("done", "")


def test_a_command_nobody_can_read_any_more_is_refused_and_stops_nothing(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, AskStatus())
    give(bench, AskStatus(), command_id="command-2")
    with bench.archive.transaction():
        row = bench.archive.command("command-1")
        assert row is not None
        bench.archive.add_command(row._replace(command_id="command-3", body='{"type":"dance"}'))
    heard = {command.command_id for command in said(bench.receiver.commands(at(1)))}
    assert heard == {"command-1", "command-2"}
    assert state(bench, "command-3")[0] == "refused"


# --- results ----------------------------------------------------------------------------------------------


def test_the_first_last_word_stays(bench: Bench, lane: Device) -> None:
    give(bench, AskStatus())
    answer(bench, lane, Outcome.DONE)
    answer(bench, lane, Outcome.REFUSED, "too late")
    answer(bench, lane, Outcome.ACCEPTED)
    assert state(bench) == ("done", "")


def test_the_fact_settles_what_no_result_told_of(bench: Bench, lane: Device) -> None:
    give(bench, ManualRelease(passage=7))
    fact = lane.say(
        CommandTaken(
            command_id="command-1", kind="manual_release", passage=7, outcome="refused", why="not held"
        )
    )
    tell(bench, lane, fact)
    assert state(bench) == ("refused", "not held")


def test_nobody_answers_for_another_device(bench: Bench, lane: Device, other: Device) -> None:
    give(bench, AskStatus())
    answer(bench, other, Outcome.DONE)
    assert state(bench) == ("waiting", "")
    assert bench.alarms() == ["command_foreign"]
    for number in range(5):
        answer(bench, lane, Outcome.DONE, command_id=f"never-given-{number}")
    assert bench.alarms() == ["command_foreign", "command_foreign"], (
        "the first of each device, the rest counted"
    )
    assert bench.receiver.counts.refused == 6


def test_a_result_that_is_forged_or_of_another_or_too_long_is_refused(
    bench: Bench, lane: Device, other: Device
) -> None:
    give(bench, AskStatus())
    good = CommandResult(command_id="command-1", device="lane-in", outcome=Outcome.DONE)
    for payload in (
        other.payload(Context.RESULT, good),
        lane.payload(Context.STATUS, good),
        lane.payload(Context.RESULT, msgspec.structs.replace(good, device="lane-out")),
        lane.payload(Context.RESULT, {**from_json(to_json(good), dict), "why": "x" * 201}),
        b"x" * 9_000,
        b"\xff",
    ):
        assert bench.receiver.receive(TOPICS.result("lane-in"), payload, AT) == []
    assert bench.alarms() == ["forged", "wrong_device", "malformed", "oversized"]
    assert state(bench) == ("waiting", "")


def test_a_revoked_device_may_still_say_that_it_stopped_and_nothing_else(bench: Bench, lane: Device) -> None:
    connect(bench, lane)
    give(bench, Revoke())
    assert len(bench.receiver.commands(at(1))) == 1
    connect(bench, lane, OTHER_NONCE, 2)
    assert [command.nonce for command in said(bench.receiver.commands(at(2)))] == [OTHER_NONCE]
    answer(bench, lane, Outcome.DONE)
    assert state(bench) == ("done", "")
    assert bench.receiver.receive(TOPICS.claim("lane-in"), lane.claim("c1", 7), AT) == []
    assert bench.alarms() == ["device_revoked"]


# --- what the centre may write down -----------------------------------------------------------------------


def test_what_makes_no_sense_is_not_written_down(bench: Bench) -> None:
    with pytest.raises(CentreRefused, match="not enrolled"):
        give(bench, AskStatus(), "lane-9")
    with pytest.raises(CentreRefused, match="expected an officer and a reason"):
        centre.give(bench.archive, "lane-in", LaneClose(), By((), ""), valid_s=30, at_utc=AT)
    with pytest.raises(CentreRefused, match="valid_s"):
        give(bench, AskStatus(), valid_s=301)
    assert bench.archive.last_commands(10) == ()


def test_commands_are_listed_with_who_gave_them(bench: Bench) -> None:
    give(bench, BoardText(preset=1))
    (row,) = bench.archive.last_commands(10)
    told = centre.told(row)
    assert (told["kind"], told["officers"], told["reason"]) == (
        "board_text",
        ["4604001"],
        "checked on camera",
    )
    assert told["act"]["preset"] == 1


def test_waiting_for_an_answer_ends_with_it_or_with_its_time(bench: Bench, lane: Device) -> None:
    give(bench, AskStatus())
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            answer(bench, lane)

    assert centre.answered(bench.archive, "command-1", within_s=1.0, sleep=sleep).state == "done"
    give(bench, AskStatus(), command_id="command-2")
    waits.clear()
    late = centre.answered(bench.archive, "command-2", within_s=1.0, sleep=waits.append)
    assert (late.state, round(sum(waits), 2)) == ("waiting", 1.0)


def hold(lane: Device, passage: int) -> RulingMade:
    return RulingMade(
        passage=passage,
        ruling=Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER, "25000"),)),
        direction="I",
        ways=("back_out", "release"),
    )


def test_who_is_held_is_read_from_the_facts(bench: Bench, lane: Device) -> None:
    assert centre.held_now(bench.archive, "lane-in") is None
    facts = [lane.say(PassageOpened(7)), lane.say(hold(lane, 7))]
    tell(bench, lane, *facts)
    connect(bench, lane)
    seen = centre.lane(bench.archive, "lane-in")
    assert (seen.held, seen.reasons, seen.hears) == (7, ("weight_over",), True)
    tell(bench, lane, lane.say(PassageClosed(passage=7, outcome="backed_out", lane_s=9.0)))
    assert centre.held_now(bench.archive, "lane-in") is None


# --- claims (S4) ------------------------------------------------------------------------------------------


def days(number: float) -> str:
    moment = datetime(2026, 1, 31, 8, tzinfo=UTC) + timedelta(days=number)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_lane_that_falls_silent_keeps_its_grant_for_days_and_is_told_of_once(
    bench: Bench, lane: Device, other: Device
) -> None:
    """S4: a grant ends by facts or by an officer, never by time."""
    assert bench.ask(lane, "c1", 7).verdict is ClaimVerdict.GRANTED
    for hour in range(0, 24 * 9, 6):
        bench.receiver.tick(days(hour / 24))
    bench.restart()
    bench.receiver.tick(days(10))
    assert bench.ask(other, "c2", 3).verdict is ClaimVerdict.REFUSED
    assert bench.alarms() == ["grant_old"]
    ((detail,),) = bench.rows("SELECT detail FROM hub_alarms")
    assert detail == (f"claim c1 of passage 7, slips {SLIP}: granted at {AT}, and nothing has ended it")


def test_open_grants_are_listed_with_their_age(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(lane, "c1", 7)
    bench.ask(other, "c2", 3)
    (seen,) = centre.open_grants(bench.archive, days(2))
    assert (seen.grant.claim_id, seen.grant.device, seen.grant.passage) == ("c1", "lane-in", 7)
    assert (seen.grant.slip_nos, seen.age_s) == ((SLIP,), 2 * 86_400.0)
    tell(bench, lane, lane.crossing(7, ("u1",), "c1"))
    assert centre.open_grants(bench.archive, days(2)) == ()


def test_what_the_lane_withdrew_comes_back(bench: Bench, lane: Device, other: Device) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.say(UsesReturned(7, (), "c1", "no answer in time")))
    assert centre.open_grants(bench.archive, AT) == ()
    assert bench.ask(other, "c2", 3).verdict is ClaimVerdict.GRANTED


def test_an_officer_ends_a_grant_and_it_is_written_down_who(
    bench: Bench, lane: Device, other: Device
) -> None:
    bench.ask(lane, "c1", 7)
    assert centre.release_claim(bench.archive, "c1", BY, at(5)) == (SLIP,)
    assert bench.ask(other, "c2", 3).verdict is ClaimVerdict.GRANTED
    (act,) = bench.archive.acts(10)
    assert (act.act, act.subject, act.officers, act.reason) == ("release_claim", "c1", BY.officers, BY.reason)
    again = bench.ask(lane, "c1", 7)
    assert (again.verdict, again.why) == (ClaimVerdict.REFUSED, "claim was returned")


def test_the_lanes_own_word_comes_after_the_officers_and_a_double_use_is_told(
    bench: Bench, lane: Device, other: Device
) -> None:
    bench.ask(lane, "c1", 7)
    centre.release_claim(bench.archive, "c1", BY, at(5))
    bench.ask(other, "c2", 3)
    tell(bench, other, other.crossing(3, ("u1",), "c2"))
    assert bench.alarms() == []
    tell(bench, lane, lane.crossing(7, ("u1",), "c1"))
    assert bench.alarms() == ["double_use"]


@pytest.mark.parametrize("claim_id", ["c1", "c2", "c9"])
def test_only_an_open_grant_is_ended_by_hand(
    bench: Bench, lane: Device, other: Device, claim_id: str
) -> None:
    bench.ask(lane, "c1", 7)
    tell(bench, lane, lane.crossing(7, ("u1",), "c1"))
    bench.ask(other, "c2", 3)
    with pytest.raises(CentreRefused, match=r"not open|no claim"):
        centre.release_claim(bench.archive, claim_id, BY, at(5))
    with pytest.raises(CentreRefused, match="an officer and a reason"):
        centre.release_claim(bench.archive, claim_id, By((), ""), at(5))
    assert bench.archive.acts(10) == ()


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "again", "cross", "return", "officer", "restart"]),
        st.integers(0, 1),
        st.integers(1, 3),
    ),
    max_size=25,
)


@given(calls=CALLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_two_lanes_and_one_slip_never_two_hold_it_at_once(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, int, int]]
) -> None:
    """S4: whatever lanes ask, ask again, tell and leave untold, whatever officers end."""
    devices = (Device(), Device("lane-out"))
    bench = Bench(tmp_path_factory.mktemp("claims"), *devices)
    put(bench, slip())
    holding: set[tuple[int, int]] = set()
    crossed = False
    ended: set[tuple[int, int]] = set()
    for what, index, number in calls:
        lane, claim_id, who = devices[index], f"c{index}-{number}", (index, number)
        match what:
            case "ask" | "again":
                granted = bench.ask(lane, claim_id, number).verdict is ClaimVerdict.GRANTED
                assert not (granted and who in ended)
                holding |= {who} if granted else set()
            case "cross" if who in holding:
                tell(bench, lane, lane.crossing(number, (f"u{number}",), claim_id))
                crossed = True
            case "return" if who in holding and not crossed:
                tell(bench, lane, lane.say(UsesReturned(number, (), claim_id, "backed out")))
                holding.discard(who)
                ended.add(who)
            case "officer" if who in holding and not crossed:
                centre.release_claim(bench.archive, claim_id, BY, at(5))
                holding.discard(who)
                ended.add(who)
            case "restart":
                bench.restart()
            case _:
                pass
        assert len(holding) <= 1
    assert "double_use" not in bench.alarms()
    bench.archive.close()


# --- inspection orders ------------------------------------------------------------------------------------


def order(order_no: str = "XD-1", **changes: object) -> InspectionOrder:
    made = InspectionOrder(
        order_no=order_no,
        slip_no=SlipNo(SLIP),
        cause=OrderCause.SPOT_CHECK,
        drawn_day="2026-01-31",
        drawn_per_mille=100,
        issued=UtcText(AT),
        issued_by="4604001",
    )
    return msgspec.structs.replace(made, **changes)


def test_an_order_is_a_record_and_its_state_is_what_facts_tell(bench: Bench, lane: Device) -> None:
    number = centre.issue_order(bench.archive, "site", order(), BY)
    assert [
        row.key for row in bench.archive.log_after("site", bench.archive.scopes()[0].epoch, number - 1)
    ] == ["XD-1"]
    told: list[str] = []
    who = Officer(
        officer_no="4604007",
        authorisations=("inspect",),
        public_key=base64.b64encode(bytes(32)).decode(),
        valid_until=UtcText("2027-01-01T00:00:00Z"),
    )
    with bench.archive.transaction():
        change = RecordChange("officers", "4604007", to_json(who).decode())
        bench.archive.apply_changes("site", [change], AT)
    for data in (
        OrderTaken(order_no="XD-1", officers=("4604007",)),
        InspectionMade(order_no="XD-1", officers=("4604007",), waybill_nos=("SF1",), method="opened"),
        FindingMade(order_no="XD-1", officers=("4604007",), finding="nothing", handling="released"),
    ):
        told += [seen.state for seen in centre.orders(bench.archive, "site")]
        tell(bench, lane, lane.say(data))
    (seen,) = centre.orders(bench.archive, "site")
    assert [*told, seen.state] == ["issued", "taken", "inspected", "found"]
    assert [step.split()[0] for step in seen.steps] == ["taken", "inspected", "found"]
    assert bench.alarms() == []


def test_an_order_is_withdrawn_and_who_goes_on_with_it_is_told_of(bench: Bench, lane: Device) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    centre.withdraw_order(bench.archive, "site", "XD-1", BY, at(5))
    assert [seen.state for seen in centre.orders(bench.archive, "site")] == ["withdrawn"]
    tell(bench, lane, lane.say(OrderTaken(order_no="XD-1", officers=("4604007",))))
    tell(bench, lane, lane.say(OrderTaken(order_no="XD-9", officers=("4604007",))))
    assert bench.alarms() == ["order_unknown", "order_unknown"]
    assert [act.act for act in bench.archive.acts(10)] == ["withdraw_order", "issue_order"]


def test_the_same_order_is_issued_once_and_never_changed(bench: Bench) -> None:
    first = centre.issue_order(bench.archive, "site", order(), BY)
    assert centre.issue_order(bench.archive, "site", order(), BY) == first
    with pytest.raises(CentreRefused, match="says something else"):
        centre.issue_order(bench.archive, "site", order(drawn_per_mille=200), BY)
    with pytest.raises(CentreRefused, match="no order"):
        centre.withdraw_order(bench.archive, "site", "XD-9", BY, at(5))
    assert len(bench.archive.acts(10)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"order_no": ""},
        {"slip_no": None},
        {"drawn_per_mille": 1_001},
        {"officers_needed": 0},
        {"instructions_zh": "查" * 401},
    ],
)
def test_an_order_says_what_is_to_be_inspected_within_bounds(changes: dict[str, object]) -> None:
    value = {**from_json(to_json(order()), dict), **changes}
    with pytest.raises(Malformed):
        from_json(to_json(value), InspectionOrder)
