"""What an officer reads: no word of a machine, and the time of the clock on the wall."""

from __future__ import annotations

import zoneinfo

import msgspec
import pytest

from edge.handheld import words
from edge.handheld.said import said
from sync.vocabulary.records import Site
from sync.vocabulary.rulings import Because, Reason, Text
from tests.unit.test_parcel_rules import SITE

EVENING = "2026-11-22T23:44:15Z"


def at(zone: str) -> Site:
    return msgspec.structs.replace(SITE, zone=zone)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Shanghai", "2026-11-23 07:44"),
        ("Asia/Urumqi", "2026-11-23 05:44"),
        ("UTC", "2026-11-22 23:44"),
        ("Nowhere/Known", EVENING),
        ("../../etc/passwd", EVENING),
    ],
)
def test_a_time_is_told_as_the_sites_clocks_show_it(zone: str, told: str) -> None:
    assert words.moment(EVENING, at(zone)) == told


def test_before_the_site_is_known_it_is_chinas_time() -> None:
    assert words.moment(EVENING, None) == "2026-11-23 07:44"


def test_a_phone_without_tables_of_zones_knows_chinas_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(words, "ZoneInfo", none)
    assert words.moment(EVENING, None) == "2026-11-23 07:44"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22", "2026-11-22T23:44:15"])
def test_what_is_no_moment_stays_as_it_came(text: str) -> None:
    assert words.moment(text, None) == text


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("mismatch", Text("三单不符", "The three documents differ")),
        ("no_payment", Text("三单不符 无支付单", "The three documents differ: no payment")),
        ("金额不符", Text("三单不符 金额不符", "The three documents differ: 金额不符")),
    ],
)
def test_documents_that_differ_are_told_in_words(told: str, text: Text) -> None:
    assert words.why(Because(Reason.DOCUMENTS_DIFFER, told)) == text


@pytest.mark.parametrize(
    ("why", "zh"),
    [
        ("no answer", "通道未应答"),
        ("officer 4604001 has no authorisation manual_release", "关员 4604001 无此授权"),
        ("passage 17 is not held now", "过卡 17 已不在扣留中"),
        (
            "the code was issued at 2026-01-31T07:58:59Z, it came at 2026: kept, and not given",
            "放行码已过时，未下令",
        ),
        ("no picture came from 0", "相机没有画面"),
        ("this PC has no parecord or arecord to record with", "本机没有录音程序"),
        ("something newer", "something newer"),
        ("no answer\n", "no answer\n"),
    ],
)
def test_what_hub_lane_and_camera_say_is_said_in_the_officers_language(why: str, zh: str) -> None:
    assert said(why) == Text(zh, why)
