"""Faults of simulated devices as values: what each does to the bytes, and that it ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices import Device, led_board, rfid_reader
from hardware_sims.devices.io_board import IoBoard, framed
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.rfid_reader import RfidReader
from hardware_sims.devices.weighbridge import Weighbridge, yaohua_tf0
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics, quiet_log

FRAMES = [b"0123456789", b"abcdefghij", b"ABCDEFGHIJ"] * 20


def said(fault: Fault | None, seed: str = "s") -> list[tuple[float, bytes]]:
    """What a line makes of sixty frames of ten bytes, one a second."""
    line = FaultyLine(seed)
    if fault is not None:
        line.set(0.0, fault, True)
    heard = []
    for second, each in enumerate(FRAMES):
        line.send(float(second), each)
        data = line.take(float(second))
        heard.append((float(second), data))
    rest = line.take(1000.0) if fault is None or fault.kind is not FaultKind.CHATTER else b""
    return [*heard, (1000.0, rest)]


def test_a_healthy_line_says_what_it_was_given_when_it_was_given() -> None:
    assert [data for _, data in said(None)] == [*FRAMES, b""]


@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.DEAD, FaultKind.VANISH])
def test_a_mute_line_says_nothing(kind: FaultKind) -> None:
    assert b"".join(data for _, data in said(Fault(kind=kind))) == b""


def test_a_cut_line_ends_transmissions_in_the_middle_in_the_share_it_was_told() -> None:
    always = [data for _, data in said(Fault(kind=FaultKind.CUT))][:-1]
    assert all(0 < len(data) < 10 for data in always)
    assert all(whole.startswith(data) for data, whole in zip(always, FRAMES, strict=True))
    half = [data for _, data in said(Fault(kind=FaultKind.CUT, rate=0.5))][:-1]
    assert 15 <= sum(len(data) < 10 for data in half) <= 45


def test_a_noisy_line_turns_single_bits_over_at_its_rate_and_keeps_lengths() -> None:
    noisy = [data for _, data in said(Fault(kind=FaultKind.FLIP, rate=0.1))][:-1]
    differ = [
        (a ^ b).bit_count()
        for data, whole in zip(noisy, FRAMES, strict=True)
        for a, b in zip(data, whole, strict=True)
    ]
    assert set(differ) == {0, 1}
    assert 30 <= sum(differ) <= 100


def test_chatter_comes_between_frames_and_never_into_them() -> None:
    heard = b"".join(data for _, data in said(Fault(kind=FaultKind.CHATTER)))
    assert len(heard) > 60 * 10 + 100
    at = 0
    for whole in FRAMES:
        at = heard.index(whole, at) + len(whole)


def test_a_slow_line_says_everything_late_and_in_order() -> None:
    line = FaultyLine("s")
    line.set(0.0, Fault(kind=FaultKind.SLOW, delay_s=2.0), True)
    line.send(1.0, b"a")
    line.set(1.5, Fault(kind=FaultKind.SLOW), False)
    line.send(2.0, b"b")
    assert line.take(2.9) == b""
    assert line.next_event_s() == 3.0
    assert line.take(3.0) == b"ab"


def test_noise_is_heard_too_and_a_dead_line_hears_nothing() -> None:
    line = FaultyLine("s")
    line.set(0.0, Fault(kind=FaultKind.FLIP, rate=0.5), True)
    assert line.heard(bytes(40)) != bytes(40)
    line.set(0.0, Fault(kind=FaultKind.DEAD), True)
    assert line.heard(b"abc") == b""


def test_the_same_seed_spoils_the_same_bytes() -> None:
    fault = Fault(kind=FaultKind.FLIP, rate=0.2)
    assert said(fault) == said(fault)
    assert said(fault) != said(fault, seed="other")


@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.DEAD, FaultKind.VANISH, FaultKind.CUT])
def test_a_fault_ends_and_the_device_is_whole_again(kind: FaultKind) -> None:
    board = IoBoard(LanePhysics(BarrierSettings(), quiet_log))
    request = framed(bytes.fromhex("010200000010"))
    whole = framed(bytes.fromhex("010202ef02"))
    board.set_fault(1.0, Fault(kind=kind), True)
    board.receive(1.0, request)
    assert board.advance(1.5) != whole
    board.set_fault(2.0, Fault(kind=kind), False)
    board.receive(2.0, request)
    assert board.advance(2.5) == whole


def test_a_stuck_indicator_repeats_an_old_weight_in_whole_frames() -> None:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    scale = Weighbridge(physics)
    assert scale.advance(0.1) == yaohua_tf0(0)
    scale.set_fault(0.1, Fault(kind=FaultKind.STUCK), True)
    physics.scale.put(0.1, 20_000)
    assert scale.advance(5.0) == yaohua_tf0(0) * 49
    scale.set_fault(5.0, Fault(kind=FaultKind.STUCK), False)
    assert scale.advance(5.1) == yaohua_tf0(20_000)


DEVICES = {
    "io": (IoBoard, framed(bytes.fromhex("010200000010"))),
    "rfid": (RfidReader, rfid_reader.frame(1, 0x89, b"\x01")),
    "led": (LedBoard, led_board.text_frame(0, "请等待", b"\xff\x00\x00\x00")),
    "weighbridge": (Weighbridge, b""),
}


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(DEVICES)),
    pieces=st.lists(st.one_of(st.binary(max_size=40), st.just(b"")), max_size=20),
    faults=st.lists(st.sampled_from(sorted(FaultKind)), max_size=4),
)
def test_no_bytes_and_no_fault_make_a_device_raise_or_stop_it_for_good(
    name: str, pieces: list[bytes], faults: list[FaultKind]
) -> None:
    make, request = DEVICES[name]
    device: Device = make(LanePhysics(BarrierSettings(), quiet_log))
    at_s = 0.0
    kinds = [kind for kind in faults if kind is not FaultKind.BROKEN_WIRE]
    for n, piece in enumerate(pieces):
        at_s += 0.05
        for kind in kinds:
            device.set_fault(at_s, Fault(kind=kind), n % 2 == 0)
        device.receive(at_s, piece or request)
        device.advance(at_s)
        assert device.next_event_s() > at_s - 1e-9 or device.advance(at_s) is not None
    for kind in kinds:
        device.set_fault(at_s + 1.0, Fault(kind=kind), False)
    device.advance(at_s + 2.0)
    device.receive(at_s + 3.0, request)
    answer = device.advance(at_s + 3.5)
    if name == "led":
        assert isinstance(device, LedBoard)
        assert "请等待" in device.rows
    else:
        assert answer
