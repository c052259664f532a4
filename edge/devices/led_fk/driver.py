"""LED board: turns rows and a voice text into frames. The board answers nothing, so done means written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.driver import NOTHING, Output
from edge.devices.led_fk import wire
from edge.devices.readings import (
    Order,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    ShowText,
)
from edge.devices.settings import setting

_RGBA = {"red": b"\xff\0\0\0", "green": b"\0\xff\0\0", "amber": b"\xff\xff\0\0"}
_VOICE_OPTIONS = {"queue": 1, "interrupt": 2}


@dataclass(frozen=True, slots=True)
class Settings:
    rows: int = setting(4, "rows of the board; rows not given are blanked", least=1, most=16)
    row_width: int = setting(
        0, "GB2312 bytes a row shows standing still; longer texts run; 0: all stand", least=0, most=236
    )
    voice: Literal["queue", "interrupt", "none"] = setting(
        "interrupt", "a voice text joins the queue, interrupts it, or is not sent"
    )
    voice_prefix: str = setting(
        "", "put before every voice text, for modules that take volume or speed in the text, such as [v8]",
        most=32,
    )  # fmt: skip
    in_speed: int = setting(1, "speed of texts that run, 1 to 32", least=1, most=32)
    for_good: bool = setting(
        False, "write texts with command 67, which outlasts a power cut and wears the board's memory"
    )
    gap_s: float = setting(0.02, "rest between two frames", least=0, most=5)


class LedDriver:
    """A newer text replaces what is still being written; the older order is then refused."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heard = wire.decoder()
        self._order_id = ""
        self._waiting: list[bytes] = []
        self._next_at_s: float | None = None
        self._writing: list[wire.Row] = []
        self._lasting: list[wire.Row] = []
        """Rows in the board's memory: not written again while they stay the same."""

    def opened(self, at_s: float) -> Output:
        self._heard.clear()
        self._lasting = []
        if not self._waiting:
            return NOTHING
        self._waiting = []
        self._next_at_s = None
        return Output((OrderRefused(self._order_id, "the line was opened again before all was written"),))

    def received(self, at_s: float, data: bytes) -> Output:
        """No answer is known for these boards (an echo of ours may come): only noise is reported."""
        readings = tuple(m for m in self._heard.feed(data) if isinstance(m, ReadGarbled | ReadTruncated))
        return Output(readings, wake_at_s=self._next_at_s)

    def due(self, at_s: float) -> Output:
        if self._next_at_s is None or at_s < self._next_at_s:
            return Output(wake_at_s=self._next_at_s)
        return self._write(at_s, ())

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if not isinstance(order, ShowText):
            refused = OrderRefused(order_id, f"an LED board takes no {type(order).__name__}")
            return Output((refused,), wake_at_s=self._next_at_s)
        if order.colour not in _RGBA:
            refused = OrderRefused(order_id, f"colour {order.colour!r}: one of {', '.join(_RGBA)} expected")
            return Output((refused,), wake_at_s=self._next_at_s)
        replaced: tuple[Reading, ...] = ()
        if self._waiting:
            replaced = (OrderRefused(self._order_id, "replaced by a newer text"),)
        self._order_id = order_id
        self._waiting = self._frames(order)
        return self._write(at_s, replaced)

    def _write(self, at_s: float, readings: tuple[Reading, ...]) -> Output:
        if not self._waiting:
            self._next_at_s = None
            return Output((*readings, OrderDone(self._order_id)))
        if self._settings.gap_s == 0:
            frame, self._waiting = b"".join(self._waiting), []
        else:
            frame = self._waiting.pop(0)
        if not self._waiting:
            self._next_at_s = None
            self._lasting = self._writing
            return Output((*readings, OrderDone(self._order_id)), frame)
        self._next_at_s = at_s + self._settings.gap_s
        return Output(readings, frame, self._next_at_s)

    def _frames(self, order: ShowText) -> list[bytes]:
        """Texts beyond the board's rows are joined into the last row: a driver may need them."""
        last = self._settings.rows - 1
        texts = [*order.rows[:last], " ".join(order.rows[last:])]
        texts += [""] * (self._settings.rows - len(texts))
        self._writing = [
            wire.Row(
                row,
                text or " ",
                _RGBA[order.colour],
                in_mode=self._in_mode(text),
                in_speed=self._settings.in_speed,
                for_good=self._settings.for_good,
            )
            for row, text in enumerate(texts)
        ]
        known = self._settings.for_good and self._writing == self._lasting
        messages: list[wire.Message] = [] if known else [*self._writing]
        if not known:
            # until all of it is written nobody knows what stands there
            self._lasting = []
        if order.voice and self._settings.voice != "none":
            said = self._settings.voice_prefix + order.voice
            messages.append(wire.Voice(_VOICE_OPTIONS[self._settings.voice], said))
        return [wire.encode(message) for message in messages]

    def _in_mode(self, text: str) -> int:
        runs = 0 < self._settings.row_width < len(wire.gb2312(text, wire.MOST_TEXT_BYTES))
        return wire.CONTINUOUS if runs else wire.AT_ONCE
