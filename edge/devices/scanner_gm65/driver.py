"""GM65 family module: triggered by writing its zone bit, which it answers, or reading by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.scanner_gm65 import wire
from edge.devices.scanner_line.session import Trigger
from edge.devices.scanner_line.triggered import AIMS, ENDINGS, Times, TriggeredDriver, hex_bytes
from edge.devices.scanner_line.wire import Rules
from edge.devices.settings import setting

NO_READ = ("ERROR", "NoRead", "NOREAD", "?")


@dataclass(frozen=True, slots=True)
class Settings:
    ending: Literal["cr", "lf", "crlf", "tab", "quiet"] = setting("cr", "what the scanner sends after a code")
    quiet_s: float = setting(0.1, "silence that ends (quiet) or cuts off a line", least=0.001, most=10)
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
    check: bool = setting(True, "commands carry their CRC; false: AB CD, which the module does not check")


def make(settings: Settings) -> TriggeredDriver:
    """Raises `SettingsRefused` where `prefix_hex` is not hex."""
    rules = Rules(
        ENDINGS[settings.ending],
        AIMS[settings.aim],
        settings.no_read,
        settings.max_bytes,
        settings.encoding,
        hex_bytes("prefix_hex", settings.prefix_hex),
    )
    trigger = Trigger(
        wire.trigger(on=True, checked=settings.check),
        wire.trigger(on=False, checked=settings.check),
        answered=True,
    )
    times = Times(settings.quiet_s, settings.read_s, settings.reply_s)
    return TriggeredDriver(lambda: wire.decoder(rules), trigger, times)
