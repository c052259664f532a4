"""Questions to SQLite that are given up when they take too long."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from sync.hub.engine import Over, TookTooLong

STEPS_BETWEEN_LOOKS: Final = 20_000
"""Of SQLite's virtual machine: a millisecond or less. Short statements end before the first look."""


@contextlib.contextmanager
def given_up(db: sqlite3.Connection, over: Over) -> Iterator[None]:
    """Statements inside end with `TookTooLong` once `over` holds."""
    db.set_progress_handler(over, STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            raise TookTooLong from error
        raise
    finally:
        db.set_progress_handler(None, 0)
