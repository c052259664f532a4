"""`python -m tests.replay`: records the golden inbox again, after a wanted change has been looked at.

A lane program with its simulated devices, no centre: what it is told, and what it asks for, scrubbed.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from functools import partial
from pathlib import Path

from edge.gate.replaying import replay
from edge.runtime.recording import Recorded, read_recording
from tests.system.conftest import LaneSite, launching, until

GOLDEN = Path(__file__).parent / "golden" / "lane-in.jsonl.gz"
SPEED = 12.0
VEHICLES = 7
"""In both lanes of the site; one lane is recorded."""


def said(site: LaneSite, times: int) -> list[str]:
    """What ended each stretch of traffic, once so many have ended."""
    assert site.sims is not None
    ends = [line["event"] for line in site.sims.lines() if line["event"] in ("PAUSED", "DONE")]
    return ends if len(ends) >= times else []


def record(to: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, launching(Path(scratch) / "programs") as launch:
        site = LaneSite.written(Path(scratch) / "site", launch, vehicles=VEHICLES, speed=SPEED)
        recording = Path(scratch) / "lane-in.jsonl"
        site.change(
            ("[clock]\n", f'[log]\nrecording = "{recording}"\n\n[clock]\n'),
        )
        site.give_records()
        site.start_sims()
        lane = site.start_lane()
        site.go()
        goes = 1
        while until(partial(said, site, goes), "a pause or the end", 120.0)[goes - 1] != "DONE":
            site.go()
            goes += 1
        lane.process.terminate()
        lane.ended()
        to.parent.mkdir(exist_ok=True)
        # The same recording is the same file, whenever it is packed.
        to.write_bytes(gzip.compress(recording.read_bytes(), mtime=0))


def main() -> int:
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
    record(to)
    entries = sum(isinstance(each, Recorded) for each in read_recording(to))
    print(f"{to}: {to.stat().st_size} bytes, {entries} entries; played again: {replay(to).same}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
