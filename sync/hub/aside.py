"""Work beside the hub: what takes seconds runs in a process of its own, so that facts and claims never wait.

One job at a time, a few waiting. The process opens the archive as a reader does, leaves what it made in a
folder and ends; dead or failed, it is a line in the hub's log and an alarm, and the job is asked for again by
whoever needed it. No MQTT.
"""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveRefused, Place, place_of, place_text
from sync.hub.retiring import retire
from sync.hub.snapshots import SnapshotUnsound, make_snapshot
from sync.policy.digests import bucket_of
from sync.store.journal import utc_now
from sync.store.opening import StoreRefused
from sync.vocabulary.codec import Malformed, decoder, to_json

MOST_WAITING = 16
NICE = 10
MOST_ERROR_CHARACTERS = 1_000

Row = tuple[str, str, str]
"""Collection, key, body."""


class MakeSnapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    scope: str


class MendSums(msgspec.Struct, frozen=True, tag="sums"):
    scope: str


class ReadBuckets(msgspec.Struct, frozen=True, tag="buckets"):
    scope: str
    epoch: str
    number: int
    buckets: tuple[int, ...]


class Retire(msgspec.Struct, frozen=True, tag="retire"):
    """Delete what is older than so many days, by collection."""

    scope: str
    keep_days: tuple[tuple[str, int], ...]


Job = MakeSnapshot | MendSums | ReadBuckets | Retire


class Order(msgspec.Struct, frozen=True):
    """What the process is told."""

    archive: str
    folder: str
    job: Job
    at_utc: str


class BucketsRead(msgspec.Struct, frozen=True):
    """What a `ReadBuckets` found, as it lies in the folder."""

    buckets: dict[int, tuple[Row, ...]]


read_order = decoder(Order)
read_buckets_read = decoder(BucketsRead)


class Done(msgspec.Struct, frozen=True):
    job: Job
    fault: str = ""
    """Empty when it went well."""
    buckets: dict[int, tuple[Row, ...]] = {}


class Aside(Protocol):
    """Somebody who does jobs without the hub waiting for them."""

    def begin(self, job: Job) -> bool:
        """False when it has enough to do already; the same job twice is one."""

    def done(self) -> list[Done]:
        """What ended since the last time."""

    def close(self) -> None:
        """Stop; what is not done is not done."""


class AsideHere:
    """Does the jobs when it is asked what is done: for tests, and for a site in one process."""

    def __init__(self, archive: Place, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._waiting: dict[Job, None] = {}

    def begin(self, job: Job) -> bool:
        self._waiting[job] = None
        return True

    def done(self) -> list[Done]:
        waiting, self._waiting = self._waiting, {}
        place, folder = place_text(self._archive), str(self._folder)
        return [do(Order(place, folder, job, utc_now())) for job in waiting]

    def close(self) -> None:
        self._waiting.clear()


class AsideProcess:
    """A process a job."""

    def __init__(self, archive: Place, folder: Path) -> None:
        self._archive = archive
        self._folder = folder
        self._waiting: collections.deque[Job] = collections.deque()
        self._doing: tuple[Job, subprocess.Popen[bytes]] | None = None

    def begin(self, job: Job) -> bool:
        if job in self._waiting or (self._doing is not None and self._doing[0] == job):
            return True
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(job)
        self._start()
        return True

    def done(self) -> list[Done]:
        ended: list[Done] = []
        if self._doing is not None and self._doing[1].poll() is not None:
            ended.append(self._end(*self._doing))
            self._doing = None
        self._start()
        return ended

    def close(self) -> None:
        self._waiting.clear()
        if self._doing is not None:
            _job, process = self._doing
            process.kill()
            process.communicate()
            self._doing = None

    def _start(self) -> None:
        if self._doing is not None or not self._waiting:
            return
        job = self._waiting.popleft()
        order = Order(place_text(self._archive), str(self._folder), job, utc_now())
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "aside.said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "sync.hub.aside"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        assert process.stdin is not None  # noqa: S101  a pipe was asked for
        with suppress(OSError):
            process.stdin.write(to_json(order))
            process.stdin.close()
        self._doing = (job, process)

    def _end(self, job: Job, process: subprocess.Popen[bytes]) -> Done:
        if process.returncode != 0:
            with suppress(OSError):
                said = (self._folder / "aside.said").read_text("utf-8", "replace").strip()
                return Done(job, said[-MOST_ERROR_CHARACTERS:] or f"exit code {process.returncode}")
            return Done(job, f"exit code {process.returncode}")
        if not isinstance(job, ReadBuckets):
            return Done(job)
        try:
            found = read_buckets_read(_answer_file(self._folder).read_bytes())
        except (OSError, Malformed) as error:
            return Done(job, str(error))
        return Done(job, buckets=found.buckets)


def do(order: Order) -> Done:
    """Do one job. Whatever goes wrong is in the answer."""
    job, folder = order.job, Path(order.folder)
    try:
        archive = Archive.open(place_of(order.archive))
        try:
            match job:
                case MakeSnapshot(scope):
                    make_snapshot(archive, scope, folder, order.at_utc)
                case MendSums(scope):
                    archive.mend_bucket_sums(scope)
                case ReadBuckets():
                    return Done(job, buckets=bucket_rows(archive, job))
                case Retire(scope, keep_days):
                    retire(archive, scope, dict(keep_days), order.at_utc)
                case _:
                    assert_never(job)
        finally:
            archive.close()
    except (ArchiveRefused, StoreRefused, SnapshotUnsound, Malformed, LookupError, *STORAGE_ERRORS) as error:
        return Done(job, f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS])
    return Done(job)


def bucket_rows(archive: Archive, job: ReadBuckets) -> dict[int, tuple[Row, ...]]:
    """All rows of these buckets as they were at the number asked for. Raises `LookupError`."""
    wanted = set(job.buckets)
    with archive.snapshot():
        state = archive.scope(job.scope)
        if state is None or state.epoch != job.epoch or state.number < job.number:
            raise LookupError(f"{job.scope} at {job.number} of {job.epoch[:8]} is not here")
        found: dict[tuple[str, str], str] = {
            (collection, key): body
            for collection, key, body in archive.record_rows(job.scope)
            if bucket_of(collection, key) in wanted
        }
        # What came after is taken back, entry by entry: each as it was.
        for collection, key in archive.keys_changed(job.scope, job.epoch, job.number):
            if bucket_of(collection, key) in wanted:
                before = archive.record_as_of(job.scope, collection, key, job.number, epoch=job.epoch)
                found.pop((collection, key), None)
                if before is not None and before.op == "put":
                    found[collection, key] = before.body
    rows: dict[int, list[Row]] = {bucket: [] for bucket in job.buckets}
    for (collection, key), body in sorted(found.items()):
        rows[bucket_of(collection, key)].append((collection, key, body))
    return {bucket: tuple(some) for bucket, some in rows.items()}


def _answer_file(folder: Path) -> Path:
    return folder / "aside.answer"


def main() -> int:
    """The process: an order on standard input, an exit code, what went wrong on standard error."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    order = read_order(sys.stdin.buffer.read())
    done = do(order)
    if done.fault:
        sys.stderr.write(f"{done.fault}\n")
        return 1
    if isinstance(order.job, ReadBuckets):
        _answer_file(Path(order.folder)).write_bytes(to_json(BucketsRead(done.buckets)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
