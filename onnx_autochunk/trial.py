"""One plan carried out: emitted, run on paper as emitted, and, when asked, verified and measured.

Selection adds up prices region by region; which dead buffers ORT keeps for later values of the same shape
couples the regions, so a plan counts only by the simulation of the whole model that it gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from .emit.weave import weave
from .graph.load import Loaded, derive
from .memory.lifetime import Timeline, simulate
from .plan.plan import Frames, Plan
from .plan.planner import Planner
from .verify.compare import Comparison
from .verify.measure import PeakMeasurement, TimeMeasurement

# Budgets that are tried, as shares of the one asked for, and of the least one.
TIGHTENING = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
LOOSENING = (1.0, 1.03, 1.07, 1.12, 1.2, 1.3, 1.5)


@dataclass(frozen=True)
class Trial:
    """A plan, the model it gives, and its memory on paper; measurements are None until they are made."""

    plan: Plan
    model: ir.Model
    timeline: Timeline
    peak: PeakMeasurement | None = None
    time: TimeMeasurement | None = None
    comparison: Comparison | None = None

    @property
    def predicted_peak_bytes(self) -> int:
        """Peak of the model as emitted."""
        return self.timeline.peak_bytes


def carry_out(plan: Plan, loaded: Loaded, provider: str) -> Trial:
    """Emit a plan in every way of framing it, run each on paper, and keep the one that holds least."""
    trials = [_emitted(replace(plan, frames=frames), loaded, provider) for frames in Frames]
    return min(trials, key=lambda trial: trial.predicted_peak_bytes)


def _emitted(plan: Plan, loaded: Loaded, provider: str) -> Trial:
    model = weave(loaded, plan)
    return Trial(plan, model, simulate(derive(model).graph, provider=provider))


def fastest_within(planner: Planner, loaded: Loaded, budget_bytes: int) -> Trial | None:
    """The fastest plan that, as emitted, stays within the budget; None when none of those tried does."""
    plans = (planner.within(int(budget_bytes * share)) for share in TIGHTENING)
    for trial in _carried_out(plans, planner, loaded):
        if trial.predicted_peak_bytes <= budget_bytes:
            return trial
    return None


def smallest_within(planner: Planner, loaded: Loaded, slowdown: float) -> Trial | None:
    """Of the plans within a predicted time ratio the one with the least peak as emitted."""
    least = planner.least(slowdown)
    if least is None:
        return None
    more = (planner.within(int(least.budget_bytes * share)) for share in LOOSENING[1:])
    return min(_carried_out((least, *more), planner, loaded), key=lambda trial: trial.predicted_peak_bytes)


def _carried_out(plans: Iterable[Plan | None], planner: Planner, loaded: Loaded) -> Iterable[Trial]:
    seen = set()
    for plan in plans:
        if plan is not None and plan.regions not in seen:
            seen.add(plan.regions)
            yield carry_out(plan, loaded, planner.options.provider)
