"""Proving what the archive holds of its devices, and exporting a piece of it with its signature (G6). Reads
only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import STORAGE_ERRORS, Archive, KeptFact
from sync.hub.terms import Refused
from sync.hub.trusts import Trusts
from sync.link.envelope import reader
from sync.link.keys import Forged, verify
from sync.link.messages import Checkpoint, Context, Signed
from sync.link.segments import SegmentRun, run_of
from sync.store.flipping import Flips
from sync.store.verify import SignedHead
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import GENESIS, FactBody, Stream, kind_of, read_body

MAX_PROBLEMS = 1_000
_read_checkpoint = reader(Checkpoint)


class NothingToExport(LookupError):
    """No such facts, or none that a signature covers; the text says which."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which facts: device-wide positions, both included, or one passage."""

    first: int = 1
    last: int = 2**62
    passage: int | None = None


def keys_of(archive: Archive, device: str) -> dict[str, Ed25519PublicKey]:
    """Every key the device has been believed with. Empty where it is not enrolled."""
    try:
        return dict(Trusts(archive).of(device, even_revoked=True).keys)
    except Refused:
        return {}


def verify_archive(archive: Archive, device: str | None = None) -> list[str]:
    """Everything wrong with the facts of one device, or of all; each named exactly."""
    problems: list[str] = []
    flips = Flips()
    with archive.snapshot():
        for name in [device] if device else archive.speakers():
            for problem in _device_problems(archive, name, flips):
                problems.append(f"{name} {problem}")
                if len(problems) >= MAX_PROBLEMS:
                    return [*problems, f"and more: stopped after {MAX_PROBLEMS} problems"]
    return problems


def _device_problems(archive: Archive, device: str, flips: Flips) -> Iterator[str]:
    keys = keys_of(archive, device)
    if not keys:
        yield "is not enrolled: no signature of it can be checked"
    signed = _signed_heads(archive, device, keys)
    for epoch, stream in archive.streams_of(device):
        name = f"epoch {epoch[:8]} {stream.value}"
        held: dict[int, str] = {}
        before: tuple[int, str] = (0, GENESIS)
        for fact in _each_fact(archive, device, epoch, stream):
            if isinstance(fact, int):
                yield f"{name} {fact}: changed, its row can no longer be read as text"
                before = (fact, "")
                continue
            if fact.seq != before[0] + 1:
                first, last = before[0] + 1, fact.seq - 1
                yield f"{name} {first if first == last else f'{first}..{last}'}: missing"
            true_hash = hashlib.sha256(fact.body.encode("utf-8", "surrogatepass")).hexdigest()
            yield from (f"{name} {fact.seq}: {why}" for why in _fact_problems(fact, true_hash, flips))
            said = _said(fact)
            if said is not None and fact.seq == before[0] + 1 and before[1] and said.prev != before[1]:
                yield f"{name} {fact.seq}: does not follow {before[0]}, it names {said.prev[:16]} before it"
            before = (fact.seq, fact.hash)
            if fact.seq in signed.get((epoch, stream), {}):
                held[fact.seq] = true_hash
        for seq, (head_hash, why) in sorted(signed.get((epoch, stream), {}).items()):
            if why:
                yield f"{name} {seq}: {why}"
            elif seq > before[0]:
                gone = f"{before[0] + 1}..{seq}: missing, removed from the end"
                yield f"{name} {gone}: the device signed for {seq}"
                break
            elif seq in held and held[seq] != head_hash:
                yield f"{name} {seq}: is {held[seq][:16]}, the device signed for {head_hash[:16]}"


def _each_fact(archive: Archive, device: str, epoch: str, stream: Stream) -> Iterator[KeptFact | int]:
    """Facts in order; of a row whose text is none any more, only its number."""
    last = 0
    try:
        for fact in archive.facts_between(device, epoch, stream):
            last = fact.seq
            yield fact
    except STORAGE_ERRORS:
        for seq in archive.seqs_of(device, epoch, stream):
            if seq > last:
                yield from _one_fact(archive, device, epoch, stream, seq)


def _one_fact(
    archive: Archive, device: str, epoch: str, stream: Stream, seq: int
) -> Iterator[KeptFact | int]:
    try:
        yield from list(archive.facts_between(device, epoch, stream, seq, seq))
    except STORAGE_ERRORS:
        yield seq


def fact_problems(fact: KeptFact) -> Iterator[str]:
    """What is wrong with one row by itself: bytes that are not its hash, columns that are not its bytes."""
    return _fact_problems(
        fact, hashlib.sha256(fact.body.encode("utf-8", "surrogatepass")).hexdigest(), Flips()
    )


def _fact_problems(fact: KeptFact, true_hash: str, flips: Flips) -> Iterator[str]:
    if true_hash != fact.hash:
        where = flips.where(fact.body, fact.hash)
        yield f"changed, its bytes hash to {true_hash[:16]}, its row says {fact.hash[:16]}{where}"
        return
    said = _said(fact)
    if said is None:
        return
    columns = {
        "seq": (fact.seq, said.seq),
        "position": (fact.position, said.position),
        "event_id": (fact.event_id, said.event_id),
        "kind": (fact.kind, kind_of(said.data)),
        "passage": (fact.passage, getattr(said.data, "passage", None)),
        "time": (fact.time, said.time),
    }
    for column, (stored, told) in columns.items():
        if stored != told:
            yield f"changed, its row says {column} {stored!r} and its body {told!r}"


def _said(fact: KeptFact) -> FactBody | None:
    """None where it is of a kind or version not known here, or spoilt."""
    try:
        return read_body(fact.body)
    except Malformed:
        return None


def _signed_heads(
    archive: Archive, device: str, keys: Mapping[str, Ed25519PublicKey]
) -> dict[tuple[str, Stream], dict[int, tuple[str, str]]]:
    """What the device signed for: (epoch, stream) -> number -> (hash, what is wrong with the checkpoint)."""
    heads: dict[tuple[str, Stream], dict[int, tuple[str, str]]] = {}
    for kept in archive.checkpoints_of(device):
        why = ""
        try:
            checkpoint = _read_checkpoint(verify(keys, kept, Context.CHECKPOINT) if keys else kept.body)
        except Forged as error:
            why = f"the checkpoint over it was changed ({error})"
            try:
                checkpoint = _read_checkpoint(kept.body)
            except Malformed:
                continue
        except Malformed:
            continue
        for head in checkpoint.heads:
            known = heads.setdefault((checkpoint.epoch, head.stream), {})
            if head.seq not in known or known[head.seq][1]:
                known[head.seq] = (head.hash, why)
    return heads


def signed_heads(archive: Archive, device: str) -> list[SignedHead]:
    """The last fact of each stream the device signed for, by checkpoints that its key holds for."""
    with archive.snapshot():
        found = _signed_heads(archive, device, keys_of(archive, device))
    heads: list[SignedHead] = []
    for (epoch, stream), known in found.items():
        good = [seq for seq, (_, why) in known.items() if not why and seq]
        if good:
            heads.append(SignedHead(epoch, stream, max(good), known[max(good)][0]))
    return heads


# --- segments ---------------------------------------------------------------------------------------------


def archive_runs(archive: Archive, device: str, wanted: Wanted) -> list[SegmentRun]:
    """What is wanted, each stream up to the first fact behind it that the device signed for. Raises
    `NothingToExport`."""
    keys = keys_of(archive, device)
    with archive.snapshot():
        found = archive.ranges_of(device, wanted.first, wanted.last, wanted.passage)
        if not found:
            raise NothingToExport(f"{device} has no such facts in {archive.place}")
        return [
            signed_run(archive, device, epoch, stream, first, last, keys)
            for epoch, stream, first, last in found
        ]


def signed_run(
    archive: Archive,
    device: str,
    epoch: str,
    stream: Stream,
    first: int,
    last: int,
    keys: Mapping[str, Ed25519PublicKey],
) -> SegmentRun:
    """These facts, and those behind them up to the next the device signed for. Raises `NothingToExport`."""
    at = next((each.position for each in archive.facts_between(device, epoch, stream, last, last)), 1)
    # From the fact's own position on: there are as many checkpoints as the device ever sent batches. All of
    # them only where that finds none, as when the row's position was changed.
    best = _covering(archive, device, epoch, stream, last, keys, at)
    best = best or _covering(archive, device, epoch, stream, last, keys, 0)
    if best is None:
        raise NothingToExport(
            f"{device} {epoch[:8]} {stream.value} {last}: no checkpoint here that its key holds for covers it"
        )
    bodies = [fact.body for fact in archive.facts_between(device, epoch, stream, first, best[0])]
    return run_of(epoch, stream, bodies, best[1])


def _covering(
    archive: Archive,
    device: str,
    epoch: str,
    stream: Stream,
    last: int,
    keys: Mapping[str, Ed25519PublicKey],
    position: int,
) -> tuple[int, Signed] | None:
    """The first checkpoint over this fact that a key holds for, and the number of the stream it is over."""
    for kept in archive.checkpoints_from(device, epoch, position):
        try:
            checkpoint = _read_checkpoint(verify(keys, kept, Context.CHECKPOINT))
        except (Forged, Malformed):
            continue
        for head in checkpoint.heads:
            if head.stream is stream and head.seq >= last:
                return head.seq, kept
    return None
