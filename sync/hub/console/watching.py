"""The wall kept up to date: its view is made once a change for all screens, and whoever listens is told.

It looks when the tail has read something, and twice a second at what does not come by facts (statuses, the
hub's alarms, what officers did). Nobody looking: nothing is done.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sync.hub.archive import STORAGE_ERRORS, Archive
from sync.hub.console.alarms import OpenAlarm, OpenAlarms
from sync.hub.console.shown import Shown, Tally
from sync.hub.console.wall import COUNTED, Coverage, Heard, Known, WallView, build, coverage, line, shown_in
from sync.hub.console.words import WORDS
from sync.link.messages import Status
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.records import Enterprise

if TYPE_CHECKING:
    from sync.hub.console.context import Console

LOOK_EVERY_S: Final = 0.5
BUILD_EVERY_S: Final = 0.25
"""However much comes."""
AGES_EVERY_S: Final = 5.0
"""Ages grow though nothing comes."""
SLOW_EVERY_S: Final = 15.0
PAST_EVERY_S: Final = 600.0
COVERAGE_DAYS: Final = 30
PARTS: Final = ("figures", "plan", "alarms", "devices", "coverage")
CSRF: Final = "@csrf-of-the-session@"
"""Stands in forms where each session's own token is put in."""

EMPTY: Final = coverage((), {}, COVERAGE_DAYS)

_read_status = decoder(Status)
_read_enterprise = decoder(Enterprise)


@dataclass(frozen=True, slots=True)
class Painted:
    number: int
    parts: Mapping[str, str]
    changed: Mapping[str, int]
    """Part -> the number of the view in which it changed last."""
    made_of: Mapping[str, tuple[object, ...]]


@dataclass(slots=True)
class _Slow:
    """What changes seldom, or may be some seconds old."""

    at_s: float = -1e9
    past_at_s: float = -1e9
    day: str = ""
    past_firms: Counter[tuple[str, str]] = field(default_factory=Counter)
    yesterday: tuple[Tally, ...] = ()
    coverage: Coverage = EMPTY
    devices: tuple[str, ...] = ()
    pictures_owed: Mapping[str, int] = field(default_factory=dict)


class Wall:
    """One to a process, any thread."""

    def __init__(self, console: Console, caught_up: Callable[[], bool] = lambda: True) -> None:
        self._console = console
        self._caught_up = caught_up
        self._lock = threading.Lock()
        self._alarms = OpenAlarms()
        self._statuses: dict[str, tuple[str, Heard]] = {}
        self._slow = _Slow()
        self._view: WallView | None = None
        # Higher than any before: a screen that was cut off by a new start of the console asks by it.
        self._number = int(time.time() * 1000)
        self._pulse = -1
        self._built_s = -1e9
        self._looked_s = -1e9
        self._painted: dict[str, Painted] = {}
        self._listeners: dict[int, Callable[[], None]] = {}
        self._listening = threading.Lock()
        self._thread: threading.Thread | None = None
        self.builds = 0

    # --- asked by pages -----------------------------------------------------------------------------------

    def view(self, *, at_once: bool = True) -> WallView:
        """As it is now; at most `BUILD_EVERY_S` old where it need not be at once, its slow part
        `SLOW_EVERY_S`."""
        with self._lock:
            return self._fresh(at_once)

    def painted(self, language: str, *, at_once: bool = False) -> Painted:
        with self._lock:
            view = self._fresh(at_once) if at_once or self._view is None else self._view
            before = self._painted.get(language)
            if before is not None and before.number == self._number:
                return before
            parts, changed, made_of = {}, {}, {}
            for part in PARTS:
                made_of[part] = shown_in(view, part)
                if before is not None and before.made_of[part] == made_of[part]:
                    parts[part], changed[part] = before.parts[part], before.changed[part]
                else:
                    parts[part], changed[part] = self._paint(language, part, view), self._number
            painted = self._painted[language] = Painted(self._number, parts, changed, made_of)
            return painted

    def _paint(self, language: str, part: str, view: WallView) -> str:
        return self._console.fragment(
            language, f"wall_{part}.html", view=view, csrf=CSRF, line=line, has=WORDS.__contains__
        )

    def unlooked_s(self) -> float:
        """Since it was last known that the view is what stands; it may be an old one where looking fails."""
        return time.monotonic() - self._looked_s

    def alarm(self, alarm: str) -> OpenAlarm | None:
        with self._lock:
            self._fresh(True)
            return self._alarms.get(alarm)

    def alarms_like(self, alarm: OpenAlarm, until_utc: str) -> tuple[OpenAlarm, ...]:
        with self._lock:
            return self._alarms.like(alarm, until_utc)

    # --- listening ----------------------------------------------------------------------------------------

    def listen(self, changed: Callable[[], None]) -> int:
        """`changed` is called on the wall's thread whenever there is another view. Gives what ends it."""
        with self._listening:
            key = max(self._listeners, default=0) + 1
            self._listeners[key] = changed
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="console-wall", daemon=True)
                self._thread.start()
            return key

    def leave(self, key: int) -> None:
        with self._listening:
            self._listeners.pop(key, None)

    def _watch(self) -> None:
        pulse = -1
        while True:
            with self._listening:
                if not self._listeners:
                    self._thread = None
                    return
            pulse = self._console.pulse.wait(pulse, LOOK_EVERY_S)
            began_s = time.monotonic()
            before = self._number
            try:
                with self._lock:
                    self._fresh(False)
            except STORAGE_ERRORS as error:
                self._console.log.warning("wall not made", why=f"{type(error).__name__}: {error}")
                time.sleep(LOOK_EVERY_S)
                continue
            except Exception:
                # One view that cannot be made is no reason to make none any more.
                self._console.log.exception("wall not made")
                time.sleep(LOOK_EVERY_S)
                continue
            if self._number != before:
                with self._listening:
                    told = tuple(self._listeners.values())
                for changed in told:
                    changed()
            time.sleep(max(0.0, BUILD_EVERY_S - (time.monotonic() - began_s)))

    # --- made ---------------------------------------------------------------------------------------------

    def _fresh(self, at_once: bool) -> WallView:
        now_s = time.monotonic()
        if not at_once and self._view is not None and now_s - self._built_s < BUILD_EVERY_S:
            return self._view
        pulse = self._console.pulse.number
        with self._console.archive() as archive, self._console.shown() as shown:
            site = self._console.site()
            now = datetime.now(self._console.zone)
            alarms_before = self._alarms.all()
            self._alarms.look(archive, shown, utc_text(now))
            scopes = archive.scopes()
            heard_other = self._look_at_statuses(archive)
            quiet = not heard_other and self._alarms.all() is alarms_before and pulse == self._pulse
            if not at_once and quiet and self._view is not None and now_s - self._built_s < AGES_EVERY_S:
                self._looked_s = now_s
                return self._view
            today = f"{now:%Y-%m-%d}"
            self._look_slowly(archive, shown, now)
            with shown.moment():
                passages, states = shown.passages_open(), shown.states()
                tallies = _tallies(shown, today)
            slow = self._slow
            view = build(
                Known(
                    site=site,
                    now=now,
                    baseline_s=self._console.part.baseline_lane_s,
                    devices=slow.devices,
                    statuses=self._with_lacks(archive, {scope.scope: scope.epoch for scope in scopes}),
                    scopes={scope.scope: scope.number for scope in scopes},
                    passages=passages,
                    states=states,
                    today=tallies,
                    yesterday=slow.yesterday,
                    coverage=slow.coverage,
                    alarms=self._alarms.all(),
                    pictures_owed=slow.pictures_owed,
                    caught_up=self._caught_up(),
                    broker_lost_utc=self._console.broker_lost_utc,
                )
            )
        self.builds += 1
        self._pulse, self._built_s = pulse, now_s
        self._looked_s = now_s
        if view != self._view:
            self._view = view
            self._number += 1
        return view

    def _look_at_statuses(self, archive: Archive) -> bool:
        """Whether any said something else."""
        rows = archive.engine.execute(
            "SELECT device, body, received_utc FROM statuses "
            "WHERE device NOT IN (SELECT device FROM devices WHERE revoked = 1)"
        ).fetchall()
        gone = self._statuses.keys() - {device for device, _, _ in rows}
        for device in gone:
            del self._statuses[device]
        other = bool(gone)
        for device, body, received_utc in rows:
            known = self._statuses.get(device)
            if known is not None and known[0] == body and known[1].received_utc == received_utc:
                continue
            try:
                status = _read_status(body)
            except Malformed:
                continue
            other = True
            self._statuses[device] = (body, Heard(status, received_utc))
        return other

    def _with_lacks(self, archive: Archive, epochs: Mapping[str, str]) -> dict[str, Heard]:
        found = {}
        numbers = {scope.scope: scope.number for scope in archive.scopes()}
        for device, (_, heard) in self._statuses.items():
            lacks = {}
            for scope, number in heard.status.records.items():
                if scope in numbers and number < numbers[scope]:
                    row = archive.engine.execute(
                        "SELECT at_utc FROM log WHERE scope = ? AND epoch = ? AND number = ?",
                        (scope, epochs[scope], number + 1),
                    ).fetchone()
                    if row is not None:
                        lacks[scope] = str(row[0])
            found[device] = Heard(heard.status, heard.received_utc, lacks) if lacks else heard
        return found

    def _look_slowly(self, archive: Archive, shown: Shown, now: datetime) -> None:
        slow, now_s = self._slow, time.monotonic()
        day = f"{now:%Y-%m-%d}"
        if slow.day == day and now_s - slow.at_s < SLOW_EVERY_S:
            return
        if slow.day != day or now_s - slow.past_at_s > PAST_EVERY_S:
            yesterday = f"{now - timedelta(days=1):%Y-%m-%d}"
            slow.past_firms = Counter()
            for back in range(1, COVERAGE_DAYS):
                slow.past_firms += _firms(shown, f"{now - timedelta(days=back):%Y-%m-%d}")
            slow.yesterday = _tallies(shown, yesterday)
            slow.past_at_s, slow.day = now_s, day
        found = []
        for body in archive.bodies_of("enterprises"):
            try:
                found.append(_read_enterprise(body))
            except Malformed:
                continue
        slow.coverage = coverage(found, slow.past_firms + _firms(shown, day), COVERAGE_DAYS)
        slow.devices = archive.devices()
        slow.pictures_owed = dict(
            archive.engine.execute(
                "SELECT device, count(*) FROM blobs WHERE state = 'missing' GROUP BY device"
            ).fetchall()
        )
        slow.at_s = now_s


def _firms(shown: Shown, day: str) -> Counter[tuple[str, str]]:
    rows = shown.execute(
        "SELECT name, what, sum(n) FROM tallies WHERE day = ? AND by = 'enterprise' "
        "AND what IN ('ruled', 'spot_checked', 'slip_checks') GROUP BY name, what",
        (day,),
    )
    return Counter({(name, what): n for name, what, n in rows})


def _tallies(shown: Shown, day: str) -> tuple[Tally, ...]:
    rows = shown.execute(
        "SELECT day, hour, by, name, what, n, seconds FROM tallies "  # noqa: S608
        f"WHERE day = ? AND by = 'device' AND what IN ({', '.join('?' * len(COUNTED))})",
        (day, *COUNTED),
    )
    return tuple(map(Tally._make, rows))
