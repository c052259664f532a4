"""Bytes of a live connection <-> messages: picture and sound of a handheld to the centre. Pure: no port.

Every frame is `KL`, a kind, a zero byte, the length of what follows (4 bytes, most significant first), and at
most `MOST_FRAME_BYTES` of that. Words are JSON; a picture is a head and parts, so that sound never waits for
a whole picture. Whatever is not exactly that is `Malformed`, and who reads it closes the connection (G11).
docs/contract/live.md has every byte.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta

from sync.link.messages import Signed
from sync.vocabulary.bounds import Digest, Text, Time
from sync.vocabulary.codec import Malformed, strict_decoder, to_json
from sync.vocabulary.commands import LONGEST_LIVE_S

VERSION: Final = 1
MARK: Final = b"KL"
HEAD: Final = struct.Struct(">2sBBI")
PICTURE_HEAD: Final = struct.Struct(">IIHHI")
SOUND_HEAD: Final = struct.Struct(">IIB")
NUMBER: Final = struct.Struct(">I")

MOST_FRAME_BYTES: Final = 16 * 1024
PART_BYTES: Final = 8 * 1024
MOST_PICTURE_BYTES: Final = 512 * 1024
MOST_SIDE: Final = 4_096
MOST_SOUND_BYTES: Final = 960
"""120 ms at 8 kHz."""
SAMPLES_A_S: Final = 8_000
MOST_NUMBER: Final = 2**32 - 1
MOST_WATCHERS: Final = 8
MOST_ANNOUNCED: Final = 64

JPEG_BEGINS: Final = b"\xff\xd8\xff"
JPEG_ENDS: Final = b"\xff\xd9"

LiveName = Annotated[str, Meta(min_length=1, max_length=64)]
LiveNameOrNone = Annotated[str, Meta(max_length=64)]
Names = Annotated[tuple[LiveName, ...], Meta(max_length=MOST_WATCHERS)]
LeftS = Annotated[float, Meta(ge=0, le=LONGEST_LIVE_S)]


class Kind(enum.IntEnum):
    GREETING = 0x01
    OPENING = 0x02
    ACCEPTED = 0x03
    END = 0x04
    WATCHED = 0x05
    STATE = 0x06
    ANNOUNCED = 0x07
    PING = 0x10
    PONG = 0x11
    SEEN = 0x12
    PICTURE = 0x20
    PART = 0x21
    SOUND = 0x22


class Codec(enum.IntEnum):
    """By their RTP payload types (RFC 3551)."""

    MU_LAW = 0
    A_LAW = 8


# --- words, as JSON -----------------------------------------------------------------------------------------


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's first word. What opens the connection must quote its nonce."""

    version: Annotated[int, Meta(ge=1, le=1_000)] = VERSION
    site: LiveName
    nonce: Digest


class ShowOpening(msgspec.Struct, frozen=True, kw_only=True, tag="show"):
    """A device that wants to show what it sees; signed with its own key."""

    site: LiveName
    device: LiveName
    nonce: Digest
    session: LiveName
    """Random, or the id of the command that asked for it."""
    officer: LiveName
    """Who consented."""
    sound: bool
    may_be_recorded: bool
    left_s: LeftS
    """What is left of the session's time limit."""
    began: Time
    """UTC, by the device's clock; times of pictures and sound are counted from it."""


class WatchOpening(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """Somebody at the centre who wants to see; signed with the centre's key."""

    site: LiveName
    device: LiveNameOrNone
    """Empty: only tell which sessions there are."""
    nonce: Digest
    session: LiveNameOrNone = ""
    """Only this one; empty: whichever comes first."""
    officer: LiveName
    record: bool
    wait_s: Annotated[float, Meta(ge=0, le=600)]
    """For the device to begin."""


Opening = ShowOpening | WatchOpening


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    session: LiveNameOrNone
    most_bytes_a_s: Annotated[int, Meta(ge=1, le=10**9)]
    """More is refused: the connection ends."""
    limit_s: LeftS


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last word of either side."""

    why: Literal[
        "officer",
        "centre",
        "time",
        "unwatched",
        "locked",
        "failed",
        "refused",
        "revoked",
        "replaced",
        "busy",
        "absent",
        "lost",
        "stopping",
    ]
    detail: Text = ""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """To the device: who sees it now, and whether it is kept. Nobody: it sends nothing."""

    watchers: Names = ()
    recorded: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Of the device: what the officer has turned off."""

    muted: bool = False
    hidden: bool = False


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """To who watches: whose session it is."""

    device: LiveName
    session: LiveName
    officer: LiveName
    sound: bool
    may_be_recorded: bool
    began: Time
    watchers: Names = ()
    recorded: bool = False
    state: State = State()


# --- picture, sound, numbers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    seq: int
    """Counted from 0 in a connection."""
    at_ms: int
    """Since the session began, by the device's steady clock."""
    columns: int
    rows: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Sound:
    seq: int
    at_ms: int
    """Of its first sample."""
    codec: Codec
    samples: bytes
    """One byte each, 8,000 a second."""


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    number: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The hub has this picture whole."""

    seq: int


Message = (
    Greeting | Signed | Accepted | End | Watched | State | Announced | Picture | Sound | Ping | Pong | Seen
)

HUB_TAKES: Final = frozenset({Kind.END, Kind.STATE, Kind.PING, Kind.PICTURE, Kind.PART, Kind.SOUND})
"""From a device, once it is accepted."""
DEVICE_TAKES: Final = frozenset({Kind.GREETING, Kind.ACCEPTED, Kind.END, Kind.WATCHED, Kind.PONG, Kind.SEEN})
WATCHER_TAKES: Final = frozenset(
    {
        Kind.GREETING,
        Kind.ACCEPTED,
        Kind.END,
        Kind.ANNOUNCED,
        Kind.STATE,
        Kind.PICTURE,
        Kind.PART,
        Kind.SOUND,
        Kind.PONG,
    }
)

_MOST: Final = {
    Kind.GREETING: 1_024,
    Kind.OPENING: 4_096,
    Kind.ACCEPTED: 1_024,
    Kind.END: 4_096,
    Kind.WATCHED: 4_096,
    Kind.STATE: 256,
    Kind.ANNOUNCED: 4_096,
    Kind.PING: NUMBER.size,
    Kind.PONG: NUMBER.size,
    Kind.SEEN: NUMBER.size,
    Kind.PICTURE: PICTURE_HEAD.size,
    Kind.PART: MOST_FRAME_BYTES,
    Kind.SOUND: SOUND_HEAD.size + MOST_SOUND_BYTES,
}
_WORDS: Final[dict[Kind, Callable[[bytes | str], Any]]] = {
    Kind.GREETING: strict_decoder(Greeting),
    Kind.OPENING: strict_decoder(Signed),
    Kind.ACCEPTED: strict_decoder(Accepted),
    Kind.END: strict_decoder(End),
    Kind.WATCHED: strict_decoder(Watched),
    Kind.STATE: strict_decoder(State),
    Kind.ANNOUNCED: strict_decoder(Announced),
}
_KINDS: Final[dict[type, Kind]] = {
    Greeting: Kind.GREETING,
    Signed: Kind.OPENING,
    Accepted: Kind.ACCEPTED,
    End: Kind.END,
    Watched: Kind.WATCHED,
    State: Kind.STATE,
    Announced: Kind.ANNOUNCED,
}
read_opening: Final[Callable[[bytes | str], Opening]] = strict_decoder(cast("type[Opening]", Opening))


def encode(message: Message) -> tuple[bytes, ...]:
    """Frames, to be sent in this order; between two of them others may go, except another picture's."""
    match message:
        case Picture(seq, at_ms, columns, rows, jpeg):
            head = PICTURE_HEAD.pack(seq, at_ms, columns, rows, len(jpeg))
            parts = (jpeg[at : at + PART_BYTES] for at in range(0, len(jpeg), PART_BYTES))
            return (_frame(Kind.PICTURE, head), *(_frame(Kind.PART, part) for part in parts))
        case Sound(seq, at_ms, codec, samples):
            return (_frame(Kind.SOUND, SOUND_HEAD.pack(seq, at_ms, codec) + samples),)
        case Ping(number):
            return (_frame(Kind.PING, NUMBER.pack(number)),)
        case Pong(number):
            return (_frame(Kind.PONG, NUMBER.pack(number)),)
        case Seen(seq):
            return (_frame(Kind.SEEN, NUMBER.pack(seq)),)
        case _:
            return (_frame(_KINDS[type(message)], to_json(message)),)


def _frame(kind: Kind, body: bytes) -> bytes:
    return HEAD.pack(MARK, kind, 0, len(body)) + body


class Decoder:
    """Feed it whatever the connection gave, in any slices. `takes`: the kinds this end expects now."""

    def __init__(self, takes: Collection[Kind]) -> None:
        self.takes = frozenset(takes)
        self._bytes = bytearray()
        self._head: tuple[int, int, int, int, int] | None = None
        self._picture = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Whole messages. Raises `Malformed`; after that nothing more can be read."""
        self._bytes += data
        found: list[Message] = []
        while (message := self.next()) is not None:
            found.append(message)
        return found

    def add(self, data: bytes) -> None:
        """For who takes messages one by one with `next`, because one of them changes what it `takes`."""
        self._bytes += data

    def next(self) -> Message | None:
        """The next whole message; None: more bytes are needed. Raises `Malformed`."""
        while len(self._bytes) >= HEAD.size:
            mark, number, zero, length = HEAD.unpack_from(self._bytes)
            kind = self._kind(mark, number, zero, length)
            if len(self._bytes) < HEAD.size + length:
                return None
            body = bytes(self._bytes[HEAD.size : HEAD.size + length])
            del self._bytes[: HEAD.size + length]
            message = self._message(kind, body)
            if message is not None:
                return message
        return None

    def _kind(self, mark: bytes, number: int, zero: int, length: int) -> Kind:
        """Checked before any of the body is waited for."""
        if mark != MARK or zero:
            raise Malformed(f"live: expected a frame that begins with KL, got {bytes(self._bytes[:4]).hex()}")
        try:
            kind = Kind(number)
        except ValueError:
            raise Malformed(f"live: there is no kind {number:#04x}") from None
        if kind not in self.takes:
            raise Malformed(f"live: {kind.name} is not expected here")
        if length > _MOST[kind]:
            raise Malformed(f"live: {kind.name} of {length} bytes, expected at most {_MOST[kind]}")
        return kind

    def _message(self, kind: Kind, body: bytes) -> Message | None:
        match kind:
            case Kind.PICTURE:
                self._begin_picture(body)
                return None
            case Kind.PART:
                return self._part(body)
            case Kind.SOUND:
                return _sound(body)
            case Kind.PING:
                return Ping(_number(kind, body))
            case Kind.PONG:
                return Pong(_number(kind, body))
            case Kind.SEEN:
                return Seen(_number(kind, body))
            case _:
                message: Message = _WORDS[kind](body)
                return message

    def _begin_picture(self, body: bytes) -> None:
        if self._head is not None:
            raise Malformed("live: a picture begins before the one before it is whole")
        if len(body) != PICTURE_HEAD.size:
            raise Malformed(f"live: a picture's head of {len(body)} bytes, expected {PICTURE_HEAD.size}")
        head = PICTURE_HEAD.unpack(body)
        _, _, columns, rows, size = head
        if not (1 <= columns <= MOST_SIDE and 1 <= rows <= MOST_SIDE):
            raise Malformed(f"live: a picture of {columns} x {rows}, expected sides of 1 to {MOST_SIDE}")
        if not len(JPEG_BEGINS + JPEG_ENDS) <= size <= MOST_PICTURE_BYTES:
            raise Malformed(f"live: a picture of {size} bytes, expected at most {MOST_PICTURE_BYTES}")
        self._head = head
        self._picture.clear()

    def _part(self, body: bytes) -> Picture | None:
        if self._head is None:
            raise Malformed("live: a part of no picture")
        seq, at_ms, columns, rows, size = self._head
        if not body or len(self._picture) + len(body) > size:
            raise Malformed(f"live: a part of {len(body)} bytes does not fit into a picture of {size}")
        self._picture += body
        if len(self._picture) < size:
            return None
        jpeg = bytes(self._picture)
        self._head = None
        if not (jpeg.startswith(JPEG_BEGINS) and jpeg.endswith(JPEG_ENDS)):
            raise Malformed("live: a picture that is no whole JPEG file")
        return Picture(seq, at_ms, columns, rows, jpeg)


def _sound(body: bytes) -> Sound:
    if len(body) <= SOUND_HEAD.size:
        raise Malformed("live: sound without samples")
    seq, at_ms, codec = SOUND_HEAD.unpack_from(body)
    try:
        return Sound(seq, at_ms, Codec(codec), body[SOUND_HEAD.size :])
    except ValueError:
        raise Malformed(f"live: expected sound as payload type 0 or 8, got {codec}") from None


def _number(kind: Kind, body: bytes) -> int:
    if len(body) != NUMBER.size:
        raise Malformed(f"live: {kind.name} of {len(body)} bytes, expected {NUMBER.size}")
    number: int = NUMBER.unpack(body)[0]
    return number
