"""Who sits at a desk: officer number and PIN, proved offline by what the records say (decision 0016).

Counts wrong PINs on the disk before it looks at them, as a handheld does; keeps no PIN and no key. What is
tried from one place keeps nobody from signing in at another where they have signed in before, nor at the
station itself: else whoever reaches the page could lock every officer out. The officer's signing key, which
the right PIN opens, is dropped at once: a station signs with its own.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.runtime.clock import Clock
from edge.xray_bridge.page.ports import Roster, Standing
from sync.policy.pin_tries import (
    FREE_TRIES,
    FREE_TRIES_OF_DEVICE,
    NONE_YET,
    Moment,
    Tries,
    anchored,
    counted,
    hindrance,
    left_s,
)
from sync.policy.pins import PinRefused, proved
from sync.vocabulary.records import Officer

TRIES: Final = "desk.tries"
MAY_JUDGE: Final = "x_ray"
"""The authorisation an officer's record must carry."""
HERE: Final = "here"
"""The station's own keyboard and screen."""
MOST_KNOWN: Final = 8
"""Places of one officer, besides the station itself."""
MOST_PLACES: Final = 256
"""Whose wrong PINs are counted apart; from a stranger's, all strangers' are counted together besides."""
_MOST_BYTES: Final = 1_000_000
_STRANGERS: Final = "strangers"

Outcome = Literal[
    "right",
    "wrong",
    "wait",
    "unknown",
    "revoked",
    "expired",
    "too_long_offline",
    "not_authorised",
    "not_checked",
]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """On the disk: PINs tried and not found right, and from where each officer has signed in before."""

    tries: dict[str, Tries] = {}
    """By what they are counted for: `_keys`."""
    known: dict[str, tuple[str, ...]] = {}
    """Officer -> the places they signed in from last."""


@dataclass(frozen=True, slots=True)
class Checked:
    outcome: Outcome
    officer: Officer | None = None
    wait_s: float = 0.0
    tries: int = 0


class Door:
    """One try at a time, whoever asks. Called on worker threads."""

    def __init__(
        self,
        *,
        device: str,
        folder: Path,
        clock: Clock,
        roster: Roster,
        peppers: Callable[[], Sequence[bytes]],
    ) -> None:
        """`peppers`: what this device shares with the centre (`sync.link.keys.shared_secret`, purpose
        `PEPPER_PURPOSE`), one for each of its keys that is believed."""
        self._device = device
        self._file = folder / TRIES
        self._clock = clock
        self._roster = roster
        self._peppers = peppers
        self._one = threading.Lock()

    def check(self, officer_no: str, pin: str, address: str) -> Checked:
        """`address`: the caller's. Some 0.2 s of work (Argon2id). Never raises: what cannot be counted is not
        tried."""
        with self._one:
            try:
                return self._check(officer_no, pin, place_of(address))
            except (OSError, msgspec.MsgspecError, PinRefused):
                return Checked("not_checked")

    def standing(self, officer_no: str) -> Outcome:
        """Whether an officer who is in may stay: `right`, or why not."""
        return _hindered(self._roster.standing(officer_no)) or "right"

    def _check(self, officer_no: str, pin: str, place: str) -> Checked:
        now = Moment(self._clock.boot_id(), self._clock.monotonic_s())
        before = self._read()
        free = _keys(before, officer_no, place)
        tries = {key: anchored(before.tries.get(key, NONE_YET), now) for key in free}
        own = next(iter(free))
        wait_s = _longest(tries, free, now)
        if wait_s > 0:
            if any(each != before.tries.get(key, NONE_YET) for key, each in tries.items()):
                self._write(_with(before, tries))
            return Checked("wait", wait_s=wait_s, tries=tries[own].count)
        standing = self._roster.standing(officer_no)
        tries = {key: counted(each, now) for key, each in tries.items()}
        # A number nobody has is counted for the place alone: else the file grew with every guess.
        told = tries if standing.officer is not None else {**tries, own: NONE_YET}
        self._write(_with(before, told))
        wait_s = _longest(tries, free, now)
        officer, why = standing.officer, _hindered(standing)
        if (
            officer is None
            or officer.pin is None
            or why in ("unknown", "revoked", "expired", "too_long_offline")
        ):
            return Checked(why or "unknown", wait_s=wait_s, tries=tries[own].count)
        try:
            right = proved(pin, officer_no, officer.pin, self._device, self._peppers())
        except PinRefused:
            return Checked("unknown", wait_s=wait_s, tries=tries[own].count)
        if right is None:
            return Checked("wrong", wait_s=wait_s, tries=tries[own].count)
        after = _with(before, dict.fromkeys(free, NONE_YET))
        self._write(after if why is not None else _knowing(after, officer_no, place))
        return Checked(why, tries=0) if why is not None else Checked("right", officer)

    def _read(self) -> Counted:
        """A file that is damaged forgives nobody: it counts as free tries used up, here and elsewhere."""
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST_BYTES), type=Counted)
        except FileNotFoundError:
            return Counted()
        except msgspec.MsgspecError:
            used_up = Tries(count=FREE_TRIES_OF_DEVICE)
            return Counted(tries={_STRANGERS: used_up, f"place/{HERE}": used_up})

    def _write(self, tries: Counted) -> None:
        """On the disk, whole, before anything else happens."""
        fresh = self._file.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(tries))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
        with suppress(OSError):  # a folder cannot be synced everywhere
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def place_of(address: str) -> str:
    """Where somebody calls from: this machine, an IPv4 address, the /64 of an IPv6 one (its holder has all of
    that)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "nowhere"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            network = ipaddress.ip_network((found, 64), strict=False)
            return HERE if found.is_loopback else str(network.network_address)
        found = found.ipv4_mapped
    return HERE if found.is_loopback else str(found)


def _keys(before: Counted, officer_no: str, place: str) -> dict[str, int]:
    """For what a try is counted, the officer's own first, and how many of each are free."""
    of_place = {f"place/{place}": FREE_TRIES_OF_DEVICE}
    if place == HERE or place in before.known.get(officer_no, ()):
        return {f"known/{place}/{officer_no}": FREE_TRIES, **of_place}
    return {f"stranger/{officer_no}": FREE_TRIES, **of_place, _STRANGERS: FREE_TRIES_OF_DEVICE}


def _longest(tries: Mapping[str, Tries], free: Mapping[str, int], now: Moment) -> float:
    return max(left_s(each, now, free[key]) for key, each in tries.items())


def _with(before: Counted, changed: Mapping[str, Tries]) -> Counted:
    found = {**before.tries, **changed}
    kept = {key: tries for key, tries in found.items() if tries != NONE_YET}
    places = [key for key in kept if key.startswith("place/") and key not in changed]
    # Who has tried least is forgotten first; what all strangers together tried never is.
    places.sort(key=lambda key: (kept[key].count, kept[key].at_s))
    for key in places[: max(0, len(places) - MOST_PLACES)]:
        del kept[key]
    return Counted(tries=kept, known=before.known)


def _knowing(before: Counted, officer_no: str, place: str) -> Counted:
    if place == HERE:
        return before
    others = tuple(each for each in before.known.get(officer_no, ()) if each != place)
    return Counted(tries=before.tries, known={**before.known, officer_no: (*others, place)[-MOST_KNOWN:]})


def _hindered(standing: Standing) -> Outcome | None:
    why = hindrance(standing.officer, standing.site, standing.utc, standing.age_s)
    if why is not None:
        return why
    if standing.officer is None or MAY_JUDGE not in standing.officer.authorisations:
        return "not_authorised"
    return None
