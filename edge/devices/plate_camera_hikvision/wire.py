"""Event messages of a Hikvision camera (ISAPI `EventNotificationAlert`) <-> values. No HTTP, no port, no
clock.

XML, UTF-8 or GB 18030 whatever its prolog says: eventType `ANPR`, eventState, dateTime, channelID,
macAddress, UUID, isDataRetransmission (stored while the line was cut and sent late) and ANPR{licensePlate,
line, direction, confidenceLevel, plateType, plateColor, vehicleType, originalLicensePlate ...}. Firmware
differs: the namespace is std-cgi.com ver10, hikvision.com ver20, isapi.org ver20 or none, with or without a
prefix (a recorder that forwards adds one); confidenceLevel may be 92.5; the plate's element was once `plate`
or `plateNumber`; some text has a bare `&`. `unknown` is a vehicle whose plate could not be read. Everything
else that comes this way (motion, videoloss inactive as a heartbeat every 10 s) says only that the camera is
alive.

Document types and entities are refused, whatever they say: no camera sends any.

What the line is worth: XML carries no check. A message cut off is never well formed and is refused; a
character changed inside a text is not seen.

Source: Hikvision Device Network SDK (Traffic) Developer Guide, XML_EventNotificationAlert_ANPR (public copy);
firmware shapes as collected in a public driver's tests; alertStream captures in public issue threads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from edge.devices import chinese_text
from edge.devices.readings import ReadGarbled

MOST_XML_BYTES = 256 * 1024
MOST_LICENSE_CHARACTERS = 16
KEPT_BYTES = 256
"""So much of a body that is refused is kept for the report."""

NO_PLATE = frozenset({"", "unknown", "noplate", "no plate", "无车牌", "无牌车", "未识别"})
PLATE_ELEMENTS = ("licensePlate", "plateNumber", "plate", "originalLicensePlate")


@dataclass(frozen=True, slots=True)
class Recognition:
    license: str | None
    """None: a vehicle without a readable plate."""
    confidence: float | None
    direction: str | None
    lane: int | None
    plate_type: str | None
    plate_colour: str | None
    vehicle_type: str | None
    offline: bool
    at: str
    """By the camera's clock, as it writes it; empty where it does not say."""
    uuid: str
    channel: str
    mac: str


@dataclass(frozen=True, slots=True)
class Other:
    """An event without a plate: a heartbeat, motion, a JSON event. The camera is alive."""

    event: str
    state: str


Message = Recognition | Other

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,200}\?>")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_JSON_EVENT = re.compile(rb'"eventType"\s*:\s*"([A-Za-z0-9_ -]{1,64})"')
_CONFIDENCE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?", re.ASCII)


def decode(body: bytes) -> Message | ReadGarbled:
    """One event, XML or JSON. Never raises."""
    begin = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if begin == b"{":
        event = _JSON_EVENT.search(body[:MOST_XML_BYTES])
        if event is not None and body.rstrip(b"\0 \t\r\n").endswith(b"}"):
            return Other(event[1].decode("ascii"), "")
        return ReadGarbled(body[:KEPT_BYTES], "JSON without an eventType")
    return _xml(body)


def _xml(body: bytes) -> Message | ReadGarbled:
    if len(body) > MOST_XML_BYTES:
        return ReadGarbled(body[:KEPT_BYTES], f"XML of {len(body)} bytes")
    try:
        text = _text(body)
        root = ElementTree.fromstring(_BARE_AMPERSAND.sub("&amp;", text), forbid_dtd=True)
    except DefusedXmlException as refused:
        return ReadGarbled(
            body[:KEPT_BYTES], f"XML with a document type or entities: {type(refused).__name__}"
        )
    except (ElementTree.ParseError, ValueError) as error:
        return ReadGarbled(body[:KEPT_BYTES], f"not XML: {error}")
    message = _message(root)
    return message if not isinstance(message, str) else ReadGarbled(body[:KEPT_BYTES], message)


def _text(body: bytes) -> str:
    """Without its prolog, which may lie about the encoding."""
    return _DECLARATION.sub("", chinese_text.decode(body.strip(b"\0 \t\r\n")))


def _message(root: Element) -> Message | str:
    """The message, or why it is none."""
    if _local(root) != "EventNotificationAlert":
        return f"XML of another kind: {_local(root)[:40]}"
    fields = _children(root)
    if fields is None:
        return "one element twice, saying different things"
    event, state = _said(fields, "eventType"), _said(fields, "eventState")
    if not event:
        return "an event without eventType"
    if event.upper() != "ANPR" or state.lower() == "inactive":
        return Other(event[:64], state[:64])
    found = [child for child in root if _local(child) == "ANPR"]
    if len(found) != 1:
        return f"an ANPR event with {len(found)} ANPR elements"
    return _recognition(fields, found[0])


def _recognition(fields: dict[str, str], anpr: Element) -> Recognition | str:
    plate = _children(anpr)
    if plate is None:
        return "one element twice, saying different things"
    license_text = next((plate[name] for name in PLATE_ELEMENTS if name in plate), None)
    if license_text is None:
        return "ANPR without licensePlate"
    if len(license_text) > MOST_LICENSE_CHARACTERS or not license_text.isprintable():
        return f"a licensePlate of {len(license_text)} characters, or with some that cannot be printed"
    confidence = plate.get("confidenceLevel", "")
    number = float(confidence) if _CONFIDENCE.fullmatch(confidence) else None
    lane = plate.get("line", "")
    return Recognition(
        license=None if license_text.lower() in NO_PLATE else license_text,
        confidence=number if number is not None and number <= 100 else None,
        direction=_known(plate, "direction"),
        lane=int(lane) if re.fullmatch("[0-9]{1,3}", lane, re.ASCII) else None,
        plate_type=_known(plate, "plateType"),
        plate_colour=_known(plate, "plateColor"),
        vehicle_type=_known(plate, "vehicleType"),
        offline=_said(fields, "isDataRetransmission").lower() in ("true", "1"),
        at=_said(fields, "dateTime")[:40],
        uuid=_said(fields, "UUID")[:64],
        channel=(_said(fields, "channelID") or _said(fields, "dynChannelID"))[:16],
        mac=_said(fields, "macAddress")[:32],
    )


def _local(element: Element) -> str:
    """The name without namespace."""
    return str(element.tag).rpartition("}")[2]


def _children(element: Element) -> dict[str, str] | None:
    """Texts of the direct children by local name; None where one is there twice and says two things."""
    found: dict[str, str] = {}
    for child in element:
        if len(child):
            continue
        text = (child.text or "").strip()
        if found.setdefault(_local(child), text) != text:
            return None
    return found


def _said(fields: dict[str, str], name: str) -> str:
    return fields.get(name, "")


def _known(fields: dict[str, str], name: str) -> str | None:
    text = fields.get(name, "")[:64]
    return None if text.lower() in ("", "unknown") else text
