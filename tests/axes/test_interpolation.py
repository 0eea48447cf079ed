"""What one step of a resized axis reads."""

from __future__ import annotations

from fractions import Fraction

import pytest

from onnx_autochunk.axes.rules.interpolation import Method, grows_evenly, is_exact

READS: list[tuple[Method, Fraction, tuple[int, int]]] = [
    (Method("nearest", "half_pixel", "round_prefer_floor"), Fraction(2), (0, 0)),
    (Method("nearest", "half_pixel", "floor"), Fraction(2), (-1, 0)),
    (Method("nearest", "half_pixel", "ceil"), Fraction(2), (0, 1)),
    (Method("nearest", "asymmetric", "floor"), Fraction(3), (0, 0)),
    (Method("nearest", "asymmetric", "ceil"), Fraction(3, 2), (0, 2)),
    (Method("nearest", "tf_half_pixel_for_nn", "floor"), Fraction(1, 2), (1, 1)),
    (Method("linear", "half_pixel"), Fraction(2), (-1, 1)),
    (Method("linear", "half_pixel"), Fraction(1, 2), (0, 1)),
    (Method("linear", "half_pixel"), Fraction(1, 3), (1, 1)),
    (Method("linear", "asymmetric"), Fraction(2), (0, 1)),
    (Method("linear", "half_pixel", antialias=True), Fraction(1, 2), (-1, 2)),
    (Method("cubic", "half_pixel"), Fraction(2), (-2, 2)),
    (Method("cubic", "half_pixel", antialias=True), Fraction(1, 3), (-4, 6)),
]


@pytest.mark.parametrize(("method", "ratio", "expected"), READS)
def test_reads(method: Method, ratio: Fraction, expected: tuple[int, int]) -> None:
    assert method.reads(ratio, exact=True) == expected


def test_rounding_may_not_decide() -> None:
    method = Method("nearest", "half_pixel", "floor")
    assert method.reads(Fraction(1, 3), exact=False) is None  # at 1, or just below
    assert method.reads(Fraction(1, 2), exact=False) == (0, 0)
    assert Method("linear", "align_corners").reads(Fraction(2), exact=True) is None


def test_exact_scales() -> None:
    assert [is_exact(scale) for scale in (2.0, 1.5, 0.25, 1 / 3, 0.1, 2.1)] == [True] * 3 + [False] * 3


def test_growth_of_short_chunks() -> None:
    assert grows_evenly(1 / 3, Fraction(1, 3), 1000)
    assert grows_evenly(2.5, Fraction(5, 2), 100)
    assert not grows_evenly(0.34, Fraction(1, 3), 50)
