"""The window: bar on top, the page of now, the way to menu and scan below; wedge, tones and the back key.

Asks the desk once a frame and shows what is new. A view decides which page is seen; whether the menu or a
pad lies over it is the finger's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, assert_never

from kivy.app import App
from kivy.base import stopTouchApp
from kivy.clock import Clock
from kivy.core.audio import SoundLoader
from kivy.core.window import Window
from kivy.lang import Builder
from kivy.properties import BooleanProperty, NumericProperty, ObjectProperty, StringProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.boxlayout import BoxLayout

from edge.handheld.batch import BatchView
from edge.handheld.comparing_screen import ComparingView
from edge.handheld.context import Settings
from edge.handheld.effects import Tone
from edge.handheld.events import Paused, Resumed, Touched
from edge.handheld.inspection import InspectionView
from edge.handheld.lane_help import LaneHelpView
from edge.handheld.live import LiveView
from edge.handheld.patrol import PatrolView
from edge.handheld.preferences import PreferencesView
from edge.handheld.scanning import PutAway, ScanningView
from edge.handheld.scans import event_of
from edge.handheld.screens import captions, fonts
from edge.handheld.screens.batch import BatchPage
from edge.handheld.screens.choosing import Choosing
from edge.handheld.screens.compare import ComparePage
from edge.handheld.screens.desk import Desk, Platform, View
from edge.handheld.screens.entry import Entry
from edge.handheld.screens.hands import Asked, Hands, Marked, Offered, OfficerAsked, Over, Shot
from edge.handheld.screens.inspection import InspectionPage
from edge.handheld.screens.lane_help import LaneHelpPage
from edge.handheld.screens.live import LivePage
from edge.handheld.screens.look import LOOK
from edge.handheld.screens.marking import Marking
from edge.handheld.screens.patrol import PatrolPage
from edge.handheld.screens.scan import ScanPage, VerdictPage
from edge.handheld.screens.settings import SettingsPage
from edge.handheld.screens.shooting import Shooting
from edge.handheld.screens.sign_in import SignInPage
from edge.handheld.screens.sounding import PULSES_MS
from edge.handheld.screens.stock_take import StockTakePage
from edge.handheld.screens.trace import TracePage
from edge.handheld.screens.widgets import RowButton, Tag
from edge.handheld.signing_in import SecondOfficerShown, SecondOfficerSigned, SigningInView
from edge.handheld.stock_take import StockTakeView
from edge.handheld.tracing import TracingView
from edge.handheld.view import Bar, Door, GoTo, Notice, NoticePutAway, Page
from edge.reading.guarded import Guarded
from edge.reading.scans import NotACode, ScanSeen, Source
from edge.reading.wedge import STALL_S, Keys, entered, erased, pressed

SOUNDS: Final = Path(__file__).parent / "sounds"
FRAMES_A_SECOND: Final = 15.0
"""Of the camera's picture, while a page shows it."""
TOUCHED_EVERY_S: Final = 5.0
"""How often a hand on the glass is told: enough for the auto-lock, not a message a touch."""
PRESS_S: Final = 1.0
"""A page's own news (a second more on some count) wait so long at most for a finger to leave the glass: a row
that is made anew beneath it takes the touch away."""
LEFT_S: Final = 0.3
"""A short touch on what scrolls is told 0.2 s after the finger has left."""
LEFT_FRAMES: Final = 5
"""And not before so many frames, however slow they are: Kivy tells it frame by frame."""

_PAGES: Final[dict[type, type]] = {
    SigningInView: SignInPage,
    ScanningView: ScanPage,
    BatchView: BatchPage,
    InspectionView: InspectionPage,
    PatrolView: PatrolPage,
    StockTakeView: StockTakePage,
    LaneHelpView: LaneHelpPage,
    TracingView: TracePage,
    ComparingView: ComparePage,
    LiveView: LivePage,
    PreferencesView: SettingsPage,
}


class StatusBar(BoxLayout):
    """Always visible: online or not, what is unsent, how old the records are, battery, officer, live."""

    fill = StringProperty("panel")

    def show(self, bar: Bar) -> None:
        say = LOOK.say
        tags = [("release" if bar.online else "inspect", say(bar.link))]
        tags.append(("panel", say(bar.unsent_text)))
        tags.append(("hold" if bar.age_is_too_old else "panel", say(bar.age)))
        if bar.battery_per_cent is not None:
            said = captions.CHARGING if bar.is_charging else captions.BATTERY
            is_low = bar.battery_per_cent <= 15 and not bar.is_charging
            tags.append(
                ("inspect" if is_low else "panel", say(captions.filled(said, n=bar.battery_per_cent)))
            )
        officer = captions.filled(captions.OFFICER, n=bar.officer) if bar.officer else captions.NOBODY
        tags.append(("panel", say(officer)))
        if bar.is_live:
            tags.append(("hold", say(captions.LIVE if bar.live is None else bar.live)))
        self.ids.tags.clear_widgets()
        for fill, text in tags:
            self.ids.tags.add_widget(Tag(text=text, fill=fill))


class NoticeRow(ButtonBehavior, BoxLayout):
    """Over every page until it is over or put away by a touch."""

    text = StringProperty("")
    hint = StringProperty("")
    fill = StringProperty("hold")
    shape = StringProperty("octagon")


class Menu(BoxLayout):
    """The ways to other pages, over the page."""

    fill = StringProperty("ground")

    def show(self, doors: tuple[Door, ...], here: Page, go: Callable[[Page], None]) -> None:
        made = []
        for door in doors:
            waiting = captions.filled(captions.WAITING, n=door.waiting) if door.waiting else None
            row = RowButton(
                text=LOOK.say(door.text),
                under=LOOK.say(door.why),
                trailing=LOOK.say(waiting),
                is_shut=not door.is_open,
                is_chosen=door.page is here,
            )
            row.page = door.page
            row.bind(on_release=lambda pressed: go(pressed.page))
            made.append(row)
        self.ids.doors.fill_with(made)


class LeadPlace(BoxLayout):
    """Where the page's own first button stands, among the ways."""

    natural_height = NumericProperty(0)
    weight = NumericProperty(2)
    is_gone = BooleanProperty(True)


class Shell(BoxLayout):
    has_menu = BooleanProperty(False)
    has_scan = BooleanProperty(False)
    has_lead = BooleanProperty(False)
    menu_is_open = BooleanProperty(False)
    lead = ObjectProperty(None, allownone=True, rebind=True)
    """What the thumb finds first: the page's own most likely next step."""

    def __init__(self, put: Callable[[Any], None], platform: Platform, **given: Any) -> None:
        super().__init__(**given)
        self._put = put
        self._hands = Hands(self._answered, platform, self.ask)
        self._view: View | None = None
        self._pages: dict[type, Any] = {}
        self._verdict: VerdictPage | None = None
        self._page: Any = None
        self._menu = Menu()
        self._over: Any = None
        """What lies over the page: the menu, a pad, a choice, a picture to draw on, another officer's PIN."""
        self._keys = Keys()
        self._guarded = Guarded(self._scanned)
        self._touched_s = 0.0
        self._pressed_until_s = 0.0
        """Until then a finger may still mean what it saw."""
        self._frames = 0
        self._pressed_until_frame = 0
        self._waits: View | None = None
        self._last: tuple[Any, Settings] | None = None
        """What the page was given last."""

    # --- what is shown ---

    def show(self, view: View) -> None:
        if self._view is not None and self._is_small_news(self._view, view):
            self._waits = view
            return
        self._waits = None
        before, self._view = self._view, view
        LOOK.follow(view.settings)
        Window.clearcolor = LOOK.colour("ground", LOOK.theme)
        if before is None or before.bar != view.bar or before.settings != view.settings:
            self.ids.bar.show(view.bar)
            self._show_notices(view.bar.notices)
        is_asked = isinstance(view.shown, SigningInView)
        if before is not None and (before.page is not view.page or is_asked):
            self._over = None
        if self.menu_is_open:
            shown = (view.doors, view.page, view.settings)
            if before is None or shown != (before.doors, before.page, before.settings):
                self._menu.show(view.doors, view.page, self.go)
        elif self._over is not None and before is not None and before.settings != view.settings:
            self._over.speak()
        if self._page is None or self._last != (view.shown, view.settings):
            self._last = (view.shown, view.settings)
            left, self._page = self._page, self._page_of(view.shown)
            if left is not None and left is not self._page:
                _leave(left)
        self._place()

    def _is_small_news(self, before: View, view: View) -> bool:
        """The same page with other numbers, while a finger is on it. A verdict never waits."""
        if not self._is_pressed() or type(before.shown) is not type(view.shown):
            return False
        if isinstance(view.shown, ScanningView) and isinstance(before.shown, ScanningView):
            return before.shown.verdict == view.shown.verdict and before.settings == view.settings
        return before.settings == view.settings

    def show_what_waits(self) -> None:
        """Every frame without a new view."""
        if self._waits is not None and not self._is_pressed():
            self.show(self._waits)

    def drawn(self) -> None:
        """Another frame begins."""
        self._frames += 1

    def _is_pressed(self) -> bool:
        """A finger may still mean what it saw."""
        return time.monotonic() < self._pressed_until_s or self._frames < self._pressed_until_frame

    def _let_go(self) -> None:
        self._pressed_until_s, self._pressed_until_frame = 0.0, 0

    def _answered(self, intent: Any) -> None:
        """A hand has said what it meant: what follows from it is shown at once."""
        self._let_go()
        self._put(intent)

    def _page_of(self, shown: Any) -> Any:
        if isinstance(shown, ScanningView) and shown.verdict is not None:
            if self._verdict is None:
                self._verdict = self._made(VerdictPage)
            self._verdict.show(shown.verdict)
            return self._verdict
        kind = type(shown)
        if kind not in self._pages:
            self._pages[kind] = self._made(_PAGES[kind])
        self._pages[kind].show(shown)
        return self._pages[kind]

    def _made(self, kind: Any) -> Any:
        page = kind(self._hands)
        page.fbind("lead", self._show_ways)
        return page

    def _place(self) -> None:
        wanted = self._over or self._page
        self.menu_is_open = self._over is self._menu
        place = self.ids.place
        if place.children != [wanted]:
            place.clear_widgets()
            place.add_widget(wanted)
        self._show_ways()

    def _show_ways(self, *_: Any) -> None:
        """Over a page there is only its own way back; the menu leaves its button to close it."""
        is_free = self._over is None and not isinstance(self._page, SignInPage)
        somebody = self._view is not None and bool(self._view.bar.officer)
        lead = self._page.lead if is_free and self._page is not None else None
        if lead is not self.lead:
            self.ids.lead.clear_widgets()
            self.lead = lead
            if lead is not None:
                lead.size_hint_y = 1
                self.ids.lead.add_widget(lead)
        self.has_lead = lead is not None
        self.has_menu = self.menu_is_open or (is_free and somebody)
        self.has_scan = self.has_menu and not (is_free and isinstance(self._page, (ScanPage, VerdictPage)))

    def fetch(self, _: float = 0.0) -> None:
        """Frames of the camera, for the page that is seen."""
        seen = self._over or self._page
        if hasattr(seen, "fetch"):
            seen.fetch()

    def _show_notices(self, notices: tuple[Notice, ...]) -> None:
        self.ids.notices.clear_widgets()
        for notice in notices:
            row = NoticeRow(
                text=LOOK.say(notice.text),
                hint="" if notice.stays else LOOK.say(captions.PUT_AWAY),
                fill=notice.sign.value,
                shape={"release": "circle", "inspect": "triangle", "hold": "octagon"}.get(
                    notice.sign.value, "diamond"
                ),
            )
            if notice.leads_to is not None:
                row.bind(on_release=lambda _, page=notice.leads_to: self.go(page))
            elif not notice.stays:
                row.bind(on_release=lambda _, text=notice.text: self._put(NoticePutAway(text)))
            self.ids.notices.add_widget(row)

    # --- ways ---

    def go(self, page: Page) -> None:
        self.close_over()
        self._put(GoTo(page))

    def scan(self) -> None:
        """Back to scanning, from anywhere: never to the verdict of a parcel that is long gone."""
        self.close_over()
        if not isinstance(self._page, (ScanPage, VerdictPage)):
            self._put(GoTo(Page.SCAN))
        self._put(PutAway())

    def toggle_menu(self) -> None:
        if self.menu_is_open or self._view is None:
            self.close_over()
            return
        self._menu.show(self._view.doors, self._view.page, self.go)
        # A hand finds a way where it was the last time.
        self._menu.ids.doors.scroll_y = 1
        self._over = self._menu
        self._place()

    def ask(self, over: Over) -> None:
        """Lays it over the page, in place of what lay there."""
        self._let_go()
        match over:
            case Asked():
                self._over = Entry(over)
            case Offered():
                self._over = Choosing(over)
            case Marked():
                self._over = Marking(over, self._hands.platform)
            case Shot():
                self._over = Shooting(over, self._hands.platform)
            case OfficerAsked():
                self._over = self._officer_pad(over)
            case _:
                assert_never(over)
        if not isinstance(over, OfficerAsked):
            self._over.bind(on_close=lambda closed: self.close_over(closed))
        self._place()

    def _officer_pad(self, over: OfficerAsked) -> SignInPage:
        def given(intent: Any) -> None:
            self.close_over()
            if isinstance(intent, SecondOfficerSigned):
                over.done(intent.officer_no, intent.pin)

        pad = SignInPage(Hands(given, self._hands.platform, self.ask))
        second = SecondOfficerShown(over.purpose)
        pad.show(SigningInView("signed_in", "", captions.SECOND_OFFICER, None, 0.0, "", 0, second))
        return pad

    def close_over(self, closed: Any = None) -> None:
        """`closed`: only if this is what lies there."""
        if closed is None or closed is self._over:
            self._over = None
            # What was typed into it is no part of the next scan; a burst that is coming in never pauses so.
            if time.monotonic() - self._keys.last_s > STALL_S:
                self._keys = Keys()
        if self._page is not None:
            self._place()

    def back(self) -> bool:
        """The system's back key. False: nothing lay over the page, and the app stays."""
        had = self._over is not None
        self.close_over()
        return had

    # --- keyboard, wedge, touches ---

    def typed(self, text: str) -> None:
        """Characters of a real keyboard or a wedge, from the window itself."""
        self._keys, cut = pressed(self._keys, text, time.monotonic())
        if cut is not None:
            self._guarded(cut)
        taker = self._taker()
        if taker is not None:
            taker.keyboard(text)

    def key(self, code: int) -> bool:
        """Enter, erase, tab and back. True: done with it."""
        if code in (13, 271):
            self._enter()
            return True
        if code == 8:
            self._keys = erased(self._keys, time.monotonic())
            taker = self._taker()
            return taker.keyboard_erase() if taker is not None else False
        if code == 9 and isinstance(taker := self._taker(), SignInPage):
            taker.keyboard_tab()
            return True
        if code == 27:
            self.back()
            return True
        return False

    def _enter(self) -> None:
        self._keys, said = entered(self._keys, time.monotonic())
        taker = self._taker()
        by_machine = said is not None and said.source is Source.WEDGE
        if isinstance(taker, SignInPage):
            taker.keyboard_enter()
        elif said is not None and (taker is None or by_machine):
            self.close_over()
            self._guarded(said)
        elif taker is not None:
            taker.keyboard_enter()

    def _scanned(self, seen: ScanSeen | NotACode) -> None:
        self._put(event_of(seen))

    def _taker(self) -> Any:
        """Who takes what a keyboard types besides the wedge."""
        seen = self._over or self._page
        return seen if isinstance(seen, (Entry, SignInPage)) else None

    def on_touch_down(self, touch: Any) -> bool:
        now_s = time.monotonic()
        self._pressed_until_s = now_s + PRESS_S
        if now_s - self._touched_s >= TOUCHED_EVERY_S:
            self._touched_s = now_s
            self._put(Touched())
        return bool(super().on_touch_down(touch))

    def on_touch_up(self, touch: Any) -> bool:
        if self._pressed_until_s:
            self._pressed_until_s = min(self._pressed_until_s, time.monotonic() + LEFT_S)
            self._pressed_until_frame = self._frames + LEFT_FRAMES
        return bool(super().on_touch_up(touch))


def _leave(page: Any) -> None:
    """Pictures of a page that nobody sees take no memory."""
    finder = page.ids.get("finder")
    if finder is not None:
        finder.show(None)
    if hasattr(page, "leave"):
        page.leave()


class HandheldApp(App):
    """The Kivy side of the program."""

    def __init__(self, desk: Desk, put: Callable[[Any], None], platform: Platform) -> None:
        super().__init__()
        self._desk, self._put, self._platform = desk, put, platform
        self._settings = Settings()
        self._sounds: dict[Tone, Any] = {}
        self.title = LOOK.say(captions.APP)
        self.use_kivy_settings = False

    def build(self) -> Any:
        fonts.register()
        LOOK.measure()
        Window.bind(
            on_textinput=lambda _, text: self.root.typed(text),
            on_key_down=lambda _, code, *rest: self.root.key(code),
            on_resize=lambda *_: LOOK.measure(),
        )
        self._sounds = {tone: SoundLoader.load(str(SOUNDS / f"{tone.value}.wav")) for tone in Tone}
        shell = Shell(self._put, self._platform)
        Clock.schedule_interval(self._look_at_the_desk, 0)
        Clock.schedule_interval(shell.fetch, 1 / FRAMES_A_SECOND)
        return shell

    def load_kv(self, filename: str | None = None) -> bool:
        """Nothing by the app's name: every room loads its own."""
        return False

    def open_settings(self, *_: Any) -> bool:
        """Kivy's own settings panel has no place here."""
        return False

    def _look_at_the_desk(self, _: float) -> None:
        self.root.drawn()
        view, tones, is_closed = self._desk.take()
        if view is not None:
            self._settings = view.settings
            self.root.show(view)
        else:
            self.root.show_what_waits()
        for tone in tones[-1:]:
            self._sound(tone)
        if is_closed:
            stopTouchApp()

    def _sound(self, tone: Tone) -> None:
        """The newest replaces one that is still heard: two at once would be a third."""
        if self._settings.sound and not self._platform.play(tone):
            for sound in self._sounds.values():
                if sound is not None and sound.state == "play":
                    sound.stop()
            if self._sounds[tone] is not None:
                self._sounds[tone].play()
        if self._settings.vibration:
            self._platform.vibrate(PULSES_MS[tone])

    def on_pause(self) -> bool:
        self._put(Paused())
        return True

    def on_resume(self) -> None:
        self._put(Resumed())


def open_window(desk: Desk, put: Callable[[Any], None], platform: Platform) -> None:
    HandheldApp(desk, put, platform).run()


Builder.load_file(str(Path(__file__).with_suffix(".kv")))
