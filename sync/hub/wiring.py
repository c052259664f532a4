"""The hub put together: archive, receiver, broker connections, clock, log. Decides nothing about messages.

Connections only enqueue; one thread takes from the inbox, lets the receiver work and publishes its answers.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, assert_never

import structlog
from structlog.typing import EventDict, Processor

from sync.hub.archive import STORAGE_ERRORS, Archive, ArchiveTaken
from sync.hub.aside import AsideProcess
from sync.hub.blob_files import BlobFiles
from sync.hub.blob_keeping import BlobKeeper
from sync.hub.config import HubConfig, LogLevel, WorkersPart, broker_of
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.kept_process import KeptProcess
from sync.hub.receipts import give_out
from sync.hub.receiver import Receiver
from sync.hub.service import Service
from sync.hub.snapshots import SnapshotFolder
from sync.hub.terms import BROKER_LOST, HubAlarm, Limits, Outgoing
from sync.link.client import CERTIFICATE_LOOK_EVERY_S, CERTIFICATE_WARNING, HubLink
from sync.link.keys import HUB_KID, KeySigner, share_group
from sync.link.messages import ROOT
from sync.link.tls_words import end_of
from sync.link.words import Connected, Connection, ConnectionRefused, Disconnected
from sync.store.journal import utc_now

MAX_INBOX_BYTES = 64 * 1024 * 1024
MAX_INBOX_MESSAGES = 20_000
REFUSED_EVERY_S = 60.0
"""A broker that keeps refusing us is told of this often."""
TAKE_AT_ONCE = 64
"""Messages that share a commit."""
TAKE_AT_ONCE_BYTES = 512 * 1024
"""So long may an alarm wait for routine facts that came before it."""
PULL_WEIGHT_BYTES = TAKE_AT_ONCE_BYTES
"""A pull is short, but its answer may be 2 MB of signed records: one ends a turn."""

_BLOB = "/blob/"
KEEPER_STOPS_WITHIN_S = 2.0

_ANYONES = ("facts/alarm", "facts/routine", "claim")
"""What any worker takes; all else belongs to the one with the duties."""
_URGENT = ("/facts/alarm", "/claim", "/result", "/keys")
# `keys` too: an alarm signed with a new key must not overtake the word that vouches for that key.
_PULL = "/pull"

Message = tuple[str, bytes]
LinkChange = Connected | Disconnected | ConnectionRefused


class Inbox:
    """What waits for the hub's thread: alarms and claims before all else (G9), bounded, never blocking.

    What does not fit is dropped and counted: devices send again what nobody acknowledges.
    """

    def __init__(self, *, max_bytes: int = MAX_INBOX_BYTES, max_messages: int = MAX_INBOX_MESSAGES) -> None:
        self._ready = threading.Condition()
        self._urgent: collections.deque[Message] = collections.deque()
        self._messages: collections.deque[Message] = collections.deque()
        self._changes: collections.deque[LinkChange] = collections.deque()
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._bytes = {True: 0, False: 0}
        self._dropped = 0
        self._stopped = False

    def message(self, topic: str, payload: bytes) -> None:
        urgent = topic.endswith(_URGENT)
        queue = self._urgent if urgent else self._messages
        with self._ready:
            full = len(queue) >= self._max_messages or self._bytes[urgent] + len(payload) > self._max_bytes
            if full:
                self._dropped += 1
                return
            self._bytes[urgent] += len(payload)
            queue.append((topic, payload))
            self._ready.notify()

    def change(self, change: LinkChange) -> None:
        with self._ready:
            self._changes.append(change)
            self._ready.notify()

    def stop(self) -> None:
        """Safe in a signal handler's place: sets a flag that `take` sees within its timeout."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        return self._stopped

    def take(self, timeout_s: float) -> tuple[list[LinkChange], list[Message], int]:
        """Changes of the connections, some messages, and how many were dropped since the last time."""
        with self._ready:
            if not (self._urgent or self._messages or self._changes or self._stopped):
                self._ready.wait(timeout_s)
            changes = list(self._changes)
            self._changes.clear()
            urgent = bool(self._urgent)
            queue = self._urgent if urgent else self._messages
            messages: list[Message] = []
            size = weight = 0
            while queue and len(messages) < TAKE_AT_ONCE and weight < TAKE_AT_ONCE_BYTES:
                message = queue.popleft()
                size += len(message[1])
                weight += PULL_WEIGHT_BYTES if message[0].endswith(_PULL) else len(message[1])
                messages.append(message)
            self._bytes[urgent] -= size
            dropped, self._dropped = self._dropped, 0
        return changes, messages, dropped


class Hub:
    """One hub process. `run` returns when `stop` was called or the archive is lost to another hub."""

    def __init__(self, config: HubConfig, worker: int | None = None) -> None:
        """`worker`: which of several it is, counted from 1."""
        self._config = config
        self._worker = worker
        self._inbox = Inbox()
        self._service = Service.of(os.environ)
        self._log = structlog.get_logger("sync.hub")
        self._told_refusal: tuple[str, float] = ("", 0.0)
        self._told_fault = ""
        self._lost_utc = dict.fromkeys((Connection.ALARM, Connection.ROUTINE), utc_now())
        """Since when the broker does not hear this hub, by what it says there."""
        self._told_lost_utc = ""
        self._receipts_at_s = 0.0
        self._certificate_at_s = 0.0
        self._receipt_fault = ""

    def stop(self) -> None:
        self._inbox.stop()

    def run(self) -> int:
        """Exit code: 0 after `stop`, 1 when another hub took the archive. Raises `ArchiveRefused`."""
        config = self._config
        archive = Archive.open(_own_place(config.archive, self._worker), own=True)
        aside = AsideProcess(config.archive, config.records.snapshot_folder)
        try:
            with archive.transaction():
                for device, public_pem in config.devices.items():
                    archive.enrol(device, public_pem)
                    archive.allow_scopes(device, config.records.device_scopes.get(device, ()))
                for scope in config.sync.scopes:
                    archive.add_scope(scope)
            receiver = Receiver(
                archive,
                KeySigner(config.private_key, config.kid),
                site=config.site,
                limits=Limits(
                    head_every_s=config.sync.head_every_s,
                    snapshot_from=config.records.snapshot_from,
                    snapshot_bytes_per_s=config.records.snapshot_bytes_per_s,
                    retire_every_s=config.records.retire_every_s,
                    backup_interval_s=config.backup_interval_s,
                ),
                aside=aside,
                snapshots=SnapshotFolder(config.records.snapshot_folder),
                keep_days=config.records.keep_days,
                key_statements=config.key_statements,
            )
            return self._serve(archive, receiver)
        finally:
            aside.close()
            archive.close()

    def _serve(self, archive: Archive, receiver: Receiver) -> int:
        config = self._config

        def will() -> tuple[str, bytes]:
            death = receiver.death(utc_now())
            return death.topic, death.payload

        def publish(answer: Outgoing) -> None:
            self._publish(link, [answer])

        keeper = BlobKeeper(
            lambda: Archive.open(config.archive),
            BlobFiles(config.blobs.folder),
            KeySigner(config.private_key, config.kid),
            site=config.site,
            limits=config.blobs.limits,
            publish=publish,
        )

        mine = Mine(config.site, config.workers, self._worker)

        def on_message(topic: str, payload: bytes) -> None:
            if mine.takes(topic, on_duty=receiver.on_duty):
                (keeper.put if _BLOB in topic else self._inbox.message)(topic, payload)

        workers = config.workers
        link = HubLink(
            broker_of(config.sync),
            site=config.site,
            on_message=on_message,
            on_connection=self._inbox.change,
            # Of several none speaks for the hub when it dies: the others go on.
            will=will if workers is None else None,
            client_id=HUB_KID if self._worker is None else f"{HUB_KID}-{self._worker}",
            share=share_group(config.private_key) if workers and workers.spread == "share" else "",
            duties=receiver.on_duty,
        )
        self._log.info(
            "hub ready",
            site=config.site,
            archive=archive.place,
            worker=self._worker,
            on_duty=receiver.on_duty,
            archive_id=archive.archive_id,
            scopes=list(config.sync.scopes),
            devices=sorted(config.devices),
            broker=f"{config.sync.host}:{config.sync.port}",
        )
        if receiver.on_duty:
            keeper.start()
        beside = []
        if self._worker in (None, 1):
            modules = {"sync.hub.live_serving": config.live, "sync.hub.console.serving": config.console}
            beside = [KeptProcess(module, config.file, self._log) for module, part in modules.items() if part]
        link.start()
        self._service.ready(f"hub of {config.site}")
        code = 0
        try:
            self._tell_beside(beside)
            self._converse(archive, receiver, link, keeper, beside)
        except ArchiveTaken as error:
            self._log.critical("archive taken", why=str(error))
            code = 1
        finally:
            self._service.stopping()
            for each in beside:
                each.stop()
            keeper.stop(KEEPER_STOPS_WITHIN_S)
            self._leave(receiver, link, code)
            self._service.close()
        return code

    def _converse(
        self,
        archive: Archive,
        receiver: Receiver,
        link: HubLink,
        keeper: BlobKeeper,
        beside: Sequence[KeptProcess],
    ) -> None:
        has_duties = receiver.on_duty
        poll_s = self._config.sync.poll_s
        tick_at_s = time.monotonic()
        while not self._inbox.stopped:
            self._service.alive()
            changes, messages, dropped = self._inbox.take(max(0.0, min(0.2, tick_at_s - time.monotonic())))
            for change in changes:
                self._connection(change, receiver, link)
            if changes:
                self._tell_beside(beside)
            if messages:
                self._publish(link, receiver.receive_all(messages, utc_now()))
            if dropped:
                self._log.warning(
                    "messages dropped", times=dropped, why="they came faster than they were stored"
                )
            self._publish(link, receiver.commands(utc_now()))
            if time.monotonic() >= tick_at_s:
                self._publish(link, receiver.tick(utc_now()))
                tick_at_s = time.monotonic() + poll_s
                self._tell_fault(receiver)
                for each in beside:
                    each.look()
                if receiver.on_duty and not has_duties:
                    self._log.info("duties taken over", worker=self._worker)
                    has_duties = True
                    keeper.start()
                    link.take_duties()
                if receiver.on_duty:
                    self._give_out_receipts(archive)
                    self._look_at_certificate(archive)

    def _look_at_certificate(self, archive: Archive) -> None:
        """Once a day: where hub and lanes are shut out together, nobody else can say why."""
        file = self._config.sync.certificate_file
        if file is None or time.monotonic() < self._certificate_at_s:
            return
        self._certificate_at_s = time.monotonic() + CERTIFICATE_LOOK_EVERY_S
        try:
            ends = end_of(file.read_bytes())
            left = None if ends is None else ends - datetime.now(UTC)
            if ends is None or left is None or left >= CERTIFICATE_WARNING:
                return
            told = f"{file}: {ends:%Y-%m-%d}, {left.days} days left; then the broker lets the hub in no more"
            self._log.warning(
                "certificate ends soon", file=str(file), ends=f"{ends:%Y-%m-%d}", days=left.days
            )
            archive.add_alarm(utc_now(), HUB_KID, HubAlarm.CERTIFICATE_ENDS, told)
        except (OSError, *STORAGE_ERRORS) as error:
            self._log.warning("certificate not looked at", why=f"{type(error).__name__}: {error}")

    def _give_out_receipts(self, archive: Archive) -> None:
        settings = self._config.receipts
        if settings is None or time.monotonic() < self._receipts_at_s:
            return
        self._receipts_at_s = time.monotonic() + self._config.receipts_every_s
        try:
            done = give_out(archive, settings, utc_now())
        except STORAGE_ERRORS as error:
            fault = f"{type(error).__name__}: {error}"
            if fault != self._receipt_fault:
                self._receipt_fault = fault
                self._log.error("receipts not given out", why=fault, doing="tried again")
            return
        if done.full:
            # The rest with the next tick, after what has come meanwhile.
            self._receipts_at_s = 0.0
        if self._receipt_fault:
            self._receipt_fault = ""
            self._log.info("receipts are given out again")
        if done.out:
            self._log.info("receipts given out", files=len(done.out), last=done.out[-1])
        if done.not_made:
            self._log.error("receipts cannot be made", crossings=done.not_made, see="alarms of the hub")

    def _publish(self, link: HubLink, outgoing: list[Outgoing]) -> None:
        for message in outgoing:
            link.publish(message.topic, message.payload, retain=message.retain, connection=message.connection)

    def _tell_beside(self, beside: Sequence[KeptProcess]) -> None:
        """Who shows what devices said has to say when nobody can have said anything since."""
        lost_utc = min(self._lost_utc.values(), default="")
        if lost_utc != self._told_lost_utc:
            self._told_lost_utc = lost_utc
            for each in beside:
                each.tell(f"{BROKER_LOST} {lost_utc}")

    def _connection(self, change: LinkChange, receiver: Receiver, link: HubLink) -> None:
        match change:
            case Connected(Connection.BLOBS):
                self._log.info("blobs may come")
            case Connected(connection):
                self._log.info("broker reached", connection=connection.value)
                self._lost_utc.pop(connection, None)
                if connection is Connection.ROUTINE:
                    self._publish(link, receiver.born(utc_now()))
            case Disconnected(connection, why):
                self._log.warning("broker lost", connection=connection.value, why=why)
                if connection is not Connection.BLOBS:
                    self._lost_utc.setdefault(connection, utc_now())
            case ConnectionRefused(connection, why):
                told, told_s = self._told_refusal
                if why != told or time.monotonic() - told_s >= REFUSED_EVERY_S:
                    self._told_refusal = (why, time.monotonic())
                    self._log.error("broker refused", connection=connection.value, why=why)
            case _:
                assert_never(change)

    def _tell_fault(self, receiver: Receiver) -> None:
        if receiver.storage_fault != self._told_fault:
            self._told_fault = receiver.storage_fault
            if self._told_fault:
                self._log.error(
                    "archive fails", why=self._told_fault, doing="nothing is acknowledged meanwhile"
                )
            else:
                self._log.info("archive works again")

    def _leave(self, receiver: Receiver, link: HubLink, code: int) -> None:
        if code == 0:
            receiver.stop(utc_now())
            if self._config.workers is None:
                self._publish(link, [receiver.death(utc_now())])
        ended = link.stop()
        self._log.info(
            "hub stopped",
            messages=receiver.counts.messages,
            facts=receiver.counts.facts,
            duplicates=receiver.counts.duplicates,
            refused=receiver.counts.refused,
            clean=ended,
        )


class Mine:
    """Which messages this process takes, where there are several on one archive."""

    def __init__(self, site: str, workers: WorkersPart | None, worker: int | None) -> None:
        self._edge = f"{ROOT}/{site}/edge/"
        self._workers = workers
        self._worker = worker

    def takes(self, topic: str, *, on_duty: bool) -> bool:
        if self._workers is None or self._worker is None:
            return True
        device, _, rest = topic.removeprefix(self._edge).partition("/")
        if rest not in _ANYONES:
            return on_duty
        return self._workers.spread == "share" or part_of(device, self._workers.count) == self._worker


def part_of(device: str, count: int) -> int:
    """Which of `count` workers, counted from 1, has this device; the same on every machine and every day."""
    digest = hashlib.sha256(device.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1


def _own_place(place: Path | PostgresPlace, worker: int | None) -> Path | PostgresPlace:
    """Every worker is a witness by itself."""
    if isinstance(place, Path) or worker is None:
        return place
    witness = place.witness_file
    return dataclasses.replace(place, witness_file=witness.with_name(f"{witness.name}.{worker}"))


def set_up_log(level: LogLevel, stream: TextIO | None = None) -> None:
    """One JSON object a line on stderr, structlog and the standard library alike."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    out = sys.stderr if stream is None else stream
    render: Processor = structlog.processors.JSONRenderer(serializer=_one_line)
    if _goes_to_journal(out):
        render = _for_journal
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Of syslog, as sd-daemon(3) wants them in front of a line."""


def _goes_to_journal(stream: TextIO) -> bool:
    """Whether systemd's journal reads what is written there; systemd.exec(5) says how to know."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (str(there.st_dev), str(there.st_ino)) == (device, inode)


def _for_journal(_logger: object, _method: str, event: EventDict) -> str:
    event.pop("time", None)
    return f"<{_PRIORITIES.get(str(event.get('level')), 6)}>{_one_line(event)}"


def _one_line(event: object, **_: object) -> str:
    return json.dumps(event, ensure_ascii=False, default=str)
