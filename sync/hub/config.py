"""One strict reading of the hub's TOML file: every error with its key path, or a whole config. Opens nothing.

Relative paths start at the file's own folder. Secrets are named by file, never written here; key files
are read to see that they are keys, so that a hub does not start with the wrong one.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never, cast
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.hub.blobs import BlobLimits
from sync.hub.console.settings import ConsolePart
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.live import LiveLimits
from sync.hub.receipts import ReceiptSettings
from sync.hub.retiring import RETIRABLE
from sync.hub.slips import SlipSettings
from sync.link.client import LOOPBACK, BrokerConfig, LinkConfigRefused
from sync.link.key_files import own_signer
from sync.link.keys import HUB_KID, KeyRefused, load_private, load_public, public_pem
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.commands import LONGEST_LIVE_S
from sync.vocabulary.sas import PARTY
from sync.vocabulary.slip_codes import MAX_ISSUER

LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")

MOST_DAYS = 36_500

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,200}/?")

ENGINES: tuple[Literal["sqlite", "postgresql"], ...] = ("sqlite", "postgresql")
Spread = Literal["share", "device"]
SPREADS: tuple[Spread, ...] = ("share", "device")
MOST_WORKERS = 64

T = TypeVar("T")
Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True, slots=True)
class ConfigError:
    key: str
    """Path such as `sync.port`; empty for the file itself."""
    problem: str

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}" if self.key else self.problem


class ConfigRefused(Exception):
    """The file cannot be used; `errors` has all that is wrong, and the text lists it."""

    def __init__(self, path: Path, errors: tuple[ConfigError, ...]) -> None:
        self.path = path
        self.errors = errors
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__("\n".join([f"{path}: {count}", *(f"  {error}" for error in errors)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPart:
    """The broker, and what is published there."""

    host: str
    port: int
    key_file: Path
    """The centre's private Ed25519 key (PEM): signs feed, acknowledgements and claim answers."""
    key_statements_file: Path | None
    """How that key follows from the one devices have pinned (`kakou enrol renew hub --signing-key`)."""
    scopes: tuple[str, ...]
    """Scopes whose log begins here where it has not yet."""
    poll_s: float
    """How often the archive is looked at for new records."""
    head_every_s: float
    """How often an unchanged feed head is signed anew: records of a device are as old as the last one."""
    username: str
    password_file: Path | None
    ca_file: Path | None
    certificate_file: Path | None
    tls_key_file: Path | None
    allow_plaintext: bool
    allow_plaintext_outside_loopback: bool
    keepalive_s: int
    reconnect_longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobsPart:
    """Where evidence is kept, and how much of it, how long."""

    folder: Path
    limits: BlobLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsPart:
    """Snapshots of the records, and how long records are kept."""

    snapshot_folder: Path
    snapshot_from: int
    """Log entries a device must be behind before a snapshot is made for it."""
    snapshot_bytes_per_s: int
    """Of snapshots, to all devices together."""
    keep_days: dict[str, int]
    """Collection -> days after a record's validity ended, or its last change where it has none. Collections
    that are not named are kept for good."""
    retire_every_s: float
    device_scopes: dict[str, tuple[str, ...]]
    """Device -> the scopes it may pull. A device that is not named may pull all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersPart:
    """Several hub processes on one PostgreSQL archive."""

    count: int
    spread: Spread
    """How messages come to one of them. `share`: the broker gives each to one ($share subscriptions);
    `device`: each takes those of some devices, for brokers that cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePart:
    """The endpoint for live picture and sound of handhelds (实时音视频): a process of its own."""

    host: str
    port: int
    limits: LiveLimits
    ca_file: Path | None
    """Whose certificates devices must show; without it the endpoint speaks plain text."""
    certificate_file: Path | None
    """A server's; `kakou enrol broker` makes one for the broker's machine, which is usually the hub's."""
    tls_key_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    site: str
    file: Path
    archive: Path | PostgresPlace
    workers: WorkersPart | None = None
    """None: this hub is one process."""
    backup_interval_s: float
    """How often the archive is backed up: no device lets go of a fact before (G3)."""
    blobs: BlobsPart
    sync: SyncPart
    records: RecordsPart
    devices: dict[str, str] = field(default_factory=dict)
    """Device name -> its public key as PEM text, read from the file the config names."""
    receipts: ReceiptSettings | None = None
    """None: this hub writes no passage receipts."""
    receipts_every_s: float = 5.0
    slips: SlipSettings | None = None
    """None: this hub issues no slip codes."""
    slip_key: Ed25519PrivateKey | None = field(default=None, repr=False)
    live: LivePart | None = None
    """None: nobody can show anything."""
    console: ConsolePart | None = None
    """None: this hub serves no pages."""
    log_level: LogLevel = "info"
    private_key: Ed25519PrivateKey = field(repr=False)
    kid: str = HUB_KID
    """What the private key is called in signatures."""
    key_statements: bytes = b""


def read_hub_config(path: Path) -> HubConfig:
    """Raises `ConfigRefused` with every error in the file."""
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigRefused(path, (ConfigError("", f"cannot be read: {error.strerror}"),)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigRefused(path, (ConfigError("", f"expected TOML in UTF-8: {error}"),)) from error
    reader = _Reader(path.parent)
    top = reader.table("", table)
    site = top.name("site")
    store = top.part("store")
    archive = _archive(reader, store, top.take("archive", None))
    workers = _workers(reader, top.take("workers", None), archive)
    backup_interval_s = 3600.0 * store.seconds("backup_interval_h", 0, 24 * 366, 24.0, unit="hours")
    store.done()
    sync, private_key = _sync(reader, top.part("sync"))
    devices = _devices(reader, top.take("devices", {}))
    records = _records(reader, top.part("records", optional=True), archive, devices)
    receipts, receipts_every_s = _receipts(reader, top.take("receipts", None))
    slips, slip_key = _slips(reader, top.take("slips", None), site)
    statements, kid = _statements(reader, sync.key_statements_file, private_key)
    blobs = _blobs(reader, top.part("blobs", optional=True))
    live = _live(reader, top.take("live", None))
    console = _console(reader, top.take("console", None), archive)
    log = top.part("log", optional=True)
    level = log.choice("level", LOG_LEVELS, "info")
    log.done()
    top.done()
    if reader.errors or private_key is None:
        raise ConfigRefused(path, tuple(reader.errors))
    return HubConfig(
        site=site,
        file=path,
        archive=archive,
        workers=workers,
        backup_interval_s=backup_interval_s,
        blobs=blobs,
        sync=sync,
        records=records,
        devices=devices,
        receipts=receipts,
        receipts_every_s=receipts_every_s,
        slips=slips,
        slip_key=slip_key,
        live=live,
        console=console,
        log_level=level,
        private_key=private_key,
        kid=kid,
        key_statements=statements,
    )


def _archive(reader: _Reader, store: _Table, value: Any) -> Path | PostgresPlace:
    """`store.archive`, a file, or a table [archive] that says which engine."""
    if value is None:
        return store.path("archive", folder_must_exist=True)
    if store.take("archive", None) is not None:
        reader.add("store.archive", "expected this or a table [archive], got both")
    if not isinstance(value, dict):
        reader.add("archive", f"expected a table, got {_shown(value)}")
        return Path()
    part = reader.table("archive", value)
    found = len(reader.errors)
    engine = part.choice("engine", ENGINES, "sqlite")
    if len(reader.errors) > found:
        return Path()
    place: Path | PostgresPlace
    match engine:
        case "sqlite":
            place = part.path("file", folder_must_exist=True)
        case "postgresql":
            host = part.text("host", "127.0.0.1")
            place = PostgresPlace(
                host=host,
                port=part.whole("port", 1, 65_535, 5432),
                database=part.text("database"),
                user=part.text("user"),
                password_file=part.secret("password_file", optional=True),
                ca_file=part.file("ca_file"),
                witness_file=part.path("witness_file", folder_must_exist=True),
            )
            asked = ("allow_plaintext", "allow_plaintext_outside_loopback")
            if place.ca_file is None and host not in LOOPBACK and not host.startswith("/"):
                for name in asked:
                    if not part.flag(name, False):
                        reader.add(
                            f"archive.{name}",
                            f"expected true, or a ca_file: {host} would be spoken to in plain text",
                        )
            else:
                for name in asked:
                    part.flag(name, False)
        case _:
            assert_never(engine)
    part.done()
    return place


def _workers(reader: _Reader, value: Any, archive: Path | PostgresPlace) -> WorkersPart | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.add("workers", f"expected a table, got {_shown(value)}")
        return None
    part = reader.table("workers", value)
    workers = WorkersPart(
        count=part.whole("count", 1, MOST_WORKERS, 2), spread=part.choice("spread", SPREADS, "share")
    )
    part.done()
    if isinstance(archive, Path):
        reader.add(
            "workers", "expected an archive of the engine postgresql: one process alone has a SQLite file"
        )
    return workers


def _sync(reader: _Reader, part: _Table) -> tuple[SyncPart, Ed25519PrivateKey | None]:
    key_file = part.secret("key_file")
    sync = SyncPart(
        host=part.text("host", "127.0.0.1"),
        port=part.whole("port", 1, 65_535, 1883),
        key_file=key_file or Path(),
        key_statements_file=part.file("key_statements_file"),
        scopes=part.names("scopes"),
        poll_s=part.seconds("poll_s", 0.01, 60, 1.0),
        head_every_s=part.seconds("head_every_s", 0.05, 3600, 60.0),
        username=part.text("username", "", empty=True),
        password_file=part.secret("password_file", optional=True),
        ca_file=part.file("ca_file"),
        certificate_file=part.file("certificate_file"),
        tls_key_file=part.secret("tls_key_file", optional=True),
        allow_plaintext=part.flag("allow_plaintext", False),
        allow_plaintext_outside_loopback=part.flag("allow_plaintext_outside_loopback", False),
        keepalive_s=part.whole("keepalive_s", 1, 600, 10),
        reconnect_longest_s=part.seconds("reconnect_longest_s", 0.05, 600, 15.0),
    )
    part.done()
    try:
        broker_of(sync).checked()
    except LinkConfigRefused as error:
        reader.add("sync", str(error))
    private_key = None
    if key_file is not None:
        try:
            private_key = load_private(key_file)
        except KeyRefused as error:
            reader.add("sync.key_file", str(error))
    return sync, private_key


def _statements(reader: _Reader, file: Path | None, key: Ed25519PrivateKey | None) -> tuple[bytes, str]:
    """The statements, and what our key is called after them."""
    if file is None or key is None:
        return b"", HUB_KID
    try:
        signer, statements = own_signer(HUB_KID, key, file)
    except KeyRefused as error:
        reader.add("sync.key_statements_file", str(error))
        return b"", HUB_KID
    return statements, signer.kid


def _records(
    reader: _Reader, part: _Table, archive: Path | PostgresPlace, devices: Mapping[str, str]
) -> RecordsPart:
    folder = part.text("snapshot_folder", "", empty=True)
    beside = archive if isinstance(archive, Path) else archive.witness_file
    records = RecordsPart(
        snapshot_folder=reader.folder / folder if folder else beside.parent / f"{beside.name}.snapshots",
        snapshot_from=part.whole("snapshot_from", 100, 100_000_000, 20_000),
        snapshot_bytes_per_s=part.whole("snapshot_bytes_per_s", 10_000, 1_000_000_000, 8_000_000),
        keep_days=_keep_days(reader, part.take("keep_days", {})),
        retire_every_s=part.seconds("retire_every_s", 1, 7 * 86_400, 3600.0),
        device_scopes=_device_scopes(reader, part.take("device_scopes", {}), devices),
    )
    part.done()
    return records


def _keep_days(reader: _Reader, value: Any) -> dict[str, int]:
    if isinstance(value, dict) and all(
        name in RETIRABLE and type(days) is int and 0 <= days <= MOST_DAYS for name, days in value.items()
    ):
        return dict(value)
    collections = ", ".join(RETIRABLE)
    reader.add(
        "records.keep_days",
        f"expected a table of collection = days, 0 to {MOST_DAYS}, of {collections}; got {_shown(value)}",
    )
    return {}


def _device_scopes(reader: _Reader, value: Any, devices: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    where = "records.device_scopes"
    if not isinstance(value, dict):
        reader.add(where, f"expected a table of device = list of scopes, got {_shown(value)}")
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for device, scopes in value.items():
        if device not in devices:
            reader.add(f"{where}.{device}", "expected a device that [devices] names")
        elif not (isinstance(scopes, list) and scopes and all(map(_is_name, scopes))):
            reader.add(f"{where}.{device}", f"expected a list of scopes, at least one, got {_shown(scopes)}")
        else:
            found[device] = tuple(scopes)
    return found


def broker_of(sync: SyncPart) -> BrokerConfig:
    return BrokerConfig(
        host=sync.host,
        port=sync.port,
        username=sync.username or None,
        password_file=sync.password_file,
        ca_file=sync.ca_file,
        cert_file=sync.certificate_file,
        key_file=sync.tls_key_file,
        allow_plaintext=sync.allow_plaintext,
        allow_plaintext_outside_loopback=sync.allow_plaintext_outside_loopback,
        keepalive_s=sync.keepalive_s,
        reconnect_longest_s=sync.reconnect_longest_s,
    )


def _devices(reader: _Reader, value: Any) -> dict[str, str]:
    devices: dict[str, str] = {}
    if not isinstance(value, dict):
        reader.add("devices", f"expected a table of device name = public key file, got {_shown(value)}")
        return devices
    for name, text in value.items():
        where = f"devices.{name}"
        if not _NAME.fullmatch(name):
            reader.add(where, "expected a device name of letters, digits, '.', '_' and '-'")
        elif not isinstance(text, str):
            reader.add(where, f"expected the path of a public key file, got {_shown(text)}")
        else:
            try:
                devices[name] = public_pem(load_public(reader.folder / text)).decode()
            except KeyRefused as error:
                reader.add(where, str(error))
    return devices


def _blobs(reader: _Reader, part: _Table) -> BlobsPart:
    day_s = 86_400.0
    folder = part.made_folder("folder", "blobs")
    keep_s = {
        blob_class: day_s * part.whole(f"keep_{blob_class.value}_days", 1, 36_500, days)
        for blob_class, days in ((BlobClass.HELD, 3_650), (BlobClass.ROUTINE, 365))
    }
    limits = BlobLimits(
        most_bytes=10**9 * part.whole("most_gb", 1, 10**6, 500),
        most_device_bytes=10**9 * part.whole("most_device_gb", 1, 10**6, 100),
        keep_free_bytes=10**6 * part.whole("keep_free_mb", 0, 10**7, 2_000),
        keep_s=keep_s,
        missing_after_s=3600.0 * part.seconds("missing_after_h", 0.001, 24 * 366, 24.0, unit="hours"),
    )
    part.done()
    return BlobsPart(folder=folder, limits=limits)


def _receipts(reader: _Reader, value: Any) -> tuple[ReceiptSettings | None, float]:
    if value is None:
        return None, 5.0
    if not isinstance(value, dict):
        reader.add("receipts", f"expected a table, got {_shown(value)}")
        return None, 5.0
    part = reader.table("receipts", value)
    folder = part.folder("folder")
    parties = {}
    for name in ("sender_id", "receiver_id"):
        parties[name] = part.text(name)
        if parties[name] and not PARTY.fullmatch(parties[name]):
            reader.add(
                f"receipts.{name}", f"expected 7 capital letters and digits, got {_shown(parties[name])}"
            )
    every_s = part.seconds("every_s", 0.1, 3600, 5.0)
    given: Any = part.take("gate_nos", {})
    gate_nos: dict[str, str] = {}
    if isinstance(given, dict) and all(
        _is_name(lane) and isinstance(number, str) and len(number) <= 64 for lane, number in given.items()
    ):
        gate_nos = given
    else:
        reader.add("receipts.gate_nos", f"expected a table of lane = gate number, got {_shown(given)}")
    part.done()
    settings = ReceiptSettings(
        folder=folder or Path(),
        sender_id=parties["sender_id"],
        receiver_id=parties["receiver_id"],
        gate_nos=gate_nos,
    )
    return settings, every_s


def _slips(reader: _Reader, value: Any, site: str) -> tuple[SlipSettings | None, Ed25519PrivateKey | None]:
    if value is None:
        return None, None
    if not isinstance(value, dict):
        reader.add("slips", f"expected a table, got {_shown(value)}")
        return None, None
    part = reader.table("slips", value)
    key_file = part.secret("key_file")
    settings = SlipSettings(
        key_file=key_file or Path(),
        issuer=part.text("issuer", site or "-"),
        valid_h=part.whole("valid_h", 1, 24 * 31, 24),
        key_days=part.whole("key_days", 1, 3660, 365),
    )
    if len(settings.issuer) > MAX_ISSUER or not settings.issuer.isprintable():
        reader.add("slips.issuer", f"expected at most {MAX_ISSUER} printable characters")
    part.done()
    private = None
    if key_file is not None:
        try:
            private = load_private(key_file)
        except KeyRefused as error:
            reader.add("slips.key_file", str(error))
    return settings, private


def _live(reader: _Reader, value: Any) -> LivePart | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.add("live", f"expected a table, got {_shown(value)}")
        return None
    part = reader.table("live", value)
    live = LivePart(
        host=part.text("host", "127.0.0.1"),
        port=part.whole("port", 1, 65_535, 8884),
        limits=LiveLimits(
            most_sessions=part.whole("most_sessions", 1, 64, 16),
            most_watchers=part.whole("most_watchers", 1, 64, 32),
            most_bytes_a_s=part.whole("most_kbit_a_s", 100, 100_000, 8_000) * 125,
            longest_s=part.seconds("longest_s", 1, LONGEST_LIVE_S, float(LONGEST_LIVE_S)),
        ),
        ca_file=part.file("ca_file"),
        certificate_file=part.file("certificate_file"),
        tls_key_file=part.secret("tls_key_file", optional=True),
    )
    plain = live.ca_file is None
    if plain != (live.certificate_file is None) or plain != (live.tls_key_file is None):
        reader.add("live", "ca_file, certificate_file and tls_key_file: expected all three, or none")
    for name in ("allow_plaintext", "allow_plaintext_outside_loopback"):
        if not part.flag(name, False) and plain and live.host not in LOOPBACK:
            reader.add(
                f"live.{name}", f"expected true, or a ca_file: {live.host} would be spoken to in plain text"
            )
    part.done()
    return live


def _console(reader: _Reader, value: Any, archive: Path | PostgresPlace) -> ConsolePart | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        reader.add("console", f"expected a table, got {_shown(value)}")
        return None
    part = reader.table("console", value)
    beside = archive if isinstance(archive, Path) else archive.witness_file
    shown_file = part.text("shown_file", "", empty=True)
    live_folder = part.text("live_folder", "", empty=True)
    baseline_s = part.seconds("baseline_lane_s", 0, 86_400, 0.0)
    console = ConsolePart(
        host=part.text("host", "127.0.0.1"),
        port=part.whole("port", 0, 65_535, 8080),
        certificate_file=part.file("certificate_file"),
        tls_key_file=part.secret("tls_key_file", optional=True),
        shown_file=reader.folder / shown_file if shown_file else beside.parent / f"{beside.name}.shown",
        lock_s=60.0 * part.seconds("lock_min", 0.1, 24 * 60, 30.0, unit="minutes"),
        session_s=3600.0 * part.seconds("session_h", 0.01, 24 * 7, 12.0, unit="hours"),
        baseline_lane_s=baseline_s or None,
        stations=_stations(reader, part.take("stations", {})),
        station_ca_file=part.file("station_ca_file"),
        hold_due_s=part.seconds("hold_due_s", 1, 86_400, 120.0),
        live_folder=reader.folder / live_folder if live_folder else beside.parent / f"{beside.name}.live",
        metrics_open=part.flag("metrics_open", False),
        behind_proxy=part.flag("behind_proxy", False),
    )
    if console.behind_proxy and (console.certificate_file is not None or console.host not in LOOPBACK):
        reader.add("console.behind_proxy", "expected a host of this machine alone, and no certificate_file")
    if (console.certificate_file is None) != (console.tls_key_file is None):
        reader.add("console", "certificate_file and tls_key_file: expected both, or none")
    for name in ("allow_plaintext", "allow_plaintext_outside_loopback"):
        if not part.flag(name, False) and console.certificate_file is None and console.host not in LOOPBACK:
            reader.add(
                f"console.{name}",
                f"expected true, or a certificate_file: {console.host} would be spoken to in plain text",
            )
    part.done()
    return console


def _stations(reader: _Reader, value: Any) -> dict[str, str]:
    """An officer's PIN goes there: in plain text only to this machine."""
    if isinstance(value, dict) and all(
        _is_name(name) and isinstance(address, str) and _is_station(address)
        for name, address in value.items()
    ):
        return dict(value)
    reader.add(
        "console.stations",
        "expected a table of X-ray station = address of its page (https://HOST:PORT; http:// on this machine "
        f"alone), got {_shown(value)}",
    )
    return {}


def _is_station(address: str) -> bool:
    if _ADDRESS.fullmatch(address) is None:
        return False
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and (
            (parts.scheme == "https" and parts.port is not None) or parts.hostname in LOOPBACK
        )
    except ValueError:
        return False


class _Reader:
    """Collects every error; keeps the folder paths start at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[ConfigError] = []

    def add(self, key: str, problem: str) -> None:
        self.errors.append(ConfigError(key, problem))

    def table(self, key: str, values: Mapping[str, Any]) -> _Table:
        return _Table(self, key, dict(values))


class _Table:
    """One TOML table, read key by key; what is left over at `done` is a mistake."""

    def __init__(self, reader: _Reader, key: str, values: dict[str, Any], *, present: bool = True) -> None:
        self._reader = reader
        self._key = key
        self._values = values
        self._asked: list[str] = []
        self._present = present

    def _where(self, name: str) -> str:
        return f"{self._key}.{name}" if self._key else name

    def _wrong(self, name: str, expected: str, value: Any) -> None:
        self._reader.add(self._where(name), f"expected {expected}, got {_shown(value)}")

    def _missing(self, name: str, expected: str) -> None:
        if self._present:
            self._reader.add(self._where(name), f"missing; expected {expected}")

    def take(self, name: str, otherwise: T) -> Any | T:
        self._asked.append(name)
        return self._values.pop(name, otherwise)

    def done(self) -> None:
        for name in self._values:
            self._reader.add(self._where(name), f"unknown key; there are {', '.join(sorted(self._asked))}")

    def part(self, name: str, *, optional: bool = False) -> _Table:
        value = self.take(name, None)
        if isinstance(value, dict):
            return self._reader.table(self._where(name), value)
        if value is not None:
            self._wrong(name, "a table", value)
        elif not optional:
            self._reader.add(self._where(name), "missing; expected a table")
        return _Table(self._reader, self._where(name), {}, present=False)

    def _checked(self, name: str, expected: str, otherwise: T | None, fits: Callable[[Any], bool]) -> Any | T:
        value = self.take(name, None)
        if value is None:
            if otherwise is None:
                self._missing(name, expected)
            return otherwise
        if not fits(value):
            self._wrong(name, expected, value)
            return otherwise
        return value

    def text(self, name: str, otherwise: str | None = None, *, empty: bool = False) -> str:
        def fits(value: Any) -> bool:
            return isinstance(value, str) and len(value) <= 400 and (empty or bool(value))

        return str(self._checked(name, "text", otherwise, fits) or "")

    def name(self, name: str) -> str:
        expected = "a name of letters, digits, '.', '_' and '-'"
        return str(self._checked(name, expected, None, _is_name) or "")

    def names(self, name: str) -> tuple[str, ...]:
        def fits(value: Any) -> bool:
            return (
                isinstance(value, list)
                and bool(value)
                and all(map(_is_name, value))
                and len(set(value)) == len(value)
            )

        return tuple(self._checked(name, "a list of different names, at least one", None, fits) or ())

    def choice(self, name: str, choices: tuple[Choice, ...], otherwise: Choice) -> Choice:
        expected = f"one of {', '.join(choices)}"
        found = self._checked(name, expected, otherwise, lambda value: value in choices)
        return cast(Choice, found)

    def whole(self, name: str, least: int, most: int, otherwise: int) -> int:
        def fits(value: Any) -> bool:
            return type(value) is int and least <= value <= most

        return int(self._checked(name, f"a whole number from {least} to {most}", otherwise, fits))

    def seconds(
        self, name: str, least: float, most: float, otherwise: float, *, unit: str = "seconds"
    ) -> float:
        def fits(value: Any) -> bool:
            return type(value) in (int, float) and least <= value <= most

        return float(self._checked(name, f"{unit} from {least:g} to {most:g}", otherwise, fits))

    def flag(self, name: str, otherwise: bool) -> bool:
        return bool(self._checked(name, "true or false", otherwise, lambda value: isinstance(value, bool)))

    def _place(self, name: str, expected: str, *, optional: bool) -> Path | None:
        value = self.take(name, None)
        if value is None:
            if not optional:
                self._missing(name, expected)
            return None
        if not isinstance(value, str) or not value or "\0" in value:
            self._wrong(name, expected, value)
            return None
        return self._reader.folder / value

    def path(self, name: str, *, folder_must_exist: bool) -> Path:
        place = self._place(name, "the path of a file", optional=False)
        if place is None:
            return Path()
        if folder_must_exist and not place.parent.is_dir():
            self._reader.add(
                self._where(name), f"expected a file in an existing folder, {place.parent} is none"
            )
        elif place.is_dir():
            self._reader.add(self._where(name), f"expected a file, {place} is a folder")
        return place

    def folder(self, name: str) -> Path | None:
        place = self._place(name, "the path of a folder", optional=False)
        if place is not None and not place.is_dir():
            self._reader.add(self._where(name), f"expected an existing folder, there is none at {place}")
        return place

    def made_folder(self, name: str, otherwise: str) -> Path:
        """A folder that is made where there is none; its own folder must exist."""
        place = self._place(name, "the path of a folder", optional=True) or self._reader.folder / otherwise
        if not place.parent.is_dir() or (place.exists() and not place.is_dir()):
            self._reader.add(self._where(name), f"expected a folder, or a place for one, at {place}")
        return place

    def file(self, name: str) -> Path | None:
        place = self._place(name, "the path of a file", optional=True)
        if place is not None and not place.is_file():
            self._reader.add(self._where(name), f"expected a file, there is none at {place}")
        return place

    def secret(self, name: str, *, optional: bool = False) -> Path | None:
        place = self._place(name, "the path of a file that holds the secret", optional=optional)
        if place is None:
            return None
        problem = _secret_problem(place)
        if problem:
            self._reader.add(self._where(name), problem)
            return None
        return place


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _secret_problem(place: Path) -> str:
    try:
        mode = place.stat().st_mode
    except OSError as error:
        return f"{place} cannot be read: {error.strerror}"
    if not stat.S_ISREG(mode):
        return f"expected a file, {place} is none"
    if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
        return f"{place} is open to every user of this machine; chmod 600 it"
    if not os.access(place, os.R_OK):
        return f"{place} may not be read by this user"
    return ""


def _shown(value: Any) -> str:
    return repr(value)[:60]
