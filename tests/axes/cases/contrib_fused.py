"""Calls of the family of fused products and elementwise operators."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tests.axes.build import MICROSOFT, case, each, ints

call, calls = partial(case, domain=MICROSOFT), partial(each, domain=MICROSOFT)
RELU: dict[str, Any] = {"activation": "Relu"}
LEAKY: dict[str, Any] = {"activation": "LeakyRelu", "activation_alpha": 0.1}

SIGNS = ints((4, 3), 9, np.float32, low=-9)

CASES = [
    *calls("FastGelu Gelu MurmurHash3 QuickGelu SampleOp ScaledSiLU", (2, 3)),
    *calls("FastGelu Gelu MurmurHash3 QuickGelu SampleOp ScaledSiLU", (5,)),
    *calls("BiasGelu FastGelu", (2, 5, 3), (3,)),
    call("BiasGelu", (2, 3), (3,)),
    call("ScaledSiLU", (4, 3), np.float32(1.5)),
    call("GatedAdd", (2, 5, 3), (2, 5, 3), (2, 5, 1)),
    call("GatedAdd", (4, 3), (4, 3), (4, 1)),
    call("BiasAdd", (2, 5, 3), (3,), (2, 5, 3)),
    call("BiasAdd", (1, 4, 5), (5,), (1, 4, 5)),
    call("BiasSplitGelu", (2, 5, 6), (6,)),
    call("BiasSplitGelu", (1, 4, 10), (10,)),
    call("BiasDropout", (2, 5, 3), (3,), (2, 5, 3), y="11"),
    call("BiasDropout", (4, 3), (4, 3), None, np.float32(0.5)),
    *calls("ComplexMul ComplexMulConj", (3, 5, 2), (5, 2)),
    *calls("ComplexMul ComplexMulConj", (2, 4, 3, 2), (4, 1, 2)),
    call("MulInteger", ints((2, 3), 9, np.uint8), np.uint8(1), ints((3,), 9, np.uint8), np.uint8(2)),
    call("MulInteger", ints((4, 5), 9, np.int8), None, ints((4, 1), 9, np.int8)),
    call("GemmFastGelu", (2, 5, 3), (3, 4), (4,)),
    call("GemmFastGelu", (5, 3), (3, 4)),
    call("MatMulInteger16", ints((2, 3, 4), 99, np.int16), ints((4, 5), 99, np.int16)),
    call("MatMulInteger16", ints((3, 4), 99, np.int16), ints((2, 4, 5), 99, np.int16)),
    *calls("FusedMatMul TransposeMatMul", (2, 4, 3), (2, 5, 4), transA=1, transB=1),
    *calls("FusedMatMul TransposeMatMul", (3, 4), (4, 5), alpha=0.5),
    call("FusedMatMul", (5, 2, 3, 4), (7, 2, 3, 4), transBatchA=1, transBatchB=1, transB=1),
    call("FusedMatMul", (4, 2, 3, 5), (2, 3, 4, 6), transBatchA=1, transA=1),
    call("FusedMatMul", (3, 2, 4), (4, 2, 5), transBatchA=1, transBatchB=1),
    call("FusedMatMul", (4,), (6, 4), transB=1, transA=1),
    call("FusedMatMul", (2, 3, 4), (4,)),
    call("FusedMatMulActivation", (2, 4, 3), (5, 4), transA=1, transB=1, **RELU),
    call("FusedMatMulActivation", (3, 4), (4, 5), **RELU),
    call("FusedGemm", (3, 4), (4, 5), (5,), **RELU),
    call("FusedGemm", SIGNS, (5, 4), transA=1, transB=1, **LEAKY),
    call("FusedGemm", (3, 4), (4, 5), (3, 1), **LEAKY),
    call("BiasSoftmax", (2, 3, 5, 4), (2, 1, 1, 4), axis=3, is_inner_broadcast=1),
    call("BiasSoftmax", (2, 3, 5, 4), (1, 1, 5, 4), axis=-1, is_inner_broadcast=0),
    call("BiasSoftmax", (3, 5, 4), (5, 4), axis=2, is_inner_broadcast=0),
    call("CDist", (3, 4), (5, 4), metric="sqeuclidean"),
    call("CDist", (5, 3), (2, 3), metric="euclidean"),
    *each("Affine ParametricSoftplus", (2, 3), alpha=2.0, beta=3.0, opset=9),
    *each("Affine ParametricSoftplus ScaledTanh", (5,), alpha=2.0, beta=3.0, opset=9),
    *each("Scale", (2, 3), scale=2.0, opset=9),
    *each("Scale", (5,), scale=0.5, opset=9),
    case("ScaledTanh", (2, 3), alpha=0.5, beta=2.0, opset=9),
    case("Crop", (2, 3, 6, 5), border=[1, 1, 2, 1], opset=9),
    case("Crop", (3, 2, 6, 5), border=[1, 2, 0, 0], scale=[3, 4], opset=9),
    case("ImageScaler", (2, 3, 4, 5), scale=2.0, bias=[0.1, 0.2, 0.3], opset=9),
    case("ImageScaler", (3, 2, 5, 4), scale=0.5, bias=[0.1, 0.2], opset=9),
]
