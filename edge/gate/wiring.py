"""The composition root of a lane: the only place where an effect meets a thing and a thing becomes an event.

Dull on purpose. Whatever must be decided is decided in `lane` and `rules`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

import structlog

from edge import VERSION
from edge.devices.readings import Order, PictureSeen, Reading, SetRelay
from edge.gate.config import (
    GateConfig,
    device_of,
    lane_settings,
    read_gate_config,
    wires,
)
from edge.gate.effects import Effect
from edge.gate.events import (
    RELAYS,
    ClaimAnswered,
    CommandGiven,
    DeviceSpoke,
    Event,
    LinkChanged,
    ReadFailed,
    RecordsChanged,
    SyncSaid,
    TimePassed,
    Timer,
    WriteFailed,
)
from edge.gate.lane import Lane, Shut, pictured, step
from edge.gate.page import Page
from edge.gate.performer import LanePerformer, Things, read_memory
from edge.gate.pictures import Pictures
from edge.gate.publishing import PICTURES, Publisher
from edge.gate.recording import LaneScribe, Woken, scrub_key, woken
from edge.gate.retention import Retention
from edge.gate.scrubbing import Scrubber
from edge.gate.speaking import Speaker
from edge.gate.translation import is_valid, to_event, to_report
from edge.gate.wiping import wiping_of
from edge.linking import BUILT, config_digest, facts_of, link_config, read_draw_key
from edge.runtime.clock import Clock, SystemClock
from edge.runtime.inbox import Inbox
from edge.runtime.loop import EffectFailed, Loop
from edge.runtime.ports import OrderNotTaken
from edge.runtime.recording import Recording
from edge.runtime.service import Service
from edge.runtime.supervisor import DeviceHealth, DeviceReport, Supervisor
from edge.runtime.wiping import Wiping
from sync.link import words as link_words
from sync.link.client import LinkClient, LinkConfig
from sync.link.key_files import own_signer
from sync.link.keys import key_id, load_private, load_public
from sync.link.messages import ClaimRequest, ClaimVerdict
from sync.store.evidence_files import Shed
from sync.store.folders import make_folder
from sync.store.journal import Journal
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.commands import Command, Outcome
from sync.vocabulary.facts import (
    PicturesShed,
    Stream,
)
from sync.vocabulary.numbers import Plate, SlipNo

_HEALTH_EVERY_S: Final = 2.0
_RETENTION_EVERY_S: Final = 600.0
_HEALTH_TIMER: Final = "health"
_RETENTION_TIMER: Final = "retention"
_AGAIN_EVERY_S: Final = 10.0
_AGAIN_TIMER: Final = "say again"
_GREEN_TIMER: Final = "renew green"
_HOUSE_KEEPING: Final = frozenset({_HEALTH_TIMER, _RETENTION_TIMER, _AGAIN_TIMER, _GREEN_TIMER})


@dataclass(frozen=True, slots=True)
class _Link:
    """The performer's view of the link client."""

    client: LinkClient
    device: str

    def claim(self, claim_id: str, passage: int, plate: Plate | None, slip_nos: tuple[SlipNo, ...]) -> None:
        self.client.claim(ClaimRequest(claim_id, self.device, passage, plate, slip_nos))

    def withdraw(self, claim_id: str) -> None:
        self.client.withdraw(claim_id)

    def facts_waiting(self) -> None:
        self.client.facts_waiting()


@dataclass(frozen=True, slots=True)
class _Centre:
    """The performer's view of whoever commands."""

    client: LinkClient
    wiping: Wiping[Command]

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None:
        self.client.answer_command(command_id, outcome, why)

    def tell_status(self) -> None:
        self.client.tell_status()

    def resync(self) -> None:
        self.client.resync()

    def wipe(self, command: Command, force: bool) -> None:
        self.wiping.begin(command, force)


def run(config_path: Path) -> int:
    """Read the config, wire the lane, run until told to stop. Raises `ConfigRefused`, `StoreRefused`,
    `KeyRefused` before anything moves."""
    config = read_gate_config(config_path)
    program = Program(config, config_path, SystemClock())
    return program.run()


class Program:
    """One lane, wired."""

    def __init__(self, config: GateConfig, config_path: Path, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = structlog.get_logger("gate").bind(lane=config.lane.id)
        self._wires = wires(config)
        make_folder(config.store.folder)
        private = load_private(config.sync.key_file.path)
        hub_key = load_public(config.sync.hub_key_file)
        signer, statements = own_signer(config.lane.id, private, config.sync.key_statements_file)
        draw_key = read_draw_key(config.spot_check.key_file) if config.spot_check is not None else None
        self._journal = Journal.open(
            config.store.folder / "journal.sqlite",
            device=config.lane.id,
            utc=clock.utc_text,
            boot_id=clock.boot_id(),
            reserve_bytes=config.store.reserve_mb * 1_000_000,
            monotonic_s=clock.monotonic_s,
        )
        self._records = RecordsInForce(self._journal, config.store.folder)
        self._inbox: Inbox[Event] = Inbox(clock, on_timer=_on_timer, on_lost=_on_lost)
        self._supervisor: Supervisor[Reading, Order] = Supervisor(
            [device_of(name, part) for name, part in config.devices.items()],
            clock,
            on_reading=self._on_reading,
            on_report=self._on_report,
            is_valid=is_valid,
            back_off=config.back_off,
        )
        digest = config_digest(config_path)
        self._pictures = Pictures(
            config.store.folder / PICTURES,
            config.cameras,
            config.pictures,
            lane_id=config.lane.id,
            clock=clock,
            put=lambda event: self._inbox.put("pictures", event),
            may_shed=self._journal.blob_acknowledged,
            is_held=lambda sha256: self._journal.blob_class(sha256) is BlobClass.HELD,
            on_shed=self._on_shed,
            back_off=config.back_off,
            log_level=config.log.level,
        )
        self._client = LinkClient(
            lane_link(config, digest, clock.boot_id(), statements),
            journal=self._journal,
            records_folder=config.store.folder,
            signer=signer,
            hub_key=hub_key,
            notices=self._on_notice,
            blobs=self._pictures,
        )
        self._speaker = Speaker(config.voice) if config.voice is not None else None
        self._wiping = wiping_of(
            config,
            clock,
            backlog=lambda: sum(self._journal.backlog().values()),
            put=lambda event: self._inbox.put("wiping", event),
        )
        self._performer = LanePerformer(
            Things(
                lane_id=config.lane.id,
                journal=self._journal,
                records=self._records.current,
                link=_Link(self._client, config.lane.id),
                order=self._supervisor.order,
                put=lambda event: self._inbox.put("lane", event),
                wake_after=self._inbox.wake_after,
                clock=clock,
                relays=config.relays,
                draw_key=draw_key,
                clock_must_be_known=config.clock.require_synchronised,
                has_board="board" in config.devices,
                not_before_utc=BUILT,
                pictures=self._pictures,
                centre=_Centre(self._client, self._wiping),
                say=self._speaker.say if self._speaker is not None else _say_nothing,
            )
        )
        settings = lane_settings(
            config,
            version=VERSION,
            digest=digest,
            boot_id=clock.boot_id(),
            run=secrets.token_hex(4),
            key_id=key_id(private.public_key()),
        )
        memory, down_s = read_memory(self._journal.lane_state(), clock.utc_text())
        begin = Woken(settings, clock.monotonic_s(), memory, self._journal.open_uses(), down_s)
        lane, self._first = woken(begin)
        self._recording = self._begin_recording(begin)
        self._service = Service.of(os.environ)
        self._retention = Retention(
            self._journal, self._records.current, keep_s=86_400.0 * config.store.keep_acknowledged_days
        )
        self._publisher = self._begin_page()
        self._loop: Loop[Lane, Event, Effect] = Loop(
            self._inbox,
            lane,
            self._step,
            self._perform,
            on_failed=lambda effect, why: WriteFailed(why),
            make_safe=self._make_safe,
            recorder=self._recording,
            alive=self._service.alive,
        )

    def _begin_recording(self, begin: Woken) -> Recording[Lane, Event, Effect] | None:
        """None where none is wanted, or none can be made: a lane does not stand still for it."""
        log = self._config.log
        if log.recording is None:
            return None
        try:
            scrubber = Scrubber(scrub_key(self._config.store.folder)) if log.recording_scrub else None
        except OSError as error:
            self._log.error("nothing is recorded: no key for scrubbing", why=str(error))
            return None
        scribe = LaneScribe(begin, VERSION, scrubber, _HOUSE_KEEPING)
        return Recording(log.recording, scribe, self._clock, most_bytes=log.recording_mb * 1_000_000)

    def _begin_page(self) -> Publisher | None:
        part = self._config.page
        self._page: Page | None = None
        if not part.enabled:
            return None
        publisher = Publisher(
            self._config,
            VERSION,
            self._clock,
            journal=self._journal,
            records=self._records.current,
            health=self._supervisor.health,
            not_before_utc=BUILT,
        )
        self._page = Page(
            part.host, part.port, publisher.latest, self._config.store.folder / PICTURES, self._clock
        )
        return publisher

    def run(self) -> int:
        """0 when told to stop; raises what broke it, after making itself safe."""
        try:
            self._start()
            self._loop.run()
        finally:
            self._close()
        return 0

    def _start(self) -> None:
        # The first commit names what was unfinished: before it is durable nothing else may happen (S6).
        for effect in self._first:
            try:
                self._perform(effect)
            except EffectFailed as failed:
                self._inbox.put("lane", WriteFailed(failed.why))
                break
        if self._publisher is not None:
            self._publisher.look_back()
            self._publisher.stepped(self._loop.state, self._first)
        self._pictures.start()
        if self._speaker is not None:
            self._speaker.start()
        self._supervisor.start()
        self._client.start()
        self._inbox.wake_after(_HEALTH_TIMER, _HEALTH_EVERY_S)
        self._inbox.wake_after(_RETENTION_TIMER, _RETENTION_EVERY_S)
        self._inbox.wake_after(_AGAIN_TIMER, _AGAIN_EVERY_S)
        self._inbox.wake_after(_GREEN_TIMER, self._config.relays.green_renew_s)
        if self._page is not None:
            self._page.start()
        self._service.ready(f"lane {self._config.lane.id} listens")
        self._log.info("lane is listening", devices=sorted(self._config.devices))
        self._say_if_clock_is_not_set()

    def _close(self) -> None:
        self._service.stopping()
        self._client.stop()
        self._supervisor.stop()
        self._pictures.close()
        if self._speaker is not None:
            self._speaker.stop()
        if self._page is not None:
            self._page.stop()
        if self._recording is not None:
            self._recording.close()
        self._records.close()
        self._journal.close()
        self._wiping.finish()
        self._service.close()

    def _say_if_clock_is_not_set(self) -> None:
        utc = self._clock.utc_text()
        if utc < BUILT:
            self._log.error(
                "the clock is not set: no age of any record is known, so every vehicle is held (S10)",
                clock=utc,
                built=BUILT,
                do="start chrony or systemd-timesyncd, or set the clock by hand",
            )

    def _step(self, lane: Lane, at_s: float, event: Event) -> tuple[Lane, tuple[Effect, ...]]:
        if isinstance(event, TimePassed) and event.timer.name in _HOUSE_KEEPING:
            self._house_keeping(event.timer.name)
            return lane, ()
        if isinstance(event, DeviceSpoke) and event.device in ("io", RELAYS):
            self._performer.io_is_back()
        before = type(lane.phase).__name__
        lane, effects = step(lane, at_s, event)
        after = type(lane.phase).__name__
        if before != after:
            number = lane.passage.number if lane.passage is not None else None
            self._log.info("phase", before=before, after=after, passage=number, on=type(event).__name__)
        if self._publisher is not None:
            self._publisher.stepped(lane, effects)
        return lane, effects

    def _perform(self, effect: Effect) -> None:
        self._performer.perform(effect)

    def _make_safe(self) -> None:
        """The program is broken: red light, and no more orders. The arm is left alone (S2, S6)."""
        relays = self._config.relays
        for name, channel, on in (("safe-green", relays.green, False), ("safe-red", relays.red, True)):
            if channel is not None:
                try:
                    self._supervisor.order("io", name, SetRelay(channel, on))
                except OrderNotTaken as refused:
                    self._log.error("light not set", why=str(refused))

    def _house_keeping(self, name: str) -> None:
        if name == _HEALTH_TIMER:
            health = {device: _health_word(each) for device, each in self._supervisor.health().items()}
            self._client.set_health({**health, "lane": _lane_word(self._loop.state)})
            if self._wiping.run():
                self._log.warning("wiped by the centre: this program ends")
                self._loop.stop()
            if self._publisher is not None:
                # Also where no device says anything any more: a page that stands still is a lane that hangs.
                self._publisher.stepped(self._loop.state, ())
            self._inbox.wake_after(_HEALTH_TIMER, _HEALTH_EVERY_S)
            return
        if name == _GREEN_TIMER:
            self._performer.renew_green()
            self._inbox.wake_after(_GREEN_TIMER, self._config.relays.green_renew_s)
            return
        if name == _AGAIN_TIMER:
            self._performer.say_again()
            self._inbox.wake_after(_AGAIN_TIMER, _AGAIN_EVERY_S)
            return
        self._say_if_clock_is_not_set()
        self._retention.run()
        self._inbox.wake_after(_RETENTION_TIMER, _RETENTION_EVERY_S)

    # --- on other threads: only enqueue -------------------------------------------------------------------

    def _on_shed(self, shed: Shed) -> None:
        fact = PicturesShed(
            pictures=shed.pictures,
            size_bytes=shed.size_bytes,
            first_day=shed.first_day,
            last_day=shed.last_day,
            not_at_the_centre=shed.needed,
        )
        self._inbox.put("pictures", SyncSaid(Stream.ROUTINE, fact))
        self._journal.forget_blobs(shed.sha256s)

    def _on_reading(self, at_s: float, device: str, reading: Reading) -> None:
        if isinstance(reading, PictureSeen):
            # It came with a recognition: it is of whoever stands here. The lane is a value, safe to read.
            number = pictured(self._loop.state)
            if number is not None:
                self._pictures.keep(number, reading.jpeg, device, reading.shows)
            return
        if self._publisher is not None and is_valid(reading):
            self._publisher.heard(device, reading)
        event = to_event(device, reading, self._wires)
        if event is not None:
            self._inbox.put(device, event, at_s)

    def _on_report(self, at_s: float, report: DeviceReport) -> None:
        event = to_report(report)
        if event is not None:
            self._inbox.put(f"{report.device}-report", event, at_s)

    def _on_notice(self, notice: link_words.Notice) -> None:
        for event in _of_notice(notice):
            self._inbox.put("link", event)


def _of_notice(notice: link_words.Notice) -> tuple[Event, ...]:
    match notice:
        case link_words.LinkUp():
            return (LinkChanged(True),)
        case link_words.LinkDown():
            return (LinkChanged(False),)
        case link_words.ClaimAnswered(claim_id, _, verdict, why):
            return (ClaimAnswered(claim_id, verdict is ClaimVerdict.GRANTED, why),)
        case link_words.CommandCame(command):
            return (CommandGiven(command),)
        case link_words.RecordsMoved() | link_words.RecordsRepaired():
            return (*(SyncSaid(stream, data) for stream, data in facts_of(notice)), RecordsChanged())
        case (
            link_words.RecordsDiffer()
            | link_words.EpochBegan()
            | link_words.Refused()
            | link_words.LinkRefused()
            | link_words.CertificateEnds()
            | link_words.StoreTrouble()
        ):
            return tuple(SyncSaid(stream, data) for stream, data in facts_of(notice))
        case _:
            assert_never(notice)


def _say_nothing(zh: str, en: str) -> None:
    """A lane PC without a voice."""


def _on_timer(key: Hashable) -> Event:
    return TimePassed(key if isinstance(key, Timer) else Timer(str(key), 0))


def _on_lost(source: str, count: int) -> Event:
    return ReadFailed(source, f"{count} readings came faster than they could be taken")


def _lane_word(lane: Lane) -> str:
    """What the centre sees of it at once, also when it was revoked."""
    if lane.revoked:
        return "revoked"
    return f"shut: {lane.phase.why}" if isinstance(lane.phase, Shut) else type(lane.phase).__name__.lower()


def _health_word(health: DeviceHealth) -> str:
    return f"{health.port}, {health.speech}" + (
        f": {health.why}" if health.why and health.port == "lost" else ""
    )


def lane_link(config: GateConfig, digest: str, boot_id: str, statements: bytes = b"") -> LinkConfig:
    return link_config(
        config.sync,
        device=config.lane.id,
        site=config.lane.site,
        digest=digest,
        boot_id=boot_id,
        statements=statements,
        blob_bytes_per_s=1000 * config.pictures.upload_kb_per_s,
    )
