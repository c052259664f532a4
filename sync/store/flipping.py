"""Which bit of a text was flipped, where one was: by trying each until the hash is right again. Pure."""

from __future__ import annotations

import hashlib
import json
import re

MAX_BYTES = 4_096
"""A longer text is not tried: the time grows with the square of it."""
MOST_TRIED = 32
"""Texts of one file: where more were changed, no bit fell over by itself."""

_decoder = json.JSONDecoder()
_KEY = re.compile(r'"([^"\\]{1,40})"\s*:')


class Flips:
    """Looks for flipped bits in the texts of one file, as long as there are few."""

    def __init__(self) -> None:
        self._tried = 0

    def where(self, body: str | bytes, expected_hash: str) -> str:
        self._tried += 1
        return where_flipped(body, expected_hash) if self._tried <= MOST_TRIED else ""


def where_flipped(body: str | bytes, expected_hash: str) -> str:
    """Such as `, one bit flipped in time (byte 210), it was "2026-…"`; empty where no single bit explains
    it."""
    data = bytearray(body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
    if len(data) > MAX_BYTES:
        return ""
    true_hash = hashlib.sha256(data).hexdigest()
    if sum(a != b for a, b in zip(true_hash, expected_hash, strict=False)) == 1:
        return ", its row's own hash was changed"
    for offset in range(len(data)):
        for bit in range(8):
            data[offset] ^= 1 << bit
            if hashlib.sha256(data).hexdigest() == expected_hash:
                return f", one bit flipped{_field(data.decode('utf-8', 'replace'), offset)}"
            data[offset] ^= 1 << bit
    return ""


def _field(text: str, offset: int) -> str:
    """The last key that begins before that byte, and what stood under it."""
    inside = [match for match in _KEY.finditer(text) if len(text[: match.start()].encode()) <= offset]
    if not inside:
        return f" at byte {offset}"
    try:
        value, _ = _decoder.raw_decode(text, inside[-1].end())
        told = json.dumps(value, ensure_ascii=False)[:60]
    except ValueError:
        told = "not to be read alone"
    return f" in {inside[-1][1]} (byte {offset}), it was {told}"
