"""Calls of the contract family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import Operand, case, ints
from tests.axes.oracle import Case


def _bytes(shape: tuple[int, ...], high: int = 9) -> np.ndarray:
    return ints(shape, high, np.uint8)


def _scales(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(4).uniform(0.05, 0.2, shape).astype(np.float32)


def _quantized(
    a: tuple[int, ...], b: tuple[int, ...], rows: tuple[int, ...], columns: tuple[int, ...]
) -> Case:
    operands: tuple[Operand, ...] = (
        _bytes(a), _scales(rows), _bytes(rows, 3), _bytes(b), _scales(columns), _bytes(columns, 3),
        np.float32(0.1), np.uint8(1),
    )  # fmt: skip
    return case("QLinearMatMul", *operands, opset=21 if len(columns) == 2 else 10)


CASES = [
    case("MatMul", (2, 3, 4), (4, 5)),
    case("MatMul", (3, 4), (2, 1, 4, 5)),
    case("MatMul", (4,), (4, 5)),
    case("MatMul", (4,), (2, 4, 5)),
    case("MatMul", (2, 3, 4), (4,)),
    case("MatMul", (4,), (4,)),
    case("MatMul", (3, 4), (4,), opset=7),
    case("MatMul", (2, 1, 3, 4), (5, 4, 3)),
    case("MatMul", (1, 4, 3), (2, 3, 1)),
    case("MatMul", ints((3, 4), 9), ints((4, 2), 9), opset=9),
    case("Gemm", (3, 4), (4, 5)),
    case("Gemm", (4, 3), (5, 4), (5,), transA=1, transB=1, alpha=0.5),
    case("Gemm", (3, 4), (4, 5), (3, 1), beta=2.0),
    case("Gemm", (3, 4), (4, 5), (3, 5)),
    case("Gemm", (3, 4), (4, 5), ()),
    case("Gemm", (3, 4), (4, 5), (1, 5), opset=7),
    case("Gemm", (4, 3), (4, 5), (1,), transA=1, opset=9),
    case("Gemm", (3, 4), (5, 4), (1, 1), transB=1, opset=11),
    case("Gemm", (3, 4), (4, 5), (5,), beta=0.0),
    case("MatMulInteger", _bytes((2, 3, 4)), _bytes((4, 5))),
    case("MatMulInteger", _bytes((3, 4)), _bytes((4, 5)), _bytes((), 3), _bytes((5,), 3)),
    case("MatMulInteger", _bytes((2, 3, 4)), _bytes((2, 4, 5)), _bytes((1,), 3), _bytes((2, 1, 5), 3)),
    _quantized((3, 4), (4, 5), (), ()),
    _quantized((2, 3, 4), (4, 5), (1,), (5,)),
    _quantized((3, 4), (4, 5), (), (1, 5)),
    case("Det", (2, 3, 3)),
    case("Det", (5, 2, 2, 2)),
    case("Det", (3, 3), opset=11),
]
