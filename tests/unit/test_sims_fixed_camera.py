"""The simulated camera on the mast: its JPEG against OpenCV as oracle, its scene, its faults."""

from __future__ import annotations

import socket
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.fixed_camera import (
    COLUMNS,
    GROUND,
    PROVINCES,
    ROWS,
    FixedCamera,
    scene,
    written_plate,
)
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.jpeg import Picture, encode
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.picture_lines import KEPT_FILES, Client, FolderLine, part, rtp_jpeg
from hardware_sims.scenario import (
    LaneSettings,
    Scenario,
    ScenarioRefused,
    random_scenario,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.vehicles import Trailer, Vehicle

TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate="豫A12345", length_m=12.0)


def lane(*vehicles: Vehicle, at_s: float = 0.0) -> LanePhysics:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    for vehicle in vehicles:
        physics.arrive(0.0, vehicle)
    physics.advance(at_s)
    return physics


def decoded(jpeg: bytes) -> Picture:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels[..., ::-1], np.uint8)


def smooth(rows: int, columns: int) -> Picture:
    few = np.random.default_rng(7).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(few, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def tables(jpeg: bytes) -> dict[int, list[bytes]]:
    """Segments before the scan, by marker."""
    found: dict[int, list[bytes]] = {}
    at = 2
    while 0xDA not in found:
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.setdefault(jpeg[at + 1], []).append(jpeg[at + 4 : at + 2 + length])
        at += 2 + length
    return found


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (33, 65), (120, 161), (360, 640)])
@pytest.mark.parametrize("quality", [40, 80, 98])
def test_opencv_decodes_our_jpeg_as_well_as_its_own(rows: int, columns: int, quality: int) -> None:
    picture = smooth(rows, columns)
    ours = decoded(encode(picture, quality=quality))
    theirs = decoded(
        cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    )
    assert ours.shape == picture.shape
    ours_off = np.abs(ours.astype(int) - picture).mean()
    theirs_off = np.abs(theirs.astype(int) - picture).mean()
    assert ours_off < theirs_off * 1.1 + 0.5


def test_long_runs_of_nothing_and_large_values_are_coded_too() -> None:
    noise = np.random.default_rng(3).integers(0, 2, (64, 64, 1), dtype=np.uint8).repeat(3, axis=2) * 255
    grey = decoded(encode(noise, quality=100))
    assert np.abs(grey.astype(int) - noise).mean() < 2.0


@pytest.mark.parametrize("place", [(7, 7), (6, 7), (7, 4), (4, 4)])
def test_one_far_coefficient_alone_is_coded(place: tuple[int, int]) -> None:
    n = np.arange(8)
    down, across = (np.cos((2 * n + 1) * k * np.pi / 16) for k in place)
    wave = np.rint(128 + 100 * np.outer(down, across)).astype(np.uint8)
    picture = np.tile(wave, (4, 4))[..., None].repeat(3, axis=2)
    seen = decoded(encode(picture, quality=50))
    assert np.abs(seen.astype(int) - picture).mean() < 8.0


def test_the_tables_are_the_standards() -> None:
    picture = smooth(32, 32)
    ours = tables(encode(picture, quality=75))
    theirs = tables(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())
    assert b"".join(ours[0xDB]) == b"".join(theirs[0xDB])
    assert sorted(ours[0xC4]) == sorted(theirs[0xC4])
    assert ours[0xC0] == theirs[0xC0]


def test_a_vehicle_is_drawn_where_it_stands_and_moves_on() -> None:
    empty = scene(lane(), 0.0)
    changed = []
    for at_s in (4.0, 7.0, 10.0):
        picture = scene(lane(TRUCK, at_s=at_s), 0.0)
        columns = np.nonzero((picture[GROUND - 60] != empty[GROUND - 60]).any(axis=1))[0]
        changed.append(int(columns.max()))
    assert all(later > earlier + 20 for earlier, later in pairwise(changed))


def test_the_plate_in_the_scene_is_the_vehicles() -> None:
    one, same, other = (
        scene(lane(replace(TRUCK, plate=plate), at_s=12.0), 0.0)
        for plate in ("豫A12345", "豫A12345", "豫A12346")
    )
    assert (one == same).all()
    assert (one != other).any()


def test_a_trailer_is_drawn_behind_a_gap() -> None:
    drawbar = replace(TRUCK, length_m=16.0, trailer=Trailer(gap_m=3.0, length_m=6.0))
    row = GROUND - 20
    empty, seen = scene(lane(), 0.0), scene(lane(drawbar, at_s=14.0), 0.0)
    occupied = (seen[row] != empty[row]).any(axis=1).astype(int)
    assert np.count_nonzero(np.diff(occupied) == 1) == 2


def test_arm_and_light_are_seen() -> None:
    down = lane()
    up = lane()
    up.set_relay(0.0, 0, True)
    up.set_relay(0.0, 2, True)
    up.advance(5.0)
    assert (scene(down, 0.0) != scene(up, 0.0)).any(axis=2).sum() > 300


@pytest.mark.parametrize(
    ("plate", "written"),
    [("豫A12345", "HA A12345"), ("沪AD12345", "SH AD12345"), ("粤Z1234港", "GD Z1234?"), ("", "")],
)
def test_plates_are_written_in_latin_letters(plate: str, written: str) -> None:
    assert written_plate(plate) == written


def test_every_province_has_a_code_of_its_own() -> None:
    assert len(PROVINCES) == 31
    assert len(set(PROVINCES.values())) == 31


def fault(kind: FaultKind, delay_s: float = 0.5) -> Fault:
    return Fault(kind=kind, delay_s=delay_s)


def whole(jpeg: bytes | None) -> bytes:
    assert jpeg is not None
    return jpeg


def test_a_frame_is_a_jpeg_of_this_moment() -> None:
    camera = FixedCamera(lane())
    one, other = whole(camera.frame(1.0)), whole(camera.frame(2.0))
    assert decoded(one).shape == (ROWS, COLUMNS, 3)
    assert one != other


def test_a_cut_frame_is_half_of_one_and_the_stream_ends() -> None:
    camera = FixedCamera(lane())
    one = whole(camera.frame(1.0))
    camera.set_fault(1.0, fault(FaultKind.CUT), True)
    assert whole(camera.frame(1.0)) == one[: len(one) // 2]
    assert camera.hangs_up


def test_a_stuck_camera_says_the_same_again() -> None:
    camera = FixedCamera(lane())
    one = camera.frame(1.0)
    camera.set_fault(1.0, fault(FaultKind.STUCK), True)
    assert camera.frame(9.0) == one
    camera.set_fault(9.0, fault(FaultKind.STUCK), False)
    assert camera.frame(9.0) != one


def test_a_covered_lens_shows_black() -> None:
    camera = FixedCamera(lane())
    camera.set_fault(0.0, fault(FaultKind.BLACK), True)
    assert decoded(whole(camera.frame(1.0))).max() < 8


def test_a_slow_camera_shows_what_was() -> None:
    camera = FixedCamera(lane())
    then = camera.frame(1.0)
    camera.set_fault(1.0, fault(FaultKind.SLOW, 2.0), True)
    assert camera.frame(1.0) is None
    assert camera.frame(2.0) is None
    assert camera.frame(3.0) == then


@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.DEAD])
def test_a_silent_or_dead_camera_gives_nothing(kind: FaultKind) -> None:
    camera = FixedCamera(lane())
    camera.set_fault(0.0, fault(kind), True)
    assert camera.frame(1.0) is None
    assert camera.is_dead is (kind is FaultKind.DEAD)


def test_a_part_of_the_stream_says_how_long_it_is() -> None:
    assert b"Content-Length: 5\r\n\r\nabcde\r\n" in part(b"abcde")


def test_a_folder_keeps_the_latest_few(tmp_path: Path) -> None:
    line, camera = FolderLine(tmp_path / "frames"), FixedCamera(lane())
    for number in range(KEPT_FILES + 5):
        line.serve(float(number), float(number), camera)
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert len(names) == KEPT_FILES
    assert names[-1] == f"{KEPT_FILES + 5:08d}.jpg"


def test_a_scenario_chooses_the_camera_by_name() -> None:
    lanes = (LaneSettings(name="in", fixed_camera="rtsp", fixed_camera_port=8100), LaneSettings(name="out"))
    given = Scenario(lanes=lanes)
    assert scenario_from(tomllib.loads(scenario_to_toml(given))) == given


def test_an_unknown_camera_or_fault_is_refused() -> None:
    with pytest.raises(ScenarioRefused, match=r"lanes\.in\.fixed_camera: expected one of none"):
        scenario_from({"lanes": {"in": {"fixed_camera": "film"}}})
    flipped = [{"lane": "in", "device": "fixed_camera", "kind": "flip", "at_s": 0.0}]
    with pytest.raises(ScenarioRefused, match="for fixed_camera"):
        scenario_from({"lanes": {"in": {}}, "faults": flipped})


def test_no_random_scenario_breaks_a_fixed_camera() -> None:
    devices = {plan.device for seed in range(20) for plan in random_scenario(seed, 2, faults=20).faults}
    assert "fixed_camera" not in devices
    assert len(devices) > 4


def rtp_frame(stream: bytes) -> tuple[bytes, list[bytes]]:
    """(scan put together again, heads of its packets) of one interleaved frame."""
    scan, heads = b"", []
    while stream:
        length = int.from_bytes(stream[2:4], "big")
        packet, stream = stream[4 : 4 + length], stream[4 + length :]
        begin = 20 + (132 if packet[13:16] == b"\0\0\0" else 0)
        assert int.from_bytes(packet[13:16], "big") == len(scan)
        heads.append(packet[:20])
        scan += packet[begin:]
    return scan, heads


def test_an_rtp_frame_carries_the_whole_scan_and_marks_its_end() -> None:
    client = Client(socket.socket())
    jpeg = encode(smooth(ROWS, COLUMNS), quality=90)
    scan, heads = rtp_frame(rtp_jpeg(client, jpeg, 12.5))
    client.connection.close()
    assert jpeg.endswith(scan + b"\xff\xd9")
    assert len(heads) > 5
    assert [head[1] >> 7 for head in heads] == [0] * (len(heads) - 1) + [1]
    assert [int.from_bytes(head[2:4], "big") for head in heads] == list(range(len(heads)))
    assert {head[16:20] for head in heads} == {bytes([1, 255, COLUMNS // 8, ROWS // 8])}


def test_a_cut_frame_has_no_marked_end() -> None:
    client = Client(socket.socket())
    jpeg = encode(smooth(ROWS, COLUMNS), quality=90)
    _, heads = rtp_frame(rtp_jpeg(client, jpeg[: len(jpeg) // 2], 12.5))
    client.connection.close()
    assert heads
    assert all(head[1] == 26 for head in heads)
