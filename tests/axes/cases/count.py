"""Calls of the count family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.axes.build import case, ints

CASES = [
    case("Trilu", (2, 4, 4)),
    case("Trilu", (3, 5), 1, upper=0),
    case("Trilu", (4, 2, 3), -1, opset=14),
    case("Trilu", ints((5, 3), 9), -7, upper=1),
    case("Trilu", (3, 4), np.array(1)),
    case("EyeLike", (3, 5)),
    case("EyeLike", ints((5, 4), 9), k=-2, dtype=1, opset=9),
    case("EyeLike", (4, 4), k=1, dtype=7),
    case("Range", 2, 9, 3),
    case("Range", 5, np.array(-4), -2),
    case("Range", np.array(3), 9, 2),
    replace(case("Range", *(np.float32(n) for n in (1, 9, 2))), known=frozenset({0, 2})),
    replace(case("Range", *(np.float32(n) for n in (0.5, 3, 0.5))), known=frozenset({0, 2}), opset=11),
]
