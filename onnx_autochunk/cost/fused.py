"""Which elementwise ops ONNX Runtime makes part of a neighbour: a bias, a scale, the steps of a Gelu.

`MatMul -> Mul(0.125) -> Softmax`: the Mul is free. Where the file has steps, the optimised graph has one
kernel. The optimizer's patterns are many; the rules here say what they share, so that a chain costs about
as much as its kernel.

Source: onnxruntime/core/optimizer/: {matmul_add,matmul_scale,gelu,fast_gelu,quick_gelu}_fusion.cc.
"""

from __future__ import annotations

from ..graph.model import Graph, Op, Origin

ARITHMETIC = frozenset("Add Sub Mul Div Pow".split())
UNARY = frozenset("Erf Tanh Sigmoid Gelu Relu Sqrt Exp Softplus".split())
ABSORBING = ARITHMETIC | UNARY | frozenset("MatMul Gemm Conv FusedMatMul".split())


def is_absorbed(op: Op, graph: Graph) -> bool:
    """True for arithmetic that costs nothing.

    The rules it follows:
        1. With a constant of one element: next to a matrix product or to another elementwise op.
        2. With a constant vector: right after a matrix product (its bias).
        3. `x * f(x)`: the product is computed with the function.
    """
    if op.type not in ARITHMETIC or len(op.inputs) != 2 or op.domain:
        return False
    for name, other in (op.inputs, op.inputs[::-1]):
        value = graph.values.get(name)
        if value is not None and value.origin is Origin.CONSTANT and value.shape is not None:
            return _joins(op, other, value.shape, graph)
    return op.type == "Mul" and any(_applies(a, b, graph) for a, b in (op.inputs, op.inputs[::-1]))


def _joins(op: Op, other: str, constant: tuple[int, ...], graph: Graph) -> bool:
    before = graph.producer.get(other)
    if max(constant, default=1) > 1:
        return len(constant) == 1 and before is not None and before.type in ("MatMul", "Gemm")
    if before is not None and before.type in ABSORBING:
        return True
    after = graph.consumers.get(op.outputs[0], ())
    return len(after) == 1 and after[0].type in ABSORBING


def _applies(argument: str, name: str, graph: Graph) -> bool:
    """True when `name` is f(argument)."""
    producer = graph.producer.get(name)
    return producer is not None and producer.type in UNARY and producer.inputs == (argument,)
