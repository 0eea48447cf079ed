"""Calls of the move family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case

CASES = [
    case("Transpose", (2, 3, 5), perm=[2, 0, 1]),
    case("Transpose", (4, 3)),
    case("Transpose", (2, 3, 4, 5), perm=[0, 2, 3, 1], opset=7),
    case("Transpose", (5,)),
    case("Concat", (2, 3), (2, 5), axis=1),
    case("Concat", (1, 4, 3), (2, 4, 3), (1, 4, 3), axis=-3),
    case("Concat", (3, 1, 4), (3, 2, 4), axis=1),
    case("Concat", (3, 4), (3, 4), axis=-1, opset=7),
    case("Concat", (2, 6, 2), (2, 9, 2), (2, 3, 2), axis=1, opset=11),
    case("Concat", (2, 0), (2, 3), axis=1),
    case("Concat", (3, 5), axis=0),
    case("Split", (2, 6), axis=1, y="111", num_outputs=3),
    case("Split", (3, 7), axis=1, y="111", num_outputs=3),
    case("Split", (3, 10), axis=1, y="111", num_outputs=3),
    case("Split", (5, 3), [1, 4], y="11"),
    case("Split", (8, 3), [4, 2, 2], y="111"),
    case("Split", (9, 2), [6, 3], y="11"),
    case("Split", (3, 8), np.array([4, 4]), y="11", axis=1),
    case("Split", (2, 6), y="11", axis=-1, opset=11),
    case("Split", (2, 6), y="11", axis=1, split=[2, 4], opset=11),
    case("Split", (9, 2), y="11", split=[6, 3], opset=7),
    case("DepthToSpace", (2, 12, 3, 2), blocksize=2),
    case("DepthToSpace", (1, 8, 2, 5), blocksize=2, mode="CRD"),
    case("DepthToSpace", (1, 9, 2, 3), blocksize=3, opset=10),
    case("SpaceToDepth", (2, 3, 4, 6), blocksize=2),
    case("SpaceToDepth", (1, 2, 6, 3), blocksize=3),
    case("SpaceToDepth", (1, 2, 4, 6), blocksize=2, mode="CRD", opset=28),
    case("ReverseSequence", (4, 3, 2), np.array([1, 4, 2])),
    case("ReverseSequence", (3, 4), np.array([1, 4, 2]), batch_axis=0, time_axis=1),
    case("ReverseSequence", (5, 2, 3), np.array([5, 3]), opset=10),
]
