"""Fixed cameras: where frames come from, that the newest is kept, and that loss, darkness and standstill are
said. Sources are real files, folders and streams of this machine."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.devices.fixed_camera.camera import CameraNews, FixedCamera, Frame, Limits
from edge.devices.fixed_camera.source import (
    Address,
    FileAddress,
    LocalAddress,
    SourceLost,
    StreamAddress,
    decode,
    open_source,
)

Pixels = NDArray[np.uint8]
WAIT_S = 20.0
FRAME_S = 0.03


def picture(grey: int = 120, rows: int = 60, columns: int = 80, dot: int = 0) -> Pixels:
    """One that differs by `dot` from its like."""
    pixels = np.full((rows, columns, 3), grey, np.uint8)
    pixels[::8, ::8] = (dot * 37 % 200 + 30, 90, 200)
    return pixels


def jpeg(pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".jpg", pixels)
    assert done
    return data.tobytes()


def put(folder: Path, name: str, data: bytes) -> None:
    """Whole at once, as a rename does it."""
    new = folder / f"{name}.new"
    new.write_bytes(data)
    new.replace(folder / name)


def until(found: Callable[[], Any], what: str, within_s: float = WAIT_S) -> Any:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        answer = found()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


def opened(address: Address) -> Any:
    return open_source(address, open_timeout_s=3.0, read_timeout_s=1.0)


@contextmanager
def camera(address: Address, limits: Limits | None = None) -> Iterator[FixedCamera]:
    made = FixedCamera(
        "front",
        address,
        limits or Limits(frame_every_s=0.02, silent_after_s=0.6, dark_below=0, frozen_after_s=0),
        monotonic_s=time.monotonic,
        delay_s=lambda failures: 0.05,
    )
    made.start()
    try:
        yield made
    finally:
        made.stop()
        assert made.join(8.0)


class Stream:
    """Motion JPEG over HTTP, frame by frame as told."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.calls = 0
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.open = True
        stream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                stream.calls += 1
                stream.asked.append(self.path)
                stream.headers.append(dict(self.headers.items()))
                if "Authorization" not in self.headers and self.path.startswith("/locked"):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
                self.end_headers()
                sent = 0
                while stream.open:
                    if sent < len(stream.frames):
                        data = stream.frames[sent]
                        sent += 1
                        if not data:
                            return
                        head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + b"\r\n")
                    time.sleep(FRAME_S)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.open = False
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def stream() -> Iterator[Stream]:
    made = Stream()
    yield made
    made.close()


# --- what a lane without cameras carries --------------------------------------------------------------------


@pytest.mark.parametrize("library", ["cv2", "numpy"])
def test_nothing_heavy_is_loaded_before_a_camera_opens(library: str) -> None:
    code = f"import sys, edge.gate.pictures, edge.gate.pictures_config; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- addresses ----------------------------------------------------------------------------------------------


def test_a_password_goes_into_the_address_and_nowhere_else() -> None:
    address = StreamAddress("rtsp://10.0.0.20/stream1", "gate", "p@ss/wörd")
    assert address.whole() == "rtsp://gate:p%40ss%2Fw%C3%B6rd@10.0.0.20/stream1"
    assert "wörd" not in f"{address} {address!r}"


def test_a_maker_may_want_the_password_inside() -> None:
    address = StreamAddress("rtsp://10.0.0.20/user=a_password={password}_channel=1", "", "s&t")
    assert address.whole() == "rtsp://10.0.0.20/user=a_password=s%26t_channel=1"
    assert str(address) == "rtsp://10.0.0.20"


def test_what_cannot_be_opened_says_so_without_its_password() -> None:
    for url in ("http://127.0.0.1:9/stream", "rtsp://127.0.0.1:9/stream"):
        with pytest.raises(SourceLost) as lost:
            opened(StreamAddress(url, "gate", "secret"))
        assert "127.0.0.1:9" in str(lost.value)
        assert "secret" not in str(lost.value)


@pytest.mark.parametrize("device", ["/dev/video-not-there", "93"])
def test_a_local_camera_that_is_not_there_is_lost(device: str) -> None:
    with pytest.raises(SourceLost, match=device):
        opened(LocalAddress(device))


def test_a_file_that_is_no_video_is_lost(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film" * 1000)
    with pytest.raises(SourceLost):
        opened(FileAddress(tmp_path / "film.mp4"))
    with pytest.raises(SourceLost, match="no such file"):
        opened(FileAddress(tmp_path / "nothing"))


# --- decoding -----------------------------------------------------------------------------------------------


def test_a_whole_picture_is_decoded() -> None:
    whole = decode(jpeg(picture(rows=48, columns=64)))
    assert whole is not None
    assert whole.shape == (48, 64, 3)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_cut_picture_is_none(kind: str, share: float) -> None:
    data = cv2.imencode(kind, np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))[
        1
    ].tobytes()
    assert decode(data) is not None
    assert decode(data[: int(len(data) * share)]) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xd9", b"GIF89a", b"\xff\xd8\xff" + b"x" * 500 + b"\xff\xd9"]
)
def test_what_is_no_picture_is_none(data: bytes) -> None:
    assert decode(data) is None


def test_a_thousand_spoilt_pictures_raise_nothing() -> None:
    draw, whole = np.random.default_rng(5), bytearray(jpeg(picture()))
    for _ in range(1000):
        spoilt = bytearray(whole)
        for place in draw.integers(0, len(spoilt), 4):
            spoilt[place] = int(draw.integers(256))
        found = decode(bytes(spoilt))
        assert found is None or found.ndim == 3


# --- folders and files --------------------------------------------------------------------------------------


def test_the_newest_picture_of_a_folder_counts(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", jpeg(picture(40)))
    put(tmp_path, "2.jpg", jpeg(picture(200)))
    source = opened(FileAddress(tmp_path))
    assert source.advance()
    assert source.frame().mean() > 150
    assert not source.advance()
    put(tmp_path, "3.jpg", jpeg(picture(40)))
    assert source.advance()
    assert source.frame().mean() < 90


def test_a_picture_that_is_still_being_written_waits(tmp_path: Path) -> None:
    data = jpeg(picture())
    source = opened(FileAddress(tmp_path))
    (tmp_path / "1.jpg").write_bytes(data[:300])
    assert not source.advance()
    (tmp_path / "1.jpg").write_bytes(data)
    assert source.advance()


def test_a_folder_that_went_away_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    source = opened(FileAddress(folder))
    folder.rmdir()
    with pytest.raises(SourceLost):
        source.advance()


def test_an_old_picture_in_a_folder_is_known_to_be_old(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", jpeg(picture()))
    then = time.time() - 90
    os.utime(tmp_path / "1.jpg", (then, then))
    with camera(FileAddress(tmp_path)) as front:
        frame = until(front.newest, "a frame")
        assert 80 < time.monotonic() - frame.seen_s < 110


def test_a_video_is_played_again_and_again(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (80, 60))
    for number in range(5):
        writer.write(picture(dot=number))
    writer.release()
    source = opened(FileAddress(film))
    assert source.pause_s == pytest.approx(0.02)
    assert not source.live
    for _ in range(12):
        assert source.advance()
        assert source.frame().shape == (60, 80, 3)
    source.close()


def test_a_still_picture_always_counts_as_new(tmp_path: Path) -> None:
    put(tmp_path, "still.png", cv2.imencode(".png", picture())[1].tobytes())
    with camera(FileAddress(tmp_path / "still.png"), Limits(frame_every_s=0.02, frozen_after_s=0.1)) as front:
        first: Frame = until(front.newest, "a frame")
        later = front.fresher(first.seen_s + 0.5, WAIT_S)
        assert later is not None
        assert later.seen_s >= first.seen_s + 0.5
        assert later.fault == ""


# --- streams ------------------------------------------------------------------------------------------------


def test_the_newest_frame_of_a_stream_is_kept(stream: Stream) -> None:
    stream.frames = [jpeg(picture(40)), jpeg(picture(120)), jpeg(picture(120)), jpeg(picture(220))]
    with camera(StreamAddress(f"{stream.url}/stream")) as front:
        until(lambda: (f := front.newest()) is not None and f.pixels.mean() > 170, "the last frame")
        assert front.health().state == "open"


def test_a_stream_is_asked_with_user_and_password(stream: Stream) -> None:
    stream.frames = [jpeg(picture())] * 9
    with camera(StreamAddress(f"{stream.url}/locked", "gate", "pass:word")) as front:
        until(front.newest, "a frame")
    assert stream.headers[-1]["Authorization"] == "Basic Z2F0ZTpwYXNzOndvcmQ="


def test_a_cut_frame_of_a_stream_is_no_frame(stream: Stream) -> None:
    whole = jpeg(picture(200, rows=240, columns=320))
    stream.frames = [*[whole] * 4, *[whole[: len(whole) // share] for share in (2, 3, 4, 5)]]
    with camera(StreamAddress(f"{stream.url}/stream")) as front:
        until(lambda: front.health().spoilt >= 2, "two spoilt frames")
        frame = front.newest()
        assert frame is not None
        assert frame.number == front.health().frames <= 4
        assert frame.pixels.shape == (240, 320, 3)


def test_a_stream_that_ends_is_opened_again(stream: Stream) -> None:
    stream.frames = [*[jpeg(picture(dot=number)) for number in range(4)], b""]
    with camera(StreamAddress(f"{stream.url}/stream")) as front:
        until(lambda: stream.calls >= 3, "three calls")
        assert front.health().losses >= 2


def test_a_stream_that_says_nothing_is_given_up_and_asked_again(stream: Stream) -> None:
    stream.frames = [jpeg(picture(dot=number)) for number in range(3)]
    with camera(StreamAddress(f"{stream.url}/stream")) as front:
        until(lambda: stream.calls >= 2, "a second call")
        assert front.health().losses >= 1


def test_failures_in_a_row_are_counted_for_the_pause() -> None:
    asked: list[int] = []

    def delay_s(failures: int) -> float:
        asked.append(failures)
        return 0.01

    front = FixedCamera(
        "front",
        StreamAddress("http://127.0.0.1:9/none"),
        Limits(),
        monotonic_s=time.monotonic,
        delay_s=delay_s,
    )
    front.start()
    until(lambda: len(asked) >= 4, "four tries")
    front.stop()
    assert front.join(8.0)
    assert asked[:4] == [1, 2, 3, 4]


# --- what is said -------------------------------------------------------------------------------------------


def test_silence_is_said_once_and_its_end_once(tmp_path: Path) -> None:
    with camera(FileAddress(tmp_path)) as front:
        said: list[CameraNews] = []

        def listen() -> bool:
            news = front.look()
            if news is not None:
                said.append(news)
            return bool(said)

        until(listen, "silence")
        assert said[0].why.startswith("no picture for")
        said.clear()
        assert not any(listen() for _ in range(20))
        for number in range(100):
            put(tmp_path, f"{number:03d}.jpg", jpeg(picture(dot=number)))
            if listen():
                break
            time.sleep(0.05)
        assert said == [CameraNews("")]


def test_a_camera_that_was_never_heard_says_why(tmp_path: Path) -> None:
    with camera(FileAddress(tmp_path / "nowhere")) as front:
        news = until(front.look, "silence")
        assert "no such file or folder" in news.why


def test_a_frozen_picture_is_known(stream: Stream) -> None:
    stream.frames = [jpeg(picture())] * 400
    limits = Limits(frame_every_s=0.02, silent_after_s=5.0, frozen_after_s=0.1, dark_below=0)
    with camera(StreamAddress(f"{stream.url}/stream"), limits) as front:
        frame = until(lambda: (f := front.newest()) and f.fault == "frozen" and f, "a frozen frame")
        assert frame.fault_s >= 0.1
        assert "the same picture" in until(front.look, "news").why


def test_changing_pictures_are_not_frozen(stream: Stream) -> None:
    stream.frames = [jpeg(picture(dot=number)) for number in range(300)]
    limits = Limits(frame_every_s=0.001, silent_after_s=5.0, frozen_after_s=0.4, dark_below=0)
    with camera(StreamAddress(f"{stream.url}/stream"), limits) as front:
        first = until(front.newest, "a frame")
        last = until(lambda: (f := front.newest()) and f.number > 30 and f, "more frames")
        assert (first.fault, last.fault) == ("", "")


@pytest.mark.parametrize(("grey", "fault"), [(0, "dark"), (15, "dark"), (60, "")])
def test_a_covered_lens_is_known_in_spite_of_the_cameras_own_clock(
    tmp_path: Path, grey: int, fault: str
) -> None:
    pixels = np.full((240, 320, 3), grey, np.uint8)
    cv2.putText(pixels, "12:00:00", (200, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    put(tmp_path, "1.jpg", jpeg(pixels))
    limits = Limits(frame_every_s=0.02, silent_after_s=60.0, dark_below=24)
    with camera(FileAddress(tmp_path), limits) as front:
        assert until(front.newest, "a frame").fault == fault


def test_a_waiting_caller_gets_the_next_frame_or_the_old_one_in_time(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", jpeg(picture(dot=1)))
    with camera(FileAddress(tmp_path)) as front:
        first: Frame = until(front.newest, "a frame")
        began_s = time.monotonic()
        assert front.fresher(began_s + 60.0, 0.2) is first
        assert 0.15 < time.monotonic() - began_s < 5.0
        threading.Timer(0.1, put, (tmp_path, "2.jpg", jpeg(picture(dot=2)))).start()
        second = front.fresher(first.seen_s + 0.001, WAIT_S)
        assert second is not None
        assert second.number == 2
