"""Card readers: EM4100 modules and Wiegand behind a converter. Lines, drivers, simulated readers."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import decode_frames, make_driver
from edge.devices.driver import NOTHING, Driver, Output
from edge.devices.readings import CardSeen, OrderRefused, ReadGarbled, Reading, ReadTruncated, TriggerRead
from edge.devices.rfid_em125 import wire as em125
from edge.devices.rfid_wiegand import wire as wiegand
from hardware_sims.barrier import BarrierSettings
from hardware_sims.devices.card_reader import KINDS, CardReader, Kind, as_read, transmission
from hardware_sims.faults import Fault, FaultKind
from hardware_sims.physics import LanePhysics, quiet_log
from hardware_sims.vehicles import Vehicle

CARD = "62E3086CED"
OTHER = "4500C5D1E9"
ASCII = b"\x0262E3086CED08\x03"
BINARY = bytes.fromhex("02 0A 02 06 00 8E 6D 5D B0 03")
BARE = b"4500C5D1E9B8"
W26 = b"00011110100010010110101101"
W34 = b"0011010110011110100010010110101100"
FUZZED = int(os.environ.get("KAKOU_FUZZ", "5000"))


def spoilt(frame: bytes) -> Iterator[bytes]:
    """Every single byte lost, changed or added."""
    for place in range(len(frame)):
        yield frame[:place] + frame[place + 1 :]
        for byte in range(256):
            yield frame[:place] + bytes([byte]) + frame[place + 1 :]
            yield frame[:place] + bytes([byte]) + frame[place:]


def cards_of(decoder: object, data: bytes) -> set[str]:
    messages = [*decoder.feed(data), *decoder.quiet()]  # type: ignore[attr-defined]
    return {
        message.number if isinstance(message, em125.Card) else message.printed
        for message in messages
        if not isinstance(message, ReadGarbled | ReadTruncated)
    }


# --- EM4100 -------------------------------------------------------------------------------------------------

FRAMINGS = {em125.Framing.ASCII: ASCII, em125.Framing.BINARY: BINARY, em125.Framing.BARE: BARE}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_one_byte_changed_lost_or_added_never_gives_another_card(framing: em125.Framing) -> None:
    sent = cards_of(em125.decoder(framing), FRAMINGS[framing])
    found: set[str] = set()
    for wrong in spoilt(FRAMINGS[framing]):
        found |= cards_of(em125.decoder(framing), wrong)
    assert len(sent) == 1
    assert found <= sent


@pytest.mark.parametrize("framing", FRAMINGS)
@given(card=st.binary(min_size=5, max_size=5))
def test_every_card_reads_back_as_written(framing: em125.Framing, card: bytes) -> None:
    number = card.hex().upper()
    assert cards_of(em125.decoder(framing), em125.encode(number, framing)) == {number}


def test_two_equal_changes_are_what_the_check_cannot_see() -> None:
    swapped = b"\x02E362086CED08\x03"
    assert cards_of(em125.decoder(em125.Framing.ASCII), swapped) == {"E362086CED"}


def test_reads_follow_each_other_and_noise_between_them_is_told() -> None:
    decoder = em125.decoder(em125.Framing.ASCII)
    told = [*decoder.feed(ASCII + b"\x00\x55" + ASCII), *decoder.quiet()]
    assert [type(message) for message in told] == [em125.Card, ReadGarbled, em125.Card]


@pytest.mark.parametrize(
    ("data", "cards"),
    [
        (BARE, {OTHER}),
        (BARE + b"\r\n" + BARE + b"\r\n", {OTHER}),
        (b"0" + BARE, set()),
        (BARE + BARE, set()),
        (b"\x00" + BARE, set()),
        (BARE.lower(), set()),
        (b"A" * 500 + b"\r" + BARE, {OTHER}),
        (b"A" * 64 + BARE, set()),
    ],
)
def test_bare_digits_are_a_card_only_where_they_stand_alone(data: bytes, cards: set[str]) -> None:
    assert cards_of(em125.decoder(em125.Framing.BARE), data) == cards


@pytest.mark.parametrize("framing", FRAMINGS)
def test_garbage_gives_no_card_whose_check_is_wrong_and_raises_nothing(framing: em125.Framing) -> None:
    rng = random.Random(f"em125 {framing.value}")
    for _ in range(FUZZED):
        data = mangled(rng, FRAMINGS[framing])
        for number in cards_of(em125.decoder(framing), data):
            assert em125.encode(number, framing).strip(b"\x02\x03") in data.replace(b"\r\n\x03", b"\x03")


def mangled(rng: random.Random, frame: bytes) -> bytes:
    data = bytearray(frame * rng.randrange(1, 3))
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(3):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                del data[at : at + rng.randrange(3)]
            case _:
                data[at:at] = rng.choice((rng.randbytes(2), b"0", b"1", b"\r", b"\x02", b"\x03"))
    return bytes(data)


# --- Wiegand ------------------------------------------------------------------------------------------------

SIZES: list[wiegand.Size] = [26, 34]


def read(data: bytes, size: wiegand.Size, *framings: wiegand.Framing, quiet_ends: bool = True) -> set[str]:
    return cards_of(wiegand.decoder(size, framings, quiet_ends=quiet_ends), data)


@pytest.mark.parametrize("framing", list(wiegand.Framing))
@pytest.mark.parametrize("size", SIZES)
@given(drawn=st.data())
def test_every_value_reads_back_as_written(
    size: wiegand.Size, framing: wiegand.Framing, drawn: st.DataObject
) -> None:
    value = drawn.draw(st.integers(0, 2 ** (size - 2) - 1))
    decoder = wiegand.decoder(size, (framing,), quiet_ends=True)
    (card,) = [*decoder.feed(wiegand.encode(size, value, framing)), *decoder.quiet()]
    assert card == wiegand.Card(size, value, checked=framing is not wiegand.Framing.DATA)


@pytest.mark.parametrize(("size", "bits"), [(26, W26), (34, W34)])
def test_every_single_wrong_bit_is_found_in_every_form_that_has_parities(
    size: wiegand.Size, bits: bytes
) -> None:
    whole = int(bits, 2)
    accepted = []
    for place in range(size):
        wrong = whole ^ 1 << place
        texts = {
            wiegand.Framing.BITS: f"{wrong:0{size}b}".encode(),
            wiegand.Framing.HEX: f"{wrong:0{(size + 3) // 4}X}".encode(),
            wiegand.Framing.BYTES: wrong.to_bytes((size + 7) // 8),
            wiegand.Framing.BYTES_LEFT: (wrong << (-size % 8)).to_bytes((size + 7) // 8),
        }
        accepted += [(place, framing) for framing, data in texts.items() if read(data, size, framing)]
    assert accepted == []


@pytest.mark.parametrize("framing", [wiegand.Framing.BYTES, wiegand.Framing.BYTES_LEFT])
def test_spare_bits_are_zero_or_it_is_no_read(framing: wiegand.Framing) -> None:
    good = wiegand.encode(26, 0x3D12D6, framing)
    spare = [0x80000000 >> bit if framing is wiegand.Framing.BYTES else 1 << bit for bit in range(6)]
    spoilt = [(int.from_bytes(good) ^ bit).to_bytes(4) for bit in spare]
    assert read(good, 26, framing) == {"061,04822"}
    assert [data for data in spoilt if read(data, 26, framing)] == []


def test_two_wrong_bits_in_one_half_are_what_the_parities_cannot_see() -> None:
    wrong = bytearray(W26)
    wrong[3] ^= 1
    wrong[4] ^= 1
    assert read(bytes(wrong), 26, wiegand.Framing.BITS) not in (set(), {"061,04822"})


def test_one_digit_lost_or_added_is_always_found() -> None:
    lost = [W26[:place] + W26[place + 1 :] for place in range(26)]
    added = [W26[:place] + digit + W26[place:] for place in range(27) for digit in (b"0", b"1")]
    assert [text for text in lost + added if read(text + b"\r", 26, wiegand.Framing.BITS)] == []


@pytest.mark.parametrize(
    ("data", "cards"),
    [
        (W26 + b"\r", {"061,04822"}),
        (W26 + b"\r\n", {"061,04822"}),
        (b"\xff\x00:" + W26 + b"\n", {"061,04822"}),
        (W26, set()),
        (W26[:20], set()),
        (b"1" + W26 + b"\r", set()),
        (W26 + b" \r", set()),
        (W26[:13] + b"\r" + W26[13:] + b"\r", set()),
        (W34 + b"\r", set()),
        (b"0" * 500 + b"\r" + W26 + b"\r", {"061,04822"}),
        (b"0" * 64 + W26 + b"\r", set()),
    ],
)
def test_a_line_is_a_card_only_with_its_ending_and_exactly_its_digits(data: bytes, cards: set[str]) -> None:
    assert read(data, 26, wiegand.Framing.BITS, quiet_ends=False) == cards


def test_noise_in_front_of_a_read_is_told_and_the_read_counts() -> None:
    decoder = wiegand.decoder(26, (wiegand.Framing.BITS,), quiet_ends=False)
    told = decoder.feed(b"\x80\x11" + W26 + b"\r\n")
    assert told == [
        ReadGarbled(b"\x80\x11", "no digits in front of a read"),
        wiegand.Card(26, 0x3D12D6, True),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_garbage_gives_no_card_whose_parities_are_wrong_and_raises_nothing(size: wiegand.Size) -> None:
    rng = random.Random(f"wiegand {size}")
    frame = (W26 if size == 26 else W34) + b"\r"
    unexplained = []
    for _ in range(FUZZED):
        data = mangled(rng, frame)
        decoder = wiegand.decoder(size, (wiegand.Framing.BITS,), quiet_ends=False)
        told = [*decoder.feed(data), *decoder.quiet()]
        for card in (message for message in told if isinstance(message, wiegand.Card)):
            line = wiegand.encode(size, card.value, wiegand.Framing.BITS)
            if line + b"\r" not in data.replace(b"\n", b"\r"):
                unexplained.append(data)
    assert unexplained == []


def test_bits_may_be_typed_as_they_are() -> None:
    rows = decode_frames("rfid.wiegand26", bytes.fromhex(W26.decode()))
    assert rows[0]["messages"][0]["fc,num"] == "061,04822"
    wrong = decode_frames("rfid.wiegand26", bytes.fromhex("1" + W26.decode()[1:]))
    assert [row["ok"] for row in wrong] == [False]
    assert "parity" in wrong[0]["error"]


def test_noise_before_a_whole_read_is_skipped_when_frames_are_shown() -> None:
    rows = decode_frames("rfid.wiegand34", b"\xff\xfe\x00" + W34 + b"\r\n")
    assert [row["ok"] for row in rows] == [True]


def test_every_cut_of_a_read_is_refused_when_frames_are_shown() -> None:
    shown = [
        row["ok"]
        for protocol, data in (("rfid.wiegand26", W26), ("rfid.wiegand34", W34), ("rfid.em125", BARE))
        for kept in range(len(data))
        for row in decode_frames(protocol, data[:kept])
    ]
    assert set(shown) == {False}


# --- drivers ------------------------------------------------------------------------------------------------

FRAMING_OF = {"crlf": "ascii"}
"""The driver's word for how a simulated reader sends, where it is another."""


def driver_for(kind: Kind) -> Driver:
    scheme, _, framing = kind.partition("_")
    return make_driver(f"rfid.{scheme}", {"framing": FRAMING_OF.get(framing, framing)} if framing else {})


def test_a_driver_tells_the_card_when_its_read_is_whole_and_sends_nothing() -> None:
    driver = make_driver("rfid.em125", {})
    assert driver.opened(0.0) == NOTHING
    assert driver.received(1.0, ASCII[:5]) == Output(wake_at_s=1.1)
    assert driver.received(1.05, ASCII[5:]) == Output((CardSeen(CARD, "em125"),))


def test_a_read_cut_off_by_quiet_is_no_card_however_it_goes_on() -> None:
    driver = make_driver("rfid.em125", {})
    driver.received(1.0, ASCII[:8])
    assert driver.due(1.1).readings == (ReadTruncated(ASCII[:8]),)
    assert [type(r) for r in driver.received(1.2, ASCII[8:]).readings + driver.due(1.4).readings] == [
        ReadGarbled
    ]


def test_quiet_that_nobody_asked_about_still_separates_reads() -> None:
    driver = make_driver("rfid.em125", {"framing": "bare"})
    driver.received(1.0, BARE)
    assert driver.received(5.0, BARE).readings == (CardSeen(OTHER, "em125"),)
    assert driver.due(5.2).readings == (CardSeen(OTHER, "em125"),)


def test_opening_forgets_half_a_read() -> None:
    driver = make_driver("rfid.wiegand26", {})
    driver.received(1.0, W26[:13])
    driver.opened(1.01)
    assert [type(r) for r in driver.received(1.02, W26[13:] + b"\r").readings] == [ReadGarbled]


@pytest.mark.parametrize("ending", ["line", "quiet"])
def test_text_without_an_ending_is_a_card_only_where_silence_is_the_ending(ending: str) -> None:
    driver = make_driver("rfid.wiegand26", {"ending": ending})
    driver.received(1.0, W26)
    told = driver.due(1.2).readings
    assert told == ((CardSeen("061,04822", "wiegand26"),) if ending == "quiet" else (ReadTruncated(W26),))


def test_orders_are_refused() -> None:
    output = make_driver("rfid.wiegand34", {}).order(0.0, "o", TriggerRead())
    assert output.readings == (OrderRefused("o", "a card reader takes no TriggerRead"),)


# --- with the simulated readers -----------------------------------------------------------------------------

DRIVER_WITH_CARD = Vehicle(id="v1", lane="in", arrives_s=0.0, plate=None, card=CARD)


def told_by(
    kind: Kind,
    until_s: float,
    *,
    vehicles: tuple[Vehicle, ...] = (),
    faults: tuple[Fault, ...] = (),
    shows: int = 0,
) -> list[tuple[float, Reading]]:
    """What a driver tells of a simulated reader, in steps of 10 ms; `shows` cards, one every 2 s."""
    physics = LanePhysics(BarrierSettings(), quiet_log)
    for vehicle in vehicles:
        physics.arrive(0.0, vehicle)
    reader = CardReader(physics, kind=kind)
    for fault in faults:
        reader.set_fault(0.0, fault, True)
    driver = driver_for(kind)
    driver.opened(0.0)
    told: list[tuple[float, Reading]] = []
    wake: float | None = None
    due = iter(range(1, shows + 1))
    show = next(due, None)
    for step in itertools.count(1):
        now_s = step * 0.01
        if now_s > until_s:
            return told
        if show is not None and now_s >= 2.0 * show:
            physics.show_card(now_s, CARD)
            show = next(due, None)
        physics.advance(now_s)
        data = reader.advance(now_s)
        outputs = [driver.received(now_s, data)] if data else []
        wake = outputs[-1].wake_at_s if outputs else wake
        if wake is not None and wake <= now_s:
            outputs.append(driver.due(now_s))
            wake = outputs[-1].wake_at_s
        told += [(now_s, reading) for output in outputs for reading in output.readings]
    raise AssertionError


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_a_driver_holds_to_the_reader_is_the_card_told(kind: Kind) -> None:
    told = told_by(kind, 60.0, vehicles=(DRIVER_WITH_CARD,))
    scheme = kind.split("_")[0]
    assert {reading for _, reading in told} == {CardSeen(as_read(CARD, kind), scheme)}  # type: ignore[arg-type]
    assert 1 <= len(told) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_card_shown_is_read_once(kind: Kind) -> None:
    assert len(told_by(kind, 25.0, shows=10)) == 10


@pytest.mark.parametrize("fault", [FaultKind.CHATTER, FaultKind.CUT, FaultKind.SLOW])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("_data")])
def test_a_spoilt_line_tells_no_other_card_and_goes_on(kind: Kind, fault: FaultKind) -> None:
    rate = {FaultKind.CUT: 0.3, FaultKind.CHATTER: 2.0}.get(fault)
    told = told_by(kind, 402.0, faults=(Fault(kind=fault, rate=rate),), shows=200)
    cards = [(at_s, reading.number) for at_s, reading in told if isinstance(reading, CardSeen)]
    assert {number for _, number in cards} == {as_read(CARD, kind)}
    assert max(at_s for at_s, _ in cards) > 350


@pytest.mark.parametrize("kind", ["em125", "em125_binary", "em125_bare", "wiegand26", "wiegand34"])
def test_turned_bits_give_another_card_only_where_the_check_cannot_see_them(kind: Kind) -> None:
    told = told_by(kind, 2002.0, faults=(Fault(kind=FaultKind.FLIP),), shows=1000)
    numbers = [reading.number for _, reading in told if isinstance(reading, CardSeen)]
    wrong = [number for number in numbers if number != as_read(CARD, kind)]
    assert len(numbers) > 450
    # two turned bits that an XOR, or one parity, takes for none: some 150 pairs, (0.02 / 8) ** 2 each
    assert len(wrong) <= 5


@pytest.mark.parametrize("fault", [FaultKind.SILENCE, FaultKind.DEAD])
def test_a_silent_reader_tells_nothing(fault: FaultKind) -> None:
    assert told_by("em125", 10.0, faults=(Fault(kind=fault),), shows=4) == []


def test_a_stuck_reader_says_its_last_card_again() -> None:
    physics = LanePhysics(BarrierSettings(), quiet_log)
    reader = CardReader(physics)
    physics.show_card(1.0, CARD)
    first = reader.advance(2.0)
    reader.set_fault(2.0, Fault(kind=FaultKind.STUCK), True)
    physics.show_card(2.5, OTHER)
    assert first == ASCII
    assert reader.advance(9.0) == ASCII * 2


def test_the_simulated_readers_send_the_printed_frames() -> None:
    assert transmission(CARD, "em125") == ASCII
    assert transmission("06008E6D5D", "em125_binary") == BINARY
    assert transmission(OTHER, "em125_bare") == BARE
    assert transmission("006B3D12D6", "wiegand26") == W26 + b"\r\n"
    assert transmission("006B3D12D6", "wiegand34") == W34 + b"\r\n"
    assert as_read("006B3D12D6", "wiegand26") == "061,04822"
    assert as_read("006B3D12D6", "wiegand34_hex") == "27453,04822"
