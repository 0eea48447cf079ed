"""Calls of the recurrent family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.build import Operand, case
from tests.axes.oracle import Case

LENGTHS = np.array([1, 4, 2], np.int32)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
HIDDEN = 7


def _call(type_: str, value: tuple[int, ...], *more: Operand, ways: int = 1, **options: Any) -> Case:
    """A layer of few hidden units; all extents differ."""
    gates = HIDDEN * GATES[type_]
    direction = "bidirectional" if ways == 2 else "forward"
    weights = (ways, gates, value[2]), (ways, gates, HIDDEN)
    return case(type_, value, *weights, *more, hidden_size=HIDDEN, direction=direction, **options)


CASES = [
    _call("LSTM", (3, 5, 6), y="111"),
    _call("LSTM", (3, 5, 4), (2, 56), None, (2, 5, 7), ways=2, y="011"),
    _call("LSTM", (4, 3, 5), (1, 56), LENGTHS, (1, 3, 7), (1, 3, 7), (1, 21), y="111", opset=7),
    _call("GRU", (3, 5, 6)),
    _call("GRU", (4, 3, 5), None, LENGTHS, y="11"),
    _call("GRU", (3, 5, 4), (2, 42), None, (2, 5, 7), ways=2, linear_before_reset=1, y="11", opset=7),
    _call("RNN", (3, 5, 6)),
    _call("RNN", (4, 3, 5), (1, 14), None, (1, 3, 7), y="11"),
    _call("RNN", (4, 3, 5), (2, 14), LENGTHS, (2, 3, 7), ways=2, y="11", opset=7),
    # the batch first
    _call("LSTM", (3, 4, 5), (1, 56), None, (3, 1, 7), (3, 1, 7), layout=1, y="111"),
    _call("GRU", (3, 4, 5), layout=1, y="11", opset=14),
    _call("RNN", (3, 4, 5), None, None, (3, 1, 7), layout=1, y="11"),
]
