"""What the hub does with every message: verify, store, answer. No MQTT, no clock, no thread: time comes in.

Nothing received raises or is believed unsigned (G10, G11). An answer is made only after the archive has
committed what it speaks of (G2, G3). What cannot be taken is counted: the first of its kind in a while is an
alarm row with a parked sample, the rest are added up and written by `tick`.
"""

from __future__ import annotations

import datetime
import enum
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import (
    STORAGE_ERRORS,
    Archive,
    ArchiveTaken,
    ClaimRow,
    LogRow,
    RecordChange,
    Run,
    Scope,
    StreamState,
)
from sync.link.envelope import MAX_NAME, MAX_NUMBER, Batch, BatchRefused, read_batch, signed_payload
from sync.link.keys import Forged, KeyRefused, Signer, read_public, verify
from sync.link.messages import (
    MAX_MISSING_RANGES,
    MAX_PAYLOAD_BYTES,
    ROOT,
    Ack,
    Acks,
    Change,
    ChangeOp,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Signed,
    Status,
    Topics,
)
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.facts import (
    EpochBegan,
    Fact,
    FactData,
    RulingMade,
    Stream,
    UsesReturned,
    VehicleCrossed,
    read_body,
)
from sync.vocabulary.records import GateStage, ReleaseSlip, Site, SlipState
from sync.vocabulary.rulings import Reason

ALARM_CONNECTION = "alarm"
ROUTINE_CONNECTION = "routine"

EPOCHS_OF_INTEREST = 8
"""How many epochs of one device are acknowledged at once. The ones it left behind are among them: what is
here of those need not be issued again when a device meets a new archive."""
PARKED_SAMPLES = 1_000
"""Samples of refused messages kept; unreadable facts are kept without limit."""
SAMPLE_WHY = "refused: "
FEED_ENVELOPE_BYTES = 1_536
"""Room kept in a feed payload for everything that is not a change."""
MAX_CLAIM_SLIPS = 64
MAX_STATUS_ENTRIES = 256

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

read_signed = decoder(Signed)
_read_checkpoint = decoder(Checkpoint)
_read_claim = decoder(ClaimRequest)
_read_pull = decoder(Pull)
_read_status = decoder(Status)
_read_slip = decoder(ReleaseSlip)
_read_site = decoder(Site)


class HubAlarm(enum.StrEnum):
    """Codes in `hub_alarms`: first about facts that were taken, then about messages that were not."""

    BRANCH = "branch"
    """A fact under an identity that holds another fact already."""
    CHAIN_BROKEN = "chain_broken"
    EPOCH_UNANNOUNCED = "epoch_unannounced"
    OLD_HEAD_DIFFERS = "old_head_differs"
    ROLLED_BACK = "rolled_back"
    """A device left an epoch behind whose later facts it no longer knows: a restored disk."""
    AFTER_EPOCH_END = "after_epoch_end"
    """Facts in an epoch the device had already left: a cloned device."""
    HEAD_DIFFERS = "head_differs"
    FACT_UNREADABLE = "fact_unreadable"
    DOUBLE_USE = "double_use"
    CLAIM_FOREIGN = "claim_foreign"
    USES_UNMATCHED = "uses_unmatched"
    RECORDS_DIFFER = "records_differ"

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    TOPIC_UNKNOWN = "topic_unknown"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_REVOKED = "device_revoked"
    FORGED = "forged"
    WRONG_DEVICE = "wrong_device"
    BATCH_REFUSED = "batch_refused"
    SCOPE_UNKNOWN = "scope_unknown"
    CLAIM_DIFFERS = "claim_differs"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, at QoS 1, on the named connection."""

    topic: str
    payload: bytes
    retain: bool = False
    connection: str = ROUTINE_CONNECTION


@dataclass(frozen=True, slots=True)
class Limits:
    """How often and how much; the defaults are the hub's own."""

    head_every_s: float = 60.0
    refusals_every_s: float = 60.0
    """How often refusals of one kind are written to the archive."""
    epoch_patience_s: float = 60.0
    """How long facts of an epoch may be here before the fact that announces it."""
    token_every_s: float = 5.0
    """How often a busy archive is told apart from the backups made of it (`Archive.renew_token`)."""
    pull_batches: int = 16
    """Feed payloads in answer to one pull; the device pulls on from where they end."""
    feed_batches: int = 64
    """Feed payloads published in one tick, over all scopes."""


class _Refused(Exception):
    def __init__(self, code: HubAlarm, detail: str, device: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.device = device


@dataclass(slots=True)
class _Refusals:
    """Refusals of one device and kind since they were last written."""

    written_s: float
    times: int = 0
    detail: str = ""


@dataclass(slots=True)
class _Counts:
    """What this process has done so far."""

    messages: int = 0
    facts: int = 0
    duplicates: int = 0
    refused: int = 0
    storage_faults: int = 0


class Receiver:
    """The hub's whole behaviour over an archive it owns (`Archive.open(…, own=True)`)."""

    def __init__(
        self,
        archive: Archive,
        signer: Signer,
        *,
        site: str,
        limits: Limits | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._archive = archive
        self._signer = signer
        self._topics = Topics(site)
        self._root = f"{ROOT}/{site}/edge/"
        self._limits = limits or Limits()
        self._boot_id = new_id()
        self._keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
        self._states: dict[tuple[str, str, Stream], StreamState] = {}
        self._counters: dict[str, int] = {}
        self._refusals: dict[tuple[str, HubAlarm], _Refusals] = {}
        self._heads: dict[str, tuple[Signed, Checkpoint]] = {}
        self._statuses: dict[str, tuple[str, Status]] = {}
        self._published = {scope.scope: (scope.epoch, scope.number) for scope in archive.scopes()}
        self._head_issued_s: dict[str, float] = {}
        self._to_acknowledge: dict[str, str] = {}
        """Device -> the connection its acknowledgement leaves on."""
        self._unannounced = bool(archive.unannounced_epochs())
        self._now_s = 0.0
        self._token_s = 0.0
        self.counts = _Counts()
        self.storage_fault = ""
        """Why the archive last failed to take something; empty again once it takes."""

    # --- the three entrances ------------------------------------------------------------------------------

    def receive(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        """Take one message. Raises only `ArchiveTaken`: another hub runs on this archive, stop.

        A storage failure takes nothing and answers nothing: whoever sent it will send it again.
        """
        answers = self._receive(topic, payload, at_utc)
        return answers + self._acknowledge()

    def _receive(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        """All answers but acknowledgements: those are made by `_acknowledge`, after the commit."""
        self.counts.messages += 1
        try:
            answers = self._take(topic, payload, at_utc)
            self.storage_fault = ""
        except _Refused as refusal:
            return self._refuse(topic, payload, at_utc, refusal)
        except ArchiveTaken:
            raise
        except STORAGE_ERRORS as error:
            self._fail(error)
            return []
        except Exception as error:  # noqa: BLE001 - G11, a message must not stop the hub, whatever is wrong with us
            self._forget()
            reason = f"{type(error).__name__}: {error}"
            return self._refuse(topic, payload, at_utc, _Refused(HubAlarm.INTERNAL, reason[:400]))
        return answers

    def receive_all(self, messages: Sequence[tuple[str, bytes]], at_utc: str) -> list[Outgoing]:
        """As `receive` for each in turn, made durable by one commit and acknowledged once for each device, so
        that small messages share a slow disk and a signature.

        When that commit fails none of them was taken and nothing is answered.
        """
        answers: list[Outgoing] = []
        try:
            with self._archive.transaction():
                for topic, payload in messages:
                    answers += self._receive(topic, payload, at_utc)
        except STORAGE_ERRORS as error:
            self._fail(error)
            self._refusals.clear()
            return []
        return answers + self._acknowledge()

    def tick(self, at_utc: str) -> list[Outgoing]:
        """What is due without a message: counted refusals, heads and statuses seen, feed and its heads."""
        try:
            now_s = self._clock(at_utc)
            self._write_pending(now_s, at_utc)
            if abs(now_s - self._token_s) >= self._limits.token_every_s:
                self._token_s = now_s
                self._archive.renew_token()
            outgoing = self._feed(now_s, at_utc)
            self.storage_fault = ""
        except STORAGE_ERRORS as error:
            self._fail(error)
            return []
        return outgoing

    def born(self, at_utc: str) -> list[Outgoing]:
        """To publish when the broker is reached: birth, all scopes' heads, all devices' acknowledgements."""
        try:
            now_s = self._clock(at_utc)
            outgoing = [self._life(at_utc, online=True)]
            outgoing += [self._head(scope, now_s, at_utc) for scope in self._archive.scopes()]
            for device in self._archive.devices():
                outgoing.extend(self._acks(device, ROUTINE_CONNECTION))
        except STORAGE_ERRORS as error:
            self._fail(error)
            return [self._life(at_utc, online=True)]
        return outgoing

    def death(self, at_utc: str) -> Outgoing:
        """The hub's last will, and its word when it stops."""
        return self._life(at_utc, online=False)

    def stop(self, at_utc: str) -> None:
        """Write what is only counted in memory. The archive stays open."""
        try:
            self._write_pending(self._clock(at_utc), at_utc, all_refusals=True)
        except STORAGE_ERRORS as error:
            self._fail(error)

    # --- dispatch -----------------------------------------------------------------------------------------

    def _take(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        if not topic.startswith(self._root):
            raise _Refused(
                HubAlarm.TOPIC_UNKNOWN, f"expected a topic below {self._root}, got {topic[:200]!r}"
            )
        device, _, rest = topic.removeprefix(self._root).partition("/")
        if not _DEVICE.fullmatch(device):
            raise _Refused(HubAlarm.TOPIC_UNKNOWN, f"expected a device name, got {device[:80]!r}")
        key = self._key_of(device)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise _Refused(
                HubAlarm.OVERSIZED, f"{rest[:40]}: {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}", device
            )
        try:
            match rest.split("/"):
                case ["facts", "alarm"]:
                    return self._facts(device, key, Stream.ALARM, payload, at_utc)
                case ["facts", "routine"]:
                    return self._facts(device, key, Stream.ROUTINE, payload, at_utc)
                case ["claim"]:
                    return self._claim(device, key, payload, at_utc)
                case ["pull"]:
                    return self._pull(device, key, payload, at_utc)
                case ["head"]:
                    return self._checkpoint(device, key, payload)
                case ["status"]:
                    return self._status(device, key, payload)
                case _:
                    raise _Refused(HubAlarm.TOPIC_UNKNOWN, f"nothing is taken on {rest[:80]!r}", device)
        except Malformed as error:
            raise _Refused(HubAlarm.MALFORMED, f"{rest}: {error}"[:400], device) from error
        except BatchRefused as error:
            raise _Refused(HubAlarm.BATCH_REFUSED, f"{rest}: {error}"[:400], device) from error
        except Forged as error:
            raise _Refused(HubAlarm.FORGED, f"{rest}: {error}"[:400], device) from error

    def _key_of(self, device: str) -> Mapping[str, Ed25519PublicKey]:
        enrolled = self._archive.enrolled(device)
        if enrolled is None:
            raise _Refused(HubAlarm.DEVICE_UNKNOWN, f"{device} is not enrolled")
        if enrolled.revoked:
            raise _Refused(HubAlarm.DEVICE_REVOKED, "this device was revoked", device)
        kept = self._keys.get(device)
        if kept is None or kept[0] != enrolled.public_pem:
            try:
                kept = (enrolled.public_pem, read_public(enrolled.public_pem.encode(), name=device))
            except KeyRefused as error:
                raise _Refused(
                    HubAlarm.FORGED, f"its key in the archive cannot be used: {error}", device
                ) from error
            self._keys[device] = kept
        return {device: kept[1]}

    # --- facts --------------------------------------------------------------------------------------------

    def _facts(
        self, device: str, key: Mapping[str, Ed25519PublicKey], stream: Stream, payload: bytes, at_utc: str
    ) -> list[Outgoing]:
        batch = read_batch(payload)
        if (batch.device, batch.stream) != (device, stream):
            raise _Refused(
                HubAlarm.WRONG_DEVICE,
                f"facts of {batch.device[:64]!r}/{batch.stream.value} on a topic of {device}/{stream.value}",
                device,
            )
        verify(key, batch.signed, Context.CHECKPOINT)
        self._store(batch, at_utc, payload)
        if stream is Stream.ALARM or device not in self._to_acknowledge:
            connection = ALARM_CONNECTION if stream is Stream.ALARM else ROUTINE_CONNECTION
            self._to_acknowledge[device] = connection
        return []

    def _store(self, batch: Batch, at_utc: str, payload: bytes) -> None:
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
                self.counts.duplicates += 1
                continue
            data = _readable(arrived.body)
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
        if branches:
            lowest = min(fact.seq for fact in branches)
            after = after._replace(branched=min(lowest, after.branched or lowest))
        counter = self._counter(device) + 1
        with self._archive.transaction():
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
            used: set[str] = set()
            for fact, data, _ in new:
                used.update(self._effect(fact, data, at_utc))
            if used:
                self._find_double_uses(device, sorted(used), at_utc)
                self._mark_passed(device, sorted(used), at_utc)
        self._states[(device, epoch, stream)] = after
        self._counters[device] = counter
        self.counts.facts += len(new)
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

    def _effect(self, fact: Fact, data: FactData | None, at_utc: str) -> Collection[str]:
        """What a fact changes here beside being stored; the slips of which it says that one more crossed."""
        used: Collection[str] = ()
        match data:
            case None:
                self._archive.park(
                    f"{self._root}{fact.device}/facts/{fact.stream.value}",
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
                used = self._uses_ruled(fact, data, at_utc)
            case VehicleCrossed():
                used = self._uses_ended(fact, data.use_ids, data.claim_id, "crossed", at_utc)
            case UsesReturned():
                self._uses_ended(fact, data.use_ids, data.claim_id, "returned", at_utc)
            case EpochBegan():
                self._epoch_began(fact, data, at_utc)
            case _:
                pass
        if fact.seq == 1 and fact.stream is Stream.ALARM and not isinstance(data, EpochBegan):
            self._unannounced_epoch(fact.device, fact.epoch, at_utc)
        return used

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

    def _acknowledge(self) -> list[Outgoing]:
        waiting, self._to_acknowledge = self._to_acknowledge, {}
        try:
            return [ack for device, connection in waiting.items() for ack in self._acks(device, connection)]
        except STORAGE_ERRORS as error:
            self._fail(error)
            return []

    def _acks(self, device: str, connection: str) -> list[Outgoing]:
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
        if not acks:
            return []
        payload = signed_payload(self._signer, Context.ACK, Acks(tuple(acks)))
        return [Outgoing(self._topics.ack(device), payload, retain=True, connection=connection)]

    def _state(self, device: str, epoch: str, stream: Stream) -> StreamState:
        key = (device, epoch, stream)
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= 10_000:
                self._states.clear()
            state = self._states[key] = self._archive.stream_state(device, epoch, stream)
        return state

    def _counter(self, device: str) -> int:
        counter = self._counters.get(device)
        if counter is None:
            counter = self._counters[device] = self._archive.counter(device)
        return counter

    # --- claims and uses (S4) -----------------------------------------------------------------------------

    def _claim(
        self, device: str, key: Mapping[str, Ed25519PublicKey], raw: bytes, at_utc: str
    ) -> list[Outgoing]:
        request = _read_claim(verify(key, read_signed(raw), Context.CLAIM))
        if request.device != device:
            raise _Refused(
                HubAlarm.WRONG_DEVICE, f"a claim of {request.device[:64]!r} on the topic of {device}", device
            )
        if not 0 < len(request.claim_id) <= MAX_NAME or not 0 < request.passage <= MAX_NUMBER:
            raise Malformed(
                f"claim: expected an id of 1 to {MAX_NAME} characters and a passage from 1 to 2^62"
            )
        if not 0 < len(request.slip_nos) <= MAX_CLAIM_SLIPS:
            raise Malformed(f"claim: expected 1 to {MAX_CLAIM_SLIPS} slips, got {len(request.slip_nos)}")
        slip_nos = tuple(sorted({str(slip) for slip in request.slip_nos}))
        plate = str(request.plate or "")
        known = self._archive.claim(request.claim_id)
        if known is None:
            known = self._decide(request.claim_id, device, request.passage, plate, slip_nos, at_utc)
        elif (known.device, known.passage, known.slip_nos) != (device, request.passage, slip_nos):
            raise _Refused(
                HubAlarm.CLAIM_DIFFERS,
                f"claim {request.claim_id} of passage {request.passage} was asked before by {known.device} "
                f"for passage {known.passage} or other slips",
                device,
            )
        answer = ClaimAnswer(
            request.claim_id, device, request.passage, ClaimVerdict(known.verdict), known.why
        )
        payload = signed_payload(self._signer, Context.CLAIM_ANSWER, answer)
        return [Outgoing(self._topics.claim_answer(device), payload, connection=ALARM_CONNECTION)]

    def _decide(
        self, claim_id: str, device: str, passage: int, plate: str, slip_nos: tuple[str, ...], at_utc: str
    ) -> ClaimRow:
        with self._archive.transaction():
            end = self._archive.claim_end(device, claim_id)
            why = f"claim was {end} before it arrived" if end else self._obstacle(device, slip_nos)
            verdict = ClaimVerdict.REFUSED if why else ClaimVerdict.GRANTED
            row = ClaimRow(device, passage, plate, verdict.value, why, slip_nos)
            self._archive.add_claim(claim_id, row, end or ("refused" if why else "granted"), at_utc)
            if end == "crossed":
                self._find_double_uses(device, slip_nos, at_utc)
        return row

    def _obstacle(self, device: str, slip_nos: tuple[str, ...]) -> str:
        """Why not every slip has a use left at this gate, beginning with a reason code; empty when all do."""
        stage = self._stage(device)
        wanted = SlipState.PASSED_FIRST if stage is GateStage.SECOND else SlipState.APPROVED
        for slip_no in slip_nos:
            slip = self._slip(slip_no)
            if slip is None:
                return f"{Reason.SLIP_NOT_FOUND.value} {slip_no}"
            allowed = slip.uses_allowed
            if stage is GateStage.SECOND and slip.state is SlipState.APPROVED:
                # For several vehicles: as many as have crossed at the first gate by now.
                allowed = len(self._archive.uses_of(slip_no, self._at(GateStage.FIRST)).crossed)
                if not allowed:
                    return f"{Reason.FIRST_GATE_MISSING.value} {slip_no}"
            elif slip.state is not wanted:
                return f"{Reason.SLIP_NOT_APPROVED.value} {slip_no}"
            if self._archive.uses_of(slip_no, self._same_gate(device)).taken >= allowed:
                return f"{Reason.SLIP_USED.value} {slip_no}"
        return ""

    def _stage(self, device: str) -> GateStage:
        """Which gate of a zone with two the device belongs to, as the site's record says (一卡, 二卡)."""
        for scope in self._archive.scopes():
            for key in self._archive.record_keys(scope.scope, "site"):
                body = self._archive.record("site", key, scope.scope)
                stage = None if body is None else _stages_of(body).get(device)
                if stage is not None:
                    return stage
        return GateStage.ONLY

    def _at(self, stage: GateStage) -> Callable[[str], bool]:
        return lambda device: self._stage(device) is stage

    def _same_gate(self, device: str) -> Callable[[str], bool]:
        """A slip is used once at each of two gates: only uses at the same one count against each other."""
        stage = self._stage(device)
        return lambda other: other == device or self._stage(other) is stage

    def _mark_passed(self, device: str, slip_nos: Iterable[str], at_utc: str) -> None:
        """A slip that went through the first of two gates is good for the second: its record says so at once
        (`stucd` 3, then 4), without waiting for customs' own receipt."""
        stage = self._stage(device)
        if stage is GateStage.ONLY:
            return
        first = stage is GateStage.FIRST
        before = SlipState.APPROVED if first else SlipState.PASSED_FIRST
        after = SlipState.PASSED_FIRST if first else SlipState.PASSED_SECOND
        for slip_no in slip_nos:
            slip = self._slip(slip_no)
            if slip is None or slip.state is not before:
                continue
            if len(self._archive.uses_of(slip_no, self._same_gate(device)).crossed) < slip.uses_allowed:
                continue
            for scope in self._archive.scopes():
                body = self._archive.record("release_slips", slip_no, scope.scope)
                if body is not None:
                    # Field by field, so that what this version does not know stays in the record.
                    fields = {**msgspec.json.decode(body), "state": after.value}
                    change = RecordChange("release_slips", slip_no, to_json(fields).decode())
                    self._archive.apply_changes(scope.scope, [change], at_utc)

    def _slip(self, slip_no: str) -> ReleaseSlip | None:
        body = self._archive.record("release_slips", slip_no)
        if body is None:
            return None
        try:
            return _read_slip(body)
        except Malformed:
            return None

    def _uses_ruled(self, fact: Fact, data: RulingMade, at_utc: str) -> Collection[str]:
        """The ruling is the only fact that says which slip a use is of. Those whose use crossed before."""
        if not data.use_ids:
            return ()
        if len(data.slips) != len(data.use_ids):
            self._archive.add_alarm_once(
                at_utc,
                fact.device,
                HubAlarm.USES_UNMATCHED,
                f"ruling {fact.epoch}/{fact.stream.value}/{fact.seq}: "
                f"{len(data.use_ids)} uses of {len(data.slips)} slips",
            )
            return ()
        return [
            slip_no
            for use_id, slip_no in zip(data.use_ids, data.slips, strict=True)
            if self._archive.tell_use_slip(fact.device, use_id, slip_no, data.passage)
        ]

    def _uses_ended(
        self, fact: Fact, use_ids: tuple[str, ...], claim_id: str, state: str, at_utc: str
    ) -> Collection[str]:
        slips = {
            self._archive.tell_use_state(
                fact.device,
                use_id,
                claim_id=claim_id,
                passage=fact.passage or 0,
                state=state,
                position=fact.position,
            )
            for use_id in use_ids
        } - {""}
        if claim_id:
            claim = self._archive.claim(claim_id)
            if claim is not None and claim.device != fact.device:
                self._archive.add_alarm_once(
                    at_utc,
                    fact.device,
                    HubAlarm.CLAIM_FOREIGN,
                    f"{fact.epoch}/{fact.stream.value}/{fact.seq}: names claim {claim_id} of {claim.device}",
                )
            self._archive.end_claim(fact.device, claim_id, state, fact.position)
            if claim is not None and claim.device == fact.device:
                slips.update(claim.slip_nos)
        return slips if state == "crossed" else ()

    def _find_double_uses(self, device: str, slip_nos: Iterable[str], at_utc: str) -> None:
        for slip_no in slip_nos:
            crossed = self._archive.uses_of(slip_no, self._same_gate(device)).crossed
            if len(crossed) <= 1:
                # Every slip allows one use at least: no other is imported.
                continue
            slip = self._slip(slip_no)
            allowed = 1 if slip is None else slip.uses_allowed
            if len(crossed) > allowed:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.DOUBLE_USE,
                    f"slip {slip_no} crossed {len(crossed)} times, {allowed} allowed: {', '.join(crossed)}",
                )

    # --- heads and statuses of devices --------------------------------------------------------------------

    def _checkpoint(self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes) -> list[Outgoing]:
        signed = read_signed(payload)
        checkpoint = _read_checkpoint(verify(key, signed, Context.CHECKPOINT))
        if checkpoint.device != device:
            raise _Refused(
                HubAlarm.WRONG_DEVICE,
                f"a head of {checkpoint.device[:64]!r} on the topic of {device}",
                device,
            )
        numbers = [checkpoint.position, *(head.seq for head in checkpoint.heads)]
        if len(checkpoint.heads) > len(Stream) or not all(0 <= number <= MAX_NUMBER for number in numbers):
            raise Malformed("head: expected one head a stream and numbers up to 2^62")
        if len(checkpoint.epoch) > MAX_NAME:
            raise Malformed(f"head: expected an epoch of at most {MAX_NAME} characters")
        self._heads[device] = (signed, checkpoint)
        return []

    def _status(self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes) -> list[Outgoing]:
        body = verify(key, read_signed(payload), Context.STATUS)
        status = _read_status(body)
        if status.device != device:
            raise _Refused(
                HubAlarm.WRONG_DEVICE, f"a status of {status.device[:64]!r} on the topic of {device}", device
            )
        if len(status.records) > MAX_STATUS_ENTRIES or len(status.digests) > MAX_STATUS_ENTRIES:
            raise Malformed(f"status: expected at most {MAX_STATUS_ENTRIES} scopes")
        self._statuses[device] = (body, status)
        return []

    def _write_pending(self, now_s: float, at_utc: str, *, all_refusals: bool = False) -> None:
        due = [
            (key, refusals)
            for key, refusals in self._refusals.items()
            if all_refusals or abs(now_s - refusals.written_s) >= self._limits.refusals_every_s
        ]
        late = self._late_epochs(now_s) if self._unannounced else []
        if not (self._heads or self._statuses or late or any(refusals.times for _, refusals in due)):
            for key, _ in due:
                del self._refusals[key]
            return
        with self._archive.transaction():
            for device, (signed, checkpoint) in self._heads.items():
                self._write_head(device, signed, checkpoint, at_utc)
            for device, (body, status) in self._statuses.items():
                self._archive.set_status(device, body, at_utc)
                self._compare_records(device, status, at_utc)
            for (device, code), refusals in due:
                if refusals.times:
                    self._archive.add_alarm(
                        at_utc, device, code, f"{refusals.times} more; the last: {refusals.detail}"
                    )
            for device, epoch in late:
                self._unannounced_epoch(device, epoch, at_utc)
        self._heads.clear()
        self._statuses.clear()
        for key, refusals in due:
            if refusals.times and not all_refusals:
                self._refusals[key] = _Refusals(now_s)
            else:
                del self._refusals[key]

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

    def _compare_records(self, device: str, status: Status, at_utc: str) -> None:
        for scope in self._archive.scopes():
            digest = status.digests.get(scope.scope, "")
            if digest and status.records.get(scope.scope) == scope.number and digest != scope.digest:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.RECORDS_DIFFER,
                    f"{scope.scope} at {scope.number}: "
                    f"the device has digest {digest[:32]}, expected {scope.digest}",
                )

    def _late_epochs(self, now_s: float) -> list[tuple[str, str]]:
        waiting = self._archive.unannounced_epochs()
        late = [
            (device, epoch)
            for device, epoch, first_utc in waiting
            if now_s - _seconds(first_utc, now_s) >= self._limits.epoch_patience_s
        ]
        self._unannounced = len(waiting) > len(late)
        return late

    # --- feed down (G5) -----------------------------------------------------------------------------------

    def _pull(
        self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes, at_utc: str
    ) -> list[Outgoing]:
        pull = _read_pull(verify(key, read_signed(payload), Context.PULL))
        scope = self._archive.scope(pull.scope) if len(pull.scope) <= MAX_NAME else None
        if scope is None:
            raise _Refused(HubAlarm.SCOPE_UNKNOWN, f"there is no scope {pull.scope[:64]!r} here", device)
        whole = pull.epoch != scope.epoch or not 0 <= pull.after <= scope.number
        batches = self._batches(scope, 0 if whole else pull.after)
        topic = self._topics.batch(device)
        answers = [Outgoing(topic, payload) for _, payload in _take_first(batches, self._limits.pull_batches)]
        return answers or [self._head(scope, self._clock(at_utc), at_utc)]

    def _feed(self, now_s: float, at_utc: str) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        left = self._limits.feed_batches
        for scope in self._archive.scopes():
            epoch, after = self._published.get(scope.scope, (scope.epoch, 0))
            if epoch != scope.epoch:
                after = 0
            moved = after < scope.number
            for last, payload in _take_first(self._batches(scope, after), left):
                outgoing.append(Outgoing(self._topics.feed(scope.scope), payload))
                after = last
                left -= 1
            self._published[scope.scope] = (scope.epoch, after)
            issued_s = self._head_issued_s.get(scope.scope)
            due = issued_s is None or abs(now_s - issued_s) >= self._limits.head_every_s
            if after == scope.number and (moved or due):
                outgoing.append(self._head(scope, now_s, at_utc))
        return outgoing

    def _batches(self, scope: Scope, after: int) -> Iterator[tuple[int, bytes]]:
        """Signed payloads of the scope's log above `after` up to its number, each with its last number."""
        for changes in _cut(self._archive.log_after(scope.scope, scope.epoch, after), scope.number):
            first, last = changes[0].number, changes[-1].number
            batch = FeedBatch(scope.scope, scope.epoch, first, last, tuple(changes))
            yield last, signed_payload(self._signer, Context.FEED, batch)

    def _head(self, scope: Scope, now_s: float, at_utc: str) -> Outgoing:
        """Signed and dated. Dates never go back: a device refuses a head older than one it has seen."""
        issued = max(_fixed(at_utc), _later(scope.head_issued)) or "1970-01-01T00:00:00.000000Z"
        with self._archive.transaction():
            self._archive.set_head_issued(scope.scope, issued)
        self._head_issued_s[scope.scope] = now_s
        head = FeedHead(scope.scope, scope.epoch, scope.number, scope.rows, scope.digest, issued)
        payload = signed_payload(self._signer, Context.FEED_HEAD, head)
        return Outgoing(self._topics.feed_head(scope.scope), payload, retain=True)

    def _life(self, at_utc: str, *, online: bool) -> Outgoing:
        status = Status(
            device=self._signer.kid,
            online=online,
            boot_id=self._boot_id,
            epoch=self._archive.archive_id,
            time=at_utc,
        )
        payload = signed_payload(self._signer, Context.STATUS, status)
        return Outgoing(self._topics.hub_birth(), payload, retain=True)

    # --- what goes wrong ----------------------------------------------------------------------------------

    def _refuse(self, topic: str, payload: bytes, at_utc: str, refusal: _Refused) -> list[Outgoing]:
        """Count it. The first of its kind is written at once, with a sample; nothing is answered."""
        self.counts.refused += 1
        key = (refusal.device, refusal.code)
        counted = self._refusals.get(key)
        if counted is not None:
            counted.times += 1
            counted.detail = _storable(refusal.detail)
            return []
        try:
            self._refusals[key] = _Refusals(self._clock(at_utc))
            with self._archive.transaction():
                self._archive.add_alarm(at_utc, refusal.device, refusal.code, _storable(refusal.detail))
                self._archive.park(
                    _storable(str(topic)[:500]),
                    bytes(payload)[:MAX_PAYLOAD_BYTES],
                    f"{SAMPLE_WHY}{refusal.code.value}",
                    at_utc,
                )
                self._archive.trim_parked(SAMPLE_WHY, PARKED_SAMPLES)
        except STORAGE_ERRORS as error:
            self._fail(error)
        return []

    def _fail(self, error: Exception) -> None:
        self.counts.storage_faults += 1
        self.storage_fault = f"{type(error).__name__}: {error}"
        self._forget()

    def _forget(self) -> None:
        """After a failure what is kept in memory is read again from the archive."""
        self._states.clear()
        self._counters.clear()
        self._to_acknowledge.clear()

    def _clock(self, at_utc: str) -> float:
        self._now_s = _seconds(at_utc, self._now_s)
        return self._now_s


def _readable(body: str) -> FactData | None:
    """What a fact says; None when it is of a kind or version not known here."""
    try:
        return read_body(body).data
    except Malformed:
        return None


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


@lru_cache(maxsize=16)
def _stages_of(site: str) -> Mapping[str, GateStage]:
    """Device -> its gate, of a site's record. A record nobody can read says nothing."""
    try:
        return {lane.lane: lane.gate for lane in _read_site(site).lanes}
    except Malformed:
        return {}


def feed_bytes(row: LogRow) -> int:
    """What one log entry takes in a signed feed payload, where its JSON is carried as a string."""
    return len(to_json(to_json(_change(row)).decode())) - 1


def _change(row: LogRow) -> Change:
    return Change(row.number, row.collection, row.key, ChangeOp(row.op), row.body)


def _cut(rows: Iterator[LogRow], number: int) -> Iterator[list[Change]]:
    """Log entries up to `number` in lists that fit a signed payload each."""
    room = MAX_PAYLOAD_BYTES - FEED_ENVELOPE_BYTES
    held: list[Change] = []
    size = 0
    for row in rows:
        if row.number > number:
            break
        change = _change(row)
        length = feed_bytes(row)
        if held and size + length > room:
            yield held
            held, size = [], 0
        held.append(change)
        size += length
    if held:
        yield held


def _take_first(batches: Iterator[tuple[int, bytes]], count: int) -> Iterator[tuple[int, bytes]]:
    if count <= 0:
        return
    for index, batch in enumerate(batches, start=1):
        yield batch
        if index == count:
            return


def _seconds(at_utc: str, otherwise: float) -> float:
    try:
        return datetime.datetime.fromisoformat(at_utc).timestamp()
    except (ValueError, OverflowError):
        return otherwise


def _fixed(at_utc: str) -> str:
    """UTC text with six decimals, so that it compares as text; empty where it is no time."""
    try:
        moment = datetime.datetime.fromisoformat(at_utc)
    except ValueError:
        return ""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _later(issued: str) -> str:
    """One microsecond after the last date, where there is one."""
    if not issued:
        return ""
    moment = datetime.datetime.fromisoformat(issued) + datetime.timedelta(microseconds=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _storable(text: str) -> str:
    """Whatever a hostile name holds, as text a database takes."""
    return text.encode("utf-8", "backslashreplace").decode()
