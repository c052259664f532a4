"""Dahua's snapshot subscription: how it is asked for, what is told and refused, when it is called again."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.devices.catalogue import driver_maker
from edge.devices.driver import Output
from edge.devices.plate_camera_dahua import wire
from edge.devices.plate_camera_dahua.driver import DahuaDriver, Settings
from edge.devices.readings import (
    OrderRefused,
    PictureSeen,
    PlateSeen,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.settings import SettingsRefused

FUZZ = int(os.environ.get("KAKOU_FUZZ", "5000"))
PLATE = "粤B12345"
JPEG = b"\xff\xd8\xff\xe0" + b"B" * 40 + b"\xff\xd9"


def event(index: int = 0, **fields: str) -> str:
    said = {
        "EventBaseInfo.Action": "Pulse",
        "EventBaseInfo.Code": "TrafficJunction",
        "GroupID": "41",
        "IndexInGroup": "1",
        "Object.ObjectType": "Plate",
        "Object.Text": PLATE,
        "TrafficCar.DrivingDirection[0]": "Approach",
        "TrafficCar.PlateColor": "Blue",
        "TrafficCar.PlateNumber": PLATE,
        "UTC": "1615554670",
        "UTCMS": "619",
    } | {key.replace("__", "."): value for key, value in fields.items()}
    return "".join(f"Events[{index}].{key}={value}\n" for key, value in said.items())


def part(body: bytes, kind: str = "text/plain", length: int | None = None) -> bytes:
    announced = len(body) if length is None else length
    return (
        f"--myboundary\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n\r\n".encode()
        + body
        + b"\r\n"
    )


BEGIN = (
    b"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n"
    b"Expires: Thu, 01 Dec 2099 16:00:00 GMT\r\nConnection: close\r\n"
    b"Content-Type: multipart/x-mixed-replace; boundary=myboundary\r\n\r\n"
)
HEARTBEAT = part(b"Heartbeat")
WHOLE = part(event().encode()) + part(JPEG, "image/jpeg")
TOLD = (PlateSeen(PLATE, plate_id="41", age_s=0.0), PictureSeen(JPEG, "vehicle", "41"))


def camera(**settings: object) -> DahuaDriver:
    made: Callable[..., Settings] = Settings
    driver = DahuaDriver(made(**settings), password="p", new_cnonce=lambda: "c")
    driver.opened(0.0)
    return driver


def subscribed(**settings: object) -> DahuaDriver:
    driver = camera(**settings)
    driver.received(0.0, BEGIN)
    return driver


def plates(readings: tuple[Reading, ...]) -> list[str | None]:
    return [reading.text for reading in readings if isinstance(reading, PlateSeen)]


# --- the request ------------------------------------------------------------------------------------------


def test_the_subscription_is_asked_for_as_the_maker_writes_it() -> None:
    driver = DahuaDriver(
        Settings(host="192.0.2.8", channel=2, heartbeat_s=7, events=("TrafficJunction", "All"))
    )
    sent = driver.opened(0.0).send.decode()
    assert sent.startswith(
        "GET /cgi-bin/snapManager.cgi?action=attachFileProc&channel=2&heartbeat=7&Flags[0]=Event"
        "&Events=[TrafficJunction,All] HTTP/1.1\r\nHost: 192.0.2.8\r\n"
    )


def test_the_password_goes_as_digest_and_never_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("circle of life\n")
    file.chmod(0o600)
    driver = driver_maker("plate_camera.dahua", {"password_file": str(file)})()
    bare = driver.opened(0.0).send
    asked = (
        b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="Login to 1", qop="auth", nonce="n", '
        b'opaque="o"\r\nContent-Length: 0\r\n\r\n'
    )
    sent = driver.received(0.1, asked).send
    assert b"authorization" not in bare.lower()
    assert b'username="admin", realm="Login to 1", nonce="n", uri="/cgi-bin/snapManager.cgi?' in sent
    assert b"circle of life" not in sent
    assert driver.received(0.2, BEGIN + HEARTBEAT).heard


def test_wrong_credentials_are_told_and_not_tried_again_at_once() -> None:
    driver = camera(after_refusal_s=300.0)
    challenge = b'WWW-Authenticate: Digest realm="r", qop="auth", nonce="n"\r\n'
    asked = b"HTTP/1.1 401 No\r\n" + challenge + b"Content-Length: 0\r\n\r\n"
    driver.received(0.1, asked)
    output = driver.received(0.2, asked)
    (garbled,) = output.readings
    assert isinstance(garbled, ReadGarbled)
    assert "refuses user 'admin'" in garbled.why
    assert (output.hang_up, output.heard) == (True, False)
    assert driver.opened(10.0) == Output(wake_at_s=300.2)
    assert driver.due(300.2).send.startswith(b"GET ")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"events": []}, "events: expected names of events"),
        ({"events": ["A]&x=["]}, "events: expected names of events"),
        ({"user": "a\r\nX: y"}, "user: expected a text without control characters"),
        ({"heartbeat_s": 61}, "heartbeat_s: expected a whole number from 1 to 60"),
        ({"password_file": "secret"}, "password_file: expected the absolute path"),
    ],
)  # fmt: skip
def test_settings_that_cannot_stand_in_a_request_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsRefused, match=f"^{says}"):
        driver_maker("plate_camera.dahua", settings)


# --- what is told -----------------------------------------------------------------------------------------


def test_an_event_is_a_plate_at_once_and_its_picture_when_it_comes() -> None:
    driver = subscribed()
    text, picture = part(event().encode()), part(JPEG, "image/jpeg")
    assert driver.received(1.0, text[:-2]).readings == TOLD[:1]
    assert driver.received(1.5, b"\r\n" + picture).readings == TOLD[1:]


def test_several_events_of_one_message_are_several_plates() -> None:
    body = (
        event(0)
        + event(1, TrafficCar__PlateNumber="豫A00001", GroupID="42")
        + event(2, EventBaseInfo__Action="Stop", GroupID="43")
    )
    assert plates(subscribed().received(1.0, part(body.encode())).readings) == [PLATE, "豫A00001"]


@pytest.mark.parametrize("text", ["", "Unknown", "unknown", "No Plate", "<unknown>", "无牌"])
def test_a_plate_that_was_not_read_is_seen_without_text(text: str) -> None:
    body = event(TrafficCar__PlateNumber=text).encode()
    assert plates(subscribed().received(1.0, part(body)).readings) == [None]


def test_gb18030_is_understood_too() -> None:
    body = event(TrafficCar__PlateNumber="豫A12345", Object__Text="豫A12345").encode("gb18030")
    assert plates(subscribed().received(1.0, part(body)).readings) == ["豫A12345"]


def test_the_plate_of_an_event_without_traffic_is_taken_from_its_object() -> None:
    lines = "Events[0].Code=X\nEvents[0].Object.ObjectType=Plate\nEvents[0].Object.Text=豫A1\n"
    other = "Events[0].Code=X\nEvents[0].Object.ObjectType=Face\nEvents[0].Object.Text=豫A1\n"
    assert plates(subscribed().received(1.0, part(lines.encode())).readings) == ["豫A1"]
    assert subscribed().received(1.0, part(other.encode())).readings == ()


def test_a_last_line_without_its_end_is_not_believed() -> None:
    lines = "Events[0].Code=TrafficJunction\nEvents[0].TrafficCar.PlateNumber=豫A1234"
    found = wire.decode(lines.encode())
    assert found == [wire.Other("TrafficJunction")]
    whole = wire.decode((lines + "5\nEvents[0].VehicleLength=0").encode())
    assert isinstance(whole, list)
    assert [each.license for each in whole if isinstance(each, wire.Recognition)] == ["豫A12345"]


@pytest.mark.parametrize(
    "body",
    [
        b"Events[0].Code=X\nno value\n", b"Events[0].Code=X\nOther=1\n", b"Events[99].Code=X\n", b"\n", b"",
        b"Events[0].Code=X\nEvents[0].TrafficCar.PlateNumber=A\x01\n", b"\xff\xff\xff", b"<html>\n",
        b"Events[0].Code=X\nEvents[0].Code=Y\n", b"Events[0].Code=X\n" + b"a" * 300_000,
        b"Events[0].TrafficCar.PlateNumber=A1\n", b"Code=TrafficJunction;action=Pulse;index=0;data={\n",
        b"Events[0].Code=X\nEvents[0].TrafficCar.PlateNumber=12345678901234567\n",
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_a_text_that_is_none_is_garbled_and_the_next_one_read(body: bytes) -> None:
    driver = subscribed()
    output = driver.received(1.0, part(body, length=len(body)))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert not output.heard
    assert driver.received(2.0, WHOLE).readings == TOLD


def test_pictures_are_those_of_the_last_plate_whole_and_not_too_many() -> None:
    assert subscribed().received(1.0, part(JPEG, "image/jpeg")).readings == ()
    cut = part(event().encode()) + part(JPEG[:-2], "image/jpeg")
    assert [type(each) for each in subscribed().received(1.0, cut).readings] == [PlateSeen, ReadTruncated]
    many = part(event().encode()) + part(JPEG, "image/jpeg") * 20
    assert len(subscribed().received(1.0, many).readings) == 1 + 4
    assert subscribed(most_picture_bytes=0).received(1.0, WHOLE).readings == TOLD[:1]
    garbled = part(event().encode()) + part(b"nonsense\n") + part(JPEG, "image/jpeg")
    assert [type(each) for each in subscribed().received(1.0, garbled).readings] == [PlateSeen, ReadGarbled]


def test_a_storm_of_the_same_events_is_told_once_also_over_connections() -> None:
    driver = subscribed()
    told = [reading for _ in range(30) for reading in driver.received(1.0, WHOLE).readings]
    driver.opened(2.0)
    told += driver.received(3.0, BEGIN + WHOLE * 10).readings
    assert tuple(told) == TOLD


@pytest.mark.parametrize(
    "changed", [{"GroupID": "42"}, {"UTCMS": "620"}, {"TrafficCar__PlateNumber": "豫A1"}]
)
def test_another_recognition_is_never_taken_for_a_repeat(changed: dict[str, Any]) -> None:
    driver = subscribed()
    driver.received(1.0, WHOLE)
    assert len(plates(driver.received(2.0, part(event(**changed).encode())).readings)) == 1


def test_without_number_and_time_nothing_is_taken_for_a_repeat() -> None:
    driver = subscribed()
    bare = part(b"Events[0].Code=X\nEvents[0].TrafficCar.PlateNumber=A1\n")
    assert [len(driver.received(1.0, bare).readings) for _ in range(2)] == [1, 1]


# --- time ---------------------------------------------------------------------------------------------------


def test_a_heartbeat_proves_the_camera_alive_and_three_missing_ones_end_the_connection() -> None:
    driver = subscribed(heartbeat_s=5)
    for second in range(5, 60, 5):
        output = driver.received(float(second), HEARTBEAT)
        assert (output.heard, output.readings, output.wake_at_s) == (True, (), second + 15.0)
    output = driver.due(70.0)
    assert output.hang_up
    again = driver.opened(71.0)
    assert (again.hang_up, again.send[:4]) == (False, b"GET ")


def test_no_answer_ends_the_connection_too() -> None:
    driver = camera(answer_timeout_s=5.0)
    assert [driver.due(at_s).hang_up for at_s in (4.0, 5.0)] == [False, True]


def test_a_message_cut_off_is_told_as_such_and_never_as_a_plate() -> None:
    text = part(event().encode())
    begin = text.index(b"PlateNumber=")
    for kept in range(begin, len(text) - 3):
        driver = subscribed()
        assert driver.received(1.0, text[:kept]).readings == ()
        assert [type(reading) for reading in driver.due(100.0).readings] == [ReadTruncated]


def test_an_order_is_refused() -> None:
    output = subscribed().order(1.0, "o", TriggerRead())
    assert [reading.order_id for reading in output.readings if isinstance(reading, OrderRefused)] == ["o"]


def test_any_slicing_of_a_stream_gives_the_same_readings() -> None:
    rng = random.Random(3)
    content = (
        BEGIN + HEARTBEAT + WHOLE + part(b"nonsense\n") + part(event(GroupID="9").encode(), length=40) + WHOLE
    )
    expected = camera().received(1.0, content).readings
    for _ in range(40):
        driver = camera()
        places = sorted({0, len(content), *(rng.randrange(len(content)) for _ in range(8))})
        told = [
            reading
            for begin, end in itertools.pairwise(places)
            for reading in driver.received(1.0, content[begin:end]).readings
        ]
        assert [r if isinstance(r, PlateSeen | PictureSeen) else type(r) for r in told] == [
            r if isinstance(r, PlateSeen | PictureSeen) else type(r) for r in expected
        ]


# --- any bytes ----------------------------------------------------------------------------------------------


def spoilt(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(changed)) if changed else 0
        match rng.randrange(3):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                del changed[at : at + rng.randrange(8)]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(6))
    return bytes(changed)


def test_a_codec_takes_any_bytes() -> None:
    rng = random.Random(4)
    good = [event().encode(), (event() + event(1)).encode(), b"Heartbeat", event().encode("gb18030")]
    kinds: dict[str, int] = {}
    for _ in range(FUZZ):
        content = spoilt(rng, rng.choice(good))
        found = wire.decode(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.2 else content)
        kind = "garbled" if isinstance(found, ReadGarbled) else "read"
        kinds[kind] = kinds.get(kind, 0) + 1
        for message in found if isinstance(found, list) else []:
            if isinstance(message, wire.Recognition) and message.license is not None:
                assert 1 <= len(message.license) <= wire.MOST_LICENSE_CHARACTERS
                assert message.license.isprintable()
    assert min(kinds.values()) > FUZZ // 20


def test_a_cut_text_never_gives_a_plate_that_is_a_piece_of_one() -> None:
    body = event().encode()
    found = [wire.decode(body[:kept]) for kept in range(len(body) + 1)]
    told = {
        message.license
        for each in found
        if isinstance(each, list)
        for message in each
        if isinstance(message, wire.Recognition)
    }
    assert told == {PLATE}


def test_a_driver_takes_any_bytes() -> None:
    rng = random.Random(6)
    driver = camera()
    good = [BEGIN, WHOLE, HEARTBEAT, BEGIN + WHOLE]
    calls = 0
    for number in range(max(2000, FUZZ // 20)):
        content = spoilt(rng, rng.choice(good))
        output = driver.received(float(number), content[: rng.randrange(len(content) + 1)])
        calls += 1
        pictures = [reading.jpeg for reading in output.readings if isinstance(reading, PictureSeen)]
        assert all(jpeg.startswith(b"\xff\xd8\xff") and jpeg.endswith(b"\xff\xd9") for jpeg in pictures)
        if output.hang_up or rng.random() < 0.05:
            driver.opened(float(number))
    assert calls >= 2000
