"""What the hub does with every message: verify, store, answer. No MQTT, no clock, no thread: time comes in.

Nothing received raises or is believed unsigned (G10, G11). An answer is made only after the archive has
committed what it speaks of (G2, G3). What cannot be taken is counted: the first of its kind in a while is an
alarm row with a parked sample, the rest are added up and written by `tick`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveTaken
from sync.hub.aside import Aside
from sync.hub.claiming import Claiming
from sync.hub.commanding import Commanding
from sync.hub.engine import EngineFailed
from sync.hub.feeding import Feeding
from sync.hub.held import Held
from sync.hub.snapshots import SnapshotFolder
from sync.hub.taking import Taking
from sync.hub.terms import (
    Counts,
    HubAlarm,
    Limits,
    Outgoing,
    Refused,
    is_device,
    seconds,
    storable,
)
from sync.hub.trusts import Statements, Trusts
from sync.hub.x_rayed import XRayed
from sync.link.envelope import BatchRefused, signed_payload
from sync.link.keys import HUB_KID, Forged, Signer
from sync.link.messages import MAX_PAYLOAD_BYTES, ROOT, Context, Status, Topics
from sync.link.trust import Trust
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import Stream

PARKED_SAMPLES = 1_000
"""Samples of refused messages kept; unreadable facts are kept without limit."""
SAMPLE_WHY = "refused: "
ATTEMPTS = 3
"""How often messages are taken anew when other workers were in the way."""


@dataclass(slots=True)
class _Refusals:
    """Refusals of one device and kind since they were last written."""

    written_s: float
    times: int = 0
    detail: str = ""


class Receiver:
    """The hub's whole behaviour over an archive it owns (`Archive.open(…, own=True)`)."""

    def __init__(
        self,
        archive: Archive,
        signer: Signer,
        *,
        site: str,
        limits: Limits | None = None,
        key_statements: bytes = b"",
        aside: Aside | None = None,
        snapshots: SnapshotFolder | None = None,
        keep_days: Mapping[str, int] | None = None,
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """`key_statements`: of our own signing key, where it is not the one devices have pinned."""
        limits = limits or Limits()
        topics = Topics(site)
        self.counts = Counts()
        self._archive = archive
        self._signer = signer
        self._topics = topics
        self._root = f"{ROOT}/{site}/edge/"
        self._limits = limits
        self._boot_id = new_id()
        self._key_statements = key_statements
        self._trusts = Trusts(archive)
        self._statements = Statements(self._trusts)
        self._refusals: dict[tuple[str, HubAlarm], _Refusals] = {}
        self._claiming = Claiming(archive, signer, topics)
        self._commanding = Commanding(archive, signer, topics, limits)
        self._held = Held(archive)
        self._taking = Taking(
            archive,
            signer,
            topics,
            self._claiming,
            self._commanding,
            limits,
            self.counts,
            self._held,
            XRayed(archive),
        )
        self._feeding = Feeding(
            archive, signer, topics, limits, aside=aside, snapshots=snapshots, keep_days=keep_days or {}
        )
        self.on_duty = archive.hold_duties()
        """Whether this worker has the duties (`Archive.hold_duties`); looked at with every tick."""
        self._now_s = 0.0
        self._token_s = 0.0
        self.storage_fault = ""
        """Why the archive last failed to take something; empty again once it takes."""

    # --- the three entrances ------------------------------------------------------------------------------

    def receive(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        """Take one message. Raises only `ArchiveTaken`: another hub runs on this archive, stop.

        A storage failure takes nothing and answers nothing: whoever sent it will send it again.
        """
        return self.receive_all([(topic, payload)], at_utc)

    def _receive(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        """All answers but acknowledgements. Inside a transaction, the device locked."""
        self.counts.messages += 1
        try:
            with self._archive.transaction():
                answers = self._take(topic, payload, at_utc)
            self.storage_fault = ""
        except Refused as refusal:
            return self._refuse(topic, payload, at_utc, refusal)
        except ArchiveTaken:
            raise
        except STORAGE_ERRORS as error:
            if _again(error) or not self._archive.intact():
                raise
            self._fail(error)
            return []
        except Exception as error:  # noqa: BLE001 - G11, a message must not stop the hub, whatever is wrong with us
            self._forget()
            reason = f"{type(error).__name__}: {error}"
            return self._refuse(topic, payload, at_utc, Refused(HubAlarm.INTERNAL, reason[:400]))
        return answers

    def receive_all(self, messages: Sequence[tuple[str, bytes]], at_utc: str) -> list[Outgoing]:
        """As `receive` for each in turn, made durable by one commit and acknowledged once for each device, so
        that small messages share a slow disk and a signature.

        When that commit fails none of them was taken and nothing is answered.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._receive_once(messages, at_utc)
            except STORAGE_ERRORS as error:
                self._refusals.clear()
                if attempt < ATTEMPTS and _again(error):
                    self._forget()
                    continue
                self._fail(error)
                return []
        return []

    def _receive_once(self, messages: Sequence[tuple[str, bytes]], at_utc: str) -> list[Outgoing]:
        answers: list[Outgoing] = []
        devices = {device for topic, _ in messages if (device := self._device_of(topic))}
        with self._archive.transaction():
            self._archive.lock_devices(devices)
            self._taking.compare(devices)
            self._claiming.begin()
            for topic, payload in messages:
                answers += self._receive(topic, payload, at_utc)
            told = self._taking.told()
        return answers + self._taking.signed(told)

    def _device_of(self, topic: str) -> str:
        """Empty where the topic names none."""
        device = topic.removeprefix(self._root).partition("/")[0] if topic.startswith(self._root) else ""
        return device if is_device(device) else ""

    def tick(self, at_utc: str) -> list[Outgoing]:
        """What is due without a message: counted refusals, heads and statuses seen, feed and its heads."""
        try:
            now_s = self._clock(at_utc)
            outgoing = self._take_over(at_utc)
            for waiting in self._statements.overdue(now_s):
                self._refuse(waiting.topic, waiting.payload, at_utc, waiting.refusal)
            self._write_pending(now_s, at_utc)
            if abs(now_s - self._token_s) >= self._limits.token_every_s:
                self._token_s = now_s
                self._archive.renew_token()
            if self.on_duty:
                outgoing += self._feeding.tick(now_s, at_utc)
                self._commanding.look_at_grants(now_s, at_utc)
                self._held.let_go(now_s, at_utc, self._limits.held_longest_s)
            self.storage_fault = ""
        except STORAGE_ERRORS as error:
            self._fail(error)
            return []
        return outgoing

    def commands(self, at_utc: str) -> list[Outgoing]:
        """Commands to say now; to be asked several times a second."""
        if not self.on_duty:
            return []
        try:
            return self._commanding.due(self._clock(at_utc), at_utc)
        except STORAGE_ERRORS as error:
            self._fail(error)
            return []

    def _take_over(self, at_utc: str) -> list[Outgoing]:
        """Have the duties if nobody else has: publishing feed, heads and births, and all that comes from
        devices beside facts and claims."""
        had, self.on_duty = self.on_duty, self._archive.hold_duties()
        if had or not self.on_duty:
            return []
        self._feeding.begin()
        return self.born(at_utc)

    def born(self, at_utc: str) -> list[Outgoing]:
        """To publish when the broker is reached: birth, all scopes' heads, all devices' acknowledgements.
        Nothing where another worker has the duties."""
        if not self.on_duty:
            return []
        try:
            now_s = self._clock(at_utc)
            outgoing = [*self._own_keys(), self._life(at_utc, online=True)]
            outgoing += [self._feeding.head(scope, now_s, at_utc) for scope in self._archive.scopes()]
            outgoing += self._taking.signed(self._taking.told_all(self._archive.devices()))
        except STORAGE_ERRORS as error:
            self._fail(error)
            return [*self._own_keys(), self._life(at_utc, online=True)]
        return outgoing

    def death(self, at_utc: str) -> Outgoing:
        """The hub's last will, and its word when it stops."""
        return self._life(at_utc, online=False)

    def stop(self, at_utc: str) -> None:
        """Write what is only counted in memory. The archive stays open."""
        try:
            self._write_pending(self._clock(at_utc), at_utc, all_refusals=True)
        except STORAGE_ERRORS as error:
            self._fail(error)

    # --- dispatch -----------------------------------------------------------------------------------------

    def _take(self, topic: str, payload: bytes, at_utc: str) -> list[Outgoing]:
        if not topic.startswith(self._root):
            raise Refused(HubAlarm.TOPIC_UNKNOWN, f"expected a topic below {self._root}, got {topic[:200]!r}")
        device, _, rest = topic.removeprefix(self._root).partition("/")
        if not is_device(device):
            raise Refused(HubAlarm.TOPIC_UNKNOWN, f"expected a device name, got {device[:80]!r}")
        # A revoked device may still say where it can be told so, and that it has stopped.
        trust = self._trusts.of(device, even_revoked=rest in ("status", "result"))
        key = trust.keys
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Refused(
                HubAlarm.OVERSIZED, f"{rest[:40]}: {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}", device
            )
        try:
            match rest.split("/"):
                case ["facts", "alarm"]:
                    return self._taking.take(device, key, Stream.ALARM, payload, at_utc)
                case ["facts", "routine"]:
                    return self._taking.take(device, key, Stream.ROUTINE, payload, at_utc)
                case ["result"]:
                    return self._commanding.take(device, key, payload, at_utc)
                case ["claim"]:
                    return self._claiming.take(device, key, payload, at_utc)
                case ["pull"]:
                    return self._feeding.take(device, key, payload, self._clock(at_utc), at_utc)
                case ["head"]:
                    return self._taking.take_head(device, key, payload)
                case ["status"]:
                    nonce = self._feeding.take_status(device, key, payload)
                    if nonce:
                        self._taking.greet(device, nonce)
                    return []
                case ["keys"]:
                    return self._take_keys(device, trust, payload)
                case _:
                    raise Refused(HubAlarm.TOPIC_UNKNOWN, f"nothing is taken on {rest[:80]!r}", device)
        except Malformed as error:
            raise Refused(HubAlarm.MALFORMED, f"{rest}: {error}"[:400], device) from error
        except BatchRefused as error:
            raise Refused(HubAlarm.BATCH_REFUSED, f"{rest}: {error}"[:400], device) from error
        except Forged as error:
            self._statements.forged(self._clock(at_utc), device, error, topic, payload, rest)
            return []

    def _take_keys(self, device: str, trust: Trust, payload: bytes) -> list[Outgoing]:
        """A device says with which key it signs now, vouched for by the one before."""
        if trust.told(payload) is not trust:
            with self._archive.transaction():
                self._archive.keep_statements(device, payload.decode())
        return []

    def _own_keys(self) -> list[Outgoing]:
        if not self._key_statements:
            return []
        return [Outgoing(self._topics.hub_keys(), self._key_statements, retain=True)]

    # --- what is due --------------------------------------------------------------------------------------

    def _write_pending(self, now_s: float, at_utc: str, *, all_refusals: bool = False) -> None:
        due = [
            (key, refusals)
            for key, refusals in self._refusals.items()
            if all_refusals or abs(now_s - refusals.written_s) >= self._limits.refusals_every_s
        ]
        late = self._taking.late_epochs(now_s) if self.on_duty else []
        devices = self._taking.pending_devices() | self._feeding.pending_devices()
        devices |= {device for device, _ in late}
        if not (devices or any(refusals.times for _, refusals in due)):
            for key, _ in due:
                del self._refusals[key]
            return
        with self._archive.transaction():
            self._archive.lock_devices(devices)
            self._taking.write_pending(late, at_utc)
            self._feeding.write_pending(at_utc)
            for (device, code), refusals in due:
                if refusals.times:
                    self._archive.add_alarm(
                        at_utc, device, code, f"{refusals.times} more; the last: {refusals.detail}"
                    )
        self._taking.pending_written()
        self._feeding.pending_written()
        for key, refusals in due:
            if refusals.times and not all_refusals:
                self._refusals[key] = _Refusals(now_s)
            else:
                del self._refusals[key]

    def _life(self, at_utc: str, *, online: bool) -> Outgoing:
        status = Status(
            device=HUB_KID,
            online=online,
            boot_id=self._boot_id,
            epoch=self._archive.archive_id,
            time=at_utc,
        )
        payload = signed_payload(self._signer, Context.STATUS, status)
        return Outgoing(self._topics.hub_birth(), payload, retain=True)

    # --- what goes wrong ----------------------------------------------------------------------------------

    def _refuse(self, topic: str, payload: bytes, at_utc: str, refusal: Refused) -> list[Outgoing]:
        """Count it. The first of its kind is written at once, with a sample; nothing is answered."""
        self.counts.refused += 1
        key = (refusal.device, refusal.code)
        counted = self._refusals.get(key)
        if counted is not None:
            counted.times += 1
            counted.detail = storable(refusal.detail)
            return []
        try:
            self._refusals[key] = _Refusals(self._clock(at_utc))
            with self._archive.transaction():
                self._archive.add_alarm(at_utc, refusal.device, refusal.code, storable(refusal.detail))
                self._archive.park(
                    storable(str(topic)[:500]),
                    bytes(payload)[:MAX_PAYLOAD_BYTES],
                    f"{SAMPLE_WHY}{refusal.code.value}",
                    at_utc,
                )
                self._archive.trim_parked(SAMPLE_WHY, PARKED_SAMPLES)
        except STORAGE_ERRORS as error:
            if _again(error) or not self._archive.intact():
                # What was taken before it in the same transaction is gone too, and must not be answered.
                raise
            self._fail(error)
        return []

    def _fail(self, error: Exception) -> None:
        self.counts.storage_faults += 1
        self.storage_fault = f"{type(error).__name__}: {error}"
        self._forget()

    def _forget(self) -> None:
        self._taking.forget()

    def _clock(self, at_utc: str) -> float:
        self._now_s = seconds(at_utc, self._now_s)
        return self._now_s


def _again(error: Exception) -> bool:
    return isinstance(error, EngineFailed) and error.again
