"""Calls of the contract family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import MICROSOFT, case, ints

CASES = [
    case("MatMul", (2, 3, 4), (4, 5)),
    case("MatMul", (3, 4), (2, 1, 4, 5)),
    case("MatMul", (4,), (4, 5)),
    case("MatMul", (4,), (2, 4, 5)),
    case("MatMul", (2, 3, 4), (4,)),
    case("MatMul", (4,), (4,)),
    case("MatMul", (2, 1, 3, 4), (5, 4, 3)),
    case("MatMul", (1, 4, 3), (2, 3, 1)),
    case("Gemm", (3, 4), (4, 5)),
    case("Gemm", (4, 3), (5, 4), (5,), transA=1, transB=1, alpha=0.5),
    case("Gemm", (3, 4), (4, 5), (3, 1), beta=2.0),
    case("Gemm", (3, 4), (4, 5), (3, 5)),
    case("Gemm", (3, 4), (4, 5), ()),
    case("Einsum", (3, 4, 2), (5, 4, 2), equation="ikc,jkc->ijc"),
    case("Einsum", (2, 3, 4), (2, 4, 5), equation="bij, bjk -> bik"),
    case("Einsum", (3, 4), equation="ij->i"),
    case("Einsum", (3, 4), (4,), equation="ij,j"),
    case("Einsum", (2, 3, 4), (4, 5), equation="...ij,jk->...ik"),
    case("Einsum", (3,), (4,), equation="i,j->ji"),
    case("Einsum", (3, 4), (3, 4), equation="ij,ij->"),
    case("Einsum", (2, 3, 4, 4), (2, 4, 3, 5), equation="shij,sjhc->sihc"),
    case("FusedMatMul", (2, 4, 3), (2, 5, 4), domain=MICROSOFT, transA=1, transB=1),
    case("FusedMatMul", (3, 4), (4, 5), domain=MICROSOFT, alpha=0.5),
    case("MatMulInteger", ints((2, 3, 4), 9, np.uint8), ints((4, 5), 9, np.uint8)),
    case(
        "MatMulInteger",
        ints((3, 4), 9, np.uint8),
        ints((4, 5), 9, np.uint8),
        ints((), 3, np.uint8),
        ints((5,), 3, np.uint8),
    ),
    *[
        case(
            "QLinearMatMul",
            ints(a, 9, np.uint8),
            np.float32(0.1),
            np.uint8(1),
            ints((4, 5), 9, np.uint8),
            scale,
            point,
            np.float32(0.1),
            np.uint8(1),
            opset=13,
        )
        for a, scale, point in (
            ((3, 4), np.float32(0.2), np.uint8(2)),
            ((2, 3, 4), np.full((5,), 0.2, np.float32), np.full((5,), 2, np.uint8)),
        )
    ],
    case("Det", (2, 3, 3)),
    case("Det", (5, 2, 2, 2)),
]
