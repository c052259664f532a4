"""The calibration in force: one file in a folder, older ones beside it under their ids. The daily wedge
check, and a calibration made anew from a picture of the wedge. Reads and writes that folder, judges nothing.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

import structlog

from edge.xray_bridge.analysing import WedgeFound
from edge.xray_bridge.imaging.calibration import Calibration, CalibrationRefused
from edge.xray_bridge.imaging.wedge import calibrated, check_wedge
from edge.xray_bridge.pictures import Held
from sync.store.folders import make_folder, sync_folder

IN_FORCE: Final = "calibration.json"
MOST_BYTES: Final = 20_000


class Calibrations:
    """`current` from any thread."""

    def __init__(self, folder: Path) -> None:
        """Raises `OSError` where the folder cannot be made, `CalibrationRefused` where its file is none: a
        station must not judge by a calibration nobody can read."""
        self._folder = folder
        self._lock = threading.Lock()
        make_folder(folder)
        self._current = read_calibration(folder / IN_FORCE) or Calibration()

    def current(self) -> Calibration:
        """The prior, which says that nothing was measured, where none was made yet."""
        return self._current

    def check(self, held: Held) -> WedgeFound:
        """The daily look. Where nothing was measured yet, the first picture of the wedge is measured."""
        calibration, seen = self.current(), held.seen
        if seen.status != "SUCCESSFUL" or seen.calibration != "good":
            why = f"status {seen.status}, offset and gain {seen.calibration}"
            return WedgeFound(False, calibration.id, f"图像不合格：{why} / not a good picture: {why}")
        if not calibration.measured:
            try:
                made = calibrated(held.developed.picture, made=held.utc, machine=held.seen.serial)
                self.take(made)
            except (CalibrationRefused, OSError) as refused:
                return WedgeFound(False, calibration.id, str(refused))
            calibration = made
        found = check_wedge(held.developed.picture, calibration)
        return WedgeFound(
            found.ok, found.calibration, f"{found.why.zh} / {found.why.en}" if found.faults else ""
        )

    def take(self, calibration: Calibration) -> None:
        """In force from now on, durable before it is. Raises `OSError`."""
        with self._lock:
            text = calibration.text().encode()
            for name in (f"calibration-{calibration.id}.json", IN_FORCE):
                unfinished = self._folder / f".{name}.part"
                with unfinished.open("wb") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(self._folder / name)
            sync_folder(self._folder)
            self._current = calibration
        structlog.get_logger("calibrating").info("a calibration is in force", calibration=calibration.id)


def read_calibration(path: Path) -> Calibration | None:
    """None where there is none. Raises `OSError`, `CalibrationRefused`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CalibrationRefused(f"{path}: expected at most {MOST_BYTES} bytes")
        return Calibration.read(path.read_bytes())
    except FileNotFoundError:
        return None
    except CalibrationRefused as refused:
        raise CalibrationRefused(f"{path}: {refused}") from refused
