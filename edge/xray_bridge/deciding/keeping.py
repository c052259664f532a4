"""Pictures kept as evidence, dropped from memory, or saved by an officer as a reference or a find."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.desks import refused_at_desk
from edge.xray_bridge.deciding.state import Acts, Station, parcel_of
from edge.xray_bridge.deciding.telling import commit
from edge.xray_bridge.effects import AnswerDesk, DropPicture, SavePicture
from edge.xray_bridge.events import EvidenceKept, EvidenceShed, SaveAsked, Saved
from sync.vocabulary import xray_facts as told_of
from sync.vocabulary.xray_facts import (
    PictureSaved,
    XRayEvidenceKept,
    XRayEvidenceMissed,
    XRayEvidenceShed,
    XRayFileKept,
)
from sync.vocabulary.xray_reasons import XRayReason


def evidence_kept(station: Station, kept: EvidenceKept) -> tuple[Station, Acts]:
    known = station.pictures.get(kept.picture)
    waybill_no = kept.waybill_no or (known.waybill_no if known is not None else "")
    whole = XRayEvidenceKept(
        parcel=kept.parcel,
        waybill_no=waybill_no,
        picture=kept.picture,
        manifest_sha256=kept.sha256,
        files=kept.files,
        size_bytes=kept.size_bytes,
        keep_class=kept.keep_class,
    )
    files = [
        XRayFileKept(
            parcel=kept.parcel,
            waybill_no=waybill_no,
            picture=kept.picture,
            name=each.name,
            sha256=each.sha256,
            size_bytes=each.size_bytes,
            held=kept.keep_class == "held",
        )
        for each in kept.up
    ]
    if known is not None:
        on_disk = replace(known, on_disk=True)
        station = replace(station, pictures=station.pictures | {kept.picture: on_disk})
    owed = tuple(each for each in station.owed if each[1] != kept.picture)
    station, effects = _dropped(replace(station, owed=owed), kept.picture)
    return station, [commit(whole, *files), *effects]


def owed_missed(station: Station) -> tuple[Station, Acts]:
    """The keeper has told all that it found on the disk: what is owed still was lost with the program."""
    missed = [
        XRayEvidenceMissed(parcel=number, picture=picture, why=XRayReason.RESTARTED.value)
        for number, picture in station.owed
    ]
    return replace(station, owed=()), [commit(*missed)] if missed else []


def evidence_failed(station: Station, number: int, picture: str, why: str) -> tuple[Station, Acts]:
    missed = XRayEvidenceMissed(parcel=number, picture=picture, why=why)
    station, effects = _dropped(station, picture)
    return station, [commit(missed), *effects]


def _dropped(station: Station, picture: str) -> tuple[Station, Acts]:
    """As long as its parcel is on the belt, somebody may want to see it."""
    if picture not in station.pictures or any(p.picture == picture for p in station.parcels):
        return station, []
    rest = {each: kept for each, kept in station.pictures.items() if each != picture}
    return replace(station, pictures=rest), [DropPicture(picture)]


def evidence_shed(shed: EvidenceShed) -> XRayEvidenceShed:
    return XRayEvidenceShed(
        parcels=len(shed.pictures),
        size_bytes=shed.size_bytes,
        first_day=shed.first_day,
        last_day=shed.last_day,
        keep_class=shed.keep_class,
        pictures=shed.pictures,
    )


def save_asked(station: Station, asked: SaveAsked) -> tuple[Station, Acts]:
    """制图—标图—反馈."""
    why = refused_at_desk(station, asked.desk, asked.officer)
    kept = station.pictures.get(asked.picture)
    if not why and asked.kind not in ("reference", "find"):
        why = "kind_unknown"
    if not why and (kept is None or kept.parcel != asked.parcel):
        why = "picture_gone"
    answer = AnswerDesk(asked.desk, asked.parcel, not why, why, asked.command_id)
    if why:
        return station, [answer]
    parcel = parcel_of(station, asked.parcel)
    goods = parcel.goods if parcel is not None else None
    save = SavePicture(
        asked.parcel,
        asked.picture,
        asked.kind,
        asked.officer,
        asked.category[:200],
        asked.note[:2000],
        asked.regions[: told_of.MAX_REGIONS],
        goods,
    )
    return station, [save, answer]


def saved(station: Station, done: Saved) -> tuple[Station, Acts]:
    if not done.entry:
        return station, []
    parcel = parcel_of(station, done.parcel)
    kept = station.pictures.get(done.picture)
    goods = parcel.goods if parcel is not None else None
    line = goods.lines[0] if goods is not None and goods.lines else None
    told = PictureSaved(
        parcel=done.parcel,
        waybill_no=kept.waybill_no if kept is not None else "",
        picture=done.picture,
        kind=done.kind,
        entry=done.entry,
        officer="",
        sku=line.sku if line is not None else "",
        hs_code=line.hs_code if line is not None else "",
    )
    return station, [commit(told)]
