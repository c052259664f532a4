"""A config file is right as a whole, or everything wrong with it is listed."""

from __future__ import annotations

import enum
import os
import sys
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from edge.runtime.channels import ListenAddress, SerialAddress
from edge.runtime.config_reading import (
    ConfigRefused,
    ReferenceRow,
    SecretFile,
    _Reader,
    parse_config,
    read_config,
    reference_rows,
    reference_table,
)
from edge.runtime.supervisor import BackOff


class Role(enum.Enum):
    REQUIRED = "required"
    OPTIONAL = "optional"


class PlateNo(str):
    """A string that checks itself."""

    __slots__ = ()
    expected = "a plate such as 豫A12345"

    def __new__(cls, text: str) -> PlateNo:
        if not 7 <= len(text) <= 8:
            raise ValueError(f"expected {cls.expected}, got {text!r}")
        return super().__new__(cls, text)


class Line(msgspec.Struct, frozen=True, tag_field="by", tag="line"):
    """A serial line."""

    url: str


class Push(msgspec.Struct, frozen=True, tag_field="by", tag="push"):
    """The device connects to us."""

    port: Annotated[int, Meta(ge=0, le=65535)]


@dataclass(frozen=True)
class Tolerance:
    low_kg: Decimal = Decimal("0.1")
    high_kg: Decimal = Decimal(100)

    def __post_init__(self) -> None:
        if self.low_kg > self.high_kg:
            raise ValueError("expected low_kg not above high_kg")


@dataclass(frozen=True)
class Machine:
    role: Role
    """What the lane does without it."""
    at: Line | Push
    """How it is reached."""
    silent_after_s: float | None = None
    """Seconds without a reading | silence."""
    retries: Annotated[int, Meta(ge=0, le=9, description="Times to ask again.")] = 3


@dataclass(frozen=True)
class Site:
    name: Annotated[str, Meta(min_length=1, max_length=20)]
    devices: dict[str, Machine]
    claim_timeout_s: Annotated[float, Meta(gt=0)] = 3.0
    key: SecretFile | None = None
    journal: Path = Path("journal.sqlite")
    tolerance: Tolerance = field(default_factory=Tolerance)
    test_plates: tuple[PlateNo, ...] = ()
    direction: Literal["in", "out"] = "in"
    window: tuple[int, int] = (0, 5)
    ratio: float = 0.5
    verbose: bool = False
    label: int | str = 1


GOOD = """
name = "郑州"
claim_timeout_s = 2
key = "lane.key"
test_plates = ["豫A12345"]
window = [1, 2]
ratio = 1
label = "lane 1"

[tolerance]
low_kg = 0.3

[devices.scale]
role = "required"
at = { by = "line", url = "/dev/serial/by-id/x" }
silent_after_s = 1.5

[devices.camera]
role = "optional"
at = { by = "push", port = 8080 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key = tmp_path / "lane.key"
    key.write_text("  s3cr3t\n")
    key.chmod(0o600)
    return tmp_path


def errors_of(text: str, kind: type = Site, folder: Path = Path("/nowhere")) -> list[str]:
    with pytest.raises(ConfigRefused) as refused:
        parse_config(text, kind, path=folder / "lane.toml")
    return [str(error) for error in refused.value.errors]


def with_line(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def test_a_good_file_becomes_its_value_with_exact_decimals_and_paths_from_its_own_folder(
    folder: Path,
) -> None:
    path = folder / "lane.toml"
    path.write_text(GOOD, "utf-8")
    site = read_config(path, Site)
    assert site == Site(
        name="郑州",
        claim_timeout_s=2.0,
        key=SecretFile(folder / "lane.key"),
        test_plates=(PlateNo("豫A12345"),),
        window=(1, 2),
        ratio=1.0,
        label="lane 1",
        tolerance=Tolerance(low_kg=Decimal("0.3")),
        devices={
            "scale": Machine(Role.REQUIRED, Line("/dev/serial/by-id/x"), 1.5),
            "camera": Machine(Role.OPTIONAL, Push(8080)),
        },
    )
    assert type(site.claim_timeout_s) is float
    assert str(site.tolerance.low_kg) == "0.3"
    assert site.journal == Path("journal.sqlite")
    assert site.key is not None
    assert (site.key.read_text(), site.key.read_bytes()) == ("s3cr3t", b"  s3cr3t\n")


def test_every_error_is_listed_with_its_key_and_what_was_expected(folder: Path) -> None:
    text = """
name = ""
claim_timeout_s = "3s"
jurnal = "x"
test_plates = ["豫A12345", "x", 7]
direction = "up"
window = [1]
ratio = nan
verbose = 1
label = 1.5
zzz = 1
[tolerance]
low_kg = 7
high_kg = 6
[devices.scale]
"rôle" = "required"
role = "needed"
at = { by = "line", url = 5, baud = 9600 }
silent_after_s = -1
retries = 10
[devices."a b"]
at = { by = "cable" }
retries = true
"""
    assert errors_of(text, folder=folder) == [
        'name: expected text of 1 to 20 characters, got ""',
        'devices.scale.role: expected one of "required", "optional", got "needed"',
        "devices.scale.at.url: expected text, got 5",
        "devices.scale.at.baud: unknown key; known here: url, by",
        "devices.scale.silent_after_s: expected seconds as a number from 0, got -1",
        "devices.scale.retries: expected a whole number from 0 to 9, got 10",
        'devices.scale."rôle": unknown key; did you mean `role`?',
        'devices."a b".role: missing; expected one of "required", "optional"',
        'devices."a b".at.by: expected one of "line", "push", got "cable"',
        'devices."a b".retries: expected a whole number from 0 to 9, got true',
        'claim_timeout_s: expected seconds as a number above 0, got "3s"',
        "tolerance: expected low_kg not above high_kg",
        "test_plates[1]: expected a plate such as 豫A12345, got 'x'",
        "test_plates[2]: expected a plate such as 豫A12345, got 7",
        'direction: expected one of "in", "out", got "up"',
        "window: expected an array of 2: a whole number, a whole number, got [1]",
        "ratio: expected a number, got nan",
        "verbose: expected true or false, got 1",
        "label: expected a whole number or text, got 1.5",
        "jurnal: unknown key; did you mean `journal`?",
        f"zzz: unknown key; known here: {', '.join(Site.__dataclass_fields__)}",
    ]


def test_the_refusal_reads_as_a_list(tmp_path: Path) -> None:
    path = tmp_path / "lane.toml"
    path.write_text("name = 5\n")
    with pytest.raises(ConfigRefused) as refused:
        read_config(path, Site)
    assert str(refused.value) == (
        f"{path}: 2 errors\n"
        "  name: expected text of 1 to 20 characters, got 5\n"
        "  devices: missing; expected a table of tables"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = \n", r"expected TOML: Invalid value \(at line 1, column 8\)"),
        (b"name = 'a'\nname = 'b'\n", "expected TOML: Cannot overwrite a value"),
        (b"name = '\xff'\n", "expected a text file in UTF-8; byte 8 is not UTF-8"),
        (b"n = " + b"[" * 5000, "expected TOML"),
        (b"n = " + b"9" * 5000, "expected TOML"),
        (b"n = 1e99999999999999999999", "expected TOML|unknown key"),
    ],
    ids=["syntax", "twice", "encoding", "depth", "digits", "exponent"],
)
def test_what_is_no_toml_is_refused_with_the_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "lane.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigRefused, match=said):
        read_config(path, Site)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"none\.toml: 1 error\n  cannot be read: No such file"):
        read_config(tmp_path / "none.toml", Site)


def test_a_byte_order_mark_and_windows_line_ends_are_read_over(folder: Path) -> None:
    path = folder / "lane.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_config(path, Site).name == "郑州"


# --- secrets ---


SECRET_HERE = 'key = "lane.key"'


@pytest.mark.skipif(sys.platform == "win32", reason="modes as POSIX knows them")
@pytest.mark.parametrize(("mode", "accepted"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)])
def test_a_secret_open_to_everybody_is_refused(folder: Path, mode: int, accepted: bool) -> None:
    (folder / "lane.key").chmod(mode)
    try:
        parse_config(GOOD, Site, path=folder / "lane.toml")
        found: list[str] = []
    except ConfigRefused as refused:
        found = [str(error) for error in refused.errors]
    open_to_all = (
        f"{folder / 'lane.key'} is open to every user of this machine; chmod 600 {folder / 'lane.key'}"
    )
    assert found == ([] if accepted else [f"key: expected the path of a file with the secret; {open_to_all}"])


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_secret_that_may_not_be_read_is_refused(folder: Path) -> None:
    (folder / "lane.key").chmod(0o000)
    assert "may not be read by this user" in errors_of(GOOD, folder=folder)[0]


def test_a_secret_that_is_not_there_or_no_file_is_refused(folder: Path) -> None:
    (folder / "lane.key").unlink()
    assert errors_of(GOOD, folder=folder) == [
        f"key: expected the path of a file with the secret; {folder / 'lane.key'} cannot be read: "
        "No such file or directory"
    ]
    (folder / "lane.key").mkdir()
    assert "is not a file" in errors_of(GOOD, folder=folder)[0]


@pytest.mark.parametrize(
    "inline",
    ['key = """-----BEGIN PRIVATE KEY-----\nMC4CAQAw"""', "key = 31415926", 'key = ["31415926"]', 'key = ""'],
)
def test_a_secret_put_into_the_file_itself_is_never_repeated(folder: Path, inline: str) -> None:
    (error,) = errors_of(with_line(GOOD, SECRET_HERE, inline), folder=folder)
    assert error.startswith("key: expected the path of a file with the secret")
    assert "MC4CAQAw" not in error
    assert "31415926" not in error


def test_a_secret_is_not_in_its_text_form(folder: Path) -> None:
    secret = SecretFile(folder / "lane.key")
    assert repr(secret) == str(secret) == f"SecretFile('{folder / 'lane.key'}')"


# --- any values ---


scalars = st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.just(Decimal("nan")), st.decimals())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
near = st.sampled_from(
    ["name", "devices", "claim_timeout_s", "key", "journal", "tolerance", "window", "label"]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(table=st.dictionaries(near | st.text(max_size=6), values, max_size=6))
def test_no_content_at_all_breaks_the_reading(table: dict[str, Any]) -> None:
    reader = _Reader(Path("/nowhere"))
    reader.read(msgspec.inspect.type_info(Site), table, "", "")
    assert all(error.problem for error in reader.errors)
    assert reader.errors != []


class Numbers(msgspec.Struct, frozen=True):
    whole: Annotated[int, Meta(gt=2, lt=9)] = 5
    part: Annotated[float, Meta(ge=0.1, le=0.3, multiple_of=0.1)] = 0.1
    code: Annotated[str, Meta(pattern="^[A-Z]+$")] = "A"
    wait_s: Annotated[float, Meta(ge=-1)] = 0.0
    many: Annotated[list[int], Meta(min_length=1, max_length=2)] = []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("whole = 2", "whole: expected a whole number above 2 below 9, got 2"),
        ("whole = 9", "whole: expected a whole number above 2 below 9, got 9"),
        ("whole = 3.0", "whole: expected a whole number above 2 below 9, got 3.0"),
        ("part = 0.05", "part: expected a number from 0.1 to 0.3 in steps of 0.1, got 0.05"),
        ("part = 0.15", "part: expected a number from 0.1 to 0.3 in steps of 0.1, got 0.15"),
        ("part = inf", "part: expected a number from 0.1 to 0.3 in steps of 0.1, got inf"),
        ('code = "a"', 'code: expected text matching ^[A-Z]+$, got "a"'),
        ("wait_s = -2", "wait_s: expected seconds as a number from -1, got -2"),
        ("wait_s = 2024-01-01", "wait_s: expected seconds as a number from -1, got 2024-01-01"),
        ("many = []", "many: expected an array of 1 to 2 items, each a whole number, got []"),
        ("many = [1, 2, 3]", "many: expected an array of 1 to 2 items, each a whole number, got [1, 2, 3]"),
        ("many = ['x']", 'many[0]: expected a whole number, got "x"'),
        ("many = 1", "many: expected an array of 1 to 2 items, each a whole number, got 1"),
    ],
)
def test_bounds_are_kept_as_written(line: str, said: str) -> None:
    assert errors_of(line, Numbers) == [said]


@pytest.mark.parametrize(
    "line", ["whole = 3", "part = 0.3", "part = 0.1", "code = 'AB'", "wait_s = -1", "many = [1]"]
)
def test_bounds_let_their_edges_in(line: str) -> None:
    key, value = line.split(" = ")
    made = parse_config(line, Numbers, path=Path("/nowhere/x.toml"))
    assert getattr(made, key) == tomllib.loads(f"x = {value}")["x"]


def test_a_type_that_cannot_stand_in_toml_is_a_fault_of_the_program() -> None:
    class Odd(msgspec.Struct):
        what: bytes

    with pytest.raises(TypeError, match="config types cannot hold"):
        reference_table(Odd)


# --- the reference ---


def test_the_reference_has_every_key_with_default_and_meaning() -> None:
    rows = {row.key: row for row in reference_rows(Site)}
    assert list(rows) == [
        "name",
        "devices",
        "devices.<name>.role",
        "devices.<name>.at",
        "devices.<name>.at.by",
        "devices.<name>.at.url",
        "devices.<name>.at.port",
        "devices.<name>.silent_after_s",
        "devices.<name>.retries",
        "claim_timeout_s",
        "key",
        "journal",
        "tolerance",
        "tolerance.low_kg",
        "tolerance.high_kg",
        "test_plates",
        "direction",
        "window",
        "ratio",
        "verbose",
        "label",
    ]
    assert rows["name"] == ReferenceRow("name", "text of 1 to 20 characters", "required", "")
    assert rows["devices.<name>.role"].meaning == "What the lane does without it."
    assert rows["devices.<name>.retries"] == ReferenceRow(
        "devices.<name>.retries", "a whole number from 0 to 9", "3", "Times to ask again."
    )
    assert rows["devices.<name>.silent_after_s"].default == "not set"
    assert rows["claim_timeout_s"].expected == "seconds as a number above 0"
    assert rows["tolerance"].default == ""
    assert rows["tolerance.low_kg"].default == "0.1"
    assert rows["direction"].default == '"in"'
    assert rows["verbose"].default == "false"
    assert rows["key"].expected == "the path of a file with the secret"


def test_the_reference_is_a_markdown_table_that_a_bar_cannot_break() -> None:
    lines = reference_table(Site).splitlines()
    assert lines[:2] == ["| key | expected | default | meaning |", "|---|---|---|---|"]
    assert len(lines) == 2 + len(reference_rows(Site))
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}
    assert r"Seconds without a reading \| silence." in "\n".join(lines)


def test_every_choice_of_a_table_is_in_the_reference() -> None:
    tags = [(row.expected, row.meaning) for row in reference_rows(Site) if row.key.endswith(".by")]
    assert tags == [('"line"', "A serial line."), ('"push"', "The device connects to us.")]


@pytest.mark.parametrize("kind", [SerialAddress, ListenAddress, BackOff])
def test_what_the_runtime_itself_is_configured_by_can_be_read_and_is_explained(kind: type) -> None:
    rows = reference_rows(kind)
    defaults = "\n".join(f"{row.key} = {row.default}" for row in rows if row.default != "required")
    needed = {"url": '"COM3"', "host": '"127.0.0.1"', "port": "0"}
    asked = "\n".join(f"{row.key} = {needed[row.key]}" for row in rows if row.default == "required")
    made: object = parse_config(f"{asked}\n{defaults}", kind, path=Path("/nowhere/x.toml"))
    assert isinstance(made, kind)
    assert [row.key for row in rows if not row.meaning] == []
