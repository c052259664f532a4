"""`kakou …` as a person and as a script meet it: help, exit codes, JSON lines where nobody looks on."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from typer.testing import CliRunner

from edge.cli import app
from edge.devices.catalogue import PROTOCOLS
from hardware_sims.cast import LANE_IN, SCOPE
from sync.store.journal import Journal
from sync.vocabulary.facts import FactDraft, LaneReset, Stream
from tests.system.conftest import ROOT, LaneSite, Launcher, kakou
from tests.wire.test_device_frames import (
    FRAME_FILES,
    INVALID,
    SHARED_NAMES,
    VALID,
    data_of,
    messages_in,
    only,
    shared_file,
)

pytestmark = pytest.mark.system


def say(*args: str | Path, stdin: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `kakou ARGS` in this process; its stdout is no terminal."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- help -------------------------------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    """Every command by its words, groups left out."""
    found: dict[str, click.Command] = {}

    def collect(words: tuple[str, ...], command: Any) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[" ".join(words)] = command
            return
        for name, each in inner.items():
            collect((*words, name), each)

    collect((), typer.main.get_command(app))
    return found


def test_the_commands_are_those_of_the_design() -> None:
    groups = {
        "": "demo gate handheld hub xray sims doctor frames decode replay world bench",
        "records": "import digest diff receipts blobs rehearse retire show",
        "journal": "verify export",
        "slips": "issue key show verify",
        "references": "import",
        "enrol": "init hub device accept renew retire revoke bundle broker list lists crl draw-key",
        "centre": "lanes claims release-claim release-use commands alarms acts script "
        "release supplement board pictures close resync ask revoke wipe officer-pin pin-devices draw live "
        "console-account console-accounts move-archive",
        "centre order": "issue list withdraw",
    }
    assert set(commands()) == {
        f"{group} {name}".strip() for group, names in groups.items() for name in names.split()
    }


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_explains_itself(name: str) -> None:
    code, out, _ = say(*name.split(), "--help")
    command = commands()[name]
    assert code == 0
    assert command.help is not None
    assert " ".join(command.help.split())[:40] in " ".join(out.split())
    unexplained = [each.name for each in command.params if not getattr(each, "help", "explained")]
    assert [each for each in unexplained if each not in ("hex_frames", "file", "help")] == []
    # What stands in brackets is markup to who prints the help, and is not seen.
    assert [each.name for each in command.params if "[" in (getattr(each, "help", "") or "")] == []


@pytest.mark.parametrize("group", [(), ("records",), ("journal",), ("slips",), ("enrol",), ("centre",)])
def test_a_group_alone_lists_its_commands(group: tuple[str, ...]) -> None:
    _, out, err = say(*group)
    inner = [name.split()[len(group)] for name in commands() if name.split()[: len(group)] == list(group)]
    assert [name for name in inner if name not in out + err] == []


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "docs/operations.md"])
def test_what_the_guides_say_to_type_can_be_typed(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    groups = {name.rpartition(" ")[0] for name in commands()} - {""}
    words = "|".join(f"{group} " for group in sorted(groups, key=len, reverse=True))
    typed = set(re.findall(rf"(?:`|/)kakou ((?:{words})?[a-z][a-z-]*)", text))
    assert typed - set(commands()) - groups == set()
    assert typed != set()


def test_the_version_is_that_of_the_package() -> None:
    assert say("--version")[:2] == (0, "kakou 0.1.0\n")


@pytest.mark.parametrize(
    "args", [("frame",), ("frames",), ("gate",), ("doctor", "--livee", "x"), ("records", "x")]
)
def test_wrong_use_is_two(args: tuple[str, ...]) -> None:
    code, out, err = say(*args)
    assert (code, out, "Usage" in err) == (2, "", True)


# --- frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_golden_frame_is_one_json_line_that_says_what_its_source_says(protocol: str) -> None:
    wrong = []
    rows = [row for row in VALID if row["protocol"] == protocol]
    for row in rows:
        code, out, err = say("frames", protocol, data_of(row).hex(" "))
        told = lines(out)
        found = [only(m, keys) for m, keys in zip(messages_in(told), row["expect"], strict=False)]
        as_it_should = (code, len(told), err) == (0, row.get("rows", 1), "")
        if not as_it_should or found != row["expect"] or not all(line["ok"] for line in told):
            wrong.append(f"{row['id']}: {code} {out} {err}")
    assert wrong == []
    assert rows != []


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_golden_frame_that_is_none_is_refused_with_one_and_a_reason(protocol: str) -> None:
    wrong = []
    rows = [row for row in INVALID if row["protocol"] == protocol]
    for row in rows:
        code, out, err = say("frames", protocol, data_of(row).hex(":"))
        told = lines(out)
        refused = [(line["ok"], bool(line.get("error"))) for line in told]
        if (code, refused, err) != (1, [(False, True)], ""):
            wrong.append(f"{row['id']}: {code} {out} {err}")
    assert wrong == []
    assert rows != []


@pytest.mark.parametrize("name", FRAME_FILES)
def test_every_shared_vector_of_our_protocols_is_decoded_or_refused(name: str) -> None:
    wrong = []
    ours = [vector for vector in shared_file(name) if vector["proto"] in SHARED_NAMES]
    for vector in ours:
        code, out, _ = say("frames", SHARED_NAMES[vector["proto"]], vector["hex"])
        decoded = (code, [line["ok"] for line in lines(out)]) == (0, [True])
        if decoded != vector["expected_valid"] and not vector.get("either"):
            wrong.append(f"{vector['id']}: {code} {out}")
    assert wrong == []
    assert ours != []


def test_every_shared_camera_sample_is_decoded_or_refused() -> None:
    wrong = []
    ours = [vector for vector in shared_file("lpr_samples.json") if vector["vendor"] == "vzenith"]
    for vector in ours:
        data = json.dumps(vector["body"], ensure_ascii=False).encode()
        code, out, _ = say("frames", "plate_camera.vzenith", data.hex())
        if (code, [line["ok"] for line in lines(out)]) != (0, [True]):
            wrong.append(f"{vector['id']}: {code} {out}")
    assert wrong == []
    assert ours != []


def test_frames_come_from_stdin_too_and_one_bad_among_good_is_one() -> None:
    good = "02 2B 30 30 31 35 36 30 30 31 39 03"
    code, out, _ = say(
        "frames", "weighbridge.yaohua_tf0", stdin=f"{good}\n\n{good.replace('39', '38')}\n{good}\n"
    )
    assert code == 1
    assert [line["ok"] for line in lines(out)] == [True, False, True]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("weighbridge.yaohua", "02"), "weighbridge.yaohua_tf0"),
        (("weighbridge.yaohua_tf0", "0G"), "expected hex digits, got '0G'"),
    ],
)
def test_an_unknown_protocol_or_no_hex_is_wrong_use(args: tuple[str, ...], expected: str) -> None:
    code, out, err = say("frames", *args)
    assert (code, out, expected in err) == (2, "", True)


def test_on_a_terminal_frames_are_for_people(launch: Launcher) -> None:
    ours, theirs = os.openpty()
    try:
        shown = launch(
            kakou("frames", "weighbridge.yaohua_tf0", "02 2B 30 30 31 35 36 30 30 31 39 03", "02"),
            stdout=theirs,
        )
        os.close(theirs)
        assert shown.ended() == 1
        text = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
    assert "✔" in text
    assert "weight" in text
    assert "1560" in text
    assert "✘" in text


# --- journal ----------------------------------------------------------------------------------------------


def flip(journal: Path) -> None:
    """One letter of one fact, as a bad sector or a clever hand would; no column repeats it."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        changed = database.execute(
            """UPDATE facts SET body = replace(body, '"why":"', '"why":"x') WHERE kind = 'epoch_began'"""
        )
        assert changed.rowcount == 1
        database.commit()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, device=LANE_IN) as made:
        made.commit(
            [
                FactDraft(
                    f"e{n}", Stream.ROUTINE, "2026-01-01T00:00:00Z", "boot", 1, LaneReset(by=f"officer {n}")
                )
                for n in range(3)
            ]
        )
    return path


def test_a_whole_journal_is_proved(journal: Path) -> None:
    code, out, err = say("journal", "verify", journal)
    assert (code, err) == (0, "")
    assert lines(out) == [{"file": str(journal), "ok": True, "problems": []}]


def test_a_flipped_letter_is_found_and_its_fact_named(journal: Path) -> None:
    flip(journal)
    code, out, _ = say("journal", "verify", journal)
    (told,) = lines(out)
    assert (code, told["ok"]) == (1, False)
    assert told["problems"] != []
    assert "hash" in " ".join(told["problems"])


def test_an_exported_journal_can_be_checked_by_anyone(journal: Path) -> None:
    code, out, _ = say("journal", "export", journal)
    exported = lines(out)
    assert code == 0
    assert [(line["position"], line["kind"]) for line in exported] == [
        (1, "epoch_began"), (2, "lane_reset"), (3, "lane_reset"), (4, "lane_reset"),
    ]  # fmt: skip
    assert [hashlib.sha256(line["body"].encode()).hexdigest() for line in exported] == [
        line["hash"] for line in exported
    ]


def test_of_an_exported_journal_only_what_was_asked_for_is_told(journal: Path) -> None:
    _, out, _ = say("journal", "export", journal, "--from", "2", "--to", "3")
    assert [line["position"] for line in lines(out)] == [2, 3]
    assert say("journal", "export", journal, "--passage", "77")[:2] == (0, "")


def test_the_doctor_of_lanes_and_stations_says_that_it_is_none_of_another_program(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('[hub]\nsite = "x"\n', encoding="utf-8")
    code, out, _ = say("doctor", config)
    (told,) = lines(out)
    assert (code, told["check"], told["level"]) == (1, "config", "bad")
    assert "[lane] or [station]" in told["text"]


@pytest.mark.parametrize("command", ["verify", "export"])
def test_what_is_no_journal_is_refused_and_not_made(tmp_path: Path, command: str) -> None:
    missing, foreign = tmp_path / "missing.sqlite", tmp_path / "foreign.sqlite"
    foreign.write_bytes(b"hello\n" * 1000)
    for file, expected in ((missing, "exist"), (foreign, "not a journal file of kakou")):
        code, out, err = say("journal", command, file)
        assert code == 1
        assert str(file) in out + err
        assert expected in out + err
    assert not missing.exists()
    assert foreign.read_bytes() == b"hello\n" * 1000


# --- records ----------------------------------------------------------------------------------------------


def imported(site: LaneSite, *files: Path, more: tuple[str, ...] = ()) -> tuple[int, str, str]:
    return say("records", "import", site.site.hub_config, "--scope", SCOPE, *more, *files)


def rewrite(file: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    rows = json.loads(file.read_text(encoding="utf-8"))
    change(rows)
    file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def test_records_go_in_once_and_the_digest_of_both_ends_is_the_same(lane_site: LaneSite) -> None:
    files = lane_site.site.record_files()
    code, out, err = imported(lane_site, *files, more=("--json",))
    (told,) = lines(out)
    assert (code, err, told["deleted"], told["unchanged"], told["problems"]) == (0, "", 0, 0, [])
    assert told["put"] == told["number"] > 5
    again = lines(imported(lane_site, *files, more=("--json",))[1])
    assert again == [{**told, "put": 0, "unchanged": told["put"]}]

    edge = lane_site.give_records()
    code, out, _ = say("records", "digest", lane_site.site.archive, edge)
    hub_side, edge_side = lines(out)
    assert code == 0
    assert hub_side["digest"] == edge_side["digest"]
    assert [side["as_kept"] for side in (hub_side, edge_side)] == [True, True]
    assert hub_side["rows"] == edge_side["rows"] == str(told["put"])
    assert say("records", "diff", lane_site.site.archive, edge) == (0, "", "0 rows differ\n")


def test_rows_that_are_not_the_same_are_told_one_by_one(lane_site: LaneSite) -> None:
    edge = lane_site.give_records()
    folder = lane_site.site.folder / "records"
    plates: list[str] = []

    def change(rows: list[dict[str, Any]]) -> None:
        plates.append(rows[0]["plate"])
        rows[0]["carrier"] = "另一家物流"
        rows.append({**rows[0], "plate": "豫A00001", "tag_epcs": []})

    rewrite(folder / "vehicles.json", change)
    files = [file for file in lane_site.site.record_files() if file.stem != "enterprises"]
    assert imported(lane_site, *files)[0] == 0
    code, out, err = say("records", "diff", lane_site.site.archive, edge)
    told = {(line["difference"], line["collection"], line["key"]) for line in lines(out)}
    only_edge = {line for line in told if line[0] == "only_edge"}
    assert code == 1
    assert told - only_edge == {("changed", "vehicles", plates[0]), ("only_hub", "vehicles", "豫A00001")}
    assert {collection for _, collection, _ in only_edge} == {"enterprises"}
    assert err == f"{len(told)} rows differ\n"


def test_rows_absent_from_the_files_are_deleted_only_when_told_to(lane_site: LaneSite) -> None:
    files = lane_site.site.record_files()
    assert imported(lane_site, *files)[0] == 0
    vehicles = lane_site.site.folder / "records" / "vehicles.json"
    rewrite(vehicles, lambda rows: rows.clear())
    kept = lines(imported(lane_site, vehicles, more=("--json",))[1])
    gone = lines(imported(lane_site, vehicles, more=("--json", "--replace", "vehicles"))[1])
    assert ([line["deleted"] for line in kept], [line["deleted"] for line in gone]) == ([0], [1])


def test_a_bad_row_is_named_by_file_line_and_field_and_nothing_is_written(lane_site: LaneSite) -> None:
    vehicles = lane_site.site.folder / "records" / "vehicles.json"

    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[0]["tare_kg"] = "heavy"

    rewrite(vehicles, spoil)
    code, out, err = imported(lane_site, *lane_site.site.record_files())
    assert (code, out) == (1, "")
    assert re.search(rf"{re.escape(str(vehicles))}:\d+: .*tare_kg", err), err
    assert lines(say("records", "digest", lane_site.site.archive)[1]) == []


def test_bad_rows_can_be_left_out_and_are_counted(lane_site: LaneSite, tmp_path: Path) -> None:
    table = tmp_path / "vehicles.csv"
    row = json.loads((lane_site.site.folder / "records" / "vehicles.json").read_text(encoding="utf-8"))[0]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["plate", "plate_colour", "tag_epcs", "tare_kg", "state", "valid_until"])
        for plate, tare in ((row["plate"], "15000"), ("豫A00002", "-1"), ("豫A00003", "9000")):
            writer.writerow([plate, "yellow", "", tare, "active", row["valid_until"]])
    code, _, err = imported(lane_site, table)
    assert code == 1
    assert f"{table}:3: " in err
    assert "tare_kg" in err
    code, out, err = imported(lane_site, table, more=("--skip-bad",))
    assert code == 0
    assert f"left out: {table}:3: " in err
    assert out == f"{SCOPE}: 2 put, 0 deleted, 0 unchanged; log at 2\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("vehicles.json", b"{", "line 1: not readable as JSON"),
        ("vehicles.txt", b"x", "expected a name ending in .json, .csv, .xml or .sas"),
        ("vehicles.json", b'[{"plate": "\xff"}]', "vehicles.json"),
        ("slips.xml", b"<!DOCTYPE x [<!ENTITY e 'e'>]><x>&e;</x>", "slips.xml"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    lane_site: LaneSite, tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    code, out, err = imported(lane_site, file)
    assert (code, out) == (1, "")
    assert str(file) in err
    assert expected in err
    assert "Traceback" not in err


def test_a_scope_or_an_archive_that_is_not_there_is_refused_and_not_made(
    lane_site: LaneSite, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.sqlite"
    edge = lane_site.give_records()
    code, _, err = say("records", "import", lane_site.site.hub_config, "--scope", "x", edge)
    assert (code, f"expected one of {SCOPE}" in err) == (1, True)
    for args in (("digest", missing), ("diff", missing, edge)):
        code, out, err = say("records", *args)
        assert (code, out, "no such file" in err) == (1, "", True)
    assert not missing.exists()


def test_digest_and_diff_refuse_what_is_not_ours(lane_site: LaneSite, tmp_path: Path) -> None:
    foreign, records = tmp_path / "foreign.sqlite", tmp_path / "records-1.sqlite"
    foreign.write_bytes(b"hello\n" * 1000)
    records.write_bytes(b"hello\n" * 1000)
    assert imported(lane_site, *lane_site.site.record_files())[0] == 0
    for args in (("digest", foreign), ("digest", records), ("diff", lane_site.site.archive, records)):
        code, out, err = say("records", *args)
        assert (code, out) == (1, "")
        assert "Traceback" not in err
        assert "not a" in err


# --- other programs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (("sims", "no-such-scenario.toml"), 2, "no-such-scenario.toml"),
        (("world", "--seeds", "x"), 2, "--seeds: expected numbers such as 1-200, got x"),
        (("bench", "no-such-bench"), 2, ""),
    ],
)
def test_the_programs_behind_a_command_answer_with_its_exit_code(
    launch: Launcher, args: tuple[str, ...], code: int, expected: str
) -> None:
    ended = launch.run(kakou(*args))
    assert (ended.process.returncode, expected in ended.complained()) == (code, True), ended.complained()
    assert "Traceback" not in ended.complained()


def test_a_reader_that_goes_away_is_no_drama(journal: Path, launch: Launcher) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    export = launch(kakou("journal", "export", str(journal)), stdout=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    export.ended()
    assert "Traceback" not in export.complained()
