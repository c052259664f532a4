"""Rounds in turn, medians, and a table: what every bench shares. Measures nothing itself."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. What is asked is asked of the ratio."""

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
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return None
        high_enough = self.at_least is None or self.ratio >= self.at_least
        low_enough = self.at_most is None or self.ratio <= self.at_most
        return high_enough and low_enough

    @property
    def asked(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""


@dataclass(frozen=True, slots=True)
class Bench:
    """Figures of one bench, and what they were measured on."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Rounds:
    """What each work measured, round by round."""

    found: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.found[name])

    def ratio(self, name: str, against: str) -> float:
        """The median over the rounds of one by the other: what slows a round slows both of its halves."""
        pairs = zip(self.found[name], self.found[against], strict=True)
        return statistics.median(one / other for one, other in pairs)

    def spread(self, name: str) -> str:
        return f"{min(self.found[name]):,.0f} to {max(self.found[name]):,.0f}"


def in_turns(rounds: int, works: Sequence[tuple[str, Callable[[], float]]]) -> Rounds:
    """Each work returns its own figure; all take turns, so that noise falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name, _ in works}
    for number in range(rounds):
        first = number % len(works)
        for name, work in (*works[first:], *works[:first]):
            found[name].append(work())
    return Rounds(found)


def missed(benches: Iterable[Bench]) -> list[str]:
    """Names of the figures that are not what is asked."""
    return [
        f"{bench.name}: {figure.name}" for bench in benches for figure in bench.figures if figure.met is False
    ]


def show(benches: Sequence[Bench], *, as_json: bool) -> None:
    """A table, or one JSON object a figure, to stdout."""
    if as_json:
        for bench in benches:
            for figure in bench.figures:
                sys.stdout.write(json.dumps(_plain(bench, figure), ensure_ascii=False) + "\n")
        return
    table = Table("bench", "what", "figure", "ratio", "asked", "", title="kakou bench")
    for bench in benches:
        for index, figure in enumerate(bench.figures):
            mark = {True: "[green]✔[/]", False: "[red]✘[/]", None: ""}[figure.met]
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} × {figure.against}"
            value = f"{figure.value:,.1f} {figure.unit}"
            table.add_row(bench.name if index == 0 else "", figure.name, value, ratio, figure.asked, mark)
        table.add_section()
    console = Console()
    console.print(table)
    for bench in benches:
        console.print(f"[dim]{bench.name}: {bench.setting}[/]", highlight=False)
        for figure in bench.figures:
            if figure.note:
                console.print(f"[dim]  {figure.name}: {figure.note}[/]", highlight=False)


def _plain(bench: Bench, figure: Figure) -> dict[str, object]:
    return {
        "bench": bench.name,
        "setting": bench.setting,
        "name": figure.name,
        "value": round(figure.value, 3),
        "unit": figure.unit,
        "ratio": None if figure.ratio is None else round(figure.ratio, 3),
        "against": figure.against,
        "at_least": figure.at_least,
        "at_most": figure.at_most,
        "met": figure.met,
        "note": figure.note,
    }
