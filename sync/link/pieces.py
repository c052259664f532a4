"""Pieces of a snapshot <-> payloads of the batch topic. Pure: no clock, no port, no file.

A piece is bytes, not JSON, and not signed: its hash stands in a page whose hash is in the signed manifest.
`KKS1`, the first 16 bytes of the snapshot's name, `P` (piece) or `H` (page of hashes), its index in 4 bytes
big-endian, then its bytes.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.vocabulary.codec import Malformed

MAGIC = b"KKS1"
_HEAD = struct.Struct(">4s16scI")


class PieceKind(enum.StrEnum):
    PIECE = "P"
    PAGE = "H"


@dataclass(frozen=True, slots=True)
class Piece:
    snapshot: str
    """First 32 hex digits of the snapshot's name."""
    kind: PieceKind
    index: int
    data: bytes


def short_name(snapshot: str) -> str:
    """The part of a snapshot's name that its pieces carry."""
    return snapshot[:32]


def is_piece(payload: bytes) -> bool:
    """Whether a payload of the batch topic is a piece; everything signed begins with a brace."""
    return payload.startswith(MAGIC)


def piece_payload(piece: Piece) -> bytes:
    return _HEAD.pack(MAGIC, bytes.fromhex(piece.snapshot), piece.kind.encode(), piece.index) + piece.data


def read_piece(payload: bytes) -> Piece:
    """Whatever the bytes, raises only `Malformed`."""
    if not _HEAD.size < len(payload) <= MAX_PAYLOAD_BYTES:
        raise Malformed(f"piece: {len(payload)} bytes, expected {_HEAD.size + 1} to {MAX_PAYLOAD_BYTES}")
    magic, name, kind, index = _HEAD.unpack_from(payload)
    if magic != MAGIC or kind not in (b"P", b"H"):
        raise Malformed("piece: expected KKS1, a name, then P or H")
    return Piece(name.hex(), PieceKind(kind.decode()), index, payload[_HEAD.size :])
