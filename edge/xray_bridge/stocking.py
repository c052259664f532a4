"""Pictures of known goods into a station's library, before it starts: a machine's own export (the files of a
hot folder) and a table of what lies on each. Judges nothing, and writes only the library.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.devices.readings import XrayPictureFailed, XrayPictureSeen
from edge.devices.xray_folder.watching import HotFolder, folder_settings
from edge.runtime.clock import Clock
from edge.xray_bridge.analysing import PREVIEW, preview
from edge.xray_bridge.calibrating import IN_FORCE, read_calibration
from edge.xray_bridge.config import XRayConfig, machine_of
from edge.xray_bridge.effects import SavePicture
from edge.xray_bridge.evidence.dicos import Whose
from edge.xray_bridge.evidence.keeping import entry_of
from edge.xray_bridge.evidence.library import Library, plain_quantity
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.describing import described
from edge.xray_bridge.imaging.pictures import PictureRefused, RawPicture, without_silent_rows
from edge.xray_bridge.imaging.segmenting import outlined
from edge.xray_bridge.imaging.views import develop
from edge.xray_bridge.pictures import Held
from edge.xray_bridge.shelving import scan_of
from edge.xray_bridge.showing import palette_of
from edge.xray_bridge.values import Association, DeclaredLine, Goods
from sync.store.lock import is_held, lock_path

TABLE: Final = "references.csv"
COLUMNS: Final = ("picture", "sku", "hs_code", "goods")
MORE: Final = ("quantity", "kind", "category", "note", "waybill_no", "enterprise")
KINDS: Final = ("reference", "find")
MOST_ROWS: Final = 50_000
MOST_TEXT: Final = 200


class StockRefused(Exception):
    """What was expected of the folder, its table or the station."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one picture shows."""

    picture: str
    """NAME of its files."""
    sku: str
    hs_code: str
    goods: str
    quantity: str = ""
    """How many of them; empty: not known, and then they are no yardstick for a number."""
    kind: str = "reference"
    category: str = ""
    note: str = ""
    waybill_no: str = ""
    enterprise: str = ""


@dataclass(frozen=True, slots=True)
class Stocked:
    """What became of one row."""

    picture: str
    entry: str = ""
    """Its key in the library; empty: it was not taken."""
    why: str = ""


def read_table(path: Path) -> dict[str, Row]:
    """By picture. Raises `StockRefused`, naming the line and what was expected of it; `OSError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StockRefused(f"{path}: expected UTF-8: {error}") from error
    reader = csv.DictReader(text.splitlines())
    names = tuple(reader.fieldnames or ())
    missing = [name for name in COLUMNS if name not in names]
    unknown = [name for name in names if name not in (*COLUMNS, *MORE)]
    if missing or unknown:
        raise StockRefused(
            f"{path}: expected the columns {', '.join(COLUMNS)} and at most {', '.join(MORE)}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(map(str, unknown)) or 'none'}"
        )
    rows: dict[str, Row] = {}
    for line in reader:
        where = f"{path}:{reader.line_num}"
        if None in line or None in line.values():
            raise StockRefused(f"{where}: expected {len(names)} values")
        told = {name: str(value).strip() for name, value in line.items()}
        long = [name for name, value in told.items() if len(value) > MOST_TEXT]
        if long:
            raise StockRefused(f"{where}: {long[0]}: expected at most {MOST_TEXT} characters")
        row = Row(**{name: value for name, value in told.items() if value or name in COLUMNS})
        if not row.picture or row.picture in rows:
            raise StockRefused(f"{where}: picture: expected each name once, got {row.picture!r}")
        if not (row.sku or row.hs_code):
            raise StockRefused(f"{where}: expected an sku or an hs_code")
        if row.quantity and not plain_quantity(row.quantity):
            raise StockRefused(f"{where}: quantity: expected a number such as 2, got {row.quantity!r}")
        if row.kind not in KINDS:
            raise StockRefused(f"{where}: kind: expected {' or '.join(KINDS)}, got {row.kind!r}")
        rows[row.picture] = row
        if len(rows) > MOST_ROWS:
            raise StockRefused(f"{path}: expected at most {MOST_ROWS} rows")
    return rows


def stock(config: XRayConfig, folder: Path, officer: str, clock: Clock) -> Iterator[Stocked]:
    """Every picture of the table, in the folder's order. Again with the same words it changes nothing. Raises
    `StockRefused`, `CalibrationRefused`, `OSError`."""
    if is_held(lock_path(config.store.folder / "journal.sqlite")):
        raise StockRefused("the station runs: expected it stopped; at its page F8 and F9 save pictures")
    rows = read_table(folder / TABLE)
    given = {} if config.folder is None else config.folder.settings
    export = HotFolder(
        "references",
        folder,
        folder_settings(given),
        monotonic_s=clock.monotonic_s,
        on_reading=lambda at_s, name, reading: None,
        on_news=lambda at_s, name, why: None,
    )
    calibration = read_calibration(config.calibration.folder / IN_FORCE) or Calibration()
    library = Library(config.library.folder)
    library.open()
    for found in export.lying():
        match found:
            case XrayPictureSeen():
                name = found.picture.rpartition("@")[0]
                row = rows.pop(name, None)
                if row is not None:
                    yield _stocked(config, library, calibration, found, row, officer, clock.utc_text())
                else:
                    yield Stocked(name, why=f"{TABLE} does not name it")
            case XrayPictureFailed(picture, code, why):
                rows.pop(picture, None)
                yield Stocked(picture, why=f"{code}: {why}")
    for name in rows:
        yield Stocked(name, why="there are no files of this name")


def _stocked(
    config: XRayConfig,
    library: Library,
    calibration: Calibration,
    seen: XrayPictureSeen,
    row: Row,
    officer: str,
    utc: str,
) -> Stocked:
    try:
        held = _held(config, calibration, seen)
        lines = (
            DeclaredLine(name=row.goods, sku=row.sku, hs_code=row.hs_code, quantity=row.quantity, unit=""),
        )
        asked = SavePicture(
            0,
            seen.picture,
            row.kind,
            officer,
            row.category,
            row.note,
            (),
            Goods(waybill_no=row.waybill_no, enterprise=row.enterprise, lines=lines),
        )
        whose = Whose(config.station.id, 0, row.waybill_no, Association.MATCHED, site=config.station.site)
        draft, files = entry_of(
            asked, scan_of(held, machine_of(config)), whose, calibration=calibration.id, utc=utc
        )
        return Stocked(row.picture, library.save(draft, files).key)
    except (PictureRefused, ValueError, msgspec.ValidationError) as refused:
        return Stocked(row.picture, why=str(refused)[:MOST_TEXT])


def _held(config: XRayConfig, calibration: Calibration, seen: XrayPictureSeen) -> Held:
    """Raises `PictureRefused`; `ValueError` where nothing, or more than one thing, lies in it."""
    raw, _ = without_silent_rows(
        RawPicture(
            seen.low, seen.high, seen.air_low, seen.air_high, seen.mm_per_column, seen.mm_per_pixel,
            seen.picture,
        )
    )  # fmt: skip
    developed = develop(raw)
    outlines = outlined(developed, calibration)
    if len(outlines.things) != 1:
        raise ValueError(f"expected one parcel in the picture, there are {len(outlines.things)}")
    descriptor, _ = described(developed, calibration, outlines)
    return Held(
        seen=seen,
        developed=developed,
        outlines=outlines,
        at_s=0.0,
        utc=seen.begun_utc,
        leading_mm=None,
        trailing_mm=None,
        size_bytes=0,
        descriptor=descriptor,
        made={PREVIEW: preview(developed, calibration, palette_of(config.library.palette))},
    )
