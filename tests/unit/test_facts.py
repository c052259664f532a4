"""Facts: exact bytes, hash and chain, and what comes of bytes that lie."""

from __future__ import annotations

import hashlib
import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.vocabulary.codec import Malformed, decoder, from_json, to_builtins, to_json
from sync.vocabulary.facts import (
    GENESIS,
    Alarm,
    AlarmCode,
    EpochBegan,
    Fact,
    FactBody,
    FactData,
    FactDraft,
    LaneStarted,
    PassageOpened,
    RaiseOrdered,
    ReadingKept,
    RulingMade,
    Stream,
    VehicleCrossed,
    hash_of,
    kind_of,
    read_body,
    seal,
)
from sync.vocabulary.records import COLLECTIONS
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from sync.vocabulary.uses import SlipUse

RULING = RulingMade(
    passage=7,
    ruling=Ruling(Verdict.HOLD, (Because(Reason.WEIGHT_OVER, "320 kg"),)),
    direction="I",
    plate="豫A12345",
    slips=("Z3111I240728000000000003",),
    gross_kg="14612.8",
    expected_kg="14292.8",
    readings=(ReadingKept("weight", "14612.8", 3.25, "stable"),),
    records_age_s=12.5,
    stage_s={"weigh": 2.5},
    texts_zh=("重量超差 320 kg 请等待",),
)


def draft(data: FactData, *, event_id: str = "e1", stream: Stream = Stream.ROUTINE) -> FactDraft:
    return FactDraft(event_id, stream, "2026-01-31T08:00:00.250Z", "boot-1", 40, data)


def sealed(data: FactData = RULING, *, seq: int = 1, prev: str = GENESIS, **kept: Any) -> Fact:
    return seal(draft(data, **kept), device="lane-1", epoch="ab" * 16, seq=seq, position=seq + 100, prev=prev)


def chain(length: int) -> list[Fact]:
    facts: list[Fact] = []
    prev = GENESIS
    for seq in range(1, length + 1):
        facts.append(sealed(PassageOpened(passage=seq), seq=seq, prev=prev, event_id=f"e{seq}"))
        prev = facts[-1].hash
    return facts


# --- sealing ----------------------------------------------------------------------------------------------


def test_a_sealed_fact_has_exactly_these_bytes() -> None:
    """The written contract, which others hash and read: changing these bytes is a new version of it."""
    fact = seal(
        draft(RaiseOrdered(passage=7, order_id="o1", purpose="admit")),
        device="lane-1",
        epoch="ab" * 16,
        seq=3,
        position=9,
        prev=GENESIS,
    )
    assert fact.body == (
        '{"v":1,"device":"lane-1","epoch":"abababababababababababababababab","stream":"routine","seq":3,'
        f'"position":9,"prev":"{"0" * 64}","event_id":"e1","time":"2026-01-31T08:00:00.250Z",'
        '"boot_id":"boot-1","uncertainty_ms":40,"data":{"type":"raise_ordered","passage":7,"order_id":"o1","purpose":"admit"}}'
    )
    assert fact.hash == hashlib.sha256(fact.body.encode()).hexdigest()


def test_a_sealed_fact_reads_back_as_what_was_sealed() -> None:
    fact = sealed()
    body = read_body(fact.body)
    assert body.data == RULING
    assert (body.device, body.epoch, body.stream, body.seq, body.position) == (
        fact.device,
        fact.epoch,
        fact.stream,
        fact.seq,
        fact.position,
    )
    assert (body.event_id, body.time, body.prev) == (fact.event_id, fact.time, GENESIS)
    assert (fact.kind, fact.passage) == ("ruling_made", 7)


def test_bytes_and_text_of_a_body_read_alike_and_chinese_is_kept_as_it_is() -> None:
    fact = sealed()
    assert read_body(fact.body) == read_body(fact.body.encode())
    assert "豫A12345" in fact.body
    assert fact.hash == hashlib.sha256(fact.body.encode("utf-8")).hexdigest()


def test_the_same_draft_in_the_same_place_has_the_same_bytes_and_in_another_place_others() -> None:
    places = [
        sealed(),
        sealed(seq=2),
        sealed(prev="1" * 64),
        sealed(event_id="e2"),
        sealed(stream=Stream.ALARM),
    ]
    assert sealed() == places[0]
    assert len({fact.hash for fact in places}) == len(places)


def test_a_fact_about_no_passage_says_so() -> None:
    assert sealed(LaneStarted("0.1.0", "c0ffee", "boot-1")).passage is None
    assert sealed(Alarm(code=AlarmCode.DEVICE_LOST)).passage is None
    assert sealed(Alarm(code=AlarmCode.TAILGATER, passage=3)).passage == 3


def test_each_fact_names_the_hash_of_the_one_before_it() -> None:
    facts = chain(5)
    prevs = [read_body(fact.body).prev for fact in facts]
    assert prevs == [GENESIS, *(fact.hash for fact in facts[:-1])]


def test_changing_one_character_of_a_stored_fact_breaks_every_later_link() -> None:
    facts = chain(4)
    forged = facts[1].body.replace('"passage":2', '"passage":9')
    assert forged != facts[1].body
    assert hash_of(forged) != read_body(facts[2].body).prev
    resealed = sealed(PassageOpened(passage=9), seq=2, prev=facts[0].hash, event_id="e2")
    assert resealed.hash != read_body(facts[2].body).prev


def test_the_same_meaning_in_other_bytes_is_another_hash() -> None:
    fact = sealed()
    spaced = json.dumps(json.loads(fact.body), ensure_ascii=False)
    assert read_body(spaced) == read_body(fact.body)
    assert hash_of(spaced) != fact.hash


def test_every_kind_of_fact_has_its_own_name() -> None:
    kinds = [member.__struct_config__.tag for member in get_args(FactData)]
    assert sorted(set(kinds)) == sorted(kinds)
    assert {"lane_started", "picture_taken", "supplement_entered", "platform_answered"} < set(kinds)
    assert kind_of(EpochBegan("restored", "", {})) == "epoch_began"


# Any fact a program can make: msgspec knows the types, hypothesis fills them.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
seconds = st.floats(-1e12, 1e12)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
whole = st.integers(0, 2**62)
made_facts = st.one_of(
    st.builds(PassageOpened, whole, st.booleans()),
    st.builds(VehicleCrossed, whole, texts, st.lists(texts, max_size=3).map(tuple), texts),
    st.builds(
        Alarm, code=st.sampled_from(AlarmCode), passage=st.none() | whole, detail=texts, zh=texts, en=texts
    ),
    st.builds(EpochBegan, texts, texts, st.dictionaries(texts, texts, max_size=3)),
    st.builds(
        RulingMade,
        passage=whole,
        ruling=st.builds(
            Ruling,
            st.sampled_from(Verdict),
            st.lists(st.builds(Because, st.sampled_from(Reason), texts), min_size=1, max_size=3).map(tuple),
        ),
        direction=texts,
        plate=st.none() | texts,
        stage_s=st.dictionaries(texts, seconds, max_size=3),
        records_age_s=st.none() | seconds,
    ),
)


@given(data=made_facts, event_id=texts.filter(bool), seq=st.integers(1, 2**62), prev=hashes)
def test_any_fact_survives_sealing_and_reading(data: FactData, event_id: str, seq: int, prev: str) -> None:
    fact = seal(draft(data, event_id=event_id), device="d", epoch="e", seq=seq, position=seq, prev=prev)
    body = read_body(fact.body)
    assert body.data == data
    assert (body.event_id, body.seq, body.prev) == (event_id, seq, prev)
    assert hash_of(fact.body) == fact.hash
    assert to_json(body).decode() == fact.body


# --- reading what others wrote ----------------------------------------------------------------------------


def written(**changes: Any) -> str:
    plain = json.loads(sealed().body)
    return json.dumps(plain | changes, ensure_ascii=False)


def test_fields_a_later_version_added_are_tolerated_and_the_hash_still_covers_them() -> None:
    plain = json.loads(sealed().body)
    plain["data"]["colour"] = {"deep": [1, 2, {"er": None}]}
    plain["added_in_v2"] = "x"
    plain["v"] = 2
    newer = json.dumps(plain)
    assert read_body(newer).data == RULING
    assert read_body(newer).v == 2
    assert hash_of(newer) != hash_of(to_json(read_body(newer)).decode())


def test_fields_an_earlier_version_did_not_have_take_their_defaults() -> None:
    plain = json.loads(sealed(VehicleCrossed(1, "o1", ("u1",), "c1")).body)
    del plain["data"]["claim_id"], plain["v"]
    assert read_body(json.dumps(plain)).data == VehicleCrossed(1, "o1", ("u1",), "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seq": "1"}, "Expected `int`, got `str` - at `$.seq`"),
        ({"seq": 1.5}, "Expected `int`, got `float` - at `$.seq`"),
        ({"seq": True}, "Expected `int`, got `bool` - at `$.seq`"),
        ({"seq": None}, "Expected `int`, got `null` - at `$.seq`"),
        ({"stream": "gossip"}, "Invalid enum value 'gossip' - at `$.stream`"),
        ({"device": 7}, "Expected `str`, got `int` - at `$.device`"),
        ({"data": {"type": "teleported"}}, "Invalid value 'teleported' - at `$.data.type`"),
        ({"data": {"passage": 1}}, "missing required field `type` - at `$.data`"),
        ({"data": {"type": "alarm", "code": "boredom"}}, "Invalid enum value 'boredom' - at `$.data.code`"),
        ({"data": {"type": "raise_ordered", "passage": 1}}, "missing required field `order_id`"),
        ({"data": []}, "Expected `object`, got `array` - at `$.data`"),
        ({"data": None}, "Expected `object`, got `null` - at `$.data`"),
    ],
)
def test_a_wrong_type_is_malformed_and_named_with_its_place(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_body(written(**changes))
    assert words in str(refused.value)
    assert str(refused.value).startswith("FactBody: ")


WHOLE = sealed().body
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"   ",
    "null": b"null",
    "a number": b"1",
    "a list": b"[]",
    "an empty object": b"{}",
    "cut off": WHOLE.encode()[:-1],
    "twice": WHOLE.encode() * 2,
    "a tail": WHOLE.encode() + b"\x00",
    "deep lists": b"[" * 200_000,
    "deep closed lists": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"a":' * 200_000,
    "deep unknown field": WHOLE.encode()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep old_heads": WHOLE.encode()[:-1] + b',"data":{"type":"epoch_began","old_heads":' + b'{"a":' * 50_000,
    "a huge whole number": written(seq=7).replace('"seq": 7', '"seq": ' + "9" * 5000).encode(),
    "a huge exponent": written(seq=7).replace('"seq": 7', '"seq": 1e999999').encode(),
    "a huge float": written(data={"type": "passage_closed", "passage": 1, "outcome": "x", "lane_s": 7})
    .replace('"lane_s": 7', '"lane_s": 1e999999')
    .encode(),
    "NaN": written(seq=7).replace('"seq": 7', '"seq": NaN').encode(),
    "a lone surrogate": written(device="?").replace('"?"', '"\\ud800"').encode(),
    "bytes that are no UTF-8": WHOLE.encode().replace("豫".encode(), b"\xff\xfe"),
    "an unknown name that is no UTF-8": WHOLE.encode()[:-1] + b',"\x80":1}',
    "an unknown text that is no UTF-8": WHOLE.encode()[:-1] + b',"x":["\xff\xfe"]}',
    "GB 18030": WHOLE.encode("gb18030"),
    "a raw control character": WHOLE.replace("lane-1", "lane\n1").encode(),
    "UTF-16": WHOLE.encode("utf-16"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_raises_only_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        read_body(HOSTILE[name])


def test_text_with_a_lone_surrogate_raises_only_malformed() -> None:
    with pytest.raises(Malformed):
        read_body(WHOLE.replace("lane-1", "\ud800"))


RECEIVED: tuple[type[Any], ...] = (FactBody, Ruling, SlipUse, *COLLECTIONS.values())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", RECEIVED, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_fields_holding_anything_at_all_give_a_value_or_malformed(
    kind: type[Any], data: st.DataObject
) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(kind)]
    body = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, json_values)))
    read = decoder(kind)
    try:
        found = [read(json.dumps(body))]
    except Malformed:
        found = []
    assert [type(value) for value in found] == [kind] * len(found)


@given(
    start=st.integers(0, len(WHOLE)),
    length=st.integers(0, 20),
    put=st.binary(max_size=6) | texts.map(str.encode),
)
def test_a_damaged_body_is_malformed_or_has_another_hash(start: int, length: int, put: bytes) -> None:
    damaged = WHOLE.encode()[:start] + put + WHOLE.encode()[start + length :]
    try:
        read_body(damaged)
    except Malformed:
        return
    same = damaged == WHOLE.encode()
    assert (hash_of(damaged.decode()) == hash_of(WHOLE)) is same


# --- the codec itself -------------------------------------------------------------------------------------


def test_refusals_name_the_kind_and_keep_their_cause() -> None:
    with pytest.raises(Malformed, match=r"^SlipUse: .*`\$\.slip_no`") as refused:
        from_json('{"use_id":"u","slip_no":"nonsense","passage":1,"claim_id":"","state":"raised"}', SlipUse)
    assert refused.value.__cause__ is not None
    assert isinstance(refused.value, ValueError)


def test_builtins_are_plain_and_free_of_our_types() -> None:
    use = from_json(
        '{"use_id":"u","slip_no":"Z3111I240728000000000003","passage":1,"claim_id":"","state":"raised"}',
        SlipUse,
    )
    plain = to_builtins(use)
    assert plain == {
        "use_id": "u",
        "slip_no": "Z3111I240728000000000003",
        "passage": 1,
        "claim_id": "",
        "state": "raised",
    }
    assert type(plain["slip_no"]) is str
