"""An alarm under a backlog (G9): from its commit to the hub's signed acknowledgement, as routine facts go up.

The peer sends everything through one queue, as a gateway with one priority does: there an alarm waits for all
that was before it. Measured with paho and one message a fact through the same broker.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.drain import broker, hub, peer
from bench.durable import draft
from bench.harness import Bench, Figure
from bench.passages import DEVICE, FACTS_A_PASSAGE, journalled
from bench.thin_line import thin_line
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, make_private
from sync.store.journal import Journal
from sync.vocabulary.facts import Alarm, AlarmCode, FactDraft, Stream

BACKLOG = 1_000_000
FEWEST = 3_000
MOST_OF_THE_PEER = 20_000
"""Messages; it is steady long before."""
ALARMS = 200
ALARMS_OVER_THIN = 40
THIN_BYTES_S = 20_000
"""Both ways, and all connections behind one queue."""
ALLOWED_S = 2.0
EVERY_S = 0.05
WITHIN_S = 30.0
"""An alarm that takes longer than this is an error, not a figure."""


def run(folder: Path, scale: float) -> Bench:
    """At scale 1 under a million facts."""
    backlog = max(FEWEST, int(BACKLOG * scale))
    hub_key, device_key = make_private(), make_private()
    with (
        broker(folder) as (port, by),
        hub(folder, port, hub_key, device_key),
        Journal.open(folder / "alarms.sqlite", device=DEVICE, reserve_bytes=0) as journal,
    ):
        journalled(journal, 1, backlog // FACTS_A_PASSAGE)

        def under(port: int, alarms: int) -> list[float]:
            client = LinkClient(
                LinkConfig(device=DEVICE, site="bench", scopes=("site-bench",), host="127.0.0.1", port=port),
                journal=journal,
                records_folder=folder,
                signer=KeySigner(device_key, DEVICE),
                hub_key=hub_key.public_key(),
                notices=lambda notice: None,
            )
            client.start()
            try:
                return _alarms(journal, client, alarms)
            finally:
                client.stop()

        with thin_line(port, THIN_BYTES_S) as begin:
            thin_s = under(begin, ALARMS_OVER_THIN)
        took_s = under(port, ALARMS)
        left = journal.backlog()[Stream.ROUTINE]
        asked = min(backlog, MOST_OF_THE_PEER)
        waits_s = asked / peer(port, asked)
    p99_s, thin_p99_s = took_s[int(len(took_s) * 0.99)], thin_s[int(len(thin_s) * 0.99)]
    return Bench(
        "alarms",
        [
            Figure("one queue (paho): an alarm waits", waits_s, "s", note=f"behind {asked:,} messages"),
            Figure(
                "alarm acknowledged, p99", p99_s * 1000, "ms", p99_s / ALLOWED_S, "2 s allowed", at_most=1.0,
                note=f"median {took_s[len(took_s) // 2] * 1000:.0f} ms, longest {took_s[-1] * 1000:.0f} ms",
            ),
            Figure(
                f"the same over {THIN_BYTES_S // 1000} kB/s, p99", thin_p99_s * 1000, "ms",
                thin_p99_s / ALLOWED_S, "2 s allowed", at_most=1.0,
                note=f"{len(thin_s)} alarms; median {thin_s[len(thin_s) // 2] * 1000:.0f} ms",
            ),
        ],
        f"{len(took_s)} alarms under {backlog:,} facts of backlog, {left:,} left at the end, {by}, QoS 1",
    )  # fmt: skip


def _alarms(journal: Journal, client: LinkClient, alarms: int) -> list[float]:
    """Seconds from commit to acknowledgement, shortest first; only while routine facts are under way."""
    begin = time.perf_counter()
    started = journal.acked()[Stream.ROUTINE]
    while journal.acked()[Stream.ROUTINE] == started and time.perf_counter() - begin < WITHIN_S:
        time.sleep(0.01)
    took_s: list[float] = []
    for number in range(alarms):
        if took_s and not journal.backlog()[Stream.ROUTINE]:
            break
        alarm = draft(Alarm(code=AlarmCode.OVERSTAY, passage=number + 1))
        begin = time.perf_counter()
        (fact,) = journal.commit([_on_the_alarm_stream(alarm)])
        client.facts_waiting()
        while journal.acked()[Stream.ALARM] < fact.seq:
            if time.perf_counter() - begin > WITHIN_S:
                raise RuntimeError(f"alarm {number} was not acknowledged within {WITHIN_S:.0f} s")
            time.sleep(0.001)
        took_s.append(time.perf_counter() - begin)
        time.sleep(EVERY_S)
    return sorted(took_s)


def _on_the_alarm_stream(drafted: FactDraft) -> FactDraft:
    return FactDraft(
        drafted.event_id, Stream.ALARM, drafted.time, drafted.boot_id, drafted.uncertainty_ms, drafted.data
    )
