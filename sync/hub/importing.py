"""Record files -> log entries of a scope: JSON, CSV, SAS and CEB, checked whole before anything is written.

A file is taken as a whole or refused as a whole, and only rows that really change make an entry. Every error
names file, line, field and what was expected. No broker, no clock: the time of the entries is an argument.

What customs systems send says only part of a record, in any order and again: it is merged into the record as
it stands, and neither an old approval nor an old receipt takes back what came later.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from sync.hub.archive import Applied, Archive, LogRow, RecordChange
from sync.hub.feeding import FEED_ENVELOPE_BYTES, feed_bytes
from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.vocabulary import ceb
from sync.vocabulary.bounds import MAX_LIST, MAX_TEXT
from sync.vocabulary.codec import Malformed, decoder, to_builtins, to_json
from sync.vocabulary.elements import root_name
from sync.vocabulary.records import (
    COLLECTIONS,
    LINE_FIELDS,
    MAX_PREVIEW,
    Control,
    Record,
    ReleaseSlip,
    Site,
    StockRow,
    Vehicle,
    Waybill,
    XRay,
    key_of,
)
from sync.vocabulary.sas import (
    DEFAULT_VALIDITY_HOURS,
    RECEIPTS,
    is_later,
    message_type,
    read_approval,
    read_receipt,
)
from sync.vocabulary.weights import kilograms

MAX_FILE_BYTES = 1 << 30
MAX_ERRORS_TOLD = 200
_LARGEST_COUNT = 1_000_000
ROWS_AT_ONCE = 500
"""Changes that share a transaction: some 30 ms in which nobody else writes."""
PAUSE_S = 0.03
"""Between two: SQLite has a waiting writer look every 25 ms at first, so that one pause is enough for it."""
_CUSTOMS = (".xml", ".sas")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one row; line 0 is the file itself."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}" if self.line else f"{self.path}: {self.what}"


class ImportRefused(Exception):
    """Nothing was written; `problems` says why, file by file and line by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        told = [str(problem) for problem in self.problems[:MAX_ERRORS_TOLD]]
        if len(self.problems) > MAX_ERRORS_TOLD:
            told.append(f"and {len(self.problems) - MAX_ERRORS_TOLD} more")
        super().__init__("\n".join(told))


@dataclass(frozen=True, slots=True)
class FileReport:
    path: Path
    read: dict[str, int]
    """collection -> rows read."""
    put: int
    deleted: int
    unchanged: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    scope: str
    epoch: str
    number: int
    """Last number of the scope's log after the import."""
    files: tuple[FileReport, ...]
    problems: tuple[Problem, ...]
    """Rows left out because `skip_bad` was given."""

    @property
    def put(self) -> int:
        return sum(file.put for file in self.files)

    @property
    def deleted(self) -> int:
        return sum(file.deleted for file in self.files)

    @property
    def unchanged(self) -> int:
        return sum(file.unchanged for file in self.files)

    @property
    def skipped(self) -> int:
        return sum(file.skipped for file in self.files)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    collection: str
    key: str
    body: str


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    rows: tuple[_Row, ...]
    problems: tuple[Problem, ...]
    collections: frozenset[str]
    """Every collection the file speaks of, empty ones too."""


@dataclass(frozen=True, slots=True)
class _Approving:
    """What SAS221 does not say."""

    validity_hours: int
    uses_for_many_vehicles: int


class _Known:
    """Records as they will stand when the files read so far are in: what the next one is merged into."""

    def __init__(self, archive: Archive, scope: str) -> None:
        self._archive = archive
        self._scope = scope
        self._taken: dict[tuple[str, str], str] = {}

    def take(self, rows: Sequence[_Row]) -> None:
        self._taken.update(((row.collection, row.key), row.body) for row in rows)

    def body(self, collection: str, key: str) -> str | None:
        taken = self._taken.get((collection, key))
        return taken if taken is not None else self._archive.record(collection, key, self._scope)


def import_files(
    archive: Archive,
    scope: str,
    paths: Sequence[Path],
    at_utc: str,
    skip_bad: bool = False,
    *,
    replace: Sequence[str] = (),
    validity_hours: int = DEFAULT_VALIDITY_HOURS,
    uses_for_many_vehicles: int = 1,
    pause: Callable[[float], None] = time.sleep,
) -> ImportReport:
    """Import files in the order given. Raises `ImportRefused` before anything is written.

    Checked whole, then written in transactions of `ROWS_AT_ONCE` changes, so that a hub that runs on the
    archive waits a moment for its turn and no longer. Each is in the log when it is committed: devices have
    always taken a large file in parts. An import that is killed between two is finished by importing again,
    which writes only what is not there yet.

    `skip_bad` leaves bad rows out and reports them instead. `replace` names collections whose rows in the
    scope become deletes where no file has them; such a collection must be read without a bad row.
    `validity_hours` and `uses_for_many_vehicles` fill what SAS221 does not say (`sync.vocabulary.sas`).
    """
    known = _Known(archive, scope)
    is_merged = any(path.suffix.lower() in _CUSTOMS for path in paths)
    files = []
    for path in paths:
        files.append(_read(path, _Approving(validity_hours, uses_for_many_vehicles), known))
        if is_merged:
            known.take(files[-1].rows)
    problems = [problem for file in files for problem in file.problems]
    fatal = [problem for problem in problems if problem.line == 0] if skip_bad else problems
    fatal += _replace_problems(files, replace)
    if fatal:
        raise ImportRefused(fatal)
    keep = {
        collection: {row.key for file in files for row in file.rows if row.collection == collection}
        for collection in replace
    }
    with archive.transaction():
        archive.add_scope(scope)
    reports = []
    for index, file in enumerate(files):
        changes = [RecordChange(row.collection, row.key, _with_pin(row, known)) for row in file.rows]
        if index == len(files) - 1:
            for collection in replace:
                gone = sorted(archive.record_keys(scope, collection) - keep[collection])
                changes += [RecordChange(collection, key, None) for key in gone]
        reports.append(_report(file, _apply(archive, scope, changes, at_utc, pause)))
    state = archive.scope(scope)
    if state is None:
        raise LookupError(f"scope {scope!r} vanished from the archive")
    return ImportReport(scope, state.epoch, state.number, tuple(reports), tuple(problems))


def _apply(
    archive: Archive,
    scope: str,
    changes: Sequence[RecordChange],
    at_utc: str,
    pause: Callable[[float], None],
) -> Applied:
    put = deleted = unchanged = number = 0
    for first in range(0, max(1, len(changes)), ROWS_AT_ONCE):
        if first:
            pause(PAUSE_S)
        with archive.transaction():
            applied = archive.apply_changes(scope, changes[first : first + ROWS_AT_ONCE], at_utc)
        put += applied.put
        deleted += applied.deleted
        unchanged += applied.unchanged
        number = applied.number
    return Applied(put, deleted, unchanged, number)


def _with_pin(row: _Row, known: _Known) -> str:
    """A roster that comes from elsewhere knows no PIN: the one that was set here stays with the officer, and
    so does the public key where the roster has none."""
    if row.collection != "officers":
        return row.body
    fields, before = msgspec.json.decode(row.body), known.body("officers", row.key)
    if fields.get("pin") is not None or before is None:
        return row.body
    kept = msgspec.json.decode(before)
    if kept.get("pin") is None:
        return row.body
    return to_json(
        {**fields, "pin": kept["pin"], "public_key": fields.get("public_key") or kept["public_key"]}
    ).decode()


def _report(file: _File, applied: Applied) -> FileReport:
    read: dict[str, int] = dict.fromkeys(sorted(file.collections), 0)
    for row in file.rows:
        read[row.collection] += 1
    return FileReport(
        file.path, read, applied.put, applied.deleted, applied.unchanged, skipped=len(file.problems)
    )


def _replace_problems(files: Sequence[_File], replace: Sequence[str]) -> Iterator[Problem]:
    for collection in replace:
        holders = [file for file in files if collection in file.collections]
        if collection not in COLLECTIONS:
            yield Problem(Path("--replace"), 0, f"expected a collection ({_known()}), got {collection!r}")
        elif not holders:
            yield Problem(
                Path("--replace"), 0, f"no file has {collection}; replacing it would delete all of it"
            )
        for file in holders:
            if file.problems:
                yield Problem(
                    file.path,
                    0,
                    f"has bad rows; a row left out of a replaced collection ({collection}) would be deleted",
                )


# --- files ------------------------------------------------------------------------------------------------


def _read(path: Path, approving: _Approving, known: _Known) -> _File:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return _unusable(path, f"larger than {MAX_FILE_BYTES} bytes; split it")
        data = path.read_bytes()
    except OSError as error:
        return _unusable(path, f"cannot be read ({error.strerror})")
    match path.suffix.lower():
        case ".json":
            return _collect(path, _json_rows(path, data))
        case ".csv":
            return _csv_file(path, data)
        case suffix if suffix in _CUSTOMS:
            return _customs_file(path, data, approving, known)
        case _:
            return _unusable(path, "expected a name ending in .json, .csv, .xml or .sas")


def _unusable(path: Path, what: str) -> _File:
    return _File(path, (), (Problem(path, 0, what),), frozenset())


@dataclass(frozen=True, slots=True)
class _Found:
    """A row as it stands in the file; `fields` None where `what` says why it could not be read at all."""

    line: int
    collection: str
    fields: dict[str, Any] | None
    what: str = ""


def _collect(path: Path, found: Iterator[_Found]) -> _File:
    rows: list[_Row] = []
    problems: list[Problem] = []
    lines: dict[tuple[str, str], int] = {}
    collections: set[str] = set()
    for item in found:
        if item.fields is None and not item.what:
            collections.add(item.collection)
            continue
        if item.fields is None:
            problems.append(Problem(path, item.line, item.what))
            continue
        collections.add(item.collection)
        try:
            row = _row(item.line, item.collection, _checked(item.collection, item.fields))
        except Malformed as error:
            problems.append(Problem(path, item.line, f"{item.collection}: {error}"))
            continue
        first = lines.setdefault((row.collection, row.key), row.line)
        if first != row.line:
            problems.append(
                Problem(path, row.line, f"{row.collection}: key {row.key} stands in line {first} already")
            )
            continue
        rows.append(row)
    return _File(path, tuple(rows), tuple(problems), frozenset(collections))


def _row(line: int, collection: str, record: Record) -> _Row:
    body = to_json(record).decode()
    key = key_of(record)
    room = MAX_PAYLOAD_BYTES - FEED_ENVELOPE_BYTES
    if feed_bytes(LogRow(10**12, collection, key, "put", body)) > room:
        raise Malformed(f"key {key}: too long for one message ({len(body.encode())} bytes)")
    return _Row(line, collection, key, body)


def _customs_file(path: Path, data: bytes, approving: _Approving, known: _Known) -> _File:
    if root_name(data).startswith("CEB"):
        return _waybill_file(path, data, known)
    read = _receipt_row if message_type(data) in RECEIPTS else _approval_row
    try:
        row = read(data, approving, known)
    except Malformed as error:
        return _File(path, (), (Problem(path, 1, str(error)),), frozenset({"release_slips"}))
    return _File(path, (row,), (), frozenset({"release_slips"}))


def _approval_row(data: bytes, approving: _Approving, known: _Known) -> _Row:
    """A slip as approved, with what other sources said of it: quarantine, control, and a state beyond."""
    slip = read_approval(
        data,
        validity_hours=approving.validity_hours,
        uses_for_many_vehicles=approving.uses_for_many_vehicles,
    ).slip
    before = _known_slip(known, slip.slip_no)
    if before is not None:
        slip = msgspec.structs.replace(
            slip,
            state=before.state if is_later(before.state, slip.state) else slip.state,
            control=before.control,
            quarantine=before.quarantine,
            waybill_count=before.waybill_count,
        )
    _check_meaning(slip)
    return _row(1, "release_slips", slip)


def _receipt_row(data: bytes, _approving: _Approving, known: _Known) -> _Row:
    """A slip that is known, in the state the receipt says, or as it is where that is no news."""
    receipt = read_receipt(data)
    slip_no = str(receipt.slip_no)
    slip = _known_slip(known, slip_no)
    body = known.body("release_slips", slip_no)
    if slip is None or body is None:
        raise Malformed(
            f"passportNo: {receipt.message} speaks of slip {slip_no}, which is not known here; it carries no "
            "weights to make one from: import its approval first"
        )
    if receipt.plate is not None and slip.plate is not None and receipt.plate != slip.plate:
        raise Malformed(
            f"vehicleNo: expected {slip.plate}, the vehicle of slip {slip_no}, got {receipt.plate}"
        )
    if is_later(receipt.state, slip.state):
        # Field by field, so that what this version does not know stays in the record.
        fields = {**msgspec.json.decode(body), "state": receipt.state.value}
        body = to_json(fields).decode()
    return _Row(1, "release_slips", slip_no, body)


def _known_slip(known: _Known, slip_no: str) -> ReleaseSlip | None:
    body = known.body("release_slips", slip_no)
    if body is None:
        return None
    slip = _DECODERS["release_slips"](body)
    return slip if isinstance(slip, ReleaseSlip) else None


def _waybill_file(path: Path, data: bytes, known: _Known) -> _File:
    collections = frozenset({"waybills"})
    try:
        message = ceb.read_message(data)
    except Malformed as error:
        return _File(path, (), (Problem(path, 1, str(error)),), collections)
    problems = [Problem(path, problem.line, problem.what) for problem in message.problems]
    waybills: dict[str, Waybill] = {}
    rows: dict[str, _Row] = {}
    for entry in message.entries:
        key = str(entry.waybill.waybill_no)
        try:
            before = waybills.get(key) or _known_waybill(known, key)
            waybill = ceb.merged(before, entry)
            _bounded(to_builtins(waybill), "")
            rows[key] = _row(entry.line, "waybills", waybill)
            waybills[key] = waybill
        except Malformed as error:
            problems.append(Problem(path, entry.line, f"waybills: {error}"))
    return _File(path, tuple(rows.values()), tuple(problems), collections)


def _known_waybill(known: _Known, key: str) -> Waybill | None:
    body = known.body("waybills", key)
    if body is None:
        return None
    waybill = _DECODERS["waybills"](body)
    return waybill if isinstance(waybill, Waybill) else None


# --- JSON -------------------------------------------------------------------------------------------------


class _Bad(ValueError):
    pass


def _no_constant(text: str) -> Any:
    raise _Bad(f"{text} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _Bad(f"{name}: given twice")
        fields[name] = value
    return fields


_scan = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_unique)
_WHITE = " \t\r\n"


def _json_rows(path: Path, data: bytes) -> Iterator[_Found]:
    """`{"collection": [record, …], …}`, or `[record, …]` in a file named after its collection."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield _Found(0, "", None, f"expected UTF-8, byte {error.start} is not")
        return
    reader = _JsonText(text)
    try:
        match reader.peek():
            case "[":
                yield from _json_list(reader, path.stem)
            case "{":
                reader.take("{")
                while reader.peek() != "}":
                    collection = reader.value()
                    if not isinstance(collection, str):
                        raise _Bad("expected the name of a collection")
                    reader.take(":")
                    yield from _json_list(reader, collection)
                    if reader.peek() != "}":
                        reader.take(",")
                reader.take("}")
            case _:
                raise _Bad('expected {"collection": [record, …]} or [record, …]')
        if reader.peek():
            raise _Bad("expected nothing after the end")
    except (_Bad, json.JSONDecodeError, RecursionError, ValueError) as error:
        yield _Found(0, "", None, f"line {reader.line()}: not readable as JSON: {_first_line(error)}")


def _json_list(reader: _JsonText, collection: str) -> Iterator[_Found]:
    if collection not in COLLECTIONS:
        raise _Bad(f"expected a collection ({_known()}), got {collection[:60]!r}")
    yield _Found(reader.line(), collection, None)
    reader.take("[")
    while reader.peek() != "]":
        line = reader.line()
        value = reader.value()
        if isinstance(value, dict):
            yield _Found(line, collection, value)
        else:
            yield _Found(line, collection, None, f"{collection}: expected a record, got {str(value)[:40]!r}")
        if reader.peek() != "]":
            reader.take(",")
    reader.take("]")


class _JsonText:
    """Reads JSON value by value and knows the line it stands on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0

    def line(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        text, at = self._text, self._at
        while at < len(text) and text[at] in _WHITE:
            at += 1
        self._at = at
        return text[at : at + 1]

    def take(self, sign: str) -> None:
        if self.peek() != sign:
            raise _Bad(f"expected {sign!r}, got {self._text[self._at : self._at + 20]!r}")
        self._at += 1

    def value(self) -> Any:
        self.peek()
        value, self._at = _scan.raw_decode(self._text, self._at)
        return value


# --- CSV --------------------------------------------------------------------------------------------------


def _csv_file(path: Path, data: bytes) -> _File:
    """UTF-8, or GB 18030 as spreadsheets save it here.

    Chinese text in GB 18030 can be well-formed UTF-8 by chance (豫 reads as ԥ), but then without a single
    character beyond U+07FF. Such a file is read both ways, and taken in the one way that makes sense.
    """
    ways: list[str] = []
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            ways.append(data.decode(encoding))
        except UnicodeDecodeError:
            continue
        if ways[0].isascii() or data.startswith(codecs.BOM_UTF8) or max(ways[0]) > "\u07ff":
            break
    if not ways:
        return _unusable(path, "expected UTF-8 or GB 18030, found bytes that are neither")
    files = [_collect(path, _csv_rows(path, text)) for text in ways]
    if len(files) > 1 and not any(file.problems for file in files):
        return _unusable(path, "reads as UTF-8 and as GB 18030; save it as UTF-8 with a byte order mark")
    return min(files, key=lambda file: len(file.problems))


def _csv_rows(path: Path, text: str) -> Iterator[_Found]:
    """File name = collection, first line = field names, `;` between list items, empty = not given.

    Fields of a part are named with a dot (`condition.plates`).
    """
    collection = path.stem
    kind = COLLECTIONS.get(collection)
    if kind is None:
        yield _Found(
            0, "", None, f"expected a file named after a collection ({_known()}), got {collection!r}"
        )
        return
    yield _Found(1, collection, None)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        columns = _columns(kind)
        wrong = [name for name in header if name not in columns]
        if wrong or len(set(header)) != len(header) or not header:
            what = f"unknown field {wrong[0]!r}" if wrong else "a field given twice" if header else "nothing"
            yield _Found(
                0, collection, None, f"line 1: expected field names of {sorted(columns)}, got {what}"
            )
            return
        line = reader.line_num + 1
        for cells in reader:
            if cells:
                yield _csv_row(collection, line, header, cells, columns)
            line = reader.line_num + 1
    except csv.Error as error:
        yield _Found(0, collection, None, f"line {reader.line_num}: not readable as CSV: {error}")


def _csv_row(
    collection: str, line: int, header: Sequence[str], cells: Sequence[str], columns: dict[str, Any]
) -> _Found:
    if len(cells) != len(header):
        return _Found(line, collection, None, f"{collection}: expected {len(header)} cells, got {len(cells)}")
    fields: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        text = cell.strip()
        if not text:
            continue
        try:
            value = _cell(text, columns[name])
        except ValueError as error:
            return _Found(line, collection, None, f"{collection}: {name}: {error}")
        part, _, rest = name.partition(".")
        if rest:
            fields.setdefault(part, {})[rest] = value
        else:
            fields[name] = value
    for part in {name.partition(".")[0] for name in columns if "." in name}:
        fields.setdefault(part, {})
    return _Found(line, collection, fields)


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    """Field name -> type, worked out once a kind: it takes longer than checking a row."""
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _columns(kind: type[Any], prefix: str = "") -> dict[str, Any]:
    """Field name -> type, for everything a cell can hold."""
    columns: dict[str, Any] = {}
    hints = _hints(kind)
    for field in msgspec.structs.fields(kind):
        wanted = hints[field.name]
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            columns.update(_columns(wanted, f"{field.name}."))
        elif dict not in {typing.get_origin(item) for item in typing.get_args(wanted)}:
            columns[prefix + field.name] = wanted
    return columns


def _cell(text: str, wanted: Any) -> Any:
    if typing.get_origin(wanted) is tuple:
        return [item.strip() for item in text.split(";") if item.strip()]
    if wanted is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text[:40]!r}")
        return text.lower() == "true"
    if wanted is int:
        if not text.isascii() or not text.lstrip("-").isdecimal() or len(text) > 18:
            raise ValueError(f"expected a whole number, got {text[:40]!r}")
        return int(text)
    return text


# --- what every row must satisfy --------------------------------------------------------------------------


_numbers = msgspec.json.Encoder(decimal_format="number")
_DECODERS = {collection: decoder(kind) for collection, kind in COLLECTIONS.items()}


def _checked(collection: str, fields: dict[str, Any]) -> Record:
    """The record, once its fields are known, bounded, well formed and sensible. Raises `Malformed`."""
    kind = COLLECTIONS[collection]
    _known_fields(kind, fields, "")
    _bounded(fields, "")
    try:
        text = to_json(_with_shares(fields) if kind is XRay else fields)
    except UnicodeEncodeError as error:
        raise Malformed(f"expected text, found half a character ({error.object[error.start]!r})") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise Malformed(str(error)) from error
    try:
        record: Record = _DECODERS[collection](text)
    except Malformed:
        # Weights travel as text; shares of a picture are numbers.
        if not _has_decimal(fields):
            raise
        record = _DECODERS[collection](_numbers.encode(fields))
    _check_meaning(record)
    return record


def _with_shares(fields: dict[str, Any]) -> dict[str, Any]:
    """Numbers are read as they stand, so that weights stay exact; shares of a picture are no weights. What is
    no number stays as it is, and is refused with its place."""
    boxes = fields.get("boxes")
    if not isinstance(boxes, list):
        return fields
    return {**fields, "boxes": [_as_numbers(box) if isinstance(box, dict) else box for box in boxes]}


def _as_numbers(box: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in box.items():
        made[name] = value
        if name in ("left", "top", "width", "height") and isinstance(value, str | Decimal):
            with contextlib.suppress(ValueError):
                made[name] = float(value)
    return made


def _known_fields(kind: type[Any], fields: dict[str, Any], where: str) -> None:
    hints = _hints(kind)
    for name, value in fields.items():
        if name not in hints:
            raise Malformed(f"{where}{name}: no such field; expected {', '.join(sorted(hints))}")
        inner = hints[name]
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _known_fields(inner, value, f"{where}{name}.")


def _bounded(value: Any, where: str) -> None:
    match value:
        case str() if len(value) > _longest(where):
            raise Malformed(f"{where or 'value'}: at most {_longest(where)} characters, got {len(value)}")
        case list():
            if len(value) > MAX_LIST:
                raise Malformed(f"{where or 'value'}: at most {MAX_LIST} items, got {len(value)}")
            for item in value:
                _bounded(item, where)
        case dict():
            for name, item in value.items():
                _bounded(item, f"{where}.{name}" if where else str(name))
        case _:
            pass


def _longest(where: str) -> int:
    return MAX_PREVIEW if where == "preview" else MAX_TEXT


def _has_decimal(value: Any) -> bool:
    match value:
        case dict():
            return any(map(_has_decimal, value.values()))
        case list():
            return any(map(_has_decimal, value))
        case _:
            return isinstance(value, Decimal)


def _check_meaning(record: Record) -> None:
    """What no single field can show. Raises `Malformed`."""
    for name, value in _fields(record):
        if isinstance(value, Decimal) and not isinstance(record, StockRow) and kilograms(str(value)) is None:
            raise Malformed(f"{name}: expected kilograms in plain digits, got {value}")
        if type(value) is int and not 0 <= value <= _LARGEST_COUNT:
            raise Malformed(f"{name}: expected a number from 0 to {_LARGEST_COUNT}, got {value}")
    match record:
        case ReleaseSlip():
            parts = record.vehicle_kg + record.frame_kg + record.container_kg + record.cargo_gross_kg
            if parts != record.total_kg:
                raise Malformed(f"total_kg: expected {parts}, the sum of its parts, got {record.total_kg}")
            _in_order(record.valid_from, record.valid_until)
        case Control():
            if not record.control_id:
                raise Malformed("control_id: expected a name")
            _in_order(record.valid_from, record.valid_until)
        case Site():
            if not record.site:
                raise Malformed("site: expected a name")
        case Waybill():
            for place, line in enumerate(record.lines):
                unknown = sorted(line.keys() - LINE_FIELDS)
                if unknown:
                    known = ", ".join(sorted(LINE_FIELDS))
                    raise Malformed(f"lines[{place}].{unknown[0]}: no such field; expected {known}")
        case Vehicle():
            pass


def _in_order(begin: str, end: str) -> None:
    if begin >= end:
        raise Malformed(f"valid_until: expected a time after valid_from ({begin}), got {end}")


def _fields(record: Record) -> Iterator[tuple[str, Any]]:
    """Field names and values of a record, its parts aside."""
    for name in record.__struct_fields__:
        yield name, getattr(record, name)


def _known() -> str:
    return ", ".join(COLLECTIONS)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
