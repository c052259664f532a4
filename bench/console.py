"""The console: what it takes to read the archive into what is shown, how long pages take over a large one,
and how far ten open walls lag behind facts that come in.

Facts are sealed as devices seal them and put into the archive at once; those of the live run go through the
hub's receiver, signed, in a process of their own as on a site. Pages are asked for as a browser does.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import itertools
import math
import multiprocessing
import os
import re
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import urlencode

import psutil
from starlette.testclient import TestClient

from bench.harness import Bench, Figure
from bench.large_archive import (
    DAYS,
    FACTS_A_CYCLE,
    LANES,
    OFFICER,
    PASSWORD,
    SCOPE,
    SITE,
    STATIONS,
    Chains,
    epoch_of,
    filled,
    firm_of,
    of_passage,
    plate_of,
    slip_of,
    waybill_of,
)
from bench.postgres import Postgres, binaries
from sync.hub.archive import Archive
from sync.hub.blobs import BlobLimits
from sync.hub.config import BlobsPart, HubConfig, RecordsPart, SyncPart
from sync.hub.console.app import build_app
from sync.hub.console.context import Console
from sync.hub.console.serving import serve
from sync.hub.console.settings import ConsolePart
from sync.hub.console.shown import Shown
from sync.hub.console.tail import follow_once
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.receiver import Receiver
from sync.link.envelope import pack, runs
from sync.link.keys import HUB_KID, KeySigner, make_private, public_pem
from sync.link.messages import Context, Topics
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Alarm, AlarmCode, EpochBegan, Fact, Stream

ZONE = "Asia/Shanghai"
MILLION = 1_000_000
FACTS_ON_SQLITE = MILLION
FACTS_ON_POSTGRES = 10 * MILLION
PAGE_WITHIN_MS = 300.0
ASKED_A_PAGE = 25
SETTINGS = "-c shared_buffers=1GB -c max_wal_size=4GB"
"""Of a PostgreSQL that somebody looks after."""
WALLS = 10
FACTS_A_SECOND = 500
SEND_EVERY_S = 0.1
LAG_WITHIN_S = 2.0
MARKS = 15
MARK_EVERY_S = 1.0


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 1 M facts on SQLite, 10 M on PostgreSQL; 500 facts a second and ten walls at any scale."""
    facts = max(2_000, int(FACTS_ON_SQLITE * scale))
    here = folder / "sqlite"
    here.mkdir()
    figures = _pages(here, here / "archive.sqlite", facts, "SQLite")
    figures += _lag(here, here / "archive.sqlite")
    programs = binaries() if importlib.util.find_spec("psycopg") is not None else None
    many = max(2_000, int(FACTS_ON_POSTGRES * scale))
    if programs is not None:
        server = Postgres(programs, SETTINGS)
        try:
            there = folder / "postgres"
            there.mkdir()
            figures += _pages(there, server.place(there), many, "PostgreSQL")
        finally:
            server.close()
    return Bench(
        "console",
        figures,
        f"{facts:,} facts on SQLite, {many:,} on PostgreSQL, of {DAYS} days, {LANES} lanes, "
        f"{STATIONS} X-ray stations; {ASKED_A_PAGE} requests a page; {WALLS} walls over {facts:,} facts",
    )


# --- pages ------------------------------------------------------------------------------------------------


def _pages(folder: Path, place: Path | PostgresPlace, facts: int, engine: str) -> list[Figure]:
    archive = Archive.open(place, own=True)
    filled(archive, facts)
    shown_file = folder / "shown.sqlite"
    shown = Shown.open(shown_file, archive.archive_id, ZONE)
    begin_s, cpu_s, read = time.perf_counter(), time.process_time(), 0
    while some := follow_once(archive, shown):
        read += some
    took_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_s
    shown.close()
    archive.close()
    return [
        Figure(
            f"{engine}: facts read into what is shown", read / took_s, "/s",
            note=f"{1e6 * cpu_s / read:.0f} us CPU, {shown_file.stat().st_size / read:.0f} bytes a fact",
        ),
        slowest_page(folder, place, facts, engine),
    ]  # fmt: skip


def slowest_page(folder: Path, place: Path | PostgresPlace, facts: int, engine: str) -> Figure:
    """Over a filled archive that is read into `folder`/shown.sqlite. CPU is the console's own."""
    console = Console(_config(folder, place), _part(folder, 0))
    client = TestClient(build_app(console), base_url="http://127.0.0.1", follow_redirects=False)
    client.headers["accept"] = "text/html"
    signed_in = client.post("/sign-in", data={"officer": OFFICER, "password": PASSWORD})
    if signed_in.status_code != 303:
        raise RuntimeError(f"the console let nobody in: {signed_in.status_code}")
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name, addresses in _addresses(facts).items():
        for address in itertools.islice(itertools.cycle(addresses), ASKED_A_PAGE):
            begin_s, used_s = time.perf_counter(), time.process_time()
            answer = client.get(address)
            if answer.status_code != 200:
                raise RuntimeError(f"{address}: {answer.status_code}")
            wall_ms, cpu_ms = found.setdefault(name, ([], []))
            wall_ms.append(1e3 * (time.perf_counter() - begin_s))
            cpu_ms.append(1e3 * (time.process_time() - used_s))
    console.close()
    slowest = max(found, key=lambda name: _p95(found[name][0]))
    worst = _p95(found[slowest][0])
    each = ", ".join(
        f"{name} {min(wall_ms):.0f}/{_p95(wall_ms):.0f} ({_p95(cpu_ms):.0f} CPU)"
        for name, (wall_ms, cpu_ms) in found.items()
    )
    load = f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    return Figure(
        f"{engine}: slowest page, p95", worst, "ms", worst / PAGE_WITHIN_MS, f"{PAGE_WITHIN_MS:.0f} ms",
        at_most=1.0, note=f"quickest/p95 in ms, load {load}: {each}",
    )  # fmt: skip


def _addresses(facts: int) -> dict[str, list[str]]:
    last = max(2, facts // FACTS_A_CYCLE // LANES)
    cycles = range(1, last, max(1, last // 20))
    today = datetime.now(UTC).date()
    spans = [f"from={today - timedelta(days=days - 1)}&to={today}" for days in (1, 7, DAYS)]
    lanes = [(f"lane-{number % LANES + 1}", number) for number in cycles]
    passages = [f"{lane}/{epoch_of(lane)}/{number}" for lane, number in lanes]
    views = ("day", "lane", "station", "enterprise", "officer", "reason")
    return {
        "wall": ["/"],
        "passage": [f"/passage/{each}" for each in passages],
        "proof": [f"/passage/{each}/proof" for each in passages],
        "search": [f"/search?q={plate_of(number)}" for number in cycles],
        "slip": [f"/search?q={slip_of(number % LANES + 1, number)}" for number in cycles],
        "parcel": [f"/parcel/{waybill_of(number % STATIONS + 1, number)}" for number in cycles],
        **{f"statistics by {view}": [f"/statistics?view={view}&{span}" for span in spans] for view in views},
        "desk": ["/desk"],
        "API passages": ["/api/v1/passages?limit=100"],
        "API plate": [f"/api/v1/passages?plate={plate_of(number)}" for number in cycles],
        "API mentions": [f"/api/v1/mentions?what=enterprise&name={firm_of(number)}" for number in cycles],
        "metrics": ["/metrics"],
    }


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


# --- walls ------------------------------------------------------------------------------------------------


def _lag(folder: Path, place: Path) -> list[Figure]:
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    port = _free_port()
    process = context.Process(target=_serve, args=(folder, place, port, done), daemon=True)
    process.start()
    try:
        _wait_for(port)
        measured = _watched(place, port, process.pid or 0)
    finally:
        done.set()
        process.join(20.0)
        if process.is_alive():
            process.kill()
    lags, sent, took_s, cpu_s, missing = measured
    worst = max(lags) if lags and not missing else float("inf")
    return [
        Figure(
            f"lag of {WALLS} walls at {FACTS_A_SECOND} facts/s, longest", worst, "s", worst / LAG_WITHIN_S,
            f"{LAG_WITHIN_S:.0f} s", at_most=1.0,
            note=f"median {statistics.median(lags or [0.0]):.2f} s, {len(lags)} of {MARKS * WALLS} seen; "
            f"{sent / took_s:.0f} facts/s for {took_s:.0f} s; console {100 * cpu_s / took_s:.0f} % of a core",
        )
    ]  # fmt: skip


def _watched(place: Path, port: int, pid: int) -> tuple[list[float], int, float, float, int]:
    seen: dict[tuple[int, str], float] = {}
    stopping = threading.Event()
    cookie = _sign_in(port)
    screens = [
        threading.Thread(target=_watch, args=(port, cookie, number, seen, stopping), daemon=True)
        for number in range(WALLS)
    ]
    for screen in screens:
        screen.start()
    time.sleep(1.0)
    console = psutil.Process(pid)
    before = console.cpu_times()
    archive = Archive.open(place)
    hub = Receiver(archive, KeySigner(make_private(), HUB_KID), site=SITE)
    lanes = [_Live(archive, number) for number in range(1, 5)]
    told: dict[str, float] = {}
    sent, begin_s, mark = 0, time.monotonic(), 0
    each = math.ceil(FACTS_A_SECOND * SEND_EVERY_S / len(lanes))
    for beat in range(int(MARKS * MARK_EVERY_S / SEND_EVERY_S)):
        messages = [lane.chatter(each) for lane in lanes]
        if beat * SEND_EVERY_S >= mark * MARK_EVERY_S:
            mark += 1
            name = f"mark-{mark:04d}-"
            messages.append(lanes[0].alarm(name))
        hub.receive_all(messages, utc_now())
        if name not in told:
            told[name] = time.monotonic()
        sent += each * len(lanes)
        time.sleep(max(0.0, begin_s + (beat + 1) * SEND_EVERY_S - time.monotonic()))
    took_s = time.monotonic() - begin_s
    after = console.cpu_times()
    time.sleep(LAG_WITHIN_S)
    stopping.set()
    archive.close()
    lags = [seen[key] - told[key[1]] for key in seen if key[1] in told]
    cpu_s = after.user + after.system - before.user - before.system
    return lags, sent, took_s, cpu_s, WALLS * len(told) - len(lags)


def _watch(
    port: int, cookie: str, number: int, seen: dict[tuple[int, str], float], stopping: threading.Event
) -> None:
    """One screen: notes when each mark first stood in what it was sent."""
    connection = _connection(port)
    connection.request("GET", "/wall/stream?after=-1", headers={"Cookie": cookie})
    answer = connection.getresponse()
    while not stopping.is_set():
        line = answer.readline()
        if not line:
            break
        at_s = time.monotonic()
        for mark in _MARK.findall(line.decode()):
            seen.setdefault((number, mark), at_s)
    connection.close()


_MARK = re.compile(r"mark-\d{4}-")


def _sign_in(port: int) -> str:
    connection = _connection(port)
    body = urlencode({"officer": OFFICER, "password": PASSWORD})
    connection.request(
        "POST", "/sign-in", body, {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    )
    answer = connection.getresponse()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    if answer.status != 303:
        raise RuntimeError(f"the console let nobody in: {answer.status}")
    connection.close()
    return cookie


def _serve(folder: Path, place: Path, port: int, done: Event) -> None:
    part = _part(folder, port)
    serve(_config(folder, place), part, done.wait)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _wait_for(port: int) -> None:
    """Until all that is stored is shown."""
    until_s = time.monotonic() + 120.0
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), contextlib.closing(_connection(port)) as connection:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the console did not come up")


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=30)


class _Live:
    """A lane that speaks now: facts sealed, signed and packed as its link does."""

    def __init__(self, archive: Archive, number: int) -> None:
        self._name = f"live-{number}"
        self._number = LANES + number
        self._chains = Chains(self._name)
        self._passage = 0
        with archive.transaction():
            archive.enrol(self._name, public_pem(self._chains.private.public_key()).decode())
        self._first = [self._chains.seal(EpochBegan("new", "", {}), utc_now(), Stream.ALARM)]

    def chatter(self, count: int) -> tuple[str, bytes]:
        facts: list[Fact] = []
        while len(facts) < count:
            self._passage += 1
            slip = slip_of(self._number, self._passage)
            said = of_passage(self._passage, plate_of(self._passage, "京L"), self._number, slip=slip)
            facts += [self._chains.seal(data, utc_now()) for data in said]
        return self._message(facts)

    def alarm(self, detail: str) -> tuple[str, bytes]:
        told = Alarm(code=AlarmCode.OVERSTAY, detail=detail, zh="标记", en="mark")
        facts = [*self._first, self._chains.seal(told, utc_now(), Stream.ALARM)]
        self._first = []
        return self._message(facts)

    def _message(self, facts: Sequence[Fact]) -> tuple[str, bytes]:
        (run_,) = runs(facts)
        last = facts[-1]
        said = self._chains.checkpoint(last.stream, last.time)
        signed = self._chains.signer.sign(Context.CHECKPOINT, to_json(said).decode())
        return Topics(SITE).facts(self._name, last.stream), pack(run_, signed, time=last.time)


def _part(folder: Path, port: int) -> ConsolePart:
    return ConsolePart(port=port, shown_file=folder / "shown.sqlite", live_folder=folder / "live")


def _config(folder: Path, place: Path | PostgresPlace) -> HubConfig:
    """As a hub's config reads; only the console's part of it is used."""
    return HubConfig(
        site=SITE,
        file=folder / "hub.toml",
        archive=place,
        backup_interval_s=86_400.0,
        blobs=BlobsPart(folder=folder / "blobs", limits=BlobLimits()),
        sync=SyncPart(
            host="127.0.0.1",
            port=1883,
            key_file=folder / "hub.key",
            key_statements_file=None,
            scopes=(SCOPE,),
            poll_s=1.0,
            head_every_s=60.0,
            username="",
            password_file=None,
            ca_file=None,
            certificate_file=None,
            tls_key_file=None,
            allow_plaintext=False,
            allow_plaintext_outside_loopback=False,
            keepalive_s=10,
            reconnect_longest_s=15.0,
        ),
        records=RecordsPart(
            snapshot_folder=folder / "snapshots",
            snapshot_from=20_000,
            snapshot_bytes_per_s=8_000_000,
            keep_days={},
            retire_every_s=3600.0,
            device_scopes={},
        ),
        private_key=make_private(),
    )
