"""`python -m tests.system.lane_process SETTINGS`: a journal that fills, and the real link; to be killed.

It goes on from what its journal holds until `facts` passages were opened, tells each fact on standard output
once it is durable, and `drained` whenever the hub has acknowledged all of them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from sync.link.client import LinkClient, LinkConfig
from sync.link.keys import KeySigner, load_private, load_public
from sync.store.journal import Journal, random_id, utc_now
from sync.vocabulary.facts import FactDraft, PassageOpened, Stream


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    folder: str
    """Of the site."""
    device: str
    site: str
    port: int
    facts: int
    """Passages to open in all."""
    together: int = 1
    """Facts in one commit."""
    pause_s: float = 0.0
    """After each commit."""
    facts_a_message: int = 1000
    window_bytes: int = 64 * 1024
    resend_first_s: float = 0.5


def main() -> None:
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    site = Path(settings.folder)
    folder = site / "data" / settings.device
    journal = Journal.open(folder / "journal.sqlite", device=settings.device, reserve_bytes=0)
    link = LinkClient(
        LinkConfig(
            device=settings.device, site=settings.site, scopes=(settings.site,), host="127.0.0.1",
            port=settings.port, keepalive_s=2, reconnect_first_s=0.1, reconnect_longest_s=0.5,
            resend_first_s=settings.resend_first_s, resend_longest_s=10 * settings.resend_first_s,
            pull_first_s=0.5, pull_longest_s=2.0,
            window_bytes=settings.window_bytes, widest_window_bytes=max(settings.window_bytes, 1 << 20),
            facts_a_message=settings.facts_a_message,
        ),
        journal=journal,
        records_folder=folder,
        signer=KeySigner(load_private(site / "keys" / f"{settings.device}.key"), settings.device),
        hub_key=load_public(site / "keys" / "hub.pub"),
        notices=lambda notice: tell(f"notice {type(notice).__name__} {notice}"),
    )  # fmt: skip
    link.start()
    tell(f"opened {journal.epoch}")
    said_drained = False
    last = (journal.lane_state() or b"0").decode()
    passage = int(last)
    while True:
        if passage < settings.facts:
            count = min(settings.together, settings.facts - passage)
            drafts = [opened(passage + number) for number in range(1, count + 1)]
            passage += count
            for fact in journal.commit(drafts, lane_state=str(passage).encode()):
                tell(f"fact {fact.epoch} {fact.stream.value} {fact.seq} {fact.hash} {fact.event_id}")
            link.facts_waiting()
            time.sleep(settings.pause_s)
            continue
        drained = not any(journal.backlog().values())
        if drained and not said_drained:
            tell("drained")
        said_drained = drained
        time.sleep(0.02)


def opened(passage: int) -> FactDraft:
    stream = Stream.ALARM if passage % 7 == 0 else Stream.ROUTINE
    return FactDraft(random_id(), stream, utc_now(), "boot", 5, PassageOpened(passage))


def tell(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
