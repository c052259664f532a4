"""Everything an X-ray station can be told. Reports, never orders; device words stop before this room.

Every answer carries what it answers (a parcel, a picture, a request), so that a late one cannot be taken for
another's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge.xray_bridge.values import Acquisition, Analysis, Eye, Goods, Region, Verdict
from sync.vocabulary.commands import Command


@dataclass(frozen=True, slots=True)
class BeltRead:
    """The I/O boards' words, polarity resolved; None is unknown (never read, stale, or the board lost)."""

    belt_mm: float | None
    running: bool | None = None
    forward: bool | None = None
    source_on: bool | None = None
    emergency: bool | None = None
    feeding: bool | None = None
    """The infeed gives parcels: our permit, seen at work."""
    origin: int = 0
    """Positions of different origins are never compared: the counter was lost in between."""


@dataclass(frozen=True, slots=True)
class EyeSeen:
    """An eye became blocked or free. `within_mm`: the edge passed that much before `belt_mm` at the most
    (eyes are polled)."""

    eye: Eye
    blocked: bool
    belt_mm: float | None
    within_mm: float = 0.0
    origin: int = 0
    ago_s: float = 0.0
    """It was seen so long before it was told."""


@dataclass(frozen=True, slots=True)
class CodeRead:
    """A whole code at the portal; whether it is a waybill's the station decides."""

    text: str
    belt_mm: float | None
    """Where the belt stood when the reader had it."""
    symbology: str = ""


@dataclass(frozen=True, slots=True)
class NothingRead:
    """The reader was triggered and saw no code, or one that is garbled (S7)."""

    belt_mm: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PictureTaken:
    """A whole picture is in memory. Edges in the belt coordinates of a parcel (the plane's distance is taken
    off); None: the machine could not say where the belt stood."""

    picture: str
    """Its id: unique for ever."""
    leading_mm: float | None
    trailing_mm: float | None
    width_px: int
    height_px: int
    acquisition: Acquisition = Acquisition.SUCCESSFUL
    objects: int = 1
    within_mm: float = 0.0
    late_s: float = 0.0
    """Since the last line was taken."""
    length_mm: float | None = None
    """Of what lies in it, by the machine's own count, also where its place is not known; None: nothing lies
    in it, or it was taken before the start."""


@dataclass(frozen=True, slots=True)
class PictureLost:
    """Lines are missing, a file cannot be read, the stream was cut: there was a picture, and it is no use."""

    why: str
    leading_mm: float | None = None
    trailing_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Analysed:
    picture: str
    parcel: int
    analysis: Analysis


@dataclass(frozen=True, slots=True)
class AnalysisFailed:
    picture: str
    parcel: int
    why: str


@dataclass(frozen=True, slots=True)
class GoodsFound:
    """None: no record knows the waybill."""

    parcel: int
    request: int
    goods: Goods | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An officer's key. `picture` is the one that was on the screen: a judgement of another is refused."""

    parcel: int
    picture: str
    officer: str
    desk: str
    verdict: Verdict
    category: str = ""
    note: str = ""
    regions: tuple[Region, ...] = ()
    took_s: float = 0.0
    """From the picture on the screen to the key, as the desk measured it."""
    command_id: str = ""
    """The desk's own number of this press, to be given back in `AnswerDesk`."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The last judgement of this parcel is taken back, while the belt allows it."""

    parcel: int
    officer: str
    desk: str
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """The picture is on a desk's screen: judging time begins."""

    parcel: int
    picture: str
    desk: str


@dataclass(frozen=True, slots=True)
class OfficerCame:
    """Signed in at a desk (a page of this station, or a remote one)."""

    desk: str
    officer: str
    authorisations: tuple[str, ...] = ()
    remote: bool = False


@dataclass(frozen=True, slots=True)
class OfficerLeft:
    desk: str
    officer: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class SaveAsked:
    """One key: this picture becomes a reference, or a find (制图—标图—反馈)."""

    parcel: int
    picture: str
    officer: str
    desk: str
    kind: str
    """`reference` or `find`."""
    category: str = ""
    note: str = ""
    regions: tuple[Region, ...] = ()
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class WedgeAsked:
    """An officer puts the step wedge on the belt: the next parcel at the portal is the wedge."""

    on: bool
    """False: taken back, the next one is a parcel again."""
    officer: str
    desk: str
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class ResetAsked:
    """An officer at the station has looked: what was closed, or at fault, may be tried again (S12)."""

    officer: str
    desk: str
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class WedgeChecked:
    ok: bool
    picture: str
    calibration: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class FileUp:
    """A file that the centre is to get; the fact that names it owes it."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EvidenceKept:
    """Every file of the parcel is on disk; `sha256` is the manifest's. Also said of a picture from before a
    restart whose fact was never written: it carries all that the facts need."""

    parcel: int
    picture: str
    sha256: str
    size_bytes: int
    waybill_no: str = ""
    keep_class: str = "routine"
    files: int = 0
    up: tuple[FileUp, ...] = ()


@dataclass(frozen=True, slots=True)
class EvidenceShed:
    """Kept pictures beyond their time, or that the centre has, made room."""

    pictures: tuple[str, ...]
    size_bytes: int
    first_day: str
    last_day: str
    keep_class: str


@dataclass(frozen=True, slots=True)
class Saved:
    """`SavePicture` is done; `entry` is its number in the library and its version there, such as
    `R-000012.1`. Empty: it could not be saved, `why` says it."""

    parcel: int
    picture: str
    kind: str
    entry: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceFailed:
    parcel: int
    picture: str
    why: str


@dataclass(frozen=True, slots=True)
class Room:
    """How much evidence the disk still takes; `ok` False withholds the feed permit."""

    ok: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceLost:
    device: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class DeviceBack:
    device: str


@dataclass(frozen=True, slots=True)
class LinkSeen:
    online: bool


@dataclass(frozen=True, slots=True)
class CommandCame:
    command: Command


@dataclass(frozen=True, slots=True)
class NotPulsed:
    """The pulse of this parcel was not sent, and never will be."""

    parcel: int


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The effect and all after it in that step were not carried out."""

    why: str


class Timer(enum.StrEnum):
    TICK = "tick"


@dataclass(frozen=True, slots=True)
class TimerRang:
    timer: Timer


Event = (
    BeltRead
    | EyeSeen
    | CodeRead
    | NothingRead
    | PictureTaken
    | PictureLost
    | Analysed
    | AnalysisFailed
    | GoodsFound
    | Judged
    | Undone
    | Shown
    | OfficerCame
    | OfficerLeft
    | SaveAsked
    | WedgeAsked
    | ResetAsked
    | WedgeChecked
    | EvidenceKept
    | EvidenceFailed
    | EvidenceShed
    | Saved
    | Room
    | DeviceLost
    | DeviceBack
    | LinkSeen
    | CommandCame
    | NotPulsed
    | WriteFailed
    | TimerRang
)
