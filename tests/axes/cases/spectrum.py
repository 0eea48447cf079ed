"""Calls of the spectrum family."""

from __future__ import annotations

from tests.axes.build import case

CASES = [
    case("STFT", (2, 11, 1), 2, None, 4, opset=17),
    case("STFT", (1, 13, 1), 3, (5,), opset=17),
    case("STFT", (1, 16, 2), 5, (4,), 4, opset=17, onesided=0),
    case("DFT", (2, 7, 3, 1), axis=1, opset=17),
    case("DFT", (2, 4, 5, 2), axis=2, inverse=1, opset=19),
    case("DFT", (3, 6, 1), None, 1, onesided=1, opset=20),
    case("DFT", (2, 4, 5, 2), 8, -2, opset=20),
    case("DFT", (2, 5, 1)),
]
