"""What a handheld tells: who held it, what was scanned and how it was judged, what an officer did and found.

Joined to all other facts in `sync.vocabulary.facts`. Of people only officers' numbers; never a PIN, never
anything of a buyer.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sync.vocabulary.bounds import MAX_LIST, Count, NameList, NameOrNone, Number, Seconds, WordList, Words

# --- who holds it -------------------------------------------------------------------------------------------


class HandheldStarted(msgspec.Struct, frozen=True, tag="handheld_started"):
    version: Words
    config_digest: Words
    boot_id: Words
    drafts: Count = 0
    """Inspections, batches, patrols and stock-takes found under way."""


class OfficerSignedIn(msgspec.Struct, frozen=True, tag="officer_signed_in", kw_only=True):
    officer: Words
    authorisations: WordList = ()
    offline: bool = False
    """Nobody at the centre could say that the officer was revoked meanwhile."""


class OfficerSignedOut(msgspec.Struct, frozen=True, tag="officer_signed_out", kw_only=True):
    officer: Words
    why: Words = ""
    """`asked`, `other_officer`, `revoked`, `expired`, `command`."""


class SignInRefused(msgspec.Struct, frozen=True, tag="sign_in_refused", kw_only=True):
    """The PIN that was tried is nowhere."""

    officer: Words
    why: Words
    """`wrong`, `wait`, `unknown`, `revoked`, `expired`, `too_long_offline`."""
    tries: Count = 0
    """In a row, this one included."""
    wait_s: Seconds = 0.0
    """For so long nobody may try again."""


class DeviceLocked(msgspec.Struct, frozen=True, tag="device_locked", kw_only=True):
    """The PIN is asked again; what is under way stays."""

    officer: Words
    why: Words = ""
    """`untouched`, `asked`, `hidden`, `too_long_offline`."""


# --- scanning -----------------------------------------------------------------------------------------------


class ParcelJudged(msgspec.Struct, frozen=True, tag="parcel_judged", kw_only=True):
    """判定: one scan, one verdict, and what it stands on (S10, S11)."""

    waybill_no: NameOrNone
    text: Words
    """As read: a trace code or order number may have led to the waybill."""
    symbology: Words = ""
    source: Words = ""
    """`camera`, `serial`, `wedge`, `intent`, `typed`."""
    verdict: Words
    """`passed`, `flagged`, `recheck`."""
    reasons: WordList = ()
    """Codes, each with its detail behind a colon where it has one."""
    officer: Words = ""
    slip: Words = ""
    records_scope: Words = ""
    records_epoch: Words = ""
    records_number: Count = 0
    records_age_s: Seconds | None = None
    control_versions: WordList = ()
    """`id@version:mode` of every control that matched, shadow ones included."""
    recall_nos: NameList = ()
    order_nos: NameList = ()
    """Open inspection orders that name it."""
    batch_id: NameOrNone = ""
    """The count it belongs to, if any."""
    place: Count = 0
    """In that count, from 1."""


class UnknownScanned(msgspec.Struct, frozen=True, tag="unknown_scanned", kw_only=True):
    """A code no record knows."""

    text: Words
    symbology: Words = ""
    source: Words = ""
    officer: Words = ""
    kind: Words = ""
    """What it looks like: a carrier's waybill, a wrong check digit, nothing known."""
    nearest: NameList = ()
    records_epoch: Words = ""
    records_number: Count = 0
    records_age_s: Seconds | None = None
    batch_id: NameOrNone = ""
    place: Count = 0


class ReadsGarbled(msgspec.Struct, frozen=True, tag="read_garbled", kw_only=True):
    """Reads that were no code (S7), since the last time it was told."""

    source: Words
    count: Count
    why: Words = ""
    """Of the last."""


class ScanUndone(msgspec.Struct, frozen=True, tag="scan_undone", kw_only=True):
    """A scan that was counted is counted no more; its own fact stays."""

    batch_id: NameOrNone
    place: Number
    text: Words
    officer: Words = ""


class BatchClosed(msgspec.Struct, frozen=True, tag="batch_closed", kw_only=True):
    """A count of parcels (连续扫描) is over: what was scanned minus what was undone."""

    batch_id: NameOrNone
    officer: Words = ""
    counted: Count
    undone: Count = 0
    duplicates: Count = 0
    """The same code again: told, not counted."""
    unknown: Count = 0
    """Of those counted: in no record."""
    flagged: Count = 0
    """Of those counted: not passed."""
    lasted_s: Seconds = 0.0


class SlipParcelsChecked(msgspec.Struct, frozen=True, tag="slip_parcels_checked", kw_only=True):
    """卡口抽核: a vehicle's slip against what was scanned of its load. Lists are cut; counts are whole."""

    batch_id: NameOrNone
    slip: NameOrNone
    officer: Words = ""
    listed: Count
    """Parcels the records have on the slip."""
    found: Count
    missing: Count
    extra: Count
    """Scanned, on no slip or in no record."""
    elsewhere: Count = 0
    """Scanned, on another slip."""
    undone: Count = 0
    complete: bool = False
    """The officer said that all of the load was scanned; without it `missing` is only what was not seen."""
    missing_nos: NameList = ()
    extra_texts: WordList = ()
    elsewhere_nos: WordList = ()
    """`waybill@slip`"""
    records_epoch: Words = ""
    records_number: Count = 0
    records_age_s: Seconds | None = None


# --- evidence -----------------------------------------------------------------------------------------------


class EvidenceTaken(msgspec.Struct, frozen=True, tag="evidence_taken", kw_only=True):
    """A photo or voice note is on the handheld's disk, named by its hash, and owed to the centre."""

    sha256: Words
    size_bytes: Count
    kind: Words
    """`photo`, `marked` (shapes drawn on a copy), `voice`."""
    of: NameOrNone = ""
    """With `marked`: the untouched picture's hash."""
    subject: Words = ""
    officer: Words = ""
    order_no: NameOrNone = ""
    waybill_no: NameOrNone = ""
    taken: Words = ""


# --- inspection ---------------------------------------------------------------------------------------------


class CountedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A declared line and what was found of it."""

    waybill_no: NameOrNone
    no: Words
    sku: Words = ""
    name: Words = ""
    declared: Words = ""
    """Decimal text; empty: nothing readable was declared."""
    counted: Words
    unit: Words = ""
    remark: Words = ""


class MeasuredValue(msgspec.Struct, frozen=True, kw_only=True):
    what: Words
    """Such as `weight`, `length`, `temperature`, or the officer's words."""
    value: Words
    """Decimal text"""
    unit: Words
    waybill_no: NameOrNone = ""


Counted = Annotated[tuple[CountedLine, ...], Meta(max_length=MAX_LIST)]
Measures = Annotated[tuple[MeasuredValue, ...], Meta(max_length=MAX_LIST)]


class InspectionBegun(msgspec.Struct, frozen=True, tag="inspection_begun", kw_only=True):
    """An order in hand is being carried out: the goods are in front of the officer."""

    order_no: NameOrNone
    officers: WordList
    waybill_nos: WordList = ()


class SampleSent(msgspec.Struct, frozen=True, tag="sample_sent", kw_only=True):
    """取样送检: a sealed sample is on its way to the laboratory."""

    order_no: NameOrNone
    sample_no: NameOrNone
    """As its seal reads."""
    officers: WordList
    waybill_no: NameOrNone = ""
    sku: Words = ""
    batch_no: Words = ""
    quantity: Words = ""
    unit: Words = ""
    laboratory: Words = ""
    tests: WordList = ()


class RecallAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be stopped wherever it turns up."""

    reason_zh: Words
    reason_en: Words
    waybill_nos: NameList = ()
    trace_codes: NameList = ()
    skus: NameList = ()
    batch_nos: NameList = ()
    enterprises: NameList = ()


class LaboratoryResult(msgspec.Struct, frozen=True, tag="laboratory_result", kw_only=True):
    """检测结果. A failed one opens the recall it names."""

    sample_no: NameOrNone
    order_no: NameOrNone
    officers: WordList
    passed: bool
    report_no: NameOrNone = ""
    found: Words = ""
    """What the laboratory wrote, such as `lead 0.9 mg/kg, allowed 0.5`."""
    handling: Words = ""
    """Of what was held for it: `released`, `returned`, `seized`, `destroyed`."""
    recall: RecallAsked | None = None


class DraftDropped(msgspec.Struct, frozen=True, tag="draft_dropped", kw_only=True):
    """An officer threw an unfinished inspection, patrol or stock-take away; evidence already told stays."""

    what: Words
    """`inspection`, `patrol`, `stock_take`, `batch`"""
    number: NameOrNone
    """Of the order, route, location or count."""
    officer: Words = ""
    why: Words = ""
    held: Words = ""
    """What was in it, counted."""


# --- patrol, stock-take -------------------------------------------------------------------------------------


class PatrolBegun(msgspec.Struct, frozen=True, tag="patrol_begun", kw_only=True):
    patrol_id: NameOrNone
    route_no: NameOrNone
    officer: Words = ""
    points: Count


class PointSeen(msgspec.Struct, frozen=True, tag="point_seen", kw_only=True):
    patrol_id: NameOrNone
    route_no: NameOrNone
    code: NameOrNone
    officer: Words = ""
    order: Count
    """Its place on the route."""
    in_order: bool = True
    after_s: Seconds = 0.0
    """Since the point before, or the beginning."""
    late_s: Seconds = 0.0
    """Over its time; 0 within it."""


class PointMissed(msgspec.Struct, frozen=True, tag="point_missed", kw_only=True):
    patrol_id: NameOrNone
    route_no: NameOrNone
    code: NameOrNone
    officer: Words = ""
    order: Count
    why: Words


class PointRemarked(msgspec.Struct, frozen=True, tag="point_remarked", kw_only=True):
    """What was seen at a point, in the officer's words."""

    patrol_id: NameOrNone
    route_no: NameOrNone
    code: NameOrNone
    officer: Words = ""
    text: Words


class PatrolEnded(msgspec.Struct, frozen=True, tag="patrol_ended", kw_only=True):
    patrol_id: NameOrNone
    route_no: NameOrNone
    officer: Words = ""
    seen: Count
    missed: Count
    out_of_order: Count = 0
    late: Count = 0
    lasted_s: Seconds = 0.0


class StockCounted(msgspec.Struct, frozen=True, tag="stock_counted", kw_only=True):
    """盘库: one row of the book as it was counted."""

    take_id: NameOrNone
    location: Words
    row_no: NameOrNone
    """Empty: goods the book does not have here."""
    sku: Words = ""
    batch_no: Words = ""
    booked: Words = ""
    """Decimal text, as the records had it."""
    counted: Words
    unit: Words = ""
    round: Number
    """2: a row that differed was counted again."""
    blind: bool = False
    """The counter did not see what the book says."""
    officer: Words = ""
    records_epoch: Words = ""
    records_number: Count = 0


class StockTakeClosed(msgspec.Struct, frozen=True, tag="stock_take_closed", kw_only=True):
    take_id: NameOrNone
    location: Words
    officer: Words = ""
    rows: Count
    equal: Count
    differing: Count
    not_counted: Count = 0
    not_in_book: Count = 0
    why: Words = ""
    """Why rows were not counted."""


# --- help at a lane (S8) ------------------------------------------------------------------------------------


class ReleaseCodeMade(msgspec.Struct, frozen=True, tag="release_code_shown", kw_only=True):
    """An officer signed a code for a lane's scanner; what it says is in the journal before it is shown."""

    lane: Words
    lane_passage: Count
    """A passage of that lane, not of this device."""
    officer: Words
    reason: Words
    action: Words
    """`release`, `aside`, `supplement`"""
    field: Words = ""
    value: Words = ""
    sha256: Words
    """Of the code's text."""


class ReleaseAsked(msgspec.Struct, frozen=True, tag="release_asked", kw_only=True):
    """The same, asked of the centre: it gives the lane the command (S8). Too old, it is only kept."""

    code: Words
    """The signed text itself (`KKR1:...`)."""
    second_code: Words = ""
    """Of another officer, where the site wants two."""


# --- live picture and sound (实时音视频) --------------------------------------------------------------------


class LiveAnswered(msgspec.Struct, frozen=True, tag="live_answered", kw_only=True):
    """What became of the centre's wish to see and hear: nothing goes out without an officer's yes."""

    session: NameOrNone
    """The command's id."""
    officers: WordList = ()
    """Who asked."""
    reason: Words = ""
    officer: Words = ""
    """Who answered; empty: nobody did."""
    answer: Words
    """`accepted`, `refused`, `unanswered`, `withdrawn`, `impossible`."""
    why: Words = ""


class LiveBegan(msgspec.Struct, frozen=True, tag="live_began", kw_only=True):
    """An officer's consent: written before the first picture goes out."""

    session: NameOrNone
    officer: Words
    by: Words
    """Who began it: `officer` or `centre`."""
    sound: bool
    may_be_recorded: bool
    limit_s: Seconds


class LiveRecorded(msgspec.Struct, frozen=True, tag="live_recorded", kw_only=True):
    """The centre began or ended keeping what it sees; the device showed it."""

    session: NameOrNone
    recorded: bool
    watchers: WordList = ()
    """Officers at the centre."""


class LiveEnded(msgspec.Struct, frozen=True, tag="live_ended", kw_only=True):
    session: NameOrNone
    officer: Words
    why: Words
    """`officer`, `centre`, `time`, `unwatched`, `lost`, `refused`, `locked`, `failed`."""
    detail: Words = ""
    seconds: Seconds = 0.0
    pictures: Count = 0
    sound_s: Seconds = 0.0
    sent_bytes: Count = 0
    watchers: WordList = ()
    """Every officer at the centre who watched."""
    was_recorded: bool = False


HandheldFact = (
    HandheldStarted
    | OfficerSignedIn
    | OfficerSignedOut
    | SignInRefused
    | DeviceLocked
    | ParcelJudged
    | UnknownScanned
    | ReadsGarbled
    | ScanUndone
    | BatchClosed
    | SlipParcelsChecked
    | EvidenceTaken
    | InspectionBegun
    | SampleSent
    | LaboratoryResult
    | DraftDropped
    | PatrolBegun
    | PointSeen
    | PointMissed
    | PointRemarked
    | PatrolEnded
    | StockCounted
    | StockTakeClosed
    | ReleaseCodeMade
    | ReleaseAsked
    | LiveAnswered
    | LiveBegan
    | LiveRecorded
    | LiveEnded
)
