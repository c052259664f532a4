"""Values that several rooms of the X-ray bridge share. Plain: no array, no device word, no I/O.

Lengths are millimetres along the belt. A position is the encoder's, in millimetres since it was switched on;
it counts back when the belt runs back. An edge of a parcel is named by the belt's position at the moment that
edge stood at the portal's eye: wherever the parcel is, `edge_mm + distance of the place` is where the belt
stands when the edge passes that place.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sync.vocabulary.records import XRayVerdict
from sync.vocabulary.rulings import Text

Verdict = XRayVerdict
"""passed, flagged, recheck: every parcel is exactly one of them (docs/reconciliation.md)."""


class Association(enum.StrEnum):
    """How sure it is whose picture this is. Only `matched` may pass by itself."""

    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    UNMATCHED = "unmatched"
    MERGED = "merged"
    """Two parcels or more in one picture."""
    SPLIT = "split"
    """One parcel in several pictures."""


class Eye(enum.StrEnum):
    """Photo-eyes along the belt, in its direction."""

    PORTAL = "portal"
    XRAY = "xray"
    DIVERTER = "diverter"
    PASS_CHUTE = "pass_chute"  # noqa: S105
    FLAG_CHUTE = "flag_chute"
    RECHECK_CHUTE = "recheck_chute"


class Chute(enum.StrEnum):
    PASS = "pass"  # noqa: S105
    FLAG = "flag"
    RECHECK = "recheck"


class Acquisition(enum.StrEnum):
    """What the machine says of its own picture (DICOS 4010,1044)."""

    SUCCESSFUL = "successful"
    JAM = "jam"
    OVERSIZE = "oversize"
    SLIP = "slip"
    INCOMPLETE = "incomplete"
    CUT = "cut"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand, as distances from the portal's eye in the belt's direction."""

    xray_mm: float
    diverter_mm: float
    chute_mm: float = 0.0
    """From the diverter's eye to the eye in a chute."""
    has_flag_chute: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """Where in a picture, as shares of its width (along the belt) and height, from the upper left."""

    left: float
    top: float
    width: float
    height: float


class Material(enum.StrEnum):
    ORGANIC = "organic"
    LIGHT_INORGANIC = "light_inorganic"
    METAL = "metal"
    IMPENETRABLE = "impenetrable"


@dataclass(frozen=True, slots=True)
class MaterialShare:
    material: Material
    area_share: float
    """Of the object's own area."""
    mass_kg: float | None
    """None where it cannot be told (impenetrable)."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something in the picture worth an officer's look, and why, in words."""

    code: str
    """`heavier`, `other_material`, `other_layout`, `negative_list`, `impenetrable`, ..."""
    words: Text
    z: float | None = None
    box: Box | None = None


class Likeness(enum.StrEnum):
    """On what a comparison stands."""

    SKU_QUANTITY = "sku_quantity"
    """The same article, as many of it as are declared."""
    SKU = "sku"
    """The same article, however many of it."""
    CHAPTER = "chapter"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Compared:
    """One picture against the references of the same goods."""

    on: Likeness
    references: int
    few: bool
    """Fewer than a spread can be told from: of the article or, where a number is declared, of that number."""
    score: float | None
    """Sum of the parts' z-scores; None where there is nothing to compare with."""
    materials_z: float | None = None
    mass_z: float | None = None
    layout_z: float | None = None
    reference_nos: tuple[str, ...] = ()
    """Those to be shown beside the picture, the likest first."""
    of_quantity: int | None = None
    """Of the article's references, those that hold as many as are declared; None: no number is declared.
    Where they are few, all of the article are compared with, and a missing piece may look like fewer."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the picture shows, for triage, for the officer and for the fact."""

    picture: str
    calibration: str
    """id of the calibration it was judged with."""
    length_mm: float
    height_mm: float
    mass_kg: float | None
    objects: int
    """Separate things on the belt in this picture; more than one is never passed by itself."""
    cut: bool
    """It touches the first or last line: part of it may be in another picture."""
    shares: tuple[MaterialShare, ...]
    compared: Compared
    suspects: tuple[Suspect, ...] = ()
    noisy: bool = False
    """Materials could not be told well."""
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class DeclaredLine:
    name: str
    sku: str
    hs_code: str
    quantity: str
    unit: str


@dataclass(frozen=True, slots=True)
class Goods:
    """What the records say of a waybill, as far as an X-ray officer needs it."""

    waybill_no: str
    enterprise: str = ""
    enterprise_name: str = ""
    credit: str = ""
    gross_kg: str = ""
    pieces: int = 1
    lines: tuple[DeclaredLine, ...] = ()
    control: str = ""
    """Why it must be looked at by a person, if the records say so; empty: nothing."""
    control_versions: tuple[str, ...] = ()
    quarantine: bool = False
    recalls: tuple[str, ...] = ()
    drawn: bool = False
    """For a spot check at the X-ray rate of its enterprise (S11)."""
    documents_match: bool = True
    records_epoch: str = ""
    records_number: int = 0
    records_age_s: float | None = None
    records_most_age_s: float | None = None
    """What the site's record allows (S10); None: it says nothing."""
    answers_to: str = ""
    """The code they were found by: the waybill's number, a trace code (溯源码), an order's number."""


@dataclass(frozen=True, slots=True)
class Region:
    """Marked by an officer."""

    box: Box
    category: str
    note: str = ""
