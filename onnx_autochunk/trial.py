"""One plan carried out: emitted, run on paper as emitted, and, when asked, verified and measured.

Selection adds up prices region by region; which dead buffers ORT keeps for later values of the same shape
couples the regions, so a plan counts only by the simulation of the whole model that it gives.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from .cost.packing import packing_seconds
from .cuda.check import check
from .emit.weave import chunk, finish, weave
from .graph.derive import derive
from .graph.functions import defined
from .graph.loaded import Loaded
from .graph.model import Graph
from .memory.lifetime import Timeline, simulate
from .plan.front import front
from .plan.oversize import oversize
from .plan.plan import Burden, Frames, Plan, PlannedRegion
from .plan.planner import Planner
from .verify.compare import Comparison
from .verify.measure import PeakMeasurement, TimeMeasurement

# Budgets that are tried, as shares of the one asked for, and of the least one.
TIGHTENING = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
LOOSENING = (1.02, 1.04, 1.07, 1.1, 1.2, 1.3, 1.5)
ABOUT = 1.1  # times what another plan holds, as emitted, is about as little: no reason for a slower one


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan, framed, and what its model takes on paper; the model is not kept, because there are many.

    Attributes:
        timeline: memory of the model as emitted.
        packing: what packing weights at every call adds to the plan's own time ratio.
        oversize: values with more elements than a tensor may have.
    """

    plan: Plan
    timeline: Timeline
    packing: float = 0.0
    oversize: tuple[str, ...] = ()

    @property
    def peak_bytes(self) -> int:
        """Peak of the model as emitted, by which plans are compared."""
        return self.timeline.peak_bytes

    @property
    def slowdown(self) -> float:
        """Time over the original's, as emitted."""
        return self.plan.predicted_slowdown + self.packing


def least(drafts: Iterable[Draft], about: float = 1.0) -> Draft | None:
    """The one that holds least; of those within `about` times that, the fastest. None of none.

    Drafts with oversize values count only where all have some.
    """
    every = tuple(drafts)
    found = [draft for draft in every if not draft.oversize] or every
    most_bytes = about * min((draft.peak_bytes for draft in found), default=0)
    return min((d for d in found if d.peak_bytes <= most_bytes), key=lambda d: d.slowdown, default=None)


@dataclass(frozen=True)
class Trial:
    """A draft and the model that it gives; measurements are None until they are made.

    Attributes:
        exact_bytes: its peak on the graph that ONNX Runtime makes of it; None where that was not asked for.
        baseline: memory of the original.
    """

    draft: Draft
    model: ir.Model
    exact_bytes: int | None = None
    peak: PeakMeasurement | None = None
    time: TimeMeasurement | None = None
    comparison: Comparison | None = None
    baseline: PeakMeasurement | None = None

    @property
    def plan(self) -> Plan:
        """What is carried out."""
        return self.draft.plan

    @property
    def timeline(self) -> Timeline:
        """Memory of the model on paper."""
        return self.draft.timeline

    @property
    def predicted_peak_bytes(self) -> int:
        """Peak of the model on paper."""
        return self.draft.peak_bytes

    @property
    def peak_bytes(self) -> int:
        """The measured peak where there is one, else the predicted one."""
        return self.foreseen_bytes if self.peak is None else self.peak.activation_peak_bytes

    @property
    def foreseen_bytes(self) -> int:
        """The better prediction: on ONNX Runtime's own graph where there is one."""
        return self.predicted_peak_bytes if self.exact_bytes is None else self.exact_bytes

    @property
    def burden(self) -> Burden | None:
        """What was measured on top of the original, besides running time."""
        if self.peak is None or self.baseline is None:
            return None
        return Burden(
            self.peak.load_s - self.baseline.load_s, self.peak.resident_bytes - self.baseline.resident_bytes
        )


class Trials:
    """Carries out plans for one model; what a plan takes on paper is found only once.

    Attributes:
        planner: where plans come from.
        loaded: the model that they are for.
    """

    def __init__(self, planner: Planner, loaded: Loaded) -> None:
        self.planner = planner
        self.loaded = loaded
        self._known: dict[tuple[PlannedRegion, ...], tuple[Draft, ...]] = {}
        self._latest: tuple[Draft, ir.Model] | None = None

    def carry_out(self, plan: Plan) -> Trial:
        """Emit a plan in every way of framing it, run each on paper, and keep the one that holds least."""
        return self._emitted(self._drafted(plan))

    def replayed(self, plan: Plan) -> Trial:
        """Emit a plan in the frames that it names."""
        woven = chunk(self.loaded, plan, self.planner.setting.rules, self.provider)
        model = woven.framed(plan.frames, in_place=True)
        paper = self._on_paper(self._derived(model).graph)
        return Trial(Draft(plan, *paper), finish(model, self.provider))

    @property
    def provider(self) -> str:
        """The execution provider that models are written for."""
        return self.planner.options.provider

    def smallest(self) -> Trial | None:
        """Of the plans near the floor, or the front's end, the one with the least peak as emitted.

        None when there is none, or none without oversize values.
        """
        floors = self.planner.floors_bytes
        budgets = (int(floor * share) for floor in floors for share in (1.0, *LOOSENING))
        plans = self._within(budgets) or self._within(p.budget_bytes for p in front(self.planner)[-1:])
        best = least(map(self._drafted, plans))
        return None if best is None or best.oversize else self._emitted(best)

    def _within(self, budgets: Iterable[int]) -> list[Plan]:
        return [plan for budget_bytes in budgets if (plan := self.planner.within(budget_bytes)) is not None]

    def fastest_within(self, budget_bytes: int, limit: Burden | None = None) -> Trial | None:
        """The fastest plan that, as emitted, stays within the budget; None when none of those tried does.

        Args:
            budget_bytes: most bytes at any time.
            limit: on loading time and resident memory; by default the planner's own.
        """
        for share in TIGHTENING:
            plan = self.planner.within(int(budget_bytes * share), limit)
            drafts = () if plan is None else self._drafts(plan)
            drafts = tuple(draft for draft in drafts if not draft.oversize)
            if fitting := [draft for draft in drafts if draft.peak_bytes <= budget_bytes]:
                return self._emitted(min(fitting, key=lambda draft: (draft.slowdown, draft.peak_bytes)))
        return None

    def smallest_within(self, slowdown: float, limit: Burden | None = None) -> Trial | None:
        """Of the plans within a predicted time ratio the one with about the least peak as emitted.

        If none of them changes anything, the fastest of those that are worth their trouble.

        Args:
            slowdown: most time of the result over the original's, by the cost model.
            limit: as above.
        """
        first = self.planner.least(slowdown, limit)
        if first is None or not first.regions:
            first = self.planner.mildest(limit) or first
        if first is None:
            return None
        drafts, slowest = [self._drafted(first)], max(slowdown, first.predicted_slowdown)
        for share in LOOSENING:
            budget_bytes = int(first.budget_bytes * share)
            if budget_bytes >= ABOUT * min(draft.peak_bytes for draft in drafts):
                break  # as emitted, a plan holds more than its budget
            plan = self.planner.within(budget_bytes, limit)
            if plan is not None and plan.predicted_slowdown <= slowest:
                drafts.append(self._drafted(plan))
        best = least(drafts, ABOUT)
        return None if best is None or best.oversize else self._emitted(best)

    def _drafted(self, plan: Plan) -> Draft:
        """A plan in the frames in which it holds least."""
        best = least(self._drafts(plan), ABOUT)
        assert best is not None, "without frames there always is a draft"
        return best

    def _drafts(self, plan: Plan) -> tuple[Draft, ...]:
        """A plan in every way of framing it."""
        if plan.regions not in self._known:
            if self._known:
                gc.collect()  # models refer to themselves
            self._known[plan.regions] = tuple(self._framed(plan))
        return self._known[plan.regions]

    def _framed(self, plan: Plan) -> Iterator[Draft]:
        """A plan in every way of framing it that can hold less than it does without frames.

        The model of the one that holds least is kept, unless the last frames were put into that very model.
        """
        woven = chunk(self.loaded, plan, self.planner.setting.rules, self.provider)
        *others, last = woven.framings()
        best: tuple[Draft, ir.Model] | None = None
        for frames in (*others, last):
            made = self._derived(woven.framed(frames, in_place=frames is last))
            if not self._suits(frames, made):
                continue
            draft = Draft(replace(plan, frames=frames), *self._on_paper(made.graph))
            if best is None or least((best[0], draft), ABOUT) is draft:
                best = draft, made.model
            yield draft
            if others and frames is Frames.NONE and self._holds_nothing_dead(draft, made.graph):
                self._latest = best
                return
        is_gone = best is None or (best[0].plan.frames is Frames.NONE and bool(others))
        self._latest = None if is_gone else best

    def _holds_nothing_dead(self, draft: Draft, graph: Graph) -> bool:
        """Whether frames, which give dead buffers back, would leave the peak as it is."""
        return draft.peak_bytes <= ABOUT * simulate(graph, provider=self.provider, reuse=False).peak_bytes

    def _derived(self, model: ir.Model) -> Loaded:
        return derive(model, dynamic=self.loaded.dynamic)

    def _suits(self, frames: Frames, made: Loaded) -> bool:
        """False for frames around ops that CUDA leaves to the CPU."""
        return self.provider != "cuda" or frames is Frames.NONE or not check(defined(made).graph).bad

    def _on_paper(self, graph: Graph) -> tuple[Timeline, float, tuple[str, ...]]:
        """Memory over time, what packing weights at every call adds to the time ratio, oversize values."""
        planner = self.planner
        packing_s = packing_seconds(graph, planner.seconds.model) if self.provider == "cpu" else 0.0
        timeline = simulate(graph, provider=self.provider)
        too_large = tuple(oversize(graph, planner.options.most_elements))
        return timeline, packing_s / max(planner.baseline_seconds, 1e-9), too_large

    def _emitted(self, draft: Draft) -> Trial:
        if self._latest is not None and self._latest[0] is draft:
            model = finish(self._latest[1], self.provider)
        else:
            model = weave(self.loaded, draft.plan, self.planner.setting.rules, self.provider)
        return Trial(draft, model)
