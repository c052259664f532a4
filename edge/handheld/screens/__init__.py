"""What the officer sees, hears and touches: the only room that knows Kivy.

A screen is given a View (plain values of both languages) and answers with Intents; it keeps nothing but
what a finger is doing right now. No decision, file of ours, fact or clock of the machine may enter.
Importing this room loads no Kivy: `run` does, after it has said where Kivy may write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.handheld.screens.desk import Desk, Frame, Platform

__all__ = ["Desk", "Frame", "Platform", "run"]


def run(
    desk: Desk,
    put: Callable[[Any], None],
    platform: Platform,
    *,
    home: Path,
    size: tuple[int, int] | None = None,
) -> None:
    """Opens the window and stays until it is closed or `desk.close()` is called. Main thread only (SDL).

    `put` takes every Intent and every code typed or sent by a keyboard wedge, and must not block. `home`: a
    folder of the program's own for Kivy's files. `size`: of the window in dots; None: the whole screen on
    Android, 720 x 1280 at density 2 elsewhere, or what of it the screen has room for.
    """
    from edge.handheld.screens.environment import prepare

    prepare(home, size=size)
    from edge.handheld.screens.window import open_window

    open_window(desk, put, platform)
