"""Operators that compute in integers, and where each has its operands, their scales and their zero points.

MatMul(a, b), quantised  ->  QLinearMatMul(a, a_scale, a_zero, b, b_scale, b_zero, scale, zero)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """An operator and where its integer form has its operands.

    Attributes:
        type: the operator.
        integer: its integer form.
        domain: of the integer form.
        operands: places of each operand, its scale and its zero point.
        bias: place of the last operand, which stays as it is.
        result: places of the scale and the zero point of the result; None where it is not quantised.
    """

    type: str
    integer: str
    operands: tuple[tuple[int, int, int], ...]
    result: tuple[int, int] | None
    bias: int | None = None
    domain: str = "com.microsoft"

    @property
    def places(self) -> int:
        """How many operands the integer form has."""
        operands = [place for operand in self.operands for place in operand]
        return 1 + max(*operands, *(self.result or ()), self.bias or 0)


ONE, TWO = ((0, 1, 2),), ((0, 1, 2), (3, 4, 5))
KINDS = (
    Kind("MatMul", "QLinearMatMul", TWO, (6, 7), domain=""),
    Kind("MatMul", "MatMulIntegerToFloat", ((0, 2, 4), (1, 3, 5)), None),
    Kind("Conv", "QLinearConv", TWO, (6, 7), bias=8, domain=""),
    Kind("Gemm", "QGemm", TWO, (7, 8), bias=6),
    Kind("Gemm", "QGemm", TWO, None, bias=6),
    Kind("Add", "QLinearAdd", TWO, (6, 7)),
    Kind("Mul", "QLinearMul", TWO, (6, 7)),
    Kind("Sigmoid", "QLinearSigmoid", ONE, (3, 4)),
    Kind("LeakyRelu", "QLinearLeakyRelu", ONE, (3, 4)),
)
