"""Live picture and sound beside the sync of the same device: how soon a picture arrives, how the pictures
follow the line, and what draining facts loses by it.

The handheld's link and its live session share one process, as they do in the app; hub, endpoint and broker
are processes of their own. Over the thin line both share one queue, as at a modem.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import drain
from bench.harness import Bench, Figure, in_turns
from bench.live_rig import Endpoint, Handheld, Onlooker, until
from bench.passages import DEVICE as LANE
from bench.passages import FACTS_A_PASSAGE
from bench.slow_line import SlowLine
from sync.link.keys import make_private
from sync.store.journal import Journal

ROUNDS = 5
THIN_ROUNDS = 3
PASSAGES = 4_000
FEWEST_PASSAGES = 400
THIN_PASSAGES = 150
THIN_BITS_A_S = 2e6
SETTLE_S = 6.0


def run(folder: Path, scale: float) -> Bench:
    passages = max(FEWEST_PASSAGES, int(PASSAGES * scale))
    with _site(folder) as site:
        wide = in_turns(
            ROUNDS,
            [("alone", lambda: site.edge.drain(passages)), ("beside", lambda: site.beside(passages))],
        )
        line = SlowLine(site.edge.port, bits_a_s=THIN_BITS_A_S, delay_s=0.02)
        with contextlib.closing(line):
            site.edge.port, site.live_port = line.port, line.also_to(site.endpoint.port)
            thin = in_turns(
                THIN_ROUNDS,
                [
                    ("alone", lambda: site.edge.drain(THIN_PASSAGES)),
                    ("beside", lambda: site.beside(THIN_PASSAGES)),
                ],
            )
        delays, falls, rises = _follows(site)
    figures = [
        Figure("picture there, wide line", 1000 * statistics.median(delays), "ms", note="from its taking"),
        Figure("line falls to 0.4 Mbit/s: pictures fit it", falls, "s", falls / 6.0, "6 s", at_most=1.0),
        Figure("line is wide again: large pictures", rises, "s", rises / 10.0, "10 s", at_most=1.0),
        Figure("facts drained alone", wide.median("alone"), "/s"),
        Figure(
            "facts drained beside a live session",
            wide.median("beside"),
            "/s",
            wide.ratio("beside", "alone"),
            "alone",
            at_least=0.8,
            note=f"{statistics.median(site.wide):.1f} Mbit/s of picture and sound meanwhile",
        ),
        Figure(f"the same over {THIN_BITS_A_S / 1e6:g} Mbit/s, alone", thin.median("alone"), "/s"),
        Figure(
            "beside a live session",
            thin.median("beside"),
            "/s",
            thin.ratio("beside", "alone"),
            "alone",
            at_least=0.75,
            note=f"{statistics.median(site.thin):.2f} Mbit/s of picture and sound meanwhile",
        ),
    ]
    facts, few = passages * FACTS_A_PASSAGE, THIN_PASSAGES * FACTS_A_PASSAGE
    setting = f"{facts:,} facts a round, {few:,} over the thin line, in turns; pictures 800 × 608"
    return Bench("live", figures, setting)


@dataclass(slots=True)
class _Site:
    endpoint: Endpoint
    edge: drain.Edge
    live_port: int
    wide: list[float] = field(default_factory=list)
    thin: list[float] = field(default_factory=list)

    def beside(self, passages: int) -> float:
        with Handheld(self.endpoint, port=self.live_port) as handheld, Onlooker(self.endpoint) as onlooker:
            until(lambda: len(onlooker.pictures) > 10, 20)
            time.sleep(SETTLE_S)
            # As the app does while its facts wait.
            handheld.connection.sync_busy(True)
            sent = sum(len(each.jpeg) for _, each in onlooker.pictures)
            began_s = time.monotonic()
            rate = self.edge.drain(passages)
            took_s = time.monotonic() - began_s
            sent = sum(len(each.jpeg) for _, each in onlooker.pictures) - sent
        shown = self.wide if self.live_port == self.endpoint.port else self.thin
        shown.append(8e-6 * sent / took_s + 0.068)
        return rate


@contextlib.contextmanager
def _site(folder: Path) -> Iterator[_Site]:
    hub_key, lane_key = make_private(), make_private()
    live_folder = Path(tempfile.mkdtemp(dir=folder))
    with (
        drain.broker(folder) as (port, _),
        drain.hub(folder, port, hub_key, lane_key),
        _endpoint(live_folder) as endpoint,
        Journal.open(folder / "live.sqlite", device=LANE, reserve_bytes=0) as journal,
    ):
        yield _Site(endpoint, _edge(journal, folder, port, hub_key, lane_key), endpoint.port)


def _edge(
    journal: Journal, folder: Path, port: int, hub_key: Ed25519PrivateKey, lane_key: Ed25519PrivateKey
) -> drain.Edge:
    edge = drain.Edge(journal, folder, port, hub_key, lane_key)
    edge.drain(100)
    return edge


@contextlib.contextmanager
def _endpoint(folder: Path) -> Iterator[Endpoint]:
    """In a process of its own, as the hub starts it."""
    port = drain.free_port()
    endpoint = Endpoint(folder, f"port = {port}")
    endpoint.port = port
    process = subprocess.Popen(
        [sys.executable, "-m", "sync.hub.live_serving", str(endpoint.config_file)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        drain.wait_for(port)
        yield endpoint
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def _follows(site: _Site) -> tuple[list[float], float, float]:
    """(delays of a wide line, seconds until pictures fit a thin one, seconds until they are large again)."""
    line = SlowLine(site.endpoint.port, bits_a_s=20e6, delay_s=0.01)
    endpoint = site.endpoint
    with (
        contextlib.closing(line),
        Handheld(endpoint, port=line.port) as handheld,
        Onlooker(endpoint) as onlooker,
    ):
        until(lambda: len(onlooker.pictures) > 5 and handheld.flow().columns >= 640, 30)
        time.sleep(4.0)
        delays = [flow.delay_s for _, flow in handheld.flows[-4:] if flow.delay_s]
        line.bits_a_s = 400e3
        falls = until(lambda: onlooker.a_s(2.0) >= 1.5 and handheld.flow().bits_a_s < 440e3, 30)
        time.sleep(2.0)
        line.bits_a_s = 20e6
        rises = until(lambda: handheld.flow().columns >= 640 and onlooker.a_s(1.0) >= 8, 30)
    return delays, falls, rises
