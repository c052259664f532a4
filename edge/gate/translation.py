"""Device readings and reports -> lane events. Renames and drops; decides nothing.

Only what was read becomes evidence: cut off, garbled, late and unreadable end here as `ReadFailed` (S7).
"""

from __future__ import annotations

import re
from typing import assert_never

from edge.devices.readings import (
    BeltSeen,
    BeltUnknown,
    CardSeen,
    CodeSeen,
    ContainerSeen,
    DeviceFault,
    EyeEdge,
    InputsSeen,
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
    XrayPictureFailed,
    XrayPictureSeen,
    XrayStateSeen,
)
from edge.gate.config import Wires
from edge.gate.events import (
    RELAYS,
    CardRead,
    CodeRead,
    ContainerRead,
    DeviceSpoke,
    DeviceWentSilent,
    Event,
    InputsRead,
    OrderCarriedOut,
    OrderFailed,
    ParcelCodeRead,
    PlateRead,
    PlatformOrdered,
    PlatformRuled,
    ReadFailed,
    ReleaseCodeShown,
    ScaleFault,
    SlipShown,
    TagRead,
    WeightRead,
)
from edge.runtime.supervisor import DeviceReport, DeviceSilent, DeviceSpeaking, PortBack, PortLost
from sync.vocabulary import slip_codes
from sync.vocabulary.codec import Malformed
from sync.vocabulary.numbers import ContainerNo, Epc, Plate, SlipNo, WaybillNo
from sync.vocabulary.release_codes import MAX_TEXT, PREFIX

RELEASE_PREFIX = PREFIX
MAX_RELEASE_TEXT = MAX_TEXT + 1
"""One more than a code may have: a longer one is refused as too long, not cut to fit."""

SCALE_FAULTS = frozenset({"overload", "underload", "unit"})
"""Codes of `DeviceFault` by which an indicator says that it cannot weigh."""

STALE_PLATE_S = 10.0
"""A camera's recognition older than this by its own account is not of the vehicle now in the lane (S5)."""

_SLIP_IN_TEXT = re.compile(r"[A-Z][0-9]{4}[IE][0-9]{6}[0-9T]{12}")


def is_valid(reading: Reading) -> bool:
    """It shows that the device speaks: not cut off, not garbled, not an order that found no answer."""
    return not isinstance(reading, ReadTruncated | ReadGarbled | OrderRefused)


def to_event(device: str, reading: Reading, wires: Wires) -> Event | None:
    match reading:
        case InputsSeen(values):
            return InputsRead(wires.read(values))
        case WeightSeen(_, _, _, "net"):
            return ScaleFault("net_weight", "the indicator shows a net weight: clear its tare")
        case WeightSeen(value_kg, stable, out_of_range):
            return WeightRead(value_kg, False if out_of_range else stable)
        case TagSeen(epc, _, rssi_dbm):
            tag = Epc.parse(epc)
            if tag is None:
                return ReadFailed(device, f"not an EPC: {epc[:40]}")
            return TagRead(tag, rssi_dbm)
        case PlateSeen():
            return _plate(device, reading)
        case PictureSeen():
            # Pictures go to the evidence store, not to the machine.
            return None
        case CardSeen(number):
            return CardRead(number[:40])
        case ContainerSeen():
            return _container(device, reading)
        case PlatformCommand(area_id, channel_no, direction, seq_no, check_result, hint, form_id):
            return PlatformRuled(area_id, channel_no, direction, seq_no, check_result, hint, form_id)
        case PlatformDeviceOrder(area_id, channel_no, direction, command, order_no, operator, reason):
            return PlatformOrdered(area_id, channel_no, direction, command, order_no, operator, reason)
        case CodeSeen(text) if text.startswith(RELEASE_PREFIX):
            return ReleaseCodeShown(text[:MAX_RELEASE_TEXT])
        case CodeSeen(text) if text.startswith(slip_codes.PREFIX):
            return _slip_shown(device, text.strip())
        case CodeSeen(text):
            return _code(device, text.strip())
        case NothingRead():
            return ReadFailed(device, "nothing read")
        case OrderDone(order_id):
            return OrderCarriedOut(order_id)
        case OrderRefused(order_id, why):
            return OrderFailed(order_id, why)
        case ReadTruncated(raw):
            return ReadFailed(device, f"cut off after {len(raw)} bytes")
        case ReadGarbled(_, why):
            return ReadFailed(device, why)
        case DeviceFault(code, detail) if code in SCALE_FAULTS:
            return ScaleFault(code, detail)
        case DeviceFault("relay_board_silent", detail):
            return DeviceWentSilent(RELAYS, detail)
        case DeviceFault("relay_board_speaks"):
            return DeviceSpoke(RELAYS)
        case DeviceFault(code, detail):
            return ReadFailed(device, f"{code} {detail}".strip())
        case (
            XrayPictureSeen() | XrayPictureFailed() | XrayStateSeen() | BeltSeen() | EyeEdge() | BeltUnknown()
        ):
            return ReadFailed(device, "an X-ray line's device at a lane")
        case _:
            assert_never(reading)


def _container(device: str, seen: ContainerSeen) -> Event:
    number = ContainerNo.parse((seen.text or "").replace(" ", "").upper())
    if number is None:
        return ReadFailed(device, f"not a container number: {(seen.text or 'not readable')[:20]}")
    return ContainerRead(number, seen.place, seen.confidence)


def _slip_shown(device: str, text: str) -> Event:
    """A code that was cut off or spoilt on the way is no code (S7). Whether it is genuine comes later."""
    try:
        shown = slip_codes.parse(text)
    except Malformed as error:
        return ReadFailed(device, f"not a whole slip code, {error}"[:200])
    return SlipShown(shown.claims.slip_no, text, shown.kid, shown.sha256)


def _code(device: str, text: str) -> Event:
    slip_no = SlipNo.parse(text)
    if slip_no is not None:
        return CodeRead(slip_no)
    container = ContainerNo.parse(text)
    if container is not None:
        return ContainerRead(container)
    waybill_no = WaybillNo.parse(text)
    return ParcelCodeRead(waybill_no) if waybill_no is not None else ReadFailed(device, "not a slip number")


def _plate(device: str, seen: PlateSeen) -> Event:
    if seen.text is None:
        return ReadFailed(device, "plate not readable")
    if seen.offline or (seen.age_s is not None and seen.age_s > STALE_PLATE_S):
        return ReadFailed(device, "an old recognition sent late")
    plate = Plate.parse_vendor(seen.text)
    if plate is None:
        return ReadFailed(device, f"not a plate: {seen.text[:20]}")
    return PlateRead(plate, seen.confidence)


def to_report(report: DeviceReport) -> Event | None:
    match report:
        case PortLost(device, why):
            return DeviceWentSilent(device, why[:200])
        case DeviceSilent(device, silent_s):
            return DeviceWentSilent(device, f"no valid reading for {silent_s:.1f} s")
        case DeviceSpeaking(device):
            return DeviceSpoke(device)
        case PortBack():
            return None
        case _:
            assert_never(report)
