"""What a run is to reach, as measured: least time within a budget, or least memory within a time ratio."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TypeAlias

from .plan.plan import Burden
from .report.text import mib
from .trial import Trial, Trials

SAFETY = 0.99  # share of the next goal that is aimed at after a miss
SLACK = 0.03  # of the time ratio: closer than this to the limit is close enough
FASTEST = 0.0  # a ratio that no plan is predicted to have
DOUBT = 0.03  # of a peak: predictions on ONNX Runtime's own graph are not off by more
GAIN = 0.97  # of the peak: less of a gain is not worth measuring another plan
WORTHWHILE = 0.95  # of the original's peak: a result that holds more is not worth having
OFF = 0.05  # of the time ratio: predictions are off by less, most of the time (docs/cost-model.md)

Ratios: TypeAlias = tuple[float, float]  # time over the original's of one plan: predicted, measured


@dataclass(frozen=True, slots=True)
class Goal:
    """One of two limits, and what planning aims at to keep it.

    Attributes:
        budget_bytes: the measured peak to stay within; None when time decides.
        slowdown: the measured time ratio to stay within; None when a budget decides.
        original_bytes: the original's peak; more than any budget where it has oversize values.
        allowed: what the result may take to load and hold once loaded, as measured.
        aim: the limit by the planner's own prices; moves when a measurement misses.
        limit: what the planner is told to allow; moves likewise.
        kept: the slowest plan that kept the time ratio.
        missed: the fastest plan that missed it; only faster ones are tried again.
    """

    budget_bytes: int | None
    slowdown: float | None
    original_bytes: int
    allowed: Burden
    aim: float
    limit: Burden
    kept: Ratios | None = None
    missed: Ratios | None = None

    @classmethod
    def budget(cls, budget_bytes: int, original_bytes: int, allowed: Burden) -> Goal:
        """Least time within a budget."""
        return cls(budget_bytes, None, original_bytes, allowed, budget_bytes, allowed)

    @classmethod
    def ratio(cls, slowdown: float, original_bytes: int, allowed: Burden) -> Goal:
        """Least memory within a time ratio."""
        return cls(None, slowdown, original_bytes, allowed, slowdown, allowed)

    @classmethod
    def any(cls, original_bytes: int) -> Goal:
        """Whatever is worth having: for a plan that was decided on before."""
        return cls.ratio(inf, original_bytes, Burden(inf, inf))

    @property
    def most_bytes(self) -> float:
        """The peak to stay within: the budget, or what is worth having at all."""
        worth_having = WORTHWHILE * self.original_bytes
        return max(1.0, worth_having if self.budget_bytes is None else self.budget_bytes)

    @property
    def fits_already(self) -> bool:
        """True when the original is within the budget."""
        return self.budget_bytes is not None and self.original_bytes <= self.budget_bytes

    def plan(self, trials: Trials) -> Trial | None:
        """The best plan for what is aimed at; None when there is none left."""
        if self.budget_bytes is not None:
            return trials.fastest_within(int(self.aim), self.limit)
        trial = trials.smallest_within(self.aim, self.limit)
        if trial is not None and self.missed and trial.plan.predicted_slowdown >= self.missed[0]:
            return None
        return trial

    def met(self, trial: Trial) -> bool:
        """True when the measurements keep every limit."""
        return self._overrun(trial) <= 0

    def reached(self, trial: Trial) -> bool:
        """True when the limits are kept and planning closer to them would gain little."""
        return self.met(trial) and (self.slowdown is None or self._excess(trial) > -SLACK)

    def better(self, best: Trial | None, trial: Trial) -> Trial:
        """The trial that keeps the limits or comes closer; of two that keep them, the better one.

        That is the faster one within a budget, the smaller one within a time ratio.
        """
        return trial if best is None or self._rank(trial) < self._rank(best) else best

    def surprised(self, trial: Trial) -> bool:
        """True when a trial took longer than is wanted, and than was predicted, by more than is usual."""
        if trial.time is None:
            return False
        wanted = 1 + SLACK if self.slowdown is None else self.slowdown
        return trial.time.ratio > max(wanted, trial.draft.slowdown + OFF)

    def worth_trying(self, best: Trial | None, trial: Trial) -> bool:
        """True unless the trial promises nothing, or no less than the best one, which keeps the time ratio.

        Within a budget always: what counts there is the time that is measured.
        """
        if self.slowdown is None:
            return True
        if trial.predicted_peak_bytes >= self.original_bytes:
            return False
        return (
            best is None
            or not self.met(best)
            or trial.predicted_peak_bytes < GAIN * best.predicted_peak_bytes
        )

    def gains(self, trial: Trial) -> bool:
        """True when the trial holds little enough."""
        return trial.peak_bytes <= self.most_bytes

    def moved(self, trial: Trial) -> Goal:
        """The goal with its aims moved by what the trial missed or left; a miss rules its plan out.

        A second miss of the time ratio leaves the fastest plan to try, and then those between.
        """
        excess, goal = self._excess(trial), replace(self, limit=self._tightened(trial))
        if goal.limit != self.limit and excess <= 0:
            return goal
        if self.budget_bytes is not None:
            aim = self.aim * SAFETY / (1 + excess)
            return replace(goal, aim=min(aim, trial.predicted_peak_bytes - 1))
        assert trial.time is not None
        ratios = trial.plan.predicted_slowdown, trial.time.ratio
        if excess <= 0:
            goal = replace(goal, kept=ratios)
        elif self.missed and not self.kept:
            return replace(goal, missed=ratios, aim=FASTEST)
        else:
            goal = replace(goal, missed=ratios)
        return replace(goal, aim=goal._next_ratio(excess))

    def ruled_out(self, trial: Trial) -> bool:
        """True when the trial is predicted to miss the budget, so surely that it need not be measured."""
        return self.budget_bytes is not None and trial.foreseen_bytes > (1 + DOUBT) * self.budget_bytes

    def burden_missed(self, trial: Trial) -> str | None:
        """Which limit on loading a trial misses, in words; None when it keeps both."""
        found, allowed = trial.burden, self.allowed
        if found is None or found.within(allowed):
            return None
        return (
            f"once loaded the result holds {mib(int(found.resident_bytes))} more than the original (at most "
            f"{mib(int(allowed.resident_bytes))}), and takes {found.load_s:.1f} s more to load (at most "
            f"{allowed.load_s:g} s)"
        )

    def _next_ratio(self, excess: float) -> float:
        """A predicted ratio to aim at: between what was kept and missed, or further on by the miss."""
        assert self.slowdown is not None
        if self.missed is None:
            return self.aim - excess
        if self.kept is None:
            return self.missed[0] - excess - (1 - SAFETY)
        (low, kept), (high, missed) = self.kept, self.missed
        return low + (self.slowdown - (1 - SAFETY) - kept) * (high - low) / (missed - kept)

    def _tightened(self, trial: Trial) -> Burden:
        """The planner's limits, lowered where what was measured exceeds what is allowed."""
        found, plan, allowed = trial.burden, trial.plan.burden, self.allowed
        if found is None or found.within(allowed):
            return self.limit
        load_s, resident_bytes = self.limit.load_s, self.limit.resident_bytes
        if found.load_s > allowed.load_s:
            load_s = min(load_s, plan.load_s) * SAFETY * allowed.load_s / found.load_s
        if found.resident_bytes > allowed.resident_bytes:
            share = allowed.resident_bytes / found.resident_bytes
            resident_bytes = min(resident_bytes, plan.resident_bytes) * SAFETY * share
        return Burden(load_s, resident_bytes)

    def _rank(self, trial: Trial) -> tuple[float, float, float]:
        """By what is missed, then by what is wanted least of; differences of a percent of time are noise."""
        ratio = round(1.0 if trial.time is None else trial.time.ratio, 2)
        wanted = (ratio, trial.peak_bytes) if self.slowdown is None else (trial.peak_bytes, ratio)
        return max(self._overrun(trial), 0.0), *wanted

    def _overrun(self, trial: Trial) -> float:
        """By how much a trial misses the limit that it misses most; at most 0 if it keeps all of them."""
        found, allowed = trial.burden, self.allowed
        missed = [self._excess(trial), self._over(trial)]
        if found is not None and not found.within(allowed):
            missed.append((found.load_s - allowed.load_s) / max(allowed.load_s, 1.0))
            missed.append((found.resident_bytes - allowed.resident_bytes) / allowed.resident_bytes)
        return max(missed)

    def _over(self, trial: Trial) -> float:
        """By how much a trial's peak is above what it may be, as a share of that."""
        unchanged = trial.peak is None and not trial.plan.regions
        return (self.original_bytes if unchanged else trial.peak_bytes) / self.most_bytes - 1

    def _excess(self, trial: Trial) -> float:
        """By how much a trial misses the budget, as a share of it, or the ratio; at most 0 if it keeps it.

        What was predicted counts until it is measured.
        """
        if self.budget_bytes is not None:
            return self._over(trial)
        assert self.slowdown is not None
        ratio = trial.plan.predicted_slowdown if trial.time is None else trial.time.ratio
        return ratio - self.slowdown
