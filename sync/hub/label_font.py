"""A font file cut down to the glyphs a PDF uses, without a font library. Pure.

The file is an OpenType font with CID-keyed CFF outlines (Adobe Technical Notes 5176 and 5177; OpenType's
`cmap`, `hmtx`). Cutting overwrites what is not used with `endchar` and moves nothing: every offset stays
right, and what is left compresses to a tenth.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Final

_ENDCHAR: Final = b"\x0e"
_CHARSET: Final = 15
_CHARSTRINGS: Final = 17
_ESCAPED: Final = 12
MISSING: Final = 0
"""The glyph of what a font has no glyph for."""

_Pieces = list[tuple[int, int]]
"""From and to, in bytes."""


class FontUnreadable(ValueError):
    """Its words name what was expected."""


class LabelFont:
    """One face; sizes in thousandths of an em."""

    def __init__(self, content: bytes) -> None:
        tables = _tables(content)
        self._cff = _of(tables, b"CFF ")
        self._units = _u16(_of(tables, b"head"), 18)
        self._glyphs = dict(_glyph_of(_of(tables, b"cmap")))
        self._widths = _widths(_of(tables, b"hmtx"), _u16(_of(tables, b"hhea"), 34))
        header = self._cff[2]
        names, at = _index(self._cff, header)
        tops, _ = _index(self._cff, at)
        top = _dictionary(self._cff[slice(*tops[0])])
        if _CHARSTRINGS not in top or _CHARSET not in top:
            raise FontUnreadable("expected a CFF font with charstrings and a charset")
        self._outlines, _ = _index(self._cff, top[_CHARSTRINGS])
        self._cids = tuple(_cids(self._cff, top[_CHARSET], len(self._outlines)))
        self.name: Final = self._cff[slice(*names[0])].decode("ascii")

    def glyph(self, letter: str) -> int:
        return self._glyphs.get(ord(letter), MISSING)

    def cid(self, glyph: int) -> int:
        return self._cids[glyph]

    def width(self, glyph: int) -> int:
        return round(self._widths[min(glyph, len(self._widths) - 1)] * 1_000 / self._units)

    def cut_to(self, glyphs: Collection[int]) -> bytes:
        """Its CFF with the outlines of these glyphs; all others are empty."""
        kept = bytearray(self._cff)
        wanted = {MISSING, *glyphs}
        for glyph, (begin, end) in enumerate(self._outlines):
            if glyph not in wanted:
                kept[begin:end] = _ENDCHAR * (end - begin)
        return bytes(kept)


def _tables(content: bytes) -> dict[bytes, bytes]:
    if content[:4] != b"OTTO":
        raise FontUnreadable("expected an OpenType font with CFF outlines")
    found = {}
    for number in range(_u16(content, 4)):
        tag, _, begin, length = struct.unpack_from(">4sLLL", content, 12 + 16 * number)
        found[tag] = content[begin : begin + length]
    return found


def _of(tables: dict[bytes, bytes], tag: bytes) -> bytes:
    if tag not in tables:
        raise FontUnreadable(f"expected a table {tag.decode()}")
    return tables[tag]


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _glyph_of(cmap: bytes) -> Iterator[tuple[int, int]]:
    """Character and glyph, of the table for the basic plane (format 4)."""
    for number in range(_u16(cmap, 2)):
        at = _u32(cmap, 4 + 8 * number + 4)
        if _u16(cmap, at) != 4:
            continue
        doubled = _u16(cmap, at + 6)
        for segment in range(0, doubled, 2):
            last = _u16(cmap, at + 14 + segment)
            first = _u16(cmap, at + 16 + doubled + segment)
            delta = _u16(cmap, at + 16 + 2 * doubled + segment)
            place = at + 16 + 3 * doubled + segment
            offset = _u16(cmap, place)
            for letter in range(first, min(last, 0xFFFE) + 1):
                if offset == 0:
                    yield letter, (letter + delta) & 0xFFFF
                elif glyph := _u16(cmap, place + offset + 2 * (letter - first)):
                    yield letter, (glyph + delta) & 0xFFFF
        return
    raise FontUnreadable("expected a cmap of format 4")


def _widths(hmtx: bytes, count: int) -> tuple[int, ...]:
    return tuple(_u16(hmtx, 4 * number) for number in range(count))


def _index(cff: bytes, at: int) -> tuple[_Pieces, int]:
    """What an INDEX holds, and where it ends."""
    count = _u16(cff, at)
    if count == 0:
        return [], at + 2
    size = cff[at + 2]
    base = at + 3 + (count + 1) * size - 1
    begins = [
        base + int.from_bytes(cff[at + 3 + number * size : at + 3 + (number + 1) * size], "big")
        for number in range(count + 1)
    ]
    return list(pairwise(begins)), begins[-1]


def _dictionary(data: bytes) -> dict[int, int]:
    """Operator and its last operand, where that is whole; escaped operators are 1,200 and more."""
    found: dict[int, int] = {}
    last, at = 0, 0
    while at < len(data):
        first = data[at]
        at += 1
        if first <= 21:
            operator = first
            if first == _ESCAPED:
                operator = 1_200 + data[at]
                at += 1
            found[operator] = last
        elif first == 28:
            last = int.from_bytes(data[at : at + 2], "big", signed=True)
            at += 2
        elif first == 29:
            last = int.from_bytes(data[at : at + 4], "big", signed=True)
            at += 4
        elif first == 30:
            while data[at] & 15 != 15 and data[at] >> 4 != 15:
                at += 1
            at += 1
        elif first <= 246:
            last = first - 139
        else:
            sign = 1 if first <= 250 else -1
            last = sign * ((first - (247 if sign > 0 else 251)) * 256 + data[at] + 108)
            at += 1
    return found


def _cids(cff: bytes, at: int, glyphs: int) -> Iterator[int]:
    """Of each glyph; the first is always 0."""
    form = cff[at]
    if form not in (1, 2):
        raise FontUnreadable(f"expected a charset of format 1 or 2, got {form}")
    at += 1
    yield 0
    told = 1
    while told < glyphs:
        first, left = _u16(cff, at), cff[at + 2] if form == 1 else _u16(cff, at + 2)
        yield from range(first, first + left + 1)
        told += left + 1
        at += 2 + form
