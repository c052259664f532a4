"""What past pictures are found by when one looks like them: a short form of each one's descriptor, in a file
of JSON lines for each day, beside the index. A help and no proof: of a day whose file is lost nothing is
found by likeness. One thread writes, any may read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from edge.xray_bridge.imaging.comparing import Shapes, shape_of
from edge.xray_bridge.imaging.describing import GRID, Descriptor, DescriptorRefused
from edge.xray_bridge.imaging.tables import MATERIAL_BINS

MOST_LOOKED_AT: Final = 30_000
"""Pictures of a search, the newest ones: two days of a full line."""
_MOST_BYTES: Final = 64_000_000
"""Of a day."""
_CELLS: Final = GRID[0] * GRID[1] * 3
_FORM_BYTES: Final = 2 * (MATERIAL_BINS + _CELLS)
_FORM_TEXT: Final = (_FORM_BYTES + 2) // 3 * 4


class Like(msgspec.Struct, frozen=True, array_like=True):
    """One picture."""

    picture: Annotated[str, Meta(max_length=200)]
    calibration: Annotated[str, Meta(max_length=16)]
    mass_g: Annotated[float, Meta(ge=0, le=1e6)]
    form: Annotated[str, Meta(min_length=_FORM_TEXT, max_length=_FORM_TEXT)]
    """Base64 of half floats: the histogram of materials, then the layout in its first pose."""


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Pictures of one day, in the order they came."""

    day: str
    pictures: Sequence[str]
    shapes: Shapes


_decode = msgspec.json.Decoder(Like).decode


def line_of(picture: str, descriptor: bytes) -> bytes | None:
    """None where there is nothing to be found by. Without its end of line."""
    if descriptor in (b"", b"null"):
        return None
    try:
        read = Descriptor.read(descriptor)
    except DescriptorRefused:
        return None
    histogram, layout = shape_of(read)
    form = np.concatenate([histogram, layout.ravel()]).astype("<f2").tobytes()
    like = Like(picture, read.calibration, read.mass_g, base64.b64encode(form).decode())
    return msgspec.json.encode(like)


def looked_through(path: Path, day: str, calibration: str, most: int) -> Looked | None:
    """The newest of a day that were described by that calibration: by another one the same goods look like
    others. What is no line is passed over; None: there is nothing."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    likes = list(_read(data, calibration))[-most:]
    if not likes:
        return None
    forms = np.frombuffer(b"".join(form for _, form in likes), "<f2").astype(np.float64)
    forms = forms.reshape(len(likes), -1)
    return Looked(
        day,
        [like.picture for like, _ in likes],
        Shapes(
            np.array([like.mass_g for like, _ in likes]),
            forms[:, :MATERIAL_BINS],
            forms[:, MATERIAL_BINS:].reshape(len(likes), -1, 3),
        ),
    )


def _read(data: bytes, calibration: str) -> Iterator[tuple[Like, bytes]]:
    *whole, _unfinished = data.split(b"\n")
    for text in whole:
        try:
            like = _decode(text)
            form = base64.b64decode(like.form, validate=True)
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error):
            continue
        if like.calibration == calibration and len(form) == _FORM_BYTES:
            yield like, form
