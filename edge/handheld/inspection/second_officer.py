"""双人作业: whether a second officer is needed, and whether that one has proved it."""

from __future__ import annotations

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import CheckPin, Sound, Tone
from edge.handheld.events import PinChecked
from edge.handheld.inspection.state import Draft, State, Stepped, changed, commit, draft_of, not_done, put
from edge.handheld.words import second_refused
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.records import InspectionMethod
from sync.vocabulary.rulings import Text


def officers_needed(draft: Draft, context: Context) -> int:
    """As the order says, and two where the site wants two for what is done (双人作业)."""
    methods = () if context.site is None else context.site.two_officer_methods
    done = {draft.method} | ({InspectionMethod.SAMPLE} if draft.sample is not None else set())
    return min(2, max(draft.order.officers_needed, 2 if done & set(methods) else 1))


def second_officer_came(state: State, context: Context, draft: Draft, officer_no: str, pin: str) -> Stepped:
    if context.officer is None or not officer_no or officer_no == context.officer.officer_no:
        return not_done(state, Text("须由另一位关员确认", "It has to be another officer"))
    number = state.request + 1
    state = changed(state, request=number, checking=(number, draft.order_no, officer_no), told=None)
    return state, (CheckPin(number, officer_no, pin, "second"),)


def second_checked(state: State, context: Context, answer: PinChecked) -> Stepped:
    if state.checking is None or state.checking[0] != answer.request:
        return state, ()
    _, order_no, officer_no = state.checking
    state = changed(state, checking=None)
    draft = draft_of(state, order_no)
    if answer.outcome != "right":
        refused = fact.SignInRefused(
            officer=officer_no, why=answer.outcome, tries=answer.tries, wait_s=answer.wait_s
        )
        return changed(state, told=second_refused(answer)), (commit(refused), Sound(Tone.ERROR))
    if draft is None or draft.step != "carrying_out" or draft.stopped:
        return state, ()
    if draft.order.authorisation not in answer.authorisations:
        return not_done(state, Text("第二位关员无此授权", "The second officer is not authorised for this"))
    return put(state, msgspec.structs.replace(draft, second_officer=officer_no)), (Sound(Tone.RELEASE),)
