"""DICOS files of a parcel: by an independent checker with the table as data, and re-read by pydicom."""

from __future__ import annotations

import dataclasses
import io
import struct
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from edge.xray_bridge.evidence.dicos import (
    Flag,
    Item,
    Level,
    Report,
    Reporter,
    Scan,
    Whose,
    picture_file,
    report_file,
    status_of,
)
from edge.xray_bridge.evidence.manifest import Machine, Taken
from edge.xray_bridge.values import Acquisition, Association, Box
from tests import dicos_checker
from tests.dicos_checker import problems

ROWS, COLUMNS = 40, 60
LOW = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS)
HIGH = LOW[::-1].copy()
TAKEN = Taken(
    picture="x1-000017",
    width_px=COLUMNS,
    height_px=ROWS,
    air_low=4095,
    air_high=4095,
    taken_utc="2026-03-02T01:00:00.250000Z",
    machine=Machine(
        device="line-1", maker="Maker", model="M1", serial="77", kv_peak=160, tube_current_ua=700
    ),
    column_mm=0.8,
    row_mm=1.2,
    belt_mm_s=300,
    calibrated_utc="2026-03-01T22:00:00.000000Z",
)
SCAN = Scan(TAKEN, LOW, HIGH)
WHOSE = Whose("xray-1", 17, "SF1234567890123", Association.MATCHED, "SF", "zhengzhou")
ITEM = Item(Box(0.1, 0.2, 0.5, 0.5), "contraband", "比参考图多一块金属 / other material", material_z=26.0)
MACHINE = Report(Reporter.MACHINE, 1, True, (ITEM, ITEM), "2026-03-02T01:00:00.400000Z", took_ms=35)
OFFICER = Report(Reporter.OPERATOR, 1, True, (ITEM,), "2026-03-02T01:00:03.000000Z", "31001234", 2500)
CLEAR = Report(Reporter.OPERATOR, 1, False, (), "2026-03-02T01:00:03.000000Z", "31001234", 2500)

FILES = {
    "low": picture_file(SCAN, WHOSE, Level.LOW),
    "high": picture_file(SCAN, WHOSE, Level.HIGH),
    "machine": report_file(TAKEN, WHOSE, MACHINE),
    "operator": report_file(TAKEN, WHOSE, OFFICER),
    "clear": report_file(TAKEN, WHOSE, CLEAR),
}


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_as_the_table_says(name: str) -> None:
    assert problems(FILES[name]) == []


@pytest.mark.parametrize("name", FILES)
def test_pydicom_reads_every_file_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = read(FILES[name])
        str(whole)
    assert all(UID(each).is_valid for each in (whole.SOPInstanceUID, whole.StudyInstanceUID))


def test_the_pixels_come_back_bit_by_bit() -> None:
    assert np.array_equal(read(FILES["low"]).pixel_array, LOW)
    assert np.array_equal(read(FILES["high"]).pixel_array, HIGH)
    assert list(read(FILES["high"]).ImageType) == ["ORIGINAL", "HIGH ENERGY"]
    assert list(read(FILES["high"]).PixelSpacing) == [1.2, 0.8]


def test_the_waybill_is_the_object_of_inspection_read_from_a_barcode() -> None:
    for data in FILES.values():
        whole = read(data)
        assert (whole.PatientID, whole.TypeOfPatientID) == ("SF1234567890123", "BARCODE")


def test_a_picture_that_is_nobodys_has_a_name_that_was_not_read() -> None:
    alone = dataclasses.replace(WHOSE, waybill_no="", parcel=0, association=Association.UNMATCHED)
    data = picture_file(SCAN, alone, Level.LOW)
    assert problems(data) == []
    assert (read(data).PatientID, read(data).TypeOfPatientID) == ("x1-000017", "TEXT")


def test_the_officers_number_and_what_kind_of_number_it_is() -> None:
    (officer,) = read(FILES["operator"]).OperatorIdentificationSequence
    number, kind = officer.PersonIdentificationCodeSequence
    assert (number.CodeValue, kind.CodeValue) == ("31001234", "OFFICER_NO")
    assert officer.InstitutionName == officer.InstitutionAddress == "zhengzhou"


def test_an_item_says_where_in_pixels_and_why_in_words() -> None:
    (item,) = read(FILES["operator"]).ThreatSequence
    (shown,) = item.PTORepresentationSequence
    (region,) = shown.ThreatROIVoxelSequence
    assert list(region.ThreatROIBase) == [6, 8, 0]
    assert list(region.ThreatROIExtents) == [30, 20, 1]
    assert len(region.ThreatROIBitmap) == 30 * 20 // 8 + 1
    (assessed,) = item.ATDAssessmentSequence
    assert assessed.ThreatCategoryDescription == "比参考图多一块金属 / other material"
    assert shown[0x0008114A].value[0].ReferencedSOPInstanceUID == read(FILES["high"]).SOPInstanceUID


def test_an_alarm_names_an_item_and_a_clear_none() -> None:
    assert read(FILES["clear"]).AlarmDecision == "CLEAR"
    assert "ThreatSequence" not in read(FILES["clear"])
    for wrong in (dataclasses.replace(OFFICER, items=()), dataclasses.replace(CLEAR, items=(ITEM,))):
        with pytest.raises(ValueError, match="expected an alarm to name"):
            report_file(TAKEN, WHOSE, wrong)


def test_an_officers_report_names_the_officer() -> None:
    with pytest.raises(ValueError, match="name the officer"):
        report_file(TAKEN, WHOSE, dataclasses.replace(CLEAR, officer=""))


def test_the_same_picture_of_the_same_station_has_the_same_uids_and_another_has_others() -> None:
    assert picture_file(SCAN, WHOSE, Level.LOW) == FILES["low"]
    uids = {read(data).SOPInstanceUID for name, data in FILES.items() if name != "clear"}
    other = Scan(msgspec.structs.replace(TAKEN, picture="x1-000018"), LOW, HIGH)
    uids.add(read(picture_file(other, WHOSE, Level.LOW)).SOPInstanceUID)
    elsewhere = dataclasses.replace(WHOSE, station="xray-2")
    uids.add(read(picture_file(SCAN, elsewhere, Level.LOW)).SOPInstanceUID)
    uids.add(read(report_file(TAKEN, WHOSE, dataclasses.replace(CLEAR, number=2))).SOPInstanceUID)
    assert len(uids) == 7
    assert len({read(data).StudyInstanceUID for data in FILES.values()}) == 1


@pytest.mark.parametrize(
    ("acquisition", "association", "status"),
    [
        (Acquisition.SUCCESSFUL, Association.MATCHED, "SUCCESSFUL"),
        (Acquisition.SUCCESSFUL, Association.MERGED, "MERGED"),
        (Acquisition.SUCCESSFUL, Association.SPLIT, "CUT"),
        (Acquisition.SLIP, Association.MERGED, "SLIP"),
        *((each, Association.MATCHED, each.value.upper()) for each in Acquisition),
    ],
)
def test_the_acquisition_status_is_the_machines_or_the_matchings(
    acquisition: Acquisition, association: Association, status: str
) -> None:
    assert status_of(acquisition, association) == status


@pytest.mark.parametrize(
    "category", ["contraband", "explosive", "other", "pharmaceutical", "prohibited_item", "x"]
)
@pytest.mark.parametrize("flag", Flag)
def test_every_category_is_one_of_the_standards(category: str, flag: Flag) -> None:
    item = Item(Box(0.99, 0.99, 0.5, 0.5), category, "\\ \n", flag, probability=0.5)
    data = report_file(TAKEN, WHOSE, dataclasses.replace(OFFICER, items=(item,)))
    assert problems(data) == []


@pytest.mark.parametrize(
    ("category", "written"),
    [("prohibited", "PI"), ("undeclared", "CONTRABAND"), ("other", "OTHER"), ("infringing", "ANOMALY")],
)
def test_what_an_officer_flags_for_is_said_in_the_standards_words(category: str, written: str) -> None:
    item = Item(Box(0.1, 0.1, 0.5, 0.5), category, "words")
    told = pydicom.dcmread(io.BytesIO(report_file(TAKEN, WHOSE, dataclasses.replace(OFFICER, items=(item,)))))
    assert told[0x40101011].value[0][0x40101038].value[0][0x40101012].value == written


@pytest.mark.parametrize(
    "text", ["", "A\\B", "x" * 300, "\0\r\n", "北京海关" * 40, " spaced ", "a\tb"], ids=range(7)
)
def test_no_text_from_outside_breaks_a_file(text: str) -> None:
    """G11."""
    machine = Machine(device=text, maker=text, model=text, serial=text, software=text)
    taken = msgspec.structs.replace(TAKEN, machine=machine, spacing_says=text, picture=text or "p")
    whose = Whose(text or "x", 3, text, Association.MATCHED, text, text)
    officer = dataclasses.replace(OFFICER, officer=text or "1", algorithm=text)
    for data in (
        picture_file(Scan(taken, LOW, HIGH), whose, Level.LOW),
        report_file(taken, whose, officer),
    ):
        assert problems(data) == []
        str(read(data))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((0, 5), np.uint16), np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.uint16)],
    ids=["empty", "8 bit", "colour"],
)
def test_what_is_no_picture_is_refused(pixels: Any) -> None:
    with pytest.raises(ValueError, match="expected a picture of 16 bits"):
        picture_file(dataclasses.replace(SCAN, low=pixels), WHOSE, Level.LOW)


# --- the checker itself: for every row of its table, a file that is wrong there only ------------------------


def _reached(whole: Dataset, path: str) -> list[tuple[Dataset, int]]:
    first, _, rest = path.partition("/")
    tag = int(first, 16)
    if not rest:
        return [(whole, tag)]
    return [found for item in whole[tag].value for found in _reached(item, rest)]


def _written(whole: Dataset) -> bytes:
    into = io.BytesIO()
    pydicom.dcmwrite(into, whole, enforce_file_format=False, implicit_vr=False, little_endian=True)
    return into.getvalue()


def _without(whole: Dataset, path: str) -> None:
    parent, tag = _reached(whole, path)[-1]
    del parent[tag]


def _garbled(whole: Dataset, path: str) -> None:
    parent, tag = _reached(whole, path)[-1]
    element = parent[tag]
    value: Any
    match element.VR:
        case "SQ":
            value = [] if element.value else [Dataset()]
        case "US" | "SS" | "FL" | "FD" | "IS" | "DS":
            value = None
        case _:
            value = b"" if element.VR in ("OB", "OW") else ""
    parent.add(pydicom.DataElement(tag, element.VR, value))


def _other_representation(whole: Dataset, path: str) -> None:
    parent, tag = _reached(whole, path)[-1]
    parent.add(pydicom.DataElement(tag, "UT", "other"))


BREAKS: tuple[Callable[[Dataset, str], None], ...] = (_without, _garbled, _other_representation)
KINDS = (
    ("low", dicos_checker.COMMON + dicos_checker.PICTURE),
    ("operator", dicos_checker.COMMON + dicos_checker.REPORT + dicos_checker.ITEM + dicos_checker.OFFICER),
)


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize(("name", "rows"), KINDS, ids=[name for name, _ in KINDS])
def test_the_checker_fails_at_every_row_of_its_table(
    name: str, rows: tuple[dicos_checker.Row, ...], broken: Callable[[Dataset, str], None]
) -> None:
    missed = []
    for row in rows:
        whole = read(FILES[name])
        broken(whole, row.path)
        if not any(row.path.split("/")[-1] in problem for problem in problems(_written(whole))):
            missed.append(row.path)
    assert missed == []


@pytest.mark.parametrize(
    ("name", "tag", "wrong"),
    [
        ("low", 0x00080008, ["ORIGINAL", "LOW_ENERGY"]),
        ("low", 0x00080008, ["ORIGINAL", "PRIMARY", "AXIAL", "LOW ENERGY"]),
        ("low", 0x00080060, "DX"),
        ("low", 0x40101044, "FINE"),
        ("operator", 0x40101031, "CLEAR"),
        ("clear", 0x40101031, "ALARM"),
        ("operator", 0x40101075, 0.0),
        ("machine", 0x40101042, "CARGO"),
        ("machine", 0x00080018, "1.2.03"),
    ],
)
def test_the_checker_knows_the_wrong_values_readers_refuse(name: str, tag: int, wrong: Any) -> None:
    whole = read(FILES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole[tag].value = wrong
    assert problems(_written(whole)) != []


def test_the_checker_sees_group_two_and_every_cut() -> None:
    data = FILES["low"]
    for wrong in (
        data.replace(b"V03", b"V02", 1),
        data.replace(b"DICM", b"DICN", 1),
        data.replace(b"501.2.2", b"501.1.1", 1),
        data[:-2],
        data + struct.pack("<HH2sHH", 0x0008, 0x0005, b"CS", 2, 0),
    ):
        assert problems(wrong) != []
