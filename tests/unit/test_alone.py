"""A second look at what failed never hides what fails twice, nor a wave of failures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import alone


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    file = tmp_path / "test_cases.py"
    file.write_text("def test_holds():\n    assert True\n\n\ndef test_breaks():\n    assert False\n")
    return file


def _listed(folder: Path, *tests: str) -> Path:
    file = folder / "lastfailed"
    file.write_text(json.dumps(dict.fromkeys(tests, True)))
    return file


def test_what_holds_alone_is_good(tmp_path: Path, cases: Path) -> None:
    assert alone.main(_listed(tmp_path, f"{cases}::test_holds")) == 0


def test_a_group_behind_a_name_is_no_part_of_it(tmp_path: Path, cases: Path) -> None:
    assert alone.main(_listed(tmp_path, f"{cases}::test_holds@site")) == 0
    assert alone._without_group("a.py::b[x@y]") == "a.py::b[x@y]"


def test_what_fails_again_is_a_failure(tmp_path: Path, cases: Path) -> None:
    assert alone.main(_listed(tmp_path, f"{cases}::test_holds", f"{cases}::test_breaks")) == 1


def test_many_failures_are_not_tried_again(tmp_path: Path, cases: Path) -> None:
    many = [f"{cases}::test_holds" for _ in range(1)] + [f"{cases}::x{n}" for n in range(alone.MOST)]
    assert alone.main(_listed(tmp_path, *many)) == 1


def test_no_list_is_a_failure(tmp_path: Path) -> None:
    assert alone.main(tmp_path / "nothing") == 1
    assert alone.main(_listed(tmp_path)) == 1
