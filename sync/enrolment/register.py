"""Who is enrolled at a site, as values: settings and register. Pure."""

from __future__ import annotations

import enum
import re
from typing import Annotated

import msgspec

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
Name = Annotated[str, msgspec.Meta(pattern=rf"\A{NAME.pattern}\Z")]
"""As a lane's id: a topic level, a certificate's name, a file name and a word of a NATS subject alike."""
NAME_EXPECTED = "lower-case letters, digits and '-', beginning with a letter, at most 40"
Host = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9.:-]{0,252}\Z")]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

HUB, BROKER = "hub", "broker"
RESERVED = frozenset({HUB, BROKER, "doctor", "kakou"})


class Kind(enum.StrEnum):
    HUB = "hub"
    BROKER = "broker"
    LANE = "lane"
    HANDHELD = "handheld"
    XRAY = "xray"


DEVICE_KINDS = (Kind.LANE, Kind.HANDHELD, Kind.XRAY)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`site.toml`."""

    site: Name
    broker_hosts: Annotated[tuple[Host, ...], msgspec.Meta(min_length=1, max_length=16)]
    """Names and addresses the broker is reached by: all stand in its certificate, configs name the first."""
    broker_port: Port = 8883
    listen: Host = "0.0.0.0"  # noqa: S104  a broker's work; nobody without a certificate is let in
    """The address the broker listens on."""
    scopes: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=64)]
    """The first is a device's own where none is named."""
    hub_config: str = ""
    """The hub's own config, where it lies on this machine: `revoke` marks the device in its archive."""
    broker_pid_file: str = ""
    """Where the broker's process id stands, where it runs on this machine: it is told to read its lists."""
    days: Days = 730
    """How long a machine's certificate is valid."""
    authority_days: Days = 3650
    warn_days: Days = 30


class Serial(msgspec.Struct, frozen=True):
    """One certificate that was given out."""

    number: str
    """Hexadecimal."""
    ends: str
    """UTC text."""


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Kind
    scopes: tuple[str, ...] = ()
    enrolled: str
    revoked: str = ""
    """UTC text; empty while it is welcome."""
    serials: tuple[Serial, ...] = ()
    """Every certificate given out, the newest last."""


class Place(msgspec.Struct, frozen=True):
    """A folder a broker reads: its lists are written there whenever they change."""

    broker: str
    """`mosquitto` or `nats`."""
    folder: str


class Register(msgspec.Struct, frozen=True, kw_only=True):
    enrolled: tuple[Enrolled, ...] = ()
    places: tuple[Place, ...] = ()
    revocations: int = 0
    """Number of the newest revocation list."""
    made_here: bool = True
    """The site's authority signs here; otherwise requests go out and certificates come in."""

    def find(self, name: str) -> Enrolled | None:
        return next((each for each in self.enrolled if each.name == name), None)

    def devices(self) -> tuple[Enrolled, ...]:
        """Those that are welcome."""
        return tuple(each for each in self.enrolled if each.kind in DEVICE_KINDS and not each.revoked)

    def with_(self, row: Enrolled) -> Register:
        """The row added, or in the place of the one with its name."""
        if self.find(row.name) is None:
            return msgspec.structs.replace(self, enrolled=(*self.enrolled, row))
        rows = tuple(row if each.name == row.name else each for each in self.enrolled)
        return msgspec.structs.replace(self, enrolled=rows)


def settings_text(settings: Settings) -> str:
    """`site.toml`, with what each line means."""
    hosts = ", ".join(f'"{host}"' for host in settings.broker_hosts)
    scopes = ", ".join(f'"{scope}"' for scope in settings.scopes)
    return f"""\
# One site, as `kakou enrol` knows it. Edit it before anything was given out, and with care after it.
site = "{settings.site}"
# Names and addresses of the broker: all stand in its certificate, configs name the first.
broker_hosts = [{hosts}]
broker_port = {settings.broker_port}
# The address the broker listens on.
listen = "{settings.listen}"
# The first is a device's own where `--scope` names none.
scopes = [{scopes}]
# Where hub and broker run on this machine: `revoke` marks the device in the hub's archive, and the broker is
# told to read its lists.
hub_config = "{settings.hub_config}"
broker_pid_file = "{settings.broker_pid_file}"
# How long certificates are valid, and from when on `list` warns.
days = {settings.days}
authority_days = {settings.authority_days}
warn_days = {settings.warn_days}
"""
