"""A conversation with the customs platform: frames out, commands in, heartbeats. Bytes and time, both ways.

Nothing is awaited here: a command answers a gather by its SEQ_NO, perhaps on another connection, perhaps
never; whose it is, whether it is in time and what it allows is the lane's to judge. Refused is what is no
command: XML whose own identity is not that of its frame, a missing CHECK_RESULT, a type only lanes send.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edge.devices.customs_front_end import documents, wire
from edge.devices.framing import Cutter
from edge.devices.readings import (
    AnswerDeviceOrder,
    Gather,
    PlatformCommand,
    PlatformDeviceOrder,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SendPictures,
)

Style = Literal["same_socket", "call_back", "send_and_close"]

MOST_DIGITS: Final = 64
"""A longer CHECK_RESULT is none of any kind."""
KEPT_BYTES: Final = 256
"""So much of what is refused is kept for the report."""
REMEMBERED_ORDERS: Final = 64
"""Device orders whose SEQ_NO is still known when they are answered."""
HEARTBEAT_BODY: Final = bytes(4)
"""XML of no length: what a heartbeat carries is not public."""

_PLACES: Final = {"front": "0", "back": "3", "vehicle": "6"}
_COLOURS: Final = {
    "blue": "蓝", "yellow": "黄", "white": "白", "black": "黑", "green": "绿", "yellow-green": "黄绿",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lane:
    """Who we are to the platform, and how it is spoken to."""

    area_id: str
    channel_no: str
    direction: str
    style: Style
    bare_xml: bool
    byte_order: wire.ByteOrder
    colour_before_plate: bool
    heartbeat_s: float
    frame_timeout_s: float
    most_frame_bytes: int
    most_picture_bytes: int
    receives_only: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""
    heard: bool = False
    """The platform sent something whole that says nothing to a lane (a heartbeat)."""


class NotSent(ValueError):
    """The order cannot become a frame; the text says why."""


class PlatformSession:
    """`wake_at_s` is when `due` wants to be called next; None: only when bytes arrive."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._frames: Cutter[wire.Frame] = wire.decoder(lane.most_frame_bytes, lane.byte_order)
        self._bare: Cutter[bytes] = wire.bare_decoder(lane.most_frame_bytes)
        self._holding_until_s: float | None = None
        self._heartbeat_at_s: float | None = None
        self._seq_of_order: dict[str, str] = {}

    @property
    def wake_at_s(self) -> float | None:
        times = (self._holding_until_s, self._heartbeat_at_s)
        return min((time for time in times if time is not None), default=None)

    def opened(self, at_s: float) -> Turn:
        self._frames.clear()
        self._bare.clear()
        self._holding_until_s = None
        beats = (
            self._lane.heartbeat_s and self._lane.style != "send_and_close" and not self._lane.receives_only
        )
        self._heartbeat_at_s = at_s + self._lane.heartbeat_s if beats and self._lane.area_id else None
        return Turn()

    def received(self, at_s: float, data: bytes) -> Turn:
        overdue = self.due(at_s)
        found: list[wire.Frame | bytes | ReadGarbled | ReadTruncated] = []
        found += self._bare.feed(data) if self._lane.bare_xml else self._frames.feed(data)
        if not self._holding:
            self._holding_until_s = None
        elif self._holding_until_s is None or found:
            self._holding_until_s = at_s + self._lane.frame_timeout_s
        turn = self._turn(found)
        return Turn(overdue.readings + turn.readings, overdue.send + turn.send, overdue.heard or turn.heard)

    def due(self, at_s: float) -> Turn:
        turn = Turn()
        if self._holding_until_s is not None and at_s >= self._holding_until_s:
            self._holding_until_s = None
            found: list[wire.Frame | bytes | ReadGarbled | ReadTruncated] = []
            found += self._bare.quiet() if self._lane.bare_xml else self._frames.quiet()
            turn = self._turn(found)
        if self._heartbeat_at_s is not None and at_s >= self._heartbeat_at_s:
            self._heartbeat_at_s = at_s + self._lane.heartbeat_s
            frame = self._frame(wire.CHANNEL_HEARTBEAT, HEARTBEAT_BODY)
            return Turn(turn.readings, turn.send + wire.encode(frame, self._lane.byte_order), turn.heard)
        return turn

    # --- out ---

    def sent(self, order: Gather | SendPictures | AnswerDeviceOrder) -> bytes:
        """The bytes of an order. Raises `NotSent`."""
        if self._lane.receives_only:
            raise NotSent("this entry only receives (receives_only)")
        if not self._lane.area_id:
            raise NotSent("area_id and channel_no are not set")
        try:
            frame = self._frame_of(order)
        except documents.Unreadable as error:
            raise NotSent(str(error)) from error
        if not self._lane.bare_xml:
            return wire.encode(frame, self._lane.byte_order)
        if frame.pictures:
            raise NotSent("pictures need a frame, this platform takes bare XML (bare_xml)")
        return frame.body

    def _frame_of(self, order: Gather | SendPictures | AnswerDeviceOrder) -> wire.Frame:
        lane = self._lane
        identity = (lane.area_id, lane.channel_no, lane.direction)
        if isinstance(order, AnswerDeviceOrder):
            fields = documents.device_answer_fields(order.order_no, done=order.done)
            seq_no = self._seq_of_order.get(order.order_no, "")
            return self._frame(wire.DEVICE_ANSWER, documents.command_xml(*identity, seq_no, fields))
        if not (len(order.seq_no) == 20 and order.seq_no.isascii() and order.seq_no.isdecimal()):
            raise NotSent(f"seq_no: expected 20 digits, got {order.seq_no[:40]!r}")
        if isinstance(order, Gather):
            colour = _COLOURS.get(order.plate_colour, "") if lane.colour_before_plate and order.plate else ""
            xml = documents.gather_xml(order, *identity, plate=colour + order.plate)
            return self._frame(wire.SUPPLEMENT if order.supplement else wire.GATHER, xml, wire.NO_FLAG)
        pictures = tuple(wire.Picture(_PLACES[place], jpeg) for place, jpeg in order.pictures if jpeg)
        size = sum(len(picture.jpeg) for picture in pictures)
        if not pictures or size > lane.most_picture_bytes:
            raise NotSent(f"pictures of {size} bytes, expected 1 to {lane.most_picture_bytes}")
        xml = documents.command_xml(*identity, order.seq_no, {})
        return self._frame(wire.PICTURES, xml, pictures=pictures)

    def _frame(
        self,
        kind: int,
        body: bytes,
        flag: bytes = wire.USUAL_FLAG,
        pictures: tuple[wire.Picture, ...] = (),
    ) -> wire.Frame:
        lane = self._lane
        return wire.Frame(kind, lane.area_id, lane.channel_no, lane.direction, flag, body, pictures)

    # --- in ---

    @property
    def _holding(self) -> bool:
        return self._bare.holding if self._lane.bare_xml else self._frames.holding

    def _turn(self, found: list[wire.Frame | bytes | ReadGarbled | ReadTruncated]) -> Turn:
        readings: list[Reading] = []
        heard = False
        for each in found:
            match each:
                case ReadGarbled() | ReadTruncated():
                    readings.append(each)
                case bytes():
                    readings.append(self._told(each, None))
                case wire.Frame(kind=kind) if kind in wire.WITH_XML:
                    readings.append(self._told(each.body, each))
                case wire.Frame():
                    heard = True
        return Turn(tuple(readings), heard=heard)

    def _told(self, xml: bytes, frame: wire.Frame | None) -> Reading:
        """What one document from the platform says. `frame` None: it came bare."""
        try:
            document = documents.read(xml)
        except documents.Unreadable as error:
            return ReadGarbled(xml[:KEPT_BYTES], str(error))
        problem = _identity_problem(document, frame)
        if problem:
            return ReadGarbled(xml[:KEPT_BYTES], problem)
        fields = document.fields
        kind = frame.kind if frame else _kind_of_bare(document)
        if kind == wire.RELEASE_COMMAND:
            check_result = fields.get("CHECK_RESULT", "")
            if not 1 <= len(check_result) <= MOST_DIGITS:
                return ReadGarbled(xml[:KEPT_BYTES], f"CHECK_RESULT: expected 1 to {MOST_DIGITS} characters")
            return PlatformCommand(
                area_id=document.area_id,
                channel_no=document.channel_no,
                direction=document.direction,
                seq_no=document.seq_no,
                check_result=check_result,
                hint=fields.get("OP_HINT") or fields.get("LED/DISPLAY", ""),
                form_id=fields.get("FORM_ID", ""),
            )
        command = fields.get("EXCUTE_COMMAND", "")
        if kind != wire.DEVICE_COMMAND or not 1 <= len(command) <= MOST_DIGITS:
            what = wire.TYPES.get(kind, "neither a command nor a device order")
            return ReadGarbled(xml[:KEPT_BYTES], f"{what}: no command with what a command says")
        order_no = fields.get("OP_ID", "")[:MOST_DIGITS]
        self._remember(order_no, document.seq_no)
        return PlatformDeviceOrder(
            area_id=document.area_id,
            channel_no=document.channel_no,
            direction=document.direction,
            command=command,
            order_no=order_no,
            reason=fields.get("OP_REASON", ""),
            kind=fields.get("OP_TYPE", ""),
        )

    def _remember(self, order_no: str, seq_no: str) -> None:
        self._seq_of_order.pop(order_no, None)
        self._seq_of_order[order_no] = seq_no
        while len(self._seq_of_order) > REMEMBERED_ORDERS:
            self._seq_of_order.pop(next(iter(self._seq_of_order)))


def _identity_problem(document: documents.Document, frame: wire.Frame | None) -> str:
    if document.root != documents.COMMAND_INFO:
        return f"expected COMMAND_INFO from a platform, got {document.root}"
    if frame is None:
        return ""
    inside = (document.area_id, document.channel_no, document.direction)
    outside = (frame.area_id, frame.channel_no, frame.direction)
    if inside != outside:
        return f"XML of {'/'.join(inside)} in a frame of {'/'.join(outside)}"
    return ""


def _kind_of_bare(document: documents.Document) -> int:
    """What stands in it tells, and it must not be two things at once."""
    names = ("CHECK_RESULT" in document.fields, "EXCUTE_COMMAND" in document.fields)
    return {(True, False): wire.RELEASE_COMMAND, (False, True): wire.DEVICE_COMMAND}.get(names, 0)
