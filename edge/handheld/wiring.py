"""The composition root of a handheld's core: the only place where an effect meets a thing and a thing becomes
an event. The half with the screens (the glass) is handed in: a window, Android's activity, or a terminal.

Dull on purpose. Whatever must be decided is decided in the rooms.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from edge import VERSION
from edge.handheld import app as machine
from edge.handheld.app import App, Device, View, begun, view
from edge.handheld.config import HandheldConfig
from edge.handheld.context import Sync
from edge.handheld.effects import Effect
from edge.handheld.events import (
    Captured,
    CommandGiven,
    Committed,
    EffectFailed,
    EvidenceFailed,
    EvidenceKept,
    FactsAcknowledged,
    SiteChanged,
    SyncChanged,
    SyncTold,
    TimePassed,
    Wiped,
)
from edge.handheld.joint.marks import Mark
from edge.handheld.latest_time import FILE as LATEST_TIME
from edge.handheld.latest_time import LatestTime
from edge.handheld.looking_up import Ageing, Lookups
from edge.handheld.performer import GlassEffect, Performer, Things
from edge.handheld.stores import EVIDENCE, Limits, Stores
from edge.handheld.vault import Keystore
from edge.handheld.wiping import Belongings, wiping_of
from edge.linking import BUILT, config_digest, facts_of, link_config, peppers, read_draw_key
from edge.reading.decoders import Capabilities, expected
from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.runtime.inbox import Inbox
from edge.runtime.loop import Loop
from sync.link import words as link_words
from sync.link.client import LinkClient
from sync.link.key_files import own_signer
from sync.link.keys import key_id, load_private, load_public
from sync.link.performer import HUB_KEYS
from sync.store.evidence_files import DiskNearlyFull
from sync.store.journal import Journal, JournalFull
from sync.store.opening import StoreRefused
from sync.vocabulary.blobs import MAX_BLOB_BYTES
from sync.vocabulary.codec import Malformed
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import MessageRefused, PicturesShed, Stream
from sync.vocabulary.records import Site
from sync.vocabulary.rulings import Text

_LOOK_TIMER: Final = "core:look"
_KEEP_TIMER: Final = "core:keep"
_KEEP_EVERY_S: Final = 600.0


class Glass(Protocol):
    """The half that shows and senses. Calls only enqueue; they come from the core's thread."""

    def show(self, shown: View) -> None: ...

    def ask(self, effect: GlassEffect) -> bool:
        """False: nobody is there to do it."""

    def done(self, mark: Mark) -> None:
        """The event of this mark was stepped, and what came of it is performed."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """An event of the glass, with how far it was heard."""

    mark: Mark
    event: Any


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the performer answered, before the event in hand is done."""

    event: Any


@dataclass(frozen=True, slots=True)
class _IsDone:
    mark: Mark


class Core:
    """One handheld's deciding half: inbox, machine, performer, stores, link."""

    def __init__(
        self, config: HandheldConfig, config_path: Path, clock: Clock, *, keystore: Keystore | None = None
    ) -> None:
        """Raises `KeyRefused`, `LinkConfigRefused`, `StoreRefused`, `VaultRefused` before anything moves."""
        self._config = config
        self._clock = clock
        self._log = structlog.get_logger("handheld").bind(device=config.device.id)
        private = load_private(config.sync.key_file.path)
        self._hub_key = load_public(config.sync.hub_key_file)
        self._private = private
        self._signer, self._statements = own_signer(
            config.device.id, private, config.sync.key_statements_file
        )
        draw_key = read_draw_key(config.spot_check.key_file) if config.spot_check is not None else None
        self._digest = config_digest(config_path)
        self._belongings = _belongings(config)
        self._stores = Stores(
            config.store.folder,
            device=config.device.id,
            clock=clock,
            limits=Limits(
                config.store.reserve_mb * 1_000_000,
                config.evidence.max_mb * 1_000_000,
                config.evidence.keep_days,
                config.evidence.keep_free_mb * 1_000_000,
            ),
            belongings=self._belongings,
            keystore=keystore,
            random=secrets.token_bytes,
        )
        self._inbox: Inbox[Any] = Inbox(clock, on_timer=_on_timer, on_lost=_on_lost)
        self._latest = LatestTime(clock, config.store.folder / LATEST_TIME)
        self._ageing = Ageing(clock, config.clock.require_synchronised, BUILT, self._latest)
        self._client: LinkClient | None = None
        self._glass: Glass | None = None
        self._wiping = wiping_of(
            self._stores.vault,
            self._belongings,
            clock,
            backlog=self._backlog,
            told=self._on_wiped,
        )
        self._performer = Performer(
            Things(
                device=config.device.id,
                stores=self._stores,
                lookups=Lookups(self._stores, self._ageing, draw_key),
                centre=self,
                glass=self._ask,
                put=self._answer,
                wake_after=self._inbox.wake_after,
                clock=clock,
                peppers=self._peppers,
                on_open=self._opened,
                awaits_answers=lambda: self._answers > 0,
            )
        )
        reading = expected()
        device = Device(
            name=config.device.id,
            key_id=key_id(private.public_key()),
            version=VERSION,
            config_digest=self._digest,
            boot_id=clock.boot_id(),
            sources=frozenset(config.scanner.sources),
            about=_about(config, reading),
            lacks=Text(reading.zh, reading.en) if reading.en else None,
        )
        self._answers = 0
        self._done_waiting: Mark | None = None
        self._sync = Sync()
        self._site: Site | None = None
        self._acknowledged = -1
        self._online = False
        self._is_wiped = False
        self._loop: Loop[App, Any, Effect] = Loop(
            self._inbox,
            begun(device),
            self._step,
            self._perform,
            on_failed=EffectFailed,
            make_safe=lambda: None,
        )
        self._ended = threading.Event()

    # --- the core's life ----------------------------------------------------------------------------------

    @property
    def signer_and_site(self) -> tuple[Any, str]:
        """For live picture and sound, which speaks for itself."""
        return self._signer, self._config.device.site

    @property
    def is_sending(self) -> bool:
        """The centre answers and something is owed to it. From any thread."""
        sync = self._sync
        return sync.online and (sync.unsent > 0 or sync.unsent_blobs > 0)

    def found_mark(self) -> Mark | None:
        """Of the glass's events, the last whose effects were durable when the stores were opened; None before
        that."""
        return self._performer.found_mark

    def open(self) -> None:
        """Open the stores where the keystore, or a device nobody has signed in to yet, allows it. Raises
        `StoreRefused`, `OSError`."""
        if self._stores.can_open:
            self._stores.open()
            self._inbox.put("core", self._performer.opened())
            self._opened()

    def run(self, glass: Glass, *, signals: bool = False) -> None:
        """Until `stop`; raises what broke it. After `open`."""
        self._glass = glass
        self._inbox.wake_after(_LOOK_TIMER, 0.0)
        self._inbox.wake_after(_KEEP_TIMER, _KEEP_EVERY_S)
        try:
            self._loop.run(signals=signals)
        finally:
            if self._client is not None:
                self._client.stop()
            if self._stores.are_open:
                self._latest.keep(at_once=True)
            self._stores.close()
            self._wiping.finish()
            self._ended.set()

    def stop(self) -> None:
        """From any thread."""
        self._loop.stop()

    # --- from other threads: only enqueue -----------------------------------------------------------------

    def put(self, event: Any) -> None:
        """From whoever is no glass: the battery, live picture and sound."""
        self._inbox.put("outside", event)

    def heard(self, mark: Mark, event: Any) -> None:
        """Of the glass: one at a time, the next after `Glass.done` of this one."""
        self._inbox.put("glass", _Heard(mark, event))

    def fetch(self, name: str) -> bytes | None:
        """Evidence by its hash, for a screen. Raises `OSError`."""
        evidence = self._stores.evidence
        return None if evidence is None else evidence.read(name)

    def _on_wiped(self, command_id: str, why: str) -> None:
        self._inbox.put("wiping", Wiped(command_id, why))

    def _on_notice(self, notice: link_words.Notice) -> None:
        self._inbox.put("link", notice)

    # --- what the performer needs of the centre -----------------------------------------------------------

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None:
        if self._client is not None:
            self._client.answer_command(command_id, outcome, why)

    def tell_status(self) -> None:
        if self._client is not None:
            self._client.tell_status()

    def resync(self) -> None:
        if self._client is not None:
            self._client.resync()

    def wipe(self, command_id: str, force: bool) -> None:
        self._wiping.begin(command_id, force)

    def facts_waiting(self) -> None:
        if self._client is not None:
            self._client.facts_waiting()

    def _peppers(self) -> Sequence[bytes]:
        """One for each key of the hub that is believed: the link keeps what the pinned one vouched for."""
        return peppers(self._private, self._hub_key, self._config.store.folder / HUB_KEYS)

    def _ask(self, effect: GlassEffect) -> bool:
        return self._glass is not None and self._glass.ask(effect)

    def _answer(self, event: Any) -> None:
        self._answers += 1
        self._inbox.put("answers", _Answer(event))

    def _opened(self) -> None:
        """The stores are open: from now on facts leave and records come."""
        journal, config = self._stores.journal, self._config
        if journal is None:
            return
        self._latest.seen(_last_told(journal))
        self._latest.keep(at_once=True)
        self._client = LinkClient(
            link_config(
                config.sync,
                device=config.device.id,
                site=config.device.site,
                digest=self._digest,
                boot_id=self._clock.boot_id(),
                statements=self._statements,
                blob_bytes_per_s=1000 * config.evidence.upload_kb_per_s,
                leads_to_parcels=True,
            ),
            journal=journal,
            records_folder=config.store.folder,
            signer=self._signer,
            hub_key=self._hub_key,
            notices=self._on_notice,
            blobs=self._stores.evidence,
        )
        self._client.start()
        self._inbox.put("core", Committed(0, journal.position()))

    # --- on the core's thread -----------------------------------------------------------------------------

    def _step(self, app: App, at_s: float, event: Any) -> tuple[App, Sequence[Effect]]:
        match event:
            case _IsDone(mark):
                self._finish(mark)
                return app, ()
            case _Heard(mark, inner):
                self._performer.mark = mark
                self._done_waiting = mark
                self._inbox.put("done", _IsDone(mark))
                event = inner
            case _Answer(inner):
                self._answers -= 1
                event = inner
            case TimePassed(name) if name == _LOOK_TIMER:
                self._look(app, at_s)
                return app, ()
            case TimePassed(name) if name == _KEEP_TIMER:
                self._keep()
                return app, ()
            case (
                link_words.LinkUp()
                | link_words.LinkDown()
                | link_words.ClaimAnswered()
                | link_words.CommandCame()
                | link_words.RecordsMoved()
                | link_words.RecordsDiffer()
                | link_words.RecordsRepaired()
                | link_words.EpochBegan()
                | link_words.Refused()
                | link_words.LinkRefused()
                | link_words.CertificateEnds()
                | link_words.StoreTrouble()
            ):
                return self._noticed(app, at_s, event)
            case _:
                pass
        if isinstance(event, Captured):
            event = self._kept(event)
        return self._stepped(app, at_s, event)

    def _stepped(self, app: App, at_s: float, event: Any) -> tuple[App, Sequence[Effect]]:
        utc = self._clock.utc_text()
        after, effects = machine.step(app, at_s, utc, event)
        if after is not app:
            # Shown before anything is performed: a verdict waits for no disk.
            self._show(after, at_s, utc)
        return after, effects

    def _show(self, app: App, at_s: float, utc: str) -> None:
        if self._glass is not None:
            self._glass.show(view(app, at_s, utc))

    def _perform(self, effect: Effect) -> None:
        self._performer.perform(effect)

    def _finish(self, mark: Mark) -> None:
        """What the glass said is done when nothing that came of it waits any more."""
        if self._answers > 0:
            self._inbox.put("done", _IsDone(mark))
            return
        if self._glass is not None:
            self._glass.done(mark)

    def _noticed(self, app: App, at_s: float, notice: link_words.Notice) -> tuple[App, Sequence[Effect]]:
        for stream, data in facts_of(notice):
            self._inbox.put("link", SyncTold(stream, data))
        match notice:
            case link_words.LinkUp():
                self._online = True
            case link_words.LinkDown():
                self._online = False
            case link_words.CommandCame(command):
                return self._stepped(app, at_s, CommandGiven(command))
            case _:
                pass
        self._gather(at_s)
        return app, ()

    def _look(self, app: App, at_s: float) -> None:
        self._inbox.wake_after(_LOOK_TIMER, self._config.timing.look_every_s)
        self._gather(at_s)
        if self._client is not None:
            self._client.set_health({"handheld": _health(app)})
        if self._wiping.run():
            self._log.warning("wiped by the centre: this program ends")
            self._loop.stop()
        # Seconds pass on the screen too.
        self._show(app, at_s, self._clock.utc_text())

    def _gather(self, at_s: float) -> None:
        """What every screen shows of the sync, where it has changed."""
        journal = self._stores.journal
        if journal is None:
            return
        try:
            unsent, blobs = sum(journal.backlog().values()), journal.blobs_backlog()[0]
            records = self._stores.records()
            state = None if records is None else records.feed_state()
            site = None if records is None else records.site()
        except (StoreRefused, Malformed):
            return
        if state is not None and state.verified_utc is not None and self._online:
            self._latest.vouched(state.verified_utc)
        self._latest.keep()
        sync = Sync(
            online=self._online,
            unsent=unsent,
            unsent_blobs=blobs,
            records_epoch="" if state is None else state.epoch,
            records_number=0 if state is None else state.number,
            records_age_s=None if state is None else self._ageing.age_s(state.verified_utc),
            told_s=at_s,
        )
        if site != self._site:
            self._site = site
            self._inbox.put("sync", SiteChanged(site))
        if _differs(self._sync, sync):
            self._sync = sync
            self._inbox.put("sync", SyncChanged(sync))
        up_to = _acknowledged(journal)
        if up_to != self._acknowledged:
            self._acknowledged = up_to
            self._inbox.put("sync", FactsAcknowledged(up_to))

    def _keep(self) -> None:
        """Lets go of what need not be kept."""
        self._inbox.wake_after(_KEEP_TIMER, _KEEP_EVERY_S)
        journal = self._stores.journal
        if journal is None:
            return
        try:
            journal.drop_acknowledged(86_400.0 * self._config.store.keep_acknowledged_days)
            shed = self._stores.shed(clock_is_known=self._clock.uncertainty_ms() != UNKNOWN_MS)
        except (StoreRefused, JournalFull, OSError) as error:
            self._log.warning("nothing was let go of", why=str(error))
            return
        if shed is not None:
            told = PicturesShed(
                pictures=shed.pictures,
                size_bytes=shed.size_bytes,
                first_day=shed.first_day,
                last_day=shed.last_day,
                not_at_the_centre=shed.needed,
            )
            self._inbox.put("core", SyncTold(Stream.ROUTINE, told))
            journal.forget_blobs(shed.sha256s)

    def _kept(self, captured: Captured) -> EvidenceKept | EvidenceFailed:
        """On the disk, closed, before any room hears of it."""
        evidence, utc = self._stores.evidence, self._clock.utc_text()
        if evidence is None:
            return EvidenceFailed(captured.request, "the stores are not open")
        if not 0 < len(captured.content) <= MAX_BLOB_BYTES:
            return EvidenceFailed(captured.request, f"{len(captured.content)} bytes cannot be kept")
        try:
            kept = evidence.keep(captured.content, utc)
        except DiskNearlyFull as error:
            return EvidenceFailed(captured.request, str(error))
        except OSError as error:
            return EvidenceFailed(captured.request, error.strerror or str(error))
        return EvidenceKept(captured.request, kept.sha256, kept.size_bytes, captured.kind, utc)

    def _backlog(self) -> int:
        journal = self._stores.journal
        return 0 if journal is None else sum(journal.backlog().values())


def _last_told(journal: Journal) -> str:
    """Time of the last routine fact; empty where there is none."""
    last = journal.heads()[Stream.ROUTINE].seq
    facts = journal.facts_from(Stream.ROUTINE, max(1, last), max_facts=1, max_bytes=1_000_000)
    return facts[-1].time if facts else ""


def _acknowledged(journal: Journal) -> int:
    """The centre has every fact up to this device-wide position."""
    acked, heads = journal.acked(), journal.heads()
    up_to = journal.position()
    for stream, head in heads.items():
        first = acked.get(stream, 0) + 1
        if first <= head.seq:
            for fact in journal.facts_from(stream, first, max_facts=1, max_bytes=1_000_000):
                up_to = min(up_to, fact.position - 1)
    return up_to


def _differs(before: Sync, now: Sync) -> bool:
    """An age that only grew with time is no change."""
    if (before.records_age_s is None) is not (now.records_age_s is None):
        return True
    expected, age_s = before.age_s(now.told_s), now.records_age_s
    moved = expected is not None and age_s is not None and abs(expected - age_s) > 1.0
    return moved or _ageless(before) != _ageless(now)


def _ageless(sync: Sync) -> Sync:
    return msgspec.structs.replace(sync, records_age_s=None, told_s=0.0)


def _belongings(config: HandheldConfig) -> Belongings:
    sync = config.sync
    secrets_ = [sync.key_file, sync.tls_key_file, sync.password_file]
    secrets_.append(config.spot_check.key_file if config.spot_check is not None else None)
    return Belongings(
        config.store.folder,
        (config.store.folder / EVIDENCE,),
        tuple(secret.path for secret in secrets_ if secret is not None),
    )


def _about(config: HandheldConfig, reading: Capabilities) -> tuple[Text, ...]:
    decoders = " · ".join(reading.names)
    missing = (Text(reading.zh, reading.en),) if reading.en else ()
    return (
        Text(f"版本 {VERSION}", f"Version {VERSION}"),
        Text(f"设备 {config.device.id}", f"Device {config.device.id}"),
        Text(f"场所 {config.device.site}", f"Site {config.device.site}"),
        Text(f"读码 {decoders}", f"Codes by {decoders}"),
        *missing,
    )


def _health(app: App) -> str:
    if app.states["obeying"].stopped_by is not None:
        return "revoked"
    if app.not_recorded:
        return f"cannot record: {app.not_recorded[:80]}"
    return "in hand" if app.officer is not None else "nobody signed in"


def _on_timer(key: Hashable) -> Any:
    return TimePassed(str(key))


def _on_lost(source: str, count: int) -> Any:
    told = MessageRefused(topic=f"inbox/{source}", why="came faster than they could be taken", times=count)
    return SyncTold(Stream.ROUTINE, told)
