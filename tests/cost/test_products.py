"""Sizes of the matrix products that ops stand for, and which elementwise ops are part of a neighbour."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from onnx_autochunk.cost import products
from onnx_autochunk.cost.call import Call
from onnx_autochunk.cost.fused import is_absorbed
from onnx_autochunk.cost.points import Point
from onnx_autochunk.cost.products import Product
from tests.cost.graphs import Node, graph

Find = Callable[[Call], Product | None]
Shapes = tuple[tuple[int, ...], ...]


@pytest.mark.parametrize(
    ("find", "operands", "result", "attributes", "expected"),
    [
        (products.matmul, ((2, 5, 3), (3, 7)), (2, 5, 7), {}, Product("packed", 1, 10, 7, 3)),
        (products.matmul, ((3,), (3, 7)), (7,), {}, Product("packed", 1, 1, 7, 3)),
        (products.matmul, ((5, 3), (3,)), (5,), {}, Product("packed", 1, 5, 1, 3)),
        (products.matmul, ((2, 4, 5, 3), (2, 4, 3, 7)), (2, 4, 5, 7), {}, Product("plain", 8, 5, 7, 3)),
        (products.matmul, ((4, 1, 3), (4, 3, 7)), (4, 1, 7), {}, Product("vector", 4, 1, 7, 3)),
        (products.matmul, ((5, 3), (4, 3, 7)), (4, 5, 7), {}, Product("plain", 4, 5, 7, 3)),
        (products.gemm, ((5, 3), (3, 7)), (5, 7), {}, Product("packed", 1, 5, 7, 3)),
        (products.gemm, ((3, 5), (7, 3)), (5, 7), {"transA": 1, "transB": 1}, Product("packed", 1, 5, 7, 3)),
        (
            products.conv,
            ((1, 6, 9, 9), (8, 6, 3, 3)),
            (1, 8, 7, 7),
            {},
            Product("conv", 1, 49, 8, 54, window=9),
        ),
        (
            products.conv,
            ((1, 6, 9, 9), (8, 3, 3, 3)),
            (1, 8, 7, 7),
            {"group": 2},
            Product("conv", 2, 49, 4, 27, window=9),
        ),
        (
            products.conv,
            ((1, 6, 9, 9), (6, 1, 3, 3)),
            (1, 6, 7, 7),
            {"group": 6},
            Product("depthwise", 1, 49, 6, 9, window=9),
        ),
        (
            products.conv_transpose,
            ((1, 6, 9, 9), (6, 8, 2, 2)),
            (1, 8, 18, 18),
            {},
            Product("conv", 1, 81, 32, 6),
        ),
        (
            products.einsum,
            ((5, 3), (3, 7)),
            (5, 7),
            {"equation": "ik,kj->ij"},
            Product("plain", 1, 5, 7, 3, (0, 0, 0, 0)),
        ),
        (
            products.einsum,
            ((5, 3), (7, 3)),
            (5, 7),
            {"equation": "ik,jk->ij"},
            Product("plain", 1, 5, 7, 3, (0, 21, 0, 0)),
        ),
        (
            products.einsum,
            ((5, 3, 2), (7, 3, 2)),
            (5, 7, 2),
            {"equation": "ikd, jkd -> ijd"},
            Product("plain", 2, 5, 7, 3, (42, 42 + 70, 30, 0)),
        ),
        (products.einsum, ((5, 3), (3, 7)), (), {"equation": "...k,kj->...j"}, None),
        (products.einsum, ((5, 3),), (3, 5), {"equation": "ij->ji"}, None),
        (products.conv, ((1, 6, 9, 9), ()), (1, 8, 7, 7), {}, None),
    ],
)
def test_sizes(
    find: Find,
    operands: Shapes,
    result: tuple[int, ...],
    attributes: Mapping[str, object],
    expected: Product | None,
) -> None:
    assert find(Point("Any", operands, result, (1,), attributes).call()) == expected


@pytest.mark.parametrize(
    ("kind", "find", "operands", "result", "expected"),
    [
        ("QLinearMatMul", products.matmul, ((5, 3), (3, 7)), (5, 7), Product("packed", 1, 5, 7, 3)),
        ("QGemm", products.gemm, ((5, 3), (3, 7)), (5, 7), Product("packed", 1, 5, 7, 3)),
        (
            "QLinearConv",
            products.conv,
            ((1, 6, 9, 9), (8, 6, 3, 3)),
            (1, 8, 7, 7),
            Product("conv", 1, 49, 8, 54, window=9),
        ),
    ],
)
def test_scales_and_zero_points_are_not_multiplied(
    kind: str, find: Find, operands: Shapes, result: tuple[int, ...], expected: Product
) -> None:
    left, right = operands
    with_scales = (left, (), (), right, (), (), (), ())
    assert find(Point(kind, with_scales, result, (3,), {}).call()) == expected


BIAS: Node = ("Add", "m bias", "y")
X = (64, 64)


@pytest.mark.parametrize(
    ("nodes", "absorbed"),
    [
        ([("MatMul", "x z", "m"), BIAS], False),
        ([("Softmax", "x", "m"), BIAS], False),
        ([("MatMul", "x z", "m"), ("Mul", "m one", "y")], True),
        ([("Softmax", "x", "m"), ("Mul", "m one", "y")], False),
        ([("Mul", "one x", "m"), ("MatMul", "m z", "y")], True),
        ([("Tanh", "x", "m"), ("Add", "m one", "y")], True),
        ([("Sigmoid", "x", "m"), ("Mul", "x m", "y")], True),
        ([("Sigmoid", "z", "m"), ("Mul", "x m", "y")], False),
        ([("MatMul", "x z", "m"), ("Add", "m x", "y")], False),
        ([("MatMul", "x z", "m"), ("Softmax", "m", "y")], False),
    ],
)
def test_absorbed_ops(nodes: list[Node], absorbed: bool) -> None:
    """The arithmetic among the nodes is, or is not, computed by its neighbour."""
    built = graph({"x": X, "z": X}, {"bias": (64,), "one": ()}, nodes, m=X, y=X)
    assert any(is_absorbed(op, built) for op in built.ops) is absorbed


@pytest.mark.parametrize("find", [products.matmul, products.gemm])
def test_a_right_matrix_that_is_computed_is_packed_at_every_call(find: Find) -> None:
    assert find(Point("Any", ((5, 3), (3, 7)), (5, 7)).call()) == Product("unpacked", 1, 5, 7, 3)
