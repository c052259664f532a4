"""Additive digests: two sets of records are equal when their sums are. Pure; rows may come in any order (G5).

A row's digest is the first 16 bytes of SHA-256 over collection NUL key NUL body (UTF-8), as a big-endian
number. A scope's digest is the sum of its rows modulo 2^128, and is kept in 4,096 buckets by key, so that a
row put or deleted costs one addition, and two sets that differ fetch only the buckets that do.

It finds loss and damage. Against forgery stands the signature over the head that carries it, not the sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_new_sha256 = hashlib.sha256

MODULUS = 1 << 128
BUCKETS = 4096


def row_digest(collection: str, key: str, body: str) -> int:
    """0 to 2^128 - 1, over the exact body text: equal meaning in other bytes is another row."""
    return int.from_bytes(_sha256(collection, key, body)[:16], "big")


def bucket_of(collection: str, key: str) -> int:
    """0 to 4095: the first 12 bits of SHA-256 over collection NUL key."""
    return int.from_bytes(_sha256(collection, key)[:2], "big") >> 4


def move_of(collection: str, key: str, before: bytes | None, after: bytes | None) -> tuple[int, int]:
    """A row's bucket, and what its change adds to the sum; bodies are UTF-8, None is no row.

    The same as `bucket_of` and the difference of two `row_digest`. Each hash is made in one go: going on from
    a copy costs more than hashing a key of some twenty bytes again (measured).
    """
    name = f"{collection}\0{key}".encode()
    hashed = _new_sha256(name).digest()
    bucket = hashed[0] << 4 | hashed[1] >> 4
    name += b"\0"
    moved = 0
    if before is not None:
        moved -= int.from_bytes(_new_sha256(name + before).digest()[:16], "big")
    if after is not None:
        moved += int.from_bytes(_new_sha256(name + after).digest()[:16], "big")
    return bucket, moved


def add_moves(
    moves: dict[int, int], collection: str, rows: Iterable[tuple[str, bytes | None, bytes | None]]
) -> None:
    """`move_of` of many rows of a collection (key, before, after), added to what each bucket moved by."""
    sha256, number_of = hashlib.sha256, int.from_bytes
    first = f"{collection}\0".encode()
    for key, before, after in rows:
        name = first + key.encode()
        hashed = sha256(name).digest()
        bucket = hashed[0] << 4 | hashed[1] >> 4
        name += b"\0"
        moved = moves.get(bucket, 0)
        if before is not None:
            moved -= number_of(sha256(name + before).digest()[:16], "big")
        if after is not None:
            moved += number_of(sha256(name + after).digest()[:16], "big")
        moves[bucket] = moved


def with_row(total: int, digest: int) -> int:
    """The sum after a row came."""
    return (total + digest) % MODULUS


def without_row(total: int, digest: int) -> int:
    """The sum after a row left; for a changed row leave with the old digest and come with the new."""
    return (total - digest) % MODULUS


def to_hex(total: int) -> str:
    """32 lower-case hex digits, as `FeedHead.digest` carries it."""
    return f"{total % MODULUS:032x}"


def from_hex(text: str) -> int:
    """Raises `ValueError` for anything but 32 lower-case hex digits."""
    if len(text) != 32 or any(char not in "0123456789abcdef" for char in text):
        raise ValueError(f"expected 32 lower-case hex digits, got {text[:40]!r}")
    return int(text, 16)


def _sha256(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
