"""What the guard let through becomes an event of the machine: one place for PC, phone and keyboard wedge."""

from __future__ import annotations

from edge.handheld.events import ReadGarbled, Scanned
from edge.reading.scans import NotACode, ScanSeen

LONGEST_WHY = 200


def event_of(seen: ScanSeen | NotACode) -> Scanned | ReadGarbled:
    match seen:
        case ScanSeen(text, symbology, source):
            return Scanned(text, symbology, source.value)
        case NotACode(source, why):
            return ReadGarbled(source.value, why[:LONGEST_WHY])
