"""Simulated devices against printed frames and their data sheets, byte by byte."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices import led_board, rfid_reader
from hardware_sims.devices.io_board import IoBoard, framed, packed
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.plate_camera import PICTURE, PlateCamera, plate_alarm
from hardware_sims.devices.rfid_reader import RfidReader, end_frame, tag_frame
from hardware_sims.devices.scanner import Scanner, transmission
from hardware_sims.devices.weighbridge import Weighbridge, toledo_continuous, yaohua_tf0
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import INPUTS, LanePhysics, quiet_log
from hardware_sims.vehicles import PRESETS, Vehicle

EPC = "E2004074850A0103163070E1"
TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate="豫A12345", tag=EPC, gross_kg=20_000, length_m=12.0)


def lane(*vehicles: Vehicle) -> LanePhysics:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    for vehicle in vehicles:
        physics.arrive(vehicle.arrives_s, vehicle)
    return physics


def vectors(file: str) -> list[dict[str, Any]]:
    """Vectors of the shared data folder; skips where it is not there."""
    folder = Path(
        os.environ.get("KAKOU_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
    )
    path = folder / "protocols" / file
    if not path.exists():
        pytest.skip("shared protocol vectors are not here: set KAKOU_SHARED_DATA")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return found


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


# --- weighbridge ---


@pytest.mark.parametrize(
    ("kg", "decimals", "printed"),
    [
        (1560, 0, "02 2B 30 30 31 35 36 30 30 31 39 03"),  # XK3190 sample bytes, check 19
        (0, 0, "02 2B 30 30 30 30 30 30 30 31 42 03"),
        (2000, 2, "02 2B 30 30 32 30 30 30 32 31 42 03"),  # +20.00, check 1B printed
        (-20, 0, "02 2D 30 30 30 30 32 30 30 31 46 03"),
    ],
)
def test_a_yaohua_frame_is_the_printed_one(kg: int, decimals: int, printed: str) -> None:
    assert yaohua_tf0(kg, decimals) == hexed(printed)


@pytest.mark.parametrize(
    ("frame", "printed"),
    [
        (toledo_continuous(49_500), "02 2A 30 20 20 34 39 35 30 30 20 20 20 20 20 30 0D 05"),
        (toledo_continuous(-20), "02 2A 32 20 20 20 20 20 32 30 20 20 20 20 20 30 0D 43"),
        (toledo_continuous(12_340, motion=True), "02 2A 38 20 20 31 32 33 34 30 20 20 20 20 20 30 0D 05"),
        (
            toledo_continuous(99_999, out_of_range=True),
            "02 2A 34 20 20 39 39 39 39 39 20 20 20 20 20 30 0D 66",
        ),
        (
            toledo_continuous(12_345, tare=678, decimals=2, net=True, padding=b"0"),
            "02 2C 31 20 30 31 32 33 34 35 30 30 30 36 37 38 0D 10",
        ),
    ],
)
def test_a_toledo_frame_is_the_printed_one(frame: bytes, printed: str) -> None:
    assert frame == hexed(printed)


def test_every_shared_weighbridge_vector_is_reproduced() -> None:
    made = 0
    for vector in vectors("weighbridge_frames.json"):
        if vector["proto"] == "yaohua_tf0" and vector["expected_valid"]:
            told = vector["decode"]
            kg = int(told["sign"] + told["digits"])
            assert yaohua_tf0(kg, told["decimals"]) == hexed(vector["hex"]), vector["id"]
            made += 1
    assert made >= 6


def frames_of(data: bytes) -> list[int]:
    """Weights of whole Yaohua frames."""
    return [int(data[at + 1 : at + 8]) for at in range(0, len(data), 12)]


def test_an_indicator_sends_ten_frames_a_second_of_the_settled_weight_in_divisions() -> None:
    physics = lane(TRUCK)
    scale = Weighbridge(physics, division_kg=20)
    physics.advance(20.0)
    scale.advance(20.0)
    heard = b""
    for tenth in range(201, 301):
        physics.advance(tenth / 10)
        heard += scale.advance(tenth / 10)
    weights = frames_of(heard)
    assert len(weights) == 100
    assert {kg % 20 for kg in weights} == {0}
    assert weights.count(20_000) > 95


def test_an_indicator_shows_the_load_coming_on_with_noise() -> None:
    physics = lane(TRUCK)
    scale = Weighbridge(physics, division_kg=20)
    heard = b""
    for tenth in range(1, 112):
        physics.advance(tenth / 10)
        heard += scale.advance(tenth / 10)
    weights = frames_of(heard)
    assert weights[0] == 0
    assert len(set(weights)) > 20


def test_a_toledo_indicator_says_motion_until_the_plate_has_settled() -> None:
    physics = lane(TRUCK)
    scale = Weighbridge(physics, protocol="toledo_continuous")
    flags = []
    for tenth in range(1, 200):
        physics.advance(tenth / 10)
        flags.append(bool(scale.advance(tenth / 10)[2] & 8))
    assert (flags[0], flags[80], flags[-1]) == (False, True, False)


# --- RFID ---


@pytest.mark.parametrize(
    ("frame", "printed"),
    [
        (rfid_reader.frame(1, 0x89, b"\x01"), "A0 04 01 89 01 D1"),
        (rfid_reader.frame(1, 0x72, b"\x01\x09"), "A0 05 01 72 01 09 DE"),
        (rfid_reader.frame(1, 0x89, b"\x22"), "A0 04 01 89 22 B0"),
        (
            tag_frame(1, hexed(EPC), frequency=29, rssi=0x36),
            "A0 13 01 89 74 30 00 E2 00 40 74 85 0A 01 03 16 30 70 E1 36 29",
        ),
        (end_frame(1, 5, rate=17), "A0 0A 01 89 00 00 11 00 00 00 05 B6"),
    ],
)
def test_an_r2000_frame_is_the_printed_one(frame: bytes, printed: str) -> None:
    assert frame == hexed(printed)


def test_every_shared_r2000_vector_is_reproduced() -> None:
    made = 0
    for vector in vectors("rfid_frames.json"):
        told, raw = vector["decode"], vector.get("hex", "")
        if not vector["expected_valid"] or not raw.startswith("A0"):
            continue
        printed = hexed(raw)
        if "epc" in told:
            frame = tag_frame(
                printed[2],
                hexed(told["epc"]),
                command=printed[3],
                antenna=told["antenna"],
                frequency=told["freq_index"],
                rssi=told["rssi_raw"],
            )
        elif "total" in told:
            frame = end_frame(printed[2], told["total"], command=printed[3], rate=told["read_rate"])
        else:
            frame = rfid_reader.frame(printed[2], printed[3], printed[4:-1])
        assert frame == printed, vector["id"]
        made += 1
    assert made >= 10


INVENTORY = hexed("A0 04 01 89 01 D1")


def test_a_reader_answers_an_inventory_with_the_tags_in_the_field_and_an_end() -> None:
    physics = lane(TRUCK)
    reader = RfidReader(physics)
    physics.advance(1.0)
    reader.receive(1.0, INVENTORY)
    assert reader.advance(1.04) == b""
    assert reader.advance(1.06) == hexed("A0 0A 01 89 00 00 00 00 00 00 00 CC")
    physics.advance(8.0)
    seen = 0
    for n in range(40):
        reader.receive(8.0 + n / 10, INVENTORY)
        answer = reader.advance(8.09 + n / 10)
        seen += hexed(EPC) in answer
        assert answer.endswith(end_frame(1, int(hexed(EPC) in answer), rate=20 * (hexed(EPC) in answer)))
    assert 25 <= seen <= 40


def test_a_reader_hears_sliced_broadcast_and_noisy_commands_but_no_wrong_checksum_and_no_other_address() -> (
    None
):
    reader = RfidReader(lane())
    for byte in b"\x55\xa0\xa0" + INVENTORY:
        reader.receive(1.0, bytes((byte,)))
    assert reader.advance(1.2)[3:4] == b"\x89"
    reader.receive(2.0, rfid_reader.frame(0xFF, 0x72))
    assert reader.advance(2.2) == hexed("A0 05 01 72 01 09 DE")
    reader.receive(3.0, hexed("A0 04 01 89 01 71"))
    reader.receive(4.0, rfid_reader.frame(2, 0x72))
    assert reader.advance(5.0) == b""


@pytest.mark.parametrize(
    ("command", "data", "answer"),
    [
        (0x74, b"\x00", b"\x10"),
        (0x74, b"\x09", b"\x11"),
        (0x75, b"", b"\x00"),
        (0x76, b"\x1e", b"\x10"),
        (0x77, b"", b"\x1e"),
        (0x7A, b"\x01", b"\x10"),
        (0x42, b"", b"\x11"),
    ],
)
def test_a_reader_answers_its_settings(command: int, data: bytes, answer: bytes) -> None:
    reader = RfidReader(lane())
    reader.receive(1.0, rfid_reader.frame(1, command, data))
    assert reader.advance(1.1) == rfid_reader.frame(1, command, answer)


def test_a_reader_without_antenna_says_so_and_a_stuck_one_repeats_its_last_tag() -> None:
    physics = lane(replace(TRUCK, behaviour=PRESETS["reverses_out"]))
    reader = RfidReader(physics)
    reader.set_fault(0.0, Fault(kind=FaultKind.NO_ANTENNA), True)
    reader.receive(1.0, INVENTORY)
    assert reader.advance(1.2) == hexed("A0 04 01 89 22 B0")
    reader.set_fault(2.0, Fault(kind=FaultKind.NO_ANTENNA), False)
    physics.advance(8.0)
    while True:
        reader.receive(8.0, INVENTORY)
        if hexed(EPC) in reader.advance(8.2):
            break
    reader.set_fault(9.0, Fault(kind=FaultKind.STUCK), True)
    physics.advance(60.0)
    assert physics.tags_in_field() == ()
    reader.receive(60.0, INVENTORY)
    assert hexed(EPC) in reader.advance(60.2)


# --- I/O board ---

ORACLE = FramerRTU(DecodePDU(False))


def relay(board: IoBoard, channel: int) -> bool:
    return board.relays[channel]


def ask(board: IoBoard, at_s: float, request: bytes) -> bytes:
    board.receive(at_s, request)
    return board.advance(at_s + 0.01)


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        ("01 05 00 00 FF 00 8C 3A", "01 05 00 00 FF 00 8C 3A"),  # Waveshare wiki
        ("01 05 00 FF FF 00 BC 0A", "01 05 00 FF FF 00 BC 0A"),
        ("01 05 02 00 00 07 8D B0", "01 05 02 00 00 07 8D B0"),
        ("01 01 00 00 00 08 3D CC", "01 01 01 00 51 88"),
        ("01 02 00 00 00 08 79 CC", "01 02 01 EF E0 04"),
        ("01 0F 00 00 00 08 01 FF BE D5", "01 0F 00 00 00 08 54 0D"),
    ],
)
def test_the_board_answers_printed_requests(request_hex: str, answer_hex: str) -> None:
    assert ask(IoBoard(lane()), 1.0, hexed(request_hex)) == hexed(answer_hex)


def test_every_shared_modbus_vector_carries_the_check_the_board_computes() -> None:
    found = [vector for vector in vectors("modbus_frames.json") if vector["expected_valid"]]
    assert len(found) >= 15
    for vector in found:
        printed = hexed(vector["hex"])
        assert framed(printed[:-2]) == printed, vector["id"]


def test_the_board_refuses_with_exceptions_what_it_does_not_have() -> None:
    board = IoBoard(lane())
    refused = {
        "01 05 00 08 FF 00": "01 85 02",
        "01 05 02 08 00 05": "01 85 02",
        "01 05 00 00 12 34": "01 85 03",
        "01 05 02 00 00 00": "01 85 03",
        "01 02 00 00 00 11": "01 82 02",
        "01 02 00 00 00 00": "01 82 03",
        "01 01 00 04 00 05": "01 81 02",
        "01 03 00 00 00 01": "01 83 01",
        "01 06 00 00 00 01": "01 86 01",
        "01 0F 00 04 00 08 01 FF": "01 8F 02",
        "01 0F 00 00 00 08 02 FF FF": "01 8F 03",
    }
    for n, (request, answer) in enumerate(refused.items()):
        assert ask(board, float(n), framed(hexed(request))) == framed(hexed(answer)), request
    assert board.relays == (False,) * 8


def test_the_board_ignores_wrong_checks_other_units_and_answers_no_broadcast() -> None:
    board = IoBoard(lane())
    assert ask(board, 1.0, hexed("01 05 00 00 FF 00 8C 3B")) == b""
    assert ask(board, 2.0, framed(hexed("02 05 00 00 FF 00"))) == b""
    assert relay(board, 0) is False
    assert ask(board, 3.0, framed(hexed("00 05 00 00 FF 00"))) == b""
    assert relay(board, 0) is True


def test_the_board_finds_a_request_after_noise_and_half_requests() -> None:
    board = IoBoard(lane())
    assert ask(board, 1.0, b"\x01\x05\x00" + hexed("01 02 00 00 00 08 79 CC")) == hexed("01 02 01 EF E0 04")
    assert ask(board, 2.0, b"\x01\x0f\x00\x00\x00\x08\xff") == b""
    assert ask(board, 3.0, hexed("01 02 00 00 00 08 79 CC")) == hexed("01 02 01 EF E0 04")


def test_a_pulse_is_ended_by_the_boards_clock_even_when_the_host_is_gone() -> None:
    physics = lane()
    board = IoBoard(physics)
    ask(board, 1.0, framed(hexed("01 05 02 00 00 07")))
    board.disconnect(1.1)
    assert board.next_event_s() == pytest.approx(1.7)
    board.advance(1.69)
    assert relay(board, 0) is True
    board.advance(1.71)
    assert relay(board, 0) is False
    physics.advance(5.0)
    assert physics.barrier.is_up


def test_a_later_order_overrides_a_running_pulse_and_pulse_off_comes_back_on() -> None:
    board = IoBoard(lane())
    ask(board, 1.0, framed(hexed("01 05 02 04 00 14")))
    ask(board, 1.5, framed(hexed("01 05 00 04 FF 00")))
    board.advance(9.0)
    assert relay(board, 4) is True
    ask(board, 10.0, framed(hexed("01 05 04 04 00 05")))
    assert relay(board, 4) is False
    board.advance(10.6)
    assert relay(board, 4) is True
    ask(board, 11.0, framed(hexed("01 05 00 04 55 00")))
    assert relay(board, 4) is False


def test_a_dead_board_drops_its_relays_and_a_stuck_one_repeats_its_inputs() -> None:
    physics = lane(TRUCK)
    board = IoBoard(physics)
    ask(board, 0.5, framed(hexed("01 05 00 03 FF 00")))
    board.set_fault(1.0, Fault(kind=FaultKind.DEAD), True)
    assert physics.light == "off"
    assert ask(board, 1.1, hexed("01 02 00 00 00 08 79 CC")) == b""
    board.set_fault(2.0, Fault(kind=FaultKind.DEAD), False)
    board.set_fault(2.0, Fault(kind=FaultKind.STUCK), True)
    physics.advance(4.0)
    assert not physics.inputs()[0]
    assert ask(board, 4.0, hexed("01 02 00 00 00 08 79 CC")) == hexed("01 02 01 EF E0 04")


def test_a_broken_wire_reads_false_over_the_bus() -> None:
    board = IoBoard(lane())
    board.set_fault(1.0, Fault(kind=FaultKind.BROKEN_WIRE, input="arm_loop"), True)
    assert ask(board, 1.0, hexed("01 02 00 00 00 08 79 CC")) == framed(hexed("01 02 01 ED"))


@given(bits=st.lists(st.booleans(), min_size=1, max_size=40))
def test_bits_are_packed_lowest_first(bits: list[bool]) -> None:
    data = packed(tuple(bits))
    assert [bool(data[n // 8] >> n % 8 & 1) for n in range(len(bits))] == bits
    assert len(data) == -(-len(bits) // 8)


@settings(max_examples=80, deadline=None)
@given(
    requests=st.lists(
        st.one_of(
            st.tuples(st.just("inputs"), st.integers(0, 15), st.integers(1, 16)),
            st.tuples(st.just("coils"), st.integers(0, 7), st.integers(1, 8)),
            st.tuples(st.just("coil"), st.integers(0, 9), st.integers(0, 1)),
            st.tuples(st.just("many"), st.integers(0, 7), st.integers(0, 255)),
        ),
        max_size=8,
    ),
    slices=st.integers(1, 5),
)
def test_pymodbus_and_the_board_understand_each_other(
    requests: list[tuple[str, int, int]], slices: int
) -> None:
    physics = lane()
    board = IoBoard(physics)
    coils = [False] * 8
    for n, (what, first, second) in enumerate(requests):
        pdu: Any
        inputs = physics.inputs()
        match what:
            case "inputs":
                pdu = ReadDiscreteInputsRequest(address=first, count=second, dev_id=1)
                wanted = list(inputs[first : first + second]) if first + second <= 16 else None
            case "coils":
                pdu = ReadCoilsRequest(address=first, count=second, dev_id=1)
                wanted = coils[first : first + second] if first + second <= 8 else None
            case "coil":
                pdu = WriteSingleCoilRequest(address=first, bits=[bool(second)], dev_id=1)
                wanted = [bool(second)] if first < 8 else None
                if first < 8:
                    coils[first] = bool(second)
            case _:
                bits = [bool(second >> place & 1) for place in range(8 - first)]
                pdu = WriteMultipleCoilsRequest(address=first, bits=bits, dev_id=1)
                wanted = []
                coils[first:] = bits
        request = ORACLE.buildFrame(pdu)
        at_s = float(n + 1)
        for at in range(0, len(request), slices):
            board.receive(at_s, request[at : at + slices])
        _, answer = ORACLE.handleFrame(board.advance(at_s + 0.01), 0, 0)
        assert answer is not None
        assert answer.isError() is (wanted is None)
        if wanted:
            assert answer.bits[: len(wanted)] == wanted
    assert list(board.relays) == coils


# --- scanner ---


def test_a_scanner_sends_what_is_shown_with_its_aim_prefix_and_a_carriage_return() -> None:
    physics = lane()
    scanner = Scanner(physics)
    physics.show_code(1.0, "Z3111I240728000000000003", "]C0")
    scanner.advance(1.0)
    assert scanner.advance(1.05) == b""
    assert scanner.advance(1.1) == b"]C0Z3111I240728000000000003\r"
    assert transmission("ABC", suffix=b"\r\n") == b"ABC\r\n"


def test_a_trigger_reads_a_code_in_view_again_and_otherwise_says_no_read_where_set() -> None:
    physics = lane()
    scanner = Scanner(physics, no_read="NoRead", aim_prefix=False)
    scanner.receive(0.5, b"\x16T")
    scanner.receive(0.5, b"\r")
    assert scanner.advance(0.7) == b"NoRead\r"
    physics.show_code(1.0, "A1", "]Q1")
    scanner.advance(1.0)
    assert scanner.advance(1.2) == b"A1\r"
    scanner.receive(1.5, b"\x16T\r")
    assert scanner.advance(1.7) == b"A1\r"
    scanner.receive(9.0, b"\x16T\r")
    assert scanner.advance(9.2) == b"NoRead\r"


def test_a_dead_scanner_misses_what_is_shown_and_a_stuck_one_repeats_its_last_code() -> None:
    physics = lane()
    scanner = Scanner(physics)
    scanner.set_fault(0.0, Fault(kind=FaultKind.DEAD), True)
    physics.show_code(1.0, "LOST", "]C0")
    scanner.advance(1.2)
    scanner.set_fault(2.0, Fault(kind=FaultKind.DEAD), False)
    assert scanner.advance(3.0) == b""
    physics.show_code(4.0, "A1", "]C0")
    scanner.advance(4.0)
    assert scanner.advance(4.2) == b"]C0A1\r"
    scanner.set_fault(5.0, Fault(kind=FaultKind.STUCK), True)
    physics.show_code(6.0, "B2", "]C0")
    assert scanner.advance(8.5) == b"]C0A1\r"


# --- LED board ---

PRINTED_SHOW = hexed(
    "00 64 FF FF 62 25 00 15 01 00 02 15 01 03 00 FF 00 00 00 00 00 00 00 12 00"
    " BB B6 D3 AD B9 E2 C1 D9 C7 EB C8 EB B3 A1 CD A3 B3 B5 F4 F5"
)


def test_a_board_shows_the_printed_frame_and_speaks_the_printed_one() -> None:
    physics = lane()
    board = LedBoard(physics)
    board.receive(1.0, PRINTED_SHOW)
    assert board.rows == ("欢迎光临请入场停车",)
    assert board.colour == "red"
    board.receive(2.0, hexed("0064ffff301201d4c14231323334352cbbb6d3adb9e2c1d96a91"))
    assert board.spoken == ((2.0, "粤B12345,欢迎光临"),)
    assert led_board.text_frame(0, "欢迎光临请入场停车", hexed("FF000000")) == PRINTED_SHOW


def test_every_shared_led_vector_is_read_and_its_check_reproduced() -> None:
    shown = 0
    for vector in vectors("led_frames.json"):
        printed = hexed(vector["hex"])
        assert led_board.frame(printed[4], printed[6:-2]) == printed, vector["id"]
        told = vector["decode"]
        if "text" in told and "62" in told["cmd"]:
            board = LedBoard(lane())
            board.receive(1.0, printed)
            assert board.rows == (told["text"],)
            shown += 1
    assert shown >= 3


def test_rows_come_up_together_and_reach_the_driver() -> None:
    lines: list[dict[str, Any]] = []
    physics = LanePhysics(
        BarrierSettings(), lambda t, kind, fields: lines.append({"t": t, "kind": kind, **fields})
    )
    board = LedBoard(physics)
    green = hexed("00FF0000")
    frames = led_board.text_frame(0, "核放单未找到", green) + led_board.text_frame(1, "请到人工通道", green)
    for byte in b"\x00\x00\x64" + frames:
        board.receive(1.0, bytes((byte,)))
    board.advance(board.next_event_s())
    assert lines == [{"t": 1.1, "kind": "board", "rows": ["核放单未找到", "请到人工通道"], "colour": "green"}]


def test_a_board_refuses_a_spoiled_frame_and_reads_the_next() -> None:
    board = LedBoard(lane())
    spoiled = bytearray(PRINTED_SHOW)
    spoiled[30] ^= 1
    board.receive(1.0, bytes(spoiled) + PRINTED_SHOW)
    assert board.rows == ("欢迎光临请入场停车",)
    assert board.refused == 1


# --- camera ---


def answer(body: dict[str, Any] | str = "", status: str = "200 OK", close: bool = False) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    more = "Connection: close\r\n" if close else ""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{more}\r\n{text}".encode()


NO = answer({"Response_AlarmInfoPlate": {"info": "no"}})


def calls(camera: PlateCamera) -> bool:
    return camera.calling


def post_of(data: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert int(fields["content-length"]) == len(body)
    return first, fields, body


def plate_of(data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(post_of(data)[2])["AlarmInfoPlate"]["result"]["PlateResult"]
    return result


def camera_with(vehicle: Vehicle = TRUCK, **options: Any) -> tuple[LanePhysics, PlateCamera]:
    """A camera that has just seen a vehicle, at 5 s."""
    physics = lane(vehicle)
    camera = PlateCamera(physics, **({"heartbeat_s": 0.0} | options))
    physics.advance(5.0)
    camera.advance(5.0)
    return physics, camera


def test_a_camera_calls_and_posts_the_plate_it_saw_with_a_whole_picture() -> None:
    _, camera = camera_with()
    assert calls(camera)
    camera.connect(5.0)
    first, fields, body = post_of(camera.advance(5.0))
    assert first == "POST /devicemanagement/php/plateresult.php HTTP/1.1"
    assert fields["content-type"] == "application/json"
    document = json.loads(body)["AlarmInfoPlate"]
    plate = document["result"]["PlateResult"]
    assert (plate["license"], plate["isoffline"], plate["triggerType"]) == ("豫A12345", 0, 4)
    assert 85 <= plate["confidence"] <= 99
    assert plate["imageFileLen"] == len(PICTURE)
    assert PICTURE.startswith(b"\xff\xd8\xff")
    assert PICTURE.endswith(b"\xff\xd9")
    seconds = plate["timeStamp"]["Timeval"]["sec"] - 1_767_225_600
    assert 3 <= seconds <= 4
    camera.receive(5.1, NO)
    assert camera.advance(30.0) == b""


@pytest.mark.parametrize(
    "length", ["²", "9" * 5_000, "-1", ""], ids=["superscript", "huge", "negative", "none"]
)
def test_an_answer_of_a_length_that_is_no_number_is_no_answer_and_harms_nobody(length: str) -> None:
    """A flipped bit made a 2 a superscript, which Python calls a digit and no number."""
    _, camera = camera_with()
    camera.connect(5.0)
    camera.advance(5.0)
    camera.receive(5.1, f"HTTP/1.1 500 no\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
    camera.disconnect(5.2)
    at_s = 20.0
    camera.advance(at_s)
    camera.connect(at_s)
    assert plate_of(camera.advance(at_s))["license"] == "豫A12345"


def test_every_field_of_the_printed_document_is_sent() -> None:
    printed = next(each for each in vectors("lpr_samples.json") if each["id"] == "vz-normal")["body"]
    made = plate_alarm(license_text="粤Z9000澳", plate_id=21085, confidence=96, unix_s=1.0, serial_no="0-0")

    def keys(value: object, at: str = "") -> set[str]:
        match value:
            case dict():
                return set().union(
                    *(keys(each, f"{at}.{name}") | {f"{at}.{name}"} for name, each in value.items())
                )
            case list():
                return set().union(*(keys(each, at + "[]") for each in value))
            case _:
                return set()

    assert keys(printed) <= keys(made)


def test_an_unanswered_result_is_sent_again_then_kept_and_sent_offline_until_answered() -> None:
    _, camera = camera_with()
    at_s = 5.0
    sent: list[dict[str, Any]] = []
    while at_s < 60.0 and len(sent) < 7:
        if camera.calling:
            camera.connect(at_s)
            data = camera.advance(at_s)
            if data:
                sent.append(plate_of(data))
            at_s += 0.5
            camera.disconnect(at_s)
        at_s += 0.5
        camera.advance(at_s)
    assert [each["isoffline"] for each in sent] == [0, 0, 0, 0, 0, 1, 1]
    assert {each["plateid"] for each in sent} == {sent[0]["plateid"]}
    at_s += 2.0
    camera.advance(at_s)
    camera.connect(at_s)
    assert plate_of(camera.advance(at_s))["isoffline"] == 1
    more = {"Response_AlarmInfoPlate": {"ContinuePushOffline": {"plateid": 1, "continue": 1}}}
    camera.receive(at_s, answer(more))
    assert camera.advance(at_s + 60.0) == b""


def test_a_listener_that_is_not_there_turns_results_into_offline_records() -> None:
    _, camera = camera_with()
    at_s = 5.0
    while at_s < 20.0:
        if camera.calling:
            camera.connect_failed(at_s)
        at_s += 0.25
        camera.advance(at_s)
    assert camera.calling or camera.next_event_s() <= at_s + 1.0
    while not camera.calling:
        at_s += 0.25
        camera.advance(at_s)
    camera.connect(at_s)
    assert plate_of(camera.advance(at_s))["isoffline"] == 1


def test_an_error_or_garbled_answer_counts_as_none_and_silence_ends_after_its_time() -> None:
    for reply in (answer("", "500 Oops"), b"garbage\r\n\r\n"):
        _, camera = camera_with()
        camera.connect(5.0)
        camera.advance(5.0)
        camera.receive(5.1, reply)
        if b"garbage" in reply:
            camera.advance(10.1)
            assert not calls(camera)
            camera.disconnect(10.1)
            camera.advance(11.2)
            camera.connect(11.2)
            assert plate_of(camera.advance(11.2))["license"] == "豫A12345"
        else:
            assert camera.advance(5.5) == b""
            assert plate_of(camera.advance(6.2))["license"] == "豫A12345"


@pytest.mark.parametrize(
    ("orders", "opens"),
    [
        ({"info": "ok"}, True),
        ({"info": "no"}, False),
        ({"info": "OK"}, False),
        ({"ivs_ioctrl": {"delay": 500, "io": 0, "value": 2}}, True),
        ({"ivs_ioctrl": {"delay": 500, "io": 1, "value": 2}}, False),
        ({"ivs_ioctrl": {"delay": 500, "io": 0, "value": 0}}, False),
    ],
)
def test_only_an_answer_that_says_so_opens_the_barrier(orders: dict[str, Any], opens: bool) -> None:
    physics, camera = camera_with()
    camera.connect(5.0)
    camera.advance(5.0)
    camera.receive(5.1, answer({"Response_AlarmInfoPlate": orders}))
    physics.advance(9.0)
    camera.advance(9.0)
    assert physics.barrier.is_up is opens


def test_a_manual_trigger_in_an_answer_reads_the_plate_again() -> None:
    physics, camera = camera_with()
    camera.connect(5.0)
    first = plate_of(camera.advance(5.0))
    camera.receive(5.1, answer({"Response_AlarmInfoPlate": {"info": "no", "manualTrigger": "ok"}}))
    physics.advance(6.0)
    second = plate_of(camera.advance(6.0))
    assert second["license"] == first["license"]
    assert second["plateid"] == first["plateid"] + 1
    assert second["triggerType"] == 8


def test_an_answer_in_slices_and_one_ended_by_hanging_up_are_answers() -> None:
    _, camera = camera_with()
    camera.connect(5.0)
    camera.advance(5.0)
    for byte in NO:
        camera.receive(5.1, bytes((byte,)))
    assert camera.advance(20.0) == b""
    _, other = camera_with()
    other.connect(5.0)
    other.advance(5.0)
    other.receive(5.1, b"HTTP/1.0 200 OK\r\n\r\n{}")
    other.disconnect(5.2)
    other.advance(20.0)
    assert not calls(other)


def test_connection_close_is_obeyed() -> None:
    _, camera = camera_with()
    camera.connect(5.0)
    camera.advance(5.0)
    camera.receive(5.1, answer("{}", close=True))
    assert not calls(camera)


def test_heartbeats_are_form_posts_and_only_comet_mode_obeys_their_answers() -> None:
    for comet in (False, True):
        physics = lane()
        camera = PlateCamera(physics, heartbeat_s=5.0, comet=comet)
        camera.advance(4.9)
        assert not calls(camera)
        camera.advance(5.0)
        assert calls(camera)
        camera.connect(5.0)
        first, fields, body = post_of(camera.advance(5.0))
        assert "receivedeviceinfo" in first
        assert fields["content-type"].startswith("multipart/form-data; boundary=")
        assert b'name="serialno"\r\n\r\n51ca11e5-00000001\r\n' in body
        camera.receive(5.1, answer({"Response_AlarmInfoPlate": {"info": "ok"}}))
        physics.advance(9.0)
        assert physics.barrier.is_up is comet
        camera.advance(9.0)
        assert calls(camera)


def test_an_unreadable_plate_is_sent_as_none_and_a_stuck_camera_repeats_the_old_one() -> None:
    _, blind = camera_with(Vehicle(id="v", lane="in", arrives_s=0.0, plate=None))
    blind.connect(5.0)
    assert plate_of(blind.advance(5.0))["license"] == "_无_"
    _, camera = camera_with()
    camera.connect(5.0)
    camera.advance(5.0)
    camera.receive(5.1, NO)
    camera.set_fault(6.0, Fault(kind=FaultKind.STUCK), True)
    again = plate_of(camera.advance(11.0))
    assert again["license"] == "豫A12345"


def test_a_wrong_plate_is_the_one_told_or_one_character_off() -> None:
    for told, differ in (("豫B99999", None), ("", 1)):
        physics = lane(TRUCK)
        camera = PlateCamera(physics, heartbeat_s=0.0)
        camera.set_fault(0.0, Fault(kind=FaultKind.WRONG_PLATE, plate=told), True)
        physics.advance(5.0)
        camera.advance(5.0)
        camera.connect(5.0)
        seen = plate_of(camera.advance(5.0))["license"]
        if differ is None:
            assert seen == told
        else:
            assert sum(a != b for a, b in zip(seen, "豫A12345", strict=True)) == differ


def test_a_dead_camera_neither_calls_nor_remembers() -> None:
    physics = lane(TRUCK)
    camera = PlateCamera(physics)
    camera.set_fault(0.0, Fault(kind=FaultKind.DEAD), True)
    physics.advance(10.0)
    camera.advance(10.0)
    assert not calls(camera)
    camera.set_fault(11.0, Fault(kind=FaultKind.DEAD), False)
    camera.advance(15.0)
    assert not calls(camera)
    camera.advance(16.1)
    camera.connect(16.1)
    assert "receivedeviceinfo" in post_of(camera.advance(16.1))[0]


def test_inputs_have_the_numbers_of_the_wiring() -> None:
    assert INPUTS[:5] == ("arrival_loop", "arm_loop", "photocell", "limit_down", "limit_up")
    assert INPUTS[5:] == ("stop", "fire", "power_ok", "reset_key", "scale_infrared")
