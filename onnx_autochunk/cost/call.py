"""One call of an op at given shapes: what every pricing rule reads."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple, TypeAlias

from ..graph.masked import masked_share
from ..graph.model import ITEM_BITS, Graph, Op, Origin
from ..memory.kernels import inplace_operands

Shape: TypeAlias = tuple[int, ...] | None


class Call(NamedTuple):
    """An op, the graph it stands in, and its shapes: those of a chunk or of the whole."""

    op: Op
    graph: Graph
    operands: tuple[Shape, ...]
    results: tuple[Shape, ...]

    def operand(self, index: int) -> tuple[int, ...]:
        """Shape of an operand; () when it is absent or unknown."""
        return (self.operands[index] or ()) if index < len(self.operands) else ()

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the first result; () when it is unknown."""
        return self.results[0] or ()

    def is_constant(self, index: int) -> bool:
        """True when the operand is an initializer, and whole: a slice of one is computed."""
        value = self.graph.values.get(self.op.inputs[index])
        return value is not None and value.origin is Origin.CONSTANT and value.shape == self.operands[index]

    def elements(self) -> int:
        """Elements of the largest operand or result."""
        return max((prod(shape) for shape in (*self.operands, *self.results) if shape is not None), default=0)

    def touched_bytes(self) -> int:
        """Bytes of all operands and results."""
        names = self.op.inputs + self.op.outputs
        return sum(self._bytes(n, s) for n, s in zip(names, self.operands + self.results, strict=True))

    def result_bytes(self) -> int:
        """Bytes of all results."""
        return sum(self._bytes(n, s) for n, s in zip(self.op.outputs, self.results, strict=True))

    def traffic_bytes(self) -> int:
        """Bytes that move between memory and processor when nothing stays in a cache.

        Operands are read. Results are fetched before they are written, unless they lie where an operand was.
        """
        return self.touched_bytes() + (0 if self.is_in_place() else self.result_bytes())

    def is_in_place(self) -> bool:
        """True when the result is likely to take an operand's buffer: nobody else reads that one."""
        if not any(at < len(self.op.inputs) and self._is_last_reader(at) for at in inplace_operands(self.op)):
            return False
        return not self.graph.results.intersection(self.op.outputs)

    def _is_last_reader(self, index: int) -> bool:
        name = self.op.inputs[index]
        consumers = self.graph.consumers.get(name, ())
        return name in self.graph.producer and len(consumers) == 1 and name not in self.graph.results

    def _bytes(self, name: str, shape: Shape) -> int:
        value = self.graph.values.get(name)
        return 0 if shape is None or value is None else prod(shape) * ITEM_BITS.get(value.dtype, 32) // 8

    def masked_elements(self) -> float:
        """Elements of a Softmax's operand that a constant mask hides."""
        return masked_share(self.op, self.graph) * prod(self.operand(0))


def call_of(op: Op, graph: Graph, shape_of: Callable[[str], Shape]) -> Call:
    """A call at the shapes that a function gives for names."""
    return Call(op, graph, tuple(map(shape_of, op.inputs)), tuple(map(shape_of, op.outputs)))
