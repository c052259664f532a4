"""Whose picture is it, and whose code: by where things are on the belt, never by their order. Pure.

A parcel and a picture belong together when the picture's leading edge, its trailing edge and its length are
the parcel's, and no other parcel's. Everything else has a name of its own, and passes nothing.

Windows are dynamic, as barcode portals do it: a window around a parcel that meets its neighbour's shrinks to
half of the gap between them.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from edge.runtime.values import replace, value
from edge.xray_bridge.values import Acquisition, Association


class Near(enum.StrEnum):
    """What becomes of two parcels nearer to each other than `least_gap_mm`."""

    IGNORE = "ignore"
    """Two parcels like any others; their windows shrink with the gap."""
    COMPOSE = "compose"
    """One parcel; it never passes by itself."""
    DISCARD = "discard"
    """Two parcels, neither of which passes by itself."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How far from where it should be a thing may lie. Millimetres along the belt."""

    window_mm: float = 60.0
    """Of either edge of a picture: more than the belt's own noise (three sigma about 25 mm), less than half
    of the usual gap."""
    length_mm: float = 50.0
    """By which a picture may be longer or shorter than the parcel was at the portal."""
    code_mm: float = 60.0
    """A code is a parcel's if it was read so near to it."""
    code_within_mm: float = 30.0
    """And no other parcel was so near to it: a reader sees codes so far from where it says."""
    reader_mm: float = 0.0
    """Of the reader's line from the portal's eye, along the belt."""
    diverter_mm: float = 40.0
    """Of the leading edge at the diverter's eye, from where the X-ray saw it."""
    slip_mm: float = 300.0
    """So far may a parcel be held up on a stretch: one that has not been accounted for may turn up so far
    behind its place."""
    least_gap_mm: float = 150.0
    near: Near = Near.DISCARD
    shortest_mm: float = 50.0
    """A shorter block of the portal's eye is no parcel."""
    longest_mm: float = 1_500.0
    """A longer one is a jam."""

    def around_mm(self) -> float:
        """Nothing farther away than this from a parcel's edge bears on whose it is."""
        return 3 * max(self.window_mm, self.code_mm, self.code_within_mm, self.slip_mm / 3) + self.length_mm


@value(frozen=True, slots=True)
class Span:
    """Where a parcel lies, as its edges cut the portal's eye."""

    number: int
    leading_mm: float
    trailing_mm: float | None
    """None: still in the eye."""
    has_picture: bool = False
    over: bool = False
    """It has left the belt: a picture of it comes too late."""


@value(frozen=True, slots=True)
class Found:
    """What a picture came to."""

    association: Association
    parcel: int = 0
    candidates: tuple[int, ...] = ()
    off_mm: float | None = None
    length_off_mm: float | None = None
    window_mm: float | None = None
    why: str = ""
    spoils: tuple[int, ...] = ()
    """Parcels that had a picture of their own before: now there are two, and neither is certain."""


_NOT_WHOLE: dict[Acquisition, Association] = {
    Acquisition.MERGED: Association.MERGED,
    Acquisition.CUT: Association.SPLIT,
    Acquisition.INCOMPLETE: Association.SPLIT,
    Acquisition.JAM: Association.AMBIGUOUS,
    Acquisition.OVERSIZE: Association.AMBIGUOUS,
    Acquisition.SLIP: Association.AMBIGUOUS,
}
"""What the machine itself doubts is no match, wherever it lies."""


def associate(
    windows: Windows,
    spans: Sequence[Span],
    leading_mm: float | None,
    trailing_mm: float | None,
    acquisition: Acquisition = Acquisition.SUCCESSFUL,
    objects: int = 1,
) -> Found:
    """`spans` in the order of the belt, first come first. Positions as their edges cut the portal's eye."""
    if leading_mm is None or trailing_mm is None:
        return Found(Association.UNMATCHED, why="no_position")
    if trailing_mm <= leading_mm:
        return Found(Association.UNMATCHED, why="no_length")
    spans = _around(spans, leading_mm - windows.around_mm(), trailing_mm + windows.around_mm())
    overlapping = [span for span in spans if _share(span, leading_mm, trailing_mm) >= 0.5]
    names = tuple(span.number for span in overlapping)
    spoils = tuple(span.number for span in overlapping if span.has_picture and not span.over)
    near = [span for span in spans if _near(windows, span, leading_mm, trailing_mm)]
    if len(near) > 1:
        return Found(
            Association.AMBIGUOUS,
            candidates=tuple(span.number for span in near),
            window_mm=windows.window_mm,
            why="several_fit",
            spoils=spoils,
        )
    if len(overlapping) > 1:
        return Found(Association.MERGED, candidates=names, why="covers_several", spoils=spoils)
    if not near:
        return _nobodys(windows, overlapping, leading_mm, trailing_mm, spoils)
    span = near[0]
    off_mm, length_off_mm = _off(span, leading_mm, trailing_mm)
    before_mm, after_mm = _room(windows, spans, span)
    found = Found(
        Association.MATCHED,
        span.number,
        (span.number,),
        off_mm,
        length_off_mm,
        after_mm if off_mm >= 0 else before_mm,
    )
    if span.over:
        return replace(found, association=Association.UNMATCHED, parcel=0, why="late")
    if span.has_picture:
        return replace(found, association=Association.AMBIGUOUS, why="second_picture", spoils=(span.number,))
    if not _inside(off_mm, off_mm + length_off_mm, before_mm, after_mm):
        return replace(found, association=Association.AMBIGUOUS, why="nearer_to_neighbour")
    held_up = _held_up(windows, spans, span, leading_mm, trailing_mm)
    if held_up:
        names = (span.number, *held_up)
        return replace(found, association=Association.AMBIGUOUS, candidates=names, why="may_be_held_up")
    if acquisition is not Acquisition.SUCCESSFUL:
        return replace(found, association=_NOT_WHOLE[acquisition], why=acquisition.value)
    if objects != 1:
        return replace(found, association=Association.MERGED, why="several_things")
    return found


def _held_up(
    windows: Windows, spans: Sequence[Span], span: Span, leading_mm: float, trailing_mm: float
) -> tuple[int, ...]:
    """Those before it, as long as the picture, that have no picture yet: it may be theirs, held up."""
    length_mm = trailing_mm - leading_mm
    return tuple(
        other.number
        for other in spans
        if other.leading_mm < span.leading_mm
        and not other.has_picture
        and not other.over
        and other.trailing_mm is not None
        and leading_mm - other.leading_mm <= windows.slip_mm
        and abs(other.trailing_mm - other.leading_mm - length_mm) <= windows.length_mm
    )


def _around(spans: Sequence[Span], from_mm: float, to_mm: float) -> list[Span]:
    """Those that can matter there: what is farther off is neither candidate nor neighbour."""
    return [
        span
        for span in spans
        if span.leading_mm <= to_mm and (span.trailing_mm is None or span.trailing_mm >= from_mm)
    ]


def _nobodys(
    windows: Windows, overlapping: list[Span], leading_mm: float, trailing_mm: float, spoils: tuple[int, ...]
) -> Found:
    """No parcel fits it: a part of one, one that slipped, or one nobody knows."""
    if not overlapping:
        return Found(Association.UNMATCHED, why="nobody_there")
    span = overlapping[0]
    off_mm, length_off_mm = _off(span, leading_mm, trailing_mm)
    found = Found(
        Association.UNMATCHED,
        0,
        (span.number,),
        off_mm,
        length_off_mm,
        windows.window_mm,
        spoils=spoils,
    )
    if span.over:
        return replace(found, why="late")
    trailing_off_mm = off_mm + length_off_mm
    inside = off_mm >= -windows.window_mm and trailing_off_mm <= windows.window_mm
    if inside and length_off_mm < -windows.length_mm:
        return replace(found, association=Association.SPLIT, parcel=span.number, why="shorter")
    why = "off_position" if abs(length_off_mm) <= windows.length_mm else "other_length"
    return replace(found, why=why)


def _off(span: Span, leading_mm: float, trailing_mm: float) -> tuple[float, float]:
    """(leading edge, length): picture less parcel."""
    off_mm = leading_mm - span.leading_mm
    trailing_off_mm = trailing_mm - (span.trailing_mm if span.trailing_mm is not None else span.leading_mm)
    return off_mm, trailing_off_mm - off_mm


def _near(windows: Windows, span: Span, leading_mm: float, trailing_mm: float) -> bool:
    """By position of both edges and by length, whoever else there is."""
    if span.trailing_mm is None:
        return False
    return (
        abs(leading_mm - span.leading_mm) <= windows.window_mm
        and abs(trailing_mm - span.trailing_mm) <= windows.window_mm
        and abs((trailing_mm - leading_mm) - (span.trailing_mm - span.leading_mm)) <= windows.length_mm
    )


def _share(span: Span, leading_mm: float, trailing_mm: float) -> float:
    """How much of the shorter of the two the other covers."""
    if span.trailing_mm is None:
        return 0.0
    common_mm = min(trailing_mm, span.trailing_mm) - max(leading_mm, span.leading_mm)
    shorter_mm = min(trailing_mm - leading_mm, span.trailing_mm - span.leading_mm)
    return common_mm / shorter_mm if shorter_mm > 0 else 0.0


def _room(windows: Windows, spans: Sequence[Span], span: Span) -> tuple[float, float]:
    """How far it may have moved (towards the one before it, towards the one behind): no farther than half of
    the gap."""
    before_mm = after_mm = windows.window_mm
    for other in spans:
        if other.number == span.number:
            continue
        if other.leading_mm <= span.leading_mm:
            end_mm = other.trailing_mm if other.trailing_mm is not None else other.leading_mm
            before_mm = min(before_mm, max(0.0, (span.leading_mm - end_mm) / 2))
        elif span.trailing_mm is not None:
            after_mm = min(after_mm, max(0.0, (other.leading_mm - span.trailing_mm) / 2))
    return before_mm, after_mm


def _inside(leading_off_mm: float, trailing_off_mm: float, before_mm: float, after_mm: float) -> bool:
    return -before_mm <= leading_off_mm and trailing_off_mm <= after_mm


# --- codes ------------------------------------------------------------------------------------------------


def owner_of(windows: Windows, spans: Sequence[Span], code_mm: float) -> int | None:
    """The number of the one parcel a code read there can belong to; None: nobody's, or not certainly one's.

    `code_mm` is where the belt stood, less the reader's distance from the eye.
    """
    spans = _around(spans, code_mm - windows.around_mm(), code_mm + windows.around_mm())
    best: Span | None = None
    best_mm = second_mm = float("inf")
    for span in spans:
        away_mm = _away(span, code_mm)
        if away_mm < best_mm:
            best, best_mm, second_mm = span, away_mm, best_mm
        elif away_mm < second_mm:
            second_mm = away_mm
    if best is None or second_mm <= windows.code_within_mm:
        return None
    before_mm, after_mm = _room(windows, spans, best)
    limit_mm = min(windows.code_mm, before_mm if code_mm < best.leading_mm else after_mm)
    return best.number if best_mm <= limit_mm else None


def _away(span: Span, code_mm: float) -> float:
    end_mm = span.trailing_mm if span.trailing_mm is not None else float("inf")
    return max(0.0, span.leading_mm - code_mm, code_mm - end_mm)


# --- the diverter -----------------------------------------------------------------------------------------


@value(frozen=True, slots=True)
class Expected:
    """Where the belt will stand when a parcel's edges cut an eye."""

    number: int
    leading_mm: float
    trailing_mm: float


@value(frozen=True, slots=True)
class AtEye:
    """Whose leading edge is at an eye. `number` only if it is certain; `why` else."""

    number: int | None
    candidates: tuple[int, ...] = ()
    off_mm: float | None = None
    why: str = ""


def at_eye(window_mm: float, expected: Sequence[Expected], belt_mm: float) -> AtEye:
    """Exactly one parcel within the window, and not farther from its place than half of the gap on that
    side."""
    near = [each for each in expected if abs(belt_mm - each.leading_mm) <= window_mm]
    names = tuple(each.number for each in near)
    if not near:
        return AtEye(None, why="nobody_expected")
    if len(near) > 1:
        return AtEye(None, names, why="several_expected")
    one = near[0]
    off_mm = belt_mm - one.leading_mm
    before_mm = after_mm = window_mm
    for other in expected:
        if other.number == one.number:
            continue
        if other.leading_mm <= one.leading_mm:
            before_mm = min(before_mm, max(0.0, (one.leading_mm - other.trailing_mm) / 2))
        else:
            after_mm = min(after_mm, max(0.0, (other.leading_mm - one.trailing_mm) / 2))
    if not -before_mm <= off_mm <= after_mm:
        return AtEye(None, names, off_mm, "nearer_to_neighbour")
    return AtEye(one.number, names, off_mm)
