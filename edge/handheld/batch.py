"""Many parcels, one after the other: counted, each judged, none twice, the last ten seconds can be undone;
or a vehicle's slip against its load (卡口抽核).

What is undone stays a fact and is counted no more. What is not passed stops the count until it lies aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edge.handheld import scanning, words
from edge.handheld.context import Context
from edge.handheld.effects import Commit, Effect, LookUp, Sound, Told, Tone, WakeAfter, Wanted
from edge.handheld.events import (
    Committed,
    EffectFailed,
    Found,
    ParcelFindings,
    RecordsRead,
    Scanned,
    SlipFindings,
    TimePassed,
)
from edge.handheld.numbering import number_for
from edge.handheld.rules import judge
from edge.handheld.view import SHAPES, Row, Shape, Sign, both
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.handheld_facts import ParcelJudged, UnknownScanned
from sync.vocabulary.records import SlipState
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class CountBegun:
    """A free count (连续扫描)."""


@dataclass(frozen=True, slots=True)
class SlipCheckBegun:
    """The next code is a slip's; then its parcels."""


@dataclass(frozen=True, slots=True)
class ScanUndoAsked:
    """The last scan, or the one of this place, while its ten seconds last."""

    place: int = 0


@dataclass(frozen=True, slots=True)
class LaidAside:
    """What was not passed lies apart: scanning goes on."""


@dataclass(frozen=True, slots=True)
class BatchCloseAsked:
    """With `complete` the officer says that the whole load was scanned."""

    complete: bool = False


@dataclass(frozen=True, slots=True)
class BatchDropped:
    why: str


Intent = CountBegun | SlipCheckBegun | ScanUndoAsked | LaidAside | BatchCloseAsked | BatchDropped
"""A label that was read, or a number that was typed, is `Scanned`."""


@dataclass(frozen=True, slots=True)
class ScanShown:
    place: int
    text: str
    """The waybill, or what was read where it is unknown."""
    sign: Sign
    shape: Shape
    words: Text
    """Why, in a word or two; on a slip check also whether it is on the slip."""
    is_pending: bool = False
    """Looked up right now."""
    is_undone: bool = False
    undo_left_s: float = 0.0
    """Above zero: it can be undone, for so long."""


@dataclass(frozen=True, slots=True)
class SlipCheckShown:
    """卡口抽核: the slip and what of its list was seen."""

    slip_no: str
    rows: tuple[Row, ...]
    """Plate, enterprise, state of the slip."""
    listed: int
    found: int
    missing: int
    extra: int
    elsewhere: int
    """Scanned, on another slip."""
    missing_nos: tuple[str, ...]
    """The first of them."""
    extra_texts: tuple[str, ...]
    elsewhere_nos: tuple[str, ...]
    """`waybill → slip`"""
    list_is_cut: bool = False
    """The slip has more parcels than a handheld carries at once."""


@dataclass(frozen=True, slots=True)
class BatchView:
    phase: Literal["idle", "slip_wanted", "scanning", "aside", "closed"]
    """`aside`: something was not passed and has to be laid apart before the next scan; `closed`: the last
    one, with its figures."""
    is_slip_check: bool
    title: Text
    hint: Text
    """What to do now."""
    counted: int
    passed: int
    flagged: int
    unknown: int
    duplicates: int
    undone: int
    last: ScanShown | None
    """Shown large."""
    log: tuple[ScanShown, ...]
    """The latest first."""
    slip: SlipCheckShown | None
    told: Text | None
    """Said about the last touch or scan: already counted, too late to undo, no such slip."""
    may_undo: bool
    may_close: bool


# --- what is kept -------------------------------------------------------------------------------------------

UNDO_S: Final = 10.0
SAME_LABEL_S: Final = 1.5
"""A label that stays in view is read again and again: nothing happens until it was away for so long."""
MOST_SCANS: Final = 2_000
MOST_LISTED: Final = 2_000
MOST_WAITING: Final = 8
"""Look-ups under way: a hand is slower than the disk."""
SHOWN: Final = 30
MOST_TOLD: Final = 400
"""Numbers a list in a fact carries: the counts beside it are whole."""
MOST_TEXT: Final = 200
UNDO: Final = "batch.undo"
"""Timer."""


class Scan(msgspec.Struct, frozen=True, array_like=True):
    """One that is counted: its fact is in the journal."""

    place: int
    text: str
    """As `_short` keeps it: the fact has it whole."""
    waybill_no: str
    sign: Sign
    zh: str
    en: str
    at_s: float
    slip_no: str = ""
    """The slip its waybill is on."""
    undone: bool = False

    @property
    def number(self) -> str:
        return self.waybill_no or self.text


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """Read, and being looked up."""

    request: int
    text: str
    symbology: str
    source: str


class SlipList(msgspec.Struct, frozen=True, kw_only=True):
    slip_no: str
    plate: str
    enterprise: str
    state: SlipState
    listed: tuple[str, ...]
    is_cut: bool


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    batch_id: str
    began_s: float
    next_place: int = 1
    slip: SlipList | None = None
    scans: tuple[Scan, ...] = ()
    duplicates: int = 0
    aside: tuple[int, ...] = ()
    """Places of scans that have to be laid apart before the next."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Kept with the memory: a count under way outlives a restart."""

    request: int = 0
    wants_slip: bool = False
    slip_asked: int = 0
    """Request of the slip's look-up."""
    waiting: tuple[Waiting, ...] = ()
    batch: Batch | None = None
    closed: Batch | None = None
    last_text: str = ""
    """Read last, counted or not, and when."""
    last_s: float = 0.0
    told: Text | None = None


Event = Intent | Scanned | Found | TimePassed | Committed | EffectFailed

# --- steps --------------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    batch = state.batch
    match event:
        case CountBegun() if batch is None:
            return _begin(state, context, None)
        case SlipCheckBegun() if batch is None:
            return _changed(state, wants_slip=True, closed=None, told=None), ()
        case CountBegun() | SlipCheckBegun():
            return _said(state, Text("请先结束当前扫描", "Close the count under way first"))
        case Scanned(text=text) if state.wants_slip:
            return _slip_scanned(state, context, text.strip())
        case Scanned() if batch is not None:
            return _scanned(state, batch, context, event)
        case Scanned():
            return _said(state, Text("请先开始扫描", "Begin a count first"))
        case Found(request, SlipFindings() as found) if request == state.slip_asked and request:
            return _slip_found(state, context, found)
        case Found(request, ParcelFindings() as parcels, records):
            waiting = next((each for each in state.waiting if each.request == request), None)
            return (state, ()) if waiting is None else _looked_up(state, context, waiting, parcels, records)
        case ScanUndoAsked(place) if batch is not None:
            return _undo(state, batch, context, place)
        case LaidAside() if batch is not None:
            return _with(state, batch, aside=batch.aside[1:]), ()
        case BatchCloseAsked(complete) if batch is not None:
            return _close(state, batch, context, complete)
        case BatchDropped(why):
            return _drop(state, context, why.strip()[:MOST_TEXT])
        case EffectFailed(Commit(facts=facts)):
            return _not_written(state, facts)
        case Committed(request=0):
            # The start: whatever was being looked up nobody has heard a tone for.
            return _changed(state, waiting=(), slip_asked=0), ()
        case _:
            return state, ()


def _begin(state: State, context: Context, slip: SlipList | None) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    number = state.request + 1
    batch = Batch(batch_id=number_for("LS", context, number), began_s=context.at_s, slip=slip)
    fresh = State(request=number, batch=batch)
    return fresh, ((Sound(Tone.RELEASE),) if slip is not None else ())


def _slip_scanned(state: State, context: Context, text: str) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    number = state.request + 1
    asked = _changed(state, request=number, slip_asked=number, told=None)
    return asked, (LookUp(number, Wanted.SLIP, text[:MOST_TEXT]),)


def _slip_found(state: State, context: Context, found: SlipFindings) -> tuple[State, tuple[Effect, ...]]:
    state = _changed(state, slip_asked=0)
    if found.slip is None:
        return _said(state, Text("底账无此核放单", "The records have no such slip"))
    listed = tuple(str(waybill.waybill_no) for waybill in found.waybills[:MOST_LISTED])
    slip = SlipList(
        slip_no=str(found.slip.slip_no),
        plate=str(found.slip.plate or ""),
        enterprise=str(found.slip.enterprise),
        state=found.slip.state,
        listed=listed,
        is_cut=found.is_cut or len(found.waybills) > MOST_LISTED,
    )
    return _begin(state, context, slip)


def _scanned(
    state: State, batch: Batch, context: Context, event: Scanned
) -> tuple[State, tuple[Effect, ...]]:
    text = event.text.strip()
    short = _short(text)
    stayed = short == state.last_text and 0 <= context.at_s - state.last_s < SAME_LABEL_S
    state = _changed(state, last_text=short, last_s=context.at_s)
    if stayed and event.source != "typed":
        return state, ()
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    if batch.aside:
        told = Text(f"请先取出第 {batch.aside[0]} 件", f"Lay parcel {batch.aside[0]} aside first")
        return _changed(state, told=told), (Sound(Tone.HOLD),)
    if any(each.text == text for each in state.waiting):
        return state, ()
    if any(short in (scan.text, scan.waybill_no) and not scan.undone for scan in batch.scans):
        return _again(state, batch, text)
    if len(batch.scans) + len(state.waiting) >= MOST_SCANS:
        return _said(state, Text(f"已满 {MOST_SCANS} 件，请结束本批", f"{MOST_SCANS} scans: close this one"))
    if len(state.waiting) >= MOST_WAITING:
        return _said(state, Text("请稍慢", "Slower, please"))
    number = state.request + 1
    waiting = Waiting(number, text, event.symbology, event.source)
    state = _changed(state, request=number, waiting=(*state.waiting, waiting), told=None)
    return state, (LookUp(number, Wanted.PARCEL, text),)


def _short(text: str) -> str:
    """What a draft keeps of a code: a 2-D code may carry 4 KB, and every commit writes every draft. Two that
    are not the same stay two."""
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[: MOST_TEXT - 20]}…{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"


def _again(state: State, batch: Batch, text: str) -> tuple[State, tuple[Effect, ...]]:
    told = Text(f"已扫过 {text[:40]}", f"Counted already: {text[:40]}")
    state = _with(state, batch, duplicates=batch.duplicates + 1)
    return _changed(state, told=told), (Sound(Tone.DUPLICATE),)


def _looked_up(
    state: State, context: Context, waiting: Waiting, found: ParcelFindings, records: RecordsRead
) -> tuple[State, tuple[Effect, ...]]:
    batch = state.batch
    state = _changed(state, waiting=tuple(each for each in state.waiting if each is not waiting))
    if batch is None:
        return state, ()
    opinion = judge(found, records)
    waybill_no = "" if opinion.waybill is None else str(opinion.waybill.waybill_no)
    if waybill_no and any(scan.waybill_no == waybill_no and not scan.undone for scan in batch.scans):
        # Another label of the same parcel.
        return _again(state, batch, waiting.text)
    place = batch.next_place
    because = words.why(opinion.ruling.reasons[0])
    slip_no = "" if opinion.waybill is None else str(opinion.waybill.slip_no or "")
    scan = Scan(
        place,
        _short(waiting.text),
        waybill_no,
        opinion.sign,
        because.zh[:MOST_TEXT],
        because.en[:MOST_TEXT],
        context.at_s,
        slip_no,
    )
    asked = scanning.Asked(text=waiting.text, symbology=waiting.symbology, source=waiting.source)
    facts = tuple(
        Told(each.stream, _placed(each.data, batch.batch_id, place))
        for each in scanning.facts_of(context, asked, found, records, opinion)
    )
    lies_wrong = batch.slip is not None and _where(batch.slip, scan) != "listed"
    stops = opinion.sign is not Sign.RELEASE or lies_wrong
    tone = Tone(opinion.sign.value) if opinion.sign is not Sign.RELEASE or not lies_wrong else Tone.HOLD
    aside = (*batch.aside, *([place] if stops else []))
    state = _with(state, batch, scans=(*batch.scans, scan), next_place=place + 1, aside=aside)
    return state, (Commit(facts), Sound(tone), WakeAfter(UNDO, UNDO_S))


def _placed(data: FactData, batch_id: str, place: int) -> FactData:
    if isinstance(data, ParcelJudged | UnknownScanned):
        return msgspec.structs.replace(data, batch_id=batch_id, place=place)
    return data


def _undo(state: State, batch: Batch, context: Context, place: int) -> tuple[State, tuple[Effect, ...]]:
    left = [scan for scan in batch.scans if not scan.undone]
    scan = next((each for each in reversed(left) if place in (0, each.place)), None)
    if scan is None or context.officer is None:
        return _said(state, Text("没有可撤销的扫描", "There is no scan to undo"))
    if not _undo_left_s(scan, context):
        return _said(state, Text("超过 10 秒，不能撤销", "Later than 10 s: it cannot be undone"))
    undone = fact.ScanUndone(
        batch_id=batch.batch_id, place=scan.place, text=scan.text, officer=context.officer.officer_no
    )
    scans = tuple(
        msgspec.structs.replace(each, undone=True) if each is scan else each for each in batch.scans
    )
    state = _with(state, batch, scans=scans, aside=tuple(each for each in batch.aside if each != scan.place))
    # The same label may be read again at once.
    state = _changed(state, last_text="", told=Text(f"已撤销 {scan.number}", f"Undone: {scan.number}"))
    return state, (Commit((Told(Stream.ROUTINE, undone),)),)


def _not_written(state: State, facts: tuple[Told, ...]) -> tuple[State, tuple[Effect, ...]]:
    """Nothing of that transaction happened: a scan it told is not counted, one it undid is, and a count it
    closed or dropped goes on."""
    told = [each.data for each in facts]
    ended = next((each for each in told if isinstance(each, fact.BatchClosed | fact.DraftDropped)), None)
    batch = state.batch
    if batch is None and ended is not None and state.closed is not None:
        return _changed(state, batch=state.closed, closed=None, told=_NOT_WRITTEN), ()
    if batch is None:
        return state, ()
    lost = {
        each.place
        for each in told
        if isinstance(each, ParcelJudged | UnknownScanned) and each.batch_id == batch.batch_id
    }
    back = {
        each.place for each in told if isinstance(each, fact.ScanUndone) and each.batch_id == batch.batch_id
    }
    scans = tuple(
        msgspec.structs.replace(each, undone=False) if each.place in back else each
        for each in batch.scans
        if each.place not in lost
    )
    aside = tuple(place for place in batch.aside if place not in lost)
    return _changed(_with(state, batch, scans=scans, aside=aside), told=_NOT_WRITTEN, last_text=""), ()


_NOT_WRITTEN: Final = Text("未能记录，未计数", "It could not be recorded: not counted")


def _undo_left_s(scan: Scan, context: Context) -> float:
    """None is left after a restart of the device: its clock began anew."""
    passed_s = context.at_s - scan.at_s
    return max(0.0, UNDO_S - passed_s) if passed_s >= 0 and not scan.undone else 0.0


def _close(state: State, batch: Batch, context: Context, complete: bool) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    if state.waiting:
        return _said(state, Text("正在查询，请稍候", "Still looking one up"))
    officer = context.officer.officer_no
    counted = [scan for scan in batch.scans if not scan.undone]
    facts: list[FactData] = [
        fact.BatchClosed(
            batch_id=batch.batch_id,
            officer=officer,
            counted=len(counted),
            undone=len(batch.scans) - len(counted),
            duplicates=batch.duplicates,
            unknown=sum(scan.sign is Sign.UNKNOWN for scan in counted),
            flagged=sum(scan.sign in (Sign.INSPECT, Sign.HOLD) for scan in counted),
            lasted_s=max(0.0, context.at_s - batch.began_s),
        )
    ]
    if batch.slip is not None:
        seen = _compared(batch.slip, counted)
        facts.append(
            fact.SlipParcelsChecked(
                batch_id=batch.batch_id,
                slip=batch.slip.slip_no,
                officer=officer,
                listed=len(batch.slip.listed),
                found=seen.found,
                missing=len(seen.missing),
                extra=len(seen.extra),
                elsewhere=len(seen.elsewhere),
                undone=len(batch.scans) - len(counted),
                complete=complete and not batch.slip.is_cut,
                missing_nos=seen.missing[:MOST_TOLD],
                extra_texts=tuple(text[:MOST_TEXT] for text in seen.extra[:MOST_TOLD]),
                elsewhere_nos=tuple(f"{number}@{slip}" for number, slip in seen.elsewhere[:MOST_TOLD]),
                records_epoch=context.sync.records_epoch,
                records_number=context.sync.records_number,
                records_age_s=context.sync.records_age_s,
            )
        )
    closed = State(request=state.request, closed=batch)
    return closed, (Commit(tuple(Told(Stream.ROUTINE, data) for data in facts)),)


def _drop(state: State, context: Context, why: str) -> tuple[State, tuple[Effect, ...]]:
    """What was scanned stays facts; only the count of it is given up."""
    batch = state.batch
    if batch is None:
        return State(request=state.request), ()
    if context.officer is None or not why:
        return _said(state, Text("请说明作废原因", "Say why it is thrown away"))
    counted = sum(not scan.undone for scan in batch.scans)
    dropped = fact.DraftDropped(
        what="batch",
        number=batch.batch_id,
        officer=context.officer.officer_no,
        why=why,
        held=f"{counted} counted, {len(batch.scans) - counted} undone",
    )
    return State(request=state.request, closed=batch), (Commit((Told(Stream.ROUTINE, dropped),)),)


# --- the slip -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    found: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    """Waybill and the slip it is on."""


def _where(slip: SlipList, scan: Scan) -> Literal["listed", "elsewhere", "extra"]:
    if scan.waybill_no and (scan.waybill_no in slip.listed or scan.slip_no == slip.slip_no):
        return "listed"
    return "elsewhere" if scan.slip_no and scan.slip_no != slip.slip_no else "extra"


def _compared(slip: SlipList, counted: Sequence[Scan]) -> Compared:
    """What is on the slip and was not seen; what was seen and is not on it."""
    by_place = [(scan, _where(slip, scan)) for scan in counted]
    seen = {scan.waybill_no for scan, where in by_place if where == "listed"}
    return Compared(
        found=len(seen),
        missing=tuple(number for number in slip.listed if number not in seen),
        extra=tuple(scan.number for scan, where in by_place if where == "extra"),
        elsewhere=tuple((scan.number, scan.slip_no) for scan, where in by_place if where == "elsewhere"),
    )


def _with(state: State, batch: Batch, **changes: object) -> State:
    return _changed(state, batch=msgspec.structs.replace(batch, **changes), told=None)


def _said(state: State, told: Text) -> tuple[State, tuple[Effect, ...]]:
    return _changed(state, told=told), (Sound(Tone.ERROR),)


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- the view -----------------------------------------------------------------------------------------------

_HINTS: Final = {
    "idle": Text("选择连续扫描或核对核放单", "Begin a count, or check a slip"),
    "slip_wanted": Text("请扫描核放单", "Scan the release slip"),
    "scanning": Text("请扫描包裹", "Scan the parcels"),
    "aside": Text("取出此件后继续", "Lay this one aside, then go on"),
    "closed": Text("本批已结束", "This count is closed"),
}
_COUNT: Final = Text("连续扫描", "Count")
_CHECK: Final = Text("卡口抽核", "Slip check")
_ON_SLIP: Final = {
    "listed": Text("在单", "on the slip"),
    "elsewhere": Text("属另一核放单", "on another slip"),
    "extra": Text("不在单", "not on the slip"),
}


def view(state: State, context: Context) -> BatchView:
    batch = state.batch if state.batch is not None else state.closed
    phase: Literal["idle", "slip_wanted", "scanning", "aside", "closed"] = "idle"
    if state.batch is not None:
        phase = "aside" if state.batch.aside else "scanning"
    elif state.wants_slip:
        phase = "slip_wanted"
    elif state.closed is not None:
        phase = "closed"
    scans = () if batch is None else batch.scans
    counted = [scan for scan in scans if not scan.undone]
    slip = None if batch is None else batch.slip
    pending = [
        ScanShown(0, each.text, Sign.UNKNOWN, SHAPES[Sign.UNKNOWN], _LOOKING, is_pending=True)
        for each in reversed(state.waiting)
    ]
    log = [_scan_shown(scan, slip, context) for scan in reversed(scans[-SHOWN:])]
    shown = next((each for each in log if batch is not None and each.place in batch.aside[:1]), None)
    is_check = state.wants_slip or slip is not None
    return BatchView(
        phase=phase,
        is_slip_check=is_check,
        title=_CHECK if is_check else _COUNT,
        hint=_HINTS[phase],
        counted=len(counted),
        passed=sum(_sign(scan, slip) is Sign.RELEASE for scan in counted),
        flagged=sum(_sign(scan, slip) in (Sign.INSPECT, Sign.HOLD) for scan in counted),
        unknown=sum(scan.sign is Sign.UNKNOWN for scan in counted),
        duplicates=0 if batch is None else batch.duplicates,
        undone=len(scans) - len(counted),
        last=shown or next(iter([*pending, *log]), None),
        log=(*pending, *log),
        slip=None if slip is None else _slip_shown(slip, counted),
        told=state.told,
        may_undo=state.batch is not None and any(each.undo_left_s > 0 for each in log),
        may_close=state.batch is not None and not state.waiting,
    )


_LOOKING: Final = Text("查询中", "Looking it up")


def _sign(scan: Scan, slip: SlipList | None) -> Sign:
    """A parcel that may go, but not with this slip, looks as it sounds: like a hold."""
    lies_wrong = slip is not None and scan.sign is Sign.RELEASE and _where(slip, scan) != "listed"
    return Sign.HOLD if lies_wrong else scan.sign


def _scan_shown(scan: Scan, slip: SlipList | None, context: Context) -> ScanShown:
    said = Text(scan.zh, scan.en)
    if slip is not None:
        on = _ON_SLIP[_where(slip, scan)]
        said = Text(f"{on.zh} {scan.zh}", f"{on.en}; {scan.en}")
    sign = _sign(scan, slip)
    return ScanShown(
        place=scan.place,
        text=scan.number,
        sign=sign,
        shape=SHAPES[sign],
        words=said,
        is_undone=scan.undone,
        undo_left_s=_undo_left_s(scan, context),
    )


def _slip_shown(slip: SlipList, counted: Sequence[Scan]) -> SlipCheckShown:
    seen = _compared(slip, counted)
    return SlipCheckShown(
        slip_no=slip.slip_no,
        rows=(
            Row(Text("车牌", "Plate"), both(slip.plate or "—")),
            Row(Text("企业", "Enterprise"), both(slip.enterprise)),
            Row(Text("状态", "State"), words.SLIP_STATES[slip.state]),
        ),
        listed=len(slip.listed),
        found=seen.found,
        missing=len(seen.missing),
        extra=len(seen.extra),
        elsewhere=len(seen.elsewhere),
        missing_nos=seen.missing[:SHOWN],
        extra_texts=seen.extra[:SHOWN],
        elsewhere_nos=tuple(f"{number} → {other}" for number, other in seen.elsewhere[:SHOWN]),
        list_is_cut=slip.is_cut,
    )
