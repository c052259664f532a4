"""The handheld's core as Android's foreground service: the program behind `service/sync_main.py`. No
screen.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

import structlog

from edge.handheld.android.attending import AndroidWakefulness
from edge.handheld.android.java import visiting
from edge.handheld.android.keystore import AndroidKeystore
from edge.handheld.android.provisioning import CONFIG, private_folder
from edge.handheld.config import read_handheld_config
from edge.handheld.core_service import CoreService
from edge.handheld.ports import Wakefulness
from edge.runtime.clock import SystemClock
from edge.runtime.log import set_up_log
from sync.store.folders import make_folder

KEY_ALIAS: Final = "kakou-data-key"

_LOOK_EVERY_S: Final = 10.0
_AWAKE_S: Final = 30.0


def main() -> int:
    """The service's whole life. 1: it could not run, and the log says why; Android then starts it again
    later.
    """
    log_writer = set_up_log("info")
    log = structlog.get_logger("service")
    try:
        folder = private_folder()
        make_folder(folder)
        # Paths in the config are names in this folder.
        os.chdir(folder)
        path = folder / CONFIG
        config = read_handheld_config(path)
        keystore = AndroidKeystore(KEY_ALIAS, config.device.id)
        service = CoreService(config, path, SystemClock(counts_sleep=True), keystore=keystore)
        waking = Waking(lambda: service.core.is_sending, AndroidWakefulness())
        waking.start()
        try:
            service.run(lambda: log.info("the core listens"))
        finally:
            waking.stop()
    except Exception as refused:
        log.critical("the core does not run", why=str(refused), exc_info=refused)
        return 1
    finally:
        log_writer.close()
    return 0


class Waking:
    """Keeps the processor awake while something is on its way, and for half a minute at a time at most."""

    def __init__(self, is_sending: Callable[[], bool], awake: Wakefulness) -> None:
        self._is_sending = is_sending
        self._awake = awake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="waking", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        with visiting():
            while True:
                if self._is_sending():
                    self._awake.hold(_AWAKE_S)
                else:
                    self._awake.let_go()
                if self._stopping.wait(_LOOK_EVERY_S):
                    break
            self._awake.let_go()
