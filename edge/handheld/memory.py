"""What a handheld keeps of itself over a restart: settings and every room's draft, as JSON beside the facts.

Each room is read back on its own: one that a later version cannot read any more costs nobody else's draft.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge.handheld import obeying, signing_in
from edge.handheld.context import Settings
from edge.handheld.view import Page

MOST_BYTES: Final = 8_000_000
"""Every commit writes it anew: rooms keep numbers and hashes here, never pictures."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    settings: Settings = Settings()
    page: Page = Page.SCAN
    """Where the officer stood."""
    signing_in: signing_in.Kept = signing_in.Kept()
    obeying: obeying.State = obeying.State()


_KINDS: Final[dict[str, Any]] = {field.name: field.type for field in msgspec.structs.fields(Memory)}


def write(memory: Memory) -> bytes:
    return msgspec.json.encode(memory)


def read(raw: bytes | None) -> tuple[Memory, tuple[str, ...]]:
    """(memory, what of it could not be read)."""
    if raw is None:
        return Memory(), ()
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return Memory(), (f"the whole memory: {error}",)
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, part in parts.items():
        kind = _KINDS.get(name)
        if kind is None:
            problems.append(f"{name}: not of this version")
            continue
        try:
            found[name] = msgspec.json.decode(part, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            problems.append(f"{name}: {error}")
    return Memory(**found), tuple(problems)
