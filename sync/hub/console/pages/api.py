"""/api/v1: what the pages show, for programs. It reads and changes nothing. /metrics for Prometheus; /api,
where programs are given their tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse

from sync.hub.console import statistics as made
from sync.hub.console.accounts import Role, note_read
from sync.hub.console.alarms import HUB
from sync.hub.console.context import Console, Session, commanding, console_of, needs
from sync.hub.console.pages.statistics import Day, View, days_asked, turns_now
from sync.hub.console.refusing import Refused, words_of
from sync.hub.console.shown import DAILY, HOURLY, TALLIES, PassageRow
from sync.hub.console.tokens import LONGEST_DAYS, TokenRefused, holder_of, make_token, revoke_token, tokens
from sync.hub.console.words import WORDS
from sync.hub.looking_back import passages_told
from sync.store.journal import utc_now
from sync.vocabulary.facts import Stream
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.rulings import Text

MOST: Final = 1_000
MOST_DAYS_BY_HOUR: Final = 31
MOST_NUMBER: Final = 2**62
MOST_TALLIES: Final = 200_000
Name = Annotated[str, Query(min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=MOST)]
Time = Annotated[str, Query(max_length=40, pattern=r"^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z)?$")]
Device = Annotated[str, Path(min_length=1, max_length=200)]
Epoch = Annotated[str, Path(min_length=1, max_length=64)]
Number = Annotated[int, Path(ge=0, le=MOST_NUMBER)]
By = Literal[
    "device", "enterprise", "officer", "reason", "x_ray_reason", "scan_reason", "category", "finding",
    "alarm", "stage",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asker:
    """`officer 4604001` or `program lims`."""

    name: str
    sees_all: bool
    """Of other officers' work."""


def asker(request: Request) -> Asker:
    """A dependency: a signed-in officer, or a program with its token. Raises 401."""
    console = console_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        with console.archive() as archive:
            name = holder_of(archive, token.strip(), utc_now())
        if name is None:
            raise Refused(401, "token")
        return Asker(f"program {name}", sees_all=True)
    session = console.session(request)
    if session is None:
        raise Refused(401, "not_signed_in")
    return Asker(session.officer, sees_all=bool(session.roles & {Role.LEAD, Role.AUDIT, Role.ADMIN}))


Asking = Annotated[Asker, Depends(asker)]
reads = APIRouter(prefix="/api/v1", tags=["kakou"])
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Passage:
    """One vehicle's attempt to pass a lane. Times are UTC; empty text: not known or not yet."""

    device: str
    epoch: str
    """In which it was opened: with device and number its address. A lane that lost its disk counts again in
    another one."""
    passage: int
    day: str
    """By the site's clock."""
    hour: int
    opened_utc: str
    gated: bool
    plate: str
    direction: str
    slips: list[str]
    enterprise: str
    gross_kg: str
    expected_kg: str
    verdict: str
    """`release`, `inspect`, `hold`: the last one."""
    reasons: list[str]
    owner: str
    ways: list[str]
    officer: str
    claim: str
    ruled_utc: str
    held_utc: str
    """Since when it is held; empty where it is not."""
    crossed_utc: str
    outcome: str
    lane_s: float | None
    closed_utc: str


@dataclass(frozen=True, slots=True)
class Passages:
    """Latest first. next: to be given as `after`; empty: there are no more."""

    passages: list[Passage]
    next: str


@dataclass(frozen=True, slots=True)
class FactAsStored:
    """body: the exact text that the hash covers (SHA-256); parse it, never write it anew."""

    device: str
    epoch: str
    stream: str
    seq: int
    hash: str
    stored_utc: str
    body: str


@dataclass(frozen=True, slots=True)
class ParcelWord:
    """The last word on a parcel. at: `x_ray` (passed, flagged, recheck) or `handheld` (release, inspect,
    hold)."""

    waybill_no: str
    at: str
    verdict: str
    by: str
    category: str
    officer: str
    device: str
    parcel: int | None
    chute: str
    utc: str


@dataclass(frozen=True, slots=True)
class AlarmTold:
    """The hub's own: of no epoch, the stream `hub`, `seq` its number; about a device, or none."""

    device: str
    epoch: str
    stream: str
    seq: int
    utc: str
    code: str
    passage: int | None
    detail: str
    zh: str
    en: str
    owner: str
    taken_utc: str
    ended_utc: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A fact that names somebody or something."""

    utc: str
    device: str
    epoch: str
    stream: str
    seq: int
    kind: str
    passage: int | None


@dataclass(frozen=True, slots=True)
class DeviceTold:
    """status: what the device said last, as it said it. facts: how many are stored without a gap."""

    device: str
    received_utc: str
    status: dict[str, Any] | None
    facts: int
    states: dict[str, str]
    """What stands at it now: `what` or `what name` -> word."""


@dataclass(frozen=True, slots=True)
class TallyTold:
    """hour: by the site's clock, -1 where only days are counted. seconds: a sum of times, if any."""

    day: str
    hour: int
    name: str
    what: str
    n: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StatisticsTable:
    table: str
    columns: list[str]
    units: list[str]
    rows: dict[str, list[float | None]]


@reads.get("/passages")
def passages(
    request: Request,
    who: Asking,
    since: Time = "",
    until: Time = "",
    device: Annotated[str, Query(max_length=200)] = "",
    plate: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str, Query(max_length=300)] = "",
    limit: Limit = 100,
) -> Passages:
    """Opened from `since` and before `until`, latest first."""
    console = console_of(request)
    _note(console, who, "passages", plate or f"{device} {since} – {until}".strip())
    where, values = ["opened_utc >= ?", "opened_utc < ?"], [_full(since) or "0", _full(until) or "9999"]
    for column, value in (("device", device), ("plate", plate)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    if after:
        at, _, rest = after.partition("|")
        number, _, of = rest.partition("|")
        if not number.isdecimal() or len(number) > 19:
            raise Refused(422, "after")
        where.append("(opened_utc, device, passage) < (?, ?, CAST(? AS INTEGER))")
        values += [at, of, number]
    with console.shown() as shown:
        rows = [
            PassageRow._make(row)
            for row in shown.execute(
                f"SELECT {', '.join(PassageRow._fields)} FROM passages WHERE {' AND '.join(where)} "  # noqa: S608
                "ORDER BY opened_utc DESC, device DESC, passage DESC LIMIT ?",
                (*values, limit + 1),
            )
        ]
    last = rows[limit - 1] if len(rows) > limit else None
    more = "" if last is None else f"{last.opened_utc}|{last.passage}|{last.device}"
    return Passages([_passage(row) for row in rows[:limit]], more)


@dataclass(frozen=True, slots=True)
class SeveralPassages:
    """More than one has this number: ask by epoch."""

    code: str
    epochs: list[str]
    """The one opened last at the end."""


_SEVERAL: Final[dict[int | str, dict[str, Any]]] = {300: {"model": SeveralPassages}}


@reads.get("/passages/{device}/{passage}", responses=_SEVERAL)
def passage(request: Request, who: Asking, device: Device, passage: Number) -> Any:
    """One passage, as below, where only one has this number; else the epochs to ask by."""
    found = _of_number(request, device, passage)
    if len(found) > 1:
        return _several(found)
    _note(console_of(request), who, "passage", f"{device}/{passage}")
    return _passage(found[0])


@reads.get("/passages/{device}/{passage}/facts", responses=_SEVERAL)
def facts_of_number(request: Request, who: Asking, device: Device, passage: Number) -> Any:
    """Its facts, as below, where only one has this number; else the epochs to ask by."""
    found = _of_number(request, device, passage)
    if len(found) > 1:
        return _several(found)
    return facts_of_passage(request, who, device, found[0].epoch, passage)


@reads.get("/passages/{device}/{epoch}/{passage}")
def passage_of_epoch(request: Request, who: Asking, device: Device, epoch: Epoch, passage: Number) -> Passage:
    """One passage: device, the epoch it was opened in, and number."""
    row = next((row for row in _of_number(request, device, passage) if row.epoch == epoch), None)
    if row is None:
        raise Refused(404, "no_such_passage")
    _note(console_of(request), who, "passage", f"{device}/{passage}")
    return _passage(row)


@reads.get("/passages/{device}/{epoch}/{passage}/facts")
def facts_of_passage(
    request: Request, who: Asking, device: Device, epoch: Epoch, passage: Number
) -> list[FactAsStored]:
    """All facts of it, in the device's own order, at most 1,000; what was issued again stands once."""
    console = console_of(request)
    with console.archive() as archive:
        numbered = passages_told(archive, device, passage)
        told = next((each.told for each in numbered if each.epoch == epoch), ())
        if not told:
            raise Refused(404, "no_such_passage")
        rows = archive.engine.execute(
            "SELECT device, epoch, stream, seq, hash, stored_utc, body FROM facts "
            "WHERE device = ? AND passage = ?",
            (device, passage),
        ).fetchall()
    _note(console, who, "passage", f"{device}/{passage}")
    stored = {(row[1], row[2], row[3]): FactAsStored(*row) for row in rows}
    return [stored[one.epoch, one.stream.value, one.fact.seq] for one in told[:MOST]]


def _of_number(request: Request, device: str, passage: int) -> tuple[PassageRow, ...]:
    """Raises 404."""
    with console_of(request).shown() as shown:
        found = shown.passages_numbered(device, passage)
    if not found:
        raise Refused(404, "no_such_passage")
    return found


def _several(found: Sequence[PassageRow]) -> JSONResponse:
    return JSONResponse({"code": "several_passages", "epochs": [row.epoch for row in found]}, 300)


@reads.get("/facts/{device}/{epoch}/{stream}/{seq}")
def fact(
    request: Request,
    who: Asking,
    device: Device,
    epoch: Annotated[str, Path(max_length=200)],
    stream: Stream,
    seq: Number,
) -> FactAsStored:
    """One fact by its identity."""
    console = console_of(request)
    with console.archive() as archive:
        row = archive.engine.execute(
            "SELECT device, epoch, stream, seq, hash, stored_utc, body FROM facts "
            "WHERE device = ? AND epoch = ? AND stream = ? AND seq = ?",
            (device, epoch, stream.value, seq),
        ).fetchone()
    if row is None:
        raise Refused(404, "no_such_fact")
    _note(console, who, "fact", f"{device}/{epoch}/{stream.value}/{seq}")
    return FactAsStored(*row)


@reads.get("/parcels/{waybill_no}")
def parcel(
    request: Request, who: Asking, waybill_no: Annotated[str, Path(max_length=200)]
) -> list[ParcelWord]:
    """The last words on a parcel, one a place."""
    console = console_of(request)
    with console.shown() as shown:
        rows = shown.parcel(waybill_no)
    _note(console, who, "waybill", waybill_no)
    return [ParcelWord(*row) for row in rows]


@reads.get("/mentions")
def mentions(
    request: Request,
    who: Asking,
    what: Literal[
        "plate", "slip", "waybill", "enterprise", "officer", "order", "recall", "sample", "trace",
        "station_parcel",
    ],
    name: Name,
    limit: Limit = 100,
) -> list[Mention]:  # fmt: skip
    """Facts that name it, latest first."""
    console = console_of(request)
    with console.shown() as shown:
        rows = shown.named(what, name, limit)
    _note(console, who, what, name)
    return [
        Mention(row.utc, row.device, row.epoch, row.stream, row.seq, row.kind, row.passage) for row in rows
    ]


@reads.get("/alarms")
def alarms(request: Request, who: Asking, since: Time = "", limit: Limit = 100) -> list[AlarmTold]:
    """Of devices and of the hub itself, latest first, each with who has it in hand."""
    console = console_of(request)
    _note(console, who, "alarms", since)
    with console.shown() as shown:
        rows: list[tuple[Any, ...]] = [row[:10] for row in shown.alarms_since(_full(since), limit)]
    with console.archive() as archive:
        rows += [
            (device, "", HUB, number, utc, code, None, detail, *WORDS.get(f"alarm.{code}", ("", "")))
            for number, utc, device, code, detail in archive.engine.execute(
                "SELECT id, at_utc, device, code, detail FROM hub_alarms WHERE at_utc >= ? "
                "ORDER BY id DESC LIMIT ?",
                (_full(since), limit),
            ).fetchall()
        ]
        rows = sorted(rows, key=lambda row: row[4], reverse=True)[:limit]
        names = [
            f"{HUB}/{seq}" if stream == HUB else f"{device}/{epoch}/{stream}/{seq}"
            for device, epoch, stream, seq, *_ in rows
        ]
        taken = (
            {
                alarm: (owner, taken_utc, ended_utc)
                for alarm, owner, taken_utc, ended_utc in archive.engine.execute(
                    "SELECT alarm, owner, taken_utc, ended_utc FROM console_alarms "  # noqa: S608  only question marks
                    f"WHERE alarm IN ({', '.join('?' * len(names))})",
                    names,
                ).fetchall()
            }
            if names
            else {}
        )
    return [AlarmTold(*(*row, *taken.get(name, ("", "", "")))) for name, row in zip(names, rows, strict=True)]


@reads.get("/devices")
def devices(request: Request, who: Asking) -> list[DeviceTold]:
    """Each with its last status, how much of it is stored, and what stands at it now."""
    console = console_of(request)
    # Who sits at which desk and has which handheld is among it.
    _note(console, who, "devices", "")
    with console.archive() as archive:
        statuses = {
            device: (body, utc)
            for device, body, utc in archive.engine.execute(
                "SELECT device, body, received_utc FROM statuses"
            ).fetchall()
        }
        facts: dict[str, int] = {}
        for device, _, _, contiguous in archive.stream_heads():
            facts[device] = facts.get(device, 0) + contiguous
        every = sorted({*archive.devices(), *facts})
    states: dict[str, dict[str, str]] = {}
    with console.shown() as shown:
        for row in shown.states():
            states.setdefault(row.device, {})[f"{row.what} {row.name}".strip()] = row.word
    return [
        DeviceTold(
            device,
            statuses.get(device, ("", ""))[1],
            _read_status(statuses.get(device, ("", ""))[0]),
            facts.get(device, 0),
            states.get(device, {}),
        )
        for device in every
    ]


@reads.get("/tallies")
def tallies(
    request: Request,
    who: Asking,
    by: By = "device",
    name: Annotated[str, Query(max_length=200)] = "",
    from_: Annotated[Day, Query(alias="from")] = "",
    to: Day = "",
) -> list[TallyTold]:
    """Counts as pages show them; `/api/v1/meanings` says what each is. At most 31 days by the hour, and
    200,000 rows: ask for fewer days, or for one name."""
    console = console_of(request)
    from_day, to_day = days_asked(console, from_, to)
    if by in HOURLY and len(made.days(from_day, to_day)) > MOST_DAYS_BY_HOUR:
        raise Refused(422, "days_by_hour", MOST_DAYS_BY_HOUR)
    if by == "officer" and not who.sees_all:
        name = who.name
    if by in ("officer", "enterprise"):
        _note(console, who, "statistics", f"{by} {from_day} – {to_day}")
    with console.shown() as shown:
        rows = shown.tallies(from_day, to_day, by, name or None, most=MOST_TALLIES + 1)
    if len(rows) > MOST_TALLIES:
        raise Refused(422, "tallies", MOST_TALLIES)
    return [TallyTold(row.day, row.hour, row.name, row.what, row.n, row.seconds) for row in rows]


@reads.get("/statistics")
def statistics(
    request: Request,
    who: Asking,
    view: View = "day",
    from_: Annotated[Day, Query(alias="from")] = "",
    to: Day = "",
) -> list[StatisticsTable]:
    """The tables of the statistics page, every row, numbers unrounded."""
    console = console_of(request)
    from_day, to_day = days_asked(console, from_, to)
    own = who.name if view == "officer" and not who.sees_all else None
    with console.shown() as shown, shown.moment():
        turns = turns_now(console, shown, to_day, own) if view == "officer" else made.NO_TURNS
        tables = made.tables_of(shown, view, from_day, to_day, own, turns=turns)
    if view in ("officer", "enterprise"):
        _note(console, who, "statistics", f"{view} {from_day} – {to_day}")
    return [
        StatisticsTable(
            each.key,
            [column.key for column in each.columns],
            [column.unit.value for column in each.columns],
            {row.name: list(row.values) for row in each.rows},
        )
        for each in tables
    ]


@reads.get("/meanings")
def meanings(who: Asking) -> dict[str, dict[str, str]]:
    """What each count of `/tallies` means."""
    return TALLIES


@router.get("/api/v1/openapi.json")
def openapi(who: Asking) -> JSONResponse:
    described = get_openapi(
        title="kakou console",
        version="1",
        description="What the console shows, for programs: read only. Send `Authorization: Bearer TOKEN`.",
        routes=reads.routes,
    )
    described.setdefault("components", {})["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "kakou_console"},
    }
    described["security"] = [{"token": []}, {"session": []}]
    return JSONResponse(described)


# --- /metrics ---------------------------------------------------------------------------------------------


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus' text format; with a session or token, or open where the config says so."""
    console = console_of(request)
    if not console.part.metrics_open:
        asker(request)
    tail = request.app.state.tail
    lines: list[str] = []

    def tell(name: str, kind: str, says: str, *values: tuple[dict[str, str], float]) -> None:
        lines.append(f"# HELP kakou_{name} {says}")
        lines.append(f"# TYPE kakou_{name} {kind}")
        lines.extend(f"kakou_{name}{_labels(labels)} {_number(value)}" for labels, value in values)

    today = console.today()
    with console.shown() as shown:
        read_to = shown.read_to()
        counts = shown.totals(today, today, DAILY)
        open_passages, held = shown.execute(
            "SELECT count(*), count(CASE WHEN held_utc <> '' THEN 1 END) FROM passages WHERE closed_utc = ''"
        ).fetchone()
        states = shown.states()
    with console.archive() as archive:
        heads = archive.stream_heads()
        statuses = archive.engine.execute("SELECT device, received_utc FROM statuses").fetchall()
        waiting = len(archive.open_commands(utc_now(), 1_000))
    stored: dict[str, int] = {}
    unread: dict[str, int] = {}
    for device, epoch, stream, contiguous in heads:
        stored[device] = stored.get(device, 0) + contiguous
        unread[device] = unread.get(device, 0) + contiguous - read_to.get((device, epoch, stream), 0)
    now = datetime.now(UTC)
    of_device = {
        "facts_stored": ("Facts the archive has without a gap.", stored),
        "facts_not_shown": ("Of them not yet read into what the console shows.", unread),
    }
    for name, (says, found) in of_device.items():
        tell(name, "gauge", says, *(({"device": device}, n) for device, n in sorted(found.items())))
    tell("console_up_to_date", "gauge", "1: what is stored is shown.", ({}, float(not any(unread.values()))))
    if tail is not None:
        tell("console_facts_read_total", "counter", "Facts read since the start.", ({}, tail.facts_read))
    tell("console_sessions", "gauge", "Officers signed in.", ({}, len(console.sessions.kept)))
    tell(
        "hub_broker_lost", "gauge", "1: the hub is without its broker.",
        ({}, float(bool(console.broker_lost_utc))),
    )  # fmt: skip
    tell("passages_open", "gauge", "Vehicles in a lane.", ({}, open_passages))
    tell("passages_held", "gauge", "Of them held.", ({}, held))
    tell("commands_open", "gauge", "Commands of the centre not yet done.", ({}, waiting))
    tell(
        "status_age_seconds",
        "gauge",
        "Since a device said how it is.",
        *(({"device": device}, _age_s(utc, now)) for device, utc in statuses),
    )
    tell(
        "parts_lost",
        "gauge",
        "Parts of a device that are lost.",
        *(({"device": row.device, "part": row.name}, 1) for row in states if row.what == "part"),
    )
    tell(
        "lane_closed", "gauge", "1: the lane is closed.",
        *(({"device": row.device}, 1) for row in states if row.what == "lane"),
    )  # fmt: skip
    tell(
        "today",
        "gauge",
        "Counts since midnight at the site; /api/v1/meanings says of what.",
        *(
            ({"device": device, "what": what}, total.n)
            for device, found in sorted(counts.items())
            for what, total in sorted(found.items())
        ),
    )
    tell(
        "today_seconds",
        "gauge",
        "Sums of times since midnight at the site.",
        *(
            ({"device": device, "what": what}, total.seconds)
            for device, found in sorted(counts.items())
            for what, total in sorted(found.items())
            if total.seconds
        ),
    )
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8")


# --- tokens -----------------------------------------------------------------------------------------------


@router.get("/api")
def token_page(request: Request, session: Annotated[Session, Depends(needs(Role.ADMIN))]) -> Response:
    return _token_page(request, "", None)


@router.post("/api/tokens")
def new_token(
    request: Request,
    session: Annotated[Session, Depends(commanding)],
    allowed: Annotated[Session, Depends(needs(Role.ADMIN))],
    name: Annotated[str, Form(max_length=64)],
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)],
) -> Response:
    console = console_of(request)
    until = utc_text(datetime.now(UTC) + timedelta(days=days))
    try:
        with console.archive() as archive:
            token = make_token(archive, name.strip(), until, by=session.officer, at_utc=utc_now())
    except TokenRefused as error:
        return _token_page(request, "", words_of(error), 422)
    return _token_page(request, token, None)


@router.post("/api/tokens/revoke")
def end_token(
    request: Request,
    session: Annotated[Session, Depends(commanding)],
    allowed: Annotated[Session, Depends(needs(Role.ADMIN))],
    name: Annotated[str, Form(max_length=64)],
) -> Response:
    with console_of(request).archive() as archive:
        revoke_token(archive, name, by=session.officer, at_utc=utc_now())
    return RedirectResponse("/api", 303)


def _token_page(request: Request, token: str, refused: Text | None, status: int = 200) -> Response:
    console = console_of(request)
    with console.archive() as archive:
        known = tokens(archive)
    return console.page(
        request,
        "api.html",
        status=status,
        tab="api",
        tokens=known,
        token=token,
        refused=refused,
        now=utc_now(),
        most_days=LONGEST_DAYS,
        routes=[route.path for route in reads.routes],  # type: ignore[attr-defined]
    )


def _passage(row: PassageRow) -> Passage:
    return Passage(
        row.device,
        row.epoch,
        row.passage,
        row.day,
        row.hour,
        row.opened_utc,
        bool(row.gated),
        row.plate,
        row.direction,
        json.loads(row.slips),
        row.enterprise,
        row.gross_kg,
        row.expected_kg,
        row.verdict,
        json.loads(row.codes),
        row.owner,
        json.loads(row.ways),
        row.officer,
        row.claim,
        row.ruled_utc,
        row.held_utc,
        row.crossed_utc,
        row.outcome,
        row.lane_s,
        row.closed_utc,
    )


def _full(utc: str) -> str:
    """With six decimals, as times are kept: texts of one length compare as their moments do."""
    whole, _, part = utc.removesuffix("Z").partition(".")
    return f"{whole}.{part:0<6}Z" if utc else ""


def _note(console: Console, who: Asker, what: str, subject: str) -> None:
    with console.archive() as archive:
        note_read(archive, who.name, what, subject, utc_now(), "api")


def _read_status(body: str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _age_s(utc: str, now: datetime) -> float:
    try:
        return max(0.0, (now - datetime.fromisoformat(utc)).total_seconds())
    except (ValueError, TypeError):
        return float("inf")


def _number(value: float) -> str:
    """Whole: a count is not rounded to six digits."""
    return str(int(value)) if float(value).is_integer() else repr(value).replace("inf", "+Inf")


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
