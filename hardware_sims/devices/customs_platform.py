"""A customs platform as a lane's front end meets it: takes gathers, answers as its script says. No port.

Frame, from the published layouts: `E2 5C 4B 89`, total int32, type, AREA_ID 10, CHNL_NO 10, `I`/`E`, flag 4,
XML length int32, XML, `FF FF`; little endian. COMMAND_INFO in GB 2312 whatever its prolog says. Style
`same_socket` answers on the connection it was asked on; `call_back` on one it opens itself and keeps;
`send_and_close` on one it opens for each message, closed behind it.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from hardware_sims.barrier import NEVER
from hardware_sims.faults import Fault, FaultKind, FaultyLine

Style = Literal["same_socket", "call_back", "send_and_close"]
STYLES: Final[tuple[Style, ...]] = ("same_socket", "call_back", "send_and_close")

ANSWERS: Final = (
    "release", "refuse", "inspect", "lower", "yes", "nineteen_digits", "wrong_seq_no", "wrong_lane",
    "wrong_area", "wrong_direction", "late", "silent", "twice", "garbage", "half", "ill_formed", "entities",
    "utf8", "order_raise", "order_lower",
)  # fmt: skip
"""What a script may name, alone or as `PLATE=answer`."""

MAGIC: Final = bytes.fromhex("E25C4B89")
GATHERS: Final = (0x21, 0x23)
COMMAND, PICTURES, DEVICE_ORDER, DEVICE_ANSWER, HEARTBEAT = 0x22, 0x26, 0x31, 0x32, 0x71
LONGEST_FRAME: Final = 32 << 20
THINKS_S: Final = 0.3
LATE_S: Final = 60.0

_CHECK_RESULTS: Final = {
    "release": ("0" * 20, "直接放行"),
    "refuse": ("11" + "0" * 18, "禁止通行"),
    "inspect": ("00000000001002000000", "检查放行"),
    "lower": ("02" + "0" * 18, "落杆"),
    "yes": ("Y", "放行"),
    "nineteen_digits": ("0" * 19, "放行"),
}
_ATTRIBUTE: Final = re.compile(rb'(AREA_ID|CHNL_NO|I_E_TYPE|SEQ_NO) *= *"([^"]{0,40})"')
_ELEMENT: Final = re.compile(rb"<(VE_NAME|GROSS_WT|OP_ID|EXECUTE_RESULT)>([^<]*)</")


def frame(
    kind: int, area_id: str, channel_no: str, direction: str, xml: bytes, *, flag: bytes = b"\xff" * 4
) -> bytes:
    identity = (area_id + channel_no + direction).encode("ascii")
    body = bytes((kind,)) + identity + flag + struct.pack("<i", len(xml)) + xml + b"\xff\xff"
    return MAGIC + struct.pack("<i", 8 + len(body)) + body


@dataclass(frozen=True, slots=True)
class Told:
    """What a lane told the platform."""

    at_s: float
    kind: int
    """Message type; 0 for XML that came without a frame."""
    seq_no: str
    plate: str = ""
    gross: str = ""
    """As it stands in GROSS_WT."""
    pictures: int = 0
    order_no: str = ""
    outcome: str = ""
    """EXECUTE_RESULT"""


class CustomsPlatform:
    """`advance` gives what leaves on the lane's connection; `take_calls` what it calls the lane for."""

    def __init__(
        self,
        *,
        area_id: str = "3711210009",
        channel_no: str = "3711020009",
        direction: str = "I",
        style: Style = "same_socket",
        answers: Sequence[str] = ("release",),
        late_s: float = LATE_S,
        heartbeat_s: float = 0.0,
        bare_xml: bool = False,
        seed: str = "platform",
        log: Callable[[float, str, dict[str, Any]], None] = lambda at_s, kind, fields: None,
    ) -> None:
        self._area_id = area_id
        self._channel_no = channel_no
        self._direction = direction
        self.style: Style = style
        self._by_plate = dict(each.split("=", 1) for each in answers if "=" in each)
        self._in_turn = [each for each in answers if "=" not in each] or ["release"]
        self._asked = 0
        self._late_s = late_s
        self._heartbeat_s = heartbeat_s
        self._heartbeat_due_s = NEVER
        self._bare_xml = bare_xml
        self._line = FaultyLine(seed)
        self._log = log
        self._buffer = bytearray()
        self._connected = False
        self._due: list[tuple[float, int, bytes]] = []
        self._order = 0
        self._said = b""
        self._calls: deque[bytes] = deque()
        self.told: list[Told] = []
        self.noise_bytes = 0
        """Received bytes that were no frame."""

    # --- the lane's connection ---

    def connect(self, at_s: float) -> None:
        self._buffer.clear()
        self._line.clear()
        self._connected = True
        self._heartbeat_due_s = at_s + self._heartbeat_s if self._heartbeat_s else NEVER

    def disconnect(self, at_s: float) -> None:
        """Bare XML ends here at the latest."""
        if self._bare_xml:
            self._take_bare(at_s)
        self.noise_bytes += len(self._buffer)
        self._buffer.clear()
        self._connected = False
        self._heartbeat_due_s = NEVER
        if self.style == "same_socket":
            self._line.clear()

    def set_fault(self, at_s: float, fault: Fault, on: bool) -> None:
        self._line.set(at_s, fault, on)

    def receive(self, at_s: float, data: bytes) -> None:
        if self._line.is_deaf:
            return
        self._buffer += self._line.heard(data)
        if self._bare_xml:
            self._take_bare(at_s)
            return
        while (found := self._next_frame()) is not None:
            self._take(at_s, found)

    def next_event_s(self) -> float:
        due = min((at_s for at_s, _, _ in self._due), default=NEVER)
        return min(due, self._line.next_event_s(), self._heartbeat_due_s)

    def advance(self, at_s: float) -> bytes:
        for each in sorted(each for each in self._due if each[0] <= at_s):
            self._due.remove(each)
            self._line.send(each[0], each[2])
        while self._heartbeat_due_s <= at_s:
            beat = frame(HEARTBEAT, self._area_id, self._channel_no, self._direction, b"")
            self._line.send(self._heartbeat_due_s, beat)
            self._heartbeat_due_s += self._heartbeat_s
        ready = self._line.take(at_s)
        if self.style == "same_socket":
            return ready if self._connected else b""
        if ready:
            self._calls.append(ready)
        return b""

    def take_calls(self) -> list[bytes]:
        """What is to be sent on connections the platform opens, each in one of its own or on the one kept."""
        calls = list(self._calls)
        self._calls.clear()
        return calls

    # --- unasked ---

    def order_device(self, at_s: float, *, raises: bool, order_no: str = "1", seq_no: str = "0" * 20) -> None:
        command = ("00" if raises else "02") + "0" * 18
        words = "放行抬杆" if raises else "落杆"
        inner = (
            f"<EXCUTE_COMMAND>{command}</EXCUTE_COMMAND>\r\n<OP_TYPE>0</OP_TYPE>\r\n"
            f"<OP_REASON>{words}</OP_REASON>\r\n<OP_ID>{order_no}</OP_ID>\r\n"
        )
        self._send(at_s, DEVICE_ORDER, seq_no, inner)

    # --- what it hears ---

    def _next_frame(self) -> bytes | None:
        """The next whole frame in the buffer, noise before it dropped."""
        buffer = self._buffer
        while True:
            start = buffer.find(MAGIC)
            if start < 0:
                keep = next((n for n in (3, 2, 1) if buffer.endswith(MAGIC[:n])), 0)
                self.noise_bytes += len(buffer) - keep
                del buffer[: len(buffer) - keep]
                return None
            self.noise_bytes += start
            del buffer[:start]
            if len(buffer) < 8:
                return None
            (total,) = struct.unpack_from("<i", buffer, 4)
            if not 40 <= total <= LONGEST_FRAME:
                self.noise_bytes += 1
                del buffer[0]
                continue
            if len(buffer) < total:
                return None
            found = bytes(buffer[:total])
            if found[-2:] != b"\xff\xff":
                self.noise_bytes += 1
                del buffer[0]
                continue
            del buffer[:total]
            return found

    def _take(self, at_s: float, found: bytes) -> None:
        kind = found[8]
        (length,) = struct.unpack_from("<i", found, 34)
        if kind == HEARTBEAT or not 0 <= length <= len(found) - 40:
            return
        xml = found[38 : 38 + length]
        pictures = _pictures_in(found[38 + length : -2]) if kind == PICTURES else 0
        self._hear(at_s, kind, xml, pictures)

    def _take_bare(self, at_s: float) -> None:
        while (end := self._buffer.find(b"</GATHER_INFO>")) >= 0:
            xml = bytes(self._buffer[: end + 14])
            del self._buffer[: end + 14]
            self._hear(at_s, 0, xml, 0)

    def _hear(self, at_s: float, kind: int, xml: bytes, pictures: int) -> None:
        attributes = {
            name.decode(): text.decode("ascii", "replace") for name, text in _ATTRIBUTE.findall(xml)
        }
        elements = {name.decode(): text.decode("gb18030", "replace") for name, text in _ELEMENT.findall(xml)}
        told = Told(
            at_s=at_s,
            kind=kind,
            seq_no=attributes.get("SEQ_NO", ""),
            plate=elements.get("VE_NAME", ""),
            gross=elements.get("GROSS_WT", ""),
            pictures=pictures,
            order_no=elements.get("OP_ID", ""),
            outcome=elements.get("EXECUTE_RESULT", ""),
        )
        self.told.append(told)
        self._log(at_s, "platform_told", {"type": f"{kind:02X}", "seq_no": told.seq_no, "plate": told.plate})
        # Nobody can be answered under a number that is none.
        if kind in (*GATHERS, 0) and len(told.seq_no) == 20 and told.seq_no.isdecimal():
            self._answer(at_s, told)

    # --- what it says ---

    def _answer(self, at_s: float, told: Told) -> None:
        answer = self._by_plate.get(told.plate)
        if answer is None:
            answer = self._in_turn[self._asked % len(self._in_turn)]
            self._asked += 1
        self._log(at_s, "platform_answer", {"seq_no": told.seq_no, "answer": answer})
        due_s = at_s + THINKS_S
        seq_no = told.seq_no
        match answer:
            case "silent":
                return
            case "late":
                self._command(at_s + self._late_s, seq_no, "release")
            case "twice":
                self._command(due_s, seq_no, "release")
                self._command(due_s + 0.2, seq_no, "release")
            case "wrong_seq_no":
                other = f"{int(seq_no) ^ 1:020d}"
                self._command(due_s, other, "release")
            case "wrong_lane":
                self._command(due_s, seq_no, "release", channel_no=self._channel_no[:-1] + "X")
            case "wrong_area":
                self._command(due_s, seq_no, "release", area_id=self._area_id[:-1] + "X")
            case "wrong_direction":
                self._command(due_s, seq_no, "release", direction="E" if self._direction == "I" else "I")
            case "garbage":
                self._queue(due_s, bytes(range(7, 250, 3)) + MAGIC + b"\x10\x00\x00\x00garbage\xff\xff")
            case "half":
                whole = self._framed(COMMAND, self._xml(seq_no, _check("release")))
                self._queue(due_s, whole[: len(whole) * 2 // 3])
            case "ill_formed":
                xml = self._xml(seq_no, _check("release")).replace(b"</CHECK_RESULT>", b"")
                self._queue(due_s, self._framed(COMMAND, xml))
            case "entities":
                xml = self._xml(seq_no, "<CHECK_RESULT>&z;</CHECK_RESULT>")
                prolog, rest = xml.split(b"?>", 1)
                dtd = b'?><!DOCTYPE c [<!ENTITY z "00000000000000000000">]>'
                self._queue(due_s, self._framed(COMMAND, prolog + dtd + rest))
            case "utf8":
                xml = self._xml(seq_no, _check("release"), encoding="utf-8", declared="UTF-8")
                self._queue(due_s, self._framed(COMMAND, xml + b"\0"))
            case "order_raise" | "order_lower":
                number = str(len(self.told))
                self.order_device(due_s, raises=answer == "order_raise", order_no=number, seq_no=seq_no)
            case _:
                self._command(due_s, seq_no, answer)

    def _command(
        self,
        due_s: float,
        seq_no: str,
        answer: str,
        *,
        area_id: str | None = None,
        channel_no: str | None = None,
        direction: str | None = None,
    ) -> None:
        identity = (area_id or self._area_id, channel_no or self._channel_no, direction or self._direction)
        self._queue(due_s, self._framed(COMMAND, self._xml(seq_no, _check(answer), identity), identity))

    def _send(self, due_s: float, kind: int, seq_no: str, inner: str) -> None:
        self._queue(due_s, self._framed(kind, self._xml(seq_no, inner)))

    def _xml(
        self,
        seq_no: str,
        inner: str,
        identity: tuple[str, str, str] | None = None,
        *,
        encoding: str = "gb2312",
        declared: str = "GB2312",
    ) -> bytes:
        area_id, channel_no, direction = identity or (self._area_id, self._channel_no, self._direction)
        return (
            f'<?xml version="1.0" encoding="{declared}"?><COMMAND_INFO AREA_ID="{area_id}" '
            f'CHNL_NO="{channel_no}" I_E_TYPE="{direction}" SEQ_NO="{seq_no}">{inner}</COMMAND_INFO>'
        ).encode(encoding)

    def _framed(self, kind: int, xml: bytes, identity: tuple[str, str, str] | None = None) -> bytes:
        if self._bare_xml:
            return xml
        return frame(kind, *(identity or (self._area_id, self._channel_no, self._direction)), xml)

    def _queue(self, due_s: float, data: bytes) -> None:
        if self._line.has(FaultKind.STUCK) and self._said:
            data = self._said
        self._said = data
        self._order += 1
        self._due.append((due_s, self._order, data))


def _check(answer: str) -> str:
    digits, hint = _CHECK_RESULTS[answer]
    return (
        f"<CHECK_RESULT>{digits}</CHECK_RESULT><OP_HINT>{hint}</OP_HINT><GPS><VE_NAME></VE_NAME>"
        "<GPS_ID></GPS_ID></GPS><SEAL><ESEAL_ID></ESEAL_ID><SEAL_KEY></SEAL_KEY></SEAL><FORM_ID></FORM_ID>"
    )


def _pictures_in(data: bytes) -> int:
    """How many; 0 where they do not add up."""
    if len(data) < 4:
        return 0
    (announced,) = struct.unpack_from("<i", data)
    count, size, at = 0, 0, 4
    while at + 5 <= len(data):
        (length,) = struct.unpack_from("<i", data, at + 1)
        if length <= 0:
            return 0
        count, size, at = count + 1, size + length, at + 5 + length
    return count if at == len(data) and size == announced else 0
