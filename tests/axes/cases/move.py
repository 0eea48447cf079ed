"""Calls of the move family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case

CASES = [
    case("Transpose", (2, 3, 5), perm=[2, 0, 1]),
    case("Transpose", (4, 3)),
    case("Concat", (2, 3), (2, 5), axis=1),
    case("Concat", (1, 4, 3), (2, 4, 3), (1, 4, 3), axis=-3),
    case("Concat", (3, 1, 4), (3, 2, 4), axis=1),
    case("Split", (2, 6), axis=1, y="111", num_outputs=3),
    case("Split", (5, 3), [1, 4], y="11"),
    case("Split", (2, 6), y="11", axis=-1, opset=11),
    case("Slice", (4, 5, 3), [1], [4], [1]),
    case("Slice", (4, 5), [0, -9], [99, 5], [0, 1]),
    case("Slice", (4, 5), [-1], [-9], [0], [-1]),
    case("Slice", (4, 5), [0], [-1], [-2]),
    case("Slice", (4, 5), [0, 0], [4, 5], None, [1, 2]),
    case("Slice", (4, 5), [1], [3]),
    case("Slice", (4, 5), starts=[1], ends=[9], axes=[1], opset=9),
    case("Slice", (4, 5), np.array([1]), np.array([3]), [0]),
    case("Pad", (4, 3), [0, 1, 0, 2]),
    case("Pad", (2, 4, 5), [1, 1], None, [-1], mode="reflect"),
    case("Pad", (4, 3), [1, 0, -1, 0]),
    case("Pad", (4, 3), pads=[0, 1, 0, 0], opset=10),
    case("CenterCropPad", (4, 5), [3], axes=[0]),
    case("CenterCropPad", (4, 5), [6, 3]),
    case("DepthToSpace", (2, 12, 3, 2), blocksize=2),
    case("DepthToSpace", (1, 8, 2, 5), blocksize=2, mode="CRD"),
    case("SpaceToDepth", (2, 3, 4, 6), blocksize=2),
    case("SpaceToDepth", (1, 2, 6, 3), blocksize=3),
    case("ReverseSequence", (4, 3, 2), np.array([1, 4, 2])),
    case("ReverseSequence", (3, 4), np.array([1, 4, 2]), batch_axis=0, time_axis=1),
]
