"""After a cut: is everything there that was told? Read from the files alone, by code that imports nothing of sync.

`reconcile` of the simulators does the large comparison (journal against archive, chains, signatures, digests);
here stands what only somebody who heard the programs talk can know: what they had promised by then.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware_sims.reconciliation import reconcile

STREAMS = {"alarm": 1, "routine": 2}
"""As the journal's schema numbers them."""
COMPARED = ("facts", "records", "alarms")
"""Rows of the reconciliation that need no physics."""


@dataclass(slots=True)
class Told:
    """What the programs had told when the power went."""

    facts: list[tuple[str, str, int, str, str]] = field(default_factory=list)
    """Epoch, stream, sequence, hash, event id."""
    acked: dict[tuple[str, str, str], tuple[int, str]] = field(default_factory=dict)
    """Archive id, epoch, stream -> contiguous and its hash."""
    records: list[tuple[str, int, str]] = field(default_factory=list)
    """Epoch, number and digest of the scope, as imported or published."""
    moved: tuple[int, str, int] | None = None
    """Generation in force, its epoch and number."""
    epoch: str = ""
    pictures: list[str] = field(default_factory=list)
    """Hashes of pictures the lane has on its disk."""
    stored: list[str] = field(default_factory=list)
    """Of these, the ones the hub said it has."""

    @classmethod
    def of(cls, lines: bytes) -> Told:
        told = cls()
        for line in lines.decode().split("\n")[:-1]:
            match line.split():
                case ["fact", epoch, stream, seq, hash_, event_id]:
                    told.facts.append((epoch, stream, int(seq), hash_, event_id))
                case ["acked", archive, epoch, stream, contiguous, hash_]:
                    told.acked[(archive, epoch, stream)] = (int(contiguous), hash_)
                case ["imported" | "head", epoch, number, digest]:
                    told.records.append((epoch, int(number), digest))
                case ["moved", generation, epoch, number]:
                    told.moved = (int(generation), epoch, int(number))
                case ["picture", sha256]:
                    told.pictures.append(sha256)
                case ["stored", sha256]:
                    told.stored.append(sha256)
                case ["opened", epoch]:
                    told.epoch = epoch
                case words:
                    raise ValueError(f"nobody tells {words}")
        return told


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def lost_at_the_lane(folder: Path, lane: str, told: Told) -> list[str]:
    """With its programs started again, before they talked to anybody."""
    with _reading(folder / "data" / lane / "journal.sqlite") as journal:
        heads = {
            (epoch, stream): (epoch_no, dropped)
            for epoch_no, epoch, stream, dropped in journal.execute(
                "SELECT epoch_no, epoch, stream, dropped_seq FROM heads JOIN epochs USING (epoch_no)"
            )
        }
        hashes = dict(journal.execute("SELECT place, hash FROM facts").fetchall())
        (generation,) = journal.execute("SELECT generation FROM store").fetchone()
        (epoch,) = journal.execute("SELECT epoch FROM epochs ORDER BY epoch_no DESC LIMIT 1").fetchone()
    lost = []
    for fact_epoch, stream, seq, hash_, event_id in told.facts:
        epoch_no, dropped = heads.get((fact_epoch, stream), (0, 0))
        place = (((epoch_no << 4) | STREAMS[stream]) << 44) + seq
        if seq > dropped and hashes.get(place) != hash_:
            lost.append(f"told fact {fact_epoch[:8]}/{stream}/{seq} ({event_id}) is not in the journal")
    if told.epoch not in ("", epoch):
        lost.append(f"the journal was in epoch {told.epoch[:8]}, it began {epoch[:8]}")
    pictures = {path.stem: path for path in (folder / "data" / lane).glob("pictures/*/*.jpg")}
    lost += [
        f"picture {sha256[:8]} is not on the lane's disk"
        for sha256 in told.pictures
        if _hash(pictures.get(sha256)) != sha256
    ]
    if told.moved is not None:
        lost += _records_lost(folder / "data" / lane, generation, told.moved)
    return lost


def _records_lost(folder: Path, generation: int | None, moved: tuple[int, str, int]) -> list[str]:
    told_generation, told_epoch, told_number = moved
    if generation is None or generation < told_generation:
        return [f"the journal named generation {told_generation}, it names {generation}"]
    path = folder / f"records-{generation}.sqlite"
    if not path.exists():
        return [f"{path.name} is named by the journal and is not there"]
    try:
        with _reading(path) as records:
            (fault,) = records.execute("PRAGMA integrity_check").fetchone()
            epoch, number = records.execute("SELECT epoch, number FROM feed").fetchone()
    except sqlite3.Error as error:
        return [f"{path.name} is named by the journal and cannot be read: {error}"]
    if fault != "ok":
        return [f"{path.name}: {fault}"]
    if epoch == told_epoch and number < told_number:
        return [f"{path.name} stood at number {told_number}, it stands at {number}"]
    return []


def _hash(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def _blob(folder: Path, sha256: str) -> Path:
    return folder / "data" / "hub" / "blobs" / sha256[:2] / sha256[2:4] / sha256


def lost_at_the_hub(folder: Path, lane: str, told: Told) -> list[str]:
    """With the hub started again, before it heard anybody."""
    lost = [
        f"picture {sha256[:8]} was said to be stored and is not whole at the hub"
        for sha256 in told.stored
        if _hash(_blob(folder, sha256)) != sha256
    ]
    with _reading(folder / "data" / "hub" / "archive.sqlite") as hub:
        (archive_id,) = hub.execute("SELECT value FROM meta WHERE key = 'archive_id'").fetchone()
        for (archive, epoch, stream), (contiguous, hash_) in told.acked.items():
            if archive != archive_id:
                lost.append(f"archive {archive[:8]} acknowledged facts, it calls itself {archive_id[:8]} now")
                continue
            where = (lane, epoch, stream, contiguous)
            (count,) = hub.execute(
                "SELECT count(*) FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq <= ?", where
            ).fetchone()
            last: tuple[Any, ...] | None = hub.execute(
                "SELECT hash FROM facts WHERE device = ? AND epoch = ? AND stream = ? AND seq = ?", where
            ).fetchone()
            if count != contiguous or last != (hash_,):
                lost.append(
                    f"{epoch[:8]}/{stream} was acknowledged up to {contiguous}, {count} of these are stored"
                )
        scope = hub.execute("SELECT epoch, number, digest FROM scopes").fetchone()
        for epoch, number, digest in told.records:
            if scope is None or scope[0] != epoch or scope[1] < number:
                lost.append(f"records stood at {epoch[:8]}/{number}, they stand at {scope and scope[:2]}")
            elif scope[1] == number and scope[2] != digest:
                lost.append(f"records at {epoch[:8]}/{number} have another digest")
    return lost


def unequal_at_the_end(folder: Path, lane: str, told: Told) -> list[str]:
    """When everything was drained: both ends compared, and every fact that was ever told at the hub once."""
    (folder / "physics.jsonl").touch()
    wrong = [
        f"{row.name}: {mismatch}"
        for row in reconcile(folder).rows
        if row.name in COMPARED
        for mismatch in row.mismatches
    ]
    with _reading(folder / "data" / "hub" / "archive.sqlite") as hub:
        times: dict[str, int] = dict(
            hub.execute(
                "SELECT event_id, count(*) FROM facts WHERE device = ? GROUP BY 1", (lane,)
            ).fetchall()
        )
    wrong += [f"told fact {fact[4]} never reached the hub" for fact in told.facts if fact[4] not in times]
    wrong += [
        f"picture {sha256[:8]} never reached the hub whole"
        for sha256 in told.pictures
        if _hash(_blob(folder, sha256)) != sha256
    ]
    wrong += [f"fact {event_id} is at the hub {n} times" for event_id, n in times.items() if n > 1]
    return wrong
