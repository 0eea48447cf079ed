"""What a goal makes of a measured trial: kept or not, better or not, and what to aim at next."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import pytest

from onnx_autochunk.goal import SAFETY, SLACK, Goal
from onnx_autochunk.memory.lifetime import Timeline
from onnx_autochunk.plan.plan import Burden, Plan
from onnx_autochunk.trial import Draft, Trial, Trials
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement


def _trial(
    peak: int,
    ratio: float,
    *,
    predicted: int = 100,
    slowdown: float = 1.0,
    more: tuple[float, int] = (0.0, 0),
) -> Trial:
    """Something measured; `more` are seconds to load and bytes resident on top of the original's."""
    plan = Plan((), 0, slowdown, 4.0, resident_bytes=40)
    timeline = Timeline((), (), predicted, 0, ())
    baseline, measured = PeakMeasurement(900, 500, 1.0), PeakMeasurement(peak, 500 + more[1], 1.0 + more[0])
    timed = TimeMeasurement(ratio, 1.0, ratio, ((1.0, ratio),))
    model = ir.Model(ir.Graph([], [], nodes=[]), ir_version=10)
    return Trial(Draft(plan, timeline), model, peak=measured, time=timed, baseline=baseline)


ALLOWED = Burden(5.0, 64)
BUDGET, RATIO = Goal.budget(100, 1000, ALLOWED), Goal.ratio(1.05, 1000, ALLOWED)


@pytest.mark.parametrize(
    ("goal", "trial", "met", "reached"),
    [
        (BUDGET, _trial(100, 9.0), True, True),
        (BUDGET, _trial(101, 0.5), False, False),
        (BUDGET, _trial(20, 1.0), True, True),
        (RATIO, _trial(900, 1.05), True, True),
        (RATIO, _trial(900, 1.06), False, False),
        (RATIO, _trial(900, 1.05 - 2 * SLACK), True, False),
        (RATIO, _trial(950, 1.05), True, True),
        (RATIO, _trial(951, 1.05), False, False),  # not worth having
        (RATIO, _trial(900, 1.05, more=(5.0, 64)), True, True),
        (RATIO, _trial(900, 1.05, more=(5.1, 0)), False, False),
        (BUDGET, _trial(100, 1.0, more=(0.0, 65)), False, False),
    ],
)
def test_goals_go_by_what_is_measured(goal: Goal, trial: Trial, met: bool, reached: bool) -> None:
    assert (goal.met(trial), goal.reached(trial)) == (met, reached)


@pytest.mark.parametrize(
    ("goal", "best", "trial", "better"),
    [
        (BUDGET, _trial(90, 1.0, more=(0.0, 80)), _trial(95, 1.0), True),
        (RATIO, _trial(90, 1.0, more=(9.0, 0)), _trial(95, 1.04), True),
        (BUDGET, None, _trial(900, 1.0), True),
        (BUDGET, _trial(120, 1.0), _trial(110, 9.0), True),
        (BUDGET, _trial(90, 1.0), _trial(110, 0.1), False),
        (BUDGET, _trial(90, 1.2), _trial(95, 1.0), True),
        (BUDGET, _trial(90, 1.0), _trial(95, 0.999), False),
        (RATIO, _trial(90, 1.3), _trial(95, 1.2), True),
        (RATIO, _trial(90, 1.0), _trial(80, 1.04), True),
        (RATIO, _trial(90, 1.0), _trial(80, 1.06), False),
        (RATIO, _trial(990, 1.0), _trial(800, 1.04), True),
    ],
)
def test_the_better_trial_keeps_the_limit_or_comes_closer(
    goal: Goal, best: Trial | None, trial: Trial, better: bool
) -> None:
    assert goal.better(best, trial) is (trial if better else best)


@pytest.mark.parametrize(
    ("goal", "trial", "aim"),
    [
        (BUDGET, _trial(200, 1.0), 50 * SAFETY),
        (BUDGET, _trial(101, 1.0, predicted=80), 79),  # no plan of 80 again
        (RATIO, _trial(9, 1.15, slowdown=1.05), 0.95 - (1 - SAFETY)),
        (RATIO, _trial(9, 1.15, slowdown=0.8), 0.7 - (1 - SAFETY)),
        (RATIO, _trial(9, 0.9, slowdown=0.8), 1.2),  # there is time left: take it
        (replace(RATIO, kept=(0.8, 0.94)), _trial(9, 1.14, slowdown=0.9), 0.85),  # half way
        (replace(RATIO, missed=(0.9, 1.14)), _trial(9, 0.94, slowdown=0.8), 0.85),
        (replace(RATIO, missed=(1.0, 1.2)), _trial(9, 1.1, slowdown=0.9), 0.0),  # the fastest plan
        (RATIO, _trial(9, 0.9, more=(0.0, 80)), 1.05),  # first of all the other limits
    ],
)
def test_the_aim_moves_by_what_was_missed(goal: Goal, trial: Trial, aim: float) -> None:
    moved = goal.moved(trial)
    assert moved.aim == pytest.approx(aim)
    assert (moved.budget_bytes, moved.slowdown) == (goal.budget_bytes, goal.slowdown)


@pytest.mark.parametrize(
    ("trial", "limit"),
    [
        (_trial(90, 1.0), ALLOWED),
        (_trial(90, 1.0, more=(8.0, 0)), Burden(4.0 * SAFETY * 5 / 8, 64)),
        (_trial(90, 1.0, more=(0.0, 128)), Burden(5.0, 40 * SAFETY / 2)),
        (_trial(90, 1.0, more=(10.0, 80)), Burden(2.0 * SAFETY, 32 * SAFETY)),
    ],
)
def test_limits_on_loading_are_tightened_by_what_was_missed(trial: Trial, limit: Burden) -> None:
    moved = BUDGET.moved(trial)
    assert moved.limit.load_s == pytest.approx(limit.load_s)
    assert moved.limit.resident_bytes == pytest.approx(limit.resident_bytes)
    assert moved.allowed == ALLOWED


def test_only_faster_plans_follow_one_that_was_too_slow(trials: Trials) -> None:
    missed = trials.planner.mildest()
    assert missed is not None
    ratio = Goal.ratio(1.05, trials.planner.timeline.peak_bytes, trials.planner.limit)
    goal = replace(ratio, missed=(missed.predicted_slowdown, 2.0))
    assert goal.plan(trials) is None
    faster = replace(ratio, missed=(missed.predicted_slowdown + 0.01, 2.0)).plan(trials)
    assert faster is not None and faster.plan.predicted_slowdown == missed.predicted_slowdown
