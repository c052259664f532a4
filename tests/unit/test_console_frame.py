"""The console's frame when things go wrong under it: files deleted, connections in use, hostile times and
numbers, too much of anything."""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.hub.console import context
from sync.hub.console.shown import Shown
from sync.vocabulary.facts import PassageOpened, RulingMade
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.console_rig import ConsoleRig, console_rig

HELD = Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER),))


def test_what_is_shown_is_made_anew_when_its_file_is_deleted_under_the_running_console(
    tmp_path: Path,
) -> None:
    with console_rig(tmp_path) as rig:
        rig.say("lane-in", PassageOpened(passage=1))
        with rig.served():
            _until(lambda: _opened(rig) == 1)
            for file in tmp_path.glob("shown.sqlite*"):
                file.unlink()
            rig.say("lane-in", PassageOpened(passage=2))
            _until(lambda: _opened(rig) == 2)
        assert (tmp_path / "shown.sqlite").exists()


def _opened(rig: ConsoleRig) -> int:
    try:
        with rig.console.shown() as shown:
            return len(shown.passages_open())
    except sqlite3.OperationalError:
        return -1


def _until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_locked_file_is_not_thrown_away(tmp_path: Path) -> None:
    file = tmp_path / "shown.sqlite"
    Shown.open(file, "archive").close()
    file.with_name("shown.sqlite-wal").unlink(missing_ok=True)
    held = sqlite3.connect(file)
    held.execute("PRAGMA locking_mode=EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    before = file.stat().st_ino
    with pytest.raises(sqlite3.OperationalError):
        Shown.open(file, "archive", timeout_s=0.05)
    held.close()
    assert file.stat().st_ino == before


def test_whoever_finds_every_connection_in_use_is_told_so_and_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "CONNECTION_WITHIN_S", 0.05)
    pool = context.Pool(io.BytesIO, 1)
    with pool.one() as first:
        with pytest.raises(OSError, match="in use"), pool.one():
            pass
        assert not first.closed
    with pool.one() as again:
        assert again is first


def test_a_time_that_is_none_is_shown_as_it_was_told(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        device = rig.device("lane-in")
        facts = [
            device.say(PassageOpened(passage=1), time="99:99 <maybe>"),
            device.say(RulingMade(passage=1, ruling=HELD, direction="I"), time="9999-12-31T23:59:59.000000Z"),
        ]
        rig.send(device, facts)
        rig.caught_up()
        answer = rig.client().get("/passage/lane-in/1")
        assert answer.status_code == 200
        assert "99:99 &lt;maybe&gt;" in answer.text
        assert "9999-12-31T23:59:59.000000Z" in answer.text
