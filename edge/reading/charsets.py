"""Bytes of a code -> its text. Knows no picture and no decoder's interface.

Codes seldom say what their bytes mean. UTF-8 is believed where it is valid; else, in two-dimensional codes,
Chinese (GB 18030) is, unless the decoder was told a character set (ECI, Kanji mode) or the bytes are plainly
western or Japanese. Linear codes carry ISO 8859-1 above ASCII by their standard, which is what decoders give.

Why not the decoder's own guess: it takes 运单号 for ﾔﾋｵ･ｺﾅ and other Chinese texts for ISO 8859-1.
"""

from __future__ import annotations

import re
from typing import Final

from edge.reading.scans import MATRIX

_PRIVATE: Final = re.compile("[\ue000-\uf8ff]")
_TWO_HIGH_BYTES: Final = re.compile(rb"[\x80-\xff]{2}")
_KANA: Final = re.compile("[ぁ-ヾｦ-ﾟ]")
_VOICED: Final = re.compile("[ｳｶ-ﾄﾊ-ﾎ][ﾞﾟ]")
_LONE_MARK: Final = re.compile("(?<![ｳｶ-ﾄﾊ-ﾎ])[ﾞﾟ]")
_KANA_MARKS: Final = 2
"""Two sounds with their marks and no mark astray: so look 1 to 7 of 10,000 Chinese texts of two to six
characters drawn at random, and most Japanese ones in narrow kana."""
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_USUAL: Final = re.compile("[°±²³µ·×÷£¥§©®¼½¾«»¡¿]|[À-ÖØ-öø-ſ]+|[Ά-ώ]+|[Ѐ-џҐґ]+")
"""A symbol by itself, or letters of one alphabet."""
_THREE_BYTES: Final = "\u0800"
"""The first character that takes three bytes in UTF-8, as all Chinese ones do."""


def text_of(raw: bytes, said: str, symbology: str) -> str:
    """`said`: the decoder's own opinion, where it has one."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return text if text.isascii() or _is_usual(text) else _in_gb2312(raw) or text
    if symbology not in MATRIX:
        return said
    if _encoded(said, "latin-1") == raw:
        chinese = _chinese(raw)
        return said if chinese is None or not _TWO_HIGH_BYTES.search(raw) else chinese
    if said and _encoded(said, "cp932") == raw:
        chinese = _chinese(raw)
        return said if chinese is None or _is_japanese(said, raw) else chinese
    return said or _unsaid(raw)


def _unsaid(raw: bytes) -> str:
    """Where no decoder has an opinion."""
    try:
        japanese = raw.decode("cp932")
    except UnicodeDecodeError:
        japanese = ""
    if _KANA.search(japanese) and _is_japanese(japanese, raw):
        return japanese
    return _chinese(raw) or raw.decode("latin-1")


def _is_usual(text: str) -> bool:
    """Of UTF-8: whether somebody would write that. 圆通 in GB 2312 is UTF-8 too, of an Armenian letter and a
    lone accent."""
    return max(text) >= _THREE_BYTES or all(_USUAL.fullmatch(run) for run in _NOT_ASCII.findall(text))


def _in_gb2312(raw: bytes) -> str | None:
    try:
        return raw.decode("gb2312")
    except UnicodeDecodeError:
        return None


def _chinese(raw: bytes) -> str | None:
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return None
    return None if _PRIVATE.search(text) else text


def _encoded(text: str, charset: str) -> bytes | None:
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return None


def _is_japanese(said: str, raw: bytes) -> bool:
    """Of bytes that can be both. Outside GB 2312, the 6,763 characters everybody writes, it is Japanese."""
    if _in_gb2312(raw) is None:
        return True
    return len(_VOICED.findall(said)) >= _KANA_MARKS and not _LONE_MARK.search(said)
