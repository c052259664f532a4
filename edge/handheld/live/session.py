"""One live session as the device sees it: open, show, answer, end. Pure: no socket, thread or clock.

`step(at_s, event)` gives orders in the order they are to be done. Nothing is sent before the hub has
accepted and somebody watches; whatever the hub says wrongly ends the connection (G11). A connection that is
lost is made anew until the consent's own limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from edge.handheld.live.consent import LiveFlow, LiveTally, Why
from edge.handheld.live.pacing import Pacer, PacingConfig, Shot
from sync.link import live_wire as wire
from sync.link.keys import Signer
from sync.link.live_wire import (
    DEVICE_TAKES,
    SAMPLES_A_S,
    Accepted,
    Codec,
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
    encode,
)
from sync.link.messages import Context
from sync.vocabulary.codec import Malformed, to_json

PING_EVERY_S: Final = 0.25
TELL_EVERY_S: Final = 1.0
SILENT_S: Final = 10.0
"""Of the hub; then the connection is made anew."""
OPEN_WITHIN_S: Final = 6.0
FIRST_AGAIN_S: Final = 0.5
LONGEST_AGAIN_S: Final = 4.0
LOST_AFTER_S: Final = 30.0
"""Without a hub that accepts: the session ends."""
UNWATCHED_S: Final = 120.0
"""Without anybody who watches."""
RATE_WINDOW_S: Final = 2.0
PICTURE_DUE_S: Final = 2.0
"""A camera that has not answered an order by then is asked again."""
SOUND_TOO_LATE_S: Final = 1.0
"""Sound that cannot leave within this is dropped: late words are worse than missing ones."""


DEFAULT_PACING: Final = PacingConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    site: str
    device: str
    session: str
    officer: str
    sound: bool
    may_be_recorded: bool
    limit_s: float
    began_utc: str
    codec: Codec = Codec.MU_LAW
    pacing: PacingConfig = DEFAULT_PACING


# --- events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    pass


@dataclass(frozen=True, slots=True)
class Bytes:
    data: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended, or could not be made."""

    why: str
    for_good: bool = False
    """It would end the same way again: a certificate that is refused."""


@dataclass(frozen=True, slots=True)
class PictureTaken:
    at_s: float
    columns: int
    rows: int
    jpeg: bytes
    """Empty: the camera gave nothing."""


@dataclass(frozen=True, slots=True)
class SoundTaken:
    at_s: float
    """Of its first sample."""
    samples: bytes
    """Coded, one byte each."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many bytes have not left the device yet."""

    unsent_bytes: int


@dataclass(frozen=True, slots=True)
class Set:
    muted: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class SyncBusy:
    busy: bool


@dataclass(frozen=True, slots=True)
class SourceFailed:
    what: Literal["camera", "microphone"]
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    why: Literal["officer", "time", "locked", "failed"]


@dataclass(frozen=True, slots=True)
class Tick:
    pass


Event = (
    Connected
    | Bytes
    | Lost
    | PictureTaken
    | SoundTaken
    | Waiting
    | Set
    | SyncBusy
    | SourceFailed
    | Stop
    | Tick
)


# --- orders -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    after_s: float


@dataclass(frozen=True, slots=True)
class Send:
    frames: tuple[bytes, ...]
    urgent: bool = False
    """May go between the parts of a picture."""


@dataclass(frozen=True, slots=True)
class TakePicture:
    shot: Shot


@dataclass(frozen=True, slots=True)
class Listen:
    """The microphone, on or off."""

    on: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """Close the connection, once what was given to it has left or cannot leave."""


@dataclass(frozen=True, slots=True)
class Tell:
    flow: LiveFlow


@dataclass(frozen=True, slots=True)
class Ended:
    why: Why
    detail: str
    tally: LiveTally


Order = Connect | Send | TakePicture | Listen | Hang | Tell | Ended
Phase = Literal["connecting", "greeting", "opening", "open", "ended"]


class LiveSession:
    """`step` is called on one thread."""

    def __init__(self, config: SessionConfig, signer: Signer, at_s: float) -> None:
        self._config = config
        self._signer = signer
        self._began_s = at_s
        self._phase: Phase = "connecting"
        bits = 8.0 * SAMPLES_A_S * 1.06 if config.sound else 0.0
        self._pacer = Pacer(config.pacing, sound_bits_a_s=bits)
        self._decoder = Decoder({Kind.GREETING, Kind.END})
        self._good_s = at_s
        self._heard_s = at_s
        self._watched_s = at_s
        self._again_s = FIRST_AGAIN_S
        self._watched = Watched()
        self._set = State()
        self._seq = 0
        self._sound_seq = 0
        self._ordered: tuple[float, Shot] | None = None
        self._listens = False
        self._pings: dict[int, float] = {}
        self._ping = 0
        self._ping_s = at_s
        self._tell_s = at_s
        self._told = LiveFlow()
        self._sent: list[tuple[float, int, bool]] = []
        self._unsent = 0
        self._shown = (0, 0, 0)
        self._pictures = 0
        self._samples = 0
        self._bytes = 0
        self.refused_frames = 0
        """Connections ended because the hub said what it must not."""

    def begin(self) -> list[Order]:
        return [Connect(0.0)]

    @property
    def has_ended(self) -> bool:
        return self._phase == "ended"

    def step(self, at_s: float, event: Event) -> list[Order]:
        if self._phase == "ended":
            return []
        match event:
            case Connected():
                self._phase, self._heard_s = "greeting", at_s
                self._decoder = Decoder({Kind.GREETING, Kind.END})
                return []
            case Bytes(data):
                return self._read(at_s, data)
            case Lost(why, for_good):
                return self._end("refused", why) if for_good else self._lost(at_s, why)
            case PictureTaken():
                return [*self._show(at_s, event), *self._more(at_s)]
            case SoundTaken():
                return self._say(at_s, event)
            case Waiting(unsent):
                self._unsent = unsent
                return self._more(at_s)
            case Set(muted, hidden):
                self._set = State(muted=muted, hidden=hidden)
                said: list[Order] = [Send(encode(self._set), urgent=True)] if self._phase == "open" else []
                return [*said, *self._microphone(), *self._more(at_s)]
            case SyncBusy(busy):
                self._pacer.sync_busy(busy)
                return []
            case SourceFailed(what, why):
                return self._stop("failed", f"{what}: {why}"[:200])
            case Stop(why):
                return self._stop(why, "")
            case Tick():
                return self._tick(at_s)
            case _:
                assert_never(event)

    def wake_s(self, at_s: float) -> float:
        """When `Tick` is wanted next."""
        due = [self._tell_s + TELL_EVERY_S, self._ping_s + PING_EVERY_S]
        if self._shows() and self._ordered is None and self._pacer.next_s() > at_s:
            # Later than that it waits for the hub's word, not for time.
            due.append(self._pacer.next_s())
        return max(at_s + 0.005, min(due))

    # --- the connection ---

    def _read(self, at_s: float, data: bytes) -> list[Order]:
        self._heard_s = at_s
        self._decoder.add(data)
        orders: list[Order] = []
        try:
            while self._phase != "ended" and (message := self._decoder.next()) is not None:
                orders += self._take(at_s, message)
        except Malformed as error:
            self.refused_frames += 1
            return [*orders, *self._lost(at_s, str(error))]
        return orders

    def _take(self, at_s: float, message: wire.Message) -> list[Order]:
        match message:
            case Greeting():
                return self._open(at_s, message)
            case Accepted():
                return self._accepted(at_s)
            case End(why=why, detail=detail):
                return self._told_to_end(at_s, why, detail)
            case Watched():
                return self._watch(at_s, message)
            case Pong(number):
                asked_s = self._pings.pop(number, None)
                if asked_s is not None:
                    self._pacer.tripped(at_s, at_s - asked_s)
                return []
            case Seen(seq):
                self._pacer.seen(at_s, seq)
                return self._more(at_s)
            case _:
                return []

    def _open(self, at_s: float, greeting: Greeting) -> list[Order]:
        config = self._config
        if greeting.version != wire.VERSION or greeting.site != config.site:
            return self._end("refused", f"a hub of {greeting.site}, version {greeting.version}")
        self._phase = "opening"
        self._decoder.takes = frozenset({Kind.ACCEPTED, Kind.END})
        opening = ShowOpening(
            site=config.site,
            device=config.device,
            nonce=greeting.nonce,
            session=config.session,
            officer=config.officer,
            sound=config.sound,
            may_be_recorded=config.may_be_recorded,
            left_s=max(0.0, config.limit_s - (at_s - self._began_s)),
            began=config.began_utc,
        )
        signed = self._signer.sign(Context.LIVE, to_json(opening).decode())
        return [Send(encode(signed))]

    def _accepted(self, at_s: float) -> list[Order]:
        self._phase = "open"
        self._decoder.takes = DEVICE_TAKES - {Kind.GREETING, Kind.ACCEPTED}
        self._good_s = self._watched_s = at_s
        self._again_s = FIRST_AGAIN_S
        self._seq = self._sound_seq = 0
        return [Send(encode(self._set), urgent=True), *self._tell(at_s, now=True)]

    def _watch(self, at_s: float, watched: Watched) -> list[Order]:
        self._watched = watched
        self._watched_s = at_s
        return [*self._tell(at_s, now=True), *self._microphone(), *self._more(at_s)]

    def _told_to_end(self, at_s: float, why: str, detail: str) -> list[Order]:
        match why:
            case "centre" | "time" | "unwatched" | "replaced":
                known: Why = "time" if why == "time" else "unwatched" if why == "unwatched" else "centre"
                return self._end(known, detail)
            case "refused" | "revoked":
                return self._end("refused", detail or why)
            case _:
                return self._lost(at_s, detail or why)

    def _lost(self, at_s: float, why: str) -> list[Order]:
        was_open = self._phase == "open"
        self._phase = "connecting"
        self._pacer.line_lost()
        self._pings.clear()
        self._watched = Watched()
        self._unsent = 0
        if was_open:
            self._good_s = at_s
        if at_s - self._good_s >= LOST_AFTER_S:
            return self._end("lost", why)
        after_s, self._again_s = self._again_s, min(LONGEST_AGAIN_S, self._again_s * 2)
        return [*self._microphone(), *self._tell(at_s, now=True), Hang(), Connect(after_s)]

    def _stop(self, why: Literal["officer", "time", "locked", "failed"], detail: str) -> list[Order]:
        said: list[Order] = []
        if self._phase == "open":
            said = [Send(encode(End(why=why, detail=detail)), urgent=True)]
        return [*said, *self._end(why, detail)]

    def _end(self, why: Why, detail: str) -> list[Order]:
        self._phase = "ended"
        listening: list[Order] = [Listen(False)] if self._listens else []
        self._listens = False
        tally = LiveTally(self._pictures, self._samples / SAMPLES_A_S, self._bytes)
        return [*listening, Hang(), Ended(why, detail[:200], tally)]

    # --- picture and sound ---

    def _shows(self) -> bool:
        return self._phase == "open" and bool(self._watched.watchers)

    def _more(self, at_s: float) -> list[Order]:
        if not self._shows() or self._set.hidden or self._ordered is not None or self._unsent:
            return []
        shot = self._pacer.shot(at_s)
        if shot is None:
            return []
        self._ordered = (at_s, shot)
        return [TakePicture(shot)]

    def _show(self, at_s: float, taken: PictureTaken) -> list[Order]:
        ordered, self._ordered = self._ordered, None
        if ordered is None or not taken.jpeg or not self._shows() or self._set.hidden:
            return []
        if len(taken.jpeg) > wire.MOST_PICTURE_BYTES:
            return []
        frames = encode(Picture(self._seq, self._since(taken.at_s), taken.columns, taken.rows, taken.jpeg))
        size = sum(map(len, frames))
        self._pacer.sent(at_s, self._seq, size, ordered[1])
        self._seq += 1
        self._pictures += 1
        self._shown = (taken.columns, taken.rows, ordered[1].quality)
        self._unsent += size
        self._count(at_s, size, is_picture=True)
        return [Send(frames)]

    def _say(self, at_s: float, taken: SoundTaken) -> list[Order]:
        if not self._hears():
            return []
        self._sound_seq += 1
        if self._pacer.is_stalled(at_s) or at_s - taken.at_s > SOUND_TOO_LATE_S:
            # Its number is left out: who listens knows that something is missing.
            return []
        sound = Sound(self._sound_seq - 1, self._since(taken.at_s), self._config.codec, taken.samples)
        frames = encode(sound)
        self._samples += len(taken.samples)
        self._count(at_s, len(frames[0]), is_picture=False)
        return [Send(frames, urgent=True)]

    def _hears(self) -> bool:
        return self._config.sound and self._shows() and not self._set.muted

    def _microphone(self) -> list[Order]:
        """On only while somebody listens: a microphone that is off hears nothing."""
        if self._hears() == self._listens:
            return []
        self._listens = self._hears()
        return [Listen(self._listens)]

    def _since(self, at_s: float) -> int:
        return max(0, min(wire.MOST_NUMBER, round(1000 * (at_s - self._began_s))))

    # --- time ---

    def _tick(self, at_s: float) -> list[Order]:
        config = self._config
        if at_s - self._began_s >= config.limit_s:
            return self._stop("time", "")
        if self._ordered is not None and at_s - self._ordered[0] > PICTURE_DUE_S:
            self._ordered = None
        orders: list[Order] = []
        if self._phase in ("greeting", "opening") and at_s - self._heard_s > OPEN_WITHIN_S:
            return self._lost(at_s, "the hub does not answer")
        if self._phase == "connecting" and at_s - self._good_s >= LOST_AFTER_S:
            return self._end("lost", "the hub was not reached")
        if self._phase == "open":
            if at_s - self._heard_s > SILENT_S:
                return self._lost(at_s, "the hub is silent")
            if self._watched.watchers:
                self._watched_s = at_s
            elif at_s - self._watched_s > UNWATCHED_S:
                return [Send(encode(End(why="unwatched")), urgent=True), *self._end("unwatched", "")]
            if at_s - self._ping_s >= PING_EVERY_S:
                self._ping_s = at_s
                self._ping = (self._ping + 1) % wire.MOST_NUMBER
                self._pings[self._ping] = at_s
                orders.append(Send(encode(Ping(self._ping)), urgent=True))
        else:
            self._ping_s = at_s
        return [*orders, *self._more(at_s), *self._tell(at_s)]

    def _count(self, at_s: float, size: int, *, is_picture: bool) -> None:
        self._bytes += size
        self._sent.append((at_s, size, is_picture))

    def _tell(self, at_s: float, *, now: bool = False) -> list[Order]:
        if not now and at_s - self._tell_s < TELL_EVERY_S:
            return []
        self._tell_s = at_s
        self._sent = [each for each in self._sent if at_s - each[0] <= RATE_WINDOW_S]
        columns, rows, quality = self._shown
        flow = LiveFlow(
            is_connected=self._phase == "open",
            watchers=self._watched.watchers,
            is_recorded=self._watched.recorded,
            columns=columns,
            rows=rows,
            quality=quality,
            pictures_a_s=sum(1 for each in self._sent if each[2]) / RATE_WINDOW_S,
            bits_a_s=8 * sum(each[1] for each in self._sent) / RATE_WINDOW_S,
            delay_s=self._pacer.delay_s,
        )
        if flow == self._told:
            return []
        self._told = flow
        return [Tell(flow)]
