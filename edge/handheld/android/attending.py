"""The foreground service from outside and from inside: started by the screens, kept awake by what is owed."""

from __future__ import annotations

import threading
from typing import Any, Final

from edge.handheld.android.java import activity, app_id, java, system_service
from edge.handheld.ports import PortFailed
from sync.vocabulary.rulings import Text

SERVICE: Final = "Sync"
"""Its name in `buildozer.spec`; python-for-android makes the class `<package>.ServiceSync` of it."""

NOTICE: Final = Text(zh="正在同步查验记录", en="Inspection records are being sent")

_PARTIAL_WAKE_LOCK: Final = 1


class AndroidAttendant:
    """In the screens' process. Starting a service that runs is Android's way of saying nothing."""

    def start(self) -> None:
        try:
            self._service().start(activity(), "", "kakou", f"{NOTICE.zh} {NOTICE.en}", "")
        except Exception as error:  # a Java exception of any class, such as of an app in the background
            raise PortFailed(f"the service was not started: {error}") from error

    def stop(self) -> None:
        self._service().stop(activity())

    def _service(self) -> Any:
        return java(f"{app_id()}.Service{SERVICE}")


class AndroidWakefulness:
    """A partial wake lock, always with a time limit: a program that hangs must not empty the battery."""

    def __init__(self) -> None:
        manager = system_service("power")
        self._lock = threading.Lock()
        self._wake = manager.newWakeLock(_PARTIAL_WAKE_LOCK, "kakou:sync")
        # Otherwise each acquire needs a release of its own.
        self._wake.setReferenceCounted(False)

    def hold(self, longest_s: float) -> None:
        with self._lock:
            self._wake.acquire(round(1000 * longest_s))

    def let_go(self) -> None:
        with self._lock:
            if self._wake.isHeld():
                self._wake.release()
