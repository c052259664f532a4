"""Trace codes (溯源码, 一品一码): one to an outbound parcel, in the scope's records, signed for its label.

A code that is there already stays: a label printed again is the same to the last bit (Ed25519 signs the same
bytes alike). No clock; randomness comes in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from sync.hub.archive import Archive, CentreAct, RecordChange
from sync.hub.centre import By, CentreRefused
from sync.hub.slips import SlipSettings, public_kid, put_key
from sync.link.messages import Status
from sync.link.shown_traces import flaw_of
from sync.vocabulary.codec import Malformed, decoder, read_or_none, to_json
from sync.vocabulary.numbers import UtcText, utc_text
from sync.vocabulary.records import (
    MAX_STEPS,
    Direction,
    Recall,
    ReleaseSlip,
    Site,
    SlipKey,
    Trace,
    TraceStep,
    Waybill,
)
from sync.vocabulary.rulings import Text
from sync.vocabulary.trace_codes import MAX_CODE, PREFIX, TraceClaims, new_code, parse, unsigned

MOST: Final = 2_000
"""Parcels of one issue."""
OF_SLIP: Final = (
    "SELECT key, body FROM records WHERE collection = 'waybills' "
    """AND substr(body, instr(body, '"slip_no":"') + 11, 24) = ? """
    "AND scope || '' = ? ORDER BY key LIMIT ?"
)
"""By the index of schema step 13: its expression, to the letter. `scope || ''`: SQLite does not know how few
there are, and would go through the whole scope."""
GONE: Final = {"cancelled": "已取消", "left": "已离区"}

T = TypeVar("T")
_read_status = decoder(Status)


@dataclass(frozen=True, slots=True)
class Label:
    """What stands on one label."""

    trace_code: str
    waybill_no: str
    text: str
    """Of the QR code."""
    goods: str
    batch_no: str
    slip_no: str


@dataclass(frozen=True, slots=True)
class Given:
    """What an issue came to."""

    labels: tuple[Label, ...]
    fresh: int
    """Codes given now; the others were there."""
    refused: tuple[tuple[str, Text], ...]
    """Waybill number and why."""


def parcels_of_slip(archive: Archive, scope: str, slip_no: str) -> tuple[str, ...]:
    """By number."""
    rows = archive.engine.execute(OF_SLIP, (slip_no, scope, MOST + 1))
    found = [(key, read_or_none(body, Waybill)) for key, body in rows.fetchall()]
    return tuple(key for key, waybill in found if waybill is not None and waybill.slip_no == slip_no)


def issue(
    archive: Archive,
    scope: str,
    waybill_nos: Sequence[str],
    private: Ed25519PrivateKey,
    settings: SlipSettings,
    by: By,
    at_utc: str,
    *,
    pick: Callable[[int], int],
) -> Given:
    """Give codes to parcels that go out, and their labels; all in one transaction. Raises `CentreRefused`."""
    by.checked()
    wanted = tuple(dict.fromkeys(each.strip() for each in waybill_nos if each.strip()))
    if not 1 <= len(wanted) <= MOST:
        raise CentreRefused(
            f"运单号应为 1 至 {MOST} 个，实为 {len(wanted)} 个",
            f"expected 1 to {MOST} waybill numbers, got {len(wanted)}",
        )
    if archive.scope(scope) is None:
        raise CentreRefused(f"本库没有范围 {scope}", f"scope {scope} is not in this archive")
    now = UtcText(utc_text(datetime.fromisoformat(at_utc), whole_seconds=True))
    site = _site(archive)
    day = f"{datetime.fromisoformat(at_utc).astimezone(ZoneInfo(site.zone)):%Y-%m-%d}"
    refused: list[tuple[str, Text]] = []
    labels: list[Label] = []
    fresh = 0
    with archive.transaction():
        archive.lock_scope(scope)
        kid = put_key(archive, scope, private, settings, at_utc).kid
        changes: list[RecordChange] = []
        for number in wanted:
            waybill = read_or_none(archive.record("waybills", number, scope), Waybill)
            why = _NO_RECORD if waybill is None else _not_outbound(archive, scope, waybill)
            if waybill is None or why is not None:
                refused.append((number, why or _NO_RECORD))
                continue
            code = waybill.trace_code or new_code(day, pick)
            trace = read_or_none(archive.record("traces", code, scope), Trace)
            if trace is None or all(step.what_zh != _GIVEN for step in trace.steps):
                fresh += 1
                trace = _begun(code, waybill, site, now, trace)
                changes.append(RecordChange("traces", code, to_json(trace).decode()))
                if not waybill.trace_code:
                    named = replace(waybill, trace_code=code)
                    changes.append(RecordChange("waybills", number, to_json(named).decode()))
            labels.append(_label(waybill, trace, private, kid, settings.issuer))
        if changes:
            archive.apply_changes(scope, changes, at_utc)
        if labels:
            detail = f"{fresh} new, {len(labels) - fresh} there already: {', '.join(wanted)}"
            subject = labels[0].slip_no or labels[0].waybill_no
            act = CentreAct(at_utc, "issue_trace_codes", subject, by.officers, by.reason, detail[:600])
            archive.add_act(act)
    return Given(tuple(labels), fresh, tuple(refused))


def labels_of(
    archive: Archive,
    scope: str,
    waybill_nos: Sequence[str],
    private: Ed25519PrivateKey,
    settings: SlipSettings,
) -> tuple[Label, ...]:
    """Labels of parcels that have their codes, to be printed again; others are left out."""
    kid = public_kid(private)
    labels = []
    for number in dict.fromkeys(waybill_nos):
        waybill = read_or_none(archive.record("waybills", number, scope), Waybill)
        if waybill is None or not waybill.trace_code:
            continue
        trace = read_or_none(archive.record("traces", waybill.trace_code, scope), Trace)
        if trace is not None and trace.steps:
            labels.append(_label(waybill, trace, private, kid, settings.issuer))
    return tuple(labels)


def _label(waybill: Waybill, trace: Trace, private: Ed25519PrivateKey, kid: str, issuer: str) -> Label:
    at = next((step.at for step in trace.steps if step.what_zh == _GIVEN), trace.steps[0].at)
    given = utc_text(datetime.fromisoformat(at), whole_seconds=True)
    claims = TraceClaims(
        trace_code=trace.trace_code, waybill_no=waybill.waybill_no, issuer=issuer, issued=UtcText(given)
    )
    made = unsigned(claims, kid)
    names = dict.fromkeys(line.get("name") or line.get("declared_name", "") for line in waybill.lines)
    batches = dict.fromkeys(line.get("batch") or waybill.batch_no for line in waybill.lines)
    return Label(
        trace.trace_code,
        str(waybill.waybill_no),
        made.text(private.sign(made.signed)),
        "、".join(name for name in names if name),
        ", ".join(batch for batch in batches or {waybill.batch_no: None} if batch),
        str(waybill.slip_no or ""),
    )


_GIVEN: Final = "赋溯源码"


def _begun(code: str, waybill: Waybill, site: Site, now: UtcText, known: Trace | None) -> Trace:
    step = TraceStep(
        at=now,
        place_zh=site.name_zh,
        place_en=site.name_en,
        what_zh=_GIVEN,
        what_en="Trace code given",
    )
    before = () if known is None else known.steps[: MAX_STEPS - 1]
    return Trace(trace_code=code, waybill_no=waybill.waybill_no, steps=(*before, step))


_NO_RECORD: Final = Text("底账中无此运单", "no record of it")


def _not_outbound(archive: Archive, scope: str, waybill: Waybill) -> Text | None:
    """None where it goes out: its slip does, or it is on none yet and is no return."""
    if len(waybill.trace_code) > MAX_CODE:
        return Text(f"溯源码超过 {MAX_CODE} 个字符", f"its trace code is longer than {MAX_CODE} characters")
    if waybill.state in GONE:
        return Text(f"运单{GONE[waybill.state]}", f"its state is {waybill.state}")
    if waybill.slip_no is None:
        return Text("属退货", "it is a return") if waybill.direction == "return" else None
    slip = read_or_none(archive.record("release_slips", waybill.slip_no, scope), ReleaseSlip)
    if slip is not None and slip.direction is not Direction.OUT:
        return Text(f"属进区核放单 {waybill.slip_no}", f"it comes in, by {waybill.slip_no}")
    return None


# --- a label that is shown --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """A label's signed text, and whether it is one of ours."""

    claims: TraceClaims
    holds: bool
    why: str = ""


def check(archive: Archive, text: str) -> Checked | None:
    """None: no signed text. Raises `Malformed` for one that cannot be read."""
    if not text.startswith(PREFIX):
        return None
    shown = parse(text)
    for scope in archive.scopes():
        key = read_or_none(archive.record("slip_keys", shown.kid, scope.scope), SlipKey)
        if key is not None:
            why = flaw_of(shown, key)
            return Checked(shown.claims, not why, why)
    return Checked(shown.claims, False, f"no key {shown.kid} in the records")


# --- recalls: what they hit, and who knows of them --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hits:
    waybills: tuple[Waybill, ...]
    seen: int
    """Parcels hit in what was looked through; `waybills` are the first of them."""
    is_whole: bool
    """False: time ran out."""


def hits_of(
    archive: Archive,
    recall: Recall,
    *,
    most: int,
    within_s: float,
    now_s: Callable[[], float] = time.monotonic,
) -> Hits:
    """Parcels a recall names, by number. Goes through all waybills of all scopes."""
    until_s = now_s() + within_s
    found: list[Waybill] = []
    seen = 0
    words = {*recall.batch_nos, *recall.skus, *recall.trace_codes}
    words |= {str(each) for each in (*recall.waybill_nos, *recall.slip_nos, *recall.enterprises)}
    # In a transaction: outside of one PostgreSQL copies all of them aside before the first row.
    with archive.snapshot():
        for place, body in enumerate(_waybills(archive)):
            if place % 1_000 == 0 and now_s() > until_s:
                return Hits(tuple(found), seen, is_whole=False)
            if any(word in body for word in words):
                waybill = read_or_none(body, Waybill)
                if waybill is not None and recall.names(waybill):
                    seen += 1
                    if len(found) < most:
                        found.append(waybill)
    return Hits(tuple(found), seen, is_whole=True)


def _waybills(archive: Archive) -> Iterator[str]:
    for scope in archive.scopes():
        for (body,) in archive.engine.stream(
            "SELECT body FROM records WHERE scope = ? AND collection = 'waybills' ORDER BY key",
            (scope.scope,),
        ):
            yield body


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether one device has the record as it stands now."""

    device: str
    knows: bool
    number: int
    """The scope's number as the device told last."""
    told_utc: str
    is_online: bool


def reach_of(archive: Archive, collection: str, key: str) -> tuple[int, str, tuple[Reached, ...]]:
    """The number of the log that wrote the record last, when that was, and every device that follows its
    scope. Number 0: there is no such record."""
    for scope in archive.scopes():
        versions = archive.record_versions(scope.scope, collection, key)
        if versions and versions[-1].epoch == scope.epoch:
            last = versions[-1]
            found = (_reached(archive, device, scope.scope, last.number) for device in archive.devices())
            return last.number, last.at_utc, tuple(each for each in found if each is not None)
    return 0, "", ()


def _reached(archive: Archive, device: str, scope: str, number: int) -> Reached | None:
    told = archive.status(device)
    try:
        status = None if told is None else _read_status(told[0])
    except Malformed:
        return None
    if told is None or status is None or scope not in status.records:
        return None
    has = status.records[scope]
    return Reached(device, has >= number, has, told[1], status.online)


def _site(archive: Archive) -> Site:
    for body in archive.bodies_of("site"):
        site = read_or_none(body, Site)
        if site is not None:
            return site
    raise CentreRefused(
        "缺少场所记录：标签上须印场所名称",
        "expected a record of the site: whose name stands on the labels",
    )
