"""Somebody with the file and a hex editor: any bit of any fact, any tail, any pair, each named exactly (G6).

`KAKOU_BIT_FLIPS` says how many bits are tried. A row is found in the file's own bytes: from a fact's event id
to the end of its body stands all that it says in letters.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.store.journal import Journal, random_id, utc_now, verify_journal
from sync.store.places import first_place
from sync.vocabulary.facts import Alarm, AlarmCode, Fact, FactDraft, PassageOpened, Stream

FLIPS = int(os.environ.get("KAKOU_BIT_FLIPS", "80"))
ROUNDS = max(6, FLIPS // 25)


@dataclass(frozen=True)
class Written:
    """A whole journal of two epochs, closed, and every fact in it."""

    path: Path
    facts: tuple[Fact, ...]
    whole: bytes

    def name(self, fact: Fact, last: int | None = None) -> str:
        numbers = str(fact.seq) if last in (None, fact.seq) else f"{fact.seq}..{last}"
        return f"epoch {fact.epoch[:8]} {fact.stream.value} {numbers}"

    def place(self, fact: Fact) -> int:
        """In the table; the epochs are numbered from 1."""
        epochs = list(dict.fromkeys(each.epoch for each in self.facts))
        return first_place(epochs.index(fact.epoch) + 1, fact.stream) + fact.seq

    def stream_of(self, fact: Fact) -> list[Fact]:
        return [each for each in self.facts if (each.epoch, each.stream) == (fact.epoch, fact.stream)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    path = tmp_path_factory.mktemp("adversary") / "journal.sqlite"
    facts: list[Fact] = []
    with Journal.open(path, device="lane-1", reserve_bytes=0) as journal:
        for epoch in range(2):
            for number in range(1, 41):
                stream = Stream.ALARM if number % 5 == 0 else Stream.ROUTINE
                data = (
                    Alarm(code=AlarmCode.OVERSTAY, passage=number)
                    if number % 5 == 0
                    else PassageOpened(number)
                )
                journal.commit([FactDraft(random_id(), stream, utc_now(), "boot", 5, data)])
            for stream in Stream:
                facts += journal.facts_from(stream, 1, max_facts=10**6, max_bytes=10**9)
            if epoch == 0:
                journal.begin_epoch("so that there are two")
    assert verify_journal(path) == []
    return Written(path, tuple(facts), path.read_bytes())


def spoiled(written: Written, folder: Path, data: bytes | bytearray) -> Path:
    path = folder / "journal.sqlite"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(data)
    shutil.copyfile(f"{written.path}.lock", f"{path}.lock")
    return path


def changed(written: Written, folder: Path, *statements: tuple[str, tuple[object, ...]]) -> Path:
    path = spoiled(written, folder, written.whole)
    with closing(sqlite3.connect(path)) as journal:
        for sql, parameters in statements:
            journal.execute(sql, parameters)
        journal.commit()
    return path


def test_any_bit_of_any_fact_is_named_by_the_number_of_that_fact(written: Written, tmp_path: Path) -> None:
    draw = random.Random(1)
    unnamed = []
    for _ in range(FLIPS):
        fact = draw.choice(written.facts)
        body = written.whole.find(fact.body.encode())
        begin = written.whole.rfind(fact.event_id.encode(), 0, body)
        assert 0 < begin < body
        offset, bit = draw.randrange(begin, body + len(fact.body.encode())), draw.randrange(8)
        data = bytearray(written.whole)
        data[offset] ^= 1 << bit
        problems = verify_journal(spoiled(written, tmp_path, data))
        if not any(problem.startswith(f"{written.name(fact)}:") for problem in problems):
            unnamed.append((fact.seq, offset - begin, bit, problems[:2]))
    assert unnamed == []


def test_any_bit_of_the_file_is_found_or_changes_nothing_that_is_proved(
    written: Written, tmp_path: Path
) -> None:
    draw = random.Random(2)
    told = proved(written.path)
    found, missed = 0, []
    for _ in range(FLIPS):
        offset, bit = draw.randrange(len(written.whole)), draw.randrange(8)
        data = bytearray(written.whole)
        data[offset] ^= 1 << bit
        path = spoiled(written, tmp_path, data)
        if verify_journal(path):
            found += 1
        elif proved(path) != told:
            missed.append((offset, bit))
    print(
        f"{FLIPS} bits of {len(written.whole)} bytes: {found} found, the rest changed nothing that is proved"
    )
    assert missed == []
    assert found > FLIPS // 4


def proved(path: Path) -> list[list[tuple[object, ...]]]:
    """All facts and heads, and which epoch is which; why it was begun is in its first fact."""
    with closing(sqlite3.connect(path)) as journal:
        journal.text_factory = bytes
        return [
            journal.execute(sql).fetchall()
            for sql in (
                "SELECT * FROM facts ORDER BY place",
                "SELECT * FROM heads ORDER BY epoch_no, stream",
                "SELECT epoch_no, epoch FROM epochs ORDER BY epoch_no",
            )
        ]


def test_any_swapped_pair_is_named_as_that_pair(written: Written, tmp_path: Path) -> None:
    draw = random.Random(3)
    for _ in range(ROUNDS):
        first, second = sorted(
            draw.sample(written.stream_of(draw.choice(written.facts)), 2), key=lambda fact: fact.seq
        )
        one, other = written.place(first), written.place(second)
        path = changed(
            written, tmp_path,
            ("UPDATE facts SET place = -1 WHERE place = ?", (one,)),
            ("UPDATE facts SET place = ? WHERE place = ?", (one, other)),
            ("UPDATE facts SET place = ? WHERE place = -1", (other,)),
        )  # fmt: skip
        swapped, *rest = verify_journal(path)
        assert swapped == f"{written.name(first)} and {second.seq}: swapped"
        assert [other for other in rest if not other.startswith(f"{written.name(second)}: is ")] == []


def test_any_removed_tail_is_named_with_its_numbers(written: Written, tmp_path: Path) -> None:
    draw = random.Random(4)
    for _ in range(ROUNDS):
        stream = written.stream_of(draw.choice(written.facts))
        cut = draw.choice(stream[1:])
        path = changed(
            written, tmp_path,
            (
                "DELETE FROM facts WHERE place BETWEEN ? AND ?",
                (written.place(cut), written.place(stream[-1])),
            ),
        )  # fmt: skip
        problems = verify_journal(path)
        assert f"{written.name(cut, stream[-1].seq)}: missing, removed from the end" in problems


def test_any_removed_fact_in_the_middle_is_named(written: Written, tmp_path: Path) -> None:
    draw = random.Random(5)
    for _ in range(ROUNDS):
        stream = written.stream_of(draw.choice(written.facts))
        gone = draw.choice(stream[1:-1])
        path = changed(written, tmp_path, ("DELETE FROM facts WHERE place = ?", (written.place(gone),)))
        assert f"{written.name(gone)}: missing" in verify_journal(path)


def test_a_file_cut_short_anywhere_is_found(written: Written, tmp_path: Path) -> None:
    draw = random.Random(6)
    for _ in range(ROUNDS):
        path = spoiled(written, tmp_path, written.whole[: draw.randrange(512, len(written.whole) - 1)])
        assert verify_journal(path) != []


@pytest.mark.parametrize("epoch_no", [1, 2])
@pytest.mark.parametrize("column", ["seq", "hash", "position", "acked", "acked_hash", "dropped_seq"])
def test_a_head_that_was_changed_is_named_by_its_stream(
    written: Written, tmp_path: Path, column: str, epoch_no: int
) -> None:
    path = changed(
        written, tmp_path,
        (
            f"UPDATE heads SET {column} = CASE typeof({column}) WHEN 'text' THEN ? ELSE {column} + 1 END "  # noqa: S608
            "WHERE epoch_no = ? AND stream = 'routine'",
            ("f" * 64, epoch_no),
        ),
    )  # fmt: skip
    epoch = list(dict.fromkeys(fact.epoch for fact in written.facts))[epoch_no - 1]
    assert f"epoch {epoch[:8]} routine" in " ".join(verify_journal(path))
