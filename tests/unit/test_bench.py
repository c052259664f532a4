"""The bench: its arithmetic, its exit code, and each measurement once in small. No figure is tested."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench import __main__ as program
from bench import (
    alarms,
    drain,
    durable,
    ingest,
    lane,
    live,
    patience,
    records,
    rows,
    ruling,
    storing,
    storing_ours,
    vault,
    xray,
)
from bench.harness import Bench, Figure, Rounds, in_turns, missed, show
from bench.lane_minimum import shortest_s
from bench.postgres import binaries
from bench.xray_goods import EXTRAS
from edge.gate.config import GateConfig, read_gate_config
from hardware_sims.cast import LANE_IN, LANE_OUT
from hardware_sims.scenario import LaneSettings
from hardware_sims.site import write_site
from hardware_sims.vehicles import Vehicle
from sync.link.envelope import signed_payload
from sync.link.keys import KeySigner, make_private
from sync.link.messages import MAX_PAYLOAD_BYTES, Context
from sync.store.journal import Journal
from sync.store.records import Records
from sync.vocabulary.codec import to_json

SMALL = 0.0005
NEEDS_POSTGRES = pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
IN_PROVE = pytest.mark.skipif("KAKOU_PROVE" not in os.environ, reason="long: in `make prove`")


# --- figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "at_least", "at_most", "met"),
    [
        (2.0, 2.0, None, True),
        (1.99, 2.0, None, False),
        (7.0, None, 7.0, True),
        (7.01, None, 7.0, False),
        (3.0, 2.0, 4.0, True),
        (1.0, 2.0, 4.0, False),
        (5.0, 2.0, 4.0, False),
        (0.0, 2.0, None, False),
        (5.0, None, None, None),
        (None, 2.0, None, None),
        (None, None, None, None),
    ],
)
def test_a_figure_is_met_when_its_ratio_is_what_is_asked(
    ratio: float | None, at_least: float | None, at_most: float | None, met: bool | None
) -> None:
    assert Figure("x", 1.0, "/s", ratio, "peer", at_least=at_least, at_most=at_most).met is met


def test_everybody_has_a_turn_in_every_round_and_the_first_place_goes_round() -> None:
    turns: list[str] = []

    def work(name: str) -> Callable[[], float]:
        return lambda: float(turns.append(name) or len(turns))  # type: ignore[func-returns-value]

    found = in_turns(3, [("a", work("a")), ("b", work("b"))])
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert found.found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


def test_a_ratio_compares_the_halves_of_each_round_so_that_a_slow_round_slows_both() -> None:
    rounds = Rounds({"ours": [10.0, 1.0, 8.0], "peer": [5.0, 0.5, 2.0]})
    assert rounds.median("ours") == 8.0
    assert rounds.ratio("ours", "peer") == 2.0
    assert rounds.ratio("peer", "ours") == 0.5
    assert rounds.spread("ours") == "1 to 10"


# --- the program ------------------------------------------------------------------------------------------


def bench_of(*figures: Figure) -> Callable[[Path, float], Bench]:
    return lambda folder, scale: Bench("made up", list(figures), f"{folder.is_dir()} {scale}")


GOOD = Figure("good", 10.0, "/s", 2.5, "peer", at_least=2.0)
BAD = Figure("bad", 10.0, "/s", 1.5, "peer", at_least=2.0, note="why")
PLAIN = Figure("peer", 4.0, "/s")


def test_a_missed_figure_gives_exit_1_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    benches = {"one": bench_of(PLAIN, GOOD), "two": bench_of(PLAIN, BAD)}
    assert program.main(["one"], benches) == 0
    assert program.main([], benches) == 1
    assert missed([Bench("b", [PLAIN, GOOD, BAD])]) == ["b: bad"]
    assert "✘" in capsys.readouterr().out


def test_a_bench_that_needs_a_tool_which_is_not_here_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toolless.py").write_text("import no_such_tool\n")
    monkeypatch.setattr("bench.__path__", [str(tmp_path)])
    assert program.main(["one"], {"one": program._late("toolless")}) == 2
    assert "make bench" in capsys.readouterr().err


def test_every_bench_is_there() -> None:
    there = {path.stem.replace("_", "-") for path in Path(program.__file__).parent.glob("*.py")}
    assert set(program.BENCHES) <= there


def test_json_is_one_object_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["one", "--json", "--scale", "0.25"], {"one": bench_of(PLAIN, BAD)}) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["name"], first["met"], first["setting"]) == ("peer", None, "True 0.25")
    assert (second["bench"], second["ratio"], second["at_least"], second["met"]) == (
        "made up",
        1.5,
        2.0,
        False,
    )
    assert second["note"] == "why"


@pytest.mark.parametrize("scale", ["0", "-1", "1.5", "much"])
def test_a_scale_that_is_no_share_is_wrong_use(scale: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        program.main(["one", "--scale", scale], {"one": bench_of(GOOD)})
    assert stopped.value.code == 2


def test_files_go_where_they_are_told_to_and_away_afterwards(tmp_path: Path) -> None:
    seen: list[Path] = []

    def run(folder: Path, scale: float) -> Bench:
        seen.append(folder)
        (folder / "file").write_text("x")
        return Bench("made up")

    assert program.main(["one", "--folder", str(tmp_path)], {"one": run}) == 0
    assert seen[0].parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_made_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "disk" / "bench"
    assert program.main(["one", "--folder", str(folder)], {"one": bench_of(GOOD)}) == 0
    assert folder.is_dir()


def test_a_file_where_the_folder_should_be_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        program.main(["one", "--folder", str(tmp_path / "file")], {"one": bench_of(GOOD)})
    assert stopped.value.code == 2
    assert "expected a folder" in capsys.readouterr().err


# --- waiting for others -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "within_s", "told"),
    [
        ("import time; print('ready', flush=True); time.sleep(60)", 0.2, "the program said nothing"),
        ("print('ready')", 30.0, "the program ended"),
    ],
    ids=["silent", "ended"],
)
def test_a_program_that_stays_silent_is_ended_and_what_it_did_not_say_is_named(
    does: str, within_s: float, told: str
) -> None:
    silent = subprocess.Popen([sys.executable, "-ISc", does], stdout=subprocess.PIPE, text=True)
    assert silent.stdout is not None
    assert silent.stdout.readline() == "ready\n"
    with (
        pytest.raises(RuntimeError, match=f"expected the other half, but {told}"),
        patience.Watched(silent, within_s) as watched,
    ):
        watched.line("the other half")
    patience.end(silent)
    assert silent.returncode is not None


def test_a_process_of_ours_that_sends_nothing_is_not_waited_for_and_one_that_ended_is_told() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours:
        with theirs, pytest.raises(RuntimeError, match=r"expected a worker .* nothing came"):
            patience.received(ours, "a worker", 0.01)
        with pytest.raises(RuntimeError, match="expected a worker, but the process ended"):
            patience.received(ours, "a worker", 5.0)


def test_what_paho_refuses_is_offered_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = mqtt.Client(CallbackAPIVersion.VERSION2)
    sender.max_queued_messages_set(2)
    monkeypatch.setattr(drain, "SILENT_S", 0.05)
    assert [drain._taken(sender, b"x").mid for _ in range(2)] == [1, 2]
    with pytest.raises(RuntimeError, match="paho took no message of the peer"):
        drain._taken(sender, b"x")
    making_room = threading.Timer(0.02, sender.max_queued_messages_set, (3,))
    monkeypatch.setattr(drain, "SILENT_S", 10.0)
    making_room.start()
    assert drain._taken(sender, b"x").mid > 4
    making_room.join()


# --- what is measured on ----------------------------------------------------------------------------------


def test_the_quick_waybill_is_the_real_one() -> None:
    numbers = [0, 7, 299, 300, 10**6, 10**7 - 1, 10**9 + 12_345, *random.Random(3).sample(range(10**7), 200)]
    for number in numbers:
        real = rows.waybill(number)
        assert rows.waybill_row(number) == (str(real.waybill_no), to_json(real).decode())


def test_a_file_filled_straight_is_whole_and_read_like_any_other(tmp_path: Path) -> None:
    made = rows.Rows(vehicles=30, slips=70, waybills=500)
    with Records.open(rows.fill(tmp_path, made)) as found:
        assert found.verify() == []
        assert found.feed_state().rows == made.count
        assert found.vehicle_by_tag(made.epc(11)) == made.vehicle(11)
        assert found.slips_for_plate(made.plate(9)) == (made.slip(9), made.slip(39), made.slip(69))
        assert found.get("waybills", str(rows.waybill(499).waybill_no)) == rows.waybill(499)


def test_the_bench_cuts_its_feed_into_payloads_as_the_hub_would() -> None:
    cut = records.cut_like_the_hub([rows.waybill_row(number) for number in range(1_000)], after=41)
    assert [batch.first for batch in cut] == [42, *(batch.last + 1 for batch in cut[:-1])]
    assert cut[-1].last == 1_041
    signer = KeySigner(make_private(), "hub")
    lengths = [len(signed_payload(signer, Context.FEED, batch)) for batch in cut]
    assert max(lengths) <= MAX_PAYLOAD_BYTES
    assert min(lengths[:-1]) > MAX_PAYLOAD_BYTES * 0.9


def test_reads_are_counted_by_statement_and_by_key(tmp_path: Path) -> None:
    made = rows.Rows(vehicles=10, slips=50, waybills=10)
    with ruling._bench_lane(tmp_path, made) as lane:
        statements, looked_up = lane.reads_of_one_ruling()
    # Feed, vehicle, tag and its vehicle, plate and its 5 slips, enterprise; 5 slips' uses, 1 pending check.
    assert (statements, looked_up) == (7, 17)


# --- the shortest time through a lane ---------------------------------------------------------------------


@pytest.fixture
def equipped(tmp_path: Path) -> dict[str, tuple[LaneSettings, GateConfig]]:
    site = write_site(tmp_path, seed=7, vehicles=1, speed=1.0)
    return {
        lane.name: (lane, read_gate_config(site.lane_config(lane.name))) for lane in site.cast.scenario.lanes
    }


def a_vehicle(lane_name: str, length_m: float) -> Vehicle:
    return Vehicle(
        id="v1", lane=lane_name, arrives_s=0.0, plate="豫A12345", tag="E280" + "0" * 20, length_m=length_m
    )


def test_the_shortest_way_through_a_lane_is_driving_weighing_and_the_arm(
    equipped: dict[str, tuple[LaneSettings, GateConfig]],
) -> None:
    # 19.5 m to the line at 2.5 m/s, 16.5 m out at 3 m/s at most, the arm's 2.5 s down: nobody is faster.
    driven_s = 19.5 / 2.5 + 16.5 / 3.0 + 2.5
    found_s = shortest_s(a_vehicle(LANE_IN, 12.0), *equipped[LANE_IN])
    assert driven_s + 0.6 < found_s < driven_s + 10.0
    # 4 m more pass under the arm at 3 m/s.
    longer_s = shortest_s(a_vehicle(LANE_IN, 16.0), *equipped[LANE_IN])
    assert longer_s - found_s == pytest.approx(4.0 / 3.0, abs=0.15)


def test_the_safety_wait_costs_just_that_where_the_arm_is_asked_down(
    equipped: dict[str, tuple[LaneSettings, GateConfig]],
) -> None:
    extra_s = {}
    for name in (LANE_IN, LANE_OUT):
        vehicle = a_vehicle(name, 12.0)
        at_once_s = shortest_s(vehicle, *equipped[name])
        extra_s[name] = shortest_s(vehicle, *equipped[name], free_s=0.8) - at_once_s
    assert extra_s[LANE_IN] == pytest.approx(0.8, abs=0.06)
    assert extra_s[LANE_OUT] == pytest.approx(0.0, abs=0.06)


def test_a_vehicle_that_cannot_be_identified_never_comes_through_the_ideal_lane(
    equipped: dict[str, tuple[LaneSettings, GateConfig]],
) -> None:
    nameless = Vehicle(id="v1", lane=LANE_IN, arrives_s=0.0, plate=None, tag=None)
    with pytest.raises(RuntimeError, match="v1 did not come through"):
        shortest_s(nameless, *equipped[LANE_IN])


@pytest.mark.parametrize(("count", "found"), [(1, 1.0), (30, 30.0), (100, 99.0), (200, 198.0)])
def test_p99_is_a_value_that_was_measured(count: int, found: float) -> None:
    assert lane._p99([float(number) for number in range(count, 0, -1)]) == found


def test_what_a_kill_left_is_counted_in_the_file_and_not_believed(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.sqlite", device="lane-bench-1", reserve_bytes=0) as journal:
        journal.commit([storing_ours.a_fact(1), storing_ours.a_fact(2)])
        assert storing_ours.kept(tmp_path) == 2


# --- each bench in small ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "names"),
    [
        (ruling.run, ["raw point read", "ruling", "the same, 100 × the records"]),
        (durable.run, ["fdatasync of 4 KiB appended", "fdatasync of 4 KiB laid out", "ruling + use + order"]),
        (
            records.run,
            [
                "raw executemany",
                "sqlite_utils.upsert_all",
                "applied from the feed",
                "the same",
                "snapshot",
                "the same",
            ],
        ),
        pytest.param(
            ingest.run,
            [
                "facts durable at the hub",
                "PostgreSQL, 1 worker",
                "CPU a fact, 1 worker",
                "PostgreSQL, 2 workers",
                "CPU a fact, 2 workers",
                "PostgreSQL, 4 workers",
                "CPU a fact, 4 workers",
            ],
            marks=[NEEDS_POSTGRES, IN_PROVE],
            id="ingest",
        ),
        pytest.param(
            drain.run, ["paho, 500 bytes a fact", "facts drained"], marks=pytest.mark.system, id="drain"
        ),
        pytest.param(
            storing.run,
            [
                "journal, 1 a commit, synced",
                "the same after kill -9, of 50 accepted",
                "journal, 10 a commit, synced",
                "the same after kill -9, of 50 accepted",
                "journal, 1000 a commit, synced",
                "the same after kill -9, of 50 accepted",
            ],
            marks=[pytest.mark.system, IN_PROVE],
            id="storing",
        ),
        pytest.param(
            alarms.run,
            ["one queue (paho): an alarm waits", "alarm acknowledged, p99"],
            marks=[pytest.mark.system, IN_PROVE],
            id="alarms",
        ),
        pytest.param(
            xray.run,
            [
                "colours, materials, score",
                "the plain float-numpy path",
                "p95",
                "p95 on the wall",
                "pictures a second a core",
                "another view of the same picture",
                *(
                    name
                    for count in (5, 10)
                    for name in (
                        f"score that 5 % of normal parcels pass, {count} references",
                        "  wrong goods found",
                        "  one of two pieces missing found",
                        *(f"  {extra} found" for extra in EXTRAS),
                    )
                ),
                *(
                    name
                    for references in ("of 1, 2 and 3 pieces", "of the declared number")
                    for name in (
                        f"score that 5 % of normal parcels pass, references {references}",
                        "  one of two pieces missing, found",
                        "  one sent for two, in its own carton, found",
                    )
                ),
            ],
            marks=[IN_PROVE, pytest.mark.timeout(600)],
            id="xray",
        ),
        pytest.param(
            vault.run,
            [
                "point read, plain",
                "point read, enciphered",
                "a verdict's reads, plain",
                "a verdict's reads, enciphered",
                "the slowest of them, enciphered",
                "first verdict after a start",
                "opening, enciphered",
                "unlocking by a PIN",
                "RssAnon after the reads, enciphered",
                "durable commit, enciphered",
                "a snapshot's pages onto the disk, enciphered",
            ],
            marks=[pytest.mark.system, IN_PROVE],
            id="vault",
        ),
        pytest.param(
            live.run,
            [
                "picture there, wide line",
                "line falls to 0.4 Mbit/s: pictures fit it",
                "line is wide again: large pictures",
                "facts drained alone",
                "facts drained beside a live session",
                "the same over 2 Mbit/s, alone",
                "beside a live session",
            ],
            marks=[pytest.mark.system, IN_PROVE],
            id="live",
        ),
        pytest.param(
            lane.run,
            [
                "last byte → relay byte, median",
                "last byte → relay byte, p99",
                "the same with a claim, median",
                "the claim alone, median",
                "the stability window, median",
                "frame that made it stable → relay byte",
                "physics' minimum lane time",
                "lane time",
                "the same, clear_s in the minimum",
                "start → safe and listening",
                "RssAnon after the start",
                "RssAnon after 5 passages",
                "CPU when idle",
            ],
            marks=[
                pytest.mark.system,
                pytest.mark.timeout(300),
                IN_PROVE,
            ],
            id="lane",
        ),
    ],
)
def test_a_bench_runs_through_and_measures_something(
    run: Callable[[Path, float], Bench], names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = run(tmp_path, SMALL)
    assert [figure.name for figure in bench.figures] == names
    assert min(figure.value for figure in bench.figures) > 0
    assert [figure.ratio for figure in bench.figures if figure.met is not None and not figure.ratio] == []
    show([bench], as_json=True)
    assert len(capsys.readouterr().out.splitlines()) == len(names)
