"""EM4100 card reader: renames reads to cards. Settings only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.card_listening import CardDriver
from edge.devices.readings import CardSeen
from edge.devices.rfid_em125 import wire
from edge.devices.settings import setting


@dataclass(frozen=True, slots=True)
class Settings:
    framing: Literal["ascii", "binary", "bare"] = setting(
        "ascii", "digits between STX and ETX, the ten-byte frame, or twelve digits alone"
    )
    quiet_s: float = setting(0.1, "silence that ends (bare) or cuts off a read", least=0.001, most=10)


def em125(settings: Settings) -> CardDriver:
    return CardDriver(wire.decoder(wire.Framing(settings.framing)), _card, settings.quiet_s)


def _card(card: wire.Card) -> CardSeen:
    return CardSeen(card.number, "em125")
