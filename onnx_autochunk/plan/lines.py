"""Ops that a chunk runs beside the model's own, as records: for prices and for emission alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..graph.model import Graph, Op, Origin, Value

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Ops in the order in which they run, and the values that they name.

    Attributes:
        version: of the operators that are added.
        sources: index of the model's op that each is a copy of, or stands for; None for others.
    """

    version: int
    values: dict[str, Value]
    ops: list[Op] = field(default_factory=list)
    sources: list[int | None] = field(default_factory=list)

    def shape(self, name: str) -> Shape:
        """Shape of a value, which is known."""
        shape = self.values[name].shape
        assert shape is not None, "values of chunks have shapes"
        return shape

    def copy(self, op: Op, source: int | None) -> None:
        """Add an op whose results are described already."""
        self.ops.append(replace(op, index=len(self.ops)))
        self.sources.append(source)

    def add(
        self,
        type_: str,
        inputs: tuple[str, ...],
        name: str,
        like: str,
        shape: Shape | None = None,
        **attributes: object,
    ) -> str:
        """Add an op with one result of the type of `like`, and its shape unless another is given."""
        self.values[name] = Value(name, self.values[like].dtype, self.shape(like) if shape is None else shape)
        self.copy(Op(0, name, type_, inputs, (name,), "", self.version, attributes), None)
        return name

    def stand_in(self, op: Op, source: int) -> None:
        """Let the latest op bear the name of an op of the model in whose place it is."""
        self.ops[-1] = replace(self.ops[-1], name=op.name)
        self.sources[-1] = source

    def cast(self, value: str, dtype: str, name: str) -> str:
        """The value in another type; itself where it has that type."""
        if self.values[value].dtype == dtype:
            return value
        self.values[name] = Value(name, dtype, self.shape(value))
        self.copy(Op(0, name, "Cast", (value,), (name,), "", self.version, {"to": ONNX_TYPES[dtype]}), None)
        return name

    def reshape(self, value: str, shape: Shape, name: str) -> str:
        """The same elements in another shape; itself where it has that shape."""
        if self.shape(value) == shape:
            return value
        listed = self.constant(np.array(shape, np.int64), f"{name}/shape")
        return self.add("Reshape", (value, listed), name, value, shape)

    def constant(self, data: NDArray[np.generic], name: str) -> str:
        """A small constant."""
        self.values[name] = Value(name, str(data.dtype), data.shape, Origin.CONSTANT, data)
        return name

    def reduce(self, type_: str, value: str, axes: tuple[int, ...], keepdims: int, name: str) -> str:
        """A reduction; from opset 13 (ReduceSum) or 18 on the axes are an operand."""
        shape, operand = self.shape(value), self.version >= (13 if type_ == "ReduceSum" else 18)
        kept = [1 if at in axes else size for at, size in enumerate(shape) if keepdims or at not in axes]
        if operand:
            listed = self.constant(np.array(axes, np.int64), f"{name}/axes")
            return self.add(type_, (value, listed), name, value, tuple(kept), keepdims=keepdims)
        return self.add(type_, (value,), name, value, tuple(kept), keepdims=keepdims, axes=axes)


def version_of(graph: Graph) -> int:
    """Of the standard operators in a graph."""
    return next((op.version for op in graph.ops if op.domain in ("", "ai.onnx")), 21)


# Source: onnx/onnx.proto, TensorProto.DataType.
ONNX_TYPES: Mapping[str, int] = {
    "float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11,
    "bfloat16": 16,
}  # fmt: skip
