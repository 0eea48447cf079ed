"""The stages in order: load, search, plan and emit, verify, measure; again until what is measured fits.

Everything a stage does stands in its own package; this page says what follows what.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from .collection import collection_put_off
from .cost.model import CostModel
from .emit.weave import METADATA, usable_forms
from .errors import BudgetError
from .goal import Goal
from .graph.load import Loaded, Source, load, write_out_einsums
from .graph.save import copy, has_external, save, weights_bytes
from .memory.lifetime import Timeline, simulate
from .options import Options
from .plan.front import front
from .plan.plan import Burden, Plan, PlannedRegion
from .plan.planner import Planner, make_planner
from .report.build import (
    budget_message,
    describe_comparison,
    describe_cost,
    describe_front,
    describe_regions,
    refusals,
)
from .report.progress import Advance, Progress, Silent
from .report.record import Cost, Report, Status
from .report.text import mib
from .trial import Trial, Trials
from .verify.bench import Bench, open_bench

logger = logging.getLogger(__package__)

ATTEMPTS = 4  # plans that are measured before the closest one has to do


@dataclass(frozen=True)
class Result:
    """What `run` gives back.

    Attributes:
        model: the rewritten model; the original where nothing was changed.
        plan: the regions; None where nothing was changed.
        report: everything found and measured.
        source: the file to copy where nothing was changed; None when the model came from memory.
    """

    model: ir.Model
    plan: Plan | None
    report: Report
    options: Options = field(repr=False)
    source: Path | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model; the file is there whole or not at all.

        Raises:
            AutochunkError: the place cannot be written to.
        """
        options = self.options
        if self.source is not None and not options.save_as_external_data and not has_external(self.model):
            return copy(self.source, path)
        return save(
            self.model,
            path,
            external=options.save_as_external_data,
            threshold_bytes=options.external_data_threshold,
        )


@dataclass(frozen=True)
class _Run:
    """What the stages share."""

    options: Options
    progress: Progress
    source: Path | None = None
    original: Loaded | None = None
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Advance]:
        """One stage: shown, logged and timed."""
        logger.info("%s", name)
        start = time.perf_counter()
        with self.progress.stage(name) as advance:
            yield advance
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - start

    @property
    def measures(self) -> bool:
        """True when models are run."""
        return not (self.options.no_verify or self.options.plan_only)

    def unchanged(self, report: Report) -> Result:
        """The input as it is, with the reason in the report."""
        assert self.original is not None, "the model is loaded"
        report = replace(report, timings_s=self.timings_s)
        return Result(self.original.model, None, report, self.options, self.source)


@collection_put_off()
def run(source: Source, options: Options, progress: Progress | None = None) -> Result:
    """Rewrite a model so that its activations need less memory.

    Args:
        source: a path, a `ModelProto` or an IR model; it is not modified.
        options: the budget and everything else that can be asked for.
        progress: who is told where the work is.

    Raises:
        ModelError: the input is not a valid model.
        UsageError: the options do not fit the model.
        BudgetError: no plan meets the budget, and the best one was not asked for.
        VerificationError: the result computes something else.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    this = _Run(options.validate(), progress or Silent(), path)
    with this.stage("load"):
        loaded = load(source, dims=options.dims, shapes=options.input_shapes)
    if METADATA in loaded.model.metadata_props:
        return replace(this, original=loaded).unchanged(
            Report(Status.UNCHANGED, "onnx_autochunk has chunked this model before.")
        )
    with this.stage("analyze"):
        as_run = simulate(loaded.graph, provider=options.provider)
    with this.stage("search"):
        forms = usable_forms(loaded.model, options)
        rewritable = write_out_einsums(loaded)
        planner = make_planner(rewritable.graph, options, CostModel.load(options.provider), forms)
    original = None if loaded.dims else path
    with open_bench(original, loaded.model, options) as bench:
        return _reach(replace(this, original=loaded), planner, rewritable, as_run, bench)


def _reach(this: _Run, planner: Planner, loaded: Loaded, as_run: Timeline, bench: Bench) -> Result:
    """Plan and measure until the goal is met, and say what came of it."""
    baseline = None
    if this.measures:
        with this.stage("measure"):
            baseline = bench.baseline
    before = describe_cost(as_run.peak_bytes, baseline, None)
    assert before.peak_bytes is not None
    goal = _goal(this.options, before.peak_bytes, planner.limit)
    trials = Trials(planner, loaded)
    trial, met = _closed_loop(this, goal, trials, bench)
    if not met and goal.budget_bytes is not None:
        return _missed(this, trials, before, goal, trial, bench)
    report = _report(this, trials, before, goal, trial)
    if trial is None or not met:
        return this.unchanged(_without_trial(report, before, _why_not(goal, trial)))
    if not trial.plan.regions:
        why = (
            "The model fits the budget as it is." if goal.budget_bytes else "Nothing in it is worth chunking."
        )
        return this.unchanged(_without_trial(report, before, why))
    status = Status.PLANNED if this.options.plan_only else Status.CHUNKED
    return Result(trial.model, trial.plan, replace(report, status=status), this.options)


def _goal(options: Options, baseline_bytes: int, allowed: Burden) -> Goal:
    if options.budget is not None:
        return Goal.budget(options.budget.limit_bytes(baseline_bytes), baseline_bytes, allowed)
    assert options.slowdown_limit is not None, "without a budget there is a time ratio"
    return Goal.ratio(options.slowdown_limit, baseline_bytes, allowed)


def _why_not(goal: Goal, trial: Trial | None) -> str:
    if trial is None or not trial.plan.regions:
        return "Nothing in it is worth chunking."
    if (burden := goal.burden_missed(trial)) is not None:
        return f"No plan keeps all limits: {burden}."
    if not goal.gains(trial):
        return (
            f"The best plan still takes {mib(trial.peak_bytes)} of {mib(goal.original_bytes)}: nothing in it "
            "is worth chunking."
        )
    return "No plan stays within the time ratio."


def _closed_loop(this: _Run, goal: Goal, trials: Trials, bench: Bench) -> tuple[Trial | None, bool]:
    """Plan, measure, and plan again from what was measured; the best trial, and whether it meets the goal."""
    if goal.budget_bytes is not None and goal.original_bytes <= goal.budget_bytes:
        return trials.carry_out(Plan.nothing(goal.budget_bytes)), True
    best: Trial | None = None
    tried: set[tuple[PlannedRegion, ...]] = set()
    for _ in range(ATTEMPTS):
        with this.stage("select"):
            trial = goal.plan(trials)
        if trial is None or trial.plan.regions in tried or not goal.worth_trying(best, trial):
            break
        tried.add(trial.plan.regions)
        if not this.measures:
            return trial, goal.met(trial)
        trial = _try(this, bench, trial)
        best = goal.better(best, trial)
        if goal.reached(trial):
            break
        goal = goal.moved(trial)
        logger.info("planning again for %s", goal)
    return best, best is not None and goal.met(best)


def _try(this: _Run, bench: Bench, trial: Trial) -> Trial:
    """Write a trial's model, compare its outputs, measure its memory and time; known when nothing is cut."""
    if not trial.plan.regions:
        return replace(trial, peak=bench.baseline, baseline=bench.baseline)
    with this.stage("emit"):
        path = bench.write(trial.model)
    with this.stage("verify"):
        comparison = bench.verify(path)
    with this.stage("measure"):
        peak, elapsed = bench.measure(path), bench.time(path)
    logger.info(
        "peak %d bytes, resident %d bytes, time ratio %.3f over %d pairs",
        peak.activation_peak_bytes,
        peak.resident_bytes,
        elapsed.ratio,
        len(elapsed.pairs),
    )
    return replace(trial, peak=peak, time=elapsed, comparison=comparison, baseline=bench.baseline)


def _report(this: _Run, trials: Trials, before: Cost, goal: Goal, trial: Trial | None) -> Report:
    """What was found, whatever came of it."""
    planner, loaded = trials.planner, trials.loaded
    report = Report(
        Status.CHUNKED,
        baseline=before,
        weights_bytes=weights_bytes(loaded.model),
        budget_bytes=goal.budget_bytes,
        floor_bytes=min([planner.floor_bytes, *([] if trial is None else [trial.predicted_peak_bytes])]),
        front=describe_front(front(planner)),
        timings_s=this.timings_s,
    )
    if trial is None:
        return report
    timed = trial.time
    return replace(
        report,
        baseline=replace(before, latency_s=None if timed is None else timed.baseline_s),
        chunked=describe_cost(
            trial.predicted_peak_bytes, trial.peak, None if timed is None else timed.chunked_s
        ),
        budget_met=None if goal.budget_bytes is None or trial.peak is None else goal.met(trial),
        slowdown_measured=None if timed is None else timed.ratio,
        regions=describe_regions(loaded.graph, trial.plan),
        refusals=refusals(loaded.graph, planner.timeline, trial.plan, planner.setting.rules),
        verify=None
        if trial.comparison is None
        else describe_comparison(trial.comparison, this.options.verify_runs),
    )


def _without_trial(report: Report, before: Cost, why: str) -> Report:
    """The report of a run that changes nothing: no figures of a plan that was not taken."""
    return Report(
        Status.UNCHANGED,
        why,
        baseline=before,
        weights_bytes=report.weights_bytes,
        budget_bytes=report.budget_bytes,
        floor_bytes=report.floor_bytes,
        front=report.front,
        refusals=report.refusals,
    )


def _missed(
    this: _Run, trials: Trials, before: Cost, goal: Goal, trial: Trial | None, bench: Bench
) -> Result:
    """No plan meets the budget: say the floor, or give the best plan when that was asked for."""
    lowest = trials.planner.within(trials.planner.floor_bytes)
    least = None if lowest is None else trials.carry_out(lowest)
    message = _miss(goal, trial, least)
    best = trial or least
    if not this.options.best_effort or best is None:
        raise BudgetError(message)
    if this.measures and best is least:
        best = _try(this, bench, best)
    report = _report(this, trials, before, goal, best)
    if best.peak_bytes >= goal.original_bytes:
        report = _without_trial(report, before, f"{message}. No plan takes less than the original")
        return this.unchanged(replace(report, status=Status.MISSED, budget_met=False))
    report = replace(report, status=Status.MISSED, message=message, budget_met=False)
    return Result(best.model, best.plan, report, this.options)


def _miss(goal: Goal, trial: Trial | None, least: Trial | None) -> str:
    """Why the budget was missed: by the peak, or because what keeps it takes too much to load."""
    assert goal.budget_bytes is not None
    measured = trial.peak.activation_peak_bytes if trial is not None and trial.peak is not None else None
    burden = None if trial is None else goal.burden_missed(trial)
    if burden is not None and measured is not None and measured <= goal.budget_bytes:
        return f"the budget of {mib(goal.budget_bytes)} can be met, but {burden}. Give a larger budget"
    return budget_message(goal.budget_bytes, None if least is None else least.timeline, measured)
