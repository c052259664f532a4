"""Fixed cameras over real sockets and files: a simulated site as a process, OpenCV's FFmpeg, the disk."""

from __future__ import annotations

import hashlib
import queue
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.devices.fixed_camera.source import decode
from edge.gate.effects import TakePicture
from edge.gate.events import DeviceSpoke, DeviceWentSilent, Event, PictureFailed, PictureKept
from edge.gate.pictures import Pictures
from edge.gate.pictures_config import CameraPart, PicturesPart
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import BackOff
from tests.system.conftest import WAIT_S, Launcher, Started, until

pytestmark = pytest.mark.system

KINDS = ("http", "rtsp", "folder")
SCENARIO = """
    seed = 1

    [lanes.in]
    fixed_camera = "{kind}"

    [[vehicles]]
    id = "v1"
    lane = "in"
    arrives_s = 0
    plate = "豫A12345"
    length_m = 12.0
"""
TAKE = TakePicture(3, "arrival", "豫A12345", "I4604I250000000001", "14000")
ANSWERS = (PictureKept, PictureFailed)
SETTINGS = PicturesPart(keep_free_mb=0, fresh_s=1.0, wait_s=0.6, oldest_s=1.5)


@dataclass
class Watched:
    """A simulated lane and the pictures of the camera beside it."""

    sims: Started
    pictures: Pictures
    folder: Path
    events: queue.Queue[Event]
    seen: list[Event] = field(default_factory=list)

    def fault(self, kind: str, on: str = "on") -> None:
        stdin = self.sims.process.stdin
        assert stdin is not None
        stdin.write(f"fault in fixed_camera {kind} {on}\n".encode())
        stdin.flush()

    def next(self, *kinds: type) -> Any:
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            event = self.events.get(timeout=WAIT_S)
            self.seen.append(event)
            if isinstance(event, kinds):
                return event
        raise AssertionError(f"no {kinds} among {self.seen}")

    def take(self) -> Any:
        self.pictures.take(TAKE)
        return self.next(*ANSWERS)

    def taken(self) -> PictureKept:
        """Asked until the camera is there."""
        return until(lambda: kept if isinstance(kept := self.take(), PictureKept) else None, "a picture")


@contextmanager
def watching(tmp_path: Path, launch: Launcher, kind: str, **more: Any) -> Iterator[Watched]:
    site = tmp_path / "site.toml"
    site.write_text(textwrap.dedent(SCENARIO).format(kind=kind), encoding="utf-8")
    serve = [sys.executable, "-m", "hardware_sims", "serve", str(site), "--json"]
    sims = launch(serve, stdin=subprocess.PIPE)
    until(lambda: any(line["event"] == "READY" for line in sims.lines()), "the site")
    address = next(line["address"] for line in sims.lines() if line.get("device") == "fixed_camera")
    part = (
        CameraPart(path=Path(address), silent_after_s=0.9, **more)
        if kind == "folder"
        else CameraPart(url=address, silent_after_s=0.9, **more)
    )
    events: queue.Queue[Event] = queue.Queue()
    pictures = Pictures(
        tmp_path / "pictures",
        {"mast": part},
        SETTINGS,
        lane_id="in",
        clock=SystemClock(),
        put=events.put,
        back_off=BackOff(second_after_s=0.1, longest_s=0.4),
    )
    pictures.start()
    try:
        yield Watched(sims, pictures, tmp_path / "pictures", events)
    finally:
        pictures.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_the_lane_is_on_disk_under_its_hash(tmp_path: Path, launch: Launcher, kind: str) -> None:
    with watching(tmp_path, launch, kind) as lane:
        kept = lane.taken()
        (file,) = lane.folder.glob(f"*/{kept.sha256}.jpg")
        data = file.read_bytes()
        assert hashlib.sha256(data).hexdigest() == kept.sha256
        assert len(data) == kept.size_bytes
        pixels = decode(data)
        assert pixels is not None
        assert pixels.shape[1] == 640
        # The simulator's sky and road, as it drew them.
        assert np.abs(pixels[150, 300].astype(int) - (205, 180, 150)).max() < 12
        assert np.abs(pixels[350, 320].astype(int) - (98, 95, 95)).max() < 12


@pytest.mark.parametrize("kind", KINDS)
def test_two_pictures_are_of_two_moments(tmp_path: Path, launch: Launcher, kind: str) -> None:
    with watching(tmp_path, launch, kind) as lane:
        first = decode(lane.pictures.read(lane.taken().sha256) or b"")
        time.sleep(1.5)
        second = decode(lane.pictures.read(lane.taken().sha256) or b"")
        assert first is not None
        assert second is not None
        clock = np.abs(first[10:40].astype(int) - second[10:40]).max(axis=2) > 60
        assert clock.sum() > 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_camera_is_an_alarm_and_comes_back(tmp_path: Path, launch: Launcher, kind: str) -> None:
    with watching(tmp_path, launch, kind) as lane:
        lane.taken()
        lane.fault("silence")
        assert lane.next(DeviceWentSilent).device == "mast"
        time.sleep(1.0)
        assert isinstance(lane.take(), PictureFailed)
        lane.fault("silence", "off")
        assert lane.next(DeviceSpoke) == DeviceSpoke("mast")
        lane.taken()


@pytest.mark.parametrize("kind", KINDS)
def test_of_cut_frames_no_picture_is_made(tmp_path: Path, launch: Launcher, kind: str) -> None:
    with watching(tmp_path, launch, kind) as lane:
        lane.taken()
        lane.fault("cut")
        lane.next(DeviceWentSilent)
        time.sleep(1.0)
        failed = lane.take()
        assert isinstance(failed, PictureFailed)
        assert "old" in failed.why
        lane.fault("cut", "off")
        lane.taken()


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_dead_camera_is_called_again_until_it_answers(tmp_path: Path, launch: Launcher, kind: str) -> None:
    with watching(tmp_path, launch, kind) as lane:
        lane.taken()
        lane.fault("dead")
        why = lane.next(DeviceWentSilent).why
        assert "127.0.0.1" in why
        lane.fault("dead", "off")
        lane.next(DeviceSpoke)
        lane.taken()


def test_a_stuck_camera_is_found_out(tmp_path: Path, launch: Launcher) -> None:
    with watching(tmp_path, launch, "http", frozen_after_s=1.0) as lane:
        lane.taken()
        lane.fault("stuck")
        assert "the same picture" in lane.next(DeviceWentSilent).why
        failed = lane.take()
        assert isinstance(failed, PictureFailed)
        assert "the same picture" in failed.why


def test_a_covered_lens_is_an_alarm_and_its_picture_says_so(tmp_path: Path, launch: Launcher) -> None:
    with watching(tmp_path, launch, "http", frozen_after_s=0) as lane:
        lane.taken()
        lane.fault("black")
        assert "dark" in lane.next(DeviceWentSilent).why
        kept = lane.taken()
        pixels = decode(lane.pictures.read(kept.sha256) or b"")
        assert pixels is not None
        assert pixels[:355].max() < 40
        amber = (pixels[360:, :, 2] > 150) & (pixels[360:, :, 0] < 90)
        assert amber.sum() > 50


def test_a_site_that_ends_leaves_no_camera_hanging(tmp_path: Path, launch: Launcher) -> None:
    with watching(tmp_path, launch, "rtsp") as lane:
        lane.taken()
        lane.sims.process.kill()
        lane.next(DeviceWentSilent)
        began_s = time.monotonic()
        assert lane.pictures.close() == ()
        assert time.monotonic() - began_s < 4.5
        assert lane.pictures.health()["mast"].losses > 0
