"""图像同屏比对: which two pictures of a parcel lie beside each other: declared reference, X-ray, taken, or
the camera as it looks now. Pure; the pictures themselves are aligned by `comparing`, where they are shown.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from edge.handheld.context import Context
from edge.handheld.effects import Commit, Effect, Evidence, LookUp, Sound, TakePhoto, Told, Tone, Wanted
from edge.handheld.events import EffectFailed, EvidenceFailed, EvidenceKept, Found, ParcelFindings, Scanned
from sync.vocabulary.facts import Stream
from sync.vocabulary.handheld_facts import EvidenceTaken
from sync.vocabulary.records import Reference, XRay, XRayVerdict
from sync.vocabulary.rulings import Text

MOST_PICTURES: Final = 24
CAMERA: Final = "camera"
"""The key of the camera as it looks now."""


@dataclass(frozen=True, slots=True)
class ComparisonAsked:
    """Of this parcel; a scan on this page asks the same. `sha256`: a picture on the device to begin with."""

    text: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class PictureChosen:
    side: Literal["left", "right"]
    key: str


@dataclass(frozen=True, slots=True)
class SidesChanged:
    """What was left is right."""


@dataclass(frozen=True, slots=True)
class LayChosen:
    """Beside each other, or the right one over the left with a line to draw across."""

    lay: Literal["beside", "over"]


@dataclass(frozen=True, slots=True)
class DifferencesShown:
    on: bool


@dataclass(frozen=True, slots=True)
class PictureTaken:
    """The camera as it looks now is kept, as evidence, and stands where the camera stood."""


@dataclass(frozen=True, slots=True)
class ComparisonEnded:
    pass


Intent = (
    ComparisonAsked
    | PictureChosen
    | SidesChanged
    | LayChosen
    | DifferencesShown
    | PictureTaken
    | ComparisonEnded
)
Event = Intent | Scanned | Found | EvidenceKept | EvidenceFailed | EffectFailed


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A picture there is."""

    key: str
    name: Text
    kind: Literal["photo", "x_ray"]
    sha256: str = ""
    preview: str = ""
    """A JPEG as base64, from a record."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    request: int = 0
    code: str = ""
    is_looking: bool = False
    begin_with: str = ""
    """sha256 of a picture on the device."""
    pictures: tuple[Kept, ...] = ()
    left: str = ""
    right: str = CAMERA
    lay: Literal["beside", "over"] = "beside"
    shows_differences: bool = False
    photo: int = 0
    """The request of the photo being taken; 0: none."""
    told: Text | None = None


@dataclass(frozen=True, slots=True)
class PictureShown:
    key: str
    name: Text
    kind: Literal["photo", "x_ray", "camera"]
    sha256: str = ""
    preview: bytes = b""
    """A JPEG; where `sha256` names the whole picture and the device has it, that one is better."""


@dataclass(frozen=True, slots=True)
class ComparingView:
    code: str
    """Empty: nothing asked yet."""
    is_looking: bool
    pictures: tuple[PictureShown, ...]
    """All to choose from, the camera last."""
    left: str
    right: str
    """Keys; empty: none chosen."""
    lay: Literal["beside", "over"]
    shows_differences: bool
    may_show_differences: bool
    """Two still pictures of one kind: a photograph and an X-ray picture cannot be subtracted."""
    is_taking: bool
    told: Text | None


def step(state: State, context: Context, event: Event) -> tuple[State, tuple[Effect, ...]]:
    match event:
        case ComparisonAsked(text, sha256):
            return _asked(state, text, sha256)
        case Scanned(text=text):
            return _asked(state, text, "")
        case Found(request, ParcelFindings() as findings) if request == state.request and state.is_looking:
            return _found(state, findings)
        case PictureChosen(side, key) if key == CAMERA or any(each.key == key for each in state.pictures):
            left, right = (key, state.right) if side == "left" else (state.left, key)
            if left == right:
                left, right = state.right, state.left
            return msgspec.structs.replace(state, left=left, right=right, told=None), ()
        case SidesChanged():
            return msgspec.structs.replace(state, left=state.right, right=state.left), ()
        case LayChosen(lay):
            return msgspec.structs.replace(state, lay=lay), ()
        case DifferencesShown(on):
            return msgspec.structs.replace(state, shows_differences=on), ()
        case PictureTaken() if not state.photo and CAMERA in (state.left, state.right):
            number = state.request + 1
            taking = msgspec.structs.replace(state, request=number, photo=number, told=None)
            return taking, (TakePhoto(number, state.code),)
        case EvidenceKept(request) if request == state.photo and state.photo:
            return _kept(state, context, event)
        case EvidenceFailed(request, why) if request == state.photo and state.photo:
            return _not_kept(state, why)
        case EffectFailed(TakePhoto(request=request), why) if request == state.photo and state.photo:
            return _not_kept(state, why)
        case ComparisonEnded():
            return State(request=state.request + 1), ()
        case _:
            return state, ()


def signed_out(state: State) -> State:
    """What was on the screen was for somebody else."""
    return State(request=state.request + 1)


def _asked(state: State, text: str, sha256: str) -> tuple[State, tuple[Effect, ...]]:
    number = state.request + 1
    asked = State(request=number, code=text, is_looking=True, begin_with=sha256, lay=state.lay)
    return asked, (LookUp(number, Wanted.PARCEL, text),)


def _found(state: State, findings: ParcelFindings) -> tuple[State, tuple[Effect, ...]]:
    pictures = [
        *(_x_rayed(n, x_ray) for n, x_ray in enumerate(findings.x_rays) if x_ray.sha256 or x_ray.preview),
        *(_referred(each) for each in findings.references if each.sha256 or each.preview),
    ][: MOST_PICTURES - 1]
    if state.begin_with:
        pictures.append(Kept(key=state.begin_with, name=_taken(1), kind="photo", sha256=state.begin_with))
    references = [each.key for each in pictures if each.key.startswith("reference:")]
    left = (references or [each.key for each in pictures if each.key != state.begin_with] or [""])[0]
    found = msgspec.structs.replace(
        state,
        is_looking=False,
        pictures=tuple(pictures),
        left=left,
        right=state.begin_with or CAMERA,
        told=None if pictures else _NO_PICTURES,
    )
    return found, (Sound(Tone.RELEASE if pictures else Tone.UNKNOWN),)


def _x_rayed(n: int, x_ray: XRay) -> Kept:
    zh, en = _X_RAYED[x_ray.verdict]
    name = Text(f"机检 {x_ray.station} {zh}", f"X-ray {x_ray.station}, {en}")
    return Kept(key=f"x_ray:{n}", name=name, kind="x_ray", sha256=x_ray.sha256, preview=x_ray.preview)


def _referred(reference: Reference) -> Kept:
    title = Text(
        reference.title_zh or reference.sku, reference.title_en or reference.title_zh or reference.sku
    )
    return Kept(
        key=f"reference:{reference.reference_no}",
        name=Text(f"参考图 {title.zh}", f"Reference {title.en}"),
        kind="x_ray" if reference.kind == "x_ray" else "photo",
        sha256=reference.sha256,
        preview=reference.preview,
    )


def _kept(state: State, context: Context, kept: EvidenceKept) -> tuple[State, tuple[Effect, ...]]:
    """In the journal as soon as it is on the disk, and in the camera's place."""
    others = tuple(each for each in state.pictures if each.key != kept.sha256)[: MOST_PICTURES - 1]
    number = 1 + sum(each.key == each.sha256 for each in others)
    picture = Kept(key=kept.sha256, name=_taken(number), kind="photo", sha256=kept.sha256)
    taken = msgspec.structs.replace(
        state,
        photo=0,
        pictures=(*others, picture),
        left=picture.key if state.left == CAMERA else state.left,
        right=picture.key if state.right == CAMERA else state.right,
    )
    told = EvidenceTaken(
        sha256=kept.sha256,
        size_bytes=kept.size_bytes,
        kind="photo",
        subject=state.code,
        officer="" if context.officer is None else context.officer.officer_no,
        waybill_no=state.code,
        taken=kept.taken,
    )
    evidence = (Evidence(kept.sha256, kept.size_bytes),)
    return taken, (Commit((Told(Stream.ROUTINE, told),), evidence),)


def _not_kept(state: State, why: str) -> tuple[State, tuple[Effect, ...]]:
    told = Text(f"照片未保存：{why}", f"The photo was not kept: {why}")
    return msgspec.structs.replace(state, photo=0, told=told), (Sound(Tone.ERROR),)


def _taken(number: int) -> Text:
    """Two photos of one parcel lie beside each other: they are told apart."""
    return Text(f"现场照片 {number}", f"Photo {number}, taken here")


_NO_PICTURES: Final = Text("底账没有此件的图像", "The records have no picture of this parcel")
_X_RAYED: Final = {
    XRayVerdict.PASSED: ("通过", "passed"),
    XRayVerdict.FLAGGED: ("异常", "flagged"),
    XRayVerdict.RECHECK: ("未判", "not judged"),
}


def view(state: State, context: Context) -> ComparingView:
    pictures = tuple(_shown(each) for each in state.pictures)
    kinds = {each.key: each.kind for each in state.pictures}
    both = (kinds.get(state.left), kinds.get(state.right))
    return ComparingView(
        code=state.code,
        is_looking=state.is_looking,
        pictures=(*pictures, PictureShown(CAMERA, Text("相机现在", "Camera now"), "camera")),
        left=state.left,
        right=state.right,
        lay=state.lay,
        shows_differences=state.shows_differences,
        may_show_differences=both[0] is not None and both[0] == both[1],
        is_taking=bool(state.photo),
        told=state.told,
    )


def _shown(kept: Kept) -> PictureShown:
    try:
        preview = base64.b64decode(kept.preview, validate=True)
    except (binascii.Error, ValueError):
        preview = b""
    return PictureShown(kept.key, kept.name, kept.kind, kept.sha256, preview)
