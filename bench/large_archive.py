"""A large archive, put there at once: facts sealed as devices seal them, and the rows a receiver makes of
them, in a tenth of the time (`tests/unit/test_bench_archive.py` compares the two, row by row)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from argon2 import PasswordHasher

from sync.hub.archive import Archive, RecordChange, StreamState
from sync.hub.console.accounts import Role, account, confirm_account, set_account
from sync.link.keys import KeySigner, make_private, public_pem
from sync.link.messages import Checkpoint, Context, StreamHead
from sync.policy.digests import MODULUS, move_of, to_hex
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import (
    GENESIS,
    Alarm,
    AlarmCode,
    ArmRaised,
    EpochBegan,
    Fact,
    FactData,
    FactDraft,
    LowerOrdered,
    PassageClosed,
    PassageOpened,
    PictureTaken,
    RaiseOrdered,
    RulingMade,
    Stream,
    VehicleCrossed,
    seal,
)
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText, WaybillNo, utc_text
from sync.vocabulary.records import (
    Binding,
    CreditTier,
    Direction,
    Enterprise,
    Officer,
    ReleaseSlip,
    Site,
    SlipKind,
    SlipState,
    Waybill,
    XRay,
    XRayVerdict,
)
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.xray_facts import ParcelSeen, ParcelSorted, ParcelXRayed

SITE, SCOPE, OFFICER, PASSWORD = "bench", "zone-1", "4604001", "correct horse battery"
DAYS: Final = 30
LANES, STATIONS, FIRMS, OFFICERS = 8, 2, 200, 20
FACTS_A_CYCLE: Final = 11
"""A passage of eight facts and a parcel of three."""
CYCLES_AN_ALARM: Final = 5_000
AT_ONCE: Final = 9_000
FACTS_A_PAYLOAD: Final = 64
"""About what 64 KB hold: each ends with a signed checkpoint."""
PICTURE_BYTES: Final = 200_000
_END: Final = "2099-01-01T00:00:00.000000Z"


class Chains:
    """One device's chains, and its key."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.private = make_private()
        self.signer = KeySigner(self.private, device)
        self.epoch = epoch_of(device)
        self.last: dict[Stream, tuple[int, str]] = {}
        self.position = 0
        self.unsigned = 0

    def seal(self, data: FactData, time_utc: str, stream: Stream = Stream.ROUTINE) -> Fact:
        seq, prev = self.last.get(stream, (0, GENESIS))
        self.position += 1
        self.unsigned += 1
        fact = seal(
            FactDraft(f"{self.device}-{self.position:x}", stream, time_utc, "boot", 5, data),
            device=self.device,
            epoch=self.epoch,
            seq=seq + 1,
            position=self.position,
            prev=prev,
        )
        self.last[stream] = (seq + 1, fact.hash)
        return fact

    def checkpoint(self, stream: Stream, time_utc: str) -> Checkpoint:
        """Over the last fact of a stream, as it ends a payload."""
        seq, digest = self.last[stream]
        self.unsigned = 0
        return Checkpoint(
            self.device, self.epoch, self.position, (StreamHead(stream, seq, digest),), time_utc
        )


@dataclass
class _Rows:
    """What is to be written next, by table; columns in their order."""

    facts: list[Fact] = field(default_factory=list)
    checkpoints: list[tuple[Any, ...]] = field(default_factory=list)
    uses: list[tuple[Any, ...]] = field(default_factory=list)
    blobs: list[tuple[Any, ...]] = field(default_factory=list)
    blob_names: list[tuple[Any, ...]] = field(default_factory=list)
    log: list[tuple[Any, ...]] = field(default_factory=list)
    records: list[tuple[Any, ...]] = field(default_factory=list)

    def write(self, archive: Archive, at_utc: str) -> None:
        archive.add_facts(self.facts, at_utc)
        for table in ("checkpoints", "uses", "blobs", "blob_names", "log", "records"):
            rows = getattr(self, table)
            archive.engine.fill(table, rows)
            rows.clear()
        self.facts.clear()


class Filling:
    """Lanes and stations in turn, over the last days up to now."""

    def __init__(self, archive: Archive, now: datetime) -> None:
        """The archive is settled and has nothing else."""
        self._archive = archive
        self._now = now
        self._at_utc = utc_now()
        self._rows = _Rows()
        self.chains = {name: Chains(name) for name in devices()}
        scope = archive.scope(SCOPE)
        if scope is None:
            raise ValueError("expected an archive that is settled")
        self._scope_epoch, self._number, self._records = scope.epoch, scope.number, scope.rows
        self._sums: defaultdict[int, int] = defaultdict(int)
        for bucket, kept in enumerate(archive.bucket_sums(SCOPE) or ()):
            self._sums[bucket] = kept

    def fill(self, facts: int, wrote: Callable[[int], None] = lambda facts: None) -> None:
        """`wrote` is told how many there are, after each transaction."""
        with self._archive.transaction():
            for name, chains in self.chains.items():
                self._archive.enrol(name, public_pem(chains.private.public_key()).decode())
        cycles = max(1, facts // FACTS_A_CYCLE)
        apart = timedelta(days=DAYS) / cycles
        self._begin(utc_text(self._now - timedelta(days=DAYS)))
        count = 0
        for cycle in range(cycles):
            self._cycle(cycle, utc_text(self._now - apart * (cycles - cycle)))
            if len(self._rows.facts) >= AT_ONCE:
                count += len(self._rows.facts)
                self._write()
                wrote(count)
        for chains in self.chains.values():
            if chains.unsigned:
                self._sign(chains, Stream.ROUTINE, utc_text(self._now))
        self._write()

    def _begin(self, time_utc: str) -> None:
        with self._archive.transaction():
            for name, chains in self.chains.items():
                self._rows.facts.append(chains.seal(EpochBegan("new", "", {}), time_utc, Stream.ALARM))
                self._sign(chains, Stream.ALARM, time_utc)
                self._archive.note_epoch(name, chains.epoch, self._at_utc)
                self._archive.announce_epoch(name, chains.epoch, "", {}, "new")

    def _cycle(self, cycle: int, at_utc: str) -> None:
        lane, number = cycle % LANES + 1, cycle // LANES + 1
        chains = self.chains[f"lane-{lane}"]
        slip = slip_of(lane, number)
        known_at = self._record("release_slips", slip, _SLIP.replace(_ANY_SLIP, slip), at_utc)
        for data in of_passage(
            number, plate_of(number), lane, slip=slip, known_at=(self._scope_epoch, known_at)
        ):
            fact = chains.seal(data, at_utc)
            self._rows.facts.append(fact)
            self._effect(fact, data, slip)
        station, number = cycle % STATIONS + 1, cycle // STATIONS + 1
        waybill = waybill_of(station, number)
        self._record("waybills", waybill, _WAYBILL.replace(_ANY_WAYBILL, waybill), at_utc)
        line = self.chains[f"xray-{station}"]
        for parcel in of_parcel(station, number):
            fact = line.seal(parcel, at_utc)
            self._rows.facts.append(fact)
            if isinstance(parcel, ParcelXRayed):
                self._record("x_rays", waybill, _x_ray(fact, parcel), self._at_utc)
        if cycle % CYCLES_AN_ALARM == CYCLES_AN_ALARM - 1:
            if chains.unsigned:
                self._sign(chains, Stream.ROUTINE, at_utc)
            told = Alarm(code=AlarmCode.OVERSTAY, detail=f"passage {number}", zh="停留过久", en="too long")
            self._rows.facts.append(chains.seal(told, at_utc, Stream.ALARM))
            self._sign(chains, Stream.ALARM, at_utc)
        for each in (chains, line):
            if each.unsigned >= FACTS_A_PAYLOAD:
                self._sign(each, Stream.ROUTINE, at_utc)

    def _effect(self, fact: Fact, data: FactData, slip: str) -> None:
        match data:
            case VehicleCrossed(passage=passage, use_ids=(use_id,)):
                self._rows.uses.append(
                    (fact.device, use_id, slip, "", passage, "crossed", fact.position, 0, self._at_utc)
                )
            case PictureTaken(sha256=sha256, size_bytes=size_bytes):
                self._rows.blob_names.append(
                    (sha256, fact.device, fact.epoch, fact.stream.value, fact.seq, fact.passage, size_bytes)
                )
                self._rows.blobs.append(
                    (sha256, fact.device, size_bytes, "routine", "missing", self._at_utc, "")
                )
            case _:
                pass

    def _record(self, collection: str, key: str, body: str, at_utc: str) -> int:
        self._number += 1
        self._records += 1
        bucket, moved = move_of(collection, key, None, body.encode())
        self._sums[bucket] += moved
        row = (SCOPE, self._scope_epoch, self._number, collection, key, "put", body, at_utc)
        self._rows.log.append(row)
        self._rows.records.append((SCOPE, collection, key, body, self._number))
        return self._number

    def _sign(self, chains: Chains, stream: Stream, at_utc: str) -> None:
        said = chains.checkpoint(stream, at_utc)
        signed = chains.signer.sign(Context.CHECKPOINT, to_json(said).decode())
        self._rows.checkpoints.append(
            (said.device, said.epoch, said.position, signed.body, signed.kid, signed.sig, self._at_utc)
        )

    def _write(self) -> None:
        shelf = 64
        with self._archive.transaction():
            self._rows.write(self._archive, self._at_utc)
            for name, chains in self.chains.items():
                for stream, (seq, digest) in chains.last.items():
                    self._archive.set_stream(name, chains.epoch, stream, StreamState(seq, digest, ()), seq)
            self._archive.engine.execute("DELETE FROM bucket_sums WHERE scope = ?", (SCOPE,))
            self._archive.engine.fill(
                "bucket_sums",
                [
                    (
                        SCOPE,
                        first // shelf,
                        "".join(to_hex(self._sums[first + each]) for each in range(shelf)),
                    )
                    for first in range(0, 4_096, shelf)
                ],
            )
            self._archive.engine.execute(
                "UPDATE scopes SET number = ?, rows = ?, digest = ? WHERE scope = ?",
                (self._number, self._records, to_hex(sum(self._sums.values()) % MODULUS), SCOPE),
            )


def of_passage(
    number: int, plate: str, lane: int, *, slip: str, known_at: tuple[str, int] = ("", 0)
) -> tuple[FactData, ...]:
    """Every fortieth is held first, every sixtieth inspected."""
    reason = Reason.WEIGHT_OVER if number % 40 == 0 else Reason.SPOT_CHECK if number % 60 == 0 else None
    verdict = Verdict.HOLD if number % 40 == 0 else Verdict.INSPECT if reason else Verdict.RELEASE
    order, use = f"r-{number}", f"u-{number}"
    return (
        PassageOpened(passage=number),
        RulingMade(
            passage=number,
            ruling=Ruling(verdict, (Because(reason or Reason.RELEASED),)),
            direction="I",
            plate=plate,
            slips=(slip,),
            use_ids=(use,),
            enterprise=firm_of(number),
            gross_kg="12340",
            records_scope=SCOPE if known_at[0] else "",
            records_epoch=known_at[0],
            records_number=known_at[1],
            records_age_s=3.0,
            officer=f"46041{number % OFFICERS:02d}" if number % 40 == 0 else "",
            texts_zh=("放行 一路平安",),
            texts_en=("Released, safe journey",),
        ),
        PictureTaken(
            passage=number,
            moment="ruling",
            camera="front",
            sha256=f"{lane:08x}{number:056x}",
            size_bytes=PICTURE_BYTES,
        ),
        RaiseOrdered(passage=number, order_id=order, purpose="admit"),
        ArmRaised(passage=number, order_id=order),
        VehicleCrossed(passage=number, order_id=order, use_ids=(use,)),
        LowerOrdered(passage=number),
        PassageClosed(
            passage=number,
            outcome="crossed",
            lane_s=14.0 + number % 23,
            stage_s={"identify": 2.0, "weigh": 4.0, "cross": 6.0},
        ),
    )


def of_parcel(station: int, number: int) -> tuple[FactData, ...]:
    waybill = waybill_of(station, number)
    verdict = "flagged" if number % 50 == 0 else "passed"
    by_hand = number % 3 == 0
    return (
        ParcelSeen(parcel=number, leading_mm=float(number), waybill_no=waybill, read="read"),
        ParcelXRayed(
            parcel=number,
            waybill_no=waybill,
            verdict=verdict,
            by="officer" if by_hand else "machine",
            reasons=("judged",) if by_hand else ("clear",),
            officer=f"46041{number % OFFICERS:02d}" if by_hand else "",
            took_s=2.4 if by_hand else None,
        ),
        ParcelSorted(
            parcel=number,
            waybill_no=waybill,
            verdict=verdict,
            ordered="pass" if verdict == "passed" else "flag",
            seen="pass",
            confirmed=True,
        ),
    )


def waybill_of(station: int, number: int) -> str:
    return f"YT{station}{number:012d}"


def slip_of(lane: int, number: int) -> str:
    return f"Z4604I261122{lane:03d}{number:09d}"


def plate_of(number: int, province: str = "琼") -> str:
    return f"{province}A{number % 4_000:05d}"


def firm_of(number: int) -> str:
    return f"46019{number % FIRMS:05d}"


def devices() -> list[str]:
    lanes = [f"lane-{number}" for number in range(1, LANES + 1)]
    return [*lanes, *(f"xray-{number}" for number in range(1, STATIONS + 1))]


def epoch_of(device: str) -> str:
    return hashlib.sha256(device.encode()).hexdigest()[:32]


def settle(archive: Archive) -> None:
    """A site, its firms, an officer with an account."""
    firms = [firm_of(number) for number in range(FIRMS)]
    officer = Officer(
        officer_no=OFFICER,
        authorisations=("inspect",),
        public_key="A" * 43 + "=",
        valid_until=UtcText(_END),
    )
    changes = [
        _change("site", SITE, Site(site=SITE, name_zh="测量", name_en="Bench")),
        *(_change("enterprises", code, _enterprise(code)) for code in firms),
        _change("officers", OFFICER, officer),
    ]
    with archive.transaction():
        archive.add_scope(SCOPE)
        archive.apply_changes(SCOPE, changes, utc_now())
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    set_account(archive, OFFICER, PASSWORD, frozenset(Role), by="bench", at_utc=utc_now(), hasher=cheap)
    made = account(archive, OFFICER)
    if made is not None:
        confirm_account(archive, made, by="bench", how="hub", at_utc=utc_now())


def _change(collection: str, key: str, value: object) -> RecordChange:
    return RecordChange(collection, key, to_json(value).decode())


def _enterprise(code: str) -> Enterprise:
    return Enterprise(
        code=EnterpriseCode(code), name=f"企业 {code}", tier=CreditTier.MEDIUM, spot_check_per_mille=20
    )


def _x_ray(fact: Fact, data: ParcelXRayed) -> str:
    verdict = XRayVerdict(data.verdict)
    row = XRay(
        waybill_no=WaybillNo(data.waybill_no),
        verdict=verdict,
        station=fact.device,
        judged=UtcText(fact.time),
        parcel=data.parcel,
        epoch=fact.epoch,
        position=fact.position,
    )
    return to_json(row).decode()


_ANY_SLIP: Final = slip_of(0, 0)
_SLIP: Final = to_json(
    ReleaseSlip(
        slip_no=SlipNo(_ANY_SLIP),
        direction=Direction.IN,
        kind=SlipKind.SECOND_LINE,
        binding=Binding.ONE_SLIP,
        vehicle_kg=Decimal(8_000),
        cargo_gross_kg=Decimal(4_340),
        total_kg=Decimal(12_340),
        enterprise=EnterpriseCode(firm_of(1)),
        state=SlipState.APPROVED,
        valid_from=UtcText("2026-01-01T00:00:00.000000Z"),
        valid_until=UtcText(_END),
    )
).decode()
_ANY_WAYBILL: Final = waybill_of(0, 0)
_WAYBILL: Final = to_json(
    Waybill(
        waybill_no=WaybillNo(_ANY_WAYBILL),
        enterprise=EnterpriseCode(firm_of(1)),
        gross_kg=Decimal(1),
        lines=({"no": "1", "sku": "SKU-1", "hs_code": "3304990099", "name": "面膜", "quantity": "2"},),
    )
).decode()


def filled(archive: Archive, facts: int, wrote: Callable[[int], None] = lambda facts: None) -> None:
    """Settle and fill."""
    settle(archive)
    Filling(archive, datetime.now(UTC)).fill(facts, wrote)
