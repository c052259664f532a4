"""X-ray line stream: whatever the line does, only whole and right lines become a picture; nothing is sent."""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.devices.catalogue import make_driver
from edge.devices.driver import Driver
from edge.devices.readings import (
    DeviceFault,
    Order,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.devices.xray_line_stream import wire

PAGE = Path(__file__).parents[2] / "docs" / "devices" / "xray_line_stream.md"
OBJECT, BEGIN, END, ON, EMPTY, DARK, CORRECTED = 1, 2, 4, 8, 16, 32, 64
PIXELS = 32
COUNTS_A_LINE = 8


def framed(kind: int, flags: int, number: int, body: bytes) -> bytes:
    head = b"KXLS" + struct.pack("<BBHII", 1, kind, flags, number % 2**32, len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body + struct.pack("<I", zlib.crc32(body))


class Machine:
    """Bytes of a machine, from the page alone. Every detector pixel has its own offset and gain."""

    def __init__(self, seed: int = 1, start: int = 0xABCD, count: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.start = start
        self.number = 0
        self.count = count
        self.picture = 0
        self.offset = self.random.uniform(200, 600, (2, PIXELS))
        self.air = self.random.uniform(35000, 50000, (2, PIXELS))

    def hello(self) -> bytes:
        body = struct.pack(
            "<QQHHBBHII16s16s", self.start, 0, PIXELS, 16, 16, 1, 0, 800, 100_000, b"M-1", b"2.0"
        )
        return framed(1, 0, self.number, body)

    def state(self, states: int = 7, fault: int = 0) -> bytes:
        body = struct.pack("<QIHHHHI", 0, self.count % 2**32, states, fault, 1600, 700, 0)
        return self._next(3, 0, body)

    def lines(
        self,
        through: NDArray[Any],
        flags: int,
        *,
        picture: int = 0,
        status: int = 0,
        step: int = COUNTS_A_LINE,
    ) -> bytes:
        """`through`: share of the radiation that arrives, (2, lines, pixels)."""
        values = self.offset[:, None, :] + through * self.air[:, None, :]
        values = values + self.random.normal(0, 20, values.shape)
        raw = np.clip(np.rint(values), 0, 65535).astype("<u2")
        lines = raw.shape[1]
        first = self.count
        self.count += step * lines
        last = self.count - step
        body = struct.pack(
            "<QQIIIHHB3s",
            0, 3200 * (lines - 1), first % 2**32, last % 2**32, picture, lines, PIXELS, status, b"",
        )  # fmt: skip
        return self._next(2, flags, body + raw[0].tobytes() + raw[1].tobytes())

    def empty(self, frames: int = 4, share: float = 1.0) -> bytes:
        return b"".join(self.lines(np.full((2, 16, PIXELS), share), ON | EMPTY) for _ in range(frames))

    def dark(self, frames: int = 4) -> bytes:
        return b"".join(self.lines(np.zeros((2, 16, PIXELS)), DARK) for _ in range(frames))

    def picture_frames(self, through: NDArray[Any], status: int = 0, *, first: int = 99) -> list[bytes]:
        """`first`: only so many frames of it."""
        self.picture += 1
        blocks = [through[:, at : at + 16] for at in range(0, through.shape[1], 16)]
        return [
            self.lines(
                block,
                OBJECT | ON | (BEGIN if at == 0 else 0) | (END if at == len(blocks) - 1 else 0),
                picture=self.picture,
                status=status if at == len(blocks) - 1 else 0,
            )
            for at, block in enumerate(blocks[:first])
        ]

    def whole_picture(self, through: NDArray[Any] | None = None, status: int = 0) -> bytes:
        return b"".join(self.picture_frames(parcel() if through is None else through, status))

    def _next(self, kind: int, flags: int, body: bytes) -> bytes:
        self.number += 1
        return framed(kind, flags, self.number - 1, body)


def parcel(lines: int = 64) -> NDArray[Any]:
    """A block of 60 % in low and 75 % in high energy, off the middle both ways."""
    through = np.ones((2, lines, PIXELS))
    through[0, 12 : lines - 20, 5:20] = 0.6
    through[1, 12 : lines - 20, 5:20] = 0.75
    return through


def driver(**settings: object) -> Driver:
    made = make_driver("xray.line_stream", settings)
    made.opened(0.0)
    return made


def told(made: Driver, *data: bytes, at_s: float = 0.0) -> list[Reading]:
    out: list[Reading] = []
    for some in data:
        output = made.received(at_s, some)
        assert output.send == b""
        out += output.readings
    return out


def pictures(readings: list[Reading]) -> list[XrayPictureSeen]:
    return [reading for reading in readings if isinstance(reading, XrayPictureSeen)]


def faults(readings: list[Reading]) -> list[str]:
    return [reading.code for reading in readings if isinstance(reading, DeviceFault)]


def started(machine: Machine, **settings: object) -> Driver:
    made = driver(**settings)
    assert told(made, machine.hello(), machine.dark(), machine.empty()) == []
    return made


# --- frames -------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_are_frames() -> None:
    examples = re.findall(r"\n\n((?:    [0-9a-f ]{8,}.*\n)+)", PAGE.read_text(encoding="utf-8"))
    data = [
        bytes.fromhex("".join(re.match(r" +((?:[0-9a-f]{2} ?)+)", line)[1] for line in text.splitlines()))  # type: ignore[index]
        for text in examples
    ]
    (found,) = zip(*(wire.Decoder().feed(each) for each in data), strict=True)
    whole = [m for m in found if not isinstance(m, ReadGarbled | ReadTruncated)]
    assert [(type(m).__name__, m.number) for m in whole] == [
        ("Hello", 41), ("State", 41), ("Lines", 42), ("Lines", 43), ("Lines", 44),
    ]  # fmt: skip


def test_what_the_codec_writes_is_what_the_page_says() -> None:
    machine = Machine()
    for data in (machine.hello(), machine.state(), machine.lines(parcel(16), OBJECT | BEGIN | ON, picture=3)):
        (message,) = wire.Decoder().feed(data)
        assert not isinstance(message, ReadGarbled | ReadTruncated)
        assert wire.encode(message) == data


STREAM_MACHINE = Machine()
STREAM = b"".join(
    (
        STREAM_MACHINE.hello(), STREAM_MACHINE.state(), b"\0noise KXLS", STREAM_MACHINE.empty(2),
        STREAM_MACHINE.lines(parcel(16), OBJECT | BEGIN | ON, picture=1)[:-700], STREAM_MACHINE.state(),
        b"KXL", STREAM_MACHINE.state(), STREAM_MACHINE.whole_picture(),
    )
)  # fmt: skip
WHOLE = wire.Decoder().feed(STREAM)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_slicing_of_a_spoilt_stream_gives_the_same_messages(cuts: list[int]) -> None:
    decoder = wire.Decoder()
    out: list[object] = []
    at = 0
    for cut in [*sorted(cuts), len(STREAM)]:
        out += decoder.feed(STREAM[at:cut])
        at = cut
    assert out == WHOLE
    assert decoder.quiet() == []


def test_bytes_lost_within_a_frame_take_no_other_frame_with_them() -> None:
    numbers = [m.number for m in WHOLE if not isinstance(m, ReadGarbled | ReadTruncated)]
    # the machine's frame 3 lost 700 bytes
    assert numbers == [0, 0, 1, 2, 4, 5, 6, 7, 8, 9]
    garbled = [m.why for m in WHOLE if isinstance(m, ReadGarbled)]
    assert garbled == [
        "no frame starts here; 11 bytes set aside",
        f"frame 3: the check of its body is wrong; {20 + 36 + 2 * 2 * 16 * PIXELS + 4 - 700} bytes set aside",
        "no frame starts here; 3 bytes set aside",
    ]


@given(at=st.integers(0, 2**31), bit=st.integers(0, 7))
def test_a_byte_changed_on_the_way_never_becomes_lines(at: int, bit: int) -> None:
    machine = Machine()
    frames = [machine.lines(parcel(16), OBJECT | ON, picture=1) for _ in range(3)]
    spoilt = bytearray(frames[1])
    spoilt[at % len(spoilt)] ^= 1 << bit
    decoder = wire.Decoder()
    found = decoder.feed(frames[0] + bytes(spoilt) + frames[2]) + decoder.quiet()
    whole = [m for m in found if not isinstance(m, ReadGarbled | ReadTruncated)]
    assert [wire.encode(m) for m in whole] == [frames[0], frames[2]]
    assert len(found) == 3


@given(start=st.integers(0, 2**31), length=st.integers(1, 3000))
def test_bytes_lost_anywhere_cost_only_the_frames_they_belonged_to(start: int, length: int) -> None:
    machine = Machine()
    frames = [machine.state() if n % 3 else machine.lines(parcel(16), ON | EMPTY) for n in range(7)]
    data = b"".join(frames)
    start %= len(data)
    end = min(len(data), start + length)
    edges = [sum(len(f) for f in frames[:n]) for n in range(8)]
    kept = [f for n, f in enumerate(frames) if edges[n + 1] <= start or edges[n] >= end]
    decoder = wire.Decoder()
    found = decoder.feed(data[:start] + data[end:]) + decoder.quiet()
    assert [wire.encode(m) for m in found if not isinstance(m, ReadGarbled | ReadTruncated)] == kept


@given(data=st.binary(max_size=400), cut=st.integers(0, 400))
def test_random_bytes_never_raise_and_are_held_within_bounds(data: bytes, cut: int) -> None:
    made = driver()
    for some in (data[:cut], Machine().hello(), data[cut:], b"KXLS" + data):
        assert made.received(0.0, some).send == b""
    assert pictures(list(made.due(10.0).readings)) == []


def test_headers_nested_by_malice_cost_little() -> None:
    """G11: each claims a megabyte whose check is wrong; believed one by one they would cost a minute."""
    head = b"KXLS" + struct.pack("<BBHII", 1, 2, ON | EMPTY, 1, 36 + 4 * 64 * 4096)
    head += struct.pack("<I", zlib.crc32(head))
    decoder = wire.Decoder()
    before_s = time.process_time()
    for _ in range(60):
        decoder.feed(head * 3276)
    decoder.feed(Machine().state())
    decoder.quiet()
    assert time.process_time() - before_s < 3.0


def test_noise_is_held_within_bounds_and_told_on_the_way() -> None:
    decoder = wire.Decoder()
    out = [m for _ in range(40) for m in decoder.feed(bytes(65536))]
    assert [m.why for m in out if isinstance(m, ReadGarbled)] == [
        f"no frame starts here; {wire.NOISE_BYTES} bytes set aside"
    ] * 2


# --- pictures -----------------------------------------------------------------------------------------------


def test_a_picture_is_corrected_so_that_air_is_one_value_and_goods_keep_their_share() -> None:
    machine = Machine()
    made = started(machine)
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert seen.low.shape == seen.high.shape == (PIXELS, 64)
    assert (seen.status, seen.calibration, seen.lost_frames) == ("SUCCESSFUL", "good", 0)
    for values, share in ((seen.low, 0.6), (seen.high, 0.75)):
        inside = values[5:20, 12:44] / seen.air_low
        outside = np.delete(values, range(5, 20), axis=0) / seen.air_low
        assert abs(inside.mean() - share) < 0.002
        assert np.abs(inside - share).max() < 0.01
        assert np.abs(outside - 1).max() < 0.01
    assert (seen.serial, seen.mm_per_pixel, seen.mm_per_count) == ("M-1", 0.8, 0.1)


def test_columns_lie_along_the_belt_with_the_leading_edge_first_and_know_their_counts() -> None:
    # 64 dark and 64 empty lines later the counter wraps within the picture
    machine = Machine(count=2**32 - 128 * COUNTS_A_LINE - 200)
    made = started(machine)
    before = machine.count
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert seen.mm_per_column == pytest.approx(0.8)
    assert np.diff(seen.counts).tolist() == [COUNTS_A_LINE] * 63
    assert int(seen.counts[0]) % 2**32 == before % 2**32
    state = next(r for r in told(made, machine.state()) if isinstance(r, XrayStateSeen))
    assert state.count == int(seen.counts[-1]) + COUNTS_A_LINE
    with pytest.raises(ValueError, match="read-only"):
        seen.low[0, 0] = 1


def test_pictures_of_one_machine_have_names_that_never_come_again() -> None:
    first, second = Machine(start=1), Machine(start=2)
    made = started(first)
    names = [p.picture for p in pictures(told(made, first.whole_picture(), first.whole_picture()))]
    made.opened(1.0)
    told(made, second.hello(), second.empty())
    names += [p.picture for p in pictures(told(made, second.whole_picture()))]
    assert names == [f"{1:016x}-1", f"{1:016x}-2", f"{2:016x}-1"]


@pytest.mark.parametrize(
    ("missing", "statuses"),
    [((1,), ["INCOMPLETE"]), ((1, 2), ["INCOMPLETE"]), ((0,), ["CUT"]), ((3,), ["CUT"])],
)
def test_a_picture_with_a_lost_frame_is_told_and_is_never_whole(
    missing: tuple[int, ...], statuses: list[str]
) -> None:
    machine = Machine()
    made = started(machine)
    frames = [f for n, f in enumerate(machine.picture_frames(parcel())) if n not in missing]
    readings = told(made, *frames, machine.empty(1), machine.whole_picture())
    seen = pictures(readings)
    assert [p.status for p in seen] == [*statuses, "SUCCESSFUL"]
    assert seen[0].lost_frames == len(missing) * (0 not in missing)
    assert "frames_lost" in faults(readings)


def test_end_and_next_begin_lost_together_are_two_pictures_and_neither_is_whole() -> None:
    machine = Machine()
    made = started(machine)
    first, second = machine.picture_frames(parcel()), machine.picture_frames(parcel())
    seen = pictures(told(made, *first[:-1], *second[1:]))
    assert [p.status for p in seen] == ["CUT", "CUT"]


def test_a_frame_spoilt_on_the_way_is_a_lost_one() -> None:
    machine = Machine()
    made = started(machine)
    frames = machine.picture_frames(parcel())
    frames[2] = frames[2][:100] + bytes([frames[2][100] ^ 4]) + frames[2][101:]
    readings = told(made, *frames)
    assert [(p.status, p.lost_frames) for p in pictures(readings)] == [("INCOMPLETE", 1)]
    assert len([r for r in readings if isinstance(r, ReadGarbled)]) == 1


def test_a_connection_lost_in_the_middle_leaves_no_whole_picture() -> None:
    machine = Machine()
    made = started(machine)
    frames = machine.picture_frames(parcel())
    out = told(made, *frames[:2])
    made.opened(1.0)
    out += told(made, machine_at(machine, 1), *frames[3:], machine.empty())
    assert [(p.status, p.lost_frames) for p in pictures(out)] == [("INCOMPLETE", 1)]


def machine_at(machine: Machine, frames_to_come: int) -> bytes:
    """The hello it says `frames_to_come` frames before where it is now."""
    now, machine.number = machine.number, machine.number - frames_to_come
    hello = machine.hello()
    machine.number = now
    return hello


def test_a_machine_that_restarted_in_the_middle_leaves_a_cut_picture() -> None:
    machine, again = Machine(start=1), Machine(start=2)
    made = started(machine)
    out = told(made, *machine.picture_frames(parcel())[:2])
    made.opened(1.0)
    out += told(made, again.hello(), again.whole_picture())
    assert [(p.picture, p.status, p.calibration) for p in pictures(out)] == [
        (f"{1:016x}-1", "CUT", "good"),
        (f"{2:016x}-1", "SUCCESSFUL", "none"),
    ]


def test_a_belt_that_ran_back_leaves_no_picture_but_a_report() -> None:
    machine = Machine()
    made = started(machine)
    frames = machine.picture_frames(parcel(), first=2)
    machine.count -= 300
    frames.append(machine.lines(parcel(16), OBJECT | ON | END, picture=1, status=4))
    (failed,) = told(made, *frames)
    assert isinstance(failed, XrayPictureFailed)
    assert failed.code == "reversed"


def test_a_belt_seen_running_back_by_a_state_leaves_no_picture() -> None:
    machine = Machine()
    made = started(machine)
    frames = machine.picture_frames(parcel(), first=3)
    machine.count -= 300
    frames.append(machine.state())
    machine.count += 300
    frames.append(machine.lines(parcel(16), OBJECT | ON | END, picture=1, status=4))
    readings = told(made, *frames)
    assert [r.code for r in readings if isinstance(r, XrayPictureFailed)] == ["reversed"]
    assert pictures(readings) == []


def test_a_belt_that_settles_is_not_running_back() -> None:
    machine = Machine()
    made = started(machine)
    frames = machine.picture_frames(parcel(), first=3)
    machine.count -= COUNTS_A_LINE + 5
    frames.append(machine.lines(parcel(16), OBJECT | ON | END, picture=1))
    (seen,) = pictures(told(made, *frames))
    assert (np.diff(seen.counts) >= 0).all()


@pytest.mark.parametrize(("status", "word"), list(enumerate(wire.STATUSES)))
def test_what_the_machine_says_of_its_picture_is_told(status: int, word: str) -> None:
    machine = Machine()
    (seen,) = pictures(told(started(machine), machine.whole_picture(status=status)))
    assert seen.status == word


def test_too_short_a_picture_is_none_and_too_long_a_one_ends_as_oversize() -> None:
    machine = Machine()
    made = started(machine, least_lines=32, most_lines=96)
    readings = told(made, machine.whole_picture(parcel(16)), machine.whole_picture(parcel(160)))
    assert [r.code for r in readings if isinstance(r, XrayPictureFailed)] == ["too_short"]
    assert [(p.status, p.low.shape[1]) for p in pictures(readings)] == [("OVERSIZE", 96)]


def test_lines_before_a_hello_or_of_another_size_become_nothing() -> None:
    machine = Machine()
    made = driver()
    before = told(made, machine.whole_picture())
    assert [type(r) for r in before] == [ReadGarbled] * 4
    told(made, machine.hello())
    assert [type(r) for r in told(made, machine.hello())] == [ReadGarbled]
    other = struct.pack("<QQIIIHHB3s", 0, 0, 0, 0, 0, 1, 4, 0, b"") + bytes(16)
    (refused,) = told(made, framed(2, ON | EMPTY, machine.number, other))
    assert isinstance(refused, ReadGarbled)
    assert "the hello said" in refused.why


def test_a_machine_that_corrects_is_believed() -> None:
    machine = Machine()
    made = started(machine)
    machine.air[:] = 60000
    machine.offset[:] = 0
    frame = machine.lines(parcel(16), OBJECT | BEGIN | END | ON | CORRECTED, picture=1)
    (seen,) = pictures(told(made, frame))
    assert (seen.calibration, seen.gain_age_s) == ("good", None)
    assert abs(float(seen.low[25:].mean()) - 60000) < 50


# --- gain ---------------------------------------------------------------------------------------------------


def calibration(made: Driver, machine: Machine, at_s: float = 0.0) -> str:
    (seen,) = pictures(told(made, machine.whole_picture(), at_s=at_s))
    return seen.calibration


def test_without_a_gain_and_with_an_old_one_a_picture_says_so() -> None:
    machine = Machine()
    made = driver()
    told(made, machine.hello(), machine.dark())
    assert calibration(made, machine) == "none"
    told(made, machine.empty(), at_s=10.0)
    assert calibration(made, machine, at_s=900.0) == "good"
    assert calibration(made, machine, at_s=911.0) == "old"


def test_without_an_offset_no_picture_is_good_enough_to_pass_by() -> None:
    """Seen with a program that was killed: thick steps of the wedge looked thinner than they are."""
    machine = Machine()
    made = driver()
    told(made, machine.hello(), machine.empty())
    assert calibration(made, machine) == "none"
    told(made, machine.dark(), machine.empty())
    assert calibration(made, machine) == "good"


def test_a_drifting_tube_is_followed() -> None:
    machine = Machine()
    made = started(machine)
    for _ in range(6):
        machine.air *= 0.93
        assert told(made, machine.empty()) == []
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert abs(float(seen.low[25:].mean()) / seen.air_low - 1) < 0.002


def test_a_thing_on_the_empty_belt_is_not_taken_into_the_gain() -> None:
    machine = Machine()
    made = started(machine)
    lying = np.ones((2, 16, PIXELS))
    lying[:, :, 8:14] = 0.8
    readings = told(made, *(machine.lines(lying, ON | EMPTY) for _ in range(8)))
    assert faults(readings) == ["gain_refused"]
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert abs(float(seen.low[25:].mean()) / seen.air_low - 1) < 0.002
    assert np.abs(seen.low[8:14, :8] / seen.air_low - 1).max() < 0.01
    told(made, machine.empty())
    assert faults(told(made, *(machine.lines(lying, ON | EMPTY) for _ in range(4)))) == ["gain_refused"]


def test_a_sudden_change_of_the_tube_is_refused_unless_the_source_rested() -> None:
    machine = Machine()
    made = started(machine)
    machine.air *= 0.7
    assert faults(told(made, machine.empty(), at_s=5.0)) == ["gain_refused"]
    told(made, machine.state(states=0), at_s=10.0)
    assert faults(told(made, machine.empty(), at_s=20.0)) == []
    assert (
        calibration(made, machine, at_s=21.0) == "good"
    )  # the refused one is still the old, ten seconds off
    told(made, machine.state(states=0), at_s=30.0)
    told(made, machine.state(states=1), at_s=100.0)
    assert calibration(made, machine, at_s=101.0) == "old"
    told(made, machine.empty(), at_s=102.0)
    (seen,) = pictures(told(made, machine.whole_picture(), at_s=103.0))
    assert seen.calibration == "good"
    assert abs(float(seen.low[25:].mean()) / seen.air_low - 1) < 0.002


def test_something_that_moved_through_empty_lines_is_refused() -> None:
    machine = Machine()
    made = started(machine)
    passing = [np.full((2, 16, PIXELS), share) for share in (1.0, 1.0, 0.8, 0.8)]
    for lines in passing:
        lines[:, :, :20] = lines[:, :, :1]
        lines[:, :, 20:] = 1.0
    assert faults(told(made, *(machine.lines(lines, ON | EMPTY) for lines in passing))) == ["gain_refused"]


def test_an_offset_that_comes_behind_the_gain_counts_for_it_as_well() -> None:
    machine = Machine()
    made = driver()
    told(made, machine.hello(), machine.empty(), machine.dark())
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert abs(float(seen.low[25:].mean()) / seen.air_low - 1) < 0.002
    assert abs(float(seen.low[5:20, 12:44].mean()) / seen.air_low - 0.6) < 0.002


def test_a_lane_that_has_no_x_ray_machine_does_not_carry_numpy() -> None:
    code = "import sys, edge.devices.catalogue; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_lines_of_an_object_are_never_gain_and_break_off_a_gain_that_was_gathering() -> None:
    machine = Machine()
    made = driver()
    told(made, machine.hello(), machine.dark())
    told(made, machine.empty(2), machine.whole_picture(), machine.empty(3))
    assert calibration(made, machine) == "none"
    told(made, machine.empty(4))
    assert calibration(made, machine) == "good"


def test_a_lost_frame_breaks_off_a_gain_that_was_gathering() -> None:
    machine = Machine()
    made = driver()
    told(made, machine.hello(), machine.empty(2))
    machine.number += 1
    told(made, machine.empty(2))
    assert calibration(made, machine) == "none"


def test_dead_pixels_are_mended_from_their_neighbours_and_told_and_too_many_are_refused() -> None:
    machine = Machine()
    machine.air[:, 9] = 50
    made = driver(most_dead=0.1)
    readings = told(made, machine.hello(), machine.dark(), machine.empty())
    assert [(r.code, r.detail) for r in readings if isinstance(r, DeviceFault)] == [("dead_pixels", "1: 9")]
    (seen,) = pictures(told(made, machine.whole_picture()))
    assert np.abs(seen.low[9, 12:44] / seen.air_low - 0.6).max() < 0.01
    machine.air[:, 12:20] = 50
    assert faults(told(made, machine.empty())) == ["gain_refused"]


def test_dark_lines_that_are_not_dark_are_refused() -> None:
    machine = Machine()
    made = driver()
    told(made, machine.hello())
    lit = [machine.lines(np.ones((2, 16, PIXELS)), DARK) for _ in range(2)]
    assert faults(told(made, *lit)) == ["offset_refused"]
    assert faults(told(made, machine.dark())) == []
    assert faults(told(made, machine.lines(np.ones((2, 16, PIXELS)), DARK))) == ["offset_refused"]


# --- the driver ---------------------------------------------------------------------------------------------


def test_a_state_tells_what_the_machine_says_and_a_fault_once() -> None:
    machine = Machine(count=77)
    made = driver()
    readings = told(made, machine.hello(), machine.state(states=0x9F, fault=12), machine.state(0x80, 12))
    state = readings[0]
    assert isinstance(state, XrayStateSeen)
    assert (state.source_on, state.jam, state.emergency_stop, state.interlock_open) == (
        True,
        True,
        True,
        False,
    )
    assert (state.count, state.fault_code, state.kilovolts, state.start) == (77, 12, 160.0, f"{0xABCD:016x}")
    assert faults(readings) == ["machine_fault"]


def test_a_line_gone_quiet_in_mid_frame_was_cut_and_a_dead_one_is_opened_again() -> None:
    machine = Machine()
    made = driver(quiet_s=0.5, gone_s=5.0)
    output = made.received(1.0, machine.hello()[:30])
    assert output.wake_at_s == 1.5
    assert [type(r) for r in made.due(1.5).readings] == [ReadTruncated]
    assert made.due(4.9).hang_up is False
    gone = made.due(5.0)
    assert gone.hang_up is True
    made.opened(6.0)
    assert made.received(10.0, machine.hello()).heard is True
    assert made.due(11.5).hang_up is False


@pytest.mark.parametrize("kind", get_args(Order))
def test_x1_no_order_there_is_makes_the_driver_send_a_byte(kind: type[Any]) -> None:
    """X1: kakou never energises the source, resets an emergency stop, or starts or reverses a belt."""
    given: dict[str, object] = {
        "channel": 0, "duration_s": 1.0, "on": True, "rows": (), "colour": "red", "seq_no": "1",
        "pictures": (), "order_no": "1", "done": True, "output": "pass",
    }  # fmt: skip
    names = [name for name, field in kind.__dataclass_fields__.items() if name in given]
    order = kind(**{name: given[name] for name in names})
    output = driver().order(0.0, "a", order)
    assert output.send == b""
    assert [type(r) for r in output.readings] == [OrderRefused]


def test_whatever_is_lost_or_changed_a_picture_that_calls_itself_whole_is_the_one_that_was_sent() -> None:
    dice = random.Random(5)
    whole = 0
    for seed in range(12):
        machine = Machine(seed)
        begin = [machine.hello(), machine.dark(), machine.empty()]
        frames = [
            frame
            for _ in range(6)
            for frame in (*machine.picture_frames(parcel(dice.choice((32, 48, 64)))), machine.empty(1))
        ]
        right = {p.picture: p for p in pictures(told(driver(), *begin, *frames))}
        damaged = bytearray(b"".join(frames))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(damaged))
            length = dice.randrange(1, 3000)
            damaged[at : at + length] = dice.randbytes(dice.choice((0, 3, length)))
        for seen in pictures(told(driver(), *begin, bytes(damaged))):
            same = (seen.low.shape == right[seen.picture].low.shape) and bool(
                (seen.low == right[seen.picture].low).all()
            )
            assert same or seen.status != "SUCCESSFUL"
            whole += same
    assert 20 < whole < 60
