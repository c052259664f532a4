"""Destroys what a device must not leave behind, at somebody's word: after what it owes is delivered, unless
it is forced; then says what came of it, and waits a little for that to be heard. Decides nothing, knows no
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from edge.runtime.clock import Clock

LAST_WORDS_S = 10.0
"""So long may the facts about the wiping itself take to be acknowledged."""

Order = TypeVar("Order")


class Wiping(Generic[Order]):
    """`begin` once, `run` now and then, `finish` when every store is closed. Run on the program's own
    thread."""

    def __init__(
        self,
        clock: Clock,
        *,
        owed: Callable[[], int | None],
        erase: Callable[[], str],
        finish: Callable[[], object],
        told: Callable[[Order, str], None],
    ) -> None:
        """`owed`: facts nobody has acknowledged; None where that cannot be told. `erase`: destroys all that
        can be while the program still runs, and answers why not, or nothing; `finish` what came after, or was
        open. `told`: what came of the order. None of them raises."""
        self._clock = clock
        self._owed = owed
        self._erase = erase
        self._finish = finish
        self._told = told
        self._wanted: tuple[Order, bool] | None = None
        self._wiped_s: float | None = None

    def begin(self, order: Order, force: bool) -> None:
        if self._wiped_s is None:
            self._wanted = (order, force)

    def run(self) -> bool:
        """True when all is done and said, and the program should end. Never raises."""
        if self._wiped_s is not None:
            late = self._clock.monotonic_s() - self._wiped_s >= LAST_WORDS_S
            return late or self._owed() == 0
        if self._wanted is None:
            return False
        order, force = self._wanted
        if not force and self._owed() != 0:
            return False
        self._wanted = None
        why = self._erase()
        if not why:
            self._wiped_s = self._clock.monotonic_s()
        self._told(order, why)
        return False

    def finish(self) -> None:
        if self._wiped_s is not None:
            self._finish()


def unlinked(files: Iterable[Path]) -> str:
    """Why not all of them could be; empty where none is left. On flash, only the disk's own encryption
    forgets what was in them."""
    left: list[str] = []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{file.name}: {error.strerror}")
    return "; ".join(left)[:200]
