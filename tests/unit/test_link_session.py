"""The edge session, step by step: what it sends, when it sends again, and whom it does not believe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.link.envelope import open_signed, read_batch, signed_payload
from sync.link.fetching import BeginSurvey, Surveyed, SurveyWorked, WorkOnSurvey
from sync.link.keys import KeySigner, make_private, verify
from sync.link.messages import (
    MAX_PAYLOAD_BYTES,
    Ack,
    Acks,
    BucketsAsked,
    Change,
    ChangeOp,
    Checkpoint,
    ClaimAnswer,
    ClaimRequest,
    ClaimVerdict,
    Context,
    FeedBatch,
    FeedHead,
    Pull,
    Status,
    StreamHead,
    Topics,
)
from sync.link.session import EdgeSession
from sync.link.window import Window
from sync.link.words import (
    AckApplied,
    AdoptGeneration,
    ApplyAck,
    ApplyBatch,
    ArchiveMet,
    BatchApplied,
    BeginEpoch,
    BeginGeneration,
    ClaimAnswered,
    ClaimAsked,
    ClaimWithdrawn,
    Connected,
    Connection,
    ConnectionRefused,
    Disconnected,
    EpochBegan,
    EpochBegun,
    FactsRead,
    FactsWaiting,
    FeedSeen,
    GenerationAdopted,
    GenerationBegun,
    IssueAgain,
    IssuedAgain,
    LinkDown,
    LinkEffect,
    LinkEvent,
    LinkRefused,
    LinkUp,
    MeetArchive,
    NoteVerified,
    Notice,
    Notify,
    Opened,
    Overflowed,
    Publish,
    ReadFacts,
    Received,
    RecordsDiffer,
    RecordsMoved,
    Refused,
    ResyncWanted,
    SessionConfig,
    StatusChanged,
    StoreFailed,
    StoreTrouble,
    Tick,
    WakeAt,
    Work,
)
from sync.policy.digests import BUCKETS
from sync.store.journal import AckOutcome
from sync.store.records import ApplyResult
from sync.vocabulary.facts import GENESIS, Alarm, AlarmCode, Fact, FactDraft, PassageOpened, Stream, seal
from sync.vocabulary.numbers import SlipNo

DEVICE, SCOPE, EPOCH = "lane-1", "site-a", "epoch-1"
TOPICS = Topics("site-a")
DEVICE_KEY, HUB_KEY = make_private(), make_private()
HUB = KeySigner(HUB_KEY, "hub")
CONFIG = SessionConfig(device=DEVICE, topics=TOPICS, scope=SCOPE, version="1.0", boot_id="boot-1")
DIGEST, OTHER_DIGEST = "a" * 32, "b" * 32
T = TypeVar("T")


def utc(at_s: float) -> str:
    return f"2026-01-31T08:{int(at_s) // 60:02d}:{int(at_s) % 60:02d}Z"


def chain(count: int, stream: Stream = Stream.ROUTINE, detail: str = "") -> list[Fact]:
    facts: list[Fact] = []
    prev = GENESIS
    for seq in range(1, count + 1):
        data = Alarm(code=AlarmCode.OVERSTAY, detail=detail) if detail else PassageOpened(seq)
        draft = FactDraft(f"event-{stream.value}-{seq}", stream, utc(0), "boot-1", 5, data)
        facts.append(seal(draft, device=DEVICE, epoch=EPOCH, seq=seq, position=seq, prev=prev))
        prev = facts[-1].hash
    return facts


class Story:
    """A session with a journal made of a list; records only where a test answers for them."""

    def __init__(
        self,
        facts: list[Fact] | None = None,
        *,
        config: SessionConfig = CONFIG,
        acked: int = 0,
        current: FeedSeen | None = None,
        building: FeedSeen | None = None,
        trouble: str = "",
    ) -> None:
        self.facts = facts or []
        self.streams: dict[Stream, list[Fact]] = {}
        self.at_s = 0.0
        self.effects: list[LinkEffect] = []
        self.session = EdgeSession(
            config,
            signer=KeySigner(DEVICE_KEY, DEVICE),
            keys={"hub": HUB_KEY.public_key(), DEVICE: DEVICE_KEY.public_key()},
            utc_at=utc,
            opened=Opened(
                EPOCH, len(self.facts), self.heads(), ((Stream.ROUTINE, acked),), current, building, trouble
            ),
        )

    def heads(self) -> tuple[StreamHead, ...]:
        tips = {fact.stream: fact for fact in self.facts}
        return tuple(StreamHead(tip.stream, tip.seq, tip.hash) for tip in tips.values())

    def tell(self, *events: LinkEvent) -> list[LinkEffect]:
        """Effects of these events, reading facts as the journal would."""
        self.effects = []
        waiting = list(events)
        while waiting:
            for effect in self.session.step(self.at_s, waiting.pop(0)):
                self.effects.append(effect)
                if isinstance(effect, ReadFacts):
                    waiting.append(self.read(effect))
        return self.effects

    def read(self, effect: ReadFacts) -> FactsRead:
        of_stream = self.streams.setdefault(effect.stream, [])
        if len(of_stream) != sum(fact.stream is effect.stream for fact in self.facts):
            of_stream[:] = [fact for fact in self.facts if fact.stream is effect.stream]
        some: list[Fact] = []
        size = 0
        skip = max(0, effect.from_seq - (of_stream[0].seq if of_stream else 1))
        for fact in of_stream[skip : skip + effect.max_facts]:
            size += len(fact.body)
            if some and size > effect.max_bytes:
                break
            some.append(fact)
        return FactsRead(effect.stream, effect.from_seq, EPOCH, tuple(some), self.heads(), len(self.facts))

    def up(self) -> list[LinkEffect]:
        return self.tell(Connected(Connection.ALARM), Connected(Connection.ROUTINE))

    def at(self, at_s: float, event: LinkEvent | None = None) -> list[LinkEffect]:
        self.at_s = at_s
        return self.tell(event or Tick())

    def hears(self, topic: str, context: Context, value: object, signer: KeySigner = HUB) -> list[LinkEffect]:
        return self.tell(Received(topic, signed_payload(signer, context, value)))

    def acks(self, contiguous: int, *, missing: tuple[tuple[int, int], ...] = (), counter: int = 1) -> None:
        ack = Ack(
            "archive", counter, DEVICE, EPOCH, Stream.ROUTINE, contiguous,
            self.facts[contiguous - 1].hash if contiguous else GENESIS, missing,
        )  # fmt: skip
        assert self.hears(TOPICS.ack(DEVICE), Context.ACK, Acks((ack,)))[0] == ApplyAck(ack)
        self.tell(AckApplied(ack, AckOutcome.APPLIED, ((Stream.ROUTINE, contiguous),)))


def of(kind: type[T], effects: Iterable[object]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def notices(effects: list[LinkEffect]) -> list[Notice]:
    return [effect.notice for effect in of(Notify, effects)]


def sent(effects: list[LinkEffect], topic: str) -> list[bytes]:
    return [effect.payload for effect in of(Publish, effects) if effect.topic == topic]


def seqs(effects: list[LinkEffect], stream: Stream = Stream.ROUTINE) -> list[int]:
    batches = [read_batch(payload) for payload in sent(effects, TOPICS.facts(DEVICE, stream))]
    return [fact.head.seq for batch in batches for fact in batch.facts]


def status_of(payload: bytes) -> Status:
    return open_signed(payload, {DEVICE: DEVICE_KEY.public_key()}, Context.STATUS, Status)


# --- facts up ---------------------------------------------------------------------------------------------


def test_facts_go_up_in_order_once_connected_each_stream_on_its_own_connection() -> None:
    story = Story([*chain(3), *chain(2, Stream.ALARM)])
    assert story.tell(FactsWaiting()) == []
    effects = story.up()
    assert seqs(effects) == [1, 2, 3]
    assert seqs(effects, Stream.ALARM) == [1, 2]
    connections = {
        effect.topic: effect.connection for effect in of(Publish, effects) if "/facts/" in effect.topic
    }
    assert connections == {
        TOPICS.facts(DEVICE, Stream.ALARM): Connection.ALARM,
        TOPICS.facts(DEVICE, Stream.ROUTINE): Connection.ROUTINE,
    }


def test_every_publish_carries_a_signed_checkpoint_over_its_last_fact_and_a_head() -> None:
    story = Story([*chain(3), *chain(2, Stream.ALARM)])
    effects = story.up()
    keys = {DEVICE: DEVICE_KEY.public_key()}
    batch = read_batch(sent(effects, TOPICS.facts(DEVICE, Stream.ROUTINE))[0])
    assert verify(keys, batch.signed, Context.CHECKPOINT) == batch.signed.body
    assert {head.seq for head in batch.checkpoint.heads} == {3, 2}
    head = open_signed(sent(effects, TOPICS.head(DEVICE))[-1], keys, Context.CHECKPOINT, Checkpoint)
    assert (head.position, head.heads) == (5, story.heads())
    assert all(effect.retain for effect in of(Publish, effects) if effect.topic == TOPICS.head(DEVICE))


def test_nothing_acknowledged_is_sent_again_after_a_restart() -> None:
    assert seqs(Story(chain(5), acked=3).up()) == [4, 5]


def test_what_is_not_acknowledged_is_sent_again_after_5_s_doubling_to_5_min() -> None:
    story = Story(chain(2))
    story.up()
    gaps: list[float] = []
    last_s = 0.0
    for _ in range(9):
        wake = of(WakeAt, story.effects)
        while not seqs(story.effects) or not gaps or story.at_s == last_s:
            wake = of(WakeAt, story.at(story.at_s + 0.5)) or wake
            if seqs(story.effects):
                gaps.append(story.at_s - last_s)
                last_s = story.at_s
                break
    assert gaps == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_progress_starts_the_wait_anew() -> None:
    story = Story(chain(3))
    story.up()
    story.at(5.0)
    story.at(15.0)
    assert seqs(story.effects) == [1, 2, 3]
    story.acks(1)
    assert seqs(story.at(19.9)) == []
    assert seqs(story.at(20.0)) == [2, 3]


def test_the_hubs_birth_has_everything_unacknowledged_sent_at_once() -> None:
    story = Story(chain(3))
    story.up()
    story.at(5.0)
    birth = Status(device="hub", online=True, boot_id="hub-1", time=utc(0))
    story.at_s = 6.0
    assert seqs(story.hears(TOPICS.hub_birth(), Context.STATUS, birth)) == [1, 2, 3]
    assert seqs(story.hears(TOPICS.hub_birth(), Context.STATUS, birth)) == []
    assert seqs(story.at(11.0)) == [1, 2, 3]


def test_the_hubs_death_has_nothing_sent() -> None:
    story = Story(chain(3))
    story.up()
    death = Status(device="hub", online=False, boot_id="hub-1", time=utc(0))
    assert story.hears(TOPICS.hub_birth(), Context.STATUS, death) == []


def test_a_new_connection_is_a_clean_session_and_everything_unacknowledged_is_unsent() -> None:
    story = Story(chain(3))
    story.up()
    story.acks(1)
    story.tell(Disconnected(Connection.ROUTINE, "gone"))
    assert seqs(story.at(400.0)) == []
    assert seqs(story.tell(Connected(Connection.ROUTINE))) == [2, 3]


def test_a_connection_whose_loss_nobody_saw_is_a_clean_session_too() -> None:
    story = Story(chain(3))
    story.up()
    assert seqs(story.tell(Connected(Connection.ROUTINE))) == [1, 2, 3]


def test_only_the_ranges_the_hub_misses_are_sent_again() -> None:
    config = SessionConfig(device=DEVICE, topics=TOPICS, scope=SCOPE, payload_bytes=4_000)
    story = Story(chain(12), config=config)
    assert seqs(story.up()) == list(range(1, 13))
    story.at_s = 0.4
    story.acks(2, missing=((4, 5), (9, 9)))
    assert seqs(story.effects) == []
    assert seqs(story.at(1.0)) == [4, 5, 9]
    story.acks(2, missing=((4, 5), (9, 9)), counter=2)
    assert seqs(story.effects) == []
    assert seqs(story.at(2.0)) == [4, 5, 9]


def test_after_the_full_wait_the_missing_and_what_may_never_have_arrived_go_up_but_not_what_is_held() -> None:
    story = Story(chain(12))
    story.up()
    story.acks(2, missing=((4, 5),))
    story.at(1.0)
    assert seqs(story.at(5.0)) == [4, 5, *range(6, 13)]


def test_the_window_bounds_what_is_in_flight_and_moves_with_acknowledgements() -> None:
    story = Story(chain(3000))
    effects = story.up()
    payloads = sent(effects, TOPICS.facts(DEVICE, Stream.ROUTINE))
    assert max(map(len, payloads)) <= MAX_PAYLOAD_BYTES
    assert CONFIG.window_bytes * 0.7 < sum(map(len, payloads)) <= CONFIG.window_bytes
    first = seqs(effects)
    assert seqs(story.tell(FactsWaiting())) == []
    acknowledged = sum(len(read_batch(payload).facts) for payload in payloads[:3])
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, acknowledged, story.facts[acknowledged - 1].hash)
    effects = story.tell(AckApplied(ack, AckOutcome.APPLIED, ((Stream.ROUTINE, acknowledged),)))
    assert seqs(effects)[0] == first[-1] + 1
    assert max(story.session.in_flight_bytes.values()) <= CONFIG.widest_window_bytes


@dataclass
class _Line:
    """A line of one rate and one delay, and a hub that acknowledges what came through it."""

    rate_bytes_s: float
    delay_s: float = 0.01
    free_s: float = 0.0

    def arrival_s(self, at_s: float, size_bytes: int) -> float:
        self.free_s = max(self.free_s, at_s) + size_bytes / self.rate_bytes_s
        return self.free_s + self.delay_s


def _over(line: _Line, for_s: float, *, facts: int = 20_000) -> tuple[list[float], Story]:
    """Seconds that each payload waited from being sent to being acknowledged, and the story at the end."""
    story = Story(chain(facts))
    under_way: list[tuple[float, float, int]] = []
    waited_s: list[float] = []

    def send(effects: list[LinkEffect]) -> None:
        for payload in sent(effects, TOPICS.facts(DEVICE, Stream.ROUTINE)):
            last = read_batch(payload).facts[-1].head.seq
            under_way.append((line.arrival_s(story.at_s, len(payload)), story.at_s, last))

    send(story.up())
    counter = 0
    while under_way and story.at_s < for_s:
        story.at_s, sent_at_s, last = under_way.pop(0)
        waited_s.append(story.at_s - sent_at_s)
        counter += 1
        story.acks(last, counter=counter)
        send(story.effects)
    return waited_s, story


@pytest.mark.parametrize("rate_bytes_s", [20_000, 100_000, 1_000_000])
def test_no_more_is_under_way_than_half_a_second_of_what_the_line_takes(rate_bytes_s: int) -> None:
    waited_s, story = _over(_Line(rate_bytes_s), 20.0)
    steady = waited_s[len(waited_s) // 4 :]
    assert max(steady) <= 0.5 * 1.3 + 0.01
    assert story.session.window_bytes[Stream.ROUTINE] <= 0.5 * 1.3 * rate_bytes_s
    assert story.session.counts.get("resends", 0) == 0


@pytest.mark.parametrize(
    "line", [_Line(20_000), _Line(1_000_000, 0.02), _Line(500_000, 0.6), _Line(100_000, 1.5)], ids=str
)
def test_a_line_is_used_whatever_its_rate_and_its_delay(line: _Line) -> None:
    _, story = _over(line, 15.0)
    begun = story.session._up[Stream.ROUTINE].acked
    before_s, bytes_before = story.at_s, begun
    assert before_s >= 10.0 or begun == 20_000
    bytes_a_fact = len(sent(Story(chain(1)).up(), TOPICS.facts(DEVICE, Stream.ROUTINE))[0]) - 900
    assert bytes_before * bytes_a_fact >= 0.5 * line.rate_bytes_s * (before_s - 3 * line.delay_s - 1.0) * 0.8


def test_the_window_grows_fourfold_at_most_with_each_measure_and_stays_within_its_limits() -> None:
    window = Window(first_bytes=16_384, widest_bytes=1_048_576, narrowest_bytes=8_192)
    sizes = [window.size_bytes]
    for turn in range(1, 12):
        window.acknowledged(turn * 0.1, 10**9, sent_at_s=turn * 0.1 - 0.1, delay_s=0.1, full=True, idle=False)
        sizes.append(window.size_bytes)
    assert sizes == [min(16_384 * 4**n, 1_048_576) for n in range(12)]
    for turn in range(12, 40):
        window.acknowledged(turn * 1.0, 10, sent_at_s=turn - 1.0, delay_s=0.1, full=True, idle=False)
    assert window.size_bytes == 8_192


def test_little_to_send_says_nothing_against_a_line() -> None:
    window = Window(first_bytes=16_384, widest_bytes=1_048_576, narrowest_bytes=8_192)
    for turn in range(1, 9):
        window.acknowledged(turn * 0.1, 10**6, sent_at_s=turn * 0.1 - 0.1, delay_s=0.1, full=True, idle=False)
    wide = window.size_bytes
    for turn in range(1, 50):
        window.acknowledged(turn * 1.0, 900, sent_at_s=turn - 0.05, delay_s=0.05, full=False, idle=True)
    assert window.size_bytes == wide


def test_facts_that_had_to_go_up_again_take_the_window_back() -> None:
    _, story = _over(_Line(1_000_000), 0.5)
    assert story.session.window_bytes[Stream.ROUTINE] > CONFIG.window_bytes
    story.at(story.at_s + CONFIG.resend_first_s)
    assert story.session.window_bytes[Stream.ROUTINE] == CONFIG.window_bytes


def test_a_fact_longer_than_the_window_goes_alone() -> None:
    story = Story(chain(3, detail="x" * 40_000))
    assert seqs(story.up()) == [1]
    story.acks(1)
    assert seqs(story.effects) == [2]


def test_a_fact_too_long_for_any_payload_is_reported_and_stops_only_its_stream() -> None:
    routine = chain(1, detail="很" * 30_000)
    story = Story([*routine, *chain(2, Stream.ALARM)])
    effects = story.up()
    assert (seqs(effects), seqs(effects, Stream.ALARM)) == ([], [1, 2])
    (refusal,) = of(Refused, notices(effects))
    assert "fact routine/1 (alarm) takes" in refusal.why


def test_a_hub_that_lost_facts_gets_them_again() -> None:
    story = Story(chain(5), acked=5)
    assert seqs(story.up()) == []
    ack = Ack("archive-2", 1, DEVICE, EPOCH, Stream.ROUTINE, 2, story.facts[1].hash)
    assert seqs(story.tell(AckApplied(ack, AckOutcome.APPLIED, ((Stream.ROUTINE, 2),)))) == [3, 4, 5]


@pytest.mark.parametrize("outcome", [AckOutcome.AHEAD, AckOutcome.DIFFERS])
def test_an_acknowledgement_that_does_not_fit_the_journal_begins_an_epoch(outcome: AckOutcome) -> None:
    story = Story(chain(2))
    story.up()
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 9, "f" * 64)
    (begin,) = of(BeginEpoch, story.tell(AckApplied(ack, outcome, ())))
    assert outcome.value in begin.why
    effects = story.tell(EpochBegun("epoch-2", (), (), 9, begin.why))
    assert notices(effects) == [EpochBegan("epoch-2", begin.why)]


def test_epochs_are_not_begun_over_and_over() -> None:
    story = Story(chain(2))
    story.up()
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 9, "f" * 64)
    begun = EpochBegun(EPOCH, story.heads(), (), 2, "why")
    assert of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.AHEAD, ())))
    story.tell(begun)
    assert of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.AHEAD, ()))) == []
    assert of(BeginEpoch, story.at(59.0)) == []
    assert of(BeginEpoch, story.at(60.0))


def test_a_hub_that_holds_another_fact_beyond_a_gap_is_answered_with_an_epoch() -> None:
    story = Story(chain(4))
    story.up()
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 2, story.facts[1].hash, (), 3)
    (begin,) = of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.APPLIED, ((Stream.ROUTINE, 2),))))
    assert begin.why == "the hub holds another fact under routine/3"


def test_facts_that_were_let_go_and_are_owed_again_begin_an_epoch() -> None:
    story = Story(chain(4), acked=3)
    story.facts = story.facts[3:]
    story.up()
    ack = Ack("archive-2", 1, DEVICE, EPOCH, Stream.ROUTINE, 0, GENESIS)
    (begin,) = of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.APPLIED, ((Stream.ROUTINE, 0),))))
    assert "fact 1 is no longer in the journal" in begin.why


def test_a_journal_that_cannot_be_read_is_reported_and_tried_again() -> None:
    story = Story(chain(2))
    story.session.step(0.0, Connected(Connection.ROUTINE))
    effects = story.tell(StoreFailed(Work.READ_FACTS, "disk fell out", Stream.ROUTINE))
    assert notices(effects) == [StoreTrouble(Work.READ_FACTS, "disk fell out", 1)]
    assert seqs(story.at(5.0)) == [1, 2]


# --- who is believed --------------------------------------------------------------------------------------

ACK = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 0, GENESIS)
CHANGE = Change(8, "enterprises", "1", ChangeOp.PUT, "{}")
BATCH = FeedBatch(SCOPE, "feed-1", 8, 8, (CHANGE,))
HEAD = FeedHead(SCOPE, "feed-1", 7, 3, DIGEST, utc(60))
CURRENT = FeedSeen(1, "feed-1", 7, 3, DIGEST, utc(0))
ANSWER = ClaimAnswer("claim-1", DEVICE, 4, ClaimVerdict.GRANTED)
BIRTH = Status(device="hub", online=True, time=utc(0))
REQUEST = ClaimRequest("claim-1", DEVICE, 4, None, (SlipNo("Z3111I240728000000000003"),))
HONEST: dict[str, tuple[str, Context, object]] = {
    "ack": (TOPICS.ack(DEVICE), Context.ACK, Acks((ACK,))),
    "feed": (TOPICS.feed(SCOPE), Context.FEED, BATCH),
    "batch": (TOPICS.batch(DEVICE), Context.FEED, BATCH),
    "head": (TOPICS.feed_head(SCOPE), Context.FEED_HEAD, HEAD),
    "answer": (TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER),
    "birth": (TOPICS.hub_birth(), Context.STATUS, BIRTH),
}


def believing() -> Story:
    story = Story(chain(1), current=CURRENT)
    story.up()
    story.tell(ClaimAsked(REQUEST))
    return story


def consequences(effects: list[LinkEffect]) -> list[LinkEffect]:
    return [effect for effect in effects if not isinstance(effect, WakeAt)]


@pytest.mark.parametrize("what", HONEST)
def test_what_the_hub_signed_has_an_effect(what: str) -> None:
    topic, context, value = HONEST[what]
    effects = consequences(believing().hears(topic, context, value))
    assert effects
    assert of(Refused, notices(effects)) == []


@pytest.mark.parametrize("what", HONEST)
@pytest.mark.parametrize(
    "signer",
    [KeySigner(make_private(), "hub"), KeySigner(DEVICE_KEY, DEVICE), KeySigner(DEVICE_KEY, "hub")],
    ids=["a stranger as hub", "the device itself", "the device as hub"],
)
def test_what_another_key_signed_is_refused_and_reported(what: str, signer: KeySigner) -> None:
    topic, context, value = HONEST[what]
    effects = consequences(believing().hears(topic, context, value, signer))
    assert [type(notice) for notice in notices(effects)] == [Refused]
    assert len(effects) == 1


@pytest.mark.parametrize("what", HONEST)
def test_what_the_hub_signed_for_another_purpose_is_refused(what: str) -> None:
    topic, _, value = HONEST[what]
    effects = consequences(believing().hears(topic, Context.CLAIM, value))
    assert [type(notice) for notice in notices(effects)] == [Refused]
    assert len(effects) == 1


def changes(*numbers: int, op: ChangeOp = ChangeOp.PUT, body: str = "{}") -> tuple[Change, ...]:
    return tuple(Change(number, "enterprises", "1", op, body) for number in numbers)


UNFIT: dict[str, tuple[str, Context, object, str]] = {
    "ack of another device": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", 1, "lane-2", EPOCH, Stream.ROUTINE, 0, GENESIS),)), "lane-2",
    ),
    "ack out of bounds": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 2**70, GENESIS),)), f"<= {2**62}",
    ),
    "ack below zero": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", -1, DEVICE, EPOCH, Stream.ROUTINE, 0, GENESIS),)), ">= 0",
    ),
    "ack with a short hash": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 0, "00"),)), "length >= 64",
    ),
    "ack with overlapping ranges": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 0, GENESIS, ((3, 5), (5, 6))),)), "in order",
    ),
    "ack with too many ranges": (
        TOPICS.ack(DEVICE), Context.ACK,
        Acks((Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 0, GENESIS,
                  tuple((n, n) for n in range(2, 200, 2))),)), "length <= 64",
    ),
    "too many acks": (TOPICS.ack(DEVICE), Context.ACK, Acks((ACK,) * 65), "length <= 64"),
    "feed of another scope": (
        TOPICS.feed(SCOPE), Context.FEED, FeedBatch("site-b", "feed-1", 8, 8, changes(8)), "site-b"
    ),
    "feed with a hole": (
        TOPICS.feed(SCOPE), Context.FEED, FeedBatch(SCOPE, "feed-1", 8, 10, changes(8, 10, 10)), "change 9"
    ),
    "feed that is shorter than it says": (
        TOPICS.feed(SCOPE), Context.FEED, FeedBatch(SCOPE, "feed-1", 8, 10, changes(8, 9)), "3 changes"
    ),
    "feed without changes": (
        TOPICS.feed(SCOPE), Context.FEED, FeedBatch(SCOPE, "feed-1", 8, 8, ()), "length >= 1"
    ),
    "feed with an empty body": (
        TOPICS.feed(SCOPE), Context.FEED, FeedBatch(SCOPE, "feed-1", 8, 8, changes(8, body="")), "a body"
    ),
    "head of another scope": (
        TOPICS.feed_head(SCOPE), Context.FEED_HEAD,
        FeedHead("site-b", "feed-1", 7, 3, DIGEST, utc(60)), "site-b",
    ),
    "head without a time": (
        TOPICS.feed_head(SCOPE), Context.FEED_HEAD, FeedHead(SCOPE, "feed-1", 7, 3, DIGEST, "now"), "issued"
    ),
    "head with half a digest": (
        TOPICS.feed_head(SCOPE), Context.FEED_HEAD, FeedHead(SCOPE, "feed-1", 7, 3, "aa", utc(60)), ">= 32"
    ),
    "answer to another device": (
        TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER,
        ClaimAnswer("claim-1", "lane-2", 4, ClaimVerdict.GRANTED), "lane-2",
    ),
    "answer for another passage": (
        TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER,
        ClaimAnswer("claim-1", DEVICE, 5, ClaimVerdict.GRANTED), "passage 4",
    ),
    "birth of somebody else": (
        TOPICS.hub_birth(), Context.STATUS, Status(device="lane-2", online=True), "lane-2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNFIT)
def test_what_makes_no_sense_here_is_refused_even_when_the_hub_signed_it(what: str) -> None:
    topic, context, value, expected = UNFIT[what]
    story = believing()
    effects = consequences(story.hears(topic, context, value))
    (refusal,) = of(Refused, notices(effects))
    assert expected in refusal.why
    assert (refusal.topic, len(effects), story.session.counts["refused"]) == (topic, 1, 1)


def test_an_unexpected_topic_is_refused() -> None:
    effects = believing().tell(Received("kakou/v1/site-a/edge/lane-2/ack", b"x"))
    assert of(Refused, notices(effects)) == [
        Refused("unexpected topic", "kakou/v1/site-a/edge/lane-2/ack", 1)
    ]


def test_a_cleared_retained_message_is_nobodys_statement() -> None:
    assert believing().tell(Received(TOPICS.ack(DEVICE), b"")) == []


def test_a_flood_of_refusals_is_told_once_a_minute_with_its_number() -> None:
    story = believing()
    told: list[Notice] = []
    for at_s in range(130):
        for _ in range(10):
            told += of(Refused, notices(story.at(float(at_s), Received(TOPICS.ack(DEVICE), b"x"))))
    assert [notice.times for notice in of(Refused, told)] == [1, 600, 600]
    assert story.session.counts["refused"] == 1300


def test_messages_dropped_unread_are_reported() -> None:
    assert of(Refused, notices(believing().tell(Overflowed(40))))[0].times == 40


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from([topic for topic, _, _ in HONEST.values()]),
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
            ),
            max_leaves=12,
        ),
    ),
    st.sampled_from([Context.ACK, Context.FEED, Context.FEED_HEAD, Context.CLAIM_ANSWER, Context.STATUS]),
)
def test_no_payload_makes_the_session_raise_signed_or_not(
    topic: str, value: object, context: Context
) -> None:
    story = believing()
    payload = value if isinstance(value, bytes) else signed_payload(HUB, context, value)
    assert of(ApplyAck, story.tell(Received(topic, payload))) == []


# --- records down -----------------------------------------------------------------------------------------


def head(
    number: int, *, digest: str = DIGEST, issued_s: float = 60, epoch: str = "feed-1", rows: int = 3
) -> FeedHead:
    return FeedHead(SCOPE, epoch, number, rows, digest, utc(issued_s))


def batch(first: int, last: int, epoch: str = "feed-1") -> FeedBatch:
    return FeedBatch(SCOPE, epoch, first, last, changes(*range(first, last + 1)))


class Feed(Story):
    def __init__(self, current: FeedSeen | None = CURRENT, building: FeedSeen | None = None) -> None:
        super().__init__(current=current, building=building)
        self.up()

    def hears_head(self, feed_head: FeedHead) -> list[LinkEffect]:
        return self.hears(TOPICS.feed_head(SCOPE), Context.FEED_HEAD, feed_head)

    def hears_feed(self, feed_batch: FeedBatch) -> list[LinkEffect]:
        return self.hears(TOPICS.feed(SCOPE), Context.FEED, feed_batch)

    def hears_batch(self, feed_batch: FeedBatch) -> list[LinkEffect]:
        return self.hears(TOPICS.batch(DEVICE), Context.FEED, feed_batch)

    def applied(self, number: int, *, generation: int = 1, digest: str = DIGEST) -> list[LinkEffect]:
        state = FeedSeen(generation, "feed-1", number, 3, digest)
        return self.tell(BatchApplied(ApplyResult.APPLIED, state))


def pulls(effects: list[LinkEffect]) -> list[Pull]:
    keys = {DEVICE: DEVICE_KEY.public_key()}
    return [open_signed(payload, keys, Context.PULL, Pull) for payload in sent(effects, TOPICS.pull(DEVICE))]


def test_a_head_at_our_number_with_our_digest_verifies_as_of_its_issue() -> None:
    assert of(NoteVerified, Feed().hears_head(head(7))) == [NoteVerified(1, utc(60))]


def test_the_same_head_again_verifies_nothing_anew() -> None:
    feed = Feed()
    feed.hears_head(head(7))
    assert consequences(feed.hears_head(head(7))) == []


@pytest.mark.parametrize("number", [6, 7, 9])
def test_an_older_head_is_refused_whatever_it_says(number: int) -> None:
    feed = Feed()
    feed.hears_head(head(7, issued_s=60))
    effects = consequences(feed.hears_head(head(number, issued_s=59)))
    assert [type(notice) for notice in notices(effects)] == [Refused]
    assert len(effects) == 1


def test_a_head_older_than_the_one_verified_before_a_restart_is_refused() -> None:
    feed = Feed(FeedSeen(1, "feed-1", 7, 3, DIGEST, utc(120)))
    assert of(Refused, notices(feed.hears_head(head(7, issued_s=60))))


def test_times_within_a_second_are_compared_rightly() -> None:
    feed = Feed(FeedSeen(1, "feed-1", 7, 3, DIGEST, "2026-01-31T08:00:00.5Z"))
    older = FeedHead(SCOPE, "feed-1", 7, 3, DIGEST, "2026-01-31T08:00:00Z")
    assert of(Refused, notices(feed.hears_head(older)))


def test_a_head_beyond_our_number_is_pulled_and_verified_only_when_reached() -> None:
    feed = Feed()
    effects = feed.hears_head(head(9))
    assert pulls(effects) == [Pull(SCOPE, "feed-1", 7, snapshots=True)]
    assert of(NoteVerified, effects) == []
    assert of(ApplyBatch, feed.hears_batch(batch(8, 9))) == [ApplyBatch(1, batch(8, 9))]
    assert of(NoteVerified, feed.applied(9)) == [NoteVerified(1, utc(60))]


def test_a_gap_is_never_applied_but_pulled_once() -> None:
    feed = Feed()
    effects = feed.hears_feed(batch(9, 9))
    assert of(ApplyBatch, effects) == []
    assert pulls(effects) == [Pull(SCOPE, "feed-1", 7, snapshots=True)]
    assert consequences(feed.hears_feed(batch(10, 10))) == []


def test_a_pull_without_answer_is_repeated_after_5_s_doubling() -> None:
    feed = Feed()
    feed.hears_head(head(9))
    asked = [at_s for at_s in range(1, 80) if pulls(feed.at(float(at_s)))]
    assert asked == [5, 15, 35, 75]


def test_a_long_answer_is_pulled_on_from_where_it_ended() -> None:
    feed = Feed()
    feed.hears_head(head(30))
    feed.hears_batch(batch(8, 12))
    feed.applied(12)
    feed.hears_batch(batch(13, 20))
    feed.applied(20)
    assert pulls(feed.at(0.1)) == []
    assert pulls(feed.at(0.2)) == [Pull(SCOPE, "feed-1", 20, snapshots=True)]


def test_what_overlaps_is_cut_and_what_is_known_is_left() -> None:
    feed = Feed()
    assert of(ApplyBatch, feed.hears_feed(batch(5, 7))) == []
    assert of(ApplyBatch, feed.hears_feed(batch(6, 9))) == [ApplyBatch(1, batch(8, 9))]
    assert of(ApplyBatch, feed.hears_feed(batch(8, 9))) == []


def test_a_batch_of_another_epoch_changes_nothing() -> None:
    assert consequences(Feed().hears_feed(batch(8, 8, "feed-0"))) == []


def test_after_a_reconnect_what_was_missed_is_asked_for() -> None:
    assert pulls(Story(current=CURRENT).up()) == [Pull(SCOPE, "feed-1", 7, snapshots=True)]
    assert pulls(Story().up()) == []


def test_records_that_nobody_helps_to_mend_are_built_anew_beside_the_old() -> None:
    feed = Feed()
    effects = feed.hears_head(head(7, digest=OTHER_DIGEST))
    assert notices(effects) == [RecordsDiffer(SCOPE, "feed-1", 7, DIGEST, OTHER_DIGEST)]
    asked = Pull(SCOPE, "feed-1", 7, snapshots=True, buckets=BucketsAsked(7))
    assert pulls(effects) == [asked]
    assert pulls(feed.at(5.0)) == [asked]
    assert of(BeginGeneration, feed.at(19.9)) == []
    effects = feed.at(20.0)
    assert of(BeginGeneration, effects) == [BeginGeneration(SCOPE, "feed-1")]
    effects = feed.tell(GenerationBegun(FeedSeen(2, "feed-1", 0, 0, "0" * 32)))
    assert pulls(effects) == [Pull(SCOPE, "feed-1", 0, snapshots=True)]
    assert of(ApplyBatch, feed.hears_batch(batch(1, 7))) == [ApplyBatch(2, batch(1, 7))]
    effects = feed.applied(7, generation=2, digest=OTHER_DIGEST)
    assert consequences(effects) == [NoteVerified(2, utc(60)), AdoptGeneration(2)]
    effects = feed.tell(GenerationAdopted(FeedSeen(2, "feed-1", 7, 3, OTHER_DIGEST)))
    why = "records differ from the centre's; the hub did not say how"
    assert notices(effects) == [RecordsMoved(SCOPE, "feed-1", 7, 2, why)]


def test_row_counts_that_differ_are_a_difference() -> None:
    assert of(RecordsDiffer, notices(Feed().hears_head(head(7, rows=4))))


def test_records_that_never_come_out_equal_are_not_built_over_and_over() -> None:
    feed = Feed()
    begun = []
    for at_s in range(0, 1000, 5):
        effects = feed.at(float(at_s), Received(
            TOPICS.feed_head(SCOPE),
            signed_payload(HUB, Context.FEED_HEAD, head(7, digest=OTHER_DIGEST, issued_s=60 + at_s)),
        ))  # fmt: skip
        if of(BeginGeneration, effects):
            begun.append(at_s)
            generation = 1 + len(begun)
            feed.tell(GenerationBegun(FeedSeen(generation, "feed-1", 0, 0, "0" * 32)))
            feed.hears_batch(batch(1, 7))
            feed.applied(7, generation=generation)
    assert begun == [20, 80, 200, 440, 920]


def test_a_new_epoch_is_built_beside_the_old_records_which_stay() -> None:
    feed = Feed()
    effects = feed.hears_head(head(2, epoch="feed-2", digest=OTHER_DIGEST))
    assert of(BeginGeneration, effects) == [BeginGeneration(SCOPE, "feed-2")]
    assert notices(effects) == []


def test_a_log_that_went_back_is_a_difference() -> None:
    feed = Feed()
    feed.hears_head(head(7, issued_s=60))
    effects = feed.hears_head(head(5, issued_s=61, digest=OTHER_DIGEST))
    assert of(BeginGeneration, effects) == [BeginGeneration(SCOPE, "feed-1")]


def test_a_device_without_records_builds_its_first_generation() -> None:
    feed = Feed(None)
    assert of(BeginGeneration, feed.hears_head(head(7))) == [BeginGeneration(SCOPE, "feed-1")]


def test_an_unfinished_generation_is_continued() -> None:
    feed = Feed(CURRENT, FeedSeen(2, "feed-1", 4, 2, OTHER_DIGEST))
    assert pulls(feed.hears_head(head(7))) == [Pull(SCOPE, "feed-1", 4, snapshots=True)]
    assert of(ApplyBatch, feed.hears_batch(batch(5, 7))) == [ApplyBatch(2, batch(5, 7))]


def test_records_that_cannot_take_a_batch_are_reported_and_it_is_pulled_again() -> None:
    feed = Feed()
    feed.hears_feed(batch(8, 8))
    effects = feed.tell(StoreFailed(Work.APPLY_BATCH, "row 8 is malformed"))
    assert notices(effects) == [StoreTrouble(Work.APPLY_BATCH, "row 8 is malformed", 1)]
    assert pulls(feed.at(5.0)) == [Pull(SCOPE, "feed-1", 7, snapshots=True)]
    assert of(ApplyBatch, feed.hears_batch(batch(8, 8))) == [ApplyBatch(1, batch(8, 8))]


def test_records_that_cannot_be_opened_are_reported_and_built_anew() -> None:
    story = Story(trouble="records-1.sqlite is damaged")
    assert notices(story.up())[0] == StoreTrouble(Work.OPEN_RECORDS, "records-1.sqlite is damaged", 1)


# --- claims -----------------------------------------------------------------------------------------------


def claims(effects: list[LinkEffect]) -> list[ClaimRequest]:
    keys = {DEVICE: DEVICE_KEY.public_key()}
    return [
        open_signed(payload, keys, Context.CLAIM, ClaimRequest)
        for payload in sent(effects, TOPICS.claim(DEVICE))
    ]


def test_a_claim_goes_out_at_once_and_every_second_until_answered() -> None:
    story = Story()
    story.up()
    assert claims(story.tell(ClaimAsked(REQUEST))) == [REQUEST]
    assert claims(story.at(0.9)) == []
    assert claims(story.at(1.0)) == [REQUEST]
    effects = story.hears(TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER)
    assert notices(effects) == [ClaimAnswered("claim-1", 4, ClaimVerdict.GRANTED, "")]
    assert claims(story.at(9.0)) == []


def test_a_claim_asked_while_cut_off_goes_out_with_the_connection() -> None:
    story = Story()
    assert claims(story.tell(ClaimAsked(REQUEST))) == []
    assert claims(story.tell(Connected(Connection.ALARM))) == [REQUEST]


def test_an_answer_counts_once() -> None:
    story = believing()
    story.hears(TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER)
    assert consequences(story.hears(TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER)) == []
    assert story.session.counts["answers_again"] == 1


def test_an_answer_nobody_asked_for_is_only_counted() -> None:
    story = Story()
    story.up()
    assert consequences(story.hears(TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER)) == []
    assert story.session.counts["answers_unknown"] == 1


def test_a_withdrawn_claim_is_neither_sent_nor_answered() -> None:
    story = believing()
    story.tell(ClaimWithdrawn("claim-1"))
    assert claims(story.at(5.0)) == []
    assert consequences(story.hears(TOPICS.claim_answer(DEVICE), Context.CLAIM_ANSWER, ANSWER)) == []


# --- status and connections -------------------------------------------------------------------------------


def test_birth_and_will_say_the_same_but_for_being_there() -> None:
    story = Story(chain(3), acked=1, current=CURRENT)
    topic, payload = story.session.will(0.0)
    will = status_of(payload)
    (birth_payload,) = sent(story.up(), TOPICS.status(DEVICE))
    birth = status_of(birth_payload)
    assert topic == TOPICS.status(DEVICE)
    assert (will.online, birth.online) == (False, True)
    assert (birth.records, birth.digests, birth.backlog) == ({SCOPE: 7}, {SCOPE: DIGEST}, 2)
    assert (birth.version, birth.boot_id, birth.epoch) == ("1.0", "boot-1", EPOCH)
    assert all(effect.retain for effect in of(Publish, story.effects) if effect.topic == topic)


def test_status_is_told_when_health_changes_but_not_more_than_once_a_second_and_every_half_minute() -> None:
    story = Story()
    story.up()
    told = []
    for tenth in range(700):
        at_s = tenth / 10
        event = StatusChanged({"scale": f"{tenth}"}) if tenth < 30 else Tick()
        told += [at_s for _ in sent(story.at(at_s, event), TOPICS.status(DEVICE))]
    assert told == [1.0, 2.0, 3.0, 33.0, 63.0]


def test_the_link_is_up_with_both_connections_and_down_with_the_first_lost() -> None:
    story = Story()
    assert notices(story.tell(Connected(Connection.ALARM))) == []
    assert notices(story.tell(Connected(Connection.ROUTINE))) == [LinkUp()]
    assert notices(story.tell(Disconnected(Connection.ALARM, "cable"))) == [LinkDown("cable")]
    assert notices(story.tell(Disconnected(Connection.ROUTINE, "cable"))) == []


def test_a_refused_connection_is_told_by_name_and_not_every_time() -> None:
    story = Story()
    told: list[Notice] = []
    for at_s in range(70):
        told += notices(story.at(float(at_s), ConnectionRefused(Connection.ALARM, "bad password")))
    assert told == [
        LinkRefused(Connection.ALARM, "bad password", 1),
        LinkRefused(Connection.ALARM, "bad password", 60),
    ]


# --- who speaks now (G3, G4) ------------------------------------------------------------------------------


def _acks(archive_id: str, nonce: str, *acks: Ack, interval_s: float = 60.0) -> Acks:
    return Acks(acks, archive_id, nonce, interval_s)


def _nonce_of(effects: list[LinkEffect]) -> str:
    return status_of(sent(effects, TOPICS.status(DEVICE))[-1]).nonce


def test_an_archive_is_met_only_by_a_word_that_quotes_the_nonce_of_this_connection() -> None:
    story = Story(chain(2))
    nonce = _nonce_of(story.up())
    ack = Ack("live", 7, DEVICE, EPOCH, Stream.ROUTINE, 1, story.facts[0].hash)
    assert len(nonce) == 32
    met = story.hears(TOPICS.ack(DEVICE), Context.ACK, _acks("live", nonce, ack))
    assert of(MeetArchive, met) == [MeetArchive("live", 7, 60.0)]
    assert met.index(MeetArchive("live", 7, 60.0)) < met.index(ApplyAck(ack))
    story.tell(ArchiveMet("live", ((Stream.ROUTINE, 0),)))
    assert of(MeetArchive, story.hears(TOPICS.ack(DEVICE), Context.ACK, _acks("live", nonce, ack))) == []
    longer = _acks("live", nonce, interval_s=90.0)
    assert of(MeetArchive, story.hears(TOPICS.ack(DEVICE), Context.ACK, longer)) == [
        MeetArchive("live", 0, 90.0)
    ]


@pytest.mark.parametrize("nonce", ["", "0" * 32, "of the connection before"])
def test_a_hostile_broker_that_plays_back_signed_words_of_another_archive_changes_nothing(nonce: str) -> None:
    """Recorded while that archive was the centre's, or meant for another device's life: signed, and worth
    nothing now. The live hub is heard afterwards as before."""
    story = Story(chain(3))
    first = _nonce_of(story.up())
    story.tell(Disconnected(Connection.ALARM, "cut"), Disconnected(Connection.ROUTINE, "cut"))
    now = _nonce_of(story.up())
    quoted = first if nonce.startswith("of") else nonce
    ack = Ack("old", 999, DEVICE, EPOCH, Stream.ROUTINE, 3, story.facts[2].hash)
    for _ in range(3):
        heard = story.hears(TOPICS.ack(DEVICE), Context.ACK, _acks("old", quoted, ack))
        assert of(MeetArchive, heard) == []
    birth = Status(device="hub", online=True, epoch="old", boot_id="b", time=utc(0))
    assert of(MeetArchive, story.hears(TOPICS.hub_birth(), Context.STATUS, birth)) == []
    live = story.hears(TOPICS.ack(DEVICE), Context.ACK, _acks("live", now))
    assert of(MeetArchive, live) == [MeetArchive("live", 0, 60.0)]


def test_a_word_of_an_archive_that_does_not_count_makes_the_device_ask_who_speaks_once_in_a_while() -> None:
    story = Story(chain(1))
    story.up()
    ack = Ack("new", 1, DEVICE, EPOCH, Stream.ROUTINE, 1, story.facts[0].hash)
    for _ in range(5):
        story.hears(TOPICS.ack(DEVICE), Context.ACK, Acks((ack,), "new"))
    asked = [effect for at_s in (0.5, 1.0, 1.5) for effect in story.at(at_s)]
    assert len(sent(asked, TOPICS.status(DEVICE))) == 1


def test_facts_of_an_epoch_left_are_issued_again_in_steps_with_others_in_between() -> None:
    story = Story(chain(3))
    story.up()
    begun = story.tell(EpochBegun(EPOCH, story.heads(), (), 3, "test", left_to_issue=1_200))
    assert of(IssueAgain, begun) == []
    steps = []
    for turn, left in enumerate((700, 200, 0), start=1):
        steps += of(IssueAgain, story.at(turn * CONFIG.issue_every_s + 0.001 * turn))
        story.tell(IssuedAgain(left))
    assert steps == [IssueAgain(CONFIG.issue_facts)] * 3
    assert of(IssueAgain, story.at(9.0)) == []


def test_no_second_epoch_begins_before_the_first_has_issued_all_again() -> None:
    story = Story(chain(3))
    story.up()
    story.tell(EpochBegun(EPOCH, story.heads(), (), 3, "test", left_to_issue=5))
    story.at_s = 100.0
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 9, "f" * 64)
    assert of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.AHEAD, ()))) == []
    assert len(of(BeginEpoch, story.tell(IssuedAgain(0)))) == 1


def test_an_epoch_that_must_wait_for_the_one_before_keeps_nobody_awake() -> None:
    story = Story(chain(3))
    ack = Ack("archive", 1, DEVICE, EPOCH, Stream.ROUTINE, 9, "f" * 64)
    story.up()
    assert of(BeginEpoch, story.tell(AckApplied(ack, AckOutcome.AHEAD, ())))
    wakes = of(WakeAt, story.tell(EpochBegun(EPOCH, story.heads(), (), 3, "test", left_to_issue=9_000)))
    for turn in range(1, 40):
        story.at_s = 61.0 + turn
        wakes = of(WakeAt, story.tell(AckApplied(ack, AckOutcome.AHEAD, ()), Tick())) or wakes
    assert wakes[-1].at_s is not None
    assert wakes[-1].at_s > story.at_s
    assert len(of(BeginEpoch, story.tell(IssuedAgain(0)))) == 1


def test_a_generation_that_could_not_be_begun_is_tried_again_and_nothing_is_given_to_a_dead_one() -> None:
    feed = Feed(CURRENT, FeedSeen(2, "feed-1", 4, 2, OTHER_DIGEST))
    feed.up()
    feed.hears_head(head(9))
    assert of(BeginGeneration, feed.tell(ResyncWanted())) == [BeginGeneration(SCOPE, "feed-1")]
    feed.tell(StoreFailed(Work.BEGIN_GENERATION, "the disk is full"))
    effects = feed.hears(TOPICS.feed(SCOPE), Context.FEED, batch(8, 9))
    assert [effect.generation for effect in of(ApplyBatch, effects)] == [1]
    assert of(BeginGeneration, feed.at(feed.at_s + 2 * CONFIG.pull_first_s)) == [
        BeginGeneration(SCOPE, "feed-1")
    ]


def test_a_survey_under_way_when_records_turn_out_to_differ_is_not_taken_for_the_repairs() -> None:
    feed = Feed()
    feed.up()
    feed.hears_head(head(7))
    assert of(BeginSurvey, feed.at(CONFIG.survey_every_s))
    effects = feed.hears_head(head(7, digest=OTHER_DIGEST, issued_s=90))
    assert of(RecordsDiffer, notices(effects))
    assert of(WorkOnSurvey, [*feed.tell(SurveyWorked()), *feed.tell(Tick())]) == []
    sums = (0,) * BUCKETS
    assert of(BeginGeneration, feed.tell(Surveyed(1, 7, sums, sums))) == []
