"""Whether bytes are a DICOS file as `docs/xray-evidence.md` says: an own parser of Explicit VR Little
Endian, and the table of attributes as data. Shares nothing with the program that writes such files, nor
with pydicom."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
KNOWN: Final = LONG | frozenset(
    {
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH",
        b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    }
)  # fmt: skip
UNDEFINED: Final = 0xFFFFFFFF
NUMBERS: Final = {"US": "<H", "SS": "<h", "UL": "<I", "FL": "<f", "FD": "<d"}


class NotDicos(ValueError):
    """The bytes cannot be parsed at all."""


@dataclass(frozen=True, slots=True)
class Element:
    tag: int
    representation: str
    raw: bytes
    items: tuple[dict[int, Element], ...] = ()


def parsed(data: bytes) -> tuple[dict[int, Element], dict[int, Element]]:
    """Group 2, and the rest."""
    if data[:128] != bytes(128) or data[128:132] != b"DICM":
        raise NotDicos("expected 128 zero bytes and DICM")
    elements, end = _elements(data, 132, len(data))
    if end != len(data):
        raise NotDicos("bytes after the last element")
    meta = {tag: element for tag, element in elements.items() if tag >> 16 == 2}
    return meta, {tag: element for tag, element in elements.items() if tag >> 16 != 2}


def _elements(data: bytes, at: int, end: int) -> tuple[dict[int, Element], int]:
    found: dict[int, Element] = {}
    last = -1
    while at < end:
        group, number = struct.unpack_from("<HH", data, at)
        tag = group << 16 | number
        if tag == 0xFFFEE00D:
            return found, at + 8
        if tag <= last:
            raise NotDicos(f"{tag:08X} stands after {last:08X}")
        last = tag
        representation = data[at + 4 : at + 6]
        if representation not in KNOWN:
            raise NotDicos(f"{tag:08X}: no such representation {representation!r}")
        if representation in LONG:
            (length,) = struct.unpack_from("<I", data, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from("<H", data, at + 6)
            at += 8
        name = representation.decode()
        if name == "SQ":
            items, at = _items(data, at, end if length == UNDEFINED else at + length, length == UNDEFINED)
            found[tag] = Element(tag, name, b"", tuple(items))
            continue
        if length % 2 or at + length > end:
            raise NotDicos(f"{tag:08X}: a length of {length}")
        found[tag] = Element(tag, name, data[at : at + length])
        at += length
    return found, at


def _items(data: bytes, at: int, end: int, delimited: bool) -> tuple[list[dict[int, Element]], int]:
    items: list[dict[int, Element]] = []
    while at < end:
        group, number, length = struct.unpack_from("<HHI", data, at)
        at += 8
        if (group, number) == (0xFFFE, 0xE0DD):
            return items, at
        if (group, number) != (0xFFFE, 0xE000):
            raise NotDicos("expected an item of a sequence")
        item, at = _elements(data, at, end if length == UNDEFINED else at + length)
        items.append(item)
    if delimited:
        raise NotDicos("a sequence without an end")
    return items, at


class Row(NamedTuple):
    """One attribute: where, its representation, and what it must say (a pattern of the whole text with values
    parted by backslashes; for numbers, of their shortest decimal text)."""

    path: str
    representation: str
    says: str = r".+"


UID: Final = r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+"
DATE: Final = r"\d{8}"
TIME: Final = r"\d{6}(\.\d{1,6})?"
MOMENT: Final = r"\d{14}(\.\d{1,6})?"
NUMBER: Final = r"-?\d+(\.\d+)?(e-?\d+)?"
POSITIVE: Final = r"(?!0+(\.0+)?$)\d+(\.\d+)?"

META: Final = (
    Row("00020002", "UI", UID),
    Row("00020003", "UI", UID),
    Row("00020004", "CS", "V03"),
    Row("00020010", "UI", re.escape("1.2.840.10008.1.2.1")),
)
COMMON: Final = (
    Row("00080012", "DA", DATE),
    Row("00080013", "TM", TIME),
    Row("00080016", "UI", UID),
    Row("00080018", "UI", UID),
    Row("00080020", "DA", DATE),
    Row("00080021", "DA", DATE),
    Row("00080023", "DA", DATE),
    Row("00080030", "TM", TIME),
    Row("00080031", "TM", TIME),
    Row("00080033", "TM", TIME),
    Row("00080070", "LO"),
    Row("00080080", "LO"),
    Row("00080081", "ST"),
    Row("00080118", "CS", "MACHINE"),
    Row("00081010", "SH"),
    Row("00081090", "LO"),
    Row("00082108", "CS", "LHS"),
    Row("00100020", "LO"),
    Row("00100021", "LO"),
    Row("00100022", "CS", "BARCODE|TEXT"),
    Row("00101002", "SQ", "0"),
    Row("00181000", "LO"),
    Row("00181020", "LO"),
    Row("00181200", "DA", DATE),
    Row("00181201", "TM", TIME),
    Row("0020000D", "UI", UID),
    Row("0020000E", "UI", UID),
    Row("00200010", "SH"),
    Row("00200013", "IS", r"\d+"),
    Row("00200052", "UI", UID),
    Row("00201040", "LO"),
    Row("00400555", "SQ", "0"),
    Row("4010103A", "CS", "V03"),
    Row("40101042", "CS", "BAGGAGE"),
    Row("40101044", "CS", "SUCCESSFUL|JAM|OVERSIZE|SLIP|INCOMPLETE|CUT|MERGED|STITCHED"),
    Row("40101048", "CS", "OPERATIONAL"),
    Row("40101064", "SQ", "0"),
)
PICTURE: Final = (
    Row("00080008", "CS", r"ORIGINAL\\(HIGH|LOW) ENERGY"),
    Row("00080060", "CS", "XRAY"),
    Row("00080068", "CS", "FOR PROCESSING"),
    Row("00180060", "DS", NUMBER),
    Row("00187004", "CS", "SCINTILLATOR|DIRECT"),
    Row("00188151", "DS", NUMBER),
    Row("00189309", "FD", NUMBER),
    Row("00200032", "DS", rf"{NUMBER}(\\{NUMBER}){{2}}"),
    Row("00200037", "DS", rf"{NUMBER}(\\{NUMBER}){{5}}"),
    Row("00280002", "US", "1"),
    Row("00280004", "CS", "MONOCHROME2"),
    Row("00280010", "US", POSITIVE),
    Row("00280011", "US", POSITIVE),
    Row("00280030", "DS", rf"{POSITIVE}\\{POSITIVE}"),
    Row("00280100", "US", "16"),
    Row("00280101", "US", "16"),
    Row("00280102", "US", "15"),
    Row("00280103", "US", "0"),
    Row("00280A04", "LO"),
    Row("00281040", "CS", "LIN"),
    Row("00281041", "SS", "-?1"),
    Row("00281052", "DS", NUMBER),
    Row("00281053", "DS", NUMBER),
    Row("00281054", "LO"),
    Row("40101062", "FL", NUMBER),
    Row("43000902", "FL", POSITIVE),
    Row("7FE00010", "OW"),
)
REPORT: Final = (
    Row("00080060", "CS", "TDR"),
    Row("00081110", "SQ", "[1-9]"),
    Row("00081110/00081150", "UI", UID),
    Row("00081110/00081155", "UI", UID),
    Row("40101024", "CS", "SUCCESS"),
    Row("40101027", "CS", "MACHINE|OPERATOR|GROUND TRUTH"),
    Row("40101029", "LO", r"[^\\]+\\[^\\]+(\\[^\\]+)*"),
    Row("4010102B", "DT", MOMENT),
    Row("40101031", "CS", "ALARM|CLEAR"),
    Row("40101033", "US", r"\d+"),
    Row("40101034", "US", r"\d+"),
    Row("40101069", "FL", NUMBER),
    Row("4010106D", "CS", "NO|YES"),
    Row("40101075", "FD", POSITIVE),
)
ITEM: Final = (
    Row("40101011/40101010", "US", POSITIVE),
    Row("40101011/40101037", "SQ", "[1-9]"),
    Row("40101011/40101037/0008114A", "SQ", "1"),
    Row("40101011/40101037/0008114A/00081150", "UI", UID),
    Row("40101011/40101037/0008114A/00081155", "UI", UID),
    Row("40101011/40101037/40101001", "SQ", "1"),
    Row("40101011/40101037/40101001/40101004", "FL", rf"{NUMBER}(\\{NUMBER}){{2}}"),
    Row("40101011/40101037/40101001/40101005", "FL", rf"{POSITIVE}(\\{POSITIVE}){{2}}"),
    Row("40101011/40101037/40101001/40101006", "OB"),
    Row("40101011/40101037/40101001/4010101D", "FL", rf"{NUMBER}(\\{NUMBER}){{11}}"),
    Row("40101011/40101038", "SQ", "[1-9]"),
    Row(
        "40101011/40101038/40101012",
        "CS",
        "ANOMALY|CONTRABAND|EXPLOSIVE|LAPTOP|OTHER|PHARMACEUTICAL|PI",
    ),
    Row("40101011/40101038/40101013", "LT"),
    Row("40101011/40101038/40101014", "CS", "NO_INTERFERENCE|SHIELD"),
    Row("40101011/40101038/40101015", "CS", "HIGH_THREAT|THREAT|NO_THREAT|UNKNOWN"),
    Row("40101011/40101080", "DT", MOMENT),
    Row("40101011/40101081", "DT", MOMENT),
    Row("40101011/40101082", "FL", NUMBER),
)
OFFICER: Final = (
    Row("00081072", "SQ", "1"),
    Row("00081072/00080080", "LO"),
    Row("00081072/00080081", "ST"),
    Row("00081072/00401101", "SQ", "2"),
    Row("00081072/00401101/00080100", "SH"),
    Row("00081072/00401101/00080102", "SH"),
    Row("00081072/00401101/00080104", "LO"),
)
PICTURE_CLASS: Final = "1.2.840.10008.5.1.4.1.1.501.2.2"
REPORT_CLASS: Final = "1.2.840.10008.5.1.4.1.1.501.3"


def text_of(element: Element) -> str:
    if element.representation == "SQ":
        return str(len(element.items))
    if element.representation in NUMBERS:
        form = NUMBERS[element.representation]
        if len(element.raw) % struct.calcsize(form):
            raise NotDicos(f"{element.tag:08X}: {len(element.raw)} bytes of {element.representation}")
        numbers = (each[0] for each in struct.iter_unpack(form, element.raw))
        return "\\".join(f"{number:.10g}" for number in numbers)
    if element.representation in ("OB", "OW"):
        return f"{len(element.raw)} bytes" if element.raw else ""
    return element.raw.decode("utf-8").rstrip("\0 ")


def under(elements: dict[int, Element], path: str) -> Iterator[Element | None]:
    """Every element a path names, once for each item on its way; None where one is missing."""
    first, _, rest = path.partition("/")
    element = elements.get(int(first, 16))
    if element is None or not rest:
        yield element
        return
    for item in element.items:
        yield from under(item, rest)


def rows_of(elements: dict[int, Element]) -> tuple[Row, ...]:
    """What a file of its class must hold."""
    sop_class = text_of(elements[0x00080016]) if 0x00080016 in elements else ""
    if sop_class == PICTURE_CLASS:
        return COMMON + PICTURE
    rows: tuple[Row, ...] = COMMON + REPORT
    if 0x40101031 in elements and text_of(elements[0x40101031]) == "ALARM":
        rows += ITEM
    if 0x40101027 in elements and text_of(elements[0x40101027]) == "OPERATOR":
        rows += OFFICER
    return rows


def problems(data: bytes) -> list[str]:
    """Everything wrong; empty: it is as the table says."""
    try:
        meta, elements = parsed(data)
    except (NotDicos, struct.error, UnicodeDecodeError) as error:
        return [str(error)]
    found = [*_against(meta, META), *_against(elements, rows_of(elements))]
    return found or list(_across(meta, elements))


def _against(elements: dict[int, Element], rows: tuple[Row, ...]) -> Iterator[str]:
    for row in rows:
        for element in under(elements, row.path):
            if element is None:
                yield f"{row.path}: missing"
            elif element.representation != row.representation:
                yield f"{row.path}: is {element.representation}, expected {row.representation}"
            elif not re.fullmatch(row.says, text_of(element), re.DOTALL):
                yield f"{row.path}: says {text_of(element)[:60]!r}, expected {row.says}"


def _across(meta: dict[int, Element], elements: dict[int, Element]) -> Iterator[str]:
    """What no single attribute can say wrong alone."""

    def said(tag: int, among: dict[int, Element] = elements) -> str:
        return text_of(among[tag]) if tag in among else ""

    for outer, inner in ((0x00020002, 0x00080016), (0x00020003, 0x00080018)):
        if said(outer, meta) != said(inner):
            yield f"{outer:08X}: is not {inner:08X}"
    for tag in (0x00080018, 0x0020000D, 0x0020000E, 0x00200052):
        if len(said(tag)) > 64:
            yield f"{tag:08X}: a UID of more than 64 characters"
    match said(0x00080016):
        case sop_class if sop_class == PICTURE_CLASS:
            pixels = int(said(0x00280010) or 0) * int(said(0x00280011) or 0)
            stored = len(elements[0x7FE00010].raw) if 0x7FE00010 in elements else 0
            if stored != 2 * pixels:
                yield f"7FE00010: {stored} bytes for {pixels} pixels"
        case sop_class if sop_class == REPORT_CLASS:
            items = len(elements[0x40101011].items) if 0x40101011 in elements else 0
            if (said(0x40101031) == "ALARM") is not (items > 0):
                yield f"40101011: {items} threat items in a report that says {said(0x40101031)}"
            if int(said(0x40101033) or 0) != items:
                yield "40101033: is not the number of items"
            for corner, extents in zip(
                under(elements, "40101011/40101037/40101001/40101004"),
                under(elements, "40101011/40101037/40101001/40101005"),
                strict=False,
            ):
                if corner is not None and extents is not None and "-" in text_of(corner):
                    yield "40101004: outside the picture"
        case other:
            yield f"00080016: {other!r} is no class of these files"
