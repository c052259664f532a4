"""Settings of drivers: declared once as frozen dataclasses, checked whole before anything opens. No device
word.

Every error is listed with its key and what was expected; an unknown key is an error. The same declarations
give the configuration guide its table.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class SettingError:
    """One thing wrong: the key's path, what was expected, and what stood there."""

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.got}"


class SettingsRefused(ValueError):
    """The settings are not usable. `errors` lists everything that is wrong, not only the first."""

    def __init__(self, errors: tuple[SettingError, ...]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


@dataclass(frozen=True, slots=True)
class _Bounds:
    least: float | None
    most: float | None
    says: str


def setting(default: Any, says: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A field with its default, its meaning in one line, and inclusive bounds (of a number or a length)."""
    return dataclasses.field(default=default, metadata={"bounds": _Bounds(least, most, says)})


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One row of a settings table."""

    key: str
    expected: str
    default: object
    says: str


def settings_table(kind: type[Any]) -> tuple[SettingRow, ...]:
    """What a settings class accepts, for guides and `--help`."""
    hints = get_type_hints(kind)
    return tuple(
        SettingRow(
            field.name, _expected(hints[field.name], _bounds(field)), field.default, _bounds(field).says
        )
        for field in dataclasses.fields(kind)
    )


def check_settings(kind: type[S], given: Mapping[str, object], path: str = "") -> S:
    """Build `kind` from plain values. Raises `SettingsRefused` with every error, keys below `path`."""
    prefix = f"{path}." if path else ""
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    errors: list[SettingError] = []
    values: dict[str, object] = {}
    for key, value in given.items():
        if key not in fields:
            known = ", ".join(sorted(fields)) or "no settings"
            errors.append(SettingError(f"{prefix}{key}", f"one of: {known}", "an unknown key"))
            continue
        bounds = _bounds(fields[key])
        ok, read = _read(hints[key], value, bounds)
        if ok:
            values[key] = read
        else:
            errors.append(SettingError(f"{prefix}{key}", _expected(hints[key], bounds), repr(value)[:80]))
    if errors:
        raise SettingsRefused(tuple(errors))
    return kind(**values)


def check_line_text(key: str, text: str) -> None:
    """For texts that become part of a line of a protocol. Raises `SettingsRefused`."""
    if not text.isprintable() or text != text.strip():
        expected = "a text without control characters and without white space around it"
        raise SettingsRefused((SettingError(key, expected, repr(text)[:80]),))


def _bounds(field: dataclasses.Field[Any]) -> _Bounds:
    found = field.metadata.get("bounds")
    return found if isinstance(found, _Bounds) else _Bounds(None, None, "")


def _inside(size: float, bounds: _Bounds) -> bool:
    return (bounds.least is None or size >= bounds.least) and (bounds.most is None or size <= bounds.most)


def _read(hint: Any, value: object, bounds: _Bounds) -> tuple[bool, object]:
    """(accepted, value as the field's type)."""
    origin = get_origin(hint)
    if origin is typing.Literal:
        known = [option for option in get_args(hint) if type(option) is type(value) and option == value]
        return bool(known), value
    if origin in (typing.Union, types.UnionType):
        for option in get_args(hint):
            if option is type(None):
                if value is None:
                    return True, None
                continue
            ok, read = _read(option, value, bounds)
            if ok:
                return True, read
        return False, value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not _inside(len(value), _length_bounds(bounds)):
            return False, value
        read_items = [_read(get_args(hint)[0], item, _item_bounds(bounds)) for item in value]
        return all(ok for ok, _ in read_items), tuple(item for _, item in read_items)
    if hint is bool:
        return isinstance(value, bool), value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and _inside(value, bounds), value
    if hint is float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False, value
        return _inside(value, bounds), float(value)
    if hint is str:
        return isinstance(value, str) and _inside(len(value), bounds), value
    raise TypeError(f"a setting of type {hint} cannot be checked")


def _length_bounds(bounds: _Bounds) -> _Bounds:
    return _Bounds(None, 64, bounds.says)


def _item_bounds(bounds: _Bounds) -> _Bounds:
    return bounds


def _expected(hint: Any, bounds: _Bounds) -> str:
    origin = get_origin(hint)
    if origin is typing.Literal:
        return "one of: " + ", ".join(repr(option) for option in get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expected(option, bounds) for option in get_args(hint) if option is not type(None))
    if origin is tuple:
        return f"a list of at most 64, each {_expected(get_args(hint)[0], bounds)}"
    if hint is bool:
        return "true or false"
    word = {int: "a whole number", float: "a number", str: "a text"}.get(hint, str(hint))
    unit = " characters" if hint is str else ""
    match bounds.least, bounds.most:
        case None, None:
            return word
        case least, None:
            return f"{word} of at least {_plain(least)}{unit}"
        case None, most:
            return f"{word} of at most {_plain(most)}{unit}"
        case least, most:
            return f"{word} from {_plain(least)} to {_plain(most)}{unit}"


def _plain(bound: float | None) -> str:
    return "" if bound is None else str(int(bound)) if bound == int(bound) else str(bound)
