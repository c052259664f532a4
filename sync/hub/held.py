"""Who is held in which lane right now, made of the lanes' facts and told down as records. No MQTT, no clock.

Facts come late, doubled, and again in other epochs: the lane's latest word is kept, and nothing older is
heeded. A row leaves in the scope's log, as any other change (G5).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

from sync.hub.archive import Archive, LaneWord, RecordChange
from sync.vocabulary.bounds import MAX_TEXT
from sync.vocabulary.codec import Malformed, decoder, read_or_none, to_json
from sync.vocabulary.facts import (
    Fact,
    LaneStarted,
    PassageClosed,
    PassageOpened,
    RaiseOrdered,
    RulingMade,
)
from sync.vocabulary.numbers import UtcText, utc_text
from sync.vocabulary.records import MAX_HELD_REASONS, HeldPassage, Site
from sync.vocabulary.rulings import Verdict

COLLECTION: Final = "held_passages"
LOOK_EVERY_S: Final = 60.0
LONGEST_REASON: Final = 200
"""Characters: all rows of a site with forty lanes fit a batch."""
_SAFETY: Final = "safety"

LaneSays = PassageOpened | RulingMade | RaiseOrdered | PassageClosed | LaneStarted
LANE_SAYS: Final = (PassageOpened, RulingMade, RaiseOrdered, PassageClosed, LaneStarted)

_read_site = decoder(Site)


class Held:
    """Works inside the transaction that stores the facts, the device locked."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._looked_s: float | None = None

    def told(self, lane: str, said: Sequence[tuple[Fact, LaneSays]], at_utc: str) -> None:
        """What new facts of one lane say, in the order of their numbers."""
        if not said or len(lane) > 64:
            return
        word = self._archive.lane_word(lane)
        before = held = self._row(lane)
        last = word
        for fact, data in said:
            if _is_newer(fact, last):
                last = LaneWord(fact.epoch, fact.position, fact.time[:40])
                held = _after(held, fact, data, at_utc)
        if last is not None and last != word:
            self._archive.set_lane_word(lane, last)
        if held == before:
            return
        for scope in self._scopes_of(lane) if held is not None else self._scopes_with(lane):
            body = None if held is None else to_json(held).decode()
            self._archive.apply_changes(scope, [RecordChange(COLLECTION, lane, body)], at_utc)

    def let_go(self, now_s: float, at_utc: str, longest_s: float) -> None:
        """Rows of lanes that are revoked, or have said nothing about it for so long that nobody can know."""
        if self._looked_s is not None and 0 <= now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        before = _utc(now_s - longest_s)
        for scope in self._archive.scopes():
            lanes = sorted(self._archive.record_keys(scope.scope, COLLECTION))
            old = [lane for lane in lanes if self._is_over(scope.scope, lane, before)]
            if not old:
                continue
            with self._archive.transaction():
                self._archive.lock_devices(old)
                over = [lane for lane in old if self._is_over(scope.scope, lane, before)]
                changes = [RecordChange(COLLECTION, lane, None) for lane in over]
                self._archive.apply_changes(scope.scope, changes, at_utc)

    def _is_over(self, scope: str, lane: str, before_utc: str) -> bool:
        known = self._archive.enrolled(lane)
        row = read_or_none(self._archive.record(COLLECTION, lane, scope), HeldPassage)
        return known is None or known.revoked or row is None or row.told < before_utc

    def _row(self, lane: str) -> HeldPassage | None:
        return read_or_none(self._archive.record(COLLECTION, lane), HeldPassage)

    def _scopes_with(self, lane: str) -> list[str]:
        return [
            scope.scope
            for scope in self._archive.scopes()
            if self._archive.record(COLLECTION, lane, scope.scope) is not None
        ]

    def _scopes_of(self, lane: str) -> list[str]:
        """Those whose site has this lane: there an officer may come to its help."""
        return [
            scope.scope
            for scope in self._archive.scopes()
            if any(
                _has_lane(self._archive.record("site", key, scope.scope), lane)
                for key in sorted(self._archive.record_keys(scope.scope, "site"))
            )
        ]


def _is_newer(fact: Fact, last: LaneWord | None) -> bool:
    """Numbers decide within an epoch. Between epochs they do not: a restored lane counts again from where its
    disk was, and a fact that nobody had acknowledged is issued again behind the end of its passage. There the
    lane's own time is asked; nothing but what is shown hangs on it (G7)."""
    if last is None:
        return True
    if fact.epoch == last.epoch:
        return fact.position > last.position
    return fact.time[:40] >= last.time


def _after(held: HeldPassage | None, fact: Fact, data: LaneSays, at_utc: str) -> HeldPassage | None:
    match data:
        case LaneStarted():
            return None
        case PassageOpened(gated=True):
            return None
        case PassageOpened():
            return held
        case RulingMade():
            if data.ruling.verdict is Verdict.RELEASE:
                return None
            return _held(held, fact, data, at_utc)
        case RaiseOrdered(purpose=purpose) if purpose == _SAFETY:
            return held
        case RaiseOrdered(passage) | PassageClosed(passage=passage):
            return None if held is not None and held.passage == passage else held


def _held(held: HeldPassage | None, fact: Fact, data: RulingMade, at_utc: str) -> HeldPassage:
    is_same = held is not None and held.passage == data.passage
    return HeldPassage(
        lane=fact.device,
        passage=data.passage,
        verdict="inspect" if data.ruling.verdict is Verdict.INSPECT else "hold",
        since=held.since if is_same and held is not None else fact.time[:40],
        plate=(data.plate or "")[:MAX_TEXT],
        slip_nos=tuple(slip[:MAX_TEXT] for slip in data.slips[:MAX_HELD_REASONS]),
        reasons_zh=_cut(data.texts_zh),
        reasons_en=_cut(data.texts_en),
        owner=data.owner[:MAX_TEXT],
        ways=_cut(data.ways),
        told=UtcText(at_utc),
    )


def _cut(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:LONGEST_REASON] for text in texts[:MAX_HELD_REASONS])


def _has_lane(body: str | None, lane: str) -> bool:
    try:
        return body is not None and any(each.lane == lane for each in _read_site(body).lanes)
    except Malformed:
        return False


def _utc(at_s: float) -> str:
    moment = datetime.datetime.fromtimestamp(max(0.0, at_s), datetime.UTC)
    return utc_text(moment)
