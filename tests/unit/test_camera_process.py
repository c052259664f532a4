"""A camera's process beside the lane's: it may crash, hang or go mad, and the lane goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from edge.devices.fixed_camera.camera import CameraNews, Limits
from edge.gate import camera_keeper
from edge.gate.camera_keeper import COMMAND, MOST_ASKED, MOST_FOR_THE_CENTRE, CameraKeeper
from edge.gate.camera_line import Begin, read_up, write
from edge.gate.effects import TakePicture
from edge.gate.pictures_config import PicturesPart
from edge.gate.taking import NotKept
from edge.runtime.supervisor import BackOff

WAIT_S = 100.0
UTC = "2026-11-23T00:00:00.000000Z"
ARRIVAL = TakePicture(1, "arrival", "豫A12345")


def until(found: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def begin_of(folder: Path) -> Begin:
    pixels = np.full((90, 160, 3), 120, np.uint8)
    (folder / "still.jpg").write_bytes(bytes(cv2.imencode(".jpg", pixels)[1].tobytes()))
    return Begin(
        name="mast",
        file=str(folder / "still.jpg"),
        limits=Limits(frame_every_s=0.04),
        settings=PicturesPart(wait_s=0.5, fresh_s=0.5),
        back_off=BackOff(),
        lane_id="in",
        log_level="error",
    )


@contextmanager
def keeping(folder: Path, command: tuple[str, ...] = COMMAND) -> Iterator[CameraKeeper]:
    keeper = CameraKeeper(
        begin_of(folder), monotonic_s=time.monotonic, delay_s=lambda failures: 0.0, command=command
    )
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()
        assert keeper.join(10.0)


def news_of(keeper: CameraKeeper) -> str:
    """What is told next."""
    deadline_s = time.monotonic() + WAIT_S
    while (news := keeper.look()) is None:
        assert time.monotonic() < deadline_s, "no news"
        time.sleep(0.02)
    return news.why


def the_process() -> psutil.Process:
    found = [each for each in psutil.Process().children() if "edge.gate.camera_process" in each.cmdline()]
    (process,) = found
    return process


def is_open(keeper: CameraKeeper) -> bool:
    return keeper.health().age_s is not None


def why_not(keeper: CameraKeeper) -> str:
    with pytest.raises(NotKept) as failed:
        keeper.shoot(ARRIVAL, UTC).picture()
    return str(failed.value)


def test_a_crash_of_the_decoder_is_a_lost_camera_and_it_is_started_again(tmp_path: Path) -> None:
    """S0: what FFmpeg does at the sight of a bad stream is not the lane's end."""
    with keeping(tmp_path) as keeper:
        until(lambda: is_open(keeper), "a frame")
        assert keeper.shoot(ARRIVAL, UTC).picture().startswith(b"\xff\xd8")
        first = the_process()
        first.send_signal(signal.SIGSEGV)
        assert news_of(keeper) == "its process ended: SIGSEGV"
        until(lambda: is_open(keeper), "a frame again")
        until(lambda: keeper.look() == CameraNews(""), "it is well")
        assert keeper.shoot(ARRIVAL, UTC).picture().startswith(b"\xff\xd8")
        assert the_process().pid != first.pid
        last = the_process()
    until(lambda: not last.is_running(), "it ended with the lane")


def test_asking_a_process_that_hangs_holds_nobody_and_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_keeper, "_ANSWER_S", 0.0)
    monkeypatch.setattr(camera_keeper, "FIRST_WORD_S", 1.0)
    hangs = (sys.executable, "-c", "import time; time.sleep(600)")
    with keeping(tmp_path, hangs) as keeper:
        until(lambda: "not running" not in why_not(keeper), "the process")
        began_s = time.monotonic()
        shots = [keeper.shoot(ARRIVAL, UTC) for _ in range(MOST_ASKED * 20)]
        assert time.monotonic() - began_s < 0.5
        with pytest.raises(NotKept, match=f"{MOST_ASKED} pictures are asked"):
            shots[-1].picture()
        with pytest.raises(NotKept, match="did not answer"):
            shots[0].picture()
        time.sleep(1.0)
        until(lambda: keeper.look() == CameraNews("its process ended: SIGKILL"), "it is ended")


def test_what_the_centre_asks_for_leaves_room_for_the_steps_of_a_passage(tmp_path: Path) -> None:
    hangs = (sys.executable, "-c", "import time; time.sleep(600)")
    with keeping(tmp_path, hangs) as keeper:
        until(lambda: "not running" not in why_not(keeper), "the process")
        asked = [keeper.shoot(TakePicture(1, "asked"), UTC) for _ in range(MOST_ASKED)]
        with pytest.raises(NotKept, match=f"{MOST_FOR_THE_CENTRE} pictures are asked"):
            asked[-1].picture()
        steps = [keeper.shoot(ARRIVAL, UTC) for _ in range(MOST_ASKED - MOST_FOR_THE_CENTRE + 1)]
        with pytest.raises(NotKept, match=f"{MOST_ASKED} pictures are asked"):
            steps[-1].picture()
        with pytest.raises(NotKept, match="did not answer"):
            steps[0].picture()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import sys; sys.stdout.buffer.write(bytes(64)); sys.stdout.flush(); sys.stdin.read()",
            "no message",
        ),
        ("import os; os.write(1, bytes([5, 0, 0, 0, 0, 0, 0, 0]) + b'{\"a\"}'); input()", "no message"),
        ("raise SystemExit(3)", "exit 3"),
    ],
    ids=["lengths of nothing", "no JSON", "ends"],
)
def test_a_process_gone_mad_is_said_and_replaced(tmp_path: Path, code: str, why: str) -> None:
    with keeping(tmp_path, (sys.executable, "-c", code)) as keeper:
        assert why in news_of(keeper)
        until(lambda: keeper.health().losses > 1, "another try")


def test_a_process_that_cannot_be_started_is_a_lost_camera(tmp_path: Path) -> None:
    with keeping(tmp_path, (str(tmp_path / "nothing"),)) as keeper:
        until(lambda: keeper.look() is not None, "news")
        assert "cannot be started" in why_not(keeper)


def test_a_process_ends_when_the_line_of_its_lane_closes(tmp_path: Path) -> None:
    """Whatever ended the lane: the system closes its end. SIGTERM, which a service gets in all its processes
    at once, ends it no sooner."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        write(process.stdin, begin_of(tmp_path))
        assert read_up(process.stdout) is not None
        process.send_signal(signal.SIGTERM)
        assert read_up(process.stdout) is not None
        process.stdin.close()
        assert process.wait(WAIT_S) == 0
