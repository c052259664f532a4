"""How `kakou frames` shows R2000 frames, requests and answers. Names only, no judgement."""

from __future__ import annotations

from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.rfid_r2000 import wire

FROM_READER = "reader->host"
TO_READER = "host->reader"


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    cutter = wire.decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in cutter.feed(data) + cutter.quiet()
    ]


def _named(cmd: int) -> str:
    return wire.COMMANDS.get(cmd, "unknown")


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Tag():
            return {
                "type": "tag",
                "dir": FROM_READER,
                "cmd": f"{message.cmd:02X}",
                "command": _named(message.cmd),
                "addr": message.addr,
                "epc": message.epc,
                "antenna": message.antenna,
                "rssi": message.rssi_raw,
                "rssi_raw": message.rssi_raw,
                "rssi_dbm": message.rssi_dbm,
                "freq_index": message.freq_index,
                "pc": f"{message.pc:04X}",
                "pc_words": message.pc >> 11,
            }
        case wire.InventoryEnd():
            return {
                "type": "inventory_end",
                "dir": FROM_READER,
                "cmd": f"{message.cmd:02X}",
                "command": _named(message.cmd),
                "addr": message.addr,
                "antenna": message.antenna,
                "read_rate": message.read_rate,
                "total": message.total,
                "duration_ms": message.duration_ms,
            }
        case wire.Outcome():
            return {
                "type": "success" if message.code == wire.SUCCESS else "error",
                "dir": FROM_READER,
                "cmd": f"{message.cmd:02X}",
                "command": _named(message.cmd),
                "addr": message.addr,
                "code": f"{message.code:02X}",
                "name": message.name,
                "antenna": message.antenna,
            }
        case wire.Firmware():
            return {
                "type": "firmware",
                "dir": FROM_READER,
                "cmd": f"{wire.FIRMWARE:02X}",
                "command": _named(wire.FIRMWARE),
                "addr": message.addr,
                "version": f"{message.major}.{message.minor}",
            }
        case wire.Command():
            return {
                "type": "command",
                "dir": TO_READER,
                "cmd": f"{message.cmd:02X}",
                "command": _named(message.cmd),
                "addr": message.addr,
                "data": message.data.hex().upper(),
            }
        case _:
            assert_never(message)
