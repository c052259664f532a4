"""The centre, the hub, the broker, a lane and its devices as real programs: a held vehicle is let go by
command, a lane is closed, wiped; replayed and forged commands change nothing (S5, S8, G10)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import publish, subscribe

from hardware_sims.cast import LANE_IN, SCOPE
from hardware_sims.site import Site
from sync.hub import centre
from sync.hub.archive import Archive
from sync.hub.importing import import_files
from sync.link.messages import Topics
from tests.system.conftest import LaneSite, Launcher, Started, _rows, kakou, listening, mosquitto, until

OFFICER = "4604001"
TOPICS = Topics("demo")
SOONEST_S = 2.0
"""From the centre's word to the arm's order, online."""


def _officers(folder: Path, *numbers: str) -> Path:
    file = folder / "officers.json"
    officers = [
        {
            "officer_no": number,
            "authorisations": ["manual_release"],
            "public_key": base64.b64encode(
                Ed25519PrivateKey.generate().public_key().public_bytes_raw()
            ).decode(),
            "valid_until": "2099-01-01T00:00:00Z",
        }
        for number in numbers
    ]
    file.write_text(json.dumps(officers), encoding="utf-8")
    return file


class Commanded:
    """One lane with its hub and broker; the vehicle that comes weighs three tonnes more than declared."""

    def __init__(
        self,
        folder: Path,
        launch: Launcher,
        *,
        officers: tuple[str, ...] = (OFFICER,),
        console: int | None = None,
        prepare: Callable[[Site], object] = lambda _: None,
    ) -> None:
        """`console`: the port of the centre's pages, and a camera beside the lane. `prepare`: what else is
        done before the hub begins."""
        self.lane_site = LaneSite.written(folder, launch, speed=2.0, console=console)
        self.launch = launch
        site = self.lane_site.site
        slips = site.folder / "records" / "release_slips.json"
        declared = json.loads(slips.read_text(encoding="utf-8"))
        lighter = [
            {**s, "cargo_gross_kg": "1300", "total_kg": str(int(s["total_kg"]) - 3000)} for s in declared
        ]
        slips.write_text(json.dumps(lighter), encoding="utf-8")
        _officers(site.folder / "records", *officers)
        text = site.hub_config.read_text(encoding="utf-8")
        site.hub_config.write_text(text.replace("poll_s = 0.125", "poll_s = 1.0"), encoding="utf-8")
        site.archive.parent.mkdir(parents=True, exist_ok=True)
        archive = Archive.open(site.archive)
        with archive.transaction():
            archive.add_scope(SCOPE)
        prepare(site)
        import_files(archive, SCOPE, site.record_files(), "2026-11-22T00:00:00.000000Z")
        archive.close()
        config = site.folder / "mosquitto.conf"
        config.write_text(f"listener {site.broker_port} 127.0.0.1\nallow_anonymous true\n")
        self.broker = launch((mosquitto(), "-c", str(config)))
        until(lambda: listening(site.broker_port), "the broker listens")
        self.hub = launch(kakou("hub", str(site.hub_config)))
        self.lane_site.start_sims()
        self.lane = self.lane_site.start_lane()
        self.hears()

    def centre(self, *args: str) -> Started:
        command, *rest = args
        config = str(self.lane_site.site.hub_config)
        return self.launch.run(kakou("centre", command, config, *rest, "--json"))

    def hears(self) -> None:
        """Waited for."""
        archive = Archive.open(self.lane_site.site.archive)
        try:
            until(lambda: centre.lane(archive, LANE_IN).hears, "the lane hears commands")
        finally:
            archive.close()

    def script(self, *steps: str) -> list[dict[str, Any]]:
        file = self.lane_site.site.folder / "script.toml"
        file.write_text("\n".join(steps), encoding="utf-8")
        played = self.centre("script", str(file))
        assert played.process.returncode == 0, played.said() + played.complained()
        return played.lines()


@pytest.fixture
def site(tmp_path: Path, launch: Launcher) -> Commanded:
    return Commanded(tmp_path / "site", launch)


RELEASE = f"""
[[step]]
do = "manual_release"
device = "{LANE_IN}"
officers = ["{OFFICER}"]
reason = "称重复核"
wait_held_s = 60.0
act = {{ passage = "held" }}
"""


def _heard(site: Commanded) -> tuple[str, bytes]:
    """What the hub says to the lane, as anybody at the broker hears it."""
    message: Any = subscribe.simple(  # type: ignore[no-untyped-call]
        TOPICS.command(LANE_IN), hostname="127.0.0.1", port=site.lane_site.site.broker_port, qos=1
    )
    return message.topic, message.payload


def _inject(site: Commanded, *payloads: bytes) -> None:
    publish.multiple(
        [(TOPICS.command(LANE_IN), payload, 1, False) for payload in payloads],
        hostname="127.0.0.1",
        port=site.lane_site.site.broker_port,
    )


def test_the_centre_lets_go_closes_and_wipes_and_what_others_say_at_the_broker_changes_nothing(
    site: Commanded,
) -> None:
    lane_site = site.lane_site
    lane_site.go()
    (played,) = site.script(RELEASE)
    assert (played["outcome"], played["device"]) == ("done", LANE_IN)
    lane_site.happened("relay_pulse", name="open")
    fact = lane_site.fact("command_taken")
    assert (fact["kind"], fact["officers"], fact["outcome"], fact["command_id"]) == (
        "manual_release",
        [OFFICER],
        "done",
        played["command_id"],
    )
    rows = _rows(lane_site.site.archive, "SELECT given_utc FROM commands WHERE kind = 'manual_release'")
    ((ordered,),) = _rows(lane_site.journal, "SELECT body FROM facts WHERE kind = 'raise_ordered'")
    took = datetime.fromisoformat(json.loads(ordered)["time"]) - datetime.fromisoformat(rows[0][0])
    print(f"from the centre's word to the arm's order: {took.total_seconds():.3f} s")
    assert 0.0 <= took.total_seconds() <= SOONEST_S
    # Closed while somebody drives through, the lane would first say "accepted".
    lane_site.fact("passage_closed")
    assert lane_site.raise_pulses() == 1

    closed = site.launch(
        kakou("centre", "close", str(lane_site.site.hub_config), LANE_IN, "--officer", OFFICER,
              "--reason", "roadworks", "--json")
    )  # fmt: skip
    topic, payload = _heard(site)
    assert topic == TOPICS.command(LANE_IN)
    assert closed.ended() == 0
    lane_site.fact("lane_closed", why="closed by the centre")

    # The lane starts anew: what was said to the connection before is void, and so is all that was never said.
    site.lane.process.terminate()
    assert site.lane.ended() == 0
    before = len(lane_site.facts("command_taken"))
    site.lane = lane_site.start_lane()
    site.hears()
    forged = json.loads(payload) | {"kid": "lane-in-1"}
    _inject(site, payload, json.dumps(forged).encode(), payload[:-9], b"\xff" * 100, b"x" * 9_000)
    refused = lane_site.fact("message_refused", topic=TOPICS.command(LANE_IN))
    assert "another connection" in refused["why"]
    assert len(lane_site.facts("command_taken")) == before
    assert site.lane.running

    # Wiped: it stops, tells everything it knows, deletes what it must not leave, and ends.
    wiped = site.centre("wipe", LANE_IN, "--officer", OFFICER, "--reason", "out of service")
    assert wiped.process.returncode == 0, wiped.said() + wiped.complained()
    assert site.lane.ended() == 0
    assert not list(lane_site.data.glob("records-*"))
    assert not (lane_site.site.folder / "keys" / f"{LANE_IN}.key").exists()
    assert lane_site.journal.exists()
    stored = _rows(
        lane_site.site.archive, "SELECT body FROM facts WHERE device = ? AND kind = 'command_taken'", LANE_IN
    )
    outcomes = sorted((d["kind"], d["outcome"]) for d in (json.loads(body)["data"] for (body,) in stored))
    assert outcomes == [
        ("lane_close", "done"),
        ("manual_release", "done"),
        ("wipe", "accepted"),
        ("wipe", "done"),
    ]
