"""Who it was, taken out of a recording: the same stand-in for the same number everywhere, of the same shape.

A keyed permutation of all numbers of a shape: two numbers never become one, each still parses, and without
the key nobody finds the way back. Weights, times, verdicts and reasons stay as they are. No file, no clock.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from edge.runtime.plain import fields_of, hints_of
from edge.runtime.values import replace
from sync.vocabulary.numbers import (
    ContainerNo,
    EnterpriseCode,
    Epc,
    NumberText,
    Plate,
    SlipNo,
    UtcText,
    WaybillNo,
)

KEY_BYTES: Final = 32
GONE: Final = "(scrubbed)"

_DIGITS: Final = "0123456789"
_HEX: Final = "0123456789ABCDEF"
_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SMALL: Final = "abcdefghijklmnopqrstuvwxyz"
_ROUNDS: Final = 8


class Substitutes:
    """Stand-ins under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError(f"expected a key of at least {KEY_BYTES} bytes, got {len(key)}")
        self._key = key[:64]
        self._known: dict[tuple[str, str], str] = {}

    def of(self, shape: str, text: str, alphabets: tuple[str, ...]) -> str:
        """Another text of the same shape, whose n-th character is one of `alphabets[n]`."""
        size, number = 1, 0
        for char, alphabet in zip(text, alphabets, strict=True):
            size *= len(alphabet)
            number = number * len(alphabet) + alphabet.index(char)
        number = self._permuted(f"{shape}/{len(text)}", number, size)
        made: list[str] = []
        for alphabet in reversed(alphabets):
            number, place = divmod(number, len(alphabet))
            made.append(alphabet[place])
        return "".join(reversed(made))

    def kept(self, shape: str, text: str, make: Callable[[], str]) -> str:
        """As made before, where it was: numbers come again and again."""
        known = self._known.get((shape, text))
        if known is None:
            if len(self._known) >= 4096:
                self._known.clear()
            known = self._known[shape, text] = make()
        return known

    def tag(self, shape: str, text: str) -> str:
        """Some digits that say nothing but "the same as before"."""
        data = f"{shape}\0{text}".encode()
        return hashlib.blake2b(data, key=self._key, digest_size=6).hexdigest()

    def _permuted(self, tweak: str, number: int, size: int) -> int:
        """A Feistel network over the next even number of bits, walked until it falls below `size`."""
        half = max(1, ((size - 1).bit_length() + 1) // 2)
        mask = (1 << half) - 1
        while True:
            left, right = number >> half, number & mask
            for turn in range(_ROUNDS):
                data = f"{tweak}/{turn}/{right:x}".encode()
                mixed = int.from_bytes(hashlib.blake2b(data, key=self._key, digest_size=64).digest())
                left, right = right, left ^ (mixed & mask)
            number = left << half | right
            if number < size:
                return number


# --- numbers, each by its shape -----------------------------------------------------------------------------

_PROVINCES: Final = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"
_OFFICE: Final = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
_SERIAL: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ" + _DIGITS
_ENERGY: Final = "DABCEFGHJK"

_PLATES: Final[tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]] = tuple(
    (shape, re.compile("".join(f"[{alphabet}]" for alphabet in alphabets)), alphabets)
    for shape, alphabets in (
        ("cross-border", ("粤", "Z", *(_SERIAL,) * 4, "港澳")),
        ("last word", (_PROVINCES, _OFFICE, *(_SERIAL,) * 4, "挂学警")),
        ("consulate", (_PROVINCES, *(_SERIAL,) * 5, "领")),
        ("small energy", (_PROVINCES, _OFFICE, _ENERGY, _SERIAL, *(_DIGITS,) * 4)),
        ("large energy", (_PROVINCES, _OFFICE, *(_DIGITS,) * 5, _ENERGY)),
        ("standard", (_PROVINCES, _OFFICE, *(_SERIAL,) * 5)),
        ("embassy", ("使", *(_DIGITS,) * 6)),
        ("embassy last", (*(_DIGITS,) * 6, "使")),
    )
)


def plate(subs: Substitutes, text: str) -> str:
    for shape, pattern, alphabets in _PLATES:
        if pattern.fullmatch(text):
            # The last word says what kind of vehicle it is: it stays.
            kept = tuple(a if len(a) > 3 else c for a, c in zip(alphabets, text, strict=True))
            return subs.of(f"plate {shape} {text[-1] if len(alphabets[-1]) <= 3 else ''}", text, kept)
    return other(subs, text)


def slip(subs: Substitutes, text: str) -> str:
    """Customs code, direction and date stay: they say where and when, not who."""
    begin = 13 if text[12:13] == "T" else 12
    head, tail = text[:begin], text[begin:]
    return head + subs.of(f"slip {head}", tail, (_DIGITS,) * len(tail))


def container(subs: Substitutes, text: str) -> str:
    owner, kind, serial = text[:3], text[3], text[4:10]
    made = subs.of(f"container {kind}", owner + serial, (_CAPITALS,) * 3 + (_DIGITS,) * 6)
    ten = made[:3] + kind + made[3:]
    return next(whole for digit in _DIGITS if ContainerNo.parse(whole := ten + digit) is not None)


def tag(subs: Substitutes, text: str) -> str:
    return subs.of("tag", text, (_HEX,) * len(text))


def other(subs: Substitutes, text: str) -> str:
    """Digit for digit, letter for letter: cards, waybills, firms, officers, whatever has no shape of its
    own."""
    alphabets = tuple(next((a for a in (_DIGITS, _CAPITALS, _SMALL) if char in a), char) for char in text)
    shape = "".join({_DIGITS: "9", _CAPITALS: "A", _SMALL: "a"}.get(a, "-") for a in alphabets)
    return subs.of(f"other {shape}", text, alphabets)


_BY_TYPE: Final[dict[type, Callable[[Substitutes, str], str]]] = {
    Plate: plate,
    Epc: tag,
    SlipNo: slip,
    ContainerNo: container,
    WaybillNo: other,
    EnterpriseCode: other,
}
_STAY: Final = (UtcText,)

# --- numbers inside text ------------------------------------------------------------------------------------

_ALONE = r"(?<![0-9A-Za-z])(?:{})(?![0-9A-Za-z])"
_IN_TEXT: Final = re.compile(
    "|".join(
        (
            "(?P<slip>" + _ALONE.format(SlipNo.pattern.pattern) + ")",
            "(?P<container>" + _ALONE.format(ContainerNo.pattern.pattern) + ")",
            "(?P<tag>" + _ALONE.format(r"(?=[0-9]*[A-F])(?:[0-9A-F]{4}){4,31}") + ")",
            f"(?P<plate>{Plate.pattern.pattern})",
        )
    )
)
_WORDS: Final[dict[str, tuple[type[NumberText], Callable[[Substitutes, str], str]]]] = {
    "slip": (SlipNo, slip),
    "container": (ContainerNo, container),
    "tag": (Epc, tag),
    "plate": (Plate, plate),
}


def in_text(subs: Substitutes, text: str) -> str:
    """Every plate, tag, slip and container number in it."""

    def instead(found: re.Match[str]) -> str:
        name = found.lastgroup or ""
        kind, make = _WORDS[name]
        whole = found.group()
        return subs.kept(name, whole, lambda: make(subs, whole)) if kind.parse(whole) else whole

    return _IN_TEXT.sub(instead, text)


def _number(subs: Substitutes, text: str) -> str:
    """One number, whose kind its text tells."""
    for kind, make in _WORDS.values():
        if kind.parse(text) is not None:
            return make(subs, text)
    return other(subs, text)


def _name(subs: Substitutes, text: str) -> str:
    return f"某{subs.tag('name', text)}" if text else ""


def _words(subs: Substitutes, text: str) -> str:
    return GONE if text else ""


def _officer(subs: Substitutes, text: str) -> str:
    return text if text == "key switch" else ", ".join(other(subs, each) for each in text.split(", "))


def _with_officer(subs: Substitutes, text: str) -> str:
    return _OFFICER.sub(lambda found: found[1] + other(subs, found[2]), in_text(subs, text))


_OFFICER: Final = re.compile(r"\b(officer )((?!may\b|on\b|duty\b)[^\s',:]+)")


def _raw(subs: Substitutes, text: str) -> str:
    """What could not be read says, behind its colon, what was seen: perhaps most of a plate."""
    head, colon, _ = text.partition(":")
    return f"{in_text(subs, head)}: {GONE}" if colon else in_text(subs, text)


def _code(subs: Substitutes, text: str) -> str:
    """A release code holds an officer's number and signature."""
    return f"KKR1:{subs.tag('code', text)}"


def _because(subs: Substitutes, text: str) -> str:
    """A reason of an X-ray station: the second code it read may be a waybill's; all other detail stays."""
    code, colon, detail = text.partition(": ")
    return f"{code}: {_number(subs, detail)}" if colon and code == "two_codes" else in_text(subs, text)


def _preview(subs: Substitutes, text: str) -> str:
    """What lies in somebody's parcel; empty means: none."""
    return ""


_FIELDS: Final[dict[str, Callable[[Substitutes, str], str]]] = {
    "CardRead.number": other,
    "ReleaseSlip.card_no": other,
    "ReleaseSlip.frame_no": other,
    "ReleaseSlip.related_nos": other,
    "Vehicle.carrier": _name,
    "Enterprise.name": _name,
    "Findings.enterprises": other,
    "Findings.spot_checks": _number,
    "SpotCheck.enterprise": other,
    "RulingMade.enterprise": other,
    "Waybill.declarations": other,
    "Waybill.order_no": other,
    "Waybill.bill_no": other,
    "Waybill.trace_code": other,
    "Waybill.lines": _words,
    "Waybill.platform": other,
    "Recall.trace_codes": other,
    "Recall.skus": other,
    "Recall.reason_zh": _words,
    "Recall.reason_en": _words,
    "Control.reason_zh": _words,
    "Control.reason_en": _words,
    "OfficerReleased.officer": _officer,
    "OfficerReleased.reason": _words,
    "OfficerReset.by": _officer,
    "LaneReset.by": _officer,
    "RulingMade.officer": _officer,
    "Command.officers": _officer,
    "Command.reason": _words,
    "BoardText.zh": _words,
    "BoardText.en": _words,
    "CommandTaken.officers": _officer,
    "CommandTaken.reason": _words,
    "CommandTaken.why": _with_officer,
    "CommandChecked.against": _with_officer,
    "OrderTaken.officers": _officer,
    "InspectionMade.officers": _officer,
    "InspectionMade.waybill_nos": other,
    "FindingMade.officers": _officer,
    "FindingMade.remark": _words,
    "SupplementGiven.officer": _officer,
    "SupplementGiven.reason": _words,
    "SupplementEntered.officer": _officer,
    "SupplementEntered.reason": _words,
    "ReleaseRefused.why": _with_officer,
    "Alarm.detail": _with_officer,
    "ReadFailed.why": _raw,
    "ReleaseCodeShown.text": _code,
    "SlipShown.text": _code,
    "PlatformRuled.form_id": other,
    "PlatformAnswered.form_id": other,
    "PlatformRuled.hint": _words,
    "PlatformAnswered.hint": _words,
    "PlatformOrdered.operator": _officer,
    "PlatformOrdered.reason": _words,
    "PlatformOrderSeen.operator": _officer,
    "PlatformOrderSeen.reason": _words,
    "ParcelChecked.waybill_no": other,
    "BatchClosed.officer": _officer,
    "CountedLine.name": _words,
    "CountedLine.remark": _words,
    "CountedLine.sku": other,
    "CountedLine.waybill_no": other,
    "DeviceLocked.officer": _officer,
    "DraftDropped.number": other,
    "DraftDropped.officer": _officer,
    "DraftDropped.why": _words,
    "EvidenceTaken.officer": _officer,
    "EvidenceTaken.subject": _words,
    "EvidenceTaken.waybill_no": other,
    "FindingMade.waybill_nos": other,
    "InspectionBegun.officers": _officer,
    "InspectionBegun.waybill_nos": other,
    "InspectionMade.remark": _words,
    "InspectionMade.second_officer": _officer,
    "LiveAnswered.officer": _officer,
    "LiveAnswered.officers": _officer,
    "LiveAnswered.reason": _words,
    "LiveBegan.officer": _officer,
    "LiveEnded.detail": _words,
    "LiveEnded.officer": _officer,
    "LiveEnded.watchers": _officer,
    "LiveRecorded.watchers": _officer,
    "LaboratoryResult.found": _words,
    "LaboratoryResult.officers": _officer,
    "MeasuredValue.waybill_no": other,
    "OfficerSignedIn.officer": _officer,
    "OfficerSignedOut.officer": _officer,
    "ParcelJudged.officer": _officer,
    "ParcelJudged.slip": _number,
    "ParcelJudged.text": other,
    "ParcelJudged.waybill_no": other,
    "PatrolBegun.officer": _officer,
    "PatrolEnded.officer": _officer,
    "PointMissed.officer": _officer,
    "PointMissed.why": _words,
    "PointSeen.officer": _officer,
    "PointRemarked.officer": _officer,
    "PointRemarked.text": _words,
    "Recall.batch_nos": other,
    "Recall.cause": _words,
    "RecallAsked.batch_nos": other,
    "RecallAsked.enterprises": other,
    "RecallAsked.reason_en": _words,
    "RecallAsked.reason_zh": _words,
    "RecallAsked.skus": other,
    "RecallAsked.trace_codes": other,
    "RecallAsked.waybill_nos": other,
    "ReleaseAsked.code": _code,
    "ReleaseAsked.second_code": _code,
    "ReleaseCodeMade.officer": _officer,
    "ReleaseCodeMade.reason": _words,
    "SampleSent.batch_no": other,
    "SampleSent.officers": _officer,
    "SampleSent.sku": other,
    "SampleSent.waybill_no": other,
    "ScanUndone.officer": _officer,
    "ScanUndone.text": other,
    "SignInRefused.officer": _officer,
    "SlipParcelsChecked.elsewhere_nos": other,
    "SlipParcelsChecked.extra_texts": other,
    "SlipParcelsChecked.missing_nos": other,
    "SlipParcelsChecked.officer": _officer,
    "SlipParcelsChecked.slip": _number,
    "StockCounted.batch_no": other,
    "StockCounted.officer": _officer,
    "StockCounted.sku": other,
    "StockTakeClosed.officer": _officer,
    "StockTakeClosed.why": _words,
    "UnknownScanned.nearest": other,
    "UnknownScanned.officer": _officer,
    "UnknownScanned.text": other,
    "Waybill.batch_no": other,
    "RequestAnswered.why": _with_officer,
    "DeskChanged.officer": _officer,
    "DivertOrdered.waybill_no": other,
    "JudgementUndone.officer": _officer,
    "JudgementUndone.waybill_no": other,
    "ParcelGone.waybill_no": other,
    "ParcelSeen.texts": _number,
    "ParcelSeen.waybill_no": other,
    "ParcelSorted.waybill_no": other,
    "ParcelSorted.why": _because,
    "ParcelXRayed.note": _words,
    "ParcelXRayed.officer": _officer,
    "ParcelXRayed.picture": other,
    "ParcelXRayed.preview": _preview,
    "ParcelXRayed.reasons": _because,
    "ParcelXRayed.second_of": _officer,
    "ParcelXRayed.waybill_no": other,
    "PictureSaved.officer": _officer,
    "PictureSaved.picture": other,
    "PictureSaved.sku": other,
    "PictureSaved.waybill_no": other,
    "PictureTold.picture": other,
    "PictureTold.waybill_no": other,
    "RegionTold.note": _words,
    "RestDue.officer": _officer,
    "WedgeJudged.officer": _officer,
    "WedgeJudged.picture": other,
    "XRayEvidenceKept.picture": other,
    "XRayEvidenceKept.waybill_no": other,
    "XRayEvidenceMissed.picture": other,
    "XRayEvidenceMissed.why": _raw,
    "XRayEvidenceShed.pictures": other,
    "XRayFileKept.picture": other,
    "XRayFileKept.waybill_no": other,
    "Memory.plates": _number,
    "Memory.tags": _number,
}
"""Text fields of what a lane is told that hold somebody's number, name or words. All other text is only
searched for numbers of the four shapes; whoever adds a field to an event says in a test which of the two."""


class Scrubber:
    """Scrubs what a lane is told. Used by one thread.

    What it asks for is never scrubbed: a twin of the lane that is told scrubbed events asks scrubbed things.
    """

    def __init__(self, key: bytes) -> None:
        self._subs = Substitutes(key)

    def __call__(self, value: Any) -> Any:
        """The same value with stand-ins in it; the value itself where nothing in it was anybody's."""
        return self._value(value, in_text)

    def _value(self, value: Any, text: Callable[[Substitutes, str], str]) -> Any:
        kind: Any = type(value)
        if kind is str:
            return text(self._subs, value)
        if isinstance(value, enum.Enum):
            return value
        if isinstance(value, NumberText):
            return self._number(value)
        if isinstance(value, tuple | list | frozenset):
            made = [self._value(each, text) for each in value]
            return value if all(a is b for a, b in zip(made, value, strict=True)) else kind(made)
        if isinstance(value, Mapping):
            return {self._value(k, text): self._value(each, text) for k, each in value.items()}
        if fields_of(kind) is not None:
            return self._table(value)
        return value

    def _table(self, value: Any) -> Any:
        kind: Any = type(value)
        changed: dict[str, Any] = {}
        for name in _with_text(kind):
            before = getattr(value, name)
            after = self._value(before, _FIELDS.get(f"{kind.__name__}.{name}", in_text))
            if after is not before:
                changed[name] = after
        if not changed:
            return value
        return replace(value, **changed)

    def _number(self, value: NumberText) -> NumberText:
        kind = type(value)
        if kind in _STAY:
            return value
        make = _BY_TYPE.get(kind, other)
        return kind(self._subs.kept(kind.__name__, value, lambda: make(self._subs, str(value))))


@cache
def _with_text(kind: Any) -> tuple[str, ...]:
    """Fields of a table under which there can be text."""
    return tuple(name for name, hint in hints_of(kind).items() if _may_hold_text(hint, ()))


def _may_hold_text(hint: Any, within: tuple[Any, ...]) -> bool:
    if hint in within:
        return False
    if isinstance(hint, type) and not typing.get_args(hint):
        if issubclass(hint, enum.Enum):
            return False
        if issubclass(hint, str):
            return hint not in _STAY
        if dataclasses.is_dataclass(hint) or issubclass(hint, msgspec.Struct):
            return any(_may_hold_text(each, (*within, hint)) for each in hints_of(hint).values())
        return False
    if typing.get_origin(hint) is typing.Literal:
        return False
    return any(_may_hold_text(each, within) for each in typing.get_args(hint))
