"""A simulated X-ray line in real time: sockets, a pty or a folder, and a clock around what tests drive too.

One thread, one poll loop; pictures of what is in the parcels are drawn by a second thread ahead of the belt.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hardware_sims.devices.xray_folder import XrayFolder
from hardware_sims.faults import SERIAL_FAULTS, Fault, FaultKind
from hardware_sims.operating import Commands, Ending, woken_by_signals
from hardware_sims.shell import LOOK_FOR_OPENERS_S, SLEPT_S, PtyLine, SocketLine, Tell
from hardware_sims.xray_line import Sent, XrayLine
from hardware_sims.xray_machine import Rendered, render
from hardware_sims.xray_scenario import XrayScenario

DRAWN_FIRST = 48
"""So many parcels are drawn before the line is ready."""


class XrayShell:
    """Runs one `XrayLine` against the real clock, `speed` virtual seconds to the second.

    `tell` gets what happens as dicts with `event`: `address`, `READY`, `IDLE`, `BUSY`, `RELEASED`, `HELD`,
    `DONE`, `STATE`, `REFUSED`. Commands are lines: `go`, `hold`, `state`, `quit`, `stop SECONDS` (somebody
    presses the emergency stop), `fault STATION DEVICE KIND on|off`.
    """

    def __init__(
        self,
        scenario: XrayScenario,
        folder: Path,
        *,
        speed: float = 1.0,
        released: bool = True,
        tell: Tell,
        cache: Path | None = None,
    ) -> None:
        """`cache`: a folder where drawn parcels are kept from run to run."""
        self._speed = speed
        self._tell = tell
        self._now = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = os.open(folder / "physics.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        packed = [(parcel, parcel.packed()) for parcel in scenario.parcels]
        self._artist = ThreadPoolExecutor(1, thread_name_prefix="artist")
        self._drawn: dict[str, Future[Rendered]] = {
            parcel.id: self._artist.submit(render, each, scenario.detector, cache) for parcel, each in packed
        }
        self.line = XrayLine(
            scenario.station,
            [parcel.on_belt(each) for parcel, each in packed],
            lambda parcel: self._drawn[parcel].result(),
            belt=scenario.belt,
            detector=scenario.detector,
            pictures=scenario.pictures,
            speed=speed,
            seed=scenario.seed,
            sink=self._log,
            released=released,
        )
        self._lines: dict[str, PtyLine | SocketLine] = {
            "io": SocketLine(scenario.io_port),
            "scanner": PtyLine(folder / "ports" / f"{scenario.station}-scanner"),
        }
        self._folder: XrayFolder | None = None
        if scenario.pictures == "stream":
            self._lines["xray"] = SocketLine(scenario.xray_port)
        else:
            pictures = folder / "pictures" / scenario.station
            self._folder = XrayFolder(
                self.line.machine, pictures, way=scenario.folder_way, unix_of=self._unix_of
            )
        self._poll = select.poll()
        self._by_fd: dict[int, str] = {}
        self._commands = Commands(self._poll)
        self._stopping = False
        self._idle: bool | None = None
        self._ending = Ending()
        self.dropped_bytes = 0
        """Bytes that no reader took."""

    def addresses(self) -> list[dict[str, str]]:
        """Where each device is."""
        listed = [
            {"lane": self.line.name, "device": device, "address": line.address}
            for device, line in self._lines.items()
        ]
        if self._folder is not None:
            listed.append({"lane": self.line.name, "device": "xray", "address": self._folder.address})
        return listed

    # --- running ---

    def run(self, *, commands_fd: int = -1, until_idle: bool = False) -> None:
        """Until `quit`, SIGTERM or SIGINT; with `until_idle` also when the last parcel has gone."""
        with contextlib.closing(self), woken_by_signals(self._poll, self._stop):
            self._commands.listen(commands_fd)
            for drawn in list(self._drawn.values())[:DRAWN_FIRST]:
                if not self._stopping:
                    drawn.result()
            for each in self.addresses():
                self._tell({"event": "address", **each})
            self._tell({"event": "READY"})
            self._loop(until_idle)

    def close(self) -> None:
        """Gives every port back. Idempotent."""
        self._artist.shutdown(cancel_futures=True)
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def _stop(self) -> None:
        self._stopping = True

    def _loop(self, until_idle: bool) -> None:
        begin = time.monotonic()
        looked = 0.0
        speed, line = self._speed, self.line
        while not self._stopping:
            real = time.monotonic()
            if (real - begin) * speed - self._now > SLEPT_S * speed:
                begin = real - self._now / speed
            self._now = (real - begin) * speed
            self._send(line.advance(self._now))
            if real - looked >= LOOK_FOR_OPENERS_S:
                looked = real
                self._look_for_openers()
            if self._folder is not None:
                self._folder.serve(self._now)
            self._report(until_idle)
            sleep_s = (line.next_event_s() - self._now) / speed
            for fd, _ in self._poll.poll(max(1.0, sleep_s * 1000)):
                self._now = max(self._now, (time.monotonic() - begin) * speed)
                self._serve(fd)

    def _serve(self, fd: int) -> None:
        device = self._by_fd.get(fd)
        if device is not None:
            self._hear(fd, device)
        elif fd == self._commands.fd:
            for command in self._commands.heard():
                self._obey(command)

    def _send(self, sent: list[Sent]) -> None:
        for each in sent:
            line = self._lines.get(each.device)
            if line is not None and line.is_open():
                self.dropped_bytes += line.write(each.data)

    def _look_for_openers(self) -> None:
        for device, line in self._lines.items():
            if line.opened():
                fd = line.fileno()
                self._by_fd[fd] = device
                self._poll.register(fd, select.POLLIN)
                self._send(self.line.connect(self._now, device))

    def _hear(self, fd: int, device: str) -> None:
        data = self._lines[device].read()
        if data is None:
            del self._by_fd[fd]
            self._poll.unregister(fd)
            self._send(self.line.disconnect(self._now, device))
        elif data:
            self._send(self.line.receive(self._now, device, data))

    # --- commands and reports ---

    def _obey(self, command: str) -> None:
        belt = self.line.belt
        match command.split():
            case []:
                pass
            case ["go"]:
                belt.go(self._now)
                self._tell({"event": "RELEASED", **self._state()})
            case ["hold"]:
                belt.hold(self._now)
                self._idle = None
                self._tell({"event": "HELD", **self._state()})
            case ["state"]:
                self._tell({"event": "STATE", "idle": belt.is_idle, **self._state()})
            case ["quit"]:
                self._stopping = True
            case ["stop", seconds] if _positive(seconds):
                belt.press_stop(self._now, float(seconds))
            case ["fault", station, device, kind, ("on" | "off") as way] if self._can(station, device, kind):
                self._send(self.line.set_fault(self._now, device, Fault(kind=FaultKind(kind)), way == "on"))
            case _:
                known = "go, hold, state, quit, stop SECONDS, fault STATION DEVICE KIND on|off"
                self._tell({"event": "REFUSED", "command": command[:100], "expected": known})

    def _can(self, station: str, device: str, kind: str) -> bool:
        known = SERIAL_FAULTS - {FaultKind.VANISH}
        return station == self.line.name and device in self.line.devices and kind in known

    def _state(self) -> dict[str, Any]:
        return {"t": round(self._now, 3), "to_come": self.line.belt.parcels_to_come}

    def _report(self, until_idle: bool) -> None:
        belt = self.line.belt
        if belt.is_idle is not self._idle:
            self._idle = belt.is_idle
            self._tell({"event": "IDLE" if self._idle else "BUSY", **self._state()})
        if self._ending.is_reached(self._now, belt.is_over):
            self._tell({"event": "DONE", **self._state()})
            self._stopping = self._stopping or until_idle

    def _log(self, line: dict[str, Any]) -> None:
        if self._journal >= 0:
            os.write(self._journal, json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")

    def _unix_of(self, at_s: float) -> float:
        return time.time() - (self._now - at_s) / self._speed


def _positive(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return 0.0 < float(text) < 3_600.0
    return False
