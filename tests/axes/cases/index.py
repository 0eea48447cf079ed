"""Calls of the index family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, flags, ints

HALF = np.array([1, 0, 1, 0, 1], np.bool_)
CASES = [
    case("Gather", (5, 4), ints((2, 3), 5)),
    case("Gather", (3, 5, 4), ints((2,), 5, low=-5), axis=1),
    case("Gather", (3, 5), ints((), 5), axis=-1),
    case("Gather", ints((5,), 9), ints((2, 2, 3), 5, np.int32), opset=7),
    case("GatherElements", (3, 4), ints((3, 2), 4), axis=1),
    case("GatherElements", (5, 4), ints((2, 4), 5, low=-5)),
    case("GatherElements", (3, 4, 2), ints((2, 4, 2), 4), axis=1),
    case("GatherElements", (5, 3, 4), ints((3, 6, 2), 3), axis=-2, opset=11),
    case("GatherElements", (4, 3), ints((1, 2), 3), axis=1),
    case("GatherND", (3, 4, 2), ints((5, 2), 3)),
    case("GatherND", (3, 4, 5), ints((3, 2, 1), 4, low=-4), batch_dims=1),
    case("GatherND", (3, 4), ints((3, 1), 4), batch_dims=1),
    case("GatherND", (2, 3, 4, 5), ints((2, 3, 7, 1), 4), batch_dims=2),
    case("GatherND", (3, 4), ints((2,), 3), opset=11),
    case("Compress", (3, 5, 2), HALF, axis=1),
    case("Compress", (3, 5), HALF[:3], axis=-2, opset=9),
    case("Compress", (3, 5), flags((15,))),
    case("OneHot", ints((2, 3), 5), 5, [0.0, 1.0]),
    case("OneHot", ints((4,), 5, low=-5), 5, [0.0, 1.0], axis=0),
    case("OneHot", ints((2, 3), 4), [4], [2, 3], axis=1, opset=9),
    case("CumSum", (3, 4), 1),
    case("CumSum", (5, 2, 3), -2, exclusive=1, reverse=1),
    case("CumSum", (3, 4), np.array(1), reverse=1, opset=11),
    case("CumProd", (3, 4), 1, opset=26),
    case("CumProd", (5, 2, 3), -2, exclusive=1, reverse=1, opset=26),
    case("TopK", (3, 5), [2], y="11"),
    case("TopK", (5, 4), [3], axis=0, largest=0, y="11"),
    case("TopK", (2, 5, 3), np.array([4]), axis=1, sorted=0, y="10", opset=24),
    case("TopK", (3, 5), k=2, y="11", opset=7),
]
