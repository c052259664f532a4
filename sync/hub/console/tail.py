"""Follows the archive: what every stream has gap-free is read into `shown`, a batch a transaction.

Streams are asked for by their contiguous number, so that the archive needs no order of its own and its writer
waits for nobody. A fact behind a gap is shown when the gap is filled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from sync.hub.archive import STORAGE_ERRORS, Archive
from sync.hub.console.reading import Reading
from sync.hub.console.shown import ReadTo, Shown
from sync.vocabulary.facts import Stream

EVERY_S: Final = 0.1
MOST_A_BATCH: Final = 2_000
AGAIN_AFTER_S: Final = 1.0


class Tail:
    """A thread of its own, with an archive and a `Shown` of its own."""

    def __init__(
        self,
        archive: Callable[[], Archive],
        shown: Callable[[str], Shown],
        zone: str,
        changed: Callable[[], None],
        log: Any,
    ) -> None:
        """`changed` is called after each batch, on the tail's thread."""
        self._archive = archive
        self._shown = shown
        self._zone = zone
        self._changed = changed
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console-tail", daemon=True)
        self.facts_read = 0
        self.caught_up = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except STORAGE_ERRORS as error:
                self._log.warning("archive not followed", why=f"{type(error).__name__}: {error}")
                self._stopping.wait(AGAIN_AFTER_S)

    def _follow(self) -> None:
        archive = self._archive()
        shown = None
        try:
            shown = self._shown(archive.archive_id)
            while not self._stopping.is_set():
                began_s = time.monotonic()
                if follow_once(archive, shown, self._zone, self._count):
                    self._changed()
                    continue
                self.caught_up = True
                self._stopping.wait(max(0.02, EVERY_S - (time.monotonic() - began_s)))
        finally:
            archive.close()
            if shown is not None:
                shown.close()

    def _count(self, facts: int) -> None:
        self.facts_read += facts


def follow_once(
    archive: Archive, shown: Shown, zone: str, count: Callable[[int], None] = lambda facts: None
) -> int:
    """Facts read, at most a batch."""
    known = shown.read_to()
    reading = Reading(shown, zone)
    facts = 0
    heads = [
        (device, epoch, stream, contiguous)
        for device, epoch, stream, contiguous in archive.stream_heads()
        if contiguous > known.get((device, epoch, stream), 0)
    ]
    if not heads:
        return 0
    with shown.transaction():
        moved = []
        for device, epoch, stream, contiguous in heads:
            last = known.get((device, epoch, stream), 0)
            most = min(contiguous, last + MOST_A_BATCH - facts)
            for fact in archive.facts_between(device, epoch, Stream(stream), last + 1, most):
                reading.read(device, epoch, stream, fact)
                last = fact.seq
                facts += 1
            moved.append(ReadTo(device, epoch, stream, last))
            if facts >= MOST_A_BATCH:
                break
        shown.set_read_to(moved)
    count(facts)
    return facts
