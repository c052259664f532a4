"""Customs platform: sends gathers, pictures and answers, renames commands. It opens and judges nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edge.devices.customs_front_end.session import Lane, NotSent, PlatformSession, Turn
from edge.devices.driver import Output
from edge.devices.readings import AnswerDeviceOrder, Gather, Order, OrderDone, OrderRefused, SendPictures
from edge.devices.settings import SettingError, SettingsRefused, setting

_IDENTIFIER = re.compile(r"[0-9A-Za-z]{10}")


@dataclass(frozen=True, slots=True)
class Settings:
    area_id: str = setting("", "AREA_ID (场站号) of the site, 10 letters and digits; needed to send", most=10)
    channel_no: str = setting(
        "", "CHNL_NO (通道号) of the lane, 10 letters and digits; needed to send", most=10
    )
    direction: Literal["I", "E"] = setting("I", "I_E_TYPE: I into the zone, E out of it")
    style: Literal["same_socket", "call_back", "send_and_close"] = setting(
        "same_socket", "where answers come: on our connection, or on theirs to us"
    )
    receives_only: bool = setting(False, "this entry only hears the platform's own connections to us")
    bare_xml: bool = setting(False, "XML alone, without a frame, both ways; then no pictures and heartbeats")
    byte_order: Literal["little", "big"] = setting("little", "of the lengths in a frame")
    colour_before_plate: bool = setting(False, "send 黄豫A12345 where the plate's colour is known")
    heartbeat_s: float = setting(0.0, "send a channel heartbeat so often; 0: none", least=0, most=3600)
    frame_timeout_s: float = setting(
        5.0, "a frame that is not whole so long after its first byte was cut off", least=0.05, most=120
    )
    most_frame_bytes: int = setting(
        65_536, "longest frame taken from the platform; longer is refused", least=256, most=1 << 20
    )
    most_picture_bytes: int = setting(
        4 << 20, "most bytes of pictures sent for one passage", least=1024, most=15 << 20
    )


class FrontEndDriver:
    """One connection, ours or theirs. An order is done when its frame was handed over: the protocol itself
    confirms nothing but by its answer to the passage."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsRefused` where settings do not fit together."""
        errors = _problems(settings)
        if errors:
            raise SettingsRefused(errors)
        self._closes = settings.style == "send_and_close"
        self._session = PlatformSession(
            Lane(
                area_id=settings.area_id,
                channel_no=settings.channel_no,
                direction=settings.direction,
                style=settings.style,
                bare_xml=settings.bare_xml,
                byte_order=settings.byte_order,
                colour_before_plate=settings.colour_before_plate,
                heartbeat_s=settings.heartbeat_s,
                frame_timeout_s=settings.frame_timeout_s,
                most_frame_bytes=settings.most_frame_bytes,
                most_picture_bytes=settings.most_picture_bytes,
                receives_only=settings.receives_only,
            )
        )

    def opened(self, at_s: float) -> Output:
        return self._output(self._session.opened(at_s))

    def received(self, at_s: float, data: bytes) -> Output:
        return self._output(self._session.received(at_s, data))

    def due(self, at_s: float) -> Output:
        return self._output(self._session.due(at_s))

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        if not isinstance(order, Gather | SendPictures | AnswerDeviceOrder):
            why = f"the customs platform takes no {type(order).__name__}"
            return self._output(Turn((OrderRefused(order_id, why),)))
        try:
            data = self._session.sent(order)
        except NotSent as error:
            return self._output(Turn((OrderRefused(order_id, str(error)[:400]),)))
        return self._output(Turn((OrderDone(order_id),), data), hang_up=self._closes)

    def _output(self, turn: Turn, *, hang_up: bool = False) -> Output:
        return Output(turn.readings, turn.send, self._session.wake_at_s, hang_up=hang_up, heard=turn.heard)


def _problems(settings: Settings) -> tuple[SettingError, ...]:
    expected = "10 letters and digits, or nothing in an entry that only receives"
    identity = (("area_id", settings.area_id), ("channel_no", settings.channel_no))
    wrong = [
        SettingError(name, expected, repr(text)[:80])
        for name, text in identity
        if text and not _IDENTIFIER.fullmatch(text)
    ]
    if bool(settings.area_id) != bool(settings.channel_no):
        wrong.append(SettingError("channel_no", "area_id and channel_no together", repr(settings.channel_no)))
    if settings.bare_xml and settings.heartbeat_s:
        wrong.append(SettingError("heartbeat_s", "0 with bare_xml", repr(settings.heartbeat_s)))
    return tuple(wrong)
