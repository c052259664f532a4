"""The simulated belt: nothing is lost on it, its diverter obeys pulses and physics only, troubles look like
themselves from outside."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hardware_sims.devices.xray_folder import XrayFolder
from hardware_sims.devices.xray_line_stream import HELLO, STATE, framed
from hardware_sims.xray_belt import (
    DIVERTER,
    FLAG_EYE,
    FLAG_RELAY,
    FORWARD,
    PASS_EYE,
    PASS_RELAY,
    PERMIT,
    PORTAL,
    RECHECK_EYE,
    RUNNING,
    SOURCE,
    STOP,
    STOP_REQUEST,
    BeltParcel,
    BeltSettings,
    Label,
    Rates,
    Trouble,
    TroubleKind,
    XrayBelt,
    feed,
)
from hardware_sims.xray_goods import pack
from hardware_sims.xray_line import XrayLine
from hardware_sims.xray_machine import Rendered, XrayMachine, render
from hardware_sims.xray_physics import DetectorSettings

SMALL = DetectorSettings(pixels=24, pixel_mm=8.0, line_mm=3.0)
SHORT = BeltSettings(xray_eye_mm=900.0, xray_mm=1_200.0, diverter_mm=2_500.0)
GLASS = Rendered(np.full((400, 24), 0.5, np.float32), np.full((400, 24), 0.6, np.float32))


class Log(list[dict[str, Any]]):
    def __call__(self, at_s: float, kind: str, fields: dict[str, Any]) -> None:
        self.append({"t": round(at_s, 3), "kind": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self if line["kind"] == kind]


def parcel(number: int, *troubles: Trouble, length_mm: float = 300.0, gap_mm: float = 300.0) -> BeltParcel:
    return BeltParcel(
        id=f"p{number}",
        length_mm=length_mm,
        gap_mm=gap_mm,
        waybill_no=f"W{number}",
        labels=(Label(text=f"W{number}", behind_mm=length_mm / 2),),
        troubles=troubles,
    )


def running(parcels: Sequence[BeltParcel], settings: BeltSettings = SHORT) -> tuple[XrayBelt, Log]:
    log = Log()
    belt = XrayBelt(settings, parcels, log)
    belt.set_relay(0.0, PERMIT, True)
    return belt, log


def until_over(belt: XrayBelt, step_s: float = 0.1, most_s: float = 400.0) -> None:
    at_s = belt.now_s
    while not belt.is_over:
        at_s += step_s
        assert at_s < most_s
        belt.advance(at_s)


def test_every_parcel_ends_in_one_chute_or_was_taken_away_by_hand() -> None:
    draw = random.Random(5)
    lengths = [round(draw.uniform(120, 550), 1) for _ in range(40)]
    rates = Rates(
        removed=0.08, added=0.08, slip=0.2, split=0.1, missed=0.05, belt_stop=0.05, reversal=0.1, jam=0.03
    )
    parcels = feed(5, lengths, [f"W{n}" for n in range(40)], kind="dense", rates=rates, settings=SHORT)
    belt, log = running(parcels)
    until_over(belt)
    assert sorted(belt.gone) == sorted(each.id for each in parcels)
    gone = [line["parcel"] for line in log.of("chute")] + [line["parcel"] for line in log.of("removed")]
    assert sorted(gone) == sorted(each.id for each in parcels)
    assert {line["chute"] for line in log.of("chute")} == {"recheck"}
    kinds = {trouble.kind for each in parcels for trouble in each.troubles}
    assert kinds >= {TroubleKind.SLIP, TroubleKind.REMOVED, TroubleKind.ADDED, TroubleKind.REVERSAL}


def test_how_a_caller_slices_its_calls_changes_nothing() -> None:
    draw = random.Random(2)
    parcels = feed(2, [300.0] * 12, [f"W{n}" for n in range(12)], rates=Rates(slip=0.5), settings=SHORT)
    (one, log_one), (other, log_other) = running(parcels), running(parcels)
    one.advance(90.0)
    at_s = 0.0
    while at_s < 90.0:
        at_s = min(90.0, at_s + draw.uniform(0.001, 0.7))
        other.advance(at_s)
    assert log_one == log_other
    assert one.belt_mm == other.belt_mm


def test_the_same_seed_gives_the_same_feed_and_rates_are_what_they_say() -> None:
    lengths, names = [300.0] * 4_000, [f"W{n}" for n in range(4_000)]
    parcels = feed(1, lengths, names)
    assert parcels == feed(1, lengths, names)
    assert parcels != feed(2, lengths, names)
    unread = sum(not each.labels for each in parcels)
    assert unread == pytest.approx(0.02 * 4_000, rel=0.35)
    kinds = Counter(trouble.kind for each in parcels for trouble in each.troubles)
    assert kinds[TroubleKind.SLIP] == pytest.approx(0.005 * 4_000, rel=0.6)
    dense = feed(1, lengths, names, kind="dense")
    apart = feed(1, lengths, names, kind="singulated")
    assert np.mean([each.gap_mm for each in dense]) == pytest.approx(180, rel=0.1)
    assert min(each.gap_mm for each in apart) >= 150
    per_hour = 3600 * 300.0 / (300.0 + np.mean([each.gap_mm for each in parcels]))
    assert 1_200 < per_hour < 1_800


def test_the_encoder_counts_the_belt_and_knows_nothing_of_a_parcel_that_slips() -> None:
    slipping = parcel(1, Trouble(kind=TroubleKind.SLIP, at_mm=300.0, mm=180.0))
    still, _ = running([parcel(1)])
    belt, _ = running([slipping])
    for each in (still, belt):
        each.advance(8.0)
    assert belt.count() == still.count() == int(belt.belt_mm * 10)
    lag = still.on_belt[0].leading(still.belt_mm) - belt.on_belt[0].leading(belt.belt_mm)
    assert lag == pytest.approx(180.0, abs=0.1)


def test_the_counter_is_two_registers_and_wraps() -> None:
    belt, _ = running([], replace(SHORT, first_count=0xFFFF_FF00))
    belt.advance(3.0)
    high, low = belt.input_registers()
    assert (high << 16 | low) == belt.count() == (0xFFFF_FF00 + int(belt.belt_mm * 10)) & 0xFFFF_FFFF
    assert high == 0


def test_eyes_are_true_while_nothing_cuts_them() -> None:
    belt, log = running([parcel(1)])
    seen: dict[int, list[float]] = {PORTAL: [], DIVERTER: [], RECHECK_EYE: [], PASS_EYE: []}
    while not belt.is_over:
        belt.advance(belt.now_s + 0.01)
        for number, places in seen.items():
            if not belt.inputs()[number]:
                places.append(belt.belt_mm)
    leading, trailing = (line["belt_mm"] for line in log.of("portal"))
    assert seen[PORTAL][0] == pytest.approx(leading, abs=4)
    assert seen[PORTAL][-1] == pytest.approx(trailing, abs=4)
    assert seen[DIVERTER][0] == pytest.approx(leading + 2_500, abs=4)
    assert seen[RECHECK_EYE][0] == pytest.approx(leading + 3_400, abs=4)
    assert seen[PASS_EYE] == []
    assert [line["text"] for line in log.of("label")] == ["W1"]


@pytest.mark.parametrize(
    ("relays", "for_s", "chute"),
    [
        ((), 2.0, "recheck"),
        ((PASS_RELAY,), 2.0, "pass"),
        ((FLAG_RELAY,), 2.0, "flag"),
        ((PASS_RELAY, FLAG_RELAY), 2.0, "recheck"),
        ((PASS_RELAY,), 0.3, "recheck"),
    ],
)
def test_the_diverter_leads_where_a_pulse_holds_it_and_rests_on_recheck(
    relays: tuple[int, ...], for_s: float, chute: str
) -> None:
    belt, log = running([parcel(1)])
    while belt.inputs()[DIVERTER]:
        belt.advance(belt.now_s + 0.01)
    for relay in relays:
        belt.set_relay(belt.now_s, relay, True, for_s)
    over_s = belt.now_s + for_s
    belt.advance(over_s)
    for relay in relays:
        belt.set_relay(over_s, relay, False)
    until_over(belt)
    assert [line["chute"] for line in log.of("chute")] == [chute]
    pulses = [line for line in log.of("relay") if line["on"] and line["relay"] in ("pass", "flag")]
    assert [line["at_eye"] for line in pulses] == ["p1"] * len(relays)


def test_an_arm_still_on_its_way_leads_to_recheck_and_one_left_open_to_the_next_parcel() -> None:
    belt, log = running([parcel(1), parcel(2)])
    gate = SHORT.diverter_mm + SHORT.gate_mm
    while not any(each.leading(belt.belt_mm) > gate - 40 for each in belt.on_belt):
        belt.advance(belt.now_s + 0.01)
    belt.set_relay(belt.now_s, PASS_RELAY, True)
    until_over(belt)
    assert [(line["parcel"], line["chute"]) for line in log.of("gate")] == [("p1", "recheck"), ("p2", "pass")]
    assert log.of("gate")[0]["arm"] == "between"


def test_without_an_inspection_chute_a_flag_pulse_moves_nothing() -> None:
    belt, _ = running([parcel(1)], replace(SHORT, has_flag_chute=False))
    belt.set_relay(0.0, FLAG_RELAY, True)
    until_over(belt)
    assert belt.gone == {"p1": "recheck"}
    assert belt.inputs()[FLAG_EYE]


def test_no_parcel_comes_without_the_feed_permit_and_all_come_with_it() -> None:
    log = Log()
    belt = XrayBelt(SHORT, [parcel(n) for n in range(3)], log)
    belt.advance(10.0)
    assert belt.parcels_to_come == 3
    belt.set_relay(10.0, PERMIT, True)
    belt.advance(12.0)
    belt.set_relay(12.0, PERMIT, False)
    left = belt.parcels_to_come
    belt.advance(20.0)
    assert belt.parcels_to_come == left > 0
    belt.set_relay(20.0, PERMIT, True)
    until_over(belt)
    assert len(belt.gone) == 3


def test_a_reversal_counts_back_and_a_stop_stands_until_it_is_let_go() -> None:
    belt, log = running([parcel(1, Trouble(kind=TroubleKind.REVERSAL, at_mm=600.0, mm=200.0))])
    highest = lowest_after = 0.0
    while not belt.is_over:
        belt.advance(belt.now_s + 0.05)
        if belt.speed_mm_s < 0:
            assert not belt.inputs()[FORWARD]
            lowest_after = belt.belt_mm
        elif not lowest_after:
            highest = max(highest, belt.belt_mm)
    assert highest - lowest_after > 150
    belt, log = running([parcel(1, Trouble(kind=TroubleKind.EMERGENCY, at_mm=600.0, for_s=3.0))])
    belt.advance(7.0)
    assert not belt.inputs()[STOP]
    assert not belt.inputs()[RUNNING]
    assert not belt.inputs()[SOURCE]
    until_over(belt)
    assert belt.inputs()[STOP]
    assert [line["why"] for line in log.of("stands")] == ["emergency"]


def test_a_stop_that_is_asked_for_is_a_request_the_drives_follow() -> None:
    belt, _ = running([parcel(1)])
    belt.advance(5.0)
    belt.set_relay(5.0, STOP_REQUEST, True)
    belt.advance(7.0)
    assert belt.speed_mm_s == 0.0
    belt.set_relay(7.0, STOP_REQUEST, False)
    until_over(belt)


# --- pictures ---------------------------------------------------------------------------------------------


def photographed(*parcels: BeltParcel, keep: bool = False) -> tuple[XrayMachine, Log]:
    belt, log = running(parcels)
    machine = XrayMachine(belt, lambda name: GLASS, detector=SMALL, keep_pictures=keep)
    until_over(belt)
    return machine, log


def test_a_picture_is_as_long_as_its_parcel_and_says_where_the_belt_was() -> None:
    machine, log = photographed(parcel(1, length_mm=330.0), keep=True)
    (line,) = log.of("picture")
    leading = log.of("portal")[0]["belt_mm"] + SHORT.xray_mm
    assert line["first_mm"] == pytest.approx(leading - 16 * 3.0, abs=3.0)
    (taken,) = machine.pictures
    dark = (taken.high < 0.8 * 60_000).all(axis=1)
    assert dark.sum() * 3.0 == pytest.approx(330.0, abs=6.0)
    assert taken.high[dark].mean() == pytest.approx(0.6 * 60_000, rel=0.02)
    assert taken.low[dark].mean() == pytest.approx(0.5 * 60_000, rel=0.02)


@pytest.mark.parametrize(
    ("gap_mm", "shown"), [(9.0, [["p1", "p2"]]), (30.0, [["p1"], ["p2"]]), (80.0, [["p1"], ["p2"]])]
)
def test_parcels_nearer_than_the_machines_gap_are_one_picture(gap_mm: float, shown: list[list[str]]) -> None:
    _, log = photographed(parcel(1), parcel(2, gap_mm=gap_mm))
    assert [line["parcels"] for line in log.of("picture")] == shown


def test_a_split_parcel_has_two_pictures_and_a_missed_one_none() -> None:
    _, log = photographed(parcel(1, Trouble(kind=TroubleKind.SPLIT, mm=120.0)), parcel(2))
    assert [(line["parcels"], line["status"]) for line in log.of("picture")] == [
        (["p1"], "CUT"),
        (["p1"], "SUCCESSFUL"),
        (["p2"], "SUCCESSFUL"),
    ]
    _, log = photographed(parcel(1, Trouble(kind=TroubleKind.MISSED)), parcel(2))
    assert [line["parcels"] for line in log.of("picture")] == [["p2"]]


def test_a_reversal_in_the_beam_leaves_an_incomplete_picture() -> None:
    _, log = photographed(parcel(1, Trouble(kind=TroubleKind.REVERSAL, at_mm=1_350.0, mm=200.0)))
    assert log.of("picture")[0]["status"] == "INCOMPLETE"
    assert len(log.of("picture")) == 2


def test_a_parcel_is_rendered_once_and_kept_in_a_folder(tmp_path: Path) -> None:
    packed = pack(3, "SKU-WATCH-S", 1)
    first = render(packed, SMALL, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = render(packed, SMALL, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(first.low, again.low)
    assert np.array_equal(first.high, again.high)
    assert np.abs(render(packed, SMALL).high - first.high).max() < 1e-3


# --- bytes ------------------------------------------------------------------------------------------------


def test_frames_are_the_ones_on_the_page() -> None:
    hello = bytes.fromhex(
        "4b584c5301010000290000004000000 02b310421"
        "88776655443322116 0e31600000000008002100010010000200300 00a0860100".replace(" ", "")
        + "53494d2d303031000000000000000000312e3000000000000000000000000000"
        + "0aa4dd47"
    )
    assert framed(HELLO, 0, 41, hello[20:-4]) == hello
    state = bytes.fromhex(
        "4b584c53010300002900000018000000a7afd1778084 1e000000000040e2010007000000"
        "4006bc0200000000 0b17a6b9".replace(" ", "")
    )
    assert framed(STATE, 0, 41, state[20:-4]) == state


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        _, _, kind, flags, number, size = struct.unpack_from("<4sBBHII", data)
        assert struct.unpack_from("<I", data, 16)[0] == zlib.crc32(data[:16])
        assert struct.unpack_from("<I", data, 20 + size)[0] == zlib.crc32(data[20 : 20 + size])
        found.append((kind, flags, number, data[20 : 20 + size]))
        data = data[24 + size :]
    return found


def test_the_stream_numbers_every_frame_and_gives_a_reader_offset_and_gain_first() -> None:
    line = XrayLine("x", [parcel(1)], lambda name: GLASS, belt=SHORT, detector=SMALL, released=True)
    line.belt.set_relay(0.0, PERMIT, True)
    line.connect(0.1, "xray")
    data = b"".join(each.data for each in line.advance(40.0) if each.device == "xray")
    frames = frames_of(data)
    assert frames[0][0] == HELLO
    numbers = [number for kind, _, number, _ in frames[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[0] == frames[0][2]
    kinds = [flags for kind, flags, _, _ in frames if kind == 2]
    dark, empty, body = (kinds.index(flag) for flag in (0x20, 0x18, 0x0B))
    assert dark < empty < body
    assert kinds.count(0x0B) == 1
    assert sum(flags & 4 == 4 for flags in kinds) == 1


@pytest.mark.parametrize("way", ["renamed", "growing", "raw"])
def test_the_folder_gets_its_sidecar_last_and_pictures_with_the_leading_edge_first(
    tmp_path: Path, way: Any
) -> None:
    belt, _ = running([parcel(1, length_mm=240.0)])
    half = Rendered(GLASS.low.copy(), GLASS.high.copy())
    half.high[:10] = 0.2
    machine = XrayMachine(belt, lambda name: half, detector=SMALL, keep_pictures=True)
    folder = XrayFolder(machine, tmp_path, way=way)
    seen: list[set[str]] = []
    while not belt.is_over:
        belt.advance(belt.now_s + 0.05)
        folder.serve(belt.now_s)
        names = {each.name for each in tmp_path.iterdir()}
        if not seen or names != seen[-1]:
            seen.append(names)
    assert "P000001.json" not in set().union(*seen[:-1]) or way == "raw"
    sidecar = json.loads((tmp_path / "P000001.json").read_text())
    assert sidecar["status"] == "SUCCESSFUL"
    assert sidecar["encoder_last"] - sidecar["encoder_first"] == pytest.approx(
        (sidecar["columns"] - 1) * 30, abs=2
    )
    if way == "raw":
        raw = np.frombuffer((tmp_path / "P000001.raw").read_bytes()[20:], "<u2")
        high = raw[: raw.size // 2].astype(np.uint16).reshape(sidecar["columns"], sidecar["rows"]).T
    else:
        high = np.asarray(cv2.imread(str(tmp_path / "P000001_high.png"), cv2.IMREAD_UNCHANGED))
    assert high.shape == (sidecar["rows"], sidecar["columns"])
    assert high.dtype == np.uint16
    assert sidecar["columns"] == pytest.approx(16 + 80 + 16, abs=2)
    assert high[:, 18:24].mean() < 0.25 * 60_000 < high[:, 48:68].mean()


def test_no_block_has_more_lines_than_the_machine_says_and_none_is_lost() -> None:
    for length_mm in (240.0, 243.0, 246.0, 270.0, 285.0):
        belt, _ = running([parcel(1, length_mm=length_mm)])
        machine = XrayMachine(belt, lambda name: GLASS, detector=SMALL)
        until_over(belt)
        blocks = [each for each in machine.blocks if each.picture]
        assert max(len(each.low) for each in blocks) <= 16
        assert sum(len(each.low) for each in blocks) == pytest.approx(length_mm / 3 + 32, abs=1.5)
        assert [each.end for each in blocks] == [False] * (len(blocks) - 1) + [True]
