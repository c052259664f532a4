"""A lane of a scenario can have a customs platform, in any style, scripted; it is read and written whole."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardware_sims.devices.customs_platform import STYLES, frame
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.lanes import SimulatedLane
from hardware_sims.scenario import (
    LaneSettings,
    Scenario,
    ScenarioRefused,
    scenario_from,
    scenario_to_toml,
)
from hardware_sims.shell import Shell

AREA, CHANNEL = "3711210009", "3711020009"
GATHER = (
    f'<GATHER_INFO AREA_ID="{AREA}" CHNL_NO="{CHANNEL}" I_E_TYPE="I" SEQ_NO="{"1" * 20}"><CAR>'
    "<VE_NAME>豫A12345</VE_NAME></CAR></GATHER_INFO>"
).encode("gb2312")


def lane(**more: Any) -> dict[str, Any]:
    return {"lanes": {"in": more}}


def refusals(**more: Any) -> list[str]:
    with pytest.raises(ScenarioRefused) as refused:
        scenario_from(lane(**more))
    return str(refused.value).splitlines()


def test_a_lane_has_no_platform_unless_it_asks_for_one() -> None:
    (settings,) = scenario_from(lane()).lanes
    assert settings.platform is None
    assert SimulatedLane(settings).platform is None


@pytest.mark.parametrize("style", STYLES)
def test_a_scenario_with_a_platform_is_written_and_read_back_equal(style: Any, tmp_path: Path) -> None:
    import tomllib

    settings = LaneSettings(
        name="in",
        platform=style,
        platform_answers=("豫A12345=refuse", "release", "late"),
        platform_late_s=9.0,
        platform_bare_xml=True,
        platform_direction="E",
        platform_listener="127.0.0.1:9006",
    )
    scenario = Scenario(lanes=(settings,))
    assert scenario_from(tomllib.loads(scenario_to_toml(scenario))) == scenario


def test_what_no_platform_can_be_told_is_refused_with_its_key() -> None:
    styles = "none, same_socket, call_back, send_and_close"
    assert refusals(platform="pigeon") == [
        f"scenario: lanes.in.platform: expected one of {styles}, got 'pigeon'"
    ]
    wrong = refusals(
        platform="call_back", platform_answers=["A=maybe"], platform_area_id="1", platform_port=70_000
    )
    assert [line.split(": ")[1] for line in wrong] == [
        "lanes.in.platform_answers", "lanes.in.platform_area_id", "lanes.in.platform_port",
        "lanes.in.platform_listener",
    ]  # fmt: skip


def test_a_fault_of_the_platform_is_one_of_the_lane() -> None:
    simulated = SimulatedLane(LaneSettings(name="in", platform="same_socket"))
    simulated.set_fault(0.0, "platform", Fault(kind=FaultKind.SILENCE), True)
    assert simulated.platform is not None
    simulated.platform.connect(0.0)
    simulated.platform.receive(0.0, frame(0x21, AREA, CHANNEL, "I", GATHER, flag=bytes(4)))
    assert simulated.platform.advance(10.0) == b""
    assert len(simulated.platform.told) == 1


@contextlib.contextmanager
def running(scenario: Scenario, folder: Path) -> Iterator[list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    ready = threading.Event()

    def tell(event: dict[str, Any]) -> None:
        told.append(event)
        if event["event"] == "READY":
            ready.set()

    shell = Shell(scenario, folder, speed=10.0, tell=tell)
    commands, typing = os.pipe()

    def run() -> None:
        shell._commands.listen(commands)
        for each in shell.addresses():
            tell({"event": "address", **each})
        tell({"event": "READY"})
        shell._loop(False)
        shell.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(10)
        yield told
    finally:
        os.write(typing, b"quit\n")
        thread.join(10)
        os.close(typing)
        os.close(commands)


def heard(connection: socket.socket) -> bytes:
    connection.settimeout(5.0)
    data = b""
    while len(data) < 8 or len(data) < struct.unpack_from("<i", data, 4)[0]:
        data += connection.recv(65_536)
    return data


def test_a_running_site_answers_a_lane_that_connects(tmp_path: Path) -> None:
    scenario = Scenario(lanes=(LaneSettings(name="in", platform="same_socket"),))
    with running(scenario, tmp_path) as told:
        (address,) = [each["address"] for each in told if each.get("device") == "platform"]
        host, port = address.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(frame(0x21, AREA, CHANNEL, "I", GATHER, flag=bytes(4)))
            answer = heard(connection)
    assert (answer[8], b"00000000000000000000" in answer) == (0x22, True)


def test_a_running_site_calls_the_lane_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5.0)
        settings = LaneSettings(
            name="in",
            platform="call_back",
            platform_answers=("refuse",),
            platform_listener=f"127.0.0.1:{listener.getsockname()[1]}",
        )
        with running(Scenario(lanes=(settings,)), tmp_path) as told:
            (address,) = [each["address"] for each in told if each.get("device") == "platform"]
            host, port = address.removeprefix("socket://").split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(frame(0x21, AREA, CHANNEL, "I", GATHER, flag=bytes(4)))
                called, _ = listener.accept()
                with called:
                    answer = heard(called)
    assert (answer[8], b"11000000000000000000" in answer) == (0x22, True)
    assert (tmp_path / "physics.jsonl").read_text(encoding="utf-8").count("platform_answer") == 1
