"""How `kakou frames` shows the X-ray line stream. Names only, no judgement; values where they are few."""

from __future__ import annotations

import array
import sys
from typing import assert_never

from edge.devices.readings import ReadGarbled, ReadTruncated
from edge.devices.xray_line_stream import wire

_FLAGS = {
    "object": wire.OBJECT,
    "begin": wire.BEGIN,
    "end": wire.END,
    "source_on": wire.SOURCE_ON,
    "empty": wire.EMPTY,
    "dark": wire.DARK,
    "corrected": wire.CORRECTED,
}
_MOST_SHOWN = 64
"""Values of a block; a longer one is told by its least and largest."""


def decode(data: bytes) -> list[dict[str, object] | ReadGarbled | ReadTruncated]:
    decoder = wire.Decoder()
    return [
        m if isinstance(m, ReadGarbled | ReadTruncated) else show(m)
        for m in decoder.feed(data) + decoder.quiet()
    ]


def show(message: wire.Message) -> dict[str, object]:
    match message:
        case wire.Hello():
            return {
                "type": "hello",
                "number": message.number,
                "start": f"{message.start:016x}",
                "time_us": message.time_us,
                "pixels": message.pixels,
                "most_lines": message.most_lines,
                "bits": message.bits,
                "by_encoder": message.by_encoder,
                "mm_per_pixel": message.pixel_um / 1000,
                "mm_per_count": message.count_nm / 1_000_000,
                "serial": message.serial,
                "firmware": message.firmware,
            }
        case wire.Lines():
            return {
                "type": "lines",
                "number": message.number,
                "flags": [name for name, bit in _FLAGS.items() if message.flags & bit],
                "picture": message.picture,
                "lines": message.lines,
                "pixels": message.pixels,
                "first_us": message.first_us,
                "last_us": message.last_us,
                "first_count": message.first_count,
                "last_count": message.last_count,
                "status": wire.STATUSES[message.status],
                "low": _values(message.low),
                "high": _values(message.high),
            }
        case wire.State():
            return {
                "type": "state",
                "number": message.number,
                "time_us": message.time_us,
                "count": message.count,
                "source_on": message.source_on,
                "belt_running": message.belt_running,
                "belt_forward": message.belt_forward,
                "jam": message.jam,
                "emergency_stop": message.emergency_stop,
                "interlock_open": message.interlock_open,
                "warming_up": message.warming_up,
                "fault": message.fault,
                "fault_code": message.fault_code,
                "kilovolts": message.decivolts_k / 10,
                "microamperes": message.microamperes,
            }
        case _:
            assert_never(message)


def _values(block: bytes) -> list[int] | dict[str, int]:
    values = array.array("H", block)
    if sys.byteorder == "big":
        values.byteswap()
    if len(values) <= _MOST_SHOWN:
        return list(values)
    return {"least": min(values), "largest": max(values)}
