"""Bodies of a Vzenith (臻识) camera's HTTP push <-> messages. No HTTP, no port, no clock, no barrier.

JSON, one object with one of: `AlarmInfoPlate` (a recognition: result.PlateResult with license, confidence
1-100, colorType, type, direction, triggerType, plateid, isoffline, is_fake_plate, timeStamp.Timeval{sec,
usec}, imageFile of the scene and imageFragmentFile of the plate in base64; serialno), `AlarmGioIn` (an input
changed; source 0-3 are inputs 1-4, 4 a TCP trigger), `SerialData` (base64 of its RS485), `TriggerImage` (a
picture asked for, in base64), and our answer `Response_AlarmInfoPlate`. The
ordinary heartbeat is no JSON but a form (device_name, ipaddr, port, serialno, channel_num). `license` is
`_无_` where the camera saw a vehicle and could not read it. Text is UTF-8; some firmware sends GB 18030.

An answer with `"info": "ok"` makes the camera switch the relay wired to it: we never send it, the barrier
is ours to order. `"content": "retransfer_stop"` keeps clones from sending the same recognition for ever.
`plateid` and ContinuePushOffline{plateid, continue} acknowledge: up to 9,000 stored recognitions are sent
again.

What the line is worth: HTTP and JSON carry no check beyond TCP's; a body cut off is refused, a character
changed inside one is not seen.

Source: 臻识 HTTP push document (public copy); Alphadigi's answer as found in a public driver.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from edge.devices import chinese_text
from edge.devices.readings import ReadGarbled

NO_PLATE = ("_无_", "", "无")
MOST_LICENSE_CHARACTERS = 16
KEPT_BYTES = 256
"""So much of a body that is refused is kept for the report."""

PLATE_COLOURS = {0: "unknown", 1: "blue", 2: "yellow", 3: "white", 4: "black", 5: "green", 6: "yellow-green"}


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as it was sent; whether it is a whole one is not looked at here."""

    shows: Literal["vehicle", "plate"]
    base64_text: str = field(repr=False)

    def content(self) -> bytes | None:
        """None where it is no base64."""
        return _base64(self.base64_text)


@dataclass(frozen=True, slots=True)
class Recognition:
    license: str | None
    """None: a vehicle without a readable plate."""
    confidence: float | None
    plate_type: int | None
    colour: str | None
    direction: int | None
    trigger: int | None
    plate_id: int | None
    offline: bool
    fake: bool
    at_s: float | None
    """Seconds since 1970 by the camera's clock."""
    serial_no: str
    shots: tuple[Shot, ...] = ()


@dataclass(frozen=True, slots=True)
class InputChanged:
    source: int
    value: int
    serial_no: str


@dataclass(frozen=True, slots=True)
class SerialReceived:
    data: bytes
    channel: int
    serial_no: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture we asked for; None where it is no base64."""

    content: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    serial_no: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers; decoded for looking at a line."""

    info: str | None
    continue_plate_id: int | None = None
    continues: bool | None = None
    io: int | None = None
    io_value: int | None = None
    io_delay_ms: int | None = None
    trigger: bool = False


Message = Recognition | InputChanged | SerialReceived | Picture | Heartbeat | Answer


def encode_answer(
    *, plate_id: int | None = None, offline: bool = False, more_offline: bool = True, trigger: bool = False
) -> bytes:
    """The body of our answer. There is no way to ask for `"info": "ok"`."""
    body: dict[str, object] = {"info": "no", "content": "retransfer_stop", "is_pay": "false"}
    if plate_id is not None:
        body["plateid"] = plate_id
        if offline:
            body["ContinuePushOffline"] = {"plateid": plate_id, "continue": int(more_offline)}
    if trigger:
        body["manualTrigger"] = "ok"
    return msgspec.json.encode({"Response_AlarmInfoPlate": body})


def decode_json(body: bytes) -> Message | ReadGarbled:
    """A JSON body. Never raises."""
    try:
        found = msgspec.json.decode(chinese_text.decode(body.strip(b"\0 \t\r\n")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return ReadGarbled(body[:KEPT_BYTES], f"not JSON: {error}")
    if not isinstance(found, dict):
        return ReadGarbled(body[:KEPT_BYTES], "JSON, but no object")
    message = _message(found)
    return message if not isinstance(message, str) else ReadGarbled(body[:KEPT_BYTES], message)


_FORM_FIELD = re.compile(rb'name="\s*(device_name|serialno)\s*"')
_FORM_SERIAL = re.compile(rb'name="\s*serialno\s*"(?:\r?\n\r?\n)?([0-9A-Za-z-]{1,64}?)(?=\r?\n|--------)')
_QUERY_SERIAL = re.compile(rb"(?:^|[?&])serialno=([0-9A-Za-z-]{1,64})(?:&|$)")


def decode_form(body: bytes) -> Heartbeat | None:
    """A heartbeat's form, multipart or url-encoded; None where it is none."""
    query = _QUERY_SERIAL.search(body)
    if query:
        return Heartbeat(query[1].decode())
    if not _FORM_FIELD.search(body):
        return None
    serial = _FORM_SERIAL.search(body)
    return Heartbeat(serial[1].decode() if serial else "")


def decode_request(target: bytes, body: bytes) -> Message | ReadGarbled:
    """What an HTTP request says, by its body or, without one, by its address. Never raises."""
    if body.lstrip(b"\0 \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"["):
        return decode_json(body)
    heartbeat = decode_form(body) or decode_form(target)
    return heartbeat or ReadGarbled(body[:KEPT_BYTES], "neither JSON nor a heartbeat's form")


def _message(found: dict[str, Any]) -> Message | str:
    """The message, or why it is none."""
    match found:
        case {"AlarmInfoPlate": {"result": {"PlateResult": dict() as plate}} as alarm}:
            return _recognition(alarm, plate)
        case {"AlarmInfoPlate": _}:
            return "AlarmInfoPlate without result.PlateResult"
        case {"AlarmGioIn": {"result": {"TriggerResult": dict() as trigger}} as alarm}:
            source, value = _whole(trigger.get("source")), _whole(trigger.get("value"))
            if source is None or value is None:
                return "TriggerResult without source and value"
            return InputChanged(source, value, _text(alarm.get("serialno")))
        case {"SerialData": {"data": str() as data} as serial}:
            try:
                content = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError):
                return "SerialData is not base64"
            announced = _whole(serial.get("dataLen"))
            if announced is not None and announced != len(content):
                return f"SerialData of {announced} bytes announced, {len(content)} sent"
            return SerialReceived(
                content, _whole(serial.get("serialChannel")) or 0, _text(serial.get("serialno"))
            )
        case {"TriggerImage": {"imageFile": str() as picture}}:
            return Picture(_base64(picture))
        case {"Response_AlarmInfoPlate": dict() as answer}:
            return _answer(answer)
        case {"heartbeat": _} | {"Heartbeat": _}:
            return Heartbeat(_text(found.get("serialno")))
        case {"serialno": str() as serial_no, "device_name": _} | {
            "serialno": str() as serial_no,
            "ipaddr": _,
        }:
            return Heartbeat(serial_no[:64])
    return f"JSON of an unknown kind: {', '.join(sorted(str(key)[:40] for key in found)[:8]) or 'empty'}"


def _recognition(alarm: dict[str, Any], plate: dict[str, Any]) -> Recognition | str:
    license_text = plate.get("license")
    if not isinstance(license_text, str):
        return "PlateResult without license"
    license_text = license_text.strip()
    if len(license_text) > MOST_LICENSE_CHARACTERS or not license_text.isprintable():
        return f"a license of {len(license_text)} characters, or with some that cannot be printed"
    confidence = _number(plate.get("confidence"))
    time = plate.get("timeStamp")
    interval = time.get("Timeval") if isinstance(time, dict) else None
    seconds = _whole(interval.get("sec")) if isinstance(interval, dict) else None
    micro = _whole(interval.get("usec")) if isinstance(interval, dict) else None
    colour = _whole(plate.get("colorType"))
    return Recognition(
        license=None if license_text in NO_PLATE else license_text,
        confidence=confidence if confidence is not None and 0 <= confidence <= 100 else None,
        plate_type=_whole(plate.get("type")),
        colour=None if colour is None else PLATE_COLOURS.get(colour, "unknown"),
        direction=_whole(plate.get("direction")),
        trigger=_whole(plate.get("triggerType")),
        plate_id=_whole(plate.get("plateid")),
        offline=bool(_whole(plate.get("isoffline"))),
        fake=bool(_whole(plate.get("is_fake_plate"))),
        at_s=None if seconds is None else seconds + (micro or 0) / 1e6,
        serial_no=_text(alarm.get("serialno")),
        shots=_shots(plate),
    )


def _shots(plate: dict[str, Any]) -> tuple[Shot, ...]:
    """Those that are there; the lengths sent beside them are not looked at: firmware counts differently."""
    scene, fragment = plate.get("imageFile"), plate.get("imageFragmentFile")
    shots = []
    if isinstance(scene, str) and scene:
        shots.append(Shot("vehicle", scene))
    if isinstance(fragment, str) and fragment:
        shots.append(Shot("plate", fragment))
    return tuple(shots)


def _base64(text: str) -> bytes | None:
    try:
        # wrapped lines occur
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _answer(answer: dict[str, Any]) -> Answer:
    offline = answer.get("ContinuePushOffline")
    relay = answer.get("ivs_ioctrl")
    offline = offline if isinstance(offline, dict) else {}
    relay = relay if isinstance(relay, dict) else {}
    info = answer.get("info")
    goes_on = _whole(offline.get("continue"))
    return Answer(
        info=info if isinstance(info, str) else None,
        continue_plate_id=_whole(offline.get("plateid")),
        continues=None if goes_on is None else bool(goes_on),
        io=_whole(relay.get("io")),
        io_value=_whole(relay.get("value")),
        io_delay_ms=_whole(relay.get("delay")),
        trigger=answer.get("manualTrigger") == "ok",
    )


def _whole(value: object) -> int | None:
    """A whole number of at most 64 bits, also where firmware writes it as text."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        return None
    return value


def _number(value: object) -> float | None:
    if isinstance(value, float):
        return value
    whole = _whole(value)
    return None if whole is None else float(whole)


def _text(value: object) -> str:
    return value[:64] if isinstance(value, str) else ""
