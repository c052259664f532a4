"""Where the machine's thread lays down what is to be shown and heard, and the window's thread takes it up.
No Kivy.

Only the newest view counts: a window that is slow skips views, it never falls behind.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.handheld.context import Settings
from edge.handheld.effects import Tone
from edge.handheld.view import Bar, Door, Page

MOST_TONES = 8
"""Tones waiting to be heard; more than that are of a past nobody remembers."""


class View(Protocol):
    """All that is on the screen at one moment."""

    @property
    def bar(self) -> Bar: ...
    @property
    def page(self) -> Page: ...
    @property
    def doors(self) -> tuple[Door, ...]: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def shown(self) -> object:
        """The page's own view; `SigningInView` over any page while it asks for somebody."""


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """What the camera sees."""

    number: int
    """Counts up; the same number is the same picture."""
    pixels: NDArray[np.uint8]
    """(rows, columns) grey or (rows, columns, 3) red, green, blue; upright, top row first."""


class Platform(Protocol):
    """What the window asks of the device it runs on. Called from the window's thread; must not block."""

    def vibrate(self, pulses_ms: tuple[int, ...]) -> None:
        """On, off, on ... in milliseconds. Nothing where there is no motor."""

    def play(self, tone: Tone) -> bool:
        """True: the device plays it by itself; False: the window is to."""

    def frame(self) -> Frame | None:
        """The newest frame of the camera; None while it is off or fails."""

    def has_torch(self) -> bool:
        """Whether a lamp stands beside the camera that is on."""

    def picture(self, sha256: str) -> Path | bytes | None:
        """A picture by its hash: a file, or its bytes where files are encrypted; None: not on this device."""


class Desk:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._view: View | None = None
        self._tones: deque[Tone] = deque(maxlen=MOST_TONES)
        self._is_closed = False

    def show(self, view: View) -> None:
        with self._lock:
            self._view = view

    def sound(self, tone: Tone) -> None:
        """Tone and vibration; which of them is heard and felt, the settings of the newest view say."""
        with self._lock:
            self._tones.append(tone)

    def close(self) -> None:
        """The window closes with its next frame."""
        with self._lock:
            self._is_closed = True

    def take(self) -> tuple[View | None, tuple[Tone, ...], bool]:
        """For the window: the newest view if it has not been taken yet, tones not yet heard, whether to
        close.
        """
        with self._lock:
            taken = (self._view, tuple(self._tones), self._is_closed)
            self._view = None
            self._tones.clear()
        return taken
