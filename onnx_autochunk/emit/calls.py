"""What every op of a region is called with for one chunk: exact ranges, from the region's outputs backwards.

    Conv(3x3) -> Relu -> Conv(3x3), rows [8, 16) of 64:  the second Conv reads rows [7, 17), so the Relu and
    the first Conv compute those, and the region's input is sliced to rows [6, 18)

Where two ops want different rows of one value, it is computed for both and each takes its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..axes import Call, Range, Rule, Step, call
from ..errors import RuleError
from ..graph.model import Graph, Op
from ..plan.region import Cut, Region
from ..plan.rules import Rules

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Member:
    """An op of a region with its rule and the flow through it."""

    op: Op
    rule: Rule
    step: Step

    def source(self, operand: int, region: Region) -> str | Cut | None:
        """Where a sliced operand comes from: an op inside, by name, or outside; None if it is not sliced."""
        name, place = self.op.inputs[operand], self.step.operands[operand]
        if not name or place is None or operand in self.rule.sizes:
            return None
        return name if name in region.flow else Cut(name, place)


@dataclass(frozen=True, slots=True)
class ChunkCalls:
    """One chunk of a region.

    Attributes:
        calls: by index of the op.
        slices: what of each sliced input is read.
    """

    calls: Mapping[int, Call]
    slices: Mapping[Cut, Range]


def members(graph: Graph, region: Region, rules: Rules) -> tuple[Member, ...]:
    """The ops of a region, in order, but for those whose results nobody reads.

    Raises:
        RuleError: an op refuses the flow: a bug of this package.
    """
    needed = {cut.value for cut in region.outputs}
    found: list[Member] = []
    for index in reversed(region.ops):
        op, rule = graph.ops[index], rules[index]
        if not needed.isdisjoint(op.outputs):
            needed.update(op.reads)
            found.append(Member(op, rule, region.step(op, rule)))
    return tuple(reversed(found))


def chunk_calls(
    graph: Graph, region: Region, inside: tuple[Member, ...], start: int, stop: int
) -> ChunkCalls:
    """How steps [start, stop) of the region's flow are computed."""
    wanted: dict[str, Range] = {}
    slices: dict[Cut, Range] = {}
    calls: dict[int, Call] = {}
    for cut in region.outputs:
        _widen(wanted, cut.value, cut.position.range(start, stop, _shape(graph, cut.value)))
    for member in reversed(inside):
        op = member.op
        asked = [(at, wanted[name]) for at, name in enumerate(op.outputs) if name in wanted]
        made = calls[op.index] = call(member.step, asked)
        for operand, span in enumerate(made.operands):
            source = member.source(operand, region)
            if span is None or source is None:
                continue
            if isinstance(source, Cut):
                _widen(slices, source, span)
            else:
                _widen(wanted, source, span)
    return ChunkCalls(calls, slices)


def _widen(ranges: dict[_Key, Range], key: _Key, span: Range) -> None:
    low, high = ranges.get(key, span)
    ranges[key] = min(low, span[0]), max(high, span[1])


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    shape = graph.shape(name)
    if shape is None:
        raise RuleError(f"value {name!r} is in a region but its shape is unknown")
    return shape
