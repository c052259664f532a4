"""Values <-> plain JSON values, by their types alone: for recordings, and to compare what was with what is.

Knows no type of a program. A dataclass or struct becomes a table that names its class under `is`; on the
way back the annotations say what was meant. A field this version has and the table lacks takes its default;
one the table has and this version lacks is left out and told to whoever asked.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, Union

import msgspec

KIND: Final = "is"


class NotThisShape(ValueError):
    """The plain value cannot be a value of that type; the text says where and what was expected."""


# --- there ---


def plain(value: object) -> Any:
    """Lists, tables, strings, numbers. Raises `TypeError` for what is no value (a function, an open file)."""
    make = _MAKERS.get(type(value))
    if make is not None:
        return make(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, frozenset | set):
        return sorted(plain(each) for each in value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    kind: Any = type(value)
    names = fields_of(kind)
    if names is None:
        raise TypeError(f"{kind.__name__} has no plain form")
    table: dict[str, Any] = {KIND: kind.__name__}
    for name in names:
        table[name] = plain(getattr(value, name))
    return table


def _same(value: Any) -> Any:
    return value


def _text_of_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _float(value: float) -> float | str:
    # JSON has no word for them.
    return value if math.isfinite(value) else str(value)


_MAKERS: Final[dict[type, Callable[[Any], Any]]] = {
    bool: _same,
    int: _same,
    str: _same,
    type(None): _same,
    float: _float,
    Decimal: str,
    bytes: _text_of_bytes,
}


@cache
def fields_of(kind: Any) -> tuple[str, ...] | None:
    """Field names of a dataclass or struct; None for any other type."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, msgspec.Struct):
        return tuple(kind.__struct_fields__)
    return None


@cache
def hints_of(kind: Any) -> Mapping[str, Any]:
    """Annotations of a dataclass or struct, resolved."""
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in fields_of(kind) or ()}


# --- and back ---


def value_of(kind: Any, given: Any, where: str = "", left_out: Callable[[str], None] | None = None) -> Any:
    """The value of type `kind` that `plain` made `given` of. Raises `NotThisShape`.

    `left_out("Class.field")` is told of every field that this version does not have.
    """
    if kind is Any:
        return given
    if kind is None or kind is type(None):
        return _matched(given is None, None, where, "null", given)
    origin = typing.get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return _one_of(typing.get_args(kind), given, where, left_out)
    if origin is Literal:
        return _matched(given in typing.get_args(kind), given, where, str(kind), given)
    if origin in (tuple, list, frozenset, set):
        return _several(kind, origin, given, where, left_out)
    if origin in (dict, Mapping):
        key_kind, each_kind = typing.get_args(kind)
        _matched(isinstance(given, dict), None, where, "a table", given)
        return {
            value_of(key_kind, key, f"{where}.{key}", left_out): value_of(
                each_kind, each, f"{where}.{key}", left_out
            )
            for key, each in given.items()
        }
    return _single(kind, given, where, left_out)


def _several(kind: Any, origin: Any, given: Any, where: str, left_out: Callable[[str], None] | None) -> Any:
    _matched(isinstance(given, list), None, where, "a list", given)
    kinds = typing.get_args(kind)
    if origin is tuple and not (len(kinds) == 2 and kinds[1] is Ellipsis):
        _matched(len(given) == len(kinds), None, where, f"a list of {len(kinds)}", given)
        pairs = zip(kinds, given, strict=True)
        return tuple(value_of(each, one, f"{where}[{n}]", left_out) for n, (each, one) in enumerate(pairs))
    return origin(value_of(kinds[0], one, f"{where}[{n}]", left_out) for n, one in enumerate(given))


def _single(kind: Any, given: Any, where: str, left_out: Callable[[str], None] | None) -> Any:
    if kind is bool or kind is str:
        return _matched(isinstance(given, kind), given, where, kind.__name__, given)
    if kind is int:
        whole = isinstance(given, int) and not isinstance(given, bool)
        return _matched(whole, given, where, "a whole number", given)
    if kind is bytes:
        return _bytes(given, where)
    if kind is float or kind is Decimal:
        number = isinstance(given, int | float | str) and not isinstance(given, bool)
        _matched(number, None, where, "a number", given)
    elif isinstance(kind, type) and fields_of(kind) is not None:
        return _table(kind, given, where, left_out)
    elif not (isinstance(kind, type) and issubclass(kind, str | enum.Enum)):
        raise NotThisShape(f"{where or 'value'}: {kind} cannot be read from a recording")
    try:
        return kind(given)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise NotThisShape(f"{where or 'value'}: {error}") from error


def _bytes(given: Any, where: str) -> bytes:
    _matched(isinstance(given, str), None, where, "bytes as base64 text", given)
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotThisShape(f"{where or 'value'}: expected bytes as base64 text ({error})") from error


def _table(kind: type, given: Any, where: str, left_out: Callable[[str], None] | None) -> Any:
    _matched(isinstance(given, dict), None, where, f"a table for {kind.__name__}", given)
    named = given.get(KIND, kind.__name__)
    _matched(named == kind.__name__, None, where, kind.__name__, named)
    hints = hints_of(kind)
    made = {
        name: value_of(hint, given[name], f"{where}.{name}", left_out)
        for name, hint in hints.items()
        if name in given
    }
    if left_out is not None:
        for name in given:
            if name != KIND and name not in hints:
                left_out(f"{kind.__name__}.{name}")
    try:
        return kind(**made)
    except (TypeError, ValueError) as error:
        raise NotThisShape(f"{where or kind.__name__}: {error}") from error


def _one_of(kinds: tuple[Any, ...], given: Any, where: str, left_out: Callable[[str], None] | None) -> Any:
    if given is None and type(None) in kinds:
        return None
    if isinstance(given, dict) and KIND in given:
        for kind in kinds:
            if isinstance(kind, type) and kind.__name__ == given[KIND]:
                return value_of(kind, given, where, left_out)
    else:
        for kind in kinds:
            try:
                return value_of(kind, given, where, left_out)
            except NotThisShape:
                continue
    got = given.get(KIND) if isinstance(given, dict) else given
    raise NotThisShape(f"{where or 'value'}: expected one of {_names(kinds)}, got {str(got)[:60]}")


def _matched(fits: bool, value: Any, where: str, expected: str, given: Any) -> Any:
    if not fits:
        raise NotThisShape(f"{where or 'value'}: expected {expected}, got {str(given)[:60]}")
    return value


def _names(kinds: tuple[Any, ...]) -> str:
    return ", ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
