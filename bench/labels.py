"""Pictures of labels: codes written by zxing-cpp, laid before a background at any angle, then spoilt."""

from __future__ import annotations

from typing import Any

import cv2
import numpy

WHITE = 245


def code(text: str | bytes, kind: str, *, scale: int = 1, quiet: bool = True) -> Any:
    """`kind`: a name of zxing-cpp's `BarcodeFormat`. Grey, (rows, columns)."""
    import zxingcpp

    made = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    return numpy.array(made.to_image(scale=scale, add_quiet_zones=quiet))


def waybill(text: str, module: float = 3.0, ratio: float = 5.0, kind: str = "Code128") -> Any:
    """A linear code of `module` dots a module, `ratio` times as long as high, on a white label."""
    bars = code(text, kind, quiet=False)
    row = bars[bars.shape[0] // 2]
    long = round(len(row) * module)
    upright = cv2.resize(
        numpy.tile(row, (2, 1)), (long, round(long / ratio)), interpolation=cv2.INTER_NEAREST
    )
    margin = round(12 * module)
    return cv2.copyMakeBorder(upright, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=WHITE)


def frame(
    label: Any,
    *,
    tilt_deg: float = 0,
    seed: int = 1,
    blur: float = 0.7,
    noise: float = 5.0,
    centre: tuple[float, float] = (0.5, 0.5),
) -> Any:
    """The label turned about its middle, before an uneven background, then blurred and made noisy."""
    rows, columns = 720, 1280
    rng = numpy.random.default_rng(seed)
    patches = rng.integers(60, 200, (rows // 40 + 2, columns // 40 + 2)).astype(numpy.uint8)
    ground = cv2.resize(patches, (columns, rows), interpolation=cv2.INTER_CUBIC)
    high, wide = label.shape
    turn = cv2.getRotationMatrix2D((wide / 2, high / 2), tilt_deg, 1)
    turn[0, 2] += columns * centre[0] - wide / 2
    turn[1, 2] += rows * centre[1] - high / 2
    laid = cv2.warpAffine(label, turn, (columns, rows), flags=cv2.INTER_LINEAR)
    there = cv2.warpAffine(numpy.full_like(label, 255), turn, (columns, rows))
    seen = cv2.GaussianBlur(numpy.where(there > 127, laid, ground), (0, 0), blur)
    spoilt = numpy.clip(seen + rng.normal(0, noise, seen.shape), 0, 255)
    return spoilt.astype(numpy.uint8)
