"""What a handheld leaves behind at the centre's word: nothing. Its wrapped key goes first, and with it all
that is enciphered (crypto-shredding): whenever the program dies in between, either nothing was destroyed or
nothing can be read, and the next start finishes. How a wipe goes: `edge.runtime.wiping`. No store is opened
here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edge.handheld.vault_files import Vault
from edge.runtime.clock import Clock
from edge.runtime.wiping import Wiping, unlinked
from sync.store.journal import StoreRefused

Order = TypeVar("Order")

_DATABASES = ("journal*", "records-*", "snapshot.*", "hub-keys.json", "latest.time")


@dataclass(frozen=True, slots=True)
class Belongings:
    """What there is of a handheld on its disk, the vault apart."""

    store: Path
    """Folder of journal and records."""
    folders: tuple[Path, ...] = ()
    """Deleted with all that is in them: evidence, recordings, logs."""
    secrets: tuple[Path, ...] = ()
    """Files of the device's keys and passwords."""


def wiping_of(
    vault: Vault,
    belongings: Belongings,
    clock: Clock,
    *,
    backlog: Callable[[], int],
    told: Callable[[Order, str], None],
) -> Wiping[Order]:
    """`backlog`: facts the hub has not acknowledged; may raise `StoreRefused`. The journal stays open, and
    its last facts are sent, until the program ends; then it goes with the rest."""

    def owed() -> int | None:
        try:
            return backlog()
        except StoreRefused:
            return None

    return Wiping(
        clock,
        owed=owed,
        erase=lambda: erased(vault, belongings),
        finish=lambda: finished(vault, belongings),
        told=told,
    )


def erased(vault: Vault, belongings: Belongings) -> str:
    """The key, then all that is not needed to say that it is gone; why not, or empty. Where the key cannot be
    destroyed nothing else is: half a wipe would look like a whole one."""
    return vault.shred() or unlinked((*_databases(belongings.store, "records-*", "snapshot.*"),))


def finished(vault: Vault, belongings: Belongings) -> str:
    """The rest, with every store closed: at the end of the program that was told to wipe, or at the start of
    the next one that finds its vault `wiping`. Why not all of it, or empty; to be called again then."""
    # The device's own keys last: without them its config is refused, and nobody would come back to finish.
    return (
        vault.shred()
        or destroyed_stores(belongings)
        or unlinked((*_databases(belongings.store, "journal*.lock"), *belongings.secrets))
        or vault.forget_wipe()
    )


def destroyed_stores(belongings: Belongings) -> str:
    """Stores whose key does not exist any more (`VaultState.FRESH`), before new ones are made; why not all of
    them, or empty. The journal's lock file stays: the next one's first fact says by it what was here (G4)."""
    databases = [file for file in _databases(belongings.store, *_DATABASES) if file.suffix != ".lock"]
    return unlinked(databases) or _removed(belongings.folders)


def _databases(folder: Path, *patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def _removed(folders: Iterable[Path]) -> str:
    left: list[str] = []
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"{folder.name}: {error.strerror}")
    return "; ".join(left)[:200]
