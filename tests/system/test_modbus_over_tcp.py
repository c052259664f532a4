"""Our driver on a real socket against pymodbus's own server: Modbus TCP, and RTU as serial servers do."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymodbus import FramerType, datastore
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.server import ModbusTcpServer

from edge.devices.catalogue import driver_maker
from edge.devices.readings import InputsSeen, Order, OrderDone, Reading, SetRelay
from edge.gate.translation import is_valid
from edge.runtime.channels import SerialAddress
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import Device, Supervisor

pytestmark = pytest.mark.system

INPUTS = [place in (2, 3, 5, 6, 7) for place in range(16)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def board() -> Any:
    # the library renames its datastore from release to release
    make: Any = datastore
    unit = make.ModbusDeviceContext(
        di=make.ModbusSequentialDataBlock(1, INPUTS), co=make.ModbusSequentialDataBlock(1, [False] * 8)
    )
    return make.ModbusServerContext(devices={1: unit}, single=False)


@contextmanager
def serving(framer: FramerType) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
    """(port, the coils that were written, as the server understood them)."""
    port, context = free_port(), board()
    written: list[tuple[int, bool]] = []
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    servers: list[Any] = []

    def note(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if isinstance(pdu, WriteSingleCoilRequest) and not sending:
            written.append((pdu.address, pdu.bits[0]))
        return pdu

    async def run() -> None:
        servers.append(ModbusTcpServer(context, framer=framer, address=("127.0.0.1", port), trace_pdu=note))
        ready.set()
        await servers[0].serve_forever()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(5.0)
    assert until(lambda: answers(port))
    try:
        yield port, written
    finally:
        asyncio.run_coroutine_threadsafe(servers[0].shutdown(), loop).result(5.0)
        thread.join(5.0)


def answers(port: int) -> bool:
    """`serve_forever` binds some time after it was called."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def until(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


@pytest.mark.parametrize(
    ("framing", "framer"), [("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)], ids=["tcp", "rtu over tcp"]
)
def test_inputs_are_read_and_relays_switched_through_a_real_socket(framing: str, framer: FramerType) -> None:
    told: list[Reading] = []
    with serving(framer) as (port, written):
        supervisor: Supervisor[Reading, Order] = Supervisor(
            [
                Device(
                    "io",
                    SerialAddress(url=f"socket://127.0.0.1:{port}"),
                    driver_maker("io.modbus_rtu", {"framing": framing, "reply_timeout_s": 1.0}),
                    2.0,
                )
            ],
            SystemClock(),
            on_reading=lambda at_s, device, reading: told.append(reading),
            on_report=lambda at_s, report: None,
            is_valid=is_valid,
        )
        supervisor.start()
        try:
            assert until(lambda: any(isinstance(r, InputsSeen) for r in told))
            for number, on in ((0, True), (1, False), (2, True)):
                supervisor.order("io", str(number), SetRelay(3, on=on))
                assert until(lambda number=number: OrderDone(str(number)) in told)  # type: ignore[misc]
            health = supervisor.health()["io"]
        finally:
            supervisor.stop()
    assert written == [(3, True), (3, False), (3, True)]
    assert {r.values for r in told if isinstance(r, InputsSeen)} == {tuple(INPUTS)}
    assert (health.spoilt, health.losses) == (0, 0)
