"""Stock-take (盘库): a shelf's label, then what lies there against the book; what differs is counted twice.

Blind: the counter sees no book quantity before the count is closed. Every count is a fact; the book itself is
the centre's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import Commit, Effect, LookUp, Sound, Told, Tone, Wanted
from edge.handheld.events import EffectFailed, Found, Scanned, StockFindings
from edge.handheld.numbering import number_for
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.records import quantity_of
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class BlindChosen:
    """Before the shelf is scanned."""

    on: bool


@dataclass(frozen=True, slots=True)
class RowCounted:
    row_no: str
    counted: str
    """Decimal text; empty takes it back."""


@dataclass(frozen=True, slots=True)
class GoodsFound:
    """Lies here and is not in the book here."""

    sku: str
    counted: str
    unit: str = ""
    batch_no: str = ""


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """Everything here is counted: rows that differ are asked for once more, then the take can be closed."""


@dataclass(frozen=True, slots=True)
class TakeCloseAsked:
    """`why`: rows that were not counted."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class TakeDropped:
    why: str


Intent = BlindChosen | RowCounted | GoodsFound | RoundClosed | TakeCloseAsked | TakeDropped
"""A shelf's label, and then goods' labels, are `Scanned`: goods come to the front."""


@dataclass(frozen=True, slots=True)
class StockShown:
    row_no: str
    """Empty: not in the book here."""
    sku: str
    name: str
    batch_no: str
    unit: str
    booked: str
    """Empty where the count is blind and not closed."""
    counted: str
    first_count: str
    """In the second round: what was counted first."""
    state: Literal["to_count", "equal", "differs", "to_recount", "counted", "not_in_book"]
    """`counted`: blind, nobody says yet whether it is right."""
    is_in_front: bool = False
    """Its label was read last."""


@dataclass(frozen=True, slots=True)
class StockTakeView:
    phase: Literal["shelf_wanted", "looking_up", "counting", "recounting", "closing", "closed"]
    """`closing`: both rounds are done, the differences are shown."""
    location: str
    is_blind: bool
    round: int
    rows: tuple[StockShown, ...]
    to_count: int
    equal: int
    differing: int
    not_in_book: int
    told: Text | None
    hint: Text
    may_close_round: bool
    may_close: bool
    close_needs_reason: bool


# --- what is kept -------------------------------------------------------------------------------------------

STOCK_TAKE: Final = "stock_take"
"""Authorisation."""
MOST_ROWS: Final = 300
MOST_TEXT: Final = 200
_EXTRA: Final = "+"
"""Before the place of a row that the book does not have."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    row_no: str
    sku: str
    name: str
    batch_no: str
    unit: str
    booked: str
    first: str = ""
    second: str = ""

    @property
    def is_extra(self) -> bool:
        return self.row_no.startswith(_EXTRA)

    @property
    def counted(self) -> str:
        return self.second or self.first

    @property
    def differs(self) -> bool:
        """By what was counted last."""
        return self.is_extra or not self.counted or Decimal(self.counted) != Decimal(self.booked)


class Take(msgspec.Struct, frozen=True, kw_only=True):
    take_id: str
    location: str
    is_blind: bool
    round: Literal[1, 2] = 1
    is_closing: bool = False
    rows: tuple[Row, ...] = ()
    in_front: str = ""
    records_epoch: str = ""
    records_number: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Kept with the memory: a stock-take under way outlives a restart."""

    request: int = 0
    looking_for: str = ""
    is_blind: bool = False
    take: Take | None = None
    closed: Take | None = None
    """The last one, to be looked at."""
    before: tuple[Take | None, Take | None] | None = None
    """As it was before the last commit: what comes back where that fails."""
    told: Text | None = None


Event = Intent | Scanned | Found | EffectFailed

# --- steps --------------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    if isinstance(event, EffectFailed):
        return _not_written(state, event), ()
    after, effects = _step(state, context, event)
    if any(isinstance(effect, Commit) for effect in effects):
        after = _changed(after, before=(state.take, state.closed))
    return after, effects


def _not_written(state: State, failed: EffectFailed) -> State:
    """Nothing of that transaction happened: the round is not closed, nor the take."""
    is_ours = isinstance(failed.effect, Commit) and any(
        isinstance(each.data, _OURS) for each in failed.effect.facts
    )
    if not is_ours or state.before is None:
        return state
    take, closed = state.before
    told = Text("未能记录，请再试", "It could not be recorded: try again")
    return _changed(state, take=take, closed=closed, before=None, told=told)


_OURS = fact.StockCounted | fact.StockTakeClosed | fact.DraftDropped


def _step(
    state: State, context: Context, event: Intent | Scanned | Found
) -> tuple[State, tuple[Effect, ...]]:
    take = state.take
    match event:
        case BlindChosen(on) if take is None:
            return _changed(state, is_blind=on), ()
        case Scanned(text) if take is None:
            return _shelf(state, context, text.strip())
        case Scanned(text) if take is not None:
            return _goods(state, take, text.strip())
        case Found(request, StockFindings() as found) if request == state.request and state.looking_for:
            return _begin(state, context, found, event)
        case RowCounted(row_no, counted) if take is not None:
            return _count(state, take, row_no, counted.strip())
        case GoodsFound() if take is not None:
            return _extra(state, take, event)
        case RoundClosed() if take is not None and not take.is_closing:
            return _close_round(state, take, context)
        case TakeCloseAsked(why) if take is not None:
            return _close(state, take, context, why.strip()[:MOST_TEXT])
        case TakeDropped(why) if take is not None:
            return _drop(state, take, context, why.strip()[:MOST_TEXT])
        case _:
            return state, ()


def _shelf(state: State, context: Context, text: str) -> tuple[State, tuple[Effect, ...]]:
    if not context.may(STOCK_TAKE):
        return _said(state, Text("无盘库授权", "You are not authorised for stock-takes"))
    asked = _changed(state, request=state.request + 1, looking_for=text, closed=None, told=None)
    return asked, (LookUp(asked.request, Wanted.STOCK, text),)


def _begin(
    state: State, context: Context, found: StockFindings, answer: Found
) -> tuple[State, tuple[Effect, ...]]:
    looked_for = state.looking_for
    state = _changed(state, looking_for="")
    if not found.location or not found.rows:
        told = Text(f"账册中无此库位 {looked_for[:40]}", f"The book has no such shelf: {looked_for[:40]}")
        return _said(state, told)
    if len(found.rows) > MOST_ROWS:
        told = Text(
            f"此库位超过 {MOST_ROWS} 行，请分格盘点", f"More than {MOST_ROWS} rows here: take it in parts"
        )
        return _said(state, told)
    number = state.request + 1
    take = Take(
        take_id=number_for("PK", context, number),
        location=found.location,
        is_blind=state.is_blind,
        rows=tuple(
            Row(row.row_no, row.sku, row.name, row.batch_no, row.unit, str(row.quantity))
            for row in found.rows
        ),
        records_epoch=answer.records.epoch,
        records_number=answer.records.number,
    )
    return _changed(state, request=number, take=take, closed=None, told=None), (Sound(Tone.RELEASE),)


def _goods(state: State, take: Take, text: str) -> tuple[State, tuple[Effect, ...]]:
    """The goods' label brings their row to the front; those of several batches, the first not counted."""
    if text == take.location:
        return _said(state, Text("正在盘点此库位", "This shelf is being counted already"))
    rows = [
        row for row in take.rows if text in (row.sku, row.row_no) or (row.batch_no and text == row.batch_no)
    ]
    if not rows:
        told = Text(f"此库位账册无 {text[:40]}，可登记为账外货物", f"Not in the book here: {text[:40]}")
        return _said(state, told)
    row = next((row for row in rows if not (row.second if take.round == 2 else row.first)), rows[0])
    return _with(state, take, in_front=row.row_no), (Sound(Tone.RELEASE),)


def _count(state: State, take: Take, row_no: str, counted: str) -> tuple[State, tuple[Effect, ...]]:
    row = next((row for row in take.rows if row.row_no == row_no), None)
    if row is None or take.is_closing:
        return _said(state, Text("此行不在盘点中", "This row is not being counted"))
    if take.round == 2 and not _is_to_recount(row):
        return _said(state, Text("此行初盘相符", "This row was right at the first count"))
    if counted and quantity_of(counted) is None:
        return _said(state, Text("请输入数量，如 12 或 0.5", "Enter a quantity such as 12 or 0.5"))
    if take.round == 1:
        changed = msgspec.structs.replace(row, first=counted)
        if row.is_extra and not counted:
            return _with(state, take, rows=tuple(each for each in take.rows if each.row_no != row_no)), ()
    else:
        changed = msgspec.structs.replace(row, second=counted)
    rows = tuple(changed if each.row_no == row_no else each for each in take.rows)
    return _with(state, take, rows=rows, in_front=row_no), ()


def _extra(state: State, take: Take, found: GoodsFound) -> tuple[State, tuple[Effect, ...]]:
    quantity = quantity_of(found.counted.strip())
    sku = found.sku.strip()[:MOST_TEXT]
    if take.round != 1 or take.is_closing:
        return _said(state, Text("复盘中不能增加货物", "Goods are added in the first round only"))
    if quantity is None or not sku:
        return _said(state, Text("请输入货号和数量", "Enter the SKU and a quantity"))
    if len(take.rows) >= MOST_ROWS:
        return _said(state, Text("行数过多", "Too many rows"))
    place = sum(row.is_extra for row in take.rows) + 1
    while any(row.row_no == f"{_EXTRA}{place}" for row in take.rows):
        place += 1
    row = Row(
        f"{_EXTRA}{place}", sku, "", found.batch_no[:MOST_TEXT], found.unit[:20], "0", found.counted.strip()
    )
    return _with(state, take, rows=(*take.rows, row), in_front=row.row_no), ()


def _close_round(state: State, take: Take, context: Context) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    missing = _to_count(take)
    if missing:
        told = Text(f"还有 {len(missing)} 行未盘", f"{len(missing)} rows are not counted yet")
        return _said(state, told)
    counted = _counted_facts(take, context)
    if take.round == 1 and any(row.differs for row in take.rows):
        told = Text("有差异，请复盘", "Some differ: count them once more")
        state = _with(state, take, round=2, in_front="")
        return _changed(state, told=told), (_commit(*counted), Sound(Tone.INSPECT))
    return _with(state, take, is_closing=True, in_front=""), (_commit(*counted),)


def _close(state: State, take: Take, context: Context, why: str) -> tuple[State, tuple[Effect, ...]]:
    """After both rounds; or at any time with a reason, and what was counted in this round so far."""
    if context.officer is None:
        return _said(state, Text("请先登录", "Sign in first"))
    if not take.is_closing and not why:
        return _said(state, Text("盘点未完，请说明原因", "It is not counted through: say why it is closed"))
    facts: list[FactData] = [] if take.is_closing else list(_counted_facts(take, context))
    booked = [row for row in take.rows if not row.is_extra]
    facts.append(
        fact.StockTakeClosed(
            take_id=take.take_id,
            location=take.location,
            officer=context.officer.officer_no,
            rows=len(booked),
            equal=sum(not row.differs for row in booked),
            differing=sum(row.differs and bool(row.counted) for row in booked),
            not_counted=sum(not row.counted for row in booked),
            not_in_book=len(take.rows) - len(booked),
            why=why,
        )
    )
    closed = msgspec.structs.replace(take, is_closing=True)
    return _changed(state, take=None, closed=closed, told=None), (_commit(*facts),)


def _drop(state: State, take: Take, context: Context, why: str) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None or not why:
        return _said(state, Text("请说明作废原因", "Say why it is thrown away"))
    counted = sum(bool(row.counted) for row in take.rows)
    dropped = fact.DraftDropped(
        what="stock_take",
        number=take.location,
        officer=context.officer.officer_no,
        why=why,
        held=f"{counted} of {len(take.rows)} rows counted, round {take.round}",
    )
    return _changed(state, take=None, told=None), (_commit(dropped),)


def _is_to_recount(row: Row) -> bool:
    """By the first count."""
    return row.is_extra or not row.first or Decimal(row.first) != Decimal(row.booked)


def _to_count(take: Take) -> tuple[Row, ...]:
    if take.round == 1:
        return tuple(row for row in take.rows if not row.first)
    return tuple(row for row in take.rows if _is_to_recount(row) and not row.second)


def _counted_facts(take: Take, context: Context) -> tuple[FactData, ...]:
    """Of this round."""
    officer = "" if context.officer is None else context.officer.officer_no
    return tuple(
        fact.StockCounted(
            take_id=take.take_id,
            location=take.location,
            row_no="" if row.is_extra else row.row_no,
            sku=row.sku,
            batch_no=row.batch_no,
            booked="" if row.is_extra else row.booked,
            counted=counted,
            unit=row.unit,
            round=take.round,
            blind=take.is_blind,
            officer=officer,
            records_epoch=take.records_epoch,
            records_number=take.records_number,
        )
        for row in take.rows
        if (counted := row.first if take.round == 1 else row.second)
    )


def _with(state: State, take: Take, **changes: object) -> State:
    return _changed(state, take=msgspec.structs.replace(take, **changes), told=None)


def _said(state: State, told: Text) -> tuple[State, tuple[Effect, ...]]:
    return _changed(state, told=told), (Sound(Tone.ERROR),)


def _commit(*facts: FactData) -> Commit:
    return Commit(tuple(Told(Stream.ROUTINE, data) for data in facts))


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- the view -----------------------------------------------------------------------------------------------

_HINTS: Final = {
    "shelf_wanted": Text("请扫描库位码", "Scan the shelf's label"),
    "looking_up": Text("正在查账册", "Looking into the book"),
    "counting": Text("逐行清点，扫描货物可定位", "Count every row; a label brings its row to the front"),
    "recounting": Text("有差异的行再盘一次", "Count again what differs"),
    "closing": Text("核对差异后关闭", "Look at the differences, then close"),
    "closed": Text("盘点已关闭，可扫描下一库位", "Closed; scan the next shelf"),
}


def view(state: State, context: Context) -> StockTakeView:
    """Blind: before it is closed nothing says what the book has."""
    take = state.take if state.take is not None else state.closed
    phase: Literal["shelf_wanted", "looking_up", "counting", "recounting", "closing", "closed"]
    if state.take is not None:
        phase = "closing" if state.take.is_closing else "counting" if state.take.round == 1 else "recounting"
    elif state.looking_for:
        phase = "looking_up"
    else:
        phase = "shelf_wanted" if state.closed is None else "closed"
    rows = () if take is None else tuple(_shown(row, take) for row in take.rows)
    # What is to be counted again, and what differs in the end, lies above what agreed.
    above = ("differs", "not_in_book") if phase in ("closing", "closed") else ("to_recount",)
    rows = tuple(sorted(rows, key=lambda row: row.state not in above))
    to_count = 0 if state.take is None or state.take.is_closing else len(_to_count(state.take))
    return StockTakeView(
        phase=phase,
        location="" if take is None else take.location,
        is_blind=state.is_blind if take is None else take.is_blind,
        round=1 if take is None else take.round,
        rows=rows,
        to_count=to_count,
        equal=sum(row.state == "equal" for row in rows),
        differing=sum(row.state in ("differs", "to_recount") for row in rows),
        not_in_book=sum(row.state == "not_in_book" for row in rows),
        told=state.told,
        hint=_HINTS[phase],
        may_close_round=phase in ("counting", "recounting") and to_count == 0,
        may_close=state.take is not None,
        close_needs_reason=state.take is not None and not state.take.is_closing,
    )


def _shown(row: Row, take: Take) -> StockShown:
    hides = take.is_blind and not take.is_closing
    state: Literal["to_count", "equal", "differs", "to_recount", "counted", "not_in_book"]
    if row.is_extra:
        state = "not_in_book"
    elif take.round == 2 and _is_to_recount(row) and not row.second and not take.is_closing:
        state = "to_recount"
    elif not row.counted:
        state = "to_count"
    elif hides:
        state = "counted"
    else:
        state = "differs" if row.differs else "equal"
    second_round = take.round == 2
    return StockShown(
        row_no=row.row_no,
        sku=row.sku,
        name=row.name,
        batch_no=row.batch_no,
        unit=row.unit,
        booked="" if hides or row.is_extra else row.booked,
        counted=row.second if second_round and _is_to_recount(row) else row.first,
        first_count="" if hides or not second_round else row.first,
        state=state,
        is_in_front=row.row_no == take.in_front,
    )
