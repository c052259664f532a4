"""What stands below an evidence photo, and that nothing above it is touched; a voice note on a PC."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edge.devices.fixed_camera import strips
from edge.handheld.desktop.recording import ProgramMicrophone
from edge.handheld.drawing import caption, jpeg_of, photo_of
from edge.handheld.effects import TakePhoto
from edge.handheld.events import ReadGarbled, Scanned
from edge.handheld.ports import PortFailed, Spot
from edge.handheld.scans import event_of
from edge.handheld.voice import recorded
from edge.reading.scans import NotACode, ScanSeen, Source

UTC = "2026-11-22T08:00:00.120000Z"
WANTED = TakePhoto(7, "SF1234567890123", "4604001", "XD-0412", "Asia/Shanghai")


def noise(rows: int, columns: int = 640) -> Any:
    return np.random.default_rng(5).integers(0, 255, (rows, columns, 3), np.uint8)


def seen(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("rows", [480, 477, 465])
def test_above_the_strip_the_picture_is_what_it_would_be_without(rows: int) -> None:
    """Whatever its height: no block of the JPEG is shared. (A decoder blends colours over the seam.)"""
    frame = noise(rows)
    plain, kept = seen(jpeg_of(frame)), seen(photo_of(frame, WANTED, UTC))
    assert kept.shape[0] > rows
    assert np.array_equal(kept[: rows - 2], plain[: rows - 2])
    assert kept[-40:].max() > 200, "there is writing in the strip"


def test_the_strip_says_when_who_what_and_for_which_order_in_the_sites_time() -> None:
    assert [item.text for item in caption(WANTED, UTC, Spot(34.7, 113.6, 40.0, 5.0))] == [
        "2026-11-22 16:00:00.120 +08:00",
        "关员 4604001",
        "SF1234567890123",
        "指令 XD-0412",
        "34.70000, 113.60000 ±40 m",
    ]
    whole_order = TakePhoto(7, "XD-0412", "4604001", "XD-0412", "Nowhere/Nothing")
    assert [item.text for item in caption(whole_order, UTC)] == [
        "2026-11-22 08:00:00.120 +00:00", "关员 4604001", "指令 XD-0412",
    ]  # fmt: skip


def test_a_picture_to_look_at_has_no_strip_and_a_grey_one_may_have_one() -> None:
    assert seen(photo_of(noise(480), TakePhoto(7, "SF1"), UTC)).shape[0] == 480
    assert seen(photo_of(noise(480)[..., 0], WANTED, UTC)).shape[0] > 480


def test_an_older_opencv_writes_the_latin_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Android's has no Unicode font."""
    written: list[str] = []

    def put_text(drawn: Any, text: str, *rest: Any) -> None:
        written.append(text)

    older = {name: getattr(cv2, name) for name in ("getTextSize", "FONT_HERSHEY_SIMPLEX", "LINE_AA")}
    monkeypatch.setattr(strips, "cv2", lambda: SimpleNamespace(putText=put_text, **older))
    drawn = strips.strip([*caption(WANTED, UTC), strips.Item("画面过暗 dark", warns=True)], 640)
    assert written == [
        "2026-11-22 16:00:00.120 +08:00", "officer 4604001", "SF1234567890123", "order XD-0412", "dark",
    ]  # fmt: skip
    assert drawn.shape[0] < 200


@pytest.mark.parametrize("source", list(Source))
def test_what_the_guard_let_through_is_one_event_whoever_read_it(source: Source) -> None:
    assert event_of(ScanSeen("SF1", "Code128", source, 1.0)) == Scanned("SF1", "Code128", source.value)
    assert event_of(NotACode(source, "x" * 900, 1.0)) == ReadGarbled(source.value, "x" * 200)


# --- voice notes --------------------------------------------------------------------------------------------

STEADY = "while head -c 320 /dev/zero | tr '\\0' '\\1'; do sleep 0.02; done"


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Only the programs of this folder, and those a shell needs."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    return tmp_path


def only(folder: Path) -> Any:
    return lambda name: str(folder / name) if (folder / name).exists() else None


@pytest.mark.parametrize("name", ["arecord", "parecord"])
def test_a_voice_note_is_recorded_by_the_pcs_own_program_until_it_is_ended(on_path: Path, name: str) -> None:
    args = on_path / "args"
    program(on_path, name, f'echo "$@" > {args}\n{STEADY}')
    packets = 0

    def is_over() -> bool:
        nonlocal packets
        packets += 1
        return packets > 5

    with wave.open(io.BytesIO(recorded(ProgramMicrophone(only(on_path)), 30.0, is_over))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        assert file.readframes(2) == b"\1\1\1\1"
        assert file.getnframes() == 5 * 160
    assert "8000" in args.read_text()


def test_it_is_over_when_its_time_is(on_path: Path) -> None:
    program(on_path, "arecord", STEADY)
    with wave.open(io.BytesIO(recorded(ProgramMicrophone(only(on_path)), 0.1, lambda: False))) as file:
        assert 0 < file.getnframes() < 8_000


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "this PC has no parecord or arecord"),
        ("echo device busy >&2; exit 1", "device busy"),
        ("head -c 100 /dev/zero", "the recorder ended"),
        ("exec sleep 60", "no sound came"),
    ],
)
def test_a_pc_that_cannot_record_says_why_and_leaves_no_program_behind(
    on_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, says: str
) -> None:
    monkeypatch.setattr("edge.handheld.desktop.recording.SILENT_S", 0.2)
    if script is not None:
        program(on_path, "arecord", script)
    microphone = ProgramMicrophone(only(on_path))
    with pytest.raises(PortFailed, match=says):
        recorded(microphone, 5.0, lambda: False)
    assert microphone._process is None
