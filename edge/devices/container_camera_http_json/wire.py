"""Container numbers as a JSON push, in a shape of our own <-> values. No HTTP, no port, no clock.

No maker of container cameras publishes the messages its cameras send; this is what an integrator's few lines
must turn them into. One object `container`:
  id          1-64 of A-Z a-z 0-9 . _ : -   the camera's number of this recognition; repeats mean re-sends
  number      `CSQU3054383`, or null where a container was seen and could not be read
  place       `front` or `back`; may be left out
  confidence  0 to 100; may be left out
  iso_type    size and type code such as `45G1`; may be left out
  age_s       seconds since it was seen, by the sender's own clock: what was stored and sent late says so
  pictures    list of at most 4 JPEG, base64; may be left out
or an object `heartbeat` with anything in it. Other keys beside these are refused.

What the line is worth: JSON carries no check, the number carries its own: the check digit is looked at where
container numbers are understood, not here. The shape, four letters and seven digits, is.

Source: `docs/devices/container_camera_http_json.md`, the shape's own page.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from edge.devices.readings import ReadGarbled

MOST_PICTURES = 4
KEPT_BYTES = 256
"""So much of a body that is refused is kept for the report."""

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[A-Z]{4}[0-9]{7}", re.ASCII)
_ISO_TYPE = re.compile(r"[0-9A-Z]{4}", re.ASCII)
_KEYS = frozenset({"id", "number", "place", "confidence", "iso_type", "age_s", "pictures"})


@dataclass(frozen=True, slots=True)
class Recognition:
    identity: str
    number: str | None
    """None: a container without a readable number."""
    place: Literal["front", "back", ""]
    confidence: float | None
    iso_type: str
    age_s: float
    pictures: tuple[bytes, ...] = field(repr=False, default=())
    """As they came: whether they are whole is not looked at here."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    pass


Message = Recognition | Heartbeat


def encode_answer(*, accepted: bool, why: str = "") -> bytes:
    """The body of our answer."""
    return msgspec.json.encode({"accepted": accepted} | ({"why": why} if why else {}))


def decode(body: bytes) -> Message | ReadGarbled:
    """Never raises."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return ReadGarbled(body[:KEPT_BYTES], f"not JSON: {error}")
    message = _message(found)
    return message if not isinstance(message, str) else ReadGarbled(body[:KEPT_BYTES], message)


def _message(found: object) -> Message | str:
    """The message, or why it is none."""
    match found:
        case {"heartbeat": dict(), **rest} if not rest:
            return Heartbeat()
        case {"container": dict() as container, **rest} if not rest:
            return _recognition(container)
    return "expected one object `container` or `heartbeat`"


def _recognition(seen: dict[str, object]) -> Recognition | str:
    unknown = sorted(str(key)[:40] for key in seen.keys() - _KEYS)
    if unknown:
        return f"unknown keys: {', '.join(unknown[:8])}"
    identity, number, place = seen.get("id"), seen.get("number"), seen.get("place", "")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        return "id: expected 1 to 64 letters, digits or . _ : -"
    if "number" not in seen or not (
        number is None or (isinstance(number, str) and _NUMBER.fullmatch(number))
    ):
        return "number: expected four letters and seven digits, or null"
    iso_type = seen.get("iso_type", "")
    if not isinstance(iso_type, str) or (iso_type and not _ISO_TYPE.fullmatch(iso_type)):
        return "iso_type: expected four letters or digits"
    confidence, age_s = seen.get("confidence"), _number(seen.get("age_s"))
    if age_s is None or age_s < 0:
        return "age_s: expected seconds, 0 or more"
    sure = _number(confidence)
    if confidence is not None and (sure is None or not 0 <= sure <= 100):
        return "confidence: expected 0 to 100"
    pictures = _pictures(seen.get("pictures", []))
    if isinstance(pictures, str):
        return pictures
    text = number if isinstance(number, str) else None
    match place:
        case "front" | "back" | "":
            return Recognition(identity, text, place, sure, iso_type, age_s, pictures)
        case _:
            return "place: expected front or back"


def _pictures(found: object) -> tuple[bytes, ...] | str:
    if not isinstance(found, list) or len(found) > MOST_PICTURES:
        return f"pictures: expected a list of at most {MOST_PICTURES}"
    pictures = []
    for each in found:
        if not isinstance(each, str):
            return "pictures: expected base64"
        try:
            pictures.append(base64.b64decode(each, validate=True))
        except (binascii.Error, ValueError):
            return "pictures: expected base64"
    return tuple(pictures)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        # a fraction out of range is refused with the whole JSON; a whole number has no such limit
        return float(value)
    except OverflowError:
        return None
