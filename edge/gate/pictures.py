"""Evidence pictures: asked for by the lane, whose thread only says so and enqueues.

One thread writes and sheds; each camera has a process of its own, which reads and draws. Whatever goes wrong
here is an event and holds nobody: a picture that failed says why, a camera that shows nothing is an alarm.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

import structlog

from edge.devices.fixed_camera.camera import CameraHealth
from edge.devices.fixed_camera.source import FileAddress, LocalAddress, StreamAddress
from edge.devices.jpeg import check
from edge.gate.camera_keeper import CameraKeeper
from edge.gate.camera_line import Begin
from edge.gate.effects import TakePicture
from edge.gate.events import DeviceSpoke, DeviceWentSilent, Event, PictureFailed, PictureKept
from edge.gate.pictures_config import CameraPart, PicturesPart, address_of, limits_of
from edge.gate.taking import Camera, NotKept, Shot
from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.runtime.log import Level
from edge.runtime.supervisor import BackOff
from sync.store.evidence_files import DiskNearlyFull, EvidenceFiles, Kept, Shed
from sync.vocabulary.commands import ASKED

RECOGNISED: Final = "recognised"
"""The moment of a picture that a plate or container camera sent by itself."""

MOST_SENT_BYTES: Final = 8_000_000

_LOOK_EVERY_S: Final = 0.5
_CLOSE_S: Final = 3.0
_TEND_EVERY_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Take:
    """A request with what its camera had at that moment."""

    request: TakePicture
    camera: str
    shot: Shot
    utc: str


@dataclass(frozen=True, slots=True)
class _Keep:
    passage: int
    jpeg: bytes = field(repr=False)
    camera: str
    shows: str
    utc: str


CameraOf = Callable[[str, CameraPart], Camera]


def in_its_own_process(
    settings: PicturesPart, *, lane_id: str, clock: Clock, back_off: BackOff, log_level: Level
) -> CameraOf:
    """S0: what decodes video for a lane is no part of what moves its arm, and cannot take it along."""

    def make(name: str, part: CameraPart) -> Camera:
        address = address_of(part)
        begin = Begin(
            name=name,
            stream=address if isinstance(address, StreamAddress) else None,
            local=address if isinstance(address, LocalAddress) else None,
            file=str(address) if isinstance(address, FileAddress) else None,
            limits=limits_of(part),
            settings=settings,
            back_off=back_off,
            lane_id=lane_id,
            log_level=log_level,
        )
        return CameraKeeper(begin, monotonic_s=clock.monotonic_s, delay_s=back_off.delay_s)

    return make


class Pictures:
    """`take`, `keep` and `read` may be called by any thread, and never wait for a camera."""

    def __init__(
        self,
        folder: Path,
        cameras: Mapping[str, CameraPart],
        settings: PicturesPart,
        *,
        lane_id: str,
        clock: Clock,
        put: Callable[[Event], None],
        may_shed: Callable[[str], bool] = lambda sha256: False,
        is_held: Callable[[str], bool] = lambda sha256: False,
        on_shed: Callable[[Shed], None] = lambda shed: None,
        back_off: BackOff | None = None,
        log_level: Level = "info",
        camera_of: CameraOf | None = None,
    ) -> None:
        """`put(event)` is called on several threads: it may only enqueue. `may_shed(sha256)`: the centre has
        it; `is_held(sha256)`: it is evidence of a hold or an alarm; both asked on the pictures' own thread.
        Raises `OSError` where a camera's password cannot be read.
        """
        self._settings = settings
        self._zone = settings.zone()
        self._lane_id = lane_id
        self._clock = clock
        self._put = put
        self._on_shed = on_shed
        self._files = EvidenceFiles(
            folder,
            most_bytes=settings.most_mb * 1_000_000,
            keep_days=settings.keep_days,
            keep_held_days=settings.keep_held_days,
            keep_free_bytes=settings.keep_free_mb * 1_000_000,
            may_shed=may_shed,
            is_held=is_held,
        )
        make = camera_of or in_its_own_process(
            settings, lane_id=lane_id, clock=clock, back_off=back_off or BackOff(), log_level=log_level
        )
        self._cameras: dict[str, Camera] = {name: make(name, part) for name, part in cameras.items()}
        self._longest_s = max((part.open_timeout_s for part in cameras.values()), default=0.0) + _CLOSE_S
        self._moments = {name: frozenset(part.moments) for name, part in cameras.items()}
        self._waiting: queue.Queue[_Take | _Keep] = queue.Queue(settings.most_waiting)
        self._for_the_centre: queue.Queue[_Take | _Keep] = queue.Queue(max(1, len(cameras)))
        """Done when nothing else waits, in nobody's place: evidence of a passage's steps comes first."""
        self._there = threading.Semaphore(0)
        """So many wait in both."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def start(self) -> None:
        """Once. Returns at once; a camera that cannot be opened is reported."""
        for camera in self._cameras.values():
            camera.start()
        self._thread.start()

    def close(self) -> tuple[str, ...]:
        """What was asked for is finished. Returns the cameras that did not end in their time."""
        until_s = self._clock.monotonic_s() + self._longest_s
        for camera in self._cameras.values():
            camera.stop()
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(self._longest_s)
        hanging = tuple(
            name
            for name, camera in self._cameras.items()
            if not camera.join(until_s - self._clock.monotonic_s())
        )
        if hanging:
            _logger().warning("cameras did not close in time", cameras=hanging)
        return hanging

    # --- any thread ---

    def take(self, request: TakePicture) -> None:
        """A picture of every camera that has this moment, and of every one where the centre asks; each is
        answered by one event."""
        utc = self._clock.utc_text()
        for name, camera in self._cameras.items():
            if request.moment == ASKED or request.moment in self._moments[name]:
                wanted = _Take(request, name, camera.shoot(request, utc), utc)
                self._enqueue(wanted, request.passage, request.moment, name)

    def keep(self, passage: int, jpeg: bytes, camera: str, shows: str) -> None:
        """A picture that a camera sent with what it recognised, as it came: nothing is drawn on it."""
        self._enqueue(
            _Keep(passage, jpeg, camera, shows, self._clock.utc_text()), passage, RECOGNISED, camera
        )

    def read(self, sha256: str) -> bytes | None:
        """A kept picture, its hash proved; None where there is none. Raises `OSError` where it cannot be read
        now."""
        return self._files.read(sha256)

    def health(self) -> dict[str, CameraHealth]:
        return {name: camera.health() for name, camera in self._cameras.items()}

    def _enqueue(self, wanted: _Take | _Keep, passage: int, moment: str, camera: str) -> None:
        if self._stopping.is_set():
            self._put(PictureFailed(passage, moment, camera, "the program is ending"))
            return
        line = self._for_the_centre if moment == ASKED else self._waiting
        try:
            line.put_nowait(wanted)
        except queue.Full:
            why = f"{line.maxsize} pictures wait for the disk already"
            self._put(PictureFailed(passage, moment, camera, why))
            return
        self._there.release()

    # --- the pictures' own thread ---

    def _run(self) -> None:
        tend_s = self._open_files()
        while True:
            ending = self._stopping.is_set()
            if self._there.acquire(timeout=0 if ending else _LOOK_EVERY_S):
                self._do(self._next())
            elif ending:
                return
            if not self._stopping.is_set():
                self._look()
                if self._clock.monotonic_s() >= tend_s:
                    tend_s = self._clock.monotonic_s() + _TEND_EVERY_S
                    self._shed()

    def _next(self) -> _Take | _Keep:
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return self._for_the_centre.get_nowait()

    def _open_files(self) -> float:
        """When the pictures are to be looked through next."""
        try:
            self._files.open()
        except OSError as error:
            _logger().error("the folder of the pictures cannot be used", why=str(error))
        return self._clock.monotonic_s()

    def _look(self) -> None:
        for name, camera in self._cameras.items():
            news = camera.look()
            if news is not None:
                self._put(DeviceWentSilent(name, news.why[:200]) if news.why else DeviceSpoke(name))

    def _do(self, wanted: _Take | _Keep) -> None:
        match wanted:
            case _Take(request, name):
                passage, moment = request.passage, request.moment
            case _Keep(passage, _, name):
                moment = RECOGNISED
            case _:
                assert_never(wanted)
        event: PictureKept | PictureFailed
        try:
            kept = self._kept(self._made(wanted), wanted.utc)
            event = PictureKept(passage, moment, name, kept.sha256, kept.size_bytes)
        except (NotKept, OSError) as error:
            event = PictureFailed(passage, moment, name, str(error)[:200])
        except Exception as error:  # noqa: BLE001 - one picture's fault must not end all others
            _logger().error("a picture failed", camera=name, exc_info=error)
            event = PictureFailed(passage, moment, name, f"fault of the program: {error!r}"[:200])
        self._put(event)
        if self._files.size_bytes > self._settings.most_mb * 1_000_000:
            self._shed()

    def _kept(self, jpeg: bytes, utc: str) -> Kept:
        try:
            return self._files.keep(jpeg, utc)
        except DiskNearlyFull:
            self._shed()
            return self._files.keep(jpeg, utc)

    def _made(self, wanted: _Take | _Keep) -> bytes:
        match wanted:
            case _Take():
                return wanted.shot.picture()
            case _Keep(_, jpeg, _, shows):
                whole = check(jpeg, most_bytes=MOST_SENT_BYTES)
                if not isinstance(whole, bytes):
                    raise NotKept(f"no whole picture of the {shows}: {len(jpeg)} bytes")
                return whole
            case _:
                assert_never(wanted)

    def _shed(self) -> None:
        try:
            known = self._clock.uncertainty_ms() != UNKNOWN_MS
            shed = self._files.shed(self._clock.utc_text(), clock_is_known=known)
            if shed is not None:
                self._report(shed)
        except Exception as error:  # noqa: BLE001 - what cannot be shed now is shed later; pictures go on
            _logger().error("pictures not shed", why=str(error))

    def _report(self, shed: Shed) -> None:
        _logger().warning(
            "pictures shed",
            pictures=shed.pictures,
            size_bytes=shed.size_bytes,
            first_day=shed.first_day,
            last_day=shed.last_day,
            not_at_the_centre=shed.needed,
        )
        self._on_shed(shed)


def _logger() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("pictures")
    return log
