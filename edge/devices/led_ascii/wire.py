"""Bytes of a board that shows lines of plain text <-> messages. No port, no clock, no layout of rows.

The generic form many boards can be set to, none in particular: a line is an optional row word (`[1]`, rows
counted from 1), an optional colour word (`[R]`), the text, and an ending (CR LF). A line for a voice module
on the same cable begins with a voice word instead. The words are the site's settings. Text is ASCII or
GB2312; what the encoding does not know, and control characters, are shown as `?`; so is the first character
of what would read as one of the words, so that a text never holds one.

What the line is worth: no check. A board shows what it heard, and answers nothing.

Source: none; made up, as every board of this kind has its own words. Written down in its page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.framing import MORE, NO_START, Cutter, NotHere, Unfinished, Whole
from edge.devices.readings import ReadGarbled

Encoding = Literal["ascii", "gb2312"]
MOST_BYTES = 512


@dataclass(frozen=True, slots=True)
class Words:
    """Every word may be empty: then it is not sent."""

    row: str
    """With `{}` where the row's number goes."""
    colours: tuple[tuple[str, str], ...]
    """(colour, word)"""
    voice: str
    ending: bytes
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    row: int | None = None
    """Counted from 0; None where the line does not say."""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    text: str


Message = Line | Voice


def encode(message: Message, words: Words, most_bytes: int = MOST_BYTES) -> bytes:
    """`most_bytes` counts the text alone."""
    text = _encoded(_harmless(message.text, words), words.encoding, most_bytes)
    match message:
        case Voice():
            head = words.voice
        case Line(_, row, colour):
            number = words.row.replace("{}", str(row + 1)) if row is not None else ""
            head = number + dict(words.colours).get(colour, "")
    return head.encode("ascii") + text + words.ending


def _encoded(text: str, encoding: Encoding, most_bytes: int) -> bytes:
    """Shortened at a character, never inside one."""
    out = b""
    for character in text:
        shown = character.encode(encoding, "replace") if character.isprintable() else b"?"
        if len(out) + len(shown) > most_bytes:
            break
        out += shown
    return out


def _harmless(text: str, words: Words) -> str:
    """Nothing a board would take for a word of its own."""
    for word in _all(words):
        text = text.replace(word, "?" + word[1:])
    return text


def _all(words: Words) -> tuple[str, ...]:
    every = (*(word for _, word in words.colours), words.voice, words.row.partition("{}")[0])
    return tuple(word for word in every if word)


def decoder(words: Words) -> Cutter[Message | ReadGarbled]:
    """For looking at a line: only what begins with a row word or a voice word is one."""
    begins = {word[:1].encode() for word in (words.row, words.voice) if word}
    most = MOST_BYTES + 64

    def look(held: bytes, at: int) -> Whole[Message | ReadGarbled] | NotHere | Unfinished:
        if held[at : at + 1] not in begins:
            return NO_START
        end = held.find(words.ending, at, at + most)
        if end < 0:
            return MORE if len(held) - at < most else NotHere("no ending")
        message = _message(held[at:end], words)
        if isinstance(message, str):
            return NotHere(message)
        return Whole(end + len(words.ending) - at, message)

    return Cutter(look)


def _message(line: bytes, words: Words) -> Message | str:
    try:
        whole = line.decode(words.encoding)
    except UnicodeDecodeError:
        return f"not {words.encoding}"
    if not whole.isprintable():
        return "a control character in the line"
    message = _headed(whole, words)
    if message is None:
        return "neither a row word nor a voice word in front"
    if any(word in message.text for word in _all(words)):
        return "a word of the board inside the text"
    return message


def _headed(whole: str, words: Words) -> Message | None:
    if words.voice and whole.startswith(words.voice):
        return Voice(whole.removeprefix(words.voice))
    row, text = _row(whole, words)
    if row is None:
        return None
    for colour, word in words.colours:
        if word and text.startswith(word):
            return Line(text.removeprefix(word), row, colour)
    return Line(text, row)


def _row(text: str, words: Words) -> tuple[int | None, str]:
    before, place, after = words.row.partition("{}")
    if not place or not text.startswith(before):
        return None, text
    digits = text[len(before) :][:2]
    number = digits if digits.isdecimal() else digits[:1]
    rest = text[len(before) + len(number) :]
    if not (number.isascii() and number.isdecimal() and rest.startswith(after)) or int(number) < 1:
        return None, text
    return int(number) - 1, rest.removeprefix(after)
