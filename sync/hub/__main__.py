"""`python -m sync.hub CONFIG`: the hub, until SIGTERM or Ctrl-C. Exit 0 stopped, 1 a finding, 2 wrong use."""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from sync.hub.archive import ArchiveRefused
from sync.hub.config import ConfigError, ConfigRefused, HubConfig, read_hub_config
from sync.hub.wiring import Hub, set_up_log


def run(config_path: Path, worker: int | None = None) -> int:
    """Run a hub, or one worker of it, in this process. From the main thread SIGTERM and Ctrl-C stop it
    cleanly; the answer is the exit code."""
    try:
        config = read_hub_config(config_path)
        problem = worker_problem(config, worker)
        if problem:
            raise ConfigRefused(config_path, (ConfigError("workers", problem),))
    except ConfigRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    # A watchdog that loses patience sends SIGABRT: then it is said what every thread was doing.
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    set_up_log(config.log_level)
    hub = Hub(config, worker)

    def stop(_number: int, _frame: FrameType | None) -> None:
        hub.stop()

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return hub.run()
    except ArchiveRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sync.hub", description=__doc__)
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the hub's TOML file")
    parser.add_argument(
        "--worker", type=int, metavar="N", help="which of the config's [workers] this is, from 1"
    )
    given = parser.parse_args()
    return run(given.config, given.worker)


def worker_problem(config: HubConfig, worker: int | None) -> str:
    """Why this number does not go with that config; empty where it does."""
    count = None if config.workers is None else config.workers.count
    if count is None:
        return "" if worker is None else "--worker needs this table, which says how many there are"
    if worker is None or not 1 <= worker <= count:
        return f"each process is one of {count}: start it with --worker 1 to --worker {count}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
