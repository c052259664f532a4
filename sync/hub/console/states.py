"""What stands at a device right now, as its facts say it: a lane that is shut, a belt that runs, a parcel
that waits for its verdict, who has a handheld. Pure; `reading` writes it down."""

from __future__ import annotations

from typing import Final, NamedTuple

from sync.vocabulary.facts import (
    DeviceBack,
    DeviceLost,
    FactData,
    LaneClosed,
    LaneReset,
    LaneStarted,
)
from sync.vocabulary.handheld_facts import (
    DeviceLocked,
    HandheldStarted,
    LiveBegan,
    LiveEnded,
    OfficerSignedIn,
    OfficerSignedOut,
)
from sync.vocabulary.xray_facts import (
    BeltChanged,
    DeskChanged,
    FeedChanged,
    JudgementUndone,
    ParcelGone,
    ParcelSeen,
    ParcelSorted,
    ParcelXRayed,
    StationStarted,
)

STARTED: Final = "started"
PARCEL: Final = "parcel"
LANE: Final = "lane"


class State(NamedTuple):
    what: str
    """`started`, `lane`, `part`, `belt`, `feed`, `desk`, `parcel`, `officer`, `live`."""
    name: str
    """Which of several: a part of the device, a desk, a parcel's number."""
    word: str
    """Empty: it is over."""


def states_of(data: FactData) -> tuple[State, ...]:
    """None for most facts. `started` ends all that stood before it, a lane's closing excepted: that only an
    officer ends (S12)."""
    match data:
        case LaneStarted():
            return (State(STARTED, "", "lane"),)
        case StationStarted():
            return (State(STARTED, "", "station"),)
        case HandheldStarted():
            return (State(STARTED, "", "handheld"),)
        case LaneClosed():
            return (State(LANE, "", data.why or "?"),)
        case LaneReset():
            return (State(LANE, "", ""),)
        case DeviceLost():
            return (State("part", data.device, data.why or "?"),)
        case DeviceBack():
            return (State("part", data.device, ""),)
        case BeltChanged():
            return (State("belt", "", data.state),)
        case FeedChanged():
            return (State("feed", "", "permitted" if data.permitted else "withheld"),)
        case DeskChanged():
            return (State("desk", data.desk, data.officer if data.came else ""),)
        case ParcelSeen():
            return (State(PARCEL, str(data.parcel), "seen"),)
        case ParcelXRayed():
            return (State(PARCEL, str(data.parcel), "judged"),)
        case JudgementUndone():
            return (State(PARCEL, str(data.parcel), "seen"),)
        case ParcelSorted() | ParcelGone():
            return (State(PARCEL, str(data.parcel), ""),)
        case OfficerSignedIn():
            return (State("officer", "", data.officer),)
        case OfficerSignedOut() | DeviceLocked():
            return (State("officer", "", ""),)
        case LiveBegan():
            return (State("live", "", data.officer),)
        case LiveEnded():
            return (State("live", "", ""),)
        case _:
            return ()
