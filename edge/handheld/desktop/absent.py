"""What a PC does not have, behind ports that say so by doing nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class NoMotor:
    def vibrate(self, pulses_ms: Sequence[int]) -> None:
        """Nothing moves."""


class NoScanService:
    """Scan engines of a PC are serial or type like a keyboard; both are heard elsewhere."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""


class OwnDisplay:
    """The desktop's own settings stand."""

    def keep_awake(self, on: bool) -> None:
        """Left to the desktop."""

    def conceal(self, on: bool) -> None:
        """A PC's windows can be photographed anyway."""

    def brightness(self, share: float | None) -> None:
        """Left to the desktop."""


class AllGranted:
    """Whoever starts a program on a PC allows it everything."""

    def missing(self, wanted: Sequence[str]) -> tuple[str, ...]:
        return ()

    def ask(self, wanted: Sequence[str], told: Callable[[tuple[str, ...]], None]) -> None:
        told(())


class AlwaysAwake:
    def hold(self, longest_s: float) -> None:
        """A PC that sleeps was told to."""

    def let_go(self) -> None:
        """As above."""
