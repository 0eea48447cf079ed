"""Calls of the index family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, ints, unique

CASES = [
    case("Gather", (5, 4), ints((2, 3), 5)),
    case("Gather", (3, 5, 4), ints((2,), 5, low=-5), axis=1),
    case("Gather", (3, 5), ints((), 5), axis=-1),
    case("GatherElements", (3, 4), ints((3, 2), 4), axis=1),
    case("GatherElements", (5, 4), ints((2, 4), 5)),
    case("GatherElements", (3, 4, 2), ints((2, 4, 2), 4), axis=1),
    case("GatherND", (3, 4, 2), ints((5, 2), 3)),
    case("GatherND", (3, 4, 5), ints((3, 2, 1), 4), batch_dims=1),
    case("GatherND", (3, 4), ints((3, 1), 4), batch_dims=1),
    case("ScatterElements", (3, 4), ints((3, 1), 4), (3, 1), axis=1),
    case("ScatterElements", (5, 4), ints((2, 4), 5), (2, 4), reduction="add"),
    case("ScatterND", (5, 4, 2), unique((3, 1), 5), (3, 4, 2)),
    case("ScatterND", (5, 4), ints((3, 1), 5), (3, 4), reduction="add"),
    case("TensorScatter", (2, 5, 3), (2, 2, 3), np.array([1, 3]), opset=24),
    case("TensorScatter", (2, 4, 5, 3), (2, 4, 1, 3), np.array([0, 3]), opset=24, axis=2),
    case("OneHot", ints((2, 3), 5), 5, [0.0, 1.0]),
    case("OneHot", ints((4,), 5), 5, [0.0, 1.0], axis=0),
    case("Trilu", (2, 4, 4)),
    case("Trilu", (3, 5), 1, upper=0),
    case("CumSum", (3, 4), 1),
    case("CumSum", (5, 2, 3), -2, exclusive=1, reverse=1),
    case("CumSum", (3, 4), np.array(1)),
    case("CumProd", (3, 4), 1, opset=26),
    case("CumProd", (5, 2, 3), -2, opset=26),
    case("TopK", (3, 5), [2], y="11"),
    case("TopK", (5, 4), [3], axis=0, largest=0, y="11"),
    case("Scatter", (3, 4), ints((3, 1), 4), (3, 1), axis=1, opset=10),
    case("Scatter", (5, 4), ints((2, 4), 5), (2, 4), opset=10),
]
