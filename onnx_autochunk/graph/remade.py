"""Large results of constants, made again for every op that reads them, from vectors known at run time only.

    Greater(columns [1, T], rows [T, 1]) -> Where(., lowest, 0) -> mask [T, T] -> Add in each of n layers
    n times: Where(true, columns, columns), Where(true, rows, rows) -> Greater -> Where -> Add

ONNX Runtime computes the mask when it loads, and holds all of it for ever; or in each run, in float16, for
which the CPU has no kernel to fold it with. Behind `true`, which takes an input to compute, nothing can be
folded, and a region of the reader's layer makes what a chunk needs.

Source: onnxruntime/core/optimizer/constant_folding.cc; `half`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir

from .half import KERNELS
from .written import Shape, constant, is_known, shape_of, shared_constant

LARGE_BYTES = 256 * 2**20  # what is no larger may be held: to make it again takes time in every chunk
RUN_BYTES = 2**20  # what is no larger may be computed once in each run
SMALL_SHARE = 1 / 16  # of a large result: what is no larger is read, and not made again
POINTWISE = frozenset(
    "Abs Add And Cast Ceil Div Equal Floor Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mul Neg "
    "Not Or Relu Sub Where Xor".split()
)
RESHAPES = frozenset("Expand Reshape Squeeze Unsqueeze".split())  # of operand 0; the others are small
FILLED = "ConstantOfShape"
TRIANGLE = "Trilu"
CHEAP = POINTWISE | RESHAPES | {FILLED, TRIANGLE}
MOST_OPS = 64  # that make one value again
# What ONNX Runtime's Where and And take.
ELEMENTS = frozenset(
    {
        ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64,
        ir.DataType.UINT8, ir.DataType.BOOL,
    }
)  # fmt: skip


def write_out(model: ir.Model) -> bool:
    """Replace, in place, large results of constants that are cheap to make; True where there was one."""
    graph, found = model.graph, tuple(_large(model.graph))
    anchor = next(filter(_has_elements, graph.inputs), None)
    if not found or anchor is None:
        return False
    known = _known_at_run_time(graph, anchor)
    for value in found:
        for reader in dict.fromkeys(use.node for use in value.uses()):
            writer = _Writer(graph, reader, known, SMALL_SHARE * value_bytes(value))
            copy = writer.made(value)
            graph.insert_before(reader, writer.nodes)
            for at, operand in enumerate(reader.inputs):
                if operand is value:
                    reader.replace_input_with(at, copy)
    _remove_unread(graph, filter(None, (value.producer() for value in found)))
    return True


def value_bytes(value: ir.Value) -> float:
    """Bytes of a value's elements."""
    assert value.dtype is not None, "only known values are made again"
    return prod(shape_of(value)) * value.dtype.itemsize


def _large(graph: ir.Graph) -> Iterator[ir.Value]:
    """Large results of constants, read by nodes that run, that can be made from what is small."""
    folded = _folded(graph)
    run = _run(graph, folded)
    for value in (value for node in graph for value in node.outputs):
        limit = RUN_BYTES if value in run else LARGE_BYTES
        if value not in folded or not _is_known(value) or value_bytes(value) <= limit:
            continue
        runs = all(folded.isdisjoint(use.node.outputs) for use in value.uses())
        if runs and not value.is_graph_output() and _is_cheap(value, SMALL_SHARE * value_bytes(value)):
            yield value


def _folded(graph: ir.Graph) -> set[ir.Value]:
    """What depends on constants only."""
    found = {value for value in graph.initializers.values() if not value.is_graph_input()}
    for node in graph:
        bodies = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
        if not bodies and all(value is None or value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _run(graph: ir.Graph, folded: set[ir.Value]) -> set[ir.Value]:
    """Those results of constants that ONNX Runtime does not fold, because the CPU lacks a kernel."""
    found: set[ir.Value] = set()
    for node in graph:
        operands = [value for value in node.inputs if value is not None]
        half = any(value.dtype is ir.DataType.FLOAT16 for value in operands)
        runs = (half and node.op_type not in KERNELS) or not found.isdisjoint(operands)
        if runs and folded.issuperset(node.outputs):
            found.update(node.outputs)
    return found


def _is_cheap(value: ir.Value, small_bytes: float) -> bool:
    """True when a few cheap ops make it from small constants."""
    seen: set[ir.Value] = set()
    left = [value]
    while left and len(seen) < MOST_OPS:
        one = left.pop()
        seen.add(one)
        if not _is_known(one):
            return False
        if value_bytes(one) > small_bytes:
            node = one.producer()
            if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in CHEAP:
                return False
            left += [operand for operand in _operands(node) if operand not in seen]
        elif one.dtype not in ELEMENTS:
            return False
    return not left


def _operands(node: ir.Node) -> list[ir.Value]:
    """What the elements of the result come from; the rest says shapes."""
    if node.op_type == FILLED:
        return []
    operands = [value for value in node.inputs if value is not None]
    return operands if node.op_type in POINTWISE else operands[:1]


def _known_at_run_time(graph: ir.Graph, anchor: ir.Value) -> ir.Value:
    """A scalar that is true: an element of an input is zero or not, or else true."""
    name, dtype, elements = f"{anchor.name}/any", anchor.dtype, prod(shape_of(anchor))
    assert dtype is not None, "only known values are read"
    steps = (
        (
            "Reshape",
            ir.tensor([-1], ir.DataType.INT64),
            _value(f"{name}/flat", dtype, (elements,)),
        ),
        ("Gather", ir.tensor(0, ir.DataType.INT64), _value(f"{name}/first", dtype, ())),
        ("Equal", ir.tensor(0, dtype), _value(f"{name}/is_zero", ir.DataType.BOOL, ())),
        ("Or", ir.tensor(True, ir.DataType.BOOL), _value(name, ir.DataType.BOOL, ())),
    )
    nodes = []
    for op_type, tensor, result in steps:
        operand = constant(f"{result.name}/operand", tensor)
        graph.register_initializer(operand)
        nodes.append(ir.Node("", op_type, [anchor, operand], outputs=[result], name=str(result.name)))
        anchor = result
    graph.insert_before(graph[0], nodes)
    return anchor


@dataclass(slots=True)
class _Writer:
    """Writes what one reader reads: in order, the nodes that make it."""

    graph: ir.Graph
    reader: ir.Node
    known: ir.Value
    small_bytes: float
    nodes: list[ir.Node] = field(default_factory=list)
    copies: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def made(self, value: ir.Value) -> ir.Value:
        """The value, or what is broadcast like it, not to be had before the run unless it is one element."""
        if value not in self.copies:
            self.copies[value] = self._made(value)
        return self.copies[value]

    def _made(self, value: ir.Value) -> ir.Value:
        node = value.producer()
        if prod(shape_of(value)) == 1:
            return value
        if node is None or value_bytes(value) <= self.small_bytes:
            return self._awaited(value)
        if node.op_type == FILLED:
            return self._call("Expand", [self._awaited(self._fill(node)), node.inputs[0]], value)
        if node.op_type == TRIANGLE:
            return self._triangle(node)
        if node.op_type in RESHAPES:
            return self._reshaped(node)
        return self._call(node.op_type, self._narrow(node), value, node.attributes.values())

    def _awaited(self, value: ir.Value) -> ir.Value:
        """A constant as something that only a run can tell."""
        if value.dtype is ir.DataType.BOOL:
            return self._call("And", [self.known, value], value)
        return self._call("Where", [self.known, value, value], value)

    def _reshaped(self, node: ir.Node) -> ir.Value:
        operand, *others = node.inputs
        assert operand is not None, "RESHAPES reshape something"
        source = self._awaited(operand) if prod(shape_of(operand)) == 1 else self.made(operand)
        return self._call(node.op_type, [source, *others], node.outputs[0], node.attributes.values())

    def _narrow(self, node: ir.Node, beside: Sequence[ir.Value] = ()) -> list[ir.Value]:
        """What a node reads, without filling what it broadcasts itself, against its operands and others."""
        operands = _operands(node)
        for at, operand in enumerate(operands):
            if (filled := self._filling(operand)) is not None:
                others = [*operands[:at], filled, *operands[at + 1 :]]
                if np.broadcast_shapes(*map(shape_of, (*others, *beside))) == shape_of(node.outputs[0]):
                    operands = others
        return [self.made(operand) for operand in operands]

    def _filling(self, value: ir.Value) -> ir.Value | None:
        """The one element that a value is filled with."""
        node = value.producer()
        if node is not None and node.op_type == FILLED:
            return self._fill(node)
        source = node.inputs[0] if node is not None and node.op_type == "Expand" else None
        return source if source is not None and _is_known(source) and prod(shape_of(source)) == 1 else None

    def _fill(self, node: ir.Node) -> ir.Value:
        given = node.attributes.get("value")
        zero = ir.tensor([0], ir.DataType.FLOAT)
        return shared_constant(self.graph, f"{node.name}/fill", zero if given is None else given.as_tensor())

    def _triangle(self, node: ir.Node) -> ir.Value:
        """Trilu by comparing positions; Trilu of a few rows would need another offset in each chunk."""
        result, name = node.outputs[0], f"{node.name}"
        rows, columns = shape_of(result)[-2:]
        down = self._awaited(shared_constant(self.graph, f"{name}/rows", ir.tensor(np.arange(rows)[:, None])))
        along = self._awaited(
            shared_constant(self.graph, f"{name}/columns", ir.tensor(np.arange(columns)[None]))
        )
        if len(node.inputs) > 1 and node.inputs[1] is not None:
            down = self._call("Add", [down, node.inputs[1]], down)
        compare = "GreaterOrEqual" if node.attributes.get_int("upper", 1) else "LessOrEqual"
        kept = self._call(compare, [along, down], _value(f"{name}/kept", ir.DataType.BOOL, (rows, columns)))
        [operand] = self._narrow(node, [kept])
        if result.dtype is ir.DataType.BOOL:
            return self._call("And", [kept, operand], result)
        assert result.dtype is not None, "only known values are made again"
        zero = shared_constant(self.graph, f"{name}/zero", ir.tensor(0, result.dtype))
        return self._call("Where", [kept, operand, zero], result)

    def _call(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        like: ir.Value,
        attributes: Iterable[ir.Attr] = (),
    ) -> ir.Value:
        """A node whose result is like a value."""
        name = f"{self.reader.name}/{like.name}/{len(self.nodes)}_{op_type}"
        result = ir.Value(name=name, type=like.type, shape=like.shape)
        self.nodes.append(ir.Node("", op_type, inputs, attributes, outputs=[result], name=name))
        return result


def _value(name: str, dtype: ir.DataType, shape: Shape) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def _is_known(value: ir.Value) -> bool:
    return value.dtype is not None and is_known(value)


def _has_elements(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType) and _is_known(value) and value.dtype in ELEMENTS


def _remove_unread(graph: ir.Graph, nodes: Iterable[ir.Node]) -> None:
    """Take out nodes whose results nobody reads any more, and those that only they read."""
    todo = list(dict.fromkeys(nodes))
    while todo:
        node = todo.pop()
        if node.graph is not None and not any(
            value.uses() or value.is_graph_output() for value in node.outputs
        ):
            before = [value.producer() for value in node.inputs if value is not None]
            graph.remove(node, safe=True)
            todo += [maker for maker in before if maker is not None]
