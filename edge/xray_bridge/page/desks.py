"""Who is signed in at which desk, and which commands were already had. Pure: time and chance are arguments.

A desk is in the hands of at most one officer, and an officer at most at one desk. An officer counts as
present only while the desk's stream is open: a closed browser is given no parcel.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MOST_STREAMS: Final = 2
"""Of one desk: the old one and the one that follows when a browser comes back."""
GONE_AFTER_S: Final = 5.0
LONGEST_S: Final = 12 * 3600.0
"""A shift: then number and PIN again."""
_REMEMBERED: Final = 4_096


@dataclass(slots=True)
class Seat:
    """A desk somebody is signed in at."""

    desk: str
    officer: str
    authorisations: tuple[str, ...]
    remote: bool
    cookie: str
    token: str
    since_s: float
    touched_s: float
    streams: int = 0
    gone_s: float | None = None
    """Since when no stream was open; None while one is."""
    present: bool = False
    """The station was told of the officer."""


@dataclass(slots=True)
class Bucket:
    """So many at once, and so many a second."""

    most: float
    a_second: float
    left: float
    at_s: float

    def take(self, at_s: float) -> bool:
        self.left = min(self.most, self.left + (at_s - self.at_s) * self.a_second)
        self.at_s = at_s
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass(slots=True)
class Desks:
    seats: dict[str, Seat] = field(default_factory=dict)
    """By cookie."""
    had: OrderedDict[tuple[str, str], bytes] = field(default_factory=OrderedDict)
    """(desk, command id) -> what was sent: one id, one effect."""

    def seat(self, cookie: str) -> Seat | None:
        return self.seats.get(cookie) if cookie else None

    def at(self, desk: str) -> Seat | None:
        return next((seat for seat in self.seats.values() if seat.desk == desk), None)

    def of(self, officer: str, desks: Mapping[str, bool], *, remote: bool) -> str | None:
        """The desk this officer sits at, if it is one of those asked for."""
        held = (seat.desk for seat in self.seats.values() if seat.officer == officer)
        return next((desk for desk in held if desks.get(desk) is remote), None)

    def free(self, names: Iterable[str]) -> str | None:
        taken = {seat.desk for seat in self.seats.values()}
        return next((name for name in names if name not in taken), None)

    def sit(self, seat: Seat) -> list[tuple[Seat, str]]:
        """Who has to leave for it, and why."""
        leaving = [
            (other, "other_officer" if other.desk == seat.desk else "elsewhere")
            for other in self.seats.values()
            if other.desk == seat.desk or other.officer == seat.officer
        ]
        for other, _ in leaving:
            del self.seats[other.cookie]
        self.seats[seat.cookie] = seat
        return leaving

    def leave(self, seat: Seat) -> bool:
        return self.seats.pop(seat.cookie, None) is not None

    def overdue(self, at_s: float, lock_s: float) -> list[tuple[Seat, str]]:
        """Whose time is over, and why."""
        over = []
        for seat in self.seats.values():
            if at_s - seat.since_s > LONGEST_S:
                over.append((seat, "shift_over"))
            elif at_s - seat.touched_s > lock_s:
                over.append((seat, "untouched"))
        return over

    def gone(self, at_s: float) -> list[Seat]:
        """Present, as the station knows, but without a stream for too long."""
        return [
            seat
            for seat in self.seats.values()
            if seat.present and seat.gone_s is not None and at_s - seat.gone_s > GONE_AFTER_S
        ]

    def first_time(self, desk: str, command_id: str, body: bytes) -> bool | None:
        """True: new; False: the same again; None: another command under an id that was used."""
        key = (desk, command_id)
        before = self.had.get(key)
        if before is not None:
            return False if before == body else None
        self.had[key] = body
        while len(self.had) > _REMEMBERED:
            self.had.popitem(last=False)
        return True
