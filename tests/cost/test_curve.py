"""Interpolation between measured points."""

from __future__ import annotations

import pytest

from onnx_autochunk.cost.curve import Curve


@pytest.mark.parametrize(
    ("size", "height"), [(1, 0.0), (4, 0.0), (8, 1.0), (16, 2.0), (32, 3.0), (64, 4.0), (1000, 4.0)]
)
def test_height(size: float, height: float) -> None:
    assert Curve((4, 16, 64), (0.0, 2.0, 4.0))(size) == pytest.approx(height)


@pytest.mark.parametrize(
    ("sizes", "heights", "message"),
    [
        ((), (), "one height"),
        ((1, 2), (1,), "one height"),
        ((2, 1), (1, 1), "increase"),
        ((0, 1), (1, 1), "positive"),
    ],
)
def test_bad_points(sizes: tuple[float, ...], heights: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curve(sizes, heights)
