"""Retention (G5): what is kept no longer leaves by deletes in its scope's log, as any other change. No clock.

A record leaves so many days after it ceased to be valid, or, where it has no end of validity, after its last
change. Every version it ever had stays in the log: a ruling can still be read beside it.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from sync.hub.archive import Archive, RecordChange
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.records import COLLECTIONS

AT_ONCE = 500
"""Deletes that share a transaction: nobody waits long for the archive."""
READ_AT_ONCE = 5_000
MOST_WITHOUT_ASKING = 1_000
PAUSE_S = 0.03
"""Between transactions, so that others come in between."""
RETIRABLE = tuple(name for name in COLLECTIONS if name != "site")


class _Dated(msgspec.Struct, frozen=True):
    """Of a record that was checked when it came."""

    valid_until: str = ""


_read_dated = decoder(_Dated)


class RetireRefused(LookupError):
    """So much at once is more likely a wrong clock than age."""


@dataclass(frozen=True, slots=True)
class Retired:
    collection: str
    deleted: int
    number: int
    """Last number of the scope's log."""


def retire(
    archive: Archive,
    scope: str,
    keep_days: Mapping[str, int],
    now_utc: str,
    *,
    most_of_it: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Retired, ...]:
    """Delete from a scope what is older than its collection's days. Raises `LookupError`.

    More than half of a large collection is deleted only with `most_of_it`: a clock far ahead makes everything
    old.
    """
    done = []
    for collection, days in sorted(keep_days.items()):
        before = _days_before(now_utc, days)
        deleted = 0
        old = list(_old(archive, scope, collection, before))
        held = len(archive.record_keys(scope, collection))
        if len(old) > MOST_WITHOUT_ASKING and 2 * len(old) > held and not most_of_it:
            raise RetireRefused(
                f"{len(old)} of {held} {collection} of {scope} would be deleted as older than {days} days "
                f"at {now_utc}: see that the clock is right, then `kakou records retire --most`"
            )
        for keys in _chunks(iter(old)):
            with archive.transaction():
                # An import may have made one good for longer since it was looked at.
                archive.lock_scope(scope)
                changes = [
                    RecordChange(collection, key, None)
                    for key in keys
                    if _still_old(archive, scope, collection, key, before)
                ]
                deleted += archive.apply_changes(scope, changes, now_utc).deleted
            pause(PAUSE_S)
        state = archive.scope(scope)
        if state is None:
            raise LookupError(f"scope {scope!r} is not in this archive")
        done.append(Retired(collection, deleted, state.number))
    return tuple(done)


def _old(archive: Archive, scope: str, collection: str, before_utc: str) -> Iterator[str]:
    state = archive.scope(scope)
    if state is None:
        raise LookupError(f"scope {scope!r} is not in this archive")
    dated = _is_dated(collection)
    # What changed later is not old, and what is valid for long may not have changed for as long.
    number = state.number if dated else archive.number_at(scope, before_utc)
    after = ""
    while rows := archive.keys_unchanged_since(scope, collection, number, after, READ_AT_ONCE):
        after = rows[-1][0]
        for key, body in rows:
            old = (
                _is_over(body, before_utc)
                if dated
                else _is_unchanged(archive, scope, collection, key, before_utc)
            )
            if old:
                yield key


def _still_old(archive: Archive, scope: str, collection: str, key: str, before_utc: str) -> bool:
    body = archive.record(collection, key, scope)
    if body is None:
        return False
    if _is_dated(collection):
        return _is_over(body, before_utc)
    return _is_unchanged(archive, scope, collection, key, before_utc)


def _is_dated(collection: str) -> bool:
    return "valid_until" in COLLECTIONS[collection].__struct_fields__


def _is_unchanged(archive: Archive, scope: str, collection: str, key: str, before_utc: str) -> bool:
    """Where the hub's clock was set back, numbers are not in the order of times: each is looked at."""
    state = archive.scope(scope)
    last = None if state is None else archive.record_as_of(scope, collection, key, state.number)
    return last is not None and last.at_utc < before_utc


def _is_over(body: str, before_utc: str) -> bool:
    try:
        until = _read_dated(body).valid_until
    except Malformed:
        return False
    return bool(until) and until.removesuffix("Z") < before_utc.removesuffix("Z")


def _chunks(keys: Iterator[str]) -> Iterator[list[str]]:
    held: list[str] = []
    for key in keys:
        held.append(key)
        if len(held) == AT_ONCE:
            yield held
            held = []
    if held:
        yield held


def _days_before(now_utc: str, days: int) -> str:
    moment = datetime.datetime.fromisoformat(now_utc) - datetime.timedelta(days=days)
    return utc_text(moment)
