"""Which controls (布控) bear on a passage. Pure: time arrives as an argument, what to do is the caller's."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText
from sync.vocabulary.records import Condition, Control, Direction, SlipKind


def matching(
    controls: Iterable[Control],
    *,
    plate: Plate | None,
    slip_nos: Collection[SlipNo],
    enterprises: Collection[EnterpriseCode],
    direction: Direction,
    slip_kinds: Collection[SlipKind],
    at: UtcText,
) -> tuple[Control, ...]:
    """Controls in force at `at` (from included, until excluded) whose whole condition holds, of any mode.

    A list a condition gives holds when it shares one value with the passage; a list it leaves empty always
    holds; so a control without conditions bears on everything. What the passage does not know (no plate read,
    no slip) fulfils no list. Several versions of a control may be in force side by side, a new one in shadow
    beside the live one. In order of id and version, so that the same controls give the same ruling.
    """
    found = [
        control
        for control in controls
        if control.valid_from <= at < control.valid_until
        and _holds(control.condition, plate, slip_nos, enterprises, direction, slip_kinds)
    ]
    return tuple(sorted(found, key=lambda control: (control.control_id, control.version)))


def _holds(
    condition: Condition,
    plate: Plate | None,
    slip_nos: Collection[SlipNo],
    enterprises: Collection[EnterpriseCode],
    direction: Direction,
    slip_kinds: Collection[SlipKind],
) -> bool:
    return (
        (not condition.plates or plate in condition.plates)
        and (not condition.slip_nos or not set(slip_nos).isdisjoint(condition.slip_nos))
        and (not condition.enterprises or not set(enterprises).isdisjoint(condition.enterprises))
        and (not condition.directions or direction in condition.directions)
        and (not condition.slip_kinds or not set(slip_kinds).isdisjoint(condition.slip_kinds))
    )
