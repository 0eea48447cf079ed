"""Calls of the reduce family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case, each, flags, ints

REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum"
    " ReduceSumSquare"
)
CASES = [
    *each(REDUCTIONS, (2, 3, 5), [1]),
    *each(REDUCTIONS, (2, 5), [-1, 0], keepdims=0),
    *each(REDUCTIONS, (4, 3), None, noop_with_empty_axes=1),
    *each(REDUCTIONS, (4, 3), np.zeros(0, np.int64), noop_with_empty_axes=1),
    *each(REDUCTIONS, (4, 3)),
    *each(REDUCTIONS, (2, 3, 5), np.array([1, 2])),
    *each(REDUCTIONS, (3, 5), np.array([0, 1]), keepdims=0),
    *each(REDUCTIONS, (3, 5), np.array([1]), keepdims=0),
    case("ReduceSum", (3, 3), np.array([1]), keepdims=0),
    *each(REDUCTIONS, (2, 3, 5), axes=[0, -1], keepdims=0, opset=11),
    *each(REDUCTIONS, (3, 5), axes=[1], opset=7),
    *each("ReduceMean ReduceMax", (2, 3, 5), axes=[0, -1], keepdims=0, opset=13),
    *each("ReduceMax ReduceMin", flags((3, 5)), [0], opset=20),
    case("ReduceSum", ints((3, 5), 9), [0], keepdims=0),
    *each("ArgMax ArgMin", (2, 3, 5), axis=1),
    *each("ArgMax ArgMin", (4, 3), keepdims=0),
    *each("ArgMax ArgMin", ints((3, 5, 2), 2), axis=-2, select_last_index=1),
    *each("ArgMax ArgMin", (4, 3), axis=1, opset=7),
]
