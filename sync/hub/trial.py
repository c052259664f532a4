"""What a control (布控) would have hit had it been in force, over rulings and records as they were. Reads.

A passage is looked at by the last ruling its lane's rules made; what officers decided after that stands. A
slip's kind and enterprise are those of its record at the number that ruling stood on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Final

from msgspec.structs import replace

from sync.hub.archive import Archive
from sync.hub.past import Moment, PastUnknown, version_at
from sync.policy.controls import matching
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.facts import FactBody, RulingMade, read_body
from sync.vocabulary.numbers import EnterpriseCode, Plate, SlipNo, UtcText
from sync.vocabulary.records import Control, ControlAction, Direction, ReleaseSlip, SlipKind
from sync.vocabulary.rulings import Verdict

MOST_EXAMPLES: Final = 50
_ALWAYS: Final = (UtcText("0001-01-01T00:00:00.000000Z"), UtcText("9999-12-31T00:00:00.000000Z"))
_SCANNED: Final = frozenset({"code", "signed code"})
_WORSE: Final = {Verdict.RELEASE: 0, Verdict.INSPECT: 1, Verdict.HOLD: 2}
_DOES: Final = {ControlAction.INSPECT: Verdict.INSPECT, ControlAction.HOLD: Verdict.HOLD}

_read_slip = decoder(ReleaseSlip)

Address = tuple[str, str, int]
"""Of a passage: device, epoch in which it was opened, number."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage the control would have borne on."""

    device: str
    epoch: str
    """In which it was opened: with device and number its address."""
    passage: int
    time: str
    plate: str
    enterprise: str
    was: str
    would_be: str


@dataclass(slots=True)
class Trial:
    zone: tzinfo
    """The site's."""
    looked_at: int = 0
    """Passages with a ruling that could be read."""
    matched: int = 0
    changed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verdict that was, verdict it would have been) -> passages; only where the two differ."""
    by_day: Counter[str] = field(default_factory=Counter)
    """The site's day -> passages matched."""
    by_enterprise: Counter[str] = field(default_factory=Counter)
    hits: list[Hit] = field(default_factory=list)
    """The first of them."""
    records_unknown: int = 0
    """Slips whose record as it was this archive does not have: their kind and enterprise matched nothing."""

    @property
    def would_stop(self) -> int:
        return sum(self.changed.values())


def try_control(archive: Archive, control: Control, passages: Iterable[Address], zone: tzinfo) -> Trial:
    """`passages`: (device, epoch, number). The control's own mode and times are left aside. `zone`: by whose
    clock days are counted."""
    trial = Trial(zone)
    always = replace(control, valid_from=_ALWAYS[0], valid_until=_ALWAYS[1])
    books = _Books(archive, trial)
    for device, epoch, passage in passages:
        found = _last_by_rules(archive.facts_of_passage(device, passage), epoch)
        if found is None:
            continue
        body, made = found
        trial.looked_at += 1
        if _bears(always, made, books):
            worse = max(made.ruling.verdict, _DOES[control.action], key=_WORSE.__getitem__)
            _tell(trial, device, epoch, body.time, made, worse.value)
    return trial


def told_by_lanes(archive: Archive, control_id: str, passages: Iterable[Address], zone: tzinfo) -> Trial:
    """What lanes themselves wrote of any version of a control that went down to them, of any mode."""
    trial = Trial(zone)
    for device, epoch, passage in passages:
        found = _last_by_rules(archive.facts_of_passage(device, passage), epoch)
        if found is None:
            continue
        body, made = found
        trial.looked_at += 1
        named = (each.rpartition(":")[0] for each in made.control_versions)
        versions = [each for each in named if each.rpartition("@")[0] == control_id]
        if versions:
            would_be = made.would_be.get(versions[-1], made.ruling.verdict.value)
            _tell(trial, device, epoch, body.time, made, would_be)
    return trial


def _tell(trial: Trial, device: str, epoch: str, time: str, made: RulingMade, would_be: str) -> None:
    was = made.ruling.verdict.value
    trial.matched += 1
    trial.by_day[_day(time, trial.zone)] += 1
    trial.by_enterprise[made.enterprise or ""] += 1
    if would_be != was:
        trial.changed[was, would_be] += 1
    if len(trial.hits) < MOST_EXAMPLES:
        plate, enterprise = made.plate or "", made.enterprise or ""
        trial.hits.append(Hit(device, epoch, made.passage, time, plate, enterprise, was, would_be))


def _day(time: str, zone: tzinfo) -> str:
    """A lane's word for a time need not be one."""
    try:
        return f"{datetime.fromisoformat(time).astimezone(zone):%Y-%m-%d}"
    except (ValueError, OverflowError):
        return time[:10]


def _last_by_rules(bodies: Iterable[str], epoch: str) -> tuple[FactBody, RulingMade] | None:
    """Told in that epoch; in another one where there is none. Of the same number another vehicle's may be
    there, from before the lane's disk was lost or after it (S5)."""
    found: dict[bool, tuple[FactBody, RulingMade]] = {}
    for raw in bodies:
        try:
            body = read_body(raw)
        except Malformed:
            continue
        if isinstance(body.data, RulingMade) and not body.data.officer:
            found[body.epoch == epoch] = body, body.data
    return found.get(True) or found.get(False)


def _bears(control: Control, made: RulingMade, books: _Books) -> bool:
    plates = {made.plate, *(each.value for each in made.readings if each.kind == "plate")}
    numbers = dict.fromkeys((*made.slips, *(each.value for each in made.readings if each.kind in _SCANNED)))
    slips = tuple(slip for text in numbers if (slip := SlipNo.parse(text)) is not None)
    kinds: list[SlipKind] = []
    enterprises = [EnterpriseCode(made.enterprise)] if made.enterprise else []
    if control.condition.slip_kinds or control.condition.enterprises:
        records = [record for slip in slips if (record := books.slip(made, slip)) is not None]
        kinds = [record.kind for record in records]
        enterprises += [record.enterprise for record in records]
    try:
        direction = Direction(made.direction)
    except ValueError:
        return False
    return any(
        matching(
            (control,),
            plate=None if plate is None else Plate.parse(plate),
            slip_nos=slips,
            enterprises=enterprises,
            direction=direction,
            slip_kinds=kinds,
            at=_ALWAYS[0],
        )
        for plate in plates
    )


class _Books:
    """Slips as they were, each looked up once."""

    def __init__(self, archive: Archive, trial: Trial) -> None:
        self._archive = archive
        self._trial = trial
        self._slips: dict[tuple[Moment, str], ReleaseSlip | None] = {}

    def slip(self, made: RulingMade, slip_no: str) -> ReleaseSlip | None:
        moment = Moment(made.records_scope, made.records_epoch, made.records_number)
        if (moment, slip_no) not in self._slips:
            found = self._looked_up(moment, slip_no)
            self._trial.records_unknown += found is None
            self._slips[moment, slip_no] = found
        return self._slips[moment, slip_no]

    def _looked_up(self, moment: Moment, slip_no: str) -> ReleaseSlip | None:
        try:
            version = version_at(self._archive, moment, "release_slips", slip_no)
            return None if version is None else _read_slip(version.body)
        except (PastUnknown, Malformed):
            return None
