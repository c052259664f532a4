"""Evidence that is too big for a fact: bytes named by their hash. Facts name blobs, blobs know no fact.

What is in a blob (a picture, an X-ray image) is nobody's business here.
"""

from __future__ import annotations

import enum
from typing import Final, assert_never

import msgspec

from sync.vocabulary.facts import FactData, PictureTaken
from sync.vocabulary.handheld_facts import EvidenceTaken
from sync.vocabulary.xray_facts import XRayFileKept

MAX_BLOB_BYTES = 16 * 1024 * 1024
"""A blob is held in memory while it travels."""


class BlobClass(enum.StrEnum):
    """What a blob is evidence of: the order in which blobs go up, and the reverse of that in which they go
    when a disk is full (G8)."""

    HELD = "held"
    """Of a hold, a refusal or an alarm."""
    ROUTINE = "routine"


CLASSES: tuple[BlobClass, ...] = tuple(BlobClass)
"""The most urgent first."""


class BlobNamed(msgspec.Struct, frozen=True):
    """A blob as a fact names it."""

    sha256: str
    size_bytes: int
    passage: int | None = None


def named_by(data: FactData | None) -> BlobNamed | None:
    """The blob a fact stands on, if it names one."""
    if not isinstance(data, _NAMING):
        return None
    match data:
        case PictureTaken(passage=passage, sha256=sha256, size_bytes=size_bytes):
            return BlobNamed(sha256, size_bytes, passage)
        case EvidenceTaken(sha256=sha256, size_bytes=size_bytes):
            return BlobNamed(sha256, size_bytes)
        case XRayFileKept(sha256=sha256, size_bytes=size_bytes):
            return BlobNamed(sha256, size_bytes)
        case _:
            assert_never(data)


_NAMING: Final = (PictureTaken, EvidenceTaken, XRayFileKept)
"""Asked of every fact that comes."""
