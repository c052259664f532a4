"""Logs: whole lines, no secrets, no waiting."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from edge.runtime.config_reading import SecretFile
from edge.runtime.log import HIDDEN, LogWriter, hide_secrets, set_up_log

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGhvd2V2ZXI=\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    for handler in list(root.handlers):
        if isinstance(handler, LogWriter):
            handler.close()
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def alone(writer: LogWriter) -> logging.Logger:
    """A logger that only this writer hears."""
    logger = logging.getLogger(f"alone-{id(writer)}")
    logger.propagate = False
    logger.setLevel("DEBUG")
    logger.handlers[:] = [writer]
    return logger


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_line_is_one_json_object_with_time_level_and_fields() -> None:
    stream = io.StringIO()
    writer = set_up_log("info", stream=stream)
    structlog.get_logger("ports").warning("port lost", device="scale", why="unplugged\nby hand", kg=12.5)
    writer.close()
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "port lost",
        "level": "warning",
        "logger": "ports",
        "device": "scale",
        "why": "unplugged\nby hand",
        "kg": 12.5,
    }


def test_on_a_terminal_the_line_is_for_people() -> None:
    stream = Terminal()
    writer = set_up_log("info", stream=stream)
    structlog.get_logger().info("端口已开", device="scale")
    writer.close()
    assert "端口已开" in stream.getvalue()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(stream.getvalue())


def test_the_level_of_the_config_decides_for_ours_and_for_libraries() -> None:
    stream = io.StringIO()
    writer = set_up_log("warning", stream=stream)
    structlog.get_logger().info("ours, too little")
    structlog.get_logger().warning("ours")
    logging.getLogger("library").info("theirs, too little")
    logging.getLogger("library").warning("theirs: %s", "enough")
    writer.close()
    assert [line["event"] for line in lines(stream)] == ["ours", "theirs: enough"]


def test_a_traceback_is_in_its_line() -> None:
    stream = io.StringIO()
    writer = set_up_log(stream=stream)
    try:
        raise ZeroDivisionError("a fault of ours")
    except ZeroDivisionError as fault:
        structlog.get_logger().error("a driver raised", exc_info=fault)
    writer.close()
    (line,) = lines(stream)
    assert "ZeroDivisionError: a fault of ours" in line["exception"]
    assert "test_runtime_log.py" in line["exception"]


SECRETS = "s3cr3t-value"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_a_secret_reaches_no_line_however_it_is_put(stream: io.StringIO) -> None:
    writer = set_up_log("debug", stream=stream)
    log = structlog.get_logger()
    log.info("a", password=SECRETS, broker={"user": "lane-1", "passphrase": SECRETS})
    log.info("b", private_key=SECRETS, draw_key=SECRETS, pin=SECRETS, nested=[{"auth-token": SECRETS}])
    log.info("c", url=f"mqtt://lane:{SECRETS}@127.0.0.1:1883", text=f"login failed, password={SECRETS}")
    log.info("d", read=PEM, raw=PEM.encode(), deep={"a": {"b": (PEM,)}})
    logging.getLogger("library").warning("connecting with password: %s", SECRETS)
    try:
        raise ValueError(f"cannot parse {PEM}")
    except ValueError as error:
        log.error("e", exc_info=error)
    writer.close()
    said = stream.getvalue()
    assert SECRETS not in said
    assert "MC4CAQAw" not in said
    assert said.count(HIDDEN) >= 10


def test_what_only_resembles_a_secret_is_said() -> None:
    said = hide_secrets(
        None,
        "info",
        {
            "pinned": 1,
            "spinning": True,
            "key_path": "/etc/kakou/lane.key",
            "secret_file": SecretFile(Path("/etc/kakou/draw.key")),
            "keyboard": "x",
            "event": "token bucket empty",
        },
    )
    assert said == {
        "pinned": 1,
        "spinning": True,
        "key_path": "/etc/kakou/lane.key",
        "secret_file": HIDDEN,
        "keyboard": "x",
        "event": "token bucket empty",
    }


def test_a_value_within_itself_is_cut_short_not_followed() -> None:
    loop: dict[str, Any] = {"n": 1}
    loop["self"] = loop
    assert "..." in str(hide_secrets(None, "info", {"x": loop}))


def test_whoever_stops_reading_does_not_stop_the_program() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stuck:
        writer = LogWriter(stuck, most_waiting=100)
        logger = alone(writer)
        began_s = time.monotonic()
        for _ in range(5_000):
            logger.error("x" * 200)
        took_s = time.monotonic() - began_s
        assert writer.lost > 1_000
        assert took_s < 5.0
        gone = threading.Thread(target=lambda: read_all(reading))
        gone.start()
        writer.close()
    gone.join()


def read_all(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb") as pipe:
        while pipe.read(65_536):
            pass


def test_lost_lines_are_owned_up_to_once_lines_flow_again() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stuck, os.fdopen(reading, "r") as reader:
        writer = LogWriter(stuck, most_waiting=10)
        logger = alone(writer)
        for _ in range(3_000):
            logger.error("x" * 200)
        lost = writer.lost
        told: list[str] = []
        thread = threading.Thread(target=lambda: told.extend(reader))
        thread.start()
        writer.close()
        stuck.close()
        thread.join()
    assert [json.loads(line)["count"] for line in told if "lost" in line][-1] == lost


def test_a_closed_stream_is_survived() -> None:
    stream = io.StringIO()
    writer = set_up_log(stream=stream)
    stream.close()
    structlog.get_logger().error("nobody hears this")
    writer.close()
    assert writer.lost == 1


def test_what_cannot_be_rendered_is_counted() -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

        __repr__ = __str__

    stream = io.StringIO()
    writer = LogWriter(stream)
    logger = alone(writer)
    logger.error(Unprintable())
    logger.error("y")
    writer.close()
    assert writer.lost == 1
    assert stream.getvalue().splitlines() == [
        '{"level": "error", "event": "log lines lost", "count": 1}',
        "y",
    ]


def test_setting_up_again_replaces_what_was_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up_log(stream=first)
    writer = set_up_log(stream=second)
    structlog.get_logger().info("once")
    writer.close()
    assert (first.getvalue(), len(lines(second))) == ("", 1)
