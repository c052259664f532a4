"""The conversation with an R2000-style reader: choose antenna, inventory, again. Pure: bytes and time in and
out.

One request at a time. An inventory is answered by any number of tag frames and one end or error frame; each
frame restarts the reply time, since a field full of tags takes longer. A tag is told when the next frame or
silence follows its own: noise there means that its frame may have lost or gained a byte, which its sum lets
pass once in 256. Silence of the reader is told once, and polling goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.devices.readings import DeviceFault, ReadGarbled, Reading, ReadTruncated, TagSeen
from edge.devices.rfid_r2000 import wire

REPEAT_ONCE = b"\x01"


@dataclass(frozen=True, slots=True)
class Timing:
    poll_s: float
    reply_timeout_s: float
    silent_after: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a call gave."""

    readings: tuple[Reading, ...] = ()
    send: bytes = b""
    heard: bool = False
    """The reader gave a valid answer, with or without a reading."""


class InventorySession:
    """`wake_at_s` is when `due` wants to be called next; None before `opened`."""

    def __init__(self, timing: Timing, *, address: int, antennas: tuple[int, ...]) -> None:
        self._timing = timing
        self._address = address
        self._antennas = antennas
        self._cutter = wire.decoder()
        self._next_antenna = 0
        self._awaiting: int | None = None
        self._held: TagSeen | None = None
        self._heard = False
        self._missed = 0
        self._fault: DeviceFault | None = None
        self.wake_at_s: float | None = None

    def opened(self, at_s: float) -> Turn:
        self._cutter.clear()
        self._next_antenna = 0
        self._held = None
        self._missed = 0
        self._fault = None
        return Turn(send=self._choose_antenna(at_s))

    def received(self, at_s: float, data: bytes) -> Turn:
        readings: list[Reading] = []
        send = b""
        self._heard = False
        for message in self._cutter.feed(data):
            send += self._take(at_s, message, readings)
        return Turn(tuple(readings), send, self._heard)

    def due(self, at_s: float) -> Turn:
        if self.wake_at_s is None or at_s < self.wake_at_s:
            return Turn()
        readings: list[Reading] = []
        send = b""
        self._heard = False
        for message in self._cutter.quiet():
            send += self._take(at_s, message, readings)
        self._believe(readings)
        if at_s < self.wake_at_s:
            return Turn(tuple(readings), send, self._heard)
        if self._awaiting is not None:
            self._missed += 1
            if self._missed == self._timing.silent_after:
                # no DeviceFault: a device that says nothing reports nothing either
                readings.append(ReadGarbled(b"", f"no answer to {self._missed} requests in a row"))
        return Turn(tuple(readings), send + self._choose_antenna(at_s), self._heard)

    def _take(
        self, at_s: float, message: wire.Message | ReadGarbled | ReadTruncated, readings: list[Reading]
    ) -> bytes:
        if isinstance(message, ReadGarbled | ReadTruncated):
            self._doubt(readings)
            readings.append(message)
            return b""
        self._believe(readings)
        if wire.EVERYBODY not in (self._address, message.addr) and message.addr != self._address:
            readings.append(ReadGarbled(b"", f"a frame of reader {message.addr}, expected {self._address}"))
            return b""
        match message:
            case wire.Tag(epc=epc, antenna=antenna):
                self._answered()
                if self._awaiting == wire.INVENTORY:
                    self.wake_at_s = at_s + self._timing.reply_timeout_s
                self._held = TagSeen(epc, antenna, message.rssi_dbm)
            case wire.InventoryEnd() if self._awaiting == message.cmd:
                self._answered()
                self._fault = None
                self._rest(at_s)
            case wire.Outcome(cmd=cmd) if self._awaiting == cmd:
                self._answered()
                return self._outcome(at_s, message, readings)
            case _:
                pass  # an answer to nothing we asked changes nothing
        return b""

    def _believe(self, readings: list[Reading]) -> None:
        """A frame or silence followed the tag held back."""
        if self._held is not None:
            readings.append(self._held)
            self._held = None

    def _doubt(self, readings: list[Reading]) -> None:
        """Bytes that are no frame followed the tag held back: a byte lost or added in it would look so."""
        if self._held is not None:
            readings.append(ReadGarbled(bytes.fromhex(self._held.epc), "noise right behind a tag's frame"))
            self._held = None

    def _outcome(self, at_s: float, outcome: wire.Outcome, readings: list[Reading]) -> bytes:
        if outcome.code != wire.SUCCESS:
            where = f"{wire.COMMANDS.get(outcome.cmd, 'command')} on antenna {self._antenna()}"
            self._tell(DeviceFault(outcome.name, where), readings)
        elif outcome.cmd == wire.SET_ANTENNA:
            return self._inventory(at_s)
        self._rest(at_s)
        return b""

    def _antenna(self) -> int:
        return self._antennas[(self._next_antenna - 1) % len(self._antennas)]

    def _answered(self) -> None:
        self._heard = True
        self._missed = 0

    def _tell(self, fault: DeviceFault, readings: list[Reading]) -> None:
        """A fault is told when it begins or changes, not with every poll."""
        if self._fault is None or fault.code != self._fault.code:
            readings.append(fault)
        self._fault = fault

    def _choose_antenna(self, at_s: float) -> bytes:
        antenna = self._antennas[self._next_antenna % len(self._antennas)]
        self._next_antenna = (self._next_antenna + 1) % len(self._antennas)
        return self._ask(at_s, wire.SET_ANTENNA, bytes([antenna]))

    def _inventory(self, at_s: float) -> bytes:
        return self._ask(at_s, wire.INVENTORY, REPEAT_ONCE)

    def _ask(self, at_s: float, cmd: int, data: bytes) -> bytes:
        self._awaiting = cmd
        self.wake_at_s = at_s + self._timing.reply_timeout_s
        return wire.encode(self._address, cmd, data)

    def _rest(self, at_s: float) -> None:
        self._awaiting = None
        self.wake_at_s = at_s + self._timing.poll_s
