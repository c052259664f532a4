"""Controls, rates, recalls and orders at the console: tried before they go down, written with who and why."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from sync.hub import drawing
from sync.hub.centre import later
from sync.hub.console.words import WORDS
from sync.policy.lots import draw_goods
from sync.store.journal import utc_now
from sync.vocabulary.codec import from_json
from sync.vocabulary.facts import PassageOpened, ReadingKept, RulingMade
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, WaybillNo, utc_text
from sync.vocabulary.records import (
    Control,
    CreditTier,
    Enterprise,
    Mode,
    Recall,
    SlipKind,
    Waybill,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.console_rig import SCOPE, ConsoleRig, console_rig, rostered
from tests.unit.test_hub_claims import slip

PAGES = ("/controls", "/controls/new", "/controls/rates", "/controls/recalls", "/controls/orders")
FIRM, OTHER_FIRM = EnterpriseCode("330260A000"), EnterpriseCode("4101960ABC")
PLATES = ("豫A12345", "豫B00001", "豫C77777", "豫D88888")
SLIPS = tuple(SlipNo(f"Z4604I260131{number:012d}") for number in range(1, 5))
FORM = {
    "control_id": "BK1",
    "action": "inspect",
    "valid_from": "2020-01-01T00:00",
    "valid_until": "2099-01-01T00:00",
    "reason_zh": "布控",
    "reason_en": "Control",
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        with_slips(made)
        yield made


@pytest.fixture
def traffic(rig: ConsoleRig) -> ConsoleRig:
    return with_traffic(rig)


@pytest.fixture(scope="module")
def only_looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with console_rig(tmp_path_factory.mktemp("looked")) as made:
        with_slips(made)
        yield with_traffic(made).client()


def with_slips(rig: ConsoleRig) -> None:
    for each, kind, firm in zip(SLIPS, ("3", "3", "2", "2"), (FIRM, FIRM, OTHER_FIRM, FIRM), strict=True):
        rig.record("release_slips", each, replace(slip(each), kind=SlipKind(kind), enterprise=firm))


def with_traffic(rig: ConsoleRig) -> ConsoleRig:
    """Four passages: released, held, inspected, released by an officer after a hold. One of before."""
    verdicts = (Verdict.RELEASE, Verdict.HOLD, Verdict.INSPECT, Verdict.HOLD)
    facts: list[Any] = []
    for number, (plate, of, verdict) in enumerate(zip(PLATES, SLIPS, verdicts, strict=True), start=1):
        facts += [PassageOpened(passage=number), ruling(rig, number, plate, of, verdict)]
    facts.append(ruling(rig, 4, PLATES[3], SLIPS[3], Verdict.RELEASE, officer="4604001"))
    rig.say("lane-in", *facts, time=days_ago(6.9))
    old = ruling(rig, 9, PLATES[0], SLIPS[0], Verdict.RELEASE)
    rig.say("lane-in", PassageOpened(passage=9), old, time=days_ago(7.1))
    rig.caught_up()
    return rig


def days_ago(days: float) -> str:
    return later(utc_now(), -86_400 * days)


def ruling(
    rig: ConsoleRig, number: int, plate: str, of: str, verdict: Verdict, officer: str = ""
) -> RulingMade:
    scope = rig.archive.scope(SCOPE)
    assert scope is not None
    reason = {
        Verdict.RELEASE: Reason.RELEASED,
        Verdict.HOLD: Reason.SLIP_NOT_FOUND,
        Verdict.INSPECT: Reason.SPOT_CHECK,
    }
    return RulingMade(
        passage=number,
        ruling=Ruling(verdict, (Because(reason[verdict]),)),
        direction="I",
        plate=plate,
        slips=() if verdict is Verdict.HOLD else (of,),
        readings=(ReadingKept("plate", plate, 1.0), ReadingKept("code", of, 2.0)),
        records_scope=SCOPE,
        records_epoch=scope.epoch,
        records_number=scope.number,
        officer=officer,
        claim="manual" if officer else "granted",
    )


def tried(client: TestClient, **more: Any) -> dict[str, str]:
    """Fields of the page that shows what it would have hit; `matched` and `would_stop` as shown."""
    answer = client.post("/controls/try", data={**FORM, **more})
    assert answer.status_code == 200, answer.text
    fields = dict(re.findall(r'name="(body|told|at|seen)" value="([^"]*)"', answer.text))
    fields = {name: value.replace("&#34;", '"') for name, value in fields.items()}
    shown = re.findall(r'id="(matched|would-stop)">(\d+)<', answer.text)
    return {**fields, **{name.replace("-", "_"): count for name, count in shown}}


def put(client: TestClient, trial: dict[str, str], mode: str, reason: str = "tip") -> int:
    form = {name: trial[name] for name in ("body", "told", "at", "seen")}
    return client.post("/controls/put", data={**form, "mode": mode, "reason": reason}).status_code


def kept_control(rig: ConsoleRig, number: str = "BK1") -> Control:
    return from_json(rig.archive.record("controls", number, SCOPE) or "", Control)


# --- the trial --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "matched", "would_stop"),
    [
        ({}, 4, 1),
        ({"action": "hold"}, 4, 2),
        ({"plates": "豫A12345 豫B00001"}, 2, 1),
        ({"slip_nos": f"{SLIPS[1]}\n{SLIPS[2]}"}, 2, 0),
        ({"enterprises": "330260A000"}, 3, 1),
        ({"slip_kinds": "2"}, 2, 0),
        ({"slip_kinds": "2", "enterprises": "330260A000"}, 1, 0),
        ({"directions": "E"}, 0, 0),
        ({"plates": "豫A12345", "enterprises": "4101960ABC"}, 0, 0),
    ],
)
def test_before_it_goes_live_it_shows_what_it_would_have_hit_in_the_last_seven_days(
    only_looked_at: TestClient, condition: dict[str, str], matched: int, would_stop: int
) -> None:
    trial = tried(only_looked_at, **condition)
    assert (int(trial["matched"]), int(trial["would_stop"])) == (matched, would_stop)


def test_a_trials_tables_add_up_what_the_lanes_wrote(traffic: ConsoleRig) -> None:
    """By the site's day, by enterprise, and from which verdict to which, worked out from the rulings."""
    for number, time in enumerate(("00:00:00", "23:59:59"), start=20):
        local = datetime.now(traffic.console.zone) - timedelta(days=3)
        at = datetime.fromisoformat(f"{local:%Y-%m-%d}T{time}").replace(tzinfo=traffic.console.zone)
        said = replace(ruling(traffic, number, PLATES[0], SLIPS[0], Verdict.RELEASE), enterprise=FIRM)
        traffic.say("lane-in", PassageOpened(passage=number), said, time=utc_text(at))
    traffic.caught_up()
    rows = traffic.archive.engine.execute(
        "SELECT time, passage, body FROM facts WHERE kind = 'ruling_made' ORDER BY position"
    ).fetchall()
    by_passage: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for time, passage, body in rows:
        if time >= days_ago(7):
            by_passage.setdefault(passage, []).append((time, json.loads(body)["data"]))
    days, firms, changed = Counter[str](), Counter[str](), Counter[str]()
    for told in by_passage.values():
        time, data = told[0]
        was = data["ruling"]["verdict"]
        days[f"{datetime.fromisoformat(time).astimezone(traffic.console.zone):%Y-%m-%d}"] += 1
        firms[data["enterprise"] or "–"] += 1
        # The lane's own word stands unless the control is stricter; an officer's came after it.
        changed[f"{was} to hold"] += was != "hold" and len(told) == 1
    page = traffic.client().post("/controls/try", data={**FORM, "action": "hold"}).text
    assert f'<span class="big">{len(by_passage)}</span>' in page
    tables = [
        re.findall(r'<tr><td>([^<]+)</td><td class="n">(\d+)</td></tr>', each)
        for each in re.findall(r"<table><caption>.*?</table>", page, re.DOTALL)
    ]
    assert {day: int(n) for day, n in tables[0]} == dict(days)
    assert {firm: int(n) for firm, n in tables[1]} == dict(firms)
    assert sum(int(n) for _, n in tables[2]) == sum(changed.values())
    assert (sum(changed.values()), len(days), firms[FIRM]) == (4, 2, 2)
    of_one = traffic.client().post("/controls/try", data={**FORM, "plates": PLATES[1]}).text
    figures = re.findall(r'<span class="big"[^>]*>(\d+)</span>', of_one)
    matched = [told for told in by_passage.values() if told[0][1]["plate"] == PLATES[1]]
    assert figures[:2] == [str(len(by_passage)), str(len(matched))] == ["6", "1"]


def test_the_trial_reads_records_as_they_were(traffic: ConsoleRig) -> None:
    for each in SLIPS:
        traffic.record("release_slips", each, replace(slip(each), kind=SlipKind.EMPTY_VEHICLE))
    assert tried(traffic.client(), slip_kinds="6")["matched"] == "0"
    assert tried(traffic.client(), slip_kinds="2")["matched"] == "2"


@pytest.mark.parametrize(
    "wrong",
    [
        {"plates": "notaplate"},
        {"slip_nos": "123"},
        {"enterprises": "!"},
        {"directions": "X"},
        {"action": "shoot"},
        {"valid_from": "yesterday"},
    ],
)
def test_a_form_that_is_not_understood_says_which_field(
    only_looked_at: TestClient, wrong: dict[str, str]
) -> None:
    answer = only_looked_at.post("/controls/try", data={**FORM, **wrong})
    assert (answer.status_code, next(iter(wrong)) in answer.text) == (422, True)


# --- down to the lanes ------------------------------------------------------------------------------------


def test_a_control_goes_down_as_it_was_tried_with_who_and_why(traffic: ConsoleRig) -> None:
    client = traffic.client()
    assert put(client, tried(client, plates="豫A12345"), "shadow") == 303
    control = kept_control(traffic)
    assert (control.version, control.mode, control.condition.plates) == (1, Mode.SHADOW, ("豫A12345",))
    assert put(client, tried(client, plates="豫A12345"), "live") == 303
    assert (kept_control(traffic).version, kept_control(traffic).mode) == (2, Mode.LIVE)
    act = traffic.archive.acts(1)[0]
    assert (act.act, act.subject, act.officers, act.reason) == ("put_control", "BK1", ("4604001",), "tip")
    assert "7 days: 1 of 4 matched, 1 otherwise" in act.detail


@pytest.mark.parametrize("changed", [{"body": "x"}, {"told": "0 hits"}, {"seen": "0" * 64}, {"at": "2020"}])
def test_nothing_goes_down_that_was_not_tried(traffic: ConsoleRig, changed: dict[str, str]) -> None:
    client = traffic.client()
    trial = {**tried(client), **changed}
    assert put(client, trial, "live") == 422
    assert traffic.archive.record("controls", "BK1", SCOPE) is None


def test_a_trial_of_another_officer_or_of_hours_ago_is_none(
    traffic: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = traffic.client()
    trial = tried(first)
    assert put(traffic.client(), trial, "live") == 422
    monkeypatch.setattr("sync.hub.console.pages.controls.TRIAL_GOOD_S", 0.0)
    assert put(first, trial, "live") == 422


def test_a_shadow_version_never_ends_a_live_control_unseen(traffic: ConsoleRig) -> None:
    client = traffic.client()
    assert put(client, tried(client), "live") == 303
    assert put(client, tried(client), "shadow") == 422
    assert kept_control(traffic).mode is Mode.LIVE
    assert client.post("/controls/end", data={"control_id": "BK1", "reason": "over"}).status_code == 303
    assert put(client, tried(client), "shadow") == 303


def test_what_lanes_wrote_of_a_shadow_control_is_shown(traffic: ConsoleRig) -> None:
    client = traffic.client()
    assert put(client, tried(client, plates=PLATES[0]), "shadow") == 303
    said = ruling(traffic, 5, PLATES[0], SLIPS[0], Verdict.RELEASE)
    told = {"control_versions": ("BK1@1:shadow",), "would_be": {"BK1@1": "inspect"}}
    traffic.say("lane-in", PassageOpened(passage=5), replace(said, **told), time=utc_now())
    traffic.caught_up()
    page = client.get("/controls/of/BK1").text
    assert re.findall(r'id="(?:matched|would-stop)">(\d+)<', page) == ["1", "1"]
    assert f"/passage/lane-in/{'e' * 32}/5" in page


# --- rates, recalls, orders -------------------------------------------------------------------------------


def test_spot_check_rates_are_set_by_credit_tier(rig: ConsoleRig) -> None:
    firms = {FIRM: CreditTier.LOW, OTHER_FIRM: CreditTier.HIGH}
    for code, tier in firms.items():
        rig.record("enterprises", code, Enterprise(code=code, name="f", tier=tier, spot_check_per_mille=5))
    form = {"tier": "low", "spot": "300", "x_ray": "1000", "reason": "campaign"}
    assert rig.client().post("/controls/rates", data=form).status_code == 303
    rates = [from_json(rig.archive.record("enterprises", code, SCOPE) or "", Enterprise) for code in firms]
    assert [(each.spot_check_per_mille, each.x_ray_per_mille) for each in rates] == [(300, 1000), (5, 0)]
    assert rig.archive.acts(1)[0].detail == "low 300/1000: 1"


def test_rates_stand_beside_the_vehicle_days_of_a_week_and_what_would_be_drawn(rig: ConsoleRig) -> None:
    """A vehicle of an enterprise is drawn for once a day (S11): what came again that day counts once."""
    firms = {FIRM: (CreditTier.LOW, 250), OTHER_FIRM: (CreditTier.LOW, 40)}
    for code, (tier, spot) in firms.items():
        firm = Enterprise(code=code, name="f", tier=tier, spot_check_per_mille=spot)
        rig.record("enterprises", code, firm)
    came = (
        *((FIRM, plate, days) for plate in PLATES[:2] for days in (0.1, 0.1, 3.1, 6.9)),
        *((OTHER_FIRM, PLATES[2], days) for days in (1.1, 1.1, 7.2)),
    )
    for number, (firm_no, plate, days) in enumerate(came, start=1):
        said = replace(ruling(rig, number, plate, SLIPS[0], Verdict.RELEASE), enterprise=firm_no)
        rig.say("lane-in", PassageOpened(passage=number), said, time=days_ago(days))
    rig.caught_up()
    rows = rig.archive.engine.execute("SELECT time, body FROM facts WHERE kind = 'ruling_made'").fetchall()
    counted = {
        (data["enterprise"], data["plate"], f"{datetime.fromisoformat(at).astimezone(rig.console.zone):%m%d}")
        for at, data in ((at, json.loads(body)["data"]) for at, body in rows)
        if at >= days_ago(7)
    }
    of_firm = Counter(code for code, _, _ in counted)
    assert (of_firm[FIRM], of_firm[OTHER_FIRM]) == (6, 1)
    page = rig.client().get("/controls/rates").text
    cells = {
        code: re.findall(rf"<td>{code}</td>.*?<td class=\"n\">(\d+)</td>", page, re.DOTALL) for code in firms
    }
    assert cells == {code: [str(of_firm[code])] for code in firms}
    drawn = sum(of_firm[code] * spot for code, (_, spot) in firms.items()) / 1000
    low = re.sub(r"<[^>]*>", " ", page.split(WORDS["rates.tier.low"][1], 1)[1]).split()
    assert low[:2] == [str(len(firms)), str(sum(of_firm.values()))]
    assert f'<td class="n">{drawn:.1f}</td>' in page


def test_a_controls_page_has_the_acts_on_it_and_on_no_other(traffic: ConsoleRig) -> None:
    client = traffic.client()
    for number in ("BK1", "BK2"):
        assert put(client, tried(client, control_id=number), "shadow", f"because of {number}") == 303
    page = client.get("/controls/of/BK1").text
    assert ("because of BK1" in page, "because of BK2" in page) == (True, False)


def test_a_recall_by_batch_is_a_record_and_can_be_ended(rig: ConsoleRig) -> None:
    client = rig.client()
    form = {
        "recall_no": "ZH1",
        "batch_nos": "B-1\nB-2",
        "reason_zh": "召回",
        "reason_en": "R",
        "reason": "lab",
    }
    assert client.post("/controls/recalls", data=form).status_code == 303
    assert 'href="/trace/recall/ZH1"' in client.get("/controls/recalls").text
    assert client.get("/trace/recall/ZH1").status_code == 200
    recall = from_json(rig.archive.record("recalls", "ZH1", SCOPE) or "", Recall)
    assert recall.batch_nos == ("B-1", "B-2")
    assert client.post("/controls/recalls/end", data={"recall_no": "ZH1", "reason": "x"}).status_code == 303
    assert json.loads(rig.archive.record("recalls", "ZH1", SCOPE) or "")["state"] == "ended"
    empty = {**form, "recall_no": "ZH2", "batch_nos": ""}
    assert client.post("/controls/recalls", data=empty).status_code == 422


WAYBILLS = tuple(WaybillNo(f"SF100000000{number}") for number in range(1, 7))
DRAW = {"draw_no": "D1", "count": "3", "reason": "daily", "authorisation": "inspect"}


@pytest.fixture
def parcels(rig: ConsoleRig) -> ConsoleRig:
    for number in WAYBILLS:
        rig.record("waybills", number, Waybill(waybill_no=number))
    rig.record("officers", "4604007", rostered("4604007", "patrol"))
    return rig


class _Drawing:
    """The module, with some of it replaced."""

    def __init__(self, **others: Any) -> None:
        self.__dict__.update({**vars(drawing), **others})


def order_records(rig: ConsoleRig) -> list[dict[str, Any]]:
    keys = sorted(rig.archive.record_keys(SCOPE, "inspection_orders"))
    return [json.loads(rig.archive.record("inspection_orders", key, SCOPE) or "") for key in keys]


def test_orders_are_drawn_by_a_recorded_seed_from_who_is_authorised_and_free(parcels: ConsoleRig) -> None:
    client = parcels.client()
    assert client.post("/controls/orders/draw", data=DRAW).status_code == 303
    made = order_records(parcels)
    assert len({order["waybill_nos"][0] for order in made}) == 3
    assert {order["draw"]["seed"] for order in made} == {made[0]["draw"]["seed"]}
    assert {officer for order in made for officer in order["officers"]} == {"4604001", "4604002", "4604003"}
    page = client.get("/controls/orders?draw=D1").text
    assert made[0]["draw"]["seed"] in page
    waybills = parcels.archive.record_keys(SCOPE, "waybills")
    officers = {officer for order in made for officer in order["officers"]}
    assert WORDS["orders.urn"][1].format(len(list(waybills)), len(officers)) in page


def test_a_parcel_that_is_ordered_is_not_drawn_again_without_a_new_cause(parcels: ConsoleRig) -> None:
    client = parcels.client()
    one = {"order_no": "O1", "waybills": str(WAYBILLS[0]), "cause": "control", "reason": "BK9"}
    assert client.post("/controls/orders/issue", data=one).status_code == 303
    assert client.post("/controls/orders/issue", data={**one, "order_no": "O2"}).status_code == 422
    assert client.post("/controls/orders/draw", data={**DRAW, "count": "6"}).status_code == 303
    drawn = {order["waybill_nos"][0] for order in order_records(parcels) if order.get("draw")}
    assert drawn == set(WAYBILLS[1:])
    again = {**one, "order_no": "O3", "cause": "spot_check"}
    assert client.post("/controls/orders/issue", data=again).status_code == 422
    new_cause = {**one, "order_no": "O4", "reason": "BK10"}
    assert client.post("/controls/orders/issue", data=new_cause).status_code == 303


def test_of_two_who_order_a_parcel_at_once_one_is_told_of_the_others_order(
    parcels: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)

    def looked(*asked: Any) -> tuple[str, str] | None:
        found = drawing.ordered_before(*asked)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(1.0)
        return found

    monkeypatch.setattr("sync.hub.console.pages.controls.drawing", _Drawing(ordered_before=looked))
    clients = [parcels.client(), parcels.client()]
    one = {"waybills": str(WAYBILLS[0]), "cause": "control", "reason": "BK9"}
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda each: each[1].post("/controls/orders/issue", data={**one, "order_no": f"O{each[0]}"}),
            enumerate(clients),
        )
        statuses = sorted(answer.status_code for answer in answers)
    assert (statuses, len(order_records(parcels))) == ([303, 422], 1)


def test_what_was_ordered_while_it_was_drawn_is_not_drawn_besides(
    parcels: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = parcels.client()
    one = {"order_no": "O1", "waybills": str(WAYBILLS[0]), "cause": "spot_check", "reason": "daily"}

    def slowly(*asked: Any) -> Any:
        assert client.post("/controls/orders/issue", data=one).status_code == 303
        return draw_goods(*asked)

    monkeypatch.setattr("sync.hub.drawing.draw_goods", slowly)
    assert client.post("/controls/orders/draw", data={**DRAW, "count": "6"}).status_code == 422
    assert [order["order_no"] for order in order_records(parcels)] == ["O1"]
    monkeypatch.undo()
    assert client.post("/controls/orders/draw", data={**DRAW, "count": "6"}).status_code == 303
    drawn = {order["waybill_nos"][0] for order in order_records(parcels) if order.get("draw")}
    assert drawn == set(WAYBILLS[1:])


def test_an_order_is_withdrawn_and_its_parcel_can_be_drawn(parcels: ConsoleRig) -> None:
    client = parcels.client()
    one = {"order_no": "O1", "waybills": str(WAYBILLS[0]), "cause": "officer", "reason": "look"}
    assert client.post("/controls/orders/issue", data=one).status_code == 303
    gone = {"order_no": "O1", "reason": "mistaken"}
    assert client.post("/controls/orders/withdraw", data=gone).status_code == 303
    assert client.post("/controls/orders/draw", data={**DRAW, "count": "6"}).status_code == 303
    assert len([order for order in order_records(parcels) if order.get("draw")]) == 6


# --- who, and in which language ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_is_in_both_languages_without_a_raw_key(traffic: ConsoleRig, language: str) -> None:
    client = traffic.client(language=language)
    assert put(client, tried(client), "shadow") == 303
    texts = [client.get(page).text for page in (*PAGES, "/controls/of/BK1", "/controls/new?number=BK1")]
    texts.append(client.post("/controls/try", data=FORM).text)
    number = ("zh", "en").index(language)
    assert [WORDS["controls.tab.rates"][number] in text for text in texts] == [True] * len(texts)
    raw = re.compile(r">\s*(?:controls|orders|rates|recalls|verdict)\.[a-z_.]+")
    assert [raw.findall(text) for text in texts] == [[]] * len(texts)


def test_a_chinese_reader_finds_no_english_sentence_on_pages_with_content(parcels: ConsoleRig) -> None:
    client = parcels.client(language="zh")
    words = {"reason": "双随机", "reason_zh": "布控", "reason_en": ""}
    assert client.post("/controls/orders/draw", data={**DRAW, **words}).status_code == 303
    gone = {"order_no": order_records(parcels)[0]["order_no"], "reason": "下错"}
    assert client.post("/controls/orders/withdraw", data=gone).status_code == 303
    recall = {
        "recall_no": "ZH1",
        "cause": "抽检不合格",
        "batch_nos": "B-1",
        "reason": "送检",
        "reason_zh": "召回",
    }
    assert client.post("/controls/recalls", data={**recall, "reason_en": "Recall"}).status_code == 303
    form = {**FORM, "plates": PLATES[0], "reason_en": "X"}
    found = {"try": _english(client.post("/controls/try", data=form).text)}
    for number, mode in (("BK1", "shadow"), ("BK2", "live")):
        assert put(client, tried(client, **form | {"control_id": number}), mode, "线索") == 303
        found[mode] = _english(client.get(f"/controls/of/{number}").text)
    assert client.post("/controls/end", data={"control_id": "BK2", "reason": "已查"}).status_code == 303
    for path in (
        "/controls",
        "/controls/of/BK2",
        "/controls/recalls",
        "/controls/orders",
        "/controls/orders?draw=D1",
    ):
        found[path] = _english(client.get(path).text)
    assert {where: words for where, words in found.items() if words} == {}


def _english(page: str) -> list[str]:
    """What stands on a page in words of English; numbers, codes and what fields hold are no words."""
    main = page.split("<main>", 1)[1]
    main = re.sub(r"<(option|textarea)\b.*?</\1>", " ", main, flags=re.DOTALL)
    told = re.sub(r"<[^>]+>", " ", main)
    return re.findall(r"\b[a-z]{3,}\b", re.sub(r"\b[0-9a-f]{64}\b", "", told))


def test_only_a_shift_leader_sees_or_changes_controls(rig: ConsoleRig) -> None:
    watcher = rig.client("4604002")
    assert [watcher.get(page).status_code for page in PAGES] == [403] * len(PAGES)
    acts = {
        "/controls/try": FORM,
        "/controls/put": dict.fromkeys(("body", "told", "at", "seen", "mode", "reason"), "x"),
        "/controls/end": {"control_id": "x", "reason": "x"},
        "/controls/rates": {"tier": "low", "spot": "1", "x_ray": "1", "reason": "x"},
        "/controls/recalls": dict.fromkeys(("recall_no", "reason_zh", "reason_en", "reason"), "x"),
        "/controls/recalls/end": {"recall_no": "x", "reason": "x"},
        "/controls/orders/draw": DRAW,
        "/controls/orders/issue": {"order_no": "x", "waybills": "x", "reason": "x"},
        "/controls/orders/withdraw": {"order_no": "x", "reason": "x"},
    }
    assert {path: watcher.post(path, data=form).status_code for path, form in acts.items()} == dict.fromkeys(
        acts, 403
    )


def test_looking_at_controls_is_kept(rig: ConsoleRig) -> None:
    rig.client().get("/controls")
    row = rig.archive.engine.execute("SELECT officer, what FROM console_reads").fetchone()
    assert tuple(row) == ("4604001", "controls")
