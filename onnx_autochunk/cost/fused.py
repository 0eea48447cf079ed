"""Which elementwise ops ONNX Runtime makes part of a neighbour at no cost: a scale, the steps of a Gelu.

`MatMul -> Mul(0.125) -> Softmax`: the Mul is free. Where the file has steps, the optimised graph has one
kernel. The optimizer's patterns are many; the rules here say what they share, so that a chain costs about
as much as its kernel. A bias is no such op: Gemm writes it over the whole result before it multiplies.

Source: onnxruntime/core/optimizer/: {matmul_add,matmul_scale,gelu,fast_gelu,quick_gelu}_fusion.cc.
"""

from __future__ import annotations

from ..graph.model import Graph, Op, Origin

ARITHMETIC = frozenset("Add Sub Mul Div Pow".split())
UNARY = frozenset("Erf Tanh Sigmoid Gelu Relu Sqrt Exp Softplus".split())
PRODUCTS = frozenset("MatMul Gemm".split())
ABSORBING = ARITHMETIC | UNARY | PRODUCTS | frozenset("Conv FusedMatMul".split())


def is_absorbed(op: Op, graph: Graph) -> bool:
    """True for arithmetic that costs nothing.

    The rules it follows:
        1. With a constant of one element: next to a matrix product or to another elementwise op.
        2. `x * f(x)`: the product is computed with the function.
    """
    if op.type not in ARITHMETIC or len(op.inputs) != 2 or op.domain:
        return False
    for name, other in (op.inputs, op.inputs[::-1]):
        value = graph.values.get(name)
        if value is not None and value.origin is Origin.CONSTANT and value.shape is not None:
            return _joins(op, other, value.shape, graph)
    return op.type == "Mul" and any(_applies(a, b, graph) for a, b in (op.inputs, op.inputs[::-1]))


def _joins(op: Op, other: str, constant: tuple[int, ...], graph: Graph) -> bool:
    if max(constant, default=1) > 1:
        return False
    before = graph.producer.get(other)
    if before is not None and before.type in ABSORBING:
        return True
    after = graph.consumers.get(op.outputs[0], ())
    return len(after) == 1 and after[0].type in ABSORBING


def is_bias(op: Op, graph: Graph) -> bool:
    """True for an Add of a constant vector that becomes part of the matrix product before it."""
    if op.type != "Add" or op.domain:
        return False
    return any(
        _is_vector(name, graph)
        and (before := graph.producer.get(other)) is not None
        and before.type in PRODUCTS
        for name, other in (op.inputs, op.inputs[::-1])
    )


def _is_vector(name: str, graph: Graph) -> bool:
    value = graph.values.get(name)
    return value is not None and value.origin is Origin.CONSTANT and len(value.shape or ()) == 1


def _applies(argument: str, name: str, graph: Graph) -> bool:
    """True when `name` is f(argument)."""
    producer = graph.producer.get(name)
    return producer is not None and producer.type in UNARY and producer.inputs == (argument,)
