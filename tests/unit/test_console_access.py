"""Who may open the console and what is kept of it: the command, the accounts page, the audit pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.console.accounts import accounts
from sync.link.keys import private_pem
from tests.console_rig import PASSWORD, ConsoleRig, console_rig, rostered
from tests.unit.test_centre_cli import HUB_TOML
from tests.unit.test_hub_device import HUB_KEY

NEW = "4604009"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[ConsoleRig]:
    with console_rig(tmp_path) as made:
        yield made


@pytest.fixture
def config(rig: ConsoleRig) -> Path:
    file = rig.folder / "hub.toml"
    file.write_text(HUB_TOML, encoding="utf-8")
    key = rig.folder / "hub.key"
    key.write_bytes(private_pem(HUB_KEY))
    key.chmod(0o600)
    return file


# --- the command ------------------------------------------------------------------------------------------


def _ask(config: Path, *words: str, typed: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["centre", words[0], str(config), *words[1:]], input=typed)
    assert PASSWORD not in done.stdout + done.stderr
    return done.exit_code, done.stdout + done.stderr


def test_a_rostered_officer_gets_an_account_by_the_command_and_signs_in(
    rig: ConsoleRig, config: Path
) -> None:
    rig.record("officers", NEW, rostered(NEW))
    words = ("console-account", NEW, "--role", "watch", "--role", "audit", "--by", "4604001")
    assert _ask(config, *words, typed=f"{PASSWORD}\n")[0] == 0
    assert rig.client(NEW).get("/sign-in").status_code == 200
    (kept,) = (each for each in accounts(rig.archive) if each.officer_no == NEW)
    assert (sorted(kept.roles), kept.active, kept.changed_by) == (["audit", "watch"], True, "4604001")
    act = rig.archive.acts(1)[0]
    assert (act.act, act.subject, act.officers) == ("console_account", NEW, ("4604001",))


@pytest.mark.parametrize(
    ("words", "typed", "code", "told"),
    [
        (("4604099", "--role", "watch", "--by", "4604001"), PASSWORD, 1, "not rostered"),
        (("4604001", "--role", "watch", "--by", "4604001"), "short", 1, "10 to 200 characters"),
        (("4604001", "--by", "4604001"), PASSWORD, 2, "expected --role"),
        (("4604001", "--role", "chief", "--by", "4604001"), PASSWORD, 2, "chief"),
        (("4604099", "--close", "--by", "4604001"), "", 1, "no account"),
    ],
)
def test_an_account_that_cannot_be_is_refused_in_words(
    config: Path, words: tuple[str, ...], typed: str, code: int, told: str
) -> None:
    assert _ask(config, "console-account", *words, typed=f"{typed}\n")[0] == code
    assert told in _ask(config, "console-account", *words, typed=f"{typed}\n")[1]


def test_a_closed_account_signs_in_no_more_and_the_list_says_so(rig: ConsoleRig, config: Path) -> None:
    assert _ask(config, "console-account", "4604003", "--close", "--by", "4604001")[0] == 0
    with pytest.raises(AssertionError):
        rig.client("4604003")
    lines = [json.loads(line) for line in _ask(config, "console-accounts", "--json")[1].splitlines()]
    assert [(line["officer_no"], line["active"]) for line in lines] == [
        ("4604001", True),
        ("4604002", True),
        ("4604003", False),
    ]
