"""The handheld's screens and senses on Android: the program behind `main.py`. The core is the service's
process, behind the same socket as on a PC.

Java is called on the window's thread, and on threads of this module that leave it again (`visiting`):
decoders, live picture and joint get plain bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, assert_never

import structlog

from edge import VERSION
from edge.handheld.android.attending import AndroidAttendant
from edge.handheld.android.camera import AndroidCamera
from edge.handheld.android.feedback import AndroidMotor, AndroidSpeaker
from edge.handheld.android.java import visiting
from edge.handheld.android.microphone import AndroidMicrophone
from edge.handheld.android.provisioning import (
    CONFIG,
    ProvisionRefused,
    private_folder,
    put_folder,
    take_in,
)
from edge.handheld.android.scan_intents import ScanIntents
from edge.handheld.android.standing import AndroidGauge, AndroidLocator, AndroidNetwork
from edge.handheld.android.vendors import SHIPPED, read_vendors
from edge.handheld.android.window import AndroidDisplay, AndroidGrants
from edge.handheld.config import HandheldConfig, read_handheld_config
from edge.handheld.core_service import CODEC
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
from edge.handheld.events import (
    BatteryChanged,
    Captured,
    EvidenceFailed,
    Paused,
    ReadGarbled,
    Resumed,
)
from edge.handheld.glass_pictures import GlassPictures
from edge.handheld.joint.glass_end import CoreGone, CoreThere, FromCore, GlassEnd
from edge.handheld.joint.messages import Asked, Fetched, Shown
from edge.handheld.live.connection import LivePlace
from edge.handheld.live.performing import LivePerformer
from edge.handheld.live.sources import PortSound
from edge.handheld.performer import GlassEffect
from edge.handheld.ports import PortFailed
from edge.handheld.scans import event_of
from edge.handheld.screens.desk import Desk, Frame
from edge.handheld.screens.sounding import RATE_HZ, samples
from edge.handheld.voice import recorded
from edge.reading.decoders import found
from edge.reading.frames import NewestFrame
from edge.reading.scans import NotACode, ScanSeen
from edge.reading.worker import ReadingThread
from edge.runtime.clock import SystemClock
from edge.runtime.config_reading import ConfigRefused
from edge.runtime.log import set_up_log
from sync.link.key_files import own_signer
from sync.link.keys import KeyRefused, load_private
from sync.store.folders import make_folder

WANTED_AT_START: Final = ("android.permission.CAMERA", "android.permission.POST_NOTIFICATIONS")
WANTED_FOR_SOUND: Final = ("android.permission.RECORD_AUDIO",)

LIVE_WAITS_FROM: Final = 20
"""Unsent facts and pictures from which live picture and sound take the least, as on a PC."""
_BATTERY_EVERY_S: Final = 20.0
_PHOTO_WITHIN_S: Final = 3.0
_LIVE_WITHIN_S: Final = 0.5


def main() -> int:
    """The activity's whole life. 1: it could not run, and the log says why."""
    log_writer = set_up_log("info")
    log = structlog.get_logger("glass")
    try:
        folder = private_folder()
        make_folder(folder)
        take_in(put_folder(), folder)
        os.chdir(folder)
        config = read_handheld_config(folder / CONFIG)
        attendant = AndroidAttendant()
        attendant.start()
        glass = PhoneGlass(config, attendant)
        try:
            glass.run()
        finally:
            glass.stop()
        return 0
    except (ConfigRefused, KeyRefused, ProvisionRefused, PortFailed, OSError) as refused:
        log.critical("the handheld does not run", why=str(refused))
        return 1
    finally:
        log_writer.close()


class PhoneGlass:
    """Screens and senses of a phone. `frame`, `vibrate`, `picture` and `say` are the window's."""

    def __init__(self, config: HandheldConfig, attendant: AndroidAttendant) -> None:
        """Raises `KeyRefused`, `ConfigRefused`, `VendorRefused`."""
        self._log = structlog.get_logger("glass")
        clock = SystemClock()
        self._clock = clock
        self._attendant = attendant
        self._conceal = config.phone.conceal
        self._desk = Desk()
        self._end = GlassEnd(config.store.folder, CODEC, version=VERSION, told=self.told)
        self._motor = AndroidMotor()
        self._speaker = AndroidSpeaker(samples, RATE_HZ)
        self._locator = AndroidLocator()
        self._is_metered = False
        self._grants = AndroidGrants()
        self._camera = AndroidCamera(clock)
        self._frames = NewestFrame()
        self._handed = 0
        self._camera_is_wanted = False
        self._is_hidden = False
        self._reading: ReadingThread | None = None
        self._pictures = GlassPictures(self._end.fetch, self.say)
        self._voice: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._scans = ScanIntents(
            read_vendors(config.phone.scan_vendors_file or SHIPPED),
            self._read,
            clock,
            wanted=config.phone.scan_vendor,
        )
        signer, _ = own_signer(
            config.device.id, load_private(config.sync.key_file.path), config.sync.key_statements_file
        )
        self._live = LivePerformer(
            None if config.live is None else LivePlace(address=config.live.address()).checked(),
            site=config.device.site,
            device=config.device.id,
            signer=signer,
            pictures=lambda: CameraColours(self._camera),
            sound=lambda: LeavingSound(AndroidMicrophone()),
            utc_now=clock.utc_text,
            told=self.say,
        )

    def run(self) -> None:
        """On the main thread: the window's life."""
        # Kivy opens a window while it is imported.
        from edge.handheld.screens.window import open_window

        self._end.start()
        self._scans.start()
        display = AndroidDisplay()
        display.conceal(self._conceal)
        display.keep_awake(True)
        self._grants.ask(WANTED_AT_START, self._granted)
        threading.Thread(target=self._watch_battery, name="battery", daemon=True).start()
        open_window(self._desk, self.say, self)

    def stop(self) -> None:
        self._stopping.set()
        self._scans.stop()
        self._stop_reading()
        self._camera.close()
        self._live.close()
        self._speaker.close()
        self._end.stop()

    # --- what the window asks (its thread) ----------------------------------------------------------------

    def vibrate(self, pulses_ms: tuple[int, ...]) -> None:
        self._motor.vibrate(pulses_ms)

    def play(self, tone: Tone) -> bool:
        """By the phone's own mixer, at once: Kivy would decode a file first."""
        self._speaker.play(tone)
        return True

    def frame(self) -> Frame | None:
        """Opens and lets go of the camera as it is wanted: Kivy's provider makes its texture on this
        thread.
        """
        if not self._camera_is_wanted or self._is_hidden:
            self._camera.close()
            self._frames.clear()
            return None
        try:
            self._camera.open()
            seen = self._camera.frame()
        except PortFailed as failed:
            self._camera_is_wanted = False
            self.say(ReadGarbled("camera", str(failed)[:200]))
            return None
        if seen is None:
            return None
        if seen.number != self._handed:
            self._handed = seen.number
            self._frames.put(seen.grey, seen.at_s)
        return Frame(seen.number, seen.grey)

    def has_torch(self) -> bool:
        return self._camera.has_torch()

    def picture(self, sha256: str) -> bytes | None:
        """Fetched from the core when it is first asked for; there a moment later."""
        return self._pictures.picture(sha256)

    def say(self, event: Any) -> None:
        """From any thread. A pause lets go of what other apps need; Kivy tells of it on the window's
        thread.
        """
        match event:
            case Paused():
                self._is_hidden = True
                self._scans.stop()
                self._stop_reading()
                self._camera.close()
            case Resumed():
                self._is_hidden = False
                self._scans.start()
                if self._camera_is_wanted:
                    self._start_reading()
            case _:
                pass
        if not self._end.say(event):
            self._log.error("refused: too much waits for the core", event_type=type(event).__name__)

    # --- what the core says (the joint's thread) ----------------------------------------------------------

    def told(self, message: FromCore) -> None:
        match message:
            case Shown(view):
                self._desk.show(view)
                # What the officer shows never slows what the officer did, nor eats up somebody's mobile data.
                self._live.sync_busy(self._is_metered or view.bar.unsent >= LIVE_WAITS_FROM)
            case Asked(effect):
                self._perform(effect)
            case Fetched(number, content, why):
                self._pictures.fetched(number, content, why)
            case CoreGone(why, for_good):
                self._log.warning("the core is gone", why=why)
                if for_good:
                    self._desk.close()
                else:
                    threading.Thread(target=self._call_the_core, name="attendant", daemon=True).start()
            case CoreThere():
                pass
            case _:
                assert_never(message)

    def _call_the_core(self) -> None:
        with visiting():
            try:
                self._attendant.start()
            except PortFailed as failed:
                self._log.warning("the service was not started", why=str(failed))

    def _perform(self, effect: GlassEffect) -> None:
        match effect:
            case Sound(tone):
                self._desk.sound(tone)
            case UseCamera(on):
                self._camera_is_wanted = on
                if on:
                    self._start_reading()
                else:
                    self._stop_reading()
            case TakePhoto():
                self._work(self._photo, effect)
            case MarkPhoto():
                self._pictures.mark(effect)
            case RecordVoice(request, longest_s):
                with self._lock:
                    self._voice[request] = threading.Event()
                self._work(self._record, request, longest_s)
            case StopVoice(request):
                with self._lock:
                    ending = self._voice.get(request)
                if ending is not None:
                    ending.set()
            case GoLive() | SetLive() | EndLive():
                self._live.perform(effect)
            case _:
                assert_never(effect)

    def _work(self, work: Callable[..., None], *given: Any) -> None:
        def visit() -> None:
            with visiting():
                work(*given)

        threading.Thread(target=visit, name=work.__name__.strip("_"), daemon=True).start()

    # --- camera and microphone ----------------------------------------------------------------------------

    def _start_reading(self) -> None:
        if self._reading is None:
            self._reading = ReadingThread(self._frames, found(), self._read)
            self._reading.start()

    def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.stop()

    def _photo(self, wanted: TakePhoto) -> None:
        """The newest frame, or the first of a camera that was closed."""
        request = wanted.request
        was_wanted, self._camera_is_wanted = self._camera_is_wanted, True
        until_s = time.monotonic() + _PHOTO_WITHIN_S
        try:
            while time.monotonic() < until_s and not self._stopping.is_set():
                seen = self._camera.colours()
                if seen is not None:
                    spot = self._locator.read() if wanted.officer else None
                    content = photo_of(seen[1], wanted, self._clock.utc_text(), spot)
                    self.say(Captured(request, "photo", content))
                    return
                time.sleep(0.05)
            self.say(EvidenceFailed(request, "no picture came from the camera"))
        except NoPicture as error:
            self.say(EvidenceFailed(request, str(error)[:200]))
        finally:
            self._camera_is_wanted = was_wanted

    def _record(self, request: int, longest_s: float) -> None:
        ending = self._voice[request]
        try:
            if self._grants.missing(WANTED_FOR_SOUND):
                self._grants.ask(WANTED_FOR_SOUND, lambda missing: None)
                raise PortFailed("the microphone is not allowed yet: allow it and record again")
            content = recorded(
                AndroidMicrophone(), longest_s, lambda: ending.is_set() or self._stopping.is_set()
            )
            self.say(Captured(request, "voice", content))
        except PortFailed as failed:
            self.say(EvidenceFailed(request, str(failed)[:200]))
        finally:
            with self._lock:
                self._voice.pop(request, None)

    # --- scans, battery, permissions ----------------------------------------------------------------------

    def _read(self, seen: ScanSeen | NotACode) -> None:
        self.say(event_of(seen))

    def _granted(self, missing: tuple[str, ...]) -> None:
        if missing:
            self._log.warning("not allowed by the person holding the device", missing=list(missing))

    def _watch_battery(self) -> None:
        with visiting():
            gauge, network, last = AndroidGauge(), AndroidNetwork(), None
            while not self._stopping.is_set():
                battery = gauge.read()
                self._is_metered = network.read().is_metered
                if battery != last:
                    last = battery
                    self.say(BatteryChanged(battery))
                self._stopping.wait(_BATTERY_EVERY_S)


class CameraColours:
    """The camera's newest frame in colours, for live picture (`live.sources.PictureSource`)."""

    def __init__(self, camera: AndroidCamera) -> None:
        self._camera = camera
        self._last = -1

    def begin(self) -> None:
        self._last = -1

    def newest(self) -> Any:
        until_s = time.monotonic() + _LIVE_WITHIN_S
        while time.monotonic() < until_s:
            seen = self._camera.colours()
            if seen is not None and seen[0] != self._last:
                self._last = seen[0]
                return seen[1]
            time.sleep(0.02)
        return None

    def end(self) -> None:
        """The camera is the window's."""


class LeavingSound:
    """The microphone on a thread of the live session: where it ends there, the thread leaves Java."""

    def __init__(self, microphone: AndroidMicrophone) -> None:
        self._sound = PortSound(microphone)

    def begin(self) -> None:
        self._sound.begin()

    def read(self) -> Any:
        return self._sound.read()

    def end(self) -> None:
        with visiting():
            self._sound.end()
