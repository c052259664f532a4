"""Facts made durable by themselves, and what one `kill -9` costs: our journal beside the nearest Python peer.

The peer is the storage of the ThingsBoard IoT gateway (sqlite and file), in a venv of its own that
`kakou bench --peers FOLDER` makes: it is no part of kakou and no dependency. Its `put` answers before
anything is written, and it never asks the disk to sync; ours answers after the sync.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import storing_ours, storing_thingsboard
from bench.harness import Bench, Figure, in_turns
from bench.patience import Watched

PACKAGE = "thingsboard-gateway==3.8.5"
"""Of October 2026, the newest when this was written."""
FACTS = 20_000
FACTS_BY_TOGETHER = {1: 500, 10: 5_000, 1_000: 20_000}
"""Facts in one commit -> facts a round."""
KILLED_AFTER = 2_000
ROUNDS = 5
KINDS = ("sqlite", "file")
WITHIN_S = 300.0
SILENT_S = 60.0


def peers_python(folder: Path) -> Path:
    """The Python of a venv with the peer in it, made where there is none."""
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=WITHIN_S)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]
    subprocess.run(
        install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WITHIN_S
    )
    return python


def run(folder: Path, scale: float, peers: Path | None = None) -> Bench:
    """Of a disk, not of a size: `scale` only shortens what is measured below 0.1. `peers`: where the peer's
    venv is, or shall be."""
    share = min(1.0, scale * 10)
    killed_after = max(50, int(KILLED_AFTER * share))
    works = {
        f"ours {n}": _Work(folder, _ours(n), max(n, int(facts * share)))
        for n, facts in FACTS_BY_TOGETHER.items()
    }
    setting = f"facts of some 500 bytes, {ROUNDS} rounds in turn"
    if peers is None:
        setting += f"; {PACKAGE} not measured: give --peers FOLDER and it is installed there"
    else:
        python = peers_python(peers)
        count = max(1_000, int(FACTS * share))
        works |= {f"peer {kind}": _Work(folder, _theirs(python, kind), count) for kind in KINDS}
    rates = in_turns(ROUNDS, [(name, work.durable_rate) for name, work in works.items()])
    figures = []
    for name, work in works.items():
        who, what = name.split()
        ours = who == "ours"
        called = f"journal, {what} a commit, synced" if ours else f"ThingsBoard {what} storage, not synced"
        beside = "peer sqlite" if name == "ours 1000" and peers is not None else None
        kept = work.kept_after_a_kill(killed_after)
        figures += [
            Figure(
                called, rates.median(name), "/s in the file",
                rates.ratio(name, beside) if beside else None, "ThingsBoard sqlite" if beside else "",
                note="" if ours else f"put() returned at {work.put_rate():,.0f} /s",
            ),
            Figure(
                f"the same after kill -9, of {killed_after:,} accepted", kept, "kept",
                kept / killed_after, "accepted", at_least=1.0 if ours else None,
            ),
        ]  # fmt: skip
    return Bench("storing", figures, setting)


_Command = Callable[[Path, str, int], Sequence[str]]
"""Folder, mode, count -> the command."""


def _ours(together: int) -> _Command:
    return lambda folder, mode, count: (
        sys.executable, "-m", "bench.storing_ours", str(folder), str(together), mode, str(count)
    )  # fmt: skip


def _theirs(python: Path, kind: str) -> _Command:
    return lambda folder, mode, count: (
        str(python), str(Path(storing_thingsboard.__file__)), str(folder), kind, mode, str(count)
    )  # fmt: skip


class _Work:
    """One way to store; each run starts with an empty folder."""

    def __init__(self, folder: Path, command: _Command, facts: int) -> None:
        self._folder = folder / "storing"
        self._command = command
        self._facts = facts
        self._put_s: list[float] = []

    def durable_rate(self) -> float:
        """Facts a second, until the last was in the file."""
        self._empty()
        command = self._command(self._folder, "rate", self._facts)
        said = subprocess.run(command, check=True, capture_output=True, timeout=WITHIN_S).stdout
        put_s, kept_s = json.loads(said.splitlines()[-1])
        self._put_s.append(put_s)
        return self._facts / float(kept_s)

    def put_rate(self) -> float:
        return self._facts / min(self._put_s)

    def kept_after_a_kill(self, after: int) -> int:
        """How many of `after` accepted facts are there after SIGKILL."""
        self._empty()
        command = self._command(self._folder, "kill", after)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            with Watched(process, SILENT_S) as watched:
                accepted = 0
                while accepted < after:
                    accepted = int(watched.line(f"fact {accepted + 1} of {after} to be accepted"))
            process.kill()
        kind = command[-3]
        if kind in KINDS:
            return storing_thingsboard.kept(self._folder, kind)
        return storing_ours.kept(self._folder)

    def _empty(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
