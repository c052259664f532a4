"""Who may write and read each topic (docs/contract): one table, from which all brokers' lists are made. Pure.

Every method of `Topics` has its row here, or a test fails: a topic nobody has rights to would be dead behind
a broker with access lists, and one everybody has rights to would be a hole.
"""

from __future__ import annotations

import enum
import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sync.link.messages import Topics
from sync.vocabulary.facts import Stream

ANY = "+"


class Party(enum.StrEnum):
    HUB = "hub"
    DEVICE = "device"
    """Each device its own topics, and those of its own scopes."""


@dataclass(frozen=True, slots=True)
class TopicRight:
    topic: str
    """The method of `Topics` that names it."""
    writer: Party
    reader: Party


RIGHTS = (
    TopicRight("feed", Party.HUB, Party.DEVICE),
    TopicRight("feed_head", Party.HUB, Party.DEVICE),
    TopicRight("hub_birth", Party.HUB, Party.DEVICE),
    TopicRight("hub_keys", Party.HUB, Party.DEVICE),
    TopicRight("batch", Party.HUB, Party.DEVICE),
    TopicRight("ack", Party.HUB, Party.DEVICE),
    TopicRight("claim_answer", Party.HUB, Party.DEVICE),
    TopicRight("command", Party.HUB, Party.DEVICE),
    TopicRight("blob_answer", Party.HUB, Party.DEVICE),
    TopicRight("pull", Party.DEVICE, Party.HUB),
    TopicRight("facts", Party.DEVICE, Party.HUB),
    TopicRight("head", Party.DEVICE, Party.HUB),
    TopicRight("status", Party.DEVICE, Party.HUB),
    TopicRight("claim", Party.DEVICE, Party.HUB),
    TopicRight("result", Party.DEVICE, Party.HUB),
    TopicRight("blob_offer", Party.DEVICE, Party.HUB),
    TopicRight("blob_chunk", Party.DEVICE, Party.HUB),
    TopicRight("keys", Party.DEVICE, Party.HUB),
)


@dataclass(frozen=True, slots=True)
class Grants:
    """Topic filters one user of the broker may publish to and receive from."""

    write: tuple[str, ...]
    read: tuple[str, ...]


def hub_grants(site: str) -> Grants:
    """Of every device and scope."""
    return _grants(site, Party.HUB, device=ANY, scopes=(ANY,))


def device_grants(site: str, device: str, scopes: Sequence[str]) -> Grants:
    return _grants(site, Party.DEVICE, device=device, scopes=scopes)


def _grants(site: str, party: Party, *, device: str, scopes: Sequence[str]) -> Grants:
    topics = Topics(site)
    return Grants(
        write=tuple(
            each
            for row in RIGHTS
            if row.writer is party
            for each in filters(topics, row.topic, device=device, scopes=scopes)
        ),
        read=tuple(
            each
            for row in RIGHTS
            if row.reader is party
            for each in filters(topics, row.topic, device=device, scopes=scopes)
        ),
    )


def filters(topics: Topics, topic: str, *, device: str, scopes: Sequence[str]) -> tuple[str, ...]:
    """The topic's names for one device and these scopes; whatever else a name has in it may be anything."""
    named = getattr(topics, topic)
    choices: list[Sequence[Any]] = []
    for name, parameter in inspect.signature(named).parameters.items():
        match name:
            case "device":
                choices.append((device,))
            case "scope":
                choices.append(scopes)
            case "stream":
                choices.append(tuple(Stream))
            case _:
                assert parameter.annotation in ("str", str), f"{topic}: what are its {name}?"  # noqa: S101
                choices.append((ANY,))
    return tuple(named(*chosen) for chosen in itertools.product(*choices))


def topic_names() -> frozenset[str]:
    """Every method of `Topics`."""
    return frozenset(
        name for name, value in vars(Topics).items() if inspect.isfunction(value) and not name.startswith("_")
    )
