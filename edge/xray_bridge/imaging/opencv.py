"""OpenCV, loaded when first needed, on one thread: pictures are analysed side by side instead."""

from __future__ import annotations

from functools import cache
from types import ModuleType


@cache
def cv2() -> ModuleType:
    import cv2 as loaded

    loaded.setNumThreads(1)
    return loaded
