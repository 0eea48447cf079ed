"""Calls of the crop family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case

FAR = 2**63 - 1
CASES = [
    case("Slice", (4, 5, 3), [1], [4], [1]),
    case("Slice", (4, 5), [0, -9], [99, 5], [0, 1]),
    case("Slice", (4, 5), [-1], [-9], [0], [-1]),
    case("Slice", (7, 5), [1], [FAR], [0], [2]),
    case("Slice", (9, 7), [-8, 2], [-1, 99], [1, 0], [3, 2]),
    case("Slice", (4, 5), [0], [-1], [-2]),
    case("Slice", (4, 5), [0, 0], [4, 5], None, [1, 2]),
    case("Slice", (4, 5), [1], [3]),
    case("Slice", (4, 5), [1], [-1], opset=10),
    case("Slice", (6, 5), np.array([-5, 2]), np.array([99, 4]), [0, 1]),
    case("Slice", (4, 5), starts=[1], ends=[9], axes=[1], opset=9),
    case("Slice", (4, 5), starts=[-3, 1], ends=[9, -1], opset=7),
    case("Slice", (4, 5), np.array([1]), np.array([3]), [0]),
    case("Slice", (4, 5), np.array([1]), np.array([3])),
    case("Slice", (5,), [1], [3], np.array([0])),
    case("Pad", (4, 3), [0, 1, 0, 2]),
    case("Pad", (4, 3), [3, 0, 2, 1], np.float32(0.5)),
    case("Pad", (2, 4, 5), [1, 1], None, [-1], mode="reflect"),
    case("Pad", (2, 4, 5), [2, 1, 0, 3], np.float32(2), [2, 0]),
    case("Pad", (4, 3), [1, 0, -1, 0]),
    case("Pad", (5, 3), [-1, 0, 3, 0]),
    case("Pad", (6, 3), [-1, 2, -2, 0], opset=11),
    case("Pad", (3, 4), [4, 0, 5, 0], opset=13),
    case("Pad", (5, 3), [1, 0, 2, 0], mode="edge"),
    case("Pad", (5, 3), [2, 0, 1, 0], mode="wrap"),
    case("Pad", (6, 3), [-1, 0, -2, 0], mode="edge"),
    case("Pad", (4, 3), np.array([1, 2]), None, [1]),
    case("Pad", (4, 3), np.array([1, 1, 0, 2])),
    case("Pad", (4,), [1, 2], None, np.array([0])),
    case("Pad", (4, 3), pads=[0, 1, 0, 0], opset=10),
    case("Pad", (4, 3), pads=[2, -1, 1, 0], value=0.5, opset=7),
    case("CenterCropPad", (4, 5), [3], axes=[0]),
    case("CenterCropPad", (7, 5), [4, 5], axes=[-2, 1]),
    case("CenterCropPad", (4, 5), [6, 3]),
    case("CenterCropPad", (8, 3, 6), np.array([5, 3, 3])),
]
