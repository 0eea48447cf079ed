"""Calls of the sample family."""

from __future__ import annotations

from tests.axes.build import case

CASES = [
    case("GridSample", (2, 3, 4, 5), (2, 3, 2, 2)),
    case("GridSample", (1, 2, 4, 5), (1, 5, 4, 2), mode="nearest", opset=16),
    case("GridSample", (2, 1, 3, 4, 2), (2, 3, 2, 3, 3), padding_mode="border", align_corners=1),
    case("AffineGrid", (3, 2, 3), [3, 2, 4, 5]),
    case("AffineGrid", (2, 3, 4), [2, 1, 2, 3, 4], align_corners=1),
]
