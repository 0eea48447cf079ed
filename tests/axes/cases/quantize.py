"""Calls of the quantize family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, ints

CASES = [
    case("QuantizeLinear", (3, 4), np.float32(0.1), np.uint8(3)),
    case("QuantizeLinear", (2, 3, 5), np.array([0.1, 0.2, 0.3], np.float32)),
    case("DequantizeLinear", ints((3, 4), 9, np.uint8), np.float32(0.1)),
    case("DequantizeLinear", ints((4, 3), 9, np.uint8), (3,), ints((3,), 9, np.uint8), axis=-1),
    case("DequantizeLinear", ints((4, 6), 9, np.uint8), (4, 3), axis=1, block_size=2),
    case("DequantizeLinear", ints((4, 5), 9, np.uint8), (2, 5), axis=0, block_size=3),
]
