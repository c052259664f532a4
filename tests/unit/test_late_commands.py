"""`kakou` starts with what the command at hand needs: a lane does without the hub's archive."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.late import PLACES

HEAVY = (
    "paho",
    "cryptography.x509",
    "sqlite3",
    "sync.hub",
    "sync.link",
    "rich.console",
    "rich.progress",
    "msgspec",
)


def loaded_after(statement: str) -> list[str]:
    """Of `HEAVY`, what a fresh interpreter has loaded."""
    said = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = said.stdout.split()
    return [heavy for heavy in HEAVY if heavy in modules]


@pytest.mark.parametrize(
    "statement",
    [
        "import edge.cli",
        "import edge.cli, typer.main; typer.main.get_command(edge.cli.app)",
    ],
    ids=["imported", "ready for its arguments"],
)
def test_the_commands_are_known_without_what_they_need(statement: str) -> None:
    assert loaded_after(statement) == []


def test_frames_are_decoded_without_hub_broker_or_database() -> None:
    run = "import edge.cli; sys.argv[1:] = ['frames', 'rfid.em125', '02AA03']"
    decoded = f"{run}\ntry: edge.cli.main()\nexcept SystemExit: pass\nimport sys"
    assert set(loaded_after(decoded)) <= {"msgspec"}


def test_a_lane_is_run_without_the_hub() -> None:
    assert "sync.hub" not in loaded_after("import edge.gate.starting")


def test_every_group_is_in_the_help_with_its_own() -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name in PLACES:
        assert f" {name} " in told
        own = runner.invoke(app, [name, "--help"])
        assert (own.exit_code, f"kakou {name} " in own.output) == (0, True)


def test_who_mistypes_a_group_is_told_which_is_meant() -> None:
    wrong = CliRunner().invoke(app, ["recrods"])
    assert (wrong.exit_code, "'records'" in wrong.output) == (2, True)
