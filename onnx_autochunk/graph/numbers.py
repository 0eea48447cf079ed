"""Sizes as int64 vectors that the model computes once when it runs, from the shapes of its inputs.

`[batch, 12, 4*tokens]` -> Shape, Gather -> Mul -> Concat, whose result goes where a constant would go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from .dynamic import Atom, Dynamic, Size

OPEN = "onnx_autochunk.open"  # what is known of a value's axes at every size, among what an IR value carries
ZERO_OPSET = 14  # from which on a Reshape tells an empty axis from one that it takes over
Dim: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class Extent:
    """An axis of what is computed: its size at the reference sizes, and what a shape says of it at any."""

    number: int
    label: Dim


def open_shape(value: ir.Value) -> tuple[Dim, ...] | None:
    """What the shape of a value says when no size is bound; None where nothing is known."""
    found: tuple[Dim, ...] | None = value.meta.data.get(OPEN)
    return found


class Numbers:
    """Computes sizes in a graph, each of them once.

    Attributes:
        nodes: those that do, in order; `place` puts them into the graph.
    """

    def __init__(self, graph: ir.Graph, dynamic: Dynamic, fresh: Callable[[str], str]) -> None:
        self.dynamic = dynamic
        self.nodes: list[ir.Node] = []
        self._graph = graph
        self._fresh = fresh
        self._values = {v.name: v for v in graph.inputs} | {v.name: v for n in graph for v in n.outputs}
        self._known: dict[object, ir.Value] = {}
        self._given: Mapping[str, ir.Value] = {}

    def inside(self, dynamic: Dynamic, label: str, length: ir.Value) -> Numbers:
        """The same for a body; its sizes depend on the length of its chunk too, a vector of one element."""
        numbers = copy(self)
        numbers.dynamic, numbers._given = dynamic, {**self._given, label: length}
        return numbers

    @property
    def zero(self) -> Mapping[str, int]:
        """What makes a 0 in a Reshape's target an empty axis; nothing in opset 13, which cannot say so."""
        return {"allowzero": 1} if self._graph.opset_imports.get("", 1) >= ZERO_OPSET else {}

    def allow_zero(self, node: ir.Node) -> None:
        """Say so of a Reshape whose whole target is computed."""
        node.attributes.update({name: ir.AttrInt64(name, number) for name, number in self.zero.items()})

    def place(self) -> None:
        """Put the nodes into the graph, each behind what it reads."""
        self._graph.extend(self.nodes)
        self._graph.sort()
        self.nodes = []

    def size(self, size: Size) -> ir.Value:
        """A size as a vector of one element."""
        term = self.dynamic.term(size)
        assert term is not None, "only what can be computed is asked for"
        if not term.factors:
            return self.constant([term.times])
        result = self.of_atom(term.factors[0])
        for atom in term.factors[1:]:
            result = self.call("Mul", [result, self.of_atom(atom)], (1,), str(term))
        if term.times != 1:
            result = self.call("Mul", [result, self.constant([term.times])], (1,), str(term))
        if term.over != 1:
            result = self.call("Div", [result, self.constant([term.over])], (1,), str(term))
        return result

    def of_atom(self, atom: Atom) -> ir.Value:
        """The size that an atom is."""
        if atom.label in self._given:
            return self._given[atom.label]
        value = self._values[atom.value]
        numbers = value.shape.numpy() if value.shape is not None else ()
        if atom.is_element:
            row = self.call("Cast", [value], numbers, f"{atom.value}/cast", to=int(ir.DataType.INT64))
            row = self.call("Reshape", [row, self.constant([-1])], (prod(numbers),), f"{atom.value}/row")
        else:
            row = self.call("Shape", [value], (len(numbers),), f"{atom.value}/shape")
        return self.call("Gather", [row, self.constant([atom.at])], (1,), atom.label, axis=0)

    def vector(self, entries: Sequence[Size | ir.Value]) -> ir.Value:
        """Several sizes in a row."""
        parts = [entry if isinstance(entry, ir.Value) else self.size(entry) for entry in entries]
        if all(part.const_value is not None for part in parts):
            return self.constant([int(part.const_value.numpy()[0]) for part in parts if part.const_value])
        return parts[0] if len(parts) == 1 else self.call("Concat", parts, (len(parts),), "sizes", axis=0)

    def range(self, count: ir.Value, extent: Extent) -> ir.Value:
        """The numbers below a count, which is a vector of one."""
        end = self.call("Squeeze", [count], (), f"{count.name}/scalar")
        return self.call("Range", [self.constant(0), end, self.constant(1)], (extent,), "range")

    def extent(self, size: Size) -> Extent:
        """An axis of this size."""
        return Extent(size[0], self.dynamic.label(size))

    def constant(self, numbers: int | Sequence[int]) -> ir.Value:
        """A scalar or a vector that is the same at every size."""
        array = np.asarray(numbers, np.int64)
        key = (array.shape, array.tobytes())
        if key not in self._known:
            value = self._value("constant", array.shape)
            value.const_value = ir.Tensor(array, name=value.name)
            self._graph.register_initializer(value)
            self._known[key] = value
        return self._known[key]

    def call(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        shape: Sequence[int | Extent],
        label: str,
        **attributes: int,
    ) -> ir.Value:
        """The result of an op on sizes; it runs once, however often it is asked for.

        Args:
            op_type: the op.
            inputs: int64.
            shape: of the result.
            label: what it is called.
            attributes: of the op.
        """
        key = (op_type, *inputs, *attributes.items())
        if key not in self._known:
            result = self._value(label, shape)
            attrs = [ir.convenience.convert_attribute(name, number) for name, number in attributes.items()]
            name = f"{result.name}/{op_type}"
            self.nodes.append(ir.Node("", op_type, inputs, attrs, outputs=[result], name=name))
            self._known[key] = result
        return self._known[key]

    def _value(self, label: str, shape: Sequence[int | Extent]) -> ir.Value:
        axes = [Extent(axis, axis) if isinstance(axis, int) else axis for axis in shape]
        value = ir.Value(
            name=self._fresh(f"sizes/{label}"),
            type=ir.TensorType(ir.DataType.INT64),
            shape=ir.Shape([axis.number for axis in axes]),
        )
        value.meta[OPEN] = tuple(axis.label for axis in axes)
        return value


def released(model: ir.Model, dynamic: Dynamic | None) -> ir.Model:
    """A copy that takes every size: shapes say what is known at all of them, or nothing.

    Args:
        model: bound to the reference sizes.
        dynamic: its sizes; None for a model that has no others, which keeps the shapes that are not hidden
            from ONNX Runtime (`emit.apart`).
    """
    if dynamic is None and not any(map(open_shape, _made(model))):
        return model
    made, accepted = model.clone(), {} if dynamic is None else dynamic.accepted
    for value in _made(made):
        known = open_shape(value)
        if dynamic is not None and known is None and (sizes := dynamic.sizes(str(value.name))) is not None:
            known = tuple(map(dynamic.label, sizes))
        if known is not None or dynamic is not None:
            value.shape = None if known is None else ir.Shape(known)
    for value in (value for graph in made.graphs() for value in (*graph.inputs, *graph.outputs)):
        if str(value.name) in accepted:
            value.shape = ir.Shape(accepted[str(value.name)])
    return made


def _made(model: ir.Model) -> Iterator[ir.Value]:
    """Inputs and results of a model's graphs, bodies and all."""
    for graph in model.graphs():
        yield from graph.inputs
        yield from (value for node in graph for value in node.outputs)
