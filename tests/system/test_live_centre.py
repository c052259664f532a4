"""`kakou centre live` beside a real hub process: asks, watches, keeps, is refused; the endpoint lives and
dies with its hub."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.live_rig import DEVICE, OFFICER, Endpoint, Handheld, MovingPicture, until
from edge.handheld.live.g711 import from_mu_law
from sync.hub.archive import Archive, CommandRow
from sync.hub.centre import By
from sync.hub.live_receiving import Watched, Wish, watch
from sync.link.keys import make_private, private_pem, public_pem

pytestmark = pytest.mark.system

EARLY = "2026-11-22T00:00:00.000000Z"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class RunningHub:
    """A hub process whose broker is away: its endpoint does not need one."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self.device_key, hub_key = make_private(), make_private()
        (folder / "hub.key").write_bytes(private_pem(hub_key))
        (folder / "hub.key").chmod(0o600)
        (folder / "device.pub").write_bytes(public_pem(self.device_key.public_key()))
        self.port = _free_port()
        self.archive_file = folder / "data" / "archive.sqlite"
        self.config_file = folder / "hub.toml"
        self.config_file.write_text(
            'site = "s1"\n[store]\narchive = "data/archive.sqlite"\n'
            f'[sync]\nport = {_free_port()}\nkey_file = "hub.key"\nscopes = ["site"]\npoll_s = 0.1\n'
            f'[devices]\n{DEVICE} = "device.pub"\n[live]\nport = {self.port}\n'
        )
        self.log = (folder / "hub.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sync.hub", str(self.config_file)], stderr=self.log, start_new_session=True
        )
        until(self.is_listening, 30)

    def is_listening(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def children(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(each) for each in found.stdout.split()]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def centre(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge.cli", "centre", "live", str(self.config_file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with Endpoint(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    made = RunningHub(tmp_path_factory.mktemp("hub"))
    yield made
    made.close()


def _last(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_what_an_officer_began_is_watched_and_kept_as_a_file_that_plays(
    hub: RunningHub, tmp_path: Path
) -> None:
    file = tmp_path / "seen.avi"
    # Nobody who watches made the device's key: only what it needs is here.
    with Handheld(hub, may_be_recorded=True, pictures=MovingPicture(320, 256)) as handheld:
        done = hub.centre(
            DEVICE,
            "--officer",
            "4604009",
            "--reason",
            "pallet 7",
            "--for",
            "3",
            "--save",
            str(file),
            "--json",
        )
        told = _last(done)
        was_recorded = any(flow.is_recorded for _, flow in handheld.flows)
    assert done.returncode == 0, done.stderr
    assert (told["officer"], told["pictures"] >= 10, told["sound_missing"]) == (OFFICER, True, 0)
    assert told["sound_s"] > 2.0
    assert was_recorded
    video = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    frames = 0
    while video.read()[0]:
        frames += 1
    assert abs(video.get(cv2.CAP_PROP_FPS) - 25) < 0.1
    assert frames >= 40
    data = file.read_bytes()
    assert (data[:4], data[8:12], int.from_bytes(data[4:8], "little")) == (b"RIFF", b"AVI ", len(data) - 8)
    sound = np.concatenate([from_mu_law(chunk) for chunk in _chunks(data, b"01wb")])
    spectrum = np.abs(np.fft.rfft(sound[:8000].astype(float)))
    assert abs(int(np.argmax(spectrum)) * 8000 / len(sound[:8000]) - 440) < 10
    archive = Archive.open(hub.archive_file)
    act = archive.acts(1)[0]
    archive.close()
    assert (act.act, act.subject, act.officers, act.reason) == (
        "live_watch",
        DEVICE,
        ("4604009",),
        "pallet 7",
    )


def _chunks(data: bytes, name: bytes) -> Iterator[bytes]:
    at = data.index(b"movi") + 4
    while data[at : at + 4] in (b"00dc", b"01wb"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == name:
            yield data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _command(endpoint: Endpoint) -> CommandRow:
    """The one that waits for the handheld."""
    archive = endpoint.archive()
    try:
        until(lambda: bool(archive.open_commands(EARLY, 10)), 30)
        return archive.open_commands(EARLY, 10)[0]
    finally:
        archive.close()


def _settle(endpoint: Endpoint, row: CommandRow, state: str, why: str = "") -> None:
    archive = endpoint.archive()
    with archive.transaction():
        archive.settle_command(row.command_id, DEVICE, state, why, row.given_utc)
    archive.close()


def _watched(
    endpoint: Endpoint, *, ask: bool = False, for_s: float = 1.5, save: Path | None = None
) -> Watched:
    archive = endpoint.archive()
    try:
        by = By(("4604009",), "show me")
        return watch(endpoint.config, archive, Wish(DEVICE, by, ask, for_s, 30.0, save))
    finally:
        archive.close()


def test_the_centre_asks_and_sees_once_the_officer_has_said_yes(endpoint: Endpoint) -> None:
    shown: list[Handheld] = []

    def officer() -> None:
        """Says yes, as the handheld's own room would: the command's id is the session's."""
        row = _command(endpoint)
        with Handheld(endpoint, session=row.command_id) as handheld:
            shown.append(handheld)
            _settle(endpoint, row, "done")
            handheld.ended.wait(30)

    thread = threading.Thread(target=officer, daemon=True)
    thread.start()
    told = _watched(endpoint, ask=True)
    thread.join(30)
    assert (told.pictures > 3, told.answer) == (True, "done")
    # Who asked for it ended it.
    assert shown[0].closed is not None
    assert (shown[0].closed.session, shown[0].closed.why) == (told.session, "centre")


def test_an_officer_who_says_no_is_not_waited_for(endpoint: Endpoint) -> None:
    def officer() -> None:
        _settle(endpoint, _command(endpoint), "refused", "the officer said no")

    threading.Thread(target=officer, daemon=True).start()
    began_s = time.monotonic()
    told = _watched(endpoint, ask=True)
    assert (told.pictures, told.ended) == (0, "refused: the officer said no")
    assert time.monotonic() - began_s < 15


def test_nobody_keeps_what_the_officer_did_not_allow(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "seen.avi"
    with Handheld(endpoint, may_be_recorded=False) as handheld:
        until(lambda: handheld.flow().is_connected, 10)
        told = _watched(endpoint, save=file)
    assert (told.pictures, told.ended) == (0, "refused the officer did not allow that it is kept")
    assert not file.exists()


def test_the_endpoint_comes_back_when_it_is_killed_and_ends_with_its_hub(hub: RunningHub) -> None:
    (child,) = hub.children()
    os.kill(child, signal.SIGKILL)
    until(lambda: hub.children() not in ([], [child]) and hub.is_listening(), 20)
    (second,) = hub.children()
    hub.process.send_signal(signal.SIGTERM)
    assert hub.process.wait(20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
