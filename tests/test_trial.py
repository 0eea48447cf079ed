"""Plans as emitted: the one that holds least, the fastest within a budget, each run on paper once."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, repeat

import onnx_ir as ir
import pytest

from onnx_autochunk import trial as trial_module
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.plan.plan import Frames, Plan
from onnx_autochunk.plan.planner import Planner
from onnx_autochunk.trial import Trials
from tests.scripted import never, predicted


def test_of_all_ways_of_framing_the_one_that_holds_least_is_kept(planner: Planner, loaded: Loaded) -> None:
    plan = planner.within(planner.timeline.peak_bytes // 3)
    assert plan is not None
    found = Trials(planner, loaded).carry_out(plan)
    peaks = [predicted(carried) for carried in _all_frames(plan, loaded)]
    assert found.predicted_peak_bytes == min(peaks) == predicted(found.model)


def _all_frames(plan: Plan, loaded: Loaded) -> list[ir.Model]:
    return [weave(loaded, replace(plan, frames=frames)) for frames in Frames]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8, 1.0])
def test_the_fastest_plan_keeps_the_budget_as_emitted(share: float, trials: Trials) -> None:
    budget = int(share * trials.planner.timeline.peak_bytes)
    found = trials.fastest_within(budget)
    assert found is not None and found.predicted_peak_bytes <= budget
    assert predicted(found.model) == found.predicted_peak_bytes


@pytest.mark.parametrize(("budget", "frames"), [(90, Frames.NONE), (89, Frames.REGIONS)])
def test_of_all_ways_of_framing_within_a_budget_the_fastest_is_taken(
    budget: int, frames: Frames, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = trials.planner.within(trials.planner.timeline.peak_bytes // 3)
    assert plan is not None and all(len(group) == 1 for group in plan.groups)
    monkeypatch.setattr(type(trials.planner), "within", lambda *_: plan)
    held = [replace(trials.planner.timeline, peak_bytes=peak_bytes) for peak_bytes in (90, 80)]
    answers = iter(zip(held, (0.0, 0.1), strict=True))
    monkeypatch.setattr(Trials, "_on_paper", lambda *_: next(answers))
    monkeypatch.setattr(Trials, "_holds_nothing_dead", lambda *_: False)
    found = trials.fastest_within(budget)
    assert found is not None and found.plan.frames is frames
    assert found.draft.slowdown == plan.predicted_slowdown + (0.1 if frames is Frames.REGIONS else 0)


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
    monkeypatch.setattr(Trials, "_on_paper", lambda *_: (held, 0.0))
    found = trials.smallest_within(2.0)
    assert least is not None and found is not None
    assert found.plan.predicted_slowdown < least.predicted_slowdown


@pytest.mark.parametrize(("others", "is_taken"), [(1.09, True), (1.11, False)])
def test_of_plans_that_hold_about_as_little_the_faster_one_is_taken(
    others: float, is_taken: bool, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last percents of memory can cost a third of the time (Evoformer: 119 MiB at 0.94, 124 at 0.71)."""
    least, timeline = trials.planner.least(2.0), trials.planner.timeline
    assert least is not None
    first = 2 * least.budget_bytes
    held = chain([first], repeat(int(others * first)))
    monkeypatch.setattr(Trials, "_on_paper", lambda *_: (replace(timeline, peak_bytes=next(held)), 0.0))
    monkeypatch.setattr(Trials, "_holds_nothing_dead", lambda *_: True)
    found = trials.smallest_within(2.0)
    assert found is not None
    assert (found.plan.predicted_slowdown < least.predicted_slowdown) is is_taken


def test_a_plan_is_run_on_paper_once(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    once = trials.smallest_within(1.7)
    assert once is not None and once.plan.regions
    monkeypatch.setattr(trial_module, "simulate", never)
    again = trials.smallest_within(1.7)
    assert again is not None and (again.plan, again.timeline) == (once.plan, once.timeline)
    assert trials.carry_out(once.plan).timeline is once.timeline


def test_more_time_never_costs_memory(trials: Trials) -> None:
    found = [trials.smallest_within(slowdown) for slowdown in (1.0, 1.1, 1.5, 4.0)]
    peaks = [trial.predicted_peak_bytes for trial in found if trial is not None]
    assert len(peaks) >= 3
    assert peaks[-1] <= peaks[0] and peaks[-1] < trials.planner.timeline.peak_bytes // 2
