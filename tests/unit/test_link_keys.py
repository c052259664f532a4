"""Keys, signed payloads and batches: what is proved, and that nothing unproved gets through."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.link.envelope import (
    BatchRefused,
    open_batch,
    open_signed,
    pack,
    read_batch,
    runs,
    signed_payload,
)
from sync.link.keys import (
    Forged,
    KeyRefused,
    KeySigner,
    load_private,
    load_public,
    make_private,
    private_pem,
    public_pem,
    share_group,
    sign,
    verify,
)
from sync.link.messages import MAX_PAYLOAD_BYTES, Checkpoint, Context, Pull, Signed, StreamHead
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.facts import (
    GENESIS,
    Alarm,
    AlarmCode,
    Fact,
    FactDraft,
    FactTooLong,
    PassageOpened,
    Stream,
    seal,
)

DEVICE = "lane-1"
KEY, OTHER = make_private(), make_private()
SIGNER = KeySigner(KEY, DEVICE)
KEYS = {DEVICE: KEY.public_key()}
TIME = "2026-01-31T08:00:00Z"


def chain(count: int, *, first: int = 1, prev: str = GENESIS, stream: Stream = Stream.ROUTINE) -> list[Fact]:
    facts: list[Fact] = []
    for seq in range(first, first + count):
        draft = FactDraft(f"event-{seq}", stream, TIME, "boot", 5, PassageOpened(seq))
        fact = seal(draft, device=DEVICE, epoch="epoch-1", seq=seq, position=seq * 2, prev=prev)
        facts.append(fact)
        prev = fact.hash
    return facts


def closing(facts: list[Fact], signer: KeySigner = SIGNER) -> Signed:
    last = facts[-1]
    checkpoint = Checkpoint(
        DEVICE, last.epoch, last.position, (StreamHead(last.stream, last.seq, last.hash),), TIME
    )
    return signer.sign(Context.CHECKPOINT, to_json(checkpoint).decode())


def payload_of(facts: list[Fact]) -> bytes:
    (run,) = runs(facts)
    return pack(run, closing(facts), time=TIME)


# --- keys -------------------------------------------------------------------------------------------------


def test_the_group_of_the_hubs_workers_is_known_to_who_has_its_key_alone() -> None:
    """A rogue in the group would be dealt a share of every device's facts, and the broker would drop them."""
    one, other = make_private(), make_private()
    assert share_group(one) == share_group(one)
    assert share_group(one) != share_group(other)
    assert re.fullmatch(r"hub-[0-9a-f]{32}", share_group(one))


def test_keys_survive_their_files(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_bytes(private_pem(KEY))
    (tmp_path / "a.pub").write_bytes(public_pem(KEY.public_key()))
    signed = sign(load_private(tmp_path / "a.key"), DEVICE, Context.PULL, "text")
    assert verify({DEVICE: load_public(tmp_path / "a.pub")}, signed, Context.PULL) == "text"


X25519 = X25519PrivateKey.generate()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        public_pem(KEY.public_key()),
        X25519.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        ),
    ],
    ids=["empty", "text", "public", "other kind", "encrypted"],
)
def test_a_wrong_private_key_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lane-1.key"
    path.write_bytes(content)
    with pytest.raises(KeyRefused, match=r"lane-1\.key: expected"):
        load_private(path)


def test_a_missing_key_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused, match=r"hub\.pub: cannot read"):
        load_public(tmp_path / "hub.pub")


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "hub.pub"
    path.write_bytes(private_pem(KEY))
    with pytest.raises(KeyRefused, match="expected an Ed25519 public key"):
        load_public(path)


@pytest.mark.parametrize("made_for", [context for context in Context if context is not Context.ACK])
def test_a_signature_for_one_purpose_is_worthless_for_another(made_for: Context) -> None:
    signed = sign(KEY, DEVICE, made_for, "body")
    assert verify(KEYS, signed, made_for) == "body"
    with pytest.raises(Forged, match="does not fit"):
        verify(KEYS, signed, Context.ACK)


FORGERIES: dict[str, Callable[[Signed], Signed]] = {
    "body": lambda signed: Signed(signed.body + " ", signed.kid, signed.sig),
    "unknown key": lambda signed: Signed(signed.body, "lane-2", signed.sig),
    "no signature": lambda signed: Signed(signed.body, signed.kid, ""),
    "not base64": lambda signed: Signed(signed.body, signed.kid, "§§§"),
    "too short": lambda signed: Signed(signed.body, signed.kid, base64.b64encode(b"x" * 63).decode()),
    "other key": lambda signed: sign(OTHER, signed.kid, Context.ACK, signed.body),
    "surrogate": lambda signed: Signed("\ud800", signed.kid, signed.sig),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_what_is_forged_is_refused(how: str) -> None:
    signed = sign(KEY, DEVICE, Context.ACK, "body")
    with pytest.raises(Forged):
        verify(KEYS, FORGERIES[how](signed), Context.ACK)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=400), st.integers(0, 10**6), st.integers(0, 7))
def test_no_bytes_make_a_signed_topic_raise_anything_else(noise: bytes, place: int, bit: int) -> None:
    honest = bytearray(signed_payload(SIGNER, Context.PULL, Pull("s", "e", 1)))
    honest[place % len(honest)] ^= 1 << bit
    for payload in (noise, bytes(honest), bytes(honest) + noise):
        with contextlib.suppress(Forged, Malformed):
            assert open_signed(payload, KEYS, Context.PULL, Pull) == Pull("s", "e", 1)


def test_a_signed_message_that_is_too_long_is_refused_before_it_is_read() -> None:
    payload = signed_payload(SIGNER, Context.PULL, Pull("s" * MAX_PAYLOAD_BYTES, "e", 1))
    with pytest.raises(Malformed, match="at most 65536"):
        open_signed(payload, KEYS, Context.PULL, Pull)


# --- batches ----------------------------------------------------------------------------------------------


def test_a_batch_brings_back_the_exact_bytes_and_its_checkpoint() -> None:
    facts = chain(7)
    opened, signed = open_batch(payload_of(facts))
    assert opened == [(fact.hash, fact.body) for fact in facts]
    assert verify(KEYS, signed, Context.CHECKPOINT) == signed.body


def test_a_batch_is_cloudevents_that_say_what_the_body_says() -> None:
    facts = chain(2)
    events = json.loads(payload_of(facts))
    assert [event["type"] for event in events] == [
        "kakou.fact.passage_opened.v1",
        "kakou.fact.passage_opened.v1",
        "kakou.checkpoint.v1",
    ]
    assert events[0]["id"] == "event-1"
    assert events[0]["source"] == "kakou/edge/lane-1"
    assert events[1]["subject"] == "epoch-1/routine/2"
    assert events[1]["data"] == facts[1].body


def test_facts_of_kinds_and_versions_not_known_here_pass() -> None:
    (fact,) = chain(1)
    body = fact.body.replace('"v":1', '"v":9,"later":true').replace("passage_opened", "weather_changed")
    newer = rewritten(fact, body=body, kind="weather_changed")
    batch = read_batch(payload_of([newer]))
    assert (batch.facts[0].head.v, batch.facts[0].head.kind) == (9, "weather_changed")


def rewritten(fact: Fact, *, body: str, kind: str) -> Fact:
    return Fact(
        fact.device, fact.epoch, fact.stream, fact.seq, fact.position, fact.event_id, kind, fact.passage,
        fact.time, hashlib.sha256(body.encode()).hexdigest(), body,
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 60, 400])
def test_runs_fit_their_payloads_and_lose_nothing(count: int) -> None:
    facts = chain(count)
    found: list[int] = []
    for run in runs(facts):
        payload = pack(run, closing(list(run.facts)), time=TIME)
        assert len(payload) <= MAX_PAYLOAD_BYTES
        found += [fact.head.seq for fact in read_batch(payload).facts]
    assert found == [fact.seq for fact in facts]


def test_runs_fill_their_payloads() -> None:
    facts = chain(1000)
    sizes = [len(pack(run, closing(list(run.facts)), time=TIME)) for run in runs(facts)]
    assert min(sizes[:-1]) > 0.9 * MAX_PAYLOAD_BYTES


def test_a_fact_that_fits_no_payload_is_named_after_those_before_it_were_given() -> None:
    facts = chain(2)
    text = "很" * 30_000
    alarm = Alarm(code=AlarmCode.OVERSTAY, detail=text)
    long = seal(
        FactDraft("event-3", Stream.ROUTINE, TIME, "boot", 5, alarm),
        device=DEVICE, epoch="epoch-1", seq=3, position=9, prev=facts[-1].hash,
    )  # fmt: skip
    given_runs = runs([*facts, long])
    assert [fact.seq for fact in next(given_runs).facts] == [1, 2]
    with pytest.raises(FactTooLong, match="fact routine/3"):
        next(given_runs)


Lie = Callable[[list[dict[str, Any]]], object]


def _facts_of(events: list[dict[str, Any]], facts: list[Fact]) -> None:
    events[:-1] = json.loads(payload_of(facts))[:-1]


LIES: dict[str, Lie] = {
    "no checkpoint": lambda events: events.pop(),
    "nothing": lambda events: events.clear(),
    "only a checkpoint": lambda events: events.__delitem__(slice(0, -1)),
    "other event id": lambda events: events[0].update(id="event-9"),
    "other source": lambda events: events[0].update(source="kakou/edge/lane-2"),
    "other kind": lambda events: events[0].update(type="kakou.fact.alarm.v1"),
    "other time": lambda events: events[0].update(time="2026-01-31T09:00:00Z"),
    "other subject": lambda events: events[0].update(subject="epoch-1/routine/2"),
    "other hash": lambda events: events[0].update(hash="0" * 64),
    "other spec": lambda events: events[0].update(specversion="0.3"),
    "changed body": lambda events: events[0].update(data=events[0]["data"].replace("boot", "beet")),
    "dropped first of three": lambda events: events.__setitem__(slice(0, 3), events[1:2]),
    "dropped middle": lambda events: events.pop(1),
    "dropped last": lambda events: events.pop(2),
    "swapped": lambda events: events.__setitem__(slice(0, 2), [events[1], events[0]]),
    "doubled": lambda events: events.insert(1, events[0]),
    "other chain": lambda events: _facts_of(events, chain(3, stream=Stream.ALARM)),
    "not from genesis": lambda events: _facts_of(events, chain(3, prev="1" * 64)),
    "checkpoint of another source": lambda events: events[-1].update(source="kakou/edge/lane-2"),
    "checkpoint of another spec": lambda events: events[-1].update(specversion="0.3"),
    "checkpoint over other facts": lambda events: events[-1].update(data=to_json(closing(chain(2))).decode()),
    "checkpoint without name": lambda events: events[-1].update(
        data=to_json(closing(chain(3), KeySigner(KEY, "lane-2"))).decode()
    ),
    "checkpoint that is no checkpoint": lambda events: events[-1].update(data="{}"),
    "number for a body": lambda events: events[0].update(data=7),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_batch_with_a_lie_in_it_is_refused_whole(lie: str) -> None:
    events = json.loads(payload_of(chain(3)))
    LIES[lie](events)
    with pytest.raises(BatchRefused):
        read_batch(json.dumps(events, ensure_ascii=False).encode())


def test_whoever_owns_the_broker_cannot_put_a_fact_of_their_own_into_a_batch() -> None:
    honest = chain(3)
    forged = chain(2)
    draft = FactDraft("event-3", Stream.ROUTINE, TIME, "boot", 5, PassageOpened(99))
    forged.append(seal(draft, device=DEVICE, epoch="epoch-1", seq=3, position=6, prev=forged[-1].hash))
    events = json.loads(payload_of(forged))
    events[-1] = json.loads(payload_of(honest))[-1]
    with pytest.raises(BatchRefused, match="does not cover the last fact"):
        read_batch(json.dumps(events).encode())


def test_a_forged_fact_between_honest_ones_breaks_the_chain() -> None:
    honest = chain(3)
    draft = FactDraft("event-2", Stream.ROUTINE, TIME, "boot", 5, PassageOpened(99))
    forged = seal(draft, device=DEVICE, epoch="epoch-1", seq=2, position=4, prev=honest[0].hash)
    events = json.loads(payload_of(honest))
    events[1] = json.loads(payload_of([honest[0], forged]))[1]
    with pytest.raises(BatchRefused, match="fact 3 does not name the hash of fact 2"):
        read_batch(json.dumps(events).encode())


def test_a_batch_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(BatchRefused, match="at most 65536"):
        read_batch(b"[" + b" " * MAX_PAYLOAD_BYTES + b"]")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.integers(0, 10**6), st.integers(0, 7))
def test_no_bytes_make_a_batch_raise_anything_else(noise: bytes, place: int, bit: int) -> None:
    honest = payload_of(chain(3))
    spoiled = bytearray(honest)
    spoiled[place % len(spoiled)] ^= 1 << bit
    for payload in (noise, bytes(spoiled), honest[: place % len(honest)], b"[" * 5_000):
        try:
            batch = read_batch(payload)
        except BatchRefused:
            continue
        # What slipped through may only differ where nothing is proved: the checkpoint's own signature.
        assert [fact.body for fact in batch.facts] == [fact.body for fact in chain(3)]
