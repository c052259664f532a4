"""The latest time this device has ever seen: a floor under its wall clock. By it records grow old and
officers' entries end, so that a clock that is set back makes nothing young again (S10).

Within one boot the floor goes on with the monotonic clock, asleep or not; over a boot it stands where it was
kept last. No fact is labelled or ordered by it (G7).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edge.runtime.clock import Clock
from sync.store.whole_files import replace_whole
from sync.vocabulary.bounds import Text, Time
from sync.vocabulary.numbers import utc_text

FILE: Final = "latest.time"
KEEP_EVERY_S: Final = 60.0
"""So much at most is lost when the battery is taken out."""
MOST_BYTES: Final = 4_096
Monotonic = Annotated[float, Meta(ge=-1e12, le=1e12)]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    utc: Time
    boot_id: Text
    at_s: Monotonic
    """Monotonic, of that boot."""


_read = msgspec.json.Decoder(Kept)


class LatestTime:
    """For the core's one thread."""

    def __init__(self, clock: Clock, path: Path) -> None:
        """A file that is missing or damaged is none: what the journal and the records tell is `seen`."""
        self._clock = clock
        self._path = path
        self._floor: datetime | None = None
        self._at_s = clock.monotonic_s()
        self._kept_at_s: float | None = None
        self._vouched = ""
        kept = _kept(path)
        if kept is None:
            return
        self._floor = _moment(kept.utc)
        if kept.boot_id == clock.boot_id() and self._floor is not None:
            self._floor += timedelta(seconds=max(0.0, self._at_s - kept.at_s))

    def utc(self) -> str:
        """UTC text: the wall clock's, and never earlier than what was seen before."""
        return _text(self._now())

    def seen(self, utc: str) -> None:
        """A time that has been: of the journal's last fact, of a verified head."""
        moment = _moment(utc)
        if moment is not None and moment > self._now():
            self._set(moment)

    def vouched(self, issued_utc: str) -> None:
        """While connected a newer head of the centre's came: it is now, whatever this device thought. A clock
        that was wrongly ahead is cured by this, and by nothing else."""
        moment = _moment(issued_utc)
        if moment is None or issued_utc <= self._vouched:
            return
        if self._vouched:
            self._set(moment)
        else:
            # The first one may have lain here before: it only proves that its time has been.
            self.seen(issued_utc)
        self._vouched = issued_utc

    def keep(self, *, at_once: bool = False) -> None:
        """Write it down, now and then. A disk that takes nothing is told of elsewhere."""
        at_s = self._clock.monotonic_s()
        if not at_once and self._kept_at_s is not None and at_s - self._kept_at_s < KEEP_EVERY_S:
            return
        self._kept_at_s = at_s
        kept = Kept(utc=self.utc(), boot_id=self._clock.boot_id(), at_s=at_s)
        with suppress(OSError):
            replace_whole(self._path, msgspec.json.encode(kept))

    def _now(self) -> datetime:
        at_s = self._clock.monotonic_s()
        wall = _moment(self._clock.utc_text()) or datetime.min.replace(tzinfo=UTC)
        if self._floor is not None:
            wall = max(wall, self._floor + timedelta(seconds=max(0.0, at_s - self._at_s)))
        self._floor, self._at_s = wall, at_s
        return wall

    def _set(self, moment: datetime) -> None:
        self._floor, self._at_s = moment, self._clock.monotonic_s()


def _kept(path: Path) -> Kept | None:
    try:
        with path.open("rb") as file:
            return _read.decode(file.read(MOST_BYTES))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _moment(utc: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(utc)
    except ValueError:
        return None
    # Room to add to at both ends: an absurd time is none.
    return moment.astimezone(UTC) if moment.tzinfo is not None and 1970 < moment.year < 9000 else None


def _text(moment: datetime) -> str:
    return utc_text(moment)
