"""The local voice: a program on the PATH that may hang, fail or be missing, and a lane that never waits."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.gate.speaking import MOST_CHARACTERS, Speaker, VoicePart, missing

FAKE = """#!{python}
import pathlib, sys, time
text = sys.stdin.read()
seconds = {seconds}
with open({log!r}, "a", encoding="utf-8") as log:
    log.write("begin " + " ".join(sys.argv[1:]) + " | " + text + "\\n")
time.sleep(seconds)
with open({log!r}, "a", encoding="utf-8") as log:
    log.write("end " + text + "\\n")
sys.exit({code})
"""


class Mouth:
    """A folder on the PATH with a program of the wanted behaviour, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "said"

    def install(self, *, seconds: float = 0.0, code: int = 0, name: str = "espeak-ng") -> Path:
        program = self._folder / name
        program.write_text(
            FAKE.format(python=sys.executable, seconds=seconds, log=str(self._log), code=code),
            encoding="utf-8",
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    def said(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def begun(self) -> list[str]:
        return [line.partition(" | ")[2] for line in self.said() if line.startswith("begin ")]

    def ended(self) -> list[str]:
        return [line.removeprefix("end ") for line in self.said() if line.startswith("end ")]


@pytest.fixture
def mouth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mouth:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Mouth(tmp_path)


@pytest.fixture
def speaker_of() -> Iterator[Callable[..., Speaker]]:
    made: list[Speaker] = []

    def make(**settings: object) -> Speaker:
        part: Callable[..., VoicePart] = VoicePart
        made.append(Speaker(part(**settings)))
        made[-1].start()
        return made[-1]

    yield make
    assert [speaker.stop(5.0) for speaker in made] == [True] * len(made)


def until(holds: Callable[[], bool], within_s: float = 15.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.01)
    return holds()


def test_both_languages_are_spoken_one_after_the_other(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    mouth.install()
    speaker = speaker_of(words_per_minute=140, volume=90)
    speaker.say("一路平安", "Have a good trip")
    assert until(lambda: speaker.spoken == 2)
    assert mouth.said() == [
        "begin -v cmn -s 140 -a 90 --stdin | 一路平安", "end 一路平安",
        "begin -v en -s 140 -a 90 --stdin | Have a good trip", "end Have a good trip",
    ]  # fmt: skip
    assert (speaker.failed, speaker.trouble) == (0, "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"voice_en": ""}, ["请停车"]), ({"voice_zh": ""}, ["stop"]), ({"voice_zh": "", "voice_en": ""}, [])],
)
def test_a_language_without_a_voice_is_left_out(
    mouth: Mouth, speaker_of: Callable[..., Speaker], settings: dict[str, object], said: list[str]
) -> None:
    mouth.install()
    speaker = speaker_of(**settings)
    speaker.say("请停车", "stop")
    assert until(lambda: speaker.spoken == len(said))
    assert mouth.ended() == said


def test_saying_never_waits_and_the_newest_text_is_the_one_spoken_next(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    mouth.install(seconds=0.8)
    speaker = speaker_of(interrupt=False)
    speaker.say("one", "")
    assert until(lambda: mouth.begun() == ["one"])
    began_s = time.monotonic()
    for number in range(500):
        speaker.say(f"text {number}", "")
    took_s = time.monotonic() - began_s
    assert until(lambda: speaker.spoken == 2)
    assert mouth.ended() == ["one", "text 499"]
    assert speaker.replaced == 499
    assert took_s < 0.5


def test_a_newer_text_ends_the_one_being_spoken(mouth: Mouth, speaker_of: Callable[..., Speaker]) -> None:
    mouth.install(seconds=30.0)
    speaker = speaker_of()
    speaker.say("slow", "slow too")
    assert until(lambda: mouth.begun() == ["slow"])
    mouth.install()
    speaker.say("quick", "")
    assert until(lambda: speaker.spoken == 1)
    assert (mouth.begun(), mouth.ended()) == (["slow", "quick"], ["quick"])
    assert (speaker.failed, speaker.trouble) == (0, "")


def test_a_program_that_hangs_is_ended_and_told(mouth: Mouth, speaker_of: Callable[..., Speaker]) -> None:
    mouth.install(seconds=60.0)
    speaker = speaker_of(longest_s=0.5)
    speaker.say("stuck", "never reached")
    assert until(lambda: speaker.failed == 1)
    assert speaker.trouble == "espeak-ng did not end in 0.5 s"
    mouth.install()
    speaker.say("well again", "")
    assert until(lambda: speaker.spoken == 1)
    assert speaker.trouble == ""
    assert "never reached" not in mouth.begun()


def test_a_program_that_fails_is_told_and_tried_again(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    mouth.install(code=3)
    speaker = speaker_of()
    speaker.say("a", "b")
    assert until(lambda: speaker.failed == 2)
    assert "ended with 3" in speaker.trouble
    mouth.install()
    speaker.say("c", "")
    assert until(lambda: speaker.spoken == 1)


def test_a_missing_program_is_told_and_found_when_it_is_installed(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    speaker = speaker_of()
    speaker.say("unheard", "")
    assert until(lambda: speaker.failed == 1)
    assert speaker.trouble == "espeak-ng is not installed"
    mouth.install()
    speaker.say("heard", "")
    assert until(lambda: speaker.spoken == 1)


def test_a_program_that_cannot_be_run_is_told(mouth: Mouth, speaker_of: Callable[..., Speaker]) -> None:
    program = mouth.install()
    program.write_bytes(b"#!/nowhere/at-all\n")
    speaker = speaker_of()
    speaker.say("x", "")
    assert until(lambda: speaker.failed == 1)
    assert speaker.trouble != ""


def test_a_program_that_does_not_read_what_it_is_given_breaks_nothing(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    program = mouth.install()
    program.write_text(f"#!{sys.executable}\n", encoding="utf-8")
    speaker = speaker_of()
    speaker.say("x" * MOST_CHARACTERS, "")
    assert until(lambda: speaker.spoken + speaker.failed == 1)


def test_a_text_is_one_line_of_bounded_length_and_never_an_option(
    mouth: Mouth, speaker_of: Callable[..., Speaker]
) -> None:
    mouth.install()
    speaker = speaker_of(voice_en="")
    speaker.say("--version\r\n\x1b[2J " + "放" * 900, "")
    assert until(lambda: speaker.spoken == 1)
    (said,) = mouth.ended()
    assert said.startswith("--version [2J 放")
    assert len(said) == MOST_CHARACTERS
    assert "--version" not in mouth.said()[0].partition(" | ")[0]


@pytest.mark.parametrize("texts", [("", ""), ("\n\t ", "\x00")])
def test_nothing_to_say_is_not_said(
    mouth: Mouth, speaker_of: Callable[..., Speaker], texts: tuple[str, str]
) -> None:
    mouth.install()
    speaker = speaker_of()
    speaker.say(*texts)
    speaker.say("then", "")
    assert until(lambda: speaker.spoken == 1)
    assert mouth.begun() == ["then"]


def test_stopping_ends_what_is_spoken_and_leaves_no_thread_or_process(mouth: Mouth) -> None:
    mouth.install(seconds=60.0)
    speaker = Speaker(VoicePart())
    speaker.start()
    speaker.say("long", "")
    assert until(lambda: mouth.begun() == ["long"])
    began_s = time.monotonic()
    assert speaker.stop(5.0)
    assert time.monotonic() - began_s < 3.0
    assert [t.name for t in threading.enumerate() if t.name == "voice"] == []
    speaker.say("after the end", "")
    assert mouth.begun() == ["long"]


def test_a_speaker_never_started_stops_too() -> None:
    assert Speaker(VoicePart()).stop()


def test_many_threads_may_speak_at_once(mouth: Mouth, speaker_of: Callable[..., Speaker]) -> None:
    mouth.install()
    speaker = speaker_of(interrupt=False, voice_en="")

    def talk() -> None:
        for _ in range(200):
            speaker.say("x", "")

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert until(lambda: speaker.spoken + speaker.replaced == 1600)
    assert speaker.failed == 0


def test_the_doctor_is_told_why_nothing_will_be_heard(mouth: Mouth) -> None:
    absent = missing(VoicePart())
    mouth.install()
    present = missing(VoicePart())
    by_path = missing(VoicePart(program=str(mouth.install(name="other"))))
    mute = missing(VoicePart(voice_zh="", voice_en=""))
    assert absent is not None
    assert "espeak-ng is not installed" in absent
    assert (present, by_path) == (None, None)
    assert mute is not None
    assert os.environ["PATH"] != ""
