"""A broker in memory that does what brokers do on bad days: drop, double, reorder, forget, die. No guarantee.

MQTT as docs/contract uses it: clean sessions, retained messages, last wills. Deliveries are events of the world's
one queue; nothing here reads a payload.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

LATENCY_S = (0.002, 0.02)
FOUND_OUT_S = 15.0
"""One and a half keep-alives: how long a silent loss stays unnoticed."""


class Agenda(Protocol):
    """The world's queue of what happens when."""

    @property
    def now_s(self) -> float: ...
    def at(self, at_s: float, act: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class Weather:
    """What the broker does to messages now: shares of 1, seconds."""

    drop: float = 0.0
    double: float = 0.0
    late_s: float = 0.0
    """Extra delay up to this, each message by itself: they overtake each other."""
    spoil: float = 0.0
    """Share of deliveries that come with a hostile companion: spoiled, replayed, on another topic."""


class Wire:
    """One client's connection. Made anew by `dial`; `alive` is what its owner knows."""

    def __init__(
        self,
        broker: Broker,
        name: str,
        subscribe: tuple[str, ...],
        *,
        connected: Callable[[], None],
        lost: Callable[[str], None],
        received: Callable[[str, bytes], None],
        will: Callable[[], tuple[str, bytes]] | None = None,
        again_s: tuple[float, float] = (0.5, 4.0),
    ) -> None:
        self.name = name
        self.subscribe = subscribe
        self.received = received
        self.cut = False
        """The network between client and broker is gone."""
        self.alive = False
        self.session = 0
        """Counts connections; what was sent for an older one never arrives."""
        self.last_s = 0.0
        self.will_now: tuple[str, bytes] | None = None
        self._broker = broker
        self._connected = connected
        self._lost = lost
        self._will = will
        self._again_s = again_s
        self._wait_s = again_s[0]
        self._stopped = True
        self._dials = 0

    def start(self) -> None:
        self._stopped = False
        self._dial_after(0.01)

    def stop(self, *, goodbye: bool) -> None:
        """The owner is gone: politely, or killed (then the broker sends the will)."""
        self._stopped = True
        self._dials += 1
        if self.alive:
            self.alive = False
            self._broker.leave(self, will=not goodbye)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        if not self.alive:
            return False
        if not self.cut:
            self._broker.take(self, topic, payload, retain)
        return True

    def found_lost(self, why: str, session: int) -> None:
        """The client notices that its connection is gone."""
        if not self.alive or session != self.session:
            return
        self.alive = False
        self._broker.leave(self, will=False)
        self._lost(why)
        self._dial_after(self._again_s[0])

    def _dial_after(self, seconds: float) -> None:
        self._dials += 1
        dial = self._dials

        def act() -> None:
            if dial == self._dials and not self._stopped:
                self._dial()

        self._broker.agenda.at(self._broker.agenda.now_s + seconds, act)

    def _dial(self) -> None:
        if self.cut or not self._broker.is_up:
            self._wait_s = min(self._wait_s * 2, self._again_s[1])
            self._dial_after(self._wait_s)
            return
        self._wait_s = self._again_s[0]
        self.session += 1
        self.alive = True
        self.will_now = self._will() if self._will is not None else None
        self._connected()
        self._broker.join(self)


class Broker:
    def __init__(self, agenda: Agenda, draw: random.Random) -> None:
        self.agenda = agenda
        self.is_up = True
        self.weather = Weather()
        self.retained: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()
        self.wires: list[Wire] = []
        self._draw = draw
        self._routes: dict[str, tuple[Wire, ...]] = {}
        self._heard: list[tuple[str, bytes]] = []

    # --- wires ---

    def join(self, wire: Wire) -> None:
        self.wires.append(wire)
        self._routes.clear()
        for topic, payload in sorted(self.retained.items()):
            if any(_matches(each, topic) for each in wire.subscribe):
                self._send(wire, topic, payload)

    def leave(self, wire: Wire, *, will: bool) -> None:
        if wire not in self.wires:
            return
        self.wires.remove(wire)
        self._routes.clear()
        if will and wire.will_now is not None:
            self.take(None, *wire.will_now, True)

    # --- messages ---

    def take(self, wire: Wire | None, topic: str, payload: bytes, retain: bool) -> None:
        if not self.is_up:
            return
        self.counts["taken"] += 1
        if retain:
            self.retained[topic] = payload
        routes = self._routes.get(topic)
        if routes is None:
            routes = self._routes[topic] = tuple(
                each for each in self.wires if any(_matches(wanted, topic) for wanted in each.subscribe)
            )
        for each in routes:
            self._send(each, topic, payload)

    def _send(self, wire: Wire, topic: str, payload: bytes) -> None:
        draw, weather = self._draw, self.weather
        copies = 1
        if weather.drop and draw.random() < weather.drop:
            self.counts["dropped"] += 1
            copies = 0
        if weather.double and draw.random() < weather.double:
            self.counts["doubled"] += 1
            copies += 1
        for _ in range(copies):
            at_s = self.agenda.now_s + draw.uniform(*LATENCY_S)
            if weather.late_s:
                at_s += draw.uniform(0.0, weather.late_s)
                self.counts["reordered"] += at_s < wire.last_s
            elif at_s < wire.last_s:
                at_s = wire.last_s
            wire.last_s = max(wire.last_s, at_s)
            self._deliver_at(at_s, wire, topic, payload)
        if weather.spoil and draw.random() < weather.spoil:
            self.counts["forged"] += 1
            self._deliver_at(
                self.agenda.now_s + draw.uniform(0.0, 1.0), wire, *self._hostile(wire, topic, payload)
            )

    def _deliver_at(self, at_s: float, wire: Wire, topic: str, payload: bytes) -> None:
        session = wire.session

        def act() -> None:
            if self.is_up and wire.alive and not wire.cut and wire.session == session:
                self.counts["delivered"] += 1
                if len(self._heard) < 200:
                    self._heard.append((topic, payload))
                wire.received(topic, payload)

        self.agenda.at(at_s, act)

    def _hostile(self, wire: Wire, topic: str, payload: bytes) -> tuple[str, bytes]:
        """What somebody who owns the broker but no key can send."""
        draw = self._draw
        match draw.randrange(6):
            case 0:
                place = draw.randrange(len(payload)) if payload else 0
                return topic, payload[:place] + bytes([draw.randrange(256)]) + payload[place + 1 :]
            case 1:
                return topic, payload[: draw.randrange(len(payload) + 1)]
            case 2:
                return topic, draw.randbytes(draw.randrange(200))
            case 3:
                return topic, b'{"body":"{}","kid":"hub","sig":"' + b"A" * 88 + b'"}'
            case 4 if self._heard:
                return draw.choice(self._heard)
            case _:
                old = draw.choice(self._heard)[1] if self._heard else b"[]"
                return topic, old

    # --- bad days ---

    def forget(self) -> None:
        """It restarts with nothing: sessions, retained messages and what was under way are gone."""
        self.counts["forgotten"] += 1
        self.retained.clear()
        self._break_all("the broker restarted")

    def die(self) -> None:
        self.counts["died"] += 1
        self.is_up = False
        self._break_all("the broker died")

    def come_back(self, *, knowing: bool) -> None:
        """`knowing`: its retained messages are on its disk."""
        if not knowing:
            self.retained.clear()
        self.is_up = True

    def _break_all(self, why: str) -> None:
        for wire in [*self.wires]:
            wire.found_lost(why, wire.session)

    def cut(self, wire: Wire, *, silently: bool) -> None:
        """The network of one client goes: noticed at once, or only by keep-alive. The will goes out."""
        wire.cut = True
        session, now_s = wire.session, self.agenda.now_s

        def broker_notices() -> None:
            if wire.session == session and wire in self.wires:
                self.leave(wire, will=True)

        def client_notices() -> None:
            wire.found_lost("keep-alive", session)

        self.agenda.at(now_s + FOUND_OUT_S, broker_notices)
        self.agenda.at(now_s + (FOUND_OUT_S if silently else 0.05), client_notices)

    def mend(self, wire: Wire) -> None:
        wire.cut = False


def _matches(wanted: str, topic: str) -> bool:
    if wanted == topic:
        return True
    if "+" not in wanted:
        return False
    ours, theirs = wanted.split("/"), topic.split("/")
    return len(ours) == len(theirs) and all(a in ("+", b) for a, b in zip(ours, theirs, strict=True))
