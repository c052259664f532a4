"""Frames, and the thread that reads the newest of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest

from bench.labels import code, frame, waybill
from edge.devices.fixed_camera.source import FileAddress, LocalAddress, StreamAddress
from edge.reading import decoders as library
from edge.reading.decoders import Decoders
from edge.reading.frames import GreyFrame, NewestFrame, OpenedCamera, address_of, y_plane
from edge.reading.scans import NotACode, ScanSeen, Source
from edge.reading.worker import ReadingThread

ALL = library.found()
NUMBER = "YT1234567890123"

pytestmark = pytest.mark.skipif(not ALL.capabilities.is_whole, reason=f"missing: {ALL.capabilities.en}")


@dataclass
class Heard:
    scans: list[ScanSeen | NotACode] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def __call__(self, scan: ScanSeen | NotACode) -> None:
        self.scans.append(scan)
        self.came.set()


def until(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not true() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return true()


def test_a_code_before_the_camera_is_one_scan_with_the_time_of_its_frame() -> None:
    heard, camera = Heard(), NewestFrame()
    reading = ReadingThread(camera, ALL, heard)
    reading.start()
    picture = frame(waybill(NUMBER))
    camera.put(picture, 41.5)
    assert heard.came.wait(20)
    for at_s in (41.6, 42.6, 43.6):
        camera.put(picture, at_s)
        assert until(lambda at_s=at_s: (reading.health().looked or _NONE).at_s == at_s)  # type: ignore[misc]
    reading.stop()
    assert reading.join(5)
    assert [
        (each.text, each.symbology, each.source, each.at_s)
        for each in heard.scans
        if isinstance(each, ScanSeen)
    ] == [(NUMBER, "code128", Source.CAMERA, 41.5)]
    looked = reading.health().looked
    assert looked is not None
    assert (looked.size, [each.text for each in looked.reads]) == ((1280, 720), [NUMBER])


@dataclass(frozen=True)
class _Looked:
    at_s: float = -1.0


_NONE = _Looked()


@dataclass
class SlowSource:
    """Counts on by ten a frame, as a camera does that is quicker than its reader."""

    picture: Any
    number: int = 0

    def frame(self) -> GreyFrame:
        self.number += 10
        return GreyFrame(self.number, self.picture, self.number / 100)


def test_only_the_newest_frame_is_read_and_those_passed_over_are_counted() -> None:
    reading = ReadingThread(SlowSource(numpy.full((80, 80), 255, numpy.uint8)), ALL, Heard())
    reading.start()
    assert until(lambda: reading.health().frames >= 5)
    reading.stop()
    assert reading.join(5)
    health = reading.health()
    assert health.passed_over == 9 * (health.frames - 1)


@dataclass
class BrokenSource:
    picture: Any
    calls: int = 0

    def frame(self) -> GreyFrame | None:
        self.calls += 1
        if self.calls == 1:
            raise OSError("camera gone")
        if self.calls == 2:
            return GreyFrame(self.calls, numpy.zeros((0, 0), numpy.uint8), 0.0)
        return GreyFrame(self.calls, self.picture, float(self.calls))


def test_a_frame_that_cannot_be_read_ends_nothing() -> None:
    heard = Heard()
    reading = ReadingThread(BrokenSource(code("KS1:1", "QRCode", scale=6)), ALL, heard)
    reading.start()
    assert heard.came.wait(20)
    reading.stop()
    assert reading.join(5)
    health = reading.health()
    assert health.faults >= 1
    assert health.last_fault


def test_without_decoders_it_looks_and_tells_nothing() -> None:
    heard, camera = Heard(), NewestFrame()
    reading = ReadingThread(camera, Decoders(None, None, tilt=False), heard)
    reading.start()
    camera.put(code("KS1:1", "QRCode", scale=6), 1.0)
    assert until(lambda: reading.health().frames == 1)
    reading.stop()
    assert reading.join(5)
    assert heard.scans == []


# --- sources --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["picture", "folder", "video"])
def test_a_code_is_read_from_a_file_a_folder_and_a_video(tmp_path: Path, kind: str) -> None:
    picture = frame(waybill(NUMBER))
    path = tmp_path / "frames"
    if kind == "folder":
        path.mkdir()
        cv2.imwrite(str(path / "1.png"), picture)
    elif kind == "picture":
        path = tmp_path / "label.png"
        cv2.imwrite(str(path), picture)
    else:
        path = tmp_path / "label.avi"
        film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1280, 720), isColor=False)
        for _ in range(3):
            film.write(picture)
        film.release()
    heard = Heard()
    camera = OpenedCamera(FileAddress(path), monotonic_s=time.monotonic, delay_s=lambda _: 0.1)
    camera.open()
    reading = ReadingThread(camera, ALL, heard)
    reading.start()
    assert heard.came.wait(20)
    reading.stop()
    assert reading.join(5)
    assert camera.close()
    assert [each.text for each in heard.scans if isinstance(each, ScanSeen)][:1] == [NUMBER]


def test_a_camera_that_is_not_there_gives_no_frame_and_says_why() -> None:
    camera = OpenedCamera(
        FileAddress(Path("no-such-file.avi")), monotonic_s=time.monotonic, delay_s=lambda _: 0.1
    )
    assert camera.frame() is None
    assert camera.health() is None
    camera.open()
    assert until(lambda: "no such file" in (camera.health() or _WELL).why)
    assert camera.frame() is None
    assert camera.close()
    assert camera.close()


@dataclass(frozen=True)
class _Well:
    why: str = ""


_WELL = _Well()


def test_a_phones_frame_is_its_first_plane() -> None:
    data = bytes(range(12)) + b"\xff" * 6
    assert y_plane(data, 4, 3).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_padding_at_the_end_of_rows_is_no_picture() -> None:
    assert y_plane(bytes(range(11)), 3, 3, stride=4).tolist() == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]


@pytest.mark.parametrize(("size", "columns", "rows", "stride"), [(11, 4, 3, 0), (100, 4, 3, 2), (0, 0, 0, 0)])
def test_a_plane_that_cannot_be_is_refused(size: int, columns: int, rows: int, stride: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        y_plane(b"\0" * size, columns, rows, stride)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("rtsp://10.0.0.5/1", StreamAddress("rtsp://10.0.0.5/1")),
        ("http://10.0.0.5/mjpeg", StreamAddress("http://10.0.0.5/mjpeg")),
        ("0", LocalAddress("0")),
        ("/dev/video2", LocalAddress("/dev/video2")),
        ("labels", FileAddress(Path("labels"))),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert address_of(text, Path) == address


@pytest.mark.parametrize("text", ["", "ftp://10.0.0.5/1"])
def test_an_address_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        address_of(text, Path)
