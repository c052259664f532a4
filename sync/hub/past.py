"""Records as they were: which version a ruling stood on, whatever became of it since. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from sync.hub.archive import Archive, Version
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import RulingMade, read_body


class PastUnknown(LookupError):
    """What is asked of is not in this archive; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A number of a scope's log."""

    scope: str
    epoch: str
    number: int


def moment_of_fact(archive: Archive, fact: str) -> Moment:
    """The records a ruling stood on; `fact` is `DEVICE/EPOCH/STREAM/SEQ`. Raises `PastUnknown`."""
    parts = fact.split("/")
    if len(parts) != 4 or not parts[3].isdecimal() or len(parts[3]) > 18:
        raise PastUnknown(f"expected DEVICE/EPOCH/STREAM/SEQ, got {fact[:200]!r}")
    body = archive.fact_body(parts[0], parts[1], parts[2], int(parts[3]))
    if body is None:
        raise PastUnknown(f"fact {fact} is not in {archive.place}")
    try:
        ruling = read_body(body).data
    except Malformed as error:
        raise PastUnknown(f"fact {fact} cannot be read by this version ({error})") from error
    if not isinstance(ruling, RulingMade) or not ruling.records_epoch:
        raise PastUnknown(f"fact {fact} stands on no records: expected a ruling")
    return Moment(ruling.records_scope, ruling.records_epoch, ruling.records_number)


def version_at(archive: Archive, moment: Moment, collection: str, key: str) -> Version | None:
    """The record at that moment; None where there was none. Raises `PastUnknown` for a moment that the
    archive never came to, as after it was restored from a backup."""
    if not archive.knows_number(moment.scope, moment.epoch, moment.number):
        raise PastUnknown(
            f"{moment.scope} never came to number {moment.number} of epoch {moment.epoch} in {archive.place}"
        )
    found = archive.record_as_of(moment.scope, collection, key, moment.number, epoch=moment.epoch)
    return None if found is None or found.op != "put" else found
