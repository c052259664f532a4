"""Passage receipts for customs (过卡回执): one file for each slip that passed a gate, each exactly once.

What passed is told by the facts in the archive alone. A receipt is made in one transaction with the mark that
it was; its bytes never change afterwards. Then it is written whole beside the out-folder (`.ready`), that is
remembered, and only then it is renamed into the out-folder: killed at any instant, what is in `.ready` was
not given out, what was remembered and is not there was. Whoever collects the files may take them at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sync.hub.archive import Archive, CrossedUse, ReceiptRow
from sync.store.folders import sync_folder
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.facts import FactBody, RulingMade, VehicleCrossed, read_body
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Enterprise, GateStage, ReleaseSlip, Site
from sync.vocabulary.sas import Envelope, Passing, write_receipt
from sync.vocabulary.weights import kilograms

AT_ONCE = 20
"""Receipts of one round, each of which waits for the disk several times, so that a backlog does not keep the
hub from its messages."""
READY = ".ready"
NOT_MADE = "receipt_not_made"
"""Code of the alarm about a crossing no receipt can be made of."""

_read_slip = decoder(ReleaseSlip)
_read_site = decoder(Site)
_read_enterprise = decoder(Enterprise)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptSettings:
    folder: Path
    """Where customs' bridge collects files. `.ready` is made in it."""
    sender_id: str
    receiver_id: str
    gate_nos: dict[str, str]
    """Lane -> its number at customs (`passID`); a lane without one gets an empty element."""


@dataclass(frozen=True, slots=True)
class Round:
    made: int
    out: tuple[str, ...]
    """Names of files given out, in order."""
    not_made: int
    """Crossings no receipt can be made of, each with its alarm."""

    @property
    def full(self) -> bool:
        """More may be waiting."""
        return max(self.made + self.not_made, len(self.out)) >= AT_ONCE


def give_out(archive: Archive, settings: ReceiptSettings, at_utc: str) -> Round:
    """Make receipts of what crossed and give out what is made, at most `AT_ONCE` of each.

    Safe beside another that does the same. Raises one of `STORAGE_ERRORS`; whatever was not given out then is
    tried again next time.
    """
    made, not_made = _make(archive, settings, at_utc)
    return Round(made, _give_out(archive, settings.folder), not_made)


# --- making -----------------------------------------------------------------------------------------------


class _Impossible(Exception):
    pass


def _make(archive: Archive, settings: ReceiptSettings, at_utc: str) -> tuple[int, int]:
    made = not_made = 0
    if not archive.uses_without_receipt(1):
        return 0, 0
    with archive.transaction():
        for use in archive.uses_without_receipt(AT_ONCE):
            number = archive.next_receipt_id()
            try:
                passing = _passing(archive, settings, use)
                name, body = write_receipt(
                    passing,
                    Envelope(
                        sender_id=settings.sender_id,
                        receiver_id=settings.receiver_id,
                        serial=number,
                        sent_at=UtcText(at_utc),
                        pocket=hashlib.sha256(f"{use.device}/{use.use_id}".encode()).hexdigest()[:32],
                    ),
                )
            except (_Impossible, ValueError, ArithmeticError) as error:
                # Whatever a fact says, such as a time that no other zone can show, must not stop the hub.
                not_made += 1
                archive.give_up_receipt(use.device, use.use_id)
                archive.add_alarm_once(
                    at_utc, use.device, NOT_MADE, f"slip {use.slip_no}, passage {use.passage}: {error}"[:400]
                )
                continue
            made += 1
            row = ReceiptRow(
                number, use.device, use.use_id, use.slip_no, passing.gate.value, passing.passed_at, name,
                body, "made",
            )  # fmt: skip
            archive.add_receipt(row, at_utc)
    return made, not_made


def _passing(archive: Archive, settings: ReceiptSettings, use: CrossedUse) -> Passing:
    crossing, ruling = _facts_of(archive, use)
    body = archive.record("release_slips", use.slip_no) or archive.last_version("release_slips", use.slip_no)
    if body is None:
        raise _Impossible("the slip is not in the archive")
    slip = _read_slip(body)
    gate = _stage_of(archive, use.device)
    collected = None if ruling is None else kilograms(ruling.gross_kg or "")
    first = _at_first(archive, use) if gate is GateStage.SECOND else None
    return Passing(
        slip=slip,
        gate=gate,
        passed_at=UtcText(crossing.time),
        gate_no=settings.gate_nos.get(use.device, ""),
        first_passed_at=None if first is None else UtcText(first.passed_at),
        first_gate_no="" if first is None else settings.gate_nos.get(first.device, ""),
        plate=(ruling.plate or "") if ruling is not None else "",
        collected_kg=collected,
        expected_kg=_expected(slip, ruling, collected),
        enterprise_name=_enterprise_name(archive, slip),
    )


def _facts_of(archive: Archive, use: CrossedUse) -> tuple[FactBody, RulingMade | None]:
    """The crossing this use ended in, and the last ruling it stands on."""
    crossing: FactBody | None = None
    ruling: RulingMade | None = None
    for text in archive.facts_of_passage(use.device, use.passage):
        try:
            body = read_body(text)
        except Malformed:
            continue
        match body.data:
            case RulingMade(use_ids=use_ids) if use.use_id in use_ids:
                ruling = body.data
            case VehicleCrossed(use_ids=use_ids) if use.use_id in use_ids:
                crossing = body
    if crossing is None:
        raise _Impossible("no crossing in the archive names this use")
    if UtcText.parse(crossing.time) is None:
        raise _Impossible(f"the crossing's time is none: {crossing.time[:40]!r}")
    return crossing, ruling


def _expected(slip: ReleaseSlip, ruling: RulingMade | None, collected: Decimal | None) -> Decimal:
    """What the scale should have shown: of one slip its total, of several what the ruling added up."""
    several = ruling is not None and len(ruling.slips) > 1
    summed = kilograms(ruling.expected_kg or "") if ruling is not None and several else None
    return summed if summed is not None and collected is not None else slip.total_kg


def _stage_of(archive: Archive, device: str) -> GateStage:
    for scope in archive.scopes():
        for key in archive.record_keys(scope.scope, "site"):
            body = archive.record("site", key, scope.scope)
            try:
                lane = None if body is None else _read_site(body).lane(device)
            except Malformed:
                continue
            if lane is not None:
                return lane.gate
    return GateStage.ONLY


def _at_first(archive: Archive, use: CrossedUse) -> ReceiptRow | None:
    first = [row for row in archive.receipts_of_slip(use.slip_no) if row.gate == GateStage.FIRST.value]
    return first[-1] if first else None


def _enterprise_name(archive: Archive, slip: ReleaseSlip) -> str:
    body = archive.record("enterprises", slip.enterprise)
    with contextlib.suppress(Malformed):
        return "" if body is None else _read_enterprise(body).name
    return ""


# --- giving out -------------------------------------------------------------------------------------------


def _give_out(archive: Archive, folder: Path) -> tuple[str, ...]:
    waiting = archive.receipts_not_out(AT_ONCE)
    if not waiting:
        return ()
    ready = folder / READY
    ready.mkdir(exist_ok=True)
    for row in waiting:
        if row.state == "made":
            _write_whole(ready, row)
    sync_folder(ready)
    names: list[str] = []
    for row in waiting:
        # Its own transaction: another that gives out too sees one state or the other.
        with archive.transaction():
            if archive.receipt_state(row.id) == "made":
                (ready / f"{row.file_name}.{os.getpid()}").replace(ready / row.file_name)
                sync_folder(ready)
                archive.set_receipt_state(row.id, "ready")
        (ready / f"{row.file_name}.{os.getpid()}").unlink(missing_ok=True)
        with archive.transaction():
            if archive.receipt_state(row.id) == "ready":
                # Gone: it was given out before the last stop, and that could not be written down any more.
                with contextlib.suppress(FileNotFoundError):
                    (ready / row.file_name).replace(folder / row.file_name)
                    names.append(row.file_name)
                sync_folder(folder)
                archive.set_receipt_state(row.id, "out")
    return tuple(names)


def _write_whole(ready: Path, row: ReceiptRow) -> None:
    with (ready / f"{row.file_name}.{os.getpid()}").open("w", encoding="utf-8", newline="\n") as file:
        file.write(row.body)
        file.flush()
        os.fsync(file.fileno())
