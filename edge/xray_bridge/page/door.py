"""Who sits at a desk: officer number and PIN, proved offline by what the records say (decision 0016).

Counts wrong PINs on the disk before it looks at them, as a handheld does; keeps no PIN and no key. The
officer's signing key, which the right PIN opens, is dropped at once: a station signs with its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
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
_MOST_BYTES: Final = 200_000

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
    """On the disk: PINs tried and not found right, of each officer and of all."""

    of_device: Tries = NONE_YET
    of_officer: dict[str, Tries] = {}


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

    def check(self, officer_no: str, pin: str) -> Checked:
        """Some 0.2 s of work (Argon2id). Never raises: what cannot be counted is not tried."""
        with self._one:
            try:
                return self._check(officer_no, pin)
            except (OSError, msgspec.MsgspecError, PinRefused):
                return Checked("not_checked")

    def standing(self, officer_no: str) -> Outcome:
        """Whether an officer who is in may stay: `right`, or why not."""
        return _hindered(self._roster.standing(officer_no)) or "right"

    def _check(self, officer_no: str, pin: str) -> Checked:
        now = Moment(self._clock.boot_id(), self._clock.monotonic_s())
        before = self._read()
        own = anchored(before.of_officer.get(officer_no, NONE_YET), now)
        device = anchored(before.of_device, now)
        wait_s = max(left_s(own, now, FREE_TRIES), left_s(device, now, FREE_TRIES_OF_DEVICE))
        if wait_s > 0:
            if own != before.of_officer.get(officer_no, NONE_YET) or device != before.of_device:
                self._write(_with(before, officer_no, own, device))
            return Checked("wait", wait_s=wait_s, tries=own.count)
        standing = self._roster.standing(officer_no)
        own, device = counted(own, now), counted(device, now)
        # A number nobody has is counted for the device alone: else the file grew with every guess.
        known = standing.officer is not None
        self._write(_with(before, officer_no, own if known else NONE_YET, device))
        wait_s = max(left_s(own, now, FREE_TRIES), left_s(device, now, FREE_TRIES_OF_DEVICE))
        officer, why = standing.officer, _hindered(standing)
        if (
            officer is None
            or officer.pin is None
            or why in ("unknown", "revoked", "expired", "too_long_offline")
        ):
            return Checked(why or "unknown", wait_s=wait_s, tries=own.count)
        try:
            right = proved(pin, officer_no, officer.pin, self._device, self._peppers())
        except PinRefused:
            return Checked("unknown", wait_s=wait_s, tries=own.count)
        if right is None:
            return Checked("wrong", wait_s=wait_s, tries=own.count)
        self._write(_with(before, officer_no, NONE_YET, NONE_YET))
        return Checked(why, tries=0) if why is not None else Checked("right", officer)

    def _read(self) -> Counted:
        """A file that is damaged forgives nobody: it counts as a device's free tries used up."""
        try:
            with self._file.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST_BYTES), type=Counted)
        except FileNotFoundError:
            return Counted()
        except msgspec.MsgspecError:
            return Counted(of_device=Tries(count=FREE_TRIES_OF_DEVICE))

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


def _with(before: Counted, officer_no: str, own: Tries, device: Tries) -> Counted:
    others = {number: tries for number, tries in before.of_officer.items() if number != officer_no}
    return Counted(of_device=device, of_officer={**others, officer_no: own} if own != NONE_YET else others)


def _hindered(standing: Standing) -> Outcome | None:
    why = hindrance(standing.officer, standing.site, standing.utc, standing.age_s)
    if why is not None:
        return why
    if standing.officer is None or MAY_JUDGE not in standing.officer.authorisations:
        return "not_authorised"
    return None
