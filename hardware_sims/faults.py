"""What is wrong with a device today, as values, and the line that spoils its bytes accordingly."""

from __future__ import annotations

import enum
import random
from collections import deque
from dataclasses import dataclass

from hardware_sims.barrier import NEVER


class FaultKind(enum.StrEnum):
    CUT = "cut"
    """Transmissions end in the middle; `rate` is the share that do."""
    FLIP = "flip"
    """Line noise turns bits over, both ways; `rate` per byte."""
    CHATTER = "chatter"
    """Noise bytes between frames; `rate` bursts a second."""
    SILENCE = "silence"
    """Powered and working, but nothing gets out."""
    STUCK = "stuck"
    """Repeats what it said before."""
    SLOW = "slow"
    """Everything comes `delay_s` late."""
    VANISH = "vanish"
    """The port is gone, as a USB adapter that was pulled."""
    DEAD = "dead"
    """No supply: says nothing, does nothing, relays fall."""
    WRONG_PLATE = "wrong_plate"
    """A camera that reads `plate`, or one character wrong."""
    BROKEN_WIRE = "broken_wire"
    """Input `input` of the I/O board reads False."""
    NO_ANTENNA = "no_antenna"
    """An RFID reader that reports its antenna missing."""
    BLACK = "black"
    """A fixed camera with its lens covered."""
    JUMP = "jump"
    """A weight that changes by `kg` once the vehicle has stood still for `delay_s` (remote-control chip)."""
    NO_ZERO = "no_zero"
    """An empty plate that shows `kg`."""
    DRIFT = "drift"
    """A weight that goes away by `kg` a minute."""
    STORM = "storm"
    """A camera that says everything again and again, whatever it is answered."""
    MALFORMED = "malformed"
    """A camera whose messages are none: pieces left out, lengths that lie, garbage between."""
    CUT_PICTURE = "cut_picture"
    """A camera whose pictures have no end."""
    SLOW_LORIS = "slow_loris"
    """A camera that dribbles: always some bytes, never a whole message."""
    JAMMED = "jammed"
    """The arm does not move whatever the contacts say."""


DEFAULT_RATE = {FaultKind.CUT: 1.0, FaultKind.FLIP: 0.02, FaultKind.CHATTER: 5.0}

DEFAULT_KG = {FaultKind.JUMP: 2_000.0, FaultKind.NO_ZERO: 300.0, FaultKind.DRIFT: 100.0}

SCALE_FAULTS = frozenset(DEFAULT_KG)

SERIAL_FAULTS = frozenset(
    {
        FaultKind.CUT,
        FaultKind.FLIP,
        FaultKind.CHATTER,
        FaultKind.SILENCE,
        FaultKind.STUCK,
        FaultKind.SLOW,
        FaultKind.VANISH,
        FaultKind.DEAD,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: FaultKind
    rate: float | None = None
    delay_s: float = 0.5
    plate: str = ""
    input: str = ""
    kg: float | None = None

    @property
    def load_kg(self) -> float:
        return DEFAULT_KG.get(self.kind, 0.0) if self.kg is None else self.kg

    @property
    def strength(self) -> float:
        return DEFAULT_RATE.get(self.kind, 1.0) if self.rate is None else self.rate


class FaultyLine:
    """Outgoing bytes of one device with their times, and what today's faults make of them."""

    __slots__ = ("_chatter_s", "_due", "_faults", "_random")

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._faults: dict[FaultKind, Fault] = {}
        self._due: deque[tuple[float, bytes]] = deque()
        self._chatter_s = NEVER

    def set(self, at_s: float, fault: Fault, on: bool) -> None:
        if on:
            self._faults[fault.kind] = fault
        else:
            self._faults.pop(fault.kind, None)
        if fault.kind is FaultKind.CHATTER:
            self._chatter_s = at_s if on else NEVER
        if on and fault.kind in (FaultKind.DEAD, FaultKind.VANISH):
            self._due.clear()

    def has(self, kind: FaultKind) -> bool:
        return kind in self._faults

    def get(self, kind: FaultKind) -> Fault | None:
        return self._faults.get(kind)

    @property
    def is_mute(self) -> bool:
        faults = self._faults
        return bool(faults) and not faults.keys().isdisjoint(_MUTE)

    @property
    def is_deaf(self) -> bool:
        faults = self._faults
        return bool(faults) and (FaultKind.DEAD in faults or FaultKind.VANISH in faults)

    def clear(self) -> None:
        """Forget what was not sent: the port was closed."""
        self._due.clear()

    def send(self, at_s: float, frame: bytes) -> None:
        """Queue one frame to leave at `at_s`."""
        faults = self._faults
        if faults:
            if self.is_mute:
                return
            slow = faults.get(FaultKind.SLOW)
            if slow is not None:
                at_s += slow.delay_s
            cut = faults.get(FaultKind.CUT)
            if cut is not None and len(frame) > 1 and self._random.random() < cut.strength:
                frame = frame[: self._random.randrange(1, len(frame))]
            frame = self._flipped(frame)
        self._due.append((at_s, frame))

    def heard(self, data: bytes) -> bytes:
        """Incoming bytes as the device hears them."""
        if not self._faults:
            return data
        return b"" if self.is_deaf else self._flipped(data)

    def _flipped(self, data: bytes) -> bytes:
        flip = self._faults.get(FaultKind.FLIP)
        if flip is None:
            return data
        chance, draw = flip.strength, self._random
        return bytes(byte ^ (1 << draw.randrange(8)) if draw.random() < chance else byte for byte in data)

    def next_event_s(self) -> float:
        due = self._due[0][0] if self._due else NEVER
        return min(due, self._chatter_s)

    def take(self, at_s: float) -> bytes:
        """Everything due by `at_s`."""
        if self._chatter_s <= at_s:
            return self._with_chatter(at_s)
        due = self._due
        if not due or due[0][0] > at_s:
            return b""
        taken = [due.popleft()[1]]
        while due and due[0][0] <= at_s:
            taken.append(due.popleft()[1])
        return b"".join(taken)

    def _with_chatter(self, at_s: float) -> bytes:
        fault = self._faults[FaultKind.CHATTER]
        parts = []
        while self._chatter_s <= at_s or (self._due and self._due[0][0] <= at_s):
            if self._due and self._due[0][0] <= self._chatter_s:
                parts.append(self._due.popleft()[1])
            else:
                if not self.is_mute:
                    parts.append(self._random.randbytes(self._random.randint(1, 6)))
                self._chatter_s += self._random.expovariate(max(0.01, fault.strength))
        return b"".join(parts)


_MUTE = frozenset({FaultKind.SILENCE, FaultKind.DEAD, FaultKind.VANISH})
