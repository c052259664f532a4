"""The belt's I/O board: tells positions, edges and states, energises named outputs. The board ends a pulse.

X1: an order names an output of `BeltOutput`, never a relay's number; none of them reaches a source, an
emergency stop's reset or a drive's start.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from edge.devices.driver import Output
from edge.devices.io_modbus import wire
from edge.devices.readings import (
    BeltEye,
    BeltOutput,
    EnergiseOutput,
    Order,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReleaseOutput,
)
from edge.devices.settings import SettingError, SettingsRefused, setting
from edge.devices.xray_belt_io.belt import Belt, Rules, Wire, Wires
from edge.devices.xray_belt_io.talk import BoardTalk, Timing, Turn

_UNWIRED = -1
_EYES: tuple[BeltEye, ...] = get_args(BeltEye)
_STATES = ("belt_running", "belt_forward", "source_on", "emergency_stop", "feed_running")
_TRUE_WHEN_OFF = ("emergency_stop", *(f"{eye}_eye" for eye in _EYES))
"""A broken wire reads as an object in the beam, or a pressed stop."""


@dataclass(frozen=True, slots=True)
class Settings:
    framing: Literal["rtu", "tcp"] = setting(
        "tcp", "rtu: serial lines and serial servers; tcp: Modbus TCP, with its own header"
    )
    unit_id: int = setting(1, "the board's Modbus address", least=1, most=247)
    encoder_address: int = setting(0, "input register of the counter's first word", least=0, most=65534)
    word_order: Literal["high_first", "low_first"] = setting(
        "high_first", "which word of the counter is first"
    )
    nanometres_per_count: int = setting(100_000, "belt travel of one count", least=1_000, most=100_000_000)
    inputs: int = setting(16, "discrete inputs read with every look", least=1, most=128)
    input_address: int = setting(0, "address of input 0", least=0, most=65535)
    portal_eye: int = setting(0, "input; -1: not wired", least=-1, most=127)
    xray_eye: int = setting(1, "input at the X-ray inlet; -1: not wired", least=-1, most=127)
    diverter_eye: int = setting(2, "input; -1: not wired", least=-1, most=127)
    pass_chute_eye: int = setting(3, "input; -1: not wired", least=-1, most=127)
    recheck_chute_eye: int = setting(4, "input; -1: not wired", least=-1, most=127)
    flag_chute_eye: int = setting(5, "input; -1: not wired", least=-1, most=127)
    belt_running: int = setting(8, "input; -1: not wired", least=-1, most=127)
    belt_forward: int = setting(9, "input; -1: not wired", least=-1, most=127)
    source_on: int = setting(10, "input; -1: not wired", least=-1, most=127)
    emergency_stop: int = setting(11, "input, normally closed; -1: not wired", least=-1, most=127)
    feed_running: int = setting(12, "input; -1: not wired", least=-1, most=127)
    inverted: tuple[str, ...] = setting((), "inputs whose polarity is the other way, by name", most=32)
    relays: int = setting(8, "relays of the board, numbered from 0", least=1, most=32)
    relay_style: Literal["waveshare", "r421a08"] = setting("waveshare", "how the board takes relay orders")
    feed_permit: int = setting(0, "relay; -1: not wired", least=-1, most=31)
    stop_request: int = setting(1, "relay; -1: not wired", least=-1, most=31)
    pass_pulse: int = setting(2, "relay that sends a parcel to the chute of passed ones", least=0, most=31)
    flag_pulse: int = setting(3, "relay of the inspection chute; -1: the site has none", least=-1, most=31)
    tower_red: int = setting(4, "relay; -1: not wired", least=-1, most=31)
    tower_amber: int = setting(5, "relay; -1: not wired", least=-1, most=31)
    tower_green: int = setting(6, "relay; -1: not wired", least=-1, most=31)
    divert_most_s: float = setting(3.0, "longest pulse of pass and flag", least=0.1, most=10)
    poll_s: float = setting(0.005, "rest between a look and the next", least=0, most=1)
    reply_timeout_s: float = setting(
        0.1, "silence after which a request counts as unanswered", least=0.005, most=2
    )
    settle_s: float = setting(
        0.02, "stillness asked of the line after an unanswered request", least=0, most=2
    )
    retries: int = setting(2, "how often an unanswered order is sent again", least=0, most=20)
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)
    stale_s: float = setting(
        0.3, "without a whole look for so long neither position nor states are known", least=0.05, most=10
    )
    gone_s: float = setting(
        2.0, "without a whole look for so long the line is opened again", least=0.5, most=600
    )
    most_mm_s: float = setting(1500.0, "faster the belt cannot run", least=10, most=10_000)
    steady_looks: int = setting(2, "looks in a row that make an eye's change one", least=1, most=20)
    tell_s: float = setting(0.1, "the position is told at least so often", least=0.01, most=5)


class BeltDriver:
    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where two things have one wire."""
        self._settings = settings
        _check(settings)
        self._relays = _relays(settings)
        self._talk = BoardTalk(
            Timing(
                settings.poll_s,
                settings.reply_timeout_s,
                settings.settle_s,
                settings.retries,
                settings.silent_after,
            ),
            wire.ReadRequest(settings.unit_id, wire.READ_INPUT_REGISTERS, settings.encoder_address, 2),
            wire.ReadRequest(settings.unit_id, wire.READ_INPUTS, settings.input_address, settings.inputs),
            settings.framing,
        )
        rules = Rules(
            settings.nanometres_per_count / 1e6,
            settings.most_mm_s,
            settings.stale_s,
            settings.reply_timeout_s,
            settings.steady_looks,
            settings.tell_s,
        )
        self._belt = Belt(_wires(settings), rules)
        self._gone_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._gone_at_s = at_s + self._settings.gone_s
        unknown = self._belt.unknown("the line was opened again")
        return self._output(at_s, self._talk.opened(at_s), unknown)

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(at_s, self._talk.received(at_s, data), [])

    def due(self, at_s: float) -> Output:
        if self._gone_at_s is not None and at_s >= self._gone_at_s:
            self._gone_at_s = None
            why = f"no whole look for {self._settings.gone_s:g} s"
            unknown = self._belt.unknown(why)
            return Output((*unknown, ReadGarbled(b"", why)), hang_up=True)
        return self._output(at_s, self._talk.due(at_s), [])

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        request = self._request(order)
        if isinstance(request, str):
            return self._output(at_s, Turn((OrderRefused(order_id, request, not_done=True),)), [])
        not_after_s = order.not_after_s if isinstance(order, EnergiseOutput) else None
        return self._output(at_s, self._talk.order(at_s, order_id, request, not_after_s), [])

    def _request(self, order: Order) -> wire.WriteOne | str:
        """The bytes' meaning, or why it cannot be done."""
        if not isinstance(order, EnergiseOutput | ReleaseOutput):
            return f"the belt's board takes no {type(order).__name__}"
        unit, style = self._settings.unit_id, self._settings.relay_style
        relay = self._relays.get(order.output)
        if relay is None:
            return f"no relay is wired for {order.output}"
        if isinstance(order, ReleaseOutput):
            return wire.switch(style, unit, relay, on=False)
        longest_s = wire.longest_pulse_s(style)
        if order.output in ("pass", "flag"):
            longest_s = min(longest_s, self._settings.divert_most_s)
        if not 0 < order.duration_s <= longest_s:
            return f"a pulse of {order.duration_s:g} s: above 0, at most {longest_s:g} s"
        return wire.pulse(style, unit, relay, order.duration_s)

    def _output(self, at_s: float, turn: Turn, before: list[Reading]) -> Output:
        readings = [*before, *turn.readings]
        if turn.look is not None:
            self._gone_at_s = turn.look.at_s + self._settings.gone_s
            first, second = turn.look.registers
            high_first = self._settings.word_order == "high_first"
            count = first << 16 | second if high_first else second << 16 | first
            readings += self._belt.looked(turn.look.at_s, turn.look.apart_s, count, turn.look.inputs)
        else:
            readings += self._belt.due(at_s)
        wakes = [
            wake_s
            for wake_s in (self._talk.wake_at_s, self._belt.stale_at_s, self._gone_at_s)
            if wake_s is not None
        ]
        return Output(tuple(readings), turn.send, min(wakes, default=None), heard=turn.look is not None)


def _relays(settings: Settings) -> dict[BeltOutput, int]:
    numbers: dict[BeltOutput, int] = {
        "feed_permit": settings.feed_permit,
        "stop_request": settings.stop_request,
        "pass": settings.pass_pulse,
        "flag": settings.flag_pulse,
        "tower_red": settings.tower_red,
        "tower_amber": settings.tower_amber,
        "tower_green": settings.tower_green,
    }
    return {name: number for name, number in numbers.items() if number != _UNWIRED}


def _wires(settings: Settings) -> Wires:
    def wired(name: str) -> Wire | None:
        number = getattr(settings, name)
        true_when = (name in _TRUE_WHEN_OFF) == (name in settings.inverted)
        return None if number == _UNWIRED else Wire(number, true_when)

    eyes = {eye: found for eye in _EYES if (found := wired(f"{eye}_eye")) is not None}
    running, forward, source_on, emergency_stop, feed_running = (wired(name) for name in _STATES)
    return Wires(eyes, running, forward, source_on, emergency_stop, feed_running)


def _check(settings: Settings) -> None:
    inputs = {name: getattr(settings, name) for name in (*(f"{eye}_eye" for eye in _EYES), *_STATES)}
    relays = {
        "feed_permit": settings.feed_permit,
        "stop_request": settings.stop_request,
        "pass_pulse": settings.pass_pulse,
        "flag_pulse": settings.flag_pulse,
        "tower_red": settings.tower_red,
        "tower_amber": settings.tower_amber,
        "tower_green": settings.tower_green,
    }
    errors = [
        SettingError("inverted", f"names of inputs: {', '.join(inputs)}", repr(name)[:80])
        for name in settings.inverted
        if name not in inputs
    ]
    for what, numbers, most in (("input", inputs, settings.inputs), ("relay", relays, settings.relays)):
        wired = {name: number for name, number in numbers.items() if number != _UNWIRED}
        shared = {number for number, times in Counter(wired.values()).items() if times > 1}
        for name, number in wired.items():
            if number >= most:
                errors.append(SettingError(name, f"{what} 0 to {most - 1}", str(number)))
            elif number in shared:
                errors.append(SettingError(name, f"a {what} of its own", f"{what} {number}, shared"))
    if errors:
        raise SettingsRefused(tuple(errors))
