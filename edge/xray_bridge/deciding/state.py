"""What a station is told once, and the whole state of its machine: values, and how one of many is put in
place. Decides nothing.

Times are monotonic seconds of the caller's clock, positions millimetres of the belt's encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from edge.runtime.values import replace, value
from edge.xray_bridge.association import Windows
from edge.xray_bridge.effects import AnswerCommand, Commit, Effect, Light, Told
from edge.xray_bridge.events import BeltRead
from edge.xray_bridge.rules import TriageRules
from edge.xray_bridge.values import Analysis, Association, Chute, Eye, Goods, Layout, Region, Verdict
from sync.vocabulary.commands import Outcome
from sync.vocabulary.xray_facts import ParcelXRayed, PictureTold
from sync.vocabulary.xray_reasons import Because


@dataclass(frozen=True, slots=True)
class StationSettings:
    """From the config. Every duration is a time limit, every distance in millimetres along the belt."""

    station_id: str
    layout: Layout
    windows: Windows = field(default_factory=Windows)
    triage: TriageRules = field(default_factory=TriageRules)
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    key_id: str = ""
    """Of the device's key: a revoked station serves again only with another one."""
    chute_eyes: frozenset[Eye] = frozenset({Eye.PASS_CHUTE, Eye.FLAG_CHUTE, Eye.RECHECK_CHUTE})
    """Which of them are wired: a chute without one confirms nothing."""
    second_per_mille: int = 0
    """Of a thousand officers' judgements, how many another officer looks at too."""
    draw_key: bytes = field(default=b"", repr=False)
    """For that draw: the same key as for spot checks. Empty: nobody is drawn."""
    wedge_code: str = "KAKOU-WEDGE"
    wedge_valid_s: float = 86_400.0
    not_waybills: frozenset[str] = frozenset({"EAN13", "EAN8", "UPCA", "UPCE", "ISBN"})
    """Symbologies of goods: never a waybill's code."""
    waybill_shape: str = ""
    """A regular expression a waybill number must match besides; empty: any will do."""
    reaction_mm: float = 100.0
    margin_s: float = 0.5
    """A verdict must be there so far, and so long, before the parcel is at the diverter's eye."""
    pulse_within_s: float = 0.2
    """From the sight of the leading edge to the pulse: later it would move something else."""
    divert_gap_mm: float = 50.0
    """Nearer parcels may go the same way whatever is asked: one drags the other along."""
    divert_s: float = 0.5
    """So long the pulse lasts: what comes to the diverter meanwhile goes the same way."""
    chute_window_mm: float = 400.0
    """How far from `chute_mm` a chute's eye may see the parcel."""
    gone_mm: float = 300.0
    """A parcel that is not at the diverter so far behind its place is gone."""
    max_speed_mm_s: float = 2_000.0
    """A position that moves faster is no movement: the counter jumped."""
    belt_stale_s: float = 0.6
    tick_s: float = 0.25
    undo_s: float = 5.0
    floor_s: float = 1.5
    """A median judging time below this is no looking."""
    floor_least: int = 10
    """From so many judgements on."""
    pause_s: float = 60.0
    """So long the feed is withheld for it."""
    rotation_s: float = 1_200.0
    rest_s: float = 300.0
    """Whoever comes back sooner has not rested."""
    most_waiting: int = 6
    """More parcels for officers than this withhold the feed, until half of them are judged."""
    most_parcels: int = 200
    most_pictures: int = 96


@value(frozen=True, slots=True)
class Judgement:
    officer: str
    desk: str
    verdict: Verdict
    category: str
    note: str
    regions: tuple[Region, ...]
    took_s: float
    at_s: float


@value(frozen=True, slots=True)
class Parcel:
    """One parcel from the portal to a chute: all that is known of it, and nothing of any other."""

    number: int
    leading_mm: float
    trailing_mm: float | None = None
    """None: still in the portal's eye."""
    entered: str = "portal"
    off_mm: float = 0.0
    """How far behind its place it was where it was last seen: it is expected so far behind from there on."""
    settled: bool = False
    """All codes that can be its own have been read, and its neighbours are known."""
    read: str = ""
    texts: tuple[str, ...] = ()
    waybill_no: str = ""
    request: int = 0
    looked_up: bool = False
    goods: Goods | None = None
    wedge: bool = False
    wedge_asked: bool = False
    """An officer said before it came that it is the wedge."""
    composed: bool = False
    too_close: bool = False
    of_waybill: int = 1
    """Parcels under its waybill: it, those that were on the belt with it, those that have passed before."""
    picture: str = ""
    association: Association | None = None
    match: PictureTold | None = None
    analysis: Analysis | None = None
    analysis_failed: str = ""
    analyse_asked: bool = False
    waits: bool = False
    """For an officer."""
    reasons: tuple[Because, ...] = ()
    """Of the triage, the weightiest first."""
    first: Judgement | None = None
    """Drawn for a second look: this was the first one."""
    judged: Judgement | None = None
    verdict: Verdict | None = None
    by: str = ""
    machine: ParcelXRayed | None = None
    told: ParcelXRayed | None = None
    """The last that was told of it."""
    told_s: float = 0.0
    doubt: Because | None = None
    """Something happened to it or to the belt: it cannot pass any more, whatever was judged."""
    seen_by_xray: bool = False
    diverter_mm: float | None = None
    """Where the belt stood when its leading edge was at the diverter."""
    ordered: Chute | None = None
    seen_s: float = 0.0

    def end_mm(self) -> float:
        return self.trailing_mm if self.trailing_mm is not None else self.leading_mm

    def length_mm(self) -> float:
        return self.end_mm() - self.leading_mm


@value(frozen=True, slots=True)
class Over:
    """A parcel that has left the belt, for what comes too late."""

    number: int
    waybill_no: str
    leading_mm: float
    trailing_mm: float
    picture: str
    association: Association | None = None


@value(frozen=True, slots=True)
class Kept:
    """A picture in memory."""

    parcel: int
    waybill_no: str
    keep_class: str = "routine"
    on_disk: bool = False
    """Its evidence is durable, and a fact tells so."""


@value(frozen=True, slots=True)
class CodeSeen:
    """At the portal; `text` empty: nothing was read, `why` says it."""

    at_mm: float
    text: str
    symbology: str = ""
    why: str = ""


@value(frozen=True, slots=True)
class Desk:
    """An officer at a desk, here or remote."""

    desk: str
    officer: str
    may_judge: bool
    remote: bool
    since_s: float
    told_rest_s: float
    parcel: int = 0
    """In hand; 0: none."""
    shown_s: float | None = None
    """Since when its picture is on the screen."""
    offered_s: float = 0.0
    ahead: int = 0
    """The next one, to be fetched already."""
    last: int = 0
    """The one before: it may be taken back, or judged too late."""
    times: tuple[float, ...] = ()
    """Judging times, the last ones."""
    judged: int = 0
    paused_until_s: float = 0.0

    def median_s(self) -> float | None:
        return median(self.times) if self.times else None


@value(frozen=True, slots=True)
class Counts:
    """Parcels ended since the start."""

    passed: int = 0
    passed_by_machine: int = 0
    flagged: int = 0
    recheck: int = 0
    late: int = 0
    gone: int = 0
    added: int = 0
    pictures: int = 0


@value(frozen=True, slots=True)
class Station:
    """The whole state of a station."""

    settings: StationSettings
    belt: BeltRead | None = None
    belt_s: float = -1e9
    belt_mm: float | None = None
    """None: not known now."""
    far_mm: float = float("-inf")
    """The farthest the belt has been."""
    last_mm: float | None = None
    """The last position known, whatever came between."""
    last_s: float = -1e9
    origin: int = 0
    speed_mm_s: float = 0.0
    top_mm_s: float = 0.0
    """The belt's usual pace: a belt that starts again is as fast as ever before a pulse is over."""
    going_back: bool = False
    state_told: str = ""
    parcels: tuple[Parcel, ...] = ()
    """In the order of the belt, first come first."""
    over: tuple[Over, ...] = ()
    passed_waybills: tuple[str, ...] = ()
    """Of the last parcels that went into the pass chute, one each, since the start."""
    codes: tuple[CodeSeen, ...] = ()
    blocked: dict[Eye, float] = {}  # noqa: RUF012  as it runs, a struct: each gets its own
    """Eyes something cuts now, and where the belt stood when it began."""
    jammed: frozenset[Eye] = frozenset()
    chute_mm: dict[Eye, float] = {}  # noqa: RUF012
    """Up to here what a chute's eye sees is still the parcel it saw last."""
    desks: tuple[Desk, ...] = ()
    rested: tuple[tuple[str, float, float], ...] = ()
    """(officer, at work since, left at) of those who left lately."""
    pictures: dict[str, Kept] = {}  # noqa: RUF012
    owed: tuple[tuple[int, str], ...] = ()
    """(number, picture) in memory when the program died, evidence not known to be on the disk: it is, and the
    keeper finds it there, or that it is missing is told."""
    next_parcel: int = 1
    requests: int = 0
    lost: frozenset[str] = frozenset()
    room_ok: bool = True
    closed: str = ""
    revoked: bool = False
    fault: str = ""
    """A diverter that does what it was not asked to: nothing passes before an officer has looked."""
    wedge_until_s: float = -1e9
    wedge_calibration: str = ""
    wedge_next: bool = False
    permit: bool | None = None
    feed_reasons: tuple[str, ...] = ()
    crowded: bool = False
    light: Light | None = None
    due_mm: float = float("-inf")
    """As long as the belt is before it, and the parcels are `due_for`, nothing is due by position."""
    due_for: tuple[Parcel, ...] | None = None
    clear_at_mm: float | None = None
    """What lay on the belt when we did not watch is gone from here on."""
    clearing: bool = True
    leftover: int = 0
    """Parcels from before, told as recheck already, that will still come to the diverter."""
    trigger: bool = False
    online: bool = False
    offs: tuple[float, ...] = ()
    slip_told: bool = False
    counts: Counts = Counts()
    commands: tuple[tuple[str, Outcome, str], ...] = ()
    journal_ok: bool = True
    in_flight: Commit | None = None
    """The commit of the last step: durable unless the very next event is `WriteFailed`."""
    behind: tuple[Effect, ...] = ()
    unwritten: tuple[Told, ...] = ()
    unwritten_lost: int = 0
    unsaid: tuple[AnswerCommand, ...] = ()
    """Answers to the centre whose facts are not written yet."""


Step = tuple[Station, tuple[Effect, ...]]
Acts = list[Effect]
SAME_PLACE_MM = 5.0


def parcel_of(station: Station, number: int) -> Parcel | None:
    for parcel in station.parcels:
        if parcel.number == number:
            return parcel
    return None


def put(station: Station, parcel: Parcel) -> Station:
    parcels = tuple(parcel if p.number == parcel.number else p for p in station.parcels)
    return replace(station, parcels=parcels)


def counted_by_waybill(station: Station, parcel: Parcel) -> tuple[Station, Parcel]:
    """Its waybill is known: how many bear it, for it and for those beside it."""
    if not parcel.waybill_no:
        return station, parcel
    others = [p for p in station.parcels if p.number != parcel.number and p.waybill_no == parcel.waybill_no]
    many = 1 + len(others) + station.passed_waybills.count(parcel.waybill_no)
    for other in others:
        station = put(station, replace(other, of_waybill=max(other.of_waybill, many)))
    return station, replace(parcel, of_waybill=max(parcel.of_waybill, many))


def surplus(parcel: Parcel) -> bool:
    """More parcels bear its waybill than were declared under it: which of them is too many nobody knows."""
    declared = 1 if parcel.goods is None else parcel.goods.pieces
    return parcel.of_waybill > max(1, declared)


def all_in_doubt(station: Station, because: Because) -> tuple[Station, Acts]:
    parcels = tuple(p if p.doubt is not None else replace(p, doubt=because) for p in station.parcels)
    return replace(station, parcels=parcels), []


def wedge_valid(station: Station, at_s: float) -> bool:
    return at_s < station.wedge_until_s
