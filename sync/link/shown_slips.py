"""A slip's signed code beside the records of a lane: the key they name, its signature, then the policy."""

from __future__ import annotations

from sync.link.keys import signature_holds
from sync.policy.shown_slips import Judged, RecordsThen, judge
from sync.store.records import FeedState, Records
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import ReleaseSlip, SlipKey
from sync.vocabulary.slip_codes import ShownSlip


def judged_by(records: Records, state: FeedState, shown: ShownSlip, utc: UtcText) -> Judged:
    """`state` is that of the snapshot this is asked in. Raises `StoreRefused` or `Malformed` where records
    cannot be read."""
    key = records.get("slip_keys", shown.kid)
    known = records.get("release_slips", shown.claims.slip_no)
    if not isinstance(key, SlipKey):
        key = None
    return judge(
        shown,
        key=key,
        signature_holds=key is not None and signature_holds(key.public_key, shown.signed, shown.signature),
        known=known if isinstance(known, ReleaseSlip) else None,
        records=RecordsThen(state.epoch, state.number, state.verified_utc or ""),
        utc=utc,
    )
