"""Calls of the family of fused attention."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.axes.build import MICROSOFT, case, ints

call = partial(case, domain=MICROSOFT)
LENGTHS, FEW = np.array([3, 4], np.int32), np.array([1, 3], np.int32)
TOTAL = np.array([4], np.int32)
SELF, CROSS = partial(call, "Attention", num_heads=2), partial(call, "MultiHeadAttention", num_heads=3)
GROUPED = partial(call, "GroupQueryAttention", num_heads=4, kv_num_heads=2)
QUANTISED = partial(call, "QAttention", num_heads=2)
ONE = partial(call, "DecoderMaskedMultiHeadAttention", num_heads=3)
BYTES = (ints((2, 4, 6), 9, np.uint8), ints((6, 24), 9, np.uint8), (24,), np.float32(0.1))

STATES, TURNS = [(3, 2, 3, 8)] * 2, [(9, 8)] * 2
ROWS = np.array([[0, 1, 2, 3], [2, 3, 4, 5]])

CASES = [
    SELF((2, 4, 6), (6, 24), (24,)),
    SELF((2, 4, 6), (6, 24), (24,), LENGTHS),
    SELF((2, 4, 6), (6, 24), (24,), np.array([3, 4, 0, 1], np.int32)),
    SELF((2, 4, 6), (6, 24), (24,), ints((2, 4), 2, np.int32), unidirectional=1),
    SELF((2, 4, 6), (6, 24), (24,), ints((2, 4, 4), 2, np.int32)),
    SELF((2, 4, 6), (6, 24), (24,), None, None, (1, 2, 4, 4)),
    SELF((3, 4, 6), (6, 24), (24,), None, None, (3, 1, 4, 4)),
    SELF((2, 2, 6), (6, 24), (24,), None, (2, 2, 2, 3, 4), y="11", unidirectional=1),
    QUANTISED(*BYTES, np.float32(0.2), None, np.uint8(1), np.uint8(2)),
    QUANTISED(*BYTES, np.float32(0.2), LENGTHS, np.uint8(1), np.uint8(2)),
    QUANTISED(
        *BYTES, np.full((24,), 0.2, np.float32), None, np.uint8(1), np.full((24,), 2, np.uint8), y="11"
    ),
    CROSS((2, 4, 24), (2, 5, 24), (2, 5, 24)),
    CROSS((2, 4, 24), (2, 5, 24), (2, 5, 24), (72,), ints((2, 5), 2, np.int32)),
    CROSS((2, 4, 24), (2, 5, 24), (2, 5, 12), (60,), FEW),
    CROSS((2, 4, 24), (2, 5, 24), (2, 5, 12), None, ints((2, 4, 5), 2, np.int32), (1, 3, 4, 5)),
    CROSS((2, 4, 24), (2, 3, 5, 8), (2, 3, 5, 8), None, None, (2, 1, 4, 5)),
    CROSS((2, 4, 24), (2, 4, 24), (2, 4, 24), unidirectional=1),
    CROSS((2, 4, 24), (2, 4, 24), (2, 4, 24), None, None, None, (2, 3, 2, 8), (2, 3, 2, 8), y="111"),
    CROSS((1, 4, 24), (1, 5, 24), (1, 5, 24), (72,), num_heads=6),
    ONE((4, 1, 24), (4, 3, 5, 8), (4, 3, 5, 8)),
    ONE((2, 1, 24), (2, 3, 4, 8), (2, 3, 4, 8), ints((2, 4), 2, np.int32, low=1)),
    GROUPED((2, 4, 32), (2, 4, 16), (2, 4, 16), None, None, LENGTHS - 1, TOTAL, y="111"),
    GROUPED(
        (2, 4, 32),
        (2, 4, 16),
        (2, 4, 16),
        None,
        None,
        LENGTHS - 1,
        TOTAL,
        None,
        None,
        None,
        (2, 4, 4, 4),
        (4,),
    ),
    GROUPED(
        (3, 1, 32),
        (3, 1, 16),
        (3, 1, 16),
        (3, 2, 3, 8),
        (3, 2, 3, 8),
        np.array([3, 3, 3], np.int32),
        TOTAL,
        y="111",
    ),
    GROUPED((2, 4, 128), None, None, None, None, LENGTHS - 1, TOTAL, (9, 8), (9, 8), y="111", do_rotary=1),
    GROUPED(
        (2, 4, 32),
        (2, 4, 32),
        (2, 4, 32),
        None,
        None,
        LENGTHS - 1,
        TOTAL,
        kv_num_heads=4,
        local_window_size=2,
    ),
    GROUPED(
        (2, 4, 32),
        (2, 4, 16),
        (2, 4, 16),
        None,
        None,
        np.array([3, 3], np.int32),
        TOTAL,
        y="1111",
        qk_output=1,
    ),
    GROUPED((3, 1, 32), (3, 1, 16), (3, 1, 16), *STATES, np.array([3, 1, 2], np.int32), TOTAL, y="111"),
    GROUPED(
        (2, 4, 64), (2, 4, 32), (2, 4, 32), None, None, LENGTHS - 1, TOTAL, *TURNS, ROWS, y="111", do_rotary=1
    ),
]
