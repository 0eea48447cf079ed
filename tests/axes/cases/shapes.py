"""Calls of the shapes family."""

from __future__ import annotations

from tests.axes.build import case

CASES = [case("ConstantOfShape", [2, 3]), case("ConstantOfShape", [5])]
