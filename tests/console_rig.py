"""The console in this process, over an archive of real facts: devices seal them, the receiver stores them,
the tail reads them. Pages are asked for as a browser does; nothing of the console is replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.testclient import TestClient

from sync.hub.archive import Archive, RecordChange
from sync.hub.blobs import BlobLimits
from sync.hub.config import BlobsPart, HubConfig, RecordsPart, SyncPart
from sync.hub.console.accounts import Role, account, confirm_account, set_account
from sync.hub.console.app import build_app
from sync.hub.console.context import Console
from sync.hub.console.settings import ConsolePart
from sync.hub.console.shown import Shown
from sync.hub.console.tail import Tail, follow_once
from sync.hub.receiver import Receiver
from sync.hub.terms import Limits
from sync.link.keys import KeySigner, public_pem
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Fact, FactData, Stream
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Officer, Site
from tests.postgres import PROVE_POSTGRES, Place, server
from tests.unit.test_hub_device import HUB_KEY, SITE, TOPICS, Device

SCOPE = "zone-1"
PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OFFICERS = {
    "4604001": frozenset(Role),
    "4604002": frozenset({Role.WATCH, Role.DUTY}),
    "4604003": frozenset({Role.WATCH}),
}


def hub_config(folder: Path, part: ConsolePart, archive: Place) -> HubConfig:
    return HubConfig(
        site=SITE,
        file=folder / "hub.toml",
        archive=archive,
        backup_interval_s=86_400.0,
        blobs=BlobsPart(folder=folder / "blobs", limits=BlobLimits()),
        sync=SyncPart(
            host="127.0.0.1",
            port=1883,
            key_file=folder / "hub.key",
            key_statements_file=None,
            scopes=(SCOPE,),
            poll_s=1.0,
            head_every_s=60.0,
            username="",
            password_file=None,
            ca_file=None,
            certificate_file=None,
            tls_key_file=None,
            allow_plaintext=False,
            allow_plaintext_outside_loopback=False,
            keepalive_s=10,
            reconnect_longest_s=15.0,
        ),
        records=RecordsPart(
            snapshot_folder=folder / "snapshots",
            snapshot_from=20_000,
            snapshot_bytes_per_s=8_000_000,
            keep_days={},
            retire_every_s=3600.0,
            device_scopes={},
        ),
        private_key=HUB_KEY,
    )


@dataclass(eq=False)
class ConsoleRig:
    """`say` is a device's word as the hub stores it; `caught_up` reads it into what is shown."""

    folder: Path
    console: Console
    archive: Archive
    receiver: Receiver
    devices: dict[str, Device] = field(default_factory=dict)
    app: FastAPI | None = None
    """Built once: it costs more than most tests."""

    def device(self, name: str) -> Device:
        if name not in self.devices:
            device = self.devices[name] = Device(name)
            with self.archive.transaction():
                self.archive.enrol(name, public_pem(device.private.public_key()).decode())
        return self.devices[name]

    def say(
        self, name: str, *data: FactData, stream: Stream = Stream.ROUTINE, time: str | None = None
    ) -> None:
        new = name not in self.devices
        device = self.device(name)
        if new:
            # Its first fact begins its epoch: without it the alarm stream has a gap for ever.
            self.send(device, [*device.facts[Stream.ALARM], *device.facts[Stream.ROUTINE]])
        self.send(device, [device.say(each, stream, time=time) for each in data])

    def send(self, device: Device, facts: Sequence[Fact]) -> None:
        for stream in Stream:
            of_it = [fact for fact in facts if fact.stream is stream]
            if of_it:
                self.receiver.receive(TOPICS.facts(device.name, stream), device.batch(of_it), utc_now())

    def record(self, collection: str, key: str, value: object) -> None:
        with self.archive.transaction():
            self.archive.apply_changes(
                SCOPE, [RecordChange(collection, key, to_json(value).decode())], utc_now()
            )

    def caught_up(self) -> None:
        """What was said is shown now."""
        zone = self.console.zone.key
        # Not remembered: what a test records of the site next is asked for anew.
        self.console._site = None
        shown = Shown.open(self.console.part.shown_file, self.archive.archive_id, zone)
        while follow_once(self.archive, shown):
            pass
        shown.close()
        self.console.pulse.beat()

    def client(self, officer: str = "4604001", *, language: str = "en") -> TestClient:
        """A browser that is signed in."""
        if self.app is None:
            self.app = build_app(self.console)
        client = TestClient(self.app, base_url="http://127.0.0.1", follow_redirects=False)
        client.headers["accept"] = "text/html"
        client.cookies.set("kakou_language", language)
        answer = client.post("/sign-in", data={"officer": officer, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        client.headers["x-kakou-token"] = next(reversed(self.console.sessions.kept.values())).token
        return client

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address, for a real browser; the tail runs."""
        tail = Tail(
            lambda: Archive.open(self.console.config.archive),
            lambda archive_id, zone: Shown.open(self.console.part.shown_file, archive_id, zone),
            lambda: self.console.zone.key,
            self.console.pulse.beat,
            structlog.get_logger("rig"),
        )
        config = uvicorn.Config(build_app(self.console, tail), port=0, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        tail.start()
        thread.start()
        try:
            until_s = time.monotonic() + 20.0
            while not server.started:
                assert time.monotonic() < until_s, "the console does not listen"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10.0)
            tail.stop()


@contextmanager
def console_rig(folder: Path, officers: Collection[str] = tuple(OFFICERS)) -> Iterator[ConsoleRig]:
    """An archive with a site and officers with accounts, all with `PASSWORD`; in `folder`, or a database of
    its own where all of the console is to be proved on PostgreSQL."""
    if not PROVE_POSTGRES:
        with console_rig_at(folder / "archive.sqlite", folder, officers) as rig:
            yield rig
        return
    found = server()
    if found is None:
        raise RuntimeError("KAKOU_PROVE_ENGINE=postgres: expected PostgreSQL to be installed")
    place = found.lend(folder)
    try:
        with console_rig_at(place, folder, officers) as rig:
            yield rig
    finally:
        found.take_back(place)


@contextmanager
def console_rig_at(
    place: Place, folder: Path, officers: Collection[str] = tuple(OFFICERS)
) -> Iterator[ConsoleRig]:
    part = ConsolePart(port=0, shown_file=folder / "shown.sqlite", live_folder=folder / "live")
    archive = Archive.open(place)
    with archive.transaction():
        archive.add_scope(SCOPE)
    receiver = Receiver(archive, KeySigner(HUB_KEY, "hub"), site=SITE, limits=Limits())
    console = Console(hub_config(folder, part, place), part)
    rig = ConsoleRig(folder, console, archive, receiver)
    try:
        rig.record("site", SITE, Site(site=SITE, name_zh="示范口岸", name_en="Demo port"))
        for number in officers:
            rig.record("officers", number, rostered(number))
            open_account(archive, number, OFFICERS[number])
        rig.caught_up()
        yield rig
    finally:
        console.close()
        archive.close()


def open_account(archive: Archive, number: str, roles: Collection[Role]) -> None:
    """Made and confirmed at the hub's own machine."""
    set_account(archive, number, PASSWORD, roles, by="setup", at_utc=utc_now(), hasher=CHEAP)
    known = account(archive, number)
    assert known is not None
    confirm_account(archive, known, by="setup", how="hub", at_utc=utc_now())


def rostered(number: str, *authorisations: str) -> Officer:
    return Officer(
        officer_no=number,
        authorisations=authorisations or ("inspect", "manual_release", "x_ray"),
        public_key="A" * 43 + "=",
        valid_until=UtcText("2099-01-01T00:00:00.000000Z"),
    )
