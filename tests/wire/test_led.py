"""The LED board: what is written for a text, what is read back, what its check is worth."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.driver import Output
from edge.devices.led_fk import wire
from edge.devices.led_fk.driver import LedDriver, Settings
from edge.devices.readings import (
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SetRelay,
    ShowText,
)

ROW = bytes.fromhex(
    "0064FFFF6225001501000215010300FF000000000000001200BBB6D3ADB9E2C1D9C7EBC8EBB3A1CDA3B3B5F4F5"
)
VOICE = bytes.fromhex("0064ffff301201d4c14231323334352cbbb6d3adb9e2c1d96a91")


def led(**settings: object) -> LedDriver:
    made: Callable[..., Settings] = Settings
    driver = LedDriver(made(**settings))
    driver.opened(0.0)
    return driver


def decoded(data: bytes) -> list[object]:
    cutter = wire.decoder()
    return [*cutter.feed(data), *cutter.quiet()]


def show(driver: LedDriver, order: ShowText) -> list[object]:
    """Everything written for one order, as messages."""
    output = driver.order(0.0, "o", order)
    sent = output.send
    while output.wake_at_s is not None:
        output = driver.due(output.wake_at_s)
        sent += output.send
    assert output.readings[-1:] == (OrderDone("o"),)
    return decoded(sent)


def test_published_frames_are_what_we_write() -> None:
    row = wire.Row(0, "欢迎光临请入场停车", b"\xff\0\0\0", in_mode=wire.CONTINUOUS)
    assert wire.encode(row) == ROW
    assert wire.encode(wire.Voice(1, "粤B12345,欢迎光临")) == VOICE
    assert decoded(ROW + VOICE) == [row, wire.Voice(1, "粤B12345,欢迎光临")]


def test_a_text_becomes_one_frame_a_row_and_a_voice_frame() -> None:
    order = ShowText(("豫A12345", "放行"), "green", voice="一路平安")
    rows = [
        wire.Row(0, "豫A12345", b"\0\xff\0\0"), wire.Row(1, "放行", b"\0\xff\0\0"),
        wire.Row(2, " ", b"\0\xff\0\0"), wire.Row(3, " ", b"\0\xff\0\0"),
    ]  # fmt: skip
    assert show(led(), order) == [*rows, wire.Voice(2, "一路平安")]


@pytest.mark.parametrize(
    ("colour", "rgba"), [("red", "ff000000"), ("green", "00ff0000"), ("amber", "ffff0000")]
)
def test_colours(colour: str, rgba: str) -> None:
    assert show(led(rows=1), ShowText(("x",), colour)) == [wire.Row(0, "x", bytes.fromhex(rgba))]


def test_texts_beyond_the_rows_are_joined_into_the_last() -> None:
    found = show(led(rows=2), ShowText(("一", "二", "三"), "red"))
    assert [row.text for row in found if isinstance(row, wire.Row)] == ["一", "二 三"]


def test_a_text_wider_than_the_board_runs_and_others_stand() -> None:
    found = show(led(rows=2, row_width=8), ShowText(("放行放行", "放行放行!"), "red"))
    assert [row.in_mode for row in found if isinstance(row, wire.Row)] == [wire.AT_ONCE, wire.CONTINUOUS]


@pytest.mark.parametrize(("voice", "options"), [("queue", [1]), ("interrupt", [2]), ("none", [])])
def test_voice_joins_interrupts_or_stays_silent(voice: str, options: list[int]) -> None:
    found = show(led(rows=1, voice=voice), ShowText(("x",), "red", voice="你好"))
    assert [message.option for message in found if isinstance(message, wire.Voice)] == options


@pytest.mark.parametrize(
    ("text", "shown"),
    [("320 kg 超", "320 kg 超"), ("喆12", "?12"), ("€", "?"), ("a\x07b\n", "a?b?"), ("", " ")],
)
def test_characters_outside_gb2312_become_question_marks(text: str, shown: str) -> None:
    found = show(led(rows=1), ShowText((text,), "red"))
    assert [row.text for row in found if isinstance(row, wire.Row)] == [shown]


@given(text=st.text(max_size=400), voice=st.text(max_size=400))
def test_any_text_gives_whole_frames_within_the_length_byte(text: str, voice: str) -> None:
    found = show(led(rows=1, gap_s=0), ShowText((text,), "red", voice=voice))
    assert {type(message) for message in found} <= {wire.Row, wire.Voice}


def test_a_long_text_is_shortened_at_a_character() -> None:
    found = show(led(rows=1), ShowText(("a" + "放" * 200,), "red"))
    assert [row.text for row in found if isinstance(row, wire.Row)] == ["a" + "放" * 117]


def test_frames_go_out_one_by_one_with_a_rest_and_the_order_is_done_with_the_last() -> None:
    driver = led(rows=2, gap_s=0.05)
    first = driver.order(1.0, "o", ShowText(("a", "b"), "red"))
    assert (first.readings, first.wake_at_s) == ((), 1.05)
    assert driver.due(1.01) == Output(wake_at_s=1.05)
    last = driver.due(1.05)
    assert (last.readings, last.wake_at_s) == ((OrderDone("o"),), None)
    assert [type(m) for m in decoded(first.send + last.send)] == [wire.Row, wire.Row]


def test_without_a_rest_all_goes_out_at_once() -> None:
    output = led(rows=3, gap_s=0).order(0.0, "o", ShowText(("a",), "red"))
    assert output.readings == (OrderDone("o"),)
    assert len(decoded(output.send)) == 3


def test_a_newer_text_replaces_what_is_still_being_written() -> None:
    driver = led(rows=2, gap_s=0.05)
    driver.order(1.0, "old", ShowText(("a", "b"), "red"))
    newer = driver.order(1.01, "new", ShowText(("c", "d"), "green"))
    assert newer.readings == (OrderRefused("old", "replaced by a newer text"),)
    assert driver.due(2.0).readings == (OrderDone("new"),)


def test_opening_again_refuses_a_text_half_written() -> None:
    driver = led(rows=2, gap_s=0.05)
    driver.order(1.0, "o", ShowText(("a", "b"), "red"))
    assert [r.order_id for r in driver.opened(1.01).readings if isinstance(r, OrderRefused)] == ["o"]
    assert driver.due(9.0) == Output()


def test_what_the_board_cannot_show_is_refused() -> None:
    blue, relay = ShowText(("x",), "blue"), SetRelay(0, on=True)
    found: list[Reading] = [r for order in (blue, relay) for r in led().order(0.0, "o", order).readings]
    assert [type(reading) for reading in found] == [OrderRefused, OrderRefused]


def test_bytes_from_the_board_are_no_reading_and_noise_is_told() -> None:
    driver = led()
    assert driver.received(1.0, ROW + VOICE).readings == ()
    assert [type(r) for r in driver.received(1.0, b"\xff" * 64).readings] == [ReadGarbled]


def test_one_byte_changed_is_never_another_message() -> None:
    sent = decoded(VOICE)
    wrong = [
        VOICE[:n] + bytes([byte]) + VOICE[n + 1 :] for n in range(len(VOICE)) for byte in range(256)
        if byte != VOICE[n]
    ]  # fmt: skip
    found = [m for each in wrong for m in decoded(each) if not isinstance(m, ReadGarbled | ReadTruncated)]
    assert len(sent) == 1
    assert found == []


def test_a_row_whose_lengths_contradict_each_other_is_garbled() -> None:
    wrong = wire.encode(wire.Command(wire.SHOW_ROW, ROW[6:-2] + b"x"))
    short = wire.encode(wire.Command(wire.SHOW_ROW, b"\0" * 18))
    foreign = wire.encode(wire.Command(wire.VOICE, b"\x01\xff\xff"))
    assert [type(m) for m in decoded(wrong + short + foreign)] == [ReadGarbled] * 3
