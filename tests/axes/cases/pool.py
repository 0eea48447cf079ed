"""Calls of the pool family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.build import case, each, ints

REGIONS = np.array([[0, 0, 0, 3, 2], [1, 1, 1, 3, 4], [0, 0, 2, 2, 4]], np.float32)
HANGING: dict[str, Any] = {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
CASES = [
    *each("MaxPool AveragePool LpPool", (2, 3, 4, 6), kernel_shape=[2, 2], strides=[2, 2]),
    *each("MaxPool AveragePool LpPool", (1, 3, 5), kernel_shape=[3], pads=[1, 1]),
    *each("MaxPool AveragePool LpPool", (1, 2, 8, 7), kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 3]),
    *each("MaxPool AveragePool LpPool", (1, 2, 9), kernel_shape=[3], dilations=[2], pads=[2, 1]),
    *each("MaxPool AveragePool LpPool", (1, 2, 7), kernel_shape=[3], auto_pad="SAME_LOWER", strides=[2]),
    *each("MaxPool AveragePool LpPool", (1, 2, 6), kernel_shape=[2], auto_pad="SAME_UPPER", opset=10),
    *each("AveragePool LpPool", (2, 3, 6), kernel_shape=[1], auto_pad="SAME_UPPER", strides=[3]),
    *each("MaxPool AveragePool LpPool", (1, 2, 3, 4, 5), kernel_shape=[2, 2, 1], pads=[0, 1, 0, 1, 0, 0]),
    *each("MaxPool AveragePool LpPool", (1, 2, 8), **HANGING),
    case("MaxPool", (1, 2, 6, 5), kernel_shape=[2, 1], strides=[2, 1], ceil_mode=1),
    case("MaxPool", (1, 1, 12), kernel_shape=[3], strides=[3], dilations=[2], ceil_mode=1, pads=[1, 2]),
    case("MaxPool", (1, 2, 6), kernel_shape=[3], pads=[1, 1], opset=8),
    case("AveragePool", (1, 2, 8), **HANGING, count_include_pad=1),
    case("AveragePool", (1, 2, 8), **HANGING, count_include_pad=1, opset=11),
    case(
        "AveragePool", (1, 2, 9), kernel_shape=[4], strides=[3], ceil_mode=1, count_include_pad=1, pads=[2, 0]
    ),
    case("AveragePool", (1, 1, 7), kernel_shape=[3], pads=[2, 1], count_include_pad=1, opset=7),
    case("AveragePool", (1, 1, 9), kernel_shape=[2], dilations=[3], pads=[1, 1], count_include_pad=1),
    case("LpPool", (1, 2, 7), kernel_shape=[3], p=3, pads=[1, 0], strides=[2]),
    *each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (2, 3, 4, 5), opset=20),
    *each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (3, 4, 5), opset=20),
    case("RoiAlign", (2, 3, 5, 4), (4, 4), ints((4,), 2), output_height=2, output_width=3),
    case("RoiAlign", (1, 4, 5, 4), (3, 4), ints((3,), 1)),
    case("MaxRoiPool", (2, 3, 5, 4), REGIONS, pooled_shape=[2, 3], opset=21),
    case("MaxRoiPool", (2, 2, 7, 6), REGIONS[:2], pooled_shape=[1, 1], spatial_scale=0.5, opset=21),
]
