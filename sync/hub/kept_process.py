"""Keeps another program of the hub running beside it. Knows nothing of what it does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

AGAIN_AFTER_S: Final = 2.0
ENDS_WITHIN_S: Final = 3.0


class KeptProcess:
    """Started again when it dies, ended with the hub."""

    def __init__(self, module: str, config_file: Path, log: Any) -> None:
        self._module = module
        self._config_file = config_file
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._again_s = 0.0
        self._said = b""

    def tell(self, line: str) -> None:
        """What was told last is told again when it is started again. Never waits: a program that does not
        listen hears no more than a pipe holds."""
        self._said = f"{line}\n".encode()
        self._say()

    def _say(self) -> None:
        process = self._process
        if self._said and process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(process.stdin.fileno(), self._said)

    def look(self) -> None:
        """Now and then; never waits."""
        now_s = time.monotonic()
        process = self._process
        if process is not None and process.poll() is None:
            return
        if process is not None:
            self._close(process)
            self._process = None
            self._log.error(
                "program ended", module=self._module, code=process.returncode, doing="started again"
            )
            self._again_s = now_s + AGAIN_AFTER_S
        if now_s >= self._again_s:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", self._module, str(self._config_file)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                )
                if self._process.stdin is not None:
                    os.set_blocking(self._process.stdin.fileno(), False)
                self._say()
            except OSError as error:
                # No memory or no process left: the hub goes on without it.
                self._log.error("program not started", module=self._module, why=str(error))
                self._again_s = now_s + AGAIN_AFTER_S

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # Its standard input ends: it says goodbye to whom it serves, and ends.
        self._close(process)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
