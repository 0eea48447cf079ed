"""Calls of the family of quantised operators."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from tests.axes.build import MICROSOFT, case, each, flags, ints
from tests.axes.cases.contrib_norm import rigid
from tests.axes.oracle import Array

call, calls = partial(case, domain=MICROSOFT), partial(each, domain=MICROSOFT)
SCALE, SMALL, POINT = np.float32(0.1), np.float32(0.01), np.uint8(3)
COLUMNS, ZEROS = np.linspace(0.1, 0.5, 5, dtype=np.float32), ints((5,), 4, np.uint8)
RELU = "QLinearLeakyRelu QLinearSigmoid"
BITS = partial(call, "MatMulNBits", bits=4, block_size=16)
PACKED, MOE = partial(call, "MatMulBnb4", block_size=16, quant_type=1), partial(call, "MoE", k=2)
TABLE = partial(call, "GatherBlockQuantized", block_size=16)


def q(*shape: int) -> Array:
    """Quantised numbers."""
    return ints(shape, 99, np.uint8)


def blocks(count: int) -> Array:
    """Blocks of 32 numbers in 4 bits, each behind its scale."""
    scales = np.linspace(0.1, 0.5, count, dtype=np.float32).view(np.uint8).reshape(count, 4)
    return np.concatenate([scales, q(count, 16)], 1).ravel()


CASES = [
    call("QuantizeLinear", (3, 4), np.float32(0.01), np.uint16(3)),
    call(
        "QuantizeLinear", (2, 3, 5), np.array([0.01, 0.02, 0.03], np.float32), np.zeros(3, np.int16), axis=1
    ),
    call("DequantizeLinear", ints((3, 4), 99, np.uint16), SCALE, np.uint16(3)),
    call("DequantizeLinear", ints((4, 5), 99, np.int16), COLUMNS, np.zeros(5, np.int16), axis=-1),
    *calls("QLinearAdd QLinearMul", q(2, 3, 5), SCALE, POINT, q(3, 1), SCALE, POINT, np.float32(0.3), POINT),
    *calls("QLinearAdd QLinearMul", q(4, 3), SCALE, POINT, q(1), SCALE, POINT, np.float32(0.3), POINT),
    *calls(RELU, q(2, 3), SCALE, POINT, SCALE, POINT),
    *calls(RELU, q(5), SCALE, POINT, SCALE, POINT),
    call("QLinearWhere", flags((4, 1)), q(4, 3), SCALE, POINT, q(3), SCALE, POINT, SCALE, POINT),
    call("QLinearWhere", flags((2, 3)), q(1), SCALE, POINT, q(5, 2, 3), SCALE, POINT, SCALE, POINT),
    *[
        replace(call("QLinearSoftmax", q(2, 3, 5), SCALE, POINT, SMALL, np.uint8(0)), attributes=attributes)
        for attributes in ({"axis": 1, "opset": 13}, {"axis": 1, "opset": 12}, {"axis": -1, "opset": 12})
    ],
    call("QLinearConcat", SCALE, POINT, q(2, 3), SCALE, POINT, q(2, 5), np.float32(0.2), POINT, axis=1),
    call("QLinearConcat", SCALE, POINT, q(1, 3, 4), SCALE, POINT, q(2, 3, 4), SCALE, np.uint8(1), axis=0),
    call("QLinearReduceMean", q(2, 3, 5), SCALE, POINT, SCALE, POINT, axes=[1]),
    call("QLinearReduceMean", q(4, 3), SCALE, POINT, SCALE, POINT, axes=[-1], keepdims=0),
    call("ReduceSumInteger", q(2, 3, 5), axes=[1, 2]),
    call("ReduceSumInteger", q(4, 3), axes=[0], keepdims=0),
    call("DynamicQuantizeMatMul", (2, 3, 4), q(4, 5), COLUMNS, ZEROS, (5,)),
    call("DynamicQuantizeMatMul", (3, 4), q(4, 6), SCALE, POINT),
    call("MatMulIntegerToFloat", q(2, 3, 4), q(4, 5), SCALE, COLUMNS, POINT, ZEROS, (5,)),
    call("MatMulIntegerToFloat", q(3, 4), q(4, 5), SCALE, SCALE),
    call("MatMulIntegerToFloat", q(2, 3, 4), q(2, 4, 6), SCALE, SCALE, POINT),
    call("QGemm", q(3, 4), SCALE, POINT, q(4, 5), COLUMNS, ZEROS, ints((5,), 99, np.int32)),
    call("QGemm", q(4, 3), SCALE, POINT, q(5, 4), SCALE, POINT, None, SCALE, POINT, transA=1, transB=1),
    BITS((2, 3, 32), q(5, 2, 8), (5, 2), q(5, 1), K=32, N=5),
    rigid(BITS((3, 24), q(6, 2, 8), (12,), None, None, (6,), K=24, N=6)),
    BITS((3, 32), q(4, 2, 8), (8,), q(4), K=32, N=4, accuracy_level=4),
    call("MatMulFpQ4", (2, 3, 32), blocks(8), [32, 8], blk_quant_type=0),
    call("MatMulFpQ4", (3, 64), blocks(8), [64, 4], blk_quant_type=0),
    PACKED((2, 3, 32), q(80), (10,), K=32, N=5),
    PACKED((3, 24), q(60), (8,), K=24, N=5),
    rigid(TABLE(q(9, 16), ints((2, 3), 9), (9, 2), q(9, 1), bits=4, gather_axis=0, quantize_axis=1)),
    TABLE(q(9, 32), ints((4,), 9), (9, 2), bits=8, gather_axis=0, quantize_axis=1),
    MOE((2, 3, 8), (6, 4), (4, 16, 8), (4, 16), (4, 8, 16), (4, 8)),
    MOE((5, 8), (5, 4), (4, 16, 8), None, (4, 8, 16), activation_type="gelu"),
    *[
        call(
            "QMoE", value, router, q(4, 16, 8), (4, 16), None, q(4, 16, 8), (4, 16), k=2, expert_weight_bits=4
        )
        for value, router in (((2, 3, 16), (6, 4)), ((5, 16), (5, 4)))
    ],
    call(
        "QMoE",
        (5, 16),
        (5, 4),
        q(4, 16, 8),
        (4, 16),
        None,
        q(4, 16, 8),
        (4, 16),
        *[None] * 7,
        (5, 4),
        k=2,
        expert_weight_bits=4,
    ),
]
