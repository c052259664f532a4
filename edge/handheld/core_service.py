"""The core behind its socket, for a glass in another process or on another thread: Android's service, a PC's
thread. Neither screen nor sensor.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge import VERSION
from edge.handheld.app import View
from edge.handheld.config import HandheldConfig
from edge.handheld.joint.codec import Codec
from edge.handheld.joint.core_end import CoreEnd
from edge.handheld.joint.marks import Mark
from edge.handheld.performer import GlassEffect
from edge.handheld.terminal import EVENTS
from edge.handheld.vault import Keystore
from edge.handheld.wiring import Core
from edge.runtime.clock import Clock

CODEC: Final = Codec(events=EVENTS, views=View, effects=GlassEffect)
"""What may travel between the halves."""


class _JoinedGlass:
    """Whatever glass there is at the other end."""

    def __init__(self, end: CoreEnd) -> None:
        self._end = end

    def show(self, shown: View) -> None:
        self._end.show(shown)

    def ask(self, effect: GlassEffect) -> bool:
        return self._end.ask(effect)

    def done(self, mark: Mark) -> None:
        self._end.done(mark)


class CoreService:
    """One core and its end of the joint."""

    def __init__(
        self, config: HandheldConfig, config_path: Path, clock: Clock, *, keystore: Keystore | None = None
    ) -> None:
        """Raises what `Core` raises."""
        self._config = config
        self._core = Core(config, config_path, clock, keystore=keystore)

    @property
    def core(self) -> Core:
        return self._core

    def run(self, begun: Callable[[], None], *, signals: bool = False) -> None:
        """The core's whole life; `begun` is called when it is open and listens."""
        core = self._core
        core.open()
        end = CoreEnd(
            self._config.store.folder,
            CODEC,
            version=VERSION,
            done=core.found_mark(),
            heard=core.heard,
            fetch=core.fetch,
            glass_changed=self._glass_changed,
        )
        end.start()
        try:
            begun()
            core.run(_JoinedGlass(end), signals=signals)
        finally:
            end.stop("the program ends")

    def stop(self) -> None:
        self._core.stop()

    def _glass_changed(self, there: bool) -> None:
        """A glass that came is shown the newest view by its end of the joint."""
