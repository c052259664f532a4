"""Card reader behind a Wiegand-to-serial converter: renames reads to cards. Settings only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.card_listening import CardDriver
from edge.devices.readings import CardSeen
from edge.devices.rfid_wiegand import wire
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    framing: Literal["bits", "hex", "bytes", "bytes_left", "data"] = setting(
        "bits", "how the converter writes the bits; data has no parity and so no check"
    )
    ending: Literal["line", "quiet"] = setting(
        "line", "what ends a text: CR or LF, or silence; bytes: silence"
    )
    quiet_s: float = setting(0.1, "silence that ends or cuts off a read", least=0.001, most=10)


def wiegand26(settings: Settings) -> CardDriver:
    return _driver(settings, 26)


def wiegand34(settings: Settings) -> CardDriver:
    return _driver(settings, 34)


def _driver(settings: Settings, size: wire.Size) -> CardDriver:
    decoder = wire.decoder(size, (wire.Framing(settings.framing),), quiet_ends=settings.ending == "quiet")
    return CardDriver(decoder, _card, settings.quiet_s)


def _card(card: wire.Card) -> CardSeen:
    return CardSeen(card.printed, "wiegand26" if card.size == 26 else "wiegand34")
