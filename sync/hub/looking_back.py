"""What was told of one passage or one parcel, and its proof on the spot (G6). Reads only; no clock.

A fact that was issued again in a later epoch is the same event under its event id: its last issue is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sync.hub.archive import Archive, KeptFact
from sync.hub.proving import NothingToExport, fact_problems, keys_of, signed_run
from sync.link.envelope import reader
from sync.link.messages import Checkpoint
from sync.link.segments import SegmentRun, problems_of, read_segment, segment_text
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import (
    FactBody,
    PassageClosed,
    PassageOpened,
    RulingMade,
    Stream,
    VehicleCrossed,
    read_body,
)

MOST_FACTS = 2_000
JOINED_OVER = 200
"""Facts of a stream with no more than so many others between them are proved by one run."""

_read_checkpoint = reader(Checkpoint)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as its row has it, and what it says; None where this version cannot read it."""

    device: str
    epoch: str
    stream: Stream
    fact: KeptFact
    body: FactBody | None

    @property
    def address(self) -> str:
        return f"{self.device}/{self.epoch}/{self.stream.value}/{self.fact.seq}"


@dataclass(frozen=True, slots=True)
class ToldPassage:
    """What was told of one passage, in the device's own order."""

    epoch: str
    """In which it was opened: with device and number its address."""
    told: tuple[Told, ...]

    @property
    def opened(self) -> str:
        """When, by its first fact."""
        return self.told[0].fact.time


def passages_told(archive: Archive, device: str, passage: int) -> tuple[ToldPassage, ...]:
    """Every passage of that number, the earliest first. A lane whose disk was lost or restored counts from an
    earlier number again in a new epoch: what is opened there is another vehicle's (S5). What is only issued
    again there (G4), or goes on there, is of the passage it was of."""
    found = [
        _told(device, epoch, stream, fact)
        for epoch, stream, fact in archive.all_of_passage(device, passage)[-MOST_FACTS:]
    ]
    epochs = dict.fromkeys(one.epoch for one in found)
    if len(epochs) > 1:
        began = {epoch: archive.epoch_began(device, epoch) for epoch in epochs}
        found.sort(key=lambda one: (began[one.epoch], one.epoch, one.fact.position))
    of_event: dict[str, int] = {}
    parts: list[_Part] = []
    for one in found:
        place = of_event.get(one.fact.event_id)
        if place is None:
            if not parts or parts[-1].ends_before(one):
                parts.append(_Part(one.epoch))
            place = of_event[one.fact.event_id] = len(parts) - 1
        parts[place].take(one)
    return tuple(ToldPassage(part.epoch, _each_once(part.told)) for part in parts)


class _Part:
    """One passage while its facts are gathered; as `sync.hub.console.reading` tells them apart."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.told: list[Told] = []
        self._is_opened = False
        self._is_closed = False

    def take(self, one: Told) -> None:
        self.told.append(one)
        data = None if one.body is None else one.body.data
        self._is_opened |= isinstance(data, PassageOpened)
        self._is_closed |= isinstance(data, PassageClosed)

    def ends_before(self, one: Told) -> bool:
        data = None if one.body is None else one.body.data
        if one.epoch == self.epoch:
            return False
        if isinstance(data, PassageOpened):
            return self._is_opened or self._is_closed
        return self._is_closed and isinstance(data, RulingMade | VehicleCrossed | PassageClosed)


def told_at(archive: Archive, places: Iterable[tuple[str, str, str, int]]) -> tuple[Told, ...]:
    """Facts by device, epoch, stream and number, by their own times, as far as they are there."""
    found = [
        _told(device, epoch, stream, fact)
        for device, epoch, stream, seq in dict.fromkeys(places)
        for fact in archive.facts_between(device, epoch, Stream(stream), seq, seq)
    ]
    return tuple(sorted(_each_once(found), key=lambda one: (one.fact.time, one.device, one.fact.position)))


def _told(device: str, epoch: str, stream: str, fact: KeptFact) -> Told:
    try:
        body = read_body(fact.body)
    except Malformed:
        body = None
    return Told(device, epoch, Stream(stream), fact, body)


def _each_once(found: Iterable[Told]) -> tuple[Told, ...]:
    last: dict[tuple[str, str], Told] = {}
    for one in found:
        key = (one.device, one.fact.event_id)
        known = last.pop(key, None)
        last[key] = one if known is None or one.fact.position > known.fact.position else known
    return tuple(sorted(last.values(), key=lambda one: (one.device, one.fact.position)))


# --- the proof --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether facts of one device are exactly what it told and signed."""

    device: str
    facts: int
    """In the segment: those asked for, and those between and behind them up to the signature."""
    signed: tuple[tuple[str, str], ...]
    """Key and time of every checkpoint it stands on, as the device put it."""
    problems: tuple[str, ...]
    uncovered: str = ""
    """Why there is no segment yet: nothing signed covers the last fact, or the device is not enrolled."""
    segment: str = ""
    """Its text, as `kakou journal verify` takes it."""

    @property
    def holds(self) -> bool:
        return not self.problems and not self.uncovered


def prove(
    archive: Archive,
    device: str,
    told: Sequence[Told],
    *,
    passage: int | None = None,
    others: Iterable[ToldPassage] = (),
) -> Proof:
    """Of facts of this device. With a passage: that none of it was left out, too; `others` are those of the
    same number."""
    keys = keys_of(archive, device)
    wrong = [f"{one.address}: {why}" for one in told for why in fact_problems(one.fact)]
    runs: list[SegmentRun] = []
    try:
        if not keys:
            raise NothingToExport(f"{device} is not enrolled here")
        for epoch, stream, first, last in _ranges(told):
            done = runs[-1] if runs and (runs[-1].epoch, runs[-1].stream) == (epoch, stream) else None
            if done is not None and _last_of(done) >= last:
                continue
            runs.append(signed_run(archive, device, epoch, stream, first, last, keys))
    except NothingToExport as why:
        return Proof(device, len(told), (), tuple(wrong), uncovered=str(why))
    text = segment_text(device, keys, runs)
    wrong += problems_of(read_segment(text), keys)
    if passage is not None:
        known = [*told, *(one for other in others for one in other.told)]
        wrong += _left_out(runs, {one.fact.event_id for one in known}, passage)
    said = [_read_checkpoint(run.checkpoint.body) for run in runs]
    signed = tuple(
        dict.fromkeys((run.checkpoint.kid, each.time) for run, each in zip(runs, said, strict=True))
    )
    return Proof(device, sum(len(run.facts) for run in runs), signed, tuple(wrong), segment=text)


def _ranges(told: Sequence[Told]) -> Iterator[tuple[str, Stream, int, int]]:
    """Epoch, stream, first and last number of what lies close together."""
    places: dict[tuple[str, Stream], list[int]] = {}
    for one in told:
        places.setdefault((one.epoch, one.stream), []).append(one.fact.seq)
    for (epoch, stream), seqs in places.items():
        ordered = sorted(seqs)
        first = before = ordered[0]
        for seq in ordered[1:]:
            if seq - before > JOINED_OVER:
                yield epoch, stream, first, before
                first = seq
            before = seq
        yield epoch, stream, first, before


def _last_of(run: SegmentRun) -> int:
    try:
        return read_body(run.facts[-1]).seq
    except Malformed:
        return 0


def _left_out(runs: Iterable[SegmentRun], known: set[str], passage: int) -> Iterator[str]:
    for run in runs:
        for text in run.facts:
            try:
                body = read_body(text)
            except Malformed:
                continue
            if getattr(body.data, "passage", None) == passage and body.event_id not in known:
                yield f"{body.device} {body.stream.value} {body.seq}: its row hides that it is of {passage}"
