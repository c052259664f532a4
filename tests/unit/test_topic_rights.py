"""Who may write and read which topic (G10): a row for every topic, and the lists made from the rows."""

from __future__ import annotations

import itertools

import pytest
from paho.mqtt.client import topic_matches_sub

from sync.enrolment.brokers import Listed, mosquitto_acl, subject_of
from sync.link.messages import ROOT, Topics
from sync.link.rights import RIGHTS, Grants, Party, device_grants, hub_grants, topic_names
from sync.vocabulary.facts import Stream

SITE = "site-a"


def test_every_topic_has_one_row() -> None:
    """A topic without a row is dead behind a broker with access lists: give it one in `sync.link.rights`."""
    named = [row.topic for row in RIGHTS]
    assert sorted(named) == sorted(topic_names())


def test_nobody_reads_what_only_he_writes() -> None:
    assert [row.topic for row in RIGHTS if row.writer is row.reader] == []


def test_what_one_party_may_write_the_other_may_read() -> None:
    """A topic that can be written but never heard, or heard but never written, is a mistake in the table."""
    hub, lane = hub_grants(SITE), device_grants(SITE, "lane-1", ["site-a", "site-b"])
    for written in lane.write:
        assert any(topic_matches_sub(heard, written) for heard in hub.read), written
    for heard in lane.read:
        assert any(topic_matches_sub(written, heard) for written in hub.write), heard


def test_a_device_has_no_right_on_another_devices_topics() -> None:
    one, other = device_grants(SITE, "lane-1", [SITE]), device_grants(SITE, "lane-2", [SITE])
    assert set(one.write) & set(other.write) == set()
    shared = {topic for topic in one.read if topic in other.read}
    assert {topic.removeprefix(f"{ROOT}/{SITE}/") for topic in shared} == {
        f"feed/{SITE}", f"feed/{SITE}/head", "hub/status", "hub/keys",
    }  # fmt: skip
    for mine, theirs in itertools.product(one.write + one.read, other.write):
        assert not topic_matches_sub(mine, theirs), (mine, theirs)


def test_a_device_writes_below_its_own_name_alone() -> None:
    grants = device_grants(SITE, "lane-1", [SITE])
    assert [topic for topic in grants.write if not topic.startswith(f"{ROOT}/{SITE}/edge/lane-1/")] == []


def test_a_device_reads_the_feeds_of_its_scopes_and_of_no_other() -> None:
    grants = device_grants(SITE, "lane-1", ["north", "south"])
    topics = Topics(SITE)
    assert {topic for topic in grants.read if "/feed/" in topic} == {
        topics.feed("north"), topics.feed_head("north"), topics.feed("south"), topics.feed_head("south"),
    }  # fmt: skip
    assert not any("+" in topic or "#" in topic for row in (grants.read,) for topic in row if "feed" in topic)


def test_both_streams_of_facts_are_in_the_list() -> None:
    topics = Topics(SITE)
    assert {topics.facts("lane-1", stream) for stream in Stream} <= set(
        device_grants(SITE, "lane-1", [SITE]).write
    )


def test_the_list_for_mosquitto_names_each_user_with_its_rights() -> None:
    text = mosquitto_acl(SITE, [Listed("lane-1", (SITE,)), Listed("lane-2", (SITE,))])
    users: dict[str, list[str]] = {}
    for line in text.splitlines():
        match line.split(" ", 2):
            case ["user", name]:
                users[name] = []
            case ["topic", way, topic]:
                users[list(users)[-1]].append(f"{way} {topic}")
            case _:
                assert line.startswith("#") or not line
    for name, grants in (
        ("hub", hub_grants(SITE)),
        ("lane-1", device_grants(SITE, "lane-1", [SITE])),
        ("lane-2", device_grants(SITE, "lane-2", [SITE])),
    ):
        assert users.pop(name) == _lines(grants)
    assert users == {}


def _lines(grants: Grants) -> list[str]:
    return [f"write {topic}" for topic in grants.write] + [f"read {topic}" for topic in grants.read]


@pytest.mark.parametrize("party", list(Party))
def test_rights_are_topics_nats_can_name(party: Party) -> None:
    grants = hub_grants(SITE) if party is Party.HUB else device_grants(SITE, "lane-1", [SITE])
    for topic in grants.write + grants.read:
        assert "/" not in subject_of(topic)


def test_a_topic_nats_would_name_otherwise_is_refused() -> None:
    assert subject_of("kakou/v1/+/edge/#") == "kakou.v1.*.edge.>"
    for topic in ("a.b/c", "a b", "a//b", "", "a/*/b"):
        with pytest.raises(ValueError, match="expected no dots"):
            subject_of(topic)
