"""The graph as the rest of the package sees it: frozen records without any ONNX type.

Everything that decides what to chunk (axis rules, memory, cost, search) reads these records and nothing
else, so it is plain Python that tests build by hand. `graph.load` makes a `Graph` from a file; `emit` goes
back to the file's own IR by name.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

ITEM_BITS: Mapping[str, int] = {
    "float32": 32, "float16": 16, "bfloat16": 16, "float64": 64, "complex64": 64, "complex128": 128,
    "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64,
    "bool": 8, "string": 256, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4e2m1": 4,
    "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "float8e8m0": 8,
    "float6e2m3": 6, "float6e3m2": 6,
}  # fmt: skip


class Origin(enum.Enum):
    """Where a value comes from."""

    INPUT = "input"  # fed by the caller
    CONSTANT = "constant"  # an initializer: resident, never an activation
    COMPUTED = "computed"  # the result of an op


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor.

    Attributes:
        shape: sizes of the axes at the reference sizes; None when the rank is unknown or it is not a tensor.
        data: the elements, for small constants and computed shape vectors only; rules read Reshape targets,
            Slice bounds and the like from it.
        masked: for a mask in front of a Softmax: share of the elements that it hides.
        dims: what the shape says where sizes are open; None where they are bound.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    origin: Origin = Origin.COMPUTED
    data: NDArray[np.generic] | None = field(default=None, compare=False, repr=False)
    masked: float = 0.0
    dims: tuple[int | str | None, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the elements; 0 when the shape is unknown."""
        return nbytes(self.dtype, self.shape)


def nbytes(dtype: str, shape: tuple[int, ...] | None) -> int:
    """Bytes that a tensor of `shape` takes; 0 when the shape is unknown."""
    return 0 if shape is None else (prod(shape) * ITEM_BITS[dtype] + 7) // 8


@dataclass(frozen=True, slots=True)
class Op:
    """One operator call.

    Attributes:
        index: position in `Graph.ops`, which is the order of nodes in the file.
        version: opset version of `domain` that the model imports.
        inputs: operand names, "" where an optional operand is absent.
        attributes: plain Python values (int, float, str, tuple of these, ndarray); bodies are in `subgraphs`.
        captures: outer values that the op's subgraphs read.
        reads: every value the op needs, operands first, then captures; absent operands left out.
    """

    index: int
    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    version: int = 0
    attributes: Mapping[str, object] = field(default_factory=dict, compare=False)
    captures: tuple[str, ...] = ()
    subgraphs: Mapping[str, Graph] = field(default_factory=dict, compare=False, repr=False)
    reads: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", tuple(filter(None, self.inputs)) + self.captures)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default


def numbered(ops: Iterable[Op]) -> tuple[Op, ...]:
    """The ops with their positions as indices."""
    return tuple(op if op.index == at else _renumbered(op, at) for at, op in enumerate(ops))


def _renumbered(op: Op, at: int) -> Op:
    """A copy with another index; `dataclasses.replace` takes three times as long."""
    return Op(
        at, op.name, op.type, op.inputs, op.outputs, op.domain, op.version, op.attributes, op.captures,
        op.subgraphs,
    )  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """Ops in file order (topological), the values they name, and the graph's own inputs and outputs.

    Attributes:
        originals: what ops of this graph, by index, stand for while plans are made.
    """

    ops: tuple[Op, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    originals: Mapping[tuple[int, ...], Graph] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def producer(self) -> Mapping[str, Op]:
        """The op that computes each COMPUTED value."""
        return {name: op for op in self.ops for name in op.outputs if name}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Op, ...]]:
        """The ops that read each value, each op once, in file order."""
        found: dict[str, dict[int, Op]] = {}
        for op in self.ops:
            for name in op.reads:
                found.setdefault(name, {})[op.index] = op
        return {name: tuple(ops.values()) for name, ops in found.items()}

    @cached_property
    def results(self) -> frozenset[str]:
        """The outputs, to look names up in."""
        return frozenset(self.outputs)

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(v.nbytes for v in self.values.values() if v.origin is Origin.CONSTANT)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of a value; None when it is unknown or absent."""
        value = self.values.get(name)
        return None if value is None else value.shape
