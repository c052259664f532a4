"""What a lane's devices say for some seconds, and what in it cannot be: the live half of `kakou doctor`.

Opens the ports as the lane does and gives no order. Nobody should be in the lane: then arm, loops and scale
are at rest, and a wire on the wrong input contradicts the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Literal

from edge.devices.readings import InputsSeen, Order, PlateSeen, Reading, TagSeen, WeightSeen
from edge.gate.config import GateConfig, device_of, wires
from edge.gate.events import Inputs
from edge.gate.translation import is_valid
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import DeviceHealth, DeviceReport, PortLost, Supervisor

Told = tuple[str, Literal["good", "note", "bad"], str, str, str]
"""Check, level, what was seen, what to do in Chinese and in English."""

LISTEN_S = 6.0
LONGEST_S = 30.0
SPOILT_SHARE = 0.2
"""More frames than this spoilt on a line are no accident."""
_MOST_KEPT = 5_000


def listen(config: GateConfig) -> Iterator[Told]:
    """Never raises; takes `LISTEN_S`, and longer while a device that speaks rarely was not heard yet."""
    heard: dict[str, list[Reading]] = {name: [] for name in config.devices}
    lost: dict[str, str] = {}

    def on_report(at_s: float, report: DeviceReport) -> None:
        if isinstance(report, PortLost):
            lost.setdefault(report.device, report.why)

    def on_reading(at_s: float, device: str, reading: Reading) -> None:
        if len(heard[device]) < _MOST_KEPT:
            heard[device].append(reading)

    supervisor: Supervisor[Reading, Order] = Supervisor(
        [device_of(name, part) for name, part in config.devices.items()],
        SystemClock(),
        on_reading=on_reading,
        on_report=on_report,
        is_valid=is_valid,
    )
    supervisor.start()
    _wait(config, supervisor.health, lost)
    health = supervisor.health()
    supervisor.stop()
    for name, part in sorted(config.devices.items()):
        must_speak = part.silent_after_s is not None
        yield _device(must_speak, name, heard[name], health[name], lost.get(name))
    yield from _contradictions(config, heard)


def _wait(config: GateConfig, health: Callable[[], dict[str, DeviceHealth]], lost: dict[str, str]) -> None:
    """A camera's heart beats every ten seconds: as long as the lane itself would wait for it."""
    began_s = time.monotonic()
    patience = {
        name: min(LONGEST_S, part.silent_after_s * 1.25)
        for name, part in config.devices.items()
        if part.silent_after_s is not None
    }
    while True:
        time.sleep(0.1)
        now_s = time.monotonic() - began_s
        seen = health()
        waited_for = [
            name
            for name, longest_s in patience.items()
            if name not in lost and seen[name].readings == 0 and now_s < longest_s
        ]
        if now_s >= LISTEN_S and not waited_for:
            return


def _device(
    must_speak: bool, name: str, readings: list[Reading], health: DeviceHealth, lost: str | None
) -> Told:
    valid = [reading for reading in readings if is_valid(reading)]
    all_frames = len(valid) + health.spoilt
    check = f"device {name}"
    if lost is not None:
        if "in use by another program" in lost:
            return check, "bad", lost, "串口被其它程序占用", "find the other program: fuser on the port"
        return check, "bad", lost, "检查供电、接线与端口", "power, cable, port"
    if health.readings == 0 and must_speak:
        if health.spoilt:
            return (
                check,
                "bad",
                f"{health.spoilt} spoilt frames and no valid one: wrong baud rate, parity or protocol?",
                "波特率、校验位或协议不符",
                "compare baud rate, parity and protocol with the device's own menu",
            )
        return (
            check,
            "bad",
            f"nothing heard in {LISTEN_S:.0f} s or more: powered, wired, address right?",
            "设备无响应：检查供电、接线、地址",
            "power, cable (A and B, RX and TX), address",
        )
    if health.spoilt > SPOILT_SHARE * max(all_frames, 1):
        return (
            check,
            "bad",
            f"{health.spoilt} of {all_frames} frames spoilt: noise on the line, or two masters on it",
            "线路干扰或总线冲突：检查屏蔽、终端电阻",
            "shield, termination, a second program on the same bus",
        )
    return check, "good", _said(valid), "", ""


def _said(readings: list[Reading]) -> str:
    if not readings:
        return "its port is open"
    last = readings[-1]
    match last:
        case WeightSeen(value_kg):
            return f"{len(readings)} frames, last {value_kg} kg"
        case TagSeen(epc):
            return f"{len(readings)} tags, last {epc}"
        case PlateSeen(text):
            return f"{len(readings)} pushes, last {text}"
        case InputsSeen(values):
            return f"{len(readings)} polls, inputs " + "".join("1" if value else "0" for value in values)
        case _:
            return f"{len(readings)} readings, last {type(last).__name__}"


# --- what cannot be -----------------------------------------------------------------------------------------


def _contradictions(config: GateConfig, heard: dict[str, list[Reading]]) -> Iterator[Told]:
    seen = [wires(config).read(r.values) for r in heard.get("io", []) if isinstance(r, InputsSeen)]
    if not seen:
        return
    weights = [r.value_kg for r in heard.get("weighbridge", []) if isinstance(r, WeightSeen)]
    loaded = bool(weights) and max(weights) >= config.weighing.presence_kg
    empty = bool(weights) and not loaded
    yield from _arm(seen, nobody=not loaded and _never(seen, "arrival"))
    yield from _signals(config, seen)
    yield from _occupied(seen, empty=empty)
    yield from _scale(config, seen, weights)


def _always(seen: list[Inputs], name: str) -> bool:
    return all(getattr(each, name) is True for each in seen)


def _never(seen: list[Inputs], name: str) -> bool:
    return all(getattr(each, name) is False for each in seen)


def _arm(seen: list[Inputs], *, nobody: bool) -> Iterator[Told]:
    last = seen[-1]
    zh, en = "限位开关接错输入或卡住", "look at the arm, then at the two limit switches and their inputs"
    if any(each.limit_up is True and each.limit_down is True for each in seen):
        yield "arm", "bad", "both limit switches say yes: one is wired to the wrong input, or stuck", zh, en
    elif last.proven_down():
        yield "arm", "good", "proven down", "", ""
    elif all(each.limit_up is False and each.limit_down is False for each in seen):
        yield (
            "arm",
            "bad",
            "at neither end, and it does not move: a limit switch is cut off or wired wrongly",
            zh,
            en,
        )
    elif last.limit_up is True and nobody:
        yield (
            "arm",
            "bad",
            "reads up, and nobody is in the lane: are limit_down and limit_up exchanged? If it is up, the "
            "lane would start closed (S6)",
            zh,
            en,
        )
    else:
        yield "arm", "note", "not down: the lane would start closed (S6)", "", ""


def _signals(config: GateConfig, seen: list[Inputs]) -> Iterator[Told]:
    """Signals that have one value on any ordinary day."""
    zh, en = "检查接线号与极性", "look at the button or contact, then at input number and polarity"
    for name, field, ordinary, what in (
        ("stop", "stop", False, "the stop signal is given: pressed, cut wire, or wrong polarity"),
        ("fire", "fire", False, "the fire signal is given: alarm, cut wire, or wrong polarity"),
        ("mains", "mains", True, "reads as lost: no mains, wrong input number, or wrong polarity"),
        (
            "reset_key",
            "reset_key",
            False,
            "reads as turned: left in the lock, wrong input number or polarity",
        ),
        (
            "scale_infrared",
            "fully_on",
            True,
            "something always straddles the ends of the scale: dirty, cut wire, wrong input number or "
            "polarity; nobody could be weighed",
        ),
    ):
        if name in config.inputs and _constant(seen, field, not ordinary):
            yield name, "bad", what, zh, en


def _constant(seen: list[Inputs], field: str, value: bool) -> bool:
    return all(getattr(each, field) is value for each in seen)


def _occupied(seen: list[Inputs], *, empty: bool) -> Iterator[Told]:
    zh, en = "地感或光电失效、断线或极性接反", "is somebody there? if not: loop detector, wire, polarity"
    for check, field in (("arm loop", "arm_loop"), ("photocell", "photocell")):
        if _always(seen, field):
            text = (
                "occupied all the time: something stands there, the loop is dead, its wire is on another "
                "input, or the polarity is swapped"
            )
            yield check, "bad", text, zh, en
    if _always(seen, "arrival") and empty:
        text = "occupied all the time, and nobody is on the scale: dead loop, wrong input number, or polarity"
        yield "arrival loop", "bad", text, zh, en
    for field, name in (("arrival", "arrival loop"), ("arm_loop", "arm loop"), ("photocell", "photocell")):
        if any(getattr(each, field) is None for each in seen):
            yield (
                name,
                "bad",
                "the board does not report this input",
                "输入号错误",
                "correct the input's number",
            )


def _scale(config: GateConfig, seen: list[Inputs], weights: list[Decimal]) -> Iterator[Told]:
    if not weights or not _never(seen, "arrival"):
        return
    if min(weights) > 60 and max(weights) < config.weighing.presence_kg:
        yield (
            "scale zero",
            "bad",
            f"shows {weights[-1]} kg with nobody near: it does not return to zero",
            "地磅不归零：清理秤台、归零",
            "clear the platform, set it to zero",
        )
