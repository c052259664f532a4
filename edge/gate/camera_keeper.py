"""The lane's side of a camera in a process of its own: starts it, asks it for pictures, starts it again."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final, assert_never

import structlog

from edge.devices.fixed_camera.camera import CameraHealth, CameraNews
from edge.gate.camera_line import Begin, LineBroken, Seen, Shoot, Shown, read_up, write
from edge.gate.effects import TakePicture
from edge.gate.taking import NotKept
from sync.vocabulary.commands import ASKED

COMMAND: Final = (sys.executable, "-m", "edge.gate.camera_process")
MOST_ASKED: Final = 8
"""Asked for and not answered: more would fill the line to a process that hangs, and then hold the lane."""
MOST_FOR_THE_CENTRE: Final = 4
"""What the centre asks for leaves room for the steps of a passage."""
DEAF_S: Final = 15.0
"""A process that tells nothing for so long hangs, and is ended; it tells twice a second."""
FIRST_WORD_S: Final = 60.0
"""The same before its first word: a PC that starts everything at once takes long to load OpenCV."""
_ANSWER_S: Final = 5.0
_END_S: Final = 2.0
_LIVED_S: Final = 60.0
_LEAST_PAUSE_S: Final = 0.2

_Answer = tuple[bytes, str]


class CameraKeeper:
    """A `taking.Camera`."""

    def __init__(
        self,
        begin: Begin,
        *,
        monotonic_s: Callable[[], float],
        delay_s: Callable[[int], float],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.name = begin.name
        self._begin = begin
        self._command = command
        self._monotonic_s = monotonic_s
        self._delay_s = delay_s
        self._answer_s = begin.settings.wait_s + begin.settings.fresh_s + _ANSWER_S
        self._stopping = threading.Event()
        self._guard = threading.RLock()
        """Of what follows. Held while a message is written: they are few and small, see `MOST_ASKED`."""
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: dict[int, queue.SimpleQueue[_Answer]] = {}
        self._number = 0
        self._heard_s = 0.0
        self._deaf_s = FIRST_WORD_S
        self._health = CameraHealth("not opened", "", None, 0, 0, 0)
        self._wrong: str | None = None
        self._told = ""
        self._deaths = 0
        self._thread = threading.Thread(target=self._keep, name=f"camera {begin.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with self._guard:
            if self._process is not None:
                self._close_line(self._process)

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
            if self._thread.is_alive():
                self._end()
                self._thread.join(_END_S)
        return not self._thread.is_alive()

    def shoot(self, request: TakePicture, utc: str) -> _Asked:
        answer: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        most = MOST_FOR_THE_CENTRE if request.moment == ASKED else MOST_ASKED
        with self._guard:
            self._number += 1
            process = self._process
            if process is None or process.stdin is None:
                answer.put((b"", self._wrong or "its process is not running"))
            elif len(self._asked) >= most:
                answer.put((b"", f"{most} pictures are asked of it already"))
            else:
                self._asked[self._number] = answer
                try:
                    write(process.stdin, Shoot(self._number, request, utc))
                except (OSError, ValueError):
                    del self._asked[self._number]
                    answer.put((b"", "its process has ended"))
        return _Asked(answer, self._answer_s)

    def look(self) -> CameraNews | None:
        with self._guard:
            if self._process is not None and self._monotonic_s() - self._heard_s > self._deaf_s:
                self._end()
            wrong = self._wrong
            if wrong is None or bool(wrong) == bool(self._told):
                return None
            self._told = wrong
        return CameraNews(wrong)

    def health(self) -> CameraHealth:
        with self._guard:
            return self._health

    # --- its own thread ---

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began_s = self._monotonic_s()
            why = self._live()
            if self._stopping.is_set():
                return
            failures = 1 if self._monotonic_s() - began_s >= _LIVED_S else failures + 1
            with self._guard:
                self._deaths += 1
                self._wrong = why
                self._health = CameraHealth("lost", why, None, 0, 0, self._deaths)
            _logger().warning("the process of a camera ended", camera=self.name, why=why)
            self._stopping.wait(max(self._delay_s(failures), _LEAST_PAUSE_S))

    def _live(self) -> str:
        """One life of the process; why it ended."""
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            return f"its process cannot be started: {error}"[:200]
        with self._guard:
            self._process, self._heard_s, self._deaf_s = process, self._monotonic_s(), FIRST_WORD_S
            try:
                if process.stdin is not None:
                    write(process.stdin, self._begin)
            except (OSError, ValueError):
                pass
            if self._stopping.is_set():
                self._close_line(process)
        why = self._hear_all(process)
        with self._guard:
            self._process = None
            self._close_line(process)
            for answer in self._asked.values():
                answer.put((b"", why or "its process ended"))
            self._asked.clear()
        code = _ended(process)
        if process.stdout is not None:
            process.stdout.close()
        return why or f"its process ended: {_word(code)}"

    def _hear_all(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        try:
            while (heard := read_up(process.stdout)) is not None:
                message, data = heard
                with self._guard:
                    self._heard_s, self._deaf_s = self._monotonic_s(), DEAF_S
                    match message:
                        case Seen(health, wrong):
                            self._health, self._wrong = health, wrong
                        case Shown(number, why):
                            asked = self._asked.pop(number, None)
                            if asked is not None:
                                asked.put((data, why))
                        case _:
                            assert_never(message)
        except LineBroken as error:
            process.kill()
            return f"its process said what is no message: {error}"[:200]
        except OSError as error:
            return f"its process cannot be heard: {error}"[:200]
        return ""

    def _close_line(self, process: subprocess.Popen[bytes]) -> None:
        """It finishes what was asked, and ends."""
        try:
            if process.stdin is not None:
                process.stdin.close()
        except OSError:
            pass

    def _end(self) -> None:
        with self._guard:
            if self._process is not None:
                self._process.kill()


class _Asked:
    """A `taking.Shot`."""

    def __init__(self, answer: queue.SimpleQueue[_Answer], answer_s: float) -> None:
        self._answer = answer
        self._answer_s = answer_s

    def picture(self) -> bytes:
        try:
            jpeg, why = self._answer.get(timeout=self._answer_s)
        except queue.Empty:
            raise NotKept(f"its process did not answer in {self._answer_s:g} s") from None
        if why or not jpeg:
            raise NotKept(why or "no picture")
        return jpeg


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _word(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("cameras")
    return log
