"""Weighbridges of every make: what lines without a check are worth, the two conversations, each driver
against its simulator, and codecs under any bytes (`KAKOU_FUZZ` inputs each).
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

from edge.devices.catalogue import PROTOCOLS, make_driver
from edge.devices.driver import Driver, Output
from edge.devices.framing import Cutter
from edge.devices.readings import (
    DeviceFault,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
    WeightSeen,
)
from edge.devices.weighbridge_mt_sics import wire as mt_sics
from edge.devices.weighbridge_st_gs import wire as st_gs
from edge.devices.weighbridge_toledo import wire as toledo
from edge.devices.weighbridge_yaohua import wire as yaohua
from edge.devices.weighbridge_yaohua_a12_ascii import wire as a12_ascii
from edge.devices.weighbridge_yaohua_a12e import wire as a12e
from edge.devices.weighbridge_yaohua_command import wire as yaohua_command
from edge.devices.weighbridge_yaohua_tf_eq import wire as tf_eq
from edge.devices.weighing import KG_PER_UNIT
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.weighbridge import Protocol as Simulated
from hardware_sims.devices.weighbridge import Weighbridge
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.vehicles import Vehicle

GOLDEN = Path(__file__).parents[1] / "golden" / "weighbridge" / "frames.json"
FRAMES: dict[str, list[bytes]] = {}
for row in json.loads(GOLDEN.read_text(encoding="utf-8"))["frames"]:
    FRAMES.setdefault(row["protocol"], []).append(bytes.fromhex(row["hex"]))

FUZZ = int(os.environ.get("KAKOU_FUZZ", "3000"))


def readings(output: Output) -> list[Reading]:
    return list(output.readings)


def weights(found: list[Reading]) -> list[str]:
    return [f"{reading.value_kg:f}" for reading in found if isinstance(reading, WeightSeen)]


def faults(found: list[Reading]) -> list[str]:
    return [reading.code for reading in found if isinstance(reading, DeviceFault)]


def said(protocol: str, data: bytes, **settings: object) -> list[Reading]:
    """What a driver tells of a stream, silence behind it included."""
    return told_by(make_driver(protocol, settings), data)


def told_by(driver: Driver, data: bytes) -> list[Reading]:
    driver.opened(0.0)
    return [*driver.received(0.0, data).readings, *driver.due(9.0).readings]


# --- lines without a check ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unchecked:
    """A line that only its shape protects. `frames`: the same weight twice, another, the first twice more."""

    protocol: str
    settings: dict[str, object]
    frame: bytes
    value: str
    changed: bytes
    """One byte of `frame` changed so that it is another weight."""


UNCHECKED = [
    Unchecked("weighbridge.yaohua_tf_eq", {"digits": "reversed"}, b"=02594000", "49520", b"=02694000"),
    Unchecked("weighbridge.yaohua_tf_eq", {"digits": "forward"}, b"=-049.520", "-49.520", b"=-069.520"),
    Unchecked("weighbridge.yaohua_a12_ascii", {}, b"ww04952.0kg\r\n", "4952.0", b"ww04952.1kg\r\n"),
    Unchecked("weighbridge.st_gs_ascii", {}, b"ST,GS,+   49520kg\r\n", "49520", b"ST,GS,+   49580kg\r\n"),
    Unchecked(
        "weighbridge.mt_sics", {"request": "SIR"},
        b"S S      49520 kg\r\n", "49520", b"S S      99520 kg\r\n",
    ),
]  # fmt: skip
unchecked = pytest.mark.parametrize("line", UNCHECKED, ids=lambda line: f"{line.protocol} {line.frame[:4]!r}")


def one_byte_lost(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]


def one_byte_more(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame) + 1):
        for byte in range(256):
            yield frame[:place] + bytes([byte]) + frame[place:]


@unchecked
def test_a_line_without_a_check_is_read_whole(line: Unchecked) -> None:
    found = weights(said(line.protocol, line.frame * 6, **line.settings))
    assert set(found) == {line.value}
    assert len(found) >= 5


@unchecked
@pytest.mark.parametrize("spoil", [one_byte_lost, one_byte_more])
def test_a_byte_lost_or_added_never_gives_a_weight_even_without_a_check(
    line: Unchecked, spoil: Callable[[bytes], Iterator[bytes]]
) -> None:
    driver = make_driver(line.protocol, line.settings)
    wrong = []
    for spoilt in spoil(line.frame):
        found = weights(told_by(driver, line.frame * 2 + spoilt + line.frame * 2))
        wrong += [(spoilt, value) for value in found if value != line.value]
        assert found != []
    assert wrong == []


@unchecked
def test_a_cut_frame_never_gives_a_weight_even_without_a_check(line: Unchecked) -> None:
    for kept in range(len(line.frame)):
        data = line.frame * 2 + line.frame[:kept] + line.frame * 2
        assert set(weights(said(line.protocol, data, **line.settings))) == {line.value}
        alone = said(line.protocol, line.frame * 2 + line.frame[:kept], **line.settings)
        assert set(weights(alone)) <= {line.value}


@unchecked
def test_a_changed_digit_is_not_seen_without_a_check_as_the_page_says(line: Unchecked) -> None:
    assert len(line.changed) == len(line.frame)
    found = weights(said(line.protocol, line.frame * 2 + line.changed + line.frame, **line.settings))
    assert len(set(found)) == 2


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (b"=00049520", "49520"),
        (b"=02594000", "49520"),
        (b"=-0001.00", "-1.00"),
        (b"=00.1000-", "-1.00"),
        (b"=0000.000", "0.000"),
        (b"=049520.0", "49520.0"),
        (b"=0.025940", "49520.0"),
    ],
)
def test_by_shape_reads_a_frame_that_can_be_one_weight_only(frame: bytes, value: str) -> None:
    assert {Decimal(each) for each in weights(said("weighbridge.yaohua_tf_eq", frame * 3))} == {
        Decimal(value)
    }


@pytest.mark.parametrize("frame", [b"=000.3000", b"=0003.000", b"=00049500", b"=049.5200"])
def test_by_shape_refuses_what_can_be_two_weights_and_a_setting_decides(frame: bytes) -> None:
    found = said("weighbridge.yaohua_tf_eq", frame * 3)
    assert weights(found) == []
    assert "the settings must say which" in str(found)
    told = {
        digits: weights(said("weighbridge.yaohua_tf_eq", frame * 2, digits=digits))
        for digits in ("reversed", "forward")
    }
    assert len(told["reversed"]) == len(told["forward"]) == 1
    assert told["reversed"] != told["forward"]


def test_a_weight_of_tf_eq_waits_for_the_frame_or_the_silence_behind_it() -> None:
    driver = make_driver("weighbridge.yaohua_tf_eq", {"digits": "forward", "quiet_s": 0.25})
    frame = b"=00049520"
    outputs = [driver.received(at_s, frame) for at_s in (1.0, 1.125, 1.25)]
    assert [weights(readings(output)) for output in outputs] == [[], [], ["49520"]]
    assert driver.due(1.375) == Output(wake_at_s=1.5)
    assert weights(readings(driver.due(1.5))) == ["49520"]


def test_lines_of_a_shape_not_seen_before_wait_for_a_second_one() -> None:
    eight, nine = b"ST,GS,+   49520kg\r\n", b"ST,GS,+    49520kg\r\n"
    driver = make_driver("weighbridge.st_gs_ascii", {})
    told = [readings(driver.received(1.0, data)) for data in (eight, eight, nine, nine, eight)]
    assert [len(weights(found)) for found in told] == [0, 1, 0, 1, 0]
    assert [type(found[0]) for found in told if found] == [WeightSeen, ReadGarbled, WeightSeen, ReadGarbled]


# --- units, kinds, range ------------------------------------------------------------------------------------


def comma(number: str, unit: str, status: str = "ST", kind: str = "GS") -> bytes:
    return f"{status},{kind},+{number:>8}{unit}\r\n".encode()


@pytest.mark.parametrize(
    ("unit", "number", "kilograms"),
    [
        ("kg", "49520", "49520"),
        ("g", "49520", "49.520"),
        ("t", "49.52", "49520.00"),
        ("lb", "0.00001", "0.0000045359237"),
        ("lb", "109172.6", "49519.858373062"),
    ],
)
def test_every_unit_becomes_kilograms_exactly(unit: str, number: str, kilograms: str) -> None:
    found = said("weighbridge.st_gs_ascii", comma(number, unit) * 2, unit=unit)
    assert weights(found) == [kilograms]
    sics = f"S S {number:>10} {unit}\r\n".encode() * 2
    assert weights(said("weighbridge.mt_sics", sics, unit=unit, request="SIR")) == weights(found)


def test_the_units_are_those_of_the_metre_convention_and_the_pound_of_1959() -> None:
    known = {
        "kg": Decimal(1), "g": Decimal("0.001"), "t": Decimal(1000), "lb": Decimal("0.45359237")
    }  # fmt: skip
    assert known == KG_PER_UNIT


@pytest.mark.parametrize(
    ("protocol", "settings", "data"),
    [
        ("weighbridge.st_gs_ascii", {}, comma("49520", "lb")),
        ("weighbridge.st_gs_ascii", {"unit": "t"}, comma("49520", "kg")),
        ("weighbridge.mt_sics", {"request": "SIR"}, b"S S      49520 g\r\n"),
        ("weighbridge.yaohua_a12_ascii", {}, b"ww049520 lb\r\n"),
        ("weighbridge.yaohua_a12e", {"unit": "lb"}, b"WG004.139kg3D\r\n"),
    ],
)
def test_a_weight_in_another_unit_than_the_settings_say_is_a_fault_told_once(
    protocol: str, settings: dict[str, object], data: bytes
) -> None:
    found = said(protocol, data * 4, **settings)
    assert (faults(found), weights(found)) == (["unit"], [])


@pytest.mark.parametrize(
    ("protocol", "settings", "gross", "net", "tare"),
    [
        (
            "weighbridge.st_gs_ascii", {},
            comma("500", "kg"), comma("500", "kg", kind="NT"), comma("7", "kg", kind="TR"),
        ),
        ("weighbridge.yaohua_a12_ascii", {}, b"ww000500 kg\r\n", b"wn000500 kg\r\n", b"wt000007 kg\r\n"),
    ],
)  # fmt: skip
def test_gross_and_net_are_told_apart_and_a_tare_line_is_no_weight(
    protocol: str, settings: dict[str, object], gross: bytes, net: bytes, tare: bytes
) -> None:
    found = said(protocol, gross * 2 + net + tare * 3, **settings)
    assert [r.kind for r in found if isinstance(r, WeightSeen)] == ["gross", "net"]
    assert weights(found) == ["500", "500"]
    driver = make_driver(protocol, settings)
    driver.received(0.0, gross * 2)
    assert driver.received(1.0, tare).heard is True


GOOD = {
    "weighbridge.st_gs_ascii": comma("500", "kg") * 2,
    "weighbridge.mt_sics": b"S S        500 kg\r\n" * 2,
    "weighbridge.yaohua_a12e": b"WG004.139kg3D\r\n",
}
BEYOND = [
    ("weighbridge.st_gs_ascii", b"OL,GS,+9999999kg\r\n", b"OL,GS,-            \r\n"),
    ("weighbridge.mt_sics", b"S +\r\n", b"S -\r\n"),
    ("weighbridge.yaohua_a12e", b"         OL23\r\n", b"         LO23\r\n"),
]


@pytest.mark.parametrize(("protocol", "over", "under"), BEYOND)
def test_overload_and_underload_are_told_once_until_they_clear_and_never_as_a_weight(
    protocol: str, over: bytes, under: bytes
) -> None:
    settings = {"request": "SIR"} if protocol == "weighbridge.mt_sics" else {}
    found = said(protocol, over * 3 + GOOD[protocol] + over * 2 + under * 2 + over, **settings)
    assert faults(found) == ["overload", "overload", "underload", "overload"]
    assert len(weights(found)) in (1, 2)


@pytest.mark.parametrize(("protocol", "over", "under"), BEYOND)
def test_an_indicator_that_says_overload_is_not_silent(protocol: str, over: bytes, under: bytes) -> None:
    settings = {"request": "SIR"} if protocol == "weighbridge.mt_sics" else {}
    driver = make_driver(protocol, settings)
    driver.opened(0.0)
    assert [driver.received(at_s / 10, over).heard for at_s in range(5)] == [True] * 5


WEIGHBRIDGES = [name for name in PROTOCOLS if name.startswith("weighbridge.")]


@pytest.mark.parametrize("protocol", WEIGHBRIDGES)
def test_a_weighbridge_takes_no_order(protocol: str) -> None:
    driver = make_driver(protocol, {})
    wakes = driver.opened(0.0).wake_at_s
    output = driver.order(0.1, "o1", TriggerRead())
    assert [type(reading) for reading in output.readings] == [OrderRefused]
    assert output.wake_at_s == wakes


def test_all_eight_forms_are_there() -> None:
    yaohua_makes = ["yaohua_tf0", "yaohua_command", "yaohua_tf_eq", "yaohua_a12_ascii", "yaohua_a12e"]
    names = [*yaohua_makes, "toledo_continuous", "mt_sics", "st_gs_ascii"]
    assert [f"weighbridge.{name}" for name in names] == WEIGHBRIDGES


# --- the conversation of Yaohua's command mode --------------------------------------------------------------

HANDSHAKE, ASK_GROSS = bytes.fromhex("02 41 41 30 30 03"), bytes.fromhex("02 41 42 30 33 03")


def reply(body: bytes) -> bytes:
    return b"\x02" + body + b"%02X" % reduce(xor, body) + b"\x03"


GROSS_49520 = reply(b"AB+0495200")


def command_line(**settings: object) -> Driver:
    return make_driver("weighbridge.yaohua_command", {"poll_s": 0.125, "reply_timeout_s": 0.25, **settings})


def test_hands_are_shaken_then_gross_is_asked_again_and_again() -> None:
    driver = command_line()
    assert driver.opened(0.0) == Output(send=HANDSHAKE, wake_at_s=0.25)
    assert driver.received(0.0625, HANDSHAKE) == Output(wake_at_s=0.0625, heard=True)
    assert driver.due(0.0625) == Output(send=ASK_GROSS, wake_at_s=0.3125)
    gross = WeightSeen(Decimal(49520), stable=None, kind="gross")
    assert driver.received(0.125, GROSS_49520) == Output((gross,), wake_at_s=0.25, heard=True)
    assert driver.due(0.1875) == Output(wake_at_s=0.25)
    assert driver.due(0.25).send == ASK_GROSS


def test_without_a_handshake_the_first_question_is_the_weight_and_the_address_is_ours() -> None:
    driver = command_line(handshake=False, address="C")
    assert driver.opened(0.0).send == bytes.fromhex("02 43 42 30 31 03")
    told = driver.received(0.1, GROSS_49520).readings
    assert [type(reading) for reading in told] == [ReadGarbled]
    assert weights(readings(driver.received(0.1, reply(b"CB+0000203")))) == ["0.020"]


def test_an_echo_is_no_answer_and_no_noise() -> None:
    driver = command_line(handshake=False)
    driver.opened(0.0)
    assert driver.received(0.01, ASK_GROSS) == Output(wake_at_s=0.25)
    assert weights(readings(driver.received(0.02, GROSS_49520))) == ["49520"]


@pytest.mark.parametrize("body", [b"AC+0150000", b"AD+0345200"])
def test_tare_and_net_are_not_taken_for_the_gross_that_was_asked(body: bytes) -> None:
    driver = command_line(handshake=False)
    driver.opened(0.0)
    told = driver.received(0.1, reply(body))
    assert (weights(readings(told)), told.heard) == ([], False)


def test_an_answer_nobody_asked_is_no_weight() -> None:
    driver = command_line(handshake=False)
    driver.opened(0.0)
    told = driver.received(0.1, GROSS_49520 + GROSS_49520).readings
    assert [type(reading) for reading in told] == [WeightSeen, ReadGarbled]
    assert weights(readings(driver.received(0.15, GROSS_49520))) == []


def test_silence_is_told_once_hands_are_shaken_again_and_asking_goes_on() -> None:
    driver = command_line(silent_after=3)
    told: list[Reading] = []
    asked = [driver.opened(0.0).send]
    for turn in range(1, 10):
        output = driver.due(turn * 0.3 + 0.001 * turn)
        asked.append(output.send)
        told += output.readings
    assert [type(reading) for reading in told] == [ReadGarbled]
    assert asked[:4] == [HANDSHAKE, ASK_GROSS, ASK_GROSS, HANDSHAKE]
    assert asked.count(b"") == 0
    driver.received(3.0, HANDSHAKE)
    assert set(asked) == {HANDSHAKE, ASK_GROSS}


def test_an_indicator_that_shakes_no_hands_is_asked_its_weight_all_the_same() -> None:
    driver = command_line(silent_after=1)
    asked = [driver.opened(0.0).send, *(driver.due(turn * 0.31).send for turn in range(1, 5))]
    assert ASK_GROSS in asked[1:3]
    driver = command_line()
    driver.opened(0.0)
    driver.due(0.3)
    assert weights(readings(driver.received(0.4, GROSS_49520))) == ["49520"]


def test_half_an_answer_is_told_as_cut_off_and_asked_again() -> None:
    driver = command_line(handshake=False)
    driver.opened(0.0)
    assert driver.received(0.1, GROSS_49520[:8]).readings == ()
    output = driver.due(0.3)
    assert output.readings == (ReadTruncated(GROSS_49520[:8]),)
    assert output.send == ASK_GROSS
    driver.received(0.4, GROSS_49520[:8])
    driver.opened(1.0)
    assert weights(readings(driver.received(1.1, GROSS_49520[8:]))) == []


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [("weighbridge.yaohua_command", GROSS_49520), ("weighbridge.mt_sics", b"S S      49520 kg\r\n")],
)
def test_what_begins_before_a_question_is_not_completed_by_its_answer(protocol: str, answer: bytes) -> None:
    driver = make_driver(protocol, {"poll_s": 0.1, "handshake": False} if "yaohua" in protocol else {})
    driver.opened(0.0)
    driver.received(0.1, answer)
    driver.received(0.15, answer[:6])
    asked = driver.due(0.25)
    assert asked.readings == (ReadTruncated(answer[:6]),)
    assert asked.send != b""
    assert weights(readings(driver.received(0.3, answer[6:]))) == []
    assert weights(readings(driver.received(0.35, answer))) == ["49520"]


@pytest.mark.parametrize("address", ["a", "AB", "", "1"])
def test_an_address_that_is_no_capital_letter_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address: expected "):
        command_line(address=address)


# --- the conversation of MT-SICS ----------------------------------------------------------------------------

STABLE, MOVING = b"S S      49520 kg\r\n", b"S D      49520 kg\r\n"


def sics_line(**settings: object) -> Driver:
    driver = make_driver("weighbridge.mt_sics", {"poll_s": 0.1, "reply_timeout_s": 0.5, **settings})
    return driver


def test_si_asks_every_weight_and_tells_whether_it_is_stable() -> None:
    driver = sics_line()
    assert driver.opened(0.0) == Output(send=b"SI\r\n", wake_at_s=0.5)
    driver.received(0.1, MOVING)
    told: list[Reading] = []
    for turn, answer in enumerate((MOVING, STABLE), start=1):
        asked = driver.due(turn * 0.2)
        assert asked.send == b"SI\r\n"
        told += driver.received(turn * 0.2 + 0.05, answer).readings
    assert told == [WeightSeen(Decimal(49520), stable=False), WeightSeen(Decimal(49520), stable=True)]


def test_si_takes_no_answer_it_did_not_ask() -> None:
    driver = sics_line()
    driver.opened(0.0)
    told = driver.received(0.1, STABLE * 3).readings
    assert [type(reading) for reading in told] == [ReadGarbled, ReadGarbled]
    assert driver.due(0.2).send == b"SI\r\n"
    assert weights(readings(driver.received(0.3, STABLE))) == ["49520"]


def test_sir_is_asked_once_and_again_when_the_line_falls_silent() -> None:
    driver = sics_line(request="SIR")
    assert driver.opened(0.0).send == b"SIR\r\n"
    outputs = [driver.received(tenth / 10, STABLE) for tenth in range(1, 9)]
    assert b"".join(output.send for output in outputs) == b""
    assert [len(output.readings) for output in outputs] == [0, *[1] * 7]
    assert driver.due(1.29).send == b""
    assert driver.due(1.31).send == b"SIR\r\n"


def test_an_indicator_that_starts_again_is_asked_again_and_it_is_told() -> None:
    driver = sics_line(request="SIR")
    driver.opened(0.0)
    driver.received(0.1, STABLE * 2)
    started = driver.received(0.2, b'I4 A "1234567890"\r\n')
    assert faults(readings(started)) == ["power_up"]
    assert (started.send, started.heard) == (b"SIR\r\n", True)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"ES\r\n", "syntax_error"), (b"ET\r\n", "transmission_error"), (b"EL\r\n", "logical_error"),
        (b"S I\r\n", "not_executable"), (b"S L\r\n", "wrong_parameter"),
        (b"S S Error 10b\r\n", "weighing_module_error_10b"),
    ],
)  # fmt: skip
def test_an_error_answer_is_a_fault_told_once_and_asking_goes_on(line: bytes, code: str) -> None:
    driver = sics_line()
    driver.opened(0.0)
    told: list[Reading] = []
    for turn in range(4):
        output = driver.received(turn * 0.2 + 0.05, line)
        assert output.heard is True
        told += output.readings
        assert driver.due(turn * 0.2 + 0.2).send == b"SI\r\n"
    assert faults(told) == [code]
    assert len(told) == 1


def test_a_silent_indicator_is_told_once_and_half_a_line_is_cut_off() -> None:
    driver = sics_line(silent_after=2)
    driver.opened(0.0)
    driver.received(0.1, STABLE[:9])
    told = [driver.due(turn * 0.51) for turn in range(1, 6)]
    assert [type(reading) for output in told for reading in output.readings] == [ReadTruncated, ReadGarbled]
    assert {output.send for output in told} == {b"SI\r\n"}


# --- each driver against its simulator ----------------------------------------------------------------------

TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate="豫A12345", gross_kg=20_000, length_m=12.0)
STEP_S = 0.01


@dataclass(frozen=True)
class Pair:
    """A protocol's settings and the simulator that speaks it."""

    protocol: str
    simulated: Simulated
    settings: dict[str, object]
    kind: str | None
    says_stable: bool = False
    says_range: bool = True

    def __str__(self) -> str:
        return " ".join([self.simulated, *map(str, self.settings.values())])


PAIRS = [
    Pair("weighbridge.yaohua_tf0", "yaohua_tf0", {}, None, says_range=False),
    Pair("weighbridge.yaohua_command", "yaohua_command", {}, "gross", says_range=False),
    Pair("weighbridge.yaohua_tf_eq", "yaohua_tf_eq", {"digits": "reversed"}, None, says_range=False),
    Pair("weighbridge.yaohua_tf_eq", "yaohua_tf_eq_2", {"digits": "forward"}, None, says_range=False),
    Pair("weighbridge.yaohua_a12_ascii", "yaohua_a12_ascii", {}, "gross", says_range=False),
    Pair("weighbridge.yaohua_a12e", "yaohua_a12e", {}, "gross"),
    Pair("weighbridge.toledo_continuous", "toledo_continuous", {}, "gross", says_stable=True),
    Pair("weighbridge.mt_sics", "mt_sics", {"request": "SI"}, None, says_stable=True),
    Pair("weighbridge.mt_sics", "mt_sics", {"request": "SIR"}, None, says_stable=True),
    Pair("weighbridge.st_gs_ascii", "st_gs_ascii", {}, "gross", says_stable=True),
]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=str)


class Joined:
    """One driver and one simulated indicator on a lane; `told` is everything with its time."""

    def __init__(self, pair: Pair, *vehicles: Vehicle, **indicator: Any) -> None:
        self.physics = LanePhysics(BarrierSettings(), quiet_log)
        for vehicle in vehicles:
            self.physics.arrive(vehicle.arrives_s, vehicle)
        self.scale = Weighbridge(self.physics, protocol=pair.simulated, **indicator)
        self._driver = make_driver(pair.protocol, pair.settings)
        self._wake_at_s: float | None = None
        self.told: list[tuple[float, Reading]] = []
        self.heard_s: list[float] = []
        self.now_s = 0.0
        self.scale.connect(0.0)
        self._take(self._driver.opened(0.0))

    def run(self, until_s: float) -> Joined:
        while self.now_s < until_s:
            self.now_s = round(self.now_s + STEP_S, 6)
            self.physics.advance(self.now_s)
            data = self.scale.advance(self.now_s)
            if data:
                self._take(self._driver.received(self.now_s, data))
            if self._wake_at_s is not None and self._wake_at_s <= self.now_s:
                self._take(self._driver.due(self.now_s))
        return self

    def fault(self, kind: FaultKind, *, on: bool = True, **strength: Any) -> Joined:
        self.scale.set_fault(self.now_s, Fault(kind=kind, **strength), on)
        return self

    def _take(self, output: Output) -> None:
        self.told += [(self.now_s, reading) for reading in output.readings]
        if output.heard:
            self.heard_s.append(self.now_s)
        self._wake_at_s = output.wake_at_s
        if output.send:
            self.scale.receive(self.now_s, output.send)

    def seen(self, since_s: float = 0.0) -> list[WeightSeen]:
        return [r for at_s, r in self.told if at_s >= since_s and isinstance(r, WeightSeen)]

    def codes(self) -> list[str]:
        return faults([reading for _, reading in self.told])

    def spoilt(self) -> list[Reading]:
        return [r for _, r in self.told if isinstance(r, ReadGarbled | ReadTruncated)]


@pairs
def test_every_driver_weighs_the_truck_of_its_simulator_and_the_empty_plate_before_it(pair: Pair) -> None:
    joined = Joined(pair, TRUCK).run(20.0)
    found = joined.seen()
    assert [int(seen.value_kg) for seen in found[:5]] == [0] * 5
    assert {int(seen.value_kg) for seen in joined.seen(18.0)} == {20_000}
    assert len(joined.seen(18.0)) >= 12
    assert {seen.kind for seen in found} == {pair.kind}
    assert {seen.out_of_range for seen in found} == {False}
    assert joined.codes() == []
    assert joined.spoilt() == []


@pairs
def test_what_an_indicator_says_of_stability_is_told_and_else_nothing_is(pair: Pair) -> None:
    joined = Joined(pair, TRUCK).run(20.0)
    expected = {True, False} if pair.says_stable else {None}
    assert {seen.stable for seen in joined.seen()} == expected
    assert {seen.stable for seen in joined.seen(18.0)} == ({True} if pair.says_stable else {None})


@pairs
@pytest.mark.parametrize("kind", [FaultKind.CHATTER, FaultKind.CUT])
def test_a_spoilt_line_of_any_make_tells_no_weight_that_was_not_on_the_plate(
    pair: Pair, kind: FaultKind
) -> None:
    rate = 0.3 if kind is FaultKind.CUT else 20.0
    joined = Joined(pair, seed=f"{pair} {kind}").fault(kind, rate=rate).run(20.0)
    assert {int(seen.value_kg) for seen in joined.seen()} == {0}
    assert joined.codes() == []
    assert joined.spoilt() != []
    joined.fault(kind, on=False).run(22.0)
    assert len(joined.seen(21.0)) >= 6


@pairs
def test_a_silent_indicator_of_any_make_tells_nothing_and_comes_back(pair: Pair) -> None:
    joined = Joined(pair).run(2.0).fault(FaultKind.SILENCE).run(6.0)
    assert joined.seen(2.5) == []
    assert [at_s for at_s in joined.heard_s if at_s > 2.5] == []
    joined.fault(FaultKind.SILENCE, on=False).run(9.0)
    assert len(joined.seen(7.5)) >= 8


@pairs
def test_an_indicator_switched_off_and_on_is_weighed_with_again(pair: Pair) -> None:
    joined = Joined(pair).run(2.0).fault(FaultKind.DEAD).run(6.0)
    assert joined.seen(2.5) == []
    joined.fault(FaultKind.DEAD, on=False).run(9.0)
    assert len(joined.seen(7.5)) >= 8


@pairs
def test_a_stuck_indicator_repeats_and_a_slow_one_is_late(pair: Pair) -> None:
    stuck = Joined(pair, TRUCK).run(2.0).fault(FaultKind.STUCK).run(20.0)
    assert {int(seen.value_kg) for seen in stuck.seen()} == {0}
    slow = Joined(pair, TRUCK).fault(FaultKind.SLOW, delay_s=0.15).run(20.0)
    assert {int(seen.value_kg) for seen in slow.seen(19.0)} == {20_000}


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.says_range], ids=str)
def test_a_truck_too_heavy_is_overload_once_and_a_plate_far_below_zero_underload(pair: Pair) -> None:
    heavy = Joined(pair, TRUCK, capacity_kg=15_000).run(20.0)
    assert heavy.codes() == ["overload"]
    assert {seen.out_of_range for seen in heavy.seen(18.0)} <= {True}
    assert heavy.heard_s[-1] > 19.5
    light = Joined(pair, zero_kg=-90_000.0, capacity_kg=80_000).run(5.0)
    assert light.codes() == ["underload"]
    assert {seen.out_of_range for seen in light.seen()} <= {True}


@pairs
def test_a_tared_indicator_tells_net_where_the_format_can_and_gross_where_it_is_asked(pair: Pair) -> None:
    seen = Joined(pair, TRUCK, tare_kg=5_000).run(20.0).seen(18.0)
    kind, kg = {None: (None, 15_000), "gross": ("net", 15_000)}[pair.kind]
    if pair.simulated == "yaohua_command":
        kind, kg = "gross", 20_000
    assert {(each.kind, int(each.value_kg)) for each in seen} == {(kind, kg)}


# --- any bytes ----------------------------------------------------------------------------------------------


def _xor_fits(body: bytes, check: bytes) -> bool:
    return b"%02X" % reduce(xor, body) == check


def _decimal(sign: bytes, digits: bytes, decimals: bytes) -> Decimal:
    return Decimal(f"{(sign + digits).decode()}e-{decimals.decode()}")


def _tf0(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=\x02(([+-])(\d{6})([0-4]))([0-9A-F]{2})\x03)", data):
        if _xor_fits(found[1], found[5]):
            yield _decimal(found[2], found[3], found[4])


def _command(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=\x02([A-Z][B-D]([+-])(\d{6})([0-4]))([0-9A-F]{2})\x03)", data):
        if _xor_fits(found[1], found[5]):
            yield _decimal(found[2], found[3], found[4])


def _toledo(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?s)(?=(\x02([\x20-\x3f])(.).([ 0-9]{6})[ 0-9]{6}\r.))", data):
        if not sum(found[1]) & 0x7F and found[4].strip().isdigit():
            code = found[2][0] & 7
            sign = b"-" if found[3][0] & 2 else b"+"
            yield _decimal(sign, found[4].strip(), b"%d" % max(0, code - 2))


def _tf_eq(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=\=([0-])([0-9.]{7}))", data):
        if found[2].count(b".") <= 1:
            yield Decimal((found[1] + found[2]).decode())


def _a12(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=w[wnt]([-0-9. ]{7})(?:kg|lb)\r\n)", data):
        if re.fullmatch(rb"-?\d+\.?\d*", found[1].strip()):
            yield Decimal(found[1].decode().strip())


def _a12e(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=(W[GN]([-0-9. ]{7})kg)([0-9A-F]{2})\r\n)", data):
        if _xor_fits(found[1], found[3]) and re.fullmatch(rb"-?\d+\.?\d*", found[2].rstrip()):
            yield Decimal(found[2].decode().strip())


def _sics(data: bytes) -> Iterator[Decimal]:
    for found in re.finditer(rb"(?=S [SD] +(-?\d+(?:\.\d+)?) (?:kg|g|t|lb) *\r\n)", data):
        yield Decimal(found[1].decode())


def _comma(data: bytes) -> Iterator[Decimal]:
    words = rb"(?:(?:ST|US) *, *(?:GS|GR|NT|TR)|(?:GS|GR|NT|TR) *, *(?:ST|US)|ST *, *US)"
    for found in re.finditer(rb"(?=" + words + rb" *, *([+-]?) *(\d+\.?\d*) *(?i:kg|g|t|lb) *\r\n)", data):
        yield Decimal((found[1] + found[2]).decode())


CODECS: dict[str, tuple[Callable[[], Cutter[Any]], Callable[[bytes], Iterator[Decimal]]]] = {
    "weighbridge.yaohua_tf0": (yaohua.decoder, _tf0),
    "weighbridge.yaohua_command": (yaohua_command.decoder, _command),
    "weighbridge.yaohua_tf_eq": (lambda: tf_eq.decoder(tf_eq.Digits.FORWARD), _tf_eq),
    "weighbridge.yaohua_a12_ascii": (a12_ascii.decoder, _a12),
    "weighbridge.yaohua_a12e": (a12e.decoder, _a12e),
    "weighbridge.toledo_continuous": (lambda: toledo.decoder(toledo.Check.SENT), _toledo),
    "weighbridge.mt_sics": (mt_sics.decoder, _sics),
    "weighbridge.st_gs_ascii": (st_gs.decoder, _comma),
}
"""Name -> decoder, and the weights that a second reading of the manual finds in the same bytes."""


def spoilt_bytes(draw: random.Random, frames: list[bytes]) -> bytes:
    """Frames with a few bytes turned, lost, added, moved or cut, and sometimes nothing but noise."""
    if draw.random() < 0.1:
        return draw.randbytes(draw.randrange(40))
    data = bytearray(b"".join(draw.choice(frames) for _ in range(draw.randrange(1, 4))))
    for _ in range(draw.randrange(4)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(6):
            case 0:
                data[at:at] = draw.choice((draw.randbytes(1), draw.choice((b"0", b" ", b".", b"-", b"\r\n"))))
            case 1:
                del data[at : at + draw.randrange(1, 3)]
            case 2 if at < len(data):
                data[at] ^= 1 << draw.randrange(8)
            case 3 if at < len(data):
                data[at] = draw.choice(b"0123456789 .-+")
            case 4 if at + 1 < len(data):
                data[at], data[at + 1] = data[at + 1], data[at]
            case _:
                data[at:at] = data[: draw.randrange(len(data) + 1)]
    return bytes(data[: draw.choice((len(data), draw.randrange(len(data) + 1)))])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("protocol", CODECS)
def test_no_bytes_make_a_codec_raise_or_give_a_weight_that_is_not_in_them(protocol: str) -> None:
    make, weights_in = CODECS[protocol]
    draw = random.Random(protocol)
    frames = [line + b"\r\n" if protocol.endswith("a12_ascii") else line for line in FRAMES[protocol]]
    wrong, weighed, refused = [], 0, 0
    for _ in range(FUZZ):
        data = spoilt_bytes(draw, frames)
        cut = draw.randrange(len(data) + 1)
        cutter = make()
        told = cutter.feed(data[:cut]) + cutter.feed(data[cut:]) + cutter.quiet()
        values = {value for message in told if (value := getattr(message, "value", None)) is not None}
        weighed += len(values)
        refused += any(isinstance(message, ReadGarbled | ReadTruncated) for message in told)
        if not values <= set(weights_in(data)):
            wrong.append((data, values))
    assert wrong[:3] == []
    assert weighed > FUZZ // 10
    assert refused > FUZZ // 10


def test_the_fuzz_covers_every_weighbridge() -> None:
    assert set(CODECS) == set(WEIGHBRIDGES)
