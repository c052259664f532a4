"""How late a device tells something, by the time it writes into its messages. Its clock may show anything:
only how the two clocks differ from one message to the next counts. Knows no device; reads no clock.
"""

from __future__ import annotations

DRIFT = 0.0005
"""Share by which two clocks may run apart; cheap quartz in the cold stays under a fifth of it."""
STEPPED_AFTER = 3
"""So many messages in a row that are late by the same time: the device's clock was set back."""
SAME_S = 0.5
FRESH_S = 2.0
"""Clocks that tell whole seconds jump by one; nobody minds two."""


class DeviceClock:
    """Shared by the drivers of one device's connections; the state is one tuple, replaced whole."""

    def __init__(self) -> None:
        self._state: tuple[float, float, tuple[float, ...]] | None = None
        """(our time less the device's at its least, when that was, the same of the late ones in a row)"""

    def age_s(self, at_s: float, device_s: float | None) -> float | None:
        """How long before `at_s` the device wrote it, at least. None where it says no time.

        The first message counts as fresh, and so does every one that is younger than all before it: a link
        can only delay. Where the device's clock is set back, the first messages after that count as late.
        """
        if device_s is None:
            return None
        offset_s = at_s - device_s
        if self._state is None:
            self._state = (offset_s, at_s, ())
            return 0.0
        least_s, since_s, late = self._state
        age_s = offset_s - least_s - DRIFT * max(0.0, at_s - since_s)
        if age_s <= 0.0:
            self._state = (offset_s, at_s, ())
            return 0.0
        if age_s <= FRESH_S:
            self._state = (least_s, since_s, ())
            return age_s
        late = (*late, offset_s) if not late or abs(offset_s - late[0]) <= SAME_S else (offset_s,)
        if len(late) < STEPPED_AFTER:
            self._state = (least_s, since_s, late)
            return age_s
        self._state = (min(late), at_s, ())
        return offset_s - min(late)
