"""A core that does nothing but write down what it stepped, with its mark in one durable write. For tests."""

from __future__ import annotations

import json
import os
import queue
import sys
from pathlib import Path
from typing import Any

from edge.handheld.effects import Sound, TakePhoto
from edge.handheld.events import Paused, Scanned, SignInAsked
from edge.handheld.joint.codec import Codec
from edge.handheld.joint.core_end import CoreEnd
from edge.handheld.joint.marks import Mark


def main(folder: Path) -> None:
    store = folder / "journal.json"
    kept: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {"stepped": [], "mark": None}
    inbox: queue.Queue[tuple[Mark, Any]] = queue.Queue()
    end = CoreEnd(
        folder,
        Codec(events=Scanned | SignInAsked | Paused, views=str, effects=Sound | TakePhoto),
        version="1",
        done=Mark(*kept["mark"]) if kept["mark"] else None,
        heard=lambda mark, event: inbox.put((mark, event)),
        fetch=lambda name: None,
        glass_changed=lambda there: None,
    )
    end.start()
    while True:
        mark, event = inbox.get(timeout=60)
        kept = {"stepped": [*kept["stepped"], event.text], "mark": [mark.run, mark.number]}
        beside = folder / "journal.new"
        beside.write_text(json.dumps(kept))
        beside.replace(store)
        end.done(mark)


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).parents[2]))
    main(Path(sys.argv[1]))
