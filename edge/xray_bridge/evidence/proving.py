"""Whether a folder of X-ray evidence is what a journal says it is: every file of every parcel there,
unchanged, and none beside. Reads only; needs no station, and no clock.

A manifest's hash stands in a fact, the manifest names every other file by its hash: so a journal that is
whole (`kakou journal verify` proves that first) proves every byte."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.xray_bridge.evidence.days import DAY
from edge.xray_bridge.evidence.manifest import Manifest, Said, Taken, manifest_name, read
from edge.xray_bridge.evidence.store import sanitised
from sync.vocabulary.codec import Malformed
from sync.vocabulary.facts import FactBody
from sync.vocabulary.xray_facts import XRayEvidenceKept, XRayEvidenceShed

_NONE: Final = Manifest(
    station="",
    picture="",
    day="2000-01-01",
    parcel=0,
    association="",
    verdict="",
    taken=Taken(picture="", width_px=1, height_px=1, taken_utc=""),
    kept_utc="",
    said=Said(),
    files=(),
)
OWN: Final = frozenset({".index", ".aside"})
"""Beside the days: the store's own notes, which prove nothing."""


@dataclass(frozen=True, slots=True)
class _Told:
    """One manifest, as a fact names it."""

    position: int
    time: str
    kept: XRayEvidenceKept


@dataclass(frozen=True, slots=True)
class ToldEvidence:
    """What facts say of a station's evidence."""

    kept: dict[str, tuple[_Told, ...]]
    """By picture, in order."""
    shed: frozenset[str]
    first_time: str
    """Of the earliest fact that is still there; empty where all are, or none: then nothing is older."""


@dataclass(slots=True)
class Proof:
    problems: list[str] = field(default_factory=list)
    pictures: int = 0
    """Whole, and told by a fact."""
    files: int = 0
    shed: int = 0
    before: int = 0
    """Whole in themselves, and older than every fact that is still there: the centre's archive proves
    them."""


def told_evidence(facts: Iterable[FactBody]) -> ToldEvidence:
    kept: dict[str, list[_Told]] = {}
    shed: set[str] = set()
    first, is_all = "", False
    for fact in facts:
        first = min(first or fact.time, fact.time)
        is_all = is_all or fact.position == 1
        match fact.data:
            case XRayEvidenceKept():
                row = kept.setdefault(fact.data.picture, [])
                if all(told.kept.manifest_sha256 != fact.data.manifest_sha256 for told in row):
                    row.append(_Told(fact.position, fact.time, fact.data))
            case XRayEvidenceShed(pictures=pictures):
                shed.update(pictures)
            case _:
                pass
    return ToldEvidence(
        {picture: tuple(row) for picture, row in kept.items()}, frozenset(shed), "" if is_all else first
    )


def proved(told: ToldEvidence, folder: Path) -> Proof:
    """Everything wrong, each thing named exactly. Raises `OSError` where the folder cannot be read."""
    proof = Proof()
    names = {sanitised(picture): picture for picture in told.kept}
    seen: set[str] = set()
    for place in _places(folder, proof):
        where = place.relative_to(folder).as_posix()
        picture = names.get(place.name)
        if picture is None:
            _of_no_fact(told, place, where, proof)
        elif picture in seen:
            proof.problems.append(f"{where}: foreign, {picture} lies elsewhere already")
        else:
            seen.add(picture)
            _of_facts(told.kept[picture], place, where, proof)
    for picture, row in told.kept.items():
        if picture in seen:
            continue
        if picture in told.shed:
            proof.shed += 1
            continue
        first = row[0]
        whose = f"parcel {first.kept.parcel}" + (
            f", {first.kept.waybill_no}" if first.kept.waybill_no else ""
        )
        proof.problems.append(
            f"picture {picture} ({whose}): missing, fact {first.position} of {first.time} says it was kept "
            "and none that it was shed"
        )
    return proof


def copied(told: ToldEvidence, folder: Path, into: Path) -> Proof:
    """The pictures these facts tell of, each proved before it is copied; `into` must not be there yet. What
    was shed is not there to be copied. Raises `FileExistsError`, `OSError`."""
    names = {sanitised(picture): picture for picture in told.kept}
    whole = Proof()
    into.mkdir()
    for place in _places(folder, Proof()):
        picture = names.pop(place.name, None)
        if picture is None:
            continue
        where = place.relative_to(folder)
        _of_facts(told.kept[picture], place, where.as_posix(), whole)
        shutil.copytree(place, into / where)
    for picture in names.values():
        if picture in told.shed:
            whole.shed += 1
        else:
            whole.problems.append(f"picture {picture}: missing")
    return whole


def _places(folder: Path, proof: Proof) -> Iterator[Path]:
    """Every folder of a picture; what else lies about is foreign."""
    for day in sorted(folder.iterdir()):
        if day.name in OWN and day.is_dir():
            continue
        if not DAY.fullmatch(day.name) or not day.is_dir():
            proof.problems.append(f"{day.name}: foreign, expected a folder of a day")
            continue
        for whose in sorted(day.iterdir()):
            if not whose.is_dir():
                proof.problems.append(f"{day.name}/{whose.name}: foreign, expected a folder of a parcel")
                continue
            for place in sorted(whose.iterdir()):
                if place.is_dir():
                    yield place
                else:
                    where = place.relative_to(folder).as_posix()
                    proof.problems.append(f"{where}: foreign, expected a folder of a picture")


def _of_facts(row: tuple[_Told, ...], place: Path, where: str, proof: Proof) -> None:
    """Every version that facts name, and every file the versions name; nothing else. A version whose own fact
    is gone is proved by the one after it, which names its hash."""
    problems: list[str] = []
    versions: list[tuple[str, str, Manifest]] = []
    for version in itertools.count(1):
        name = manifest_name(version)
        data = _content(place / name)
        if data is None and version > len(row) + 1:
            break
        if data is None:
            continue
        try:
            versions.append((name, hashlib.sha256(data).hexdigest(), read(data)))
        except Malformed as error:
            problems.append(f"{where}/{name}: changed, it is no manifest ({error})"[:200])
            versions.append((name, hashlib.sha256(data).hexdigest(), _NONE))
    by_facts = {told.kept.manifest_sha256 for told in row}
    for _, sha256, manifest in reversed(versions):
        if sha256 in by_facts and manifest.former_sha256:
            by_facts.add(manifest.former_sha256)
    files: dict[str, tuple[str, int]] = {}
    for name, sha256, manifest in versions:
        if sha256 in by_facts:
            files.update({file.name: (file.sha256, file.size_bytes) for file in manifest.files})
        else:
            problems.append(f"{where}/{name}: changed, it hashes to {sha256[:16]} and no fact names that")
    there = {sha256 for _, sha256, _ in versions}
    problems += [
        f"{where}: the manifest {told.kept.manifest_sha256[:16]} is missing, fact {told.position} names it"
        for told in row
        if told.kept.manifest_sha256 not in there
    ]
    if files or not problems:
        problems += _file_problems(files, place, where)
        problems += _foreign({name for name, _, _ in versions} | set(files), place, where)
    proof.problems += problems
    if not problems:
        proof.pictures += 1
        proof.files += len(versions) + len(files)


def _of_no_fact(told: ToldEvidence, place: Path, where: str, proof: Proof) -> None:
    """Older than all facts that are still there, it proves itself at least; else nobody told of it."""
    manifests: list[Manifest] = []
    former = ""
    while (data := _content(place / manifest_name(len(manifests) + 1))) is not None:
        try:
            manifest = read(data)
        except Malformed:
            break
        if manifest.former_sha256 != former:
            break
        manifests.append(manifest)
        former = hashlib.sha256(data).hexdigest()
    if not manifests or not told.first_time or manifests[-1].kept_utc >= told.first_time:
        proof.problems.append(f"{where}: foreign, no fact tells of it")
        return
    files = {file.name: (file.sha256, file.size_bytes) for each in manifests for file in each.files}
    problems = [
        *_file_problems(files, place, where),
        *_foreign({manifest_name(each.version) for each in manifests} | set(files), place, where),
    ]
    proof.problems += problems
    proof.before += not problems


def _file_problems(files: dict[str, tuple[str, int]], place: Path, where: str) -> Iterator[str]:
    for name, (sha256, size_bytes) in sorted(files.items()):
        path = place / name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            yield f"{where}/{name}: missing"
            continue
        except OSError as error:
            yield f"{where}/{name}: cannot be read ({error.strerror})"
            continue
        if size != size_bytes:
            yield f"{where}/{name}: changed, it has {size} bytes, its manifest says {size_bytes}"
        elif digest != sha256:
            yield f"{where}/{name}: changed, it hashes to {digest[:16]}, its manifest says {sha256[:16]}"


def _foreign(expected: set[str], place: Path, where: str) -> Iterator[str]:
    for path in sorted(place.iterdir()):
        if path.name not in expected:
            yield f"{where}/{path.name}: foreign, no manifest names it"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
