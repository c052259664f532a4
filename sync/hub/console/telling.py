"""Facts and records as lines that people read, in both languages. Pure: no record, no clock.

Everything a fact says is shown; what a page shows elsewhere (its numbers, pictures, the records it stands on)
is left out here and stands in its exact text beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sync.hub.console.words.details import PARTS, as_told
from sync.hub.console.words.facts import CODES, FIELDS, KINDS, VALUES
from sync.vocabulary.codec import to_builtins
from sync.vocabulary.facts import Alarm, FactData, RulingMade
from sync.vocabulary.handheld_facts import ParcelJudged
from sync.vocabulary.rulings import TEXTS, Because, Reason, Text
from sync.vocabulary.xray_facts import ParcelXRayed, SuspectTold
from sync.vocabulary.xray_reasons import TEXTS as XRAY_TEXTS
from sync.vocabulary.xray_reasons import XRayReason

_ELSEWHERE: Final = frozenset(
    {
        "passage",
        "waybill_no",
        "waybill_nos",
        "order_id",
        "use_ids",
        "claim_id",
        "command_id",
        "sha256",
        "of",
        "taken",
        "readings",
        "records_scope",
        "records_epoch",
        "records_number",
        "records_age_s",
        "would_be",
        "codes",
        "stage_s",
        "texts_zh",
        "texts_en",
        "ruling",
        "seq_no",
        "batch_id",
        "place",
        "picture",
        "pictures",
        "marked",
        "voice_notes",
        "manifest_sha256",
        "regions",
        "suspects",
        "shares",
        "preview",
        "calibration",
        "wedge_valid",
        "candidates",
        "leading_mm",
        "trailing_mm",
        "length_off_mm",
        "window_mm",
        "acquisition",
        "belt_mm",
        "held",
        "keep_class",
        "quantities",
        "measured",
        "part",
        "parts",
        "recall",
        "type",
    }
)
_SENTENCES: Final = frozenset({"why", "detail", "problem"})
"""Fields in which a program says in a sentence what went on."""
MOST_CHARACTERS: Final = 300
_EMPTY: Final[tuple[object, ...]] = ("", None, [], {}, ())


class Line(NamedTuple):
    label: Text
    value: Text


def kind_words(kind: str) -> Text:
    """A kind this version does not know is called as it calls itself."""
    return Text(*KINDS.get(kind, (kind, kind)))


def field_words(name: str) -> Text:
    return Text(*FIELDS.get(name, (name, name)))


def value_words(value: object) -> Text:
    match value:
        case bool():
            return Text("是", "yes") if value else Text("否", "no")
        case float():
            return same(f"{value:.3f}".rstrip("0").rstrip("."))
        case list() | tuple():
            each = [value_words(one) for one in value]
            return Text("、".join(one.zh for one in each), ", ".join(one.en for one in each))
        case dict():
            told = [(field_words(str(key)), value_words(one)) for key, one in value.items()]
            return Text(
                "，".join(f"{label.zh} {one.zh}" for label, one in told),
                ", ".join(f"{label.en} {one.en}" for label, one in told),
            )
        case _:
            text = str(value)
            words = VALUES.get(text) or PARTS.get(text)
            return same(text[:MOST_CHARACTERS]) if words is None else Text(*words)


def _value_of(field: str, value: object) -> Text:
    """Of a field whose codes are customs' own digits, what they mean; of one that says why, the sentence."""
    if field in _SENTENCES and isinstance(value, str) and value not in VALUES:
        return _plain(value, value)
    return Text(*CODES[field, str(value)]) if (field, str(value)) in CODES else value_words(value)


def same(text: str) -> Text:
    return Text(text, text)


def fact_lines(data: FactData) -> tuple[Line, ...]:
    """What a fact says, beside what its page shows elsewhere."""
    return tuple(_fact_lines(data))


def _fact_lines(data: FactData) -> Iterator[Line]:
    match data:
        case RulingMade():
            yield Line(field_words("verdict"), value_words(data.ruling.verdict.value))
            for because in data.ruling.reasons:
                yield Line(field_words("reason"), lane_reason(because))
        case Alarm():
            named = Text(data.zh or data.code.value, data.en or data.code.value)
            yield Line(field_words("code"), _plain(named.zh, named.en))
            if data.detail:
                yield Line(field_words("detail"), _plain(data.detail, data.detail))
            return
        case ParcelJudged() | ParcelXRayed():
            words = xray_reason if isinstance(data, ParcelXRayed) else parcel_reason
            yield Line(field_words("verdict"), value_words(data.verdict))
            for reason in data.reasons:
                yield Line(field_words("reason"), words(reason))
            if isinstance(data, ParcelXRayed):
                yield from (Line(Text("可疑", "Suspect"), _suspect(each)) for each in data.suspects)
        case _:
            pass
    shown = to_builtins(data)
    for name, value in shown.items():
        if name in _ELSEWHERE or value in _EMPTY or name in ("verdict", "reasons"):
            continue
        yield Line(field_words(name), _value_of(name, value))


def lane_reason(because: Because) -> Text:
    words = TEXTS.get(because.code)
    if words is None:
        return same(f"{because.code}: {because.detail}")
    detail = f" ({because.detail})" if because.detail and "{detail}" not in words.zh else ""
    return Text(
        words.zh.replace("{detail}", because.detail) + detail,
        words.en.replace("{detail}", because.detail) + detail,
    )


def parcel_reason(told: str) -> Text:
    """A code, its detail behind a colon."""
    code, _, detail = told.partition(":")
    try:
        return lane_reason(Because(Reason(code), detail.strip()))
    except ValueError:
        return same(told)


def xray_reason(told: str) -> Text:
    code, _, detail = told.partition(":")
    try:
        words = XRAY_TEXTS[XRayReason(code)]
    except ValueError:
        return same(told)
    more = f" ({detail.strip()})" if detail else ""
    return Text(words.zh + more, words.en + more)


def _plain(zh: str, en: str) -> Text:
    return Text(as_told(zh, "zh"), as_told(en, "en"))


_FRAMES: Final = re.compile(r"(\d+) frames")


def reading_detail(kind: str, detail: str) -> Text:
    """What a device says beside what it read: of a plate its confidence in %, of a weight the frames."""
    if kind == "plate" and detail.isdecimal():
        return Text(f"置信度 {detail} %", f"confidence {detail} %")
    if (frames := _FRAMES.fullmatch(detail)) is not None:
        return Text(f"{frames[1]} 帧一致", f"{frames[1]} frames agree")
    return same(detail)


def _suspect(each: SuspectTold) -> Text:
    return Text(each.zh or each.code, each.en or each.code)


_NOT_OF_A_RECORD: Final = frozenset(
    {"lines", "preview", "descriptor", "pin", "public_key", "boxes", "lanes", "steps"}
)


def record_lines(body: Mapping[str, Any]) -> tuple[tuple[str, Text, Text], ...]:
    """Field, its label and its value, of a record as read from its JSON; empty fields are left out."""
    return tuple(
        (name, field_words(name), _value_of(name, value))
        for name, value in body.items()
        if name not in _NOT_OF_A_RECORD and value not in _EMPTY
    )
