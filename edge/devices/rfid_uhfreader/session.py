"""The conversation with a UHFReader: inventory after inventory, or listening to one that scans by itself.
Pure: bytes and time in and out.

Answering readers: one inventory at a time, antenna after antenna; each frame that says more will come
restarts the reply time. Scanning readers obey no inventory, but still answer what they are: so that an
empty field differs from a dead reader, they are asked for it now and then. Silence is told once, and asking
goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.readings import DeviceFault, ReadGarbled, Reading, ReadTruncated, TagSeen
from edge.devices.rfid_uhfreader import wire


@dataclass(frozen=True, slots=True)
class Timing:
    rest_s: float
    """Between an answer's end and the next request."""
    reply_timeout_s: float
    quiet_s: float
    silent_after: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""
    heard: bool = False
    """The reader gave a valid answer, with or without a reading."""


class ReaderSession:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(
        self,
        timing: Timing,
        *,
        make: wire.Make,
        address: int,
        requests: tuple[bytes, ...],
        expects: int,
        rssi_offset_db: int,
    ) -> None:
        """`requests` are sent in turn; `expects` is the command that answers them."""
        self._timing = timing
        self._requests = requests
        self._expects = expects
        self._rssi_offset_db = rssi_offset_db
        self._cutter = wire.decoder(make, address)
        self._next = 0
        self._awaiting = False
        self._due_s: float | None = None
        self._quiet_at_s: float | None = None
        self._heard = False
        self._missed = 0
        self._fault: DeviceFault | None = None
        self._told_scanning = False

    @property
    def wake_at_s(self) -> float | None:
        if self._due_s is None or self._quiet_at_s is None:
            return self._due_s
        return min(self._due_s, self._quiet_at_s)

    def opened(self, at_s: float) -> Turn:
        self._cutter.clear()
        self._next = 0
        self._quiet_at_s = None
        self._missed = 0
        self._fault = None
        self._told_scanning = False
        return Turn(send=self._ask(at_s))

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        self._heard = False
        self._line_gone_quiet(at_s, readings)
        for message in self._cutter.feed(data):
            self._take(at_s, message, readings)
        if data:
            self._quiet_at_s = at_s + self._timing.quiet_s if self._cutter.holding else None
        return Turn(tuple(readings), b"", self._heard)

    def due(self, at_s: float) -> Turn:
        readings: list[Reading] = []
        send = b""
        self._heard = False
        self._line_gone_quiet(at_s, readings)
        if self._due_s is not None and at_s >= self._due_s:
            if self._awaiting:
                self._missed += 1
                if self._missed == self._timing.silent_after:
                    # no DeviceFault: a device that says nothing reports nothing either
                    readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
            send = self._ask(at_s)
        return Turn(tuple(readings), send, self._heard)

    def _line_gone_quiet(self, at_s: float, readings: list[Reading]) -> None:
        """What looked like a frame's start and was not finished in time is none; frames in it still count."""
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return
        self._quiet_at_s = None
        for message in self._cutter.quiet():
            self._take(at_s, message, readings)

    def _take(
        self, at_s: float, message: wire.Message | ReadGarbled | ReadTruncated, readings: list[Reading]
    ) -> None:
        match message:
            case wire.Inventory():
                self._heard = True
                readings += [self._seen(message.antennas, tag) for tag in message.tags]
                if message.status == wire.MEMORY_FULL:
                    self._tell(DeviceFault("memory_full", "more tags than the reader can hold"), readings)
                if self._expects == message.cmd:
                    self._answered(at_s, message, readings)
            case wire.Report():
                self._heard = True
                readings.append(self._seen(message.antennas, message.tag))
                if self._expects != wire.INFORMATION and not self._told_scanning:
                    self._told_scanning = True
                    readings.append(DeviceFault("scans_by_itself", "the reader is not set to answer mode"))
            case wire.Heartbeat():
                self._heard = True
            case wire.Information() if self._expects == wire.INFORMATION and self._awaiting:
                self._heard = True
                self._rest(at_s)
            case wire.Answer(cmd=cmd) if self._expects == cmd and self._awaiting:
                self._heard = True
                if message.status == wire.NO_TAG:
                    self._fault = None
                else:
                    self._tell(DeviceFault(message.name, wire.COMMANDS[cmd]), readings)
                self._rest(at_s)
            case ReadGarbled() | ReadTruncated():
                readings.append(message)
            case _:
                pass  # an answer to nothing we asked changes nothing

    def _answered(self, at_s: float, frame: wire.Inventory, readings: list[Reading]) -> None:
        if not self._awaiting:
            return  # late: its tags were told, the next request is already planned
        if not frame.is_last:
            self._missed = 0
            self._due_s = at_s + self._timing.reply_timeout_s
            return
        if frame.status != wire.MEMORY_FULL:
            self._fault = None
        self._rest(at_s)

    def _seen(self, antennas: int | None, tag: wire.Tag) -> TagSeen:
        dbm = None if tag.rssi_raw is None else tag.rssi_raw + self._rssi_offset_db
        return TagSeen(tag.epc, wire.antenna_of(antennas), dbm)

    def _tell(self, fault: DeviceFault, readings: list[Reading]) -> None:
        """A fault is told when it begins or changes, not with every poll."""
        if self._fault is None or fault.code != self._fault.code:
            readings.append(fault)
        self._fault = fault

    def _ask(self, at_s: float) -> bytes:
        self._awaiting = True
        self._due_s = at_s + self._timing.reply_timeout_s
        request = self._requests[self._next]
        self._next = (self._next + 1) % len(self._requests)
        return request

    def _rest(self, at_s: float) -> None:
        self._awaiting = False
        self._missed = 0
        self._due_s = at_s + self._timing.rest_s
