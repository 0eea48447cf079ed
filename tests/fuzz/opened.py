"""Random graphs whose sizes stay open: drawn at primes, which then become names.

Reshape to [11, 17, 8]    becomes    Reshape to Concat(Shape(x)[0], Shape(x)[1], 8)
a mask of [17, 17]        becomes    the first rows and columns of one of [40, 40]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.axes.oracle import Array
from tests.fuzz.graphs import Drawn, Layouts, drawn, is_sound, random_feeds

PRIMES = {"batch": 11, "height": 13, "rows": 17, "width": 19}  # a multiple of one has a name
REFERENCE = {"batch": (1, 3), "height": (8, 16), "rows": (8, 24), "width": (8, 16)}
MOST = {"batch": 11, "height": 24, "rows": 40, "width": 24}
MOST_AXES = 6  # a longer vector is not one of sizes
OTHERS = 2  # sizes besides the reference that a graph has to take
WIDTHS = (4, 6, 8, 12, 16)
LAYOUTS: Layouts = {
    "tokens": lambda b: (1, PRIMES["rows"], b.pick(*WIDTHS)),
    "batch": lambda b: (PRIMES["batch"], PRIMES["rows"], b.pick(*WIDTHS)),
    "matrix": lambda b: (PRIMES["rows"], b.pick(*WIDTHS)),
    "image": lambda b: (1, b.pick(2, 3, 4, 8), PRIMES["height"], PRIMES["width"]),
    "pair": lambda b: (PRIMES["rows"], PRIMES["rows"], b.pick(4, 6, 8)),
}


def open_graph(seed: int) -> Drawn:
    """A model that is sound at several sizes; one seed gives one graph."""
    attempts = (_attempt(np.random.default_rng([seed, attempt, 1])) for attempt in count())
    return next(found for found in attempts if found is not None)


def _attempt(rng: np.random.Generator) -> Drawn | None:
    """A graph with what it is run on: reference sizes, one less, any, and 1, as far as it takes them."""
    model = drawn(rng, LAYOUTS)
    sources = _named(model.graph)
    _open(model.graph, _Sizes(sources, rng))
    model = onnx.shape_inference.infer_shapes(model)
    reference = {name: int(rng.integers(*REFERENCE[name], endpoint=True)) for name in sources}
    choices = (
        reference,
        {name: max(1, size - 1) for name, size in reference.items()},
        {name: int(rng.integers(1, MOST[name], endpoint=True)) for name in sources},
        dict.fromkeys(sources, 1),
    )
    first, *others = (random_feeds(model, dims) for dims in choices)
    if not sources or _has_empty(model) or not is_sound(model, first):
        return None
    taken = [feeds for feeds in others if is_sound(model, feeds)]
    return Drawn(model, (first, *taken), reference) if len(taken) >= OTHERS else None


def _has_empty(model: onnx.ModelProto) -> bool:
    """True where inference says that a result is empty: of an Attention whose width it does not know.

    ONNX Runtime believes it, and a Scan of the result fails.
    """
    shapes = (value.type.tensor_type.shape for value in (*model.graph.value_info, *model.graph.output))
    return any(dim.HasField("dim_value") and not dim.dim_value for shape in shapes for dim in shape.dim)


def _named(graph: onnx.GraphProto) -> dict[str, tuple[str, int]]:
    """Give sizes of inputs their names; where each name is found: an input and an axis."""
    sources = dict[str, tuple[str, int]]()
    names = {prime: name for name, prime in PRIMES.items()}
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if name := names.get(dim.dim_value):
                dim.dim_param = name
                sources.setdefault(name, (value.name, axis))
    return sources


def _open(graph: onnx.GraphProto, sizes: _Sizes) -> None:
    """Compute the constants that depend on sizes, and say no more of shapes than how many axes there are."""
    targets = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for weight in graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.int64 and array.ndim == 1 and len(array) <= MOST_AXES:
            sizes.vector(weight.name, array.tolist(), infers=weight.name in targets)
        else:
            sizes.array(weight.name, array)
    nodes = [*sizes.nodes, *graph.node]
    for field_name, values in (("initializer", sizes.weights), ("node", nodes)):
        graph.ClearField(field_name)
        getattr(graph, field_name).extend(values)
    _forget(graph.output)
    for inner in _graphs(graph):
        inner.ClearField("value_info")
        if inner is not graph:
            _forget([*inner.input, *inner.output])


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _forget(values: Sequence[onnx.ValueInfoProto]) -> None:
    """Leave of shapes how many axes there are."""
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()


@dataclass(slots=True)
class _Sizes:
    """Nodes and constants that stand for constants which depend on sizes.

    Attributes:
        sources: where a name is read off: an input and an axis.
    """

    sources: Mapping[str, tuple[str, int]]
    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def vector(self, name: str, numbers: Sequence[int], *, infers: bool = False) -> None:
        """Give a vector of numbers, sometimes with a -1 where the reader infers the first that is open."""
        opened = [at for at, number in enumerate(numbers) if self._names(number)]
        if not opened:
            return self._constant(name, np.array(numbers, np.int64))
        left = list(numbers)
        if infers and self.rng.random() < 0.5:
            left[opened[0]] = -1
        parts = [self._size(f"{name}/{at}", number) for at, number in enumerate(left)]
        return self._node("Concat", parts, name, axis=0)

    def array(self, name: str, array: Array) -> None:
        """Give an array, of which open axes are cut from a longer one."""
        names = {axis: found for axis, size in enumerate(array.shape) if (found := self._names(size))}
        if not names:
            return self._constant(name, array)
        whole = list(array.shape)
        for axis, found in names.items():
            whole[axis] = whole[axis] * prod(MOST[one] for one in found) // prod(PRIMES[one] for one in found)
        more = [(0, long - size) for long, size in zip(whole, array.shape, strict=True)]
        self._constant(f"{name}/whole", np.pad(array, more, mode="wrap"))
        self._constant(f"{name}/starts", np.zeros(len(names), np.int64))
        self._constant(f"{name}/axes", np.array([*names], np.int64))
        self.vector(f"{name}/ends", [array.shape[axis] for axis in names])
        return self._node("Slice", [f"{name}/{part}" for part in ("whole", "starts", "ends", "axes")], name)

    def _names(self, number: int) -> tuple[str, ...]:
        """The names whose product, times a number, a size is."""
        found: list[str] = []
        for name in self.sources:
            while number > 0 and number % PRIMES[name] == 0:
                number //= PRIMES[name]
                found.append(name)
        return tuple(found)

    def _size(self, name: str, number: int) -> str:
        """A vector of one size."""
        names = self._names(number)
        rest = number // prod(PRIMES[one] for one in names)
        self._constant(f"{name}/rest", np.array([rest], np.int64))
        last = f"{name}/rest"
        for at, one in enumerate(names):
            value, axis = self.sources[one]
            self._node("Shape", [value], f"{name}/{at}", start=axis, end=axis + 1)
            self._node("Mul", [last, f"{name}/{at}"], last := f"{name}/{at}/product")
        return last

    def _constant(self, name: str, array: Array) -> None:
        self.weights.append(numpy_helper.from_array(array, name))

    def _node(self, kind: str, operands: Sequence[str], result: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, operands, [result], f"{result}/{kind}", **attributes))
