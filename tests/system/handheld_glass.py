"""A handheld without a window, and a person who works on it with lines. For tests."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
RUN = "session"


class Handheld:
    """The program, and a person who types on with the next number whatever happens."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path
        self.number = 0
        self.done: set[int] = set()
        self.found = 0
        """Of the last opening: so far this run was durable before."""
        self.views: list[dict[str, Any]] = []
        """The last one alone."""
        self.asks: list[dict[str, Any]] = []
        """What was asked of camera, loudspeaker and the like, all of it."""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "edge.cli", "handheld", str(self._config_path)]
        self._process = subprocess.Popen(
            [*command, "--headless", "--run", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    def kill(self) -> None:
        process = self._process
        assert process is not None
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        self._drain()

    def end(self) -> int:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        return process.wait(PATIENCE_S)

    def ended(self) -> None:
        """By itself."""
        process = self._process
        assert process is not None
        process.wait(PATIENCE_S)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        self._drain()

    def say(self, **event: Any) -> int:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self.number += 1
        process.stdin.write(json.dumps({"n": self.number, "event": event}) + "\n")
        process.stdin.flush()
        return self.number

    def wait_for(self, number: int) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while number not in self.done:
            self._hear(max(0.0, until_s - time.monotonic()))

    def do(self, **event: Any) -> None:
        """And wait until all that came of it is durable."""
        self.wait_for(self.say(**event))

    def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first view of which this is so."""
        until_s = time.monotonic() + PATIENCE_S
        while not self.views or not is_so(self.views[0]):
            self._hear(max(0.0, until_s - time.monotonic()))
        return self.views[0]

    def sign_in(self, officer_no: str, pin: str) -> None:
        self.do(**{"is": "SignInAsked", "officer_no": officer_no, "pin": pin})

    def _read(self, process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    def _drain(self) -> None:
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line is None:
                return
            self._take(line)

    def _hear(self, timeout_s: float) -> None:
        line = self._lines.get(timeout=timeout_s)
        assert line is not None, "the program ended"
        self._take(line)

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            # Cut off by the kill.
            return
        assert "refused" not in said, said
        if "done" in said:
            self.done.add(said["done"])
        if "found" in said:
            assert said["found"]["run"] == RUN
            self.found = said["found"]["number"]
        if "ask" in said:
            self.asks.append(said["ask"])
        if "view" in said:
            self.views = [said["view"]]
