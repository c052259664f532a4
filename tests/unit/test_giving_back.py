"""Memory of pictures is given back: measured in a process of its own, for what glibc is told stays told."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Frames of a camera come and go while small things are made among them and stay.
FRAMES = """
import sys
from pathlib import Path
from edge.handheld.desktop.giving_back import give_back_pictures
if sys.argv[1] == "told" and not give_back_pictures():
    raise SystemExit(77)
stay = []
for n in range(40):
    frames = [bytearray(3_000_000) for _ in range(12)]
    stay += [bytearray(2_000) for _ in range(20)]
    del frames
for line in Path("/proc/self/status").read_text().splitlines():
    if line.startswith("RssAnon"):
        print(line.split()[1])
"""


def _anonymous_kb(way: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FRAMES, way], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode == 77:
        pytest.skip("no glibc here")
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_pictures_that_are_gone_take_no_memory() -> None:
    assert _anonymous_kb("told") < _anonymous_kb("not told") - 10_000
