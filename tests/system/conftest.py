"""Real programs for system tests: a demo run to its end, one lane with its devices, a broker.

They are started as a person would start them, watched from outside, and never outlive their test.

Two whole sites side by side would only measure the machine: `SiteRuns` runs them one after the other.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from hardware_sims.cast import LANE_IN, SCOPE
from hardware_sims.site import Site, write_site
from sync.hub.archive import Archive
from sync.hub.importing import import_files
from sync.link.messages import Change, FeedBatch
from sync.store.journal import Journal
from sync.store.records import Records, new_generation

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 40.0
"""For what takes a second on an idle machine."""
SPEED = 20.0
MARK = "KAKOU_TEST_MARK"

T = TypeVar("T")


def kakou(*args: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "edge.cli", *args)


def until(found: Callable[[], T | None], what: str, within_s: float = WAIT_S) -> T:
    """The first answer that is neither None nor false."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {what}")


# --- programs that leave nothing behind -------------------------------------------------------------------


@dataclass
class Started:
    """One program and whatever it starts, told apart from all others by a mark in their environment."""

    process: subprocess.Popen[bytes]
    mark: str
    out: Path
    errors: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.out.read_text(encoding="utf-8", errors="replace")

    def complained(self) -> str:
        return self.errors.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """What it printed as JSON lines; a line still being written is left out."""
        return [json.loads(line) for line in self.said().splitlines(keepends=True) if line.endswith("\n")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Lines of its log that tell of this event."""
        found = []
        for line in self.complained().splitlines():
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if told.get("event") == event:
                    found.append(told)
        return found

    def family(self) -> list[psutil.Process]:
        """Every process that carries the mark, dead ones waiting for their parent apart."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def children(self, program: str) -> list[psutil.Process]:
        """Its running descendants whose command line has these words."""
        return [each for each in self.family() if each.pid != self.process.pid and program in _words(each)]

    def ended(self, within_s: float = WAIT_S) -> int:
        return self.process.wait(within_s)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@dataclass
class Launcher:
    """Starts programs; at the end of the test those still running are killed, their children too."""

    folder: Path
    started: list[Started] = field(default_factory=list)

    def __call__(self, command: Sequence[str], **popen: Any) -> Started:
        mark = secrets.token_hex(8)
        place = self.folder / f"{len(self.started)}"
        place.mkdir(parents=True)
        environment = {**os.environ, MARK: mark, "PYTHONUNBUFFERED": "1", **popen.pop("env", {})}
        # Programs that are started again and again are compiled once, as on any machine.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (place / "out").open("wb") as out, (place / "errors").open("wb") as errors:
            popen = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": errors, **popen}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, **popen)
        started = Started(process, mark, place / "out", place / "errors")
        self.started.append(started)
        return started

    def run(self, command: Sequence[str], within_s: float = WAIT_S) -> Started:
        """To its end."""
        started = self(command)
        started.ended(within_s)
        return started

    def end(self) -> None:
        for started in self.started:
            for process in started.family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            started.process.wait(10)
            for pipe in (started.process.stdin, started.process.stdout, started.process.stderr):
                if pipe is not None:
                    pipe.close()


@contextlib.contextmanager
def launching(folder: Path) -> Iterator[Launcher]:
    launcher = Launcher(folder)
    try:
        yield launcher
    finally:
        launcher.end()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    with launching(tmp_path / "programs") as launcher:
        yield launcher


# --- brokers ----------------------------------------------------------------------------------------------


def mosquitto() -> str:
    """Where mosquitto is, or the test is skipped."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed")
    return found


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


# --- a whole demo -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DemoRun:
    """A demo that has ended."""

    code: int
    folder: Path
    lines: list[dict[str, Any]]
    errors: str
    left: list[str]
    """Command lines of what it left running."""

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def cases(self) -> dict[str, str]:
        """Vehicle -> case."""
        found: dict[str, str] = json.loads((self.folder / "cast.json").read_text(encoding="utf-8"))
        return found

    def physics(self, kind: str) -> list[dict[str, Any]]:
        text = (self.folder / "physics.jsonl").read_text(encoding="utf-8")
        return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]

    def facts(self, kind: str = "%") -> list[dict[str, Any]]:
        """At the hub: the data of each fact of this kind, with its lane and time, in the lanes' own order."""
        rows = _rows(
            self.folder / "data" / "hub" / "archive.sqlite",
            "SELECT device, body FROM facts WHERE kind LIKE ? ORDER BY device, position",
            kind,
        )
        found = []
        for device, body in rows:
            fact = json.loads(body)
            found.append({"lane": device, "time": fact["time"], **fact["data"]})
        return found

    def uses(self, lane: str) -> list[tuple[int, str, str]]:
        """(passage, slip, state) in the lane's own journal."""
        journal = self.folder / "data" / lane / "journal.sqlite"
        return _rows(journal, "SELECT passage, slip_no, state FROM uses ORDER BY use_id")

    def unreconciled(self) -> list[dict[str, Any]]:
        return [row for row in self.told("reconciliation") if not row["ok"]]


@dataclass(frozen=True)
class SiteRuns:
    """Whole sites, one after the other, whichever worker asks; a run several tests look at is made once."""

    folder: Path
    """The same for all workers."""

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with (self.folder / "site.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def demo(self, name: str, *options: str, within_s: float = 280.0) -> DemoRun:
        """`kakou demo --json` to its end; by this name, the first time it is asked for."""
        folder, ended = self.folder / name, self.folder / name / "ended.json"
        with self.alone():
            if not ended.exists():
                code, left = _run_demo(folder, options, within_s)
                ended.write_text(json.dumps([code, left]), encoding="utf-8")
        code, left = json.loads(ended.read_text(encoding="utf-8"))
        out, errors = folder / "programs" / "0" / "out", folder / "programs" / "0" / "errors"
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        return DemoRun(code, folder / "site", lines, errors.read_text(encoding="utf-8"), left)


def _run_demo(folder: Path, options: Sequence[str], within_s: float) -> tuple[int, list[str]]:
    """Exit code, and the command lines of what it left running."""
    line = () if "--parcels" in options else ("--parcels", "0")
    command = kakou(
        "demo", "--speed", f"{SPEED:g}", "--json", "--folder", str(folder / "site"), *line, *options
    )
    with launching(folder / "programs") as launch:
        demo = launch.run(command, within_s)
        return demo.process.returncode, [_words(each) for each in demo.family()]


@pytest.fixture(scope="session")
def site_runs(tmp_path_factory: pytest.TempPathFactory) -> SiteRuns:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site-runs"
    folder.mkdir(exist_ok=True)
    return SiteRuns(folder)


def _rows(database: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)) as connection:
        return connection.execute(sql, values).fetchall()


def _utc(ago_s: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- one lane, its devices, no centre ---------------------------------------------------------------------


@dataclass
class LaneSite:
    """One lane of a written site: simulated devices that wait for `go`, and the lane program when asked for.

    No hub and no broker, unless a test starts one: what the lane decides is read in its journal, what the arm
    did in the simulators' own log.
    """

    site: Site
    launch: Launcher
    config: Path
    data: Path
    lane: str = LANE_IN
    sims: Started | None = None

    @classmethod
    def written(
        cls,
        folder: Path,
        launch: Launcher,
        *,
        vehicles: int = 1,
        speed: float = SPEED,
        console: int | None = None,
    ) -> LaneSite:
        """One ordinary vehicle comes, with everything in order: a healthy lane lets it through."""
        site = write_site(folder, seed=7, vehicles=vehicles, speed=speed, console=console)
        return cls(site, launch, site.lane_config(LANE_IN), site.lane_data(LANE_IN))

    def apart(self, folder: Path) -> LaneSite:
        """The same devices, but a config and a data folder of one's own."""
        (folder / "data").mkdir()
        config = self.config.with_name(f"{folder.name}.toml")
        text = self.config.read_text(encoding="utf-8")
        config.write_text(text.replace(f"../data/{self.lane}", str(folder / "data")), encoding="utf-8")
        return replace(self, config=config, data=folder / "data")

    @property
    def journal(self) -> Path:
        return self.data / "journal.sqlite"

    def change(self, *changes: tuple[str, str]) -> None:
        """Edit the lane's config: each text must stand there once."""
        text = self.config.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the config"
            text = text.replace(old, new)
        self.config.write_text(text, encoding="utf-8")

    def start_sims(self) -> None:
        command = (
            sys.executable, "-m", "hardware_sims", "serve", str(self.site.scenario_file), "--folder",
            str(self.site.folder), "--speed", f"{self.site.speed:g}", "--hold", "--json",
        )  # fmt: skip
        self.sims = sims = self.launch(command, stdin=subprocess.PIPE)
        until(lambda: any(line["event"] == "READY" for line in sims.lines()), "the devices are ready")

    def go(self) -> None:
        """The vehicle comes."""
        self.tell("go")

    def vanish(self, device: str, *, gone: bool) -> None:
        """The device's port, as when a plug is pulled."""
        self.tell(f"fault {self.lane} {device} vanish {'on' if gone else 'off'}")
        self.happened("fault", device=device, on=gone)

    def tell(self, command: str) -> None:
        """To the simulators."""
        assert self.sims is not None
        assert self.sims.process.stdin is not None
        self.sims.process.stdin.write(f"{command}\n".encode())
        self.sims.process.stdin.flush()

    def start_lane(self) -> Started:
        """Until it listens."""
        lane = self.launch_lane()
        until(lambda: lane.logged("lane is listening") or not lane.running, "the lane listens")
        assert lane.running, lane.complained()
        return lane

    def launch_lane(self) -> Started:
        return self.launch(kakou("gate", str(self.config)))

    def give_records(self, age_s: float | None = 0.0, *, without: str = "") -> Path:
        """What the link would have brought: the site's records, proved equal so long ago, or never.

        `without`: a collection that is left out.
        """
        archive = Archive.open(self.site.folder / "import.sqlite")
        now = _utc(0.0)
        import_files(archive, SCOPE, [file for file in self.site.record_files() if file.stem != without], now)
        archive.close()
        log = _rows(
            self.site.folder / "import.sqlite",
            "SELECT epoch, number, collection, key, op, body FROM log WHERE scope = ? ORDER BY number",
            SCOPE,
        )
        changes = tuple(Change(*row[1:]) for row in log)
        folder = self.data
        with Journal.open(self.journal, device=self.lane) as journal:
            path = new_generation(folder, 1, SCOPE, log[0][0])
            with Records.open(path, writable=True) as records:
                records.apply(FeedBatch(SCOPE, log[0][0], 1, len(changes), changes))
                if age_s is not None:
                    records.note_verified(_utc(age_s))
            journal.set_generation(1)
        return path

    def facts(self, kind: str) -> list[dict[str, Any]]:
        """In the journal, oldest first."""
        if not self.journal.exists():
            return []
        rows = _rows(self.journal, "SELECT body FROM facts WHERE kind = ? ORDER BY position", kind)
        return [json.loads(body)["data"] for (body,) in rows]

    def fact(self, kind: str, **values: Any) -> dict[str, Any]:
        """The first such fact, waited for."""

        def found() -> dict[str, Any] | None:
            return next((f for f in self.facts(kind) if values.items() <= f.items()), None)

        return until(found, f"{kind} {values} in the journal")

    def physics(self, kind: str, **values: Any) -> list[dict[str, Any]]:
        log = self.site.physics_log
        if not log.exists():
            return []
        lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line[-1] == "\n"]
        here = {"kind": kind, "lane": self.lane, **values}
        return [line for line in lines if here.items() <= line.items()]

    def happened(self, kind: str, **values: Any) -> dict[str, Any]:
        """The first such line of the simulators' log, waited for."""
        return until(lambda: self.physics(kind, **values), f"{kind} {values} in the lane")[0]

    def raise_pulses(self) -> int:
        """How often the board was told to raise the arm."""
        return len(self.physics("relay_pulse", name="open"))


@pytest.fixture
def lane_site(tmp_path: Path, launch: Launcher) -> LaneSite:
    return LaneSite.written(tmp_path / "site", launch)


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C as a terminal sends it: to every process of the group in the foreground."""
    os.killpg(process.pid, signal.SIGINT)
