"""What people at the centre do beside a running hub: give commands, end claims, issue inspection orders.

Everything is written into the archive under officers' numbers; the hub publishes what it finds there. Used by
`kakou centre` and whatever other console. No MQTT; time comes in.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from sync.hub.archive import Archive, CentreAct, CommandRow, OpenGrant, OpenUse, RecordChange
from sync.hub.inspected import NOT_COUNTED
from sync.hub.refusals import SaidRefusal, expectation
from sync.link.messages import Status
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.commands import MAX_REASON, Act, Command, Revoke, kind_of_act
from sync.vocabulary.facts import PassageClosed, PassageOpened, RulingMade, read_body
from sync.vocabulary.numbers import UtcText, utc_text
from sync.vocabulary.records import InspectionOrder, OrderState, key_of
from sync.vocabulary.rulings import Verdict

FACTS_LOOKED_BACK = 400
FINAL = frozenset({"done", "refused", "expired"})

_read_status = decoder(Status)
_read_order = decoder(InspectionOrder)


class CentreRefused(SaidRefusal):
    """It cannot be done so at the centre."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why: never empty."""

    officers: tuple[str, ...]
    reason: str

    def checked(self) -> By:
        """Itself. Raises `CentreRefused`."""
        if not self.officers or not self.reason.strip() or len(self.reason) > MAX_REASON:
            raise CentreRefused(
                f"须填写关员工号和理由，理由不超过 {MAX_REASON} 字",
                f"expected an officer and a reason of at most {MAX_REASON} characters",
            )
        return self


# --- commands ---------------------------------------------------------------------------------------------


def give(
    archive: Archive,
    device: str,
    act: Act,
    by: By,
    *,
    valid_s: int,
    at_utc: str,
    new_id: Callable[[], str] = lambda: secrets.token_hex(16),
) -> CommandRow:
    """Write a command down for the hub to say. A revoked device is one from now on, whether or not it hears
    of it (G10). Raises `CentreRefused`."""
    if archive.enrolled(device) is None:
        raise CentreRefused(
            f"设备 {device[:64]} 未在本中心登记", f"device: {device[:64]} is not enrolled here"
        )
    command_id = new_id()
    try:
        Command(
            command_id=command_id,
            device=device,
            nonce="0" * 32,
            issued=UtcText(at_utc),
            valid_s=valid_s,
            officers=by.officers,
            reason=by.reason,
            act=act,
        )
    except ValueError as error:
        raise CentreRefused(expectation(str(error)).zh, str(error)) from error
    row = CommandRow(
        command_id,
        device,
        kind_of_act(act),
        to_json(act).decode(),
        by.officers,
        by.reason,
        at_utc,
        later(at_utc, valid_s),
        "waiting",
    )
    with archive.transaction():
        archive.add_command(row)
        if isinstance(act, Revoke):
            archive.revoke(device)
    return row


def answered(
    archive: Archive,
    command_id: str,
    *,
    within_s: float,
    sleep: Callable[[float], None],
    every_s: float = 0.05,
) -> CommandRow:
    """The command once it has a last word, or as it stands after about `within_s`."""
    waited_s = 0.0
    while True:
        row = archive.command(command_id)
        if row is None:
            raise CentreRefused(f"没有指令 {command_id}", f"there is no command {command_id}")
        if row.state in FINAL or waited_s >= within_s:
            return row
        sleep(every_s)
        waited_s += every_s


# --- claims (S4) ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GrantSeen:
    grant: OpenGrant
    age_s: float


def open_grants(archive: Archive, at_utc: str) -> tuple[GrantSeen, ...]:
    """Claims granted and not ended, the oldest first."""
    return tuple(GrantSeen(grant, _between_s(grant.asked_utc, at_utc)) for grant in archive.open_grants())


@dataclass(frozen=True, slots=True)
class UseSeen:
    use: OpenUse
    age_s: float
    """Since the hub heard of it."""


def open_uses(archive: Archive, at_utc: str) -> tuple[UseSeen, ...]:
    """Uses that rulings reserved without a grant known here, by the written policy or by an officer, and that
    have not ended; the oldest first. Their slips are taken as if granted."""
    return tuple(UseSeen(use, _between_s(use.told_utc, at_utc)) for use in archive.open_uses())


def _between_s(earlier_utc: str, later_utc: str) -> float:
    begin, end = (datetime.datetime.fromisoformat(each) for each in (earlier_utc, later_utc))
    return (end - begin).total_seconds()


def release_claim(archive: Archive, claim_id: str, by: By, at_utc: str) -> tuple[str, ...]:
    """An officer has seen that this vehicle did not cross and will not: the slips, which may be used again.
    A lane that asks by this claim again is refused. Raises `CentreRefused`."""
    by.checked()
    claim = archive.claim(claim_id)
    if claim is None:
        raise CentreRefused(f"没有占用 {claim_id[:80]}", f"there is no claim {claim_id[:80]}")
    with archive.transaction():
        freed = archive.return_grant(claim.device, claim_id)
        if freed:
            detail = f"{claim.device} passage {claim.passage}: {', '.join(freed)}"
            archive.add_act(CentreAct(at_utc, "release_claim", claim_id, by.officers, by.reason, detail))
    if not freed:
        raise CentreRefused(
            f"占用 {claim_id[:80]} 已结束：{claim.verdict} {claim.why}".strip(),
            f"claim {claim_id[:80]} is not open: {claim.verdict} {claim.why}".strip(),
        )
    return freed


def release_use(archive: Archive, device: str, use_id: str, by: By, at_utc: str) -> str:
    """An officer has seen that the vehicle of this use did not cross and will not: the slip, which may be
    used again. For what `open_uses` lists; a use that stands on a grant ends with its claim. Raises
    `CentreRefused`."""
    by.checked()
    with archive.transaction():
        freed = archive.return_use(device, use_id)
        if freed is not None:
            detail = f"{device} passage {freed.passage}: {freed.slip_no}"
            archive.add_act(CentreAct(at_utc, "release_use", use_id, by.officers, by.reason, detail))
    if freed is None:
        raise CentreRefused(
            f"{device[:64]} 没有未结束且未经授予的使用 {use_id[:80]}；见 `centre claims`",
            f"{device[:64]} has no use {use_id[:80]} that is open and without a grant; "
            "`centre claims` lists what is",
        )
    return freed.slip_no


# --- inspection orders ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """`state`: issued, taken, inspected, found, withdrawn."""

    order: InspectionOrder
    state: str
    steps: tuple[str, ...]
    """Each as `step device officers time detail`."""


def issue_order(archive: Archive, scope: str, order: InspectionOrder, by: By) -> int:
    """As a record of the scope, once; the number of its log. Raises `CentreRefused`."""
    by.checked()
    known = archive.record("inspection_orders", order.order_no, scope)
    body = to_json(order).decode()
    if known is not None and known != body:
        raise CentreRefused(
            f"指令 {order.order_no} 已下发，内容不同",
            f"order {order.order_no} is issued already, and says something else",
        )
    with archive.transaction():
        applied = archive.apply_changes(
            scope, [RecordChange("inspection_orders", key_of(order), body)], order.issued
        )
        if known is None:
            archive.add_act(
                CentreAct(order.issued, "issue_order", order.order_no, by.officers, by.reason, scope)
            )
    return applied.number


def withdraw_order(archive: Archive, scope: str, order_no: str, by: By, at_utc: str) -> int:
    """The record says so from now on. Raises `CentreRefused`."""
    by.checked()
    body = archive.record("inspection_orders", order_no, scope)
    if body is None:
        raise CentreRefused(
            f"{scope} 内没有指令 {order_no[:64]}", f"there is no order {order_no[:64]} in {scope}"
        )
    # Field by field, so that what this version does not know stays in the record.
    fields = {**msgspec.json.decode(body), "state": OrderState.WITHDRAWN.value}
    with archive.transaction():
        change = RecordChange("inspection_orders", order_no, to_json(fields).decode())
        applied = archive.apply_changes(scope, [change], at_utc)
        if applied.put:
            archive.add_act(CentreAct(at_utc, "withdraw_order", order_no, by.officers, by.reason, scope))
    return applied.number


def orders(archive: Archive, scope: str) -> Iterator[OrderSeen]:
    """Every order of the scope, with what facts have told of it."""
    for order_no in sorted(archive.record_keys(scope, "inspection_orders")):
        body = archive.record("inspection_orders", order_no, scope)
        try:
            order = None if body is None else _read_order(body)
        except Malformed:
            order = None
        if order is None:
            continue
        steps = archive.order_steps(order_no)
        counted = {step.step for step in steps if not step.detail.startswith(NOT_COUNTED)}
        state = next((s for s in ("found", "inspected", "taken") if s in counted), "issued")
        if order.state is OrderState.WITHDRAWN and state != "found":
            state = "withdrawn"
        told = tuple(f"{s.step} {s.device} {','.join(s.officers)} {s.time} {s.detail}".strip() for s in steps)
        yield OrderSeen(order, state, told)


# --- to look at -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneSeen:
    device: str
    revoked: bool
    online: bool
    hears: bool
    """It has told a nonce: a command can reach it now."""
    said: str
    """Of itself, in its last status."""
    heard_utc: str
    held: int | None
    """The passage that is held now, as far as its facts have come."""
    reasons: tuple[str, ...]
    ways: tuple[str, ...]
    """How that hold can end."""


def lane(archive: Archive, device: str) -> LaneSeen:
    """How a device stands, by its last status and facts. Raises `CentreRefused`."""
    enrolled = archive.enrolled(device)
    if enrolled is None:
        raise CentreRefused(
            f"设备 {device[:64]} 未在本中心登记", f"device: {device[:64]} is not enrolled here"
        )
    kept = archive.status(device)
    status = Status(device=device, online=False)
    if kept is not None:
        with contextlib.suppress(Malformed):
            status = _read_status(kept[0])
    held = held_now(archive, device)
    return LaneSeen(
        device=device,
        revoked=enrolled.revoked,
        online=status.online,
        hears=status.online and bool(status.nonce),
        said=status.health.get("lane") or status.health.get("handheld", ""),
        heard_utc="" if kept is None else kept[1],
        held=None if held is None else held.passage,
        reasons=() if held is None else held.ruling.codes(),
        ways=() if held is None else held.ways,
    )


def held_now(archive: Archive, device: str) -> RulingMade | None:
    """The ruling that holds a vehicle there now; None where nobody is held, as far as facts have come."""
    for _, body in archive.last_facts(device, FACTS_LOOKED_BACK):
        try:
            data = read_body(body).data
        except Malformed:
            continue
        match data:
            case RulingMade():
                return data if data.ruling.verdict is not Verdict.RELEASE else None
            case PassageClosed() | PassageOpened():
                return None
            case _:
                pass
    return None


def later(utc: str, seconds: float) -> str:
    moment = datetime.datetime.fromisoformat(utc) + datetime.timedelta(seconds=seconds)
    return utc_text(moment)


def told(row: CommandRow) -> dict[str, Any]:
    """For `--json`."""
    return {
        "command_id": row.command_id,
        "device": row.device,
        "kind": row.kind,
        "act": msgspec.json.decode(row.body),
        "officers": list(row.officers),
        "reason": row.reason,
        "given": row.given_utc,
        "good_until": row.good_until_utc,
        "state": row.state,
        "why": row.why,
        "times": row.times,
        "sent": row.sent_utc,
        "answered": row.answered_utc,
    }
