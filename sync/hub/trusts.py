"""Whose key a device signs with: as enrolled, and as it has vouched for since. No MQTT, no clock."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Final

from sync.hub.archive import Archive, Enrolled
from sync.hub.terms import HubAlarm, Refused
from sync.link.keys import Forged, KeyRefused, KeyUnknown, read_public
from sync.link.trust import Trust, may_sign
from sync.vocabulary.codec import Malformed


class Trusts:
    """Of the devices of one archive; looked up there at every message, so that a revocation is in force at
    the next one."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: dict[str, tuple[Enrolled, Trust]] = {}

    def of(self, device: str, *, even_revoked: bool = False) -> Trust:
        """Raises `Refused` for a device that is not enrolled, or was revoked."""
        enrolled = self._archive.enrolled(device)
        if enrolled is None:
            raise Refused(HubAlarm.DEVICE_UNKNOWN, f"{device} is not enrolled")
        if enrolled.revoked and not even_revoked:
            raise Refused(HubAlarm.DEVICE_REVOKED, "this device was revoked", device)
        known = self._known.get(device)
        if known is None or known[0] != enrolled:
            try:
                trust = Trust.of(device, read_public(enrolled.public_pem.encode(), name=device))
            except KeyRefused as error:
                raise Refused(
                    HubAlarm.FORGED, f"its key in the archive cannot be used: {error}", device
                ) from error
            if enrolled.statements:
                # Kept for another pinned key, they are nobody's statements any more: the device's come again.
                with contextlib.suppress(Forged, Malformed):
                    trust = trust.told(enrolled.statements.encode())
            self._known[device] = known = (enrolled, trust)
        return known[1]


STATEMENT_WAIT_S: Final = 10.0
_FORGET_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first message of a device that nobody can check yet."""

    since_s: float
    kid: str
    topic: str
    payload: bytes
    refusal: Refused
    told: bool = False


class Statements:
    """Messages signed with what may be a device's next key. The statement that vouches for it comes by
    another connection, or to another worker, and may be a moment behind: what is not taken meanwhile comes
    again.
    A statement that does not come at all makes it a forgery. One entry a device, however much arrives.
    """

    def __init__(self, trusts: Trusts) -> None:
        self._trusts = trusts
        self._waiting: dict[str, Waiting] = {}

    def forged(self, now_s: float, device: str, error: Forged, topic: str, payload: bytes, rest: str) -> None:
        """Returns where its statement may still come, and raises `Refused` otherwise. `rest`: what the topic
        says behind the device."""
        refusal = Refused(HubAlarm.FORGED, f"{rest}: {error}"[:400], device)
        if not isinstance(error, KeyUnknown) or not may_sign(device, error.kid):
            raise refusal from error
        waiting = self._waiting.setdefault(device, Waiting(now_s, error.kid, topic, payload, refusal))
        if abs(now_s - waiting.since_s) >= STATEMENT_WAIT_S:
            raise refusal from error

    def overdue(self, now_s: float) -> list[Waiting]:
        """Those whose statement did not come: to be refused now. Each is answered once."""
        due: list[Waiting] = []
        for device, waiting in list(self._waiting.items()):
            waits_s = abs(now_s - waiting.since_s)
            if self._knows(device, waiting.kid) or (waiting.told and waits_s >= _FORGET_S):
                del self._waiting[device]
            elif not waiting.told and waits_s >= STATEMENT_WAIT_S:
                self._waiting[device] = replace(waiting, told=True)
                due.append(waiting)
        return due

    def _knows(self, device: str, kid: str) -> bool:
        try:
            return kid in self._trusts.of(device, even_revoked=True).keys
        except Refused:
            return False
