"""Scanner lines: endings, identifiers, no-read words, cut and garbled reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.driver import Output
from edge.devices.readings import (
    CodeSeen,
    NothingRead,
    OrderDone,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    SetRelay,
    TriggerRead,
)
from edge.devices.scanner_line import wire
from edge.devices.scanner_line.driver import ScannerDriver, Settings
from edge.devices.settings import SettingsRefused

SLIP = "Z3111I240728000000000003"
ENDINGS = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n", "tab": b"\t"}


def scanner(ending: str = "cr", **more: object) -> ScannerDriver:
    settings: Callable[..., Settings] = Settings
    driver = ScannerDriver(settings(ending=ending, quiet_s=0.1, **more))
    driver.opened(0.0)
    return driver


def read(driver: ScannerDriver, data: bytes) -> list[Reading]:
    return [*driver.received(1.0, data).readings, *driver.due(1.2).readings]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_line_with_its_ending_is_a_code(ending: str) -> None:
    assert read(scanner(ending), SLIP.encode() + ENDINGS[ending]) == [CodeSeen(SLIP)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_read_cut_off_by_quiet_is_never_a_code_where_an_ending_is_set(ending: str) -> None:
    data = SLIP.encode()
    for kept in range(1, len(data) + 1):
        assert read(scanner(ending), data[:kept]) == [ReadTruncated(data[:kept])]


def test_half_an_ending_is_none() -> None:
    assert read(scanner("crlf"), SLIP.encode() + b"\r") == [ReadTruncated(SLIP.encode() + b"\r")]


def test_the_rest_of_a_cut_read_is_not_taken_for_a_code_of_its_own_beginning() -> None:
    driver = scanner("cr")
    driver.received(1.0, b"Z3111I2407")
    late = driver.received(1.5, b"28000000000003\r").readings
    assert late[0] == ReadTruncated(b"Z3111I2407")
    assert CodeSeen(SLIP) not in late


def test_two_pieces_within_the_quiet_time_are_one_read() -> None:
    driver = scanner("cr")
    assert driver.received(1.0, b"Z3111I2407") == Output(wake_at_s=1.1)
    assert driver.received(1.05, b"28000000000003\r") == Output((CodeSeen(SLIP),))


def test_without_an_ending_quiet_ends_a_read() -> None:
    driver = scanner("quiet")
    assert driver.received(1.0, SLIP.encode()).readings == ()
    assert driver.due(1.1).readings == (CodeSeen(SLIP),)


def test_a_scanner_that_sends_more_of_an_ending_than_set_is_understood() -> None:
    assert read(scanner("cr"), b"A1\r\nB2\r\n") == [CodeSeen("A1"), CodeSeen("B2")]
    assert read(scanner("lf"), b"A1\r\nB2\r\n") == [CodeSeen("A1"), CodeSeen("B2")]


@pytest.mark.parametrize("word", ["ERROR", "NoRead", "NOREAD", "?"])
def test_the_scanners_word_for_nothing_read_is_never_a_code(word: str) -> None:
    assert read(scanner(), word.encode() + b"\r") == [NothingRead()]
    assert read(scanner(), f"]C0{word}\r".encode()) == [NothingRead()]


def test_the_words_for_nothing_read_are_the_sites() -> None:
    driver = scanner(no_read=("LEER",))
    assert read(driver, b"LEER\rERROR\r") == [NothingRead(), CodeSeen("ERROR")]


@pytest.mark.parametrize(
    ("aim", "expected"),
    [
        ("allowed", [CodeSeen("123", "]C0"), CodeSeen("123")]),
        ("none", [CodeSeen("]C0123"), CodeSeen("123")]),
        ("required", [CodeSeen("123", "]C0"), ReadGarbled(b"123", "no AIM identifier in front")]),
    ],
)
def test_identifiers_are_taken_off_left_or_required(aim: str, expected: list[Reading]) -> None:
    assert read(scanner(aim=aim), b"]C0123\r123\r") == expected


def test_with_identifiers_required_noise_before_a_read_is_never_part_of_it() -> None:
    frame = b"]C0" + SLIP.encode() + b"\r"
    found = [read(scanner(aim="required"), bytes([byte]) + frame) for byte in range(256)]
    codes = [reading for each in found for reading in each if isinstance(reading, CodeSeen)]
    assert set(codes) == {CodeSeen(SLIP, "]C0")}
    # CR and LF before the read: an empty line
    assert len(codes) == 2


def test_with_identifiers_required_a_lost_ending_joins_nothing_unnoticed_at_the_front() -> None:
    assert [type(r) for r in read(scanner(aim="required"), b"12345\r")] == [ReadGarbled]


@pytest.mark.parametrize(("text", "encoding"), [("核放单", "utf-8"), ("核放单", "gb18030"), ("é€", "utf-8")])
def test_text_is_utf8_else_gb18030(text: str, encoding: str) -> None:
    assert read(scanner(), text.encode(encoding) + b"\r") == [CodeSeen(text)]


@pytest.mark.parametrize("data", [b"A\x00B", b"\x7f", b"A\x1bB", b"\xff\xff", b"\x80"])
def test_bytes_that_are_no_text_are_garbled(data: bytes) -> None:
    assert [type(r) for r in read(scanner(), data + b"\r")] == [ReadGarbled]


def test_separators_of_gs1_and_iso_15434_are_kept() -> None:
    text = "[)>\x1e06\x1dP1\x1dQ2\x1e\x04"
    assert read(scanner(), f"]d1{text}\r".encode()) == [CodeSeen(text, "]d1")]


def test_a_line_that_never_ends_is_told_once_and_the_next_line_read() -> None:
    driver = scanner(max_bytes=20)
    told: list[Reading] = []
    for _ in range(100):
        told += driver.received(1.0, b"A" * 50).readings
    told += driver.received(1.0, b"\rB2\r").readings
    assert told == [ReadGarbled(b"A" * 20, "a line longer than 20 bytes"), CodeSeen("B2")]


def test_the_longest_line_allowed_is_a_code() -> None:
    assert read(scanner("crlf", max_bytes=20), b"A" * 20 + b"\r\n") == [CodeSeen("A" * 20)]
    assert [type(r) for r in read(scanner("crlf", max_bytes=20), b"A" * 21 + b"\r\n")] == [ReadGarbled]


def test_opening_again_forgets_half_a_line() -> None:
    driver = scanner()
    driver.received(1.0, b"Z3111I2407")
    assert driver.opened(1.01) == Output()
    assert driver.received(1.02, b"A1\r").readings == (CodeSeen("A1"),)


def test_a_trigger_is_done_when_written_and_refused_where_none_is_set() -> None:
    honeywell = scanner(trigger_hex="16 54 0D")
    assert honeywell.order(1.0, "t", TriggerRead()) == Output((OrderDone("t"),), send=b"\x16T\r")
    assert [type(r) for r in scanner().order(1.0, "t", TriggerRead()).readings] == [OrderRefused]
    assert [type(r) for r in honeywell.order(1.0, "t", SetRelay(0, on=True)).readings] == [OrderRefused]


def test_an_order_keeps_the_time_asked_for() -> None:
    driver = scanner()
    driver.received(1.0, b"Z31")
    assert driver.order(1.05, "t", TriggerRead()).wake_at_s == 1.1


def test_trigger_bytes_that_are_no_hex_are_refused() -> None:
    with pytest.raises(SettingsRefused, match="trigger_hex: expected bytes in hex"):
        scanner(trigger_hex="16 5")


printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(texts=st.lists(printable, min_size=1, max_size=5), kept=st.integers(0, 60))
def test_of_lines_sent_and_cut_only_whole_ones_are_codes(texts: list[str], kept: int) -> None:
    sent = "".join(f"]Q3{text}\r" for text in texts).encode()
    kept_bytes = max(0, len(sent) - kept)
    found = read(scanner(aim="required", no_read=()), sent[:kept_bytes])
    codes = [reading.text for reading in found if isinstance(reading, CodeSeen)]
    assert codes == texts[: len(codes)]
    assert sum(len(f"]Q3{text}\r".encode()) for text in codes) <= kept_bytes


def test_rules_of_the_wire_are_plain_values() -> None:
    rules = wire.Rules(wire.Ending.CR, wire.Aim.ALLOWED, (), 100)
    assert wire.read_line(b"]C1123", rules) == wire.Code("123", "]C1")
