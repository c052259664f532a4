"""`kakou journal verify --evidence`: whatever was done to a parcel's files is found and named."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.proving import facts_in
from edge.xray_bridge.events import EvidenceKept
from edge.xray_bridge.evidence.proving import Proof, proved, told_evidence
from sync.link.keys import make_private, private_pem
from sync.store.journal import BlobOwed, Journal
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import FactData, FactDraft, Stream
from sync.vocabulary.xray_facts import XRayEvidenceKept, XRayEvidenceShed, XRayFileKept
from tests.unit.test_xray_evidence import OFFICER, Keeper, asked, scan, store

A, B = "2026-03-02/SF0/p-0", "2026-03-02/SF1/p-1"


def commit(journal: Journal, *facts: FactData) -> None:
    drafts = [
        FactDraft(secrets.token_hex(8), Stream.ROUTINE, "2026-03-02T01:00:06.000000Z", "boot", 1, fact)
        for fact in facts
    ]
    blobs = [
        BlobOwed(fact.sha256, fact.size_bytes, BlobClass.ROUTINE, None)
        for fact in facts
        if isinstance(fact, XRayFileKept)
    ]
    journal.commit(drafts, blobs=blobs)


def tell(journal: Journal, kept: EvidenceKept) -> None:
    whole = XRayEvidenceKept(
        parcel=kept.parcel,
        waybill_no=kept.waybill_no,
        picture=kept.picture,
        manifest_sha256=kept.sha256,
        files=kept.files,
        size_bytes=kept.size_bytes,
        keep_class=kept.keep_class,
    )
    files = [
        XRayFileKept(
            parcel=kept.parcel, picture=kept.picture, name=up.name, sha256=up.sha256, size_bytes=up.size_bytes
        )
        for up in kept.up
    ]
    commit(journal, whole, *files)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal, and the evidence of two pictures it tells of: one judged later, one not."""
    folder = tmp_path_factory.mktemp("site")
    with Journal.open(folder / "journal.sqlite", device="xray-1", reserve_bytes=0) as journal:
        made = store(folder / "evidence", told=journal.blob_named)
        keeper = Keeper(made)
        for number in range(2):
            kept = keeper.keep(asked(f"p-{number}", waybill_no=f"SF{number}"), scan(f"p-{number}"))
            assert isinstance(kept, EvidenceKept)
            tell(journal, kept)
        kept = keeper.keep(asked("p-0", waybill_no="SF0", judged=OFFICER), None)
        assert isinstance(kept, EvidenceKept)
        tell(journal, kept)
        made.close()
    return folder


@pytest.fixture
def copy(site: Path, tmp_path: Path) -> Path:
    shutil.copytree(site, tmp_path / "site")
    return tmp_path / "site"


def proof_of(site: Path) -> Proof:
    return proved(told_evidence(facts_in(site / "journal.sqlite", None)), site / "evidence")


def test_what_the_facts_say_is_there_and_nothing_else(site: Path) -> None:
    assert proof_of(site) == Proof([], pictures=2, files=7 + 5, shed=0, before=0)


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


Break = Callable[[Path], Any]
BREAKS: list[tuple[Break, str]] = [
    (lambda e: _flip(e / A / "low.dcs"), f"{A}/low.dcs: changed, it hashes to"),
    (lambda e: _append(e / A / "high.dcs"), f"{A}/high.dcs: changed, it has"),
    (lambda e: (e / A / "operator.dcs").unlink(), f"{A}/operator.dcs: missing"),
    (lambda e: _append(e / A / "manifest.json"), f"{A}/manifest.json: changed, it hashes to"),
    (lambda e: (e / A / "manifest-2.json").unlink(), f"{A}: the manifest "),
    (lambda e: (e / A / "manifest-3.json").touch(), f"{A}/manifest-3.json: changed, it is no manifest"),
    (lambda e: (e / A / "extra.jpg").touch(), f"{A}/extra.jpg: foreign, no manifest names it"),
    (lambda e: shutil.rmtree(e / B), "picture p-1 (parcel 17, SF1): missing, fact"),
    (lambda e: shutil.copytree(e / B, e / "2026-03-02/SF1/p-9"), "2026-03-02/SF1/p-9: foreign, no fact"),
    (lambda e: shutil.copytree(e / B, e / "2026-03-03/SF1/p-1"), "2026-03-03/SF1/p-1: foreign, p-1 lies"),
    (lambda e: (e / "note.txt").touch(), "note.txt: foreign"),
    (lambda e: (e / "2026-03-02/note.txt").touch(), "2026-03-02/note.txt: foreign"),
    (lambda e: (e / "2026-03-02/SF1/note").touch(), "2026-03-02/SF1/note: foreign"),
    (lambda e: shutil.copy(e / A / "manifest.json", e / B), f"{B}/manifest.json: changed"),
    (lambda e: (e / A / "low.dcs").write_bytes((e / B / "low.dcs").read_bytes()), f"{A}/low.dcs: changed"),
]


@pytest.mark.parametrize(("done", "named"), BREAKS, ids=[named for _, named in BREAKS])
def test_whatever_was_done_to_the_files_is_named(copy: Path, done: Break, named: str) -> None:
    done(copy / "evidence")
    problems = proof_of(copy).problems
    assert [problem for problem in problems if problem.startswith(named)] != []


def test_a_manifest_forged_together_with_its_files_is_found_by_the_fact(copy: Path) -> None:
    """All hashes right among themselves: only the journal's chain says otherwise."""
    evidence = copy / "evidence"
    keeper = Keeper(store(copy / "other"))
    forged = keeper.keep(asked("p-1", waybill_no="SF1", judged=OFFICER), scan("p-1"))
    assert isinstance(forged, EvidenceKept)
    shutil.rmtree(evidence / B)
    shutil.copytree(copy / "other" / B, evidence / B)
    problems = proof_of(copy).problems
    assert problems[0].startswith(f"{B}/manifest.json: changed")


def test_a_version_whose_fact_is_gone_is_proved_by_the_one_after_it(copy: Path) -> None:
    facts = list(facts_in(copy / "journal.sqlite", None))
    last = max(fact.position for fact in facts if isinstance(fact.data, XRayEvidenceKept))
    left = [fact for fact in facts if fact.position >= last]
    shutil.rmtree(copy / "evidence" / B)
    assert proved(told_evidence(left), copy / "evidence") == Proof([], pictures=1, files=7)
    _append(copy / "evidence" / A / "manifest.json")
    (problem,) = proved(told_evidence(left), copy / "evidence").problems
    assert problem.startswith(f"{A}/manifest.json: changed")


def test_what_was_shed_is_not_missed_and_what_others_took_is(copy: Path) -> None:
    shutil.rmtree(copy / "evidence" / A)
    shutil.rmtree(copy / "evidence" / B)
    with Journal.open(copy / "journal.sqlite", device="xray-1", reserve_bytes=0) as journal:
        shed = XRayEvidenceShed(
            parcels=1, size_bytes=1, first_day="2026-03-02", last_day="2026-03-02", keep_class="routine",
            pictures=("p-0",),
        )  # fmt: skip
        commit(journal, shed)
    proof = proof_of(copy)
    assert proof.shed == 1
    assert [problem.split(":")[0] for problem in proof.problems] == ["picture p-1 (parcel 17, SF1)"]


def test_evidence_older_than_the_facts_that_are_left_proves_itself(copy: Path) -> None:
    """The journal lets go of acknowledged facts before evidence is shed; the centre's archive has them
    all."""
    keeper = Keeper(store(copy / "evidence"))
    keeper.clock.utc = "2026-01-02T00:00:00.000000Z"
    keeper.keep(asked("old", waybill_no="SF7"), scan("old"))
    left = [fact for fact in facts_in(copy / "journal.sqlite", None) if fact.position > 1]

    def proof() -> Proof:
        return proved(told_evidence(left), copy / "evidence")

    assert proof() == Proof([], pictures=2, files=12, shed=0, before=1)
    (foreign,) = proof_of(copy).problems
    assert foreign == "2026-01-02/SF7/old: foreign, no fact tells of it"
    _flip(copy / "evidence/2026-01-02/SF7/old/low.dcs")
    (problem,) = proof().problems
    assert problem.startswith("2026-01-02/SF7/old/low.dcs: changed")


def test_told_or_not_is_asked_of_the_journal(site: Path) -> None:
    told = told_evidence(facts_in(site / "journal.sqlite", None))
    manifests = [each.kept.manifest_sha256 for row in told.kept.values() for each in row]
    with Journal.open(site / "journal.sqlite", device="xray-1", reserve_bytes=0) as journal:
        assert [journal.blob_named(sha256) for sha256 in manifests] == [True, True, True]
        assert not journal.blob_named("0" * 64)


def test_the_command_says_it_and_a_segment_takes_its_evidence_along(copy: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    journal, evidence = str(copy / "journal.sqlite"), str(copy / "evidence")
    good = run(app, ["journal", "verify", journal, "--evidence", evidence, "--json"])
    assert (good.exit_code, json.loads(good.stdout)["evidence"]["pictures"]) == (0, 2)
    key, segment = tmp_path / "key.pem", tmp_path / "piece.json"
    key.write_bytes(private_pem(make_private()))
    arguments = ["journal", "export", journal, "-o", str(segment), "--key", str(key), "--evidence", evidence]
    assert run(app, arguments).exit_code == 0
    beside = tmp_path / "piece.json.evidence"
    again = run(app, ["journal", "verify", str(segment), "--evidence", str(beside), "--json"])
    assert (again.exit_code, json.loads(again.stdout)["evidence"]["files"]) == (0, 12)
    _flip(beside / A / "preview.jpg")
    bad = run(app, ["journal", "verify", str(segment), "--evidence", str(beside), "--json"])
    assert (bad.exit_code, len(json.loads(bad.stdout)["problems"])) == (1, 1)
    assert run(app, ["journal", "export", journal, "--evidence", evidence]).exit_code == 2
    assert run(app, ["journal", "verify", journal, "--evidence", str(copy / "nowhere")]).exit_code == 1
