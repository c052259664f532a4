"""How a program of the edge reaches the centre: the tables of its config for it, and what the link's notices
come to as facts. Shared by lanes and handhelds; knows no device, no machine, no screen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, assert_never

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge import VERSION
from edge.runtime.config_reading import ConfigError, SecretFile
from sync.link import words as link_words
from sync.link.client import BrokerConfig, LinkConfig
from sync.link.keys import HUB_KID, Forged, KeyRefused, shared_secret
from sync.link.messages import MAX_PAYLOAD_BYTES
from sync.link.trust import Trust
from sync.policy.pins import PEPPER_PURPOSE
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import (
    Alarm,
    AlarmCode,
    FactData,
    MessageRefused,
    RecordsMoved,
    RecordsRepaired,
    Stream,
)

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,39}$")]

BUILT: Final = "2026-11-22T00:00:00Z"
"""No clock that is set shows an earlier time: one that does was never set since the machine was switched on,
and by it no age is known (S10). Moved up with each release."""

DRAW_KEY_BYTES: Final = 16
"""A shorter key could be guessed, and the draws with it (S11)."""


class SyncPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The way to the centre."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1883
    scope: Name
    key_file: SecretFile
    """This device's private Ed25519 key (PEM)."""
    key_statements_file: Path | None = None
    """How that key follows from the one the centre has pinned, where it was replaced since
    (`kakou enrol renew`)."""
    hub_key_file: Path
    """The centre's public key, pinned at enrolment. A later one is taken when this one vouches for it."""
    username: str = ""
    password_file: SecretFile | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    tls_key_file: SecretFile | None = None
    allow_plaintext: bool = False
    allow_plaintext_outside_loopback: bool = False
    keepalive_s: Seconds = 10.0
    reconnect_longest_s: Seconds = 15.0
    resend_first_s: Seconds = 5.0
    claim_retry_s: Seconds = 1.0
    pull_first_s: Seconds = 5.0
    status_every_s: Seconds = 30.0


class SpotCheckPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key_file: SecretFile
    """64 hex digits shared by site and centre: nobody else can know the draws (S11)."""


class ClockPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    require_synchronised: bool = True
    """True: where the system cannot say how far its clock is off, records count as too old (S10)."""


def sync_errors(sync: SyncPart) -> list[ConfigError]:
    """What would send something in plain text, and is not allowed to."""
    broker = BrokerConfig(
        host=sync.host,
        port=sync.port,
        ca_file=sync.ca_file,
        allow_plaintext=sync.allow_plaintext,
        allow_plaintext_outside_loopback=sync.allow_plaintext_outside_loopback,
    )
    return [ConfigError(f"sync.{name}", problem) for name, problem in broker.plaintext_problems()]


def config_digest(path: Path) -> str:
    """SHA-256 of the file, so that a fact can name the settings it was made under."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_draw_key(file: SecretFile) -> bytes:
    """The key of the spot-check draws. Raises `KeyRefused`."""
    try:
        key = bytes.fromhex(file.read_text())
    except OSError as error:
        raise KeyRefused(f"{file.path}: cannot read the key file ({error.strerror})") from error
    except ValueError:
        key = b""
    if len(key) < DRAW_KEY_BYTES:
        raise KeyRefused(f"{file.path}: expected at least {2 * DRAW_KEY_BYTES} hex digits")
    return key


def peppers(private: Ed25519PrivateKey, pinned: Ed25519PublicKey, statements: Path) -> tuple[bytes, ...]:
    """What the device shares with the centre, by the key in force first. Statements that cannot be read, or
    do not follow from the pinned key, tell nothing."""
    trust = Trust.of(HUB_KID, pinned)
    try:
        with statements.open("rb") as file:
            trust = trust.told(file.read(MAX_PAYLOAD_BYTES + 1))
    except (OSError, Malformed, Forged):
        pass
    keys = {key.public_bytes_raw(): key for key in (trust.keys[trust.current], *trust.keys.values())}
    return tuple(shared_secret(private, key, PEPPER_PURPOSE) for key in keys.values())


def link_config(
    part: SyncPart,
    *,
    device: str,
    site: str,
    digest: str,
    boot_id: str,
    statements: bytes = b"",
    blob_bytes_per_s: int,
    leads_to_parcels: bool = False,
) -> LinkConfig:
    return LinkConfig(
        host=part.host,
        port=part.port,
        device=device,
        site=site,
        scopes=(part.scope,),
        username=part.username or None,
        password_file=part.password_file.path if part.password_file is not None else None,
        ca_file=part.ca_file,
        cert_file=part.certificate_file,
        key_file=part.tls_key_file.path if part.tls_key_file is not None else None,
        allow_plaintext=part.allow_plaintext,
        allow_plaintext_outside_loopback=part.allow_plaintext_outside_loopback,
        keepalive_s=max(1, round(part.keepalive_s)),
        reconnect_first_s=min(0.5, part.reconnect_longest_s),
        reconnect_longest_s=part.reconnect_longest_s,
        key_statements=statements,
        version=VERSION,
        config_digest=digest,
        boot_id=boot_id,
        resend_first_s=part.resend_first_s,
        claim_retry_s=part.claim_retry_s,
        blob_bytes_per_s=blob_bytes_per_s,
        leads_to_parcels=leads_to_parcels,
        pull_first_s=part.pull_first_s,
        status_every_s=part.status_every_s,
    )


def facts_of(notice: link_words.Notice) -> Iterator[tuple[Stream, FactData]]:
    """What of a notice goes into the journal."""
    match notice:
        case link_words.RecordsMoved(scope, epoch, number, generation, why):
            moved = RecordsMoved(scope=scope, epoch=epoch, number=number, generation=generation, why=why)
            yield Stream.ROUTINE, moved
        case link_words.RecordsRepaired(scope, epoch, number, buckets, put, deleted):
            repaired = RecordsRepaired(
                scope=scope, epoch=epoch, number=number, buckets=buckets, put=put, deleted=deleted
            )
            yield Stream.ROUTINE, repaired
        case link_words.RecordsDiffer(scope, _, number, ours, theirs):
            detail = f"{scope} at {number}: {ours} here, {theirs} at the centre"
            words = ("底账与中心不一致", "Records differ from the centre's")
            yield _alarm(AlarmCode.RECORDS_DIFFER, detail, *words)
        case link_words.EpochBegan(epoch, why):
            words = ("流水换代", "Journal began a new epoch")
            yield _alarm(AlarmCode.JOURNAL_BRANCHED, f"{epoch}: {why}", *words)
        case link_words.Refused(topic, why, times):
            yield Stream.ROUTINE, MessageRefused(topic=topic, why=why, times=times)
        case link_words.LinkRefused(_, why, times):
            yield Stream.ROUTINE, MessageRefused(topic="broker", why=why, times=times)
        case link_words.CertificateEnds(file, ends, days_left):
            detail = f"{file}: {ends}, {days_left} days left; then the broker lets this device in no more"
            words = ("证书即将到期，请续证", "Certificate ends soon")
            yield _alarm(AlarmCode.CERTIFICATE_ENDS, detail, *words)
        case link_words.StoreTrouble(work, why, times):
            yield Stream.ROUTINE, MessageRefused(topic=f"store/{work}", why=why, times=times)
        case (
            link_words.LinkUp()
            | link_words.LinkDown()
            | link_words.ClaimAnswered()
            | link_words.CommandCame()
        ):
            return
        case _:
            assert_never(notice)


def _alarm(code: AlarmCode, detail: str, zh: str, en: str) -> tuple[Stream, FactData]:
    return Stream.ALARM, Alarm(code=code, detail=detail, zh=zh, en=en)
