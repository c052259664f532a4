"""The hub's evidence thread: takes blobs beside the thread that takes facts, over an archive connection of
its own. Decides nothing about messages.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import structlog

from sync.hub.archive import Archive
from sync.hub.blob_files import BlobFiles
from sync.hub.blobs import BlobLimits, BlobTaking
from sync.hub.engine import STORAGE_ERRORS, ArchiveRefused, ArchiveTaken
from sync.hub.terms import Outgoing
from sync.link.keys import Signer
from sync.store.journal import utc_now

MAX_WAITING_BYTES = 32 * 1024 * 1024
"""What does not fit is dropped: devices ask again what is here."""
TICK_S = 5.0
AGAIN_AFTER_S = 5.0


class BlobKeeper:
    """`put` is safe on any thread and never waits."""

    def __init__(
        self,
        open_archive: Callable[[], Archive],
        files: BlobFiles,
        signer: Signer,
        *,
        site: str,
        limits: BlobLimits,
        publish: Callable[[Outgoing], None],
    ) -> None:
        self._open_archive = open_archive
        self._files = files
        self._signer = signer
        self._site = site
        self._limits = limits
        self._publish = publish
        self._ready = threading.Condition()
        self._messages: collections.deque[tuple[str, bytes]] = collections.deque()
        self._bytes = 0
        self._stopping = threading.Event()
        self._told_fault = ""
        self._log = structlog.get_logger("sync.hub.blobs")
        self._thread = threading.Thread(target=self._run, name="hub blobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, topic: str, payload: bytes) -> None:
        with self._ready:
            if self._bytes + len(payload) > MAX_WAITING_BYTES:
                return
            self._bytes += len(payload)
            self._messages.append((topic, payload))
            self._ready.notify()

    def stop(self, timeout_s: float) -> bool:
        self._stopping.set()
        with self._ready:
            self._ready.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- its thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except (ArchiveRefused, ArchiveTaken, *STORAGE_ERRORS) as error:
                self._tell_fault(f"{type(error).__name__}: {error}")
                self._stopping.wait(AGAIN_AFTER_S)

    def _serve(self) -> None:
        self._files.open()
        archive = self._open_archive()
        try:
            taking = BlobTaking(archive, self._files, self._signer, site=self._site, limits=self._limits)
            while not self._stopping.is_set():
                for topic, payload in self._take():
                    for answer in taking.receive(topic, payload, utc_now()):
                        self._publish(answer)
                taking.tend(utc_now())
                self._tell_fault(taking.fault)
        finally:
            archive.close()

    def _take(self) -> list[tuple[str, bytes]]:
        with self._ready:
            if not (self._messages or self._stopping.is_set()):
                self._ready.wait(TICK_S)
            taken = list(self._messages)
            self._messages.clear()
            self._bytes = 0
        return taken

    def _tell_fault(self, fault: str) -> None:
        if fault == self._told_fault:
            return
        self._told_fault = fault
        if fault:
            self._log.error("blobs are not stored", why=fault, doing="devices keep them and send them again")
        else:
            self._log.info("blobs are stored again")
