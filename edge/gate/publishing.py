"""Keeps what a lane shows of itself fresh, on the lane's own thread: gathers, throttles, publishes.

Never a reason to stop a lane: what cannot be gathered is shown as unknown.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from edge.devices.readings import Reading
from edge.gate.config import GateConfig
from edge.gate.effects import Effect
from edge.gate.lane import Lane
from edge.gate.showing import RecordsShown, Showing, Snapshot, Surroundings
from edge.runtime.clock import Clock
from edge.runtime.supervisor import DeviceHealth
from sync.store.journal import Journal
from sync.store.records import Records, StoreRefused
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import Stream, read_body

PICTURES: Final = "pictures"
"""Folder of the store, `<sha256>.jpg` in it."""

_EVERY_S: Final = 0.5
_GATHER_EVERY_S: Final = 2.0
_FACTS_LOOKED_BACK: Final = 400
"""About so many tell of the last passages of the run before."""


class Publisher:
    """Used by the lane's thread, except `heard` and `latest`."""

    def __init__(
        self,
        config: GateConfig,
        version: str,
        clock: Clock,
        *,
        journal: Journal,
        records: Callable[[], Records | None],
        health: Callable[[], Mapping[str, DeviceHealth]],
        not_before_utc: str,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._records = records
        self._health = health
        self._folder: Path = config.store.folder
        self._reserve_mb = config.store.reserve_mb
        self._not_before_utc = not_before_utc
        self._around = Surroundings()
        self._zone = ""
        self._told = ""
        self._published_s = self._gathered_s = float("-inf")
        self._showing = Showing(
            lane_id=config.lane.id,
            site=config.lane.site,
            direction=config.lane.direction,
            version=version,
            began_utc=clock.utc_text(),
            devices={
                name: (part.protocol, part.role, part.silent_after_s is not None)
                for name, part in config.devices.items()
            },
        )

    def heard(self, device: str, reading: Reading) -> None:
        self._showing.heard(device, reading)

    def latest(self) -> Snapshot | None:
        return self._showing.latest()

    def look_back(self) -> None:
        """The last passages of the run before: the screen at a lane that was restarted is not empty."""
        try:
            for stream in (Stream.ROUTINE, Stream.ALARM):
                first = self._journal.heads()[stream].seq - _FACTS_LOOKED_BACK
                facts = self._journal.facts_from(
                    stream, max(1, first), max_facts=_FACTS_LOOKED_BACK + 1, max_bytes=4_000_000
                )
                for fact in facts:
                    self._showing.told(fact.time, [read_body(fact.body).data])
        except (StoreRefused, Malformed):
            return

    def stepped(self, lane: Lane, effects: Sequence[Effect]) -> None:
        """After a step: what it asked for is shown at once, all else twice a second. Never raises."""
        try:
            self._stepped(lane, effects)
        except Exception as error:  # noqa: BLE001 - a page is no reason to stop a lane
            if str(error) != self._told:
                self._told = str(error)
                structlog.get_logger("page").error("nothing new is shown", exc_info=error)

    def _stepped(self, lane: Lane, effects: Sequence[Effect]) -> None:
        at_s = self._clock.monotonic_s()
        changed = bool(effects) and self._showing.asked(self._clock.utc_text(), effects)
        if not changed and at_s - self._published_s < _EVERY_S:
            return
        if not effects and at_s - self._gathered_s >= _GATHER_EVERY_S:
            # Never between a step and what it asks for: an arm waits for no page (S2).
            self._gathered_s = at_s
            self._around = self._gather()
        self._published_s = at_s
        self._showing.publish(
            lane, at_s=at_s, utc=self._clock.utc_text(), health=self._health(), around=self._around
        )

    def _gather(self) -> Surroundings:
        utc = self._clock.utc_text()
        return Surroundings(
            records=self._of_records(utc),
            backlog=self._backlog(),
            free_mb=self._free_mb(),
            reserve_mb=self._reserve_mb,
            clock_set=utc >= self._not_before_utc,
            uncertainty_ms=self._clock.uncertainty_ms(),
            zone=self._zone,
        )

    def _of_records(self, utc: str) -> RecordsShown | None:
        try:
            records = self._records()
            if records is None:
                return None
            state, site = records.feed_state(), records.site()
        except (StoreRefused, Malformed):
            return None
        age_s: float | None = None
        if state.verified_utc is not None and utc >= self._not_before_utc:
            verified = datetime.fromisoformat(state.verified_utc)
            age_s = max(0.0, (datetime.fromisoformat(utc) - verified) / timedelta(seconds=1))
        max_age_s = float(site.max_age_s) if site is not None else None
        self._zone = site.zone if site is not None else ""
        return RecordsShown(state.scope, state.number, state.rows, age_s, max_age_s)

    def _backlog(self) -> int:
        """What was known, where the journal cannot be read just now: a page stops no lane."""
        try:
            return sum(self._journal.backlog().values())
        except StoreRefused:
            return self._around.backlog

    def _free_mb(self) -> int | None:
        try:
            return shutil.disk_usage(self._folder).free // 1_000_000
        except OSError:
            return None
