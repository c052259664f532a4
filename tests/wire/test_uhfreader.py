"""UHFReader18 and UHFReader288: the line, the conversation, the simulated reader at the other end."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import make_driver
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
from edge.devices.rfid_uhfreader import wire
from edge.devices.rfid_uhfreader.driver import (
    Settings18,
    Settings288,
    UhfReaderDriver,
    uhfreader18,
    uhfreader288,
)
from edge.devices.settings import SettingsRefused
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.uhf_reader import Make, UhfReader
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.vehicles import PRESETS, Vehicle

EPC = "E2004074850A0103163070E1"
OTHER = "300833B2DDD9014000000001"
ASK_18 = bytes.fromhex("04 00 01 DB 4B")
NO_TAG = bytes.fromhex("05 00 01 FB F2 3D")
DONE_288 = bytes.fromhex("07 00 01 01 01 00 1E 4B")
TAG_288 = bytes.fromhex("15 00 01 03 04 01 0C 49 44 00 00 00 00 00 00 0A 00 03 34 64 25 C0")
SEEN_288 = TagSeen("49440000000000000A000334", 3, 100 - 129)


def told_18(status: int, *epcs: str, addr: int = 0) -> bytes:
    tags = b"".join(bytes([len(epc) // 2]) + bytes.fromhex(epc) for epc in epcs)
    return wire.encode(addr, wire.INVENTORY, bytes([status, len(epcs)]) + tags)


TAG_18 = told_18(wire.MORE_FRAMES, EPC)
DONE_18 = told_18(wire.ALL_TOLD)


def decoded(data: bytes, make: wire.Make = wire.Make.UHFREADER18) -> list[object]:
    cutter = wire.decoder(make, 0)
    return [*cutter.feed(data), *cutter.quiet()]


def epcs(messages: list[object]) -> set[str]:
    return {
        tag.epc
        for message in messages
        for tag in (
            message.tags
            if isinstance(message, wire.Inventory)
            else (message.tag,)
            if isinstance(message, wire.Report)
            else ()
        )
    }


# --- the line -----------------------------------------------------------------------------------------------


def spoilt(frame: bytes) -> Iterator[bytes]:
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]
        for byte in range(256):
            yield frame[:place] + bytes([byte]) + frame[place + 1 :]
            yield frame[:place] + bytes([byte]) + frame[place:]


@pytest.mark.parametrize(
    ("make", "frame"), [(wire.Make.UHFREADER18, TAG_18), (wire.Make.UHFREADER288, TAG_288)]
)
def test_one_byte_changed_lost_or_added_never_gives_a_tag_that_was_not_sent(
    make: wire.Make, frame: bytes
) -> None:
    sent = epcs(decoded(frame, make))
    found: set[str] = set()
    for wrong in spoilt(frame):
        found |= epcs(decoded(frame + wrong + frame, make))
    assert len(sent) == 1
    assert found == sent


def test_every_cut_frame_gives_no_tag_and_the_frame_behind_it_counts() -> None:
    for kept in range(1, len(TAG_18)):
        cut = decoded(TAG_18[:kept])
        assert epcs(cut) == set()
        assert {type(message) for message in cut} == {ReadTruncated}
        assert epcs(decoded(TAG_18[:kept] + told_18(wire.MORE_FRAMES, OTHER))) == {OTHER}


def test_a_swapped_pair_of_bytes_is_found() -> None:
    for place in range(len(TAG_18) - 1):
        frame = bytearray(TAG_18)
        frame[place], frame[place + 1] = frame[place + 1], frame[place]
        assert frame == TAG_18 or epcs(decoded(bytes(frame))) == set()


@given(
    epc_words=st.lists(st.integers(1, 12), min_size=0, max_size=5),
    antenna=st.integers(1, 8),
    rssi=st.integers(0, 255),
    status=st.sampled_from([1, 2, 3, 4]),
    drawn=st.data(),
)
def test_tags_of_every_length_read_back_as_written(
    epc_words: list[int], antenna: int, rssi: int, status: int, drawn: st.DataObject
) -> None:
    codes = [drawn.draw(st.binary(min_size=2 * words, max_size=2 * words)) for words in epc_words]
    tags = b"".join(bytes([len(code)]) + code + bytes([rssi]) for code in codes)
    frame = wire.encode(0, wire.INVENTORY, bytes([status, 1 << antenna - 1, len(codes)]) + tags)
    (message,) = decoded(frame, wire.Make.UHFREADER288)
    assert isinstance(message, wire.Inventory)
    assert message.tags == tuple(wire.Tag(code.hex().upper(), rssi) for code in codes)
    assert wire.antenna_of(message.antennas) == antenna
    assert message.is_last == (status != 3)


@pytest.mark.parametrize(
    ("antennas", "number"), [(1, 1), (8, 4), (128, 8), (5, None), (0, None), (None, None)]
)
def test_an_antenna_is_a_number_only_where_one_bit_is_set(antennas: int | None, number: int | None) -> None:
    assert wire.antenna_of(antennas) == number


FUZZED = int(os.environ.get("KAKOU_FUZZ", "5000"))


@pytest.mark.parametrize("make", list(wire.Make))
def test_garbage_passes_for_a_tag_no_more_often_than_the_check_allows(make: wire.Make) -> None:
    rng = random.Random(f"uhfreader {make.value}")
    frames = [TAG_18, DONE_18, NO_TAG] if make is wire.Make.UHFREADER18 else [TAG_288, DONE_288]
    sent = set().union(*(epcs(decoded(frame, make)) for frame in frames))
    passed: list[str] = []
    for _ in range(FUZZED):
        data = bytearray(rng.choice(frames))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(3):
                case 0:
                    data[at : at + 1] = rng.randbytes(1)
                case 1:
                    del data[at : at + rng.randrange(3)]
                case _:
                    data[at:at] = rng.randbytes(rng.randrange(3))
        passed += epcs(decoded(bytes(data), make)) - sent
    # of all that is not a frame, a check of 16 bits cannot tell one in 65,536
    assert len(passed) <= FUZZED / 65_536


# --- the conversation ---------------------------------------------------------------------------------------


def polling(settings: Settings18 = Settings18()) -> UhfReaderDriver:  # noqa: B008
    driver = uhfreader18(settings)
    driver.opened(0.0)
    return driver


def test_opening_asks_for_the_tags_and_the_end_of_the_answer_leads_to_a_rest_and_the_next_question() -> None:
    driver = uhfreader18(Settings18())
    assert driver.opened(5.0) == Output(send=ASK_18, wake_at_s=7.0)
    assert driver.received(5.3, TAG_18) == Output((TagSeen(EPC),), wake_at_s=7.3, heard=True)
    assert driver.received(5.4, DONE_18) == Output(wake_at_s=5.5, heard=True)
    assert driver.due(5.45).send == b""
    assert driver.due(5.5) == Output(send=ASK_18, wake_at_s=7.5)


def test_an_answer_in_many_frames_is_one_inventory_and_each_frame_restarts_the_reply_time() -> None:
    driver = polling()
    for at_s in (1.9, 3.8, 5.7):
        assert driver.received(at_s, told_18(wire.MORE_FRAMES, EPC, OTHER)).wake_at_s == pytest.approx(
            at_s + 2
        )
        assert driver.due(at_s + 1.8).send == b""
    last = driver.received(6.0, told_18(wire.SCAN_TIME_OVER, EPC))
    assert last == Output((TagSeen(EPC),), wake_at_s=6.1, heard=True)


@pytest.mark.parametrize("nothing", [NO_TAG, DONE_18, wire.encode(0, wire.INVENTORY, b"\x01")])
def test_an_empty_field_is_no_reading_and_proves_the_reader_alive(nothing: bytes) -> None:
    assert polling().received(0.5, nothing) == Output(wake_at_s=0.6, heard=True)


def test_the_288_is_asked_antenna_after_antenna_and_tells_antenna_and_strength() -> None:
    driver = uhfreader288(Settings288(antennas=(1, 3), scan_s=0.5))
    asked = [driver.opened(0.0).send]
    assert driver.received(0.2, TAG_288) == Output((SEEN_288,), wake_at_s=1.0, heard=True)
    for at_s in (1.0, 2.0, 3.0):
        driver.received(at_s, DONE_288)
        asked.append(driver.due(at_s + 0.1).send)
    assert [frame[3:-2].hex(" ") for frame in asked] == [
        "04 00 01 00 00 00 00 80 05",
        "04 00 01 00 00 00 00 82 05",
    ] * 2


def test_a_reply_that_may_come_after_its_time_is_refused() -> None:
    with pytest.raises(SettingsRefused, match=r"reply_timeout_s: expected more than scan_s, 1, got 0.8"):
        uhfreader288(Settings288(scan_s=1.0))
    with pytest.raises(SettingsRefused, match="antennas: expected at least one antenna, got none"):
        uhfreader288(Settings288(antennas=()))


def test_a_missing_antenna_is_a_fault_told_once_until_an_inventory_ends_well() -> None:
    missing = wire.encode(0, wire.INVENTORY, bytes([wire.ANTENNA_MISSING]))
    driver = uhfreader288(Settings288())
    driver.opened(0.0)
    told: list[Reading] = []
    for number, answer in enumerate([missing, missing, DONE_288, missing]):
        at_s = float(number + 1)
        told += driver.received(at_s, answer).readings
        driver.due(at_s + 0.2)
    assert told == [DeviceFault("antenna_missing", "inventory")] * 2


def test_a_full_memory_is_told_with_the_tags_there_were() -> None:
    told = polling().received(1.0, told_18(wire.MEMORY_FULL, EPC)).readings
    assert told == (TagSeen(EPC), DeviceFault("memory_full", "more tags than the reader can hold"))


def test_silence_is_told_once_after_so_many_questions_and_polling_goes_on() -> None:
    driver = uhfreader18(Settings18())
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
    assert sent == [ASK_18] * 8


def test_after_silence_an_answer_clears_it_and_new_silence_is_told_again() -> None:
    driver = polling()
    told: list[str] = []
    at_s = 0.0
    for _ in range(2):
        for _ in range(4):
            at_s += 3.0
            told += [r.why for r in driver.due(at_s).readings if isinstance(r, ReadGarbled)]
        driver.received(at_s + 0.1, NO_TAG)
        driver.due(at_s + 0.3)
    assert told == ["no answer to 3 requests in a row"] * 2


def test_half_a_frame_is_cut_off_by_quiet_long_before_the_reply_is_due() -> None:
    driver = polling()
    assert driver.received(0.5, TAG_18[:9]) == Output(wake_at_s=0.6)
    assert driver.due(0.6) == Output((ReadTruncated(TAG_18[:9]),), wake_at_s=2.0)


def test_noise_that_looks_like_a_long_frame_delays_a_tag_by_no_more_than_the_quiet_time() -> None:
    driver = polling()
    first = driver.received(0.5, b"\xff\x00\x01" + TAG_18)
    later = driver.due(0.6)
    assert first.readings == ()
    assert TagSeen(EPC) in later.readings


def test_a_late_answer_is_still_a_tag_and_does_not_answer_the_rest() -> None:
    driver = polling()
    driver.received(0.1, NO_TAG)
    late = driver.received(0.15, TAG_18)
    assert late == Output((TagSeen(EPC),), wake_at_s=0.2, heard=True)


def test_frames_of_another_reader_change_nothing() -> None:
    output = polling().received(0.1, told_18(wire.MORE_FRAMES, EPC, addr=7))
    quiet = polling()
    quiet.received(0.1, told_18(wire.MORE_FRAMES, EPC, addr=7))
    assert [r for r in output.readings + quiet.due(0.3).readings if isinstance(r, TagSeen)] == []
    assert not output.heard


def test_any_reader_may_answer_where_the_address_is_everybodys() -> None:
    driver = polling(Settings18(address=255))
    assert driver.received(0.1, told_18(wire.MORE_FRAMES, EPC, addr=7)).readings == (TagSeen(EPC),)


REPORT_18 = wire.encode(0, wire.REPORT, b"\x00" + bytes.fromhex(EPC))


def test_a_reader_that_scans_though_it_should_answer_is_a_fault_told_once_and_its_tags_count() -> None:
    driver = polling()
    told = [reading for _ in range(3) for reading in driver.received(0.1, REPORT_18).readings]
    assert [reading for reading in told if isinstance(reading, TagSeen)] == [TagSeen(EPC)] * 3
    assert [reading.code for reading in told if isinstance(reading, DeviceFault)] == ["scans_by_itself"]


def test_a_scanning_reader_is_listened_to_and_asked_only_whether_it_is_alive() -> None:
    driver = uhfreader18(Settings18(mode="active"))
    ask = driver.opened(0.0)
    assert ask.send == wire.encode(0, wire.INFORMATION)
    assert driver.received(0.1, REPORT_18).readings == (TagSeen(EPC),)
    known = wire.encode(0, wire.INFORMATION, bytes([0, 2, 36, 9, 2, 0x4E, 0, 30, 10]))
    assert driver.received(0.2, known) == Output(wake_at_s=1.2, heard=True)
    assert driver.due(1.2).send == ask.send


def test_a_heartbeat_proves_a_scanning_288_alive() -> None:
    driver = uhfreader288(Settings288(mode="active"))
    driver.opened(0.0)
    beat = wire.encode(0, wire.REPORT, bytes([wire.HEARTBEAT]) + bytes(16))
    assert driver.received(0.1, beat) == Output(wake_at_s=0.8, heard=True)


def test_opening_again_begins_from_the_start() -> None:
    driver = polling()
    driver.received(0.1, TAG_18[:7])
    assert driver.opened(1.0).send == ASK_18
    assert [r for r in driver.received(1.1, TAG_18[7:]).readings if isinstance(r, TagSeen)] == []


def test_orders_are_refused() -> None:
    output = polling().order(0.1, "o", ShowText(("x",), "red"))
    assert [type(r) for r in output.readings] == [OrderRefused]
    assert output.wake_at_s == 2.0


@given(pieces=st.lists(st.tuples(st.floats(0.0, 2.5), st.one_of(st.binary(max_size=40), st.sampled_from(
    [TAG_18, DONE_18, NO_TAG, REPORT_18, TAG_18[:9]]))), max_size=30))  # fmt: skip
def test_whatever_the_line_says_polling_never_stops_and_only_sent_tags_are_seen(
    pieces: list[tuple[float, bytes]],
) -> None:
    driver = uhfreader18(Settings18())
    at_s, wake = 0.0, driver.opened(0.0).wake_at_s
    for wait_s, data in pieces:
        at_s += wait_s
        for output in (driver.due(at_s), driver.received(at_s, data)):
            wake = output.wake_at_s
            assert {r.epc for r in output.readings if isinstance(r, TagSeen)} <= {EPC}
    asked = b""
    for _ in range(6):
        assert wake is not None
        at_s = max(wake, at_s)
        output = driver.due(at_s)
        asked, wake = asked + output.send, output.wake_at_s
    assert asked != b""


# --- with the simulated reader ------------------------------------------------------------------------------

TRUCK = Vehicle(id="v1", lane="in", arrives_s=0.0, plate="豫A12345", tag=EPC)
MAKES: list[Make] = ["uhfreader18", "uhfreader288"]


class Cable:
    """A driver and a simulated reader, joined, in steps of 10 ms."""

    def __init__(self, make: Make, *, vehicles: tuple[Vehicle, ...] = (TRUCK,), active: bool = False) -> None:
        self.physics = LanePhysics(BarrierSettings(), quiet_log)
        for vehicle in vehicles:
            self.physics.arrive(0.0, vehicle)
        self.reader = UhfReader(self.physics, make=make, active=active)
        self.driver = make_driver(f"rfid.{make}", {"mode": "active" if active else "answer"})
        self.told: list[tuple[float, Reading]] = []
        self.heard_s: list[float] = []
        self.now_s = 0.0
        self._wake_at_s: float | None = None
        self.reader.connect(0.0)
        self._take(self.driver.opened(0.0))

    def run(self, until_s: float) -> Cable:
        while self.now_s < until_s:
            self.now_s = round(self.now_s + 0.01, 6)
            self.physics.advance(self.now_s)
            data = self.reader.advance(self.now_s)
            if data:
                self._take(self.driver.received(self.now_s, data))
            if self._wake_at_s is not None and self._wake_at_s <= self.now_s:
                self._take(self.driver.due(self.now_s))
        return self

    def _take(self, output: Output) -> None:
        self.told += [(self.now_s, reading) for reading in output.readings]
        if output.heard:
            self.heard_s.append(self.now_s)
        self._wake_at_s = output.wake_at_s
        if output.send:
            self.reader.receive(self.now_s, output.send)

    def tags(self) -> list[TagSeen]:
        return [reading for _, reading in self.told if isinstance(reading, TagSeen)]

    def others(self) -> list[Reading]:
        return [reading for _, reading in self.told if not isinstance(reading, TagSeen)]


@pytest.mark.parametrize("active", [False, True], ids=["answer", "active"])
@pytest.mark.parametrize("make", MAKES)
def test_the_tag_in_the_field_is_read_and_nothing_else_is_told(make: Make, active: bool) -> None:
    cable = Cable(make, active=active).run(15.0)
    assert {tag.epc for tag in cable.tags()} == {EPC}
    assert {tag.antenna for tag in cable.tags()} == ({None} if make == "uhfreader18" else {1})
    assert {tag.rssi_dbm is None for tag in cable.tags()} == {make == "uhfreader18"}
    assert cable.others() == []


@pytest.mark.parametrize("active", [False, True], ids=["answer", "active"])
@pytest.mark.parametrize("make", MAKES)
def test_an_empty_field_is_silent_and_the_reader_is_heard_every_second(make: Make, active: bool) -> None:
    cable = Cable(make, vehicles=(), active=active).run(10.0)
    assert cable.told == []
    gaps = [b - a for a, b in zip([0.0, *cable.heard_s], [*cable.heard_s, 10.0], strict=True)]
    assert max(gaps) < 1.3


@pytest.mark.parametrize("kind", [FaultKind.FLIP, FaultKind.CHATTER, FaultKind.CUT, FaultKind.SLOW])
@pytest.mark.parametrize("make", MAKES)
def test_a_spoilt_line_tells_no_other_tag_and_goes_on(make: Make, kind: FaultKind) -> None:
    cable = Cable(make)
    cable.reader.set_fault(0.0, Fault(kind=kind, rate=0.3 if kind is FaultKind.CUT else None), True)
    cable.run(60.0)
    assert {tag.epc for tag in cable.tags()} == {EPC}
    assert any(at_s > 50 for at_s, reading in cable.told if isinstance(reading, TagSeen))


@pytest.mark.parametrize("kind", [FaultKind.SILENCE, FaultKind.DEAD])
@pytest.mark.parametrize("make", MAKES)
def test_a_reader_that_says_nothing_is_not_heard_and_told_silent_once(make: Make, kind: FaultKind) -> None:
    cable = Cable(make, vehicles=()).run(2.0)
    cable.reader.set_fault(2.0, Fault(kind=kind), True)
    cable.run(20.0)
    assert cable.others() == [ReadGarbled(b"", "no answer to 3 requests in a row")]
    assert max(cable.heard_s) < 2.2
    cable.reader.set_fault(20.0, Fault(kind=kind), False)
    cable.run(24.0)
    assert max(cable.heard_s) > 23.0


@pytest.mark.parametrize("make", MAKES)
def test_a_stuck_reader_repeats_its_tag_when_the_vehicle_has_gone(make: Make) -> None:
    gone = replace(TRUCK, behaviour=PRESETS["reverses_out"])
    cable = Cable(make, vehicles=(gone,)).run(10.0)
    cable.reader.set_fault(10.0, Fault(kind=FaultKind.STUCK), True)
    cable.run(60.0)
    assert cable.physics.vehicles == ()
    assert any(at_s > 59.0 for at_s, reading in cable.told if isinstance(reading, TagSeen))


def test_a_288_without_its_antenna_says_so_once() -> None:
    cable = Cable("uhfreader288")
    cable.reader.set_fault(0.0, Fault(kind=FaultKind.NO_ANTENNA), True)
    cable.run(10.0)
    assert cable.others() == [DeviceFault("antenna_missing", "inventory")]
    assert cable.tags() == []


@pytest.mark.parametrize("make", MAKES)
def test_a_reader_set_to_scan_by_somebody_is_seen_to_be_so(make: Make) -> None:
    cable = Cable(make).run(1.0)
    command = (0x35, bytes([1, 2, 4, 0, 1, 0])) if make == "uhfreader18" else (0x76, b"\x01")
    cable.run(3.0)
    while not cable.others() and cable.now_s < 30:
        cable.reader.receive(cable.now_s, wire.encode(0, *command))
        cable.run(cable.now_s + 0.5)
    assert cable.others()[0] == DeviceFault("scans_by_itself", "the reader is not set to answer mode")
