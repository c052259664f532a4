"""`kakou centre`: what it prints, what it writes down, and its exit codes. No hub runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.centre import By, give
from sync.link.keys import make_private, private_pem
from sync.link.messages import ClaimVerdict
from sync.vocabulary.commands import AskStatus
from sync.vocabulary.facts import UsesReturned
from sync.vocabulary.records import Record
from tests.unit.test_hub_claims import put, slip, tell
from tests.unit.test_hub_device import AT, OTHER_SLIP, SLIP, Bench, Device
from tests.unit.test_lots import officer, parcel
from tests.unit.test_lots import put as fill_archive

HUB_TOML = """
site = "s1"
[store]
archive = "archive.sqlite"
[sync]
key_file = "hub.key"
scopes = ["site"]
allow_plaintext = true
"""
BY = ("--officer", "4604001", "--reason", "checked on camera")


@pytest.fixture
def lane() -> Device:
    return Device()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "hub.toml"
    file.write_text(HUB_TOML, encoding="utf-8")
    key = tmp_path / "hub.key"
    key.write_bytes(private_pem(make_private()))
    key.chmod(0o600)
    return file


@pytest.fixture
def bench(tmp_path: Path, config: Path, lane: Device) -> Iterator[Bench]:
    bench = Bench(tmp_path, lane, Device("lane-out"))
    put(bench, slip())
    yield bench
    bench.archive.close()


def fill(bench: Bench, *records: Record) -> None:
    fill_archive(bench.archive, *records)


def run(config: Path, *args: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, JSON lines, stderr. The config's path stands behind the command's words."""
    words = [word for word in args if not word.startswith("@")]
    at = 2 if words[0] == "order" else 1
    done = CliRunner().invoke(app, ["centre", *words[:at], str(config), *words[at:], "--json"])
    lines = [json.loads(line) for line in done.stdout.splitlines()] if done.stdout.startswith("{") else []
    return done.exit_code, lines, done.stderr


def test_a_command_is_written_down_and_without_an_answer_the_exit_code_says_so(
    config: Path, bench: Bench
) -> None:
    code, (line,), _ = run(config, "board", "lane-in", "--preset", "1", *BY, "--no-wait")
    assert (code, line["state"], line["kind"], line["officers"]) == (0, "waiting", "board_text", ["4604001"])
    (row,) = bench.archive.last_commands(5)
    assert (row.command_id, row.reason) == (line["command_id"], "checked on camera")
    _, listed, _ = run(config, "commands")
    assert listed == [line]


def test_pictures_are_asked_for_of_a_passage(config: Path, bench: Bench) -> None:
    code, (line,), _ = run(config, "pictures", "lane-in", "7", *BY, "--no-wait")
    assert (code, line["state"], line["kind"], line["device"]) == (0, "waiting", "take_pictures", "lane-in")
    assert line["act"] == {"type": "take_pictures", "passage": 7}
    assert (line["officers"], line["reason"]) == (["4604001"], "checked on camera")


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("close", "lane-9", *BY), 1, "lane-9 is not enrolled"),
        (("close", "lane-in", "--officer", "1", "--reason", " "), 1, "an officer and a reason"),
        (("close", "lane-in"), 2, "--officer"),
        (("release", "lane-in", *BY), 1, "nobody is held"),
        (("release", "lane-in", "--passage", "soon", *BY), 2, "a number or `held`"),
        (("release", "lane-in", "--passage", "0", *BY), 2, "passage"),
        (("pictures", "lane-in", "held", *BY), 1, "nobody is held"),
        (("pictures", "lane-in", "soon", *BY), 2, "a number or `held`"),
        (("pictures", "lane-in", "0", *BY), 2, "passage"),
        (("pictures", "lane-in", "7"), 2, "--officer"),
        (("supplement", "lane-in", "colour", "red", "--passage", "1", *BY), 2, "colour"),
        (("board", "lane-in", "--preset", "99", *BY), 2, "preset"),
        (("board", "lane-in", "--zh", "等", *BY), 2, "en: expected"),
        (("release-claim", "c9", *BY), 1, "no claim c9"),
        (("order", "issue", "XD-1", *BY), 2, "to inspect"),
        (("order", "withdraw", "XD-1", *BY), 1, "no order XD-1"),
        (("order", "issue", "XD-1", "--slip", SLIP, "--scope", "other", *BY), 2, "--scope"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    config: Path, bench: Bench, args: tuple[str, ...], code: int, why: str
) -> None:
    got, lines, errors = run(config, *args)
    assert (got, lines) == (code, [])
    assert why in errors
    assert bench.archive.last_commands(5) == ()
    assert bench.archive.acts(5) == ()


def test_an_archive_that_is_not_there_is_not_made(config: Path) -> None:
    code, _, errors = run(config, "lanes")
    assert (code, "no such file" in errors) == (1, True)
    assert not (config.parent / "archive.sqlite").exists()


def test_open_claims_are_listed_and_one_is_ended(config: Path, bench: Bench, lane: Device) -> None:
    assert bench.ask(lane, "c1", 7).verdict is ClaimVerdict.GRANTED
    code, (line,), _ = run(config, "claims")
    assert (code, line["claim_id"], line["device"], line["slip_nos"]) == (0, "c1", "lane-in", [SLIP])
    assert line["age_s"] > 0
    assert run(config, "claims", "--older-than", "1")[0] == 1
    code, (freed,), _ = run(config, "release-claim", "c1", *BY)
    assert (code, freed) == (0, {"claim_id": "c1", "slip_nos": [SLIP]})
    assert run(config, "claims", "--older-than", "1")[:2] == (0, [])
    _, (act,), _ = run(config, "acts")
    assert (act["act"], act["subject"], act["officers"]) == ("release_claim", "c1", ["4604001"])


def test_uses_reserved_without_a_grant_are_listed_with_them_and_one_is_ended(
    config: Path, bench: Bench, lane: Device
) -> None:
    put(bench, slip(OTHER_SLIP))
    other = bench.devices["lane-out"]
    assert bench.ask(other, "c1", 7, OTHER_SLIP).verdict is ClaimVerdict.GRANTED
    tell(bench, lane, lane.ruling(7, (SLIP,), ("u1",)))
    code, lines, _ = run(config, "claims")
    assert (code, [line.get("use_id", line.get("claim_id")) for line in lines]) == (0, ["c1", "u1"])
    assert (lines[1]["device"], lines[1]["slip_no"], lines[1]["claim_id"]) == ("lane-in", SLIP, "")
    code, (freed,), _ = run(config, "release-use", "lane-in", "u1", *BY)
    assert (code, freed) == (0, {"device": "lane-in", "use_id": "u1", "slip_no": SLIP})
    assert [line["claim_id"] for line in run(config, "claims")[1]] == ["c1"]
    _, (act,), _ = run(config, "acts")
    assert (act["act"], act["subject"], act["officers"]) == ("release_use", "u1", ["4604001"])
    code, lines, errors = run(config, "release-use", "lane-in", "u1", *BY)
    assert (code, lines, "no use u1" in errors) == (1, [], True)


def test_what_the_offline_policy_let_through_twice_is_listed_when_the_facts_come(
    config: Path, bench: Bench, lane: Device
) -> None:
    """S4: both lanes were cut off, each by its written policy; then the link returns."""
    other = bench.devices["lane-out"]
    for device, passage in ((lane, 7), (other, 3)):
        claim_id = f"{device.name}-c"
        back = device.say(UsesReturned(passage, (), claim_id, "no answer in time"))
        ruled = device.ruling(passage, (SLIP,), (f"{device.name}-u",))
        crossed = device.crossing(passage, (f"{device.name}-u",))
        tell(bench, device, back, ruled, crossed)
    code, (line,), _ = run(config, "alarms", "--code", "double_use")
    assert (code, line["code"]) == (0, "double_use")
    assert line["detail"] == f"slip {SLIP} crossed 2 times, 1 allowed: lane-in/7, lane-out/3"


def test_lanes_are_listed(config: Path, bench: Bench) -> None:
    code, lines, _ = run(config, "lanes")
    assert code == 0
    assert [(line["device"], line["hears"], line["held"]) for line in lines] == [
        ("lane-in", False, None),
        ("lane-out", False, None),
    ]


def test_an_order_is_issued_listed_and_withdrawn(config: Path, bench: Bench) -> None:
    code, (line,), _ = run(config, "order", "issue", "XD-1", "--slip", SLIP, "--cause", "control", *BY)
    assert (code, line["order_no"], line["state"]) == (0, "XD-1", "issued")
    _, (listed,), _ = run(config, "order", "list")
    assert (listed["state"], listed["slip_no"], listed["cause"]) == ("issued", SLIP, "control")
    assert run(config, "order", "withdraw", "XD-1", *BY)[0] == 0
    assert run(config, "order", "list")[1][0]["state"] == "withdrawn"


def test_a_script_stops_at_nothing_and_its_exit_code_says_whether_all_went_as_expected(
    config: Path, bench: Bench, lane: Device, tmp_path: Path
) -> None:
    bench.ask(lane, "c1", 7)
    steps: list[dict[str, Any]] = [
        {"do": "release_claim", "officers": ["4604001"], "reason": "towed away", "act": {"claim_id": "c1"}},
        {"do": "manual_release", "device": "lane-in", "officers": ["4604001"], "reason": "x",
         "act": {"passage": "held"}, "expect": "refused"},
        {"do": "dance", "device": "lane-in", "expect": "refused"},
    ]  # fmt: skip
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"step": steps}), encoding="utf-8")
    code, lines, _ = run(config, "script", str(file))
    assert [(line["step"], line["outcome"]) for line in lines] == [
        (1, "done"),
        (2, "refused"),
        (3, "refused"),
    ]
    assert code == 0
    file.write_text(json.dumps({"step": [{**steps[1], "expect": "done"}]}), encoding="utf-8")
    assert run(config, "script", str(file))[0] == 1


@pytest.mark.parametrize("text", ["[[step]]", "step = 3", "[[step]]\ndo = 'x'\nwhen = 3", "[[["])
def test_a_script_that_makes_no_sense_is_wrong_use(
    config: Path, bench: Bench, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "script.toml"
    file.write_text(text, encoding="utf-8")
    assert run(config, "script", str(file))[0] == 2


def test_an_answer_that_is_there_is_printed_and_is_the_exit_code(config: Path, bench: Bench) -> None:
    row = give(bench.archive, "lane-in", AskStatus(), By((), ""), valid_s=1, at_utc=AT)
    with bench.archive.transaction():
        bench.archive.settle_command(row.command_id, "lane-in", "refused", "not now", AT)
    _, (line,), _ = run(config, "commands")
    assert (line["state"], line["why"]) == ("refused", "not now")


def test_lots_are_drawn_issued_and_shown_again_by_their_seed(config: Path, bench: Bench) -> None:
    fill(bench, *map(parcel, range(5)), officer(1), officer(2))
    wish = ("--count", "2", "--part", "photos", "--cause", "credit", *BY)
    code, first, _ = run(config, "draw", "D1", "--only-show", *wish)
    assert (code, len(first), run(config, "order", "list")[1]) == (0, 2, [])
    seed = first[0]["draw"]["seed"]
    code, issued, _ = run(config, "draw", "D1", "--seed", seed, *wish)
    assert [order["waybill_nos"] for order in issued] == [order["waybill_nos"] for order in first]
    assert [order["officers"] for order in issued] == [order["officers"] for order in first]
    assert [row["order_no"] for row in run(config, "order", "list")[1]] == ["D1-0001", "D1-0002"]
    code, _, errors = run(config, "draw", "D1", *wish)
    assert (code, "made already" in errors) == (1, True)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--seed", "xyz"), "hex"),
        (("--seed", "00"), "64 hex digits"),
        (("--cause", "bad"), "OrderCause"),
        (("--part", "bad"), "OrderPart"),
        (("--due", "tomorrow"), "expected"),
    ],
)
def test_a_draw_that_is_not_understood_draws_nothing(
    config: Path, bench: Bench, args: tuple[str, ...], why: str
) -> None:
    code, lines, errors = run(config, "draw", "D1", "--count", "1", *args, *BY)
    assert (code, lines) == (2, [])
    assert why in errors
