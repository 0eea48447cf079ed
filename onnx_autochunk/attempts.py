"""Plan, measure, and plan again from what was measured, until the goal is met or nothing is left to try."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from .goal import Goal
from .plan.plan import Plan, PlannedRegion
from .stages import Stages
from .trial import Trial, Trials
from .verify.bench import Bench

logger = logging.getLogger(__package__)

ATTEMPTS = 4  # plans that are measured before the closest one has to do
BUDGET_ATTEMPTS = 8  # likewise for a budget, which is to hold
PLANS = 3 * BUDGET_ATTEMPTS  # with those that need not be measured, because they are predicted to miss
HOPE = 1.1  # of the budget: the smallest plan is measured if no more than that is predicted


@dataclass
class Attempts:
    """Tries plans for one goal.

    Attributes:
        trials: where plans come from.
        cautious: makes those whose prices do not count on a cache; they take over where plans are slower than
            predicted.
        best: of what was tried, what meets the goal best.
        tried: everything that was measured, in order.
    """

    stages: Stages
    trials: Trials
    bench: Bench
    goal: Goal
    cautious: Callable[[], Trials] | None = None
    best: Trial | None = None
    tried: list[Trial] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """True when the best trial keeps every limit."""
        return self.best is not None and self.goal.met(self.best)

    def reach(self) -> None:
        """Try plans until one meets the goal; again at prices without a cache if it ran slower."""
        if self.goal.fits_already:
            self.best = self.trials.carry_out(Plan.nothing(int(self.goal.most_bytes)))
            return
        self._approach()
        if self.cautious and self.best is not None and self.goal.surprised(self.best):
            logger.info("slower than predicted: planning again without counting on a cache")
            with self.stages.stage("search"):
                self.trials = self.cautious()
            self._approach()
        if not self.met and self.goal.budget_bytes is not None:
            self.take_smallest((HOPE if self.stages.measures else 1) * self.goal.budget_bytes)

    def _approach(self) -> None:
        """Try plans of the current trials until one meets the goal."""
        goal = self.goal
        most = len(self.tried) + (ATTEMPTS if goal.budget_bytes is None else BUDGET_ATTEMPTS)
        for _ in range(PLANS):
            with self.stages.stage("select"):
                trial = goal.plan(self.trials)
            if trial is None or self.has_tried(trial.plan) or not goal.worth_trying(self.best, trial):
                break
            trial = self.foreseen(trial)
            if not (self.stages.measures and goal.ruled_out(trial)):
                trial = self.take(trial)
                if not self.stages.measures or goal.reached(trial) or len(self.tried) == most:
                    break
            goal = goal.moved(trial)
            logger.info("planning again for %s", goal)

    def foreseen(self, trial: Trial) -> Trial:
        """The trial with its peak on ONNX Runtime's own graph, if that is to be had."""
        if not self.stages.measures or not trial.plan.regions:
            return trial
        with self.stages.stage("predict"):
            return replace(trial, exact_bytes=self.bench.predict(trial.model))

    def take(self, trial: Trial) -> Trial:
        """Measure a trial if models are run, and keep it if it is the best."""
        if self.stages.measures:
            trial = measured(self.stages, self.bench, trial if trial.exact_bytes else self.foreseen(trial))
            self.tried.append(trial)
        self.best = self.goal.better(self.best, trial)
        return trial

    def take_smallest(self, most_bytes: float = inf) -> None:
        """Try the smallest plan, if no more is predicted; a budget that it should miss by little may hold."""
        with self.stages.stage("select"):
            trial = self.trials.smallest()
        if trial is None or self.has_tried(trial.plan) or trial.predicted_peak_bytes > most_bytes:
            return
        trial = self.foreseen(trial)
        if trial.foreseen_bytes <= most_bytes:
            self.take(trial)

    def has_tried(self, plan: Plan) -> bool:
        """True when the plan has been measured."""
        known: set[tuple[PlannedRegion, ...]] = {trial.plan.regions for trial in self.tried}
        return plan.regions in known


def measured(stages: Stages, bench: Bench, trial: Trial) -> Trial:
    """Write a trial's model, compare its outputs, measure its memory and time; known when nothing is cut."""
    if not trial.plan.regions:
        return replace(trial, peak=bench.baseline, baseline=bench.baseline)
    with stages.stage("emit"):
        path = bench.write(trial.model)
    with stages.stage("verify"):
        comparison = bench.verify(path)
    with stages.stage("measure"):
        peak, elapsed = bench.measure(path), bench.time(path)
    logger.info(
        "peak %d bytes, resident %d bytes, time ratio %.3f over %d pairs",
        peak.activation_peak_bytes,
        peak.resident_bytes,
        elapsed.ratio,
        len(elapsed.pairs),
    )
    return replace(trial, peak=peak, time=elapsed, comparison=comparison, baseline=bench.baseline)
