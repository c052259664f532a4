"""What the hub makes durable: payloads of facts in, checked, stored, acknowledged; no broker.

One process on the embedded engine, and one to four workers on one PostgreSQL, in the same run and over the
same payloads, dealt to the workers in turn as a broker's shared subscription does. As many payloads share a
commit as the hub takes from its inbox at once. The limit is the design's: the whole country's busiest hours
would be 125 facts a second. CPU is of the workers and of the database server together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Self, cast

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.harness import Bench, Figure, Rounds, in_turns
from bench.passages import FACTS_A_PASSAGE, journalled
from bench.patience import received
from bench.postgres import Postgres, binaries
from sync.hub.archive import Archive
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.receiver import Receiver
from sync.hub.wiring import TAKE_AT_ONCE_BYTES
from sync.link.envelope import pack, runs
from sync.link.keys import HUB_KID, KeySigner, make_private, private_pem, public_pem
from sync.link.messages import Checkpoint, Context, StreamHead, Topics
from sync.store.journal import Journal
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Stream

ASKED_A_SECOND = 5_000
CPU_CONSTANT_WITHIN = 1.25
"""CPU a fact with four workers over that with one."""
ROUNDS = 3
PASSAGES_A_ROUND = 1_000
DEVICES = 4
WORKERS = (1, 2, 4)
CORES = 2
"""The machine of the figure asked."""
WITHIN_S = 120.0
AT = "2026-01-01T00:00:00.000000Z"
MESSAGE = tuple[str, bytes]


def run(folder: Path, scale: float) -> Bench:
    """At scale 0.1 and above: 6,000 facts a round."""
    passages = max(DEVICES * 12, int(PASSAGES_A_ROUND * min(1.0, scale * 10)))
    facts = passages // DEVICES * DEVICES * FACTS_A_PASSAGE
    site = _Site(folder, passages // DEVICES)
    works = [("sqlite", site.on_sqlite)]
    with ExitStack() as stack:
        programs = _programs()
        if programs is not None:
            crew = stack.enter_context(_Crew(programs, site))
            works += [(f"{count} on postgresql", _on_postgres(crew, count)) for count in WORKERS]
        rates = in_turns(ROUNDS, works)
    figures = [
        Figure(
            "facts durable at the hub", rates.median("sqlite"), "/s", rates.median("sqlite") / ASKED_A_SECOND,
            f"{ASKED_A_SECOND:,}/s", at_least=1.0,
            note=f"{rates.spread('sqlite')} /s, one process, {_cpu(site.cpu_us['sqlite'])} us CPU a fact",
        )
    ]  # fmt: skip
    if programs is not None:
        figures += _figures(rates, site)
    return Bench(
        "ingest",
        figures,
        f"{facts:,} facts of passages of {DEVICES} devices a round, {ROUNDS} rounds, signed payloads; "
        "SQLite with WAL and synchronous=FULL, "
        + ("PostgreSQL with fsync on" if programs is not None else "no PostgreSQL here"),
    )


def _figures(rates: Rounds, site: _Site) -> list[Figure]:
    figures = []
    alone = statistics.median(site.cpu_us["1 on postgresql"])
    for count in WORKERS:
        name = f"{count} on postgresql"
        rate, cpu_us = rates.median(name), statistics.median(site.cpu_us[name])
        figures += [
            Figure(
                f"PostgreSQL, {_workers(count)}", rate, "/s", rate / ASKED_A_SECOND, f"{ASKED_A_SECOND:,}/s",
                at_least=1.0 if count == CORES else None, note=f"{rates.spread(name)} /s",
            ),
            Figure(
                f"CPU a fact, {_workers(count)}", cpu_us, "us", cpu_us / alone, "one worker",
                at_most=CPU_CONSTANT_WITHIN if count > 1 else None,
                note=f"workers {_cpu(site.workers_us[name])}, server {_cpu(site.server_us[name])} us",
            ),
        ]  # fmt: skip
    return figures


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _cpu(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.0f}"


def _programs() -> Path | None:
    return binaries() if importlib.util.find_spec("psycopg") is not None else None


def _on_postgres(crew: _Crew, count: int) -> Callable[[], float]:
    return lambda: crew.ingest(count)


class _Site:
    """Devices, their signed payloads, and what taking them cost."""

    def __init__(self, folder: Path, passages: int) -> None:
        self.folder = folder
        self.hub_key = make_private()
        self.cpu_us: dict[str, list[float]] = defaultdict(list)
        self.workers_us: dict[str, list[float]] = defaultdict(list)
        self.server_us: dict[str, list[float]] = defaultdict(list)
        self.public_pems: dict[str, str] = {}
        self._round = itertools.count()
        each: list[list[MESSAGE]] = []
        for number in range(1, DEVICES + 1):
            device, private = f"lane-{number}", make_private()
            self.public_pems[device] = public_pem(private.public_key()).decode()
            with Journal.open(folder / f"{device}.sqlite", device=device, reserve_bytes=0) as journal:
                # No slip is used by two devices.
                journalled(journal, number * 10_000_000 + 1, passages)
                each.append(_payloads(journal, device, KeySigner(private, device)))
        self.messages = [message for some in itertools.zip_longest(*each) for message in some if message]
        self.facts = DEVICES * passages * FACTS_A_PASSAGE

    def enrol(self, archive: Archive) -> None:
        with archive.transaction():
            for device, pem in self.public_pems.items():
                archive.enrol(device, pem)

    def on_sqlite(self) -> float:
        archive = Archive.open(self.folder / f"archive-{next(self._round)}.sqlite", own=True)
        self.enrol(archive)
        receiver = Receiver(archive, KeySigner(self.hub_key, HUB_KID), site="bench")
        begin_s, cpu_s = time.perf_counter(), time.process_time()
        _take(receiver, self.messages)
        took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
        self.check(receiver.counts.facts)
        self.cpu_us["sqlite"].append(1e6 * cpu_s / self.facts)
        archive.close()
        return self.facts / took_s

    def check(self, stored: int) -> None:
        if stored != self.facts:
            raise RuntimeError(f"the hub stored {stored} of {self.facts} facts")


class _Crew:
    """A database server, and as many worker processes as are ever needed, each with its connection."""

    def __init__(self, programs: Path, site: _Site) -> None:
        self._programs = programs
        self._site = site

    def __enter__(self) -> Self:
        self._server = Postgres(self._programs)
        self._place = self._server.place(self._site.folder)
        archive = Archive.open(self._place, own=True)
        self._site.enrol(archive)
        archive.close()
        context = multiprocessing.get_context("spawn")
        pem = private_pem(self._site.hub_key)
        self._workers: list[tuple[SpawnProcess, Connection]] = []
        for number in range(max(WORKERS)):
            ours, theirs = context.Pipe()
            witness = self._site.folder / f"witness-{number}"
            place = dataclasses.replace(self._place, witness_file=witness)
            process = context.Process(target=_work, args=(theirs, place, pem), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))
        for _, ours in self._workers:
            received(ours, "a worker to start", WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        for process, ours in self._workers:
            ours.close()
            process.join(10)
            if process.is_alive():
                process.kill()
        self._server.close()

    def ingest(self, count: int) -> float:
        self._server.empty(self._place.database, "devices", "witnesses")
        crew = self._workers[:count]
        for number, (_, ours) in enumerate(crew):
            ours.send(self._site.messages[number::count])
        for _, ours in crew:
            received(ours, "a worker to have its payloads", WITHIN_S)
        server_s, begin_s = self._server_cpu_s(), time.perf_counter()
        for _, ours in crew:
            ours.send("go")
        told = [received(ours, "a worker to have taken its payloads", WITHIN_S) for _, ours in crew]
        took_s, server_s = time.perf_counter() - begin_s, self._server_cpu_s() - server_s
        self._site.check(sum(facts for facts, _ in told))
        workers_s = sum(cpu_s for _, cpu_s in told)
        name, facts = f"{count} on postgresql", self._site.facts
        self._site.workers_us[name].append(1e6 * workers_s / facts)
        self._site.server_us[name].append(1e6 * server_s / facts)
        self._site.cpu_us[name].append(1e6 * (workers_s + server_s) / facts)
        return facts / took_s

    def _server_cpu_s(self) -> float:
        postmaster = psutil.Process(self._server.pid())
        times = [each.cpu_times() for each in (postmaster, *postmaster.children(recursive=True))]
        return sum(each.user + each.system for each in times)


def _work(boss: Connection, place: PostgresPlace, hub_pem: bytes) -> None:
    """One worker: takes what it is given, each time it is told to."""
    archive = Archive.open(place, own=True)
    signer = KeySigner(cast(Ed25519PrivateKey, load_pem_private_key(hub_pem, None)), HUB_KID)
    boss.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            messages = boss.recv()
            receiver = Receiver(archive, signer, site="bench")
            boss.send("ready")
            boss.recv()
            cpu_s = time.process_time()
            _take(receiver, messages)
            boss.send((receiver.counts.facts, time.process_time() - cpu_s))
    archive.close()


def _take(receiver: Receiver, messages: Sequence[MESSAGE]) -> None:
    acknowledged = 0
    for some in _taken_at_once(messages):
        acknowledged += len(receiver.receive_all(some, AT))
    if not acknowledged or receiver.counts.refused or receiver.counts.storage_faults:
        raise RuntimeError(
            f"the hub did not take the bench's facts: {receiver.counts}, {receiver.storage_fault}"
        )


def _payloads(journal: Journal, device: str, signer: KeySigner) -> list[MESSAGE]:
    """The routine stream as payloads on its topic."""
    facts = journal.facts_from(Stream.ROUTINE, 1, max_facts=10**9, max_bytes=10**12)
    messages: list[MESSAGE] = []
    topic = Topics("bench").facts(device, Stream.ROUTINE)
    for run_ in runs(facts):
        last = run_.facts[-1]
        heads = (StreamHead(Stream.ROUTINE, last.seq, last.hash),)
        checkpoint = Checkpoint(device, last.epoch, last.position, heads, last.time)
        signed = signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode())
        messages.append((topic, pack(run_, signed, time=last.time)))
    return messages


def _taken_at_once(messages: Sequence[MESSAGE]) -> Iterator[list[MESSAGE]]:
    held: list[MESSAGE] = []
    for message in messages:
        held.append(message)
        if sum(len(payload) for _, payload in held) >= TAKE_AT_ONCE_BYTES:
            yield held
            held = []
    if held:
        yield held
