"""How a run ends: with a result, with the input as it is, or with the reason why a budget cannot be met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from .errors import BudgetError
from .goal import Goal
from .graph.loaded import Loaded
from .graph.numbers import released
from .graph.save import weights_bytes
from .plan.front import Point
from .plan.plan import Plan
from .plan.saved import to_record
from .report.advice import budget_message, elements_message, remedies, why_held
from .report.build import (
    MOST_REFUSALS,
    describe_comparison,
    describe_cost,
    describe_front,
    describe_regions,
    refusals,
)
from .report.record import Cost, MeasuredPlan, Refusal, Report, Status
from .report.text import mib
from .result import Result
from .stages import Stages
from .trial import Trial, Trials


@dataclass(frozen=True)
class Ending:
    """What is known at the end of a run.

    Attributes:
        original: the model as it was loaded.
        source: its file, where it came from one and nothing was changed about it.
        before: what the original takes.
        made_with: what the saved plan says besides the plan: versions, options, and what was measured when
            it was made.
        floor_bytes: the peak that no plan goes under; None when none was searched for.
        points: the Pareto front.
        tried: everything that was measured.
        excess: which values have too many elements in every plan; empty where a plan avoids them all.
    """

    stages: Stages
    original: Loaded
    source: Path | None
    trials: Trials
    before: Cost
    goal: Goal
    made_with: Mapping[str, object]
    floor_bytes: int | None = None
    points: Sequence[Point] = ()
    tried: Sequence[Trial] = ()
    excess: str = ""

    def found(self, best: Trial | None, met: bool) -> Result:
        """The best trial where it meets the goal, and otherwise the input as it is.

        Raises:
            BudgetError: a budget is missed, or a tensor has too many elements, and the best plan was not
                asked for.
        """
        if missed := self._missed(best, met):
            return self._best_effort(best, missed, met)
        if best is None or not met:
            return self.unchanged(why_not(self.goal, best), best)
        if not best.plan.regions:
            fits = self.goal.budget_bytes is not None
            why = "The model fits the budget as it is." if fits else "Nothing in it is worth chunking."
            return self.unchanged(why, best)
        planned = self.stages.options.plan_only
        return self._result(best, self._report(best, Status.PLANNED if planned else Status.CHUNKED))

    def unchanged(self, why: str, best: Trial | None = None, status: Status = Status.UNCHANGED) -> Result:
        """The input as it is, with the reason; no figures of a plan that was not taken."""
        report = replace(
            self._facts(status),
            message=why,
            budget_met=False if status is Status.MISSED and self.goal.budget_bytes is not None else None,
            refusals=self._refusals(best),
        )
        model = released(self.original.model, self.original.dynamic)
        return Result(model, None, report, self.stages.options, self.source)

    def _result(self, trial: Trial, report: Report) -> Result:
        model = released(trial.model, self.original.dynamic)
        return Result(model, trial.plan, report, self.stages.options)

    def _missed(self, best: Trial | None, met: bool) -> str:
        """Why the budget or the limit on elements is not kept; empty where both are."""
        if not self.excess and (left := self._oversize(best, met)):
            return self._too_many_elements(left, best, met)
        budget = "" if met or self.goal.budget_bytes is None else self._miss(best)
        return ". ".join(filter(None, (self.excess, budget)))

    def _best_effort(self, best: Trial | None, missed: str, met: bool) -> Result:
        """The best plan, where that was asked for; the input where the plan is no better."""
        if not self.stages.options.best_effort or best is None:
            raise BudgetError(missed)
        has_budget = self.goal.budget_bytes is not None
        if best.peak_bytes >= self.goal.original_bytes:
            return self.unchanged(f"{missed}. No plan takes less than the original", best, Status.MISSED)
        if not (met or has_budget or self.trials.planner.oversize):
            return self.unchanged(f"{missed}. {why_not(self.goal, best)}", best, Status.MISSED)
        report = replace(self._report(best, Status.MISSED), message=missed)
        return self._result(best, replace(report, budget_met=False) if has_budget and not met else report)

    def _miss(self, best: Trial | None) -> str:
        """Why the budget was missed: by the peak, or because what keeps it takes too much to load."""
        goal = self.goal
        assert goal.budget_bytes is not None
        budget = f"the budget of {mib(goal.budget_bytes)}"
        if best is not None and (burden := goal.burden_missed(best)) is not None and goal.gains(best):
            return f"{budget} can be met, but {burden}. Give a larger budget"
        if best is not None and self.floor_bytes is None:
            taken = mib(best.peak_bytes)
            return f"{budget} is missed: the plan takes {taken}. Leave out --plan to search for another"
        least, planner = self.trials.smallest(), self.trials.planner
        measured = None if best is None or best.peak is None else best.peak_bytes
        plan = Plan.nothing(goal.budget_bytes) if least is None else least.plan
        return budget_message(
            goal.budget_bytes,
            measured,
            None if least is None else least.timeline,
            lambda name: why_held(planner, plan, name),
            remedies(planner, plan.loops),
        )

    def _oversize(self, best: Trial | None, met: bool) -> tuple[str, ...]:
        """Values with too many elements in what would be written; none where a budget alone is missed."""
        planner = self.trials.planner
        if met and best is not None:
            return best.draft.oversize
        missed = self.goal.budget_bytes is not None and not planner.unavoidable
        return () if missed else planner.unavoidable or planner.oversize

    def _too_many_elements(self, names: Sequence[str], best: Trial | None, met: bool) -> str:
        planner, options = self.trials.planner, self.stages.options
        found = elements_message(planner, names, Plan.nothing(0) if best is None else best.plan)
        if met or planner.unavoidable or options.plan is not None:
            return found
        return f"{found}. {why_not(self.goal, best)}"

    def _facts(self, status: Status, taken: Trial | None = None) -> Report:
        """What is known whatever was chunked."""
        return Report(
            status,
            baseline=self.before,
            weights_bytes=weights_bytes(self.trials.loaded.model),
            budget_bytes=self.goal.budget_bytes,
            floor_bytes=self.floor_bytes,
            front=describe_front(self.points),
            measured=tuple(_measured_plan(trial, trial is taken) for trial in self.tried),
            timings_s=self.stages.timings_s,
            dims=self.original.dims,
            chosen=self._chosen,
            is_open=self.original.dynamic is not None,
        )

    @property
    def _chosen(self) -> tuple[str, ...]:
        """Symbolic dims whose sizes nobody gave."""
        options = self.stages.options
        if options.input_data is not None or options.input_shapes:
            return ()
        return tuple(name for name in self.original.dims if name not in options.dims)

    @property
    def _verified(self) -> tuple[Mapping[str, int], ...]:
        """Sizes that outputs were compared at."""
        dynamic = self.original.dynamic
        if dynamic is None or self.stages.options.input_data is not None:
            return (self.original.dims,) if self.original.dims else ()
        return tuple(dynamic.inputs_at(choice) for choice in range(len(dynamic.graphs)))

    def _report(self, trial: Trial, status: Status) -> Report:
        """Everything about a trial."""
        timed, facts, goal = trial.time, self._facts(status, trial), self.goal
        floor_bytes = None if self.floor_bytes is None else min(self.floor_bytes, trial.foreseen_bytes)
        return replace(
            facts,
            floor_bytes=floor_bytes,
            baseline=replace(self.before, latency_s=None if timed is None else timed.baseline_s),
            chunked=describe_cost(
                trial.foreseen_bytes, trial.peak, None if timed is None else timed.chunked_s
            ),
            budget_met=None if goal.budget_bytes is None or trial.peak is None else goal.met(trial),
            slowdown_measured=None if timed is None else timed.ratio,
            regions=tuple(
                region
                for inner in self.trials.planner.graphs
                for region in describe_regions(inner.graph, trial.plan.at(inner.home))
            ),
            refusals=self._refusals(trial),
            verify=None
            if trial.comparison is None
            else describe_comparison(trial.comparison, self.stages.options.verify_runs, self._verified),
            plan=self._plan_record(trial),
        )

    def _refusals(self, trial: Trial | None) -> tuple[Refusal, ...]:
        """Bodies that are left as they are, then large values that a trial leaves."""
        planner, closed = self.trials.planner, self.trials.loaded.closed
        left = [Refusal(body.value, body.nbytes, body.op, body.reason) for body in closed]
        found: list[Refusal] = []
        for inner in planner.graphs:
            found += refusals(inner, None if trial is None else trial.plan, planner.timeline.peak_bytes)
        found.sort(key=lambda refusal: -refusal.bytes)
        return (*left[:MOST_REFUSALS], *found[:MOST_REFUSALS])

    def _plan_record(self, trial: Trial) -> Mapping[str, object]:
        found = {} if trial.peak is None else {"measured": measurements(trial)}
        return {**to_record(self.trials.planner, trial.plan), **self.made_with, **found}


def measurements(trial: Trial) -> dict[str, object]:
    """What was measured of a trial, for its plan's record."""
    assert trial.peak is not None and trial.baseline is not None
    return {
        "original_peak_bytes": trial.baseline.activation_peak_bytes,
        "peak_bytes": trial.peak.activation_peak_bytes,
        "resident_bytes": trial.peak.resident_bytes,
        "load_s": trial.peak.load_s,
        "slowdown": None if trial.time is None else trial.time.ratio,
    }


def _measured_plan(trial: Trial, taken: bool) -> MeasuredPlan:
    assert trial.peak is not None, "only what was measured is among what was tried"
    return MeasuredPlan(
        trial.plan.budget_bytes,
        len(trial.plan.loops),
        trial.foreseen_bytes,
        trial.draft.slowdown,
        trial.peak.activation_peak_bytes,
        None if trial.time is None else trial.time.ratio,
        trial.peak.resident_bytes,
        trial.peak.load_s,
        taken,
    )


def why_not(goal: Goal, trial: Trial | None) -> str:
    """Why the best that was found is not taken, where no budget decides."""
    if trial is None or not trial.plan.regions:
        return "Nothing in it is worth chunking."
    if (burden := goal.burden_missed(trial)) is not None:
        return f"No plan keeps all limits: {burden}."
    if not goal.gains(trial):
        return (
            f"The best plan still takes {mib(trial.peak_bytes)} of {mib(goal.original_bytes)}: nothing in it "
            "is worth chunking."
        )
    ratio = trial.draft.slowdown if trial.time is None else trial.time.ratio
    return (
        f"No plan stays within the time ratio: the closest takes {ratio:.1%} of the time and holds "
        f"{mib(trial.peak_bytes)}. A --max-slowdown of {ceil(100 * ratio) / 100:.2f} would allow it."
    )
