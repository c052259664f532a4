"""The decoding libraries behind one shape, and what this device can read with those it has. No cascade.

Each is loaded at `found`; a device without one goes on with the rest and says so (`Capabilities`). All let
other threads run while they work.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from edge.devices.fixed_camera.source import cv2
from edge.reading.charsets import text_of
from edge.reading.scans import LINEAR, MATRIX, RETAIL, SHORTEST_ITF, SYMBOLOGIES, aim_of

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    Grey = NDArray[uint8]
    """(rows, columns), 0 black to 255 white."""

Point = tuple[float, float]
"""x to the right, y down, in dots of the array it was found in."""


@dataclass(frozen=True, slots=True)
class CodeRead:
    """One code in one picture."""

    text: str
    symbology: str
    aim: str
    polygon: tuple[Point, ...]
    """Corners, from the code's own top left clockwise, as seen when it is read upright."""
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Capabilities:
    zxing: bool
    zbar: bool
    tilt: bool
    """Linear codes at every angle."""

    @property
    def symbologies(self) -> frozenset[str]:
        if self.zxing:
            return SYMBOLOGIES
        return LINEAR | {"qrcode"} if self.zbar else frozenset()

    @property
    def is_whole(self) -> bool:
        return self.zxing and self.zbar and self.tilt

    @property
    def names(self) -> tuple[str, ...]:
        """Of the libraries that are there."""
        named = ((self.zxing, "zxing-cpp"), (self.zbar, "zbar"), (self.tilt, "OpenCV"))
        return tuple(name for is_there, name in named if is_there)

    @property
    def zh(self) -> str:
        """What is missing, for a screen; empty where nothing is."""
        if not self.symbologies:
            return "没有解码库：摄像头不能读码，请用扫描头或键盘输入"
        told = []
        if not self.zxing:
            told.append("缺少 zxing-cpp：不能读 DataMatrix、PDF417、Aztec，读码率较低")
        elif not self.zbar:
            told.append("缺少 zbar：模糊的 EAN/UPC 条码读码率较低")
        if not self.tilt:
            told.append("缺少 cv2.barcode：请将一维码横对镜头")
        return "；".join(told)

    @property
    def en(self) -> str:
        if not self.symbologies:
            return "no decoder: the camera reads nothing, use the scanner or type"
        told = []
        if not self.zxing:
            told.append("zxing-cpp is missing: no DataMatrix, PDF417 or Aztec, and fewer codes are read")
        elif not self.zbar:
            told.append("zbar is missing: fewer blurred EAN and UPC codes are read")
        if not self.tilt:
            told.append("cv2.barcode is missing: hold linear codes level")
        return "; ".join(told)


class Zxing:
    """zxing-cpp 3."""

    def __init__(self, library: ModuleType) -> None:
        self._read = library.read_barcodes
        self._plain = library.TextMode.Plain
        self._global = library.Binarizer.GlobalHistogram
        self._local = library.Binarizer.LocalAverage
        formats = library.BarcodeFormat
        self._names = {
            formats.Code128: "code128",
            formats.Code39: "code39",
            formats.Code93: "code93",
            formats.Codabar: "codabar",
            formats.ITF: "itf",
            formats.EAN13: "ean13",
            formats.EAN8: "ean8",
            formats.UPCA: "upca",
            formats.UPCE: "upce",
            formats.QRCode: "qrcode",
            formats.DataMatrix: "datamatrix",
            formats.PDF417: "pdf417",
            formats.Aztec: "aztec",
        }
        self._all = library.BarcodeFormats(list(self._names))
        self._linear = library.BarcodeFormats([each for each, name in self._names.items() if name in LINEAR])

    def fast(self, grey: Grey) -> list[CodeRead]:
        """Upright or upside down, dark on light, at this size: a third of the time."""
        return self._reads(grey, self._all, turned=False, reduced=False, inverted=False)

    def full(self, grey: Grey, *, whole_histogram: bool = False) -> list[CodeRead]:
        """`whole_histogram`: one threshold for the picture instead of one for each neighbourhood."""
        binarizer = self._global if whole_histogram else self._local
        return self._reads(grey, self._all, turned=True, reduced=True, inverted=True, binarizer=binarizer)

    def level(self, grey: Grey) -> list[CodeRead]:
        """Linear codes whose bars stand upright."""
        return self._reads(grey, self._linear, turned=False, reduced=False, inverted=False)

    def _reads(
        self, grey: Grey, formats: Any, *, turned: bool, reduced: bool, inverted: bool, binarizer: Any = None
    ) -> list[CodeRead]:
        found = self._read(
            grey,
            formats=formats,
            try_rotate=turned,
            try_downscale=reduced,
            try_invert=inverted,
            text_mode=self._plain,
            binarizer=binarizer or self._local,
        )
        return [self._one(each) for each in found if each.valid]

    def _one(self, found: Any) -> CodeRead:
        name = self._names.get(found.format) or self._names.get(found.symbology, "")
        raw = bytes(found.bytes)
        text, name = _retail(text_of(raw, found.text, name), name)
        at = found.position
        corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        polygon = tuple((float(corner.x), float(corner.y)) for corner in corners)
        return CodeRead(text, name, found.symbology_identifier, polygon, raw)


_ZBAR_NAMES: Final = {
    "EAN13": "ean13",
    "EAN8": "ean8",
    "UPCA": "upca",
    "UPCE": "upce",
    "CODE128": "code128",
    "CODE39": "code39",
    "CODE93": "code93",
    "CODABAR": "codabar",
    "I25": "itf",
    "QRCODE": "qrcode",
}
_SHORTEST_BY_ZBAR: Final = 4
"""It reads a letter of Code 39 out of print now and then."""
_ZBAR_BINARY: Final = 4
"""`ZBAR_CFG_BINARY` of zbar 0.23.1 and later: a QR code's bytes as they are, instead of a guessed text."""
_ZBAR_GREY: Final = int.from_bytes(b"Y800", "little")


class Zbar:
    """libzbar through pyzbar's declarations of it: its own `decode` gives no raw bytes of QR codes."""

    def __init__(self, wrapper: ModuleType) -> None:
        self._library = wrapper
        self._kinds = {
            kind.value: _ZBAR_NAMES[kind.name] for kind in wrapper.ZBarSymbol if kind.name in _ZBAR_NAMES
        }
        self._retail = [number for number, name in self._kinds.items() if name in RETAIL]

    def retail(self, grey: Grey) -> list[CodeRead]:
        """EAN and UPC only: it reads some that zxing-cpp does not, and of other kinds only fewer."""
        return self._reads(grey, self._retail)

    def everything(self, grey: Grey) -> list[CodeRead]:
        """Where there is no zxing-cpp."""
        return self._reads(grey, list(self._kinds))

    @contextlib.contextmanager
    def _scanner(self, kinds: Sequence[int]) -> Iterator[Any]:
        library = self._library
        scanner = library.zbar_image_scanner_create()
        try:
            library.zbar_image_scanner_set_config(scanner, 0, library.ZBarConfig.CFG_ENABLE, 0)
            for kind in kinds:
                library.zbar_image_scanner_set_config(scanner, kind, library.ZBarConfig.CFG_ENABLE, 1)
                if self._kinds[kind] in MATRIX:
                    library.zbar_image_scanner_set_config(scanner, kind, _ZBAR_BINARY, 1)
            yield scanner
        finally:
            library.zbar_image_scanner_destroy(scanner)

    def _reads(self, grey: Grey, kinds: Sequence[int]) -> list[CodeRead]:
        library = self._library
        import numpy

        rows, columns = grey.shape
        # zbar keeps the address: the array must outlive the image.
        dots = numpy.ascontiguousarray(grey)
        with self._scanner(kinds) as scanner:
            image = library.zbar_image_create()
            try:
                library.zbar_image_set_format(image, _ZBAR_GREY)
                library.zbar_image_set_size(image, columns, rows)
                library.zbar_image_set_data(image, ctypes.c_void_p(dots.ctypes.data), dots.size, None)
                if library.zbar_scan_image(scanner, image) <= 0:
                    return []
                return [each for each in map(self._one, self._symbols(image)) if each is not None]
            finally:
                library.zbar_image_destroy(image)

    def _symbols(self, image: Any) -> Iterator[Any]:
        symbol = self._library.zbar_image_first_symbol(image)
        while symbol:
            yield symbol
            symbol = self._library.zbar_symbol_next(symbol)

    def _one(self, symbol: Any) -> CodeRead | None:
        library = self._library
        name = self._kinds.get(symbol.contents.type, "")
        size = library.zbar_symbol_get_data_length(symbol)
        raw = ctypes.string_at(library.zbar_symbol_get_data(symbol), size)
        if not name or (name in LINEAR and len(raw) < (SHORTEST_ITF if name == "itf" else _SHORTEST_BY_ZBAR)):
            return None
        said = "" if name in MATRIX else raw.decode("latin-1")
        text, name = _retail(text_of(raw, said, name), name)
        points = [
            (float(library.zbar_symbol_get_loc_x(symbol, n)), float(library.zbar_symbol_get_loc_y(symbol, n)))
            for n in range(library.zbar_symbol_get_loc_size(symbol))
        ]
        return CodeRead(text, name, aim_of(name), _box_around(points), raw)


@dataclass(frozen=True, slots=True)
class Decoders:
    """Any of them may be missing."""

    zxing: Zxing | None
    zbar: Zbar | None
    tilt: bool
    """`cv2.barcode` finds linear codes at every angle (OpenCV 4.8 and later)."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.zxing is not None, self.zbar is not None, self.tilt)


@cache
def found() -> Decoders:
    """Those of this device, loaded now."""
    return Decoders(_zxing(), _zbar(), hasattr(cv2(), "barcode"))


def expected() -> Capabilities:
    """What `found` will find, as far as can be told without loading OpenCV."""
    is_there = {name: find_spec(name) is not None for name in ("zxingcpp", "cv2")}
    return Capabilities(is_there["zxingcpp"], _zbar() is not None, is_there["cv2"])


def _zxing() -> Zxing | None:
    try:
        import zxingcpp
    except ImportError:
        return None
    return Zxing(zxingcpp)


def _zbar() -> Zbar | None:
    try:
        from pyzbar import wrapper
    except (ImportError, OSError):
        # pyzbar is there and libzbar is not
        return None
    return Zbar(wrapper)


def _retail(text: str, name: str) -> tuple[str, str]:
    """The number a person reads under the bars, whichever decoder read it: UPC-A is EAN-13 with 0 in front,
    and UPC-E stands for a UPC-A."""
    if name == "upce":
        return (_expanded(text) if len(text) == 8 else text[-12:]), name
    if name in {"ean13", "upca"} and len(text) == 13 and text[0] == "0":
        return text[1:], "upca"
    return text, name


def _expanded(text: str) -> str:
    """UPC-E, 8 digits, as the UPC-A it stands for."""
    system, d, check = text[0], text[1:7], text[7]
    match d[5]:
        case "0" | "1" | "2":
            body = f"{d[:2]}{d[5]}0000{d[2:5]}"
        case "3":
            body = f"{d[:3]}00000{d[3:5]}"
        case "4":
            body = f"{d[:4]}00000{d[4]}"
        case last:
            body = f"{d[:5]}0000{last}"
    return system + body + check


def _box_around(points: Sequence[Point]) -> tuple[Point, ...]:
    """The smallest rectangle around scattered points; one that is nearly upright begins at its top left."""
    if not points:
        return ()
    import numpy

    library = cv2()
    box = library.boxPoints(library.minAreaRect(numpy.array(points, dtype=numpy.float32)))
    first = min(range(4), key=lambda n: float(box[n][0] + box[n][1]))
    return tuple((float(box[(first + n) % 4][0]), float(box[(first + n) % 4][1])) for n in range(4))
