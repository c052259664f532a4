"""Prints what the world's seeds came to, under whatever pytest prints itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.world.tally import Tally


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    whole = Tally()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "world" and getattr(report, "when", "") == "call":
                    whole.join(Tally.from_json(json.loads(value)))
    if whole.seeds:
        terminalreporter.section("world")
        terminalreporter.write_line(whole.table())


@pytest.fixture
def worker_id(request: pytest.FixtureRequest) -> str:
    """Of pytest-xdist; `master` without it."""
    workerinput = getattr(request.config, "workerinput", None)
    return str(workerinput["workerid"]) if workerinput is not None else "master"
