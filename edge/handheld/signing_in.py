"""Who holds the device: officer number and PIN, offline too; auto-lock; a second officer's PIN for others.

PINs pass through to `CheckPin` and are never part of a state, a fact or a view. What a lock keeps: every
room's draft.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.handheld.events import SignInAsked, SignOutAsked
from sync.vocabulary.rulings import Text


@dataclass(frozen=True, slots=True)
class SecondOfficerSigned:
    """Another officer typed number and PIN beside the one who is signed in."""

    officer_no: str
    pin: str

    def __repr__(self) -> str:
        return f"SecondOfficerSigned(officer_no={self.officer_no!r}, pin=...)"


@dataclass(frozen=True, slots=True)
class SecondOfficerDeclined:
    """Nobody else signs: whatever waits for it is not done."""


@dataclass(frozen=True, slots=True)
class LockAsked:
    """Lock now, as the auto-lock would: drafts stay, the signing key leaves memory."""


Intent = SignInAsked | SignOutAsked | SecondOfficerSigned | SecondOfficerDeclined | LockAsked


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
