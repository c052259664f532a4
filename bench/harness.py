"""Rounds in turn, medians, and a table: what every bench shares. Measures nothing itself."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None: nothing is asked of it."""
        if self.at_least is not None and self.ratio is not None:
            return self.ratio >= self.at_least
        if self.at_most is not None and self.ratio is not None:
            return self.ratio <= self.at_most
        return None


@dataclass(slots=True)
class Bench:
    """Figures of one bench, and what they were measured on."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    setting: str = ""


def in_turns(rounds: int, works: Sequence[tuple[str, Callable[[], float]]]) -> dict[str, float]:
    """Each work returns its own figure; all take turns, so that noise falls on all. The median of each."""
    found: dict[str, list[float]] = {name: [] for name, _ in works}
    for _ in range(rounds):
        for name, work in works:
            found[name].append(work())
    return {name: statistics.median(values) for name, values in found.items()}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def show(benches: Sequence[Bench], *, as_json: bool) -> None:
    if as_json:
        for bench in benches:
            for figure in bench.figures:
                line = {
                    "bench": bench.name, "setting": bench.setting, "name": figure.name,
                    "value": round(figure.value, 3), "unit": figure.unit,
                    "ratio": None if figure.ratio is None else round(figure.ratio, 3),
                    "against": figure.against, "at_least": figure.at_least, "at_most": figure.at_most,
                    "met": figure.met, "note": figure.note,
                }  # fmt: skip
                sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    table = Table("bench", "what", "figure", "ratio", "asked", "", title="kakou bench")
    for bench in benches:
        for index, figure in enumerate(bench.figures):
            asked = ""
            if figure.at_least is not None:
                asked = f"≥ {figure.at_least:g}"
            elif figure.at_most is not None:
                asked = f"≤ {figure.at_most:g}"
            mark = {True: "[green]✔[/]", False: "[red]✘[/]", None: ""}[figure.met]
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} × {figure.against}"
            value = f"{figure.value:,.1f} {figure.unit}"
            table.add_row(bench.name if index == 0 else "", figure.name, value, ratio, asked, mark)
        table.add_section()
    console = Console()
    console.print(table)
    for bench in benches:
        console.print(f"[dim]{bench.name}: {bench.setting}[/]", highlight=False)
        for figure in bench.figures:
            if figure.note:
                console.print(f"[dim]  {figure.name}: {figure.note}[/]", highlight=False)
