"""The large archive that `kakou bench console` measures over is one that a receiver would have made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench import large_archive
from bench.large_archive import SCOPE, SITE, Filling, settle
from sync.hub.archive import Archive, RecordChange
from sync.hub.receiver import Receiver
from sync.link.envelope import pack, runs
from sync.link.keys import HUB_KID, KeySigner, make_private
from sync.link.messages import Checkpoint, Topics
from sync.store.journal import utc_now
from sync.vocabulary.codec import from_json
from sync.vocabulary.facts import Fact, Stream

FACTS = 900
TABLES = {
    "facts": "device, epoch, stream, seq, position, event_id, kind, passage, time, hash, body",
    "streams": "device, epoch, stream, contiguous, head_hash",
    "epochs": "device, epoch, announced, old_epoch, old_heads, why",
    "uses": "device, use_id, slip_no, claim_id, passage, state, position, receipt",
    "blobs": "sha256, device, size_bytes, class, state",
    "blob_names": "sha256, device, epoch, stream, seq, passage, size_bytes",
    "checkpoints": "device, epoch, position, body, kid, sig",
    "records": "collection, key, body",
    "hub_alarms": "device, code, detail",
}


def test_a_filled_archive_has_the_rows_a_receiver_makes_of_the_same_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_archive, "CYCLES_AN_ALARM", 20)
    monkeypatch.setattr(large_archive, "AT_ONCE", 300)
    filled, received = (Archive.open(tmp_path / name) for name in ("filled", "received"))
    settle(filled)
    filling = Filling(filled, datetime.now(UTC))
    filling.fill(FACTS)
    settle(received)
    _receive(filled, received)
    for table, columns in TABLES.items():
        rows = [_rows(archive, table, columns) for archive in (filled, received)]
        assert rows[0] == rows[1], table
        assert rows[0] or table == "hub_alarms"
    assert filled.bucket_sums(SCOPE) is not None
    filled.close()
    received.close()


def _rows(archive: Archive, table: str, columns: str) -> list[tuple[Any, ...]]:
    return sorted(
        archive.engine.execute(f"SELECT {columns} FROM {table}").fetchall(),  # noqa: S608
        key=repr,
    )


def _receive(filled: Archive, received: Archive) -> None:
    """The slips and waybills, as an importer writes them; then every payload as the device signed it."""
    topics = Topics(SITE)
    scope = filled.scope(SCOPE)
    assert scope is not None
    with received.transaction():
        for name in filled.devices():
            known = filled.enrolled(name)
            assert known is not None
            received.enrol(name, known.public_pem)
        rows = filled.log_after(SCOPE, scope.epoch, 0)
        changes = [RecordChange(row.collection, row.key, row.body) for row in rows]
        imported = [change for change in changes if change.collection in ("release_slips", "waybills")]
        received.apply_changes(SCOPE, imported, utc_now())
    receiver = Receiver(received, KeySigner(make_private(), HUB_KID), site=SITE)
    for name in filled.devices():
        last: dict[Stream, int] = {}
        for signed in filled.checkpoints_of(name):
            said = from_json(signed.body, Checkpoint)
            (head,) = said.heads
            kept = filled.facts_between(name, said.epoch, head.stream, last.get(head.stream, 0) + 1, head.seq)
            last[head.stream] = head.seq
            facts = [Fact(name, said.epoch, head.stream, *each) for each in kept]
            (run,) = runs(facts)
            payload = pack(run, signed, time=said.time)
            assert receiver.receive(topics.facts(name, head.stream), payload, utc_now())
