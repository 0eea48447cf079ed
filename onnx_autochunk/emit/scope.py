"""A place to put new nodes: makes values with shapes, unique readable names, and shared constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..graph.names import Names

Shape = tuple[int, ...]
END = np.iinfo(np.int64).max


def shape_of(value: ir.Value) -> Shape:
    """Shape of a value whose dims are numbers."""
    assert value.shape is not None, "a value that is cut, copied or framed has a shape"
    return value.shape.numpy()


class Scope:
    """New nodes of one graph (the model's own or a body), in the order in which they are to run.

    Attributes:
        tail: those of the nodes that are the last, shorter chunk of a Scan.
    """

    def __init__(self, prefix: str, names: Names) -> None:
        self.prefix = prefix
        self.names = names
        self.nodes: list[ir.Node] = []
        self.tail: tuple[ir.Node, ...] = ()
        self.constants: dict[tuple[str, Shape, bytes], ir.Value] = {}

    def part(self, number: int) -> Scope:
        """One of several stretches of the same graph, with names of its own."""
        inner = Scope(f"{self.prefix}/{number}", self.names)
        inner.nodes, inner.constants = self.nodes, self.constants
        return inner

    def value(self, label: str, dtype: ir.DataType | None, shape: Sequence[int]) -> ir.Value:
        """A value with a fresh name."""
        kind = None if dtype is None else ir.TensorType(dtype)
        return ir.Value(name=self.names.fresh(f"{self.prefix}/{label}"), type=kind, shape=ir.Shape(shape))

    def constant(self, data: Sequence[int] | NDArray[np.generic]) -> ir.Value:
        """A tensor, int64 unless it has a type; equal ones are one."""
        array = data if isinstance(data, np.ndarray) else np.asarray(data, dtype=np.int64)
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self.constants:
            made = self.value("constant", ir.DataType.from_numpy(array.dtype), array.shape)
            made.const_value = ir.Tensor(array, name=made.name)
            self.constants[key] = made
        return self.constants[key]

    def call(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        output: ir.Value,
        attributes: Mapping[str, int | Sequence[int]] | None = None,
    ) -> ir.Value:
        """Add a node with one result."""
        attrs = [ir.convenience.convert_attribute(name, value) for name, value in (attributes or {}).items()]
        name = self.names.fresh(f"{output.name}/{op_type}")
        self.nodes.append(ir.Node("", op_type, inputs, attrs, outputs=[output], name=name))
        return output

    def reshape(self, value: ir.Value, shape: Shape, label: str) -> ir.Value:
        """The same elements in another shape."""
        return self.call("Reshape", [value, self.constant(shape)], self.value(label, value.dtype, shape))

    def scan(
        self,
        body: Scope,
        seen: Sequence[ir.Value],
        results: Sequence[ir.Value],
        reads: Sequence[ir.Value],
        outputs: Sequence[ir.Value],
        states: int = 0,
    ) -> ir.Graph:
        """Add a Scan; the graph that it runs.

        Args:
            body: its nodes and constants.
            seen: what the body sees of each operand, states first.
            results: what it computes, states first.
            reads: the operands.
            outputs: of the Scan.
            states: how many operands are handed from one iteration to the next.
        """
        constants = list(body.constants.values())
        inner = ir.Graph(seen, results, nodes=body.nodes, initializers=constants, name=body.prefix)
        attributes = [ir.AttrGraph("body", inner), ir.AttrInt64("num_scan_inputs", len(seen) - states)]
        name = self.names.fresh(f"{self.prefix}/Scan")
        self.nodes.append(ir.Node("", "Scan", reads, attributes, outputs=outputs, name=name))
        return inner

    def slice(self, value: ir.Value, axis: int, bounds: tuple[int, int], label: str) -> ir.Value:
        """A range of one axis.

        A second, full axis is named as well: ORT would fuse slices that cover a single axis into one Split,
        and all pieces would exist at once (ORT: GatherSliceToSplitFusion).
        """
        shape = shape_of(value)
        other = [next(a for a in range(len(shape)) if a != axis)] if len(shape) > 1 else []
        starts, ends = [bounds[0]] + [0] * len(other), [bounds[1]] + [END] * len(other)
        inputs = [value, *map(self.constant, (starts, ends, [axis, *other]))]
        cut = (*shape[:axis], bounds[1] - bounds[0], *shape[axis + 1 :])
        return self.call("Slice", inputs, self.value(label, value.dtype, cut))
