"""Opens the real window without a screen, shows golden views in it, and tells what was found as JSON.

`python -m tests.screens.studio 720x1280 2 FOLDER [PLANTS]`: a process of its own, because Kivy is one window,
one clock and one set of settings a process. A plant is a fault put in on purpose, that must be found.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edge.handheld.context import Hand, Language, Settings, Theme
from edge.handheld.screens.environment import prepare

OFTEN = (
    Settings(language=Language.ZH, theme=Theme.DARK, gloves=False, hand=Hand.RIGHT),
    Settings(language=Language.EN, theme=Theme.SUNLIGHT, gloves=True, hand=Hand.LEFT),
)
"""Every choice once for every page; all that go together in `make prove`."""
ALL = tuple(
    Settings(language=language, theme=theme, gloves=gloves, hand=hand)
    for language, theme, gloves, hand in itertools.product(Language, Theme, (False, True), Hand)
)


def open_studio(size: tuple[int, int], density: float, home: Path) -> Any:
    """The app, its window open and nothing shown."""
    os.environ.setdefault("SDL_VIDEODRIVER", "offscreen")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    os.environ["KIVY_METRICS_DENSITY"] = str(density)
    prepare(home, size=size)
    from tests.screens.posing import Studio

    return Studio()


def main() -> None:
    begun_s = time.process_time()
    size, density, folder = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    plant = sys.argv[4] if len(sys.argv) > 4 else ""
    width, height = (int(side) for side in size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        studio = open_studio((width, height), density, Path(home))
        opened_s = time.process_time() - begun_s
        settings = ALL if os.environ.get("KAKOU_PROVE") else OFTEN
        is_turned = settings is OFTEN and density < 2
        if plant:
            found = [f"{each}: {sentence}" for each in plant.split(",") for sentence in studio.plant(each)]
        else:
            found = studio.take_all(settings, folder / size, is_turned=is_turned)
    cpu_s = time.process_time() - begun_s
    json.dump({"found": found, "opened_s": opened_s, "cpu_s": cpu_s, "memory": memory()}, sys.stdout)


def memory() -> dict[str, int]:
    """Megabytes of this process, by kind."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    wanted = ("RssAnon", "RssFile", "RssShmem", "VmHWM")
    return {
        name: int(value.split()[0]) // 1024
        for name, _, value in (line.partition(":") for line in lines)
        if name in wanted
    }


if __name__ == "__main__":
    main()
