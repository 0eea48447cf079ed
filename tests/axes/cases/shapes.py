"""Calls of the shapes family."""

from __future__ import annotations

from tests.axes.build import case

CASES = [
    case("ConstantOfShape", [2, 3]),
    case("ConstantOfShape", [5], opset=9),
    case("OptionalGetElement", (2, 3)),
    case("OptionalGetElement", (5,), opset=18),
    case("Size", (2, 3)),
    case("Size", (5,), opset=7),
]
