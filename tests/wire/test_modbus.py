"""Modbus RTU: our own codec against pymodbus, and the conversation with an I/O board."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as registers

from edge.devices.driver import Output
from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire
from edge.devices.io_modbus.driver import ModbusDriver, Settings
from edge.devices.io_modbus.session import MOST_WAITING
from edge.devices.readings import (
    DeviceFault,
    InputsSeen,
    Order,
    OrderDone,
    OrderRefused,
    PulseRelay,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SetRelay,
    ShowText,
    TriggerRead,
)

# --- the codec, with pymodbus as oracle -------------------------------------------------------------------

SERVER = FramerRTU(DecodePDU(is_server=True))
CLIENT = FramerRTU(DecodePDU(is_server=False))

units = st.integers(1, 247)
words = st.integers(0, 0xFFFF)
bit_lists = st.lists(st.booleans(), min_size=1, max_size=1000)


def theirs(pdu: ModbusPDU) -> bytes:
    return SERVER.buildFrame(pdu)


def any_frame(data: bytes) -> list[object]:
    cutter = Cutter(wire.look_any)
    return [*cutter.feed(data), *cutter.quiet()]


@given(
    unit=units,
    address=st.integers(0, 60000),
    count=st.integers(1, 125),
    function=st.sampled_from([1, 2, 3, 4]),
)
def test_read_requests_are_the_bytes_pymodbus_sends(
    unit: int, address: int, count: int, function: int
) -> None:
    kinds: dict[int, Callable[..., ModbusPDU]] = {
        1: bits.ReadCoilsRequest,
        2: bits.ReadDiscreteInputsRequest,
        3: registers.ReadHoldingRegistersRequest,
        4: registers.ReadInputRegistersRequest,
    }
    request = wire.ReadRequest(unit, function, address, count)
    assert wire.encode(request) == theirs(kinds[function](address=address, count=count, dev_id=unit))


@given(unit=units, address=words, on=st.booleans())
def test_coil_orders_are_the_bytes_pymodbus_sends(unit: int, address: int, on: bool) -> None:
    request = wire.WriteOne(unit, wire.WRITE_COIL, address, wire.ON if on else wire.OFF)
    assert wire.encode(request) == theirs(
        bits.WriteSingleCoilRequest(address=address, bits=[on], dev_id=unit)
    )


@given(unit=units, address=words, value=words)
def test_register_orders_are_the_bytes_pymodbus_sends(unit: int, address: int, value: int) -> None:
    request = wire.WriteOne(unit, wire.WRITE_REGISTER, address, value)
    pdu = registers.WriteSingleRegisterRequest(address=address, registers=[value], dev_id=unit)
    assert wire.encode(request) == theirs(pdu)


@given(unit=units, address=st.integers(0, 60000), values=bit_lists)
def test_many_coils_are_the_bytes_pymodbus_sends_and_reads(
    unit: int, address: int, values: list[bool]
) -> None:
    request = wire.WriteCoils(unit, address, tuple(values))
    frame = theirs(bits.WriteMultipleCoilsRequest(address=address, bits=values, dev_id=unit))
    assert wire.encode(request) == frame
    assert any_frame(frame) == [request]


@given(unit=units, values=bit_lists, function=st.sampled_from([1, 2]))
def test_what_pymodbus_answers_to_a_read_of_bits_is_what_we_read(
    unit: int, values: list[bool], function: int
) -> None:
    kinds: dict[int, Callable[..., ModbusPDU]] = {
        1: bits.ReadCoilsResponse,
        2: bits.ReadDiscreteInputsResponse,
    }
    frame = theirs(kinds[function](bits=values, dev_id=unit))
    cutter = Cutter(wire.answers_to(wire.ReadRequest(unit, function, 0, len(values))))
    padded = tuple(values) + (False,) * (-len(values) % 8)
    assert cutter.feed(frame) == [wire.BitsReply(unit, function, padded)]
    assert wire.encode(wire.BitsReply(unit, function, padded)) == frame


@given(unit=units, values=st.lists(words, min_size=1, max_size=120), function=st.sampled_from([3, 4]))
def test_what_pymodbus_answers_to_a_read_of_registers_is_what_we_read(
    unit: int, values: list[int], function: int
) -> None:
    kinds: dict[int, Callable[..., ModbusPDU]] = {
        3: registers.ReadHoldingRegistersResponse,
        4: registers.ReadInputRegistersResponse,
    }
    frame = theirs(kinds[function](registers=values, dev_id=unit))
    reply = wire.RegistersReply(unit, function, tuple(values))
    cutter = Cutter(wire.answers_to(wire.ReadRequest(unit, function, 0, len(values))))
    assert cutter.feed(frame) == [reply]
    assert wire.encode(reply) == frame


@given(unit=units, function=st.sampled_from([1, 2, 3, 4, 5, 6, 15]), code=st.sampled_from([1, 2, 3, 4, 5, 6]))
def test_exceptions_are_the_bytes_of_pymodbus(unit: int, function: int, code: int) -> None:
    frame = theirs(ExceptionResponse(function, code, device_id=unit))
    assert wire.encode(wire.ExceptionReply(unit, function, code)) == frame
    assert any_frame(frame) == [wire.ExceptionReply(unit, function, code)]


@given(unit=units, address=words, on=st.booleans(), count=st.integers(1, 1000))
def test_pymodbus_reads_what_we_write(unit: int, address: int, on: bool, count: int) -> None:
    coil = wire.encode(wire.WriteOne(unit, wire.WRITE_COIL, address, wire.ON if on else wire.OFF))
    size, pdu = SERVER.handleFrame(coil, 0, 0)
    assert isinstance(pdu, bits.WriteSingleCoilRequest)
    assert (size, pdu.dev_id, pdu.address, pdu.bits[0]) == (8, unit, address, on)
    written = wire.encode(wire.WriteCoilsReply(unit, address, count))
    size, pdu = CLIENT.handleFrame(written, unit, 0)
    assert isinstance(pdu, bits.WriteMultipleCoilsResponse)
    assert (size, pdu.dev_id, pdu.address, pdu.count) == (8, unit, address, count)


# --- what a spoilt answer can do ----------------------------------------------------------------------------

POLL = wire.ReadRequest(1, wire.READ_INPUTS, 0, 16)
INPUTS = tuple(place in (2, 3, 5, 6, 7) for place in range(16))
ANSWER = wire.encode(wire.BitsReply(1, wire.READ_INPUTS, INPUTS))


def answers(data: bytes, request: wire.Request = POLL) -> list[object]:
    cutter = Cutter(wire.answers_to(request))
    told = [*cutter.feed(data), *cutter.quiet()]
    return [message for message in told if not isinstance(message, ReadGarbled | ReadTruncated)]


def test_one_byte_or_two_neighbours_changed_are_never_an_answer() -> None:
    passed = []
    for place in range(len(ANSWER) - 1):
        for change in (*range(1, 256), *range(256, 0x10000, 11)):
            wrong = bytearray(ANSWER)
            wrong[place + 1] ^= change & 0xFF
            wrong[place] ^= change >> 8
            if answers(bytes(wrong)):
                passed.append(wrong.hex())
    assert passed == []


def test_one_byte_lost_is_never_an_answer_and_one_added_never_another() -> None:
    lost = [ANSWER[:place] + ANSWER[place + 1 :] for place in range(len(ANSWER))]
    added = [ANSWER[:n] + bytes([byte]) + ANSWER[n:] for n in range(1, len(ANSWER)) for byte in range(256)]
    assert [answers(each) for each in lost] == [[]] * len(lost)
    # a first or last byte sent twice leaves a whole answer beside noise
    assert [found for each in added for found in answers(each)] == [wire.BitsReply(1, 2, INPUTS)] * 2


@pytest.mark.parametrize(
    "foreign",
    [
        wire.BitsReply(2, wire.READ_INPUTS, INPUTS),
        wire.BitsReply(1, wire.READ_COILS, INPUTS),
        wire.BitsReply(1, wire.READ_INPUTS, INPUTS[:8]),
        wire.BitsReply(1, wire.READ_INPUTS, INPUTS * 2),
        wire.WriteOne(1, wire.WRITE_COIL, 0, wire.ON),
        wire.ExceptionReply(1, wire.WRITE_COIL, 2),
        wire.ExceptionReply(2, wire.READ_INPUTS, 2),
        POLL,
    ],
    ids=repr,
)
def test_an_answer_to_anything_else_is_none(foreign: wire.Message) -> None:
    assert answers(wire.encode(foreign)) == []


@pytest.mark.parametrize(
    "other",
    [
        wire.WriteOne(1, wire.WRITE_COIL, 3, wire.ON),
        wire.WriteOne(1, wire.WRITE_COIL, 2, wire.OFF),
        wire.WriteOne(1, wire.WRITE_COIL, 0x202, wire.ON),
        wire.WriteOne(1, wire.WRITE_REGISTER, 2, wire.ON),
    ],
    ids=repr,
)
def test_an_echo_of_another_order_is_no_answer(other: wire.WriteOne) -> None:
    asked = wire.WriteOne(1, wire.WRITE_COIL, 2, wire.ON)
    assert answers(wire.encode(other), asked) == []
    assert answers(wire.encode(asked), asked) == [asked]


def test_a_three_byte_answer_that_could_be_a_request_is_read_as_what_is_possible() -> None:
    answer = wire.BitsReply(1, 1, (True,) * 24)
    request = wire.ReadRequest(1, 1, 0x0301, 0x0002)
    assert any_frame(wire.encode(answer)) == [answer]
    assert any_frame(wire.encode(request)) == [request]


def test_a_frame_followed_by_zeros_is_that_frame_although_the_longer_one_has_a_right_check_too() -> None:
    frame = wire.encode(wire.BitsReply(1, 1, (True,) + (False,) * 7))
    assert wire.crc16(frame + b"\0\0") == 0
    assert any_frame(frame + b"\0\0")[:1] == [wire.BitsReply(1, 1, (True,) + (False,) * 7)]


# --- the conversation ---------------------------------------------------------------------------------------

SETTINGS = Settings(poll_s=0.05, reply_timeout_s=0.2, settle_s=0.05, retries=2, silent_after=3)
POLLED = wire.encode(POLL)
RED_ON = wire.encode(wire.WriteOne(1, 5, 3, wire.ON))
OPEN_PULSE = wire.encode(wire.WriteOne(1, 5, 0x200, 5))


def board(settings: Settings = SETTINGS) -> ModbusDriver:
    """A driver that has polled once and got its answer at 0.0; the next poll is due at 0.05."""
    driver = ModbusDriver(settings)
    driver.opened(0.0)
    driver.received(0.0, ANSWER)
    return driver


def test_opening_polls_and_the_answer_is_all_inputs_as_wired() -> None:
    driver = ModbusDriver(SETTINGS)
    assert driver.opened(3.0) == Output(send=POLLED, wake_at_s=3.2)
    answered = driver.received(3.01, ANSWER)
    assert answered.readings == (InputsSeen(INPUTS),)
    assert answered.wake_at_s == pytest.approx(3.06)
    again = driver.due(3.061)
    assert again.send == POLLED
    assert again.wake_at_s == pytest.approx(3.261)


def test_inputs_beyond_those_asked_for_are_not_told() -> None:
    driver = ModbusDriver(Settings(inputs=10))
    driver.opened(0.0)
    assert driver.received(0.0, ANSWER).readings == (InputsSeen(INPUTS[:10]),)


def test_an_order_goes_out_at_once_where_the_line_is_free() -> None:
    driver = board()
    sent = driver.order(0.01, "red", SetRelay(3, on=True))
    assert sent.send == RED_ON
    assert sent.wake_at_s == pytest.approx(0.21)
    assert driver.received(0.02, RED_ON) == Output((OrderDone("red"),), wake_at_s=0.05)


def test_a_pulse_is_ended_by_the_board() -> None:
    driver = board()
    assert driver.order(0.01, "open", PulseRelay(0, 0.5)).send == OPEN_PULSE
    assert driver.received(0.02, OPEN_PULSE).readings == (OrderDone("open"),)


@pytest.mark.parametrize(
    ("duration_s", "units_sent"), [(0.001, 1), (0.1, 1), (0.25, 2), (0.7, 7), (3276.7, 0x7FFF)]
)
def test_a_pulse_lasts_the_nearest_tenth_of_a_second_and_at_least_one(
    duration_s: float, units_sent: int
) -> None:
    sent = board().order(0.0, "o", PulseRelay(1, duration_s)).send
    assert sent == wire.encode(wire.WriteOne(1, 5, 0x201, units_sent))


def test_orders_wait_for_the_outstanding_poll_then_go_before_polls_in_their_order() -> None:
    driver = board()
    driver.due(0.05)
    assert driver.order(0.06, "open", PulseRelay(0, 0.5)).send == b""
    assert driver.order(0.06, "red", SetRelay(3, on=True)).send == b""
    first = driver.received(0.07, ANSWER)
    assert (first.readings, first.send) == ((InputsSeen(INPUTS),), OPEN_PULSE)
    second = driver.received(0.5, OPEN_PULSE)
    assert (second.readings, second.send) == ((OrderDone("open"),), RED_ON)
    third = driver.received(0.51, RED_ON)
    assert (third.readings, third.send) == ((OrderDone("red"),), POLLED)


def test_an_unanswered_order_is_sent_again_and_then_refused() -> None:
    driver = board()
    first = driver.order(0.01, "open", PulseRelay(0, 0.5))
    sent, wake = [first.send], first.wake_at_s
    told: list[Reading] = []
    for _ in range(6):
        assert wake is not None
        output = driver.due(wake)
        wake = output.wake_at_s
        told += output.readings
        sent += [output.send] if output.send else []
    assert sent == [OPEN_PULSE] * 3 + [POLLED]
    assert [reading for reading in told if isinstance(reading, OrderRefused)] == [
        OrderRefused("open", "no answer after 3 attempts")
    ]


def test_an_order_answered_on_its_second_sending_is_done_and_the_next_has_all_its_attempts() -> None:
    driver = board()
    driver.order(0.0, "open", PulseRelay(0, 0.5))
    driver.due(0.2)
    assert driver.due(0.25).send == OPEN_PULSE
    assert driver.received(0.3, OPEN_PULSE).readings == (OrderDone("open"),)
    driver.order(0.3, "red", SetRelay(3, on=True))
    output = driver.received(0.31, ANSWER)
    sent = [output.send]
    for _ in range(8):
        assert output.wake_at_s is not None
        output = driver.due(output.wake_at_s)
        sent.append(output.send)
    assert sent.count(RED_ON) == 3


def test_a_late_answer_falls_into_the_stillness_after_a_timeout_and_answers_nothing() -> None:
    driver = board()
    driver.order(0.0, "red on", SetRelay(3, on=True))
    driver.order(0.0, "red on again", SetRelay(3, on=True))
    assert driver.due(0.2).send == b""
    late = driver.received(0.21, RED_ON)
    assert [type(reading) for reading in late.readings] == [ReadGarbled]
    assert late.wake_at_s == pytest.approx(0.26)
    assert driver.due(0.26).send == RED_ON


def test_an_answer_to_another_order_or_to_the_poll_does_not_answer_the_order() -> None:
    driver = board()
    driver.order(0.0, "red", SetRelay(3, on=True))
    for foreign in (OPEN_PULSE, ANSWER, wire.encode(wire.WriteOne(2, 5, 3, wire.ON))):
        assert [
            r for r in driver.received(0.1, foreign).readings if isinstance(r, OrderDone | InputsSeen)
        ] == []
    assert OrderDone("red") in driver.received(0.15, RED_ON).readings


def test_two_answers_to_one_request_count_once() -> None:
    driver = board()
    driver.due(0.05)
    told = driver.received(0.06, ANSWER + ANSWER).readings
    assert [type(reading) for reading in told] == [InputsSeen, ReadGarbled]


def test_a_line_that_is_never_still_is_asked_again_all_the_same() -> None:
    driver = board()
    driver.order(0.0, "open", PulseRelay(0, 0.5))
    sent, refused, at_s = 0, 0, 0.0
    for _ in range(400):
        at_s += 0.01
        for output in (driver.received(at_s, b"\x00"), driver.due(at_s)):
            sent += output.send == OPEN_PULSE
            refused += any(isinstance(reading, OrderRefused) for reading in output.readings)
    assert (sent, refused) == (2, 1)


def test_a_board_that_refuses_an_order_is_believed_at_once() -> None:
    driver = board()
    driver.order(0.0, "open", PulseRelay(0, 0.5))
    output = driver.received(0.1, wire.encode(wire.ExceptionReply(1, 5, 2)))
    assert output.readings == (OrderRefused("open", "the board answered illegal_address"),)


def test_a_busy_board_is_asked_again_and_the_order_refused_in_the_end() -> None:
    driver = board()
    busy = wire.encode(wire.ExceptionReply(1, 5, 6))
    sent = [driver.order(0.0, "open", PulseRelay(0, 0.5)).send]
    told: list[Reading] = []
    at_s = 0.0
    for _ in range(3):
        output = driver.received(at_s, busy)
        told += output.readings
        at_s += 0.05
        sent.append(driver.due(at_s).send)
    assert sent[:3] == [OPEN_PULSE] * 3
    assert told == [OrderRefused("open", "the board answered busy")]


def test_silence_is_told_once_and_ends_with_an_answer() -> None:
    driver = board()
    told: list[Reading] = []
    wake: float | None = 0.05
    for _ in range(20):
        assert wake is not None
        output = driver.due(wake)
        told += output.readings
        last, wake = wake, output.wake_at_s
    assert told == [ReadGarbled(b"", "no answer to 3 requests in a row")]
    while driver.due(last).send != POLLED:
        last += 0.05
    assert driver.received(last + 0.01, ANSWER).readings == (InputsSeen(INPUTS),)


def test_an_exception_to_polling_is_a_fault_told_once() -> None:
    driver = board()
    told: list[Reading] = []
    for at_s in (1.0, 2.0, 3.0):
        driver.due(at_s)
        told += driver.received(at_s, wire.encode(wire.ExceptionReply(1, 2, 4))).readings
    assert told == [DeviceFault("device_failure", "to reading its inputs")]


def test_half_an_answer_is_told_as_cut_off_and_the_board_asked_again() -> None:
    driver = board()
    driver.due(0.05)
    driver.received(0.06, ANSWER[:4])
    output = driver.due(0.25)
    assert output.readings == (ReadTruncated(ANSWER[:4]),)
    assert driver.due(0.3).send == POLLED


def test_opening_again_refuses_the_orders_that_wait_and_polls() -> None:
    driver = board()
    driver.order(0.0, "open", PulseRelay(0, 0.5))
    driver.order(0.0, "red", SetRelay(3, on=True))
    output = driver.opened(1.0)
    assert [r.order_id for r in output.readings if isinstance(r, OrderRefused)] == ["open", "red"]
    assert output.send == POLLED
    assert driver.received(1.01, OPEN_PULSE + ANSWER).readings[-1] == InputsSeen(INPUTS)


@pytest.mark.parametrize(
    "order",
    [
        PulseRelay(8, 0.5), PulseRelay(-1, 0.5), SetRelay(8, on=True), PulseRelay(0, 0.0),
        PulseRelay(0, 3277.0), PulseRelay(0, float("nan")), ShowText(("x",), "red"), TriggerRead(),
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_board_cannot_do_is_refused_and_never_sent(order: Order) -> None:
    output = board().order(0.01, "o", order)
    assert [type(reading) for reading in output.readings] == [OrderRefused]
    assert (output.send, output.wake_at_s) == (b"", 0.05)


def test_orders_before_the_line_is_open_or_beyond_what_may_wait_are_refused() -> None:
    shut = ModbusDriver(SETTINGS).order(0.0, "o", SetRelay(0, on=True))
    driver = board()
    outputs = [driver.order(0.0, str(n), SetRelay(0, on=True)) for n in range(MOST_WAITING + 1)]
    assert [type(r) for r in shut.readings] == [OrderRefused]
    assert [bool(output.readings) for output in outputs] == [False] * MOST_WAITING + [True]


def test_never_two_requests_are_outstanding() -> None:
    driver = ModbusDriver(SETTINGS)
    sent = [driver.opened(0.0).send]
    sent += [driver.order(0.01, str(n), SetRelay(n, on=True)).send for n in range(5)]
    sent += [driver.due(0.1).send, driver.received(0.1, b"\x01\x02").send]
    assert [frame for frame in sent if frame] == [POLLED]


steps = st.lists(
    st.tuples(
        st.floats(0.0, 0.3),
        st.one_of(
            st.sampled_from([ANSWER, RED_ON, OPEN_PULSE, ANSWER[:5], b"\x01", "answer", "answer", "answer"]),
            st.binary(max_size=12),
            st.sampled_from([SetRelay(3, on=True), PulseRelay(0, 0.5)]),
        ),
    ),
    max_size=40,
)


@given(steps=steps)
def test_every_order_gets_exactly_one_answer_and_polling_never_stops(
    steps: list[tuple[float, bytes | str | Order]],
) -> None:
    driver = ModbusDriver(SETTINGS)
    output = driver.opened(0.0)
    at_s, outstanding, given_orders = 0.0, output.send, 0
    wake = output.wake_at_s
    answered: list[str] = []

    def take(found: Output) -> None:
        nonlocal outstanding, wake
        outstanding = found.send or outstanding
        wake = found.wake_at_s
        answered.extend(r.order_id for r in found.readings if isinstance(r, OrderDone | OrderRefused))

    for wait_s, step in steps:
        at_s += wait_s
        take(driver.due(at_s))
        match step:
            case bytes():
                take(driver.received(at_s, step))
            case str():
                take(driver.received(at_s, ANSWER if outstanding == POLLED else outstanding))
            case _:
                take(driver.order(at_s, str(given_orders), step))
                given_orders += 1
    polls = 0
    for _ in range(6 * given_orders + 10):
        assert wake is not None
        at_s = max(at_s, wake)
        found = driver.due(at_s)
        polls += found.send == POLLED
        take(found)
    assert sorted(answered) == sorted(str(n) for n in range(given_orders))
    assert polls > 0
