"""SAS and CEB files into the log: merged into what is known, never taking back what came later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sync.hub.archive import Archive
from sync.hub.importing import ImportRefused, ImportReport, import_files
from sync.vocabulary.codec import from_json
from sync.vocabulary.records import ReleaseSlip, SlipState, Waybill
from tests.postgres import Place

AT = "2026-01-31T08:00:00Z"
SLIP_NO = "Z3111I240728000000000003"
TWO_STEP_NO = "Z3105I241030T00000000075"
HEAD = {
    "passportNo": SLIP_NO, "passportTypecd": "3", "ioTypecd": "I", "bindTypecd": "2", "masterCuscd": "3111",
    "rltNo": "QD1", "areainEtpsno": "330260A000", "vehicleNo": "豫A12345", "vehicleWt": "13000",
    "vehicleFrameWt": "1000", "totalWt": "14292.8", "totalGrossWt": "292.8", "dclTime": "2024-07-28 00:43:59",
    "stucd": "1",
}  # fmt: skip
JSON_SLIP = {
    "slip_no": SLIP_NO, "direction": "I", "kind": "3", "binding": "2", "plate": "豫A12345",
    "vehicle_kg": 13000, "cargo_gross_kg": 292.8, "total_kg": 13292.8, "enterprise": "330260A000",
    "state": "1", "quarantine": "required", "control": "C1", "waybill_count": 4,
    "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-12-31T00:00:00Z",
}  # fmt: skip


def sas(kind: str, **change: str) -> str:
    two_step = kind in ("SAS251", "SAS253")
    name = "Sas2stepPassportBsc" if two_step else "SasPassportBsc"
    given = HEAD if kind == "SAS221" else {"passportNo": SLIP_NO, "vehicleNo": "豫A12345"}
    passed = {"stucd": "2", "passTime": "2024-07-28 10:00:00"} if kind != "SAS221" else {}
    leaves = given | passed | change
    inner = "".join(f"<{leaf}>{text}</{leaf}>" for leaf, text in leaves.items())
    return (
        f"<Package><EnvelopInfo><message_type>{kind}</message_type></EnvelopInfo><DataInfo><BussinessData>"
        f"<{kind}><HdeApprResult><manageResult>1</manageResult></HdeApprResult><{name}>{inner}</{name}></{kind}>"
        "</BussinessData></DataInfo></Package>"
    )


def ceb(*entries: str) -> str:
    return f'<c:CEB621Message xmlns:c="http://www.chinaport.gov.cn/ceb">{"".join(entries)}</c:CEB621Message>'


def inventory(waybill_no: str = "SF6047789135544", **change: str) -> str:
    head = {
        "appType": "1", "appStatus": "2", "orderNo": "O1", "ebpCode": "P", "ebcCode": "330260A000",
        "logisticsNo": waybill_no, "invtNo": "I1", "ieFlag": "I", "packNo": "1", "grossWeight": "2",
        "buyerName": "张三丰", "buyerIdNumber": "110101199001011234",
    } | change  # fmt: skip
    leaves = "".join(f"<c:{name}>{text}</c:{name}>" for name, text in head.items())
    line = "<c:InventoryList><c:gnum>1</c:gnum><c:itemNo>S1</c:itemNo></c:InventoryList>"
    return f"<c:Inventory><c:InventoryHead>{leaves}</c:InventoryHead>{line}</c:Inventory>\n"


@pytest.fixture
def archive(place: Place) -> Archive:
    return Archive.open(place)


class Folder:
    """Files of one test, imported one after the other or together."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._number = 0

    def write(self, text: str | bytes, suffix: str = ".xml") -> Path:
        self._number += 1
        path = self._folder / f"{self._number}{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def take(self, *texts: str | bytes, **options: Any) -> ImportReport:
        return import_files(self._archive, "site", [self.write(text) for text in texts], AT, **options)

    def refusal(self, *texts: str | bytes) -> str:
        with pytest.raises(ImportRefused) as refused:
            self.take(*texts)
        return str(refused.value).split(": ", 1)[1]

    def json(self, document: dict[str, Any]) -> None:
        import_files(self._archive, "site", [self.write(json.dumps(document), ".json")], AT)

    def slip(self, slip_no: str = SLIP_NO) -> ReleaseSlip:
        return from_json(self._archive.record("release_slips", slip_no) or "", ReleaseSlip)

    def waybill(self, waybill_no: str = "SF6047789135544") -> Waybill:
        return from_json(self._archive.record("waybills", waybill_no) or "", Waybill)


@pytest.fixture
def folder(archive: Archive, tmp_path: Path) -> Folder:
    return Folder(archive, tmp_path)


# --- slips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SAS223", "SAS224", "SAS253"])
def test_a_receipt_moves_the_state_of_the_slip_and_nothing_else(folder: Folder, kind: str) -> None:
    folder.take(sas("SAS221"))
    before = folder.slip()
    report = folder.take(sas(kind))
    assert (report.put, report.unchanged) == (1, 0)
    after = folder.slip()
    assert after.state is SlipState.PASSED
    fields = set(ReleaseSlip.__struct_fields__) - {"state"}
    assert {name for name in fields if getattr(before, name) != getattr(after, name)} == set()


def test_approval_and_receipt_in_one_import_are_taken_in_their_order(folder: Folder) -> None:
    folder.take(
        sas("SAS221"), sas("SAS223", stucd="3"), sas("SAS224", stucd="4", secdPassTime="2024-07-28 11:00:00")
    )
    assert folder.slip().state is SlipState.PASSED_SECOND


def test_the_same_again_and_older_news_change_nothing(folder: Folder) -> None:
    folder.take(sas("SAS221"), sas("SAS223"))
    again = folder.take(sas("SAS221"), sas("SAS223"), sas("SAS223", stucd="3"))
    assert (again.put, again.unchanged) == (0, 3)
    assert folder.slip().state is SlipState.PASSED


def test_an_approval_that_comes_again_does_not_approve_what_has_passed_or_was_cancelled(
    folder: Folder,
) -> None:
    folder.take(sas("SAS221"), sas("SAS223"))
    folder.take(sas("SAS221", rltNo="QD2"))
    assert (folder.slip().state, folder.slip().related_nos) == (SlipState.PASSED, ("QD2",))
    folder.take(sas("SAS221", stucd="6"))
    folder.take(sas("SAS221"))
    assert folder.slip().state is SlipState.CANCELLED


def test_an_approval_does_not_wipe_out_what_other_sources_said(folder: Folder) -> None:
    folder.json({"release_slips": [JSON_SLIP]})
    folder.take(sas("SAS221"))
    slip = folder.slip()
    assert (slip.quarantine, slip.control, slip.waybill_count) == ("required", "C1", 4)
    assert str(slip.total_kg) == "14292.8"


def test_a_two_step_approval_approves_a_slip_that_is_known(folder: Folder) -> None:
    applied = JSON_SLIP | {"slip_no": TWO_STEP_NO, "state": "0"}
    folder.json({"release_slips": [applied]})
    folder.take(sas("SAS251", passportNo=TWO_STEP_NO, stucd="1", passTime=""))
    assert folder.slip(TWO_STEP_NO).state is SlipState.APPROVED


def test_a_receipt_of_a_slip_nobody_knows_or_of_another_vehicle_is_refused(folder: Folder) -> None:
    assert folder.refusal(sas("SAS223")).startswith(
        f"passportNo: SAS223 speaks of slip {SLIP_NO}, which is not known here"
    )
    folder.take(sas("SAS221"))
    assert folder.refusal(sas("SAS223", vehicleNo="豫A54321")) == (
        f"vehicleNo: expected 豫A12345, the vehicle of slip {SLIP_NO}, got 豫A54321"
    )
    assert folder.slip().state is SlipState.APPROVED


def test_a_receipt_keeps_what_this_version_does_not_know(folder: Folder, archive: Archive) -> None:
    from sync.hub.archive import RecordChange

    folder.take(sas("SAS221"))
    body = json.loads(archive.record("release_slips", SLIP_NO) or "")
    with archive.transaction():
        newer = RecordChange("release_slips", SLIP_NO, json.dumps(body | {"from_2030": [1]}))
        archive.apply_changes("site", [newer], AT)
    folder.take(sas("SAS223"))
    assert json.loads(archive.record("release_slips", SLIP_NO) or "")["from_2030"] == [1]


# --- waybills ---------------------------------------------------------------------------------------------


def test_a_declaration_becomes_a_waybill_record_without_a_person(folder: Folder, archive: Archive) -> None:
    report = folder.take(ceb(inventory(), inventory("YT1234567890123")))
    assert (report.put, report.files[0].read) == (2, {"waybills": 2})
    body = archive.record("waybills", "SF6047789135544") or ""
    assert "张三丰" not in body
    assert "110101199001011234" not in body
    assert folder.waybill().enterprise == "330260A000"
    stored = archive._db.execute("SELECT body FROM log UNION ALL SELECT body FROM records").fetchall()
    assert "张三丰" not in str(stored)


def test_two_declarations_of_one_waybill_in_one_file_are_one_row(folder: Folder) -> None:
    report = folder.take(ceb(inventory(), inventory(orderNo="O2", invtNo="I2")))
    assert (report.put, folder.waybill().declarations) == (1, ("I1", "I2"))
    assert folder.take(ceb(inventory())).unchanged == 1


def test_waybills_are_merged_across_files_of_one_import_and_with_the_archive(folder: Folder) -> None:
    folder.json(
        {"waybills": [{"waybill_no": "SF6047789135544", "slip_no": SLIP_NO, "quarantine": "required"}]}
    )
    folder.take(ceb(inventory()), ceb(inventory(orderNo="O2", invtNo="I2")))
    waybill = folder.waybill()
    assert (waybill.slip_no, waybill.quarantine, waybill.declarations) == (SLIP_NO, "required", ("I1", "I2"))


def test_bad_entries_stop_the_import_with_their_lines_or_are_counted(folder: Folder) -> None:
    text = ceb(inventory(), inventory("YT1234567890123", grossWeight="heavy"), inventory("x"))
    with pytest.raises(ImportRefused) as refused:
        folder.take(text)
    lines = str(refused.value).splitlines()
    assert [line.split(".xml:", 1)[1][:40] for line in lines] == [
        "2: Inventory: grossWeight: expected kilo",
        "3: Inventory: logisticsNo: expected a wa",
    ]
    report = folder.take(text, skip_bad=True)
    assert (report.put, report.skipped) == (1, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ceb(inventory())[:-9].encode(), "CEB: expected well-formed XML"),
        (b'<!DOCTYPE x [<!ENTITY e "1">]>' + ceb().encode(), "CEB: expected plain XML without DTD"),
        (ceb().encode().replace(b"621", b"622"), "CEB: expected one of CEB621Message"),
        (b"<Package>\xff</Package>", "SAS221: expected text in utf-8 or gb18030"),
    ],
)
def test_bad_xml_is_refused_and_counted(folder: Folder, archive: Archive, data: bytes, words: str) -> None:
    assert folder.refusal(data).startswith(words)
    report = folder.take(data, ceb(inventory()), skip_bad=True)
    assert (report.skipped, report.put) == (1, 1)
