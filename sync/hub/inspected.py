"""Whether the officers who tell of an inspection may have made it: rostered, active, authorised (施检授权)
for that order, named in it where it names anybody, and two where order or site want two (双人作业).

A fact is never refused for it. What may not be does not count: it ends no order and lets no parcel go. No
MQTT, no clock.
"""

from __future__ import annotations

from typing import Final

from sync.hub.archive import Archive
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.facts import Fact, FindingMade, InspectionMade
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import InspectionMethod, InspectionOrder, Officer, OfficerState, Site

SAMPLE_SENT: Final = "sample_sent"
INSPECTED: Final = "inspected"
NOT_COUNTED: Final = "not counted: "
"""Before the detail of a step that was told and does not count."""

_read_officer = decoder(Officer)
_read_order = decoder(InspectionOrder)
_read_site = decoder(Site)


def why_not(archive: Archive, scope: str, fact: Fact, data: InspectionMade | FindingMade, at_utc: str) -> str:
    """Why it does not count in this scope, which has the order; empty: it counts."""
    try:
        order = _read_order(archive.record("inspection_orders", data.order_no, scope) or "")
    except Malformed as error:
        return f"the order cannot be read: {error}"[:200]
    inspection = "" if isinstance(data, InspectionMade) else _last_inspection(archive, fact, data)
    if inspection.startswith(NOT_COUNTED):
        return "its inspection does not count"
    officers = tuple(dict.fromkeys(data.officers))
    needed = _needed(archive, scope, order, _done(data, inspection))
    if len(officers) < needed:
        return f"{needed} officers are needed, told by {len(officers)}"
    if order.officers and officers[0] not in order.officers:
        return f"the order names {', '.join(order.officers)[:80]}, not {officers[0][:40]}"
    whys = (_officer_may_not(archive, each, order.authorisation, fact.time, at_utc) for each in officers)
    return next(filter(None, whys), "")


def _officer_may_not(archive: Archive, number: str, needs: str, told: str, at_utc: str) -> str:
    """Revoked is revoked, whenever it was done. The end of validity is looked at as of the deed, as far as
    its clock can be believed: not after ours."""
    body = archive.record("officers", number)
    try:
        officer = None if body is None else _read_officer(body)
    except Malformed:
        officer = None
    if officer is None:
        return f"officer {number[:40]} is not rostered"
    ours, theirs = UtcText(at_utc), UtcText.parse(told)
    done = theirs if theirs is not None and theirs < ours else ours
    if officer.state is not OfficerState.ACTIVE or done >= officer.valid_until:
        return f"officer {number[:40]} is not active"
    if needs not in officer.authorisations:
        return f"officer {number[:40]} has no authorisation {needs[:60]}"
    return ""


def _needed(archive: Archive, scope: str, order: InspectionOrder, done: frozenset[str]) -> int:
    asked = _two_officer_methods(archive, scope)
    two = not asked.isdisjoint(done | ({order.method.value} if order.method is not None else set()))
    return min(2, max(order.officers_needed, 2 if two else 1))


def _two_officer_methods(archive: Archive, scope: str) -> frozenset[str]:
    methods: set[str] = set()
    for key in archive.record_keys(scope, "site"):
        try:
            site = _read_site(archive.record("site", key, scope) or "")
        except Malformed:
            continue
        methods.update(method.value for method in site.two_officer_methods)
    return frozenset(methods)


def _last_inspection(archive: Archive, fact: Fact, data: InspectionMade | FindingMade) -> str:
    """What the archive keeps of the inspection this finding is of: by the same officers with the same
    device."""
    steps = archive.order_steps(data.order_no)
    by = data.officers[:8]
    told = [s for s in steps if (s.step, s.device, s.officers) == (INSPECTED, fact.device, by)]
    return told[-1].detail if told else ""


def _done(data: InspectionMade | FindingMade, inspection: str) -> frozenset[str]:
    """How it was done: a finding's method was told by its inspection."""
    if isinstance(data, InspectionMade):
        return frozenset({data.method})
    took_sample = data.handling == SAMPLE_SENT or bool(data.sample_no)
    return frozenset({inspection.partition(" ")[0], InspectionMethod.SAMPLE.value if took_sample else ""})
