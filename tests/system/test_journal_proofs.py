"""`kakou journal verify` and `export` on journals, archives and segments: what was done to a file is named
exactly, and a segment is checked by the page's own script, without us (G6)."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.proving import segment_problems
from sync.hub.archive import Archive
from sync.hub.receiver import Receiver
from sync.link.envelope import pack, runs, signed_payload
from sync.link.keys import KeySigner, make_private, private_pem, public_pem
from sync.link.messages import Checkpoint, Context, StreamHead, Topics
from sync.store.flipping import where_flipped
from sync.store.journal import Journal
from sync.store.places import first_place
from sync.vocabulary.codec import Malformed, to_json
from sync.vocabulary.facts import Alarm, AlarmCode, FactDraft, PassageOpened, PictureTaken, Stream, hash_of
from tests.system.test_cli import say

pytestmark = pytest.mark.system

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contract" / "README.md"
UTC = "2026-11-22T03:00:00.000000Z"
PICTURE = "ab" * 32


@dataclass
class Site:
    """A lane's journal, and a hub's archive that took all of it in batches of seven."""

    folder: Path

    def __post_init__(self) -> None:
        self.private, self.hub_key = make_private(), make_private()
        self.key, self.public = self.folder / "lane.key", self.folder / "lane.pem"
        self.key.write_bytes(private_pem(self.private))
        self.key.chmod(0o600)
        self.public.write_bytes(public_pem(self.private.public_key()))
        self.signer = KeySigner(self.private, "lane-1")
        self.journal, self.archive = self.folder / "journal.sqlite", self.folder / "archive.sqlite"
        hub = Archive.open(self.archive, own=True)
        with hub.transaction():
            hub.enrol("lane-1", self.public.read_text())
        receiver = Receiver(hub, KeySigner(self.hub_key, "hub"), site="s1")
        with Journal.open(self.journal, device="lane-1", reserve_bytes=0) as journal:
            for number in range(1, 41):
                journal.commit([self.draft(number)])
            self.epoch = journal.epoch
            for stream in Stream:
                facts = journal.facts_from(stream, 1, max_facts=1_000, max_bytes=10**7)
                for start in range(0, len(facts), 7):
                    for run in runs(facts[start : start + 7]):
                        last = run.facts[-1]
                        heads = (StreamHead(stream, last.seq, last.hash),)
                        said = to_json(Checkpoint("lane-1", last.epoch, last.position, heads, UTC)).decode()
                        payload = pack(run, self.signer.sign(Context.CHECKPOINT, said), time=UTC)
                        (ack,) = receiver.receive(Topics("s1").facts("lane-1", stream), payload, UTC)
                        assert ack.retain
            position, standing = journal.position(), journal.heads()
            all_heads = tuple(StreamHead(s, row.seq, row.hash) for s, row in standing.items())
            self.head = self.folder / "head.json"
            self.head.write_bytes(
                signed_payload(
                    self.signer,
                    Context.CHECKPOINT,
                    Checkpoint("lane-1", self.epoch, position, all_heads, UTC),
                )
            )
        hub.close()

    def draft(self, number: int) -> FactDraft:
        if number % 8 == 0:
            data: Any = Alarm(code=AlarmCode.OVERSTAY, passage=number // 5)
        elif number % 5 == 0:
            data = PictureTaken(
                passage=number // 5, moment="ruling", camera="c", sha256=PICTURE, size_bytes=number
            )
        else:
            data = PassageOpened(number // 5)
        stream = Stream.ALARM if number % 8 == 0 else Stream.ROUTINE
        return FactDraft(f"event-{number}", stream, UTC, "boot", 5, data)

    def tamper(self, file: Path, *statements: tuple[str, tuple[Any, ...]]) -> Path:
        copy = self.folder / f"tampered-{file.name}"
        shutil.copyfile(file, copy)
        with closing(sqlite3.connect(copy)) as db:
            for sql, values in statements:
                db.execute(sql, values)
            db.commit()
        return copy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("proofs"))


def problems(*args: str | Path) -> list[str]:
    code, out, err = say("journal", "verify", *args)
    assert err == ""
    told = json.loads(out)
    assert (code == 0) is told["ok"] is (told["problems"] == [])
    return list(told["problems"])


# --- archives ---------------------------------------------------------------------------------------------


ROW = "WHERE device = 'lane-1' AND stream = 'routine' AND seq = ?"
COLUMNS = "position, event_id, kind, passage, time, hash, body"


def test_a_whole_journal_archive_and_signed_head_are_proved(site: Site) -> None:
    assert problems(site.journal) == []
    assert problems(site.archive) == []
    assert problems(site.archive, "--device", "lane-1") == []
    assert problems(site.journal, "--against", site.archive) == []
    assert problems(site.journal, "--against", site.head, "--key", site.public) == []


def test_one_flipped_bit_is_named_with_its_fact_and_field(site: Site) -> None:
    with closing(sqlite3.connect(site.archive)) as db:
        (body,) = db.execute("SELECT body FROM facts " + ROW, (9,)).fetchone()  # noqa: S608
    flipped = body.replace('"passage":2', '"passage":3')
    assert flipped != body
    for file, sql in (
        (site.archive, "UPDATE facts SET body = ? " + ROW),  # noqa: S608
        (site.journal, "UPDATE facts SET body = ? WHERE place % (1 << 44) = ? AND kind = 'picture_taken'"),
    ):
        told = problems(site.tamper(file, (sql, (flipped, 9))))
        assert len([one for one in told if "routine 9: changed" in one]) == 1
        assert "one bit flipped in passage" in told[0]
        assert "it was 2" in told[0]


def test_a_removed_tail_of_an_archive_is_named_by_what_the_device_signed(site: Site) -> None:
    (told,) = problems(
        site.tamper(site.archive, ("DELETE FROM facts WHERE seq > 30 AND stream = 'routine'", ()))
    )
    assert "routine 31..35: missing, removed from the end: the device signed for 35" in told


def test_a_removed_tail_of_a_journal_is_named_by_what_others_keep(site: Site) -> None:
    """The thief is thorough: fact, head and lock file agree with one another."""
    epoch_no = 1
    with closing(sqlite3.connect(site.journal)) as db:
        seq, digest, position = db.execute(
            "SELECT place & ((1 << 44) - 1), hash, position FROM facts WHERE place = ?",
            (first_place(epoch_no, Stream.ROUTINE) + 30,),
        ).fetchone()
    tampered = site.tamper(
        site.journal,
        ("DELETE FROM facts WHERE position > ?", (position,)),
        ("UPDATE heads SET seq = ?, hash = ?, position = ? WHERE stream = 'routine'",
         (seq, digest, position)),
        ("UPDATE heads SET seq = (SELECT count(*) FROM facts WHERE place < ?) WHERE stream = 'alarm'",
         (first_place(epoch_no, Stream.ROUTINE),)),
    )  # fmt: skip
    for more in (("--against", site.archive), ("--against", site.head, "--key", site.public)):
        told = [one for one in problems(tampered, *more) if "routine" in one]
        assert told[-1].endswith("routine 31..35: missing, removed from the end: the device signed for 35")


def test_a_swapped_pair_of_an_archive_is_named(site: Site) -> None:
    with closing(sqlite3.connect(site.archive)) as db:
        select = "SELECT " + COLUMNS + " FROM facts " + ROW  # noqa: S608
        rows = {seq: db.execute(select, (seq,)).fetchone() for seq in (11, 12)}
    put = "UPDATE facts SET (" + COLUMNS + ") = (?, ?, ?, ?, ?, ?, ?) " + ROW  # noqa: S608
    told = problems(site.tamper(site.archive, *((put, (*rows[23 - seq], seq)) for seq in (11, 12))))
    assert any("routine 11: changed, its row says seq 11 and its body 12" in one for one in told)
    assert any("routine 12: changed, its row says seq 12 and its body 11" in one for one in told)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("DELETE FROM facts WHERE seq = 9 AND stream = 'routine'", "routine 9: missing"),
        ("UPDATE facts SET time = 'later' WHERE seq = 9 AND stream = 'routine'",
         "9: changed, its row says time"),
        ("UPDATE facts SET passage = 7 WHERE seq = 9 AND stream = 'routine'", "its row says passage 7"),
        ("UPDATE facts SET hash = substr(hash, 1, 63) || 'x' WHERE seq = 9 AND stream = 'routine'",
         "9: changed, its bytes hash to"),
        ("UPDATE facts SET body = CAST(x'7bff7d' AS TEXT) WHERE seq = 9 AND stream = 'routine'",
         "9: changed, its row can no longer be read as text"),
        ("UPDATE checkpoints SET sig = replace(sig, 'A', 'B')", "the checkpoint over it was changed"),
        ("UPDATE checkpoints SET body = replace(body, '\"seq\":7', '\"seq\":8')", "the checkpoint over it"),
        ("DELETE FROM devices", "is not enrolled"),
    ],
)  # fmt: skip
def test_whatever_was_done_to_an_archive_is_named(site: Site, sql: str, named: str) -> None:
    assert any(named in one for one in problems(site.tamper(site.archive, (sql, ()))))


# --- segments ---------------------------------------------------------------------------------------------


def exported(site: Site, file: Path, *more: str | Path) -> Path:
    out = site.folder / "segment.json"
    code, _, err = say("journal", "export", file, "-o", out, *more)
    assert code == 0, err
    return out


def checker(tmp_path: Path) -> Callable[[Path, Path], tuple[int, str]]:
    """The script of the page, run by another Python process that has nothing of ours on its path."""
    (code,) = re.findall(r"```python check\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.splitlines()) < 60
    (tmp_path / "check.py").write_text(code, encoding="utf-8")

    def check(segment: Path, key: Path) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", str(tmp_path / "check.py"), str(segment), str(key)],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return check


def test_a_segment_of_a_journal_or_archive_is_proved_by_us_and_without_us(site: Site, tmp_path: Path) -> None:
    check = checker(tmp_path)
    for file, more in ((site.journal, ("--key", site.key)), (site.archive, ("--device", "lane-1"))):
        segment = exported(site, file, *more, "--from", "10", "--to", "20")
        assert problems(segment, "--key", site.public) == problems(segment) == []
        code, out = check(segment, site.public)
        assert code == 0, out
        assert f"{PICTURE}" in out


def test_a_segment_of_a_passage_holds_all_of_it_and_its_evidence(site: Site) -> None:
    for file, more in ((site.journal, ("--key", site.key)), (site.archive, ("--device", "lane-1"))):
        segment = json.loads(exported(site, file, *more, "--passage", "4").read_text())
        bodies = [json.loads(body) for run in segment["runs"] for body in run["facts"]]
        wanted = {f"event-{n}" for n in range(20, 25)}
        assert wanted <= {body["event_id"] for body in bodies}
        pictures = [each for run in segment["runs"] for each in run["evidence"]]
        assert {"stream": "routine", "sha256": PICTURE, "size_bytes": 20} in [
            {k: v for k, v in each.items() if k != "seq"} for each in pictures
        ]


def test_no_byte_of_a_segment_can_be_changed_unseen(site: Site, tmp_path: Path) -> None:
    """By us; and here and there by the page's script, which takes a while to start."""
    whole = exported(site, site.archive, "--device", "lane-1", "--from", "10", "--to", "14").read_bytes()
    told, spoilt, check = json.loads(whole), tmp_path / "spoilt.json", checker(tmp_path)
    slow = set(range(0, len(whole), len(whole) // 6))
    for place in sorted(slow | set(range(0, len(whole), 7))):
        bad = bytearray(whole)
        bad[place] ^= 1
        spoilt.write_bytes(bad)
        try:
            ours = not segment_problems(spoilt, site.public)
        except Malformed:
            ours = False
        # What nothing depends on: the keys brought along; for the script also the list of evidence.
        for unseen, evidence in ((ours, True), (place in slow and check(spoilt, site.public)[0] == 0, False)):
            if unseen:
                assert proved(json.loads(bad), evidence=evidence) == proved(told, evidence=evidence)


def proved(segment: Any, *, evidence: bool) -> Any:
    names = ("epoch", "stream", "facts", "checkpoint", *(["evidence"] if evidence else []))
    return segment["device"], [{name: run[name] for name in names} for run in segment["runs"]]


def test_wrong_use_of_export_is_told(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    for more, expected in (
        ((site.journal,), "--key"),
        ((site.archive,), "--device: expected one of lane-1"),
        ((site.archive, "--device", "lane-9"), "no such facts"),
        ((site.journal, "--key", site.key, "--passage", "999"), "no such facts"),
        ((tmp_path / "none.sqlite", "--key", site.key), "does not exist"),
    ):
        code, _, err = say("journal", "export", *more, "-o", out)
        assert code == 1
        assert expected in err
    assert not out.exists()


def test_what_is_not_whole_is_not_exported(site: Site, tmp_path: Path) -> None:
    spoilt = site.tamper(site.archive, ("DELETE FROM facts WHERE seq = 12 AND stream = 'routine'", ()))
    code, _, err = say(
        "journal", "export", spoilt, "--device", "lane-1", "--from", "5", "--to", "20", "-o", tmp_path / "x"
    )
    assert code == 1
    assert "routine 12: expected here, and 13 stands here" in err


def test_a_flipped_bit_is_found_in_text_of_any_alphabet() -> None:
    body = '{"v":1,"detail":"人工通道","passage":4,"time":"now"}'
    data = bytearray(body.encode())
    data[data.index(b"4")] ^= 1
    assert where_flipped(bytes(data), hash_of(body)) == ", one bit flipped in passage (byte 41), it was 4"
    data[0] ^= 1
    assert where_flipped(bytes(data), hash_of(body)) == ""
