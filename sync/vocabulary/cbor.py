"""CBOR bytes -> plain values, of the small strict part that signed slips use (RFC 8949). Reads only.

Whole numbers, bytes, text, arrays, maps with whole numbers as keys, and named tags; each in its one shortest
form, so that two different byte strings are never the same value. No floats, no simple values, no indefinite
lengths, no key twice. General decoders make objects of tags and take the last of two equal keys: what comes
off a piece of paper has no use for either.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.vocabulary.codec import Malformed

MAX_DEPTH = 6
MAX_BYTES = 2_048
_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_SHORTEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}


@dataclass(frozen=True, slots=True)
class Tagged:
    tag: int
    value: Value


Value = int | bytes | str | list["Value"] | dict[int, "Value"] | Tagged


def read(data: bytes) -> Value:
    """One value that fills all of `data`. Raises `Malformed`, whatever the bytes."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"CBOR: {len(data)} bytes, expected at most {MAX_BYTES}")
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise Malformed(f"CBOR: {len(data) - end} bytes behind the end of the value")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise Malformed(f"CBOR: deeper than {MAX_DEPTH}")
    if at >= len(data):
        raise Malformed("CBOR: ends in the middle of a value")
    kind = data[at] >> 5
    number, at = _number(data, at)
    match kind:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2:
            return _run(data, at, number)
        case 3:
            raw, at = _run(data, at, number)
            try:
                return raw.decode(), at
            except UnicodeDecodeError as error:
                raise Malformed("CBOR: text that is not UTF-8") from error
        case 4:
            return _array(data, at, number, depth)
        case 5:
            return _map(data, at, number, depth)
        case 6:
            value, at = _item(data, at, depth + 1)
            return Tagged(number, value), at
        case _:
            raise Malformed("CBOR: floats and simple values are not used here")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The head's argument, in its shortest form."""
    short = data[at] & 0x1F
    at += 1
    if short < 24:
        return short, at
    if short not in _LENGTHS:
        raise Malformed("CBOR: indefinite lengths are not used here")
    end = at + _LENGTHS[short]
    if end > len(data):
        raise Malformed("CBOR: ends in the middle of a value")
    number = int.from_bytes(data[at:end])
    if number < _SHORTEST[short]:
        raise Malformed("CBOR: a number longer than it need be")
    return number, end


def _run(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if length > len(data) - at:
        raise Malformed("CBOR: ends in the middle of a value")
    return data[at : at + length], at + length


def _array(data: bytes, at: int, length: int, depth: int) -> tuple[Value, int]:
    items: list[Value] = []
    for _ in range(_fits(data, at, length)):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, length: int, depth: int) -> tuple[Value, int]:
    entries: dict[int, Value] = {}
    for _ in range(_fits(data, at, 2 * length) // 2):
        key, at = _item(data, at, depth + 1)
        if not isinstance(key, int):
            raise Malformed("CBOR: expected whole numbers as keys of a map")
        if key in entries:
            raise Malformed(f"CBOR: key {key} twice in one map")
        entries[key], at = _item(data, at, depth + 1)
    return entries, at


def _fits(data: bytes, at: int, count: int) -> int:
    """Every value takes a byte: more values than bytes cannot be."""
    if count > len(data) - at:
        raise Malformed("CBOR: ends in the middle of a value")
    return count
