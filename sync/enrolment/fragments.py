"""The lines of a program's config that enrolment decides, as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sync.enrolment.register import Enrolled, Kind, Settings


def _sync_lines(settings: Settings, name: str, *, statements: bool) -> str:
    chain = f'key_statements_file = "{name}/keys.json"\n' if statements else ""
    return f"""\
host = "{settings.broker_hosts[0]}"
port = {settings.broker_port}
key_file = "{name}/sign.key"
{chain}ca_file = "{name}/ca.pem"
certificate_file = "{name}/tls.pem"
tls_key_file = "{name}/tls.key"
"""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def device_fragment(settings: Settings, row: Enrolled, *, statements: bool) -> str:
    """For a config that lies beside the unpacked folder."""
    draw = f"""
[spot_check]
key_file = "{row.name}/draw.key"
""" if row.kind is Kind.LANE else ""  # fmt: skip
    return f"""\
# Of {row.kind.value} {row.name} at {settings.site}. Paths begin at the config's own folder.
# The device's name and site in the config must be these: they are in its certificate and on its topics.

[sync]
{_sync_lines(settings, row.name, statements=statements)}hub_key_file = "{row.name}/hub.pub"
scope = "{row.scopes[0]}"
{draw}"""


def hub_fragment(settings: Settings, name: str, devices: Sequence[Enrolled], *, statements: bool) -> str:
    listed = "".join(f'{each.name} = "{name}/devices/{each.name}.pub"\n' for each in devices)
    allowed = "".join(f"{each.name} = [{_quoted(each.scopes)}]\n" for each in devices)
    return f"""\
# Of the hub of {settings.site}. Paths begin at the config's own folder.
site = "{settings.site}"

[sync]
{_sync_lines(settings, name, statements=statements)}scopes = [{_quoted(settings.scopes)}]

[devices]
{listed}
# Whatever a device asks for, it gets the records of its own scopes.
[records.device_scopes]
{allowed}"""
