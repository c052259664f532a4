"""One fixed camera of a lane, in a process of its own: over stdin and stdout, see `camera_line`.

Decoders of video are large and hear strangers; one that crashes must not take the lane with it. The lane
starts this process, and starts it again when it ends; it ends when the lane closes the line, or is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final, assert_never

import structlog

from edge.devices.fixed_camera.camera import FixedCamera
from edge.devices.fixed_camera.source import cv2
from edge.gate.camera_line import Begin, LineBroken, Seen, Shoot, Shown, Up, read_down, write
from edge.gate.taking import CameraHere, NotKept, ShotHere
from edge.runtime.log import set_up_log

TELL_EVERY_S: Final = 0.5


class _Camera:
    """Reads on one thread, draws on another, tells on a third; only whole messages go out."""

    def __init__(self, begin: Begin, out: IO[bytes]) -> None:
        camera = FixedCamera(
            begin.name,
            begin.address(),
            begin.limits,
            monotonic_s=time.monotonic,
            delay_s=begin.back_off.delay_s,
        )
        self._camera = camera
        self._here = CameraHere(camera, begin.settings, lane_id=begin.lane_id, monotonic_s=time.monotonic)
        self._out = out
        self._writes = threading.Lock()
        self._asked: queue.SimpleQueue[tuple[int, ShotHere] | None] = queue.SimpleQueue()
        self._drawing = threading.Thread(target=self._draw, name="drawing", daemon=True)

    def run(self, orders: IO[bytes]) -> None:
        # Loaded before the camera's silence begins to count.
        cv2()
        self._here.start()
        self._drawing.start()
        threading.Thread(target=self._tell, name="telling", daemon=True).start()
        while (message := read_down(orders)) is not None:
            match message:
                case Shoot(number, request, utc):
                    self._asked.put((number, self._here.shoot(request, utc)))
                case Begin():
                    raise LineBroken("begun twice")
                case _:
                    assert_never(message)
        self._here.stop()
        self._asked.put(None)
        self._drawing.join()

    def _draw(self) -> None:
        while (asked := self._asked.get()) is not None:
            number, shot = asked
            try:
                jpeg, why = shot.picture(), ""
            except NotKept as error:
                jpeg, why = b"", str(error)
            except Exception as error:  # noqa: BLE001 - one picture's fault must not end all others
                structlog.get_logger("pictures").error("a picture failed", exc_info=error)
                jpeg, why = b"", f"fault of the program: {error!r}"
            self._write(Shown(number, why[:200]), jpeg)

    def _tell(self) -> None:
        while True:
            self._write(Seen(self._camera.health(), self._camera.wrong()))
            time.sleep(TELL_EVERY_S)

    def _write(self, message: Up, data: bytes = b"") -> None:
        with self._writes:
            try:
                write(self._out, message, data)
            except (OSError, ValueError):
                os._exit(1)


def main() -> None:
    # A service is stopped by a signal to all its processes: the lane says goodbye first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Where memory runs out, a camera goes before its lane.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    # What a library prints must not come between messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    begin = read_down(sys.stdin.buffer)
    if not isinstance(begin, Begin):
        os._exit(2)
    set_up_log(begin.log_level)
    code = 0
    try:
        _Camera(begin, out).run(sys.stdin.buffer)
    except LineBroken as error:
        structlog.get_logger("cameras").error("the lane's line broke", why=str(error))
        code = 1
    # OpenCV aborts where Python takes its threads away, and a thread may hang inside it.
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
