"""An X-ray station laid out in a folder: keys, records, config, and the simulated line its devices are."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hardware_sims.xray_belt import Label
from hardware_sims.xray_scenario import PlannedParcel, XrayScenario, xray_scenario_to_toml
from sync.store.journal import Journal
from sync.store.records import Records, generation_path, new_generation
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import FactData, Stream, read_body
from sync.vocabulary.numbers import EnterpriseCode, WaybillNo
from sync.vocabulary.records import CreditTier, Enterprise, Record, Site, Waybill, key_of

STATION = "xray-1"
FIRM = EnterpriseCode("4101960001")
WEDGE = PlannedParcel(
    id="wedge", sku="wedge", labels=(Label(text="KAKOU-WEDGE", behind_mm=120.0),), case="wedge"
)


def waybill_no(number: int) -> str:
    return f"YT{number:013d}"


def parcel(number: int, sku: str, **changes: Any) -> PlannedParcel:
    text = waybill_no(number)
    labels = (Label(text=text, behind_mm=80.0),)
    return PlannedParcel(
        id=f"p{number}", sku=sku, seed=number, waybill_no=text, labels=labels, gap_mm=400.0, **changes
    )


def records_of(parcels: Sequence[PlannedParcel]) -> dict[str, tuple[Record, ...]]:
    waybills = tuple(
        Waybill(
            waybill_no=WaybillNo(each.waybill_no),
            enterprise=FIRM,
            declarations=("D-1",),
            three_documents="matched",
            lines=({"sku": each.sku, "hs_code": "6109100010", "name": each.sku, "quantity": "1"},),
        )
        for each in parcels
        if each.waybill_no
    )
    return {
        "enterprises": (Enterprise(code=FIRM, name="某公司", tier=CreditTier.HIGH, spot_check_per_mille=0),),
        "site": (Site(site="demo", name_zh="示范", name_en="Demo"),),
        "waybills": waybills,
    }


@dataclass
class Events:
    """JSON lines a process says, as they come."""

    process: subprocess.Popen[bytes]
    said: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with suppress(ValueError):
                self.said.append(json.loads(line))

    def wait_for(self, event: str, timeout_s: float = 60.0) -> dict[str, Any]:
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            for each in self.said:
                if each.get("event") == event:
                    return each
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            time.sleep(0.05)
        raise AssertionError(f"no {event} in {timeout_s:g} s; said {self.said[-3:]}")


@dataclass
class XraySite:
    folder: Path
    scenario: XrayScenario
    speed: float = 1.0
    extra: str = ""
    """More of the station's TOML."""
    few_references: bool = True
    """True: enterprises of high credit pass without references."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        keys = self.folder / "keys"
        keys.mkdir(exist_ok=True)
        self.hub_key = Ed25519PrivateKey.generate()
        own = Ed25519PrivateKey.generate()
        (keys / "own.key").write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (keys / "own.key").chmod(0o600)
        (keys / "hub.pub").write_bytes(
            self.hub_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        (self.folder / "line.toml").write_text(xray_scenario_to_toml(self.scenario))

    @property
    def store(self) -> Path:
        return self.folder / "data"

    @property
    def config(self) -> Path:
        return self.folder / "xray.toml"

    def fill(self, records: dict[str, tuple[Record, ...]]) -> None:
        self.store.mkdir(exist_ok=True)
        with Journal.open(self.store / "journal.sqlite", device=STATION) as journal:
            new_generation(self.store, 1, "demo", "e" * 32)
            rows = [
                (name, key_of(each), to_json(each).decode())
                for name, some in records.items()
                for each in some
            ]
            with Records.open(generation_path(self.store, 1), writable=True) as written:
                written.fill(1, sorted(rows))
                written.lead_to_parcels()
                written.note_verified(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            journal.set_generation(1)

    def write_config(self, addresses: dict[str, str], *, broker_port: int = 1) -> None:
        """`broker_port` 1: nobody listens there; the station works offline."""
        scanner, io = addresses["scanner"], addresses["io"]
        belt = self.scenario.belt
        xray = f"""
[devices.xray]
protocol = "xray.line_stream"
serial = {{ url = "{addresses["xray"]}" }}
silent_after_s = 5.0
"""
        if self.scenario.pictures == "folder":
            xray = f"""
[folder]
path = "{addresses["xray"]}"
"""
        self.config.write_text(f"""
[station]
id = "{STATION}"
site = "demo"

[layout]
xray_mm = {belt.xray_mm}
diverter_mm = {belt.diverter_mm}
chute_mm = {belt.chute_mm}
reader_mm = {belt.reader_mm}

[devices.belt]
protocol = "xray.belt_io"
serial = {{ url = "{io}" }}
silent_after_s = 2.0
settings = {{ stale_s = 1.0 }}
{xray}
[devices.portal]
protocol = "scanner.line"
serial = {{ url = "{scanner}" }}

[store]
folder = "data"
reserve_mb = 1

[evidence]
folder = "evidence"
keep_free_mb = 1
room_mb = 16

[calibration]
folder = "calibration"

[library]
folder = "library"

[sync]
scope = "demo"
port = {broker_port}
key_file = "keys/own.key"
hub_key_file = "keys/hub.pub"
allow_plaintext = true

[clock]
require_synchronised = false

[page]
port = 0

[triage]
few_references_tiers = {'["high"]' if self.few_references else "[]"}

{self.extra}
""")

    @contextmanager
    def line(self) -> Iterator[Events]:
        """The simulated devices, held until `go`; the config names where they are."""
        process = subprocess.Popen(
            [
                sys.executable, "-m", "hardware_sims", "serve", str(self.folder / "line.toml"),
                "--folder", str(self.folder / "sims"), "--speed", f"{self.speed:g}", "--hold", "--json",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            events = Events(process)
            events.wait_for("READY", 120.0)
            addresses = {
                each["device"]: each["address"] for each in events.said if each["event"] == "address"
            }
            self.write_config(addresses)
            yield events
        finally:
            process.terminate()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()

    @contextmanager
    def station(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "station.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "edge.xray_bridge", str(self.config)], stderr=log
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(20)

    def listens(self, times: int, timeout_s: float = 40.0) -> None:
        """Until the station has said so often that it listens."""
        until_s = time.monotonic() + timeout_s
        while (self.folder / "station.log").read_text().count("station is listening") < times:
            assert time.monotonic() < until_s, "the station does not listen"
            time.sleep(0.05)

    def facts(self) -> list[FactData]:
        """All that the journal tells, in the order it was written."""
        with Journal.open(self.store / "journal.sqlite", device=STATION) as journal:
            found = [
                (fact.position, read_body(fact.body).data)
                for stream in Stream
                for fact in journal.facts_from(stream, 1, max_facts=100_000, max_bytes=1 << 30)
            ]
        return [data for _, data in sorted(found, key=lambda each: each[0])]

    def physics(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in (self.folder / "sims" / "physics.jsonl").read_text().splitlines()
        ]


def go(events: Events) -> None:
    assert events.process.stdin is not None
    events.process.stdin.write(b"go\n")
    events.process.stdin.flush()
