"""Calls of the reduce family."""

from __future__ import annotations

from tests.axes.build import each

REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare"
)
CASES = [
    *each(REDUCTIONS, (2, 3, 5), [1]),
    *each(REDUCTIONS, (2, 5), [-1, 0], keepdims=0),
    *each(REDUCTIONS, (4, 3), None, noop_with_empty_axes=1),
    *each(REDUCTIONS, (4, 3)),
    *each("ReduceMean ReduceMax", (2, 3, 5), axes=[0, -1], keepdims=0, opset=13),
    *each("ArgMax ArgMin", (2, 3, 5), axis=1),
    *each("ArgMax ArgMin", (4, 3), keepdims=0),
]
