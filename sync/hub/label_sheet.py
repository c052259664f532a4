"""Labels on A4 as a PDF: the QR code of each as rectangles, its words beside it. Pure.

Chinese stands in STSong-Light, one of the fonts every PDF reader brings or replaces (ISO 32000-1, 9.7.5.2):
none is embedded.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import pydyf
import segno

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
_MOST_GOODS: Final = 22


def label_sheet(labels: Sequence[Label], site_name: str) -> bytes:
    """A PDF of as many pages as it takes; none where there are no labels is one empty page."""
    pdf = pydyf.PDF()
    latin = pydyf.Dictionary({"Type": "/Font", "Subtype": "/Type1", "BaseFont": "/Helvetica-Bold"})
    pdf.add_object(latin)
    chinese = _chinese(pdf)
    each_page = COLUMNS * ROWS
    for start in range(0, max(1, len(labels)), each_page):
        content = pydyf.Stream(compress=True)
        for place, label in enumerate(labels[start : start + each_page]):
            left_mm = (place % COLUMNS) * WIDE_MM
            top_mm = _PAGE_MM[1] - (place // COLUMNS) * HIGH_MM
            _draw(content, label, site_name, left_mm, top_mm)
        pdf.add_object(content)
        fonts = pydyf.Dictionary({"F1": latin.reference, "F2": chinese.reference})
        pdf.add_page(
            pydyf.Dictionary(
                {
                    "Type": "/Page",
                    "Parent": pdf.pages.reference,
                    "MediaBox": pydyf.Array([0, 0, *(round(each * _POINT, 2) for each in _PAGE_MM)]),
                    "Contents": content.reference,
                    "Resources": pydyf.Dictionary({"Font": fonts}),
                }
            )
        )
    out = io.BytesIO()
    pdf.write(out, version=b"1.4")
    return out.getvalue()


def _chinese(pdf: pydyf.PDF) -> pydyf.Dictionary:
    descriptor = pydyf.Dictionary(
        {
            "Type": "/FontDescriptor",
            "FontName": "/STSong-Light",
            "Flags": 6,
            "FontBBox": pydyf.Array([-25, -254, 1000, 880]),
            "ItalicAngle": 0,
            "Ascent": 880,
            "Descent": -120,
            "CapHeight": 880,
            "StemV": 93,
        }
    )
    pdf.add_object(descriptor)
    system = pydyf.Dictionary(
        {"Registry": pydyf.String("Adobe"), "Ordering": pydyf.String("GB1"), "Supplement": 4}
    )
    descendant = pydyf.Dictionary(
        {
            "Type": "/Font",
            "Subtype": "/CIDFontType0",
            "BaseFont": "/STSong-Light",
            "CIDSystemInfo": system,
            "DW": 1000,
            "FontDescriptor": descriptor.reference,
        }
    )
    pdf.add_object(descendant)
    font = pydyf.Dictionary(
        {
            "Type": "/Font",
            "Subtype": "/Type0",
            "BaseFont": "/STSong-Light",
            "Encoding": "/UniGB-UCS2-H",
            "DescendantFonts": pydyf.Array([descendant.reference]),
        }
    )
    pdf.add_object(font)
    return font


def _draw(content: pydyf.Stream, label: Label, site_name: str, left_mm: float, top_mm: float) -> None:
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
    _words(content, "F2", 7, words_left_mm, qr_top_mm - 2.5, _ucs2(site_name[: _MOST_GOODS // 2]))
    _words(content, "F2", 8, words_left_mm, qr_top_mm - 7.5, _ucs2(_cut(label.goods)))
    _words(content, "F1", 6, words_left_mm, qr_top_mm - 12.5, _latin(label.batch_no[:24]))
    _words(content, "F1", 7, words_left_mm, qr_top_mm - 17.5, _latin(label.waybill_no[:22]))
    _words(content, "F1", 7, words_left_mm, qr_top_mm - 23, _latin(label.trace_code[:20]))
    _words(content, "F1", 7, words_left_mm, qr_top_mm - 26.5, _latin(label.trace_code[20:40]))


def _cut(goods: str) -> str:
    return goods if len(goods) <= 10 else f"{goods[:9]}…"


def _rectangle(content: pydyf.Stream, x_mm: float, y_mm: float, wide_mm: float, high_mm: float) -> None:
    content.rectangle(*(round(each * _POINT, 3) for each in (x_mm, y_mm, wide_mm, high_mm)))


def _words(content: pydyf.Stream, font: str, size: int, x_mm: float, y_mm: float, shown: bytes) -> None:
    if len(shown) <= 2:
        return
    content.begin_text()
    content.set_font_size(font, size)
    content.set_text_matrix(1, 0, 0, 1, round(x_mm * _POINT, 2), round(y_mm * _POINT, 2))
    content.stream.append(shown + b" Tj")
    content.end_text()


def _ucs2(text: str) -> bytes:
    """As UniGB-UCS2-H takes it: nothing beyond the basic plane."""
    plain = "".join(each if ord(each) < 0x10000 and each.isprintable() else "?" for each in text)
    return b"<" + plain.encode("utf-16-be").hex().encode() + b">"


def _latin(text: str) -> bytes:
    plain = "".join(each if " " <= each <= "~" else "?" for each in text)
    return b"<" + plain.encode().hex().encode() + b">"
