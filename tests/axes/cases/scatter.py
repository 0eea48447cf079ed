"""Calls of the scatter family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, ints, unique

STARTS = np.array([1, 3])
CASES = [
    *[
        case("ScatterElements", (3, 5), ints((3, 4), 5), (3, 4), axis=1, reduction=reduction, opset=18)
        for reduction in ("add", "mul", "max", "min")
    ],
    case("ScatterElements", (3, 4), ints((3, 1), 4, low=-4), (3, 1), axis=1),
    case("ScatterElements", (5, 4), ints((4, 3), 2), -np.ones((4, 3), np.float32), reduction="add"),
    case("ScatterElements", (3, 5, 4), unique((2, 1, 1), 4).repeat(3, 1), (2, 3, 1), axis=-1, opset=11),
    case("Scatter", (3, 4), ints((3, 1), 4), (3, 1), axis=1, opset=10),
    case("Scatter", (5, 4), ints((1, 3), 5), (1, 3), opset=9),
    *[
        case("ScatterND", (5, 4, 2), ints((3, 1), 5), (3, 4, 2), reduction=reduction, opset=18)
        for reduction in ("add", "mul", "max", "min")
    ],
    case("ScatterND", (5, 4, 2), unique((3, 1), 5), (3, 4, 2)),
    case("ScatterND", (5, 4), ints((2, 3, 2), 4, low=-4), (2, 3), reduction="max"),
    case("ScatterND", (5, 4), unique((3, 1), 5), (3, 4), opset=11),
    case("TensorScatter", (2, 5, 3), (2, 2, 3), STARTS, opset=24),
    case("TensorScatter", (2, 4, 5, 3), (2, 4, 3, 3), STARTS, opset=24, axis=2, mode="circular"),
    case("TensorScatter", (3, 5, 2), (3, 2, 2), opset=24, axis=1),
]
