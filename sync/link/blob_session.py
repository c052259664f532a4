"""Evidence on its way up as a pure machine: events in, effects out. No clock, no thread, no I/O.

One blob at a time, the most urgent first: offered by its hash, sent in chunks of what the centre says it
lacks, done when the centre has signed that it is whole, proved and durable there. While a fact waits nothing
is sent at all, and never faster than the configured rate: evidence alone has time (G8, G9).

What is owed is the journal's to know, not this session's; whatever is lost, doubled, reordered or cut off is
asked for again from what the centre says it has. Times (`at_s`) are monotonic seconds of the caller's clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.link.envelope import chunk_payload, open_signed, signed_payload
from sync.link.keys import Forged, Signer
from sync.link.messages import (
    MAX_MISSING_RANGES,
    BlobAnswer,
    BlobChunk,
    BlobOffer,
    BlobState,
    Context,
    Topics,
)
from sync.link.window import Window
from sync.link.words import (
    Connected,
    Connection,
    Disconnected,
    Notify,
    Publish,
    Received,
    Refused,
    Tick,
    WakeAt,
)
from sync.store.journal import BlobOwed
from sync.vocabulary.blobs import MAX_BLOB_BYTES
from sync.vocabulary.codec import Malformed

MAX_ASIDE = 256
"""Blobs the centre did not take, remembered so that they do not stand in the way of others."""
MAX_WHY = 200
SMALLEST_CHUNK_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobConfig:
    """Who we are, and every duration (seconds), size (bytes) and rate of evidence on its way up."""

    device: str
    topics: Topics
    bytes_per_s: int = 500_000
    """Never more than this, whatever the line could take."""
    burst_bytes: int = 128 * 1024
    chunk_bytes: int = 60 * 1024
    resend_first_s: float = 5.0
    resend_longest_s: float = 300.0
    unnamed_first_s: float = 2.0
    """The centre knows no fact that names it yet: asked again so soon, then ever later."""
    refused_s: float = 600.0
    look_every_s: float = 2.0
    """How often the journal is asked whether something is owed."""
    refused_every_s: float = 60.0
    window_bytes: int = 64 * 1024
    widest_window_bytes: int = 512 * 1024
    narrowest_window_bytes: int = 8 * 1024


# --- events -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FactsOwed:
    """So many facts wait for the centre now."""

    count: int


@dataclass(frozen=True, slots=True)
class OwedRead:
    """Answer to `ReadOwed`: the most urgent first."""

    blobs: tuple[BlobOwed, ...]


@dataclass(frozen=True, slots=True)
class BlobLoaded:
    """Answer to `LoadBlob`; None where it is not to be had any more, or is not what its name says."""

    sha256: str
    data: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredNoted:
    """Answer to `NoteStored`. Not believed: it is the word of another archive than the centre's."""

    sha256: str
    believed: bool


@dataclass(frozen=True, slots=True)
class BlobStoreFailed:
    """The journal or the disk could not do what was asked; nothing was changed."""

    why: str


BlobEvent = (
    Connected
    | Disconnected
    | Tick
    | Received
    | FactsOwed
    | OwedRead
    | BlobLoaded
    | StoredNoted
    | BlobStoreFailed
)


# --- effects ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadOwed:
    most: int


@dataclass(frozen=True, slots=True)
class LoadBlob:
    sha256: str


@dataclass(frozen=True, slots=True)
class NoteStored:
    sha256: str
    archive_id: str


@dataclass(frozen=True, slots=True)
class ForgetBlob:
    """It is not on this disk any more and the centre does not have it: there is nothing to be done."""

    sha256: str


BlobEffect = Publish | ReadOwed | LoadBlob | NoteStored | ForgetBlob | Notify | WakeAt


# --- state ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Chunk:
    size_bytes: int
    sent_at_s: float


@dataclass(slots=True)
class _Transfer:
    """The blob that is on its way."""

    owed: BlobOwed
    wait_s: float
    data: bytes | None = None
    loading: bool = False
    noting: bool = False
    offered: bool = False
    missing: tuple[tuple[int, int], ...] = ()
    """As the centre last said; bytes from..to of it, both included."""
    flights: dict[int, _Chunk] = field(default_factory=dict)
    """By offset: sent, and the centre has not said yet that it has them."""
    again_at_s: float | None = None
    """No word by then: ask what the centre has."""

    @property
    def in_flight_bytes(self) -> int:
        return sum(chunk.size_bytes for chunk in self.flights.values())

    def ask_again(self) -> None:
        self.offered = False
        self.missing = ()
        self.flights.clear()
        self.again_at_s = None


@dataclass(slots=True)
class _Aside:
    until_s: float
    wait_s: float


class _Unfit(ValueError):
    """A signed answer that makes no sense here; the text says what was expected."""


class BlobSession:
    """One device's evidence. Give it every event and perform every effect, in order."""

    def __init__(
        self, config: BlobConfig, *, signer: Signer, hub_keys: Callable[[], Mapping[str, Ed25519PublicKey]]
    ) -> None:
        """`hub_keys` tells the keys that are the hub's now."""
        self._config = config
        self._signer = signer
        self._hub_keys = hub_keys
        self._window = Window(
            first_bytes=config.window_bytes,
            widest_bytes=config.widest_window_bytes,
            narrowest_bytes=config.narrowest_window_bytes,
        )
        self._connected = False
        self._facts_owed = 0
        self._reading = False
        self._look_at_s = float("-inf")
        self._now: _Transfer | None = None
        self._aside: dict[str, _Aside] = {}
        self._tokens = float(config.burst_bytes)
        self._tokens_at_s: float | None = None
        self._told: dict[str, tuple[float, int]] = {}
        self._counts: dict[str, int] = {}
        self._wake_at_s: float | None = None
        self._effects: list[BlobEffect] = []

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what happened, by name."""
        return dict(self._counts)

    @property
    def in_flight_bytes(self) -> int:
        return self._now.in_flight_bytes if self._now is not None else 0

    # --- the machine --------------------------------------------------------------------------------------

    def step(self, at_s: float, event: BlobEvent) -> tuple[BlobEffect, ...]:
        self._effects = []
        match event:
            case Connected():
                self._connected = True
                self._aside.clear()
                self._begin_again()
            case Disconnected():
                self._connected = False
                self._begin_again()
            case Tick():
                pass
            case Received(topic, payload):
                self._on_message(at_s, topic, payload)
            case FactsOwed(count):
                self._facts_owed = count
            case OwedRead(blobs):
                self._on_owed(at_s, blobs)
            case BlobLoaded(sha256, data):
                self._on_loaded(at_s, sha256, data)
            case StoredNoted(sha256, believed):
                self._on_noted(at_s, sha256, believed)
            case BlobStoreFailed(why):
                self._on_store_failed(at_s, why)
            case _:
                assert_never(event)
        self._go_on(at_s)
        self._ask_to_wake(at_s)
        return tuple(self._effects)

    def _begin_again(self) -> None:
        self._window.begin_again()
        if self._now is not None:
            self._now.ask_again()
            self._now.wait_s = self._config.resend_first_s

    def _go_on(self, at_s: float) -> None:
        """Whatever is next for what is on its way, or for who comes next."""
        if not self._connected or self._facts_owed > 0:
            return
        now = self._now
        if now is None:
            if not self._reading and at_s >= self._look_at_s:
                self._reading = True
                self._effects.append(ReadOwed(1 + self._still_aside(at_s)))
            return
        if now.loading or now.noting:
            return
        if now.again_at_s is not None and at_s >= now.again_at_s:
            self._count("asked_again")
            self._window.begin_again()
            now.ask_again()
            now.wait_s = min(now.wait_s * 2, self._config.resend_longest_s)
        if not now.offered:
            self._offer(at_s, now)
        elif now.missing:
            self._send(at_s, now)

    def _still_aside(self, at_s: float) -> int:
        return sum(aside.until_s > at_s for aside in self._aside.values())

    def _on_owed(self, at_s: float, blobs: tuple[BlobOwed, ...]) -> None:
        self._reading = False
        for owed in blobs:
            aside = self._aside.get(owed.sha256)
            if aside is not None and aside.until_s > at_s:
                continue
            self._now = _Transfer(owed, self._config.resend_first_s)
            return
        self._look_at_s = at_s + self._config.look_every_s

    def _offer(self, at_s: float, now: _Transfer) -> None:
        config, owed = self._config, now.owed
        offer = BlobOffer(config.device, owed.sha256, owed.size_bytes, owed.blob_class)
        payload = signed_payload(self._signer, Context.BLOB, offer)
        self._publish(at_s, config.topics.blob_offer(config.device), payload)
        self._count("offers")
        now.offered = True
        now.again_at_s = at_s + now.wait_s

    def _send(self, at_s: float, now: _Transfer) -> None:
        """Chunks of what is missing and not under way, as far as window and rate allow."""
        if now.data is None:
            now.loading = True
            self._effects.append(LoadBlob(now.owed.sha256))
            return
        config = self._config
        chunk_bytes = max(
            SMALLEST_CHUNK_BYTES,
            min(config.chunk_bytes, self._window.size_bytes // 2, config.bytes_per_s // 4),
        )
        for first, last in now.missing:
            offset = first
            while offset <= last:
                under_way = now.flights.get(offset)
                if under_way is not None:
                    offset += under_way.size_bytes
                    continue
                ends = [start for start in now.flights if start > offset]
                size = min(chunk_bytes, last - offset + 1, *(start - offset for start in ends))
                if now.flights and now.in_flight_bytes + size > self._window.size_bytes:
                    return
                if not self._may_send(at_s):
                    return
                self._send_chunk(at_s, now, now.data, offset, size)
                offset += size

    def _send_chunk(self, at_s: float, now: _Transfer, data: bytes, offset: int, size: int) -> None:
        config, part = self._config, data[offset : offset + size]
        head = BlobChunk(config.device, now.owed.sha256, len(data), offset, hashlib.sha256(part).hexdigest())
        self._publish(at_s, config.topics.blob_chunk(config.device), chunk_payload(self._signer, head, part))
        self._count("chunks")
        now.flights[offset] = _Chunk(size, at_s)
        now.again_at_s = at_s + now.wait_s

    # --- the rate -----------------------------------------------------------------------------------------

    def _may_send(self, at_s: float) -> bool:
        """A message may leave while there is anything in the bucket; what it takes too much is paid later."""
        config = self._config
        since_s = at_s if self._tokens_at_s is None else self._tokens_at_s
        self._tokens = min(float(config.burst_bytes), self._tokens + (at_s - since_s) * config.bytes_per_s)
        self._tokens_at_s = at_s
        return self._tokens > 0

    def _publish(self, at_s: float, topic: str, payload: bytes) -> None:
        self._may_send(at_s)
        self._tokens -= len(payload)
        self._effects.append(Publish(Connection.BLOBS, topic, payload))

    # --- what the centre says -----------------------------------------------------------------------------

    def _on_message(self, at_s: float, topic: str, payload: bytes) -> None:
        if not payload:
            self._count("cleared")
            return
        try:
            if topic != self._config.topics.blob_answer(self._config.device):
                raise _Unfit("nothing is expected there")
            answer = open_signed(payload, self._hub_keys(), Context.BLOB_ANSWER, BlobAnswer)
            self._fit(answer)
        except (Forged, Malformed, _Unfit) as refusal:
            self._count("refused")
            self._tell(at_s, topic, str(refusal))
            return
        now = self._now
        if now is None or answer.sha256 != now.owed.sha256:
            self._count("answers_late")
            return
        self._on_answer(at_s, now, answer)

    def _fit(self, answer: BlobAnswer) -> None:
        if answer.device != self._config.device:
            raise _Unfit(f"expected an answer for {self._config.device}, got {answer.device[:40]!r}")
        if len(answer.missing) > MAX_MISSING_RANGES:
            raise _Unfit(f"expected at most {MAX_MISSING_RANGES} ranges, got {len(answer.missing)}")
        before = -1
        for first, last in answer.missing:
            if not before < first <= last < MAX_BLOB_BYTES:
                raise _Unfit("expected ranges of bytes in order, within the blob")
            before = last

    def _on_answer(self, at_s: float, now: _Transfer, answer: BlobAnswer) -> None:
        match answer.state:
            case BlobState.STORED:
                if not now.noting:
                    now.noting = True
                    self._effects.append(NoteStored(now.owed.sha256, answer.archive_id))
            case BlobState.WANTED:
                size = now.owed.size_bytes
                if not answer.missing or answer.missing[-1][1] >= size:
                    self._tell(at_s, "blob", f"expected missing bytes of {size}, got {answer.missing!r:.80}")
                    return
                self._progress(at_s, now, answer.missing)
            case BlobState.UNNAMED:
                self._count("unnamed")
                self._put_aside(at_s, now.owed.sha256, self._config.unnamed_first_s)
            case BlobState.REFUSED:
                self._count("not_taken")
                self._tell(at_s, "blob", f"{now.owed.sha256}: the centre does not take it: {answer.why}")
                self._put_aside(at_s, now.owed.sha256, self._config.refused_s)
            case _:
                assert_never(answer.state)

    def _progress(self, at_s: float, now: _Transfer, missing: tuple[tuple[int, int], ...]) -> None:
        arrived = {
            offset: chunk
            for offset, chunk in now.flights.items()
            if not any(first < offset + chunk.size_bytes and offset <= last for first, last in missing)
        }
        for offset in arrived:
            del now.flights[offset]
        if arrived:
            now.wait_s = self._config.resend_first_s
            chunks = list(arrived.values())
            self._window.acknowledged(
                at_s,
                sum(chunk.size_bytes for chunk in chunks),
                sent_at_s=chunks[0].sent_at_s,
                delay_s=at_s - chunks[-1].sent_at_s,
                full=True,
                idle=not now.flights,
            )
        now.offered = True
        now.missing = missing
        now.again_at_s = at_s + now.wait_s

    def _put_aside(self, at_s: float, sha256: str, first_s: float) -> None:
        known = self._aside.pop(sha256, None)
        wait_s = (
            first_s if known is None else min(known.wait_s * 2, max(first_s, self._config.resend_longest_s))
        )
        full = len(self._aside) >= MAX_ASIDE
        while len(self._aside) >= MAX_ASIDE:
            del self._aside[next(iter(self._aside))]
        self._aside[sha256] = _Aside(at_s + wait_s, wait_s)
        self._now = None
        # A centre that takes none of so many is not asked about one after the other for ever: the first of
        # them is forgotten by now, and would be offered again at once.
        self._look_at_s = at_s + self._config.resend_first_s if full else at_s

    # --- what journal and disk say ------------------------------------------------------------------------

    def _on_loaded(self, at_s: float, sha256: str, data: bytes | None) -> None:
        now = self._now
        if now is None or now.owed.sha256 != sha256:
            return
        now.loading = False
        if data is not None and len(data) == now.owed.size_bytes:
            now.data = data
            return
        self._count("gone")
        self._effects.append(ForgetBlob(sha256))
        self._tell(at_s, "blob", f"{sha256}: not on this disk any more, or damaged; the centre lacks it")
        self._now = None
        self._look_at_s = at_s

    def _on_noted(self, at_s: float, sha256: str, believed: bool) -> None:
        if self._now is None or self._now.owed.sha256 != sha256:
            return
        if believed:
            self._count("stored")
            self._aside.pop(sha256, None)
            self._now = None
            self._look_at_s = at_s
        else:
            self._count("of_another_archive")
            self._put_aside(at_s, sha256, self._config.unnamed_first_s)

    def _on_store_failed(self, at_s: float, why: str) -> None:
        self._count("store_failed")
        self._tell(at_s, "store/blobs", why)
        self._reading = False
        self._look_at_s = at_s + self._config.resend_first_s
        if self._now is not None:
            self._put_aside(at_s, self._now.owed.sha256, self._config.resend_first_s)
            self._look_at_s = at_s + self._config.resend_first_s

    # --- telling ------------------------------------------------------------------------------------------

    def _tell(self, at_s: float, topic: str, why: str) -> None:
        """Now, and what follows within `refused_every_s` is added up into the next one after it (G11)."""
        until_s, times = self._told.get(topic, (at_s, 0))
        if at_s < until_s:
            self._told[topic] = (until_s, times + 1)
            return
        if len(self._told) >= MAX_ASIDE:
            self._told.clear()
        self._told[topic] = (at_s + self._config.refused_every_s, 0)
        self._effects.append(Notify(Refused(topic, why[:MAX_WHY], times + 1)))

    def _count(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1

    def _ask_to_wake(self, at_s: float) -> None:
        wake_at_s: float | None = None
        if self._connected and self._facts_owed == 0:
            if self._now is None:
                wake_at_s = self._look_at_s
            else:
                wake_at_s = self._now.again_at_s
                if self._now.missing and self._tokens <= 0 and wake_at_s is not None:
                    wake_at_s = min(wake_at_s, at_s + (1 - self._tokens) / self._config.bytes_per_s)
        if wake_at_s != self._wake_at_s:
            self._wake_at_s = wake_at_s
            self._effects.append(WakeAt(wake_at_s))
