"""Where a line of Chinese may not end or begin (避头尾). Pure.

Kivy breaks a line wherever it is full: a full stop then begins the next one. What is told here is where to
break earlier, so that the sign stands beside the character it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NEVER_FIRST: Final = frozenset("。，、；：？！）」』】》〉”’…％℃%·")
NEVER_LAST: Final = frozenset("（「『【《〈“‘")


def kept_together(text: str, lines: Sequence[str]) -> str:
    """`text` with a line's end before what has to go to the next line, once; the same text where every line
    begins and ends as it may, or where nothing could be better. `lines`: as they were broken, without the
    blanks between them."""
    begun, ended = 0, 0
    for number, line in enumerate(lines):
        start = text.find(line, ended)
        if start < 0:
            return text
        if number and line and start == ended:
            # Nothing between them: no blank and no line's end that was wanted.
            cut = start
            while cut > begun and not _may_part(text, cut):
                cut -= 1
            if begun < cut < start:
                return f"{text[:cut]}\n{text[cut:]}"
        begun, ended = start, start + len(line)
    return text


def _may_part(text: str, at: int) -> bool:
    """Whether a line may end before this character."""
    before, after = text[at - 1], text[at]
    in_word = before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
    return not in_word and after not in NEVER_FIRST and before not in NEVER_LAST
