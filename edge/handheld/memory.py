"""What a handheld keeps of itself over a restart: settings and every room's draft, as JSON beside the facts.

Each room is read back on its own: one that a later version cannot read any more costs nobody else's draft.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from edge.handheld import batch, inspection, lane_help, obeying, patrol, signing_in, stock_take
from edge.handheld.context import Settings
from edge.handheld.view import Page
from sync.vocabulary.codec import Malformed, decoder, to_json

MOST_BYTES: Final = 8_000_000
"""Every commit writes it anew: rooms keep numbers and hashes here, never pictures."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings = Settings()
    page: Page = Page.SCAN
    """Where the officer stood."""
    signing_in: signing_in.Kept = signing_in.Kept()
    obeying: obeying.State = obeying.State()
    batch: batch.State = batch.State()
    inspection: inspection.State = inspection.State()
    patrol: patrol.State = patrol.State()
    stock_take: stock_take.State = stock_take.State()
    lane_help: lane_help.State = lane_help.State()


def _readers() -> dict[str, Callable[[bytes | str], Any]]:
    """Resolved outside the class, where its fields' names hide the modules'."""
    kinds: dict[str, Any] = {"settings": Settings, "page": Page, "signing_in": signing_in.Kept}
    rooms = (obeying, batch, inspection, patrol, stock_take, lane_help)
    kinds |= {room.__name__.rpartition(".")[2]: room.State for room in rooms}
    return {name: decoder(kind) for name, kind in kinds.items()}


_READERS: Final = _readers()


def write(memory: Memory) -> bytes:
    return to_json(memory)


def read(raw: bytes | None) -> tuple[Memory, tuple[str, ...]]:
    """(memory, what of it could not be read)."""
    if raw is None:
        return Memory(), ()
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Memory(), (f"the whole memory: {error}",)
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, part in parts.items():
        reader = _READERS.get(name)
        if reader is None:
            problems.append(f"{name}: not of this version")
            continue
        try:
            found[name] = reader(bytes(part))
        except Malformed as error:
            problems.append(f"{name}: {error}")
    return Memory(**found), tuple(problems)
