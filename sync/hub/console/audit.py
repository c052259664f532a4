"""What was read and done at the centre, as it is kept: by who, what, of whom and when. SQL, no HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from sync.hub.archive import Archive, CentreAct

A_PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked for; an empty text asks nothing. Times are UTC."""

    officer: str = ""
    what: str = ""
    subject: str = ""
    from_utc: str = ""
    until_utc: str = ""
    before: int = 0
    """Only rows older than this one; 0: from the latest on."""


class ReadRow(NamedTuple):
    id: int
    at_utc: str
    officer: str
    what: str
    subject: str
    detail: str


class ActRow(NamedTuple):
    id: int
    act: CentreAct


def reads(archive: Archive, asked: Asked, most: int = A_PAGE) -> tuple[tuple[ReadRow, ...], int]:
    """The latest first, and how many there are in all."""
    where, values = _where(
        (("officer = ?", asked.officer), ("what = ?", asked.what), ("subject = ?", asked.subject)), asked
    )
    (count,) = archive.engine.execute(f"SELECT count(*) FROM console_reads{where}", values).fetchone()  # noqa: S608
    where, values = _older(where, values, asked.before)
    rows = archive.engine.execute(
        f"SELECT id, at_utc, officer, what, subject, detail FROM console_reads{where} "  # noqa: S608
        "ORDER BY id DESC LIMIT ?",
        (*values, most),
    ).fetchall()
    return tuple(map(ReadRow._make, rows)), int(count)


def acts(archive: Archive, asked: Asked, most: int = A_PAGE) -> tuple[tuple[ActRow, ...], int]:
    """The latest first, and how many there are in all."""
    named = json.dumps(asked.officer) if asked.officer else ""
    pattern = f"%{_escaped(named)}%" if named else ""
    where, values = _where(
        (("officers LIKE ? ESCAPE '!'", pattern), ("act = ?", asked.what), ("subject = ?", asked.subject)),
        asked,
    )
    (count,) = archive.engine.execute(f"SELECT count(*) FROM centre_acts{where}", values).fetchone()  # noqa: S608
    where, values = _older(where, values, asked.before)
    rows = archive.engine.execute(
        f"SELECT id, at_utc, act, subject, officers, reason, detail FROM centre_acts{where} "  # noqa: S608
        "ORDER BY id DESC LIMIT ?",
        (*values, most),
    ).fetchall()
    return (
        tuple(
            ActRow(number, CentreAct(at, act, subject, tuple(json.loads(officers)), reason, detail))
            for number, at, act, subject, officers, reason, detail in rows
        ),
        int(count),
    )


def _where(columns: tuple[tuple[str, str], ...], asked: Asked) -> tuple[str, tuple[object, ...]]:
    wanted = (*columns, ("at_utc >= ?", asked.from_utc), ("at_utc < ?", asked.until_utc))
    given = [(clause, value) for clause, value in wanted if value]
    clauses = " AND ".join(clause for clause, _ in given)
    return (f" WHERE {clauses}" if clauses else "", tuple(value for _, value in given))


def _older(where: str, values: tuple[object, ...], before: int) -> tuple[str, tuple[object, ...]]:
    if not before:
        return where, values
    return f"{where}{' AND' if where else ' WHERE'} id < ?", (*values, before)


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
