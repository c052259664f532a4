"""The person at the wheel: sees light, arm, board and the vehicle ahead, and drives. No log."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from hardware_sims.vehicles import Vehicle

NEVER = math.inf
ENDURANCE = 5.0
"""A driver stands so many times its patience at most, whatever it is told meanwhile."""
OUT_WORDS = (
    "退出",
    "人工",
    "查验区",
    "换道",
    "走错通道",
    "back out",
    "manual lane",
    "inspection",
    "another lane",
    "wrong lane",
)
WAIT_WORDS = ("请等待", "please wait")
CLOSED_WORDS = ("换道", "通道关闭", "another lane", "lane closed")

QUEUE_X = -1.5
STOP_X = 19.5
ARM_X = 22.0
BEFORE_ARM_X = 21.3
"""Where a driver halts who is past the line and sees the arm come down."""
LAST_HALT_X = 21.8
GONE_BACK_X = -1.0
CLEAR_ARM = 0.97
"""`height` from which a driver thinks the arm is out of the way."""
ACCELERATION = 1.0
BRAKING = 1.2
HARD_BRAKING = 4.0
EXIT_SPEED = 3.0
REVERSE_SPEED = 1.5
CREEP_SPEED = 0.02


class Doing(enum.Enum):
    QUEUED = "queued"
    ENTERING = "entering"
    STANDING = "standing"
    GOING = "going"
    REVERSING = "reversing"


class Told(enum.Enum):
    NOTHING = "nothing"
    WAIT = "wait"
    OUT = "out"


@dataclass(slots=True)
class Sight:
    """What every driver in a lane can see."""

    light: str = "off"
    green_since_s: float = -1.0
    arm_height: float = 0.0
    arm_falling: bool = False
    told: Told = Told.NOTHING
    closed: bool = False
    board_at_s: float = -1.0
    """When the board was last written to."""
    others_in_lane: int = 0


def board_says(rows: tuple[str, ...]) -> tuple[Told, bool]:
    """(what a driver is told, whether the lane says it is closed)."""
    text = " ".join(rows).lower()
    told = Told.NOTHING
    if any(word in text for word in OUT_WORDS):
        told = Told.OUT
    elif any(word in text for word in WAIT_WORDS):
        told = Told.WAIT
    return told, any(word in text for word in CLOSED_WORDS)


class DrivenVehicle:
    """A vehicle with its driver, somewhere along the lane. `x` is its front in metres, `speed` in m/s."""

    __slots__ = (
        "_behaviour",
        "_card_round",
        "_card_s",
        "_crept_s",
        "_entered_s",
        "_go_s",
        "_halt_x",
        "_halted_s",
        "_queued_s",
        "_rear",
        "_round",
        "_show_s",
        "_showing",
        "_standing_s",
        "_told",
        "_told_s",
        "axles",
        "doing",
        "limit",
        "limit_speed",
        "parts",
        "speed",
        "vehicle",
        "x",
    )

    def __init__(self, vehicle: Vehicle, x: float, at_s: float) -> None:
        self.vehicle = vehicle
        self.x = x
        self.speed = vehicle.behaviour.cruise_m_s
        self.doing = Doing.QUEUED
        self.parts = vehicle.parts()
        self.axles = vehicle.axle_loads()
        self._rear = vehicle.length_m
        self.limit = x
        self.limit_speed = 0.0
        """How fast what sets `limit` is moving away."""
        self._behaviour = vehicle.behaviour
        self._queued_s = at_s
        self._entered_s = NEVER
        self._crept_s = NEVER
        self._standing_s = NEVER
        self._go_s = NEVER
        self._halt_x: float | None = None
        self._halted_s = NEVER
        self._told = Told.NOTHING
        self._told_s = NEVER
        self._show_s = NEVER
        self._showing = 0
        self._round = 0
        self._card_s = NEVER
        self._card_round = 0

    @property
    def rear_x(self) -> float:
        return self.x - self._rear

    @property
    def has_stood(self) -> bool:
        return self._standing_s < NEVER

    def reverse(self) -> None:
        self.doing = Doing.REVERSING

    def think(
        self, at_s: float, sight: Sight, ahead: DrivenVehicle | None, behind: DrivenVehicle | None
    ) -> float:
        """Sets `doing` and `limit`. Returns when to think again if nothing that can be seen changes."""
        self.limit_speed = 0.0
        match self.doing:
            case Doing.QUEUED:
                return self._queue(at_s, sight, ahead)
            case Doing.ENTERING:
                return self._enter(at_s, sight, ahead)
            case Doing.STANDING:
                return self._stand(at_s, sight)
            case Doing.GOING:
                return self._go(at_s, sight, ahead)
            case Doing.REVERSING:
                self._back(behind)
                return NEVER

    def _queue(self, at_s: float, sight: Sight, ahead: DrivenVehicle | None) -> float:
        self.limit = QUEUE_X
        if ahead is not None and ahead.doing in (Doing.QUEUED, Doing.REVERSING):
            self.limit = min(self.limit, ahead.rear_x - 2.0)
            if ahead.doing is Doing.QUEUED:
                return NEVER
        if self._behaviour.tailgates and ahead is not None and ahead.doing is Doing.GOING:
            self._enter_now(at_s)
            return at_s
        if sight.others_in_lane:
            return NEVER
        waited_out = self._queued_s + self._behaviour.queue_patience_s
        if (sight.light != "green" and not sight.closed) or at_s >= waited_out:
            self._enter_now(at_s)
            return at_s
        return waited_out

    def _enter_now(self, at_s: float) -> None:
        self.doing = Doing.ENTERING
        self._entered_s = at_s
        self.limit = STOP_X - self._behaviour.stops_short_m

    def _enter(self, at_s: float, sight: Sight, ahead: DrivenVehicle | None) -> float:
        line = STOP_X - self._behaviour.stops_short_m
        if self._behaviour.tailgates and (ahead is not None or self.x > line - 6.0):
            if sight.arm_height >= CLEAR_ARM and (ahead is None or ahead.doing is Doing.GOING):
                line = NEVER
                if self.x > STOP_X:
                    self.doing = Doing.GOING
            if ahead is not None and ahead.rear_x - self._behaviour.follow_gap_m < line:
                line, self.limit_speed = ahead.rear_x - self._behaviour.follow_gap_m, max(0.0, ahead.speed)
        elif (
            sight.light == "green" and sight.green_since_s > self._entered_s and sight.arm_height >= CLEAR_ARM
        ):
            self.doing = Doing.GOING
            line = NEVER
        if ahead is not None and not self._behaviour.tailgates:
            line = min(line, ahead.rear_x - 2.0)
        self.limit = max(line, self.x)
        if self.speed == 0.0 and self.x >= self.limit - 1e-6:
            if self.x >= STOP_X - self._behaviour.stops_short_m - 0.5:
                self.doing = Doing.STANDING
                self._standing_s = self._told_s = at_s
                self._show_s = at_s + 2.0 if self.vehicle.slip_codes else NEVER
                self._card_s = at_s + 1.2 if self.vehicle.card is not None else NEVER
                return at_s
            return at_s + 0.5
        return NEVER

    def _stand(self, at_s: float, sight: Sight) -> float:
        behaviour = self._behaviour
        self.limit = self.x
        looks_s = self._standing_s + behaviour.ignores_board_s
        green = sight.light == "green"
        if green and sight.arm_height >= CLEAR_ARM:
            if self._go_s == NEVER:
                self._go_s = at_s + behaviour.reaction_s
        else:
            self._go_s = NEVER
        fresh = sight.closed or sight.board_at_s >= self._entered_s
        told = sight.told if fresh and not green and at_s >= looks_s else Told.NOTHING
        if told is not self._told:
            self._told, self._told_s = told, at_s
        match told:
            case Told.OUT:
                leaves_s = self._told_s + behaviour.held_patience_s
            case Told.WAIT:
                leaves_s = self._told_s + behaviour.wait_patience_s
            case Told.NOTHING:
                leaves_s = self._told_s + behaviour.patience_s
        # Told to wait, looked at again, told to wait: nobody plays that for ever.
        leaves_s = min(leaves_s, self._standing_s + ENDURANCE * behaviour.patience_s)
        if self._go_s < NEVER:
            leaves_s = NEVER
        if behaviour.reverses_after_s is not None:
            leaves_s = min(leaves_s, self._standing_s + behaviour.reverses_after_s)
        if at_s >= leaves_s:
            self.reverse()
            return at_s
        if at_s >= self._go_s:
            if behaviour.reverses_when_released:
                self.reverse()
            else:
                self.doing = Doing.GOING
            return at_s
        shows_s = min(self._show_s, self._card_s)
        return min(leaves_s, self._go_s, shows_s, looks_s if at_s < looks_s else NEVER)

    def _go(self, at_s: float, sight: Sight, ahead: DrivenVehicle | None) -> float:
        limit = NEVER
        behaviour = self._behaviour
        if ahead is not None:
            limit = ahead.rear_x - (behaviour.follow_gap_m if behaviour.tailgates else 2.0)
            self.limit_speed = max(0.0, ahead.speed)
        if behaviour.creeps_to_m is not None:
            limit, self.limit_speed = min(limit, behaviour.creeps_to_m), 0.0
            if self.x >= behaviour.creeps_to_m - 1e-6:
                self._crept_s = min(self._crept_s, at_s)
                leaves_s = self._crept_s + behaviour.creeps_for_s
                if at_s >= leaves_s:
                    self.reverse()
                    return at_s
                self.limit = self.x
                return leaves_s
        if self.x < ARM_X and sight.arm_height < CLEAR_ARM:
            stops_at = self.x + self.speed * self.speed / (2 * HARD_BRAKING)
            if self._halt_x is None and stops_at <= LAST_HALT_X:
                self._halt_x = BEFORE_ARM_X if stops_at <= BEFORE_ARM_X else LAST_HALT_X
            if self._halt_x is not None and self._halt_x < limit:
                limit, self.limit_speed = self._halt_x, 0.0
        else:
            self._halt_x = None
        self.limit = max(limit, self.x)
        if self._halt_x is None or self.speed > 0.0:
            self._halted_s = NEVER
            return NEVER
        if self._halted_s == NEVER:
            self._halted_s = at_s
        gives_up_s = self._halted_s + behaviour.wait_patience_s
        if at_s >= gives_up_s:
            self.reverse()
            return at_s
        return gives_up_s

    def _back(self, behind: DrivenVehicle | None) -> None:
        self.limit = -NEVER
        if behind is not None and behind.doing is not Doing.QUEUED:
            if behind.doing is not Doing.REVERSING:
                behind.reverse()
            if behind.x > self.rear_x - 1.0:
                self.limit = self.x

    def codes_now(self, at_s: float) -> tuple[str, ...]:
        """Slip codes held to the scanner at this moment: one at a time, 1.5 s apart, in rounds of 10 s."""
        if at_s < self._show_s or self.doing is not Doing.STANDING:
            return ()
        if self._round and self._told is not Told.NOTHING:
            self._show_s = NEVER
            return ()
        codes = self.vehicle.slip_codes
        shown = codes[self._showing]
        self._showing += 1
        if self._showing < len(codes):
            self._show_s = at_s + 1.5
        else:
            self._showing = 0
            self._round += 1
            self._show_s = at_s + 10.0 if self._round < self._behaviour.slip_rounds else NEVER
        return (shown,)

    def card_now(self, at_s: float) -> bool:
        """Whether the card is held to the reader now: every 10 s until the board says something."""
        if at_s < self._card_s or self.doing is not Doing.STANDING:
            return False
        if self._card_round and self._told is not Told.NOTHING:
            self._card_s = NEVER
            return False
        self._card_round += 1
        self._card_s = at_s + 10.0 if self._card_round < self._behaviour.slip_rounds else NEVER
        return True

    def move(self, dt_s: float) -> bool:
        """One step. Returns True when it moved."""
        if self.doing is Doing.REVERSING:
            if self.limit == self.x:
                self.speed = 0.0
                return False
            self.speed = max(
                self.speed - (ACCELERATION if self.speed <= 0 else HARD_BRAKING) * dt_s, -REVERSE_SPEED
            )
            self.x += self.speed * dt_s
            return True
        room = self.limit - self.x
        if room <= 1e-9:
            self.speed = min(self.speed, 0.9 * self.limit_speed)
            self.x += self.speed * dt_s
            return self.speed > 0.0
        behaviour = self._behaviour
        top = max(behaviour.cruise_m_s, EXIT_SPEED if behaviour.cruise_m_s >= 2.0 else 0.0)
        gain = ACCELERATION
        if behaviour.tailgates:
            top, gain = 6.0, 2.0
        elif self.doing is not Doing.GOING:
            top = behaviour.cruise_m_s
        braking = HARD_BRAKING if behaviour.tailgates or self.doing is Doing.GOING else BRAKING
        wanted = top if room == NEVER else min(top, math.sqrt(2 * braking * room + self.limit_speed**2))
        self.speed = max(CREEP_SPEED, min(self.speed + gain * dt_s, wanted))
        step = self.speed * dt_s
        if step >= room:
            self.x = self.limit
            self.speed = min(self.speed, self.limit_speed)
        else:
            self.x += step
        return True
