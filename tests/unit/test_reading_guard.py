"""What was read -> what becomes a scan: agreement, waybill shapes, repeats, and what is never a code (S7)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.readings import CodeSeen, NothingRead, ReadGarbled, ReadTruncated
from edge.reading.guard import GuardSettings, GuardState, is_waybill_shape, step
from edge.reading.scans import (
    LONGEST_TEXT,
    SYMBOLOGIES,
    NotACode,
    ScanSeen,
    Source,
    aim_of,
    from_reading,
    symbology_named,
    symbology_of_aim,
    typed,
    without_aim,
)

DEFAULT = GuardSettings()
UNSHAPED = "PART-778-A"


def seen(text: str, at_s: float, symbology: str = "code128", source: Source = Source.CAMERA) -> ScanSeen:
    return ScanSeen(text, symbology, source, at_s)


def play(reads: Sequence[ScanSeen | NotACode], settings: GuardSettings = DEFAULT) -> list[tuple[float, str]]:
    """(time, text or reason) of all that came out."""
    state, out = GuardState(), []
    for each in reads:
        state, passed = step(state, each, settings)
        out += [
            (one.at_s, one.text if isinstance(one, ScanSeen) else f"no code: {one.why}") for one in passed
        ]
    return out


# --- agreement ------------------------------------------------------------------------------------------


def test_a_linear_code_of_no_known_shape_needs_two_frames() -> None:
    assert play([seen(UNSHAPED, 0.0)]) == []
    assert play([seen(UNSHAPED, 0.0), seen(UNSHAPED, 0.1)]) == [(0.1, UNSHAPED)]


def test_two_looks_at_one_frame_do_not_agree_with_each_other() -> None:
    assert play([seen(UNSHAPED, 0.0), seen(UNSHAPED, 0.0)]) == []


def test_frames_too_far_apart_do_not_agree() -> None:
    assert play([seen(UNSHAPED, 0.0), seen(UNSHAPED, 2.1)]) == []
    assert play([seen(UNSHAPED, 0.0), seen(UNSHAPED, 2.1), seen(UNSHAPED, 2.2)]) == [(2.2, UNSHAPED)]


def test_the_same_digits_in_another_symbology_do_not_agree() -> None:
    assert play([seen("4006381333931", 0.0, "ean13"), seen("4006381333931", 0.1, "code128")]) == []


def test_a_wrong_read_between_two_right_ones_becomes_no_scan() -> None:
    reads = [seen(UNSHAPED, 0.0), seen("PART-773-A", 0.1), seen(UNSHAPED, 0.2)]
    assert play(reads) == [(0.2, UNSHAPED)]


@pytest.mark.parametrize("symbology", ["qrcode", "datamatrix", "pdf417", "aztec"])
def test_codes_that_correct_errors_need_one_frame(symbology: str) -> None:
    assert play([seen(UNSHAPED, 0.0, symbology)]) == [(0.0, UNSHAPED)]


@pytest.mark.parametrize(
    "text",
    [
        "SF1020006543216",
        "YT1234567890123",
        "JT1234567890123",
        "RB123456785GB",
        "340435061352161527",
        "00340435061352161527",
        "Z3111I240728000000000003",
    ],
)
def test_a_number_of_a_known_shape_needs_one_frame(text: str) -> None:
    assert is_waybill_shape(text)
    assert play([seen(text, 0.0)]) == [(0.0, text)]


@pytest.mark.parametrize(
    "text",
    [
        "SF1020006543210",
        "RB123456784GB",
        "340435061352161528",
        "773123456789012",
        "4006381333931",
        "ABC123",
        "",
        "运单",
    ],
)
def test_wrong_check_digits_and_bare_digits_are_no_known_shape(text: str) -> None:
    assert not is_waybill_shape(text)


def test_a_goods_number_needs_two_frames_whatever_it_looks_like() -> None:
    """Wrong EAN numbers with right check digits were measured; those of other kinds were not."""
    assert play([seen("340435061352161527", 0.0, "ean13")]) == []


def test_a_sites_own_shapes_need_one_frame() -> None:
    settings = GuardSettings(waybills=(re.compile(r"PART-\d{3}-[A-Z]"),))
    assert play([seen(UNSHAPED, 0.0)], settings) == [(0.0, UNSHAPED)]
    assert play([seen(UNSHAPED + "X", 0.0)], settings) == []


@pytest.mark.parametrize("source", [Source.SERIAL, Source.WEDGE, Source.INTENT, Source.TYPED])
def test_what_scanners_and_keys_give_needs_no_second_look(source: Source) -> None:
    assert play([seen(UNSHAPED, 0.0, source=source)]) == [(0.0, UNSHAPED)]


# --- never a code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("text", ["070429", "1234567"])
def test_an_itf_of_fewer_than_eight_digits_is_never_a_code(source: Source, text: str) -> None:
    said = [what for _, what in play([seen(text, n / 10, "itf", source) for n in range(3)])]
    assert said
    assert all(each.startswith("no code: ITF of fewer than 8 digits") for each in said)


def test_an_itf_of_eight_digits_is_one() -> None:
    assert play([seen("12345670", 0.0, "itf"), seen("12345670", 0.1, "itf")]) == [(0.1, "12345670")]


@pytest.mark.parametrize(
    "text",
    ["", "  ", "\r\n", "YT12\x00345", "YT\ufffd123", "A\x7fB", "A\x85B", "YT\x1b123", "\ud800", "A" * 4097],
)
def test_garbled_texts_are_never_codes(text: str) -> None:
    ((_, said),) = play([seen(text, 0.0, "qrcode")])
    assert said.startswith("no code: ")


@pytest.mark.parametrize(
    "text", ["[)>\x1e06\x1d9N11\x1e\x04", "line 1\r\nline 2", "a\tb", "运单号：1", "A" * 4096]
)
def test_separators_lines_and_chinese_are_codes(text: str) -> None:
    assert play([seen(text, 0.0, "qrcode")]) == [(0.0, text)]


@given(
    text=st.text(max_size=60),
    symbology=st.sampled_from(sorted(SYMBOLOGIES | {""})),
    source=st.sampled_from(Source),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=6),
)
def test_whatever_is_read_a_scan_has_the_text_that_was_read_and_nothing_raises(
    text: str, symbology: str, source: Source, gaps: list[float]
) -> None:
    at_s, state = 0.0, GuardState()
    for gap_s in gaps:
        at_s += gap_s
        state, passed = step(state, seen(text, at_s, symbology, source), DEFAULT)
        assert len(passed) <= 1
        assert [one.text for one in passed if isinstance(one, ScanSeen)] in ([], [text])


def test_a_reader_that_never_sees_the_same_twice_fills_no_memory() -> None:
    state = GuardState()
    for number in range(2000):
        for text, kind in ((f"PART-{number}", "code128"), (f"Q{number}", "qrcode")):
            state, _ = step(state, seen(text, number / 1000, kind), DEFAULT)
    assert len(state.waiting) <= 64
    assert len(state.told) <= 64


# --- repeats --------------------------------------------------------------------------------------------


def test_a_code_that_stays_in_the_picture_is_one_scan() -> None:
    reads = [seen("Q1", n / 10, "qrcode") for n in range(100)]
    assert play(reads) == [(0.0, "Q1")]


def test_a_code_that_was_out_of_the_picture_long_enough_is_another_scan() -> None:
    assert play([seen("Q1", 0.0, "qrcode"), seen("Q1", 3.1, "qrcode")]) == [(0.0, "Q1"), (3.1, "Q1")]


def test_a_linear_code_that_stays_in_the_picture_is_one_scan() -> None:
    assert play([seen(UNSHAPED, n / 10) for n in range(100)]) == [(0.1, UNSHAPED)]


def test_two_codes_in_one_picture_are_two_scans() -> None:
    reads = [seen(text, n / 10, "qrcode") for n in range(20) for text in ("Q1", "Q2")]
    assert play(reads) == [(0.0, "Q1"), (0.0, "Q2")]


def test_a_bouncing_trigger_is_one_scan_and_a_second_pull_another() -> None:
    at = (0.0, 0.3, 1.2)
    assert [when for when, _ in play([seen("Q1", at_s, source=Source.SERIAL) for at_s in at])] == [0.0, 1.2]


def test_what_a_person_types_twice_counts_twice() -> None:
    assert len(play([typed("YT1234567890123", 0.0), typed("YT1234567890123", 0.1)])) == 2


def test_the_camera_after_the_scanner_is_told_too() -> None:
    assert len(play([seen("Q1", 0.0, "qrcode", Source.SERIAL), seen("Q1", 0.2, "qrcode")])) == 2


def test_the_same_garbage_is_told_once_while_it_lasts() -> None:
    garbage = [NotACode(Source.SERIAL, "no AIM identifier in front", n / 10) for n in range(5)]
    assert len(play(garbage)) == 1


# --- one value for every source -------------------------------------------------------------------------


def test_a_serial_engines_readings_are_scans_and_its_cut_and_garbled_lines_never() -> None:
    assert from_reading(CodeSeen("YT1", "]C0"), 1.0) == ScanSeen("YT1", "code128", Source.SERIAL, 1.0, "]C0")
    assert from_reading(CodeSeen("YT1"), 1.0) == ScanSeen("YT1", "", Source.SERIAL, 1.0)
    for bad in (ReadTruncated(b"YT12"), ReadGarbled(b"YT12", "does not begin with 02")):
        assert isinstance(from_reading(bad, 1.0), NotACode)
    assert from_reading(NothingRead(), 1.0) is None


@pytest.mark.parametrize("symbology", sorted(SYMBOLOGIES - {"upca", "upce"}))
def test_the_plainest_identifier_of_a_symbology_leads_back_to_it(symbology: str) -> None:
    assert symbology_of_aim(aim_of(symbology)) == symbology


@pytest.mark.parametrize(
    ("aim", "name"), [("]C1", "code128"), ("]d2", "datamatrix"), ("]X0", ""), ("", ""), ("C0", "")]
)
def test_identifiers(aim: str, name: str) -> None:
    assert symbology_of_aim(aim) == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("LABEL-TYPE-CODE128", "code128"),
        ("LABEL-TYPE-EAN13", "ean13"),
        ("LABEL-TYPE-I2OF5", "itf"),
        ("QR Code", "qrcode"),
        ("Data Matrix", "datamatrix"),
        ("Interleaved 2 of 5", "itf"),
        ("UPC-A", "upca"),
        ("MSI", ""),
        ("", ""),
    ],
)
def test_vendors_names(said: str, name: str) -> None:
    assert symbology_named(said) == name


def test_an_identifier_in_front_is_taken_off() -> None:
    assert without_aim("]C1YT1") == ("]C1", "YT1")
    assert without_aim("YT1") == ("", "YT1")


def test_no_text_is_longer_than_a_code_can_be() -> None:
    assert LONGEST_TEXT == 4096
