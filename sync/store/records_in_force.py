"""The records generation the journal names, for a program that decides by it. Reads; the link writes."""

from __future__ import annotations

import logging
from pathlib import Path

from sync.store.journal import Journal
from sync.store.records import Records, StoreRefused, generation_path

_log = logging.getLogger(__name__)


class RecordsInForce:
    """The records generation the journal names, opened when that changes. For one thread."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._number: int | None = None
        self._records: Records | None = None

    def current(self) -> Records | None:
        number = self._journal.generation()
        if number is not None and number != self._number:
            try:
                fresh = Records.open(generation_path(self._folder, number), opener=self._journal.opener)
            except StoreRefused as refused:
                _log.error("records not opened: %s", refused)
                return self._records
            if self._records is not None:
                self._records.close()
            self._records, self._number = fresh, number
        return self._records

    def close(self) -> None:
        if self._records is not None:
            self._records.close()
            self._records = None
