"""What the page needs of the rest of the bridge, as protocols. Any of it may be called on any thread but the
station's own; nothing of it may wait for the station."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from edge.xray_bridge.contract import Found, Looks
from sync.vocabulary.records import Officer, Site
from sync.vocabulary.rulings import Text

TABLE_BYTES = 65_536 * 4
"""A table of colours: red, green, blue and class of material for each `low * 256 + high`."""

SearchBy = Literal["waybill", "sku", "enterprise", "picture"]


@dataclass(frozen=True, slots=True)
class Differs:
    """Where one picture differs from another."""

    png: bytes
    """8-bit RGB over the whole picture, at half its resolution: red what it has beyond the other, green what
    it lacks of it (255: attenuation 2, 0: as usual), blue 0."""
    common: float
    """0 to 1: what both show, of all that either shows."""


@dataclass(frozen=True, slots=True)
class NotAligned:
    """They cannot be laid over one another: nothing is shown, and why is said."""

    words: Text


class Pictures(Protocol):
    """Pictures of the belt, of the references and of the past, by id. Called on worker threads, but for
    `looks`: may take milliseconds, never raises for what is not there."""

    def planes(self, picture: str) -> bytes | None:
        """PNG, 8-bit RGB: red the low and green the high energy's code (`imaging.tables`), blue 0. What an id
        names never changes."""

    def preview(self, picture: str) -> bytes | None:
        """JPEG, small, in the first look's colours."""

    def difference(self, picture: str, reference: str) -> Differs | NotAligned | None:
        """Where the first differs from the second, by their ids; None: one of them is not there. Takes tens
        of milliseconds: only when somebody asks."""

    def looks(self) -> Looks | None:
        """Which ways to look there are now. At once: called for each view."""

    def table(self, table: str, mode: str) -> bytes | None:
        """`TABLE_BYTES` bytes, of a `Looks.table` that is or was in force."""


class Library(Protocol):
    """References and finds of this station, and its past parcels."""

    def search(self, by: SearchBy, text: str, limit: int) -> Found:
        """The newest, or with `picture` the likeliest first. On a worker thread; never raises."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records say of an officer now."""

    officer: Officer | None
    site: Site | None
    utc: str
    age_s: float | None
    """Of the records since their last verified head; None: not known."""


class Roster(Protocol):
    def standing(self, officer_no: str) -> Standing:
        """On a worker thread."""
