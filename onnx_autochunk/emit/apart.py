"""Keep what loops make apart: ONNX Runtime is not to hold it for later values of the same shape.

ORT keeps a dead buffer for any later value of the same shape, so a model of equal layers holds, all the time,
as many buffers of each shape as any one moment needs. One whose shape it does not know while it loads the
model is kept for nothing. What a Scan gives has as many chunks as the Scan is given, and that number is said
only when the model runs:

    zero = Scan(once){0}                     nothing that has a body is folded
    x [1, 4096, 768] -Reshape to zero + [32, 1, 128, 768]-> [?, 1, 128, 768] -Scan-> [?, 1, 128, 768]

Source: onnxruntime/core/framework/allocation_planner.cc, FindReusableTensor;
onnxruntime/core/optimizer/constant_folding.cc.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph.names import Names
from ..graph.numbers import OPEN
from .scope import Scope, Shape


class Apart:
    """Views whose first axis ORT does not know; each shape is computed once, in front of all else."""

    def __init__(self, graph: ir.Graph, names: Names) -> None:
        self._graph = graph
        self._scope = Scope("apart", names)
        self._zero: ir.Value | None = None
        self._targets: dict[Shape, ir.Value] = {}

    def view(self, scope: Scope, value: ir.Value, shape: Shape, label: str) -> ir.Value:
        """The same elements in another shape, as `Scope.reshape` has it."""
        viewed = scope.value(label, value.dtype, shape)
        viewed.meta[OPEN] = None, *shape[1:]
        return scope.call("Reshape", [value, self._target(shape)], viewed)

    def place(self) -> None:
        """Put the nodes into the graph."""
        for constant in self._scope.constants.values():
            self._graph.register_initializer(constant)
        if self._scope.nodes:
            self._graph.insert_before(self._graph[0], self._scope.nodes)

    def _target(self, shape: Shape) -> ir.Value:
        if shape not in self._targets:
            self._zero = self._zero or self._made_zero()
            target = self._scope.value("shape", ir.DataType.INT64, (len(shape),))
            self._targets[shape] = self._scope.call("Add", [self._zero, self._scope.constant(shape)], target)
        return self._targets[shape]

    def _made_zero(self) -> ir.Value:
        """A vector of one 0."""
        scope, body = self._scope, Scope(f"{self._scope.prefix}/body", self._scope.names)
        seen, zero = body.value("seen", ir.DataType.INT64, ()), scope.value("zero", ir.DataType.INT64, (1,))
        given = body.call("Identity", [seen], body.value("given", ir.DataType.INT64, ()))
        scope.scan(body, [seen], [given], [scope.constant(np.zeros(1, np.int64))], [zero])
        return zero
