"""CEB messages (跨境电商) -> waybills: CEB621 declarations (清单), CEB511 waybills (运单). No file, no clock.

**No person leaves this room.** Buyer and consignee, their names, identity and telephone numbers and
addresses, free notes and goods descriptions are not even collected: what may be kept is named here, element
by element, and an error quotes nothing else.

A message holds up to some hundred `Inventory` or `Logistics`. Each is read apart: one that is bad is a
problem with its line, the others are taken; XML that does not end well is refused whole. Signatures are not
checked.

Field names are the standard's own; elements are taken by local name, since public senders bind the namespace
http://www.chinaport.gov.cn/ceb to any prefix and some to none. Source: public CEB senders (field lists of
InventoryHead, InventoryList, LogisticsHead); no official schema is public.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeVar

import msgspec

from sync.vocabulary.bounds import MAX_LIST
from sync.vocabulary.codec import Malformed
from sync.vocabulary.elements import declared, feed, ways_to_read
from sync.vocabulary.numbers import EnterpriseCode, WaybillNo
from sync.vocabulary.records import Waybill
from sync.vocabulary.weights import is_kilograms

V = TypeVar("V")

MAX_BYTES: Final = 32 * 1024 * 1024
"""A message of a hundred declarations with ten lines each takes about one."""
MAX_DEPTH: Final = 12
MAX_ENTRIES: Final = 20_000
MAX_TEXT: Final = 256
NAMESPACE: Final = "http://www.chinaport.gov.cn/ceb"

MESSAGES: Final = {"CEB621Message": "Inventory", "CEB511Message": "Logistics"}
"""Root element -> the element that is repeated."""
_HEADS: Final = {"Inventory": "InventoryHead", "Logistics": "LogisticsHead"}
_LINE: Final = "InventoryList"

_HEAD_FIELDS: Final = {
    "Inventory": frozenset(
        ("appType", "appStatus", "orderNo", "ebpCode", "ebcCode", "logisticsNo", "invtNo", "ieFlag", "billNo",
         "packNo", "grossWeight")
    ),
    "Logistics": frozenset(("appType", "appStatus", "logisticsNo", "billNo", "weight", "packNo")),
}  # fmt: skip
_LINE_FIELDS: Final = {
    "gnum": "no", "itemNo": "sku", "gcode": "hs_code", "itemName": "name", "gname": "declared_name",
    "qty": "quantity", "unit": "unit", "country": "origin",
}  # fmt: skip
"""Element -> name of the field in a waybill's line."""

DECLARED: Final = "declared"
CARRIED: Final = "carried"
"""State of a waybill of which only the carrier has spoken (CEB511): nothing is declared yet."""
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class Entry:
    """One `Inventory` or `Logistics`, read."""

    line: int
    message: str
    """`CEB621` or `CEB511`"""
    withdrawn: bool
    """`appType` 3: deleted by who sent it."""
    order_no: str
    """`orderNo`, which tells one declaration of a waybill from another; empty in CEB511."""
    declaration: str
    """`invtNo`; empty before customs gave one, and always in CEB511."""
    waybill: Waybill
    """What this message alone says."""


@dataclass(frozen=True, slots=True)
class Problem:
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Message:
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    encoding: str


def read_message(data: bytes) -> Message:
    """Read one CEB621 or CEB511 message. Raises `Malformed` where it is none; entries that cannot be taken
    are `problems`. The way to read the bytes with the fewest problems is taken, the declared one first."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"CEB: expected at most {MAX_BYTES} bytes, got {len(data)}; split it")
    first: Malformed | None = None
    best: Message | None = None
    for encoding, text in ways_to_read(data):
        collector = _Collector()
        try:
            feed(text, collector, "CEB")
        except Malformed as error:
            first = first or error
            continue
        if not collector.root:
            raise Malformed("CEB: expected an element, found none")
        found = Message(tuple(collector.entries), tuple(collector.problems), encoding)
        if best is None or len(found.problems) < len(best.problems):
            best = found
        if not best.problems:
            break
    if best is not None:
        return best
    raise first or Malformed(
        f"CEB: expected text in {declared(data)} or gb18030, found bytes that are neither"
    )


def merged(known: Waybill | None, entry: Entry) -> Waybill:
    """The waybill with what the entry adds. A second declaration of the same waybill (同包发货) adds lines
    and number; the same one again, by its order, replaces its own. Pieces and weight are the last word."""
    new = entry.waybill
    if entry.message == "CEB511":
        return _carried(known, entry)
    if known is None:
        return _changed(new, declarations=(), lines=(), state=CANCELLED) if entry.withdrawn else new
    lines = _lines_with(known.lines, entry)
    if entry.withdrawn:
        others = tuple(each for each in known.declarations if each != entry.declaration)
        return _changed(
            known, declarations=others, lines=lines, state=known.state if lines or others else CANCELLED
        )
    is_new = bool(entry.declaration) and entry.declaration not in known.declarations
    return _changed(
        known,
        declarations=(*known.declarations, entry.declaration) if is_new else known.declarations,
        lines=lines,
        order_no=lines[0]["order"] if lines else new.order_no,
        bill_no=new.bill_no or known.bill_no,
        enterprise=new.enterprise or known.enterprise,
        platform=new.platform or known.platform,
        pieces=new.pieces,
        gross_kg=new.gross_kg,
        direction=new.direction,
        state=DECLARED,
    )


def _lines_with(lines: tuple[dict[str, str], ...], entry: Entry) -> tuple[dict[str, str], ...]:
    """The entry's lines in the place of those its order had, behind the others where it had none; lines of no
    order came from elsewhere and give way."""
    new = () if entry.withdrawn else entry.waybill.lines
    orders = list(dict.fromkeys(line["order"] for line in lines if line.get("order")))
    if entry.order_no not in orders:
        orders.append(entry.order_no)
    by_order = {order: [line for line in lines if line.get("order") == order] for order in orders}
    by_order[entry.order_no] = list(new)
    return tuple(line for order in orders for line in by_order[order])


def _carried(known: Waybill | None, entry: Entry) -> Waybill:
    """A carrier's word stands behind a declaration's, where there is one."""
    new = entry.waybill
    if known is None:
        return _changed(new, state=CANCELLED) if entry.withdrawn else new
    if known.declarations or known.state == DECLARED:
        return _changed(known, bill_no=known.bill_no or new.bill_no)
    state = CANCELLED if entry.withdrawn else CARRIED
    return _changed(
        known,
        bill_no=new.bill_no or known.bill_no,
        pieces=new.pieces,
        gross_kg=new.gross_kg or known.gross_kg,
        state=state,
    )


def _changed(waybill: Waybill, **changes: object) -> Waybill:
    return msgspec.structs.replace(waybill, **changes)


# --- elements -> entries ----------------------------------------------------------------------------------


class _Collector:
    """Parser target. Of every element that is not named above only the depth is kept."""

    def __init__(self) -> None:
        self.line: Callable[[], int] = int
        self.root = ""
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self._repeated = ""
        self._open: list[str] = []
        self._entry_line = 0
        self._head: dict[str, str] = {}
        self._heads = 0
        self._lines: list[dict[str, str]] = []
        self._wrong = ""
        self._text: list[str] | None = None
        self._length = 0
        self._count = 0

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"CEB: expected elements at most {MAX_DEPTH} deep")
        if not self.root:
            self._begin(tag, name)
        self._open.append(name)
        match self._open[1:]:
            case [self._repeated]:
                self._count += 1
                if self._count > MAX_ENTRIES:
                    raise Malformed(
                        f"CEB: expected at most {MAX_ENTRIES} of {self._repeated}, split the message"
                    )
                self._entry_line = self.line()
                self._head, self._lines, self._heads, self._wrong = {}, [], 0, ""
            case [self._repeated, head] if head == _HEADS[self._repeated]:
                self._heads += 1
            case [self._repeated, line] if line == _LINE:
                if len(self._lines) == MAX_LIST:
                    self._wrong = self._wrong or f"{_LINE}: expected at most {MAX_LIST} lines"
                else:
                    self._lines.append({})
        self._text = [] if self._is_kept() else None
        self._length = 0

    def data(self, text: str) -> None:
        if self._text is None:
            return
        self._length += len(text)
        if self._length <= MAX_TEXT:
            self._text.append(text)

    def end(self, _tag: str) -> None:
        if self._text is not None:
            self._keep(self._open[-1], "".join(self._text).strip())
            self._text = None
        if self._open[1:] == [self._repeated]:
            self._close_entry()
        self._open.pop()

    def close(self) -> None:
        return None

    def _begin(self, tag: str, name: str) -> None:
        space = tag[1:].partition("}")[0] if tag.startswith("{") else ""
        if name not in MESSAGES or space not in ("", NAMESPACE):
            raise Malformed(f"CEB: expected one of {', '.join(MESSAGES)} of {NAMESPACE}, got {name[:40]!r}")
        self.root = name
        self._repeated = MESSAGES[name]

    def _is_kept(self) -> bool:
        match self._open[1:]:
            case [self._repeated, part, name] if part == _HEADS[self._repeated]:
                return name in _HEAD_FIELDS[self._repeated]
            case [self._repeated, part, name] if part == _LINE:
                return name in _LINE_FIELDS and bool(self._lines)
        return False

    def _keep(self, name: str, text: str) -> None:
        if self._length > MAX_TEXT:
            self._wrong = self._wrong or f"{name}: expected at most {MAX_TEXT} characters"
            return
        in_line = self._open[2] == _LINE
        fields = self._lines[-1] if in_line else self._head
        key = _LINE_FIELDS[name] if in_line else name
        if key in fields:
            self._wrong = self._wrong or f"{name}: expected one element, got several"
        elif text or not in_line:
            fields[key] = text

    def _close_entry(self) -> None:
        try:
            if self._wrong:
                raise Malformed(self._wrong)
            if self._heads != 1:
                raise Malformed(f"{_HEADS[self._repeated]}: expected one element, got {self._heads}")
            self.entries.append(self._read())
        except Malformed as error:
            self.problems.append(Problem(self._entry_line, f"{self._repeated}: {error}"))

    def _read(self) -> Entry:
        head = _Head(self._head)
        kind = self.root.removesuffix("Message")
        app_type = head.choice(
            "appType", {"1": False, "2": False, "3": True}, "1 (new) | 2 (changed) | 3 (deleted)"
        )
        head.choice("appStatus", {"2": True}, "2 (declared, 申报): a draft is no declaration")
        number = head.text("logisticsNo")
        waybill_no = WaybillNo.parse(number)
        if waybill_no is None:
            raise Malformed(f"logisticsNo: expected {WaybillNo.expected}, got {number[:60]!r}")
        waybill = Waybill(
            waybill_no=waybill_no,
            bill_no=head.text("billNo"),
            pieces=head.pieces(),
            gross_kg=head.weight("grossWeight" if kind == "CEB621" else "weight"),
            state=CARRIED,
        )
        entry = Entry(self._entry_line, kind, app_type, "", "", waybill)
        if kind == "CEB511":
            return entry
        return self._declared(head, entry)

    def _declared(self, head: _Head, entry: Entry) -> Entry:
        declaration, order_no = head.text("invtNo"), head.text("orderNo")
        if not order_no:
            raise Malformed("orderNo: expected an order number, found nothing")
        enterprise = EnterpriseCode.parse(head.text("ebcCode"))
        if enterprise is None:
            raise Malformed(f"ebcCode: expected {EnterpriseCode.expected}, got {head.text('ebcCode')[:60]!r}")
        direction = head.choice("ieFlag", {"I": "import", "E": "export"}, "I (in) | E (out)")
        lines = tuple({"order": order_no, "declaration": declaration, **line} for line in self._lines)
        waybill = _changed(
            entry.waybill,
            declarations=(declaration,) if declaration else (),
            order_no=order_no,
            enterprise=enterprise,
            platform=head.text("ebpCode"),
            direction=direction,
            state=DECLARED,
            lines=lines,
        )
        return replace(entry, order_no=order_no, declaration=declaration, waybill=waybill)


class _Head:
    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        return self._fields.get(name, "")

    def choice(self, name: str, choices: dict[str, V], expected: str) -> V:
        text = self.text(name)
        if text not in choices:
            raise Malformed(f"{name}: expected {expected}, got {text[:60]!r}")
        return choices[text]

    def pieces(self) -> int:
        text = self.text("packNo") or "1"
        if not _PIECES.fullmatch(text) or int(text) < 1:
            raise Malformed(f"packNo: expected a whole number from 1 to 999999, got {text[:60]!r}")
        return int(text)

    def weight(self, name: str) -> Decimal:
        """Kilograms; the standard allows five decimals, a record holds grams, rounded half up."""
        text = self.text(name)
        if not _WEIGHT.fullmatch(text):
            raise Malformed(
                f"{name}: expected kilograms with at most 5 decimals such as 0.53, got {text[:60]!r}"
            )
        value = Decimal(text).quantize(_GRAM, ROUND_HALF_UP).normalize()
        value = value or Decimal(0)
        if not is_kilograms(value):
            raise Malformed(f"{name}: expected less than a thousand tonnes, got {text[:60]!r}")
        return Decimal(f"{value:f}")


_PIECES = re.compile(r"[0-9]{1,6}")
_WEIGHT = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,5})?")
_GRAM = Decimal("0.001")
