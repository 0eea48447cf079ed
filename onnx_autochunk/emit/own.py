"""Give a body the quantisation of what it computes: ONNX Runtime's fusions find it there alone.

    dequantised = DequantizeLinear(weight), Scan{MatMul(DequantizeLinear(x), dequantised)}
    Scan{MatMul(DequantizeLinear(x), DequantizeLinear(weight))}

The second MatMul becomes one that computes in integers and rounds as in the original, and no weight is held
in float (ORT: QDQSelectorActionTransformer). Scales and zero points have to be constants of the body too.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from ..graph.names import Names
from ..graph.quantised import DEQUANTIZE, QUANTIZE
from .scope import Scope

SMALL_BYTES = 1 << 16  # of scales that are copied: one for each column of a weight, and not of blocks of it
WRITTEN = ("chunk/", "frame/")  # how the names of bodies begin that are not the source's


def own_quantisation(graph: ir.Graph, names: Names) -> None:
    """Copy dequantised weights, scales and zero points into the bodies that were written into a graph.

    Args:
        graph: bodies in it, and in those, are changed in place; it stays as it is.
        names: of the model.
    """
    for attribute in (attribute for node in graph for attribute in node.attributes.values()):
        body = attribute.as_graph() if attribute.type == ir.AttributeType.GRAPH else None
        if body is not None:
            if body.name and body.name.startswith(WRITTEN):
                _own(body, Scope(body.name, names))
            own_quantisation(body, names)


def _own(body: ir.Graph, scope: Scope) -> None:
    for node in tuple(body):
        for at, source in _weights(node, body):
            copy = _copy(source, scope)
            body.insert_before(node, copy)
            node.replace_input_with(at, copy.outputs[0])
    for node in body:
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            for at, value in enumerate(node.inputs):
                tensor = None if value is None or value.graph is body else value.const_value
                if at and tensor is not None and tensor.nbytes <= SMALL_BYTES and not _stays_signed(node):
                    own = scope.constant(tensor.numpy())
                    body.register_initializer(own)
                    node.replace_input_with(at, own)


def drop_unread_weights(model: ir.Model) -> None:
    """Take out dequantised weights that are now copied wherever they are read."""
    for graph in model.graphs():
        for node in tuple(graph):
            if _is_weight(node) and not any(v.uses() or v.is_graph_output() for v in node.outputs):
                graph.remove(node, safe=True)


def _stays_signed(node: ir.Node) -> bool:
    """True for a signed QuantizeLinear of which ONNX Runtime makes no unsigned one: several ops read it.

    In a body with one of them it would, did the body hold its zero point.
    """
    return node.op_type == QUANTIZE and node.outputs[0].dtype is ir.DataType.INT8


def _weights(node: ir.Node, body: ir.Graph) -> Iterator[tuple[int, ir.Node]]:
    """Operands that are dequantised weights from outside, beside one that is dequantised in the body."""
    made = [(at, value.producer()) for at, value in enumerate(node.inputs) if value is not None]
    sources = [(at, source) for at, source in made if source is not None and source.op_type == DEQUANTIZE]
    if any(source.graph is body for _, source in sources):
        yield from ((at, source) for at, source in sources if source.graph is not body and _is_weight(source))


def _is_weight(node: ir.Node) -> bool:
    return node.op_type == DEQUANTIZE and all(v is None or v.is_initializer() for v in node.inputs)


def _copy(node: ir.Node, scope: Scope) -> ir.Node:
    (value,) = node.outputs
    name = scope.names.fresh(f"{scope.prefix}/{node.name}")
    result = ir.Value(
        name=scope.names.fresh(f"{scope.prefix}/{value.name}"), type=value.type, shape=value.shape
    )
    return ir.Node(
        node.domain, node.op_type, node.inputs, node.attributes.values(), outputs=[result], name=name
    )
