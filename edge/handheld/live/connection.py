"""Does what `session` orders: a socket of its own, camera and microphone. Three threads, none the sync's.

Whoever starts a session hears of it by `told`, called on this room's threads: put it into an inbox. All three
run at a lower priority than the rest of the program where the system lets them.
"""

from __future__ import annotations

import collections
import contextlib
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from edge.devices.fixed_camera.source import SourceLost, cv2
from edge.handheld.live import session as live
from edge.handheld.live.consent import LiveChanged, LiveClosed
from edge.handheld.live.g711 import to_a_law, to_mu_law
from edge.handheld.live.pacing import Shot
from edge.handheld.live.session import LiveSession, SessionConfig
from edge.handheld.live.sources import PictureSource, SoundSource
from sync.link.client import BrokerConfig
from sync.link.keys import Signer
from sync.link.live_wire import SAMPLES_A_S, Codec
from sync.link.tls_words import said_of

SEND_BUFFER_BYTES: Final = 32 * 1024
"""Of the system, for this socket: what lies there can be neither measured nor taken back."""
READ_BYTES: Final = 16 * 1024
MOST_EVENTS: Final = 512
LOWER_EFFORT: Final = 0x04
"""DSCP 1 (RFC 8622): where a router looks at it, everything else goes first."""
NICE: Final = 10
HANG_WITHIN_S: Final = 0.5
STOP_WITHIN_S: Final = 3.0

Told = Callable[[LiveChanged | LiveClosed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlace:
    """Where the hub's endpoint is. `broker`'s rules for addresses, certificates and plain text hold here."""

    address: BrokerConfig

    def checked(self) -> LivePlace:
        """Itself. Raises `LinkConfigRefused`."""
        self.address.checked()
        return self


class LiveConnection:
    """One session, from its first connection to its last word. Start it once."""

    def __init__(
        self,
        place: LivePlace,
        config: SessionConfig,
        signer: Signer,
        pictures: PictureSource,
        sound: SoundSource | None,
        told: Told,
    ) -> None:
        self._place = place
        self._config = config
        self._told = told
        self._sound = sound
        if sound is None and config.sound:
            raise ValueError("sound: expected a source of sound for a session with sound")
        self._session = LiveSession(config, signer, time.monotonic())
        self._line = _Line(place.address)
        self._camera = _Camera(pictures, self.put)
        self._microphone = None if sound is None else _Microphone(sound, config.codec, self.put)
        self._events: collections.deque[tuple[float, live.Event]] = collections.deque(maxlen=MOST_EVENTS)
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._connect_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: live.Event) -> None:
        """Safe on any thread; never waits."""
        self._events.append((time.monotonic(), event))
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def set(self, *, muted: bool, hidden: bool) -> None:
        self.put(live.Set(muted, hidden))

    def sync_busy(self, busy: bool) -> None:
        """Facts or records of this device wait for the line."""
        self.put(live.SyncBusy(busy))

    def stop(self, why: live.Stop) -> None:
        self.put(why)

    def join(self, within_s: float = STOP_WITHIN_S) -> bool:
        """Whether it is over."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    # --- the one thread that steps ---

    def _run(self) -> None:
        _go_gently()
        try:
            self._perform(self._session.begin())
            while not self._session.has_ended:
                self._turn()
        finally:
            self._line.close()
            self._camera.stop()
            if self._microphone is not None:
                self._microphone.stop()
            for end in (self._wake, self._woken):
                end.close()

    def _turn(self) -> None:
        now_s = time.monotonic()
        if self._connect_s is not None and now_s >= self._connect_s:
            self._connect_s = None
            self._step(self._line.connect())
            now_s = time.monotonic()
        due_s = self._session.wake_s(now_s)
        if self._connect_s is not None:
            due_s = min(due_s, self._connect_s)
        readable = self._line.wait(self._woken, 0.0 if self._events else due_s - now_s)
        with contextlib.suppress(OSError):
            self._woken.recv(4096)
        if readable:
            for event in self._line.read():
                self._step(event)
        while self._events and not self._session.has_ended:
            _, event = self._events.popleft()
            self._step(event)
        self._write()
        if time.monotonic() >= due_s:
            self._step(live.Tick())
            self._write()

    def _write(self) -> None:
        before = self._line.unsent_bytes
        lost = self._line.write()
        if lost is not None:
            self._step(lost)
        elif before and not self._line.unsent_bytes:
            self._step(live.Waiting(0))
            self._line.write()

    def _step(self, event: live.Event) -> None:
        self._perform(self._session.step(time.monotonic(), event))

    def _perform(self, orders: list[live.Order]) -> None:
        for order in orders:
            match order:
                case live.Connect(after_s):
                    self._connect_s = time.monotonic() + after_s
                case live.Send(frames, urgent):
                    self._line.put(frames, urgent=urgent)
                case live.TakePicture(shot):
                    self._camera.order(shot)
                case live.Listen(on):
                    if self._microphone is not None:
                        self._microphone.listen(on)
                case live.Hang():
                    self._line.close()
                case live.Tell(flow):
                    self._told(LiveChanged(self._config.session, flow))
                case live.Ended(why, detail, tally):
                    self._camera.stop()
                    if self._microphone is not None:
                        self._microphone.stop()
                    self._told(LiveClosed(self._config.session, why, detail, tally))
                case _:
                    assert_never(order)


def _go_gently() -> None:
    """Linux lets a thread be nicer than its process."""
    if hasattr(os, "setpriority") and hasattr(threading, "get_native_id"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class _Line:
    """The socket, plain or TLS. Used by one thread; nothing here waits, except `connect` and `wait`."""

    def __init__(self, address: BrokerConfig) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._urgent: collections.deque[bytes] = collections.deque()
        self._frames: collections.deque[bytes] = collections.deque()
        self._begun = memoryview(b"")
        self._wants_write = False

    @property
    def unsent_bytes(self) -> int:
        return len(self._begun) + sum(map(len, self._urgent)) + sum(map(len, self._frames))

    def connect(self) -> live.Event:
        self.close()
        address = self._address
        try:
            opened = socket.create_connection((address.host, address.port), address.connect_timeout_s)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
                with contextlib.suppress(OSError, AttributeError):
                    opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, LOWER_EFFORT)
                tls = address.tls()
                if tls is not None:
                    opened = tls.wrap_socket(opened, server_hostname=address.host)
            except BaseException:
                opened.close()
                raise
        except ssl.SSLCertVerificationError as error:
            return live.Lost(said_of(error), for_good=True)
        except ssl.SSLError as error:
            return live.Lost(said_of(error))
        except (OSError, ValueError) as error:
            return live.Lost(f"{address.host}:{address.port}: {error}")
        opened.setblocking(False)
        self._socket = opened
        return live.Connected()

    def wait(self, woken: socket.socket, timeout_s: float) -> bool:
        """Until there is something to do; whether the line may have brought something."""
        with selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            line = self._socket
            if line is not None:
                pending = isinstance(line, ssl.SSLSocket) and line.pending() > 0
                writes = selectors.EVENT_WRITE if self.unsent_bytes or self._wants_write else 0
                selector.register(line, selectors.EVENT_READ | writes)
                if pending:
                    return True
            found = selector.select(max(0.0, timeout_s))
            return any(key.fileobj is line for key, events in found if line is not None)

    def read(self) -> list[live.Event]:
        line = self._socket
        if line is None:
            return []
        try:
            data = line.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        except OSError as error:
            return [live.Lost(said_of(error) if isinstance(error, ssl.SSLError) else str(error))]
        return [live.Bytes(data)] if data else [live.Lost("the hub closed the connection")]

    def put(self, frames: tuple[bytes, ...], *, urgent: bool) -> None:
        if self._socket is not None:
            (self._urgent if urgent else self._frames).extend(frames)

    def write(self) -> live.Lost | None:
        """As much as the system takes."""
        line = self._socket
        self._wants_write = False
        while line is not None:
            if not len(self._begun):
                if not (self._urgent or self._frames):
                    return None
                self._begun = memoryview((self._urgent or self._frames).popleft())
            try:
                self._begun = self._begun[line.send(self._begun) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._wants_write = True
                return None
            except OSError as error:
                return live.Lost(str(error))
        return None

    def close(self) -> None:
        """The last word may still leave; what cannot leave soon is dropped."""
        line, self._socket = self._socket, None
        if line is not None:
            # The rest of a picture is of no use to anybody now.
            self._frames.clear()
            until_s = time.monotonic() + HANG_WITHIN_S
            with contextlib.suppress(OSError):
                while (len(self._begun) or self._urgent) and time.monotonic() < until_s:
                    if not len(self._begun):
                        self._begun = memoryview(self._urgent.popleft())
                    try:
                        self._begun = self._begun[line.send(self._begun) :]
                    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        time.sleep(0.01)
            line.close()
        self._begun = memoryview(b"")
        self._urgent.clear()
        self._frames.clear()


class _Camera:
    """Takes a picture when it is told to: the newest there is, made small, as JPEG."""

    def __init__(self, source: PictureSource, put: Callable[[live.Event], None]) -> None:
        self._source = source
        self._put = put
        self._ready = threading.Condition()
        self._shot: Shot | None = None
        self._ending = False
        self._thread: threading.Thread | None = None

    def order(self, shot: Shot) -> None:
        """The camera opens with the first order: before that nobody watches."""
        with self._ready:
            self._shot = shot
            self._ready.notify()
        if self._thread is None and not self._ending:
            self._thread = threading.Thread(target=self._run, name="live camera", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        with self._ready:
            self._ending = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        _go_gently()
        try:
            self._source.begin()
            while (shot := self._ordered()) is not None:
                self._put(self._taken(shot))
        except SourceLost as error:
            self._put(live.SourceFailed("camera", str(error)))
        finally:
            with contextlib.suppress(SourceLost):
                self._source.end()

    def _ordered(self) -> Shot | None:
        with self._ready:
            self._ready.wait_for(lambda: self._ending or self._shot is not None)
            shot, self._shot = self._shot, None
            return None if self._ending else shot

    def _taken(self, shot: Shot) -> live.PictureTaken:
        pixels = self._source.newest()
        at_s = time.monotonic()
        if pixels is None:
            return live.PictureTaken(at_s, 0, 0, b"")
        library = cv2()
        rows, columns = pixels.shape[:2]
        scale = min(1.0, shot.side / max(rows, columns))
        if scale < 1.0:
            size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            pixels = library.resize(pixels, size, interpolation=library.INTER_AREA)
            columns, rows = size
        made, jpeg = library.imencode(".jpg", pixels, (library.IMWRITE_JPEG_QUALITY, shot.quality))
        return live.PictureTaken(at_s, columns, rows, jpeg.tobytes() if made else b"")


class _Microphone:
    """On while somebody listens; off, its source is closed."""

    def __init__(self, source: SoundSource, codec: Codec, put: Callable[[live.Event], None]) -> None:
        self._source = source
        self._coded = to_mu_law if codec is Codec.MU_LAW else to_a_law
        self._put = put
        self._ready = threading.Condition()
        self._on = False
        self._ending = False
        self._thread: threading.Thread | None = None

    def listen(self, on: bool) -> None:
        with self._ready:
            self._on = on
            self._ready.notify()
        if on and self._thread is None and not self._ending:
            self._thread = threading.Thread(target=self._run, name="live microphone", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        with self._ready:
            self._ending = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        _go_gently()
        try:
            while self._wanted():
                self._source.begin()
                try:
                    while self._is_on():
                        samples = self._source.read()
                        if len(samples):
                            at_s = time.monotonic() - len(samples) / SAMPLES_A_S
                            self._put(live.SoundTaken(at_s, self._coded(samples)))
                finally:
                    self._source.end()
        except SourceLost as error:
            self._put(live.SourceFailed("microphone", str(error)))

    def _wanted(self) -> bool:
        with self._ready:
            self._ready.wait_for(lambda: self._ending or self._on)
            return not self._ending

    def _is_on(self) -> bool:
        with self._ready:
            return self._on and not self._ending
