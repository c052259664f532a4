"""What a finger, a keyboard and a wedge do in the real window. Run by `test_screens.py`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from edge.handheld import batch, inspection, lane_help, patrol, stock_take
from edge.handheld.comparing_screen import CAMERA, PictureTaken
from edge.handheld.context import Hand, Language, Settings, Theme
from edge.handheld.effects import Tone
from edge.handheld.events import Scanned, SettingsChanged, SignInAsked, Touched
from edge.handheld.live import LiveAccepted, LiveStopped
from edge.handheld.scanning import OfferTaken, PutAway, TorchSet
from edge.handheld.screens import captions
from edge.handheld.signing_in import SecondOfficerSigned
from edge.handheld.tracing import TraceAsked
from edge.handheld.view import GoTo, Notice, NoticePutAway, Page, Sign
from sync.vocabulary.rulings import Text
from tests.screens import golden_work
from tests.screens.golden import BAD_BAR, whole
from tests.screens.golden_pictures import goods
from tests.screens.studio import memory, open_studio

EN = Settings(language=Language.EN)


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    os.environ["HOME"] = str(home / "nobody")
    studio = open_studio((720, 1280), 2, home / "program")
    yield studio
    assert not (home / "nobody").exists(), "Kivy wrote into the home folder"


@pytest.fixture
def studio(window: Any) -> Any:
    window.shell.close_over()
    window.put.clear()
    window.shell._touched_s = 1e12
    window.shell._let_go()
    return window


def test_a_pin_typed_after_tab_never_becomes_part_of_the_number(studio: Any) -> None:
    """In sight, and in a fact: on the sign-in page, and where a second officer signs."""
    for name, first in (("sign-in", "4711"), ("second-officer", "")):
        studio.put.clear()
        studio.show(name, EN)
        page = studio.shell._page
        if page.current == "pin":
            studio.shell.key(9)
        for digit in "15":
            studio.shell.typed(digit)
        studio.shell.key(9)
        for digit in "480217":
            studio.shell.typed(digit)
        studio.settle()
        assert (page.officer_no, page.pin, page.ids.pin.shown) == (first + "15", "480217", "*" * 6)
        assert all("480217" not in widget.text for widget in page.walk() if hasattr(widget, "text"))
        studio.shell.key(13)
        (given,) = studio.put
        assert (given.officer_no, given.pin) == (first + "15", "480217")


def test_officer_number_and_pin_are_typed_on_the_pad_and_given_away_once(studio: Any) -> None:
    studio.show("sign-in", EN)
    for digit in "4802":
        studio.press(digit)
    assert studio.shell._page.ids.pin.shown == "****"
    studio.press("Sign in")
    assert studio.put == [SignInAsked("4711", "4802")]
    assert studio.shell._page.pin == ""


def test_a_shut_device_takes_no_pin(studio: Any) -> None:
    studio.show("sign-in-stopped", EN)
    with pytest.raises(LookupError):
        studio.press("Sign in")
    assert studio.put == []


def test_a_real_keyboard_fills_number_and_pin(studio: Any) -> None:
    studio.show("sign-in", EN)
    studio.press("Officer no.")
    studio.shell.key(8)
    for key in "5":
        studio.shell.typed(key)
    studio.shell.key(13)
    studio.shell.typed("12")
    studio.shell.key(13)
    assert studio.put == [SignInAsked("4715", "12")]


def test_another_officer_signs_over_the_page(studio: Any) -> None:
    studio.show("inspection-draft", EN)
    studio.press("3 Finding")
    studio.shell._page._second()
    studio.settle()
    for key in "4720":
        studio.press(key)
    studio.press("PIN")
    for key in "99":
        studio.press(key)
    studio.press("Confirm")
    assert studio.put == [inspection.wants.SecondOfficerCame("4720", "99")]
    assert studio.shell._over is None


def test_the_asked_for_second_officer_is_answered(studio: Any) -> None:
    studio.show("second-officer", EN)
    for key in "4720":
        studio.press(key)
    studio.press("Confirm")
    studio.press("1")
    studio.press("Confirm")
    assert studio.put == [SecondOfficerSigned("4720", "1")]


def test_the_verdict_goes_with_one_touch_and_offers_what_comes_next(studio: Any) -> None:
    studio.show("verdict-inspect", EN)
    studio.press("Take the order")
    studio.press("Trace")
    studio.press("Next parcel")
    assert studio.put == [
        OfferTaken("take_order", "CY20190417001"),
        OfferTaken("trace", "SF1386570000178"),
        PutAway(),
    ]


def test_a_near_number_is_looked_up_by_a_touch(studio: Any) -> None:
    studio.show("verdict-unknown", EN)
    studio.shell._page.ids.details.scroll_y = 0
    studio.settle()
    studio.press("LP00654321987645")
    assert studio.put == [Scanned("LP00654321987645", "", "typed")]


def test_a_number_is_typed_with_letters(studio: Any) -> None:
    studio.show("scan", EN)
    studio.press("Type number")
    studio.press("A-M")
    studio.press("J")
    studio.press("D")
    studio.press("N-Z")
    studio.press("V")
    studio.press("123")
    studio.press("7")
    studio.press("Look up")
    assert studio.put == [Scanned("JDV7", "", "typed")]
    assert studio.shell._over is None


def test_torch_menu_and_doors(studio: Any) -> None:
    studio.show("scan", EN)
    studio.press("Torch on")
    studio.press("Menu")
    with pytest.raises(LookupError):
        studio.press("Lane help")
    studio.press("Patrol")
    assert studio.put == [TorchSet(True), GoTo(Page.PATROL)]
    assert not studio.shell.menu_is_open


def test_scan_is_one_touch_away_from_every_page(studio: Any) -> None:
    for name in (
        "batch",
        "inspection-list",
        "patrol",
        "stock-counting",
        "lane-form",
        "trace",
        "live",
        "settings",
    ):
        studio.put.clear()
        studio.show(name, EN)
        studio.press("Scan")
        assert studio.put == [GoTo(Page.SCAN), PutAway()], name


def test_a_notice_is_put_away_unless_it_stays(studio: Any) -> None:
    studio.show("scan-key", EN)
    rows = studio.shell.ids.notices.children
    for row in rows:
        studio.touch(*row.to_window(*row.center))
    assert studio.put == [NoticePutAway(BAD_BAR.notices[1].text)]


def test_a_notice_that_leads_somewhere_is_touched_to_go_there(studio: Any) -> None:
    view: Any = whole("scan", EN)
    told = Notice(Sign.INSPECT, Text("请答复", "Answer"), stays=True, leads_to=Page.LIVE)
    studio.shell.show(replace(view, bar=replace(view.bar, notices=(told,))))
    studio.settle()
    (row,) = studio.shell.ids.notices.children
    studio.touch(*row.to_window(*row.center))
    assert studio.put == [GoTo(Page.LIVE)]


def test_numbers_beside_each_other_stand_on_one_line_however_long_their_names_are(studio: Any) -> None:
    studio.show("batch-slip", Settings(language=Language.EN, gloves=True))
    names = ("Listed", "Missing", "On other slips")
    words = [each.widget for each in studio.everything() if getattr(each.widget, "text", "") in names]
    cells = [word.parent for word in words if word.halign == "center"]
    assert len(cells) == 3
    assert len({round(cell.children[-1].to_window(0, cell.children[-1].top)[1]) for cell in cells}) == 1


def test_a_scan_is_undone_for_ten_seconds_and_what_is_not_passed_is_laid_aside(studio: Any) -> None:
    studio.show("batch", EN)
    assert "7 s" in studio.shell._page._undo.text
    studio.press(studio.shell._page._undo.text)
    studio.show("batch-aside", EN)
    studio.press("Laid aside, go on")
    studio.press("Finish")
    studio.press("Finish")
    assert studio.put == [batch.ScanUndoAsked(), batch.LaidAside(), batch.BatchCloseAsked()]


def test_a_slip_check_asks_whether_the_whole_load_was_scanned(studio: Any) -> None:
    studio.show("batch-slip", EN)
    studio.press("Finish")
    studio.press("Whole load scanned")
    assert studio.put == [batch.BatchCloseAsked(complete=True)]


def test_an_inspection_from_the_order_to_sending(studio: Any) -> None:
    studio.show("inspection-list", EN)
    studio.shell._page.ids.found.scroll_y = 0.35
    studio.settle()
    studio.press("CY20190417001")
    studio.show("inspection-taken", EN)
    studio.press("Begin")
    studio.show("inspection-draft", EN)
    studio.shell._page._count(golden_work.LINES[2])
    studio.settle()
    studio.press("1")
    studio.press("Confirm")
    studio.press("Photo")
    studio.press("Photo")
    studio.press("Photo")
    studio.press("Back")
    studio.press("Stop recording")
    studio.press("3 Finding")
    studio.press("Damaged")
    studio.press("Complete")
    studio.show("inspection-ready", EN)
    studio.press("Send")
    parcel = "SF1386570000178"
    assert studio.put == [
        inspection.wants.OrderTakeAsked("CY20190417001"),
        inspection.wants.Begun(),
        inspection.wants.LineCounted(parcel, "3", "1"),
        inspection.wants.PhotoAsked(parcel),
        inspection.wants.PhotoAsked(parcel),
        inspection.wants.VoiceEnded(),
        inspection.wants.FindingChosen("damaged"),
        inspection.wants.ReadyAsked(),
        inspection.wants.SendAsked("CY20190417001"),
    ]


def test_a_finger_marks_a_photo_in_shares_of_the_picture(studio: Any) -> None:
    studio.show("marking", EN)
    sheet = studio.shell._over.ids.sheet
    (x, y), (width, height) = sheet.picture_pos, sheet.picture_size
    left, bottom = sheet.to_window(x, y)
    studio.draw(
        (left + width * 0.25, bottom + height * 0.75),
        (left + width * 0.5, bottom + height * 0.75),
        (left + width * 0.5, bottom + height * 0.5),
    )
    studio.press("Confirm")
    (marked,) = studio.put
    assert isinstance(marked, inspection.wants.PhotoMarked)
    assert np.allclose(marked.strokes, [[(0.25, 0.25), (0.5, 0.25), (0.5, 0.5)]], atol=0.01)


def test_a_photo_that_comes_a_moment_after_it_is_asked_for_is_marked_all_the_same(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core keeps the pictures: the first time a window asks, there is none yet."""
    kept = []
    with monkeypatch.context() as late:
        late.setattr(studio.phone, "picture", lambda sha256: kept.append(sha256))
        studio.show("marking", EN)
    assert kept
    seen = [(studio.shell._over.heading, studio.shell._over.ids.sheet.texture is None)]
    studio.shell.fetch()
    studio.settle()
    seen.append((studio.shell._over.heading, studio.shell._over.ids.sheet.texture is None))
    assert seen == [("Looking...", True), (captions.DRAW.en, False)]


def test_words_have_the_keyboard_at_once_and_their_own_way_to_erase(studio: Any) -> None:
    studio.show("words", EN)
    assert studio.shell._over.ids.writing.focus
    assert not studio.shell.key(8)


def test_what_was_typed_as_words_is_no_part_of_the_next_scan(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.show("words", EN)
    studio.shell.typed("lamp")
    typed_s = time.monotonic()
    monkeypatch.setattr("edge.handheld.screens.window.time.monotonic", lambda: typed_s + 1.0)
    studio.press("Back")
    studio.shell.typed("XC-A-03")
    studio.shell.key(13)
    assert [event.text for event in studio.put if isinstance(event, Scanned)] == ["XC-A-03"]


def test_the_first_button_is_what_an_officer_came_for(studio: Any) -> None:
    for name, wanted in (
        ("patrol-routes", None),
        ("inspection-list", "Go on"),
        ("stock-recounting", "Round is done"),
        ("stock-closing", "Close the take"),
    ):
        studio.show(name, EN)
        lead = studio.shell.lead
        assert (name, None if lead is None else lead.text) == (name, wanted)


def test_a_round_of_a_stock_take_is_closed_before_the_take_is(studio: Any) -> None:
    """Rows that differ are counted once more; closing early asks for a reason."""
    studio.show("stock-recounting", EN)
    studio.press("Round is done")
    studio.press("Finish")
    studio.press(captions.CLOSE_EARLY.en)
    assert studio.put == [stock_take.RoundClosed()]
    assert studio.shell._over.heading == captions.WHY_NOT_COUNTED.en


def test_every_start_page_says_what_it_is(studio: Any) -> None:
    for name, title in (
        ("inspection-list", "Inspections"),
        ("stock-shelf", "Stock-take"),
        ("patrol-routes", "Patrol routes"),
        ("lane-form", "Help at a lane"),
    ):
        studio.show(name, EN)
        assert (name, studio.shell._page.heading) == (name, title)


def test_what_a_slip_check_found_and_misses_is_seen_without_scrolling(studio: Any) -> None:
    studio.show("batch-slip", EN)
    body = studio.shell._page.ids.found
    named = [
        each
        for each in body.walk()
        if getattr(each, "text", "") in ("Listed", "Found", "Missing", "Not listed", "On other slips")
    ]
    below = body.to_window(*body.pos)[1]
    in_sight = [each.text for each in named if each.to_window(*each.pos)[1] >= below]
    assert sorted(set(in_sight)) == ["Found", "Listed", "Missing", "Not listed", "On other slips"]


def test_lane_help_says_that_nobody_is_held_and_what_came_of_a_code(studio: Any) -> None:
    studio.show("lane-form", EN)
    page, form = studio.shell._page, golden_work.FORM
    hints = [page.hint]
    page.show(replace(form, held=()))
    hints.append(page.hint)
    page.ids.found.scroll_y = 0
    answer = Text("通道已执行", "The lane has done it")
    page.show(replace(form, phase="over", passage="42", answer=answer, answer_is_good=True, missing=()))
    studio.settle()
    texts = [each.text for each in page.ids.found.walk(loopback=False) if getattr(each, "text", "")]
    assert hints == ["", captions.NOBODY_HELD.en]
    assert (page.hint, page.ids.found.scroll_y) == ("", 1)
    assert "The lane has done it" in texts
    assert "42" in texts
    assert not {"Give up", "Plate dirty, checked by eye"} & set(texts)


def test_a_failed_sample_says_what_is_recalled(studio: Any) -> None:
    studio.show("inspection-list", EN)
    studio.shell._page._result(golden_work.SAMPLE_ROW)
    studio.settle()
    studio.press("Failed")
    with pytest.raises(LookupError):
        # A result without its report's number is none.
        studio.press("Confirm")
    studio.press("7")
    studio.press("Confirm")
    studio.shell._over.typed = "too many bacteria"
    studio.settle()
    studio.press("Confirm")
    studio.press("SKU")
    studio.press("Batch")
    studio.press("Confirm")
    assert studio.put == [
        inspection.wants.ResultEntered(
            "YP-2019-0031", False, "7", "too many bacteria", "seized", ("sku", "batch")
        )
    ]


def test_a_point_is_skipped_for_a_reason_in_the_officers_language(studio: Any) -> None:
    studio.show("patrol", Settings())
    studio.press("跳过此点")
    studio.press("门锁")
    assert studio.put == [patrol.PointSkipped("门锁")]


def test_a_row_is_counted_with_a_point_at_most_once(studio: Any) -> None:
    studio.show("stock-counting", EN)
    studio.shell._page._count(golden_work.SHELF.rows[2])
    studio.settle()
    for key in ("1", ".", "5", "."):
        studio.press(key)
    studio.press("Confirm")
    assert studio.put == [stock_take.RowCounted("3", "1.5")]


def test_the_code_on_the_screen_is_what_a_scanner_reads(studio: Any) -> None:
    studio.show("lane-code", EN)
    (read,) = zxingcpp.read_barcodes(np.ascontiguousarray(studio.picture()))
    assert read.text == golden_work.CODE_TEXT
    studio.press("Done with it")
    assert studio.put == [lane_help.HelpEnded()]


def test_a_code_that_works_no_more_is_not_shown(studio: Any) -> None:
    over = replace(golden_work.CODE, code=replace(golden_work.CODE.code, left_s=0.0))  # type: ignore[type-var]
    studio.show("lane-code", EN)
    studio.shell.show(replace(whole("lane-code", EN), shown=over))
    studio.settle()
    assert zxingcpp.read_barcodes(np.ascontiguousarray(studio.picture())) == []


def test_nothing_is_signed_while_something_is_missing(studio: Any) -> None:
    studio.show("lane-form", EN)
    with pytest.raises(LookupError):
        studio.press("Sign the code")
    assert studio.put == []


def test_language_and_theme_change_while_the_page_stands(studio: Any) -> None:
    studio.show("scan", Settings())
    page, before = studio.shell._page, studio.picture().mean()
    studio.show("scan", Settings(language=Language.EN, theme=Theme.SUNLIGHT))
    assert studio.shell._page is page
    assert studio.button("Type number") is not None
    assert studio.picture().mean() > before + 50
    assert [each for each in studio.everything() if "手工" in str(getattr(each.widget, "text", ""))] == []


def test_the_left_hand_finds_the_first_button_on_its_side(studio: Any) -> None:
    studio.show("trace", Settings(language=Language.EN))
    right = studio.button("Type number").center_x
    studio.show("trace", Settings(language=Language.EN, hand=Hand.LEFT))
    assert studio.button("Type number").center_x < 360 < right


def test_every_first_button_lies_in_the_lowest_third(studio: Any) -> None:
    for name in (
        "scan",
        "verdict-hold",
        "batch",
        "inspection-draft",
        "patrol",
        "stock-counting",
        "lane-form",
        "live",
    ):
        studio.show(name, EN)
        lead = studio.shell.lead
        assert lead.to_window(*lead.center)[1] < 1280 / 3, name


def test_a_setting_is_chosen(studio: Any) -> None:
    studio.show("settings", Settings())
    studio.press("English")
    assert studio.put == [SettingsChanged(Settings(language=Language.EN))]


def test_consent_is_given_with_what_it_covers(studio: Any) -> None:
    studio.show("live-asked", EN)
    studio.press("With sound")
    studio.press("Agree")
    studio.show("live", EN)
    studio.press("Stop")
    assert studio.put == [LiveAccepted(sound=False, may_be_recorded=False), LiveStopped()]


def test_both_pictures_move_together_and_the_line_is_drawn_across(studio: Any) -> None:
    studio.show("compare", EN)
    page = studio.shell._page
    left, right = page.ids.left, page.ids.right
    whole_zoom = left.at.zoom
    page.nearer(3.0)
    x, y = left.to_window(*left.center)
    studio.draw((x, y), (x - 30, y), (x - 60, y))
    assert left.at.zoom == pytest.approx(3 * whole_zoom)
    shown = page._found.alignment.to_picture(left.at.x, left.at.y)
    assert (right.at.x, right.at.y) == pytest.approx(shown, abs=1.0)
    studio.show("compare-over", EN)
    left = page.ids.left
    x = left.to_window(left.x, 0)[0]
    middle = left.to_window(*left.center)
    studio.draw(middle, (x + left.width * 0.4, middle[1]), (x + left.width * 0.25, middle[1]))
    assert page._divider.share == pytest.approx(0.25, abs=0.02)


def test_differences_are_found_where_the_goods_differ(studio: Any) -> None:
    studio.show("compare", EN)
    heat = studio.shell._page._found.heat
    down, across = np.nonzero(heat > 128)
    assert 400 <= np.median(across) <= 520
    assert 120 <= np.median(down) <= 200


def test_what_is_drawn_over_pictures_is_made_once_however_they_are_moved(studio: Any) -> None:
    studio.show("compare", EN)
    page = studio.shell._page
    drawn = page.ids.left.heat, page.ids.right.heat
    assert None not in drawn
    page.nearer(3.0)
    assert (page.ids.left.heat, page.ids.right.heat) == drawn


def test_a_page_that_is_left_keeps_no_pictures_and_has_them_again(studio: Any) -> None:
    studio.show("compare", EN)
    page = studio.shell._page
    page.nearer(3.0)
    zoom = page.ids.left.at.zoom
    studio.show("trace", EN)
    panes = (page.ids.left, page.ids.right)
    assert (page._pictures, page._found, page._overlays) == ({}, None, None)
    assert [(pane.texture, pane.over, pane.heat) for pane in panes] == [(None, None, None)] * 2
    studio.show("compare", EN)
    assert page._found.heat is not None
    assert page.ids.left.at.zoom == zoom
    studio.show("scan", EN)
    finder = studio.shell._page.ids.finder
    assert finder.texture is not None
    studio.show("trace", EN)
    assert finder.texture is None


def test_what_is_aligned_for_a_page_that_was_left_is_thrown_away(studio: Any) -> None:
    studio.show("compare", EN)
    work = studio.shell._page._work
    pair = studio.shell._page._pair
    studio.shell._page.leave()
    studio.shell._page._load()
    studio.show("trace", EN)
    while work.is_busy:
        time.sleep(0.01)
    assert (work.take(pair), work._done) == (None, None)


@pytest.mark.skipif("not os.environ.get('KAKOU_PROVE')", reason="long: part of `make prove`")
def test_a_comparison_opened_and_left_thirty_times_takes_no_more_memory(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two photos of a phone's camera, as large as they are shown."""
    large = cv2.resize(goods(with_more=True), (4000, 3000))
    photo = bytes(cv2.imencode(".jpg", large[:, :, ::-1])[1])
    monkeypatch.setattr(studio.phone, "picture", lambda sha256: photo)
    view: Any = whole("compare", EN)
    taken = []
    for number in range(36):
        shown = replace(view.shown, code=f"SF1386570000{number:03}")
        studio.shell.show(replace(view, shown=shown))
        studio._wait_for_alignment()
        studio.settle()
        assert studio.shell._page._found.heat is not None
        studio.show("trace", EN)
        taken.append(memory()["RssAnon"])
    print("MB after each", taken)
    assert max(taken[-5:]) <= max(taken[5:10]) + 4


def test_the_camera_as_it_looks_now_is_kept_by_a_touch(studio: Any) -> None:
    studio.show("compare-camera", EN)
    assert CAMERA in studio.shell._page._pictures
    studio.press("Photo")
    assert studio.put == [PictureTaken()]


def test_a_wedge_is_heard_on_every_page(studio: Any) -> None:
    """Another code each time: the guard drops one that is read twice at once."""
    pages = ("scan", "batch", "inspection-draft", "patrol", "stock-counting", "trace")
    for number, name in enumerate(pages):
        studio.put.clear()
        studio.show(name, EN)
        code = f"JDVB1234567895{number}"
        for key in code:
            studio.shell.typed(key)
        studio.shell.key(13)
        assert studio.put == [Scanned(code, "", "wedge")], name


def test_a_wedge_is_a_scan_even_over_a_pad(studio: Any) -> None:
    studio.show("letters", EN)
    for key in "JDVB12345678901":
        studio.shell.typed(key)
    studio.shell.key(13)
    assert studio.put == [Scanned("JDVB12345678901", "", "wedge")]
    assert studio.shell._over is None


def test_a_touch_is_told_now_and_then(studio: Any) -> None:
    studio.show("trace-empty", EN)
    studio.shell._touched_s = 0.0
    studio.touch(300, 900)
    studio.touch(300, 900)
    assert studio.put == [Touched()]


def test_tones_and_pulses_follow_the_settings_of_the_newest_view(studio: Any) -> None:
    studio.phone.pulses.clear()
    studio.desk.show(whole("scan", Settings()))
    studio.desk.sound(Tone.HOLD)
    studio.settle(2)
    studio.desk.show(whole("scan", Settings(vibration=False)))
    studio.desk.sound(Tone.RELEASE)
    studio.settle(2)
    assert studio.phone.pulses == [(400, 120, 400, 120, 400)]


def test_typing_a_trace_code_asks_for_it(studio: Any) -> None:
    studio.show("trace-empty", EN)
    studio.press("Type number")
    studio.press("7")
    studio.press("Look up")
    assert studio.put == [TraceAsked("7")]


def test_what_is_no_picture_is_no_picture(studio: Any, tmp_path: Path) -> None:
    from edge.handheld.screens.pictures import pixels_of

    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    given = (None, b"", b"no picture", tmp_path / "torn.jpg", tmp_path / "none")
    assert [pixels_of(what) for what in given] == [None] * 5


def finger_on(studio: Any, text: str) -> Any:
    """Down on the row that says so, long enough for what scrolls to believe it."""
    from kivy.tests.common import UnitTestTouch

    row = next(row for row in studio.shell._page.ids.recent.children if row.text == text)
    finger = UnitTestTouch(*row.to_window(*row.center))
    finger.touch_down()
    time.sleep(0.1)
    studio.settle(2)
    return finger


def test_however_slow_the_frames_are_news_waits_until_a_short_touch_was_told(studio: Any) -> None:
    """Kivy tells it frame by frame: at three frames a second the time alone is over before."""
    from kivy.tests.common import UnitTestTouch

    studio.show("scan", EN)
    view: Any = whole("scan", EN)
    finger = UnitTestTouch(1, 1)
    later = tuple(replace(each, ago=Text("", "9 min ago")) for each in view.shown.recent)
    finger.touch_down()
    finger.touch_up()
    studio.shell._pressed_until_s = 0.0
    studio.shell.show(replace(view, shown=replace(view.shown, recent=later)))
    assert studio.shell._page.ids.recent.children[0].under != "9 min ago"
    studio.settle(8)
    assert studio.shell._page.ids.recent.children[0].under == "9 min ago"


def test_news_of_the_page_does_not_take_a_row_from_under_a_finger(studio: Any) -> None:
    studio.show("scan", EN)
    view: Any = whole("scan", EN)
    text = view.shown.recent[0].text
    finger = finger_on(studio, text)
    later = tuple(replace(each, ago=Text("9 分钟前", "9 min ago")) for each in view.shown.recent)
    studio.shell.show(replace(view, shown=replace(view.shown, recent=later)))
    studio.settle()
    finger.touch_up()
    studio.settle()
    assert studio.put == [Scanned(text, "", "typed")]
    studio.shell.show_what_waits()
    assert studio.shell._page.ids.recent.children[0].under == "9 min ago"


def test_a_verdict_does_not_wait_for_a_finger(studio: Any) -> None:
    studio.show("scan", EN)
    view: Any = whole("scan", EN)
    finger = finger_on(studio, view.shown.recent[0].text)
    studio.shell.show(whole("verdict-hold", EN))
    assert studio.shell._page.what == "Hold"
    finger.touch_up()


def test_a_page_that_says_the_same_is_not_made_again(studio: Any) -> None:
    studio.show("scan", EN)
    rows = list(studio.shell._page.ids.recent.children)
    studio.shell.show(replace(whole("scan", EN), bar=BAD_BAR))
    assert studio.shell._page.ids.recent.children == rows


def test_a_photo_is_taken_only_of_a_picture(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.phone, "frame", lambda: None)
    studio.show("shooting", EN)
    with pytest.raises(LookupError):
        studio.press("Photo")
    studio.shell._over.take()
    assert (studio.put, studio.shell._over.taken) == ([], "")


@pytest.mark.parametrize("is_on", [True, False])
def test_without_a_picture_there_is_no_torch_and_the_page_says_why(
    studio: Any, monkeypatch: pytest.MonkeyPatch, is_on: bool
) -> None:
    monkeypatch.setattr(studio.phone, "frame", lambda: None)
    studio.show("scan", EN)
    view: Any = whole("scan", EN)
    studio.shell.show(replace(view, shown=replace(view.shown, camera_is_on=is_on)))
    studio.settle()
    with pytest.raises(LookupError):
        studio.press("Torch on")
    said = any(
        each.text == captions.NO_CAMERA.en for each in studio.shell._page.walk() if hasattr(each, "text")
    )
    assert said is is_on


def test_a_marked_copy_stands_in_the_list_under_the_number_of_its_photo(studio: Any) -> None:
    from edge.handheld.screens.widgets import RowButton

    studio.show("inspection-draft", EN)
    names = [each.text for each in studio.shell._page.walk() if isinstance(each, RowButton)]
    assert [name for name in names if name.startswith(("Photo ", "Marked photo", "Voice"))] == [
        "Photo 1",
        "Marked photo 1",
        "Voice note 1",
        "Photo 2",
    ]


def test_where_no_difference_can_be_drawn_none_is_hidden(
    studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    even = bytes(cv2.imencode(".png", np.full((48, 64, 3), 200, np.uint8))[1])
    monkeypatch.setattr(studio.phone, "picture", lambda sha256: even if sha256 else None)
    view: Any = whole("compare", EN)
    studio.shell.show(replace(view, shown=replace(view.shown, code="SF1386570000179")))
    studio.settle()
    studio._wait_for_alignment()
    studio.settle()
    assert studio.shell._page.told == "Too little detail to align"
    for way in ("Hide differences", "Differences"):
        with pytest.raises(LookupError):
            studio.press(way)


def test_where_there_is_no_lamp_no_button_lights_one(studio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.phone, "has_torch", lambda: False)
    studio.show("scan", EN)
    with pytest.raises(LookupError):
        studio.press("Torch on")


def test_who_has_not_signed_in_finds_the_way_back_from_the_settings(studio: Any) -> None:
    view: Any = whole("settings", EN)
    studio.shell.show(replace(view, shown=replace(view.shown, is_signed_in=False)))
    studio.settle()
    studio.press("Sign in")
    assert studio.put == [GoTo(Page.SIGN_IN)]


def test_the_passage_that_was_typed_can_be_read(studio: Any) -> None:
    view: Any = whole("lane-form", EN)
    studio.shell.show(replace(view, shown=replace(view.shown, passage="4711")))
    studio.settle()
    said = [each.text for each in studio.shell._page.walk() if hasattr(each, "text")]
    assert "4711" in said
