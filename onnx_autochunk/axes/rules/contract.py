"""Contractions: matrix products of any rank.

    MatMul: ... m k+, ... k n -> ... m n

Source: https://onnx.ai/onnx/operators/onnx__MatMul.html, onnx__Gemm.html, onnx__Einsum.html
"""

from __future__ import annotations

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.registry import Answer, Node, barrier, rule
from onnx_autochunk.axes.rules.words import fitted, term


@rule("MatMul")
def mat_mul(node: Node) -> Answer:
    """Like numpy: a vector on the left lacks m, on the right n."""
    return _product(node.shape(0), node.shape(1), "")


@rule("MatMulInteger")
def mat_mul_integer(node: Node) -> Answer:
    """Zero points: a scalar, one a row of A, or one a column of B."""
    points = [_along(node, 2, "m"), _along(node, 3, "n")]
    if "?" in points:
        return barrier("MatMulInteger with zero points of several axes")
    return _product(node.shape(0), node.shape(1), ", " + ", ".join(points))


@rule("QLinearMatMul")
def q_linear_mat_mul(node: Node) -> Answer:
    """Scales and zero points as in MatMulInteger; rounding forbids adding partial results."""
    points = [_along(node, 1, "m"), _along(node, 2, "m"), _along(node, 4, "n"), _along(node, 5, "n")]
    if "?" in points or any(node.shape(i) not in ((), (1,)) for i in (6, 7)):
        return barrier("QLinearMatMul with quantisation of several axes")
    a, b, y = _sides(node.shape(0), node.shape(3), "!")
    return f"{a}, {points[0]}, {points[1]}, {b}, {points[2]}, {points[3]}, (), () -> {y}"


def _along(node: Node, operand: int, word: str) -> str:
    shape = node.operands[operand] if operand < len(node.operands) else None
    if not shape or shape == (1,):
        return "()"
    return word if len(shape) == 1 else "?"


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


@rule("FusedMatMul", domain="com.microsoft")
def fused_mat_mul(node: Node) -> Answer:
    """MatMul with transposed operands; both have rank 2 or more."""
    moved = node.integer("transBatchA", 0) or node.integer("transBatchB", 0)
    if moved or len(node.shape(0)) < 2 or len(node.shape(1)) < 2:
        return barrier("FusedMatMul with a vector or a transposed batch")
    a = "... k+ m" if node.integer("transA", 0) else "... m k+"
    b = "... n k" if node.integer("transB", 0) else "... k n"
    return f"{a}, {b} -> ... m n"


@rule("Gemm", since=7)
def gemm(node: Node) -> Answer:
    """C would be added to every partial result, so k is summed only without it."""
    mark = "!" if node.has(2) else "+"
    a = f"k{mark} m" if node.integer("transA", 0) else f"m k{mark}"
    b = "n k" if node.integer("transB", 0) else "k n"
    c = fitted(node.operands[2] or (), ("m", "n")) if node.has(2) else "()"
    return f"{a}, {b}, {c} -> m n"


@rule("Einsum")
def einsum(node: Node) -> Answer:
    """The equation is the rule; letters that the output lacks are summed."""
    left, arrow, right = node.text("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    letters = left.replace(",", "").replace(".", "")
    if not arrow:
        right = ("..." if "." in left else "") + "".join(sorted(x for x in letters if letters.count(x) == 1))
    for written in terms:
        if any(written.count(letter) > 1 for letter in written.replace(".", "")):
            return barrier(f"Einsum reads a diagonal ({written})")
    if "..." in left and "..." not in right:
        return barrier("Einsum sums over the ellipsis")
    sides = [_einsum_term(written, right, shape) for written, shape in zip(terms, node.operands, strict=True)]
    return f"{', '.join(sides)} -> {term(_split(right))}"


def _split(written: str) -> list[str]:
    """`ab...c` -> [a, b, ..., c]."""
    head, dots, tail = written.partition("...")
    return [*head, *([dots] if dots else []), *tail]


def _einsum_term(written: str, right: str, shape: Shape | None) -> str:
    """One operand; a letter of size 1 may broadcast and has no place."""
    head, _, tail = written.partition("...")
    sizes = shape or ()
    ends = [*zip(head, sizes, strict=False), *zip(tail[::-1], sizes[::-1], strict=False)]
    narrow = {letter for letter, size in ends if size == 1}
    return term("1" if word in narrow else word if word in right else f"{word}+" for word in _split(written))


@rule("Det")
def determinant(node: Node) -> Answer:
    """One number a matrix."""
    return f"... m! n! -> {'...' if len(node.shape(0)) > 2 else '()'}"
