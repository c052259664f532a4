"""What was told already, so that a device which says it again changes nothing. Knows no device, no clock."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable


class Repeats:
    """Keys of what was told, oldest forgotten first. Shared by the drivers of one device's connections.

    Single dict operations only, so drivers on different threads need no lock.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[Hashable, object] = {}

    def is_new(self, key: Hashable | None) -> bool:
        """True once for each key; always for None, which says nothing of what it stands for."""
        if key is None:
            return True
        mark = object()
        if self._seen.setdefault(key, mark) is not mark:
            return False
        while len(self._seen) > self._most:
            # another connection's thread may add between the two calls: then try again
            with contextlib.suppress(RuntimeError, StopIteration):
                self._seen.pop(next(iter(self._seen)), None)
        return True
