"""The library of labelled pictures, and finding earlier ones."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.xray_bridge.effects import KeepEvidence, SavePicture
from edge.xray_bridge.events import Event, EvidenceKept, Saved
from edge.xray_bridge.evidence.dicos import Scan
from edge.xray_bridge.evidence.keeping import EvidenceKeeper, Settings
from edge.xray_bridge.evidence.library import Library, problems_of
from edge.xray_bridge.evidence.manifest import GoodsSaid, Said, Taken
from edge.xray_bridge.evidence.searching import Query, Searcher
from edge.xray_bridge.evidence.store import EvidenceStore, Limits
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.describing import MAP_COLUMNS, MAP_ROWS, Descriptor
from edge.xray_bridge.imaging.tables import CLASSES, MATERIAL_BINS
from edge.xray_bridge.shelving import Shelf
from edge.xray_bridge.values import Association, Box, DeclaredLine, Goods, Likeness, Region, Verdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.records import Reference
from sync.vocabulary.xray_facts import ParcelXRayed
from tests.unit.test_xray_evidence import Clock

LIMITS = Limits(10**9, 0, 0, 30, 60)
PRIOR = Calibration()
SIDE = 20


def descriptor(kind: int, spread: float = 0.0) -> Descriptor:
    """Of goods of a kind: materials, mass and layout hang on it."""
    materials = np.full(MATERIAL_BINS, 0.001)
    materials[kind] = 1.0 - 0.001 * (MATERIAL_BINS - 1) - spread
    cells = np.zeros((MAP_ROWS, MAP_COLUMNS), np.uint8)
    cells[:, kind : kind + 12] = 100
    text = base64.b64encode(cells.tobytes()).decode()
    return Descriptor(
        calibration=PRIOR.id,
        length_mm=300.0,
        height_mm=200.0,
        mass_g=500.0 + 400.0 * kind + 100 * spread,
        area_cm2=600.0,
        materials=tuple(materials.tolist()),
        shares=(1.0, *([0.0] * (CLASSES - 1))),
        dark=text,
        z=text,
    )


def scan(picture: str, kind: int = 0) -> Scan:
    low = np.full((SIDE, SIDE), 1000 + kind, np.uint16)
    taken = Taken(
        picture=picture,
        width_px=SIDE,
        height_px=SIDE,
        taken_utc="2026-03-02T01:00:00.000000Z",
        air_low=4095,
        air_high=4095,
        column_mm=0.8,
        row_mm=0.8,
    )
    return Scan(taken, low, low + 7, b"\xff\xd8 jpeg", descriptor(kind).text().encode())


def goods(sku: str = "SKU1", hs_code: str = "6109100010", waybill_no: str = "SF1") -> Goods:
    line = DeclaredLine("T恤", sku, hs_code, "1", "件")
    return Goods(waybill_no, "410198Z001", "某公司", lines=(line,))


def save(
    picture: str, kind: str = "reference", *, category: str = "", of: Goods | None = None
) -> SavePicture:
    regions = (Region(Box(0.1, 0.1, 0.2, 0.2), "x", "y"),)
    return SavePicture(17, picture, kind, "31001234", category, "note", regions, of or goods())


class Station:
    """Store, library and keeper, on the test's thread."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.store = EvidenceStore(folder / "evidence", LIMITS)
        self.store.open()
        self.library = Library(folder / "library")
        self.library.open()
        self.events: list[Event] = []
        self.keeper = EvidenceKeeper(
            self.store,
            Settings(station="xray-1"),
            clock=self.clock,
            put=self.events.append,
            library=self.library,
        )
        self.searcher = Searcher(self.store, self.library)

    def save(self, effect: SavePicture, kind: int = 0) -> Saved:
        self.keeper.save(effect, scan(effect.picture, kind), calibration="c1")
        self.keeper._take(self.keeper._waiting.get_nowait())
        saved = self.events[-1]
        assert isinstance(saved, Saved)
        return saved

    def keep(self, picture: str, waybill_no: str, *, kind: int = 0, **more: Any) -> None:
        verdict = more.pop("verdict", Verdict.PASSED)
        judged = ParcelXRayed(
            parcel=1, verdict=verdict, by="officer", officer="1", category=more.pop("category", "")
        )
        said = Said(judged=judged, goods=GoodsSaid(**more))
        effect = KeepEvidence(
            picture, 1, waybill_no, Association.MATCHED, verdict, msgspec.Raw(to_json(said)), "routine"
        )
        self.keeper.keep(effect, scan(picture, kind))
        self.keeper._take(self.keeper._waiting.get_nowait())
        assert any(isinstance(event, EvidenceKept) for event in self.events[-2:])


def test_one_key_saves_a_labelled_picture(tmp_path: Path) -> None:
    station = Station(tmp_path)
    saved = station.save(save("p1", "find", category="prohibited"))
    assert saved == Saved(17, "p1", "find", "F-000001.1")
    entry = station.library.get("F-000001")
    assert entry is not None
    assert (entry.sku, entry.hs_code, entry.category) == ("SKU1", "6109100010", "prohibited")
    assert (entry.officer, entry.regions[0].note, entry.goods) == ("31001234", "y", "T恤")
    assert entry.picture_sha256 == entry.files[1].sha256
    assert {path.name for path in (tmp_path / "library" / "F-000001").iterdir()} == {
        "1.json",
        "low.dcs",
        "high.dcs",
        "preview.jpg",
    }
    assert problems_of(tmp_path / "library") == []


def test_references_and_finds_are_numbered_apart_and_for_ever(tmp_path: Path) -> None:
    station = Station(tmp_path)
    entries = [
        station.save(save(f"p{n}", kind)).entry for n, kind in enumerate(("reference", "find", "reference"))
    ]
    again = Station(tmp_path)
    entries.append(again.save(save("p9")).entry)
    assert entries == ["R-000001.1", "F-000001.1", "R-000002.1", "R-000003.1"]


def test_a_number_is_never_used_twice_whatever_became_of_the_entry(tmp_path: Path) -> None:
    station = Station(tmp_path)
    for number in range(3):
        station.save(save(f"p{number}"))
    shutil.rmtree(tmp_path / "library" / "R-000001")
    (tmp_path / "library" / "R-000003" / "1.json").write_bytes(b"no entry")
    (tmp_path / "library" / "index.jsonl").unlink()
    again = Station(tmp_path)
    assert [entry.number for entry in again.library.entries()] == ["R-000002"]
    assert again.save(save("p9")).entry == "R-000004.1"


def test_saved_again_with_other_words_it_is_a_further_version_that_names_the_one_before(
    tmp_path: Path,
) -> None:
    station = Station(tmp_path)
    station.save(save("p1", category="a"))
    assert station.save(save("p1", category="a")).entry == "R-000001.1"
    assert station.save(save("p1", category="b")).entry == "R-000001.2"
    row = list(station.library.versions("R-000001"))
    assert [entry.category for entry in row] == ["a", "b"]
    assert row[1].former_sha256 != ""
    first = station.library.get("R-000001.1")
    assert first is not None
    assert first.category == "a"
    assert station.library.get("R-000001.7") is None


def test_what_was_taken_back_stays_and_is_compared_with_no_more(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.save(save("p1"))
    station.library.take_back("R-000001", officer="2", utc="2026-03-03T00:00:00.000000Z")
    assert station.library.references_of("SKU1", "6109100010")[Likeness.SKU] == []
    assert len(list(station.library.versions("R-000001"))) == 2
    assert Station(tmp_path).library.entries() == []
    assert station.library.take_back("R-000099", officer="2", utc="") is None


def test_references_by_sku_and_by_chapter(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.save(save("p1", of=goods("A", "6109100010")))
    station.save(save("p2", of=goods("B", "6110200090")))
    station.save(save("p3", of=goods("C", "8517130000")))
    station.save(save("p4", "find", of=goods("A", "6109100010")))
    mixed = goods("A", "6109100010")
    mixed = Goods(mixed.waybill_no, lines=(*mixed.lines, *goods("C", "85").lines))
    station.save(save("p5", of=mixed))
    found = station.library.references_of("A", "6109909090")
    assert [entry.picture for entry in found[Likeness.SKU]] == ["p1"]
    assert {entry.picture for entry in found[Likeness.CHAPTER]} == {"p1", "p2"}
    assert station.library.references_of("", "") == {Likeness.SKU: [], Likeness.CHAPTER: []}


@pytest.mark.parametrize("damage", ["none", "cut", "garbage", "stale"])
def test_a_damaged_index_is_written_anew_from_the_entries(tmp_path: Path, damage: str) -> None:
    station = Station(tmp_path)
    for number in range(3):
        station.save(save(f"p{number}"))
    index = tmp_path / "library" / "index.jsonl"
    stale = index.read_bytes()
    station.save(save("p1", category="b"))
    before = station.library.entries()
    whole = index.read_bytes()
    match damage:
        case "none":
            index.unlink()
        case "cut":
            index.write_bytes(whole[:-20])
        case "garbage":
            index.write_bytes(whole.replace(b'"version":1', b'"version":"x"', 1))
        case _:
            index.write_bytes(stale)
    again = Station(tmp_path).library
    assert again.entries() == before
    assert index.read_bytes().count(b"\n") == 4


def test_killed_while_it_saves_an_entry_is_whole_or_not_there(tmp_path: Path, monkeypatch: Any) -> None:
    real = {name: getattr(os, name) for name in ("fsync", "replace", "mkdir", "rename")}

    class Killed(BaseException):
        pass

    for at in range(1, 60):
        folder, seen = tmp_path / str(at), [0]
        station = Station(folder)
        station.save(save("p0"))

        def instant(name: str, *args: Any, at: int = at, seen: list[int] = seen, **kwargs: Any) -> Any:
            seen[0] += 1
            if seen[0] == at:
                raise Killed
            return real[name](*args, **kwargs)

        for name in real:
            monkeypatch.setattr(os, name, lambda *a, name=name, **k: instant(name, *a, **k))
        try:
            station.save(save("p1"))
            station.save(save("p0", category="later"))
            done = True
        except Killed:
            done = False
        monkeypatch.undo()
        again = Station(folder)
        assert problems_of(folder / "library") == []
        assert again.save(save("p1")).entry == "R-000002.1"
        assert again.save(save("p0", category="later")).entry == "R-000001.2"
        if done:
            break
    assert at >= 8


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    station = Station(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    saved = station.save(save("p1"))
    assert (saved.entry, "No space" in saved.why) == ("", True)
    monkeypatch.undo()
    assert problems_of(tmp_path / "library") == []
    assert station.save(save("p1")).entry == "R-000001.1"


def test_whoever_looks_finds_what_was_changed_and_what_is_foreign(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.save(save("p1"))
    folder = tmp_path / "library" / "R-000001"
    (folder / "high.dcs").write_bytes(b"x")
    (folder / "low.dcs").unlink()
    (folder / "strange").touch()
    (tmp_path / "library" / "elsewhere").mkdir()
    assert problems_of(tmp_path / "library") == [
        "R-000001/strange: foreign",
        "R-000001/low.dcs: missing or changed",
        "R-000001/high.dcs: missing or changed",
        "elsewhere: foreign",
    ]


# --- search -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    station = Station(tmp_path_factory.mktemp("search"))
    station.clock.utc = "2026-03-01T01:00:00.000000Z"
    station.keep("p1", "SF100", skus=("A",), hs_codes=("6109",), enterprise="410198Z001")
    station.keep("p2", "SF200", skus=("B", "A2"), enterprise="E2", verdict=Verdict.FLAGGED, category="knife")
    station.clock.utc = "2026-03-02T01:00:00.000000Z"
    station.keep("p3", "SF101", skus=("C",), enterprise="E2", kind=5)
    station.keep("p4", '"quoted" 北京', skus=("C",))
    for kind in range(4):
        station.save(save(f"ref{kind}", of=goods(f"R{kind}", waybill_no=f"RR{kind}")), kind * 4)
    station.save(save("p2", "find", category="knife", of=goods("B", waybill_no="SF200")), 20)
    return station.searcher


@pytest.mark.parametrize(
    ("query", "pictures"),
    [
        (Query(waybill_no="SF100"), {"p1"}),
        (Query(waybill_no="sf1"), {"p1", "p3"}),
        (Query(sku="A"), {"p1", "p2"}),
        (Query(sku="R2"), {"ref2"}),
        (Query(enterprise="E2"), {"p2", "p3"}),
        (Query(enterprise="E2", first_day="2026-03-02"), {"p3"}),
        (Query(verdict="flagged"), {"p2"}),
        (Query(category="knife"), {"p2"}),
        (Query(hs_code="6109", last_day="2026-03-01"), {"p1"}),
        (Query(waybill_no='"quoted" 北'), {"p4"}),
        (Query(waybill_no="nothing"), set()),
    ],
)
def test_earlier_pictures_are_found(searched: Searcher, query: Query, pictures: set[str]) -> None:
    assert {row.picture for row in searched.find(query, 40)} == pictures


def test_a_picture_that_is_also_in_the_library_is_one_row(searched: Searcher) -> None:
    (row,) = searched.find(Query(waybill_no="SF200"), 40)
    assert (row.verdict, row.category, row.goods) == (Verdict.FLAGGED, "knife", "F-000001.1 T恤")


def test_the_page_is_told_when_there_is_more(searched: Searcher) -> None:
    assert [searched.search("sku", "R", limit).more for limit in (3, 4)] == [True, False]
    assert searched.search("enterprise", "zzz", 5).rows == ()


def test_the_likest_pictures_come_first(searched: Searcher) -> None:
    found = searched.search("picture", "p3", 3)
    assert [row.picture for row in found.rows] == ["ref1", "ref2", "ref3"]
    assert found.rows[0].distance is not None
    assert sorted(row.distance or 0.0 for row in found.rows) == [row.distance for row in found.rows]
    assert searched.search("picture", "unknown", 3).rows == ()


def test_past_parcels_are_found_by_likeness_beside_the_library_and_none_that_are_gone(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.clock.utc = "2026-03-01T01:00:00.000000Z"
    for n in range(6):
        station.keep(f"p{n}", f"SF10{n}", kind=n)
    station.clock.utc = "2026-03-02T01:00:00.000000Z"
    station.keep("p6", "SF106", kind=2)
    station.save(save("p3", of=goods("B")), 3)
    found = station.searcher.search("picture", "p6", 4)
    assert [row.picture for row in found.rows] == ["p2", "p3", "p1", "p4"]
    assert found.rows[0].distance == pytest.approx(0.0, abs=0.01)
    assert (found.rows[0].waybill_no, found.rows[1].goods, found.more) == ("SF102", "R-000001.1 T恤", True)
    lines = station.store.days.likes("2026-03-01")
    lines.write_bytes(lines.read_bytes() + b'\n["p9","x",1.0,"short"]\n\xff\n["cut off')
    again = Station(tmp_path).searcher.search("picture", "p6", 4)
    assert again == found
    lines.unlink()
    assert [row.picture for row in station.searcher.search("picture", "p6", 4).rows] == ["p3"]


def test_a_past_picture_comes_back_as_it_was_taken(searched: Searcher) -> None:
    for name, value in (("p3", 1005), ("ref2", 1008), ("R-000003", 1008)):
        raw = searched.raw(name)
        assert raw is not None
        assert (int(raw.low[0, 0]), int(raw.high[0, 0]), raw.mm_per_column) == (value, value + 7, 0.8)
    assert searched.raw("unknown") is None


def test_those_of_the_declared_number_are_compared_with_first_and_the_number_is_kept(tmp_path: Path) -> None:
    station = Station(tmp_path)
    shelf = Shelf(station.keeper, station.library, station.searcher, calibration=lambda: PRIOR)

    def of(quantity: str, **changes: Any) -> Goods:
        line = DeclaredLine("T恤", "A", "6109100010", quantity, "件")
        return Goods(**{"waybill_no": "SF1", "lines": (line,), **changes})

    for number, quantity in enumerate(("2", "1", "2.0", "", "0", "x")):
        station.save(save(f"p{number}", of=of(quantity)))
    assert [entry.quantity for entry in reversed(station.library.entries())] == ["2", "1", "2", "", "", ""]
    text = descriptor(0).text()
    records = [
        Reference(reference_no=f"C-{quantity}", sku="A", quantity=quantity, kind="x_ray", descriptor=text)
        for quantity in ("2.00", "3")
    ]
    sets = shelf.references(of("2"), records, ())()
    assert sets.of_quantity is not None
    assert [kept.reference_no for kept in sets.of_quantity.kept] == ["C-2.00", "R-000001.1", "R-000003.1"]
    assert sets.sku is not None
    assert len(sets.sku.kept) == 8
    for unknown in (of("2", pieces=2), of(""), of("2", lines=(of("2").lines[0], of("").lines[0]))):
        assert shelf.references(unknown, records, ())().of_quantity is None
    twice = of("", lines=(of("1").lines[0],) * 2)
    assert shelf.references(twice, records, ())() is sets
    changed = [msgspec.structs.replace(each, descriptor=descriptor(1).text()) for each in records]
    assert shelf.references(of("2"), changed, ())() is not sets


def test_an_entry_written_before_numbers_were_kept_gets_one_and_the_library_stays_whole(
    tmp_path: Path,
) -> None:
    station = Station(tmp_path)
    station.save(save("p0"))
    first = tmp_path / "library" / "R-000001" / "1.json"
    before = json.loads(first.read_bytes())
    del before["quantity"]
    first.write_bytes(json.dumps(before, ensure_ascii=False, indent=1).encode())
    (tmp_path / "library" / "index.jsonl").unlink()
    again = Station(tmp_path)
    assert [entry.quantity for entry in again.library.entries()] == [""]
    assert again.save(save("p0")).entry == "R-000001.2"
    assert [entry.quantity for entry in Station(tmp_path).library.entries()] == ["1"]
    assert problems_of(tmp_path / "library") == []


def test_a_desk_compares_with_and_is_shown_what_this_stations_library_has(tmp_path: Path) -> None:
    station = Station(tmp_path)
    shelf = Shelf(station.keeper, station.library, station.searcher, calibration=lambda: PRIOR)
    for number in range(2):
        station.save(save(f"p{number}", of=goods("A", "6109100010")))
    record = Reference(reference_no="C-1", sku="A", kind="x_ray", descriptor=descriptor(0).text())
    unread = Reference(reference_no="C-2", sku="A", kind="x_ray", descriptor="{}")
    found = shelf.references(goods("A", "6109100010"), (record, unread), ())
    sets = found()
    assert sets.sku is not None
    assert sets.chapter is not None
    assert [kept.reference_no for kept in sets.sku.kept] == ["C-1", "R-000001.1", "R-000002.1"]
    assert [kept.reference_no for kept in sets.chapter.kept] == ["R-000001.1", "R-000002.1"]
    assert found() is sets
    nothing = shelf.references(None, (), ())()
    assert (nothing.sku, nothing.chapter) == (None, None)
    shown = shelf.reference("R-000001.1")
    assert shown is not None
    assert (shown.picture.picture, shown.find) == ("p0", False)
    assert shown.words.en == "Reference R-000001.1 T恤 × 1 2026-03-02"
    assert shelf.reference("C-1") is None
    raw = shelf.raw(shown.picture.picture)
    assert raw is not None
