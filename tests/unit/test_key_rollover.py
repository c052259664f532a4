"""A key that is replaced while both ends run (G6, G10): lane and hub go on, old statements change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sync.hub.receiver import Receiver
from sync.hub.trusts import STATEMENT_WAIT_S
from sync.hub.wiring import Inbox
from sync.link.key_files import own_signer
from sync.link.keys import HUB_KID, KeyRefused, KeySigner, make_private
from sync.link.messages import Ack, Acks, Context, Status
from sync.link.performer import HUB_KEYS, LinkPerformer
from sync.link.session import EdgeSession
from sync.link.trust import kid_of, rolled
from sync.link.words import (
    ApplyAck,
    Connected,
    Connection,
    KeepHubKeys,
    LinkEffect,
    Notify,
    Publish,
    Received,
    Refused,
    SessionConfig,
    StoreFailed,
    Work,
)
from sync.store.journal import Journal
from sync.vocabulary.facts import GENESIS, Stream
from tests.unit.test_hub_device import AT, HUB_KEY, SITE, TOPICS, Bench, Device, opened

NEXT_KEY = make_private()
NEXT_KID = kid_of(HUB_KID, NEXT_KEY.public_key())
STATEMENTS = rolled(HUB_KID, HUB_KEY, NEXT_KEY.public_key(), b"", issued="2026-01-31T08:00:00Z")
DEVICE_KEY = make_private()


class Lane:
    """A session over a real journal folder; its publishing is looked at, its store effects are performed."""

    def __init__(self, folder: Path, pinned: Ed25519PrivateKey = HUB_KEY, statements: bytes = b"") -> None:
        self.journal = Journal.open(folder / "journal.sqlite", device="lane-in", reserve_bytes=0)
        self.performer = LinkPerformer(self.journal, folder, scope="site")
        self.session = EdgeSession(
            SessionConfig(device="lane-in", topics=TOPICS, scope="site", key_statements=statements),
            signer=KeySigner(DEVICE_KEY, "lane-in"),
            keys={HUB_KID: pinned.public_key()},
            utc_at=lambda _at_s: AT,
            opened=self.performer.opened(),
        )

    def hears(self, topic: str, payload: bytes) -> list[LinkEffect]:
        effects = list(self.session.step(0.0, Received(topic, payload)))
        for effect in effects:
            self.performer.perform(effect)
        return effects

    def close(self) -> None:
        self.performer.close()
        self.journal.close()


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    made = Lane(tmp_path)
    yield made
    made.close()


def acknowledgement(signer: Ed25519PrivateKey, kid: str) -> bytes:
    ack = Ack("archive", 1, "lane-in", "e" * 32, Stream.ALARM, 0, GENESIS)
    signed = KeySigner(signer, kid).sign(Context.ACK, _json(Acks((ack,))))
    return _json(signed).encode()


def _json(value: object) -> str:
    from sync.vocabulary.codec import to_json

    return to_json(value).decode()


def applied(effects: list[LinkEffect]) -> int:
    return sum(isinstance(effect, ApplyAck) for effect in effects)


def refusals(effects: list[LinkEffect]) -> list[str]:
    return [
        effect.notice.why
        for effect in effects
        if isinstance(effect, Notify) and isinstance(effect.notice, Refused)
    ]


def test_the_hubs_new_key_is_believed_once_the_pinned_one_vouches_for_it(lane: Lane) -> None:
    word = acknowledgement(NEXT_KEY, NEXT_KID)
    assert applied(lane.hears(TOPICS.ack("lane-in"), word)) == 0
    assert KeepHubKeys(STATEMENTS) in lane.hears(TOPICS.hub_keys(), STATEMENTS)
    assert applied(lane.hears(TOPICS.ack("lane-in"), word)) == 1
    assert applied(lane.hears(TOPICS.ack("lane-in"), acknowledgement(HUB_KEY, HUB_KID))) == 1


def test_the_same_statements_again_are_nothing_new(lane: Lane) -> None:
    lane.hears(TOPICS.hub_keys(), STATEMENTS)
    assert lane.hears(TOPICS.hub_keys(), STATEMENTS) == []


def test_statements_of_a_stranger_are_refused_and_told(lane: Lane) -> None:
    stranger = make_private()
    theirs = rolled(HUB_KID, stranger, NEXT_KEY.public_key(), b"", issued="2026-01-31T08:00:00Z")
    effects = lane.hears(TOPICS.hub_keys(), theirs)
    assert "does not fit" in refusals(effects)[0] or "signed by" in refusals(effects)[0]
    assert applied(lane.hears(TOPICS.ack("lane-in"), acknowledgement(NEXT_KEY, NEXT_KID))) == 0


def test_what_was_believed_outlives_a_restart_and_is_not_unlearned_from_a_broker_that_repeats(
    tmp_path: Path,
) -> None:
    """A broker that kept the message from before the old key was revoked brings it again."""
    revoked = rolled(
        HUB_KID, NEXT_KEY, NEXT_KEY.public_key(), STATEMENTS, issued="2026-02-01T08:00:00Z",
        revoke=[kid_of(HUB_KID, HUB_KEY.public_key())],
    )  # fmt: skip
    first = Lane(tmp_path)
    first.hears(TOPICS.hub_keys(), revoked)
    first.close()
    again = Lane(tmp_path)
    assert "are known already" in refusals(again.hears(TOPICS.hub_keys(), STATEMENTS))[0]
    assert applied(again.hears(TOPICS.ack("lane-in"), acknowledgement(HUB_KEY, HUB_KID))) == 0
    assert applied(again.hears(TOPICS.ack("lane-in"), acknowledgement(NEXT_KEY, NEXT_KID))) == 1
    again.close()


def test_a_key_pinned_anew_by_hand_stands_above_what_was_kept(tmp_path: Path) -> None:
    """The answer to a stolen key of the hub: what its thief vouched for is gone with it."""
    first = Lane(tmp_path)
    first.hears(TOPICS.hub_keys(), STATEMENTS)
    first.close()
    fresh = make_private()
    again = Lane(tmp_path, pinned=fresh)
    assert set(again.session.hub_keys) == {HUB_KID, kid_of(HUB_KID, fresh.public_key())}
    assert applied(again.hears(TOPICS.ack("lane-in"), acknowledgement(NEXT_KEY, NEXT_KID))) == 0
    again.close()


@pytest.mark.parametrize("kept", [b"", b"not json", b"\xff" * 70_000])
def test_a_damaged_file_of_statements_leaves_the_pinned_key(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / HUB_KEYS).write_bytes(kept)
    lane = Lane(tmp_path)
    assert applied(lane.hears(TOPICS.ack("lane-in"), acknowledgement(HUB_KEY, HUB_KID))) == 1
    lane.close()


def test_statements_that_cannot_be_kept_are_believed_and_the_fault_is_told(
    lane: Lane, tmp_path: Path
) -> None:
    lane.performer._folder = tmp_path / "gone"
    (failed,) = lane.performer.perform(KeepHubKeys(STATEMENTS))
    assert isinstance(failed, StoreFailed)
    assert failed.work is Work.KEEP_HUB_KEYS
    assert [type(effect) for effect in lane.session.step(0.0, failed)][:1] == [Notify]


def test_the_topic_of_the_keys_is_heard_before_everything_signed_with_them() -> None:
    config = SessionConfig(device="lane-in", topics=TOPICS, scope="site")
    for connection in (Connection.ALARM, Connection.ROUTINE):
        assert config.subscriptions(connection)[0] == TOPICS.hub_keys()


def test_a_device_says_its_own_keys_first_on_every_connection(tmp_path: Path) -> None:
    lane = Lane(tmp_path, statements=b"statements")
    for connection in (Connection.ALARM, Connection.ROUTINE):
        first = next(e for e in lane.session.step(0.0, Connected(connection)) if isinstance(e, Publish))
        assert first == Publish(connection, TOPICS.keys("lane-in"), b"statements", retain=True)
    lane.close()


# --- the hub's end ----------------------------------------------------------------------------------------


def test_the_hub_says_its_keys_before_its_birth_and_signs_with_the_new_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Device())
    hub = Receiver(bench.archive, KeySigner(NEXT_KEY, NEXT_KID), site=SITE, key_statements=STATEMENTS)
    said = hub.born(AT)
    assert (said[0].topic, said[0].payload, said[0].retain) == (TOPICS.hub_keys(), STATEMENTS, True)
    lane = Lane(tmp_path)
    told = [effect for message in said for effect in lane.hears(message.topic, message.payload)]
    assert refusals(told) == []
    assert lane.session.counts["hub_births"] == 1
    lane.close()
    bench.archive.close()


def test_a_hub_with_its_first_key_says_nothing_about_keys(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Device())
    topics = [message.topic for message in bench.receiver.born(AT)]
    assert topics[0] == TOPICS.hub_birth()
    assert opened(bench.receiver.born(AT)[0], Context.STATUS, Status).device == HUB_KID
    bench.archive.close()


class Rolling(Device):
    """A device that goes over to another key."""

    def roll(self) -> bytes:
        new = make_private()
        statements = rolled(self.name, self.private, new.public_key(), b"", issued="2026-01-31T08:00:00Z")
        self.old, self.private = self.signer, new
        self.signer = KeySigner(new, kid_of(self.name, new.public_key()))
        return statements


def test_a_device_goes_over_to_its_new_key_and_nothing_of_it_is_refused(tmp_path: Path) -> None:
    device = Rolling()
    bench = Bench(tmp_path, device)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    statements = device.roll()
    device.chatter(3)
    assert bench.receiver.receive(TOPICS.keys(device.name), statements, AT) == []
    bench.facts(device, device.batches()[0])
    assert (len(bench.stored()), bench.alarms()) == (4, [])
    # Facts under way, signed with the old key, arrive late: they are as good as before.
    device.signer = device.old
    device.chatter(2)
    bench.facts(device, device.batch(device.facts[Stream.ROUTINE][3:]))
    assert (len(bench.stored()), bench.alarms()) == (6, [])
    bench.archive.close()


def test_the_hub_remembers_a_devices_keys_over_its_own_restart(tmp_path: Path) -> None:
    device = Rolling()
    bench = Bench(tmp_path, device)
    first, statements = device.private, device.roll()
    bench.receiver.receive(TOPICS.keys(device.name), statements, AT)
    new, device.private = device.private, first
    bench.restart()
    device.private = new
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert (len(bench.stored()), bench.alarms()) == (1, [])
    bench.archive.close()


def test_a_new_key_nobody_vouched_for_is_refused_and_counted(tmp_path: Path) -> None:
    device, stranger = Rolling(), make_private()
    bench = Bench(tmp_path, device)
    theirs = rolled(device.name, stranger, make_private().public_key(), b"", issued="2026-01-31T08:00:00Z")
    for payload in (theirs, b"{}", b"[" * 5_000, b"\xff"):
        assert bench.receiver.receive(TOPICS.keys(device.name), payload, AT) == []
    device.roll()
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert bench.stored() == []
    bench.receiver.tick(later(STATEMENT_WAIT_S))
    assert (set(bench.alarms()), bench.receiver.counts.refused) == ({"forged", "malformed"}, 5)
    bench.archive.close()


def later(seconds: float) -> str:
    at = datetime.fromisoformat(AT) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def forgeries(bench: Bench) -> int:
    return bench.alarms().count("forged")


def test_facts_that_overtake_the_word_for_their_key_are_no_forgery_and_come_again(tmp_path: Path) -> None:
    """The statement travels on another connection, or to another worker."""
    device = Rolling()
    bench = Bench(tmp_path, device)
    statements = device.roll()
    facts = device.batch(device.facts[Stream.ALARM])
    assert bench.facts(device, facts, Stream.ALARM) == []
    assert (bench.stored(), bench.alarms()) == ([], [])
    bench.receiver.receive(TOPICS.keys(device.name), statements, AT)
    bench.facts(device, facts, Stream.ALARM)
    bench.receiver.tick(later(STATEMENT_WAIT_S))
    assert (len(bench.stored()), bench.alarms()) == (1, [])
    bench.archive.close()


def test_a_key_for_which_no_word_comes_is_a_forgery_told_once_and_then_at_once(tmp_path: Path) -> None:
    device = Rolling()
    bench = Bench(tmp_path, device)
    device.roll()
    facts = device.batch(device.facts[Stream.ALARM])
    bench.facts(device, facts, Stream.ALARM)
    bench.receiver.tick(later(STATEMENT_WAIT_S - 1))
    assert forgeries(bench) == 0
    bench.receiver.tick(later(STATEMENT_WAIT_S))
    bench.receiver.tick(later(STATEMENT_WAIT_S + 1))
    assert (forgeries(bench), bench.receiver.counts.refused) == (1, 1)
    bench.facts(device, facts, Stream.ALARM, later(STATEMENT_WAIT_S + 2))
    assert bench.receiver.counts.refused == 2
    bench.archive.close()


def test_anothers_key_is_a_forgery_at_once(tmp_path: Path) -> None:
    device, other = Rolling(), Device("lane-out")
    bench = Bench(tmp_path, device)
    device.signer = other.signer
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    assert len(bench.alarms()) == 1
    bench.archive.close()


def test_the_word_for_a_key_is_taken_before_alarms_that_came_after_it() -> None:
    inbox = Inbox()
    inbox.message(TOPICS.facts("lane-in", Stream.ROUTINE), b"routine")
    inbox.message(TOPICS.keys("lane-in"), b"statements")
    inbox.message(TOPICS.facts("lane-in", Stream.ALARM), b"alarm")
    assert [payload for _, payload in inbox.take(0.0)[1]] == [b"statements", b"alarm"]


def test_another_devices_statements_are_nobodys(tmp_path: Path) -> None:
    one, other = Rolling(), Rolling("lane-out")
    bench = Bench(tmp_path, one, other)
    bench.receiver.receive(TOPICS.keys(one.name), other.roll(), AT)
    assert bench.receiver.counts.refused == 1
    assert bench.archive.enrolled(one.name) == bench.archive.enrolled(one.name)
    assert bench.rows("SELECT value FROM meta WHERE key LIKE 'keys of %'") == []
    bench.archive.close()


def test_a_revoked_device_says_nothing_about_keys_either(tmp_path: Path) -> None:
    device = Rolling()
    bench = Bench(tmp_path, device)
    bench.archive.revoke(device.name)
    bench.receiver.receive(TOPICS.keys(device.name), device.roll(), AT)
    assert bench.alarms() == ["device_revoked"]
    bench.archive.close()


def test_key_and_statements_that_do_not_belong_together_stop_a_program(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(STATEMENTS)
    signer, statements = own_signer(HUB_KID, NEXT_KEY, file)
    assert (signer.kid, statements) == (NEXT_KID, STATEMENTS)
    assert own_signer(HUB_KID, HUB_KEY, None)[0].kid == HUB_KID
    with pytest.raises(KeyRefused, match="expected hub-"):
        own_signer(HUB_KID, HUB_KEY, file)
    for content in (b"", b"{}", b"x" * 70_000):
        file.write_bytes(content)
        with pytest.raises(KeyRefused, match=r"keys\.json"):
            own_signer(HUB_KID, NEXT_KEY, file)
    with pytest.raises(KeyRefused, match=r"keys\.json"):
        own_signer(HUB_KID, NEXT_KEY, tmp_path / "none" / "keys.json")
