"""The Pareto front: what less memory costs in time, by the prices that selection goes by; nothing is emitted.

budget 512 MiB -> peak 498 MiB at 0.97 of the time;  budget 496 MiB -> peak 431 MiB at 1.02;  ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .planner import Planner
from .select import peak_of

MOST = 24  # points from the unchunked peak down to the floor


@dataclass(frozen=True, slots=True)
class Point:
    """The fastest plan for one budget, in numbers; `Planner.within` makes it.

    Attributes:
        budget_bytes: the budget it was asked for.
        peak_bytes: what it should hold: at most the budget.
        slowdown: its time over the original's.
        loops: how many regions become loops; none where the model fits as it is.
    """

    budget_bytes: int
    peak_bytes: int
    slowdown: float
    loops: int


def front(planner: Planner) -> tuple[Point, ...]:
    """Plans of which none is beaten in both peak and time, the fastest first."""
    kept: list[Point] = []
    for point in sorted(_points(planner), key=lambda point: (point.slowdown, point.peak_bytes)):
        if not kept or point.peak_bytes < kept[-1].peak_bytes:
            kept.append(point)
    return tuple(kept)


def _points(planner: Planner) -> Iterator[Point]:
    """The fastest plan for each budget from the peak to the floor, in steps that matter."""
    budget_bytes, floor_bytes = planner.timeline.peak_bytes, planner.floor_bytes
    step = (floor_bytes / max(budget_bytes, 1)) ** (1 / MOST)
    while (selection := planner.selected(budget_bytes)) is not None:
        peak_bytes = peak_of(planner.live_bytes, selection)
        loops = sum(1 + len(choice.option.feeds) for choice in selection.choices)
        yield Point(budget_bytes, peak_bytes, planner.slowdown_of(selection), loops)
        if peak_bytes <= floor_bytes:
            return
        budget_bytes = max(floor_bytes, min(peak_bytes - 1, int(budget_bytes * step)))
