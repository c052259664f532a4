"""Pictures that the core keeps, on the side of the screens: fetched when first shown, and drawn upon. The
same on a PC and on a phone; opens nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

from edge.handheld.drawing import NoPicture, marked
from edge.handheld.effects import MarkPhoto
from edge.handheld.events import Captured, EvidenceFailed

PICTURES_KEPT: Final = 24


class GlassPictures:
    """`fetch(sha256)` asks the core and answers the number that `fetched` comes with; any thread may call."""

    def __init__(self, fetch: Callable[[str], int], say: Callable[[Any], None]) -> None:
        self._fetch = fetch
        self._say = say
        self._pictures: OrderedDict[str, bytes | None] = OrderedDict()
        self._fetching: dict[int, str] = {}
        self._marking: dict[str, deque[MarkPhoto]] = {}
        self._lock = threading.Lock()

    def picture(self, sha256: str) -> bytes | None:
        """Fetched from the core when it is first asked for; there a moment later."""
        with self._lock:
            if sha256 not in self._pictures:
                self._pictures[sha256] = None
                self._fetching[self._fetch(sha256)] = sha256
                while len(self._pictures) > PICTURES_KEPT:
                    self._pictures.popitem(last=False)
            return self._pictures.get(sha256)

    def mark(self, wanted: MarkPhoto) -> None:
        """Answered with `Captured` or `EvidenceFailed` once the untouched picture is here."""
        with self._lock:
            self._marking.setdefault(wanted.sha256, deque()).append(wanted)
            self._fetching[self._fetch(wanted.sha256)] = wanted.sha256

    def fetched(self, number: int, content: bytes | None, why: str) -> None:
        with self._lock:
            sha256 = self._fetching.pop(number, "")
            if sha256 in self._pictures:
                self._pictures[sha256] = content
            waiting = self._marking.pop(sha256, deque())
        for wanted in waiting:
            if content is None:
                self._say(EvidenceFailed(wanted.request, why or "the picture is not there"))
                continue
            try:
                self._say(Captured(wanted.request, "marked", marked(content, wanted.strokes)))
            except NoPicture as error:
                self._say(EvidenceFailed(wanted.request, str(error)[:200]))
