"""Whose key a device signs with: as enrolled, and as it has vouched for since. No MQTT, no clock."""

from __future__ import annotations

import contextlib

from sync.hub.archive import Archive, Enrolled
from sync.hub.terms import HubAlarm, Refused
from sync.link.keys import Forged, KeyRefused, read_public
from sync.link.trust import Trust
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
