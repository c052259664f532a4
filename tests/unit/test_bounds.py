"""G11: every field of every message, fact and record is bounded, and what is beyond is refused and counted at
both ends: no exception, nothing changed, and what comes after works."""

from __future__ import annotations

import copy
import enum
import inspect
import json
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from sync.link import messages
from sync.link.contract import CARRIED, Carried, Wrapping
from sync.link.envelope import BodyHead, runs
from sync.link.keys import make_private, public_pem, sign
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    Ack,
    Acks,
    BlobAnswer,
    BlobOffer,
    BlobState,
    BucketRows,
    BucketSums,
    Change,
    ChangeOp,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    CloudEvent,
    Context,
    FeedBatch,
    FeedHead,
    KeyChain,
    Pull,
    Signed,
    SnapshotManifest,
    Status,
    StreamHead,
    Topics,
)
from sync.link.rights import RIGHTS, Party, topic_names
from sync.link.words import ClaimAsked, LinkEffect, Notify, Received, Refused, WakeAt
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.codec import to_builtins, to_json
from sync.vocabulary.commands import Act, AskStatus, Command, CommandResult, Outcome
from sync.vocabulary.facts import FactBody, FactData, Stream, hash_of
from sync.vocabulary.numbers import NumberText, SlipNo, UtcText
from sync.vocabulary.records import COLLECTIONS
from sync.vocabulary.release_codes import ReleaseCode
from sync.vocabulary.uses import SlipUse
from tests.unit import test_blob_session as evidence
from tests.unit.test_hub_device import AT, HUB_KEY, SLIP, Bench, Device, acks
from tests.unit.test_hub_device import TOPICS as HUB_TOPICS
from tests.unit.test_link_session import DEVICE, DEVICE_KEY, EPOCH, SCOPE, Story, chain
from tests.unit.test_link_session import HUB_KEY as LANES_HUB_KEY
from tests.unit.test_link_session import TOPICS as LANE_TOPICS

# --- the table --------------------------------------------------------------------------------------------

NOT_MESSAGES = {messages.Signed, messages.CloudEvent, Topics}
"""What messages travel in, and the names of topics."""
PARTS = {"StreamHead", "Change", "Ack", "PiecesAsked", "BucketsAsked"}


def test_every_topic_has_its_row_and_every_message_its_topic() -> None:
    assert sorted(row.topic for row in CARRIED) == sorted(topic_names())
    structs = {
        kind
        for kind in vars(messages).values()
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind.__module__ == messages.__name__
    }
    carried = {kind for row in CARRIED for kind, _ in row.kinds}
    assert {kind.__name__ for kind in structs - carried - NOT_MESSAGES} == PARTS


def test_every_purpose_of_a_signature_is_that_of_a_topic() -> None:
    # Live picture and sound open a connection of their own: no topic.
    assert {context for row in CARRIED for _, context in row.kinds} == set(Context) - {Context.LIVE}


# --- every field has a bound ------------------------------------------------------------------------------

RECEIVED: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        Signed, CloudEvent, BodyHead, FactBody, SlipUse, ReleaseCode, *get_args(FactData),
        *COLLECTIONS.values(), *(kind for row in CARRIED for kind, _ in row.kinds),
    )
}  # fmt: skip


def unbounded(hint: Any, where: str, seen: tuple[Any, ...] = ()) -> Iterator[str]:
    """Fields under which something of any size would be taken."""
    metas = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, msgspec.Meta)]
    kind = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    longest = [meta.max_length for meta in metas if meta.max_length is not None]
    most = [meta for meta in metas if (meta.le is not None or meta.lt is not None) and meta.ge is not None]
    origin = get_origin(kind)
    if origin is tuple or origin is list or origin is dict or origin is frozenset:
        parts = get_args(kind)
        fixed = origin is tuple and Ellipsis not in parts
        if not longest and not fixed:
            yield f"{where}: how many?"
        for part in parts:
            if part is not Ellipsis:
                yield from unbounded(part, f"{where}[]", seen)
    elif origin is Literal or kind in (bool, type(None)):
        return
    elif get_args(kind):
        for part in get_args(kind):
            yield from unbounded(part, where, seen)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind not in seen:
            for name, inner in msgspec_hints(kind).items():
                yield from unbounded(inner, f"{where}.{name}", (*seen, kind))
    elif isinstance(kind, type) and issubclass(kind, enum.Enum | NumberText):
        return
    elif kind is Decimal:
        # Checked when the record is made: `_must_be_kilograms`.
        return
    elif kind is str:
        if not longest:
            yield f"{where}: how long?"
    elif kind in (int, float):
        if not most:
            yield f"{where}: how much?"
    else:
        yield f"{where}: {kind} is not known to this test"


def msgspec_hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


@pytest.mark.parametrize("name", RECEIVED)
def test_every_field_has_a_bound(name: str) -> None:
    assert list(unbounded(RECEIVED[name], name)) == []


# --- a good message of every kind -------------------------------------------------------------------------

HASH, DIGEST = "a" * 64, "b" * 32
UTC = "2026-01-31T08:00:00Z"
SLIP_NOS = (SlipNo(SLIP),)


def samples(device: str, scope: str, epoch: str) -> dict[type[Any], Any]:
    """One whole message of every kind."""
    heads = (StreamHead(Stream.ROUTINE, 3, HASH),)
    return {
        kind: value
        for value in (
            FeedBatch(scope, epoch, 1, 1, (Change(1, "enterprises", "1", ChangeOp.PUT, "{}"),)),
            FeedHead(scope, epoch, 1, 1, DIGEST, UTC),
            Pull(scope, epoch, 0),
            SnapshotManifest(
                scope=scope, epoch=epoch, number=9, rows=1, digest=DIGEST, schema=1, size_bytes=10,
                sha256=HASH, packed_bytes=5, packed_sha256=HASH, piece_bytes=messages.PIECE_BYTES,
                pages=(HASH,), made=UTC,
            ),
            BucketSums(scope, epoch, 9, 0, "0" * 32 * messages.SUMS_A_MESSAGE),
            BucketRows(scope, epoch, 9, 1, 0, 1, (("enterprises", "1", "{}"),)),
            Checkpoint(device, epoch, 3, heads, UTC),
            Acks((Ack("archive", 1, device, epoch, Stream.ROUTINE, 1, HASH),)),
            Status(device=device, online=True, health={"io": "ok"}, records={scope: 1}, time=UTC),
            ClaimRequest("claim-7", device, 4, None, SLIP_NOS),
            ClaimAnswer("claim-7", device, 4, ClaimVerdict.GRANTED),
            Command(command_id="command-1", device=device, nonce=DIGEST, issued=UtcText(UTC), valid_s=30,
                    officers=("4604001",), reason="r", act=AskStatus()),
            CommandResult(command_id="command-1", device=device, outcome=Outcome.DONE),
            BlobOffer(device, HASH, 10, BlobClass.HELD),
            messages.BlobChunk(device, HASH, 10, 0, HASH),
            BlobAnswer("archive", device, HASH, BlobState.STORED),
            messages.KeyStatement(name=device, number=2, replaces=device, kid="k", public_key="A" * 44,
                                  issued=UTC),
            KeyChain((Signed("{}", "k", "s"),)),
        )
        for kind in (type(value),)
    }  # fmt: skip


def test_there_is_a_sample_of_every_kind() -> None:
    assert set(samples("d", "s", "e")) == {kind for row in CARRIED for kind, _ in row.kinds}
    assert get_args(Act) != ()


# --- what strangers send ----------------------------------------------------------------------------------


def raw() -> dict[str, bytes]:
    """Payloads that are no message on any topic."""
    return {
        "nothing": b"",
        "a zero byte": b"\0",
        "bad UTF-8": b'{"body":"\xff\xfe","kid":"k","sig":"s"}',
        "UTF-16": '{"body":"{}","kid":"k","sig":"s"}'.encode("utf-16"),
        "null": b"null",
        "a number": b"1e400",
        "not a number": b'{"body":NaN,"kid":"k","sig":"s"}',
        "deep arrays": b"[" * 30_000 + b"]" * 30_000,
        "deep objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
        "a deep unknown field": b'{"body":"{}","kid":"k","sig":"s","x":'
        + b"[" * 20_000
        + b"]" * 20_000
        + b"}",
        "a huge number": b'{"body":"{}","kid":"k","sig":"s","x":' + b"9" * 20_000 + b"}",
        "a number for a text": b'{"body":1,"kid":"k","sig":"s"}',
        "half a character": b'{"body":"\\ud800","kid":"k","sig":"s"}',
        "a key twice": b'{"body":"{}","body":"{}","kid":"k","sig":"s"}',
        "NUL in a name": b'{"body":"{}","kid":"k\\u0000","sig":"s"}',
        "nobody's signature": to_json(Signed("{}", "nobody", "A" * 88)),
        "too large": b'{"body":"' + b"x" * MAX_PAYLOAD_BYTES + b'","kid":"k","sig":"s"}',
        "ten times too large": b"x" * (10 * MAX_PAYLOAD_BYTES),
    }


TEXT_TOO_LONG, NUL = "x" * 40_000, "a\0b"


def spoilt(value: Any, path: str = "") -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Names, and changes to plain JSON that put one field beyond its bound."""

    def at(key: Any, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def apply(whole: Any) -> Any:
            whole[key] = change(whole[key])
            return whole

        return apply

    match value:
        case dict():
            for key, each in value.items():
                if key not in ("body", "act"):
                    for name, change in spoilt(each, f"{path}.{key}"):
                        yield name, at(key, change)
        case list():
            yield f"{path} too many", lambda whole: (whole or ["x"]) * 70_000
            for index, each in enumerate(value[:1]):
                for name, change in spoilt(each, f"{path}[{index}]"):
                    yield name, at(index, change)
        case bool():
            yield f"{path} not a truth", lambda _: "yes"
        case str():
            yield f"{path} NUL", lambda _: NUL
            yield f"{path} too long", lambda _: TEXT_TOO_LONG
            yield f"{path} a number", lambda _: 7
        case int() | float():
            yield f"{path} huge", lambda _: 2**70
            yield f"{path} far below zero", lambda _: -(2**70)
            yield f"{path} a text", lambda _: "7"
        case _:
            return


def bodies(value: Any) -> dict[str, str]:
    """Bodies of this message with something wrong in each, as a hub or device could have signed them."""
    plain = to_builtins(value)
    made = {
        name: json.dumps(change(copy.deepcopy(plain)), ensure_ascii=False) for name, change in spoilt(plain)
    }
    whole = to_json(value).decode()
    first = next(iter(plain))
    made["a key twice"] = "{" + f'"{first}":{json.dumps(plain[first])},' + whole[1:]
    made["cut off"] = whole[:-2]
    made["deep unknown"] = whole[:-1] + ',"x":' + "[" * 20_000 + "]" * 20_000 + "}"
    made["not an object"] = "[]"
    return {
        name: body
        for name, body in made.items()
        if len(to_json(Signed(body, "k" * 40, "s" * 88))) <= MAX_PAYLOAD_BYTES
    }


def payload(row: Carried, body: str, context: Context, key: Any, kid: str) -> bytes:
    signed = to_json(sign(key, kid, context, body))
    match row.wrapping:
        case Wrapping.CHAIN:
            return b'{"statements":[' + signed + b"]}"
        case Wrapping.LINE_AND_BYTES:
            return signed + b"\nx"
        case _:
            return signed


def other_context(context: Context) -> Context:
    return Context.ACK if context is not Context.ACK else Context.FEED


# --- the hub's entrance -----------------------------------------------------------------------------------


@dataclass
class Hub:
    bench: Bench
    device: Device

    def held(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything but what is told of refusals."""
        archive = self.bench.archive
        assert archive is not None
        tables = ("facts", "branches", "streams", "epochs", "claims", "claim_slips", "uses", "scopes",
                  "records", "log", "checkpoints", "statuses", "devices")  # fmt: skip
        return {name: self.bench.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables}  # noqa: S608

    def refuses(self, topic: str, data: bytes) -> None:
        refused = self.bench.receiver.counts.refused
        answers = self.bench.receiver.receive(topic, data, AT)
        assert (answers, self.bench.receiver.counts.refused - refused) == ([], 1), (topic, data[:200])

    def still_works(self) -> None:
        said = self.device.chatter(1)
        (ack,) = acks(self.bench.facts(self.device, self.device.batch(said))).values()
        assert ack.hash == said[-1].hash


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    device = Device()
    return Hub(Bench(tmp_path, device), device)


UP = [row for row in CARRIED if any(r.topic == row.topic and r.writer is Party.DEVICE for r in RIGHTS)]
DOWN = [row for row in CARRIED if any(r.topic == row.topic and r.reader is Party.DEVICE for r in RIGHTS)]


def names_of(topics: Topics, row: Carried, device: str, scope: str) -> str:
    known = {"device": device, "scope": scope, "stream": Stream.ROUTINE}
    method = getattr(topics, row.topic)
    return str(method(*(known[name] for name in inspect.signature(method).parameters)))


@pytest.mark.parametrize("row", UP, ids=lambda row: row.topic)
def test_the_hub_refuses_and_counts_whatever_comes_on_a_topic(hub: Hub, row: Carried) -> None:
    topic = names_of(HUB_TOPICS, row, hub.device.name, "site")
    hub.bench.receiver.tick(AT)
    before = hub.held()
    for data in raw().values():
        hub.refuses(topic, data)
    for kind, context in row.kinds:
        value = samples(hub.device.name, "site", hub.device.epoch)[kind]
        if row.wrapping is not Wrapping.FACTS:
            for body in bodies(value).values():
                hub.refuses(topic, payload(row, body, context, hub.device.private, hub.device.name))
        good = to_json(value).decode()
        hub.refuses(topic, payload(row, good, other_context(context), hub.device.private, hub.device.name))
        hub.refuses(topic, payload(row, good, context, make_private(), hub.device.name))
    hub.bench.receiver.tick(AT)
    after = hub.held()
    assert {name for name in before if before[name] != after[name]} == set()
    hub.still_works()


def test_a_message_of_another_site_or_in_another_devices_name_is_refused(hub: Hub) -> None:
    other = Device(name="lane-out")
    with hub.bench.archive.transaction():
        hub.bench.archive.enrol(other.name, public_pem(other.private.public_key()).decode())
    claim = ClaimRequest("claim-1", "lane-out", 1, None, SLIP_NOS)
    body = to_json(claim).decode()
    for topic, key, kid in (
        (Topics("s2").claim(hub.device.name), hub.device.private, hub.device.name),
        (HUB_TOPICS.claim(hub.device.name), hub.device.private, hub.device.name),
        (HUB_TOPICS.claim("lane-out"), hub.device.private, hub.device.name),
        (HUB_TOPICS.claim("nobody"), hub.device.private, "nobody"),
        (HUB_TOPICS.claim("no/body"), hub.device.private, "nobody"),
        (HUB_TOPICS.ack(hub.device.name), HUB_KEY, "hub"),
        ("kakou/v1", HUB_KEY, "hub"),
        ("", HUB_KEY, "hub"),
    ):
        hub.refuses(topic, to_json(sign(key, kid, Context.CLAIM, body)))
    assert hub.bench.rows("SELECT * FROM claims") == []
    hub.still_works()


def batch_of(device: Device, body: str, **beside: Any) -> bytes:
    """A batch of one fact with exactly this body, signed by the device over its hash."""
    said = json.loads(body)
    head = {"device": device.name, "epoch": device.epoch, "seq": 1, "position": 1, "time": UTC, **said}
    event = {
        "specversion": "1.0", "id": head["event_id"], "source": f"kakou/edge/{head['device']}",
        "type": f"kakou.fact.{head['data']['type']}.v{head['v']}", "time": head["time"],
        "subject": f"{head['epoch']}/{head['stream']}/{head['seq']}", "hash": hash_of(body), "data": body,
        **beside,
    }  # fmt: skip
    heads = [{"stream": head["stream"], "seq": head["seq"], "hash": hash_of(body)}]
    checkpoint = json.dumps(
        {"device": head["device"], "epoch": head["epoch"], "position": 1, "heads": heads, "time": UTC}
    )
    signed = sign(device.private, device.name, Context.CHECKPOINT, checkpoint)
    closing = CloudEvent(
        id="c", source=f"kakou/edge/{device.name}", type="kakou.checkpoint.v1", time=UTC,
        data=to_json(signed).decode(),
    )  # fmt: skip
    return b"[" + json.dumps(event).encode() + b"," + to_json(closing) + b"]"


def fact(speaker: Device, /, **changes: Any) -> str:
    (told,) = speaker.chatter(1)
    return json.dumps({**json.loads(told.body), **changes}, ensure_ascii=False)


HEADS: dict[str, dict[str, Any]] = {
    "seq huge": {"seq": 2**70},
    "seq nought": {"seq": 0},
    "position huge": {"position": 2**63},
    "device of another": {"device": "lane-out"},
    "device too long": {"device": "x" * 201},
    "event id empty": {"event_id": ""},
    "event id too long": {"event_id": "x" * 201},
    "event id NUL": {"event_id": "a\0b"},
    "time NUL": {"time": "\0"},
    "time too long": {"time": "x" * 41},
    "prev short": {"prev": "00"},
    "version huge": {"v": 2**80},
    "stream unknown": {"stream": "bulk"},
    "kind too long": {"data": {"type": "x" * 201}},
    "kind NUL": {"data": {"type": "a\0"}},
    "kind of two lines": {"data": {"type": "a\nb"}},
    "event id of two lines": {"event_id": "a\nb"},
    "time of two lines": {"time": "a\nb"},
    "data no object": {"data": 7},
}


def test_a_fact_whose_head_is_beyond_its_bounds_is_refused_though_it_is_signed(hub: Hub) -> None:
    before = hub.held()
    for changes in HEADS.values():
        data = dict(changes)
        body = fact(Device(), **data)
        try:
            batch = batch_of(hub.device, body)
        except TypeError:
            batch = batch_of(hub.device, fact(Device()), data=body)
        hub.refuses(HUB_TOPICS.facts(hub.device.name, Stream.ROUTINE), batch)
    twice = fact(Device())
    for again in ('"seq":1,', '"device":"lane-in",', '"event_id":"other",'):
        body = "{" + again + twice[1:]
        hub.refuses(HUB_TOPICS.facts(hub.device.name, Stream.ROUTINE), batch_of(hub.device, body))
    inner = twice.replace('"data": {', '"data": {"passage": 9, ')
    hub.refuses(HUB_TOPICS.facts(hub.device.name, Stream.ROUTINE), batch_of(hub.device, inner))
    assert hub.held() == before
    hub.still_works()


def test_a_batch_of_very_many_empty_facts_is_refused(hub: Hub) -> None:
    event = to_json(CloudEvent(id="i", source="s", type="t", time=UTC, data="{}"))
    many = b"[" + b",".join([event] * (MAX_PAYLOAD_BYTES // (len(event) + 1) - 1)) + b"]"
    hub.refuses(HUB_TOPICS.facts(hub.device.name, Stream.ROUTINE), many)
    hub.still_works()


# --- versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kept_unread"),
    [
        ({"v": 0}, False),
        ({"v": 1, "more": {"x": [1, 2]}}, False),
        ({"v": 2, "data": {"type": "passage_opened", "passage": 1, "gated": True, "new": "field"}}, False),
        ({"v": 3}, True),
        ({"v": 2, "data": {"type": "parcel_seen_twice", "where": "belt"}}, True),
        ({"v": 2, "data": {"type": "passage_opened", "passage": "one"}}, True),
    ],
)
def test_facts_one_version_away_are_read_and_others_kept_unread_acknowledged_and_alarmed(
    hub: Hub, changes: dict[str, Any], kept_unread: bool
) -> None:
    body = fact(Device(), **changes)
    (ack,) = acks(
        hub.bench.receiver.receive(
            HUB_TOPICS.facts(hub.device.name, Stream.ROUTINE), batch_of(hub.device, body), AT
        )
    ).values()
    assert (ack.contiguous, ack.hash) == (1, hash_of(body))
    assert hub.bench.rows("SELECT body FROM facts WHERE stream = 'routine'") == [(body,)]
    parked = hub.bench.rows("SELECT payload FROM parked WHERE why LIKE 'unreadable fact%'")
    assert [bytes(row[0]) for row in parked] == [body.encode()] * kept_unread
    alarms = [row[0] for row in hub.bench.rows("SELECT code FROM hub_alarms WHERE code = 'fact_unreadable'")]
    assert alarms == ["fact_unreadable"] * kept_unread


def test_a_journal_written_by_an_older_program_is_sent_under_its_own_version() -> None:
    (told,) = chain(1)
    body = told.body.replace('{"v":1,', '{"v":0,')
    old = msgspec.structs.replace(told, body=body, hash=hash_of(body))
    (run,) = runs([old])
    assert b'"kakou.fact.passage_opened.v0"' in run.events[0]


# --- a device's entrance ----------------------------------------------------------------------------------


def consequences(effects: list[LinkEffect]) -> list[LinkEffect]:
    return [effect for effect in effects if not isinstance(effect, WakeAt)]


class Listening:
    """A session that is connected, has facts waiting and a claim open."""

    def __init__(self) -> None:
        self.story = Story(chain(2))
        self.story.up()
        self.story.tell(ClaimAsked(ClaimRequest("claim-7", DEVICE, 4, None, SLIP_NOS)))

    def refuses(self, topic: str, data: bytes, *, counted: str = "refused") -> None:
        self.story.at_s += 61.0
        self.story.tell(Received("nothing/at/all", b""))
        counts = dict(self.story.session.counts)
        effects = consequences(self.story.tell(Received(topic, data)))
        after = dict(self.story.session.counts)
        changed = {
            name: after[name] - counts.get(name, 0) for name in after if after[name] != counts.get(name)
        }
        told = [effect.notice for effect in effects if isinstance(effect, Notify)]
        assert changed.pop(counted, 0) == 1, (topic, data[:200])
        assert all(isinstance(notice, Refused) for notice in told)
        assert {name for name, times in changed.items() if times} == set()

    def still_works(self) -> None:
        self.story.acks(2)


@pytest.mark.parametrize("row", DOWN, ids=lambda row: row.topic)
def test_a_device_refuses_and_counts_whatever_comes_on_a_topic(row: Carried) -> None:
    listening = Listening()
    topic = names_of(LANE_TOPICS, row, DEVICE, SCOPE)
    for name, data in raw().items():
        # Nothing at all is how a broker tells that a retained message was cleared: nobody's statement.
        listening.refuses(topic, data, counted="cleared" if name == "nothing" else "refused")
    for kind, context in row.kinds:
        value = samples("hub" if row.topic in ("hub_birth", "hub_keys") else DEVICE, SCOPE, EPOCH)[kind]
        for body in bodies(value).values():
            listening.refuses(topic, payload(row, body, context, LANES_HUB_KEY, "hub"))
        good = to_json(value).decode()
        listening.refuses(topic, payload(row, good, other_context(context), LANES_HUB_KEY, "hub"))
        listening.refuses(topic, payload(row, good, context, make_private(), "hub"))
        listening.refuses(topic, payload(row, good, context, DEVICE_KEY, DEVICE))
    listening.still_works()


# --- the entrances of evidence ----------------------------------------------------------------------------

BLOB_UP = [row for row in UP if row.topic.startswith("blob")]


@pytest.mark.parametrize("row", BLOB_UP, ids=lambda row: row.topic)
def test_the_hub_refuses_and_counts_whatever_comes_about_evidence(tmp_path: Path, row: Carried) -> None:
    site = evidence.Site(tmp_path)
    topic = names_of(evidence.TOPICS, row, evidence.DEVICE, "site")

    def refuses(data: bytes) -> None:
        before = site.hub.refused
        assert (site.hub.receive(topic, data, UTC), site.hub.refused - before) == ([], 1), data[:200]

    for data in raw().values():
        refuses(data)
    for kind, context in row.kinds:
        value = samples(evidence.DEVICE, "s", "e")[kind]
        good = to_json(value).decode()
        for body in bodies(value).values():
            refuses(payload(row, body, context, evidence.DEVICE_KEY, evidence.DEVICE))
        refuses(payload(row, good, other_context(context), evidence.DEVICE_KEY, evidence.DEVICE))
        refuses(payload(row, good, context, make_private(), evidence.DEVICE))
        other = to_json(samples("lane-9", "s", "e")[kind]).decode()
        refuses(payload(row, other, context, evidence.DEVICE_KEY, evidence.DEVICE))
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    site.close()


def test_a_device_refuses_and_counts_whatever_comes_about_its_evidence(tmp_path: Path) -> None:
    site = evidence.Site(tmp_path)
    (row,) = [row for row in DOWN if row.topic == "blob_answer"]
    topic = evidence.TOPICS.blob_answer(evidence.DEVICE)
    value = samples(evidence.DEVICE, "s", "e")[BlobAnswer]
    said = [data for name, data in raw().items() if name != "nothing"]
    said += [
        payload(row, body, Context.BLOB_ANSWER, evidence.HUB_KEY, "hub") for body in bodies(value).values()
    ]
    said.append(payload(row, to_json(value).decode(), Context.ACK, evidence.HUB_KEY, "hub"))
    for number, data in enumerate(said, start=1):
        effects = site.session.step(61.0 * number, Received(topic, data))
        assert [effect for effect in effects if not isinstance(effect, Notify | WakeAt)] == []
        assert dict(site.session.counts) == {"refused": number}, data[:200]
    site.close()
