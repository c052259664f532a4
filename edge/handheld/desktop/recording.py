"""A PC's microphone, through the program its sound system has for it: PipeWire and PulseAudio's `parecord`,
or ALSA's `arecord`. A process of its own, killed when the note is over.
"""

from __future__ import annotations

import select
import shutil
import subprocess
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy

from edge.handheld.ports import PortFailed

if TYPE_CHECKING:
    from numpy import int16
    from numpy.typing import NDArray

RATE_HZ: Final = 8_000
PACKET_BYTES: Final = 320
"""20 ms of one channel, 16 bits."""
SILENT_S: Final = 3.0
"""Without a packet for so long the program hangs: on a device that is taken, or a server that is gone."""
ENDS_WITHIN_S: Final = 2.0

PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    "parecord": ("--raw", "--format=s16le", "--channels=1", f"--rate={RATE_HZ}", "--latency-msec=20"),
    "arecord": ("-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(RATE_HZ)),
}
"""Tried in this order."""


class ProgramMicrophone:
    """`edge.handheld.ports.Microphone`."""

    def __init__(self, which: Callable[[str], str | None] = shutil.which) -> None:
        self._which = which
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def is_there(self) -> bool:
        return any(self._which(name) is not None for name in PROGRAMS)

    def open(self) -> None:
        found = [(path, given) for name, given in PROGRAMS.items() if (path := self._which(name)) is not None]
        if not found:
            raise PortFailed(f"this PC has no {' or '.join(PROGRAMS)} to record with")
        path, given = found[0]
        with self._lock:
            if self._process is not None:
                return
            try:
                # A fixed program with fixed arguments, and no shell.
                self._process = subprocess.Popen(
                    [path, *given],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                )
            except OSError as error:
                raise PortFailed(f"{path}: {error.strerror}") from error

    def read(self) -> NDArray[int16]:
        process = self._process
        if process is None or process.stdout is None:
            raise PortFailed("the microphone is closed")
        packet = b""
        while len(packet) < PACKET_BYTES:
            ready, _, _ = select.select([process.stdout], [], [], SILENT_S)
            if not ready:
                raise PortFailed(f"no sound came for {SILENT_S:.0f} s")
            more = process.stdout.read(PACKET_BYTES - len(packet))
            if not more:
                raise PortFailed(f"the recorder ended: {self._why(process)}"[:200])
            packet += more
        return numpy.frombuffer(packet, "<i2")

    def close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    @staticmethod
    def _why(process: subprocess.Popen[bytes]) -> str:
        if process.stderr is None:
            return ""
        ready, _, _ = select.select([process.stderr], [], [], 0.2)
        told = process.stderr.read(400) if ready else b""
        return " ".join(told.decode("utf-8", "replace").split()) or "without a word"
