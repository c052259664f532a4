"""Whether bytes are a whole JPEG: how it begins and how it ends. Decodes nothing, looks at nothing between.

Begin and end find a picture cut off and bytes that are no picture. A byte changed inside is not seen: that is
left to whoever looks at the picture; its SHA-256 is taken from the bytes as they came.
"""

from __future__ import annotations

from edge.devices.readings import ReadGarbled, ReadTruncated

_BEGIN = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_PADDING = b"\0\r\n"
KEPT_BYTES = 64


def check(content: bytes, *, most_bytes: int) -> bytes | ReadGarbled | ReadTruncated:
    """The picture without padding behind it; what it is instead where it is no whole JPEG."""
    if not content.startswith(_BEGIN):
        return ReadGarbled(content[:KEPT_BYTES], "a picture that is no JPEG")
    if len(content) > most_bytes:
        return ReadGarbled(content[:KEPT_BYTES], f"a picture of {len(content)} bytes, longer than allowed")
    picture = content.rstrip(_PADDING)
    return picture if picture.endswith(_END) else ReadTruncated(content[-KEPT_BYTES:])
