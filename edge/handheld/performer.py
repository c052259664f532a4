"""Carries out the handheld's effects on things handed to it: stores, link, glass, timers.

What is answered at once is put into the core's own inbox, so that it is stepped like anything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.handheld.app import Opened
from edge.handheld.effects import (
    AnswerCommand,
    CheckPin,
    Commit,
    Effect,
    EndLive,
    GoLive,
    LockVault,
    LookUp,
    MarkPhoto,
    RecordVoice,
    Resync,
    SetLive,
    SignCode,
    Sound,
    StopVoice,
    TakePhoto,
    TellStatus,
    Told,
    UseCamera,
    WakeAfter,
    WipeDevice,
)
from edge.handheld.events import CodeSigned, Committed, EvidenceFailed, Found, PinChecked
from edge.handheld.joint.marks import Mark, with_mark, without_mark
from edge.handheld.looking_up import Lookups
from edge.handheld.memory import MOST_BYTES, read
from edge.handheld.stores import Stores
from edge.handheld.vault_files import Checked, Standing, VaultRefused
from edge.runtime.clock import Clock
from edge.runtime.loop import EffectFailed
from sync.store.journal import BlobOwed, JournalFull
from sync.store.opening import StoreRefused
from sync.vocabulary.commands import Outcome
from sync.vocabulary.facts import FactDraft, FactTooLong
from sync.vocabulary.records import Officer
from sync.vocabulary.release_codes import body_of, signed_bytes, text_of

MOST_WAITING: Final = 200
"""Facts told before the stores are open: wrong PINs, which the vault slows down."""

GlassEffect = (
    Sound | UseCamera | TakePhoto | MarkPhoto | RecordVoice | StopVoice | GoLive | SetLive | EndLive
)  # fmt: skip
"""What the half with screen, camera and microphone carries out."""


class CentrePort(Protocol):
    """What is said to whoever commands. Every call only enqueues."""

    def answer(self, command_id: str, outcome: Outcome, why: str) -> None: ...

    def tell_status(self) -> None: ...

    def resync(self) -> None: ...

    def wipe(self, command_id: str, force: bool) -> None:
        """Ends with the event `Wiped`."""

    def facts_waiting(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Things:
    """What a performer works on."""

    device: str
    stores: Stores
    lookups: Lookups
    centre: CentrePort
    glass: Callable[[GlassEffect], bool]
    """False: no glass is there to do it."""
    put: Callable[[Any], None]
    """Into the core's own inbox."""
    wake_after: Callable[[str, float], None]
    clock: Clock
    peppers: Callable[[], Sequence[bytes]]
    """What this device shares with the centre, one for each of its keys that is believed."""
    on_open: Callable[[], None]
    """The stores were opened by a PIN."""
    awaits_answers: Callable[[], bool] = field(default=lambda: False)
    """Something that was put into the core's own inbox is not stepped yet."""
    new_id: Callable[[], str] = field(default=lambda: secrets.token_hex(16))


class Performer:
    """For the core's one thread."""

    def __init__(self, things: Things) -> None:
        self._things = things
        self._keys: dict[str, Ed25519PrivateKey] = {}
        """Of whoever is signed in."""
        self._unsaid: list[FactDraft] = []
        self.found_mark: Mark | None = None
        """As the memory had it when the stores were opened."""
        self.mark: Mark | None = None
        """Of the glass's event in hand: durable with what came of it."""
        self._mark_kept: Mark | None = None
        """With the memory that was committed last."""

    def perform(self, effect: Effect) -> None:
        """Raises `EffectFailed` where a commit did not become durable, or nobody is there to do it."""
        things = self._things
        match effect:
            case Commit():
                self._commit(effect)
            case LookUp(request, wanted, text):
                things.put(Found(request, *things.lookups.find(wanted, text)))
            case CheckPin():
                self._check(effect)
            case LockVault():
                self._keys.clear()
            case SignCode():
                self._sign(effect)
            case WakeAfter(name, seconds):
                things.wake_after(name, seconds)
            case AnswerCommand(command_id, outcome, why):
                things.centre.answer(command_id, Outcome(outcome), why)
            case Resync():
                things.centre.resync()
            case TellStatus():
                things.centre.tell_status()
            case WipeDevice(command_id, force):
                things.centre.wipe(command_id, force)
            case TakePhoto(request=request) | MarkPhoto(request=request) | RecordVoice(request=request):
                if not things.glass(effect):
                    things.put(EvidenceFailed(request, "no screen is there to take it"))
            case Sound() | UseCamera() | StopVoice() | GoLive() | SetLive() | EndLive():
                things.glass(effect)
            case _:
                assert_never(effect)

    def opened(self) -> Opened:
        """What the memory of the stores, just opened, holds; the mark in it is taken over."""
        journal = self._things.stores.journal
        raw = journal.lane_state() if journal is not None else None
        if raw is None:
            return Opened(*read(None))
        memory, self.found_mark = without_mark(raw)
        self._mark_kept = self.found_mark
        if self.mark is None:
            self.mark = self.found_mark
        return Opened(*read(memory))

    # --- the journal --------------------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> None:
        things = self._things
        drafts = [self._draft(told) for told in commit.facts]
        journal = things.stores.journal
        if journal is None:
            self._unsaid = [*self._unsaid, *drafts][-MOST_WAITING:]
            return
        # A draft that is kept while something is looked up is not all that comes of the event.
        mark = self.mark if commit.facts or not things.awaits_answers() else self._mark_kept
        memory = None if commit.memory is None else with_mark(commit.memory, mark)
        if memory is not None and len(memory) > MOST_BYTES:
            raise EffectFailed(f"drafts of {len(memory)} bytes: expected at most {MOST_BYTES}")
        try:
            journal.commit(
                [*self._unsaid, *drafts],
                lane_state=memory,
                blobs=[BlobOwed(each.sha256, each.size_bytes, each.blob_class) for each in commit.evidence],
            )
        except (JournalFull, StoreRefused, FactTooLong) as error:
            raise EffectFailed(str(error)) from error
        if memory is not None:
            self._mark_kept = mark
        if drafts or self._unsaid:
            things.centre.facts_waiting()
        self._unsaid = []
        if commit.request:
            things.put(Committed(commit.request, journal.position()))

    def _draft(self, told: Told) -> FactDraft:
        clock = self._things.clock
        return FactDraft(
            self._things.new_id(),
            told.stream,
            clock.utc_text(),
            clock.boot_id(),
            clock.uncertainty_ms(),
            told.data,
        )

    # --- officers -----------------------------------------------------------------------------------------

    def _check(self, effect: CheckPin) -> None:
        checked = self._checked(effect.officer_no, effect.pin)
        if checked.outcome == "right" and effect.purpose == "sign_in":
            self._keys = {effect.officer_no: _key_of(checked.seed)} if checked.seed else {}
        self._things.put(_told(effect.request, checked))

    def _checked(self, officer_no: str, pin: str) -> Checked:
        things = self._things
        try:
            return things.stores.vault.check(
                officer_no,
                pin,
                at_s=things.clock.monotonic_s(),
                peppers=things.peppers(),
                find=lambda: self._standing(officer_no),
            )
        except (VaultRefused, StoreRefused, OSError) as error:
            raise EffectFailed(str(error)) from error

    def _standing(self, officer_no: str) -> Standing:
        """Asked when the vault is open: the stores open with it."""
        things = self._things
        if not things.stores.are_open:
            things.stores.open()
            things.put(self.opened())
            # After it: how far the journal stands is told to rooms that have their memory back.
            things.on_open()
        return things.lookups.standing(officer_no)

    def _sign(self, effect: SignCode) -> None:
        """The officer's own key: of who is signed in, or another's for this one signature."""
        code = effect.code
        key = self._keys.get(code.officer)
        if effect.pin:
            checked = self._checked(code.officer, effect.pin)
            if checked.outcome != "right":
                self._things.put(_told(effect.request, checked))
                return
            key = _key_of(checked.seed) if checked.seed else None
        if key is None:
            raise EffectFailed(f"officer {code.officer} has no signing key on this device")
        body = body_of(code)
        self._things.put(CodeSigned(effect.request, text_of(body, key.sign(signed_bytes(body)))))


def _key_of(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def _told(request: int, checked: Checked) -> PinChecked:
    officer: Officer | None = checked.officer
    return PinChecked(
        request,
        checked.outcome,
        () if officer is None else officer.authorisations,
        checked.wait_s,
        checked.tries,
        "" if officer is None else officer.public_key,
    )
