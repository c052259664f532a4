"""Tables of the statistics page, out of tallies: the same numbers go to the screen, to the plot and
into the CSV file.

A middle or nine-tenths lane time is told as the upper end of the band it lies in (`shown.LANE_BANDS_S`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

from sync.hub.console.reading import TURNS, lasted_s
from sync.hub.console.shown import DAILY, LANE_BANDS_S, Shown, StateRow, Tally, Total

Whats = Mapping[str, Total]
"""what -> its total, of one name."""
NONE: Final = Total(0, 0.0)
NO_TURNS: Final[Mapping[str, Whats]] = {}
LONGEST_DAYS: Final = 400
MOST_ROWS: Final = 500
MOST_CURVES: Final = 8


class Unit(enum.StrEnum):
    """How a number is written."""

    COUNT = "n"
    SECONDS = "s"
    WITHIN = "within"
    """Seconds, the upper end of a band."""
    SHARE = "share"
    """Of 1, shown as per cent."""
    HOURS = "h"
    AN_HOUR = "an_hour"


class Column(NamedTuple):
    key: str
    """Of its words: `statistics.column.KEY`."""
    unit: Unit
    value: Callable[[Whats], float | None]


class Row(NamedTuple):
    name: str
    values: tuple[float | None, ...]


class Table(NamedTuple):
    key: str
    """Of its words: `statistics.table.KEY`."""
    names: str
    """What its names are: `day`, `device`, `enterprise`, `officer`, `reason`, `x_ray_reason`, ..."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None
    left_out: int = 0
    """Rows beyond what was asked for."""


class Curves(NamedTuple):
    x: tuple[str, ...]
    """Days, or hours of one day."""
    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    """One list a name, as long as `x`."""


def count(*whats: str) -> Callable[[Whats], float | None]:
    return lambda found: sum(found.get(what, NONE).n for what in whats)


def mean_s(what: str) -> Callable[[Whats], float | None]:
    return lambda found: found.get(what, NONE).mean_s()


def hours(*whats: str) -> Callable[[Whats], float | None]:
    return lambda found: sum(found.get(what, NONE).seconds for what in whats) / 3600.0


def share(part: str, *whole: str) -> Callable[[Whats], float | None]:
    def of(found: Whats) -> float | None:
        all_of_it = sum(found.get(what, NONE).n for what in whole)
        return found.get(part, NONE).n / all_of_it if all_of_it else None

    return of


def an_hour(what: str, time_of: str) -> Callable[[Whats], float | None]:
    """Of time spent, not of the clock: None where no turn at a desk has ended."""

    def of(found: Whats) -> float | None:
        spent_s = found.get(time_of, NONE).seconds
        return found.get(what, NONE).n * 3600.0 / spent_s if spent_s > 0 else None

    return of


def lane_within(part: float) -> Callable[[Whats], float | None]:
    """The band that so much of all lane times lies in or below; None: above all bands, or none crossed."""

    def of(found: Whats) -> float | None:
        bands = [(band_s, found.get(f"lane_{band_s}", NONE).n) for band_s in LANE_BANDS_S]
        whole = sum(n for _, n in bands) + found.get("lane_longer", NONE).n
        below = 0
        for band_s, n in bands:
            below += n
            if n and below >= part * whole:
                return float(band_s)
        return None

    return of


_N, _S, _W, _P, _H, _R = Unit.COUNT, Unit.SECONDS, Unit.WITHIN, Unit.SHARE, Unit.HOURS, Unit.AN_HOUR

_PASSAGES: Final = (
    Column("opened", _N, count("opened")),
    Column("released", _N, count("released")),
    Column("inspected", _N, count("inspected")),
    Column("held", _N, count("held")),
    Column("crossed", _N, count("crossed")),
)
_LANE_TIMES: Final = (
    Column("lane_mean", _S, mean_s("closed_crossed")),
    Column("lane_half", _W, lane_within(0.5)),
    Column("lane_nine_tenths", _W, lane_within(0.9)),
    Column("hold_mean", _S, mean_s("hold_ended")),
)
_X_RAY: Final = (
    Column("passed", _N, count("passed")),
    Column("flagged", _N, count("flagged")),
    Column("recheck", _N, count("recheck")),
)
COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "day": (
        *_PASSAGES,
        *_LANE_TIMES,
        *_X_RAY,
        Column("scanned", _N, count("scanned")),
        Column("inspections", _N, count("inspections")),
        Column("slip_checks", _N, count("slip_checks")),
        Column("alarms", _N, count("alarm")),
    ),
    "lane": (
        *_PASSAGES,
        Column("backed_out", _N, count("closed_backed_out")),
        Column("ungated", _N, count("closed_ungated")),
        *_LANE_TIMES,
        Column("supplemented", _N, count("supplemented")),
        Column("lane_checked", _N, count("lane_checked")),
        Column("alarms", _N, count("alarm")),
    ),
    "station": (
        Column("seen", _N, count("seen")),
        *_X_RAY,
        Column("flagged_share", _P, share("flagged", "passed", "flagged", "recheck")),
        Column("pace", _R, an_hour("seen", "hours_seen")),
        Column("no_waybill", _N, count("no_waybill")),
        Column("undone", _N, count("undone")),
        Column("gone", _N, count("gone")),
        Column("alarms", _N, count("alarm")),
    ),
    "handheld": (
        Column("scanned", _N, count("scanned")),
        Column("scan_release", _N, count("scanned_release")),
        Column("scan_inspect", _N, count("scanned_inspect")),
        Column("scan_hold", _N, count("scanned_hold")),
        Column("scan_unknown", _N, count("scanned_unknown")),
        Column("inspections", _N, count("inspections")),
        Column("slip_checks", _N, count("slip_checks")),
    ),
    "enterprise": (
        Column("ruled", _N, count("ruled")),
        Column("released", _N, count("released")),
        Column("inspected", _N, count("inspected")),
        Column("held", _N, count("held")),
        Column("spot_checked", _N, count("spot_checked")),
        Column("spot_checked_share", _P, share("spot_checked", "ruled")),
        Column("slip_checks", _N, count("slip_checks")),
        Column("slip_checks_differing", _N, count("slip_checks_differing")),
        Column("crossed", _N, count("crossed")),
        Column("lane_mean", _S, mean_s("crossed")),
        Column("passed", _N, count("parcels_passed")),
        Column("flagged", _N, count("parcels_flagged")),
        Column("recheck", _N, count("parcels_recheck")),
        Column("inspections", _N, count("inspections")),
        Column("found", _N, count("found")),
    ),
    "officer": (
        Column("judged", _N, count("judged")),
        Column("judged_flagged", _N, count("judged_flagged")),
        Column("judged_second", _N, count("judged_second")),
        Column("judged_mean", _S, mean_s("judged")),
        Column("desk_hours", _H, hours("at_desk")),
        Column("desk_pace", _R, an_hour("judged", "at_desk")),
        Column("undone", _N, count("undone")),
        Column("rest_due", _N, count("rest_due")),
        Column("scanned", _N, count("scanned", "scanned_unknown")),
        Column("handheld_hours", _H, hours("signed_in")),
        Column("orders_taken", _N, count("orders_taken")),
        Column("inspections", _N, count("inspections")),
        Column("findings", _N, count("findings")),
        Column("found", _N, count("found")),
        Column("slip_checks", _N, count("slip_checks")),
        Column("released_by_hand", _N, count("released")),
        Column("supplemented", _N, count("supplemented")),
        Column("commands", _N, count("commands")),
    ),
    "reason": _PASSAGES[1:4],
    "x_ray_reason": (
        Column("word_passed", _N, count("passed")),
        Column("word_flagged", _N, count("flagged")),
        Column("word_recheck", _N, count("recheck")),
    ),
    "scan_reason": (
        Column("scan_release", _N, count("release")),
        Column("scan_inspect", _N, count("inspect")),
        Column("scan_hold", _N, count("hold")),
    ),
    "category": (Column("word_flagged", _N, count("flagged")),),
    "finding": (Column("findings", _N, count("made")),),
    "alarm": (Column("alarms", _N, count("alarm")),),
    "stage": (
        Column("crossed", _N, count("stage")),
        Column("stage_mean", _S, mean_s("stage")),
    ),
}

VIEWS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "day": (("day", "day"),),
    "lane": (("lane", "device"), ("stage", "stage")),
    "station": (("station", "device"), ("handheld", "device")),
    "enterprise": (("enterprise", "enterprise"),),
    "officer": (("officer", "officer"),),
    "reason": (
        ("reason", "reason"),
        ("x_ray_reason", "x_ray_reason"),
        ("category", "category"),
        ("scan_reason", "scan_reason"),
        ("finding", "finding"),
        ("alarm", "alarm"),
    ),
}
"""view -> (table, whose tallies it is made of)."""

CURVES: Final = {
    "day": ("device", ("released", "inspected", "held", "passed", "flagged", "recheck")),
    "lane": ("device", ("opened",)),
    "station": ("device", ("seen",)),
    "enterprise": ("enterprise", ("ruled",)),
    "officer": ("officer", ("judged", "scanned", "inspections")),
    "reason": ("reason", ("held", "inspected")),
}
"""view -> whose tallies, and what is drawn. `day`: a curve for each what; others: one for each name."""

_BY_WHAT: Final = {"lane": "opened", "station": "seen", "handheld": "scanned"}
"""Tables of some devices only: which of them."""


def open_turns(
    states: Iterable[StateRow], heard_utc: Callable[[str], str], name: str | None = None
) -> dict[str, dict[str, Total]]:
    """Officer -> what -> the time of turns that have not ended, up to the device's last word: a desk that
    has lost its station is nobody's work."""
    found: dict[str, dict[str, Total]] = {}
    for row in states:
        what = TURNS.get(row.what)
        if what is None or name not in (None, row.word):
            continue
        whats = found.setdefault(row.word, {})
        seconds = whats.get(what, NONE).seconds + lasted_s(row.utc, heard_utc(row.device))
        whats[what] = Total(0, seconds)
    return found


def tables_of(
    shown: Shown,
    view: str,
    from_day: str,
    to_day: str,
    name: str | None = None,
    most_rows: int | None = None,
    turns: Mapping[str, Whats] = NO_TURNS,
) -> list[Table]:
    """All tables of a view; of one name alone where one is given. `most_rows` None: every row. `turns`: those
    that go on."""
    tables = []
    for key, by in VIEWS[view]:
        if key == "day":
            totals = shown.totals_by_day(from_day, to_day, DAILY)
        else:
            totals = shown.totals(from_day, to_day, DAILY if by == "device" else by, name)
        if key == "station":
            totals = with_hours_seen(totals, shown.hours_with(from_day, to_day, "seen"))
        if key == "officer":
            totals = {
                officer: added((totals.get(officer, {}), turns.get(officer, {})))
                for officer in {**totals, **turns}
            }
        tables.append(table(key, by, totals, most_rows))
    return tables


def table(key: str, names: str, totals: Mapping[str, Whats], most_rows: int | None = None) -> Table:
    """Most first. Rows with nothing in any column are left out."""
    columns = COLUMNS[key]
    needed = _BY_WHAT.get(key)
    chosen = {name: found for name, found in totals.items() if needed is None or _does(key, needed, found)}
    rows = [Row(name, tuple(column.value(found) for column in columns)) for name, found in chosen.items()]
    rows = [row for row in rows if any(row.values)]
    rows.sort(key=lambda row: (row.name,) if key == "day" else (*_falling(row.values), row.name))
    total = None
    if len(rows) > 1:
        whole = added(chosen.values())
        total = Row("", tuple(column.value(whole) for column in columns))
    kept = tuple(rows[:most_rows])
    return Table(key, names, columns, kept, total, len(rows) - len(kept))


def added(every: Iterable[Whats]) -> dict[str, Total]:
    whole: dict[str, Total] = {}
    for found in every:
        for what, total in found.items():
            known = whole.get(what, NONE)
            whole[what] = Total(known.n + total.n, known.seconds + total.seconds)
    return whole


def by_day(tallies: Iterable[Tally]) -> dict[str, dict[str, Total]]:
    """day -> what -> total, of all names."""
    found: dict[str, dict[str, Total]] = {}
    for each in tallies:
        whats = found.setdefault(each.day, {})
        known = whats.get(each.what, NONE)
        whats[each.what] = Total(known.n + each.n, known.seconds + each.seconds)
    return found


def with_hours_seen(
    totals: Mapping[str, Whats], hours_seen: Mapping[str, int]
) -> dict[str, dict[str, Total]]:
    """`hours_seen`: name -> in how many hours a line saw a parcel; pace is of those alone."""
    return {
        name: {**found, "hours_seen": Total(hours_seen.get(name, 0), hours_seen.get(name, 0) * 3600.0)}
        for name, found in totals.items()
    }


def curves(view: str, tallies: Iterable[Tally], from_day: str, to_day: str) -> Curves:
    """By the hour where it is one day and hours are known, else by the day."""
    _, whats = CURVES[view]
    is_hourly = is_by_hour(view, from_day, to_day)
    x = tuple(f"{hour:02d}" for hour in range(24)) if is_hourly else days(from_day, to_day)
    places = {each: place for place, each in enumerate(x)}
    found: dict[str, list[int]] = {what: [0] * len(x) for what in whats} if view == "day" else {}
    for each in tallies:
        place = places.get(f"{each.hour:02d}" if is_hourly else each.day)
        if each.what in whats and place is not None:
            name = each.what if view == "day" else each.name
            found.setdefault(name, [0] * len(x))[place] += each.n
    names = list(found)
    if view != "day":
        names = sorted(names, key=lambda name: (-sum(found[name]), name))[:MOST_CURVES]
    return Curves(x, tuple(names), tuple(tuple(found[name]) for name in names))


def is_by_hour(view: str, from_day: str, to_day: str) -> bool:
    return from_day == to_day and CURVES[view][0] == "device"


def days(from_day: str, to_day: str) -> tuple[str, ...]:
    first, last = date.fromisoformat(from_day), date.fromisoformat(to_day)
    return tuple(f"{first + timedelta(days=number):%Y-%m-%d}" for number in range((last - first).days + 1))


def written(value: float | None, unit: Unit) -> str:
    """As it stands on the screen."""
    if value is None:
        return "–"
    match unit:
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.SECONDS:
            return f"{value:,.1f}"
        case Unit.WITHIN:
            return f"≤ {value:,.0f}"
        case Unit.SHARE:
            return f"{value * 100:.1f} %"
        case Unit.HOURS:
            return f"{value:,.2f}"
        case Unit.AN_HOUR:
            return f"{value:,.0f}"


def plain(value: float | None, unit: Unit) -> str:
    """As it stands in a file: a number, or nothing."""
    if value is None:
        return ""
    return f"{value:.0f}" if unit in (Unit.COUNT, Unit.WITHIN) else f"{value:.4f}"


_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""The wide ones count too where the spreadsheet is a Chinese one."""


def safe_cell(text: str) -> str:
    """A name that came from outside is no formula for whoever opens the file."""
    return f"'{text}" if text[:1] in _FORMULA else text


def _does(key: str, needed: str, found: Whats) -> bool:
    if key == "handheld":
        return any(what in found for what in (needed, "scanned_unknown", "slip_checks", "inspections"))
    return needed in found or (key == "station" and "x_rayed" in found)


def _falling(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(-(value or 0.0) for value in values)
