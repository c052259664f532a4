"""Bytes between core and glass <-> sealed messages. No socket, no clock, no message's meaning.

Any app of the device can connect to a port of the loopback: that a frame opens is the proof that its sender
has read the token file, which only this app's own user can. Each side sends `MAGIC` and 32 random bytes in
the clear; both keys come from token and both randoms (HKDF, RFC 5869); every frame is AES-256-GCM with its
number as nonce, so a frame left out, repeated or of another conversation does not open. A PIN travels here.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC: Final = b"KKJ1"
RANDOM_BYTES: Final = 32
GREETING_BYTES: Final = len(MAGIC) + RANDOM_BYTES
TOKEN_BYTES: Final = 32

MOST_FRAME_BYTES: Final = 16 * 1024 * 1024
"""A photo of 12 megapixels at full quality is about 6 MB, and a third more as text."""

MOST_FIRST_BYTES: Final = 4_096
"""Of the first frame: who has not shown the token yet is not believed with megabytes."""

_LENGTH: Final = struct.Struct(">I")
_TAG_BYTES: Final = 16


class NotOurs(Exception):
    """What came is no frame of this conversation: wrong token, a foreign app, or bytes lost. Hang up."""


def greeting(random: bytes) -> bytes:
    """What each side sends first, in the clear. `random`: 32 bytes, fresh for each connection."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"random: expected {RANDOM_BYTES} bytes, got {len(random)}")
    return MAGIC + random


class Seal:
    """One side's view of one connection, from both greetings on."""

    def __init__(self, token: bytes, *, core_random: bytes, glass_random: bytes, is_core: bool) -> None:
        if len(token) != TOKEN_BYTES:
            raise ValueError(f"token: expected {TOKEN_BYTES} bytes, got {len(token)}")
        keys = HKDF(SHA256(), 64, core_random + glass_random, b"kakou handheld joint 1").derive(token)
        from_core, from_glass = AESGCM(keys[:32]), AESGCM(keys[32:])
        self._out, self._in = (from_core, from_glass) if is_core else (from_glass, from_core)
        self._sent = 0
        self._opened = 0

    def frame(self, message: bytes) -> bytes:
        """Raises `ValueError` for a message that is too long; then nothing was counted."""
        if len(message) + _TAG_BYTES > MOST_FRAME_BYTES:
            raise ValueError(f"a message of {len(message)} bytes, at most {MOST_FRAME_BYTES - _TAG_BYTES} go")
        nonce = self._sent.to_bytes(12, "big")
        self._sent += 1
        sealed = self._out.encrypt(nonce, message, None)
        return _LENGTH.pack(len(sealed)) + sealed

    def message(self, sealed: bytes) -> bytes:
        """Raises `NotOurs`."""
        nonce = self._opened.to_bytes(12, "big")
        try:
            message = self._in.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise NotOurs("a frame that was not sealed with this conversation's key") from None
        self._opened += 1
        return message


class Cutter:
    """Feed it whatever the socket gave, in any slices: first the other side's random, then sealed frames."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._other: bytes | None = None
        self._most_bytes = MOST_FIRST_BYTES

    @property
    def other_random(self) -> bytes | None:
        """None until its greeting is whole."""
        return self._other

    def trust(self) -> None:
        """The first frame opened: from now on frames may have their full length."""
        self._most_bytes = MOST_FRAME_BYTES

    def feed(self, data: bytes) -> list[bytes]:
        """Whole sealed frames, in order. Raises `NotOurs`: then nothing of this connection counts."""
        self._held += data
        if self._other is None:
            begun = bytes(self._held[: len(MAGIC)])
            if not MAGIC.startswith(begun):
                raise NotOurs(f"expected a greeting, got {begun!r}")
            if len(self._held) < GREETING_BYTES:
                return []
            self._other = bytes(self._held[len(MAGIC) : GREETING_BYTES])
            del self._held[:GREETING_BYTES]
        frames = []
        at = 0
        while len(self._held) - at >= _LENGTH.size:
            (size_bytes,) = _LENGTH.unpack_from(self._held, at)
            if not _TAG_BYTES <= size_bytes <= self._most_bytes:
                raise NotOurs(f"a frame of {size_bytes} bytes")
            if len(self._held) - at - _LENGTH.size < size_bytes:
                break
            at += _LENGTH.size
            frames.append(bytes(self._held[at : at + size_bytes]))
            at += size_bytes
        del self._held[:at]
        return frames
