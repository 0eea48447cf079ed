"""What can be chunked at every size of a model whose sizes are open.

Rules are those that hold at every size (`axes.symbolic`). Where a batch of 1 stands before an axis, a chunk
is one range of it at the reference sizes only: so the flow of each region is followed again at sizes that
are all above 1, and its borders have to be sliceable there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..axes import Mark, Position, Refusal, Rule, carry, rule_for
from ..axes.registry import barrier
from ..axes.symbolic import bound, common, needed_whole
from ..errors import RuleError
from ..graph.dynamic import Dynamic, Size, quotient
from ..graph.model import Graph, Op
from .region import Cut, Region
from .rules import Rules

APART = 1  # the choice of sizes that are above 1 and have nothing in common


def steady_rules(graph: Graph, dynamic: Dynamic) -> dict[int, Rule]:
    """The rule of each op of the reference graph, by index, as far as it holds at every size."""
    return {op.index: _rule(op, graph, dynamic) for op in graph.ops}


def _rule(op: Op, graph: Graph, dynamic: Dynamic) -> Rule:
    ops = [table.get(op.name) for table in dynamic.ops]
    try:
        others = [
            bound(other, there, dynamic.atoms_at(choice))
            for choice, (other, there) in enumerate(zip(ops, dynamic.graphs, strict=True))
            if other is not None and choice
        ]
    except RuleError:  # a table of positions ends
        return barrier("its operands do not fit each other at every size")
    if len(others) < len(dynamic.graphs) - 1:
        return barrier("it computes sizes")
    rule = common([bound(op, graph, dynamic.atoms_at(0)), *others], sliceable=False)
    for result in rule.sizes.values():
        sizes = dynamic.sizes(op.outputs[result])
        if sizes is None or any(dynamic.term(size) is None for size in sizes):
            return barrier("the shape that it is to have cannot be computed before")
    factors = (needed_whole(factor) if factor.patches else factor for factor in rule.factors)
    return replace(rule, factors=tuple(factors))


@dataclass(frozen=True)
class Steady:
    """Tells whether a region can be chunked at every size.

    Attributes:
        graph: of the reference sizes.
        rules: of its ops, as they are at every size.
    """

    graph: Graph
    rules: Rules
    dynamic: Dynamic
    _apart: dict[str, Rule] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def asked(self) -> frozenset[int]:
        """Ops whose results have to exist whole, because sizes are read off them."""
        named = {atom.value for atom in self.dynamic.atoms.values() if not atom.is_element}
        return frozenset(op.index for op in self.graph.ops if not named.isdisjoint(op.outputs))

    def holds(self, region: Region) -> bool:
        """True for a region whose chunks are alike, and are ranges of its borders, at every size."""
        if region.varies or region.accumulator is not None:
            return False
        flow = self._flow(region)
        if flow is None or not all(flow[cut.value].sliceable for cut in (*region.sliced, *region.outputs)):
            return False
        steps = steps_of(region, self.dynamic)
        return steps is not None and self.dynamic.term(steps) is not None and self._is_known(region, steps)

    def _is_known(self, region: Region, steps: Size) -> bool:
        """True when all sizes that a Scan is written with can be computed."""
        cuts = (*region.sliced, *region.outputs, *(Cut(name, place) for name, place in region.flow.items()))
        for cut in cuts:
            sizes = self.dynamic.sizes(cut.value)
            unit = None if sizes is None else quotient(sizes[cut.position.axis], steps)
            if unit is None or self.dynamic.term(unit) is None:
                return False
        shapes = [self.dynamic.sizes(cut.value) or () for cut in region.outputs]
        return all(self.dynamic.term(size) is not None for shape in shapes for size in shape)

    def _flow(self, region: Region) -> Mapping[str, Position] | None:
        """Where the flow lies at sizes that have nothing in common; None where it is lost."""
        there, ops = self.dynamic.graphs[APART], self.dynamic.ops[APART]
        last = self.graph.ops[region.ops[-1]]
        seed = _seed(region.flow[last.outputs[0]], there.shape(last.outputs[0]) or ())
        if seed is None:
            return None
        flow = {last.outputs[0]: seed}
        for index in reversed(region.ops):
            op, rule = self.graph.ops[index], self.rules[index]
            at, name = next((at, name) for at, name in enumerate(op.outputs) if name)
            if name not in flow:
                name = next(name for name in op.outputs if name in flow)
                at = op.outputs.index(name)
            step = carry(self._rule(ops[op.name], there), position=flow[name], result=at)
            if isinstance(step, Refusal) or step.mark is not Mark.MAP:
                return None
            here = region.step(op, rule)
            names = [*(n if at not in rule.sizes else "" for at, n in enumerate(op.inputs)), *op.outputs]
            pairs = zip((*here.operands, *here.results), (*step.operands, *step.results), strict=True)
            for name, (old, new) in zip(names, pairs, strict=True):
                if name and not _agree(old, new, flow.get(name)):
                    return None
                if name and new is not None:
                    flow[name] = new
        return flow

    def _rule(self, op: Op, graph: Graph) -> Rule:
        if op.name not in self._apart:
            self._apart[op.name] = rule_for(op, graph)
        return self._apart[op.name]


def steps_of(region: Region, dynamic: Dynamic) -> Size | None:
    """How many steps the flow of a region has at every choice of sizes."""
    cut = region.outputs[0]
    sizes = dynamic.sizes(cut.value)
    return (
        None
        if sizes is None
        else quotient(sizes[cut.position.axis], (cut.position.unit,) * len(dynamic.graphs))
    )


def _seed(position: Position, shape: tuple[int, ...]) -> Position | None:
    """The same steps along an axis of another size."""
    extent, left = divmod(shape[position.axis], position.unit)
    return None if left or position.outer > 1 else replace(position, extent=extent)


def _agree(here: Position | None, there: Position | None, known: Position | None) -> bool:
    if here is None or there is None:
        return here is there
    return here.axis == there.axis and known in (None, there)
