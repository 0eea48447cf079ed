"""Every region of a small graph, found from the axis rules alone: each node set, flow and choice of copies.

    x -> LayerNorm -> q -> y     {q, +}, {LayerNorm, q, +} along rows or columns, with the LayerNorm in the
     `---------------- + -'      loop only or computed outside as well, ...

Flows are followed backwards from the ends of a set by `axes.carry`; `plan.grow` has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from onnx_autochunk.axes import Mark, Position, Refusal, Step, carry, positions
from onnx_autochunk.graph.model import Graph, Op, Origin
from onnx_autochunk.plan.region import Cut, Region
from onnx_autochunk.plan.rules import Rules

Reads = Sequence[tuple[str, Position | None]]  # what is read, and where it is cut; None for the whole


@dataclass(frozen=True)
class Pieces:
    """Finds the regions of one graph whose ops have one result each.

    Attributes:
        rules: with the order that steps count in.
    """

    graph: Graph
    rules: Rules

    def all(self) -> Iterator[Region]:
        """Every region that can be cut off; whether it has to wait for itself is not seen here."""
        for ops in self._sets():
            for steps in self._flows(ops):
                yield from self._variants(ops, steps)

    def _sets(self) -> Iterator[tuple[int, ...]]:
        """Node sets that hang together, in file order."""
        everything = range(len(self.graph.ops))
        for bits in range(1, 1 << len(self.graph.ops)):
            ops = tuple(index for index in everything if bits >> index & 1)
            if self._connected(ops):
                yield ops

    def _connected(self, ops: Sequence[int]) -> bool:
        """By values that one makes and another reads, or that both read."""
        touched = {i: self._touched(self.graph.ops[i]) for i in ops}
        reached, names = {ops[0]}, set(touched[ops[0]])
        while more := [i for i in ops if i not in reached and names & touched[i]]:
            reached.update(more)
            names.update(*(touched[i] for i in more))
        return len(reached) == len(ops)

    def _touched(self, op: Op) -> set[str]:
        values = self.graph.values
        return {n for n in (*op.reads, *op.outputs) if values[n].origin is not Origin.CONSTANT}

    def _flows(self, ops: tuple[int, ...]) -> Iterator[dict[int, Step]]:
        """Every flow that covers the set, from each choice of axes at its ends."""
        ends = [i for i in ops if not self._readers(i) & set(ops)]
        for chosen in product(*(positions(self.rules[i], result=0) for i in ends)):
            if len({place.extent for place in chosen}) == 1 and chosen[0].extent > 1:
                steps = self._flow(ops, dict(zip(ends, chosen, strict=True)))
                if steps is not None:
                    yield steps

    def _flow(self, ops: tuple[int, ...], ends: Mapping[int, Position]) -> dict[int, Step] | None:
        """Backwards from the ends; None where an op is asked for two slices, or for none, or refuses."""
        wanted: dict[str, set[Position]] = {self._result(i): {place} for i, place in ends.items()}
        steps: dict[int, Step] = {}
        for index in reversed(ops):
            places = wanted.get(self._result(index), set())
            if len(places) != 1:
                return None
            step = carry(self.rules[index], position=places.pop(), result=0)
            if isinstance(step, Refusal) or step.mark is not Mark.MAP:
                return None
            steps[index] = step
            for name, place in self._reads({index: step}):
                if place is not None:
                    wanted.setdefault(name, set()).add(place)
        return steps

    def _variants(self, ops: tuple[int, ...], steps: Mapping[int, Step]) -> Iterator[Region]:
        """One region for each set of ops that also run outside, because somebody there reads them."""
        reads = self._reads(steps)
        cut = {name for name, place in reads if place is not None}
        whole = {name for name, place in reads if place is None}
        useful = [i for i in ops if self._result(i) in cut]
        must = {i for i in ops if self._result(i) in whole}
        for size in range(len(useful) + 1):
            for chosen in map(frozenset, combinations(useful, size)):
                outside = set(range(len(self.graph.ops))) - set(ops) | chosen
                needed = all(i in must or self._leaves(i, outside) for i in chosen)
                if must <= chosen and needed:
                    region = self._region(ops, steps, chosen)
                    if region.outputs and _can_be_cut_off(region):
                        yield region

    def _region(self, ops: tuple[int, ...], steps: Mapping[int, Step], again: frozenset[int]) -> Region:
        flow = {self._result(i): place for i in ops if (place := steps[i].results[0])}
        outside = set(range(len(self.graph.ops))) - set(ops) | again
        reads, step = dict.fromkeys(self._reads(steps)), self.rules.step
        order = sorted(ops, key=step.__getitem__)
        ends = [i for i in order if i not in again and self._leaves(i, outside)]
        return Region(
            start=step[order[0]],
            end=step[order[-1]],
            ops=tuple(order),
            recomputed=again,
            hoisted=(),
            sunk=(),
            sliced=tuple(Cut(name, place) for name, place in reads if place and name not in flow),
            whole=tuple(name for name, place in reads if place is None),
            outputs=tuple(Cut(self._result(i), flow[self._result(i)]) for i in ends),
            flow=flow,
            extent=next(iter(flow.values())).extent,
        )

    def _reads(self, steps: Mapping[int, Step]) -> Reads:
        """What the ops read; constants only where they are cut."""
        return [
            (name, place)
            for index, step in steps.items()
            for at, (name, place) in enumerate(zip(self.graph.ops[index].inputs, step.operands, strict=True))
            if name and at not in self.rules[index].sizes
            if place is not None or self.graph.values[name].origin is not Origin.CONSTANT
        ]

    def _readers(self, index: int) -> set[int]:
        return {reader.index for reader in self.graph.consumers.get(self._result(index), ())}

    def _leaves(self, index: int, outside: set[int]) -> bool:
        return self._result(index) in self.graph.outputs or bool(self._readers(index) & outside)

    def _result(self, index: int) -> str:
        return self.graph.ops[index].outputs[0]


def _can_be_cut_off(region: Region) -> bool:
    return all(cut.position.sliceable for cut in (*region.sliced, *region.outputs))
