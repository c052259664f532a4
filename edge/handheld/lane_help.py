"""Help at a lane: a held vehicle is released, led aside, or what could not be read is entered (S8, 补采).

The officer's key signs a code for one lane, one passage, once, for sixty seconds. It is in the journal before
it is shown to the lane's scanner, and goes to the centre as well, which commands the lane when it can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sync.vocabulary.rulings import Text

Action = Literal["release", "aside", "supplement"]
Field = Literal["", "plate", "weight", "slip", "container"]


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
    LaneChosen | PassageGiven | ActionChosen | ReasonGiven | FieldGiven | CodeAsked | SecondOfficerSigns
    | OtherCodeAsked | HelpEnded
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: str
    name: Text
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
