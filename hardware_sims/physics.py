"""One lane of concrete and steel: vehicles, loops, beams, plate, arm. What is where, and nothing of bytes.

Distances are metres along the lane, vehicle fronts at x, driving in +x. Time is virtual and arrives as an
argument; inside, a fixed grid of 50 ms is stepped while anything moves and skipped while nothing does, so
the outcome does not depend on how a caller slices its calls.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hardware_sims.barrier import NEVER, BarrierController, BarrierSettings, Log
from hardware_sims.drivers import ARM_X, GONE_BACK_X, Doing, DrivenVehicle, Sight, board_says
from hardware_sims.scale import Scale
from hardware_sims.vehicles import Vehicle

TICKS_PER_S = 20
TICK_S = 1.0 / TICKS_PER_S

ARRIVAL_LOOP = (0.0, 2.0)
PLATE = (2.0, 20.0)
CAMERA_X = 3.0
CAMERA_VIEW = (3.0, 21.0)
RFID_FIELD = (2.0, 20.0)
TAG_BEHIND_FRONT = 1.0
NEXT_DOOR_M = 8.0
"""So much farther off a reader finds a tag in the lane next door."""
NEXT_DOOR_CHANCE = 0.2
"""How often a round hears it at all."""
ARM_LOOP = (21.0, 24.0)
LANE_END = 30.0
SPAWN_X = -6.0
KEY_TURN_S = 1.0
"""How long an officer holds the reset key."""
TOUCH_HEIGHT = 0.8
"""Below this `height` the arm touches a truck that is under it."""

INPUTS = (
    "arrival_loop",
    "arm_loop",
    "photocell",
    "limit_down",
    "limit_up",
    "stop",
    "fire",
    "power_ok",
    "reset_key",
    "scale_infrared",
)
"""Digital inputs by number. Fail-safe: free, clear, not pressed, no fire, mains ok read True."""
INPUT_COUNT = 16
ARRIVAL, LOOP, CELL, DOWN, UP, STOP, FIRE, POWER, RESET, INFRARED = range(10)

RELAYS = ("open", "close", "green", "red", "horn", "spare_5", "spare_6", "spare_7")
OPEN, CLOSE, GREEN, RED, HORN = range(5)


@dataclass(frozen=True, slots=True)
class CameraView:
    """What a plate camera has before its lens when it triggers."""

    at_s: float
    vehicle: str
    plate: str | None
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class ContainerView:
    """What a container camera has before its lens when it triggers."""

    at_s: float
    vehicle: str
    containers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SideView:
    """One vehicle as somebody beside the lane sees it."""

    plate: str | None
    parts: tuple[tuple[float, float], ...]
    """(front, rear) of truck and trailer, metres along the lane."""


@dataclass(frozen=True, slots=True)
class ShownCode:
    at_s: float
    text: str
    aim: str


@dataclass(frozen=True, slots=True)
class ShownCard:
    at_s: float
    number: str
    """Ten hex digits, as on the chip."""


class LanePhysics:
    """Everything physical in one lane. Times never go back."""

    __slots__ = (
        "_axle_load",
        "_board_rows",
        "_broken",
        "_camera_waiting",
        "_cards_waiting",
        "_cars",
        "_codes_waiting",
        "_containers_waiting",
        "_inputs",
        "_key_turn_s",
        "_loops_next",
        "_must_step",
        "_raw",
        "_relays",
        "_reset_until_s",
        "_seen",
        "_sight",
        "_tick",
        "_touching",
        "_wake_s",
        "barrier",
        "light",
        "log",
        "neighbour",
        "now_s",
        "on_move",
        "rest_since_s",
        "scale",
        "turns_key_after_s",
    )

    def __init__(self, barrier: BarrierSettings, log: Log) -> None:
        self.log = log
        self.barrier = BarrierController(barrier, log)
        self.scale = Scale()
        self.now_s = 0.0
        self.light = "off"
        self.rest_since_s = 0.0
        """When the last vehicle left or the arm last came to rest."""
        self.on_move: Callable[[float, str, str], None] | None = None
        """Called with (at_s, vehicle id, `arrived` | `crossed` | `backed_out`)."""
        self.neighbour: LanePhysics | None = None
        """The lane whose tags this lane's reader hears too."""
        self.turns_key_after_s: float | None = None
        """An officer turns the reset key whenever the board has said `closed` for so long."""
        self._key_turn_s = NEVER
        self._tick = 0
        self._cars: list[DrivenVehicle] = []
        self._sight = Sight()
        self._relays = [False] * len(RELAYS)
        self._raw = [True] * 10 + [False] * 6
        self._raw[UP] = self._raw[RESET] = False
        self._broken: set[int] = set()
        self._inputs = tuple(self._raw)
        self._loops_next = (True, True)
        self._must_step = True
        self._wake_s = NEVER
        self._reset_until_s = NEVER
        self._camera_waiting: list[CameraView] = []
        self._containers_waiting: list[ContainerView] = []
        self._codes_waiting: list[ShownCode] = []
        self._cards_waiting: list[ShownCard] = []
        self._board_rows: tuple[str, ...] = ()
        self._axle_load = 0.0
        self._touching: set[str] = set()
        self._seen: dict[str, _Seen] = {}

    # --- what devices can read ---

    def inputs(self) -> tuple[bool, ...]:
        """The 16 digital inputs as wired, at `now_s`."""
        return self._inputs

    def weight_kg(self, at_s: float) -> float:
        """What the load cells feel, without the indicator's noise."""
        return self.scale.kg(at_s)

    def plate_in_motion(self, at_s: float, within_kg: float) -> bool:
        rolling = any(car.speed and car.x > PLATE[0] and car.rear_x < PLATE[1] for car in self._cars)
        return rolling or self.scale.in_motion(at_s, within_kg)

    def tags_in_field(self) -> tuple[tuple[str, float], ...]:
        """(EPC, metres from the middle of the field) of every tag that answers."""
        low, high = RFID_FIELD
        found = []
        for car in self._cars:
            place = car.x - TAG_BEHIND_FRONT
            if car.vehicle.tag is not None and low <= place <= high:
                found.append((car.vehicle.tag, abs(place - (low + high) / 2)))
        return tuple(found)

    def tags_heard_from_next_door(self, draw: random.Random) -> list[tuple[str, float]]:
        """(EPC, metres) of tags standing in the neighbouring lane that one round hears: few, and weak."""
        if self.neighbour is None:
            return []
        return [
            (epc, away_m + NEXT_DOOR_M)
            for epc, away_m in self.neighbour.tags_in_field()
            if draw.random() < NEXT_DOOR_CHANCE
        ]

    def take_camera_views(self) -> list[CameraView]:
        taken, self._camera_waiting = self._camera_waiting, []
        return taken

    def take_container_views(self) -> list[ContainerView]:
        taken, self._containers_waiting = self._containers_waiting, []
        return taken

    def look(self, at_s: float) -> CameraView | None:
        """The vehicle the plate camera would see if triggered by hand now."""
        for car in self._cars:
            if CAMERA_VIEW[0] <= car.x <= CAMERA_VIEW[1]:
                return CameraView(at_s, car.vehicle.id, car.vehicle.plate, by_hand=True)
        return None

    def seen_from_the_side(self) -> tuple[SideView, ...]:
        """Every vehicle in or before the lane, the first one first."""
        return tuple(
            SideView(car.vehicle.plate, tuple((car.x - front, car.x - rear) for front, rear in car.parts))
            for car in self._cars
        )

    def take_shown_codes(self) -> list[ShownCode]:
        taken, self._codes_waiting = self._codes_waiting, []
        return taken

    def take_shown_cards(self) -> list[ShownCard]:
        taken, self._cards_waiting = self._cards_waiting, []
        return taken

    # --- what is in the lane ---

    @property
    def vehicles(self) -> tuple[str, ...]:
        return tuple(car.vehicle.id for car in self._cars)

    def place(self, vehicle: str) -> tuple[float, float, str] | None:
        """(front x, speed, what its driver is doing) of a vehicle in or before the lane."""
        for car in self._cars:
            if car.vehicle.id == vehicle:
                return car.x, car.speed, car.doing.value
        return None

    @property
    def is_idle(self) -> bool:
        """No vehicle in or before the lane and the arm at rest."""
        return not self._cars and not self.barrier.is_moving

    @property
    def board_says_closed(self) -> bool:
        return self._sight.closed

    # --- what happens to it ---

    def arrive(self, at_s: float, vehicle: Vehicle) -> None:
        """A vehicle turns up before the lane."""
        self.advance(at_s)
        behind = min((car.rear_x for car in self._cars), default=0.0)
        self._cars.append(DrivenVehicle(vehicle, min(SPAWN_X, behind - 3.0), at_s))
        self._seen[vehicle.id] = _Seen(len(vehicle.parts()))
        self._must_step = True

    def set_relay(self, at_s: float, channel: int, on: bool, for_s: float | None = None) -> None:
        """A relay of the I/O board switched; `for_s` is the board's own pulse length where it has one."""
        self.advance(at_s)
        if self._relays[channel] == on:
            return
        self._relays[channel] = on
        if on and channel not in (GREEN, RED):
            self.log(at_s, "relay_pulse", {"relay": channel, "name": RELAYS[channel], "duration_s": for_s})
        match channel:
            case 0:
                self.barrier.set_open(at_s, on)
            case 1:
                self.barrier.set_close(at_s, on)
            case 2 | 3:
                self._set_light(at_s)
            case _:
                pass
        self._barrier_changed(at_s)

    def camera_contact(self, at_s: float, closed: bool, for_s: float) -> None:
        """The plate camera's own output, wired in parallel to the OPEN contact."""
        self.advance(at_s)
        if closed:
            self.log(at_s, "relay_pulse", {"relay": "camera", "name": "open", "duration_s": for_s})
        self.barrier.set_open(at_s, closed or self._relays[OPEN])
        self._barrier_changed(at_s)

    def _set_light(self, at_s: float) -> None:
        green, red = self._relays[GREEN], self._relays[RED]
        light = "both" if green and red else "green" if green else "red" if red else "off"
        if light == self.light:
            return
        self.light = light
        self._sight.light = light
        if light == "green":
            self._sight.green_since_s = at_s
        self.log(at_s, "light", {"colour": light})

    def show_board(self, at_s: float, rows: tuple[str, ...], colour: str) -> None:
        self.advance(at_s)
        if rows != self._board_rows:
            self.log(at_s, "board", {"rows": list(rows), "colour": colour})
        self._board_rows = rows
        self._sight.board_at_s = at_s
        was_closed = self._sight.closed
        self._sight.told, self._sight.closed = board_says(rows)
        if not self._sight.closed or self.turns_key_after_s is None:
            self._key_turn_s = NEVER
        elif not was_closed:
            self._key_turn_s = at_s + self.turns_key_after_s
        self._must_step = True

    def press_stop(self, at_s: float, pressed: bool) -> None:
        self.advance(at_s)
        self.log(at_s, "stop", {"on": pressed})
        self._set_input(at_s, STOP, not pressed)
        self.barrier.set_stop(at_s, pressed)
        self._barrier_changed(at_s)

    def set_fire(self, at_s: float, burning: bool) -> None:
        self.advance(at_s)
        self.log(at_s, "fire", {"on": burning})
        self._set_input(at_s, FIRE, not burning)
        self.barrier.set_fire(at_s, burning)
        self._barrier_changed(at_s)

    def set_power(self, at_s: float, ok: bool) -> None:
        """The mains. Lane PC, board and lights stand on a battery; the arm's motor does not."""
        self.advance(at_s)
        self.log(at_s, "power", {"on": ok})
        self._set_input(at_s, POWER, ok)
        self.barrier.set_power(at_s, ok)
        self._barrier_changed(at_s)

    def turn_reset_key(self, at_s: float, for_s: float = KEY_TURN_S) -> None:
        """An officer turns the key and lets go."""
        self.advance(at_s)
        self._set_input(at_s, RESET, True)
        self._reset_until_s = at_s + for_s
        self._must_step = True

    def hand(self, at_s: float, *, up: bool) -> None:
        """Somebody moves the arm at the controller itself."""
        self.advance(at_s)
        self.barrier.hand(at_s, up=up)
        self._barrier_changed(at_s)

    def set_jammed(self, at_s: float, jammed: bool) -> None:
        self.advance(at_s)
        self.barrier.set_jammed(at_s, jammed)
        self._barrier_changed(at_s)

    def break_wire(self, at_s: float, name: str, broken: bool) -> None:
        """An input of the I/O board loses its wire: it reads False. The barrier's own wiring is another."""
        self.advance(at_s)
        index = INPUTS.index(name)
        (self._broken.add if broken else self._broken.discard)(index)
        self._publish(at_s)

    def show_code(self, at_s: float, text: str, aim: str) -> None:
        """Somebody holds a code to the scanner."""
        self.advance(at_s)
        self._codes_waiting.append(ShownCode(at_s, text, aim))
        self._must_step = True

    def show_card(self, at_s: float, number: str) -> None:
        """Somebody holds a card to the card reader."""
        self.advance(at_s)
        self._card_held(at_s, number)
        self._must_step = True

    def _card_held(self, at_s: float, number: str) -> None:
        # Where no reader takes them, they are forgotten.
        self._cards_waiting = [*self._cards_waiting, ShownCard(at_s, number)][-8:]

    # --- time ---

    def next_event_s(self) -> float:
        """When `advance` has something to do; `inf` when nothing will ever happen by itself."""
        barrier_s = self.barrier.next_event_s()
        if self._must_step:
            due = (self._tick + 1) * TICK_S
            return due if due < barrier_s else barrier_s  # noqa: FURB136  a hot path
        due = self._wake_s
        if self._reset_until_s < due:
            due = self._reset_until_s
        if self._key_turn_s < due:
            due = self._key_turn_s
        if due < NEVER:
            due = max(self._tick + 1, math.ceil(due * TICKS_PER_S - 1e-6)) * TICK_S
        return due if due < barrier_s else barrier_s  # noqa: FURB136  a hot path

    def advance(self, to_s: float) -> None:
        target = int(to_s * TICKS_PER_S + 1e-6)
        while self._tick < target:
            if self._must_step:
                self._tick += 1
            else:
                own = min(self._wake_s, self._reset_until_s, self._key_turn_s)
                due = min(own, self.barrier.next_event_s())
                if due > target * TICK_S:
                    self._tick = target
                    break
                self._tick = max(self._tick + 1, math.ceil(due * TICKS_PER_S - 1e-6))
            self._step(self._tick * TICK_S)
        if to_s > self.now_s:
            self.now_s = to_s
        if self.barrier.next_event_s() <= to_s:
            self.barrier.advance(to_s)
            self._barrier_changed(to_s)

    def _step(self, at_s: float) -> None:
        barrier = self.barrier
        barrier.advance(at_s)
        self.now_s = at_s
        sight = self._sight
        sight.arm_height = barrier.height
        if at_s >= self._reset_until_s - 1e-9:
            self._reset_until_s = NEVER
            self._set_input(at_s, RESET, False)
        if at_s >= self._key_turn_s - 1e-9:
            self._set_input(at_s, RESET, True)
            self._reset_until_s = at_s + KEY_TURN_S
            self._key_turn_s = at_s + (self.turns_key_after_s or NEVER)
        moved = False
        wake_s = NEVER
        cars = self._cars
        if cars:
            sight.others_in_lane = sum(car.doing is not Doing.QUEUED for car in cars)
            for place, car in enumerate(cars):
                ahead = cars[place - 1] if place else None
                behind = cars[place + 1] if place + 1 < len(cars) else None
                queued = car.doing is Doing.QUEUED
                wake_s = min(wake_s, car.think(at_s, sight, ahead, behind))
                sight.others_in_lane += queued and car.doing is not Doing.QUEUED
                before = car.x
                if car.move(TICK_S):
                    moved = True
                    self._crossings(at_s, car, before)
                if car.doing is Doing.STANDING:
                    for code in car.codes_now(at_s):
                        self._codes_waiting.append(ShownCode(at_s, code, car.vehicle.slip_aim))
                        wake_s = at_s
                    if car.vehicle.card is not None and car.card_now(at_s):
                        self._card_held(at_s, car.vehicle.card)
                        wake_s = at_s
                    seen = self._seen[car.vehicle.id]
                    if not seen.stopped:
                        seen.stopped = True
                        self.scale.brake(at_s)
                        self.log(at_s, "vehicle_stopped", {"vehicle": car.vehicle.id})
            self._remove_gone(at_s)
        pending = self._loops_next != (self._raw[ARRIVAL], self._raw[LOOP])
        if moved or pending:
            self._sense(at_s)
        if barrier.height >= TOUCH_HEIGHT:
            self._touching.clear()
        elif cars:
            self._touch(at_s)
        self._barrier_changed(at_s, stepping=True)
        pending = self._loops_next != (self._raw[ARRIVAL], self._raw[LOOP])
        self._wake_s = wake_s
        self._must_step = moved or pending or (bool(self._cars) and barrier.is_moving)

    def _crossings(self, at_s: float, car: DrivenVehicle, before: float) -> None:
        seen = self._seen[car.vehicle.id]
        x = car.x
        vehicle = car.vehicle
        if before < ARRIVAL_LOOP[0] <= x and not seen.arrived:
            seen.arrived = True
            what = {"vehicle": vehicle.id, "plate": vehicle.plate, "tag": vehicle.tag}
            self.log(at_s, "vehicle_arrived", what)
            if self.on_move is not None:
                self.on_move(at_s, vehicle.id, "arrived")
        if before < CAMERA_X <= x and not seen.pictured:
            seen.pictured = True
            self._camera_waiting.append(CameraView(at_s, vehicle.id, vehicle.plate))
            if vehicle.containers:
                # Where no camera takes them, they are forgotten.
                seen_now = ContainerView(at_s, vehicle.id, vehicle.containers)
                self._containers_waiting = [*self._containers_waiting, seen_now][-8:]
        if x < ARM_X - 1.0:
            return
        for number, (front, _) in enumerate(car.parts, start=1):
            if before - front < ARM_X <= x - front and number > seen.parts_over:
                seen.parts_over = number
                fields = {"vehicle": vehicle.id, "arm": self.barrier.arm(), "part": number}
                self.log(at_s, "front_crossed_arm", fields)
        if car.rear_x >= ARM_X and not seen.over:
            seen.over = True
            self.log(at_s, "vehicle_crossed_arm", {"vehicle": vehicle.id})

    def _remove_gone(self, at_s: float) -> None:
        for car in [*self._cars]:
            if car.doing is Doing.REVERSING and car.x < GONE_BACK_X:
                how = "backed_out"
            elif car.rear_x >= LANE_END:
                how = "crossed"
            else:
                continue
            self._cars.remove(car)
            self.rest_since_s = at_s
            self._touching.discard(car.vehicle.id)
            del self._seen[car.vehicle.id]
            self.log(at_s, "vehicle_left", {"vehicle": car.vehicle.id, "how": how})
            if self.on_move is not None:
                self.on_move(at_s, car.vehicle.id, how)

    def _sense(self, at_s: float) -> None:
        arrival = loop = cell = infrared = False
        load = 0.0
        plate_from, plate_to = PLATE
        for car in self._cars:
            x = car.x
            if x <= ARRIVAL_LOOP[0]:
                continue
            for front, rear in car.parts:
                head, tail = x - front, x - rear
                if tail < ARRIVAL_LOOP[1] and head > ARRIVAL_LOOP[0]:
                    arrival = True
                if head > ARM_LOOP[0] and tail < ARM_LOOP[1]:
                    loop = True
                if head > ARM_X and tail < ARM_X:
                    cell = True
                if (head > plate_from and tail < plate_from) or (head > plate_to and tail < plate_to):
                    infrared = True
            for behind, kg in car.axles:
                if plate_from <= x - behind <= plate_to:
                    load += kg
        if load != self._axle_load:
            self._axle_load = load
            self.scale.put(at_s, load)
        raw = self._raw
        changed = raw[CELL] == cell or raw[INFRARED] == infrared
        arrival_shown, loop_shown = self._loops_next
        if (raw[ARRIVAL], raw[LOOP]) != (arrival_shown, loop_shown):
            changed = True
        self._loops_next = (not arrival, not loop)
        if changed:
            raw[ARRIVAL], raw[LOOP] = arrival_shown, loop_shown
            raw[CELL], raw[INFRARED] = not cell, not infrared
            self._publish(at_s)
            self.barrier.set_under_arm(at_s, loop=not loop_shown, photocell=cell)

    def _touch(self, at_s: float) -> None:
        for car in self._cars:
            under = any(car.x - front > ARM_X and car.x - rear < ARM_X for front, rear in car.parts)
            name = car.vehicle.id
            if not under:
                self._touching.discard(name)
            elif name not in self._touching:
                self._touching.add(name)
                self.log(at_s, "contact", {"vehicle": name})

    def _barrier_changed(self, at_s: float, *, stepping: bool = False) -> None:
        raw = self._raw
        if raw[DOWN] != self.barrier.is_down or raw[UP] != self.barrier.is_up:
            raw[DOWN], raw[UP] = self.barrier.is_down, self.barrier.is_up
            self.rest_since_s = at_s
            self._publish(at_s)
        if not stepping and self._cars:
            self._must_step = True

    def _set_input(self, at_s: float, index: int, value: bool) -> None:
        if self._raw[index] != value:
            self._raw[index] = value
            self._publish(at_s)

    def _publish(self, at_s: float) -> None:
        new = tuple(value and index not in self._broken for index, value in enumerate(self._raw))
        old, self._inputs = self._inputs, new
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            if was != now:
                self.log(at_s, "input", {"name": INPUTS[index], "value": now})


class _Seen:
    """What has been noticed of one vehicle so far."""

    __slots__ = ("arrived", "over", "parts", "parts_over", "pictured", "stopped")

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.parts_over = 0
        self.arrived = self.pictured = self.stopped = self.over = False


def quiet_log(at_s: float, kind: str, fields: dict[str, Any]) -> None:
    """A log for those who do not want one."""
