"""What follows what: plans, measurements that miss, plans again. Only the measurements are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk import pipeline
from onnx_autochunk import trial as trial_module
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.errors import BudgetError, VerificationError
from onnx_autochunk.goal import SAFETY, SLACK, WORTHWHILE, Goal
from onnx_autochunk.graph.load import Loaded, derive, load
from onnx_autochunk.memory.lifetime import Timeline, simulate
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.plan.plan import Burden, Frames, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.report.progress import Advance, Silent
from onnx_autochunk.report.record import Status
from onnx_autochunk.trial import Trial, Trials
from onnx_autochunk.verify.compare import Comparison
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement
from tests.plan.graphs import transformer

Measure = Callable[[int, int], float]  # (number of the attempt, predicted peak) -> what is measured


@dataclass
class Bench:
    """Measures what a script says; attempts count from 1, and the original is attempt 0."""

    peak: Measure = lambda _, predicted: predicted
    ratio: Measure = lambda *_: 1.0
    resident: Measure = lambda *_: 0.0  # bytes
    load: Measure = lambda *_: 0.0  # seconds
    comparison: Comparison = field(default_factory=Comparison)
    original: ir.Model | None = None
    files: list[Path | None] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)  # predicted peaks of what was measured
    verified: int = 0

    @contextmanager
    def open(self, original: Path | None, model: ir.Model, options: Options) -> Iterator[Bench]:
        assert options is not None
        self.files.append(original)
        self.original = model
        yield self

    @property
    def baseline(self) -> PeakMeasurement:
        assert self.original is not None
        return self._memory(0, _predicted(self.original))

    def write(self, model: ir.Model) -> Path:
        self.attempts.append(_predicted(model))
        return Path("chunked.onnx")

    def verify(self, path: Path) -> Comparison:
        assert path == Path("chunked.onnx")
        self.verified += 1
        if not self.comparison.passed:
            raise VerificationError("differs")
        return self.comparison

    def measure(self, path: Path) -> PeakMeasurement:
        assert path == Path("chunked.onnx")
        return self._memory(len(self.attempts), self.attempts[-1])

    def _memory(self, *at: int) -> PeakMeasurement:
        return PeakMeasurement(int(self.peak(*at)), int(self.resident(*at)), self.load(*at))

    def time(self, path: Path) -> TimeMeasurement:
        assert path == Path("chunked.onnx")
        ratio = self.ratio(len(self.attempts), self.attempts[-1])
        return TimeMeasurement(ratio, 1.0, ratio, ((1.0, ratio),))


def _predicted(model: ir.Model) -> int:
    return simulate(derive(model).graph, provider="cpu").peak_bytes


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return transformer(2)


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
    return make_planner(loaded.graph, options, CostModel.load("cpu"), forms)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    scripted = Bench()
    monkeypatch.setattr(pipeline, "open_bench", scripted.open)
    return scripted


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
    assert {"load", "analyze", "search", "measure", "select", "emit", "verify"} == report.timings_s.keys()


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
    on_paper = _predicted(load(model).model)
    bench.peak = lambda attempt, predicted: predicted if attempt else 1.2 * predicted
    budget = Options(budget=Budget(absolute_bytes=int(1.1 * on_paper)))
    assert pipeline.run(model, budget).report.status is Status.CHUNKED
    fits = Options(budget=Budget(absolute_bytes=int(1.3 * on_paper)))
    report = pipeline.run(model, fits).report
    assert (report.status, report.message) == (Status.UNCHANGED, "The model fits the budget as it is.")
    assert len(bench.attempts) == 1  # of the first run


def test_a_budget_that_is_never_met_says_what_was_measured(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = lambda _, predicted: 100 * 2**20 + predicted
    options = Options(budget=Budget(absolute_bytes=2**20))
    with pytest.raises(
        BudgetError, match=r"cannot be met. The best plan measured takes 10\d.\d MiB. The floor is"
    ):
        pipeline.run(model, options)
    assert 1 <= len(bench.attempts) <= pipeline.ATTEMPTS
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
    mild = 0.4 * _predicted(load(model).model)
    bench.ratio = lambda _, predicted: 3.0 + excess * (1 - predicted / mild)
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert result.report.status is Status.CHUNKED
    assert result.report.slowdown_measured is not None and result.report.slowdown_measured <= 3.0
    assert 2 <= len(bench.attempts) <= pipeline.ATTEMPTS


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
    slow = max(peak for ratio, peak in measured.items() if ratio > 3)
    assert slow < measured[2.99] < measured[2.5]


@pytest.mark.parametrize("ratio", [9.0, 3.001])
def test_nothing_is_changed_when_the_fastest_plan_is_too_slow(
    ratio: float, bench: Bench, model: onnx.ModelProto, trials: Trials
) -> None:
    bench.ratio = lambda *_: ratio
    result = pipeline.run(model, Options(max_slowdown=3.0))
    mildest = trials.smallest_within(0.0)
    assert mildest is not None and bench.attempts[-1] == mildest.predicted_peak_bytes
    assert 1 < len(bench.attempts) <= pipeline.ATTEMPTS
    assert result.report.status is Status.UNCHANGED
    assert result.report.message == "No plan stays within the time ratio."
    assert result.plan is None and METADATA not in result.model.metadata_props
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()


def test_without_measurements_the_predicted_ratio_counts(bench: Bench, model: onnx.ModelProto) -> None:
    bench.peak = bench.ratio = _never
    report = pipeline.run(model, Options(max_slowdown=0.11, no_verify=True)).report
    assert (report.status, report.message) == (Status.UNCHANGED, "No plan stays within the time ratio.")


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
    on_paper = _predicted(load(model).model)
    bench.peak = lambda attempt, _: share * on_paper if attempt else on_paper
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert result.report.status is Status.UNCHANGED and result.plan is None
    assert result.report.message.startswith("The best plan still takes ")
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()
    assert 1 <= len(bench.attempts) <= pipeline.ATTEMPTS
    if share >= 1:  # nothing is written in its place either
        forced = pipeline.run(model, Options(budget=Budget(share=0.5), best_effort=True))
        assert (forced.report.status, forced.plan) == (Status.MISSED, None)
        assert METADATA not in forced.model.metadata_props


def test_a_plan_that_promises_no_gain_is_not_measured(
    bench: Bench, model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_paper = _predicted(load(model).model)
    monkeypatch.setattr(Trial, "predicted_peak_bytes", property(lambda _: on_paper))
    for options in (Options(max_slowdown=3.0), Options(max_slowdown=3.0, no_verify=True)):
        report = pipeline.run(model, options).report
        assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
    assert bench.attempts == []


def test_a_model_that_fits_is_left_alone_whatever_is_predicted(bench: Bench, model: onnx.ModelProto) -> None:
    on_paper = _predicted(load(model).model)
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
    bench.peak = bench.ratio = _never
    result = pipeline.run(model, options)
    assert result.report.status is (Status.PLANNED if options.plan_only else Status.CHUNKED)
    assert (result.report.budget_met, result.report.verify, bench.attempts) == (None, None, [])
    assert result.report.regions and METADATA in result.model.metadata_props


def _never(*_: object) -> float:
    raise AssertionError("nothing is measured")


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
    assert seen == ["load", "analyze", "search", "measure", "select", "emit", "verify", "measure"]


def test_of_all_ways_of_framing_the_one_that_holds_least_is_kept(planner: Planner, loaded: Loaded) -> None:
    plan = planner.within(planner.timeline.peak_bytes // 3)
    assert plan is not None
    found = Trials(planner, loaded).carry_out(plan)
    peaks = [_predicted(carried) for carried in _all_frames(plan, loaded)]
    assert found.predicted_peak_bytes == min(peaks) == _predicted(found.model)


def _all_frames(plan: Plan, loaded: Loaded) -> list[ir.Model]:
    from onnx_autochunk.emit.weave import weave  # noqa: PLC0415

    return [weave(loaded, replace(plan, frames=frames)) for frames in Frames]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8, 1.0])
def test_the_fastest_plan_keeps_the_budget_as_emitted(share: float, trials: Trials) -> None:
    budget = int(share * trials.planner.timeline.peak_bytes)
    found = trials.fastest_within(budget)
    assert found is not None and found.predicted_peak_bytes <= budget
    assert _predicted(found.model) == found.predicted_peak_bytes


def test_no_plan_is_within_nothing(trials: Trials) -> None:
    assert trials.fastest_within(1000) is None


def test_where_no_plan_is_fast_enough_the_fastest_worth_it_is_tried(trials: Trials) -> None:
    found, mildest = trials.smallest_within(0.01), trials.planner.mildest()
    assert found is not None and mildest is not None
    assert found.plan.predicted_slowdown == mildest.predicted_slowdown


def test_a_plan_is_run_on_paper_once(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    once = trials.smallest_within(1.7)
    assert once is not None and once.plan.regions
    monkeypatch.setattr(trial_module, "simulate", _never)
    again = trials.smallest_within(1.7)
    assert again is not None and (again.plan, again.timeline) == (once.plan, once.timeline)
    assert trials.carry_out(once.plan).timeline is once.timeline


def test_more_time_never_costs_memory(trials: Trials) -> None:
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
    return Trial(plan, model, timeline, measured, timed, baseline=baseline)


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
