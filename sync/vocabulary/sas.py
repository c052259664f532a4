"""SAS221 messages (核放单 approvals, 金关二期) -> release slips. No file, no clock, no feed enters here.

Field names are the standard's own spelling, misspellings included. Facts: anonymised public samples of
SAS221, SAS223, SAS224 and SAS253. No official schema is public, so nothing is guessed: a message that lacks a
field, contradicts itself or is of another kind is refused whole, naming the field and what was expected.

What a `ReleaseSlip` needs and SAS221 does not say: the end of validity (`validity_hours` after approval), how
many vehicles share a slip of binding 3 (`uses_for_many_vehicles`), control, quarantine and waybills (empty).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import ContainerNo, EnterpriseCode, NumberText, Plate, SlipNo, UtcText
from sync.vocabulary.records import (
    MAX_LIST,
    MAX_TEXT,
    Binding,
    Direction,
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
    "SAS251": "a two-step application (两步申报)",
    "SAS253": "a two-step receipt (两步申报回执)",
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
    for encoding, text in _ways_to_read(data):
        try:
            message = _parse(text)
            slip = _slip(message, validity_hours, uses_for_many_vehicles)
        except Malformed as error:
            first = first or error
        else:
            return Approval(slip, message.unmapped(), encoding)
    raise first or Malformed(
        f"SAS221: expected text in {_declared(data)} or gb18030, found bytes that are neither"
    )


# --- bytes -> text ----------------------------------------------------------------------------------------

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_KNOWN_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "gb18030": "gb18030",
}
"""GB 18030 contains GB 2312 and GBK, and files that declare the small one use the large one."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _declared(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    declaration = _DECLARATION.match(data)
    name = declaration.group(1).decode().lower() if declaration else "utf-8"
    return _KNOWN_ENCODINGS.get(name, "utf-8")


def _ways_to_read(data: bytes) -> Iterator[tuple[str, str]]:
    for encoding in dict.fromkeys((_declared(data), "utf-8", "gb18030")):
        try:
            yield encoding, data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue


# --- text -> elements -------------------------------------------------------------------------------------

_SAS221 = "DataInfo/BussinessData/SAS221/"


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


def _short(path: str) -> str:
    return path.removeprefix(_SAS221)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


class _Collector:
    """Parser target: keeps leaf texts and counts of groups, so that memory follows the text, not a tree."""

    def __init__(self) -> None:
        self.leaves: dict[str, list[str]] = {}
        self.groups: dict[str, int] = {}
        self.saw_package = False
        self._open: list[str] = []
        self._text: list[str] = []
        self._is_leaf = False

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise Malformed(f"SAS221: expected elements at most {MAX_DEPTH} deep")
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


def _parse(text: str) -> _Message:
    collector = _Collector()
    parser = DefusedXMLParser(target=collector, forbid_dtd=True)
    try:
        parser.feed(text)
        parser.close()
    except Malformed:
        raise
    except DefusedXmlException as error:
        raise Malformed(
            f"SAS221: expected plain XML without DTD or entities, found {type(error).__name__}"
        ) from error
    except (ParseError, ValueError) as error:
        raise Malformed(f"SAS221: expected well-formed XML: {error}") from error
    if not collector.saw_package:
        raise Malformed("SAS221: expected a Package element, found other XML")
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
    pockets = message.one("DataInfo/PocketInfo/total_pocket_qty")
    if pockets not in ("", "1"):
        raise Malformed(
            f"DataInfo/PocketInfo/total_pocket_qty: expected 1, a whole message, got {_quoted(pockets)}"
        )
    found = message.groups_below("DataInfo/BussinessData/")
    if found != ["SAS221"]:
        raise Malformed(
            "DataInfo/BussinessData: expected one SAS221 element as message_type says, "
            f"got {_quoted(', '.join(found)) if found else 'nothing'}"
        )
    messages = message.count(_SAS221.rstrip("/"))
    if messages != 1:
        raise Malformed(f"DataInfo/BussinessData/SAS221: expected one element, got {messages}")
    heads = message.count(_HEAD.rstrip("/"))
    if heads != 1:
        raise Malformed(f"SasPassportBsc: expected one element, got {heads}")


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
    return UtcText(time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


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
