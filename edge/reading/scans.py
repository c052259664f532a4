"""One value for every code, wherever it came from: `ScanSeen`. No code is another type (S7). No clock.

Names of symbologies are those of `SYMBOLOGIES`, whatever a decoder, a scanner or a vendor calls them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.devices.readings import CodeSeen, ReadGarbled, ReadTruncated

LONGEST_TEXT: Final = 4096
"""No symbology carries more that anybody here prints; a broadcast may come from any program."""
KEPT_OF_REFUSED: Final = 64
SHORTEST_ITF: Final = 8
"""An interleaved 2 of 5 of fewer digits has no check worth the name: six digits are read out of textures."""

RETAIL: Final = frozenset({"ean13", "ean8", "upca", "upce"})
LINEAR: Final = RETAIL | {"code128", "code39", "code93", "codabar", "itf"}
MATRIX: Final = frozenset({"qrcode", "datamatrix", "pdf417", "aztec"})
"""They correct errors and carry checks of many bits."""
SYMBOLOGIES: Final = LINEAR | MATRIX


class Source(enum.StrEnum):
    CAMERA = "camera"
    SERIAL = "serial"
    WEDGE = "wedge"
    INTENT = "intent"
    TYPED = "typed"


@dataclass(frozen=True, slots=True)
class ScanSeen:
    text: str
    symbology: str
    """Of `SYMBOLOGIES`; empty where the source does not say."""
    source: Source
    at_s: float
    """Monotonic: when the frame was taken, or the last byte or key came."""
    aim: str = ""
    """AIM identifier such as `]C1`, where it is known."""
    raw: bytes = field(default=b"", repr=False)
    """The code's bytes before any character set, where they are known."""


@dataclass(frozen=True, slots=True)
class NotACode:
    """Cut off, garbled, or nothing a code can be. Shown and counted, never looked up."""

    source: Source
    why: str
    at_s: float
    raw: bytes = field(default=b"", repr=False)
    """The beginning of what came."""


_BY_AIM: Final[Mapping[str, str]] = {
    "A": "code39",
    "C": "code128",
    "d": "datamatrix",
    "E": "ean13",
    "F": "codabar",
    "G": "code93",
    "I": "itf",
    "L": "pdf417",
    "Q": "qrcode",
    "z": "aztec",
}
_AIM_OF: Final[Mapping[str, str]] = {
    **{name: f"]{letter}0" for letter, name in _BY_AIM.items()},
    "ean8": "]E4",
    "upca": "]E0",
    "upce": "]E0",
    "qrcode": "]Q1",
    "datamatrix": "]d1",
}
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")

_OTHER_NAMES: Final[Mapping[str, str]] = {
    "2of5": "itf",
    "barcode128": "code128",
    "ean128": "code128",
    "gs1128": "code128",
    "i25": "itf",
    "i2of5": "itf",
    "int25": "itf",
    "interleaved25": "itf",
    "interleaved2of5": "itf",
    "itf14": "itf",
    "qr": "qrcode",
    "dm": "datamatrix",
    "nw7": "codabar",
    "code11pdf417": "pdf417",
    "upce0": "upce",
}
_NOT_NAME: Final = re.compile(r"[^a-z0-9]")


def symbology_of_aim(aim: str) -> str:
    """`]E0` is EAN-13, UPC-A and UPC-E alike and called `ean13` here; empty where the letter is not known."""
    if not _AIM.fullmatch(aim):
        return ""
    return "ean8" if aim == "]E4" else _BY_AIM.get(aim[1], "")


def aim_of(symbology: str) -> str:
    """The plainest identifier of a symbology, for decoders that tell none."""
    return _AIM_OF.get(symbology, "")


def symbology_named(name: str) -> str:
    """A vendor's name such as `LABEL-TYPE-EAN13`, `QR Code` or `Interleaved 2 of 5`; empty where unknown."""
    bare = _NOT_NAME.sub("", name.lower().removeprefix("label-type-"))
    bare = _OTHER_NAMES.get(bare, bare)
    return bare if bare in SYMBOLOGIES else ""


def without_aim(text: str) -> tuple[str, str]:
    """(identifier, text) of a text that may begin with one."""
    found = _AIM.match(text)
    return (found[0], text[3:]) if found else ("", text)


def from_reading(reading: object, at_s: float) -> ScanSeen | NotACode | None:
    """What a serial scan engine's driver reported. None: no read, and nothing that looked like one."""
    match reading:
        case CodeSeen(text, aim):
            return ScanSeen(text, symbology_of_aim(aim), Source.SERIAL, at_s, aim)
        case ReadTruncated(raw):
            return NotACode(Source.SERIAL, f"cut off after {len(raw)} bytes", at_s, raw[:KEPT_OF_REFUSED])
        case ReadGarbled(raw, why):
            return NotACode(Source.SERIAL, why, at_s, raw[:KEPT_OF_REFUSED])
        case _:
            return None


def typed(text: str, at_s: float) -> ScanSeen:
    """What a person entered and confirmed. Spaces around it are the keyboard's."""
    return ScanSeen(text.strip(), "", Source.TYPED, at_s)
