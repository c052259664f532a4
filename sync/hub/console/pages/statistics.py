"""/statistics and /statistics.csv: per day, lane, station, enterprise, officer and reason."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from sync.hub.console import statistics as made
from sync.hub.console.accounts import Role
from sync.hub.console.context import LANGUAGES, Console, Session, console_of, language_of, signed_in
from sync.hub.console.refusing import Refused
from sync.hub.console.shown import DAILY, Shown
from sync.hub.console.statistics import Table, Unit, plain, safe_cell, written
from sync.hub.console.words import WORDS
from sync.hub.console.words.facts import VALUES
from sync.vocabulary import rulings, xray_reasons
from sync.vocabulary.codec import Malformed, from_json
from sync.vocabulary.records import Enterprise

router = APIRouter(include_in_schema=False)
View = Literal["day", "lane", "station", "enterprise", "officer", "reason"]
Day = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
LAST_DAYS: Final = 7
_SEES_ALL: Final = frozenset({Role.LEAD, Role.AUDIT, Role.ADMIN})
_OF_PERSONS: Final = ("officer", "enterprise")


@router.get("/statistics")
def page(
    request: Request,
    session: Annotated[Session, Depends(signed_in)],
    view: View = "day",
    from_: Annotated[Day, Query(alias="from")] = "",
    to: Day = "",
) -> Response:
    console = console_of(request)
    from_day, to_day = days_asked(console, from_, to)
    number = LANGUAGES.index(language_of(request))
    tables, drawn, labels = _tables(
        console, session, view, from_day, to_day, number, most_rows=made.MOST_ROWS
    )
    _note(console, session, view, from_day, to_day)
    today = date.fromisoformat(console.today())
    spans = [
        (
            key,
            f"{today - timedelta(days=more + length - 1):%Y-%m-%d}",
            f"{today - timedelta(days=more):%Y-%m-%d}",
        )
        for key, more, length in (("today", 0, 1), ("yesterday", 1, 1), ("week", 0, 7), ("month", 0, 30))
    ]
    names = [
        WORDS[f"statistics.column.{name}"][number] if view == "day" else labels.get(name, name)
        for name in drawn.names
    ]
    return console.page(
        request,
        "statistics.html",
        view=view,
        views=tuple(made.VIEWS),
        from_day=from_day,
        to_day=to_day,
        spans=spans,
        tables=tables,
        shown_tables=[each for place, each in enumerate(tables) if each.rows or not place],
        labels=labels,
        written=written,
        baseline_s=console.part.baseline_lane_s,
        only_own=view == "officer" and not _sees_all(session),
        curves={"x": drawn.x, "names": names, "values": drawn.values},
    )


@router.get("/statistics.csv")
def file(
    request: Request,
    session: Annotated[Session, Depends(signed_in)],
    view: View = "day",
    from_: Annotated[Day, Query(alias="from")] = "",
    to: Day = "",
) -> Response:
    """Every table of the view, one below the other, all rows of each."""
    console = console_of(request)
    from_day, to_day = days_asked(console, from_, to)
    number = LANGUAGES.index(language_of(request))
    with console.heavy() as heavy:
        tables, _, labels = _tables(console, session, view, from_day, to_day, number, heavy.shown)
    _note(console, session, view, from_day, to_day)
    out = io.StringIO()
    # Spreadsheets take a file for the system's old code page without the mark.
    out.write("\ufeff")
    writer = csv.writer(out)
    for each in tables:
        writer.writerow([WORDS[f"statistics.table.{each.key}"][number], f"{from_day} – {to_day}"])
        heads = [_head(column.key, column.unit, number) for column in each.columns]
        writer.writerow([WORDS["statistics.name"][number], WORDS["statistics.label"][number], *heads])
        for row in each.rows:
            cells = (
                plain(value, column.unit) for value, column in zip(row.values, each.columns, strict=True)
            )
            writer.writerow([safe_cell(row.name), safe_cell(labels.get(row.name, "")), *cells])
        writer.writerow([])
    return Response(
        out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="kakou-{view}-{from_day}-{to_day}.csv"',
            "Cache-Control": "no-store",
        },
    )


def days_asked(console: Console, from_: str, to: str) -> tuple[str, str]:
    """Raises 422 with what was expected."""
    try:
        last = date.fromisoformat(to or console.today())
        first = date.fromisoformat(from_) if from_ else last - timedelta(days=LAST_DAYS - 1)
    except (ValueError, OverflowError):
        raise Refused(422, "days_form") from None
    if not 0 <= (last - first).days < made.LONGEST_DAYS:
        raise Refused(422, "days_between", made.LONGEST_DAYS)
    return f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"


def _tables(
    console: Console,
    session: Session,
    view: View,
    from_day: str,
    to_day: str,
    number: int,
    read: Callable[[], AbstractContextManager[Shown]] | None = None,
    most_rows: int | None = None,
) -> tuple[list[Table], made.Curves, dict[str, str]]:
    own = session.officer if view == "officer" and not _sees_all(session) else None
    with (read or console.shown)() as shown, shown.moment():
        turns = turns_now(console, shown, to_day, own) if view == "officer" else made.NO_TURNS
        tables = made.tables_of(shown, view, from_day, to_day, own, most_rows, turns)
        drawn_names = tuple(row.name for row in tables[0].rows[: made.MOST_CURVES])
        by, whats = made.CURVES[view]
        if by == "device" and not made.is_by_hour(view, from_day, to_day):
            by = DAILY
        names = None if view == "day" else drawn_names
        drawn = made.curves(view, shown.tallies_of(from_day, to_day, by, whats, names), from_day, to_day)
    return tables, drawn, _labels(console, tables, number)


def turns_now(console: Console, shown: Shown, to_day: str, own: str | None) -> Mapping[str, made.Whats]:
    """Of officers who are at a desk or signed in at a handheld; none where the days asked for are over."""
    if to_day < console.today():
        return made.NO_TURNS
    with console.archive() as archive:
        return made.open_turns(shown.states(), lambda device: (archive.status(device) or ("", ""))[1], own)


def _labels(console: Console, tables: Iterable[Table], number: int) -> dict[str, str]:
    """What a name is called where it is not its own label."""
    found: dict[str, str] = {}
    for each in tables:
        names = [row.name for row in each.rows]
        match each.names:
            case "enterprise":
                with console.archive() as archive:
                    for code, body in archive.last_versions("enterprises", names).items():
                        try:
                            found[code] = from_json(body, Enterprise).name
                        except Malformed:
                            continue
            case "reason" | "scan_reason":
                found |= _texts(names, rulings.Reason, rulings.TEXTS, number)
            case "x_ray_reason":
                found |= _texts(names, xray_reasons.XRayReason, xray_reasons.TEXTS, number)
            case "device" | "officer" | "day":
                pass
            case of:
                words = {name: WORDS.get(f"{of}.{name}") for name in names}
                found |= {name: pair[number] for name, pair in words.items() if pair is not None}
    return found


def _texts(names: Iterable[str], codes: Any, texts: Any, number: int) -> dict[str, str]:
    known = {code.value: texts[code] for code in codes if code in texts}
    return {
        name: _without_detail((known[name].zh, known[name].en)[number]) for name in names if name in known
    } | {name: VALUES[name][number] for name in names if name not in known and name in VALUES}


def _without_detail(text: str) -> str:
    """What a driver reads, of no one vehicle."""
    plain = re.sub(r"^\{detail\} (?=over|under)", "Weight ", text).replace(": {detail}", "")
    return re.sub(r"(?<=[\u4e00-\u9fff]) \{detail\}", "", plain).replace("{detail}", "…")


def _head(key: str, unit: Unit, number: int) -> str:
    words = WORDS[f"statistics.column.{key}"][number]
    of_unit = WORDS[f"statistics.unit.{unit.value}"][number]
    return f"{words} ({of_unit})" if of_unit else words


def _sees_all(session: Session) -> bool:
    """Of other officers' work: not everybody who may look at the wall."""
    return bool(session.roles & _SEES_ALL)


def _note(console: Console, session: Session, view: str, from_day: str, to_day: str) -> None:
    if view in _OF_PERSONS:
        console.note_read(session, "statistics", f"{view} {from_day} – {to_day}")
