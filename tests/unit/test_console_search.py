"""One box finds whatever a number names; a plate that was misread or half seen finds those it may be."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sync.hub.console.finding import MOST
from sync.hub.console.shown import NamedRow, PassageRow
from sync.hub.console.words import WORDS
from sync.vocabulary.facts import PassageOpened, RulingMade
from sync.vocabulary.numbers import Plate
from sync.vocabulary.records import Trace
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.similar_plates import meant, similar
from tests.console_rig import ConsoleRig, console_rig
from tests.unit.test_console_proof import FIRM, PARCEL, PLATE, SLIP, bodies, passes, stocked, text_of


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path_factory.mktemp("search"), ("4604001", "4604003")) as rig:
        stocked(rig)
        passes(rig)
        rig.record("traces", "KT-1", Trace(trace_code="KT-1", waybill_no=PARCEL))
        yield rig


@pytest.fixture(scope="module")
def client(searched: ConsoleRig) -> TestClient:
    return searched.client()


def passages_on(page: str) -> list[str]:
    return [f"{lane}/{number}" for lane, number in re.findall(r'href="/passage/(lane-1)/e{32}/(\d+)"', page)]


@pytest.mark.parametrize(
    "asked", [PLATE, "豫A·12345", "豫a12345", "豫A1?345", "A12345", SLIP, FIRM, "4604001"]
)
def test_a_number_finds_its_passages(searched: ConsoleRig, client: TestClient, asked: str) -> None:
    known = {f"lane-1/{fact['data']['passage']}" for fact in bodies(searched, "kind = 'ruling_made'")}
    page = client.get("/search", params={"q": asked}).text
    assert set(passages_on(page)) == known == {"lane-1/7"}


@pytest.mark.parametrize("asked", ["豫AI2345", "豫A12354", "豫A1234S", "苏A12345", "豫A2345"])
def test_a_plate_misread_finds_the_one_it_may_be(
    searched: ConsoleRig, client: TestClient, asked: str
) -> None:
    page = client.get("/search", params={"q": asked}).text
    (found,) = re.findall(r'class="pair similar"><a href="[^"]+">([^<]+)</a> <small>([^<]+)', page)
    assert found[0] == PLATE
    assert found[1].startswith("1 times")
    assert passages_on(page) == []


def test_of_a_plate_that_is_alike_it_is_said_how_often_it_came(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        released = Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),))
        for number in (1, 2, 3):
            rig.say("lane-1", PassageOpened(passage=number))
            rig.say("lane-1", RulingMade(passage=number, ruling=released, direction="I", plate=PLATE))
        rig.caught_up()
        came = {fact["data"]["passage"] for fact in bodies(rig, "kind = 'ruling_made'")}
        page = rig.client().get("/search", params={"q": "豫AI2345"}).text
        assert re.findall(r"<small>(\d+) times", page) == [str(len(came))]
        of_plate = rig.client().get("/search", params={"q": PLATE}).text
        assert f"({len(came)})</h2>" in of_plate


@pytest.mark.parametrize("asked", [PARCEL, PARCEL.lower(), "KT-1"])
def test_a_waybill_or_trace_code_leads_to_its_parcel(
    searched: ConsoleRig, client: TestClient, asked: str
) -> None:
    page = client.get("/search", params={"q": asked}).text
    assert f'class="parcel" href="/parcel/{PARCEL}"' in page


def test_a_firm_is_found_by_a_part_of_its_name(client: TestClient) -> None:
    assert FIRM in text_of(client.get("/search", params={"q": "中原"}).text)


def test_a_time_alone_shows_its_passages_by_the_sites_clock(searched: ConsoleRig, client: TestClient) -> None:
    (opened,) = bodies(searched, "kind = 'passage_opened' AND passage = 7")
    assert opened["time"].startswith("2026-01-31T08:00:00")
    inside = client.get("/search", params={"since": "2026-01-31T16:00", "until": "2026-01-31T16:01"}).text
    assert set(passages_on(inside)) == {"lane-1/7", "lane-1/8"}
    before = client.get("/search", params={"since": "2026-01-31T15:00", "until": "2026-01-31T16:00"}).text
    assert passages_on(before) == []
    other = client.get("/search", params={"since": "2026-01-31T16:00", "lane": "lane-2"}).text
    assert passages_on(other) == []
    assert "Expected a time" in client.get("/search", params={"since": "yesterday"}).text


@pytest.mark.parametrize("asked", ["", "nothing", "'; DROP TABLE facts", "%", "豫" * 90, "KT1:%%%"])
def test_nothing_found_is_said_and_nothing_breaks(
    searched: ConsoleRig, client: TestClient, asked: str
) -> None:
    answer = client.get("/search", params={"q": asked, "since": "2030-01-01T00:00"})
    assert answer.status_code == 200
    assert "Nothing found" in answer.text


COPIES = (
    """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
    INSERT INTO passages SELECT {} FROM passages, n WHERE device = 'lane-1' AND passage = 7""",
    """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
    INSERT INTO named SELECT {} FROM named, n WHERE device = 'lane-1' AND passage = 7 AND utc <> ''""",
)
"""Passage 7 comes again 1,500 times, a minute apart, with all that is named by it."""


@pytest.mark.parametrize("asked", [PLATE, SLIP, FIRM, "4604001"])
def test_a_time_long_before_the_latest_is_searched_too(tmp_path: Path, asked: str) -> None:
    later = "strftime('%Y-%m-%dT%H:%M:%fZ', {}, '+' || i || ' minutes')"
    changed = {name: later.format(name) for name in ("opened_utc", "utc")}
    changed |= {"passage": "passage + 10 * i", "seq": "seq + 100 * i"}
    with console_rig(tmp_path) as rig:
        stocked(rig)
        passes(rig)
        with contextlib.closing(sqlite3.connect(rig.console.part.shown_file)) as shown, shown:
            for sql, names in zip(COPIES, (PassageRow._fields, NamedRow._fields), strict=True):
                shown.execute(sql.format(", ".join(changed.get(name, name) for name in names)))
        client = rig.client()
        first = client.get(
            "/search", params={"q": asked, "since": "2026-01-31T16:00", "until": "2026-01-31T16:02"}
        ).text
        assert set(passages_on(first)) == {"lane-1/7", "lane-1/17"}
        latest = client.get("/search", params={"q": asked}).text
        assert passages_on(latest)[0] == f"lane-1/{7 + 10 * 1500}"
        assert len(set(passages_on(latest))) == MOST
        similar_ = client.get("/search", params={"q": "豫A1234S"}).text
        assert "1501 times" in text_of(similar_)


def test_the_search_of_a_person_is_kept(searched: ConsoleRig) -> None:
    searched.client("4604003").get("/search", params={"q": "4604001"})
    rows = searched.archive.engine.execute(
        "SELECT what, subject FROM console_reads WHERE officer = '4604003'"
    ).fetchall()
    assert [tuple(row) for row in rows] == [("search", "4604001")]


def test_what_is_similar_is_a_plate_and_never_itself() -> None:
    for plate in ("豫A12345", "粤BD12345", "粤Z1234港"):
        found = similar(plate)
        assert plate not in found
        assert len(found) == len(set(found)) > 100
        assert all(Plate.parse(each) for each in found)
    assert len(meant("豫A?234?")) == 34 * 34
    assert meant("豫A12345") == ()
    assert meant("???????") == ()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_speaks_no_key(searched: ConsoleRig, language: str) -> None:
    page = text_of(searched.client(language=language).get("/search", params={"q": PLATE}).text)
    assert [key for key in WORDS if "." in key and key in page] == []
