"""Messages of a Dahua camera's snapshot subscription (`snapManager.cgi?action=attachFileProc`) <-> values. No
HTTP, no port, no clock.

Text of lines `Events[0].TrafficCar.PlateNumber=...`, one message possibly with several events, followed by
the pictures as parts of their own; between them the word `Heartbeat`. Of an event: EventBaseInfo.Code (or
Code) and Action (Start, Pulse, Stop), TrafficCar{PlateNumber, PlateColor, PlateType, DrivingDirection[0],
Lane}, Object{ObjectType, Text, Confidence}, GroupID and IndexInGroup (several pictures of one vehicle), UTC
and UTCMS. A plate that could not be read is empty, `Unknown` or `No Plate`. Text is UTF-8; some firmware
sends GB 18030.

Confidence is 0-255 in one of the maker's documents and 0-100 in another; 0 in the captures: it is shown by
`kakou frames` and goes no further.

What the line is worth: the text carries no check. A last line without its end is left out, since it may be
cut; lines that are no `key=value`, and a key that says two things, make the whole message none. A character
changed inside a value is not seen.

Source: Dahua HTTP API 4.4.3, 10.1.1 as public integrations cite it; a capture in a public Go client's test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge.devices import chinese_text
from edge.devices.readings import ReadGarbled

MOST_TEXT_BYTES = 256 * 1024
MOST_EVENTS = 16
MOST_LICENSE_CHARACTERS = 16
KEPT_BYTES = 256
"""So much of a body that is refused is kept for the report."""

NO_PLATE = frozenset({"", "unknown", "<unknown>", "no plate", "noplate", "unlicensed", "无牌", "无车牌"})


@dataclass(frozen=True, slots=True)
class Recognition:
    license: str | None
    """None: a vehicle without a readable plate."""
    event: str
    """Such as `TrafficJunction`."""
    action: str
    plate_colour: str | None
    plate_type: str | None
    driving_direction: str | None
    """`Approach` or `Leave`; events that are no snapshots of traffic may not say."""
    lane: int | None
    confidence: int | None
    """As sent; what its scale is, is not known."""
    at_s: float | None
    """Seconds since 1970 by the camera's clock."""
    group: str
    """The camera's number of the vehicle: several pictures of it share one."""
    index_in_group: int | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    pass


@dataclass(frozen=True, slots=True)
class Other:
    """An event that carries no plate, or the end of one. The camera is alive."""

    event: str


Message = Recognition | Heartbeat | Other

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9_.\[\]-]{0,159})=(.*)", re.ASCII)
_EVENT_KEY = re.compile(r"Events\[([0-9]{1,3})\]\.(.+)", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


def subscription(*, channel: int, heartbeat_s: int, events: tuple[str, ...]) -> str:
    """Path and query of the request, with the brackets unescaped as the maker's documents write it."""
    listed = ",".join(events)
    return (
        "/cgi-bin/snapManager.cgi?action=attachFileProc"
        f"&channel={channel}&heartbeat={heartbeat_s}&Flags[0]=Event&Events=[{listed}]"
    )


def decode(body: bytes) -> list[Message] | ReadGarbled:
    """The events of one text part, in order. Never raises."""
    if len(body) > MOST_TEXT_BYTES:
        return ReadGarbled(body[:KEPT_BYTES], f"a text of {len(body)} bytes")
    if body.strip(b"\0 \t\r\n") == b"Heartbeat":
        return [Heartbeat()]
    # the last line has no end: it may be cut, within a character even
    lines = body.strip(b"\0").rpartition(b"\n")[0]
    try:
        text = chinese_text.decode(lines)
    except UnicodeDecodeError as error:
        return ReadGarbled(body[:KEPT_BYTES], f"neither UTF-8 nor GB 18030: {error.reason}")
    events = _events(text)
    if isinstance(events, str):
        return ReadGarbled(body[:KEPT_BYTES], events)
    messages: list[Message] = []
    for fields in events:
        message = _message(fields)
        if isinstance(message, str):
            return ReadGarbled(body[:KEPT_BYTES], message)
        messages.append(message)
    return messages


def _events(text: str) -> list[dict[str, str]] | str:
    """The fields of each event by their keys without `Events[n].`; or why there are none."""
    found: dict[int, dict[str, str]] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        if _CONTROL.search(line):
            return "control characters in a line"
        match = _LINE.fullmatch(line.strip())
        if match is None:
            return f"a line that is no key=value: {line[:40]!r}"
        key, value = match[1], match[2].strip()
        event = _EVENT_KEY.fullmatch(key)
        if event is None:
            return f"a key that is no event's: {key[:40]}"
        number = int(event[1])
        if number >= MOST_EVENTS:
            return f"event number {number}"
        if found.setdefault(number, {}).setdefault(event[2], value) != value:
            return f"{key[:60]} twice, saying different things"
    if not found:
        return "no event in it"
    return [found[number] for number in sorted(found)]


def _message(fields: Mapping[str, str]) -> Message | str:
    event = fields.get("EventBaseInfo.Code") or fields.get("Code") or fields.get("TrafficCar.Event") or ""
    action = fields.get("EventBaseInfo.Action") or fields.get("Action") or ""
    plate = fields.get("TrafficCar.PlateNumber")
    if plate is None and fields.get("Object.ObjectType") == "Plate":
        plate = fields.get("Object.Text")
    if not event:
        return "an event without its code"
    if plate is None or action == "Stop":
        return Other(event[:64])
    if len(plate) > MOST_LICENSE_CHARACTERS or not plate.isprintable():
        return f"a plate of {len(plate)} characters, or with some that cannot be printed"
    seconds, milli = _whole(fields.get("UTC")), _whole(fields.get("UTCMS"))
    return Recognition(
        license=None if plate.lower() in NO_PLATE else plate,
        event=event[:64],
        action=action[:32],
        plate_colour=_known(fields.get("TrafficCar.PlateColor")),
        plate_type=_known(fields.get("TrafficCar.PlateType")),
        driving_direction=_known(fields.get("TrafficCar.DrivingDirection[0]")),
        lane=_whole(fields.get("TrafficCar.Lane") or fields.get("Lane")),
        confidence=_whole(fields.get("Object.Confidence")),
        at_s=None if seconds is None else seconds + (milli or 0) / 1e3,
        group=(fields.get("GroupID") or fields.get("TrafficCar.GroupID") or "")[:64],
        index_in_group=_whole(fields.get("IndexInGroup") or fields.get("TrafficCar.IndexInGroup")),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def _known(text: str | None) -> str | None:
    return None if text is None or text.lower() in ("", "unknown") else text[:64]
