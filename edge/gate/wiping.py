"""What a lane must not leave behind at the centre's word: its records and its keys. How a wipe goes:
`edge.runtime`.

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
from edge.runtime.wiping import LAST_WORDS_S, Wiping, unlinked
from sync.store.journal import StoreRefused
from sync.vocabulary.commands import Command

__all__ = ["LAST_WORDS_S", "wiping_of"]


def wiping_of(
    config: GateConfig,
    clock: Clock,
    *,
    backlog: Callable[[], int],
    put: Callable[[Event], None],
) -> Wiping[Command]:
    """`backlog`: facts the hub has not acknowledged; may raise `StoreRefused`."""

    def owed() -> int | None:
        try:
            return backlog()
        except StoreRefused:
            return None

    return Wiping(
        clock,
        owed=owed,
        erase=lambda: unlinked(_files(config)),
        # Records that were open, or were taken anew meanwhile.
        finish=lambda: unlinked(_records(config)),
        told=lambda command, why: put(Wiped(command, why)),
    )


def _files(config: GateConfig) -> Iterator[Path]:
    yield from _records(config)
    secrets = [config.sync.key_file, config.sync.tls_key_file, config.sync.password_file]
    secrets.append(config.spot_check.key_file if config.spot_check is not None else None)
    yield from (secret.path for secret in secrets if secret is not None)
    yield config.store.folder / KEY_FILE


def _records(config: GateConfig) -> Iterator[Path]:
    for pattern in ("records-*", "snapshot.*"):
        # The second are records on their way: fetched in part, or unpacked and not yet proved.
        yield from sorted(config.store.folder.glob(pattern))
