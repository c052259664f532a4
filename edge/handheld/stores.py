"""Everything a handheld keeps on its disk, enciphered: vault, journal, records, evidence. Opened by the
device's keystore, or by the first PIN that is right; until then nothing is read or written down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.handheld.vault import Keystore
from edge.handheld.vault_files import Vault, VaultState
from edge.handheld.wiping import Belongings, destroyed_stores, finished
from edge.runtime.clock import Clock
from sync.store.enciphered import DataKey, Enciphered
from sync.store.evidence_files import EvidenceFiles, Shed
from sync.store.journal import Journal
from sync.store.opening import StoreRefused
from sync.store.records import Records
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.blobs import BlobClass

EVIDENCE: Final = "evidence"
"""Folder of the store."""
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Limits:
    """What the config allows."""

    reserve_bytes: int
    evidence_bytes: int
    evidence_days: int
    evidence_keep_free_bytes: int


class EvidenceSeal:
    """AES-256-GCM under a key of its own, each file's hash in what is authenticated."""

    def __init__(self, key: DataKey, random: Callable[[int], bytes]) -> None:
        self._cipher = AESGCM(key.of("evidence"))
        self._random = random

    def sealed(self, content: bytes, sha256: str) -> bytes:
        nonce = self._random(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, sha256.encode())

    def opened(self, lying: bytes, sha256: str) -> bytes | None:
        try:
            return self._cipher.decrypt(lying[:_NONCE_BYTES], lying[_NONCE_BYTES:], sha256.encode())
        except (InvalidTag, ValueError):
            return None


class Stores:
    """For the core's one thread; `evidence` is read by the link's too."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        clock: Clock,
        limits: Limits,
        belongings: Belongings,
        keystore: Keystore | None,
        random: Callable[[int], bytes],
    ) -> None:
        """Opens the vault, and finishes a wipe that was under way. Raises `VaultRefused`, `StoreRefused`."""
        self._folder = folder
        self._device = device
        self._clock = clock
        self._limits = limits
        self._random = random
        self.vault = Vault.open(
            folder, device=device, boot_id=clock.boot_id(), at_s=clock.monotonic_s(), keystore=keystore
        )
        self.journal: Journal | None = None
        self.evidence: EvidenceFiles | None = None
        self._records: RecordsInForce | None = None
        match self.vault.state:
            case VaultState.WIPING:
                _must(finished(self.vault, belongings))
                raise StoreRefused(
                    f"{folder}: this device was wiped by the centre; enrol it anew before it serves again"
                )
            case VaultState.FRESH:
                _must(destroyed_stores(belongings))
                self.vault.begin()
            case _:
                pass

    @property
    def are_open(self) -> bool:
        return self.journal is not None

    @property
    def can_open(self) -> bool:
        """Somebody, or the keystore, has opened the vault."""
        return self.vault.state is VaultState.OPEN

    def open(self) -> Journal:
        """Once the vault is open. Raises `StoreRefused`, `OSError`."""
        key, clock = self.vault.key, self._clock
        journal = Journal.open(
            self._folder / "journal.sqlite",
            device=self._device,
            utc=clock.utc_text,
            boot_id=clock.boot_id(),
            reserve_bytes=self._limits.reserve_bytes,
            monotonic_s=clock.monotonic_s,
            opener=Enciphered(key),
        )
        evidence = EvidenceFiles(
            self._folder / EVIDENCE,
            most_bytes=self._limits.evidence_bytes,
            keep_days=self._limits.evidence_days,
            keep_free_bytes=self._limits.evidence_keep_free_bytes,
            may_shed=journal.blob_acknowledged,
            is_held=lambda sha256: journal.blob_class(sha256) is BlobClass.HELD,
            suffix=".sealed",
            seal=EvidenceSeal(key, self._random),
        )
        try:
            evidence.open()
        except OSError:
            journal.close()
            raise
        self.journal, self.evidence = journal, evidence
        self._records = RecordsInForce(journal, self._folder)
        return journal

    def records(self) -> Records | None:
        """The generation in force; None before the first snapshot came, or while nothing is open."""
        return None if self._records is None else self._records.current()

    def shed(self, *, clock_is_known: bool) -> Shed | None:
        """Raises `OSError`."""
        if self.evidence is None:
            return None
        return self.evidence.shed(self._clock.utc_text(), clock_is_known=clock_is_known)

    def close(self) -> None:
        """Idempotent. The data key leaves memory."""
        if self._records is not None:
            self._records.close()
        if self.journal is not None:
            self.journal.close()
        self._records = self.journal = self.evidence = None
        self.vault.close()


def _must(why: str) -> None:
    if why:
        raise StoreRefused(f"what was left of this device's stores could not be destroyed: {why}")
