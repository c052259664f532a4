"""A handheld from decode to verdict: the whole program, its records and journal enciphered, a scan in and the
view of its verdict out, through the real loop; each scan's fact is committed before the next is said.

The program runs for itself, as `kakou handheld --headless`; what is measured is what a screen would wait for,
pipes and JSON of the terminal's lines included.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.handheld_device import OFFICER, PIN, lay_out
from bench.harness import Bench, Figure
from bench.patience import Watched
from bench.rows import Rows, waybill

SCANS = 600
UNKNOWN = 200
VERDICT_LIMIT_MS = 100.0
MEMORY_LIMIT_MB = 150.0
SILENT_S = 120.0


def run(folder: Path, scale: float) -> Bench:
    """At scale 1: 1 M waybills, 3,400 slips."""
    rows = Rows(vehicles=1_000, slips=3_400, waybills=max(1_000, int(1_000_000 * scale)))
    laid = lay_out(folder, _without_site(rows))
    program = _Program(laid.config_path)
    try:
        start_s = program.first_view_s()
        sign_in_s = program.timed(1, {"is": "SignInAsked", "officer_no": OFFICER, "pin": PIN})
        draw = random.Random(23)
        known = [waybill(each).waybill_no for each in draw.sample(range(rows.waybills), SCANS + 1)]
        first_ms = 1_000 * program.scanned(2, known[0])
        known_ms = [1_000 * program.scanned(3 + n, code) for n, code in enumerate(known[1:])]
        unknown_ms = [1_000 * program.scanned(3 + SCANS + n, f"YT9{n:012d}") for n in range(UNKNOWN)]
        rss_mb = program.rss_anon_mb()
    finally:
        program.end()
    return Bench(
        "handheld",
        [
            _verdict("decode → verdict, median", statistics.median(known_ms)),
            _verdict("decode → verdict, p99", _p99(known_ms)),
            _verdict("the first after signing in", first_ms),
            _verdict("a number no record has, median", statistics.median(unknown_ms), _NEAREST),
            _verdict("a number no record has, p99", _p99(unknown_ms)),
            Figure(
                "RssAnon after all scans",
                rss_mb,
                "MB",
                rss_mb / MEMORY_LIMIT_MB,
                f"{MEMORY_LIMIT_MB:.0f} MB",
                at_most=1.0,
                note="without a window",
            ),
            Figure("start to the first view", start_s, "s", note="Python and its imports"),
            Figure("signing in, stores locked", sign_in_s, "s", note="cheap Argon2id: tests sign in often"),
        ],
        f"{rows.waybills:,} waybills enciphered, {SCANS} scans, each committed",
    )


_NEAREST = "the nearest numbers looked for"


def _verdict(name: str, ms: float, note: str = "") -> Figure:
    against = f"{VERDICT_LIMIT_MS:.0f} ms"
    return Figure(name, ms, "ms", ms / VERDICT_LIMIT_MS, against, at_most=1.0, note=note)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


def _without_site(rows: Rows) -> Iterator[tuple[str, str, str]]:
    return (row for row in rows.all() if row[0] not in ("site", "officers"))


class _Program:
    def __init__(self, config: Path) -> None:
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.handheld", "--headless", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._watched = Watched(self._process, SILENT_S)
        self._watched.begin()

    def first_view_s(self) -> float:
        self._read()
        return time.perf_counter() - self._began

    def timed(self, number: int, event: dict[str, Any]) -> float:
        """Until all that came of it is done."""
        began = self._say(number, event)
        while self._read().get("done") != number:
            pass
        return time.perf_counter() - began

    def scanned(self, number: int, code: str) -> float:
        """Until the view of its verdict came; then waits for what came of it."""
        event = {"is": "Scanned", "text": code, "symbology": "code128", "source": "serial"}
        began = self._say(number, event)
        seen = 0.0
        while True:
            line = self._read()
            shown = line.get("view", {}).get("shown", {})
            verdict = shown.get("verdict") if shown.get("is") == "ScanningView" else None
            if not seen and verdict is not None and verdict["code"] == code:
                seen = time.perf_counter() - began
            if line.get("done") == number:
                return seen

    def rss_anon_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0.0
        return int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024

    def end(self) -> None:
        self._watched.over()
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _say(self, number: int, event: dict[str, Any]) -> float:
        if self._process.stdin is None:
            raise RuntimeError("the program has no lines to write to")
        began = time.perf_counter()
        self._process.stdin.write(json.dumps({"n": number, "event": event}) + "\n")
        self._process.stdin.flush()
        self._watched.heard()
        return began

    def _read(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._watched.line("the handheld's next line"))
        return said
