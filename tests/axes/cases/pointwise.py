"""Calls of the pointwise family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.axes.build import case, each, flags, ints

FLOAT_UNARY = (
    "Abs Acos Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity"
    " IsInf IsNaN LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus"
    " Softsign Sqrt Tan Tanh ThresholdedRelu"
)
CASES = [
    *each(FLOAT_UNARY, (2, 3)),
    *each(FLOAT_UNARY, (5,)),
    *each("Add Sub Mul Div Pow Max Min Mean Sum", (2, 1, 5), (3, 1)),
    *each("PRelu", (2, 3, 5), (3, 1)),
    *each("Add Sub Mul Div Pow Max Min Mean Sum PRelu", (4, 3), ()),
    *each("Equal Greater GreaterOrEqual Less LessOrEqual", ints((2, 3), 3), ints((3,), 3)),
    *each("Equal Greater GreaterOrEqual Less LessOrEqual", ints((3, 1), 3), ints((1, 2), 3)),
    *each("And Or Xor", flags((2, 3)), flags((3,))),
    *each("And Or Xor", flags((5, 1)), flags((5, 2))),
    *each("BitwiseAnd BitwiseOr BitwiseXor Mod", ints((2, 3), 9), ints((3,), 9, low=1)),
    *each("BitwiseAnd BitwiseOr BitwiseXor Mod", ints((5,), 9), ints((5,), 9, low=1)),
    *each("BitShift", ints((2, 3), 9, np.uint8), ints((3,), 3, np.uint8), direction="LEFT"),
    *each("BitShift", ints((5,), 9, np.uint8), ints((5,), 3, np.uint8), direction="RIGHT"),
    *each("BitwiseNot", ints((2, 3), 9)),
    *each("BitwiseNot", ints((5,), 9)),
    *each("Not", flags((2, 3))),
    *each("Not", flags((5,))),
    case("Acosh", 1 + np.arange(6, dtype=np.float32).reshape(2, 3)),
    case("Acosh", np.full((5,), 2, np.float32)),
    case("Swish", (2, 3), opset=24),
    case("Swish", (5,), opset=24),
    case("Max", (2, 3), (3,), (2, 1)),
    case("Sum", (5,), (1, 1), (2, 1)),
    case("Where", flags((2, 1, 3)), (4, 1), ()),
    case("Where", flags((5,)), (2, 5), (1,)),
    case("Clip", (2, 3), np.float32(0.2), np.float32(0.6)),
    case("Clip", (5,), None, np.float32(0.5)),
    case("Clip", (2, 3), min=0.3, max=0.5, opset=7),
    *each("Max Min Sum Mean", (2, 3), (2, 3), opset=7),
    case("Cast", (2, 3), to=7),
    case("Cast", (5,), to=1),
    case("CastLike", (2, 3), ints((2,), 3)),
    case("CastLike", (5,), ints((), 3)),
    case("BitCast", (2, 3), to=6, opset=26),
    case("BitCast", (5,), to=6, opset=26),
    case("BitCast", ints((3, 2), 9), to=11, opset=26),
    case("Dropout", (2, 3), np.float32(0.5), y="11"),
    case("Dropout", (5,), y="11", opset=7),
    case("Dropout", (5,), np.float32(0.5), np.array(False), opset=12),
    replace(case("Dropout", (2, 3), np.float32(0.5), np.array(False), y="11"), known=frozenset({2})),
    replace(case("Dropout", (2, 3), np.float32(0), np.array(True), y="11"), known=frozenset({1})),
    case("SwiGLU", (2, 3), (2, 3), opset=28),
    case("SwiGLU", (5,), (5,), opset=28),
]
