"""Slip codes issued by the centre: from its own records, signed with a key the lanes know by record.

What may be given out is what a lane would release on if it had today's records; the paper says so at one
moment, and the records of any lane that has caught up overrule it (`sync.policy.shown_slips`).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from sync.hub.archive import Archive, RecordChange
from sync.vocabulary.codec import Malformed, from_json, to_json
from sync.vocabulary.numbers import UtcText, utc_text
from sync.vocabulary.records import KeyState, Recall, RecallState, ReleaseSlip, SlipKey, SlipState
from sync.vocabulary.slip_codes import SlipClaims, epoch_tag, kid_of, unsigned

KEYS = "slip_keys"


class SlipNotIssued(ValueError):
    """No code is given out for this slip; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlipSettings:
    """`[slips]` of the hub's config."""

    key_file: Path
    issuer: str
    valid_h: float = 24.0
    """How long a code may be shown, at most; it never outlives its slip."""
    key_days: int = 365
    """How long a new key signs. The one before stays good for what it signed."""


@dataclass(frozen=True, slots=True)
class Issued:
    text: str
    claims: SlipClaims
    kid: str


def public_kid(private: Ed25519PrivateKey) -> str:
    return kid_of(private.public_key().public_bytes_raw())


def issue(
    archive: Archive, scope: str, slip_no: str, private: Ed25519PrivateKey, settings: SlipSettings, utc: str
) -> Issued:
    """Sign a code of the slip as the scope has it now. Raises `SlipNotIssued`. `utc` is UTC text."""
    kid = public_kid(private)
    with archive.snapshot():
        state = archive.scope(scope)
        if state is None:
            raise SlipNotIssued(f"scope {scope!r} is not in this archive")
        key = _key(archive, scope, kid)
        slip = _slip(archive, scope, slip_no)
        now = _whole_second(utc)
        # After the last head: a lane that has only that one must not think that it knows all this code knows.
        if state.head_issued and now <= UtcText(state.head_issued):
            now = _whole_second(state.head_issued, timedelta(seconds=1))
        _may_be_given_out(archive, scope, slip, now)
    if key is None or key.state is not KeyState.ACTIVE or not key.valid_from <= now < key.valid_until:
        raise SlipNotIssued(
            f"key {kid} is not in force in scope {scope}; put it there with `kakou slips key` first"
        )
    if slip.plate is None:
        raise SlipNotIssued(f"{slip_no} names no vehicle: a paper that any vehicle may show can be copied")
    expires = min(
        _whole_second(slip.valid_until), _whole_second(now, timedelta(hours=settings.valid_h)), key=str
    )
    claims = SlipClaims(
        slip_no=slip.slip_no,
        plate=slip.plate,
        direction=slip.direction,
        kind=slip.kind,
        binding=slip.binding,
        customs_code=slip.customs_code,
        enterprise=slip.enterprise,
        vehicle_kg=slip.vehicle_kg,
        frame_kg=slip.frame_kg,
        container_kg=slip.container_kg,
        cargo_gross_kg=slip.cargo_gross_kg,
        uses_allowed=slip.uses_allowed,
        container_nos=slip.container_nos,
        card_no=slip.card_no,
        issuer=settings.issuer,
        issued=now,
        valid_from=_whole_second(slip.valid_from),
        expires=expires,
        feed_epoch=epoch_tag(state.epoch),
        feed_number=state.number,
    )
    try:
        made = unsigned(claims, kid)
    except Malformed as error:
        raise SlipNotIssued(f"{slip_no}: {error}") from error
    return Issued(made.text(private.sign(made.signed)), claims, kid)


def _may_be_given_out(archive: Archive, scope: str, slip: ReleaseSlip, now: UtcText) -> None:
    number = slip.slip_no
    if slip.state is not SlipState.APPROVED:
        raise SlipNotIssued(f"{number} is not approved (its state is {slip.state.value})")
    if slip.quarantine == "required":
        raise SlipNotIssued(f"{number} waits for its quarantine check (应检未检)")
    if now >= slip.valid_until:
        raise SlipNotIssued(f"{number} ended at {slip.valid_until}")
    taken = archive.uses_of(number).taken
    if taken >= slip.uses_allowed:
        raise SlipNotIssued(f"{number} has no use left: {taken} of {slip.uses_allowed} are taken")
    for key in sorted(archive.record_keys(scope, "recalls")):
        recall = from_json(archive.record("recalls", key, scope) or "", Recall)
        hit = number in recall.slip_nos or slip.enterprise in recall.enterprises
        if hit and recall.state is RecallState.ACTIVE:
            raise SlipNotIssued(f"{number} is recalled ({recall.recall_no})")


def _slip(archive: Archive, scope: str, slip_no: str) -> ReleaseSlip:
    body = archive.record("release_slips", slip_no, scope)
    if body is None:
        raise SlipNotIssued(f"{slip_no} is not in scope {scope}")
    try:
        return from_json(body, ReleaseSlip)
    except Malformed as error:
        raise SlipNotIssued(f"{slip_no} cannot be read: {error}") from error


# --- keys -------------------------------------------------------------------------------------------------


def put_key(
    archive: Archive, scope: str, private: Ed25519PrivateKey, settings: SlipSettings, utc: str
) -> SlipKey:
    """Let lanes know this key, from now on. A key that is there already stays as it is, revoked ones too."""
    raw = private.public_key().public_bytes_raw()
    known = _key(archive, scope, kid_of(raw))
    if known is not None:
        return known
    now = _whole_second(utc)
    key = SlipKey(
        kid=kid_of(raw),
        public_key=base64.b64encode(raw).decode(),
        issuer=settings.issuer,
        valid_from=now,
        valid_until=_whole_second(now, timedelta(days=settings.key_days)),
    )
    _put(archive, scope, key, utc)
    return key


def revoke_key(archive: Archive, scope: str, kid: str, utc: str) -> SlipKey:
    """Nothing this key signed is believed any more, wherever the record arrives. Raises `SlipNotIssued`."""
    known = _key(archive, scope, kid)
    if known is None:
        there = ", ".join(sorted(archive.record_keys(scope, KEYS))) or "none"
        raise SlipNotIssued(f"no key {kid} in scope {scope}; there are: {there}")
    revoked = replace(known, state=KeyState.REVOKED)
    _put(archive, scope, revoked, utc)
    return revoked


def keys_of(archive: Archive, scope: str) -> tuple[SlipKey, ...]:
    found = (_key(archive, scope, kid) for kid in sorted(archive.record_keys(scope, KEYS)))
    return tuple(key for key in found if key is not None)


def _key(archive: Archive, scope: str, kid: str) -> SlipKey | None:
    body = archive.record(KEYS, kid, scope)
    return None if body is None else from_json(body, SlipKey)


def _put(archive: Archive, scope: str, key: SlipKey, utc: str) -> None:
    with archive.transaction():
        archive.apply_changes(scope, [RecordChange(KEYS, key.kid, to_json(key).decode())], utc)


def _whole_second(utc: str, later: timedelta = timedelta(0)) -> UtcText:
    moment = datetime.fromisoformat(utc) + later
    return UtcText(utc_text(moment, whole_seconds=True))
