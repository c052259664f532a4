"""Bytes of a live connection: every kind there and back, in any slices; the rest is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.link.live_wire import (
    DEVICE_TAKES,
    HUB_TAKES,
    MOST_FRAME_BYTES,
    MOST_PICTURE_BYTES,
    MOST_SOUND_BYTES,
    WATCHER_TAKES,
    Accepted,
    Announced,
    Codec,
    Decoder,
    End,
    Greeting,
    Kind,
    Message,
    Picture,
    Ping,
    Pong,
    Seen,
    Sound,
    State,
    Watched,
    encode,
)
from sync.link.messages import Signed
from sync.vocabulary.codec import Malformed

EVERYTHING = frozenset(Kind)
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 100 + b"\xff\xd9"
MESSAGES: tuple[Message, ...] = (
    Greeting(site="s1", nonce="0" * 32),
    Signed('{"type":"show"}', "hand-1", "c2ln"),
    Accepted(session="live-1", most_bytes_a_s=1_000_000, limit_s=300.0),
    Watched(watchers=("4604009",), recorded=True),
    State(muted=True, hidden=False),
    Announced(
        device="hand-1", session="live-1", officer="4604001", sound=True, may_be_recorded=False, began="2026"
    ),
    Ping(7),
    Pong(2**32 - 1),
    Seen(0),
    Picture(3, 1_250, 640, 480, JPEG),
    Sound(9, 1_260, Codec.A_LAW, bytes(320)),
    End(why="officer", detail="said goodbye"),
)


def frame(kind: int, body: bytes, *, mark: bytes = b"KL", zero: int = 0) -> bytes:
    return struct.pack(">2sBBI", mark, kind, zero, len(body)) + body


def head(columns: int = 4, rows: int = 4, size: int = 10) -> bytes:
    return struct.pack(">IIHHI", 1, 2, columns, rows, size)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_what_is_encoded_is_decoded(message: Message) -> None:
    assert Decoder(EVERYTHING).feed(b"".join(encode(message))) == [message]


@given(cuts=st.lists(st.integers(0, 40_000), max_size=40))
def test_any_slices_give_the_same_messages(cuts: list[int]) -> None:
    whole = b"".join(part for message in MESSAGES for part in encode(message))
    decoder, found, at = Decoder(EVERYTHING), [], 0
    for cut in [*sorted(min(cut, len(whole)) for cut in cuts), len(whole)]:
        found += decoder.feed(whole[at:cut])
        at = cut
    assert tuple(found) == MESSAGES


def test_sound_goes_between_the_parts_of_a_picture() -> None:
    begin, first, *rest = encode(Picture(0, 0, 640, 480, JPEG))
    (sound,) = encode(Sound(0, 0, Codec.MU_LAW, b"\xff" * 320))
    found = Decoder(HUB_TAKES).feed(b"".join((begin, first, sound, *rest)))
    assert [type(each) for each in found] == [Sound, Picture]


def test_no_frame_of_ours_is_longer_than_a_reader_takes() -> None:
    picture = Picture(0, 0, 4096, 4096, b"\xff\xd8\xff" + bytes(MOST_PICTURE_BYTES - 5) + b"\xff\xd9")
    assert max(map(len, encode(picture))) <= 8 + MOST_FRAME_BYTES
    assert Decoder(HUB_TAKES).feed(b"".join(encode(picture))) == [picture]


HOSTILE = {
    "another mark": frame(Kind.PING, b"\0" * 4, mark=b"GE"),
    "a byte that must be zero": frame(Kind.PING, b"\0" * 4, zero=1),
    "a kind there is none of": frame(0x7F, b""),
    "a kind that is not expected here": encode(MESSAGES[0])[0],
    "a part of no picture": frame(Kind.PART, b"x"),
    "an empty part": frame(Kind.PICTURE, head()) + frame(Kind.PART, b""),
    "a part too long for its picture": frame(Kind.PICTURE, head())
    + frame(Kind.PART, b"\xff\xd8\xff" + b"x" * 6 + b"\xff\xd9"),
    "a picture within a picture": frame(Kind.PICTURE, head()) * 2,
    "a picture of no size": frame(Kind.PICTURE, head(columns=0)),
    "a picture wider than any": frame(Kind.PICTURE, head(columns=5_000)),
    "a picture longer than any": frame(Kind.PICTURE, head(size=MOST_PICTURE_BYTES + 1)),
    "a picture's head cut short": frame(Kind.PICTURE, head()[:-1]),
    "no JPEG": frame(Kind.PICTURE, head()) + frame(Kind.PART, b"0123456789"),
    "a JPEG without its end": frame(Kind.PICTURE, head()) + frame(Kind.PART, b"\xff\xd8\xff" + b"x" * 7),
    "sound without samples": frame(Kind.SOUND, struct.pack(">IIB", 0, 0, 0)),
    "sound of another codec": frame(Kind.SOUND, struct.pack(">IIB", 0, 0, 3) + b"x"),
    "too much sound": frame(Kind.SOUND, struct.pack(">IIB", 0, 0, 0) + bytes(MOST_SOUND_BYTES + 1)),
    "a ping of three bytes": frame(Kind.PING, b"\0" * 3),
    "words that are no JSON": frame(Kind.STATE, b"{"),
    "words that are no UTF-8": frame(Kind.STATE, b'{"muted":"\xff"}'),
    "a word of another type": frame(Kind.STATE, b'{"muted":"yes"}'),
    "a key that stands twice": frame(Kind.STATE, b'{"muted":true,"muted":false}'),
    "an end for no known reason": frame(Kind.END, b'{"why":"because"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        Decoder(HUB_TAKES).feed(HOSTILE[name])


def test_a_frame_too_long_is_refused_before_any_of_it_is_kept() -> None:
    claimed = struct.pack(">2sBBI", b"KL", Kind.STATE, 0, 2**32 - 1)
    with pytest.raises(Malformed):
        Decoder(HUB_TAKES).feed(claimed)


@given(data=st.binary(max_size=400), takes=st.sampled_from([HUB_TAKES, DEVICE_TAKES, WATCHER_TAKES]))
def test_any_bytes_at_all_are_messages_or_refused(data: bytes, takes: frozenset[Kind]) -> None:
    decoder = Decoder(takes)
    try:
        found = decoder.feed(b"KL" + data)
    except Malformed:
        return
    assert all(b"".join(encode(message)) for message in found)
