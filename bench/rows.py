"""Records made for measuring: plausible sizes, unique keys, the same every time. Measures nothing itself."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sync.policy.digests import BUCKETS, MODULUS, move_of
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText, WaybillNo, utc_text
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    Waybill,
)

FIRM = EnterpriseCode("4101960001")
SCOPE = "site-bench"
EPOCH = "0" * 32
LATER = UtcText("2099-01-01T00:00:00Z")
EARLIER = UtcText("2020-01-01T00:00:00Z")
ROWS_AT_ONCE = 20_000
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"

Row = tuple[str, str, str]
"""Collection, key, body."""


@dataclass(frozen=True, slots=True)
class Rows:
    """How much a records file holds. Vehicle `n` has slips `n`, `n + vehicles`, `n + 2 × vehicles` …"""

    vehicles: int
    slips: int
    waybills: int

    @property
    def count(self) -> int:
        return self.vehicles + self.slips + self.waybills + 2

    def plate(self, number: int) -> str:
        return f"豫{_LETTERS[number // 100_000 % 24]}{number % 100_000:05d}"

    def epc(self, number: int) -> str:
        return f"E280{number:020X}"

    def slip_no(self, number: int) -> SlipNo:
        return SlipNo(f"Z4604I260101{number:012d}")

    def vehicle(self, number: int) -> Vehicle:
        return Vehicle(
            plate=Plate(self.plate(number)),
            tag_epcs=(Epc(self.epc(number)),),
            tare_kg=Decimal(14_000),
            carrier="中原物流",
            valid_until=LATER,
        )

    def slip(self, number: int) -> ReleaseSlip:
        """The first slip of each vehicle is approved, the others have passed."""
        return ReleaseSlip(
            slip_no=self.slip_no(number),
            direction=Direction.IN,
            kind=SlipKind.SECOND_LINE,
            binding=Binding.ONE_SLIP,
            related_type="1",
            related_nos=(f"QD460426I{number:09d}",),
            plate=Plate(self.plate(number % self.vehicles)),
            vehicle_kg=Decimal(13_000),
            frame_kg=Decimal(1_000),
            cargo_gross_kg=Decimal(6_000),
            total_kg=Decimal(20_000),
            enterprise=FIRM,
            customs_code="4604",
            state=SlipState.APPROVED if number < self.vehicles else SlipState.PASSED,
            valid_from=EARLIER,
            valid_until=LATER,
            waybill_count=300,
        )

    def all(self) -> Iterator[Row]:
        """By collection, and by key within one."""
        firm = Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=0)
        yield "enterprises", str(FIRM), to_json(firm).decode()
        yield "site", "bench", to_json(Site(site="bench", name_zh="测", name_en="bench")).decode()
        for number in range(self.vehicles):
            yield "vehicles", self.plate(number), to_json(self.vehicle(number)).decode()
        for number in range(self.slips):
            yield "release_slips", str(self.slip_no(number)), to_json(self.slip(number)).decode()
        for number in range(self.waybills):
            yield "waybills", *waybill_row(number)


def waybill(number: int) -> Waybill:
    return Waybill(
        waybill_no=WaybillNo(f"YT{number:013d}"),
        declarations=(f"46042026I{number:09d}",),
        three_documents="matched",
        order_no=f"OD{number:012d}",
        bill_no=f"BL{number // 300:09d}",
        enterprise=FIRM,
        platform="4101960777",
        gross_kg=Decimal(100 + number * 7919 % 8_900) / 1000,
        lines=(
            {
                "no": "1",
                "sku": f"SKU{number * 6_700_417 % 10**6}",
                "hs": "3304990039",
                "name": "面膜",
                "quantity": "2",
            },
        ),
    )


def _template() -> str:
    """A waybill's JSON with its numbers left open: made from a real one, so that it cannot drift."""
    odd = 123_456_789
    text = to_json(waybill(odd)).decode().replace("%", "%%")
    for found, place in (
        (f"YT{odd:013d}", "YT%(n)013d"),
        (f"46042026I{odd:09d}", "46042026I%(n)09d"),
        (f"OD{odd:012d}", "OD%(n)012d"),
        (f"BL{odd // 300:09d}", "BL%(bill)09d"),
        (f'"gross_kg":"{waybill(odd).gross_kg}"', '"gross_kg":"%(gross)s"'),
        (f"SKU{odd * 6_700_417 % 10**6}", "SKU%(sku)d"),
    ):
        if text.count(found) != 1:
            raise RuntimeError(f"the bench's waybill has {found!r} {text.count(found)} times, expected once")
        text = text.replace(found, place)
    return text


_TEMPLATE = _template()
_GROSS = [str(Decimal(100 + grams) / 1000) for grams in range(8_900)]


def waybill_row(number: int) -> tuple[str, str]:
    """Key and body of `waybill(number)`, in a tenth of the time."""
    return f"YT{number:013d}", _TEMPLATE % {
        "n": number,
        "bill": number // 300,
        "gross": _GROSS[number * 7919 % 8_900],
        "sku": number * 6_700_417 % 10**6,
    }


def fill(folder: Path, rows: Rows, *, reserved_bytes: int = 0) -> Path:
    """A records file with so many rows, as if applied from a feed and proved just now.

    Written straight, since filling is not what is measured: `Records.verify` finds it whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = new_generation(folder, 1, SCOPE, EPOCH, reserved_bytes=reserved_bytes)
    sums = [0] * BUCKETS
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -64000")
        for collection, group in itertools.groupby(rows.all(), key=lambda row: row[0]):
            while some := list(itertools.islice(group, ROWS_AT_ONCE)):
                _write_some(db, collection, some, sums)
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO buckets VALUES (?, ?)",
            [
                (shelf, b"".join((total % MODULUS).to_bytes(16, "big") for total in sums[shelf * 64 :][:64]))
                for shelf in range(BUCKETS // 64)
            ],
        )
        db.execute(
            "UPDATE feed SET number = ?, row_count = ?, digest = ?",
            (rows.count, rows.count, (sum(sums) % MODULUS).to_bytes(16, "big")),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with Records.open(path, writable=True) as records:
        records.note_verified(utc_text(datetime.now(UTC)))
    return path


def _write_some(db: sqlite3.Connection, collection: str, some: Iterable[Row], sums: list[int]) -> None:
    plates: list[tuple[str, str]] = []
    rows = []
    for _, key, body in some:
        bucket, digest = move_of(collection, key, None, body.encode())
        sums[bucket] += digest
        rows.append((key, body))
    db.execute("BEGIN")
    db.executemany(f"INSERT INTO {collection} VALUES (?, ?)", rows)
    match collection:
        case "vehicles":
            plates = [(_between(body, '"tag_epcs":["', '"'), key) for key, body in rows]
            db.executemany("INSERT INTO vehicle_tags VALUES (?, ?)", plates)
        case "release_slips":
            plates = [(_between(body, '"plate":"', '"'), key) for key, body in rows]
            db.executemany("INSERT INTO slip_plates VALUES (?, ?)", plates)
        case _:
            pass
    db.execute("COMMIT")


def _between(text: str, before: str, after: str) -> str:
    begin = text.index(before) + len(before)
    return text[begin : text.index(after, begin)]
