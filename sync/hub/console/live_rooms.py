"""What handhelds show, held for browsers: one connection to the hub's live endpoint for each officer who
watches, its last picture, and some seconds of its sound. Sound is given out on request only; what is kept is
kept by a second watcher that is marked as keeping, so that the handheld shows it.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from sync.hub.archive import Archive, CentreAct
from sync.hub.centre import FINAL, By, give, later
from sync.hub.console.context import Console, Session
from sync.hub.console.refusing import words_of
from sync.hub.console.words import WORDS
from sync.hub.console.words.details import as_told
from sync.hub.live_saving import SavedLive
from sync.hub.live_watching import Watching, WatchRefused, sessions
from sync.link.live_wire import SAMPLES_A_S, Announced, Codec, End, Picture, Sound, State
from sync.store.journal import utc_now
from sync.vocabulary.commands import LONGEST_LIVE_S, LiveRequest
from sync.vocabulary.rulings import Text

MOST_ROOMS: Final = 24
SOUND_KEPT_S: Final = 4.0
UNSEEN_S: Final = 10.0
"""No browser took a picture or asked how it stands for so long: nobody watches."""
ANSWER_WITHIN_S: Final = 30
MORE_S: Final = 15
"""A command waits for the officer and for its way there and back."""
LOOK_EVERY_S: Final = 0.5
ASK_EVERY_S: Final = 1.0
"""However many look at the page, the endpoint is asked so often what is shown."""


class LiveRefused(ValueError):
    """The key of the words that say why, and what goes into them."""

    def __init__(self, key: str, *more: object) -> None:
        super().__init__(key, *more)
        self.key = key
        self.more = more


@dataclass(frozen=True, slots=True)
class LiveWish:
    ask: bool
    sound: bool
    keep: bool
    """With `ask`: the officer is asked for that too."""
    minutes: int
    reason: str


def over_words(code: str, detail: str = "") -> Text:
    """Why it is over, by the live contract's word for it, and what was said beside."""
    zh, en = WORDS.get(f"live.ended.{code}", (code, code))
    if not detail:
        return Text(zh, en)
    return Text(f"{zh}（{as_told(detail, 'zh')}）", f"{en} ({as_told(detail, 'en')})")


class Room:
    """One officer watches one handheld. A thread of its own; the other methods on any."""

    def __init__(self, console: Console, session: Session, device: str, wish: LiveWish) -> None:
        self.device = device
        self.session = session
        self.wish = wish
        self.command_id = secrets.token_hex(16) if wish.ask else ""
        self.announced: Announced | None = None
        self.state = State()
        self.ended: Text | None = None
        """Why it is over."""
        self.keeper: Keeper | None = None
        self.asked = "waiting" if wish.ask else "connecting"
        """How far the request is: as its command stands."""
        self.answer_until_utc = later(utc_now(), ANSWER_WITHIN_S + MORE_S)
        self._console = console
        self._lock = threading.Lock()
        self._picture: tuple[int, bytes] = (0, b"")
        self._sound: deque[tuple[int, Sound]] = deque()
        self._sounds = 0
        self._seen_s = time.monotonic()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"live-{device}", daemon=True)

    def begin(self) -> None:
        """Raises `CentreRefused`, and keeps nothing then."""
        wish, by = self.wish, By((self.session.officer,), self.wish.reason)
        with self._console.archive() as archive, archive.transaction():
            said = f"{wish.minutes} min, {'asked for' if wish.ask else 'begun by its officer'}"
            archive.add_act(CentreAct(utc_now(), "live_watch", self.device, by.officers, by.reason, said))
            if wish.ask:
                act = LiveRequest(
                    sound=wish.sound,
                    record=wish.keep,
                    answer_within_s=ANSWER_WITHIN_S,
                    limit_s=min(LONGEST_LIVE_S, wish.minutes * 60 + MORE_S),
                )
                give(
                    archive,
                    self.device,
                    act,
                    by,
                    valid_s=ANSWER_WITHIN_S + MORE_S,
                    at_utc=utc_now(),
                    new_id=lambda: self.command_id,
                )
        self._thread.start()

    def seen(self) -> None:
        """A browser is there."""
        self._seen_s = time.monotonic()

    @property
    def unseen_s(self) -> float:
        return time.monotonic() - self._seen_s

    def leave(self) -> None:
        self._leaving.set()

    def picture(self) -> tuple[int, bytes]:
        """Its number, and the JPEG; 0 where none came yet."""
        return self._picture

    def sound_after(self, number: int) -> tuple[int, bytes]:
        """16-bit samples, 8,000 a second, least significant byte first, of what came after `number`; and the
        number of the last of it. A number from elsewhere gives the newest alone."""
        with self._lock:
            newest = self._sounds
            known = [(n, each) for n, each in self._sound if n > number] if 0 <= number <= newest else []
        return newest, b"".join(pcm_of(each.codec, each.samples) for _, each in known)

    def keep(self, reason: str) -> None:
        """From now on; the handheld shows it. Raises `LiveRefused`, `OSError`."""
        announced = self.announced
        if announced is None or self.ended:
            raise LiveRefused("live.not_yet")
        if not announced.may_be_recorded:
            raise LiveRefused("live.may_not_be_kept")
        if self.keeper is not None and not self.keeper.ended:
            raise LiveRefused("live.kept_already")
        self.keeper = Keeper(self._console, self.session.officer, announced, reason)
        self.keeper.begin()

    def _run(self) -> None:
        try:
            wait_s = float(ANSWER_WITHIN_S + MORE_S) if self.wish.ask else 5.0
            watching = Watching(
                self._console.config,
                self.device,
                officer=self.session.officer,
                wait_s=wait_s,
                session=self.command_id,
            )
        except WatchRefused as refused:
            self.ended = refused.text
            return
        try:
            self.ended = self._follow(watching, wait_s) or over_words("time")
        except WatchRefused as refused:
            self.ended = refused.text
        finally:
            # Who asked for it ends it; who only looked leaves.
            watching.end("centre" if self.wish.ask else "stopping")
            if self.keeper is not None:
                self.keeper.stop()
            self._console.pulse.beat()

    def _follow(self, watching: Watching, wait_s: float) -> Text | None:
        looked_s = time.monotonic()
        for message in watching.messages(wait_s + self.wish.minutes * 60.0):
            match message:
                case End(why=why, detail=detail):
                    return over_words(why, detail)
                case Announced():
                    self.announced, self.state = message, message.state
                    self._console.pulse.beat()
                case State():
                    self.state = message
                    self._console.pulse.beat()
                case Picture(jpeg=jpeg):
                    self._picture = (self._picture[0] + 1, jpeg)
                case Sound():
                    self._hear(message)
                case _:
                    pass
            now_s = time.monotonic()
            if now_s - looked_s >= LOOK_EVERY_S:
                looked_s = now_s
                over = self._over()
                if over is not None:
                    return over
        return None

    def _over(self) -> Text | None:
        if self._leaving.is_set():
            return over_words("left")
        if self.unseen_s > UNSEEN_S or not self._console.stands(self.session):
            return over_words("unwatched")
        if self.wish.ask and self.announced is None:
            with self._console.archive() as archive:
                row = archive.command(self.command_id)
            if row is not None and row.state in FINAL and row.state != "done":
                return over_words(row.state, row.why)
            if row is not None and row.state != self.asked:
                self.asked = row.state
                self._console.pulse.beat()
        return None

    def _hear(self, sound: Sound) -> None:
        with self._lock:
            self._sounds += 1
            self._sound.append((self._sounds, sound))
            kept = sum(len(each.samples) for _, each in self._sound)
            while kept > SOUND_KEPT_S * SAMPLES_A_S:
                kept -= len(self._sound.popleft()[1].samples)


class Keeper:
    """A second watcher, marked as keeping: the handheld shows RECORDED as long as it is there."""

    def __init__(self, console: Console, officer: str, announced: Announced, reason: str) -> None:
        self.name = f"{announced.device}-{utc_now()[:19].replace(':', '')}-{secrets.token_hex(3)}.avi"
        self.ended = ""
        self.failed: Text | None = None
        """Why nothing more is kept though nobody ended it."""
        self._console = console
        self._officer = officer
        self._announced = announced
        self._reason = reason
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"keeping-{announced.device}", daemon=True)

    def begin(self) -> None:
        announced, now = self._announced, utc_now()
        self._console.part.live_folder.mkdir(parents=True, exist_ok=True)
        with self._console.archive() as archive, archive.transaction():
            archive.engine.execute(
                "INSERT INTO console_recordings "
                "(name, device, session, shown_by, kept_by, reason, began_utc) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    self.name,
                    announced.device,
                    announced.session,
                    announced.officer,
                    self._officer,
                    self._reason,
                    now,
                ),
            )
            act = CentreAct(now, "live_keep", announced.device, (self._officer,), self._reason, self.name)
            archive.add_act(act)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def wait(self, within_s: float) -> None:
        self._thread.join(within_s)

    def _run(self) -> None:
        try:
            self.ended = self._kept()
        except (WatchRefused, OSError) as error:
            self.failed = words_of(error)
            self.ended = "failed"
        self._console.pulse.beat()

    def _kept(self) -> str:
        watching = Watching(
            self._console.config,
            self._announced.device,
            officer=self._officer,
            record=True,
            wait_s=5.0,
            session=self._announced.session,
        )
        path = self._console.part.live_folder / self.name
        try:
            saved = SavedLive(path, codec=Codec.MU_LAW)
            why = "time"
            try:
                for message in watching.messages(float(LONGEST_LIVE_S)):
                    match message:
                        case End(why=said):
                            why = said
                        case Picture():
                            saved.picture(message)
                        case Sound():
                            saved.sound(message)
                        case _:
                            pass
                    if self._stopping.is_set() or saved.is_full:
                        why = "full" if saved.is_full else "stopped"
                        break
            finally:
                saved.close()
        finally:
            watching.end("stopping")
        self._written(saved.pictures)
        return why

    def _written(self, pictures: int) -> None:
        path = self._console.part.live_folder / self.name
        size, sha256 = 0, ""
        if path.is_file():
            size = path.stat().st_size
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with self._console.archive() as archive, archive.transaction():
            archive.engine.execute(
                "UPDATE console_recordings SET ended_utc = ?, pictures = ?, size_bytes = ?, sha256 = ? "
                "WHERE name = ?",
                (utc_now(), pictures, size, sha256, self.name),
            )
            kept = f"{self.name}: {pictures} pictures, {size} bytes, sha256 {sha256}"
            device = self._announced.device
            archive.add_act(CentreAct(utc_now(), "live_kept", device, (self._officer,), self._reason, kept))


class LiveRooms:
    """Of all officers who watch. Any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._rooms: dict[tuple[str, str], Room] = {}
        self._asking = threading.Lock()
        self._asked_s = -1e9
        self._shown: tuple[tuple[Announced, ...], Text | None] = ((), None)

    def shown(self, officer: str) -> tuple[tuple[Announced, ...], Text | None]:
        """What handhelds show, at most `ASK_EVERY_S` old; or why that is not known."""
        with self._asking:
            if time.monotonic() - self._asked_s >= ASK_EVERY_S:
                try:
                    self._shown = sessions(self._console.config, officer), None
                except WatchRefused as refused:
                    self._shown = (), words_of(refused)
                self._asked_s = time.monotonic()
            return self._shown

    def of(self, session: Session, device: str) -> Room | None:
        return self._rooms.get((session.cookie, device))

    def begin(self, session: Session, device: str, wish: LiveWish) -> Room:
        """Another of the same officer and device is left first. Raises `LiveRefused`, `CentreRefused`."""
        with self._lock:
            self._rooms = {
                key: room for key, room in self._rooms.items() if not room.ended or room.unseen_s < UNSEEN_S
            }
            before = self._rooms.pop((session.cookie, device), None)
            if before is not None:
                before.leave()
            if sum(1 for room in self._rooms.values() if not room.ended) >= MOST_ROOMS:
                raise LiveRefused("live.crowded")
            room = Room(self._console, session, device, wish)
            room.begin()
            self._rooms[session.cookie, device] = room
        return room


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    device: str
    shown_by: str
    kept_by: str
    reason: str
    began_utc: str
    ended_utc: str
    pictures: int
    size_bytes: int
    sha256: str


def recordings(archive: Archive, limit: int) -> tuple[Recording, ...]:
    """The latest first."""
    rows = archive.engine.execute(
        "SELECT name, device, shown_by, kept_by, reason, began_utc, ended_utc, pictures, size_bytes, sha256 "
        "FROM console_recordings ORDER BY began_utc DESC, name LIMIT ?",
        (limit,),
    ).fetchall()
    return tuple(Recording(*row) for row in rows)


# --- sound ----------------------------------------------------------------------------------------------


def pcm_of(codec: Codec, samples: bytes) -> bytes:
    """G.711 as 16-bit samples, least significant byte first."""
    values = _values(codec)
    return b"".join([values[code] for code in samples])


@cache
def _values(codec: Codec) -> tuple[bytes, ...]:
    """Every code's value (ITU-T G.711, tables 1a to 2b), as two bytes."""
    value: Callable[[int], int] = _mu_value if codec is Codec.MU_LAW else _a_value
    return tuple(struct.pack("<h", value(code)) for code in range(256))


def _mu_value(code: int) -> int:
    """14 bits, moved up to 16. All bits of a code are sent inverted."""
    code ^= 0xFF
    value = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return 4 * (-value if code & 0x80 else value)


def _a_value(code: int) -> int:
    """13 bits, moved up to 16. Even bits of a code are sent inverted."""
    code ^= 0x55
    segment, low = code >> 4 & 7, ((code & 15) << 4) + 8
    value = low if segment == 0 else (low + 0x100) << (segment - 1)
    return value if code & 0x80 else -value
