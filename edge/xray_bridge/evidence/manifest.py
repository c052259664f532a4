"""What lies beside a parcel's pictures: `manifest.json`, which names every file by its hash. Values and
JSON only: no file, clock or thread.

The manifest's own SHA-256 stands in the fact `x_ray_evidence_kept` and so in the journal's chain: who
changes a byte of any file, or the manifest, is found by `kakou journal verify --evidence`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edge.xray_bridge.values import Acquisition
from sync.vocabulary.bounds import Count, Hash, HashOrNone, NameList, NameOrNone, Number, Seconds, Words
from sync.vocabulary.codec import Malformed, strict_decoder, to_json
from sync.vocabulary.xray_facts import Millimetres, ParcelSeen, ParcelXRayed, PictureTold, Share

FORMAT: Final = "kakou x-ray manifest 1"
MAX_FILES: Final = 16
MAX_MANIFEST_BYTES: Final = 256 * 1024
MAX_DESCRIPTOR_BYTES: Final = 16 * 1024

Positive = Annotated[float, Meta(ge=0, le=1e9)]
KeepClass = Literal["routine", "held"]


class GoodsSaid(msgspec.Struct, frozen=True, kw_only=True):
    """As much of the declared goods as a parcel is looked for by."""

    enterprise: NameOrNone = ""
    enterprise_name: Words = ""
    skus: NameList = ()
    hs_codes: NameList = ()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the station knows of a parcel, as `KeepEvidence.manifest` carries it: in the words of its own
    facts, so that manifest and journal cannot say two things. Ages count back from the moment it is
    sent."""

    seen: ParcelSeen | None = None
    """At the portal."""
    match: PictureTold | None = None
    """Whose picture it is, by which measure."""
    rule: Words = ""
    """How pictures are matched here: `leading and trailing edge within 60 mm, length, unique`."""
    confidence: Share | None = None
    length_by_eye_mm: Millimetres | None = None
    length_by_picture_mm: Millimetres | None = None
    belt_mm_s: Positive | None = None
    goods: GoodsSaid | None = None
    machine: ParcelXRayed | None = None
    """What the analysis alone came to."""
    machine_ago_s: Seconds | None = None
    judged: ParcelXRayed | None = None
    """What a person, or the lack of one, made of it; None while nobody has. Its `preview` is not kept
    twice."""
    judged_ago_s: Seconds | None = None
    descriptor: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    """By which similar pictures are found: the analysis' own, opaque here."""


class FileNamed(msgspec.Struct, frozen=True):
    """A file beside the manifest."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    sha256: Hash
    size_bytes: Count
    goes_up: bool = False
    """The centre gets it as a blob."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What took the picture."""

    device: Words = ""
    maker: Words = ""
    model: Words = ""
    serial: Words = ""
    software: Words = ""
    kv_peak: Positive = 0.0
    """0: not known, here and below."""
    tube_current_ua: Positive = 0.0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How a picture was taken: all that is said of it beside its pixels, and what a report made later needs.

    Lines stand side by side along the belt: a column is a line, a row runs along the belt."""

    picture: NameOrNone
    width_px: Annotated[int, Meta(ge=1, lt=65_536)]
    """Along the belt."""
    height_px: Annotated[int, Meta(ge=1, lt=65_536)]
    taken_utc: Words
    machine: Machine = Machine()
    acquisition: Acquisition = Acquisition.SUCCESSFUL
    column_mm: Positive = 1.0
    """Of the belt, a pixel."""
    row_mm: Positive = 1.0
    spacing_says: Words = "encoder and detector pitch"
    low_kev: Positive = 60.0
    high_kev: Positive = 96.0
    """Mean detected energies; the defaults are a 160 kVp sandwich detector's (docs/xray-evidence.md)."""
    calibrated_utc: Words = ""
    """Empty: nobody said when."""
    belt_mm_s: Positive = 0.0
    belt_height_mm: Positive = 0.0
    took_ms: Positive = 0.0
    air_low: Count = 0
    air_high: Count = 0
    """Pixel value of the empty belt."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One version of what is kept of one picture. A later judgement is a later version, which names the
    hash of the one before; nothing is ever written over."""

    format: Literal["kakou x-ray manifest 1"] = FORMAT
    station: NameOrNone
    picture: NameOrNone
    version: Number = 1
    former_sha256: HashOrNone = ""
    """Of the version before; empty in the first."""
    day: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """Of the first version: the folder."""
    parcel: Count
    waybill_no: NameOrNone = ""
    association: Words
    verdict: Words
    keep_class: KeepClass = "routine"
    taken: Taken
    machine_utc: Words = ""
    judged_utc: Words = ""
    kept_utc: Words
    clock_uncertainty_ms: int = -1
    """-1: nobody vouches for the clock."""
    said: Said
    files: Annotated[tuple[FileNamed, ...], Meta(max_length=MAX_FILES)]


read_said = strict_decoder(Said)
"""Raises `Malformed`."""

_read = strict_decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """Deterministic: the same values give the same bytes. Indented, for people read it too."""
    return msgspec.json.format(to_json(manifest), indent=1) + b"\n"


def read(data: bytes) -> Manifest:
    """Raises `Malformed`."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise Malformed(f"Manifest: expected at most {MAX_MANIFEST_BYTES} bytes, got {len(data)}")
    manifest = _read(data)
    names = [file.name for file in manifest.files]
    if len(set(names)) != len(names):
        raise Malformed("Manifest: expected every file named once")
    return manifest


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest_name(version: int) -> str:
    """`manifest.json`, `manifest-2.json`, ..."""
    return "manifest.json" if version == 1 else f"manifest-{version}.json"
