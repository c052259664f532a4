"""The tests' PostgreSQL: which tests run on it, and where an archive is on each engine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from bench.postgres import Postgres, binaries
from sync.hub.engine_postgres import PostgresPlace

__all__ = [
    "BOTH",
    "IN_ONE_GROUP",
    "ON_SQLITE",
    "PROVE_POSTGRES",
    "Place",
    "Postgres",
    "archive_table",
    "binaries",
    "server",
]

Place = Path | PostgresPlace

IN_ONE_GROUP = pytest.mark.xdist_group("postgres")
"""One worker of the test run has all tests on PostgreSQL, with one server."""
BOTH = ["sqlite", pytest.param("postgresql", marks=IN_ONE_GROUP)]
"""Parameters of the fixture `place`."""
ON_SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)

PROVE_POSTGRES: Final = os.environ.get("KAKOU_PROVE_ENGINE", "") == "postgres"
"""All tests of the console over archives on PostgreSQL: `make prove`."""


@cache
def server() -> Postgres | None:
    """The session's own, begun when the first test asks for it and ended with the session; None where
    PostgreSQL is not installed."""
    programs = binaries()
    return None if programs is None else Postgres(programs)


def archive_table(place: PostgresPlace) -> str:
    """As a hub's config has it."""
    return (
        f'[archive]\nengine = "postgresql"\nhost = "{place.host}"\nport = {place.port}\n'
        f'database = "{place.database}"\nuser = "{place.user}"\nwitness_file = "{place.witness_file}"\n'
    )
