"""XML that customs systems send -> text and elements, without DTD or entities. No field, no meaning.

Files declare one encoding and hold another: bytes are read as declared, then as UTF-8, then as GB 18030, and
the first way in which a whole message makes sense is taken.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ErrorString

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from sync.vocabulary.codec import Malformed

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_KNOWN_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "gb18030": "gb18030",
}
"""GB 18030 contains GB 2312 and GBK, and files that declare the small one use the large one."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FIRST_TAG = re.compile(r"<(?:[A-Za-z_][\w.-]{0,40}:)?([A-Za-z_][\w.-]{0,60})[\s/>]")
_LOOKED_AT = 4096
_FED_AT_ONCE = 1 << 16
"""So that a hostile file is refused where it goes wrong, not after all of it."""


class Target(Protocol):
    """What hears the elements; may raise `Malformed`."""

    line: Callable[[], int]
    """Set by `feed`: the line reading stands at."""

    def start(self, tag: str, attributes: dict[str, str], /) -> None: ...
    def data(self, text: str, /) -> None: ...
    def end(self, tag: str, /) -> None: ...
    def close(self) -> None: ...


def declared(data: bytes) -> str:
    """`utf-8`, `utf-16` or `gb18030`, by byte order mark or prolog."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    declaration = _DECLARATION.match(data)
    name = declaration.group(1).decode().lower() if declaration else "utf-8"
    return _KNOWN_ENCODINGS.get(name, "utf-8")


def ways_to_read(data: bytes) -> Iterator[tuple[str, str]]:
    """(encoding, text), the declared one first; nothing where the bytes are no text at all."""
    for encoding in dict.fromkeys((declared(data), "utf-8", "gb18030")):
        try:
            yield encoding, data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue


def root_name(data: bytes) -> str:
    """The root element's name without its prefix, at a glance; empty where none is seen. Proves nothing."""
    text = data[:_LOOKED_AT].decode("utf-16" if declared(data) == "utf-16" else "latin-1", "replace")
    found = _FIRST_TAG.search(text)
    return found.group(1) if found else ""


def feed(text: str, target: Target, what: str) -> None:
    """Let `target` hear every element. Raises `Malformed`, which begins with `what` and quotes no text."""
    parser: Any = DefusedXMLParser(target=target, forbid_dtd=True)
    target.line = lambda: int(parser.parser.CurrentLineNumber)
    try:
        for at in range(0, len(text), _FED_AT_ONCE):
            parser.feed(text[at : at + _FED_AT_ONCE])
        parser.close()
    except Malformed:
        raise
    except DefusedXmlException as error:
        raise Malformed(
            f"{what}: expected plain XML without DTD or entities, found {type(error).__name__}"
        ) from error
    except ParseError as error:
        # Its own text may quote what stands there, which may be somebody's name.
        line, column = error.position
        why = ErrorString(error.code)
        raise Malformed(f"{what}: expected well-formed XML: {why}: line {line}, column {column}") from error
    except ValueError as error:
        raise Malformed(f"{what}: expected well-formed XML: {type(error).__name__}") from error
