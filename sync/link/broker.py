"""A broker for trying out, made of Python alone: `python -m sync.link.broker --port N`. Not for a site.

It keeps everything in memory, is slow, speaks plain text and listens on 127.0.0.1 only. A site runs
mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.errors import BrokerError
from amqtt.plugins.base import BaseAuthPlugin

HOST = "127.0.0.1"


class OneUser(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets in who gives the one user name and password this broker was started with."""

    async def authenticate(self, *, session: Any) -> bool:
        username, password = self.config.username, self.config.password
        given = (session.username or "", session.password or "")
        return all(
            hmac.compare_digest(str(left).encode(), right.encode())
            for left, right in zip(given, (username, password), strict=True)
        )

    @dataclass
    class Config:
        username: str
        password: str


class TryingOut(Broker):  # type: ignore[misc]  # amqtt ships no types
    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Any
    ) -> None:
        """The library hands whoever connects what is retained under everybody's subscriptions, before it
        hears a word of it; and where another subscribes meanwhile, it serves that connection no more and
        leaves it open (amqtt 0.12.1: the dictionary it goes through has changed). Only who has subscribed
        is given it."""
        others = self._subscriptions.get(subscription[0], [])
        if any(each.client_id == session.client_id for each, _ in others):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def _settings(port: int, user: tuple[str, str] | None) -> dict[str, Any]:
    """Only what is wanted is loaded: the defaults listen on all interfaces and publish `$SYS` every 20 s."""
    plugins: dict[str, dict[str, Any]]
    if user is None:
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    else:
        # By the name of the module as imported, whatever name this process runs under.
        plugins = {"sync.link.broker.OneUser": {"username": user[0], "password": user[1]}}
    return {"listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}}, "plugins": plugins}


async def _serve(port: int, user: tuple[str, str] | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = TryingOut(_settings(port, user))
    try:
        await broker.start()
    except (BrokerError, OSError) as error:
        sys.stderr.write(f"cannot listen on {HOST}:{port}: {error}\n")
        return 1
    sys.stdout.write(f"listening {HOST}:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    try:
        await asyncio.wait_for(broker.shutdown(), timeout=3)
    except (TimeoutError, BrokerError) as error:
        sys.stderr.write(f"did not shut down cleanly: {error}\n")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sync.link.broker", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--username", help="the one user let in; without it everybody is")
    parser.add_argument("--password-file", type=Path, help="one line: that user's password")
    arguments = parser.parse_args()
    if (arguments.username is None) != (arguments.password_file is None):
        parser.error("--username and --password-file: expected both or neither")
    user = None
    if arguments.username is not None:
        try:
            user = (arguments.username, arguments.password_file.read_text(encoding="utf-8").strip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            parser.error(f"--password-file: {error}")
    logging.basicConfig(level=logging.CRITICAL)
    return asyncio.run(_serve(arguments.port, user))


if __name__ == "__main__":
    sys.exit(main())
