"""Follows the archive: what every stream has gap-free is read into `shown`, a batch a transaction.

Streams are asked for by their contiguous number, so that the archive needs no order of its own and its writer
waits for nobody. A fact behind a gap is shown when the gap is filled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from sync.hub.archive import STORAGE_ERRORS, Archive, KeptFact
from sync.hub.console.reading import Reading, body_of, event_number, wanted
from sync.hub.console.shown import ReadTo, Shown
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.facts import FactBody, Stream

EVERY_S: Final = 0.1
PICTURES_EVERY_S: Final = 0.5
"""A backlog of pictures comes for hours: walls are not made anew for each."""
MOST_A_BATCH: Final = 2_000
AGAIN_AFTER_S: Final = 1.0


class Tail:
    """A thread of its own, with an archive and a `Shown` of its own."""

    def __init__(
        self,
        archive: Callable[[], Archive],
        shown: Callable[[str, str], Shown],
        zone: Callable[[], str],
        changed: Callable[[], None],
        log: Any,
    ) -> None:
        """`shown` by archive id and time zone; `zone` is asked again and again: by another one all is read
        anew. `changed` is called after each batch and when pictures have come, on the tail's thread."""
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
                self._not_followed()
            except Exception:  # noqa: BLE001  whatever it stands still for: the wall says so, and it is tried again
                self._log.exception("archive not followed")
                self._not_followed()

    def _not_followed(self) -> None:
        self.caught_up = False
        self._changed()
        self._stopping.wait(AGAIN_AFTER_S)

    def _follow(self) -> None:
        archive = self._archive()
        shown = None
        try:
            zone = self._zone()
            shown = self._shown(archive.archive_id, zone)
            stored_utc, looked_s = archive.blob_stored_last(), time.monotonic()
            while not self._stopping.is_set() and shown.is_current():
                if self._zone() != zone:
                    self._log.info("time zone changed, what is shown is made anew", zone=self._zone())
                    self.caught_up = False
                    break
                began_s = time.monotonic()
                if follow_once(archive, shown, self._count):
                    self._changed()
                    continue
                self.caught_up = True
                if began_s - looked_s >= PICTURES_EVERY_S:
                    before_utc, stored_utc, looked_s = stored_utc, archive.blob_stored_last(), began_s
                    if stored_utc != before_utc:
                        self._changed()
                self._stopping.wait(max(0.02, EVERY_S - (time.monotonic() - began_s)))
        finally:
            archive.close()
            if shown is not None:
                shown.close()

    def _count(self, facts: int) -> None:
        self.facts_read += facts


def follow_once(archive: Archive, shown: Shown, count: Callable[[int], None] = lambda facts: None) -> int:
    """Facts read, at most a batch."""
    known = shown.read_to()
    every = archive.stream_heads()
    heads = [head for head in every if head[3] > known.get(head[:3], 0)]
    if not heads:
        return 0
    several = _of_several_epochs(every)
    began = {head[:2]: archive.epoch_began(*head[:2]) for head in heads if head[0] in several}
    # A device's epochs in the order it began them, however late they are looked at.
    heads.sort(key=lambda head: (head[0], began.get(head[:2], ("", 0)), *head[1:3]))
    batch: list[tuple[tuple[str, str, str], KeptFact, FactBody]] = []
    facts = 0
    moved = []
    for device, epoch, stream, contiguous in heads:
        last = known.get((device, epoch, stream), 0)
        most = min(contiguous, last + MOST_A_BATCH - facts)
        for fact in archive.facts_between(device, epoch, Stream(stream), last + 1, most):
            body = body_of(fact)
            if body is not None:
                batch.append(((device, epoch, stream), fact, body))
            last = fact.seq
            facts += 1
        moved.append(ReadTo(device, epoch, stream, last))
        if facts >= MOST_A_BATCH:
            break
    waybills, slips = wanted(body for _, _, body in batch)
    enterprises = {
        (collection, key): enterprise
        for collection, keys in (("waybills", waybills), ("release_slips", slips))
        for key, record in archive.last_versions(collection, keys).items()
        if (enterprise := _enterprise_of(record))
    }
    with shown.transaction():
        for device in several - shown.devices_of_several_epochs():
            _remember_events(archive, shown, device, known)
        reading = Reading(shown, shown.zone, enterprises)
        for (device, epoch, stream), fact, body in batch:
            since = began[device, epoch][1] if device in several else None
            reading.read(device, epoch, stream, fact, body, since=since)
        reading.end()
        shown.set_read_to(moved)
    count(facts)
    return facts


def _of_several_epochs(heads: Iterable[tuple[str, str, str, int]]) -> set[str]:
    first: dict[str, str] = {}
    return {device for device, epoch, _, _ in heads if first.setdefault(device, epoch) != epoch}


def _remember_events(
    archive: Archive, shown: Shown, device: str, known: Mapping[tuple[str, str, str], int]
) -> None:
    """Once for each device that begins another epoch: what of it is read already."""
    for (of, epoch, stream), last in known.items():
        if of == device:
            shown.add_events(
                event_number(device, fact.event_id)
                for fact in archive.facts_between(device, epoch, Stream(stream), 1, last)
            )
    shown.note_several_epochs(device)


class _Owned(msgspec.Struct, frozen=True):
    enterprise: str | None = None


_read_owned = decoder(_Owned)


def _enterprise_of(record: str) -> str:
    try:
        return _read_owned(record.encode()).enterprise or ""
    except Malformed:
        return ""
