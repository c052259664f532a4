"""The two programs of the Android app on a phone made of Python: screens with senses, core as a service."""

from __future__ import annotations

import io
import shutil
import threading
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest

from bench.handheld_device import OFFICER, PIN, lay_out
from edge import VERSION
from edge.handheld import phone_core
from edge.handheld.android.attending import AndroidAttendant
from edge.handheld.android.provisioning import private_folder
from edge.handheld.app import View
from edge.handheld.config import read_handheld_config
from edge.handheld.core_service import CODEC, CoreService
from edge.handheld.effects import RecordVoice, StopVoice, TakePhoto, Tone, UseCamera
from edge.handheld.events import (
    BatteryChanged,
    Captured,
    EvidenceFailed,
    Paused,
    Resumed,
    Scanned,
    SignInAsked,
)
from edge.handheld.joint.core_end import CoreEnd
from edge.handheld.joint.glass_end import FromCore, GlassEnd
from edge.handheld.joint.marks import Mark
from edge.handheld.joint.messages import Shown
from edge.handheld.phone_core import Waking
from edge.handheld.phone_glass import PhoneGlass
from edge.handheld.signing_in import SigningInView
from edge.handheld.view import Page
from tests.android_phone import Location, Network, Phone, put_into
from tests.unit.test_android_adapters import Provider, declared

P = "android.permission."


def wait_until(said: Callable[[], object], within_s: float = 15.0) -> None:
    until_s = time.monotonic() + within_s
    while not said():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    monkeypatch.delenv("PYTHON_SERVICE_ARGUMENT", raising=False)
    made = Phone(
        folder=tmp_path / "phone",
        sdk=34,
        target=34,
        maker="SEUIC",
        declared=declared(),
        granted={P + "CAMERA", P + "RECORD_AUDIO", P + "POST_NOTIFICATIONS"},
        sound=numpy.arange(800, dtype="<i2").tobytes(),
    )
    put_into(monkeypatch, made)
    lay_out(private_folder())
    monkeypatch.chdir(private_folder())
    return made


class StandInCore:
    """The other end of the joint: what the glass says is kept, what a test asks is asked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events: list[Any] = []
        self.end = CoreEnd(
            folder,
            CODEC,
            version=VERSION,
            done=None,
            heard=self._heard,
            fetch=lambda name: None,
            glass_changed=lambda there: None,
        )
        self.end.start()

    def _heard(self, mark: Mark, event: Any) -> None:
        self.events.append(event)
        self.end.done(mark)

    def heard(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def halves(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Phone, StandInCore, PhoneGlass]]:
    Provider.opened, Provider.fails = [], False
    monkeypatch.setattr("edge.handheld.android.camera._kivy_provider", lambda: Provider)
    config = read_handheld_config(private_folder() / "handheld.toml")
    core = StandInCore(config.store.folder)
    glass = PhoneGlass(config, AndroidAttendant())
    glass._end.start()
    glass._scans.start()
    wait_until(lambda: core.end.has_glass)
    yield phone, core, glass
    glass.stop()
    core.end.stop("the test is over")


Halves = tuple[Phone, StandInCore, PhoneGlass]
SCAN = "com.android.server.scannerservice.broadcast"


def test_a_broadcast_of_the_scan_engine_reaches_the_core(halves: Halves) -> None:
    phone, core, _ = halves
    phone.broadcast(SCAN, scannerdata="SF1234567890123")
    wait_until(lambda: core.heard(Scanned))
    assert core.heard(Scanned) == [Scanned("SF1234567890123", "", "intent")]


def test_a_pause_lets_go_of_engine_and_camera_and_a_resume_takes_them_again(halves: Halves) -> None:
    phone, core, glass = halves
    core.end.ask(UseCamera(True))
    wait_until(lambda: glass._camera_is_wanted)
    glass.frame()
    assert len(Provider.opened) == 1
    glass.say(Paused())
    assert (Provider.opened[0].released, phone.registered) == (True, [])
    assert glass.frame() is None
    assert len(Provider.opened) == 1
    glass.say(Resumed())
    glass.frame()
    assert (len(Provider.opened), len(phone.registered)) == (2, 1)
    core.end.ask(UseCamera(False))
    wait_until(lambda: not glass._camera_is_wanted)
    glass.frame()
    assert Provider.opened[1].released


def test_what_the_camera_sees_is_shown_and_kept_as_a_photo_in_colours(halves: Halves) -> None:
    _, core, glass = halves
    core.end.ask(UseCamera(True))
    wait_until(lambda: glass._camera_is_wanted)
    glass.frame()
    width, height = Provider.opened[0].resolution
    red = numpy.zeros((height, width, 3), numpy.uint8)
    red[..., 2] = 255
    i420 = cv2.cvtColor(red, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, chroma = i420[: width * height], i420[width * height :]
    u, v = chroma[: len(chroma) // 2], chroma[len(chroma) // 2 :]
    Provider.opened[0].buffer = luma.tobytes() + numpy.stack([v, u], axis=1).tobytes()
    shown = glass.frame()
    assert shown is not None
    assert shown.pixels.shape == (width, height)
    core.end.ask(TakePhoto(7, "SF1"))
    wait_until(lambda: core.heard(Captured))
    (kept,) = core.heard(Captured)
    picture = cv2.imdecode(numpy.frombuffer(kept.content, numpy.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert (kept.request, kept.kind, picture.shape) == (7, "photo", (width, height, 3))
    blue, green, redness = picture.reshape(-1, 3).mean(axis=0)
    assert redness > 200
    assert max(blue, green) < 40


def test_an_evidence_photo_has_its_strip_with_the_place_the_phone_knows(halves: Halves) -> None:
    phone, core, glass = halves
    phone.granted.add(P + "ACCESS_FINE_LOCATION")
    phone.location.known = {"gps": Location(34.75, 113.62, 8.0, phone.now_ns)}
    core.end.ask(UseCamera(True))
    wait_until(lambda: glass._camera_is_wanted)
    glass.frame()
    width, height = Provider.opened[0].resolution
    Provider.opened[0].buffer = bytes(width * height * 3 // 2)
    assert glass.frame() is not None
    core.end.ask(TakePhoto(7, "SF1", "4604001", "XD-1"))
    wait_until(lambda: len(core.heard(Captured)) == 1)
    phone.location.known = {"gps": None}
    core.end.ask(TakePhoto(8, "SF1", "4604001", "XD-1"))
    wait_until(lambda: len(core.heard(Captured)) == 2)
    kept = [
        cv2.imdecode(numpy.frombuffer(each.content, numpy.uint8), cv2.IMREAD_COLOR)
        for each in core.heard(Captured)
    ]
    ink = [0 if picture is None else int((picture[width + 2 :] > 128).sum()) for picture in kept]
    assert ink[0] > ink[1] > 0, "the place is written as well"


def test_a_tone_is_played_by_the_phone_itself(halves: Halves) -> None:
    phone, _, glass = halves
    assert glass.play(Tone.HOLD)
    assert [track.plays for track in phone.tracks].count(1) == 1
    glass.stop()
    assert {track.released for track in phone.tracks} == {True}


def test_on_a_metered_network_live_picture_takes_the_least(halves: Halves) -> None:
    phone, _, glass = halves
    phone.connectivity.active, phone.connectivity.metered = Network((0,)), True
    threading.Thread(target=glass._watch_battery, daemon=True).start()
    wait_until(lambda: glass._is_metered)


def test_a_voice_note_is_a_sound_file_and_the_microphone_is_let_go(halves: Halves) -> None:
    phone, core, _ = halves
    phone.sound, phone.packet_s = numpy.arange(160 * 400, dtype="<u2").tobytes(), 0.005
    core.end.ask(RecordVoice(9, longest_s=30.0))
    wait_until(lambda: phone.recorders and phone.recorders[0].at >= 320 * 10)
    core.end.ask(StopVoice(9))
    wait_until(lambda: core.events)
    (said,) = core.events
    with wave.open(io.BytesIO(said.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        assert file.readframes(160) == phone.sound[:320]
    wait_until(lambda: phone.recorders[0].released)


def test_a_microphone_that_is_not_allowed_is_asked_for_and_said(halves: Halves) -> None:
    phone, core, _ = halves
    phone.granted.discard(P + "RECORD_AUDIO")
    phone.answers_yes = False
    core.end.ask(RecordVoice(9))
    wait_until(lambda: core.events)
    assert core.events == [EvidenceFailed(9, "the microphone is not allowed yet: allow it and record again")]
    assert phone.asked == [[P + "RECORD_AUDIO"]]


def test_threads_that_called_java_left_it(halves: Halves) -> None:
    phone, core, _ = halves
    core.end.ask(RecordVoice(9, longest_s=0.05))
    wait_until(lambda: "record" in phone.detached)


def test_a_service_that_died_is_started_again_by_the_screens(halves: Halves) -> None:
    phone, core, _ = halves
    phone.service_runs = False
    for line in list(core.end._lines):
        line.close()
    wait_until(lambda: phone.service_runs)


def test_a_camera_that_another_app_has_is_told_and_not_tried_for_ever(halves: Halves) -> None:
    _, core, glass = halves
    Provider.fails = True
    core.end.ask(UseCamera(True))
    wait_until(lambda: glass._camera_is_wanted)
    assert glass.frame() is None
    assert not glass._camera_is_wanted
    wait_until(lambda: core.events)
    assert "Fail to connect to camera service" in core.events[0].why


def test_the_battery_is_told_when_it_changes(halves: Halves) -> None:
    _, core, glass = halves
    threading.Thread(target=glass._watch_battery, daemon=True).start()
    wait_until(lambda: core.heard(BatteryChanged))
    assert len(core.heard(BatteryChanged)) == 1


# --- the service ------------------------------------------------------------------------------------------


class Screens:
    def __init__(self, folder: Path) -> None:
        self.views: list[View] = []
        self.end = GlassEnd(folder, CODEC, version=VERSION, told=self._told)
        self.end.start()

    def _told(self, message: FromCore) -> None:
        if isinstance(message, Shown):
            self.views.append(message.view)


Services = Callable[[], tuple[CoreService, threading.Thread]]


@pytest.fixture
def services(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], tuple[CoreService, threading.Thread]]]:
    """Starts the service's program as Android does; what is left running is ended with the test."""
    phone.service, phone.activity = phone.activity, None
    monkeypatch.setenv("PYTHON_SERVICE_ARGUMENT", "")
    made: list[CoreService] = []
    started: list[threading.Thread] = []

    class Seen(CoreService):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    monkeypatch.setattr(phone_core, "CoreService", Seen)

    def start() -> tuple[CoreService, threading.Thread]:
        count = len(made)
        thread = threading.Thread(target=phone_core.main)
        thread.start()
        started.append(thread)
        wait_until(lambda: len(made) > count or not thread.is_alive())
        return made[-1], thread

    yield start
    for service in made:
        service.stop()
    for thread in started:
        thread.join(20)


def test_the_service_serves_the_screens_and_an_officer_signs_in(phone: Phone, services: Services) -> None:
    services()
    screens = Screens(private_folder() / "store")
    wait_until(lambda: screens.views)
    assert isinstance(screens.views[-1].shown, SigningInView)
    screens.end.say(SignInAsked(OFFICER, PIN))
    wait_until(lambda: screens.views[-1].page is Page.SCAN)
    screens.end.stop()


def test_a_new_device_keeps_its_key_in_the_keystore_and_opens_by_it_when_started_again(
    phone: Phone, services: Services
) -> None:
    shutil.rmtree(private_folder() / "store")
    service, thread = services()
    wait_until(lambda: service.core._stores.are_open)
    service.stop()
    thread.join(20)
    assert list(phone.keystore.keys) == ["kakou-data-key"]
    again, _ = services()
    wait_until(lambda: again.core._stores.are_open)


def test_a_store_carried_to_another_phone_does_not_open_there(
    phone: Phone, services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(private_folder() / "store")
    service, thread = services()
    wait_until(lambda: service.core._stores.are_open)
    service.stop()
    thread.join(20)
    other = Phone(folder=tmp_path / "other", sdk=34, declared=declared())
    other.service, other.activity = other.activity, None
    put_into(monkeypatch, other)
    shutil.copytree(tmp_path / "phone" / "private" / "kakou", private_folder())
    assert phone_core.main() == 1


def test_without_a_config_the_service_says_so_and_ends(phone: Phone) -> None:
    (private_folder() / "handheld.toml").unlink()
    assert phone_core.main() == 1


class Awake:
    def __init__(self) -> None:
        self.said: list[float | None] = []

    def hold(self, longest_s: float) -> None:
        self.said.append(longest_s)

    def let_go(self) -> None:
        self.said.append(None)


@pytest.mark.parametrize(("is_sending", "expected"), [(True, [30.0, None]), (False, [None, None])])
def test_the_processor_is_held_awake_while_something_is_on_its_way(
    phone: Phone, is_sending: bool, expected: list[float | None]
) -> None:
    awake = Awake()
    waking = Waking(lambda: is_sending, awake)
    waking.start()
    wait_until(lambda: awake.said)
    waking.stop()
    assert awake.said == expected
    assert phone.detached == ["waking"]
