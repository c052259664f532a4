"""What tests of several modules stand on: the hub's archive on each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgres import BOTH, Place, Postgres


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a test's archive is, once on each engine; `ON_SQLITE` for a test of one of them."""
    if request.param == "sqlite":
        return tmp_path / "archive.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.place(tmp_path)
