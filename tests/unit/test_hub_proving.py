"""What the archive holds is proved on either engine: what somebody with the database did is named (G6)."""

from __future__ import annotations

import pytest

from sync.hub.comparing import hub_digest
from sync.hub.proving import (
    NothingToExport,
    Wanted,
    archive_runs,
    keys_of,
    signed_heads,
    verify_archive,
)
from sync.link.segments import keys_in, problems_of, read_segment, segment_text
from sync.vocabulary.facts import Stream
from tests.postgres import Place
from tests.unit.test_hub_device import Bench, Device
from tests.unit.test_hub_feed import put


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def bench(device: Device, place: Place) -> Bench:
    bench = Bench(place, device)
    bench.facts(device, device.batch(device.facts[Stream.ALARM]), Stream.ALARM)
    device.chatter(30)
    for payload in device.batches(size=10):
        bench.facts(device, payload)
    return bench


def test_a_whole_archive_is_proved(bench: Bench) -> None:
    assert verify_archive(bench.archive) == []
    assert {(head.stream, head.seq) for head in signed_heads(bench.archive, "lane-in")} == {
        (Stream.ALARM, 1),
        (Stream.ROUTINE, 30),
    }


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("DELETE FROM facts WHERE stream = 'routine' AND seq = 7", "routine 7: missing"),
        ("DELETE FROM facts WHERE stream = 'routine' AND seq IN (7, 8)", "routine 7..8: missing"),
        ("DELETE FROM facts WHERE stream = 'routine' AND seq > 24",
         "routine 25..30: missing, removed from the end: the device signed for 30"),
        ("UPDATE facts SET body = replace(body, '\"passage\":7', '\"passage\":6') WHERE seq = 7",
         "routine 7: changed"),
        ("UPDATE facts SET time = 'later' WHERE seq = 7", "routine 7: changed, its row says time 'later'"),
        ("UPDATE facts SET passage = 9 WHERE seq = 7", "routine 7: changed, its row says passage 9"),
        ("UPDATE checkpoints SET body = replace(body, '\"seq\":30', '\"seq\":29')", "the checkpoint over it"),
    ],
)  # fmt: skip
def test_what_was_done_to_a_row_is_named(bench: Bench, sql: str, named: str) -> None:
    with bench.archive.transaction():
        bench.archive._db.execute(sql)
    assert [problem for problem in verify_archive(bench.archive) if named in problem] != []


def test_a_swapped_pair_is_named(bench: Bench) -> None:
    with bench.archive.transaction():
        for was, now in ((7, 1007), (8, 7), (1007, 8)):
            bench.archive._db.execute("UPDATE facts SET seq = ? WHERE seq = ?", (now, was))
    told = verify_archive(bench.archive)
    assert any("routine 7: changed, its row says seq 7 and its body 8" in one for one in told)
    assert any("routine 8: changed, its row says seq 8 and its body 7" in one for one in told)


def test_a_segment_ends_where_the_device_next_signed(bench: Bench, device: Device) -> None:
    (run,) = archive_runs(bench.archive, "lane-in", Wanted(5, 9))
    seqs = [fact.seq for fact in device.facts[Stream.ROUTINE] if fact.body in run.facts]
    assert seqs == list(range(4, 11))
    segment = read_segment(segment_text("lane-in", keys_of(bench.archive, "lane-in"), [run]))
    assert list(problems_of(segment, keys_in(segment))) == []
    assert list(problems_of(segment, keys_of(bench.archive, "lane-in"))) == []
    assert list(problems_of(segment, {"lane-in": Device().private.public_key()})) != []


def test_of_facts_the_device_never_signed_for_nothing_is_exported(bench: Bench) -> None:
    with bench.archive.transaction():
        bench.archive._db.execute("DELETE FROM checkpoints WHERE position > 25")
    with pytest.raises(NothingToExport, match="no checkpoint"):
        archive_runs(bench.archive, "lane-in", Wanted(25, 31))
    with pytest.raises(NothingToExport, match="no such facts"):
        archive_runs(bench.archive, "lane-in", Wanted(passage=999))


def test_bucket_sums_that_are_not_those_of_the_rows_are_counted(bench: Bench) -> None:
    put(bench.archive, 1, 2, 3)
    assert hub_digest(bench.archive, "site").sound
    sums = bench.rows("SELECT shelf, sums FROM bucket_sums ORDER BY shelf")
    (shelf, kept) = next(row for row in sums if set(str(row[1])) != {"0"})
    width = len(kept) // 64
    first = next(at for at in range(0, len(kept), width) if set(kept[at : at + width]) != {"0"})
    other = 0 if first else width
    moved = list(kept)
    moved[first : first + width], moved[other : other + width] = (
        kept[other : other + width],
        kept[first : first + width],
    )
    with bench.archive.transaction():
        bench.archive._db.execute("UPDATE bucket_sums SET sums = ? WHERE shelf = ?", ("".join(moved), shelf))
    found = hub_digest(bench.archive, "site")
    assert (found.wrong_buckets, found.sound, found.digest == found.kept_digest) == (2, False, True)
