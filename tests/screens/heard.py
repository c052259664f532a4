"""Plays each tone in the real window with SDL's disk audio, and says where in the recording each one begins.

`python -m tests.screens.heard FILE`: 44,100 samples a second, two channels, 16 bits, as SDL's mixer opens
its device.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from edge.handheld.context import Settings
from edge.handheld.effects import Tone
from edge.handheld.screens.sounding import NOTES
from tests.screens.studio import open_studio

QUIET_S = 0.5


def main() -> None:
    recording = Path(sys.argv[1])
    os.environ |= {"SDL_AUDIODRIVER": "disk", "SDL_DISKAUDIOFILE": str(recording)}
    with tempfile.TemporaryDirectory() as home:
        studio = open_studio((360, 640), 1, Path(home))
        from tests.screens.golden import whole

        begun = []
        for is_heard in (True, False):
            studio.desk.show(whole("trace-empty", Settings(sound=is_heard)))
            studio.settle(2)
            for tone in Tone if is_heard else (Tone.HOLD,):
                begun.append((tone.value if is_heard else "", recording.stat().st_size))
                studio.desk.sound(tone)
                until_s = time.monotonic() + sum(seconds for _, seconds in NOTES[tone]) + QUIET_S
                while time.monotonic() < until_s:
                    studio.settle(1)
                    time.sleep(0.02)
        begun.append(("end", recording.stat().st_size))
    json.dump(begun, sys.stdout)


if __name__ == "__main__":
    main()
