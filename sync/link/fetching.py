"""Shorter ways to equal records than the log (G5): the effects of both, and a snapshot fetched in pieces; how
a difference is mended by bucket is `mending`. No clock, no file, no signature: verified values come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.link.messages import (
    MAX_PAGES,
    MAX_RANGES,
    PAGE_HASHES,
    PIECE_BYTES,
    PiecesAsked,
    SnapshotManifest,
)
from sync.link.pieces import Piece, short_name
from sync.store.snapshots import Wanted

WINDOW = 32
"""Pieces asked for at once: some 2 MB."""
MAX_SNAPSHOT_BYTES = MAX_PAGES * PAGE_HASHES * PIECE_BYTES
_HEX = frozenset("0123456789abcdef")

Rows = tuple[tuple[str, str, str], ...]
"""Collection, key, body."""


# --- effects and events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BeginSnapshot:
    """Begin to fetch it, or go on where an earlier run was stopped. Answered with `SnapshotSeen`."""

    manifest: SnapshotManifest
    payload: bytes
    """The manifest as the centre signed it: after a restart it has to be believed again."""


@dataclass(frozen=True, slots=True)
class KeepPiece:
    """Answered with `SnapshotSeen`."""

    piece: Piece


@dataclass(frozen=True, slots=True)
class WorkOnSnapshot:
    """Unpack and check a slice. Answered with `SnapshotWorked`, or `GenerationBegun` at the end."""


@dataclass(frozen=True, slots=True)
class DropSnapshot:
    """Nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class BeginSurvey:
    """Take the bucket sums of a generation from its rows. Answered with `SurveyWorked` or `Surveyed`."""

    generation: int
    collect: tuple[int, ...]
    """Buckets whose rows are kept for `Mend`."""


@dataclass(frozen=True, slots=True)
class WorkOnSurvey:
    """The next slice."""


@dataclass(frozen=True, slots=True)
class Mend:
    """Make these buckets the centre's, in one transaction. Answered with `RecordsMended`."""

    generation: int
    number: int
    rows: Mapping[int, Rows]


@dataclass(frozen=True, slots=True)
class SnapshotSeen:
    """How the fetching stands; `right` is False where a piece was not what its hash says."""

    wanted: Wanted
    right: bool = True


@dataclass(frozen=True, slots=True)
class SnapshotWorked:
    """There is more to do."""


@dataclass(frozen=True, slots=True)
class SurveyWorked:
    """There is more to do."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    generation: int
    number: int
    sums: tuple[int, ...]
    """Of the rows."""
    kept: tuple[int, ...]
    """Of the file about itself."""


# --- a snapshot on its way --------------------------------------------------------------------------------


def fault_of_manifest(manifest: SnapshotManifest) -> str:
    """Why a signed manifest cannot be meant; empty when it can. Scope, epoch and number are the caller's."""
    pieces = -(-manifest.packed_bytes // manifest.piece_bytes) if manifest.piece_bytes > 0 else 0
    if not 0 < manifest.piece_bytes <= PIECE_BYTES or not 0 < manifest.packed_bytes <= MAX_SNAPSHOT_BYTES:
        return f"expected pieces of 1 to {PIECE_BYTES} bytes, at most {MAX_SNAPSHOT_BYTES} in all"
    if not 0 < manifest.size_bytes <= 64 * MAX_SNAPSHOT_BYTES or manifest.rows < 0:
        return "expected a size and a number of rows that can be"
    if len(manifest.pages) != -(-pieces // PAGE_HASHES) or len(manifest.pages) > MAX_PAGES:
        return f"expected {-(-pieces // PAGE_HASHES)} pages for {pieces} pieces, got {len(manifest.pages)}"
    for name in (manifest.sha256, manifest.packed_sha256, *manifest.pages):
        if len(name) != 64 or not _HEX.issuperset(name):
            return "expected hashes of 64 lower-case hex digits"
    if len(manifest.digest) != 32 or not _HEX.issuperset(manifest.digest):
        return "expected a digest of 32 lower-case hex digits"
    return ""


@dataclass(slots=True)
class Fetch:
    """One snapshot being fetched, then checked."""

    manifest: SnapshotManifest
    payload: bytes
    wait_s: float
    begun: bool = False
    """Its files are open."""
    wanted: Wanted | None = None
    asked: set[tuple[str, int]] = field(default_factory=set)
    """Kind and index of what was asked for and has not come."""
    ask_at_s: float | None = None
    work_at_s: float | None = None

    @property
    def installing(self) -> bool:
        return self.wanted is not None and self.wanted.left == 0

    def is_of(self, piece: Piece) -> bool:
        return piece.snapshot == short_name(self.manifest.packed_sha256)

    def ask(self) -> PiecesAsked | None:
        """What to ask for now; None when nothing is missing or it is not known what is."""
        if self.wanted is None or not self.wanted.left:
            return None
        pages = self.wanted.pages[:MAX_RANGES]
        pieces = self.wanted.pieces[: MAX_RANGES - len(pages)]
        self.asked = {("H", index) for first, last in pages for index in range(first, last + 1)}
        self.asked |= {("P", index) for first, last in pieces for index in range(first, last + 1)}
        return PiecesAsked(self.manifest.packed_sha256, pages, pieces)
