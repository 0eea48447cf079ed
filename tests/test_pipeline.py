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
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import METADATA
from onnx_autochunk.errors import BudgetError, VerificationError
from onnx_autochunk.goal import SAFETY, SLACK, Goal
from onnx_autochunk.graph.load import Loaded, derive, load
from onnx_autochunk.memory.lifetime import Timeline, simulate
from onnx_autochunk.options import Budget, Form, Options
from onnx_autochunk.plan.plan import Frames, Plan
from onnx_autochunk.plan.planner import Planner, make_planner
from onnx_autochunk.report.progress import Advance, Silent
from onnx_autochunk.report.record import Status
from onnx_autochunk.trial import Trial, carry_out, fastest_within, smallest_within
from onnx_autochunk.verify.compare import Comparison
from onnx_autochunk.verify.measure import PeakMeasurement, TimeMeasurement
from tests.plan.graphs import transformer

Measure = Callable[[int, int], float]  # (number of the attempt, predicted peak) -> what is measured


@dataclass
class Bench:
    """Measures what a script says; attempts count from 1, and the original is attempt 0."""

    peak: Measure = lambda _, predicted: predicted
    ratio: Measure = lambda *_: 1.0
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
        return PeakMeasurement(int(self.peak(0, _predicted(self.original))), 0, 0.0)

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
        return PeakMeasurement(int(self.peak(len(self.attempts), self.attempts[-1])), 0, 0.0)

    def time(self, path: Path, pairs: int) -> TimeMeasurement:
        assert path == Path("chunked.onnx") and pairs > 0
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


def test_nothing_is_changed_when_every_plan_is_too_slow(bench: Bench, model: onnx.ModelProto) -> None:
    bench.ratio = lambda *_: 9.0
    result = pipeline.run(model, Options(max_slowdown=3.0))
    assert bench.attempts
    assert result.report.status is Status.UNCHANGED
    assert result.report.message == "No plan stays within the time ratio."
    assert result.plan is None and METADATA not in result.model.metadata_props
    assert result.report.chunked.measured_peak_bytes is None and result.report.regions == ()


SMALL = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["": 21]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
)


@pytest.mark.parametrize("options", [Options(), Options(max_slowdown=5.0), Options(plan_only=True)])
def test_nothing_is_changed_where_nothing_is_gained(bench: Bench, options: Options) -> None:
    report = pipeline.run(SMALL, options).report
    assert (report.status, report.message) == (Status.UNCHANGED, "Nothing in it is worth chunking.")
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
    found = carry_out(plan, loaded, "cpu")
    peaks = [_predicted(carried) for carried in _all_frames(plan, loaded)]
    assert found.predicted_peak_bytes == min(peaks) == _predicted(found.model)


def _all_frames(plan: Plan, loaded: Loaded) -> list[ir.Model]:
    from onnx_autochunk.emit.weave import weave  # noqa: PLC0415

    return [weave(loaded, replace(plan, frames=frames)) for frames in Frames]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8, 1.0])
def test_the_fastest_plan_keeps_the_budget_as_emitted(share: float, planner: Planner, loaded: Loaded) -> None:
    budget = int(share * planner.timeline.peak_bytes)
    found = fastest_within(planner, loaded, budget)
    assert found is not None and found.predicted_peak_bytes <= budget
    assert _predicted(found.model) == found.predicted_peak_bytes


def test_no_plan_is_within_nothing(planner: Planner, loaded: Loaded) -> None:
    assert fastest_within(planner, loaded, 1000) is None
    assert smallest_within(planner, loaded, 0.01) is None


def test_more_time_never_costs_memory(planner: Planner, loaded: Loaded) -> None:
    found = [smallest_within(planner, loaded, slowdown) for slowdown in (1.0, 1.1, 1.5, 4.0)]
    peaks = [trial.predicted_peak_bytes for trial in found if trial is not None]
    assert len(peaks) >= 3
    assert peaks[-1] <= peaks[0] and peaks[-1] < planner.timeline.peak_bytes // 2


def _trial(peak: int, ratio: float, *, predicted: int = 100, slowdown: float = 1.0) -> Trial:
    plan = Plan((), 0, slowdown, 0.0)
    timeline = Timeline((), (), predicted, 0, ())
    measured = PeakMeasurement(peak, 0, 0.0)
    timed = TimeMeasurement(ratio, 1.0, ratio, ((1.0, ratio),))
    return Trial(plan, ir.Model(ir.Graph([], [], nodes=[]), ir_version=10), timeline, measured, timed)


BUDGET, RATIO = Goal.budget(100), Goal.ratio(1.05)


@pytest.mark.parametrize(
    ("goal", "trial", "met", "reached"),
    [
        (BUDGET, _trial(100, 9.0), True, True),
        (BUDGET, _trial(101, 0.5), False, False),
        (BUDGET, _trial(20, 1.0), True, True),
        (RATIO, _trial(900, 1.05), True, True),
        (RATIO, _trial(900, 1.06), False, False),
        (RATIO, _trial(900, 1.05 - 2 * SLACK), True, False),
    ],
)
def test_goals_go_by_what_is_measured(goal: Goal, trial: Trial, met: bool, reached: bool) -> None:
    assert (goal.met(trial), goal.reached(trial)) == (met, reached)


@pytest.mark.parametrize(
    ("goal", "best", "trial", "better"),
    [
        (BUDGET, None, _trial(900, 1.0), True),
        (BUDGET, _trial(120, 1.0), _trial(110, 9.0), True),
        (BUDGET, _trial(90, 1.0), _trial(110, 0.1), False),
        (RATIO, _trial(90, 1.3), _trial(95, 1.2), True),
        (RATIO, _trial(90, 1.0), _trial(80, 1.04), True),
        (RATIO, _trial(90, 1.0), _trial(80, 1.06), False),
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
    ],
)
def test_the_aim_moves_by_what_was_missed(goal: Goal, trial: Trial, aim: float) -> None:
    moved = goal.moved(trial)
    assert moved.aim == pytest.approx(aim)
    assert (moved.budget_bytes, moved.slowdown) == (goal.budget_bytes, goal.slowdown)
