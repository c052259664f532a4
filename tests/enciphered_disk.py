"""A plugin (`pytest -p tests.enciphered_disk …`): tests of the stores, written for plain files, on an
enciphered disk.

Whatever a test damages, cuts, fills or copies is then a file of a handheld; the same must be found and said.
Left out are tests whose matter is a plain file: one that is none of ours, one that another library copies,
one that a program of its own writes plain.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sync.store.enciphered import DataKey, Enciphered
from sync.store.opening import Plain

DISK = Enciphered(DataKey(b"an enciphered disk for all tests"))
OF_PLAIN_FILES = (
    "test_a_restored_journal_begins_an_epoch",
    "test_opening_again_without_a_clean_close_keeps_the_epoch",
    "test_an_empty_file_or_a_half_made_one_becomes_a_journal",
    "_text-",
    "_foreign",
)

_plainly = sqlite3.connect


def _connect(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
    """What a test looks at or spoils by hand: the same file, through the cipher."""
    if isinstance(database, Path) and database.exists() and database.stat().st_size:
        connection = DISK.connect(database, "mode=rw")
        connection.isolation_level = options.get("isolation_level", "")
        return connection
    plain: sqlite3.Connection = _plainly(database, *arguments, **options)
    return plain


@pytest.fixture(autouse=True)
def _enciphered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plain, "connect", lambda _, *told, **more: DISK.connect(*told, **more))
    monkeypatch.setattr(sqlite3, "connect", _connect)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if any(name in item.name for name in OF_PLAIN_FILES)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
