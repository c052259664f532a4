"""The handheld on a PC: the window on the main thread, the core on another, the same socket between them as
on a phone. A PC's camera, and a serial scan engine, become scans here; the keyboard's are the window's.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog

from edge import VERSION
from edge.devices.catalogue import driver_maker
from edge.devices.fixed_camera.source import Address, LocalAddress
from edge.devices.readings import Order, Reading
from edge.handheld import screens
from edge.handheld.config import HandheldConfig
from edge.handheld.core_service import CODEC, CoreService
from edge.handheld.desktop.attending import ThreadAttendant
from edge.handheld.desktop.giving_back import give_back_pictures
from edge.handheld.desktop.recording import ProgramMicrophone
from edge.handheld.desktop.standing import PcGauge
from edge.handheld.drawing import NoPicture, photo_of
from edge.handheld.effects import (
    EndLive,
    GoLive,
    MarkPhoto,
    RecordVoice,
    SetLive,
    Sound,
    StopVoice,
    TakePhoto,
    Tone,
    UseCamera,
)
from edge.handheld.events import BatteryChanged, Captured, EvidenceFailed
from edge.handheld.glass_pictures import GlassPictures
from edge.handheld.joint.glass_end import CoreGone, CoreThere, FromCore, GlassEnd
from edge.handheld.joint.messages import Asked, Fetched, Shown
from edge.handheld.live.connection import LivePlace
from edge.handheld.live.performing import LivePerformer
from edge.handheld.live.sources import CameraPictures, PortSound
from edge.handheld.performer import GlassEffect
from edge.handheld.ports import PortFailed
from edge.handheld.scans import event_of
from edge.handheld.screens import Desk, Frame
from edge.handheld.voice import recorded
from edge.reading.decoders import found
from edge.reading.frames import OpenedCamera, address_of
from edge.reading.guarded import Guarded
from edge.reading.scans import NotACode, ScanSeen, from_reading
from edge.reading.worker import ReadingThread
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import BackOff, Device, Supervisor

_BATTERY_EVERY_S: Final = 20.0
LIVE_WAITS_FROM: Final = 20
"""Unsent facts and pictures from which live picture and sound take the least."""
_PHOTO_WITHIN_S: Final = 3.0


def run_window(config: HandheldConfig, config_path: Path) -> None:
    """Until the window is closed. Raises what kept the core from opening."""
    give_back_pictures()
    service = CoreService(config, config_path, SystemClock(counts_sleep=True))
    attendant = ThreadAttendant(service.run, service.stop)
    attendant.start()
    glass = PcGlass(config, config_path, service)
    try:
        glass.run()
    finally:
        glass.stop()
        attendant.stop()


def _microphone() -> PortSound | None:
    """None where the PC has nothing to record with: the picture goes alone."""
    microphone = ProgramMicrophone()
    return PortSound(microphone) if microphone.is_there() else None


class PcGlass:
    """Screens and senses of a PC."""

    def __init__(self, config: HandheldConfig, config_path: Path, service: CoreService) -> None:
        self._log = structlog.get_logger("glass")
        self._home = config.store.folder / "window"
        """What Kivy writes lies with the program's own files, not in somebody's home folder."""
        self._desk = Desk()
        self._end = GlassEnd(config.store.folder, CODEC, version=VERSION, told=self._told)
        address = self._camera_address(config, config_path)
        self._address = address
        self._camera = OpenedCamera(
            address, monotonic_s=time.monotonic, delay_s=lambda failures: min(5.0, 0.5 * (failures + 1))
        )
        self._reading: ReadingThread | None = None
        self._guarded = Guarded(self._read)
        self._pictures = GlassPictures(self._end.fetch, self._say)
        self._voices: dict[int, threading.Event] = {}
        """Voice notes under way, by request."""
        self._clock = SystemClock()
        self._stopping = threading.Event()
        signer, site = service.core.signer_and_site
        self._live = LivePerformer(
            None if config.live is None else LivePlace(address=config.live.address()).checked(),
            site=site,
            device=config.device.id,
            signer=signer,
            pictures=lambda: CameraPictures(address),
            sound=_microphone,
            utc_now=self._clock.utc_text,
            told=self._say,
        )
        self._scanner: Supervisor[Reading, Order] | None = None
        if config.scanner.serial is not None:
            device = Device("scanner", config.scanner.serial, driver_maker(config.scanner.protocol, {}), None)
            self._scanner = Supervisor(
                [device],
                SystemClock(),
                on_reading=self._on_reading,
                on_report=lambda at_s, report: None,
                is_valid=lambda reading: True,
                back_off=BackOff(),
            )

    def run(self) -> None:
        """On the main thread: the window's life."""
        self._end.start()
        if self._scanner is not None:
            self._scanner.start()
        threading.Thread(target=self._watch_battery, name="battery", daemon=True).start()
        screens.run(self._desk, self._say, self, home=self._home)

    def stop(self) -> None:
        self._stopping.set()
        self._stop_reading()
        self._camera.close()
        self._live.close()
        if self._scanner is not None:
            self._scanner.stop()
        self._end.stop()

    # --- what the window asks (its thread) ----------------------------------------------------------------

    def vibrate(self, pulses_ms: tuple[int, ...]) -> None:
        """A PC has no motor."""

    def play(self, tone: Tone) -> bool:
        """The window plays its own."""
        return False

    def frame(self) -> Frame | None:
        newest = self._camera.newest()
        if newest is None:
            return None
        pixels = newest.pixels
        return Frame(newest.number, pixels[..., ::-1] if pixels.ndim == 3 else pixels)

    def has_torch(self) -> bool:
        """A PC's camera has none."""
        return False

    def picture(self, sha256: str) -> bytes | None:
        """Fetched from the core when it is first asked for; there a moment later."""
        return self._pictures.picture(sha256)

    def _say(self, event: Any) -> None:
        if not self._end.say(event):
            self._log.error("refused: too much waits for the core", event_type=type(event).__name__)

    # --- what the core says (the joint's thread) ----------------------------------------------------------

    def _told(self, message: FromCore) -> None:
        match message:
            case Shown(view):
                self._desk.show(view)
                # What the officer shows never slows what the officer did.
                self._live.sync_busy(view.bar.unsent >= LIVE_WAITS_FROM)
            case Asked(effect):
                self._perform(effect)
            case Fetched(number, content, why):
                self._pictures.fetched(number, content, why)
            case CoreGone(why, for_good):
                self._log.warning("the core is gone", why=why)
                if for_good:
                    self._desk.close()
            case CoreThere():
                pass

    def _perform(self, effect: GlassEffect) -> None:
        match effect:
            case Sound(tone):
                self._desk.sound(tone)
            case UseCamera(on):
                self._use_camera(on)
            case TakePhoto():
                threading.Thread(target=self._photo, args=(effect,), daemon=True).start()
            case MarkPhoto():
                self._pictures.mark(effect)
            case RecordVoice():
                ending = self._voices[effect.request] = threading.Event()
                threading.Thread(target=self._record, args=(effect, ending), daemon=True).start()
            case StopVoice(request):
                if request in self._voices:
                    self._voices[request].set()
            case GoLive() | SetLive() | EndLive():
                self._live.perform(effect)

    # --- camera -------------------------------------------------------------------------------------------

    def _use_camera(self, on: bool) -> None:
        if on and self._reading is None:
            self._camera.open()
            self._reading = ReadingThread(self._camera, found(), self._read)
            self._reading.start()
        elif not on:
            self._stop_reading()

    def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.stop()

    def _record(self, wanted: RecordVoice, ending: threading.Event) -> None:
        """Until it is ended, its time is over, or the window closes."""
        try:
            content = recorded(
                ProgramMicrophone(), wanted.longest_s, lambda: ending.is_set() or self._stopping.is_set()
            )
            self._say(Captured(wanted.request, "voice", content))
        except PortFailed as failed:
            self._say(EvidenceFailed(wanted.request, str(failed)[:200]))
        finally:
            self._voices.pop(wanted.request, None)

    def _photo(self, wanted: TakePhoto) -> None:
        """The newest frame, or the first one of a camera that was closed."""
        request = wanted.request
        self._camera.open()
        until_s = time.monotonic() + _PHOTO_WITHIN_S
        while time.monotonic() < until_s and not self._stopping.is_set():
            newest = self._camera.newest()
            if newest is not None:
                try:
                    content = photo_of(newest.pixels, wanted, self._clock.utc_text())
                    self._say(Captured(request, "photo", content))
                except NoPicture as error:
                    self._say(EvidenceFailed(request, str(error)[:200]))
                return
            time.sleep(0.05)
        self._say(EvidenceFailed(request, f"no picture came from {self._address}"))

    def _camera_address(self, config: HandheldConfig, config_path: Path) -> Address:
        text = config.scanner.camera
        return address_of(text, lambda path: config_path.parent / path) if text else LocalAddress("0")

    # --- scans --------------------------------------------------------------------------------------------

    def _read(self, seen: ScanSeen | NotACode) -> None:
        self._say(event_of(seen))

    def _on_reading(self, at_s: float, device: str, reading: Reading) -> None:
        seen = from_reading(reading, at_s)
        if seen is not None:
            self._guarded(seen)

    def _watch_battery(self) -> None:
        gauge, last = PcGauge(), None
        while not self._stopping.is_set():
            battery = gauge.read()
            if battery != last:
                last = battery
                self._say(BatteryChanged(battery))
            self._stopping.wait(_BATTERY_EVERY_S)
