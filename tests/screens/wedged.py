"""The real window with its real main loop on an X server: says when it is there, and which codes it was
given.

`python -m tests.screens.wedged COUNT`: ends after so many codes, or after half a minute.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge.handheld.context import Settings
from edge.handheld.effects import Tone
from edge.handheld.events import Scanned
from edge.handheld.screens import Desk, run

PATIENCE_S = 30.0
LEFT_S = 0.3
"""A few frames for the field to take the keyboard, and for Kivy to let go of it."""


def main() -> None:
    wanted = int(sys.argv[1])
    os.environ |= {"SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "dummy"}
    desk = Desk()
    codes: list[str] = []

    def put(intent: Any) -> None:
        if isinstance(intent, Scanned):
            codes.append(f"{intent.source} {intent.text}")
            if len(codes) >= wanted:
                desk.close()

    def write_words_and_leave() -> None:
        """An officer has written a remark before: Kivy then has SDL stop telling what is typed."""
        from kivy.app import App
        from kivy.clock import Clock

        from edge.handheld.screens import captions
        from edge.handheld.screens.hands import Asked

        shell = App.get_running_app().root
        shell.ask(Asked(captions.REMARK, lambda _: None, "words"))

        def leave(_: float) -> None:
            shell.close_over()
            Clock.schedule_once(ready, LEFT_S)

        def ready(_: float) -> None:
            sys.stdout.write("ready\n")
            sys.stdout.flush()

        Clock.schedule_once(leave, LEFT_S)

    class Bench:
        def vibrate(self, pulses_ms: tuple[int, ...]) -> None:
            """There is no motor."""

        def play(self, tone: Tone) -> bool:
            return False

        def frame(self) -> None:
            """There is no camera; its first question says that the window is drawn."""
            if not self.is_told:
                self.is_told = True
                write_words_and_leave()

        def has_torch(self) -> bool:
            return False

        def picture(self, sha256: str) -> None:
            """There are no pictures."""

        is_told = False

    from tests.screens.golden import whole

    desk.show(whole("scan", Settings()))
    import threading

    end = threading.Timer(PATIENCE_S, desk.close)
    end.start()
    with tempfile.TemporaryDirectory() as home:
        run(desk, put, Bench(), home=Path(home), size=(360, 640))
    end.cancel()
    sys.stdout.write(json.dumps(codes) + "\n")


if __name__ == "__main__":
    main()
