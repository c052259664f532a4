"""What a camera's recogniser makes of what is before the lens: text, confidence, its number; and what is
wrong with it today. No message, no byte.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from hardware_sims.faults import FaultKind, FaultyLine

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Recognised:
    number: int
    text: str | None
    confidence: int
    at_s: float
    before_lens: str | None = None
    """The plate that is there, whatever was made of it."""


class Recogniser:
    def __init__(self, seed: str) -> None:
        self._random = random.Random(f"{seed}/recogniser")
        self._number = self._random.randrange(1, 60_000)
        self.last: Recognised | None = None

    def recognise(self, at_s: float, text: str | None, line: FaultyLine) -> Recognised:
        wrong = line.get(FaultKind.WRONG_PLATE)
        before_lens = text
        if line.has(FaultKind.STUCK) and self.last is not None:
            text = self.last.text
        elif wrong is not None and text is not None:
            text = wrong.plate or self._misread(text)
        confidence = self._random.randint(85, 99) if text is not None else 0
        self._number += 1
        seen = Recognised(self._number, text, confidence, at_s, before_lens)
        if text is not None:
            self.last = seen
        return seen

    def _misread(self, text: str) -> str:
        place = self._random.randrange(min(2, len(text) - 1), len(text))
        return text[:place] + self._random.choice(_LETTERS.replace(text[place], "")) + text[place + 1 :]
