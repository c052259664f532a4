"""A picture of one camera at one moment: which frame may be it, and the words under it. Keeps nothing.

Whose process the camera is in makes no difference here: `CameraHere` has it in this one, `camera_process` in
one of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge.devices.fixed_camera.camera import CameraHealth, CameraNews, FixedCamera, Frame
from edge.gate.effects import TakePicture
from edge.gate.overlay import Caption, earlier, evidence
from edge.gate.pictures_config import PicturesPart


class NotKept(Exception):
    """Why there is no picture."""


class Shot(Protocol):
    """What was asked of a camera, with what it had at that moment."""

    def picture(self) -> bytes:
        """The JPEG; waits for it within its time limits. Raises `NotKept`."""
        ...


class Camera(Protocol):
    """`shoot` may be called by any thread and waits for nothing; `look` by one thread at a time."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """What was asked for is finished. Returns at once; `join` waits."""
        ...

    def join(self, timeout_s: float) -> bool:
        """False where it did not end in that time."""
        ...

    def shoot(self, request: TakePicture, utc: str) -> Shot: ...

    def look(self) -> CameraNews | None: ...

    def health(self) -> CameraHealth: ...


class CameraHere:
    """Its source is read in this very process: a crash of its library is a crash of the process."""

    def __init__(
        self, camera: FixedCamera, settings: PicturesPart, *, lane_id: str, monotonic_s: Callable[[], float]
    ) -> None:
        self.camera = camera
        self.settings = settings
        self.zone = settings.zone()
        self.lane_id = lane_id
        self.monotonic_s = monotonic_s

    def start(self) -> None:
        self.camera.start()

    def stop(self) -> None:
        self.camera.stop()

    def join(self, timeout_s: float) -> bool:
        return self.camera.join(timeout_s)

    def shoot(self, request: TakePicture, utc: str) -> ShotHere:
        return ShotHere(self, request, self.camera.newest(), self.monotonic_s(), utc)

    def look(self) -> CameraNews | None:
        return self.camera.look()

    def health(self) -> CameraHealth:
        return self.camera.health()


@dataclass(frozen=True, slots=True)
class ShotHere:
    of: CameraHere
    request: TakePicture
    frame: Frame | None
    at_s: float
    utc: str

    def picture(self) -> bytes:
        settings, request, camera = self.of.settings, self.request, self.of.camera
        frame = self.frame
        if frame is None or self.at_s - frame.seen_s > settings.fresh_s:
            left_s = self.at_s + settings.wait_s - self.of.monotonic_s()
            frame = camera.fresher(self.at_s - settings.fresh_s, max(0.0, left_s))
        if frame is None:
            raise NotKept(camera.health().why or "no picture yet")
        early_s = self.at_s - frame.seen_s
        if early_s > settings.oldest_s:
            raise NotKept(f"its newest picture is {early_s:.1f} s old")
        if -early_s > settings.wait_s + settings.fresh_s:
            raise NotKept(f"its next picture came {-early_s:.1f} s after")
        if frame.fault == "frozen":
            raise NotKept(f"it has shown the same picture for {frame.fault_s:.0f} s")
        caption = Caption(
            utc=earlier(self.utc, early_s),
            lane=self.of.lane_id,
            passage=request.passage,
            moment=request.moment,
            camera=camera.name,
            plate=request.plate,
            gross_kg=request.gross_kg,
            slip_no=request.slip_no,
            late_s=early_s if early_s > settings.fresh_s else 0.0,
            fault=frame.fault,
        )
        words = caption.items(self.of.zone)
        try:
            return evidence(frame.pixels, words, widest=settings.widest, quality=settings.quality)
        except ValueError as error:
            raise NotKept(str(error)) from error
