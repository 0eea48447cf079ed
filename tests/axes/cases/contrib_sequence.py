"""Calls of the family of operators that walk along sequences."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.axes.build import MICROSOFT, case, ints
from tests.axes.oracle import Array

call = partial(case, domain=MICROSOFT)
TURN = partial(call, "RotaryEmbedding")
TURN3 = partial(call, "MRotaryEmbedding", mrope_section=[1, 1, 1])
LINEAR = partial(call, "LinearAttention", y="11")
STATE = partial(call, "CausalConvWithState", y="11")
HASH = partial(call, "NGramHashMapping", max_ngram_size=3, n_head_per_ngram=2, pad_id=0)
HALF = [np.linspace(0, 1, 60, dtype=np.float16).reshape(shape) for shape in ((2, 2, 5, 3), (1, 4, 5, 3))]


def wild(*shapes: tuple[int, ...]) -> list[Array]:
    """Numbers that saturate what reads them."""
    return [ints(shape, 9, np.float32, low=-9) for shape in shapes]


CASES = [
    TURN((2, 5, 12), ints((2, 5), 9), (9, 3), (9, 3)),
    TURN((2, 5, 12), ints((2, 5), 9), (9, 2), (9, 2), num_heads=2, rotary_embedding_dim=4),
    TURN((2, 4, 5, 6), ints((2, 5), 9), (9, 3), (9, 3), interleaved=1),
    TURN((1, 5, 12), [2], (9, 3), (9, 3)),
    TURN((2, 4, 5, 6), [0], (9, 3), (9, 3)),
    TURN((2, 5, 12), np.array([2]), (9, 3), (9, 3)),
    TURN3((2, 5, 12), ints((3, 2, 5), 9), (9, 3), (9, 3), num_heads=2),
    TURN3((2, 4, 5, 6), ints((3, 2, 5), 9), (9, 3), (9, 3), num_heads=4),
    call("GemmaRotaryEmbedding", (2, 5, 3), HALF[0], HALF[0], HALF[0], HALF[0], y="11"),
    call("GemmaRotaryEmbedding", (1, 5, 3), HALF[1], HALF[1], HALF[0][:1], HALF[0][:1], y="11"),
    LINEAR((2, 5, 8), (2, 5, 4), (2, 5, 6), update_rule="linear", q_num_heads=4, kv_num_heads=2),
    LINEAR(
        (2, 5, 6), (2, 5, 6), (2, 5, 12), (2, 3, 2, 4), (2, 5, 3), (2, 5, 3), q_num_heads=3, kv_num_heads=3
    ),
    LINEAR((1, 4, 4), (1, 4, 4), (1, 4, 6), None, (1, 4, 4), (1, 4, 1), q_num_heads=2, kv_num_heads=2),
    LINEAR((2, 4, 2), (2, 4, 4), (2, 4, 6), update_rule="linear", q_num_heads=1, kv_num_heads=2),
    STATE((2, 4, 5), (4, 1, 3), (4,), (2, 4, 2)),
    STATE((3, 2, 5), (2, 1, 2), activation="silu"),
    STATE((2, 5, 2, 3), (6, 1, 3), (6,), (2, 2, 2, 3), channels_last=1),
    HASH(ints((2, 5), 50), ints((3,), 50), ints((4,), 50, low=5), y="11"),
    HASH(ints((3, 4), 50), ints((3,), 50), ints((4,), 50, low=5), ints((3, 2), 50), ints((4,), 9), y="11"),
    call("NGramRepeatBlock", ints((3, 5), 4), (3, 6), ngram_size=2),
    call("NGramRepeatBlock", np.array([[0, 1, 3, 2, 0, 1], [2, 2, 0, 1, 2, 2]]), (2, 4), ngram_size=3),
    call(
        "AttnLSTM",
        (3, 3, 2),
        (1, 16, 7),
        (1, 16, 4),
        (1, 32),
        *[None] * 4,
        *wild((1, 4, 4), (1, 3, 4), (1, 4), (3, 5, 3)),
        np.array([2, 5, 3], np.int32),
        (1, 7, 5),
        y="111",
        hidden_size=4,
    ),
    call(
        "AttnLSTM",
        (4, 2, 3),
        (1, 8, 5),
        (1, 8, 2),
        (1, 16),
        np.array([4, 3], np.int32),
        (1, 2, 2),
        (1, 2, 2),
        None,
        *wild((1, 2, 3), (1, 4, 3), (1, 3), (2, 3, 4)),
        np.array([3, 2], np.int32),
        (1, 6, 2),
        y="111",
        hidden_size=2,
    ),
    call("WordConvEmbedding", ints((5, 6), 9, np.int32, low=1), (4, 1, 2, 3), (4,), (9, 3)),
    call("WordConvEmbedding", ints((3, 4), 9, np.int32, low=1), (5, 1, 3, 2), (5,), (9, 2)),
]
