"""The tests' PostgreSQL: which tests run on it, and where an archive is on each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.postgres import Postgres, binaries
from sync.hub.engine_postgres import PostgresPlace

__all__ = ["BOTH", "IN_ONE_GROUP", "ON_SQLITE", "Place", "Postgres", "binaries"]

Place = Path | PostgresPlace

IN_ONE_GROUP = pytest.mark.xdist_group("postgres")
"""One worker of the test run has all tests on PostgreSQL, with one server."""
BOTH = ["sqlite", pytest.param("postgresql", marks=IN_ONE_GROUP)]
"""Parameters of the fixture `place`."""
ON_SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
