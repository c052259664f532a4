"""Numbers a handheld gives to what it begins: unique for ever without asking anybody, the same when stepped
again. No clock, no chance."""

from __future__ import annotations

import re

from edge.handheld.context import Context

_DIGIT = re.compile(r"[0-9]")


def number_for(kind: str, context: Context, count: int) -> str:
    """Such as `PC-handheld-1-20261122083000-7`: device, UTC to the second, and the room's own counter, which
    outlives a restart in the memory; where the memory is new the time is later."""
    moment = "".join(_DIGIT.findall(context.utc))[:14]
    return f"{kind}-{context.device}-{moment}-{count}"
