"""The phone's camera through Kivy's core provider (Camera1): grey frames for the decoder, upright.

Kivy's own `read_frame` is left alone: it uses `numpy.fromstring`, removed in NumPy 2.3.0, and converts
colours that no decoder wants. The first width x height bytes of NV21 are the grey picture. Frames lie as
the sensor does, a quarter turn off in portrait (kivy#8201); a camera held over a pause is dead afterwards
(kivy#7167): so it is released on pause and opened anew on resume.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy

from edge.devices.fixed_camera.source import cv2
from edge.handheld.android.java import activity, java
from edge.handheld.ports import GreyFrame, PortFailed
from edge.runtime.clock import Clock

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

_BACK: Final = 0
"""`Camera.CameraInfo.CAMERA_FACING_BACK`"""
_SURFACE_TURNS: Final = {0: 0, 1: 90, 2: 180, 3: 270}
"""`Surface.ROTATION_*` -> degrees"""

WIDTH, HEIGHT = 1280, 720


class AndroidCamera:
    def __init__(
        self,
        clock: Clock,
        make: Callable[..., Any] | None = None,
        *,
        size: tuple[int, int] = (WIDTH, HEIGHT),
    ) -> None:
        """`make`: Kivy's provider class; found when the camera is first opened, for it imports Java."""
        self._clock = clock
        self._make = make
        self._width, self._height = size
        self._lock = threading.Lock()
        self._provider: Any = None
        self._turns = 0
        self._number = 0
        self._last: bytes | None = None
        self._has_torch: bool | None = None
        """None: not asked since the camera was opened."""

    def open(self) -> None:
        if self._provider is not None:
            return
        index, turned = self._back_camera()
        make = self._make or _kivy_provider()
        try:
            provider = make(index=index, resolution=(self._width, self._height), stopped=False)
        except (
            Exception
        ) as error:  # Java's RuntimeException "Fail to connect to camera service", or a size refused
            raise PortFailed(f"the camera cannot be opened: {error}") from error
        with self._lock:
            self._provider, self._turns, self._last = provider, turned // 90, None

    def close(self) -> None:
        with self._lock:
            provider, self._provider, self._last = self._provider, None, None
            self._has_torch = None
        if provider is not None:
            provider.stop()
            # Kivy has no word for letting the camera go; without it no other app gets it, nor do we again.
            provider._release_camera()  # noqa: SLF001

    def frame(self) -> GreyFrame | None:
        """From the window's thread: the buffer belongs to Java, and a thread that touches it must leave
        Java again.
        """
        with self._lock:
            if self._provider is None:
                return None
            nv21 = self._provider.grab_frame()
            if nv21 is None:
                return None
            content = bytes(nv21)
            if content != self._last:
                self._number += 1
                self._last = content
            number, turns = self._number, self._turns
        at_s = self._clock.monotonic_s()
        return GreyFrame(number, grey_of_nv21(content, self._width, self._height, turns), at_s)

    def colours(self) -> tuple[int, NDArray[uint8]] | None:
        """Number and picture (rows, columns; blue, green, red) of the frame that `frame` gave last,
        upright. Asks nothing of Java: for any thread."""
        with self._lock:
            content, number, turns = self._last, self._number, self._turns
        if content is None:
            return None
        planes = numpy.frombuffer(content, numpy.uint8).reshape(self._height * 3 // 2, self._width)
        library = cv2()
        pixels = library.cvtColor(planes, library.COLOR_YUV2BGR_NV21)
        return number, numpy.ascontiguousarray(numpy.rot90(pixels, -turns))

    def torch(self, on: bool) -> None:
        """Nothing where there is no lamp, or the camera is closed."""
        self._set_lamp("torch" if on else "off")

    def has_torch(self) -> bool:
        """False while the camera is closed. Asks the camera once; from the window's thread."""
        if self._has_torch is None:
            parameters = self._parameters()
            if parameters is None:
                return False
            self._has_torch = _can(parameters, "torch")
        return self._has_torch

    def _set_lamp(self, wanted: str) -> None:
        parameters = self._parameters()
        if parameters is not None and _can(parameters, wanted):
            parameters.setFlashMode(wanted)
            self._provider._android_camera.setParameters(parameters)  # noqa: SLF001

    def _parameters(self) -> Any:
        """None: the camera is closed."""
        camera = getattr(self._provider, "_android_camera", None)
        return None if camera is None else camera.getParameters()

    def _back_camera(self) -> tuple[int, int]:
        """(index, degrees clockwise from the sensor's picture to the upright one). Raises `PortFailed`.

        As `Camera.setDisplayOrientation` reckons for a camera that looks away from the person.
        """
        cameras = java("android.hardware.Camera")
        info = java("android.hardware.Camera$CameraInfo")()
        for index in range(cameras.getNumberOfCameras()):
            cameras.getCameraInfo(index, info)
            if info.facing == _BACK:
                rotation = activity().getWindowManager().getDefaultDisplay().getRotation()
                return index, (info.orientation - _SURFACE_TURNS[rotation]) % 360
        raise PortFailed("this device has no camera on its back")


def _can(parameters: Any, mode: str) -> bool:
    modes = parameters.getSupportedFlashModes()
    return modes is not None and bool(modes.contains(mode))


def grey_of_nv21(content: bytes, width: int, height: int, turns: int) -> NDArray[uint8]:
    """The Y plane of an NV21 frame, turned `turns` quarter turns clockwise. Raises `PortFailed` for a frame
    that is too short. The result is a copy: the buffer goes back to the camera."""
    if len(content) < width * height:
        raise PortFailed(f"a frame of {len(content)} bytes, expected {width * height * 3 // 2}")
    plane = numpy.frombuffer(content, numpy.uint8, count=width * height).reshape(height, width)
    return numpy.ascontiguousarray(numpy.rot90(plane, -turns)) if turns else plane.copy()


def _kivy_provider() -> Any:
    from kivy.core.camera.camera_android import CameraAndroid

    return CameraAndroid
