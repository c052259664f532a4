"""Vehicles and how their drivers behave, as values. No motion, no time, nothing of a lane program."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What one driver does. Times in seconds, lengths in metres, speeds in m/s."""

    reaction_s: float = 1.0
    """From a green light under a raised arm to the first movement."""
    cruise_m_s: float = 2.5
    tailgates: bool = False
    """Waits outside, then follows the released vehicle through, whatever the light says."""
    follow_gap_m: float = 2.5
    held_patience_s: float = 6.0
    """From being told to go back to reversing."""
    wait_patience_s: float = 45.0
    """From being told to wait to giving up."""
    patience_s: float = 120.0
    """Standing at the stop line without being told anything."""
    queue_patience_s: float = 60.0
    """Waiting before the lane although it is empty (green that never ends, lane closed)."""
    ignores_board_s: float = 0.0
    """Does not look at the board for so long after stopping."""
    reverses_after_s: float | None = None
    """Reverses out by itself so long after stopping, released or not."""
    reverses_when_released: bool = False
    """Reverses out when it could go."""
    creeps_to_m: float | None = None
    """When released drives to this x, then reverses out."""
    creeps_for_s: float = 0.0
    """How long it stands there before it reverses."""
    stops_short_m: float = 0.0
    """Stops so far before the stop line (a rear wheel may stay off the plate)."""
    slip_rounds: int = 3
    """How often the slip codes are held to the scanner."""


NORMAL = Behaviour()

PRESETS: dict[str, Behaviour] = {
    "normal": NORMAL,
    "tailgates": Behaviour(tailgates=True),
    "reverses_out": Behaviour(reverses_after_s=3.0),
    "reverses_when_released": Behaviour(reverses_when_released=True),
    "creeps_and_reverses": Behaviour(creeps_to_m=21.4),
    "slow": Behaviour(reaction_s=6.0, cruise_m_s=1.2),
    "ignores_board": Behaviour(ignores_board_s=20.0),
    "wheel_off": Behaviour(stops_short_m=3.5),
}
"""Behaviours a scenario may name."""


@dataclass(frozen=True, slots=True)
class Trailer:
    """A drawbar trailer: light and beam pass between truck and trailer."""

    gap_m: float
    length_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """One vehicle that will come to a lane.

    `length_m` is over all, trailer and gap included. `arrives_s` is traffic time: seconds since arrivals
    were released, pauses not counted.
    """

    id: str
    lane: str
    arrives_s: float
    plate: str | None
    """What the camera sees on it; None: not readable."""
    tag: str | None = None
    """EPC in upper-case hex; None: no tag, or a dead one."""
    tare_kg: int = 14_000
    gross_kg: int = 14_000
    axles: int = 3
    length_m: float = 12.0
    trailer: Trailer | None = None
    containers: tuple[str, ...] = ()
    """Their numbers, the front one first; an empty text is one that cannot be read."""
    slip_codes: tuple[str, ...] = ()
    """What the driver holds to the scanner, one after another."""
    slip_aim: str = "]C0"
    card: str | None = None
    """Ten upper-case hex digits of the card the driver holds to a card reader; None: has none."""
    behaviour: Behaviour = field(default=NORMAL)

    def problems(self) -> list[str]:
        """What is wrong with this value, each naming the field and what was expected."""
        found = []
        if not 3.0 <= self.length_m <= 25.0:
            found.append(f"length_m: expected 3 to 25, got {self.length_m}")
        if not 2 <= self.axles <= 9:
            found.append(f"axles: expected 2 to 9, got {self.axles}")
        if not 0 < self.gross_kg <= 120_000:
            found.append(f"gross_kg: expected 1 to 120000, got {self.gross_kg}")
        if self.tag is not None and not _is_epc(self.tag):
            found.append(f"tag: expected 8 to 124 upper-case hex digits in words of 4, got {self.tag!r}")
        if self.card is not None and not is_card(self.card):
            found.append(f"card: expected 10 upper-case hex digits, got {self.card!r}")
        if self.trailer is not None and self.length_m - self.trailer.gap_m - self.trailer.length_m < 3.0:
            found.append("trailer: expected gap_m + length_m to leave at least 3 m of truck")
        if self.arrives_s < 0:
            found.append(f"arrives_s: expected 0 or more, got {self.arrives_s}")
        return found

    def parts(self) -> tuple[tuple[float, float], ...]:
        """(front, rear) of each part in metres behind the vehicle's front."""
        if self.trailer is None:
            return ((0.0, self.length_m),)
        behind = self.length_m - self.trailer.length_m
        return ((0.0, behind - self.trailer.gap_m), (behind, self.length_m))

    def axle_loads(self) -> tuple[tuple[float, float], ...]:
        """(metres behind the front, kg) of each axle; the steering axle carries less."""
        parts = self.parts()
        counts = [self.axles] if len(parts) == 1 else [self.axles - self.axles // 3, max(1, self.axles // 3)]
        places: list[float] = []
        for (front, rear), count in zip(parts, counts, strict=True):
            first, last = front + min(1.4, (rear - front) / 4), rear - min(1.6, (rear - front) / 4)
            step = (last - first) / (count - 1) if count > 1 else 0.0
            places += [first + step * n for n in range(count)]
        shares = [0.7] + [1.0] * (len(places) - 1)
        total = sum(shares)
        return tuple((x, self.gross_kg * share / total) for x, share in zip(places, shares, strict=True))


def is_card(text: str) -> bool:
    return len(text) == 10 and all(c in "0123456789ABCDEF" for c in text)


def _is_epc(text: str) -> bool:
    return 8 <= len(text) <= 124 and len(text) % 4 == 0 and all(c in "0123456789ABCDEF" for c in text)
