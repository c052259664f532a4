"""Line scanner: renames lines to codes. A read cut off by quiet is never a code where an ending is set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from edge.devices.driver import NOTHING, Output
from edge.devices.readings import (
    CodeSeen,
    NothingRead,
    Order,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.scanner_line import wire
from edge.devices.settings import SettingError, SettingsRefused, setting

_ENDINGS = {
    "cr": wire.Ending.CR,
    "lf": wire.Ending.LF,
    "crlf": wire.Ending.CRLF,
    "tab": wire.Ending.TAB,
    "quiet": wire.Ending.QUIET,
}
_AIMS = {"none": wire.Aim.NONE, "allowed": wire.Aim.ALLOWED, "required": wire.Aim.REQUIRED}
NO_READ = ("ERROR", "NoRead", "NOREAD", "?")


@dataclass(frozen=True, slots=True)
class Settings:
    ending: Literal["cr", "lf", "crlf", "tab", "quiet"] = setting("cr", "what the scanner sends after a code")
    quiet_s: float = setting(0.1, "silence that ends (quiet) or cuts off a line", least=0.001, most=10)
    aim: Literal["none", "allowed", "required"] = setting(
        "allowed", "AIM identifiers such as ]C0 in front of the text"
    )
    no_read: tuple[str, ...] = setting(NO_READ, "texts that mean nothing was read", least=1, most=64)
    max_bytes: int = setting(4096, "longest line", least=1, most=65536)
    encoding: Literal["auto", "utf-8", "gb18030"] = setting(
        "auto", "how the scanner sends what is not ASCII; auto: UTF-8 where it can be, else GB 18030"
    )
    trigger_hex: str = setting(
        "", "bytes that start a read, hex; empty: the scanner triggers itself", most=128
    )


class ScannerDriver:
    """`TriggerRead` is done when its bytes are written: these scanners do not answer it."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where `trigger_hex` is not hex."""
        self._settings = settings
        self._trigger = _hex_bytes(settings.trigger_hex)
        rules = wire.Rules(
            _ENDINGS[settings.ending],
            _AIMS[settings.aim],
            settings.no_read,
            settings.max_bytes,
            settings.encoding,
        )
        self._lines = wire.decoder(rules)
        self._quiet_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._lines.clear()
        self._quiet_at_s = None
        return NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        late = self._gone_quiet(at_s)
        readings = late + [_to_reading(message) for message in self._lines.feed(data)]
        if data:
            self._quiet_at_s = at_s + self._settings.quiet_s if self._lines.holding else None
        return Output(tuple(readings), wake_at_s=self._quiet_at_s)

    def due(self, at_s: float) -> Output:
        return Output(tuple(self._gone_quiet(at_s)), wake_at_s=self._quiet_at_s)

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if isinstance(order, TriggerRead) and self._trigger:
            return Output((OrderDone(order_id),), send=self._trigger, wake_at_s=self._quiet_at_s)
        why = (
            "no trigger bytes are set"
            if isinstance(order, TriggerRead)
            else f"a scanner takes no {type(order).__name__}"
        )
        return Output((OrderRefused(order_id, why),), wake_at_s=self._quiet_at_s)

    def _gone_quiet(self, at_s: float) -> list[Reading]:
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return []
        self._quiet_at_s = None
        return [_to_reading(message) for message in self._lines.quiet()]


def _hex_bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise SettingsRefused((SettingError("trigger_hex", "bytes in hex", repr(text)),)) from None


def _to_reading(message: wire.Message) -> Reading:
    match message:
        case wire.Code(text, aim):
            return CodeSeen(text, aim)
        case wire.NoRead():
            return NothingRead()
        case ReadGarbled() | ReadTruncated():
            return message
        case _:
            assert_never(message)
