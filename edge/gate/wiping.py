"""Deletes what a lane must not leave behind: its records and its keys, at the centre's word. Decides nothing.

The journal and its pictures stay: a fact leaves the device only after the hub's backup interval (G3), and a
device without keys sends none. Files are unlinked; on flash, only the disk's own encryption forgets.
Run by the wiring on the lane's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edge.gate.config import GateConfig
from edge.gate.events import Event, Wiped
from edge.gate.recording import KEY_FILE
from edge.runtime.clock import Clock
from sync.store.journal import StoreRefused
from sync.vocabulary.commands import Command

LAST_WORDS_S = 10.0
"""So long may the facts about the wiping itself take to be acknowledged."""


class Wiping:
    """`begin` once, `run` now and then, `finish` when every store is closed."""

    def __init__(
        self,
        config: GateConfig,
        clock: Clock,
        *,
        backlog: Callable[[], int],
        put: Callable[[Event], None],
    ) -> None:
        """`backlog`: facts the hub has not acknowledged; may raise `StoreRefused`."""
        self._config = config
        self._clock = clock
        self._backlog = backlog
        self._put = put
        self._wanted: tuple[Command, bool] | None = None
        self._wiped_s: float | None = None

    def begin(self, command: Command, force: bool) -> None:
        if self._wiped_s is None:
            self._wanted = (command, force)

    def run(self) -> bool:
        """True when all is done and said, and the program should end. Never raises."""
        if self._wiped_s is not None:
            late = self._clock.monotonic_s() - self._wiped_s >= LAST_WORDS_S
            return late or self._owed() == 0
        if self._wanted is None:
            return False
        command, force = self._wanted
        if not force and self._owed() != 0:
            return False
        self._wanted = None
        why = _unlinked(self._files())
        if not why:
            self._wiped_s = self._clock.monotonic_s()
        self._put(Wiped(command, why))
        return False

    def finish(self) -> None:
        """Records that were open, or were taken anew meanwhile."""
        if self._wiped_s is not None:
            _unlinked(self._records())

    def _owed(self) -> int | None:
        try:
            return self._backlog()
        except StoreRefused:
            return None

    def _files(self) -> Iterator[Path]:
        yield from self._records()
        config = self._config
        secrets = [config.sync.key_file, config.sync.tls_key_file, config.sync.password_file]
        secrets.append(config.spot_check.key_file if config.spot_check is not None else None)
        yield from (secret.path for secret in secrets if secret is not None)
        yield config.store.folder / KEY_FILE

    def _records(self) -> Iterator[Path]:
        for pattern in ("records-*", "snapshot.*"):
            # The second are records on their way: fetched in part, or unpacked and not yet proved.
            yield from sorted(self._config.store.folder.glob(pattern))


def _unlinked(files: Iterator[Path]) -> str:
    """Why not all of them could be; empty where none is left."""
    left: list[str] = []
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{file.name}: {error.strerror}")
    return "; ".join(left)[:200]
