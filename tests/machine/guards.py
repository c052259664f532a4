"""Does every guard of the machines matter to some test? `python -m tests.machine.guards`, part of
`make prove`.

Every condition on the way to an order that moves the arm, or to a pulse at an X-ray line's diverter, is
taken out once, in a copy of the tree, and that machine's tests must fail. A guard is an operand of an `and`
or `or`, or a whole condition where it has none: of an `if`, a `case`, a comprehension, or a boolean a
function answers. Taken out means: the operand is dropped, the early return never happens, the case always
matches.

Which guards: of every function in `edge/gate/lane.py` from which an order or the phases `Raising`, `Lowering`
and `Reading` (the way out of a hold) can be reached, of the predicates those ask, and of every function in
`edge/gate/rules.py`. Of the X-ray station (`station.py` and the rooms of `deciding`): of every function from
which a pulse can be reached, of the predicates those ask, of those named in `JUDGING` (they decide what later
gets the pulse), and of every function in its `rules.py` and `association.py`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANE, RULES = "edge/gate/lane.py", "edge/gate/rules.py"
TARGETS = frozenset({"RaiseArm", "LowerArm", "Raising", "Lowering", "Reading"})
COPIED = (
    "edge",
    "sync",
    "hardware_sims",
    "tests/conftest.py",
    "tests/machine",
    "tests/postgres.py",
    "tests/unit",
    "pyproject.toml",
)
TESTS = (
    "tests/unit/test_lane_rules.py",
    "tests/unit/test_lane_rules_site.py",
    "tests/machine/test_lane.py",
    "tests/machine/test_lane_platform.py",
    "tests/machine/test_lane_complete.py",
    "tests/machine/test_lane_commands.py",
    "tests/machine/test_lane_review.py",
    "tests/machine/test_lane_review_3.py",
    "tests/machine/test_lane_world_finds.py",
    "tests/machine/test_lane_guards.py",
    "tests/unit/test_release_codes.py",
    "tests/machine/test_lane_stories.py",
)
STATION = "edge/xray_bridge/station.py"
DECIDING = "edge/xray_bridge/deciding"
JUDGING = frozenset(
    {
        "analysed",
        "case_of",
        "_chute_of",
        "_drawn_for_second",
        "_goes",
        "goods_found",
        "_is_waybill",
        "_judgement",
        "judged",
        "_jumped",
        "not_to_pass",
        "ready",
        "_refused",
        "_spoiled",
        "_triaged",
        "may_pass",
        "wedge_valid",
    }
)
XRAY_ROOMS = ("edge/xray_bridge/rules.py", "edge/xray_bridge/association.py")
XRAY_TESTS = (
    "tests/unit/test_xray_rules.py",
    "tests/unit/test_xray_association.py",
    "tests/machine/test_xray_station.py",
    "tests/machine/test_xray_review.py",
    "tests/machine/test_xray_guards.py",
)
LONGEST_S = 180
_NEEDED = (
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "hypothesis.strategies",
    "pytest",
    "edge.gate.config",
    "edge.gate.performer",
    "hardware_sims.site",
)
_LOADED_BEFORE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")

# (function, guard as written, what it became) -> why nobody can see that it is gone.
_TYPES = "says to the type checker what the caller has matched; never false here"
_TWICE = "`_rule_if_ready` asks the same itself, and looking early changes nothing"
_FASTER = "only saves time: every event that is no mere look at the belt, and every tick, does the same"
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("step", "station.in_flight is not None", "True"): (
        "nothing in flight is nothing to clear; what is unwritten still holds everything back"
    ),
    ("step", "_nothing_new(before, station, effects, event)", "False"): _FASTER,
    ("_nothing_new", "station.belt_mm is None", "False"): "told as unknown: then there are effects",
    ("_nothing_new", "before.belt is None", "False"): "before the first look nothing was reckoned as due",
    ("_nothing_new", "station.parcels is station.due_for", "True"): _FASTER,
    ("_nothing_new", "before.belt_mm is not None", "True"): _FASTER,
    ("_nothing_new", "before.belt.emergency is event.emergency", "True"): _FASTER,
    ("_nothing_new", "before.clearing is station.clearing", "True"): _FASTER,
    ("_nothing_new", "before.journal_ok is station.journal_ok", "True"): _FASTER,
    ("_count_parts", "not isinstance(lane.phase, Raising | Passing | Lowering)", "False"): (
        "an admission begins the count anew, and nobody counts before one"
    ),
    ("_is_trailer", "passage.beam_cleared_s is not None", "True"): _TYPES,
    ("_scale_loaded", "lane.scale_kg is not None", "True"): "a fresh weight is a weight",
    ("_still_here", "lane.scale_kg is None", "False"): "a fresh weight is a weight",
    ("_weight", "passage is None", "False"): _TYPES,
    ("_missing_devices", "needs.substitutes", "True"): "of none not one speaks",
    ("_rule_if_ready", "passage.findings is None", "False"): "identified means that they are there",
    ("_identity_complete", "other_s is not None", "True"): "set with the first plate, tag or code",
    ("_inspects_beyond", "findings.site is not None", "True"): "without a site record nothing is inspected",
    ("_hopeless", "passage.findings is None", "False"): _TYPES,
    ("_ask_claim", "passage.claim_id", "False"): "the number has not moved, so it is the same name again",
    ("_claim_unanswered", "passage is None", "False"): _TYPES,
    ("_admit", "vehicle is not None", "True"): "who is drawn for a check is known",
    ("_officer_released", "lane.passage is not None", "True"): _TYPES,
    ("_officer_released", "isinstance(lane.phase, Holding)", "True"): (
        "once admitted nobody asks for the officers again; the fact has them"
    ),
    ("_watch_passing", "isinstance(phase, Passing)", "True"): _TYPES,
    ("_watch_passing", "passage.cleared_s is None", "False"): "nothing under the arm sets it",
    ("_lower", "uses", "False"): "uses are never written without a fact",
    ("_silent", "isinstance(lane.phase, Reading)", "True"): _TWICE,
    ("_held", "lane.passage is not None", "True"): _TYPES,
    ("_choose_slips", "flaw is not None", "True"): "none of them is usable, so each has a flaw",
    ("rule", "not slips", "True"): "with slips there is no reason, so none that is the only one",
    ("_weight", "lane.passage.followed", "True"): "clears what is clear already",
    ("_weighed", "jumped", "True"): _TWICE,
    ("_weighed", "isinstance(lane.phase, Reading)", "True"): _TWICE,
    ("_curable", "ruling.verdict is Verdict.HOLD", "True"): "nothing that inspects can be cured",
    ("_platform_ruled", "passage is None", "False"): _TYPES,
    ("_platform_ruled", "not isinstance(phase, Consulting)", "False"): _TYPES,
    ("_platform_silent", "passage is None", "False"): _TYPES,
    ("_evidence", "passage is not None", "True"): _TYPES,
    ("_evidence", "passage is None", "False"): _TYPES,
    ("_look_again", "passage is None", "False"): _TYPES,
    ("_rule_if_ready", "passage is None", "False"): _TYPES,
    ("_records_changed", "lane.passage is not None", "True"): _TYPES,
    ("_platform_ordered", "passage is None", "False"): _TYPES,
    ("_lacks", "because.code is Reason.DEVICE_SILENT", "True"): "no other reason speaks of a device",
    ("_flaw", "site is not None", "True"): _TYPES,
    ("_around", "span.leading_mm <= to_mm", "True"): "what is farther off is neither candidate nor neighbour",
    (
        "_off",
        "span.trailing_mm is not None",
        "True",
    ): "asked of one that is near or overlaps: it has both edges",
    ("_spoiled", "parcel is None", "False"): "only what lies on the belt is spoiled",
    ("at_diverter", "at.number is not None", "True"): "no parcel is without a number",
    ("at_diverter", "at.off_mm is not None", "True"): _TYPES,
    ("_led", "parcel_of(station, parcel.number)", "False"): "overdue is recheck, and so is no verdict",
    ("_led", "parcel", "False"): _TYPES,
    ("goods_found", "goods.waybill_no != parcel.waybill_no", "True"): "counted again it is as many",
    ("judged", "desk is None", "False"): _TYPES,
    ("judged", "desk is not None", "True"): "late is said to a desk that is there",
    ("judged", "desk.shown_s is not None", "True"): "`_refused` says not_shown before",
    ("_drawn_for_second", "not settings.second_per_mille", "False"): "none of a thousand is drawn",
    ("judged", "parcel is None", "False"): _TYPES,
    ("_records", "goods is None", "False"): "`whose` and `bars` have asked the same before",
    ("_compared", "goods is not None", "True"): "`whose` has asked the same before",
}


@dataclass(frozen=True, slots=True)
class Guard:
    path: str
    function: str
    line: int
    begin: int
    """Byte offset into the file."""
    end: int
    source: str
    becomes: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.function, " ".join(self.source.split()), self.becomes


# --- finding them -----------------------------------------------------------------------------------------


def guards_of(path: str, text: str, functions: frozenset[str] | None = None) -> list[Guard]:
    """All guards of these functions (None: of every one), in the order of the file."""
    offsets = [0]
    for line in text.encode().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found: list[Guard] = []
    for function in ast.parse(text).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        if functions is not None and function.name not in functions:
            continue
        for node, becomes in _conditions(function):
            for operand, without in _operands(node, becomes):
                source = ast.get_source_segment(text, operand)
                if source is None or operand.end_lineno is None or operand.end_col_offset is None:
                    raise ValueError(f"{path}:{operand.lineno}: no source")
                begin = offsets[operand.lineno - 1] + operand.col_offset
                end = offsets[operand.end_lineno - 1] + operand.end_col_offset
                found.append(Guard(path, function.name, operand.lineno, begin, end, source, without))
    return sorted(found, key=lambda guard: (guard.begin, guard.end))


def _conditions(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, str]]:
    """Every condition, and what it is when it no longer guards."""
    for node in ast.walk(function):
        match node:
            case ast.If(test=test, body=body):
                leaves = isinstance(body[-1], ast.Return | ast.Continue | ast.Raise)
                yield test, "False" if leaves else "True"
            case ast.IfExp(test=test):
                yield test, "True"
            case ast.match_case(guard=ast.expr() as guard):
                yield guard, "True"
            case ast.comprehension(ifs=ifs):
                for each in ifs:
                    yield each, "True"
            case ast.Return(value=ast.BoolOp() as answer) | ast.Assign(value=ast.BoolOp() as answer):
                yield answer, "True"
            case ast.Return(value=ast.Compare() as answer) | ast.Assign(value=ast.Compare() as answer):
                yield answer, "True"
            case _:
                pass


def _operands(node: ast.expr, becomes: str) -> Iterator[tuple[ast.expr, str]]:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            for each in values:
                yield from _operands(each, "True")
        case ast.BoolOp(op=ast.Or(), values=values):
            for each in values:
                yield from _operands(each, "False")
        case ast.UnaryOp(op=ast.Not(), operand=ast.BoolOp() as inner):
            yield from _operands(inner, becomes)
        case _:
            yield node, becomes


def on_the_way(text: str, targets: frozenset[str] = TARGETS) -> frozenset[str]:
    """Functions that can reach one of these, and the predicates asked by those."""
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    calls = {name: _called(node) for name, node in functions.items()}
    reaching = {name for name in functions if calls[name] & targets}
    while more := {name for name in functions if name not in reaching and calls[name] & reaching}:
        reaching |= more
    asked = reaching
    while more := {called for name in asked for called in calls[name] if called in functions} - asked:
        asked = asked | {name for name in more if _is_predicate(functions[name])}
        if not any(_is_predicate(functions[name]) for name in more):
            break
    return frozenset(asked)


def _called(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _is_predicate(function: ast.FunctionDef) -> bool:
    """It answers something a caller decides on: a yes or no, or a value that may be missing."""
    answer = ast.unparse(function.returns) if function.returns is not None else ""
    plain = ("bool", "str", "tuple[str, ...]", "tuple[Epc, ...]", "frozenset[str]", "Lane")
    return answer in plain or answer.endswith("| None")


def all_guards(root: Path) -> list[Guard]:
    lane = (root / LANE).read_text("utf-8")
    rules = (root / RULES).read_text("utf-8")
    deciding = [each.relative_to(root).as_posix() for each in sorted((root / DECIDING).glob("*.py"))]
    machine = {path: (root / path).read_text("utf-8") for path in (STATION, *deciding)}
    names = [name for text in machine.values() for name in re.findall(r"^def (\w+)", text, re.MULTILINE)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"two of the station's functions have one name, so calls cannot be told apart: {twice}"
        )
    pulsing = on_the_way("".join(machine.values()), frozenset({"Pulse"})) | JUDGING
    rooms = [(path, (root / path).read_text("utf-8")) for path in XRAY_ROOMS]
    return [
        *guards_of(LANE, lane, on_the_way(lane)),
        *guards_of(RULES, rules),
        *(guard for path, text in machine.items() for guard in guards_of(path, text, pulsing)),
        *(guard for path, text in rooms for guard in guards_of(path, text)),
    ]


def tests_of(path: str) -> tuple[str, ...]:
    """Those that have to notice when something is missing there."""
    return XRAY_TESTS if path.startswith("edge/xray_bridge/") else TESTS


def changed_lines(revision: str, path: str) -> set[int]:
    """Numbers of lines that are other or new since then, as the file stands now."""
    git = ["git", "diff", "--unified=0", revision, "--", path]
    diff = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    hunks = re.findall(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", diff, re.MULTILINE)
    return {line for first, count in hunks for line in range(int(first), int(first) + int(count or 1))}


# --- taking them out --------------------------------------------------------------------------------------


def copy_tree(folder: Path) -> None:
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def without(text: str, guard: Guard) -> str:
    raw = text.encode()
    return (raw[: guard.begin] + guard.becomes.encode() + raw[guard.end :]).decode()


class _FirstFailure:
    """A pytest plugin that keeps the name of what failed first."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: object) -> None:
        if getattr(report, "failed", False) and not self.name:
            self.name = str(getattr(report, "nodeid", ""))

    def pytest_collectreport(self, report: object) -> None:
        self.pytest_runtest_logreport(report)


def run_tests(tree: Path, tests: tuple[str, ...] = TESTS) -> str:
    """In a process of its own, libraries already loaded. Answers what failed, "" if nothing did."""
    answer = tree / "answer.txt"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _be_the_tests(tree, answer, tests)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"stopped by {signal.Signals(os.WTERMSIG(status)).name} after at most {LONGEST_S} s"
    if not answer.exists():
        raise RuntimeError(f"the tests did not run: {(tree / 'output.txt').read_text('utf-8')}")
    return answer.read_text("utf-8")


def _be_the_tests(tree: Path, answer: Path, tests: tuple[str, ...]) -> None:
    """Never returns."""
    import pytest

    try:
        signal.alarm(LONGEST_S)
        os.chdir(tree)
        sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
        sys.dont_write_bytecode = True
        for name in [
            n
            for n in sys.modules
            if n in ("edge", "tests")
            or n.startswith(("edge.gate", "edge.xray_bridge", "edge.runtime.values", "tests."))
        ]:
            del sys.modules[name]
        with (tree / "output.txt").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            first = _FirstFailure()
            there = [name for name in tests if (tree / name).exists()]
            code = pytest.main(
                ["-x", "-q", "--no-header", "-p", "no:cacheprovider", *_LOADED_BEFORE, *there],
                plugins=[first],
            )
        answer.write_text(first.name or ("" if code == 0 else f"pytest ended with {int(code)}"), "utf-8")
    except BaseException:  # noqa: BLE001  whatever it was, it belongs into the output the parent shows
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(0)


def take_out(guards: list[Guard], folder: Path, report: Path) -> None:
    """One after the other in one copy of the tree; a line of the report for each."""
    copy_tree(folder)
    with report.open("w", encoding="utf-8") as lines:
        for guard in guards:
            path = folder / guard.path
            whole = path.read_text("utf-8")
            path.write_text(without(whole, guard), "utf-8")
            caught = run_tests(folder, tests_of(guard.path))
            path.write_text(whole, "utf-8")
            lines.write(f"{caught}\n")
            lines.flush()
            _say(guard, caught)


def _say(guard: Guard, caught: str) -> None:
    source = " ".join(guard.source.split())
    if not caught:
        reason = EQUIVALENT.get(guard.key)
        verdict = f"equivalent: {reason}" if reason else "SURVIVED"
    else:
        verdict = caught.removeprefix("tests/")
    print(f"{guard.path}:{guard.line} {guard.function}: {source} -> {guard.becomes}: {verdict}", flush=True)


def main() -> int:
    """0 when every guard is caught or listed as equivalent; 1 otherwise, naming what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.guards", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only list the guards")
    parser.add_argument("--only", default="", help="only guards whose file, function or source contains this")
    parser.add_argument("--since", default="", help="only guards on lines changed since this Git revision")
    parser.add_argument("--workers", type=int, default=max(1, min(4, os.cpu_count() or 1)))
    chosen = parser.parse_args()
    known = all_guards(ROOT)
    stale = set(EQUIVALENT) - {guard.key for guard in known}
    guards = [guard for guard in known if chosen.only in f"{guard.path} {guard.function}: {guard.source}"]
    if chosen.since:
        changed = {path: changed_lines(chosen.since, path) for path in {guard.path for guard in guards}}
        guards = [guard for guard in guards if guard.line in changed[guard.path]]
    if chosen.list:
        for guard in guards:
            _say(guard, "listed")
        return 0
    _load_libraries()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kakou-guards-") as scratch:
        folder = Path(scratch)
        if not chosen.only and not chosen.since and not _whole_tree_passes(folder / "whole"):
            return 1
        shares = [guards[n :: chosen.workers] for n in range(chosen.workers)]
        children = []
        for number, share in enumerate(shares):
            child = os.fork()
            if child == 0:
                _be_a_worker(share, folder / f"tree-{number}", folder / f"report-{number}")
            children.append(child)
        ended = [os.waitpid(child, 0)[1] for child in children]
        if any(ended):
            return 1
        survivors = []
        for number, share in enumerate(shares):
            caught = (folder / f"report-{number}").read_text("utf-8").split("\n")[:-1]
            survivors += [
                g for g, by in zip(share, caught, strict=True) if not by and g.key not in EQUIVALENT
            ]
    for guard in sorted(survivors, key=lambda guard: (guard.path, guard.line)):
        _say(guard, "")
    for key in sorted(stale):
        print(f"listed as equivalent, but no longer there: {key}")
    took_s = time.monotonic() - began
    print(f"{len(guards)} guards, {len(survivors)} survived, {took_s:.0f} s")
    return 1 if survivors or stale else 0


def _be_a_worker(share: list[Guard], folder: Path, report: Path) -> None:
    """Never returns."""
    try:
        take_out(share, folder, report)
    except BaseException:  # noqa: BLE001  said by this process, and by its exit code
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _whole_tree_passes(folder: Path) -> bool:
    """Tests that fail anyway prove nothing."""
    copy_tree(folder)
    failed = run_tests(folder) or run_tests(folder, XRAY_TESTS)
    if failed:
        print(f"with every guard in place this fails: {failed}")
    return not failed


def _load_libraries() -> None:
    """What every run of the tests needs and no guard changes; the machines are loaded anew by each."""
    for name in _NEEDED:
        importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
