"""The checker against a site that really ran, and against lies planted in copies of it, one a row.

The liar is a good one: whatever can be recomputed is recomputed, digests, chains and, with the device's own
key, signatures. So each lie stands or falls by what its row compares, and by nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from hardware_sims import reconciliation
from hardware_sims.cast import LANE_IN, LANE_OUT, SCOPE
from hardware_sims.processes import Child, python
from hardware_sims.reconciliation import NotASite, Report, align, reconcile
from hardware_sims.site import LANES, Site, write_site
from sync.hub.archive import Archive
from sync.hub.importing import import_files

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("site"), pytest.mark.timeout(300)]

VEHICLES = 8
SPEED = 20.0
RUN_WITHIN_S = 120.0
Line = dict[str, Any]
ALL = (
    "raisings",
    "orders",
    "facts",
    "records",
    "uses",
    "crossings",
    "contact",
    "rulings",
    "claims",
    "alarms",
    "parcels",
    "chutes",
    "pictures",
)


# --- a truthful site --------------------------------------------------------------------------------------


class RunningSite:
    """The real programs over simulated devices; killed and started again while both lanes are idle."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._children: dict[str, Child] = {}
        self._events: queue.Queue[Line] = queue.Queue()
        self._starts = dict.fromkeys(LANES, 0)
        self._until = time.monotonic() + RUN_WITHIN_S

    def start(self, name: str) -> None:
        site = self.site
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        port = str(site.broker_port)
        match name:
            case "broker" if Path(mosquitto).exists():
                command: tuple[str, ...] = (mosquitto, "-p", port)
            case "broker":
                command = python("-m", "sync.link.broker", "--port", port)
            case "hub":
                command = python("-m", "sync.hub", str(site.hub_config))
            case "sims":
                speed = ("--speed", f"{site.speed:g}", "--hold", "--json")
                command = python("-m", "hardware_sims", "serve", str(site.scenario_file), *speed)
            case _:
                command = python("-m", "edge.gate", str(site.lane_config(name)))
                self._starts[name] += 1
        child = Child(name, command, site.folder / f"{name}.log", talks=name == "sims")
        self._children[name] = child
        if name == "sims":
            threading.Thread(target=self._hear, args=(child,), daemon=True).start()

    def _hear(self, sims: Child) -> None:
        assert sims.process.stdout is not None
        for line in sims.process.stdout:
            self._events.put(json.loads(line))

    def _ask(self, path: Path, sql: str, *values: str) -> list[Any]:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=3)) as books:
                return books.execute(sql, values).fetchall()
        except sqlite3.Error:
            return []

    def _wait(self, what: str, done: Callable[[], object]) -> None:
        while not done():
            assert time.monotonic() < self._until, f"waited in vain for {what}; logs in {self.site.folder}"
            time.sleep(0.05)

    def _settled(self) -> bool:
        """All lanes have the records, and the hub everything the lanes committed."""
        archive = self.site.archive
        numbers = self._ask(archive, "SELECT number FROM scopes")
        told = dict(self._ask(archive, "SELECT device, body FROM statuses"))
        for lane in LANES:
            journal = self.site.lane_data(lane) / "journal.sqlite"
            counted = "SELECT count(*), sum(kind = 'lane_started') FROM facts"
            committed = self._ask(journal, counted)
            stored = self._ask(archive, f"{counted} WHERE device = ?", lane)
            if not committed or committed[0][1] != self._starts[lane]:
                return False
            status = json.loads(told.get(lane, "{}"))
            if committed != stored or not status.get("online"):
                return False
            if status["records"].get(SCOPE) != numbers[0][0]:
                return False
        return True

    def run(self) -> None:
        site = self.site
        self.start("broker")
        self.start("hub")
        self._wait("the hub's archive", lambda: self._ask(site.archive, "SELECT 1 FROM scopes"))
        archive = Archive.open(site.archive)
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        import_files(archive, SCOPE, site.record_files(), utc)
        archive.close()
        self.start("sims")
        self._wait("the ports", (site.folder / "ports" / f"{LANES[-1]}-led").exists)
        for lane in LANES:
            self.start(lane)
        self._wait("both lanes to have the records", self._settled)
        self._tell("go")
        for event in self._heard():
            if event == "PAUSED":
                self._wait_idle()
                # What has just happened is on record before anything is killed, also on a busy machine.
                time.sleep(2 * reconciliation.UNSEEN_AFTER_S / SPEED)
                self._kill_all_but_the_simulators()
                self._tell("go")
        self._wait("all facts to arrive", self._settled)
        time.sleep(1.0)
        self._wait("all facts to stay there", self._settled)

    def _tell(self, word: str) -> None:
        self._children["sims"].tell(word)

    def _heard(self) -> Iterator[str]:
        event = ""
        while event != "DONE":
            event = self._events.get(timeout=max(0.1, self._until - time.monotonic()))["event"]
            yield event

    def _wait_idle(self) -> None:
        self._tell("state")
        while self._events.get(timeout=max(0.1, self._until - time.monotonic()))["event"] != "IDLE":
            time.sleep(0.1)
            self._tell("state")

    def _kill_all_but_the_simulators(self) -> None:
        for name in ("broker", "hub", *LANES):
            self._children[name].kill()
        for name in ("broker", "hub", *LANES):
            self.start(name)
        self._wait("everything to be back", self._settled)

    def stop(self) -> None:
        for name in (*LANES, "hub", "sims", "broker"):
            if name in self._children:
                self._children.pop(name).stop()


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "truthful"
    running = RunningSite(write_site(folder, seed=7, vehicles=VEHICLES, speed=SPEED))
    try:
        running.run()
    finally:
        running.stop()
    return folder


@pytest.fixture
def site(truth: Path, tmp_path: Path) -> Path:
    """A copy to lie in."""
    copy = tmp_path / "copy"
    shutil.copytree(truth, copy, ignore=shutil.ignore_patterns("ports", "*.log"))
    return copy


# --- the liar ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def hub_of(site: Path) -> Path:
    return site / "data" / "hub" / "archive.sqlite"


def journal_of(site: Path, lane: str) -> Path:
    return site / "data" / lane / "journal.sqlite"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def forge_facts(
    site: Path, lane: str, change: Callable[[list[Line]], list[Line]], *, with_key: bool = True
) -> None:
    """Rewrite a lane's whole past, in its journal and at the hub, chained anew and signed by itself."""
    with database(journal_of(site, lane)) as journal:
        ((epoch_no, epoch),) = journal.execute("SELECT epoch_no, epoch FROM epochs").fetchall()
        past = [json.loads(body) for (body,) in journal.execute("SELECT body FROM facts ORDER BY position")]
        heads = {"alarm": (0, "0" * 64, 0), "routine": (0, "0" * 64, 0)}
        rows = []
        for position, body in enumerate(change(past), start=1):
            stream = body["stream"]
            seq, prev, _ = heads[stream]
            body |= {"seq": seq + 1, "position": position, "prev": prev}
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
            heads[stream] = (seq + 1, sha256(text), position)
            rows.append((stream, seq + 1, position, body, sha256(text), text))
        journal.execute("DELETE FROM facts")
        for stream, seq, position, body, hash_, text in rows:
            place = (epoch_no << 48) | ({"alarm": 1, "routine": 2}[stream] << 44) | seq
            data = body["data"]
            journal.execute(
                "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    place,
                    position,
                    body["event_id"],
                    data["type"],
                    data.get("passage"),
                    body["time"],
                    hash_,
                    text,
                ),
            )
        for stream, (seq, hash_, position) in heads.items():
            journal.execute(
                "UPDATE heads SET seq = ?, hash = ?, position = ?, acked = ?, acked_hash = ? "
                "WHERE stream = ?",
                (seq, hash_, position, seq, hash_, stream),
            )
    with database(hub_of(site)) as hub:
        hub.execute("DELETE FROM facts WHERE device = ?", (lane,))
        for stream, seq, position, body, hash_, text in rows:
            data = body["data"]
            hub.execute(
                "INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(lane, epoch, stream, seq, position, body["event_id"], data["type"]),
                    *(data.get("passage"), body["time"], hash_, text, body["time"]),
                ),
            )
        for stream, (seq, hash_, _) in heads.items():
            hub.execute(
                "UPDATE streams SET contiguous = ?, head_hash = ? "
                "WHERE device = ? AND epoch = ? AND stream = ?",
                (seq, hash_, lane, epoch, stream),
            )
        if not with_key:
            return
        hub.execute("DELETE FROM checkpoints WHERE device = ?", (lane,))
        named = [{"stream": stream, "seq": seq, "hash": hash_} for stream, (seq, hash_, _) in heads.items()]
        said = {"device": lane, "epoch": epoch, "position": len(rows), "heads": named, "time": ""}
        add_checkpoint(hub, site, lane, epoch, len(rows), json.dumps(said))


def add_checkpoint(
    hub: sqlite3.Connection, site: Path, lane: str, epoch: str, position: int, body: str
) -> None:
    key = serialization.load_pem_private_key((site / "keys" / f"{lane}.key").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    sig = base64.b64encode(key.sign(b"kakou/checkpoint/v1\n" + body.encode())).decode()
    hub.execute(
        "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, '')", (lane, epoch, position, body, lane, sig)
    )


def retold(past: list[Line], kind: str, **data: Any) -> list[Line]:
    """The first fact of a kind says something else."""
    found = next(fact for fact in past if fact["data"]["type"] == kind)
    found["data"] |= data
    return past


def without(past: list[Line], kind: str) -> list[Line]:
    found = next(fact for fact in past if fact["data"]["type"] == kind)
    return [fact for fact in past if fact is not found]


def added(past: list[Line], *data: Line) -> list[Line]:
    """Facts appended to the routine stream in the name of the last one there."""
    model = next(fact for fact in reversed(past) if fact["stream"] == "routine")
    news = [
        {**model, "event_id": sha256(json.dumps([place, each]))[:32], "data": each}
        for place, each in enumerate(data)
    ]
    return [*past, *news]


def ruling(passage: int, slips: list[str], use_ids: list[str]) -> Line:
    return {
        "type": "ruling_made",
        "passage": passage,
        "ruling": {"verdict": "release", "reasons": [{"code": "released", "detail": ""}]},
        "slips": slips,
        "use_ids": use_ids,
        "claim_id": "",
    }


def order(passage: int) -> Line:
    return {"type": "raise_ordered", "passage": passage, "order_id": f"o-{passage}", "purpose": "admit"}


def interrupted(passage: int) -> Line:
    return {"type": "order_interrupted", "passage": passage, "order_id": f"o-{passage}", "why": "killed"}


def forge_physics(site: Path, change: Callable[[list[Line]], list[Line]]) -> None:
    path = site / "physics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in change(lines))
    path.write_text(text, encoding="utf-8")


def place_of(lines: list[Line], lane: str, kind: str, **fields: Any) -> int:
    """The last line of a lane with these fields."""
    wanted = {"lane": lane, "kind": kind, **fields}
    return max(place for place, line in enumerate(lines) if wanted.items() <= line.items())


def after(lines: list[Line], place: int, *kinds: Line) -> list[Line]:
    """Lines put behind another, at its lane and time."""
    model = {"t": lines[place]["t"], "lane": lines[place]["lane"]}
    return [*lines[: place + 1], *({**model, **each} for each in kinds), *lines[place + 1 :]]


OPEN: Line = {"kind": "relay_pulse", "relay": 0, "name": "open", "duration_s": 0.5}


def rises(cause: str) -> tuple[Line, Line]:
    return {"kind": "arm_moving", "direction": "up", "cause": cause}, {"kind": "arm_up", "cause": cause}


def a_used_slip(site: Path, lane: str) -> str:
    with database(journal_of(site, lane)) as journal:
        (slip_no,) = journal.execute("SELECT slip_no FROM uses WHERE state = 'crossed'").fetchone()
    return str(slip_no)


def failed(site: Path) -> set[str]:
    return set(reconcile(site).failed())


def said(report: Report, name: str) -> str:
    row = next(row for row in report.rows if row.name == name)
    return "\n".join([*row.mismatches, *row.listed])


# --- the truth --------------------------------------------------------------------------------------------


def test_a_site_that_ran_truthfully_agrees_in_every_row(truth: Path) -> None:
    report = reconcile(truth)
    assert [row.mismatches for row in report.rows] == [[]] * len(ALL)
    assert tuple(row.name for row in report.rows) == ALL
    checked = {row.name: row.checked for row in report.rows}
    assert checked["raisings"] == checked["orders"] >= 3
    assert checked["crossings"] >= 7
    assert checked["facts"] > 100
    # No X-ray line here: its rows have their lies in tests/unit/test_sims_xray_books.py.
    assert min(checked[name] for name in ALL if name not in ("alarms", *ALL[-3:])) > 0


def test_the_site_that_is_lied_about_was_killed_and_came_back(truth: Path) -> None:
    with database(hub_of(truth)) as hub:
        starts = hub.execute("SELECT count(*) FROM facts WHERE kind = 'lane_started'").fetchone()
    assert starts == (2 * (1 + 2),), "both lanes start once, and once more after each of the two pauses"


def test_forging_without_changing_anything_agrees(site: Path) -> None:
    for lane in LANES:
        forge_facts(site, lane, lambda past: past)
    forge_physics(site, lambda lines: lines)
    assert failed(site) == set()


def test_checking_changes_no_file_of_the_site(site: Path) -> None:
    def contents() -> dict[str, str]:
        files = [path for path in sorted(site.rglob("*")) if path.is_file()]
        kept = [path for path in files if not path.name.endswith(("-wal", "-shm"))]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}

    before = contents()
    reconcile(site)
    assert contents() == before


# --- 1 raisings -------------------------------------------------------------------------------------------


def test_a_raising_that_no_order_asked_for_is_found(site: Path) -> None:
    forge_physics(
        site,
        lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), OPEN, *rises("order")),
    )
    assert failed(site) == {"raisings"}
    assert "raised without an order" in said(reconcile(site), "raisings")


@pytest.mark.parametrize("cause", ["safety", "fire", "hand", "power"])
def test_a_raising_by_itself_is_listed(site: Path, cause: str) -> None:
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), *rises(cause)))
    report = reconcile(site)
    assert report.ok
    assert reconciliation.LISTED_CAUSES[cause] in said(report, "raisings")


def test_a_raising_of_no_known_cause_is_found(site: Path) -> None:
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), *rises("ghost")))
    assert failed(site) == {"raisings"}


def test_a_raising_by_the_cameras_relay_is_always_found(site: Path) -> None:
    camera = {**OPEN, "relay": "camera"}
    forge_physics(
        site,
        lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), camera, *rises("order")),
    )
    assert failed(site) == {"raisings"}
    assert "camera" in said(reconcile(site), "raisings")


def test_an_order_taken_out_of_the_past_leaves_its_raising_unexplained(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: without(past, "raise_ordered"))
    assert "raisings" in failed(site)


def test_a_raising_before_another_vehicle_than_the_ruled_one_is_found(site: Path) -> None:
    def another(past: list[Line]) -> list[Line]:
        release = next(
            f
            for f in past
            if f["data"]["type"] == "ruling_made" and f["data"]["ruling"]["verdict"] == "release"
        )
        release["data"] |= {"plate": "京A00001", "readings": [{"kind": "plate", "value": "京A00001"}]}
        release_passage = release["data"]["passage"]
        return [
            f
            for f in past
            if f is release or f["data"]["type"] != "ruling_made" or f["data"]["passage"] != release_passage
        ]

    forge_facts(site, LANE_OUT, another)
    assert "raisings" in failed(site)
    assert "京A00001" in said(reconcile(site), "raisings")


def test_an_unreadable_line_of_the_physics_is_found(site: Path) -> None:
    with (site / "physics.jsonl").open("ab") as file:
        file.write(b'{"t": 1, "la\n')
    assert failed(site) == {"raisings"}


def test_a_repeated_pulse_of_an_arm_already_up_is_listed(site: Path) -> None:
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_up"), OPEN))
    report = reconcile(site)
    assert report.ok
    assert "sent again" in said(report, "raisings")


def test_a_pulse_that_no_order_asked_for_is_found_though_nothing_moved(site: Path) -> None:
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), OPEN))
    assert failed(site) == {"raisings"}


# --- 2 orders ---------------------------------------------------------------------------------------------


def test_an_order_without_a_raising_is_found(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: added(past, ruling(90, [], []), order(90)))
    assert failed(site) == {"orders"}


def test_an_order_without_a_raising_is_listed_once_it_is_named_interrupted(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: added(past, ruling(90, [], []), order(90), interrupted(90)))
    report = reconcile(site)
    assert report.ok
    assert "interrupted" in said(report, "orders")


def test_an_order_told_raised_while_the_arm_stood_still_is_found(site: Path) -> None:
    def still(lines: list[Line]) -> list[Line]:
        up = place_of(lines, LANE_IN, "arm_moving", direction="up")
        gone = {up - 1, up, place_of(lines, LANE_IN, "arm_up")}
        return [line for place, line in enumerate(lines) if place not in gone]

    forge_physics(site, still)
    assert "orders" in failed(site)


def test_a_raising_told_of_an_order_never_given_is_found(site: Path) -> None:
    forge_facts(
        site, LANE_IN, lambda past: added(past, {"type": "arm_raised", "passage": 9, "order_id": "o-9"})
    )
    assert failed(site) == {"orders"}


# --- 3 facts ----------------------------------------------------------------------------------------------


def lose_at_hub(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute("DELETE FROM facts WHERE device = ? AND position = 5", (LANE_IN,))


def lose_everywhere(site: Path) -> None:
    lose_at_hub(site)
    with database(journal_of(site, LANE_IN)) as journal:
        journal.execute("DELETE FROM facts WHERE position = 5")


def change_bytes(site: Path) -> None:
    with database(hub_of(site)) as hub, database(journal_of(site, LANE_IN)) as journal:
        for books in (hub, journal):
            books.execute("UPDATE facts SET body = replace(body, '\"outcome\"', '\"outcame\"')")


def change_one_column(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute("UPDATE facts SET passage = passage + 1 WHERE kind = 'vehicle_crossed'")


def rewrite_without_the_key(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: retold(past, "passage_closed", lane_s=99.0), with_key=False)


def cut_the_end(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: past[:-1], with_key=False)


def sign_with_another_key(site: Path) -> None:
    shutil.copy(site / "keys" / f"{LANE_OUT}.key", site / "keys" / f"{LANE_IN}.key")
    forge_facts(site, LANE_IN, lambda past: past)


def swap_keys(site: Path) -> None:
    other = Ed25519PrivateKey.generate()
    (site / "keys" / f"{LANE_IN}.key").write_bytes(
        other.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (site / "keys" / f"{LANE_IN}.pub").write_bytes(
        other.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    forge_facts(site, LANE_IN, lambda past: past)


def leave_the_end_unsigned(site: Path) -> None:
    with database(hub_of(site)) as hub:
        found = hub.execute("SELECT position, body FROM checkpoints WHERE device = ?", (LANE_IN,)).fetchall()
        for position, body in found:
            heads = {head["stream"]: head["seq"] for head in json.loads(body)["heads"]}
            if heads["routine"] > 3:
                hub.execute(
                    "DELETE FROM checkpoints WHERE device = ? AND position = ? AND body = ?",
                    (LANE_IN, position, body),
                )


def remove_the_journal(site: Path) -> None:
    journal_of(site, LANE_IN).unlink()


def acknowledge_too_much(site: Path) -> None:
    with database(journal_of(site, LANE_IN)) as journal:
        journal.execute("UPDATE heads SET acked_hash = ? WHERE stream = 'routine'", ("f" * 64,))


def invent_at_hub(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute(
            "INSERT INTO facts SELECT device, 'ffff', stream, seq, position, event_id, kind, passage, time, "
            "hash, body, stored_utc FROM facts WHERE device = ? AND seq = 1 AND stream = 'alarm'",
            (LANE_IN,),
        )


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        (lose_at_hub, "not at the hub"),
        (lose_everywhere, "position 5 missing"),
        (change_bytes, "bytes do not have its hash"),
        (change_one_column, "passage differs"),
        (rewrite_without_the_key, "has another hash"),
        (cut_the_end, "is not stored"),
        (sign_with_another_key, "signature does not fit"),
        (swap_keys, "pinned another key"),
        (leave_the_end_unsigned, "no signed checkpoint reaches"),
        (remove_the_journal, "no journal"),
        (acknowledge_too_much, "acknowledged, but not stored"),
        (invent_at_hub, "the journal has no such epoch"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_facts_lost_changed_invented_or_unsigned_are_found(
    site: Path, lie: Callable[[Path], None], names: str
) -> None:
    lie(site)
    report = reconcile(site)
    assert "facts" in report.failed()
    assert names in said(report, "facts")


# --- 4 records --------------------------------------------------------------------------------------------


def row_digest(collection: str, key: str, body: str) -> int:
    return int(sha256(f"{collection}\0{key}\0{body}")[:32], 16)


def lane_records(site: Path, lane: str) -> Path:
    with database(journal_of(site, lane)) as journal:
        (generation,) = journal.execute("SELECT generation FROM store").fetchone()
    return site / "data" / lane / f"records-{generation}.sqlite"


def test_a_record_changed_in_a_lane_is_found_though_its_digests_were_recomputed(site: Path) -> None:
    with database(lane_records(site, LANE_OUT)) as records:
        key, body = records.execute("SELECT key, body FROM vehicles").fetchone()
        changed = body.replace("active", "blocked")
        moved = row_digest("vehicles", key, changed) - row_digest("vehicles", key, body)
        records.execute("UPDATE vehicles SET body = ? WHERE key = ?", (changed, key))
        (digest,) = records.execute("SELECT digest FROM feed").fetchone()
        total = (int.from_bytes(digest, "big") + moved) % 2**128
        records.execute("UPDATE feed SET digest = ?", (total.to_bytes(16, "big"),))
        bucket = int(sha256(f"vehicles\0{key}")[:4], 16) >> 4
        (sums,) = records.execute("SELECT sums FROM buckets WHERE shelf = ?", (bucket // 64,)).fetchone()
        at = 16 * (bucket % 64)
        value = (int.from_bytes(sums[at : at + 16], "big") + moved) % 2**128
        fresh = sums[:at] + value.to_bytes(16, "big") + sums[at + 16 :]
        records.execute("UPDATE buckets SET sums = ? WHERE shelf = ?", (fresh, bucket // 64))
    report = reconcile(site)
    assert report.failed() == ("records",)
    assert len(report.rows[3].mismatches) == 1, "all sums fit, only the comparison with the hub fails"


def test_a_record_changed_at_the_hub_is_found_though_its_digest_was_recomputed(site: Path) -> None:
    with database(hub_of(site)) as hub:
        key, body = hub.execute("SELECT key, body FROM records WHERE collection = 'vehicles'").fetchone()
        changed = body.replace("active", "blocked")
        moved = row_digest("vehicles", key, changed) - row_digest("vehicles", key, body)
        hub.execute("UPDATE records SET body = ? WHERE collection = 'vehicles' AND key = ?", (changed, key))
        (digest,) = hub.execute("SELECT digest FROM scopes").fetchone()
        hub.execute("UPDATE scopes SET digest = ?", (f"{(int(digest, 16) + moved) % 2**128:032x}",))
    assert failed(site) == {"records"}


def test_a_damaged_bucket_is_found(site: Path) -> None:
    with database(lane_records(site, LANE_IN)) as records:
        records.execute(
            "UPDATE buckets SET sums = zeroblob(1024) WHERE shelf = (SELECT min(shelf) FROM buckets)"
        )
    assert failed(site) == {"records"}


def test_a_lane_that_stayed_behind_the_hub_is_found(site: Path) -> None:
    with database(lane_records(site, LANE_IN)) as records:
        records.execute("UPDATE feed SET number = number - 1")
    assert failed(site) == {"records"}


# --- 5 uses -----------------------------------------------------------------------------------------------


def use_again(site: Path) -> str:
    """In the other lane: ruled and ordered on the very slip, the order interrupted, the use still open."""
    slip_no = a_used_slip(site, LANE_IN)
    forge_facts(
        site,
        LANE_OUT,
        lambda past: added(past, ruling(90, [slip_no], ["use-90"]), order(90), interrupted(90)),
    )
    with database(journal_of(site, LANE_OUT)) as journal:
        journal.execute("INSERT INTO uses VALUES ('use-90', ?, 90, '', 'reserved')", (slip_no,))
    return slip_no


def test_a_slip_used_twice_is_found(site: Path) -> None:
    use_again(site)
    assert failed(site) == {"uses"}


def test_a_slip_used_twice_is_listed_where_the_hub_alarmed_it(site: Path) -> None:
    slip_no = use_again(site)
    with database(hub_of(site)) as hub:
        hub.execute(
            "INSERT INTO hub_alarms (at_utc, device, code, detail) VALUES ('', ?, 'double_use', ?)",
            (LANE_OUT, f"slip {slip_no} crossed 2 times, 1 allowed: x"),
        )
    report = reconcile(site)
    assert report.ok
    assert slip_no in said(report, "uses")


def test_a_slip_used_again_is_listed_where_an_officer_answers_for_it(site: Path) -> None:
    use_again(site)

    def answered(past: list[Line]) -> list[Line]:
        manual = next(f for f in past if f["data"].get("use_ids") == ["use-90"])
        manual["data"] |= {"claim": "manual", "officer": "A1024"}
        return past

    forge_facts(site, LANE_OUT, answered)
    report = reconcile(site)
    assert report.ok
    assert "released by A1024" in said(report, "uses")


def test_a_use_bent_in_the_table_alone_is_found(site: Path) -> None:
    with database(journal_of(site, LANE_IN)) as journal:
        journal.execute("UPDATE uses SET state = 'returned' WHERE state = 'crossed'")
    assert "uses" in failed(site)


def test_a_use_of_a_slip_the_hub_never_knew_is_found(site: Path) -> None:
    forge_facts(
        site,
        LANE_OUT,
        lambda past: added(past, ruling(90, ["Z0"], ["use-90"]), order(90), interrupted(90)),
    )
    with database(journal_of(site, LANE_OUT)) as journal:
        journal.execute("INSERT INTO uses VALUES ('use-90', 'Z0', 90, '', 'reserved')")
    assert failed(site) == {"uses"}


# --- 6 crossings ------------------------------------------------------------------------------------------


def test_a_vehicle_that_crossed_unseen_is_found(site: Path) -> None:
    ghost = {"kind": "vehicle_crossed_arm", "vehicle": "ghost"}
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), ghost))
    assert failed(site) == {"crossings"}
    assert "ghost crossed and belongs to no passage" in said(reconcile(site), "crossings")


def test_a_passage_told_crossed_that_nobody_crossed_is_found(site: Path) -> None:
    def nobody(lines: list[Line]) -> list[Line]:
        gone = place_of(lines, LANE_IN, "vehicle_crossed_arm")
        return [line for place, line in enumerate(lines) if place != gone]

    forge_physics(site, nobody)
    assert failed(site) == {"crossings"}


def test_a_tailgater_whose_ungated_passage_was_taken_out_is_found(site: Path) -> None:
    def hushed(past: list[Line]) -> list[Line]:
        ungated = [f["data"]["passage"] for f in past if f["data"].get("gated") is False]
        return [f for f in past if f["data"].get("passage") not in ungated or f["stream"] == "alarm"]

    forge_facts(site, LANE_IN, hushed)
    assert failed(site) == {"crossings"}


def test_a_crossing_taken_out_of_the_past_is_found(site: Path) -> None:
    forge_facts(site, LANE_IN, lambda past: without(past, "vehicle_crossed"))
    assert "crossings" in failed(site)


# --- 7 contact --------------------------------------------------------------------------------------------


def test_a_vehicle_touched_by_an_ordered_lowering_is_found(site: Path) -> None:
    forge_physics(
        site,
        lambda lines: after(
            lines,
            place_of(lines, LANE_IN, "arm_moving", direction="down", cause="order"),
            {"kind": "contact", "vehicle": "v001"},
        ),
    )
    assert failed(site) == {"contact"}


def test_a_vehicle_that_drove_into_a_closed_arm_is_listed(site: Path) -> None:
    contact = {"kind": "contact", "vehicle": "v001"}
    forge_physics(site, lambda lines: after(lines, place_of(lines, LANE_IN, "arm_down"), contact))
    report = reconcile(site)
    assert report.ok
    assert "v001" in said(report, "contact")


# --- 8 rulings --------------------------------------------------------------------------------------------


def ordered_ruling(past: list[Line]) -> Line:
    place = next(place for place, f in enumerate(past) if f["data"]["type"] == "raise_ordered")
    passage = past[place]["data"]["passage"]
    return next(
        f
        for f in reversed(past[:place])
        if f["data"]["type"] == "ruling_made" and f["data"]["passage"] == passage
    )


def test_an_order_on_a_ruling_to_hold_is_found(site: Path) -> None:
    def held(past: list[Line]) -> list[Line]:
        ordered_ruling(past)["data"]["ruling"]["verdict"] = "hold"
        return past

    forge_facts(site, LANE_IN, held)
    assert failed(site) == {"rulings"}


def test_a_ruling_made_after_its_order_is_found(site: Path) -> None:
    def late(past: list[Line]) -> list[Line]:
        ruled = ordered_ruling(past)
        rest = [f for f in past if f is not ruled]
        place = next(place for place, f in enumerate(rest) if f["data"]["type"] == "raise_ordered")
        return [*rest[: place + 1], ruled, *rest[place + 1 :]]

    forge_facts(site, LANE_IN, late)
    assert "rulings" in failed(site)


def test_an_order_whose_slip_was_never_reserved_is_found(site: Path) -> None:
    slip_no = a_used_slip(site, LANE_IN)
    with database(journal_of(site, LANE_IN)) as journal:
        journal.execute("DELETE FROM uses WHERE slip_no = ?", (slip_no,))
    assert "rulings" in failed(site)
    assert "ever reserved" in said(reconcile(site), "rulings")


def test_a_use_given_back_after_its_raise_order_is_found(site: Path) -> None:
    with database(journal_of(site, LANE_IN)) as journal:
        use_id, passage = journal.execute(
            "SELECT use_id, passage FROM uses WHERE state = 'crossed'"
        ).fetchone()
        journal.execute("UPDATE uses SET state = 'returned' WHERE use_id = ?", (use_id,))
    back = {"type": "uses_returned", "passage": passage, "use_ids": [use_id], "claim_id": "", "why": "lie"}
    forge_facts(site, LANE_IN, lambda past: added(past, back))
    assert failed(site) == {"rulings"}


# --- 9 claims ---------------------------------------------------------------------------------------------


def test_a_grant_that_nobody_holds_and_nobody_ended_is_found(site: Path) -> None:
    with database(hub_of(site)) as hub:
        used = {slip for (slip,) in hub.execute("SELECT slip_no FROM claim_slips")}
        known = hub.execute("SELECT key FROM records WHERE collection = 'release_slips'").fetchall()
        unused = next(slip for (slip,) in known if slip not in used)
        hub.execute("INSERT INTO claims VALUES ('c-90', ?, 90, '', 'granted', '', '')", (LANE_IN,))
        hub.execute("INSERT INTO claim_slips VALUES ('c-90', ?, 'granted')", (unused,))
    assert failed(site) == {"claims"}


def test_a_slip_granted_more_often_than_allowed_is_found(site: Path) -> None:
    slip_no = a_used_slip(site, LANE_IN)
    with database(hub_of(site)) as hub:
        hub.execute("INSERT INTO claims VALUES ('c-90', ?, 90, '', 'granted', '', '')", (LANE_OUT,))
        hub.execute("INSERT INTO claim_slips VALUES ('c-90', ?, 'crossed')", (slip_no,))
    report = reconcile(site)
    assert report.failed() == ("claims",)
    assert "2 uses granted, 1 allowed" in said(report, "claims")


def test_a_use_that_stands_on_a_claim_never_granted_is_found(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute("UPDATE claims SET verdict = 'refused'")
    assert failed(site) == {"claims"}


# --- 10 alarms of the hub ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["branch", "chain_broken", "forged", "rolled_back", "uses_unmatched", "new_one"]
)
def test_an_alarm_of_the_hub_that_nothing_explains_is_found(site: Path, code: str) -> None:
    with database(hub_of(site)) as hub:
        hub.execute(
            "INSERT INTO hub_alarms (at_utc, device, code, detail) VALUES ('', ?, ?, 'x')", (LANE_IN, code)
        )
    assert failed(site) == {"alarms"}


def test_a_parked_message_is_found(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute("INSERT INTO parked (topic, payload, why, stored_utc) VALUES ('t', x'00', 'w', '')")
    assert failed(site) == {"alarms"}


def test_a_branch_is_found(site: Path) -> None:
    with database(hub_of(site)) as hub:
        hub.execute("INSERT INTO branches VALUES (?, 'e', 'routine', 1, 'h', 'i', 'b', '')", (LANE_IN,))
    assert failed(site) == {"alarms"}


# --- what is printed, and files that cannot be read -------------------------------------------------------


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hardware_sims", "reconcile", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_ends_with_0_when_all_agrees_and_1_when_not(site: Path) -> None:
    good = run(str(site))
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.count("\nOK") + good.stdout.startswith("OK") == len(ALL)
    use_again(site)
    bad = run(str(site))
    assert bad.returncode == 1
    assert "FAIL  5 uses" in bad.stdout
    assert bad.stdout.endswith("NOT reconciled: uses\n")


def test_json_is_one_object_a_row_and_one_at_the_end(site: Path) -> None:
    use_again(site)
    done = run(str(site), "--json")
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [row["name"] for row in rows] == list(ALL)
    assert [row["name"] for row in rows if not row["ok"]] == ["uses"]
    assert last == {"event": "reconciled", "ok": False, "failed": ["uses"]}


def test_a_terminal_gets_a_table(truth: Path, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+", encoding="utf-8") as out:
        reconciliation._print(reconcile(truth), Console(file=out, force_terminal=True, width=120))
        out.seek(0)
        text = out.read()
    assert "对账 reconciliation" in text
    assert text.count("OK") == len(ALL)


def test_a_folder_that_is_no_site_is_wrong_use(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert done.returncode == 2
    assert "physics.jsonl" in done.stderr
    with pytest.raises(NotASite):
        reconcile(tmp_path)


@pytest.mark.parametrize("damage", ["hub", "journal", "records"])
def test_a_file_that_is_no_database_is_a_mismatch_and_no_crash(site: Path, damage: str) -> None:
    file = {
        "hub": hub_of(site),
        "journal": journal_of(site, LANE_IN),
        "records": lane_records(site, LANE_IN),
    }[damage]
    for rest in file.parent.glob(f"{file.name}-*"):
        rest.unlink()
    file.write_bytes(b"no database at all, of any kind " * 200)
    assert failed(site)


# --- how sequences are paired -----------------------------------------------------------------------------


def costs(left: str, right: str) -> list[tuple[int | None, int | None]]:
    return align([10] * len(left), [10] * len(right), lambda i, j: 0 if left[i] == right[j] else 15)


def test_equal_sequences_are_paired_one_to_one() -> None:
    assert costs("abc", "abc") == [(0, 0), (1, 1), (2, 2)]


def test_what_one_side_lacks_is_left_alone_where_it_stood() -> None:
    assert costs("abcd", "abd") == [(0, 0), (1, 1), (2, None), (3, 2)]
    assert costs("bcd", "abcd") == [(None, 0), (0, 1), (1, 2), (2, 3)]


def test_everything_stays_alone_when_the_other_side_is_empty() -> None:
    assert costs("ab", "") == [(0, None), (1, None)]
    assert costs("", "") == []


def test_long_equal_sequences_are_paired_in_little_time() -> None:
    begun = time.monotonic()
    pairs = align([100] * 20_000, [100] * 20_000, lambda i, j: 0)
    assert pairs[-1] == (19_999, 19_999)
    assert time.monotonic() - begun < 5
