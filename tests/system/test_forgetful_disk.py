"""Power cuts on a disk that forgets everything not synced: nothing told is lost, nothing is doubled (G1-G3).

A lane's stores and a hub's live through some days under `strace`; then the power is cut at instants drawn
from all of them, at the lane, at the hub or at both, and both are started again on what the disk kept. That
the promises of `synchronous=FULL` and of each `fsync` carry this is proved by breaking them: it fails then.

`KAKOU_POWER_CUTS` says how many instants in all.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.hub.archive import ArchiveRefused
from sync.link.keys import public_pem
from sync.store.journal import JournalFull, StoreRefused, verify_journal
from sync.vocabulary.facts import PassageOpened, Stream
from tests.system.crash_site import IN_PROVE
from tests.world.forgetful_disk import Call, CannotTrace, Disk, Kept, calls, record
from tests.world.life import LANE
from tests.world.reckoning import Told, lost_at_the_hub, lost_at_the_lane, unequal_at_the_end
from tests.world.two_ends import Site, key

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

CUTS = int(os.environ.get("KAKOU_POWER_CUTS", "16"))
CUTS_IN_A_LIFE = 250
PASSAGES = 16 if CUTS < CUTS_IN_A_LIFE else 120
FOLDERS = (LANE, "hub")
SIDES = ("both", LANE, "hub", "nobody")
"""Whose power is cut; `nobody`: both are killed, which the disk survives."""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """In memory where there is such a place: what is tested is the disk of the trace, not this one."""
    parent = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="kakou-cuts-", dir=parent if os.access(parent, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def traced_program(trace: Path, *arguments: str) -> list[Call]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    try:
        record([sys.executable, *arguments], trace, env)
    except CannotTrace as why:
        pytest.skip(str(why))
    return list(calls(trace))


def traced(folder: Path, seed: int, passages: int, lie: str = "") -> tuple[Path, list[Call]]:
    """A life lived under `strace`: where, and what it asked of the disk."""
    root = folder / "lived"
    for name in FOLDERS:
        (root / "data" / name).mkdir(parents=True)
    lies = [lie] if lie else []
    life = ("-m", "tests.world.life", str(root), str(seed), str(passages), *lies)
    return root, traced_program(folder / "trace", *life)


@dataclass(frozen=True)
class Plan:
    """How often the power is cut, whose, and what the disk may have kept."""

    cuts: int
    seed: int
    sides: tuple[str, ...] = SIDES
    kept: tuple[Kept, ...] = tuple(Kept)


@dataclass
class Seen:
    """What the cuts of one life came to."""

    cuts: int = 0
    facts: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def cut_again_and_again(
    root: Path, trace: list[Call], scratch: Path, plan: Plan, enough: Callable[[Seen], bool] = lambda _: False
) -> Seen:
    draw = random.Random(f"cuts/{plan.seed}")
    disk = Disk(root / "data", FOLDERS)
    instants = sum(1 for call in trace if disk.follow(call))
    chosen = sorted(draw.sample(range(1, instants + 1), min(plan.cuts, instants)))
    seen, disk, instant = Seen(), Disk(root / "data", FOLDERS), 0
    for call in trace:
        instant += disk.follow(call)
        if not chosen or instant != chosen[0]:
            continue
        chosen.pop(0)
        kept, side = draw.choice(plan.kept), draw.choice(plan.sides)
        site, told = scratch / f"{instant}", Told.of(disk.told)
        (site / "data").mkdir(parents=True)
        lay_out(disk, site / "data", draw, kept, side)
        found = live_on(site, told, plan.seed + instant)
        shutil.rmtree(site)
        seen.cuts += 1
        seen.kinds[f"{side}/{kept.value}"] += 1
        seen.facts = len(told.facts)
        where = f"instant {instant} of {instants}, {side}, {kept.value} kept"
        seen.problems += [f"{where}: {what}" for what in found]
        if enough(seen):
            break
    return seen


def lay_out(disk: Disk, data: Path, draw: random.Random, kept: Kept, side: str) -> None:
    for name in FOLDERS:
        if side in ("both", name):
            disk.write_after_power_cut(data, draw, kept, only=name)
        else:
            disk.write_now(data, only=name)
    archive = data / "hub" / "archive.sqlite"
    if archive.exists():
        # As if cut in the middle of a checkpoint: the hub looks whether its log is its own.
        archive.touch()


def live_on(folder: Path, told: Told, seed: int) -> list[str]:
    """Start both ends on what is left; everything wrong with them then, and when all is drained."""
    (folder / "keys").mkdir()
    (folder / "keys" / f"{LANE}.pub").write_bytes(public_pem(key(LANE).public_key()))
    more: list[str] = []
    site = Site(folder, LANE, random.Random(f"{seed}/after"), more.append)
    try:
        site.start_hub()
        problems = lost_at_the_hub(folder, LANE, told)
        site.start_lane()
        problems += lost_at_the_lane(folder, LANE, told)
        if problems:
            return problems
        site.commit((PassageOpened(1_000_001), Stream.ROUTINE))
        drained = site.run_until_drained()
        site.stop_lane(politely=True)
        site.stop_hub()
        if not drained:
            return ["it did not drain within 15 minutes"]
        after = Told.of("".join(f"{line}\n" for line in more if line.startswith("fact")).encode())
        told.facts += after.facts
        return verify_journal(folder / "data" / LANE / "journal.sqlite") + unequal_at_the_end(
            folder, LANE, told
        )
    except (ArchiveRefused, StoreRefused, JournalFull, OSError) as error:
        return [f"does not start again: {type(error).__name__}: {error}"]
    except sqlite3.Error as error:
        return [f"cannot be read: {error}"]


def replayed_wrong(root: Path, trace: list[Call], into: Path) -> list[str]:
    """Files that do not come out of the trace byte for byte as the program left them."""
    disk = Disk(root / "data", FOLDERS)
    for call in trace:
        disk.follow(call)
    disk.write_now(into)
    lived, replayed = files_below(root / "data"), files_below(into)
    return [name for name in sorted({*lived, *replayed}) if lived.get(name) != replayed.get(name)]


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("life", range(max(1, -(-CUTS // CUTS_IN_A_LIFE))))
def test_power_cut_at_any_instant_loses_nothing_told_and_doubles_nothing(
    tmp_path: Path, scratch: Path, life: int
) -> None:
    root, trace = traced(tmp_path, seed=life, passages=PASSAGES)
    assert replayed_wrong(root, trace, tmp_path / "replayed") == []
    cuts = min(CUTS, CUTS_IN_A_LIFE)
    seen = cut_again_and_again(root, trace, scratch, Plan(cuts, seed=life))
    print(f"life {life}: {seen.cuts} cuts, up to {seen.facts} facts told, {dict(seen.kinds)}")
    assert seen.problems == []
    assert seen.cuts == cuts


KEEPER = """
import os, sys
from pathlib import Path
from sync.store.folders import make_folder, sync_folder
folder = Path(sys.argv[1]) / "a" / "b"
make_folder(folder)
with (folder / "file").open("wb") as file:
    file.write(b"kept")
    file.flush()
    os.fsync(file.fileno())
sync_folder(folder)
"""


def test_a_folder_that_was_made_is_there_after_a_power_cut(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    trace = traced_program(tmp_path / "trace", "-c", KEEPER, str(tmp_path / "root"))
    disk = Disk(tmp_path / "root", ())
    for call in trace:
        disk.follow(call)
    disk.write_after_power_cut(tmp_path / "left", random.Random(1), Kept.NOTHING)
    assert files_below(tmp_path / "left") == {"a/b/file": b"kept"}


BROKEN_PROMISES = {
    "journal": "is not in the journal",
    "records": "is named by the journal",
    "archive": "was acknowledged up to",
    "fsync": "acknowledged facts, it calls itself",
}
"""Which of them is broken -> how that is found out."""


@pytest.mark.parametrize(
    "lie",
    ["journal", "archive", pytest.param("records", marks=IN_PROVE), pytest.param("fsync", marks=IN_PROVE)],
)
def test_the_same_test_fails_when_a_promise_to_the_disk_is_empty(
    tmp_path: Path, scratch: Path, lie: str
) -> None:
    def found(seen: Seen) -> bool:
        return any(BROKEN_PROMISES[lie] in problem for problem in seen.problems)

    root, trace = traced(tmp_path, seed=1, passages=12, lie=lie)
    plan = Plan(40, seed=1, sides=("both",), kept=(Kept.NOTHING, Kept.PREFIX))
    seen = cut_again_and_again(root, trace, scratch, plan, enough=found)
    print(f"{lie}: after {seen.cuts} cuts {seen.problems[-1:]}")
    assert found(seen)
