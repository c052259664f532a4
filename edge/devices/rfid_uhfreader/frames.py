"""How `kakou frames` shows frames of UHFReaders: one message a tag. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_uhfreader import wire

FROM_READER = "reader->host"
TO_READER = "host->reader"

Shown = list[list[dict[str, object]] | ReadGarbled | ReadTruncated]


def decode_18(data: bytes) -> Shown:
    return _decode(wire.Make.UHFREADER18, data)


def decode_288(data: bytes) -> Shown:
    return _decode(wire.Make.UHFREADER288, data)


def _decode(make: wire.Make, data: bytes) -> Shown:
    cutter = wire.decoder(make)
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def show(message: wire.Message) -> list[dict[str, object]]:
    """An inventory's frame gives one message a tag, or one that says that it has none."""
    match message:
        case wire.Inventory():
            frame = _head(message.cmd, message.addr, message.status) | _antennas(message.antennas)
            if not message.tags:
                return [{"type": "inventory", **frame, "number": 0}]
            return [_tag(frame, tag) for tag in message.tags]
        case wire.Report():
            frame = _head(wire.REPORT, message.addr, wire.SUCCESS) | _antennas(message.antennas)
            return [_tag(frame, message.tag)]
        case wire.Heartbeat():
            head = _head(wire.REPORT, message.addr, wire.HEARTBEAT)
            return [{"type": "heartbeat", **head, "number": message.number, "total": message.total}]
        case wire.Statistics():
            head = _head(message.cmd, message.addr, wire.STATISTICS) | _antennas(message.antennas)
            return [{"type": "statistics", **head, "read_rate": message.read_rate, "total": message.total}]
        case wire.Information():
            head = _head(wire.INFORMATION, message.addr, wire.SUCCESS)
            return [
                {
                    "type": "information",
                    **head,
                    "version": message.version,
                    "reader_type": f"{message.kind:02X}",
                    "power_dbm": message.power_dbm,
                    "scan_ms": message.scan_ms,
                }
            ]
        case wire.Answer():
            head = _head(message.cmd, message.addr, message.status)
            return [{"type": "answer", **head, "name": message.name, "data": message.data.hex().upper()}]
        case wire.Command():
            return [
                {
                    "type": "command",
                    "dir": TO_READER,
                    "cmd": message.cmd,
                    "command": wire.COMMANDS[message.cmd],
                    "addr": message.addr,
                    "data": message.data.hex().upper(),
                }
            ]
        case _:
            assert_never(message)


def _head(cmd: int, addr: int, status: int) -> dict[str, object]:
    return {
        "dir": FROM_READER,
        "cmd": cmd,
        "command": wire.COMMANDS[cmd],
        "addr": addr,
        "status": status,
    }


def _antennas(antennas: int | None) -> dict[str, object]:
    return {"antenna": wire.antenna_of(antennas), "antenna_bitmask": antennas}


def _tag(frame: dict[str, object], tag: wire.Tag) -> dict[str, object]:
    return {"type": "tag", **frame, "epc": tag.epc, "rssi": tag.rssi_raw}
