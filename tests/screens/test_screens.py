"""The handheld's screens as they lie in a real window: every page in both languages and themes, with and
without gloves, on a phone and on a tablet. The pictures lie in build/screens afterwards, to be looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.handheld.effects import Tone
from edge.handheld.screens.sounding import RATE_HZ, samples

HOUSE = Path(__file__).resolve().parents[2]
PHONE = ("720x1280", "2")
TABLET = ("1024x768", "1")
DEVICES = {"phone": PHONE, "tablet": TABLET}

PATIENCE_S = 3_600 if os.environ.get("KAKOU_PROVE") else 900
"""All settings take twenty minutes, and a busy machine twice as long."""

pytestmark = [pytest.mark.xdist_group("kivy"), pytest.mark.timeout(PATIENCE_S)]


@cache
def studio(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.screens.studio", *arguments],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S - 20,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )
    if done.returncode:
        raise AssertionError(f"the studio ended with {done.returncode}: {done.stderr[-2_000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def of_kind(kind: str, device: tuple[str, str]) -> list[str]:
    found = studio(*device, "build/screens")["found"]
    return [sentence for sentence in found if f": {kind}: " in sentence]


KINDS = (
    "clipped", "broken", "begun wrongly", "small", "off screen", "overlapping", "contrast", "dots", "font"
)  # fmt: skip


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES.keys())
@pytest.mark.parametrize("kind", KINDS)
def test_no_screen_has_a_text_cut_a_small_target_or_a_weak_colour(kind: str, device: tuple[str, str]) -> None:
    """Touch targets of 48 dp, 64 with gloves; contrast of 7:1 by the colours and by the picture's dots;
    nothing clipped, overlapping, off the screen, broken over lines where it may not be, or in a font that
    lacks it."""
    assert of_kind(kind, device) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_check_finds_the_fault_that_is_put_in(kind: str) -> None:
    planted = studio(*PHONE, "build/screens", ",".join(KINDS))["found"]
    assert [sentence for sentence in planted if sentence.startswith(f"{kind}: {kind}: ")] != []


def test_every_screen_was_pictured_in_both_languages_and_themes() -> None:
    studio(*PHONE, "build/screens")
    names = {path.name.split(".")[0] for path in (HOUSE / "build/screens/720x1280").glob("*.png")}
    from tests.screens.golden import PAGES

    assert names >= set(PAGES)


def test_what_fingers_keyboards_and_wedges_do_in_the_window() -> None:
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "tests/screens/touches.py",
                "-q",
                "-n0",
                "-p",
                "no:cacheprovider",
            ),
            *("-W", "default", "--timeout", "600", "--benchmark-disable"),
        ],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:]
    assert " passed" in done.stdout


def spectrum(samples: NDArray[np.floating[Any]], rate_hz: int) -> NDArray[np.float64]:
    """How loud each ten hertz from 200 to 2,200 are, as a direction: louder or longer is the same."""
    loud = np.abs(np.fft.rfft(samples))
    hertz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    steps, _ = np.histogram(hertz, bins=200, range=(200.0, 2_200.0), weights=loud**2)
    length = float(np.linalg.norm(np.sqrt(steps)))
    return np.asarray(np.sqrt(steps) / length if length > 1e-6 else steps, np.float64)


def test_the_right_tone_is_heard_for_each_class_and_none_when_sound_is_off(tmp_path: Path) -> None:
    recording = tmp_path / "heard.raw"
    done = subprocess.run(
        [sys.executable, "-m", "tests.screens.heard", str(recording)],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    begun: list[tuple[str, int]] = json.loads(done.stdout.splitlines()[-1])
    heard = np.fromfile(recording, "<i2").reshape(-1, 2)[:, 0].astype(np.float64)
    expected = {tone.value: spectrum(samples(tone).astype(np.float64), RATE_HZ) for tone in Tone}
    recognised = {}
    for (name, first), (_, end) in pairwise(begun):
        part = heard[first // 4 : end // 4]
        likeness = {tone: float(spectrum(part, 44_100) @ shape) for tone, shape in expected.items()}
        best = max(likeness, key=lambda tone: likeness[tone])
        recognised[name] = best if likeness[best] > 0.8 else ""
    assert recognised == {**{tone.value: tone.value for tone in Tone}, "": ""}


def xdotool(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["xdotool", *arguments], env=env, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout


@pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("xdotool") is None, reason="Xvfb or xdotool is not installed"
)
def test_a_keyboard_wedge_at_full_speed_loses_nothing() -> None:
    codes = ["SF1386570000178", "JDvb12345678901", "KKR1:eyJhIjoxfQ.abc_-9"]
    read, write = os.pipe()
    server = subprocess.Popen(
        [
            "Xvfb",
            "-displayfd",
            str(write),
            "-screen",
            "0",
            "1024x900x24",
            "+extension",
            "GLX",
            "-nolisten",
            "tcp",
        ],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    window: subprocess.Popen[str] | None = None
    try:
        os.close(write)
        with os.fdopen(read) as told:
            env = {**os.environ, "DISPLAY": f":{told.readline().strip()}"}
        window = subprocess.Popen(
            [sys.executable, "-m", "tests.screens.wedged", str(len(codes))],
            cwd=HOUSE,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert window.stdout is not None
        assert window.stdout.readline() == "ready\n"
        found = xdotool(env, "search", "--onlyvisible", "--class", ".").split()[0]
        xdotool(env, "mousemove", "--window", found, "100", "100")
        xdotool(env, "windowfocus", "--sync", found)
        for code in codes:
            xdotool(env, "type", "--delay", "0", code)
            xdotool(env, "key", "--delay", "0", "Return")
        said = window.communicate(timeout=60)[0]
    finally:
        if window is not None:
            window.kill()
            window.wait(20)
            if window.stdout is not None:
                window.stdout.close()
        server.terminate()
        server.wait(20)
    assert json.loads(said) == [f"wedge {code}" for code in codes]


def test_kivy_is_told_where_it_may_write_before_it_is_loaded(tmp_path: Path) -> None:
    """Nothing beside the program's own folder; and too late is refused aloud."""
    script = "import sys; from pathlib import Path; from edge.handheld.screens.environment import prepare\n"
    script += "prepare(Path(sys.argv[1])); import kivy.config\n"
    script += "try: prepare(Path(sys.argv[1]))\nexcept RuntimeError as error: print(error)\n"
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "program")],
        cwd=HOUSE,
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "expected to prepare before Kivy is imported"
    assert (tmp_path / "program" / "kivy" / "config.ini").exists()
    assert list(home.iterdir()) == []
