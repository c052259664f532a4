"""The archive's records beside those of a device's file: equal, or which rows are not. Writes nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sync.hub.archive import Archive
from sync.policy.digests import BUCKETS, MODULUS, move_of, to_hex
from sync.store.records import Records


class ScopeUnknown(LookupError):
    """The archive has no such scope; the text names those it has."""


class Difference(enum.StrEnum):
    ONLY_HUB = "only_hub"
    ONLY_EDGE = "only_edge"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class DifferentRow:
    difference: Difference
    collection: str
    key: str
    hub: str
    """The exact body at the hub, empty where it has none."""
    edge: str


@dataclass(frozen=True, slots=True)
class RecordsDigest:
    """What a set of records says of itself (`kept`), and what its rows really sum up to."""

    scope: str
    epoch: str
    number: int
    rows: int
    digest: str
    kept_rows: int
    kept_digest: str
    wrong_buckets: int = 0
    """Kept bucket sums that are not those of the rows: a repair by buckets would fetch the wrong ones."""

    @property
    def sound(self) -> bool:
        return (self.rows, self.digest, 0) == (self.kept_rows, self.kept_digest, self.wrong_buckets)


def hub_digest(archive: Archive, scope: str) -> RecordsDigest:
    """Count and digest of a scope, taken from its rows. Raises `ScopeUnknown`."""
    with archive.snapshot():
        state = archive.scope(scope)
        if state is None:
            known = ", ".join(row.scope for row in archive.scopes()) or "none"
            raise ScopeUnknown(f"scope {scope!r} is not in {archive.place}; there are: {known}")
        rows, digest, buckets = _sum(archive.record_rows(scope))
        kept = archive.bucket_sums(scope)
    # None: from before there were buckets; the hub takes them from the rows when it next needs them.
    wrong = 0 if kept is None else _differing(buckets, kept)
    return RecordsDigest(scope, state.epoch, state.number, rows, digest, state.rows, state.digest, wrong)


def edge_digest(path: Path) -> RecordsDigest:
    """Count and digest of a device's `records-<n>.sqlite`. Raises `sync.store.opening.StoreRefused`."""
    with Records.open(path) as records, records.snapshot() as state:
        rows, digest, buckets = _sum(records.all_rows())
        wrong = _differing(buckets, records.digest_parts())
    return RecordsDigest(
        state.scope, state.epoch, state.number, rows, digest, state.rows, state.digest, wrong
    )


def different_rows(archive: Archive, scope: str, path: Path) -> Iterator[DifferentRow]:
    """Rows that are not the same on both sides, collection by collection, sorted by key.

    Meaningful as an error only at equal epoch and number; before that it shows what is still on its way.
    """
    with Records.open(path) as records, archive.snapshot(), records.snapshot():
        hub = archive.record_rows(scope)
        edge = sorted(records.all_rows())
        yield from _merge(hub, iter(edge))


def _sum(rows: Iterator[tuple[str, str, str]]) -> tuple[int, str, list[int]]:
    """Count, digest and bucket sums of rows."""
    count = 0
    buckets = [0] * BUCKETS
    for collection, key, body in rows:
        count += 1
        bucket, digest = move_of(collection, key, None, body.encode())
        buckets[bucket] += digest
    return count, to_hex(sum(buckets)), buckets


def _differing(buckets: Sequence[int], kept: Sequence[int]) -> int:
    return sum((ours - theirs) % MODULUS != 0 for ours, theirs in zip(buckets, kept, strict=True))


def _merge(
    hub: Iterator[tuple[str, str, str]], edge: Iterator[tuple[str, str, str]]
) -> Iterator[DifferentRow]:
    left, right = next(hub, None), next(edge, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[:2] < right[:2]):
            assert left is not None  # noqa: S101  the loop ended otherwise
            yield DifferentRow(Difference.ONLY_HUB, left[0], left[1], left[2], "")
            left = next(hub, None)
        elif left is None or right[:2] < left[:2]:
            yield DifferentRow(Difference.ONLY_EDGE, right[0], right[1], "", right[2])
            right = next(edge, None)
        else:
            if left[2] != right[2]:
                yield DifferentRow(Difference.CHANGED, left[0], left[1], left[2], right[2])
            left, right = next(hub, None), next(edge, None)
