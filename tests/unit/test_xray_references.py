"""Pictures of known goods, brought into a station's library before it starts: what is taken, what is not and
why, and that they are compared with as the calibration in force sees them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.xray_bridge.config import XRayConfig, read_xray_config
from edge.xray_bridge.evidence.keeping import EvidenceKeeper, Settings
from edge.xray_bridge.evidence.library import Library, problems_of
from edge.xray_bridge.evidence.searching import Searcher
from edge.xray_bridge.evidence.store import EvidenceStore, Limits
from edge.xray_bridge.imaging.analysis import analyse
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.comparing import compared
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.wedge import calibrated
from edge.xray_bridge.shelving import Shelf
from edge.xray_bridge.stocking import StockRefused, read_table, stock
from edge.xray_bridge.values import DeclaredLine, Goods
from hardware_sims.xray_goods import BY_SKU, pack, wedge
from hardware_sims.xray_machine import PLAIN, Rendered, render
from hardware_sims.xray_physics import Detector, flattened
from hardware_sims.xray_references import write_references
from hardware_sims.xray_scenario import XrayScenario
from sync.store.journal import Journal
from tests.system.xray_site import XraySite
from tests.unit.test_xray_evidence import Clock

TEA = "SKU-TEA-250"
GOODS = Goods("YT1", lines=(DeclaredLine("红茶", TEA, BY_SKU[TEA].hs_code, "1", "听"),))


class Machine:
    """Takes pictures of what nobody told the program of."""

    def __init__(self) -> None:
        self.detector = Detector(PLAIN, 3)
        self.noise = np.random.default_rng(11)

    def takes(self, rendered: Rendered) -> RawPicture:
        free = np.ones((16, PLAIN.pixels), np.float32)
        low, high = (np.concatenate([free, each, free]) for each in (rendered.low, rendered.high))
        counts = self.detector.counts(low, high, self.noise)
        flat = [
            np.ascontiguousarray(
                flattened(counts[n], self.detector.dark[n], self.detector.gain[n], 60_000.0).T
            )
            for n in (0, 1)
        ]
        return RawPicture(flat[0], flat[1], 60_000, 60_000, PLAIN.line_mm, PLAIN.pixel_mm, "x")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write_references(folder, [(TEA, 1)], detector=PLAIN, seed=3, unix_s=1_767_225_600.0)
    return folder


@pytest.fixture
def export(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "export"))


@pytest.fixture
def config(tmp_path: Path) -> XRayConfig:
    site = XraySite(
        tmp_path / "site",
        XrayScenario(),
        extra='[machine]\nmaker = "Maker"\nmodel = "M 6040"\nserial = "own"',
    )
    site.write_config(
        {"scanner": "socket://127.0.0.1:1", "io": "socket://127.0.0.1:2", "xray": "socket://127.0.0.1:3"}
    )
    site.store.mkdir()
    return read_xray_config(site.config)


def taken(config: XRayConfig, folder: Path) -> dict[str, str]:
    """Picture -> entry, or why not."""
    rows = stock(config, folder, "ZZ1", Clock())
    return {row.picture: row.entry or row.why for row in rows}


def test_a_machines_export_becomes_references_of_its_goods(config: XRayConfig, export: Path) -> None:
    found = taken(config, export)
    assert found == {f"P{n:06d}": f"R-{n:06d}.1" for n in range(1, 7)}
    library = Library(config.library.folder)
    library.open()
    entry = library.get("R-000001")
    assert entry is not None
    assert (entry.sku, entry.officer, entry.quantity, entry.kind) == (TEA, "ZZ1", "1", "reference")
    plate = entry.taken.machine
    assert (plate.maker, plate.model, plate.serial) == ("Maker", "M 6040", "SIM-001")
    low = library.file(entry, "low.dcs")
    assert low is not None
    assert b"M 6040" in low
    assert library.file(entry, "preview.jpg") is not None
    assert problems_of(config.library.folder) == []


def test_the_same_export_once_more_changes_nothing_and_leaves_its_files(
    config: XRayConfig, export: Path
) -> None:
    before = sorted(path.name for path in export.iterdir())
    assert taken(config, export) == taken(config, export)
    assert sorted(path.name for path in export.iterdir()) == before


def test_what_cannot_be_taken_is_said_picture_by_picture(config: XRayConfig, export: Path) -> None:
    whole = (export / "P000002_low.png").read_bytes()
    (export / "P000002_low.png").write_bytes(whole[: len(whole) // 2])
    (export / "P000003_high.png").unlink()
    for file in export.glob("P000004*"):
        file.unlink()
    with (export / "references.csv").open(encoding="utf-8") as read:
        rows = [row for row in csv.reader(read) if row[0] != "P000005"]
    with (export / "references.csv").open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows(rows)
    found = taken(config, export)
    assert found["P000001"] == "R-000001.1"
    assert found["P000002"].startswith(("cut_off", "mismatch"))
    assert found["P000003"].startswith("no_partner")
    assert found["P000004"] == "there are no files of this name"
    assert found["P000005"] == "references.csv does not name it"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("picture,sku\nP1,A\n", "expected the columns picture, sku, hs_code, goods"),
        ("picture,sku,hs_code,goods,colour\nP1,A,1,x,red\n", "unknown: colour"),
        ("picture,sku,hs_code,goods\nP1,A,1,x\nP1,A,1,x\n", "csv:3: picture: expected each name once"),
        ("picture,sku,hs_code,goods\nP1,,,x\n", "csv:2: expected an sku or an hs_code"),
        ("picture,sku,hs_code,goods,kind\nP1,A,1,x,good\n", "csv:2: kind: expected reference or find"),
        ("picture,sku,hs_code,goods\nP1,A\n", "csv:2: expected 4 values"),
        ("picture,sku,hs_code,goods,quantity\nP1,A,1,x,two\n", "csv:2: quantity: expected a number"),
        ("picture,sku,hs_code,goods,quantity\nP1,A,1,x,0\n", "csv:2: quantity: expected a number"),
        ("picture,sku,hs_code,goods\nP1,A,1," + "x" * 201 + "\n", "csv:2: goods: expected at most 200"),
    ],
)
def test_a_table_that_is_none_is_refused_whole(tmp_path: Path, table: str, expected: str) -> None:
    (tmp_path / "references.csv").write_text(table, encoding="utf-8")
    with pytest.raises(StockRefused, match=r"references\.csv") as refused:
        read_table(tmp_path / "references.csv")
    assert expected in str(refused.value)


def test_while_the_station_runs_its_library_is_its_own(config: XRayConfig, export: Path) -> None:
    with (
        Journal.open(config.store.folder / "journal.sqlite", device="xray-1"),
        pytest.raises(StockRefused, match="the station runs"),
    ):
        taken(config, export)


def test_references_are_compared_with_as_the_calibration_in_force_sees_them(
    config: XRayConfig, export: Path, tmp_path: Path
) -> None:
    """Taken before anything was measured, they are described anew when the wedge was: else the same goods
    would differ by their calibration alone."""
    taken(config, export)
    library = Library(config.library.folder)
    library.open()
    store = EvidenceStore(tmp_path / "evidence", Limits(10**9, 0, 0, 30, 60))
    store.open()
    keeper = EvidenceKeeper(
        store, Settings(station="xray-1"), clock=Clock(), put=lambda event: None, library=library
    )
    machine = Machine()
    measured = calibrated(machine.takes(render(wedge(1), PLAIN)), made="2026-01-01T00:00:00Z", machine="SIM")
    shelf = Shelf(keeper, library, Searcher(store, library), calibration=lambda: measured)
    same = analyse(machine.takes(render(pack(77, TEA, 1), PLAIN)), measured)[1]
    other = analyse(machine.takes(render(pack(77, TEA, 1, extra="powder"), PLAIN)), measured)[1]

    sets = shelf.references(GOODS, (), ())()
    assert sets.sku is not None
    assert {each.descriptor.calibration for each in sets.sku.kept} == {measured.id}
    score, odd = compared(same, sets).score, compared(other, sets).score
    assert score is not None
    assert odd is not None
    assert score < 2.0 < 10.0 < odd
    stale = {entry.key: entry.descriptor for entry in library.entries()}
    assert all(f'"{Calibration().id}"' in text for text in stale.values())
