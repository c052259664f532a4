"""What X-ray stations made of parcels, as records for whoever holds the parcel next. No MQTT, no clock.

The latest word stands, whatever order facts come in; in doubt the stricter one does. A parcel that was passed
on the screen and not let go at the diverter was not passed (X2); nor was one whose judgement was taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import hexdigits
from typing import Final, assert_never

import msgspec

from sync.hub.archive import Archive, RecordChange
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.facts import Fact
from sync.vocabulary.numbers import UtcText, WaybillNo
from sync.vocabulary.records import MAX_BOXES, SuspectBox, XRay, XRayVerdict
from sync.vocabulary.xray_facts import (
    JudgementUndone,
    ParcelSorted,
    ParcelXRayed,
    RegionTold,
    SuspectTold,
    XRayFileKept,
)

COLLECTION: Final = "x_rays"
LONGEST: Final = 120
"""Characters of one suspicion's words: sixteen of them beside a preview fit a batch."""
LONGEST_WORDS: Final = 400
LET_GO: Final = "pass"
SHOWN_FILE: Final = "preview.jpg"
"""Of a parcel's evidence: the picture that is small enough for whoever opens the parcel."""
_STRICTNESS: Final = (XRayVerdict.PASSED, XRayVerdict.RECHECK, XRayVerdict.FLAGGED)

_read = decoder(XRay)


class XRayed:
    """Works inside the transaction that stores the facts, the device locked."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def told(
        self, fact: Fact, data: ParcelXRayed | ParcelSorted | JudgementUndone | XRayFileKept, at_utc: str
    ) -> None:
        """A parcel without a number is nobody's, and no record tells of it."""
        number, judged = WaybillNo.parse(data.waybill_no), _moment(fact.time, at_utc)
        if number is None:
            return
        for scope in self._scopes_of(fact.device, number):
            known = self._known(scope, number)
            row = _row(fact, data, number, judged, known)
            if row is None:
                continue
            change = RecordChange(COLLECTION, number, to_json(row).decode())
            self._archive.apply_changes(scope, [change], at_utc)

    def _known(self, scope: str, number: WaybillNo) -> XRay | None:
        body = self._archive.record(COLLECTION, number, scope)
        try:
            return None if body is None else _read(body)
        except Malformed:
            return None

    def _scopes_of(self, station: str, number: WaybillNo) -> list[str]:
        """Where the parcel is known; before it is declared anywhere (先出后报), wherever the station is."""
        scopes = [scope.scope for scope in self._archive.scopes()]
        known = [scope for scope in scopes if self._archive.record("waybills", number, scope) is not None]
        return known or [scope for scope in scopes if self._archive.may_pull(station, scope)]


def _row(
    fact: Fact,
    data: ParcelXRayed | ParcelSorted | JudgementUndone | XRayFileKept,
    number: WaybillNo,
    judged: UtcText,
    known: XRay | None,
) -> XRay | None:
    """What stands after this fact; None: what stood before."""
    match data:
        case ParcelXRayed():
            row: XRay | None = _judged(fact, data, number, judged, known)
        case ParcelSorted():
            row = _sorted(fact, data, number, judged, known)
        case JudgementUndone():
            row = _undone(fact, data, number, judged, known)
        case XRayFileKept():
            return _pictured(fact, data, known)
        case _:
            assert_never(data)
    return row if row is not None and _is_newer(row, known) else None


def _pictured(fact: Fact, data: XRayFileKept, known: XRay | None) -> XRay | None:
    """The picture's own name: by its SHA-256 it is one and the same on the station, at the centre, and in a
    hand."""
    if known is None or data.name != SHOWN_FILE or not _is_hash(data.sha256):
        return None
    if (known.station, known.parcel, known.picture) != (fact.device, data.parcel, data.picture[:LONGEST]):
        return None
    return None if known.sha256 else msgspec.structs.replace(known, sha256=data.sha256)


def _is_hash(text: str) -> bool:
    return len(text) == 64 and set(text) <= set(hexdigits)


def _undone(
    fact: Fact, data: JudgementUndone, number: WaybillNo, judged: UtcText, known: XRay | None
) -> XRay | None:
    """Nothing is judged until somebody judges it again. A later run over the belt has its own judgement."""
    is_of_station = known is not None and (known.station, known.epoch) == (fact.device, fact.epoch[:LONGEST])
    if known is not None and is_of_station and known.parcel > data.parcel:
        return None
    same = known if known is not None and is_of_station and known.parcel == data.parcel else None
    return XRay(
        waybill_no=number,
        verdict=XRayVerdict.RECHECK,
        words_zh="判图已撤回，待重新判图",
        words_en="The judgement was taken back: to be judged again",
        station=fact.device,
        judged=judged,
        sha256="" if same is None else same.sha256,
        preview="" if same is None else same.preview,
        picture="" if same is None else same.picture,
        parcel=data.parcel,
        epoch=fact.epoch[:LONGEST],
        position=fact.position,
    )


def _judged(fact: Fact, data: ParcelXRayed, number: WaybillNo, judged: UtcText, known: XRay | None) -> XRay:
    picture = data.picture[:LONGEST]
    run = (fact.device, data.parcel, picture)
    same = known is not None and (known.station, known.parcel, known.picture) == run
    verdict = _verdict(data.verdict)
    is_passed = verdict is XRayVerdict.PASSED
    zh, en = _said(data, verdict)
    return XRay(
        waybill_no=number,
        verdict=verdict,
        # Every device of the scope carries every row: what was passed comes without a picture.
        boxes=() if is_passed else tuple(_boxes(data))[:MAX_BOXES],
        words_zh=zh[:LONGEST_WORDS],
        words_en=en[:LONGEST_WORDS],
        station=fact.device,
        judged=judged,
        preview="" if is_passed else data.preview,
        sha256=known.sha256 if same and known is not None else "",
        picture=picture,
        parcel=data.parcel,
        epoch=fact.epoch[:LONGEST],
        position=fact.position,
    )


def _sorted(
    fact: Fact, data: ParcelSorted, number: WaybillNo, judged: UtcText, known: XRay | None
) -> XRay | None:
    """Only what takes a verdict back: not let go, though it had been passed."""
    same = known is not None and (known.station, known.parcel) == (fact.device, data.parcel)
    passed = known.verdict if same and known is not None else data.verdict
    if data.ordered == LET_GO or passed != XRayVerdict.PASSED:
        return None
    return XRay(
        waybill_no=number,
        verdict=XRayVerdict.RECHECK,
        words_zh="分拣时未通过，须复检",
        words_en="Not let go at the diverter: to be checked again",
        station=fact.device,
        judged=judged,
        sha256=known.sha256 if same and known is not None else "",
        picture=known.picture if same and known is not None else "",
        parcel=data.parcel,
        epoch=fact.epoch[:LONGEST],
        position=fact.position,
    )


def _is_newer(row: XRay, known: XRay | None) -> bool:
    """Numbers decide within one epoch of a station (G7); between stations and epochs, time; at the same
    moment the stricter word."""
    if known is None:
        return True
    if (row.station, row.epoch) == (known.station, known.epoch) and known.position:
        return row.position > known.position
    if row.judged != known.judged:
        return row.judged > known.judged
    return _STRICTNESS.index(row.verdict) > _STRICTNESS.index(known.verdict)


def _verdict(word: str) -> XRayVerdict:
    """What is not known here was not passed."""
    try:
        return XRayVerdict(word)
    except ValueError:
        return XRayVerdict.RECHECK


def _said(data: ParcelXRayed, verdict: XRayVerdict) -> tuple[str, str]:
    if verdict is XRayVerdict.PASSED:
        return "", ""
    told = [each for each in (data.category, data.note) if each]
    zh = [*told, *(each.zh or each.code for each in data.suspects)]
    en = [*told, *(each.en or each.code for each in data.suspects)]
    return "；".join(text[:LONGEST] for text in zh), "; ".join(text[:LONGEST] for text in en)


def _boxes(data: ParcelXRayed) -> Iterator[SuspectBox]:
    """What an officer drew first, then what the machine suspects."""
    for region in data.regions:
        yield _of_region(region)
    for suspect in data.suspects:
        box = _of_suspect(suspect)
        if box is not None:
            yield box


def _of_region(region: RegionTold) -> SuspectBox:
    words = " ".join(filter(None, (region.category, region.note)))[:LONGEST]
    return SuspectBox(
        left=region.left,
        top=region.top,
        width=region.width,
        height=region.height,
        words_zh=words,
        words_en=words,
    )


def _of_suspect(suspect: SuspectTold) -> SuspectBox | None:
    left, top, width, height = suspect.left, suspect.top, suspect.width, suspect.height
    if left is None or top is None or width is None or height is None:
        return None
    return SuspectBox(
        left=left,
        top=top,
        width=width,
        height=height,
        words_zh=(suspect.zh or suspect.code)[:LONGEST],
        words_en=(suspect.en or suspect.code)[:LONGEST],
    )


def _moment(text: str, at_utc: str) -> UtcText:
    """The station's time; where that is none, ours."""
    return UtcText.parse(text) or UtcText(at_utc)
