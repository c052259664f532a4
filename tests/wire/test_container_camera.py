"""Container numbers pushed as JSON in our own shape: what is told, answered, refused, and what is too old."""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.devices.catalogue import driver_maker
from edge.devices.container_camera_http_json import wire
from edge.devices.container_camera_http_json.driver import ContainerDriver, Settings
from edge.devices.readings import (
    ContainerSeen,
    OrderRefused,
    PictureSeen,
    ReadGarbled,
    ReadTruncated,
    TriggerRead,
)

FUZZ = int(os.environ.get("KAKOU_FUZZ", "5000"))
NUMBER = "CSQU3054383"
JPEG = b"\xff\xd8\xff\xe0" + b"B" * 40 + b"\xff\xd9"


def container(**changes: Any) -> bytes:
    said = {
        "id": "cam1-7",
        "number": NUMBER,
        "place": "front",
        "confidence": 97.5,
        "iso_type": "45G1",
        "age_s": 0.4,
        "pictures": [base64.b64encode(JPEG).decode()],
    } | changes
    return json.dumps(
        {"container": {key: value for key, value in said.items() if value != "left out"}}
    ).encode()


def post(body: bytes, *headers: str) -> bytes:
    head = ["POST / HTTP/1.1", "Host: lane", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def camera(token: str = "", **settings: object) -> ContainerDriver:
    made: Callable[..., Settings] = Settings
    driver = ContainerDriver(made(**settings), token=token)
    driver.opened(0.0)
    return driver


def status(sent: bytes) -> int:
    return int(sent.split(b" ")[1])


def test_a_push_is_a_container_with_its_picture() -> None:
    output = camera().received(1.0, post(container()))
    assert output.readings == (
        ContainerSeen(NUMBER, "front", 97.5, "45G1"),
        PictureSeen(JPEG, "container", "cam1-7"),
    )
    assert (status(output.send), output.heard, output.hang_up) == (200, True, False)
    assert b'{"accepted":true}' in output.send


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"number": None}, ContainerSeen(None, "front", 97.5, "45G1")),
        ({"place": "back"}, ContainerSeen(NUMBER, "back", 97.5, "45G1")),
        ({"place": "left out", "confidence": "left out", "iso_type": "left out"}, ContainerSeen(NUMBER)),
        ({"confidence": 0, "age_s": 0}, ContainerSeen(NUMBER, "front", 0.0, "45G1")),
    ],
)
def test_what_the_message_cannot_say_stays_open(changes: dict[str, Any], told: ContainerSeen) -> None:
    assert camera().received(1.0, post(container(pictures=[], **changes))).readings == (told,)


def test_front_and_back_of_one_recognition_are_two() -> None:
    driver = camera()
    readings = [
        reading
        for place in ("front", "back", "front")
        for reading in driver.received(1.0, post(container(place=place, pictures=[]))).readings
    ]
    assert [reading.place for reading in readings if isinstance(reading, ContainerSeen)] == ["front", "back"]


def test_what_was_seen_too_long_ago_is_answered_and_not_told_as_seen_now() -> None:
    output = camera(oldest_s=10.0).received(1.0, post(container(age_s=10.1)))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert status(output.send) == 200


def test_a_storm_of_the_same_is_told_once_and_always_answered() -> None:
    maker = driver_maker("container_camera.http_json", {})
    told, answered = 0, []
    for connection in range(5):
        driver = maker()
        driver.opened(float(connection))
        for _ in range(20):
            output = driver.received(float(connection), post(container(pictures=[])))
            told += len(output.readings)
            answered.append(status(output.send))
    assert (told, set(answered)) == (1, {200})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": "left out"}, "id: expected"), ({"id": ""}, "id: expected"), ({"id": "a b"}, "id: expected"),
        ({"id": "x" * 65}, "id: expected"), ({"number": "left out"}, "number: expected"),
        ({"number": "CSQU305438"}, "number: expected"), ({"number": "csqu3054383"}, "number: expected"),
        ({"number": 5}, "number: expected"), ({"place": "left"}, "place: expected"),
        ({"place": None}, "place: "),
        ({"confidence": 101}, "confidence: "), ({"confidence": True}, "confidence: "),
        ({"iso_type": "45g1"}, "iso_type: "), ({"iso_type": None}, "iso_type: "),
        ({"age_s": -0.1}, "age_s: "),
        ({"age_s": "left out"}, "age_s: "), ({"age_s": True}, "age_s: "), ({"pictures": "x"}, "pictures: "),
        ({"pictures": ["%"]}, "pictures: "), ({"pictures": [""] * 5}, "pictures: "),
        ({"pictures": [1]}, "pictures: "),
        ({"numbr": 1}, "unknown keys: numbr"),
    ],
)  # fmt: skip
def test_every_field_is_checked_and_the_sender_told_what_was_expected(
    changes: dict[str, Any], says: str
) -> None:
    output = camera().received(1.0, post(container(**changes)))
    (garbled,) = output.readings
    assert isinstance(garbled, ReadGarbled)
    assert garbled.why.startswith(says)
    assert status(output.send) == 400
    assert says.encode() in output.send


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"{}", b'{"container":1}', b'{"container":{},"more":1}', b'{"heartbeat":1}',
     b"\xff", b"[" * 100_000, b'{"container":{"id":"1","number":null,"age_s":1e999}}',
     b'{"container":{"id":"1","number":null,"age_s":' + b"1" * 400 + b"}}",
     b'{"container":{"id":"1","number":null,"age_s":' + b"1" * 9000 + b"}}"],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_a_body_that_is_none_is_garbled_and_the_connection_goes_on(body: bytes) -> None:
    driver = camera()
    output = driver.received(1.0, post(body))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert (status(output.send), output.hang_up) == (400, False)
    assert len(driver.received(2.0, post(container())).readings) == 2


def test_a_picture_cut_off_is_reported_and_the_number_told() -> None:
    cut = base64.b64encode(JPEG[:-2]).decode()
    output = camera().received(1.0, post(container(pictures=[cut])))
    assert [type(reading) for reading in output.readings] == [ContainerSeen, ReadTruncated]
    assert len(camera(most_picture_bytes=0).received(1.0, post(container())).readings) == 1


def test_a_heartbeat_only_proves_the_camera_alive() -> None:
    output = camera().received(1.0, post(b'{"heartbeat": {"uptime_s": 5}}'))
    assert (output.readings, output.heard, status(output.send)) == ((), True, 200)


def test_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open sesame\n")
    file.chmod(0o600)
    driver = driver_maker("container_camera.http_json", {"token_file": str(file)})()
    driver.opened(0.0)
    for headers in ([], ["Authorization: Bearer wrong"], ["Authorization: open sesame"]):
        output = driver.received(1.0, post(container(), *headers))
        assert status(output.send) == 401
        assert not any(isinstance(reading, ContainerSeen) for reading in output.readings)
    output = driver.received(2.0, post(container(), "Authorization: Bearer open sesame"))
    assert (status(output.send), len(output.readings)) == (200, 2)


def test_a_push_too_long_cut_off_or_dribbled_is_no_container() -> None:
    too_long = camera(most_body_bytes=1024).received(1.0, post(b"x" * 2000))
    assert (status(too_long.send), too_long.hang_up) == (413, True)
    request = post(container())
    driver = camera()
    driver.received(1.0, request[:-1])
    output = driver.due(6.0)
    assert [type(reading) for reading in output.readings] == [ReadTruncated]
    dribbled = camera()
    wakes = [dribbled.received(float(at), request[at : at + 1]).wake_at_s for at in range(30)]
    assert wakes[-1] == 30.0
    assert dribbled.due(30.0).hang_up


def test_an_order_is_refused() -> None:
    output = camera().order(1.0, "o", TriggerRead())
    assert [reading.order_id for reading in output.readings if isinstance(reading, OrderRefused)] == ["o"]


def test_any_bytes_give_a_number_of_the_right_shape_or_none() -> None:
    rng = random.Random(8)
    good = [container(pictures=[]), container(number=None, pictures=[]), b'{"heartbeat":{}}']
    kinds: dict[str, int] = {}
    for _ in range(FUZZ):
        content = bytearray(rng.choice(good))
        for _ in range(rng.randrange(4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        found = wire.decode(
            bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.2 else content)
        )
        kinds[type(found).__name__] = kinds.get(type(found).__name__, 0) + 1
        if isinstance(found, wire.Recognition) and found.number is not None:
            assert len(found.number) == 11
            assert found.number[:4].isalpha()
            assert found.number[4:].isdigit()
    assert kinds["Recognition"] > FUZZ // 20
    assert kinds["ReadGarbled"] > FUZZ // 3
