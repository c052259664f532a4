"""What the screens stand on and needs no window: colours, tones, fonts, the comparison's room."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from edge.handheld import comparing_screen as room
from edge.handheld import screens
from edge.handheld.context import Context, SignedIn, Theme
from edge.handheld.effects import Commit, LookUp, TakePhoto, Tone, Wanted
from edge.handheld.events import EvidenceFailed, EvidenceKept, Found, ParcelFindings, RecordsRead
from edge.handheld.screens.sounding import NOTES, PULSES_MS, samples, wav
from edge.handheld.screens.themes import COLOURS, LEAST_CONTRAST, PAIRS, contrast
from sync.vocabulary.handheld_facts import EvidenceTaken
from sync.vocabulary.numbers import UtcText, WaybillNo
from sync.vocabulary.records import Reference, XRay, XRayVerdict

ROOM = Path(screens.__file__).parent
NOW = Context(
    at_s=1.0,
    utc="2026-11-22T08:00:00Z",
    device="handheld-1",
    officer=SignedIn(officer_no="4711", since_s=0.0),
)


# --- colours ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", list(Theme))
def test_every_text_stands_out_seven_to_one_from_what_it_stands_on(theme: Theme) -> None:
    table = COLOURS[theme]
    assert [pair for pair in PAIRS if contrast(table[pair[0]], table[pair[1]]) < LEAST_CONTRAST] == []


def test_both_themes_name_the_same_roles() -> None:
    assert COLOURS[Theme.DARK].keys() == COLOURS[Theme.SUNLIGHT].keys()


def test_contrast_is_the_standards() -> None:
    """WCAG's own example: #777777 on white is 4.48."""
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21.0)
    assert contrast((0x77 / 255,) * 3, (1, 1, 1)) == pytest.approx(4.48, abs=0.01)


# --- tones --------------------------------------------------------------------------------------------------


def test_the_tones_on_the_disk_are_those_of_the_code() -> None:
    assert {path.stem: path.read_bytes() for path in (ROOM / "sounds").glob("*.wav")} == {
        tone.value: wav(tone) for tone in Tone
    }


def test_no_two_classes_share_tone_or_pulse() -> None:
    assert len(set(NOTES.values())) == len(set(PULSES_MS.values())) == len(Tone)
    loudest = {tone: int(np.abs(samples(tone).astype(np.int32)).max()) for tone in Tone}
    assert [tone for tone, level in loudest.items() if not 12_000 < level < 32_767] == []


# --- fonts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_the_shipped_font_has_every_character_of_gb_2312_and_latin(weight: str) -> None:
    font: Any = ImageFont.truetype(str(ROOM / "fonts" / f"NotoSansCJKsc-{weight}-subset.otf"), 12)
    missing = font.getmask("\U0010fffd").getbbox(), bytes(font.getmask("\U0010fffd"))
    pairs = (bytes((row, cell)) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    signs = [pair.decode("gb2312") for pair in pairs if pair.decode("gb2312", "ignore")]
    signs += [chr(code) for code in range(0x21, 0x7F)] + list("，。：；（）→×●℃μ")
    lacking = [sign for sign in signs if (font.getmask(sign).getbbox(), bytes(font.getmask(sign))) == missing]
    assert len(signs) > 6_763 + 90
    assert lacking == []


def test_the_fonts_licence_lies_beside_them_and_they_are_small() -> None:
    assert "SIL OPEN FONT LICENSE Version 1.1" in (ROOM / "fonts" / "OFL.txt").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in (ROOM / "fonts").glob("*.otf")) < 4_000_000


# --- the comparison's room ----------------------------------------------------------------------------------

JPEG = base64.b64encode(b"a picture").decode()
READ = RecordsRead(utc=UtcText("2026-11-22T08:00:00Z"))
FOUND = ParcelFindings(
    code="SF1",
    x_rays=(
        XRay(
            waybill_no=WaybillNo("SF1386570000178"),
            verdict=XRayVerdict.FLAGGED,
            judged=UtcText("2026-11-22T07:00:00Z"),
            preview=JPEG,
        ),
    ),
    references=(Reference(reference_no="R-1", title_zh="奶粉", preview=JPEG), Reference(reference_no="R-2")),
)


def _asked(text: str = "SF1", sha256: str = "") -> tuple[room.State, int]:
    state, effects = room.step(room.State(), NOW, room.ComparisonAsked(text, sha256))
    assert effects == (LookUp(1, Wanted.PARCEL, text),)
    return state, 1


def test_a_parcels_pictures_are_found_and_the_camera_lies_beside_the_reference() -> None:
    state, number = _asked()
    state, _ = room.step(state, NOW, Found(number, FOUND, READ))
    view = room.view(state, NOW)
    assert [each.key for each in view.pictures] == ["x_ray:0", "reference:R-1", "camera"]
    assert (view.left, view.right, view.may_show_differences) == ("reference:R-1", "camera", False)
    assert view.pictures[1].preview == b"a picture"


def test_a_photo_taken_stands_where_the_camera_stood_and_is_evidence_at_once() -> None:
    state, number = _asked()
    state, _ = room.step(state, NOW, Found(number, FOUND, READ))
    state, asked = room.step(state, NOW, room.PictureTaken())
    assert asked == (TakePhoto(2, "SF1"),)
    assert room.step(state, NOW, room.PictureTaken()) == (state, ())
    sha256 = "ab" * 32
    state, told = room.step(state, NOW, EvidenceKept(2, sha256, 4_000, "photo", NOW.utc))
    (commit,) = told
    assert isinstance(commit, Commit)
    assert isinstance(commit.facts[0].data, EvidenceTaken)
    assert commit.evidence[0].sha256 == commit.facts[0].data.sha256 == sha256
    view = room.view(state, NOW)
    assert (view.right, view.may_show_differences) == (sha256, True)


def test_an_answer_to_another_question_changes_nothing() -> None:
    state, _ = _asked()
    assert room.step(state, NOW, Found(9, FOUND, READ)) == (state, ())
    state, _ = room.step(state, NOW, room.ComparisonEnded())
    assert room.step(state, NOW, Found(1, FOUND, READ)) == (state, ())
    assert room.step(state, NOW, EvidenceKept(0, "ab" * 32, 1, "photo", NOW.utc)) == (state, ())


def test_the_same_picture_never_stands_on_both_sides() -> None:
    state, number = _asked(sha256="cd" * 32)
    state, _ = room.step(state, NOW, Found(number, FOUND, READ))
    state, _ = room.step(state, NOW, room.PictureChosen("right", "reference:R-1"))
    assert (state.left, state.right) == ("cd" * 32, "reference:R-1")
    assert room.step(state, NOW, room.PictureChosen("left", "nobody's")) == (state, ())


def test_a_photo_that_was_not_kept_says_why_and_may_be_tried_again() -> None:
    state, number = _asked()
    state, _ = room.step(state, NOW, Found(number, FOUND, READ))
    state, _ = room.step(state, NOW, room.PictureTaken())
    state, _ = room.step(state, NOW, EvidenceFailed(2, "disk full"))
    view = room.view(state, NOW)
    assert view.told is not None
    assert "disk full" in view.told.en
    assert not view.is_taking


def test_a_preview_that_is_no_base64_is_no_picture() -> None:
    bad = ParcelFindings(code="SF1", references=(Reference(reference_no="R-1", preview="§§§"),))
    state, number = _asked()
    state, _ = room.step(state, NOW, Found(number, bad, READ))
    assert room.view(state, NOW).pictures[0].preview == b""
