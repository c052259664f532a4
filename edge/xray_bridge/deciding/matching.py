"""Whose picture it is, and who is spoiled by one that is not certainly anybody's."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.runtime.values import replace
from edge.xray_bridge.association import Found, Span, associate
from edge.xray_bridge.deciding.judging import not_to_pass, ready
from edge.xray_bridge.deciding.portal import added, inserted, opened
from edge.xray_bridge.deciding.state import Acts, Kept, Station, parcel_of, put
from edge.xray_bridge.deciding.telling import commit, match_told, said_of_picture
from edge.xray_bridge.effects import DropPicture, KeepEvidence
from edge.xray_bridge.events import PictureTaken
from edge.xray_bridge.values import Acquisition, Association, Verdict
from sync.vocabulary.codec import to_json
from sync.vocabulary.xray_facts import PictureTold, XRayEvidenceMissed
from sync.vocabulary.xray_reasons import Because, XRayReason

_WHY_NOT: Final[dict[Association, XRayReason]] = {
    Association.AMBIGUOUS: XRayReason.AMBIGUOUS,
    Association.UNMATCHED: XRayReason.UNMATCHED,
    Association.MERGED: XRayReason.MERGED,
    Association.SPLIT: XRayReason.SPLIT,
}


def picture_taken(station: Station, at_s: float, taken: PictureTaken) -> tuple[Station, Acts]:
    if taken.picture in station.pictures:
        return station, []
    spans = [Span(o.number, o.leading_mm, o.trailing_mm, bool(o.picture), True) for o in station.over]
    spans += [
        Span(p.number, p.leading_mm, p.trailing_mm, p.association is not None)
        for p in station.parcels
        if p.entered == "portal" or p.entered == "x_ray"
    ]
    found = associate(
        station.settings.windows,
        spans,
        taken.leading_mm,
        taken.trailing_mm,
        taken.acquisition,
        taken.objects,
    )
    found = _of_the_asked_wedge(station, taken) or found
    effects: Acts = []
    parcel = parcel_of(station, found.parcel)
    mine = parcel is not None and not parcel.picture
    match = match_told(taken, found, parcel)
    effects.append(commit(match))
    station = replace(station, counts=replace(station.counts, pictures=station.counts.pictures + 1))
    for number in found.spoils:
        station, more = _spoiled(station, at_s, number, found)
        effects += more
    if parcel is not None:
        parcel = parcel_of(station, parcel.number) or parcel
        parcel = replace(
            parcel,
            picture=parcel.picture or taken.picture,
            match=match,
            association=found.association if mine else parcel.association,
            off_mm=found.off_mm if found.off_mm is not None else parcel.off_mm,
            seen_by_xray=True,
        )
        station = put(station, parcel)
    else:
        station, more = _unclaimed(station, at_s, taken, found, match)
        effects += more
        parcel = parcel_of(station, station.next_parcel - 1) if more else None
        mine = parcel is not None and parcel.picture == taken.picture
    owner = parcel.number if parcel is not None and mine else 0
    kept = Kept(owner, parcel.waybill_no if parcel is not None and owner else "")
    station = replace(station, pictures=station.pictures | {taken.picture: kept})
    if not owner:
        said = to_json(said_of_picture(station, match))
        effects.append(
            KeepEvidence(taken.picture, 0, "", found.association, Verdict.RECHECK, msgspec.Raw(said), "held")
        )
    station, more = _too_many_pictures(station)
    effects += more
    if owner:
        station, more = ready(station, at_s, owner)
        effects += more
    return station, effects


def _of_the_asked_wedge(station: Station, taken: PictureTaken) -> Found | None:
    """A picture without a place, while an officer's wedge is all that lies on the belt: what a hot folder
    gives first after a start. As long as the wedge, which the eye at the X-ray has seen, it is the wedge's;
    whether it shows one the check says. No parcel passes by such a match."""
    if taken.leading_mm is not None or taken.length_mm is None or len(station.parcels) != 1:
        return None
    parcel = station.parcels[0]
    if not parcel.wedge_asked or not parcel.seen_by_xray or parcel.trailing_mm is None:
        return None
    if parcel.picture or parcel.association is not None:
        return None
    if taken.acquisition is not Acquisition.SUCCESSFUL or taken.objects != 1:
        return None
    length_off_mm = taken.length_mm - (parcel.trailing_mm - parcel.leading_mm)
    if abs(length_off_mm) > station.settings.windows.length_mm:
        return None
    return Found(Association.MATCHED, parcel.number, length_off_mm=length_off_mm, why="wedge_asked")


def _spoiled(station: Station, at_s: float, number: int, found: Found) -> tuple[Station, Acts]:
    """It had a picture that seemed its own: now another lies there too."""
    parcel = parcel_of(station, number)
    if parcel is None:
        return station, []
    association = Association.SPLIT if found.association is Association.SPLIT else Association.AMBIGUOUS
    station = put(station, replace(parcel, association=association))
    return not_to_pass(station, at_s, number, Because(_WHY_NOT[association]))


def _unclaimed(
    station: Station, at_s: float, taken: PictureTaken, found: Found, match: PictureTold
) -> tuple[Station, Acts]:
    """Nobody's for certain: those it may be of pass no more; one that nobody knows was put on by hand."""
    effects: Acts = []
    for number in found.candidates:
        parcel = parcel_of(station, number)
        if parcel is None or parcel.association is not None:
            continue
        slipped = found.association is Association.UNMATCHED and found.why == "off_position"
        parcel = replace(
            parcel,
            association=found.association,
            match=match,
            off_mm=found.off_mm if slipped and found.off_mm is not None else parcel.off_mm,
            seen_by_xray=True,
        )
        station = put(station, parcel)
    leading_mm, trailing_mm = taken.leading_mm, taken.trailing_mm
    if found.why != "nobody_there" or leading_mm is None or trailing_mm is None or station.belt_mm is None:
        return station, effects
    gone_mm = leading_mm + station.settings.layout.diverter_mm + station.settings.gone_mm
    if station.belt_mm > gone_mm:
        return station, effects
    if station.leftover and station.clearing:
        return station, effects
    station, parcel = opened(station, at_s, leading_mm, "x_ray")
    parcel = replace(
        parcel,
        trailing_mm=trailing_mm,
        settled=True,
        looked_up=True,
        read="no_read",
        picture=taken.picture,
        association=Association.UNMATCHED,
        match=match,
        seen_by_xray=True,
    )
    station, more = added(inserted(station, parcel), parcel)
    return station, effects + more


def _too_many_pictures(station: Station) -> tuple[Station, Acts]:
    effects: Acts = []
    while len(station.pictures) > station.settings.most_pictures:
        oldest = next(iter(station.pictures))
        kept = station.pictures[oldest]
        rest = {each: k for each, k in station.pictures.items() if each != oldest}
        station = replace(station, pictures=rest)
        missed = XRayEvidenceMissed(parcel=kept.parcel, picture=oldest, why="too many pictures in memory")
        effects += [commit(missed), DropPicture(oldest)]
    return station, effects
