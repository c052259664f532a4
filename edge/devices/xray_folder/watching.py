"""One hot folder: a thread that looks, reads what is whole, moves it away, then tells it. It judges nothing.

Files are opened once, never through a link, and read no further than the bounds. A picture is moved before it
is told: whatever dies when, none is told twice.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, assert_never

import structlog

from edge.devices.readings import DeviceFault, Reading, XrayPictureFailed, XrayPictureSeen
from edge.devices.settings import check_settings, setting
from edge.devices.xray_folder.session import Entry, FailureCode, FolderSession, SetAside, TryIt

if TYPE_CHECKING:
    from edge.devices.xray_folder.wire import Grey, Sidecar

TAKEN: Final = "taken"
QUARANTINE: Final = "quarantine"
_LOST_PAUSE_S: Final = 1.0
_MOST_OF_ONE_NAME: Final = 1000
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Settings:
    look_s: float = setting(0.05, "rest between two looks into the folder", least=0.01, most=10)
    stable_s: float = setting(
        0.15, "how long files without SHA-256 in the sidecar must stay as they are", least=0, most=60
    )
    give_up_s: float = setting(
        10.0, "how long what is not whole may stay unchanged until it is set aside", least=0.1, most=3600
    )
    most_columns: int = setting(6000, "longest picture", least=16, most=20_000)
    most_rows: int = setting(4096, "highest picture", least=1, most=4096)
    most_mb: int = setting(64, "largest file", least=1, most=512)
    most_files: int = setting(
        2000, "files of one look; with more in the folder it is told", least=10, most=50_000
    )
    keep_taken: int = setting(
        500, "pictures kept in `taken`; the oldest beyond are deleted", least=0, most=1_000_000
    )
    keep_quarantine: int = setting(200, "the same, of `quarantine`", least=0, most=1_000_000)


def folder_settings(given: Mapping[str, object], path: str = "") -> Settings:
    """Raises `SettingsRefused` with every error, keys below `path`."""
    return check_settings(Settings, given, path)


@dataclass(frozen=True, slots=True)
class FolderHealth:
    state: Literal["not tried", "open", "lost"]
    why: str
    """Of the latest loss."""
    pictures: int
    failed: int


class _Lost(Exception):
    """The folder cannot be listed, read or written."""


class HotFolder:
    """`on_reading(at_s, name, reading)` and `on_news(at_s, name, why)` (why empty: it is there again, or for
    the first time) are called on the folder's thread: they may only enqueue."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Settings,
        *,
        monotonic_s: Callable[[], float],
        on_reading: Callable[[float, str, Reading], None],
        on_news: Callable[[float, str, str], None],
    ) -> None:
        self.name = name
        self._folder = folder
        self._settings = settings
        self._monotonic_s = monotonic_s
        self._on_reading = on_reading
        self._on_news = on_news
        self._session = FolderSession(stable_s=settings.stable_s, give_up_s=settings.give_up_s)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        """Guards the health."""
        self._state: Literal["not tried", "open", "lost"] = "not tried"
        self._why = ""
        self._pictures = 0
        self._failed = 0
        self._foreign_told = False
        self._full_told = False
        self._kept: dict[str, deque[str]] = {}
        self._thread = threading.Thread(target=self._watch, name=f"folder {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; `join` waits."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """False where its thread still hangs in a system call (a share that is gone)."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def health(self) -> FolderHealth:
        with self._lock:
            return FolderHealth(self._state, self._why, self._pictures, self._failed)

    def lying(self) -> Iterator[XrayPictureSeen | XrayPictureFailed]:
        """Every picture there is now, read and left where it lies: of a folder nobody writes into. On the
        caller's thread. Raises `OSError`."""
        from edge.devices.xray_folder import wire

        session = FolderSession(stable_s=0.0, give_up_s=0.0)
        for action in session.looked(0.0, self._listed()[0]):
            match action:
                case TryIt(name):
                    try:
                        yield _seen(action, *self._read(action))
                    except wire.Unfinished as unfinished:
                        yield XrayPictureFailed(name, _failure(unfinished.code), unfinished.why[:300])
                    except wire.Refused as refused:
                        yield XrayPictureFailed(name, "refused", str(refused)[:300])
                    except _Lost as lost:
                        raise OSError(str(lost)) from lost
                case SetAside(name, _, code, why):
                    yield XrayPictureFailed(name, code, why[:300])
                case _:
                    assert_never(action)

    # --- the folder's own thread ---

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
                self._news("")
                pause_s = self._settings.look_s
            except _Lost as lost:
                self._news(str(lost))
                pause_s = _LOST_PAUSE_S
            except Exception as error:  # noqa: BLE001 - one file's fault must not end the care for the folder
                _logger().error("a hot folder raised", folder=self.name, exc_info=error)
                self._news(f"fault of the program: {error!r}"[:300])
                pause_s = _LOST_PAUSE_S
            self._stopping.wait(pause_s)

    def look(self) -> None:
        """One look, on the caller's thread. Raises `_Lost`."""
        entries = self._entries()
        for action in self._session.looked(self._monotonic_s(), entries):
            if self._stopping.is_set():
                return
            try:
                match action:
                    case TryIt():
                        self._try(action)
                    case SetAside():
                        self._set_aside(action)
                    case _:
                        assert_never(action)
            except _Lost:
                self._session.again(action.name)
                raise
        self._tell_foreign()

    def _news(self, why: str) -> None:
        state: Literal["open", "lost"] = "lost" if why else "open"
        with self._lock:
            known = (self._state, self._why) == (state, why) or (state == "open" and self._state == "open")
            self._state, self._why = state, why or self._why
        if not known:
            self._on_news(self._monotonic_s(), self.name, why)

    def _entries(self) -> dict[str, Entry]:
        try:
            for below in (TAKEN, QUARANTINE):
                (self._folder / below).mkdir(exist_ok=True)
                if (self._folder / below).is_symlink():
                    raise _Lost(f"{self._folder}: {below} is a link: expected a folder of its own")
            entries, full = self._listed()
        except OSError as error:
            raise _Lost(f"{self._folder}: {error.strerror or error!r}") from error
        if full and not self._full_told:
            detail = f"more than {self._settings.most_files} files"
            self._on_reading(self._monotonic_s(), self.name, DeviceFault("folder_full", detail))
        self._full_told = full
        return entries

    def _listed(self) -> tuple[dict[str, Entry], bool]:
        """(files, there are more than the bound). Raises `OSError`."""
        entries: dict[str, Entry] = {}
        with os.scandir(self._folder) as found:
            for each in found:
                if each.name in (TAKEN, QUARANTINE):
                    continue
                if len(entries) >= self._settings.most_files:
                    return entries, True
                with contextlib.suppress(FileNotFoundError):
                    about = each.stat(follow_symlinks=False)
                    plain = stat.S_ISREG(about.st_mode)
                    entries[each.name] = Entry(about.st_size, about.st_mtime_ns, plain)
        return entries, False

    def _tell_foreign(self) -> None:
        foreign = sorted(self._session.foreign)
        if foreign and not self._foreign_told:
            names = ", ".join(ascii(name) for name in foreign[:3])[:200]
            fault = DeviceFault("foreign_files", f"{len(foreign)}: {names}")
            self._on_reading(self._monotonic_s(), self.name, fault)
        self._foreign_told = bool(foreign)

    # --- one picture ---

    def _try(self, action: TryIt) -> None:
        from edge.devices.xray_folder import wire

        files = (action.sidecar, *action.pictures)
        try:
            sidecar, low, high = self._read(action)
        except FileNotFoundError:
            return  # another reader's
        except wire.Unfinished as unfinished:
            self._session.not_yet(action.name, _failure(unfinished.code), unfinished.why)
            return
        except wire.Refused as refused:
            self._set_aside(SetAside(action.name, files, "refused", str(refused)))
            return
        if sidecar.counts < 0:
            counts = (sidecar.encoder_first, sidecar.encoder_last)
            why = f"its counts run back from {counts[0]} to {counts[1]}"
            self._set_aside(SetAside(action.name, files, "reversed", why))
            return
        # the sidecar goes first: whatever happens next, nobody reads this picture again
        moved = [self._move(file, TAKEN) for file in files]
        if not all(moved):
            return
        self._session.gone(action.name)
        self._keep(TAKEN, action.name, self._settings.keep_taken)
        with self._lock:
            self._pictures += 1
        seen = _seen(action, sidecar, low, high)
        self._on_reading(self._monotonic_s(), self.name, seen)

    def _read(self, action: TryIt) -> tuple[Sidecar, Grey, Grey]:
        """Raises `Unfinished`, `Refused`, `FileNotFoundError`, `_Lost`."""
        from edge.devices.xray_folder import wire

        most = wire.Most(self._settings.most_columns, self._settings.most_rows)
        sidecar = wire.read_sidecar(self._bytes(action.sidecar, wire.MOST_SIDECAR_BYTES), most)
        hashed = all(file in sidecar.sha256 for file in action.pictures)
        if not hashed and not action.still:
            raise wire.Unfinished("cut_off", "its files were still changing")
        contents = [self._bytes(file, self._settings.most_mb * 1_000_000) for file in action.pictures]
        # what its header refuses is refused now, however much of it is still to come
        arrays: list[Grey] = []
        for file, data in zip(action.pictures, contents, strict=True):
            kind = file.rpartition(".")[2]
            if kind == "png":
                arrays.append(wire.read_png(data, most))
            elif kind in ("tif", "tiff"):
                arrays.append(wire.read_tiff(data, most))
            else:
                arrays += wire.read_raw(data, most)
            if hashed and hashlib.sha256(data).hexdigest() != sidecar.sha256[file]:
                raise wire.Unfinished("mismatch", f"{file}: its SHA-256 is not the sidecar's")
        low, high = arrays
        for values in (low, high):
            if values.shape != (sidecar.rows, sidecar.columns):
                rows, columns = values.shape
                said = f"{sidecar.columns} columns of {sidecar.rows}"
                raise wire.Unfinished("mismatch", f"{columns} columns of {rows}, the sidecar says {said}")
        return sidecar, low, high

    def _bytes(self, file: str, most_bytes: int) -> bytes:
        """Raises `Refused`, `FileNotFoundError`, `_Lost`."""
        from edge.devices.xray_folder import wire

        try:
            descriptor = os.open(self._folder / file, _OPEN_FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise wire.Refused(f"{file} is no plain file") from error
            # on some systems its writer keeps others out
            raise wire.Unfinished("garbled", f"{file} cannot be opened: {error.strerror}") from error
        try:
            with os.fdopen(descriptor, "rb", closefd=True) as opened:
                about = os.fstat(opened.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise wire.Refused(f"{file} is no plain file")
                if about.st_size > most_bytes:
                    raise wire.Refused(f"{file}: {about.st_size} bytes, at most {most_bytes}")
                data = opened.read(most_bytes + 1)
        except OSError as error:
            raise _Lost(f"{self._folder}: {file}: {error.strerror}") from error
        if len(data) > most_bytes:
            raise wire.Refused(f"{file}: more than {most_bytes} bytes")
        return data

    def _set_aside(self, action: SetAside) -> None:
        moved = [self._move(file, QUARANTINE) for file in action.files]
        if not any(moved):
            return
        self._session.gone(action.name)
        self._keep(QUARANTINE, action.name, self._settings.keep_quarantine)
        with self._lock:
            self._failed += 1
        _logger().warning("picture set aside", folder=self.name, picture=action.name, why=action.why)
        failed = XrayPictureFailed(action.name, action.code, action.why[:300])
        self._on_reading(self._monotonic_s(), self.name, failed)

    def _move(self, file: str, below: str) -> bool:
        """False: it is gone already. Raises `_Lost`. A name that was there before keeps both."""
        to = self._folder / below / file
        number = 1
        while os.path.lexists(to) and number < _MOST_OF_ONE_NAME:
            to = self._folder / below / f"{file}.{number}"
            number += 1
        try:
            (self._folder / file).rename(to)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _Lost(f"{self._folder}: {file} cannot be moved: {error.strerror}") from error
        return True

    def _keep(self, below: str, name: str, most: int) -> None:
        """Deletes the oldest pictures beyond `most`. Failing to is no fault of a picture."""
        kept = self._kept.get(below)
        if kept is None:
            kept = self._kept[below] = deque(_names_by_age(self._folder / below))
        if name not in kept:
            kept.append(name)
        while len(kept) > most:
            oldest = kept.popleft()
            for path in (self._folder / below).glob(f"{oldest}[._]*"):
                if _picture_of(path.name) == oldest:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _seen(action: TryIt, sidecar: Sidecar, low: Grey, high: Grey) -> XrayPictureSeen:
    import numpy as np

    first = sidecar.encoder_first
    counts = np.rint(np.linspace(first, first + sidecar.counts, sidecar.columns)).astype(np.int64)
    for array in (low, high, counts):
        array.setflags(write=False)
    return XrayPictureSeen(
        picture=f"{action.name}@{sidecar.begun}",
        low=low,
        high=high,
        counts=counts,
        air_low=sidecar.air_low,
        air_high=sidecar.air_high,
        mm_per_count=sidecar.mm_per_count,
        mm_per_pixel=sidecar.mm_per_pixel,
        mm_per_column=sidecar.mm_per_column,
        status=sidecar.status,
        begun_utc=sidecar.begun,
        serial=sidecar.serial,
        kilovolts=sidecar.kilovolts,
        microamperes=sidecar.microamperes,
        before_start=action.before_start,
    )


def _failure(code: str) -> FailureCode:
    match code:
        case "cut_off" | "mismatch":
            return code
        case _:
            return "garbled"


_ENDING: Final = re.compile(r"(?:_(?:low|high)\.(?:png|tif|tiff)|\.(?:raw|pkg|json))(?:\.\d+)?")


def _picture_of(file: str) -> str:
    """The NAME a moved file belongs to."""
    found = list(_ENDING.finditer(file))
    return file[: found[-1].start()] if found and found[-1].end() == len(file) else file


def _names_by_age(folder: Path) -> list[str]:
    ages: dict[str, float] = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                name = _picture_of(path.name)
                ages[name] = min(ages.get(name, float("inf")), path.lstat().st_mtime)
    return sorted(ages, key=lambda name: ages[name])


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("folders")
    return log
