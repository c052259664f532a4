"""The R2000 reader's line and conversation: polls, tags, faults, silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.driver import Output
from edge.devices.readings import (
    DeviceFault,
    OrderRefused,
    ReadGarbled,
    Reading,
    ReadTruncated,
    ShowText,
    TagSeen,
)
from edge.devices.rfid_r2000 import wire
from edge.devices.rfid_r2000.driver import R2000Driver, Settings
from edge.devices.settings import SettingsRefused

SETTINGS = Settings(poll_s=0.1, reply_timeout_s=0.5, silent_after=3)
EPC = "E2004074850A0103163070E1"
TAG = bytes.fromhex("A0 13 01 89 74 30 00 E2 00 40 74 85 0A 01 03 16 30 70 E1 36 29")
END = bytes.fromhex("A0 0A 01 89 00 00 11 00 00 00 05 B6")
ANTENNA_SET = bytes.fromhex("A0 04 01 74 10 D7")
ANTENNA_MISSING = bytes.fromhex("A0 04 01 89 22 B0")
SET_ANTENNA_0 = bytes.fromhex("A0 04 01 74 00 E7")
INVENTORY = bytes.fromhex("A0 04 01 89 01 D1")


def decoded(data: bytes) -> list[object]:
    cutter = wire.decoder()
    return [*cutter.feed(data), *cutter.quiet()]


def tags(data: bytes) -> list[wire.Tag]:
    return [message for message in decoded(data) if isinstance(message, wire.Tag)]


def polling(settings: Settings = SETTINGS) -> R2000Driver:
    """A driver whose first inventory is under way since 0.0."""
    driver = R2000Driver(settings)
    driver.opened(0.0)
    driver.received(0.0, ANTENNA_SET)
    return driver


# --- the line -----------------------------------------------------------------------------------------------


def spoilt(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]
        for byte in range(256):
            yield frame[:place] + bytes([byte]) + frame[place + 1 :]
            yield frame[:place] + bytes([byte]) + frame[place:]


def test_one_byte_changed_lost_or_added_never_gives_a_tag_that_was_not_sent() -> None:
    other = wire.encode(1, 0x89, bytes.fromhex("00 30 00 30 08 33 B2 DD D9 01 40 00 00 00 01 37"))
    sent = {tag.epc for tag in tags(TAG + other)}
    found = set()
    for wrong in spoilt(TAG):
        driver = polling()
        told = driver.received(0.1, other + wrong + other + END).readings + driver.due(9.0).readings
        found |= {reading.epc for reading in told if isinstance(reading, TagSeen)}
    assert len(sent) == 2
    assert found == sent


def test_a_byte_added_that_equals_the_sum_passes_the_frames_check_but_not_the_conversation() -> None:
    wrong = TAG[:12] + TAG[-1:] + TAG[12:]
    driver = polling()
    told = driver.received(0.1, wrong + END).readings
    assert [tag.epc for tag in tags(wrong)] != []
    assert [type(reading) for reading in told] == [ReadGarbled, ReadGarbled]


def test_a_byte_changed_inside_a_frame_is_always_found() -> None:
    changed = [
        TAG[:place] + bytes([byte]) + TAG[place + 1 :]
        for place in range(len(TAG))
        for byte in set(range(256)) - {TAG[place]}
    ]
    assert [wrong for wrong in changed if tags(wrong)] == []


def test_every_cut_frame_is_told_as_cut_off() -> None:
    assert [decoded(TAG[:kept]) for kept in range(1, len(TAG))] == [
        [ReadTruncated(TAG[:kept])] for kept in range(1, len(TAG))
    ]


def test_a_false_start_that_claims_many_bytes_does_not_swallow_the_frames_behind_it() -> None:
    assert [type(m) for m in decoded(b"\xa0\xff" + TAG + END)] == [ReadTruncated, wire.Tag, wire.InventoryEnd]


@given(
    addr=st.integers(0, 255),
    freq_ant=st.integers(0, 255),
    words=st.integers(1, 31),
    rssi=st.integers(0, 255),
    low_pc=st.integers(0, 0x7FF),
    drawn=st.data(),
)
def test_tags_of_every_length_read_back_as_written(
    addr: int, freq_ant: int, words: int, rssi: int, low_pc: int, drawn: st.DataObject
) -> None:
    epc = drawn.draw(st.binary(min_size=2 * words, max_size=2 * words))
    pc = words << 11 | low_pc
    frame = wire.encode(addr, 0x89, bytes([freq_ant]) + pc.to_bytes(2) + epc + bytes([rssi]))
    antenna = (freq_ant & 3) + (4 if rssi > 127 else 0)
    assert tags(frame) == [wire.Tag(addr, 0x89, antenna, freq_ant >> 2, pc, epc.hex().upper(), rssi)]


def test_a_tag_whose_length_word_contradicts_it_is_garbled() -> None:
    wrong = wire.encode(1, 0x89, bytes.fromhex("00 38 00") + bytes.fromhex(EPC) + b"\x36")
    assert [type(m) for m in decoded(wrong)] == [ReadGarbled]


def test_fast_switch_answers_are_read_too() -> None:
    end = wire.encode(1, 0x8A, (7).to_bytes(3) + (1250).to_bytes(4))
    failed = wire.encode(1, 0x8A, bytes([2, 0x22]))
    assert decoded(end + failed) == [
        wire.InventoryEnd(1, 0x8A, None, None, 7, 1250),
        wire.Outcome(1, 0x8A, 0x22, antenna=2),
    ]


# --- the conversation ---------------------------------------------------------------------------------------


def test_opening_chooses_the_antenna_and_its_success_starts_an_inventory() -> None:
    driver = R2000Driver(SETTINGS)
    assert driver.opened(5.0) == Output(send=SET_ANTENNA_0, wake_at_s=5.5)
    assert driver.received(5.1, ANTENNA_SET) == Output(send=INVENTORY, wake_at_s=5.6, heard=True)


def test_tags_are_told_as_they_come_and_the_end_leads_to_a_rest_and_the_next_round() -> None:
    driver = polling()
    assert driver.received(0.2, TAG) == Output(wake_at_s=0.7, heard=True)
    assert driver.received(0.25, TAG) == Output((TagSeen(EPC, 0, -75),), wake_at_s=0.75, heard=True)
    assert driver.received(0.3, END) == Output((TagSeen(EPC, 0, -75),), wake_at_s=0.4, heard=True)
    assert driver.due(0.35).send == b""
    assert driver.due(0.4).send == SET_ANTENNA_0


def test_a_field_full_of_tags_is_not_silence() -> None:
    driver = polling()
    times = [0.4, 0.8, 1.2, 1.6]
    outputs = [driver.received(at_s, TAG) for at_s in times]
    assert [driver.due(at_s + 0.3).send for at_s in times[-1:]] == [b""]
    assert [output.wake_at_s for output in outputs] == [pytest.approx(at_s + 0.5) for at_s in times]


def test_a_tag_whose_end_frame_never_comes_is_told_when_the_line_stays_silent() -> None:
    driver = polling()
    driver.received(0.2, TAG)
    assert driver.due(0.7).readings == (TagSeen(EPC, 0, -75),)


def test_several_antennas_are_asked_in_turn() -> None:
    driver = R2000Driver(Settings(antennas=(0, 3), poll_s=0.1))
    asked = [driver.opened(0.0).send]
    for round_ in range(3):
        at_s = float(round_ + 1)
        driver.received(at_s, ANTENNA_SET)
        driver.received(at_s, END)
        asked.append(driver.due(at_s + 0.1).send)
    assert [frame[4] for frame in asked] == [0, 3, 0, 3]


def test_a_missing_antenna_is_a_fault_told_once_until_an_inventory_ends_well() -> None:
    driver = polling()
    told: list[Reading] = []
    for round_, answer in enumerate([ANTENNA_MISSING, ANTENNA_MISSING, END, ANTENNA_MISSING]):
        at_s = float(round_ + 1)
        told += driver.received(at_s, answer).readings
        driver.due(at_s + 0.2)
        driver.received(at_s + 0.3, ANTENNA_SET)
    assert told == [DeviceFault("antenna_missing", "real_time_inventory on antenna 0")] * 2


def test_silence_is_told_once_after_so_many_requests_and_polling_goes_on() -> None:
    driver = R2000Driver(SETTINGS)
    wake = driver.opened(0.0).wake_at_s
    told: list[Reading] = []
    sent = []
    for _ in range(8):
        assert wake is not None
        output = driver.due(wake)
        told += output.readings
        sent.append(output.send)
        assert not output.heard
        wake = output.wake_at_s
    assert told == [ReadGarbled(b"", "no answer to 3 requests in a row")]
    assert sent == [SET_ANTENNA_0] * 8


def test_after_silence_an_answer_clears_it_and_new_silence_is_told_again() -> None:
    driver = R2000Driver(SETTINGS)
    driver.opened(0.0)
    told: list[str] = []
    at_s = 0.0
    for _ in range(2):
        for _ in range(4):
            at_s += 1.0
            told += [r.why for r in driver.due(at_s).readings if isinstance(r, ReadGarbled)]
        at_s += 0.1
        driver.received(at_s, ANTENNA_SET)
        driver.received(at_s, END)
        driver.due(at_s + 0.2)
    assert told == ["no answer to 3 requests in a row"] * 2


def test_a_reader_that_sends_half_a_frame_and_stops_is_asked_again() -> None:
    driver = polling()
    driver.received(0.1, TAG[:7])
    output = driver.due(0.6)
    assert output.readings == (ReadTruncated(TAG[:7]),)
    assert output.send == SET_ANTENNA_0


def test_frames_of_another_reader_and_answers_to_nothing_asked_change_nothing() -> None:
    driver = polling()
    foreign = wire.encode(2, 0x89, bytes.fromhex("00 30 00") + bytes.fromhex(EPC) + b"\x36")
    output = driver.received(0.1, foreign)
    assert [type(r) for r in output.readings] == [ReadGarbled]
    assert not output.heard
    assert driver.received(0.1, ANTENNA_SET) == Output(wake_at_s=0.5)


def test_any_reader_may_answer_where_the_address_is_everybodys() -> None:
    driver = R2000Driver(Settings(address=255))
    assert driver.opened(0.0).send == wire.encode(255, 0x74, b"\x00")
    assert driver.received(0.0, wire.encode(7, 0x74, b"\x10")).send == wire.encode(255, 0x89, b"\x01")


def test_opening_again_begins_from_the_start() -> None:
    driver = polling()
    driver.received(0.1, TAG[:7])
    assert driver.opened(1.0).send == SET_ANTENNA_0
    found = driver.received(1.1, TAG[7:]).readings
    assert [r for r in found if isinstance(r, TagSeen)] == []


def test_orders_are_refused() -> None:
    output = polling().order(0.1, "o", ShowText(("x",), "red"))
    assert [type(r) for r in output.readings] == [OrderRefused]
    assert output.wake_at_s == 0.5


def test_no_antenna_at_all_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="at least one antenna"):
        R2000Driver(Settings(antennas=()))


@given(pieces=st.lists(st.tuples(st.floats(0.0, 2.0), st.one_of(st.binary(max_size=40), st.sampled_from(
    [TAG, END, ANTENNA_SET, ANTENNA_MISSING, TAG[:9]]))), max_size=30))  # fmt: skip
def test_whatever_the_line_says_polling_never_stops_and_only_sent_tags_are_seen(
    pieces: list[tuple[float, bytes]],
) -> None:
    driver = R2000Driver(SETTINGS)
    at_s, wake = 0.0, driver.opened(0.0).wake_at_s
    for wait_s, data in pieces:
        at_s += wait_s
        for output in (driver.due(at_s), driver.received(at_s, data)):
            wake = output.wake_at_s
            assert {r.epc for r in output.readings if isinstance(r, TagSeen)} <= {EPC}
    asked = []
    for _ in range(4):
        assert wake is not None
        output = driver.due(max(wake, at_s))
        at_s, wake = max(wake, at_s), output.wake_at_s
        asked.append(output.send)
    assert b"".join(asked) != b""
