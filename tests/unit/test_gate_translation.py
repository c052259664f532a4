"""Device words end here: what was read becomes evidence, everything else says what it is (S7)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from edge.devices.readings import (
    CardSeen,
    CodeSeen,
    ContainerSeen,
    DeviceFault,
    NothingRead,
    OrderDone,
    OrderRefused,
    PictureSeen,
    PlateSeen,
    PlatformCommand,
    PlatformDeviceOrder,
    ReadGarbled,
    Reading,
    ReadTruncated,
    TagSeen,
    WeightSeen,
)
from edge.gate.config import Wires
from edge.gate.events import (
    CardRead,
    CodeRead,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    OrderCarriedOut,
    OrderFailed,
    ParcelCodeRead,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    ReadFailed,
    ScaleFault,
    TagRead,
    WeightRead,
)
from edge.gate.translation import is_valid, to_event, to_report
from edge.runtime.supervisor import DeviceSilent, DeviceSpeaking, PortBack, PortLost
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, WaybillNo

KG = Decimal(20_000)
BOX = ContainerNo("MSCU6639870")
SLIP = SlipNo("Z4604I260101000000000001")


@pytest.mark.parametrize(
    ("reading", "event"),
    [
        (WeightSeen(KG, True), WeightRead(KG, True)),
        (WeightSeen(KG, None, kind="gross"), WeightRead(KG, None)),
        (WeightSeen(KG, True, out_of_range=True), WeightRead(KG, False)),
        (
            WeightSeen(KG, True, kind="net"),
            ScaleFault("net_weight", "the indicator shows a net weight: clear its tare"),
        ),
        (DeviceFault("overload", "OL"), ScaleFault("overload", "OL")),
        (DeviceFault("underload"), ScaleFault("underload")),
        (DeviceFault("antenna", "1"), ReadFailed("x", "antenna 1")),
        (DeviceFault("antenna"), ReadFailed("x", "antenna")),
        (TagSeen("E2001111", 2, -55), TagRead(Epc("E2001111"), -55)),
        (TagSeen("nonsense"), ReadFailed("x", "not an EPC: nonsense")),
        (CardSeen("1A2B3C4D", "em125"), CardRead("1A2B3C4D")),
        (CardSeen("9" * 60, "em125"), CardRead("9" * 40)),
        (ContainerSeen("MSCU6639870", "front", 97.0), ContainerRead(BOX, "front", 97.0)),
        (ContainerSeen("mscu 663987 0", "back"), ContainerRead(BOX, "back")),
        (ContainerSeen("MSCU6639871"), ReadFailed("x", "not a container number: MSCU6639871")),
        (ContainerSeen(None), ReadFailed("x", "not a container number: not readable")),
        (CodeSeen(str(SLIP)), CodeRead(SLIP)),
        (CodeSeen(" MSCU6639870 "), ContainerRead(BOX)),
        (CodeSeen("SF1234567890123"), ParcelCodeRead(WaybillNo("SF1234567890123"))),
        (CodeSeen("豫A12345"), ReadFailed("x", "not a slip number")),
        (CodeSeen("A1"), ReadFailed("x", "not a slip number")),
        (NothingRead(), ReadFailed("x", "nothing read")),
        (PictureSeen(b"jpeg", "vehicle"), None),
        (PlateSeen("豫A12345", 98.0), PlateRead(Plate("豫A12345"), 98.0)),
        (PlateSeen(None), ReadFailed("x", "plate not readable")),
        (PlateSeen("豫A12345", offline=True), ReadFailed("x", "an old recognition sent late")),
        (PlateSeen("豫A12345", age_s=10.5), ReadFailed("x", "an old recognition sent late")),
        (PlateSeen("豫A12345", age_s=10.0), PlateRead(Plate("豫A12345"))),
        (PlateSeen("_无_"), ReadFailed("x", "not a plate: _无_")),
        (
            PlatformCommand("4604001", "01", "I", "20", "0" * 20, "hint", "F1"),
            PlatformRuled("4604001", "01", "I", "20", "0" * 20, "hint", "F1"),
        ),
        (
            PlatformDeviceOrder("4604001", "01", "I", "0" * 20, "OP1", "甲", "核实"),
            PlatformOrdered("4604001", "01", "I", "0" * 20, "OP1", "甲", "核实"),
        ),
        (OrderDone("o1"), OrderCarriedOut("o1")),
        (OrderRefused("o1", "no answer"), OrderFailed("o1", "no answer")),
        (ReadTruncated(b"\x02+00"), ReadFailed("x", "cut off after 4 bytes")),
        (ReadGarbled(b"\x02", "check sum"), ReadFailed("x", "check sum")),
    ],
)
def test_a_reading_becomes(reading: Reading, event: Event | None) -> None:
    assert to_event("x", reading, Wires({})) == event


def test_only_what_came_whole_shows_that_a_device_speaks() -> None:
    """An indicator that complains speaks; a line that garbles does not."""
    speaks = (
        WeightSeen(KG, None),
        NothingRead(),
        DeviceFault("overload"),
        OrderDone("o"),
        ContainerSeen(None),
    )
    assert [is_valid(reading) for reading in speaks] == [True] * 5
    silent = (ReadTruncated(b""), ReadGarbled(b"", "noise"), OrderRefused("o", "no answer"))
    assert [is_valid(reading) for reading in silent] == [False] * 3


def test_what_is_reported_of_a_port_or_a_device() -> None:
    assert to_report(PortLost("rfid", "w" * 300)) == DeviceWentSilent("rfid", "w" * 200)
    assert to_report(DeviceSilent("rfid", 3.04)) == DeviceWentSilent("rfid", "no valid reading for 3.0 s")
    assert to_report(DeviceSpeaking("rfid")) == DeviceSpoke("rfid")
    assert to_report(PortBack("rfid")) is None
