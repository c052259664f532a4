"""A recall by batch reaches a handheld: hub, broker and device as real programs. By the clock, so behind
KAKOU_PROVE: `make prove`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.handheld_device import PIN, lay_out_empty
from bench.rows import waybill
from sync.hub.archive import RecordChange
from sync.hub.tracing import reach_of
from sync.link.keys import make_private, public_pem
from sync.store.journal import utc_now
from sync.vocabulary.codec import to_json
from sync.vocabulary.handheld_facts import ParcelJudged
from sync.vocabulary.numbers import UtcText
from sync.vocabulary.records import Recall, key_of
from tests.system.handheld_glass import Handheld
from tests.system.test_handheld_centre import OFFICER, SCOPE, Centre, signed_in
from tests.system.test_hub_process import free_port, listening, process, until

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not os.environ.get("KAKOU_PROVE"), reason="by the clock: make prove"),
]
WITHIN_S = 10.0


def test_a_recall_by_batch_is_at_the_edge_within_ten_seconds(tmp_path: Path) -> None:
    port = free_port()
    device = make_private()
    centre = Centre(tmp_path, port, public_pem(device.public_key()))
    # As a hub polls where nobody set anything.
    centre.config.write_text(
        centre.config.read_text("utf-8").replace("poll_s = 0.1", "poll_s = 1.0"), "utf-8"
    )
    parcel = replace(waybill(7), batch_no="B7")
    with centre.archive() as archive, archive.transaction():
        row = RecordChange("waybills", key_of(parcel), to_json(parcel).decode())
        archive.apply_changes(SCOPE, [row], utc_now())
    laid = lay_out_empty(tmp_path / "device", device=device, hub=centre.hub, port=port)
    centre.say("officer-pin", OFFICER, "--device", "handheld-1", line=f"{PIN}\n")
    broker = [sys.executable, "-m", "sync.link.broker", "--port", str(port)]
    hub = [sys.executable, "-m", "sync.hub", str(centre.config)]
    with process(*broker, log=tmp_path / "broker.log"):
        until(lambda: listening(port), "the broker listens")
        with process(*hub, log=tmp_path / "hub.log"):
            handheld = Handheld(laid.config_path)
            handheld.start()
            signed_in(handheld)
            scan(handheld, parcel.waybill_no)
            until(lambda: centre.told(ParcelJudged), "the verdict is at the hub")
            assert not any(judged.recall_nos for judged in centre.told(ParcelJudged))
            began_s = time.monotonic()
            recall = Recall(
                recall_no="R-1",
                batch_nos=("B7",),
                issued=UtcText(utc_now()),
                reason_zh="铅超标",
                reason_en="Lead",
            )
            with centre.archive() as archive, archive.transaction():
                change = RecordChange("recalls", key_of(recall), to_json(recall).decode())
                archive.apply_changes(SCOPE, [change], utc_now())
            until(lambda: known_by(centre) == ["handheld-1"], "the device says that it has the recall")
            took_s = time.monotonic() - began_s
            scan(handheld, parcel.waybill_no)
            until(lambda: len(centre.told(ParcelJudged)) > 1, "the second verdict is at the hub")
            assert centre.told(ParcelJudged)[-1].recall_nos == ("R-1",)
            handheld.end()
    print(f"a recall was at the device and back at the centre after {took_s:.2f} s")
    assert took_s <= WITHIN_S


def scan(handheld: Handheld, number: str) -> None:
    handheld.wait_for(handheld.say(**{"is": "Scanned", "text": number, "source": "serial"}))


def known_by(centre: Centre) -> list[str]:
    with centre.archive() as archive:
        return [each.device for each in reach_of(archive, "recalls", "R-1")[2] if each.knows]
