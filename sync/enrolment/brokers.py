"""What a production broker reads: mosquitto's and NATS's files as text, from the site's register. Pure.

Both are made from one table of rights (`sync.link.rights`). Nobody is anonymous, nobody comes without a
certificate of the site's authority, and the name in that certificate is the user; clients choose neither. The
broker carries no guarantee (decision 0005): these lists keep strangers and stolen devices out of each other's
topics, signatures keep everybody, the broker included, from being believed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.link.rights import Grants, device_grants, hub_grants

HUB = "hub"
MAX_PACKET_BYTES = MAX_PAYLOAD_BYTES + 4 * 1024
"""A payload, its topic and the frame."""
IN_FLIGHT = 100
QUEUED_BYTES = 64 * 1024 * 1024
"""For one client that is slow; what does not fit is dropped, and sent again by whoever is owed it."""
MAX_CONNECTIONS = 1000
"""A device has three; a cut line leaves some behind until keep-alive notices."""

OWN_DELIVERY = "$MQTT.sub.>"
"""Where nats-server 2.9 delivers to an MQTT subscription; a client that asks for it by name is refused."""

GENERATED = "written by `kakou enrol`; written anew with every device, so change nothing here"


@dataclass(frozen=True, slots=True)
class Listed:
    """A device as the broker must know it."""

    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where devices reach the broker, and the folder its files lie in."""

    host: str
    """The address to listen on."""
    port: int
    place: PurePath
    """Folder with ca.pem, server.pem, server.key, crl.pem and the lists, as the broker names it."""


def mosquitto_conf(site: str, listener: Listener) -> str:
    """The whole of mosquitto.conf (2.0). Why these limits: docs/decisions/0010."""
    place = listener.place.as_posix()
    return f"""\
# The broker of {site}, for devices that prove who they are. Made once by `kakou enrol`; yours to edit.
# After a change: mosquitto reads lists and certificates again on SIGHUP, everything else at its start.

per_listener_settings true

listener {listener.port} {listener.host}
protocol mqtt
cafile {place}/ca.pem
certfile {place}/server.pem
keyfile {place}/server.key
crlfile {place}/crl.pem
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {place}/mosquitto.acl
allow_zero_length_clientid false
max_connections {MAX_CONNECTIONS}
max_topic_alias 0

# A message is at most {MAX_PAYLOAD_BYTES} bytes; who sends a longer one is thrown out.
max_packet_size {MAX_PACKET_BYTES}
max_inflight_messages {IN_FLIGHT}
# 0 is no limit in number: the default of 1000 silently drops what is over. The limit is in bytes.
max_queued_messages 0
max_queued_bytes {QUEUED_BYTES}
queue_qos0_messages false
persistent_client_expiration 1d

persistence true
persistence_location {place}/data/
autosave_on_changes false
autosave_interval 1

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
"""


def mosquitto_acl(site: str, devices: Sequence[Listed]) -> str:
    """The access list: a user not named here may do nothing, and a named one what stands there."""
    parts = [f"# Who may write and read what, at {site}: {GENERATED}.", ""]
    parts += _mosquitto_user(HUB, hub_grants(site))
    for device in devices:
        parts += _mosquitto_user(device.name, device_grants(site, device.name, device.scopes))
    return "\n".join(parts)


def _mosquitto_user(name: str, grants: Grants) -> list[str]:
    lines = [f"user {name}"]
    lines += [f"topic write {topic}" for topic in grants.write]
    lines += [f"topic read {topic}" for topic in grants.read]
    return [*lines, ""]


def nats_conf(site: str, listener: Listener, devices: Sequence[Listed], *, since_2_10: bool = True) -> str:
    """A single nats-server (JetStream) with its MQTT listener. Before 2.10 it cannot be told to sync every
    message, and must be told that MQTT clients may use its own subjects of delivery.

    NATS reads no revocation lists: who is not named here is refused, whatever certificate he has. Lists are
    read again on SIGHUP, which also ends the connections of users that are gone.
    """
    place = listener.place.as_posix()
    grants = [(HUB, hub_grants(site))]
    grants += [(device.name, device_grants(site, device.name, device.scopes)) for device in devices]
    users = [_nats_user(name, each, () if since_2_10 else (OWN_DELIVERY,)) for name, each in grants]
    sync = "  sync_interval: always\n" if since_2_10 else ""
    listed = "\n".join(users)
    return f"""\
# The broker of {site} on NATS: {GENERATED}.
server_name: {_quoted(f"kakou-{site}")}
# Nobody speaks NATS itself to this server.
host: 127.0.0.1
port: -1
max_payload: {MAX_PACKET_BYTES}

jetstream {{
  store_dir: {_quoted(f"{place}/data")}
{sync}}}

mqtt {{
  host: {_quoted(listener.host)}
  port: {listener.port}
  max_ack_pending: {IN_FLIGHT}
  tls {{
    cert_file: {_quoted(f"{place}/server.pem")}
    key_file: {_quoted(f"{place}/server.key")}
    ca_file: {_quoted(f"{place}/ca.pem")}
    # Who a client is says the name in its certificate (subject alternative name), nothing else.
    verify_and_map: true
  }}
}}

authorization {{
  users: [
{listed}
  ]
}}
"""


def _nats_user(name: str, grants: Grants, besides: tuple[str, ...]) -> str:
    publish = ", ".join(_quoted(subject_of(topic)) for topic in grants.write)
    subscribe = ", ".join(_quoted(each) for each in (*map(subject_of, grants.read), *besides))
    return (
        f"    {{ user: {_quoted(name)}, permissions: {{\n"
        f"      publish: {{ allow: [{publish}] }}\n"
        f"      subscribe: {{ allow: [{subscribe}] }} }} }}"
    )


def subject_of(topic_filter: str) -> str:
    """An MQTT topic filter as the NATS subject its server uses for it. Raises `ValueError` for a name NATS
    writes otherwise: names in a site folder have no dots or spaces."""
    if not topic_filter or any(sign in topic_filter for sign in ". *>") or "//" in topic_filter:
        raise ValueError(f"expected no dots, spaces, stars and empty levels, got {topic_filter!r}")
    words = {"+": "*", "#": ">"}
    return ".".join(words.get(level, level) for level in topic_filter.split("/"))


def _quoted(text: str) -> str:
    return json.dumps(text)
