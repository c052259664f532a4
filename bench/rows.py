"""Records made for measuring: plausible sizes, unique keys. Written straight into a records file."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sync.link.messages import Change, ChangeOp, FeedBatch
from sync.store.records import Records, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.numbers import EnterpriseCode, Epc, Plate, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    Record,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Vehicle,
    Waybill,
    key_of,
)

FIRM = EnterpriseCode("4101960001")
SCOPE = "site-bench"
EPOCH = "0" * 32
LATER = UtcText("2099-01-01T00:00:00Z")
EARLIER = UtcText("2020-01-01T00:00:00Z")
BATCH = 10_000
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Rows:
    vehicles: int
    slips: int
    waybills: int

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

    def others(self) -> Iterator[Record]:
        yield Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=0)
        yield Site(site="bench", name_zh="测", name_en="bench")


def waybill(number: int) -> Waybill:
    draw = random.Random(number)
    return Waybill(
        waybill_no=WaybillNo(f"YT{number:013d}"),
        declarations=(f"46042026I{number:09d}",),
        three_documents="matched",
        order_no=f"OD{number:012d}",
        bill_no=f"BL{number // 300:09d}",
        enterprise=FIRM,
        platform="4101960777",
        gross_kg=Decimal(draw.randrange(100, 9_000)) / 1000,
        lines=(
            {
                "no": "1",
                "sku": f"SKU{draw.randrange(10**6)}",
                "hs": "3304990039",
                "name": "面膜",
                "quantity": "2",
            },
        ),
    )


def bodies(records: Iterator[Record], collection: str) -> Iterator[tuple[str, str, str]]:
    for record in records:
        yield collection, key_of(record), to_json(record).decode()


def fill(folder: Path, rows: Rows) -> Path:
    """A records file with so many rows, applied as a feed; proved just now."""
    path = new_generation(folder, 1, SCOPE, EPOCH)
    with Records.open(path, writable=True) as records:
        number = 0
        for chunk in _chunks(rows):
            changes = tuple(
                Change(number + place, collection, key, ChangeOp.PUT, body)
                for place, (collection, key, body) in enumerate(chunk, start=1)
            )
            number += len(changes)
            records.apply(FeedBatch(SCOPE, EPOCH, changes[0].number, changes[-1].number, changes))
        records.note_verified(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    return path


def _chunks(rows: Rows) -> Iterator[list[tuple[str, str, str]]]:
    for collection, records in (
        ("enterprises", (r for r in rows.others() if isinstance(r, Enterprise))),
        ("site", (r for r in rows.others() if isinstance(r, Site))),
        ("vehicles", (rows.vehicle(n) for n in range(rows.vehicles))),
        ("release_slips", (rows.slip(n) for n in range(rows.slips))),
        ("waybills", (waybill(n) for n in range(rows.waybills))),
    ):
        chunk: list[tuple[str, str, str]] = []
        for row in bodies(iter(records), collection):
            chunk.append(row)
            if len(chunk) == BATCH:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
