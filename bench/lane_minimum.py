"""The shortest time physics lets a vehicle take through a lane: an ideal lane in virtual time. No program.

It raises the arm and shows green at the very moment the last required reading could be there, by the rule for
a stable weight in the lane's config, and asks the arm down as soon as nothing is under it any more.
"""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal

from edge.devices.catalogue import driver_maker
from edge.devices.driver import Driver
from edge.devices.readings import WeightSeen
from edge.gate.config import GateConfig
from hardware_sims.devices.plate_camera import RECOGNISE_S
from hardware_sims.devices.rfid_reader import ROUND_S
from hardware_sims.lanes import SimulatedLane
from hardware_sims.physics import ARRIVAL, CAMERA_X, CELL, CLOSE, GREEN, INFRARED, LOOP, OPEN
from hardware_sims.scenario import LaneSettings
from hardware_sims.vehicles import Vehicle

STEP_S = 0.01
PULSE_S = 0.5
AT_MOST_S = 180.0


def shortest_s(vehicle: Vehicle, settings: LaneSettings, config: GateConfig, *, free_s: float = 0.0) -> float:
    """Seconds from the arrival loop's first word to the arm being down again behind it.

    `free_s`: how long nothing may be under the arm before it is asked down. Raises `RuntimeError` where the
    vehicle does not come through.
    """
    lane = SimulatedLane(settings)
    physics = lane.physics
    scale = _Scale(config, str(config.devices["weighbridge"].protocol))
    lane.connect(0.0, "weighbridge")
    physics.arrive(0.0, vehicle)
    came_s = seen_s = tag_s = raised_s = free_since_s = lowered_s = None
    under_arm = False
    at_s = 0.0
    while at_s < AT_MOST_S:
        at_s = round(at_s + STEP_S, 3)
        for sent in lane.advance(at_s):
            if sent.device == "weighbridge":
                scale.hear(sent.at_s, sent.data)
        inputs = physics.inputs()
        place = physics.place(vehicle.id)
        if came_s is None and not inputs[ARRIVAL]:
            came_s = at_s
        if seen_s is None and place is not None and place[0] >= CAMERA_X:
            seen_s = at_s + RECOGNISE_S
        if tag_s is None and physics.tags_in_field():
            tag_s = at_s + ROUND_S
        if raised_s is None:
            identified = seen_s is not None and tag_s is not None and at_s >= max(seen_s, tag_s)
            if identified and scale.steady and inputs[INFRARED]:
                raised_s = at_s
                physics.set_relay(at_s, OPEN, True, PULSE_S)
                physics.set_relay(at_s, GREEN, True)
            continue
        if at_s >= raised_s + PULSE_S:
            physics.set_relay(at_s, OPEN, False)
        free = inputs[LOOP] and inputs[CELL]
        under_arm = under_arm or not inputs[CELL]
        if lowered_s is None and under_arm:
            free_since_s = (free_since_s or at_s) if free else None
            if free_since_s is not None and at_s >= free_since_s + free_s:
                lowered_s = at_s
                physics.set_relay(at_s, GREEN, False)
                if not settings.barrier.auto_close:
                    physics.set_relay(at_s, CLOSE, True, PULSE_S)
        elif lowered_s is not None and physics.barrier.is_down and came_s is not None:
            return at_s - came_s
    raise RuntimeError(f"{vehicle.id} did not come through within {AT_MOST_S:.0f} s")


class _Scale:
    """The weighbridge's frames, and whether they make a weight by the config's rule."""

    def __init__(self, config: GateConfig, protocol: str) -> None:
        self._driver: Driver = driver_maker(protocol, config.devices["weighbridge"].settings)()
        self._driver.opened(0.0)
        self._rule = config.weighing
        self._weights: deque[tuple[float, Decimal]] = deque()
        self.steady = False

    def hear(self, at_s: float, data: bytes) -> None:
        for reading in self._driver.received(at_s, data).readings:
            if isinstance(reading, WeightSeen):
                self._weights.append((at_s, reading.value_kg))
                self.steady = reading.stable is not False and self._is_steady(at_s)

    def _is_steady(self, at_s: float) -> bool:
        rule, weights = self._rule, self._weights
        while weights[0][0] < at_s - rule.steady_window_s:
            weights.popleft()
        values = [kg for _, kg in weights]
        return (
            len(values) >= rule.steady_frames
            and at_s - weights[0][0] >= 0.6 * rule.steady_window_s
            and max(values) - min(values) <= rule.steady_range_kg
            and min(values) > rule.presence_kg
            and Counter(values).most_common(1)[0][1] >= rule.steady_equal
        )
