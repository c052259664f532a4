"""Facts up: stored once, in order, gap-free and chained (G2, G6); epochs and heads compared (G4); answered by
signed acknowledgements of what the archive has committed (G3). No MQTT, no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive, Run, StreamState
from sync.hub.blob_files import is_sha256
from sync.hub.claiming import Claiming, UsesTold
from sync.hub.commanding import Commanding
from sync.hub.held import LANE_SAYS, Held
from sync.hub.terms import (
    ALARM_CONNECTION,
    ROUTINE_CONNECTION,
    Counts,
    HubAlarm,
    Limits,
    Outgoing,
    Refused,
    seconds,
)
from sync.hub.x_rayed import XRayed
from sync.link.envelope import Arrived, Batch, BatchRefused, read_batch, read_signed, reader, signed_payload
from sync.link.keys import Signer, verify
from sync.link.messages import (
    MAX_MISSING_RANGES,
    Ack,
    Acks,
    Checkpoint,
    Context,
    Signed,
    Topics,
)
from sync.vocabulary.blobs import MAX_BLOB_BYTES, named_by
from sync.vocabulary.bounds import MAX_NUMBER
from sync.vocabulary.codec import Malformed, double_key
from sync.vocabulary.facts import (
    CommandTaken,
    EpochBegan,
    Fact,
    FactData,
    FindingMade,
    InspectionMade,
    OrderTaken,
    RulingMade,
    Stream,
    UsesReturned,
    VehicleCrossed,
)
from sync.vocabulary.handheld_facts import DraftDropped, LaboratoryResult, ReleaseAsked
from sync.vocabulary.xray_facts import JudgementUndone, ParcelSorted, ParcelXRayed, XRayFileKept

EPOCHS_OF_INTEREST = 8
"""How many epochs of one device are acknowledged at once. The ones it left behind are among them: what is
here of those need not be issued again when a device meets a new archive."""

MAX_RUNS = 4_096
"""Stored runs of one stream that do not connect yet. Only a device that leaves out fact after fact has more:
every message would cost a look at all of them."""

MAX_STATES = 2_000
"""Devices, and streams of one device, whose state is kept in memory."""

_read_checkpoint = reader(Checkpoint)


Acknowledgement = tuple[str, str, Acks]
"""Device, the connection it leaves on, and what it says."""


class Taking:
    """Every stream of every device, as far as it is here."""

    def __init__(
        self,
        archive: Archive,
        signer: Signer,
        topics: Topics,
        claiming: Claiming,
        commanding: Commanding,
        limits: Limits,
        counts: Counts,
        held: Held,
        x_rayed: XRayed,
    ) -> None:
        self._archive = archive
        self._signer = signer
        self._topics = topics
        self._claiming = claiming
        self._commanding = commanding
        self._held = held
        self._x_rayed = x_rayed
        self._limits = limits
        self._counts = counts
        self._states: dict[str, dict[tuple[str, Stream], StreamState]] = {}
        self._counters: dict[str, int] = {}
        self._heads: dict[str, tuple[Signed, Checkpoint]] = {}
        self._to_acknowledge: dict[str, str] = {}
        """Device -> the connection its acknowledgement leaves on."""
        self._nonces: dict[str, str] = {}
        """Device -> what its next acknowledgement quotes."""
        self._unannounced = bool(archive.unannounced_epochs())

    def take(
        self, device: str, key: Mapping[str, Ed25519PublicKey], stream: Stream, payload: bytes, at_utc: str
    ) -> list[Outgoing]:
        batch = read_batch(payload)
        if (batch.device, batch.stream) != (device, stream):
            raise Refused(
                HubAlarm.WRONG_DEVICE,
                f"facts of {batch.device[:64]!r}/{batch.stream.value} on a topic of {device}/{stream.value}",
                device,
            )
        verify(key, batch.signed, Context.CHECKPOINT)
        self._store(batch, at_utc)
        if stream is Stream.ALARM or device not in self._to_acknowledge:
            connection = ALARM_CONNECTION if stream is Stream.ALARM else ROUTINE_CONNECTION
            self._to_acknowledge[device] = connection
        return []

    def _store(self, batch: Batch, at_utc: str) -> None:
        """Inside a transaction, the device locked."""
        device, epoch, stream = batch.device, batch.epoch, batch.stream
        first, last = batch.facts[0].head.seq, batch.facts[-1].head.seq
        state = self._state(device, epoch, stream)
        stored = (
            self._archive.fact_hashes(device, epoch, stream.value, first, last)
            if first <= state.last_seq()
            else {}
        )
        new: list[tuple[Fact, FactData | None, str]] = []
        branches: list[Fact] = []
        for arrived in batch.facts:
            known = stored.get(arrived.head.seq)
            if known == arrived.hash:
                self._counts.duplicates += 1
                continue
            data = _readable(arrived)
            head = arrived.head
            fact = Fact(
                device,
                epoch,
                stream,
                head.seq,
                head.position,
                head.event_id,
                head.kind,
                _passage_of(data),
                head.time,
                arrived.hash,
                arrived.body,
            )
            if known is None:
                new.append((fact, data, head.prev))
            else:
                branches.append(fact)
        if not new and not branches:
            return
        after, broken = _connect(state, [(fact, prev) for fact, _, prev in new])
        if MAX_RUNS < len(after.beyond) > len(state.beyond):
            raise Refused(
                HubAlarm.BATCH_REFUSED,
                f"{epoch}/{stream.value}: facts {first} to {last} make more than {MAX_RUNS} stretches with "
                f"gaps between them, expected {state.contiguous + 1} first",
                device,
            )
        if branches:
            lowest = min(fact.seq for fact in branches)
            after = after._replace(branched=min(lowest, after.branched or lowest))
        counter = self._counter(device) + 1
        if state.last_seq() == 0:
            self._archive.note_epoch(device, epoch, at_utc)
        self._archive.add_facts([fact for fact, _, _ in new], at_utc)
        self._archive.set_stream(device, epoch, stream, after, counter)
        self._archive.add_checkpoint(
            device,
            epoch,
            batch.checkpoint.position,
            batch.signed.body,
            batch.signed.kid,
            batch.signed.sig,
            at_utc,
        )
        for seq in broken:
            self._archive.add_alarm_once(
                at_utc,
                device,
                HubAlarm.CHAIN_BROKEN,
                f"{epoch}/{stream.value}: fact {seq} does not name the hash of fact {seq - 1}",
            )
        self._branch(branches, at_utc)
        if new:
            self._past_the_end(device, epoch, stream, new[-1][0].seq, at_utc)
        uses = UsesTold()
        for fact, data, _ in new:
            self._effect(fact, data, uses, at_utc)
        self._claiming.tell(device, uses, at_utc)
        said = [(fact, data) for fact, data, _ in new if isinstance(data, LANE_SAYS)]
        self._held.told(device, said, at_utc)
        self._states.setdefault(device, {})[(epoch, stream)] = after
        self._counters[device] = counter
        self._counts.facts += len(new)
        self._unannounced = self._unannounced or first == 1 or state.last_seq() == 0

    def _branch(self, branches: list[Fact], at_utc: str) -> None:
        self._archive.add_branches(branches, at_utc)
        for fact in branches:
            self._archive.add_alarm_once(
                at_utc,
                fact.device,
                HubAlarm.BRANCH,
                f"{fact.epoch}/{fact.stream.value}/{fact.seq}: another fact is stored under this number, "
                f"this one has hash {fact.hash}",
            )

    def _effect(self, fact: Fact, data: FactData | None, uses: UsesTold, at_utc: str) -> None:
        """What a fact changes here beside being stored; what it says of slip uses is only gathered."""
        match data:
            case None:
                self._archive.park(
                    self._topics.facts(fact.device, fact.stream),
                    fact.body.encode(),
                    f"unreadable fact: {fact.kind[:64]} at {fact.epoch}/{fact.stream.value}/{fact.seq}",
                    at_utc,
                )
                self._archive.add_alarm_once(
                    at_utc,
                    fact.device,
                    HubAlarm.FACT_UNREADABLE,
                    f"{fact.epoch}/{fact.stream.value}/{fact.seq}: "
                    f"kind {fact.kind[:64]!r} is not known here, kept",
                )
            case RulingMade():
                self._claiming.ruled(uses, fact, data, at_utc)
            case VehicleCrossed():
                self._claiming.ended(uses, fact, data.use_ids, data.claim_id, "crossed")
            case UsesReturned():
                self._claiming.ended(uses, fact, data.use_ids, data.claim_id, "returned")
            case CommandTaken():
                self._commanding.heard(fact, data, at_utc)
            case OrderTaken() | InspectionMade() | FindingMade():
                self._commanding.stepped(fact, data, at_utc)
            case ReleaseAsked() | LaboratoryResult() | DraftDropped():
                self._commanding.asked(fact, data, at_utc)
            case ParcelXRayed() | ParcelSorted() | JudgementUndone() | XRayFileKept():
                self._x_rayed.told(fact, data, at_utc)
            case EpochBegan():
                self._epoch_began(fact, data, at_utc)
            case _:
                pass
        blob = named_by(data)
        if blob is not None and is_sha256(blob.sha256) and 0 < blob.size_bytes <= MAX_BLOB_BYTES:
            self._archive.name_blob(fact, blob.sha256, blob.size_bytes, at_utc)
        if fact.seq == 1 and fact.stream is Stream.ALARM and not isinstance(data, EpochBegan):
            self._unannounced_epoch(fact.device, fact.epoch, at_utc)

    # --- epochs (G4, G6) ----------------------------------------------------------------------------------

    def _epoch_began(self, fact: Fact, data: EpochBegan, at_utc: str) -> None:
        device = fact.device
        self._archive.announce_epoch(device, fact.epoch, data.old_epoch, data.old_heads, data.why)
        for stream, head in sorted(data.old_heads.items()):
            seq, _, head_hash = head.partition(":")
            if not seq.isdecimal() or int(seq) > MAX_NUMBER:
                continue
            stored = self._archive.fact_hashes(device, data.old_epoch, stream, int(seq), int(seq)).get(
                int(seq)
            )
            if stored is not None and stored != head_hash:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.OLD_HEAD_DIFFERS,
                    f"epoch {fact.epoch} names {data.old_epoch}/{stream}/{seq} with another hash than stored",
                )
            known = self._archive.last_fact(device, data.old_epoch, stream)
            if known > int(seq):
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.ROLLED_BACK,
                    f"epoch {fact.epoch} begins after {data.old_epoch}/{stream}/{seq}, "
                    f"facts up to {known} are stored",
                )

    def _unannounced_epoch(self, device: str, epoch: str, at_utc: str) -> None:
        self._archive.add_alarm_once(
            at_utc,
            device,
            HubAlarm.EPOCH_UNANNOUNCED,
            f"epoch {epoch} came without saying what it left behind",
        )

    def _past_the_end(self, device: str, epoch: str, stream: Stream, last: int, at_utc: str) -> None:
        for later in self._archive.successors(device, epoch):
            end = later.old_heads.get(stream.value, "0").partition(":")[0]
            if end.isdecimal() and last > int(end):
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.AFTER_EPOCH_END,
                    f"{epoch}/{stream.value}: facts beyond {end}, where epoch {later.epoch} left it",
                )

    # --- acknowledgements (G3) ----------------------------------------------------------------------------

    def told(self) -> list[Acknowledgement]:
        """What to say to the devices whose facts came since the last time. Inside the transaction that stored
        them, so that counter and streams belong together; said only when it is durable."""
        waiting, self._to_acknowledge = self._to_acknowledge, {}
        nonces, self._nonces = self._nonces, {}
        return [
            self._acknowledgement(device, connection, nonces.get(device, ""))
            for device, connection in waiting.items()
        ]

    def greet(self, device: str, nonce: str) -> None:
        """The device asks who is the centre now: the next acknowledgement quotes its nonce."""
        self._nonces[device] = nonce
        self._to_acknowledge.setdefault(device, ROUTINE_CONNECTION)

    def told_all(self, devices: Collection[str]) -> list[Acknowledgement]:
        """What to say to each of these devices, all read at the same moment."""
        with self._archive.snapshot():
            self.compare(devices)
            return [self._acknowledgement(device, ROUTINE_CONNECTION) for device in devices]

    def signed(self, told: Iterable[Acknowledgement]) -> list[Outgoing]:
        """Where nothing of a device is here yet, a word only to one that asks whose it is."""
        return [
            Outgoing(
                self._topics.ack(device),
                signed_payload(self._signer, Context.ACK, acks),
                retain=True,
                connection=connection,
            )
            for device, connection, acks in told
            if acks.acks or acks.nonce
        ]

    def compare(self, devices: Collection[str]) -> None:
        """Drop what is kept in memory of devices for which another worker has stored something since. Inside
        a transaction, the devices locked."""
        if not self._archive.shared or not devices:
            return
        for device, counter in self._archive.counters(devices).items():
            if self._counters.get(device) != counter:
                self._states.pop(device, None)
                self._counters[device] = counter

    def _acknowledgement(self, device: str, connection: str, nonce: str = "") -> Acknowledgement:
        counter = self._counter(device)
        acks = []
        for epoch, stream in self._archive.streams_of_interest(device, EPOCHS_OF_INTEREST):
            state = self._state(device, epoch, stream)
            acks.append(
                Ack(
                    self._archive.archive_id,
                    counter,
                    device,
                    epoch,
                    stream,
                    state.contiguous,
                    state.head_hash,
                    state.missing(MAX_MISSING_RANGES),
                    state.branched,
                )
            )
        word = Acks(tuple(acks), self._archive.archive_id, nonce, self._limits.backup_interval_s)
        return device, connection, word

    def _state(self, device: str, epoch: str, stream: Stream) -> StreamState:
        states = self._states.get(device)
        if states is None or len(states) >= MAX_STATES:
            if len(self._states) >= MAX_STATES:
                self._states.clear()
            states = self._states[device] = {}
        state = states.get((epoch, stream))
        if state is None:
            state = states[(epoch, stream)] = self._archive.stream_state(device, epoch, stream)
        return state

    def _counter(self, device: str) -> int:
        counter = self._counters.get(device)
        if counter is None:
            counter = self._counters[device] = self._archive.counter(device)
        return counter

    def forget(self) -> None:
        """After a failure what is kept in memory is read again from the archive."""
        self._states.clear()
        self._counters.clear()
        self._to_acknowledge.clear()

    # --- heads of devices ---------------------------------------------------------------------------------

    def take_head(self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes) -> list[Outgoing]:
        signed = read_signed(payload)
        checkpoint = _read_checkpoint(verify(key, signed, Context.CHECKPOINT))
        if checkpoint.device != device:
            raise Refused(
                HubAlarm.WRONG_DEVICE,
                f"a head of {checkpoint.device[:64]!r} on the topic of {device}",
                device,
            )
        if len({head.stream for head in checkpoint.heads}) != len(checkpoint.heads):
            raise Malformed("head: expected one head a stream")
        self._heads[device] = (signed, checkpoint)
        return []

    def late_epochs(self, now_s: float) -> list[tuple[str, str]]:
        """Device and epoch of those not announced in time."""
        if not (self._unannounced or self._archive.shared):
            return []
        waiting = self._archive.unannounced_epochs()
        late = [
            (device, epoch)
            for device, epoch, first_utc in waiting
            if now_s - seconds(first_utc, now_s) >= self._limits.epoch_patience_s
        ]
        self._unannounced = len(waiting) > len(late)
        return late

    def pending_devices(self) -> set[str]:
        return set(self._heads)

    def write_pending(self, late: list[tuple[str, str]], at_utc: str) -> None:
        """Inside a transaction, `pending_devices` locked; `pending_written` when it is durable."""
        for device, (signed, checkpoint) in self._heads.items():
            self._write_head(device, signed, checkpoint, at_utc)
        for device, epoch in late:
            self._unannounced_epoch(device, epoch, at_utc)

    def pending_written(self) -> None:
        self._heads.clear()

    def _write_head(self, device: str, signed: Signed, checkpoint: Checkpoint, at_utc: str) -> None:
        self._archive.add_checkpoint(
            device, checkpoint.epoch, checkpoint.position, signed.body, signed.kid, signed.sig, at_utc
        )
        for head in checkpoint.heads:
            stored = self._archive.fact_hashes(
                device, checkpoint.epoch, head.stream.value, head.seq, head.seq
            )
            if stored.get(head.seq, head.hash) != head.hash:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.HEAD_DIFFERS,
                    f"{checkpoint.epoch}/{head.stream.value}/{head.seq}: "
                    "the device signed another hash than is stored",
                )


def _readable(arrived: Arrived) -> FactData | None:
    """What a fact says; None when it is of a kind or version not known here.

    Raises `BatchRefused` where a key stands twice: another reader of the same bytes would see another fact.
    """
    said = arrived.said
    if not arrived.is_ours:
        problem = double_key(arrived.body, said)
        if problem:
            raise BatchRefused(f"fact {arrived.head.seq}: {problem}")
    return None if said is None else said.data


def _passage_of(data: FactData | None) -> int | None:
    passage = getattr(data, "passage", None)
    return passage if isinstance(passage, int) and abs(passage) <= MAX_NUMBER else None


def _connect(state: StreamState, new: list[tuple[Fact, str]]) -> tuple[StreamState, list[int]]:
    """The state with newly stored facts (ascending, each with its `prev`), and those that do not follow."""
    runs: list[Run] = []
    begin = 0
    for index in range(1, len(new) + 1):
        before = new[index - 1][0]
        if index == len(new) or new[index][0].seq != before.seq + 1 or new[index][1] != before.hash:
            first, prev = new[begin]
            runs.append(Run(first.seq, before.seq, prev, before.hash))
            begin = index
    contiguous, head_hash = state.contiguous, state.head_hash
    beyond: list[Run] = []
    broken: list[int] = []
    for run in sorted([*state.beyond, *runs]):
        last, last_hash = (beyond[-1].last, beyond[-1].last_hash) if beyond else (contiguous, head_hash)
        follows = run.first == last + 1
        if follows and run.first_prev != last_hash:
            broken.append(run.first)
        if not follows or run.first_prev != last_hash:
            beyond.append(run)
        elif beyond:
            beyond[-1] = beyond[-1]._replace(last=run.last, last_hash=run.last_hash)
        else:
            contiguous, head_hash = run.last, run.last_hash
    return StreamState(contiguous, head_hash, tuple(beyond), state.branched), broken
