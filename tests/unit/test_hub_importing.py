"""Record files into the log: whole files or none, only changes, every error with file, line and field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.hub.archive import Archive
from sync.hub.importing import ImportRefused, import_files
from sync.vocabulary.codec import from_json
from sync.vocabulary.records import COLLECTIONS, MAX_PREVIEW, Control, ReleaseSlip, Vehicle, XRay
from tests.postgres import Place

AT = "2026-01-31T08:00:00Z"
SAMPLES = Path(
    os.environ.get("KAKOU_SHARED_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
)

VEHICLE = {"plate": "豫A12345", "tare_kg": "12000.5", "valid_until": "2027-01-01T00:00:00Z"}
ENTERPRISE = {"code": "330260A000", "name": "某物流", "tier": "high", "spot_check_per_mille": 10}
SLIP = {
    "slip_no": "Z3111I240728000000000003",
    "direction": "I",
    "kind": "3",
    "binding": "2",
    "vehicle_kg": 13000,
    "cargo_gross_kg": 292.8,
    "total_kg": 13292.8,
    "enterprise": "330260A000",
    "state": "1",
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2026-12-31T00:00:00Z",
}
CONTROL = {
    "control_id": "C1",
    "version": 1,
    "mode": "live",
    "condition": {"plates": ["豫A12345"]},
    "action": "hold",
    "valid_from": "2026-01-01T00:00:00Z",
    "valid_until": "2026-12-31T00:00:00Z",
    "reason_zh": "布控",
    "reason_en": "control",
}


@pytest.fixture
def archive(place: Place) -> Archive:
    return Archive.open(place)


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(
            content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1),
            encoding="utf-8",
        )
    return path


def told(archive: Archive, *paths: Path, **options: Any) -> list[str]:
    with pytest.raises(ImportRefused) as refused:
        import_files(archive, "site", paths, AT, **options)
    assert archive.scopes() == ()
    return str(refused.value).splitlines()


def log(archive: Archive) -> list[tuple[str, str, str]]:
    scope = archive.scope("site")
    assert scope is not None
    return [(row.op, row.collection, row.key) for row in archive.log_after("site", scope.epoch, 0)]


# --- what is taken ----------------------------------------------------------------------------------------


def test_json_by_collection_becomes_log_entries_in_the_order_of_the_file(
    archive: Archive, tmp_path: Path
) -> None:
    path = write(
        tmp_path, "all.json", {"enterprises": [ENTERPRISE], "vehicles": [VEHICLE], "release_slips": [SLIP]}
    )
    report = import_files(archive, "site", [path], AT)
    assert (report.scope, report.number, report.put, report.skipped) == ("site", 3, 3, 0)
    assert report.files[0].read == {"enterprises": 1, "release_slips": 1, "vehicles": 1}
    assert log(archive) == [
        ("put", "enterprises", "330260A000"),
        ("put", "vehicles", "豫A12345"),
        ("put", "release_slips", "Z3111I240728000000000003"),
    ]
    slip = from_json(archive.record("release_slips", "Z3111I240728000000000003") or "", ReleaseSlip)
    assert str(slip.total_kg) == "13292.8"


def test_a_json_list_is_of_the_collection_its_file_is_named_after(archive: Archive, tmp_path: Path) -> None:
    import_files(archive, "site", [write(tmp_path, "vehicles.json", [VEHICLE])], AT)
    assert log(archive) == [("put", "vehicles", "豫A12345")]


def test_a_picture_and_shares_of_it_are_taken_in_a_record(archive: Archive, tmp_path: Path) -> None:
    box = {"left": 0.25, "top": 0.5, "width": 0.125, "height": 1}
    row = {"waybill_no": "YT0000000000001", "verdict": "flagged", "judged": "2026-03-02T08:00:00Z"}
    longer = write(tmp_path, "x_rays.json", [row | {"preview": "A" * (MAX_PREVIEW + 1)}])
    refused = f"x_rays: preview: at most {MAX_PREVIEW} characters, got {MAX_PREVIEW + 1}"
    assert [line.partition(": ")[2] for line in told(archive, longer)] == [refused]
    rows = [row | {"boxes": [box], "preview": "A" * MAX_PREVIEW}]
    import_files(archive, "site", [write(tmp_path, "x_rays.json", rows)], AT)
    stored = from_json(archive.record("x_rays", "YT0000000000001") or "", XRay)
    assert (stored.boxes[0].left, stored.boxes[0].height, len(stored.preview)) == (0.25, 1.0, MAX_PREVIEW)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_with_lists_and_parts_is_read_in_either_encoding(
    archive: Archive, tmp_path: Path, encoding: str
) -> None:
    vehicles = (
        "plate,tare_kg,tag_epcs,valid_until\n豫A12345,12000.5,E2000000; E2000001,2027-01-01T00:00:00Z\n"
    )
    controls = (
        "control_id,version,mode,condition.plates,condition.directions,"
        "action,valid_from,valid_until,reason_zh,reason_en\n"
        'C1,3,live,豫A12345;京A12345,,hold,2026-01-01T00:00:00Z,2026-12-31T00:00:00Z,"布控,查",why\n'
    )
    paths = [
        write(tmp_path, "vehicles.csv", vehicles.encode(encoding)),
        write(tmp_path, "controls.csv", controls.encode(encoding)),
    ]
    import_files(archive, "site", paths, AT)
    vehicle = from_json(archive.record("vehicles", "豫A12345") or "", Vehicle)
    control = from_json(archive.record("controls", "C1") or "", Control)
    assert vehicle.tag_epcs == ("E2000000", "E2000001")
    assert (control.version, control.condition.plates, control.condition.directions, control.reason_zh) == (
        3,
        ("豫A12345", "京A12345"),
        (),
        "布控,查",
    )


def test_a_sas221_approval_becomes_a_slip(archive: Archive) -> None:
    sample = SAMPLES / "protocols" / "sample_SAS221.xml"
    if not sample.exists():
        pytest.skip(f"no SAS221 sample at {sample}")
    import_files(archive, "site", [sample], AT, validity_hours=24, uses_for_many_vehicles=3)
    slip = from_json(archive.record("release_slips", "Z3111I240728000000000003") or "", ReleaseSlip)
    assert (str(slip.total_kg), slip.valid_until, slip.uses_allowed) == ("14292.8", "2024-07-28T16:44:26Z", 3)


def test_unchanged_rows_make_no_entry(archive: Archive, tmp_path: Path) -> None:
    path = write(tmp_path, "vehicles.json", [VEHICLE])
    import_files(archive, "site", [path], AT)
    again = import_files(archive, "site", [path], AT)
    as_csv = write(
        tmp_path, "vehicles.csv", "tare_kg,valid_until,plate\n12000.5,2027-01-01T00:00:00Z,豫A12345\n"
    )
    other_form = import_files(archive, "site", [as_csv], AT)
    assert [(r.put, r.unchanged, r.number) for r in (again, other_form)] == [(0, 1, 1), (0, 1, 1)]


def test_replace_deletes_what_no_file_has(archive: Archive, tmp_path: Path) -> None:
    other = VEHICLE | {"plate": "豫A12346"}
    third = VEHICLE | {"plate": "豫A12347"}
    import_files(
        archive,
        "site",
        [write(tmp_path, "all.json", {"vehicles": [VEHICLE, other, third], "enterprises": [ENTERPRISE]})],
        AT,
    )
    first = write(tmp_path, "vehicles.json", [other])
    second = write(tmp_path, "more.json", {"vehicles": [third]})
    report = import_files(archive, "site", [first, second], AT, replace=["vehicles"])
    assert (report.deleted, report.unchanged, report.put) == (1, 2, 0)
    assert log(archive)[-1] == ("delete", "vehicles", "豫A12345")
    assert archive.record("enterprises", "330260A000") is not None


def test_replace_with_an_empty_list_empties_the_collection(archive: Archive, tmp_path: Path) -> None:
    import_files(archive, "site", [write(tmp_path, "vehicles.json", [VEHICLE])], AT)
    report = import_files(archive, "site", [write(tmp_path, "vehicles.json", [])], AT, replace=["vehicles"])
    assert report.deleted == 1


def test_digest_and_count_of_the_scope_follow_the_import(archive: Archive, tmp_path: Path) -> None:
    import_files(archive, "site", [write(tmp_path, "vehicles.json", [VEHICLE])], AT)
    one = archive.scope("site")
    import_files(archive, "site", [write(tmp_path, "enterprises.json", [ENTERPRISE])], AT)
    import_files(archive, "site", [write(tmp_path, "enterprises.json", [])], AT, replace=["enterprises"])
    three = archive.scope("site")
    assert one is not None
    assert three is not None
    assert (three.rows, three.digest, three.number) == (one.rows, one.digest, 3)


# --- what is refused --------------------------------------------------------------------------------------


def test_one_bad_row_stops_every_file_before_anything_is_written(archive: Archive, tmp_path: Path) -> None:
    good = write(tmp_path, "enterprises.json", [ENTERPRISE])
    bad = write(tmp_path, "vehicles.json", [VEHICLE, VEHICLE | {"plate": "X"}])
    lines = told(archive, good, bad)
    assert len(lines) == 1
    assert lines[0].startswith(f"{bad}:7: vehicles: ")
    assert "expected a vehicle plate" in lines[0]
    assert "`$.plate`" in lines[0]


def test_every_error_of_every_file_is_told(archive: Archive, tmp_path: Path) -> None:
    until = "2027-01-01T00:00:00Z"
    csv = f"plate,tare_kg,valid_until\nX,1,{until}\n豫A12345,heavy,{until}\n豫A12346,1\n"
    lines = told(
        archive,
        write(tmp_path, "vehicles.csv", csv),
        write(tmp_path, "enterprises.json", [ENTERPRISE | {"tier": "best"}]),
    )
    assert [line.split(": ")[0].rpartition("/")[2] for line in lines] == [
        "vehicles.csv:2",
        "vehicles.csv:3",
        "vehicles.csv:4",
        "enterprises.json:2",
    ]
    assert "expected 3 cells, got 2" in lines[2]


@pytest.mark.parametrize(
    ("collection", "row", "expected"),
    [
        ("vehicles", VEHICLE | {"tare": 1}, "tare: no such field; expected"),
        ("vehicles", {"plate": "豫A12345"}, "missing required field `tare_kg`"),
        ("vehicles", VEHICLE | {"tare_kg": -1}, "tare_kg: expected 0 to"),
        ("vehicles", VEHICLE | {"tare_kg": "NaN"}, "tare_kg: expected 0 to"),
        ("vehicles", VEHICLE | {"tare_kg": "1e3"}, "tare_kg: expected kilograms in plain digits"),
        ("vehicles", VEHICLE | {"tare_kg": "1.2345"}, "tare_kg: expected 0 to"),
        ("vehicles", VEHICLE | {"carrier": "x" * 401}, "carrier: at most 400 characters, got 401"),
        ("vehicles", VEHICLE | {"tag_epcs": ["E2000000"] * 2001}, "tag_epcs: at most 2000 items"),
        ("vehicles", VEHICLE | {"carrier": "\ud800"}, "half a character"),
        ("vehicles", VEHICLE | {"valid_until": "tomorrow"}, "expected a UTC time"),
        ("vehicles", ["豫A12345"], "expected a record, got"),
        ("release_slips", SLIP | {"total_kg": 1}, "total_kg: expected 13292.8, the sum of its parts, got 1"),
        ("release_slips", SLIP | {"uses_allowed": 0}, "Expected `int` >= 1 - at `$.uses_allowed`"),
        ("release_slips", SLIP | {"uses_allowed": 10**30}, "release_slips"),
        (
            "release_slips",
            SLIP | {"valid_until": "2025-01-01T00:00:00Z"},
            "valid_until: expected a time after",
        ),
        (
            "enterprises",
            ENTERPRISE | {"spot_check_per_mille": 1001},
            "Expected `int` <= 1000 - at `$.spot_check_per_mille`",
        ),
        ("controls", CONTROL | {"condition": {"plate": ["豫A12345"]}}, "condition.plate: no such field"),
        ("controls", CONTROL | {"control_id": ""}, "control_id: expected a name"),
        ("site", {"site": "", "name_zh": "", "name_en": ""}, "site: expected a name"),
    ],
)
def test_a_bad_row_says_which_field_and_what_was_expected(
    archive: Archive, tmp_path: Path, collection: str, row: Any, expected: str
) -> None:
    path = tmp_path / f"{collection}.json"
    path.write_text(json.dumps([row]), encoding="utf-8")
    (line,) = told(archive, path)
    assert expected in line


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("vehicles.json", "{", "not readable as JSON"),
        ("vehicles.json", "[\n x", "line 2: not readable as JSON"),
        ("vehicles.json", '[{"plate": 1, "plate": 2}]', "plate: given twice"),
        ("vehicles.json", '[{"tare_kg": NaN}]', "NaN is not a number"),
        ("vehicles.json", "[] x", "expected nothing after the end"),
        ("vehicles.json", "[" * 100_000, "not readable as JSON"),
        ("vehicles.json", b"\xff", "expected UTF-8, byte 0 is not"),
        ("vehicles.json", '"x"', 'expected {"collection": [record'),
        ("cars.json", "[]", "expected a collection (vehicles,"),
        ("x.json", '{"cars": []}', "expected a collection (vehicles,"),
        ("cars.csv", "plate\n", "expected a file named after a collection"),
        ("vehicles.csv", b"\xff\xff", "expected UTF-8 or GB 18030"),
        ("vehicles.csv", "plate,colour\n", "unknown field 'colour'"),
        ("vehicles.csv", "plate,plate\n", "a field given twice"),
        ("vehicles.csv", "", "expected field names"),
        ("vehicles.csv", 'plate\n"豫A1', "not readable as CSV"),
        ("waybills.csv", "lines\n", "unknown field 'lines'"),
        ("vehicles.xls", "", "expected a name ending in .json, .csv, .xml or .sas"),
        ("slip.xml", "<a/>", "SAS221"),
        ("slip.xml", "<a", "SAS221"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(
    archive: Archive, tmp_path: Path, name: str, content: Any, expected: str
) -> None:
    path = write(tmp_path, name, content)
    (line,) = told(archive, path)
    assert line.startswith(str(path))
    assert expected in line


def test_a_csv_file_that_reads_well_in_both_encodings_is_not_guessed_at(
    archive: Archive, tmp_path: Path
) -> None:
    text = "plate,carrier,tare_kg,valid_until\n京A12345,豫,1,2027-01-01T00:00:00Z\n"
    clear = write(tmp_path, "vehicles.csv", text.encode("gb18030"))
    import_files(archive, "clear", [clear], AT)
    assert '"carrier":"豫"' in (archive.record("vehicles", "京A12345") or "")
    text = "code,name,tier,spot_check_per_mille\n330260A000,豫,high,1\n"
    unclear = write(tmp_path, "enterprises.csv", text.encode("gb18030"))
    with pytest.raises(ImportRefused, match="save it as UTF-8 with a byte order mark"):
        import_files(archive, "site", [unclear], AT)
    import_files(archive, "site", [write(tmp_path, "enterprises.csv", text.encode("utf-8-sig"))], AT)
    assert '"name":"豫"' in (archive.record("enterprises", "330260A000") or "")


def test_a_missing_file_is_named(archive: Archive, tmp_path: Path) -> None:
    (line,) = told(archive, tmp_path / "vehicles.json")
    assert "cannot be read" in line


def test_the_same_key_twice_in_a_file_is_refused_with_both_lines(archive: Archive, tmp_path: Path) -> None:
    csv = "plate,tare_kg,valid_until\n" + "豫A12345,1,2027-01-01T00:00:00Z\n" * 2
    (line,) = told(archive, write(tmp_path, "vehicles.csv", csv))
    assert line.endswith("vehicles.csv:3: vehicles: key 豫A12345 stands in line 2 already")


def test_a_record_too_long_for_a_message_is_refused(archive: Archive, tmp_path: Path) -> None:
    waybill = {"waybill_no": "JD0000001", "lines": [{"name": "\\" * 400}] * 60}
    (line,) = told(archive, write(tmp_path, "waybills.json", [waybill]))
    assert "too long for one message" in line


def test_replacing_what_no_file_has_or_is_no_collection_is_refused(archive: Archive, tmp_path: Path) -> None:
    path = write(tmp_path, "vehicles.json", [VEHICLE])
    lines = told(archive, path, replace=["enterprises", "cars"])
    assert "replacing it would delete all of it" in lines[0]
    assert "expected a collection" in lines[1]


# --- skipping ---------------------------------------------------------------------------------------------


def test_bad_rows_may_be_left_out_and_are_counted_and_told(archive: Archive, tmp_path: Path) -> None:
    path = write(tmp_path, "vehicles.json", [VEHICLE | {"plate": "X"}, VEHICLE, VEHICLE | {"tare_kg": -1}])
    report = import_files(archive, "site", [path], AT, skip_bad=True)
    assert (report.put, report.skipped) == (1, 2)
    assert [problem.line for problem in report.problems] == [2, 12]


def test_a_file_that_is_no_json_at_all_is_refused_even_then(archive: Archive, tmp_path: Path) -> None:
    (line,) = told(archive, write(tmp_path, "vehicles.json", "["), skip_bad=True)
    assert "not readable as JSON" in line


def test_a_row_left_out_never_becomes_a_delete(archive: Archive, tmp_path: Path) -> None:
    path = write(tmp_path, "vehicles.json", [VEHICLE | {"tare_kg": -1}])
    (line,) = told(archive, path, skip_bad=True, replace=["vehicles"])
    assert "would be deleted" in line


# --- anything at all --------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["json", "csv", "xml"]),
    collection=st.sampled_from(sorted(COLLECTIONS)),
    content=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_at_all_are_refused_or_taken_and_never_break_the_import(
    tmp_path: Path, archive: Archive, suffix: str, collection: str, content: bytes
) -> None:
    path = tmp_path / f"{collection}.{suffix}"
    path.write_bytes(content)
    outcome = "taken"
    try:
        report = import_files(archive, "site", [path], AT)
    except ImportRefused as refused:
        outcome = "refused" if refused.problems else "empty"
    else:
        assert report.put == 0
    assert outcome in ("taken", "refused")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(sorted(SLIP)), value=json_values)
def test_any_value_in_any_field_gives_a_slip_that_reads_back_or_an_error(
    tmp_path: Path, archive: Archive, field: str, value: Any
) -> None:
    path = tmp_path / "release_slips.json"
    path.write_text(json.dumps([SLIP | {field: value}]), encoding="utf-8")
    try:
        import_files(archive, "site", [path], AT)
    except ImportRefused:
        return
    for _, _, body in archive.record_rows("site"):
        assert from_json(body, ReleaseSlip).uses_allowed >= 1
