"""What all widgets look up: colours, sizes, hand and language of now. Kivy; one object, `LOOK`.

Bound by name in every .kv: when the settings in a view change, the whole screen follows without being made
again.
"""

from __future__ import annotations

from typing import Final

from kivy.core.window import Window
from kivy.event import EventDispatcher
from kivy.metrics import dp, sp
from kivy.properties import BooleanProperty, NumericProperty, StringProperty

from edge.handheld.context import Hand, Language, Settings, Theme
from edge.handheld.screens.themes import COLOURS, Colour
from sync.vocabulary.rulings import Text

TARGET_DP: Final = 56
"""Height and width of anything that can be touched; 48 is the least anybody asks for."""
GLOVE_TARGET_DP: Final = 68
"""The least asked for is 64."""
WIDE: Final = 1.2
"""Width to height from which buttons stand at the side, where the thumb of a hand holding a tablet is."""


class Look(EventDispatcher):
    theme = StringProperty(Theme.DARK.value)
    language = StringProperty(Language.ZH.value)
    is_left = BooleanProperty(False)
    is_gloved = BooleanProperty(False)
    is_wide = BooleanProperty(False)
    target = NumericProperty(0)
    """Dots."""
    gap = NumericProperty(0)
    small = NumericProperty(0)
    """Font sizes in dots: small, body, large, title, huge."""
    body = NumericProperty(0)
    large = NumericProperty(0)
    title = NumericProperty(0)
    huge = NumericProperty(0)

    def measure(self) -> None:
        """After the density, the window or the gloves changed."""
        self.is_wide = Window.width > WIDE * Window.height
        self.target = dp(GLOVE_TARGET_DP if self.is_gloved else TARGET_DP)
        self.gap = dp(8)
        self.small, self.body, self.large = sp(14), sp(17), sp(20)
        self.title, self.huge = sp(26), sp(40)

    def follow(self, settings: Settings) -> None:
        self.theme = settings.theme.value
        self.language = settings.language.value
        self.is_left = settings.hand is Hand.LEFT
        self.is_gloved = settings.gloves
        self.measure()

    def colour(self, role: str, theme: str) -> Colour:
        """`theme` is an argument so that .kv files follow it."""
        return COLOURS[Theme(theme)][role]

    def tint(self, role: str, theme: str, opacity: float) -> Colour:
        """The same, seen through."""
        return (*COLOURS[Theme(theme)][role][:3], opacity)

    def say(self, text: Text | None) -> str:
        if text is None:
            return ""
        return text.zh if self.language == Language.ZH.value else text.en


LOOK: Final = Look()
