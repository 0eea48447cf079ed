"""What follows what: plans, measurements that miss, plans again. Only the measurements are scripted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import onnx
import pytest

from onnx_autochunk import attempts, pipeline, trial
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.errors import BudgetError, VerificationError
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report.progress import Advance, Silent
from onnx_autochunk.report.record import Status
from onnx_autochunk.trial import Trials
from onnx_autochunk.verify.compare import Comparison
from tests.scripted import HALF, Bench, never, predicted


def test_a_plan_that_measures_as_predicted_is_the_first_and_last(
    bench: Bench, model: onnx.ModelProto
) -> None:
    result = pipeline.run(model, HALF)
    report = result.report
    assert (report.status, report.budget_met) == (Status.CHUNKED, True)
    assert len(bench.attempts) == bench.verified == 1
    assert report.chunked.measured_peak_bytes == bench.attempts[0]
    assert result.plan is not None and METADATA in result.model.metadata_props
    assert len(report.front) >= 3 and report.front[-1].predicted_peak_bytes < bench.attempts[0]
    stages = {"load", "analyze", "search", "measure", "predict", "select", "emit", "verify"}
    assert stages == report.timings_s.keys()


@pytest.mark.parametrize("factor", [1.05, 1.2, 1.5])
def test_when_more_is_measured_than_predicted_planning_tightens(
    factor: float, bench: Bench, model: onnx.ModelProto
) -> None:
    bench.peak = lambda attempt, predicted: predicted * (factor if attempt else 1)
    report = pipeline.run(model, HALF).report
    assert (report.status, report.budget_met) == (Status.CHUNKED, True)
    assert report.budget_bytes is not None and report.chunked.measured_peak_bytes is not None
    assert report.chunked.measured_peak_bytes <= report.budget_bytes


def test_a_miss_by_one_byte_gives_another_plan(bench: Bench, model: onnx.ModelProto) -> None:
    budget = pipeline.run(model, replace(HALF, plan_only=True)).report.budget_bytes
    assert budget is not None
    bench.peak = lambda attempt, predicted: budget + 1 if attempt == 1 else predicted
    report = pipeline.run(model, Options(budget=Budget(absolute_bytes=budget))).report
    assert report.status is Status.CHUNKED
    assert len(bench.attempts) == 2 and bench.attempts[1] < bench.attempts[0]


def test_a_budget_that_is_never_met_says_what_was_measured(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = lambda _, predicted: 100 * 2**20 + predicted
    options = Options(budget=Budget(absolute_bytes=2**20))
    with pytest.raises(
        BudgetError, match=r"cannot be met. The best plan measured takes 10\d.\d MiB. The floor is"
    ):
        pipeline.run(model, options)
    assert 1 <= len(bench.attempts) <= attempts.ATTEMPTS
    assert bench.attempts == sorted(bench.attempts, reverse=True)
    result = pipeline.run(model, replace(options, best_effort=True))
    assert (result.report.status, result.report.budget_met) == (Status.MISSED, False)
    assert result.report.chunked.measured_peak_bytes == 100 * 2**20 + min(bench.attempts)


def test_a_budget_below_the_floor_is_not_tried_unless_asked_for(bench: Bench, model: onnx.ModelProto) -> None:
    options = Options(budget=Budget(absolute_bytes=1000))
    with pytest.raises(BudgetError, match="The floor is about") as caught:
        pipeline.run(model, options)
    assert caught.value.exit_code == 3 and bench.attempts == []
    result = pipeline.run(model, replace(options, best_effort=True))
    report = result.report
    assert (report.status, report.budget_met) == (Status.MISSED, False)
    assert result.plan is not None and METADATA in result.model.metadata_props
    assert report.verify is not None and len(bench.attempts) == bench.verified == 1
    assert report.chunked.measured_peak_bytes == bench.attempts[0] and report.regions


def test_a_plan_that_is_slower_than_predicted_gives_way(bench: Bench, model: onnx.ModelProto) -> None:
    bench.ratio = lambda attempt, _: {1: 3.2}.get(attempt, 2.99)
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert (result.report.status, result.report.slowdown_measured) == (Status.CHUNKED, 2.99)
    assert len(bench.attempts) == 2 and bench.attempts[0] < bench.attempts[1]


@pytest.mark.parametrize("excess", [0.05, 0.3, 1.0, 5.0])
def test_a_miss_by_any_amount_leads_to_a_milder_plan(
    excess: float, bench: Bench, model: onnx.ModelProto
) -> None:
    """What is measured falls with the memory that a plan leaves, and only mild plans keep the limit."""
    mild = 0.4 * predicted(load(model).model)
    bench.ratio = lambda _, predicted: 3.0 + excess * (1 - predicted / mild)
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert result.report.status is Status.CHUNKED
    assert result.report.slowdown_measured is not None and result.report.slowdown_measured <= 3.0
    assert 2 <= len(bench.attempts) <= attempts.ATTEMPTS


@pytest.mark.parametrize(
    "ratios",
    [(7.0, 2.5, 2.99), (3.2, 3.1, 2.5, 2.99), (7.0, 2.5, 3.1, 2.99)],
)
def test_plans_between_those_that_missed_and_those_that_kept_are_tried(
    ratios: tuple[float, ...], bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "ABOUT", 1.0)  # no two plans are about as small: there is one between
    bench.ratio = lambda attempt, _: ratios[attempt - 1]
    report = pipeline.run(model, Options(max_slowdown=3.0)).report
    assert (report.status, report.slowdown_measured) == (Status.CHUNKED, 2.99)
    measured = dict(zip(ratios, bench.attempts, strict=True))
    assert measured[ratios[0]] < measured[2.99] < measured[2.5]


@pytest.mark.parametrize("ratio", [9.0, 3.001])
def test_nothing_is_changed_when_the_fastest_plan_is_too_slow(
    ratio: float, bench: Bench, model: onnx.ModelProto, trials: Trials
) -> None:
    bench.ratio = lambda *_: ratio
    result = pipeline.run(model, Options(max_slowdown=3.0))
    mildest = trials.smallest_within(0.0)
    assert mildest is not None and mildest.predicted_peak_bytes in bench.attempts
    assert 1 < len(bench.attempts) <= 2 * attempts.ATTEMPTS  # with a cache to count on, and without
    assert result.report.status is Status.UNCHANGED
    assert result.report.message.startswith("No plan stays within the time ratio: the closest takes ")
    assert result.report.message.endswith("would allow it.")
    assert result.plan is None and METADATA not in result.model.metadata_props
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()


def test_without_measurements_the_predicted_ratio_counts(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = bench.ratio = never
    report = pipeline.run(model, Options(max_slowdown=0.11, no_verify=True)).report
    assert report.status is Status.UNCHANGED
    assert report.message.startswith("No plan stays within the time ratio: the closest takes ")


MORE = {"resident": 65 * 2**20, "load": 5.1}


@pytest.mark.parametrize("which", MORE)
def test_a_result_that_takes_too_much_to_load_is_planned_again(
    which: str, bench: Bench, model: onnx.ModelProto
) -> None:
    setattr(bench, which, lambda attempt, _: MORE[which] if attempt == 1 else 0.0)
    result = pipeline.run(model, Options(max_slowdown=3.0, form=Form.UNROLL))
    assert result.report.status is Status.CHUNKED and len(bench.attempts) >= 2
    assert (result.report.chunked.resident_bytes, result.report.chunked.load_s) == (0, 0.0)


def test_nothing_is_delivered_that_takes_too_much_to_load(bench: Bench, model: onnx.ModelProto) -> None:
    bench.resident = lambda attempt, _: 65 * 2**20 if attempt else 0
    report = pipeline.run(model, Options(max_slowdown=3.0)).report
    assert report.status is Status.UNCHANGED
    assert report.message == (
        "No plan keeps all limits: once loaded the result holds 65.0 MiB more than the original (at most "
        "64.0 MiB), and takes 0.0 s more to load (at most 5 s)."
    )
    with pytest.raises(BudgetError, match=r"can be met, but once loaded the result holds 65.0 MiB more"):
        pipeline.run(model, HALF)


def test_different_outputs_end_the_run(bench: Bench, model: onnx.ModelProto) -> None:
    bench.comparison = Comparison(passed=False, reason="y")
    with pytest.raises(VerificationError):
        pipeline.run(model, HALF)


@pytest.mark.parametrize("options", [replace(HALF, plan_only=True), replace(HALF, no_verify=True)])
def test_a_run_without_measurements_touches_no_bench(
    options: Options, bench: Bench, model: onnx.ModelProto
) -> None:
    bench.peak = bench.ratio = never
    result = pipeline.run(model, options)
    assert result.report.status is (Status.PLANNED if options.plan_only else Status.CHUNKED)
    assert (result.report.budget_met, result.report.verify, bench.attempts) == (None, None, [])
    assert result.report.regions and METADATA in result.model.metadata_props


def test_every_stage_is_shown(bench: Bench, model: onnx.ModelProto) -> None:
    seen = []

    class Listener(Silent):
        @contextmanager
        def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
            seen.append(name)
            with super().stage(name, total) as advance:
                yield advance

    pipeline.run(model, HALF, Listener())
    assert bench.verified == 1
    before, after = ["measure", "predict"], ["predict", "emit", "verify", "measure"]
    assert seen == ["load", "analyze", "search", *before, "select", *after, "select"]
