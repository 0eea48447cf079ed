"""`--tune`: measure plans of the Pareto front and keep the best, because predicted times are estimates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from .attempts import Attempts
from .goal import Goal
from .plan.front import Point

MOST = 5  # plans that are measured
LONGEST_S = 300.0  # after which no more are
SLOWER = 0.25  # of the original's time: predictions are not off by more


def tune(attempts: Attempts, points: Sequence[Point]) -> None:
    """Measure plans spread over the part of the front that may keep the goal, and keep the best of all."""
    goal, start = attempts.goal, time.perf_counter()
    if goal.fits_already:
        return
    for point in spread(within_reach(goal, points), MOST):
        if time.perf_counter() - start > LONGEST_S:
            break
        with attempts.stages.stage("select"):
            trial = attempts.trials.fastest_within(point.budget_bytes)
        if trial is not None and trial.plan.regions and not attempts.has_tried(trial.plan):
            attempts.take(trial)


def within_reach(goal: Goal, points: Sequence[Point]) -> list[Point]:
    """The plans that may turn out to keep the goal, and to be the best that does; the fastest first."""
    chunked = [point for point in points if point.loops]
    if goal.budget_bytes is not None:
        fitting = [point for point in chunked if point.peak_bytes <= goal.budget_bytes]
        limit = min((point.slowdown for point in fitting), default=0.0)
        fitting = [
            replace(point, budget_bytes=min(point.budget_bytes, goal.budget_bytes)) for point in fitting
        ]
    else:
        assert goal.slowdown is not None
        fitting, limit = chunked, goal.slowdown
    return [point for point in fitting if point.slowdown <= limit + SLOWER]


def spread(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of the points, at even distances, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]
