"""实时音视频: picture and sound to the centre, on a connection of their own: consented, marked.

`consent` is the room of the machine, pure; `pacing` and `session` decide what goes out, pure; `connection`
and `sources` do it. Nothing here touches the connection, journal or threads of the sync.
"""

from edge.handheld.live.consent import (
    Event,
    HolderChanged,
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
    is_asked,
    is_live,
    mark,
    step,
    view,
)

__all__ = [
    "Event",
    "HolderChanged",
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
    "is_asked",
    "is_live",
    "mark",
    "step",
    "view",
]
