"""Child processes that never outlive us: started in their own session, told to end, then made to."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Linux: a killed parent takes its children along (prctl(2)); elsewhere `stop` alone does."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One program with its output in a file."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, talks: bool = False, extra_path: str = ""
    ) -> None:
        """`talks`: its stdin and stdout are ours; otherwise stdout goes to the log too."""
        self.name = name
        self.command = tuple(command)
        self._log: IO[bytes] = log.open("ab")
        self._log_path = log
        self._log_from = log.stat().st_size
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if extra_path:
            environment["PYTHONPATH"] = extra_path + os.pathsep + environment.get("PYTHONPATH", "")
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            env=environment,
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """As a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self._release()

    def stop(self, within_s: float = 5.0) -> int:
        """Ask, wait, then insist. Returns the exit code."""
        if self.running:
            self.process.terminate()
        try:
            code = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._release()
        return code

    def said(self, words: bytes) -> bool:
        """Whether its log has these words since it was started."""
        with self._log_path.open("rb") as log:
            log.seek(self._log_from)
            return words in log.read()

    def tell(self, line: str) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()

    def _release(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._log.close()


def run_to_end(
    command: Sequence[str], *, within_s: float, stopping: threading.Event, output: IO[bytes] | None = None
) -> int | None:
    """Run one short program and answer with its exit code; None where it was cut short.

    In a session of its own too: a Ctrl-C of the terminal reaches us, and we end it. `output`: for both its
    stdout and stderr, ours if left out.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    until_s = time.monotonic() + within_s
    try:
        while not stopping.is_set() and time.monotonic() < until_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(0.05)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return None


def python(*args: str) -> tuple[str, ...]:
    """A command that runs one of our programs with this very interpreter."""
    return (sys.executable, *args)
