"""What an X-ray station's TOML file may say: one strict reading, everything checked before anything opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge.devices.catalogue import driver_maker, settings_of
from edge.devices.readings import Order, Reading
from edge.devices.settings import SettingsRefused
from edge.linking import ClockPart, Name, Seconds, SpotCheckPart, SyncPart, sync_errors
from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.config_reading import ConfigError, ConfigRefused, read_config
from edge.runtime.supervisor import BackOff, Device
from edge.xray_bridge.values import Layout

DeviceName = Literal["belt", "portal", "portal_second", "xray"]
"""`belt`: the I/O board; `portal`, `portal_second`: barcode readers; `xray`: the machine's line stream."""

Millimetres = Annotated[float, msgspec.Meta(ge=0, le=100_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class StationPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which station this is."""

    id: Name
    """Also the device's name towards the centre."""
    site: Name


class LayoutPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where things stand along the belt: distances from the portal's eye, in the belt's direction."""

    xray_mm: Annotated[float, msgspec.Meta(gt=0, le=100_000)]
    """The plane of the X-ray beam, and the eye at its inlet."""
    diverter_mm: Annotated[float, msgspec.Meta(gt=0, le=100_000)]
    """The eye before the diverter. All the time there is for a judgement lies between the two."""
    chute_mm: Millimetres = 0.0
    """From the diverter's eye to the eyes in the chutes."""
    flag_chute: bool = True
    """False: flagged parcels go down the recheck chute."""


class DevicePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device: what it speaks, and where it is."""

    protocol: str
    """As `kakou frames` names it, such as `xray.belt_io`."""
    serial: SerialAddress | None = None
    """A line or socket we open. Exactly one of `serial` and `listen`."""
    listen: ListenAddress | None = None
    """Where we wait for a device that calls us."""
    silent_after_s: Seconds | None = None
    """Without a valid reading for so long it is silent; leave out for what speaks only when it must."""
    settings: dict[str, Any] = {}
    """Of the protocol's driver; see the device's page."""


class FolderPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hot folder into which the machine, or an adapter beside it, lays its pictures."""

    path: Path
    settings: dict[str, Any] = {}
    """See the hot folder's page."""


class BeltPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a picture is a parcel's: by position and length, never by order."""

    window_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 60.0
    """How far a picture's edge may lie from where the parcel's should be."""
    length_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 50.0
    """How far a picture's length may differ from the parcel's."""
    least_gap_mm: Millimetres = 150.0
    """Parcels nearer to each other are told apart by the rule `near`."""
    near: Literal["ignore", "compose", "discard"] = "discard"
    """`compose`: what is nearer counts as one parcel; `discard`: neither passes by itself; `ignore`: the gap
    is taken for noise of the eye."""
    shortest_mm: Millimetres = 50.0
    """A shorter block of the portal's eye is no parcel."""
    longest_mm: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 1_500.0
    """A longer one is a jam, or several parcels."""
    eye_stale_s: Seconds = 0.6
    """Without a look at the belt's board for so long nothing of the belt is known, and nothing passes."""


class TriagePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may pass without an officer. Everything else goes to one, in time, or to recheck."""

    automatic: bool = True
    """False: an officer judges every parcel."""
    most_score: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = 4.0
    """Of the comparison with references of the same goods; a higher one goes to an officer."""
    least_references: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 5
    """With fewer nothing passes by itself."""
    by_chapter: bool = False
    """True: references of the same HS chapter are enough to pass by."""
    second_per_mille: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 30
    """Of a thousand judgements, how many a second officer reviews, where one is there."""


class JudgingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How officers are given pictures, and when they are too many or the officer too tired."""

    undo_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    """So long a judgement can be taken back, where the belt still allows it."""
    margin_s: Annotated[float, msgspec.Meta(ge=0.05, le=30)] = 0.5
    """A verdict must be durable so long before the parcel is at the diverter."""
    most_waiting: Annotated[int, msgspec.Meta(ge=1, le=200)] = 6
    """More parcels waiting for an officer than this, and the feed permit is withheld."""
    least_median_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.5
    """Officers whose median falls below judge faster than anybody looks: the feed permit is withheld."""
    rotation_min: Annotated[int, msgspec.Meta(ge=1, le=480)] = 20
    """After so long at the desk an officer is reminded to change places."""
    untouched_min: Annotated[int, msgspec.Meta(ge=1, le=480)] = 10
    """A desk nobody touched for so long is signed out."""


class CalibrationPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The step wedge and what was measured with it."""

    folder: Path
    """`calibration.json` in it is the one in use; older ones stay beside it under their ids."""
    wedge_code: str = "KAKOU-WEDGE"
    """The barcode on the wedge: a picture of it is a wedge check, not a parcel."""
    wedge_valid_h: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    """After so long without a good check nothing passes by itself."""


class EvidencePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures and reports of every parcel on this station's disk."""

    folder: Path
    most_gb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    keep_days: Days = 90
    """Of parcels that passed."""
    keep_held_days: Days = 365
    """Of those that were flagged, rechecked or under control."""
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 2_048
    """Less free disk, or nothing that may go: the feed permit is withheld before evidence is lost."""
    upload: Literal["all", "held", "none"] = "held"
    """Whose previews go up to the centre."""
    upload_kb_per_s: Annotated[int, msgspec.Meta(ge=4, le=1_000_000)] = 500


class PicturesPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures in memory, from the machine to the disk."""

    most_mb: Annotated[int, msgspec.Meta(ge=32, le=100_000)] = 512
    """One of 1000 x 800 takes 3.2 MB. A picture for which there is no room is lost, and said to be."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Threads that analyse."""
    columns: Annotated[int, msgspec.Meta(ge=320, le=4096)] = 1_600
    """Wider pictures are shown smaller."""


class LibraryPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reference pictures and finds, by SKU and HS code."""

    folder: Path
    palette: Literal["chinese", "international", "colour-blind"] = "chinese"
    """Colours of materials."""


class DeskPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where an officer judges."""

    name: Name
    remote: bool = False
    """Judges from elsewhere (集中判图)."""


class PagePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The officer's page, served by this station."""

    host: str = "127.0.0.1"
    """The address to listen on. Anything but this machine needs a certificate."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8079
    """0: any free one (for trying out; the log says which)."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    desks: Annotated[tuple[DeskPart, ...], msgspec.Meta(min_length=1, max_length=16)] = (
        DeskPart(name="desk-1"),
    )


class StorePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journal and records of this station."""

    folder: Path
    reserve_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 64
    """Free disk below this: no parcel passes any more, and the station says so (G8)."""
    keep_acknowledged_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class LogPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class PulsePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders to the belt's board; every one is a pulse the board itself ends."""

    divert_s: Annotated[float, msgspec.Meta(ge=0.05, le=10)] = 0.5
    """Of `pass` and `flag`: not longer than the shortest time between two parcels at the diverter."""
    permit_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)] = 1.0
    """Of the feed permit, renewed while it stands."""
    renew_s: Annotated[float, msgspec.Meta(ge=0.05, le=5)] = 0.4


class XRayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One X-ray station."""

    station: StationPart
    layout: LayoutPart
    devices: dict[DeviceName, DevicePart]
    folder: FolderPart | None = None
    """Instead of `devices.xray`."""
    sync: SyncPart
    store: StorePart
    evidence: EvidencePart
    calibration: CalibrationPart
    library: LibraryPart
    belt: BeltPart = BeltPart()
    triage: TriagePart = TriagePart()
    judging: JudgingPart = JudgingPart()
    pulses: PulsePart = PulsePart()
    pictures: PicturesPart = PicturesPart()
    page: PagePart = PagePart()
    spot_check: SpotCheckPart | None = None
    """Without it nobody is drawn at the X-ray rate of its enterprise."""
    clock: ClockPart = ClockPart()
    log: LogPart = LogPart()
    back_off: BackOff = BackOff()


LONGEST_SILENCE_S = 3.0
"""A belt's board that is silent for longer leaves parcels unwatched."""


def read_xray_config(path: Path) -> XRayConfig:
    """Raises `ConfigRefused` with every error: of shape, and of what must fit together."""
    config = read_config(path, XRayConfig)
    errors = [
        *_layout_errors(config),
        *_device_errors(config),
        *_pulse_errors(config),
        *_page_errors(config),
        *sync_errors(config.sync),
    ]
    if config.evidence.keep_free_mb < config.store.reserve_mb:
        problem = "expected at least store.reserve_mb: the journal's reserve is not for evidence (G8)"
        errors.append(ConfigError("evidence.keep_free_mb", problem))
    if config.evidence.keep_held_days < config.evidence.keep_days:
        errors.append(ConfigError("evidence.keep_held_days", "expected at least keep_days"))
    if errors:
        raise ConfigRefused(path, tuple(errors))
    return config


def _layout_errors(config: XRayConfig) -> Iterator[ConfigError]:
    layout, belt = config.layout, config.belt
    if layout.diverter_mm <= layout.xray_mm:
        yield ConfigError("layout.diverter_mm", "expected more than xray_mm")
    if belt.shortest_mm >= belt.longest_mm:
        yield ConfigError("belt.shortest_mm", "expected less than longest_mm")
    if 2 * belt.window_mm > belt.least_gap_mm and belt.near == "ignore":
        problem = 'expected at most half of least_gap_mm with near = "ignore": windows would overlap'
        yield ConfigError("belt.window_mm", problem)


def _device_errors(config: XRayConfig) -> Iterator[ConfigError]:
    devices = config.devices
    for name in ("belt", "portal"):
        if name not in devices:
            yield ConfigError(f"devices.{name}", "expected a table: no X-ray line works without it")
    if ("xray" in devices) == (config.folder is not None):
        yield ConfigError("devices.xray", "expected exactly one of `devices.xray` and `folder`")
    for name, part in devices.items():
        where = f"devices.{name}"
        if (part.serial is None) == (part.listen is None):
            yield ConfigError(where, "expected exactly one of `serial` and `listen`")
        expected = _PROTOCOL_OF.get(name)
        if expected is not None and part.protocol != expected:
            yield ConfigError(f"{where}.protocol", f'expected "{expected}", got "{part.protocol}"')
            continue
        if expected is None and not part.protocol.startswith("scanner."):
            yield ConfigError(f"{where}.protocol", f'expected a scanner\'s protocol, got "{part.protocol}"')
            continue
        try:
            driver_maker(part.protocol, part.settings, f"{where}.settings")
        except SettingsRefused as refused:
            yield from (ConfigError(e.path, f"expected {e.expected}, got {e.got}") for e in refused.errors)
    board = devices.get("belt")
    if board is not None and not 0 < (board.silent_after_s or 0) <= LONGEST_SILENCE_S:
        expected = f"expected at most {LONGEST_SILENCE_S:g} s: until then nobody sees what is on the belt"
        yield ConfigError("devices.belt.silent_after_s", expected)
    if "xray" in devices and devices["xray"].silent_after_s is None:
        yield ConfigError("devices.xray.silent_after_s", "expected seconds: its silence is unknown")


_PROTOCOL_OF = {"belt": "xray.belt_io", "xray": "xray.line_stream"}


def _pulse_errors(config: XRayConfig) -> Iterator[ConfigError]:
    pulses = config.pulses
    if 2 * pulses.renew_s > pulses.permit_s:
        yield ConfigError("pulses.renew_s", "expected at most half of permit_s")
    if config.layout.flag_chute and _flag_relay(config) < 0:
        problem = "expected false: devices.belt.settings says that no flag relay is wired"
        yield ConfigError("layout.flag_chute", problem)


def _flag_relay(config: XRayConfig) -> int:
    board = config.devices.get("belt")
    given = {} if board is None else board.settings
    relay = given.get("flag", 0)
    return relay if isinstance(relay, int) else 0


def _page_errors(config: XRayConfig) -> Iterator[ConfigError]:
    page = config.page
    if (page.certificate_file is None) != (page.key_file is None):
        yield ConfigError("page.certificate_file", "expected both certificate_file and key_file, or neither")
    if page.host not in ("127.0.0.1", "::1", "localhost") and page.certificate_file is None:
        problem = "expected 127.0.0.1 without a certificate: an officer's sign-in would travel in the clear"
        yield ConfigError("page.host", problem)
    names = [desk.name for desk in page.desks]
    if len(set(names)) != len(names):
        yield ConfigError("page.desks", "expected desks of different names")


def device_of(name: str, part: DevicePart) -> Device[Reading, Order]:
    address: SerialAddress | ListenAddress | None = part.serial if part.serial is not None else part.listen
    if address is None:
        raise ValueError(f"devices.{name}: neither serial nor listen")
    return Device(name, address, driver_maker(part.protocol, part.settings), part.silent_after_s)


def settings_in_force(part: DevicePart) -> dict[str, Any]:
    """The driver's settings, defaults where the file says nothing."""
    return {row.key: row.default for row in settings_of(part.protocol)} | part.settings


def layout_of(config: XRayConfig) -> Layout:
    layout = config.layout
    return Layout(layout.xray_mm, layout.diverter_mm, layout.chute_mm, layout.flag_chute)
