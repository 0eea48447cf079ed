"""Contractions: matrix products of any rank.

    MatMul: ... m k+, ... k n -> ... m n

Source: https://onnx.ai/onnx/operators/onnx__MatMul.html, onnx__Gemm.html
"""

from __future__ import annotations

from math import prod

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.words import fitted, term


@rule("MatMul")
def mat_mul(node: Node) -> Answer:
    """Like numpy: a vector on the left lacks m, on the right n."""
    return _product(node.shape(0), node.shape(1), "")


@rule("MatMulInteger")
def mat_mul_integer(node: Node) -> Answer:
    """Zero points: one for all, one a row of A, or one a column of B."""
    points = f"{_along(node, 2, row=True)}, {_along(node, 3, row=False)}"
    return _product(node.shape(0), node.shape(1), f", {points}")


@rule("QLinearMatMul")
def q_linear_mat_mul(node: Node) -> Answer:
    """Scales and zero points as in MatMulInteger; rounding forbids adding partial results."""
    if any(prod(node.shape(index)) > 1 for index in (6, 7)):
        return barrier("QLinearMatMul with several scales for its result, which no runtime takes")
    a, b, y = _sides(node.shape(0), node.shape(3), "!")
    row, column = (
        ", ".join(_along(node, index, row) for index in indices)
        for row, indices in ((True, (1, 2)), (False, (4, 5)))
    )
    return f"{a}, {row}, {b}, {column}, (), () -> {y}"


def _along(node: Node, operand: int, row: bool) -> str:
    """Numbers for the rows m of A or the columns n of B: [M] or [..., M, 1], [N] or [..., 1, N]."""
    shape = node.operands[operand] if node.has(operand) else None
    if not shape or prod(shape) == 1:
        return "()"
    word = "m" if row else "n"
    if len(shape) == 1:
        return word
    ends = ["1" if size == 1 else word for size in shape[-2:]]
    return term(["...", *ends])


def _sides(a: Shape, b: Shape, mark: str) -> tuple[str, str, str]:
    left = [] if len(a) == 1 else ["m"]
    right = [] if len(b) == 1 else ["n"]
    batch = ["..."] if len(a) > 2 or len(b) > 2 else []
    a_batch, b_batch = (batch if left else []), (batch if right else [])
    return (
        term([*a_batch, *left, "k" + mark]),
        term([*b_batch, "k" + mark, *right]),
        term([*batch, *left, *right]),
    )


def _product(a: Shape, b: Shape, points: str) -> str:
    left, right, result = _sides(a, b, "+")
    return f"{left}, {right}{points} -> {result}"


@rule("Gemm", since=7)
def gemm(node: Node) -> Answer:
    """C would be added to every partial result, so k is summed only without it."""
    mark = "!" if node.has(2) and node.op.attributes.get("beta", 1.0) != 0 else "+"
    a = f"k{mark} m" if node.integer("transA", 0) else f"m k{mark}"
    b = "n k" if node.integer("transB", 0) else "k n"
    c = fitted(node.operands[2] or (), ("m", "n")) if node.has(2) else "()"
    return f"{a}, {b}, {c} -> m n"


@rule("Det")
def determinant(node: Node) -> Answer:
    """One number a matrix."""
    return f"... m! n! -> {'...' if len(node.shape(0)) > 2 else '()'}"
