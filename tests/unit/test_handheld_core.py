"""A handheld's core as it runs: what its memory held when the program ended is taken up, and what the glass
said before the power went is stepped once. The stores are locked by a PIN."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.handheld_device import OFFICER, PIN, LaidOut, lay_out
from bench.rows import waybill_row
from edge.handheld import batch
from edge.handheld.app import View
from edge.handheld.events import Scanned, SignInAsked
from edge.handheld.joint.marks import Mark, with_mark, without_mark
from edge.handheld.memory import Memory, read, write
from edge.handheld.performer import GlassEffect
from edge.handheld.terminal import Terminal
from edge.handheld.view import Page
from edge.handheld.wiring import Core
from edge.runtime.clock import SystemClock
from sync.store.journal import Journal
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.handheld_facts import OfficerSignedIn, ParcelJudged, SignInRefused

CODE = waybill_row(1)[0]
RUN = "the glass"
PATIENCE_S = 20.0


class Hands:
    """A glass that says one thing after the other."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._done: queue.Queue[int] = queue.Queue()
        self._number = 0
        self.is_last = False

    def show(self, shown: View) -> None:
        if self.is_last:
            self._core.stop()

    def ask(self, effect: GlassEffect) -> bool:
        return True

    def done(self, mark: Mark) -> None:
        self._done.put(mark.number)

    def say(self, event: Any) -> None:
        self._number += 1
        self._core.heard(Mark(RUN, self._number), event)
        assert self._done.get(timeout=PATIENCE_S) == self._number

    def say_last(self, event: Any) -> int:
        """The program ends when the effects of its first step are performed, and hears no answer to them."""
        self._number += 1
        self.is_last = True
        self._core.heard(Mark(RUN, self._number), event)
        return self._number


class SetAhead(SystemClock):
    """The machine's clock, set so many hours ahead."""

    hours = 0.0

    def utc_text(self) -> str:
        at = datetime.now(UTC) + timedelta(hours=self.hours)
        return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


@contextmanager
def running(laid: LaidOut, hours: float = 0.0) -> Iterator[Hands]:
    clock = SetAhead()
    clock.hours = hours
    core = Core(laid.config(), laid.config_path, clock)
    hands = Hands(core)
    core.open()
    thread = threading.Thread(target=core.run, args=(hands,))
    thread.start()
    try:
        yield hands
    finally:
        if not hands.is_last:
            core.stop()
        thread.join(PATIENCE_S)


def remember(laid: LaidOut, memory: Memory, mark: Mark | None = None) -> None:
    vault, opener = laid.opener()
    with Journal.open(laid.store / "journal.sqlite", device="handheld-1", opener=opener) as journal:
        journal.commit([], lane_state=with_mark(write(memory), mark))
    vault.close()


def facts(laid: LaidOut) -> list[FactData]:
    vault, opener = laid.opener()
    with Journal.open(laid.store / "journal.sqlite", device="handheld-1", opener=opener) as journal:
        found = journal.facts_from(Stream.ROUTINE, 1, max_facts=1_000, max_bytes=10**9)
    vault.close()
    return [read_body(fact.body).data for fact in found]


@pytest.fixture
def laid(tmp_path: Path) -> LaidOut:
    return lay_out(tmp_path, [("waybills", *waybill_row(1))])


def counting(**changes: Any) -> Memory:
    begun = batch.Batch(batch_id="LS-1", began_s=1.0)
    return Memory(page=Page.BATCH, batch=batch.State(request=5, batch=begun, **changes))


def test_what_was_being_looked_up_when_the_power_went_is_counted_when_it_is_scanned_again(
    laid: LaidOut,
) -> None:
    remember(laid, counting(waiting=(batch.Waiting(5, CODE, "", "serial"),)))
    with running(laid) as hands:
        hands.say(SignInAsked(OFFICER, PIN))
        hands.say(Scanned(CODE, source="serial"))
    assert [each.text for each in facts(laid) if isinstance(each, ParcelJudged)] == [CODE]


def test_what_had_no_answer_yet_when_the_power_went_was_not_heard(laid: LaidOut) -> None:
    remember(laid, counting())
    with running(laid) as hands:
        hands.say(SignInAsked(OFFICER, PIN))
        number = hands.say_last(Scanned(CODE, source="serial"))
    vault, opener = laid.opener()
    with Journal.open(laid.store / "journal.sqlite", device="handheld-1", opener=opener) as journal:
        memory, mark = without_mark(journal.lane_state() or b"")
    vault.close()
    assert read(memory)[0].batch.waiting[0].text == CODE
    assert mark == Mark(RUN, number - 1)


def test_g11_half_a_character_is_refused_before_anything_is_looked_up(laid: LaidOut) -> None:
    core = Core(laid.config(), laid.config_path, SystemClock())
    out, lines = io.StringIO(), io.StringIO('{"n": 1, "event": {"is": "Scanned", "text": "\\ud800"}}\n')
    terminal = Terminal(core, RUN, lines, out)
    terminal.start()
    until_s = time.monotonic() + PATIENCE_S
    while "refused" not in out.getvalue() and time.monotonic() < until_s:
        time.sleep(0.01)
    assert out.getvalue().startswith('{"refused": ')


def test_s10_a_clock_set_back_after_a_restart_lets_nobody_in_whose_offline_time_was_over(
    laid: LaidOut,
) -> None:
    for hours in (0.0, 71.0, 73.0, 0.0):
        with running(laid, hours) as hands:
            hands.say(SignInAsked(OFFICER, PIN))
    told = [type(each).__name__ for each in facts(laid) if isinstance(each, OfficerSignedIn | SignInRefused)]
    assert told == ["OfficerSignedIn", "OfficerSignedIn", "SignInRefused", "SignInRefused"]
