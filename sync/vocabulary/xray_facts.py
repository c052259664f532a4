"""What an X-ray station tells: what went over the belt, whose picture is whose, who judged it, where it went.

Joined to all other facts in `sync.vocabulary.facts`. A parcel is numbered per station; a picture has an id of
its own. Positions are millimetres of the belt's encoder, as text-free numbers that may be negative.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import Count, HashOrNone, NameList, NameOrNone, Number, Seconds, WordList, Words

MAX_SUSPECTS = 16
MAX_SHARES = 8
MAX_REGIONS = 16
Millimetres = Annotated[float, Meta(ge=-1e12, le=1e12)]
Share = Annotated[float, Meta(ge=0, le=1)]
Score = Annotated[float, Meta(ge=-1e9, le=1e9)]
Preview = Annotated[str, Meta(max_length=24_000)]
"""A small JPEG as base64, for those who are shown the parcel elsewhere; empty: none."""


class StationStarted(msgspec.Struct, frozen=True, tag="station_started", kw_only=True):
    version: Words
    config_digest: Words
    boot_id: Words
    on_belt: Count = 0
    """Parcels found open in the memory: each goes to recheck (X3)."""


class ParcelSeen(msgspec.Struct, frozen=True, tag="parcel_seen", kw_only=True):
    """A parcel went past the portal; `entered` tells one that was first seen further on."""

    parcel: Number
    entered: Words = "portal"
    """`portal`; or `x_ray`, `diverter`: added by hand behind the portal."""
    leading_mm: Millimetres | None
    trailing_mm: Millimetres | None = None
    waybill_no: NameOrNone = ""
    read: Words = ""
    """`read`, `no_read`, `garbled`, `two_codes`, `not_a_waybill`."""
    texts: WordList = ()
    """Everything the portal read in its window."""


class PictureTold(msgspec.Struct, frozen=True, tag="picture_told", kw_only=True):
    """Whose picture a picture is, and by which measure (never by order)."""

    picture: Words
    association: Words
    """`matched`, `ambiguous`, `unmatched`, `merged`, `split`."""
    parcel: Count = 0
    """0: nobody's."""
    candidates: Annotated[tuple[Number, ...], Meta(max_length=32)] = ()
    waybill_no: NameOrNone = ""
    leading_mm: Millimetres | None = None
    trailing_mm: Millimetres | None = None
    off_mm: Millimetres | None = None
    """Leading edge: picture less parcel."""
    length_off_mm: Millimetres | None = None
    window_mm: Millimetres | None = None
    """What was allowed."""
    acquisition: Words = "successful"
    why: Words = ""


class PictureSpoiled(msgspec.Struct, frozen=True, tag="picture_spoiled", kw_only=True):
    """There was a picture, and it is no use."""

    why: Words
    leading_mm: Millimetres | None = None
    trailing_mm: Millimetres | None = None


class SuspectTold(msgspec.Struct, frozen=True):
    code: Words
    zh: Words = ""
    en: Words = ""
    z: Score | None = None
    left: Share | None = None
    top: Share | None = None
    width: Share | None = None
    height: Share | None = None


class ShareTold(msgspec.Struct, frozen=True):
    material: Words
    area_share: Share
    mass_kg: Annotated[float, Meta(ge=0, le=1e6)] | None = None


class RegionTold(msgspec.Struct, frozen=True):
    left: Share
    top: Share
    width: Share
    height: Share
    category: Words = ""
    note: Words = ""


class ParcelXRayed(msgspec.Struct, frozen=True, tag="parcel_x_rayed", kw_only=True):
    """判图: one parcel, one verdict, and all that it stands on. Durable before anything moves (X2, X3)."""

    parcel: Count
    waybill_no: NameOrNone = ""
    picture: Words = ""
    association: Words = ""
    """Empty: no picture came."""
    verdict: Words
    """`passed`, `flagged`, `recheck`."""
    by: Words
    """`machine`, `officer`, `default` (nobody judged it in time, or nothing may pass it)."""
    reasons: WordList = ()
    """Codes, each with its detail behind a colon where it has one."""
    officer: Words = ""
    desk: Words = ""
    second_of: Words = ""
    """The officer whose judgement was reviewed, where this is a second one."""
    category: Words = ""
    note: Words = ""
    regions: Annotated[tuple[RegionTold, ...], Meta(max_length=MAX_REGIONS)] = ()
    suspects: Annotated[tuple[SuspectTold, ...], Meta(max_length=MAX_SUSPECTS)] = ()
    shares: Annotated[tuple[ShareTold, ...], Meta(max_length=MAX_SHARES)] = ()
    mass_kg: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    length_mm: Millimetres | None = None
    score: Score | None = None
    compared_on: Words = ""
    """`sku`, `chapter`, `none`."""
    references: Count = 0
    calibration: Words = ""
    wedge_valid: bool = False
    control_versions: WordList = ()
    drawn: bool = False
    recall_nos: NameList = ()
    records_epoch: Words = ""
    records_number: Count = 0
    records_age_s: Seconds | None = None
    took_s: Seconds | None = None
    """From the picture on the screen to the key."""
    late: bool = False
    """It came after the parcel had passed the point where it could still be led elsewhere."""
    preview: Preview = ""


class JudgementUndone(msgspec.Struct, frozen=True, tag="judgement_undone", kw_only=True):
    """The last verdict of this parcel is taken back; another one follows, or recheck."""

    parcel: Number
    waybill_no: NameOrNone = ""
    officer: Words
    desk: Words = ""


class DivertOrdered(msgspec.Struct, frozen=True, tag="divert_ordered", kw_only=True):
    """A parcel's own leading edge is at the diverter: durable before the pulse is sent (X2)."""

    parcel: Number
    waybill_no: NameOrNone = ""
    chute: Words
    """`pass`, `flag`."""
    belt_mm: Millimetres
    off_mm: Millimetres
    """Where it was, less where it should have been."""


class ParcelSorted(msgspec.Struct, frozen=True, tag="parcel_sorted", kw_only=True):
    """分拣: where a parcel was sent and where it was seen to go. The end of a parcel."""

    parcel: Number
    waybill_no: NameOrNone = ""
    verdict: Words
    ordered: Words
    """`pass`, `flag`, `recheck` (no pulse)."""
    seen: Words = ""
    """The chute whose eye saw it; empty: none did."""
    confirmed: bool
    why: Words = ""
    """Of a recheck that no verdict asked for: `late`, `not_at_diverter`, `restarted`, `belt_stopped`, ..."""


class ParcelGone(msgspec.Struct, frozen=True, tag="parcel_gone", kw_only=True):
    """A parcel that should have come past a place did not: taken off the belt by hand, or jammed."""

    parcel: Number
    waybill_no: NameOrNone = ""
    after: Words
    """`portal`, `x_ray`: where it was last seen."""


class FeedChanged(msgspec.Struct, frozen=True, tag="feed_changed", kw_only=True):
    """The feed permit was given or withheld, and why."""

    permitted: bool
    reasons: WordList = ()


class BeltChanged(msgspec.Struct, frozen=True, tag="belt_changed", kw_only=True):
    """`running`, `stopped`, `reversed`, `emergency`, `jam`, `slip`, `unknown`; read, never ordered (X1)."""

    state: Words
    belt_mm: Millimetres | None = None
    detail: Words = ""


class WedgeJudged(msgspec.Struct, frozen=True, tag="wedge_judged", kw_only=True):
    """The daily check with the step wedge; one that fails ends automatic passing."""

    ok: bool
    picture: Words
    calibration: Words
    why: Words = ""
    officer: Words = ""


class DeskChanged(msgspec.Struct, frozen=True, tag="desk_changed", kw_only=True):
    """An officer took or left a desk of this station."""

    desk: Words
    officer: Words
    came: bool
    remote: bool = False
    why: Words = ""
    """`asked`, `rotation`, `untouched`, `revoked`, `lost`."""


class RestDue(msgspec.Struct, frozen=True, tag="rest_due", kw_only=True):
    """Rotation, or judging became so fast that it can be no looking."""

    desk: Words
    officer: Words
    why: Words
    """`rotation`, `too_fast`."""
    at_desk_s: Seconds
    median_s: Seconds | None = None


class PictureSaved(msgspec.Struct, frozen=True, tag="picture_saved", kw_only=True):
    """制图—标图—反馈: a labelled picture joined the library."""

    parcel: Count
    waybill_no: NameOrNone = ""
    picture: Words
    kind: Words
    """`reference`, `find`."""
    entry: Words
    """Its number in the library, and its version there."""
    officer: Words
    sku: Words = ""
    hs_code: Words = ""
    category: Words = ""
    regions: Annotated[tuple[RegionTold, ...], Meta(max_length=MAX_REGIONS)] = ()


class XRayEvidenceKept(msgspec.Struct, frozen=True, tag="x_ray_evidence_kept", kw_only=True):
    """The parcel's files are on the station's disk; the manifest names each with its SHA-256."""

    parcel: Count
    waybill_no: NameOrNone = ""
    picture: Words
    manifest_sha256: HashOrNone
    files: Count
    size_bytes: Count
    keep_class: Words = "routine"


class XRayFileKept(msgspec.Struct, frozen=True, tag="x_ray_file_kept", kw_only=True):
    """One of these files that goes up to the centre, named by its hash."""

    parcel: Count
    waybill_no: NameOrNone = ""
    picture: Words
    name: Words
    sha256: Words
    size_bytes: Count
    held: bool = False
    """Of a flagged or rechecked parcel: it goes first."""


class XRayEvidenceMissed(msgspec.Struct, frozen=True, tag="x_ray_evidence_missed", kw_only=True):
    parcel: Count
    picture: Words
    why: Words


class XRayEvidenceShed(msgspec.Struct, frozen=True, tag="x_ray_evidence_shed", kw_only=True):
    """Old evidence beyond its time made room; facts never do (G8)."""

    parcels: Count
    size_bytes: Count
    first_day: Words
    last_day: Words
    keep_class: Words
    pictures: WordList = ()
    """Which: whoever proves the evidence knows that nobody else took them."""


XRayFact = (
    StationStarted
    | ParcelSeen
    | PictureTold
    | PictureSpoiled
    | ParcelXRayed
    | JudgementUndone
    | DivertOrdered
    | ParcelSorted
    | ParcelGone
    | FeedChanged
    | BeltChanged
    | WedgeJudged
    | DeskChanged
    | RestDue
    | PictureSaved
    | XRayEvidenceKept
    | XRayFileKept
    | XRayEvidenceMissed
    | XRayEvidenceShed
)
