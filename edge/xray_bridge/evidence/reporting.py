"""What the machine and the officer came to, from the facts' own words, as reports of the standard. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge.xray_bridge.evidence.dicos import Flag, Item, Report, Reporter
from edge.xray_bridge.evidence.manifest import Said
from edge.xray_bridge.values import Box, Verdict
from sync.vocabulary.xray_facts import ParcelXRayed

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
MOST_WORDS = 400


def machine_report(said: Said, *, decided_utc: str, algorithm: str) -> Report:
    """Clear only where the machine alone let the parcel pass; everything else is an alarm that names a
    part, or the whole picture and why nothing could be told of it."""
    alone = said.machine
    if alone is None and said.judged is not None and said.judged.by != "officer":
        alone = said.judged
    took_ms = 0.0
    if alone is None:
        items: tuple[Item, ...] = (Item(WHOLE, "other", "not analysed / 未分析", Flag.UNKNOWN),)
    elif alone.verdict == Verdict.PASSED:
        items = ()
    else:
        items = tuple(
            Item(_box(suspect.left, suspect.top, suspect.width, suspect.height), "anomaly", _words(
                (suspect.code, suspect.zh, suspect.en)
            ))
            for suspect in alone.suspects
        ) or (Item(WHOLE, "other", _words(alone.reasons) or alone.verdict, Flag.UNKNOWN),)  # fmt: skip
    return Report(Reporter.MACHINE, 1, bool(items), items, decided_utc, took_ms=took_ms, algorithm=algorithm)


def officer_report(judged: ParcelXRayed | None, number: int, *, decided_utc: str) -> Report | None:
    """None: nobody judged it."""
    if judged is None or judged.by != "officer" or not judged.officer:
        return None
    words = _words((judged.category, judged.note))
    match judged.verdict:
        case Verdict.PASSED:
            items: tuple[Item, ...] = ()
        case Verdict.FLAGGED:
            items = tuple(
                Item(
                    _box(region.left, region.top, region.width, region.height),
                    region.category or judged.category,
                    _words((region.category or judged.category, region.note or judged.note)),
                )
                for region in judged.regions
            ) or (Item(WHOLE, judged.category, words or judged.verdict),)
        case _:
            items = (Item(WHOLE, "other", words or _words(judged.reasons) or judged.verdict, Flag.UNKNOWN),)
    took_ms = 1_000.0 * max(0.0, judged.took_s or 0.0)
    return Report(Reporter.OPERATOR, number, bool(items), items, decided_utc, judged.officer, took_ms)


def _box(left: float | None, top: float | None, width: float | None, height: float | None) -> Box:
    if left is None or top is None or width is None or height is None:
        return WHOLE
    return Box(left, top, width, height)


def _words(parts: Sequence[str]) -> str:
    return ": ".join(part for part in parts if part)[:MOST_WORDS]
