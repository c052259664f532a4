"""What every program at the edge is asked before and while it works: keys, certificates, clock, disk,
journal, records, broker, ports. One finding a line, in words that say what to do. Reads and greets; writes
and moves nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography import x509

from edge.linking import BUILT, SpotCheckPart, SyncPart, read_draw_key
from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.clock import UNKNOWN_MS, Clock
from sync.enrolment.certificates import (
    CertificateRefused,
    Usage,
    identity_problems,
    read_certificates,
    read_key,
)
from sync.link.client import BrokerConfig
from sync.link.key_files import own_signer
from sync.link.keys import KeyRefused, load_private, load_public
from sync.link.probing import Probe
from sync.store.opening import StoreRefused
from sync.store.records import Records, generation_path, next_generation
from sync.store.verify import last_fact_utc, verify_journal

Level = Literal["good", "note", "bad"]

CLOCK_OFF_MS = 1_000
CLOCK_BACK_S = 60.0
"""The journal's last fact, or the proof of the records, may lie so far ahead of this clock."""
CERTIFICATE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    text: str
    zh: str = ""
    """What to do about it, for whoever stands there."""
    en: str = ""


class Stored(Protocol):
    """`[store]` of a config."""

    @property
    def folder(self) -> Path: ...

    @property
    def reserve_mb(self) -> int: ...


class Wired(Protocol):
    """A device of a config."""

    @property
    def serial(self) -> SerialAddress | None: ...

    @property
    def listen(self) -> ListenAddress | None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a program's config the checks need."""

    device: str
    """Its name towards the centre."""
    sync: SyncPart
    store: Stored
    lines: Mapping[Any, Wired]
    """Devices by name."""
    spot_check: SpotCheckPart | None
    clock_must_be_known: bool
    clock: Clock
    runs: bool
    """The program itself runs beside us."""
    otherwise: str
    """What the program does where it knows too little, such as `every vehicle is held`."""


# --- keys and certificates ----------------------------------------------------------------------------------


def keys(here: Asked) -> Iterator[Finding]:
    sync = here.sync
    zh, en = "重新放置正确的密钥文件", "put the right key file there"
    for name, path, load in (
        ("device key", sync.key_file.path, load_private),
        ("hub key", sync.hub_key_file, load_public),
    ):
        try:
            load(path)
        except KeyRefused as refused:
            yield Finding(name, "bad", str(refused), zh, en)
        else:
            yield Finding(name, "good", str(path))
    if sync.key_statements_file is not None:
        try:
            own_signer(here.device, load_private(sync.key_file.path), sync.key_statements_file)
        except KeyRefused as refused:
            yield Finding("key statements", "bad", str(refused), zh, en)
        else:
            yield Finding("key statements", "good", str(sync.key_statements_file))
    if here.spot_check is None:
        yield Finding("spot check", "note", "no draw key: nobody is drawn for a spot check here")
    else:
        try:
            read_draw_key(here.spot_check.key_file)
        except KeyRefused as refused:
            yield Finding("spot check", "bad", str(refused), zh, en)
        else:
            yield Finding("spot check", "good", str(here.spot_check.key_file.path))
    secrets = [
        (name, file.path)
        for name, file in (
            ("device key", sync.key_file),
            ("password", sync.password_file),
            ("tls key", sync.tls_key_file),
            ("draw key", here.spot_check.key_file if here.spot_check is not None else None),
        )
        if file is not None
    ]
    yield from (_finding for name, path in secrets for _finding in _group_may_read(name, path))


def _group_may_read(name: str, path: Path) -> Iterator[Finding]:
    """Others are refused by the config's own reading; a group may be meant."""
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IWGRP):
        yield Finding(
            f"{name} file",
            "bad",
            f"{path}: its group may read or write it",
            "密钥文件对同组用户可读，改为 600",
            f"chmod 600 {path}",
        )


def certificates(here: Asked) -> Iterator[Finding]:
    sync = here.sync
    for name, path in (("certificate ca", sync.ca_file), ("certificate", sync.certificate_file)):
        if path is None:
            continue
        try:
            found = x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError) as error:
            yield Finding(
                name, "bad", f"{path}: no certificate (PEM): {error}", "放置正确的证书", "replace it"
            )
            continue
        ends = min(each.not_valid_after_utc for each in found)
        begins = max(each.not_valid_before_utc for each in found)
        yield _validity(name, str(path), here.clock, ends, begins)
    if sync.ca_file is not None and sync.certificate_file is not None and sync.tls_key_file is not None:
        yield from _identity(here, sync.ca_file, sync.certificate_file, sync.tls_key_file.path)


def _identity(here: Asked, ca_file: Path, file: Path, key_file: Path) -> Iterator[Finding]:
    """Whether the broker will know this device by its certificate. Files that are none are told elsewhere."""
    try:
        own, authorities = (read_certificates(path.read_bytes(), str(path)) for path in (file, ca_file))
        key = read_key(key_file.read_bytes(), str(key_file))
    except CertificateRefused as refused:
        if str(key_file) in str(refused):
            yield Finding(
                "tls key", "bad", str(refused), "放置正确的密钥文件", "put the right key file there"
            )
        return
    except OSError:
        return
    # An authority between the root and the device travels in the device's own file.
    problems = identity_problems(own[0], key, (*own[1:], *authorities), here.device, Usage.CLIENT)
    if problems:
        yield Finding(
            "certificate name",
            "bad",
            f"{file}: {'; '.join(problems)}",
            "证书与本设备或密钥不符，重新放置发证包",
            f"unpack the bundle of {here.device} again: all its files belong together",
        )
    else:
        yield Finding("certificate name", "good", f"{file}: of {here.device}, for its key")


def _validity(name: str, what: str, clock: Clock, ends: datetime, begins: datetime | None = None) -> Finding:
    now = datetime.fromisoformat(clock.utc_text())
    left = ends - now
    if left < timedelta(0):
        return Finding(
            name,
            "bad",
            f"{what}: expired on {ends:%Y-%m-%d}",
            "证书已过期，立即更换",
            "replace it: it has expired",
        )
    if begins is not None and begins > now:
        return Finding(
            name,
            "bad",
            f"{what}: valid only from {begins:%Y-%m-%d %H:%M} UTC",
            "证书尚未生效，检查时钟",
            "is the clock of this machine right?",
        )
    if left < timedelta(days=CERTIFICATE_DAYS):
        return Finding(
            name,
            "bad",
            f"{what}: expires in {left.days} days, on {ends:%Y-%m-%d}",
            "证书即将过期，尽快更换",
            "have it renewed now: `kakou enrol renew` in the office, and carry the bundle here",
        )
    return Finding(name, "good", f"{what}: valid until {ends:%Y-%m-%d}")


# --- clock, disk, stores ------------------------------------------------------------------------------------


def clock_(here: Asked) -> Iterator[Finding]:
    utc, uncertainty_ms = here.clock.utc_text(), here.clock.uncertainty_ms()
    zh, en = (
        "启动 chrony 或 systemd-timesyncd，核对时间",
        "start chrony or systemd-timesyncd; compare with a watch",
    )
    if utc < BUILT:
        yield Finding(
            "clock",
            "bad",
            f"{utc}: before this program was made ({BUILT[:10]}): not set since the machine was switched on; "
            f"{here.otherwise} (S10)",
            zh,
            en,
        )
        return
    for what, later in (
        ("the journal's last fact", _last_fact(here)),
        ("the proof of the records", _proved(here)),
    ):
        ahead_s = _seconds(utc, later)
        if ahead_s is not None and ahead_s > CLOCK_BACK_S:
            yield Finding(
                "clock",
                "bad",
                f"{utc}: {what} is {ahead_s:.0f} s in its future: this clock went back",
                zh,
                en,
            )
            return
    if uncertainty_ms == UNKNOWN_MS:
        needed = here.clock_must_be_known
        yield Finding(
            "clock",
            "bad" if needed else "note",
            "the system does not say that its clock is synchronised"
            + (f": {here.otherwise} until then (S10)" if needed else ""),
            zh,
            en,
        )
    elif uncertainty_ms > CLOCK_OFF_MS:
        yield Finding(
            "clock", "bad", f"may be off by {uncertainty_ms} ms", "检查时间服务器", "check the time source"
        )
    else:
        yield Finding("clock", "good", f"{utc}, within {uncertainty_ms} ms")


def _seconds(earlier: str, later: str | None) -> float | None:
    if later is None:
        return None
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)) / timedelta(seconds=1)
    except (ValueError, TypeError):
        return None


def _last_fact(here: Asked) -> str | None:
    path = here.store.folder / "journal.sqlite"
    try:
        return last_fact_utc(path) if path.exists() else None
    except StoreRefused:
        return None


def _proved(here: Asked) -> str | None:
    path = _current_records(here.store.folder)
    if path is None:
        return None
    try:
        with Records.open(path) as records:
            return records.feed_state().verified_utc
    except StoreRefused:
        return None


def disk(here: Asked) -> Iterator[Finding]:
    folder = here.store.folder
    existing = next((each for each in (folder, *folder.parents) if each.exists()), Path())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    reserve_mb = here.store.reserve_mb
    zh, en = "清理磁盘空间", "make room on this disk"
    if not os.access(existing, os.W_OK):
        yield Finding(
            "disk",
            "bad",
            f"{existing} may not be written by this user",
            "检查目录权限或磁盘是否只读",
            "give the folder to the program's user; replace a disk that turned read-only",
        )
    elif free_mb < reserve_mb:
        yield Finding(
            "disk",
            "bad",
            f"{free_mb} MB free, below the reserve of {reserve_mb} MB: {here.otherwise}",
            zh,
            en,
        )
    elif free_mb < 4 * reserve_mb + 500:
        yield Finding("disk", "bad", f"{free_mb} MB free: nearly full, reserve {reserve_mb} MB", zh, en)
    else:
        yield Finding("disk", "good", f"{free_mb} MB free, reserve {reserve_mb} MB")


def journal(here: Asked) -> Iterator[Finding]:
    path = here.store.folder / "journal.sqlite"
    if not path.exists():
        yield Finding("journal", "note", f"{path} is not there yet: it is made at the first start")
        return
    zh, en = "保留文件并报中心", "keep the file for the centre; see `kakou journal verify`"
    try:
        problems = verify_journal(path)
    except StoreRefused as refused:
        yield Finding("journal", "bad", str(refused), zh, en)
        return
    if problems:
        yield Finding("journal", "bad", "; ".join(problems[:3]), zh, en)
    else:
        yield Finding("journal", "good", f"{path} is whole")


def _current_records(folder: Path) -> Path | None:
    number = next_generation(folder) - 1 if folder.exists() else 0
    path = generation_path(folder, number)
    return path if number >= 1 and path.exists() else None


def records(here: Asked) -> Iterator[Finding]:
    path = _current_records(here.store.folder)
    zh, en = "检查到中心的网络与中心程序", "see whether hub, broker and network live"
    if path is None:
        yield Finding("records", "note", "no records yet: they come with the first contact to the centre")
        return
    try:
        with Records.open(path) as records:
            state, site = records.feed_state(), records.site()
    except StoreRefused as refused:
        yield Finding(
            "records", "bad", str(refused), "删除该文件，底账会重新下发", "delete it: it is pulled again"
        )
        return
    if site is None:
        yield Finding("records", "bad", f"{path.name} has no row of this site: {here.otherwise}", zh, en)
    elif state.verified_utc is None:
        yield Finding("records", "bad", f"{path.name} was never proved equal to the centre's", zh, en)
    else:
        age_s = _seconds(state.verified_utc, here.clock.utc_text()) or 0.0
        text = f"number {state.number}, {state.rows} rows, proved {age_s:.0f} s ago"
        if age_s > site.max_age_s:
            yield Finding("records", "bad", f"{text}: too old (S10)", zh, en)
        else:
            yield Finding("records", "good", text)


# --- the way to the centre ----------------------------------------------------------------------------------


def broker(here: Asked, greet: Callable[[BrokerConfig, str], Probe]) -> Iterator[Finding]:
    part = here.sync
    found = greet(
        BrokerConfig(
            host=part.host,
            port=part.port,
            username=part.username or None,
            password_file=part.password_file.path if part.password_file is not None else None,
            ca_file=part.ca_file,
            cert_file=part.certificate_file,
            key_file=part.tls_key_file.path if part.tls_key_file is not None else None,
            allow_plaintext=part.allow_plaintext,
            allow_plaintext_outside_loopback=part.allow_plaintext_outside_loopback,
        ),
        f"{here.device}-doctor",
    )
    zh, en = {
        "accepted": ("", ""),
        "refused": ("检查用户名、密码与代理的权限", "correct user name and password, here or at the broker"),
        "unreachable": (
            "检查网络、地址、端口与代理程序",
            "is the broker running, the address right, the cable in?",
        ),
        "untrusted": (
            "检查证书、主机名与时钟",
            "check the certificates, the host name in them, and the clock",
        ),
        "mute": ("该端口不是 MQTT 代理", "is this the broker's port, with or without TLS as configured?"),
        "not configured": ("改正连接配置", "correct the keys of [sync]"),
    }[found.outcome]
    yield Finding("broker", "good" if found.outcome == "accepted" else "bad", found.why, zh, en)
    if found.certificate_until is not None:
        where = f"{part.host}:{part.port}"
        yield _validity("certificate broker", where, here.clock, found.certificate_until)
    if part.ca_file is None:
        yield Finding(
            "encryption", "note", "plain text: only the signatures protect what is said (see security)"
        )


# --- ports and wires, as configured -------------------------------------------------------------------------


def ports(here: Asked) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name, device in sorted(here.lines.items()):
        serial = device.serial
        if device.listen is not None and not here.runs:
            yield _listening(name, device.listen.host, device.listen.port)
        if serial is None or "://" in serial.url or serial.url.upper().startswith("COM"):
            continue
        path = Path(serial.url)
        same = seen.setdefault(os.path.realpath(path), name)
        if same != name:
            yield Finding(
                f"port {name}",
                "bad",
                f"{serial.url}: is the port of {same} too",
                "两个设备用了同一串口",
                "give each device its own port",
            )
        elif not path.exists():
            yield Finding(
                f"port {name}",
                "bad",
                f"{serial.url}: no such port; is it plugged in?",
                "检查 USB 与串口线",
                "plug it in; `ls /dev/serial/by-id` shows what is there",
            )
        elif not os.access(path, os.R_OK | os.W_OK):
            yield Finding(
                f"port {name}",
                "bad",
                f"{serial.url}: may not be opened by this user",
                "将运行用户加入 dialout 组",
                "add the program's user to the group dialout",
            )
        elif path.name.startswith(("ttyUSB", "ttyACM")) and path.parent == Path("/dev"):
            yield Finding(
                f"port {name}",
                "note",
                f"{serial.url}: has another name when it is plugged in again, or after a restart",
                "改用 /dev/serial/by-id 下的固定名称",
                f"use {_by_id(path) or '/dev/serial/by-id/…'}",
            )
        else:
            yield Finding(f"port {name}", "good", serial.url)


def _by_id(path: Path) -> str | None:
    """The lasting name of a USB adapter, where the system gives it one."""
    try:
        links = sorted(Path("/dev/serial/by-id").iterdir())
    except OSError:
        return None
    return next((str(link) for link in links if link.resolve() == path), None)


def _listening(name: str, host: str, port: int) -> Finding:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        return Finding(
            f"port {name}",
            "bad",
            f"{host} port {port}: {why}",
            "端口被占用或地址不属于本机",
            "which other program listens there? is the address this machine's?",
        )
    return Finding(f"port {name}", "good", f"{host} port {port} is free to listen on")
