"""Carries out what `consent` orders: one session at a time. Decides nothing; never waits.

For the handheld's performer: give it `GoLive`, `SetLive` and `EndLive`, and put what it tells into the inbox.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from edge.handheld.effects import EndLive, GoLive, SetLive
from edge.handheld.live.connection import LiveConnection, LivePlace, Told
from edge.handheld.live.consent import LiveClosed
from edge.handheld.live.pacing import PacingConfig
from edge.handheld.live.session import DEFAULT_PACING, SessionConfig, Stop
from edge.handheld.live.sources import PictureSource, SoundSource
from sync.link.keys import Signer


class LivePerformer:
    """`pictures` and `sound` are asked for sources when a session begins; no sound: None."""

    def __init__(
        self,
        place: LivePlace | None,
        *,
        site: str,
        device: str,
        signer: Signer,
        pictures: Callable[[], PictureSource],
        sound: Callable[[], SoundSource | None],
        utc_now: Callable[[], str],
        told: Told,
        pacing: PacingConfig = DEFAULT_PACING,
    ) -> None:
        self._place = place
        self._site = site
        self._device = device
        self._signer = signer
        self._pictures = pictures
        self._sound = sound
        self._utc_now = utc_now
        self._told = told
        self._pacing = pacing
        self._session = ""
        self._connection: LiveConnection | None = None
        self._busy = False

    def perform(self, effect: GoLive | SetLive | EndLive) -> None:
        match effect:
            case GoLive():
                self._go(effect)
            case SetLive(session, muted, hidden):
                if self._connection is not None and session == self._session:
                    self._connection.set(muted=muted, hidden=hidden)
            case EndLive(session):
                if self._connection is not None and session == self._session:
                    # Why is the room's to say: it knows, and writes it down.
                    self._connection.stop(Stop("officer"))
            case _:
                assert_never(effect)

    def sync_busy(self, busy: bool) -> None:
        """Facts or records wait for the line: they go first. Cheap; call it whenever it changes."""
        if busy is not self._busy:
            self._busy = busy
            self._tell_busy()

    def close(self) -> None:
        """The program ends: so does the session."""
        if self._connection is not None:
            self._connection.stop(Stop("failed"))
            self._connection.join()

    def _go(self, wanted: GoLive) -> None:
        if self._place is None:
            self._told(LiveClosed(wanted.session, "failed", "this device has no table [live]"))
            return
        if self._connection is not None:
            self._connection.stop(Stop("officer"))
        sound = self._sound() if wanted.sound else None
        config = SessionConfig(
            site=self._site,
            device=self._device,
            session=wanted.session,
            officer=wanted.officer,
            sound=sound is not None,
            may_be_recorded=wanted.may_be_recorded,
            limit_s=wanted.limit_s,
            began_utc=self._utc_now(),
            pacing=self._pacing,
        )
        self._session = wanted.session
        self._connection = LiveConnection(
            self._place, config, self._signer, self._pictures(), sound, self._told
        )
        self._connection.start()
        self._tell_busy()

    def _tell_busy(self) -> None:
        if self._connection is not None:
            self._connection.sync_busy(self._busy)
