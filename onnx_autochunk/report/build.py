"""From plans and measurements to the `Report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from ..graph.model import Graph, Op
from ..plan.fixed import NESTED, obstacle
from ..plan.front import Point
from ..plan.plan import Plan, PlannedRegion
from ..plan.planner import Planner
from ..plan.region import Region as PlanRegion
from ..verify.compare import Comparison
from ..verify.measure import PeakMeasurement
from .record import Cost, FrontPoint, Refusal, Region, Verification

LARGE = 0.02  # a value is worth a line when it takes this share of the original's peak
MOST_REFUSALS = 12


def describe_regions(graph: Graph, plan: Plan) -> tuple[Region, ...]:
    """Every loop of a plan: feeders before what they feed, loops inside a body behind it."""
    found: list[Region] = []
    for planned in plan.loops:
        found.append(describe_region(graph, planned))
        if inside := planned.nested:
            found += [describe_region(inside.body.graph, inner) for inner in inside.regions]
    return tuple(found)


def describe_region(graph: Graph, planned: PlannedRegion) -> Region:
    """One region for the reader."""
    region = planned.region
    return Region(
        name=planned.name,
        form=planned.form.value,
        axis=_axis(graph, region),
        length=planned.chunking.length,
        count=planned.chunking.total,
        nodes=len(region.ops),
        inputs=(*dict.fromkeys(cut.value for cut in region.sliced), *region.whole),
        outputs=region.results,
        peak_before_bytes=planned.peak_before_bytes,
        peak_after_bytes=planned.peak_after_bytes,
        hoisted=tuple(graph.ops[index].name for index in region.hoisted),
    )


def _axis(graph: Graph, region: PlanRegion) -> str:
    """Which axis is cut, of the first output, or of what is summed up."""
    if (carried := region.accumulator) is None:
        return f"{region.outputs[0].position.axis} of {region.outputs[0].value}"
    last = graph.ops[region.ops[-1]]
    return f"{carried.position.axis} of {last.inputs[carried.operand]}, accumulated"


def describe_cost(predicted: int, peak: PeakMeasurement | None, latency_s: float | None) -> Cost:
    """What one model takes."""
    if peak is None:
        return Cost(predicted_peak_bytes=predicted, latency_s=latency_s)
    return Cost(
        predicted_peak_bytes=predicted,
        measured_peak_bytes=peak.activation_peak_bytes,
        latency_s=latency_s,
        resident_bytes=peak.resident_bytes,
        load_s=peak.load_s,
        default_session_rise_bytes=peak.default_session_rise_bytes,
    )


def describe_front(points: Sequence[Point]) -> tuple[FrontPoint, ...]:
    """The Pareto front in numbers."""
    return tuple(FrontPoint(p.budget_bytes, p.peak_bytes, p.slowdown, p.loops) for p in points)


def describe_comparison(found: Comparison, runs: int, dims: Sequence[Mapping[str, int]]) -> Verification:
    """What verification found, on so many inputs of the reference sizes and one of each of the others."""
    runs += max(0, len(dims) - 1)
    return Verification(found.passed, runs, found.max_abs, found.max_rel, tuple(dims))


def refusals(planner: Planner, plan: Plan | None, peak_bytes: int) -> tuple[Refusal, ...]:
    """Large computed values of one graph that no region cuts, the largest first, each with the reason.

    Args:
        planner: of the model's graph or of a body's.
        plan: of the whole model; None where none was found, and only reasons that are known are given.
        peak_bytes: of the unchunked model.
    """
    graph, made = planner.graph, plan or Plan.nothing(0)
    otherwise = "" if plan is None else "fits the budget as it is"
    cut = {name for planned in made.at(planner.home).loops for name in planned.region.flow}
    large = [
        (value.nbytes, op, name)
        for op in graph.ops
        for name in op.outputs
        if name not in cut and (value := graph.values.get(name)) is not None
        if value.nbytes >= LARGE * peak_bytes
    ]
    large.sort(key=lambda found: -found[0])
    found = (
        Refusal(name, nbytes, op.name, reason(planner, made, op, name) or otherwise)
        for nbytes, op, name in large
    )
    return tuple(islice((refusal for refusal in found if refusal.reason), MOST_REFUSALS))


def reason(planner: Planner, plan: Plan, op: Op, name: str) -> str:
    """Why a value of one graph is not chunked, or not further; empty where nothing keeps it from that."""
    graph, rules, is_open = planner.graph, planner.setting.rules, not planner.seconds.fixed
    rule = rules[op.index]
    bodies = (body for (index, _), body in planner.bodies.items() if index == op.index)
    if any(plan.at(inner.home).regions for body in bodies for inner in body.graphs):
        return f"{op.type} gives it whole: what is chunked is in its bodies"
    if rule.barrier is not None:
        return f"{op.type} is a barrier: {rule.barrier}"
    for planned in plan.at(planner.home).regions:
        if name in planned.region.whole:
            reader = next(i for i in planned.region.ops if name in graph.ops[i].reads)
            return f"every chunk of {planned.name} needs all of it ({graph.ops[reader].type})"
        if op.index in planned.region.hoisted:
            return f"runs in front of {planned.name}, which needs it or what is made of it whole"
        if is_open and name in planned.region.flow and name not in planned.region.results:
            return NESTED
    return obstacle(graph, rules, name) if is_open else ""
