"""Plain text board: turns rows into lines. The board answers nothing, so done means written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.driver import Output
from edge.devices.led_ascii import wire
from edge.devices.readings import Order, OrderDone, OrderRefused, ReadGarbled, ShowText
from edge.devices.settings import SettingError, SettingsRefused, setting

_ENDINGS = {"crlf": b"\r\n", "cr": b"\r", "lf": b"\n"}


@dataclass(frozen=True, slots=True)
class Settings:
    rows: int = setting(2, "rows of the board; rows not given are blanked", least=1, most=16)
    row_width: int = setting(0, "bytes a row can show; longer texts are cut; 0: 512", least=0, most=512)
    encoding: Literal["ascii", "gb2312"] = setting("gb2312", "how the board reads text")
    ending: Literal["crlf", "cr", "lf"] = setting("crlf", "what ends a line")
    row_word: str = setting(
        "[{}]",
        "says which row a line is for, {} is its number from 1; empty: the board counts lines",
        most=16,
    )
    red: str = setting("[R]", "colour word; empty: not sent", most=16)
    green: str = setting("[G]", "colour word; empty: not sent", most=16)
    amber: str = setting("[Y]", "colour word; empty: not sent", most=16)
    voice_word: str = setting("", "begins a line that is to be spoken; empty: nothing is spoken", most=16)


class AsciiBoardDriver:
    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where a word cannot be sent or told from another."""
        self._settings = settings
        self._words = _words(settings)

    def opened(self, at_s: float) -> Output:
        return Output()

    def received(self, at_s: float, data: bytes) -> Output:
        """No answer is known: whatever comes is noise."""
        return Output((ReadGarbled(data[:64], "a board that only listens said something"),) if data else ())

    def due(self, at_s: float) -> Output:
        return Output()

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if not isinstance(order, ShowText):
            return Output((OrderRefused(order_id, f"a board takes no {type(order).__name__}"),))
        if order.colour not in ("red", "green", "amber"):
            why = f"colour {order.colour!r}: one of red, green, amber expected"
            return Output((OrderRefused(order_id, why),))
        return Output((OrderDone(order_id),), send=self._lines(order))

    def _lines(self, order: ShowText) -> bytes:
        """Texts beyond the board's rows are joined into the last row: a driver may need them."""
        last = self._settings.rows - 1
        texts = [*order.rows[:last], " ".join(order.rows[last:])]
        texts += [""] * (self._settings.rows - len(texts))
        messages: list[wire.Message] = [
            wire.Line(text or " ", row, order.colour) for row, text in enumerate(texts)
        ]
        if order.voice and self._words.voice:
            messages.append(wire.Voice(order.voice))
        most = self._settings.row_width or wire.MOST_BYTES
        return b"".join(
            wire.encode(each, self._words, most if isinstance(each, wire.Line) else wire.MOST_BYTES)
            for each in messages
        )


def _words(settings: Settings) -> wire.Words:
    words = {name: getattr(settings, name) for name in ("row_word", "red", "green", "amber", "voice_word")}
    errors = [
        SettingError(name, "printable ASCII", repr(word))
        for name, word in words.items()
        if not (word.isascii() and word.isprintable())
    ]
    if settings.row_word and settings.row_word.count("{}") != 1:
        errors.append(SettingError("row_word", "one {} for the row's number", repr(settings.row_word)))
    if settings.voice_word and settings.row_word.startswith(settings.voice_word):
        errors.append(SettingError("voice_word", "not how row_word begins", repr(settings.voice_word)))
    if errors:
        raise SettingsRefused(tuple(errors))
    colours = (("red", settings.red), ("green", settings.green), ("amber", settings.amber))
    ending = _ENDINGS[settings.ending]
    return wire.Words(settings.row_word, colours, settings.voice_word, ending, settings.encoding)
