"""Values <-> JSON bytes, strictly. One place knows how our own string types travel.

Every number-like value of ours (a plate, a slip number …) is a `str` that checks itself when it is made, so
decoding a message is also the proof that its fields are well formed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Malformed(ValueError):
    """The bytes are not what was expected; the text names the field and the expectation."""


def _enc_hook(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _dec_hook(kind: type, value: Any) -> Any:
    if issubclass(kind, str):
        if value.__class__ is not str:
            raise ValueError(f"expected a string for {kind.__name__}")
        return kind(value)
    raise NotImplementedError(f"no decoder for {kind.__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook, decimal_format="string")


def to_json(value: object) -> bytes:
    """Compact JSON, fields in declared order. The same value always gives the same bytes."""
    return _encoder.encode(value)


def decoder(kind: type[T]) -> Callable[[bytes | str], T]:
    """A reusable decoder for hot paths. The callable raises `Malformed`."""
    inner: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, dec_hook=_dec_hook)

    def decode(data: bytes | str) -> T:
        try:
            # msgspec skips unknown fields without a look whether they are UTF-8; storing the text would fail
            return inner.decode(data if isinstance(data, str) else data.decode())
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise Malformed(f"{getattr(kind, '__name__', kind)}: {error}") from error

    return decode


def strict_decoder(kind: type[T]) -> Callable[[bytes | str], T]:
    """As `decoder`, for whole messages: also refuses a key that stands twice, and NUL inside text."""
    read = decoder(kind)
    name = getattr(kind, "__name__", kind)

    def decode(data: bytes | str) -> T:
        value = read(data)
        problem = ambiguity(data if isinstance(data, str) else data.decode(), value)
        if problem:
            raise Malformed(f"{name}: {problem}")
        return value

    return decode


def ambiguity(text: str, value: object) -> str:
    """Why readers of `text`, which was read as `value`, need not agree on what it says; empty where they do.

    JSON leaves open which of two equal keys counts, and many programs end a text at NUL.
    """
    if "\\u0000" in text and _NUL.search(text) is not None:
        return "a NUL character in a text"
    return double_key(text, value)


def double_key(text: str, value: object) -> str:
    """Which key stands twice in one object of `text`, which was read as `value`; empty where none does."""
    if to_json(value) == text.encode():
        # What we would have written ourselves has every key once.
        return ""
    try:
        _every_key_once.decode(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return ""


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)[:40]!r} stands twice")


_every_key_once = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def checker(kind: type[T], key: Callable[[T], str]) -> Callable[[list[str]], list[str]]:
    """For many texts of one kind at once: all are decoded and validated as by `decoder`, and of each what
    `key` says is answered. The callable raises `Malformed`, without saying which."""
    decode = msgspec.json.Decoder(kind, dec_hook=_dec_hook).decode

    def check(texts: list[str]) -> list[str]:
        try:
            return [key(decode(text)) for text in texts]
        except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as error:
            raise Malformed(f"{getattr(kind, '__name__', kind)}: {error}") from error

    return check


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Decode and validate. Raises `Malformed`."""
    return decoder(kind)(data)


def read_or_none(body: bytes | str | None, kind: type[T]) -> T | None:
    """A record that may not be there, or not be readable by this version."""
    try:
        return None if body is None else from_json(body, kind)
    except Malformed:
        return None


def to_builtins(value: object) -> Any:
    """Plain dicts and lists, for tables and `--json` output."""
    return msgspec.to_builtins(value, enc_hook=_enc_hook, str_keys=True)
