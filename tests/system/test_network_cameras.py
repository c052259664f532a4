"""Cameras on real sockets: the simulators' shell as a process, the real ports, drivers from the catalogue."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.devices.catalogue import driver_maker
from edge.devices.readings import ContainerSeen, Order, PictureSeen, PlateSeen, Reading
from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.clock import SystemClock
from edge.runtime.supervisor import BackOff, Device, DeviceReport, DeviceSpeaking, Supervisor
from hardware_sims.site import free_ports
from tests.system.conftest import until
from tests.system.test_sims_serve import Served

pytestmark = pytest.mark.system

VEHICLE = """
[[vehicles]]
id = "v1"
lane = "in"
arrives_s = 0.0
plate = "豫A12345"
containers = ["CSQU3054383"]
"""


class Told:
    """What the devices told, from their threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: list[Reading] = []
        self._speaking: set[str] = set()

    def take(self, at_s: float, device: str, reading: Reading) -> None:
        with self._lock:
            self._readings.append(reading)

    def report(self, at_s: float, report: DeviceReport) -> None:
        with self._lock:
            if isinstance(report, DeviceSpeaking):
                self._speaking.add(report.device)

    def speaking(self, device: str) -> bool:
        with self._lock:
            return device in self._speaking

    def of(self, kind: type[Reading]) -> list[Reading]:
        with self._lock:
            return [reading for reading in self._readings if isinstance(reading, kind)]


@contextmanager
def listening_to(*devices: Device[Reading, Order]) -> Iterator[Told]:
    told = Told()
    supervisor: Supervisor[Reading, Order] = Supervisor(
        list(devices),
        SystemClock(),
        on_reading=told.take,
        on_report=told.report,
        is_valid=lambda reading: True,
        back_off=BackOff(second_after_s=0.05, longest_s=0.4),
    )
    supervisor.start()
    try:
        yield told
    finally:
        supervisor.stop()


@contextmanager
def served(folder: Path, scenario: str) -> Iterator[Served]:
    shell = Served(folder, scenario, "--speed", "4", "--hold")
    try:
        yield shell
    finally:
        shell.process.kill()
        shell.process.wait(10)
        for pipe in (shell.process.stdin, shell.process.stdout, shell.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.mark.parametrize("make", ["dahua", "hikvision_stream"])
def test_a_camera_that_serves_is_called_and_logged_in_to(make: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    password = tmp_path / "password"
    password.write_text("circle of life")
    password.chmod(0o600)
    settings: dict[str, object] = {"password_file": str(password)}
    if make == "hikvision_stream":
        settings["mode"] = "stream"
    camera = Device(
        "plate_camera",
        SerialAddress(url=f"socket://127.0.0.1:{port}"),
        driver_maker(f"plate_camera.{make.removesuffix('_stream')}", settings),
        silent_after_s=60.0,
    )
    scenario = f'[lanes.in]\ncamera = "{make}"\ncamera_port = {port}\ncamera_password = "circle of life"\n'
    with served(tmp_path, scenario + VEHICLE) as shell, listening_to(camera) as told:
        shell.until("READY")
        addresses = [event["address"] for event in shell.events if event.get("device") == "camera"]
        assert addresses == [f"socket://127.0.0.1:{port}"]
        until(lambda: told.speaking("plate_camera"), "a heartbeat of the camera")
        shell.say("go")
        until(lambda: told.of(PlateSeen) and told.of(PictureSeen), "a plate and its picture")
        plates = [reading.text for reading in told.of(PlateSeen) if isinstance(reading, PlateSeen)]
        assert plates == ["豫A12345"]


def test_cameras_that_call_find_us_and_their_containers_come_with_them(tmp_path: Path) -> None:
    plate_port, container_port = free_ports(2)
    devices = [
        Device(name, ListenAddress(host="127.0.0.1", port=port), driver_maker(protocol, {}))
        for name, port, protocol in (
            ("plate_camera", plate_port, "plate_camera.hikvision"),
            ("container_camera", container_port, "container_camera.http_json"),
        )
    ]
    scenario = (
        f'[lanes.in]\ncamera = "hikvision"\ncamera_listener = "127.0.0.1:{plate_port}"\n'
        f'container_listener = "127.0.0.1:{container_port}"\n'
        '[[faults]]\nlane = "in"\ndevice = "camera"\nkind = "storm"\nat_s = 0.0\n'
    )
    with listening_to(*devices) as told, served(tmp_path, scenario + VEHICLE) as shell:
        shell.until("READY")
        shell.say("go")
        until(lambda: told.of(PlateSeen), "a plate")
        until(lambda: told.of(ContainerSeen), "a container")
        until(lambda: len(told.of(PictureSeen)) >= 3, "their pictures")
        plates = [reading.text for reading in told.of(PlateSeen) if isinstance(reading, PlateSeen)]
        containers = [
            reading.text for reading in told.of(ContainerSeen) if isinstance(reading, ContainerSeen)
        ]
        assert (plates, containers) == (["豫A12345"], ["CSQU3054383"])
