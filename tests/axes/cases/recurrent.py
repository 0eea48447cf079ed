"""Calls of the recurrent family."""

from __future__ import annotations

import numpy as np

from tests.axes.build import case

CASES = [
    case("LSTM", (3, 5, 2), (1, 16, 2), (1, 16, 4), y="111", hidden_size=4),
    case(
        "LSTM",
        (3, 2, 4),
        (2, 8, 4),
        (2, 8, 2),
        (2, 16),
        None,
        (2, 2, 2),
        y="011",
        hidden_size=2,
        direction="bidirectional",
    ),
    case("GRU", (3, 5, 2), (1, 12, 2), (1, 12, 4), hidden_size=4),
    case("GRU", (4, 3, 2), (1, 6, 2), (1, 6, 2), None, np.array([1, 4, 2], np.int32), y="11", hidden_size=2),
    case("RNN", (3, 5, 2), (1, 4, 2), (1, 4, 4), hidden_size=4),
    case("RNN", (4, 3, 2), (1, 2, 2), (1, 2, 2), (1, 4), None, (1, 3, 2), y="11", hidden_size=2),
]
