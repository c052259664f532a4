"""Recordings: every entry and what it asked for, whole lines, bounded, and never a reason to stop."""

from __future__ import annotations

import gzip
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.runtime.clock import Clock
from edge.runtime.inbox import Entry, Inbox
from edge.runtime.loop import FAILED_EFFECTS, EffectFailed, Loop
from edge.runtime.recording import Began, Recorded, Recording, read_recording

State = tuple[str, ...]


class HandClock:
    def __init__(self, at_s: float = 100.0) -> None:
        self.at_s = at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def utc_text(self) -> str:
        return "2025-03-01T08:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return -1


class Letters:
    """Events and effects are strings already; `quiet` ones are not for a recording."""

    def __init__(self) -> None:
        self.now: State = ()

    def run(self) -> Any:
        return "the first word"

    def told(self, at_s: float, event: str) -> Any | None:
        if event == "no form":
            raise TypeError("no form for it")
        return None if event.startswith("quiet") else event

    def asked(self, state: State, effects: Sequence[str]) -> dict[str, Any]:
        self.now = state
        return {"asked": list(effects)} if effects else {}

    def state(self) -> Any:
        return list(self.now)


def recording(path: Path, *, most_bytes: int = 64_000_000) -> Recording[State, str, str]:
    clock: Clock = HandClock()
    return Recording(path, Letters(), clock, most_bytes=most_bytes)


def told(path: Path) -> list[tuple[float, str, Any, Any]]:
    return [(e.at_s, e.source, e.event, e.asked.get("asked", [])) for e in entries(path)]


def entries(path: Path) -> list[Recorded]:
    return [each for each in read_recording(path) if isinstance(each, Recorded)]


def write(made: Recording[State, str, str], *events: str, at_s: float = 1.0) -> None:
    for number, event in enumerate(events):
        made.took(Entry(at_s + number, "loops", event, at_s + number))
        made.asked((event,), [f"answer to {event}"])


def collecting(answers: dict[str, list[str]]) -> Callable[[State, float, str], tuple[State, list[str]]]:
    def step(state: State, at_s: float, event: str) -> tuple[State, list[str]]:
        return (*state, f"{at_s:g} {event}"), answers.get(event, [])

    return step


def loop_of(
    inbox: Inbox[str],
    step: Callable[[State, float, str], tuple[State, list[str]]],
    made: Recording[State, str, str],
    failing: frozenset[str] = frozenset(),
) -> Loop[State, str, str]:
    def perform(effect: str) -> None:
        if effect in failing:
            raise EffectFailed(f"no {effect}")

    return Loop(
        inbox,
        (),
        step,
        perform,
        on_failed=lambda effect, why: f"failed {effect}: {why}",
        make_safe=lambda: None,
        recorder=made,
    )


def inbox_at(clock: HandClock) -> Inbox[str]:
    return Inbox(clock, on_timer=lambda key: f"timer {key}", on_lost=lambda s, n: f"lost {n} of {s}")


def test_every_entry_is_recorded_with_what_it_asked_for_failures_included(tmp_path: Path) -> None:
    clock = HandClock()
    inbox = inbox_at(clock)
    made = recording(tmp_path / "inbox.jsonl")
    loop = loop_of(inbox, collecting({"timer 放行": ["record", "raise"]}), made, frozenset({"record"}))
    inbox.wake_after("放行", 2.0)
    clock.at_s = 103.0
    inbox.put("camera", "豫A12345", seen_s=102.5)
    loop.run_waiting()
    made.close()
    assert told(tmp_path / "inbox.jsonl") == [
        (102.0, "timers", "timer 放行", ["record", "raise"]),
        (102.0, FAILED_EFFECTS, "failed record: no record", []),
        (102.5, "camera", "豫A12345", []),
    ]
    assert made.unrecorded == 0


def test_it_begins_with_what_the_run_began_with(tmp_path: Path) -> None:
    made = recording(tmp_path / "inbox.jsonl")
    write(made, "truck")
    made.close()
    (began, _) = read_recording(tmp_path / "inbox.jsonl")
    assert began == Began(1, "2025-03-01T08:00:00.000000Z", "boot", 100.0, "the first word")


def test_an_entry_is_written_before_it_is_stepped_and_its_effects_before_they_are_performed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inbox.jsonl"
    seen: list[int] = []

    def step(state: State, at_s: float, event: str) -> tuple[State, list[str]]:
        seen.append(len(path.read_bytes().splitlines()))
        return state, ["raise"]

    inbox = inbox_at(HandClock())
    made = recording(path)
    loop = loop_of(inbox, step, made)
    loop._perform = lambda effect: seen.append(len(path.read_bytes().splitlines()))
    inbox.put("loops", "truck")
    loop.run_waiting()
    made.close()
    assert seen == [2, 3]


def test_an_event_said_again_is_kept_in_a_few_bytes_and_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    made = recording(path)
    long = "x" * 500
    for number in range(100):
        for source in ("io", "scale"):
            made.took(Entry(float(number), source, f"{source} {long}", float(number)))
            made.asked((), [])
    made.close()
    assert path.stat().st_size < 200 * 60 + 1_500
    assert [(e.source, e.event) for e in entries(path)] == [
        (source, f"{source} {long}") for _ in range(100) for source in ("io", "scale")
    ]


def test_said_again_means_by_the_same_source(tmp_path: Path) -> None:
    made = recording(tmp_path / "inbox.jsonl")
    said = [("io", "a"), ("scale", "b"), ("io", "b"), ("scale", "b"), ("io", "b")]
    for number, (source, event) in enumerate(said):
        made.took(Entry(float(number), source, event, float(number)))
        made.asked((), [])
    made.close()
    assert [(e.source, e.event) for e in entries(tmp_path / "inbox.jsonl")] == said
    lines = (tmp_path / "inbox.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    assert ["same" in json.loads(line) for line in lines] == [False, False, False, True, True]


def test_when_it_was_seen_is_kept_where_it_is_not_when_it_was_taken(tmp_path: Path) -> None:
    made = recording(tmp_path / "inbox.jsonl")
    made.took(Entry(5.0, "loops", "late", 4.25))
    made.took(Entry(6.0, "loops", "now", 6.0))
    made.close()
    assert [e.seen_s for e in entries(tmp_path / "inbox.jsonl")] == [4.25, 6.0]


def test_what_is_no_part_of_it_leaves_no_line_and_no_effects(tmp_path: Path) -> None:
    made = recording(tmp_path / "inbox.jsonl")
    write(made, "truck", "quiet house-keeping", "plate")
    made.close()
    assert [e.event for e in entries(tmp_path / "inbox.jsonl")] == ["truck", "plate"]


@pytest.mark.parametrize("cut", range(1, 100, 7))
def test_a_line_cut_off_by_a_kill_is_left_out_and_the_next_run_is_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "inbox.jsonl"
    first = recording(path)
    write(first, "whole", "cut")
    first.close()
    path.write_bytes(path.read_bytes()[:-cut])
    kept = [e.event for e in entries(path)]
    assert kept in (["whole", "cut"], ["whole"])
    second = recording(path)
    write(second, "after", at_s=9.0)
    second.close()
    again = entries(path)
    assert [e.event for e in again] == [*kept, "after"]
    assert [e.last for e in again] == [False] * (len(kept) - 1) + [True, True]
    assert again[-1].asked["asked"] == ["answer to after"]


def test_the_last_entry_of_a_killed_run_says_that_its_effects_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    made = recording(path)
    write(made, "truck")
    made.took(Entry(2.0, "loops", "the one it hung on", 2.0))
    made.close()
    last = entries(path)[-1]
    assert (last.event, last.asked, last.last) == ("the one it hung on", {}, True)


def test_a_line_spoilt_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    made = recording(path)
    write(made, "one", "two")
    made.close()
    path.write_bytes(path.read_bytes().replace(b'"one"}', b'"one"'))
    with pytest.raises(ValueError, match="line 2: expected an entry"):
        list(read_recording(path))


@pytest.mark.parametrize("text", [b"hello\n", b'{"at_s": 1.0}\n', b"\x00\xff\n", b"[1]\n", b"{}\n"])
def test_what_is_no_recording_is_refused_by_its_first_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "inbox.jsonl"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="line 1: expected the beginning of a recording"):
        list(read_recording(path))


def test_a_full_recording_is_turned_over_goes_on_from_its_state_and_is_bounded(tmp_path: Path) -> None:
    path, older_path = tmp_path / "inbox.jsonl", tmp_path / "inbox.jsonl.1"
    made = recording(path, most_bytes=2_000)
    for number in range(200):
        write(made, f"event {number}", at_s=float(number))
    made.close()
    older, newer = entries(older_path), entries(path)
    last = int(older[-1].event.split()[1])
    assert [e.at_s for e in [*older, *newer]] == [float(n) for n in range(int(older[0].at_s), 200)]
    assert max(path.stat().st_size, older_path.stat().st_size) < 2_300
    (goes_on, *_) = read_recording(path)
    assert isinstance(goes_on, Began)
    assert (goes_on.run, goes_on.state) == (None, [f"event {last}"])


def test_what_is_said_again_in_the_next_file_is_whole_there(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    made = recording(path, most_bytes=1_000)
    for number in range(200):
        write(made, "the same", at_s=float(number))
    made.close()
    assert {e.event for e in entries(path)} == {"the same"}
    assert {e.event for e in entries(tmp_path / "inbox.jsonl.1")} == {"the same"}


def test_a_packed_recording_is_read_as_it_is(tmp_path: Path) -> None:
    path, packed = tmp_path / "inbox.jsonl", tmp_path / "inbox.jsonl.gz"
    made = recording(path)
    write(made, "one", "two")
    made.close()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_recording(packed)) == list(read_recording(path))


def test_it_is_closed_to_other_users(tmp_path: Path) -> None:
    made = recording(tmp_path / "inbox.jsonl")
    made.close()
    assert stat.S_IMODE((tmp_path / "inbox.jsonl").stat().st_mode) == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    done: list[str] = []
    inbox = inbox_at(HandClock())
    made = recording(Path("/dev/full"))
    loop = loop_of(inbox, collecting({"truck": ["raise"]}), made)
    loop._perform = done.append
    inbox.put("loops", "truck")
    loop.run_waiting()
    assert done == ["raise"]
    assert made.unrecorded == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("reader", [False, True], ids=["nobody there", "nobody reads"])
def test_a_pipe_nobody_reads_makes_nobody_wait(tmp_path: Path, reader: bool) -> None:
    pipe = tmp_path / "inbox.jsonl"
    os.mkfifo(pipe)
    ear = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if reader else -1
    began_s = time.monotonic()
    made = recording(pipe)
    for number in range(300):
        write(made, f"{number} " + "x" * 1_000, at_s=float(number))
    assert time.monotonic() - began_s < 5.0
    assert made.unrecorded > 0
    made.close()
    if reader:
        os.close(ear)


def test_an_event_that_cannot_be_written_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    done: list[str] = []
    inbox = inbox_at(HandClock())
    made = recording(tmp_path / "inbox.jsonl")
    loop = loop_of(inbox, collecting({"no form": ["raise"]}), made)
    loop._perform = done.append
    inbox.put("loops", "no form")
    loop.run_waiting()
    made.close()
    assert (done, made.unrecorded) == (["raise"], 1)
    assert entries(tmp_path / "inbox.jsonl") == []


def test_every_line_is_json_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    made = recording(path)
    write(made, "one", "one", "豫A12345")
    made.close()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [sorted(line) for line in lines[1:3]] == [["at_s", "event", "source"], ["asked"]]
    assert lines[3]["same"] is True
