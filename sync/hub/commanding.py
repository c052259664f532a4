"""Commands down, their results up (S8, G10): what was given beside the running hub is signed for the device's
connection of now, said until it is answered, and kept with what became of it. No MQTT, no clock.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive, CommandRow, OrderStep
from sync.hub.asked import Asked
from sync.hub.inspected import NOT_COUNTED
from sync.hub.terms import ALARM_CONNECTION, HubAlarm, Limits, Outgoing, Refused
from sync.link.envelope import read_signed, reader, signed_payload
from sync.link.keys import Signer, verify
from sync.link.messages import MAX_COMMAND_BYTES, Context, Status, Topics
from sync.vocabulary.codec import Malformed, decoder
from sync.vocabulary.commands import LONGEST_VALID_S, Act, Command, CommandResult, Outcome
from sync.vocabulary.facts import CommandTaken, Fact, FindingMade, InspectionMade, OrderTaken
from sync.vocabulary.handheld_facts import DraftDropped, LaboratoryResult, ReleaseAsked
from sync.vocabulary.numbers import UtcText, utc_text
from sync.vocabulary.records import InspectionOrder, OrderState

AT_ONCE = 256
"""Open commands looked at in one turn."""
GRACE_S = 5.0
"""An answer may be on its way for so long after a command's time is over."""
LOOK_AT_GRANTS_EVERY_S = 60.0

_read_result = reader(CommandResult)
_read_status = decoder(Status)
_read_act: Callable[[str], Act] = decoder(cast(Any, Act))
_read_order = decoder(InspectionOrder)


class Commanding:
    """Every command that waits for its device, and what facts say about commands and inspection orders."""

    def __init__(self, archive: Archive, signer: Signer, topics: Topics, limits: Limits) -> None:
        self._archive = archive
        self._asked = Asked(archive)
        self._signer = signer
        self._topics = topics
        self._limits = limits
        self._looked_s: float | None = None
        self._grants_s: float | None = None

    # --- down ---------------------------------------------------------------------------------------------

    def due(self, now_s: float, at_utc: str) -> list[Outgoing]:
        """What is to be said now. Durable before it leaves, so that nothing is said that nobody knows of."""
        if self._looked_s is not None and 0 <= now_s - self._looked_s < self._limits.commands_every_s:
            return []
        self._looked_s = now_s
        waiting = self._archive.open_commands(at_utc, AT_ONCE)
        if not waiting:
            return []
        outgoing: list[Outgoing] = []
        with self._archive.transaction():
            if self._archive.shared:
                # What another worker has heard since must not be said over.
                self._archive.lock_devices(row.device for row in waiting)
                waiting = self._archive.open_commands(at_utc, AT_ONCE)
            for row in waiting:
                said = self._say(row, now_s, at_utc)
                if said is not None:
                    outgoing.append(said)
        return outgoing

    def _say(self, row: CommandRow, now_s: float, at_utc: str) -> Outgoing | None:
        left_s = _seconds(row.good_until_utc) - now_s
        if left_s <= 0:
            if left_s <= -GRACE_S:
                why = "no answer" if row.times else "the device was not connected"
                self._settle(row.command_id, row.device, "expired", why, at_utc)
            return None
        nonce = self._nonce(row.device)
        again_s = self._limits.accepted_again_s if row.state == "accepted" else self._limits.command_again_s
        if not nonce or (row.nonce == nonce and now_s - _seconds(row.sent_utc) < again_s):
            return None
        try:
            command = Command(
                command_id=row.command_id,
                device=row.device,
                nonce=nonce,
                issued=UtcText(at_utc),
                valid_s=min(LONGEST_VALID_S, math.ceil(left_s)),
                officers=row.officers,
                reason=row.reason,
                act=_read_act(row.body),
            )
        except ValueError as error:
            # Written by a newer version, or by hand.
            self._settle(row.command_id, row.device, "refused", str(error)[:200], at_utc)
            return None
        before_utc = _utc(now_s - again_s)
        if not self._archive.command_said(row.command_id, nonce, before_utc=before_utc, now_utc=at_utc):
            return None
        payload = signed_payload(self._signer, Context.COMMAND, command)
        return Outgoing(self._topics.command(row.device), payload, connection=ALARM_CONNECTION)

    def _nonce(self, device: str) -> str:
        """Of the device's connection, as its last status tells; empty where it hears nothing. A replayed
        status only makes a command void: no device takes a nonce twice."""
        kept = self._archive.status(device)
        if kept is None:
            return ""
        try:
            status = _read_status(kept[0])
        except Malformed:
            return ""
        return status.nonce if status.online else ""

    # --- up -----------------------------------------------------------------------------------------------

    def take(
        self, device: str, key: Mapping[str, Ed25519PublicKey], payload: bytes, at_utc: str
    ) -> list[Outgoing]:
        if len(payload) > MAX_COMMAND_BYTES:
            raise Refused(
                HubAlarm.OVERSIZED, f"result: {len(payload)} bytes, at most {MAX_COMMAND_BYTES}", device
            )
        told = _read_result(verify(key, read_signed(payload), Context.RESULT))
        if told.device != device:
            raise Refused(
                HubAlarm.WRONG_DEVICE, f"a result of {told.device[:64]!r} on the topic of {device}", device
            )
        foreign = self._foreign(told.command_id, device)
        if foreign:
            # Counted, not written each time: even a revoked device may say this as often as it likes.
            raise Refused(HubAlarm.COMMAND_FOREIGN, foreign, device)
        self._settle(told.command_id, device, told.outcome.value, told.why[:200], at_utc)
        return []

    def heard(self, fact: Fact, data: CommandTaken, at_utc: str) -> None:
        """The fact is the durable word: it settles what no result has reached us of."""
        if data.outcome not in (Outcome.ACCEPTED, Outcome.DONE, Outcome.REFUSED):
            return
        foreign = self._foreign(data.command_id, fact.device)
        if foreign:
            self._archive.add_alarm_once(at_utc, fact.device, HubAlarm.COMMAND_FOREIGN, foreign)
            return
        self._settle(data.command_id, fact.device, Outcome(data.outcome).value, data.why[:200], at_utc)

    def _foreign(self, command_id: str, device: str) -> str:
        """Why this command is not the device's to answer; empty where it is."""
        row = self._archive.command(command_id)
        if row is not None and row.device == device:
            return ""
        return f"answers command {command_id}, given to {'nobody' if row is None else row.device}"

    def _settle(self, command_id: str, device: str, state: str, why: str, at_utc: str) -> None:
        if self._archive.settle_command(command_id, device, state, why, at_utc):
            self._asked.settled(command_id, state, why, at_utc)

    # --- what officers ask with a handheld ----------------------------------------------------------------

    def asked(self, fact: Fact, data: ReleaseAsked | LaboratoryResult | DraftDropped, at_utc: str) -> None:
        match data:
            case ReleaseAsked():
                self._asked.release(fact, data, at_utc)
                # Somebody stands at the arm.
                self._looked_s = None
            case LaboratoryResult():
                self._asked.result(fact, data, at_utc)
            case DraftDropped():
                self._asked.stood(fact, data, at_utc)

    # --- inspection orders --------------------------------------------------------------------------------

    def stepped(self, fact: Fact, data: OrderTaken | InspectionMade | FindingMade, at_utc: str) -> None:
        """One of the three steps, as a fact tells it. Told again in another epoch it is the same step, judged
        by the roster of the day it first came."""
        steps = self._archive.order_steps(data.order_no)
        if any((step.device, step.event_id) == (fact.device, fact.event_id) for step in steps):
            return
        match data:
            case OrderTaken():
                step, detail = "taken", ""
            case InspectionMade():
                step, detail = "inspected", f"{data.method} {' '.join(data.waybill_nos)}".strip()
            case FindingMade():
                step, detail = "found", f"{data.finding} {data.handling} {data.remark}".strip()
        body = self._archive.record("inspection_orders", data.order_no)
        if body is None or not _is_open(body):
            self._archive.add_alarm_once(
                at_utc,
                fact.device,
                HubAlarm.ORDER_UNKNOWN,
                f"{step} by {', '.join(data.officers)[:80]}: order {data.order_no[:64]} is not open here",
            )
        not_counted = self._asked.stood(fact, data, at_utc)
        if not_counted:
            self._archive.add_alarm_once(
                at_utc,
                fact.device,
                HubAlarm.FINDING_NOT_COUNTED,
                f"{step} by {', '.join(data.officers)[:80]}, order {data.order_no[:64]}: {not_counted}"[:400],
            )
            detail = f"{NOT_COUNTED}{not_counted}"
        self._archive.add_order_step(
            OrderStep(
                data.order_no, step, fact.device, fact.event_id, data.officers[:8], fact.time, detail[:400]
            )
        )

    # --- grants nobody ends (S4) --------------------------------------------------------------------------

    def look_at_grants(self, now_s: float, at_utc: str) -> None:
        """Grants, and uses without one, end by facts or by an officer, never by time: what is open for long
        is told, once."""
        if self._grants_s is not None and 0 <= now_s - self._grants_s < LOOK_AT_GRANTS_EVERY_S:
            return
        self._grants_s = now_s
        before_utc = _utc(now_s - self._limits.grant_old_s)
        grants = self._archive.open_grants(before_utc, limit=1_000)
        uses = self._archive.open_uses(before_utc, limit=1_000)
        if not (grants or uses):
            return
        with self._archive.transaction():
            for grant in grants:
                self._archive.add_alarm_once(
                    at_utc,
                    grant.device,
                    HubAlarm.GRANT_OLD,
                    f"claim {grant.claim_id} of passage {grant.passage}, slips {', '.join(grant.slip_nos)}: "
                    f"granted at {grant.asked_utc}, and nothing has ended it",
                )
            for use in uses:
                self._archive.add_alarm_once(
                    at_utc,
                    use.device,
                    HubAlarm.GRANT_OLD,
                    f"use {use.use_id} of passage {use.passage}, slip {use.slip_no}: "
                    f"told of at {use.told_utc}, it stands on no grant, and nothing has ended it",
                )


def _is_open(body: str) -> bool:
    try:
        return _read_order(body).state is OrderState.OPEN
    except Malformed:
        return False


def _seconds(utc: str) -> float:
    try:
        return datetime.datetime.fromisoformat(utc).timestamp()
    except ValueError:
        return 0.0


def _utc(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return utc_text(moment)
