"""Factors of regrouped axes, on random shapes."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_autochunk.axes.fit import Shape
from onnx_autochunk.axes.rules.reshape import common_factors
from tests.axes.build import case
from tests.axes.oracle import check

FACTORS: list[tuple[Shape, Shape, tuple[tuple[int, int], ...]]] = [
    ((5, 12), (5, 3, 4), ((1, 5), (5, 3), (15, 4))),
    ((1, 5, 12), (5, 12, 1), ((1, 5), (5, 12))),
    ((6, 4), (8, 3), ((1, 2),)),
    ((4, 6), (3, 8), ((12, 2),)),
    ((3, 4, 5), (4, 3, 5), ((12, 5),)),
    ((2, 3, 4), (24,), ((1, 2), (2, 3), (6, 4))),
    ((7,), (7,), ((1, 7),)),
    ((), (1, 1), ()),
    ((0, 3), (3, 0), ()),
]


@pytest.mark.parametrize(("left", "right", "expected"), FACTORS)
def test_common_factors(left: Shape, right: Shape, expected: tuple[tuple[int, int], ...]) -> None:
    assert common_factors(left, right) == expected
    assert common_factors(right, left) == expected


@st.composite
def _two_shapes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two groupings of the same steps, with size-1 axes in between."""
    steps = draw(st.lists(st.sampled_from([1, 2, 2, 3, 3, 5]), min_size=1, max_size=5))
    return _grouped(draw, steps), _grouped(draw, draw(st.one_of(st.just(steps), st.permutations(steps))))


def _grouped(draw: st.DrawFn, steps: list[int]) -> list[int]:
    ends = sorted(draw(st.lists(st.integers(0, len(steps)), max_size=4)))
    bounds = [0, *ends, len(steps)]
    return [prod(steps[start:end]) for start, end in pairwise(bounds)]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(_two_shapes())
def test_every_regrouping_is_right(shapes: tuple[list[int], list[int]]) -> None:
    left, right = shapes
    check(case("Reshape", tuple(left), right))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_two_shapes())
def test_equal_groupings_share_all_factors(shapes: tuple[list[int], list[int]]) -> None:
    left, _ = shapes
    assert prod(extent for _, extent in common_factors(tuple(left), (prod(left),))) == prod(left)
