"""The guides say what the code does: generated parts are fresh, and every key and command has its place."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edge.gate.rules import NOT_THE_PLATFORMS
from sync.vocabulary.rulings import Reason
from sync.vocabulary.xray_reasons import XRayReason

ROOT = Path(__file__).resolve().parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["architecture.md", "configuration.md", "reasons.md"])
def test_generated_parts_of_the_guides_are_fresh(name: str) -> None:
    now, then = _generator().generated(name)
    assert now == then


def test_the_guide_lists_every_reason_once() -> None:
    page = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    of_lanes, _, of_stations = page.partition("<!-- x-ray-reasons:begin -->")
    for part, known in ((of_lanes, Reason), (of_stations, XRayReason)):
        listed = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
        assert sorted(listed) == sorted(reason.value for reason in known)


@pytest.mark.parametrize("what", ["text for the driver", "guide for the officer", "test that shows it"])
def test_a_reason_nobody_wrote_about_stops_the_guide(what: str) -> None:
    """Words for driver and officer, and a test: without one of them the page is not written."""
    generator = _generator()
    whole = (generator.TEXTS, generator.GUIDES, generator.shown_by())
    kinds = ["text for the driver", "guide for the officer", "test that shows it"]
    assert len(generator.reason_rows(*whole)) == len(Reason)
    without = [
        {reason: row for reason, row in known.items() if reason is not Reason.WEIGHT_OVER or kind != what}
        for known, kind in zip(whole, kinds, strict=True)
    ]
    with pytest.raises(SystemExit, match=f"weight_over: expected a {what}"):
        generator.reason_rows(*without)


def test_what_the_platform_cannot_override_is_named_in_the_guide() -> None:
    page = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    said = page.partition("can override none of")[2].partition("whatever the site")[0]
    assert sorted(re.findall(r"`(\w+)`", said)) == sorted(NOT_THE_PLATFORMS)


def test_the_hub_guide_names_every_key_the_hub_reads() -> None:
    source = (ROOT / "sync" / "hub" / "config.py").read_text(encoding="utf-8")
    read = set(re.findall(r'part\.\w+\("(\w+)"', source)) - {"sync", "store", "log"}
    guide = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert {key for key in read if key not in guide} == set()
    assert read >= {"host", "key_file", "scopes"}


@pytest.mark.parametrize("page", ["xray.md", "xray-station.md", "xray-evidence.md", "operations.md"])
def test_a_key_of_an_x_ray_stations_config_that_a_guide_names_is_one(page: str) -> None:
    tables = "belt|calibration|evidence|judging|page|pictures|portal|pulses|triage"
    named = re.findall(rf"`((?:{tables})\.[a-z_]+)(?: = [^`]*)?`", (ROOT / "docs" / page).read_text("utf-8"))
    guide = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert [key for key in named if key.partition(".")[2] not in FILES and f"| `{key}` |" not in guide] == []


FILES = {"py", "json", "md", "toml", "sqlite"}
