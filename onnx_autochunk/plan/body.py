"""One chunk of a region as a graph of its own, so that it can be searched again.

scores [1,12,4096,4096] in a region cut along 4096 rows  ->  [1,12,512,4096] in the body of 8 chunks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from ..axes import Rule, Step
from ..errors import RuleError
from ..graph.model import Graph, Op, Origin, Value
from .combine import Combining, State
from .lines import Lines, version_of
from .region import Cut, Region
from .rules import Rules

Names: TypeAlias = Mapping[Cut | str, str]  # what a chunk calls what it reads a slice of, or whole


@dataclass(frozen=True)
class Body:
    """A chunk of a region.

    Attributes:
        graph: its ops are the region's, in order, on values as long as the chunk; sliced inputs are inputs
            with a name of their own.
        slices: those names.
        wholes: likewise of values that chunks read whole and also compute their own slice of.
        sources: index of the model's op that each op is a copy of, or stands for; None for one that is added.
        states: what an accumulating region hands from chunk to chunk: inputs, and the graph's only outputs.
    """

    graph: Graph
    slices: Mapping[Cut, str] = field(hash=False)
    wholes: Mapping[str, str] = field(hash=False)
    sources: tuple[int | None, ...] = ()
    states: tuple[State, ...] = ()


def has_body(graph: Graph, region: Region, rules: Rules) -> bool:
    """True when all chunks of one length run the same ops on the same numbers."""
    if region.varies:
        return False
    steps = (region.step(graph.ops[index], rules[index]) for index in region.ops)
    return not any(step.factor and step.factor.patches for step in steps)


def body_of(graph: Graph, region: Region, rules: Rules, length: int) -> Body:
    """The body of a region whose chunks of one length are alike.

    Args:
        graph: where the region lies.
        region: one that `has_body`.
        rules: of the graph's ops.
        length: of the chunk.
    """
    slices = {cut: _unused(graph, f"{cut.value}/slice{at}") for at, cut in enumerate(region.sliced)}
    wholes = {name: _unused(graph, f"{name}/whole") for name in region.whole if name in region.flow}
    combining = None if region.accumulator is None else Combining(graph, region, rules)
    lines = Lines(version_of(graph), _given(graph, region, slices, wholes, length))
    names: Names = dict((*slices.items(), *wholes.items()))
    for index in region.ops:
        op = _copy(lines, graph, region, rules[index], index, names, length)
        if combining is not None and index == region.ops[-1]:
            combining.end(lines, op)
        elif combining is not None and index == combining.softmax:
            combining.soft(lines, op)
        else:
            lines.copy(op, index)
    states = () if combining is None else combining.states(lines.values)
    for state in states:
        lines.values[state.value] = replace(lines.values[state.value], origin=Origin.INPUT)
    outputs = (*(cut.value for cut in region.outputs), *(state.leaves for state in states))
    inputs = tuple(name for name, value in lines.values.items() if value.origin is Origin.INPUT)
    chunk = Graph(tuple(lines.ops), lines.values, inputs, outputs)
    return Body(chunk, slices, wholes, tuple(lines.sources), states)


def _given(
    graph: Graph, region: Region, slices: Mapping[Cut, str], wholes: Mapping[str, str], length: int
) -> dict[str, Value]:
    """What the chunk reads."""
    read = dict.fromkeys(name for index in region.ops for name in graph.ops[index].reads)
    values = {name: graph.values[name] for name in read if graph.values[name].origin is Origin.CONSTANT}
    for name in region.whole:
        known = wholes.get(name, name)
        values[known] = replace(graph.values[name], name=known, origin=Origin.INPUT)
    for cut, name in slices.items():
        whole = graph.values[cut.value]
        origin = Origin.CONSTANT if whole.origin is Origin.CONSTANT else Origin.INPUT
        shape = cut.position.sliced_shape(_shape(whole), length)
        values[name] = Value(name, whole.dtype, shape, origin)
    return values


def _copy(
    lines: Lines,
    graph: Graph,
    region: Region,
    rule: Rule,
    index: int,
    names: Names,
    length: int,
) -> Op:
    """One of the region's ops on the chunk's values."""
    op, values = graph.ops[index], lines.values
    step = region.step(op, rule)
    for name, place in zip(op.outputs, step.results, strict=True):
        if name and place is not None:
            shape = place.sliced_shape(_shape(graph.values[name]), length)
            values[name] = Value(name, graph.values[name].dtype, shape)
    inputs = [_operand(op, rule, step, at, region, names) for at in range(len(op.inputs))]
    for operand, result in rule.sizes.items():
        inputs[operand] = _unused(graph, f"{op.outputs[result]}/sizes")
        values[inputs[operand]] = spelled(inputs[operand], values[op.outputs[result]].shape or ())
    return replace(op, inputs=tuple(inputs))


def _operand(op: Op, rule: Rule, step: Step, at: int, region: Region, names: Names) -> str:
    name, place = op.inputs[at], step.operands[at]
    if place is None:
        return names.get(name, name)
    if not name or at in rule.sizes or name in region.flow:
        return name
    return names[Cut(name, place)]


def _unused(graph: Graph, wish: str) -> str:
    """A name that nothing in the graph has: it may be a body, with slices and sizes of its own."""
    while wish in graph.values:
        wish += "/inner"
    return wish


def spelled(name: str, shape: tuple[int, ...]) -> Value:
    """An operand that says a shape."""
    return Value(name, "int64", (len(shape),), Origin.CONSTANT, np.array(shape, np.int64))


def _shape(value: Value) -> tuple[int, ...]:
    if value.shape is None:
        raise RuleError(f"value {value.name!r} is in a region but its shape is unknown")
    return value.shape
