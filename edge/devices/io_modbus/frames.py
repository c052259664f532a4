"""How `kakou frames` shows Modbus frames, requests and answers: RTU, and Modbus TCP where there is no RTU.
Names only, no judgement.
"""

from __future__ import annotations

from typing import assert_never

from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire
from edge.devices.readings import ReadGarbled, ReadTruncated


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter: Cutter[wire.Message | ReadGarbled] = Cutter(wire.look_any)
    found = [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]
    if any(isinstance(each, dict) for each in found):
        return found
    tcp: Cutter[wire.TcpFrame] = Cutter(wire.look_any_tcp)
    over_tcp = [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m.message) | {"transaction": m.transaction}
        for m in tcp.feed(data) + tcp.quiet()
    ]
    return over_tcp if any(isinstance(each, dict) for each in over_tcp) else found


def show(message: wire.Message) -> dict[str, object]:
    """`values`: booleans for bits, numbers for registers and for coil values other than on and off."""
    match message:
        case wire.ReadRequest(unit, function, address, count):
            return _row("read_request", unit, function, address=address, values=[], count=count)
        case wire.BitsReply(unit, function, values):
            return _row("bits", unit, function, address=None, values=list(values))
        case wire.RegistersReply(unit, function, registers):
            return _row("registers", unit, function, address=None, values=list(registers))
        case wire.WriteOne(unit, wire.WRITE_COIL, address, value):
            return _write_coil(unit, address, value)
        case wire.WriteOne(unit, function, address, value):
            return _row("write_register", unit, function, address=address, values=[value])
        case wire.WriteCoils(unit, address, values):
            return _row("write_coils", unit, wire.WRITE_COILS, address=address, values=list(values))
        case wire.WriteCoilsReply(unit, address, count):
            return _row("coils_written", unit, wire.WRITE_COILS, address=address, values=[], count=count)
        case wire.ExceptionReply(unit, function, code):
            return _row(
                "exception", unit, function, address=None, values=[], exception=code, name=message.name
            )
        case _:
            assert_never(message)


def _write_coil(unit: int, address: int, value: int) -> dict[str, object]:
    on = {wire.ON: True, wire.OFF: False}.get(value, value)
    pulses = (("flash_on", wire.FLASH_ON), ("flash_off", wire.FLASH_OFF))
    for name, base in pulses:
        if base <= address < base + 0x100 and type(on) is int:
            return _row(
                name, unit, wire.WRITE_COIL, address=address, values=[on],
                channel=address - base, duration_ms=value * 100,
            )  # fmt: skip
    return _row("write_coil", unit, wire.WRITE_COIL, address=address, values=[on])


def _row(kind: str, unit: int, function: int, **fields: object) -> dict[str, object]:
    return {"type": kind, "function": function, "unit_id": unit, **fields}
