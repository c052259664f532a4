"""Claims on slips and what facts tell of their uses (S4): decided from the archive, answered signed.
No MQTT, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.archive import Archive, ClaimRow, RecordChange, UseEnd, UseTold
from sync.hub.terms import ALARM_CONNECTION, HubAlarm, Outgoing, Refused
from sync.link.envelope import read_signed, reader, signed_payload
from sync.link.keys import Signer, verify
from sync.link.messages import ClaimAnswer, ClaimRequest, ClaimVerdict, Context, Topics
from sync.vocabulary.codec import Malformed, decoder, to_json
from sync.vocabulary.facts import Fact, RulingMade
from sync.vocabulary.records import GateStage, ReleaseSlip, Site, SlipState
from sync.vocabulary.rulings import Reason

_read_claim = reader(ClaimRequest)
_read_slip = decoder(ReleaseSlip)
_read_site = decoder(Site)


@dataclass(slots=True)
class UsesTold:
    """What the facts of one batch say of slip uses."""

    reserved: dict[str, UseTold] = field(default_factory=dict)
    ends: dict[str, UseEnd] = field(default_factory=dict)
    claim_ends: dict[str, UseEnd] = field(default_factory=dict)
    claims: dict[str, list[Fact]] = field(default_factory=dict)
    """Claim -> the facts that name it."""


class Claiming:
    """Who may use which slip, and what became of every use."""

    def __init__(self, archive: Archive, signer: Signer, topics: Topics) -> None:
        self._archive = archive
        self._signer = signer
        self._topics = topics
        self._sites: tuple[str, ...] | None = None
        """Sites' records, as read in this transaction."""

    def take(
        self, device: str, key: Mapping[str, Ed25519PublicKey], raw: bytes, at_utc: str
    ) -> list[Outgoing]:
        request = _read_claim(verify(key, read_signed(raw), Context.CLAIM))
        if request.device != device:
            raise Refused(
                HubAlarm.WRONG_DEVICE, f"a claim of {request.device[:64]!r} on the topic of {device}", device
            )
        slip_nos = tuple(sorted({str(slip) for slip in request.slip_nos}))
        plate = str(request.plate or "")
        self._archive.lock_slips(slip_nos)
        known = self._archive.claim(request.claim_id)
        if known is None:
            known = self._decide(request.claim_id, device, request.passage, plate, slip_nos, at_utc)
        elif (known.device, known.passage, known.slip_nos) != (device, request.passage, slip_nos):
            raise Refused(
                HubAlarm.CLAIM_DIFFERS,
                f"claim {request.claim_id} of passage {request.passage} was asked before by {known.device} "
                f"for passage {known.passage} or other slips",
                device,
            )
        verdict, why = ClaimVerdict(known.verdict), known.why
        if (
            verdict is ClaimVerdict.GRANTED
            and self._archive.claim_end(device, request.claim_id) == "returned"
        ):
            # An officer, or the lane itself, has ended it since: its slips may be another's by now.
            verdict, why = ClaimVerdict.REFUSED, "claim was returned"
        answer = ClaimAnswer(request.claim_id, device, request.passage, verdict, why)
        payload = signed_payload(self._signer, Context.CLAIM_ANSWER, answer)
        return [Outgoing(self._topics.claim_answer(device), payload, connection=ALARM_CONNECTION)]

    def _decide(
        self, claim_id: str, device: str, passage: int, plate: str, slip_nos: tuple[str, ...], at_utc: str
    ) -> ClaimRow:
        end = self._archive.claim_end(device, claim_id)
        why = f"claim was {end} before it arrived" if end else self._obstacle(device, slip_nos, claim_id)
        verdict = ClaimVerdict.REFUSED if why else ClaimVerdict.GRANTED
        row = ClaimRow(device, passage, plate, verdict.value, why, slip_nos)
        self._archive.add_claim(claim_id, row, end or ("refused" if why else "granted"), at_utc)
        if end == "crossed":
            self.find_double_uses(device, slip_nos, at_utc)
        return row

    def _obstacle(self, device: str, slip_nos: tuple[str, ...], claim_id: str) -> str:
        """Why not every slip has a use left at this gate, beginning with a reason code; empty when all do.
        What stands on this very claim is no obstacle to it: a hub put back from a backup hears facts of
        claims it has lost before it is asked for them again."""
        stage = self._stage(device)
        wanted = SlipState.PASSED_FIRST if stage is GateStage.SECOND else SlipState.APPROVED
        for slip_no in slip_nos:
            slip = self._slip(slip_no)
            if slip is None:
                return f"{Reason.SLIP_NOT_FOUND.value} {slip_no}"
            allowed = slip.uses_allowed
            if stage is GateStage.SECOND and slip.state is SlipState.APPROVED:
                # For several vehicles: as many as have crossed at the first gate by now.
                allowed = len(self._archive.uses_of(slip_no, self._at(GateStage.FIRST)).crossed)
                if not allowed:
                    return f"{Reason.FIRST_GATE_MISSING.value} {slip_no}"
            elif slip.state is not wanted:
                return f"{Reason.SLIP_NOT_APPROVED.value} {slip_no}"
            if self._archive.uses_of(slip_no, self._same_gate(device), but=claim_id).taken >= allowed:
                return f"{Reason.SLIP_USED.value} {slip_no}"
        return ""

    def begin(self) -> None:
        """A transaction begins: what was read in another decides nothing."""
        self._sites = None

    def _stage(self, device: str) -> GateStage:
        """Which gate of a zone with two the device belongs to, as the site's record says (一卡, 二卡)."""
        if self._sites is None:
            self._sites = self._archive.bodies_of("site")
        for body in self._sites:
            stage = _stages_of(body).get(device)
            if stage is not None:
                return stage
        return GateStage.ONLY

    def _at(self, stage: GateStage) -> Callable[[str], bool]:
        return lambda device: self._stage(device) is stage

    def _same_gate(self, device: str) -> Callable[[str], bool]:
        """A slip is used once at each of two gates: only uses at the same one count against each other."""
        stage = self._stage(device)
        return lambda other: other == device or self._stage(other) is stage

    def mark_passed(self, device: str, slip_nos: Iterable[str], at_utc: str) -> None:
        """A slip that went through the first of two gates is good for the second: its record says so at once
        (`stucd` 3, then 4), without waiting for customs' own receipt."""
        stage = self._stage(device)
        if stage is GateStage.ONLY:
            return
        first = stage is GateStage.FIRST
        before = SlipState.APPROVED if first else SlipState.PASSED_FIRST
        after = SlipState.PASSED_FIRST if first else SlipState.PASSED_SECOND
        for slip_no in slip_nos:
            slip = self._slip(slip_no)
            if slip is None or slip.state is not before:
                continue
            if len(self._archive.uses_of(slip_no, self._same_gate(device)).crossed) < slip.uses_allowed:
                continue
            for scope in self._archive.scopes():
                body = self._archive.record("release_slips", slip_no, scope.scope)
                if body is not None:
                    # Field by field, so that what this version does not know stays in the record.
                    fields = {**msgspec.json.decode(body), "state": after.value}
                    change = RecordChange("release_slips", slip_no, to_json(fields).decode())
                    self._archive.apply_changes(scope.scope, [change], at_utc)

    def _slip(self, slip_no: str) -> ReleaseSlip | None:
        body = self._archive.record("release_slips", slip_no)
        if body is None:
            return None
        try:
            return _read_slip(body)
        except Malformed:
            return None

    def ruled(self, uses: UsesTold, fact: Fact, data: RulingMade, at_utc: str) -> None:
        """The ruling is the only fact that says which slip a use is of."""
        if len(data.slips) != len(data.use_ids):
            if data.use_ids:
                self._archive.add_alarm_once(
                    at_utc,
                    fact.device,
                    HubAlarm.USES_UNMATCHED,
                    f"ruling {fact.epoch}/{fact.stream.value}/{fact.seq}: "
                    f"{len(data.use_ids)} uses of {len(data.slips)} slips",
                )
            return
        for use_id, slip_no in zip(data.use_ids, data.slips, strict=True):
            uses.reserved[use_id] = UseTold(str(slip_no), data.passage, data.claim_id)

    def ended(self, uses: UsesTold, fact: Fact, use_ids: Iterable[str], claim_id: str, state: str) -> None:
        """The vehicle crossed, or will not. Of several facts about one use the latest by position wins."""
        end = UseEnd(claim_id, fact.passage or 0, state, fact.position)
        for use_id in use_ids:
            before = uses.ends.get(use_id)
            if before is None or before.position < end.position:
                uses.ends[use_id] = end
        if claim_id:
            uses.claims.setdefault(claim_id, []).append(fact)
            before = uses.claim_ends.get(claim_id)
            if before is None or before.position < end.position:
                uses.claim_ends[claim_id] = end

    def tell(self, device: str, uses: UsesTold, at_utc: str) -> None:
        """Write what facts said of uses; find what was used too often, and tell the records what has passed.
        Inside a transaction, the device locked."""
        if not (uses.reserved or uses.ends or uses.claim_ends):
            return
        used = self._archive.tell_uses(device, uses.reserved, uses.ends, at_utc)
        if uses.claim_ends:
            claims = self._archive.claims(uses.claim_ends)
            for claim_id, facts in uses.claims.items():
                claim = claims.get(claim_id)
                if claim is None or claim.device == device:
                    continue
                for fact in facts:
                    self._archive.add_alarm_once(
                        at_utc,
                        device,
                        HubAlarm.CLAIM_FOREIGN,
                        f"{fact.epoch}/{fact.stream.value}/{fact.seq}: "
                        f"names claim {claim_id} of {claim.device}",
                    )
            self._archive.end_claims(device, uses.claim_ends)
            for claim_id, end in uses.claim_ends.items():
                claim = claims.get(claim_id)
                if end.state == "crossed" and claim is not None and claim.device == device:
                    used.update(claim.slip_nos)
        if used:
            slip_nos = sorted(used)
            self._archive.lock_slips(slip_nos)
            self.find_double_uses(device, slip_nos, at_utc)
            self.mark_passed(device, slip_nos, at_utc)

    def find_double_uses(self, device: str, slip_nos: Sequence[str], at_utc: str) -> None:
        for slip_no, uses in self._archive.uses_of_each(slip_nos, self._same_gate(device)).items():
            if len(uses.crossed) <= 1:
                # Every slip allows one use at least: no other is imported.
                continue
            slip = self._slip(slip_no)
            allowed = 1 if slip is None else slip.uses_allowed
            if len(uses.crossed) > allowed:
                self._archive.add_alarm_once(
                    at_utc,
                    device,
                    HubAlarm.DOUBLE_USE,
                    f"slip {slip_no} crossed {len(uses.crossed)} times, {allowed} allowed: "
                    f"{', '.join(uses.crossed)}",
                )


@lru_cache(maxsize=16)
def _stages_of(site: str) -> Mapping[str, GateStage]:
    """Device -> its gate, of a site's record. A record nobody can read says nothing."""
    try:
        return {lane.lane: lane.gate for lane in _read_site(site).lanes}
    except Malformed:
        return {}
