"""Two sequences that tell of the same things, paired without crossing. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence


def align(
    left: Sequence[int], right: Sequence[int], pair: Callable[[int, int], int]
) -> list[tuple[int | None, int | None]]:
    """The cheapest way to pair two sequences without crossing: `left` and `right` are what leaving each alone
    costs. Explores only what is not dearer than the answer, so that equal sequences cost their length."""
    start, goal = (0, 0), (len(left), len(right))
    best: dict[tuple[int, int], int] = {start: 0}
    came: dict[tuple[int, int], tuple[int, int]] = {}
    queue = [(0, 0, start)]
    while queue:
        cost, _, at = heapq.heappop(queue)
        if at == goal:
            break
        if cost > best[at]:
            continue
        i, j = at
        ways: list[tuple[int, tuple[int, int]]] = []
        if i < len(left) and j < len(right):
            ways.append((pair(i, j), (i + 1, j + 1)))
        if i < len(left):
            ways.append((left[i], (i + 1, j)))
        if j < len(right):
            ways.append((right[j], (i, j + 1)))
        for step, to in ways:
            if cost + step < best.get(to, cost + step + 1):
                best[to] = cost + step
                came[to] = at
                heapq.heappush(queue, (cost + step, -(to[0] + to[1]), to))
    pairs: list[tuple[int | None, int | None]] = []
    at = goal
    while at != start:
        before = came[at]
        pairs.append((before[0] if before[0] < at[0] else None, before[1] if before[1] < at[1] else None))
        at = before
    return pairs[::-1]
