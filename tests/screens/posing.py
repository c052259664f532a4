"""The studio itself: the app's window, views put before it, pictures of it, findings. Kivy is loaded here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from kivy.base import EventLoop
from kivy.clock import Clock
from kivy.core.window import Window
from kivy.graphics.opengl import GL_RGB, GL_UNSIGNED_BYTE, glReadPixels
from kivy.lang import Builder
from kivy.tests.common import UnitTestTouch
from numpy.typing import NDArray

from edge.handheld.context import Settings
from edge.handheld.effects import Tone
from edge.handheld.screens.desk import Desk, Frame
from edge.handheld.screens.widgets import BigButton, Words
from edge.handheld.screens.window import HandheldApp
from tests.screens import checks, golden_work
from tests.screens.golden import PAGES, whole
from tests.screens.golden_pictures import jpeg, label

OVERS = ("menu", "pad", "letters", "choice", "shooting", "marking", "words")
"""What may lie over a page; shown over a page of its own."""


class Phone:
    """The device the window runs on, as far as a test needs one."""

    def __init__(self) -> None:
        self.pulses: list[tuple[int, ...]] = []

    def vibrate(self, pulses_ms: tuple[int, ...]) -> None:
        self.pulses.append(pulses_ms)

    def play(self, tone: Tone) -> bool:
        return False

    def frame(self) -> Frame | None:
        return label()

    def has_torch(self) -> bool:
        return True

    def picture(self, sha256: str) -> Path | bytes | None:
        return jpeg(with_more=True) if sha256 else None


class Studio:
    def __init__(self) -> None:
        self.put: list[Any] = []
        self.phone = Phone()
        self.desk = Desk()
        EventLoop.ensure_window()
        Clock._max_fps = 0
        self.app = HandheldApp(self.desk, self.put.append, self.phone)
        self.app._run_prepare()

    @property
    def shell(self) -> Any:
        return self.app.root

    # --- showing ---

    def settle(self, frames: int = 7) -> None:
        """Layouts come to rest; nothing is drawn."""
        for _ in range(frames):
            Clock.tick()
            EventLoop.dispatch_input()
            Builder.sync()
            Clock.tick_draw()

    def show(self, name: str, settings: Settings) -> None:
        self.shell.close_over()
        self.shell._let_go()
        page = {
            "menu": "scan",
            "pad": "stock-counting",
            "letters": "scan",
            "choice": "patrol",
            "shooting": "inspection-draft",
            "marking": "inspection-draft",
            "words": "patrol",
        }.get(name, name)
        self.shell.show(whole(page, settings))
        self.settle(3)
        match name:
            case "menu":
                self.shell.toggle_menu()
            case "pad":
                self.shell._page._found_sku("9311770588669")
            case "letters":
                self.shell._page.type_number()
                self.settle(2)
                self.press("A-M")
            case "choice":
                self.shell._page._skip()
            case "shooting":
                self.shell._page._shoot(golden_work.DRAFT)
            case "marking":
                self.shell._page._with_evidence(golden_work.EVIDENCE[0])
                self.settle(2)
                self.shell._over._pressed(self.shell._over.ids.ways.ids.column.children[-1])
            case "words":
                self.shell._page._remark()
        self.settle(2)
        self.shell.fetch()
        if name.startswith("compare"):
            self._wait_for_alignment()
        self.settle()
        self.shell.fetch()
        self.settle(2)

    def _wait_for_alignment(self) -> None:
        import time

        until_s = time.monotonic() + 20.0
        while self.shell._page._work.is_busy and time.monotonic() < until_s:
            time.sleep(0.01)
        self.shell.fetch()

    def picture(self) -> NDArray[np.uint8]:
        """(rows, columns, 3) red, green, blue, top row first."""
        Window.canvas.ask_update()
        Window.dispatch("on_draw")
        width, height = Window.system_size
        dots = glReadPixels(0, 0, width, height, GL_RGB, GL_UNSIGNED_BYTE)
        return np.frombuffer(dots, np.uint8).reshape(height, width, 3)[::-1]

    def everything(self) -> list[checks.Seen]:
        return checks.seen(self.shell, Window.size)

    # --- finding ---

    def findings(self, settings: Settings, picture: NDArray[np.uint8]) -> dict[str, list[str]]:
        everything = self.everything()
        return {
            "clipped": checks.clipped_texts(everything),
            "broken": checks.broken_words(everything),
            "begun wrongly": checks.lines_begun_wrongly(everything),
            "small": checks.small_targets(everything, gloves=settings.gloves),
            "off screen": checks.off_screen(everything, Window.size),
            "overlapping": checks.overlapping(everything),
            "contrast": checks.weak_contrast(everything),
            "dots": checks.weak_dots(everything, picture),
            "font": checks.unknown_characters(everything),
        }

    def take_all(self, settings: tuple[Settings, ...], folder: Path, *, is_turned: bool) -> list[str]:
        """A picture of every view under every settings, and all that is wrong with them. Turned: under one of
        them, in turn."""
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for turn, each in enumerate(settings):
            names = (*PAGES, *OVERS)
            for name in names[turn :: len(settings)] if is_turned else names:
                self.show(name, each)
                picture = self.picture()
                size = "gloves" if each.gloves else "bare"
                title = f"{name}.{each.language}.{each.theme}.{size}.{each.hand}"
                cv2.imwrite(
                    str(folder / f"{title}.png"), picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]
                )
                for kind, sentences in self.findings(each, picture).items():
                    found += [f"{title}: {kind}: {sentence}" for sentence in sentences]
        return found

    # --- touching ---

    def press(self, text: str) -> None:
        """A finger on the button with this text, or with it as its caption."""
        button = self.button(text)
        self.touch(*button.to_window(*button.center))

    def button(self, text: str) -> Any:
        named = [
            each.widget
            for each in checks._touchable(self.everything())
            if text in (getattr(each.widget, "text", ""), getattr(each.widget, "name", ""))
        ]
        if not named:
            there = [getattr(each.widget, "text", "") for each in checks._touchable(self.everything())]
            raise LookupError(f"expected a button {text!r}, there are {there}")
        return named[0]

    def touch(self, x: float, y: float) -> None:
        touch = UnitTestTouch(x, y)
        touch.touch_down()
        self.settle(2)
        touch.touch_up()
        self.settle(3)

    def draw(self, *points: tuple[float, float]) -> None:
        """A finger drawn along, in dots of the window."""
        touch = UnitTestTouch(*points[0])
        touch.touch_down()
        for x, y in points[1:]:
            touch.touch_move(x, y)
            self.settle(1)
        touch.touch_up()
        self.settle(2)

    # --- faults on purpose ---

    def plant(self, fault: str) -> list[str]:
        """What is found on the trace page with this fault in it."""
        settings = Settings()
        self.show("trace", settings)
        column = self.shell._page.ids.found.ids.column
        match fault:
            case "clipped":
                cut = Words(text="这段文字比它的地方长得多，放不下")
                column.add_widget(cut, index=len(column.children))
                cut.height, cut.size_hint_y = 10, None
                self.settle()
                cut.height = 10
            case "broken":
                broken = Words(text="unsent", size_hint_x=None, width=60)
                column.add_widget(broken, index=len(column.children))
            case "begun wrongly":
                # Nothing could be better: no line of it may begin as it does.
                column.add_widget(Words(text="完" + "。" * 40), index=len(column.children))
            case "small":
                column.add_widget(BigButton(text="好"), index=len(column.children))
                self.settle()
                column.children[-1].height = 40
            case "contrast":
                column.add_widget(Words(text="看不清"), index=len(column.children))
                self.settle()
                column.children[-1].color = (0.35, 0.4, 0.45, 1)
            case "dots":
                self.shell._page.ids.found.ids.column.children[-1].fill = "raised"
                self.shell._page.ids.found.ids.column.children[-1].canvas.before.clear()
            case "overlapping":
                words = Words(text="叠在别的字上", size_hint_x=None, width=300)
                self.shell.ids.bar.ids.tags.add_widget(words)
                self.settle()
                words.pos = self.shell.ids.bar.ids.tags.children[-1].pos
            case "off screen":
                words = Words(text="在屏幕外", size_hint=(None, None), width=300)
                Window.add_widget(words)
                self.shell.add_widget(Words(text="在屏幕外"))
                self.settle()
                self.shell.children[0].pos = (-200, 10)
            case "font":
                column.add_widget(Words(text="䶮"), index=len(column.children))
                self.settle()
                column.children[-1].font_name = "Roboto"
        if fault not in ("clipped", "small", "contrast", "overlapping", "off screen", "font"):
            self.settle()
        return [
            f"{kind}: {text}"
            for kind, texts in self.findings(settings, self.picture()).items()
            for text in texts
        ]
