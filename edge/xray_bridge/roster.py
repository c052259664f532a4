"""What the records say of an officer who wants to sit down at a desk. For the page's worker threads: with a
reader of its own, for the station's serves one thread. Reads; decides nothing.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from edge.runtime.clock import UNKNOWN_MS, Clock
from edge.xray_bridge.page.ports import Standing
from sync.policy.ages import records_age_s
from sync.store.journal import Journal
from sync.store.opening import StoreRefused
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import Malformed
from sync.vocabulary.records import Officer


class Roster:
    """Any thread, one at a time."""

    def __init__(
        self, journal: Journal, folder: Path, clock: Clock, *, must_be_known: bool, not_before_utc: str
    ) -> None:
        """`must_be_known`: where nobody vouches for the clock, no age is known (S10)."""
        self._clock = clock
        self._must_be_known = must_be_known
        self._not_before_utc = not_before_utc
        self._records = RecordsInForce(journal, folder)
        self._lock = Lock()

    def standing(self, officer_no: str) -> Standing:
        """Never raises: an unreadable file knows nobody."""
        utc = self._clock.utc_text()
        with self._lock:
            try:
                records = self._records.current()
                if records is None:
                    return Standing(None, None, utc, None)
                with records.snapshot() as state:
                    found = records.get("officers", officer_no)
                    officer = found if isinstance(found, Officer) else None
                    return Standing(officer, records.site(), utc, self._age_s(state.verified_utc, utc))
            except (StoreRefused, Malformed):
                return Standing(None, None, utc, None)

    def _age_s(self, verified_utc: str | None, utc: str) -> float | None:
        known = not self._must_be_known or self._clock.uncertainty_ms() != UNKNOWN_MS
        return records_age_s(verified_utc, utc, clock_is_known=known, not_before_utc=self._not_before_utc)

    def close(self) -> None:
        with self._lock:
            self._records.close()
