"""Controls (布控), recalls (召回) and spot-check rates as an officer at the centre sets them: records of a
scope, written with an act that says who and why. No MQTT, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from sync.hub.archive import Archive, CentreAct, RecordChange
from sync.hub.centre import By, CentreRefused
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Control, CreditTier, Enterprise, Mode, Recall, RecallState

_read_control = decoder(Control)
_read_recall = decoder(Recall)
_read_enterprise = decoder(Enterprise)
_MODE_ZH = {Mode.SHADOW: "影子", Mode.ADVISORY: "提示", Mode.LIVE: "生效"}


# --- controls ---------------------------------------------------------------------------------------------


def controls(archive: Archive, scope: str) -> tuple[Control, ...]:
    """Those that can be read, by number."""
    found = []
    for key in sorted(archive.record_keys(scope, "controls")):
        try:
            found.append(_read_control(archive.record("controls", key, scope) or ""))
        except Malformed:
            continue
    return tuple(found)


def control(archive: Archive, scope: str, control_id: str) -> Control | None:
    body = archive.record("controls", control_id, scope)
    try:
        return None if body is None else _read_control(body)
    except Malformed:
        return None


def put_control(
    archive: Archive, scope: str, wanted: Control, by: By, at_utc: str, detail: str = ""
) -> Control:
    """Written as its next version; the number of a control has one version in force. `detail`: what its
    trial showed. Raises `CentreRefused`."""
    by.checked()
    known = control(archive, scope, wanted.control_id)
    if wanted.valid_until <= wanted.valid_from or wanted.valid_until <= UtcText(at_utc):
        raise CentreRefused(
            "止期应晚于起期，且尚未过去", "valid until: expected a time after valid from, and not over yet"
        )
    if not wanted.control_id.strip() or len(wanted.control_id) > 64:
        raise CentreRefused("编号应为 1 至 64 个字符", "number: expected 1 to 64 characters")
    if not wanted.reason_zh.strip() or not wanted.reason_en.strip():
        raise CentreRefused(
            "提示须有中文和英文，司机要看",
            "reason: expected words in Chinese and in English, a driver reads them",
        )
    is_live = known is not None and known.mode is Mode.LIVE and _is_in_force(known, at_utc)
    if is_live and wanted.mode is not Mode.LIVE:
        raise CentreRefused(
            f"{wanted.control_id} 正在生效：改下{_MODE_ZH[wanted.mode]}版本会使其结束。"
            "请换编号试行，或先结束",
            f"{wanted.control_id} is live: a {wanted.mode.value} version would end it. Try it under another "
            "number, or end it first",
        )
    made = replace(wanted, version=1 if known is None else known.version + 1)
    told = f"{made.control_id}@{made.version} {made.mode.value} {made.action.value}; {detail}"
    _write(
        archive,
        scope,
        "controls",
        made.control_id,
        to_json(made),
        _act(at_utc, "put_control", made, by, told),
    )
    return made


def end_control(archive: Archive, scope: str, control_id: str, by: By, at_utc: str) -> Control:
    """In force no more, from now on. Raises `CentreRefused`."""
    by.checked()
    known = control(archive, scope, control_id)
    if known is None or not known.valid_until > UtcText(at_utc):
        raise CentreRefused(
            f"布控 {control_id[:64]} 不在有效期内", f"control {control_id[:64]}: there is none in force"
        )
    over = replace(known, valid_from=min(known.valid_from, UtcText(at_utc)), valid_until=UtcText(at_utc))
    told = f"{over.control_id}@{over.version} {over.mode.value}"
    _write(archive, scope, "controls", control_id, to_json(over), _act(at_utc, "end_control", over, by, told))
    return over


def _is_in_force(known: Control, at_utc: str) -> bool:
    return known.valid_from <= UtcText(at_utc) < known.valid_until


def _act(at_utc: str, act: str, made: Control, by: By, detail: str) -> CentreAct:
    return CentreAct(at_utc, act, made.control_id, by.officers, by.reason, detail[:400])


# --- recalls ----------------------------------------------------------------------------------------------


def recalls(archive: Archive, scope: str) -> tuple[Recall, ...]:
    """Those that can be read, by number."""
    found = []
    for key in sorted(archive.record_keys(scope, "recalls")):
        try:
            found.append(_read_recall(archive.record("recalls", key, scope) or ""))
        except Malformed:
            continue
    return tuple(found)


def put_recall(archive: Archive, scope: str, wanted: Recall, by: By, at_utc: str) -> None:
    """New, or said anew. Raises `CentreRefused`."""
    by.checked()
    named = (wanted.slip_nos, wanted.waybill_nos, wanted.trace_codes, wanted.skus, wanted.batch_nos)
    if not any(named) and not wanted.enterprises:
        raise CentreRefused(
            "召回须至少列出一项：核放单、运单、溯源码、SKU、批次或企业",
            "recall: expected at least one slip, waybill, trace code, SKU, batch or enterprise",
        )
    if not wanted.recall_no.strip() or len(wanted.recall_no) > 64:
        raise CentreRefused("编号应为 1 至 64 个字符", "number: expected 1 to 64 characters")
    if not wanted.reason_zh.strip() or not wanted.reason_en.strip():
        raise CentreRefused("提示须有中文和英文", "reason: expected words in Chinese and in English")
    act = CentreAct(at_utc, "put_recall", wanted.recall_no, by.officers, by.reason, wanted.state.value)
    _write(archive, scope, "recalls", wanted.recall_no, to_json(wanted), act)


def end_recall(archive: Archive, scope: str, recall_no: str, by: By, at_utc: str) -> None:
    """What it named may go again. Raises `CentreRefused`."""
    by.checked()
    body = archive.record("recalls", recall_no, scope)
    if body is None or msgspec.json.decode(body).get("state") == RecallState.ENDED.value:
        raise CentreRefused(
            f"召回 {recall_no[:64]} 不存在或已解除", f"recall {recall_no[:64]}: there is none in force"
        )
    fields = {**msgspec.json.decode(body), "state": RecallState.ENDED.value}
    act = CentreAct(at_utc, "end_recall", recall_no, by.officers, by.reason, "")
    _write(archive, scope, "recalls", recall_no, to_json(fields), act)


# --- spot-check rates -------------------------------------------------------------------------------------


def enterprises(archive: Archive, scope: str) -> tuple[Enterprise, ...]:
    """Those that can be read, by code."""
    found = []
    for key in sorted(archive.record_keys(scope, "enterprises")):
        try:
            found.append(_read_enterprise(archive.record("enterprises", key, scope) or ""))
        except Malformed:
            continue
    return tuple(found)


def set_rates(
    archive: Archive,
    scope: str,
    per_mille: Mapping[CreditTier, tuple[int, int]],
    by: By,
    at_utc: str,
    only: str = "",
) -> int:
    """Spot-check and X-ray rate of every enterprise of these tiers, or of one alone; how many changed.
    Raises `CentreRefused`."""
    by.checked()
    if not all(0 <= rate <= 1000 for rates in per_mille.values() for rate in rates):
        raise CentreRefused("比例应为 0 至 1000‰", "rates: expected 0 to 1000 per mille")
    known = [each for each in enterprises(archive, scope) if only in ("", str(each.code))]
    if only and not known:
        raise CentreRefused(f"没有企业 {only[:64]}", f"enterprise {only[:64]}: there is none")
    changes = []
    for each in known:
        if each.tier not in per_mille:
            continue
        spot, x_ray = per_mille[each.tier]
        # Field by field, so that what this version does not know stays in the record.
        fields = msgspec.json.decode(archive.record("enterprises", str(each.code), scope) or "{}")
        fields |= {"spot_check_per_mille": spot, "x_ray_per_mille": x_ray}
        changes.append(RecordChange("enterprises", str(each.code), to_json(fields).decode()))
    told = ", ".join(f"{tier.value} {spot}/{x_ray}" for tier, (spot, x_ray) in sorted(per_mille.items()))
    with archive.transaction():
        applied = archive.apply_changes(scope, changes, at_utc)
        act = CentreAct(
            at_utc, "set_rates", only or "tiers", by.officers, by.reason, f"{told}: {applied.put}"
        )
        archive.add_act(act)
    return applied.put


def _write(archive: Archive, scope: str, collection: str, key: str, body: bytes, act: CentreAct) -> None:
    with archive.transaction():
        archive.apply_changes(scope, [RecordChange(collection, key, body.decode())], act.at_utc)
        archive.add_act(act)
