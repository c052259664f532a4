"""Starting a handheld program: refusals in plain words, and an exit code its supervisor understands."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import structlog

from edge.handheld.config import read_handheld_config
from edge.handheld.terminal import standard
from edge.handheld.vault_files import VaultRefused
from edge.handheld.wiring import Core
from edge.runtime.clock import SystemClock
from edge.runtime.config_reading import ConfigRefused
from edge.runtime.log import set_up_log
from sync.link.client import LinkConfigRefused
from sync.link.keys import KeyRefused
from sync.store.opening import StoreRefused

EXIT_FINDING = 1
EXIT_WRONG_USE = 2
PLACES = (Path("handheld.toml"), Path.home() / ".config" / "kakou" / "handheld.toml")
"""Where a config is looked for when none is named."""


def main(config_path: Path | None, *, headless: bool = False, run: str = "terminal") -> int:
    """0 told to stop; 1 it could not run, and says why; 2 wrong use."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    log_writer = set_up_log("info")
    try:
        path = config_path or next((place for place in PLACES if place.is_file()), None)
        if path is None:
            sys.stderr.write(f"expected a config: name one, or put it at {PLACES[0]} or {PLACES[1]}\n")
            return EXIT_WRONG_USE
        config = read_handheld_config(path)
        if headless:
            _run_headless(Core(config, path, SystemClock(counts_sleep=True)), run)
        else:
            # Kivy takes a second to import, and opens a window while it does.
            from edge.handheld.pc_glass import run_window

            run_window(config, path)
        return 0
    except ConfigRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return EXIT_WRONG_USE
    except (StoreRefused, VaultRefused, KeyRefused, LinkConfigRefused, OSError) as refused:
        sys.stderr.write(f"{refused}\n")
        return EXIT_FINDING
    except Exception:
        structlog.get_logger("handheld").critical("the handheld program is broken", exc_info=True)
        raise
    finally:
        log_writer.close()


def _run_headless(core: Core, run: str) -> None:
    glass = standard(core, run)
    core.open()
    glass.start()
    core.run(glass, signals=True)
