"""From a whole picture to what a desk is shown, through the bridge's own threads: the pictures' room, the
analysts, the planes the page colours. Beside it the same work in one thread, without anybody waiting."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import numpy as np

from bench.harness import Bench, Figure
from bench.xray import COLUMNS, ROWS, large
from bench.xray_goods import photograph
from edge.devices.readings import XrayPictureSeen
from edge.runtime.clock import SystemClock
from edge.xray_bridge.analysing import Analysts, Judge, Prepare, WedgeFound, planes
from edge.xray_bridge.events import Analysed, Event, PictureTaken
from edge.xray_bridge.imaging.analysis import analyse_developed
from edge.xray_bridge.imaging.calibration import Calibration
from edge.xray_bridge.imaging.palettes import CHINESE
from edge.xray_bridge.imaging.pictures import RawPicture
from edge.xray_bridge.imaging.segmenting import outlined
from edge.xray_bridge.imaging.views import develop
from edge.xray_bridge.imaging.wedge import calibrated
from edge.xray_bridge.pictures import Held, Pictures
from hardware_sims.xray_goods import wedge

MOST_MS = 200.0
"""p95, picture whole -> all that a desk shows of it is there."""
A_PARCEL_S = 0.5
WORKERS = 2


def run(folder: Path, scale: float) -> Bench:
    """40 to 200 pictures at the pace of a line of 7,200 parcels an hour: four times the trade's."""
    calibration = calibrated(photograph(wedge(), 1))
    pictures = [large(seed) for seed in range(4)]
    rounds = max(40, min(200, round(2_000 * scale)))
    alone = [_alone(pictures[n % len(pictures)], calibration) for n in range(16)]
    line = _Line(calibration)
    waits_ms = [line.judged(pictures[n % len(pictures)], n) for n in range(rounds)]
    line.stop()
    # A machine that does other things too stretches everything alike: led back by what it does to the same
    # work in one thread.
    stretch = max(1.0, statistics.median(wall / spent for wall, spent in alone))
    p95 = statistics.quantiles(waits_ms, n=20)[18]
    figures = [
        Figure(
            "picture -> desk, p95, led back",
            p95 / stretch,
            "ms",
            p95 / stretch / MOST_MS,
            f"{MOST_MS:g} ms",
            at_most=1.0,
            note=f"wall {p95:.0f} ms on a machine {stretch:.1f} times slowed by others",
        ),
        Figure("picture -> desk, median wall", statistics.median(waits_ms), "ms"),
        Figure("the same work in one thread, CPU", statistics.median(spent for _, spent in alone), "ms"),
    ]
    setting = f"{COLUMNS} x {ROWS}, two 16-bit channels; {rounds} pictures, {WORKERS} analysts; wall time"
    return Bench("xray-station", figures, setting)


def _alone(picture: RawPicture, calibration: Calibration) -> tuple[float, float]:
    """(wall, CPU) milliseconds."""
    began_s, spent_s = time.perf_counter(), time.thread_time()
    developed = develop(picture)
    outlined(developed, calibration)
    planes(developed)
    analyse_developed(developed, calibration)
    return (time.perf_counter() - began_s) * 1000.0, (time.thread_time() - spent_s) * 1000.0


class _Line:
    """The rooms as the program wires them; one thread that plays the station's."""

    def __init__(self, calibration: Calibration) -> None:
        clock = SystemClock()
        self._told = threading.Condition()
        self._analysed: set[str] = set()
        self._prepared: set[str] = set()
        self._pictures = Pictures(
            plane_mm=3_000.0,
            most_bytes=512_000_000,
            calibration=lambda: calibration,
            clock=clock,
            put=self._put,
            ready=lambda held: self._analysts.ask(Prepare(held.picture)),
        )
        self._analysts = Analysts(
            self._pictures,
            calibration=lambda: calibration,
            palette=CHINESE,
            check_wedge=_no_wedge,
            clock=clock,
            put=self._put,
            workers=WORKERS,
            prepared=self._is_prepared,
        )
        self._pictures.start()
        self._analysts.start()

    def judged(self, picture: RawPicture, number: int) -> float:
        """Milliseconds from the whole picture to the last of what a desk is shown."""
        name = f"bench-{number}"
        seen = XrayPictureSeen(
            picture=name,
            low=picture.low,
            high=picture.high,
            counts=np.arange(picture.low.shape[1], dtype=np.int64) * 8,
            air_low=picture.air_low,
            air_high=picture.air_high,
            mm_per_count=0.1,
            mm_per_pixel=picture.mm_per_row,
            mm_per_column=picture.mm_per_column,
        )
        began_s = time.perf_counter()
        self._pictures.say(time.monotonic(), seen)
        with self._told:
            there = self._told.wait_for(lambda: name in self._analysed and name in self._prepared, 10.0)
        took_s = time.perf_counter() - began_s
        if not there:
            raise RuntimeError(f"{name}: expected an analysis within 10 s")
        self._pictures.drop(name)
        time.sleep(max(0.0, A_PARCEL_S - took_s) / 10)
        return took_s * 1000.0

    def stop(self) -> None:
        self._pictures.stop()
        self._analysts.stop()

    def _put(self, event: Event) -> None:
        match event:
            case PictureTaken(picture):
                self._analysts.ask(Judge(picture, 1, None))
            case Analysed(picture):
                with self._told:
                    self._analysed.add(picture)
                    self._told.notify_all()
            case _:
                pass

    def _is_prepared(self, picture: str) -> None:
        with self._told:
            self._prepared.add(picture)
            self._told.notify_all()


def _no_wedge(held: Held) -> WedgeFound:
    return WedgeFound(False, "")
