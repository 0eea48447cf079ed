"""What runs of a graph as exported, in which order: fused ops, float32, blocked layouts, copies between them.

`a = MatMul(x, w), b = Add(a, v), y = Conv(b, k)` -> at the place of a nothing, of b a Gemm, of y three ops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..graph.model import Graph, Op
from .blocked import DOMAIN
from .blocking import Layout, bring_into_blocks
from .fused import ops_as_run
from .halves import Constants, bring_into_float32, constants_in_halves, has_halves, inlined
from .order import walk

# When ORT makes these nodes: each is numbered behind all that were there before.
STAGES = {"Gemm": 1, "FusedMatMul": 4, "Gelu": 4, "QuickGelu": 4}
INLINED_STAGE, CAST_STAGE, BLOCKED_STAGE, OUTPUTS_STAGE = 2, 3, 5, 6


@dataclass(frozen=True, slots=True)
class Running:
    """The run of a graph.

    Attributes:
        graph: with the values that ORT adds.
        order: indices of its ops; a step is a position in it.
        calls: what runs, with the step it belongs to; None where nothing does.
        converted: whether ORT converted a constant from float16 when it loaded the graph or those around it.
    """

    graph: Graph
    order: tuple[int, ...]
    calls: tuple[tuple[int, Op | None], ...]
    converted: bool = False


def as_it_stands(graph: Graph, order: Sequence[int]) -> Running:
    """Every op once, in this order."""
    return Running(graph, tuple(order), tuple((step, graph.ops[index]) for step, index in enumerate(order)))


def as_run(
    graph: Graph,
    order: Sequence[int] | None,
    provider: str,
    outer: Collection[str],
    *,
    converted: bool = False,
) -> Running:
    """What ORT makes of a graph.

    Args:
        graph: as exported.
        order: indices of the ops in the order to run them; None stands for the order ORT would choose.
        provider: whose kernels.
        outer: values of the graphs around it, if it is a body.
        converted: of those graphs, as `Running` has it.
    """
    halves = None
    if provider == "cpu" and has_halves(graph):
        halves = constants_in_halves(graph, outer, converted=converted)
    layout, owners = _rewritten(graph, provider, frozenset(outer), halves)
    groups = list(_as_walked(layout, owners) if order is None else _in_order(layout, owners, order))
    calls = tuple((step, op) for step, (_, ops) in enumerate(groups) for op in ops or (None,))
    whole = Graph(graph.ops, layout.values, graph.inputs, graph.outputs)
    return Running(whole, tuple(index for index, _ in groups), calls, bool(halves and halves.converted))


def _rewritten(
    graph: Graph, provider: str, outer: frozenset[str], halves: Constants | None
) -> tuple[Layout, Sequence[int]]:
    """What runs at each place, and the op of the graph that each place belongs to."""
    owners: Sequence[int] = range(len(graph.ops))
    ops = ops_as_run(graph, halves)
    if halves is None:
        layout = Layout(graph, list(ops), graph.values, outer)
    else:
        found = inlined(graph, ops)
        layout, owners = Layout(found.graph, found.ops, found.graph.values, outer), found.owners
        bring_into_float32(layout, halves.cast, found.added)
    if provider == "cpu":
        bring_into_blocks(layout)
    return layout, owners


Groups: TypeAlias = Iterator[tuple[int, tuple[Op, ...]]]


def _in_order(layout: Layout, owners: Sequence[int], order: Sequence[int]) -> Groups:
    """Each copy in front of its first reader; those that are results behind what they are copied from."""
    copies = layout.needed_copies()
    results = {op.inputs[0]: name for name in layout.graph.outputs for op in [copies.get(name)] if op}
    places: dict[int, list[int]] = {}
    for place, owner in enumerate(owners):
        places.setdefault(owner, []).append(place)

    def made(name: str) -> Iterator[Op]:
        if copy := copies.pop(name, None):
            yield from made(copy.inputs[0])
            yield copy

    for index in order:
        ops: list[Op] = []
        for op in (layout.run[place] for place in places[index]):
            if op is not None:
                ops.extend(copy for name in op.reads for copy in made(name))
                ops.append(op)
                ops.extend(copy for name in op.outputs if name in results for copy in made(results[name]))
        yield index, tuple(ops)


def _as_walked(layout: Layout, owners: Sequence[int]) -> list[tuple[int, tuple[Op, ...]]]:
    """ORT's own order; what does not run stands in front of the first op that needs it."""
    graph, copies = layout.graph, layout.needed_copies()
    stages = _Stages(layout, owners)
    nodes = [op for op in layout.run if op is not None]
    nodes = sorted([*nodes, *copies.values()], key=stages.number)
    last = {owner: place for place, owner in enumerate(owners)}
    idle = {op.index for op, run in zip(graph.ops, layout.run, strict=True) if run is None}
    groups: list[tuple[int, tuple[Op, ...]]] = []
    waiting: tuple[Op, ...] = ()
    for position in walk(nodes):
        op = nodes[position]
        waiting += (op,)
        if op.outputs[0] not in copies and last[owners[op.index]] == op.index:
            if idle:
                groups.extend((owners[index], ()) for index in _idle_before(op.index, graph, idle))
            groups.append((owners[op.index], waiting))
            waiting = ()
    groups.extend((owners[index], ()) for index in sorted(idle))
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


@dataclass(frozen=True, slots=True)
class _Stages:
    """When ORT makes each node."""

    layout: Layout
    owners: Sequence[int]

    def number(self, op: Op) -> tuple[int, int, bool]:
        """Stands for ORT's number of a node: by the stage that makes it, within it by place, copies first."""
        is_copy = op.outputs[0] in self.layout.copies
        if is_copy and op.type == "Cast":
            stage = CAST_STAGE
        elif op.type == "ReorderOutput":
            stage = OUTPUTS_STAGE
        elif op.domain == DOMAIN:
            stage = BLOCKED_STAGE
        elif op.type != self.layout.graph.ops[op.index].type:
            stage = STAGES.get(op.type, 0)
        else:
            stage = INLINED_STAGE if self._is_inlined(op.index) else 0
        return stage, op.index, not is_copy

    def _is_inlined(self, place: int) -> bool:
        owners = self.owners
        return owners[place] in (*owners[max(0, place - 1) : place], *owners[place + 1 : place + 2])
