"""What handhelds show and count, as records: found by what an officer scans, moved out of the unread rows of
an older file, and nothing of a buyer anywhere in the vocabulary."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sync.hub.archive import Archive
from sync.hub.importing import import_files
from sync.link.contract import CARRIED
from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.policy.digests import BUCKETS, MODULUS, bucket_of, row_digest
from sync.store.opening import RECORDS, steps_of
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.facts import FactData
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    COLLECTIONS,
    HeldPassage,
    InspectionOrder,
    OrderCause,
    OrderStanding,
    PatrolPoint,
    PatrolRoute,
    Recall,
    Record,
    Reference,
    StockRow,
    SuspectBox,
    Trace,
    TraceStep,
    Waybill,
    XRay,
    XRayVerdict,
    declared_lines,
    key_of,
)

UTC = UtcText("2026-11-22T08:00:00Z")
WAYBILL, OTHER = WaybillNo("SF1234567890123"), WaybillNo("SF1234567890124")
SLIP = SlipNo("Z3111I240728000000000003")


def stock(row_no: str, location: str = "A-03-2", sku: str = "SKU-1") -> StockRow:
    return StockRow(row_no=row_no, location=location, sku=sku, quantity=Decimal("12.5"), unit="011")


def reference(number: str, sku: str = "", hs_code: str = "") -> Reference:
    return Reference(reference_no=number, sku=sku, hs_code=hs_code, preview="/9j/" * 9_000)


def order(order_no: str, *waybill_nos: WaybillNo, slip_no: SlipNo | None = None) -> InspectionOrder:
    return InspectionOrder(
        order_no=order_no,
        waybill_nos=waybill_nos,
        slip_no=slip_no,
        cause=OrderCause.OFFICER,
        issued=UTC,
        issued_by="4604001",
    )


TRACE = Trace(
    trace_code="溯源-1",
    waybill_no=WAYBILL,
    steps=(TraceStep(at=UTC, place_zh="郑州", what_zh="入区"),),
)
XRAY = XRay(
    waybill_no=WAYBILL,
    verdict=XRayVerdict.FLAGGED,
    boxes=(SuspectBox(left=0.25, top=0.5, width=0.25, height=0.125, words_zh="刀具", words_en="blade"),),
    judged=UTC,
)
ROUTE = PatrolRoute(
    route_no="R-1",
    name_zh="东库",
    name_en="East store",
    points=(PatrolPoint(code="KKP:1", name_zh="一", name_en="one", order=1),),
    valid_until=UTC,
)
RECORDS_NOW: tuple[Record, ...] = (
    stock("1"), stock("2", sku="SKU-2"), stock("3", location="B-01-1"),
    reference("r1", sku="SKU-1"), reference("r2", hs_code="3304"), reference("r3", hs_code="33049900"),
    order("XD-1", WAYBILL, OTHER), order("XD-2", slip_no=SLIP), TRACE, XRAY, ROUTE,
    OrderStanding(order_no="XD-1", step="taken", officers=("4604001",), device="handheld-1"),
    HeldPassage(lane="lane-in-1", passage=7, verdict="hold", since="2026-11-22T07:59:00Z", told=UTC),
)  # fmt: skip


def name_of(record: Record) -> str:
    return next(name for name, kind in COLLECTIONS.items() if isinstance(record, kind))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return new_generation(tmp_path, 1, scope="site-a", epoch="e")


def change(number: int, record: Record, *, op: ChangeOp = ChangeOp.PUT) -> Change:
    body = to_json(record).decode() if op is ChangeOp.PUT else ""
    return Change(number, name_of(record), key_of(record), op, body)


def apply(records: Records, *changes: Change) -> None:
    records.apply(FeedBatch("site-a", "e", changes[0].number, changes[-1].number, changes))


def filled(path: Path) -> Records:
    records = Records.open(path, writable=True)
    apply(records, *(change(number, record) for number, record in enumerate(RECORDS_NOW, start=1)))
    return records


def numbers(found: tuple[Record, ...]) -> list[str]:
    return [key_of(record) for record in found]


def test_every_one_is_found_by_its_key_and_equal_to_its_digest(path: Path) -> None:
    with filled(path) as records:
        assert [records.get(name_of(each), key_of(each)) for each in RECORDS_NOW] == list(RECORDS_NOW)
        assert records.verify() == []


def found_ways(records: Records) -> dict[str, list[str]]:
    return {
        "shelf": numbers(records.stock_at("A-03-2")),
        "sku": numbers(records.stock_of("SKU-1")),
        "pictures": numbers(records.references_of("SKU-1", "33049900")),
        "pictures of a code": numbers(records.references_of("", "3304100000")),
        "by parcel": numbers(records.orders_of(OTHER)),
        "by slip": numbers(records.orders_of("nothing", SLIP)),
        "all orders": numbers(records.orders()),
        "path": numbers(records.traces_of(WAYBILL)),
        "routes": numbers(records.routes()),
        "standings": numbers(records.order_standings()),
    }


FOUND = {
    "shelf": ["1", "2"],
    "sku": ["1", "3"],
    "pictures": ["r1", "r3", "r2"],
    "pictures of a code": ["r2"],
    "by parcel": ["XD-1"],
    "by slip": ["XD-2"],
    "all orders": ["XD-1", "XD-2"],
    "path": ["溯源-1"],
    "routes": ["R-1"],
    "standings": ["XD-1"],
}


def test_they_are_found_by_what_an_officer_scans(path: Path) -> None:
    with filled(path) as records:
        assert found_ways(records) == FOUND


def test_what_is_changed_or_deleted_is_found_the_new_way_only(path: Path) -> None:
    with filled(path) as records:
        number = len(RECORDS_NOW)
        apply(
            records,
            change(number + 1, stock("1", location="B-01-1")),
            change(number + 2, stock("2"), op=ChangeOp.DELETE),
            change(number + 3, order("XD-1", WAYBILL)),
        )
        assert numbers(records.stock_at("A-03-2")) == []
        assert numbers(records.stock_at("B-01-1")) == ["1", "3"]
        assert numbers(records.orders_of(OTHER)) == []
        assert numbers(records.orders_of(WAYBILL)) == ["XD-1"]
        assert [each.waybill_nos for each in records.orders()] == [(WAYBILL,), ()]


def older_file(path: Path, schema: int, rows: tuple[Record, ...]) -> None:
    """As a program of that schema left it: what it did not know is kept unread."""
    path.unlink(missing_ok=True)
    sums = [0] * BUCKETS
    with closing(sqlite3.connect(path)) as db:
        for step in steps_of(RECORDS)[:schema]:
            db.executescript(step)
        for record in rows:
            collection, key, body = name_of(record), key_of(record), to_json(record).decode()
            sums[bucket_of(collection, key)] += row_digest(collection, key, body)
            known = db.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (collection,)
            ).fetchone()
            if known is None:
                db.execute("INSERT INTO other_records VALUES (?, ?, ?)", (collection, key, body))
            else:
                db.execute(f'INSERT INTO "{collection}" VALUES (?, ?)', (key, body))  # noqa: S608
        digest = (sum(sums) % MODULUS).to_bytes(16, "big")
        db.execute("INSERT INTO feed VALUES (1, 'site-a', 'e', 9, ?, ?, NULL)", (len(rows), digest))
        for shelf in range(BUCKETS // 64):
            some = sums[shelf * 64 : shelf * 64 + 64]
            db.execute(
                "INSERT INTO buckets VALUES (?, ?)",
                (shelf, b"".join((each % MODULUS).to_bytes(16, "big") for each in some)),
            )
        db.execute(f"PRAGMA application_id={RECORDS.application_id}")
        db.execute(f"PRAGMA user_version={schema}")
        db.commit()


@pytest.mark.parametrize("schema", [4, 5])
def test_rows_an_older_program_kept_unread_are_found_by_this_one(path: Path, schema: int) -> None:
    older_file(path, schema, RECORDS_NOW)
    with Records.open(path, writable=True) as records:
        assert found_ways(records) == FOUND
        assert [records.get(name_of(each), key_of(each)) for each in RECORDS_NOW] == list(RECORDS_NOW)
        assert records.verify() == []


# --- taken in at the centre ---------------------------------------------------------------------------------


def imported(tmp_path: Path, collection: str, *records: Any) -> tuple[list[str], list[str]]:
    """What was refused, and the keys that are there."""
    file = tmp_path / f"{collection}.json"
    file.write_bytes(b"[" + b",".join(msgspec.json.encode(record) for record in records) + b"]")
    archive = Archive.open(tmp_path / "archive.sqlite")
    with archive.transaction():
        archive.add_scope("site-a")
    try:
        report = import_files(archive, "site-a", [file], UTC, skip_bad=True)
        said = [problem.what for problem in report.problems]
        return said, sorted(archive.record_keys("site-a", collection))
    finally:
        archive.close()


@pytest.mark.parametrize("record", RECORDS_NOW, ids=lambda record: f"{name_of(record)} {key_of(record)}")
def test_every_one_can_be_imported(tmp_path: Path, record: Record) -> None:
    whole = msgspec.json.decode(to_json(record))
    assert imported(tmp_path, name_of(record), whole) == ([], [key_of(record)])


def test_a_line_of_a_waybill_with_a_field_of_a_buyer_is_refused_and_named(tmp_path: Path) -> None:
    line = {"no": "1", "sku": "SKU-1", "buyerTelephone": "13800138000"}
    (said,), keys = imported(tmp_path, "waybills", {"waybill_no": str(WAYBILL), "lines": [line]})
    assert ("buyerTelephone: no such field" in said, "13800138000" in said, keys) == (True, False, [])


# --- what they say ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (StockRow, {"quantity": "NaN"}, "quantity"),
        (StockRow, {"quantity": "1e400"}, "quantity"),
        (StockRow, {"quantity": "-1"}, "quantity"),
        (Reference, {"preview": "x" * 40_001}, "40000"),
        (XRay, {"boxes": [{"left": 1.5, "top": 0, "width": 0, "height": 0}]}, "left"),
        (PatrolRoute, {"points": []}, "points"),
        (
            PatrolRoute,
            {"points": [{"code": c, "name_zh": "", "name_en": "", "order": 1} for c in "ab"]},
            "no place in the order twice",
        ),
    ],
)
def test_a_record_beyond_its_bounds_is_refused_and_named(kind: Any, body: dict[str, Any], says: str) -> None:
    good = {type(record): record for record in RECORDS_NOW}[kind]
    whole = {**msgspec.json.decode(to_json(good)), **body}
    with pytest.raises(Malformed, match=says):
        from_json(msgspec.json.encode(whole), kind)


def test_the_largest_preview_still_travels_in_a_batch() -> None:
    largest = msgspec.structs.replace(reference("r"), preview="A" * 40_000, title_zh="货" * 400)
    batch = FeedBatch("site-a", "e", 1, 1, (change(1, largest),))
    assert len(to_json(to_json(batch).decode())) < 60 * 1024


def parcel(**changes: Any) -> Waybill:
    lines = (
        {"no": "1", "sku": "SKU-1", "hs_code": "3304", "name": "面霜", "quantity": "2", "unit": "瓶"},
        {"sku": "SKU-2", "declared_name": "口红", "quantity": "two", "batch": "B9"},
    )
    return Waybill(waybill_no=WAYBILL, batch_no="B7", lines=lines, **changes)


def test_declared_lines_are_read_as_an_officer_compares_them() -> None:
    first, second = declared_lines(parcel())
    assert (first.no, first.name, first.quantity, first.unit, first.batch_no) == (
        "1", "面霜", Decimal(2), "瓶", "B7",
    )  # fmt: skip
    assert (second.no, second.name, second.quantity, second.batch_no) == ("2", "口红", None, "B9")


@pytest.mark.parametrize(
    ("what", "is_named"),
    [
        ({"waybill_nos": (WAYBILL,)}, True),
        ({"waybill_nos": (OTHER,)}, False),
        ({"trace_codes": ("T1",)}, True),
        ({"trace_codes": ("",)}, False),
        ({"slip_nos": (SLIP,)}, True),
        ({"enterprises": (EnterpriseCode("4101960001"),)}, True),
        ({"skus": ("SKU-2",)}, True),
        ({"skus": ("SKU-2",), "batch_nos": ("B9",)}, True),
        ({"skus": ("SKU-2",), "batch_nos": ("B7",)}, False),
        ({"skus": ("SKU-1",), "batch_nos": ("B7",)}, True),
        ({"batch_nos": ("B9",)}, True),
        ({"batch_nos": ("B8",)}, False),
        ({}, False),
    ],
)
def test_a_recall_names_a_parcel_by_any_of_its_numbers_and_goods_only_of_its_batches(
    what: dict[str, Any], is_named: bool
) -> None:
    recall = Recall(recall_no="ZH-1", reason_zh="铅超标", reason_en="lead", **what)
    whose = parcel(trace_code="T1", slip_no=SLIP, enterprise=EnterpriseCode("4101960001"))
    assert recall.names(whose) is is_named


def test_goods_without_a_trace_code_are_not_those_of_an_empty_one() -> None:
    recall = Recall(recall_no="ZH-1", trace_codes=("",), reason_zh="", reason_en="")
    assert not recall.names(parcel())


# --- nothing of a buyer -------------------------------------------------------------------------------------

BUYERS = re.compile(
    r"buyer|consignee|recipient|receiver_|customer|payer|shipper|person|"
    r"(^|_)(id_?card|id_?number|identity|certificate_no|passport_id|phone|telephone|tel|mobile|address|addr|"
    r"email|birth|sex|gender)($|_)"
)


def fields_under(hint: Any, seen: set[Any]) -> Iterator[str]:
    for part in get_args(hint):
        yield from fields_under(part, seen)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
        seen.add(hint)
        for field in msgspec.structs.fields(hint):
            yield f"{hint.__name__}.{field.encode_name}"
            yield from fields_under(field.type, seen)


def vocabulary() -> set[str]:
    seen: set[Any] = set()
    roots = (FactData, *COLLECTIONS.values(), *(kind for row in CARRIED for kind, _ in row.kinds))
    return {name for root in roots for name in fields_under(root, seen)}


def test_no_field_of_any_record_fact_or_message_is_of_a_buyer() -> None:
    names = vocabulary()
    assert {"Waybill.waybill_no", "ParcelJudged.text", "CountedLine.sku", "Command.device"} <= names
    assert {name for name in names if BUYERS.search(name.partition(".")[2])} == set()


@pytest.mark.parametrize("name", ["buyer_name", "consignee_tel", "id_number", "address", "mobile"])
def test_the_walk_would_see_one(name: str) -> None:
    assert BUYERS.search(name)
