"""Open alarms: every alarm a device told or the hub raised, until an officer ended it with a note. Who has it
in hand, and since when.

They are remembered here and looked after: new ones come by number, what officers did by its time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sync.hub.archive import Archive, CentreAct
from sync.hub.console.shown import Shown
from sync.hub.terms import HubAlarm
from sync.vocabulary.rulings import Text

HUB: Final = "hub"
MOST_A_LOOK: Final = 20_000
MOST_AT_ONCE: Final = 1_000
"""Alarms one officer ends in one go."""
MOST_NOTE: Final = 500
_ASKED_AT_ONCE: Final = 500
_OVERLAP: Final = 100
"""Hub alarms of several writers appear a little out of order."""
_ESCALATED: Final = re.compile(r"passage (\d{1,18}): ")
_OVERLAP_S: Final = 120.0
"""How far clocks of consoles beside each other may differ."""


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    alarm: str
    """`DEVICE/EPOCH/STREAM/SEQ`, or `hub/ID`."""
    device: str
    """Empty: the hub's own."""
    code: str
    text: Text
    """Empty: only the code says what it is."""
    detail: str
    passage: int | None
    utc: str
    owner: str = ""
    taken_utc: str = ""

    @property
    def hold(self) -> int | None:
        """The passage at the desk that was escalated."""
        found = _ESCALATED.match(self.detail) if self.code == HubAlarm.HOLD_ESCALATED else None
        return int(found[1]) if found is not None else None


def kind_of(alarm: OpenAlarm) -> tuple[str, str, str, int | None]:
    """Of one kind, from one device, in one officer's hands; every held vehicle by itself."""
    return alarm.device, alarm.code, alarm.owner, alarm.hold


class OpenAlarms:
    """One to a process; one thread at a time."""

    def __init__(self) -> None:
        self._open: dict[str, OpenAlarm] = {}
        self._making = ""
        self._device_row = 0
        self._hub_id = 0
        self._looked_utc = ""
        self._sorted: tuple[OpenAlarm, ...] | None = None

    def look(self, archive: Archive, shown: Shown, now_utc: str) -> None:
        self._look_at_devices(archive, shown)
        self._look_at_hub(archive)
        self._look_at_hands(archive, now_utc)

    def all(self) -> tuple[OpenAlarm, ...]:
        """The latest first."""
        if self._sorted is None:
            self._sorted = tuple(
                sorted(self._open.values(), key=lambda alarm: (alarm.utc, alarm.alarm), reverse=True)
            )
        return self._sorted

    def get(self, alarm: str) -> OpenAlarm | None:
        return self._open.get(alarm)

    def like(self, alarm: OpenAlarm, until_utc: str) -> tuple[OpenAlarm, ...]:
        """All open ones that stand with it on the wall and were told until then, itself first."""
        same = [
            each
            for each in self.all()
            if kind_of(each) == kind_of(alarm) and each.utc <= until_utc and each.alarm != alarm.alarm
        ]
        return (alarm, *same)

    def _look_at_devices(self, archive: Archive, shown: Shown) -> None:
        making = shown.making()
        (last,) = shown.execute("SELECT coalesce(max(rowid), 0) FROM alarms").fetchone()
        if making != self._making or last < self._device_row:
            # What is shown was made anew: its numbers begin again, and in another order.
            self._making, self._device_row = making, 0
        rows = shown.execute(
            "SELECT rowid, device, epoch, stream, seq, utc, code, passage, detail, zh, en FROM alarms "
            "WHERE rowid > ? ORDER BY rowid LIMIT ?",
            (self._device_row, MOST_A_LOOK),
        )
        told: list[OpenAlarm] = []
        for row, device, epoch, stream, seq, utc, code, passage, detail, zh, en in rows.fetchall():
            self._device_row = row
            name = f"{device}/{epoch}/{stream}/{seq}"
            told.append(OpenAlarm(name, device, code, Text(zh, en), detail, passage, utc))
        self._add(archive, told)

    def _look_at_hub(self, archive: Archive) -> None:
        rows = archive.engine.execute(
            "SELECT id, at_utc, device, code, detail FROM hub_alarms WHERE id > ? ORDER BY id LIMIT ?",
            (self._hub_id - _OVERLAP, MOST_A_LOOK),
        )
        told: list[OpenAlarm] = []
        for number, utc, device, code, detail in rows.fetchall():
            self._hub_id = max(self._hub_id, number)
            told.append(OpenAlarm(f"{HUB}/{number}", device, code, Text("", ""), detail, None, utc))
        self._add(archive, told)

    def _look_at_hands(self, archive: Archive, now_utc: str) -> None:
        before = datetime.fromisoformat(now_utc) - timedelta(seconds=_OVERLAP_S)
        rows = archive.engine.execute(
            "SELECT alarm, owner, taken_utc, ended_utc FROM console_alarms "
            "WHERE ended_utc = '' OR ended_utc >= ?",
            # What ended before the first look was looked for as it was added.
            (self._looked_utc or f"{before:%Y-%m-%dT%H:%M:%S}",),
        ).fetchall()
        self._looked_utc = f"{before:%Y-%m-%dT%H:%M:%S}"
        for alarm, owner, taken_utc, ended_utc in rows:
            if ended_utc:
                if self._open.pop(alarm, None) is not None:
                    self._sorted = None
                continue
            known = self._open.get(alarm)
            if known is not None and (known.owner, known.taken_utc) != (owner, taken_utc):
                self._open[alarm] = replace(known, owner=owner, taken_utc=taken_utc)
                self._sorted = None

    def _add(self, archive: Archive, told: Sequence[OpenAlarm]) -> None:
        """Those that are not here and that nobody has ended."""
        new = {alarm.alarm: alarm for alarm in told if alarm.alarm not in self._open}
        names = tuple(new)
        for start in range(0, len(names), _ASKED_AT_ONCE):
            some = names[start : start + _ASKED_AT_ONCE]
            ended = archive.engine.execute(
                "SELECT alarm FROM console_alarms WHERE ended_utc <> '' "  # noqa: S608  only question marks
                f"AND alarm IN ({','.join('?' * len(some))})",
                some,
            )
            for (alarm,) in ended.fetchall():
                del new[alarm]
        if new:
            self._open |= new
            self._sorted = None


def take(archive: Archive, alarms: Sequence[OpenAlarm], officer: str, *, seen_owner: str, at_utc: str) -> int:
    """How many it took: not those somebody else has taken or ended since they were looked at."""
    taken = 0
    with archive.transaction():
        for alarm in alarms[:MOST_AT_ONCE]:
            done = archive.engine.execute(
                "INSERT INTO console_alarms (alarm, owner, taken_utc) VALUES (?, ?, ?) "
                "ON CONFLICT (alarm) DO UPDATE SET owner = excluded.owner, taken_utc = excluded.taken_utc "
                "WHERE console_alarms.owner = ? AND console_alarms.ended_utc = ''",
                (alarm.alarm, officer, at_utc, seen_owner),
            ).rowcount
            if done:
                taken += 1
                archive.add_act(CentreAct(at_utc, "alarm_taken", alarm.alarm, (officer,), "", _detail(alarm)))
    return taken


def end(archive: Archive, alarms: Sequence[OpenAlarm], officer: str, note: str, at_utc: str) -> int:
    """How many it ended, of the first `MOST_AT_ONCE`; those another has ended meanwhile keep his note."""
    ended = 0
    with archive.transaction():
        for alarm in alarms[:MOST_AT_ONCE]:
            done = archive.engine.execute(
                "INSERT INTO console_alarms VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (alarm) DO UPDATE SET ended_utc = excluded.ended_utc, note = excluded.note "
                "WHERE console_alarms.ended_utc = ''",
                (alarm.alarm, officer, at_utc, at_utc, note[:MOST_NOTE]),
            ).rowcount
            if done:
                ended += 1
                act = CentreAct(at_utc, "alarm_ended", alarm.alarm, (officer,), note, _detail(alarm))
                archive.add_act(act)
    return ended


def _detail(alarm: OpenAlarm) -> str:
    return f"{alarm.code} {alarm.device}: {alarm.detail}"[:500]
