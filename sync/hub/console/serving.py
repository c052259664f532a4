"""`python -m sync.hub.console.serving CONFIG`: the console's process, beside the hub and ended with it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from sync.hub.archive import Archive
from sync.hub.config import HubConfig, read_hub_config
from sync.hub.console.app import build_app
from sync.hub.console.context import Console
from sync.hub.console.settings import ConsolePart
from sync.hub.console.shown import Shown
from sync.hub.console.tail import Tail
from sync.hub.wiring import set_up_log
from sync.link.page_callers import has_room, listen, numbers_of, patient

ENDS_WITHIN_S = 0.05
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; those of 1.3 are all good. Nothing older is spoken."""


MOST_CONNECTIONS: Final = 512
MOST_FROM_ONE: Final = 128
"""Of another machine: a wall's browser keeps some eight open. Behind a proxy all are the proxy's."""
PATIENCE_S: Final = 20.0
"""For a caller to say something whole: an answer that lasts is none that says nothing."""


def serving_of(console: Console, tail: Tail | None) -> uvicorn.Server:
    part = console.part
    return uvicorn.Server(
        uvicorn.Config(
            build_app(console, tail),
            http=patient(lambda: PATIENCE_S),
            host=part.host,
            port=part.port,
            ssl_certfile=None if part.certificate_file is None else str(part.certificate_file),
            ssl_keyfile=None if part.tls_key_file is None else str(part.tls_key_file),
            ssl_ciphers=CIPHERS,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=part.behind_proxy,
            forwarded_allow_ips="127.0.0.1,::1",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )


def main() -> int:
    config = read_hub_config(Path(sys.argv[1]))
    part = config.console
    if part is None:
        return 0
    set_up_log(config.log_level)
    # The server ends by them too, and raises them again when it has ended: that is no reason to die of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The hub holds the other end: when it is gone, so is this.
    serve(config, part, lambda: None, sys.stdin.buffer)
    return 0


def serve(
    config: HubConfig, part: ConsolePart, until: Callable[[], object], lines: Iterable[bytes] = ()
) -> None:
    """Serves until the hub's `lines` end and `until`, called on a thread of its own, returns."""
    log = structlog.get_logger("sync.hub.console")
    console = Console(config, part)
    tail = Tail(
        lambda: Archive.open(config.archive),
        lambda archive_id, zone: Shown.open(part.shown_file, archive_id, zone),
        lambda: console.zone.key,
        console.pulse.beat,
        log,
    )
    server = serving_of(console, tail)
    try:
        listener = listen(part.host, part.port, _has_room, MOST_CONNECTIONS)
    except OSError as error:
        log.error("console cannot listen", address=f"{part.host}:{part.port}", why=str(error))
        console.close()
        raise SystemExit(1) from error

    async def mind() -> None:
        listener.hang_up(numbers_of(server), PATIENCE_S)

    server.config.callback_notify, server.config.timeout_notify = mind, 1

    def wait() -> None:
        for line in lines:
            console.hear_hub(line)
        until()
        server.should_exit = True

    def end() -> None:
        # Streams end by themselves: one that is cut off is a failure to the server, and said as one.
        while not server.should_exit:
            time.sleep(ENDS_WITHIN_S)
        console.end()

    threading.Thread(target=wait, name="hub-gone", daemon=True).start()
    threading.Thread(target=end, name="ending", daemon=True).start()
    tail.start()
    log.info("console ready", address=f"{part.host}:{part.port}")
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        tail.stop()
        console.close()


def _has_room(address: str, others: Sequence[str]) -> bool:
    return has_room(address, others, MOST_CONNECTIONS, MOST_FROM_ONE)


if __name__ == "__main__":
    sys.exit(main())
