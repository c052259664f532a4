"""Starting a station: refusals in plain words, and an exit code its supervisor understands."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import structlog

from edge.runtime.config_reading import ConfigRefused
from edge.runtime.log import set_up_log
from edge.xray_bridge.imaging.calibration import CalibrationRefused
from edge.xray_bridge.wiring import run
from sync.link.client import LinkConfigRefused
from sync.link.keys import KeyRefused
from sync.store.opening import StoreRefused

EXIT_FINDING = 1
EXIT_WRONG_USE = 2


def main(config_path: Path | None) -> int:
    """0 told to stop; 1 it could not run, and says why; 2 wrong use. What does not run moves nothing."""
    # A watchdog that loses patience sends SIGABRT: then it is said what every thread was doing.
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    log_writer = set_up_log("info")
    try:
        if config_path is None:
            sys.stderr.write("usage: python -m edge.xray_bridge CONFIG.toml\n")
            return EXIT_WRONG_USE
        return run(config_path)
    except ConfigRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return EXIT_WRONG_USE
    except (StoreRefused, KeyRefused, LinkConfigRefused, CalibrationRefused, OSError) as refused:
        sys.stderr.write(f"{refused}\n")
        return EXIT_FINDING
    except Exception:
        structlog.get_logger("xray").critical("the station's program is broken", exc_info=True)
        raise
    finally:
        log_writer.close()
