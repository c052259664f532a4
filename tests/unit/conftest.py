"""What tests of several modules stand on: the hub's archive on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.postgres import BOTH, Place, Postgres, binaries


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of the session's own, or the test is skipped."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    server = Postgres(programs)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a test's archive is, once on each engine; `ON_SQLITE` for a test of one of them."""
    if request.param == "sqlite":
        return tmp_path / "archive.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.place(tmp_path)
