"""Calls of the family whose windows overlap in the result."""

from __future__ import annotations

from tests.axes.build import case

CASES = [
    case("ConvTranspose", (2, 3, 4, 5), (3, 4, 2, 2), (4,), strides=[2, 2]),
    case("ConvTranspose", (1, 4, 5), (4, 3, 3), group=2),
    case("ConvTranspose", (2, 3, 4), (3, 5, 2)),
    case("ConvTranspose", (1, 2, 6), (2, 3, 4), (3,), strides=[2], pads=[1, 1]),
    case("ConvTranspose", (1, 1, 5, 4), (1, 2, 3, 3), pads=[1, 0, 1, 2]),
    case("ConvTranspose", (1, 2, 5), (2, 2, 3), strides=[2], pads=[1, 1], output_padding=[1]),
    case("ConvTranspose", (1, 2, 5), (2, 2, 3), strides=[2], pads=[1, 1]),
    case("ConvTranspose", (1, 2, 5), (2, 2, 3), strides=[3], pads=[2, 2], output_padding=[2], dilations=[2]),
    case("ConvTranspose", (1, 2, 6), (2, 2, 2), strides=[3], pads=[0, 0], output_padding=[1]),
    case("ConvTranspose", (1, 1, 6), (1, 2, 1), strides=[2], pads=[1, 1], output_padding=[1]),
    case("ConvTranspose", (1, 1, 5), (1, 2, 1), strides=[2], pads=[0, 0], output_padding=[1], opset=10),
    case("ConvTranspose", (1, 1, 6), (1, 1, 3), pads=[2, 2], dilations=[2]),
    case("ConvTranspose", (1, 1, 4, 4), (1, 1, 3, 4), strides=[2, 3], auto_pad="SAME_UPPER"),
    case("ConvTranspose", (1, 1, 4, 4), (1, 1, 3, 4), strides=[2, 3], auto_pad="SAME_LOWER"),
    case("ConvTranspose", (1, 1, 4), (1, 1, 4), strides=[3], auto_pad="VALID", output_padding=[2]),
    case("ConvTranspose", (1, 1, 5, 4), (1, 1, 3, 3), strides=[2, 3], output_shape=[10, 12]),
    case("ConvTranspose", (1, 1, 5), (1, 1, 4), strides=[2], output_shape=[8], auto_pad="SAME_UPPER"),
    case("ConvTranspose", (1, 1, 5), (1, 1, 3), strides=[2], output_shape=[10], auto_pad="SAME_UPPER"),
    case("ConvTranspose", (1, 1, 5), (1, 1, 4), strides=[2], pads=[0, 2], auto_pad="SAME_UPPER"),
    case("ConvTranspose", (1, 6, 5), (6, 2, 3), (6,), group=3, strides=[2], pads=[0, 1]),
    case("ConvTranspose", (1, 5, 4), (5, 1, 4), group=5, strides=[2], pads=[1, 1]),
    case("ConvTranspose", (1, 1, 2, 3, 4), (1, 2, 2, 3, 3), strides=[2, 1, 1], pads=[0, 1, 1, 0, 1, 1]),
    case("Col2Im", (2, 3 * 4, 6), [4, 6], [2, 2], strides=[2, 2]),
    case("Col2Im", (1, 2 * 6, 6), [9, 4], [3, 2], strides=[3, 2]),
    case("Col2Im", (1, 2 * 4, 12), [4, 5], [2, 2]),
    case("Col2Im", (1, 3 * 2, 8), [7, 2], [2, 1], pads=[1, 0, 0, 0], strides=[2, 1]),
    case("Col2Im", (2, 3 * 3, 4), [12], [3], strides=[3]),
]
