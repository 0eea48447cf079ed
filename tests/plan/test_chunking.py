"""Chunkings cover what they cut, with short tails, in the order and number asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_autochunk.plan.chunking import Chunking, ladder, length_for

EXTENTS = st.integers(2, 20_000)
MOST = st.none() | st.integers(2, 300)


@given(EXTENTS, st.data())
def test_bounds_cover_the_extent(extent: int, data: st.DataObject) -> None:
    chunking = Chunking(extent, data.draw(st.integers(max(1, extent // 500), extent)))
    bounds = chunking.bounds
    assert bounds[0][0] == 0 and bounds[-1][1] == extent
    assert all(end == start for (_, end), (start, _) in pairwise(bounds))
    lengths = [end - start for start, end in bounds]
    assert lengths == [chunking.length] * chunking.count + [chunking.tail] * bool(chunking.tail)
    assert len(bounds) == chunking.total and 0 <= chunking.tail < chunking.length


@given(EXTENTS, MOST, st.integers(1, 64), st.booleans())
def test_a_ladder_goes_from_few_chunks_to_many(extent: int, most: int | None, unit: int, fixed: bool) -> None:
    rungs = ladder(extent, most, unit, fixed=fixed)
    assert all(rung.length % unit == 0 for rung in rungs)
    assert rungs or most or extent <= unit
    assert all(rung.extent == extent and 1 <= rung.length < extent for rung in rungs)
    assert all(a.length > b.length for a, b in pairwise(rungs))
    assert most is None or all(rung.total <= most for rung in rungs)


@given(EXTENTS, st.booleans())
def test_a_ladder_is_fine_and_reaches_single_steps(extent: int, fixed: bool) -> None:
    rungs = ladder(extent, fixed=fixed)
    assert rungs[0].total <= 3 and rungs[-1].length <= 2
    assert all(b.length >= 0.6 * a.length - 1 for a, b in pairwise(rungs))


@given(st.integers(2, 200_000), st.integers(2, 512))
def test_tails_are_short_and_lengths_near(extent: int, count: int) -> None:
    length = length_for(extent, min(count, extent))
    count, ideal = min(count, extent), extent / min(count, extent)
    assert extent % length <= extent % (extent // count) < count
    assert 0.9 * ideal - 1 <= length <= 1.1 * ideal + 1


@given(st.integers(2, 200_000), st.integers(2, 512))
def test_where_sizes_are_open_few_steps_are_computed_twice(extent: int, count: int) -> None:
    """With the shortest tail, 2026 steps in 9 chunks of 253 would compute 251 twice."""
    chunking = Chunking(extent, length_for(extent, min(count, extent), fixed=False))
    ideal = extent / min(count, extent)
    assert 0.9 * ideal - 1 <= chunking.length <= 1.1 * ideal + 1
    assert chunking.total * chunking.length - extent <= -extent % (extent // min(count, extent))


# Extent, count, and the length with its tail.
LENGTHS = [
    (4096, 32, 128, 0), (4097, 32, 128, 1), (1000, 3, 333, 1), (7, 7, 1, 0),
    (197, 2, 98, 1), (1024, 5, 204, 4),
    (64, 3, 21, 1),
]  # fmt: skip


@pytest.mark.parametrize(("extent", "count", "length", "tail"), LENGTHS)
def test_lengths(extent: int, count: int, length: int, tail: int) -> None:
    assert length_for(extent, count) == length
    assert Chunking(extent, length).tail == tail
