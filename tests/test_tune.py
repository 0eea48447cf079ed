"""`--tune`: of the plans that were measured the best is taken, and the table shows them all."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import pytest

from onnx_autochunk import pipeline, tune
from onnx_autochunk.errors import BudgetError
from onnx_autochunk.goal import Goal
from onnx_autochunk.options import Budget, Options
from onnx_autochunk.plan.front import Point
from onnx_autochunk.plan.plan import Burden
from onnx_autochunk.report.record import MeasuredPlan, Status
from onnx_autochunk.tune import MOST, spread, within_reach
from tests.scripted import Bench

HALF = Options(budget=Budget(share=0.5), tune=True)


def _taken(measured: Sequence[MeasuredPlan]) -> MeasuredPlan:
    (taken,) = (plan for plan in measured if plan.taken)
    return taken


def test_the_fastest_of_those_that_fit_is_taken(bench: Bench, model: onnx.ModelProto) -> None:
    """Here the third is the fastest, against what was predicted."""
    bench.ratio = lambda attempt, _: {3: 0.8}.get(attempt, 1.1)
    result = pipeline.run(model, HALF)
    report = result.report
    assert (report.status, report.slowdown_measured, report.budget_met) == (Status.CHUNKED, 0.8, True)
    assert 3 <= len(report.measured) == len(bench.attempts) == bench.verified <= MOST + 1
    taken = _taken(report.measured)
    assert taken == report.measured[2] and taken.slowdown_measured == 0.8
    assert report.chunked.measured_peak_bytes == taken.measured_peak_bytes == bench.attempts[2]
    assert len({plan.measured_peak_bytes for plan in report.measured}) > 1
    assert result.plan is not None and len(result.plan.loops) == taken.regions


def test_what_misses_the_budget_is_not_taken_however_fast(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = lambda attempt, predicted: 10 * predicted if attempt in (2, 3) else predicted
    bench.ratio = lambda attempt, _: {2: 0.5, 3: 0.6, 4: 0.9}.get(attempt, 1.2)
    report = pipeline.run(model, HALF).report
    assert (report.budget_met, report.slowdown_measured) == (True, 0.9)


def test_differences_that_are_noise_go_to_the_smaller(bench: Bench, model: onnx.ModelProto) -> None:
    bench.ratio = lambda attempt, _: 1.0 + 0.001 * attempt
    report = pipeline.run(model, HALF).report
    assert report.chunked.measured_peak_bytes == min(bench.attempts)


def test_within_a_time_ratio_the_smallest_is_taken(bench: Bench, model: onnx.ModelProto) -> None:
    without = pipeline.run(model, Options(max_slowdown=3.0)).report
    bench.attempts.clear()
    report = pipeline.run(model, Options(max_slowdown=3.0, tune=True)).report
    assert report.chunked.measured_peak_bytes == min(bench.attempts)
    assert without.chunked.measured_peak_bytes and report.chunked.measured_peak_bytes
    assert report.chunked.measured_peak_bytes <= without.chunked.measured_peak_bytes
    bench.attempts.clear()
    bench.ratio = lambda attempt, _: 2.9 if attempt == 2 else 3.1
    report = pipeline.run(model, Options(max_slowdown=3.0, tune=True)).report
    assert report.chunked.measured_peak_bytes == bench.attempts[1]


def test_no_more_is_measured_when_the_time_is_up(
    bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "LONGEST_S", -1.0)
    assert len(pipeline.run(model, HALF).report.measured) == len(bench.attempts) == 1


def test_nothing_is_measured_for_a_model_that_fits(bench: Bench, model: onnx.ModelProto) -> None:
    report = pipeline.run(model, Options(budget=Budget(share=2.0), tune=True)).report
    assert (report.status, report.measured, bench.attempts) == (Status.UNCHANGED, (), [])


def test_what_was_measured_is_listed_when_the_budget_is_missed(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = lambda attempt, predicted: 1000 * predicted if attempt else predicted
    with pytest.raises(BudgetError):
        pipeline.run(model, HALF)


ALLOWED = Burden(5.0, 64)


def _points(*numbers: tuple[int, float]) -> list[Point]:
    return [Point(peak + 5, peak, slowdown, 1) for peak, slowdown in numbers]


POINTS = _points((900, 0.9), (90, 1.0), (80, 1.2), (70, 1.24), (60, 1.3), (50, 1.6))


def test_only_plans_that_may_be_the_best_are_tried() -> None:
    budget = within_reach(Goal.budget(93, 1000, ALLOWED), POINTS)
    assert [(point.peak_bytes, point.budget_bytes) for point in budget] == [(90, 93), (80, 85), (70, 75)]
    ratio = within_reach(Goal.ratio(1.05, 1000, ALLOWED), POINTS)
    assert [point.peak_bytes for point in ratio] == [900, 90, 80, 70, 60]
    assert within_reach(Goal.budget(10, 1000, ALLOWED), POINTS) == []


@pytest.mark.parametrize(
    ("count", "kept"), [(0, []), (1, [0]), (3, [0, 1, 2]), (5, [0, 2, 4]), (11, [0, 5, 10])]
)
def test_points_are_spread_over_the_front(count: int, kept: list[int]) -> None:
    points = _points(*((at, 1.0) for at in range(count)))
    assert [point.peak_bytes for point in spread(points, 3)] == kept
