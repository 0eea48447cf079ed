"""Calls of the reshape family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case

CASES = [
    case("Reshape", (1, 5, 12), [1, 5, 3, 4]),
    case("Reshape", (1, 3, 5, 4), [0, 0, -1]),
    case("Reshape", (1, 5, 4), [-1, 4]),
    case("Reshape", (6, 3, 3), [2, 3, 3, 3]),
    case("Reshape", (6, 4), [8, 3]),
    case("Reshape", (4, 6), [3, 8]),
    case("Reshape", (3, 4, 5), [4, 3, 5]),
    case("Reshape", (2, 3, 4), [-1]),
    case("Reshape", (2, 6), [3, 4], allowzero=1),
    case("Reshape", (4, 6), np.array([2, 2, 2, 3]), opset=7),
    case("Reshape", (2, 3, 4), [0, -1, 2], opset=13),
    case("Unsqueeze", (3, 4), [0, 2]),
    case("Unsqueeze", (5,), [-1]),
    case("Unsqueeze", (3, 4), axes=[1], opset=11),
    case("Squeeze", (3, 1, 4), [1]),
    case("Squeeze", (1, 5, 1), axes=[0, -1], opset=11),
    case("Squeeze", (1, 5, 1)),
    case("Squeeze", (1, 5, 1), []),
    case("Squeeze", (3, 1, 4, 1)),
    case("Squeeze", (3, 1, 4), opset=11),
    case("Squeeze", (3, 4)),
    case("Unsqueeze", (3, 4), axes=[-1, 0], opset=12),
    case("Flatten", (2, 3, 4), axis=2),
    case("Flatten", (5, 2)),
    case("Flatten", (2, 3), axis=0),
    case("Flatten", (4, 3, 2), axis=-1),
    case("Expand", (3, 1), [2, 1, 5]),
    case("Expand", (5,), [1]),
    case("Expand", (), [2, 3]),
    case("Expand", (2, 1, 3), [4, 1], opset=8),
    case("Expand", (3, 1), np.array([3, 4])),
    case("Tile", (2, 3), [2, 1]),
    case("Tile", (2, 1, 3), [3, 4, 1], opset=7),
    case("Tile", (3,), np.array([3])),
    case("Tile", (2, 3, 4), [1, 1, 3]),
]
