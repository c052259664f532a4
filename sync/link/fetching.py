"""Shorter ways to equal records than the log: a snapshot fetched in pieces, a difference mended by bucket.

Two small pure machines that the session drives (G5): which effects there are, what is waited for and until
when. No clock, no file, no signature: verified values and monotonic seconds come in.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from sync.link.messages import (
    MAX_BUCKET_PAGES,
    MAX_BUCKETS_ASKED,
    MAX_PAGES,
    MAX_RANGES,
    PAGE_HASHES,
    PIECE_BYTES,
    SUMS_A_MESSAGE,
    BucketRows,
    BucketsAsked,
    BucketSums,
    PiecesAsked,
    SnapshotManifest,
)
from sync.link.pieces import Piece, short_name
from sync.policy.digests import BUCKETS
from sync.store.snapshots import Wanted

WINDOW = 32
"""Pieces asked for at once: some 2 MB."""
MOST_BUCKETS = 64
"""More that differ are no accident to a few rows: everything is built anew."""
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


# --- a difference being mended ----------------------------------------------------------------------------


class Stage(enum.StrEnum):
    SUMS = "sums"
    SURVEY = "survey"
    ROWS = "rows"
    MEND = "mend"


@dataclass(slots=True)
class Repair:
    """Records at `number` that are not the centre's at the same number. Nothing is applied meanwhile."""

    generation: int
    epoch: str
    number: int
    give_up_s: float
    """Unless something comes before."""
    wait_s: float
    stage: Stage = Stage.SUMS
    theirs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """First bucket -> sums."""
    collected: tuple[int, ...] = ()
    differing: tuple[int, ...] = ()
    pages: dict[int, dict[int, Rows]] = field(default_factory=dict)
    page_counts: dict[int, int] = field(default_factory=dict)
    ask_at_s: float | None = None
    work_at_s: float | None = None

    def ask(self) -> BucketsAsked | None:
        match self.stage:
            case Stage.SUMS:
                return BucketsAsked(self.number)
            case Stage.ROWS:
                left = tuple(bucket for bucket in self.differing if not self._is_whole(bucket))
                return BucketsAsked(self.number, left[:MAX_BUCKETS_ASKED])
            case _:
                return None

    def take_sums(self, sums: BucketSums) -> bool:
        """True when they are all here. Raises `ValueError` for what cannot be meant."""
        if sums.first not in range(0, BUCKETS, SUMS_A_MESSAGE) or len(sums.sums) != 32 * SUMS_A_MESSAGE:
            raise ValueError(f"expected {SUMS_A_MESSAGE} sums from a multiple of it")
        if not _HEX.issuperset(sums.sums):
            raise ValueError("expected sums in lower-case hex digits")
        if self.stage is not Stage.SUMS:
            return False
        text = sums.sums
        self.theirs[sums.first] = tuple(int(text[at : at + 32], 16) for at in range(0, len(text), 32))
        return len(self.theirs) * SUMS_A_MESSAGE == BUCKETS

    def centre_sums(self) -> tuple[int, ...]:
        return tuple(one for first in sorted(self.theirs) for one in self.theirs[first])

    def differ(self, surveyed: Surveyed) -> tuple[int, ...]:
        """Buckets that are wrong here, by their rows or by what the file says of them."""
        theirs = self.centre_sums()
        return tuple(
            bucket
            for bucket in range(BUCKETS)
            if not theirs[bucket] == surveyed.sums[bucket] == surveyed.kept[bucket]
        )

    def take_rows(self, rows: BucketRows) -> bool:
        """True when all rows of all differing buckets are here. Raises `ValueError`."""
        if not 1 <= rows.pages <= MAX_BUCKET_PAGES or not 0 <= rows.page < rows.pages:
            raise ValueError(f"expected a page of 1 to {MAX_BUCKET_PAGES}")
        if self.stage is not Stage.ROWS or rows.bucket not in self.differing:
            return False
        if self.page_counts.setdefault(rows.bucket, rows.pages) != rows.pages:
            raise ValueError(f"expected {self.page_counts[rows.bucket]} pages, got {rows.pages}")
        self.pages.setdefault(rows.bucket, {})[rows.page] = rows.rows
        return all(self._is_whole(bucket) for bucket in self.differing)

    def asked_are_here(self) -> bool:
        """Whether the next buckets may be asked for."""
        begun = [bucket for bucket in self.differing if bucket in self.pages]
        return len(begun) % MAX_BUCKETS_ASKED == 0 and all(self._is_whole(bucket) for bucket in begun)

    def rows(self) -> dict[int, Rows]:
        return {
            bucket: tuple(row for page in sorted(pages) for row in pages[page])
            for bucket, pages in self.pages.items()
        }

    def _is_whole(self, bucket: int) -> bool:
        return len(self.pages.get(bucket, ())) == self.page_counts.get(bucket, -1)
