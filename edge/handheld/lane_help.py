"""Help at a lane: a held vehicle is released, led aside, or what could not be read is entered (S8, 补采).

The officer's key signs a code for one lane, one passage, once, for sixty seconds. It is in the journal before
it is shown to the lane's scanner, and goes to the centre as well, which commands the lane when it can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edge.handheld import words
from edge.handheld.context import Context
from edge.handheld.effects import (
    AnswerCommand,
    Commit,
    Effect,
    LookUp,
    SignCode,
    Sound,
    Told,
    Tone,
    WakeAfter,
)
from edge.handheld.effects import Wanted as Sought
from edge.handheld.events import (
    CodeSigned,
    CommandGiven,
    Committed,
    EffectFailed,
    Found,
    HeldFindings,
    PinChecked,
    SyncChanged,
    TimePassed,
)
from edge.handheld.said import said as in_words
from edge.handheld.view import both
from sync.vocabulary import handheld_facts as fact
from sync.vocabulary.commands import MAX_PASSAGE, Command, RequestAnswered
from sync.vocabulary.facts import CommandTaken, Stream, hash_of
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import HeldPassage
from sync.vocabulary.release_codes import MAX_REASON, MAX_VALUE, VALID_S, ReleaseCode
from sync.vocabulary.rulings import WAYS, Text, Way

Action = Literal["release", "aside", "supplement"]
Field = Literal["", "plate", "weight", "slip", "container"]


@dataclass(frozen=True, slots=True)
class HeldAsked:
    """Whom the lanes hold just now is wanted."""


@dataclass(frozen=True, slots=True)
class HeldChosen:
    """One of those the lanes hold: lane and passage in one touch."""

    lane: str
    passage: int


@dataclass(frozen=True, slots=True)
class LaneChosen:
    lane: str


@dataclass(frozen=True, slots=True)
class PassageGiven:
    """As the lane's page shows it."""

    text: str


@dataclass(frozen=True, slots=True)
class ActionChosen:
    action: Action


@dataclass(frozen=True, slots=True)
class ReasonGiven:
    text: str


@dataclass(frozen=True, slots=True)
class FieldGiven:
    """With `supplement`: what could not be read, and what it is."""

    field: Field
    value: str


@dataclass(frozen=True, slots=True)
class CodeAsked:
    """Sign it: to be shown, and asked of the centre."""


@dataclass(frozen=True, slots=True)
class SecondOfficerSigns:
    """Where the site wants two: another officer's number and PIN."""

    officer_no: str
    pin: str

    def __repr__(self) -> str:
        return f"SecondOfficerSigns(officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class OtherCodeAsked:
    """With two officers: show the other one's code."""


@dataclass(frozen=True, slots=True)
class HelpEnded:
    """The code goes from the screen; another lane may be helped."""


Intent = (
    HeldAsked | HeldChosen | LaneChosen | PassageGiven | ActionChosen | ReasonGiven | FieldGiven | CodeAsked
    | SecondOfficerSigns | OtherCodeAsked | HelpEnded
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: str
    name: Text
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class HeldRow:
    """Somebody who stands held in a lane; touching it fills in lane and passage."""

    lane: str
    passage: int
    title: Text
    """Lane, passage and plate."""
    why: Text
    ways: Text
    """What may be done about it."""
    since: Text
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class ReasonRow:
    text: Text
    """A ready-made one; touching it gives it in the officer's language."""


@dataclass(frozen=True, slots=True)
class CodeShown:
    """To be held before the lane's scanner."""

    text: str
    """For a QR code; error correction M is enough."""
    officer: str
    left_s: float
    """It works for so long; at zero it goes."""
    place: int
    """1 or 2"""
    of: int


@dataclass(frozen=True, slots=True)
class LaneHelpView:
    phase: Literal["filling_in", "second_wanted", "signing", "shown", "over"]
    held: tuple[HeldRow, ...]
    """As the centre has told; typing is there as well, for what it has not heard of yet."""
    lanes: tuple[LaneRow, ...]
    lane: str
    passage: str
    action: Action
    may_release: bool
    """This officer is authorised to let a vehicle go."""
    may_supplement: bool
    reason: str
    reasons: tuple[ReasonRow, ...]
    field: Field
    value: str
    officers_needed: int
    officers: tuple[str, ...]
    code: CodeShown | None
    answer: Text | None
    """What the centre said: asked, given to the lane, done, refused and why, no network."""
    answer_is_good: bool | None
    """None: no last word yet."""
    missing: tuple[Text, ...]
    """What keeps it from being signed."""
    told: Text | None


# --- what is kept -------------------------------------------------------------------------------------------

RELEASE: Final = "manual_release"
SUPPLEMENT: Final = "supplement"
"""Authorisations, as lanes ask for them."""
OVER: Final = "lane_help.over"
"""Timer."""

REASONS: Final = (
    Text("人工核对无误", "Checked by hand, in order"),
    Text("设备故障，人工核对", "Device fault, checked by hand"),
    Text("车牌污损，人工核对", "Plate unreadable, checked by hand"),
    Text("地磅异常，人工核对", "Scale fault, checked by hand"),
    Text("引导至查验区", "Led to the inspection area"),
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is filled in; kept over a restart."""

    lane: str = ""
    passage: str = ""
    action: Action = "release"
    reason: str = ""
    field: Field = ""
    value: str = ""


class Signature(msgspec.Struct, frozen=True, array_like=True):
    officer: str
    issued_s: float
    request: int
    text: str = ""
    """Empty while it is being signed."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A code is not kept over a restart: after sixty seconds it is worth nothing."""

    wanted: Wanted = Wanted()
    request: int = 0
    second_wanted: bool = False
    signatures: tuple[Signature, ...] = ()
    commit: int = 0
    """Request of the commit that has to be durable before a code is shown."""
    is_shown: bool = False
    shown_place: int = 0
    """Which of them, from 0."""
    asked: bool = False
    """The centre as well."""
    answer: Text | None = None
    answer_is_good: bool | None = None
    told: Text | None = None
    looking: int = 0
    """Request of the look-up of who is held; 0: none is open."""
    records_number: int = -1
    """Of the records when that was last asked."""
    held: tuple[HeldPassage, ...] = ()
    chosen: tuple[str, int] = ("", 0)
    """Lane and passage that were touched in that list."""


def kept(state: State) -> State:
    """What a memory holds of it: no text of a code, which lets a vehicle go for sixty seconds."""
    return State(wanted=state.wanted, request=state.request)


Event = (
    Intent
    | Found
    | SyncChanged
    | CodeSigned
    | PinChecked
    | Committed
    | CommandGiven
    | TimePassed
    | EffectFailed
)

# --- steps --------------------------------------------------------------------------------------------------


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case HeldAsked():
            return _look(state, context)
        case SyncChanged(sync) if sync.records_number != state.records_number:
            return _look(_changed(state, records_number=sync.records_number), context)
        case Found(request, HeldFindings(held)) if request == state.looking:
            return _held(_changed(state, looking=0, held=held), context), ()
        case HeldChosen(lane, passage) if any((h.lane, h.passage) == (lane, passage) for h in state.held):
            return _held_chosen(state, lane, passage), ()
        case LaneChosen() | PassageGiven() | ActionChosen() | ReasonGiven() | FieldGiven():
            return _fill_in(state, event)
        case CodeAsked():
            return _ask(state, context)
        case SecondOfficerSigns(officer_no, pin) if state.second_wanted:
            return _second(state, context, officer_no.strip(), pin)
        case CodeSigned(request, text):
            return _signed(state, context, request, text)
        case PinChecked(request=request) if any(each.request == request for each in state.signatures):
            return _second_refused(state, event)
        case Committed(request) if request == state.commit and request:
            wake = WakeAfter(OVER, VALID_S)
            return _changed(state, commit=0, is_shown=True, shown_place=0), (wake, Sound(Tone.RELEASE))
        case OtherCodeAsked() if state.is_shown:
            return _changed(state, shown_place=(state.shown_place + 1) % len(state.signatures)), ()
        case CommandGiven(Command(act=RequestAnswered() as answer) as command):
            return _answered(state, command, answer)
        case TimePassed(name) if name == OVER and state.is_shown:
            return _over(state, context)
        case EffectFailed(effect, why) if isinstance(effect, SignCode | Commit) and state.signatures:
            told = Text(f"签名未成：{why[:80]}", f"Not signed: {why[:80]}")
            return _changed(_fresh(state, state.wanted), told=told), (Sound(Tone.ERROR),)
        case HelpEnded():
            return _fresh(state, Wanted()), ()
        case _:
            return state, ()


def _fill_in(
    state: State, event: LaneChosen | PassageGiven | ActionChosen | ReasonGiven | FieldGiven
) -> tuple[State, tuple[Effect, ...]]:
    """What changes the meaning takes a code that was signed for something else from the screen."""
    match event:
        case LaneChosen(lane):
            wanted = msgspec.structs.replace(state.wanted, lane=lane[:MAX_VALUE], passage="")
        case PassageGiven(text):
            wanted = msgspec.structs.replace(state.wanted, passage=text.strip()[:20])
        case ActionChosen(action):
            wanted = msgspec.structs.replace(state.wanted, action=action, field="", value="")
        case ReasonGiven(text):
            wanted = msgspec.structs.replace(state.wanted, reason=text.strip()[:MAX_REASON])
        case FieldGiven(field, value):
            wanted = msgspec.structs.replace(state.wanted, field=field, value=value.strip()[:MAX_VALUE])
    return _fresh(state, wanted), ()


def _fresh(state: State, wanted: Wanted) -> State:
    """Nothing signed, nothing shown; what the lanes hold stays known."""
    is_chosen = state.chosen == (wanted.lane, _number(wanted.passage))
    return State(
        wanted=wanted,
        request=state.request,
        looking=state.looking,
        records_number=state.records_number,
        held=state.held,
        chosen=state.chosen if is_chosen else ("", 0),
    )


# --- who is held --------------------------------------------------------------------------------------------


def _look(state: State, context: Context) -> tuple[State, tuple[Effect, ...]]:
    if not (context.may(RELEASE) or context.may(SUPPLEMENT)):
        return state, ()
    number = state.request + 1
    return _changed(state, request=number, looking=number), (LookUp(number, Sought.HELD),)


def _held_chosen(state: State, lane: str, passage: int) -> State:
    wanted = msgspec.structs.replace(state.wanted, lane=lane[:MAX_VALUE], passage=str(passage))
    return _changed(_fresh(state, wanted), chosen=(lane, passage))


def _held(state: State, context: Context) -> State:
    """Whoever was chosen and is held no more needs no help: said before a code is signed for nobody."""
    if state.chosen == ("", 0) or any((h.lane, h.passage) == state.chosen for h in state.held):
        return state
    if state.signatures or state.second_wanted:
        return state
    lane, passage = state.chosen
    name = _lane_name(context, lane)
    told = Text(f"{name.zh} 过卡 {passage} 已不在扣留中", f"{name.en}, passage {passage} is held no more")
    return _changed(state, chosen=("", 0), told=told)


def _lane_name(context: Context, lane: str) -> Text:
    lanes = () if context.site is None else context.site.lanes
    found = next((each for each in lanes if each.lane == lane), None)
    return both(lane) if found is None else Text(found.name_zh or lane, found.name_en or lane)


def _held_row(held: HeldPassage, state: State, context: Context) -> HeldRow:
    name = _lane_name(context, held.lane)
    tail = f" · {held.plate}" if held.plate else ""
    ways = [way for way in Way if way.value in held.ways]
    since = words.moment(held.since, context.site)
    return HeldRow(
        lane=held.lane,
        passage=held.passage,
        title=Text(f"{name.zh} · 过卡 {held.passage}{tail}", f"{name.en} · passage {held.passage}{tail}"),
        why=Text("；".join(held.reasons_zh[:2]), "; ".join(held.reasons_en[:2])),
        ways=Text("、".join(WAYS[way].zh for way in ways), ", ".join(WAYS[way].en for way in ways)),
        since=Text(f"{since} 起", f"since {since}"),
        is_chosen=(state.wanted.lane, _number(state.wanted.passage)) == (held.lane, held.passage),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else 0


# --- filling in and signing ---------------------------------------------------------------------------------


def _missing(state: State, context: Context) -> tuple[Text, ...]:
    wanted = state.wanted
    is_passage = (
        wanted.passage.isascii() and wanted.passage.isdecimal() and 1 <= int(wanted.passage) <= MAX_PASSAGE
    )
    may = context.may(SUPPLEMENT if wanted.action == "supplement" else RELEASE)
    wants = (
        (context.officer is None, Text("请先登录", "Sign in")),
        (context.officer is not None and not may, Text("无此授权", "You are not authorised for this")),
        (not wanted.lane, Text("选择通道", "Choose the lane")),
        (not is_passage, Text("输入通道页面上的过卡号", "Enter the passage number on the lane's page")),
        (not wanted.reason, Text("填写原因", "Give a reason")),
        (wanted.action == "supplement" and not wanted.field, Text("选择补采项目", "Choose what is entered")),
        (wanted.action == "supplement" and not wanted.value, Text("输入补采内容", "Enter its value")),
    )
    return tuple(text for is_missing, text in wants if is_missing)


def _needed(state: State, context: Context) -> int:
    """As the lane counts: a slip's number is no more than what any driver may show."""
    if context.site is None or (state.wanted.action == "supplement" and state.wanted.field == "slip"):
        return 1
    return min(2, context.site.manual_release_officers)


def _ask(state: State, context: Context) -> tuple[State, tuple[Effect, ...]]:
    missing = _missing(state, context)
    if missing or context.officer is None:
        return _changed(state, told=missing[0] if missing else None), (Sound(Tone.ERROR),)
    fresh = _fresh(state, state.wanted)
    if _needed(state, context) > 1:
        # Signed together, so that the first one's sixty seconds do not pass while the second is fetched.
        return _changed(fresh, second_wanted=True), ()
    return _sign(fresh, context, ((context.officer.officer_no, ""),))


def _second(state: State, context: Context, officer_no: str, pin: str) -> tuple[State, tuple[Effect, ...]]:
    if context.officer is None or _missing(state, context):
        return _changed(state, second_wanted=False), ()
    if not officer_no or officer_no == context.officer.officer_no:
        told = Text("须由另一位关员确认", "It has to be another officer")
        return _changed(state, told=told), (Sound(Tone.ERROR),)
    officers = ((context.officer.officer_no, ""), (officer_no, pin))
    return _sign(_changed(state, second_wanted=False, told=None), context, officers)


def _second_refused(state: State, answer: PinChecked) -> tuple[State, tuple[Effect, ...]]:
    officer = next(each.officer for each in state.signatures if each.request == answer.request)
    refused = fact.SignInRefused(
        officer=officer, why=answer.outcome, tries=answer.tries, wait_s=answer.wait_s
    )
    over = _changed(state, signatures=(), second_wanted=True, told=words.second_refused(answer))
    return over, (Commit((Told(Stream.ROUTINE, refused),)), Sound(Tone.ERROR))


def _sign(
    state: State, context: Context, officers: tuple[tuple[str, str], ...]
) -> tuple[State, tuple[Effect, ...]]:
    wanted, request = state.wanted, state.request
    effects: list[Effect] = []
    signatures: list[Signature] = []
    for officer, pin in officers:
        request += 1
        code = ReleaseCode(
            lane=wanted.lane,
            passage=int(wanted.passage),
            officer=officer,
            reason=wanted.reason,
            issued=UtcText(context.utc),
            action=wanted.action,
            field=wanted.field,
            value=wanted.value,
        )
        effects.append(SignCode(request, code, pin))
        signatures.append(Signature(officer, context.at_s, request))
    return _changed(state, request=request, signatures=tuple(signatures), told=None), tuple(effects)


def _signed(state: State, context: Context, request: int, text: str) -> tuple[State, tuple[Effect, ...]]:
    if not any(each.request == request and not each.text for each in state.signatures):
        return state, ()
    signatures = tuple(
        msgspec.structs.replace(each, text=text) if each.request == request else each
        for each in state.signatures
    )
    state = _changed(state, signatures=signatures)
    if not all(each.text for each in signatures):
        return state, ()
    wanted = state.wanted
    facts: list[Told] = [
        Told(
            Stream.ROUTINE,
            fact.ReleaseCodeMade(
                lane=wanted.lane,
                lane_passage=int(wanted.passage),
                officer=each.officer,
                reason=wanted.reason,
                action=wanted.action,
                field=wanted.field,
                value=wanted.value,
                sha256=hash_of(each.text),
            ),
        )
        for each in signatures
    ]
    asks = context.sync.online
    if asks:
        second = signatures[1].text if len(signatures) > 1 else ""
        facts.append(Told(Stream.ALARM, fact.ReleaseAsked(code=signatures[0].text, second_code=second)))
    number = state.request + 1
    answer = (
        Text("已请求中心下令，也可出示给扫码器", "Asked of the centre; the lane's scanner takes it too")
        if asks
        else Text("无网络：请出示给通道扫码器", "No network: show it to the lane's scanner")
    )
    state = _changed(state, request=number, commit=number, asked=asks, answer=answer, answer_is_good=None)
    return state, (Commit(tuple(facts), request=number),)


_ANSWERS: Final = {
    "given": (Text("中心已下令，等待通道", "The centre has told the lane"), None),
    "accepted": (Text("通道等待第二位关员", "The lane waits for a second officer"), None),
    "done": (Text("通道已执行", "The lane has done it"), True),
    "refused": (Text("未执行：", "Not done: "), False),
}


def _answered(state: State, command: Command, answer: RequestAnswered) -> tuple[State, tuple[Effect, ...]]:
    """Whatever code it is about, the centre is told that it was heard; shown where the code still matters."""
    heard = CommandTaken(command_id=command.command_id, kind="request_answered", outcome="done")
    effects: tuple[Effect, ...] = (
        Commit((Told(Stream.ROUTINE, heard),)),
        AnswerCommand(command.command_id, "done"),
    )
    if not any(each.text and hash_of(each.text) == answer.code_sha256 for each in state.signatures):
        return state, effects
    said, is_good = _ANSWERS[answer.outcome]
    if answer.outcome == "refused":
        why = in_words(answer.why)
        said = Text(said.zh + why.zh, said.en + why.en)
    tone = Tone.RELEASE if is_good else Tone.ERROR
    sounds = () if is_good is None else (Sound(tone),)
    # Done: the code is used up, nobody needs to see it.
    shown = state.is_shown and not is_good
    return _changed(state, answer=said, answer_is_good=is_good, is_shown=shown), (*effects, *sounds)


def _over(state: State, context: Context) -> tuple[State, tuple[Effect, ...]]:
    left_s = max(_left_s(each, context) for each in state.signatures)
    if left_s > 0:
        return state, (WakeAfter(OVER, left_s),)
    told = Text("放行码已过期，可重新生成", "The code has ended; sign another if it is still needed")
    return _changed(state, is_shown=False, told=told), ()


def _left_s(signature: Signature, context: Context) -> float:
    return max(0.0, signature.issued_s + VALID_S - context.at_s)


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- the view -----------------------------------------------------------------------------------------------


def view(state: State, context: Context) -> LaneHelpView:
    phase: Literal["filling_in", "second_wanted", "signing", "shown", "over"] = "filling_in"
    if state.second_wanted:
        phase = "second_wanted"
    elif state.is_shown:
        phase = "shown"
    elif state.signatures and state.answer_is_good is None and state.told is None:
        phase = "signing"
    elif state.signatures:
        phase = "over"
    lanes = () if context.site is None else context.site.lanes
    code = None
    if state.is_shown:
        signature = state.signatures[state.shown_place]
        left_s = _left_s(signature, context)
        if left_s > 0:
            code = CodeShown(
                signature.text, signature.officer, left_s, state.shown_place + 1, len(state.signatures)
            )
    wanted = state.wanted
    return LaneHelpView(
        phase=phase,
        held=tuple(_held_row(held, state, context) for held in state.held),
        lanes=tuple(
            LaneRow(
                lane.lane,
                Text(lane.name_zh or lane.lane, lane.name_en or lane.lane),
                lane.lane == wanted.lane,
            )
            for lane in lanes
        ),
        lane=wanted.lane,
        passage=wanted.passage,
        action=wanted.action,
        may_release=context.may(RELEASE),
        may_supplement=context.may(SUPPLEMENT),
        reason=wanted.reason,
        reasons=tuple(ReasonRow(text) for text in REASONS),
        field=wanted.field,
        value=wanted.value,
        officers_needed=_needed(state, context),
        officers=tuple(each.officer for each in state.signatures),
        code=code,
        answer=state.answer if state.signatures else None,
        answer_is_good=state.answer_is_good,
        missing=_missing(state, context),
        told=state.told,
    )
