"""The hub's inbox: bounded, counted, alarms and claims first."""

from __future__ import annotations

import io
import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import paho.mqtt.client as mqtt
import pytest
import structlog

from sync.hub.console.settings import ConsolePart
from sync.hub.kept_process import KeptProcess
from sync.hub.receiver import Receiver
from sync.hub.wiring import MAX_INBOX_BYTES, TAKE_AT_ONCE_BYTES, Hub, Inbox, set_up_log
from sync.link.client import BrokerConfig, HubLink
from sync.link.words import Connected, Connection, ConnectionRefused, Disconnected
from tests.console_rig import hub_config


def test_alarms_and_claims_are_taken_before_everything_else() -> None:
    inbox = Inbox()
    for topic in ("e/facts/routine", "e/status", "e/facts/alarm", "e/pull", "e/claim"):
        inbox.message(topic, b"")
    assert inbox.take(0)[1] == [("e/facts/alarm", b""), ("e/claim", b"")]
    assert [topic for topic, _ in inbox.take(0)[1]] == ["e/facts/routine", "e/status", "e/pull"]


def test_one_taking_is_bounded_so_that_an_alarm_never_waits_long() -> None:
    inbox = Inbox()
    for number in range(40):
        inbox.message("e/facts/routine", bytes(60_000) + bytes([number]))
    taken = [inbox.take(0)[1] for _ in range(10)]
    assert (
        max(sum(len(payload) for _, payload in messages) for messages in taken) < TAKE_AT_ONCE_BYTES + 60_001
    )
    order = [payload[-1] for messages in taken for _, payload in messages]
    assert order == list(range(40))


def test_pulls_are_taken_one_at_a_time_for_each_may_be_long_to_answer() -> None:
    """After a cut every lane pulls at once: an alarm waits for one answer, not for all of them (G9)."""
    inbox = Inbox()
    for _ in range(3):
        inbox.message("e/status", b"s")
        inbox.message("e/pull", b"p")
    assert [len(inbox.take(0)[1]) for _ in range(4)] == [2, 2, 2, 0]
    inbox.message("e/facts/routine", b"x" * MAX_INBOX_BYTES)
    assert inbox.take(0)[1:] == ([("e/facts/routine", b"x" * MAX_INBOX_BYTES)], 0), "room is counted in bytes"


def test_what_does_not_fit_is_dropped_and_counted_and_room_comes_back() -> None:
    inbox = Inbox(max_bytes=100, max_messages=3)
    for _ in range(5):
        inbox.message("e/facts/routine", b"x" * 20)
    inbox.message("e/facts/alarm", b"x" * 101)
    _, messages, dropped = inbox.take(0)
    assert (len(messages), dropped) == (3, 3)
    inbox.message("e/facts/routine", b"x" * 100)
    assert (len(inbox.take(0)[1]), inbox.take(0)[2]) == (1, 0)


def test_routine_messages_never_crowd_out_an_alarm() -> None:
    inbox = Inbox(max_bytes=100, max_messages=3)
    for _ in range(5):
        inbox.message("e/facts/routine", b"x" * 50)
    inbox.message("e/facts/alarm", b"alarm")
    assert inbox.take(0)[1] == [("e/facts/alarm", b"alarm")]


def test_what_waits_for_the_broker_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that pulls faster than the broker takes the answers must not fill the hub's memory (G11)."""
    monkeypatch.setattr("sync.link.client.MOST_QUEUED", 3)
    link = HubLink(
        BrokerConfig(host="127.0.0.1", port=1),
        site="s1",
        on_message=lambda _topic, _payload: None,
        on_connection=lambda _change: None,
    )
    client = link._wires[Connection.ROUTINE]._make()
    taken = [client.publish("kakou/v1/s1/edge/lane/batch", b"x", qos=1).rc for _ in range(5)]
    link.stop()
    assert taken[3:] == [mqtt.MQTT_ERR_QUEUE_SIZE] * 2
    assert mqtt.MQTT_ERR_QUEUE_SIZE not in taken[:3]


def test_a_waiting_hub_wakes_for_a_message_and_for_a_connection() -> None:
    inbox = Inbox()
    threading.Timer(0.05, inbox.message, ("e/claim", b"")).start()
    assert inbox.take(10)[1] == [("e/claim", b"")]
    threading.Timer(0.05, inbox.change, (Connected(Connection.ROUTINE),)).start()
    assert inbox.take(10)[0] == [Connected(Connection.ROUTINE)]


def test_the_log_is_one_json_object_a_line() -> None:
    out = io.StringIO()
    before = list(logging.getLogger().handlers)
    level = logging.getLogger().level
    try:
        set_up_log("info", out)
        structlog.get_logger("sync.hub").info("hub ready", site="卡口")
        logging.getLogger("sync.link").warning("lost %s", "it")
        structlog.get_logger("sync.hub").debug("not told")
    finally:
        logging.getLogger().handlers[:] = before
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line["level"], line["logger"]) for line in lines] == [
        ("hub ready", "info", "sync.hub"),
        ("lost it", "warning", "sync.link"),
    ]
    assert lines[0]["site"] == "卡口"


def test_who_stands_by_the_hub_is_told_since_when_the_broker_is_lost(tmp_path: Path) -> None:
    told: list[str] = []
    beside = cast("list[KeptProcess]", [SimpleNamespace(tell=told.append)])
    receiver = cast(Receiver, SimpleNamespace(born=lambda _utc: []))
    link = cast(HubLink, None)
    part = ConsolePart(port=0, shown_file=tmp_path / "shown.sqlite", live_folder=tmp_path / "live")
    config = hub_config(tmp_path, part, tmp_path / "archive.sqlite")
    hub = Hub(config)
    hub._tell_beside(beside)
    assert [each.partition(" ")[0] for each in told] == ["broker_lost"]
    assert told[0] > "broker_lost 2026"
    alarm, routine, blobs = Connection.ALARM, Connection.ROUTINE, Connection.BLOBS
    for change, said in (
        (Connected(alarm), None),
        (Connected(blobs), None),
        (Connected(routine), ""),
        (Disconnected(blobs, "x"), None),
        (Disconnected(routine, "x"), "2"),
        (Disconnected(alarm, "x"), None),
        (ConnectionRefused(alarm, "x"), None),
        (Connected(routine), "2"),
        (Connected(alarm), ""),
    ):
        before = len(told)
        hub._connection(change, receiver, link)
        hub._tell_beside(beside)
        if said is None:
            assert len(told) == before, change
        else:
            assert len(told) == before + 1, change
            assert told[-1].partition(" ")[2][:1] == said, change
