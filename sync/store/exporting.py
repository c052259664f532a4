"""Facts of a journal as JSON lines anyone can check: exact bodies, hashes, positions. Reads only."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sync.store.opening import JOURNAL, StoreRefused, open_database, refused


def exported_facts(path: Path) -> Iterator[str]:
    """One JSON object a fact, in device-wide order. Raises `StoreRefused`."""
    if not path.exists():
        raise StoreRefused(f"{path} does not exist: check the path")
    connection = open_database(path, JOURNAL, create=False, writable=False)
    with contextlib.closing(connection):
        try:
            for position, kind, hash_hex, body in connection.execute(
                "SELECT position, kind, hash, body FROM facts ORDER BY position, place"
            ):
                line = {"position": position, "kind": kind, "hash": hash_hex, "body": body}
                yield json.dumps(line, ensure_ascii=False)
        except sqlite3.Error as error:
            raise refused(path, JOURNAL, error) from error
