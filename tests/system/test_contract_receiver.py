"""The forty lines of the contract's page, word for word, as the centre of a real device's link."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, make_private, private_pem, public_pem
from sync.link.words import Notice
from sync.store.journal import Journal
from sync.vocabulary.facts import Alarm, AlarmCode, FactDraft, PassageOpened, Stream
from tests.system.test_link_brokers import MOSQUITTO, Broker, until, utc

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contract" / "README.md"
FACTS = 300


def receiver() -> str:
    """The page's own text."""
    (chapter,) = re.findall(
        r"^## A receiver in forty lines\n(.*?)(?=^## )",
        PAGE.read_text(encoding="utf-8") + "## ",
        re.DOTALL | re.MULTILINE,
    )
    (code,) = re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)
    return str(code)


def test_it_is_forty_lines() -> None:
    assert len([line for line in receiver().splitlines() if line.strip()]) <= 40


KINDS = [
    "amqtt",
    pytest.param("mosquitto", marks=pytest.mark.skipif(MOSQUITTO is None, reason="no mosquitto here")),
]


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(request.param, tmp_path)
    made.start()
    yield made
    made.kill()


def drafts(first: int, count: int) -> list[FactDraft]:
    return [
        FactDraft(
            f"e{n}", Stream.ALARM if n % 50 == 0 else Stream.ROUTINE, utc(), "boot", 5,
            Alarm(code=AlarmCode.OVERSTAY) if n % 50 == 0 else PassageOpened(n),
        )
        for n in range(first, first + count)
    ]  # fmt: skip


def test_the_receiver_of_the_page_takes_every_fact_of_a_real_link_and_acknowledges_it(
    broker: Broker, tmp_path: Path
) -> None:
    own, device = make_private(), make_private()
    (tmp_path / "own.pem").write_bytes(private_pem(own))
    (tmp_path / "device.pem").write_bytes(public_pem(device.public_key()))
    (tmp_path / "receiver.py").write_text(receiver(), encoding="utf-8")
    (tmp_path / "records").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "receiver.py"), "127.0.0.1", str(broker.port), "s1", "lane-1",
         str(tmp_path / "own.pem"), str(tmp_path / "device.pem")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    printed: list[str] = []
    reading = threading.Thread(target=printed.extend, args=(process.stdout,), daemon=True)
    reading.start()
    notices: list[Notice] = []
    try:
        with Journal.open(tmp_path / "journal.sqlite", device="lane-1", reserve_bytes=0) as journal:
            journal.commit(drafts(1, FACTS))
            link = LinkClient(
                LinkConfig(
                    device="lane-1", site="s1", scopes=("s1",), host="127.0.0.1", port=broker.port,
                    allow_plaintext=True, resend_first_s=0.5,
                ),
                journal=journal, records_folder=tmp_path / "records", signer=KeySigner(device, "lane-1"),
                hub_key=own.public_key(), notices=notices.append,
            )  # fmt: skip
            link.start()
            until(lambda: sum(journal.backlog().values()) == 0)
            journal.commit(drafts(FACTS + 1, 20))
            link.facts_waiting()
            until(lambda: sum(journal.backlog().values()) == 0)
            assert link.stop()
            all_of = [journal.facts_from(each, 1, max_facts=9_999, max_bytes=10**8) for each in Stream]
            held = sorted((fact.position, fact.body) for facts in all_of for fact in facts)
    finally:
        process.kill()
        process.wait()
        errors = process.stderr.read()
        reading.join(5)
        process.stdout.close()
        process.stderr.close()
    got = sorted((json.loads(line)["position"], line.rstrip("\n")) for line in printed)
    assert errors == ""
    assert len(got) == FACTS + 20 + 1
    assert got == held
