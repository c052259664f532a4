"""Lets go of what a lane need not keep, a little at a time: facts the centre has, uses of slips long gone.

Run by the wiring on the lane's thread; a turn is one short transaction or two. What is owed to the centre,
and what could still be needed to refuse a second use of a slip (S4), stays however old it is.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sync.store.journal import Journal, JournalFull, StoreRefused
from sync.store.records import Records
from sync.vocabulary.codec import Malformed
from sync.vocabulary.uses import SlipUse, UseState

USES_A_TURN = 200
"""Looked up one by one: some milliseconds."""


class Retention:
    def __init__(self, journal: Journal, records: Callable[[], Records | None], *, keep_s: float) -> None:
        """`keep_s`: how long a fact stays after it was acknowledged."""
        self._journal = journal
        self._records = records
        self._keep_s = keep_s
        self._after: SlipUse | None = None

    def run(self) -> None:
        """One turn. Never raises: what could not be done is said, and done later."""
        try:
            self._journal.drop_acknowledged(self._keep_s)
            self._forget_uses()
        except (StoreRefused, JournalFull, Malformed, OSError) as error:
            structlog.get_logger("retention").warning("retention did not run", why=str(error))

    def _forget_uses(self) -> None:
        """A slip that no record knows any more cannot be used again: who used it is the centre's to know."""
        records = self._records()
        if records is None:
            return
        some = self._journal.settled_uses(self._after, most=USES_A_TURN)
        self._after = some[-1] if len(some) == USES_A_TURN else None
        gone = [
            use
            for use in some
            if use.state is UseState.RETURNED or records.get("release_slips", use.slip_no) is None
        ]
        if gone:
            self._journal.forget_uses(gone)
