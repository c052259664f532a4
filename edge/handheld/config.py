"""What a handheld's TOML file may say: one strict reading, everything checked before anything opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.handheld.context import ScannerSource
from edge.linking import ClockPart, Name, Seconds, SpotCheckPart, SyncPart, sync_errors
from edge.runtime.channels import SerialAddress
from edge.runtime.config_reading import ConfigError, ConfigRefused, SecretFile, read_config
from sync.link.client import BrokerConfig


class DevicePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which handheld this is."""

    id: Name
    """Also the device's name towards the centre."""
    site: Name


class StorePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journal and records of this device, always enciphered."""

    folder: Path
    reserve_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 32
    """Free disk below this: nothing is decided any more, and the screen says so (G8)."""
    keep_acknowledged_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 14


class EvidencePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Photos and voice notes, enciphered like the rest."""

    max_mb: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 1_000
    """Above this the oldest go, those the centre has first."""
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 14
    """So long a picture the centre has stays to be looked at."""
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 64
    """Below this much free disk no picture is taken: what is left is the journal's (G8)."""
    upload_kb_per_s: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 250
    """Pictures take no more of the line than this, and nothing while a fact waits."""


class ScannerPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What reads codes, besides fingers."""

    sources: Annotated[tuple[ScannerSource, ...], msgspec.Meta(min_length=1, max_length=4)] = (
        ScannerSource.CAMERA,
        ScannerSource.WEDGE,
    )
    """What this device has; the officer chooses among them."""
    camera: str = ""
    """A PC's camera: a device number, a path, a folder of pictures or an `rtsp://` address. Empty: the
    system's own. A phone's camera needs no word here."""
    serial: SerialAddress | None = None
    """Where a serial scan engine is; expected with `serial` among the sources."""
    protocol: str = "scanner.line"
    """What it speaks, as `kakou frames` names it."""


class PhonePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What only an Android device has."""

    scan_vendor: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] = "auto"
    """Whose scan service is listened to, by its id in the table; `auto`: by the device's maker."""
    scan_vendors_file: Path | None = None
    """A table of the site's own instead of the shipped one (`edge/handheld/android/scan_vendors.toml`)."""
    conceal: bool = True
    """No screenshots, no recording of the screen, nothing in the list of recent apps."""


class LivePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where live picture and sound go. Without this table nothing does."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8884
    ca_file: Path | None = None
    certificate_file: Path | None = None
    tls_key_file: SecretFile | None = None
    allow_plaintext: bool = False
    allow_plaintext_outside_loopback: bool = False

    def address(self) -> BrokerConfig:
        """`BrokerConfig` is any address of the centre's, with its rules for certificates and plain text."""
        return BrokerConfig(
            host=self.host,
            port=self.port,
            ca_file=self.ca_file,
            cert_file=self.certificate_file,
            key_file=None if self.tls_key_file is None else self.tls_key_file.path,
            allow_plaintext=self.allow_plaintext,
            allow_plaintext_outside_loopback=self.allow_plaintext_outside_loopback,
        )


class LogPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"


class TimingPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    look_every_s: Seconds = 1.0
    """How often what every screen shows (unsent, age of the records) is looked at."""


class HandheldConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One handheld."""

    device: DevicePart
    sync: SyncPart
    store: StorePart
    evidence: EvidencePart = EvidencePart()
    scanner: ScannerPart = ScannerPart()
    phone: PhonePart = PhonePart()
    live: LivePart | None = None
    spot_check: SpotCheckPart | None = None
    """With it parcels are drawn for a spot check on the device; without, only the centre's orders draw."""
    clock: ClockPart = ClockPart()
    timing: TimingPart = TimingPart()
    log: LogPart = LogPart()


def read_handheld_config(path: Path) -> HandheldConfig:
    """Raises `ConfigRefused` with every error: of shape, and of what must fit together."""
    config = read_config(path, HandheldConfig)
    errors = sync_errors(config.sync)
    if config.live is not None:
        problems = config.live.address().plaintext_problems()
        errors += [ConfigError(f"live.{name}", problem) for name, problem in problems]
    if (ScannerSource.SERIAL in config.scanner.sources) != (config.scanner.serial is not None):
        expected = "expected together with `serial` among scanner.sources"
        errors.append(ConfigError("scanner.serial", expected))
    if config.evidence.keep_free_mb < config.store.reserve_mb:
        expected = "expected at least store.reserve_mb: pictures stop before the journal does (G8)"
        errors.append(ConfigError("evidence.keep_free_mb", expected))
    if errors:
        raise ConfigRefused(path, tuple(errors))
    return config
