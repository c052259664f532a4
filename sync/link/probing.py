"""One try at the broker, as a device would make it, for whoever looks for faults. It changes nothing there.

Under a client id of its own: a broker throws out the older of two with the same one.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from sync.link.client import BrokerConfig, LinkConfigRefused


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it."""

    outcome: Literal["accepted", "refused", "unreachable", "untrusted", "mute", "not configured"]
    why: str = ""
    certificate_until: datetime | None = None
    """Of the broker's own certificate; None in plain text."""


def probe(config: BrokerConfig, client_id: str, timeout_s: float = 3.0) -> Probe:
    """Connect, be accepted or not, leave. Never raises; takes at most about twice `timeout_s`."""
    where = f"{config.host}:{config.port}"
    try:
        config.checked()
        context = config.tls()
    except LinkConfigRefused as refused:
        return Probe("not configured", str(refused))
    until: datetime | None = None
    try:
        with socket.create_connection((config.host, config.port), timeout_s) as line:
            if context is not None:
                with context.wrap_socket(line, server_hostname=config.host) as guarded:
                    until = _valid_until(guarded)
    except ssl.SSLCertVerificationError as error:
        return Probe("untrusted", f"{where}: {error.verify_message}")
    except ssl.SSLError as error:
        return Probe("untrusted", f"{where}: TLS fails: {error.reason or error}")
    except OSError as error:
        return Probe("unreachable", f"{where}: {error.strerror or error}")
    try:
        outcome, why = _conversation(config, context, client_id, timeout_s)
    except (OSError, ValueError, LinkConfigRefused) as error:
        return Probe("mute", f"{where}: {error}", until)
    return Probe(outcome, f"{where} {why}".strip(), until)


def _conversation(
    config: BrokerConfig, context: ssl.SSLContext | None, client_id: str, timeout_s: float
) -> tuple[Literal["accepted", "refused", "mute"], str]:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=True,
        protocol=mqtt.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = timeout_s
    if config.username is not None:
        client.username_pw_set(config.username, config.password())
    if context is not None:
        client.tls_set_context(context)
    answers: list[Any] = []
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.append(code)
    try:
        client.connect(config.host, config.port, 10)
        until_s = time.monotonic() + timeout_s
        while not answers and time.monotonic() < until_s:
            if client.loop(0.1) is not MQTTErrorCode.MQTT_ERR_SUCCESS and not answers:
                return "mute", "hung up without a word"
    finally:
        client.disconnect()
    if not answers:
        return "mute", f"takes connections, but no broker answers within {timeout_s:g} s"
    who = f"user {config.username!r}" if config.username is not None else "no user name"
    if answers[0].is_failure:
        return "refused", f"refused {who}: {answers[0]}"
    return "accepted", f"accepts {who}"


def _valid_until(guarded: ssl.SSLSocket) -> datetime | None:
    certificate = guarded.getpeercert() or {}
    end = certificate.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None
