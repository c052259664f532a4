"""What a slip that is shown as a signed code may allow (S4, S10): pure, the same on a lane and at the hub.

A code proves that the centre approved the slip when it was issued. It can be newer than the records of a lane
that is cut off, and never knows more than records that have caught up: then they alone decide. It takes back
nothing that records forbid, and cures no records that are too old: controls, recalls, uses and the very keys
that codes are checked with come from there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec

from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import KeyState, ReleaseSlip, SlipKey, SlipState
from sync.vocabulary.slip_codes import ShownSlip, as_slip, epoch_tag


class Standing(enum.StrEnum):
    STANDS = "stands"
    """The code is newer than the records: the ruling may stand on it."""
    RECORDS = "records"
    """The records know all that the code knows: they decide alone, whether they have the slip or not."""
    REFUSED = "refused"
    """Not signed by a key that holds, or not to be used now."""


@dataclass(frozen=True, slots=True)
class RecordsThen:
    """The records a lane rules on."""

    epoch: str
    number: int
    verified_utc: str
    """`issued` of the last head they were proved equal to; empty when none was."""


@dataclass(frozen=True, slots=True)
class Judged:
    standing: Standing
    why: str = ""
    """What a refused code lacks."""
    slip: ReleaseSlip | None = None
    """What the ruling may stand on, only with `STANDS`."""


def judge(
    shown: ShownSlip,
    *,
    key: SlipKey | None,
    signature_holds: bool,
    known: ReleaseSlip | None,
    records: RecordsThen,
    utc: UtcText,
) -> Judged:
    """`key` and `known` are what the records hold under the code's key id and slip number."""
    why = _flaw(shown, key, signature_holds, utc)
    if why:
        return Judged(Standing.REFUSED, why)
    if _caught_up(shown, records) or (known is not None and known.state not in _NOT_YET_OVER):
        return Judged(Standing.RECORDS)
    made = as_slip(shown.claims)
    if known is not None:
        # What customs forbade before stays forbidden until records say otherwise.
        made = msgspec.structs.replace(made, quarantine=known.quarantine, control=known.control)
    return Judged(Standing.STANDS, slip=made)


_NOT_YET_OVER = frozenset({SlipState.APPLIED, SlipState.APPROVED})


def _flaw(shown: ShownSlip, key: SlipKey | None, signature_holds: bool, utc: UtcText) -> str:
    claims = shown.claims
    if key is None or key.kid != shown.kid:
        return f"no key {shown.kid} in the records"
    if not signature_holds:
        return f"the signature is not key {shown.kid}'s"
    if key.state is not KeyState.ACTIVE:
        return f"key {shown.kid} was revoked"
    if key.issuer != claims.issuer:
        return f"key {shown.kid} speaks for {key.issuer}, not for {claims.issuer}"
    if not key.valid_from <= claims.issued < key.valid_until:
        return f"issued at {claims.issued}, when key {shown.kid} was not in use"
    if utc >= claims.expires:
        return f"the code ended at {claims.expires}"
    return ""


def _caught_up(shown: ShownSlip, records: RecordsThen) -> bool:
    """Numbers of one epoch compare exactly. Across epochs only the hub's own dates are left: heads and codes
    carry both the same clock's."""
    claims = shown.claims
    if epoch_tag(records.epoch) == claims.feed_epoch:
        return records.number >= claims.feed_number
    return bool(records.verified_utc) and UtcText(records.verified_utc) >= claims.issued
