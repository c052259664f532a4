"""Programs under a service manager: ready, alive, stopping; a hung one is seen, says where, comes back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.runtime import log as edge_log
from edge.runtime import service as edge_service
from sync.hub import service as hub_service
from sync.hub import wiring as hub_wiring
from tests.system.conftest import ROOT, LaneSite, Launcher, kakou, until

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")]

UNITS = ROOT / "packaging" / "systemd"
BOTH = pytest.mark.parametrize("module", [edge_service, hub_service], ids=["edge", "hub"])


@dataclass
class Manager:
    """The manager's end of the notification socket."""

    path: str
    term_s: float = 1.0
    said: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        self.socket.settimeout(0.05)

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(self.term_s * 1e6))}

    def listen(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            with contextlib.suppress(TimeoutError):
                for word in self.socket.recv(65_536).decode().split("\n"):
                    self.said.append((time.monotonic(), word))

    def hears(self, word: str, within_s: float = 40.0) -> None:
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            self.listen(0.06)
            if any(said == word for _, said in self.said):
                return
        raise AssertionError(f"not within {within_s} s: {word}; heard {self.words()}")

    def words(self) -> list[str]:
        return [word for _, word in self.said]

    def silence_s(self) -> float:
        """Since the last sign of life."""
        return time.monotonic() - max(at_s for at_s, word in self.said if word in ("WATCHDOG=1", "READY=1"))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    with made.socket:
        yield made


# --- the words ----------------------------------------------------------------------------------------------


@BOTH
def test_it_says_ready_alive_and_stopping(module: Any, manager: Manager) -> None:
    service = module.Service.of(manager.environment)
    service.ready("lane  in-1\nlistens")
    service.alive()
    service.stopping()
    service.close()
    manager.listen(0.2)
    assert manager.words() == ["READY=1", "STATUS=lane in-1 listens", "WATCHDOG=1", "STOPPING=1"]


@BOTH
def test_it_speaks_to_an_abstract_address_too(module: Any, tmp_path: Path) -> None:
    manager = Manager(f"@kakou-test-{os.getpid()}-{tmp_path.name}")
    with manager.socket:
        service = module.Service.of(manager.environment)
        service.ready()
        service.close()
        manager.listen(0.1)
    assert manager.words() == ["READY=1"]


@BOTH
def test_it_is_fed_four_times_in_a_term_however_often_it_is_called(module: Any, manager: Manager) -> None:
    service = module.Service.of(manager.environment)
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s:
        service.alive()
        time.sleep(0.005)
    manager.listen(0.1)
    service.close()
    assert 4 <= manager.words().count("WATCHDOG=1") <= 5


@BOTH
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "soon"},
    ],
)
def test_without_a_manager_every_word_is_nothing(module: Any, environment: dict[str, str]) -> None:
    service = module.Service.of(environment)
    service.ready("x")
    service.alive()
    service.stopping()
    service.status("y")
    service.close()
    service.alive()
    assert service._socket is None


@BOTH
def test_a_watchdog_meant_for_another_process_is_not_fed(module: Any, manager: Manager) -> None:
    service = module.Service.of({**manager.environment, "WATCHDOG_PID": str(os.getpid() + 1)})
    service.alive()
    service.close()
    manager.listen(0.1)
    assert manager.words() == []


@BOTH
def test_a_manager_that_does_not_listen_makes_nobody_wait(module: Any, manager: Manager) -> None:
    service = module.Service.of({**manager.environment, "WATCHDOG_USEC": "1"})
    began_s = time.monotonic()
    for _ in range(5_000):
        service.alive()
    assert time.monotonic() - began_s < 2.0
    service.close()


# --- real programs ------------------------------------------------------------------------------------------


def test_a_lane_is_ready_when_it_listens_alive_while_it_turns_and_says_when_it_ends(
    lane_site: LaneSite, manager: Manager, launch: Launcher
) -> None:
    lane = launch(kakou("gate", str(lane_site.config)), env=manager.environment)
    manager.hears("READY=1")
    until(lambda: lane.logged("lane is listening"), "the lane listens")
    manager.listen(2.0)
    lane.process.terminate()
    manager.hears("STOPPING=1")
    assert lane.ended() == 0
    words = manager.words()
    assert words[0] == "READY=1"
    assert words[1] == "STATUS=lane lane-in-1 listens"
    assert words.count("WATCHDOG=1") >= 6


def test_a_lane_that_refuses_to_start_never_says_ready(
    lane_site: LaneSite, manager: Manager, launch: Launcher
) -> None:
    lane_site.change(("[timing]\n", "[timing]\nreading_ss = 3\n"))
    lane = launch(kakou("gate", str(lane_site.config)), env=manager.environment)
    assert lane.ended() == 2
    manager.listen(0.1)
    assert manager.words() == []


def test_a_hub_is_ready_alive_and_says_when_it_ends(
    lane_site: LaneSite, manager: Manager, launch: Launcher
) -> None:
    hub = launch(kakou("hub", str(lane_site.site.hub_config)), env=manager.environment)
    manager.hears("READY=1")
    manager.listen(1.5)
    hub.process.terminate()
    manager.hears("STOPPING=1")
    assert hub.ended() == 0
    assert manager.words().count("WATCHDOG=1") >= 4


HANGING = """
import sys, threading
from pathlib import Path
from edge.gate import starting, wiring
step, told = wiring.step, []
def hang(lane, at_s, event):
    told.append(event)
    if len(told) == 40:
        threading.Event().wait()
    return step(lane, at_s, event)
wiring.step = hang
sys.exit(starting.main(Path(sys.argv[1])))
"""
"""The lane program itself, with a fault: its fortieth event never ends. All its other threads go on."""


def test_a_lane_that_hangs_is_seen_says_where_and_comes_back(
    lane_site: LaneSite, manager: Manager, launch: Launcher
) -> None:
    """As the manager does it: no sign of life for a term, SIGABRT, and a start from the beginning."""
    lane_site.start_sims()
    hung = launch((sys.executable, "-c", HANGING, str(lane_site.config)), env=manager.environment)
    manager.hears("READY=1")
    until_s = time.monotonic() + 30.0
    while manager.silence_s() < manager.term_s and time.monotonic() < until_s:
        manager.listen(0.05)
    assert manager.silence_s() >= manager.term_s
    assert hung.running
    hung.process.send_signal(signal.SIGABRT)
    assert hung.ended() == -signal.SIGABRT
    assert "in hang" in hung.complained()
    assert "in next" not in hung.complained().split("Current thread")[-1].split("Thread 0x")[0]

    manager.said.clear()
    again = launch(kakou("gate", str(lane_site.config)), env=manager.environment)
    manager.hears("READY=1")
    manager.listen(2.5)
    assert again.running
    assert manager.silence_s() < manager.term_s
    assert [fact["boot_id"] for fact in lane_site.facts("lane_started")] != []
    assert len(lane_site.facts("lane_started")) == 2
    assert lane_site.raise_pulses() == 0


# --- the journal of the system ------------------------------------------------------------------------------


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    import logging

    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            handler.close()
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def journal_of(path: Path) -> str:
    there = path.stat()
    return f"{there.st_dev}:{there.st_ino}"


@pytest.mark.usefixtures("_logs_as_before")
def test_lines_of_a_lane_for_the_journal_carry_their_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", journal_of(tmp_path / "journal"))
        writer = edge_log.set_up_log("debug", stream=stream)
        said = structlog.get_logger("ports")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(said, level)("port\nlost", why="unplugged", password="x")
        writer.close()
        stream.seek(0)
        lines = stream.read().splitlines()
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    told = [json.loads(line[3:]) for line in lines]
    assert {line["event"] for line in told} == {"port\nlost"}
    assert [key for key in told[0] if key == "time"] == []
    assert told[0]["password"] == edge_log.HIDDEN


@pytest.mark.usefixtures("_logs_as_before")
def test_lines_of_a_hub_for_the_journal_carry_their_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        monkeypatch.setenv("JOURNAL_STREAM", journal_of(tmp_path / "journal"))
        hub_wiring.set_up_log("info", stream)
        structlog.get_logger("sync.hub").error("archive fails", why="disk")
        stream.seek(0)
        (line,) = stream.read().splitlines()
    assert line[:3] == "<3>"
    assert json.loads(line[3:])["event"] == "archive fails"


@pytest.mark.parametrize("variable", ["", "1:1", "x", ":"])
@pytest.mark.usefixtures("_logs_as_before")
def test_a_stream_that_is_not_the_journals_is_written_without_priorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Inherited from the shell or program that started it, the variable means another's stderr."""
    monkeypatch.setenv("JOURNAL_STREAM", variable)
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    with (tmp_path / "file").open("w+", encoding="utf-8") as stream:
        writer = edge_log.set_up_log("info", stream=stream)
        structlog.get_logger("x").info("hello")
        writer.close()
        stream.seek(0)
        assert stream.read().startswith("{")
    memory = io.StringIO()
    hub_wiring.set_up_log("info", memory)
    structlog.get_logger("x").info("hello")
    assert memory.getvalue().startswith("{")


# --- the unit files -----------------------------------------------------------------------------------------


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """Section -> key -> values, in order."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(section, {}).setdefault(key, []).append(value)
    return found


NAMES = ["kakou-gate@.service", "kakou-xray@.service", "kakou-hub.service", "kakou-hub@.service"]


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_starts_again_watches_and_shuts_in(name: str) -> None:
    service = unit(name)["Service"]
    wanted = {
        "Type": "notify", "NotifyAccess": "main", "Restart": "always", "RestartPreventExitStatus": "2",
        "User": "kakou", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
        "CapabilityBoundingSet": "", "UMask": "0077", "MemoryDenyWriteExecute": "yes", "LimitCORE": "0",
    }  # fmt: skip
    assert {key: service.get(key, ["missing"])[0] for key in wanted} == wanted
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert unit(name)["Install"]["WantedBy"] == ["multi-user.target"]
    assert int(service["WatchdogSec"][0]) >= 10
    command = service["ExecStart"][0].split()
    assert command[0].endswith("/kakou")
    assert command[1] in ("gate", "xray", "hub")


def test_a_lane_may_ask_how_far_its_clock_is_off_and_use_its_ports() -> None:
    """Forbidden the question, it would hold every vehicle (S10): seen with ProtectClock=yes."""
    service = unit(NAMES[0])["Service"]
    assert "ProtectClock" not in service
    allowed: set[str] = set()
    for value in service["SystemCallFilter"]:
        allowed = allowed - set(value[1:].split()) if value.startswith("~") else allowed | set(value.split())
    assert allowed >= {"@system-service", "adjtimex", "clock_adjtime"}
    assert service["ProcSubset"] == ["all"]
    assert "dialout" in service["SupplementaryGroups"][0].split()
    assert {"char-ttyUSB rw", "char-ttyACM rw", "char-ttyS rw"} <= set(service["DeviceAllow"])
    assert "PrivateDevices" not in service


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
LATER = ("RestartSteps", "RestartMaxDelaySec")
"""Keys of systemd 254, told by an older one as unknown and left out."""


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_itself_has_nothing_against_a_unit(tmp_path: Path, name: str) -> None:
    program = tmp_path / "kakou"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (UNITS / name).read_text(encoding="utf-8").replace("/opt/kakou/.venv/bin/kakou", str(program))
    (tmp_path / name).write_text(text, encoding="utf-8")
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = [line for line in (ended.stdout + ended.stderr).splitlines() if name.split(".")[0] in line]
    assert [line for line in said if not any(key in line for key in LATER)] == []


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_calls_a_unit_little_exposed(tmp_path: Path, name: str) -> None:
    file = tmp_path / name.replace("@", "@lane-in-1")
    shutil.copy(UNITS / name, file)
    ended = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(file)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-300:] + ended.stderr


def test_the_guide_names_the_units_that_are_there() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [each.name for each in sorted(UNITS.iterdir()) if each.name not in guide] == []


def test_the_users_groups_are_those_of_the_units() -> None:
    text = (UNITS / "kakou.sysusers.conf").read_text(encoding="utf-8")
    groups = {line.split()[2] for line in text.splitlines() if line.startswith("m ")}
    assert groups == set(unit(NAMES[0])["Service"]["SupplementaryGroups"][0].split())
