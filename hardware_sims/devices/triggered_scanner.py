"""Scanners that are told when to read: Honeywell, Newland, GM65, Keyence, SICK. Bytes from their manuals. No
port.

Honeywell: SYN T CR and SYN U CR, no answers. Newland: `7E 01 0000 # tag ; 03`, echoed behind `02 01` with a
state byte before the semicolon. GM65: `7E 00 type len addr data crc`, answered `02 00 00 01 00 33 31`;
CRC-CCITT from 0, or AB CD unchecked. Keyence: LON and LOFF, answered OK,LON or ER,LON,nn; ERROR when a read
found nothing. SICK: `02 sMN mTCgateon 03`, answered `sAN mTCgateon 1`; results between 02 and 03; NoRead when
the gate closes on nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hardware_sims.barrier import NEVER
from hardware_sims.devices.scanner import DECODE_S, IN_VIEW_S, REPEAT_S
from hardware_sims.faults import Fault, FaultKind, FaultyLine
from hardware_sims.physics import LanePhysics, ShownCode

Make = Literal["honeywell", "newland", "gm65", "keyence", "sick"]
MAKES: tuple[Make, ...] = ("honeywell", "newland", "gm65", "keyence", "sick")
ANSWER_S = 0.01
OWN_LIMIT_S = 30.0
"""A read that nobody ends, the scanner ends itself."""
SILENCE_S = 0.5
"""Half a command older than this is forgotten."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One command: what it wants, and how it is answered when it is carried out or not."""

    size: int
    wants: Literal["on", "off", "other", "noise"]
    done: bytes = b""
    not_done: bytes = b""


def crc_ccitt(data: bytes) -> bytes:
    """CRC-CCITT of the GM65 manual: polynomial 1021, start 0, high byte first."""
    crc = 0
    for byte in data:
        for bit in range(7, -1, -1):
            crc *= 2
            if crc & 0x10000:
                crc ^= 0x11021
            if byte >> bit & 1:
                crc ^= 0x1021
    return crc.to_bytes(2, "big")


def _honeywell(buffer: bytes) -> Heard | None:
    if buffer[:1] != b"\x16":
        return Heard(1, "noise")
    if len(buffer) < 3:
        return None
    wants = {b"\x16T\r": "on", b"\x16U\r": "off"}.get(buffer[:3])
    if wants == "on":
        return Heard(3, "on")
    return Heard(3, "off") if wants == "off" else Heard(1, "noise")


def _newland(buffer: bytes) -> Heard | None:
    head = b"\x7e\x010000"
    if not head.startswith(buffer[: len(head)]):
        return Heard(1, "noise")
    end = buffer.find(b";\x03")
    if end < 0:
        return None if len(buffer) < 200 else Heard(1, "noise")
    inside = buffer[len(head) : end]
    done, wrong, unknown = (
        b"\x02\x010000" + inside + state + b";\x03" for state in (b"\x06", b"\x15", b"\x05")
    )
    size = end + 2
    match inside[1:]:
        case b"SCNTRG1":
            return Heard(size, "on", done, wrong)
        case b"SCNTRG0":
            return Heard(size, "off", done, wrong)
        case tag if tag[:3] in (b"SCN", b"AIM", b"SUF"):
            return Heard(size, "other", done, wrong)
        case _:
            return Heard(size, "other", unknown, unknown)


def _gm65(buffer: bytes) -> Heard | None:
    if not b"\x7e\x00".startswith(buffer[:2]):
        return Heard(1, "noise")
    if len(buffer) < 4 or len(buffer) < buffer[3] + 8:
        return None if len(buffer) < 4 or buffer[2] in (7, 8, 9, 10) else Heard(1, "noise")
    size = buffer[3] + 8
    body, check = buffer[2 : size - 2], buffer[size - 2 : size]
    if check not in (crc_ccitt(body), b"\xab\xcd"):
        return Heard(1, "noise")
    done = b"\x02\x00" + b"\x00\x01\x00" + crc_ccitt(b"\x00\x01\x00")
    if body[0] == 8 and body[2:4] == b"\x00\x02":
        return Heard(size, "on" if body[4] & 1 else "off", done, done)
    return Heard(size, "other", done, done)


def _keyence(buffer: bytes) -> Heard | None:
    end = buffer.find(b"\r")
    if end < 0:
        return None if len(buffer) < 64 else Heard(len(buffer), "noise")
    text = buffer[:end].lstrip(b"\n")
    if text in (b"LON", b"LOFF"):
        done, not_done = b"OK," + text + b"\r", b"ER," + text + b",22\r"
        return Heard(end + 1, "on" if text == b"LON" else "off", done, not_done)
    return Heard(end + 1, "other", b"ERR91\r", b"ERR91\r") if text else Heard(end + 1, "noise")


def _sick(buffer: bytes) -> Heard | None:
    if buffer[:1] != b"\x02":
        return Heard(1, "noise")
    end = buffer.find(b"\x03")
    if end < 0:
        return None if len(buffer) < 200 else Heard(1, "noise")
    text = buffer[1:end].decode("ascii", "replace")
    if text in ("sMN mTCgateon", "sMN mTCgateoff"):
        answer = f"\x02sAN {text[4:]} "
        on: Literal["on", "off"] = "on" if text.endswith("on") else "off"
        return Heard(end + 1, on, (answer + "1\x03").encode(), (answer + "0\x03").encode())
    return Heard(end + 1, "other", b"\x02sFA 1\x03", b"\x02sFA 1\x03")


_HEARS: dict[Make, Callable[[bytes], Heard | None]] = {
    "honeywell": _honeywell, "newland": _newland, "gm65": _gm65, "keyence": _keyence, "sick": _sick,
}  # fmt: skip
_NOTHING: dict[Make, bytes] = {"keyence": b"ERROR\r", "sick": b"\x02NoRead\x03"}


def transmission(
    make: Make,
    text: str,
    aim: str = "",
    *,
    suffix: bytes = b"\r",
    prefix: bytes = b"",
    encoding: str = "utf-8",
) -> bytes:
    said = prefix + aim.encode("ascii") + text.encode(encoding)
    return b"\x02" + said + b"\x03" if make == "sick" else said + suffix


class TriggeredScanner:
    """Reads what is shown while it is triggered; without `only_triggered` also at other times."""

    def __init__(
        self,
        physics: LanePhysics,
        make: Make,
        *,
        only_triggered: bool = False,
        aim_prefix: bool = True,
        suffix: bytes = b"\r",
        prefix: bytes = b"",
        encoding: str = "utf-8",
        seed: str = "scanner",
    ) -> None:
        self._physics = physics
        self._make = make
        self._only_triggered = only_triggered
        self._aim_prefix = aim_prefix
        self._suffix, self._prefix, self._encoding = suffix, prefix, encoding
        self._line = FaultyLine(seed)
        self._buffer = b""
        self._heard_s = 0.0
        self._on_until_s = NEVER
        self._reading = False
        self._read_any = False
        self._last: ShownCode | None = None
        self._repeat_s = NEVER

    @property
    def is_reading(self) -> bool:
        return self._reading

    def connect(self, at_s: float) -> None:
        self._line.clear()
        self._buffer = b""

    def disconnect(self, at_s: float) -> None:
        self.connect(at_s)

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)
        if fault.kind is FaultKind.STUCK:
            self._repeat_s = at_s + REPEAT_S if on else NEVER
        if fault.kind is FaultKind.DEAD and on:
            self._reading = False

    def next_event_s(self) -> float:
        limit_s = self._on_until_s if self._reading else NEVER
        return min(self._line.next_event_s(), self._repeat_s, limit_s)

    def advance(self, at_s: float) -> bytes:
        for code in self._physics.take_shown_codes():
            if self._line.is_deaf or self._line.has(FaultKind.STUCK):
                continue
            self._last = code
            if self._reading or not self._only_triggered:
                self._say(code.at_s + DECODE_S, code)
        if self._reading and self._on_until_s <= at_s:
            self._end(self._on_until_s)
        while self._repeat_s <= at_s:
            if self._last is not None:
                self._say(self._repeat_s, self._last)
            self._repeat_s += REPEAT_S
        return self._line.take(at_s)

    def receive(self, at_s: float, data: bytes) -> None:
        if at_s - self._heard_s > SILENCE_S:
            self._buffer = b""
        self._heard_s = at_s
        self._buffer += self._line.heard(data)
        while self._buffer:
            heard = _HEARS[self._make](self._buffer)
            if heard is None:
                return
            self._buffer = self._buffer[heard.size :]
            self._obey(at_s, heard)

    def _obey(self, at_s: float, heard: Heard) -> None:
        match heard.wants:
            case "on":
                strict = self._make == "keyence" and self._reading
                self._answer(at_s, heard.not_done if strict else heard.done)
                if not self._reading:
                    self._begin(at_s)
            case "off":
                strict = self._make == "keyence" and not self._reading
                self._answer(at_s, heard.not_done if strict else heard.done)
                if self._reading:
                    self._end(at_s + ANSWER_S)
            case "other":
                self._answer(at_s, heard.done)
            case "noise":
                pass

    def _begin(self, at_s: float) -> None:
        self._reading, self._read_any = True, False
        self._on_until_s = at_s + OWN_LIMIT_S
        if (
            self._last is not None
            and at_s - self._last.at_s <= IN_VIEW_S
            and not self._line.has(FaultKind.STUCK)
        ):
            self._say(at_s + ANSWER_S + DECODE_S, self._last)

    def _end(self, at_s: float) -> None:
        self._reading = False
        nothing = _NOTHING.get(self._make)
        if nothing is not None and not self._read_any:
            self._line.send(at_s, nothing)

    def _answer(self, at_s: float, answer: bytes) -> None:
        if answer:
            self._line.send(at_s + ANSWER_S, answer)

    def _say(self, at_s: float, code: ShownCode) -> None:
        aim = code.aim if self._aim_prefix else ""
        self._line.send(
            at_s,
            transmission(
                self._make, code.text, aim, suffix=self._suffix, prefix=self._prefix, encoding=self._encoding
            ),
        )
        self._read_any = True
        # a gate stays open, the others stop at the first text
        if self._make != "sick":
            self._reading = False
