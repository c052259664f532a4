"""XML of the customs platform <-> GATHER_INFO and COMMAND_INFO. No frame, no port, no clock, no ruling.

Both have the attributes AREA_ID, CHNL_NO, I_E_TYPE, SEQ_NO (20 digits, `yyyymmddHHMMSS` and six more).
COMMAND_INFO answers a gather with CHECK_RESULT (20 digits; the first `0` release, `1` refuse; the second
`0` raise, `1` do not, `2` lower; what the others mean is not public) and OP_HINT or LED/DISPLAY for the
driver, or it orders a device with EXCUTE_COMMAND (so spelt), OP_TYPE, OP_REASON, OP_ID.

Text is decoded as declared, else as GB 18030: one source declares GB2312, another UTF-8 and sends GB2312. A
NUL counted into the length, CR and LF at the end are taken off. DTD, entities, depth, size and number of
elements are refused or bounded.

One public generator of gathers leaves out the blank before CHNL_TYPE, which is no XML. `read` with `mend`
puts a blank between a quote and one of the five attribute names of the root, and there only, and says so
(`mended`). What comes down from the platform is never mended: it opens arms.

Unproven, for want of any public description: the answer to a device order (32), taken to be COMMAND_INFO with
OP_ID, EXECUTE_RESULT (`0` done, `1` not done) and ESEAL_USE_COUNT; and that slip numbers belong in BAR_CODE.

Source: main.cpp of a public channel test (gather), MSG_Center.cpp and CJZPlatformProxy.cpp (command, device
order), a second vendor's public Java (LED/DISPLAY, encoding).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from edge.devices.readings import Gather

GATHER_INFO: Final = "GATHER_INFO"
COMMAND_INFO: Final = "COMMAND_INFO"

MOST_BYTES: Final = 65_536
MOST_ELEMENTS: Final = 512
MOST_DEPTH: Final = 6
MOST_TEXT: Final = 4_096

DONE: Final = "0"
NOT_DONE: Final = "1"


class Unreadable(ValueError):
    """Not a document of this protocol; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class Document:
    root: str
    area_id: str
    channel_no: str
    direction: str
    seq_no: str
    """20 digits; empty where a device order names no passage."""
    fields: Mapping[str, str]
    """Leaf elements by path below the root (`GPS/VE_NAME`); a repeated one is `SEAL/ESEAL_ID[2]`."""
    encoding: str
    mended: bool = False


def read(data: bytes, *, mend: bool = False) -> Document:
    """Raises `Unreadable`."""
    if len(data) > MOST_BYTES:
        raise Unreadable(f"XML of {len(data)} bytes, expected at most {MOST_BYTES}")
    first: Unreadable | None = None
    for encoding, text in _ways_to_read(data.rstrip(b"\0\r\n")):
        try:
            return _document(text, encoding, mended=False)
        except Unreadable as error:
            first = first or error
        mended = _mended(text) if mend else text
        if mended != text:
            try:
                return _document(mended, encoding, mended=True)
            except Unreadable:
                continue
    raise first or Unreadable("text that is neither what it declares nor GB 18030")


def gather_xml(gather: Gather, area_id: str, channel_no: str, direction: str, *, plate: str) -> bytes:
    """A gather as GATHER_INFO, GB 18030 under a prolog of GB2312 as everybody sends it. `plate` is the plate
    as the platform wants it. Raises `Unreadable` where a text cannot stand in XML or is too long."""
    containers = [number for number in (gather.container_front, gather.container_back) if number]
    gross = "0" if gather.gross_kg is None else _plain(gather.gross_kg)
    blocks: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
        ("IC", (
            ("DR_IC_NO", gather.card_no), ("IC_DR_CUSTOMS_NO", ""), ("IC_CO_CUSTOMS_NO", ""),
            ("IC_BILL_NO", ""), ("IC_GROSS_WT", ""), ("IC_VE_CUSTOMS_NO", ""), ("IC_VE_NAME", ""),
            ("IC_CONTA_ID", ""), ("IC_ESEAL_ID", ""),
        )),
        ("WEIGHT", (("GROSS_WT", gross),)),
        ("CAR", (
            ("VE_NAME", plate), ("CAR_EC_NO", gather.epc), ("CAR_EC_NO2", ""), ("VE_CUSTOMS_NO", ""),
            ("VE_WT", ""),
        )),
        ("TRAILER", (("TR_EC_NO", ""), ("TR_NAME", gather.trailer_plate), ("TR_WT", ""))),
        ("CONTA", (
            ("CONTA_NUM", str(len(containers))), ("CONTA_RECO", "1" if containers else "0"),
            ("CONTA_ID_F", gather.container_front), ("CONTA_ID_B", gather.container_back),
        )),
        ("SEAL", (("ESEAL_ID", ""), ("SEAL_KEY", ""))),
    )  # fmt: skip
    inner = "".join(f"<{name}>{_elements(children)}</{name}>" for name, children in blocks)
    inner += _elements((("BAR_CODE", ",".join(gather.slip_nos)),))
    return _wrapped(GATHER_INFO, area_id, channel_no, direction, gather.seq_no, inner)


def command_xml(
    area_id: str, channel_no: str, direction: str, seq_no: str, fields: Mapping[str, str]
) -> bytes:
    """COMMAND_INFO with these leaves: none for pictures. Raises `Unreadable`."""
    inner = _elements(tuple(fields.items()))
    return _wrapped(COMMAND_INFO, area_id, channel_no, direction, seq_no, inner)


def device_answer_fields(order_no: str, *, done: bool) -> Mapping[str, str]:
    return {"OP_ID": order_no, "EXECUTE_RESULT": DONE if done else NOT_DONE, "ESEAL_USE_COUNT": "0"}


# --- bytes -> text ----------------------------------------------------------------------------------------

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_KNOWN_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "gb18030": "gb18030",
}


def _ways_to_read(data: bytes) -> Iterator[tuple[str, str]]:
    if data.startswith(b"\xef\xbb\xbf"):
        data, declared = data[3:], "utf-8"
    else:
        found = _DECLARATION.match(data)
        declared = _KNOWN_ENCODINGS.get(found[1].decode().lower() if found else "utf-8", "gb18030")
    for encoding in dict.fromkeys((declared, "gb18030")):
        try:
            yield encoding, data.decode(encoding)
        except UnicodeDecodeError:
            continue


_ROOT_TAG = re.compile(r"\s*(?:<\?xml[^>]{0,100}\?>\s*)?<GATHER_INFO\s[^<>]{0,400}>")
_MISSING_BLANK = re.compile(r"""(?<=["'])(?=(?:AREA_ID|CHNL_NO|I_E_TYPE|SEQ_NO|CHNL_TYPE)=)""")


def _mended(text: str) -> str:
    """With the blanks a gather's root lacks between its attributes."""
    tag = _ROOT_TAG.match(text)
    if tag is None:
        return text
    return _MISSING_BLANK.sub(" ", tag[0]) + text[tag.end() :]


# --- text -> document -------------------------------------------------------------------------------------

_IDENTIFIER = re.compile(r"[0-9A-Za-z]{10}")
_SEQ_NO = re.compile(r"[0-9]{20}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


class _Leaves:
    """Parser target: the root's attributes and the leaves below it by path, bounded."""

    def __init__(self) -> None:
        self.root = ""
        self.attributes: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self._open: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._is_leaf = False
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if not _NAME.fullmatch(tag):
            raise Unreadable(f"an element named {tag[:40]!r}, expected letters, digits and _")
        if self._elements > MOST_ELEMENTS or len(self._open) >= MOST_DEPTH:
            raise Unreadable(f"expected at most {MOST_ELEMENTS} elements, at most {MOST_DEPTH} deep")
        if not self.root:
            self.root, self.attributes = tag, attributes
        self._open.append(tag)
        self._text.clear()
        self._length = 0
        self._is_leaf = True

    def data(self, text: str) -> None:
        self._length += len(text)
        if self._length > MOST_TEXT:
            raise Unreadable(f"{'/'.join(self._open[1:])}: expected at most {MOST_TEXT} characters")
        self._text.append(text)

    def end(self, _tag: str) -> None:
        path = "/".join(self._open[1:])
        self._open.pop()
        if self._is_leaf and path:
            self._keep(path, "".join(self._text).strip())
        self._is_leaf = False

    def close(self) -> None:
        return None

    def _keep(self, path: str, text: str) -> None:
        if path not in self.fields:
            self.fields[path] = text
            return
        if "/" not in path:
            raise Unreadable(f"{path}: expected one element, got several")
        number = 2
        while f"{path}[{number}]" in self.fields:
            number += 1
        self.fields[f"{path}[{number}]"] = text


def _document(text: str, encoding: str, *, mended: bool) -> Document:
    leaves = _Leaves()
    parser = DefusedXMLParser(target=leaves, forbid_dtd=True)
    try:
        parser.feed(text)
        parser.close()
    except Unreadable:
        raise
    except DefusedXmlException as error:
        raise Unreadable(
            f"expected plain XML without DTD or entities, found {type(error).__name__}"
        ) from error
    except (ParseError, ValueError) as error:
        raise Unreadable(f"expected well-formed XML: {error}") from error
    if leaves.root not in (GATHER_INFO, COMMAND_INFO):
        raise Unreadable(f"expected GATHER_INFO or COMMAND_INFO, got {leaves.root[:40]!r}")
    return Document(
        root=leaves.root,
        area_id=_attribute(leaves, "AREA_ID", _IDENTIFIER, "10 letters and digits"),
        channel_no=_attribute(leaves, "CHNL_NO", _IDENTIFIER, "10 letters and digits"),
        direction=_attribute(leaves, "I_E_TYPE", re.compile("[IE]"), "I or E"),
        seq_no=_seq_no(leaves),
        fields=leaves.fields,
        encoding=encoding,
        mended=mended,
    )


def _attribute(leaves: _Leaves, name: str, shape: re.Pattern[str], expected: str) -> str:
    text = leaves.attributes.get(name, "")
    if not shape.fullmatch(text):
        raise Unreadable(f"{name}: expected {expected}, got {text[:40]!r}")
    return text


def _seq_no(leaves: _Leaves) -> str:
    if "EXCUTE_COMMAND" in leaves.fields and not leaves.attributes.get("SEQ_NO"):
        return ""
    return _attribute(leaves, "SEQ_NO", _SEQ_NO, "20 digits")


# --- document -> text -------------------------------------------------------------------------------------

_IN_XML = re.compile(r"[ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def _elements(children: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"<{name}>{_text(name, text)}</{name}>" for name, text in children)


def _text(name: str, text: str) -> str:
    if len(text) > MOST_TEXT or not _IN_XML.fullmatch(text):
        raise Unreadable(f"{name}: expected at most {MOST_TEXT} characters that may stand in XML")
    return escape(text)


def _wrapped(root: str, area_id: str, channel_no: str, direction: str, seq_no: str, inner: str) -> bytes:
    for name, text, shape in (("AREA_ID", area_id, _IDENTIFIER), ("CHNL_NO", channel_no, _IDENTIFIER)):
        if not shape.fullmatch(text):
            raise Unreadable(f"{name}: expected 10 letters and digits, got {text[:40]!r}")
    if direction not in ("I", "E") or not (_SEQ_NO.fullmatch(seq_no) or seq_no == ""):
        raise Unreadable(f"expected I or E and a SEQ_NO of 20 digits, got {direction[:4]!r}, {seq_no[:40]!r}")
    head = (
        f'<?xml version="1.0" encoding="GB2312"?><{root} AREA_ID="{area_id}" CHNL_NO="{channel_no}" '
        f'I_E_TYPE="{direction}" SEQ_NO="{seq_no}">'
    )
    return f"{head}{inner}</{root}>".encode("gb18030")


def _plain(value: Decimal) -> str:
    return f"{value:f}"
