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
from sync.hub.config import ConfigRefused, read_hub_config
from sync.hub.wiring import Hub, set_up_log


def run(config_path: Path) -> int:
    """Run a hub in this process. From the main thread SIGTERM and Ctrl-C stop it cleanly; the answer is the
    exit code."""
    try:
        config = read_hub_config(config_path)
    except ConfigRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    # A watchdog that loses patience sends SIGABRT: then it is said what every thread was doing.
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    set_up_log(config.log_level)
    hub = Hub(config)

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
    return run(parser.parse_args().config)


if __name__ == "__main__":
    sys.exit(main())
