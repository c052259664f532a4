"""A hub killed in the middle of taking evidence: what it had is used, what the power spoiled comes anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sync.hub.blob_files import BlobFiles
from sync.hub.blobs import BlobTaking
from sync.link.keys import KeySigner
from sync.link.messages import BlobAnswer, BlobOffer, BlobState, Context
from sync.vocabulary.blobs import BlobClass
from sync.vocabulary.facts import PictureTaken
from tests.unit.test_hub_device import AT, HUB_KEY, SITE, TOPICS, Bench, Device, opened

PICTURE = bytes(range(256)) * 20
SHA256 = hashlib.sha256(PICTURE).hexdigest()


def offered(folder: Path, parts: dict[int, bytes]) -> BlobAnswer:
    """The hub's answer to an offer, with these parts on its disk from a life before."""
    device = Device()
    bench = Bench(folder / "archive.sqlite", device)
    taken = PictureTaken(passage=1, moment="arrival", camera="front", sha256=SHA256, size_bytes=len(PICTURE))
    bench.facts(device, device.batch([device.say(taken)]))
    files = BlobFiles(folder / "blobs")
    files.open()
    for offset, data in parts.items():
        files.add(device.name, SHA256, offset, data)
    taking = BlobTaking(bench.archive, files, KeySigner(HUB_KEY, "hub"), site=SITE)
    offer = BlobOffer(device.name, SHA256, len(PICTURE), BlobClass.ROUTINE)
    (out,) = taking.receive(TOPICS.blob_offer(device.name), device.payload(Context.BLOB, offer), AT)
    answer: BlobAnswer = opened(out, Context.BLOB_ANSWER, BlobAnswer)
    assert (files.read(SHA256) == PICTURE) is (answer.state is BlobState.STORED)
    bench.archive.close()
    return answer


def test_killed_between_the_last_part_and_the_whole_the_offer_makes_it_whole(tmp_path: Path) -> None:
    answer = offered(tmp_path, {0: PICTURE[:3000], 3000: PICTURE[3000:]})
    assert answer.state is BlobState.STORED


def test_a_part_the_power_spoiled_is_asked_for_anew(tmp_path: Path) -> None:
    answer = offered(tmp_path, {0: PICTURE[:3000], 3000: bytes(len(PICTURE) - 3000)})
    assert (answer.state, answer.missing) == (BlobState.WANTED, ((0, len(PICTURE) - 1),))


def test_what_is_missing_between_parts_is_asked_for(tmp_path: Path) -> None:
    answer = offered(tmp_path, {0: PICTURE[:3000], 4000: PICTURE[4000:]})
    assert (answer.state, answer.missing) == (BlobState.WANTED, ((3000, 3999),))
