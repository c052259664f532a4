"""The handheld's screens as they lie in a real window: every page in both languages and themes, with and without gloves,
on a phone and on a tablet. The pictures lie in build/screens afterwards, to be looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[2]
PHONE = ("720x1280", "2")
TABLET = ("1024x768", "1")

pytestmark = [pytest.mark.xdist_group("kivy"), pytest.mark.timeout(900)]


@cache
def studio(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.screens.studio", *arguments],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=880,
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


KINDS = ("clipped", "broken", "small", "off screen", "overlapping", "contrast", "dots", "font")


@pytest.mark.parametrize("device", [PHONE, TABLET], ids=["phone", "tablet"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_screen_has_a_text_cut_a_small_target_or_a_weak_colour(kind: str, device: tuple[str, str]) -> None:
    """Touch targets of 48 dp, 64 with gloves; contrast of 7:1 by the colours and by the picture's dots; nothing
    clipped, overlapping, off the screen, broken over lines, or in a font that lacks it."""
    assert of_kind(kind, device) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_check_finds_the_fault_that_is_put_in(kind: str) -> None:
    planted = [sentence for sentence in studio(*PHONE, "build/screens", ",".join(KINDS))["found"]]
    assert [sentence for sentence in planted if sentence.startswith(f"{kind}: {kind}: ")] != []


def test_every_screen_was_pictured_in_both_languages_and_themes() -> None:
    studio(*PHONE, "build/screens")
    names = {path.name.split(".")[0] for path in (HOUSE / "build/screens/720x1280").glob("*.png")}
    from tests.screens.golden import PAGES  # noqa: PLC0415 - not before the pictures are there

    assert names >= set(PAGES)
