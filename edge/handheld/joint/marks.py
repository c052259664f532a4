"""How far a glass was heard, kept in the same transaction as what came of it. Pure.

The core may be killed between the commit of an event's effects and its `Done`. The glass then says the event
again; the mark beside the machine's memory tells that it was stepped already. So an event said by a glass
that lives is stepped exactly once, whenever the core dies.
"""

from __future__ import annotations

import msgspec


class Mark(msgspec.Struct, frozen=True, array_like=True):
    run: str
    """Of the glass."""
    number: int


class _Marked(msgspec.Struct, frozen=True):
    marked: int
    """The version of this wrapping."""
    mark: Mark
    memory: msgspec.Raw


def with_mark(memory: bytes, mark: Mark | None) -> bytes:
    """`memory` (JSON) as it goes into the journal. Without a mark it stays as it is."""
    if mark is None:
        return memory
    return msgspec.json.encode(_Marked(1, mark, msgspec.Raw(memory)))


def without_mark(stored: bytes) -> tuple[bytes, Mark | None]:
    """What `with_mark` made, or a memory that never had one."""
    try:
        marked = msgspec.json.decode(stored, type=_Marked)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return stored, None
    return bytes(marked.memory), marked.mark
