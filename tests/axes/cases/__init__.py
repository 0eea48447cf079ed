"""Operator calls for the oracle: two or more for every registered operator, odd extents, several ranks."""

from __future__ import annotations

from tests.axes.cases import (
    attention,
    contract,
    crop,
    index,
    move,
    normalize,
    pointwise,
    pool,
    quantize,
    recurrent,
    reduce,
    reshape,
    resize,
    sample,
    shapes,
    spectrum,
    transposed,
    window,
)

FAMILIES = (
    attention,
    contract,
    crop,
    index,
    move,
    normalize,
    pointwise,
    pool,
    quantize,
    recurrent,
    reduce,
    reshape,
    resize,
    sample,
    shapes,
    spectrum,
    transposed,
    window,
)
CASES = [case for family in FAMILIES for case in family.CASES]
"""All of them."""
