"""The composition root of an X-ray station: the only place where an effect meets a thing and a thing becomes
an event.

Dull on purpose. Whatever must be decided is decided in `station` and `rules`.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from edge import VERSION
from edge.devices.readings import (
    BeltSeen,
    BeltUnknown,
    DeviceFault,
    EyeEdge,
    Order,
    OrderRefused,
    Reading,
    ReleaseOutput,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.devices.xray_folder.watching import HotFolder, folder_settings
from edge.linking import BUILT, config_digest, facts_of, link_config, peppers, read_draw_key
from edge.runtime.clock import UNKNOWN_MS, Clock, SystemClock
from edge.runtime.inbox import Inbox
from edge.runtime.loop import EffectFailed, Loop
from edge.runtime.ports import OrderNotTaken
from edge.runtime.service import Service
from edge.runtime.supervisor import DeviceHealth, DeviceReport, Supervisor
from edge.xray_bridge.analysing import Analysts, Prepare
from edge.xray_bridge.calibrating import Calibrations
from edge.xray_bridge.config import (
    XRayConfig,
    camera_address,
    device_of,
    machine_of,
    page_settings,
    read_xray_config,
    station_settings,
    triggered,
)
from edge.xray_bridge.deciding.state import Station
from edge.xray_bridge.effects import Effect, Told
from edge.xray_bridge.events import (
    BeltRead,
    CommandCame,
    DeviceBack,
    DeviceLost,
    Event,
    LinkSeen,
    PictureLost,
    Timer,
    TimerRang,
    WriteFailed,
)
from edge.xray_bridge.evidence.keeping import EvidenceKeeper
from edge.xray_bridge.evidence.keeping import Settings as EvidenceSettings
from edge.xray_bridge.evidence.library import Library
from edge.xray_bridge.evidence.searching import Searcher
from edge.xray_bridge.evidence.store import EvidenceStore, Limits
from edge.xray_bridge.imaging.describing import Descriptor
from edge.xray_bridge.looking_up import Lookups
from edge.xray_bridge.page.door import Door
from edge.xray_bridge.page.server import StationPage
from edge.xray_bridge.performer import StationPerformer, Things, read_memory
from edge.xray_bridge.pictures import Pictures
from edge.xray_bridge.portal_camera import PortalCamera
from edge.xray_bridge.publishing import Around, Publisher
from edge.xray_bridge.roster import Roster
from edge.xray_bridge.shelving import Shelf
from edge.xray_bridge.showing import Shown, palette_of
from edge.xray_bridge.station import noted, step, woken
from edge.xray_bridge.translation import Translator, is_valid, to_report
from sync.link import words as link_words
from sync.link.client import LinkClient
from sync.link.key_files import own_signer
from sync.link.keys import key_id, load_private, load_public
from sync.link.performer import HUB_KEYS
from sync.policy.ages import records_age_s
from sync.store.folders import make_folder
from sync.store.journal import Journal, JournalFull
from sync.store.opening import StoreRefused
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import Malformed
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import FactData, Stream

_HEALTH_EVERY_S: Final = 2.0
_RETENTION_EVERY_S: Final = 600.0
_FOLDER_CLOSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Noted:
    """What the link has to say, for the journal: no decision stands on it."""

    stream: Stream
    data: FactData


@dataclass(frozen=True, slots=True)
class _Due:
    """House-keeping, by its name."""

    what: str


_Inside = Event | _Noted | _Due


@dataclass(frozen=True, slots=True)
class _Link:
    """The performer's view of the link client."""

    client: LinkClient

    def facts_waiting(self) -> None:
        self.client.facts_waiting()

    def answer_command(self, command_id: str, outcome: Outcome, why: str) -> None:
        self.client.answer_command(command_id, outcome, why)

    def resync(self) -> None:
        self.client.resync()

    def tell_status(self) -> None:
        self.client.tell_status()


def run(config_path: Path) -> int:
    """Read the config, wire the station, run until told to stop. Raises `ConfigRefused`, `StoreRefused`,
    `KeyRefused`, `CalibrationRefused` before anything moves."""
    config = read_xray_config(config_path)
    return Program(config, config_path, SystemClock()).run()


class Program:
    """One station, wired."""

    def __init__(self, config: XRayConfig, config_path: Path, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._log = structlog.get_logger("xray").bind(station=config.station.id)
        make_folder(config.store.folder)
        private = load_private(config.sync.key_file.path)
        hub_key = load_public(config.sync.hub_key_file)
        signer, statements = own_signer(config.station.id, private, config.sync.key_statements_file)
        draw_key = read_draw_key(config.spot_check.key_file) if config.spot_check is not None else None
        self._calibrations = Calibrations(config.calibration.folder)
        self._journal = Journal.open(
            config.store.folder / "journal.sqlite",
            device=config.station.id,
            utc=clock.utc_text,
            boot_id=clock.boot_id(),
            reserve_bytes=config.store.reserve_mb * 1_000_000,
            monotonic_s=clock.monotonic_s,
        )
        self._records = RecordsInForce(self._journal, config.store.folder)
        self._inbox: Inbox[_Inside] = Inbox(clock, on_timer=_on_timer, on_lost=_on_lost)
        self._translator = Translator()
        self._supervisor: Supervisor[Reading, Order] = Supervisor(
            [device_of(name, part) for name, part in config.devices.items()],
            clock,
            on_reading=self._on_reading,
            on_report=self._on_report,
            is_valid=is_valid,
            back_off=config.back_off,
        )
        self._folder = self._hot_folder()
        self._camera = self._portal_camera()
        palette = palette_of(config.library.palette)
        self._pictures = Pictures(
            plane_mm=config.layout.xray_mm,
            most_bytes=config.pictures.most_mb * 1_000_000,
            calibration=self._calibrations.current,
            clock=clock,
            put=lambda event: self._inbox.put("pictures", event),
            ready=lambda held: self._analysts.ask(Prepare(held.picture)),
        )
        self._analysts = Analysts(
            self._pictures,
            calibration=self._calibrations.current,
            palette=palette,
            check_wedge=self._calibrations.check,
            clock=clock,
            put=lambda event: self._inbox.put("analysts", event),
            workers=config.pictures.workers,
        )
        self._shelf = self._shelf_of()
        self._shown = Shown(
            self._pictures,
            calibration=self._calibrations.current,
            palette=palette,
            kept=self._shelf.raw,
        )
        digest = config_digest(config_path)
        self._client = LinkClient(
            link_config(
                config.sync,
                device=config.station.id,
                site=config.station.site,
                digest=digest,
                boot_id=clock.boot_id(),
                statements=statements,
                blob_bytes_per_s=1000 * config.evidence.upload_kb_per_s,
                leads_to_parcels=True,
            ),
            journal=self._journal,
            records_folder=config.store.folder,
            signer=signer,
            hub_key=hub_key,
            notices=self._on_notice,
            blobs=self._shelf,
        )
        lookups = Lookups(self._records.current, clock, draw_key, config.clock.require_synchronised, BUILT)
        self._roster = Roster(
            self._journal,
            config.store.folder,
            clock,
            must_be_known=config.clock.require_synchronised,
            not_before_utc=BUILT,
        )
        self._publisher = Publisher(
            station_id=config.station.id,
            clock=clock,
            picture=self._pictures.get,
            reference=self._shelf.reference,
            around=self._around,
            changed=lambda: self._page.changed(),
        )
        self._page = StationPage(
            page_settings(config),
            clock=clock,
            latest=self._publisher.latest,
            put=lambda event: self._inbox.put("page", event),
            pictures=self._shown,
            library=self._shelf,
            door=Door(
                device=config.station.id,
                folder=config.store.folder,
                clock=clock,
                roster=self._roster,
                peppers=lambda: peppers(private, hub_key, config.store.folder / HUB_KEYS),
            ),
        )
        self._performer = StationPerformer(
            Things(
                journal=self._journal,
                goods=lookups.goods,
                references=lambda goods: self._shelf.references(goods, *lookups.references(goods)),
                link=_Link(self._client),
                order=self._supervisor.order,
                put=lambda event: self._inbox.put("station", event),
                wake_after=self._inbox.wake_after,
                clock=clock,
                pulses=config.pulses,
                pictures=self._pictures,
                analyse=self._analysts.ask,
                evidence=self._shelf,
                answer_desk=self._page.answered,
                has_flag_chute=config.layout.flag_chute,
                triggered=triggered(config),
            )
        )
        settings = station_settings(
            config,
            version=VERSION,
            digest=digest,
            boot_id=clock.boot_id(),
            key_id=key_id(private.public_key()),
            draw_key=draw_key or b"",
        )
        memory, down_s = read_memory(
            self._journal.lane_state(), clock.utc_text(), position=self._journal.position()
        )
        station, self._first = woken(settings, clock.monotonic_s(), memory, down_s)
        self._service = Service.of(os.environ)
        self._every = {
            "renew": config.pulses.renew_s,
            "health": _HEALTH_EVERY_S,
            "retention": _RETENTION_EVERY_S,
        }
        self._loop: Loop[Station, _Inside, Effect] = Loop(
            self._inbox,
            station,
            self._step,
            self._performer.perform,
            on_failed=lambda effect, why: WriteFailed(why),
            make_safe=self._make_safe,
            alive=self._service.alive,
        )

    def run(self) -> int:
        """0 when told to stop; raises what broke it, after making itself safe."""
        try:
            self._start()
            self._loop.run()
        finally:
            self._close()
        return 0

    def _hot_folder(self) -> HotFolder | None:
        part = self._config.folder
        if part is None:
            return None
        return HotFolder(
            "xray",
            part.path,
            folder_settings(part.settings),
            monotonic_s=self._clock.monotonic_s,
            on_reading=self._on_reading,
            on_news=self._on_news,
        )

    def _portal_camera(self) -> PortalCamera | None:
        part = self._config.portal_camera
        if part is None:
            return None
        return PortalCamera(
            camera_address(part),
            along=part.along,
            strip_share=part.strip_share,
            monotonic_s=self._clock.monotonic_s,
            delay_s=self._config.back_off.delay_s,
            on_reading=self._on_reading,
            on_news=self._on_news,
        )

    def _shelf_of(self) -> Shelf:
        part = self._config.evidence
        store = EvidenceStore(
            part.folder,
            Limits(
                most_bytes=part.most_gb * 1_000_000_000,
                keep_free_bytes=part.keep_free_mb * 1_000_000,
                room_bytes=part.room_mb * 1_000_000,
                keep_days=part.keep_days,
                keep_held_days=part.keep_held_days,
            ),
            at_centre=self._journal.blob_acknowledged,
            told=self._journal.blob_named,
        )
        library = Library(self._config.library.folder)
        settings = EvidenceSettings(
            station=self._config.station.id,
            site=self._config.station.site,
            version=VERSION,
            raw_png=part.raw_png,
            held_pictures_go_up=part.upload == "all",
            routine_previews_go_up=part.upload == "all",
        )
        keeper = EvidenceKeeper(
            store,
            settings,
            clock=self._clock,
            put=lambda event: self._inbox.put("evidence", event),
            forget_blobs=self._journal.forget_blobs,
            library=library,
        )
        searcher = Searcher(store, library, descriptor_of=self._descriptor_of)
        return Shelf(
            keeper, library, searcher, calibration=self._calibrations.current, plate=machine_of(self._config)
        )

    def _descriptor_of(self, picture: str) -> Descriptor | None:
        held = self._pictures.get(picture)
        return None if held is None else held.descriptor

    def _around(self) -> Around:
        try:
            records = self._records.current()
            if records is None:
                return Around()
            state, site = records.feed_state(), records.site()
        except (StoreRefused, Malformed):
            return Around()
        known = not self._config.clock.require_synchronised or self._clock.uncertainty_ms() != UNKNOWN_MS
        age_s = records_age_s(
            state.verified_utc, self._clock.utc_text(), clock_is_known=known, not_before_utc=BUILT
        )
        return Around(age_s, "" if site is None else site.zone)

    def _start(self) -> None:
        # The first commit ends what lay on the belt: before it is durable nothing else may happen (X3).
        for effect in self._first:
            try:
                self._performer.perform(effect)
            except EffectFailed as failed:
                self._inbox.put("station", WriteFailed(failed.why))
                break
        self._publisher.stepped(self._loop.state, self._first)
        self._shelf.start()
        self._pictures.start()
        self._analysts.start()
        if self._folder is not None:
            self._folder.start()
        if self._camera is not None:
            self._camera.start()
        self._supervisor.start()
        self._client.start()
        for what, seconds in self._every.items():
            self._inbox.wake_after(what, seconds)
        self._page.start()
        self._service.ready(f"X-ray station {self._config.station.id} listens")
        self._log.info("station is listening", devices=sorted(self._config.devices))
        self._say_if_clock_is_not_set()

    def _close(self) -> None:
        self._service.stopping()
        self._performer.withdraw()
        self._page.stop()
        self._supervisor.stop()
        if self._camera is not None:
            self._camera.stop()
        if self._folder is not None:
            self._folder.stop()
            self._folder.join(_FOLDER_CLOSE_S)
        self._pictures.stop()
        self._analysts.stop()
        self._shelf.close()
        self._client.stop()
        self._roster.close()
        self._records.close()
        self._journal.close()
        self._service.close()

    def _say_if_clock_is_not_set(self) -> None:
        utc = self._clock.utc_text()
        if utc < BUILT:
            self._log.error(
                "the clock is not set: no age of any record is known, so nothing passes by itself (S10)",
                clock=utc,
                built=BUILT,
                do="start chrony or systemd-timesyncd, or set the clock by hand",
            )

    def _step(self, station: Station, at_s: float, event: _Inside) -> tuple[Station, Sequence[Effect]]:
        match event:
            case _Due(what):
                self._house_keeping(what)
                return station, ()
            case _Noted(stream, data):
                return noted(station, at_s, Told(stream, data))
            case _:
                after, effects = step(station, at_s, event)
                self._publisher.stepped(after, effects)
                return after, effects

    def _make_safe(self) -> None:
        """The program is broken: no more parcels, and nothing is renewed. The belt is left alone (X1)."""
        try:
            self._supervisor.order("belt", "safe-feed", ReleaseOutput("feed_permit"))
        except OrderNotTaken as refused:
            self._log.error("feed permit not withdrawn: it falls by itself", why=str(refused))

    def _house_keeping(self, what: str) -> None:
        self._inbox.wake_after(what, self._every[what])
        match what:
            case "renew":
                self._performer.renew()
            case "health":
                health = {device: _health_word(each) for device, each in self._supervisor.health().items()}
                self._client.set_health({**health, "station": _station_word(self._loop.state)})
                self._publisher.stepped(self._loop.state, ())
            case _:
                self._say_if_clock_is_not_set()
                self._retain()

    def _retain(self) -> None:
        try:
            self._journal.drop_acknowledged(86_400.0 * self._config.store.keep_acknowledged_days)
        except (StoreRefused, JournalFull, OSError) as error:
            self._log.warning("retention did not run", why=str(error))

    # --- on other threads: only enqueue -------------------------------------------------------------------

    def _on_reading(self, at_s: float, device: str, reading: Reading) -> None:
        match reading:
            case (
                XrayPictureSeen()
                | XrayPictureFailed()
                | XrayStateSeen()
                | BeltSeen()
                | BeltUnknown()
                | EyeEdge()
            ):
                self._pictures.say(at_s, reading)
            case DeviceFault(code, detail):
                self._log.warning("a device reports a fault", device=device, code=code, detail=detail)
            case OrderRefused(order_id, why):
                self._log.warning("an order was not carried out", device=device, order=order_id, why=why)
            case _:
                pass
        event = self._translator.to_event(at_s, device, reading)
        if event is not None:
            self._inbox.put(device, event, at_s)

    def _on_report(self, at_s: float, report: DeviceReport) -> None:
        event = to_report(report)
        if event is not None:
            self._inbox.put(f"{report.device}-report", event, at_s)

    def _on_news(self, at_s: float, name: str, why: str) -> None:
        news: Event = DeviceLost(name, why[:200]) if why else DeviceBack(name)
        self._inbox.put(f"{name}-report", news, at_s)

    def _on_notice(self, notice: link_words.Notice) -> None:
        for event in _of_notice(notice):
            self._inbox.put("link", event)


def _of_notice(notice: link_words.Notice) -> tuple[_Inside, ...]:
    match notice:
        case link_words.LinkUp():
            return (LinkSeen(True),)
        case link_words.LinkDown():
            return (LinkSeen(False),)
        case link_words.CommandCame(command):
            return (CommandCame(command),)
        case link_words.ClaimAnswered():
            return ()
        case _:
            return tuple(_Noted(stream, data) for stream, data in facts_of(notice))


def _on_timer(key: Hashable) -> _Inside:
    return TimerRang(key) if isinstance(key, Timer) else _Due(str(key))


def _on_lost(source: str, count: int) -> _Inside:
    """What was pushed out of the inbox: an edge that was missed makes the belt unknown; nothing passes."""
    if source == "belt":
        return BeltRead(None)
    return PictureLost(f"{count} reports of {source} came faster than they could be taken"[:200])


def _station_word(station: Station) -> str:
    """What the centre sees of it at once."""
    if station.revoked:
        return "revoked"
    if station.closed:
        return f"closed: {station.closed}"
    return "feeding" if station.permit else f"withheld: {', '.join(station.feed_reasons)}"[:200]


def _health_word(health: DeviceHealth) -> str:
    return f"{health.port}, {health.speech}" + (
        f": {health.why}" if health.why and health.port == "lost" else ""
    )
