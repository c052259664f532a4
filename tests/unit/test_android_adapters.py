"""Every adapter of the Android room on a phone made of Python (`tests/android_phone.py`), API 24 to 36."""

from __future__ import annotations

import configparser
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest

from edge.handheld.android.attending import AndroidAttendant, AndroidWakefulness
from edge.handheld.android.camera import AndroidCamera, grey_of_nv21
from edge.handheld.android.feedback import AndroidMotor, AndroidSpeaker
from edge.handheld.android.java import NotOnAndroid, activity, as_bytes, context, java, visiting
from edge.handheld.android.keystore import AndroidKeystore
from edge.handheld.android.microphone import AndroidMicrophone
from edge.handheld.android.provisioning import (
    ProvisionRefused,
    private_folder,
    put_folder,
    take_in,
)
from edge.handheld.android.standing import AndroidGauge, AndroidLocator, AndroidNetwork
from edge.handheld.android.window import (
    FLAG_KEEP_SCREEN_ON,
    FLAG_SECURE,
    AndroidDisplay,
    AndroidGrants,
)
from edge.handheld.context import Battery
from edge.handheld.effects import Tone
from edge.handheld.ports import NetworkKind, NetworkState, PortFailed, Spot
from edge.handheld.vault import KeystoreRefused
from edge.runtime.clock import SystemClock
from tests.android_phone import ByteArray, Context, Intent, Location, Network, Phone, put_into

SPEC = Path(__file__).parents[2] / "packaging" / "android" / "buildozer.spec"
P = "android.permission."


def declared() -> frozenset[str]:
    spec = configparser.ConfigParser(interpolation=None)
    spec.read(SPEC, encoding="utf-8")
    return frozenset(each.strip() for each in spec["app"]["android.permissions"].split(","))


@pytest.fixture
def make_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Phone]:
    def made(**given: Any) -> Phone:
        phone = Phone(folder=tmp_path / "phone", **{"declared": declared(), **given})
        put_into(monkeypatch, phone)
        return phone

    monkeypatch.delenv("PYTHON_SERVICE_ARGUMENT", raising=False)
    return made


# --- Java -------------------------------------------------------------------------------------------------


def test_outside_the_app_java_is_missing_in_words() -> None:
    with pytest.raises(NotOnAndroid, match=r"android\.os\.Build: Java is only there inside the Android app"):
        java("android.os.Build")


def test_a_service_has_a_context_and_no_activity(
    make_phone: Callable[..., Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = make_phone()
    assert context() is phone.activity
    phone.activity, phone.service = None, Context(phone)
    # Android restarts a sticky service with an empty argument
    monkeypatch.setenv("PYTHON_SERVICE_ARGUMENT", "")
    assert context() is phone.service
    with pytest.raises(NotOnAndroid, match="no activity"):
        activity()


def test_a_thread_that_called_java_leaves_it_before_it_ends_whatever_happened(
    make_phone: Callable[..., Phone],
) -> None:
    phone = make_phone()

    def work() -> None:
        with pytest.raises(ZeroDivisionError), visiting():
            raise ZeroDivisionError

    thread = threading.Thread(target=work, name="decoder")
    thread.start()
    thread.join()
    assert phone.detached == ["decoder"]


@pytest.mark.parametrize("array", [ByteArray(b"\x00\xff\x80"), [0, -1, -128], [0, 255, 128]])
def test_bytes_of_java_come_out_the_same_in_every_dress(array: Any) -> None:
    assert as_bytes(array) == b"\x00\xff\x80"
    assert as_bytes(None) is None


# --- feedback ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sdk", [24, 25, 26, 33, 36])
def test_a_pattern_is_felt_as_it_was_meant_and_does_not_repeat(
    make_phone: Callable[..., Phone], sdk: int
) -> None:
    phone = make_phone(sdk=sdk)
    AndroidMotor().vibrate((140, 90, 140))
    assert phone.vibrator.felt == [[0, 140, 90, 140]]


def test_a_phone_without_a_motor_is_a_phone(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    phone.vibrator.has_motor = False
    AndroidMotor().vibrate((60,))
    phone.services["vibrator"] = None
    AndroidMotor().vibrate((60,))
    assert phone.vibrator.felt == []


def pitch(tone: Tone) -> Any:
    return numpy.full(10, list(Tone).index(tone), numpy.int16)


def test_every_tone_sounds_each_time_and_cuts_off_the_one_before(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    speaker = AndroidSpeaker(pitch, 22_050)
    speaker.play(Tone.HOLD)
    speaker.play(Tone.HOLD)
    speaker.play(Tone.RELEASE)
    plays = {track.content[:1]: (track.plays, track.playing) for track in phone.tracks}
    assert plays[b"\x02"] == (2, False)
    assert plays[b"\x00"] == (1, True)
    assert {track.format["setSampleRate"] for track in phone.tracks} == {22_050}
    speaker.close()
    speaker.play(Tone.HOLD)
    assert [track.released for track in phone.tracks] == [True] * len(Tone)


def test_a_phone_that_gives_no_more_tracks_stays_silent_and_goes_on(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone(most_tracks=1)
    speaker = AndroidSpeaker(pitch, 22_050)
    for tone in Tone:
        speaker.play(tone)
    assert sum(track.plays for track in phone.tracks) == 1


# --- standing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ({"level": 87, "scale": 100, "plugged": 0}, Battery(per_cent=87, charging=False)),
        ({"level": 128, "scale": 255, "plugged": 2}, Battery(per_cent=50, charging=True)),
        ({}, Battery()),
    ],
)
def test_the_battery_is_read_in_per_cent(
    make_phone: Callable[..., Phone], extras: dict[str, int], expected: Battery
) -> None:
    phone = make_phone(sdk=34, target=34)
    intent = Intent("android.intent.action.BATTERY_CHANGED")
    intent.extras = dict(extras)
    phone.sticky["android.intent.action.BATTERY_CHANGED"] = intent
    assert AndroidGauge().read() == expected


def test_a_battery_that_says_nothing_is_unknown(make_phone: Callable[..., Phone]) -> None:
    make_phone()
    assert AndroidGauge().read() == Battery()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (None, NetworkKind.NONE),
        (Network((1,)), NetworkKind.WIFI),
        (Network((0,)), NetworkKind.MOBILE),
        (Network((3,)), NetworkKind.OTHER),
    ],
)
def test_what_it_is_attached_to(
    make_phone: Callable[..., Phone], network: Network | None, expected: NetworkKind
) -> None:
    phone = make_phone()
    phone.connectivity.active = network
    assert AndroidNetwork().read() == NetworkState(expected)


def test_the_newest_known_place_counts_and_its_age_is_told(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone(granted={P + "ACCESS_FINE_LOCATION"})
    phone.location.known = {
        "gps": Location(34.75, 113.62, 8.0, phone.now_ns - 90 * 10**9),
        "network": Location(34.7, 113.6, 40.0, phone.now_ns - 5 * 10**9),
    }
    assert AndroidLocator().read() == Spot(34.7, 113.6, 40.0, 5.0)


def test_without_permission_or_a_place_there_is_none(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    assert AndroidLocator().read() is None
    phone.granted.add(P + "ACCESS_FINE_LOCATION")
    phone.location.known = {"network": None}
    assert AndroidLocator().read() is None


# --- keystore ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sdk", "strong_box"), [(24, False), (28, False), (28, True), (34, True)])
def test_the_keystore_wraps_and_opens_what_it_wrapped_also_after_a_restart(
    make_phone: Callable[..., Phone], sdk: int, strong_box: bool
) -> None:
    phone = make_phone(sdk=sdk, has_strong_box=strong_box)
    secret = bytes(range(32))
    wrapped = AndroidKeystore("kakou", "H01").wrap(secret)
    assert secret not in wrapped
    assert AndroidKeystore("kakou", "H01").unwrap(wrapped) == secret
    assert phone.keystore.keys["kakou"].level == (2 if strong_box and sdk >= 28 else 1)


def test_what_was_wrapped_twice_differs(make_phone: Callable[..., Phone]) -> None:
    make_phone()
    keystore = AndroidKeystore("kakou", "H01")
    assert keystore.wrap(b"x" * 32) != keystore.wrap(b"x" * 32)


def test_another_devices_file_a_changed_one_and_a_wiped_keystore_are_refused(
    make_phone: Callable[..., Phone],
) -> None:
    make_phone()
    keystore = AndroidKeystore("kakou", "H01")
    wrapped = keystore.wrap(b"x" * 32)
    with pytest.raises(KeystoreRefused, match="does not open"):
        AndroidKeystore("kakou", "H02").unwrap(wrapped)
    with pytest.raises(KeystoreRefused, match="does not open"):
        keystore.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    with pytest.raises(KeystoreRefused, match="got 5 bytes"):
        keystore.unwrap(b"short")
    keystore.destroy()
    keystore.destroy()
    with pytest.raises(KeystoreRefused, match="no key of this app"):
        keystore.unwrap(wrapped)


@pytest.mark.parametrize(
    ("sdk", "level", "expected"),
    [(33, 1, "trusted environment"), (33, 0, "software"), (24, 1, "secure hardware"), (24, 0, "software")],
)
def test_where_the_key_lives_can_be_shown(
    make_phone: Callable[..., Phone], sdk: int, level: int, expected: str
) -> None:
    make_phone(sdk=sdk, keystore_level=level)
    assert AndroidKeystore("kakou", "H01").level() == expected


# --- window and permissions -------------------------------------------------------------------------------


def test_the_window_is_touched_on_its_own_thread(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    display = AndroidDisplay()
    display.keep_awake(True)
    display.conceal(True)
    display.brightness(3.0)
    assert phone.activity is not None
    window = phone.activity.window
    assert window.flags == FLAG_KEEP_SCREEN_ON | FLAG_SECURE
    assert window.attributes.screenBrightness == 1.0
    display.conceal(False)
    display.brightness(None)
    assert window.flags == FLAG_KEEP_SCREEN_ON
    assert window.attributes.screenBrightness == -1.0


def test_only_what_is_missing_is_asked_for_and_the_answer_is_looked_up(
    make_phone: Callable[..., Phone],
) -> None:
    phone = make_phone(granted={P + "CAMERA"})
    told: list[tuple[str, ...]] = []
    AndroidGrants().ask((P + "CAMERA", P + "RECORD_AUDIO"), told.append)
    assert phone.asked == [[P + "RECORD_AUDIO"]]
    assert told == [()]
    AndroidGrants().ask((P + "CAMERA",), told.append)
    assert (len(phone.asked), told) == (1, [(), ()])


@pytest.mark.parametrize("how", [{"answers_yes": False}, {"interrupted": True}])
def test_a_refusal_and_a_dialogue_that_was_interrupted_leave_it_missing(
    make_phone: Callable[..., Phone], how: dict[str, bool]
) -> None:
    make_phone(**how)
    told: list[tuple[str, ...]] = []
    AndroidGrants().ask((P + "CAMERA",), told.append)
    assert told == [(P + "CAMERA",)]


@pytest.mark.parametrize(("sdk", "missing"), [(29, ()), (33, (P + "POST_NOTIFICATIONS",))])
def test_a_permission_the_device_is_too_old_for_is_not_missing(
    make_phone: Callable[..., Phone], sdk: int, missing: tuple[str, ...]
) -> None:
    make_phone(sdk=sdk)
    assert AndroidGrants().missing((P + "POST_NOTIFICATIONS",)) == missing


# --- microphone -------------------------------------------------------------------------------------------


def test_sound_comes_in_frames_of_20_ms_however_the_phone_gives_it(make_phone: Callable[..., Phone]) -> None:
    sound = numpy.arange(-400, 400, dtype="<i2")
    phone = make_phone(granted={P + "RECORD_AUDIO"}, sound=sound.tobytes(), most_read=130)
    microphone = AndroidMicrophone()
    microphone.open()
    microphone.open()
    frames = [microphone.read() for _ in range(5)]
    assert numpy.array_equal(numpy.concatenate(frames), sound)
    with pytest.raises(PortFailed, match="the audio service died"):
        microphone.read()
    microphone.close()
    microphone.close()
    with pytest.raises(PortFailed, match="closed"):
        microphone.read()
    assert [recorder.released for recorder in phone.recorders] == [True]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "not allowed"),
        ({"granted": {P + "RECORD_AUDIO"}, "microphone_is_taken": True}, "another app"),
        ({"granted": {P + "RECORD_AUDIO"}, "microphone_rates": (44_100,)}, "8000 Hz"),
    ],
)
def test_a_microphone_that_cannot_be_had_says_why_and_is_let_go(
    make_phone: Callable[..., Phone], given: dict[str, Any], why: str
) -> None:
    phone = make_phone(**given)
    with pytest.raises(PortFailed, match=why):
        AndroidMicrophone().open()
    assert all(recorder.released for recorder in phone.recorders)


# --- camera -----------------------------------------------------------------------------------------------


class Provider:
    """Kivy's `CameraAndroid`: the members that are used, over the frames a test gives."""

    opened: list[Provider]
    fails = False

    def __init__(self, *, index: int, resolution: tuple[int, int], stopped: bool) -> None:
        if self.fails:
            raise RuntimeError("Fail to connect to camera service")
        self.index, self.resolution, self.stopped = index, resolution, stopped
        self.buffer: bytes | None = None
        self.released = False
        self._android_camera = Lamp()
        Provider.opened.append(self)

    def grab_frame(self) -> bytes | None:
        assert not self.released
        return self.buffer

    def stop(self) -> None:
        self.stopped = True

    def _release_camera(self) -> None:
        self.released = True


class Lamp:
    def __init__(self) -> None:
        self.mode = "off"
        self.set_to = "off"
        self.modes = ["off", "torch"]

    def getParameters(self) -> Lamp:  # noqa: N802  Java's
        return self

    def getSupportedFlashModes(self) -> Any:  # noqa: N802
        return self

    def contains(self, mode: str) -> bool:
        return mode in self.modes

    def setFlashMode(self, mode: str) -> None:  # noqa: N802
        self.mode = mode

    def setParameters(self, parameters: Lamp) -> None:  # noqa: N802
        self.set_to = parameters.mode


@pytest.fixture
def camera(make_phone: Callable[..., Phone]) -> AndroidCamera:
    Provider.opened, Provider.fails = [], False
    make_phone()
    return AndroidCamera(SystemClock(), Provider, size=(4, 2))


def nv21(*rows: bytes) -> bytes:
    luma = b"".join(rows)
    return luma + bytes([128]) * (len(luma) // 2)


def test_the_grey_plane_comes_upright_in_portrait(camera: AndroidCamera) -> None:
    camera.open()
    assert camera.frame() is None
    (provider,) = Provider.opened
    assert (provider.index, provider.resolution) == (1, (4, 2))
    provider.buffer = nv21(b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
    frame = camera.frame()
    assert frame is not None
    assert frame.grey.tolist() == [[5, 1], [6, 2], [7, 3], [8, 4]]
    assert frame.number == 1


def test_the_same_picture_keeps_its_number(camera: AndroidCamera) -> None:
    camera.open()
    numbers = []
    for value in (1, 1, 2, 2):
        Provider.opened[0].buffer = nv21(bytes([value]) * 8)
        frame = camera.frame()
        assert frame is not None
        numbers.append(frame.number)
    assert numbers == [1, 1, 2, 2]


@pytest.mark.parametrize(("rotation", "corner"), [(0, 5), (1, 1), (2, 4), (3, 8)])
def test_however_the_device_is_held_the_picture_stands_upright(
    make_phone: Callable[..., Phone], rotation: int, corner: int
) -> None:
    Provider.opened, Provider.fails = [], False
    make_phone(rotation=rotation)
    camera = AndroidCamera(SystemClock(), Provider, size=(4, 2))
    camera.open()
    Provider.opened[0].buffer = nv21(b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
    frame = camera.frame()
    assert frame is not None
    assert frame.grey[0, 0] == corner


def test_a_pause_lets_the_camera_go_and_a_resume_opens_a_new_one(camera: AndroidCamera) -> None:
    camera.open()
    camera.open()
    Provider.opened[0].buffer = nv21(bytes(8))
    camera.close()
    camera.close()
    assert camera.frame() is None
    camera.open()
    assert [(each.stopped, each.released) for each in Provider.opened] == [(True, True), (False, False)]


def test_a_frame_is_a_copy_for_the_buffer_goes_back_to_the_camera() -> None:
    buffer = bytearray(nv21(bytes(8)))
    grey = grey_of_nv21(bytes(buffer), 4, 2, 0)
    assert grey.flags.owndata
    with pytest.raises(PortFailed, match="expected 12"):
        grey_of_nv21(b"\x00" * 7, 4, 2, 0)


def test_a_camera_that_is_not_there_or_taken_says_so(make_phone: Callable[..., Phone]) -> None:
    Provider.opened, Provider.fails = [], True
    make_phone()
    with pytest.raises(PortFailed, match="Fail to connect"):
        AndroidCamera(SystemClock(), Provider).open()
    make_phone(cameras=((1, 270),))
    with pytest.raises(PortFailed, match="no camera on its back"):
        AndroidCamera(SystemClock(), Provider).open()


def test_the_torch_is_lit_where_there_is_one(camera: AndroidCamera) -> None:
    camera.torch(True)
    assert camera.has_torch() is False
    camera.open()
    assert camera.has_torch() is True
    lamp = Provider.opened[0]._android_camera
    camera.torch(True)
    assert lamp.set_to == "torch"
    camera.torch(False)
    assert lamp.set_to == "off"
    lamp.modes = ["off"]
    camera.torch(True)
    assert lamp.set_to == "off"
    camera.close()
    assert camera.has_torch() is False


def test_a_phone_without_a_lamp_says_so(camera: AndroidCamera) -> None:
    camera.open()
    Provider.opened[0]._android_camera.modes = ["off"]
    assert camera.has_torch() is False


# --- service ----------------------------------------------------------------------------------------------


def test_the_service_is_started_by_the_screens_and_stopped_for_good(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    attendant = AndroidAttendant()
    attendant.start()
    attendant.start()
    assert phone.service_runs
    attendant.stop()
    assert not phone.service_runs


def test_a_service_that_may_not_start_is_told_in_words(make_phone: Callable[..., Phone]) -> None:
    make_phone(in_background=True)
    with pytest.raises(PortFailed, match="app is in background"):
        AndroidAttendant().start()


def test_the_processor_is_kept_awake_for_a_time_and_never_for_ever(make_phone: Callable[..., Phone]) -> None:
    phone = make_phone()
    awake = AndroidWakefulness()
    awake.hold(30.0)
    awake.hold(30.0)
    assert phone.power.lock.held_ms == [30_000, 30_000]
    awake.let_go()
    awake.let_go()
    assert not phone.power.lock.held


# --- provisioning -----------------------------------------------------------------------------------------


def test_what_was_put_there_by_cable_is_taken_in_and_gone_outside(make_phone: Callable[..., Phone]) -> None:
    make_phone()
    put = put_folder()
    assert put is not None
    put.mkdir(parents=True)
    (put / "handheld.toml").write_text("[device]\n")
    (put / "device.key").write_bytes(b"secret")
    assert take_in(put, private_folder())
    assert not put.exists()
    assert (private_folder() / "device.key").read_bytes() == b"secret"
    assert (private_folder() / "device.key").stat().st_mode & 0o077 == 0
    assert not take_in(put, private_folder())


def test_the_config_is_taken_last_so_that_its_keys_are_there(
    make_phone: Callable[..., Phone], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_phone()
    put = put_folder()
    assert put is not None
    put.mkdir(parents=True)
    for name in ("handheld.toml", "a.key", "z.pem"):
        (put / name).write_bytes(b"x")
    order: list[str] = []
    monkeypatch.setattr(
        "edge.handheld.android.provisioning.replace_whole", lambda path, content: order.append(path.name)
    )
    take_in(put, private_folder())
    assert order == ["a.key", "z.pem", "handheld.toml"]


@pytest.mark.parametrize("odd", ["folder", "link", "hidden"])
def test_what_is_no_plain_file_is_refused_and_nothing_is_taken(
    make_phone: Callable[..., Phone], odd: str
) -> None:
    make_phone()
    put = put_folder()
    assert put is not None
    put.mkdir(parents=True)
    (put / "handheld.toml").write_text("")
    make: dict[str, Callable[[], object]] = {
        "folder": (put / "folder").mkdir,
        "link": partial((put / "link").symlink_to, "/etc/passwd"),
        "hidden": (put / ".hidden").touch,
    }
    make[odd]()
    with pytest.raises(ProvisionRefused, match=odd):
        take_in(put, private_folder())
    assert not (private_folder() / "handheld.toml").exists()


def test_a_device_without_storage_outside_takes_nothing_in(make_phone: Callable[..., Phone]) -> None:
    make_phone(has_storage=False)
    assert put_folder() is None
    assert not take_in(None, private_folder())
