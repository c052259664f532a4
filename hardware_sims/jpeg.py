"""Pictures into JPEG, as a camera's chip does it: baseline, 4:2:0, the tables of the standard. Numpy alone.

ITU-T T.81 Annexes A, C, F and K; JFIF 1.02.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(rows, columns, 3): red, green, blue."""

# Annex K.1, in rows.
LUMINANCE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMINANCE: Final = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip

# Annex K.3: how many codes of each length from 1 to 16, and what they stand for.
_DC_LUMINANCE: Final = (bytes.fromhex("00010501010101010100000000000000"), bytes(range(12)))
_DC_CHROMINANCE: Final = (bytes.fromhex("00030101010101010101010000000000"), bytes(range(12)))
_AC_LUMINANCE: Final = (
    bytes.fromhex("0002010303020403050504040000017d"),
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728"
        "292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
        "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
)
_AC_CHROMINANCE: Final = (
    bytes.fromhex("00020102040403040705040400010277"),
    bytes.fromhex(
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a26"
        "2728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a828384858687"
        "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9da"
        "e2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)

_BLOCKS: Final = 6
"""Of a 16 x 16 unit: four of luminance, two of chrominance."""


class _Codes(NamedTuple):
    code: NDArray[np.int64]
    """By symbol."""
    length: NDArray[np.int64]


def encode(picture: Picture, *, quality: int = 75) -> bytes:
    """A whole JPEG file. `quality` from 1 to 100, as the Independent JPEG Group scales it."""
    rows, columns, _ = picture.shape
    tables = quantisation(quality)
    coefficients = _coefficients(picture, tables)
    return b"".join(
        (
            b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
            *(_segment(0xDB, bytes([number]) + table) for number, table in enumerate(tables)),
            _segment(0xC0, struct.pack(">BHHB", 8, rows, columns, 3) + bytes.fromhex("012200 021101 031101")),
            *(
                _segment(0xC4, bytes([place]) + counts + symbols)
                for place, (counts, symbols) in (
                    (0x00, _DC_LUMINANCE),
                    (0x10, _AC_LUMINANCE),
                    (0x01, _DC_CHROMINANCE),
                    (0x11, _AC_CHROMINANCE),
                )
            ),
            _segment(0xDA, bytes.fromhex("03 0100 0211 0311 003f00")),
            _scan(coefficients),
            b"\xff\xd9",
        )
    )


def quantisation(quality: int) -> tuple[bytes, bytes]:
    """(luminance, chrominance) tables, each 64 bytes in zigzag order."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    order = _zigzag()
    return (
        bytes(min(255, max(1, (LUMINANCE[place] * scale + 50) // 100)) for place in order),
        bytes(min(255, max(1, (CHROMINANCE[place] * scale + 50) // 100)) for place in order),
    )


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@cache
def _zigzag() -> tuple[int, ...]:
    """Places of an 8 x 8 block, rows one after another, in the order they are sent."""

    def key(place: int) -> tuple[int, int]:
        row, column = divmod(place, 8)
        return row + column, row if (row + column) % 2 else column

    return tuple(sorted(range(64), key=key))


@cache
def _cosines() -> NDArray[np.float32]:
    k, n = np.mgrid[0:8, 0:8]
    basis = (np.cos((2 * n + 1) * k * np.pi / 16) / 2).astype(np.float32)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, np.float32)


def _coefficients(picture: Picture, tables: tuple[bytes, bytes]) -> NDArray[np.int64]:
    """(blocks in the order they are sent, 64 in zigzag order), quantised."""
    rows, columns, _ = picture.shape
    padded = np.pad(picture, ((0, -rows % 16), (0, -columns % 16), (0, 0)), mode="edge").astype(np.float32)
    red, green, blue = padded[..., 0], padded[..., 1], padded[..., 2]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    high, wide = light.shape[0] // 16, light.shape[1] // 16
    units = np.empty((high, wide, _BLOCKS, 8, 8), np.float32)
    quarters = (light - 128).reshape(high, 2, 8, wide, 2, 8).transpose(0, 3, 1, 4, 2, 5)
    units[:, :, :4] = quarters.reshape(high, wide, 4, 8, 8)
    for number, (colour, share) in enumerate(((blue, 0.564), (red, 0.713)), start=4):
        halved = ((colour - light) * share).reshape(high * 8, 2, wide * 8, 2).mean(axis=(1, 3))
        units[:, :, number] = halved.reshape(high, 8, wide, 8).transpose(0, 2, 1, 3)
    basis = _cosines()
    seen = (basis @ units @ basis.T).reshape(high * wide, _BLOCKS, 64)[..., list(_zigzag())]
    steps = np.frombuffer(tables[0] * 4 + tables[1] * 2, np.uint8).reshape(_BLOCKS, 64)
    return np.rint(seen / steps).astype(np.int64).reshape(-1, 64)


def _huffman(table: tuple[bytes, bytes]) -> _Codes:
    """Annex C: codes of each symbol from the counts of each length."""
    counts, symbols = table
    codes = _Codes(np.zeros(256, np.int64), np.zeros(256, np.int64))
    code = place = 0
    for length, count in enumerate(counts, start=1):
        for symbol in symbols[place : place + count]:
            codes.code[symbol], codes.length[symbol] = code, length
            code += 1
        place += count
        code <<= 1
    return codes


@cache
def _tables() -> tuple[_Codes, _Codes]:
    """(DC, AC) codes; those of chrominance stand 256 places behind those of luminance."""
    light_dc, colour_dc = _huffman(_DC_LUMINANCE), _huffman(_DC_CHROMINANCE)
    light_ac, colour_ac = _huffman(_AC_LUMINANCE), _huffman(_AC_CHROMINANCE)
    return (
        _Codes(*(np.concatenate(pair) for pair in zip(light_dc, colour_dc, strict=True))),
        _Codes(*(np.concatenate(pair) for pair in zip(light_ac, colour_ac, strict=True))),
    )


def _sizes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits each magnitude takes."""
    return np.asarray(np.ceil(np.log2(np.abs(values) + 1)), np.int64)


def _scan(coefficients: NDArray[np.int64]) -> bytes:
    """Annex F.1: all blocks as Huffman codes."""
    dc_codes, ac_codes = _tables()
    count = len(coefficients)
    blocks = np.arange(count)
    colours = (blocks % _BLOCKS >= 4) * 256

    means = coefficients[:, 0].reshape(-1, _BLOCKS)
    changes = np.empty_like(means)
    changes[:, :4] = np.diff(means[:, :4].reshape(-1), prepend=0).reshape(-1, 4)
    for number in (4, 5):
        changes[:, number] = np.diff(means[:, number], prepend=0)
    change = changes.reshape(-1)
    parts = [_written(blocks * 1000, dc_codes, colours + _sizes(change), change, _sizes(change))]

    block, k = np.nonzero(coefficients[:, 1:])
    k += 1
    before = np.concatenate(([0], k[:-1]))
    first = np.concatenate(([True], block[1:] != block[:-1])) if len(block) else np.zeros(0, bool)
    run = k - np.where(first, 0, before[: len(k)]) - 1
    value = coefficients[block, k]
    size = _sizes(value)
    at = block * 1000 + k * 10
    parts.append(_written(at + 5, ac_codes, colours[block] + (run % 16) * 16 + size, value, size))
    for sixteen in range(3):
        long = run >= 16 * (sixteen + 1)
        none = np.zeros(int(long.sum()), np.int64)
        parts.append(_written(at[long] + sixteen, ac_codes, colours[block[long]] + 0xF0, none, none))
    ended = coefficients[:, 63] == 0
    none = np.zeros(int(ended.sum()), np.int64)
    parts.append(_written(blocks[ended] * 1000 + 990, ac_codes, colours[ended], none, none))

    at, code, length = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.argsort(at, kind="stable")
    return _packed(code[order], length[order])


def _written(
    at: NDArray[np.int64],
    codes: _Codes,
    symbol: NDArray[np.int64],
    value: NDArray[np.int64],
    size: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(place in the scan, code with the value's bits behind it, bits of both)."""
    bits = np.where(value < 0, value + (1 << size) - 1, value)
    return at, codes.code[symbol] << size | bits, codes.length[symbol] + size


def _packed(code: NDArray[np.int64], length: NDArray[np.int64]) -> bytes:
    ends = np.cumsum(length)
    total = int(ends[-1])
    place = np.arange(total) - np.repeat(ends - length, length)
    bits = (np.repeat(code, length) >> (np.repeat(length, length) - 1 - place)) & 1
    whole = np.concatenate((bits, np.ones(-total % 8, np.int64))).astype(np.uint8)
    return np.packbits(whole).tobytes().replace(b"\xff", b"\xff\x00")
