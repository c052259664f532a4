"""Scanners that are told when to read: triggers, answers, time limits, and texts that arrive unharmed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import decode_frames, make_driver
from edge.devices.driver import Driver, Output
from edge.devices.readings import (
    CodeSeen,
    DeviceFault,
    NothingRead,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SetRelay,
    TriggerRead,
)
from edge.devices.scanner_gm65 import wire as gm65
from edge.devices.scanner_keyence import wire as keyence
from edge.devices.scanner_line.wire import Aim, Answer, Code, Ending, LineDecoder, NoRead, Rules, Said
from edge.devices.scanner_newland import wire as newland
from edge.devices.scanner_sick import wire as sick
from edge.devices.settings import SettingsRefused
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.triggered_scanner import (
    MAKES,
    Make,
    TriggeredScanner,
    crc_ccitt,
    transmission,
)
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.release_codes import MAX_TEXT, ReleaseCode, body_of, parse, signed_bytes, text_of

FUZZ = int(os.environ.get("KAKOU_FUZZ", "4000"))
SLIP = "Z3111I240728000000000003"
ON: dict[Make, bytes] = {
    "honeywell": b"\x16T\r",
    "newland": b"\x7e\x010000#SCNTRG1;\x03",
    "gm65": bytes.fromhex("7E000801000201 02DA"),
    "keyence": b"LON\r",
    "sick": b"\x02sMN mTCgateon\x03",
}
OFF: dict[Make, bytes] = {
    "honeywell": b"\x16U\r",
    "newland": b"\x7e\x010000#SCNTRG0;\x03",
    "gm65": bytes.fromhex("7E000801000200 12FB"),
    "keyence": b"LOFF\r",
    "sick": b"\x02sMN mTCgateoff\x03",
}
YES: dict[Make, bytes] = {
    "newland": b"\x02\x010000#SCNTRG1\x06;\x03",
    "gm65": bytes.fromhex("02000001003331"),
    "keyence": b"OK,LON\r",
    "sick": b"\x02sAN mTCgateon 1\x03",
}
NO: dict[Make, tuple[bytes, str]] = {
    "newland": (b"\x02\x010000#SCNTRG1\x15;\x03", "SCNTRG1: out of range"),
    "gm65": (b"\x02\x00\x02\x01\x00" + crc_ccitt(b"\x02\x01\x00"), "error 02"),
    "keyence": (b"ER,LON,22\r", "ER,LON,22"),
    "sick": (b"\x02sAN mTCgateon 0\x03", "sAN mTCgateon 0"),
}
ANSWERING = tuple(YES)


def line(make: Make, text: str, aim: str = "", encoding: str = "utf-8") -> bytes:
    return transmission(make, text, aim, encoding=encoding)


def driver(make: Make, **settings: object) -> Driver:
    made = make_driver(f"scanner.{make}", {"read_s": 2.0, "reply_s": 0.5, **settings})
    made.opened(0.0)
    return made


def reading(make: Make, **settings: object) -> Driver:
    """A driver whose read began at 1.0 and was answered at once."""
    made = driver(make, **settings)
    made.order(1.0, "t", TriggerRead())
    made.received(1.0, YES.get(make, b""))
    return made


# --- the trigger and its answer -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKES)
def test_a_trigger_is_the_bytes_of_the_manual(make: Make) -> None:
    assert driver(make).order(1.0, "t", TriggerRead()).send == ON[make]


def test_an_unanswered_honeywell_trigger_is_done_when_written() -> None:
    assert driver("honeywell").order(1.0, "t", TriggerRead()) == Output(
        (OrderDone("t"),), send=ON["honeywell"], wake_at_s=3.0
    )


@pytest.mark.parametrize("make", ANSWERING)
def test_an_answered_trigger_is_done_with_its_answer(make: Make) -> None:
    made = driver(make)
    assert made.order(1.0, "t", TriggerRead()).readings == ()
    assert made.received(1.1, YES[make]).readings == (OrderDone("t"),)


@pytest.mark.parametrize("make", ANSWERING)
def test_a_trigger_the_scanner_refuses_is_refused_in_its_words(make: Make) -> None:
    answer, words = NO[make]
    made = driver(make)
    made.order(1.0, "t", TriggerRead())
    output = made.received(1.1, answer)
    assert output == Output((OrderRefused("t", f"the scanner answered {words}"),))


@pytest.mark.parametrize("make", ANSWERING)
def test_a_trigger_without_an_answer_is_refused_and_taken_back(make: Make) -> None:
    made = driver(make)
    assert made.order(1.0, "t", TriggerRead()).wake_at_s == 1.5
    output = made.due(1.5)
    assert output.readings == (OrderRefused("t", "no answer to the trigger in 0.5 s"),)
    assert output.send == OFF[make]


@pytest.mark.parametrize("make", ANSWERING)
def test_a_text_proves_a_trigger_whose_answer_was_lost(make: Make) -> None:
    made = driver(make)
    made.order(1.0, "t", TriggerRead())
    assert made.received(1.2, line(make, SLIP, "]C0")).readings == (CodeSeen(SLIP, "]C0"), OrderDone("t"))


@pytest.mark.parametrize("make", MAKES)
def test_a_read_that_finds_nothing_is_stopped_at_its_limit_and_told(make: Make) -> None:
    made = reading(make)
    assert made.due(2.9).send == b""
    stopped = made.due(3.0)
    assert (stopped.readings, stopped.send, stopped.wake_at_s) == ((), OFF[make], 3.5)
    assert made.due(3.5).readings == (NothingRead(),)
    assert made.due(99.0) == Output()


@pytest.mark.parametrize("make", MAKES)
def test_a_text_ends_the_read_and_nothing_is_told_after_it(make: Make) -> None:
    made = reading(make)
    output = made.received(2.0, line(make, SLIP, "]C0"))
    assert output.readings == (CodeSeen(SLIP, "]C0"),)
    # only a gate that stays open is closed
    assert output.send == (OFF[make] if make == "sick" else b"")
    assert made.due(99.0) == Output()


@pytest.mark.parametrize("make", MAKES)
def test_a_text_that_comes_while_the_trigger_is_taken_back_counts(make: Make) -> None:
    made = reading(make)
    made.due(3.0)
    text = line(make, SLIP)
    assert made.received(3.4, text[:10]).readings == ()
    late = made.received(3.45, text[10:])
    assert late.readings == (CodeSeen(SLIP),)
    assert [r for r in made.due(9.0).readings if isinstance(r, NothingRead)] == []


def test_a_long_text_that_began_before_the_limit_is_waited_for() -> None:
    made = reading("keyence", quiet_s=0.3)
    made.due(3.0)
    told: list[Reading] = []
    text = line("keyence", "A" * 100)
    for n in range(0, len(text), 10):
        told += made.received(3.1 + n / 50, text[n : n + 10]).readings
    assert told == [CodeSeen("A" * 100)]


def test_bytes_that_never_end_do_not_keep_a_read_open() -> None:
    made = reading("honeywell", max_bytes=50)
    made.due(3.0)
    told = [r for n in range(100) for r in made.received(3.0 + n / 20, b"A").readings]
    assert NothingRead() in told


@pytest.mark.parametrize(
    ("make", "word"),
    [("keyence", b"ERROR\r"), ("sick", b"\x02NoRead\x03"), ("honeywell", b"NR\r"), ("gm65", b"?\r")],
)
def test_the_scanners_word_for_nothing_read_ends_the_read_and_is_told_once(make: Make, word: bytes) -> None:
    made = reading(make)
    made.due(3.0)
    assert made.received(3.1, word).readings == (NothingRead(),)
    assert [r for r in made.due(9.0).readings if isinstance(r, NothingRead)] == []


@pytest.mark.parametrize("make", ANSWERING)
def test_an_order_during_a_read_joins_it_and_renews_its_time(make: Make) -> None:
    made = reading(make)
    joined = made.order(2.5, "u", TriggerRead())
    assert joined == Output((OrderDone("u"),), wake_at_s=4.5)
    assert made.due(3.0).send == b""
    assert made.due(4.5).send == OFF[make]


@pytest.mark.parametrize("make", ANSWERING)
def test_orders_that_wait_for_one_answer_share_it(make: Make) -> None:
    made = driver(make)
    made.order(1.0, "t", TriggerRead())
    assert made.order(1.1, "u", TriggerRead()).send == b""
    assert made.received(1.2, YES[make]).readings == (OrderDone("t"), OrderDone("u"))


def test_orders_beyond_what_may_wait_are_refused() -> None:
    made = driver("gm65")
    outputs = [made.order(1.0, str(n), TriggerRead()) for n in range(20)]
    assert [bool(output.readings) for output in outputs] == [False] * 16 + [True] * 4


def test_a_trigger_while_the_last_read_stops_begins_anew_and_tells_that_it_found_nothing() -> None:
    made = reading("gm65")
    made.due(3.0)
    again = made.order(3.1, "u", TriggerRead())
    assert (again.readings, again.send) == ((NothingRead(),), ON["gm65"])
    # the first answer is to the trigger taken back, the second to the new one
    assert made.received(3.2, YES["gm65"]).readings == ()
    assert made.received(3.3, YES["gm65"]).readings == (OrderDone("u"),)


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_trigger() -> None:
    made = driver("gm65")
    made.order(1.0, "t", TriggerRead())
    made.due(1.5)
    made.due(2.0)
    late = made.received(2.1, YES["gm65"])
    assert [type(r) for r in late.readings] == [ReadGarbled]
    made.order(3.0, "u", TriggerRead())
    assert made.received(3.1, YES["gm65"]).readings == (OrderDone("u"),)


@pytest.mark.parametrize("make", ANSWERING)
def test_an_answer_nobody_asked_for_is_noise(make: Make) -> None:
    assert [type(r) for r in driver(make).received(1.0, YES[make]).readings] == [ReadGarbled]


def test_an_answer_to_another_setting_is_not_the_triggers() -> None:
    made = driver("newland")
    made.order(1.0, "t", TriggerRead())
    told = made.received(1.1, b"\x02\x010000@AIMENA1\x06;\x03").readings
    assert [type(r) for r in told] == [ReadGarbled]


@pytest.mark.parametrize("make", MAKES)
def test_a_hosts_command_heard_back_is_noise_and_no_code(make: Make) -> None:
    assert [type(r) for r in driver(make).received(1.0, ON[make]).readings] == [ReadGarbled]


@pytest.mark.parametrize("make", ANSWERING)
def test_opening_again_refuses_the_trigger_that_waits(make: Make) -> None:
    made = driver(make)
    made.order(1.0, "t", TriggerRead())
    assert made.opened(1.1) == Output((OrderRefused("t", "the line was opened again before an answer"),))
    assert made.due(99.0) == Output()


@pytest.mark.parametrize("make", MAKES)
def test_a_scanner_that_reads_by_itself_is_heard_without_a_trigger(make: Make) -> None:
    assert driver(make).received(1.0, line(make, SLIP, "]Q1")) == Output((CodeSeen(SLIP, "]Q1"),))


@pytest.mark.parametrize("make", MAKES)
def test_another_order_is_refused(make: Make) -> None:
    output = driver(make).order(1.0, "o", SetRelay(0, on=True))
    assert output == Output((OrderRefused("o", "a scanner takes no SetRelay"),))


def test_a_keyence_reader_that_does_not_answer_is_done_when_written() -> None:
    made = driver("keyence", answers=False)
    assert made.order(1.0, "t", TriggerRead()).readings == (OrderDone("t"),)


def test_a_keyence_reader_between_stx_and_etx_is_asked_and_heard_so() -> None:
    made = driver("keyence", framing="stx_etx")
    assert made.order(1.0, "t", TriggerRead()).send == b"\x02LON\x03"
    assert made.received(1.1, b"\x02OK,LON\x03\x02]C0A1\x03").readings == (
        OrderDone("t"),
        CodeSeen("A1", "]C0"),
    )


def test_faults_of_a_keyence_reader_are_told() -> None:
    told = driver("keyence").received(1.0, b"OVER\rERR91\r").readings
    assert [reading.code for reading in told if isinstance(reading, DeviceFault)] == [
        "buffer_overflow",
        "error_91",
    ]


def test_a_gm65_may_be_told_not_to_check() -> None:
    sent = driver("gm65", check=False).order(1.0, "t", TriggerRead()).send
    assert sent == bytes.fromhex("7E000801000201ABCD")


# --- texts --------------------------------------------------------------------------------------------------


def release_code() -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    code = ReleaseCode(
        lane="lane-in-1",
        passage=123_456,
        officer="4604001",
        reason="称重设备故障，已人工核对铅封与箱号" * 6,
        issued=UtcText("2026-11-22T03:00:00Z"),
    )
    body = body_of(code)
    return text_of(body, key.sign(signed_bytes(body)))


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("aim", ["", "]Q1"])
def test_the_signed_release_code_passes_through_unharmed(make: Make, aim: str) -> None:
    text = release_code()
    assert 500 < len(text) <= MAX_TEXT
    made = reading(make)
    data = line(make, text, aim)
    told = [
        r for n in range(0, len(data), 7) for r in made.received(1.0 + n / 1000, data[n : n + 7]).readings
    ]
    assert told == [CodeSeen(text, aim)]
    assert parse(text).code.passage == 123_456


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_long_chinese_slip_passes_in_either_encoding(make: Make, encoding: str) -> None:
    text = "核放单号:" + SLIP + ";车牌:豫A12345;货物:" + "跨境电商零售进口商品，保税仓出区；" * 30
    assert driver(make).received(1.0, line(make, text, "]Q1", encoding)).readings == (CodeSeen(text, "]Q1"),)
    pinned = driver(make, encoding=encoding)
    assert pinned.received(1.0, line(make, text, "]Q1", encoding)).readings == (CodeSeen(text, "]Q1"),)


def test_a_text_that_is_both_encodings_is_read_as_the_one_set() -> None:
    assert driver("sick").received(1.0, line("sick", "一", "", "gb18030")).readings == (CodeSeen("һ"),)
    pinned = driver("sick", encoding="gb18030")
    assert pinned.received(1.0, line("sick", "一", "", "gb18030")).readings == (CodeSeen("一"),)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("separators", ["0104912345123459\x1d10ABC", "[)>\x1e06\x1dP1\x1dQ2\x1e\x04"])
def test_separators_of_gs1_and_iso_15434_are_kept(make: Make, separators: str) -> None:
    assert driver(make).received(1.0, line(make, separators, "]d2")).readings == (
        CodeSeen(separators, "]d2"),
    )


@pytest.mark.parametrize("make", ["honeywell", "newland", "gm65"])
@pytest.mark.parametrize(
    ("ending", "suffix"), [("cr", b"\r"), ("lf", b"\n"), ("crlf", b"\r\n"), ("tab", b"\t")]
)
def test_each_ending_the_scanner_can_be_set_to_is_understood(make: Make, ending: str, suffix: bytes) -> None:
    made = driver(make, ending=ending)
    sent = transmission(make, SLIP, "]C0", suffix=suffix)
    assert made.received(1.0, sent + sent).readings == (CodeSeen(SLIP, "]C0"),) * 2


@pytest.mark.parametrize("make", ["honeywell", "newland", "gm65"])
def test_without_an_ending_quiet_ends_a_text(make: Make) -> None:
    made = driver(make, ending="quiet")
    assert made.received(1.0, b"]C0A1").readings == ()
    assert made.due(1.2).readings == (CodeSeen("A1", "]C0"),)


@pytest.mark.parametrize("make", MAKES)
def test_a_prefix_is_taken_off_and_its_absence_is_noise(make: Make) -> None:
    made = driver(make, prefix_hex="7E 30")
    with_prefix = transmission(make, SLIP, "]C0", prefix=b"~0")
    assert made.received(1.0, with_prefix).readings == (CodeSeen(SLIP, "]C0"),)
    assert [type(r) for r in made.received(2.0, line(make, SLIP, "]C0")).readings] == [ReadGarbled]


@pytest.mark.parametrize("make", MAKES)
def test_a_prefix_that_is_no_hex_is_refused(make: Make) -> None:
    with pytest.raises(SettingsRefused, match="prefix_hex: expected bytes in hex"):
        driver(make, prefix_hex="7")


def test_an_answer_directly_before_a_text_is_told_from_it() -> None:
    made = driver("gm65", ending="cr")
    made.order(1.0, "t", TriggerRead())
    captured = bytes.fromhex("02000001003331") + b"052301\r\n"
    assert made.received(1.1, captured).readings == (OrderDone("t"), CodeSeen("052301"))


@pytest.mark.parametrize("ending", ["cr", "lf"])
def test_the_rest_of_a_longer_ending_does_not_hide_the_answer_behind_it(ending: str) -> None:
    made = driver("gm65", ending=ending)
    assert made.received(1.0, b"A1\r\n").readings == (CodeSeen("A1"),)
    made.order(1.01, "t", TriggerRead())
    assert made.received(1.02, YES["gm65"] + b"B2\r\n").readings == (OrderDone("t"), CodeSeen("B2"))


@pytest.mark.parametrize("make", MAKES)
def test_a_text_cut_off_by_quiet_is_never_a_code(make: Make) -> None:
    sent = line(make, SLIP, "]C0")
    for kept in range(1, len(sent)):
        made = driver(make)
        told = [*made.received(1.0, sent[:kept]).readings, *made.due(2.0).readings]
        assert told == [ReadTruncated(sent[:kept])]


def test_two_stx_before_one_etx_are_no_code() -> None:
    assert [type(r) for r in driver("sick").received(1.0, b"\x02AB\x02CDEF\x03").readings] == [ReadGarbled]


@pytest.mark.parametrize("text", ["OK,LON", "ER,LOFF,11", "OVER", "LON"])
def test_a_readers_own_words_are_never_a_code_whoever_printed_them(text: str) -> None:
    told = driver("keyence").received(1.0, text.encode() + b"\r").readings
    assert [r for r in told if isinstance(r, CodeSeen)] == []


# --- what a spoilt line can do ------------------------------------------------------------------------------


def spoilt_answers() -> list[bytes]:
    answer = YES["gm65"]
    changed = [
        answer[:n] + bytes([byte]) + answer[n + 1 :]
        for n in range(7)
        for byte in range(256)
        if byte != answer[n]
    ]
    return changed + [answer[:n] + answer[n + 1 :] for n in range(7)]


def test_one_byte_of_a_gm65_answer_changed_or_lost_is_no_answer_and_no_code() -> None:
    wrong = []
    for data in spoilt_answers():
        made = driver("gm65", aim="required")
        made.order(1.0, "t", TriggerRead())
        told = [*made.received(1.0, data + b"\r").readings, *made.due(1.3).readings]
        if any(isinstance(r, OrderDone | CodeSeen) for r in told):
            wrong.append(data.hex(" "))
    # the head's first byte may change to a heartbeat's, which answers nothing here either
    assert wrong == []


def test_the_crc_of_a_gm65_is_that_of_its_printed_frames() -> None:
    printed = ("000100 3331", "00023901 C14C", "0701002A02 D80F", "0802002A3901 A7EA", "0901000000 DEC8")
    frames = [bytes.fromhex(each) for each in printed]
    assert [gm65.crc(frame[:-2]) for frame in frames] == [frame[-2:] for frame in frames]
    assert [crc_ccitt(frame[:-2]) for frame in frames] == [frame[-2:] for frame in frames]


@given(data=st.binary(max_size=60))
def test_both_readings_of_the_gm65_crc_agree(data: bytes) -> None:
    assert gm65.crc(data) == crc_ccitt(data)


def rules(ending: Ending = Ending.CR) -> Rules:
    return Rules(ending, Aim.REQUIRED, ("NoRead", "ERROR"), 200)


DECODERS: dict[str, Callable[[], LineDecoder[Said]]] = {
    "newland": lambda: newland.decoder(rules()),
    "gm65": lambda: gm65.decoder(rules()),
    "keyence": lambda: keyence.decoder(rules()),
    "sick": lambda: sick.decoder(rules(Ending.ETX)),
}
SEEDS: dict[str, list[bytes]] = {
    make: [YES[make], NO[make][0], ON[make], OFF[make], line(make, SLIP, "]C0"), line(make, "核放单", "]Q1")]
    for make in YES
}


def spoilt(draw: random.Random, frames: list[bytes]) -> bytes:
    if draw.random() < 0.3:
        return draw.randbytes(draw.randrange(24))
    data = bytearray(b"".join(draw.choices(frames, k=draw.randrange(1, 3))))
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(data)) if data else 0
        match draw.randrange(4):
            case 0 if data:
                data[at] ^= 1 << draw.randrange(8)
            case 1 if data:
                del data[at]
            case 2:
                data.insert(at, draw.randrange(256))
            case _:
                data = data[:at]
    return bytes(data)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make", DECODERS)
def test_spoilt_bytes_never_raise_and_never_make_an_answer_that_was_not_sent(make: str) -> None:
    """A text has no check: that one changed in place can still be a text is said in the page. Every text that
    is told was a whole line, and every answer one of those the scanner has."""
    draw = random.Random(f"7/{make}")
    told = 0
    answers: set[Answer] = set()
    for _ in range(FUZZ):
        decoder = DECODERS[make]()
        data = spoilt(draw, SEEDS[make])
        for message in [*decoder.feed(data), *decoder.quiet()]:
            told += 1
            match message:
                case Answer():
                    answers.add(message)
                case Code(text, aim):
                    assert aim.startswith("]")
                    assert (
                        aim.encode() + text.encode() in data or aim.encode() + text.encode("gb18030") in data
                    )
                case NoRead(word):
                    assert word.encode() in data
                case _:
                    pass
    own = [a for a in answers if not a.other]
    assert told > FUZZ / 4
    assert {a.on for a in own} <= {True, False, None}
    if make == "gm65":
        assert {a.text for a in own if a.good} == {"done"}


@pytest.mark.parametrize("make", MAKES)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30), max_size=4
    ),
    kept=st.integers(0, 60),
)
def test_of_texts_sent_and_cut_only_whole_ones_are_codes(make: Make, texts: list[str], kept: int) -> None:
    sent = b"".join(line(make, text, "]Q3") for text in texts)
    cut = sent[: max(0, len(sent) - kept)]
    made = driver(make, aim="required", no_read=("~nothing~",))
    told = [*made.received(1.0, cut).readings, *made.due(9.0).readings]
    codes = [r.text for r in told if isinstance(r, CodeSeen)]
    assert codes == texts[: len(codes)]


steps = st.lists(
    st.tuples(
        st.floats(0.0, 1.5),
        st.sampled_from(["order", "yes", "no", "text", "nothing", "noise", "half"]),
    ),
    max_size=30,
)


@pytest.mark.parametrize("make", MAKES)
@given(steps=steps)
def test_every_order_gets_exactly_one_answer_and_every_read_ends(
    make: Make, steps: list[tuple[float, str]]
) -> None:
    made = driver(make)
    at_s, given_orders = 1.0, 0
    told: list[Reading] = []
    nothing = {"keyence": b"ERROR\r", "sick": b"\x02NoRead\x03"}.get(make, b"?\r")
    data: dict[str, bytes] = {
        "yes": YES.get(make, b""),
        "no": NO[make][0] if make in NO else b"",
        "text": line(make, SLIP),
        "nothing": nothing,
        "noise": b"\xff\x00",
        "half": line(make, SLIP)[:5],
    }
    for wait_s, step in steps:
        at_s += wait_s
        told += made.due(at_s).readings
        if step == "order":
            told += made.order(at_s, str(given_orders), TriggerRead()).readings
            given_orders += 1
        else:
            told += made.received(at_s, data[step]).readings
    wake: float | None = at_s
    for _ in range(10):
        at_s += 5.0
        output = made.due(at_s)
        told += output.readings
        wake = output.wake_at_s
    answered = [r.order_id for r in told if isinstance(r, OrderDone | OrderRefused)]
    assert sorted(answered) == sorted(str(n) for n in range(given_orders))
    assert wake is None


# --- against the simulators ---------------------------------------------------------------------------------


class Joined:
    """A driver and a simulated scanner on one cable, in steps of 10 ms."""

    def __init__(self, make: Make, *, only_triggered: bool = True, **settings: object) -> None:
        self.physics = LanePhysics(BarrierSettings(), quiet_log)
        self.scanner = TriggeredScanner(self.physics, make, only_triggered=only_triggered)
        self._driver = driver(make, **settings)
        self._wake_s: float | None = None
        self.told: list[Reading] = []
        self.now_s = 0.0

    def order(self, order_id: str) -> None:
        self._take(self._driver.order(self.now_s, order_id, TriggerRead()))

    def run(self, for_s: float) -> Joined:
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.now_s = round(self.now_s + 0.01, 6)
            self.physics.advance(self.now_s)
            data = self.scanner.advance(self.now_s)
            if data:
                self._take(self._driver.received(self.now_s, data))
            if self._wake_s is not None and self._wake_s <= self.now_s:
                self._take(self._driver.due(self.now_s))
        return self

    def _take(self, output: Output) -> None:
        self.told += output.readings
        self._wake_s = output.wake_at_s
        if output.send:
            self.scanner.receive(self.now_s, output.send)


@pytest.mark.parametrize("make", MAKES)
def test_a_triggered_read_of_a_code_shown_during_it(make: Make) -> None:
    joined = Joined(make)
    joined.run(0.1).order("t")
    joined.run(0.5)
    joined.physics.show_code(joined.now_s, SLIP, "]C0")
    joined.run(5.0)
    assert joined.told == [OrderDone("t"), CodeSeen(SLIP, "]C0")]
    assert joined.scanner.is_reading is False


@pytest.mark.parametrize("make", MAKES)
def test_a_code_shown_without_a_trigger_is_not_read_and_nothing_shown_is_told_once(make: Make) -> None:
    joined = Joined(make)
    joined.physics.show_code(0.05, SLIP, "]C0")
    joined.run(3.0).order("t")
    joined.run(6.0)
    assert joined.told == [OrderDone("t"), NothingRead()]
    assert joined.scanner.is_reading is False


@pytest.mark.parametrize("make", MAKES)
def test_read_after_read_goes_on_for_long(make: Make) -> None:
    joined = Joined(make)
    for number in range(30):
        joined.order(str(number))
        joined.run(0.3)
        joined.physics.show_code(joined.now_s, f"{SLIP[:-2]}{number:02}", "]C0")
        joined.run(1.2)
    joined.run(5.0)
    assert [r.order_id for r in joined.told if isinstance(r, OrderDone)] == [str(n) for n in range(30)]
    codes = [r.text for r in joined.told if isinstance(r, CodeSeen)]
    assert codes == [f"{SLIP[:-2]}{n:02}" for n in range(30)]


FAULTS = [
    (FaultKind.CUT, 0.4),
    (FaultKind.FLIP, 0.01),
    (FaultKind.CHATTER, 5.0),
    (FaultKind.SILENCE, None),
    (FaultKind.STUCK, None),
    (FaultKind.SLOW, None),
    (FaultKind.DEAD, None),
]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(("kind", "rate"), FAULTS)
def test_under_every_fault_each_order_is_answered_and_no_cut_text_is_a_code(
    make: Make, kind: FaultKind, rate: float | None
) -> None:
    joined = Joined(make, only_triggered=False, aim="required", no_read=("ERROR", "NoRead", "NR"))
    joined.scanner.set_fault(0.0, Fault(kind=kind, rate=rate), True)
    for number in range(25):
        joined.order(str(number))
        joined.run(0.3)
        joined.physics.show_code(joined.now_s, SLIP, "]C0")
        joined.run(1.2)
    joined.run(8.0)
    answered = [r.order_id for r in joined.told if isinstance(r, OrderDone | OrderRefused)]
    codes = [r for r in joined.told if isinstance(r, CodeSeen)]
    # a flipped byte of a text is not seen: it keeps the text's length, and S7 rests on who reads it
    right = [code for code in codes if code.text == SLIP]
    shaped = [code for code in codes if abs(len(code.text) - len(SLIP)) <= 2]
    assert sorted(answered) == sorted(str(n) for n in range(25))
    assert (right if kind is not FaultKind.FLIP else shaped) == codes
    if kind in (FaultKind.SILENCE, FaultKind.DEAD):
        assert codes == []


@pytest.mark.parametrize("make", MAKES)
def test_a_scanner_that_comes_back_is_understood_again(make: Make) -> None:
    joined = Joined(make)
    joined.scanner.set_fault(0.0, Fault(kind=FaultKind.SILENCE), True)
    joined.order("t")
    joined.run(4.0)
    joined.scanner.set_fault(joined.now_s, Fault(kind=FaultKind.SILENCE), False)
    joined.order("u")
    joined.run(0.2)
    joined.physics.show_code(joined.now_s, SLIP, "]C0")
    joined.run(4.0)
    assert OrderDone("u") in joined.told
    assert joined.told[-1] == CodeSeen(SLIP, "]C0")


def test_published_frames_with_noise_before_them_are_found_by_kakou_frames() -> None:
    found: list[Any] = []
    for protocol, frame in (
        ("scanner.honeywell", "16 54 0D"),
        ("scanner.gm65", "02 00 00 01 00 33 31"),
        ("scanner.newland", (b"\x02\x010000#SCNTRG1\x06;\x03").hex()),
        ("scanner.sick", (b"\x02NoRead\x03").hex()),
    ):
        rows = decode_frames(protocol, b"\x00\xffnoise" + bytes.fromhex(frame))
        found.append(rows[-1]["ok"])
    assert found == [True] * 4


def test_the_keyence_vector_of_the_shared_files_is_two_triggers() -> None:
    found = [decode_frames("scanner.keyence", data)[0]["messages"][0] for data in (b"LON\r", b"LOFF\r")]
    assert [(m["type"], m["trigger"]) for m in found] == [("trigger", "on"), ("trigger", "off")]
