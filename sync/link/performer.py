"""What the session asks of journal and records, done; what came of it, as events. No network, no thread.

Shared by the real client and by tests that run a whole site in one process. A failure of the disk or of a
file becomes `StoreFailed`: it stops nothing and is tried again when the session says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import assert_never

from sync.link.fetching import (
    WINDOW,
    BeginSnapshot,
    BeginSurvey,
    DropSnapshot,
    KeepPiece,
    Mend,
    SnapshotSeen,
    SnapshotWorked,
    Surveyed,
    SurveyWorked,
    WorkOnSnapshot,
    WorkOnSurvey,
)
from sync.link.messages import MAX_PAYLOAD_BYTES, PAGE_HASHES, FeedBatch, StreamHead
from sync.link.pieces import PieceKind
from sync.link.words import (
    AckApplied,
    AdoptGeneration,
    ApplyAck,
    ApplyBatch,
    ArchiveMet,
    BatchApplied,
    BeginEpoch,
    BeginGeneration,
    EpochBegun,
    FactsRead,
    FeedSeen,
    GenerationAdopted,
    GenerationBegun,
    IssueAgain,
    IssuedAgain,
    KeepHubKeys,
    LinkEffect,
    LinkEvent,
    MeetArchive,
    NoteVerified,
    Notify,
    Opened,
    Publish,
    ReadFacts,
    RecordsMended,
    StoreFailed,
    WakeAt,
    Work,
)
from sync.store.journal import Journal, JournalFull, Standing, utc_now
from sync.store.opening import StoreRefused
from sync.store.records import (
    Records,
    Survey,
    drop_other_generations,
    generation_path,
    new_generation,
    next_generation,
)
from sync.store.snapshots import PartialSnapshot, drop_snapshot, left_over
from sync.store.whole_files import replace_whole
from sync.vocabulary.codec import Malformed

HUB_KEYS = "hub-keys.json"
"""Beside the journal: the hub's key statements as last believed."""

_FAILURES = (StoreRefused, JournalFull, Malformed, OSError)

SURVEY_ROWS = 2_000
"""Summed up at once: some 10 ms."""


class LinkPerformer:
    """Journal and records of one device, as the link uses them. `opened` and all after it: one thread."""

    def __init__(
        self,
        journal: Journal,
        records_folder: Path,
        *,
        scope: str,
        utc: Callable[[], str] = utc_now,
        leads_to_parcels: bool = False,
    ) -> None:
        """`leads_to_parcels`: officers look parcels up by slip, trace code and order."""
        self._journal = journal
        self._folder = records_folder
        self._scope = scope
        self._utc = utc
        self._leads_to_parcels = leads_to_parcels
        self._current: tuple[int, Records] | None = None
        self._building: tuple[int, Records] | None = None
        self._snapshot: PartialSnapshot | None = None
        self._survey: tuple[int, Survey] | None = None

    def opened(self) -> Opened:
        """Open what the journal names, and a generation left unfinished. Raises what the journal raises."""
        self.close()
        named = self._journal.generation()
        trouble = ""
        if named is not None:
            try:
                self._current = (named, self._open(named))
            except _FAILURES as error:
                trouble = str(error)
        left = self._newest_beside(named)
        if left is not None:
            with suppress(*_FAILURES):
                self._building = (left, self._open(left))
        if self._current is not None or named is None:
            self._drop_others()
        standing = self._journal.standing()
        return Opened(
            epoch=standing.epoch,
            position=standing.position,
            heads=_heads(standing),
            acked=tuple(self._journal.acked().items()),
            current=_seen(self._current),
            building=_seen(self._building),
            trouble=trouble,
            archive_id=self._journal.archive_id(),
            left_to_issue=self._journal.left_to_issue(),
            fetching=left_over(self._folder) or b"",
            hub_keys=self._hub_keys(),
        )

    def perform(self, effect: LinkEffect) -> tuple[LinkEvent, ...]:
        """Do what is for the store; `Publish`, `Notify` and `WakeAt` are for others and answer nothing."""
        match effect:
            case ReadFacts():
                return self._read(effect)
            case ApplyAck():
                return self._apply_ack(effect)
            case IssueAgain(most):
                return self._issue_again(most)
            case MeetArchive():
                return self._meet_archive(effect)
            case BeginEpoch(why):
                return self._begin_epoch(why)
            case ApplyBatch():
                return self._apply_batch(effect)
            case BeginGeneration(scope, epoch):
                return self._begin_generation(scope, epoch)
            case AdoptGeneration(generation):
                return self._adopt(generation)
            case NoteVerified(generation, issued):
                return self._note_verified(generation, issued)
            case BeginSnapshot():
                return self._begin_snapshot(effect)
            case KeepPiece():
                return self._keep_piece(effect)
            case WorkOnSnapshot():
                return self._work_on_snapshot()
            case DropSnapshot():
                return self._drop_snapshot()
            case BeginSurvey(generation, collect):
                return self._begin_survey(generation, collect)
            case WorkOnSurvey():
                return self._work_on_survey()
            case Mend():
                return self._mend(effect)
            case KeepHubKeys(statements):
                return self._keep_hub_keys(statements)
            case Publish() | Notify() | WakeAt():
                return ()
            case _:
                assert_never(effect)

    def apply_gathered(self, effects: Sequence[ApplyBatch]) -> tuple[LinkEvent, ...]:
        """Batches in the order they were asked for, in one transaction where they follow one another: a bulk
        of them pays for one disk sync. Where that fails, each by itself, so that a bad one costs only itself.
        """
        follow = all(
            (before.generation, before.batch.epoch, before.batch.last + 1)
            == (after.generation, after.batch.epoch, after.batch.first)
            for before, after in pairwise(effects)
        )
        if follow and len(effects) > 1:
            first, last = effects[0].batch, effects[-1].batch
            changes = tuple(change for effect in effects for change in effect.batch.changes)
            whole = FeedBatch(first.scope, first.epoch, first.first, last.last, changes)
            answers = self._apply_batch(ApplyBatch(effects[0].generation, whole))
            if not any(isinstance(answer, StoreFailed) for answer in answers):
                return answers
        return tuple(answer for effect in effects for answer in self._apply_batch(effect))

    def close(self) -> None:
        for held in (self._current, self._building):
            if held is not None:
                held[1].close()
        self._current = None
        self._building = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
        self._end_survey()

    # --- facts --------------------------------------------------------------------------------------------

    def _read(self, effect: ReadFacts) -> tuple[LinkEvent, ...]:
        try:
            # Heads first: the lane goes on committing, and a head without its fact would mean a lost row.
            standing = self._journal.standing()
            facts = self._journal.facts_from(
                effect.stream,
                effect.from_seq,
                max_facts=effect.max_facts,
                max_bytes=effect.max_bytes,
                epoch=standing.epoch,
            )
        except _FAILURES as error:
            return (StoreFailed(Work.READ_FACTS, str(error), effect.stream),)
        heads = _heads(standing)
        return (FactsRead(effect.stream, effect.from_seq, standing.epoch, facts, heads, standing.position),)

    def _apply_ack(self, effect: ApplyAck) -> tuple[LinkEvent, ...]:
        ack = effect.ack
        try:
            outcome = self._journal.apply_ack(
                archive_id=ack.archive_id,
                counter=ack.counter,
                epoch=ack.epoch,
                stream=ack.stream,
                contiguous=ack.contiguous,
                hash=ack.hash,
            )
            acked = tuple(self._journal.acked().items())
        except _FAILURES as error:
            return (StoreFailed(Work.APPLY_ACK, str(error), ack.stream),)
        return (AckApplied(ack, outcome, acked),)

    def _meet_archive(self, effect: MeetArchive) -> tuple[LinkEvent, ...]:
        try:
            self._journal.meet_archive(
                effect.archive_id, counter=effect.counter, backup_interval_s=effect.backup_interval_s
            )
            acked = tuple(self._journal.acked().items())
        except _FAILURES as error:
            return (StoreFailed(Work.MEET_ARCHIVE, str(error)),)
        return (ArchiveMet(effect.archive_id, acked),)

    def _begin_epoch(self, why: str) -> tuple[LinkEvent, ...]:
        try:
            self._journal.begin_epoch(why)
            standing = self._journal.standing()
            acked = tuple(self._journal.acked().items())
        except _FAILURES as error:
            return (StoreFailed(Work.BEGIN_EPOCH, str(error)),)
        left = self._journal.left_to_issue()
        return (EpochBegun(standing.epoch, _heads(standing), acked, standing.position, why, left),)

    def _issue_again(self, most: int) -> tuple[LinkEvent, ...]:
        try:
            return (IssuedAgain(self._journal.issue_again(max_facts=most)),)
        except _FAILURES as error:
            return (StoreFailed(Work.ISSUE_AGAIN, str(error)),)

    # --- records ------------------------------------------------------------------------------------------

    def _apply_batch(self, effect: ApplyBatch) -> tuple[LinkEvent, ...]:
        held = self._held(effect.generation)
        if held is None:
            return (StoreFailed(Work.APPLY_BATCH, f"generation {effect.generation} is not open"),)
        try:
            outcome = held[1].apply(effect.batch)
            state = _seen_of(*held)
        except _FAILURES as error:
            return (StoreFailed(Work.APPLY_BATCH, str(error)),)
        return (BatchApplied(outcome.result, state),)

    def _begin_generation(self, scope: str, epoch: str) -> tuple[LinkEvent, ...]:
        try:
            # Taken before the unfinished file goes: a file that resists deletion must not be taken up again.
            number = max(next_generation(self._folder), (self._journal.generation() or 0) + 1)
            self._end_survey()
            self._end_building()
            self._drop_others()
            new_generation(self._folder, number, scope, epoch, opener=self._journal.opener)
            self._building = (number, self._open(number))
            state = _seen_of(*self._building)
        except _FAILURES as error:
            self._end_building()
            return (StoreFailed(Work.BEGIN_GENERATION, str(error)),)
        return (GenerationBegun(state),)

    def _adopt(self, generation: int) -> tuple[LinkEvent, ...]:
        building = self._building
        if building is None or building[0] != generation:
            return (StoreFailed(Work.ADOPT_GENERATION, f"generation {generation} is not being built"),)
        try:
            self._journal.set_generation(generation)
            state = _seen_of(*building)
        except _FAILURES as error:
            return (StoreFailed(Work.ADOPT_GENERATION, str(error)),)
        if self._current is not None:
            self._current[1].close()
        # The file left behind stays until the next start: a reader may be about to open it.
        self._current, self._building = building, None
        return (GenerationAdopted(state),)

    def _note_verified(self, generation: int, issued: str) -> tuple[LinkEvent, ...]:
        held = self._held(generation)
        if held is None:
            return (StoreFailed(Work.NOTE_VERIFIED, f"generation {generation} is not open"),)
        try:
            # A head from the future proves nothing beyond our own now.
            held[1].note_verified(min(issued, self._utc(), key=lambda utc: utc.removesuffix("Z")))
        except _FAILURES as error:
            return (StoreFailed(Work.NOTE_VERIFIED, str(error)),)
        return ()

    def _end_building(self) -> None:
        if self._building is not None:
            self._building[1].close()
            self._building = None

    # --- snapshots ----------------------------------------------------------------------------------------

    def _begin_snapshot(self, effect: BeginSnapshot) -> tuple[LinkEvent, ...]:
        try:
            if self._snapshot is not None:
                self._snapshot.close()
                self._snapshot = None
            self._snapshot = PartialSnapshot.begin(
                self._folder,
                effect.manifest,
                effect.payload,
                page_hashes=PAGE_HASHES,
                reserve_bytes=self._journal.reserve_bytes,
                opener=self._journal.opener,
            )
            wanted = self._snapshot.wanted(WINDOW)
        except _FAILURES as error:
            return (StoreFailed(Work.SNAPSHOT, str(error)),)
        return (SnapshotSeen(wanted),)

    def _keep_piece(self, effect: KeepPiece) -> tuple[LinkEvent, ...]:
        piece, snapshot = effect.piece, self._snapshot
        if snapshot is None:
            return (StoreFailed(Work.SNAPSHOT, "no snapshot is being fetched"),)
        try:
            match piece.kind:
                case PieceKind.PAGE:
                    right = snapshot.take_page(piece.index, piece.data)
                case PieceKind.PIECE:
                    right = snapshot.take_piece(piece.index, piece.data)
                case _:
                    assert_never(piece.kind)
            return (SnapshotSeen(snapshot.wanted(WINDOW), right),)
        except _FAILURES as error:
            return (StoreFailed(Work.SNAPSHOT, str(error)),)

    def _work_on_snapshot(self) -> tuple[LinkEvent, ...]:
        snapshot = self._snapshot
        if snapshot is None:
            return (StoreFailed(Work.SNAPSHOT, "no snapshot is being fetched"),)
        try:
            path = snapshot.work()
            if path is None:
                return (SnapshotWorked(),)
            self._snapshot = None
            number = next_generation(self._folder) - 1
            fresh = (number, self._open(number))
            self._end_building()
            self._building = fresh
            self._drop_others()
            state = _seen_of(*self._building)
        except _FAILURES as error:
            return (StoreFailed(Work.SNAPSHOT, str(error)),)
        return (GenerationBegun(state),)

    def _drop_snapshot(self) -> tuple[LinkEvent, ...]:
        snapshot, self._snapshot = self._snapshot, None
        with suppress(*_FAILURES):
            if snapshot is not None:
                snapshot.close()
            drop_snapshot(self._folder)
        return ()

    # --- surveys and mending ------------------------------------------------------------------------------

    def _begin_survey(self, generation: int, collect: tuple[int, ...]) -> tuple[LinkEvent, ...]:
        self._end_survey()
        try:
            path = generation_path(self._folder, generation)
            self._survey = (generation, Survey(path, collect, opener=self._journal.opener))
        except _FAILURES as error:
            return (StoreFailed(Work.SURVEY, str(error)),)
        return (SurveyWorked(),)

    def _work_on_survey(self) -> tuple[LinkEvent, ...]:
        if self._survey is None:
            return (StoreFailed(Work.SURVEY, "no survey was begun"),)
        generation, survey = self._survey
        try:
            if survey.step(SURVEY_ROWS):
                return (SurveyWorked(),)
            kept = survey.kept()
        except _FAILURES as error:
            self._end_survey()
            return (StoreFailed(Work.SURVEY, str(error)),)
        # What it has seen stays until it is mended or another one begins; its view of the file does not.
        survey.close()
        return (Surveyed(generation, survey.state.number, tuple(survey.sums), kept),)

    def _end_survey(self) -> None:
        if self._survey is not None:
            self._survey[1].close()
            self._survey = None

    def _mend(self, effect: Mend) -> tuple[LinkEvent, ...]:
        held, survey = self._held(effect.generation), self._survey
        if held is None or survey is None or survey[0] != effect.generation:
            return (
                StoreFailed(Work.MEND, f"generation {effect.generation} is not open or was not surveyed"),
            )
        try:
            mended = held[1].mend(effect.number, effect.rows, survey[1].rows, survey[1].count)
            state = _seen_of(*held)
        except _FAILURES as error:
            return (StoreFailed(Work.MEND, str(error)),)
        finally:
            self._end_survey()
        return (RecordsMended(state, mended.put, mended.deleted),)

    # --- the hub's keys -----------------------------------------------------------------------------------

    def _hub_keys(self) -> bytes:
        """As kept; empty where there are none or they cannot be read: the pinned key holds, and they come
        again from the broker."""
        try:
            with (self._folder / HUB_KEYS).open("rb") as file:
                return file.read(MAX_PAYLOAD_BYTES)
        except OSError:
            return b""

    def _keep_hub_keys(self, statements: bytes) -> tuple[LinkEvent, ...]:
        try:
            replace_whole(self._folder / HUB_KEYS, statements)
        except OSError as error:
            return (StoreFailed(Work.KEEP_HUB_KEYS, str(error)),)
        return ()

    def _held(self, generation: int) -> tuple[int, Records] | None:
        for held in (self._building, self._current):
            if held is not None and held[0] == generation:
                return held
        return None

    def _open(self, number: int) -> Records:
        records = Records.open(
            generation_path(self._folder, number), writable=True, opener=self._journal.opener
        )
        state = records.feed_state()
        if state.scope != self._scope:
            records.close()
            raise StoreRefused(
                f"{records.path} holds scope {state.scope!r}, expected {self._scope!r}: it is built anew"
            )
        if self._leads_to_parcels:
            try:
                records.lead_to_parcels()
            except BaseException:
                records.close()
                raise
        return records

    def _newest_beside(self, named: int | None) -> int | None:
        newest = next_generation(self._folder) - 1
        return newest if newest > (named or 0) else None

    def _drop_others(self) -> None:
        """Files of generations nobody names. What is named stays even if it could not be opened: evidence."""
        keep = {number for held in (self._current, self._building) if held for number in held[:1]}
        named = self._journal.generation()
        drop_other_generations(self._folder, keep | ({named} if named is not None else set()))


def _heads(standing: Standing) -> tuple[StreamHead, ...]:
    return tuple(StreamHead(stream, row.seq, row.hash) for stream, row in standing.heads.items())


def _seen(held: tuple[int, Records] | None) -> FeedSeen | None:
    return None if held is None else _seen_of(*held)


def _seen_of(number: int, records: Records) -> FeedSeen:
    state = records.feed_state()
    return FeedSeen(number, state.epoch, state.number, state.rows, state.digest, state.verified_utc or "")
