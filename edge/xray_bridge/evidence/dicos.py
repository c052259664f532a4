"""A parcel's pictures and reports as DICOS files (NEMA IIC 1 V03), uncompressed Explicit VR Little Endian:
two DX for processing, a threat detection report by the machine, one by the officer. Bytes out; no file, no
clock.

Which attributes, with which values, was learnt from readers of this trade and stands in
`docs/xray-evidence.md`; `tests/dicos_checker.py` holds the same table as data and shares nothing with this
module. Tags are written out with their representation: several are not in DICOM's dictionary, or other than
there."""

from __future__ import annotations

import enum
import io
import re
import struct
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.filewriter import dcmwrite

from edge.xray_bridge.evidence.manifest import Taken
from edge.xray_bridge.values import Acquisition, Association, Box

Pixels = NDArray[np.uint16]

DX_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.501.2.2"
THREAT_REPORT: Final = "1.2.840.10008.5.1.4.1.1.501.3"
_EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
_VERSION: Final = "V03"
_OURS: Final = uuid.UUID("6f1c2f5e-5c0c-5b6e-9a53-7a1f1f3f0d0c")
"""Everything this program names by a UID hangs on it: the same picture of the same station, the same UIDs."""
_IMPLEMENTATION: Final = f"2.25.{uuid.uuid5(_OURS, 'implementation').int}"


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Reporter(enum.StrEnum):
    MACHINE = "machine"
    OPERATOR = "operator"


class Flag(enum.StrEnum):
    THREAT = "THREAT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Scan:
    """A whole picture in memory, rows by columns as `taken` says."""

    taken: Taken
    low: Pixels
    high: Pixels
    preview: bytes | None = None
    """A coloured JPEG, where the analysis made one."""
    descriptor: bytes = b""
    """JSON by which similar pictures are found, as the analysis made it."""


@dataclass(frozen=True, slots=True)
class Whose:
    """The object of inspection."""

    station: str
    parcel: int
    waybill_no: str
    association: Association
    carrier: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A potential threat object: where, and what it is taken for, in words."""

    box: Box
    category: str
    """Ours; `_CATEGORIES` says which of the standard's it is."""
    words: str
    flag: Flag = Flag.THREAT
    probability: float | None = None
    material_z: float | None = None
    """Effective atomic number."""


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody came to. An alarm names at least one item, a clear none."""

    by: Reporter
    number: int
    """Of this reporter on this picture, from 1: a judgement taken back and given again is a further
    report."""
    alarm: bool
    items: tuple[Item, ...]
    decided_utc: str
    officer: str = ""
    took_ms: float = 0.0
    algorithm: str = ""
    """Its version."""


_NEVER: Final = "1970-01-01T00:00:00.000000Z"
_CATEGORIES: Final = {
    "anomaly": "ANOMALY",
    "contraband": "CONTRABAND",
    "explosive": "EXPLOSIVE",
    "other": "OTHER",
    "pharmaceutical": "PHARMACEUTICAL",
    "prohibited_item": "PI",
    # What officers flag a parcel for, where the standard has a word for it.
    "prohibited": "PI",
    "undeclared": "CONTRABAND",
}
_STATUS: Final = {
    Acquisition.SUCCESSFUL: "SUCCESSFUL",
    Acquisition.JAM: "JAM",
    Acquisition.OVERSIZE: "OVERSIZE",
    Acquisition.SLIP: "SLIP",
    Acquisition.INCOMPLETE: "INCOMPLETE",
    Acquisition.CUT: "CUT",
    Acquisition.MERGED: "MERGED",
}

_Row = tuple[int, str, Any]


def status_of(acquisition: Acquisition, association: Association) -> str:
    """What the machine said of its picture, or, where it found nothing amiss, what the matching did."""
    if acquisition is Acquisition.SUCCESSFUL:
        if association is Association.MERGED:
            return _STATUS[Acquisition.MERGED]
        if association is Association.SPLIT:
            return _STATUS[Acquisition.CUT]
    return _STATUS[acquisition]


def uid_of(station: str, *what: str) -> str:
    """A valid UID (2.25 and a UUID, DICOM PS3.5 B.2), the same whenever it is asked for."""
    return f"2.25.{uuid.uuid5(_OURS, chr(0).join((station, *what))).int}"


def picture_file(scan: Scan, whose: Whose, level: Level) -> bytes:
    """One energy level as DX for processing. Raises `ValueError` where the pixels are no picture."""
    taken = scan.taken
    pixels = scan.low if level is Level.LOW else scan.high
    air = taken.air_low if level is Level.LOW else taken.air_high
    if pixels.dtype != np.uint16 or pixels.shape != (taken.height_px, taken.width_px):
        expected = f"16 bits, {taken.height_px} rows, {taken.width_px} columns"
        raise ValueError(f"expected a picture of {expected}, got {pixels.dtype} {pixels.shape}")
    rows, columns = pixels.shape
    machine = taken.machine
    instance = _instance(taken, whose, level.value)
    put: list[_Row] = [
        *_common(taken, whose, DX_FOR_PROCESSING, instance, taken.taken_utc),
        (0x00080008, "CS", ["ORIGINAL", f"{level.value.upper()} ENERGY"]),
        (0x00080060, "CS", "XRAY"),
        (0x00080068, "CS", "FOR PROCESSING"),
        (0x00180060, "DS", _decimal(machine.kv_peak)),
        (0x00188151, "DS", _decimal(machine.tube_current_ua)),
        (0x00189309, "FD", taken.belt_mm_s),
        (0x00187004, "CS", "SCINTILLATOR"),
        (0x0020000E, "UI", uid_of(whose.station, taken.picture, "pictures")),
        (0x00200011, "IS", 1),
        (0x00200013, "IS", 1 if level is Level.HIGH else 2),
        (0x00200032, "DS", ["0", "0", "0"]),
        (0x00200037, "DS", ["1", "0", "0", "0", "1", "0"]),
        (0x00200062, "CS", "U"),
        (0x00280002, "US", 1),
        (0x00280004, "CS", "MONOCHROME2"),
        (0x00280010, "US", rows),
        (0x00280011, "US", columns),
        (0x00280030, "DS", [_decimal(taken.row_mm), _decimal(taken.column_mm)]),
        (0x00280100, "US", 16),
        (0x00280101, "US", 16),
        (0x00280102, "US", 15),
        (0x00280103, "US", 0),
        (0x00280106, "US", int(pixels.min())),
        (0x00280107, "US", min(65_535, max(air, int(pixels.max())))),
        (0x00280301, "CS", "NO"),
        (0x00280A02, "CS", "GEOMETRY"),
        (0x00280A04, "LO", _line(taken.spacing_says)),
        (0x00281040, "CS", "LIN"),
        (0x00281041, "SS", 1),
        (0x00281052, "DS", "0"),
        (0x00281053, "DS", "1"),
        (0x00281054, "LO", "US"),
        (0x00282110, "CS", "00"),
        (0x40101062, "FL", taken.belt_height_mm),
        (0x43000902, "FL", taken.low_kev if level is Level.LOW else taken.high_kev),
        (0x7FE00010, "OW", pixels.astype("<u2", copy=False).tobytes()),
    ]
    return _file(put, DX_FOR_PROCESSING, instance)


def report_file(taken: Taken, whose: Whose, report: Report) -> bytes:
    """A threat detection report. Raises `ValueError` for an alarm without an item, or a clear with one."""
    if report.alarm is not bool(report.items):
        raise ValueError("expected an alarm to name what it stands on, and a clear to name nothing")
    if report.by is Reporter.OPERATOR and not report.officer:
        raise ValueError("expected an officer's report to name the officer")
    role = f"{report.by.value} {report.number}"
    scans = _referenced(taken, whose, Level.HIGH)
    instance = _instance(taken, whose, role)
    put: list[_Row] = [
        *_common(taken, whose, THREAT_REPORT, instance, report.decided_utc),
        (0x00080060, "CS", "TDR"),
        (0x0020000E, "UI", uid_of(whose.station, taken.picture, report.by.value)),
        (0x00200011, "IS", 2 if report.by is Reporter.MACHINE else 3),
        (0x00200013, "IS", report.number),
        (0x00081110, "SQ", [_dataset(scans)]),
        (0x40101024, "CS", "SUCCESS"),
        (0x4010106D, "CS", "NO"),
        (0x40101027, "CS", report.by.value.upper()),
        (0x40101029, "LO", ["kakou", _line(report.algorithm)]),
        (0x4010102B, "DT", _moment(report.decided_utc)),
        (0x40101031, "CS", "ALARM" if report.alarm else "CLEAR"),
        (0x40101033, "US", len(report.items)),
        (0x40101034, "US", len(report.items)),
        (0x40101069, "FL", report.took_ms),
        (0x40101075, "FD", 1.0),
    ]
    if report.items:
        put.append((0x40101011, "SQ", _items(taken, whose, report)))
    if report.by is Reporter.OPERATOR:
        put.append((0x00081072, "SQ", [_operator(whose, report.officer)]))
    return _file(put, THREAT_REPORT, instance)


def pixels_of(data: bytes) -> Pixels:
    """Back from `picture_file`. Raises `ValueError` for what is none."""
    try:
        whole = dcmread(io.BytesIO(data))
        rows, columns = int(whole.Rows), int(whole.Columns)
        found: Pixels = np.frombuffer(whole.PixelData, dtype="<u2").reshape(rows, columns)
    except (InvalidDicomError, AttributeError, EOFError, OSError, struct.error) as error:
        raise ValueError(f"expected a picture as DICOS: {error}") from error
    return found


def _common(taken: Taken, whose: Whose, sop_class: str, instance: str, utc: str) -> list[_Row]:
    """What stands in every file: whose parcel it is, what took it, and the acquisition itself."""
    machine = taken.machine
    identity, kind = _identity(taken, whose)
    begun, made = _moment(taken.taken_utc), _moment(utc)
    calibrated = _moment(taken.calibrated_utc or _NEVER)
    return [
        (0x00080005, "CS", "ISO_IR 192"),
        (0x00080012, "DA", made[:8]),
        (0x00080013, "TM", made[8:]),
        (0x00080016, "UI", sop_class),
        (0x00080018, "UI", instance),
        (0x00080020, "DA", begun[:8]),
        (0x00080021, "DA", begun[:8]),
        (0x00080022, "DA", begun[:8]),
        (0x00080023, "DA", made[:8]),
        (0x0008002A, "DT", begun),
        (0x00080030, "TM", begun[8:]),
        (0x00080031, "TM", begun[8:]),
        (0x00080032, "TM", begun[8:]),
        (0x00080033, "TM", made[8:]),
        (0x00080070, "LO", _line(machine.maker)),
        (0x00080080, "LO", _place(whose)),
        (0x00080081, "ST", _place(whose)),
        (0x00080118, "CS", "MACHINE"),
        (0x00080201, "SH", "+0000"),
        (0x00081010, "SH", _line(whose.station, 16)),
        (0x00081090, "LO", _line(machine.model)),
        (0x00082108, "CS", "LHS"),
        (0x00100020, "LO", identity),
        (0x00100021, "LO", _line(whose.carrier)),
        (0x00100022, "CS", kind),
        (0x00101002, "SQ", []),
        (0x00181000, "LO", _line(machine.serial or machine.device)),
        (0x00181020, "LO", _line(machine.software)),
        (0x00181200, "DA", calibrated[:8]),
        (0x00181201, "TM", calibrated[8:]),
        (0x0020000D, "UI", uid_of(whose.station, taken.picture, "parcel")),
        (0x00200010, "SH", _line(str(whose.parcel), 16)),
        (0x00200052, "UI", uid_of(whose.station, taken.picture, "frame")),
        (0x00201040, "LO", "belt"),
        (0x00400555, "SQ", []),
        (0x4010103A, "CS", _VERSION),
        # The standard has no parcel, and of what is called cargo readers of this trade show no region.
        (0x40101042, "CS", "BAGGAGE"),
        (0x40101044, "CS", status_of(taken.acquisition, whose.association)),
        (0x40101048, "CS", "OPERATIONAL"),
        (0x40101064, "SQ", []),
        (0x40101068, "LT", "parcel"),
    ]


def _identity(taken: Taken, whose: Whose) -> tuple[str, str]:
    """The waybill as it was read from its barcode; a picture that is nobody's is named, not left nameless."""
    if whose.waybill_no:
        return _line(whose.waybill_no), "BARCODE"
    if whose.parcel:
        return f"{_line(whose.station, 40)} {whose.parcel}", "TEXT"
    return _line(taken.picture), "TEXT"


def _items(taken: Taken, whose: Whose, report: Report) -> list[Dataset]:
    rows, columns = taken.height_px, taken.width_px
    made = []
    for number, item in enumerate(report.items, 1):
        left, top, width, height = _in_pixels(item.box, columns, rows)
        right, bottom = left + width, top + height
        region: list[_Row] = [
            (0x40101004, "FL", [float(left), float(top), 0.0]),
            (0x40101005, "FL", [float(width), float(height), 1.0]),
            (0x40101006, "OB", _whole_bitmap(width, height)),
            (
                0x4010101D,
                "FL",
                [
                    float(value)
                    for corner in ((left, top), (right, top), (right, bottom), (left, bottom))
                    for value in (*corner, 0)
                ],
            ),
        ]
        if item.material_z is not None:
            region.append((0x40101019, "FL", item.material_z))
        assessment: list[_Row] = [
            (0x40101012, "CS", _CATEGORIES.get(item.category, "ANOMALY")),
            (0x40101013, "LT", _text(item.words or item.category)),
            (0x40101014, "CS", "NO_INTERFERENCE"),
            (0x40101015, "CS", item.flag.value),
        ]
        if item.probability is not None:
            assessment.append((0x40101016, "FL", item.probability))
        representation: list[_Row] = [
            (0x0008114A, "SQ", [_dataset(_referenced(taken, whose, Level.HIGH))]),
            (0x40101001, "SQ", [_dataset(region)]),
        ]
        made.append(
            _dataset(
                [
                    (0x40101010, "US", number),
                    (0x40101037, "SQ", [_dataset(representation)]),
                    (0x40101038, "SQ", [_dataset(assessment)]),
                    (0x40101080, "DT", _moment(taken.taken_utc)),
                    (0x40101081, "DT", _moment(report.decided_utc)),
                    (0x40101082, "FL", report.took_ms),
                ]
            )
        )
    return made


def _referenced(taken: Taken, whose: Whose, level: Level) -> list[_Row]:
    return [
        (0x00081150, "UI", DX_FOR_PROCESSING),
        (0x00081155, "UI", _instance(taken, whose, level.value)),
    ]


def _operator(whose: Whose, officer: str) -> Dataset:
    place = _place(whose)
    number: list[_Row] = [
        (0x00080100, "SH", _line(officer, 16)),
        (0x00080102, "SH", "KAKOU"),
        (0x00080104, "LO", _line(officer)),
    ]
    kind: list[_Row] = [
        (0x00080100, "SH", "OFFICER_NO"),
        (0x00080102, "SH", "KAKOU"),
        (0x00080104, "LO", "officer number"),
    ]
    return _dataset(
        [
            (0x00080080, "LO", place),
            (0x00080081, "ST", place),
            (0x00401101, "SQ", [_dataset(number), _dataset(kind)]),
        ]
    )


def _in_pixels(box: Box, columns: int, rows: int) -> tuple[int, int, int, int]:
    left = min(max(int(box.left * columns), 0), columns - 1)
    top = min(max(int(box.top * rows), 0), rows - 1)
    width = min(max(round(box.width * columns), 1), columns - left)
    height = min(max(round(box.height * rows), 1), rows - top)
    return left, top, width, height


def _whole_bitmap(width: int, height: int) -> bytes:
    """Every pixel of the box, a bit each."""
    bits = np.ones(width * height, dtype=np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    return packed + b"\0" * (len(packed) % 2)


def _instance(taken: Taken, whose: Whose, role: str) -> str:
    return uid_of(whose.station, taken.picture, "instance", role)


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")


def _place(whose: Whose) -> str:
    return _line(whose.site or whose.station)


def _line(text: str, most: int = 64) -> str:
    """As an LO or SH takes it: one line, no backslash (it parts values), cut to length; never empty."""
    return _CONTROL.sub(" ", text).strip()[:most].strip() or "unknown"


def _text(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:2_000] or "unknown"


def _decimal(value: float) -> str:
    """A DS: at most 16 characters."""
    return f"{value:.10g}"[:16]


def _moment(utc: str) -> str:
    """`2025-03-01T08:00:00.000000Z` as DT."""
    digits = re.sub(r"[^0-9.]", "", utc)
    if len(digits.partition(".")[0]) != 14:
        raise ValueError(f"expected a time such as 2025-03-01T08:00:00.000000Z, got {utc[:40]!r}")
    return digits[:21]


def _dataset(rows: Iterable[_Row]) -> Dataset:
    made = Dataset()
    for tag, representation, value in rows:
        made.add(
            DataElement(tag, representation, value, validation_mode=pydicom_config.RAISE)
            if representation != "SQ"
            else DataElement(tag, "SQ", value)
        )
    return made


def _file(rows: Sequence[_Row], sop_class: str, instance: str) -> bytes:
    meta = FileMetaDataset()
    for tag, representation, value in (
        (0x00020002, "UI", sop_class),
        (0x00020003, "UI", instance),
        (0x00020004, "CS", _VERSION),
        (0x00020010, "UI", _EXPLICIT_LITTLE),
        (0x00020012, "UI", _IMPLEMENTATION),
        (0x00020013, "SH", "KAKOU"),
    ):
        meta.add(DataElement(tag, representation, value))
    whole = _dataset(rows)
    whole.file_meta = meta
    whole.preamble = b"\0" * 128
    into = io.BytesIO()
    dcmwrite(into, whole, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return into.getvalue()
