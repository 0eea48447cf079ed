"""Calls of the window family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, ints

CASES = [
    case("Conv", (2, 3, 5, 6), (4, 3, 3, 3), (4,), pads=[1, 1, 1, 1]),
    case("Conv", (1, 3, 6, 8), (4, 3, 2, 2), strides=[2, 2]),
    case("Conv", (2, 3, 5), (4, 3, 1), (4,)),
    case("Conv", (1, 2, 5, 4), (3, 2, 3, 1), (3,), pads=[1, 0, 1, 0]),
    case("Conv", (1, 1, 9, 7), (2, 1, 3, 2), pads=[2, 0, 1, 1], strides=[2, 3], dilations=[2, 1]),
    case("Conv", (1, 2, 10), (2, 2, 4), pads=[0, 3], strides=[3]),
    case("Conv", (1, 2, 11), (3, 2, 2), strides=[4]),
    case("Conv", (1, 2, 9), (3, 2, 3), pads=[1, 2], strides=[2], opset=10),
    case("Conv", (1, 1, 6, 7), (1, 1, 3, 2), auto_pad="SAME_UPPER", strides=[1, 2]),
    case("Conv", (1, 1, 6, 7), (1, 1, 2, 4), auto_pad="SAME_LOWER", strides=[1, 3], opset=11),
    case("Conv", (1, 1, 6, 5), (1, 1, 3, 2), auto_pad="VALID"),
    case("Conv", (1, 1, 3, 4, 5), (2, 1, 2, 3, 1), pads=[1, 0, 0, 0, 1, 0]),
    case("Conv", (1, 1, 5), (2, 1, 2), pads=[3, 0]),
    case("Conv", (2, 4, 5), (6, 2, 3), (6,), group=2),
    case("Conv", (1, 6, 4), (9, 2, 2), group=3, pads=[1, 0]),
    case("Conv", (3, 4, 5, 5), (4, 1, 1, 1), group=4),
    case("Conv", (1, 5, 6), (5, 1, 3), (5,), group=5, pads=[1, 1]),
    case("Conv", (1, 3, 6), (6, 1, 3), group=3),
    case("Conv", (1, 2, 5, 6), (3, 2, 2, 1), strides=[2, 1]),
    case("ConvInteger", ints((2, 3, 5, 4), 9, np.uint8), ints((4, 3, 2, 2), 9, np.uint8)),
    case("ConvInteger", ints((1, 3, 5, 4), 9, np.uint8), ints((4, 3, 1, 1), 9, np.uint8), np.uint8(2)),
    case("ConvInteger", ints((1, 4, 7, 5), 9, np.uint8), ints((6, 2, 3, 2), 9, np.uint8), np.uint8(3),
         group=2, pads=[1, 0, 2, 1], strides=[2, 1]),
    case("DeformConv", (2, 3, 5, 4), (4, 3, 2, 2), (2, 8, 4, 3)),
    case("DeformConv", (1, 4, 5, 4), (6, 2, 2, 2), (1, 8, 4, 3), (6,), (1, 4, 4, 3), group=2),
    case("DeformConv", (1, 4, 4, 4), (4, 2, 2, 2), (1, 16, 3, 3), None, (1, 8, 3, 3), group=2,
         offset_group=2),
    case("DeformConv", (1, 4, 4, 4), (3, 4, 2, 2), (1, 16, 3, 3), offset_group=2),
    case("CausalConvWithState", (2, 3, 7), (3, 1, 4), opset=27),
    case("CausalConvWithState", (1, 2, 5), (2, 1, 3), (2,), (1, 2, 2), opset=27, activation="silu"),
    case("CausalConvWithState", (2, 3, 5), (3, 1, 2), (3,), (2, 3, 1), opset=27, y="11"),
    case("CausalConvWithState", (1, 2, 5), (2, 1, 4), opset=27, y="11"),
]  # fmt: skip
