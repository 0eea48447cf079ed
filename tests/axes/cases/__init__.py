"""Operator calls for the oracle: two or more for every registered operator, odd extents, several ranks."""

from __future__ import annotations

from tests.axes.cases import (
    attention,
    contract,
    count,
    crop,
    einsum,
    index,
    loss,
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
    scatter,
    shapes,
    spectrum,
    text,
    transposed,
    window,
)

FAMILIES = (
    attention,
    contract,
    count,
    crop,
    einsum,
    index,
    loss,
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
    scatter,
    shapes,
    spectrum,
    text,
    transposed,
    window,
)
CASES = [case for family in FAMILIES for case in family.CASES]
"""All of them."""
