"""Simulated lanes in real time: ptys, sockets and a clock around the very objects the world test drives.

One thread, one poll loop. Nothing waits for a reader: a serial line has no memory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hardware_sims.devices import Camera
from hardware_sims.devices.photographed import DRAWN_AHEAD, photograph
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SimulatedSite
from hardware_sims.operating import Commands, Ending, woken_by_signals
from hardware_sims.picture_lines import FolderLine, PictureLine, http_line, rtsp_line
from hardware_sims.platform_lines import PlatformLine
from hardware_sims.scenario import CAMERAS_CALLED, LaneSettings, Scenario, faults_of

LOOK_FOR_OPENERS_S = 0.01
LONGEST_SLEEP_S = 0.05
SLEPT_S = 1.0
PATIENCE_S = 0.2
"""Virtual. At more than real speed what a program reads twenty times a second lasts for milliseconds; on a
machine too slow for that, time waits, so that what a real program would see is seen."""
LONGEST_PATIENCE_S = 0.25
"""Real. A program that does not read its inputs for so long is not waited for."""
"""After a longer gap (a suspended machine) virtual time goes on where it stood."""
READ_SIZE = 4096
QR_AIM = "]Q1"

Tell = Callable[[dict[str, Any]], None]


class Line(Protocol):
    """A serial line's end: whatever the other side opens."""

    address: str

    def fileno(self) -> int:
        """What to poll now; -1 when there is nothing to poll."""

    def is_open(self) -> bool:
        """Whether somebody is at the other end."""

    def opened(self) -> bool:
        """Looks whether somebody came; True once when so."""

    def read(self) -> bytes | None:
        """What arrived; None when the other end is gone."""

    def write(self, data: bytes) -> int:
        """Bytes that could not be handed over."""

    def close(self) -> None: ...


class PtyLine:
    """A pseudo-terminal in raw mode under a stable name."""

    def __init__(self, link: Path) -> None:
        self.address = str(link)
        self._link = link
        self._open = False
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self._name = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._hung_up = select.poll()
        self._hung_up.register(self._master, select.POLLHUP)
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._name)
        fresh.replace(link)

    def fileno(self) -> int:
        return self._master if self._open else -1

    def is_open(self) -> bool:
        return self._open

    def opened(self) -> bool:
        if self._open or self._hung_up.poll(0):
            return False
        self._open = True
        return True

    def read(self) -> bytes | None:
        try:
            data = os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if data:
            return data
        self._open = False
        self._forget()
        return None

    def _forget(self) -> None:
        """What the last opener did not take must not wait for the next one."""
        with contextlib.suppress(OSError):
            slave = os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIOFLUSH)
                tty.setraw(slave)
            finally:
                os.close(slave)

    def write(self, data: bytes) -> int:
        try:
            return len(data) - os.write(self._master, data)
        except OSError:
            return len(data)

    def close(self) -> None:
        os.close(self._master)
        with contextlib.suppress(OSError):
            if str(self._link.readlink()) == self._name:
                self._link.unlink()


class SocketLine:
    """A serial server: one TCP client at a time on 127.0.0.1, as `socket://` addresses mean it."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"socket://127.0.0.1:{self.port}"
        self._client: socket.socket | None = None

    def fileno(self) -> int:
        return -1 if self._client is None else self._client.fileno()

    def is_open(self) -> bool:
        return self._client is not None

    def opened(self) -> bool:
        if self._client is not None:
            return False
        try:
            self._client, _ = self._listener.accept()
        except OSError:
            return False
        self._client.setblocking(False)
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True

    def read(self) -> bytes | None:
        if self._client is None:
            return None
        try:
            data = self._client.recv(READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if data:
            return data
        self._client.close()
        self._client = None
        return None

    def write(self, data: bytes) -> int:
        if self._client is None:
            return len(data)
        try:
            return len(data) - self._client.send(data)
        except OSError:
            return len(data)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._listener.close()


class CameraCall:
    """The camera's TCP connection to its listener: made when it calls, never waited for."""

    def __init__(self, camera: Camera, listener: str) -> None:
        host, _, port = listener.rpartition(":")
        self._target = (host or "127.0.0.1", int(port))
        self.camera = camera
        self.socket: socket.socket | None = None
        self.connecting = False
        self.waiting = bytearray()

    def dial(self) -> int:
        """Starts a connection and returns what to poll; -1 when it failed at once."""
        fresh = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        fresh.setblocking(False)
        code = fresh.connect_ex(self._target)
        if code not in (0, errno.EINPROGRESS):
            fresh.close()
            return -1
        self.socket, self.connecting = fresh, True
        return fresh.fileno()

    def made(self) -> bool:
        """After the socket became writable: whether the connection stands."""
        self.connecting = False
        if self.socket is not None and self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return True
        self.hang_up()
        return False

    def send(self, data: bytes) -> bool:
        """Sends now or later; False when the connection broke."""
        self.waiting += data
        if self.socket is None:
            self.waiting.clear()
            return False
        try:
            del self.waiting[: self.socket.send(self.waiting)]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def read(self) -> bytes | None:
        if self.socket is None:
            return None
        try:
            return self.socket.recv(READ_SIZE) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def hang_up(self) -> None:
        self.connecting = False
        self.waiting.clear()
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Shell:
    """Runs a `SimulatedSite` against the real clock, `speed` virtual seconds to the second.

    `tell` gets what happens as dicts with `event`: `address`, `READY`, `IDLE`, `BUSY`, `RELEASED`, `HELD`,
    `PAUSED`, `DONE`, `STATE`, `REFUSED` (a bad command). Commands are lines: `go`, `hold`, `state`,
    `quit`, `fault LANE DEVICE KIND on|off`, `code LANE TEXT` (somebody holds a QR code to the scanner).
    """

    def __init__(
        self, scenario: Scenario, folder: Path, *, speed: float = 1.0, released: bool = True, tell: Tell
    ) -> None:
        self._folder = folder
        self._speed = speed
        self._tell = tell
        self._now = 0.0
        self._begin = 0.0
        self._unread: tuple[float, float] | None = None
        """Since when, virtual and real, a program has not read what its inputs show."""
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = os.open(folder / "physics.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        # Before the clock runs: drawing takes longer than a fast lane's devices may be silent.
        for plate in {vehicle.plate for vehicle in scenario.vehicles[:DRAWN_AHEAD]}:
            photograph(plate)
        self.site = SimulatedSite(
            scenario, sink=self._log, unix_of=self._unix_of, released=released, picture_of=photograph
        )
        self._poll = select.poll()
        self._lines: dict[tuple[str, str], Line] = {}
        self._ports: dict[tuple[str, str], int] = {}
        self._by_fd: dict[int, tuple[str, str]] = {}
        self._calls: dict[tuple[str, str], CameraCall] = {}
        self._call_fds: dict[int, tuple[str, str]] = {}
        self._pictures: dict[str, PictureLine] = {}
        self._platforms: dict[str, PlatformLine] = {}
        self._commands = Commands(self._poll)
        self._stopping = False
        self._idle: bool | None = None
        self._paused: float | None = None
        self._ending = Ending()
        self.dropped_bytes = 0
        """Bytes that no reader took."""
        for lane in self.site.lanes.values():
            for device in lane.serial_devices:
                self._open_line(lane.name, device)
            for device, camera in lane.calling.items():
                listener = _listener_of(lane.settings, device)
                if listener is not None:
                    self._calls[lane.name, device] = CameraCall(camera, listener)
            if lane.settings.platform is not None:
                port, listener = lane.settings.platform_port, lane.settings.platform_listener
                self._platforms[lane.name] = PlatformLine(port, listener)
            if lane.settings.fixed_camera == "http":
                self._pictures[lane.name] = http_line(lane.settings.fixed_camera_port)
            elif lane.settings.fixed_camera == "rtsp":
                self._pictures[lane.name] = rtsp_line(lane.settings.fixed_camera_port)
            elif lane.settings.fixed_camera == "folder":
                self._pictures[lane.name] = FolderLine(folder / "frames" / lane.name)

    # --- addresses ---

    def _open_line(self, lane: str, device: str) -> None:
        key = (lane, device)
        settings = self.site.lanes[lane].settings
        if device == "camera":
            self._lines[key] = SocketLine(self._ports.setdefault(key, settings.camera_port))
            return
        if settings.transport == "pty":
            self._lines[key] = PtyLine(self._folder / "ports" / f"{lane}-{device}")
        else:
            line = SocketLine(self._ports.get(key, 0))
            self._ports[key] = line.port
            self._lines[key] = line

    def addresses(self) -> list[dict[str, str]]:
        """Where each device is; `camera` names the listener it calls."""
        listed = [
            {"lane": lane, "device": device, "address": line.address}
            for (lane, device), line in self._lines.items()
        ]
        for lane, device in self._calls:
            listener = _listener_of(self.site.lanes[lane].settings, device)
            listed.append({"lane": lane, "device": device, "address": f"calls {listener}"})
        listed += [
            {"lane": lane, "device": "fixed_camera", "address": line.address}
            for lane, line in self._pictures.items()
        ]
        listed += [
            {"lane": lane, "device": "platform", "address": line.address}
            for lane, line in self._platforms.items()
        ]
        return listed

    # --- running ---

    def run(self, *, commands_fd: int = -1, until_idle: bool = False) -> None:
        """Until `quit`, SIGTERM or SIGINT; with `until_idle` also when the last vehicle has gone."""
        with contextlib.closing(self), woken_by_signals(self._poll, self._stop):
            self._commands.listen(commands_fd)
            for each in self.addresses():
                self._tell({"event": "address", **each})
            self._tell({"event": "READY"})
            self._loop(until_idle)

    def close(self) -> None:
        """Gives every port back. Idempotent."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        for call in self._calls.values():
            call.hang_up()
        self._calls.clear()
        for pictures in self._pictures.values():
            pictures.close()
        self._pictures.clear()
        for platform in self._platforms.values():
            platform.close()
        self._platforms.clear()
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def _stop(self) -> None:
        self._stopping = True

    def _loop(self, until_idle: bool) -> None:
        self._begin = time.monotonic()
        looked = 0.0
        speed, site = self._speed, self.site
        while not self._stopping:
            real = time.monotonic()
            self._tell_time(real)
            self._send(site.advance(self._now))
            self._look_for_unread(real)
            if real - looked >= LOOK_FOR_OPENERS_S:
                looked = real
                self._look_for_openers()
            self._dial()
            self._show_pictures(real)
            self._serve_platforms()
            self._report(until_idle)
            sleep_s = min((site.next_event_s() - self._now) / speed, LONGEST_SLEEP_S)
            for fd, what in self._poll.poll(max(1.0, sleep_s * 1000)):
                self._tell_time(time.monotonic())
                self._serve(fd, what)

    def _tell_time(self, real_s: float) -> None:
        now = (real_s - self._begin) * self._speed
        latest = self._now + SLEPT_S * self._speed
        if now > latest:
            # The machine slept, and the site with it.
            latest = self._now
        if self._speed > 1.0:
            latest = min(latest, max(self._now, self.site.next_event_s()) + PATIENCE_S)
            if self._unread is not None and real_s - self._unread[1] < LONGEST_PATIENCE_S:
                latest = max(self._now, min(latest, self._unread[0] + PATIENCE_S))
        if now > latest:
            now = latest
            self._begin = real_s - now / self._speed
        self._now = max(self._now, now)

    def _look_for_unread(self, real_s: float) -> None:
        waiting = any(
            not lane.inputs_are_read
            for lane in self.site.lanes.values()
            if (line := self._lines.get((lane.name, "io"))) is not None and line.is_open()
        )
        if not waiting:
            self._unread = None
        elif self._unread is None:
            self._unread = (self._now, real_s)

    def _serve(self, fd: int, what: int) -> None:
        key = self._by_fd.get(fd)
        if key is not None:
            self._hear(fd, key)
        elif fd in self._call_fds:
            self._hear_call(fd, self._call_fds[fd], what)
        elif fd == self._commands.fd:
            for command in self._commands.heard():
                self._obey(command)

    def _send(self, sent: list[tuple[str, Any]]) -> None:
        for lane, each in sent:
            call = self._calls.get((lane, each.device))
            if call is not None:
                if not call.connecting and call.socket is not None:
                    if not call.send(each.data):
                        self._end_call((lane, each.device), call)
                    elif call.waiting:
                        self._poll.modify(call.socket, select.POLLIN | select.POLLOUT)
                continue
            line = self._lines.get((lane, each.device))
            if line is not None and line.is_open():
                self.dropped_bytes += line.write(each.data)

    # --- serial lines ---

    def _look_for_openers(self) -> None:
        for lane in self.site.lanes.values():
            for device in lane.serial_devices:
                key = (lane.name, device)
                line = self._lines.get(key)
                if not lane.port_present(device):
                    if line is not None:
                        self._lose(key, line)
                elif line is None:
                    self._open_line(lane.name, device)
                elif line.opened():
                    fd = line.fileno()
                    self._by_fd[fd] = key
                    self._poll.register(fd, select.POLLIN)
                    self.site.connect(self._now, lane.name, device)

    def _lose(self, key: tuple[str, str], line: Line) -> None:
        self._forget_fd(line.fileno())
        line.close()
        del self._lines[key]
        self.site.disconnect(self._now, *key)

    def _forget_fd(self, fd: int) -> None:
        if self._by_fd.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _hear(self, fd: int, key: tuple[str, str]) -> None:
        line = self._lines[key]
        data = line.read()
        if data is None:
            self._forget_fd(fd)
            self.site.disconnect(self._now, *key)
        elif data:
            self.site.receive(self._now, *key, data)

    # --- cameras ---

    def _dial(self) -> None:
        for key, call in self._calls.items():
            camera = call.camera
            if call.socket is None:
                if camera.calling:
                    fd = call.dial()
                    if fd >= 0:
                        self._call_fds[fd] = key
                        self._poll.register(fd, select.POLLOUT)
                    else:
                        self.site.camera_not_answered(self._now, *key)
            elif not camera.calling and not call.connecting:
                self._end_call(key, call)

    def _serve_platforms(self) -> None:
        for lane, line in self._platforms.items():
            platform = self.site.lanes[lane].platform
            if platform is not None:
                line.serve(self._now, platform)

    def _show_pictures(self, real_s: float) -> None:
        for lane, line in self._pictures.items():
            camera = self.site.lanes[lane].fixed_camera
            if camera is not None:
                line.serve(real_s, self._now, camera)

    def _hear_call(self, fd: int, key: tuple[str, str], what: int) -> None:
        call = self._calls[key]
        if call.connecting:
            if call.made() and call.socket is not None:
                self._poll.modify(call.socket, select.POLLIN)
                self.site.connect(self._now, *key)
            else:
                del self._call_fds[fd]
                self._poll.unregister(fd)
                self.site.camera_not_answered(self._now, *key)
            return
        if what & select.POLLOUT and call.socket is not None:
            if not call.send(b""):
                self._end_call(key, call)
                return
            if not call.waiting:
                self._poll.modify(call.socket, select.POLLIN)
        if what & (select.POLLIN | select.POLLHUP | select.POLLERR):
            data = call.read()
            if data is None:
                self._end_call(key, call)
            elif data:
                self.site.receive(self._now, *key, data)

    def _end_call(self, key: tuple[str, str], call: CameraCall) -> None:
        if call.socket is not None:
            fd = call.socket.fileno()
            self._call_fds.pop(fd, None)
            self._poll.unregister(fd)
        call.hang_up()
        self.site.disconnect(self._now, *key)

    # --- commands and reports ---

    def _obey(self, command: str) -> None:
        match command.split():
            case []:
                pass
            case ["go"]:
                self.site.go(self._now)
                self._paused = None
                self._tell({"event": "RELEASED", **self._state()})
            case ["hold"]:
                self.site.hold(self._now)
                self._tell({"event": "HELD", **self._state()})
                self._idle = None
            case ["state"]:
                self._tell({"event": "STATE", "idle": self.site.is_idle, **self._state()})
            case ["quit"]:
                self._stopping = True
            case ["fault", lane, device, kind, ("on" | "off") as way] if self._can(lane, device, kind):
                self.site.set_fault(self._now, lane, device, Fault(kind=FaultKind(kind)), way == "on")
            case ["code", lane, text] if lane in self.site.lanes:
                self.site.lanes[lane].physics.show_code(self._now, text, QR_AIM)
            case _:
                known = "go, hold, state, quit, fault LANE DEVICE KIND on|off, code LANE TEXT"
                self._tell({"event": "REFUSED", "command": command[:100], "expected": known})

    def _can(self, lane: str, device: str, kind: str) -> bool:
        return lane in self.site.lanes and kind in faults_of(device) and kind != FaultKind.BROKEN_WIRE

    def _state(self) -> dict[str, Any]:
        return {"t": round(self._now, 3), "to_come": self.site.vehicles_to_come}

    def _report(self, until_idle: bool) -> None:
        site = self.site
        if site.paused_at_s is not None and self._paused is None:
            self._paused = site.paused_at_s
            self._tell({"event": "PAUSED", "traffic_s": self._paused, **self._state()})
            self._idle = None
        idle = site.is_idle
        if idle is not self._idle:
            self._idle = idle
            self._tell({"event": "IDLE" if idle else "BUSY", **self._state()})
        if self._ending.is_reached(self._now, site.is_over):
            self._tell({"event": "DONE", **self._state()})
            self._stopping = self._stopping or until_idle

    # --- what the site needs from the real world ---

    def _log(self, line: dict[str, Any]) -> None:
        os.write(self._journal, json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")

    def _unix_of(self, at_s: float) -> float:
        return time.time() - (self._now - at_s) / self._speed


def _listener_of(settings: LaneSettings, device: str) -> str | None:
    """Where a device that calls finds us; None: it is not there, or is called itself."""
    if device == "container_camera":
        return settings.container_listener
    return None if settings.camera in CAMERAS_CALLED else settings.camera_listener


def teller(as_json: bool) -> Tell:
    """Writes events to stdout, a line each: JSON, or words for people and shell scripts."""

    def tell(event: dict[str, Any]) -> None:
        if as_json:
            text = json.dumps(event, ensure_ascii=False)
        elif event["event"] == "address":
            text = f"{event['lane']}-{event['device']} {event['address']}"
        else:
            rest = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
            text = f"{event['event']} {rest}".rstrip()
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return tell
