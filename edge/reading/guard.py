"""What was read -> what becomes a scan. Pure: `step(state, seen)`; times come with the reads.

A code is refused where it was cut off or garbled (S7), and where its symbology carries no check worth the
name. A linear code in a moving picture becomes a scan when two frames agree, or at once where its text is a
number whose shape or check digits nothing else has; codes that correct errors, and what scanners and keys
give, at once. The same code seen again within its time is one scan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from edge.reading.scans import (
    KEPT_OF_REFUSED,
    LINEAR,
    LONGEST_TEXT,
    RETAIL,
    SHORTEST_ITF,
    NotACode,
    ScanSeen,
    Source,
)
from sync.vocabulary.numbers import SlipNo, Sscc, WaybillNo

_CONTROL: Final = re.compile(r"[\x00-\x03\x05-\x08\x0b\x0c\x0e-\x1b\x7f-\x9f\ufffd\ufffe\uffff\ud800-\udfff]")
"""C0 and C1 but for TAB, LF, CR and the separators of GS1 and ISO 15434; and what stands for lost bytes."""
_MOST_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    agree_s: float = 2.0
    """Two frames that far apart at most may agree."""
    again_s: float = 3.0
    """A code in the picture is one scan until it was out of it for so long."""
    again_pulled_s: float = 0.6
    """The same for scanners, keys and broadcasts: a trigger that bounces, not a person who scans again."""
    waybills: tuple[re.Pattern[str], ...] = ()
    """The site's own shapes that one frame is enough for; whole matches."""


@dataclass(frozen=True, slots=True)
class GuardState:
    waiting: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(symbology, text) -> time of the one frame it was seen in."""
    told: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(source, text or reason) -> when it was seen last."""


def step(
    state: GuardState, seen: ScanSeen | NotACode, settings: GuardSettings
) -> tuple[GuardState, tuple[ScanSeen | NotACode, ...]]:
    """In the order of their times. Two reads of one frame have one time, and do not agree with each other."""
    judged = seen if isinstance(seen, NotACode) else _judged(seen)
    match judged:
        case NotACode():
            return _once(state, judged, (judged.source.value, judged.why), settings)
        case ScanSeen():
            if not _needs_agreement(judged, settings):
                return _once(state, judged, (judged.source.value, judged.text), settings)
            return _agreed(state, judged, settings)


def is_waybill_shape(text: str) -> bool:
    """A shape or check digit that hardly any wrong read has: a known carrier's waybill, an S10 number or an
    SSCC, a slip. Bare digits are none: those of an EAN would do."""
    if SlipNo.parse(text) is not None:
        return True
    if text.isdecimal():
        return len(text) in {18, 20} and Sscc.parse_scan(text) is not None
    waybill = WaybillNo.parse(text)
    return waybill is not None and waybill.carrier is not None and waybill.check_digit_right is not False


def _judged(seen: ScanSeen) -> ScanSeen | NotACode:
    why = _why_no_code(seen)
    if not why:
        return seen
    raw = seen.raw or seen.text.encode("utf-8", "backslashreplace")
    return NotACode(seen.source, why, seen.at_s, raw[:KEPT_OF_REFUSED])


def _why_no_code(seen: ScanSeen) -> str:
    if not seen.text.strip():
        return "nothing in it"
    if len(seen.text) > LONGEST_TEXT:
        return f"longer than {LONGEST_TEXT} characters"
    strange = _CONTROL.search(seen.text)
    if strange:
        return f"character {ord(strange[0]):04X} in the text"
    if seen.symbology == "itf" and len(seen.text) < SHORTEST_ITF:
        return f"ITF of fewer than {SHORTEST_ITF} digits: such are read out of textures"
    return ""


def _needs_agreement(seen: ScanSeen, settings: GuardSettings) -> bool:
    if seen.source is not Source.CAMERA or seen.symbology not in LINEAR:
        return False
    if seen.symbology in RETAIL:
        return True
    return not (is_waybill_shape(seen.text) or any(each.fullmatch(seen.text) for each in settings.waybills))


def _agreed(
    state: GuardState, seen: ScanSeen, settings: GuardSettings
) -> tuple[GuardState, tuple[ScanSeen | NotACode, ...]]:
    code = (seen.symbology, seen.text)
    told = state.told.get((seen.source.value, seen.text))
    if told is not None and seen.at_s - told < settings.again_s:
        return _once(state, seen, (seen.source.value, seen.text), settings)
    first_s = state.waiting.get(code)
    if first_s is not None and 0 < seen.at_s - first_s <= settings.agree_s:
        waiting = {each: at_s for each, at_s in state.waiting.items() if each != code}
        return _once(replace(state, waiting=waiting), seen, (seen.source.value, seen.text), settings)
    if first_s == seen.at_s:
        return state, ()
    fresh = _newer(state.waiting, seen.at_s - settings.agree_s)
    return replace(state, waiting={**fresh, code: seen.at_s}), ()


def _once(
    state: GuardState, seen: ScanSeen | NotACode, key: tuple[str, str], settings: GuardSettings
) -> tuple[GuardState, tuple[ScanSeen | NotACode, ...]]:
    """A person who types is never taken for a repeat."""
    again_s = settings.again_s if seen.source is Source.CAMERA else settings.again_pulled_s
    last_s = state.told.get(key)
    is_repeat = last_s is not None and seen.at_s - last_s < again_s and seen.source is not Source.TYPED
    fresh = _newer(state.told, seen.at_s - max(settings.again_s, settings.again_pulled_s))
    told = {**{each: at_s for each, at_s in fresh.items() if each != key}, key: seen.at_s}
    return replace(state, told=told), () if is_repeat else (seen,)


def _newer(times: Mapping[tuple[str, str], float], than_s: float) -> dict[tuple[str, str], float]:
    """The latest of them, in the order they came."""
    kept = [(key, at_s) for key, at_s in times.items() if at_s >= than_s]
    return dict(kept[-(_MOST_REMEMBERED - 1) :])
