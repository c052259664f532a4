"""What a control (布控) in shadow or advisory mode would have done, before it goes live. Reads facts, decides
nothing: every lane wrote into its rulings what the verdict would have been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import RulingMade, read_body

MOST_EXAMPLES = 50


@dataclass(frozen=True, slots=True)
class Example:
    """A ruling that the control would have changed."""

    device: str
    passage: int
    time: str
    plate: str
    enterprise: str
    was: str
    would_be: str


@dataclass(slots=True)
class Rehearsal:
    """One version of one control beside what really happened."""

    control: str
    """`id@version`"""
    mode: str
    matched: int = 0
    """Rulings whose readings and records fulfilled its condition."""
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict that was, verdict had it been live) -> rulings; only where the two differ."""
    by_enterprise: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    @property
    def would_stop(self) -> int:
        """Rulings that would have been another verdict."""
        return sum(self.changed.values())


@dataclass(frozen=True, slots=True)
class Report:
    rulings: int
    """All rulings looked at: what a hit rate is a share of."""
    controls: tuple[Rehearsal, ...]
    unread: int
    """Facts of a later version that this one cannot read."""


def rehearse(facts: Iterable[tuple[str, str]], control_id: str | None = None) -> Report:
    """`facts`: (device, body) of rulings. `control_id`: only its versions."""
    found: dict[str, Rehearsal] = {}
    rulings = unread = 0
    for device, raw in facts:
        try:
            body = read_body(raw)
        except Malformed:
            unread += 1
            continue
        made = body.data
        if not isinstance(made, RulingMade):
            unread += 1
            continue
        rulings += 1
        for named in made.control_versions:
            control, _, mode = named.rpartition(":")
            if mode == "live" or (control_id is not None and control.rpartition("@")[0] != control_id):
                continue
            _tell(found.setdefault(control, Rehearsal(control, mode)), device, body.time, made)
    return Report(rulings, tuple(found[control] for control in sorted(found)), unread)


def _tell(rehearsal: Rehearsal, device: str, time: str, made: RulingMade) -> None:
    rehearsal.matched += 1
    was = made.ruling.verdict.value
    would_be = made.would_be.get(rehearsal.control, was)
    if would_be == was:
        return
    rehearsal.changed[was, would_be] += 1
    rehearsal.by_enterprise[made.enterprise or ""] += 1
    if len(rehearsal.examples) < MOST_EXAMPLES:
        rehearsal.examples.append(
            Example(device, made.passage, time, made.plate or "", made.enterprise or "", was, would_be)
        )
