"""实时音视频: picture and sound to the centre, on a connection of their own, by consent, marked, bounded.

`consent` is the room of the machine, pure; `pacing` and `session` decide what goes out, pure; `connection` and
`sources` do it. Nothing here touches the sync's connection, its journal or its threads.
"""

from edge.handheld.live.consent import (
    Event,
    Intent,
    LiveAccepted,
    LiveBegun,
    LiveChanged,
    LiveClosed,
    LiveDeclined,
    LiveFlow,
    LiveHidden,
    LiveMuted,
    LiveStopped,
    LiveTally,
    LiveView,
    State,
    is_live,
    mark,
    step,
    view,
)

__all__ = [
    "Event",
    "Intent",
    "LiveAccepted",
    "LiveBegun",
    "LiveChanged",
    "LiveClosed",
    "LiveDeclined",
    "LiveFlow",
    "LiveHidden",
    "LiveMuted",
    "LiveStopped",
    "LiveTally",
    "LiveView",
    "State",
    "is_live",
    "mark",
    "step",
    "view",
]
