"""What runs of a graph as exported, in which order: fused ops, blocked layouts, and the copies between them.

`a = MatMul(x, w), b = Add(a, v), y = Conv(b, k)` -> at the place of a nothing, of b a Gemm, of y three ops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..graph.model import Graph, Op
from .blocked import DOMAIN
from .blocking import Layout, in_blocks
from .fused import ops_as_run
from .order import walk

# When ORT makes these nodes: each is numbered behind all that were there before.
STAGES = {"Gemm": 1, "FusedMatMul": 2, "Gelu": 2, "QuickGelu": 2}
BLOCKED_STAGE, OUTPUTS_STAGE = 3, 4
COPIES = frozenset({"ReorderInput", "ReorderOutput"})


@dataclass(frozen=True, slots=True)
class Running:
    """The run of a graph.

    Attributes:
        graph: with the values that ORT adds.
        order: indices of its ops; a step is a position in it.
        calls: what runs, with the step it belongs to; None where nothing does.
    """

    graph: Graph
    order: tuple[int, ...]
    calls: tuple[tuple[int, Op | None], ...]


def as_it_stands(graph: Graph, order: Sequence[int]) -> Running:
    """Every op once, in this order."""
    return Running(graph, tuple(order), tuple((step, graph.ops[index]) for step, index in enumerate(order)))


def as_run(graph: Graph, order: Sequence[int] | None, provider: str, outer: Collection[str]) -> Running:
    """What ORT makes of a graph.

    Args:
        graph: as exported.
        order: indices of the ops in the order to run them; None stands for the order ORT would choose.
        provider: whose kernels.
        outer: values of the graphs around it, if it is a body.
    """
    ops = ops_as_run(graph)
    layout = in_blocks(graph, ops, outer) if provider == "cpu" else Layout(graph, list(ops), graph.values)
    groups = list(_as_walked(layout) if order is None else _in_order(layout, order))
    calls = tuple((step, op) for step, (_, ops) in enumerate(groups) for op in ops or (None,))
    whole = Graph(graph.ops, layout.values, graph.inputs, graph.outputs)
    return Running(whole, tuple(index for index, _ in groups), calls)


def _in_order(layout: Layout, order: Sequence[int]) -> Iterator[tuple[int, tuple[Op, ...]]]:
    """Each copy in front of its first reader; those that are results behind what they are copied from."""
    copies = layout.needed_copies()
    results = {layout.inside[name]: name for name in layout.graph.outputs if name in layout.inside}
    for index in order:
        op = layout.run[index]
        if op is None:
            yield index, ()
            continue
        behind = [results[name] for name in op.outputs if name in results]
        before = [copies.pop(name) for name in op.reads if name in copies]
        yield index, (*before, op, *(copies.pop(name) for name in behind if name in copies))


def _as_walked(layout: Layout) -> list[tuple[int, tuple[Op, ...]]]:
    """ORT's own order; what does not run stands in front of the first op that needs it."""
    graph = layout.graph
    running = [op for op in layout.run if op is not None]
    nodes = sorted([*running, *layout.needed_copies().values()], key=lambda op: _number(graph, op))
    idle = {op.index for op, run in zip(graph.ops, layout.run, strict=True) if run is None}
    groups: list[tuple[int, tuple[Op, ...]]] = []
    waiting: tuple[Op, ...] = ()
    for position in walk(nodes):
        op = nodes[position]
        waiting += (op,)
        if op.type not in COPIES:
            if idle:
                groups.extend((index, ()) for index in _idle_before(op.index, graph, idle))
            groups.append((op.index, waiting))
            waiting = ()
    groups.extend((index, ()) for index in sorted(idle))
    return [*groups[:-1], (groups[-1][0], groups[-1][1] + waiting)] if groups else []


def _idle_before(index: int, graph: Graph, idle: set[int]) -> list[int]:
    """Take those out of `idle` that an op rests on without others that run in between."""
    found: list[int] = []
    waiting = [index]
    while waiting and idle:
        producers = {
            graph.producer[name].index for name in graph.ops[waiting.pop()].reads if name in graph.producer
        }
        fresh = producers & idle
        idle -= fresh
        found.extend(fresh)
        waiting.extend(fresh)
    return sorted(found)


def _number(graph: Graph, op: Op) -> tuple[int, int, bool]:
    """Stands for ORT's number of a node: by the stage that makes it, within it by place, copies first."""
    if op.type == "ReorderOutput":
        stage = OUTPUTS_STAGE
    elif op.domain == DOMAIN:
        stage = BLOCKED_STAGE
    else:
        stage = 0 if op is graph.ops[op.index] else STAGES.get(op.type, 0)
    return stage, op.index, op.type not in COPIES
