"""Snapshots: made at an exact number, fetched in pieces that prove themselves, opened beside the old (G5)."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from sync.hub.archive import RecordChange
from sync.hub.snapshots import SnapshotFolder, SnapshotUnsound, make_snapshot
from sync.hub.terms import Limits
from sync.link.envelope import signed_payload
from sync.link.fetching import BeginSnapshot, SnapshotSeen, WorkOnSnapshot
from sync.link.keys import KeySigner, make_private
from sync.link.messages import PAGE_HASHES, PIECE_BYTES, Context, Pull, Signed, SnapshotManifest
from sync.link.performer import LinkPerformer
from sync.link.pieces import Piece, PieceKind, is_piece, piece_payload, read_piece
from sync.link.words import (
    LinkEffect,
    LinkEvent,
    Received,
    RecordsMoved,
    Refused,
    StoreFailed,
    StoreTrouble,
    Work,
)
from sync.store.journal import Journal
from sync.store.opening import RECORDS, StoreRefused, steps_of
from sync.store.records import Records, generation_path
from sync.store.snapshots import SPARE_BYTES, PartialSnapshot, left_over
from sync.vocabulary.codec import Malformed, from_json
from tests.unit.test_hub_device import HUB_KEY, TOPICS
from tests.unit.test_hub_feed import body, key
from tests.unit.test_hub_session import Joined

LIMITS = Limits(head_every_s=10, pull_batches=2, snapshot_from=500)
MANY = 1_500
HUB = KeySigner(HUB_KEY, "hub")


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[Joined]:
    made = Joined(tmp_path, limits=LIMITS)
    yield made
    made.close()


def put(joined: Joined, *numbers: int) -> None:
    """Rows that do not compress to nothing: a snapshot of them takes several pieces."""
    changes = []
    for number in numbers:
        name = f'"name":"{hashlib.sha512(b"%d" % number).hexdigest()}'
        changes.append(RecordChange("enterprises", key(number), body(number).replace('"name":"', name)))
    with joined.archive.transaction():
        joined.archive.apply_changes("site", changes, joined.utc())


def pieces(messages: list[tuple[str, bytes]]) -> list[Piece]:
    return [read_piece(payload) for _, payload in messages if is_piece(payload)]


def far_behind(joined: Joined) -> None:
    """A device that holds little of much, and a hub whose snapshot is made."""
    put(joined, *range(5))
    joined.run(3)
    assert joined.records_equal()
    joined.disconnect()
    put(joined, *range(MANY))
    make_snapshot(joined.archive, "site", joined.folder / "snapshots", joined.utc())
    joined.kill_hub()


def moved(joined: Joined) -> list[str]:
    return [notice.why for notice in joined.notices if isinstance(notice, RecordsMoved)]


def test_a_device_far_behind_takes_a_snapshot_and_then_the_log_from_exactly_its_number(
    joined: Joined,
) -> None:
    far_behind(joined)
    put(joined, 7, MANY + 1, MANY + 2)
    joined.connect()
    joined.run(15)
    assert joined.records_equal()
    assert moved(joined)[-1] == "snapshot"
    assert joined.session.counts["snapshots_taken"] == 1
    number = joined.journal.generation()
    assert number is not None
    with Records.open(generation_path(joined.folder / "records", number)) as records:
        assert records.verify() == []
        assert records.feed_state().number == 5 + (MANY - 5) + 2
    assert left_over(joined.folder / "records") is None


def test_a_new_device_of_a_large_scope_is_given_a_snapshot_as_soon_as_one_is_made(joined: Joined) -> None:
    put(joined, *range(MANY))
    joined.kill_hub()
    joined.run(15)
    assert joined.records_equal()
    assert joined.session.counts["snapshots_taken"] == 1


def test_a_small_scope_goes_by_the_log(tmp_path: Path) -> None:
    joined = Joined(tmp_path)
    joined.put(*range(400))
    joined.run(10)
    assert joined.records_equal()
    assert "snapshots_begun" not in joined.session.counts
    assert not (tmp_path / "snapshots").exists()
    joined.close()


def test_a_lane_goes_on_reading_the_old_generation_while_the_new_one_comes(joined: Joined) -> None:
    far_behind(joined)
    named = joined.journal.generation()
    assert named is not None
    with Records.open(generation_path(joined.folder / "records", named)) as reader:
        joined.connect()
        seen = []
        while not moved(joined)[1:]:
            joined.run(1)
            with reader.snapshot() as state:
                seen.append((state.number, reader.get("enterprises", key(3)) is not None))
        assert seen
        assert set(seen) == {(5, True)}
    assert joined.records_equal()


def test_a_snapshot_in_mid_fetch_goes_on_after_the_link_was_killed(joined: Joined) -> None:
    far_behind(joined)
    come: list[Piece] = []

    def three_pieces(message: tuple[str, bytes]) -> bool:
        come.extend(pieces([message]))
        return not is_piece(message[1]) or len(come) <= 3

    joined.passes = three_pieces
    joined.connect()
    joined.run(5)
    assert len(come) > 3
    come.clear()
    joined.kill_edge()
    joined.run(15)
    assert joined.session.counts["snapshots_continued"] == 1
    assert joined.session.counts["snapshots_taken"] == 1
    assert [piece.index for piece in come if piece.kind is PieceKind.PAGE] == []
    assert 0 not in {piece.index for piece in come}
    assert joined.records_equal()


def test_a_hub_that_was_killed_in_between_serves_the_same_snapshot_on(joined: Joined) -> None:
    far_behind(joined)
    joined.connect()
    joined.run(1)
    joined.kill_hub()
    joined.run(20)
    assert joined.records_equal()
    assert joined.session.counts["snapshots_begun"] == 1


@pytest.mark.parametrize("seed", range(2))
def test_whatever_the_network_does_to_the_pieces_the_records_come_out_equal(
    tmp_path: Path, seed: int
) -> None:
    joined = Joined(tmp_path, loss=0.3, seed=seed, limits=LIMITS)
    put(joined, *range(5))
    joined.run(10)
    put(joined, *range(MANY))
    joined.run(120)
    joined.loss = 0.0
    joined.run(60)
    assert joined.records_equal()
    joined.close()


def test_a_spoiled_piece_is_refused_reported_and_fetched_again(joined: Joined) -> None:
    far_behind(joined)
    held: list[Piece] = []

    def pages_alone(message: tuple[str, bytes]) -> bool:
        held.extend(piece for piece in pieces([message]) if piece.kind is PieceKind.PIECE)
        return not is_piece(message[1]) or pieces([message])[0].kind is PieceKind.PAGE

    joined.passes = pages_alone
    joined.connect()
    joined.run(3)
    spoiled = dataclasses.replace(held[0], data=held[0].data[:-1] + b"?")
    joined.drive(Received(TOPICS.batch("lane-in"), piece_payload(spoiled)))
    joined.passes = lambda message: True
    joined.run(20)
    assert [one.why for one in joined.notices if isinstance(one, Refused)] == [
        "a piece of the snapshot is not what its hash says"
    ]
    assert joined.records_equal()
    assert joined.session.counts["snapshots_taken"] == 1


def test_a_manifest_that_another_key_signed_begins_nothing(joined: Joined) -> None:
    far_behind(joined)
    manifest = make_snapshot(joined.archive, "site", joined.folder / "other", joined.utc())
    joined.connect()
    for signer in (KeySigner(make_private(), "hub"), KeySigner(joined.private, "lane-in")):
        joined.drive(Received(TOPICS.batch("lane-in"), signed_payload(signer, Context.SNAPSHOT, manifest)))
    joined.drive(Received(TOPICS.batch("lane-in"), signed_payload(HUB, Context.FEED, manifest)))
    assert "snapshots_begun" not in joined.session.counts
    assert len([one for one in joined.notices if isinstance(one, Refused)]) == 1


def lied(joined: Joined, **fields: object) -> SnapshotManifest:
    manifest = make_snapshot(joined.archive, "site", joined.folder / "snapshots", joined.utc())
    return msgspec.structs.replace(manifest, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"piece_bytes": 0},
        {"piece_bytes": PIECE_BYTES + 1},
        {"packed_bytes": -1},
        {"packed_bytes": 2**60},
        {"size_bytes": 0},
        {"pages": ()},
        {"pages": ("0" * 63,)},
        {"sha256": "../../etc/passwd"},
        {"packed_sha256": "A" * 64},
        {"digest": "0"},
        {"scope": "another"},
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused_even_when_the_hub_signed_it(
    joined: Joined, fields: dict[str, object]
) -> None:
    far_behind(joined)
    joined.connect()
    before = len(joined.notices)
    payload = signed_payload(HUB, Context.SNAPSHOT, lied(joined, **fields))
    joined.drive(Received(TOPICS.batch("lane-in"), payload))
    assert [type(one) for one in joined.notices[before:] if isinstance(one, Refused)] == [Refused]
    assert "snapshots_begun" not in joined.session.counts


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sha256": "0" * 64}, "another hash"),
        ({"size_bytes": 20_000}, "unpacks to more than the 20000 bytes"),
        ({"number": 1_490}, "expected what its manifest says"),
        ({"rows": 7}, "expected what its manifest says"),
        ({"digest": "0" * 32}, "expected what its manifest says"),
        ({"schema": 99}, "this program knows"),
        ({"size_bytes": 2**40}, "bytes free"),
    ],
)
def test_a_snapshot_that_is_not_what_its_manifest_says_is_dropped_and_the_log_taken(
    joined: Joined, fields: dict[str, object], says: str
) -> None:
    far_behind(joined)
    manifest = lied(joined, **fields)
    shelf = joined.folder / "snapshots" / f"{manifest.packed_sha256}.json"
    shelf.write_bytes(msgspec.json.encode(manifest))
    joined.kill_hub()
    joined.connect()
    joined.run(60)
    troubles = [one for one in joined.notices if isinstance(one, StoreTrouble)]
    assert [one.work for one in troubles] == [Work.SNAPSHOT]
    assert says in troubles[0].why
    assert joined.records_equal()
    assert "snapshots_taken" not in joined.session.counts
    assert sorted(path.name for path in (joined.folder / "records").glob("snapshot*")) == []


# --- the file itself --------------------------------------------------------------------------------------


class Shop:
    """One snapshot, and what it takes to fetch it by hand."""

    def __init__(self, joined: Joined, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        put(joined, *range(MANY))
        shelf = joined.folder / "snapshots"
        self.manifest = make_snapshot(joined.archive, "site", shelf, joined.utc())
        self.packed = (shelf / f"{self.manifest.packed_sha256}.zst").read_bytes()
        self.hashes = (shelf / f"{self.manifest.packed_sha256}.pages").read_bytes()

    def changed(self, change: Callable[[Path], None]) -> None:
        """The same, with a file that was tampered with by somebody who has the centre's key."""
        path = self.folder.parent / "tampered.sqlite"
        plain = zstandard.ZstdDecompressor().decompress(self.packed, max_output_size=self.manifest.size_bytes)
        path.write_bytes(plain)
        change(path)
        plain = path.read_bytes()
        self.packed = zstandard.ZstdCompressor().compress(plain)
        parts = [self.packed[at : at + PIECE_BYTES] for at in range(0, len(self.packed), PIECE_BYTES)]
        self.hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
        self.manifest = msgspec.structs.replace(
            self.manifest,
            size_bytes=len(plain),
            sha256=hashlib.sha256(plain).hexdigest(),
            packed_bytes=len(self.packed),
            packed_sha256=hashlib.sha256(self.packed).hexdigest(),
            pages=(hashlib.sha256(self.hashes).hexdigest(),),
        )

    def begin(self) -> PartialSnapshot:
        return PartialSnapshot.begin(self.folder, self.manifest, b"signed", page_hashes=PAGE_HASHES)

    def piece(self, index: int) -> bytes:
        return self.packed[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]

    def fetch(self, snapshot: PartialSnapshot) -> None:
        assert snapshot.take_page(0, self.hashes)
        for index in range(-(-len(self.packed) // PIECE_BYTES)):
            assert snapshot.take_piece(index, self.piece(index))

    def install(self) -> Path:
        snapshot = self.begin()
        self.fetch(snapshot)
        path = None
        while path is None:
            path = snapshot.work()
        return path


@pytest.fixture
def shop(joined: Joined, tmp_path: Path) -> Shop:
    return Shop(joined, tmp_path / "shop")


def test_a_whole_snapshot_becomes_the_next_generation(shop: Shop) -> None:
    path = shop.install()
    assert path == shop.folder / "records-1.sqlite"
    assert sorted(file.name for file in shop.folder.iterdir()) == ["records-1.sqlite"]
    with Records.open(path) as records:
        assert records.verify() == []
        assert records.feed_state().rows == MANY


def test_a_snapshot_is_not_begun_into_the_journals_reserve(
    shop: Shop, joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8: whatever the site has stated as its reserve, records leave it free."""
    sizes = shop.manifest.packed_bytes + shop.manifest.size_bytes + SPARE_BYTES
    free = shutil.disk_usage(tmp_path)._replace(free=sizes + 999_999)
    monkeypatch.setattr("sync.store.snapshots.shutil.disk_usage", lambda _folder: free)
    with Journal.open(tmp_path / "j.sqlite", device="lane-9", reserve_bytes=1_000_000) as journal:
        performer = LinkPerformer(journal, shop.folder, scope="site")
        (answer,) = performer.perform(BeginSnapshot(shop.manifest, b"signed"))
        assert isinstance(answer, StoreFailed)
        assert "free space" in answer.why
        performer.close()
    with Journal.open(tmp_path / "k.sqlite", device="lane-9", reserve_bytes=999_999) as journal:
        performer = LinkPerformer(journal, shop.folder, scope="site")
        (answer,) = performer.perform(BeginSnapshot(shop.manifest, b"signed"))
        assert isinstance(answer, SnapshotSeen)
        performer.close()


def test_what_is_on_the_disk_is_asked_of_the_disk(shop: Shop) -> None:
    snapshot = shop.begin()
    shop.fetch(snapshot)
    assert snapshot.left == 0
    snapshot.close()
    packed = shop.folder / "snapshot.packed"
    spoiled = bytearray(packed.read_bytes())
    spoiled[10] ^= 1
    packed.write_bytes(spoiled)
    again = shop.begin()
    assert (again.left, again.wanted(8).pieces) == (1, ((0, 0),))
    again.close()


def test_a_cut_off_file_of_pieces_is_continued_where_it_ends(shop: Shop) -> None:
    snapshot = shop.begin()
    snapshot.take_page(0, shop.hashes)
    snapshot.take_piece(0, shop.piece(0))
    snapshot.close()
    again = shop.begin()
    assert again.wanted(1).pieces == ((1, 1),)
    again.close()


def test_a_piece_is_not_believed_before_its_page(shop: Shop) -> None:
    snapshot = shop.begin()
    assert not snapshot.take_piece(0, shop.piece(0))
    assert snapshot.wanted(8).pages == ((0, 0),)
    assert not snapshot.take_page(0, shop.hashes[:-1])
    assert not snapshot.take_page(1, shop.hashes)
    snapshot.drop()


def with_trigger(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TRIGGER evil AFTER UPDATE ON feed BEGIN DELETE FROM waybills; END")
    db.close()


def torn(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 4096)


def foreign(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


@pytest.mark.parametrize(
    ("change", "says"),
    [(with_trigger, "other tables"), (torn, "no sound records file"), (foreign, "no sound records file")],
)
def test_a_file_that_is_no_sound_records_file_is_refused_whoever_signed_it(
    shop: Shop, change: Callable[[Path], None], says: str
) -> None:
    shop.changed(change)
    with pytest.raises(StoreRefused, match=says):
        shop.install()
    assert list(shop.folder.iterdir()) == []


def test_a_snapshot_of_an_earlier_schema_is_brought_to_todays(shop: Shop) -> None:
    def earlier(path: Path) -> None:
        path.unlink()
        db = sqlite3.connect(path)
        for step in steps_of(RECORDS)[:1]:
            db.executescript(step)
        db.execute(
            "INSERT INTO feed VALUES (1, ?, ?, ?, 0, ?, NULL)",
            (shop.manifest.scope, shop.manifest.epoch, shop.manifest.number, bytes(16)),
        )
        db.execute(f"PRAGMA application_id={RECORDS.application_id}")
        db.execute("PRAGMA user_version=1")
        db.commit()
        db.close()

    shop.changed(earlier)
    shop.manifest = msgspec.structs.replace(shop.manifest, schema=1, rows=0, digest="0" * 32)
    with Records.open(shop.install()) as records:
        assert records.recalls() == ()


# --- the making -------------------------------------------------------------------------------------------


def test_records_that_are_not_what_the_scope_says_make_no_snapshot(joined: Joined, tmp_path: Path) -> None:
    put(joined, *range(50))
    with joined.archive.transaction():
        joined.archive._db.execute("UPDATE records SET body = body || ' ' WHERE key = ?", (key(3),))
    with pytest.raises(SnapshotUnsound, match="its rows make 50"):
        make_snapshot(joined.archive, "site", tmp_path / "shelf", joined.utc())
    assert list((tmp_path / "shelf").iterdir()) == []


def test_what_is_imported_while_a_snapshot_is_made_is_not_in_it_and_not_lost(
    joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(joined, *range(50))
    rows = joined.archive.record_rows

    def slowly(scope: str) -> Iterator[tuple[str, str, str]]:
        for count, row in enumerate([None, *range(50)]):
            if count in (0, 25):
                importer = type(joined.archive).open(joined.folder / "archive.sqlite")
                with importer.transaction():
                    change = RecordChange("enterprises", key(1), body(77 + count))
                    importer.apply_changes("site", [change], joined.utc())
                importer.close()
            if row is None:
                some = rows(scope)
            else:
                yield next(some)

    monkeypatch.setattr(joined.archive, "record_rows", slowly)
    manifest = make_snapshot(joined.archive, "site", tmp_path / "shelf", joined.utc())
    scope = joined.archive.scope("site")
    assert scope is not None
    assert (manifest.number, scope.number) == (50, 52)


def test_old_snapshots_are_thrown_away(joined: Joined) -> None:
    shelf = joined.folder / "snapshots"
    put(joined, 1)
    first = make_snapshot(joined.archive, "site", shelf, joined.utc())
    joined.run(1)
    put(joined, 2)
    second = make_snapshot(joined.archive, "site", shelf, joined.utc())
    joined.receiver._feeding._look_at_s = None
    joined.run(1)
    assert {path.stem for path in shelf.glob("*.json")} == {first.packed_sha256, second.packed_sha256}
    joined.now_s += 4_000
    joined.run(1)
    assert {path.stem for path in shelf.iterdir()} == {second.packed_sha256}


def test_what_a_killed_making_left_behind_is_cleared_away(tmp_path: Path) -> None:
    shelf = tmp_path / "snapshots"
    (shelf / "making-4711").mkdir(parents=True)
    left = [
        shelf / "making-4711" / "records-1.sqlite",
        shelf / f"{'a' * 64}.zst",
        shelf / f"{'a' * 64}.pages",
    ]
    for path in left:
        path.write_bytes(b"x")
    (shelf / "aside.said").write_bytes(b"")
    now_s = time.time()
    SnapshotFolder(shelf).look((), now_s + 3_600)
    assert [path.exists() for path in left] == [True, True, True], "it may be at work"
    SnapshotFolder(shelf).look((), now_s + 2 * 86_400)
    assert [path.name for path in shelf.iterdir()] == ["aside.said"]


def test_snapshots_take_no_more_of_the_line_than_they_may(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, snapshot_bytes_per_s=30_000)
    joined = Joined(tmp_path, limits=limits)
    put(joined, *range(MANY))
    make_snapshot(joined.archive, "site", tmp_path / "snapshots", joined.utc())
    joined.kill_hub()
    sent = []
    for _ in range(30):
        joined.run(1)
        sent.append(sum(len(payload) for _, payload in joined.down if is_piece(payload)))
    assert joined.session.counts.get("snapshots_begun") == 1
    assert sum(sent) <= 30 * 30_000 + 64 * 1024
    joined.close()


@pytest.mark.parametrize(
    "payload", [b"KKS1", b"KKS1" + b"\0" * 16 + b"Q" + b"\0" * 5, b"KKS1" + b"P" * 70_000]
)
def test_hostile_pieces_are_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        read_piece(payload)


def test_a_pull_says_whether_a_snapshot_would_be_taken(joined: Joined) -> None:
    pulls = [
        from_json(from_json(payload, Signed).body, Pull) for topic, payload in joined.up if "pull" in topic
    ]
    assert all(pull.snapshots for pull in pulls)


def test_between_two_slices_of_a_snapshot_whatever_else_came_is_heard(joined: Joined) -> None:
    """G9: a claim's answer waits for a slice, not for the minute that unpacking and checking takes."""
    far_behind(joined)
    slices: list[float] = []
    perform = joined.performer.perform

    def noted(effect: LinkEffect) -> tuple[LinkEvent, ...]:
        if isinstance(effect, WorkOnSnapshot):
            slices.append(joined.now_s)
        return perform(effect)

    joined.performer.perform = noted  # type: ignore[method-assign]
    joined.connect()
    joined.run(15)
    assert joined.session.counts["snapshots_taken"] == 1
    assert len(slices) >= 4
    assert len(set(slices)) == len(slices)
