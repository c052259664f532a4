"""MQTT around the session: two connections, one link thread. Callbacks only enqueue; nothing here decides.

MQTT 3.1.1, clean sessions, QoS 1 (docs/contract). Every connection is a fresh client object, so that nothing
a library kept from the last connection can come out late; the session sends again what is still owed.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import secrets
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_never, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from sync.link.blob_link import BlobLink, BlobPerformer, BlobSource
from sync.link.blob_session import BlobConfig, BlobSession
from sync.link.fetching import BeginSurvey, Mend, WorkOnSnapshot
from sync.link.keys import HUB_KID, Signer
from sync.link.messages import ROOT, ClaimRequest, Topics
from sync.link.performer import LinkPerformer
from sync.link.session import EdgeSession
from sync.link.tls_words import end_of, said_of, said_of_own, said_of_text
from sync.link.words import (
    AdoptGeneration,
    ApplyBatch,
    BeginGeneration,
    CertificateEnds,
    ClaimAnswered,
    ClaimAsked,
    ClaimWithdrawn,
    CommandAnswered,
    Connected,
    Connection,
    ConnectionRefused,
    Disconnected,
    FactsWaiting,
    LinkDown,
    LinkEvent,
    NoteVerified,
    Notice,
    Notify,
    Overflowed,
    Publish,
    Received,
    ResyncWanted,
    SessionConfig,
    StatusChanged,
    StatusWanted,
    Tick,
    WakeAt,
)
from sync.store.journal import Journal
from sync.vocabulary.commands import Outcome
from sync.vocabulary.numbers import utc_text

_log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
IN_FLIGHT_MESSAGES = 64
MOST_QUEUED = 8_192
"""Of the hub, on one connection: half a gigabyte at worst. Devices that pull faster than the broker takes the
answers must not fill its memory; whatever is not sent is asked for again."""
"""Above a hundred the library slows down: it rescans its window on every acknowledgement (measured)."""
BATCHES_AT_ONCE = 32
"""Feed payloads that share a transaction, two megabytes: so long may a claim's answer wait for the disk."""
MAX_INBOX_MESSAGES = 4_000
MAX_INBOX_BYTES = 32 * 1024 * 1024
SUPERVISE_EVERY_S = 0.5
CERTIFICATE_LOOK_EVERY_S = 86_400.0
CERTIFICATE_WARNING = timedelta(days=30)
RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 2.0

LOOK_EVERY_S = 0.5
"""How often keep-alive is looked after when nothing happens."""

_WELL = MQTTErrorCode.MQTT_ERR_SUCCESS

_TRY_AGAIN_LATER = "Server unavailable"
"""The only refusal of MQTT 3.1.1 that waiting may cure."""


class LinkConfigRefused(ValueError):
    """The link cannot be started as configured; the text names the setting and what was expected."""


class _Handshaking(ssl.SSLSocket):
    """The MQTT library forgets a socket whose handshake fails: one a try, until memory is collected."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Where the broker is and how we prove who we are. TLS is on when `ca_file` is given."""

    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    """One line; never the password itself."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    allow_plaintext: bool = False
    allow_plaintext_outside_loopback: bool = False
    keepalive_s: int = 10
    """A silent broker counts as lost after one and a half times this."""
    connect_timeout_s: float = 5.0
    stand_within_s: float = 20.0
    """From the TCP connection to the answer to our subscription."""
    reconnect_first_s: float = 0.5
    reconnect_longest_s: float = 30.0

    def checked(self) -> BrokerConfig:
        """Itself, once all files it names can be read. Raises `LinkConfigRefused`."""
        for name, problem in self.plaintext_problems():
            raise LinkConfigRefused(f"{name}: {problem}")
        if self.ca_file is None and (self.cert_file or self.key_file):
            raise LinkConfigRefused("ca_file: expected beside cert_file and key_file")
        if (self.cert_file is None) != (self.key_file is None):
            raise LinkConfigRefused("cert_file and key_file: expected both or neither")
        if self.password_file is not None and self.username is None:
            raise LinkConfigRefused("username: expected beside password_file")
        if not 0 < self.port < 65536:
            raise LinkConfigRefused(f"port: expected 1 to 65535, got {self.port}")
        self.password()
        self.tls()
        return self

    def plaintext_problems(self) -> tuple[tuple[str, str], ...]:
        """Settings that are missing before anybody outside this machine is spoken to in plain text."""
        if self.ca_file is not None or self.host in LOOPBACK:
            return ()
        problem = f"expected true, or a ca_file: {self.host}:{self.port} would be spoken to in plain text"
        asked = (
            ("allow_plaintext", self.allow_plaintext),
            ("allow_plaintext_outside_loopback", self.allow_plaintext_outside_loopback),
        )
        return tuple((name, problem) for name, allowed in asked if not allowed)

    def password(self) -> str | None:
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise LinkConfigRefused(f"password_file: cannot read {self.password_file} ({error})") from error

    def tls(self) -> ssl.SSLContext | None:
        if self.ca_file is None:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            if self.cert_file is not None:
                context.load_cert_chain(str(self.cert_file), str(self.key_file))
        except (OSError, ssl.SSLError) as error:
            raise LinkConfigRefused(f"ca_file, cert_file, key_file: cannot be used ({error})") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Handshaking
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """A device's link: who it is, which broker, and every duration (seconds) and size (bytes)."""

    device: str
    site: str
    scopes: tuple[str, ...]
    """Exactly one: a device's records are one scope."""
    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    allow_plaintext: bool = False
    allow_plaintext_outside_loopback: bool = False
    keepalive_s: int = 10
    connect_timeout_s: float = 5.0
    reconnect_first_s: float = 0.5
    reconnect_longest_s: float = 30.0
    key_statements: bytes = b""
    """Of this device's signing key, where it was replaced since it was enrolled (`sync.link.trust`)."""
    version: str = ""
    config_digest: str = ""
    boot_id: str = ""
    resend_first_s: float = 5.0
    resend_longest_s: float = 300.0
    claim_retry_s: float = 1.0
    pull_first_s: float = 5.0
    pull_longest_s: float = 300.0
    status_every_s: float = 30.0
    refused_every_s: float = 60.0
    window_bytes: int = 16 * 1024
    widest_window_bytes: int = 1024 * 1024
    facts_a_message: int = 1000
    """At most."""
    leads_to_parcels: bool = False
    """Officers look parcels up by slip, trace code and order."""
    blob_bytes_per_s: int = 500_000
    """Evidence takes no more of the line than this, and nothing while a fact waits."""

    def broker(self) -> BrokerConfig:
        return BrokerConfig(
            host=self.host,
            port=self.port,
            username=self.username,
            password_file=self.password_file,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            allow_plaintext=self.allow_plaintext,
            allow_plaintext_outside_loopback=self.allow_plaintext_outside_loopback,
            keepalive_s=self.keepalive_s,
            connect_timeout_s=self.connect_timeout_s,
            reconnect_first_s=self.reconnect_first_s,
            reconnect_longest_s=self.reconnect_longest_s,
        )

    def blobs(self) -> BlobConfig:
        return BlobConfig(
            device=self.device,
            topics=Topics(self.site),
            bytes_per_s=self.blob_bytes_per_s,
            burst_bytes=max(16 * 1024, min(128 * 1024, self.blob_bytes_per_s // 4)),
            resend_first_s=self.resend_first_s,
            resend_longest_s=self.resend_longest_s,
            unnamed_first_s=min(2.0, self.resend_first_s),
            look_every_s=min(2.0, self.resend_first_s),
            refused_every_s=self.refused_every_s,
        )

    def session(self) -> SessionConfig:
        """Raises `LinkConfigRefused`."""
        if len(self.scopes) != 1:
            raise LinkConfigRefused(f"scopes: expected exactly one scope, got {len(self.scopes)}")
        return SessionConfig(
            device=self.device,
            topics=Topics(self.site),
            scope=self.scopes[0],
            key_statements=self.key_statements,
            version=self.version,
            config_digest=self.config_digest,
            boot_id=self.boot_id,
            resend_first_s=self.resend_first_s,
            resend_longest_s=self.resend_longest_s,
            missing_patience_s=min(1.0, self.resend_first_s / 5),
            claim_retry_s=self.claim_retry_s,
            pull_first_s=self.pull_first_s,
            pull_longest_s=self.pull_longest_s,
            pull_quiet_s=min(0.2, self.pull_first_s / 5),
            status_every_s=self.status_every_s,
            refused_every_s=self.refused_every_s,
            window_bytes=self.window_bytes,
            widest_window_bytes=self.widest_window_bytes,
            read_facts=self.facts_a_message,
        )


# --- one connection ---------------------------------------------------------------------------------------

WireEvent = Connected | Disconnected | ConnectionRefused | Received


class _Wire:
    """One MQTT connection with a thread of its own: it connects, serves, and connects again with back-off."""

    def __init__(
        self,
        connection: Connection,
        client_id: str,
        broker: BrokerConfig,
        *,
        subscribe: tuple[str, ...],
        will: Callable[[], tuple[str, bytes]] | None,
        tell: Callable[[WireEvent], None],
        most_queued: int = 0,
    ) -> None:
        """`tell` is called on the connection's thread and must only enqueue. `most_queued`: messages that
        may wait for the broker, 0 for any number."""
        self.connection = connection
        self._client_id = client_id
        self._broker = broker
        self._subscribe = subscribe
        self._will = will
        self._tell = tell
        self._most_queued = most_queued
        self._stopping = threading.Event()
        self._client: mqtt.Client | None = None
        self._connected = False
        self._told = False
        self._why = ""
        self.unasked = 0
        """Messages on topics that were not subscribed: dropped, whoever sent them."""
        self._thread: threading.Thread | None = None
        self._ear, self._clapper = socket.socketpair()
        self._ear.setblocking(False)
        self._clapper.setblocking(False)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"mqtt {self._client_id}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def asks(self) -> bool:
        """Whether there is anything to subscribe to."""
        return bool(self._subscribe)

    def revive(self) -> bool:
        """Start the thread again if it died; True when it had."""
        if self.alive or self._stopping.is_set():
            return False
        self._lost("its thread died")
        self.start()
        return True

    def ask_also(self, topics: tuple[str, ...]) -> None:
        """Subscribe to these too, from now on; what is retained there comes again."""
        new = tuple(topic for topic in topics if topic not in self._subscribe)
        self._subscribe = (*self._subscribe, *new)
        client = self._client
        if new and client is not None and self._connected:
            # Taken apart meanwhile: the next connection asks for all.
            with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
                client.subscribe([(topic, 1) for topic in new])
                self._ring()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand over at QoS 1; False when there is no connection. Nothing is promised either way."""
        client = self._client
        if client is None or not self._connected:
            return False
        try:
            taken = client.publish(topic, payload, qos=1, retain=retain).rc is _WELL
            self._ring()
            return taken
        except (OSError, ValueError, AttributeError, RuntimeError):
            # The library takes its sockets apart while we hand over: as good as lost.
            return False

    def ask_to_stop(self) -> None:
        self._stopping.set()
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                client.disconnect()
        self._ring()

    def join(self, timeout_s: float) -> bool:
        if self._thread is not None:
            self._thread.join(max(0.0, timeout_s))
        if not self.alive:
            self._ear.close()
            self._clapper.close()
        return not self.alive

    def _run(self) -> None:
        wait_s = self._broker.reconnect_first_s
        while not self._stopping.is_set():
            self._why = ""
            served = False
            try:
                served = self._serve()
            except LinkConfigRefused as error:
                self._tell(ConnectionRefused(self.connection, str(error)))
            except ssl.SSLError as error:
                self._tell(ConnectionRefused(self.connection, f"{self._where()}: {said_of(error)}"))
            except Exception as error:  # noqa: BLE001  whatever a broker's bytes do to the library is a lost link
                self._why = f"{type(error).__name__}: {error}"
                _log.debug("connection %s: %s", self._client_id, self._why)
            self._client = None
            self._lost(self._why)
            wait_s = self._broker.reconnect_first_s if served else wait_s
            if self._stopping.wait(wait_s):
                return
            wait_s = min(wait_s * 2, self._broker.reconnect_longest_s)

    def _lost(self, why: str) -> None:
        self._connected = False
        if self._told:
            self._told = False
            self._tell(Disconnected(self.connection, why))

    def _serve(self) -> bool:
        """One connection from first byte to last; True when it stood."""
        client = self._make()
        stood = False
        answered = False
        last_words = ""

        def overhear(_client: mqtt.Client, _data: Any, _level: int, text: str) -> None:
            # The library keeps to itself why a socket failed; with TLS 1.3 that is where a broker says that
            # it does not take our certificate.
            nonlocal last_words
            last_words = text if "failed to receive" in text else last_words

        def on_connect(_client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
            nonlocal answered
            answered = True
            client.on_log = None
            if code.is_failure:
                self._why = f"the broker refused the connection: {code}"
                if str(code) != _TRY_AGAIN_LATER:
                    self._tell(ConnectionRefused(self.connection, self._refusal(str(code))))
            elif self._stopping.is_set():
                client.disconnect()
            elif self._subscribe:
                client.subscribe([(topic, 1) for topic in self._subscribe])

        def on_subscribe(_client: mqtt.Client, _data: Any, _mid: Any, codes: Any, _properties: Any) -> None:
            nonlocal stood
            refused = [topic for topic, code in zip(self._subscribe, codes, strict=False) if code.is_failure]
            if refused:
                self._why = f"the broker refused the subscription to {', '.join(refused)}"
                self._tell(ConnectionRefused(self.connection, self._why))
                client.disconnect()
                return
            stood = self._connected = self._told = True
            self._tell(Connected(self.connection))

        def on_disconnect(_client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
            self._connected = False
            self._why = self._why or f"disconnected: {code}"

        def on_message(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                topic = "not UTF-8"
            if not any(mqtt.topic_matches_sub(_unshared(asked), topic) for asked in self._subscribe):
                # amqtt, restarted, was seen to hand one client another's retained messages.
                self.unasked += 1
                if self.unasked.bit_count() == 1:
                    _log.warning("connection %s: %d messages nobody asked for", self.connection, self.unasked)
                return
            self._tell(Received(topic, bytes(message.payload)))

        client.on_log = overhear if self._broker.ca_file is not None else None
        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_disconnect = on_disconnect
        client.on_message = on_message
        client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s)
        self._client = client
        if self._stopping.is_set():
            client.disconnect()
        self._converse(client, lambda: stood)
        if not (answered or self._stopping.is_set()):
            refused = self._certificate_refused(last_words)
            if refused:
                self._why = f"{self._where()}: {refused}"
                self._tell(ConnectionRefused(self.connection, self._why))
        return stood

    def _certificate_refused(self, last_words: str) -> str:
        """What a broker meant that hung up before it answered; empty where it may have been the line."""
        file, own = self._broker.cert_file, ""
        if file is not None:
            with contextlib.suppress(OSError):
                own = said_of_own(file.read_bytes(), str(file), datetime.now(UTC))
        if own or said_of_text(last_words):
            return own or said_of_text(last_words)
        if "EOF occurred" in last_words and file is not None:
            return (
                f"the broker hung up on our certificate, revoked or of another authority than its own: {file}"
            )
        return ""

    def _converse(self, client: mqtt.Client, stands: Callable[[], bool]) -> None:
        """Read and write until the connection ends, or has not come to stand in its time. The library's own
        loop looks for what other threads have handed over only every so often, unless it may start a thread
        of its own; ours is rung."""
        ssl_too = self._broker.ca_file is not None
        due_s = time.monotonic() + self._broker.stand_within_s
        while True:
            if not stands() and time.monotonic() > due_s:
                # One that answers pings and no subscription (amqtt, restarted) would be held for ever else.
                self._why = "the broker did not answer in time"
                client.disconnect()
                client.loop_write()
                return
            sock = client.socket()
            if sock is None:
                return
            with selectors.DefaultSelector() as waiting:
                to_write = client.want_write()
                waiting.register(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if to_write else 0))
                waiting.register(self._ear, selectors.EVENT_READ)
                buffered = ssl_too and cast(ssl.SSLSocket, sock).pending() > 0
                ready = {
                    key.fileobj: events for key, events in waiting.select(0 if buffered else LOOK_EVERY_S)
                }
            if self._ear in ready:
                with contextlib.suppress(BlockingIOError):
                    while self._ear.recv(1024):
                        pass
            events = ready.get(sock, 0)
            if (events & selectors.EVENT_READ or buffered) and client.loop_read() is not _WELL:
                return
            if client.want_write() and client.loop_write() is not _WELL:
                return
            if client.loop_misc() is not _WELL:
                return

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            self._clapper.send(b"\0")

    def _make(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._broker.connect_timeout_s
        client.max_inflight_messages_set(IN_FLIGHT_MESSAGES)
        client.max_queued_messages_set(self._most_queued)
        # Without this the library writes to the socket on whichever thread publishes.
        client.on_socket_register_write = lambda _client, _data, _socket: None
        client.on_socket_open = _without_delay
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password())
        context = self._broker.tls()
        if context is not None:
            client.tls_set_context(context)
        if self._will is not None:
            topic, payload = self._will()
            client.will_set(topic, payload, qos=1, retain=True)
        return client

    def _where(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _refusal(self, code: str) -> str:
        broker = self._broker
        who = f"user {broker.username!r}" if broker.username is not None else "no user name"
        return f"{self._where()} refused {self._client_id} ({who}): {code}"


def _run_id() -> str:
    """Behind every client id, new with each start of a program. Whoever connects under the id of another
    throws him out, and brokers do not bind ids to certificates (measured with mosquitto): nobody can use an
    id he cannot know."""
    return secrets.token_hex(8)


def _without_delay(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    """Small messages at once: a claim must not wait for the acknowledgement of the packet before it."""
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


# --- the edge's end ---------------------------------------------------------------------------------------


class _Inbox:
    """What waits for the link thread. Bounded: what does not fit is dropped and counted, never blocks."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._events: collections.deque[LinkEvent] = collections.deque()
        self._messages = 0
        self._bytes = 0
        self._dropped = 0
        self._facts = False

    def put(self, event: LinkEvent) -> None:
        with self._ready:
            if isinstance(event, Received):
                full = self._messages >= MAX_INBOX_MESSAGES
                if full or self._bytes + len(event.payload) > MAX_INBOX_BYTES:
                    self._dropped += 1
                    return
                self._messages += 1
                self._bytes += len(event.payload)
            self._events.append(event)
            self._ready.notify()

    def facts(self) -> None:
        """Many commits are one `FactsWaiting`."""
        with self._ready:
            self._facts = True
            self._ready.notify()

    def wake(self) -> None:
        with self._ready:
            self._ready.notify()

    def take(self, timeout_s: float) -> tuple[LinkEvent, ...]:
        with self._ready:
            if not (self._events or self._facts):
                self._ready.wait(timeout_s)
            taken = list(self._events)
            self._events.clear()
            self._messages = self._bytes = 0
            if self._facts:
                taken.append(FactsWaiting())
                self._facts = False
            if self._dropped:
                taken.append(Overflowed(self._dropped))
                self._dropped = 0
        return tuple(taken)


class LinkClient:
    """The edge's link: give it what to say, hear notices. Public methods are safe on any thread and never
    block on the network; `notices` is called on the link thread and must only enqueue."""

    def __init__(
        self,
        config: LinkConfig,
        *,
        journal: Journal,
        records_folder: Path,
        signer: Signer,
        hub_key: Ed25519PublicKey,
        notices: Callable[[Notice], None],
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
        blobs: BlobSource | None = None,
    ) -> None:
        """`blobs`: where the evidence lies that the journal owes; None: this program keeps none. Raises
        `LinkConfigRefused`. Touches neither disk nor network before `start`."""
        self._config = config
        self._session_config = config.session()
        self._broker = config.broker().checked()
        self._signer = signer
        self._hub_key = hub_key
        self._notices = notices
        self._utc = utc
        self._performer = LinkPerformer(
            journal,
            records_folder,
            scope=self._session_config.scope,
            utc=lambda: utc_text(utc()),
            leads_to_parcels=config.leads_to_parcels,
        )
        self._blob_performer = BlobPerformer(journal, blobs) if blobs is not None else None
        self._blob_link: BlobLink | None = None
        self._inbox = _Inbox()
        self._stopping = threading.Event()
        self._wires: dict[Connection, _Wire] = {}
        self._session: EdgeSession | None = None
        self._will_payload: tuple[str, bytes] | None = None
        self._wake_at_s: float | None = None
        self._gathered: list[ApplyBatch] = []
        """Feed batches that arrived together and wait for the end of what arrived with them."""
        self._run_id = _run_id()
        self._certificate_look_s = 0.0
        self._health: dict[str, str] = {}
        self._claims: dict[str, ClaimRequest] = {}
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def start(self) -> None:
        """Once. Returns at once; `LinkUp` is a notice."""
        if self._thread is not None:
            raise RuntimeError("a link is started once")
        self._thread = threading.Thread(target=self._run, name=f"link {self._config.device}", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """Say goodbye and end every thread; True when all ended within two seconds."""
        self._stopping.set()
        self._inbox.wake()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)
        return self._thread is None or not self._thread.is_alive()

    def claim(self, request: ClaimRequest) -> None:
        """Ask until `ClaimAnswered` or `withdraw`."""
        with self._guard:
            self._claims[request.claim_id] = request
        self._inbox.put(ClaimAsked(request))

    def withdraw(self, claim_id: str) -> None:
        with self._guard:
            self._claims.pop(claim_id, None)
        self._inbox.put(ClaimWithdrawn(claim_id))

    def answer_command(self, command_id: str, outcome: Outcome, why: str) -> None:
        """What became of a `CommandCame`."""
        self._inbox.put(CommandAnswered(command_id, outcome, why))

    def tell_status(self) -> None:
        """Now, whatever is due."""
        self._inbox.put(StatusWanted())

    def resync(self) -> None:
        """All records anew, beside the ones in force."""
        self._inbox.put(ResyncWanted())

    def facts_waiting(self) -> None:
        """Something was committed. Cheap: call it after every commit."""
        self._inbox.facts()

    def set_health(self, health: Mapping[str, str]) -> None:
        """Device name -> one word or sentence; goes into the status."""
        with self._guard:
            self._health = dict(health)
        self._inbox.put(StatusChanged(dict(health)))

    # --- the link thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._converse()
            except Exception as error:  # noqa: BLE001  a dead link thread counts as link loss and starts again
                _log.exception("the link failed and starts again")
                self._end_wires(STOP_WITHIN_S)
                with contextlib.suppress(Exception):
                    self._notices(LinkDown(f"the link failed: {type(error).__name__}: {error}"[:200]))
                self._stopping.wait(RESTART_AFTER_S)
            finally:
                self._performer.close()

    def _converse(self) -> None:
        session = EdgeSession(
            self._session_config,
            signer=self._signer,
            keys={HUB_KID: self._hub_key},
            utc_at=self._utc_at,
            opened=self._performer.opened(),
        )
        self._session, self._wake_at_s, self._gathered = session, None, []
        self._will_payload = session.will(time.monotonic())
        with self._guard:
            known: list[LinkEvent] = [ClaimAsked(request) for request in self._claims.values()]
            if self._health:
                known.append(StatusChanged(self._health))
        for event in known:
            self._drive(session, event)
        self._begin_wires()
        self._look_at_certificate()
        supervised_s = time.monotonic()
        while not self._stopping.is_set():
            now_s = time.monotonic()
            due_s = min(supervised_s + SUPERVISE_EVERY_S, self._wake_at_s or float("inf"))
            self._hear(session, (*self._inbox.take(max(0.0, due_s - now_s)), Tick()))
            if time.monotonic() >= supervised_s + SUPERVISE_EVERY_S:
                supervised_s = time.monotonic()
                for wire in self._wires.values():
                    if wire.revive():
                        _log.warning("connection %s: its thread died and was started again", wire.connection)
                self._look_at_certificate()
        self._say_goodbye(session)

    def _look_at_certificate(self) -> None:
        """Once a day: a lane nobody watches must say in time that it will be shut out."""
        file = self._config.cert_file
        if file is None or time.monotonic() < self._certificate_look_s:
            return
        self._certificate_look_s = time.monotonic() + CERTIFICATE_LOOK_EVERY_S
        try:
            ends = end_of(file.read_bytes())
        except OSError as error:
            _log.warning("%s: cannot be read (%s)", file, error.strerror)
            return
        left = None if ends is None else ends - self._utc()
        if ends is not None and left is not None and left < CERTIFICATE_WARNING:
            self._notices(CertificateEnds(str(file), utc_text(ends), left.days))

    def _hear(self, session: EdgeSession, events: Iterable[LinkEvent]) -> None:
        """What arrived together: each in turn, and the feed batches among it in one go."""
        for event in events:
            self._drive(session, event)
        for event in self._apply_gathered():
            self._drive(session, event)

    def _drive(self, session: EdgeSession, event: LinkEvent) -> None:
        """One event and everything that follows from it, in order."""
        events = collections.deque([event])
        while events:
            for effect in session.step(time.monotonic(), events.popleft()):
                match effect:
                    case Publish(connection, topic, payload, retain):
                        self._wires[connection].publish(topic, payload, retain=retain)
                    case Notify(notice):
                        self._notice(notice)
                    case WakeAt(at_s):
                        self._wake_at_s = at_s
                    case ApplyBatch():
                        self._gathered.append(effect)
                        if len(self._gathered) >= BATCHES_AT_ONCE:
                            events.extend(self._apply_gathered())
                    case (
                        BeginGeneration()
                        | AdoptGeneration()
                        | NoteVerified()
                        | WorkOnSnapshot()
                        | BeginSurvey()
                        | Mend()
                    ):
                        # What is about the records comes after the batches that came before it.
                        events.extend(self._apply_gathered())
                        events.extend(self._performer.perform(effect))
                    case _:
                        events.extend(self._performer.perform(effect))

    def _apply_gathered(self) -> tuple[LinkEvent, ...]:
        gathered, self._gathered = self._gathered, []
        return self._performer.apply_gathered(gathered) if gathered else ()

    def _notice(self, notice: Notice) -> None:
        if isinstance(notice, ClaimAnswered):
            with self._guard:
                self._claims.pop(notice.claim_id, None)
        self._notices(notice)

    def _begin_wires(self) -> None:
        self._blob_link = self._made_blob_link()
        self._wires = self._made_wires()
        if self._blob_link is not None:
            self._blob_link.start()
        for wire in self._wires.values():
            wire.start()

    def _made_blob_link(self) -> BlobLink | None:
        if self._blob_performer is None:
            return None
        config = self._config.blobs()

        def publish(topic: str, payload: bytes) -> bool:
            wire = self._wires.get(Connection.BLOBS)
            return wire is not None and wire.publish(topic, payload, retain=False)

        return BlobLink(
            self._config.device,
            make_session=lambda: BlobSession(config, signer=self._signer, hub_keys=self._hub_keys),
            performer=self._blob_performer,
            publish=publish,
            notices=self._notices,
        )

    def _hub_keys(self) -> Mapping[str, Ed25519PublicKey]:
        """As the session of facts and records believes them now."""
        session = self._session
        return {HUB_KID: self._hub_key} if session is None else session.hub_keys

    def _tell(self, event: WireEvent) -> None:
        """Of the evidence's connection: only its refusal is anybody else's business."""
        if isinstance(event, ConnectionRefused):
            self._inbox.put(event)
        elif self._blob_link is not None:
            self._blob_link.put(event)

    def _made_wires(self) -> dict[Connection, _Wire]:
        return {
            connection: _Wire(
                connection,
                f"{self._config.device}-{connection.value}-{self._run_id}",
                self._broker,
                subscribe=self._session_config.subscriptions(connection),
                will=self._will if connection is Connection.ROUTINE else None,
                tell=self._tell if connection is Connection.BLOBS else self._inbox.put,
            )
            for connection in Connection
            if connection is not Connection.BLOBS or self._blob_link is not None
        }

    def _will(self) -> tuple[str, bytes]:
        assert self._will_payload is not None  # noqa: S101  set before any wire starts
        return self._will_payload

    def _say_goodbye(self, session: EdgeSession) -> None:
        topic, payload = session.will(time.monotonic())
        self._wires[Connection.ROUTINE].publish(topic, payload, retain=True)
        self._end_wires(STOP_WITHIN_S * 0.75)

    def _end_wires(self, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        if self._blob_link is not None:
            self._blob_link.ask_to_stop()
        for wire in self._wires.values():
            wire.ask_to_stop()
        for wire in self._wires.values():
            wire.join(deadline_s - time.monotonic())
        if self._blob_link is not None:
            self._blob_link.join(deadline_s - time.monotonic())
        self._wires = {}

    def _utc_at(self, at_s: float) -> str:
        return utc_text(self._utc() + timedelta(seconds=at_s - time.monotonic()))


# --- the hub's end ----------------------------------------------------------------------------------------


class HubLink:
    """The hub's two connections. It repeats nothing and remembers nothing: that is the receiver's work.

    `on_message` and `on_connection` are called on the connections' threads and must only enqueue. On every
    `Connected(ROUTINE)` the hub publishes its birth, heads and acknowledgements anew.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        *,
        site: str,
        on_message: Callable[[str, bytes], None],
        on_connection: Callable[[Connected | Disconnected | ConnectionRefused], None],
        will: Callable[[], tuple[str, bytes]] | None = None,
        client_id: str = HUB_KID,
        share: str = "",
        duties: bool = True,
    ) -> None:
        """`will` gives topic and payload of the last will, retained. `share`: the broker gives each message
        of facts and each claim to one of those who name the same. Without `duties` all else that devices send
        is left to others until `take_duties`. Raises `LinkConfigRefused`.
        """
        self._site = site
        self._share = share
        self._on_message = on_message
        self._on_connection = on_connection
        run_id = _run_id()
        self._stopping = threading.Event()
        self._wires = {
            connection: _Wire(
                connection,
                f"{client_id}-{connection.value}-{run_id}",
                broker.checked(),
                subscribe=hub_subscriptions(site, connection, share=share, duties=duties),
                will=will if connection is Connection.ROUTINE else None,
                tell=self._hear,
                most_queued=MOST_QUEUED,
            )
            for connection in Connection
        }
        self._supervisor = threading.Thread(target=self._supervise, name="hub link", daemon=True)

    def start(self) -> None:
        for wire in self._wires.values():
            if wire.asks:
                wire.start()
        self._supervisor.start()

    def take_duties(self) -> None:
        """From now on ask for everything; heads and statuses of devices come again, for they are retained.
        `Connected` is told again."""
        for connection, wire in self._wires.items():
            asked = wire.asks
            wire.ask_also(hub_subscriptions(self._site, connection, share=self._share))
            if not asked and self._supervisor.ident is not None:
                wire.start()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, connection: str = "routine"
    ) -> bool:
        """QoS 1; False when that connection is down, and then nothing was sent."""
        return self._wires[Connection(connection)].publish(topic, payload, retain=retain)

    def stop(self) -> bool:
        """End every thread; True when all ended within two seconds. Publish the death yourself before."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        self._stopping.set()
        for wire in self._wires.values():
            wire.ask_to_stop()
        ended = [wire.join(deadline_s - time.monotonic()) for wire in self._wires.values()]
        if self._supervisor.ident is not None:
            self._supervisor.join(max(0.0, deadline_s - time.monotonic()))
        return all(ended) and not self._supervisor.is_alive()

    def _hear(self, event: WireEvent) -> None:
        match event:
            case Received(topic, payload):
                self._on_message(topic, payload)
            case Connected() | Disconnected() | ConnectionRefused():
                self._on_connection(event)
            case _:
                assert_never(event)

    def _supervise(self) -> None:
        while not self._stopping.wait(SUPERVISE_EVERY_S):
            for wire in self._wires.values():
                if wire.asks:
                    wire.revive()


def hub_subscriptions(
    site: str, connection: Connection, *, share: str = "", duties: bool = True
) -> tuple[str, ...]:
    """Everything devices of a site send up; alarms and claims on a connection of their own (G9). Facts and
    claims are any worker's (`share`), all else belongs to the one with the `duties`."""
    edge = f"{ROOT}/{site}/edge/+"
    anyones = f"$share/{share}/{edge}" if share else edge
    match connection:
        case Connection.ALARM:
            urgent = (f"{anyones}/facts/alarm", f"{anyones}/claim")
            return (f"{edge}/keys", *urgent, f"{edge}/result") if duties else urgent
        case Connection.ROUTINE:
            facts = (f"{anyones}/facts/routine",)
            return (
                (f"{edge}/keys", *facts, f"{edge}/pull", f"{edge}/head", f"{edge}/status")
                if duties
                else facts
            )
        case Connection.BLOBS:
            return (f"{edge}/blob/offer", f"{edge}/blob/chunk") if duties else ()
        case _:
            assert_never(connection)


def _unshared(asked: str) -> str:
    """The topics a shared subscription is about: `$share/group/topics`."""
    return asked.split("/", 2)[2] if asked.startswith("$share/") else asked
