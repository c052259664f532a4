"""Claims on slips, asked until they are answered (S4). Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from sync.link.envelope import signed_payload
from sync.link.keys import Signer
from sync.link.messages import ClaimAnswer, ClaimRequest, Context, Topics
from sync.link.outbox import MAX_WHY, Outbox, Unfit
from sync.link.words import ClaimAnswered, Connection, Publish

MAX_CLAIMS = 64
"""A lane has one claim at a time; more than this is a fault and the oldest are given up."""
MAX_ANSWERED = 256
"""Claims no longer waiting that are remembered, so that a doubled answer is not counted as a stranger's."""


@dataclass(slots=True)
class _Claim:
    request: ClaimRequest
    payload: bytes
    due_s: float


class Claims:
    def __init__(self, out: Outbox, signer: Signer, *, device: str, topics: Topics, retry_s: float) -> None:
        self._out = out
        self._signer = signer
        self._device = device
        self._topic = topics.claim(device)
        self._retry_s = retry_s
        self._claims: dict[str, _Claim] = {}
        self._answered: dict[str, None] = {}

    def asked(self, at_s: float, request: ClaimRequest) -> None:
        if request.claim_id in self._claims:
            return
        while len(self._claims) >= MAX_CLAIMS:
            given_up = next(iter(self._claims))
            del self._claims[given_up]
            self._out.count("claims_given_up")
        payload = signed_payload(self._signer, Context.CLAIM, request)
        self._claims[request.claim_id] = _Claim(request, payload, at_s)

    def answered(self, answer: ClaimAnswer) -> None:
        if answer.device != self._device:
            raise Unfit(f"expected an answer for {self._device}, got {answer.device[:40]!r}")
        claim = self._claims.get(answer.claim_id)
        if claim is None:
            self._out.count("answers_again" if answer.claim_id in self._answered else "answers_unknown")
            return
        if answer.passage != claim.request.passage:
            raise Unfit(f"expected an answer for passage {claim.request.passage}, got {answer.passage}")
        del self._claims[answer.claim_id]
        self._remember_answered(answer.claim_id)
        self._out.notify(ClaimAnswered(answer.claim_id, answer.passage, answer.verdict, answer.why[:MAX_WHY]))

    def _remember_answered(self, claim_id: str) -> None:
        self._answered[claim_id] = None
        while len(self._answered) > MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]

    def withdrawn(self, claim_id: str) -> None:
        if self._claims.pop(claim_id, None) is not None:
            self._remember_answered(claim_id)

    def again(self, at_s: float) -> None:
        """Whoever answers is there anew: all are asked again."""
        for claim in self._claims.values():
            claim.due_s = at_s

    def run(self, at_s: float) -> None:
        """Ask what is due. Only while the alarm connection is there."""
        for claim in self._claims.values():
            if claim.due_s <= at_s:
                claim.due_s = at_s + self._retry_s
                self._out.add(Publish(Connection.ALARM, self._topic, claim.payload))

    def due(self) -> list[float | None]:
        return [claim.due_s for claim in self._claims.values()]
