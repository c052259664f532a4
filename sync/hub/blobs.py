"""Evidence up: what a fact names is taken, whole, proved, within quotas; the rest is refused (G8, G10, G11).

No MQTT, no clock, no thread. An answer that says `stored` is made only after file and row are durable. What
cannot be taken is counted, and the first of its kind in a while is an alarm.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive
from sync.hub.blob_files import BlobFiles, NotItsHash, TooManyParts, is_sha256
from sync.hub.engine import STORAGE_ERRORS, ArchiveTaken
from sync.hub.terms import BLOB_CONNECTION, HubAlarm, Outgoing, Refused, is_device, seconds, storable
from sync.hub.trusts import Statements, Trusts
from sync.link.envelope import open_chunk, open_signed, signed_payload
from sync.link.keys import Forged, Signer
from sync.link.messages import (
    MAX_MISSING_RANGES,
    MAX_PAYLOAD_BYTES,
    ROOT,
    BlobAnswer,
    BlobOffer,
    BlobState,
    Context,
    Topics,
)
from sync.vocabulary.blobs import MAX_BLOB_BYTES, BlobClass
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import utc_text

RETENTION_AT_ONCE = 200
MISSING_AT_ONCE = 100
MAX_TOLD = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobLimits:
    """How much, how long, how often; the defaults are the hub's own."""

    most_bytes: int = 500 * 10**9
    most_device_bytes: int = 100 * 10**9
    keep_free_bytes: int = 2 * 10**9
    """With less disk than this left nothing is taken."""
    keep_s: Mapping[BlobClass, float] = field(default_factory=dict)
    """Of a class that is not here: for ever."""
    missing_after_s: float = 86_400.0
    """A fact names it and it has not come: an alarm."""
    most_open_device: int = 4
    """Blobs of one device on their way at once; the longest untouched makes room."""
    abandon_after_s: float = 7 * 86_400.0
    tend_every_s: float = 60.0
    alarms_every_s: float = 60.0


class BlobTaking:
    """Every blob of every device. Its archive is a connection of its own: no fact waits for a file here."""

    def __init__(
        self,
        archive: Archive,
        files: BlobFiles,
        signer: Signer,
        *,
        site: str,
        limits: BlobLimits | None = None,
    ) -> None:
        self._archive = archive
        self._files = files
        self._signer = signer
        self._topics = Topics(site)
        self._root = f"{ROOT}/{site}/edge/"
        self._limits = limits or BlobLimits()
        self._trusts = Trusts(archive)
        self._statements = Statements(self._trusts)
        self._used: dict[str, int] = {}
        """Bytes stored, by device, and of all under the empty name; read again when tending."""
        self._told: dict[tuple[str, HubAlarm], float] = {}
        self._tended_s: float | None = None
        self.fault = ""
        """Why the disk or the archive last failed; empty again once it takes."""
        self.stored = 0
        self.refused = 0

    def receive(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        """Take one message. Raises only `ArchiveTaken`. A storage failure answers nothing: it comes again."""
        try:
            answers = self._take(topic, payload, at_utc)
            self.fault = ""
            return answers
        except Refused as refusal:
            self._refuse(refusal, at_utc)
        except ArchiveTaken:
            raise
        except STORAGE_ERRORS as error:
            self.fault = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - G11, a message must not stop the hub, whatever is wrong with us
            self._refuse(Refused(HubAlarm.INTERNAL, f"{type(error).__name__}: {error}"[:400]), at_utc)
        return []

    def tend(self, at_utc: str) -> None:
        """Retention, parts nobody finished, and blobs that never came. Raises only `ArchiveTaken`."""
        now_s = seconds(at_utc, 0.0)
        for waiting in self._statements.overdue(now_s):
            self._refuse(waiting.refusal, at_utc)
        if self._tended_s is not None and abs(now_s - self._tended_s) < self._limits.tend_every_s:
            return
        self._tended_s = now_s
        try:
            self._used.clear()
            self._files.abandon_old(self._limits.abandon_after_s)
            self._retain(now_s)
            self._find_missing(now_s, at_utc)
            self.fault = ""
        except STORAGE_ERRORS as error:
            self.fault = f"{type(error).__name__}: {error}"

    # --- what comes ---------------------------------------------------------------------------------------

    def _take(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        device, _, rest = topic.removeprefix(self._root).partition("/")
        if not topic.startswith(self._root) or not is_device(device):
            raise Refused(HubAlarm.TOPIC_UNKNOWN, f"expected a topic below {self._root}, got {topic[:200]!r}")
        key = self._trusts.of(device).keys
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Refused(
                HubAlarm.OVERSIZED, f"{rest[:40]}: {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}", device
            )
        try:
            match rest.split("/"):
                case ["blob", "offer"]:
                    return self._offer(device, open_signed(payload, key, Context.BLOB, BlobOffer), at_utc)
                case ["blob", "chunk"]:
                    return self._chunk(device, key, payload, at_utc)
                case _:
                    raise Refused(HubAlarm.TOPIC_UNKNOWN, f"no blob is taken on {rest[:80]!r}", device)
        except Malformed as error:
            raise Refused(HubAlarm.MALFORMED, f"{rest}: {error}"[:400], device) from error
        except Forged as error:
            self._statements.forged(seconds(at_utc, 0.0), device, error, topic, b"", rest)
            return []

    def _fit(self, device: str, said: str, sha256: str, size_bytes: int) -> None:
        if said != device:
            raise Refused(HubAlarm.WRONG_DEVICE, f"a blob of {said[:64]!r} on a topic of {device}", device)
        if not is_sha256(sha256) or not 0 < size_bytes <= MAX_BLOB_BYTES:
            raise Malformed(f"expected a SHA-256 of 64 digits and 1 to {MAX_BLOB_BYTES} bytes")

    def _offer(self, device: str, offer: BlobOffer, at_utc: str) -> list[Outgoing]:
        self._fit(device, offer.device, offer.sha256, offer.size_bytes)
        if not self._archive.names_blob(device, offer.sha256, offer.size_bytes):
            return self._answer(device, offer.sha256, BlobState.UNNAMED)
        held = offer.blob_class is BlobClass.HELD
        if held:
            with self._archive.transaction():
                self._archive.raise_blob_class(offer.sha256, BlobClass.HELD.value)
        if self._stored(device, offer.sha256, offer.size_bytes, at_utc):
            return self._answer(device, offer.sha256, BlobState.STORED)
        why = self._no_room(device, offer.size_bytes)
        if why:
            self._refuse(Refused(HubAlarm.BLOB_QUOTA, f"a blob of {device}: {why}", device), at_utc)
            return self._answer(device, offer.sha256, BlobState.REFUSED, why=why)
        self._make_way(device, offer.sha256)
        if not self._files.missing(device, offer.sha256, offer.size_bytes):
            # Killed between the last part and the whole. A part the power spoiled has to come anew.
            with contextlib.suppress(NotItsHash):
                self._files.complete(device, offer.sha256, offer.size_bytes)
                self._note_stored(device, offer.sha256, offer.size_bytes, at_utc)
                return self._answer(device, offer.sha256, BlobState.STORED)
        return self._wanted(device, offer.sha256, offer.size_bytes)

    def _chunk(
        self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes, at_utc: str
    ) -> list[Outgoing]:
        head, data = open_chunk(payload, key)
        self._fit(device, head.device, head.sha256, head.size_bytes)
        if not self._archive.names_blob(device, head.sha256, head.size_bytes):
            return self._answer(device, head.sha256, BlobState.UNNAMED)
        if self._stored(device, head.sha256, head.size_bytes, at_utc):
            return self._answer(device, head.sha256, BlobState.STORED)
        why = self._no_room(device, head.size_bytes)
        if why:
            return self._answer(device, head.sha256, BlobState.REFUSED, why=why)
        if not self._files.began(device, head.sha256):
            # Whoever sends parts without an offer shall not fill the disk with them.
            self._make_way(device, head.sha256)
        try:
            self._files.add(device, head.sha256, head.offset, data)
            if self._files.missing(device, head.sha256, head.size_bytes):
                return self._wanted(device, head.sha256, head.size_bytes)
            self._files.complete(device, head.sha256, head.size_bytes)
        except (NotItsHash, TooManyParts) as error:
            self._refuse(Refused(HubAlarm.BLOB_WRONG, f"{head.sha256}: {error}", device), at_utc)
            return self._answer(device, head.sha256, BlobState.REFUSED, why=str(error))
        self._note_stored(device, head.sha256, head.size_bytes, at_utc)
        return self._answer(device, head.sha256, BlobState.STORED)

    def _stored(self, device: str, sha256: str, size_bytes: int, at_utc: str) -> bool:
        """Whether it is here for good, or was and has had its time."""
        state = self._archive.blob_state(sha256)
        if state == "dropped":
            return True
        if not self._files.has(sha256, size_bytes):
            return False
        if state != "stored":
            # Killed between the file and its row, or the archive was put back from a backup.
            if self._files.read(sha256) is None:
                self._files.remove(sha256)
                return False
            self._note_stored(device, sha256, size_bytes, at_utc)
        return True

    def _note_stored(self, device: str, sha256: str, size_bytes: int, at_utc: str) -> None:
        with self._archive.transaction():
            self._archive.store_blob(sha256, at_utc)
        for name in (device, ""):
            if name in self._used:
                self._used[name] += size_bytes
        self.stored += 1

    def _no_room(self, device: str, size_bytes: int) -> str:
        limits = self._limits
        for name, most in ((device, limits.most_device_bytes), ("", limits.most_bytes)):
            if name not in self._used:
                self._used[name] = self._archive.blob_bytes(name)
            if self._used[name] + size_bytes > most:
                return f"the quota of {name or 'all devices'} is used up: {most} bytes"
        if self._files.free_bytes() < limits.keep_free_bytes + size_bytes:
            return f"less than {limits.keep_free_bytes} bytes of the hub's disk would be left"
        return ""

    def _make_way(self, device: str, sha256: str) -> None:
        others = [one for one in self._files.opened() if one.device == device and one.sha256 != sha256]
        for one in others[: max(0, len(others) - self._limits.most_open_device + 1)]:
            self._files.abandon(one.device, one.sha256)

    # --- answers ------------------------------------------------------------------------------------------

    def _wanted(self, device: str, sha256: str, size_bytes: int) -> list[Outgoing]:
        missing = self._files.missing(device, sha256, size_bytes)[:MAX_MISSING_RANGES]
        return self._answer(device, sha256, BlobState.WANTED, missing=missing)

    def _answer(
        self,
        device: str,
        sha256: str,
        state: BlobState,
        *,
        missing: tuple[tuple[int, int], ...] = (),
        why: str = "",
    ) -> list[Outgoing]:
        answer = BlobAnswer(self._archive.archive_id, device, sha256, state, missing, why[:200])
        payload = signed_payload(self._signer, Context.BLOB_ANSWER, answer)
        return [Outgoing(self._topics.blob_answer(device), payload, connection=BLOB_CONNECTION)]

    # --- what is due --------------------------------------------------------------------------------------

    def _retain(self, now_s: float) -> None:
        for blob_class, keep_s in self._limits.keep_s.items():
            old = self._archive.old_blobs(blob_class.value, _utc(now_s - keep_s), RETENTION_AT_ONCE)
            if not old:
                continue
            # The files first: killed in between, the rows are found again.
            for sha256 in old:
                self._files.remove(sha256)
            with self._archive.transaction():
                self._archive.drop_blobs(old)

    def _find_missing(self, now_s: float, at_utc: str) -> None:
        missing = self._archive.missing_blobs(_utc(now_s - self._limits.missing_after_s), MISSING_AT_ONCE)
        if not missing:
            return
        with self._archive.transaction():
            for blob in missing:
                self._archive.add_alarm_once(
                    at_utc,
                    blob.device,
                    HubAlarm.BLOB_MISSING,
                    f"{blob.sha256}, {blob.size_bytes} bytes, named on {blob.named_utc}, has not come",
                )

    def _refuse(self, refusal: Refused, at_utc: str) -> None:
        """Count it; the first of its kind in a while is an alarm row."""
        self.refused += 1
        now_s = seconds(at_utc, 0.0)
        told = (refusal.device, refusal.code)
        if abs(now_s - self._told.get(told, float("-inf"))) < self._limits.alarms_every_s:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[told] = now_s
        try:
            with self._archive.transaction():
                self._archive.add_alarm(at_utc, refusal.device, refusal.code, storable(refusal.detail))
        except STORAGE_ERRORS as error:
            self.fault = f"{type(error).__name__}: {error}"


def _utc(at_s: float) -> str:
    return utc_text(datetime.fromtimestamp(max(0.0, at_s), UTC))
