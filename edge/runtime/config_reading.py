"""A TOML file becomes a value of a type, or a list of all that is wrong with it. Knows no key itself.

The types are frozen dataclasses or msgspec structs; `msgspec.Meta` on a field is checked, and the text under
a field is its meaning in the reference. Read once, whole, before anything opens.
"""

from __future__ import annotations

import ast
import difflib
import enum
import inspect
import json
import math
import os
import re
import stat
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect as mi

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConfigError:
    key: str
    """Path such as `devices.scale.baudrate`; empty for the file itself."""
    problem: str
    """What was expected and what was found, in one sentence."""

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}" if self.key else self.problem


class ConfigRefused(Exception):
    """The file cannot be used. `errors` has all that is wrong; the text lists them, one a line."""

    def __init__(self, path: Path, errors: tuple[ConfigError, ...]) -> None:
        self.path = path
        self.errors = errors
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__("\n".join([f"{path}: {count}", *(f"  {error}" for error in errors)]))


class SecretFile:
    """The place of a secret, never the secret: checked to be there and closed to strangers when the config is
    read, read only when it is needed."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_bytes(self) -> bytes:
        """As it is. Raises `OSError`."""
        return self.path.read_bytes()

    def read_text(self) -> str:
        """Without white space around it. Raises `OSError`, or `UnicodeDecodeError`."""
        return self.path.read_text("utf-8").strip()

    def problem(self) -> str | None:
        """What an administrator must change; None where all is well."""
        try:
            mode = self.path.stat().st_mode
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if not stat.S_ISREG(mode):
            return "is not a file"
        if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
            return f"is open to every user of this machine; chmod 600 {self.path}"
        if not os.access(self.path, os.R_OK):
            return "may not be read by this user"
        return None

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)


def read_config(path: Path, kind: type[T]) -> T:
    """Raises `ConfigRefused` with every error in the file. Relative paths in it start at its own folder."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigRefused(path, (ConfigError("", f"cannot be read: {error.strerror}"),)) from error
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is not UTF-8"
        raise ConfigRefused(path, (ConfigError("", f"expected a text file in UTF-8; {where}"),)) from error
    return parse_config(text, kind, path=path)


def parse_config(text: str, kind: type[T], *, path: Path) -> T:
    """As `read_config`, from text; `path` is where it is said to be."""
    try:
        table = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ConfigRefused(path, (ConfigError("", f"expected TOML: {error}"),)) from error
    reader = _Reader(path.parent)
    value = reader.read(mi.type_info(kind), table, "", "")
    if reader.errors:
        raise ConfigRefused(path, tuple(reader.errors))
    whole: T = value
    return whole


_BAD: Final = object()
"""Stands for a value with an error already listed."""


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.errors: list[ConfigError] = []
        self._folder = folder

    def read(self, kind: mi.Type, value: object, path: str, name: str) -> Any:
        """The value as the type wants it, or `_BAD`. `name` is the last key: it tells seconds from others."""
        match kind:
            case mi.AnyType():
                # Checked by whoever knows what may stand here (a device's own settings).
                return _plain(value)
            case mi.Metadata(type=inner):
                return self.read(inner, value, path, name)
            case mi.DataclassType() | mi.StructType():
                return self._table(kind, value, path)
            case mi.UnionType():
                return self._union(kind, value, path, name)
            case mi.DictType():
                return self._dict(kind, value, path)
            case mi.ListType() | mi.VarTupleType() | mi.SetType() | mi.FrozenSetType():
                return self._array(kind, value, path, name)
            case mi.TupleType():
                return self._tuple(kind, value, path, name)
            case _:
                return self._scalar(kind, value, path, name)

    def _scalar(self, kind: mi.Type, value: object, path: str, name: str) -> Any:
        match kind:
            case mi.BoolType() if isinstance(value, bool):
                return value
            case mi.IntType():
                if isinstance(value, int) and not isinstance(value, bool) and _within(kind, value):
                    return value
            case mi.FloatType() | mi.DecimalType():
                number = _number(value)
                backwards = number is not None and number < 0 and _is_duration(name, kind)
                if number is not None and _within(kind, number) and not backwards:
                    return float(number) if isinstance(kind, mi.FloatType) else number
            case mi.StrType() if isinstance(value, str) and _fits(kind, value):
                return value
            case mi.LiteralType(values=values):
                for each in values:
                    if type(each) is type(value) and each == value:
                        return each
            case mi.EnumType(cls=cls):
                for member in cls:
                    if type(member.value) is type(value) and member.value == value:
                        return member
            case mi.CustomType(cls=cls) if isinstance(value, str):
                return self._own_type(cls, value, path)
            case _:
                pass
        return self._expected(kind, value, path, name)

    def _own_type(self, cls: type, value: str, path: str) -> Any:
        if cls is SecretFile:
            secret = SecretFile(self._folder / value)
            # What stands there may be the secret itself, put in by mistake: it is not repeated.
            shown = "the file" if "\n" in value or len(value) > 200 else str(secret.path)
            problem = secret.problem() if value and "\0" not in value else "is no path"
            if problem is not None:
                return self._bad(path, f"expected the path of a file with the secret; {shown} {problem}")
            return secret
        if issubclass(cls, Path):
            if not value or "\0" in value:
                return self._bad(path, f"expected a path, got {_shown(value)}")
            return self._folder / value
        make: Callable[[str], Any] = cls
        try:
            return make(value)
        except (ValueError, ArithmeticError) as error:
            return self._bad(path, str(error))

    def _table(self, kind: mi.DataclassType | mi.StructType, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            return self._expected(kind, value, path, "")
        count = len(self.errors)
        tag_field = kind.tag_field if isinstance(kind, mi.StructType) else None
        if isinstance(kind, mi.StructType) and tag_field is not None and value.get(tag_field) != kind.tag:
            got = _shown(value.get(tag_field))
            self._bad(_join(path, tag_field), f"expected {_shown(kind.tag)}, got {got}")
        made: dict[str, Any] = {}
        for field in kind.fields:
            key = _join(path, field.encode_name)
            if field.encode_name in value:
                made[field.name] = self.read(field.type, value[field.encode_name], key, field.encode_name)
            elif field.required:
                self._bad(key, f"missing; expected {_expected(field.type, field.encode_name)}")
        known = [field.encode_name for field in kind.fields] + ([tag_field] if tag_field is not None else [])
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known) or 'none'}"
                self._bad(_join(path, name), f"unknown key; {hint}")
        if len(self.errors) > count:
            return _BAD
        try:
            return kind.cls(**made)
        except (ValueError, TypeError) as error:
            return self._bad(path, str(error))

    def _union(self, kind: mi.UnionType, value: object, path: str, name: str) -> Any:
        types = [each for each in kind.types if not isinstance(each, mi.NoneType)]
        if len(types) == 1:
            return self.read(types[0], value, path, name)
        tagged = {
            each.tag: each for each in types if isinstance(each, mi.StructType) and each.tag is not None
        }
        if tagged and isinstance(value, dict):
            tag_field = next(iter(tagged.values())).tag_field or "type"
            tag = value.get(tag_field)
            if isinstance(tag, str | int) and tag in tagged:
                return self._table(tagged[tag], value, path)
            expected = _one_of(tagged)
            return self._bad(_join(path, tag_field), f"expected {expected}, got {_shown(tag)}")
        for each in types:
            attempt = _Reader(self._folder)
            made = attempt.read(each, value, path, name)
            if not attempt.errors:
                return made
        return self._expected(kind, value, path, name)

    def _dict(self, kind: mi.DictType, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            return self._expected(kind, value, path, "")
        if not _counts(kind, len(value)):
            return self._expected(kind, value, path, "")
        made = {
            self.read(kind.key_type, key, _join(path, key), ""): self.read(
                kind.value_type, each, _join(path, key), key
            )
            for key, each in value.items()
        }
        return _BAD if _BAD in made or _BAD in made.values() else made

    def _array(
        self,
        kind: mi.ListType | mi.VarTupleType | mi.SetType | mi.FrozenSetType,
        value: object,
        path: str,
        name: str,
    ) -> Any:
        if not isinstance(value, list) or not _counts(kind, len(value)):
            return self._expected(kind, value, path, name)
        made = [self.read(kind.item_type, each, f"{path}[{n}]", name) for n, each in enumerate(value)]
        if _BAD in made:
            return _BAD
        match kind:
            case mi.ListType():
                return made
            case mi.VarTupleType():
                return tuple(made)
            case mi.SetType():
                return set(made)
            case mi.FrozenSetType():
                return frozenset(made)

    def _tuple(self, kind: mi.TupleType, value: object, path: str, name: str) -> Any:
        if not isinstance(value, list) or len(value) != len(kind.item_types):
            return self._expected(kind, value, path, name)
        pairs = zip(kind.item_types, value, strict=True)
        made = tuple(self.read(each, item, f"{path}[{n}]", name) for n, (each, item) in enumerate(pairs))
        return _BAD if _BAD in made else made

    def _expected(self, kind: mi.Type, value: object, path: str, name: str) -> object:
        got = "" if _holds_secret(kind) else f", got {_shown(value)}"
        return self._bad(path, f"expected {_expected(kind, name)}{got}")

    def _bad(self, path: str, problem: str) -> object:
        self.errors.append(ConfigError(path, problem))
        return _BAD


# --- checks ---


def _plain(value: object) -> Any:
    """As TOML means it, decimals as floats."""
    match value:
        case Decimal():
            return float(value)
        case list():
            return [_plain(each) for each in value]
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case _:
            return value


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() and math.isfinite(_as_float(number)) else None


def _as_float(number: Decimal) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _within(kind: mi.Type, number: int | Decimal) -> bool:
    if not isinstance(kind, mi.IntType | mi.FloatType):
        return True
    # A bound written 0.1 means 0.1, not the nearest binary fraction.
    at_least, above, at_most, below, step = (
        None if bound is None else Decimal(str(bound))
        for bound in (kind.ge, kind.gt, kind.le, kind.lt, kind.multiple_of)
    )
    return (
        (at_least is None or number >= at_least)
        and (above is None or number > above)
        and (at_most is None or number <= at_most)
        and (below is None or number < below)
        and (step is None or number % step == 0)
    )


def _fits(kind: mi.StrType, text: str) -> bool:
    return _counts(kind, len(text)) and (kind.pattern is None or re.search(kind.pattern, text) is not None)


def _counts(kind: Any, length: int) -> bool:
    enough = kind.min_length is None or length >= kind.min_length
    return enough and (kind.max_length is None or length <= kind.max_length)


def _is_duration(name: str, kind: mi.Type) -> bool:
    """Seconds, hence never negative, unless the type itself sets a lower bound."""
    unbounded = not isinstance(kind, mi.FloatType) or (kind.ge is None and kind.gt is None)
    return name.endswith("_s") and unbounded


def _holds_secret(kind: mi.Type) -> bool:
    match kind:
        case mi.Metadata(type=inner):
            return _holds_secret(inner)
        case mi.UnionType(types=types):
            return any(_holds_secret(each) for each in types)
        case mi.CustomType(cls=cls):
            return cls is SecretFile
        case _:
            return False


# --- words ---


def _expected(kind: mi.Type, name: str) -> str:
    match kind:
        case mi.AnyType():
            return "a setting of the device"
        case mi.Metadata(type=inner):
            return _expected(inner, name)
        case mi.BoolType():
            return "true or false"
        case mi.IntType():
            return _bounded("a whole number", kind)
        case mi.FloatType():
            if not name.endswith("_s"):
                return _bounded("a number", kind)
            return _bounded("seconds as a number", kind) + (" from 0" if _is_duration(name, kind) else "")
        case mi.DecimalType():
            return "seconds as a number from 0" if name.endswith("_s") else "a number"
        case mi.StrType():
            return _sized("text", kind, "characters") + (f" matching {kind.pattern}" if kind.pattern else "")
        case mi.LiteralType(values=values):
            return _one_of(values)
        case mi.EnumType(cls=cls):
            return _one_of(member.value for member in cls)
        case mi.CustomType(cls=cls):
            return _expected_of_own(cls)
        case mi.DataclassType() | mi.StructType():
            return "a table"
        case mi.DictType():
            return _sized("a table of tables" if _is_table(kind.value_type) else "a table", kind, "entries")
        case mi.ListType() | mi.VarTupleType() | mi.SetType() | mi.FrozenSetType():
            return f"{_sized('an array', kind, 'items')}, each {_expected(kind.item_type, name)}"
        case mi.TupleType():
            items = ", ".join(_expected(each, name) for each in kind.item_types)
            return f"an array of {len(kind.item_types)}: {items}"
        case mi.UnionType(types=types):
            return " or ".join(_expected(each, name) for each in types if not isinstance(each, mi.NoneType))
        case _:
            raise TypeError(f"config types cannot hold {kind}")


def _expected_of_own(cls: type) -> str:
    if cls is SecretFile:
        return "the path of a file with the secret"
    if issubclass(cls, Path):
        return "a path"
    said = getattr(cls, "expected", None)
    return said if isinstance(said, str) else f"text for {cls.__name__}"


def _bounded(what: str, kind: mi.IntType | mi.FloatType) -> str:
    # Equal bounds of two modules are one object, 0 or 0.0 by what was imported first: said as 0 either way.
    least, above, most, below, each = (
        int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for bound in (kind.ge, kind.gt, kind.le, kind.lt, kind.multiple_of)
    )
    lower = f"from {least}" if least is not None else f"above {above}" if above is not None else ""
    upper = f"to {most}" if most is not None else f"below {below}" if below is not None else ""
    step = f"in steps of {each}" if each is not None else ""
    return " ".join(part for part in (what, lower, upper, step) if part)


def _sized(what: str, kind: Any, unit: str) -> str:
    lowest, highest = kind.min_length, kind.max_length
    if lowest is None and highest is None:
        return what
    if highest is None:
        return f"{what} of at least {lowest} {unit}"
    return f"{what} of {lowest or 0} to {highest} {unit}"


def _one_of(values: Iterable[object]) -> str:
    shown = [_shown(value) for value in values]
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def _shown(value: object) -> str:
    """As it would stand in the file, cut short."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a table"
        case list() | tuple():
            text = "[" + ", ".join(_shown(each) for each in value) + "]"
        case bool() | Decimal():
            text = str(value).lower().replace("infinity", "inf")
        case enum.Enum():
            text = _shown(value.value)
        case str() | Path() | SecretFile():
            text = json.dumps(str(value.path if isinstance(value, SecretFile) else value), ensure_ascii=False)
        case _:
            text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _join(path: str, key: str) -> str:
    shown = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{shown}" if path else shown


# --- the reference, from the same types ---


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    key: str
    """Path; `<name>` stands for a key the site chooses, `[]` for each item of an array."""
    expected: str
    default: str
    """As in the file; `required`, or `not set`."""
    meaning: str


def reference_rows(kind: type) -> tuple[ReferenceRow, ...]:
    """Every key a file of this type may have, in the order of declaration."""
    return tuple(_rows(mi.type_info(kind), ""))


def reference_table(kind: type) -> str:
    """The rows as a Markdown table, ending with a newline."""
    lines = ["| key | expected | default | meaning |", "|---|---|---|---|"]
    for row in reference_rows(kind):
        default = row.default if row.default in ("required", "not set", "") else f"`{row.default}`"
        cells = (f"`{row.key}`", row.expected, default, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _rows(kind: mi.Type, path: str) -> Iterator[ReferenceRow]:
    match kind:
        case mi.Metadata(type=inner):
            yield from _rows(inner, path)
        case mi.DataclassType() | mi.StructType():
            if isinstance(kind, mi.StructType) and kind.tag_field is not None:
                meaning = _first_line(kind.cls)
                yield ReferenceRow(_join(path, kind.tag_field), _shown(kind.tag), "required", meaning)
            meanings = _meanings(kind.cls)
            for field in kind.fields:
                key = f"{path}.{field.encode_name}" if path else field.encode_name
                described = _described(field.type) or meanings.get(field.name, "")
                expected = _expected(field.type, field.encode_name)
                yield ReferenceRow(key, expected, _default(field), described)
                yield from _rows(field.type, key)
        case mi.DictType(value_type=inner):
            yield from _rows(inner, f"{path}.<name>" if path else "<name>")
        case mi.ListType(item_type=inner) | mi.VarTupleType(item_type=inner):
            yield from _rows(inner, f"{path}[]")
        case mi.UnionType(types=types):
            for each in types:
                yield from _rows(each, path)
        case _:
            return


def _is_table(kind: mi.Type) -> bool:
    match kind:
        case mi.Metadata(type=inner):
            return _is_table(inner)
        case mi.UnionType(types=types):
            return any(_is_table(each) for each in types)
        case _:
            return isinstance(kind, mi.DataclassType | mi.StructType | mi.DictType)


def _default(field: mi.Field) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return "{}" if not value else json.dumps({str(k): _shown(v) for k, v in value.items()})
    if isinstance(value, set | frozenset):
        return _shown(sorted(value, key=str))
    # A table: its keys have defaults of their own, listed below it.
    table = isinstance(value, msgspec.Struct) or hasattr(value, "__dataclass_fields__")
    return "" if table else _shown(value)


def _described(kind: mi.Type) -> str:
    if isinstance(kind, mi.Metadata):
        return str((kind.extra_json_schema or {}).get("description", "")) or _described(kind.type)
    return ""


def _first_line(cls: type) -> str:
    # A class without a docstring of its own has a made-up one (dataclasses) or its parent's (structs).
    own = cls.__dict__.get("__doc__") or ""
    return "" if own.startswith(f"{cls.__name__}(") else " ".join(own.split())


@lru_cache(maxsize=256)
def _meanings(cls: type) -> Mapping[str, str]:
    """The string that stands under each field in the source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, str] = {}
    body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
            and isinstance(text.value.value, str)
        ):
            found[field.target.id] = " ".join(text.value.value.split())
    return found
