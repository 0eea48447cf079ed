"""Bodies of a graph's own If, Loop and Scan: planned as graphs of their own, selected together with it.

What is held around a body is a constant to it, so its steps and candidates stand behind those of the graph,
with that on top, under one budget and one limit on time:

    steps   LayerNorm  Loop  MatMul | the Loop's body: MatMul  Softmax  MatMul
    held       12       30     20   |                    40      300      44
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from ..graph.model import Graph, Op
from ..graph.rounds import rounds
from ..memory.control import body_bytes
from ..memory.lifetime import body_peaks
from .planner import Planner


def enclosing(planner: Planner, found: Mapping[tuple[str, str], Planner]) -> Planner:
    """The planner of a graph with those of its bodies.

    Args:
        planner: of the graph.
        found: those of its bodies that can be planned, by the name of the op and the attribute.
    """
    graph, live, bodies = planner.graph, list(planner.timeline.live_bytes), dict(planner.bodies)
    for step, index in enumerate(planner.timeline.order):
        op = graph.ops[index]
        names = [name for name in op.subgraphs if (op.name, name) in found]
        if not names:
            continue
        peaks = body_peaks(op, graph, provider=planner.options.provider, reuse=False)
        around = live[step] - _held(op, graph, peaks)
        live[step] = around + _held(op, graph, peaks | dict.fromkeys(names, 0))
        for name in names:
            holds = partial(_holds, op, graph, name, around)
            bodies[index, name] = _placed(found[op.name, name], holds, rounds(op, graph.values) or 1)
    timeline = replace(planner.timeline, live_bytes=tuple(live))
    return replace(planner, timeline=timeline, bodies=bodies)


def _held(op: Op, graph: Graph, peaks: Mapping[str, int]) -> int:
    """What running an op's bodies adds to its operands and results, if that is what they hold."""
    names = {id(body): name for name, body in op.subgraphs.items()}
    return body_bytes(op, graph, lambda body, _: peaks[names[id(body)]])


def _holds(op: Op, graph: Graph, name: str, around: int, nbytes: int) -> int:
    """What is held in all while one of an op's bodies holds some bytes."""
    return around + _held(op, graph, {**dict.fromkeys(op.subgraphs, 0), name: nbytes})


def _placed(planner: Planner, holds: Callable[[int], int], times: int) -> Planner:
    """A body's planner with what is held around it, and the time of all rounds."""
    candidates = [
        replace(
            found,
            options=tuple(
                replace(one, peak_bytes=holds(one.peak_bytes), extra_seconds=times * one.extra_seconds)
                for one in found.options
            ),
        )
        for found in planner.candidates
    ]
    live_bytes = tuple(map(holds, planner.timeline.live_bytes))
    return replace(
        planner,
        timeline=replace(planner.timeline, live_bytes=live_bytes),
        candidates=candidates,
        bodies={key: _placed(inner, holds, times) for key, inner in planner.bodies.items()},
        rounds=times * planner.rounds,
    )
