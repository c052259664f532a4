"""The X-ray line's drivers on real sockets: a machine that hangs up in mid-picture, pymodbus's own server."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pymodbus import FramerType, datastore
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.pdu.register_message import ReadInputRegistersResponse
from pymodbus.server import ModbusTcpServer

from edge.devices.catalogue import driver_maker
from edge.devices.readings import (
    BeltSeen,
    EnergiseOutput,
    Order,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    ReleaseOutput,
    XrayPictureSeen,
)
from edge.runtime.channels import SerialAddress
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import Device, DeviceReport, PortLost, Supervisor

pytestmark = pytest.mark.system

PIXELS = 320


def until(holds: Callable[[], bool], within_s: float = 15.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


def is_valid(reading: Reading) -> bool:
    return not isinstance(reading, ReadTruncated | ReadGarbled | OrderRefused)


def framed(kind: int, flags: int, number: int, body: bytes) -> bytes:
    head = b"KXLS" + struct.pack("<BBHII", 1, kind, flags, number, len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body + struct.pack("<I", zlib.crc32(body))


def hello(number: int) -> bytes:
    body = struct.pack("<QQHHBBHII16s16s", 99, 0, PIXELS, 16, 16, 1, 0, 800, 100_000, b"M", b"1")
    return framed(1, 0, number, body)


def lines(number: int, flags: int, picture: int, value: int) -> bytes:
    first = 8 * 16 * number
    body = struct.pack("<QQIIIHHB3s", 0, 0, first, first + 120, picture, 16, PIXELS, 0, b"")
    return framed(2, flags, number, body + np.full(2 * 16 * PIXELS, value, "<u2").tobytes())


def machine_talk() -> tuple[bytes, bytes]:
    """Two connections: the first ends in the middle of picture 2, the second begins at frame 14."""
    empty = [lines(n, 8 | 16, 0, 40_000) for n in range(4)]
    first = [lines(n, 8 | 1 | 2 * (n == 4) | 4 * (n == 7), 1, 20_000) for n in range(4, 8)]
    second = [lines(n, 8 | 1 | 2 * (n == 8), 2, 20_000) for n in range(8, 11)]
    third = [lines(n, 8 | 1 | 2 * (n == 15) | 4 * (n == 18), 3, 30_000) for n in range(15, 19)]
    one = b"".join((hello(0), *empty, *first, *second))
    end_of_second = lines(14, 8 | 1 | 4, 2, 20_000)
    return one[:-5000], b"".join((hello(14), end_of_second, *third))


def test_a_machine_that_hangs_up_in_mid_picture_is_called_again_and_only_whole_pictures_are_whole() -> None:
    told: list[Reading] = []
    reports: list[DeviceReport] = []
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10.0)

        def serve() -> None:
            for said in machine_talk():
                connection, _ = server.accept()
                with connection:
                    for at in range(0, len(said), 7_001):
                        connection.sendall(said[at : at + 7_001])
                    if said.endswith(machine_talk()[1][-8:]):
                        until(lambda: len(pictures(told)) == 3)
                    connection.settimeout(0.2)
                    try:
                        heard.append(connection.recv(100))
                    except TimeoutError:
                        heard.append(b"")

        machine = threading.Thread(target=serve, daemon=True)
        machine.start()
        address = SerialAddress(url=f"socket://127.0.0.1:{server.getsockname()[1]}")
        supervisor: Supervisor[Reading, Order] = Supervisor(
            [Device("xray", address, driver_maker("xray.line_stream", {"air_value": 60000}), 3.0)],
            SystemClock(),
            on_reading=lambda at_s, device, reading: told.append(reading),
            on_report=lambda at_s, report: reports.append(report),
            is_valid=is_valid,
        )
        supervisor.start()
        try:
            assert until(lambda: len(pictures(told)) == 3)
            machine.join(5.0)
        finally:
            supervisor.stop()
    found = [(p.picture[-1], p.status, p.lost_frames, int(p.low[0, 0])) for p in pictures(told)]
    # frame 10 was cut off, 11 to 13 were sent to nobody
    assert found == [
        ("1", "SUCCESSFUL", 0, 30_000),
        ("2", "INCOMPLETE", 4, 30_000),
        ("3", "SUCCESSFUL", 0, 45_000),
    ]
    assert any(isinstance(report, PortLost) for report in reports)
    assert b"".join(heard) == b""


def pictures(told: list[Reading]) -> list[XrayPictureSeen]:
    return [reading for reading in told if isinstance(reading, XrayPictureSeen)]


@contextmanager
def board() -> Iterator[tuple[int, Callable[[int], None], list[tuple[int, bool]]]]:
    """(port, set the counter, coils as the server understood them)."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    # the library renames its datastore from release to release
    make: Any = datastore
    unit = make.ModbusDeviceContext(
        di=make.ModbusSequentialDataBlock(1, [bool(0x1F3F >> n & 1) for n in range(16)]),
        co=make.ModbusSequentialDataBlock(1, [False] * 1024),
        ir=make.ModbusSequentialDataBlock(1, [0, 0]),
    )
    context = make.ModbusServerContext(devices={1: unit}, single=False)
    written: list[tuple[int, bool]] = []
    counter = [0x0001, 0xE240]
    loop = asyncio.new_event_loop()
    servers: list[Any] = []
    ready = threading.Event()

    def note(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if isinstance(pdu, WriteSingleCoilRequest) and not sending:
            written.append((pdu.address, pdu.bits[0]))
        if isinstance(pdu, ReadInputRegistersResponse) and sending:
            pdu.registers = list(counter)
        return pdu

    async def run() -> None:
        server = ModbusTcpServer(
            context, framer=FramerType.SOCKET, address=("127.0.0.1", port), trace_pdu=note
        )
        servers.append(server)
        ready.set()
        await server.serve_forever()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.close()

    def count(value: int) -> None:
        counter[:] = [value >> 16, value & 0xFFFF]

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(5.0)
    try:
        yield port, count, written
    finally:
        asyncio.run_coroutine_threadsafe(servers[0].shutdown(), loop).result(5.0)
        thread.join(5.0)


def test_the_belt_is_followed_and_a_late_pass_not_sent_through_a_real_socket_and_another_modbus() -> None:
    told: list[tuple[float, Reading]] = []
    with board() as (port, count, written):
        supervisor: Supervisor[Reading, Order] = Supervisor(
            [
                Device(
                    "belt",
                    SerialAddress(url=f"socket://127.0.0.1:{port}"),
                    driver_maker("xray.belt_io", {"reply_timeout_s": 1.0, "stale_s": 2.0, "gone_s": 5.0}),
                    2.0,
                )
            ],
            SystemClock(),
            on_reading=lambda at_s, device, reading: told.append((at_s, reading)),
            on_report=lambda at_s, report: None,
            is_valid=is_valid,
        )
        supervisor.start()
        try:
            assert until(lambda: any(isinstance(r, BeltSeen) for _, r in told))
            count(123_456 + 500)
            assert until(lambda: 50.0 in [r.belt_mm for _, r in told if isinstance(r, BeltSeen)])
            supervisor.order("belt", "red", ReleaseOutput("tower_red"))
            late_s = time.monotonic() - 1.0
            supervisor.order("belt", "late", EnergiseOutput("pass", 0.5, not_after_s=late_s))
            assert until(lambda: {"red", "late"} <= answered(told))
            health = supervisor.health()["belt"]
        finally:
            supervisor.stop()
    assert written == [(4, False)]
    # the refused order is the one that is no reading
    assert health.spoilt == 1
    first = next(r for _, r in told if isinstance(r, BeltSeen))
    assert (first.belt_mm, first.running, first.emergency_stop, first.blocked) == (0.0, True, False, ())


def answered(told: list[tuple[float, Reading]]) -> set[str]:
    return {r.order_id for _, r in told if isinstance(r, OrderDone | OrderRefused)}
