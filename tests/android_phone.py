"""A phone made of Python: `jnius`, `android` and the Java classes the adapters use, as their documentation
has them.

It refuses what a real one refuses (flags and permissions that are missing, calls on the wrong thread,
objects used after they were released), so an adapter that gets it wrong fails here. Permissions are those
of `buildozer.spec`. It knows nothing of ours.
"""

# ruff: noqa: N802, N815  names are Java's

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RUNTIME_PERMISSIONS = frozenset(
    f"android.permission.{each}"
    for each in (
        "CAMERA",
        "RECORD_AUDIO",
        "POST_NOTIFICATIONS",
        "ACCESS_FINE_LOCATION",
        "ACCESS_COARSE_LOCATION",
    )
)
"""Granted by the person, not by the manifest."""
PERMISSION_SINCE = {"android.permission.POST_NOTIFICATIONS": 33}


class JavaException(Exception):
    """pyjnius' own: `classname` says which."""

    def __init__(self, classname: str, message: str) -> None:
        super().__init__(f"JVM exception occurred: {message} {classname}")
        self.classname = classname
        self.innermessage = message


class ByteArray:
    """pyjnius 1.7.0's view of a `byte[]`: elements unsigned, bytes by `tostring`, no `tobytes`."""

    def __init__(self, content: bytes) -> None:
        self._content = bytes(content)

    def __len__(self) -> int:
        return len(self._content)

    def __getitem__(self, index: Any) -> Any:
        return list(self._content[index]) if isinstance(index, slice) else self._content[index]

    def tostring(self) -> bytes:
        return self._content


class JavaList:
    def __init__(self, *items: Any) -> None:
        self._items = list(items)

    def size(self) -> int:
        return len(self._items)

    def get(self, index: int) -> Any:
        return self._items[index]

    def contains(self, item: Any) -> bool:
        return item in self._items


class PythonJavaClass:
    __javainterfaces__: Any = ()
    __javacontext__ = "system"

    def __init__(self) -> None:
        if not self.__javainterfaces__:
            raise NotImplementedError("interfaces need to be described")


def java_method(signature: str, name: str | None = None) -> Callable[[Any], Any]:
    def mark(method: Any) -> Any:
        method.__javasignature__ = signature
        return method

    return mark


class Bundle:
    def __init__(self) -> None:
        self.content: dict[str, Any] = {}

    def _put(self, key: str, value: Any, *kinds: type) -> None:
        if not isinstance(key, str) or type(value) not in kinds:
            raise JavaException("java.lang.ClassCastException", f"{key}: {type(value).__name__}")
        self.content[key] = value

    def putString(self, key: str, value: str) -> None:
        self._put(key, value, str)

    def putInt(self, key: str, value: int) -> None:
        self._put(key, value, int)

    def putBoolean(self, key: str, value: bool) -> None:
        self._put(key, value, bool)

    def putBundle(self, key: str, value: Bundle) -> None:
        self._put(key, value, Bundle)

    def putStringArray(self, key: str, value: list[str]) -> None:
        if not all(isinstance(each, str) for each in value):
            raise JavaException("java.lang.ClassCastException", key)
        self._put(key, value, list)

    def putParcelableArray(self, key: str, value: list[Bundle]) -> None:
        if not all(isinstance(each, Bundle) for each in value):
            raise JavaException("java.lang.ClassCastException", key)
        self._put(key, value, list)

    def plain(self) -> dict[str, Any]:
        return {key: _plain(value) for key, value in self.content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Bundle):
        return value.plain()
    return [_plain(each) for each in value] if isinstance(value, list) else value


class Intent:
    def __init__(self, action: str | None = None) -> None:
        self.action = action
        self.package: str | None = None
        self.extras: dict[str, Any] = {}

    def getAction(self) -> str | None:
        return self.action

    def setPackage(self, package: str) -> Intent:
        self.package = package
        return self

    def putExtras(self, bundle: Bundle) -> Intent:
        if not isinstance(bundle, Bundle):
            raise JavaException("java.lang.ClassCastException", "putExtras wants a Bundle")
        self.extras.update(bundle.content)
        return self

    def hasExtra(self, key: str) -> bool:
        return key in self.extras

    def getStringExtra(self, key: str) -> str | None:
        value = self.extras.get(key)
        return value if isinstance(value, str) else None

    def getByteArrayExtra(self, key: str) -> ByteArray | None:
        value = self.extras.get(key)
        return ByteArray(value) if isinstance(value, bytes) else None

    def getSerializableExtra(self, key: str) -> JavaList | None:
        value = self.extras.get(key)
        if isinstance(value, list):
            return JavaList(*(ByteArray(each) for each in value))
        return None

    def getIntExtra(self, key: str, default: int) -> int:
        value = self.extras.get(key)
        return value if type(value) is int else default


class IntentFilter:
    def __init__(self, action: str | None = None) -> None:
        self.actions = {action} if action else set()

    def addAction(self, action: str) -> None:
        self.actions.add(action)


class HandlerThread:
    def __init__(self, name: str) -> None:
        self.alive = False

    def start(self) -> None:
        self.alive = True

    def getLooper(self) -> HandlerThread:
        if not self.alive:
            raise JavaException("java.lang.IllegalStateException", "no looper before start")
        return self

    def quitSafely(self) -> bool:
        self.alive = False
        return True


class Handler:
    def __init__(self, looper: HandlerThread) -> None:
        self.thread = looper


class GenericBroadcastReceiver:
    """python-for-android's. Java sees only the callback: when Python has freed it, the process is gone."""

    def __init__(self, callback: Any) -> None:
        if "org/kivy/android/GenericBroadcastReceiverCallback" not in callback.__javainterfaces__:
            raise JavaException("java.lang.ClassCastException", "not a callback")
        self._callback = weakref.ref(callback)
        self.sent_from: str | None = None

    def getSentFromPackage(self) -> str | None:
        return self.sent_from

    def onReceive(self, context: Any, intent: Intent) -> None:
        callback = self._callback()
        if callback is None:
            raise SystemError("Fatal signal 11 (SIGSEGV): the callback was freed")
        assert callback.onReceive.__javasignature__ == "(Landroid/content/Context;Landroid/content/Intent;)V"
        callback.onReceive(context, intent)


@dataclass
class Registered:
    receiver: GenericBroadcastReceiver
    actions: set[str]
    handler: Handler
    exported: bool


class Window:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.flags = 0
        self.attributes = _Attributes()

    def addFlags(self, flags: int) -> None:
        self._phone.on_ui_thread()
        self.flags |= flags

    def clearFlags(self, flags: int) -> None:
        self._phone.on_ui_thread()
        self.flags &= ~flags

    def getAttributes(self) -> _Attributes:
        return self.attributes

    def setAttributes(self, attributes: _Attributes) -> None:
        self._phone.on_ui_thread()
        self.attributes = attributes


class _Attributes:
    screenBrightness = -1.0


class Context:
    """`Context` and the activity in one."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.window = Window(phone)

    def getPackageName(self) -> str:
        return self._phone.package

    def getFilesDir(self) -> Any:
        return _File(self._phone.folder / "private")

    def getExternalFilesDir(self, kind: str | None) -> Any:
        return _File(self._phone.folder / "outside") if self._phone.has_storage else None

    def getWindow(self) -> Window:
        return self.window

    def getWindowManager(self) -> Context:
        return self

    def getDefaultDisplay(self) -> Context:
        return self

    def getRotation(self) -> int:
        return self._phone.rotation

    def checkSelfPermission(self, permission: str) -> int:
        return 0 if self._phone.holds(permission) else -1

    def getSystemService(self, name: str) -> Any:
        return self._phone.services.get(name)

    def sendBroadcast(self, intent: Intent) -> None:
        self._phone.sent.append(intent)

    def registerReceiver(self, receiver: Any, intent_filter: IntentFilter, *more: Any) -> Intent | None:
        phone = self._phone
        if receiver is None:
            return phone.sticky.get(next(iter(intent_filter.actions)))
        if len(more) not in (2, 3):
            raise JavaException(
                "java.lang.NoSuchMethodError", f"registerReceiver with {len(more) + 2} arguments"
            )
        flags = more[2] if len(more) == 3 else 0
        if phone.sdk >= 34 and phone.target >= 34 and not flags & 0x6:
            raise JavaException(
                "java.lang.SecurityException",
                f"{phone.package}: One of RECEIVER_EXPORTED or RECEIVER_NOT_EXPORTED should be specified "
                "when a receiver isn't being registered exclusively for system broadcasts",
            )
        exported = bool(flags & 0x2) or not flags & 0x4
        phone.registered.append(Registered(receiver, set(intent_filter.actions), more[1], exported))
        return None

    def unregisterReceiver(self, receiver: Any) -> None:
        kept = [each for each in self._phone.registered if each.receiver is not receiver]
        if len(kept) == len(self._phone.registered):
            raise JavaException("java.lang.IllegalArgumentException", "Receiver not registered")
        self._phone.registered[:] = kept


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def getAbsolutePath(self) -> str:
        return str(self._path)


class Vibrator:
    def __init__(self, phone: Phone, has_motor: bool = True) -> None:
        self._phone = phone
        self.has_motor = has_motor
        self.felt: list[list[int]] = []

    def hasVibrator(self) -> bool:
        return self.has_motor

    def vibrate(self, *arguments: Any) -> None:
        self._phone.needs("android.permission.VIBRATE")
        if self._phone.sdk >= 26:
            (effect,) = arguments
            assert isinstance(effect, Waveform)
            self.felt.append(effect.timings)
        else:
            timings, repeat = arguments
            assert repeat == -1
            self.felt.append(timings)


@dataclass
class Waveform:
    timings: list[int]
    repeat: int


class AudioTrack:
    def __init__(
        self, phone: Phone, attributes: Any, audio_format: Any, size: int, mode: int, session: int
    ) -> None:
        self.state = 2 if len(phone.tracks) < phone.most_tracks else 0
        self.size, self.format, self.released = size, audio_format, False
        self.content = b""
        self.playing, self.at_end = False, False
        self.plays = 0
        phone.tracks.append(self)

    def getState(self) -> int:
        return self.state

    def getPlayState(self) -> int:
        self._alive()
        return 3 if self.playing else 1

    def write(self, content: bytes, offset: int, size: int) -> int:
        if self.state == 0:
            return -3
        self.content, self.state = content[offset : offset + size], 1
        return size

    def reloadStaticData(self) -> int:
        self._alive()
        if self.state != 1 or self.playing:
            return -3
        self.at_end = False
        return 0

    def play(self) -> None:
        self._alive()
        if self.state != 1:
            raise JavaException(
                "java.lang.IllegalStateException", "play() called on uninitialized AudioTrack."
            )
        if not self.at_end:
            self.plays += 1
        self.playing = self.at_end = True

    def stop(self) -> None:
        self._alive()
        self.playing = False

    def release(self) -> None:
        self.released = True

    def _alive(self) -> None:
        assert not self.released


class _Builder:
    """A chain of setters, remembered."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def say(*value: Any) -> Any:
            if name == "build":
                return dict(self.said)
            self.said[name] = value[0] if len(value) == 1 else value
            return self

        return say


class AudioRecord:
    """As a class: its statics; as an instance: one opening."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def getMinBufferSize(self, rate: int, channel: int, encoding: int) -> int:
        return 640 if rate in self._phone.microphone_rates else -2

    def __call__(self, source: int, rate: int, channel: int, encoding: int, size: int) -> Recorder:
        assert size >= 640
        return Recorder(self._phone)


class Recorder:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.state = 1 if phone.holds("android.permission.RECORD_AUDIO") else 0
        self.recording = False
        self.released = False
        self.at = 0
        phone.recorders.append(self)

    def getState(self) -> int:
        return self.state

    def getRecordingState(self) -> int:
        return 3 if self.recording else 1

    def startRecording(self) -> None:
        if self.state != 1:
            raise JavaException(
                "java.lang.IllegalStateException", "startRecording() on an uninitialized AudioRecord"
            )
        self.recording = not self._phone.microphone_is_taken

    def read(self, buffer: Any, offset: int, size: int) -> int:
        if self.released or not self.recording:
            return -3
        if not isinstance(buffer, bytearray):
            raise JavaException("java.lang.ClassCastException", "only a bytearray is written back")
        time.sleep(self._phone.packet_s)
        piece = self._phone.sound[self.at : self.at + min(size, self._phone.most_read)]
        if not piece:
            return -6
        # pyjnius hands the whole array back
        buffer[offset : offset + len(piece)] = piece
        self.at += len(piece)
        return len(piece)

    def stop(self) -> None:
        self.recording = False

    def release(self) -> None:
        self.released = True


class _CameraClass:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def getNumberOfCameras(self) -> int:
        return len(self._phone.cameras)

    def getCameraInfo(self, index: int, info: Any) -> None:
        info.facing, info.orientation = self._phone.cameras[index]


class CameraInfo:
    facing = -1
    orientation = -1


class Keystore:
    """AndroidKeyStore with its keys, `KeyGenerator`, `Cipher` and the rest, as far as AES/GCM goes."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.keys: dict[str, StoredKey] = {}
        self.loaded = False

    def getInstance(self, name: str) -> Keystore:
        assert name == "AndroidKeyStore"
        self.loaded = False
        return self

    def load(self, parameters: Any) -> None:
        self.loaded = True

    def containsAlias(self, alias: str) -> bool:
        if not self.loaded:
            raise JavaException("java.security.KeyStoreException", "Uninitialized keystore")
        return alias in self.keys

    def getKey(self, alias: str, password: Any) -> StoredKey:
        return self.keys[alias]

    def deleteEntry(self, alias: str) -> None:
        del self.keys[alias]


@dataclass
class StoredKey:
    alias: str
    secret: bytes
    level: int

    def getAlgorithm(self) -> str:
        return "AES"


class KeySpecBuilder:
    def __init__(self, alias: str, purposes: int) -> None:
        self.alias, self.purposes = alias, purposes
        self.modes: tuple[str, ...] = ()
        self.paddings: tuple[str, ...] = ()
        self.bits = 0
        self.strong_box = False

    def setBlockModes(self, *modes: str) -> None:
        self.modes = modes

    def setEncryptionPaddings(self, *paddings: str) -> None:
        self.paddings = paddings

    def setKeySize(self, bits: int) -> None:
        self.bits = bits

    def setIsStrongBoxBacked(self, wanted: bool) -> None:
        self.strong_box = wanted

    def build(self) -> KeySpecBuilder:
        return self


class KeyGenerator:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._spec: KeySpecBuilder | None = None

    def getInstance(self, algorithm: str, provider: str) -> KeyGenerator:
        assert (algorithm, provider) == ("AES", "AndroidKeyStore")
        return KeyGenerator(self._phone)

    def init(self, spec: KeySpecBuilder) -> None:
        assert (spec.modes, spec.paddings, spec.bits, spec.purposes) == (("GCM",), ("NoPadding",), 256, 3)
        self._spec = spec

    def generateKey(self) -> StoredKey:
        spec = self._spec
        assert spec is not None
        if spec.strong_box and not self._phone.has_strong_box:
            raise JavaException(
                "android.security.keystore.StrongBoxUnavailableException", "Failed to generate key"
            )
        level = 2 if spec.strong_box else self._phone.keystore_level
        key = StoredKey(spec.alias, os.urandom(32), level)
        self._phone.keystore.keys[spec.alias] = key
        return key


class Cipher:
    def __init__(self) -> None:
        self._data = b""

    def getInstance(self, transformation: str) -> Cipher:
        assert transformation == "AES/GCM/NoPadding"
        return Cipher()

    def init(self, mode: int, key: StoredKey, spec: Any = None) -> None:
        if mode == 1 and spec is not None:
            raise JavaException(
                "java.security.InvalidAlgorithmParameterException", "Caller-provided IV not permitted"
            )
        self._mode, self._key = mode, key
        self._iv = os.urandom(12) if spec is None else spec.iv

    def updateAAD(self, data: bytes) -> None:
        self._data += data

    def getIV(self) -> ByteArray:
        return ByteArray(self._iv)

    def doFinal(self, content: bytes) -> ByteArray:
        cipher = AESGCM(self._key.secret)
        if self._mode == 1:
            return ByteArray(cipher.encrypt(self._iv, content, self._data))
        try:
            return ByteArray(cipher.decrypt(self._iv, content, self._data))
        except InvalidTag:
            raise JavaException(
                "javax.crypto.AEADBadTagException", "Signature/MAC verification failed"
            ) from None


@dataclass
class GcmSpec:
    tag_bits: int
    iv: bytes


class KeyInfo:
    def __init__(self, key: StoredKey) -> None:
        self._key = key

    def getSecurityLevel(self) -> int:
        return self._key.level

    def isInsideSecureHardware(self) -> bool:
        return self._key.level > 0


class SecretKeyFactory:
    def getInstance(self, algorithm: str, provider: str) -> SecretKeyFactory:
        return self

    def getKeySpec(self, key: StoredKey, kind: Any) -> KeyInfo:
        return KeyInfo(key)


@dataclass
class Network:
    transports: tuple[int, ...]

    def hasTransport(self, transport: int) -> bool:
        return transport in self.transports


class Connectivity:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.active: Network | None = None
        self.metered = False

    def getActiveNetwork(self) -> Network | None:
        self._phone.needs("android.permission.ACCESS_NETWORK_STATE")
        return self.active

    def getNetworkCapabilities(self, network: Network | None) -> Network | None:
        return network

    def isActiveNetworkMetered(self) -> bool:
        return self.metered


@dataclass
class Location:
    latitude: float
    longitude: float
    accuracy: float
    at_ns: int

    def getLatitude(self) -> float:
        return self.latitude

    def getLongitude(self) -> float:
        return self.longitude

    def getAccuracy(self) -> float:
        return self.accuracy

    def getElapsedRealtimeNanos(self) -> int:
        return self.at_ns


class LocationManager:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.known: dict[str, Location | None] = {"gps": None, "network": None}

    def getAllProviders(self) -> JavaList:
        return JavaList(*self.known)

    def getLastKnownLocation(self, provider: str) -> Location | None:
        self._phone.needs("android.permission.ACCESS_FINE_LOCATION")
        if provider not in self.known:
            raise JavaException("java.lang.IllegalArgumentException", f"provider doesn't exist: {provider}")
        return self.known[provider]


class WakeLock:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.counted = True
        self.held_ms: list[int] = []
        self.held = False

    def setReferenceCounted(self, counted: bool) -> None:
        self.counted = counted

    def acquire(self, timeout_ms: int) -> None:
        self._phone.needs("android.permission.WAKE_LOCK")
        assert not self.counted
        self.held_ms.append(timeout_ms)
        self.held = True

    def isHeld(self) -> bool:
        return self.held

    def release(self) -> None:
        if not self.held:
            raise JavaException("java.lang.RuntimeException", "WakeLock under-locked kakou:sync")
        self.held = False


class PowerManager:
    def __init__(self, phone: Phone) -> None:
        self.lock = WakeLock(phone)

    def newWakeLock(self, kind: int, tag: str) -> WakeLock:
        assert (kind, tag) == (1, "kakou:sync")
        return self.lock


class ServiceClass:
    """What python-for-android writes from `services =`: `start(Context, String x 4)`."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def start(self, context: Any, *texts: str) -> None:
        assert len(texts) in (1, 4)
        assert all(isinstance(text, str) for text in texts)
        if self._phone.in_background and self._phone.sdk >= 26:
            raise JavaException(
                "java.lang.IllegalStateException", "Not allowed to start service Intent: app is in background"
            )
        self._phone.service_runs = True

    def stop(self, context: Any) -> None:
        self._phone.service_runs = False


@dataclass
class Phone:
    """A device of this API level with the app on it."""

    folder: Path
    sdk: int = 33
    target: int = 33
    maker: str = "Unknown"
    package: str = "org.kakou.kakouhandheld"
    declared: frozenset[str] = frozenset()
    """Permissions in the manifest."""
    granted: set[str] = field(default_factory=set)
    answers_yes: bool = True
    """What the person says when asked; None of it where `interrupted`."""
    interrupted: bool = False
    has_storage: bool = True
    has_strong_box: bool = False
    keystore_level: int = 1
    rotation: int = 0
    cameras: tuple[tuple[int, int], ...] = ((1, 270), (0, 90))
    """(facing, orientation) each; 0 looks away from the person."""
    most_tracks: int = 32
    microphone_rates: tuple[int, ...] = (8_000, 16_000, 44_100)
    microphone_is_taken: bool = False
    sound: bytes = b""
    most_read: int = 100_000
    packet_s: float = 0.0
    """How long a read of the microphone waits."""
    in_background: bool = False
    service_runs: bool = False

    def __post_init__(self) -> None:
        self.sent: list[Intent] = []
        self.registered: list[Registered] = []
        self.sticky: dict[str, Intent] = {}
        self.threads: list[HandlerThread] = []
        self.tracks: list[AudioTrack] = []
        self.recorders: list[Recorder] = []
        self.asked: list[list[str]] = []
        self.detached: list[str] = []
        self.keystore = Keystore(self)
        self.activity: Context | None = Context(self)
        self.service: Context | None = None
        self.vibrator = Vibrator(self)
        self.connectivity = Connectivity(self)
        self.location = LocationManager(self)
        self.power = PowerManager(self)
        self.services: dict[str, Any] = {
            "vibrator": self.vibrator,
            "connectivity": self.connectivity,
            "location": self.location,
            "power": self.power,
        }
        self.now_ns = 10**12
        self._ui = threading.local()

    # --- what the system does ---

    def holds(self, permission: str) -> bool:
        if permission not in self.declared or self.sdk < PERMISSION_SINCE.get(permission, 0):
            return False
        return permission not in RUNTIME_PERMISSIONS or permission in self.granted

    def needs(self, permission: str) -> None:
        if not self.holds(permission):
            raise JavaException("java.lang.SecurityException", f"requires {permission}")

    def on_ui_thread(self) -> None:
        if not getattr(self._ui, "is_here", False):
            raise JavaException(
                "android.view.ViewRootImpl$CalledFromWrongThreadException",
                "Only the original thread that created a view hierarchy can touch its views.",
            )

    def broadcast(self, action: str, *, sender: str | None = None, **extras: Any) -> int:
        """Another app sends it. `sender`: where it agreed to be named. Returns how many heard it."""
        return self.broadcast_extras(action, extras, sender=sender)

    def broadcast_extras(self, action: str, extras: dict[str, Any], *, sender: str | None = None) -> int:
        intent = Intent(action)
        intent.extras = extras
        heard = [
            each
            for each in self.registered
            if action in each.actions and each.exported and each.handler.thread.alive
        ]
        failures: list[BaseException] = []
        for each in heard:
            each.receiver.sent_from = sender if self.sdk >= 34 else None
            thread = threading.Thread(target=self._deliver, args=(each.receiver, intent, failures))
            thread.start()
            thread.join(10)
        if failures:
            raise failures[0]
        return len(heard)

    def _deliver(self, receiver: Any, intent: Intent, failures: list[BaseException]) -> None:
        try:
            receiver.onReceive(self.activity, intent)
        except BaseException as error:  # noqa: BLE001  the process would be gone: the test says so
            failures.append(error)

    # --- Java and Python modules ---

    def autoclass(self, name: str) -> Any:
        classes = self._classes()
        if name not in classes:
            raise JavaException("java.lang.NoClassDefFoundError", name)
        return classes[name]

    def _classes(self) -> dict[str, Any]:
        return {
            "android.app.Service": None,
            "android.content.Intent": Intent,
            "android.content.IntentFilter": IntentFilter,
            "android.hardware.Camera": _CameraClass(self),
            "android.hardware.Camera$CameraInfo": CameraInfo,
            "android.media.AudioAttributes$Builder": _Builder,
            "android.media.AudioFormat$Builder": _Builder,
            "android.media.AudioRecord": AudioRecord(self),
            "android.media.AudioTrack": lambda *given: AudioTrack(self, *given),
            "android.os.Build": _Statics(MANUFACTURER=self.maker),
            "android.os.Build$VERSION": _Statics(SDK_INT=self.sdk),
            "android.os.Bundle": Bundle,
            "android.os.Handler": Handler,
            "android.os.HandlerThread": self._thread,
            "android.os.SystemClock": _Statics(elapsedRealtimeNanos=lambda: self.now_ns),
            "android.os.VibrationEffect": _Statics(createWaveform=Waveform),
            "android.security.keystore.KeyGenParameterSpec$Builder": KeySpecBuilder,
            "android.security.keystore.KeyInfo": KeyInfo,
            "java.security.KeyStore": self.keystore,
            "javax.crypto.Cipher": Cipher(),
            "javax.crypto.KeyGenerator": KeyGenerator(self),
            "javax.crypto.SecretKeyFactory": SecretKeyFactory(),
            "javax.crypto.spec.GCMParameterSpec": GcmSpec,
            "org.kivy.android.GenericBroadcastReceiver": GenericBroadcastReceiver,
            "org.kivy.android.PythonActivity": _Statics(mActivity=self.activity),
            "org.kivy.android.PythonService": _Statics(mService=self.service),
            f"{self.package}.ServiceSync": ServiceClass(self),
        }

    def modules(self) -> dict[str, ModuleType]:
        """`jnius` and python-for-android's `android`, for `sys.modules`."""
        jnius, android = ModuleType("jnius"), ModuleType("android")
        permissions, runnable = ModuleType("android.permissions"), ModuleType("android.runnable")
        jnius.autoclass = self.autoclass  # type: ignore[attr-defined]
        jnius.PythonJavaClass = PythonJavaClass  # type: ignore[attr-defined]
        jnius.java_method = java_method  # type: ignore[attr-defined]
        jnius.JavaException = JavaException  # type: ignore[attr-defined]
        jnius.detach = lambda: self.detached.append(threading.current_thread().name)  # type: ignore[attr-defined]
        permissions.check_permission = self.holds  # type: ignore[attr-defined]
        permissions.request_permissions = self._request  # type: ignore[attr-defined]
        runnable.run_on_ui_thread = self._run_on_ui_thread  # type: ignore[attr-defined]
        android.permissions, android.runnable = permissions, runnable  # type: ignore[attr-defined]
        return {
            "jnius": jnius,
            "android": android,
            "android.permissions": permissions,
            "android.runnable": runnable,
        }

    def _thread(self, name: str) -> HandlerThread:
        self.threads.append(HandlerThread(name))
        return self.threads[-1]

    def _request(self, permissions: list[str], callback: Callable[[Any, Any], None] | None = None) -> None:
        self.asked.append(list(permissions))
        if self.interrupted:
            if callback:
                callback([], [])
            return
        undeclared = [each for each in permissions if each not in self.declared]
        said = [self.answers_yes and each not in undeclared for each in permissions]
        self.granted.update(each for each, yes in zip(permissions, said, strict=True) if yes)
        if callback:
            callback(permissions, said)

    def _run_on_ui_thread(self, work: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any) -> None:
            def run() -> None:
                self._ui.is_here = True
                work(*given)

            thread = threading.Thread(target=run)
            thread.start()
            thread.join(10)

        return call


class _Statics:
    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)


def put_into(monkeypatch: Any, phone: Phone) -> None:
    """For the length of a test this interpreter runs on that phone."""
    for name, module in phone.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
