"""The Pareto front: what less memory costs in time, by the prices that selection goes by; nothing is emitted.

budget 512 MiB -> peak 498 MiB at 0.97 of the time;  budget 496 MiB -> peak 431 MiB at 1.02;  ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .plan import Plan
from .planner import Planner

MOST = 24  # points from the unchunked peak down to the floor


@dataclass(frozen=True)
class Point:
    """The fastest plan for one budget.

    Attributes:
        budget_bytes: the budget it was asked for.
        peak_bytes: what it should hold: at most the budget.
        plan: the plan; without regions where the model fits as it is.
    """

    budget_bytes: int
    peak_bytes: int
    plan: Plan


def front(planner: Planner) -> tuple[Point, ...]:
    """Plans of which none is beaten in both peak and time, the fastest first."""
    kept: list[Point] = []
    for point in sorted(
        _points(planner), key=lambda point: (point.plan.predicted_slowdown, point.peak_bytes)
    ):
        if not kept or point.peak_bytes < kept[-1].peak_bytes:
            kept.append(point)
    return tuple(kept)


def peak_of(planner: Planner, plan: Plan) -> int:
    """The highest of a plan's regions and of the steps that none of them covers."""
    live, after, peak = planner.timeline.live_bytes, 0, 0
    for planned in plan.regions:
        peak = max(peak, planned.peak_after_bytes, *live[after : planned.region.start])
        after = planned.region.end + 1
    return max(peak, *live[after:], 0)


def _points(planner: Planner) -> Iterator[Point]:
    """The fastest plan for each budget from the peak to the floor, in steps that matter."""
    budget_bytes, floor_bytes = planner.timeline.peak_bytes, planner.floor_bytes
    step = (floor_bytes / max(budget_bytes, 1)) ** (1 / MOST)
    while (plan := planner.within(budget_bytes)) is not None:
        peak_bytes = peak_of(planner, plan)
        yield Point(budget_bytes, peak_bytes, plan)
        if peak_bytes <= floor_bytes:
            return
        budget_bytes = max(floor_bytes, min(peak_bytes - 1, int(budget_bytes * step)))
