"""What a program was told and what it asked, kept so that it can be played again. No program words here.

JSON lines. A run begins with `{"began": utc, …, "run": …}`, a file begun in the middle of one with
`{"goes_on": utc, …, "state": …}`. Then, for every entry, what the program was told, written before it is
stepped, so that the last word a killed or hung program heard can be read; and, where it asked for anything,
`{"asked": …}`, written before any of that is performed. An event that is the same as the last one of its
source is written as `"same": true`: polls mostly say what they said before.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Generic, Protocol, TypeVar

import msgspec
import structlog

from edge.runtime.clock import Clock
from edge.runtime.inbox import Entry

S_contra = TypeVar("S_contra", contravariant=True)
E_contra = TypeVar("E_contra", contravariant=True)
F_contra = TypeVar("F_contra", contravariant=True)
S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")

MOST_BYTES: Final = 64_000_000
OLDER: Final = ".1"
"""What is added to the name of the file before this one."""

_encode = msgspec.json.Encoder().encode


class Scribe(Protocol[S_contra, E_contra, F_contra]):
    """Turns a program's own values into plain ones. Called on the loop's thread."""

    def run(self) -> Any:
        """What the run begins with: enough to begin it again."""

    def told(self, at_s: float, event: E_contra) -> Any | None:
        """The event; None: it is no part of a recording (and neither is what it asks for)."""

    def asked(self, state: S_contra, effects: Sequence[F_contra]) -> dict[str, Any]:
        """What the event told last asked for, as fields of its line; none: nothing."""

    def state(self) -> Any:
        """Where the program stands now: enough to go on from here."""


class Recording(Generic[S, E, F]):
    """At `most_bytes` the file becomes `<name>.1` (replacing an older one) and a new one goes on. A disk that
    refuses ends the recording, says so in the log, and stops nothing else."""

    def __init__(
        self, path: Path, scribe: Scribe[S, E, F], clock: Clock, *, most_bytes: int = MOST_BYTES
    ) -> None:
        self._path = path
        self._scribe = scribe
        self._clock = clock
        self._most_bytes = most_bytes
        self._written = 0
        self._file: IO[bytes] | None = None
        self._last: dict[str, bytes] = {}
        self._open = False
        """An entry was written that its effects may follow."""
        self.unrecorded = 0
        """Entries not recorded: the disk refused, or they could not be written as plain values."""
        try:
            self._begin("began", {"run": scribe.run()}, afresh=False)
        except OSError as error:
            self._give_up(error)

    def took(self, entry: Entry[E]) -> None:
        self._open = False
        if self._file is None:
            self.unrecorded += 1
            return
        try:
            told = self._scribe.told(entry.at_s, entry.event)
            if told is None:
                return
            event = _encode(told)
        except Exception as error:  # noqa: BLE001 - whatever cannot be written, a lane must not stop for it
            self._left_out("an event cannot be recorded", type(entry.event).__name__, error)
            return
        head: dict[str, Any] = {"at_s": entry.at_s, "source": entry.source}
        if entry.seen_s != entry.at_s:
            head["seen_s"] = entry.seen_s
        if self._last.get(entry.source) == event:
            line = _encode({**head, "same": True})
        else:
            self._last[entry.source] = event
            line = _encode(head)[:-1] + b',"event":' + event + b"}"
        self._open = self._write(line + b"\n")

    def asked(self, state: S, effects: Sequence[F]) -> None:
        if not self._open:
            return
        try:
            fields = self._scribe.asked(state, effects)
            line = _encode(fields) + b"\n" if fields else b""
        except Exception as error:  # noqa: BLE001
            self._left_out("effects cannot be recorded", "effects", error)
            return
        if (line and not self._write(line)) or self._written < self._most_bytes:
            return
        try:
            self._turn_over()
        except OSError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001
            self._left_out("the state cannot be recorded", "state", error)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _turn_over(self) -> None:
        state = self._scribe.state()
        self.close()
        self._path.replace(self._path.with_name(self._path.name + OLDER))
        self._last.clear()
        self._begin("goes_on", {"state": state}, afresh=True)

    def _begin(self, word: str, more: dict[str, Any], *, afresh: bool) -> None:
        # Unbuffered: what a killed program was told last is what one wants to read. Closed to strangers: even
        # scrubbed, it says who came when.
        way = os.O_TRUNC if afresh else os.O_APPEND
        # Should it be a pipe, nobody waits for whoever does not read it.
        way |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | way, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._written = os.fstat(descriptor).st_size
        began = {
            word: self._clock.utc_text(),
            "boot_id": self._clock.boot_id(),
            "at_s": self._clock.monotonic_s(),
            **more,
        }
        # The run before may have been killed in the middle of a line.
        self._append((b"\n" if self._written else b"") + _encode(began) + b"\n")

    def _write(self, line: bytes) -> bool:
        try:
            self._append(line)
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        taken: int | None = self._file.write(line)
        if taken is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._written += taken
        if taken < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _left_out(self, what: str, kind: str, error: Exception) -> None:
        self.unrecorded += 1
        if self.unrecorded.bit_count() == 1:
            structlog.get_logger("recording").error(what, kind=kind, exc_info=error)

    def _give_up(self, error: OSError) -> None:
        self.close()
        self.unrecorded += 1
        structlog.get_logger("recording").error("recording ends", path=str(self._path), why=str(error))


# --- reading it again ---


@dataclass(frozen=True, slots=True)
class Began:
    """A run begins, or goes on from where the file before ended."""

    line: int
    utc: str
    boot_id: str
    at_s: float
    run: Any = None
    """What the run began with; None where it goes on."""
    state: Any = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry; `event` and `asked` are plain JSON values as the scribe gave them."""

    line: int
    at_s: float
    source: str
    seen_s: float
    event: Any
    asked: dict[str, Any]
    """Empty: nothing was asked for, or (last of its run) it is not known what."""
    last: bool = False
    """Nothing was recorded after it in its run."""


def read_recording(path: Path) -> Iterator[Began | Recorded]:
    """A recording, packed with gzip or not. A line cut off by a kill (the last of its run) is left out; for
    any other bad line, and for a file that does not begin as a recording does: `ValueError` naming it."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opening: Callable[..., IO[bytes]] = gzip.open if packed else Path.open  # type: ignore[assignment]
    with opening(path, "rb") as lines:
        reader = _Reader(path)
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield from reader.read(number, line)
        yield from reader.end()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._entry: Recorded | None = None
        self._last: dict[str, Any] = {}
        self._cut_off: ValueError | None = None
        self._whole = True
        self._begun = False

    def read(self, number: int, line: bytes) -> Iterator[Began | Recorded]:
        fields = _table_of(line)
        if fields is not None and ("began" in fields or "goes_on" in fields):
            yield from self._before(last=True)
            self._cut_off = None
            self._begun = True
            self._last.clear()
            yield self._beginning(number, line, fields)
            return
        if not self._begun:
            raise self._bad(number, "the beginning of a recording", line)
        if self._cut_off is not None:
            raise self._cut_off
        self._whole = line.endswith(b"\n")
        if fields is not None and "asked" in fields and self._entry is not None:
            entry = self._entry
            self._entry = Recorded(entry.line, entry.at_s, entry.source, entry.seen_s, entry.event, fields)
            return
        entry_now = self._entry_of(number, fields)
        if entry_now is None:
            # The last line of a run may have been cut off by a kill.
            self._cut_off = self._bad(number, "an entry", line)
            return
        yield from self._before(last=False)
        self._entry = entry_now

    def end(self) -> Iterator[Began | Recorded]:
        if self._cut_off is not None and self._whole:
            raise self._cut_off
        yield from self._before(last=True)

    def _before(self, *, last: bool) -> Iterator[Recorded]:
        entry, self._entry = self._entry, None
        if entry is not None:
            yield (
                Recorded(entry.line, entry.at_s, entry.source, entry.seen_s, entry.event, entry.asked, True)
                if last
                else entry
            )

    def _beginning(self, number: int, line: bytes, fields: dict[str, Any]) -> Began:
        try:
            utc = fields["began"] if "began" in fields else fields["goes_on"]
            return Began(
                number, utc, fields["boot_id"], float(fields["at_s"]), fields.get("run"), fields.get("state")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad(number, "the beginning of a run", line) from error

    def _bad(self, number: int, expected: str, line: bytes) -> ValueError:
        return ValueError(f"{self._path}, line {number}: expected {expected}, got {line[:80]!r}")

    def _entry_of(self, number: int, fields: dict[str, Any] | None) -> Recorded | None:
        if fields is None:
            return None
        try:
            at_s, source = float(fields["at_s"]), str(fields["source"])
            event = self._last[source] if fields.get("same") is True else fields["event"]
            seen_s = float(fields.get("seen_s", at_s))
        except (KeyError, TypeError, ValueError):
            return None
        self._last[source] = event
        return Recorded(number, at_s, source, seen_s, event, {})


def _table_of(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None
