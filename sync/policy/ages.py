"""How old records are, and what day it is at a site: by clocks that may be wrong. Pure: time arrives as text.

S10: No ruling stands on records older than the policy allows for their kind (age since the last verified
head; an unknown clock is too old).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from sync.vocabulary.codec import Malformed
from sync.vocabulary.records import Site

FUTURE_S = 300.0
"""A head issued later than this by our clock means that one of the two clocks is wrong: age unknown (S10)."""


def moment(utc: str) -> datetime:
    """Raises `ValueError`."""
    return datetime.fromisoformat(utc)


def between_s(earlier: str, later: str) -> float | None:
    """None where one of them is no time."""
    try:
        return (moment(later) - moment(earlier)) / timedelta(seconds=1)
    except ValueError:
        return None


def records_age_s(
    verified_utc: str | None, utc: str, *, clock_is_known: bool, not_before_utc: str
) -> float | None:
    """Since the last verified head was issued; None where it cannot be known, which is too old (S10).

    `not_before_utc`: no clock that was set shows an earlier time.
    """
    if verified_utc is None or not clock_is_known or utc < not_before_utc:
        return None
    age_s = between_s(verified_utc, utc)
    if age_s is None or age_s < -FUTURE_S:
        return None
    return max(0.0, age_s)


def is_too_old(age_s: float | None, site: Site | None) -> bool:
    """S10: No ruling stands on records older than the policy allows; an unknown clock is too old."""
    return site is None or age_s is None or age_s > site.max_age_s


def zone_of(site: Site | None) -> tzinfo:
    """Raises `Malformed`: a site whose day cannot be told is no ground for a ruling (S10, S11)."""
    if site is None:
        return UTC
    try:
        return ZoneInfo(site.zone)
    except (ValueError, KeyError, OSError) as error:
        raise Malformed(f"site.zone: expected a time zone, got {site.zone[:40]!r}") from error
