"""One chunk of a region as a graph of its own, so that it can be searched again.

scores [1,12,4096,4096] in a region cut along 4096 rows  ->  [1,12,512,4096] in the body of 8 chunks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..axes import Refusal, Rule, Step, carry
from ..errors import RuleError
from ..graph.model import Graph, Op, Origin, Value
from .region import Cut, Region
from .rules import Rules


@dataclass(frozen=True)
class Body:
    """A chunk of a region.

    Attributes:
        graph: its ops are the region's, in order, on values as long as the chunk; sliced inputs are inputs
            with a name of their own.
        slices: those names.
    """

    graph: Graph
    slices: Mapping[Cut, str] = field(hash=False)


def has_body(graph: Graph, region: Region, rules: Rules) -> bool:
    """True when all chunks of one length run the same ops on the same numbers."""
    if region.varies:
        return False
    steps = (_step(rules[index], graph.ops[index], region) for index in region.ops)
    return not any(step.factor and step.factor.patches for step in steps)


def body_of(graph: Graph, region: Region, rules: Rules, length: int) -> Body:
    """The body of a region whose chunks of one length are alike.

    Args:
        graph: where the region lies.
        region: one that `has_body`.
        rules: of the graph's ops.
        length: of the chunk.
    """
    slices = {cut: f"{cut.value}/slice{at}" for at, cut in enumerate(region.sliced)}
    values = {name: value for name, value in graph.values.items() if value.origin is Origin.CONSTANT}
    for name in region.whole:
        values[name] = replace(graph.values[name], origin=Origin.INPUT)
    for cut, name in slices.items():
        whole = graph.values[cut.value]
        origin = Origin.CONSTANT if whole.origin is Origin.CONSTANT else Origin.INPUT
        shape = cut.position.sliced_shape(_shape(whole), length)
        values[name] = Value(name, whole.dtype, shape, origin)
    ops = []
    for at, index in enumerate(region.ops):
        op, rule = graph.ops[index], rules[index]
        step = _step(rule, op, region)
        for name, place in zip(op.outputs, step.results, strict=True):
            if name and place is not None:
                shape = place.sliced_shape(_shape(graph.values[name]), length)
                values[name] = Value(name, graph.values[name].dtype, shape)
        inputs = [_operand(op, rule, step, operand, region, slices) for operand in range(len(op.inputs))]
        for operand, result in rule.sizes.items():
            inputs[operand] = f"{op.outputs[result]}/sizes"
            shape = values[op.outputs[result]].shape or ()
            values[inputs[operand]] = _spelled(inputs[operand], shape)
        ops.append(replace(op, index=at, inputs=tuple(inputs)))
    outputs = tuple(cut.value for cut in region.outputs)
    inputs_of = tuple(name for name, value in values.items() if value.origin is Origin.INPUT)
    return Body(Graph(tuple(ops), values, inputs_of, outputs), slices)


def _operand(op: Op, rule: Rule, step: Step, at: int, region: Region, slices: Mapping[Cut, str]) -> str:
    name, place = op.inputs[at], step.operands[at]
    if not name or place is None or at in rule.sizes or name in region.flow:
        return name
    return slices[Cut(name, place)]


def _spelled(name: str, shape: tuple[int, ...]) -> Value:
    return Value(name, "int64", (len(shape),), Origin.CONSTANT, np.array(shape, np.int64))


def _step(rule: Rule, op: Op, region: Region) -> Step:
    at, name = next((at, name) for at, name in enumerate(op.outputs) if name)
    step = carry(rule, position=region.flow[name], result=at)
    if isinstance(step, Refusal):
        raise RuleError(f"{op.type} {op.name!r} is in a region but refuses its flow: {step.reason}")
    return step


def _shape(value: Value) -> tuple[int, ...]:
    if value.shape is None:
        raise RuleError(f"value {value.name!r} is in a region but its shape is unknown")
    return value.shape
