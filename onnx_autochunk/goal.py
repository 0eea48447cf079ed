"""What a run is to reach, as measured: least time within a budget, or least memory within a time ratio."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .graph.load import Loaded
from .plan.planner import Planner
from .trial import Trial, fastest_within, smallest_within

SAFETY = 0.99  # share of the next goal that is aimed at after a miss
SLACK = 0.03  # of the time ratio: closer than this to the limit is close enough
GAIN = 0.97  # of the peak: less of a gain is not worth measuring another plan


@dataclass(frozen=True, slots=True)
class Goal:
    """One of two limits, and what planning aims at to keep it.

    Attributes:
        budget_bytes: the measured peak to stay within; None when time decides.
        slowdown: the measured time ratio to stay within; None when a budget decides.
        aim: the limit by the planner's own prices; moves when a measurement misses.
    """

    budget_bytes: int | None
    slowdown: float | None
    aim: float

    @classmethod
    def budget(cls, budget_bytes: int) -> Goal:
        """Least time within a budget."""
        return cls(budget_bytes, None, budget_bytes)

    @classmethod
    def ratio(cls, slowdown: float) -> Goal:
        """Least memory within a time ratio."""
        return cls(None, slowdown, slowdown)

    def plan(self, planner: Planner, loaded: Loaded) -> Trial | None:
        """The best plan for what is aimed at; None when there is none."""
        if self.budget_bytes is not None:
            return fastest_within(planner, loaded, int(self.aim))
        return smallest_within(planner, loaded, self.aim)

    def met(self, trial: Trial) -> bool:
        """True when the measurements keep the limit."""
        return self._excess(trial) <= 0

    def reached(self, trial: Trial) -> bool:
        """True when the limit is kept and planning closer to it would gain little."""
        return self.met(trial) and (self.slowdown is None or self._excess(trial) > -SLACK)

    def better(self, best: Trial | None, trial: Trial) -> Trial:
        """The trial that keeps the limit or comes closer; of two that keep it, the one that holds less."""
        return trial if best is None or self._rank(trial) < self._rank(best) else best

    def worth_trying(self, best: Trial | None, trial: Trial) -> bool:
        """True unless the best trial keeps the limit already and this one promises no less memory."""
        return (
            best is None
            or not self.met(best)
            or trial.predicted_peak_bytes < GAIN * best.predicted_peak_bytes
        )

    def moved(self, trial: Trial) -> Goal:
        """The goal with the aim moved by what the trial missed or left; a miss rules its plan out."""
        if self.budget_bytes is not None:
            assert trial.peak is not None
            aim = self.aim * SAFETY * self.budget_bytes / trial.peak.activation_peak_bytes
            return replace(self, aim=min(aim, trial.predicted_peak_bytes - 1))
        excess = self._excess(trial)
        if excess <= 0:
            return replace(self, aim=self.aim - excess)
        return replace(self, aim=min(self.aim, trial.plan.predicted_slowdown) - excess - (1 - SAFETY))

    def _rank(self, trial: Trial) -> tuple[float, int]:
        measured = trial.peak.activation_peak_bytes if trial.peak is not None else trial.predicted_peak_bytes
        return max(self._excess(trial), 0.0), measured

    def _excess(self, trial: Trial) -> float:
        """By how much a measured trial misses the limit, in bytes or as a ratio; at most 0 if it keeps it."""
        if self.budget_bytes is not None:
            return 0.0 if trial.peak is None else trial.peak.activation_peak_bytes - self.budget_bytes
        assert self.slowdown is not None
        return 0.0 if trial.time is None else trial.time.ratio - self.slowdown
