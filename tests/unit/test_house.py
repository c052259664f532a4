"""The house rules that no other tool checks: pages in step, one name for one thing, tests that can fail.

Reads the checkout's own text; imports nothing of ours.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
DOCS = HOUSE / "docs"
ARCHITECTURE = DOCS / "architecture.md"
LANE_GUARANTEES = DOCS / "decisions" / "0007-guarantees-of-the-lane.md"
PROGRAMS = ("edge", "sync", "hardware_sims", "bench")

LANE_NUMBERS = [f"S{n}" for n in range(13)]
OTHER_NUMBERS = [f"X{n}" for n in range(1, 4)] + [f"G{n}" for n in range(1, 12)]


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout: which files belong to the house is not known")
    return tuple(
        path for name in listed.stdout.decode().split("\0") if name and (path := HOUSE / name).is_file()
    )


def name_of(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((HOUSE / folder).rglob("*.py"))]


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


# --- pages --------------------------------------------------------------------------------------------------


def wordings(page: str) -> dict[str, str]:
    """Guarantee number -> its words, white space apart, from list items such as `- **S1** The barrier …`."""
    items = re.findall(r"^- \*\*([SXG]\d+)\*\* (.+?)(?=^- |^$|\Z)", page, re.MULTILINE | re.DOTALL)
    return {number: " ".join(words.split()) for number, words in items}


def table_rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table after the line that is `heading`."""
    after = page.split(f"\n{heading}\n", 1)
    lines = after[1].splitlines() if len(after) == 2 else []
    start = next((n for n, line in enumerate(lines) if line.startswith("|")), len(lines))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def test_every_guarantee_is_worded_in_the_architecture_page() -> None:
    assert sorted(wordings(ARCHITECTURE.read_text(encoding="utf-8"))) == sorted(LANE_NUMBERS + OTHER_NUMBERS)


def test_the_lanes_guarantees_have_the_same_words_in_their_decision() -> None:
    promised = wordings(ARCHITECTURE.read_text(encoding="utf-8"))
    decided = wordings(LANE_GUARANTEES.read_text(encoding="utf-8"))
    assert decided == {number: promised[number] for number in LANE_NUMBERS}


def test_every_guarantee_says_where_it_is_held_and_which_tests_hold_it_there() -> None:
    rows = table_rows(ARCHITECTURE.read_text(encoding="utf-8"), "### Where each is held")
    assert [row[0] for row in rows] == LANE_NUMBERS + OTHER_NUMBERS
    unheld = []
    for number, held, tests in rows:
        if not tests.startswith("not built: "):
            rooms, proofs = re.findall(r"`([\w/]+\.py)`", held), re.findall(r"`(tests/[\w/.]+)`", tests)
            missing = [path for path in rooms + proofs if not (HOUSE / path).exists()]
            unheld += [f"{number}: {path} does not exist" for path in missing]
            unheld += [f"{number}: names no room"] * (not rooms) + [f"{number}: names no test"] * (not proofs)
    assert unheld == []


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (DOCS / "decisions").glob("*.md"))
    assert [name[:5] for name in names] == [f"{number:04d}-" for number in range(len(names))]
    assert len(names) >= 8


def test_every_decision_is_one_page_with_its_number_and_its_three_parts() -> None:
    wrong = []
    for path in sorted((DOCS / "decisions").glob("*.md")):
        page = path.read_text(encoding="utf-8")
        headings = re.findall(r"^#+ .*$", page, re.MULTILINE)
        if not headings[0].startswith(f"# {path.name[:4]}. "):
            wrong.append(f"{path.name}: its first line does not bear its number")
        if headings[1:] != ["## Context", "## Decision", "## Consequences"]:
            wrong.append(f"{path.name}: expected context, decision, consequences, found {headings[1:]}")
        if len(page.split()) > 1100:
            wrong.append(f"{path.name}: longer than a page")
    assert wrong == []


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    astray = []
    for page in (path for path in tracked() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            there = (page.parent / file).resolve() if file else page
            if not there.exists():
                astray.append(f"{name_of(page)}: {target}")
            elif anchor and anchor not in anchors(there.read_text(encoding="utf-8")):
                astray.append(f"{name_of(page)}: {target} (no such heading)")
    assert astray == []


def test_refusals_in_the_operations_page_are_what_the_programs_say() -> None:
    said = " ".join(
        node.value
        for path in python_files("edge", "sync")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    rows = table_rows((DOCS / "operations.md").read_text(encoding="utf-8"), "### Stores")
    quoted = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row[0])]
    assert len(quoted) >= 8
    assert [quote for quote in quoted if quote not in said] == []


def test_reason_codes_in_the_operations_page_are_real() -> None:
    codes = set(re.findall(r'= "(\w+)"', (HOUSE / "sync/vocabulary/rulings.py").read_text(encoding="utf-8")))
    rows = table_rows((DOCS / "operations.md").read_text(encoding="utf-8"), "### Lane")
    assert rows
    assert {row[0].strip("`") for row in rows} - codes == set()


def test_alarm_codes_in_the_operations_page_are_real() -> None:
    codes = {
        node.value.value
        for path in (HOUSE / "sync/vocabulary/facts.py", HOUSE / "sync/hub/terms.py")
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    rows = table_rows((DOCS / "operations.md").read_text(encoding="utf-8"), "### Link and hub")
    quoted = {code for row in rows for code in re.findall(r"`(\w+)`", row[0])}
    assert len(quoted) >= 5
    assert quoted - codes == set()


def test_topics_in_the_architecture_page_are_those_of_the_link() -> None:
    made = set()
    for node in ast.walk(syntax(HOUSE / "sync/link/messages.py")):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
            if text.startswith("{}/{}/"):
                made.add(re.sub(r"\{.*?\}", "{}", text.removeprefix("{}/{}/")))
    written = set()
    for first, *_ in table_rows(ARCHITECTURE.read_text(encoding="utf-8"), "## Topics"):
        before = ""
        for quoted in re.findall(r"`([^`]+)`", first):
            topic = re.sub(r"\{.*?\}", "{}", quoted.replace("…", before.rsplit("/", 1)[0]))
            written.add(topic)
            before = topic
    assert made
    assert written == made


# --- nothing of the machine it was written on ---------------------------------------------------------------

# Put together here, so that this file does not contain what it looks for.
_HOST = r"[\w-]+(?:\.[\w-]+)+"
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:" + "|".join(("work", "farm", "home", "root", "Users")) + r")/\w")
REGISTRIES = re.compile(
    "|".join(
        (
            r"--(?:extra-)?index" + r"-url",
            r"--find" + r"-links",
            r"files\." + r"pythonhosted",
            r"pypi\." + r"(?:org|tuna|doubanio)",
            rf"https?://{_HOST}(?::\d+)?/(?:\S*/)?" + r"(?:simple|pypi)/",
        )
    )
)


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


@pytest.mark.parametrize("forbidden", [MACHINE_PATHS, REGISTRIES], ids=["machine paths", "registry hosts"])
def test_no_file_of_the_house_contains(forbidden: re.Pattern[str]) -> None:
    found = [
        f"{name_of(path)}: {match.group()}"
        for path in tracked()
        for match in forbidden.finditer(text_of(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("forbidden", "text"),
    [
        (MACHINE_PATHS, "see /" + "work/shared"),
        (MACHINE_PATHS, "(/" + "home/anna/kakou)"),
        (REGISTRIES, "pip install --index" + "-url x"),
        (REGISTRIES, "https://mirror.example.org/" + "simple/"),
    ],
)
def test_the_search_for_them_finds_what_it_should(forbidden: re.Pattern[str], text: str) -> None:
    assert forbidden.search(text)


# --- names --------------------------------------------------------------------------------------------------

# The right column of the glossary. `order`, `message`, `rule`, `pass` and `crossing` are left out: they have
# another sense in which the house needs them (an order to a device, a message on a wire, to rule, to pass).
SAY_INSTEAD = {
    "alert": "control, or alarm",
    "backend": "centre",
    "consumption": "slip use",
    "data": "reading, record or fact",
    "decision": "ruling",
    "form": "declaration",
    "gate": "lane",
    "input": "reading",
    "inputs": "reading",
    "job": "inspection",
    "log": "journal",
    "master": "record",
    "package": "parcel",
    "result": "ruling or finding",
    "sampling": "spot check",
    "server": "centre",
    "shard": "scope",
    "task": "inspection",
    "tenant": "scope",
    "ticket": "release slip",
    "transit": "passage",
}

# (word, where) -> the other sense it has there.
ALLOWED = {
    ("inputs", "edge/devices/"): "the digital inputs of an I/O board, as its data sheet calls them",
    ("inputs", "edge/gate/"): "the digital inputs of an I/O board, polarity resolved",
    ("input", "edge/gate/config.py"): "one digital input of an I/O board: its number and polarity",
    ("input", "edge/devices/plate_camera_vzenith/"): "the camera's own alarm input, in its push messages",
    ("form", "edge/devices/plate_camera_vzenith/"): "an HTTP form, as browsers and cameras encode it",
    ("gate", "edge/gate/config.py"): "the program's name: the config of `kakou gate`",
    ("gate", "edge/cli.py"): "the program's name: `kakou gate`",
    ("gate", "sync/vocabulary/records.py"): "which gate of a zone with two a lane belongs to (一卡, 二卡)",
    ("gate", "sync/hub/claiming.py"): "which gate of a zone with two a lane belongs to (一卡, 二卡)",
    ("server", "edge/gate/page.py"): "a method's name that HTTP servers ask for",
    ("log", "edge/gate/page.py"): "a method's name that HTTP servers ask for",
    ("result", "sync/store/records.py"): "what came of applying a batch; rulings are not meant",
    ("result", "sync/link/"): "of a command, as the contract names the topic",
    ("result", "sync/vocabulary/commands.py"): "of a command, as the contract names the topic",
    ("result", "sync/vocabulary/handheld_facts.py"): "what a laboratory reports (检测结果)",
    ("result", "sync/hub/asked.py"): "what a laboratory reports (检测结果)",
    ("result", "edge/handheld/inspection/"): "what a laboratory reports (检测结果)",
    ("result", "edge/handheld/screens/inspection.py"): "what a laboratory reports (检测结果)",
    ("input", "edge/handheld/screens/"): "a field that is typed into, as Kivy calls it",
    ("data", "sync/store/enciphered.py"): "the key that enciphers data, as key wrapping calls it",
    ("log", "edge/handheld/config.py"): "the table of settings for what the program says on stderr",
    ("log", "edge/xray_bridge/config.py"): "the table of settings for what the program says on stderr",
    ("log", "edge/gate/config.py"): "the table of settings for what the program says on stderr",
    ("log", "edge/runtime/"): "what a program says about itself on stderr; facts never go there",
    ("log", "sync/hub/"): "the numbered log of a scope, the glossary's own word",
    ("data", "edge/devices/customs_front_end/documents.py"): "a method's name that XML parsers ask for",
    ("data", "sync/hub/live_serving.py"): "a method's name that asyncio asks for",
    ("data", "sync/vocabulary/ceb.py"): "a method's name that XML parsers ask for",
    ("data", "sync/vocabulary/elements.py"): "a method's name that XML parsers ask for",
    ("data", "sync/vocabulary/sas.py"): "an element name of the SAS messages",
    ("data", "sync/store/verify.py"): "the `data` of a CloudEvent: what a fact says",
}


def words_of(identifier: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)]


def names_defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_names_use_the_houses_words() -> None:
    used, wrong = set(), []
    for path in python_files("edge", "sync"):
        for name in names_defined(syntax(path)):
            for word in set(words_of(name)) & SAY_INSTEAD.keys():
                sense = next(
                    (key for key in ALLOWED if key[0] == word and name_of(path).startswith(key[1])), None
                )
                if sense is None:
                    wrong.append(f"{name_of(path)}: {name}: say {SAY_INSTEAD[word]} for {word!r}")
                else:
                    used.add(sense)
    assert wrong == []
    assert ALLOWED.keys() - used == set(), "exceptions nobody needs any more"


def test_the_search_for_synonyms_sees_through_both_ways_of_writing() -> None:
    assert words_of("TransitResult") == ["transit", "result"]
    assert words_of("_read_transit_result2") == ["read", "transit", "result"]
    assert words_of("HTTPServer") == ["http", "server"]


def test_every_room_has_a_rule() -> None:
    rooms = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"}
    found = [
        name_of(path)
        for path in python_files(*PROGRAMS, "tests")
        if rooms & {part.removesuffix(".py") for part in path.relative_to(HOUSE).parts}
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    silent = []
    for path in python_files(*PROGRAMS):
        tree = syntax(path)
        if tree.body and not ast.get_docstring(tree):
            silent.append(name_of(path))
    assert silent == []


# --- tests that can fail ------------------------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef


def conditional_asserts(tree: ast.Module) -> list[int]:
    """Lines of asserts that check nothing when a condition is false: `assert a if b else c`, `… or True`."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            claims = [node.test]
            while claims:
                claim = claims.pop()
                if isinstance(claim, ast.BoolOp):
                    claims.extend(claim.values)
                always = isinstance(claim, ast.Constant) and bool(claim.value)
                if isinstance(claim, ast.IfExp) or always or isinstance(claim, ast.Tuple):
                    lines.append(node.lineno)
    return lines


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def claims_something(function: Function, claiming: frozenset[str] = frozenset()) -> bool:
    """An assert, an expectation of pytest's, or a call of a function that claims or is named for it."""
    expectations = {"raises", "warns", "fail", "deprecated_call"}
    return any(
        isinstance(node, ast.Assert)
        or (called := _called(node)) in expectations | claiming
        or called.lstrip("_").startswith(("assert_", "check_", "expect_"))
        for node in ast.walk(function)
    )


def claiming_functions(tree: ast.Module) -> frozenset[str]:
    """Functions of this file, tests aside, that claim something themselves or through one another."""
    functions = [
        node for node in ast.walk(tree) if isinstance(node, Function) and not node.name.startswith("test_")
    ]
    claiming: frozenset[str] = frozenset()
    while more := {f.name for f in functions if claims_something(f, claiming)} - claiming:
        claiming |= more
    return claiming


def promises_of(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node


def over_all_tests(find: Callable[[ast.Module], list[int]]) -> list[str]:
    return [f"{name_of(path)}:{line}" for path in python_files("tests") for line in find(syntax(path))]


def test_no_assert_hides_a_condition() -> None:
    assert over_all_tests(conditional_asserts) == []


def test_no_test_goes_without_a_claim() -> None:
    def idle(tree: ast.Module) -> list[int]:
        claiming = claiming_functions(tree)
        return [test.lineno for test in promises_of(tree) if not claims_something(test, claiming)]

    assert over_all_tests(idle) == []


def test_no_test_mocks() -> None:
    def mocking(tree: ast.Module) -> list[int]:
        lines = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            lines += [node.lineno for module in modules if module.startswith("unittest.mock")]
        return lines

    assert over_all_tests(mocking) == []


@pytest.mark.parametrize(
    "written",
    [
        "assert x == 1 if y else z",
        "assert a and (b if c else d)",
        "assert x == 1 or True",
        "assert (x == 1, 'always true')",
    ],
)
def test_an_assert_that_hides_a_condition_is_found(written: str) -> None:
    assert conditional_asserts(ast.parse(written)) == [1]


@pytest.mark.parametrize(
    "written", ["assert x == (1 if y else 2)", "assert a or b", "assert f(x if y else z)"]
)
def test_an_honest_assert_is_left_alone(written: str) -> None:
    assert conditional_asserts(ast.parse(written)) == []


@pytest.mark.parametrize(
    ("body", "claims"),
    [
        ("play(a)", False),
        ("assert play(a)", True),
        ("with pytest.raises(ValueError): play(a)", True),
        ("assert_whole(a)", True),
        ("self.check_chain(a)", True),
        ("recheck(a)", False),
    ],
)
def test_a_test_without_a_claim_is_told_from_one_with(body: str, claims: bool) -> None:
    function = ast.parse(f"def test_it():\n    {body}").body[0]
    assert isinstance(function, ast.FunctionDef)
    assert claims_something(function) is claims


def test_a_claim_is_found_through_the_functions_of_its_file() -> None:
    tree = ast.parse("def play(a):\n    look(a)\ndef look(a):\n    assert a\ndef idle(a):\n    print(a)\n")
    assert claiming_functions(tree) == {"play", "look"}


# --- commands -----------------------------------------------------------------------------------------------


def test_the_makefile_has_the_targets_the_pages_name() -> None:
    makefile = (HOUSE / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    pages = [HOUSE / "CONTRIBUTING.md", *(path for path in tracked() if path.name.startswith("README"))]
    for page in pages:
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named - targets == set(), page.name
    assert targets >= {"install", "demo", "test", "check", "bench", "prove", "lock"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_is_pinned_with_hashes(lock: str) -> None:
    text = (HOUSE / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if "#" not in line))
    assert len(entries) > 20
    unpinned = [
        entry.splitlines()[0]
        for entry in entries
        if not re.match(r"[\w.-]+==\S+.*--hash=sha256:", entry, re.DOTALL)
    ]
    assert unpinned == []


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (HOUSE / lock).read_text(encoding="utf-8"), re.MULTILINE))


def test_both_locks_agree_on_every_package() -> None:
    installed, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in installed} == installed


def test_everything_the_package_names_is_locked() -> None:
    project = (HOUSE / "pyproject.toml").read_text(encoding="utf-8")
    runtime = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    build = re.search(r"^requires = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    assert runtime
    assert build
    wanted = set(re.findall(r'"([\w-]+)', runtime[1] + build[1]))
    assert wanted - pins("requirements.lock").keys() == set()
