"""Drivers of cameras on a network against simulators that share no line with them, under every fault.

Virtual time in steps of 20 ms. Whatever goes wrong, a driver may tell less, never another plate (the one lie
a camera tells itself, `wrong_plate`, apart), and when the fault is over it tells the next vehicle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.devices.catalogue import driver_maker
from edge.devices.driver import Driver, Output
from edge.devices.readings import ContainerSeen, PictureSeen, PlateSeen, ReadGarbled, Reading, ReadTruncated
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices import Camera
from hardware_sims.devices.container_camera import ContainerCamera
from hardware_sims.devices.http_push import Pusher
from hardware_sims.devices.plate_camera import PICTURE, PlateCamera
from hardware_sims.devices.plate_camera_dahua import DahuaCamera
from hardware_sims.devices.plate_camera_hikvision import HikvisionCamera, HikvisionStream, Shape
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SimulatedLane
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.scenario import (
    CAMERAS_CALLED,
    CameraKind,
    LaneSettings,
    Scenario,
    ScenarioRefused,
    faults_of,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.vehicles import PRESETS, Vehicle

STEP_S = 0.02
BACK_OFF_S = 1.0
IDLE_S = 60.0
PLATES = ("豫A12345", "粤B00001")
CONTAINERS = ("CSQU3054383", "TGHU8913889")
PASSWORD = "circle of life"

Maker = Callable[[], Driver]


class Network:
    """One camera and the port or listener it is on: opened again when hung up on, as the runtime does."""

    def __init__(
        self, maker: Maker, camera: Camera, physics: LanePhysics, coming: list[Vehicle], *, serves: bool
    ) -> None:
        self._coming = [*coming]
        self._maker = maker
        self._camera = camera
        self._physics = physics
        self._serves = serves
        self._kept = maker() if serves else None
        self._driver: Driver | None = None
        self._open_s = 0.0
        self._byte_s = 0.0
        self._wake_s: float | None = None
        self.now_s = 0.0
        self.told: list[tuple[float, Reading]] = []
        self.heard: list[float] = []
        self.opened: list[float] = []
        self.longest_send = 0

    def run(self, until_s: float) -> Network:
        while self.now_s < until_s:
            self.now_s = round(self.now_s + STEP_S, 6)
            while self._coming and self._coming[0].arrives_s <= self.now_s:
                self._physics.arrive(self.now_s, self._coming.pop(0))
            self._physics.advance(self.now_s)
            data = self._camera.advance(self.now_s)
            if self._driver is not None and data:
                self._byte_s = self.now_s
                self._take(self._driver.received(self.now_s, data))
            if self._driver is not None and self._wake_s is not None and self._wake_s <= self.now_s:
                self._take(self._driver.due(self.now_s))
            if self._driver is not None and not self._serves:
                if not self._camera.calling or self.now_s - self._byte_s > IDLE_S:
                    self._hang_up()
            elif (
                self._driver is None and self.now_s >= self._open_s and (self._serves or self._camera.calling)
            ):
                self._open(self._kept or self._maker())
        return self

    def _open(self, driver: Driver) -> None:
        self._driver = driver
        self._byte_s = self.now_s
        self.opened.append(self.now_s)
        self._camera.connect(self.now_s)
        self._take(driver.opened(self.now_s))

    def _hang_up(self) -> None:
        self._driver = None
        self._wake_s = None
        self._open_s = self.now_s + (BACK_OFF_S if self._serves else 0.0)
        self._camera.disconnect(self.now_s)

    def _take(self, output: Output) -> None:
        self.told += [(self.now_s, reading) for reading in output.readings]
        if output.heard:
            self.heard.append(self.now_s)
        self._wake_s = output.wake_at_s
        if output.send:
            self.longest_send = max(self.longest_send, len(output.send))
            self._camera.receive(self.now_s, output.send)
        if output.hang_up:
            self._hang_up()

    def plates(self, from_s: float = 0.0) -> list[str | None]:
        return [seen.text for at_s, seen in self.told if isinstance(seen, PlateSeen) and at_s >= from_s]

    def pictures(self) -> list[PictureSeen]:
        return [reading for _, reading in self.told if isinstance(reading, PictureSeen)]


def lane() -> LanePhysics:
    return LanePhysics(BarrierSettings(), quiet_log)


def two_vehicles(second_s: float = 60.0) -> list[Vehicle]:
    """The first comes at once; each backs out again after a while."""
    return [
        Vehicle(id=plate, lane="in", arrives_s=at_s, plate=plate, behaviour=PRESETS["reverses_out"])
        for plate, at_s in zip(PLATES, (1.0, second_s), strict=True)
    ]


MAKES: tuple[CameraKind, ...] = ("vzenith", "hikvision", "hikvision_stream", "dahua")


def network(
    make: CameraKind,
    tmp_path: Path,
    *,
    second_s: float = 60.0,
    password: str = PASSWORD,
    **settings: object,
) -> tuple[Network, Camera]:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    physics = lane()
    settings = dict(settings)
    camera: Camera
    match make:
        case "vzenith":
            camera = PlateCamera(physics)
        case "hikvision":
            camera = HikvisionCamera(physics)
        case "hikvision_stream":
            camera = HikvisionStream(physics, password=password)
            settings |= {"mode": "stream", "password_file": str(file)}
        case "dahua":
            camera = DahuaCamera(physics, password=password)
            settings |= {"password_file": str(file)}
    maker = driver_maker(f"plate_camera.{make.removesuffix('_stream')}", settings)
    return Network(maker, camera, physics, two_vehicles(second_s), serves=make in CAMERAS_CALLED), camera


@pytest.mark.parametrize("make", MAKES)
def test_a_healthy_camera_tells_each_vehicle_once_with_its_pictures(make: CameraKind, tmp_path: Path) -> None:
    net, _ = network(make, tmp_path)
    net.run(100.0)
    assert net.plates() == [*PLATES]
    assert {picture.jpeg for picture in net.pictures()} == {PICTURE}
    per_vehicle = {"vzenith": ["vehicle"], "dahua": ["vehicle"]}.get(make, ["plate", "vehicle"])
    assert [picture.shows for picture in net.pictures()] == per_vehicle * 2
    assert [
        type(reading) for _, reading in net.told if not isinstance(reading, PlateSeen | PictureSeen)
    ] == []
    assert len(net.opened) == 1
    assert max(b - a for a, b in zip(net.heard, net.heard[1:], strict=False)) < 10.5


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_digest_is_answered_to_the_cameras_content(algorithm: str, tmp_path: Path) -> None:
    net, _ = network("dahua", tmp_path)
    camera = DahuaCamera(
        net._physics, password=PASSWORD, algorithm="MD5" if algorithm == "MD5" else "SHA-256"
    )
    net._camera = camera
    net.run(10.0)
    assert camera.stream.statuses == [401, 200]
    assert len(net.plates()) == 1


@pytest.mark.parametrize("make", CAMERAS_CALLED)
def test_a_wrong_password_is_tried_once_in_a_long_while(make: CameraKind, tmp_path: Path) -> None:
    net, camera = network(make, tmp_path, password="another", after_refusal_s=300.0)
    net.run(290.0)
    assert isinstance(camera, DahuaCamera | HikvisionStream)
    assert camera.stream.statuses == [401, 401]
    garbled = [reading.why for _, reading in net.told if isinstance(reading, ReadGarbled)]
    assert ["refuses user" in why for why in garbled] == [True]
    net.run(310.0)
    assert len(camera.stream.statuses) == 4


@pytest.mark.parametrize("shape", ["ver20", "ver10", "isapi", "prefixed", "bare"])
def test_every_firmware_shape_of_the_simulator_is_read(shape: Shape) -> None:
    physics = lane()
    camera = HikvisionCamera(physics, shape=shape)
    net = Network(driver_maker("plate_camera.hikvision", {}), camera, physics, two_vehicles(), serves=False)
    assert net.run(10.0).plates() == [PLATES[0]]


FAULTS = sorted(kind for kind in faults_of("camera") if kind is not FaultKind.WRONG_PLATE)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("kind", FAULTS)
def test_under_no_fault_is_another_plate_told_and_the_next_vehicle_is(
    make: CameraKind, kind: FaultKind, tmp_path: Path
) -> None:
    net, camera = network(make, tmp_path, second_s=130.0)
    rate = {FaultKind.FLIP: 0.0005, FaultKind.CUT: 0.5}.get(kind)
    net.run(0.5)
    camera.set_fault(0.5, Fault(kind=kind, rate=rate), True)
    if kind is FaultKind.VANISH and net._driver is not None:
        net._hang_up()
    net.run(60.0)
    camera.set_fault(60.0, Fault(kind=kind, rate=rate), False)
    net.run(170.0)
    # a character changed inside a text is not seen: the text carries no check
    wrong = [plate for plate in net.plates() if plate not in (*PLATES, None) and kind is not FaultKind.FLIP]
    assert wrong == []
    assert PLATES[1] in net.plates(from_s=100.0)
    assert net.plates().count(PLATES[1]) == 1
    assert net.plates().count(PLATES[0]) <= 1
    assert {picture.jpeg[:3] + picture.jpeg[-2:] for picture in net.pictures()} <= {b"\xff\xd8\xff\xff\xd9"}


@pytest.mark.parametrize("make", MAKES)
def test_a_storm_is_told_once_and_answered_every_time(make: CameraKind, tmp_path: Path) -> None:
    net, camera = network(make, tmp_path)
    camera.set_fault(0.0, Fault(kind=FaultKind.STORM), True)
    net.run(40.0)
    assert net.plates() == [PLATES[0]]
    if isinstance(camera, HikvisionCamera):
        assert camera.pusher.statuses.count(200) > 30
        assert set(camera.pusher.statuses) == {200}


@pytest.mark.parametrize("make", MAKES)
def test_pictures_without_an_end_are_reported_and_the_plate_told(make: CameraKind, tmp_path: Path) -> None:
    net, camera = network(make, tmp_path)
    camera.set_fault(0.0, Fault(kind=FaultKind.CUT_PICTURE), True)
    net.run(40.0)
    assert net.plates() == [PLATES[0]]
    assert net.pictures() == []
    assert {type(reading) for _, reading in net.told} == {PlateSeen, ReadTruncated}


@pytest.mark.parametrize("make", MAKES)
def test_a_dribbling_camera_is_hung_up_on_again_and_again(make: CameraKind, tmp_path: Path) -> None:
    net, camera = network(make, tmp_path, second_s=1000.0)
    net.run(0.5)
    camera.set_fault(0.5, Fault(kind=FaultKind.SLOW_LORIS), True)
    net.run(200.0)
    cut = [at_s for at_s, reading in net.told if isinstance(reading, ReadTruncated)]
    assert net.plates() == []
    assert len(cut) >= 1
    assert len(net.opened) >= 2


@pytest.mark.parametrize("make", CAMERAS_CALLED)
def test_a_camera_that_falls_silent_is_called_again(make: CameraKind, tmp_path: Path) -> None:
    net, camera = network(make, tmp_path)
    net.run(20.0)
    camera.set_fault(20.0, Fault(kind=FaultKind.SILENCE), True)
    net.run(100.0)
    assert len(net.opened) >= 3
    camera.set_fault(100.0, Fault(kind=FaultKind.SILENCE), False)
    before = len(net.heard)
    net.run(140.0)
    assert len(net.heard) > before


def test_a_stuck_camera_says_its_old_recognition_and_nothing_is_told_again(tmp_path: Path) -> None:
    for make in MAKES[1:]:
        net, camera = network(make, tmp_path)
        net.run(20.0)
        camera.set_fault(20.0, Fault(kind=FaultKind.STUCK), True)
        net.run(50.0)
        assert net.plates() == [PLATES[0]]


def test_what_a_hikvision_camera_could_not_send_in_time_says_so() -> None:
    physics = lane()
    physics.arrive(0.0, two_vehicles()[0])
    camera = HikvisionCamera(physics, heartbeat_s=0.0)
    for step in range(1, 3000):
        at_s = step * STEP_S
        physics.advance(at_s)
        camera.advance(at_s)
        if camera.calling:
            camera.connect_failed(at_s)
    net = Network(driver_maker("plate_camera.hikvision", {}), camera, physics, [], serves=False)
    net.now_s = 60.0
    net.run(62.0)
    seen = [reading for _, reading in net.told if isinstance(reading, PlateSeen)]
    assert [(plate.text, plate.offline) for plate in seen] == [(PLATES[0], True)]


# --- containers ---------------------------------------------------------------------------------------------


def container_network(token: str = "", **settings: object) -> tuple[Network, ContainerCamera]:
    physics = lane()
    truck = Vehicle(id="v", lane="in", arrives_s=1.0, plate=PLATES[0], containers=CONTAINERS)
    camera = ContainerCamera(physics, token=token)
    maker = driver_maker("container_camera.http_json", settings)
    return Network(maker, camera, physics, [truck], serves=False), camera


def containers(net: Network) -> list[tuple[str | None, str]]:
    return [(reading.text, reading.place) for _, reading in net.told if isinstance(reading, ContainerSeen)]


def test_front_and_back_container_are_told_with_their_pictures() -> None:
    net, _ = container_network()
    net.run(20.0)
    assert containers(net) == [(CONTAINERS[0], "front"), (CONTAINERS[1], "back")]
    assert [(picture.shows, picture.jpeg) for picture in net.pictures()] == [("container", PICTURE)] * 2
    assert len(net.heard) >= 4


@pytest.mark.parametrize("kind", sorted(faults_of("container_camera") - {FaultKind.WRONG_PLATE}))
def test_under_no_fault_is_another_container_told(kind: FaultKind) -> None:
    net, camera = container_network()
    camera.set_fault(0.0, Fault(kind=kind, rate={FaultKind.FLIP: 0.0005, FaultKind.CUT: 0.5}.get(kind)), True)
    net.run(60.0)
    camera.set_fault(60.0, Fault(kind=kind), False)
    net.run(100.0)
    told = containers(net)
    spoilt = [number for number, _ in told if number not in CONTAINERS and kind is not FaultKind.FLIP]
    assert spoilt == []
    # a stuck camera says its old number, now at its other place as well
    repeated = [number for number in told if told.count(number) > 1 and kind is not FaultKind.STUCK]
    assert repeated == []
    assert any(at_s > 60.0 for at_s in net.heard)


def test_what_waited_too_long_is_not_told_as_seen_now() -> None:
    net, camera = container_network()
    net.run(0.5)
    camera.set_fault(0.5, Fault(kind=FaultKind.SILENCE), True)
    net.run(30.0)
    camera.set_fault(30.0, Fault(kind=FaultKind.SILENCE), False)
    net.run(60.0)
    assert containers(net) == []
    late = [reading.why for _, reading in net.told if isinstance(reading, ReadGarbled)]
    assert len([why for why in late if "not of the vehicle in the lane" in why]) == 2


def test_a_camera_without_the_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame")
    file.chmod(0o600)
    told = []
    for token in ("", "open sesame"):
        net, camera = container_network(token=token, token_file=str(file))
        net.run(15.0)
        told.append((len(containers(net)), set(camera.pusher.statuses)))
    assert told == [(0, {401}), (2, {200})]


# --- a scenario chooses -------------------------------------------------------------------------------------

CLASSES = {
    "vzenith": PlateCamera,
    "hikvision": HikvisionCamera,
    "hikvision_stream": HikvisionStream,
    "dahua": DahuaCamera,
}


@pytest.mark.parametrize("make", MAKES)
def test_a_scenario_names_the_camera_of_a_lane(make: CameraKind) -> None:
    import tomllib

    written = LaneSettings(
        name="in", camera=make, camera_port=9001, camera_password="p", container_listener="127.0.0.1:9002"
    )
    vehicle = Vehicle(id="v", lane="in", arrives_s=1.0, plate=None, containers=CONTAINERS)
    text = scenario_to_toml(Scenario(lanes=(written,), vehicles=(vehicle,)))
    read = scenario_from(tomllib.loads(text))
    lane = SimulatedLane(read.lanes[0])
    assert read == Scenario(lanes=(written,), vehicles=(vehicle,))
    assert type(lane.camera) is CLASSES[make]
    assert type(lane.devices["container_camera"]) is ContainerCamera
    assert ("camera" in lane.serial_devices) is (make in CAMERAS_CALLED)


def test_network_faults_are_a_cameras_alone_and_a_container_camera_must_be_there() -> None:
    lanes: dict[str, dict[str, object]] = {"in": {}}
    for device, kind in (("camera", "storm"), ("camera", "slow_loris"), ("camera", "malformed")):
        plan = [{"lane": "in", "device": device, "kind": kind, "at_s": 1.0}]
        assert scenario_from({"lanes": lanes, "faults": plan}).faults[0].fault.kind == kind
    refused = []
    for device, kind in (("rfid", "storm"), ("container_camera", "storm")):
        plan = [{"lane": "in", "device": device, "kind": kind, "at_s": 1.0}]
        with pytest.raises(ScenarioRefused) as error:
            scenario_from({"lanes": lanes, "faults": plan})
        refused.append(str(error.value))
    assert "kind: expected one of" in refused[0]
    assert "container_listener to be set" in refused[1]


def test_a_pusher_sends_again_what_was_not_answered_200_and_in_order() -> None:
    from hardware_sims.devices.http_push import Push

    pusher = Pusher("h", "seed")
    for name in ("a", "b"):
        pusher.put(Push(0.0, f"/{name}", "text/plain", b"x"))
    pusher.connect(0.0)
    paths = []
    for at_s, status in ((1.0, 500), (3.0, 200), (4.0, 200)):
        paths.append(pusher.advance(at_s).split(b" ")[1])
        pusher.receive(at_s, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    assert paths == [b"/a", b"/a", b"/b"]
    assert pusher.advance(10.0) == b""
