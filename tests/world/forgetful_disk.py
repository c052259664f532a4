"""A disk that forgets what was not synced: a real program's own writes, traced, replayed up to any instant.

`strace` writes down every call by which the program changed files below one folder, and what it told the world
(its standard output). `Disk` replays them. Kept for each file are what it holds now and what a sync has made
sure of; for each folder its names likewise. At a power cut what was synced stays, and of the rest whatever a
disk may have written in the meantime: nothing, all, a prefix, any subset, and sectors of a write instead of all
of it. Nothing here knows what is in a file.

The rules are POSIX's, the strictest a lane PC may run on: a name is sure only after its folder was synced, a
rename may be undone, a longer file is holes where its blocks did not arrive. Names of one folder come true in
the order they were given, as every journaling file system has it.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path, PurePosixPath

SECTOR_BYTES = 512
TOLD = 1
"""Descriptor on which the program tells what it has done."""
NOISE_BYTES = 32 * 1024

_CALLS = (
    "open,openat,creat,close,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,"
    "fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,"
    "mkdirat,rmdir,dup,dup2,dup3,fcntl,lseek,copy_file_range,sendfile,sync,syncfs"
)
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.DOTALL)
_ANSWER = re.compile(r"^(.*)\) += (-?\d+)[^=]*$", re.DOTALL)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class CannotTrace(Exception):
    """This machine has no `strace`, or does not let it look at a program; the text says which."""


class Trouble(Exception):
    """The trace holds a call this disk does not know how to replay; the text shows it."""


def record(command: Sequence[str], trace: Path, env: dict[str, str], *, within_s: float = 300.0) -> None:
    """Run a program to its end and write down what it did to files. Raises `CannotTrace`, or `Trouble` when
    the program failed."""
    strace = shutil.which("strace")
    if strace is None:
        raise CannotTrace("strace is not installed")
    watched = [strace, "-f", "-qq", "-xx", "-s", str(1 << 24), "-e", "signal=none", "-e", f"trace={_CALLS}"]
    done = subprocess.run(
        [*watched, "-o", str(trace), "--", *command],
        env=env, capture_output=True, timeout=within_s, check=False,
    )  # fmt: skip
    errors = done.stderr.decode("utf-8", "replace")
    if "PTRACE" in errors or "ptrace" in errors:
        raise CannotTrace(f"strace may not look at programs here: {errors.strip()[:200]}")
    if done.returncode != 0:
        raise Trouble(f"the program ended with {done.returncode}: {errors[-2000:]}")


# --- what a trace says --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One finished system call."""

    name: str
    text: str
    """Its arguments as they stand."""
    answer: int
    data: tuple[bytes, ...]
    """The quoted arguments."""

    def number(self, index: int) -> int:
        return int(self._plain[index], 0)

    @property
    def _plain(self) -> list[str]:
        return [part.strip() for part in _TEXT.sub('""', self.text).split(",")]

    def word(self, index: int) -> str:
        return self._plain[index]


def calls(trace: Path) -> Iterator[Call]:
    """In the order in which they came back."""
    begun: dict[str, str] = {}
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line.rstrip("\n"))
            if match is None:
                continue
            pid, resumed, name, rest = match.groups()
            if resumed is not None:
                name, rest = resumed, begun.pop(pid, "") + rest
            if rest.endswith("<unfinished ...>"):
                begun[pid] = rest.removesuffix("<unfinished ...>")
                continue
            ended = _ANSWER.match(rest)
            if ended is None or int(ended[2]) < 0:
                continue
            data = tuple(bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(ended[1]))
            yield Call(name, ended[1], int(ended[2]), data)


# --- the disk -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Resize:
    size: int


@dataclass(eq=False, slots=True)
class _File:
    now: bytearray = field(default_factory=bytearray)
    sure: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Resize] = field(default_factory=list)

    def do(self, change: _Write | _Resize) -> None:
        _change(self.now, change)
        self.pending.append(change)

    def sync(self) -> None:
        for change in self.pending:
            _change(self.sure, change)
        self.pending.clear()


@dataclass(eq=False, slots=True)
class _Name:
    """One change of a folder's names. `node` None: the name goes. `given`: its node got this name elsewhere
    in the same folder by the same call."""

    name: str
    node: _File | _Folder | None
    with_next: bool = False
    """Half of a rename: it comes true together with the next one."""


@dataclass(eq=False, slots=True)
class _Folder:
    now: dict[str, _File | _Folder] = field(default_factory=dict)
    sure: dict[str, _File | _Folder] = field(default_factory=dict)
    pending: list[_Name] = field(default_factory=list)

    def do(self, *changes: _Name) -> None:
        for change in changes:
            _rename(self.now, change)
        self.pending.extend(changes)

    def sync(self) -> None:
        for change in self.pending:
            _rename(self.sure, change)
        self.pending.clear()


def _change(image: bytearray, change: _Write | _Resize) -> None:
    match change:
        case _Write(offset, data):
            if len(image) < offset:
                image.extend(bytes(offset - len(image)))
            image[offset : offset + len(data)] = data
        case _Resize(size):
            if size <= len(image):
                del image[size:]
            else:
                image.extend(bytes(size - len(image)))


def _rename(names: dict[str, _File | _Folder], change: _Name) -> None:
    if change.node is None:
        names.pop(change.name, None)
    else:
        names[change.name] = change.node


class Kept(Enum):
    """What a disk may have kept of the writes nobody asked it to sync."""

    NOTHING = "nothing"
    ALL = "all"
    PREFIX = "prefix"
    ANY = "any"


@dataclass(slots=True)
class _Open:
    node: _File | _Folder
    at: int = 0
    append: bool = False


class Disk:
    """What is below `root`, as one program's calls leave it. `follow` is the only motor."""

    def __init__(self, root: Path, folders: Sequence[str]) -> None:
        """`folders` of the root were there, empty, before the program began."""
        self._root = PurePosixPath(str(root))
        made: dict[str, _File | _Folder] = {name: _Folder() for name in folders}
        self._top = _Folder(now=dict(made), sure=dict(made))
        self._open: dict[int, _Open] = {}
        self.syncs = 0
        self.told = b""
        """All the program has told so far."""

    # --- following the program ---

    def follow(self, call: Call) -> bool:
        """Replay one call; True when a power cut just after it may leave something else than one before."""
        match call.name:
            case "open" | "openat" | "creat":
                return self._opened(call)
            case "close":
                self._open.pop(call.number(0), None)
                return False
            case "write" if call.number(0) == TOLD and TOLD not in self._open:
                self.told += call.data[0]
                return True
            case "write" | "pwrite64":
                return self._wrote(call)
            case "lseek":
                if (held := self._open.get(call.number(0))) is not None:
                    held.at = call.answer
                return False
            case "ftruncate":
                return self._file_does(call, _Resize(call.number(1)))
            case "fsync" | "fdatasync":
                held = self._open.get(call.number(0))
                if held is None:
                    return False
                held.node.sync()
                self.syncs += 1
                return True
            case "rename" | "renameat" | "renameat2":
                return self._renamed(call)
            case "unlink" | "unlinkat" | "rmdir":
                folder, name = self._place(call, 0)
                if folder is not None:
                    folder.do(_Name(name, None))
                return folder is not None
            case "mkdir" | "mkdirat":
                folder, name = self._place(call, 0)
                if folder is not None:
                    folder.do(_Name(name, _Folder()))
                return folder is not None
            case "fcntl" | "dup" | "dup2" | "dup3":
                copied = call.name != "fcntl" or call.word(1).startswith("F_DUPFD")
                if copied and (held := self._open.get(call.number(0))) is not None:
                    self._open[call.answer] = held
                return False
            case _:
                return self._must_not_touch(call)

    def _opened(self, call: Call) -> bool:
        folder, name = self._place(call, 0)
        if folder is None:
            self._open.pop(call.answer, None)
            return False
        flags = call.text
        node: _File | _Folder | None = folder if name == "" else folder.now.get(name)
        changed = False
        if node is None:
            if "O_CREAT" not in flags and call.name != "creat":
                raise Trouble(f"{name} was opened and is not known: {call.text[-80:]}")
            node = _File()
            folder.do(_Name(name, node))
            changed = True
        if "O_TRUNC" in flags and isinstance(node, _File) and node.now:
            node.do(_Resize(0))
            changed = True
        self._open[call.answer] = _Open(node, append="O_APPEND" in flags)
        return changed

    def _wrote(self, call: Call) -> bool:
        held = self._open.get(call.number(0))
        if held is None:
            return False
        if not isinstance(held.node, _File):
            raise Trouble(f"a folder was written to: {call.text[:80]}")
        data = call.data[0][: call.answer]
        if call.name == "pwrite64":
            at = call.number(3)
        else:
            at = len(held.node.now) if held.append else held.at
            held.at = at + len(data)
        held.node.do(_Write(at, data))
        return True

    def _file_does(self, call: Call, change: _Write | _Resize) -> bool:
        held = self._open.get(call.number(0))
        if held is None or not isinstance(held.node, _File):
            return False
        held.node.do(change)
        return True

    def _renamed(self, call: Call) -> bool:
        (out_of, old), (into, new) = self._place(call, 0), self._place(call, 1)
        if out_of is None and into is None:
            return False
        if out_of is None or into is not out_of:
            raise Trouble(f"a rename from one folder to another: {call.data}")
        node = out_of.now[old]
        out_of.do(_Name(new, node, with_next=True), _Name(old, None))
        return True

    def _must_not_touch(self, call: Call) -> bool:
        """Calls nothing of ours makes on its stores: better loud than replayed wrong."""
        words = _TEXT.sub('""', call.text).split(",")
        ours = any(self._below(PurePosixPath(text.decode("utf-8", "replace"))) for text in call.data)
        ours = ours or any(word.strip().isdecimal() and int(word) in self._open for word in words[:2])
        if ours and call.name not in ("fallocate", "sync_file_range"):
            raise Trouble(f"{call.name}({call.text[:200]})")
        return False

    def _below(self, path: PurePosixPath) -> bool:
        return path == self._root or self._root in path.parents

    def _place(self, call: Call, index: int) -> tuple[_Folder | None, str]:
        """The folder and the name in it that the call's so-many-th path means; None when it is not below the
        root. A folder itself has no name in it."""
        path = PurePosixPath(call.data[index].decode("utf-8", "surrogateescape"))
        folder: _Folder = self._top
        if path.is_absolute():
            if not self._below(path):
                return None, ""
            parts = path.relative_to(self._root).parts
        else:
            # `openat` and its kin say from which folder: before each path.
            where = call.word(2 * index) if call.name.endswith(("at", "at2")) else "AT_FDCWD"
            held = self._open.get(int(where)) if where.isdecimal() else None
            if held is None or not isinstance(held.node, _Folder):
                return None, ""
            folder, parts = held.node, path.parts
        for part in parts[:-1]:
            inner = folder.now.get(part)
            if not isinstance(inner, _Folder):
                raise Trouble(f"{path} lies in no folder that was made")
            folder = inner
        return folder, parts[-1] if parts else ""

    # --- looking at it ---

    def write_now(self, folder: Path, only: str = "") -> None:
        """As every program on the running machine sees it; after `kill -9` it stands so."""
        for name, node in self._top.now.items():
            if only in ("", name):
                _lay_out(folder / name, node)

    def write_after_power_cut(self, folder: Path, draw: random.Random, kept: Kept, only: str = "") -> None:
        """As the next start finds it. `only`: the power of this folder of the root is cut, not the others'."""
        for name, node in _survivors(self._top, draw, kept).items():
            if only in ("", name):
                _lay_out_survivor(folder / name, node, draw, kept)


def _lay_out(path: Path, node: _File | _Folder) -> None:
    if isinstance(node, _File):
        path.write_bytes(node.now)
        return
    path.mkdir(parents=True, exist_ok=True)
    for name, inner in node.now.items():
        _lay_out(path / name, inner)


def _lay_out_survivor(path: Path, node: _File | _Folder, draw: random.Random, kept: Kept) -> None:
    if isinstance(node, _Folder):
        path.mkdir(parents=True, exist_ok=True)
        for name, inner in _survivors(node, draw, kept).items():
            _lay_out_survivor(path / name, inner, draw, kept)
    elif path.name.endswith("-shm"):
        # Written through a mapping that no trace sees: noise is the worst it can hold.
        path.write_bytes(draw.randbytes(NOISE_BYTES))
    else:
        path.write_bytes(_surviving(node, draw, kept))


def _survivors(folder: _Folder, draw: random.Random, kept: Kept) -> dict[str, _File | _Folder]:
    names = dict(folder.sure)
    pending = folder.pending
    match kept:
        case Kept.NOTHING:
            count = 0
        case Kept.ALL:
            count = len(pending)
        case Kept.PREFIX | Kept.ANY:
            count = draw.randint(0, len(pending))
    if 0 < count < len(pending) and pending[count - 1].with_next:
        count += 1
    for change in pending[:count]:
        _rename(names, change)
    return names


def _surviving(file: _File, draw: random.Random, kept: Kept) -> bytes:
    image = bytearray(file.sure)
    match kept:
        case Kept.NOTHING:
            pass
        case Kept.ALL:
            image = bytearray(file.now)
        case Kept.PREFIX:
            count = draw.randint(0, len(file.pending))
            for change in file.pending[:count]:
                _change(image, change)
            if count < len(file.pending):
                _torn(image, file.pending[count], draw, from_the_start=True)
        case Kept.ANY:
            share = draw.random()
            for change in file.pending:
                if draw.random() < share:
                    _change(image, change)
                elif draw.random() < 0.3:
                    _torn(image, change, draw, from_the_start=False)
    return bytes(image)


def _torn(image: bytearray, change: _Write | _Resize, draw: random.Random, *, from_the_start: bool) -> None:
    """Some sectors of a write, as the disk's own sectors lie."""
    if isinstance(change, _Resize):
        return
    at, data = change.offset, change.data
    first = at - at % SECTOR_BYTES
    reached = draw.randint(0, len(data))
    for sector in range(first, at + len(data), SECTOR_BYTES):
        begin, end = max(sector, at) - at, min(sector + SECTOR_BYTES, at + len(data)) - at
        if (begin < reached) if from_the_start else (draw.random() < 0.5):
            _change(image, _Write(at + begin, data[begin:end]))
