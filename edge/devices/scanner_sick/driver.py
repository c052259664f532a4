"""SICK CLV or Lector: triggered by opening its reading gate, which is closed again after a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.scanner_line.session import Trigger
from edge.devices.scanner_line.triggered import AIMS, Times, TriggeredDriver, hex_bytes
from edge.devices.scanner_line.wire import Ending, Rules
from edge.devices.scanner_sick import wire
from edge.devices.settings import setting

NO_READ = wire.NO_READ


@dataclass(frozen=True, slots=True)
class Settings:
    quiet_s: float = setting(0.1, "silence that cuts off a text", least=0.001, most=10)
    aim: Literal["none", "allowed", "required"] = setting(
        "allowed", "AIM identifiers such as ]C0 in front of the text"
    )
    encoding: Literal["auto", "utf-8", "gb18030"] = setting(
        "auto", "how the scanner sends what is not ASCII; auto: UTF-8 where it can be, else GB 18030"
    )
    prefix_hex: str = setting("", "bytes the scanner is set to send before every text, hex", most=64)
    no_read: tuple[str, ...] = setting(NO_READ, "texts that mean nothing was read", least=1, most=64)
    max_bytes: int = setting(4096, "longest text", least=1, most=65536)
    read_s: float = setting(5.0, "how long a triggered read may take", least=0.1, most=300)
    reply_s: float = setting(
        0.5,
        "how long an answer to a command, and a last text after the trigger is taken back, may take",
        least=0.01,
        most=10,
    )


def make(settings: Settings) -> TriggeredDriver:
    """Raises `SettingsRefused` where `prefix_hex` is not hex."""
    rules = Rules(
        Ending.ETX,
        AIMS[settings.aim],
        settings.no_read,
        settings.max_bytes,
        settings.encoding,
        hex_bytes("prefix_hex", settings.prefix_hex),
    )
    trigger = Trigger(wire.TRIGGER_ON, wire.TRIGGER_OFF, answered=True, off_after_code=True)
    times = Times(settings.quiet_s, settings.read_s, settings.reply_s)
    return TriggeredDriver(lambda: wire.decoder(rules), trigger, times)
