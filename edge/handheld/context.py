"""What every room of the handheld may know while it decides: who holds the device, where it stands, how old
its records are. A value, made anew for each step. No clock is read here.
"""

from __future__ import annotations

import enum

import msgspec

from sync.vocabulary.records import Site


class Language(enum.StrEnum):
    ZH = "zh"
    EN = "en"


class Hand(enum.StrEnum):
    LEFT = "left"
    RIGHT = "right"


class Theme(enum.StrEnum):
    DARK = "dark"
    SUNLIGHT = "sunlight"
    """Black on white, for glare."""


class ScannerSource(enum.StrEnum):
    CAMERA = "camera"
    SERIAL = "serial"
    WEDGE = "wedge"
    INTENT = "intent"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the person holding the device chose. Kept with the rest of the memory."""

    language: Language = Language.ZH
    hand: Hand = Hand.RIGHT
    gloves: bool = False
    """Touch targets of 64 dp instead of 48."""
    theme: Theme = Theme.DARK
    sound: bool = True
    vibration: bool = True
    source: ScannerSource = ScannerSource.CAMERA


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    officer_no: str
    authorisations: tuple[str, ...] = ()
    """施检授权 and roles, such as `inspect`, `manual_release`, `patrol`, `stock_take`."""
    since_s: float
    """Monotonic."""
    public_key: str = ""
    """Of the roster's entry the PIN was proved by: a number may be given to somebody else."""


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    per_cent: int | None = None
    charging: bool = False


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of the sync at all times."""

    online: bool = False
    unsent: int = 0
    """Facts not acknowledged."""
    unsent_blobs: int = 0
    records_epoch: str = ""
    records_number: int = 0
    records_age_s: float | None = None
    """Since the last verified head; None: unknown, which counts as too old (S10)."""
    told_s: float = 0.0
    """Monotonic: when all this was so."""

    def age_s(self, at_s: float) -> float | None:
        """Of the records at a later moment."""
        return None if self.records_age_s is None else self.records_age_s + max(0.0, at_s - self.told_s)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    at_s: float
    """Monotonic, of the event that is being stepped."""
    utc: str
    """UTC text of the same moment; shown and written, never reckoned with (G7)."""
    device: str
    key_id: str = ""
    """Of the device's signing key."""
    officer: SignedIn | None = None
    settings: Settings = Settings()
    site: Site | None = None
    sync: Sync = Sync()
    battery: Battery = Battery()
    ended_orders: tuple[tuple[str, str], ...] = ()
    """(inspection order, handling) this device has made a finding of: the records may not know it yet."""
    is_live: bool = False
    """Picture or sound goes to the centre right now: shown on every screen."""

    def may(self, authorisation: str) -> bool:
        return self.officer is not None and authorisation in self.officer.authorisations
