"""One X-ray line with its devices, driven together: belt, machine, I/O board, portal scanner, picture feed.

Virtual time; no port, no clock. The real-time shell and tests drive these very objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hardware_sims.devices import Device
from hardware_sims.devices.io_board import IoBoard
from hardware_sims.devices.scanner import Scanner
from hardware_sims.devices.xray_line_stream import XrayLineStream
from hardware_sims.faults import Fault
from hardware_sims.xray_belt import BeltParcel, BeltSettings, XrayBelt
from hardware_sims.xray_machine import EDGE_LINES, PLAIN, Rendered, XrayMachine
from hardware_sims.xray_physics import DetectorSettings

PictureFeed = Literal["stream", "folder"]
MACHINE_COUNTS_FROM = 7_000_003
"""The machine's own counter has another zero than the board's."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that left a device."""

    at_s: float
    device: str
    data: bytes


def _places(settings: BeltSettings) -> dict[str, float]:
    return {"diverter_mm": settings.diverter_mm, "chute_mm": settings.chute_mm}


class XrayLine:
    """`belt`, `machine` and `devices`; every byte leaves at its time."""

    def __init__(
        self,
        name: str,
        parcels: Sequence[BeltParcel],
        rendered: Callable[[str], Rendered],
        *,
        belt: BeltSettings | None = None,
        detector: DetectorSettings = PLAIN,
        pictures: PictureFeed = "stream",
        speed: float = 1.0,
        seed: int = 0,
        sink: Callable[[dict[str, Any]], None] = lambda line: None,
        released: bool = True,
    ) -> None:
        """`speed`: virtual seconds to the second of whoever reads the machine's own clock."""
        self.name = name
        self._sink = sink
        self.belt = XrayBelt(belt or BeltSettings(), parcels, self.log, released=released)
        self.machine = XrayMachine(
            self.belt, rendered, detector=detector, seed=seed, keep_pictures=pictures == "folder"
        )
        self.io = IoBoard(
            self.belt, framing="tcp", registers=self.belt.input_registers, seed=f"{seed}/{name}/io"
        )
        self.devices: dict[str, Device] = {
            "io": self.io,
            "scanner": Scanner(self.belt, seed=f"{seed}/{name}/scanner"),
        }
        if pictures == "stream":
            self.devices["xray"] = XrayLineStream(
                self.machine, first_count=MACHINE_COUNTS_FROM, speed=speed, seed=f"{seed}/{name}/stream"
            )
        self.now_s = 0.0
        settings = self.belt.settings
        edge_mm = EDGE_LINES * detector.line_mm
        self.log(0.0, "layout", {"xray_mm": settings.xray_mm, "edge_mm": edge_mm, **_places(settings)})

    def log(self, at_s: float, kind: str, fields: dict[str, Any]) -> None:
        self._sink({"t": round(at_s, 3), "station": self.name, "kind": kind, **fields})

    def next_event_s(self) -> float:
        due = min(device.next_event_s() for device in self.devices.values())
        return max(min(due, self.belt.next_event_s()), self.now_s)

    def advance(self, to_s: float) -> list[Sent]:
        """Everything up to `to_s`; returns what the devices sent, in order of time."""
        sent: list[Sent] = []
        while True:
            due = self.next_event_s()
            at_s = min(due, to_s)
            self.belt.advance(at_s)
            self.now_s = max(self.now_s, at_s)
            for name, device in self.devices.items():
                data = device.advance(self.now_s)
                if data:
                    sent.append(Sent(self.now_s, name, data))
            if "xray" not in self.devices:
                self.machine.blocks.clear()
            if due >= to_s:
                return sent

    def receive(self, at_s: float, device: str, data: bytes) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].receive(self.now_s, data)
        return sent

    def connect(self, at_s: float, device: str) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].connect(self.now_s)
        self.log(self.now_s, "line", {"device": device, "open": True})
        return sent

    def disconnect(self, at_s: float, device: str) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].disconnect(self.now_s)
        self.log(self.now_s, "line", {"device": device, "open": False})
        return sent

    def set_fault(self, at_s: float, device: str, fault: Fault, on: bool) -> list[Sent]:
        sent = self.advance(at_s)
        self.devices[device].set_fault(self.now_s, fault, on)
        self.log(self.now_s, "fault", {"device": device, "fault": fault.kind.value, "on": on})
        return sent
