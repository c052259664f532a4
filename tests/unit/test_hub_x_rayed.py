"""What an X-ray station made of a parcel goes down as a record: the latest word, in whatever order it comes,
and never `passed` for what was not let go (X2)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sync.hub.archive import RecordChange
from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.facts import Fact
from sync.vocabulary.numbers import WaybillNo
from sync.vocabulary.records import Waybill, XRay
from sync.vocabulary.xray_facts import (
    JudgementUndone,
    ParcelSorted,
    ParcelXRayed,
    RegionTold,
    SuspectTold,
    XRayFileKept,
)
from tests.postgres import ON_SQLITE, Place
from tests.unit.test_hub_device import Bench, Device, at, feed

NUMBER = WaybillNo("SF1234567890123")
BOX = {"left": 0.25, "top": 0.5, "width": 0.25, "height": 0.125}


def judged(verdict: str = "flagged", **changes: Any) -> ParcelXRayed:
    fields: dict[str, Any] = {
        "parcel": 41,
        "waybill_no": str(NUMBER),
        "picture": "p-41",
        "association": "matched",
        "verdict": verdict,
        "by": "officer",
        "category": "blade",
        "suspects": (SuspectTold("dense", "高密度", "dense", **BOX), SuspectTold("shape", "形状", "shape")),
        "preview": "/9j/AAAA",
    }
    return ParcelXRayed(**{**fields, **changes})


def sorted_(ordered: str, verdict: str = "passed", **changes: Any) -> ParcelSorted:
    fields: dict[str, Any] = {
        "parcel": 41, "waybill_no": str(NUMBER), "verdict": verdict, "ordered": ordered, "confirmed": True,
    }  # fmt: skip
    return ParcelSorted(**{**fields, **changes})


def undone(parcel: int = 41) -> JudgementUndone:
    return JudgementUndone(parcel=parcel, waybill_no=str(NUMBER), officer="4604009", desk="1")


def kept(sha256: str = "ab" * 32, **changes: Any) -> XRayFileKept:
    fields: dict[str, Any] = {
        "parcel": 41, "waybill_no": str(NUMBER), "picture": "p-41", "name": "preview.jpg", "size_bytes": 9,
    }  # fmt: skip
    return XRayFileKept(sha256=sha256, **{**fields, **changes})


@pytest.fixture
def station() -> Device:
    return Device("x-ray-1")


@pytest.fixture
def bench(place: Place, station: Device) -> Bench:
    bench = Bench(place, station, Device("x-ray-2"))
    with bench.archive.transaction():
        bench.archive.add_scope("elsewhere")
        body = to_json(Waybill(waybill_no=NUMBER)).decode()
        bench.archive.apply_changes("site", [RecordChange("waybills", NUMBER, body)], at(0))
    return bench


def hear(bench: Bench, station: Device, *facts: Fact) -> None:
    for fact in facts:
        assert bench.facts(station, station.batch([fact]), at_utc=at(1))


def row(bench: Bench, scope: str = "site", number: str = NUMBER) -> XRay | None:
    body = bench.archive.record("x_rays", number, scope)
    return None if body is None else from_json(body, XRay)


def stands(bench: Bench) -> tuple[str, str, str]:
    found = row(bench)
    assert found is not None
    return found.verdict.value, found.judged, found.preview


def test_a_flag_goes_down_with_its_picture_boxes_and_words_where_the_parcel_is_known(
    bench: Bench, station: Device
) -> None:
    region = RegionTold(0.0, 0.0, 0.5, 0.5, "blade", "folded")
    hear(bench, station, station.say(judged(regions=(region,)), time=at(3)))
    found = row(bench)
    assert found is not None
    assert (found.verdict, found.station, found.judged, found.picture, found.preview) == (
        "flagged", "x-ray-1", at(3), "p-41", "/9j/AAAA",
    )  # fmt: skip
    assert [(box.left, box.words_zh, box.words_en) for box in found.boxes] == [
        (0.0, "blade folded", "blade folded"), (0.25, "高密度", "dense"),
    ]  # fmt: skip
    assert (found.words_zh, found.words_en) == ("blade；高密度；形状", "blade; dense; shape")
    assert row(bench, "elsewhere") is None
    (batch,) = [each for each in feed(bench.receiver.tick(at(2))) if each.scope == "site"]
    assert [change.collection for change in batch.changes] == ["waybills", "x_rays"]


def test_what_was_passed_comes_without_a_picture(bench: Bench, station: Device) -> None:
    """Every device of the scope carries every row."""
    hear(bench, station, station.say(judged("passed"), time=at(3)))
    assert stands(bench) == ("passed", at(3), "")


STORIES: dict[str, tuple[tuple[Any, ...], str]] = {
    "looked at again": ((judged("recheck"), judged("passed"), judged("flagged")), "flagged"),
    "not let go in time": ((judged("passed"), sorted_("recheck", why="late")), "recheck"),
    "let go": ((judged("passed"), sorted_("pass")), "passed"),
    "flagged, and led there": ((judged("flagged"), sorted_("flag", "flagged")), "flagged"),
    "taken back": ((judged("passed"), undone()), "recheck"),
    "taken back and judged anew": ((judged("passed"), undone(), judged("flagged")), "flagged"),
    "taken back, the flag was a slip": ((judged("flagged"), undone(), judged("passed")), "passed"),
    "a verdict nobody knows": ((judged("passed"), judged("waved")), "recheck"),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_latest_word_stands_in_whatever_order_it_comes_and_though_its_clock_went_back(
    bench: Bench, name: str
) -> None:
    story, verdict = STORIES[name]
    for number, order in enumerate(itertools.permutations(range(len(story)))):
        station = Device(f"x-ray-{number}")
        with bench.archive.transaction():
            bench.archive._db.execute("DELETE FROM records WHERE collection = 'x_rays'")
        bench.devices[station.name] = station
        bench.restart()
        facts = [station.say(data, time=at(30 - place)) for place, data in enumerate(story)]
        hear(bench, station, *(facts[place] for place in order), *facts)
        assert stands(bench)[0] == verdict


def test_of_two_stations_the_later_one_stands_and_at_one_moment_the_stricter(
    bench: Bench, station: Device
) -> None:
    other = Device("x-ray-2")
    bench.devices["x-ray-2"] = other
    bench.restart()
    hear(bench, station, station.say(judged("flagged"), time=at(5)))
    hear(bench, other, other.say(judged("passed"), time=at(4)))
    assert stands(bench)[0] == "flagged"
    hear(bench, other, other.say(judged("passed"), time=at(5)))
    assert stands(bench)[0] == "flagged"
    hear(bench, other, other.say(judged("passed"), time=at(6)))
    assert stands(bench)[0] == "passed"


def test_the_same_judgement_in_another_epoch_changes_nothing(bench: Bench, station: Device) -> None:
    hear(bench, station, station.say(judged("passed"), time=at(3)), station.say(judged(), time=at(4)))
    station.begin("f" * 32)
    hear(bench, station, station.say(judged("passed"), time=at(3)), station.say(judged(), time=at(4)))
    assert stands(bench) == ("flagged", at(4), "/9j/AAAA")
    rows = bench.rows("SELECT number FROM log WHERE collection = 'x_rays'")
    assert len(rows) == 2


def test_a_parcel_that_is_not_declared_yet_is_told_wherever_the_station_is(
    bench: Bench, station: Device
) -> None:
    with bench.archive.transaction():
        bench.archive.allow_scopes("x-ray-1", ["elsewhere"])
    hear(bench, station, station.say(judged(waybill_no="SF1234567890999"), time=at(3)))
    assert row(bench, "elsewhere", "SF1234567890999") is not None
    assert row(bench, "site", "SF1234567890999") is None


@ON_SQLITE
@pytest.mark.parametrize("changes", [{"waybill_no": ""}, {"waybill_no": "?"}])
def test_a_parcel_without_a_number_is_nobodys(bench: Bench, station: Device, changes: Any) -> None:
    hear(bench, station, station.say(judged(**changes)))
    assert bench.archive.record_keys("site", "x_rays") == set()


@ON_SQLITE
def test_the_largest_judgement_still_travels_and_a_time_that_is_none_is_ours(
    bench: Bench, station: Device
) -> None:
    many = tuple(SuspectTold("dense", "货" * 300, "货" * 300, **BOX) for _ in range(16))
    hear(bench, station, station.say(judged(suspects=many, preview="A" * 24_000), time="yesterday"))
    assert stands(bench)[1] == at(1)
    batch = feed(bench.receiver.tick(at(2)))[0]
    assert len(to_json(to_json(batch).decode())) < MAX_PAYLOAD_BYTES


def test_a_judgement_taken_back_is_no_result_until_there_is_another(bench: Bench, station: Device) -> None:
    hear(bench, station, station.say(judged(), time=at(3)), station.say(undone(), time=at(4)))
    found = row(bench)
    assert found is not None
    assert (found.verdict, found.judged, found.picture, found.preview, found.boxes) == (
        "recheck", at(4), "p-41", "/9j/AAAA", (),
    )  # fmt: skip


def test_taking_back_an_earlier_run_leaves_the_later_one_as_it_is(bench: Bench, station: Device) -> None:
    hear(bench, station, station.say(judged(parcel=52), time=at(3)), station.say(undone(41), time=at(4)))
    assert stands(bench) == ("flagged", at(3), "/9j/AAAA")


def test_the_record_names_the_picture_by_its_hash_and_keeps_it_over_a_second_judgement(
    bench: Bench, station: Device
) -> None:
    facts: tuple[Any, ...] = (
        judged(),
        kept("cd" * 32, name="planes.png"),
        kept(),
        kept("ef" * 32),
        undone(),
        judged("recheck"),
    )
    found = []
    for second, data in enumerate(facts, start=3):
        hear(bench, station, station.say(data, time=at(second)))
        found.append(row(bench))
    assert [None if each is None else each.sha256[:2] for each in found] == ["", "", "ab", "ab", "ab", "ab"]


@pytest.mark.parametrize(
    "other",
    [kept(parcel=42), kept(picture="p-40"), kept("ab"), kept("zz" * 32)],
    ids=["another parcel", "another picture", "short", "no hash"],
)
def test_a_file_that_is_not_the_picture_names_nothing(
    bench: Bench, station: Device, other: XRayFileKept
) -> None:
    hear(bench, station, station.say(judged(), time=at(3)), station.say(other, time=at(4)))
    found = row(bench)
    assert found is not None
    assert found.sha256 == ""


def test_a_file_of_a_parcel_nobody_judged_makes_no_record(bench: Bench, station: Device) -> None:
    hear(bench, station, station.say(kept(), time=at(3)))
    assert row(bench) is None
