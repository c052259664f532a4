"""What the person holding the device chooses: language, hand, gloves, theme, sound, what reads codes.

Every choice takes effect with the next view; `SettingsChanged` carries the new whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.handheld.context import Settings
from edge.handheld.events import SettingsChanged
from sync.vocabulary.rulings import Text

Intent = SettingsChanged


@dataclass(frozen=True, slots=True)
class Choice:
    text: Text
    is_chosen: bool
    gives: Settings
    """The settings after choosing it: what `SettingsChanged` carries."""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    name: Text
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class PreferencesView:
    title: Text
    rows: tuple[ChoiceRow, ...]
    about: tuple[Text, ...]
    """Version, device, site, what decodes (and what is missing for it)."""
