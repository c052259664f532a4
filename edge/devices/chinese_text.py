"""Bytes that are UTF-8 or GB 18030 -> text, whatever is said of them. Knows no device.

Bytes of one encoding are often valid in the other: 豫 and 鲁, the plates of two provinces, are in GB 18030
the bytes of a letter of another alphabet in UTF-8. UTF-8 is believed, unless no Chinese character came of it
and a plate's beginning does in GB 18030.
"""

from __future__ import annotations

import re

_PLATE_BEGINS = re.compile("[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使][A-Z]")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_THREE_BYTES = "\u0800"
"""The first character that takes three bytes in UTF-8, as all Chinese ones do."""


def decode(content: bytes) -> str:
    """Without a byte order mark. Raises `UnicodeDecodeError` where it is neither."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        other = content.decode("gb18030")
        if _PRIVATE.search(other):
            # no character anybody writes: it was UTF-8 with a byte changed
            raise error from None
        return other
    if text.isascii() or max(text) >= _THREE_BYTES:
        return text
    try:
        other = content.decode("gb18030")
    except UnicodeDecodeError:
        return text
    return other if _PLATE_BEGINS.search(other) else text
