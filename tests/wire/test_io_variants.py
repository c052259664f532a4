"""Relay boards of two makes, on the input board or apart, over RTU and Modbus TCP, with pymodbus beside."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import register_message as registers

from edge.devices.catalogue import decode_frames, make_driver
from edge.devices.driver import Output
from edge.devices.framing import Cutter
from edge.devices.io_modbus import wire
from edge.devices.io_modbus.driver import ModbusDriver, Settings
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
)
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.io_board import IoBoard
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.scenario import RELAY_STYLES, RelayStyle

FUZZ = int(os.environ.get("KAKOU_FUZZ", "4000"))
SERVER = FramerSocket(DecodePDU(is_server=True))
CLIENT = FramerSocket(DecodePDU(is_server=False))

units = st.integers(1, 247)
words = st.integers(0, 0xFFFF)
POLL = wire.ReadRequest(1, wire.READ_INPUTS, 0, 16)
INPUTS = tuple(place in (2, 3, 5, 6, 7) for place in range(16))
REPLY = wire.BitsReply(1, wire.READ_INPUTS, INPUTS)


def theirs(pdu: ModbusPDU, transaction: int) -> bytes:
    pdu.transaction_id = transaction
    return SERVER.buildFrame(pdu)


# --- Modbus TCP, with pymodbus as oracle --------------------------------------------------------------------


@given(
    unit=units,
    address=st.integers(0, 60000),
    count=st.integers(1, 125),
    function=st.sampled_from([1, 2, 3, 4]),
    transaction=words,
)
def test_read_requests_over_tcp_are_the_bytes_pymodbus_sends(
    unit: int, address: int, count: int, function: int, transaction: int
) -> None:
    kinds: dict[int, Callable[..., ModbusPDU]] = {
        1: bits.ReadCoilsRequest,
        2: bits.ReadDiscreteInputsRequest,
        3: registers.ReadHoldingRegistersRequest,
        4: registers.ReadInputRegistersRequest,
    }
    frame = theirs(kinds[function](address=address, count=count, dev_id=unit), transaction)
    assert wire.encode_tcp(wire.ReadRequest(unit, function, address, count), transaction) == frame


@given(unit=units, address=words, on=st.booleans(), value=words, transaction=words)
def test_relay_orders_over_tcp_are_the_bytes_pymodbus_sends(
    unit: int, address: int, on: bool, value: int, transaction: int
) -> None:
    coil = wire.WriteOne(unit, wire.WRITE_COIL, address, wire.ON if on else wire.OFF)
    register = wire.WriteOne(unit, wire.WRITE_REGISTER, address, value)
    pdus = (
        bits.WriteSingleCoilRequest(address=address, bits=[on], dev_id=unit),
        registers.WriteSingleRegisterRequest(address=address, registers=[value], dev_id=unit),
    )
    ours = [wire.encode_tcp(each, transaction) for each in (coil, register)]
    assert ours == [theirs(pdu, transaction) for pdu in pdus]


@given(unit=units, values=st.lists(st.booleans(), min_size=1, max_size=200), transaction=words)
def test_what_pymodbus_answers_over_tcp_is_what_we_read(
    unit: int, values: list[bool], transaction: int
) -> None:
    frame = theirs(bits.ReadDiscreteInputsResponse(bits=values, dev_id=unit), transaction)
    request = wire.ReadRequest(unit, wire.READ_INPUTS, 0, len(values))
    padded = tuple(values) + (False,) * (-len(values) % 8)
    cutter = Cutter(wire.tcp_answers_to(request, transaction))
    assert cutter.feed(frame) == [wire.BitsReply(unit, wire.READ_INPUTS, padded)]


@given(unit=units, function=st.sampled_from([1, 2, 3, 4, 5, 6]), code=st.integers(1, 6), transaction=words)
def test_exceptions_over_tcp_are_those_of_pymodbus(
    unit: int, function: int, code: int, transaction: int
) -> None:
    frame = theirs(ExceptionResponse(function, code, device_id=unit), transaction)
    reply = wire.ExceptionReply(unit, function, code)
    kinds = {5: wire.WriteOne(unit, 5, 0, wire.ON), 6: wire.WriteOne(unit, 6, 1, 0x0100)}
    request = kinds.get(function, wire.ReadRequest(unit, function, 0, 8))
    assert wire.encode_tcp(reply, transaction) == frame
    assert Cutter(wire.tcp_answers_to(request, transaction)).feed(frame) == [reply]


@given(unit=units, address=words, on=st.booleans(), transaction=words)
def test_pymodbus_reads_what_we_send_over_tcp(unit: int, address: int, on: bool, transaction: int) -> None:
    frame = wire.encode_tcp(wire.switch("waveshare", unit, address & 31, on=on), transaction)
    size, pdu = SERVER.handleFrame(frame, 0, 0)
    assert isinstance(pdu, bits.WriteSingleCoilRequest)
    assert (size, pdu.transaction_id, pdu.dev_id, pdu.bits[0]) == (12, transaction, unit, on)


@pytest.mark.parametrize(
    "foreign",
    [
        wire.encode_tcp(REPLY, 8),
        wire.encode_tcp(wire.BitsReply(2, 2, INPUTS), 7),
        wire.encode_tcp(wire.BitsReply(1, 1, INPUTS), 7),
        wire.encode_tcp(wire.BitsReply(1, 2, INPUTS[:8]), 7),
        wire.encode_tcp(wire.BitsReply(1, 2, INPUTS * 2), 7),
        wire.encode_tcp(POLL, 7),
        wire.encode_tcp(wire.ExceptionReply(1, 5, 2), 7),
        wire.encode(REPLY),
        bytes.fromhex("0007000100050102020000"),
        bytes.fromhex("0007000000060102020000"),
        bytes.fromhex("0007000000050102030000"),
    ],
    ids=lambda data: data.hex(),
)
def test_over_tcp_an_answer_to_anything_else_is_none(foreign: bytes) -> None:
    cutter = Cutter(wire.tcp_answers_to(POLL, 7))
    told = [*cutter.feed(foreign), *cutter.quiet()]
    assert [m for m in told if not isinstance(m, ReadGarbled | ReadTruncated)] == []


@pytest.mark.timeout(3600)
def test_random_bytes_are_no_answer_over_tcp_and_never_raise() -> None:
    draw = random.Random(11)
    answer = wire.encode_tcp(REPLY, 7)
    wrong = []
    for _ in range(FUZZ):
        data = bytearray(answer + draw.randbytes(draw.randrange(12)))
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(9)] ^= draw.randrange(1, 256)
        cutter = Cutter(wire.tcp_answers_to(POLL, 7))
        told = [*cutter.feed(bytes(data)), *cutter.quiet()]
        found = [m for m in told if not isinstance(m, ReadGarbled | ReadTruncated)]
        # changes may cancel one another: then it is the answer
        if found and bytes(data[:9]) != answer[:9]:
            wrong.append(bytes(data).hex())
        decode_frames("io.modbus_rtu", bytes(data))
    assert wrong == []


def test_the_driver_counts_its_transactions_and_a_late_answer_is_noise() -> None:
    driver = ModbusDriver(Settings(framing="tcp"))
    assert driver.opened(0.0).send == wire.encode_tcp(POLL, 1)
    assert driver.received(0.01, wire.encode_tcp(REPLY, 1)).readings == (InputsSeen(INPUTS),)
    assert driver.due(0.061).send == wire.encode_tcp(POLL, 2)
    driver.due(0.262)
    assert driver.due(0.313).send == wire.encode_tcp(POLL, 3)
    # RTU could not tell this one from the answer to the poll now outstanding
    late = driver.received(0.33, wire.encode_tcp(REPLY, 2)).readings
    answered = driver.received(0.34, wire.encode_tcp(REPLY, 3)).readings
    assert late == ()
    assert [type(r) for r in answered] == [ReadGarbled, InputsSeen]


def test_transactions_begin_again_after_the_last() -> None:
    driver = ModbusDriver(Settings(framing="tcp", poll_s=0))
    sent = driver.opened(0.0).send
    for _ in range(0x10000):
        transaction = int.from_bytes(sent[:2])
        sent = driver.received(0.0, wire.encode_tcp(REPLY, transaction)).send
    assert sent == wire.encode_tcp(POLL, 1)


# --- relay orders of the two makes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "waveshare", "r421a08"),
    [
        (SetRelay(0, on=True), "01 05 00 00 FF 00", "01 06 00 01 01 00"),
        (SetRelay(7, on=False), "01 05 00 07 00 00", "01 06 00 08 02 00"),
        (PulseRelay(0, 0.7), "01 05 02 00 00 07", "01 06 00 01 05 00"),
        (PulseRelay(2, 1.0), "01 05 02 02 00 0A", "01 06 00 03 05 00"),
        (PulseRelay(2, 1.1), "01 05 02 02 00 0B", "01 06 00 03 06 02"),
        (PulseRelay(2, 30.0), "01 05 02 02 01 2C", "01 06 00 03 06 1E"),
    ],
    ids=repr,
)
def test_an_order_is_the_bytes_of_its_board(order: Order, waveshare: str, r421a08: str) -> None:
    sent = []
    for style in RELAY_STYLES:
        driver = ModbusDriver(Settings(relay_style=style))
        driver.opened(0.0)
        driver.received(0.0, wire.encode(REPLY))
        sent.append(driver.order(0.0, "o", order).send)
    assert sent == [wire.sealed(bytes.fromhex(each)) for each in (waveshare, r421a08)]


@given(duration_s=st.floats(0.001, 30.0))
def test_an_r421_pulse_is_whole_seconds_and_never_shorter_than_asked(duration_s: float) -> None:
    request = wire.pulse("r421a08", 1, 0, duration_s)
    seconds = {wire.R421_ONE_SECOND: 1}.get(request.value, request.value - wire.R421_SECONDS)
    assert duration_s <= seconds < duration_s + 1 or (seconds, duration_s <= 1) == (1, True)


@pytest.mark.parametrize(("style", "longest_s"), [("waveshare", 3276.7), ("r421a08", 30.0)])
def test_a_pulse_longer_than_the_board_can_time_is_refused(style: RelayStyle, longest_s: float) -> None:
    driver = ModbusDriver(Settings(relay_style=style))
    driver.opened(0.0)
    driver.received(0.0, wire.encode(REPLY))
    too_long = driver.order(0.0, "o", PulseRelay(0, longest_s + 1)).readings
    assert too_long == (
        OrderRefused("o", f"a pulse of {longest_s + 1:g} s: above 0, at most {longest_s:g} s"),
    )
    assert driver.order(0.0, "o", PulseRelay(0, longest_s)).send != b""


@pytest.mark.parametrize("variant", ["r421a08", "r421a08, apart", "r421a08, apart, tcp"])
def test_a_light_held_by_pulses_goes_out_when_told_although_its_board_ignores_off(variant: str) -> None:
    """Measured on an RYN408F: while 06ss runs, 0200 is taken and does nothing."""
    line = joined(variant).run(0.5)
    line.order("green", PulseRelay(2, 5.0))
    line.run(0.5)
    lit = line.board.relays[2]
    line.order("off", SetRelay(2, on=False))
    line.run(0.5)
    assert (lit, line.board.relays[2]) == (True, False)
    answers = [r.order_id for r in line.told if isinstance(r, OrderDone | OrderRefused)]
    assert answers == ["green", "off"]


def test_a_board_that_does_not_know_how_to_end_a_pulse_is_told_to_open_all_the_same() -> None:
    driver = ModbusDriver(Settings(relay_style="r421a08"))
    driver.opened(0.0)
    driver.received(0.0, wire.encode(REPLY))
    driver.received(0.01, driver.order(0.01, "green", PulseRelay(2, 5.0)).send)
    ending = driver.order(0.02, "off", SetRelay(2, on=False)).send
    assert ending == wire.encode(wire.WriteOne(1, wire.WRITE_REGISTER, 3, wire.R421_SECONDS))
    refused = driver.received(0.03, wire.encode(wire.ExceptionReply(1, wire.WRITE_REGISTER, 3)))
    assert refused.readings == ()
    assert refused.send == wire.encode(wire.WriteOne(1, wire.WRITE_REGISTER, 3, wire.R421_OPEN))
    assert driver.received(0.04, refused.send).readings == (OrderDone("off"),)


def test_a_toggle_is_never_sent() -> None:
    every = [
        wire.switch(style, 1, channel, on=on).value
        for style in RELAY_STYLES for channel in range(8) for on in (True, False)
    ]  # fmt: skip
    every += [wire.pulse("r421a08", 1, 0, n / 10).value for n in range(1, 301)]
    assert {value >> 8 for value in every} & {0x55, 0x03, 0x04} == set()


# --- a relay board of its own -------------------------------------------------------------------------------

APART = Settings(relay_unit_id=2, relay_style="r421a08", relay_check_s=1.0, poll_s=0.05)
CHECK = wire.encode(wire.ReadRequest(2, wire.READ_HOLDING, 1, 1))
CHECKED = wire.encode(wire.RegistersReply(2, wire.READ_HOLDING, (0,)))


def apart() -> ModbusDriver:
    """Both boards have answered once, at 0.0."""
    driver = ModbusDriver(APART)
    sent = driver.opened(0.0).send
    for _ in range(2):
        sent = driver.received(0.0, CHECKED if sent == CHECK else wire.encode(REPLY)).send
    return driver


def test_a_separate_relay_board_is_asked_now_and_then_between_polls() -> None:
    driver = apart()
    sent: list[tuple[float, bytes]] = []
    at_s = 0.0
    while at_s < 3.0:
        at_s = round(at_s + 0.01, 2)
        found = driver.due(at_s).send
        if found:
            sent.append((at_s, found))
            more = driver.received(at_s, CHECKED if found == CHECK else wire.encode(REPLY)).send
            sent += [(at_s, more)] if more else []
            if more:
                driver.received(at_s, CHECKED if more == CHECK else wire.encode(REPLY))
    checks = [at for at, frame in sent if frame == CHECK]
    assert len(checks) == 3
    assert len(sent) > 40


def test_orders_go_to_the_relay_board_and_polls_to_the_input_board() -> None:
    driver = apart()
    sent = driver.order(0.01, "open", PulseRelay(0, 0.5)).send
    assert sent == wire.encode(wire.WriteOne(2, wire.WRITE_REGISTER, 1, wire.R421_ONE_SECOND))
    assert driver.received(0.02, sent).readings == (OrderDone("open"),)
    assert driver.due(0.06).send == wire.encode(POLL)


def play_dead_relay_board(driver: ModbusDriver, until_s: float) -> tuple[list[Reading], float]:
    """Input board alive, relay board not; (what was told, longest time between two readings of inputs)."""
    told: list[Reading] = []
    at_s, last_s, worst_s = 0.0, 0.0, 0.0
    while at_s < until_s:
        at_s = round(at_s + 0.01, 2)
        output = driver.due(at_s)
        while True:
            told += output.readings
            if any(isinstance(r, InputsSeen) for r in output.readings):
                worst_s, last_s = max(worst_s, at_s - last_s), at_s
            if output.send[:1] != b"\x01":
                break
            output = driver.received(at_s, wire.encode(REPLY))
    return told, worst_s


def test_a_relay_board_that_is_lost_is_told_once_while_inputs_go_on() -> None:
    driver = apart()
    told, worst_s = play_dead_relay_board(driver, 12.0)
    faults = [r for r in told if isinstance(r, DeviceFault)]
    assert faults == [DeviceFault("relay_board_silent", "no answer to 3 requests in a row")]
    assert len([r for r in told if isinstance(r, InputsSeen)]) > 100
    assert worst_s < 0.4


def test_an_order_to_a_lost_relay_board_lets_polls_through_between_its_attempts() -> None:
    driver = apart()
    driver.order(0.0, "open", PulseRelay(0, 0.5))
    told, worst_s = play_dead_relay_board(driver, 2.0)
    refused = [r for r in told if isinstance(r, OrderRefused)]
    assert refused == [OrderRefused("open", "no answer after 3 attempts")]
    assert worst_s < 0.4


def test_a_relay_board_that_is_back_and_lost_again_is_told_again() -> None:
    driver = apart()
    first, _ = play_dead_relay_board(driver, 8.0)
    at_s = 8.0
    while (sent := driver.due(at_s).send) != CHECK:
        at_s = round(at_s + 0.01, 2)
        if sent:
            driver.received(at_s, wire.encode(REPLY))
    driver.received(at_s, CHECKED)
    again: list[Reading] = []
    for _ in range(800):
        at_s = round(at_s + 0.01, 2)
        output = driver.due(at_s)
        while True:
            again += output.readings
            if output.send[:1] != b"\x01":
                break
            output = driver.received(at_s, wire.encode(REPLY))
    assert [type(r) for r in first + again].count(DeviceFault) == 2


def test_a_line_on_which_nobody_answers_never_seems_to_speak() -> None:
    driver = apart()
    told: list[Reading] = []
    for step in range(2000):
        told += driver.due(step / 100).readings
    assert {type(r) for r in told} == {ReadGarbled}


def test_a_relay_board_that_knows_no_status_read_is_there_all_the_same() -> None:
    driver = ModbusDriver(APART)
    told: list[Reading] = []
    output = driver.opened(0.0)
    illegal = wire.encode(wire.ExceptionReply(2, wire.READ_HOLDING, 1))
    at_s = 0.0
    for _ in range(500):
        told += output.readings
        if output.send:
            output = driver.received(at_s, illegal if output.send == CHECK else wire.encode(REPLY))
        else:
            at_s = round(at_s + 0.01, 2)
            output = driver.due(at_s)
    assert {type(r) for r in told} == {InputsSeen}


# --- against the simulated boards ---------------------------------------------------------------------------


class Joined:
    """A driver and a simulated board on one cable, in steps of 10 ms."""

    def __init__(self, board: IoBoard, physics: LanePhysics, **settings: object) -> None:
        self.board = board
        self.physics = physics
        self.driver = make_driver("io.modbus_rtu", settings)
        self.told: list[Reading] = []
        self.now_s = 0.0
        self._wake_s: float | None = None
        self.alive = True
        self._take(self.driver.opened(0.0))

    def order(self, order_id: str, order: Order) -> None:
        self._take(self.driver.order(self.now_s, order_id, order))

    def run(self, for_s: float) -> Joined:
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.now_s = round(self.now_s + 0.01, 6)
            self.physics.advance(self.now_s)
            data = self.board.advance(self.now_s)
            if self.alive and data:
                self._take(self.driver.received(self.now_s, data))
            if self.alive and self._wake_s is not None and self._wake_s <= self.now_s:
                self._take(self.driver.due(self.now_s))
        return self

    def _take(self, output: Output) -> None:
        self.told += output.readings
        self._wake_s = output.wake_at_s
        if output.send:
            self.board.receive(self.now_s, output.send)


VARIANTS: dict[str, dict[str, object]] = {
    "waveshare": {},
    "waveshare, tcp": {"framing": "tcp"},
    "waveshare, apart": {"relay_unit": 2},
    "r421a08": {"relay_style": "r421a08"},
    "r421a08, apart": {"relay_style": "r421a08", "relay_unit": 9},
    "r421a08, apart, tcp": {"relay_style": "r421a08", "relay_unit": 9, "framing": "tcp"},
    "waveshare, uploads": {"uploads": True},
    "r421a08, apart, uploads": {"relay_style": "r421a08", "relay_unit": 9, "uploads": True},
}


def joined(variant: str) -> Joined:
    options = VARIANTS[variant]
    physics = LanePhysics(BarrierSettings(), quiet_log)
    make: Callable[..., IoBoard] = IoBoard
    settings = {key: value for key, value in options.items() if key in ("framing", "relay_style")}
    return Joined(make(physics, **options), physics, relay_unit_id=options.get("relay_unit", 0), **settings)


def rate_of(kind: FaultKind) -> float | None:
    return 0.3 if kind is FaultKind.CUT else None


@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_are_told_and_orders_switch_the_relays(variant: str) -> None:
    line = joined(variant).run(0.5)
    line.order("red", SetRelay(3, on=True))
    line.order("pulse", PulseRelay(2, 0.8))
    line.run(0.4)
    during = line.board.relays
    line.run(2.0)
    line.order("dark", SetRelay(3, on=False))
    line.run(0.5)
    done = [r for r in line.told if isinstance(r, OrderDone | OrderRefused)]
    assert done == [OrderDone("red"), OrderDone("pulse"), OrderDone("dark")]
    assert (during[2:4], line.board.relays[2:4]) == ((True, True), (False, False))
    assert {len(r.values) for r in line.told if isinstance(r, InputsSeen)} == {16}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_relay_held_by_renewed_pulses_stays_on_and_falls_when_the_program_dies(variant: str) -> None:
    line = joined(variant).run(0.5)
    held = []
    for number in range(10):
        line.order(str(number), PulseRelay(2, 5.0))
        line.run(2.0)
        held.append(line.board.relays[2])
    line.alive = False
    line.run(2.5)
    shortly_after = line.board.relays[2]
    line.run(1.5)
    assert held == [True] * 10
    assert (shortly_after, line.board.relays[2]) == (True, False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_held_relay_that_is_switched_off_stays_off(variant: str) -> None:
    line = joined(variant).run(0.5)
    line.order("hold", PulseRelay(2, 5.0))
    line.run(1.0)
    line.order("off", SetRelay(2, on=False))
    states = []
    for _ in range(8):
        line.run(1.0)
        states.append(line.board.relays[2])
    assert states == [False] * 8


# bytes do not flip inside TCP, and Modbus TCP has no check of its own
SPOILT = [
    (variant, kind)
    for variant in VARIANTS
    for kind in (FaultKind.FLIP, FaultKind.CHATTER, FaultKind.CUT, FaultKind.SLOW)
    if kind is not FaultKind.FLIP or "tcp" not in variant
]


@pytest.mark.parametrize(("variant", "kind"), SPOILT)
def test_a_spoilt_line_answers_every_order_and_tells_no_other_inputs(variant: str, kind: FaultKind) -> None:
    line = joined(variant)
    expected = line.physics.inputs()
    line.board.set_fault(0.0, Fault(kind=kind, rate=rate_of(kind), delay_s=0.15), True)
    wrong = []
    for number in range(30):
        wanted = number % 2 == 0
        line.order(str(number), SetRelay(5, on=wanted))
        line.run(1.5)
        if OrderDone(str(number)) in line.told and line.board.relays[5] is not wanted:
            wrong.append(number)
    line.run(10.0)
    answered = [r.order_id for r in line.told if isinstance(r, OrderDone | OrderRefused)]
    assert sorted(answered, key=int) == [str(n) for n in range(30)]
    assert {r.values for r in line.told if isinstance(r, InputsSeen)} <= {expected}
    assert wrong == []


@pytest.mark.parametrize("variant", ["waveshare, uploads", "r421a08, apart, uploads"])
def test_what_a_board_says_unasked_is_counted_as_noise_and_costs_nothing(variant: str) -> None:
    line = joined(variant)
    for number in range(20):
        line.order(str(number), SetRelay(5, on=number % 2 == 0))
        line.run(0.5)
    noise = [r for r in line.told if isinstance(r, ReadGarbled | ReadTruncated)]
    assert len(noise) >= 10
    assert [r for r in line.told if isinstance(r, OrderRefused | DeviceFault)] == []
    assert len([r for r in line.told if isinstance(r, OrderDone)]) == 20


def test_a_relay_board_without_supply_is_told_while_the_inputs_go_on() -> None:
    line = joined("r421a08, apart").run(1.0)
    line.order("red", SetRelay(3, on=True))
    line.run(0.5)
    line.board.lose_relay_board(line.now_s)
    line.run(8.0)
    line.order("open", PulseRelay(0, 0.5))
    line.run(2.0)
    assert DeviceFault("relay_board_silent", "no answer to 3 requests in a row") in line.told
    assert isinstance(line.told[-1], InputsSeen)
    assert OrderRefused("open", "no answer after 3 attempts") in line.told
    assert line.board.relays == (False,) * 8


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.DEAD])
def test_a_silent_line_refuses_orders_and_tells_no_inputs_until_it_is_back(
    variant: str, kind: FaultKind
) -> None:
    line = joined(variant).run(1.0)
    line.board.set_fault(line.now_s, Fault(kind=kind), True)
    line.run(0.5)
    before = len(line.told)
    line.order("o", SetRelay(5, on=True))
    line.run(8.0)
    silent = line.told[before:]
    line.board.set_fault(line.now_s, Fault(kind=kind), False)
    line.order("p", SetRelay(5, on=True))
    line.run(3.0)
    assert {type(r) for r in silent} <= {OrderRefused, ReadGarbled}
    assert [r.order_id for r in silent if isinstance(r, OrderRefused)] == ["o"]
    assert OrderDone("p") in line.told
    assert isinstance(line.told[-1], InputsSeen)
