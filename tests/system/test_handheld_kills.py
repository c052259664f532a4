"""`kill -9` of a handheld at random instants of a scripted session: no fact lost or doubled, drafts kept, the
next start comes up. The stores are locked by a PIN, as on a device without a keystore."""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.handheld_device import OFFICER, PIN, LaidOut, lay_out
from bench.rows import waybill_row
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.handheld_facts import BatchClosed, HandheldStarted, ParcelJudged, UnknownScanned

KILLS = int(os.environ.get("KAKOU_KILL_POINTS", "2"))
SCANS_A_LIFE = 12
PATIENCE_S = 60.0
RUN = "session"


class Handheld:
    """The program, and a person who types on with the next number whatever happens."""

    def __init__(self, laid: LaidOut) -> None:
        self._laid = laid
        self.number = 0
        self.done: set[int] = set()
        self.found = 0
        """Of the last opening: so far this run was durable before."""
        self.views: list[dict[str, Any]] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "edge.cli", "handheld", str(self._laid.config_path)]
        self._process = subprocess.Popen(
            [*command, "--headless", "--run", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    def kill(self) -> None:
        process = self._process
        assert process is not None
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        self._drain()

    def end(self) -> int:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        return process.wait(PATIENCE_S)

    def ended(self) -> None:
        """By itself."""
        process = self._process
        assert process is not None
        process.wait(PATIENCE_S)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        self._drain()

    def say(self, **event: Any) -> int:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self.number += 1
        process.stdin.write(json.dumps({"n": self.number, "event": event}) + "\n")
        process.stdin.flush()
        return self.number

    def wait_for(self, number: int) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while number not in self.done:
            self._hear(max(0.0, until_s - time.monotonic()))

    def sign_in(self) -> None:
        self.wait_for(self.say(**{"is": "SignInAsked", "officer_no": OFFICER, "pin": PIN}))

    def _read(self, process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    def _drain(self) -> None:
        while True:
            line = self._lines.get(timeout=PATIENCE_S)
            if line is None:
                return
            self._take(line)

    def _hear(self, timeout_s: float) -> None:
        line = self._lines.get(timeout=timeout_s)
        assert line is not None, "the program ended"
        self._take(line)

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            # Cut off by the kill.
            return
        assert "refused" not in said, said
        if "done" in said:
            self.done.add(said["done"])
        if "found" in said:
            assert said["found"]["run"] == RUN
            self.found = said["found"]["number"]
        if "view" in said:
            self.views = [said["view"]]


@contextmanager
def facts_of(laid: LaidOut) -> Iterator[list[FactData]]:
    vault, opener = laid.opener()
    with Journal.open(laid.store / "journal.sqlite", device="handheld-1", opener=opener) as journal:
        facts = journal.facts_from(Stream.ROUTINE, 1, max_facts=100_000, max_bytes=10**9)
        yield [read_body(fact.body).data for fact in facts]
    vault.close()


def test_no_fact_is_lost_or_doubled_and_a_count_goes_on_whenever_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    codes = [waybill_row(number)[0] for number in range(KILLS * SCANS_A_LIFE + SCANS_A_LIFE)]
    laid = lay_out(tmp_path, [("waybills", *waybill_row(number)) for number in range(len(codes))])
    handheld, left = Handheld(laid), list(codes)
    said: dict[int, str] = {}
    handheld.start()
    handheld.sign_in()
    handheld.wait_for(handheld.say(**{"is": "GoTo", "page": "batch"}))
    handheld.wait_for(handheld.say(**{"is": "CountBegun"}))
    for _ in range(KILLS):
        many = chance.randrange(1, SCANS_A_LIFE)
        for code in [left.pop(0) for _ in range(many)]:
            said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
        if chance.random() < 0.7:
            handheld.wait_for(chance.choice(sorted(said)))
        time.sleep(chance.random() * 0.05)
        handheld.kill()
        handheld.start()
        handheld.sign_in()
        # As the screens' half does: what the core had made durable is not said again.
        unheard = [
            code for number, code in said.items() if number not in handheld.done | _up_to(handheld.found)
        ]
        said.clear()
        assert handheld.views[0]["page"] == "batch"
        for code in unheard:
            said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
    for code in left:
        said[handheld.say(**{"is": "Scanned", "text": code, "source": "serial"})] = code
    handheld.wait_for(max(said))
    handheld.wait_for(handheld.say(**{"is": "BatchCloseAsked", "complete": False}))
    assert handheld.end() == 0
    with facts_of(laid) as facts:
        judged = Counter(each.text for each in facts if isinstance(each, ParcelJudged | UnknownScanned))
        counted = [each.counted for each in facts if isinstance(each, BatchClosed)]
        starts = sum(1 for each in facts if isinstance(each, HandheldStarted))
    assert judged == Counter(codes)
    assert counted == [len(codes)]
    assert starts == KILLS + 1


def _up_to(number: int) -> set[int]:
    return set(range(number + 1))
