"""A hub put back from its backup, a device's disk put back from an image, a device that runs twice: each is
found and named, nothing lost, nothing overwritten (G4, G6). Through the real programs.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.conftest import mosquitto, until
from tests.system.crash_site import IN_PROVE, LANE, CrashSite, Process, SingleBroker, crash_site, wait_s

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site"), pytest.mark.timeout(300)]

TOKEN_S = 6.0
"""A little more than a busy hub takes to tell itself apart from its last backup (`Limits.token_every_s`)."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CrashSite]:
    mosquitto()
    with crash_site(tmp_path / "site", lambda folder: SingleBroker("mosquitto", folder)) as made:
        made.broker.start()
        made.import_records(20)
        made.start_hub()
        yield made


def commit_up_to(site: CrashSite, facts: int) -> None:
    """The lane, started anew, commits to so many and drains; it goes on running."""
    starts = site.lane.starts
    site.lane.kill()
    site.a_lane(facts=facts, together=5).starts = starts
    site.start_lane()
    site.until_drained(60.0)


def asked(site: CrashSite, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{site.archive}?mode=ro", uri=True)) as archive:
        return archive.execute(sql).fetchall()


def stored(site: CrashSite) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Identity of every fact at the hub -> its hash, body and when it was stored."""
    rows = asked(site, "SELECT epoch, stream, seq, hash, body, stored_utc FROM facts")
    return {row[:3]: row[3:] for row in rows}


def alarms(site: CrashSite) -> set[object]:
    return {code for (code,) in asked(site, "SELECT code FROM hub_alarms")}


def event_ids(site: CrashSite) -> set[object]:
    """Of facts and of branches."""
    rows = asked(site, "SELECT event_id FROM facts UNION SELECT event_id FROM branches")
    return {event_id for (event_id,) in rows}


def told_by_the_lane(site: CrashSite) -> set[object]:
    """Event ids of all it ever said was durable."""
    return {fact[4] for fact in site.told().facts}


def back_up(site: CrashSite, to: Path) -> None:
    """As the operations guide says, of a running hub."""
    with closing(sqlite3.connect(site.archive)) as archive, closing(sqlite3.connect(to)) as copy:
        archive.backup(copy)


def put_back(site: CrashSite, backup: Path) -> None:
    for suffix in ("-wal", "-shm"):
        site.archive.with_name(site.archive.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(backup, site.archive)


def test_a_hub_restored_from_its_backup_is_refilled_under_a_new_name(site: CrashSite, tmp_path: Path) -> None:
    commit_up_to(site, 60)
    back_up(site, tmp_path / "backup.sqlite")
    wait_s(TOKEN_S)
    commit_up_to(site, 150)
    before, archive_id = stored(site), asked(site, "SELECT value FROM meta WHERE key = 'archive_id'")
    wait_s(TOKEN_S)
    site.hub.kill()
    put_back(site, tmp_path / "backup.sqlite")
    assert len(stored(site)) < len(before)
    site.start_hub()
    until(lambda: len(stored(site)) == len(before), "the lane fills the hub again")
    assert asked(site, "SELECT value FROM meta WHERE key = 'archive_id'") != archive_id
    commit_up_to(site, 170)
    site.end()
    assert {identity: held[:2] for identity, held in before.items()}.items() <= {
        identity: held[:2] for identity, held in stored(site).items()
    }.items()
    assert site.wrong() == []


@IN_PROVE
def test_a_hub_restored_to_a_moment_ago_misses_nothing_once_its_devices_go_on(
    site: CrashSite, tmp_path: Path
) -> None:
    """The copy is younger than the hub's own mark: it cannot know. Its acknowledgements tell."""
    commit_up_to(site, 40)
    back_up(site, tmp_path / "backup.sqlite")
    commit_up_to(site, 60)
    site.hub.kill()
    put_back(site, tmp_path / "backup.sqlite")
    site.start_hub()
    commit_up_to(site, 200)
    until(lambda: len(stored(site)) == 201, "the lane fills the hub again")
    site.end()
    assert site.wrong() == []


@IN_PROVE
def test_a_device_restored_from_an_image_is_found_and_what_it_forgot_stays(
    site: CrashSite, tmp_path: Path
) -> None:
    commit_up_to(site, 50)
    site.lane.kill()
    shutil.copytree(site.journal.parent, tmp_path / "image")
    commit_up_to(site, 90)
    site.lane.kill()
    before = stored(site)
    shutil.rmtree(site.journal.parent)
    shutil.copytree(tmp_path / "image", site.journal.parent)
    commit_up_to(site, 120)
    until(
        lambda: event_ids(site) >= {fact[4] for fact in site.told().facts}, "all it ever told is at the hub"
    )
    until(lambda: "rolled_back" in alarms(site), "the hub says what happened")
    site.end()
    assert before.items() <= stored(site).items()
    assert len({epoch for epoch, _, _ in stored(site)}) == 2
    assert "branch" in alarms(site)


def test_a_device_restored_from_an_image_hears_it_from_the_hub_before_it_says_anything(
    site: CrashSite, tmp_path: Path
) -> None:
    commit_up_to(site, 50)
    site.lane.kill()
    shutil.copytree(site.journal.parent, tmp_path / "image")
    commit_up_to(site, 90)
    site.lane.kill()
    before = stored(site)
    shutil.rmtree(site.journal.parent)
    shutil.copytree(tmp_path / "image", site.journal.parent)
    commit_up_to(site, 0)
    until(lambda: "rolled_back" in alarms(site), "the hub says what happened")
    commit_up_to(site, 60)
    site.end()
    assert before.items() <= stored(site).items()
    assert "branch" not in alarms(site)


@IN_PROVE
def test_a_journal_alone_put_back_is_noticed_by_the_device_itself(site: CrashSite, tmp_path: Path) -> None:
    commit_up_to(site, 50)
    site.lane.kill()
    with closing(sqlite3.connect(site.journal)) as journal, closing(sqlite3.connect(tmp_path / "j")) as copy:
        journal.backup(copy)
    commit_up_to(site, 90)
    site.lane.kill()
    before = stored(site)
    for suffix in ("-wal", "-shm"):
        site.journal.with_name(site.journal.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "j", site.journal)
    commit_up_to(site, 110)
    until(lambda: "rolled_back" in alarms(site), "the hub says what happened")
    site.end()
    assert before.items() <= stored(site).items()
    assert event_ids(site) >= told_by_the_lane(site)
    assert "branch" not in alarms(site)


def test_a_cloned_device_beside_the_original_is_found_and_overwrites_nothing(
    site: CrashSite, tmp_path: Path
) -> None:
    commit_up_to(site, 40)
    site.lane.kill()
    for part in ("keys", f"data/{LANE}"):
        shutil.copytree(site.folder / part, tmp_path / "clone" / part)
    before = stored(site)
    site.a_lane(facts=100, pause_s=0.02).starts = 1
    clone = second_lane(site, tmp_path / "clone", facts=100, pause_s=0.02)
    try:
        site.start_lane()
        clone.start()
        until(lambda: alarms(site) & {"branch", "after_epoch_end"}, "the hub says what happened")
        until(
            lambda: told_by_the_lane(site) | told_by(clone) <= event_ids(site),
            "what both told is at the hub",
            90.0,
        )
    finally:
        clone.kill()
    site.end()
    print(f"clone: {sorted(map(str, alarms(site)))}, {len({key[0] for key in stored(site)})} epochs")
    assert before.items() <= stored(site).items()


def second_lane(site: CrashSite, folder: Path, **settings: object) -> Process:
    lane = site.lane
    clone = site.a_lane(folder=str(folder), **settings)
    site.lane = lane
    (folder / "logs").mkdir()
    return Process("clone", clone.command, folder / "logs")


def told_by(lane: Process) -> set[object]:
    return {line.split()[5] for line in lane.said().split("\n")[:-1] if line.startswith("fact ")}
