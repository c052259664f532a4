"""How long a wrong PIN makes the next one wait, and who may sign in at all: the same on a handheld and at an
X-ray station. Pure: clock and records arrive as arguments, the count is kept by whoever asks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from sync.vocabulary.bounds import Text
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, OfficerState, Site

FREE_TRIES = 3
"""Wrong PINs of one officer in a row before anybody waits: gloves."""
FREE_TRIES_OF_DEVICE = 10
"""Whoever they were: else a finder had three tries for each number of the roster."""
FIRST_WAIT_S = 30.0
LONGEST_WAIT_S = 3_600.0


class Moment(NamedTuple):
    """A monotonic time and the boot it counts in; wall clocks are never asked (G7)."""

    boot_id: str
    at_s: float


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """PINs tried in a row and not found right. Counted before the PIN is looked at: a kill in between frees
    nobody of a try."""

    count: int = 0
    boot_id: Text = ""
    at_s: float = 0.0
    """When the last one was, or the first moment this boot knew of it."""


NONE_YET = Tries()


def wait_after(count: int, free: int) -> float:
    """Seconds to wait after so many: none, then 30 s and doubling, an hour at the most. Never less for
    more."""
    if count < free:
        return 0.0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(count - free, 20))


def left_s(tries: Tries, now: Moment, free: int) -> float:
    """What is left of the wait. What passed in other boots is not known, and counts for nothing."""
    passed_s = max(0.0, now.at_s - tries.at_s) if tries.boot_id == now.boot_id else 0.0
    return max(0.0, wait_after(tries.count, free) - passed_s)


def counted(tries: Tries, now: Moment) -> Tries:
    """One more."""
    return Tries(count=tries.count + 1, boot_id=now.boot_id, at_s=now.at_s)


def anchored(tries: Tries, now: Moment) -> Tries:
    """In this boot, and not later than now: a wait of another begins anew, and none grows by a clock."""
    if tries.boot_id == now.boot_id and tries.at_s <= now.at_s:
        return tries
    return Tries(count=tries.count, boot_id=now.boot_id, at_s=now.at_s)


# --- who may sign in --------------------------------------------------------------------------------------

Hindrance = Literal["unknown", "revoked", "expired", "too_long_offline"]


def hindrance(officer: Officer | None, site: Site | None, utc: str, age_s: float | None) -> Hindrance | None:
    """Why this officer may not sign in now, whatever the PIN; `age_s` is that of the records since their last
    verified head, and unknown is too old (S10)."""
    if officer is None or officer.pin is None:
        return "unknown"
    if officer.state is not OfficerState.ACTIVE:
        return "revoked"
    if UtcText(utc) >= officer.valid_until:
        return "expired"
    if site is None or age_s is None or age_s > 3600.0 * site.offline_sign_in_h:
        return "too_long_offline"
    return None
