"""The same plan again: the same bytes, no search, and what was measured. Only measurements are scripted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from onnx_autochunk import pipeline
from onnx_autochunk.errors import BudgetError, UsageError
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report.record import Status
from onnx_autochunk.result import Result
from tests.plan.graphs import transformer
from tests.scripted import HALF, SMALL, Bench, never, predicted


def _saved(result: Result, path: Path) -> bytes:
    result.save(path)
    return path.read_bytes()


RUNS = [HALF, replace(HALF, no_verify=True), Options(max_slowdown=3.0), replace(HALF, form=Form.UNROLL)]


@pytest.mark.parametrize("options", RUNS)
def test_two_runs_and_a_replay_write_the_same_bytes(
    options: Options, bench: Bench, model: onnx.ModelProto, tmp_path: Path
) -> None:
    bench.ratio = lambda attempt, _: 3.2 if attempt == 1 and options.budget is None else 1.0
    first = pipeline.run(model, options)
    first.save_plan(tmp_path / "plan.json")
    bench.attempts.clear()
    second = pipeline.run(model, options)
    third = pipeline.run(model, Options(plan=tmp_path / "plan.json", no_verify=options.no_verify))
    written = {_saved(result, tmp_path / "out.onnx") for result in (first, second, third)}
    assert len(written) == 1
    assert first.plan == second.plan == third.plan
    assert first.report.plan == second.report.plan
    assert third.report.regions == first.report.regions
    assert (third.report.front, third.report.floor_bytes) == ((), None)


def test_a_plan_carries_what_was_measured(bench: Bench, model: onnx.ModelProto) -> None:
    bench.ratio = lambda *_: 1.25
    first = pipeline.run(model, HALF).report
    assert first.plan is not None
    assert first.plan["measured"] == {
        "original_peak_bytes": first.baseline.measured_peak_bytes,
        "peak_bytes": first.chunked.measured_peak_bytes,
        "resident_bytes": 0,
        "load_s": 0.0,
        "slowdown": 1.25,
    }
    bench.ratio = lambda *_: 1.5
    kept = pipeline.run(model, Options(plan=first.plan, plan_only=True)).report
    assert kept.status is Status.PLANNED and kept.plan == first.plan
    again = pipeline.run(model, Options(plan=first.plan)).report
    assert (again.status, again.slowdown_measured) == (Status.CHUNKED, 1.5)
    assert again.plan == {**first.plan, "measured": {**first.plan["measured"], "slowdown": 1.5}}


def test_a_replay_searches_nothing_and_keeps_a_budget_or_says_so(
    bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pipeline.run(model, HALF).report
    bench.peak = lambda attempt, predicted: predicted * (1.5 if attempt else 1)
    monkeypatch.setattr("onnx_autochunk.plan.planner.candidates", never)
    bench.attempts.clear()
    with pytest.raises(BudgetError, match=r"is missed: the plan takes .* Leave out --plan"):
        pipeline.run(model, replace(HALF, plan=first.plan))
    assert len(bench.attempts) == 1
    forced = pipeline.run(model, replace(HALF, plan=first.plan, best_effort=True)).report
    assert (forced.status, forced.budget_met) == (Status.MISSED, False)
    met = pipeline.run(model, Options(plan=first.plan, budget=Budget(share=0.9))).report
    assert (met.status, met.budget_met) == (Status.CHUNKED, True)


def test_a_replay_that_gains_nothing_changes_nothing(bench: Bench, model: onnx.ModelProto) -> None:
    first = pipeline.run(model, HALF).report
    on_paper = predicted(load(model).model)
    bench.peak = lambda *_: on_paper
    report = pipeline.run(model, Options(plan=first.plan)).report
    assert (report.status, report.plan) == (Status.UNCHANGED, None)


def test_a_plan_for_another_model_is_refused(bench: Bench, model: onnx.ModelProto) -> None:
    plan = pipeline.run(model, HALF).report.plan
    assert bench.verified == 1
    with pytest.raises(UsageError, match="the plan is for another model"):
        pipeline.run(transformer(1), Options(plan=plan))
    assert bench.verified == 1


def test_without_a_plan_there_is_none_to_save(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing was chunked"):
        pipeline.run(SMALL, Options()).save_plan(tmp_path / "plan.json")
    assert bench.attempts == [] and list(tmp_path.iterdir()) == []
