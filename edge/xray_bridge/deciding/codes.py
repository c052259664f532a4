"""Whose a code is that was read at the portal, which waybill that makes, and what the records say of it."""

from __future__ import annotations

import re

from edge.runtime.values import replace
from edge.xray_bridge.association import Span, owner_of
from edge.xray_bridge.deciding.judging import ready
from edge.xray_bridge.deciding.state import (
    SAME_PLACE_MM,
    Acts,
    CodeSeen,
    Parcel,
    Station,
    StationSettings,
    counted_by_waybill,
    parcel_of,
    put,
)
from edge.xray_bridge.deciding.telling import commit, parcel_seen
from edge.xray_bridge.effects import LookUp
from edge.xray_bridge.events import GoodsFound
from sync.vocabulary.numbers import WaybillNo
from sync.vocabulary.xray_reasons import Because, XRayReason

_MOST_CODES = 512


def code_read(
    station: Station, text: str, belt_mm: float | None, symbology: str, why: str
) -> tuple[Station, Acts]:
    """Kept until all parcels it could belong to are known."""
    if belt_mm is None or station.belt_mm is None:
        return station, []
    windows = station.settings.windows
    code = CodeSeen(belt_mm - windows.reader_mm, text[:200], symbology, why)
    if any(_again(code, before) for before in station.codes):
        return station, []
    if len(station.codes) >= _MOST_CODES:
        # One of those that must make way may be the second code of a parcel that is taken for one-coded.
        doubt = Because(XRayReason.TWO_CODES, "too many codes")
        for each in [p for p in station.parcels if not p.settled and p.doubt is None]:
            station = put(station, replace(each, doubt=doubt))
    station = replace(station, codes=(*station.codes, code)[-_MOST_CODES:])
    if not text or not _is_waybill(station.settings, code):
        return station, []
    number = owner_of(windows, _portal_spans(station), code.at_mm)
    parcel = parcel_of(station, number) if number is not None else None
    if parcel is None or not parcel.settled or text in parcel.texts or parcel.doubt is not None:
        return station, []
    # It came late, and the parcel has another number, or none.
    return put(station, replace(parcel, doubt=Because(XRayReason.TWO_CODES, text))), []


def _again(code: CodeSeen, before: CodeSeen) -> bool:
    """The same at the same place: readers and cameras say it many times."""
    same = (code.text, code.symbology, code.why) == (before.text, before.symbology, before.why)
    return same and abs(code.at_mm - before.at_mm) <= SAME_PLACE_MM


def _portal_spans(station: Station) -> list[Span]:
    return [Span(p.number, p.leading_mm, p.trailing_mm) for p in station.parcels if p.entered == "portal"]


def _is_waybill(settings: StationSettings, code: CodeSeen) -> bool:
    kind = code.symbology.upper().replace("-", "").replace("_", "").replace(" ", "")
    if kind in settings.not_waybills or WaybillNo.parse(code.text) is None:
        return False
    return not settings.waybill_shape or re.fullmatch(settings.waybill_shape, code.text) is not None


def settled(station: Station, at_s: float, parcel: Parcel) -> tuple[Station, Acts]:
    """Its codes are those nearest to it and to no other; then the records are asked."""
    settings, windows = station.settings, station.settings.windows
    spans = _portal_spans(station)
    mine = [c for c in station.codes if owner_of(windows, spans, c.at_mm) == parcel.number]
    texts = tuple(dict.fromkeys(c.text for c in mine if c.text))
    waybills = tuple(dict.fromkeys(c.text for c in mine if c.text and _is_waybill(settings, c)))
    wedge = parcel.wedge or settings.wedge_code in texts
    request = 0
    if wedge:
        read, waybill_no = "read", ""
    elif len(waybills) == 1:
        read, waybill_no = "read", waybills[0]
        request = station.requests + 1
    elif waybills:
        read, waybill_no = "two_codes", ""
    elif texts:
        read, waybill_no = "not_a_waybill", ""
    else:
        failed = [c.why for c in mine if c.why]
        read, waybill_no = ("garbled" if "garbled" in failed else "no_read"), ""
    station = replace(station, requests=max(station.requests, request))
    parcel = replace(
        parcel,
        settled=True,
        read=read,
        texts=texts,
        waybill_no=waybill_no,
        request=request,
        looked_up=request == 0,
        wedge=wedge,
    )
    station, parcel = counted_by_waybill(station, parcel)
    station = put(station, parcel)
    if all(p.settled for p in station.parcels):
        codes = tuple(c for c in station.codes if c.at_mm > parcel.end_mm())
        station = replace(station, codes=codes)
    seen = parcel_seen(parcel)
    effects: Acts = [commit(seen)]
    if request:
        effects.append(LookUp(parcel.number, request, waybill_no))
    station, more = ready(station, at_s, parcel.number)
    return station, effects + more


def goods_found(station: Station, at_s: float, found: GoodsFound) -> tuple[Station, Acts]:
    parcel = parcel_of(station, found.parcel)
    if parcel is None or parcel.request != found.request or parcel.looked_up:
        return station, []
    goods = found.goods
    if goods is not None and parcel.waybill_no not in (goods.waybill_no, goods.answers_to):
        goods = None
    parcel = replace(parcel, looked_up=True, goods=goods)
    if goods is not None and goods.waybill_no != parcel.waybill_no:
        # A trace code, or an order's number: that stands in `texts`, and the record says whose it is.
        station, parcel = counted_by_waybill(station, replace(parcel, waybill_no=goods.waybill_no))
    station = put(station, parcel)
    return ready(station, at_s, parcel.number)
