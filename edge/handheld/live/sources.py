"""Where a live session's pictures and sound come from: ports, and what a desktop has. Android's own
microphone and camera are `edge.handheld.android`'s. No socket, no session.

Every call belongs to the one thread that uses the source, except `LatestPicture.put`.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import threading
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge.devices.fixed_camera.source import Address, Source, SourceLost, open_source
from edge.handheld.live.g711 import SAMPLES_A_S, Samples
from edge.handheld.ports import Microphone, PortFailed
from edge.reading.frames import FrameSource

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

PACKET_SAMPLES: Final = 320
"""40 ms."""
READ_WITHIN_S: Final = 0.5
ARECORD: Final = ("arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(SAMPLES_A_S), "-c", "1")
"""ALSA's own recorder, where a desktop has one."""


class PictureSource(Protocol):
    """Every call may raise `SourceLost`."""

    def begin(self) -> None: ...

    def newest(self) -> Pixels | None:
        """(rows, columns, 3) blue, green, red, or (rows, columns) grey. Waits at most half a second; None:
        nothing new came."""

    def end(self) -> None: ...


class SoundSource(Protocol):
    """Every call may raise `SourceLost`. Between `end` and `begin` the microphone is off."""

    def begin(self) -> None: ...

    def read(self) -> Samples:
        """The next 320 samples of 16 bits, 8,000 a second, one channel; empty where none came in half a
        second."""

    def end(self) -> None: ...


class LatestPicture:
    """What whoever owns the camera has seen last: a handheld's camera also reads codes. `put` is safe on any
    thread and never waits."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._pixels: Pixels | None = None

    def put(self, pixels: Pixels) -> None:
        with self._ready:
            self._pixels = pixels
            self._ready.notify_all()

    def begin(self) -> None:
        with self._ready:
            self._pixels = None

    def newest(self) -> Pixels | None:
        with self._ready:
            if self._pixels is None:
                self._ready.wait(READ_WITHIN_S)
            pixels, self._pixels = self._pixels, None
            return pixels

    def end(self) -> None:
        pass


class FramePictures:
    """The frames that codes are read from, as the camera's owner shows them: grey, since reading needs no
    colour. `LatestPicture` is for whoever has colour."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames
        self._last = -1

    def begin(self) -> None:
        self._last = -1

    def newest(self) -> Pixels | None:
        until_s = time.monotonic() + READ_WITHIN_S
        while time.monotonic() < until_s:
            frame = self._frames.frame()
            if frame is not None and frame.number != self._last:
                self._last = frame.number
                return frame.grey
            time.sleep(0.01)
        return None

    def end(self) -> None:
        pass


class CameraPictures:
    """A camera, stream, file or folder of its own, as a desktop has it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._source: Source | None = None
        self._due_s = 0.0

    def begin(self) -> None:
        self.end()
        self._source = open_source(self._address, open_timeout_s=3.0, read_timeout_s=2.0)

    def newest(self) -> Pixels | None:
        source = self._source
        if source is None:
            raise SourceLost(f"{self._address}: is not open")
        if source.pause_s:
            time.sleep(max(0.0, min(READ_WITHIN_S, self._due_s - time.monotonic())))
            self._due_s = time.monotonic() + source.pause_s
        return source.frame() if source.advance() else None

    def end(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()


class _Paced:
    """Hands out packets no faster than they would be spoken."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def wait(self) -> None:
        now_s = time.monotonic()
        if self._due_s < now_s - READ_WITHIN_S:
            self._due_s = now_s
        self._due_s += PACKET_SAMPLES / SAMPLES_A_S
        time.sleep(max(0.0, self._due_s - now_s))


class PortSound:
    """The device's own microphone (`edge.handheld.ports`): two of its packets are one of ours."""

    def __init__(self, microphone: Microphone) -> None:
        self._microphone = microphone
        self._samples: Samples = np.zeros(0, np.int16)

    def begin(self) -> None:
        self._samples = self._samples[:0]
        try:
            self._microphone.open()
        except PortFailed as error:
            raise SourceLost(str(error)) from error

    def read(self) -> Samples:
        try:
            while len(self._samples) < PACKET_SAMPLES:
                self._samples = np.concatenate([self._samples, self._microphone.read()])
        except PortFailed as error:
            raise SourceLost(str(error)) from error
        packet, self._samples = self._samples[:PACKET_SAMPLES], self._samples[PACKET_SAMPLES:]
        return packet

    def end(self) -> None:
        self._microphone.close()


class ToneSound:
    """A tone: for trying out, and where there is no microphone."""

    def __init__(self, hertz: float = 440.0, loudness: float = 0.3) -> None:
        self._step = 2 * math.pi * hertz / SAMPLES_A_S
        self._loudness = loudness * 32_767
        self._at = 0
        self._paced = _Paced()

    def begin(self) -> None:
        self._at = 0

    def read(self) -> Samples:
        self._paced.wait()
        phase = (self._at + np.arange(PACKET_SAMPLES)) * self._step
        self._at += PACKET_SAMPLES
        return np.asarray(np.sin(phase) * self._loudness, np.int16)

    def end(self) -> None:
        pass


class FileSound:
    """A WAV file of 16 bits, 8,000 a second, one channel, again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples: Samples = np.zeros(0, np.int16)
        self._at = 0
        self._paced = _Paced()

    def begin(self) -> None:
        try:
            with wave.open(str(self._path), "rb") as opened:
                kind = (opened.getframerate(), opened.getsampwidth(), opened.getnchannels())
                data = opened.readframes(min(opened.getnframes(), 3600 * SAMPLES_A_S))
        except (OSError, EOFError, wave.Error) as error:
            raise SourceLost(f"{self._path}: {error}") from error
        if kind != (SAMPLES_A_S, 2, 1) or len(data) < 2 * PACKET_SAMPLES:
            raise SourceLost(
                f"{self._path}: expected 16 bits, {SAMPLES_A_S} a second, one channel, got {kind}"
            )
        self._samples = np.frombuffer(data, "<i2").astype(np.int16)

    def read(self) -> Samples:
        self._paced.wait()
        packet = np.take(self._samples, np.arange(self._at, self._at + PACKET_SAMPLES), mode="wrap")
        self._at = (self._at + PACKET_SAMPLES) % len(self._samples)
        return packet

    def end(self) -> None:
        pass


class ProgramSound:
    """What a recorder such as `ARECORD` writes to its stdout: raw, 16 bits, little end first."""

    def __init__(self, command: Sequence[str] = ARECORD) -> None:
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._bytes = b""

    def begin(self) -> None:
        self.end()
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise SourceLost(f"{self._command[0]}: {error.strerror}") from error

    def read(self) -> Samples:
        process = self._process
        if process is None or process.stdout is None:
            raise SourceLost(f"{self._command[0]}: is not running")
        until_s = time.monotonic() + READ_WITHIN_S
        wanted = 2 * PACKET_SAMPLES
        while len(self._bytes) < wanted:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, until_s - time.monotonic()))
            if not ready:
                return np.zeros(0, np.int16)
            got = os.read(process.stdout.fileno(), wanted - len(self._bytes))
            if not got:
                raise SourceLost(f"{self._command[0]}: ended with {process.poll()}")
            self._bytes += got
        packet, self._bytes = self._bytes, b""
        return np.frombuffer(packet, "<i2").astype(np.int16)

    def end(self) -> None:
        process, self._process, self._bytes = self._process, None, b""
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
