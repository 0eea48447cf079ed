"""A measured quantity as a function of a size: straight lines between points on a logarithmic size axis."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import log2


@dataclass(frozen=True, slots=True)
class Curve:
    """Interpolates `heights` over the logarithm of `sizes`; flat beyond both ends.

    Attributes:
        sizes: increasing, positive.
        heights: one for each size.
    """

    sizes: tuple[float, ...]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.heights) or not self.sizes:
            raise ValueError(f"a curve needs one height for each size: {self.sizes} and {self.heights}")
        if self.sizes[0] <= 0 or any(a >= b for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            raise ValueError(f"the sizes of a curve must be positive and increase: {self.sizes}")

    def __call__(self, size: float) -> float:
        """Height at a size."""
        right = bisect_right(self.sizes, size)
        if right == 0:
            return self.heights[0]
        if right == len(self.sizes):
            return self.heights[-1]
        low, high = self.sizes[right - 1], self.sizes[right]
        share = log2(size / low) / log2(high / low)
        return self.heights[right - 1] + share * (self.heights[right] - self.heights[right - 1])
