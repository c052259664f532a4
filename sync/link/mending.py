"""A difference to the centre's records mended by bucket, and the survey that finds one here (G5).

Both at one number: nothing is applied while a difference is mended. No clock, no file, no signature: verified
values and monotonic seconds come in, effects go to the outbox.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from sync.link.fetching import BeginSurvey, Mend, Rows, Surveyed, WorkOnSurvey
from sync.link.messages import (
    MAX_BUCKET_PAGES,
    MAX_BUCKETS_ASKED,
    SUMS_A_MESSAGE,
    BucketRows,
    BucketsAsked,
    BucketSums,
)
from sync.link.outbox import Outbox, Unfit, is_due
from sync.link.words import Connection, FeedSeen, RecordsDiffer, RecordsMended, RecordsRepaired, SessionConfig
from sync.policy.digests import BUCKETS

MOST_BUCKETS = 64
"""More that differ are no accident to a few rows: everything is built anew."""
_HEX = frozenset("0123456789abcdef")


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


class Mending:
    """`run` after every event: what is due. `rebuild` is called where mending is given up."""

    def __init__(self, config: SessionConfig, out: Outbox, rebuild: Callable[[str], None]) -> None:
        self._config = config
        self._out = out
        self._rebuild = rebuild
        self._repair: Repair | None = None
        self._survey_at_s: float | None = None
        """When the next survey begins, or goes on."""
        self._surveying = False

    @property
    def is_under_way(self) -> bool:
        return self._repair is not None

    def begin(self, at_s: float, target: FeedSeen) -> None:
        config = self._config
        self._out.count("repairs")
        self._surveying = False
        self._survey_at_s = None
        self._repair = Repair(
            target.generation, target.epoch, target.number, at_s + config.mend_patience_s, config.pull_first_s
        )
        self._repair.ask_at_s = at_s

    def drop(self) -> None:
        """A generation is built from nothing: whatever differed here is of no interest."""
        self._repair = None
        self._surveying = False

    def finished(self) -> None:
        """The generation came whole, by another way."""
        self._repair = None

    def failed(self, why: str, *, survey: bool) -> None:
        """A survey or the mending itself could not be done."""
        if survey:
            self._surveying = False
            self._survey_at_s = None
        if self._repair is not None:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        self._out.count("repairs_given_up")
        self._repair = None
        self._rebuild(f"records differ from the centre's; {why}")

    # --- what the centre has ------------------------------------------------------------------------------

    def take(self, at_s: float, said: BucketSums | BucketRows) -> None:
        """The sums of some buckets, or some rows of one: as asked."""
        repair, config = self._repair, self._config
        if said.scope != config.scope:
            raise Unfit(f"expected scope {config.scope}, got {said.scope[:40]!r}")
        if repair is None or (said.epoch, said.number) != (repair.epoch, repair.number):
            self._out.count("buckets_unasked")
            return
        try:
            whole = repair.take_sums(said) if isinstance(said, BucketSums) else repair.take_rows(said)
        except ValueError as error:
            what = "sums" if isinstance(said, BucketSums) else "rows"
            raise Unfit(f"bucket {what}: {error}") from error
        repair.give_up_s = at_s + config.mend_patience_s
        match said:
            case BucketSums() if whole:
                repair.stage = Stage.SURVEY
                repair.ask_at_s = None
                self._out.add(BeginSurvey(repair.generation, ()))
            case BucketRows() if whole:
                repair.stage = Stage.MEND
                repair.ask_at_s = None
                self._out.add(Mend(repair.generation, repair.number, repair.rows()))
            case BucketRows() if repair.asked_are_here():
                repair.ask_at_s = at_s
            case _:
                pass

    # --- what is here -------------------------------------------------------------------------------------

    def survey_worked(self, at_s: float) -> None:
        repair, config = self._repair, self._config
        if repair is not None:
            if repair.stage is not Stage.SURVEY:
                # Of the survey that was under way when the difference was found: nothing waits for it.
                return
            repair.work_at_s = at_s
            repair.give_up_s = at_s + config.mend_patience_s
        elif self._surveying:
            self._survey_at_s = at_s + config.survey_pause_s

    def surveyed(self, at_s: float, surveyed: Surveyed) -> None:
        """While a difference is mended."""
        repair = self._repair
        if repair is None or repair.stage is not Stage.SURVEY:
            return
        if (surveyed.generation, surveyed.number) != (repair.generation, repair.number):
            self._give_up("its records moved meanwhile")
            return
        differing = repair.differ(surveyed)
        if not differing or len(differing) > MOST_BUCKETS:
            self._give_up(f"{len(differing)} buckets differ")
        elif differing != repair.collected:
            # Their rows are wanted too, so that what is here and should not be is found.
            repair.collected = differing
            self._out.add(BeginSurvey(repair.generation, differing))
        else:
            repair.differing = differing
            repair.stage = Stage.ROWS
            repair.ask_at_s = at_s
            repair.give_up_s = at_s + self._config.mend_patience_s

    def mended(self, mended: RecordsMended) -> bool:
        """Whether it was this one's."""
        repair, state = self._repair, mended.state
        if repair is None or state.generation != repair.generation:
            return False
        self._repair = None
        self._out.notify(
            RecordsRepaired(
                self._config.scope, state.epoch, state.number, repair.differing, mended.put, mended.deleted
            )
        )
        return True

    # --- looking after them -------------------------------------------------------------------------------

    def survey(self, at_s: float, current: FeedSeen | None) -> None:
        """Rows that changed by themselves change no sum: now and then all are summed up, in small slices.

        `current`: the generation that rules, while no other is built."""
        if current is None or self._repair is not None:
            return
        if self._survey_at_s is None and not self._surveying:
            self._survey_at_s = at_s + self._config.survey_every_s
        if is_due(self._survey_at_s, at_s):
            self._survey_at_s = None
            if self._surveying:
                self._out.add(WorkOnSurvey())
            else:
                self._surveying = True
                self._out.add(BeginSurvey(current.generation, ()))

    def survey_ended(self, at_s: float, surveyed: Surveyed, current: FeedSeen | None, handed: int) -> bool:
        """Whether its rows are not what the file says of them. `handed`: last number given to the records."""
        if not self._surveying:
            return False
        self._surveying = False
        self._survey_at_s = at_s + self._config.survey_every_s
        self._out.count("surveys")
        if current is None or surveyed.generation != current.generation or surveyed.sums == surveyed.kept:
            return False
        if handed != current.number:
            self._survey_at_s = at_s + self._config.rebuild_first_s
            return False
        wrong = sum(1 for ours, said in zip(surveyed.sums, surveyed.kept, strict=True) if ours != said)
        self._out.count("surveys_wrong")
        self._out.notify(
            RecordsDiffer(
                self._config.scope,
                current.epoch,
                surveyed.number,
                f"{wrong} buckets whose rows are not what the file says",
                current.digest,
            )
        )
        return True

    # --- what is due --------------------------------------------------------------------------------------

    def work(self, at_s: float) -> None:
        """The next slice of a survey that mends."""
        repair = self._repair
        if repair is not None and is_due(repair.work_at_s, at_s):
            repair.work_at_s = None
            self._out.add(WorkOnSurvey())

    def run(self, at_s: float) -> BucketsAsked | None:
        """What to ask the centre for now."""
        repair, config = self._repair, self._config
        if repair is None:
            return None
        connected = Connection.ROUTINE in self._out.connected
        if repair.give_up_s <= at_s and repair.stage in (Stage.SUMS, Stage.ROWS):
            if connected:
                self._give_up("the hub did not say how")
            else:
                repair.give_up_s = at_s + config.mend_patience_s
            return None
        if not connected or not is_due(repair.ask_at_s, at_s):
            return None
        repair.ask_at_s = at_s + repair.wait_s
        repair.wait_s = min(repair.wait_s * 2, config.pull_longest_s)
        return repair.ask()

    def due(self, current: FeedSeen | None) -> list[float | None]:
        """`current`: as for `survey`."""
        repair = self._repair
        if repair is None:
            return [self._survey_at_s] if current is not None else []
        times = [repair.work_at_s, repair.give_up_s if repair.stage in (Stage.SUMS, Stage.ROWS) else None]
        if Connection.ROUTINE in self._out.connected:
            times.append(repair.ask_at_s)
        return times
