"""What officers ask of the centre with a handheld, as facts tell it: a lane's release or supplement (S8), a
recall after a failed laboratory result; and who has which inspection order in hand, told to all handhelds.

Everything is idempotent: the same fact may come again in another epoch. No MQTT, no clock.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeVar, cast

import msgspec

from sync.hub.archive import Archive, CentreAct, CommandRow, RecordChange
from sync.hub.inspected import why_not
from sync.hub.terms import HubAlarm
from sync.link.keys import signature_holds
from sync.vocabulary.bounds import MAX_TEXT
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.commands import MAX_REASON, Act, ManualRelease, RequestAnswered, Supplement, kind_of_act
from sync.vocabulary.facts import Fact, FindingMade, InspectionMade, OrderTaken
from sync.vocabulary.handheld_facts import DraftDropped, LaboratoryResult, RecallAsked, ReleaseAsked
from sync.vocabulary.numbers import EnterpriseCode, NumberText, UtcText, WaybillNo, utc_text
from sync.vocabulary.records import (
    InspectionOrder,
    Officer,
    OfficerState,
    OrderStanding,
    Recall,
    key_of,
)
from sync.vocabulary.release_codes import VALID_S, ReleaseCode, ShownCode, parse, signed_bytes

CLOCKS_APART_S: Final = 10.0
"""A code issued so far ahead of the hub's clock is still believed, as at a lane."""
_RELEASE, _ANSWER = "rc-", "ra-"
_ID_DIGITS: Final = 40
LOOKED_BACK: Final = 64
"""Commands among which a later code about the same passage would be: they stand for a minute."""
AUTHORISATIONS: Final = {"release": "manual_release", "aside": "manual_release", "supplement": "supplement"}
_STEPS: Final = {"taken": 1, "inspected": 2, "found": 3}

N = TypeVar("N", bound=NumberText)

_read_officer = decoder(Officer)
_read_order = decoder(InspectionOrder)
_read_standing = decoder(OrderStanding)
_read_act: Callable[[str], Act] = decoder(cast(Any, Act))


class NotGiven(ValueError):
    """No lane is told; the text says why, in words for the officer."""


class Asked:
    """Works inside the transaction that stores the facts."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    # --- release and supplement (S8) ----------------------------------------------------------------------

    def release(self, fact: Fact, data: ReleaseAsked, at_utc: str) -> None:
        """The lane is commanded once a code: the command's id is made of the code. A lane checks the officers
        again, by its own roster."""
        sha256 = hashlib.sha256(data.code.encode()).hexdigest()
        command_id = _RELEASE + sha256[:_ID_DIGITS]
        if self._archive.command(command_id) is not None:
            return
        try:
            codes, good_until_utc = self._believed(data, at_utc)
            self._must_be_the_latest(codes[0], good_until_utc)
        except NotGiven as error:
            self._answer(fact.device, sha256, "refused", str(error), at_utc)
            return
        code = codes[0]
        act: Act
        if code.action == "supplement" and code.field:
            act = Supplement(passage=code.passage, field=code.field, value=code.value)
        else:
            act = ManualRelease(passage=code.passage, aside=code.action == "aside")
        self._archive.add_command(
            CommandRow(
                command_id,
                code.lane,
                kind_of_act(act),
                to_json(act).decode(),
                tuple(each.officer for each in codes),
                code.reason,
                at_utc,
                good_until_utc,
                "waiting",
            )
        )
        self._answer(fact.device, sha256, "given", "", at_utc)

    def settled(self, command_id: str, state: str, why: str, at_utc: str) -> None:
        """A lane has answered, or its time is over: whoever asked for it hears so."""
        if not command_id.startswith(_RELEASE):
            return
        given = self._archive.command(f"{_ANSWER}{command_id.removeprefix(_RELEASE)}-given")
        if given is None:
            return
        asked = _read_act(given.body)
        if not isinstance(asked, RequestAnswered):
            return
        outcome: Literal["accepted", "done", "refused"] = "refused"
        if state == "done":
            outcome = "done"
        elif state == "accepted":
            outcome = "accepted"
        self._answer(given.device, asked.code_sha256, outcome, why, at_utc)

    def _must_be_the_latest(self, code: ReleaseCode, good_until_utc: str) -> None:
        """What an officer asked last is what is wanted: an earlier code of theirs about the same passage that
        comes late, as facts may, changes it no more. Raises `NotGiven`."""
        for row in self._archive.last_commands(LOOKED_BACK):
            same = row.device == code.lane and row.officers[:1] == (code.officer,)
            if not (same and row.command_id.startswith(_RELEASE) and row.good_until_utc > good_until_utc):
                continue
            act = _read_act(row.body)
            if isinstance(act, ManualRelease | Supplement) and act.passage == code.passage:
                raise NotGiven("a later code about this passage came before it: kept, and not given")

    def _believed(self, data: ReleaseAsked, at_utc: str) -> tuple[tuple[ReleaseCode, ...], str]:
        """The codes, and until when they stand. Raises `NotGiven`."""
        try:
            shown = tuple(map(parse, (data.code, data.second_code) if data.second_code else (data.code,)))
        except Malformed as error:
            raise NotGiven(str(error)[:MAX_REASON]) from error
        first = shown[0].code
        if any(_what(each.code) != _what(first) for each in shown):
            raise NotGiven("the two codes do not say the same")
        if len({each.code.officer for each in shown}) != len(shown):
            raise NotGiven("the two codes are of one officer")
        lane = self._archive.enrolled(first.lane)
        if lane is None or lane.revoked:
            raise NotGiven(f"no lane {first.lane[:60]} is enrolled here")
        for each in shown:
            self._check(each, at_utc)
        ends = min(_later(each.code.issued, VALID_S) for each in shown)
        return tuple(each.code for each in shown), max(ends, _later(at_utc, 1.0))

    def _check(self, shown: ShownCode, at_utc: str) -> None:
        """Raises `NotGiven`."""
        code = shown.code
        body = self._archive.record("officers", code.officer)
        try:
            officer = None if body is None else _read_officer(body)
        except Malformed:
            officer = None
        if officer is None:
            raise NotGiven(f"officer {code.officer[:40]} is not rostered")
        if officer.state is not OfficerState.ACTIVE or UtcText(at_utc) >= officer.valid_until:
            raise NotGiven(f"officer {code.officer[:40]} is not active")
        needs = AUTHORISATIONS[code.action]
        if needs not in officer.authorisations:
            raise NotGiven(f"officer {code.officer[:40]} has no authorisation {needs}")
        if not signature_holds(officer.public_key, signed_bytes(shown.body), shown.signature):
            raise NotGiven(f"the signature is not officer {code.officer[:40]}'s")
        age_s = _seconds(at_utc) - _seconds(code.issued)
        if not -CLOCKS_APART_S <= age_s <= VALID_S:
            raise NotGiven(f"the code was issued at {code.issued}, it came at {at_utc}: kept, and not given")

    def _answer(
        self,
        device: str,
        sha256: str,
        outcome: Literal["given", "accepted", "done", "refused"],
        why: str,
        at_utc: str,
    ) -> None:
        command_id = f"{_ANSWER}{sha256[:_ID_DIGITS]}-{outcome}"
        if self._archive.command(command_id) is not None:
            return
        act = RequestAnswered(code_sha256=sha256, outcome=outcome, why=_printable(why))
        until = _later(at_utc, VALID_S)
        row = CommandRow(
            command_id, device, kind_of_act(act), to_json(act).decode(), (), "", at_utc, until, "waiting"
        )
        self._archive.add_command(row)

    # --- recalls ------------------------------------------------------------------------------------------

    def result(self, fact: Fact, data: LaboratoryResult, at_utc: str) -> None:
        """What was held for the laboratory is handled as its result says. A failed sample opens the recall it
        names, once, in every scope that has the order (召回)."""
        self._handled_since(data, at_utc)
        if data.passed or data.recall is None:
            return
        scopes = self._scopes_of(data.order_no)
        why = self._not_allowed(data, scopes, at_utc)
        recall = None if why else _recall(fact, data, data.recall, at_utc)
        if recall is None:
            self._archive.add_alarm_once(
                at_utc,
                fact.device,
                HubAlarm.RECALL_NOT_OPENED,
                f"sample {data.sample_no[:64]} of order {data.order_no[:64]}: "
                + (why or "it names nothing that can be recalled"),
            )
            return
        body = to_json(recall).decode()
        for scope in scopes:
            if self._archive.record("recalls", recall.recall_no, scope) is not None:
                continue
            change = RecordChange("recalls", key_of(recall), body)
            self._archive.apply_changes(scope, [change], at_utc)
            self._archive.add_act(
                CentreAct(at_utc, "open_recall", recall.recall_no, data.officers[:8], recall.cause, scope)
            )
            self._archive.add_alarm_once(
                at_utc, fact.device, HubAlarm.RECALL_OPENED, f"{recall.recall_no}: {recall.cause}"[:400]
            )

    def _handled_since(self, data: LaboratoryResult, at_utc: str) -> None:
        scopes = self._scopes_of(data.order_no) if data.handling else ()
        if not scopes or self._not_allowed(data, scopes, at_utc):
            return
        for scope in scopes:
            known = self._standing(scope, data.order_no)
            if known is not None and known.handling == "sample_sent":
                self._stands(scope, msgspec.structs.replace(known, handling=data.handling[:40]), at_utc)

    def _not_allowed(self, data: LaboratoryResult, scopes: Sequence[str], at_utc: str) -> str:
        if not scopes:
            return "the order is not known here"
        body = self._archive.record("inspection_orders", data.order_no, scopes[0])
        try:
            needs = _read_order(body or "").authorisation
        except Malformed as error:
            return f"the order cannot be read: {error}"[:200]
        for number in data.officers:
            rostered = self._archive.record("officers", number)
            try:
                officer = None if rostered is None else _read_officer(rostered)
            except Malformed:
                officer = None
            if (
                officer is not None
                and officer.state is OfficerState.ACTIVE
                and UtcText(at_utc) < officer.valid_until
                and needs in officer.authorisations
            ):
                return ""
        return f"no officer of it may do so: {', '.join(data.officers)[:80]}"

    # --- who has which order ------------------------------------------------------------------------------

    def stood(
        self, fact: Fact, data: OrderTaken | InspectionMade | FindingMade | DraftDropped, at_utc: str
    ) -> str:
        """Told down as a record, so that no two officers take one order; a step back is none. Why it does not
        count, where whoever told it may not; else empty."""
        if isinstance(data, DraftDropped):
            if data.what == "inspection":
                self._given_back(fact, data.number, at_utc)
            return ""
        step: Literal["taken", "inspected", "found"]
        match data:
            case OrderTaken():
                step = "taken"
            case InspectionMade():
                step = "inspected"
            case FindingMade():
                step = "found"
        if not data.order_no or len(data.order_no) > 64:
            return ""
        standing = OrderStanding(
            order_no=data.order_no,
            step=step,
            officers=tuple(officer[:200] for officer in data.officers[:8]),
            device=fact.device,
            told=fact.time[:40],
            handling=data.handling[:40] if isinstance(data, FindingMade) else "",
            waybill_nos=_parsed(WaybillNo, data.waybill_nos) if isinstance(data, FindingMade) else (),
        )
        whys = []
        for scope in self._scopes_of(data.order_no):
            known = self._standing(scope, data.order_no)
            why = "" if isinstance(data, OrderTaken) else why_not(self._archive, scope, fact, data, at_utc)
            if why:
                whys.append(why)
                self._does_not_count(scope, standing, known, why, at_utc)
            elif known is None or _STEPS[known.step] < _STEPS[step] or _is_free(known):
                self._stands(scope, _beside(known, standing), at_utc)
        return whys[0] if whys else ""

    def _does_not_count(
        self, scope: str, told: OrderStanding, known: OrderStanding | None, why: str, at_utc: str
    ) -> None:
        """The order is open as before, and what it names is kept back. What others have ended stays ended;
        the same officers' end, if it came first, goes with this."""
        if known is None or known.step == "found":
            others = known is not None and (known.device, known.officers) != (told.device, told.officers)
            if others:
                return
            known = OrderStanding(order_no=told.order_no, step="taken", told=told.told)
        self._stands(scope, msgspec.structs.replace(known, not_counted=why[:MAX_TEXT]), at_utc)

    def _stands(self, scope: str, standing: OrderStanding, at_utc: str) -> None:
        change = RecordChange("order_standings", standing.order_no, to_json(standing).decode())
        self._archive.apply_changes(scope, [change], at_utc)

    def _given_back(self, fact: Fact, order_no: str, at_utc: str) -> None:
        for scope in self._scopes_of(order_no):
            known = self._standing(scope, order_no)
            if known is None or known.step != "taken" or known.device != fact.device:
                continue
            if known.not_counted:
                self._stands(scope, msgspec.structs.replace(known, officers=(), device=""), at_utc)
            else:
                self._archive.apply_changes(scope, [RecordChange("order_standings", order_no, None)], at_utc)

    def _standing(self, scope: str, order_no: str) -> OrderStanding | None:
        body = self._archive.record("order_standings", order_no, scope)
        try:
            return None if body is None else _read_standing(body)
        except Malformed:
            return None

    def _scopes_of(self, order_no: str) -> list[str]:
        return [
            scope.scope
            for scope in self._archive.scopes()
            if self._archive.record("inspection_orders", order_no, scope.scope) is not None
        ]


def _is_free(known: OrderStanding) -> bool:
    """What was told of it does not count, and nobody has taken it since."""
    return bool(known.not_counted) and not known.officers


def _beside(known: OrderStanding | None, now: OrderStanding) -> OrderStanding:
    """What did not count keeps the parcels back until somebody who may has ended the order."""
    if known is None or now.step == "found":
        return now
    return msgspec.structs.replace(now, not_counted=known.not_counted)


def _recall(fact: Fact, data: LaboratoryResult, asked: RecallAsked, at_utc: str) -> Recall | None:
    """None where nothing that is named can be what it should be."""
    waybill_nos = _parsed(WaybillNo, asked.waybill_nos)
    enterprises = _parsed(EnterpriseCode, asked.enterprises)
    trace_codes, skus = tuple(filter(None, asked.trace_codes)), tuple(filter(None, asked.skus))
    batch_nos = tuple(filter(None, asked.batch_nos))
    if not (waybill_nos or enterprises or trace_codes or skus or batch_nos):
        return None
    who = ", ".join(data.officers)
    return Recall(
        recall_no=f"LAB-{data.sample_no}"[:200],
        waybill_nos=waybill_nos,
        trace_codes=trace_codes,
        skus=skus,
        batch_nos=batch_nos,
        enterprises=enterprises,
        cause=f"laboratory {data.report_no}, sample {data.sample_no}, order {data.order_no}, "
        f"officer {who}, {fact.device}"[:400],
        issued=UtcText(at_utc),
        reason_zh=asked.reason_zh[:400],
        reason_en=asked.reason_en[:400],
    )


def _parsed(kind: type[N], texts: Sequence[str]) -> tuple[N, ...]:
    return tuple(number for text in texts if (number := kind.parse(text)) is not None)


def _what(code: ReleaseCode) -> tuple[str, ...]:
    return code.lane, str(code.passage), code.action, code.field, code.value


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_REASON]


def _seconds(utc: str) -> float:
    try:
        return datetime.datetime.fromisoformat(utc).timestamp()
    except ValueError:
        return 0.0


def _later(utc: str, seconds: float) -> str:
    moment = datetime.datetime.fromisoformat(utc) + datetime.timedelta(seconds=seconds)
    return utc_text(moment)
