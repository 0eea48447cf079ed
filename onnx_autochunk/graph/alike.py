"""Constants whose steps are all alike along an axis: readers that spread their operands anyway read one step.

    scores [1, 12, T, T] + zeros [1, 1, T, T]  ->  scores + zero [1, 1, 1, 1]

Exporters write such masks where nothing is hidden. ONNX Runtime would hold all of it and read it again in
every layer; an addition of one zero it leaves out (`fold.added_to_nothing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from .derive import has_elements
from .model import Graph
from .written import Shape, WrittenOut, copied, is_known, is_unread, shape_of, shared_constant, take_out

Array = NDArray[np.generic]

LEAST_BYTES = 2**20  # of a constant that is worth the trouble
MOST_BYTES = 2**28  # of an initializer that is looked at
MOST_ELEMENTS = 2**20  # that are computed
SMALL_SHARE = 1 / 16  # of a constant: what is left of it is no larger
# Every operand is spread to the shape of the result.
SPREADING = frozenset(
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Mul Or Sub Where Xor".split()
)
POINTWISE = SPREADING | frozenset("Cast Identity Neg Not".split())


def write_out(model: ir.Model, graph: Graph) -> tuple[WrittenOut, ...]:
    """Let ops read one step in place of all of them, in place.

    Args:
        model: whose values have shapes, its nodes in an order in which they can run.
        graph: what runs of it.
    """
    nodes = {node.name: node for node in model.graph}
    large = {name for name, value in graph.values.items() if value.nbytes >= LEAST_BYTES}
    readers = [
        nodes[op.name]
        for op in graph.ops
        if op.type in SPREADING and not large.isdisjoint(op.inputs) and op.name in nodes
    ]
    steps = _Steps(model.graph)
    found = [(node, fewer) for node in readers if (fewer := _fewer(node, large, steps))]
    read = {value for node, _ in found for value in node.inputs if value is not None}
    written = tuple(_written(model.graph, node, fewer) for node, fewer in found)
    for value in read:
        _drop_unread(model.graph, value)
    return written


def _fewer(node: ir.Node, large: set[str], steps: _Steps) -> dict[int, Array]:
    """What a node can read in place of large operands; nothing where its result would be smaller."""
    operands = [value for value in node.inputs if value is not None]
    if len(operands) < len(node.inputs) or not all(map(is_known, (*operands, *node.outputs))):
        return {}
    shapes, fewer = [shape_of(value) for value in operands], dict[int, Array]()
    for at, value in enumerate(operands):
        array = steps.of(value) if value.name in large else None
        if array is not None and array.size <= SMALL_SHARE * prod(shapes[at]):
            fewer[at], shapes[at] = array, array.shape
    return fewer if _spread(shapes) == shape_of(node.outputs[0]) else {}


def _spread(shapes: Iterable[Shape]) -> Shape | None:
    """The shape that all are broadcast to; None where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _written(graph: ir.Graph, node: ir.Node, fewer: dict[int, Array]) -> WrittenOut:
    """The node with other operands in its place."""
    result, inputs, constants = node.outputs[0], list(node.inputs), list[ir.Value]()
    for at, array in fewer.items():
        value = node.inputs[at]
        assert value is not None, "it is large"
        inputs[at] = step = shared_constant(graph, f"{value.name}/alike", ir.tensor(array, dtype=value.dtype))
        constants.append(step)
    stands = copied(node, inputs)
    graph.insert_before(node, stands)
    ir.convenience.replace_all_uses_with(result, stands.outputs[0], replace_graph_outputs=True)
    return take_out(graph, [node], [stands], constants, str(node.name))


def _drop_unread(graph: ir.Graph, value: ir.Value) -> None:
    """Take out what made a value that nobody reads any more, and what made that."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        node = value.producer()
        if node is not None and node.graph is graph and all(map(is_unread, node.outputs)):
            waiting += filter(None, node.inputs)
            graph.remove(node, safe=True)
        elif value.is_initializer() and not value.is_graph_input() and is_unread(value):
            graph.initializers.pop(str(value.name), None)


class _Steps:
    """Constants with one step along every axis whose steps are all alike."""

    def __init__(self, graph: ir.Graph) -> None:
        """Follow what is made of constants alone."""
        self._known: dict[ir.Value, Array | None] = {}
        for node in graph:
            made = node.op_type in POINTWISE or node.op_type == "Expand"
            if made and node.domain in ("", "ai.onnx") and all(map(self._is_constant, node.inputs)):
                self._known[node.outputs[0]] = self._made(node)

    def of(self, value: ir.Value) -> Array | None:
        """A constant, with size 1 along those axes; None where it cannot be told cheaply, and for others."""
        if value not in self._known:
            tensor = None if value.is_graph_input() else ir.convenience.get_const_tensor(value)
            is_told = tensor is not None and _is_at_hand(tensor)
            self._known[value] = _one_each(tensor.numpy()) if tensor is not None and is_told else None
        return self._known[value]

    def _is_constant(self, value: ir.Value | None) -> bool:
        if value is None or value.is_graph_input():
            return False
        return value in self._known or ir.convenience.get_const_tensor(value) is not None

    def _made(self, node: ir.Node) -> Array | None:
        result = node.outputs[0]
        operands = [None if operand is None else self.of(operand) for operand in node.inputs]
        known = [operand for operand in operands if operand is not None]
        if len(known) < len(operands) or not is_known(result):
            return None
        shape = shape_of(result)
        if node.op_type == "Expand":
            return known[0].reshape((1,) * (len(shape) - known[0].ndim) + known[0].shape)
        spread = _spread(operand.shape for operand in known)
        if spread is None or prod(spread) > MOST_ELEMENTS:
            return None
        made = _called(node, known)
        return made if made is not None and ir.DataType.from_numpy(made.dtype) == result.dtype else None


def _is_at_hand(tensor: ir.TensorProtocol) -> bool:
    """False for strings, for what is very large, and for what the model comes without."""
    return tensor.dtype != ir.DataType.STRING and tensor.nbytes <= MOST_BYTES and has_elements(tensor)


def _one_each(array: Array) -> Array:
    """One step along every axis whose steps have the same bits."""
    if array.itemsize not in (1, 2, 4, 8) or not array.size:
        return array
    bits = np.ascontiguousarray(array).view(f"u{array.itemsize}").reshape(array.shape)
    for axis, size in enumerate(array.shape):
        first, last = bits.take([0], axis), bits.take([size - 1], axis)
        if (first == last).all() and (first == bits).all():  # the first of them is soon told
            bits = first
    return bits.view(array.dtype)


def _called(node: ir.Node, operands: list[Array]) -> Array | None:
    """What a node makes of its operands; None where the evaluator cannot tell."""
    proto = ir.to_proto(node)
    try:
        (result,) = ReferenceEvaluator(proto).run(None, dict(zip(proto.input, operands, strict=True)))
    except Exception:  # noqa: BLE001 - the evaluator raises whatever it likes; the node is left as it is
        return None
    return np.asarray(result)
