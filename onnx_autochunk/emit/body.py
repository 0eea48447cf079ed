"""Copy a region's ops for one chunk: the same nodes on slices, with every shape declared.

`Reshape(x, [1, 4096, 12, 64])` in a region cut along 4096 -> `Reshape(chunk/x, [1, 128, 12, 64])`.
Without declared shapes ORT drops in-place reuse and fusions inside bodies (measured: 68 instead of 36 MiB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..axes import Refusal, Rule, Step, carry, rule_for
from ..errors import RuleError
from ..graph.model import Graph, Op
from ..plan.region import Cut, Region
from .scope import Scope


@dataclass(frozen=True)
class Weaving:
    """A model being rewritten.

    Attributes:
        graph: the records that the plan speaks of.
        nodes: the model's node for each op.
        values: the value that now stands for each name.
    """

    model: ir.Model
    graph: Graph
    nodes: Sequence[ir.Node]
    values: dict[str, ir.Value]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value that is cut, so that it is known."""
        shape = self.graph.shape(name)
        if shape is None:
            raise RuleError(f"value {name!r} is in a region but its shape is unknown")
        return shape


def copy_ops(
    weaving: Weaving, scope: Scope, region: Region, length: int, slices: Mapping[Cut, ir.Value]
) -> dict[str, ir.Value]:
    """Add one chunk's copy of the region to `scope`; what comes back are the results by their old names."""
    made: dict[str, ir.Value] = {}
    for index in region.ops:
        op = weaving.graph.ops[index]
        rule = rule_for(op, weaving.graph)
        step = _step(rule, op, region)
        inputs = [
            _input(weaving, scope, (op, rule, step), at, length, made, slices) for at in range(len(op.inputs))
        ]
        outputs = [
            _result(weaving, scope, name, place, length)
            for name, place in zip(op.outputs, step.results, strict=True)
        ]
        node = weaving.nodes[index]
        scope.nodes.append(
            ir.Node(
                node.domain,
                node.op_type,
                inputs,
                tuple(node.attributes.values()),
                overload=node.overload,
                outputs=outputs,
                name=scope.names.fresh(f"{scope.prefix}/{op.name}"),
                metadata_props=dict(node.metadata_props),
            )
        )
        made.update((name, value) for name, value in zip(op.outputs, outputs, strict=True) if name)
    return made


def _step(rule: Rule, op: Op, region: Region) -> Step:
    at, name = next((at, name) for at, name in enumerate(op.outputs) if name)
    step = carry(rule, position=region.flow[name], result=at)
    if isinstance(step, Refusal):
        raise RuleError(f"{op.type} {op.name!r} is in a region but refuses its flow: {step.reason}")
    return step


def _input(
    weaving: Weaving,
    scope: Scope,
    call: tuple[Op, Rule, Step],
    at: int,
    length: int,
    made: Mapping[str, ir.Value],
    slices: Mapping[Cut, ir.Value],
) -> ir.Value | None:
    """The operand of a copied op: absent, a patched shape, a chunk's value, a slice, or the whole value."""
    op, rule, step = call
    name, place = op.inputs[at], step.operands[at]
    if not name:
        return None
    if at in rule.sizes:
        result, cut = op.outputs[rule.sizes[at]], step.results[rule.sizes[at]]
        assert cut is not None, "a joined op's results all carry the flow"
        return scope.constant(cut.sliced_shape(weaving.shape(result), length))
    if place is None:
        return weaving.values[name]
    return made[name] if name in made else slices[Cut(name, place)]


def _result(weaving: Weaving, scope: Scope, name: str, place: object, length: int) -> ir.Value:
    if not name or place is None:
        return ir.Value(name="")
    assert hasattr(place, "sliced_shape")
    shape = place.sliced_shape(weaving.shape(name), length)
    return scope.value(name, weaving.values[name].dtype, shape)
