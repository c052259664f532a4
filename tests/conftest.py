"""Settings of all tests: the same examples every time, and no patience measured in milliseconds."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.postgres import Postgres, server

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("KAKOU_HYPOTHESIS", "house"))


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """A server of the session's own, or the test is skipped."""
    found = server()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    return found


def pytest_unconfigure() -> None:
    if server.cache_info().currsize:
        found = server()
        if found is not None:
            found.close()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Groups that are not kept together start whole sites side by side and build every fixture twice: pytest
    9.2 did that to pytest-xdist 3.8 without a word."""
    if getattr(session.config.option, "loadgroup", False):
        lost = [
            item.nodeid
            for item in session.items
            if item.get_closest_marker("xdist_group") is not None and "@" not in item.nodeid
        ]
        if lost:
            raise pytest.UsageError(f"{len(lost)} tests lost their xdist_group, the first: {lost[0]}")
