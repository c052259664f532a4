"""The ThingsBoard IoT gateway's own storage, put to by itself: run by a Python that has it installed.

`python storing_thingsboard.py FOLDER sqlite|file rate|kill COUNT`. Imports nothing of ours. `kill` says each
message that `put` accepted, and waits to be killed; `rate` prints two durations in seconds: until the last
`put` had returned, and until the last message was in its file.
"""

from __future__ import annotations

import importlib
import json
import logging
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

CLASSES = {
    "sqlite": ("thingsboard_gateway.storage.sqlite.sqlite_event_storage", "SQLiteEventStorage"),
    "file": ("thingsboard_gateway.storage.file.file_event_storage", "FileEventStorage"),
}
MESSAGE = json.dumps({"deviceName": "lane", "telemetry": [{"ts": 1, "values": {"body": "x" * 430}}]})


def opened(folder: Path, kind: str) -> Any:
    module, name = CLASSES[kind]
    log: Any = logging.getLogger("storage")
    log.setLevel(logging.CRITICAL)
    log.trace = log.debug
    config = (
        {"data_file_path": f"{folder}/"}
        if kind == "sqlite"
        else {"data_folder_path": f"{folder}/", "max_file_count": 1000, "max_records_per_file": 100_000}
    )
    return getattr(importlib.import_module(module), name)(config, log, threading.Event())


def kept(folder: Path, kind: str) -> int:
    """Messages in its files, by reading them."""
    if kind == "file":
        return sum(path.read_bytes().count(b"\n") for path in folder.glob("data_*.txt"))
    with closing(sqlite3.connect(folder / "data.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)


def main() -> None:
    folder, kind, mode, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    storage = opened(folder, kind)
    begin_s = time.perf_counter()
    accepted = 0
    for _ in range(count):
        if storage.put(MESSAGE):
            accepted += 1
            if mode == "kill":
                sys.stdout.write(f"{accepted}\n")
                sys.stdout.flush()
    if mode == "kill":
        time.sleep(60)
    put_s = time.perf_counter() - begin_s
    while mode == "rate" and kept(folder, kind) < accepted and time.perf_counter() - begin_s < 60:
        time.sleep(0.005)
    print(json.dumps([put_s, time.perf_counter() - begin_s]))
    storage.stop()


if __name__ == "__main__":
    main()
