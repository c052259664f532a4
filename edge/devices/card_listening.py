"""A card reader that only sends: renames what its line says to cards. Sends nothing, decides nothing.

Whether the same card held to the reader twice is one showing or two is the lane's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from edge.devices.driver import NOTHING, Output
from edge.devices.readings import CardSeen, Order, OrderRefused, ReadGarbled, Reading, ReadTruncated


class Decoder(Protocol):
    @property
    def holding(self) -> bool: ...
    def clear(self) -> None: ...
    def feed(self, data: bytes) -> list[Any]: ...
    def quiet(self) -> list[Any]: ...


class CardDriver:
    """`to_card` renames a whole message of `decoder`; `quiet_s` of silence end or cut off what is held."""

    def __init__(self, decoder: Decoder, to_card: Callable[[Any], CardSeen], quiet_s: float) -> None:
        self._decoder = decoder
        self._to_card = to_card
        self._quiet_s = quiet_s
        self._quiet_at_s: float | None = None

    def opened(self, at_s: float) -> Output:
        self._decoder.clear()
        self._quiet_at_s = None
        return NOTHING

    def received(self, at_s: float, data: bytes) -> Output:
        late = self._gone_quiet(at_s)
        readings = late + self._renamed(self._decoder.feed(data))
        if data:
            self._quiet_at_s = at_s + self._quiet_s if self._decoder.holding else None
        return Output(tuple(readings), wake_at_s=self._quiet_at_s)

    def due(self, at_s: float) -> Output:
        return Output(tuple(self._gone_quiet(at_s)), wake_at_s=self._quiet_at_s)

    def order(self, at_s: float, order_id: str, order: Order) -> Output:
        refused = OrderRefused(order_id, f"a card reader takes no {type(order).__name__}")
        return Output((refused,), wake_at_s=self._quiet_at_s)

    def _gone_quiet(self, at_s: float) -> list[Reading]:
        if self._quiet_at_s is None or at_s < self._quiet_at_s:
            return []
        self._quiet_at_s = None
        return self._renamed(self._decoder.quiet())

    def _renamed(self, messages: list[Any]) -> list[Reading]:
        return [m if isinstance(m, ReadGarbled | ReadTruncated) else self._to_card(m) for m in messages]
