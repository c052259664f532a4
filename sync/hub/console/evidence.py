"""What the page of one passage or parcel shows, put together from archive and `shown`. Reads only, no HTTP.

The archive is the source of every word here; `shown` only finds where a parcel or officer is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sync.hub.archive import Archive, CommandRow, Version
from sync.hub.console.shown import NamedRow, PassageRow, Shown
from sync.hub.console.telling import Line, fact_lines, kind_words, record_lines, same, value_words
from sync.hub.console.words import WORDS
from sync.hub.console.words.details import as_told
from sync.hub.looking_back import Proof, Told, ToldPassage, passages_told, prove, told_at
from sync.hub.past import Moment, PastUnknown, version_at
from sync.vocabulary.blobs import named_by
from sync.vocabulary.codec import Malformed, from_json, read_or_none
from sync.vocabulary.facts import FactData, PictureMissed, PictureTaken, ReadingKept, RulingMade
from sync.vocabulary.handheld_facts import EvidenceTaken, ParcelJudged, ReleaseAsked, ReleaseCodeMade
from sync.vocabulary.numbers import utc_text
from sync.vocabulary.records import Enterprise, Recall, RecallState, Trace, Waybill, XRay
from sync.vocabulary.rulings import Text
from sync.vocabulary.xray_facts import ParcelXRayed, XRayFileKept

MOST_NAMED: Final = 500
AROUND_S: Final = 600.0
"""Help from a handheld or the centre is looked for so long before a passage and after it."""
LAID_OUT: Final = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact as a line of the page."""

    told: Told
    what: Text
    lines: tuple[Line, ...]

    @property
    def is_alarm(self) -> bool:
        return self.told.fact.kind == "alarm"


@dataclass(frozen=True, slots=True)
class Picture:
    """Evidence that a fact names."""

    sha256: str
    what: Text
    time: str
    told: Told
    state: str
    """`stored`, `missing`, `dropped`; `named` where no blob is known of it."""
    is_laid_out: bool
    """A browser shows it; anything else is a file to be kept."""
    name: str


@dataclass(frozen=True, slots=True)
class RecordThen:
    """A record as it was, and what has become of it."""

    collection: str
    key: str
    then: Version | None
    lines: tuple[tuple[str, Text, Text], ...]
    changed: tuple[tuple[str, Text, Text, Text], ...]
    """Field, label, then, now."""
    is_gone: bool


@dataclass(frozen=True, slots=True)
class RecordsThen:
    """The records one ruling stood on."""

    told: Told
    scope: str
    number: int
    age_s: float | None
    records: tuple[RecordThen, ...]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did what."""

    time: str
    officers: tuple[str, ...]
    what: Text
    reason: str
    came_to: Text
    """Empty where that is not told."""
    address: str = ""
    """Of the fact that tells it."""


@dataclass(frozen=True, slots=True)
class PassagePage:
    device: str
    epoch: str
    passage: int
    others: tuple[ToldPassage, ...]
    """Of the same number, in other epochs."""
    row: PassageRow | None
    entries: tuple[Entry, ...]
    rulings: tuple[RulingMade, ...]
    readings: tuple[ReadingKept, ...]
    pictures: tuple[Picture, ...]
    missed: tuple[PictureMissed, ...]
    records: tuple[RecordsThen, ...]
    deeds: tuple[Deed, ...]
    proof: Proof

    @property
    def ruling(self) -> RulingMade | None:
        return self.rulings[-1] if self.rulings else None


def passage_page(
    archive: Archive, shown: Shown, site: str, device: str, epoch: str, passage: int
) -> PassagePage | None:
    """None: no fact tells of it."""
    numbered = passages_told(archive, device, passage)
    told = next((each.told for each in numbered if each.epoch == epoch), None)
    if told is None:
        return None
    others = tuple(each for each in numbered if each.epoch != epoch)
    said = [(one, one.body.data) for one in told if one.body is not None]
    rulings = [(one, data) for one, data in said if isinstance(data, RulingMade)]
    return PassagePage(
        device,
        epoch,
        passage,
        others,
        shown.passage(device, passage, epoch),
        tuple(map(_entry, told)),
        tuple(data for _, data in rulings),
        _readings(data for _, data in rulings),
        tuple(_pictures(archive, told)),
        tuple(data for _, data in said if isinstance(data, PictureMissed)),
        tuple(_records_of(archive, one, data, site) for one, data in _last_of_each_moment(rulings)),
        tuple(sorted(_deeds(archive, shown, device, passage, told), key=lambda deed: deed.time)),
        prove(archive, device, told, passage=passage, others=others),
    )


def _entry(told: Told) -> Entry:
    data = None if told.body is None else told.body.data
    return Entry(told, kind_words(told.fact.kind), () if data is None else fact_lines(data))


def _readings(rulings: Iterable[RulingMade]) -> tuple[ReadingKept, ...]:
    """Each once, by the seconds since the passage opened."""
    found = {each: None for ruling in rulings for each in ruling.readings}
    return tuple(sorted(found, key=lambda each: each.after_s))


def _pictures(archive: Archive, told: Sequence[Told]) -> Iterator[Picture]:
    """Each once: a camera that is triggered twice sends the same one again."""
    known: set[tuple[str, str]] = set()
    for one in told:
        data = None if one.body is None else one.body.data
        named = named_by(data)
        if data is None or named is None:
            continue
        name, what = _name_of(data)
        if (name, named.sha256) in known:
            continue
        known.add((name, named.sha256))
        state = archive.blob_state(named.sha256) or "named"
        yield Picture(named.sha256, what, one.fact.time, one, state, name.lower().endswith(LAID_OUT), name)


def _name_of(data: FactData) -> tuple[str, Text]:
    match data:
        case PictureTaken(moment=moment, camera=camera):
            words = {
                "arrival": Text("到达", "Arrival"),
                "weighing": Text("称重", "Weighing"),
                "ruling": Text("判定", "Ruling"),
                "passing": Text("通过", "Passing"),
                "recognised": Text("识别", "Recognised"),
            }.get(moment, Text(moment, moment))
            lens = value_words(camera)
            return f"{moment}-{camera}.jpg", Text(f"{words.zh} · {lens.zh}", f"{words.en} · {lens.en}")
        case EvidenceTaken(kind="voice", subject=subject):
            return "voice", Text(f"语音 {subject}", f"Voice note {subject}")
        case EvidenceTaken(kind=kind, subject=subject):
            marked = Text("标注图", "Marked photo") if kind == "marked" else Text("照片", "Photo")
            return f"{kind}.jpg", Text(f"{marked.zh} {subject}".strip(), f"{marked.en} {subject}".strip())
        case XRayFileKept(name=name):
            return name, Text(f"机检 {name}", f"X-ray {name}")
        case _:
            return "file", Text("文件", "File")


# --- records as they were ---------------------------------------------------------------------------------


def _last_of_each_moment(rulings: Iterable[tuple[Told, RulingMade]]) -> list[tuple[Told, RulingMade]]:
    last = {
        (data.records_scope, data.records_epoch, data.records_number): (one, data) for one, data in rulings
    }
    return list(last.values())


def _records_of(archive: Archive, told: Told, ruling: RulingMade, site: str) -> RecordsThen:
    wanted = [
        *([("vehicles", ruling.plate)] if ruling.plate else []),
        *(("release_slips", slip) for slip in ruling.slips),
        *([("enterprises", ruling.enterprise)] if ruling.enterprise else []),
        *(("controls", each.partition("@")[0]) for each in ruling.control_versions),
        ("site", site),
    ]
    moment = Moment(ruling.records_scope, ruling.records_epoch, ruling.records_number)
    return _records_then(archive, told, moment, ruling.records_age_s, wanted)


def _records_then(
    archive: Archive, told: Told, moment: Moment, age_s: float | None, wanted: Iterable[tuple[str, str]]
) -> RecordsThen:
    if not moment.epoch:
        return RecordsThen(told, moment.scope, moment.number, age_s, (), "it stands on no records")
    try:
        records = tuple(
            _record_then(archive, moment.scope, collection, key, version_at(archive, moment, collection, key))
            for collection, key in dict.fromkeys(wanted)
        )
    except PastUnknown as why:
        return RecordsThen(told, moment.scope, moment.number, age_s, (), str(why))
    return RecordsThen(told, moment.scope, moment.number, age_s, records)


def _record_then(archive: Archive, scope: str, collection: str, key: str, then: Version | None) -> RecordThen:
    before = record_lines(_plain(None if then is None else then.body))
    now_body = archive.record(collection, key, scope)
    now = record_lines(_plain(now_body))
    empty = Text("—", "—")
    was = {name: (label, value) for name, label, value in before}
    is_now = {name: (label, value) for name, label, value in now}
    changed = tuple(
        (
            name,
            (was.get(name) or is_now[name])[0],
            was[name][1] if name in was else empty,
            is_now[name][1] if name in is_now else empty,
        )
        for name in {**was, **is_now}
        if was.get(name, (None, empty))[1] != is_now.get(name, (None, empty))[1]
    )
    is_gone = then is not None and now_body is None
    return RecordThen(collection, key, then, before, () if is_gone else changed, is_gone)


def _plain(body: str | None) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


# --- who did what -----------------------------------------------------------------------------------------


def _deeds(archive: Archive, shown: Shown, device: str, passage: int, told: Sequence[Told]) -> Iterator[Deed]:
    officers: set[str] = set()
    for one in told:
        deed = _deed_of(one)
        if deed is not None:
            officers.update(deed.officers)
            yield deed
    first, last = _around(told)
    for command in archive.commands_between(device, first, last):
        if _passage_of(command) == passage:
            officers.update(command.officers)
            kind = value_words(command.kind)
            what = Text(f"中心指令：{kind.zh}", f"Command of the centre: {kind.en}")
            yield Deed(command.given_utc, command.officers, what, command.reason, _came_to(command))
    helped = told_at(
        archive,
        (
            (row.device, row.epoch, row.stream, row.seq)
            for officer in sorted(officers)
            for row in shown.named("officer", officer, MOST_NAMED)
            if row.kind == "release_code_shown" and first <= row.utc <= last
        ),
    )
    for one in helped:
        data = None if one.body is None else one.body.data
        if isinstance(data, ReleaseCodeMade) and (data.lane, data.lane_passage) == (device, passage):
            what = Text(f"手持机 {one.device} 出示放行码", f"Release code shown by {one.device}")
            came_to = value_words(data.action)
            yield Deed(one.fact.time, (data.officer,), what, data.reason, came_to, one.address)


def _came_to(command: CommandRow) -> Text:
    zh, en = WORDS.get(f"desk.state.{command.state}", (command.state, command.state))
    if not command.why:
        return Text(zh, en)
    return Text(f"{zh}：{as_told(command.why, 'zh')}", f"{en}: {as_told(command.why, 'en')}")


def _deed_of(one: Told) -> Deed | None:
    data = None if one.body is None else one.body.data
    if data is None or isinstance(data, ReleaseAsked):
        return None
    officers = (
        getattr(data, "officer", ""),
        *getattr(data, "officers", ()),
        getattr(data, "second_officer", ""),
    )
    who = tuple(dict.fromkeys(each for each in officers if each))
    if not who:
        return None
    reason = str(getattr(data, "reason", "") or getattr(data, "remark", ""))
    outcome = getattr(data, "outcome", "") or getattr(data, "value", "") or getattr(data, "verdict", "")
    came_to = value_words(str(outcome))
    return Deed(one.fact.time, who, kind_words(one.fact.kind), reason, came_to, one.address)


def _around(told: Sequence[Told]) -> tuple[str, str]:
    """Empty texts where no fact of it has a time that can be read, or one at the end of all times."""
    times = sorted(filter(None, (_moment_of(one.fact.time) for one in told)))
    more = timedelta(seconds=AROUND_S)
    try:
        return (_utc(times[0] - more), _utc(times[-1] + more)) if times else ("", "")
    except OverflowError:
        return "", ""


def _moment_of(time: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _utc(moment: datetime) -> str:
    return utc_text(moment)


def _passage_of(command: CommandRow) -> int | None:
    found = _plain(command.body).get("passage")
    return found if isinstance(found, int) else None


# --- a parcel ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """One version of a record, and what it changed of the one before."""

    version: Version
    changed: tuple[tuple[Text, Text, Text], ...]
    """Label, before, after."""


@dataclass(frozen=True, slots=True)
class ParcelPage:
    waybill_no: str
    scope: str
    waybill: Waybill | None
    lines: tuple[tuple[str, Text, Text], ...]
    versions: tuple[VersionSeen, ...]
    recalls: tuple[Recall, ...]
    """In force, and it names this parcel."""
    x_ray: XRay | None
    previews: tuple[tuple[Told, str], ...]
    """X-ray pictures carried by facts, as base64 of a JPEG."""
    passages: tuple[PassageRow, ...]
    """In which its slip was used."""
    entries: tuple[Entry, ...]
    pictures: tuple[Picture, ...]
    records: tuple[RecordsThen, ...]
    """The waybill as it was at each judgement."""
    deeds: tuple[Deed, ...]
    proofs: tuple[Proof, ...]
    """One a device."""


def parcel_page(archive: Archive, shown: Shown, waybill_no: str) -> ParcelPage | None:
    """None: no record and no fact names it."""
    scope, body = record_somewhere(archive, "waybills", waybill_no)
    versions = () if not scope else archive.record_versions(scope, "waybills", waybill_no)
    if not scope:
        scope, versions = _gone(archive, "waybills", waybill_no)
    told = told_of_waybill(archive, shown, waybill_no)
    if body is None and not versions and not told:
        return None
    waybill = read_or_none(body, Waybill)
    said = [(one, one.body.data) for one in told if one.body is not None]
    x_ray = read_or_none(record_somewhere(archive, "x_rays", waybill_no)[1], XRay)
    return ParcelPage(
        waybill_no,
        scope,
        waybill,
        record_lines(_plain(body)),
        tuple(_versions_seen(versions)),
        () if waybill is None else recalls_naming(archive, waybill),
        x_ray,
        tuple((one, data.preview) for one, data in said if isinstance(data, ParcelXRayed) and data.preview),
        () if waybill is None or not waybill.slip_no else passages_of(shown, "slip", waybill.slip_no, 20),
        tuple(map(_entry, told)),
        tuple(_pictures(archive, told)),
        tuple(_waybill_then(archive, one, data, waybill_no) for one, data in said if _judges(data)),
        tuple(deed for one in told if (deed := _deed_of(one)) is not None),
        tuple(
            prove(archive, device, [one for one in told if one.device == device])
            for device in dict.fromkeys(one.device for one in told)
        ),
    )


def told_of_waybill(archive: Archive, shown: Shown, waybill_no: str) -> tuple[Told, ...]:
    rows = shown.named("waybill", waybill_no, MOST_NAMED)
    return told_at(archive, ((row.device, row.epoch, row.stream, row.seq) for row in rows))


def record_somewhere(archive: Archive, collection: str, key: str) -> tuple[str, str | None]:
    """The first scope that has it, and its JSON."""
    for each in archive.scopes():
        body = archive.record(collection, key, each.scope)
        if body is not None:
            return each.scope, body
    return "", None


def firm_named(archive: Archive, code: str) -> str:
    """The name of an enterprise, as its record has it now; empty where it has none."""
    body = record_somewhere(archive, "enterprises", code)[1] if code else None
    if body is None:
        return ""
    try:
        return from_json(body, Enterprise).name
    except Malformed:
        return ""


def _gone(archive: Archive, collection: str, key: str) -> tuple[str, tuple[Version, ...]]:
    for each in archive.scopes():
        versions = archive.record_versions(each.scope, collection, key)
        if versions:
            return each.scope, versions
    return "", ()


def _judges(data: FactData) -> bool:
    return isinstance(data, ParcelJudged | ParcelXRayed) and bool(data.records_epoch)


def _waybill_then(archive: Archive, told: Told, data: Any, waybill_no: str) -> RecordsThen:
    scopes = [getattr(data, "records_scope", "")] if getattr(data, "records_scope", "") else None
    scopes = scopes or [each.scope for each in archive.scopes()]
    known = [each for each in scopes if archive.knows_number(each, data.records_epoch, data.records_number)]
    moment = Moment((known or scopes or [""])[0], data.records_epoch, data.records_number)
    return _records_then(archive, told, moment, data.records_age_s, [("waybills", waybill_no)])


def _versions_seen(versions: Sequence[Version]) -> Iterator[VersionSeen]:
    empty = Text("—", "—")
    before: dict[str, tuple[Text, Text]] = {}
    for version in versions:
        now = {name: (label, value) for name, label, value in record_lines(_plain(version.body))}
        changed = tuple(
            (
                (before.get(name) or now[name])[0],
                before[name][1] if name in before else empty,
                now[name][1] if name in now else empty,
            )
            for name in {**before, **now}
            if before.get(name, (empty, empty))[1] != now.get(name, (empty, empty))[1]
        )
        yield VersionSeen(version, changed)
        before = now


def recalls_naming(archive: Archive, waybill: Waybill) -> tuple[Recall, ...]:
    found = (read_or_none(body, Recall) for body in archive.bodies_of("recalls"))
    return tuple(
        recall
        for recall in found
        if recall is not None and recall.state is RecallState.ACTIVE and recall.names(waybill)
    )


def passages_of(shown: Shown, what: str, name: str, limit: int) -> tuple[PassageRow, ...]:
    """Passages whose facts name it, the latest first."""
    rows: list[NamedRow] = [row for row in shown.named(what, name, MOST_NAMED) if row.passage is not None]
    found: dict[str, PassageRow] = {}
    for row in rows:
        one = shown.passage_then(row.device, row.passage or 0, row.epoch, row.utc)
        if one is not None and len(found) < limit:
            found.setdefault(one.address, one)
    return tuple(found.values())


# --- a parcel's path (溯源) ---------------------------------------------------------------------------------

_ON_THE_PATH: Final = frozenset(
    {
        "parcel_x_rayed",
        "parcel_sorted",
        "parcel_judged",
        "parcel_checked",
        "inspection_made",
        "finding_made",
        "sample_sent",
        "laboratory_result",
    }
)


@dataclass(frozen=True, slots=True)
class PathStep:
    """One station of a parcel's path."""

    time: str
    place: Text
    what: Text
    address: str = ""
    """Of the page that proves it; empty where only the record says so."""


def path_of(archive: Archive, shown: Shown, waybill_no: str) -> tuple[PathStep, ...]:
    """From its declaration to where it is, by time."""
    return tuple(sorted(_path(archive, shown, waybill_no), key=lambda step: step.time))


def _path(archive: Archive, shown: Shown, waybill_no: str) -> Iterator[PathStep]:
    scope, body = record_somewhere(archive, "waybills", waybill_no)
    waybill = read_or_none(body, Waybill)
    versions = archive.record_versions(scope, "waybills", waybill_no) if scope else ()
    bound = ""
    parcel = f"/parcel/{waybill_no}"
    for place, version in enumerate(versions):
        slip_no = str(_plain(version.body).get("slip_no") or "")
        if place == 0:
            yield PathStep(version.at_utc, same(""), Text("申报到达中心", "Declared to the centre"), parcel)
        if slip_no and slip_no != bound:
            what = Text(f"绑定核放单 {slip_no}", f"On release slip {slip_no}")
            yield PathStep(version.at_utc, same(""), what, parcel)
        bound = slip_no
    code = "" if waybill is None else waybill.trace_code
    trace = read_or_none(record_somewhere(archive, "traces", code)[1], Trace) if code else None
    for step in () if trace is None else trace.steps:
        where = Text(step.place_zh, step.place_en or step.place_zh)
        yield PathStep(str(step.at), where, Text(step.what_zh, step.what_en or step.what_zh))
    for one in told_of_waybill(archive, shown, waybill_no):
        if one.fact.kind in _ON_THE_PATH and one.body is not None:
            yield PathStep(one.fact.time, same(one.device), _in_short(one), f"/fact/{one.address}")
    for row in passages_of(shown, "slip", bound, 20) if bound else ():
        if row.crossed_utc:
            what = (
                Text(f"随 {row.plate} 出区", f"Left with {row.plate}")
                if row.direction == "E"
                else Text(f"随 {row.plate} 进区", f"Came in with {row.plate}")
            )
            address = f"/passage/{row.address}"
            yield PathStep(row.crossed_utc, same(row.device), what, address)


def _in_short(one: Told) -> Text:
    data = None if one.body is None else one.body.data
    came_to = str(
        getattr(data, "verdict", "") or getattr(data, "handling", "") or getattr(data, "result", "")
    )
    what, value = kind_words(one.fact.kind), value_words(came_to)
    return Text(f"{what.zh}：{value.zh}", f"{what.en}: {value.en}") if came_to else what
