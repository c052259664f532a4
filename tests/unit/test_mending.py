"""A difference between a device's records and the centre's: found, mended by its buckets, and told (G5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sync.hub.archive import Archive, RecordChange
from sync.hub.aside import ReadBuckets, bucket_rows
from sync.link.envelope import signed_payload
from sync.link.keys import KeySigner
from sync.link.messages import BucketRows, BucketsAsked, BucketSums, Context, Pull, Signed
from sync.link.words import Received, RecordsDiffer, RecordsRepaired, Refused, StoreTrouble
from sync.policy.digests import MODULUS, bucket_of, row_digest
from sync.store.records import Records, StoreRefused, Survey, generation_path
from sync.vocabulary.codec import Malformed, from_json
from tests.unit.test_hub_device import HUB_KEY, TOPICS
from tests.unit.test_hub_feed import body, key
from tests.unit.test_hub_session import Joined

MANY = 600
HUB = KeySigner(HUB_KEY, "hub")


def bucket(number: int) -> int:
    return bucket_of("enterprises", key(number))


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    made = Joined(tmp_path)
    made.put(*range(MANY))
    made.run(8)
    assert made.records_equal()
    yield made
    made.close()


def path_of(joined: Joined) -> Path:
    number = joined.journal.generation()
    assert number is not None
    return generation_path(joined.folder / "records", number)


def plant(joined: Joined, *statements: str) -> None:
    """As a fault would: in the file, behind the back of the sums."""
    with closing(sqlite3.connect(path_of(joined))) as db, db:
        for statement in statements:
            db.execute(statement)


def wrong_sums(joined: Joined) -> None:
    """A row changed, and sums that say so: what a fault in applying leaves."""
    path = path_of(joined)
    plant(joined, f"UPDATE enterprises SET body = replace(body, 'high', 'low') WHERE key = '{key(7)}'")  # noqa: S608
    with Records.open(path) as records:
        changed = {one: text for _, one, text in records.all_rows()}[key(7)]
        parts = list(records.digest_parts())
        digest = int(records.feed_state().digest, 16)
    moved = row_digest("enterprises", key(7), changed) - row_digest("enterprises", key(7), body(7))
    parts[bucket(7)] = (parts[bucket(7)] + moved) % MODULUS
    shelf = bucket(7) // 64
    sums = b"".join(part.to_bytes(16, "big") for part in parts[shelf * 64 : shelf * 64 + 64])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE buckets SET sums = ? WHERE shelf = ?", (sums, shelf))
        db.execute("UPDATE feed SET digest = ?", (((digest + moved) % MODULUS).to_bytes(16, "big"),))


def restarted(joined: Joined) -> None:
    """A device that has read its file anew."""
    joined.kill_edge()


def repaired(joined: Joined) -> list[RecordsRepaired]:
    return [one for one in joined.notices if isinstance(one, RecordsRepaired)]


def differed(joined: Joined) -> int:
    return len([one for one in joined.notices if isinstance(one, RecordsDiffer)])


def rows_asked(joined: Joined, asked: list[BucketsAsked]) -> None:
    """Remember what the device asks for."""
    take = joined.receiver._feeding._buckets

    def taken(device: str, scope: object, wanted: BucketsAsked) -> object:
        asked.append(wanted)
        return take(device, scope, wanted)  # type: ignore[arg-type]

    joined.receiver._feeding._buckets = taken  # type: ignore[method-assign, assignment]


def test_a_row_that_differs_is_mended_by_exactly_its_bucket_in_place(joined: Joined) -> None:
    generation = joined.journal.generation()
    wrong_sums(joined)
    asked: list[BucketsAsked] = []
    rows_asked(joined, asked)
    restarted(joined)
    joined.run(20)
    assert [one.buckets for one in asked] == [(), (bucket(7),)]
    (told,) = repaired(joined)
    assert (told.number, told.buckets, told.put, told.deleted) == (MANY, (bucket(7),), 1, 0)
    assert differed(joined) == 1
    assert joined.journal.generation() == generation
    assert joined.records_equal()
    with Records.open(path_of(joined)) as records:
        assert records.verify() == []
        assert records.get("enterprises", key(7)) is not None


def test_a_reader_sees_all_of_a_repair_or_nothing(joined: Joined) -> None:
    wrong_sums(joined)
    with Records.open(path_of(joined)) as reader, reader.snapshot():
        before = reader.get("enterprises", key(7))
        restarted(joined)
        joined.run(20)
        assert reader.get("enterprises", key(7)) == before
    assert joined.records_equal()


@pytest.mark.parametrize(
    ("statement", "put", "deleted"),
    [
        (f"DELETE FROM enterprises WHERE key = '{key(9)}'", 1, 0),  # noqa: S608
        (f"UPDATE enterprises SET body = body || ' ' WHERE key IN ('{key(3)}', '{key(4)}')", 2, 0),  # noqa: S608
        (f"INSERT INTO enterprises VALUES ('{key(99_999)}', '{body(99_999)}')", 0, 1),  # noqa: S608
        ("INSERT INTO other_records VALUES ('unheard', 'of', '{}')", 0, 1),
    ],
)
def test_rows_that_changed_by_themselves_are_found_by_the_survey_and_mended(
    tmp_path: Path, statement: str, put: int, deleted: int
) -> None:
    joined = Joined(tmp_path, survey_s=20)
    joined.put(*range(MANY))
    joined.run(8)
    plant(joined, statement)
    joined.run(60)
    (told,) = repaired(joined)
    assert (told.put, told.deleted) == (put, deleted)
    assert differed(joined) == 1
    with Records.open(path_of(joined)) as records:
        assert records.verify() == []
    assert joined.records_equal()
    assert joined.session.counts["surveys"] >= 2
    joined.close()


def test_a_survey_of_sound_records_says_nothing_and_holds_nothing_up(tmp_path: Path) -> None:
    joined = Joined(tmp_path, survey_s=3)
    for first in range(0, 3_000, 300):
        joined.put(*range(first, first + 300))
        joined.run(2)
    joined.run(5)
    assert joined.session.counts["surveys"] >= 3
    assert differed(joined) == 0
    assert joined.records_equal()
    joined.close()


def test_what_comes_while_records_are_mended_is_applied_afterwards(joined: Joined) -> None:
    wrong_sums(joined)
    restarted(joined)
    for number in range(8):
        joined.put(MANY + number)
        joined.run(1)
    joined.run(20)
    assert len(repaired(joined)) == 1
    assert joined.records_equal()


def test_the_hub_says_what_it_held_at_the_number_asked_of(joined: Joined) -> None:
    """Rows and sums alike, whatever came since."""
    with Records.open(path_of(joined)) as records:
        then = records.digest_parts()
    joined.disconnect()
    joined.put(MANY + 1)
    with joined.archive.transaction():
        changes = [RecordChange("enterprises", key(3), None), RecordChange("enterprises", key(5), body(55))]
        joined.archive.apply_changes("site", changes, joined.utc())
    scope = joined.archive.scope("site")
    sums = joined.archive.bucket_sums("site")
    assert scope is not None
    assert sums is not None
    assert tuple(joined.receiver._feeding._sums_then(scope, list(sums), MANY)) == then
    wanted = (bucket(3), bucket(5), bucket(MANY + 1))
    rows = bucket_rows(joined.archive, ReadBuckets("site", scope.epoch, MANY, wanted))
    for one in wanted:
        assert sum(row_digest(*row) for row in rows[one]) % MODULUS == then[one]


def test_more_than_a_few_buckets_are_no_accident_and_all_is_built_anew(joined: Joined) -> None:
    plant(joined, "DELETE FROM enterprises", "UPDATE feed SET row_count = 0, digest = zeroblob(16)")
    plant(joined, "DELETE FROM buckets")
    before = joined.journal.generation()
    restarted(joined)
    joined.run(60)
    assert repaired(joined) == []
    assert joined.session.counts["repairs_given_up"] == 1
    assert joined.journal.generation() != before
    assert joined.records_equal()


def test_a_hub_that_does_not_know_of_buckets_has_all_built_anew(joined: Joined) -> None:
    wrong_sums(joined)
    joined.receiver._feeding._aside = None
    restarted(joined)
    joined.run(60)
    assert repaired(joined) == []
    assert joined.records_equal()


def test_a_repair_that_was_killed_begins_again(joined: Joined) -> None:
    wrong_sums(joined)
    restarted(joined)
    joined.run(1)
    restarted(joined)
    joined.run(90)
    assert joined.records_equal()
    assert len(repaired(joined)) == 1


def test_a_kept_sum_that_is_wrong_beside_right_rows_is_mended_without_touching_a_row(joined: Joined) -> None:
    plant(
        joined,
        "UPDATE buckets SET sums = zeroblob(1024) WHERE shelf = 3",
        "UPDATE feed SET digest = zeroblob(16)",
    )
    restarted(joined)
    joined.run(60)
    # Every sum of the shelf is wrong, and the total with them: more than a digest can be mended by.
    assert joined.records_equal()
    with Records.open(path_of(joined)) as records:
        assert records.verify() == []


# --- what is believed -------------------------------------------------------------------------------------


def hears(joined: Joined, value: object, context: Context = Context.BUCKETS) -> None:
    joined.drive(Received(TOPICS.batch("lane-in"), signed_payload(HUB, context, value)))


def mending(joined: Joined) -> str:
    """A device in the middle of it, with a hub that has gone silent; the epoch."""
    wrong_sums(joined)
    joined.passes = lambda message: message[0] != TOPICS.batch("lane-in")
    restarted(joined)
    joined.run(2)
    repair = joined.session._down._mending._repair
    assert repair is not None
    return repair.epoch


@pytest.mark.parametrize(
    "make",
    [
        lambda epoch: BucketSums("site", epoch, MANY, 7, "0" * 32 * 1024),
        lambda epoch: BucketSums("site", epoch, MANY, 0, "0" * 32),
        lambda epoch: BucketSums("site", epoch, MANY, 0, "g" * 32 * 1024),
        lambda epoch: BucketSums("other", epoch, MANY, 0, "0" * 32 * 1024),
        lambda epoch: BucketRows("other", epoch, MANY, 3, 0, 1, ()),
        lambda epoch: BucketRows("site", epoch, MANY, 3, 2, 1, ()),
    ],
)
def test_buckets_that_make_no_sense_are_refused_even_when_the_hub_signed_them(
    joined: Joined, make: Callable[[str], object]
) -> None:
    epoch = mending(joined)
    hears(joined, make(epoch))
    assert [type(one) for one in joined.notices if isinstance(one, Refused)] == [Refused]


def test_buckets_of_another_number_or_unasked_change_nothing(joined: Joined) -> None:
    epoch = mending(joined)
    hears(joined, BucketSums("site", epoch, MANY - 1, 0, "0" * 32 * 1024))
    hears(joined, BucketRows("site", epoch, MANY, 3, 0, 1, ()))
    assert joined.session.counts["buckets_unasked"] == 1
    assert [one for one in joined.notices if isinstance(one, Refused)] == []


def test_rows_of_another_bucket_or_that_are_none_are_refused_whole(joined: Joined) -> None:
    path = path_of(joined)
    with Records.open(path, writable=True) as records:
        state = records.feed_state()
        for rows in (
            [("enterprises", key(7), body(7))],
            [("enterprises", key(8), body(7))],
            [("enterprises", key(8), "{}")],
            [("enterprises", key(8), body(8))] * 2,
        ):
            with pytest.raises(Malformed):
                records.mend(MANY, {bucket(8): rows}, {}, state.rows)
        with pytest.raises(StoreRefused, match="expected 599"):
            records.mend(MANY - 1, {}, {}, state.rows)
        assert records.feed_state() == state
        assert records.verify() == []


def test_a_device_may_pull_only_the_scopes_that_are_its_own(joined: Joined) -> None:
    with joined.archive.transaction():
        joined.archive.add_scope("next-door")
        joined.archive.allow_scopes("lane-in", ("next-door",))
    joined.disconnect()
    joined.connect()
    joined.run(3)
    assert joined.alarms() == {"scope_forbidden"}
    with joined.archive.transaction():
        joined.archive.allow_scopes("lane-in", ("site", "next-door"))
    joined.put(MANY + 5)
    joined.run(20)
    assert joined.records_equal()


# --- the archive's sums -----------------------------------------------------------------------------------


def test_the_hubs_sums_are_those_of_its_rows_after_any_change(joined: Joined) -> None:
    with joined.archive.transaction():
        changes = [RecordChange("enterprises", key(number), None) for number in range(0, MANY, 3)]
        joined.archive.apply_changes("site", changes, joined.utc())
    joined.put(*range(40, 90))
    expected = [0] * 4096
    for row in joined.archive.record_rows("site"):
        at = bucket_of(*row[:2])
        expected[at] = (expected[at] + row_digest(*row)) % MODULUS
    assert joined.archive.bucket_sums("site") == tuple(expected)


def test_sums_of_an_archive_from_before_are_taken_from_its_rows_once(joined: Joined, tmp_path: Path) -> None:
    right = joined.archive.bucket_sums("site")
    joined.archive._db.execute("DELETE FROM bucket_sums")
    joined.put(3, MANY + 1)
    assert joined.archive.bucket_sums("site") is None
    beside = Archive.open(tmp_path / "archive.sqlite")
    beside.mend_bucket_sums("site")
    beside.close()
    now = joined.archive.bucket_sums("site")
    assert now is not None
    assert right is not None
    assert {at for at in range(4096) if now[at] != right[at]} == {bucket(MANY + 1)}


def test_a_survey_sees_one_number_while_more_is_applied(joined: Joined) -> None:
    survey = Survey(path_of(joined), [bucket(1)])
    assert survey.step(100)
    joined.put(*range(MANY, MANY + 50))
    joined.run(3)
    while survey.step(100):
        pass
    assert survey.count == MANY
    assert tuple(survey.sums) == survey.kept()
    assert survey.rows[bucket(1)]["enterprises", key(1)] == body(1)
    survey.close()


def test_a_pull_for_buckets_is_an_ordinary_pull_to_a_hub_of_before(joined: Joined) -> None:
    mending(joined)
    asked = [payload for topic, payload in joined.up if topic == TOPICS.pull("lane-in")]
    joined.run(6)
    asked += [payload for topic, payload in joined.up if topic == TOPICS.pull("lane-in")]
    pulls = [from_json(from_json(payload, Signed).body, Pull) for payload in asked]
    assert all((pull.after, pull.scope) == (MANY, "site") for pull in pulls)
    assert [one for one in joined.notices if isinstance(one, StoreTrouble)] == []
