"""What physically happened on an X-ray line against what its station told: parcels, chutes, pictures.

Part of the reconciliation: imports nothing of the programs it checks. The belt's own order and positions join
the two; a station counts its belt from where it first looked, so positions are compared after the difference
of the two zeros, which is learnt from the parcels themselves, run by run; where the station told that it had
lost the belt, another run begins. Clocks are not believed.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from hardware_sims.aligning import align

Listing = dict[str, Any]

STATION_KINDS = frozenset(
    {
        "station_started",
        "parcel_seen",
        "picture_told",
        "picture_spoiled",
        "parcel_x_rayed",
        "judgement_undone",
        "parcel_sorted",
        "parcel_gone",
        "belt_changed",
    }
)
RESTART_S = 0.5
NEAR_MM = 150.0
"""Farther from where it should be, a told parcel is not this one, whatever else fits."""
PICTURE_NEAR_MM = 80.0
LENGTH_MM = 90.0
TOUCH_MM = 40.0
"""Parcels nearer to each other pass an eye, looked at every few milliseconds, as one."""

CHUTE_OF = {"passed": "pass", "flagged": "flag", "recheck": "recheck"}


class Told(Protocol):
    """A fact, as the reconciliation keeps it."""

    @property
    def position(self) -> int: ...

    @property
    def kind(self) -> str: ...

    @property
    def data(self) -> Listing: ...


class Row(Protocol):
    checked: int

    def wrong(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


# --- the physical side ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Parcel:
    """A thing that lay on the belt."""

    run: int
    id: str
    waybill_no: str
    length_mm: float
    case: str
    by_hand: bool
    base_mm: float | None = None
    """Where the belt stood when its leading edge was at the portal; None: it never came there."""
    last_mm: float | None = None
    """The same when it came to the diverter: what slipped or was held is further back."""
    texts: list[str] = field(default_factory=list)
    """Codes of it that were before the reader."""
    chute: str = ""
    removed: bool = False
    line: int = 0
    """Of the log: when it was laid down, when it had passed the portal's eye, when it was gone."""
    portal_line: int = 0
    end_line: int = 0
    slipped_mm: float = 0.0
    blind: bool = False
    """Nobody was at the board's line for some of its way."""
    block: list[Parcel] = field(default_factory=list)
    """Others nose to tail with it, which no eye can tell apart: told as one parcel."""

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.id, *(each.id for each in self.block))

    def name(self, station: str) -> str:
        return f"{station}: {self.id}" + (f" ({self.waybill_no})" if self.waybill_no else "")


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture the machine took."""

    run: int
    number: int
    parcels: tuple[str, ...]
    first_mm: float
    last_mm: float
    status: str
    heard: bool
    """Somebody was at the machine's line all the time, or its pictures are files."""


@dataclass(frozen=True, slots=True)
class Pulse:
    run: int
    line: int
    chute: str
    parcel: str
    """At the diverter's eye, or just past it; empty: none."""


class PhysicalBelt:
    """One X-ray line's part of the simulators' log, taken line by line."""

    def __init__(self, station: str) -> None:
        self.station = station
        self.parcels: list[Parcel] = []
        self.shots: list[Shot] = []
        self.pulses: list[Pulse] = []
        self.run = 0
        self.xray_mm = 0.0
        self.edge_mm = 0.0
        """Empty belt a picture begins with."""
        self._t = 0.0
        self._on: dict[str, Parcel] = {}
        self._open: dict[str, bool] = {}
        self._deaf_since_shot = False

    def take(self, line: int, entry: Listing) -> None:
        t = float(entry["t"])
        if t < self._t - RESTART_S:
            self.run += 1
            self._on.clear()
            self._open.clear()
        self._t = t
        parcel = self._on.get(str(entry.get("parcel", "")))
        match entry["kind"]:
            case "layout":
                self.xray_mm, self.edge_mm = float(entry["xray_mm"]), float(entry["edge_mm"])
            case "placed":
                self._placed(line, entry)
            case "portal" if parcel is not None and entry["edge"] == "leading":
                parcel.base_mm = float(entry["belt_mm"])
            case "portal" if parcel is not None:
                parcel.portal_line = line
            case "gate" if parcel is not None:
                parcel.last_mm = float(entry["base_mm"])
            case "label" if parcel is not None:
                parcel.texts.append(str(entry["text"]))
            case "slip" if parcel is not None:
                parcel.slipped_mm += float(entry["mm"])
            case "removed" if parcel is not None:
                parcel.removed, parcel.end_line = True, line
                del self._on[parcel.id]
            case "chute" if parcel is not None:
                parcel.chute, parcel.end_line = str(entry["chute"]), line
                del self._on[parcel.id]
            case "picture":
                self._shot(entry)
            case "relay" if entry["relay"] in ("pass", "flag") and entry["on"]:
                at = str(entry["at_eye"] or entry["foremost"])
                self.pulses.append(Pulse(self.run, line, str(entry["relay"]), at))
            case "line":
                self._line(str(entry["device"]), entry["open"] is True)
            case _:
                pass

    def _placed(self, line: int, entry: Listing) -> None:
        parcel = Parcel(
            self.run,
            str(entry["parcel"]),
            str(entry["waybill"]),
            float(entry["length_mm"]),
            str(entry["case"]),
            by_hand=float(entry["at_mm"]) > 0,
            line=line,
            blind=not self._open.get("io", False),
        )
        if parcel.by_hand:
            parcel.base_mm = float(entry["base_mm"])
        self._on[parcel.id] = parcel
        self.parcels.append(parcel)

    def _shot(self, entry: Listing) -> None:
        self.shots.append(
            Shot(
                self.run,
                int(entry["picture"]),
                tuple(map(str, entry["parcels"])),
                float(entry["first_mm"]),
                float(entry["last_mm"]),
                str(entry["status"]),
                heard=self._open.get("xray", True) and not self._deaf_since_shot,
            )
        )
        self._deaf_since_shot = not self._open.get("xray", True)

    def _line(self, device: str, is_open: bool) -> None:
        self._open[device] = is_open
        if device == "io" and not is_open:
            for parcel in self._on.values():
                parcel.blind = True
        if device == "xray" and not is_open:
            self._deaf_since_shot = True

    def on_belt(self) -> list[Parcel]:
        """Those that came past the portal or were laid behind it, in the belt's order."""
        found = [parcel for parcel in self.parcels if parcel.base_mm is not None]
        return sorted(found, key=lambda parcel: (parcel.run, parcel.base_mm))


# --- what was told ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class ToldParcel:
    run: int
    number: int
    position: int
    leading_mm: float | None
    trailing_mm: float | None
    waybill_no: str
    texts: tuple[str, ...]
    entered: str
    verdicts: list[Told] = field(default_factory=list)
    """`parcel_x_rayed` and `judgement_undone`, in their order."""
    sorted: list[Told] = field(default_factory=list)
    gone: list[Told] = field(default_factory=list)

    @property
    def length_mm(self) -> float | None:
        if self.leading_mm is None or self.trailing_mm is None:
            return None
        return self.trailing_mm - self.leading_mm

    def verdict_before(self, position: int) -> str:
        """The last verdict that stood when the fact at `position` was told."""
        standing = ""
        for fact in self.verdicts:
            if fact.position < position:
                standing = "" if fact.kind == "judgement_undone" else str(fact.data.get("verdict"))
        return standing

    def name(self, station: str) -> str:
        return f"{station}: parcel {self.number}" + (f" ({self.waybill_no})" if self.waybill_no else "")


class StationBook:
    """One station's facts beside its belt, and which told parcel is which real one."""

    def __init__(self, station: str, told: Sequence[Told], belt: PhysicalBelt) -> None:
        self.station = station
        self.told = sorted(told, key=lambda fact: fact.position)
        self.belt = belt
        self.starts = [
            fact.position
            for fact in self.told
            if fact.kind == "station_started"
            or (fact.kind == "belt_changed" and fact.data.get("state") == "unknown")
        ]

    def run_of(self, position: int) -> int:
        """How often the station had begun to count the belt by then: started, or the belt moved unseen."""
        return bisect_right(self.starts, position)

    @cached_property
    def parcels(self) -> dict[int, ToldParcel]:
        found: dict[int, ToldParcel] = {}
        for fact in self.told:
            number = fact.data.get("parcel")
            if not isinstance(number, int) or number < 1:
                continue
            if fact.kind == "parcel_seen":
                data = fact.data
                found.setdefault(
                    number,
                    ToldParcel(
                        self.run_of(fact.position),
                        number,
                        fact.position,
                        data.get("leading_mm"),
                        data.get("trailing_mm"),
                        str(data.get("waybill_no") or ""),
                        tuple(map(str, data.get("texts") or ())),
                        str(data.get("entered") or "portal"),
                    ),
                )
                continue
            parcel = found.get(number)
            if parcel is None:
                continue
            match fact.kind:
                case "parcel_x_rayed" | "judgement_undone":
                    parcel.verdicts.append(fact)
                case "parcel_sorted":
                    parcel.sorted.append(fact)
                case "parcel_gone":
                    parcel.gone.append(fact)
                case _:
                    pass
        return found

    @cached_property
    def pairs(self) -> list[tuple[Parcel | None, ToldParcel | None]]:
        """Each in the belt's order; None where one has no other."""
        real = self.belt.on_belt()
        told = sorted(self.parcels.values(), key=_told_order)
        zeros: dict[tuple[int, int], float] = {}
        paired: list[tuple[int | None, int | None]] = []
        for _ in range(2):
            paired = align(
                [_LOST if parcel.chute == "pass" else _ALONE for parcel in real],
                [_ALONE] * len(told),
                lambda i, j, zeros=zeros: _cost(real[i], told[j], zeros),  # type: ignore[misc]
            )
            zeros = _zeros([(real[i], told[j]) for i, j in paired if i is not None and j is not None])
        pairs: list[tuple[Parcel | None, ToldParcel | None]] = []
        for i, j in paired:
            mine, theirs = None if i is None else real[i], None if j is None else told[j]
            if mine is not None and theirs is not None and _cost(mine, theirs, zeros) >= _LOST:
                pairs += [(mine, None), (None, theirs)]
            else:
                pairs.append((mine, theirs))
        self.zeros = zeros
        return _blocks(pairs)

    zeros: dict[tuple[int, int], float]
    """(run of the simulators, run of the station's counting) -> told position less real one."""

    @cached_property
    def real_of(self) -> dict[int, Parcel]:
        return {told.number: real for real, told in self.pairs if real is not None and told is not None}

    @cached_property
    def told_of(self) -> dict[tuple[int, str], ToldParcel]:
        return {
            (real.run, name): told
            for real, told in self.pairs
            if real is not None and told is not None
            for name in real.ids
        }


def _blocks(
    pairs: list[tuple[Parcel | None, ToldParcel | None]],
) -> list[tuple[Parcel | None, ToldParcel | None]]:
    """Parcels nose to tail are one block to every eye: where such a one is told as one parcel, it is one."""
    kept: list[tuple[Parcel | None, ToldParcel | None]] = []
    for place, (real, told) in enumerate(pairs):
        if real is None or told is not None:
            kept.append((real, told))
            continue
        beside = [pairs[at] for at in (place - 1, place + 1) if 0 <= at < len(pairs)]
        joined = next(
            (
                other
                for other, said in beside
                if other is not None
                and said is not None
                and _touch(real, other)
                and _spans(real, other, said)
            ),
            None,
        )
        if joined is None:
            kept.append((real, told))
        else:
            joined.block.append(real)
    return kept


def _touch(one: Parcel, other: Parcel) -> bool:
    if one.run != other.run or one.base_mm is None or other.base_mm is None:
        return False
    first, second = sorted((one, other), key=lambda each: each.base_mm or 0.0)
    return (second.base_mm or 0.0) - (first.base_mm or 0.0) - first.length_mm <= TOUCH_MM


def _spans(one: Parcel, other: Parcel, told: ToldParcel) -> bool:
    long = told.length_mm
    return long is not None and abs(long - one.length_mm - other.length_mm) <= LENGTH_MM + TOUCH_MM


_ALONE = 40
_LOST = 100


def _told_order(parcel: ToldParcel) -> tuple[int, float, int]:
    leading = parcel.leading_mm
    return parcel.run, float("inf") if leading is None else leading, parcel.number


def _cost(real: Parcel, told: ToldParcel, zeros: dict[tuple[int, int], float]) -> int:
    """What pairing these two weighs: 0 where everything fits."""
    cost = 0
    if told.waybill_no and real.texts:
        cost += 0 if told.waybill_no in real.texts else 30
    elif told.waybill_no or real.texts:
        cost += 6
    length = told.length_mm
    if length is not None and abs(length - real.length_mm) > LENGTH_MM:
        cost += 20
    zero = zeros.get((real.run, told.run))
    if zero is not None and told.leading_mm is not None and real.base_mm is not None:
        off = abs(told.leading_mm - real.base_mm - zero)
        # Behind the portal it may have slipped before it was first seen.
        room = NEAR_MM + (real.slipped_mm if told.entered != "portal" else 0.0)
        cost += 0 if off <= 40.0 else 10 if off <= room else _LOST
    return cost


def _zeros(pairs: Sequence[tuple[Parcel, ToldParcel]]) -> dict[tuple[int, int], float]:
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    sure: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for real, told in pairs:
        if told.leading_mm is None or real.base_mm is None:
            continue
        key = (real.run, told.run)
        found[key].append(told.leading_mm - real.base_mm)
        if told.waybill_no and told.waybill_no in real.texts:
            sure[key].append(found[key][-1])
    return {key: statistics.median(sure.get(key) or offs) for key, offs in found.items()}


# --- rows -------------------------------------------------------------------------------------------------


def parcels(book: StationBook, row: Row) -> None:
    """Every parcel on the belt is one told parcel and ends once: sorted, or gone."""
    station = book.station
    for real, told in book.pairs:
        row.checked += 1
        if told is None:
            assert real is not None  # noqa: S101  one of the two is there
            _unseen(row, real, real.name(station), blind=real.blind or _saw_no_belt(book, real))
            continue
        name = told.name(station)
        if real is None:
            _ghost(book, row, told, name)
        elif real.block and any(told.verdict_before(fact.position) == "passed" for fact in told.sorted):
            row.wrong(f"{name} is {' and '.join(real.ids)}, and passed")
        elif real.block:
            row.note(f"{name} is {' and '.join(real.ids)}, nose to tail")
        elif told.gone and not real.removed and real.chute != "recheck":
            row.wrong(f"{name} is told gone, and is in the {real.chute or 'unknown'} chute")
        elif real.removed and told.sorted and not told.gone and told.sorted[-1].data.get("seen"):
            row.wrong(f"{name} was taken off the belt, and is told seen in a chute")
        ends = len(told.sorted) + len(told.gone)
        if ends == 0:
            row.wrong(f"{name} never ended: neither sorted nor gone")
        elif len(told.sorted) > 1 or len(told.gone) > 1:
            row.wrong(f"{name} ended {ends} times")
        for fact in told.sorted:
            if str(fact.data.get("verdict")) not in CHUTE_OF:
                row.wrong(f"{name} is sorted as {fact.data.get('verdict')!r}")
    seen = set(book.parcels)
    for fact in book.told:
        number = fact.data.get("parcel")
        if fact.kind in ("parcel_sorted", "parcel_gone") and isinstance(number, int) and number not in seen:
            # A program killed while a parcel was under the portal's eye tells its end alone.
            row.note(f"{station}: parcel {number} ended and was never told seen")


def _unseen(row: Row, real: Parcel, name: str, *, blind: bool) -> None:
    text = f"{name} went over the belt and no told parcel is it"
    if real.chute == "recheck" and blind:
        row.note(f"{text}: nobody could see it")
    elif real.removed and blind:
        row.note(f"{text}: nobody could see it, and it was taken off")
    else:
        row.wrong(text)


def _saw_no_belt(book: StationBook, real: Parcel) -> bool:
    """While it lay there, the station said that it did not see the belt: after what was told of those that
    had come past the portal before, and before those that were laid down when it had gone."""
    first, last = 0, None
    for other, told in book.pairs:
        if other is None or told is None or other.run != real.run:
            continue
        if other.portal_line and other.portal_line < real.line:
            first = max(first, told.position)
        elif real.end_line and other.line > real.end_line:
            last = told.position if last is None else min(last, told.position)
    return any(
        fact.kind == "belt_changed"
        and fact.data.get("state") == "unknown"
        and fact.position > first
        and (last is None or fact.position < last)
        for fact in book.told
    )


def _ghost(book: StationBook, row: Row, told: ToldParcel, name: str) -> None:
    text = f"{name} was told, and nothing on the belt is it"
    ended = told.sorted[-1].data if told.sorted else {}
    again = _told_before(book, told)
    if again is not None and ended.get("ordered") == "recheck" and again[0].chute == "recheck":
        row.note(f"{name} is {again[0].id}, which was parcel {again[1].number} and lost its place")
    elif ended.get("verdict") in ("passed", "flagged") or ended.get("ordered") in ("pass", "flag"):
        row.wrong(text)
    elif told.gone or (ended.get("verdict") == "recheck" and not ended.get("seen")):
        row.note(f"{text}; it passed nowhere")
    else:
        row.wrong(text)


def _told_before(book: StationBook, told: ToldParcel) -> tuple[Parcel, ToldParcel] | None:
    """Who lay where this one was found, and was given up there as gone, or not seen at its end."""
    if told.leading_mm is None or told.entered == "portal":
        return None
    for real, other in book.pairs:
        if real is None or other is None or real.last_mm is None:
            continue
        zero = book.zeros.get((real.run, told.run))
        if zero is None or abs(told.leading_mm - zero - real.last_mm) > NEAR_MM:
            continue
        if other.gone or not any(fact.data.get("seen") for fact in other.sorted):
            return real, other
    return None


def chutes(book: StationBook, row: Row) -> None:
    """Every parcel is in the chute its verdict says, by one pulse given for it after its verdict."""
    station = book.station
    has_flag_chute = any(parcel.chute == "flag" for parcel in book.belt.parcels) or any(
        pulse.chute == "flag" for pulse in book.belt.pulses
    )
    pulsed = Counter((pulse.run, pulse.parcel, pulse.chute) for pulse in book.belt.pulses)
    for pulse in book.belt.pulses:
        if not pulse.parcel:
            row.wrong(f"{station}: line {pulse.line}: a {pulse.chute} pulse with no parcel at the diverter")
    for real in book.belt.parcels:
        if not real.chute:
            if not real.removed and real.run == book.belt.run:
                row.wrong(f"{real.name(station)} is in no chute")
            continue
        row.checked += 1
        told = book.told_of.get((real.run, real.id))
        where = f"{real.name(station)} is in the {real.chute} chute"
        given = {chute: pulsed[(real.run, real.id, chute)] for chute in ("pass", "flag")}
        if sum(given.values()) > 1:
            row.wrong(f"{where}: {given['pass']} pass and {given['flag']} flag pulses were given for it")
        if told is None:
            if real.chute != "recheck":
                row.wrong(f"{where}, and no told parcel is it")
            continue
        if not told.sorted:
            if real.chute != "recheck":
                row.wrong(f"{where}, and parcel {told.number} is told nowhere")
            continue
        _in_its_chute(row, real, told, where, has_flag_chute=has_flag_chute)


def _in_its_chute(row: Row, real: Parcel, told: ToldParcel, where: str, *, has_flag_chute: bool) -> None:
    end = told.sorted[-1]
    verdict, seen = str(end.data.get("verdict")), str(end.data.get("seen") or "")
    before = told.verdict_before(end.position)
    if real.chute == "pass" and (verdict, before) != ("passed", "passed"):
        row.wrong(f"{where}: parcel {told.number} is sorted as {verdict}, its verdict was {before or 'none'}")
        return
    if real.chute == "pass" and not _stands_on_a_matched_picture(told, end.position):
        row.wrong(f"{where}: the verdict that passed parcel {told.number} stands on no matched picture")
    expected = CHUTE_OF.get(verdict, "")
    if expected == "flag" and not has_flag_chute:
        expected = "recheck"
    if real.chute == expected:
        if seen and seen != real.chute:
            row.wrong(f"{where}: parcel {told.number} is told seen in the {seen} chute")
    elif real.chute == "recheck" and end.data.get("ordered") == "recheck":
        row.note(f"{where}: parcel {told.number} was {verdict}, and was led to recheck all the same")
    elif real.chute == "recheck" and end.data.get("confirmed") is False:
        row.note(f"{where}: parcel {told.number} was {verdict}, and is told as not confirmed there")
    else:
        row.wrong(f"{where}: parcel {told.number} is sorted as {verdict}")


def _stands_on_a_matched_picture(told: ToldParcel, position: int) -> bool:
    last: Told | None = None
    for fact in told.verdicts:
        if fact.position < position:
            last = fact if fact.kind == "parcel_x_rayed" else None
    return last is not None and last.data.get("association") == "matched" and bool(last.data.get("picture"))


def pictures(book: StationBook, row: Row) -> None:
    """Every picture is told; a matched one shows that parcel alone, and the waybill is the parcel's own."""
    station, belt = book.station, book.belt
    for number, real in book.real_of.items():
        told = book.parcels[number]
        if told.waybill_no and told.waybill_no not in real.texts:
            row.wrong(f"{told.name(station)} is {real.id}, which never showed that code")
        elif told.waybill_no and real.waybill_no and told.waybill_no != real.waybill_no:
            row.wrong(f"{told.name(station)} is {real.id} of waybill {real.waybill_no}")
    facts = [fact for fact in book.told if fact.kind == "picture_told"]
    for picture, times in Counter(str(fact.data.get("picture")) for fact in facts).items():
        if times > 1 and len({_whose(fact) for fact in facts if fact.data.get("picture") == picture}) > 1:
            row.wrong(f"{station}: picture {picture} is told {times} times, of different parcels")
    left = list(belt.shots)
    for fact in facts:
        row.checked += 1
        shot = _shot_of(book, fact, left)
        name = f"{station}: picture {fact.data.get('picture')}"
        if shot is None:
            if fact.data.get("association") == "matched":
                row.wrong(f"{name} is matched, and the machine took none there")
            continue
        if shot in left:
            left.remove(shot)
        if fact.data.get("association") == "matched":
            _shows(book, row, fact, shot, name)
    spoiled = sum(fact.kind == "picture_spoiled" for fact in book.told)
    for shot in left:
        text = f"{station}: picture {shot.number} of {', '.join(shot.parcels)} was never told"
        if spoiled:
            spoiled -= 1
        elif shot.heard:
            row.wrong(text)
        else:
            row.note(f"{text}: nobody was at the machine's line")


def _whose(fact: Told) -> tuple[Any, Any]:
    return fact.data.get("association"), fact.data.get("parcel")


def _shows(book: StationBook, row: Row, fact: Told, shot: Shot, name: str) -> None:
    number = fact.data.get("parcel")
    real = book.real_of.get(number) if isinstance(number, int) else None
    if real is None:
        row.wrong(f"{name} is matched with parcel {number}, which nothing on the belt is")
    elif real.block and set(shot.parcels) <= set(real.ids):
        row.note(f"{name} shows {', '.join(shot.parcels)}, told as one parcel, which did not pass")
    elif shot.parcels != (real.id,):
        row.wrong(f"{name} is matched with parcel {number} ({real.id}) and shows {', '.join(shot.parcels)}")


def _shot_of(book: StationBook, fact: Told, among: Sequence[Shot]) -> Shot | None:
    """The machine's picture at the told place; the same may be told of twice."""
    leading = fact.data.get("leading_mm")
    run = book.run_of(fact.position)
    best: tuple[float, Shot] | None = None
    for shot in among:
        zero = book.zeros.get((shot.run, run))
        if zero is None or not isinstance(leading, int | float):
            continue
        off = abs(leading - zero - (shot.first_mm + book.belt.edge_mm - book.belt.xray_mm))
        if off <= PICTURE_NEAR_MM and (best is None or off < best[0]):
            best = (off, shot)
    return None if best is None else best[1]
