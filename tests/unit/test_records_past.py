"""The hub keeps every version of every record; what is kept no longer leaves by deletes in its log (G5)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from edge.cli import app
from sync.hub.archive import Archive, RecordChange, place_text
from sync.hub.aside import MakeSnapshot, Order, ReadBuckets, bucket_rows, do
from sync.hub.importing import ROWS_AT_ONCE, import_files
from sync.hub.past import Moment, PastUnknown, moment_of_fact, version_at
from sync.hub.retiring import RetireRefused, retire
from sync.hub.snapshots import make_snapshot
from sync.link.keys import make_private, private_pem
from sync.policy.digests import MODULUS, bucket_of, row_digest
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import GENESIS, FactDraft, RulingMade, Stream, seal
from sync.vocabulary.numbers import EnterpriseCode, SlipNo, UtcText, WaybillNo
from sync.vocabulary.records import CreditTier, Enterprise, Waybill
from sync.vocabulary.rulings import Because, Reason, Ruling, Verdict
from tests.postgres import Place
from tests.unit.test_hub_claims import slip

NOW = "2026-01-31T08:00:00.000000Z"
SCOPE = "site-a"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive.open(tmp_path / "archive.sqlite", own=True)
    with made.transaction():
        made.add_scope(SCOPE)
    yield made
    made.close()


def change(archive: Archive, key: str, body: str | None, at_utc: str = NOW, what: str = "enterprises") -> int:
    with archive.transaction():
        return archive.apply_changes(SCOPE, [RecordChange(what, key, body)], at_utc).number


def epoch_of(archive: Archive) -> str:
    scope = archive.scope(SCOPE)
    assert scope is not None
    return scope.epoch


def body_at(archive: Archive, number: int, epoch: str = "") -> str | None:
    moment = Moment(SCOPE, epoch or epoch_of(archive), number)
    found = version_at(archive, moment, "enterprises", "A")
    return None if found is None else found.body


def test_a_record_is_read_as_it_was_at_any_number(archive: Archive) -> None:
    change(archive, "B", "0")
    numbers = [change(archive, "A", body) for body in ("one", "two", None, "three")]
    change(archive, "B", None)
    assert numbers == [2, 3, 4, 5]
    assert [body_at(archive, number) for number in range(7)] == [
        None,
        None,
        "one",
        "two",
        None,
        "three",
        "three",
    ]
    versions = archive.record_versions(SCOPE, "enterprises", "A")
    assert [(one.number, one.op, one.body) for one in versions] == [
        (2, "put", "one"),
        (3, "put", "two"),
        (4, "delete", ""),
        (5, "put", "three"),
    ]


def test_a_record_is_read_as_it_was_at_any_time(archive: Archive) -> None:
    for hour, body in ((1, "one"), (3, "two")):
        change(archive, "A", body, f"2026-01-31T0{hour}:00:00.000000Z")
    found = [archive.record_at(SCOPE, "enterprises", "A", f"2026-01-31T0{hour}:30:00Z") for hour in (0, 2, 4)]
    assert [one and one.body for one in found] == [None, "one", "two"]


def test_an_epoch_begun_anew_does_not_hide_what_was(archive: Archive, tmp_path: Path) -> None:
    change(archive, "A", "one")
    change(archive, "A", "two")
    old = epoch_of(archive)
    archive.close()
    (tmp_path / "archive.sqlite.opened").write_text("another\n")
    again = Archive.open(tmp_path / "archive.sqlite", own=True)
    assert epoch_of(again) != old
    change(again, "A", "three")
    assert [body_at(again, 1, old), body_at(again, 2, old), body_at(again, 1), body_at(again, 2)] == [
        "one", "two", "two", "three",
    ]  # fmt: skip
    again.close()


def test_a_number_the_archive_never_came_to_is_no_answer(archive: Archive) -> None:
    change(archive, "A", "one")
    for moment in (Moment(SCOPE, epoch_of(archive), 2), Moment(SCOPE, "0" * 32, 1), Moment("other", "", 0)):
        with pytest.raises(PastUnknown, match="never came to"):
            version_at(archive, moment, "enterprises", "A")


def ruling(archive: Archive, number: int) -> str:
    made = RulingMade(
        passage=1,
        ruling=Ruling(Verdict.RELEASE, (Because(Reason.RELEASED),)),
        direction="I",
        records_scope=SCOPE,
        records_epoch=epoch_of(archive),
        records_number=number,
    )
    draft = FactDraft("e1", Stream.ROUTINE, NOW, "boot", 5, made)
    fact = seal(draft, device="lane-1", epoch="e" * 32, seq=1, position=1, prev=GENESIS)
    with archive.transaction():
        archive.add_facts([fact], NOW)
    return f"lane-1/{fact.epoch}/routine/1"


def test_a_ruling_is_read_beside_the_records_it_stood_on(archive: Archive) -> None:
    number = change(archive, "A", "one")
    fact = ruling(archive, number)
    change(archive, "A", None)
    moment = moment_of_fact(archive, fact)
    found = version_at(archive, moment, "enterprises", "A")
    assert found is not None
    assert (found.body, found.number) == ("one", number)


@pytest.mark.parametrize("fact", ["lane-1", "lane-1/e/routine/x", "lane-1/e/routine/7", "a/b/c/" + "9" * 30])
def test_a_fact_that_is_not_there_is_named(archive: Archive, fact: str) -> None:
    with pytest.raises(PastUnknown, match=r"expected DEVICE|is not in"):
        moment_of_fact(archive, fact)


# --- retention --------------------------------------------------------------------------------------------


def fill(archive: Archive) -> None:
    for day in (1, 30):
        waybill = Waybill(waybill_no=WaybillNo(f"YT{day:013d}"))
        at_utc = f"2026-01-{day:02d}T00:00:00.000000Z"
        change(archive, str(waybill.waybill_no), to_json(waybill).decode(), at_utc, "waybills")
    for days in (1, 20, 40):
        until = f"2026-01-{31 - days:02d}T00:00:00Z" if days < 31 else "2025-12-22T00:00:00Z"
        slip_no = SlipNo(f"Z3111I2407280000000000{days:02d}")
        old = msgspec.structs.replace(slip(), slip_no=slip_no, valid_until=UtcText(until))
        change(archive, str(old.slip_no), to_json(old).decode(), what="release_slips")


def keys(archive: Archive) -> list[str]:
    return [key for _, key, _ in archive.record_rows(SCOPE)]


def quick(archive: Archive, days: dict[str, int], now: str = NOW, *, most: bool = False) -> dict[str, int]:
    done = retire(archive, SCOPE, days, now, most_of_it=most, pause=lambda _s: None)
    return {one.collection: one.deleted for one in done}


def test_what_is_older_than_its_days_leaves_by_a_delete_in_the_log(archive: Archive) -> None:
    fill(archive)
    before = archive.scope(SCOPE)
    assert quick(archive, {"release_slips": 30, "waybills": 10}) == {"release_slips": 1, "waybills": 1}
    after = archive.scope(SCOPE)
    assert before is not None
    assert after is not None
    assert after.number == before.number + 2
    assert "Z3111I240728000000000040" not in keys(archive)
    assert "Z3111I240728000000000020" in keys(archive)
    (*_, last) = archive.log_after(SCOPE, after.epoch, after.number - 1)
    assert (last.op, last.body) == ("delete", "")
    found = archive.record_as_of(SCOPE, "release_slips", "Z3111I240728000000000040", before.number)
    assert found is not None
    assert '"slip_no"' in found.body
    assert quick(archive, {"release_slips": 30, "waybills": 10}) == {"release_slips": 0, "waybills": 0}


def test_what_was_changed_lately_stays_however_the_clock_went(archive: Archive) -> None:
    """A clock far back between two good ones: entries are not in the order of their times."""
    for number, day in enumerate((28, 1, 29), start=1):
        waybill = Waybill(waybill_no=WaybillNo(f"YT{number:013d}"))
        at_utc = f"2026-01-{day:02d}T00:00:00.000000Z"
        change(archive, str(waybill.waybill_no), to_json(waybill).decode(), at_utc, "waybills")
    quick(archive, {"waybills": 10})
    assert {"YT0000000000001", "YT0000000000003"} <= set(keys(archive))


def test_what_an_import_makes_good_for_longer_while_others_are_deleted_stays(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.hub.retiring.AT_ONCE", 1)
    over = UtcText("2025-01-01T00:00:00Z")
    slips = [
        msgspec.structs.replace(slip(), slip_no=SlipNo(f"Z3111I2407280000000000{n:02d}"), valid_until=over)
        for n in (1, 2, 3)
    ]
    for each in slips:
        change(archive, str(each.slip_no), to_json(each).decode(), what="release_slips")
    longer = msgspec.structs.replace(slips[2], valid_until=UtcText("2027-01-01T00:00:00Z"))

    def meanwhile(_seconds: float) -> None:
        change(archive, str(longer.slip_no), to_json(longer).decode(), what="release_slips")

    (done,) = retire(archive, SCOPE, {"release_slips": 30}, NOW, pause=meanwhile)
    assert (done.deleted, keys(archive)) == (2, [str(longer.slip_no)])


def test_a_clock_far_ahead_does_not_empty_a_scope(archive: Archive) -> None:
    rows = [Waybill(waybill_no=WaybillNo(f"YT{number:013d}")) for number in range(1_200)]
    changes = [RecordChange("waybills", str(row.waybill_no), to_json(row).decode()) for row in rows]
    with archive.transaction():
        archive.apply_changes(SCOPE, changes, NOW)
    with pytest.raises(RetireRefused, match="see that the clock is right"):
        quick(archive, {"waybills": 30}, "2099-01-01T00:00:00.000000Z")
    assert len(keys(archive)) == 1_200
    assert quick(archive, {"waybills": 30}, "2099-01-01T00:00:00.000000Z", most=True) == {"waybills": 1_200}


# --- importing beside a hub -------------------------------------------------------------------------------


def enterprises(folder: Path, count: int) -> Path:
    firm = Enterprise(
        code=EnterpriseCode("4100000000"), name="某", tier=CreditTier.LOW, spot_check_per_mille=1
    )
    codes = [EnterpriseCode(f"41{number:08d}") for number in range(count)]
    file = folder / "enterprises.json"
    file.write_bytes(to_json([msgspec.structs.replace(firm, code=code) for code in codes]))
    return file


def test_a_large_import_lets_others_write_in_between(archive: Archive, tmp_path: Path) -> None:
    rows = [
        Enterprise(
            code=EnterpriseCode(f"41{number:08d}"), name="某", tier=CreditTier.LOW, spot_check_per_mille=1
        )
        for number in range(4 * ROWS_AT_ONCE)
    ]
    file = tmp_path / "enterprises.json"
    file.write_bytes(to_json(rows))
    seen: list[int] = []

    def in_between(_seconds: float) -> None:
        # Another connection has its turn, and sees what is committed so far.
        beside = Archive.open(tmp_path / "archive.sqlite", busy_timeout_s=0.01)
        with beside.transaction():
            beside.add_alarm(NOW, "lane-1", "test", "in between")
        scope = beside.scope(SCOPE)
        assert scope is not None
        seen.append(scope.number)
        beside.close()

    report = import_files(archive, SCOPE, [file], NOW, pause=in_between)
    assert seen == [ROWS_AT_ONCE, 2 * ROWS_AT_ONCE, 3 * ROWS_AT_ONCE]
    assert (report.put, report.number) == (4 * ROWS_AT_ONCE, 4 * ROWS_AT_ONCE)


def test_an_import_that_was_killed_is_finished_by_importing_again(archive: Archive, tmp_path: Path) -> None:
    rows = [
        Enterprise(
            code=EnterpriseCode(f"41{number:08d}"), name="某", tier=CreditTier.LOW, spot_check_per_mille=1
        )
        for number in range(2 * ROWS_AT_ONCE)
    ]
    file = tmp_path / "enterprises.json"
    file.write_bytes(to_json(rows))

    class Killed(BaseException):
        pass

    def killed(_seconds: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        import_files(archive, SCOPE, [file], NOW, pause=killed)
    report = import_files(archive, SCOPE, [file], NOW)
    assert (report.put, report.unchanged) == (ROWS_AT_ONCE, ROWS_AT_ONCE)
    scope, sums = archive.scope(SCOPE), [0] * 4096
    for row in archive.record_rows(SCOPE):
        sums[bucket_of(*row[:2])] += row_digest(*row)
    assert archive.bucket_sums(SCOPE) == tuple(one % MODULUS for one in sums)
    assert scope is not None
    assert scope.rows == 2 * ROWS_AT_ONCE


def test_a_hub_waits_a_moment_for_an_import_and_no_longer(archive: Archive, tmp_path: Path) -> None:
    rows = [Waybill(waybill_no=WaybillNo(f"YT{number:013d}")) for number in range(4_000)]
    file = tmp_path / "waybills.json"
    file.write_bytes(to_json(rows))
    importer = Archive.open(tmp_path / "archive.sqlite")
    done = threading.Thread(target=import_files, args=(importer, SCOPE, [file], NOW))
    done.start()
    waited = []
    while done.is_alive():
        begin_s = time.perf_counter()
        with archive.transaction():
            archive.add_alarm(NOW, "lane-1", "test", "waits")
        waited.append(time.perf_counter() - begin_s)
        time.sleep(0.01)
    done.join()
    importer.close()
    # A busy machine makes one transaction long; waiting for the whole import would be all of them.
    assert sorted(waited)[len(waited) // 2] < 1.0


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def config(archive: Archive, tmp_path: Path) -> Path:
    key = tmp_path / "hub.key"
    key.write_bytes(private_pem(make_private()))
    key.chmod(0o600)
    path = tmp_path / "hub.toml"
    path.write_text(
        f'site = "{SCOPE}"\n[store]\narchive = "archive.sqlite"\n'
        f'[sync]\nkey_file = "hub.key"\nscopes = ["{SCOPE}"]\nallow_plaintext = true\n'
        "[records]\nkeep_days = { release_slips = 30 }\n"
    )
    return path


def told(config: Path, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    result = CliRunner().invoke(app, ["records", arguments[0], str(config), *arguments[1:], "--json"])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines() if line[:1] == "{"]


def test_show_tells_a_record_as_it_is_and_as_it_was(archive: Archive, config: Path) -> None:
    number = change(archive, "A", "one")
    fact = ruling(archive, number)
    change(archive, "A", "two")
    code, versions = told(config, "show", "enterprises", "A")
    assert (code, [one["body"] for one in versions]) == (0, ["one", "two"])
    for option in (("--at", str(number)), ("--fact", fact), ("--time", NOW)):
        code, versions = told(config, "show", "enterprises", "A", *option)
        assert (code, len(versions)) == (0, 1)
    assert told(config, "show", "enterprises", "A", "--fact", fact)[1][0]["body"] == "one"
    assert told(config, "show", "enterprises", "nobody") == (1, [])
    assert told(config, "show", "enterprises", "A", "--at", "9")[0] == 1
    assert told(config, "show", "enterprises", "A", "--at", "1", "--fact", fact)[0] == 2


def test_retire_deletes_what_is_old_or_named(archive: Archive, config: Path) -> None:
    fill(archive)
    code, lines = told(config, "retire")
    assert code == 0
    assert lines[0]["collection"] == "release_slips"
    code, lines = told(config, "retire", "--collection", "waybills", "--key", "YT0000000000001")
    assert (code, lines) == (0, [{"scope": SCOPE, "collection": "waybills", "deleted": 1}])
    assert "YT0000000000001" not in keys(archive)
    assert told(config, "retire", "--key", "x")[0] == 2


# --- both engines -----------------------------------------------------------------------------------------


def test_sums_versions_snapshots_and_retention_are_the_same_on_each_engine(
    place: Place, tmp_path: Path
) -> None:
    made = Archive.open(place, own=True)
    with made.transaction():
        made.add_scope(SCOPE)
        made.allow_scopes("lane-1", ("next-door",))
    assert not made.may_pull("lane-1", SCOPE)
    fill(made)
    for body in ("one", "two", None):
        change(made, "A", body)
    scope = made.scope(SCOPE)
    assert scope is not None
    found = [body_at(made, number) for number in range(5, 9)]
    assert found == [None, "one", "two", None]
    assert made.record_at(SCOPE, "enterprises", "A", "2026-01-31T07:00:00Z") is None
    assert [one.number for one in made.record_versions(SCOPE, "enterprises", "A")] == [6, 7, 8]
    assert made.keys_changed(SCOPE, scope.epoch, 7) == (("enterprises", "A"),)
    sums = made.bucket_sums(SCOPE)
    with made.transaction():
        made._db.execute("DELETE FROM bucket_sums")
    assert made.bucket_sums(SCOPE) is None
    made.mend_bucket_sums(SCOPE)
    assert made.bucket_sums(SCOPE) == sums
    manifest = make_snapshot(made, SCOPE, tmp_path / "shelf", NOW)
    assert (manifest.number, manifest.rows, manifest.digest) == (8, scope.rows, scope.digest)
    job = ReadBuckets(SCOPE, scope.epoch, 6, (bucket_of("enterprises", "A"),))
    assert bucket_rows(made, job) == {job.buckets[0]: (("enterprises", "A", "one"),)}
    assert quick(made, {"release_slips": 30, "waybills": 10}) == {"release_slips": 1, "waybills": 1}
    assert do(Order(place_text(place), str(tmp_path / "shelf"), MakeSnapshot(SCOPE), NOW)).fault == ""
    made.close()
