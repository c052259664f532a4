"""Lots for double-random inspection (双随机): which goods, and which officers, by a seed anybody can repeat.

Pure: no clock, no chance but the seed. The same seed over the same urn gives the same lots, in whatever order
the urn is told. To reproduce: HMAC-SHA256 with the seed's bytes over the UTF-8 bytes of

    kakou/lots/v1 LF goods LF number

for every number in the urn; the numbers with the smallest digests are drawn, the smallest first. Officers of
a lot are ranked by HMAC over `kakou/lots/v1 LF officer LF number of the goods LF officer number`; of those
with the fewest lots of this draw so far the first ones are taken. With the 32 bytes 00 01 … 1f as the seed
and SF1 to SF9 in the urn, three lots are SF9, SF8 and SF5.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_PURPOSE = "kakou/lots/v1"
SEED_DIGITS = 64


def new_seed() -> str:
    """64 hex digits, from the system's own chance."""
    return secrets.token_hex(SEED_DIGITS // 2)


@dataclass(frozen=True, slots=True)
class Drawn:
    """`sha256` is over the whole urn, its numbers sorted, each followed by a line feed."""

    lots: tuple[str, ...]
    held: int
    """How many were in the urn."""
    sha256: str


def draw_goods(seed: str, urn: Iterable[str], count: int) -> Drawn:
    """`urn` sorted and without doubles; it is gone through once, so that it may be very large. Raises
    `ValueError` on a seed that is no hex, an urn out of order, or less than one lot."""
    if count < 1:
        raise ValueError(f"expected at least one lot to draw, got {count}")
    key = bytes.fromhex(seed)
    counted = _Counted(urn)
    lots = heapq.nsmallest(count, ((_rank(key, "goods", number), number) for number in counted))
    return Drawn(tuple(number for _, number in lots), counted.held, counted.sha256.hexdigest())


def draw_officers(
    seed: str, goods: Sequence[str], officers: Sequence[str], each: int
) -> list[tuple[str, ...]]:
    """For every lot so many different officers, the work shared out evenly. Raises `ValueError` where there
    are fewer."""
    if len(set(officers)) < each:
        raise ValueError(f"expected at least {each} officers to draw from, got {len(set(officers))}")
    key = bytes.fromhex(seed)
    lots_of = dict.fromkeys(sorted(set(officers)), 0)
    drawn: list[tuple[str, ...]] = []
    for number in goods:
        ranked = sorted(lots_of, key=lambda who: (lots_of[who], _rank(key, "officer", f"{number}\n{who}")))
        taken = tuple(ranked[:each])
        for who in taken:
            lots_of[who] += 1
        drawn.append(taken)
    return drawn


def sha256_of(numbers: Iterable[str]) -> str:
    counted = _Counted(sorted(set(numbers)))
    for _ in counted:
        pass
    return counted.sha256.hexdigest()


class _Counted:
    """Passes numbers on, counted and hashed."""

    def __init__(self, numbers: Iterable[str]) -> None:
        self._numbers = numbers
        self.held = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        last = ""
        for number in self._numbers:
            if number <= last or "\n" in number:
                raise ValueError(f"expected numbers in order and without doubles, got {number[:40]!r}")
            last = number
            self.held += 1
            self.sha256.update(f"{number}\n".encode())
            yield number


def _rank(key: bytes, what: str, number: str) -> bytes:
    return hmac.digest(key, f"{_PURPOSE}\n{what}\n{number}".encode(), "sha256")
