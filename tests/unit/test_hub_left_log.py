"""A backup put in the archive's place while the old file's log lies there: refused, with neither spoiled."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sync.hub.archive import Archive
from sync.hub.engine import ArchiveRefused
from sync.link.keys import make_private, public_pem


def enrolled(archive: Archive, first: int, last: int) -> None:
    pem = public_pem(make_private().public_key()).decode()
    for number in range(first, last):
        with archive.transaction():
            archive.enrol(f"lane-{number:05d}", pem)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Archive and log as a kill leaves them, and beside them an older backup that the log does not fit."""
    lived, left = tmp_path / "lived", tmp_path / "left"
    lived.mkdir()
    path = lived / "archive.sqlite"
    archive = Archive.open(path, own=True)
    enrolled(archive, 0, 200)
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(tmp_path / "backup")) as copy:
        db.backup(copy)
    enrolled(archive, 200, 700)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    enrolled(archive, 700, 900)
    shutil.copytree(lived, left)
    archive.close()
    return left / "archive.sqlite"


def test_a_killed_archive_opens_with_its_own_log(killed: Path) -> None:
    archive = Archive.open(killed, own=True)
    assert len(archive.devices()) == 900
    archive.close()


def test_a_log_of_another_file_is_refused_and_the_backup_stays_as_it_was(killed: Path) -> None:
    backup = killed.parent.parent / "backup"
    shutil.copyfile(backup, killed)
    with pytest.raises(ArchiveRefused, match="is not of this file"):
        Archive.open(killed, own=True)
    assert killed.read_bytes() == backup.read_bytes()
    for suffix in ("-wal", "-shm"):
        killed.with_name(killed.name + suffix).unlink(missing_ok=True)
    archive = Archive.open(killed, own=True)
    assert len(archive.devices()) == 200
    archive.close()
