"""Calls of the loss family."""

from __future__ import annotations

from tests.axes.build import case, each, ints

BOTH = "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss"
CASES = [
    *each(BOTH, (3, 5), ints((3,), 5), reduction="none"),
    *each(BOTH, (3, 5, 2, 4), ints((3, 2, 4), 5), (5,), reduction="none", opset=13),
    *each(BOTH, (3, 5), ints((3,), 5), (5,), reduction="sum", ignore_index=2),
    *each(BOTH, (2, 3, 5), ints((2, 5), 3), reduction="sum", opset=12),
    *each(BOTH, (3, 5), ints((3,), 5)),
    *each(BOTH, (2, 3, 5), ints((2, 5), 3), (3,), reduction="mean"),
    case("SoftmaxCrossEntropyLoss", (3, 5, 2), ints((3, 2), 5), reduction="none", y="11"),
    case("SoftmaxCrossEntropyLoss", (3, 5), ints((3,), 5), (5,), reduction="sum", y="11"),
    case("SoftmaxCrossEntropyLoss", (3, 5), ints((3,), 5), y="11", opset=12),
]
