"""How large anything received may be: types that carry their own bounds (G11). Every field of every message,
fact and record has one; `tests/unit/test_bounds.py` walks them all.

Bounds are checked while decoding, in C. What this program writes itself is cut to fit where it is written.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MAX_NUMBER = 2**62
"""Counters beyond this are refused: they must fit a signed 64-bit column with room to add."""
MAX_NAME = 200
MAX_TEXT = 400
MAX_WORDS = 4_000
MAX_LIST = 2_000
MAX_SECONDS = 1e12
MAX_BUCKETS = 4_096
MAX_BODY = 64 * 1024

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
"""Of a device, a scope, an epoch, a key."""
NameOrNone = Annotated[str, Meta(max_length=MAX_NAME)]
"""The same, or empty."""
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
"""A field of a record."""
Words = Annotated[str, Meta(max_length=MAX_WORDS)]
"""Whatever a fact says. Longer than anything this program writes: a fact that cannot be read is parked."""
Body = Annotated[str, Meta(max_length=MAX_BODY)]
"""Exact text that is hashed or signed; a payload bounds it anyway."""
Hash = Annotated[str, Meta(min_length=64, max_length=64)]
"""SHA-256 as hex digits."""
HashOrNone = Annotated[str, Meta(max_length=64)]
Digest = Annotated[str, Meta(min_length=32, max_length=32)]
"""32 hex digits."""
Time = Annotated[str, Meta(max_length=40)]
"""UTC text as its writer's clock gave it: shown, never reckoned with."""

Count = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Number = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
"""A position in something that counts from one."""
Whole = Annotated[int, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
PerMille = Annotated[int, Meta(ge=0, le=1_000)]
Seconds = Annotated[float, Meta(ge=-MAX_SECONDS, le=MAX_SECONDS)]

Texts = Annotated[tuple[Text, ...], Meta(max_length=MAX_LIST)]
NameList = Annotated[tuple[NameOrNone, ...], Meta(max_length=MAX_LIST)]
"""Of what is looked up by: numbers of slips, ids of uses. An index takes no entry of any length."""
WordList = Annotated[tuple[Words, ...], Meta(max_length=MAX_LIST)]
WordTable = Annotated[dict[NameOrNone, Words], Meta(max_length=MAX_LIST)]
SecondsTable = Annotated[dict[NameOrNone, Seconds], Meta(max_length=MAX_LIST)]
