"""The plate camera's pushes over HTTP: what is told, what is answered, what is refused."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.driver import Output
from edge.devices.plate_camera_vzenith import wire
from edge.devices.plate_camera_vzenith.driver import Settings, VzenithDriver, key_of
from edge.devices.readings import (
    DeviceFault,
    OrderDone,
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

PLATE = "粤Z9000澳"


def push(**changes: Any) -> dict[str, Any]:
    plate: dict[str, Any] = {
        "license": PLATE,
        "confidence": 96,
        "plateid": 21085,
        "isoffline": 0,
        "is_fake_plate": 0,
        "colorType": 4,
        "type": 14,
        "timeStamp": {"Timeval": {"sec": 1686299994, "usec": 687772}},
    }
    plate |= changes
    return {"AlarmInfoPlate": {"serialno": "s-1", "result": {"PlateResult": plate}}}


def body_of(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def post(body: bytes, *headers: str) -> bytes:
    head = [
        "POST /devicemanagement/php/plateresult.php HTTP/1.1",
        "Host: lane",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def camera(**settings: object) -> VzenithDriver:
    made: Callable[..., Settings] = Settings
    driver = VzenithDriver(made(**settings))
    driver.opened(0.0)
    return driver


def answers(sent: bytes) -> list[tuple[int, Any]]:
    """(status, JSON) of every answer, read by an independent client."""
    client = h11.Connection(h11.CLIENT)
    found: list[tuple[int, Any]] = []
    client.receive_data(sent)
    while True:
        client.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
        client.send(h11.EndOfMessage())
        body, status = b"", 0
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return found
            if isinstance(event, h11.Response):
                status = event.status_code
            if isinstance(event, h11.Data):
                body += event.data
        found.append((status, json.loads(body)))
        if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
            return found
        client.start_next_cycle()


def answer_of(output: Output) -> dict[str, Any]:
    ((_, answer),) = answers(output.send)
    found: dict[str, Any] = answer["Response_AlarmInfoPlate"]
    return found


# --- what is told -----------------------------------------------------------------------------------------


def test_a_push_is_a_plate_and_is_answered_no() -> None:
    output = camera().received(1.0, post(body_of(push())))
    assert output.readings == (PlateSeen(PLATE, 96.0, "21085", age_s=0.0),)
    assert [status for status, _ in answers(output.send)] == [200]
    assert answer_of(output)["info"] == "no"
    assert (output.heard, output.hang_up) == (True, False)


@pytest.mark.parametrize("text", ["_无_", "", "  ", "无"])
def test_a_vehicle_without_a_readable_plate_is_seen_without_text(text: str) -> None:
    output = camera().received(1.0, post(body_of(push(license=text, confidence=0))))
    assert output.readings == (PlateSeen(None, 0.0, "21085", age_s=0.0),)


def test_a_recognition_stored_earlier_says_so_and_is_acknowledged_one_by_one() -> None:
    output = camera().received(1.0, post(body_of(push(isoffline=1))))
    assert output.readings == (PlateSeen(PLATE, 96.0, "21085", offline=True, age_s=0.0),)
    assert answer_of(output)["ContinuePushOffline"] == {"plateid": 21085, "continue": 1}


def test_a_site_may_stop_stored_recognitions() -> None:
    output = camera(take_offline=False).received(1.0, post(body_of(push(isoffline=1))))
    assert answer_of(output)["ContinuePushOffline"] == {"plateid": 21085, "continue": 0}


def test_a_recognition_now_is_not_answered_as_a_stored_one() -> None:
    answer = answer_of(camera().received(1.0, post(body_of(push()))))
    assert "ContinuePushOffline" not in answer
    assert answer["plateid"] == 21085


def test_a_plate_the_camera_takes_for_false_is_a_fault_and_no_evidence() -> None:
    output = camera().received(1.0, post(body_of(push(is_fake_plate=1))))
    assert [type(reading) for reading in output.readings] == [DeviceFault, PlateSeen]
    assert [r.text for r in output.readings if isinstance(r, PlateSeen)] == [None]


@pytest.mark.parametrize("confidence", [None, "high", -1, 101, True, [], float("1e400")])
def test_a_confidence_that_is_none_is_left_out(confidence: object) -> None:
    output = camera().received(1.0, post(body_of(push(confidence=confidence)).replace(b"Infinity", b"1e400")))
    assert [r.confidence for r in output.readings if isinstance(r, PlateSeen)] in ([None], [])


@pytest.mark.parametrize("plate", [PLATE, "豫A12345", "鲁B12345", "粤B·12345"])
def test_gb18030_is_understood_too(plate: str) -> None:
    body = json.dumps(push(license=plate), ensure_ascii=False).encode("gb18030")
    assert camera().received(1.0, post(body)).readings == (PlateSeen(plate, 96.0, "21085", age_s=0.0),)


# --- repeats ----------------------------------------------------------------------------------------------


def test_the_same_recognition_sent_again_is_answered_and_told_once() -> None:
    driver = camera()
    outputs = [driver.received(at_s, post(body_of(push()))) for at_s in (1.0, 2.0, 3.0)]
    assert [len(output.readings) for output in outputs] == [1, 0, 0]
    assert [status for output in outputs for status, _ in answers(output.send)] == [200] * 3
    assert [output.heard for output in outputs] == [True] * 3


def test_a_repeat_on_another_connection_or_as_a_stored_one_is_still_a_repeat() -> None:
    memory = Repeats(100)
    first, second = VzenithDriver(Settings(), memory), VzenithDriver(Settings(), memory)
    first.opened(0.0)
    second.opened(0.0)
    assert len(first.received(1.0, post(body_of(push()))).readings) == 1
    assert second.received(2.0, post(body_of(push(isoffline=1)))).readings == ()
    first.opened(3.0)
    assert first.received(3.0, post(body_of(push()))).readings == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"plateid": 21086},
        {"license": "豫A12345"},
        {"timeStamp": {"Timeval": {"sec": 1686299995, "usec": 687772}}},
    ],
    ids=str,
)
def test_another_vehicle_is_never_taken_for_a_repeat_even_where_a_restarted_camera_counts_anew(
    changed: dict[str, Any],
) -> None:
    driver = camera()
    driver.received(1.0, post(body_of(push())))
    assert len(driver.received(2.0, post(body_of(push(**changed)))).readings) == 1


def test_without_number_and_time_nothing_is_taken_for_a_repeat() -> None:
    driver = camera()
    bare = post(body_of(push(plateid=None, timeStamp=None)))
    assert [len(driver.received(1.0, bare).readings) for _ in range(2)] == [1, 1]


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = Repeats(100)
    seen = [wire.decode_json(body_of(push(plateid=number))) for number in range(250)]
    recognitions = [message for message in seen if isinstance(message, wire.Recognition)]
    assert [memory.is_new(key_of(message)) for message in recognitions] == [True] * 250
    assert memory.is_new(key_of(recognitions[-1])) is False
    assert memory.is_new(key_of(recognitions[150])) is False
    assert memory.is_new(key_of(recognitions[0])) is True


# --- pictures ---------------------------------------------------------------------------------------------

JPEG = b"\xff\xd8\xff\xe0" + b"B" * 40 + b"\xff\xd9"
ENCODED = base64.b64encode(JPEG).decode()


def test_scene_and_plate_come_with_their_recognition_and_not_again_with_its_repeat() -> None:
    driver = camera()
    request = post(body_of(push(imageFile=ENCODED, imageFragmentFile=ENCODED[:20] + "\n" + ENCODED[20:])))
    expected = (
        PlateSeen(PLATE, 96.0, "21085", age_s=0.0),
        PictureSeen(JPEG, "vehicle", "21085"),
        PictureSeen(JPEG, "plate", "21085"),
    )
    assert driver.received(1.0, request).readings == expected
    assert driver.received(2.0, request).readings == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (base64.b64encode(JPEG[:-2]).decode(), ReadTruncated),
        (base64.b64encode(b"GIF89a").decode(), ReadGarbled),
        ("%%%", ReadGarbled),
        (base64.b64encode(JPEG + b"x" * 100 + b"\xff\xd9").decode(), ReadGarbled),
    ],
    ids=["cut off", "no jpeg", "no base64", "too long"],
)
def test_a_picture_that_is_none_is_reported_and_the_plate_told(text: str, told: type) -> None:
    output = camera(most_picture_bytes=100).received(1.0, post(body_of(push(imageFile=text))))
    assert [type(reading) for reading in output.readings] == [PlateSeen, told]
    assert answer_of(output)["info"] == "no"


def test_pictures_nobody_wants_are_left_out() -> None:
    driver = camera(most_picture_bytes=0)
    assert len(driver.received(1.0, post(body_of(push(imageFile=ENCODED)))).readings) == 1


def test_a_picture_that_was_asked_for_is_one_of_the_lane() -> None:
    body = body_of({"TriggerImage": {"imageFile": ENCODED, "imageFileLen": len(JPEG)}})
    assert camera().received(1.0, post(body)).readings == (PictureSeen(JPEG, "lane"),)


# --- storms -----------------------------------------------------------------------------------------------


def test_the_same_garbage_again_is_answered_as_taken_so_that_it_does_not_come_for_ever() -> None:
    memory = Repeats(100)
    told: list[Reading] = []
    answered = []
    for at_s in range(50):
        driver = VzenithDriver(Settings(), memory)
        driver.opened(float(at_s))
        output = driver.received(float(at_s), post(b'{"AlarmInfoPlate":'))
        told += output.readings
        answered += answers(output.send)
    assert [type(reading) for reading in told] == [ReadGarbled]
    assert [status for status, _ in answered] == [400] + [200] * 49
    assert {answer["Response_AlarmInfoPlate"]["content"] for _, answer in answered} == {"retransfer_stop"}
    assert {answer["Response_AlarmInfoPlate"]["info"] for _, answer in answered} == {"no"}


def test_garbage_of_another_kind_is_still_asked_for_again() -> None:
    driver = camera()
    outputs = [driver.received(1.0, post(b"{%d" % number)) for number in range(5)]
    assert [status for output in outputs for status, _ in answers(output.send)] == [400] * 5


def test_a_storm_of_another_cameras_pushes_is_told_once() -> None:
    driver = camera(serial_no="s-2")
    outputs = [driver.received(1.0, post(body_of(push()))) for _ in range(20)]
    assert sum(len(output.readings) for output in outputs) == 1


def test_a_request_that_dribbles_is_cut_off_though_it_is_never_silent() -> None:
    driver = camera(request_timeout_s=5.0, request_longest_s=30.0)
    request = post(body_of(push()))
    wakes = [driver.received(float(at), request[at : at + 1]).wake_at_s for at in range(30)]
    assert wakes[:3] == [5.0, 6.0, 7.0]
    assert wakes[-1] == 30.0
    output = driver.due(30.0)
    assert [type(reading) for reading in output.readings] == [ReadTruncated]
    assert output.hang_up


# --- other pushes -----------------------------------------------------------------------------------------

FORM = (
    b'--------------------------caa7\r\nContent-Disposition: form-data; name="device_name"\r\n\r\nIVS\r\n'
    b'--------------------------caa7\r\nContent-Disposition: form-data; name="serialno"\r\n\r\nd85b-9442\r\n'
    b"--------------------------caa7--\r\n"
)


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(FORM, "Content-Type: multipart/form-data; boundary=------------------------caa7"),
        post(b"device_name=IVS&serialno=d85b-9442&port=80"),
        b"GET /devicemanagement/php/receivedeviceinfo.php?serialno=d85b-9442 HTTP/1.1\r\nHost: lane\r\n\r\n",
        post(body_of({"serialno": "d85b-9442", "ipaddr": "192.0.2.1"})),
        post(
            body_of({"AlarmGioIn": {"result": {"TriggerResult": {"source": 3, "value": 1}}, "serialno": "s"}})
        ),
        post(body_of({"SerialData": {"data": "Y2guY29tFw==", "dataLen": 7, "serialChannel": 0}})),
        post(body_of({"ipaddr": "192.0.2.1", "TriggerImage": {"imageFile": "", "imageFileLen": 0}})),
    ],
    ids=["form", "url-encoded", "address", "json", "input", "serial", "picture"],
)
def test_what_carries_no_plate_is_answered_no_and_proves_the_camera_alive(request_bytes: bytes) -> None:
    output = camera().received(1.0, request_bytes)
    assert (output.readings, output.heard) == ((), True)
    assert answer_of(output)["info"] == "no"


def test_two_requests_at_once_are_two_answers_in_order() -> None:
    output = camera().received(1.0, post(body_of(push())) + post(body_of(push(plateid=2))) + post(FORM))
    assert [r.plate_id for r in output.readings if isinstance(r, PlateSeen)] == ["21085", "2"]
    assert [answer["Response_AlarmInfoPlate"].get("plateid") for _, answer in answers(output.send)] == [
        21085, 2, None,
    ]  # fmt: skip


def test_a_camera_that_asks_before_sending_its_body_is_told_to_go_on() -> None:
    driver = camera()
    request = post(body_of(push()), "Expect: 100-continue")
    head = request[: request.index(b"\r\n\r\n") + 4]
    assert driver.received(1.0, head).send.startswith(b"HTTP/1.1 100")
    assert len(driver.received(1.1, request[len(head) :]).readings) == 1


def test_the_connection_is_closed_where_the_camera_wants_it_so() -> None:
    assert camera().received(1.0, post(body_of(push()), "Connection: close")).hang_up
    old = post(body_of(push())).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    output = camera().received(1.0, old)
    assert (output.hang_up, len(output.readings)) == (True, 1)


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"", b"[]", b"[1,2]", b"null", b'{"a":1}', b"\xff\xfe{}", b'{"AlarmInfoPlate":1}',
        b"[" * 100_000, b"9" * 9000,
        b'{"AlarmInfoPlate":{"result":{"PlateResult":{}}}}', body_of(push())[:-3], body_of(push(license=5)),
        body_of(push(license="A" * 17)), b'{"AlarmGioIn":{"result":{"TriggerResult":{}}}}',
        b'{"SerialData":{"data":"%%%"}}', b'{"SerialData":{"data":"Y2g=","dataLen":9}}',
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_a_body_that_is_none_is_garbled_answered_400_and_the_connection_goes_on(body: bytes) -> None:
    driver = camera()
    output = driver.received(1.0, post(body))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert [status for status, _ in answers(output.send)] == [400]
    assert (output.heard, output.hang_up) == (False, False)
    assert len(driver.received(2.0, post(body_of(push()))).readings) == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /" + b"a" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
    ids=["no http", "tls", "no host", "length", "too long", "long head", "chunk"],
)
def test_what_is_no_http_is_garbled_answered_4xx_and_the_connection_ended(data: bytes, status: int) -> None:
    driver = camera()
    output = driver.received(1.0, data)
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert output.hang_up
    assert output.send.split(b" ")[1] == str(status).encode()
    assert driver.received(2.0, post(body_of(push()))) == Output(hang_up=True)


def test_chunks_beyond_the_limit_are_refused_as_they_come() -> None:
    driver = camera(most_body_bytes=1024)
    driver.received(1.0, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    outputs = [driver.received(1.0, b"100\r\n" + b"a" * 256 + b"\r\n") for _ in range(6)]
    assert [output.hang_up for output in outputs] == [False] * 4 + [True] * 2
    assert b" 413 " in b"".join(output.send for output in outputs)


def test_a_request_cut_off_is_never_a_plate_and_ends_the_connection() -> None:
    request = post(body_of(push()))
    for kept in range(1, len(request)):
        driver = camera(request_timeout_s=5.0)
        half = driver.received(1.0, request[:kept])
        assert (half.readings, half.wake_at_s) == ((), 6.0)
        output = driver.due(6.0)
        assert [type(reading) for reading in output.readings] == [ReadTruncated]
        assert (output.hang_up, output.send[:12]) == (True, b"HTTP/1.1 408")


def test_an_idle_connection_asks_for_nothing() -> None:
    driver = camera()
    assert driver.received(1.0, post(FORM)).wake_at_s is None
    assert driver.due(100.0) == Output()


def test_a_push_of_another_camera_is_refused_where_a_serial_number_is_set() -> None:
    output = camera(serial_no="s-2").received(1.0, post(body_of(push())))
    assert [type(reading) for reading in output.readings] == [ReadGarbled]
    assert [status for status, _ in answers(output.send)] == [403]


def test_opening_again_starts_a_new_connection() -> None:
    driver = camera()
    driver.received(1.0, post(body_of(push()))[:40])
    driver.opened(2.0)
    assert len(driver.received(2.0, post(body_of(push()))).readings) == 1


# --- orders -----------------------------------------------------------------------------------------------


def test_an_order_to_read_goes_with_the_next_answer_and_is_done_then() -> None:
    driver = camera(trigger_timeout_s=3.0)
    assert driver.order(1.0, "t", TriggerRead()) == Output(wake_at_s=4.0)
    output = driver.received(2.0, post(FORM))
    assert output.readings == (OrderDone("t"),)
    assert answer_of(output)["manualTrigger"] == "ok"
    assert "manualTrigger" not in answer_of(driver.received(2.5, post(FORM)))


def test_an_order_nobody_fetches_is_refused_in_its_time() -> None:
    driver = camera(trigger_timeout_s=3.0)
    driver.order(1.0, "t", TriggerRead())
    assert [r.order_id for r in driver.due(4.0).readings if isinstance(r, OrderRefused)] == ["t"]
    assert driver.due(9.0) == Output()


def test_a_newer_order_replaces_one_that_waits_and_a_new_connection_refuses_it() -> None:
    driver = camera()
    driver.order(1.0, "a", TriggerRead())
    replaced = driver.order(1.5, "b", TriggerRead()).readings
    reopened = driver.opened(2.0).readings
    assert [r.order_id for r in replaced + reopened if isinstance(r, OrderRefused)] == ["a", "b"]


def test_the_relay_wired_to_the_camera_is_not_ours_to_switch() -> None:
    output = camera().order(1.0, "open", PulseRelay(0, 0.5))
    assert [type(reading) for reading in output.readings] == [OrderRefused]


@given(
    steps=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([
                post(body_of(push())), post(body_of(push(isoffline=1))), post(FORM), post(b"{"),
                post(body_of(push()))[:70], b"trigger", b"reopen",
            ]),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_no_answer_ever_lets_the_camera_open_its_barrier(steps: list[bytes]) -> None:
    driver = camera()
    sent = b""
    for number, step in enumerate(steps):
        at_s = float(number)
        if step == b"trigger":
            sent += driver.order(at_s, str(number), TriggerRead()).send
        elif step == b"reopen":
            sent += driver.opened(at_s).send
        else:
            sent += driver.received(at_s, step).send + driver.due(at_s).send
    compact = sent.replace(b" ", b"")
    assert b'"info":"ok"' not in compact
    assert b"ivs_ioctrl" not in compact


def test_a_driver_takes_any_bytes() -> None:
    rng = random.Random(3)
    good = [
        post(body_of(push())),
        post(FORM),
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ]
    driver = camera()
    calls = 0
    for number in range(20_000):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        output = driver.received(float(number), bytes(data[: rng.randrange(len(data) + 1)]))
        calls += 1
        if output.hang_up:
            driver.opened(float(number))
    assert calls == 20_000
