"""UHFReader18 and UHFReader288: tells the tags they answer with. An empty field is no reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.devices.driver import Output
from edge.devices.readings import Order, OrderRefused
from edge.devices.rfid_uhfreader import wire
from edge.devices.rfid_uhfreader.session import ReaderSession, Timing, Turn
from edge.devices.settings import SettingError, SettingsRefused, setting


@dataclass(frozen=True, slots=True)
class Settings18:
    address: int = setting(0, "the reader's address; 255 is any", least=0, most=255)
    mode: Literal["answer", "active"] = setting(
        "answer", "as the reader is set: it answers when asked, or scans by itself"
    )
    poll_s: float = setting(0.1, "answer: rest between an inventory's end and the next", least=0, most=60)
    alive_s: float = setting(1.0, "active: rest between questions whether it is alive", least=0.1, most=60)
    reply_timeout_s: float = setting(
        2.0, "silence after which a request counts as unanswered; above the scan time", least=0.01, most=60
    )
    quiet_s: float = setting(0.1, "silence inside a frame after which it was cut off", least=0.001, most=10)
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)


@dataclass(frozen=True, slots=True)
class Settings288:
    address: int = setting(0, "the reader's address; 255 is any", least=0, most=255)
    mode: Literal["answer", "active"] = setting(
        "answer", "as the reader is set: it answers when asked, or scans by itself"
    )
    antennas: tuple[int, ...] = setting((1,), "answer: antennas to ask in turn, from 1", least=1, most=8)
    scan_s: float = setting(0.3, "answer: longest inventory, in steps of 0.1", least=0.3, most=25.5)
    q_value: int = setting(4, "answer: 2 to this power is about the tags in the field", least=0, most=15)
    session: int = setting(0, "answer: session S0 to S3 of the inventory", least=0, most=3)
    poll_s: float = setting(0.1, "answer: rest between an inventory's end and the next", least=0, most=60)
    alive_s: float = setting(1.0, "active: rest between questions whether it is alive", least=0.1, most=60)
    reply_timeout_s: float = setting(
        0.8, "silence after which a request counts as unanswered; above the scan time", least=0.01, most=60
    )
    quiet_s: float = setting(0.1, "silence inside a frame after which it was cut off", least=0.001, most=10)
    silent_after: int = setting(3, "unanswered requests in a row until it is told once", least=1, most=1000)
    rssi_offset_db: int = setting(-129, "added to the reader's RSSI byte to give dBm", least=-255, most=0)


class UhfReaderDriver:
    """Faults told: `antenna_missing` and the reader's other statuses, each once until it clears, and
    `scans_by_itself` once where answers were asked for. Silence is no fault of its own telling: a garbled
    reading without bytes says so once, and the rest is absence.
    """

    def __init__(self, session: ReaderSession) -> None:
        self._session = session

    def opened(self, at_s: float) -> Output:
        return self._output(self._session.opened(at_s))

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(self._session.received(at_s, data))

    def due(self, at_s: float) -> Output:
        return self._output(self._session.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        refused = OrderRefused(order_id, f"a tag reader takes no {type(order).__name__}")
        return Output((refused,), wake_at_s=self._session.wake_at_s)

    def _output(self, turn: Turn) -> Output:
        return Output(turn.readings, turn.send, self._session.wake_at_s, heard=turn.heard)


def uhfreader18(settings: Settings18) -> UhfReaderDriver:
    """`TagSeen` without antenna and RSSI: this reader has one antenna and tells no strength."""
    return _driver(settings, wire.Make.UHFREADER18, (wire.encode(settings.address, wire.INVENTORY),))


def uhfreader288(settings: Settings288) -> UhfReaderDriver:
    """Raises `SettingsRefused` where no antenna is named, or a reply may come after its time is up."""
    errors = []
    if not settings.antennas:
        errors.append(SettingError("antennas", "at least one antenna", "none"))
    if settings.mode == "answer" and settings.reply_timeout_s <= settings.scan_s:
        above = f"more than scan_s, {settings.scan_s:g}"
        errors.append(SettingError("reply_timeout_s", above, f"{settings.reply_timeout_s:g}"))
    if errors:
        raise SettingsRefused(tuple(errors))
    inventories = tuple(
        wire.inventory_288(
            settings.address,
            q_value=settings.q_value,
            session=settings.session,
            antenna=antenna,
            scan_ms=round(settings.scan_s * 10) * 100,
        )
        for antenna in settings.antennas
    )
    return _driver(settings, wire.Make.UHFREADER288, inventories, settings.rssi_offset_db)


def _driver(
    settings: Settings18 | Settings288,
    make: wire.Make,
    inventories: tuple[bytes, ...],
    rssi_offset_db: int = 0,
) -> UhfReaderDriver:
    asks = settings.mode == "answer"
    rest_s = settings.poll_s if asks else settings.alive_s
    session = ReaderSession(
        Timing(rest_s, settings.reply_timeout_s, settings.quiet_s, settings.silent_after),
        make=make,
        address=settings.address,
        requests=inventories if asks else (wire.encode(settings.address, wire.INFORMATION),),
        expects=wire.INVENTORY if asks else wire.INFORMATION,
        rssi_offset_db=rssi_offset_db,
    )
    return UhfReaderDriver(session)
