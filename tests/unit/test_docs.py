"""The guides say what the code does: generated parts are fresh, and every key and command has its place."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["architecture.md", "configuration.md"])
def test_generated_parts_of_the_guides_are_fresh(name: str) -> None:
    now, then = _generator().generated(name)
    assert now == then


def test_the_hub_guide_names_every_key_the_hub_reads() -> None:
    source = (ROOT / "sync" / "hub" / "config.py").read_text(encoding="utf-8")
    read = set(re.findall(r'part\.\w+\("(\w+)"', source)) - {"sync", "store", "log"}
    guide = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert {key for key in read if key not in guide} == set()
    assert read >= {"host", "key_file", "scopes"}
