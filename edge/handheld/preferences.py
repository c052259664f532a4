"""What the person holding the device chooses: language, hand, gloves, theme, sound, what reads codes.

Every choice takes effect with the next view; `SettingsChanged` carries the new whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from edge.handheld.context import Hand, Language, ScannerSource, Settings, Theme
from edge.handheld.events import SettingsChanged
from edge.handheld.view import both
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
    is_signed_in: bool = True
    """False: the one way from here is to signing in."""


_LANGUAGES: Final = ((Language.ZH, both("中文")), (Language.EN, both("English")))
_HANDS: Final = ((Hand.LEFT, Text("左手", "Left")), (Hand.RIGHT, Text("右手", "Right")))
_THEMES: Final = ((Theme.DARK, Text("深色", "Dark")), (Theme.SUNLIGHT, Text("强光", "Sunlight")))
_GLOVES: Final = ((False, Text("徒手", "Bare hands")), (True, Text("手套", "Gloves")))
_ON_OFF: Final = ((True, Text("开", "On")), (False, Text("关", "Off")))
_SOURCES: Final = (
    (ScannerSource.CAMERA, Text("摄像头", "Camera")),
    (ScannerSource.SERIAL, Text("串口", "Serial")),
    (ScannerSource.WEDGE, Text("键盘枪", "Keyboard")),
    (ScannerSource.INTENT, Text("内置扫描头", "Built in")),
)


def view(
    settings: Settings,
    about: tuple[Text, ...] = (),
    sources: frozenset[ScannerSource] | None = None,
    *,
    is_signed_in: bool = True,
) -> PreferencesView:
    """`sources`: what this device has to read codes with; None: all of them."""
    offered = [each for each in _SOURCES if sources is None or each[0] in sources]
    return PreferencesView(
        title=Text("设置", "Settings"),
        rows=(
            _row(settings, "language", Text("语言", "Language"), _LANGUAGES),
            _row(settings, "hand", Text("持机手", "Hand"), _HANDS),
            _row(settings, "gloves", Text("触控", "Touch"), _GLOVES),
            _row(settings, "theme", Text("主题", "Theme"), _THEMES),
            _row(settings, "sound", Text("声音", "Sound"), _ON_OFF),
            _row(settings, "vibration", Text("振动", "Vibration"), _ON_OFF),
            _row(settings, "source", Text("扫描方式", "Scanner"), offered),
        ),
        about=about,
        is_signed_in=is_signed_in,
    )


def _row(settings: Settings, field: str, name: Text, choices: Iterable[tuple[Any, Text]]) -> ChoiceRow:
    now = getattr(settings, field)
    return ChoiceRow(
        name,
        tuple(
            Choice(text, value == now, msgspec.structs.replace(settings, **{field: value}))
            for value, text in choices
        ),
    )
