"""A handheld's stores at rest: what the cipher costs a scan, a start and a fetch, beside the same file plain.

One records file is made, plain, as the centre makes its snapshots; its pages go through the cipher as a
snapshot's do on a handheld. Then the same reads are done in turn on both: a point read, and all that is read
for a parcel's verdict (waybill, slip, enterprise, site, recalls, controls, an inspection order), decoded, in
one snapshot. Memory and times of opening are those of programs of their own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from bench.harness import Bench, Figure
from bench.patience import received
from bench.rows import FIRM, Rows, fill
from edge.handheld.vault import unwrapped, wrapped
from sync.store.enciphered import DataKey, Enciphered
from sync.store.journal import Journal
from sync.store.opening import PLAIN, Opener
from sync.store.records import SNAPSHOT_RESERVED_BYTES, Records, generation_path
from sync.vocabulary.facts import FactDraft, PassageOpened, Stream

READS = 2_000
COMMITS = 300
VERDICT_MS = 100.0
"""Decode to verdict."""
MEMORY_LIMIT_MB = 150.0
WITHIN_S = 300.0
_SLICE_BYTES = 4 * 1024 * 1024


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 1 M waybills, 3,400 slips, 1,000 vehicles."""
    rows = Rows(vehicles=1_000, slips=3_400, waybills=max(1_000, int(1_000_000 * scale)))
    plain_folder, safe_folder = folder / "plain", folder / "enciphered"
    safe_folder.mkdir()
    plain_path = fill(plain_folder, rows, reserved_bytes=SNAPSHOT_RESERVED_BYTES)
    key = DataKey.at_random()
    opener = Enciphered(key)
    size_mb = plain_path.stat().st_size / 1e6
    packed_s = _enciphered(plain_path, generation_path(safe_folder, 1), opener)
    copied_s = _enciphered(plain_path, folder / "copy", PLAIN)
    wrapping_ms = _unlocking_ms(key)
    with (
        Records.open(plain_path) as plain,
        Records.open(generation_path(safe_folder, 1), opener=opener) as safe,
    ):
        reads = _in_turns(rows, *(partial(point_read, records) for records in (plain, safe)))
        verdicts = _in_turns(rows, *(partial(verdict_reads, records, rows) for records in (plain, safe)))
    commits = _commits(folder, opener)
    opened = _elsewhere(generation_path(safe_folder, 1), key, rows)
    opened_plain = _elsewhere(plain_path, None, rows)
    return Bench(
        "vault",
        [
            Figure("point read, plain", reads.plain_us, "µs"),
            Figure("point read, enciphered", reads.safe_us, "µs", reads.safe_us / reads.plain_us, "plain"),
            Figure("a verdict's reads, plain", verdicts.plain_us, "µs"),
            Figure(
                "a verdict's reads, enciphered",
                verdicts.safe_us,
                "µs",
                verdicts.safe_us / verdicts.plain_us,
                "plain",
            ),
            Figure(
                "the slowest of them, enciphered",
                verdicts.slowest_ms,
                "ms",
                verdicts.slowest_ms / VERDICT_MS,
                f"{VERDICT_MS:.0f} ms",
                at_most=1.0,
                note=f"of {READS}; the rest of decode → verdict is the machine and the screen",
            ),
            Figure(
                "first verdict after a start",
                opened.first_ms,
                "ms",
                opened.first_ms / VERDICT_MS,
                f"{VERDICT_MS:.0f} ms",
                at_most=1.0,
                note="an empty page cache; the library is loaded",
            ),
            Figure(
                "opening, enciphered", opened.open_ms, "ms", opened.open_ms / opened_plain.open_ms, "plain"
            ),
            Figure("unlocking by a PIN", wrapping_ms, "ms", note="Argon2id, 32 MiB; once a start"),
            Figure(
                "RssAnon after the reads, enciphered",
                opened.rss_mb,
                "MB",
                opened.rss_mb / MEMORY_LIMIT_MB,
                f"{MEMORY_LIMIT_MB:.0f} MB",
                at_most=1.0,
                note=f"{opened_plain.rss_mb:.1f} MB plain; without Kivy",
            ),
            Figure(
                "durable commit, enciphered",
                commits.safe_us,
                "µs",
                commits.safe_us / commits.plain_us,
                "plain",
            ),
            Figure(
                "a snapshot's pages onto the disk, enciphered",
                size_mb / packed_s,
                "MB/s",
                copied_s / packed_s,
                "plain",
            ),
        ],
        f"{rows.waybills:,} waybills, {size_mb:,.0f} MB, {READS} reads in turn",
    )


def waybill_no(number: int) -> str:
    return f"YT{number:013d}"


def point_read(records: Records, number: int) -> object:
    return records.get("waybills", waybill_no(number))


def verdict_reads(records: Records, rows: Rows, number: int) -> object:
    """What is read for a parcel: all of one moment."""
    with records.snapshot():
        found = (
            records.get("waybills", waybill_no(number)),
            records.get("release_slips", str(rows.slip_no(number % rows.slips))),
            records.get("enterprises", str(FIRM)),
            records.get("inspection_orders", f"XD-{number}"),
            records.site(),
            records.recalls(),
            records.controls(),
        )
    if found[0] is None or found[1] is None:
        raise RuntimeError(f"the bench's parcel {number} is not in its file")
    return found


@dataclass(frozen=True, slots=True)
class _Compared:
    plain_us: float
    safe_us: float
    slowest_ms: float


def _in_turns(rows: Rows, plain: Callable[[int], object], safe: Callable[[int], object]) -> _Compared:
    draw = random.Random(5)
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(READS):
        number = draw.randrange(rows.waybills)
        both = (plain, safe) if turn % 2 else (safe, plain)
        for work in both:
            begin = time.perf_counter_ns()
            work(number)
            found[0 if work is plain else 1].append((time.perf_counter_ns() - begin) / 1_000)
    return _Compared(statistics.median(found[0]), statistics.median(found[1]), max(found[1]) / 1_000)


def _enciphered(plain: Path, into: Path, opener: Opener) -> float:
    """Seconds it takes as a snapshot's unpacker does it."""
    begin = time.perf_counter()
    with contextlib.closing(opener.unpacked(into)) as file, plain.open("rb") as source:
        while data := source.read(_SLICE_BYTES):
            file.write(data)
    return time.perf_counter() - begin


def _unlocking_ms(key: DataKey) -> float:
    pepper = secrets.token_bytes(32)
    slot = wrapped(key, "4604001", "493027", pepper=pepper, salt=b"s" * 16, nonce=b"n" * 12)
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        if unwrapped(slot, "493027", pepper) != key:
            raise RuntimeError("the bench's key does not unwrap")
        found.append((time.perf_counter() - begin) * 1_000)
    return statistics.median(found)


def _commits(folder: Path, opener: Opener) -> _Compared:
    found: list[list[float]] = [[], []]
    with (
        Journal.open(folder / "plain.sqlite", device="h-1", reserve_bytes=0) as plain,
        Journal.open(folder / "safe.sqlite", device="h-1", reserve_bytes=0, opener=opener) as safe,
    ):
        for turn in range(COMMITS):
            draft = FactDraft(
                f"{turn:032x}",
                Stream.ROUTINE,
                "2026-01-01T08:00:00.000000Z",
                "boot",
                5,
                PassageOpened(turn + 1),
            )
            for at, journal in ((0, plain), (1, safe))[:: 1 if turn % 2 else -1]:
                begin = time.perf_counter_ns()
                journal.commit([draft], lane_state=b"x" * 400)
                found[at].append((time.perf_counter_ns() - begin) / 1_000)
    return _Compared(statistics.median(found[0]), statistics.median(found[1]), max(found[1]) / 1_000)


@dataclass(frozen=True, slots=True)
class _Opened:
    open_ms: float
    first_ms: float
    rss_mb: float


def _elsewhere(path: Path, key: DataKey | None, rows: Rows) -> _Opened:
    """In a program of its own, which has opened nothing before."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    secret = None if key is None else key.for_wrapping()
    program = context.Process(target=_open_and_read, args=(path, secret, rows, theirs))
    program.start()
    theirs.close()
    try:
        with ours:
            return _Opened(*received(ours, "what opening and reading took", WITHIN_S))
    finally:
        program.join(WITHIN_S)
        if program.is_alive():
            program.kill()


def _open_and_read(path: Path, secret: bytes | None, rows: Rows, told: Connection) -> None:
    opener = PLAIN if secret is None else Enciphered(DataKey(secret))
    with contextlib.closing(opener.connect(path.with_name("warm"), "mode=memory")) as warm:
        warm.execute("SELECT 1")
    begin = time.perf_counter()
    records = Records.open(path, opener=opener)
    opened = time.perf_counter()
    verdict_reads(records, rows, rows.waybills // 2)
    first = time.perf_counter()
    draw = random.Random(11)
    for _ in range(READS):
        verdict_reads(records, rows, draw.randrange(rows.waybills))
    told.send(((opened - begin) * 1_000, (first - opened) * 1_000, _rss_anon_mb()))
    told.close()


def _rss_anon_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024
