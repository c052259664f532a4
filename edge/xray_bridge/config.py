"""What an X-ray station's TOML file may say: one strict reading, everything checked before anything opens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from edge.devices.catalogue import driver_maker, settings_of
from edge.devices.fixed_camera.source import Address, FileAddress, LocalAddress, StreamAddress
from edge.devices.readings import Order, Reading
from edge.devices.settings import SettingsRefused
from edge.devices.xray_folder.watching import folder_settings
from edge.linking import ClockPart, Name, Seconds, SpotCheckPart, SyncPart, sync_errors
from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.config_reading import ConfigError, ConfigRefused, SecretFile, read_config
from edge.runtime.supervisor import BackOff, Device
from edge.xray_bridge.association import Near, Windows
from edge.xray_bridge.deciding.state import StationSettings
from edge.xray_bridge.evidence.manifest import Machine
from edge.xray_bridge.page.server import PageSettings
from edge.xray_bridge.rules import TriageRules
from edge.xray_bridge.values import Eye, Layout
from sync.vocabulary.records import CreditTier

DeviceName = Literal["belt", "portal", "portal_second", "xray"]
"""`belt`: the I/O board; `portal`, `portal_second`: barcode readers; `xray`: the machine's line stream."""

Plate = Annotated[str, msgspec.Meta(max_length=64)]
"""What stands on a machine's plate; DICOS takes 64 characters."""
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
    reader_mm: Annotated[float, msgspec.Meta(ge=-5_000, le=5_000)] = 0.0
    """Where the barcode readers see a code, behind (or before, below 0) the portal's eye."""


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
    triggered: bool = False
    """True, of a barcode reader: it is told to read when something cuts the portal's eye."""
    settings: dict[str, Any] = {}
    """Of the protocol's driver; see the device's page."""


class MachinePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The X-ray machine, as its evidence names it; empty: DICOS says `unknown`."""

    maker: Plate = ""
    model: Plate = ""
    serial: Plate = ""
    """Where the machine says its own, that stands."""


class FolderPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hot folder into which the machine, or an adapter beside it, lays its pictures."""

    path: Path
    settings: dict[str, Any] = {}
    """See the hot folder's page."""


class PortalCameraPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A camera above the portal that reads barcodes, for scanners or beside them. Exactly one of `url`,
    `device` and `path`."""

    url: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    """`rtsp://`, `rtsps://`, `http://` or `https://` (motion JPEG), without user and password."""
    username: str = ""
    password_file: SecretFile | None = None
    device: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    """A camera of this machine: a V4L2 device path, or its number."""
    path: Path | None = None
    """A folder whose newest picture counts, or a still picture, for trying out."""
    along: Literal["columns", "rows"] = "columns"
    """Which way of the picture the belt runs."""
    strip_share: Annotated[float, msgspec.Meta(ge=0.05, le=1)] = 0.5
    """How much of the picture, along the belt and in its middle, is looked at. A code counts as standing at
    `layout.reader_mm`: the strip should show little more than the longest code."""


class BeltPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a picture is a parcel's: by position and length, never by order."""

    window_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 60.0
    """How far a picture's edge may lie from where the parcel's should be."""
    length_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 50.0
    """How far a picture's length may differ from the parcel's."""
    code_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 60.0
    """How far from a parcel its code may be read."""
    code_within_mm: Annotated[float, msgspec.Meta(ge=0, le=1_000)] = 30.0
    """So far from where it says a reader sees a code; no other parcel may be so near."""
    diverter_mm: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 60.0
    """How far from its place a parcel may be at the diverter's eye."""
    least_gap_mm: Millimetres = 150.0
    """Parcels nearer to each other are told apart by the rule `near`."""
    near: Near = Near.DISCARD
    """`ignore`: two parcels like any others; `compose`: one parcel, which never passes by itself; `discard`:
    two, neither of which does."""
    shortest_mm: Millimetres = 50.0
    """A shorter block of the portal's eye is no parcel."""
    longest_mm: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 1_500.0
    """A longer one is a jam."""
    reaction_mm: Millimetres = 100.0
    """A verdict must be there so far before the parcel is at the diverter's eye."""
    divert_gap_mm: Millimetres = 50.0
    """Nearer parcels go the same way at the diverter, whatever is asked."""
    chute_window_mm: Millimetres = 400.0
    """How far from `chute_mm` an eye in a chute may see a parcel."""
    gone_mm: Millimetres = 300.0
    """A parcel so far behind its place at the diverter is gone."""
    stale_s: Seconds = 0.6
    """Without a look at the belt's board for so long nothing of the belt is known, and nothing passes."""
    waybill_shape: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """A regular expression a waybill number matches besides; empty: any will do."""


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
    few_references_tiers: tuple[CreditTier, ...] = ()
    """Credit tiers whose parcels pass on fewer references, or none: the site's written policy."""
    most_records_age_s: Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)] = 86_400.0
    """On older records nothing passes by itself (S10); the site's own record may be stricter."""


class JudgingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How officers are given pictures, and when they are too many or the officer too tired."""

    second_per_mille: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 30
    """Of a thousand judgements, how many another officer looks at too."""
    undo_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0
    """So long a judgement can be taken back, where the belt still allows it."""
    margin_s: Annotated[float, msgspec.Meta(ge=0.05, le=30)] = 0.5
    """A verdict must be there so long before the parcel is at the diverter."""
    most_waiting: Annotated[int, msgspec.Meta(ge=1, le=200)] = 6
    """More parcels for officers than this withhold the feed permit, until half of them are judged."""
    floor_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.5
    """A median judging time below this is no looking: the feed permit is withheld for `pause_s`."""
    pause_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 60.0
    rotation_min: Annotated[int, msgspec.Meta(ge=1, le=480)] = 20
    """After so long at a desk an officer is reminded to change places."""
    rest_min: Annotated[int, msgspec.Meta(ge=1, le=480)] = 5
    """Whoever comes back sooner has not rested."""


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
    room_mb: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 512
    """Of what is on the belt already: with less room the feed is withheld."""
    raw_png: bool = False
    """True: also both energies as 16-bit PNG, for those who cannot read DICOS."""
    upload: Literal["all", "held"] = "held"
    """`held`: previews and manifests of flagged and rechecked parcels go up to the centre; `all`: the whole
    pictures of those, and the previews of all others."""
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
    lock_min: Annotated[int, msgspec.Meta(ge=1, le=480)] = 10
    """A desk nobody touched for so long is signed out."""


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

    divert_s: Annotated[float, msgspec.Meta(ge=0.05, le=10)] = 1.0
    """Of `pass` and `flag`: longer than a parcel takes from the diverter's eye to where it is led aside, the
    diverter's own time included; shorter than the next parcel takes to get there."""
    permit_s: Annotated[float, msgspec.Meta(ge=0.2, le=10)] = 1.0
    """Of the feed permit, renewed while it stands."""
    renew_s: Annotated[float, msgspec.Meta(ge=0.05, le=5)] = 0.4


class XRayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One X-ray station."""

    station: StationPart
    layout: LayoutPart
    devices: dict[DeviceName, DevicePart]
    machine: MachinePart = MachinePart()
    folder: FolderPart | None = None
    """Instead of `devices.xray`."""
    portal_camera: PortalCameraPart | None = None
    """Instead of `devices.portal`, or beside it."""
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


STREAMS = ("rtsp", "rtsps", "http", "https")
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
    try:
        re.compile(belt.waybill_shape)
    except re.error as error:
        yield ConfigError("belt.waybill_shape", f"expected a regular expression: {error}")
    if belt.shortest_mm >= belt.longest_mm:
        yield ConfigError("belt.shortest_mm", "expected less than longest_mm")
    if 2 * belt.window_mm > belt.least_gap_mm and belt.near is Near.IGNORE:
        problem = 'expected at most half of least_gap_mm with near = "ignore": windows would overlap'
        yield ConfigError("belt.window_mm", problem)


def _device_errors(config: XRayConfig) -> Iterator[ConfigError]:
    devices = config.devices
    if "belt" not in devices:
        yield ConfigError("devices.belt", "expected a table: no X-ray line works without it")
    if "portal" not in devices and config.portal_camera is None:
        yield ConfigError("devices.portal", "expected a table, or `portal_camera`: who reads the codes?")
    yield from _camera_errors(config)
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
    if config.folder is not None:
        try:
            folder_settings(config.folder.settings, "folder.settings")
        except SettingsRefused as refused:
            yield from (ConfigError(e.path, f"expected {e.expected}, got {e.got}") for e in refused.errors)
    board = devices.get("belt")
    if board is not None and not 0 < (board.silent_after_s or 0) <= LONGEST_SILENCE_S:
        expected = f"expected at most {LONGEST_SILENCE_S:g} s: until then nobody sees what is on the belt"
        yield ConfigError("devices.belt.silent_after_s", expected)
    if "xray" in devices and devices["xray"].silent_after_s is None:
        yield ConfigError("devices.xray.silent_after_s", "expected seconds: its silence is unknown")


_PROTOCOL_OF = {"belt": "xray.belt_io", "xray": "xray.line_stream"}


def _camera_errors(config: XRayConfig) -> Iterator[ConfigError]:
    camera = config.portal_camera
    if camera is None:
        return
    if [camera.url, camera.device, camera.path].count(None) != 2:
        yield ConfigError("portal_camera", "expected exactly one of `url`, `device` and `path`")
    if camera.url is not None:
        parts = urlsplit(camera.url)
        if parts.scheme not in STREAMS or not parts.hostname:
            yield ConfigError(
                "portal_camera.url", f"expected {', '.join(f'{s}://host/...' for s in STREAMS)}"
            )
        if "@" in parts.netloc:
            expected = "expected no user in it: use `username` and `password_file`"
            yield ConfigError("portal_camera.url", expected)
    elif camera.username or camera.password_file is not None:
        yield ConfigError("portal_camera.username", "only with `url`")


def camera_address(part: PortalCameraPart) -> Address:
    """Reads the password. Raises `OSError` and `UnicodeDecodeError` where it cannot."""
    if part.url is not None:
        password = part.password_file.read_text() if part.password_file is not None else ""
        return StreamAddress(part.url, part.username, password)
    if part.device is not None:
        return LocalAddress(part.device)
    if part.path is not None:
        return FileAddress(part.path)
    raise ValueError("expected one of url, device and path")


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
    relay = given.get("flag_pulse", 0)
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


def machine_of(config: XRayConfig) -> Machine:
    part = config.machine
    return Machine(maker=part.maker, model=part.model, serial=part.serial)


def page_settings(config: XRayConfig) -> PageSettings:
    page = config.page
    return PageSettings(
        host=page.host,
        port=page.port,
        certificate_file=page.certificate_file,
        key_file=page.key_file,
        lock_s=60.0 * page.lock_min,
        desks={desk.name: desk.remote for desk in page.desks},
    )


def triggered(config: XRayConfig) -> tuple[str, ...]:
    """Portal readers that read when they are told to: the others read by themselves."""
    return tuple(
        name
        for name in ("portal", "portal_second")
        if name in config.devices and config.devices[name].triggered
    )


def station_settings(
    config: XRayConfig, *, version: str, digest: str, boot_id: str, key_id: str = "", draw_key: bytes = b""
) -> StationSettings:
    belt, triage, judging = config.belt, config.triage, config.judging
    return StationSettings(
        station_id=config.station.id,
        layout=layout_of(config),
        windows=Windows(
            window_mm=belt.window_mm,
            length_mm=belt.length_mm,
            code_mm=belt.code_mm,
            code_within_mm=belt.code_within_mm,
            reader_mm=config.layout.reader_mm,
            diverter_mm=belt.diverter_mm,
            least_gap_mm=belt.least_gap_mm,
            near=belt.near,
            shortest_mm=belt.shortest_mm,
            longest_mm=belt.longest_mm,
        ),
        triage=TriageRules(
            automatic=triage.automatic,
            most_score=triage.most_score,
            least_references=triage.least_references,
            by_chapter=triage.by_chapter,
            few_references_tiers=tuple(each.value for each in triage.few_references_tiers),
            most_records_age_s=triage.most_records_age_s,
        ),
        version=version,
        config_digest=digest,
        boot_id=boot_id,
        key_id=key_id,
        chute_eyes=_chute_eyes(config),
        second_per_mille=judging.second_per_mille,
        draw_key=draw_key,
        wedge_code=config.calibration.wedge_code,
        wedge_valid_s=3_600.0 * config.calibration.wedge_valid_h,
        waybill_shape=belt.waybill_shape,
        reaction_mm=belt.reaction_mm,
        margin_s=judging.margin_s,
        divert_gap_mm=belt.divert_gap_mm,
        divert_s=config.pulses.divert_s,
        chute_window_mm=belt.chute_window_mm,
        gone_mm=belt.gone_mm,
        belt_stale_s=belt.stale_s,
        undo_s=judging.undo_s,
        floor_s=judging.floor_s,
        pause_s=judging.pause_s,
        rotation_s=60.0 * judging.rotation_min,
        rest_s=60.0 * judging.rest_min,
        most_waiting=judging.most_waiting,
    )


def _chute_eyes(config: XRayConfig) -> frozenset[Eye]:
    wired = settings_in_force(config.devices["belt"])
    eyes = (Eye.PASS_CHUTE, Eye.FLAG_CHUTE, Eye.RECHECK_CHUTE)
    return frozenset(eye for eye in eyes if int(wired.get(f"{eye.value}_eye", -1)) >= 0)
