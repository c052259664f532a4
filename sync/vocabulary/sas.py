"""SAS messages (核放单, 金关二期) <-> release slips and receipts. No file, no clock, no feed enters here.

SAS221 is an approval and becomes a slip. SAS223 (过卡回执) and SAS224 (a later receipt) say that it passed,
SAS251 that a slip of the two-step procedure (两步申报) was approved, SAS253 that it passed; none of these
can make a slip: they become a `Receipt`, which moves the state of a slip that is known. Our own receipts are
written in the shape of SAS223 and SAS253.

Field names are the standard's own spelling, misspellings included. Facts: anonymised public samples of
SAS221, SAS223, SAS224 and SAS253, and field lists of all five in a public bridge. No official schema is
public, so nothing is guessed: a message that lacks a field, contradicts itself or is of another kind is
refused whole, naming the field and what was expected.

What a `ReleaseSlip` needs and SAS221 does not say: the end of validity (`validity_hours` after approval), how
many vehicles share a slip of binding 3 (`uses_for_many_vehicles`), control, quarantine and waybills (empty).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar
from xml.sax.saxutils import escape

from sync.vocabulary.bounds import MAX_LIST, MAX_TEXT
from sync.vocabulary.codec import Malformed
from sync.vocabulary.elements import declared, feed, ways_to_read
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, NumberText, Plate, SlipNo, UtcText, utc_text
from sync.vocabulary.records import (
    Binding,
    Direction,
    GateStage,
    ReleaseSlip,
    SlipKind,
    SlipState,
)
from sync.vocabulary.weights import kilograms

MAX_BYTES = 4 * 1024 * 1024
"""A goods line takes some 500 bytes; the longest slip stays far below."""
MAX_DEPTH = 16
"""The samples nest 6 deep."""
DEFAULT_VALIDITY_HOURS = 24 * 7
_LONGEST_VALIDITY_HOURS = 24 * 3660

# Asia/Shanghai has kept UTC+8 without summer time since 1991; a fixed offset needs no zone files on a PC.
_BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")

_OTHER_MESSAGES = {
    "SAS121": "an application (核放单申报)",
    "SAS223": "a gate receipt (过卡回执)",
    "SAS224": "a later receipt (后续回执)",
    "SAS251": "a two-step approval (两步申报审核回执)",
    "SAS253": "a two-step receipt (两步申报过卡回执)",
}

N = TypeVar("N", bound=NumberText)
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Approval:
    """One SAS221 message, read."""

    slip: ReleaseSlip
    unmapped: tuple[str, ...]
    """Elements that say something a slip has no place for, by path. Their content, names of people included,
    is left behind."""
    encoding: str
    """What the bytes were really read as: `utf-8`, `utf-16` or `gb18030`."""


def read_approval(
    data: bytes, *, validity_hours: int = DEFAULT_VALIDITY_HOURS, uses_for_many_vehicles: int = 1
) -> Approval:
    """Read one SAS221 message. Raises `Malformed` for anything else, naming field and expectation.

    `validity_hours` counts from `manageDate` (the approval), or from `dclTime` where that is empty; both are
    Beijing time. `uses_for_many_vehicles` is `uses_allowed` for slips of binding 3 (一票多车); others get 1.

    The bytes are read as declared; where that fails, as UTF-8 and as GB 18030, since real files declare one
    and hold the other. The first way in which the whole message reads is taken; if none, the first error is
    told.
    """
    if not 1 <= validity_hours <= _LONGEST_VALIDITY_HOURS:
        raise ValueError(f"expected validity_hours of 1 to {_LONGEST_VALIDITY_HOURS}, got {validity_hours}")
    if uses_for_many_vehicles < 1:
        raise ValueError(f"expected uses_for_many_vehicles of 1 or more, got {uses_for_many_vehicles}")
    if len(data) > MAX_BYTES:
        raise Malformed(f"SAS221: expected at most {MAX_BYTES} bytes, got {len(data)}")
    first: Malformed | None = None
    for encoding, text in ways_to_read(data):
        try:
            message = _parse(text, "SAS221")
            slip = _slip(message, validity_hours, uses_for_many_vehicles)
        except Malformed as error:
            first = first or error
        else:
            return Approval(slip, message.unmapped(), encoding)
    raise first or Malformed(
        f"SAS221: expected text in {declared(data)} or gb18030, found bytes that are neither"
    )


# --- text -> elements -------------------------------------------------------------------------------------

_BUSINESS = "DataInfo/BussinessData/"
_SAS221 = _BUSINESS + "SAS221/"


class _Message:
    """Elements by path below `Package`; remembers which were asked for."""

    def __init__(self, leaves: dict[str, list[str]], groups: dict[str, int]) -> None:
        self._leaves = leaves
        self._groups = groups
        self._asked: set[str] = set()

    def count(self, group: str) -> int:
        return self._groups.get(group, 0)

    def groups_below(self, group: str) -> list[str]:
        return [
            path.removeprefix(group)
            for path in self._groups
            if path.startswith(group) and "/" not in path.removeprefix(group)
        ]

    def all(self, path: str) -> list[str]:
        self._asked.add(path)
        return [value for value in self._leaves.get(path, []) if value]

    def one(self, path: str, *, longest: int = MAX_TEXT) -> str:
        """The text, empty when the element is missing or empty."""
        self._asked.add(path)
        values = self._leaves.get(path, [])
        if len(values) > 1:
            raise Malformed(f"{_short(path)}: expected one element, got {len(values)}")
        text = values[0] if values else ""
        if len(text) > longest:
            raise Malformed(f"{_short(path)}: expected at most {longest} characters, got {len(text)}")
        return text

    def need(self, path: str, expected: str) -> str:
        text = self.one(path)
        if not text:
            raise Malformed(f"{_short(path)}: expected {expected}, found nothing")
        return text

    def number(self, path: str, kind: type[N]) -> N:
        text = self.need(path, kind.expected)
        number = kind.parse(text)
        if number is None:
            raise Malformed(f"{_short(path)}: expected {kind.expected}, got {_quoted(text)}")
        return number

    def member(self, path: str, kind: type[E]) -> E:
        choices = " | ".join(f"{member.value} ({member.name.lower()})" for member in kind)
        text = self.need(path, choices)
        try:
            return kind(text)
        except ValueError:
            raise Malformed(f"{_short(path)}: expected {choices}, got {_quoted(text)}") from None

    def weight(self, path: str, *, needed: bool) -> Decimal:
        expected = "kilograms with at most 3 decimals such as 14292.8"
        text = self.need(path, expected) if needed else self.one(path) or "0"
        value = kilograms(text)
        if value is None:
            raise Malformed(f"{_short(path)}: expected {expected}, got {_quoted(text)}")
        return value

    def beijing_time(self, path: str) -> datetime | None:
        text = self.one(path)
        if not text:
            return None
        found = _BEIJING_TIME.fullmatch(text)
        try:
            if found:
                year, month, day, hour, minute, second = map(int, found.groups())
                return datetime(year, month, day, hour, minute, second, tzinfo=_BEIJING)
        except ValueError:
            pass
        raise Malformed(
            f"{_short(path)}: expected a Beijing time of this century such as 2024-07-28 00:44:26, "
            f"got {_quoted(text)}"
        )

    def unmapped(self) -> tuple[str, ...]:
        return tuple(
            _short(path) for path, values in self._leaves.items() if path not in self._asked and any(values)
        )


_BEIJING_TIME = re.compile(r"(20[0-9]{2})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})")


_MESSAGE_PREFIX = re.compile(_BUSINESS + "SAS[0-9]{3}/")


def _short(path: str) -> str:
    return _MESSAGE_PREFIX.sub("", path, count=1)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


class _Collector:
    """Parser target: keeps leaf texts and counts of groups, so that memory follows the text, not a tree."""

    def __init__(self, what: str) -> None:
        self.line: Callable[[], int] = int
        self.leaves: dict[str, list[str]] = {}
        self.groups: dict[str, int] = {}
        self.saw_package = False
        self._what = what
        self._open: list[str] = []
        self._text: list[str] = []
        self._is_leaf = False

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"{self._what}: expected elements at most {MAX_DEPTH} deep")
        name = tag.rpartition("}")[2]
        if self._open and self._is_leaf:
            self._count(self._open[-1])
        if name == "Package":
            self.saw_package = True
            self._open.append("")
        else:
            above = self._open[-1] if self._open else ""
            self._open.append(f"{above}/{name}" if above else name)
        self._text.clear()
        self._is_leaf = True

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        path = self._open.pop()
        if self._is_leaf:
            self.leaves.setdefault(path, []).append("".join(self._text).strip())
        self._text.clear()
        self._is_leaf = False

    def close(self) -> None:
        return None

    def _count(self, path: str) -> None:
        self.groups[path] = self.groups.get(path, 0) + 1


def _parse(text: str, what: str) -> _Message:
    collector = _Collector(what)
    feed(text, collector, what)
    if not collector.saw_package:
        raise Malformed(f"{what}: expected a Package element, found other XML")
    return _Message(collector.leaves, collector.groups)


# --- elements -> slip -------------------------------------------------------------------------------------

_HEAD = _SAS221 + "SasPassportBsc/"
_RESULT = _SAS221 + "HdeApprResult/"
_SEVERAL = re.compile(r"[\\,;，；、/\s]+")


def _slip(message: _Message, validity_hours: int, uses_for_many_vehicles: int) -> ReleaseSlip:
    _must_be_an_approval(message)
    slip_no = message.number(_HEAD + "passportNo", SlipNo)
    business_id = message.one(_RESULT + "businessId")
    if business_id not in ("", slip_no):
        raise Malformed(
            f"HdeApprResult/businessId: expected passportNo {slip_no}, got {_quoted(business_id)}"
        )
    direction = message.member(_HEAD + "ioTypecd", Direction)
    if direction.value != slip_no.direction_letter:
        raise Malformed(
            f"SasPassportBsc/ioTypecd: expected {slip_no.direction_letter} as in passportNo {slip_no}, "
            f"got {direction.value}"
        )
    kind = message.member(_HEAD + "passportTypecd", SlipKind)
    binding = message.member(_HEAD + "bindTypecd", Binding)
    state = message.member(_HEAD + "stucd", SlipState)
    if state is SlipState.APPROVED:
        _must_agree_with_approved(message)
    valid_from = _approved_at(message)
    vehicle_kg, frame_kg, container_kg, cargo_gross_kg, total_kg = _weights(message, kind)
    return ReleaseSlip(
        slip_no=slip_no,
        direction=direction,
        kind=kind,
        binding=binding,
        related_type=message.one(_HEAD + "rltTbTypecd"),
        related_nos=_related_nos(message),
        plate=_plate(message, binding),
        card_no=message.one(_HEAD + "vehicleIcNo"),
        frame_no=message.one(_HEAD + "vehicleFrameNo"),
        container_nos=_container_nos(message),
        vehicle_kg=vehicle_kg,
        frame_kg=frame_kg,
        container_kg=container_kg,
        cargo_gross_kg=cargo_gross_kg,
        total_kg=total_kg,
        enterprise=_enterprise(message),
        customs_code=_customs_code(message),
        state=state,
        valid_from=_utc_text(valid_from),
        valid_until=_utc_text(valid_from + timedelta(hours=validity_hours)),
        uses_allowed=uses_for_many_vehicles if binding is Binding.MANY_VEHICLES else 1,
    )


def _must_be_an_approval(message: _Message) -> None:
    kind = message.need("EnvelopInfo/message_type", "SAS221, a release slip approval (核放单审批)")
    if kind != "SAS221":
        what = _OTHER_MESSAGES.get(kind, "another message")
        raise Malformed(
            "EnvelopInfo/message_type: expected SAS221, a release slip approval (核放单审批); "
            f"{_quoted(kind)} is {what}, not an approval"
        )
    _must_be_one(message, kind, "SasPassportBsc")


def _must_be_one(message: _Message, kind: str, head: str) -> None:
    """One whole message of that kind with one slip in it."""
    pockets = message.one("DataInfo/PocketInfo/total_pocket_qty")
    if pockets not in ("", "1"):
        raise Malformed(
            f"DataInfo/PocketInfo/total_pocket_qty: expected 1, a whole message, got {_quoted(pockets)}"
        )
    found = message.groups_below(_BUSINESS)
    if found != [kind]:
        raise Malformed(
            f"DataInfo/BussinessData: expected one {kind} element as message_type says, "
            f"got {_quoted(', '.join(found)) if found else 'nothing'}"
        )
    messages = message.count(_BUSINESS + kind)
    if messages != 1:
        raise Malformed(f"DataInfo/BussinessData/{kind}: expected one element, got {messages}")
    heads = message.count(f"{_BUSINESS}{kind}/{head}")
    if heads != 1:
        raise Malformed(f"{head}: expected one element, got {heads}")


def _must_agree_with_approved(message: _Message) -> None:
    """An approved slip opens a barrier, so every field that speaks of the approval must say the same."""
    agreeing: tuple[tuple[str, tuple[str, ...], str], ...] = (
        (_RESULT + "manageResult", ("1",), "1 (passed)"),
        (_HEAD + "emapvMarkcd", ("1", ""), "1 (通过) or nothing"),
        (_HEAD + "dclTypecd", ("1", ""), "1 (备案) or nothing"),
        (_HEAD + "passTime", ("",), "nothing, not having passed a gate yet"),
        (_HEAD + "secdPassTime", ("",), "nothing, not having passed a gate yet"),
    )
    for path, values, expected in agreeing:
        text = message.one(path)
        if text not in values:
            raise Malformed(
                f"{_short(path)}: expected {expected} while stucd is 1 (已审批), got {_quoted(text)}"
            )


def _approved_at(message: _Message) -> datetime:
    managed = message.beijing_time(_RESULT + "manageDate")
    declared = message.beijing_time(_HEAD + "dclTime")
    approved = managed or declared
    if approved is None:
        raise Malformed("HdeApprResult/manageDate: expected a Beijing time, and dclTime is empty too")
    return approved


def _utc_text(time: datetime) -> UtcText:
    return UtcText(utc_text(time, whole_seconds=True))


def _weights(message: _Message, kind: SlipKind) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    vehicle = message.weight(_HEAD + "vehicleWt", needed=True)
    frame = message.weight(_HEAD + "vehicleFrameWt", needed=False)
    container = message.weight(_HEAD + "containerWt", needed=False)
    cargo = message.weight(_HEAD + "totalGrossWt", needed=kind is not SlipKind.EMPTY_VEHICLE)
    total = message.weight(_HEAD + "totalWt", needed=True)
    parts = vehicle + frame + container + cargo
    if total != parts:
        raise Malformed(
            f"SasPassportBsc/totalWt: expected {parts} (vehicleWt {vehicle} + vehicleFrameWt {frame} + "
            f"containerWt {container} + totalGrossWt {cargo}), got {total}"
        )
    return vehicle, frame, container, cargo, total


def _related_nos(message: _Message) -> tuple[str, ...]:
    """`rltNo` split at the backslash; the same documents again in `SasPassportRlt`, where that is present."""
    joined = message.one(_HEAD + "rltNo", longest=MAX_TEXT * MAX_LIST)
    numbers = tuple(part for part in (piece.strip() for piece in joined.split("\\")) if part)
    if len(numbers) > MAX_LIST or any(len(number) > MAX_TEXT for number in numbers):
        raise Malformed(
            f"SasPassportBsc/rltNo: expected at most {MAX_LIST} numbers of at most {MAX_TEXT} characters, "
            "joined with a backslash"
        )
    listed = set(message.all(_SAS221 + "SasPassportRlt/rltNo"))
    if listed and listed != set(numbers):
        different = _quoted(min(listed ^ set(numbers)))
        raise Malformed(
            "SasPassportRlt/rltNo: expected the numbers of SasPassportBsc/rltNo, "
            f"but only one of the two has {different}"
        )
    return numbers


def _plate(message: _Message, binding: Binding) -> Plate | None:
    path = _HEAD + "vehicleNo"
    if binding is Binding.MANY_VEHICLES and not message.one(path):
        return None
    text = message.need(path, Plate.expected)
    plate = Plate.parse_vendor(text)
    if plate is None:
        raise Malformed(f"{_short(path)}: expected {Plate.expected}, got {_quoted(text)}")
    return plate


def _container_nos(message: _Message) -> tuple[ContainerNo, ...]:
    path = _HEAD + "containerNo"
    numbers = []
    for text in filter(None, _SEVERAL.split(message.one(path))):
        number = ContainerNo.parse(text)
        if number is None:
            raise Malformed(f"{_short(path)}: expected {ContainerNo.expected}, got {_quoted(text)}")
        numbers.append(number)
    return tuple(numbers)


def _enterprise(message: _Message) -> EnterpriseCode:
    """The customs registration code, which enterprises are kept under; else the social credit code."""
    if message.one(_HEAD + "areainEtpsno"):
        return message.number(_HEAD + "areainEtpsno", EnterpriseCode)
    if message.one(_HEAD + "areainEtpsSccd"):
        return message.number(_HEAD + "areainEtpsSccd", EnterpriseCode)
    raise Malformed(
        f"SasPassportBsc/areainEtpsno: expected {EnterpriseCode.expected}, and areainEtpsSccd is empty too"
    )


def _customs_code(message: _Message) -> str:
    text = message.need(_HEAD + "masterCuscd", "a customs code of 4 digits")
    if not _CUSTOMS_CODE.fullmatch(text):
        raise Malformed(
            f"SasPassportBsc/masterCuscd: expected a customs code of 4 digits, got {_quoted(text)}"
        )
    return text


_CUSTOMS_CODE = re.compile(r"[0-9]{4}")


# --- receipts: they move a slip that is known -------------------------------------------------------------

RECEIPTS: Final = {
    "SAS223": "SasPassportBsc",
    "SAS224": "SasPassportBsc",
    "SAS251": "Sas2stepPassportBsc",
    "SAS253": "Sas2stepPassportBsc",
}
"""Message -> its head element."""
_PASSED = (SlipState.PASSED, SlipState.PASSED_FIRST, SlipState.PASSED_SECOND)
_ORDER_OF_STATES = (
    (SlipState.APPLIED,),
    (SlipState.APPROVED,),
    (SlipState.PASSED_FIRST,),
    (SlipState.PASSED, SlipState.PASSED_SECOND),
    (SlipState.DELETED, SlipState.CANCELLED),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One SAS223, SAS224, SAS251 or SAS253 message, read."""

    message: str
    slip_no: SlipNo
    state: SlipState
    plate: Plate | None
    passed_at: UtcText | None
    """`passTime`: at the only gate, or the first of two."""
    passed_second_at: UtcText | None
    collected_kg: Decimal | None
    """`passCollectWt`: what the gate weighed."""
    difference_kg: Decimal | None
    """`wtError`: in every public receipt totalWt - passCollectWt; may be negative."""
    unmapped: tuple[str, ...]
    encoding: str


def message_type(data: bytes) -> str:
    """`SAS221`, `SAS223` …, as the envelope says; empty where it says nothing. Proves nothing."""
    for _, text in ways_to_read(data[: 1 << 16]):
        found = _MESSAGE_TYPE.search(text)
        if found:
            return found[1]
    found_bytes = _MESSAGE_TYPE.search(data[: 1 << 16].decode("latin-1"))
    return found_bytes[1] if found_bytes else ""


_MESSAGE_TYPE = re.compile(r"<message_type>\s*([A-Z0-9]{1,20})\s*</message_type>")


def read_receipt(data: bytes) -> Receipt:
    """Read one receipt, bytes as `read_approval` reads them. Raises `Malformed` for anything else."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"receipt: expected at most {MAX_BYTES} bytes, got {len(data)}")
    first: Malformed | None = None
    for encoding, text in ways_to_read(data):
        try:
            return _receipt(_parse(text, "receipt"), encoding)
        except Malformed as error:
            first = first or error
    raise first or Malformed(
        f"receipt: expected text in {declared(data)} or gb18030, found bytes that are neither"
    )


def is_later(state: SlipState, known: SlipState) -> bool:
    """Whether a slip that is known in one state can go on to the other; receipts and approvals come in any
    order, and come again."""
    rank = {each: rank for rank, states in enumerate(_ORDER_OF_STATES) for each in states}
    return rank[state] > rank[known]


def _receipt(message: _Message, encoding: str) -> Receipt:
    expected = f"one of {', '.join(RECEIPTS)}"
    kind = message.need("EnvelopInfo/message_type", expected)
    if kind not in RECEIPTS:
        raise Malformed(f"EnvelopInfo/message_type: expected {expected}, got {_quoted(kind)}")
    _must_be_one(message, kind, RECEIPTS[kind])
    head = f"{_BUSINESS}{kind}/{RECEIPTS[kind]}/"
    managed = f"{_BUSINESS}{kind}/HdeApprResult/"
    slip_no = message.number(head + "passportNo", SlipNo)
    business_id = message.one(managed + "businessId")
    if business_id not in ("", slip_no):
        raise Malformed(
            f"HdeApprResult/businessId: expected passportNo {slip_no}, got {_quoted(business_id)}"
        )
    if message.one(head + "ioTypecd") not in ("", slip_no.direction_letter):
        raise Malformed(f"{_short(head)}ioTypecd: expected {slip_no.direction_letter} as in {slip_no}")
    state = message.member(head + "stucd", SlipState)
    passed, passed_second = (message.beijing_time(head + name) for name in ("passTime", "secdPassTime"))
    _must_agree_with(message, kind, head, managed, state)
    needed = {
        SlipState.PASSED: ("passTime", passed),
        SlipState.PASSED_FIRST: ("passTime", passed),
        SlipState.PASSED_SECOND: ("secdPassTime", passed_second),
    }.get(state)
    if needed is not None and needed[1] is None:
        raise Malformed(f"{_short(head)}{needed[0]}: expected a Beijing time while stucd is {state.value}")
    plate_text = message.one(head + "vehicleNo")
    plate = Plate.parse_vendor(plate_text)
    if plate_text and plate is None:
        raise Malformed(f"{_short(head)}vehicleNo: expected {Plate.expected}, got {_quoted(plate_text)}")
    return Receipt(
        message=kind,
        slip_no=slip_no,
        state=state,
        plate=plate,
        passed_at=None if passed is None else _utc_text(passed),
        passed_second_at=None if passed_second is None else _utc_text(passed_second),
        collected_kg=_signed(message, head + "passCollectWt", negative=False),
        difference_kg=_signed(message, head + "wtError", negative=True),
        unmapped=message.unmapped(),
        encoding=encoding,
    )


def _must_agree_with(message: _Message, kind: str, head: str, managed: str, state: SlipState) -> None:
    """A passage receipt says passed, and a two-step approval that says approved says so in every field."""
    if kind in ("SAS223", "SAS253") and state not in _PASSED:
        choices = " | ".join(f"{each.value} ({each.name.lower()})" for each in _PASSED)
        raise Malformed(f"{_short(head)}stucd: expected {choices} in {kind}, got {state.value}")
    if kind != "SAS251" or state is not SlipState.APPROVED:
        return
    for path, values in (
        (managed + "manageResult", ("1",)),
        (head + "emapvMarkcd", ("1", "")),
        (head + "dclTypecd", ("1", "")),
        (head + "passTime", ("",)),
        (head + "secdPassTime", ("",)),
    ):
        text = message.one(path)
        if text not in values:
            expected = " or ".join(value or "nothing" for value in values)
            raise Malformed(
                f"{_short(path)}: expected {expected} while stucd is 1 (已审批), got {_quoted(text)}"
            )


def _signed(message: _Message, path: str, *, negative: bool) -> Decimal | None:
    text = message.one(path)
    if not text:
        return None
    value = kilograms(text.removeprefix("-") if negative else text)
    if value is None:
        raise Malformed(f"{_short(path)}: expected kilograms with at most 3 decimals, got {_quoted(text)}")
    return -value if text.startswith("-") else value


# --- our own receipts -------------------------------------------------------------------------------------

PARTY: Final = re.compile(r"[0-9A-Z]{7}")
"""`sender_id` and `receiver_id`, as in the public samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """One slip that passed one gate."""

    slip: ReleaseSlip
    gate: GateStage
    passed_at: UtcText
    gate_no: str = ""
    """`passID`, or `secdPassId` at the second of two."""
    first_passed_at: UtcText | None = None
    """Of a second gate: when the first was passed, where that is known."""
    first_gate_no: str = ""
    plate: str = ""
    """Of the vehicle that crossed; the slip's own where empty."""
    collected_kg: Decimal | None = None
    """What the gate weighed; None: nothing, written as 0 as customs' own receipts do."""
    expected_kg: Decimal
    """What the vehicle should have weighed: totalWt, or the sum over the slips it carried."""
    enterprise_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    sender_id: str
    receiver_id: str
    serial: int
    """Makes message and file name unique, up to 11 digits."""
    sent_at: UtcText
    pocket: str
    """32 hex digits"""


def write_receipt(passing: Passing, envelope: Envelope) -> tuple[str, str]:
    """(file name, XML) of a passage receipt: SAS223, or SAS253 for a slip of the two-step procedure.

    What no record of ours says (pre-entry number, net weight, applicant) is an empty element.
    """
    kind = "SAS253" if passing.slip.slip_no.two_step else "SAS223"
    sent = _beijing(envelope.sent_at)
    message_id = f"{envelope.sender_id}{envelope.receiver_id}{sent:%Y%m%d%H%M%S}{envelope.serial:011d}"
    passed = f"{_beijing(passing.passed_at):%Y-%m-%d %H:%M:%S}"
    inner = (
        _group("HdeApprResult", {
            "etpsPreentNo": "", "businessId": passing.slip.slip_no, "tmsCnt": "0", "typecd": "",
            "manageResult": "1", "manageDate": passed, "rmk": "",
        })
        + _group(RECEIPTS[kind], _two_step_head(passing) if kind == "SAS253" else _head_of(passing))
    )  # fmt: skip
    text = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<Package>'
        + _group("EnvelopInfo", {
            "version": "1.0", "message_id": message_id, "file_name": f"{message_id}.SAS",
            "message_type": kind, "sender_id": envelope.sender_id, "receiver_id": envelope.receiver_id,
            "send_time": f"{sent:%Y-%m-%dT%H:%M:%S}",
        })
        + "<DataInfo>"
        + _group("PocketInfo", {
            "pocket_id": f"{passing.slip.slip_no}-{envelope.pocket}", "total_pocket_qty": "1",
            "cur_pocket_no": "1", "is_unstructured": "",
        })
        + f"<BussinessData><{kind}>{inner}</{kind}></BussinessData></DataInfo></Package>\n"
    )  # fmt: skip
    return f"{message_id}.SAS", text


def _head_of(passing: Passing) -> dict[str, str]:
    slip = passing.slip
    collected = passing.collected_kg or Decimal(0)
    weights = {
        "vehicleWt": _kg(slip.vehicle_kg), "vehicleFrameNo": slip.frame_no,
        "vehicleFrameWt": _kg(slip.frame_kg), "containerType": "", "containerWt": _kg(slip.container_kg),
        "totalWt": _kg(slip.total_kg), "passCollectWt": _kg(collected),
        "wtError": _kg(passing.expected_kg - collected), "totalGrossWt": _kg(slip.cargo_gross_kg),
        "totalNetWt": "",
    }  # fmt: skip
    return {
        "passportNo": slip.slip_no, "chgTmsCnt": "0", "passportTypecd": slip.kind.value,
        "sasPassportPreentNo": "", "dclTypecd": "1", "ioTypecd": slip.direction.value,
        "bindTypecd": slip.binding.value, "masterCuscd": slip.customs_code,
        "rltTbTypecd": slip.related_type, "rltNo": "\\".join(slip.related_nos), **_enterprise_of(passing),
        "vehicleNo": passing.plate or slip.plate or "", "vehicleIcNo": slip.card_no,
        "containerNo": "\\".join(slip.container_nos), **weights, "dclErConc": "", "dclTime": "",
        **_passes(passing, "passID"), "emapvMarkcd": "1", "logisticsStucd": "1", "ownerSystem": "1",
        "rmk": "", "col1": "",
    }  # fmt: skip


def _two_step_head(passing: Passing) -> dict[str, str]:
    slip = passing.slip
    gates = _passes(passing, "passId")
    return {
        "passportNo": slip.slip_no, "sasPassportPreentNo": "", "chgTmsCnt": "0", "dclTypecd": "1",
        "masterCuscd": slip.customs_code, **_enterprise_of(passing),
        "vehicleNo": passing.plate or slip.plate or "", "vehicleIcNo": slip.card_no,
        "containerNo": "\\".join(slip.container_nos), "dclErConc": "", "dclTime": "",
        "logisticsStucd": "1", **gates, "emapvMarkcd": "1", "rmk": "", "ownerSystem": "1",
        "col1": "", "col2": "", "col3": "", "col4": "",
    }  # fmt: skip


def _enterprise_of(passing: Passing) -> dict[str, str]:
    code = passing.slip.enterprise
    is_credit_code = len(code) == 18
    return {
        "areainEtpsno": "" if is_credit_code else code,
        "areainEtpsNm": passing.enterprise_name,
        "areainEtpsSccd": code if is_credit_code else "",
    }


def _passes(passing: Passing, first_id: str) -> dict[str, str]:
    """Which gate was passed when, and the state that makes."""
    passed = f"{_beijing(passing.passed_at):%Y-%m-%d %H:%M:%S}"
    if passing.gate is GateStage.SECOND:
        first = passing.first_passed_at
        return {
            first_id: passing.first_gate_no,
            "secdPassId": passing.gate_no,
            "passTime": "" if first is None else f"{_beijing(first):%Y-%m-%d %H:%M:%S}",
            "secdPassTime": passed,
            "stucd": SlipState.PASSED_SECOND.value,
        }
    state = SlipState.PASSED_FIRST if passing.gate is GateStage.FIRST else SlipState.PASSED
    return {
        first_id: passing.gate_no,
        "secdPassId": "",
        "passTime": passed,
        "secdPassTime": "",
        "stucd": state.value,
    }


def _beijing(time: UtcText) -> datetime:
    return datetime.fromisoformat(time).astimezone(_BEIJING)


def _kg(value: Decimal) -> str:
    """Without zeros behind the point, as the samples have it."""
    return f"{value.normalize():f}" if value else "0"


_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _group(name: str, leaves: dict[str, str]) -> str:
    inner = "".join(f"<{leaf}>{escape(_NOT_IN_XML.sub('', text))}</{leaf}>" for leaf, text in leaves.items())
    return f"<{name}>{inner}</{name}>"
