"""What follows what: plans, measurements that miss, plans again. Only the measurements are scripted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk import attempts, pipeline
from onnx_autochunk import trial as trial_module
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.errors import BudgetError, UsageError, VerificationError
from onnx_autochunk.goal import SAFETY, SLACK, WORTHWHILE, Goal
from onnx_autochunk.graph.load import Loaded, load
from onnx_autochunk.memory.lifetime import Timeline
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.plan.plan import Burden, Frames, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.report.progress import Advance, Silent
from onnx_autochunk.report.record import Status
from onnx_autochunk.result import Result
from onnx_autochunk.trial import Trial, Trials
from onnx_autochunk.verify.compare import Comparison
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement
from tests.plan.graphs import transformer
from tests.scripted import PRICES, Bench, never, predicted


@pytest.fixture(scope="module")
def loaded(model: onnx.ModelProto) -> Loaded:
    return load(model)


@pytest.fixture(scope="module")
def planner(loaded: Loaded) -> Planner:
    return _planner(loaded, Options())


@pytest.fixture
def trials(planner: Planner, loaded: Loaded) -> Trials:
    return Trials(planner, loaded)


def _planner(loaded: Loaded, options: Options) -> Planner:
    forms = (Form.SCAN, Form.SWEEP, Form.UNROLL)
    return make_planner(loaded.graph, options, PRICES, forms)


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


def test_the_file_itself_is_measured_unless_sizes_are_given(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "in.onnx"
    onnx.save(SMALL, path)
    pipeline.run(path, Options())
    pipeline.run(SMALL, Options())
    open_ended = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    onnx.save(open_ended, path)
    pipeline.run(path, Options(dims={"N": 4}))
    assert bench.files == [path, None, None]


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


def test_of_all_ways_of_framing_the_one_that_holds_least_is_kept(planner: Planner, loaded: Loaded) -> None:
    plan = planner.within(planner.timeline.peak_bytes // 3)
    assert plan is not None
    found = Trials(planner, loaded).carry_out(plan)
    peaks = [predicted(carried) for carried in _all_frames(plan, loaded)]
    assert found.predicted_peak_bytes == min(peaks) == predicted(found.model)


def _all_frames(plan: Plan, loaded: Loaded) -> list[ir.Model]:
    from onnx_autochunk.emit.weave import weave  # noqa: PLC0415

    return [weave(loaded, replace(plan, frames=frames)) for frames in Frames]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8, 1.0])
def test_the_fastest_plan_keeps_the_budget_as_emitted(share: float, trials: Trials) -> None:
    budget = int(share * trials.planner.timeline.peak_bytes)
    found = trials.fastest_within(budget)
    assert found is not None and found.predicted_peak_bytes <= budget
    assert predicted(found.model) == found.predicted_peak_bytes


def test_no_plan_is_within_nothing(trials: Trials) -> None:
    assert trials.fastest_within(1000) is None


def test_where_no_plan_is_fast_enough_the_fastest_worth_it_is_tried(trials: Trials) -> None:
    found, mildest = trials.smallest_within(0.01), trials.planner.mildest()
    assert found is not None and mildest is not None
    assert found.plan.predicted_slowdown == mildest.predicted_slowdown


def test_of_plans_that_hold_the_same_the_faster_one_is_taken(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    least, held = trials.planner.least(2.0), trials.planner.timeline
    monkeypatch.setattr(Trials, "_on_paper", lambda *_: held)
    found = trials.smallest_within(2.0)
    assert least is not None and found is not None
    assert found.plan.predicted_slowdown < least.predicted_slowdown


def test_a_plan_is_run_on_paper_once(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    once = trials.smallest_within(1.7)
    assert once is not None and once.plan.regions
    monkeypatch.setattr(trial_module, "simulate", never)
    again = trials.smallest_within(1.7)
    assert again is not None and (again.plan, again.timeline) == (once.plan, once.timeline)
    assert trials.carry_out(once.plan).timeline is once.timeline


def test_more_timenever_costs_memory(trials: Trials) -> None:
    found = [trials.smallest_within(slowdown) for slowdown in (1.0, 1.1, 1.5, 4.0)]
    peaks = [trial.predicted_peak_bytes for trial in found if trial is not None]
    assert len(peaks) >= 3
    assert peaks[-1] <= peaks[0] and peaks[-1] < trials.planner.timeline.peak_bytes // 2


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
    return Trial(plan, model, timeline, peak=measured, time=timed, baseline=baseline)


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
