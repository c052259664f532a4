"""What a lane's TOML file may say of fixed cameras and evidence pictures. Opens nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from edge.devices.fixed_camera.camera import Limits
from edge.devices.fixed_camera.source import Address, FileAddress, LocalAddress, StreamAddress
from edge.runtime.config_reading import ConfigError, SecretFile

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Moment = Literal["arrival", "weighing", "ruling", "passing"]

LONGEST_BETWEEN_KEY_FRAMES_S = 10.0
"""Of H.264 and H.265 as cameras are set up; some make the distance longer while nothing moves."""

SCHEMES = ("rtsp", "rtsps", "http", "https")

_WRITTEN_PASSWORD = re.compile(r"(?i)(?:password|passwd|pwd)=(?!\{password\})[^&/_]")


class CameraPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fixed camera. Always optional: its loss is an alarm, and holds nobody."""

    url: str | None = None
    """`rtsp://`, `rtsps://`, or motion JPEG by `http://` or `https://`. Exactly one of url, device, path."""
    device: Annotated[str, msgspec.Meta(pattern=r"^(/dev/.+|[0-9]{1,2})$")] | None = None
    """A camera of this machine: `/dev/v4l/by-id/...`, `/dev/video0`, or its number."""
    path: Path | None = None
    """A folder whose newest picture counts (a camera with FTP upload); to try out, a video or a picture."""
    username: str = ""
    """Of a stream."""
    password_file: SecretFile | None = None
    """Of a stream. Where the maker wants it inside the address, write `{password}` there."""
    moments: Annotated[tuple[Moment, ...], msgspec.Meta(min_length=1)] = (
        "arrival",
        "weighing",
        "ruling",
        "passing",
    )
    """When a picture of it is kept."""
    columns: Annotated[int, msgspec.Meta(ge=160, le=7680)] = 1280
    """Asked of a `device`; it may answer with another size."""
    rows: Annotated[int, msgspec.Meta(ge=120, le=4320)] = 720
    frame_every_s: Annotated[float, msgspec.Meta(ge=0.04, le=10)] = 0.2
    """How often a frame is decoded and held ready."""
    silent_after_s: Seconds = 5.0
    """Without a frame for so long it counts as silent."""
    frozen_after_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0
    """The same frame to the last dot for so long: it is frozen, and no picture of it is kept. 0: never."""
    dark_below: Annotated[int, msgspec.Meta(ge=0, le=128)] = 24
    """A frame with nothing brighter than this (of 255) is reported as dark. 0: never."""
    open_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 3.0
    """A stopping program waits so long for a camera that does not answer."""


class PicturesPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence pictures: how they are made, and how much disk they may take."""

    most_mb: Annotated[int, msgspec.Meta(ge=10, le=10_000_000)] = 20_000
    """Beyond it the oldest go: first those the centre has, then those it has not."""
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    """Older ones go where the centre has them and the clock is synchronised."""
    keep_held_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 365
    """The same of evidence of holds and alarms, which also goes after all other when the disk is full."""
    upload_kb_per_s: Annotated[int, msgspec.Meta(ge=4, le=1_000_000)] = 500
    """Pictures take no more of the line to the centre than this, and nothing while a fact waits."""
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 1_024
    """With less disk than this left no picture is kept: the journal needs it more (G8)."""
    quality: Annotated[int, msgspec.Meta(ge=40, le=98)] = 85
    """Of the JPEG."""
    widest: Annotated[int, msgspec.Meta(ge=320, le=7680)] = 1_920
    """Wider frames are made smaller."""
    fresh_s: Seconds = 1.0
    """A frame at most so much older than the moment is of that moment; older, and the picture says so."""
    wait_s: Seconds = 1.5
    """Where there is none, wait so long for the next one."""
    oldest_s: Seconds = 5.0
    """An older frame may show another vehicle: no picture is kept of it (S5)."""
    most_waiting: Annotated[int, msgspec.Meta(ge=1, le=200)] = 16
    """Pictures waiting for the disk; one more is not taken, which is reported."""
    time_zone: str = "Asia/Shanghai"
    """Of the time written under a picture."""

    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def camera_errors(
    cameras: Mapping[str, CameraPart], pictures: PicturesPart, *, taken: Collection[str] = ()
) -> list[ConfigError]:
    """What of `[cameras.<name>]` and `[pictures]` does not fit together; `taken`: the names of devices."""
    errors: list[ConfigError] = []
    for name, part in cameras.items():
        where = f"cameras.{name}"
        if name in taken:
            errors.append(ConfigError(where, f"{name} is the name of a device already"))
        if [part.url, part.device, part.path].count(None) != 2:
            errors.append(ConfigError(where, "expected exactly one of `url`, `device` and `path`"))
        if part.url is not None:
            errors += _url_errors(f"{where}.url", part.url, part)
        elif part.username or part.password_file is not None:
            errors.append(ConfigError(f"{where}.username", "only with `url`"))
        if part.path is not None and not part.path.exists():
            errors.append(ConfigError(f"{where}.path", f"expected a folder or file, got {part.path}"))
        if part.silent_after_s <= part.frame_every_s:
            problem = f"expected more than frame_every_s = {part.frame_every_s}"
            errors.append(ConfigError(f"{where}.silent_after_s", problem))
    if pictures.oldest_s < pictures.fresh_s:
        errors.append(ConfigError("pictures.oldest_s", f"expected at least fresh_s = {pictures.fresh_s}"))
    try:
        pictures.zone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        expected = "expected a time zone such as Asia/Shanghai"
        errors.append(ConfigError("pictures.time_zone", f"{expected}, got {pictures.time_zone!r}"))
    return errors


def _url_errors(where: str, url: str, part: CameraPart) -> list[ConfigError]:
    """What stands in the URL may be a password put there by mistake: it is not repeated."""
    errors = []
    try:
        parts = urlsplit(url)
        whole = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return [ConfigError(where, f"expected {' or '.join(f'{scheme}://host/...' for scheme in SCHEMES)}")]
    if not whole or any(letter.isspace() or not letter.isprintable() for letter in url):
        errors.append(
            ConfigError(where, f"expected {' or '.join(f'{scheme}://host/...' for scheme in SCHEMES)}")
        )
    if "@" in parts.netloc:
        errors.append(ConfigError(where, "expected no user in it: use `username` and `password_file`"))
    if _WRITTEN_PASSWORD.search(url):
        errors.append(
            ConfigError(where, "expected `{password}` in place of the password, and `password_file`")
        )
    inside = "{password}" in url
    if inside and part.password_file is None:
        errors.append(ConfigError(where, "`{password}` needs `password_file`"))
    if part.password_file is not None and not inside and not part.username:
        errors.append(ConfigError(where.removesuffix("url") + "password_file", "expected `username` with it"))
    return errors


def address_of(part: CameraPart) -> Address:
    """Reads the password. Raises `OSError` and `UnicodeDecodeError` where it cannot."""
    if part.url is not None:
        password = part.password_file.read_text() if part.password_file is not None else ""
        return StreamAddress(part.url, part.username, password)
    if part.device is not None:
        return LocalAddress(part.device, part.columns, part.rows)
    if part.path is not None:
        return FileAddress(part.path)
    raise ValueError("expected one of url, device and path")


def limits_of(part: CameraPart) -> Limits:
    return Limits(
        frame_every_s=part.frame_every_s,
        silent_after_s=part.silent_after_s,
        frozen_after_s=part.frozen_after_s,
        dark_below=part.dark_below,
        open_timeout_s=part.open_timeout_s,
        read_timeout_s=min(LONGEST_BETWEEN_KEY_FRAMES_S, 2.0 * part.silent_after_s),
    )
