"""Facts, as the state has them to tell. Decides nothing."""

from __future__ import annotations

from edge.xray_bridge.association import Found, Windows
from edge.xray_bridge.deciding.state import Judgement, Parcel, Station, wedge_valid
from edge.xray_bridge.effects import Commit, Told
from edge.xray_bridge.events import PictureTaken
from edge.xray_bridge.evidence.manifest import GoodsSaid, Said
from edge.xray_bridge.values import Analysis, Region, Verdict
from sync.vocabulary import xray_facts as told_of
from sync.vocabulary.facts import Alarm, AlarmCode, FactData, Stream
from sync.vocabulary.xray_facts import (
    ParcelSeen,
    ParcelXRayed,
    PictureTold,
    RegionTold,
    ShareTold,
    SuspectTold,
)
from sync.vocabulary.xray_reasons import Because


def commit(*facts: FactData) -> Commit:
    """A part of this step's transaction. A flag goes with the alarms: it is known at once (G9)."""
    return Commit(tuple(Told(_stream(each), each) for each in facts))


def _stream(data: FactData) -> Stream:
    flagged = isinstance(data, ParcelXRayed) and data.verdict == Verdict.FLAGGED.value
    return Stream.ALARM if flagged or isinstance(data, Alarm) else Stream.ROUTINE


def routine(data: FactData) -> Told:
    return Told(Stream.ROUTINE, data)


def alarm(code: AlarmCode, detail: str, zh: str, en: str) -> Commit:
    return commit(Alarm(code=code, detail=detail, zh=zh, en=en))


def parcel_seen(parcel: Parcel) -> ParcelSeen:
    return ParcelSeen(
        parcel=parcel.number,
        entered=parcel.entered,
        leading_mm=parcel.leading_mm,
        trailing_mm=parcel.trailing_mm,
        waybill_no=parcel.waybill_no,
        read=parcel.read,
        texts=parcel.texts,
    )


def match_told(taken: PictureTaken, found: Found, parcel: Parcel | None) -> PictureTold:
    return PictureTold(
        picture=taken.picture,
        association=found.association.value,
        parcel=found.parcel,
        candidates=found.candidates[:32],
        waybill_no=parcel.waybill_no if parcel is not None else "",
        leading_mm=taken.leading_mm,
        trailing_mm=taken.trailing_mm,
        off_mm=found.off_mm,
        length_off_mm=found.length_off_mm,
        window_mm=found.window_mm,
        acquisition=taken.acquisition.value,
        why=found.why,
    )


def parcel_x_rayed(
    station: Station,
    at_s: float,
    parcel: Parcel,
    verdict: Verdict,
    by: str,
    reasons: tuple[Because, ...],
    judgement: Judgement | None = None,
    *,
    late: bool = False,
) -> ParcelXRayed:
    analysis, goods = parcel.analysis, parcel.goods
    said = judgement if judgement is not None else parcel.judged
    first = parcel.first
    return ParcelXRayed(
        parcel=parcel.number,
        waybill_no=parcel.waybill_no,
        picture=parcel.picture,
        association=parcel.association.value if parcel.association is not None else "",
        verdict=verdict.value,
        by=by,
        reasons=tuple(because.words() for because in reasons),
        officer=judgement.officer if judgement is not None else "",
        desk=judgement.desk if judgement is not None else "",
        second_of=first.officer if first is not None and judgement is not None else "",
        category=said.category if said is not None else "",
        note=said.note if said is not None else "",
        regions=_regions(said.regions) if said is not None else (),
        suspects=_suspects(analysis),
        shares=_shares(analysis),
        mass_kg=analysis.mass_kg if analysis is not None else None,
        length_mm=analysis.length_mm if analysis is not None else None,
        score=analysis.compared.score if analysis is not None else None,
        compared_on=analysis.compared.on.value if analysis is not None else "",
        references=analysis.compared.references if analysis is not None else 0,
        calibration=analysis.calibration if analysis is not None else "",
        wedge_valid=wedge_valid(station, at_s),
        control_versions=goods.control_versions if goods is not None else (),
        drawn=goods.drawn if goods is not None else False,
        recall_nos=goods.recalls if goods is not None else (),
        records_epoch=goods.records_epoch if goods is not None else "",
        records_number=goods.records_number if goods is not None else 0,
        records_age_s=goods.records_age_s if goods is not None else None,
        took_s=judgement.took_s if judgement is not None else None,
        late=late,
    )


def _regions(regions: tuple[Region, ...]) -> tuple[RegionTold, ...]:
    return tuple(
        RegionTold(r.box.left, r.box.top, r.box.width, r.box.height, r.category[:200], r.note[:1000])
        for r in regions[: told_of.MAX_REGIONS]
    )


def _suspects(analysis: Analysis | None) -> tuple[SuspectTold, ...]:
    if analysis is None:
        return ()
    return tuple(
        SuspectTold(
            code=s.code,
            zh=s.words.zh,
            en=s.words.en,
            z=s.z,
            left=s.box.left if s.box is not None else None,
            top=s.box.top if s.box is not None else None,
            width=s.box.width if s.box is not None else None,
            height=s.box.height if s.box is not None else None,
        )
        for s in analysis.suspects[: told_of.MAX_SUSPECTS]
    )


def _shares(analysis: Analysis | None) -> tuple[ShareTold, ...]:
    if analysis is None:
        return ()
    return tuple(
        ShareTold(s.material.value, s.area_share, s.mass_kg) for s in analysis.shares[: told_of.MAX_SHARES]
    )


def said_of(station: Station, at_s: float, parcel: Parcel) -> Said:
    goods, analysis, told, machine = parcel.goods, parcel.analysis, parcel.told, parcel.machine
    return Said(
        seen=parcel_seen(parcel),
        match=parcel.match,
        rule=_rule(station.settings.windows),
        length_by_eye_mm=parcel.length_mm(),
        length_by_picture_mm=analysis.length_mm if analysis is not None else None,
        belt_mm_s=max(0.0, station.speed_mm_s),
        goods=None
        if goods is None
        else GoodsSaid(
            enterprise=goods.enterprise,
            enterprise_name=goods.enterprise_name,
            skus=tuple(line.sku for line in goods.lines),
            hs_codes=tuple(line.hs_code for line in goods.lines),
        ),
        machine=machine,
        machine_ago_s=None if machine is None else max(0.0, at_s - parcel.told_s),
        judged=told if told is not machine else None,
        judged_ago_s=None if told is None or told is machine else max(0.0, at_s - parcel.told_s),
    )


def said_of_picture(station: Station, match: PictureTold) -> Said:
    return Said(match=match, rule=_rule(station.settings.windows), belt_mm_s=max(0.0, station.speed_mm_s))


def _rule(windows: Windows) -> str:
    return (
        f"leading and trailing edge within {windows.window_mm:g} mm and half of the gap, "
        f"length within {windows.length_mm:g} mm, unique"
    )
