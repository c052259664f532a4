"""A live session through real sockets: the hub's endpoint, a handheld, somebody who watches, a line between.

Used by `kakou bench live` and by the tests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.handheld.live.connection import LiveConnection, LivePlace
from edge.handheld.live.consent import LiveChanged, LiveClosed, LiveFlow
from edge.handheld.live.pacing import PacingConfig
from edge.handheld.live.session import SessionConfig, Stop
from edge.handheld.live.sources import PictureSource, SoundSource, ToneSound
from sync.hub.archive import Archive
from sync.hub.config import HubConfig, LivePart, read_hub_config
from sync.hub.live_serving import LiveEndpoint
from sync.hub.live_watching import Watching, WatchRefused
from sync.link import live_wire as wire
from sync.link.client import BrokerConfig
from sync.link.keys import KeySigner, make_private, private_pem, public_pem
from sync.store.journal import utc_now

if TYPE_CHECKING:
    from edge.devices.fixed_camera.source import Pixels

SITE = "s1"
DEVICE = "hand-1"
OFFICER = "4604001"
WATCHER = "4604009"


class MovingPicture:
    """Something to look at that never stands still: a textured scene a camera pans over, 30 a second."""

    def __init__(self, columns: int = 800, rows: int = 608, seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        coarse = draw.integers(30, 220, (rows // 32, 2 * columns // 32, 3))
        fine = draw.integers(-4, 5, (rows, 2 * columns, 3))
        scene = np.kron(coarse, np.ones((32, 32, 1), np.int64)) + fine
        self._scene: Pixels = np.clip(scene, 0, 255).astype(np.uint8)
        self._columns = columns
        self._at = 0
        self._due_s = 0.0
        self.is_open = False
        self.fails = ""

    def begin(self) -> None:
        self.is_open = True

    def newest(self) -> Pixels | None:
        time.sleep(max(0.0, min(0.1, self._due_s - time.monotonic())))
        self._due_s = time.monotonic() + 1 / 30
        self._at = (self._at + 8) % self._columns
        return self._scene[:, self._at : self._at + self._columns]

    def end(self) -> None:
        self.is_open = False


class Reachable(Protocol):
    """Any endpoint a handheld can connect to."""

    port: int
    device_key: Ed25519PrivateKey


class Endpoint:
    """The hub's endpoint on a thread, with one enrolled device."""

    def __init__(
        self,
        folder: Path,
        part: str = "",
        *,
        host: str = "127.0.0.1",
        like: Endpoint | None = None,
        sync: str = "",
    ) -> None:
        """`like`: with the keys of another that ended, as when a hub is started again."""
        self.folder = folder
        (folder / "data").mkdir(parents=True, exist_ok=True)
        self.hub_key: Ed25519PrivateKey = make_private() if like is None else like.hub_key
        self.device_key: Ed25519PrivateKey = make_private() if like is None else like.device_key
        (folder / "hub.key").write_bytes(private_pem(self.hub_key))
        (folder / "hub.key").chmod(0o600)
        (folder / "device.pub").write_bytes(public_pem(self.device_key.public_key()))
        self.config_file = folder / "hub.toml"
        self.config_file.write_text(
            f'site = "{SITE}"\n[store]\narchive = "data/archive.sqlite"\n[sync]\nkey_file = "hub.key"\n'
            f'scopes = ["site"]\n{sync}\n[devices]\n{DEVICE} = "device.pub"\n'
            f'[live]\nhost = "{host}"\n{part}\n'
        )
        config = read_hub_config(self.config_file)
        archive = Archive.open(config.archive, own=True)
        with archive.transaction():
            archive.enrol(DEVICE, config.devices[DEVICE])
        archive.close()
        assert config.live is not None
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self.port = 0
        self.config: HubConfig = config
        self.server = LiveEndpoint(config, dataclasses.replace(config.live, port=0), _quiet())
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

    def _run(self) -> None:
        def listening(port: int) -> None:
            self.port = port
            self._ready.set()

        asyncio.run(self.server.run(self._stopped.is_set, listening))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        self.reached_at(self.port)
        return self

    def reached_at(self, port: int) -> None:
        """From now on, by whoever connects."""
        live: LivePart | None = self.config.live
        assert live is not None
        self.port = port
        self.config = dataclasses.replace(self.config, live=dataclasses.replace(live, port=port))

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)

    def archive(self) -> Archive:
        return Archive.open(self.config.archive)


def _quiet() -> object:
    return structlog.get_logger("bench.live")


class Handheld:
    """A device that shows."""

    def __init__(
        self,
        endpoint: Reachable,
        *,
        port: int | None = None,
        session: str = "live-20261122-1",
        sound: SoundSource | None = None,
        with_sound: bool = True,
        may_be_recorded: bool = False,
        limit_s: float = 120.0,
        pictures: PictureSource | None = None,
        pacing: PacingConfig | None = None,
        address: BrokerConfig | None = None,
    ) -> None:
        self.flows: list[tuple[float, LiveFlow]] = []
        self.closed: LiveClosed | None = None
        self.ended = threading.Event()
        config = SessionConfig(
            site=SITE,
            device=DEVICE,
            session=session,
            officer=OFFICER,
            sound=with_sound,
            may_be_recorded=may_be_recorded,
            limit_s=limit_s,
            began_utc=utc_now(),
            pacing=pacing or PacingConfig(),
        )
        if address is None:
            address = BrokerConfig(host="127.0.0.1", port=port or endpoint.port, connect_timeout_s=2.0)
        self.connection = LiveConnection(
            LivePlace(address=address).checked(),
            config,
            KeySigner(endpoint.device_key, DEVICE),
            pictures or MovingPicture(),
            (sound or ToneSound()) if with_sound else None,
            self._told,
        )

    def _told(self, event: LiveChanged | LiveClosed) -> None:
        if isinstance(event, LiveChanged):
            self.flows.append((time.monotonic(), event.flow))
            return
        self.closed = event
        self.ended.set()

    def __enter__(self) -> Self:
        self.connection.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended.is_set():
            self.connection.stop(Stop("officer"))
        assert self.connection.join(10)

    def flow(self) -> LiveFlow:
        return self.flows[-1][1] if self.flows else LiveFlow()


class Onlooker:
    """Somebody at the centre, on a thread: what came, with the time it came."""

    def __init__(self, endpoint: Endpoint, *, record: bool = False, wait_s: float = 10.0) -> None:
        self.watching = Watching(endpoint.config, DEVICE, officer=WATCHER, record=record, wait_s=wait_s)
        self.pictures: list[tuple[float, wire.Picture]] = []
        self.sounds: list[tuple[float, wire.Sound]] = []
        self.words: list[wire.Message] = []
        self.lost = ""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="onlooker", daemon=True)

    def _run(self) -> None:
        try:
            for message in self.watching.messages(600.0):
                if self._stopping:
                    return
                match message:
                    case wire.Picture():
                        self.pictures.append((time.monotonic(), message))
                    case wire.Sound():
                        self.sounds.append((time.monotonic(), message))
                    case None:
                        pass
                    case _:
                        self.words.append(message)
        except WatchRefused as error:
            self.lost = str(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._thread.join(5)
        self.watching.end("stopping")

    def a_s(self, over_s: float) -> float:
        """Pictures a second, of late."""
        since_s = time.monotonic() - over_s
        return sum(1 for at_s, _ in self.pictures if at_s >= since_s) / over_s

    def bytes_of_late(self, over_s: float) -> float:
        """A picture's, the middle one."""
        since_s = time.monotonic() - over_s
        sizes = sorted(len(each.jpeg) for at_s, each in self.pictures if at_s >= since_s)
        return float(sizes[len(sizes) // 2]) if sizes else 0.0


def until(what: Callable[[], bool], within_s: float) -> float:
    """How long it took. Raises `TimeoutError`."""
    began_s = time.monotonic()
    while not what():
        if time.monotonic() - began_s > within_s:
            raise TimeoutError(f"not within {within_s} s")
        time.sleep(0.02)
    return time.monotonic() - began_s
