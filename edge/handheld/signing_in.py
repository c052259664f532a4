"""Who holds the device: officer number and PIN, offline too; auto-lock; what the centre says of the officer.

PINs pass through to `CheckPin` and are never part of a state, a fact or a view. What a lock keeps: every
room's draft. A revoked officer is out at the next contact, a revoked device lets nobody in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edge.handheld.context import Context, SignedIn
from edge.handheld.effects import CheckPin, Commit, Effect, LockVault, LookUp, Told, WakeAfter, Wanted
from edge.handheld.events import (
    EffectFailed,
    Found,
    OfficerFindings,
    Paused,
    PinChecked,
    SignInAsked,
    SignOutAsked,
    SyncChanged,
    TimePassed,
    Touched,
)
from sync.vocabulary.facts import FactData, Stream
from sync.vocabulary.handheld_facts import DeviceLocked, OfficerSignedIn, OfficerSignedOut, SignInRefused
from sync.vocabulary.rulings import Text

UNTOUCHED: Final = "untouched"
"""Timer."""
AUTO_LOCK_S: Final = 300.0
"""Where no record of the site says otherwise."""
MAX_OFFICER_NO: Final = 32


@dataclass(frozen=True, slots=True)
class LockAsked:
    """Lock now, as the auto-lock would: drafts stay, the signing key leaves memory."""


@dataclass(frozen=True, slots=True)
class SecondOfficerSigned:
    """Another officer typed number and PIN beside the one signed in: for the room that asked for it."""

    officer_no: str
    pin: str

    def __repr__(self) -> str:
        return f"SecondOfficerSigned(officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class SecondOfficerDeclined:
    """Nobody else signs: whatever waits for it is not done. For the room that asked for it."""


Intent = SignInAsked | SignOutAsked | LockAsked


Event = (
    Intent | PinChecked | Found | TimePassed | Touched | Paused | SyncChanged | EffectFailed
)  # and nothing else reaches this room


class State(msgspec.Struct, frozen=True, kw_only=True):
    officer: SignedIn | None = None
    last_officer: str = ""
    locked: bool = False
    """Nobody is in, and somebody was: what is under way is theirs."""
    stopped: str = ""
    """Why this device lets nobody in any more; empty: it does."""
    request: int = 0
    checking: str = ""
    """The officer whose PIN is being checked."""
    refused: str = ""
    """Outcome of the last try, where it was not right."""
    tries: int = 0
    wait_until_s: float = 0.0
    touched_s: float = 0.0
    records_number: int = -1
    """Of the records in which the officer was looked up last."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart keeps of it: nobody stays signed in, since the key is gone from memory."""

    last_officer: str = ""
    locked: bool = False
    stopped: str = ""


def kept(state: State) -> Kept:
    return Kept(
        last_officer=state.last_officer,
        locked=state.locked or state.officer is not None,
        stopped=state.stopped,
    )


def woken(kept: Kept) -> State:
    return State(last_officer=kept.last_officer, locked=kept.locked, stopped=kept.stopped)


@dataclass(frozen=True, slots=True)
class SecondOfficerShown:
    """Another officer's number and PIN are asked for (双人作业); whose, the signed-in one cannot be."""

    purpose: Text
    """What the second officer answers for."""


@dataclass(frozen=True, slots=True)
class SigningInView:
    """Also shown over any page while a second officer is asked for. The PIN typed so far is the widget's own:
    it gives it away in `SignInAsked` or `SecondOfficerSigned` and forgets it."""

    phase: Literal["nobody", "checking", "waiting", "locked", "signed_in", "stopped"]
    """`locked`: drafts are kept, the same officer or another may sign in; `waiting`: too many wrong PINs;
    `stopped`: this device was revoked or wiped and lets nobody in."""
    officer_no: str
    """To begin with: who was signed in last."""
    title: Text
    message: Text | None
    """Why nobody is in: wrong PIN, wait 30 s, roster entry ended ..."""
    wait_s: float
    """With `waiting`: until the next try."""
    device: str
    drafts: int
    """Drafts kept on the device."""
    second: SecondOfficerShown | None = None


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    if state.officer is not None and _too_long_offline(context, event):
        after, effects = _lock(state, "too_long_offline")
        return _changed(after, refused="too_long_offline"), effects
    match event:
        case SignInAsked(officer_no, pin):
            return _try(state, context, officer_no.strip(), pin)
        case PinChecked(request=request) if request == state.request and state.checking:
            return _checked(state, context, event)
        case EffectFailed(CheckPin(request=request)) if request == state.request and state.checking:
            return _changed(state, checking="", refused="not_checked"), ()
        case SignOutAsked() if state.officer is not None:
            return _out(state, "asked", locked=False)
        case LockAsked() if state.officer is not None:
            return _lock(state, "asked")
        case Paused() if state.officer is not None:
            return _changed(state, touched_s=context.at_s), ()
        case Touched() if state.officer is not None:
            return _changed(state, touched_s=context.at_s), ()
        case TimePassed(name) if name == UNTOUCHED and state.officer is not None:
            left_s = state.touched_s + auto_lock_s(context) - context.at_s
            return _still_in(state, left_s) if left_s > 0 else _lock(state, "untouched")
        case SyncChanged(sync) if state.officer is not None and sync.records_number != state.records_number:
            number = state.request + 1
            asked = _changed(state, request=number, records_number=sync.records_number)
            return asked, (LookUp(number, Wanted.OFFICER, state.officer.officer_no),)
        case Found(request, OfficerFindings() as findings) if request == state.request:
            return _looked_up(state, findings)
        case _:
            return state, ()


def _too_long_offline(context: Context, event: Event) -> bool:
    """As at the sign-in, so that nobody stays in by having come in time. Before the first word of the sync
    nothing is known, and the sign-in has just looked; after it, an unknown age is too old (S10)."""
    if not isinstance(event, Touched | TimePassed | SyncChanged) or context.site is None:
        return False
    sync = event.sync if isinstance(event, SyncChanged) else context.sync
    age_s = sync.age_s(context.at_s)
    if age_s is None:
        return isinstance(event, SyncChanged) and bool(sync.records_epoch)
    return age_s > 3600.0 * context.site.offline_sign_in_h


def _still_in(state: State, left_s: float) -> tuple[State, tuple[Effect, ...]]:
    """An entry of the roster ends by the clock too, without any contact."""
    wake = WakeAfter(UNTOUCHED, left_s)
    if state.officer is None or state.checking:
        return state, (wake,)
    number = state.request + 1
    return _changed(state, request=number), (wake, LookUp(number, Wanted.OFFICER, state.officer.officer_no))


def stop(state: State, why: str) -> tuple[State, tuple[Effect, ...]]:
    """The device is revoked or wiped: whoever holds it is out, and nobody comes in any more."""
    after, effects = (state, ()) if state.officer is None else _out(state, "command", locked=True)
    return _changed(after, stopped=why), (*effects, LockVault())


def auto_lock_s(context: Context) -> float:
    return AUTO_LOCK_S if context.site is None else float(context.site.auto_lock_s)


def _try(state: State, context: Context, officer_no: str, pin: str) -> tuple[State, tuple[Effect, ...]]:
    if state.stopped or state.checking or context.at_s < state.wait_until_s:
        return state, ()
    if not officer_no or len(officer_no) > MAX_OFFICER_NO:
        return _changed(state, refused="unknown"), ()
    number = state.request + 1
    checking = _changed(state, request=number, checking=officer_no, refused="")
    return checking, (CheckPin(number, officer_no, pin),)


def _checked(state: State, context: Context, answer: PinChecked) -> tuple[State, tuple[Effect, ...]]:
    officer_no = state.checking
    if answer.outcome != "right":
        refused = SignInRefused(
            officer=officer_no, why=answer.outcome, tries=answer.tries, wait_s=answer.wait_s
        )
        after = _changed(
            state,
            checking="",
            refused=answer.outcome,
            tries=answer.tries,
            wait_until_s=context.at_s + answer.wait_s,
        )
        stream = Stream.ALARM if answer.outcome == "wait" else Stream.ROUTINE
        return after, (_told(refused, stream),)
    before = state.officer.officer_no if state.officer is not None else state.last_officer
    left: list[FactData] = []
    if _is_taken_over(state, officer_no):
        left.append(OfficerSignedOut(officer=before, why="other_officer"))
    signed_in = OfficerSignedIn(
        officer=officer_no, authorisations=answer.authorisations, offline=not context.sync.online
    )
    holder = SignedIn(
        officer_no=officer_no,
        authorisations=answer.authorisations,
        since_s=context.at_s,
        public_key=answer.public_key,
    )
    after = State(
        officer=holder,
        last_officer=officer_no,
        request=state.request,
        touched_s=context.at_s,
        records_number=context.sync.records_number,
    )
    facts = tuple(Told(Stream.ROUTINE, data) for data in (*left, signed_in))
    return after, (Commit(facts), WakeAfter(UNTOUCHED, auto_lock_s(context)))


def _is_taken_over(state: State, officer_no: str) -> bool:
    """Somebody else's lock ends here: their drafts stay and are this officer's from now on."""
    return (state.locked or state.officer is not None) and state.last_officer not in ("", officer_no)


def _looked_up(state: State, findings: OfficerFindings) -> tuple[State, tuple[Effect, ...]]:
    holder = state.officer
    if holder is None or findings.officer_no != holder.officer_no or findings.standing == "untold":
        return state, ()
    if findings.standing == "active" and findings.public_key != holder.public_key:
        # The number stands, and not for whoever proved a PIN here: revoked, and rostered anew.
        after, effects = _out(state, "revoked", locked=True)
        return _changed(after, refused="revoked"), effects
    if findings.standing == "active":
        if findings.authorisations == holder.authorisations:
            return state, ()
        changed = msgspec.structs.replace(holder, authorisations=findings.authorisations)
        return _changed(state, officer=changed), ()
    after, effects = _out(state, findings.standing, locked=True)
    return _changed(after, refused=findings.standing), effects


def _out(state: State, why: str, *, locked: bool) -> tuple[State, tuple[Effect, ...]]:
    officer = "" if state.officer is None else state.officer.officer_no
    after = _changed(state, officer=None, locked=locked, refused="")
    return after, (LockVault(), _told(OfficerSignedOut(officer=officer, why=why)))


def _lock(state: State, why: str) -> tuple[State, tuple[Effect, ...]]:
    officer = "" if state.officer is None else state.officer.officer_no
    after = _changed(state, officer=None, locked=True, refused="")
    return after, (LockVault(), _told(DeviceLocked(officer=officer, why=why)))


def _told(data: FactData, stream: Stream = Stream.ROUTINE) -> Commit:
    return Commit((Told(stream, data),))


def _changed(state: State, **changes: object) -> State:
    return msgspec.structs.replace(state, **changes)


# --- what is shown ------------------------------------------------------------------------------------------

_REFUSED: Final = {
    "wrong": Text("工号或密码错误", "Wrong number or PIN"),
    "wait": Text("密码多次错误，请稍候", "Too many wrong PINs, please wait"),
    "unknown": Text("本机无此关员", "Officer not rostered on this device"),
    "revoked": Text("关员授权已撤销", "Officer's authorisation was revoked"),
    "expired": Text("关员授权已到期", "Officer's authorisation has ended"),
    "not_checked": Text("本机存储故障，无法登录", "Storage fault: nobody can sign in now"),
    "too_long_offline": Text("离线过久，联网后登录", "Offline for too long, sign in with a network"),
}
_TITLE: Final = Text("关员登录", "Officer sign-in")
_LOCKED: Final = Text("已锁定 草稿已保存", "Locked, drafts are kept")
_STOPPED: Final = Text("本机已停用", "This device is out of service")


def view(state: State, context: Context, drafts: int = 0, second: Text | None = None) -> SigningInView:
    """`drafts`: how many lie unfinished in the other rooms; `second`: what another officer is asked for."""
    wait_s = max(0.0, state.wait_until_s - context.at_s)
    message = _REFUSED.get(state.refused)
    phase: Literal["nobody", "checking", "waiting", "locked", "signed_in", "stopped"]
    if state.stopped:
        phase, message = "stopped", Text(f"原因：{state.stopped}", f"Why: {state.stopped}")
    elif state.officer is not None:
        phase = "signed_in"
    elif state.checking:
        phase = "checking"
    elif wait_s > 0:
        phase = "waiting"
        whole = round(wait_s + 0.5)
        message = Text(f"密码多次错误，请等待 {whole} 秒", f"Wrong PIN, wait {whole} s")
    else:
        phase = "locked" if state.locked else "nobody"
    return SigningInView(
        phase=phase,
        officer_no=state.last_officer,
        title=_STOPPED if phase == "stopped" else _LOCKED if phase == "locked" else _TITLE,
        message=message,
        wait_s=wait_s,
        device=context.device,
        drafts=drafts,
        second=None if second is None else SecondOfficerShown(second),
    )
