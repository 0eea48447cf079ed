"""Operator calls for the oracle: two or more for every registered operator, odd extents, several ranks."""

from __future__ import annotations

from tests.axes.cases import (
    attention,
    contract,
    index,
    move,
    normalize,
    pointwise,
    quantize,
    recurrent,
    reduce,
    reshape,
    shapes,
    window,
)

FAMILIES = (
    attention,
    contract,
    index,
    move,
    normalize,
    pointwise,
    quantize,
    recurrent,
    reduce,
    reshape,
    shapes,
    window,
)
CASES = [case for family in FAMILIES for case in family.CASES]
"""All of them."""
