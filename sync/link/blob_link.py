"""Evidence around its session: a thread of its own: no fact and no claim waits while a picture is read.

Nothing here decides. The connection is handed over by the client; the disk is behind a `BlobSource`.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, assert_never

from sync.link.blob_session import (
    BlobEffect,
    BlobEvent,
    BlobLoaded,
    BlobSession,
    BlobStoreFailed,
    FactsOwed,
    ForgetBlob,
    LoadBlob,
    NoteStored,
    OwedRead,
    ReadOwed,
    StoredNoted,
)
from sync.link.words import (
    Connected,
    Connection,
    Disconnected,
    Notice,
    Notify,
    Publish,
    Received,
    Tick,
    WakeAt,
)
from sync.store.journal import Journal, JournalFull
from sync.store.opening import StoreRefused

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.1
"""How soon it is seen that a fact waits, or no longer does."""
IDLE_EVERY_S = 0.5
MOST_WAITING = 1_000
"""Answers; more than this nobody asked for."""
RESTART_AFTER_S = 1.0

BlobWireEvent = Connected | Disconnected | Received
_CONNECTED = Connected(Connection.BLOBS)


class BlobSource(Protocol):
    """Where a program keeps its evidence."""

    def read(self, sha256: str) -> bytes | None:
        """The blob, its hash proved; None where it is not there any more, or is another. May wait for a disk.
        Raises `OSError` where that cannot be told now: it is asked for again."""


class BlobPerformer:
    """Journal and evidence of one device, as a blob session uses them."""

    def __init__(self, journal: Journal, source: BlobSource) -> None:
        self._journal = journal
        self._source = source

    def facts_owed(self) -> int:
        return sum(self._journal.backlog().values())

    def perform(self, effect: BlobEffect) -> tuple[BlobEvent, ...]:
        """Do what is for the store; `Publish`, `Notify` and `WakeAt` are for others and answer nothing."""
        try:
            match effect:
                case ReadOwed(most):
                    return (OwedRead(self._journal.owed_blobs(most)),)
                case LoadBlob(sha256):
                    return (BlobLoaded(sha256, self._source.read(sha256)),)
                case NoteStored(sha256, archive_id):
                    believed = self._journal.acknowledge_blob(sha256, archive_id=archive_id)
                    return (StoredNoted(sha256, believed),)
                case ForgetBlob(sha256):
                    self._journal.forget_blobs((sha256,))
                    return ()
                case Publish() | Notify() | WakeAt():
                    return ()
                case _:
                    assert_never(effect)
        except (StoreRefused, JournalFull, OSError) as error:
            return (BlobStoreFailed(str(error)),)


class BlobLink:
    """One device's evidence link. `put` is safe on any thread and never waits."""

    def __init__(
        self,
        name: str,
        *,
        make_session: Callable[[], BlobSession],
        performer: BlobPerformer,
        publish: Callable[[str, bytes], bool],
        notices: Callable[[Notice], None],
    ) -> None:
        """`publish(topic, payload)` hands over at QoS 1 and promises nothing. `notices` may only enqueue."""
        self._make_session = make_session
        self._performer = performer
        self._publish = publish
        self._notices = notices
        self._ready = threading.Condition()
        self._events: collections.deque[BlobWireEvent] = collections.deque()
        self._wire_up = False
        self._stopping = threading.Event()
        self._wake_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"blobs {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: BlobWireEvent) -> None:
        with self._ready:
            if isinstance(event, Received) and len(self._events) >= MOST_WAITING:
                return
            self._events.append(event)
            self._ready.notify()

    def ask_to_stop(self) -> None:
        self._stopping.set()
        with self._ready:
            self._ready.notify()

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    # --- its thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._converse()
            except Exception:  # noqa: BLE001  whatever is wrong with us must not end it
                # What is owed stands in the journal: a new session begins where this one failed.
                _log.exception("the evidence link failed and starts again")
                self._stopping.wait(RESTART_AFTER_S)

    def _converse(self) -> None:
        session = self._make_session()
        self._wake_at_s = None
        owed = -1
        if self._wire_up:
            self._drive(session, _CONNECTED)
        while not self._stopping.is_set():
            for event in self._take():
                if not isinstance(event, Received):
                    self._wire_up = isinstance(event, Connected)
                self._drive(session, event)
            now_owed = self._performer.facts_owed()
            if now_owed != owed:
                owed = now_owed
                self._drive(session, FactsOwed(owed))
            elif self._due():
                self._drive(session, Tick())

    def _due(self) -> bool:
        return self._wake_at_s is not None and time.monotonic() >= self._wake_at_s

    def _take(self) -> tuple[BlobWireEvent, ...]:
        with self._ready:
            if not (self._events or self._stopping.is_set()):
                wait_s = LOOK_EVERY_S if self._wire_up else IDLE_EVERY_S
                if self._wake_at_s is not None:
                    wait_s = min(wait_s, max(0.0, self._wake_at_s - time.monotonic()))
                self._ready.wait(wait_s)
            taken = tuple(self._events)
            self._events.clear()
        return taken

    def _drive(self, session: BlobSession, event: BlobEvent) -> None:
        events = collections.deque([event])
        while events:
            for effect in session.step(time.monotonic(), events.popleft()):
                match effect:
                    case Publish(_, topic, payload):
                        self._publish(topic, payload)
                    case Notify(notice):
                        with contextlib.suppress(Exception):
                            self._notices(notice)
                    case WakeAt(at_s):
                        self._wake_at_s = at_s
                    case _:
                        events.extend(self._performer.perform(effect))
