"""Which elements a resized axis reads, in exact arithmetic.

An axis whose extents have the ratio p : q repeats itself: p elements of the result (one step) read the same
places relative to q elements of the input, wherever they lie. A cut between steps is exact when every chunk
also reads what its outermost elements look at:

    linear, half_pixel, 1 -> 2:   result 0 at -1/4 reads [-1, 0], result 1 at 1/4 reads [0, 1]: a halo of 1

Source: https://onnx.ai/onnx/operators/onnx__Resize.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

HALF = Fraction(1, 2)
_COORDINATES: Mapping[str, Callable[[int, Fraction], Fraction]] = {
    "half_pixel": lambda i, scale: (i + HALF) / scale - HALF,
    "half_pixel_symmetric": lambda i, scale: (i + HALF) / scale - HALF,
    "pytorch_half_pixel": lambda i, scale: (
        (i + HALF) / scale - HALF
    ),  # but 0 where the result has one element
    "tf_half_pixel_for_nn": lambda i, scale: (i + HALF) / scale,
    "asymmetric": lambda i, scale: i / scale,
}
_NEAREST: Mapping[str, Callable[[Fraction], int]] = {
    "round_prefer_floor": lambda x: ceil(x - HALF),
    "round_prefer_ceil": lambda x: floor(x + HALF),
    "floor": floor,
    "ceil": ceil,
}


@dataclass(frozen=True, slots=True)
class Method:
    """How values between elements are made, where that does not depend on the length of an axis."""

    mode: str
    coordinates: str
    nearest: str = "floor"
    antialias: bool = False

    def reads(self, ratio: Fraction, exact: bool) -> tuple[int, int] | None:
        """The first and last element that one step reads, its own ones being 0 to q - 1; None if unsure.

        Args:
            ratio: of the extents, p : q.
            exact: whether the scale is a number that ORT holds without rounding.
        """
        where = _COORDINATES.get(self.coordinates)
        if where is None:
            return None
        places = [where(i, ratio) for i in range(ratio.numerator)]
        if self.mode == "nearest":
            if not exact and any(map(self._on_edge, places)):
                return None  # rounding would decide which neighbour is taken
            taken = [_NEAREST[self.nearest](place) for place in places]
            return min(taken), max(taken)
        wider = max(Fraction(1), 1 / ratio) if self.antialias else Fraction(1)
        reach = {"linear": 1, "cubic": 2}[self.mode] * wider
        return floor(min(places) - reach) + 1, ceil(max(places) + reach) - 1

    def _on_edge(self, place: Fraction) -> bool:
        edge = HALF if self.nearest.startswith("round") else 0
        return place % 1 == edge


def is_exact(scale: float) -> bool:
    """True for a power of two and its like: a ratio of small integers that float32 holds as it is."""
    return Fraction(float(np.float32(scale))).denominator < 1 << 12


def grows_evenly(scale: float, ratio: Fraction, steps: int) -> bool:
    """True when q, 2q, 3q ... elements become p, 2p, 3p ... by the scale, in ORT's arithmetic."""
    lengths = np.arange(1, steps + 1) * ratio.denominator
    found = np.floor(lengths.astype(np.float32) * np.float32(scale)).astype(np.int64)
    return bool((found == np.arange(1, steps + 1) * ratio.numerator).all())
