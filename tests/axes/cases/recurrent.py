"""Calls of the recurrent family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.build import Operand, case
from tests.axes.oracle import Case

LENGTHS = np.array([1, 4, 2], np.int32)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _call(type_: str, value: tuple[int, ...], *more: Operand, ways: int = 1, **options: Any) -> Case:
    """A layer of two hidden units."""
    gates = 2 * GATES[type_]
    direction = "bidirectional" if ways == 2 else "forward"
    weights = (ways, gates, value[2]), (ways, gates, 2)
    return case(type_, value, *weights, *more, hidden_size=2, direction=direction, **options)


CASES = [
    _call("LSTM", (3, 5, 2), y="111"),
    _call("LSTM", (3, 2, 4), (2, 16), None, (2, 2, 2), ways=2, y="011"),
    _call("LSTM", (4, 3, 2), (1, 16), LENGTHS, (1, 3, 2), (1, 3, 2), (1, 6), y="111", opset=7),
    _call("GRU", (3, 5, 2)),
    _call("GRU", (4, 3, 2), None, LENGTHS, y="11"),
    _call("GRU", (3, 5, 2), (2, 12), None, (2, 5, 2), ways=2, linear_before_reset=1, y="11", opset=7),
    _call("RNN", (3, 5, 2)),
    _call("RNN", (4, 3, 2), (1, 4), None, (1, 3, 2), y="11"),
    _call("RNN", (4, 3, 2), (2, 4), LENGTHS, (2, 3, 2), ways=2, y="11", opset=7),
    # the batch first
    _call("LSTM", (3, 4, 2), (1, 16), None, (3, 1, 2), (3, 1, 2), layout=1, y="111"),
    _call("GRU", (3, 4, 2), layout=1, y="11", opset=14),
    _call("RNN", (3, 4, 2), None, None, (3, 1, 2), layout=1, y="11"),
]
