"""Drivers against simulators that share no line with them: two readings of the same data sheets must agree.

Virtual time in steps of 10 ms. Under every fault of a line a driver may tell less, never something else.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.devices.catalogue import make_driver
from edge.devices.driver import Driver, Output
from edge.devices.readings import (
    CodeSeen,
    DeviceFault,
    InputsSeen,
    OrderDone,
    OrderRefused,
    PlateSeen,
    PulseRelay,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SetRelay,
    ShowText,
    TagSeen,
    WeightSeen,
)
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices import Device
from hardware_sims.devices.io_board import IoBoard
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.plate_camera import PlateCamera
from hardware_sims.devices.rfid_reader import RfidReader
from hardware_sims.devices.scanner import Scanner, transmission
from hardware_sims.devices.weighbridge import Weighbridge, toledo_continuous, yaohua_tf0
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.vehicles import Vehicle

EPC = "E2004074850A0103163070E1"
PLATE = "豫A12345"
TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate=PLATE, tag=EPC, gross_kg=20_000, length_m=12.0)
STEP_S = 0.01


class Cable:
    """One driver and one device, joined; `told` is everything the driver said, with its time."""

    def __init__(self, driver: Driver, device: Device, physics: LanePhysics) -> None:
        self._driver = driver
        self._device = device
        self._physics = physics
        self._wake_at_s: float | None = None
        self.told: list[tuple[float, Reading]] = []
        self.heard = 0
        self.now_s = 0.0
        device.connect(0.0)
        self._take(driver.opened(0.0))

    def run(self, until_s: float) -> Cable:
        while self.now_s < until_s:
            self.now_s = round(self.now_s + STEP_S, 6)
            self._physics.advance(self.now_s)
            data = self._device.advance(self.now_s)
            if data:
                self._take(self._driver.received(self.now_s, data))
            if self._wake_at_s is not None and self._wake_at_s <= self.now_s:
                self._take(self._driver.due(self.now_s))
        return self

    def order(self, order_id: str, order: PulseRelay | SetRelay | ShowText) -> None:
        self._take(self._driver.order(self.now_s, order_id, order))

    def _take(self, output: Output) -> None:
        self.told += [(self.now_s, reading) for reading in output.readings]
        self.heard += output.heard
        self._wake_at_s = output.wake_at_s
        if output.send:
            self._device.receive(self.now_s, output.send)

    def readings(self) -> list[Reading]:
        return [reading for _, reading in self.told]


def lane(*vehicles: Vehicle) -> LanePhysics:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    for vehicle in vehicles:
        physics.arrive(vehicle.arrives_s, vehicle)
    return physics


def tag_line() -> Cable:
    physics = lane(TRUCK)
    return Cable(make_driver("rfid.r2000", {}), RfidReader(physics), physics)


def board_line(physics: LanePhysics) -> tuple[Cable, IoBoard]:
    board = IoBoard(physics)
    return Cable(make_driver("io.modbus_rtu", {}), board, physics), board


SPOILING = [FaultKind.FLIP, FaultKind.CHATTER, FaultKind.CUT]


def test_a_vehicle_on_the_plate_is_weighed_and_the_empty_plate_before_it() -> None:
    physics = lane(TRUCK)
    cable = Cable(make_driver("weighbridge.yaohua_tf0", {}), Weighbridge(physics), physics).run(20.0)
    weights = [int(reading.value_kg) for reading in cable.readings() if isinstance(reading, WeightSeen)]
    assert weights[:5] == [0] * 5
    assert weights[-20:] == [20_000] * 20


@pytest.mark.parametrize("kg", [0, 20, 49_500, 999_999, -20])
def test_frames_of_both_indicators_are_the_weight_they_were_made_from(kg: int) -> None:
    yaohua = make_driver("weighbridge.yaohua_tf0", {}).received(0.0, yaohua_tf0(kg))
    with_chk = make_driver("weighbridge.toledo_continuous", {}).received(0.0, toledo_continuous(kg))
    without = make_driver("weighbridge.toledo_continuous", {"checksum": False}).received(
        0.0, toledo_continuous(kg, checksum=False)
    )
    assert yaohua.readings == (WeightSeen(kg, stable=None),)  # type: ignore[arg-type]
    gross = WeightSeen(kg, stable=True, kind="gross")  # type: ignore[arg-type]
    assert with_chk.readings == without.readings == (gross,)


@pytest.mark.parametrize("kind", [FaultKind.CHATTER, FaultKind.CUT])
def test_a_spoilt_weighbridge_line_tells_no_weight_that_was_not_on_the_plate(kind: FaultKind) -> None:
    physics = lane()
    scale = Weighbridge(physics)
    scale.set_fault(0.0, Fault(kind=kind, rate=0.3 if kind is FaultKind.CUT else 20.0), True)
    cable = Cable(make_driver("weighbridge.yaohua_tf0", {}), scale, physics).run(20.0)
    weights = {int(reading.value_kg) for reading in cable.readings() if isinstance(reading, WeightSeen)}
    spoilt = [reading for reading in cable.readings() if isinstance(reading, ReadGarbled | ReadTruncated)]
    assert weights == {0}
    assert spoilt != []


def test_the_tag_in_the_field_is_read_and_an_empty_field_proves_the_reader_alive() -> None:
    cable = tag_line().run(15.0)
    assert {reading for reading in cable.readings() if not isinstance(reading, TagSeen)} == set()
    assert {reading.epc for reading in cable.readings() if isinstance(reading, TagSeen)} == {EPC}
    empty = lane()
    alone = Cable(make_driver("rfid.r2000", {}), RfidReader(empty), empty).run(5.0)
    assert alone.readings() == []
    assert alone.heard >= 20


@pytest.mark.parametrize("kind", SPOILING)
def test_a_spoilt_reader_line_tells_no_other_tag_and_goes_on(kind: FaultKind) -> None:
    physics = lane(TRUCK)
    reader = RfidReader(physics)
    reader.set_fault(0.0, Fault(kind=kind, rate={FaultKind.CUT: 0.3}.get(kind)), True)
    cable = Cable(make_driver("rfid.r2000", {}), reader, physics).run(60.0)
    tags = [reading.epc for reading in cable.readings() if isinstance(reading, TagSeen)]
    assert set(tags) == {EPC}
    assert any(at_s > 50 for at_s, reading in cable.told if isinstance(reading, TagSeen))


def test_a_reader_without_its_antenna_says_so_and_a_dead_one_says_nothing() -> None:
    physics = lane(TRUCK)
    reader = RfidReader(physics)
    cable = Cable(make_driver("rfid.r2000", {}), reader, physics)
    reader.set_fault(0.0, Fault(kind=FaultKind.NO_ANTENNA), True)
    cable.run(10.0)
    reader.set_fault(10.0, Fault(kind=FaultKind.NO_ANTENNA), False)
    reader.set_fault(10.0, Fault(kind=FaultKind.DEAD), True)
    heard = cable.heard
    cable.run(20.0)
    faults = [reading.code for reading in cable.readings() if isinstance(reading, DeviceFault)]
    assert faults == ["antenna_missing"]
    assert cable.heard <= heard + 1


def test_inputs_are_those_of_the_lane_and_orders_switch_the_relays() -> None:
    physics = lane(TRUCK)
    cable, board = board_line(physics)
    cable.run(1.0)
    cable.order("red", SetRelay(3, on=True))
    cable.order("pulse", PulseRelay(2, 0.3))
    cable.run(1.2)
    pulsing = board.relays
    cable.run(3.0)
    told = [reading for reading in cable.readings() if isinstance(reading, OrderDone | OrderRefused)]
    inputs = {reading.values for reading in cable.readings() if isinstance(reading, InputsSeen)}
    assert told == [OrderDone("red"), OrderDone("pulse")]
    assert pulsing[2:4] == (True, True)
    assert board.relays[2:4] == (False, True)
    assert {len(values) for values in inputs} == {16}
    assert any(not values[0] for values in inputs)


@pytest.mark.parametrize("kind", SPOILING)
def test_a_spoilt_board_line_answers_every_order_and_tells_no_other_inputs(kind: FaultKind) -> None:
    healthy, _ = board_line(lane())
    expected = {reading for reading in healthy.run(3.0).readings() if isinstance(reading, InputsSeen)}
    cable, board = board_line(lane())
    board.set_fault(0.0, Fault(kind=kind, rate=0.3 if kind is FaultKind.CUT else None), True)
    for number in range(40):
        cable.order(str(number), SetRelay(2 + number % 3, on=number % 2 == 0))
        cable.run(cable.now_s + 0.4)
    cable.run(cable.now_s + 20.0)
    answered = [r.order_id for r in cable.readings() if isinstance(r, OrderDone | OrderRefused)]
    assert answered == [str(number) for number in range(40)]
    assert {reading for reading in cable.readings() if isinstance(reading, InputsSeen)} == expected


def test_an_order_said_done_is_done_even_on_a_spoilt_line() -> None:
    cable, board = board_line(lane())
    board.set_fault(0.0, Fault(kind=FaultKind.FLIP), True)
    wrong = []
    for number in range(60):
        wanted = number % 2 == 0
        cable.order(str(number), SetRelay(5, on=wanted))
        cable.run(cable.now_s + 1.5)
        if OrderDone(str(number)) in cable.readings() and board.relays[5] != wanted:
            wrong.append(number)
    done = [reading for reading in cable.readings() if isinstance(reading, OrderDone)]
    assert wrong == []
    assert len(done) >= 30


def test_a_text_shows_on_the_board() -> None:
    physics = lane()
    board = LedBoard(physics)
    cable = Cable(make_driver("led.fk", {"rows": 4}), board, physics)
    cable.order("o", ShowText((PLATE, "放行 一路平安"), "green", voice="放行"))
    cable.run(2.0)
    assert OrderDone("o") in cable.readings()
    assert [row.strip() for row in board.rows][:2] == [PLATE, "放行 一路平安"]
    assert board.colour == "green"


def test_a_camera_that_calls_is_heard_and_its_plate_told_once() -> None:
    physics = lane(TRUCK)
    camera = PlateCamera(physics)
    driver = make_driver("plate_camera.vzenith", {})
    told: list[Reading] = []
    heard, connected, at_s = 0, False, 0.0
    for step in range(1, 3000):
        at_s = step * STEP_S
        physics.advance(at_s)
        data = camera.advance(at_s)
        if camera.calling and not connected:
            camera.connect(at_s)
            driver.opened(at_s)
            connected = True
            data += camera.advance(at_s)
        if data:
            output = driver.received(at_s, data)
            told += output.readings
            heard += output.heard
            if output.send:
                camera.receive(at_s, output.send)
    plates = [reading for reading in told if isinstance(reading, PlateSeen)]
    assert [(plate.text, plate.offline) for plate in plates] == [(PLATE, False)]
    assert heard >= 4


@pytest.mark.parametrize(
    ("ending", "suffix"), [("cr", b"\r"), ("lf", b"\n"), ("crlf", b"\r\n"), ("tab", b"\t")]
)
def test_a_scanned_slip_is_the_code_shown(ending: str, suffix: bytes) -> None:
    make: Callable[..., bytes] = transmission
    data = make("Z3111I240728000000000003", "]Q1", suffix)
    output = make_driver("scanner.line", {"ending": ending}).received(0.0, data)
    assert output.readings == (CodeSeen("Z3111I240728000000000003", "]Q1"),)


def test_a_scanner_on_its_cable_is_understood() -> None:
    physics = lane()
    cable = Cable(make_driver("scanner.line", {}), Scanner(physics), physics)
    cable.run(2.0)
    assert cable.readings() == []
