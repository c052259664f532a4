"""The plain text board, and what the 00 64 FF FF board was given beside rows and voice."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import decode_frames, make_driver
from edge.devices.driver import Driver, Output
from edge.devices.led_ascii import wire
from edge.devices.led_ascii.frames import WORDS
from edge.devices.led_fk import wire as fk
from edge.devices.readings import (
    OrderDone,
    OrderRefused,
    ReadGarbled,
    ReadTruncated,
    SetRelay,
    ShowText,
)
from edge.devices.settings import SettingsRefused
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.text_board import TextBoard
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log

FUZZ = int(os.environ.get("KAKOU_FUZZ", "4000"))


def board(**settings: object) -> Driver:
    made = make_driver("led.ascii", settings)
    made.opened(0.0)
    return made


def sent_for(order: ShowText, **settings: object) -> bytes:
    output = board(**settings).order(0.0, "o", order)
    assert output.readings == (OrderDone("o"),)
    return output.send


# --- led.ascii ----------------------------------------------------------------------------------------------


def test_rows_are_lines_with_their_number_and_colour() -> None:
    sent = sent_for(ShowText(("豫A12345", "放行"), "green"), rows=3)
    assert sent.decode("gb2312") == "[1][G]豫A12345\r\n[2][G]放行\r\n[3][G] \r\n"


@pytest.mark.parametrize(("colour", "word"), [("red", "[R]"), ("green", "[G]"), ("amber", "[Y]")])
def test_colours_are_the_sites_words(colour: str, word: str) -> None:
    assert sent_for(ShowText(("x",), colour), rows=1) == f"[1]{word}x\r\n".encode()
    own = sent_for(ShowText(("x",), colour), rows=1, red="R>", green="G>", amber="Y>", row_word="")
    assert own == f"{word[1]}>x\r\n".encode()


def test_words_that_are_empty_are_not_sent() -> None:
    assert sent_for(ShowText(("x", "y"), "red"), row_word="", red="", ending="lf") == b"x\ny\n"


def test_voice_is_a_line_of_its_own_where_there_is_a_word_for_it() -> None:
    order = ShowText(("x",), "red", voice="一路平安")
    assert sent_for(order, rows=1, voice_word="[V]").decode("gb2312") == "[1][R]x\r\n[V]一路平安\r\n"
    assert sent_for(order, rows=1) == b"[1][R]x\r\n"


def test_texts_beyond_the_rows_are_joined_into_the_last() -> None:
    assert sent_for(ShowText(("a", "b", "c"), "red"), rows=2) == b"[1][R]a\r\n[2][R]b c\r\n"


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("320 kg 超", "gb2312", "320 kg 超"),
        ("喆€\x07\n", "gb2312", "????"),
        ("放行 GO", "ascii", "?? GO"),
        ("", "ascii", " "),
    ],
)
def test_what_the_board_cannot_show_is_seen_as_question_marks(text: str, encoding: str, shown: str) -> None:
    sent = sent_for(ShowText((text,), "red"), rows=1, encoding=encoding)
    assert sent.decode("gb2312") == f"[1][R]{shown}\r\n"


def test_a_text_wider_than_the_board_is_cut_at_a_character() -> None:
    assert sent_for(ShowText(("a放行",), "red"), rows=1, row_width=4).decode("gb2312") == "[1][R]a放\r\n"


def test_a_text_never_holds_a_word_of_the_board() -> None:
    sent = sent_for(ShowText(("[2][G]X[V]Y",), "red"), rows=1, voice_word="[V]")
    (row,) = decode_frames("led.ascii", sent)
    assert (row["messages"][0]["row"], row["messages"][0]["colour"]) == (0, "red")
    assert "[" not in row["messages"][0]["text"]


@given(
    text=st.text(max_size=300), voice=st.text(max_size=300), colour=st.sampled_from(["red", "green", "amber"])
)
def test_any_text_gives_whole_lines_that_read_back(text: str, voice: str, colour: str) -> None:
    sent = sent_for(ShowText((text, text), colour, voice=voice), voice_word="[V]")
    rows = decode_frames("led.ascii", sent)
    messages = [message for row in rows if row["ok"] for message in row["messages"]]
    assert [row["ok"] for row in rows] == [True] * (3 if voice else 2)
    assert [(m["row"], m["colour"]) for m in messages[:2]] == [(0, colour), (1, colour)]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"red": "红"}, "red: expected printable ASCII"),
        ({"green": "\n"}, "green: expected printable ASCII"),
        ({"row_word": "[1]"}, "row_word: expected one {} for the row's number"),
        ({"row_word": "[{}{}]"}, "row_word: expected one {} for the row's number"),
        ({"voice_word": "["}, "voice_word: expected not how row_word begins"),
    ],
)
def test_words_that_cannot_be_sent_or_told_apart_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        board(**settings)
    assert str(caught.value.errors[0]).startswith(says)


def test_what_it_cannot_do_is_refused_and_what_comes_back_is_noise() -> None:
    blue = board().order(0.0, "o", ShowText(("x",), "blue")).readings
    relay = board().order(0.0, "o", SetRelay(0, on=True)).readings
    assert [type(r) for r in (*blue, *relay)] == [OrderRefused] * 2
    assert [type(r) for r in board().received(0.0, b"?").readings] == [ReadGarbled]
    assert board().received(0.0, b"") == Output()


@pytest.mark.timeout(3600)
def test_random_lines_never_raise_and_only_those_with_a_row_or_voice_word_are_lines() -> None:
    draw = random.Random(5)
    seeds = [b"[1][G]" + "豫A12345".encode("gb2312") + b"\r\n", b"[12]GO\r\n", b"[V]hello\r\n"]
    found = 0
    for _ in range(FUZZ):
        data = bytearray(b"".join(draw.choices(seeds, k=2)))
        for _ in range(draw.randrange(1, 5)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        cutter = wire.decoder(WORDS)
        for message in [*cutter.feed(bytes(data)), *cutter.quiet()]:
            if isinstance(message, ReadGarbled | ReadTruncated):
                continue
            found += 1
            assert isinstance(message, wire.Voice) or message.row is not None
            assert message.text.isprintable()
            assert "[" not in message.text
    assert found > FUZZ / 4


# --- the board in the lane ----------------------------------------------------------------------------------


def physics() -> LanePhysics:
    return LanePhysics(BarrierSettings(), quiet_log)


def test_a_text_shows_on_the_simulated_board_and_is_spoken() -> None:
    simulated = TextBoard(physics())
    sent = sent_for(ShowText(("豫A12345", "放行"), "green", voice="一路平安"), voice_word="[V]")
    for at in range(len(sent)):
        simulated.receive(1.0, sent[at : at + 1])
    simulated.advance(1.2)
    assert (simulated.rows, simulated.colour) == (("豫A12345", "放行"), "green")
    assert [text for _, text in simulated.spoken] == ["一路平安"]
    assert simulated.refused == 0


@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.STUCK])
def test_a_board_that_is_stuck_shows_the_old_text_and_a_dead_one_none(kind: FaultKind) -> None:
    simulated = TextBoard(physics())
    simulated.receive(0.0, sent_for(ShowText(("old",), "red"), rows=1))
    simulated.set_fault(1.0, Fault(kind=kind), True)
    simulated.receive(1.0, sent_for(ShowText(("new",), "red"), rows=1))
    stuck = simulated.rows
    simulated.set_fault(2.0, Fault(kind=FaultKind.DEAD), True)
    assert (stuck, simulated.rows) == (("old",), ())


@pytest.mark.parametrize("make", [LedBoard, TextBoard])
@pytest.mark.parametrize("kind", [FaultKind.FLIP, FaultKind.CUT, FaultKind.CHATTER])
def test_a_spoilt_line_does_not_stop_a_board(
    make: Callable[[LanePhysics], LedBoard | TextBoard], kind: FaultKind
) -> None:
    simulated = make(physics())
    protocol = "led.fk" if make is LedBoard else "led.ascii"
    driver = make_driver(protocol, {"rows": 2, **({"gap_s": 0} if make is LedBoard else {})})
    driver.opened(0.0)
    simulated.set_fault(0.0, Fault(kind=kind), True)
    for number in range(50):
        simulated.receive(
            number, driver.order(number, str(number), ShowText((f"text {number}", "x"), "red")).send
        )
        simulated.advance(number + 0.5)
    simulated.set_fault(60.0, Fault(kind=kind), False)
    simulated.connect(60.0)
    simulated.receive(61.0, driver.order(61.0, "last", ShowText(("last", "x"), "green")).send)
    simulated.advance(62.0)
    assert simulated.rows[:2] == ("last", "x")


# --- led.fk -------------------------------------------------------------------------------------------------


def fk_messages(order: ShowText, **settings: object) -> list[object]:
    output = make_driver("led.fk", {"gap_s": 0, "rows": 2, **settings}).order(0.0, "o", order)
    cutter = fk.decoder()
    return [*cutter.feed(output.send), *cutter.quiet()]


def test_a_voice_text_carries_the_sites_prefix() -> None:
    order = ShowText(("x",), "red", voice="一路平安")
    voices = [m for m in fk_messages(order, voice_prefix="[v8]") if isinstance(m, fk.Voice)]
    assert voices == [fk.Voice(2, "[v8]一路平安")]


def test_texts_that_outlast_a_power_cut_are_written_with_67_where_the_site_says_so() -> None:
    order = ShowText(("关闭", "CLOSED"), "red")
    temporary, lasting = fk_messages(order), fk_messages(order, for_good=True)
    assert [m.for_good for m in temporary if isinstance(m, fk.Row)] == [False, False]
    assert [(m.for_good, m.text) for m in lasting if isinstance(m, fk.Row)] == [
        (True, "关闭"),
        (True, "CLOSED"),
    ]


def test_a_lasting_text_is_not_written_again_while_it_stays_the_same() -> None:
    driver = make_driver("led.fk", {"gap_s": 0, "rows": 2, "for_good": True})
    driver.opened(0.0)
    closed, opened = ShowText(("关闭", "CLOSED"), "red"), ShowText(("开放", "OPEN"), "green")
    sent = [
        len(driver.order(n, str(n), each).send) for n, each in enumerate((closed, closed, opened, closed))
    ]
    again = driver.order(9.0, "again", ShowText(("关闭", "CLOSED"), "red", voice="关闭"))
    driver.opened(10.0)
    after = driver.order(11.0, "after", closed).send
    assert [size > 0 for size in sent] == [True, False, True, True]
    assert again.readings == (OrderDone("again"),)
    assert again.send == fk.encode(fk.Voice(2, "关闭"))
    assert after != b""


def test_a_lasting_text_cut_off_in_the_middle_is_written_again() -> None:
    driver = make_driver("led.fk", {"gap_s": 0.05, "rows": 2, "for_good": True})
    driver.opened(0.0)
    closed, opened = ShowText(("关闭", "CLOSED"), "red"), ShowText(("开放", "OPEN"), "green")
    driver.order(1.0, "a", closed)
    driver.due(1.05)
    driver.order(2.0, "b", opened)
    assert driver.order(2.01, "c", closed).send != b""


def test_a_lasting_text_shows_on_the_simulated_board() -> None:
    simulated = LedBoard(physics())
    driver = make_driver("led.fk", {"gap_s": 0, "rows": 2, "for_good": True})
    simulated.receive(1.0, driver.order(1.0, "o", ShowText(("关闭", "CLOSED"), "amber")).send)
    simulated.advance(1.5)
    assert (simulated.rows, simulated.colour) == (("关闭", "CLOSED"), "amber")


@pytest.mark.parametrize("speed", [1, 32])
def test_texts_that_run_run_at_the_sites_speed(speed: int) -> None:
    rows = [m for m in fk_messages(ShowText(("放行放行",), "red"), in_speed=speed) if isinstance(m, fk.Row)]
    assert [row.in_speed for row in rows] == [speed] * 2


def test_two_rows_may_differ_in_text_but_share_the_colour_of_the_message() -> None:
    rows = [m for m in fk_messages(ShowText(("一", "TWO"), "amber")) if isinstance(m, fk.Row)]
    assert [(row.row, row.text, row.rgba) for row in rows] == [
        (0, "一", b"\xff\xff\0\0"),
        (1, "TWO", b"\xff\xff\0\0"),
    ]
