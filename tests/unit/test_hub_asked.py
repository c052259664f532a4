"""What officers ask of the centre with a handheld: the lane is told once, by whom it may be; a failed sample
opens a recall; nobody takes an order another one has (S8)."""

from __future__ import annotations

import base64
import hashlib
import itertools
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.hub import centre
from sync.hub.archive import CommandRow, RecordChange
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.commands import ManualRelease, Outcome, RequestAnswered, Supplement
from sync.vocabulary.facts import FindingMade, InspectionMade, OrderTaken, Stream
from sync.vocabulary.handheld_facts import DraftDropped, LaboratoryResult, RecallAsked, ReleaseAsked
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import (
    InspectionMethod,
    Officer,
    OfficerState,
    OrderStanding,
    Recall,
    Site,
    key_of,
)
from sync.vocabulary.release_codes import ReleaseCode, body_of, signed_bytes, text_of
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_claims import put, slip
from tests.unit.test_hub_commands import BY, NONCE, OTHER_NONCE, answer, connect, order, said
from tests.unit.test_hub_device import Bench, Device, at

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ALL = ("manual_release", "supplement", "inspect")


def officer(number: str = "4604001", key: Ed25519PrivateKey = KEY, **changes: Any) -> Officer:
    fields: dict[str, Any] = {
        "officer_no": number,
        "authorisations": ALL,
        "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "valid_until": UtcText("2027-01-01T00:00:00Z"),
    }
    return Officer(**{**fields, **changes})


def code(number: str = "4604001", key: Ed25519PrivateKey = KEY, **changes: Any) -> str:
    fields: dict[str, Any] = {
        "lane": "lane-in", "passage": 7, "officer": number, "reason": "车牌污损", "issued": UtcText(at(0)),
    }  # fmt: skip
    body = body_of(ReleaseCode(**{**fields, **changes}))
    return text_of(body, key.sign(signed_bytes(body)))


@pytest.fixture
def handheld() -> Device:
    return Device("handheld-1")


@pytest.fixture
def lane() -> Device:
    return Device()


@pytest.fixture
def bench(place: Place, lane: Device, handheld: Device) -> Bench:
    bench = Bench(place, lane, handheld)
    put(bench, slip())
    roster(bench, officer(), officer("4604002", OTHER_KEY))
    connect(bench, lane, NONCE)
    connect(bench, handheld, OTHER_NONCE)
    return bench


def roster(bench: Bench, *officers: Officer) -> None:
    changes = [RecordChange("officers", each.officer_no, to_json(each).decode()) for each in officers]
    with bench.archive.transaction():
        bench.archive.apply_changes("site", changes, at(0))


def ask(bench: Bench, handheld: Device, text: str, second: str = "", *, seconds: int = 1) -> None:
    fact = handheld.say(ReleaseAsked(code=text, second_code=second), Stream.ALARM)
    assert bench.facts(handheld, handheld.batch([fact]), Stream.ALARM, at(seconds))


def given(bench: Bench, kind: str = "") -> list[CommandRow]:
    rows = [
        row for row in bench.archive.last_commands(20) if row.kind in (kind, "manual_release", "supplement")
    ]
    return rows if not kind else [row for row in rows if row.kind == kind]


def answers(bench: Bench) -> list[tuple[str, str, str]]:
    """Device, outcome and why of what was answered, oldest first."""
    rows = [row for row in bench.archive.last_commands(20) if row.kind == "request_answered"]
    acts = [(row, from_json(row.body, RequestAnswered)) for row in reversed(rows)]
    return sorted((row.device, act.outcome, act.why) for row, act in acts)


def test_the_lane_is_told_in_the_officers_name_and_the_handheld_hears_so_at_once(
    bench: Bench, handheld: Device
) -> None:
    text = code()
    ask(bench, handheld, text)
    commands = {command.device: command for command in said(bench.receiver.commands(at(1)))}
    lanes, hands = commands["lane-in"], commands["handheld-1"]
    assert (lanes.act, lanes.officers, lanes.reason, lanes.valid_s) == (
        ManualRelease(passage=7), ("4604001",), "车牌污损", 59,
    )  # fmt: skip
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert hands.act == RequestAnswered(code_sha256=sha256, outcome="given")


@ON_SQLITE
def test_one_code_has_one_text_and_another_of_it_is_no_command(bench: Bench, handheld: Device) -> None:
    text = code()
    ask(bench, handheld, text)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ask(bench, handheld, text[:-1] + alphabet[alphabet.index(text[-1]) + 1])
    assert len(given(bench)) == 1
    assert [outcome for _, outcome, _ in answers(bench)] == ["given", "refused"]


@pytest.mark.parametrize(
    ("changes", "act"),
    [
        ({"action": "aside"}, ManualRelease(passage=7, aside=True)),
        (
            {"action": "supplement", "field": "plate", "value": "豫A12345"},
            Supplement(passage=7, field="plate", value="豫A12345"),
        ),
    ],
)
def test_aside_and_supplement_are_commands_of_their_own(
    bench: Bench, handheld: Device, changes: dict[str, Any], act: Any
) -> None:
    ask(bench, handheld, code(**changes))
    (lanes,) = [each for each in said(bench.receiver.commands(at(1))) if each.device == "lane-in"]
    assert lanes.act == act


def test_the_same_code_is_never_two_commands(bench: Bench, handheld: Device) -> None:
    ask(bench, handheld, code())
    ask(bench, handheld, code())
    handheld.begin("f" * 32)
    ask(bench, handheld, code())
    assert (len(given(bench)), answers(bench)) == (1, [("handheld-1", "given", "")])


def test_of_two_codes_about_one_passage_the_one_signed_last_is_what_is_wanted(
    bench: Bench, handheld: Device
) -> None:
    """Facts may come in another order than they were said. A lane does what still stands there: once it has
    let the vehicle go, the other is refused by itself."""
    wrong = code(action="supplement", field="plate", value="豫A12345", issued=UtcText(at(0)))
    right = code(action="supplement", field="plate", value="豫A54321", issued=UtcText(at(2)))
    ask(bench, handheld, right, seconds=3)
    ask(bench, handheld, wrong, seconds=4)
    assert [from_json(row.body, Supplement).value for row in given(bench)] == ["豫A54321"]
    assert [(outcome, "later code" in why) for _, outcome, why in answers(bench)] == [
        ("given", False), ("refused", True),
    ]  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize(
    "other",
    [{"passage": 8}, {"number": "4604002", "key": OTHER_KEY}, {"issued": UtcText(at(5)), "reason": "again"}],
)
def test_each_other_code_is_a_command_of_its_own(
    bench: Bench, handheld: Device, other: dict[str, Any]
) -> None:
    ask(bench, handheld, code(issued=UtcText(at(2))), seconds=6)
    ask(bench, handheld, code(**other), seconds=6)
    assert len(given(bench)) == 2


def test_what_the_lane_says_in_the_end_is_told_to_who_asked(
    bench: Bench, lane: Device, handheld: Device
) -> None:
    ask(bench, handheld, code())
    (row,) = given(bench)
    bench.receiver.commands(at(1))
    answer(bench, lane, Outcome.ACCEPTED, "it waits for a second officer", command_id=row.command_id)
    answer(bench, lane, Outcome.DONE, command_id=row.command_id)
    assert answers(bench) == [
        ("handheld-1", "accepted", "it waits for a second officer"),
        ("handheld-1", "done", ""),
        ("handheld-1", "given", ""),
    ]


def test_a_lane_that_does_not_answer_is_told_as_not_done(bench: Bench, handheld: Device) -> None:
    ask(bench, handheld, code())
    bench.receiver.commands(at(1))
    bench.receiver.commands(at(70))
    assert answers(bench)[-1] == ("handheld-1", "refused", "no answer")


def test_two_officers_are_one_command_in_both_names(bench: Bench, handheld: Device) -> None:
    ask(bench, handheld, code(), code("4604002", OTHER_KEY))
    assert [row.officers for row in given(bench)] == [("4604001", "4604002")]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too old": ({"text": code(issued=UtcText("2026-01-31T07:58:59Z"))}, "kept, and not given"),
    "from the future": ({"text": code(issued=UtcText("2026-01-31T08:01:00Z"))}, "kept, and not given"),
    "another's key": ({"text": code(key=OTHER_KEY)}, "the signature is not officer 4604001's"),
    "nobody": ({"text": code("4604009")}, "officer 4604009 is not rostered"),
    "no lane": ({"text": code(lane="lane-9")}, "no lane lane-9"),
    "not a code": ({"text": "KKR1:xx"}, "expected a body and a signature"),
    "no code at all": ({"text": ""}, "expected a release code"),
    "no first code": ({"text": "", "second": code()}, "expected a release code"),
    "one officer twice": ({"text": code(), "second": code(reason="again")}, "of one officer"),
    "two passages": (
        {"text": code(), "second": code("4604002", OTHER_KEY, passage=8)},
        "do not say the same",
    ),
    "second forged": ({"text": code(), "second": code("4604002", KEY)}, "not officer 4604002's"),
}


@ON_SQLITE
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_to_be_believed_is_kept_answered_and_no_lane_is_told(
    bench: Bench, handheld: Device, name: str
) -> None:
    asked, says = REFUSED[name]
    ask(bench, handheld, asked["text"], asked.get("second", ""))
    assert given(bench) == []
    ((device, outcome, why),) = answers(bench)
    assert (device, outcome) == ("handheld-1", "refused")
    assert says in f"{outcome} {why}"
    assert bench.stored()[-1][0] == "alarm"


@ON_SQLITE
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": OfficerState.REVOKED}, "is not active"),
        ({"valid_until": UtcText("2026-01-31T07:00:00Z")}, "is not active"),
        ({"authorisations": ("supplement",)}, "no authorisation manual_release"),
    ],
)
def test_an_officer_who_may_not_is_refused(
    bench: Bench, handheld: Device, changes: dict[str, Any], says: str
) -> None:
    roster(bench, officer(**changes))
    ask(bench, handheld, code())
    assert given(bench) == []
    assert says in answers(bench)[0][2]


def test_a_revoked_lane_is_told_nothing(bench: Bench, handheld: Device) -> None:
    with bench.archive.transaction():
        bench.archive.revoke("lane-in")
    ask(bench, handheld, code())
    assert given(bench) == []


# --- recalls ------------------------------------------------------------------------------------------------


def result(**changes: Any) -> LaboratoryResult:
    made = LaboratoryResult(
        sample_no="S-0412",
        order_no="XD-1",
        officers=("4604001",),
        passed=False,
        report_no="LIMS-118",
        found="铅 0.9 mg/kg",
        handling="destroyed",
        recall=RecallAsked(reason_zh="铅超标", reason_en="lead", skus=("SKU-1",), batch_nos=("B7",)),
    )
    return msgspec.structs.replace(made, **changes)


def tell(bench: Bench, handheld: Device, data: Any) -> None:
    fact = handheld.say(data)
    assert bench.facts(handheld, handheld.batch([fact]), at_utc=at(2))


def recalls(bench: Bench) -> list[Recall]:
    keys = sorted(bench.archive.record_keys("site", "recalls"))
    return [from_json(bench.archive.record("recalls", key, "site") or "", Recall) for key in keys]


def test_a_failed_result_opens_the_recall_it_names_with_its_cause(bench: Bench, handheld: Device) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, result())
    (recall,) = recalls(bench)
    assert (recall.recall_no, recall.skus, recall.batch_nos, recall.issued) == (
        "LAB-S-0412", ("SKU-1",), ("B7",), at(2),
    )  # fmt: skip
    assert recall.cause == "laboratory LIMS-118, sample S-0412, order XD-1, officer 4604001, handheld-1"
    assert [act.act for act in bench.archive.acts(1)] == ["open_recall"]
    tell(bench, handheld, result(report_no="LIMS-119", found="another word about the same sample"))
    assert (recalls(bench), bench.alarms().count("recall_opened")) == ([recall], 1)
    row = bench.rows("SELECT key FROM log WHERE collection = 'recalls'")
    assert row == [(key_of(recall),)]


@ON_SQLITE
@pytest.mark.parametrize(
    "changes",
    [
        {"order_no": "XD-9"},
        {"officers": ("4604009",)},
        {"officers": ()},
        {"recall": RecallAsked(reason_zh="", reason_en="", waybill_nos=("?",))},
        {"recall": RecallAsked(reason_zh="", reason_en="")},
    ],
)
def test_what_may_not_or_names_nothing_opens_no_recall_and_is_an_alarm(
    bench: Bench, handheld: Device, changes: dict[str, Any]
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, result(**changes))
    assert recalls(bench) == []
    assert bench.alarms().count("recall_not_opened") == 1


def test_a_passed_result_opens_none(bench: Bench, handheld: Device) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, result(passed=True))
    assert (recalls(bench), bench.alarms()) == ([], [])


# --- who has which order ------------------------------------------------------------------------------------


def standing(bench: Bench) -> tuple[str, tuple[str, ...], str] | None:
    body = bench.archive.record("order_standings", "XD-1", "site")
    found = None if body is None else from_json(body, OrderStanding)
    return None if found is None else (found.step, found.officers, found.device)


def test_who_has_an_order_in_hand_goes_down_as_a_record_and_never_back_a_step(
    bench: Bench, lane: Device, handheld: Device
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, OrderTaken(order_no="XD-1", officers=("4604001",)))
    assert standing(bench) == ("taken", ("4604001",), "handheld-1")
    tell(bench, lane, OrderTaken(order_no="XD-1", officers=("4604002",)))
    assert standing(bench) == ("taken", ("4604001",), "handheld-1")
    tell(bench, handheld, InspectionMade(order_no="XD-1", officers=("4604001",), method="opened"))
    tell(bench, handheld, FindingMade(order_no="XD-1", officers=("4604001",), finding="nothing"))
    tell(bench, handheld, OrderTaken(order_no="XD-1", officers=("4604001",)))
    assert standing(bench) == ("found", ("4604001",), "handheld-1")
    tell(bench, handheld, OrderTaken(order_no="XD-9", officers=("4604001",)))
    assert bench.archive.record("order_standings", "XD-9") is None


def handling(bench: Bench) -> tuple[str, tuple[str, ...]]:
    stands = from_json(bench.archive.record("order_standings", "XD-1", "site") or "", OrderStanding)
    return stands.handling, stands.waybill_nos


def test_what_was_found_stands_in_the_record_until_the_laboratory_says_otherwise(
    bench: Bench, handheld: Device
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    finding = FindingMade(
        order_no="XD-1",
        officers=("4604001",),
        finding="other_goods",
        handling="sample_sent",
        waybill_nos=("YT0000000000001", "?"),
        sample_no="S-0412",
    )
    tell(bench, handheld, finding)
    assert handling(bench) == ("sample_sent", ("YT0000000000001",))
    tell(bench, handheld, result(passed=True, officers=("4604009",), handling="released"))
    assert handling(bench)[0] == "sample_sent"
    tell(bench, handheld, result(passed=True, handling="released"))
    assert handling(bench) == ("released", ("YT0000000000001",))
    tell(bench, handheld, result(passed=True, handling="seized", report_no="LIMS-120"))
    assert handling(bench)[0] == "released"


def test_a_dropped_draft_gives_the_order_back_for_others(
    bench: Bench, lane: Device, handheld: Device
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, OrderTaken(order_no="XD-1", officers=("4604001",)))
    tell(bench, lane, DraftDropped(what="inspection", number="XD-1", why="another device's"))
    assert standing(bench) is not None
    tell(bench, handheld, DraftDropped(what="batch", number="XD-1", why="no inspection"))
    assert standing(bench) is not None
    tell(bench, handheld, DraftDropped(what="inspection", number="XD-1", why="误领"))
    assert standing(bench) is None


# --- who may have inspected ---------------------------------------------------------------------------------

BOTH_OFFICERS = ("4604001", "4604002")


def inspected(officers: tuple[str, ...] = ("4604001",), method: str = "opened") -> InspectionMade:
    return InspectionMade(order_no="XD-1", officers=officers, method=method)


def found(officers: tuple[str, ...] = ("4604001",), **changes: Any) -> FindingMade:
    made = FindingMade(order_no="XD-1", officers=officers, finding="nothing", handling="released")
    return msgspec.structs.replace(made, **changes)


def record(bench: Bench) -> OrderStanding:
    return from_json(bench.archive.record("order_standings", "XD-1", "site") or "", OrderStanding)


def state_of(bench: Bench) -> str:
    (seen,) = centre.orders(bench.archive, "site")
    return seen.state


UNAUTHORISED: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...], str]] = {
    "not rostered": ({}, {}, ("4604009",), "officer 4604009 is not rostered"),
    "revoked": ({"state": OfficerState.REVOKED}, {}, ("4604001",), "is not active"),
    "over": ({"valid_until": UtcText("2026-01-31T07:59:00Z")}, {}, ("4604001",), "is not active"),
    "no such authorisation": ({"authorisations": ("patrol",)}, {}, ("4604001",), "no authorisation inspect"),
    "for another kind": ({}, {"authorisation": "quarantine"}, ("4604001",), "no authorisation quarantine"),
    "one of two": ({}, {"officers_needed": 2}, ("4604001",), "2 officers are needed, told by 1"),
    "one twice": ({}, {"officers_needed": 2}, ("4604001", "4604001"), "2 officers are needed, told by 1"),
    "the second may not": (
        {}, {"officers_needed": 2}, ("4604001", "4604009"), "officer 4604009 is not rostered",
    ),
    "others are named": ({}, {"officers": ("4604002",)}, ("4604001",), "the order names 4604002"),
    "nobody": ({}, {}, (), "1 officers are needed, told by 0"),
}  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize("name", UNAUTHORISED)
def test_a_finding_of_who_may_not_is_stored_and_alarmed_and_counts_for_nothing(
    bench: Bench, handheld: Device, name: str
) -> None:
    rostered, asked, officers, says = UNAUTHORISED[name]
    roster(bench, officer(**rostered))
    centre.issue_order(bench.archive, "site", order(**asked), BY)
    tell(bench, handheld, found(officers))
    stands = record(bench)
    assert (stands.step, stands.officers, stands.handling) == ("taken", (), "")
    assert says in stands.not_counted
    assert (state_of(bench), bench.alarms()) == ("issued", ["finding_not_counted"])
    assert bench.stored()[-1] == ("routine", 1)


def test_an_inspection_of_who_may_not_takes_its_finding_with_it_whichever_comes_first(
    bench: Bench, lane: Device, handheld: Device
) -> None:
    """Samples want two officers at this site: the finding alone does not say that one was taken."""
    site = Site(
        site="zz", name_zh="郑州", name_en="Zhengzhou", two_officer_methods=(InspectionMethod.SAMPLE,)
    )
    with bench.archive.transaction():
        bench.archive.apply_changes("site", [RecordChange("site", "zz", to_json(site).decode())], at(0))
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, inspected(method="sample"))
    tell(bench, handheld, found())
    assert (record(bench).step, state_of(bench)) == ("taken", "issued")
    assert record(bench).not_counted == "its inspection does not count"
    tell(bench, lane, found())
    assert (record(bench).step, record(bench).not_counted) == ("found", "")
    tell(bench, lane, inspected(method="sample"))
    assert (record(bench).step, "2 officers are needed" in record(bench).not_counted) == ("taken", True)
    tell(bench, lane, inspected(BOTH_OFFICERS, method="sample"))
    tell(bench, lane, found(BOTH_OFFICERS, handling="seized"))
    assert (record(bench).step, record(bench).handling, record(bench).not_counted) == ("found", "seized", "")


def test_what_does_not_count_leaves_the_order_free_and_keeps_the_parcels_until_who_may_has_ended_it(
    bench: Bench, lane: Device, handheld: Device
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, lane, found(("4604009",)))
    tell(bench, handheld, OrderTaken(order_no="XD-1", officers=("4604001",)))
    assert (standing(bench), bool(record(bench).not_counted)) == (
        ("taken", ("4604001",), "handheld-1"), True,
    )  # fmt: skip
    tell(bench, handheld, DraftDropped(what="inspection", number="XD-1", why="误领"))
    assert (standing(bench), bool(record(bench).not_counted)) == (("taken", (), ""), True)
    tell(bench, handheld, OrderTaken(order_no="XD-1", officers=("4604001",)))
    tell(bench, handheld, inspected())
    assert (record(bench).step, bool(record(bench).not_counted)) == ("inspected", True)
    tell(bench, handheld, found())
    assert (record(bench).step, record(bench).handling, record(bench).not_counted) == (
        "found",
        "released",
        "",
    )
    tell(bench, lane, found(("4604009",), handling="released"))
    assert standing(bench) == ("found", ("4604001",), "handheld-1")


def test_what_was_counted_stays_counted_when_it_is_issued_again_after_the_officer_left(
    bench: Bench, handheld: Device
) -> None:
    centre.issue_order(bench.archive, "site", order(), BY)
    fact = handheld.say(found())
    assert bench.facts(handheld, handheld.batch([fact]), at_utc=at(2))
    roster(bench, officer(state=OfficerState.REVOKED))
    handheld.begin("f" * 32)
    handheld.ids = itertools.count(int(fact.event_id.rpartition("-")[2]))
    again = handheld.say(found())
    assert again.event_id == fact.event_id
    assert bench.facts(handheld, handheld.batch([again]), at_utc=at(3))
    assert (record(bench).step, bench.alarms().count("finding_not_counted")) == ("found", 0)


def test_who_was_active_when_it_was_done_counts_though_it_comes_late(bench: Bench, handheld: Device) -> None:
    roster(bench, officer(valid_until=UtcText(at(1))))
    centre.issue_order(bench.archive, "site", order(), BY)
    tell(bench, handheld, found())
    assert record(bench).step == "found"
