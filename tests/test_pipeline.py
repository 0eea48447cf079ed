"""What follows what: plans, measurements that miss, plans again. Only the measurements are scripted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_autochunk import attempts, pipeline
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.errors import BudgetError, UsageError, VerificationError
from onnx_autochunk.goal import WORTHWHILE
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.report import text as report_text
from onnx_autochunk.report.progress import Advance, Silent
from onnx_autochunk.report.record import Status
from onnx_autochunk.result import Result
from onnx_autochunk.trial import Trial, Trials
from onnx_autochunk.verify.compare import Comparison
from tests.plan.graphs import transformer
from tests.scripted import Bench, never, predicted

HALF = Options(budget=Budget(share=0.5))


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


def test_a_model_that_fits_on_paper_only_is_chunked(bench: Bench, model: onnx.ModelProto) -> None:
    on_paper = predicted(load(model).model)
    bench.peak = lambda attempt, predicted: predicted if attempt else 1.2 * predicted
    budget = Options(budget=Budget(absolute_bytes=int(1.1 * on_paper)))
    assert pipeline.run(model, budget).report.status is Status.CHUNKED
    fits = Options(budget=Budget(absolute_bytes=int(1.3 * on_paper)))
    report = pipeline.run(model, fits).report
    assert (report.status, report.message) == (Status.UNCHANGED, "The model fits the budget as it is.")
    assert len(bench.attempts) == 1  # of the first run


def test_a_budget_that_isnever_met_says_what_was_measured(bench: Bench, model: onnx.ModelProto) -> None:
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
    ratios: tuple[float, ...], bench: Bench, model: onnx.ModelProto
) -> None:
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
    assert mildest is not None and bench.attempts[-1] == mildest.predicted_peak_bytes
    assert 1 < len(bench.attempts) <= attempts.ATTEMPTS
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


SMALL = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["": 21]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
)


@pytest.mark.parametrize("options", [Options(), Options(max_slowdown=5.0), Options(plan_only=True)])
def test_nothing_is_changed_where_nothing_is_gained(bench: Bench, options: Options) -> None:
    report = pipeline.run(SMALL, options).report
    assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
    assert bench.attempts == []


@pytest.mark.parametrize("share", [WORTHWHILE + 0.01, 1.0, 1.2])
def test_nothing_is_changed_for_a_gain_that_is_none(
    share: float, bench: Bench, model: onnx.ModelProto
) -> None:
    """Whatever a plan promises: what is measured decides."""
    on_paper = predicted(load(model).model)
    bench.peak = lambda attempt, _: share * on_paper if attempt else on_paper
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert result.report.status is Status.UNCHANGED and result.plan is None
    assert result.report.message.startswith("The best plan still takes ")
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()
    assert 1 <= len(bench.attempts) <= attempts.ATTEMPTS
    if share >= 1:  # nothing is written in its place either
        forced = pipeline.run(model, Options(budget=Budget(share=0.5), best_effort=True))
        assert (forced.report.status, forced.plan) == (Status.MISSED, None)
        assert METADATA not in forced.model.metadata_props


def test_a_plan_that_promises_no_gain_is_not_measured(
    bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_paper = predicted(load(model).model)
    monkeypatch.setattr(Trial, "predicted_peak_bytes", property(lambda _: on_paper))
    for options in (Options(max_slowdown=3.0), Options(max_slowdown=3.0, no_verify=True)):
        report = pipeline.run(model, options).report
        assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
    assert bench.attempts == []


def test_a_model_that_fits_is_left_alone_whatever_ispredicted(bench: Bench, model: onnx.ModelProto) -> None:
    on_paper = predicted(load(model).model)
    bench.peak = lambda *_: 0.5 * on_paper
    report = pipeline.run(model, Options(budget=Budget(absolute_bytes=on_paper // 2))).report
    assert (report.status, report.message) == (Status.UNCHANGED, "The model fits the budget as it is.")
    assert bench.attempts == []


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


def test_a_chunked_model_is_left_as_it_is(bench: Bench, model: onnx.ModelProto, tmp_path: Path) -> None:
    pipeline.run(model, HALF).save(tmp_path / "once.onnx")
    again = pipeline.run(tmp_path / "once.onnx", Options(budget=Budget(share=0.1)))
    assert again.report.status is Status.UNCHANGED
    assert again.report.message == "onnx_autochunk has chunked this model before."
    again.save(tmp_path / "twice.onnx")
    assert (tmp_path / "twice.onnx").read_bytes() == (tmp_path / "once.onnx").read_bytes()
    assert len(bench.attempts) == 1


def test_the_file_itself_is_measured_unless_sizes_are_fixed(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    onnx.save(SMALL, path)
    pipeline.run(path, Options())
    pipeline.run(SMALL, Options())
    open_ended = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    onnx.save(open_ended, path)
    pipeline.run(path, Options(dims={"N": 4}))
    pipeline.run(path, Options(dims={"N": 4}, fix_dims=True))
    assert bench.files == [path, None, path, None]


OPEN = """<ir_version: 10, opset_import: ["": 21]>
    g (float[batch, N] x) => (float[batch, N] y) { y = Relu(x) }"""


def test_sizes_that_nothing_gives_are_chosen_and_stated(bench: Bench) -> None:
    made = pipeline.run(onnx.parser.parse_model(OPEN), Options(dims={"N": 4}))
    report = made.report
    assert (report.dims, report.chosen, report.is_open) == ({"batch": 1, "N": 4}, ("batch",), True)
    assert "Planned for batch=1, N=4 (batch chosen here: --dim gives others); other sizes are taken too." in (
        report_text.to_text(report)
    )
    assert [str(dim) for dim in made.model.graph.inputs[0].shape or ()] == ["batch", "N"]
    assert bench.files == [None]


def test_sizes_come_from_the_users_own_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.zeros((3, 5), np.float32))
    options = Options(input_data=tmp_path / "in.npz", plan_only=True)
    report = pipeline.run(onnx.parser.parse_model(OPEN), options).report
    assert (report.dims, report.chosen) == ({"batch": 3, "N": 5}, ())


def test_a_model_that_takes_no_other_sizes_is_planned_for_these(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "onnx_autochunk")
    text = """<ir_version: 10, opset_import: ["": 21]>
        g (float[N] x) => (float[2, 2] y) <int64[2] square = {2, 2}> { y = Reshape(x, square) }"""
    made = pipeline.run(onnx.parser.parse_model(text), Options(dims={"N": 4}))
    assert not made.report.is_open
    assert "takes no others" in caplog.text
    assert bench.files == [None]


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
