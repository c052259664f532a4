"""Labels on A4 as a PDF: the QR code of each as rectangles, its words beside it. Pure.

The letters come along: Noto Sans CJK SC (`fonts/OFL.txt`), the glyphs used, so that a sheet looks the same in
every reader and on every printer.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import pydyf
import segno

from sync.hub.label_font import LabelFont
from sync.hub.tracing import Label

WIDE_MM: Final = 70.0
HIGH_MM: Final = 37.125
COLUMNS: Final = 3
ROWS: Final = 8
"""24 labels of 70 x 37 mm: a common sheet."""
_QR_MM: Final = 28.0
_MARGIN_MM: Final = 4.0
_PAGE_MM: Final = (210.0, 297.0)
_POINT: Final = 72 / 25.4
_WORDS_MM: Final = WIDE_MM - _MARGIN_MM - _QR_MM - 2.5 - 2.0


def label_sheet(labels: Sequence[Label], site_name: str) -> bytes:
    """A PDF of as many pages as it takes; none where there are no labels is one empty page."""
    pdf = pydyf.PDF()
    font = _font()
    used: dict[int, str] = {}
    pages: list[tuple[pydyf.Stream, pydyf.Dictionary]] = []
    each_page = COLUMNS * ROWS
    for start in range(0, max(1, len(labels)), each_page):
        content = pydyf.Stream(compress=True)
        for place, label in enumerate(labels[start : start + each_page]):
            left_mm = (place % COLUMNS) * WIDE_MM
            top_mm = _PAGE_MM[1] - (place // COLUMNS) * HIGH_MM
            _draw(content, label, site_name, left_mm, top_mm, used)
        pdf.add_object(content)
        page = pydyf.Dictionary(
            {
                "Type": "/Page",
                "Parent": pdf.pages.reference,
                "MediaBox": pydyf.Array([0, 0, *(round(each * _POINT, 2) for each in _PAGE_MM)]),
                "Contents": content.reference,
            }
        )
        pages.append((content, page))
    embedded = _embedded(pdf, font, used)
    for _, page in pages:
        page["Resources"] = pydyf.Dictionary({"Font": pydyf.Dictionary({"F1": embedded.reference})})
        pdf.add_page(page)
    out = io.BytesIO()
    pdf.write(out, version=b"1.4")
    return out.getvalue()


@cache
def _font() -> LabelFont:
    return LabelFont((files("sync.hub") / "fonts" / "NotoSansCJKsc-Regular-subset.otf").read_bytes())


def _embedded(pdf: pydyf.PDF, font: LabelFont, used: Mapping[int, str]) -> pydyf.Dictionary:
    """As ISO 32000-1, 9.7.4 and 9.9: outlines of the glyphs used, their widths, and what they stand for."""
    program = pydyf.Stream([font.cut_to(used)], {"Subtype": "/CIDFontType0C"}, compress=True)
    pdf.add_object(program)
    name = f"/KAKOUL+{font.name}"
    descriptor = pydyf.Dictionary(
        {
            "Type": "/FontDescriptor",
            "FontName": name,
            "Flags": 4,
            "FontBBox": pydyf.Array([-55, -279, 1000, 983]),
            "ItalicAngle": 0,
            "Ascent": 880,
            "Descent": -120,
            "CapHeight": 733,
            "StemV": 80,
            "FontFile3": program.reference,
        }
    )
    pdf.add_object(descriptor)
    widths = pydyf.Array()
    for glyph in sorted(used, key=font.cid):
        widths.extend((font.cid(glyph), pydyf.Array([font.width(glyph)])))
    descendant = pydyf.Dictionary(
        {
            "Type": "/Font",
            "Subtype": "/CIDFontType0",
            "BaseFont": name,
            "CIDSystemInfo": pydyf.Dictionary(
                {"Registry": pydyf.String("Adobe"), "Ordering": pydyf.String("Identity"), "Supplement": 0}
            ),
            "DW": 1000,
            "W": widths,
            "FontDescriptor": descriptor.reference,
        }
    )
    pdf.add_object(descendant)
    told = pydyf.Stream([_what_they_stand_for(font, used)], compress=True)
    pdf.add_object(told)
    found = pydyf.Dictionary(
        {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": name,
            "Encoding": "/Identity-H",
            "DescendantFonts": pydyf.Array([descendant.reference]),
            "ToUnicode": told.reference,
        }
    )
    pdf.add_object(found)
    return found


def _what_they_stand_for(font: LabelFont, used: Mapping[int, str]) -> bytes:
    """A ToUnicode CMap: text copied from the sheet is text."""
    rows = [
        f"<{font.cid(glyph):04x}> <{letter.encode('utf-16-be').hex()}>"
        for glyph, letter in sorted(used.items())
    ]
    blocks = (rows[start : start + 100] for start in range(0, len(rows), 100))
    return "\n".join(
        (
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CMapName /Labels def /CMapType 2 def",
            "1 begincodespacerange <0000> <ffff> endcodespacerange",
            *(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        )
    ).encode()


def _draw(
    content: pydyf.Stream,
    label: Label,
    site_name: str,
    left_mm: float,
    top_mm: float,
    used: dict[int, str],
) -> None:
    qr_left_mm, qr_top_mm = left_mm + _MARGIN_MM, top_mm - _MARGIN_MM
    matrix = segno.make(label.text, error="m", micro=False).matrix
    module_mm = _QR_MM / len(matrix)
    for row, modules in enumerate(matrix):
        run = 0
        for column in range(len(modules) + 1):
            if column < len(modules) and modules[column]:
                run += 1
            elif run:
                x_mm = qr_left_mm + (column - run) * module_mm
                _rectangle(content, x_mm, qr_top_mm - (row + 1) * module_mm, run * module_mm, module_mm)
                run = 0
    content.fill()
    words_left_mm = qr_left_mm + _QR_MM + 2.5
    for text, size, down_mm in (
        (site_name, 7, 2.5),
        (label.goods, 8, 7.5),
        (label.batch_no, 6, 12.5),
        (label.waybill_no, 7, 17.5),
        (label.trace_code[:20], 7, 23),
        (label.trace_code[20:40], 7, 26.5),
    ):
        _words(content, size, words_left_mm, qr_top_mm - down_mm, text, used)


def _rectangle(content: pydyf.Stream, x_mm: float, y_mm: float, wide_mm: float, high_mm: float) -> None:
    content.rectangle(*(round(each * _POINT, 3) for each in (x_mm, y_mm, wide_mm, high_mm)))


def _words(
    content: pydyf.Stream, size: int, x_mm: float, y_mm: float, text: str, used: dict[int, str]
) -> None:
    """Cut where the label ends; a letter the font has none of is a `?`."""
    font = _font()
    shown: list[tuple[int, str]] = []
    wide = 0.0
    room = _WORDS_MM * _POINT / size * 1_000
    for letter in text:
        glyph = font.glyph(letter)
        letter, glyph = (letter, glyph) if glyph else ("?", font.glyph("?"))
        wide += font.width(glyph)
        if wide > room:
            while shown and wide - font.width(glyph) + font.width(font.glyph("…")) > room:
                glyph = shown.pop()[0]
                wide -= font.width(glyph)
            shown.append((font.glyph("…"), "…"))
            break
        shown.append((glyph, letter))
    if not shown:
        return
    used.update(shown)
    codes = b"".join(font.cid(glyph).to_bytes(2, "big") for glyph, _ in shown)
    content.begin_text()
    content.set_font_size("F1", size)
    content.set_text_matrix(1, 0, 0, 1, round(x_mm * _POINT, 2), round(y_mm * _POINT, 2))
    content.stream.append(b"<" + codes.hex().encode() + b"> Tj")
    content.end_text()
