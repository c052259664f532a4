"""Waiting for other programs, but not for ever: what did not come is named. Measures nothing itself."""

from __future__ import annotations

import subprocess
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Self

ENDED_WITHIN_S = 20.0


class Watched:
    """Ends a program that says nothing for `within_s`: whoever reads its lines then reads their end."""

    def __init__(self, process: subprocess.Popen[Any], within_s: float) -> None:
        self._process = process
        self._within_s = within_s
        self._heard_s = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watched", daemon=True)
        self.gave_up = False

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.over()

    def begin(self) -> None:
        self._heard_s = time.monotonic()
        self._thread.start()

    def over(self) -> None:
        """It may be as silent as it likes."""
        self._over.set()
        self._thread.join()

    def heard(self) -> None:
        """It lives, or was asked only now: the limit begins again."""
        self._heard_s = time.monotonic()

    def line(self, expected: str) -> str:
        """Its next line, without its end. Raises `RuntimeError` that says what was `expected`."""
        if self._process.stdout is None:
            raise RuntimeError("the program has no lines to read")
        line = self._process.stdout.readline()
        if not line:
            how = f"said nothing for {self._within_s:g} s" if self.gave_up else "ended"
            raise RuntimeError(f"expected {expected}, but the program {how}")
        self.heard()
        text: str = line if isinstance(line, str) else line.decode()
        return text.rstrip("\n")

    def _watch(self) -> None:
        while (left_s := self._heard_s + self._within_s - time.monotonic()) > 0:
            if self._over.wait(left_s):
                return
        self.gave_up = True
        self._process.kill()


def received(connection: Connection, expected: str, within_s: float) -> Any:
    """What another process of ours sends next. Raises `RuntimeError` that says what was `expected`."""
    if not connection.poll(within_s):
        raise RuntimeError(f"expected {expected} within {within_s:g} s, nothing came")
    try:
        return connection.recv()
    except EOFError as error:
        raise RuntimeError(f"expected {expected}, but the process ended") from error


def end(process: subprocess.Popen[Any], within_s: float = ENDED_WITHIN_S) -> None:
    """Asked first, then not."""
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
