"""The devices of one lane at the ends of its wires, in the bench's own process: each byte's time is known.

Frames are the simulators', the load and the vehicle are told by the bench. Measures nothing itself but when
the board was told to raise the arm.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import json
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hardware_sims.devices.io_board import ANSWER_S, crc16, framed, packed
from hardware_sims.devices.plate_camera import PICTURE, heartbeat_form, plate_alarm
from hardware_sims.devices.rfid_reader import ROUND_S, end_frame, tag_frame
from hardware_sims.devices.rfid_reader import frame as reader_frame
from hardware_sims.devices.scanner import transmission
from hardware_sims.devices.weighbridge_frames import yaohua_tf0
from hardware_sims.physics import (
    ARRIVAL,
    CELL,
    CLOSE,
    DOWN,
    INPUT_COUNT,
    LOOP,
    OPEN,
    RESET,
    UP,
)
from hardware_sims.shell import PtyLine

DEVICES: Final = ("weighbridge", "rfid", "io", "scanner", "led")
ARM_S: Final = 0.3
"""A quick arm: what it takes is no part of any figure here."""
IO_BITS_A_S: Final = 38_400
BITS_A_BYTE: Final = 10
WEIGHT_EVERY_S: Final = 0.1
HEARTBEAT_S: Final = 5.0
LOOK_EVERY_S: Final = 0.01
PICTURE_BYTES: Final = 120_000
"""Of a scene in full: what such a camera pushes beside a plate."""
_COMMENT_BYTES: Final = 60_000
_INVENTORIES: Final = (0x89, 0x8B)
_FLASH_ON: Final = 0x0200
_REQUEST_BYTES: Final = 8


def picture() -> bytes:
    """A whole JPEG of the length a camera sends."""
    comment = b"\xff\xfe" + (_COMMENT_BYTES + 2).to_bytes(2, "big") + bytes(_COMMENT_BYTES)
    return PICTURE[:2] + comment * (PICTURE_BYTES // _COMMENT_BYTES) + PICTURE[2:]


@dataclass(slots=True)
class _Push:
    """A connection the camera made, and what was answered so far."""

    connection: socket.socket
    answer: bytes = b""


class Cabinet:
    """Serves its devices while somebody calls `until`. Times are of `time.perf_counter`."""

    def __init__(self, ports: Path, lane: str, camera_port: int) -> None:
        self._lines = {device: PtyLine(ports / f"{lane}-{device}") for device in DEVICES}
        self._camera_port = camera_port
        self._by_fd: dict[int, str] = {}
        self._pushes: dict[int, _Push] = {}
        self._poll = select.poll()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._heard = {"io": bytearray(), "rfid": bytearray()}
        self._picture = picture()
        self._plates = 0
        self._looked_s = 0.0
        self._inputs = [True] * 10 + [False] * (INPUT_COUNT - 10)
        self._inputs[UP] = self._inputs[RESET] = False
        self.weight_kg = 0
        self.tag: str | None = None
        self.polls = 0
        """Times the board's inputs were read."""
        self.raised_s: float | None = None
        """When the last bytes of the order to raise the arm had come."""
        self.tag_told_s: float | None = None
        """Just before the tag's frame was first written; set it to None to hear of the next one."""
        self.weight_told_s = 0.0
        """Just before the last weight was written."""
        self.first_loaded_s: float | None = None
        """Just before a weight was first written; set it to None to hear of the next one."""
        now_s = time.perf_counter()
        self._at(now_s, self._weigh)
        self._at(now_s, self._beat)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        for push in self._pushes.values():
            push.connection.close()

    # --- what happens in the lane ---

    def set_input(self, index: int, value: bool) -> None:
        self._inputs[index] = value

    def arrive(self, kg: int) -> None:
        """Somebody stands on the scale, all wheels."""
        self.raised_s = self.tag_told_s = None
        self._inputs[ARRIVAL] = False
        self.weight_kg = kg

    def leave(self, after_s: float = 0.3) -> float:
        """Drives out under the raised arm; returns the seconds it takes."""
        begin_s = time.perf_counter()
        steps: tuple[tuple[int, bool], ...] = ((LOOP, False), (CELL, False), (CELL, True), (LOOP, True))
        self.tag = None
        self._inputs[ARRIVAL] = True
        for number, (index, value) in enumerate(steps):
            self._at(begin_s + number * after_s, functools.partial(self.set_input, index, value))
        self._at(begin_s + after_s, self._unload)
        return len(steps) * after_s

    def _unload(self) -> None:
        self.weight_kg = 0

    def push_plate(self, plate: str) -> float:
        """The camera calls and says it; returns when it began to write, the connection made."""
        self._plates += 1
        document = plate_alarm(
            license_text=plate,
            plate_id=self._plates,
            confidence=97,
            unix_s=time.time(),
            serial_no="51ca11e5-00000001",
            picture=self._picture,
        )
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return self._post("/devicemanagement/php/plateresult.php", "application/json", body)

    def show_code(self, text: str) -> float:
        """The scanner reads it; returns when it began to write."""
        begin_s = time.perf_counter()
        self._write("scanner", transmission(text, "]C0"))
        return begin_s

    # --- serving ---

    def until(self, done: Callable[[], bool], what: str, within_s: float) -> None:
        """Raises `RuntimeError` where it is not done in time."""
        until_s = time.perf_counter() + within_s
        while not done():
            if time.perf_counter() > until_s:
                raise RuntimeError(f"not within {within_s:.0f} s: {what}")
            self._turn()

    def rest(self, seconds: float) -> None:
        """Serve for so long."""
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            self._turn()

    def _turn(self) -> None:
        now_s = time.perf_counter()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._look_for_openers()
        while self._due and self._due[0][0] <= now_s:
            heapq.heappop(self._due)[2]()
        wait_s = min(LOOK_EVERY_S, max(0.0, self._due[0][0] - time.perf_counter()))
        for fd, _ in self._poll.poll(wait_s * 1000):
            heard_s = time.perf_counter()
            if fd in self._by_fd:
                self._hear(fd, heard_s)
            else:
                self._answered(fd)

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (at_s, self._number, act))

    def _look_for_openers(self) -> None:
        for device, line in self._lines.items():
            if line.opened():
                self._by_fd[line.fileno()] = device
                self._poll.register(line.fileno(), select.POLLIN)

    def _write(self, device: str, data: bytes) -> None:
        if self._lines[device].is_open():
            self._lines[device].write(data)

    def _hear(self, fd: int, heard_s: float) -> None:
        device = self._by_fd[fd]
        data = self._lines[device].read()
        if data is None:
            del self._by_fd[fd]
            self._poll.unregister(fd)
            if device in self._heard:
                self._heard[device].clear()
        elif device == "io":
            self._hear_board(data, heard_s)
        elif device == "rfid":
            self._hear_reader(data, heard_s)

    # --- the I/O board ---

    def _hear_board(self, data: bytes, heard_s: float) -> None:
        buffer = self._heard["io"]
        buffer += data
        while len(buffer) >= _REQUEST_BYTES:
            request = bytes(buffer[: _REQUEST_BYTES - 2])
            if crc16(request) != buffer[_REQUEST_BYTES - 2 : _REQUEST_BYTES]:
                del buffer[0]
                continue
            del buffer[:_REQUEST_BYTES]
            self._asked(request, heard_s)

    def _asked(self, request: bytes, heard_s: float) -> None:
        function, address = request[1], int.from_bytes(request[2:4], "big")
        if function == 2:
            self.polls += 1
            bits = packed(tuple(self._inputs))
            answer = framed(bytes((request[0], function, len(bits))) + bits)
        else:
            answer = framed(request)
            if function == 5 and address == _FLASH_ON + OPEN:
                self.raised_s = heard_s
                self._move(DOWN, UP)
            elif function == 5 and address == _FLASH_ON + CLOSE:
                self._move(UP, DOWN)
        # The pty takes no time over the bytes: a line of this speed does, both ways.
        on_line_s = (_REQUEST_BYTES + len(answer)) * BITS_A_BYTE / IO_BITS_A_S
        self._at(heard_s + on_line_s + ANSWER_S, lambda: self._write("io", answer))

    def _move(self, leaves: int, reaches: int) -> None:
        self._inputs[leaves] = False
        self._at(time.perf_counter() + ARM_S, lambda: self.set_input(reaches, True))

    # --- scale, reader, camera ---

    def _weigh(self) -> None:
        self.weight_told_s = time.perf_counter()
        if self.weight_kg and self.first_loaded_s is None:
            self.first_loaded_s = self.weight_told_s
        self._write("weighbridge", yaohua_tf0(self.weight_kg))
        self._at(self.weight_told_s + WEIGHT_EVERY_S, self._weigh)

    def _hear_reader(self, data: bytes, heard_s: float) -> None:
        buffer = self._heard["rfid"]
        buffer += data
        while len(buffer) >= 2 and len(buffer) >= buffer[1] + 2:
            command = bytes(buffer[: buffer[1] + 2])
            del buffer[: len(command)]
            address, code = command[2], command[3]
            if code in _INVENTORIES:
                self._at(heard_s + ROUND_S, functools.partial(self._inventory, address, code))
            else:
                self._write("rfid", reader_frame(address, code, b"\x10"))

    def _inventory(self, address: int, code: int) -> None:
        tag = self.tag
        data = b"" if tag is None else tag_frame(address, bytes.fromhex(tag), command=code)
        data += end_frame(address, int(tag is not None), command=code)
        if tag is not None and self.tag_told_s is None:
            self.tag_told_s = time.perf_counter()
        self._write("rfid", data)

    def _beat(self) -> None:
        self._at(time.perf_counter() + HEARTBEAT_S, self._beat)
        kind, body = heartbeat_form("51ca11e5-00000001")
        with contextlib.suppress(OSError):
            self._post("/devicemanagement/php/receivedeviceinfo.php", kind, body)

    def _post(self, path: str, kind: str, body: bytes) -> float:
        """Raises `OSError` where nobody listens."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: IVS\r\nContent-Type: {kind}\r\n"
            f"Connection: keep-alive\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection = socket.create_connection(("127.0.0.1", self._camera_port), 2.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pushes[connection.fileno()] = _Push(connection)
        self._poll.register(connection, select.POLLIN)
        begin_s = time.perf_counter()
        connection.sendall(head.encode() + body)
        return begin_s

    def _answered(self, fd: int) -> None:
        push = self._pushes[fd]
        try:
            data = push.connection.recv(4096)
        except OSError:
            data = b""
        push.answer += data
        if not data or b"\r\n\r\n" in push.answer:
            self._poll.unregister(fd)
            push.connection.close()
            del self._pushes[fd]
