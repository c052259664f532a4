"""A device that is wiped by the centre keeps no record and no key, and tells everything first (G3, G10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.gate.config import read_gate_config
from edge.gate.events import Event, Wiped
from edge.gate.wiping import LAST_WORDS_S, wiping_of
from hardware_sims.cast import LANE_IN
from hardware_sims.site import Site, write_site
from sync.store.opening import StoreRefused
from sync.vocabulary.commands import Command
from sync.vocabulary.commands import Wipe as WipeAct
from sync.vocabulary.numbers import UtcText

COMMAND = Command(
    command_id="command-1",
    device=LANE_IN,
    nonce="0" * 32,
    issued=UtcText("2026-11-22T03:00:00Z"),
    valid_s=30,
    officers=("4604001",),
    reason="out of service",
    act=WipeAct(),
)


class SetClock:
    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_text(self) -> str:
        return "2026-11-22T03:00:00Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


class Room:
    def __init__(self, folder: Path) -> None:
        self.site: Site = write_site(folder, seed=7, vehicles=1, speed=1.0)
        self.clock = SetClock()
        self.owed = 3
        self.unreadable = False
        self.said: list[Event] = []
        config = read_gate_config(self.site.lane_config(LANE_IN))
        self.store = config.store.folder
        self.store.mkdir(parents=True, exist_ok=True)
        records = ("records-1.sqlite", "records-1.sqlite-wal", "records-2.sqlite")
        for name in (*records, "snapshot.packed", "snapshot.sqlite", "journal.sqlite"):
            (self.store / name).write_bytes(b"x")
        (self.store / "recording.key").write_text("00")
        self.wiping = wiping_of(config, self.clock, backlog=self.backlog, put=self.said.append)

    def backlog(self) -> int:
        if self.unreadable:
            raise StoreRefused("the journal cannot be read")
        return self.owed

    def left(self) -> list[str]:
        keys = [self.site.folder / "keys" / f"{LANE_IN}.key", self.site.folder / "draw.key"]
        return sorted([p.name for p in self.store.iterdir()] + [key.name for key in keys if key.exists()])


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "site")


ALL = ["draw.key", f"{LANE_IN}.key", "journal.sqlite", "records-1.sqlite", "records-1.sqlite-wal",
       "records-2.sqlite", "recording.key", "snapshot.packed", "snapshot.sqlite"]  # fmt: skip


def test_nothing_is_deleted_before_the_hub_has_every_fact(room: Room) -> None:
    assert room.wiping.run() is False
    room.wiping.begin(COMMAND, force=False)
    assert (room.wiping.run(), room.left(), room.said) == (False, sorted(ALL), [])
    room.unreadable = True
    assert (room.wiping.run(), room.left()) == (False, sorted(ALL))
    room.unreadable, room.owed = False, 0
    assert room.wiping.run() is False
    assert (room.left(), room.said) == (["journal.sqlite"], [Wiped(COMMAND)])


def test_by_force_it_is_done_at_once_and_the_journal_stays(room: Room) -> None:
    room.wiping.begin(COMMAND, force=True)
    room.wiping.run()
    assert (room.left(), room.said) == (["journal.sqlite"], [Wiped(COMMAND)])


def test_the_program_ends_when_its_last_words_are_acknowledged_or_took_too_long(room: Room) -> None:
    room.wiping.begin(COMMAND, force=True)
    room.wiping.run()
    assert room.wiping.run() is False
    room.clock.at_s = LAST_WORDS_S
    assert room.wiping.run() is True
    room.clock.at_s, room.owed = 1.0, 0
    assert room.wiping.run() is True


def test_it_is_done_once(room: Room) -> None:
    room.wiping.begin(COMMAND, force=True)
    room.wiping.run()
    room.wiping.begin(COMMAND, force=True)
    room.wiping.run()
    assert room.said == [Wiped(COMMAND)]


def test_records_taken_anew_meanwhile_go_too(room: Room) -> None:
    room.wiping.finish()
    assert "records-1.sqlite" in room.left()
    room.wiping.begin(COMMAND, force=True)
    room.wiping.run()
    (room.store / "records-3.sqlite").write_bytes(b"x")
    room.wiping.finish()
    assert room.left() == ["journal.sqlite"]


def test_what_cannot_be_deleted_is_named_and_the_program_goes_on(room: Room) -> None:
    (room.store / "records-3.sqlite").mkdir()
    room.wiping.begin(COMMAND, force=True)
    assert room.wiping.run() is False
    (said,) = room.said
    assert isinstance(said, Wiped)
    assert said.why.startswith("records-3.sqlite: ")
    room.clock.at_s, room.owed = 100.0, 0
    assert room.wiping.run() is False
