"""Simulated scanners, boards and I/O variants by their manuals' bytes, and how a scenario asks for them."""

from __future__ import annotations

import tomllib

import pytest

from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.io_board import IoBoard, framed
from hardware_sims.devices.led_board import LedBoard
from hardware_sims.devices.scanner import Scanner
from hardware_sims.devices.text_board import TextBoard
from hardware_sims.devices.triggered_scanner import MAKES, Make, TriggeredScanner
from hardware_sims.lanes import SimulatedLane, SimulatedSite
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.scenario import (
    BOARDS,
    SCANNERS,
    BoardKind,
    LaneSettings,
    ScannerKind,
    Scenario,
    ScenarioRefused,
    scenario_from,
    scenario_to_toml,
)


def lane() -> LanePhysics:
    return LanePhysics(BarrierSettings(), quiet_log)


ASKED_AND_ANSWERED: list[tuple[Make, str, str]] = [
    ("gm65", "7E 00 08 01 00 02 01 AB CD", "02 00 00 01 00 33 31"),
    ("gm65", "7E 00 08 01 00 02 01 02 DA", "02 00 00 01 00 33 31"),
    ("gm65", "7E 00 09 01 00 00 00 DE C8", "02 00 00 01 00 33 31"),
    (
        "newland",
        "7E 01 30 30 30 30 23 53 43 4E 54 52 47 31 3B 03",
        "02 01 30 30 30 30 23 53 43 4E 54 52 47 31 06 3B 03",
    ),
    (
        "newland",
        "7E 01 30 30 30 30 40 58 58 58 59 59 59 31 3B 03",
        "02 01 30 30 30 30 40 58 58 58 59 59 59 31 05 3B 03",
    ),
    ("keyence", "4C 4F 4E 0D", "4F 4B 2C 4C 4F 4E 0D"),
    (
        "sick",
        "02 73 4D 4E 20 6D 54 43 67 61 74 65 6F 6E 03",
        "02 73 41 4E 20 6D 54 43 67 61 74 65 6F 6E 20 31 03",
    ),
    ("honeywell", "16 54 0D", ""),
]


@pytest.mark.parametrize(("make", "asked", "answered"), ASKED_AND_ANSWERED)
def test_a_command_is_answered_as_its_manual_prints_it(make: Make, asked: str, answered: str) -> None:
    scanner = TriggeredScanner(lane(), make)
    scanner.receive(1.0, bytes.fromhex(asked))
    assert scanner.advance(1.1) == bytes.fromhex(answered)


def test_a_gm65_does_not_obey_a_command_whose_check_is_wrong() -> None:
    scanner = TriggeredScanner(lane(), "gm65")
    scanner.receive(1.0, bytes.fromhex("7E 00 08 01 00 02 01 02 DB"))
    assert scanner.advance(1.1) == b""
    assert scanner.is_reading is False


def test_a_keyence_reader_refuses_a_second_trigger_and_one_taken_back_twice() -> None:
    scanner = TriggeredScanner(lane(), "keyence")
    for at_s, command in ((1.0, b"LON\r"), (1.1, b"LON\r"), (1.2, b"LOFF\r"), (1.3, b"LOFF\r")):
        scanner.receive(at_s, command)
    assert scanner.advance(2.0) == b"OK,LON\rER,LON,22\rOK,LOFF\rERROR\rER,LOFF,22\r"


@pytest.mark.parametrize(("make", "word"), [("keyence", b"ERROR\r"), ("sick", b"\x02NoRead\x03")])
def test_a_read_that_found_nothing_says_so_when_it_ends(make: Make, word: bytes) -> None:
    scanner = TriggeredScanner(lane(), make)
    on = {"keyence": b"LON\r", "sick": b"\x02sMN mTCgateon\x03"}[make]
    scanner.receive(1.0, on)
    scanner.advance(1.5)
    assert scanner.advance(31.1) == word


@pytest.mark.parametrize("make", MAKES)
def test_noise_before_a_command_is_left_out(make: Make) -> None:
    on = {
        "honeywell": b"\x16T\r",
        "newland": b"\x7e\x010000#SCNTRG1;\x03",
        "gm65": bytes.fromhex("7E000801000201ABCD"),
        "keyence": b"\rLON\r",
        "sick": b"\x02sMN mTCgateon\x03",
    }[make]
    scanner = TriggeredScanner(lane(), make)
    scanner.receive(1.0, (b"" if make == "keyence" else b"\x00\xff") + on)
    assert scanner.is_reading is True


# --- the I/O board's other ways -----------------------------------------------------------------------------


def ask(board: IoBoard, at_s: float, body: str, *, tcp: bytes = b"") -> bytes:
    request = bytes.fromhex(body)
    board.receive(at_s, tcp + len(request).to_bytes(2, "big") + request if tcp else framed(request))
    return board.advance(at_s + 0.01)


def test_an_r421a08_switches_pulses_and_reads_a_relay() -> None:
    board = IoBoard(lane(), relay_style="r421a08")
    states = []
    for at_s, body in ((1.0, "01 06 00 03 01 00"), (2.0, "01 06 00 03 02 00"), (3.0, "01 06 00 03 05 00")):
        assert ask(board, at_s, body) == framed(bytes.fromhex(body))
        states.append(board.relays[2])
    assert ask(board, 3.1, "01 03 00 03 00 01") == framed(bytes.fromhex("01 03 02 00 01"))
    board.advance(4.1)
    assert ask(board, 4.2, "01 03 00 03 00 01") == framed(bytes.fromhex("01 03 02 00 00"))
    assert states == [True, False, True]


def test_an_r421a08_delay_ends_after_its_seconds_and_begins_again_when_sent_again() -> None:
    board = IoBoard(lane(), relay_style="r421a08")
    ask(board, 1.0, "01 06 00 01 06 05")
    ask(board, 4.0, "01 06 00 01 06 05")
    board.advance(8.9)
    before = board.relays[0]
    board.advance(9.1)
    assert (before, board.relays[0]) == (True, False)


def test_an_r421a08_delay_is_ended_by_a_delay_of_nothing_and_not_by_off() -> None:
    board = IoBoard(lane(), relay_style="r421a08")
    states = []
    for at_s, body in ((1.0, "01 06 00 01 06 05"), (2.0, "01 06 00 01 02 00"), (3.0, "01 06 00 01 06 00")):
        ask(board, at_s, body)
        states.append(board.relays[0])
    assert states == [True, True, False]


@pytest.mark.parametrize(
    "body", ["01 05 00 00 FF 00", "01 01 00 00 00 08", "01 06 00 00 01 00", "01 06 00 09 01 00"]
)
def test_an_r421a08_refuses_what_it_is_not(body: str) -> None:
    answer = ask(IoBoard(lane(), relay_style="r421a08"), 1.0, body)
    assert answer[1] & 0x80


def test_two_boards_on_one_line_answer_each_to_its_own_address() -> None:
    board = IoBoard(lane(), relay_unit=9, relay_style="r421a08")
    assert ask(board, 1.0, "01 02 00 00 00 10")[:2] == b"\x01\x02"
    assert ask(board, 2.0, "09 06 00 01 01 00") == framed(bytes.fromhex("09 06 00 01 01 00"))
    assert ask(board, 3.0, "01 06 00 01 02 00")[1] & 0x80
    assert ask(board, 4.0, "09 02 00 00 00 10")[1] & 0x80
    assert ask(board, 5.0, "05 02 00 00 00 10") == b""
    assert board.relays[0] is True


def test_modbus_tcp_repeats_the_transaction_and_carries_no_crc() -> None:
    board = IoBoard(lane(), framing="tcp")
    answer = ask(board, 1.0, "01 05 00 02 FF 00", tcp=b"\xab\xcd\0\0")
    assert answer == bytes.fromhex("AB CD 00 00 00 06 01 05 00 02 FF 00")
    assert board.relays[2] is True


def test_a_board_that_uploads_says_things_nobody_asked_for() -> None:
    board = IoBoard(lane(), uploads=True)
    said = [board.advance(at_s / 10) for at_s in range(40)]
    heard = b"".join(said)
    assert heard.count(framed(b"\x01\x65")) == 4
    assert b"\x01\x53" in heard


# --- scenarios ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCANNERS)
def test_a_scenario_chooses_the_scanner_of_a_lane(kind: ScannerKind) -> None:
    made = SimulatedLane(LaneSettings(name="in", scanner=kind))
    expected = Scanner if kind == "line" else TriggeredScanner
    assert isinstance(made.devices["scanner"], expected)


@pytest.mark.parametrize("kind", BOARDS)
def test_a_scenario_chooses_the_board_of_a_lane(kind: BoardKind) -> None:
    made = SimulatedLane(LaneSettings(name="in", led=kind))
    assert isinstance(made.devices["led"], LedBoard if kind == "fk" else TextBoard)


def test_what_a_scenario_says_of_them_is_written_and_read_back() -> None:
    settings = LaneSettings(
        name="in",
        scanner="gm65",
        scanner_triggered=True,
        led="ascii",
        io_relay_unit=9,
        io_relay_style="r421a08",
        io_framing="tcp",
        io_uploads=True,
    )

    written = scenario_to_toml(Scenario(lanes=(settings,)))
    assert scenario_from(tomllib.loads(written)).lanes == (settings,)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("scanner", "cognex", "expected one of line, honeywell, newland, gm65, keyence, sick"),
        ("led", "onbon", "expected one of fk, ascii"),
        ("io_relay_style", "x", "expected one of waveshare, r421a08"),
        ("io_framing", "ascii", "expected one of rtu, tcp"),
        ("io_relay_unit", 300, "expected 0 to 247"),
    ],
)
def test_what_cannot_be_simulated_is_refused(key: str, value: object, says: str) -> None:
    with pytest.raises(ScenarioRefused, match=says):
        scenario_from({"lanes": {"in": {key: value}}})


def test_a_site_runs_with_every_variant_in_its_lanes() -> None:
    lanes = tuple(
        LaneSettings(
            name=make, scanner=make, led="ascii", io_relay_style="r421a08", io_relay_unit=2, io_uploads=True
        )
        for make in MAKES
    )
    site = SimulatedSite(Scenario(lanes=lanes))
    for make in MAKES:
        site.lanes[make].physics.show_code(0.5, "Z3111I240728000000000003", "]C0")
    sent = site.advance(5.0)
    spoke = {name for name, each in sent if each.device == "scanner" and b"Z3111I" in each.data}
    assert spoke == set(MAKES)
