"""What devices and the hub say of themselves is said in the reader's language: every sentence the product can
write is found in its source, and the commoner ones are written by it here."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import edge
import sync
from edge.gate.effects import Commit
from edge.gate.events import DeviceWentSilent, InputsRead, ScaleFault
from edge.gate.lane import _why_nothing
from edge.gate.translation import to_report
from edge.linking import facts_of
from edge.runtime.supervisor import DeviceSilent
from edge.xray_bridge.effects import Commit as StationCommit
from edge.xray_bridge.events import Room, WedgeChecked
from edge.xray_bridge.imaging.wedge import WedgeFault
from edge.xray_bridge.translation import to_report as to_station_report
from sync.hub.console.telling import fact_lines
from sync.hub.console.watching import Wall
from sync.hub.console.words import WORDS
from sync.hub.console.words.acts import act_detail, step_why
from sync.hub.console.words.details import OWN_WORDS, as_told
from sync.hub.inspected import NOT_COUNTED
from sync.hub.receipts import NOT_MADE
from sync.hub.terms import HubAlarm
from sync.link import words as link_words
from sync.store.journal import _why_not_the_same, utc_now
from sync.vocabulary.facts import Alarm, AlarmCode, CommandTaken, FactData, LaneClosed, Stream
from sync.vocabulary.numbers import EnterpriseCode
from sync.vocabulary.records import CreditTier, Enterprise
from sync.vocabulary.rulings import Text
from tests.console_rig import PASSWORD, console_rig
from tests.machine import plays, xray_plays
from tests.unit.test_console_controls import put, tried
from tests.unit.test_console_proof import PARCEL, waybill
from tests.unit.test_console_refusals import CHINESE, text_of
from tests.unit.test_hub_device import TOPICS

FIRM = EnterpriseCode("4101960001")
ROOTS = {"edge": Path(next(iter(edge.__path__))), "sync": Path(next(iter(sync.__path__)))}
WORD = re.compile(r"[A-Za-z]{3,}")
NAMES = re.compile(r"SHA|JSON|UTF|kakou/\S+")


def left_in(text: str) -> list[str]:
    return WORD.findall(NAMES.sub("", text))


# --- every sentence in the source ---------------------------------------------------------------------------

WRITERS: dict[str, dict[str, tuple[int | str, ...]]] = {
    "edge/gate/lane.py": {
        "_alarm": (2,), "_shut": (2, 4), "_answered": (3,), "_release_refused": (2,),
        "_platform_silent": (2,), "UsesReturned": ("why",), "OrderInterrupted": ("why",),
    },
    "edge/gate/performer.py": {"ReleaseRefused": (1,)},
    "edge/gate/pictures.py": {"PictureFailed": (3,), "NotKept": (0,)},
    "edge/gate/taking.py": {"NotKept": (0,)},
    "edge/gate/camera_keeper.py": {"NotKept": (0,)},
    "edge/linking.py": {"_alarm": (1,)},
    "edge/handheld/obeying.py": {"_answered": (3,), "_stopped": (4,)},
    "edge/handheld/live/consent.py": {"_answer": (4,), "AnswerCommand": (2,)},
    "edge/xray_bridge/deciding": {"alarm": (1,), "_answered": (3,), "belt_unknown": (1,), "_closed": (2,)},
    "edge/xray_bridge/station.py": {"belt_unknown": (1,)},
    "edge/xray_bridge/translation.py": {"DeviceLost": (1,)},
    "edge/gate/translation.py": {"DeviceWentSilent": (1,), "ScaleFault": (1,)},
    "sync/hub": {"add_alarm": (3,), "add_alarm_once": (3,), "Refused": (1,), "End": ("detail",)},
    "sync/hub/asked.py": {"NotGiven": (0,)},
    "sync/hub/receipts.py": {"_Impossible": (0,)},
    "sync/hub/commanding.py": {"_settle": (3,)},
    "sync/link/envelope.py": {"BatchRefused": (0,)},
    "sync/link/keys.py": {"Forged": (0,)},
}  # fmt: skip
"""By file or folder: who writes a sentence, and as which argument."""

TELLERS = {
    "edge/gate/lane.py": (
        "_why_nothing", "_not_in_lane", "_against_pictures", "_not_ours", "refused", "why",
    ),
    "edge/devices/fixed_camera/camera.py": ("_wrong",),
    "edge/gate/performer.py": ("_rostered",),
    "edge/devices/io_modbus/session.py": ("detail",),
    "sync/hub/asked.py": ("_not_allowed",),
    "sync/hub/inspected.py": ("why_not", "_officer_may_not"),
    "sync/hub/commanding.py": ("_foreign",),
    "sync/hub/blobs.py": ("_no_room",),
    "sync/link/shown_traces.py": ("flaw_of",),
    "sync/store/journal.py": ("_why_not_the_same", "why"),
}  # fmt: skip
"""By file: functions that return a sentence, and names it is kept under until somebody says it."""


def sentences(node: ast.expr, names: dict[str, list[ast.expr]], depth: int = 0) -> Iterator[str | None]:
    """Every text an expression can come to, with 7 for what is put in; None for what it is handed."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            parts = [
                list(put_in(value, names, depth))
                if isinstance(value, ast.FormattedValue)
                else list(sentences(value, names, depth))
                for value in values
            ]
            yield from ("".join(map(str, each)) for each in itertools.product(*parts))
        case ast.IfExp(body=body, orelse=orelse):
            yield from sentences(body, names, depth)
            yield from sentences(orelse, names, depth)
        case ast.BoolOp(values=values):
            for value in values:
                yield from sentences(value, names, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            for first in list(sentences(left, names, depth)):
                for last in list(sentences(right, names, depth)):
                    yield None if first is None or last is None else first + last
        case ast.Subscript(value=value, slice=ast.Slice()):
            yield from sentences(value, names, depth)
        case ast.Call(func=ast.Attribute(value=value, attr="strip")):
            yield from sentences(value, names, depth)
        case ast.Name(id=name) if name in names and depth < 3:
            for each in names[name]:
                yield from sentences(each, names, depth + 1)
        case _:
            yield None


def put_in(value: ast.FormattedValue, names: dict[str, list[ast.expr]], depth: int) -> Iterator[str]:
    """What is put into a sentence: another one, or 7."""
    if isinstance(value.value, ast.Name | ast.IfExp) and depth < 3:
        found = [each for each in sentences(value.value, names, depth + 1) if each is not None]
        if found:
            yield from found
            return
    yield filler(value)


def filler(value: ast.FormattedValue) -> str:
    said = ast.unparse(value.value)
    match said:
        case _ if "sha256" in said:
            return "7" * 64
        case _ if "codes()" in said:
            return "slip_expired, weight_over"
        case _ if said.startswith("event.field"):
            return "plate"
        case _ if "belt_io" in said:
            return "belt_io"
        case _ if value.conversion == ord("r"):
            return "'7'"
        case _:
            return "7"


def written() -> Iterator[tuple[str, str]]:
    """Where, and the sentence."""
    for place, writers in WRITERS.items():
        path = ROOTS[place.split("/")[0]] / place.partition("/")[2]
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if place == "sync/hub" and "console" in file.parts:
                continue
            yield from of_file(file, writers)


def kept_until_said() -> Iterator[tuple[str, str]]:
    for place, tellers in TELLERS.items():
        file = ROOTS[place.split("/")[0]] / place.partition("/")[2]
        tree = ast.parse(file.read_text())
        known = assigned(tree.body)
        for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
            nodes = list(ast.walk(function))
            names = {**known, **assigned(nodes)}
            values = [value for name in tellers for value in names.get(name, ())]
            if function.name in tellers:
                for each in nodes:
                    if isinstance(each, ast.Return) and each.value is not None:
                        first = isinstance(each.value, ast.Tuple)
                        values.append(each.value.elts[0] if first else each.value)  # type: ignore[attr-defined]
            for value in values:
                for sentence in sentences(value, names):
                    if sentence:
                        yield f"{file.name}:{value.lineno}", sentence


def of_file(file: Path, writers: dict[str, tuple[int | str, ...]]) -> Iterator[tuple[str, str]]:
    tree = ast.parse(file.read_text())
    known = assigned(tree.body)
    for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
        names = {**known, **assigned(list(ast.walk(function)))}
        for call in [each for each in ast.walk(function) if isinstance(each, ast.Call)]:
            places = writers.get(ast.unparse(call.func).rsplit(".", 1)[-1], ())
            for argument in arguments(call, places):
                for sentence in sentences(argument, names):
                    if sentence:
                        yield f"{file.name}:{call.lineno}", sentence


def assigned(nodes: list[ast.stmt] | list[ast.AST]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.setdefault(node.target.id, []).append(node.value)
    return found


def arguments(call: ast.Call, places: tuple[int | str, ...]) -> Iterator[ast.expr]:
    for place in places:
        if isinstance(place, int):
            if place < len(call.args):
                yield call.args[place]
        else:
            yield from (each.value for each in call.keywords if each.arg == place)


def test_every_sentence_that_stands_in_the_source_is_said_in_chinese() -> None:
    found = dict.fromkeys([*written(), *kept_until_said()])
    assert len(found) > 180
    english = {
        f"{where}: {sentence}": told
        for where, sentence in found
        if left_in(told := as_told(sentence, "zh")) or OWN_WORDS in told
    }
    assert english == {}


def test_every_alarm_has_a_name_in_both_languages() -> None:
    codes = {*HubAlarm, *AlarmCode, NOT_MADE}
    assert {code for code in codes if f"alarm.{code}" not in WORDS} == set()


# --- written by the product ---------------------------------------------------------------------------------


def alarms_of(effects: Sequence[object]) -> list[Alarm]:
    facts = [told.data for each in effects if isinstance(each, Commit | StationCommit) for told in each.facts]
    return [fact for fact in facts if isinstance(fact, Alarm)]


def lines_of(fact: FactData) -> str:
    return " ".join(line.value.zh for line in fact_lines(fact))


def lane_alarms() -> Iterator[Alarm]:
    play = plays.Play()
    play.raised()
    play.under()
    play.clear(times=2)
    yield from alarms_of(play.under(times=6))
    play = plays.Play()
    play.arrive()
    silent = to_report(DeviceSilent("plate_camera", 1.0))
    assert silent is not None
    yield from alarms_of(play.say(silent, DeviceWentSilent("board", "/dev/ttyS1: the driver hung up")))
    yield from alarms_of(play.say(ScaleFault("unit", "the indicator displays t, the settings say kg")))
    yield from alarms_of(play.say(InputsRead(replace(plays.CLEAR, fire=True))))
    play = plays.Play()
    yield from alarms_of(play.say(InputsRead(plays.CLEAR), InputsRead(plays.MOVING), InputsRead(plays.UP)))
    play = plays.Play()
    play.say(InputsRead(plays.CLEAR))
    yield from alarms_of(play.wait(120.0, plays.CLEAR, "340"))
    play = plays.Play()
    play.raised()
    play.under()
    play.clear()
    yield from alarms_of(play.say(InputsRead(replace(plays.UNDER, limit_up=False))))


def station_alarms() -> Iterator[Alarm]:
    play = xray_plays.Play()
    silent = to_station_report(DeviceSilent("portal", 2.5))
    assert silent is not None
    yield from alarms_of(play.say(silent, Room(False, 4_000_000)))
    yield from alarms_of(play.say(WedgeChecked(False, "wedge-2", xray_plays.CALIBRATION, wedge_why())))
    play = xray_plays.Play()
    play.put()
    play.roll(1_500.0)
    play.things.clear()
    yield from alarms_of(play.roll(20_000.0))


def wedge_why() -> str:
    fault = WedgeFault("not_found", Text("图像中未找到测试阶梯块", "No step wedge found in the picture"))
    return f"{fault.words.zh} / {fault.words.en}"


def link_alarms() -> Iterator[Alarm]:
    copied = _why_not_the_same(None, None)  # type: ignore[arg-type]
    for notice in (
        link_words.RecordsDiffer("zone-1", "e", 812, "a" * 32, "b" * 32),
        link_words.EpochBegan("e" * 32, str(copied)),
        link_words.CertificateEnds("tls/lane.pem", "2026-12-01T00:00:00.000000Z", 9),
    ):
        yield from (fact for _, fact in facts_of(notice) if isinstance(fact, Alarm))


@pytest.mark.parametrize(
    ("writer", "codes"),
    [
        (
            lane_alarms,
            {
                AlarmCode.TAILGATER, AlarmCode.DEVICE_LOST, AlarmCode.SCALE_FAULT, AlarmCode.SAFETY_INPUT,
                AlarmCode.UNCOMMANDED_MOVEMENT, AlarmCode.NO_RETURN_TO_ZERO, AlarmCode.SAFETY_REOPENED,
            },
        ),
        (
            station_alarms,
            {
                AlarmCode.DEVICE_LOST, AlarmCode.EVIDENCE_FULL, AlarmCode.WEDGE_FAILED,
                AlarmCode.PARCEL_REMOVED,
            },
        ),
        (
            link_alarms,
            {AlarmCode.RECORDS_DIFFER, AlarmCode.JOURNAL_BRANCHED, AlarmCode.CERTIFICATE_ENDS},
        ),
    ],
)  # fmt: skip
def test_what_a_device_writes_into_its_alarms_is_chinese_on_a_chinese_page(
    writer: Callable[[], Iterator[Alarm]], codes: set[AlarmCode]
) -> None:
    made = list(writer())
    assert {alarm.code for alarm in made} >= codes
    for alarm in made:
        said = NAMED_HERE.sub("", lines_of(alarm))
        assert CHINESE.search(said)
        assert left_in(said) == [], alarm
        assert OWN_WORDS not in said


NAMED_HERE = re.compile(r"/dev/\w+|lane-in-1\S*|zone-1|tls/lane.pem|[ab]{32}|e{32}|SF\d+|MB|GTIN\d+|r1\S*")


def test_a_command_a_lane_refuses_is_refused_in_chinese() -> None:
    taken = CommandTaken(
        command_id="c" * 8, kind="manual_release", officers=("4604001",), reason="查", outcome="refused",
        why=_why_nothing(plays.Play().lane, 7),
    )  # fmt: skip
    assert "过卡 7 已不在通道，通道内无车" in lines_of(taken)
    assert "道闸未升起" in lines_of(LaneClosed(why="arm did not rise"))


def test_what_came_of_an_order_is_said_in_chinese_and_the_remark_stays_as_it_is() -> None:
    assert step_why("order", "4604001, 4604002 opened YT1").zh == "4604001, 4604002 开箱 YT1"
    assert step_why("order", "4604001 damaged seized seal was open").zh == "4604001 破损 扣留 seal was open"
    assert step_why("order", "4604001 nothing  opened twice").zh == "4604001 无异常  opened twice"
    not_counted = f"4604001 {NOT_COUNTED}officer 4604001 is not active"
    assert step_why("order", not_counted) == Text("4604001 不予采信：关员 4604001 名册状态无效", not_counted)


def test_an_officers_own_words_and_what_nobody_knows_stay_as_they_are_and_are_marked() -> None:
    for text in ("driver refuses the scale", "flux capacitor: out of phase"):
        assert as_told(text, "zh") == f"{text}{OWN_WORDS}"
        assert as_told(text, "en") == text
    assert as_told("司机不配合", "zh") == "司机不配合"
    assert as_told("4604001: 司机不配合", "zh") == "4604001: 司机不配合"
    assert OWN_WORDS not in as_told("SJ-1 KT1234567890123456", "zh")


def test_what_is_said_in_both_languages_is_shown_in_the_readers() -> None:
    assert as_told(wedge_why(), "zh") == "图像中未找到测试阶梯块"
    assert as_told(wedge_why(), "en") == "No step wedge found in the picture"


def test_what_the_hub_has_against_a_message_is_chinese_on_a_chinese_wall(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        rig.device("lane-in")
        now = utc_now()
        for topic, payload in (
            (TOPICS.facts("lane-in", Stream.ROUTINE), b"{"),
            (TOPICS.facts("lane-in", Stream.ROUTINE), b"x" * 70_000),
            (TOPICS.facts("stranger", Stream.ROUTINE), b"{}"),
            (TOPICS.status("lane-in"), b"{}"),
            ("kakou/elsewhere", b"{}"),
        ):
            rig.receiver.receive(topic, payload, now)
        page = rig.client(language="zh").get("/").text
        details = re.findall(r"<div><small>(.*?)</small></div>", page)
        assert len(details) >= 4
        for detail in details:
            said = re.sub(r"lane-in|stranger|kakou/\S*|hub|alarm|routine|body", "", text_of(detail))
            assert left_in(said) == [], detail


# --- acts of the centre -------------------------------------------------------------------------------------

ACT_WRITERS: dict[str, tuple[int | str, ...]] = {"CentreAct": (1, 5), "_act": (1, 4)}


def acts_written() -> Iterator[tuple[str, str, str]]:
    """Where, which act, and what the program writes beside it."""
    for file in sorted((ROOTS["sync"] / "hub").rglob("*.py")):
        tree = ast.parse(file.read_text())
        for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
            names = assigned(list(ast.walk(function)))
            for call in [each for each in ast.walk(function) if isinstance(each, ast.Call)]:
                places = ACT_WRITERS.get(ast.unparse(call.func))
                if places is None:
                    continue
                act, detail = arguments(call, places)
                for said in sentences(detail, names):
                    if isinstance(act, ast.Constant) and said:
                        yield f"{file.name}:{call.lineno}", str(act.value), said


def test_what_programs_write_into_acts_is_said_in_chinese() -> None:
    found = list(dict.fromkeys(acts_written()))
    assert {"draw", "put_control", "set_rates", "live_kept", "issue_trace_codes"} <= {
        act for _, act, _ in found
    }
    for where, act, said in found:
        told = act_detail(act, said)
        assert left_in(told.zh.replace("sha256", "")) == [], where
        assert told.en == said


def test_acts_are_read_in_chinese_and_an_officers_reason_stays_as_it_is(tmp_path: Path) -> None:
    with console_rig(tmp_path) as rig:
        made = rig.client(language="zh")
        rig.record(
            "enterprises",
            str(FIRM),
            Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=5),
        )
        rig.record("waybills", PARCEL, waybill())
        rig.say("lane-in", Alarm(code=AlarmCode.OVERSTAY, detail="95 s"), stream=Stream.ALARM)
        rig.caught_up()
        assert put(made, tried(made), "shadow", "tip from the police") == 303
        for address, form in (
            ("/controls/end", {"control_id": "BK1", "reason": "done"}),
            ("/controls/rates", {"spot": 50, "x_ray": 20, "tier": "high", "reason": "more"}),
            ("/controls/orders/draw", {"draw_no": "SJ1", "count": 1, "reason": "day"}),
            ("/api/tokens", {"name": "lims", "days": 3}),
            ("/api/tokens/revoke", {"name": "lims"}),
            ("/access/password", {"now": PASSWORD, "new": PASSWORD[::-1], "again": PASSWORD[::-1]}),
            ("/access/accounts/close", {"officer": "4604003"}),
        ):
            assert made.post(address, data=form).status_code < 400, address
        (alarm,) = Wall(rig.console).view().alarms
        for address, form in (
            ("/alarms/take", {"alarm": alarm.oldest.alarm}),
            ("/alarms/end", {"alarm": alarm.oldest.alarm, "note": "seen"}),
        ):
            assert made.post(address, data=form).status_code == 303
        page = made.get("/access/acts").text
        rows = re.findall(r"<tr><td>\d{4}-.*?</tr>", page)
        kinds = {"put_control", "end_control", "set_rates", "draw", "console_token", "console_account"}
        assert {WORDS[f"act.{each}"][0] for each in (*kinds, "alarm_taken", "alarm_ended")} <= {
            text_of(re.findall("<td.*?</td>", row)[2]) for row in rows
        }
        for row in rows:
            subject_reason_detail = [text_of(each) for each in re.findall("<td.*?</td>", row)[3:]]
            said = " ".join(subject_reason_detail[1:])
            for own in ("tip from the police", "done", "more", "day", "seen", "sha256", "lane-in", "zone-1"):
                said = said.replace(own, "")
            assert left_in(re.sub(r"[0-9a-f]{64}|\S*BK1\S*", "", said)) == [], row
        assert "tip from the police" in page
        assert "7 天试算：0 车次命中 0，判定改变 0" in page
        assert "高级认证 50/20‰" in page
