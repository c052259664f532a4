"""Core and glass: two halves, one socket, nothing lost when the system ends either of them."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.handheld.effects import Sound, TakePhoto, Tone
from edge.handheld.events import Paused, Scanned, SignInAsked
from edge.handheld.joint.codec import Codec, NoSuchMessage
from edge.handheld.joint.core_end import CoreEnd
from edge.handheld.joint.glass_end import MOST_UNSAID, CoreGone, CoreThere, GlassEnd
from edge.handheld.joint.marks import Mark, with_mark, without_mark
from edge.handheld.joint.messages import Asked, Fetched, Said, Shown
from edge.handheld.joint.place import find_place, say_place
from edge.handheld.joint.wire import MAGIC, MOST_FRAME_BYTES, Cutter, NotOurs, Seal, greeting
from edge.runtime.plain import NotThisShape, plain, value_of

TOKEN = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    picture: bytes = b""


CODEC = Codec(events=Scanned | SignInAsked | Paused, views=Page, effects=Sound | TakePhoto)


def wait_until(said: Callable[[], object], *, within_s: float = 10.0) -> None:
    until_s = time.monotonic() + within_s
    while not said():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.005)


@dataclass
class Core:
    """What a program does with its end: takes, steps when it likes, says done."""

    folder: Path
    done: Mark | None = None
    kept: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.taken: list[tuple[Mark, Any]] = []
        self.glass: list[bool] = []
        self.at_once = True
        self.end = CoreEnd(
            self.folder,
            CODEC,
            version="1",
            done=self.done,
            heard=self._heard,
            fetch=self.kept.get,
            glass_changed=self.glass.append,
        )
        self.end.start()

    def _heard(self, mark: Mark, event: Any) -> None:
        self.taken.append((mark, event))
        if self.at_once:
            self.end.done(mark)

    @property
    def events(self) -> list[Any]:
        return [event for _, event in self.taken]


class Glass:
    def __init__(self, folder: Path, version: str = "1") -> None:
        self.told: list[Any] = []
        self.end = GlassEnd(folder, CODEC, version=version, told=self.told.append)
        self.end.start()

    def saw(self, kind: type) -> list[Any]:
        return [each for each in self.told if isinstance(each, kind)]


@contextmanager
def halves(folder: Path) -> Iterator[tuple[Core, Glass]]:
    core = Core(folder)
    glass = Glass(folder)
    try:
        yield core, glass
    finally:
        glass.end.stop()
        core.end.stop("the test is over")


def test_what_is_touched_arrives_and_what_is_shown_is_seen(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        core.end.show(Page("sign in"))
        assert glass.end.say(SignInAsked("1001", "2468"))
        assert glass.end.say(Scanned("SF1234567890123", "code128", "camera"))
        wait_until(lambda: len(core.taken) == 2 and glass.end.waiting == 0)
        assert core.events == [SignInAsked("1001", "2468"), Scanned("SF1234567890123", "code128", "camera")]
        wait_until(lambda: glass.saw(Shown))
        assert glass.saw(Shown)[-1] == Shown(Page("sign in"))


def test_tones_and_pictures_are_asked_of_the_glass_that_is_there(tmp_path: Path) -> None:
    core = Core(tmp_path)
    assert not core.end.ask(Sound(Tone.HOLD))
    glass = Glass(tmp_path)
    wait_until(lambda: core.end.has_glass)
    assert core.end.ask(TakePhoto(7, "SF1"))
    wait_until(lambda: glass.saw(Asked))
    assert glass.saw(Asked) == [Asked(TakePhoto(7, "SF1"))]
    glass.end.stop()
    wait_until(lambda: not core.end.has_glass)
    assert core.glass == [True, False]
    core.end.stop("over")


def test_the_newest_view_is_shown_to_a_glass_that_comes_later(tmp_path: Path) -> None:
    core = Core(tmp_path)
    core.end.show(Page("old"))
    core.end.show(Page("new", b"\x00\xff"))
    glass = Glass(tmp_path)
    wait_until(lambda: glass.saw(Shown))
    assert glass.saw(Shown) == [Shown(Page("new", b"\x00\xff"))]
    glass.end.stop()
    core.end.stop("over")


def test_a_picture_is_fetched_and_a_missing_one_is_said(tmp_path: Path) -> None:
    core = Core(tmp_path, kept={"aa": b"\xff\xd8jpeg"})
    glass = Glass(tmp_path)
    wait_until(lambda: glass.saw(CoreThere))
    wait_until(lambda: glass.end.fetch("aa") and glass.saw(Fetched))
    assert glass.saw(Fetched)[0].content == b"\xff\xd8jpeg"
    number = glass.end.fetch("bb")
    wait_until(lambda: glass.saw(Fetched)[-1].number == number)
    assert glass.saw(Fetched)[-1] == Fetched(number, None, "not there")
    glass.end.stop()
    core.end.stop("over")


def test_what_was_said_while_no_core_lived_is_stepped_by_the_next(tmp_path: Path) -> None:
    glass = Glass(tmp_path)
    assert glass.end.say(Scanned("A"))
    assert glass.end.say(Scanned("B"))
    core = Core(tmp_path)
    wait_until(lambda: glass.end.waiting == 0)
    assert core.events == [Scanned("A"), Scanned("B")]
    glass.end.stop()
    core.end.stop("over")


def test_a_core_killed_before_it_was_done_hears_the_event_again(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        core.at_once = False
        glass.end.say(Scanned("A"))
        glass.end.say(Scanned("B"))
        wait_until(lambda: core.taken)
        kill(core)
        again = Core(tmp_path, done=None)
        wait_until(lambda: glass.end.waiting == 0)
        assert again.events == [Scanned("A"), Scanned("B")]
        again.end.stop("over")


def test_a_core_killed_between_its_commit_and_its_word_does_not_step_twice(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        core.at_once = False
        glass.end.say(Scanned("A"))
        glass.end.say(Scanned("B"))
        wait_until(lambda: core.taken)
        in_the_journal = with_mark(b'{"screen":"home"}', core.taken[0][0])
        kill(core)
        memory, mark = without_mark(in_the_journal)
        again = Core(tmp_path, done=mark)
        wait_until(lambda: glass.end.waiting == 0)
        assert memory == b'{"screen":"home"}'
        assert again.events == [Scanned("B")]
        again.end.stop("over")


def test_numbers_go_on_where_a_core_was_restarted_after_events_without_a_commit(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        for _ in range(3):
            glass.end.say(Paused())
        wait_until(lambda: glass.end.waiting == 0)
        kill(core)
        again = Core(tmp_path, done=Mark(core.taken[0][0].run, 1))
        glass.end.say(Scanned("C"))
        wait_until(lambda: glass.end.waiting == 0)
        assert again.events == [Scanned("C")]
        again.end.stop("over")


def test_one_event_is_in_hand_at_a_time(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        core.at_once = False
        for text in "ABC":
            glass.end.say(Scanned(text))
        for count in (1, 2, 3):
            wait_until(partial(has_taken, core, count))
            time.sleep(0.05)
            assert len(core.taken) == count
            core.end.done(core.taken[-1][0])
        wait_until(lambda: glass.end.waiting == 0)


def test_a_line_that_broke_says_again_what_the_same_core_has_in_hand_and_it_is_taken_once(
    tmp_path: Path,
) -> None:
    with halves(tmp_path) as (core, glass):
        core.at_once = False
        for text in "AB":
            glass.end.say(Scanned(text))
        wait_until(lambda: core.taken)
        for line in list(core.end._lines):
            line.close()
        wait_until(lambda: len(glass.saw(CoreThere)) == 2)
        core.at_once = True
        time.sleep(0.2)
        core.end.done(core.taken[0][0])
        wait_until(lambda: glass.end.waiting == 0)
        assert len(glass.saw(CoreThere)) == 2
        assert core.events == [Scanned("A"), Scanned("B")]


def test_a_glass_started_again_begins_anew_and_the_old_one_is_gone(tmp_path: Path) -> None:
    with halves(tmp_path) as (core, glass):
        glass.end.say(Scanned("A"))
        wait_until(lambda: glass.end.waiting == 0)
        second = Glass(tmp_path)
        wait_until(lambda: second.saw(CoreThere))
        second.end.say(Scanned("B"))
        wait_until(lambda: second.end.waiting == 0)
        assert core.events == [Scanned("A"), Scanned("B")]
        assert core.taken[0][0].run != core.taken[1][0].run
        second.end.stop()


def test_too_much_waiting_for_a_core_is_refused_aloud(tmp_path: Path) -> None:
    glass = Glass(tmp_path)
    said = [glass.end.say(Scanned(str(n))) for n in range(MOST_UNSAID + 1)]
    assert said == [True] * MOST_UNSAID + [False]
    glass.end.stop()


def test_a_core_that_ends_by_itself_says_that_nobody_comes_after_it(tmp_path: Path) -> None:
    core = Core(tmp_path)
    glass = Glass(tmp_path)
    wait_until(lambda: glass.saw(CoreThere))
    core.end.stop("wiped by the centre")
    wait_until(lambda: glass.saw(CoreGone))
    assert glass.saw(CoreGone) == [CoreGone("wiped by the centre", for_good=True)]
    assert find_place(tmp_path) is None
    glass.end.stop()


def test_halves_of_two_versions_part(tmp_path: Path) -> None:
    core = Core(tmp_path)
    glass = Glass(tmp_path, version="2")
    wait_until(lambda: glass.saw(CoreGone))
    assert glass.saw(CoreGone) == [CoreGone("version 1 here, 2 there", for_good=True)]
    assert core.glass == []
    glass.end.stop()
    core.end.stop("over")


# --- strangers ---


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n", MAGIC + bytes(32) + b"\x00\x00\x00\x20" + bytes(32), MAGIC, b""],
    ids=["another program", "without the token", "half a greeting", "nothing"],
)
def test_another_app_on_the_loopback_is_hung_up_and_the_glass_stays(tmp_path: Path, sent: bytes) -> None:
    with halves(tmp_path) as (core, glass):
        wait_until(lambda: glass.saw(CoreThere))
        place = find_place(tmp_path)
        assert place is not None
        with socket.create_connection(("127.0.0.1", place[0]), 5) as stranger:
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            stranger.settimeout(10)
            while stranger.recv(4096):
                pass
        glass.end.say(Scanned("A"))
        wait_until(lambda: glass.end.waiting == 0)
        assert core.events == [Scanned("A")]
        assert core.glass == [True]


def test_a_stranger_who_promises_megabytes_is_hung_up_before_they_come() -> None:
    cutter = Cutter()
    with pytest.raises(NotOurs, match="a frame of 1000000 bytes"):
        cutter.feed(greeting(bytes(32)) + (1_000_000).to_bytes(4, "big"))


def test_a_foreign_program_on_the_port_of_a_dead_core_learns_no_pin(tmp_path: Path) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:
        say_place(tmp_path, server.getsockname()[1], TOKEN)

        def pretend() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(2)
                connection.sendall(greeting(bytes(32)) + b"\x00\x00\x00\x20" + bytes(32))
                while data := connection.recv(4096):
                    heard.extend(data)

        pretending = threading.Thread(target=pretend, daemon=True)
        pretending.start()
        glass = Glass(tmp_path)
        glass.end.say(SignInAsked("1001", "24681357"))
        pretending.join(10)
        glass.end.stop()
    assert heard.startswith(MAGIC)
    assert b"24681357" not in heard
    assert b"1001" not in heard
    assert glass.told == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_token_file_is_for_this_user_alone(tmp_path: Path) -> None:
    say_place(tmp_path, 4242, TOKEN)
    assert stat.S_IMODE((tmp_path / "joint.json").stat().st_mode) == 0o600
    assert find_place(tmp_path) == (4242, TOKEN)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"port":1,"token":"00"}', b'{"port":0,"token":"zz"}', b"\xff"]
)
def test_a_spoiled_token_file_is_no_core(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "joint.json").write_bytes(content)
    assert find_place(tmp_path) is None


# --- bytes ---


def seals() -> tuple[Seal, Seal]:
    one, other = bytes(32), bytes([1]) * 32
    return (
        Seal(TOKEN, core_random=one, glass_random=other, is_core=True),
        Seal(TOKEN, core_random=one, glass_random=other, is_core=False),
    )


@settings(max_examples=50)
@given(messages=st.lists(st.binary(max_size=200), max_size=6), cuts=st.lists(st.integers(1, 40), max_size=40))
def test_frames_survive_any_slicing(messages: list[bytes], cuts: list[int]) -> None:
    core, glass = seals()
    stream = greeting(bytes(32)) + b"".join(core.frame(each) for each in messages)
    cutter = Cutter()
    heard: list[bytes] = []
    for size in [*cuts, len(stream)]:
        heard += [glass.message(frame) for frame in cutter.feed(stream[:size])]
        stream = stream[size:]
    assert heard == messages
    assert cutter.other_random == bytes(32)


def test_a_frame_repeated_left_out_or_turned_round_does_not_open() -> None:
    core, glass = seals()
    first, second = core.frame(b"one")[4:], core.frame(b"two")[4:]
    with pytest.raises(NotOurs):
        glass.message(second)
    assert glass.message(first) == b"one"
    with pytest.raises(NotOurs):
        glass.message(first)
    with pytest.raises(NotOurs):
        core.message(second)


def test_a_message_that_is_too_long_is_refused_before_it_is_sealed() -> None:
    core, glass = seals()
    with pytest.raises(ValueError, match="at most"):
        core.frame(bytes(MOST_FRAME_BYTES))
    assert glass.message(core.frame(b"still whole")[4:]) == b"still whole"


def test_only_what_was_agreed_travels() -> None:
    content = CODEC.encode(Said(1, Sound(Tone.HOLD)))
    with pytest.raises(NoSuchMessage, match="expected one of Scanned, SignInAsked, Paused, got Sound"):
        CODEC.upward(content)
    assert CODEC.upward(CODEC.encode(Said(1, Scanned("A")))) == Said(1, Scanned("A"))


@settings(max_examples=40)
@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused(content: bytes) -> None:
    with pytest.raises(NoSuchMessage):
        CODEC.upward(content)


# --- marks ---


@settings(max_examples=20)
@given(memory=st.sampled_from([b"{}", b'{"a":1}', b'{"marked":1}', b"[]"]), number=st.integers(1, 2**53))
def test_a_memory_comes_back_with_its_mark(memory: bytes, number: int) -> None:
    assert without_mark(with_mark(memory, Mark("ab", number))) == (memory, Mark("ab", number))
    assert without_mark(with_mark(memory, None)) == (memory, None)


def has_taken(core: Core, count: int) -> bool:
    return len(core.taken) == count


def kill(core: Core) -> None:
    """As the system does it: the sockets close, nothing is said."""
    for line in list(core.end._lines):
        line.close()
    server, core.end._server = core.end._server, None
    assert server is not None
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.mark.system
def test_a_core_in_another_process_killed_with_everything_it_held_costs_nothing(tmp_path: Path) -> None:
    """Kill -9 of a real process, three times, while events are said; it writes down what it stepped."""
    program = Path(__file__).parents[1] / "system" / "handheld_core_process.py"
    glass = Glass(tmp_path)
    said = [f"P{number}" for number in range(160)]
    for start in range(0, 120, 40):
        for text in said[start : start + 40]:
            glass.end.say(Scanned(text))
        with subprocess.Popen([sys.executable, str(program), str(tmp_path)]) as core:
            wait_until(partial(fewer_wait, glass, 25), within_s=20)
            core.kill()
    for text in said[120:]:
        glass.end.say(Scanned(text))
    with subprocess.Popen([sys.executable, str(program), str(tmp_path)]) as core:
        wait_until(partial(fewer_wait, glass, 1), within_s=20)
        core.kill()
    glass.end.stop()
    assert json.loads((tmp_path / "journal.json").read_text())["stepped"] == said


def fewer_wait(glass: Glass, count: int) -> bool:
    return glass.end.waiting < count


def test_bytes_travel_as_text_and_come_back() -> None:
    assert value_of(bytes, plain(b"\x00\xffjpeg")) == b"\x00\xffjpeg"
    with pytest.raises(NotThisShape, match="base64"):
        value_of(bytes, "no base64!")
