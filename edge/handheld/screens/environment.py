"""Where Kivy may write, and how big things are: said by environment variables before Kivy is imported. No
Kivy.

Kivy reads its variables while it is imported and else writes config, icons and logs into the home folder
and takes the program's command line for its own.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import Final

DESKTOP_SIZE: Final = (720, 1280)
DESKTOP_DENSITY: Final = 2
FRAMES_A_SECOND: Final = 30
FRAME: Final = (16, 56)
"""Dots across and down a window's own frame and title may take."""
LEAST_SHARE: Final = 0.25
"""Below it nobody could read it: a screen that small is a mistake of whoever told it."""


def fitted(room: tuple[int, int] | None) -> tuple[tuple[int, int], float]:
    """Size in dots and density of a PC's window: a phone's, smaller where the screen has not that much
    room; what it shows stays the same."""
    width, height = DESKTOP_SIZE
    if room is None:
        return DESKTOP_SIZE, DESKTOP_DENSITY
    share = min((room[0] - FRAME[0]) / width, (room[1] - FRAME[1]) / height)
    if (room[0] >= width and room[1] >= height) or share <= LEAST_SHARE:
        return DESKTOP_SIZE, DESKTOP_DENSITY
    return (int(width * share), int(height * share)), DESKTOP_DENSITY * share


def screen_room() -> tuple[int, int] | None:
    """What the first screen has room for in dots, without the system's own bars; None where SDL cannot tell.

    Asked of the SDL that Kivy brings, before Kivy opens the window: later it would jump.
    """
    sdl = _sdl()
    if sdl is None:
        return None
    try:
        if sdl.SDL_VideoInit(None) != 0:
            return None
        bounds = (ctypes.c_int * 4)()
        is_told = sdl.SDL_GetDisplayUsableBounds(0, bounds) == 0
        sdl.SDL_VideoQuit()
    except AttributeError:
        return None
    return (bounds[2], bounds[3]) if is_told else None


def hear_keys() -> bool:
    """A PC's window is told typed characters again. Kivy has SDL stop telling them when a text field is left,
    and with them a scanner that types (keyboard wedge) would be silent from then on. False: not done; on a
    phone it would show the system's keyboard."""
    sdl = None if "ANDROID_ARGUMENT" in os.environ else _sdl()
    if sdl is None:
        return False
    try:
        sdl.SDL_StartTextInput()
    except AttributeError:
        return False
    return True


def _sdl() -> ctypes.CDLL | None:
    """The one that Kivy brings."""
    kivy = importlib.util.find_spec("kivy")
    found = ctypes.util.find_library("SDL2-2.0")
    if kivy is not None and kivy.origin is not None:
        brought = sorted((Path(kivy.origin).parents[1] / "Kivy.libs").glob("libSDL2-2*"))
        found = str(brought[0]) if brought else found
    try:
        return None if found is None else ctypes.CDLL(found)
    except OSError:
        return None


def prepare(home: Path, *, size: tuple[int, int] | None = None) -> None:
    """Raises RuntimeError when Kivy is loaded already: it would be too late."""
    if "kivy" in sys.modules:
        raise RuntimeError("expected to prepare before Kivy is imported")
    folder = home / "kivy"
    folder.mkdir(parents=True, exist_ok=True)
    is_android = "ANDROID_ARGUMENT" in os.environ
    said = {
        "KIVY_HOME": str(folder),
        "KIVY_NO_ARGS": "1",
        # Else Kivy takes the program's stderr for itself, and a traceback ends up nowhere.
        "KIVY_LOG_MODE": "PYTHON",
        "KCFG_GRAPHICS_MAXFPS": str(FRAMES_A_SECOND),
        "KCFG_GRAPHICS_MULTISAMPLES": "0",
        "KCFG_KIVY_EXIT_ON_ESCAPE": "0",
        "KCFG_KIVY_DESKTOP": "0",
    }
    os.environ.update(said)
    logging.getLogger("kivy").setLevel(logging.WARNING)
    if not is_android:
        (width, height), density = (size, None) if size is not None else fitted(screen_room())
        os.environ["KCFG_GRAPHICS_WIDTH"], os.environ["KCFG_GRAPHICS_HEIGHT"] = str(width), str(height)
        if density is not None:
            os.environ.setdefault("KIVY_METRICS_DENSITY", f"{density:.3f}")
