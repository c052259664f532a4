"""Where Kivy may write, and how big things are: said by environment variables before Kivy is imported. No
Kivy.

Kivy reads its variables while it is imported and else writes config, icons and logs into the home folder
and takes the program's command line for its own.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Final

DESKTOP_SIZE: Final = (720, 1280)
DESKTOP_DENSITY: Final = 2
FRAMES_A_SECOND: Final = 30


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
        width, height = size or DESKTOP_SIZE
        os.environ["KCFG_GRAPHICS_WIDTH"], os.environ["KCFG_GRAPHICS_HEIGHT"] = str(width), str(height)
        if size is None:
            os.environ.setdefault("KIVY_METRICS_DENSITY", str(DESKTOP_DENSITY))
