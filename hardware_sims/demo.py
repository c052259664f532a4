"""A whole simulated site through the real programs: start, watch, break the broker, reconcile, stop.

Every program is a process of its own and cannot tell that its devices are simulated. This file starts them
and looks at what they leave behind: the simulators' log and the hub's archive. It decides nothing for them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hardware_sims.cast import SCOPE
from hardware_sims.centre_cast import CENTRE_OFFICERS
from hardware_sims.goods import OFFICERS, PINS
from hardware_sims.processes import Child, python, run_to_end
from hardware_sims.site import HANDHELD, LANES, MANUAL_STEPS_S, Site, console_port, new_folder, write_site
from hardware_sims.xray_cast import OFFICERS as XRAY_OFFICERS
from hardware_sims.xray_cast import PINS as XRAY_PINS
from hardware_sims.xray_cast import STATION
from hardware_sims.xray_officer import ScriptedOfficer
from hardware_sims.xray_references import known_goods, write_references
from hardware_sims.xray_site import DESKS, XraySite

READY_WITHIN_S = 90.0
DRAIN_WITHIN_S = 90.0
SHOWN_PASSAGES = 16
AROUND_THE_TABLE = 14
"""Rows of a terminal that header, progress and notes take."""
WIDE = 120
"""Columns of a terminal from which slips and stages find room beside the reasons."""
BROKERS = ("amqtt", "mosquitto")
PARCELS = 40
"""Over the X-ray line, where nobody says how many."""
KILLED_AT_WORK = 0.8
"""Share of the kills that wait until a program has come up; the others may hit it while it starts."""

BELT = "belt-sims"
"""The process that plays the X-ray line."""
MOST_PARCELS = 5
"""Rows of the live table for the X-ray line."""
_SAYS_WHEN_UP = {
    "hub": b"hub ready",
    STATION: b"station is listening",
    **dict.fromkeys(LANES, b"lane is listening"),
}
_COLOURS = {"release": "green", "inspect": "yellow", "hold": "red"}
_VERDICTS = {"release": "放行 release", "inspect": "查验 inspect", "hold": "等待 hold"}
_XRAY_COLOURS = {"passed": "green", "flagged": "yellow", "recheck": "magenta"}
_XRAY_VERDICTS = {"passed": "通过 passed", "flagged": "异常 flagged", "recheck": "复检 recheck"}


@dataclass(slots=True)
class Row:
    """One passage as the table shows it."""

    lane: str
    passage: int
    plate: str = ""
    slips: tuple[str, ...] = ()
    verdict: str = ""
    codes: tuple[str, ...] = ()
    zh: str = ""
    en: str = ""
    claim: str = ""
    outcome: str = ""
    lane_s: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    rulings: int = 0
    gated: bool = True
    inspected: bool = False


@dataclass(slots=True)
class ParcelRow:
    """One parcel of the X-ray line as the table shows it."""

    parcel: int
    waybill_no: str = ""
    association: str = ""
    verdict: str = ""
    by: str = ""
    officer: str = ""
    reasons: tuple[str, ...] = ()
    outcome: str = ""
    """How it ended: passed, flagged, recheck, or gone."""
    seen: str = ""


class Watch:
    """Reads the hub's archive as it grows. Never writes, never holds it up."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._devices = tuple(site.facts_from)
        self.parcels: dict[int, ParcelRow] = {}
        self._positions: dict[str, int] = {}
        self.rows: dict[tuple[str, int], Row] = {}
        self.alarms: deque[str] = deque(maxlen=6)
        self.alarm_count = 0
        self.facts = 0

    @contextlib.contextmanager
    def _archive(self) -> Iterator[sqlite3.Connection | None]:
        try:
            connection = sqlite3.connect(f"file:{self._site.archive}?mode=ro", uri=True, timeout=2.0)
        except sqlite3.Error:
            yield None
            return
        try:
            yield connection
        finally:
            connection.close()

    def look(self) -> None:
        with self._archive() as archive:
            if archive is None:
                return
            for lane in self._devices:
                after = self._positions.get(lane, 0)
                try:
                    found = archive.execute(
                        "SELECT position, body FROM facts WHERE device = ? AND position > ? "
                        "ORDER BY position",
                        (lane, after),
                    ).fetchall()
                except sqlite3.Error:
                    return
                for position, body in found:
                    if position != self._positions.get(lane, 0) + 1:
                        break
                    self._positions[lane] = position
                    self.facts += 1
                    self._take(lane, json.loads(body)["data"])

    def _row(self, lane: str, data: dict[str, Any]) -> Row:
        number = data["passage"]
        return self.rows.setdefault((lane, number), Row(lane, number))

    def _take(self, lane: str, data: dict[str, Any]) -> None:
        match data["type"]:
            case "passage_opened":
                self._row(lane, data).gated = data.get("gated", True)
            case "ruling_made":
                row = self._row(lane, data)
                ruling = data["ruling"]
                row.rulings += 1
                row.plate = data.get("plate") or row.plate
                row.slips = tuple(data.get("slips", ()))
                row.verdict = ruling["verdict"]
                row.codes = tuple(because["code"] for because in ruling["reasons"])
                row.zh, row.en = " / ".join(data["texts_zh"]), " / ".join(data["texts_en"])
                row.claim = data.get("claim", "")
                row.stages = data.get("stage_s", {})
            case "passage_closed":
                row = self._row(lane, data)
                row.outcome, row.lane_s = data["outcome"], data["lane_s"]
                row.stages = data.get("stage_s") or row.stages
            case "parcel_seen":
                self._parcel(data).waybill_no = data.get("waybill_no") or ""
            case "parcel_x_rayed":
                parcel = self._parcel(data)
                parcel.verdict, parcel.by = data["verdict"], data["by"]
                parcel.association = data.get("association") or ""
                parcel.officer = data.get("officer") or ""
                parcel.reasons = tuple(data.get("reasons", ()))
            case "parcel_sorted":
                parcel = self._parcel(data)
                parcel.outcome, parcel.seen = data["verdict"], data.get("seen") or ""
            case "parcel_gone":
                self._parcel(data).outcome = "gone"
            case "alarm":
                self.alarm_count += 1
                self.alarms.append(f"{lane}  {data['zh']} / {data['en']}")
            case _:
                pass

    def _parcel(self, data: dict[str, Any]) -> ParcelRow:
        number = data["parcel"]
        return self.parcels.setdefault(number, ParcelRow(number))

    def statuses(self) -> dict[str, dict[str, Any]]:
        with self._archive() as archive:
            if archive is None:
                return {}
            try:
                found = archive.execute("SELECT device, body FROM statuses").fetchall()
            except sqlite3.Error:
                return {}
        return {device: json.loads(body) for device, body in found}

    def scope_number(self) -> int:
        with self._archive() as archive:
            if archive is None:
                return 0
            row = archive.execute("SELECT number FROM scopes WHERE scope = ?", (SCOPE,)).fetchone()
            return int(row[0]) if row else 0

    def stored(self, lane: str) -> int:
        with self._archive() as archive:
            if archive is None:
                return 0
            row = archive.execute("SELECT count(*) FROM facts WHERE device = ?", (lane,)).fetchone()
            return int(row[0])

    def committed(self, lane: str) -> int:
        """Facts in the lane's own journal."""
        journal = self._site.lane_data(lane) / "journal.sqlite"
        if not journal.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=2.0)) as db:
            return int(db.execute("SELECT count(*) FROM facts").fetchone()[0])


class DemoFailed(Exception):
    """The site did not come up or did not settle; the text names the program and its log."""


class Demo:
    def __init__(
        self, site: Site, *, as_json: bool, out: Console, kills: int = 0, mosquitto: str | None = None
    ) -> None:
        """`mosquitto`: that program is the broker instead of the embedded one."""
        self.site = site
        self.watch = Watch(site)
        self._as_json = as_json
        self._out = out
        self._mosquitto = mosquitto
        self._children: dict[str, Child] = {}
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._sims_idle = False
        self._belt_events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._belt_done = site.xray is None
        self._belt_to_come = 0 if site.xray is None else len(site.xray.cast.scenario.parcels)
        self._officers: list[ScriptedOfficer] = []
        self._to_come = len(site.cast.scenario.vehicles)
        self._virtual_s = 0.0
        self._story: deque[str] = deque(maxlen=5)
        self._stopping = threading.Event()
        self._begun = time.monotonic()
        self._broker_down = False
        self._draw = random.Random(f"{site.cast.scenario.seed}/kills")
        last_s = max(vehicle.arrives_s for vehicle in site.cast.scenario.vehicles) + 30.0
        self._kill_at_s = sorted(self._draw.uniform(1.0, last_s / site.speed) for _ in range(kills))
        """Seconds of the run at which a program is killed."""
        self._killed: Counter[str] = Counter()
        self._restart_at_s: dict[str, float] = {}
        self._released_s = 0.0

    # --- the programs -------------------------------------------------------------------------------------

    def _start(self, name: str, command: Sequence[str], *, talks: bool = False) -> Child:
        child = Child(name, command, self.site.folder / f"{name}.log", talks=talks)
        self._children[name] = child
        return child

    def _start_broker(self, *, wait: bool = True) -> None:
        port = self.site.broker_port
        if self._mosquitto is None:
            command = python("-m", "sync.link.broker", "--port", str(port))
        else:
            config = self.site.folder / "configs" / "mosquitto.conf"
            config.write_text(
                f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n",
                encoding="utf-8",
            )
            command = (self._mosquitto, "-c", str(config))
        self._start("broker", command)
        if wait:
            self._await(self._broker_listens, "broker", "to listen")
        self._broker_down = False

    def _start_hub(self) -> None:
        self._start("hub", python("-m", "sync.hub", str(self.site.hub_config)))

    def _start_lane(self, lane: str) -> None:
        self._start(lane, python("-m", "edge.gate", str(self.site.lane_config(lane))))

    def _start_station(self) -> None:
        if self.site.xray is not None:
            self._start(STATION, python("-m", "edge.xray_bridge", str(self.site.xray.config)))

    def _broker_listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.site.broker_port), 0.2).close()
            return True
        return False

    def _await(self, done: Any, name: str, what: str, within_s: float = READY_WITHIN_S) -> None:
        until = time.monotonic() + within_s
        while not done():
            if self._stopping.is_set():
                raise KeyboardInterrupt
            child = self._children.get(name)
            if child is not None and not child.running:
                raise DemoFailed(f"{name} ended while it was expected {what}; see {self._log_of(name)}")
            if time.monotonic() > until:
                raise DemoFailed(
                    f"{name} was expected {what} within {within_s:.0f} s; see {self._log_of(name)}"
                )
            time.sleep(0.05)

    def _log_of(self, name: str) -> Path:
        return self.site.folder / f"{name}.log"

    def start(self) -> None:
        site = self.site
        self._start_broker()
        self._start_hub()
        self._await(site.archive.exists, "hub", "to open its archive")
        self._import_records()
        self._open_accounts()
        sims = self._start(
            "sims",
            python(
                "-m", "hardware_sims", "serve", str(site.scenario_file), "--folder", str(site.folder),
                "--speed", f"{site.speed:g}", "--hold", "--json",
            ),
            talks=True,
        )  # fmt: skip
        self._listen_to(sims, self._events)
        if site.xray is not None:
            belt = self._start(
                BELT,
                python(
                    "-m", "hardware_sims", "serve", str(site.xray.scenario_file), "--folder",
                    str(site.folder), "--speed", f"{site.xray.speed:g}", "--hold", "--json",
                ),
                talks=True,
            )  # fmt: skip
            self._listen_to(belt, self._belt_events)
        self._await(lambda: (site.folder / "ports" / f"{LANES[-1]}-led").exists(), "sims", "to open ports")
        if site.warehouse is not None:
            self._set_pins(HANDHELD, OFFICERS, PINS)
        for lane in LANES:
            self._start_lane(lane)
        if site.xray is not None:
            self._stock_library(site.xray)
            self._set_pins(STATION, XRAY_OFFICERS, XRAY_PINS)
            if site.console is not None:
                pins = {each.number: each.pin for each in CENTRE_OFFICERS if each.pin}
                self._set_pins(STATION, tuple(pins), pins)
            self._start_station()
        number = self.watch.scope_number()
        for device in site.facts_from:
            self._await(lambda device=device: self._lane_is_up(device, number), device, "to have the records")
        if site.xray is not None:
            self._await(self._belt_is_up, BELT, "to have drawn its parcels")
            self._seat_officers()

    def _listen_to(self, sims: Child, events: queue.Queue[dict[str, Any]]) -> None:
        threading.Thread(target=self._hear, args=(sims, events), name=sims.name, daemon=True).start()

    def _belt_is_up(self) -> bool:
        return any(event["event"] == "READY" for event in self._heard(self._belt_events))

    def _seat_officers(self) -> None:
        line = self.site.xray
        assert line is not None  # noqa: S101  asked by the caller
        for officer, desk in zip(XRAY_OFFICERS, DESKS, strict=True):
            script = line.cast.judgements
            seated = ScriptedOfficer(
                line.page_port, officer, XRAY_PINS[officer], script, desk=desk, speed=line.speed
            )
            seated.start()
            self._officers.append(seated)
        self._await(
            lambda: all(each.signed_in.is_set() for each in self._officers), STATION, "to seat its officers"
        )

    def _import_records(self) -> None:
        log = self.site.folder / "import.log"
        command = python(
            "-m", "edge.cli", "records", "import", str(self.site.hub_config), "--scope", SCOPE,
            *map(str, self.site.record_files()),
        )  # fmt: skip
        with log.open("wb") as file:
            code = run_to_end(command, within_s=60.0, stopping=self._stopping, output=file)
        if self._stopping.is_set():
            raise KeyboardInterrupt
        if code != 0:
            raise DemoFailed(f"the records were not imported; see {log}")

    def _stock_library(self, line: XraySite) -> None:
        """Goods the line knows from before: its machine's own pictures of them go into the library."""
        scenario, log = line.cast.scenario, self.site.folder / "references.log"
        write_references(
            line.references,
            known_goods(line.cast),
            detector=scenario.detector,
            seed=scenario.seed,
            unix_s=time.time(),
        )
        command = python(
            "-m", "edge.cli", "references", "import", str(line.config), str(line.references), "--officer",
            XRAY_OFFICERS[0], "--json",
        )  # fmt: skip
        with log.open("wb") as file:
            code = run_to_end(command, within_s=120.0, stopping=self._stopping, output=file)
        if self._stopping.is_set():
            raise KeyboardInterrupt
        if code != 0:
            raise DemoFailed(f"the references were not taken; see {log}")

    def _open_accounts(self) -> None:
        """Who sits at the centre: at the hub's own console."""
        if self.site.console is None:
            return
        for officer in CENTRE_OFFICERS:
            roles = (word for role in officer.roles for word in ("--role", role))
            self._ask_centre(
                "console-account", officer.number, *roles, "--confirm", "--by", "ZZ9001",
                secret=officer.password, what=f"the account of {officer.number} was not made",
            )  # fmt: skip
        self._await(self._console_answers, "hub", "to serve its console")

    def _console_answers(self) -> bool:
        asked = HTTPConnection("127.0.0.1", self.site.console_port, timeout=1.0)
        with contextlib.suppress(OSError, HTTPException), contextlib.closing(asked):
            asked.request("GET", "/healthz")
            return asked.getresponse().status == HTTPStatus.OK
        return False

    def _set_pins(self, device: str, officers: Sequence[str], pins: dict[str, str]) -> None:
        """At the centre, as anywhere: what goes down proves a PIN to that device alone."""
        for officer in officers:
            self._ask_centre(
                "officer-pin", officer, "--officer", "ZZ9001", "--reason", "demo", "--device", device,
                "--new-key", secret=pins[officer], what=f"the PIN of {officer} was not set",
            )  # fmt: skip

    def _ask_centre(self, command: str, *more: str, secret: str, what: str) -> None:
        """`kakou centre`, with one secret on its stdin. Raises `DemoFailed`."""
        log = self.site.folder / "centre.log"
        with log.open("ab") as file:
            done = subprocess.run(
                python("-m", "edge.cli", "centre", command, str(self.site.hub_config), *more),
                input=secret + "\n", text=True, stdout=file, stderr=file, check=False, timeout=60.0,
            )  # fmt: skip
        if done.returncode != 0:
            raise DemoFailed(f"{what}; see {log}")

    def run_handheld(self) -> None:
        """The officer's app in a window of its own, until it is closed."""
        numbers = ", ".join(f"{officer} PIN {PINS[officer]}" for officer in OFFICERS)
        scan = (
            ", ".join(
                next(each.waybill_no for each in self.site.warehouse.parcels if each.case == case)
                for case in ("ordinary", "control", "recalled", "x_ray_flagged")
            )
            if self.site.warehouse is not None
            else ""
        )
        self._tell(
            f"手持终端登录 / sign in on the handheld: {numbers}", event="handheld", officers=dict(PINS)
        )
        if not self._as_json:
            self._out.print(f"[bold]登录 sign in[/]  {numbers}", highlight=False)
            self._out.print(f"[bold]可扫 to scan[/]  {scan}", highlight=False)
        app = self._start(HANDHELD, python("-m", "edge.handheld", str(self.site.handheld_config)))
        self._go()
        while app.running and not self._stopping.is_set():
            # Traffic goes on behind the officer's back: nobody waits for a pause to be over.
            if any(event["event"] == "PAUSED" for event in self._heard()):
                self._children["sims"].tell("go")
            self._look_after_programs(beside=HANDHELD)
            time.sleep(0.2)
        code = app.process.returncode
        self._children.pop(HANDHELD).stop()
        if code not in (0, None) and not self._stopping.is_set():
            raise DemoFailed(f"the handheld ended with {code}; see {self._log_of(HANDHELD)}")

    def _lane_is_up(self, lane: str, number: int) -> bool:
        status = self.watch.statuses().get(lane, {})
        self.watch.look()
        return status.get("online") is True and status.get("records", {}).get(SCOPE, 0) >= number

    def _go(self) -> None:
        for name in ("sims", BELT):
            if name in self._children:
                self._children[name].tell("go")

    def _hear(self, sims: Child, events: queue.Queue[dict[str, Any]]) -> None:
        assert sims.process.stdout is not None  # noqa: S101  started with talks=True
        for line in sims.process.stdout:
            with contextlib.suppress(ValueError):
                events.put(json.loads(line))
        events.put({"event": "GONE"})

    # --- the story ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the last vehicle and parcel have gone and everything said has arrived."""
        self._go()
        self._released_s = time.monotonic()
        pauses = 0
        paused = over = False
        with self._shown() as show:
            while not (over and self._belt_done):
                if self._stopping.is_set():
                    raise KeyboardInterrupt
                for event in self._heard():
                    match event["event"]:
                        case "IDLE":
                            self._sims_idle = True
                        case "BUSY":
                            self._sims_idle = False
                        case "PAUSED":
                            paused = True
                        case "DONE":
                            over = True
                        case "GONE":
                            raise DemoFailed(f"the simulators ended; see {self._log_of('sims')}")
                        case _:
                            pass
                    self._to_come = event.get("to_come", self._to_come)
                    self._virtual_s = event.get("t", self._virtual_s)
                self._hear_belt()
                if self._sims_idle and self._to_come == 0 and not paused:
                    over = True
                if paused and self._sims_idle:
                    paused = False
                    pauses += 1
                    self._pause(pauses)
                    self._children["sims"].tell("go")
                self._kill_some()
                self._look_after_programs()
                self.watch.look()
                show()
                time.sleep(0.02 if self._kill_at_s else 0.1)
            if self._broker_down:
                self._pause(pauses + 1)
            while self._kill_at_s or self._restart_at_s:
                if self._stopping.is_set():
                    raise KeyboardInterrupt
                self._kill_some()
                self._look_after_programs()
                time.sleep(0.02)
            self._drain(show)
            show()

    def _hear_belt(self) -> None:
        for event in self._heard(self._belt_events):
            match event["event"]:
                case "DONE":
                    self._belt_done = True
                case "GONE":
                    raise DemoFailed(f"the X-ray line's simulator ended; see {self._log_of(BELT)}")
                case _:
                    pass
            self._belt_to_come = event.get("to_come", self._belt_to_come)

    def _pause(self, number: int) -> None:
        """Both lanes are idle: the named points at which the broker dies, and comes back."""
        time.sleep(max(0.3, 4.0 / self.site.speed))
        if number == 1:
            self._children["broker"].kill()
            self._broker_down = True
            self._tell(
                "消息代理断电，车道照常 / the broker dies (kill -9); lanes keep working",
                event="broker_killed",
            )
        elif self._broker_down:
            self._start_broker()
            self._tell("消息代理恢复，补传积压 / the broker is back; the backlog drains", event="broker_back")

    def _kill_some(self) -> None:
        """`--kills`: a program dies at a random instant, and comes back a moment later."""
        now_s = time.monotonic() - self._released_s
        for name, at_s in list(self._restart_at_s.items()):
            if now_s >= at_s:
                del self._restart_at_s[name]
                match name:
                    case "broker":
                        if not self._broker_down:
                            self._start_broker(wait=False)
                    case "hub":
                        self._start_hub()
                    case _ if name == STATION:
                        self._start_station()
                    case _:
                        self._start_lane(name)
        if not self._kill_at_s or now_s < self._kill_at_s[0]:
            return
        mortal = (*self.site.facts_from, "hub", "broker")
        victims = [name for name in mortal if name in self._children and self._children[name].running]
        if self._draw.random() < KILLED_AT_WORK:
            # A program that never gets to work has little to lose.
            victims = [name for name in victims if self._is_up(name)]
        if not victims:
            return
        due_s = self._kill_at_s.pop(0)
        least = min(self._killed[name] for name in victims)
        name = self._draw.choice([name for name in victims if self._killed[name] == least])
        self._children[name].kill()
        self._killed[name] += 1
        self._restart_at_s[name] = now_s + self._draw.uniform(0.1, 1.0)
        self._tell(
            f"kill -9 {name} at {now_s:.3f} s",
            event="killed", program=name, at_s=round(now_s, 3), due_s=round(due_s, 3),
        )  # fmt: skip

    def _is_up(self, name: str) -> bool:
        return self._broker_listens() if name == "broker" else self._children[name].said(_SAYS_WHEN_UP[name])

    def _look_after_programs(self, *, beside: str = "") -> None:
        for name, child in self._children.items():
            if name == beside:
                continue
            down = name in self._restart_at_s or (name == "broker" and self._broker_down)
            if not child.running and not down:
                raise DemoFailed(f"{name} ended with {child.process.returncode}; see {self._log_of(name)}")

    def _drain(self, show: Any) -> None:
        """Everything committed is stored at the hub, and stays so for a moment."""
        until = time.monotonic() + DRAIN_WITHIN_S
        quiet_since: float | None = None
        while quiet_since is None or time.monotonic() - quiet_since < 1.0:
            if self._stopping.is_set():
                raise KeyboardInterrupt
            self.watch.look()
            show()
            counts = {
                device: (self.watch.committed(device), self.watch.stored(device))
                for device in self.site.facts_from
            }
            equal = all(committed == stored for committed, stored in counts.values())
            quiet_since = (quiet_since or time.monotonic()) if equal else None
            if time.monotonic() > until:
                late = ", ".join(
                    f"{device} {stored} of {committed}"
                    for device, (committed, stored) in counts.items()
                    if committed != stored
                )
                raise DemoFailed(f"facts did not all reach the hub within {DRAIN_WITHIN_S:.0f} s: {late}")
            time.sleep(0.1)

    def _heard(self, events: queue.Queue[dict[str, Any]] | None = None) -> Iterator[dict[str, Any]]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield (events or self._events).get_nowait()

    def _tell(self, text: str, **fields: Any) -> None:
        self._story.append(text)
        if self._as_json:
            self._print({**fields, "text": text})

    def _print(self, value: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    # --- what people see ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _shown(self) -> Iterator[Any]:
        if self._as_json:
            yield lambda: None
        elif not self._out.is_terminal:
            told: set[tuple[str, int]] = set()
            yield lambda: self._plain(told)
        else:
            with Live(self._screen(), console=self._out, refresh_per_second=4, transient=True) as live:
                yield lambda: live.update(self._screen())

    def _plain(self, told: set[tuple[str, int]]) -> None:
        for key, row in sorted(self.watch.rows.items()):
            if row.outcome and key not in told:
                told.add(key)
                self._out.print(
                    f"{row.lane} #{row.passage} {row.plate} {_VERDICTS.get(row.verdict, row.outcome)} "
                    f"{row.zh} / {row.en} [{row.outcome}]",
                    highlight=False,
                    markup=False,
                )
        for number, parcel in sorted(self.watch.parcels.items()):
            if parcel.outcome and (STATION, number) not in told:
                told.add((STATION, number))
                self._out.print(
                    f"{STATION} #{number} {parcel.waybill_no or '–'} "
                    f"{_XRAY_VERDICTS.get(parcel.outcome, parcel.outcome)} "
                    f"{', '.join(parcel.reasons)} [{parcel.seen or parcel.outcome}]",
                    highlight=False,
                    markup=False,
                )

    def _screen(self) -> Group:
        progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            expand=False,
        )
        total = len(self.site.cast.scenario.vehicles)
        progress.add_task("车辆 vehicles", total=total, completed=total - self._to_come)
        if self.site.xray is None:
            return Group(self._header(), self.table(self._rows_shown()), progress, self._notes())
        parcels = len(self.site.xray.cast.scenario.parcels)
        progress.add_task("包裹 parcels", total=parcels, completed=parcels - self._belt_to_come)
        return Group(
            self._header(),
            self.table(self._rows_shown()),
            self.parcel_table(MOST_PARCELS),
            progress,
            self._notes(),
        )

    def _rows_shown(self) -> int:
        line = 0 if self.site.xray is None else MOST_PARCELS + 5
        return max(3, min(SHOWN_PASSAGES, self._out.height - AROUND_THE_TABLE - line))

    def _header(self) -> Panel:
        broker = Text("断 DOWN", "bold white on red") if self._broker_down else Text("通 up", "bold green")
        line = Text("  消息代理 broker ")
        line.append_text(broker)
        for lane in self.site.facts_from:
            backlog = self.watch.committed(lane) - self.watch.stored(lane)
            line.append(f"   {lane} ", "bold")
            line.append(f"积压 backlog {backlog}", "yellow" if backlog > 20 else "green")
        line.append(f"   记录 facts {self.watch.facts}   告警 alarms {self.watch.alarm_count}")
        minutes = (time.monotonic() - self._begun) * self.site.speed / 60
        line.append(f"   {minutes:.1f} min × {self.site.speed:g}", "dim")
        line.append("\n  页面 pages  ", "dim")
        desks = () if self.site.xray is None else (self.site.xray.page,)
        console = () if self.site.console is None else (self.site.console,)
        line.append("   ".join((*console, *(self.site.page(lane) for lane in LANES), *desks)), "cyan")
        return Panel(line, title="卡口 kakou · 仿真场站 simulated site", border_style="cyan")

    def table(self, most: int | None = None) -> Table:
        table = Table(expand=True, header_style="bold", row_styles=("", "dim"))
        wide = self._out.width >= WIDE
        table.add_column("通道 lane", no_wrap=True)
        table.add_column("车牌 plate", no_wrap=True)
        if wide:
            table.add_column("核放单 slip", no_wrap=True)
        table.add_column("判定 ruling", no_wrap=wide, max_width=None if wide else 12)
        table.add_column("原因 reasons", ratio=3)
        table.add_column("结果 outcome", no_wrap=True)
        if wide:
            table.add_column("各段用时 s per stage", no_wrap=True)
        rows = [row for _, row in sorted(self.watch.rows.items(), key=lambda item: item[0][1])]
        for row in rows[-most:] if most else rows:
            slips = "…" + row.slips[0][-6:] if row.slips else "–"
            if len(row.slips) > 1:
                slips += f" +{len(row.slips) - 1}"
            verdict = _VERDICTS.get(row.verdict, "未放行通过 ungated" if not row.gated else "…")
            offline = " (offline)" if row.claim == "offline" else ""
            ruled = Text(verdict, _COLOURS.get(row.verdict, "magenta" if not row.gated else ""))
            why = f"{row.zh} / {row.en}{offline}" if row.zh else ""
            name, plate = f"{row.lane} #{row.passage}", row.plate or "–"
            if wide:
                table.add_row(name, plate, slips, ruled, why, row.outcome, self._stages(row))
            else:
                table.add_row(name, plate, ruled, why, row.outcome)
        return table

    def parcel_table(self, most: int | None = None) -> Table:
        """The last parcels of the X-ray line."""
        table = Table(expand=True, header_style="bold", row_styles=("", "dim"))
        table.add_column("机检 X-ray", no_wrap=True)
        table.add_column("运单 waybill", no_wrap=True)
        table.add_column("判图 verdict", no_wrap=True)
        table.add_column("依据 on what", ratio=3)
        table.add_column("去向 chute", no_wrap=True)
        rows = [row for _, row in sorted(self.watch.parcels.items())]
        for row in rows[-most:] if most else rows:
            verdict = row.outcome if row.outcome in _XRAY_VERDICTS else row.verdict
            told = Text(_XRAY_VERDICTS.get(verdict, row.outcome or "…"), _XRAY_COLOURS.get(verdict, ""))
            who = row.officer or {"machine": "自动 machine", "default": "默认 default"}.get(row.by, row.by)
            why = " · ".join(each for each in (who, row.association, ", ".join(row.reasons)) if each)
            table.add_row(f"{STATION} #{row.parcel}", row.waybill_no or "–", told, why, row.seen or "–")
        return table

    def _parcel_counts(self) -> dict[str, int]:
        ended = Counter(row.outcome for row in self.watch.parcels.values())
        return {
            "parcels": len(self.watch.parcels),
            **{name: ended[name] for name in ("passed", "flagged", "recheck", "gone")},
            "passed_by_machine": sum(
                row.outcome == "passed" and row.by == "machine" for row in self.watch.parcels.values()
            ),
        }

    def _stages(self, row: Row) -> str:
        short = {"identify": "识", "weigh": "磅", "rule": "判", "raise": "起", "cross": "过", "close": "落"}
        return " ".join(f"{short[k]}{v * self.site.speed:.0f}" for k, v in row.stages.items() if k in short)

    def _notes(self) -> Group:
        lines = [Text(f"⚠ {alarm}", "red") for alarm in self.watch.alarms]
        lines += [Text(f"• {told}", "cyan") for told in self._story]
        return Group(*lines)

    # --- the end ------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        rows = [row for _, row in sorted(self.watch.rows.items())]
        gated = [row for row in rows if row.gated]
        crossed = [
            row.lane_s * self.site.speed
            for row in gated
            if row.outcome == "crossed" and row.lane_s is not None and row.lane_s > 0
        ]
        mean_s = sum(crossed) / len(crossed) if crossed else 0.0
        manual_s = sum(seconds for _, _, seconds in MANUAL_STEPS_S)
        return {
            "event": "summary",
            "passages": len(rows),
            "released": sum(row.verdict == "release" for row in gated),
            "inspected": sum(row.verdict == "inspect" for row in gated),
            "held": sum(row.verdict == "hold" for row in gated),
            "ungated": len(rows) - len(gated),
            "facts": self.watch.facts,
            "alarms": self.watch.alarm_count,
            "lane_s_mean": round(mean_s, 1),
            "manual_s": manual_s,
            "lane_time_change_percent": round(100 * (mean_s / manual_s - 1)) if crossed else None,
            "speed": self.site.speed,
            **({} if self.site.xray is None else {"x_ray": self._parcel_counts()}),
        }

    def report(self) -> None:
        """The passages and the summary, after the programs have ended or before they are left running."""
        if self._as_json:
            for _, row in sorted(self.watch.rows.items()):
                self._print(
                    {
                        "event": "passage",
                        "lane": row.lane,
                        "passage": row.passage,
                        "plate": row.plate,
                        "slips": list(row.slips),
                        "verdict": row.verdict or ("ungated" if not row.gated else ""),
                        "codes": list(row.codes),
                        "outcome": row.outcome,
                    }
                )
            for _, parcel in sorted(self.watch.parcels.items()):
                self._print(
                    {
                        "event": "parcel",
                        "parcel": parcel.parcel,
                        "waybill_no": parcel.waybill_no,
                        "association": parcel.association,
                        "verdict": parcel.verdict,
                        "by": parcel.by,
                        "reasons": list(parcel.reasons),
                        "outcome": parcel.outcome,
                        "seen": parcel.seen,
                    }
                )
            self._print(self.summary())
            return
        if self._out.is_terminal:
            self._out.print(self._header(), self.table(), self._notes())
            if self.site.xray is not None:
                self._out.print(self.parcel_table())
        self._out.print(self._summary_table())

    def _summary_table(self) -> Table:
        told = self.summary()
        table = Table(title="小结 summary", show_header=False, title_style="bold")
        table.add_column()
        table.add_column(justify="right")
        table.add_row("放行 released", Text(str(told["released"]), "green"))
        table.add_row("查验 inspected", Text(str(told["inspected"]), "yellow"))
        table.add_row("等待 held", Text(str(told["held"]), "red"))
        table.add_row("未放行通过 ungated", Text(str(told["ungated"]), "magenta"))
        table.add_row("记录 facts · 告警 alarms", f"{told['facts']} · {told['alarms']}")
        table.add_row("平均过卡时间 mean lane time (virtual)", f"{told['lane_s_mean']:.0f} s")
        manual = " + ".join(f"{en} {seconds:.0f}" for _, en, seconds in MANUAL_STEPS_S)
        table.add_row("人工基线（假定） manual baseline, assumed", f"{told['manual_s']:.0f} s = {manual}")
        change = told["lane_time_change_percent"]
        table.add_row("变化 change", "–" if change is None else f"{change:+d} %")
        if self.site.xray is not None:
            counts = self._parcel_counts()
            told_of = f"{counts['passed']} · {counts['flagged']} · {counts['recheck']}"
            table.add_row("机检 通过·异常·复检 X-ray passed · flagged · recheck", told_of)
        if self.site.speed != 1:
            table.add_row(
                "说明 note",
                "程序自身延迟按倍速放大 the programs' own delay counts times the speed, "
                f"×{self.site.speed:g}",
            )
        return table

    def stop_programs(self) -> None:
        """Lanes first, so that their last words arrive; the physics last, so that nothing moves unseen."""
        for officer in self._officers:
            officer.stop()
        if self._officers:
            said = [
                {"officer": each.officer, "judged": each.judged, "refused": each.refused}
                for each in self._officers
            ]
            log = self.site.folder / "officers.json"
            log.write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")
            self._officers.clear()
        for name in (HANDHELD, *self.site.facts_from, "hub", "sims", BELT, "broker"):
            child = self._children.pop(name, None)
            if child is not None:
                child.stop()

    def reconcile(self) -> int:
        command = python(
            "-m", "hardware_sims", "reconcile", str(self.site.folder), *(["--json"] if self._as_json else [])
        )
        sys.stdout.flush()
        code = run_to_end(command, within_s=300.0, stopping=self._stopping)
        if self._stopping.is_set():
            raise KeyboardInterrupt
        if code is None:
            raise DemoFailed("the reconciliation took more than 300 s")
        return code

    def serve(self) -> None:
        """Leave the site running until told to stop."""
        self.say_where("serving")
        if not self._as_json:
            self._out.print("Ctrl-C 结束 ends it")
        while not self._stopping.is_set():
            self._look_after_programs()
            time.sleep(0.2)
        self._stopping.clear()

    def say_where(self, event: str) -> None:
        """What can be opened and read while the site runs, and who may sign in."""
        console = self.site.console
        said = {
            **({} if console is None else {"console": console, "console sign-ins": _sign_ins()}),
            "broker": f"mqtt://127.0.0.1:{self.site.broker_port}",
            "archive": str(self.site.archive),
            "physics": str(self.site.physics_log),
            **{f"{lane} page": self.site.page(lane) for lane in LANES},
            **{f"{lane} config": str(self.site.lane_config(lane)) for lane in LANES},
            **(
                {}
                if self.site.xray is None
                else {
                    f"{STATION} page": self.site.xray.page,
                    f"{STATION} config": str(self.site.xray.config),
                    f"{STATION} officers": ", ".join(f"{who} PIN {XRAY_PINS[who]}" for who in XRAY_OFFICERS),
                }
            ),
            "ports": str(self.site.folder / "ports"),
        }
        if self._as_json:
            self._print({"event": event, **said})
            return
        for name, where in said.items():
            self._out.print(f"[bold]{name}[/]  {where}", highlight=False, soft_wrap=True)
        if event == "up" and self.site.xray is not None:
            self._out.print(
                "以上述关员登录机检页面即接替其判图；否则由脚本判图\n"
                "sign in at the X-ray page as one of its officers to judge in their place; --speed 1 leaves "
                "time to look",
                highlight=False,
                soft_wrap=True,
            )

    def ask_to_stop(self, number: int = 0, frame: object = None) -> None:
        self._stopping.set()


def _sign_ins() -> str:
    return "; ".join(
        f"{each.number} password {each.password}{f' PIN {each.pin}' if each.pin else ''}"
        f" ({'+'.join(each.roles)})"
        for each in CENTRE_OFFICERS
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vehicles", type=int, default=30, help="how many vehicles come (default 30)")
    parser.add_argument(
        "--parcels",
        type=int,
        help="how many parcels go over the X-ray line; 0: no line (default 40; 0 with --handheld)",
    )
    parser.add_argument("--seed", type=int, default=7, help="who comes, and what goes wrong (default 7)")
    parser.add_argument("--speed", type=float, default=4.0, help="virtual seconds per second (default 4)")
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout instead of a live table")
    parser.add_argument(
        "--serve",
        action="store_true",
        help="leave the site running, with the centre's console, and print addresses and sign-ins",
    )
    parser.add_argument(
        "--kills", type=int, default=0, help="kill -9 a program at so many random instants (default 0)"
    )
    parser.add_argument("--broker", choices=BROKERS, default="amqtt", help="which broker (default amqtt)")
    parser.add_argument(
        "--handheld",
        action="store_true",
        help="with a warehouse, and an officer's app in a window of its own",
    )
    parser.add_argument(
        "--folder", type=Path, help="where the site is laid out and kept (default: temporary)"
    )


def demo(args: argparse.Namespace) -> int:
    """0 everything reconciled, 1 a finding, 2 wrong use, 130 interrupted."""
    parcels = args.parcels if args.parcels is not None else 0 if args.handheld else PARCELS
    in_range = 1 <= args.vehicles <= 500 and 0 <= parcels <= 1000
    if not in_range or not 0.1 <= args.speed <= 60 or args.seed < 0:
        sys.stderr.write(
            "expected --vehicles 1 to 500, --parcels 0 to 1000, --speed 0.1 to 60, --seed 0 or more\n"
        )
        return 2
    if args.folder is not None and args.folder.exists() and any(args.folder.iterdir()):
        sys.stderr.write(f"--folder: expected a new or empty folder, {args.folder} is not\n")
        return 2
    mosquitto = None
    if args.broker == "mosquitto":
        # Debian keeps it where the path of an ordinary user does not lead.
        mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if mosquitto is None:
            sys.stderr.write("--broker mosquitto: not installed (Debian: apt install mosquitto)\n")
            return 2
    folder = args.folder if args.folder is not None else new_folder(Path(tempfile.gettempdir()))
    out = Console()
    site = write_site(
        folder,
        seed=args.seed,
        vehicles=args.vehicles,
        speed=args.speed,
        handheld=args.handheld,
        parcels=parcels,
        console=console_port() if args.serve else None,
    )
    running = Demo(site, as_json=args.json, out=out, kills=args.kills, mosquitto=mosquitto)
    signal.signal(signal.SIGINT, running.ask_to_stop)
    signal.signal(signal.SIGTERM, running.ask_to_stop)
    code = 1
    try:
        running.start()
        if args.serve:
            running.say_where("up")
        if args.handheld:
            running.run_handheld()
        else:
            running.run()
            running.report()
        if args.serve:
            running.serve()
        running.stop_programs()
        code = running.reconcile()
    except KeyboardInterrupt:
        code = 130
        sys.stderr.write("已中断 interrupted\n")
    except DemoFailed as failed:
        sys.stderr.write(f"{failed}\n")
    finally:
        running.stop_programs()
    if code in (0, 130) and args.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        sys.stderr.write(f"the site is kept in {folder}\n")
    return code


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="kakou demo", description=__doc__)
    add_arguments(parser)
    return demo(parser.parse_args(argv))
