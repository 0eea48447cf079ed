"""Calls of Resize and Upsample."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from tests.axes.build import case

COORDINATES = "half_pixel half_pixel_symmetric pytorch_half_pixel asymmetric align_corners".split()
ROUNDINGS = "round_prefer_floor round_prefer_ceil floor ceil".split()

FOR_NEAREST: dict[str, Any] = {"coordinate_transformation_mode": "tf_half_pixel_for_nn"}
NOTHING = np.zeros(0, np.float32)  # an operand that was no option at first


def _by(*scales: float) -> list[float]:
    return [1.0, 1.0, *scales]


CASES = [
    *(
        case("Resize", (1, 1, 4, 6), None, _by(*by), coordinate_transformation_mode=where, nearest_mode=how)
        for where, how, by in product(COORDINATES, ROUNDINGS, ((2.0, 1.5), (0.5, 1 / 3), (3.0, 1.0)))
    ),
    *(
        case("Resize", (1, 2, 6, 4), None, _by(*scales), coordinate_transformation_mode=where, mode=mode)
        for where, mode, scales in product(COORDINATES, ("linear", "cubic"), ((2.0, 3.0), (0.5, 1.5)))
    ),
    case("Resize", (2, 3, 4, 5), None, _by(3.0, 1.5)),
    case("Resize", (1, 1, 4, 6), None, _by(1.5, 1.5), coordinate_transformation_mode="asymmetric"),
    case("Resize", (1, 1, 9, 6), None, None, [1, 1, 3, 2]),
    case("Resize", (1, 1, 9, 6), None, None, [1, 1, 3, 4], nearest_mode="floor"),
    case("Resize", (1, 1, 4, 5), NOTHING, _by(2.0, 3.0), nearest_mode="floor", opset=11, **FOR_NEAREST),
    case("Resize", (1, 1, 6, 4), NOTHING, _by(0.5, 2.0), nearest_mode="ceil", opset=12, **FOR_NEAREST),
    case("Resize", (2, 3, 4, 5), None, None, [2, 3, 8, 7], mode="linear"),
    case("Resize", (1, 2, 4, 5), None, None, [1, 2, 8, 15]),
    case("Resize", (1, 2, 6, 5), None, None, [1, 2, 4, 10], mode="cubic"),
    case("Resize", (1, 2, 6, 5), None, None, [1, 2, 4, 10], mode="cubic", exclude_outside=1, opset=13),
    case("Resize", (2, 3, 4, 5), None, _by(2.0, 1.0), mode="linear"),
    case("Resize", (1, 1, 8, 6), None, _by(0.5, 0.5), mode="linear", antialias=1),
    case("Resize", (1, 1, 12, 9), None, None, [1, 1, 4, 3], mode="cubic", antialias=1),
    case("Resize", (1, 1, 4, 9), None, None, [1, 1, 8, 6], mode="linear", antialias=1),
    case("Resize", (2, 1, 4, 5), None, None, [8, 10], axes=[2, 3], mode="linear"),
    case("Resize", (2, 3, 4, 6), None, None, [9, 8], axes=[3, 2], opset=18),
    case("Resize", (2, 1, 4, 6), None, None, [3, 8], axes=[3, 2], nearest_mode="ceil"),
    case("Resize", (2, 1, 6, 4), None, None, [4, 8], axes=[2, 3], mode="cubic"),
    case("Resize", (2, 1, 4, 6), None, [2.0, 0.5], axes=[2, 3], mode="linear"),
    case("Resize", (2, 1, 3, 4), None, None, [7, 8], axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
    case("Resize", (2, 1, 3, 4), None, None, [6, 9], axes=[2, 3], keep_aspect_ratio_policy="not_smaller"),
    case("Resize", (1, 1, 4, 4), [0.0, 0.0, 0.2, 0.0, 1.0, 1.0, 0.8, 1.0], None, [1, 1, 3, 4],
         coordinate_transformation_mode="tf_crop_and_resize"),
    case("Resize", (1, 1, 4, 4), [0.2, 0.8], None, [4], axes=[3], mode="linear",
         coordinate_transformation_mode="tf_crop_and_resize"),
    case("Resize", (3, 4), None, [2.0, 2.0], mode="linear"),
    case("Resize", (2, 3, 4, 5), _by(2.0, 2.0), opset=10),
    case("Resize", (1, 1, 4, 6), _by(0.5, 3.0), opset=10),
    case("Resize", (1, 1, 6, 4), _by(0.34, 2.0), opset=10),
    case("Resize", (1, 2, 4, 6), _by(2.0, 0.5), mode="linear", opset=10),
    case("Upsample", (2, 3, 4, 5), _by(2.0, 3.0), opset=9),
    case("Upsample", (2, 3, 4, 5), _by(2.0, 2.0), mode="linear", opset=9),
    case("Upsample", (1, 2, 3, 4), _by(1.5, 2.0), opset=9),
    case("Upsample", (1, 2, 3, 4), scales=_by(2.0, 3.0), opset=7),
    case("Upsample", (1, 2, 3, 4), scales=_by(3.0, 2.0), mode="linear", opset=8),
]  # fmt: skip
