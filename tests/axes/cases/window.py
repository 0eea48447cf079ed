"""Calls of the window family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, each, ints

CASES = [
    case("Conv", (2, 3, 5, 6), (4, 3, 3, 3), (4,), pads=[1, 1, 1, 1]),
    case("Conv", (1, 3, 6, 8), (4, 3, 2, 2), strides=[2, 2]),
    case("Conv", (2, 3, 5), (4, 3, 1), (4,)),
    case("Conv", (1, 2, 5, 4), (3, 2, 3, 1), (3,), pads=[1, 0, 1, 0]),
    case("Conv", (2, 4, 5), (6, 2, 3), (6,), group=2),
    case("Conv", (3, 4, 5, 5), (4, 1, 1, 1), group=4),
    case("Conv", (1, 2, 5, 6), (3, 2, 2, 1), strides=[2, 1]),
    case("ConvInteger", ints((2, 3, 5, 4), 9, np.uint8), ints((4, 3, 2, 2), 9, np.uint8)),
    case("ConvInteger", ints((1, 3, 5, 4), 9, np.uint8), ints((4, 3, 1, 1), 9, np.uint8), np.uint8(2)),
    case("ConvTranspose", (2, 3, 4, 5), (3, 4, 2, 2), (4,), strides=[2, 2]),
    case("ConvTranspose", (1, 4, 5), (4, 3, 3), group=2),
    case("ConvTranspose", (2, 3, 4), (3, 5, 2)),
    *each("MaxPool AveragePool LpPool", (2, 3, 4, 6), kernel_shape=[2, 2], strides=[2, 2]),
    *each("MaxPool AveragePool LpPool", (1, 3, 5), kernel_shape=[3], pads=[1, 1]),
    case("MaxPool", (1, 2, 6, 5), kernel_shape=[2, 1], strides=[2, 1], ceil_mode=1),
    *each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (2, 3, 4, 5), opset=20),
    *each("GlobalAveragePool GlobalMaxPool GlobalLpPool", (3, 4, 5), opset=20),
    case(
        "Resize",
        (1, 3, 4, 5),
        None,
        [1.0, 1.0, 2.0, 2.0],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    case("Resize", (2, 3, 4, 5), None, [1.0, 1.0, 3.0, 1.5]),
    case("Resize", (2, 3, 4, 5), None, None, [2, 3, 8, 7], mode="linear"),
    case("Resize", (1, 2, 4, 5), None, None, [1, 2, 8, 15]),
    case("Resize", (2, 3, 4, 5), None, [1.0, 1.0, 2.0, 1.0], mode="linear"),
    case("Resize", (2, 3, 4, 5), [1.0, 1.0, 2.0, 2.0], opset=10),
    case("Upsample", (2, 3, 4, 5), [1.0, 1.0, 2.0, 3.0], opset=9),
    case("Upsample", (2, 3, 4, 5), [1.0, 1.0, 2.0, 2.0], mode="linear", opset=9),
    case("GridSample", (2, 3, 4, 5), (2, 3, 2, 2)),
    case("GridSample", (1, 2, 4, 5), (1, 5, 4, 2), mode="nearest", opset=16),
    case("RoiAlign", (2, 3, 5, 4), (4, 4), ints((4,), 2), output_height=2, output_width=3),
    case("RoiAlign", (1, 4, 5, 4), (3, 4), ints((3,), 1)),
]
