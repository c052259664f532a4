"""What a desk is shown and may say: the judgement contract, for the station's own page and for a remote desk.

Values and their bounds only: no clock, no I/O, no state of the station. `docs/xray-station.md` describes it,
`docs/contract/xray_station.json` is its schema, made from here. Additions are additive; what would break a
desk becomes a new `VERSION` under a new path.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from edge.xray_bridge.values import Association, Goods, Likeness, MaterialShare, Suspect, Verdict
from sync.vocabulary.rulings import Text

VERSION: Final = 1

MOST_IN_HAND: Final = 4
"""Parcels a desk is given at once: the one to judge and those to fetch ahead."""
MOST_QUEUED: Final = 40
MOST_REFERENCES: Final = 6
MOST_REGIONS: Final = 16
MOST_ALARMS: Final = 8
MOST_DESKS: Final = 32
MOST_FOUND: Final = 40

Name = Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$")]
"""Of a desk, a reference, a command."""
PICTURE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,159}$"
PictureId = Annotated[str, Meta(max_length=160, pattern=PICTURE_PATTERN)]
"""Of a picture: a hot folder's is its NAME, `@`, and when it was begun."""
CommandId = Name
"""Made by the desk, new for each press: the same id has one effect, however often it is sent."""
ShortText = Annotated[str, Meta(max_length=64)]
Note = Annotated[str, Meta(max_length=500)]
NO_COMMON_GROUND: Final = "no_common_ground"
"""Code of the refusal of a difference of two pictures that cannot be laid over one another."""
ParcelNo = Annotated[int, Meta(ge=1, le=2**53)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


# --- what a desk is shown -----------------------------------------------------------------------------------


class PictureShown(msgspec.Struct, frozen=True, kw_only=True):
    """A picture by its id: `pictures/{id}/planes.png` never changes."""

    picture: str
    width_px: int
    height_px: int
    mm_per_column: float | None = None
    mm_per_row: float | None = None
    """None: lengths cannot be measured in it."""


class ReferenceShown(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of the same goods that was found good before, to be looked at beside. Where a parcel's
    picture differs from it: `pictures/{id}/differences/{id of this one's picture}.png`; it only locates."""

    reference_no: str
    picture: PictureShown
    words: Text
    """What it is: goods, from when, which version."""
    distance: float | None = None
    """The smaller, the likelier."""
    find: bool = False
    """Not a good one: something was found in it."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    words: Text


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the comparison with the references, as a bar."""

    part: Literal["materials", "mass", "layout"]
    z: float
    """In standard deviations of the references' own spread; above `raised_z` it is told in words."""
    raised: bool
    words: Text


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    on: Likeness
    references: int
    few: bool
    score: float | None
    parts: tuple[Part, ...] = ()
    words: Text
    """On what and on how few references the comparison stands."""


class ParcelShown(msgspec.Struct, frozen=True, kw_only=True):
    """One parcel for an officer. A judgement must name `parcel` and `picture.picture` as shown."""

    parcel: int
    waybill_no: str = ""
    association: Association
    association_words: Text
    picture: PictureShown | None = None
    """None: there is none (yet); such a parcel cannot be passed."""
    goods: Goods | None = None
    """None: no record knows the waybill."""
    why: tuple[Why, ...] = ()
    """Why it came to an officer, the weightiest first."""
    suspects: tuple[Suspect, ...] = ()
    shares: tuple[MaterialShare, ...] = ()
    scores: Scores | None = None
    references: tuple[ReferenceShown, ...] = ()
    length_mm: float | None = None
    height_mm: float | None = None
    mass_kg: float | None = None
    """Told from the picture; `goods.gross_kg` is what was declared."""
    calibration: str = ""
    noisy: bool = False
    may_pass: bool = True
    """False: no verdict of this desk lets it pass (not matched, wedge not valid, no permission); why is in
    `no_pass_words`."""
    no_pass_words: Text | None = None
    second_review: bool = False
    """Another officer has judged it; drawn at random, and their verdict is not shown."""
    left_s: float | None = None
    """Until the last moment a verdict can move the diverter, at the belt's present speed; None while the belt
    stands. Below zero: too late, it goes to recheck."""
    of_s: float | None = None
    """What `left_s` was when it came to a desk: the full bar."""


class QueuedShown(msgspec.Struct, frozen=True, kw_only=True):
    """One place in the queue strip, by deadline."""

    parcel: int
    waybill_no: str = ""
    picture: str = ""
    desk: str = ""
    """In whose hands; empty: nobody's yet."""
    left_s: float | None = None
    state: Literal["analysing", "waiting", "in_hand", "judged", "late"]
    verdict: Verdict | None = None


class JudgedShown(msgspec.Struct, frozen=True, kw_only=True):
    """This desk's last verdicts: what may still be taken back, and what became of each."""

    parcel: int
    waybill_no: str = ""
    verdict: Verdict
    category: str = ""
    undo_left_s: float = 0.0
    """0: it stands."""
    outcome: Literal["undoable", "stands", "done", "late"] = "stands"
    words: Text
    """`done`: the eye in the chute has seen it; `late`: it was judged too late and goes to recheck."""


class PaceShown(msgspec.Struct, frozen=True, kw_only=True):
    """Of this desk's officer. Only they and the shift leader see it."""

    judged: int = 0
    """Since signing in."""
    median_s: float | None = None
    """Judging time, of the last verdicts."""
    floor_s: float = 0.0
    """Below this the line feeds less: a tired officer gets faster at the cost of finds."""
    hurried: bool = False
    at_work_s: float = 0.0
    """Since signing in or the last break."""
    rest_due: bool = False
    rest_words: Text | None = None


class FeedShown(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the infeed may give parcels, and if not, every reason."""

    permitted: bool
    why: tuple[Why, ...] = ()


class BeltShown(msgspec.Struct, frozen=True, kw_only=True):
    """Read from the line's own control; None is unknown."""

    running: bool | None = None
    forward: bool | None = None
    source_on: bool | None = None
    emergency: bool | None = None
    speed_mm_s: float | None = None
    on_belt: int = 0
    words: Text


class WedgeShown(msgspec.Struct, frozen=True, kw_only=True):
    """The step wedge's daily check: without it nothing passes by itself."""

    ok: bool
    due: bool = False
    calibration: str = ""
    valid_until: str = ""
    waiting: bool = False
    """The next picture is the wedge's."""
    words: Text


class AlarmShown(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    """Counts up: a later alarm has a larger one."""
    utc: str
    code: str
    words: Text
    detail: str = ""


class OfficerShown(msgspec.Struct, frozen=True, kw_only=True):
    desk: str
    officer: str
    remote: bool = False
    in_hand: int = 0
    at_work_s: float = 0.0
    rest_due: bool = False


class CountsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Parcels ended since the program started."""

    passed: int = 0
    passed_unseen: int = 0
    """Of those, without an officer."""
    flagged: int = 0
    recheck: int = 0
    late: int = 0
    """Of recheck: because nobody judged in time."""


class DeskPart(msgspec.Struct, frozen=True, kw_only=True):
    """What of the station is one desk's own."""

    desk: str
    officer: str
    in_hand: tuple[ParcelShown, ...] = ()
    """By deadline; the first is to be judged, the others are fetched ahead."""
    judged: tuple[JudgedShown, ...] = ()
    """The newest first."""
    pace: PaceShown = PaceShown()


class StationView(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the whole station: published by its thread, read by any other."""

    station: str
    number: int
    """Counts up with each."""
    at_s: float
    """Monotonic, as the station lived it: how old a view is, is told from this."""
    utc: str
    zone: str = ""
    belt: BeltShown
    feed: FeedShown
    wedge: WedgeShown
    online: bool = False
    records_age_s: float | None = None
    queue: tuple[QueuedShown, ...] = ()
    desks: tuple[DeskPart, ...] = ()
    officers: tuple[OfficerShown, ...] = ()
    alarms: tuple[AlarmShown, ...] = ()
    counts: CountsShown = CountsShown()


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """What a flag may be for; its key is its place in the list, 1 to 9."""

    code: str
    words: Text


class ModeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A way to look at a picture: a table of 65,536 colours, `tables/{table}/{mode}.bin` (red, green, blue,
    class of material for each low code * 256 + high code)."""

    mode: str
    words: Text


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """Which tables of colours there are. `table` names their content: it changes with the calibration and the
    palettes."""

    table: str
    modes: tuple[ModeShown, ...]
    """The first is what a picture is first shown in."""


class DeskView(msgspec.Struct, frozen=True, kw_only=True):
    """The `view` event of a desk's stream: all that its officer sees, whole each time."""

    version: int = VERSION
    station: str
    number: int
    utc: str
    zone: str = ""
    stale_s: float = 0.0
    """Since the station last said anything: a page must not show a hung line as well."""
    belt: BeltShown
    feed: FeedShown
    wedge: WedgeShown
    online: bool = False
    records_age_s: float | None = None
    me: DeskPart
    queue: tuple[QueuedShown, ...] = ()
    officers: tuple[OfficerShown, ...] = ()
    alarms: tuple[AlarmShown, ...] = ()
    counts: CountsShown = CountsShown()
    categories: tuple[Category, ...] = ()
    looks: Looks | None = None


# --- what a desk may say ------------------------------------------------------------------------------------


class Mark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A region an officer marked, as shares of the picture's width and height."""

    left: Share
    top: Share
    width: Share
    height: Share
    category: ShortText = ""
    note: Note = ""


Marks = Annotated[tuple[Mark, ...], Meta(max_length=MOST_REGIONS)]


class Judge(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="judge", tag_field="do"
):
    """The verdict on the picture that was on this desk's screen; on any other it is refused."""

    id: CommandId
    parcel: ParcelNo
    picture: PictureId
    verdict: Verdict
    category: ShortText = ""
    """One of the view's `categories`; needed with `flagged`."""
    note: Note = ""
    regions: Marks = ()
    took_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 0.0
    """From the picture on the screen to the key."""


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="undo", tag_field="do"):
    """This desk's own last verdict on the parcel, while the belt allows it."""

    id: CommandId
    parcel: ParcelNo


class Show(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="shown", tag_field="do"
):
    """The picture is on the screen: judging time begins."""

    id: CommandId
    parcel: ParcelNo
    picture: PictureId


class Save(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="save", tag_field="do"):
    """The picture becomes a reference of its goods, or a find (制图—标图—反馈)."""

    id: CommandId
    parcel: ParcelNo
    picture: PictureId
    kind: Literal["reference", "find"]
    category: ShortText = ""
    note: Note = ""
    regions: Marks = ()


class WedgeNext(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="wedge", tag_field="do"
):
    """The next picture is the step wedge's; `on` false takes it back."""

    id: CommandId
    on: bool = True


class Touched(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="touched", tag_field="do"
):
    """A key was touched: somebody is there. Keeps the desk from locking; nothing else."""

    id: CommandId


class Reset(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="reset", tag_field="do"
):
    """An officer at the station has looked: what was closed, or at fault, may be tried again (S12). Refused
    to a desk that stands elsewhere."""

    id: CommandId


DeskCommand = Judge | Undo | Show | Save | WedgeNext | Reset | Touched


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The `answer` event of a desk's stream: what a command came to."""

    id: str
    parcel: int = 0
    ok: bool
    words: Text | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """202 to a command: the station has it; `again`: it had it before, and nothing more happens."""

    id: str
    again: bool = False


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    officer: Annotated[str, Meta(min_length=1, max_length=32)]
    pin: Annotated[str, Meta(min_length=1, max_length=12)]
    desk: Annotated[str, Meta(max_length=32, pattern=r"^[a-z0-9-]*$")] = ""
    """Empty: the first free one."""
    remote: bool = False
    """Of those that stand elsewhere (集中判图)."""

    def __repr__(self) -> str:
        return f"SignIn(officer={self.officer!r}, desk={self.desk!r}, pin=...)"


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    version: int = VERSION
    station: str
    desk: str
    officer: str
    authorisations: tuple[str, ...] = ()
    token: str
    """To be sent as `X-Kakou-Token` with every command; the cookie alone commands nothing."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every answer from 400 on. `no_common_ground`: two pictures cannot be laid over one another, so
    no difference of them is shown; `words` say why."""

    code: str
    words: Text
    wait_s: float = 0.0


class FoundShown(msgspec.Struct, frozen=True, kw_only=True):
    """One earlier picture that a search found."""

    picture: str
    waybill_no: str = ""
    verdict: Verdict | None = None
    category: str = ""
    sku: str = ""
    enterprise: str = ""
    goods: str = ""
    utc: str = ""
    distance: float | None = None
    """With a search for similar pictures: the smaller the likelier."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    rows: Annotated[tuple[FoundShown, ...], Meta(max_length=MOST_FOUND)] = ()
    more: bool = False


SEARCH_BY: Final = ("waybill", "sku", "enterprise", "picture")

MESSAGES: Final[dict[str, Any]] = {
    "DeskView": DeskView,
    "Answer": Answer,
    "DeskCommand": DeskCommand,
    "Accepted": Accepted,
    "SignIn": SignIn,
    "SignedIn": SignedIn,
    "Refusal": Refusal,
    "Found": Found,
}
"""Name -> type of every message that travels."""
