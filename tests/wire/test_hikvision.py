"""Hikvision's events: every firmware shape, pushed to us or read from alertStream; what is told, answered."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import pytest

from edge.devices.catalogue import driver_maker
from edge.devices.driver import Output
from edge.devices.plate_camera_hikvision import wire
from edge.devices.plate_camera_hikvision.driver import PushDriver, Settings, StreamDriver
from edge.devices.readings import (
    OrderRefused,
    PictureSeen,
    PlateSeen,
    PulseRelay,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TriggerRead,
)
from edge.devices.repeats import Repeats
from edge.devices.settings import SettingsRefused

FUZZ = int(os.environ.get("KAKOU_FUZZ", "5000"))
PLATE = "豫A12345"
JPEG = b"\xff\xd8\xff\xe0" + b"B" * 40 + b"\xff\xd9"
ROOTS = {
    "ver10": ("", ' version="1.0" xmlns="http://www.std-cgi.com/ver10/XMLSchema"'),
    "ver20": ("", ' version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"'),
    "isapi": ("", ' version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'),
    "prefixed": ("ns1:", ' xmlns:ns1="http://www.hikvision.com/ver20/XMLSchema" version="2.0"'),
    "bare": ("", ""),
}


def event(shape: str = "ver20", *, plate: str = PLATE, prolog: str = "", **fields: str) -> bytes:
    prefix, attributes = ROOTS[shape]
    said = {
        "channelID": "1",
        "dateTime": "2026-07-05T20:44:40+08:00",
        "eventType": "ANPR",
        "eventState": "active",
        "UUID": "u-1",
        "confidenceLevel": "92",
    } | fields
    inner = "".join(f"<{prefix}{k}>{v}</{prefix}{k}>" for k, v in said.items() if k != "confidenceLevel")
    anpr = (
        f"<{prefix}ANPR><{prefix}licensePlate>{plate}</{prefix}licensePlate>"
        f"<{prefix}confidenceLevel>{said['confidenceLevel']}</{prefix}confidenceLevel></{prefix}ANPR>"
    )
    root = f"{prefix}EventNotificationAlert"
    return f"{prolog}<{root}{attributes}>{inner}{anpr}</{root}>".encode()


def parts(*contents: tuple[str, str, bytes], boundary: str = "MIME_boundary") -> bytes:
    body = b""
    for name, kind, content in contents:
        disposition = f'Content-Disposition: form-data; name="{name}"\r\n' if name else ""
        body += f"--{boundary}\r\n{disposition}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def post(body: bytes, kind: str = "multipart/form-data; boundary=MIME_boundary") -> bytes:
    head = f"POST /hik HTTP/1.1\r\nHost: lane\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def pushed(xml: bytes, *pictures: tuple[str, bytes]) -> bytes:
    return post(
        parts(("anpr.xml", "application/xml", xml), *((name, "image/jpeg", jpeg) for name, jpeg in pictures))
    )


WHOLE = pushed(event(), ("licensePlatePicture.jpg", JPEG), ("detectionPicture.jpg", JPEG))
TOLD = (
    PlateSeen(PLATE, 92.0, "u-1", age_s=0.0),
    PictureSeen(JPEG, "plate", "u-1"),
    PictureSeen(JPEG, "vehicle", "u-1"),
)


def camera(**settings: object) -> PushDriver:
    made: Callable[..., Settings] = Settings
    driver = PushDriver(made(**settings))
    driver.opened(0.0)
    return driver


def statuses(sent: bytes) -> list[int]:
    """Of every answer, read by an independent client."""
    client = h11.Connection(h11.CLIENT)
    found: list[int] = []
    client.receive_data(sent)
    while True:
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        while not isinstance(told := client.next_event(), h11.EndOfMessage):
            if told is h11.NEED_DATA:
                return found
            if isinstance(told, h11.Response):
                found.append(told.status_code)
        if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
            return found
        client.start_next_cycle()


def plates(readings: tuple[Reading, ...]) -> list[str | None]:
    return [reading.text for reading in readings if isinstance(reading, PlateSeen)]


# --- shapes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ROOTS)
@pytest.mark.parametrize("prolog", ["", '<?xml version="1.0" encoding="UTF-8"?>\n', "\ufeff"])
def test_every_namespace_and_prefix_is_the_same_recognition(shape: str, prolog: str) -> None:
    found = wire.decode(event(shape, prolog=prolog))
    assert isinstance(found, wire.Recognition)
    assert (found.license, found.confidence, found.uuid, found.channel) == (PLATE, 92.0, "u-1", "1")


def test_an_encoding_is_what_the_bytes_are_and_not_what_the_prolog_says() -> None:
    xml = event(prolog='<?xml version="1.0" encoding="GB2312"?>').decode()
    found = [wire.decode(xml.encode(encoding)) for encoding in ("utf-8", "gb18030")]
    assert [each.license for each in found if isinstance(each, wire.Recognition)] == [PLATE, PLATE]
    assert isinstance(wire.decode(xml.encode("utf-16")), ReadGarbled)


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("92.5", 92.5), ("0", 0.0), ("100", 100.0), ("100.1", None), ("-1", None), ("1e9", None), ("", None),
        ("high", None),
    ],
)  # fmt: skip
def test_a_confidence_may_be_a_fraction_and_is_left_out_where_it_is_none(
    text: str, confidence: float | None
) -> None:
    found = wire.decode(event(confidenceLevel=text))
    assert isinstance(found, wire.Recognition)
    assert found.confidence == confidence


@pytest.mark.parametrize("text", ["unknown", "UNKNOWN", "", "  ", "noPlate", "无车牌"])
def test_a_plate_that_was_not_read_is_seen_without_text(text: str) -> None:
    output = camera().received(1.0, post(event(plate=text), "application/xml"))
    assert plates(output.readings) == [None]


def test_a_bare_ampersand_of_a_name_does_not_spoil_the_event() -> None:
    found = wire.decode(event(channelName="R&D &amp; gate &#65; &nbsp;"))
    assert isinstance(found, wire.Recognition)
    assert found.license == PLATE


@pytest.mark.parametrize("element", ["plate", "plateNumber", "originalLicensePlate"])
def test_older_names_of_the_plates_element_are_read(element: str) -> None:
    found = wire.decode(event().replace(b"licensePlate>", f"{element}>".encode()))
    assert isinstance(found, wire.Recognition)
    assert found.license == PLATE


def test_what_was_stored_while_the_line_was_cut_says_so() -> None:
    found = [wire.decode(event(isDataRetransmission=text)) for text in ("true", "false")]
    assert [each.offline for each in found if isinstance(each, wire.Recognition)] == [True, False]


@pytest.mark.parametrize(
    "xml",
    [
        event(eventType="VMD"),
        event(eventState="inactive"),
        b'{"eventType": "ANPR2", "eventState": "active"}',
        b"<EventNotificationAlert><eventType>videoloss</eventType></EventNotificationAlert>",
    ],
    ids=["motion", "inactive", "json", "heartbeat"],
)
def test_another_event_only_proves_the_camera_alive(xml: bytes) -> None:
    output = camera().received(1.0, post(xml, "application/xml"))
    assert (output.readings, output.heard, statuses(output.send)) == ((), True, [200])


HOSTILE = {
    "entities": b'<!DOCTYPE l [<!ENTITY a "x">]>' + event(plate="&a;"),
    "billion laughs": b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    + event(plate="&b;"),
    "external": b'<!DOCTYPE x SYSTEM "file:///etc/hostname">' + event(),
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + event(plate="&e;"),
    "undefined entity": event().replace(b"<licensePlate>", b"<licensePlate>&x;"),
    "deep": b"<EventNotificationAlert>" + b"<a>" * 50_000,
    "deep and closed": b"<a>" * 30_000 + b"</a>" * 30_000,
    "long": event().replace(b"<ANPR>", b" " * 300_000 + b"<ANPR>"),
    "cut": event()[:-9],
    "doubled": event() + event(),
    "no ANPR": b"<EventNotificationAlert><eventType>ANPR</eventType></EventNotificationAlert>",
    "two ANPR": event().replace(b"</ANPR>", b"</ANPR><ANPR></ANPR>"),
    "two plates": event().replace(b"<licensePlate>", b"<licensePlate>X</licensePlate><licensePlate>"),
    "long plate": event(plate="A" * 17),
    "control": event(plate="A&#10;B"),
    "another root": b"<html/>",
    "nothing": b"\0\0",
    "json": b'{"eventType": "ANPR"',
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_none_is_never_a_plate_and_is_answered_200_all_the_same(name: str) -> None:
    output = camera().received(1.0, post(HOSTILE[name], "application/xml"))
    expected = {"undefined entity": [f"&x;{PLATE}"], "nothing": []}.get(name, [])
    assert plates(output.readings) == expected
    assert statuses(output.send) == [200]
    assert all(isinstance(reading, ReadGarbled | PlateSeen) for reading in output.readings)


# --- pushes -------------------------------------------------------------------------------------------------


def test_a_push_is_a_plate_with_its_pictures() -> None:
    output = camera().received(1.0, WHOLE)
    assert output.readings == TOLD
    assert (statuses(output.send), output.heard, output.hang_up) == ([200], True, False)


def test_the_message_may_stand_behind_its_pictures_and_among_other_parts() -> None:
    body = parts(
        ("detectionPicture.jpg", "image/jpeg", JPEG),
        ("extra", "text/plain", b""),
        ("anpr.xml", "text/xml", event()),
    )
    output = camera().received(1.0, post(body))
    assert output.readings == (PlateSeen(PLATE, 92.0, "u-1", age_s=0.0), PictureSeen(JPEG, "vehicle", "u-1"))


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(event(), "application/xml"),
        post(event(), "text/plain"),
        post(parts(("anpr.xml", "application/xml", event()))),
        post(parts(("anpr.xml", "application/xml", event())), "application/octet-stream"),
        post(parts(("anpr.xml", "application/xml", event())).replace(b"--MIME_boundary--\r\n", b"")),
    ],
    ids=["xml", "as text", "without picture", "boundary not named", "never closed"],
)
def test_a_push_without_a_picture_or_with_an_odd_head_is_a_plate_too(request_bytes: bytes) -> None:
    assert camera().received(1.0, request_bytes).readings == (PlateSeen(PLATE, 92.0, "u-1", age_s=0.0),)


def test_a_picture_sent_as_octet_stream_is_known_by_its_first_bytes() -> None:
    body = parts(("anpr.xml", "text/xml", event()), ("plate.jpg", "application/octet-stream", JPEG))
    assert camera().received(1.0, post(body)).readings == TOLD[:2]


def test_a_picture_cut_off_or_too_long_is_reported_and_the_plate_told() -> None:
    cut = pushed(event(), ("detectionPicture.jpg", JPEG[:-3]), ("licensePlatePicture.jpg", JPEG))
    readings = camera().received(1.0, cut).readings
    assert [type(reading) for reading in readings] == [PlateSeen, ReadTruncated, PictureSeen]
    readings = camera(most_picture_bytes=20).received(1.0, WHOLE).readings
    assert [type(reading) for reading in readings] == [PlateSeen, ReadGarbled, ReadGarbled]


def test_pictures_nobody_wants_and_more_than_there_can_be_are_left_out() -> None:
    assert camera(most_picture_bytes=0).received(1.0, WHOLE).readings == TOLD[:1]
    many = pushed(event(), *[("x.jpg", JPEG)] * 20)
    assert len(camera().received(1.0, many).readings) == 1 + 4


def test_a_picture_without_a_recognition_is_nobodys() -> None:
    assert camera().received(1.0, post(parts(("x.jpg", "image/jpeg", JPEG)))).readings == ()


def test_another_channel_of_a_recorder_is_left_out() -> None:
    driver = camera(channel="2")
    assert driver.received(1.0, WHOLE).readings == ()
    other = pushed(event(channelID="2", UUID="u-2"), ("x.jpg", JPEG))
    assert plates(driver.received(2.0, other).readings) == [PLATE]


def test_the_same_recognition_sent_again_is_answered_and_told_once_on_any_connection() -> None:
    memory = Repeats(1000)
    told: list[Reading] = []
    answered = []
    for connection in range(5):
        driver = PushDriver(Settings(), memory)
        driver.opened(float(connection))
        for _ in range(20):
            output = driver.received(float(connection), WHOLE)
            told += output.readings
            answered += statuses(output.send)
    assert tuple(told) == TOLD
    assert answered == [200] * 100


@pytest.mark.parametrize(
    "changed", [{"UUID": "u-2"}, {"dateTime": "2026-07-05T20:44:41+08:00"}, {"plate": "豫A12346"}]
)
def test_another_recognition_is_never_taken_for_a_repeat(changed: dict[str, Any]) -> None:
    driver = camera()
    driver.received(1.0, WHOLE)
    assert len(plates(driver.received(2.0, pushed(event(**changed))).readings)) == 1


def test_without_number_and_time_nothing_is_taken_for_a_repeat() -> None:
    driver = camera()
    bare = post(event(UUID="", dateTime=""), "application/xml")
    assert [len(driver.received(1.0, bare).readings) for _ in range(2)] == [1, 1]


def test_a_storm_of_the_same_garbage_is_reported_once_and_always_answered() -> None:
    driver = camera()
    outputs = [driver.received(1.0, post(b"<garbage", "application/xml")) for _ in range(50)]
    assert [len(output.readings) for output in outputs] == [1] + [0] * 49
    assert [status for output in outputs for status in statuses(output.send)] == [200] * 50


def test_a_push_longer_than_allowed_is_swallowed_answered_and_the_next_one_read() -> None:
    driver = camera(most_body_bytes=2048)
    output = driver.received(1.0, post(b"x" * 100_000))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert statuses(output.send) == [200]
    assert plates(driver.received(2.0, WHOLE).readings) == [PLATE]


def test_a_request_cut_off_or_dribbled_is_no_plate() -> None:
    for kept in (10, 100, 300, len(WHOLE) - 1):
        driver = camera()
        assert driver.received(1.0, WHOLE[:kept]).readings == ()
        output = driver.due(6.0)
        assert [type(reading) for reading in output.readings] == [ReadTruncated]
        assert output.hang_up
    driver = camera()
    outputs = [driver.received(float(second), WHOLE[second : second + 1]) for second in range(30)]
    assert [output.wake_at_s for output in outputs][-1] == 30.0
    assert driver.due(30.0).hang_up


@pytest.mark.parametrize(
    "data", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /" + b"a" * 20_000]
)
def test_what_is_no_http_ends_the_connection(data: bytes) -> None:
    output = camera().received(1.0, data)
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert output.hang_up


def test_the_cameras_test_button_is_answered() -> None:
    output = camera().received(1.0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (output.readings, statuses(output.send), output.heard) == ((), [200], True)


def test_any_slicing_of_a_push_gives_the_same_readings() -> None:
    rng = random.Random(2)
    for _ in range(30):
        driver = camera()
        places = sorted({0, len(WHOLE), *(rng.randrange(len(WHOLE)) for _ in range(6))})
        told = [
            reading
            for begin, end in itertools.pairwise(places)
            for reading in driver.received(1.0, WHOLE[begin:end]).readings
        ]
        assert tuple(told) == TOLD


@pytest.mark.parametrize("order", [TriggerRead(), PulseRelay(0, 0.5)])
def test_orders_are_refused(order: TriggerRead | PulseRelay) -> None:
    output = camera().order(1.0, "o", order)
    assert [reading.order_id for reading in output.readings if isinstance(reading, OrderRefused)] == ["o"]


# --- alertStream --------------------------------------------------------------------------------------------


def stream_part(body: bytes, kind: str = 'application/xml; charset="UTF-8"', name: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"\r\n' if name else ""
    head = f"--boundary\r\n{disposition}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


BEGIN = b"HTTP/1.1 200 OK\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=boundary\r\n\r\n"
HEARTBEAT = stream_part(
    b"<EventNotificationAlert><eventType>videoloss</eventType><eventState>inactive</eventState>"
    b"</EventNotificationAlert>"
)
WITH_PICTURES = (
    stream_part(event())
    + stream_part(JPEG, "image/jpeg", "licensePlatePicture.jpg")
    + stream_part(JPEG, "image/jpeg", "detectionPicture.jpg")
)


def stream(**settings: object) -> tuple[StreamDriver, Output]:
    made: Callable[..., Settings] = Settings
    driver = StreamDriver(made(mode="stream", **settings), password="p", new_cnonce=lambda: "c")
    return driver, driver.opened(0.0)


def test_the_stream_is_asked_for_when_the_port_opens_and_its_events_are_told() -> None:
    driver, opened = stream(host="192.0.2.64")
    assert opened.send.startswith(
        b"GET /ISAPI/Event/notification/alertStream HTTP/1.1\r\nHost: 192.0.2.64\r\n"
    )
    assert driver.received(0.5, BEGIN + HEARTBEAT).heard
    output = driver.received(1.0, WITH_PICTURES)
    assert (output.readings, output.heard) == (TOLD, True)
    assert driver.received(1.5, WITH_PICTURES).readings == ()


def test_a_stream_that_falls_silent_is_hung_up_on_and_what_was_told_stays_told() -> None:
    driver, _ = stream(quiet_s=30.0)
    assert driver.received(1.0, BEGIN + WITH_PICTURES).wake_at_s == 31.0
    output = driver.due(31.0)
    assert (output.hang_up, [type(reading) for reading in output.readings]) == (True, [ReadGarbled])
    assert driver.opened(32.0).send.startswith(b"GET ")
    assert driver.received(33.0, BEGIN + WITH_PICTURES).readings == ()


def test_pictures_behind_a_part_that_was_cut_off_belong_to_nobody() -> None:
    driver, _ = stream()
    driver.received(0.0, BEGIN + stream_part(event()))
    lost = stream_part(event(UUID="u-2", plate="豫B00001"))
    cut = lost[: len(lost) // 2] + b"\r\n" + stream_part(JPEG, "image/jpeg", "x.jpg")
    output = driver.received(1.0, cut)
    assert [type(reading) for reading in output.readings] == [ReadTruncated]


def test_a_heartbeat_between_ends_what_pictures_belong_to() -> None:
    driver, _ = stream()
    output = driver.received(0.0, BEGIN + stream_part(event()) + HEARTBEAT + stream_part(JPEG, "image/jpeg"))
    assert output.readings == TOLD[:1]


def test_the_catalogue_reads_the_password_when_the_driver_is_made(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o600)
    settings = {"mode": "stream", "password_file": str(file)}
    driver = driver_maker("plate_camera.hikvision", settings)()
    driver.opened(0.0)
    challenge = b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
    asked = b"HTTP/1.1 401 No\r\n" + challenge + b"Content-Length: 0\r\n\r\n"
    assert b"Authorization: Digest" in driver.received(0.1, asked).send.replace(
        b"authorization", b"Authorization"
    )
    with pytest.raises(SettingsRefused, match=r"devices\.c\.password_file: expected the absolute path"):
        driver_maker("plate_camera.hikvision", settings | {"password_file": "password"}, "devices.c")
    with pytest.raises(SettingsRefused, match=r"devices\.c\.host: expected"):
        driver_maker("plate_camera.hikvision", settings | {"host": "a\nb"}, "devices.c")


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


def test_a_codec_takes_any_bytes_and_tells_no_plate_of_another_shape() -> None:
    rng = random.Random(4)
    good = [event(shape) for shape in ROOTS] + [*HOSTILE.values()][:4]
    kinds: dict[str, int] = {}
    for _ in range(FUZZ):
        content = spoilt(rng, rng.choice(good))
        found = wire.decode(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.2 else content)
        kinds[type(found).__name__] = kinds.get(type(found).__name__, 0) + 1
        if isinstance(found, wire.Recognition):
            # whatever was changed, the value is one that stands in the bytes
            assert found.license is None or len(found.license) <= wire.MOST_LICENSE_CHARACTERS
    assert kinds["Recognition"] > FUZZ // 20
    assert kinds["ReadGarbled"] > FUZZ // 3


@pytest.mark.parametrize("mode", ["push", "stream"])
def test_a_driver_takes_any_bytes_and_answers_whatever_it_understood(mode: str) -> None:
    rng = random.Random(6)
    driver: PushDriver | StreamDriver = camera() if mode == "push" else stream()[0]
    good = [WHOLE, post(event(), "text/xml")] if mode == "push" else [BEGIN, WITH_PICTURES, HEARTBEAT]
    calls = 0
    for number in range(max(2000, FUZZ // 20)):
        content = spoilt(rng, rng.choice(good))
        output = driver.received(float(number), content[: rng.randrange(len(content) + 1)])
        calls += 1
        pictures = [reading.jpeg for reading in output.readings if isinstance(reading, PictureSeen)]
        assert all(jpeg.startswith(b"\xff\xd8\xff") and jpeg.endswith(b"\xff\xd9") for jpeg in pictures)
        if output.hang_up:
            driver.opened(float(number))
    assert calls >= 2000
