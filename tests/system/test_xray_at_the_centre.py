"""A flag at an X-ray station, through a real broker and a real hub: whoever scans the parcel elsewhere sees
it, with its picture, within two seconds."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.rows import Rows, waybill
from edge.runtime.clock import SystemClock
from edge.xray_bridge.analysing import PREVIEW
from edge.xray_bridge.config import PulsePart
from edge.xray_bridge.effects import Commit, Told
from edge.xray_bridge.performer import LinkPort, StationPerformer, Things
from edge.xray_bridge.pictures import Held
from sync.hub.archive import Archive, RecordChange
from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, load_public, make_private, private_pem, public_pem
from sync.store.journal import Journal, utc_now
from sync.store.records import StoreRefused
from sync.store.records_in_force import RecordsInForce
from sync.vocabulary.codec import to_json
from sync.vocabulary.facts import Stream
from sync.vocabulary.records import Site, XRay, XRayVerdict
from sync.vocabulary.xray_facts import ParcelSorted, ParcelXRayed, SuspectTold
from tests.system.test_hub_process import free_port, listening, process, until

pytestmark = pytest.mark.system

SITE = "zhengzhou"
WITHIN_S = 2.0
JPEG = b"\xff\xd8" + bytes(range(256)) * 40 + b"\xff\xd9"


class OneHeld:
    """A picture in memory, as far as a commit needs it."""

    def __init__(self) -> None:
        self.made = {PREVIEW: JPEG}


def link_of(folder: Path, port: int, device: str) -> LinkConfig:
    return LinkConfig(
        device=device, site=SITE, scopes=(SITE,), host="127.0.0.1", port=port, keepalive_s=2,
        reconnect_first_s=0.1, reconnect_longest_s=0.5, resend_first_s=0.5, pull_first_s=0.5,
        leads_to_parcels=True,
    )  # fmt: skip


@contextmanager
def device(site: Path, port: int, name: str, key: Ed25519PrivateKey) -> Iterator[tuple[Journal, LinkClient]]:
    folder = site / name
    folder.mkdir()
    with Journal.open(folder / "journal.sqlite", device=name, reserve_bytes=0) as journal:
        client = LinkClient(
            link_of(folder, port, name),
            journal=journal,
            records_folder=folder,
            signer=KeySigner(key, name),
            hub_key=load_public(site / "hub.pub"),
            notices=lambda notice: None,
        )
        client.start()
        try:
            yield journal, client
        finally:
            client.stop()


class _Link:
    def __init__(self, client: LinkClient) -> None:
        self.facts_waiting = client.facts_waiting


def performer(journal: Journal, client: LinkClient) -> StationPerformer:
    class Pictures:
        def get(self, picture: str) -> Held | None:
            return cast(Held, OneHeld()) if picture == "p-1" else None

        def drop(self, picture: str) -> None:
            pass

    def nothing(*given: Any) -> None:
        """Nothing else is asked of it here."""

    return StationPerformer(
        Things(
            journal=journal,
            goods=nothing,
            references=cast(Any, nothing),
            link=cast(LinkPort, _Link(client)),
            order=nothing,
            put=nothing,
            wake_after=nothing,
            clock=SystemClock(),
            pulses=PulsePart(),
            pictures=Pictures(),
            analyse=nothing,
            evidence=cast(Any, nothing),
            answer_desk=nothing,
            has_flag_chute=True,
        )
    )


def test_a_flag_and_its_picture_are_at_a_handheld_within_two_seconds(tmp_path: Path) -> None:
    port = free_port()
    hub = make_private()
    keys = {name: make_private() for name in ("xray-1", "handheld-1")}
    (tmp_path / "hub.key").write_bytes(private_pem(hub))
    (tmp_path / "hub.key").chmod(0o600)
    (tmp_path / "hub.pub").write_bytes(public_pem(hub.public_key()))
    for name, key in keys.items():
        (tmp_path / f"{name}.pub").write_bytes(public_pem(key.public_key()))
    config = tmp_path / "hub.toml"
    config.write_text(
        f'site = "{SITE}"\n[store]\narchive = "archive.sqlite"\n[sync]\nport = {port}\n'
        f'key_file = "hub.key"\nscopes = ["{SITE}"]\npoll_s = 0.1\nhead_every_s = 1.0\n'
        'reconnect_longest_s = 0.5\n[devices]\nxray-1 = "xray-1.pub"\nhandheld-1 = "handheld-1.pub"\n'
    )
    archive = Archive.open(tmp_path / "archive.sqlite")
    with archive.transaction():
        archive.add_scope(SITE)
        for name, key in keys.items():
            archive.enrol(name, public_pem(key.public_key()).decode())
        rows = [row for row in Rows(vehicles=1, slips=1, waybills=20).all() if row[0] != "site"]
        rows.append(("site", SITE, to_json(Site(site=SITE, name_zh="郑州", name_en="Zhengzhou")).decode()))
        archive.apply_changes(SITE, [RecordChange(*row) for row in rows], utc_now())
    archive.close()
    number = waybill(7).waybill_no

    with ExitStack() as open_now:
        open_now.enter_context(
            process(
                sys.executable, "-m", "sync.link.broker", "--port", str(port), log=tmp_path / "broker.log"
            )
        )
        until(lambda: listening(port), "the broker listens")
        open_now.enter_context(
            process(sys.executable, "-m", "sync.hub", str(config), log=tmp_path / "hub.log")
        )
        handheld, _ = open_now.enter_context(device(tmp_path, port, "handheld-1", keys["handheld-1"]))
        journal, client = open_now.enter_context(device(tmp_path, port, "xray-1", keys["xray-1"]))
        in_force = RecordsInForce(handheld, tmp_path / "handheld-1")
        open_now.callback(in_force.close)

        def seen() -> XRay | None:
            try:
                records = in_force.current()
                found = None if records is None else records.get("x_rays", number)
            except StoreRefused:
                return None
            return found if isinstance(found, XRay) else None

        def has_waybill() -> bool:
            records = in_force.current()
            return records is not None and records.get("waybills", number) is not None

        until(has_waybill, "the handheld has its records")
        until(lambda: journal.generation() is not None, "the station has its records")
        flagged = ParcelXRayed(
            parcel=1,
            waybill_no=number,
            picture="p-1",
            association="matched",
            verdict="flagged",
            by="officer",
            officer="4604009",
            suspects=(
                SuspectTold(
                    code="heavier", zh="偏重", en="Heavier", left=0.1, top=0.2, width=0.3, height=0.3
                ),
            ),
        )
        sorted_ = ParcelSorted(
            parcel=1, waybill_no=number, verdict="flagged", ordered="flag", seen="flag", confirmed=True
        )
        began_s = time.monotonic()
        station = performer(journal, client)
        station.perform(Commit((Told(Stream.ALARM, flagged),)))
        station.perform(Commit((Told(Stream.ROUTINE, sorted_),)))
        until(lambda: seen() is not None, "the flag is at the handheld")
        took_s = time.monotonic() - began_s
        found = seen()

    assert found is not None
    assert (found.verdict, found.station) == (XRayVerdict.FLAGGED, "xray-1")
    assert base64.b64decode(found.preview) == JPEG
    assert [(box.left, box.words_en) for box in found.boxes] == [(0.1, "Heavier")]
    assert took_s <= WITHIN_S
