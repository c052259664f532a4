"""实时音视频 at the hub: who shows, who watches, what each may send. Pure: no socket, thread or clock.

A connection is known by a number. Before its opening fits (signature, nonce, certificate's name) it may say
nothing else; after that it may say only what its part has to say, and no faster than it was told. Whatever is
not so ends that connection and is counted (G11). Nothing is kept here but the last picture and some seconds
of sound of each session; whoever wants to keep more watches, and the device is told that it is kept.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sync.hub.terms import Refused
from sync.link import live_wire as wire
from sync.link.keys import Forged, verify
from sync.link.live_wire import (
    HUB_TAKES,
    Accepted,
    Announced,
    Decoder,
    End,
    Greeting,
    Kind,
    Picture,
    Ping,
    Pong,
    Seen,
    ShowOpening,
    Sound,
    State,
    Watched,
    WatchOpening,
    encode,
    read_opening,
)
from sync.link.messages import Context, Signed
from sync.vocabulary.codec import Malformed

OPEN_WITHIN_S: Final = 5.0
SILENT_S: Final = 15.0
GAP_S: Final = 30.0
"""A device that lost its connection may come back to its session within this."""
LOOK_EVERY_S: Final = 2.0
"""Whether a device that shows was revoked meanwhile."""
BURST_S: Final = 2.0
SOUND_KEPT_S: Final = 5.0
PICTURE_WAITS_BYTES: Final = 256 * 1024
"""A watcher that has so much to read still gets the next picture instead of this one."""
WATCHER_LATE_BYTES: Final = 2 * 1024 * 1024
WORDS_BYTES_A_S: Final = 64 * 1024
"""What a watcher may send: pings and farewells."""
SLACK_S: Final = 3.0
MOST_UNOPENED: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLimits:
    most_sessions: int = 16
    most_watchers: int = 32
    most_bytes_a_s: int = 1_000_000
    """Of one device."""
    longest_s: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Write:
    connection: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    connection: int


@dataclass(frozen=True, slots=True)
class Note:
    """For the log."""

    what: Literal["session began", "session ended", "watched", "refused", "came back"]
    device: str = ""
    session: str = ""
    detail: str = ""


Order = Write | Close | Note


@dataclass(slots=True)
class _Session:
    """Somebody shows."""

    opening: ShowOpening
    connection: int | None
    until_s: float
    gone_s: float = 0.0
    state: State = State()  # noqa: RUF009  a frozen value
    watchers: list[int] = field(default_factory=list)
    picture: Picture | None = None
    sound: collections.deque[Sound] = field(default_factory=collections.deque)
    pictures: int = 0
    sounds: int = 0

    def keep_sound(self, sound: Sound) -> None:
        self.sounds += 1
        self.sound.append(sound)
        kept = sum(len(each.samples) for each in self.sound)
        while kept > SOUND_KEPT_S * wire.SAMPLES_A_S:
            kept -= len(self.sound.popleft().samples)


@dataclass(slots=True)
class _Connection:
    number: int
    peer: str | None
    """The common name of its certificate; None: plain text on this machine."""
    nonce: str
    decoder: Decoder
    opened_s: float
    heard_s: float
    part: Literal["new", "shows", "waits", "watches"] = "new"
    device: str = ""
    watch: WatchOpening | None = None
    until_s: float = 0.0
    allowed_a_s: float = WORDS_BYTES_A_S
    left_bytes: float = WORDS_BYTES_A_S * BURST_S


class LiveDesk:
    """Called on one thread. `keys` gives a device's keys or raises `Refused`; `unsent` says how many bytes
    of a connection have not left yet."""

    def __init__(
        self,
        *,
        site: str,
        limits: LiveLimits,
        keys: Callable[[str], Mapping[str, Ed25519PublicKey]],
        centre_keys: Mapping[str, Ed25519PublicKey],
        new_nonce: Callable[[], str],
        unsent: Callable[[int], int],
    ) -> None:
        self._site = site
        self._limits = limits
        self._keys = keys
        self._centre_keys = centre_keys
        self._new_nonce = new_nonce
        self._unsent = unsent
        self._connections: dict[int, _Connection] = {}
        self._sessions: dict[str, _Session] = {}
        self._look_s = 0.0
        self.counts: collections.Counter[str] = collections.Counter()
        """What was refused, and why: `malformed`, `forged`, `too_fast`, `late` ..."""

    # --- what comes ---

    def opened(self, at_s: float, number: int, peer: str | None) -> list[Order]:
        unopened = sum(1 for each in self._connections.values() if each.part == "new")
        most = 2 * (self._limits.most_sessions + self._limits.most_watchers)
        if unopened >= MOST_UNOPENED or len(self._connections) >= most:
            self.counts["crowded"] += 1
            return [Close(number)]
        nonce = self._new_nonce()
        decoder = Decoder({Kind.OPENING})
        self._connections[number] = _Connection(number, peer, nonce, decoder, at_s, at_s)
        return _write(number, Greeting(site=self._site, nonce=nonce))

    def came(self, at_s: float, number: int, data: bytes) -> list[Order]:
        connection = self._connections.get(number)
        if connection is None:
            return []
        most = connection.allowed_a_s
        connection.left_bytes += (at_s - connection.heard_s) * most
        connection.left_bytes = min(connection.left_bytes, most * BURST_S) - len(data)
        connection.heard_s = at_s
        if connection.left_bytes < 0:
            return self._refuse(at_s, connection, "too_fast", f"more than {round(most)} bytes a second")
        connection.decoder.add(data)
        orders: list[Order] = []
        try:
            while number in self._connections and (message := connection.decoder.next()) is not None:
                orders += self._take(at_s, connection, message)
        except Malformed as error:
            orders += self._refuse(at_s, connection, "malformed", str(error))
        except Forged as error:
            orders += self._refuse(at_s, connection, "forged", str(error))
        except Refused as refused:
            orders += self._refuse(at_s, connection, refused.code.value, str(refused))
        return orders

    def closed(self, at_s: float, number: int) -> list[Order]:
        connection = self._connections.pop(number, None)
        return [] if connection is None else self._left(at_s, connection)

    def tick(self, at_s: float) -> list[Order]:
        orders: list[Order] = []
        for connection in list(self._connections.values()):
            orders += self._overdue(at_s, connection)
        looks = at_s - self._look_s >= LOOK_EVERY_S
        if looks:
            self._look_s = at_s
        for device, session in list(self._sessions.items()):
            if at_s >= session.until_s + SLACK_S:
                orders += self._end(at_s, device, End(why="time"))
            elif session.connection is None and at_s - session.gone_s > GAP_S:
                orders += self._end(at_s, device, End(why="lost"))
            elif looks:
                try:
                    self._keys(device)
                except Refused as refused:
                    self.counts[refused.code.value] += 1
                    orders += self._end(at_s, device, End(why="revoked", detail=str(refused)[:200]))
        return orders

    def stop(self, at_s: float) -> list[Order]:
        """The hub ends; devices come back to the next one by themselves."""
        orders: list[Order] = []
        for number in list(self._connections):
            orders += [*_write(number, End(why="stopping")), Close(number)]
        return orders

    # --- for whoever shows a page ---

    def devices(self) -> tuple[str, ...]:
        return tuple(sorted(self._sessions))

    def latest(self, device: str) -> tuple[Picture | None, tuple[Sound, ...]]:
        """The last picture of a device and its last seconds of sound."""
        session = self._sessions.get(device)
        return (None, ()) if session is None else (session.picture, tuple(session.sound))

    # --- openings ---

    def _take(self, at_s: float, connection: _Connection, message: wire.Message) -> list[Order]:
        match message:
            case Signed():
                return self._open(at_s, connection, message)
            case Ping(number):
                return _write(connection.number, Pong(number))
            case _:
                pass
        if connection.part == "shows":
            return self._shown(at_s, connection, message)
        if isinstance(message, End):
            return self._watcher_ends(at_s, connection, message)
        return []

    def _open(self, at_s: float, connection: _Connection, signed: Signed) -> list[Order]:
        opening = read_opening(signed.body)
        if opening.site != self._site or opening.nonce != connection.nonce:
            raise Forged(f"an opening for {opening.site[:40]!r} or another nonce than this connection's")
        match opening:
            case ShowOpening(device=device):
                if connection.peer not in (None, device):
                    raise Forged(f"{device!r} speaks over the certificate of {connection.peer!r}")
                verify(self._keys(device), signed, Context.LIVE)
                return self._show(at_s, connection, opening)
            case WatchOpening():
                verify(self._centre_keys, signed, Context.LIVE)
                return self._watch(at_s, connection, opening)

    def _show(self, at_s: float, connection: _Connection, opening: ShowOpening) -> list[Order]:
        device = opening.device
        before = self._sessions.get(device)
        orders: list[Order] = []
        if before is not None and before.opening.session != opening.session:
            orders += self._end(at_s, device, End(why="replaced"))
            before = None
        if before is None and len(self._sessions) >= self._limits.most_sessions:
            self.counts["crowded"] += 1
            return [*orders, *self._leave(at_s, connection, End(why="busy", detail="too many sessions"))]
        limit_s = min(opening.left_s, self._limits.longest_s)
        if before is not None:
            if before.connection is not None and before.connection != connection.number:
                orders += self._drop(before.connection)
            # Coming back wins no time.
            before.until_s = min(before.until_s, at_s + limit_s)
            before.connection, before.opening = connection.number, opening
            session = before
            orders.append(Note("came back", device, opening.session))
        else:
            session = _Session(opening, connection.number, at_s + limit_s)
            self._sessions[device] = session
            said = f"officer {opening.officer}, {limit_s:.0f} s, may be recorded: {opening.may_be_recorded}"
            orders.append(Note("session began", device, opening.session, said))
        connection.part, connection.device = "shows", device
        connection.allowed_a_s = float(self._limits.most_bytes_a_s)
        connection.left_bytes = connection.allowed_a_s * BURST_S
        connection.decoder.takes = HUB_TAKES
        accepted = Accepted(
            session=opening.session, most_bytes_a_s=self._limits.most_bytes_a_s, limit_s=limit_s
        )
        orders += _write(connection.number, accepted)
        for each in list(self._connections.values()):
            if each.part == "waits" and each.watch is not None and _wants(each.watch, opening):
                orders += self._join(at_s, each, session)
        return [*orders, *self._tell_watched(session)]

    def _watch(self, at_s: float, connection: _Connection, opening: WatchOpening) -> list[Order]:
        if not opening.device:
            orders: list[Order] = []
            for device in self.devices()[: wire.MOST_ANNOUNCED]:
                orders += _write(connection.number, self._announced(self._sessions[device]))
            return [*orders, *self._leave(at_s, connection, End(why="centre"))]
        watching = sum(1 for each in self._connections.values() if each.part in ("waits", "watches"))
        if watching >= self._limits.most_watchers:
            self.counts["crowded"] += 1
            return self._leave(at_s, connection, End(why="busy", detail="too many watchers"))
        connection.part, connection.device, connection.watch = "waits", opening.device, opening
        connection.until_s = at_s + opening.wait_s
        connection.decoder.takes = frozenset({Kind.END, Kind.PING})
        accepted = Accepted(session=opening.session, most_bytes_a_s=WORDS_BYTES_A_S, limit_s=opening.wait_s)
        session = self._sessions.get(opening.device)
        orders = _write(connection.number, accepted)
        if session is None or not _wants(opening, session.opening):
            return orders
        return [*orders, *self._join(at_s, connection, session), *self._tell_watched(session)]

    def _join(self, at_s: float, connection: _Connection, session: _Session) -> list[Order]:
        opening, watch = session.opening, connection.watch
        if watch is not None and watch.record and not opening.may_be_recorded:
            self.counts["not_to_be_recorded"] += 1
            refused = End(why="refused", detail="the officer did not allow that it is kept")
            return self._leave(at_s, connection, refused)
        if len(session.watchers) >= wire.MOST_WATCHERS:
            return self._leave(at_s, connection, End(why="busy", detail="enough watch already"))
        connection.part = "watches"
        session.watchers.append(connection.number)
        orders = _write(connection.number, self._announced(session))
        if session.picture is not None:
            orders += _write(connection.number, session.picture)
        said = f"officer {watch.officer if watch else ''}, records: {watch.record if watch else False}"
        return [*orders, Note("watched", opening.device, opening.session, said)]

    # --- what flows ---

    def _shown(self, at_s: float, connection: _Connection, message: wire.Message) -> list[Order]:
        session = self._sessions.get(connection.device)
        if session is None or session.connection != connection.number:
            return []
        match message:
            case Picture(seq):
                session.picture = message
                session.pictures += 1
                return [*_write(connection.number, Seen(seq)), *self._pass_on(session, message)]
            case Sound():
                session.keep_sound(message)
                return self._pass_on(session, message)
            case State():
                session.state = message
                return self._pass_on(session, message)
            case End():
                return self._end(at_s, connection.device, message, told=connection.number)
            case _:
                return []

    def _pass_on(self, session: _Session, message: Picture | Sound | State) -> list[Order]:
        orders: list[Order] = []
        if not session.watchers:
            return orders
        data = b"".join(encode(message))
        for number in session.watchers:
            unsent = self._unsent(number)
            if unsent > WATCHER_LATE_BYTES:
                self.counts["watcher_late"] += 1
                orders.append(Close(number))
            elif unsent <= PICTURE_WAITS_BYTES or not isinstance(message, Picture):
                orders.append(Write(number, data))
            else:
                self.counts["pictures_skipped"] += 1
        return orders

    def _watcher_ends(self, at_s: float, connection: _Connection, end: End) -> list[Order]:
        """`centre`: the session is to end for everybody; anything else: only this watcher leaves."""
        session = self._sessions.get(connection.device)
        if end.why == "centre" and session is not None and connection.number in session.watchers:
            return self._end(at_s, connection.device, end)
        return self._leave(at_s, connection, None)

    # --- endings ---

    def _overdue(self, at_s: float, connection: _Connection) -> list[Order]:
        match connection.part:
            case "new" if at_s - connection.opened_s > OPEN_WITHIN_S:
                self.counts["late"] += 1
                return self._leave(at_s, connection, End(why="refused", detail="no opening came"))
            case "waits" if at_s >= connection.until_s:
                return self._leave(at_s, connection, End(why="absent", detail="the device shows nothing"))
            case "shows" if at_s - connection.heard_s > SILENT_S:
                return self._leave(at_s, connection, End(why="lost", detail="silent"))
            case _:
                return []

    def _refuse(self, at_s: float, connection: _Connection, code: str, why: str) -> list[Order]:
        self.counts[code] += 1
        note = Note("refused", connection.device or connection.peer or "", "", f"{code}: {why}"[:300])
        known = "revoked" if code == "device_revoked" else "refused"
        end = End(why="revoked" if known == "revoked" else "refused", detail=code[:100])
        return [note, *self._leave(at_s, connection, end)]

    def _leave(self, at_s: float, connection: _Connection, end: End | None) -> list[Order]:
        """This connection ends; its session does not."""
        self._connections.pop(connection.number, None)
        said = [] if end is None else _write(connection.number, end)
        return [*said, Close(connection.number), *self._left(at_s, connection)]

    def _left(self, at_s: float, connection: _Connection) -> list[Order]:
        session = self._sessions.get(connection.device)
        if session is None:
            return []
        if session.connection == connection.number:
            session.connection, session.gone_s = None, at_s
        elif connection.number in session.watchers:
            session.watchers.remove(connection.number)
            return self._tell_watched(session)
        return []

    def _drop(self, number: int) -> list[Order]:
        self._connections.pop(number, None)
        return [Close(number)]

    def _end(self, at_s: float, device: str, end: End, *, told: int | None = None) -> list[Order]:
        """The session ends for everybody; `told` knows already."""
        session = self._sessions.pop(device)
        said = f"{end.why} {end.detail}, {session.pictures} pictures, {session.sounds} of sound".strip()
        orders: list[Order] = [Note("session ended", device, session.opening.session, said)]
        for number in (session.connection, *session.watchers):
            if number is not None:
                if number != told:
                    orders += _write(number, end)
                orders += self._drop(number)
        return orders

    # --- words ---

    def _watched(self, session: _Session) -> Watched:
        openings = [self._connections[number].watch for number in session.watchers]
        known = [each for each in openings if each is not None]
        names = tuple(dict.fromkeys(each.officer for each in known))[: wire.MOST_WATCHERS]
        return Watched(watchers=names, recorded=any(each.record for each in known))

    def _tell_watched(self, session: _Session) -> list[Order]:
        if session.connection is None:
            return []
        return _write(session.connection, self._watched(session))

    def _announced(self, session: _Session) -> Announced:
        opening, watched = session.opening, self._watched(session)
        return Announced(
            device=opening.device,
            session=opening.session,
            officer=opening.officer,
            sound=opening.sound,
            may_be_recorded=opening.may_be_recorded,
            began=opening.began,
            watchers=watched.watchers,
            recorded=watched.recorded,
            state=session.state,
        )


def _wants(watch: WatchOpening, show: ShowOpening) -> bool:
    return watch.device == show.device and watch.session in ("", show.session)


def _write(number: int, message: wire.Message) -> list[Order]:
    return [Write(number, b"".join(encode(message)))]
