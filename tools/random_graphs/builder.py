"""A graph under construction: appends nodes, knows shapes, draws what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph under construction."""

    name: str
    shape: tuple[int, ...]
    dtype: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


Piece: TypeAlias = Callable[["Builder", Tensor], "Tensor | None"]


@dataclass(slots=True)
class Builder:
    """A graph, or a body of one, under construction.

    Attributes:
        most: elements that no tensor exceeds.
        outer: the graph around a body; constants live in the outermost one.
    """

    rng: np.random.Generator
    dtype: int
    most: int
    prefix: str = ""
    outer: Builder | None = None
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    counter: int = 0

    def name(self) -> str:
        """A name that nothing has yet."""
        self.counter += 1
        return f"{self.prefix}v{self.counter}"

    def op(
        self,
        kind: str,
        operands: Sequence[Tensor | str],
        shape: Sequence[int],
        dtype: int | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Append a node with one result."""
        return self.ops(kind, operands, [shape], dtype, **attributes)[0]

    def ops(
        self,
        kind: str,
        operands: Sequence[Tensor | str],
        shapes: Sequence[Sequence[int]],
        dtype: int | None = None,
        **attributes: Any,
    ) -> list[Tensor]:
        """Append a node with several results."""
        names = [operand.name if isinstance(operand, Tensor) else operand for operand in operands]
        self.reads.update(names)
        made = [Tensor(self.name(), tuple(shape), dtype or self.dtype) for shape in shapes]
        self.nodes.append(helper.make_node(kind, names, [t.name for t in made], made[0].name, **attributes))
        self.tensors.extend(made)
        return made

    def constant(self, array: np.ndarray[Any, Any]) -> str:
        """A constant of the outermost graph."""
        root = self
        while root.outer is not None:
            root = root.outer
        root.counter += 1
        root.weights.append(numpy_helper.from_array(array, f"c{root.counter}"))
        return root.weights[-1].name

    def integers(self, *numbers: int) -> str:
        """A constant vector of int64."""
        return self.constant(np.array(numbers, np.int64))

    def weight(self, *shape: int) -> str:
        """A constant of small random numbers; a scalar when no shape is given."""
        numbers = self.rng.standard_normal(shape, dtype=np.float32) / 32 + np.float32(not shape)
        return self.constant(np.asarray(numbers, helper.tensor_dtype_to_np_dtype(self.dtype)))

    def pick(self, *choices: Any) -> Any:
        """One of the arguments."""
        return choices[int(self.rng.integers(len(choices)))]

    def one_of(self, tensors: Sequence[Tensor]) -> Tensor:
        """One of the tensors."""
        return tensors[int(self.rng.integers(len(tensors)))]

    def chance(self, share: float) -> bool:
        """True for so many calls."""
        return bool(self.rng.random() < share)

    def fits(self, *shape: int) -> bool:
        """True when a tensor of the shape is neither too large nor of no interest."""
        return self.most / 256 <= prod(shape) <= self.most

    def other(self, shape: Sequence[int], but: Tensor) -> Tensor | None:
        """Another floating-point tensor of the same shape."""
        found = [t for t in self.tensors if t.shape == tuple(shape) and t.dtype == self.dtype and t != but]
        return self.one_of(found) if found else None

    def draw(self) -> Tensor:
        """A tensor to go on from: often the last one, mostly one that nothing has read yet."""
        wide = [t for t in self.tensors if t.dtype == self.dtype and self.fits(*t.shape)]
        fresh = [t for t in wide if not self.reads[t.name]]
        if not fresh or self.chance(0.25):
            return self.one_of(wide)
        return fresh[-1] if self.chance(0.6) else self.one_of(fresh)


def info(tensor: Tensor) -> onnx.ValueInfoProto:
    """Declares a tensor."""
    return helper.make_tensor_value_info(tensor.name, tensor.dtype, tensor.shape)
