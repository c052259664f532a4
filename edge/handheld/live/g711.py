"""G.711: 16-bit samples <-> one byte each, by mu-law and A-law (ITU-T G.711, 1988). Pure arrays.

Both ways are tables made once from the recommendation's segments: eight of sixteen steps each. Encoding takes
the nearest quantizing value as the recommendation's decision values (tables 1a to 2b) put it.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLES_A_S: Final = 8_000

Samples = NDArray[np.int16]

_MU_BIAS: Final = 33
_MU_MOST: Final = 8_158
"""Of 14 bits: 8,031 is the last quantizing value."""


def to_mu_law(samples: Samples) -> bytes:
    return bytes(_mu_codes()[samples.astype(np.int32) + 32_768])


def from_mu_law(codes: bytes) -> Samples:
    return _mu_values()[np.frombuffer(codes, np.uint8)]


def to_a_law(samples: Samples) -> bytes:
    return bytes(_a_codes()[samples.astype(np.int32) + 32_768])


def from_a_law(codes: bytes) -> Samples:
    return _a_values()[np.frombuffer(codes, np.uint8)]


@cache
def _mu_values() -> Samples:
    """Every code's value: 14 bits, moved up to 16. All bits of a code are sent inverted."""
    codes = np.arange(256, dtype=np.int32) ^ 0xFF
    segment, step = codes >> 4 & 7, codes & 15
    value = ((2 * step + _MU_BIAS) << segment) - _MU_BIAS
    return np.asarray(np.where(codes & 0x80, -value, value) * 4, np.int16)


@cache
def _mu_codes() -> NDArray[np.uint8]:
    """Of every 16-bit sample, from -32,768 on."""
    samples = np.arange(-32_768, 32_768, dtype=np.int32)
    # 14 bits, cut off towards minus infinity as the reference coder does; the sign's code keeps -0 apart.
    fourteen = samples >> 2
    negative = fourteen < 0
    size = np.minimum(np.where(negative, -fourteen, fourteen), _MU_MOST) + _MU_BIAS
    segment = np.searchsorted(np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF]), size)
    code = segment << 4 | (size >> (segment + 1)) & 15
    return np.asarray(code ^ np.where(negative, 0x7F, 0xFF), np.uint8)


@cache
def _a_values() -> Samples:
    """Every code's value: 13 bits, moved up to 16. Even bits of a code are sent inverted."""
    codes = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = codes >> 4 & 7, codes & 15
    low = (step << 4) + 8
    value = np.where(segment == 0, low, (low + 0x100) << np.maximum(segment - 1, 0))
    return np.asarray(np.where(codes & 0x80, value, -value), np.int16)


@cache
def _a_codes() -> NDArray[np.uint8]:
    samples = np.arange(-32_768, 32_768, dtype=np.int32)
    thirteen = samples >> 3
    negative = thirteen < 0
    size = np.where(negative, -thirteen - 1, thirteen)
    segment = np.searchsorted(np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF]), size)
    step = np.where(segment < 2, size >> 1, size >> np.maximum(segment, 1)) & 15
    return np.asarray((segment << 4 | step) ^ np.where(negative, 0x55, 0xD5), np.uint8)
