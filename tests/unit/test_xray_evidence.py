"""Evidence of an X-ray station: whole or not at all, provable, and a full disk withholds the feed before it
loses anything."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest
from jsonschema import Draft202012Validator

from edge.xray_bridge.effects import KeepEvidence
from edge.xray_bridge.events import Event, EvidenceFailed, EvidenceKept, EvidenceShed, Room
from edge.xray_bridge.evidence.dicos import Scan
from edge.xray_bridge.evidence.keeping import EvidenceKeeper, Settings
from edge.xray_bridge.evidence.manifest import Machine, Manifest, Said, Taken, read
from edge.xray_bridge.evidence.store import EvidenceStore, Limits, sanitised
from edge.xray_bridge.values import Association, Verdict
from sync.store.journal import JournalFull
from sync.vocabulary.codec import to_json
from sync.vocabulary.xray_facts import ParcelXRayed, PictureTold, RegionTold, SuspectTold
from tests.dicos_checker import problems

MB = 1_000_000
UTC = "2026-03-02T01:00:05.000000Z"
PIXELS = np.full((20, 30), 3000, np.uint16)
PLENTY = Limits(most_bytes=1_000 * MB, keep_free_bytes=0, room_bytes=0, keep_days=30, keep_held_days=60)


class Clock:
    def __init__(self, utc: str = UTC) -> None:
        self.utc, self.known, self.now_s = utc, True, 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_text(self) -> str:
        return self.utc

    def boot_id(self) -> str:
        return "boot"

    def uncertainty_ms(self) -> int:
        return 5 if self.known else -1


def scan(picture: str = "x1-17", side: int = 0) -> Scan:
    pixels = PIXELS if not side else np.full((side, side), 3000, np.uint16)
    taken = Taken(
        picture=picture,
        width_px=pixels.shape[1],
        height_px=pixels.shape[0],
        taken_utc="2026-03-02T01:00:00.000000Z",
        machine=Machine(device="line-1"),
        air_low=4095,
        air_high=4095,
    )
    return Scan(taken, pixels, pixels, preview=b"\xff\xd8 jpeg \xff\xd9")


def x_rayed(verdict: Verdict, by: str, **more: Any) -> ParcelXRayed:
    return ParcelXRayed(parcel=17, waybill_no="SF1", picture="x1-17", verdict=verdict, by=by, **more)


MACHINE = x_rayed(
    Verdict.RECHECK,
    "machine",
    reasons=("score:4.1",),
    suspects=(SuspectTold("heavier", "偏重", "heavier", left=0.1, top=0.1, width=0.5, height=0.5),),
)
OFFICER = x_rayed(
    Verdict.FLAGGED,
    "officer",
    officer="31001234",
    category="undeclared",
    regions=(RegionTold(0.2, 0.2, 0.2, 0.2, "prohibited_item", "刀具"),),
    took_s=2.5,
    preview="x" * 20_000,
)


def asked(
    picture: str = "x1-17",
    *,
    judged: ParcelXRayed | None = None,
    machine: ParcelXRayed | None = MACHINE,
    keep_class: str = "routine",
    waybill_no: str = "SF1",
    verdict: Verdict = Verdict.RECHECK,
    ago_s: float = 1.0,
) -> KeepEvidence:
    match = PictureTold(
        picture=picture, association="matched", parcel=17, leading_mm=100.0, trailing_mm=400.0
    )
    said = Said(
        match=match,
        rule="edges within 60 mm, length, unique",
        machine=machine,
        machine_ago_s=ago_s,
        judged=judged,
        judged_ago_s=None if judged is None else ago_s,
    )
    raw = msgspec.Raw(to_json(said))
    return KeepEvidence(picture, 17, waybill_no, Association.MATCHED, verdict, raw, keep_class)


def store(folder: Path, limits: Limits = PLENTY, **more: Any) -> EvidenceStore:
    made = EvidenceStore(folder, limits, free_bytes=more.pop("free_bytes", lambda _: 10**12), **more)
    made.open()
    return made


class Keeper:
    """A keeper whose one thread is the test's."""

    def __init__(self, store: EvidenceStore, clock: Clock | None = None, **settings: Any) -> None:
        self.events: list[Event] = []
        self.forgotten: list[str] = []
        self.clock = clock or Clock()
        self.keeper = EvidenceKeeper(
            store,
            Settings(station="xray-1", site="zhengzhou", version="1.0", **settings),
            clock=self.clock,
            put=self.events.append,
            forget_blobs=self.forgotten.extend,
        )

    def keep(self, effect: KeepEvidence, scan: Scan | None) -> Event:
        self.keeper.keep(effect, scan)
        self.take()
        return next(
            event for event in reversed(self.events) if isinstance(event, EvidenceKept | EvidenceFailed)
        )

    def take(self) -> None:
        self.keeper._take(self.keeper._waiting.get_nowait())

    def of(self, *kinds: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]


def tree(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    )


PLACE = "2026-03-02/SF1/x1-17"


# --- what is kept -------------------------------------------------------------------------------------------


def test_a_parcels_files_and_their_manifest(tmp_path: Path) -> None:
    kept = Keeper(store(tmp_path)).keep(asked(judged=OFFICER, keep_class="held"), scan())
    names = ["high.dcs", "low.dcs", "machine.dcs", "manifest.json", "operator.dcs", "preview.jpg"]
    assert tree(tmp_path) == [f"{PLACE}/{name}" for name in names]
    place = tmp_path / PLACE
    data = (place / "manifest.json").read_bytes()
    manifest = read(data)
    assert isinstance(kept, EvidenceKept)
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    for file in manifest.files:
        content = (place / file.name).read_bytes()
        assert (file.sha256, file.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert kept.size_bytes == len(data) + sum(file.size_bytes for file in manifest.files)
    assert kept.files == 5
    assert [problems((place / name).read_bytes()) for name in names if name.endswith(".dcs")] == [[]] * 4
    assert manifest.said.match is not None
    assert (manifest.said.match.leading_mm, manifest.verdict) == (100.0, "recheck")
    assert manifest.machine_utc == manifest.judged_utc == "2026-03-02T01:00:04.000000Z"
    assert manifest.said.judged is not None
    assert manifest.said.judged.preview == ""


def test_the_same_words_give_the_same_manifest_to_the_byte(tmp_path: Path) -> None:
    one = Keeper(store(tmp_path / "a")).keep(asked(judged=OFFICER), scan())
    other = Keeper(store(tmp_path / "b")).keep(asked(judged=OFFICER), scan())
    assert one == other


def test_asked_twice_it_is_kept_once(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    first = keeper.keep(asked(), scan())
    before = tree(tmp_path)
    keeper.clock.utc = "2026-03-02T01:00:09.000000Z"
    second = keeper.keep(asked(ago_s=5.0), None)
    assert isinstance(first, EvidenceKept)
    assert isinstance(second, EvidenceKept)
    assert (tree(tmp_path), second.sha256, second.up) == (before, first.sha256, ())


def test_a_later_judgement_is_added_and_nothing_is_written_over(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    first = keeper.keep(asked(), scan())
    place = tmp_path / PLACE
    before = {name: (tmp_path / name).read_bytes() for name in tree(tmp_path)}
    second = keeper.keep(asked(judged=OFFICER, keep_class="held", verdict=Verdict.FLAGGED), None)
    undone = dataclasses.replace(asked(judged=x_rayed(Verdict.PASSED, "officer", officer="31001234")))
    third = keeper.keep(undone, None)
    assert isinstance(first, EvidenceKept)
    assert isinstance(second, EvidenceKept)
    assert isinstance(third, EvidenceKept)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    two, three = (read((place / f"manifest-{number}.json").read_bytes()) for number in (2, 3))
    assert (two.former_sha256, three.former_sha256) == (first.sha256, second.sha256)
    assert [file.name for file in three.files][-2:] == ["operator.dcs", "operator-2.dcs"]
    decisions = [pydicom.dcmread(place / name).AlarmDecision for name in ("operator.dcs", "operator-2.dcs")]
    assert decisions == ["ALARM", "CLEAR"]
    assert three.keep_class == "held"


def test_a_late_judgement_says_who_judged_and_leaves_standing_what_was_known(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    first = keeper.keep(asked(), scan())
    word = msgspec.Raw(to_json(Said(judged=OFFICER, judged_ago_s=0.0)))
    late = KeepEvidence("x1-17", 17, "SF1", Association.MATCHED, Verdict.RECHECK, word, "held")
    second = keeper.keep(late, None)
    assert isinstance(first, EvidenceKept)
    assert isinstance(second, EvidenceKept)
    one, two = (read((tmp_path / PLACE / name).read_bytes()) for name in ("manifest.json", "manifest-2.json"))
    assert (two.version, two.keep_class) == (2, "held")
    assert two.said.judged == msgspec.structs.replace(OFFICER, preview="")
    assert (two.said.match, two.said.rule, two.said.machine) == (
        one.said.match,
        one.said.rule,
        one.said.machine,
    )
    assert "operator.dcs" in {file.name for file in two.files}


def test_what_the_centre_gets_of_which_class_and_each_only_once(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    first = keeper.keep(asked(), scan())
    second = keeper.keep(asked(judged=OFFICER, keep_class="held"), None)
    assert isinstance(first, EvidenceKept)
    assert isinstance(second, EvidenceKept)
    assert [up.name for up in first.up] == ["manifest.json", "preview.jpg"]
    assert [up.name for up in second.up] == [
        "manifest-2.json",
        "low.dcs",
        "high.dcs",
        "machine.dcs",
        "operator.dcs",
    ]
    for up in (*first.up, *second.up):
        content = keeper.keeper.read(up.sha256)
        assert content is not None
        assert len(content) == up.size_bytes
    (tmp_path / PLACE / "preview.jpg").write_bytes(b"another")
    assert keeper.keeper.read(first.up[1].sha256) is None
    assert keeper.keeper.read("../x") is None


@pytest.mark.parametrize(
    ("machine", "judged", "decisions"),
    [
        (x_rayed(Verdict.PASSED, "machine"), None, ["CLEAR"]),
        (MACHINE, None, ["ALARM"]),
        (x_rayed(Verdict.RECHECK, "machine", reasons=("drawn",)), None, ["ALARM"]),
        (None, None, ["ALARM"]),
        (None, x_rayed(Verdict.RECHECK, "default", reasons=("late",)), ["ALARM"]),
        (MACHINE, x_rayed(Verdict.PASSED, "officer", officer="1"), ["ALARM", "CLEAR"]),
        (MACHINE, x_rayed(Verdict.RECHECK, "officer", officer="1"), ["ALARM", "ALARM"]),
    ],
)
def test_what_machine_and_officer_report(
    tmp_path: Path, machine: ParcelXRayed | None, judged: ParcelXRayed | None, decisions: list[str]
) -> None:
    Keeper(store(tmp_path)).keep(asked(machine=machine, judged=judged), scan())
    reports = [tmp_path / PLACE / name for name in ("machine.dcs", "operator.dcs")]
    there = [path.read_bytes() for path in reports if path.exists()]
    assert [pydicom.dcmread(io.BytesIO(data)).AlarmDecision for data in there] == decisions
    assert [problems(data) for data in there] == [[]] * len(decisions)


def test_raw_pictures_as_png_where_the_config_says_so(tmp_path: Path) -> None:
    Keeper(store(tmp_path), raw_png=True).keep(asked(), scan())
    assert {"low.png", "high.png"} <= {path.name for path in (tmp_path / PLACE).iterdir()}


def test_without_a_coloured_preview_a_grey_one_is_made(tmp_path: Path) -> None:
    Keeper(store(tmp_path)).keep(asked(), dataclasses.replace(scan(), preview=None))
    assert (tmp_path / PLACE / "preview.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc/passwd", "a/b", "CON", "北京1", "a" * 300, "x\0y", "SF 1", "manifest"]
)
def test_no_name_from_outside_leaves_the_folder(tmp_path: Path, name: str) -> None:
    """G11."""
    kept = Keeper(store(tmp_path / "in")).keep(asked(name or "x", waybill_no=name), scan(name or "x"))
    assert isinstance(kept, EvidenceKept)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert all(len(line.split("/")) == 4 for line in tree(tmp_path / "in"))
    assert sanitised("SF 1") != sanitised("SF_1")


def test_a_picture_that_is_no_longer_in_memory_and_was_never_kept_is_said_to_be(tmp_path: Path) -> None:
    failed = Keeper(store(tmp_path)).keep(asked(), None)
    assert isinstance(failed, EvidenceFailed)
    assert "never kept" in failed.why


def test_words_of_the_station_that_are_none_fail_for_that_parcel_alone(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    wrong = dataclasses.replace(asked(), manifest=msgspec.Raw(b'{"rule": 7}'))
    assert isinstance(keeper.keep(wrong, scan()), EvidenceFailed)
    assert isinstance(keeper.keep(asked(), scan()), EvidenceKept)


# --- kills --------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit import test_xray_evidence as t

at, seen = int(sys.argv[2]), [0]
def instant(real):
    def wrapped(*args, **kwargs):
        seen[0] += 1
        if seen[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return wrapped

keeper = t.Keeper(t.store(Path(sys.argv[1])))
for name in ("fsync", "replace", "mkdir", "rename"):
    setattr(os, name, instant(getattr(os, name)))
keeper.keep(t.asked(), t.scan())
print("first", flush=True)
keeper.keep(t.asked(judged=t.OFFICER, keep_class="held"), None)
print("second", flush=True)
os._exit(0)
"""
KILLS = range(5, 5 + int(os.environ.get("KAKOU_EVIDENCE_KILLS", "1")))


class Killed(BaseException):
    """Nothing of ours catches it, as nothing does a kill."""


def assert_whole(folder: Path) -> list[Manifest]:
    """Every folder of a picture holds exactly what its manifests name."""
    found = []
    for place in folder.glob("[0-9]*/*/*"):
        names = {path.name for path in place.iterdir()}
        manifests = [
            read((place / name).read_bytes()) for name in sorted(names) if name.startswith("manifest")
        ]
        manifests.sort(key=lambda manifest: manifest.version)
        assert {file.name for file in manifests[-1].files} == {n for n in names if "manifest" not in n}
        for manifest in manifests:
            for file in manifest.files:
                assert hashlib.sha256((place / file.name).read_bytes()).hexdigest() == file.sha256
        found += manifests
    return found


def assert_recovers(folder: Path, done: int) -> None:
    made = EvidenceStore(folder, PLENTY, told=lambda sha256: False)
    untold = made.open()
    manifests = assert_whole(folder)
    assert len(manifests) >= done
    assert [stored.manifest for stored in untold] == manifests
    assert made.size_bytes == sum((folder / name).stat().st_size for name in tree(folder))
    again = Keeper(made)
    again.keep(asked(), scan())
    again.keep(asked(judged=OFFICER, keep_class="held"), scan())
    assert len(assert_whole(folder)) == 2
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("at", KILLS)
def test_killed_by_the_system_every_folder_is_whole(tmp_path: Path, at: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(at)], check=False, capture_output=True, text=True
    )
    assert run.returncode == -9, run.stderr
    assert_recovers(tmp_path, len(run.stdout.split()))


def test_killed_at_any_instant_every_folder_is_whole_and_what_no_fact_tells_is_told(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Before every call that changes a name or empties a buffer."""
    names = ("fsync", "replace", "mkdir", "rename", "unlink", "rmdir")
    real = {name: getattr(os, name) for name in names}
    for at in range(1, 100):
        folder, done, seen = tmp_path / str(at), 0, 0

        def instant(name: str, *args: Any, at: int = at, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise Killed
            return real[name](*args, **kwargs)

        keeper = Keeper(store(folder))
        for name in names:
            monkeypatch.setattr(os, name, functools.partial(instant, name))
        try:
            keeper.keep(asked(), scan())
            done += 1
            keeper.keep(asked(judged=OFFICER, keep_class="held"), None)
            done += 1
        except Killed:
            pass
        monkeypatch.undo()
        assert_recovers(folder, done)
        if done == 2:
            break
    assert at >= 25


def test_what_was_whole_but_not_in_its_place_is_put_there(tmp_path: Path, monkeypatch: Any) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    keeper = Keeper(store(tmp_path))
    monkeypatch.setattr(EvidenceStore, "_move_in", killed)
    with pytest.raises(Killed):
        keeper.keep(asked(), scan())
    monkeypatch.undo()
    assert tree(tmp_path) == []
    assert [stored.manifest.picture for stored in EvidenceStore(tmp_path, PLENTY).open()] == []
    assert len(assert_whole(tmp_path)) == 1
    (tmp_path / ".aside").joinpath("half").mkdir()
    (tmp_path / ".aside/half/low.dcs").touch()
    shutil.copytree(tmp_path / PLACE, tmp_path / ".aside/changed")
    (tmp_path / ".aside/changed/low.dcs").write_bytes(b"x")
    store(tmp_path)
    assert list((tmp_path / ".aside").iterdir()) == []
    assert len(assert_whole(tmp_path)) == 1


def test_a_start_after_a_good_end_tells_nothing_again(tmp_path: Path) -> None:
    told: set[str] = set()
    made = EvidenceStore(tmp_path, PLENTY, told=told.__contains__)
    made.open()
    kept = Keeper(made).keep(asked(), scan())
    assert isinstance(kept, EvidenceKept)
    made.close()
    again = EvidenceStore(tmp_path, PLENTY, told=told.__contains__)
    assert [stored.sha256 for stored in again.open()] == [kept.sha256]
    told.add(kept.sha256)
    again.close()
    assert EvidenceStore(tmp_path, PLENTY, told=lambda sha256: False).open() == ()


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe{\n", b'{"picture": 7}\n', b'{"pic'])
def test_a_damaged_index_is_written_anew_from_the_manifests(tmp_path: Path, damage: bytes) -> None:
    made = store(tmp_path)
    keeper = Keeper(made)
    kept = [keeper.keep(asked(f"x1-{n}", waybill_no=f"SF{n}"), scan(f"x1-{n}")) for n in range(3)]
    keeper.keep(asked("x1-1", waybill_no="SF1", judged=OFFICER), None)
    index = tmp_path / ".index" / "2026-03-02.jsonl"
    whole, size = made.days.entries("2026-03-02"), made.size_bytes
    made.close()
    index.write_bytes(index.read_bytes()[: -len(damage) or None] + damage) if damage else index.unlink()
    again = store(tmp_path)
    assert again.days.entries("2026-03-02") == whole
    assert again.size_bytes == size
    assert all(isinstance(event, EvidenceKept) and again.read(event.up[1].sha256) for event in kept)


# --- room ---------------------------------------------------------------------------------------------------


def size_of_one(tmp_path: Path) -> int:
    kept = Keeper(store(tmp_path / "one")).keep(asked(), scan())
    assert isinstance(kept, EvidenceKept)
    return kept.size_bytes


def filled(
    keeper: Keeper, days: Iterable[str], keep_class: str = "routine", first: int = 0
) -> list[EvidenceKept]:
    kept = []
    for number, day in enumerate(days, first):
        keeper.clock.utc = f"{day}T01:00:00.{number:06d}Z"
        effect = asked(f"p-{number}", waybill_no=f"SF{number}", keep_class=keep_class)
        event = keeper.keep(effect, scan(f"p-{number}"))
        assert isinstance(event, EvidenceKept)
        kept.append(event)
    return kept


def pictures_in(folder: Path) -> set[str]:
    return {line.split("/")[2] for line in tree(folder)}


def test_beyond_its_time_it_goes_once_the_centre_has_it(tmp_path: Path) -> None:
    there: set[str] = set()
    made = store(tmp_path, at_centre=there.__contains__)
    keeper = Keeper(made)
    kept = filled(keeper, ["2026-01-01", "2026-01-01", "2026-02-25"])
    filled(keeper, ["2026-01-05"], "held", first=3)
    keeper.clock.utc = "2026-03-02T00:00:00.000000Z"
    assert keeper.keeper._shed() is False
    there |= {up.sha256 for event in kept for up in event.up}
    keeper.clock.known = False
    assert keeper.keeper._shed() is False
    keeper.clock.known = True
    assert keeper.keeper._shed() is True
    (shed,) = keeper.of(EvidenceShed)
    assert isinstance(shed, EvidenceShed)
    assert (shed.pictures, shed.keep_class, shed.first_day) == (("p-0", "p-1"), "routine", "2026-01-01")
    assert shed.size_bytes == kept[0].size_bytes + kept[1].size_bytes
    assert pictures_in(tmp_path) == {"p-2", "p-3"}
    assert set(keeper.forgotten) == {up.sha256 for event in kept[:2] for up in event.up}
    assert made.size_bytes == sum((tmp_path / name).stat().st_size for name in tree(tmp_path))
    assert store(tmp_path).size_bytes == made.size_bytes


def test_a_journal_that_cannot_note_what_was_shed_is_asked_again_and_ends_nothing(tmp_path: Path) -> None:
    """The disk that is full is the journal's too."""
    made = store(tmp_path, at_centre=lambda sha256: True)
    keeper = Keeper(made)
    kept = filled(keeper, ["2026-01-01", "2026-03-02"])
    noted: list[str] = []

    def full(sha256s: Sequence[str]) -> None:
        raise JournalFull("no room")

    keeper.keeper._forget_blobs = full
    keeper.clock.utc = "2026-03-02T00:00:00.000000Z"
    keeper.keeper._tended(0.0)
    assert len(keeper.of(EvidenceShed)) == 1
    keeper.keeper._forget_blobs = noted.extend
    keeper.keeper._tended(0.0)
    keeper.keeper._tended(0.0)
    assert noted == [up.sha256 for up in kept[0].up]


def test_a_folder_nobody_can_read_is_not_written_over_and_holds_up_no_other_parcel(tmp_path: Path) -> None:
    keeper = Keeper(store(tmp_path))
    keeper.keep(asked(), scan())
    manifest = next(tmp_path.rglob("manifest.json"))
    manifest.write_bytes(b"{")
    assert isinstance(keeper.keep(asked(), scan()), EvidenceFailed)
    assert manifest.read_bytes() == b"{"
    assert keeper.of(Room) == [Room(True, PLENTY.most_bytes - keeper.keeper._store.size_bytes)]


def test_short_of_room_routine_goes_before_held_and_the_oldest_first(tmp_path: Path) -> None:
    one = size_of_one(tmp_path)
    limits = dataclasses.replace(PLENTY, most_bytes=one * 12, room_bytes=one * 4)
    made = store(tmp_path / "all", limits, at_centre=lambda sha256: True)
    keeper = Keeper(made)
    filled(keeper, ["2026-03-01"] * 3, "held")
    filled(keeper, ["2026-03-01"] * 4 + ["2026-03-02"] * 2, first=3)
    shed = keeper.of(EvidenceShed)
    assert [event.keep_class for event in shed if isinstance(event, EvidenceShed)] == ["routine"] * len(shed)
    gone = [name for event in shed if isinstance(event, EvidenceShed) for name in event.pictures]
    assert gone == [f"p-{number}" for number in range(3, 3 + len(gone))]
    assert 0 < len(gone) < 6
    assert made.space().ok


def test_what_is_neither_at_the_centre_nor_beyond_its_time_never_goes_and_the_feed_waits_first(
    tmp_path: Path,
) -> None:
    """Storage full withholds the feed permit before it loses evidence."""
    one = size_of_one(tmp_path)
    limits = dataclasses.replace(PLENTY, most_bytes=one * 12, room_bytes=one * 4)
    there: set[str] = set()
    made = store(tmp_path / "all", limits, at_centre=there.__contains__)
    keeper = Keeper(made)
    kept = filled(keeper, ["2026-03-02"] * 8)
    assert keeper.of(Room)[0] == Room(True, limits.most_bytes - kept[0].size_bytes)
    filled(keeper, ["2026-03-02"] * 3, first=8)
    assert [event.ok for event in keeper.of(Room) if isinstance(event, Room)] == [True, False]
    assert len(pictures_in(tmp_path / "all")) == 11
    assert keeper.of(EvidenceShed, EvidenceFailed) == []
    there |= {up.sha256 for event in kept for up in event.up}
    assert keeper.keeper._tended(0.0) >= 0
    assert [event.ok for event in keeper.of(Room) if isinstance(event, Room)] == [True, False, True]


def test_by_a_clock_nobody_vouches_for_nothing_grows_old_even_where_room_is_short(tmp_path: Path) -> None:
    """G7."""
    one = size_of_one(tmp_path)
    limits = dataclasses.replace(PLENTY, most_bytes=one * 6, room_bytes=one * 4)
    keeper = Keeper(store(tmp_path / "all", limits))
    keeper.clock.known = False
    filled(keeper, ["2026-01-01"] * 3)
    keeper.clock.utc = UTC
    assert keeper.keeper._shed() is False
    keeper.clock.known = True
    assert keeper.keeper._shed() is True


def test_on_a_full_disk_what_was_asked_waits_and_is_written_when_there_is_room_again(tmp_path: Path) -> None:
    free = [3 * MB]
    limits = dataclasses.replace(PLENTY, keep_free_bytes=2 * MB, room_bytes=MB // 2)
    made = store(tmp_path, limits, free_bytes=lambda _: free[0])
    keeper = Keeper(made)
    keeper.keep(asked("p-1"), scan("p-1"))
    free[0] = 2 * MB
    keeper.keeper.keep(asked("p-2"), scan("p-2"))
    keeper.take()
    assert keeper.of(EvidenceFailed) == []
    assert keeper.of(Room)[-1] == Room(False, 0)
    free[0] = 4 * MB
    keeper.keeper._do(keeper.keeper._stuck.popleft(), again=True)
    assert [event.picture for event in keeper.events if isinstance(event, EvidenceKept)] == ["p-1", "p-2"]
    assert keeper.of(Room)[-1] == Room(True, 2 * MB)


@pytest.mark.parametrize("moment", [1, 3, 6, 8])
def test_a_disk_that_fails_in_the_middle_leaves_nothing_half(
    tmp_path: Path, moment: int, monkeypatch: Any
) -> None:
    made = store(tmp_path)
    keeper = Keeper(made)
    keeper.keep(asked("p-1"), scan("p-1"))
    before = tree(tmp_path)
    failing(monkeypatch, moment)
    keeper.keeper.keep(asked("p-2"), scan("p-2"))
    keeper.take()
    keeper.keeper.keep(asked("p-1", judged=OFFICER), None)
    keeper.take()
    monkeypatch.undo()
    assert_whole(tmp_path)
    assert set(before) <= set(tree(tmp_path))
    assert list((tmp_path / ".aside").iterdir()) == []
    while keeper.keeper._stuck:
        keeper.keeper._do(keeper.keeper._stuck.popleft(), again=True)
    assert len(assert_whole(tmp_path)) == 3
    assert keeper.of(Room)[-1].__class__ is Room


def failing(monkeypatch: Any, moment: int) -> None:
    """Every `fsync` from that one on finds no room."""
    real, seen = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        seen[0] += 1
        if seen[0] >= moment:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_what_a_killed_program_let_go_of_is_told_at_the_next_start(tmp_path: Path) -> None:
    made = store(tmp_path, at_centre=lambda sha256: True)
    keeper = Keeper(made)
    filled(keeper, ["2026-01-01"])
    made.shed(UTC, clock_is_known=True)
    again = EvidenceStore(tmp_path, PLENTY)
    assert again.open() == ()
    (shed,) = again.gone_untold()
    assert (shed.pictures, shed.first_day) == (("p-0",), "2026-01-01")
    again.shed(UTC, clock_is_known=True)
    assert again.gone_untold() == ()
    assert list((tmp_path / ".aside").iterdir()) == []


# --- its own thread -----------------------------------------------------------------------------------------


def test_the_station_never_waits_and_more_than_fits_is_said(tmp_path: Path) -> None:
    held = threading.Event()
    made = store(tmp_path, free_bytes=lambda _: 10**12 if held.wait(10) else 0)
    events: list[Event] = []
    keeper = EvidenceKeeper(
        EvidenceStore(tmp_path, PLENTY, free_bytes=lambda _: 10**12 if held.wait(10) else 0),
        Settings(station="xray-1", most_waiting=4),
        clock=Clock(),
        put=events.append,
    )
    assert made.size_bytes == 0
    for number in range(6):
        keeper.keep(asked(f"p-{number}"), scan(f"p-{number}"))
    assert [event.picture for event in events if isinstance(event, EvidenceFailed)] == ["p-4", "p-5"]
    held.set()
    keeper.start()
    keeper.close()
    assert [event.picture for event in events if isinstance(event, EvidenceKept)] == [
        f"p-{n}" for n in range(4)
    ]
    keeper.keep(asked("p-9"), scan("p-9"))
    assert "ending" in str(events[-1])


def test_a_folder_that_cannot_be_used_withholds_the_feed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    events: list[Event] = []
    keeper = EvidenceKeeper(
        EvidenceStore(tmp_path / "file", PLENTY), Settings(station="x"), clock=Clock(), put=events.append
    )
    keeper.start()
    keeper.keep(asked(), scan())
    keeper.close()
    assert events[0] == Room(False, 0)
    assert [type(event) for event in events if not isinstance(event, Room)] == [EvidenceFailed]


def test_a_manifests_schema_is_what_the_code_says_and_manifests_fit_it(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parents[2] / "docs" / "contract"
    spec = importlib.util.spec_from_file_location("make_xray_manifest", here / "make_xray_manifest.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    schema = (here / "xray_manifest.json").read_text("utf-8")
    assert schema == made.text()
    keeper = Keeper(store(tmp_path))
    keeper.keep(asked(), scan())
    keeper.keep(asked(judged=OFFICER), None)
    fits = Draft202012Validator(json.loads(schema))
    for name in ("manifest.json", "manifest-2.json"):
        shown = json.loads((tmp_path / PLACE / name).read_text())
        fits.validate(shown)
        del shown["said"]
        assert not fits.is_valid(shown)


def test_a_manifest_is_json_for_people_too(tmp_path: Path) -> None:
    Keeper(store(tmp_path)).keep(asked(judged=OFFICER), scan())
    shown = json.loads((tmp_path / PLACE / "manifest.json").read_text())
    assert shown["said"]["rule"] == "edges within 60 mm, length, unique"
    assert shown["said"]["judged"]["officer"] == "31001234"
