"""The scripted receiver of live picture and sound: asks or waits, watches, keeps, counts.

What `kakou centre live` does; a page will do the same. Who watches, and whether it is kept, is an act in the
archive and stands on the handheld's screen.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sync.hub.archive import Archive, CentreAct
from sync.hub.centre import FINAL, By, give
from sync.hub.config import HubConfig
from sync.hub.live_saving import SavedLive
from sync.hub.live_watching import Watching, WatchRefused
from sync.link.live_wire import Announced, Codec, End, Picture, Sound
from sync.store.journal import utc_now
from sync.vocabulary.commands import (
    LEAST_ANSWER_S,
    LONGEST_ANSWER_S,
    LONGEST_LIVE_S,
    LONGEST_VALID_S,
    LiveRequest,
)

MORE_S: Final = 15
"""A command waits for the officer and for its way there and back."""
MOST_SIZES: Final = 32


@dataclass(frozen=True, slots=True)
class Wish:
    device: str
    by: By
    ask: bool
    for_s: float
    wait_s: float
    save: Path | None
    sound: bool = True


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of it."""

    device: str
    session: str
    officer: str
    """Who showed it."""
    answer: str
    """Of the command, where there was one: its last state, and why."""
    seconds: float
    first_picture_s: float | None
    """After the session was there."""
    pictures: int
    picture_bytes: int
    pictures_a_s: float
    sizes: tuple[str, ...]
    longest_gap_s: float
    sound_s: float
    sound_missing: int
    """Packets whose numbers were left out."""
    ended: str
    saved: str

    def line(self) -> str:
        if not self.session:
            return f"nothing came from {self.device}: {self.ended or self.answer or 'nobody began a session'}"
        return (
            f"{self.device}  {self.session}  officer {self.officer}  {self.seconds:.1f} s  "
            f"{self.pictures} pictures ({self.pictures_a_s:.1f}/s, {', '.join(self.sizes)})  "
            f"{self.sound_s:.1f} s of sound, {self.sound_missing} packets missing  {self.ended}"
            f"{'  ' + self.saved if self.saved else ''}"
        ).rstrip()


def watch(config: HubConfig, archive: Archive, wish: Wish) -> Watched:
    """Raises `WatchRefused`, `sync.hub.centre.CentreRefused`, `OSError`."""
    command_id = secrets.token_hex(16) if wish.ask else ""
    wait_s = min(wish.wait_s + (MORE_S if wish.ask else 0), 600.0)
    watching = Watching(
        config,
        wish.device,
        officer=wish.by.officers[0],
        record=wish.save is not None,
        wait_s=wait_s,
        session=command_id,
    )
    seen = _Seen(wish, Codec.MU_LAW)
    try:
        _written_down(archive, wish)
        if wish.ask:
            _ask(archive, wish, command_id)
        ended = _follow(watching, archive, wish, command_id, wait_s, seen)
        # Who asked for it ends it; who only looked leaves.
        watching.end("centre" if wish.ask else "stopping")
    finally:
        watching.close()
        seen.close()
    return seen.told(ended, _answer(archive, command_id))


def _written_down(archive: Archive, wish: Wish) -> None:
    what = f"{wish.for_s:.0f} s, {'kept' if wish.save is not None else 'not kept'}"
    with archive.transaction():
        archive.add_act(
            CentreAct(utc_now(), "live_watch", wish.device, wish.by.officers, wish.by.reason, what)
        )


def _ask(archive: Archive, wish: Wish, command_id: str) -> None:
    answer_s = max(LEAST_ANSWER_S, min(LONGEST_ANSWER_S, round(wish.wait_s)))
    act = LiveRequest(
        sound=wish.sound,
        record=wish.save is not None,
        answer_within_s=answer_s,
        limit_s=max(1, min(LONGEST_LIVE_S, round(wish.for_s) + MORE_S)),
    )
    valid_s = min(LONGEST_VALID_S, answer_s + MORE_S)
    give(
        archive,
        wish.device,
        act,
        wish.by,
        valid_s=valid_s,
        at_utc=utc_now(),
        new_id=lambda: command_id,
    )


def _follow(
    watching: Watching, archive: Archive, wish: Wish, command_id: str, wait_s: float, seen: _Seen
) -> str:
    """Why it ended; empty: the time was over."""
    looked_s = time.monotonic()
    for message in watching.messages(wait_s + wish.for_s):
        now_s = time.monotonic()
        match message:
            case End(why=why, detail=detail):
                return f"{why} {detail}".strip()
            case Announced():
                seen.announced(message, now_s)
            case Picture():
                seen.picture(message, now_s)
            case Sound():
                seen.sound(message)
            case _:
                pass
        if seen.is_over(now_s):
            return ""
        if wish.ask and seen.began_s is None and now_s - looked_s >= 0.25:
            looked_s = now_s
            row = archive.command(command_id)
            if row is not None and row.state in FINAL and row.state != "done":
                return f"{row.state}: {row.why}"
    return ""


def _answer(archive: Archive, command_id: str) -> str:
    row = archive.command(command_id) if command_id else None
    return "" if row is None else f"{row.state} {row.why}".strip()


class _Seen:
    """Counts, and keeps where it is to be kept."""

    def __init__(self, wish: Wish, codec: Codec) -> None:
        self._wish = wish
        self._saved = None if wish.save is None else SavedLive(wish.save, codec=codec)
        self._announced: Announced | None = None
        self.began_s: float | None = None
        self._first_s: float | None = None
        self._last_s = 0.0
        self._now_s = 0.0
        self._gap_s = 0.0
        self._pictures = self._bytes = self._samples = self._missing = 0
        self._sizes: dict[str, None] = {}
        self._next_sound: int | None = None

    def announced(self, announced: Announced, now_s: float) -> None:
        self._announced = announced
        if self.began_s is None:
            self.began_s = self._last_s = self._now_s = now_s

    def picture(self, picture: Picture, now_s: float) -> None:
        self._pictures += 1
        self._bytes += len(picture.jpeg)
        if self._first_s is None:
            self._first_s = now_s
        else:
            self._gap_s = max(self._gap_s, now_s - self._last_s)
        self._last_s = now_s
        if len(self._sizes) < MOST_SIZES:
            self._sizes[f"{picture.columns}x{picture.rows}"] = None
        if self._saved is not None:
            self._saved.picture(picture)

    def sound(self, sound: Sound) -> None:
        if self._next_sound is not None and sound.seq > self._next_sound:
            self._missing += sound.seq - self._next_sound
        self._next_sound = sound.seq + 1
        self._samples += len(sound.samples)
        if self._saved is not None:
            self._saved.sound(sound)

    def is_over(self, now_s: float) -> bool:
        self._now_s = now_s
        return self.began_s is not None and now_s - self.began_s >= self._wish.for_s

    def close(self) -> None:
        if self._saved is not None:
            self._saved.close()

    def told(self, ended: str, answer: str) -> Watched:
        seconds = 0.0 if self.began_s is None else self._now_s - self.began_s
        first_s = None if self._first_s is None or self.began_s is None else self._first_s - self.began_s
        return Watched(
            device=self._wish.device,
            session="" if self._announced is None else self._announced.session,
            officer="" if self._announced is None else self._announced.officer,
            answer=answer,
            seconds=round(seconds, 2),
            first_picture_s=None if first_s is None else round(first_s, 3),
            pictures=self._pictures,
            picture_bytes=self._bytes,
            pictures_a_s=round(self._pictures / seconds, 2) if seconds else 0.0,
            sizes=tuple(self._sizes),
            longest_gap_s=round(self._gap_s, 2),
            sound_s=round(self._samples / 8000, 2),
            sound_missing=self._missing,
            ended=ended,
            saved="" if self._wish.save is None or not self._pictures else str(self._wish.save),
        )


__all__ = ["WatchRefused", "Watched", "Wish", "watch"]
