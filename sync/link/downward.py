"""The records of one scope on their way down (G1, G5): heads compared, the log in order, gaps pulled,
snapshots fetched; how differences are mended and rows surveyed is `mending`. Pure: bytes and seconds in,
effects to the outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.envelope import open_signed, read_signed, signed_payload
from sync.link.fetching import (
    BeginSnapshot,
    DropSnapshot,
    Fetch,
    KeepPiece,
    SnapshotSeen,
    Surveyed,
    WorkOnSnapshot,
    fault_of_manifest,
)
from sync.link.keys import Forged, Signer, verify
from sync.link.mending import Mending
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    BucketRows,
    BucketsAsked,
    BucketSums,
    ChangeOp,
    Context,
    FeedBatch,
    FeedHead,
    PiecesAsked,
    Pull,
    SnapshotManifest,
)
from sync.link.outbox import Outbox, Unfit, is_due
from sync.link.pieces import is_piece, read_piece
from sync.link.words import (
    AdoptGeneration,
    ApplyBatch,
    BeginGeneration,
    Connection,
    FeedSeen,
    NoteVerified,
    Opened,
    Publish,
    RecordsDiffer,
    RecordsMended,
    RecordsMoved,
    SessionConfig,
    Work,
)
from sync.store.records import ApplyResult
from sync.vocabulary.codec import Malformed, decoder, strict_decoder
from sync.vocabulary.numbers import UtcText


class _Typed(msgspec.Struct, frozen=True):
    type: str = "feed"
    """Batches of the log, older than all else on their topic, say nothing."""


_read_typed = decoder(_Typed)
_read_batch = strict_decoder(FeedBatch)
_read_manifest = strict_decoder(SnapshotManifest)
_read_sums = strict_decoder(BucketSums)
_read_rows = strict_decoder(BucketRows)


@dataclass(slots=True)
class _State:
    """How far they are."""

    current: FeedSeen | None
    building: FeedSeen | None
    handed: int
    """Last number given to the records; ahead of `target.number` until they answer."""
    issued: str
    """Of the newest head accepted; older ones are refused."""
    pull_wait_s: float
    rebuild_wait_s: float
    head: FeedHead | None = None
    heard: int = 0
    """Highest number seen in a signed batch of the target's epoch."""
    pull_at_s: float | None = None
    rebuild_at_s: float | None = None
    rebuild_ok_s: float | None = None
    """Not before this; None before the first."""
    why: str = ""
    """Why a generation is being built."""
    rebuild_why: str = ""
    """Why one is to be built at `rebuild_at_s`, whatever the numbers say then."""
    starting: bool = False
    adopting: bool = False
    noted: str = ""
    fetch: Fetch | None = None
    snapshots_ok_s: float | None = None
    """Not before this; None: at once."""

    @property
    def target(self) -> FeedSeen | None:
        return self.building or self.current


class Downward:
    """`run` and `run_feed` after every event: what is due."""

    def __init__(
        self,
        config: SessionConfig,
        out: Outbox,
        signer: Signer,
        keys: Callable[[], Mapping[str, Ed25519PublicKey]],
        opened: Opened,
    ) -> None:
        """`keys`: whose word is the hub's just now."""
        self._config = config
        self._out = out
        self._signer = signer
        self._keys = keys
        target = opened.building or opened.current
        self._state = _State(
            current=opened.current,
            building=opened.building,
            handed=target.number if target else 0,
            issued=opened.current.verified_utc if opened.current else "",
            pull_wait_s=config.pull_first_s,
            rebuild_wait_s=config.rebuild_first_s,
            why="continued" if opened.building else "",
        )
        self._left_over = opened.fetching
        self._mending = Mending(config, out, self._rebuild)

    @property
    def current(self) -> FeedSeen | None:
        """The generation that rules."""
        return self._state.current

    # --- what the session tells ---------------------------------------------------------------------------

    def work(self, at_s: float) -> None:
        """The next slice of what takes long, after whatever else there was to do: all of a snapshot takes
        a minute, and no claim's answer and no alarm may wait for more than a slice (G9)."""
        fetch = self._state.fetch
        if fetch is not None and is_due(fetch.work_at_s, at_s):
            fetch.work_at_s = None
            self._out.add(WorkOnSnapshot())
        self._mending.work(at_s)

    def snapshot_worked(self, at_s: float) -> None:
        if self._state.fetch is not None:
            self._state.fetch.work_at_s = at_s

    def disconnected(self) -> None:
        """The routine connection is gone."""
        self._state.pull_at_s = None
        if self._state.fetch is not None:
            self._state.fetch.ask_at_s = None

    def resync(self) -> None:
        """As when the records differ, only that nobody has to find it out first."""
        down = self._state
        if down.head is None or down.starting or down.adopting:
            self._out.count("resyncs_put_off")
            return
        self._rebuild("the centre asked")

    def failed(self, at_s: float, work: Work, why: str) -> None:
        """One of ours could not be done."""
        down, config = self._state, self._config
        match work:
            case Work.NOTE_VERIFIED:
                down.noted = ""
            case Work.APPLY_BATCH:
                down.handed = down.target.number if down.target else 0
                down.pull_at_s = at_s + down.pull_wait_s
                down.pull_wait_s = min(down.pull_wait_s * 2, config.pull_longest_s)
            case Work.SNAPSHOT:
                down.snapshots_ok_s = at_s + config.snapshot_again_s
                if down.fetch is not None:
                    self._drop_fetch()
                    self._settle(at_s)
            case Work.SURVEY | Work.MEND:
                self._mending.failed(why, survey=work is Work.SURVEY)
            case Work.BEGIN_GENERATION | Work.ADOPT_GENERATION:
                if work is Work.BEGIN_GENERATION:
                    # Its unfinished one is thrown away, and there is no other yet.
                    down.building, down.rebuild_why = None, down.why
                    down.handed = down.current.number if down.current else 0
                down.starting = False
                down.adopting = False
                down.rebuild_at_s = at_s + down.pull_wait_s
                down.pull_wait_s = min(down.pull_wait_s * 2, config.pull_longest_s)
            case _:
                pass

    def run(self, at_s: float) -> None:
        self._run_fetch(at_s)
        self._run_repair(at_s)
        self._mending.survey(at_s, self._steady())

    def run_feed(self, at_s: float) -> None:
        down = self._state
        if is_due(down.rebuild_at_s, at_s):
            down.rebuild_at_s = None
            if down.rebuild_why and not (down.starting or down.adopting):
                self._rebuild(down.rebuild_why)
            else:
                self._settle(at_s)
        if is_due(down.pull_at_s, at_s):
            if (
                down.target is None
                or down.starting
                or down.adopting
                or down.fetch
                or self._mending.is_under_way
            ):
                down.pull_at_s = None
                return
            down.handed = down.target.number
            down.pull_at_s = at_s + down.pull_wait_s
            down.pull_wait_s = min(down.pull_wait_s * 2, self._config.pull_longest_s)
            self._send_pull(at_s, down.target)

    def due(self) -> list[float | None]:
        fetch = self._state.fetch
        times = self._mending.due(self._steady())
        if fetch is not None:
            times.append(fetch.work_at_s)
        if Connection.ROUTINE in self._out.connected:
            times += [self._state.pull_at_s, self._state.rebuild_at_s]
            times.append(fetch.ask_at_s if fetch is not None else None)
        return times

    # --- heads and the log ----------------------------------------------------------------------------------

    def headed(self, at_s: float, head: FeedHead) -> None:
        down, known = self._state, self._state.head
        if head.scope != self._config.scope:
            raise Unfit(f"expected scope {self._config.scope}, got {head.scope[:40]!r}")
        if UtcText.parse(head.issued) is None:
            raise Unfit(f"issued: expected {UtcText.expected}")
        if _moment(head.issued) < _moment(down.issued):
            raise Unfit(f"issued {head.issued}, older than the head of {down.issued}")
        went_back = known is not None and head.epoch == known.epoch and head.number < known.number
        if went_back and _moment(head.issued) == _moment(down.issued):
            raise Unfit(f"number {head.number} is older than {known.number if known else 0}")
        down.head = head
        down.issued = head.issued
        if went_back:
            self._differ(at_s, "the log of the centre went back")
        else:
            self._settle(at_s)

    def _settle(self, at_s: float) -> None:
        """Compare what we hold with the newest head, and do what follows from it."""
        down, head, target = self._state, self._state.head, self._state.target
        if head is None or down.starting or down.adopting or self._mending.is_under_way:
            return
        if target is None or target.epoch != head.epoch:
            self._rebuild("no records yet" if target is None else f"the centre began epoch {head.epoch}")
            return
        if down.handed > target.number:
            return
        if head.number > target.number:
            if down.pull_at_s is None:
                down.pull_at_s = at_s
        elif head.number == target.number:
            if (head.digest.lower(), head.rows) == (target.digest.lower(), target.rows):
                self._verified(head, target)
            else:
                self._differ(at_s, "records differ from the centre's")

    def _verified(self, head: FeedHead, target: FeedSeen) -> None:
        down = self._state
        down.rebuild_at_s, down.rebuild_why = None, ""
        down.rebuild_wait_s = self._config.rebuild_first_s
        down.pull_wait_s = self._config.pull_first_s
        if down.heard <= target.number:
            down.pull_at_s = None
        if down.fetch is not None and down.fetch.manifest.number <= target.number:
            self._drop_fetch()
        if down.noted != head.issued:
            down.noted = head.issued
            self._out.add(NoteVerified(target.generation, head.issued))
        if down.building is not None:
            down.adopting = True
            self._out.add(AdoptGeneration(target.generation))

    def _differ(self, at_s: float, why: str) -> None:
        """Equal numbers, unequal records: start from nothing, but not over and over."""
        down, head, target = self._state, self._state.head, self._state.target
        if head is None or target is None or down.starting:
            return
        if down.rebuild_ok_s is not None and at_s < down.rebuild_ok_s:
            down.rebuild_at_s = down.rebuild_ok_s
            # By its numbers alone a log that went back is only one whose head is late.
            down.rebuild_why = why if head.number < target.number else ""
            self._out.count("rebuilds_put_off")
            return
        down.rebuild_ok_s = at_s + down.rebuild_wait_s
        down.rebuild_wait_s = min(down.rebuild_wait_s * 2, self._config.rebuild_longest_s)
        self._out.notify(RecordsDiffer(head.scope, head.epoch, head.number, target.digest, head.digest))
        if (head.epoch, head.number) == (target.epoch, target.number):
            self._begin_repair(at_s, target)
        else:
            self._rebuild(why)

    def _rebuild(self, why: str) -> None:
        down = self._state
        if down.head is None:
            return
        self._out.count("rebuilds")
        down.why = why
        self._mending.drop()
        if down.fetch is not None and down.fetch.manifest.epoch != down.head.epoch:
            self._drop_fetch()
        down.starting = True
        down.rebuild_at_s, down.rebuild_why = None, ""
        down.pull_at_s = None
        down.heard = 0
        self._out.add(BeginGeneration(self._config.scope, down.head.epoch))

    def generation_begun(self, at_s: float, state: FeedSeen) -> None:
        down = self._state
        down.starting = False
        if down.fetch is not None and down.fetch.installing and state.number == down.fetch.manifest.number:
            # Its files are gone already: they became this generation.
            down.fetch = None
            down.why = "snapshot"
            self._mending.finished()
            self._out.count("snapshots_taken")
        down.building = state
        down.handed = state.number
        down.noted = ""
        down.pull_wait_s = self._config.pull_first_s
        self._settle(at_s)

    def generation_adopted(self, state: FeedSeen) -> None:
        down = self._state
        down.adopting = False
        down.current = state
        down.building = None
        down.handed = state.number
        self._out.notify(
            RecordsMoved(self._config.scope, state.epoch, state.number, state.generation, down.why)
        )

    def fed(self, at_s: float, batch: FeedBatch) -> None:
        down, target = self._state, self._state.target
        self._fit_batch(batch)
        if target is None or down.starting or down.adopting or batch.epoch != target.epoch:
            self._out.count("feed_other_epoch")
            return
        if self._mending.is_under_way:
            # What is mended is mended at one number; what comes meanwhile is pulled afterwards.
            self._out.count("feed_held")
            return
        down.heard = max(down.heard, batch.last)
        if batch.last <= down.handed:
            self._out.count("feed_already")
            return
        if batch.first > down.handed + 1:
            self._out.count("feed_gap")
            if down.pull_at_s is None:
                down.pull_at_s = at_s
            return
        first = down.handed + 1
        due = FeedBatch(batch.scope, batch.epoch, first, batch.last, batch.changes[first - batch.first :])
        down.handed = batch.last
        self._out.add(ApplyBatch(target.generation, due))

    def _fit_batch(self, batch: FeedBatch) -> None:
        if batch.scope != self._config.scope:
            raise Unfit(f"expected scope {self._config.scope}, got {batch.scope[:40]!r}")
        changes = batch.changes
        if len(changes) != batch.last - batch.first + 1:
            raise Unfit(f"expected {batch.last - batch.first + 1} changes, got {len(changes)}")
        for number, change in enumerate(changes, start=batch.first):
            if change.number != number:
                raise Unfit(f"expected change {number}, got {change.number}")
            if (change.op is ChangeOp.DELETE) != (change.body == ""):
                raise Unfit(f"change {number}: expected a body to put, and none to delete")

    def applied(self, at_s: float, result: ApplyResult, state: FeedSeen) -> None:
        down, target, config = self._state, self._state.target, self._config
        if target is None or down.starting or state.generation != target.generation:
            return
        progress = state.number > target.number
        if down.building is not None:
            down.building = state
        else:
            down.current = state
        match result:
            case ApplyResult.APPLIED | ApplyResult.ALREADY:
                down.handed = max(down.handed, state.number)
            case ApplyResult.GAP | ApplyResult.OTHER_EPOCH:
                self._out.count(f"records_{result.value}")
                down.handed = state.number
            case _:
                assert_never(result)
        wanted = max(down.heard, down.head.number if down.head and down.head.epoch == state.epoch else 0)
        if state.number >= wanted:
            down.pull_at_s = None
            down.pull_wait_s = config.pull_first_s
        elif progress:
            down.pull_wait_s = config.pull_first_s
            down.pull_at_s = at_s + config.pull_quiet_s
        elif down.pull_at_s is None:
            down.pull_at_s = at_s + down.pull_wait_s
        self._settle(at_s)

    def connected(self, at_s: float) -> None:
        """What was published while we were away is not coming again by itself."""
        down = self._state
        down.pull_wait_s = self._config.pull_first_s
        if down.target is None or down.starting:
            return
        self._take_up_left_over(down.target)
        if down.fetch is not None:
            down.fetch.wait_s = self._config.pull_first_s
            down.fetch.ask_at_s = at_s
            return
        self._send_pull(at_s, down.target)
        behind = max(down.heard, down.head.number if down.head else 0) > down.target.number
        down.pull_at_s = at_s + down.pull_wait_s if behind else None

    def _send_pull(
        self,
        at_s: float,
        target: FeedSeen,
        *,
        pieces: PiecesAsked | None = None,
        buckets: BucketsAsked | None = None,
    ) -> None:
        config, ok_s = self._config, self._state.snapshots_ok_s
        self._out.count("pulls")
        takes = config.snapshots and (ok_s is None or ok_s <= at_s)
        pull = Pull(config.scope, target.epoch, target.number, takes, pieces, buckets)
        payload = signed_payload(self._signer, Context.PULL, pull)
        self._out.add(Publish(Connection.ROUTINE, config.topics.pull(config.device), payload))

    # --- snapshots ----------------------------------------------------------------------------------------

    def answered(self, at_s: float, payload: bytes) -> None:
        """Whatever comes on our own topic: a piece, or something signed that says what it is."""
        if is_piece(payload):
            self._on_piece(at_s, payload)
            return
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Malformed(f"{len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
        signed = read_signed(payload)
        match _read_typed(signed.body).type:
            case "feed":
                batch = _read_batch(verify(self._keys(), signed, Context.FEED))
                self.fed(at_s, batch)
                self._answered_by_the_feed(at_s, batch)
            case "snapshot":
                self._on_manifest(
                    at_s, _read_manifest(verify(self._keys(), signed, Context.SNAPSHOT)), payload
                )
            case "bucket_sums":
                self._mending.take(at_s, _read_sums(verify(self._keys(), signed, Context.BUCKETS)))
            case "bucket_rows":
                self._mending.take(at_s, _read_rows(verify(self._keys(), signed, Context.BUCKETS)))
            case other:
                raise Malformed(f"expected a batch, a snapshot or buckets, got {other[:40]!r}")

    def _on_manifest(self, at_s: float, manifest: SnapshotManifest, payload: bytes) -> None:
        down, target, config = self._state, self._state.target, self._config
        fault = fault_of_manifest(manifest)
        if manifest.scope != config.scope:
            fault = f"expected scope {config.scope}, got {manifest.scope[:40]!r}"
        if fault:
            raise Unfit(f"snapshot: {fault}")
        wanted = config.snapshots and (down.snapshots_ok_s is None or down.snapshots_ok_s <= at_s)
        fits = target is not None and manifest.epoch == target.epoch and target.number < manifest.number
        before = down.fetch.manifest if down.fetch is not None else None
        newer = before is None or before.epoch != manifest.epoch or before.number < manifest.number
        if not (wanted and fits and newer) or down.starting or down.adopting or self._mending.is_under_way:
            self._out.count("snapshots_not_taken")
            return
        if down.fetch is not None:
            self._drop_fetch()
        self._out.count("snapshots_begun")
        self._left_over = b""
        down.pull_at_s = None
        down.fetch = Fetch(manifest, payload, config.pull_first_s)
        self._out.add(BeginSnapshot(manifest, payload))

    def _take_up_left_over(self, target: FeedSeen) -> None:
        """Go on with what an earlier run began to fetch, if the centre's key and our epoch still say so."""
        payload, self._left_over = self._left_over, b""
        if not payload or self._state.fetch is not None:
            return
        try:
            manifest = open_signed(payload, self._keys(), Context.SNAPSHOT, SnapshotManifest)
            fits = (manifest.scope, manifest.epoch) == (self._config.scope, target.epoch)
        except (Forged, Malformed):
            fits = False
        if not fits or fault_of_manifest(manifest) or manifest.number <= target.number:
            self._out.add(DropSnapshot())
            return
        self._out.count("snapshots_continued")
        self._state.fetch = Fetch(manifest, payload, self._config.pull_first_s)
        self._out.add(BeginSnapshot(manifest, payload))

    def _on_piece(self, at_s: float, payload: bytes) -> None:
        fetch = self._state.fetch
        piece = read_piece(payload)
        if fetch is None or not fetch.begun or not fetch.is_of(piece):
            self._out.count("pieces_unasked")
            return
        fetch.asked.discard((piece.kind.value, piece.index))
        fetch.wait_s = self._config.pull_first_s
        fetch.ask_at_s = at_s + fetch.wait_s
        self._out.add(KeepPiece(piece))

    def snapshot_seen(self, at_s: float, event: SnapshotSeen) -> None:
        fetch = self._state.fetch
        if fetch is None:
            return
        begins, fetch.begun = not fetch.begun, True
        fetch.wanted = event.wanted
        if not event.right:
            topic = self._config.topics.batch(self._config.device)
            self._out.refuse(at_s, topic, "a piece of the snapshot is not what its hash says")
        if fetch.installing:
            fetch.ask_at_s, fetch.work_at_s = None, at_s
        elif begins or not fetch.asked:
            fetch.ask_at_s = at_s

    def _answered_by_the_feed(self, at_s: float, batch: FeedBatch) -> None:
        """The hub has the snapshot no longer: it answered our asking for pieces with the log."""
        down = self._state
        if down.fetch is not None and down.fetch.asked and batch.epoch == down.fetch.manifest.epoch:
            self._out.count("snapshots_gone")
            self._drop_fetch()
            self._settle(at_s)

    def _drop_fetch(self) -> None:
        self._state.fetch = None
        self._out.add(DropSnapshot())

    def _run_fetch(self, at_s: float) -> None:
        fetch, target = self._state.fetch, self._state.target
        if fetch is None or target is None:
            return
        if Connection.ROUTINE in self._out.connected and is_due(fetch.ask_at_s, at_s):
            fetch.ask_at_s = at_s + fetch.wait_s
            fetch.wait_s = min(fetch.wait_s * 2, self._config.pull_longest_s)
            asked = fetch.ask()
            if asked is not None:
                self._send_pull(at_s, target, pieces=asked)

    # --- mending ------------------------------------------------------------------------------------------

    def _begin_repair(self, at_s: float, target: FeedSeen) -> None:
        self._state.rebuild_at_s = None
        self._state.pull_at_s = None
        self._mending.begin(at_s, target)

    def survey_worked(self, at_s: float) -> None:
        self._mending.survey_worked(at_s)

    def surveyed(self, at_s: float, surveyed: Surveyed) -> None:
        down, current, mending = self._state, self._state.current, self._mending
        if mending.is_under_way:
            mending.surveyed(at_s, surveyed)
            return
        wrong = mending.survey_ended(at_s, surveyed, current, down.handed)
        if wrong and current is not None and down.building is None and not (down.starting or down.adopting):
            self._begin_repair(at_s, current)

    def mended(self, at_s: float, mended: RecordsMended) -> None:
        down, head, state = self._state, self._state.head, mended.state
        if not self._mending.mended(mended):
            return
        if down.building is not None:
            down.building = state
        else:
            down.current = state
        if head is not None and head.number == state.number and head.digest.lower() != state.digest.lower():
            self._rebuild("mended, and still not the centre's")
            return
        self._settle(at_s)

    def _run_repair(self, at_s: float) -> None:
        target = self._state.target
        if target is None:
            return
        asked = self._mending.run(at_s)
        if asked is not None:
            self._send_pull(at_s, target, buckets=asked)

    def _steady(self) -> FeedSeen | None:
        """The generation that rules, while no other is built."""
        return self._state.current if self._state.building is None else None


def _moment(utc: str) -> str:
    """UTC text without its Z, which would sort a whole second after its own fractions."""
    return utc.removesuffix("Z")
