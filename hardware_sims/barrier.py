"""A barrier controller with its own hard-wired safety. Nobody speaks to it but by contacts.

From controller manuals: STOP > OPEN > CLOSE, fire overrides all but STOP, loop and photocell reopen a
falling arm, power-up moves nothing. Time arrives as an argument; between two calls the arm's position
follows exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Log = Callable[[float, str, dict[str, Any]], None]
"""(virtual seconds, kind, fields): one line of what physically happened."""

NEVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierSettings:
    raise_s: float = 2.0
    lower_s: float = 2.5
    auto_close: bool = False
    auto_close_after_s: float = 1.5
    """After the loop under the arm became free."""
    power_fail_lifts: bool = False
    """A spring lifts the arm when the mains fail."""
    spring_s: float = 4.0


class BarrierController:
    """One arm. Its motor runs 0 (down) to 1 (up); `height` is how far the arm is out of the way."""

    __slots__ = (
        "_arm_is_free_s",
        "_cause",
        "_close",
        "_fire",
        "_jammed",
        "_log",
        "_loop",
        "_now",
        "_open",
        "_passed_under",
        "_phase",
        "_photocell",
        "_power",
        "_rate",
        "_settings",
        "_stop",
    )

    def __init__(self, settings: BarrierSettings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._now = 0.0
        self._phase = 0.0
        self._rate = 0.0
        self._cause = ""
        self._open = self._close = self._stop = self._fire = False
        self._power = True
        self._loop = self._photocell = False
        self._jammed = False
        self._passed_under = False
        self._arm_is_free_s = NEVER

    # --- what can be seen ---

    @property
    def is_up(self) -> bool:
        """The upper limit switch; it opens as soon as the arm leaves it."""
        return self._phase >= 1.0 and self._rate >= 0.0

    @property
    def is_down(self) -> bool:
        return self._phase <= 0.0 and self._rate <= 0.0

    @property
    def is_moving(self) -> bool:
        return self._rate != 0.0

    @property
    def is_rising(self) -> bool:
        return self._rate > 0.0

    @property
    def height(self) -> float:
        """0 (across the lane) to 1 (out of the way): a crank turns the arm, slow at both ends."""
        return 0.5 - 0.5 * math.cos(math.pi * self._phase)

    @property
    def power_ok(self) -> bool:
        return self._power

    def arm(self) -> str:
        if self.is_moving:
            return "moving"
        if self.is_up:
            return "up"
        return "down" if self.is_down else "between"

    def next_event_s(self) -> float:
        free_s = self._arm_is_free_s
        if self._rate > 0.0:
            due = self._now + (1.0 - self._phase) / self._rate
        elif self._rate < 0.0:
            due = self._now - self._phase / self._rate
        else:
            return free_s
        return due if due < free_s else free_s  # noqa: FURB136  a hot path

    # --- time ---

    def advance(self, at_s: float) -> None:
        while True:
            due = self.next_event_s()
            if due > at_s:
                break
            self._move_to(max(due, self._now))
            if self._rate > 0.0 and self._phase >= 1.0 - 1e-9:
                self._phase, self._rate = 1.0, 0.0
                self._log(self._now, "arm_up", {"cause": self._cause})
            elif self._rate < 0.0 and self._phase <= 1e-9:
                self._phase, self._rate = 0.0, 0.0
                self._log(self._now, "arm_down", {"cause": self._cause})
            if self._arm_is_free_s <= self._now:
                self._arm_is_free_s = NEVER
                self._passed_under = False
                self._lower("auto")
        self._move_to(at_s)

    def _move_to(self, at_s: float) -> None:
        if at_s > self._now:
            if self._rate:
                self._phase = min(1.0, max(0.0, self._phase + self._rate * (at_s - self._now)))
            self._now = at_s

    # --- contacts ---

    def set_open(self, at_s: float, closed: bool) -> None:
        """The OPEN contact; acts on its closing edge."""
        self.advance(at_s)
        edge, self._open = closed and not self._open, closed
        if edge:
            self._raise("order")

    def set_close(self, at_s: float, closed: bool) -> None:
        """The CLOSE contact; refused (and not remembered) while anything is under the arm or OPEN is held."""
        self.advance(at_s)
        edge, self._close = closed and not self._close, closed
        if edge and not self._open and self._rate <= 0.0:
            self._lower("order")

    def set_stop(self, at_s: float, pressed: bool) -> None:
        self.advance(at_s)
        released, self._stop = self._stop and not pressed, pressed
        if pressed and self._rate:
            self._halt("stop")
        if released and self._fire:
            self._raise("fire")

    def set_fire(self, at_s: float, burning: bool) -> None:
        self.advance(at_s)
        began, self._fire = burning and not self._fire, burning
        if began:
            self._raise("fire")

    def set_power(self, at_s: float, ok: bool) -> None:
        self.advance(at_s)
        if ok == self._power:
            return
        self._power = ok
        if ok:
            if self._fire:
                self._raise("fire")
            return
        self._arm_is_free_s = NEVER
        if self._settings.power_fail_lifts and not self._jammed:
            if self._phase < 1.0:
                self._move(1.0 / self._settings.spring_s, "power")
        elif self._rate:
            self._halt("power")

    def set_under_arm(self, at_s: float, *, loop: bool, photocell: bool) -> None:
        """The controller's own detectors: True when something is there."""
        if loop == self._loop and photocell == self._photocell:
            return
        self.advance(at_s)
        cleared = self._loop and not loop
        self._loop, self._photocell = loop, photocell
        if loop or photocell:
            self._arm_is_free_s = NEVER
            self._passed_under = self._passed_under or not self.is_down
            if self._rate < 0.0:
                self._raise("safety")
        elif (cleared or self._passed_under) and self._settings.auto_close and self._power:
            self._arm_is_free_s = at_s + self._settings.auto_close_after_s

    def hand(self, at_s: float, *, up: bool) -> None:
        """Somebody at the controller's remote control or crank."""
        self.advance(at_s)
        if self._stop:
            return
        if up:
            if self._phase < 1.0 and not self._jammed:
                self._move(1.0 / self._settings.raise_s, "hand")
        elif not (self._loop or self._photocell or self._fire or self._jammed) and self._phase > 0.0:
            self._move(-1.0 / self._settings.lower_s, "hand")

    def set_jammed(self, at_s: float, jammed: bool) -> None:
        """The mechanics are stuck: orders are taken and nothing moves."""
        self.advance(at_s)
        self._jammed = jammed
        if jammed and self._rate:
            self._halt("jammed")

    # --- movement ---

    def _raise(self, cause: str) -> None:
        if self._stop or not self._power or self._jammed or self._rate > 0.0:
            return
        if self._phase >= 1.0 and self._rate == 0.0:
            return
        self._move(1.0 / self._settings.raise_s, cause)

    def _lower(self, cause: str) -> None:
        blocked = self._loop or self._photocell or self._fire or self._stop or self._jammed
        if blocked or not self._power or self._phase <= 0.0 or self._rate < 0.0:
            return
        self._move(-1.0 / self._settings.lower_s, cause)

    def _move(self, rate: float, cause: str) -> None:
        self._rate, self._cause = rate, cause
        self._arm_is_free_s = NEVER
        if rate > 0.0:
            self._passed_under = False
        self._log(self._now, "arm_moving", {"direction": "up" if rate > 0.0 else "down", "cause": cause})

    def _halt(self, cause: str) -> None:
        self._rate = 0.0
        self._log(self._now, "arm_stopped", {"cause": cause})
