"""Calls of the quantize family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from tests.axes.build import case, ints
from tests.axes.oracle import Array, Case

NARROW = {"uint4": 21, "int4": 21, "float8_e4m3fn": 19, "float8_e5m2": 19, "uint2": 25, "int2": 25}
OUTPUTS = {"int4": 22, "uint4": 21, "float8_e4m3fn": 17, "uint16": 4, "int16": 5}


def _scales(*shape: int) -> Array:
    return np.random.default_rng(4).uniform(0.05, 0.2, shape).astype(np.float32)


def _narrow() -> Iterator[Case]:
    """The types that numpy lacks, per axis and in blocks."""
    for name, opset in NARROW.items():
        dtype = np.dtype(getattr(ml_dtypes, name))
        values = ints((4, 6), 2).astype(dtype)
        yield case("DequantizeLinear", values, _scales(4), np.zeros((4,), dtype), axis=0, opset=opset)
        if opset >= 21:
            yield case("DequantizeLinear", values, _scales(4, 2), axis=1, block_size=3, opset=opset)
            yield case(
                "QuantizeLinear",
                (4, 6),
                _scales(2, 6),
                np.zeros((2, 6), dtype),
                axis=0,
                block_size=2,
                opset=opset,
            )


def _conv(*shapes: tuple[int, ...], scale: tuple[int, ...] = (), bias: int = 0, **options: Any) -> Case:
    value, weight = (ints(shape, 9, np.uint8) for shape in shapes)
    scales, points = _scales(*scale), ints(scale, 3, np.uint8)
    more = [ints((bias,), 9, np.int32)] if bias else []
    return case(
        "QLinearConv", value, np.float32(0.1), np.uint8(2), weight, scales, points,
        np.float32(0.2), np.uint8(1), *more, **options,
    )  # fmt: skip


CASES = [
    case("QuantizeLinear", (3, 4), np.float32(0.1), np.uint8(3)),
    case("QuantizeLinear", (2, 3, 5), _scales(3)),
    case("QuantizeLinear", (3, 5), np.float32(0.1), np.uint8(3), opset=10),
    case("QuantizeLinear", (3, 5), _scales(5), ints((5,), 9, np.int8), axis=-1, opset=13),
    case("QuantizeLinear", (3, 5), _scales(1), np.zeros((1,), np.uint8), opset=13),
    case(
        "QuantizeLinear",
        (5,),
        _scales(
            1,
        ),
        opset=19,
    ),
    case("QuantizeLinear", (4, 6), _scales(4, 3), ints((4, 3), 9, np.uint8), block_size=2, opset=21),
    case("QuantizeLinear", (5, 3), _scales(2, 3), axis=0, block_size=3, opset=25),
    case("QuantizeLinear", (3, 5), _scales(3, 1), block_size=5, opset=23),
    *[case("QuantizeLinear", (3, 4), np.float32(0.1), output_dtype=type_) for type_ in OUTPUTS.values()],
    case("DequantizeLinear", ints((3, 4), 9, np.uint8), np.float32(0.1)),
    case("DequantizeLinear", ints((3, 4), 9, np.int32), np.float32(0.1), opset=10),
    case("DequantizeLinear", ints((4, 3), 9, np.uint8), (3,), ints((3,), 9, np.uint8), axis=-1),
    case("DequantizeLinear", ints((4, 3), 9, np.int8), (3,), ints((3,), 9, np.int8), opset=13),
    case("DequantizeLinear", ints((4, 3), 9, np.int16), np.float16(0.5), opset=21),
    case("DequantizeLinear", ints((4, 6), 9, np.uint8), (4, 3), axis=1, block_size=2),
    case("DequantizeLinear", ints((4, 5), 9, np.uint8), (2, 5), axis=0, block_size=3),
    case("DequantizeLinear", ints((3, 5, 2), 9, np.uint8), (3, 1, 2), block_size=7, opset=21),
    case("DequantizeLinear", ints((6,), 9, np.uint8), (3,), axis=0, block_size=2),
    case("QuantizeLinear", (5,), _scales(2), axis=0, block_size=3),
    *_narrow(),
    _conv((2, 3, 5, 4), (4, 3, 3, 3), pads=[1, 1, 1, 1]),
    _conv((1, 3, 6, 5), (4, 3, 2, 1), scale=(4,), bias=4, strides=[2, 1], opset=10),
    _conv((2, 4, 5), (6, 2, 3), group=2),
]
