"""The feed permit and the tower's light: withheld for every reason there is, devices and room among them."""

from __future__ import annotations

from edge.runtime.values import replace
from edge.xray_bridge.deciding.belt import belt_unknown
from edge.xray_bridge.deciding.state import Acts, Station, wedge_valid
from edge.xray_bridge.deciding.telling import alarm, commit
from edge.xray_bridge.effects import Light, PermitFeed, SetTower
from sync.vocabulary import facts as fact
from sync.vocabulary.facts import AlarmCode
from sync.vocabulary.xray_facts import FeedChanged


def feed(station: Station, at_s: float) -> tuple[Station, Acts]:
    """Withheld for every reason there is; a change is told."""
    settings, belt = station.settings, station.belt
    waits = sum(1 for p in station.parcels if p.waits and p.verdict is None)
    limit = settings.most_waiting // 2 if station.crowded else settings.most_waiting
    if (waits > limit) is not station.crowded:
        station = replace(station, crowded=waits > limit)
    reasons: list[str] = []
    if station.closed:
        reasons.append("closed")
    if station.fault:
        reasons.append(f"fault: {station.fault}")
    if not station.journal_ok or station.unwritten:
        reasons.append("journal")
    if belt is None or station.belt_mm is None:
        reasons.append("belt_unknown")
    elif belt.emergency is not False:
        reasons.append("emergency")
    reasons += [f"device: {device}" for device in sorted(station.lost)]
    if not station.room_ok:
        reasons.append("evidence_full")
    if station.clearing:
        reasons.append("clearing")
    if station.jammed:
        reasons.append("jam")
    if station.crowded:
        reasons.append("queue")
    if not settings.triage.automatic and not any(desk.may_judge for desk in station.desks):
        reasons.append("nobody")
    reasons += [f"too_fast: {desk.desk}" for desk in station.desks if at_s < desk.paused_until_s]
    permit = not reasons
    effects: Acts = []
    if permit is not station.permit or tuple(reasons) != station.feed_reasons:
        if permit is not station.permit:
            effects.append(PermitFeed(permit))
        effects.append(commit(FeedChanged(permitted=permit, reasons=tuple(reasons))))
        station = replace(station, permit=permit, feed_reasons=tuple(reasons))
    light = _light(station, at_s)
    if light is not station.light:
        effects.append(SetTower(light))
        station = replace(station, light=light)
    return station, effects


_WAITS = ("queue", "nobody", "too_fast", "clearing")


def _light(station: Station, at_s: float) -> Light:
    if any(not reason.startswith(_WAITS) for reason in station.feed_reasons):
        return Light.RED
    if station.feed_reasons or not wedge_valid(station, at_s):
        return Light.AMBER
    return Light.GREEN


def device_lost(station: Station, device: str, why: str) -> tuple[Station, Acts]:
    if device in station.lost:
        return station, []
    station = replace(station, lost=station.lost | {device})
    effects: Acts = [
        commit(fact.DeviceLost(device=device, role="required", why=why)),
        alarm(AlarmCode.DEVICE_LOST, f"{device}: {why}", f"设备无响应：{device}", f"Device silent: {device}"),
    ]
    if device == "belt":
        station, more = belt_unknown(station, why or "the board is silent")
        effects += more
    return station, effects


def device_back(station: Station, device: str) -> tuple[Station, Acts]:
    if device not in station.lost:
        return station, []
    station = replace(station, lost=station.lost - {device})
    return station, [commit(fact.DeviceBack(device=device, role="required"))]


def room_seen(station: Station, ok: bool, free_bytes: int) -> tuple[Station, Acts]:
    if ok is station.room_ok:
        return station, []
    station = replace(station, room_ok=ok)
    if ok:
        return station, []
    detail = f"{free_bytes // 1_000_000} MB free"
    return station, [alarm(AlarmCode.EVIDENCE_FULL, detail, "证据存储已满", "The evidence disk is full")]
