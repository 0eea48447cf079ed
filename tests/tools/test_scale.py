"""The work grows no faster than the model: exponents of small models, and how they are found.

CPU seconds are judged, in processes of their own, so that other work on the machine shows little.
"""

from __future__ import annotations

import pytest

from tools.scale import KINDS, Kind, Row, broken, exponent, measure
from tools.scale_models import equal_layers

SIZES = (500, 1000, 2000)
GENEROUS = 1.35  # models this small spend much of their time on what does not grow, or has only begun to


def _rows(*seconds: float) -> list[Row]:
    return [
        Row("equal", ops, 1, {"work": s, "whole": 1 + s})
        for ops, s in zip((1000, 2000, 5000, 10000), seconds, strict=True)
    ]


@pytest.mark.parametrize(
    ("seconds", "slope"), [((1, 2, 5, 10), 1.0), ((1, 4, 25, 100), 2.0), ((3, 3, 3, 3), 0.0)]
)
def test_the_exponent_is_the_slope_of_the_logarithms(seconds: tuple[float, ...], slope: float) -> None:
    assert exponent(_rows(*seconds), "work") == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((1, 2, 5, 10), []),
        ((1, 2, 5, 15), ["whole of 10,000 ops: 16.0 s, at most 15 s"]),
        ((0.1, 0.4, 2.5, 10), ["growth exponent: 2.00, at most 1.2"]),
    ],
)
def test_broken_limits_are_told(seconds: tuple[float, ...], words: list[str]) -> None:
    kind = Kind("equal", equal_layers, None, {"whole": 15.0})
    assert broken(kind, _rows(*seconds)) == [f"equal layers: {word}" for word in words]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_work_grows_no_faster_than_the_model(kind: Kind) -> None:
    rows = [measure(kind, ops) for ops in SIZES]
    assert exponent(rows, "work") < GENEROUS, rows
