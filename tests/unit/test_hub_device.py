"""A device as the hub hears it: real keys, facts and signed messages. The hub's tests speak through it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sync.hub.archive import Archive
from sync.hub.engine_postgres import PostgresPlace
from sync.hub.receiver import Receiver
from sync.hub.terms import Limits, Outgoing
from sync.link.envelope import Run, pack, runs, signed_payload
from sync.link.keys import KeySigner, make_private, public_pem, verify
from sync.link.messages import (
    Ack,
    Acks,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Signed,
    StreamHead,
    Topics,
)
from sync.vocabulary.codec import from_json, to_json
from sync.vocabulary.facts import (
    GENESIS,
    EpochBegan,
    Fact,
    FactData,
    FactDraft,
    PassageOpened,
    RulingMade,
    Stream,
    VehicleCrossed,
    seal,
)
from sync.vocabulary.numbers import SlipNo
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict

SITE = "s1"
TOPICS = Topics(SITE)
HUB_KEY = make_private()
AT = "2026-01-31T08:00:00.000000Z"
SLIP = "Z3111I240728000000000003"
OTHER_SLIP = "Z3111I240728000000000004"


def at(seconds: int) -> str:
    """`seconds` (below a day) after eight in the morning."""
    seconds += 8 * 3600
    return f"2026-01-31T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000000Z"


@dataclasses.dataclass
class Device:
    """Keeps its own chains; `say` adds a fact, the other methods make payloads."""

    name: str = "lane-in"
    epoch: str = "e" * 32

    def __post_init__(self) -> None:
        self.private = make_private()
        self.signer = KeySigner(self.private, self.name)
        self.facts: dict[Stream, list[Fact]] = {stream: [] for stream in Stream}
        self.position = 0
        self.ids = itertools.count(1)
        self.say(EpochBegan("new", "", {}), Stream.ALARM)

    def begin(self, epoch: str, why: str = "restored", *, disk_new: bool = False) -> None:
        """Leave the epoch as it is and begin another, facts of the old one forgotten; on a new disk the old
        epoch is, too."""
        heads = {s.value: f"{len(f)}:{f[-1].hash if f else GENESIS}" for s, f in self.facts.items()}
        old, self.epoch = self.epoch, epoch
        self.facts = {stream: [] for stream in Stream}
        began = EpochBegan("new", "", {}) if disk_new else EpochBegan(why, old, heads)
        self.say(began, Stream.ALARM)

    def say(self, data: FactData, stream: Stream = Stream.ROUTINE, *, time: str | None = None) -> Fact:
        said = self.facts[stream]
        self.position += 1
        draft = FactDraft(f"{self.name}-{next(self.ids)}", stream, time or AT, "boot", 5, data)
        fact = seal(
            draft,
            device=self.name,
            epoch=self.epoch,
            seq=len(said) + 1,
            position=self.position,
            prev=said[-1].hash if said else GENESIS,
        )
        said.append(fact)
        return fact

    def chatter(self, count: int, stream: Stream = Stream.ROUTINE) -> list[Fact]:
        return [self.say(PassageOpened(passage=number + 1), stream) for number in range(count)]

    def checkpoint(self, last: Fact) -> Checkpoint:
        return Checkpoint(
            self.name, last.epoch, last.position, (StreamHead(last.stream, last.seq, last.hash),), AT
        )

    def signed(self, context: Context, value: object) -> Signed:
        return self.signer.sign(context, to_json(value).decode())

    def batch(self, facts: Sequence[Fact]) -> bytes:
        """One payload over facts that follow one another."""
        (run,) = runs(facts)
        return self.pack(run)

    def pack(self, run: Run) -> bytes:
        return pack(run, self.signed(Context.CHECKPOINT, self.checkpoint(run.facts[-1])), time=AT)

    def batches(self, stream: Stream = Stream.ROUTINE, size: int = 10) -> list[bytes]:
        said = self.facts[stream]
        return [self.batch(said[start : start + size]) for start in range(0, len(said), size)]

    def payload(self, context: Context, value: object) -> bytes:
        return signed_payload(self.signer, context, value)

    def claim(self, claim_id: str, passage: int, *slips: str) -> bytes:
        request = ClaimRequest(claim_id, self.name, passage, None, tuple(map(SlipNo, slips or (SLIP,))))
        return self.payload(Context.CLAIM, request)

    def pull(self, scope: str, epoch: str, after: int) -> bytes:
        return self.payload(Context.PULL, Pull(scope, epoch, after))

    def ruling(self, passage: int, slips: Sequence[str], use_ids: Sequence[str], claim_id: str = "") -> Fact:
        return self.say(
            RulingMade(
                passage=passage,
                ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
                direction="I",
                slips=tuple(slips),
                use_ids=tuple(use_ids),
                claim_id=claim_id,
            )
        )

    def crossing(self, passage: int, use_ids: Sequence[str], claim_id: str = "") -> Fact:
        return self.say(VehicleCrossed(passage, f"o{passage}", tuple(use_ids), claim_id))


class Bench:
    """A hub without a broker, and devices to speak to it."""

    def __init__(self, place: Path | PostgresPlace, *devices: Device, limits: Limits | None = None) -> None:
        """`place` may be a folder: an archive of the embedded engine in it."""
        folder = isinstance(place, Path) and place.is_dir()
        self.place = place / "archive.sqlite" if isinstance(place, Path) and folder else place
        self.limits = limits
        self.devices = {device.name: device for device in devices}
        self.open()

    def open(self) -> None:
        self.archive = Archive.open(self.place, own=True)
        with self.archive.transaction():
            for device in self.devices.values():
                self.archive.enrol(device.name, public_pem(device.private.public_key()).decode())
            self.archive.add_scope("site")
        self.receiver = Receiver(self.archive, KeySigner(HUB_KEY, "hub"), site=SITE, limits=self.limits)

    @property
    def path(self) -> Path:
        """The file, on the embedded engine."""
        assert isinstance(self.place, Path)
        return self.place

    def restart(self) -> None:
        """As after `kill -9`: nothing is written on the way out."""
        self.archive.close()
        self.open()

    def facts(
        self, device: Device, payload: bytes, stream: Stream = Stream.ROUTINE, at_utc: str = AT
    ) -> list[Outgoing]:
        return self.receiver.receive(TOPICS.facts(device.name, stream), payload, at_utc)

    def ask(self, device: Device, claim_id: str, passage: int, *slips: str) -> ClaimAnswer:
        (answer,) = self.receiver.receive(
            TOPICS.claim(device.name), device.claim(claim_id, passage, *slips), AT
        )
        found: ClaimAnswer = opened(answer, Context.CLAIM_ANSWER, ClaimAnswer)
        return found

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.archive._db.execute(sql, values).fetchall()

    def alarms(self) -> list[str]:
        return [code for (code,) in self.rows("SELECT code FROM hub_alarms ORDER BY id")]

    def stored(self) -> list[tuple[str, int]]:
        return [(s, n) for s, n in self.rows("SELECT stream, seq FROM facts ORDER BY 1, 2")]


def opened(outgoing: Outgoing, context: Context, kind: type[Any]) -> Any:
    """A signed answer, its signature checked as a device does."""
    signed = from_json(outgoing.payload, Signed)
    return from_json(verify({"hub": HUB_KEY.public_key()}, signed, context), kind)


def acks(outgoing: Sequence[Outgoing]) -> dict[tuple[str, str], Ack]:
    (message,) = outgoing
    found: Acks = opened(message, Context.ACK, Acks)
    return {(ack.epoch, ack.stream.value): ack for ack in found.acks}


def feed(outgoing: Sequence[Outgoing]) -> list[FeedBatch]:
    return [
        opened(message, Context.FEED, FeedBatch)
        for message in outgoing
        if not message.topic.endswith("/head")
    ]


def heads(outgoing: Sequence[Outgoing]) -> list[FeedHead]:
    return [
        opened(message, Context.FEED_HEAD, FeedHead)
        for message in outgoing
        if message.topic.endswith("/head")
    ]


def test_the_device_speaks_so_that_its_own_words_chain() -> None:
    device = Device()
    said = device.chatter(3)
    bodies = [msgspec.json.decode(fact.body) for fact in said]
    assert [body["prev"] for body in bodies] == [GENESIS, said[0].hash, said[1].hash]
    assert [body["position"] for body in bodies] == [2, 3, 4]
