"""What the rooms of the hub's receiver share: codes of alarms, refusals, messages to publish, limits, times.
No archive, no MQTT, no clock.
"""

from __future__ import annotations

import datetime
import enum
import re
from dataclasses import dataclass
from typing import Final

ALARM_CONNECTION = "alarm"
ROUTINE_CONNECTION = "routine"
BLOB_CONNECTION = "blobs"

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


BROKER_LOST: Final = "broker_lost"
"""What the hub tells the programs beside it: this word and since when, as UTC text; nothing: it is not."""


class HubAlarm(enum.StrEnum):
    """Codes in `hub_alarms`: first about facts that were taken, then about messages that were not."""

    BRANCH = "branch"
    """A fact under an identity that holds another fact already."""
    CHAIN_BROKEN = "chain_broken"
    EPOCH_UNANNOUNCED = "epoch_unannounced"
    OLD_HEAD_DIFFERS = "old_head_differs"
    ROLLED_BACK = "rolled_back"
    """A device left an epoch behind whose later facts it no longer knows: a restored disk."""
    AFTER_EPOCH_END = "after_epoch_end"
    """Facts in an epoch the device had already left: a cloned device."""
    HEAD_DIFFERS = "head_differs"
    FACT_UNREADABLE = "fact_unreadable"
    DOUBLE_USE = "double_use"
    CLAIM_FOREIGN = "claim_foreign"
    USES_UNMATCHED = "uses_unmatched"
    RECORDS_DIFFER = "records_differ"
    CERTIFICATE_ENDS = "certificate_ends"
    """The hub's own: when it has ended, the broker lets the hub in no more."""
    GRANT_OLD = "grant_old"
    """A claim was granted long ago, and nothing has ended it: the lane is silent, or its officer forgot."""
    COMMAND_FOREIGN = "command_foreign"
    """A device answers a command that was not given to it."""
    ORDER_UNKNOWN = "order_unknown"
    """A fact about an inspection order that was never issued here, or is withdrawn."""
    FINDING_NOT_COUNTED = "finding_not_counted"
    """Somebody who may not told of an inspection or its finding: kept, and without effect."""
    RECALL_OPENED = "recall_opened"
    """A laboratory's result, told by an officer, has opened a recall."""
    RECALL_NOT_OPENED = "recall_not_opened"
    """One asked for it and could not: whoever is on duty looks at it."""
    BLOB_MISSING = "blob_missing"
    """A fact names a picture that has not come in all its patience."""
    HOLD_ESCALATED = "hold_escalated"
    """An officer at the exception desk wants the shift leader to look at a held vehicle."""
    ASIDE_FAILED = "aside_failed"
    """A snapshot or the like could not be made."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    TOPIC_UNKNOWN = "topic_unknown"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_REVOKED = "device_revoked"
    FORGED = "forged"
    WRONG_DEVICE = "wrong_device"
    BATCH_REFUSED = "batch_refused"
    SCOPE_UNKNOWN = "scope_unknown"
    SCOPE_FORBIDDEN = "scope_forbidden"
    CLAIM_DIFFERS = "claim_differs"
    BLOB_QUOTA = "blob_quota"
    BLOB_WRONG = "blob_wrong"
    """Bytes that are not what their name says, or no honest upload."""
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish, at QoS 1, on the named connection."""

    topic: str
    payload: bytes
    retain: bool = False
    connection: str = ROUTINE_CONNECTION


@dataclass(frozen=True, slots=True)
class Limits:
    """How often and how much; the defaults are the hub's own."""

    head_every_s: float = 60.0
    backup_interval_s: float = 86_400.0
    """Told to devices with every acknowledgement (G3)."""
    refusals_every_s: float = 60.0
    """How often refusals of one kind are written to the archive."""
    epoch_patience_s: float = 60.0
    """How long facts of an epoch may be here before the fact that announces it."""
    token_every_s: float = 5.0
    """How often a busy archive is told apart from the backups made of it (`Archive.renew_token`)."""
    pull_batches: int = 32
    """Feed payloads in answer to one pull; the device pulls on from where they end."""
    commands_every_s: float = 0.1
    """How often commands given beside the running hub are looked for."""
    command_again_s: float = 1.0
    """An unanswered command is said again so often: the device knows it by its id."""
    accepted_again_s: float = 5.0
    """The same, once the device has said that it is not done yet."""
    grant_old_s: float = 4 * 3600.0
    """A grant that is open for so long is an alarm."""
    held_longest_s: float = 3 * 86_400.0
    """So long a lane's held passage is told of when nothing more is heard of it."""
    feed_batches: int = 64
    """Feed payloads published in one tick, over all scopes."""
    snapshot_from: int = 20_000
    """Log entries a device is behind, from which a snapshot may be the shorter way."""
    snapshot_rows_an_entry: int = 4
    """Rows of a snapshot cost a device about as much as one entry of the log (measured: `kakou bench`)."""
    snapshot_bytes_per_s: float = 8_000_000.0
    """Of snapshots, to all devices together; bursts of as much as a second's worth."""
    snapshots_look_s: float = 600.0
    """How often old snapshots are thrown away."""
    retire_every_s: float = 3600.0
    buckets_behind: int = 20_000
    """So many entries may have come since the number a device asks bucket sums of."""


class Refused(Exception):
    """A message that is not taken, and why."""

    def __init__(self, code: HubAlarm, detail: str, device: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.device = device


class Counts:
    """What this process has done so far."""

    messages: int = 0
    facts: int = 0
    duplicates: int = 0
    refused: int = 0
    storage_faults: int = 0


def is_device(name: str) -> bool:
    return _DEVICE.fullmatch(name) is not None


def seconds(at_utc: str, otherwise: float) -> float:
    try:
        return datetime.datetime.fromisoformat(at_utc).timestamp()
    except (ValueError, OverflowError):
        return otherwise


def storable(text: str) -> str:
    """Whatever a hostile name holds, as text a database takes."""
    return text.encode("utf-8", "backslashreplace").decode()
