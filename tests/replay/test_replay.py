"""A recorded inbox played again: the same is the same, a change shows, and nobody can be read out of it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.gate import replaying
from edge.gate.effects import Effect, LowerArm, RaiseArm
from edge.gate.events import (
    CardRead,
    CodeRead,
    Event,
    InputsRead,
    OfficerReleased,
    ReadFailed,
    RecordsFound,
    ReleaseCodeShown,
    ReleaseRefused,
    TimePassed,
    Timer,
)
from edge.gate.lane import Lane, step
from edge.gate.recording import LaneScribe, Woken, scrub_key, woken
from edge.gate.replaying import ReplayRefused, replay
from edge.gate.scrubbing import Scrubber
from edge.runtime.inbox import Entry
from edge.runtime.plain import plain, value_of
from edge.runtime.recording import Began, Recorded, Recording, read_recording
from sync.vocabulary.numbers import ContainerNo, Plate, SlipNo
from sync.vocabulary.records import Binding
from tests.machine.plays import (
    CLEAR,
    FINDINGS,
    HERE,
    MOVING,
    ON_SCALE,
    PLATE,
    SETTINGS,
    SLIP,
    TAG,
    UP,
    Play,
)
from tests.replay.__main__ import GOLDEN

KEY = bytes(range(32))
SECOND = SlipNo("Z4604I260101000000000002")
CARD = "0007654321"
OFFICER = "410133"
BOX = ContainerNo("CSQU3054383")
WHO = (
    *(PLATE, PLATE[:6], TAG, SLIP, SECOND, CARD, BOX, "LGAX3B1234"),
    *(OFFICER, "王师傅", "known driver", "QUJD", "某公司", "4101960001"),
)
"""Everything in the story by which somebody could be told."""


class HandClock:
    def monotonic_s(self) -> float:
        return 0.0

    def utc_text(self) -> str:
        return "2026-11-22T08:00:00.000000Z"

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5


Heard = tuple[float, Event]
"""When, and what."""


def story() -> list[Heard]:
    """Two vehicles: one passes, one is held and released by an officer; with what readers and people say."""
    play, heard = Play(), []
    say = play.say

    def listen(*events: Event, after_s: float = 0.1) -> list[Effect]:
        at_s = play.at_s
        for event in events:
            at_s += after_s
            heard.append((at_s, event))
        return say(*events, after_s=after_s)

    play.say = listen  # type: ignore[method-assign]
    slip = replace_struct(FINDINGS.slips[0], container_nos=(BOX,), card_no=CARD, frame_no="LGAX3B1234")
    found = replace(FINDINGS, slips=(slip,), unknown_slip_nos=(SECOND,))
    play.say(InputsRead(CLEAR), CardRead(CARD), ReadFailed("plate_camera", "not a plate: 豫A1234"))
    play.arrive(findings=found)
    play.granted()
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear()
    play.say(InputsRead(MOVING), InputsRead(CLEAR))
    play.wait(3.0, CLEAR, "0")
    play.say(InputsRead(HERE), CodeRead(SECOND))
    play.read(replace(found, slips=(), by_plate={PLATE: None}, by_tag={TAG: None}))
    play.weigh("20000")
    play.say(InputsRead(ON_SCALE), ReleaseCodeShown("KKR1:" + "QUJD" * 20))
    play.say(ReleaseRefused(2, f"officer {OFFICER} is not on this lane's roster"))
    play.say(InputsRead(ON_SCALE), OfficerReleased(2, OFFICER, "王师傅的车 known driver", 1))
    play.say(InputsRead(MOVING), InputsRead(UP))
    play.under()
    play.clear()
    return heard


def replace_struct(value: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(value, **changes)


Step = Callable[[Lane, float, Event], tuple[Lane, tuple[Effect, ...]]]


def record(
    path: Path,
    heard: Iterable[Heard],
    *,
    scrubber: Scrubber | None,
    most_bytes: int = 64_000_000,
    machine: Step = step,
) -> list[Effect]:
    """As the program does it: the real lane beside the recording. What it asked for."""
    begin = Woken(SETTINGS, 0.0, None, (), None)
    lane, effects = woken(begin)
    asked: list[Effect] = list(effects)
    recording = Recording(
        path, LaneScribe(begin, "0.1.0", scrubber, frozenset({"health"})), HandClock(), most_bytes=most_bytes
    )
    for at_s, event in heard:
        recording.took(Entry(at_s, "x", event, at_s))
        lane, effects = machine(lane, at_s, event)
        recording.asked(lane, effects)
        asked += effects
    recording.close()
    assert recording.unrecorded == 0
    return asked


def recorded_effects(path: Path) -> list[Any]:
    return [each for e in entries(path) for each in e.asked.get("asked", [])]


def entries(path: Path) -> list[Recorded]:
    return [each for each in read_recording(path) if isinstance(each, Recorded)]


# --- the golden recording -----------------------------------------------------------------------------------


def test_the_golden_inbox_gives_the_same_effects() -> None:
    """After a wanted change: look at it with `kakou replay tests/replay/golden/lane-in.jsonl.gz`, then record
    the inbox again with `python -m tests.replay`."""
    played = replay(GOLDEN)
    shown = "\n".join(line for each in played.differences for line in each.diff())
    assert played.same, shown
    assert (played.runs, played.scrubbed, played.left_out, played.otherwise) == (1, True, set(), 0)
    assert played.events > 3_000


def test_the_golden_inbox_has_a_vehicle_that_passed_and_one_that_was_held() -> None:
    asked = json.dumps(recorded_effects(GOLDEN))
    verdicts = set(re.findall(r'"verdict": "(\w+)"', asked))
    assert verdicts >= {"release", "hold"}
    kinds = set(re.findall(r'"is": "(\w+)"', asked))
    assert kinds >= {"RaiseArm", "LowerArm", "VehicleCrossed", "PassageClosed", "LookUp"}


def test_the_golden_inbox_is_small() -> None:
    assert GOLDEN.stat().st_size < 100_000


# --- the same, and not the same -----------------------------------------------------------------------------


@pytest.mark.parametrize("scrubber", [None, Scrubber(KEY)], ids=["as it was", "scrubbed"])
def test_a_recording_played_again_is_the_same(tmp_path: Path, scrubber: Scrubber | None) -> None:
    asked = record(tmp_path / "r.jsonl", story(), scrubber=scrubber)
    played = replay(tmp_path / "r.jsonl")
    assert (played.same, played.runs, played.events, played.effects) == (True, 1, len(story()), len(asked))
    assert played.scrubbed is (scrubber is not None)
    assert sum(isinstance(each, RaiseArm) for each in asked) == 2


def test_unscrubbed_the_effects_are_those_the_lane_asked_for(tmp_path: Path) -> None:
    asked = record(tmp_path / "r.jsonl", story(), scrubber=None)
    (began, *_) = read_recording(tmp_path / "r.jsonl")
    assert isinstance(began, Began)
    assert [*began.run["asked"], *recorded_effects(tmp_path / "r.jsonl")] == plain(asked)


def test_a_recording_turned_over_goes_on_from_its_state(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path, story(), scrubber=Scrubber(KEY), most_bytes=30_000)
    older = replay(tmp_path / "r.jsonl.1")
    newer = replay(path)
    assert (older.same, newer.same) == (True, True)
    assert newer.events > 0
    assert newer.runs == 1


def test_a_recording_cut_off_anywhere_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = tmp_path / "r.jsonl"
    record(whole, story(), scrubber=None)
    data, cut = whole.read_bytes(), tmp_path / "cut.jsonl"
    first = data.index(b"\n", data.index(b"\n") + 1) + 1
    for end in range(first, len(data), 1_999):
        cut.write_bytes(data[:end])
        assert replay(cut).same, end


def changed(lane: Lane, at_s: float, event: Event) -> tuple[Lane, tuple[Effect, ...]]:
    """The same machine, but it never lowers the arm."""
    lane, effects = step(lane, at_s, event)
    return lane, tuple(each for each in effects if not isinstance(each, LowerArm))


def test_a_change_is_shown_at_its_event_with_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    record(path, story(), scrubber=None)
    monkeypatch.setattr(replaying, "step", changed)
    played = replay(path)
    difference, _ = played.differences
    assert (played.same, played.different) == (False, 2)
    assert [each["is"] for each in difference.expected if each not in difference.got] == ["LowerArm"]
    assert difference.event["is"] == "InputsRead"
    lines = list(difference.diff())
    assert "-LowerArm" in lines
    assert [line for line in lines if line.startswith("+")] == []


def test_all_differences_are_counted_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "r.jsonl", story(), scrubber=None)
    monkeypatch.setattr(replaying, "step", lambda lane, at_s, event: (step(lane, at_s, event)[0], ()))
    played = replay(tmp_path / "r.jsonl", most=2)
    assert len(played.differences) == 2
    assert played.different > 5


def test_a_field_that_was_not_there_then_has_its_default_and_is_no_difference(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path, story(), scrubber=None)
    text = path.read_text(encoding="utf-8")
    assert text.count(',"gated":true') > 3
    path.write_text(text.replace(',"gated":true', ""), encoding="utf-8")
    assert replay(path).same


def test_a_field_this_version_does_not_have_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    record(path, story(), scrubber=None)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('{"is":"PlateRead",', '{"is":"PlateRead","mood":"good",'), encoding="utf-8")
    played = replay(path)
    assert (played.same, played.left_out) == (True, {"PlateRead.mood"})


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda text: text.replace('"is":"PlateRead"', '"is":"PlateHeard"'), "expected one of InputsRead"),
        (
            lambda text: text.replace('"program":"gate"', '"program":"xray"'),
            "expected a recording of `kakou gate`",
        ),
        (lambda text: text.replace("豫A12345", "豫"), "expected a vehicle plate"),
        (lambda text: text.splitlines()[0] + "\n", "holds no event"),
        (lambda text: "", "holds no event"),
    ],
)
def test_what_this_version_cannot_read_is_refused_with_its_line(
    tmp_path: Path, spoil: Callable[[str], str], expected: str
) -> None:
    path = tmp_path / "r.jsonl"
    record(path, story(), scrubber=None)
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ReplayRefused, match=re.escape(expected)) as refused:
        replay(path)
    assert str(path) in str(refused.value)


def test_every_event_and_effect_of_the_story_comes_back_as_it_was() -> None:
    asked: list[Effect] = []
    lane, effects = woken(Woken(SETTINGS, 0.0, None, (), None))
    for at_s, event in story():
        assert value_of(Event, json.loads(json.dumps(plain(event)))) == event
        lane, effects = step(lane, at_s, event)
        asked += effects
        assert value_of(Lane, json.loads(json.dumps(plain(lane)))) == lane
    assert [value_of(Effect, json.loads(json.dumps(plain(each)))) for each in asked] == asked


# --- nobody in it -------------------------------------------------------------------------------------------


def test_nothing_of_anybody_is_left_in_a_scrubbed_recording(tmp_path: Path) -> None:
    record(tmp_path / "r.jsonl", story(), scrubber=Scrubber(KEY))
    text = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    assert [each for each in WHO if each in text] == []


def test_what_a_scrubbed_recording_says_is_consistent(tmp_path: Path) -> None:
    """The same vehicle twice is the same stand-in twice, on the slip, the tag and in the ruling."""
    record(tmp_path / "r.jsonl", story(), scrubber=Scrubber(KEY))
    read = [e.event for e in entries(tmp_path / "r.jsonl")]
    plates = [each["plate"] for each in read if each["is"] == "PlateRead"]
    (found,) = [each["findings"] for each in read if each["is"] == "RecordsFound" and each["passage"] == 1]
    ruled = set(
        re.findall(
            r'"plate": "([^"]+)"', json.dumps(recorded_effects(tmp_path / "r.jsonl"), ensure_ascii=False)
        )
    )
    assert len(plates) == 2
    assert {plates[0], found["slips"][0]["plate"], *found["by_plate"]} == {plates[1]}
    assert ruled == {plates[0]}
    assert Plate.parse(plates[0]) is not None


def test_a_recording_made_with_another_key_says_other_names(tmp_path: Path) -> None:
    record(tmp_path / "a.jsonl", story(), scrubber=Scrubber(KEY))
    record(tmp_path / "b.jsonl", story(), scrubber=Scrubber(bytes(32)))
    names = [
        {
            e.event["plate"]
            for e in read_recording(path)
            if isinstance(e, Recorded) and e.event["is"] == "PlateRead"
        }
        for path in (tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    ]
    assert names[0] & names[1] == set()


def test_the_lane_in_a_scrubbed_recording_does_what_the_lane_did(tmp_path: Path) -> None:
    """The twin asks for the same kinds of things at every event, slips in another order included."""
    slips = tuple(
        replace_struct(
            FINDINGS.slips[0], slip_no=SlipNo(f"Z4604I2601010000000000{n:02d}"), binding=Binding.MANY_SLIPS
        )
        for n in range(1, 7)
    )
    draw = random.Random(7)
    for turn in range(20):
        some = tuple(draw.sample(slips, 3))
        heard: list[Heard] = [
            (at_s, replace(e, findings=replace(e.findings, slips=some)) if isinstance(e, RecordsFound) else e)
            for at_s, e in story()
        ]
        path = tmp_path / f"{turn}.jsonl"
        record(path, heard, scrubber=Scrubber(draw.randbytes(32)))
        assert (replay(path).same, replay(path).otherwise) == (True, 0)


def test_a_lane_that_asks_otherwise_than_its_twin_is_told(tmp_path: Path) -> None:
    record(tmp_path / "r.jsonl", story(), scrubber=Scrubber(KEY), machine=changed)
    played = replay(tmp_path / "r.jsonl")
    assert (played.same, played.otherwise) == (True, 2)


def test_house_keeping_is_no_part_of_a_recording(tmp_path: Path) -> None:
    ticks: list[Heard] = [(0.0, TimePassed(Timer("health", 0)))]
    record(tmp_path / "r.jsonl", [*ticks * 3, *story()], scrubber=None)
    assert replay(tmp_path / "r.jsonl").events == len(story())


def test_the_key_is_made_once_closed_to_others_and_anew_when_it_is_gone(tmp_path: Path) -> None:
    first = scrub_key(tmp_path)
    assert (len(first), scrub_key(tmp_path)) == (32, first)
    file = tmp_path / "recording.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("not a key")
    assert scrub_key(tmp_path) not in (first, b"")
    file.unlink()
    assert scrub_key(tmp_path) != first
    assert [each.name for each in tmp_path.iterdir()] == ["recording.key"]


# --- the command --------------------------------------------------------------------------------------------


def say(*args: str | Path) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, ["replay", *(str(arg) for arg in args)])
    return ended.exit_code, ended.stdout, ended.stderr


def test_the_command_says_that_it_is_the_same_and_how_much(tmp_path: Path) -> None:
    asked = record(tmp_path / "r.jsonl", story(), scrubber=None)
    code, out, err = say(tmp_path / "r.jsonl")
    assert (code, err) == (0, "")
    assert out == f"✔ the same: 1 runs, {len(story())} events, {len(asked)} effects\n"
    code, out, _ = say(tmp_path / "r.jsonl", "--json")
    assert (code, json.loads(out)["same"], json.loads(out)["effects"]) == (0, True, len(asked))


def test_the_command_shows_a_difference_and_exits_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "r.jsonl", story(), scrubber=None)
    monkeypatch.setattr(replaying, "step", changed)
    code, out, _ = say(tmp_path / "r.jsonl")
    assert code == 1
    assert "\n-LowerArm\n" in out
    assert "✘ 2 events are answered otherwise" in out
    code, out, _ = say(tmp_path / "r.jsonl", "--json")
    told, _, summary = (json.loads(line) for line in out.splitlines())
    assert (code, summary["same"], summary["different"]) == (1, False, 2)
    assert [each["is"] for each in told["expected"]][-2:] == ["LowerArm", "WakeAfter"]
    assert len(told["got"]) == len(told["expected"]) - 1


@pytest.mark.parametrize("content", [None, b"hello\n", b"\x1f\x8bnot gzip"])
def test_what_is_no_recording_is_wrong_use(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_bytes(content)
    code, out, err = say(path)
    assert (code, out) == (2, "")
    assert str(path) in err
    assert "Traceback" not in err


def test_unscrubbed_the_story_names_everybody(tmp_path: Path) -> None:
    """Guards the guard: what must not be found in a scrubbed recording is found in one that is not."""
    record(tmp_path / "r.jsonl", story(), scrubber=None)
    text = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    assert [each for each in WHO if each not in text] == []
    assert "manual_release" in text
