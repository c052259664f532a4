"""The real-time shell as a process: ptys read by pyserial, Modbus asked by pymodbus, a camera that calls."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import serial
from pymodbus.client import ModbusSerialClient

from hardware_sims.devices.io_board import framed
from hardware_sims.devices.led_board import text_frame

pytestmark = pytest.mark.system

PULSE_OPEN = framed(bytes.fromhex("010502000005"))
READ_INPUTS = framed(bytes.fromhex("010200000010"))


class Served:
    """A running `python -m hardware_sims serve`."""

    def __init__(self, folder: Path, scenario: str, *options: str) -> None:
        self.folder = folder
        site = folder / "site.toml"
        site.write_text(scenario, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hardware_sims", "serve", str(site), "--json", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self._heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)

    def until(self, event: str, timeout_s: float = 20.0) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                told = self._heard.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event} within {timeout_s} s, heard {self.events}") from None
            assert told is not None, f"ended before {event}: {self.events}"
            self.events.append(told)
            if told["event"] == event:
                return told

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def port(self, name: str) -> str:
        return str(self.folder / "ports" / name)

    def physics(self) -> list[dict[str, Any]]:
        text = (self.folder / "physics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def seen(self, kind: str, timeout_s: float = 10.0, **fields: Any) -> dict[str, Any]:
        """The first such line of physics.jsonl, waited for."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.physics():
                if line["kind"] == kind and fields.items() <= line.items():
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {kind} {fields} in {self.physics()}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with self.process:
            code = self.process.wait(timeout=10)
            self._reader.join(timeout=5)
            assert self.process.stderr is not None
            errors = self.process.stderr.read()
        assert errors == ""
        return code


@contextlib.contextmanager
def serving(folder: Path, scenario: str, *options: str) -> Iterator[Served]:
    served = Served(folder, scenario, *options)
    try:
        served.until("READY")
        yield served
    except BaseException:
        served.process.kill()
        with served.process:
            served.process.wait(timeout=10)
        raise
    assert served.stop() == 0


def exchange(port: serial.Serial, request: bytes, length: int, timeout_s: float = 3.0) -> bytes:
    """Asks until answered: whoever has just opened a port may be heard a moment later."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        port.write(request)
        answer: bytes = port.read(length)
        if len(answer) == length:
            return answer
    raise AssertionError(f"no answer to {request.hex(' ')}")


def read_for_ever(port: serial.Serial) -> None:
    while True:
        port.read(12)


TRUCK = """
[[vehicles]]
id = "v1"
lane = "in"
arrives_s = 1
plate = "豫A12345"
tag = "E28011700000020A"
gross_kg = 20000
"""


def test_addresses_are_told_before_ready_and_ports_are_given_back_at_the_end(tmp_path: Path) -> None:
    with serving(tmp_path, "[lanes.in]\n[lanes.out]\n") as served:
        told = [each for each in served.events if each["event"] == "address"]
        assert [(each["lane"], each["device"]) for each in told] == [
            (lane, device)
            for lane in ("in", "out")
            for device in ("weighbridge", "rfid", "io", "scanner", "led")
        ]
        for each in told:
            assert Path(each["address"]).is_symlink()
            assert Path(each["address"]).resolve().is_char_device()
        assert served.events[-1] == {"event": "READY"}
    assert list((tmp_path / "ports").iterdir()) == []


def test_a_weighbridge_on_a_pty_sends_whole_frames_that_pyserial_reads(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "[lanes.in]\n", "--speed", "5") as served,
        serial.Serial(served.port("in-weighbridge"), 9600, timeout=2) as port,
    ):
        begin = time.monotonic()
        data = port.read(12 * 50)
        spent_s = time.monotonic() - begin
    assert data == bytes.fromhex("022B30303030303030314203") * 50
    assert 0.7 < spent_s < 2.0


def test_a_port_nobody_reads_keeps_nothing_and_blocks_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, "[lanes.in]\n", "--speed", "50") as served:
        with serial.Serial(served.port("in-weighbridge"), timeout=2) as lazy:
            time.sleep(1.5)
            with serial.Serial(served.port("in-io"), timeout=0.3) as board:
                assert exchange(board, READ_INPUTS, 7) == framed(bytes.fromhex("010202ef02"))
            assert lazy.in_waiting > 0
        time.sleep(0.3)
        fd = os.open(served.port("in-weighbridge"), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            with pytest.raises(BlockingIOError):
                os.read(fd, 1)
        finally:
            os.close(fd)


def test_pymodbus_reads_the_inputs_and_a_flash_on_pulse_raises_the_arm(tmp_path: Path) -> None:
    with serving(tmp_path, "[lanes.in]\n", "--speed", "4") as served:
        client = ModbusSerialClient(port=served.port("in-io"), baudrate=9600, timeout=1, retries=5)
        assert client.connect()
        try:
            read = client.read_discrete_inputs(0, count=16, device_id=1)
            assert list(read.bits[:16]) == [True] * 4 + [False] + [True] * 3 + [False, True] + [False] * 6
            assert client.write_coil(2, True, device_id=1).bits == [True]
            assert client.read_coils(0, count=8, device_id=1).bits[:8] == [False, False, True] + [False] * 5
            refused = client.read_discrete_inputs(8, count=16, device_id=1)
            assert refused.isError()
            assert refused.exception_code == 2
        finally:
            client.close()  # type: ignore[no-untyped-call]
        with serial.Serial(served.port("in-io"), timeout=0.3) as board:
            assert exchange(board, PULSE_OPEN, 8) == PULSE_OPEN
        pulse = served.seen("relay_pulse", relay=0)
        assert (pulse["lane"], pulse["duration_s"]) == ("in", 0.5)
        moved = served.seen("arm_moving")
        assert (moved["direction"], moved["cause"]) == ("up", "order")
        assert served.seen("arm_up")["t"] - moved["t"] == pytest.approx(2.0, abs=0.01)
        with serial.Serial(served.port("in-io"), timeout=0.3) as board:
            assert exchange(board, READ_INPUTS, 7) == framed(bytes.fromhex("010202f702"))


def test_however_fast_time_runs_a_program_that_reads_its_inputs_sees_every_change(tmp_path: Path) -> None:
    """A starved machine: ten readings a second, and signals that would last for hundredths of one."""
    with (
        serving(tmp_path, "[lanes.in]\n" + TRUCK, "--speed", "200", "--hold") as served,
        serial.Serial(served.port("in-io"), timeout=0.5) as board,
    ):
        free = exchange(board, READ_INPUTS, 7)[3] & 1
        served.say("go")
        levels = [free]
        deadline_s = time.monotonic() + 30.0
        while time.monotonic() < deadline_s and not any(
            line["kind"] == "vehicle_left" for line in served.physics()
        ):
            levels.append(exchange(board, READ_INPUTS, 7)[3] & 1)
            time.sleep(0.1)
        changes = sum(before != after for before, after in pairwise(levels))
        told = [line for line in served.physics() if line.get("name") == "arrival_loop"]
    assert len(told) == 4
    assert changes == len(told)


def test_a_vehicle_is_weighed_released_and_told_over_real_ports(tmp_path: Path) -> None:
    with serving(tmp_path, "[lanes.in]\n" + TRUCK, "--speed", "20", "--hold") as served:
        time.sleep(0.3)
        assert served.physics() == []
        served.say("go")
        assert served.until("RELEASED")["to_come"] == 1
        with (
            serial.Serial(served.port("in-rfid"), 115200, timeout=0.2) as reader,
            serial.Serial(served.port("in-weighbridge"), timeout=2) as scale,
            serial.Serial(served.port("in-led"), timeout=1) as board,
            serial.Serial(served.port("in-io"), timeout=0.3) as io,
        ):
            tag = b""
            deadline = time.monotonic() + 10
            while bytes.fromhex("E28011700000020A") not in tag and time.monotonic() < deadline:
                reader.write(bytes.fromhex("A004018901D1"))
                tag += reader.read(64)
            assert bytes.fromhex("E28011700000020A") in tag
            served.seen("vehicle_stopped")
            time.sleep(0.3)
            scale.reset_input_buffer()
            assert b"+0200000" in scale.read(48)
            board.write(text_frame(0, "放行", b"\x00\xff\x00\x00"))
            shown = served.seen("board")
            assert (shown["rows"], shown["colour"]) == (["放行"], "green")
            exchange(io, framed(bytes.fromhex("01050002ff00")), 8)
            exchange(io, PULSE_OPEN, 8)
            served.seen("vehicle_left", how="crossed")
            exchange(io, framed(bytes.fromhex("010500020000")), 8)
            exchange(io, framed(bytes.fromhex("010502010005")), 8)
            served.until("DONE")
        assert served.events[-2]["event"] == "IDLE"
        times = [line["t"] for line in served.physics()]
        assert times == sorted(times)


def test_a_pause_is_told_and_waits_for_go_and_until_idle_ends_the_process(tmp_path: Path) -> None:
    scenario = "pauses = [40]\n[lanes.in]\n" + TRUCK + "behaviour = { patience_s = 1 }\n"
    second = (
        scenario.split("[[vehicles]]")[1].replace('"v1"', '"v2"').replace("arrives_s = 1", "arrives_s = 50")
    )
    served = Served(tmp_path, scenario + "[[vehicles]]" + second, "--speed", "40", "--until-idle")
    try:
        assert served.until("PAUSED")["traffic_s"] == 40.0
        assert served.until("IDLE")["to_come"] == 1
        served.say("nonsense")
        assert "go, hold" in served.until("REFUSED")["expected"]
        served.say("go")
        served.until("DONE")
        assert served.process.wait(timeout=10) == 0
        left = [line for line in served.physics() if line["kind"] == "vehicle_left"]
        assert [(line["vehicle"], line["how"]) for line in left] == [
            ("v1", "backed_out"),
            ("v2", "backed_out"),
        ]
    finally:
        served.stop()


def test_a_port_that_vanishes_hangs_up_and_comes_back_under_its_name(tmp_path: Path) -> None:
    with serving(tmp_path, "[lanes.in]\n", "--speed", "10") as served:
        link = Path(served.port("in-weighbridge"))
        with serial.Serial(str(link), timeout=1) as port:
            assert port.read(12)
            before = link.resolve()
            served.say("fault in weighbridge vanish on")
            with pytest.raises((serial.SerialException, OSError)):
                read_for_ever(port)
        wait_for(lambda: not link.is_symlink())
        assert not link.is_symlink()
        served.say("fault in weighbridge vanish off")
        served.seen("fault", on=False)
        deadline = time.monotonic() + 5
        while not link.is_symlink() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert link.resolve().is_char_device()
        assert before
        with serial.Serial(str(link), timeout=1) as port:
            assert len(port.read(24)) == 24


class Listener:
    """An HTTP listener that answers every post and keeps them."""

    def __init__(self, port: int = 0, answer: str = '{"Response_AlarmInfoPlate":{"info":"no"}}') -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._answer = answer
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.posts: list[bytes] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._socket.settimeout(0.05)
        while not self._ending:
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(0.05)
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        data = b""
        while not self._ending:
            try:
                more = client.recv(65536)
            except TimeoutError:
                continue
            if not more:
                return
            data += more
            head, blank, body = data.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            if blank and len(body) >= length:
                self.posts.append(body)
                data = b""
                text = self._answer
                client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())

    def plates(self) -> list[dict[str, Any]]:
        return [
            json.loads(body)["AlarmInfoPlate"]["result"]["PlateResult"]
            for body in self.posts
            if body.startswith(b"{")
        ]

    def close(self) -> None:
        self._ending = True
        self._thread.join(timeout=5)
        self._socket.close()


def wait_for(what: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert what()


def test_the_camera_calls_its_listener_with_heartbeats_and_the_plate(tmp_path: Path) -> None:
    listener = Listener()
    try:
        scenario = f'[lanes.in]\ncamera_listener = "{listener.address}"\n' + TRUCK
        with serving(tmp_path, scenario, "--speed", "10"):
            wait_for(listener.plates)
            wait_for(lambda: any(b'name="serialno"' in body for body in listener.posts))
            plate = listener.plates()[0]
        assert (plate["license"], plate["isoffline"]) == ("豫A12345", 0)
        assert abs(plate["timeStamp"]["Timeval"]["sec"] - time.time()) < 30
    finally:
        listener.close()


def test_a_camera_without_a_listener_keeps_the_plate_and_sends_it_offline_later(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scenario = f'[lanes.in]\ncamera_listener = "127.0.0.1:{port}"\ncamera_heartbeat_s = 0\n' + TRUCK
    with serving(tmp_path, scenario, "--speed", "20") as served:
        served.seen("vehicle_stopped")
        time.sleep(1.0)
        listener = Listener(port)
        try:
            wait_for(listener.plates)
            assert [(each["license"], each["isoffline"]) for each in listener.plates()] == [("豫A12345", 1)]
        finally:
            listener.close()


def test_a_camera_told_ok_raises_the_arm_and_the_log_names_the_camera(tmp_path: Path) -> None:
    listener = Listener(answer='{"Response_AlarmInfoPlate":{"info":"ok"}}')
    try:
        scenario = f'[lanes.in]\ncamera_listener = "{listener.address}"\n' + TRUCK
        with serving(tmp_path, scenario, "--speed", "10") as served:
            assert served.seen("relay_pulse")["relay"] == "camera"
            served.seen("arm_up")
    finally:
        listener.close()


def test_devices_can_stand_behind_sockets(tmp_path: Path) -> None:
    with serving(tmp_path, '[lanes.in]\ntransport = "socket"\n', "--speed", "10") as served:
        address = {each["device"]: each["address"] for each in served.events if each["event"] == "address"}
        assert address["io"].startswith("socket://127.0.0.1:")
        for _ in range(2):
            with serial.serial_for_url(address["io"], timeout=0.3) as board:
                assert exchange(board, READ_INPUTS, 7) == framed(bytes.fromhex("010202ef02"))
        with serial.serial_for_url(address["weighbridge"], timeout=2) as scale:
            assert scale.read(12) == bytes.fromhex("022B30303030303030314203")


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        ("speed = 3", (), "speed: unknown key"),
        ("[lanes.in]", ("--speed", "0"), "--speed: expected 0.01 to 1000"),
    ],
)
def test_wrong_use_ends_with_two_and_says_what_was_expected(
    text: str, options: tuple[str, ...], wanted: str, tmp_path: Path
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "hardware_sims", "serve", str(site), *options],
        capture_output=True,
        text=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2
    assert wanted in done.stderr


def test_two_lanes_asked_two_hundred_times_a_second_at_speed_twenty_keep_up_on_half_a_core(
    tmp_path: Path,
) -> None:
    ending = threading.Event()
    answered = {"in": 0, "out": 0}

    def ask(lane: str, port: serial.Serial) -> None:
        while not ending.wait(0.005):
            port.write(READ_INPUTS)
            answered[lane] += len(port.read(7)) == 7

    with (
        serving(tmp_path, "[lanes.in]\n[lanes.out]\n", "--speed", "20") as served,
        contextlib.ExitStack() as open_,
    ):
        threads = []
        for lane in answered:
            port = open_.enter_context(serial.Serial(served.port(f"{lane}-io"), timeout=0.2))
            open_.enter_context(serial.Serial(served.port(f"{lane}-weighbridge"), timeout=0.2))
            threads.append(threading.Thread(target=ask, args=(lane, port)))
        served.say("state")
        begin_v = served.until("STATE")["t"]
        begin = time.monotonic()
        process = psutil.Process(served.process.pid)
        used = sum(process.cpu_times()[:2])
        for thread in threads:
            thread.start()
        time.sleep(3.0)
        used = sum(process.cpu_times()[:2]) - used
        ending.set()
        for thread in threads:
            thread.join(timeout=5)
        served.say("state")
        ran_v = served.until("STATE")["t"] - begin_v
        ran = time.monotonic() - begin
    assert ran_v / ran == pytest.approx(20, rel=0.1)
    assert min(answered.values()) > 3.0 * 60
    assert used / 3.0 < 0.9
