"""Calls of the attention family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.axes.build import case, flags, ints

FOUR = (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 7)
SQUARE = (2, 4, 5, 6), (2, 4, 5, 6), (2, 4, 5, 7)
GROUPED = (2, 6, 5, 7), (2, 3, 4, 7), (2, 3, 4, 8)
PACKED = (2, 5, 12), (2, 4, 12), (2, 4, 6)
FEW_HEADS = (2, 5, 24), (2, 4, 12), (2, 4, 6)
PAST = (2, 2, 4, 6), (2, 2, 4, 6)
THREE: dict[str, Any] = {"q_num_heads": 3, "kv_num_heads": 3}
SIX_OF_THREE: dict[str, Any] = {"q_num_heads": 6, "kv_num_heads": 3}
STATE = (2, 3, 2, 4)

CASES = [
    case("Attention", *FOUR),
    case("Attention", *FOUR, scale=0.3, softcap=2.0),
    *[
        case("Attention", *FOUR, (2, 1, 5, 3), y="1001", qk_matmul_output_mode=mode, softcap=2.0)
        for mode in range(4)
    ],
    # grouped queries, one group for all among them
    case("Attention", *GROUPED, (5, 4)),
    case("Attention", *GROUPED, (2, 6, 5, 4), y="1001"),
    case("Attention", (2, 4, 5, 6), (2, 1, 3, 6), (2, 1, 3, 7), (4, 5, 3)),
    # packed heads
    case("Attention", *PACKED, (2, 3, 5, 4), **THREE),
    case("Attention", *PACKED, (3, 5, 4), y="1111", **THREE),
    case("Attention", *FEW_HEADS, flags((5, 4)) | np.eye(5, 4, dtype=np.bool_), **SIX_OF_THREE),
    case("Attention", *FEW_HEADS, y="1111", **SIX_OF_THREE),
    case("Attention", (2, 5, 12), (2, 4, 4), (2, 4, 4), q_num_heads=3, kv_num_heads=1),
    case("Attention", *GROUPED, q_num_heads=6, kv_num_heads=3),
    # masks
    case("Attention", *FOUR, flags((5, 3)) | np.eye(5, 3, dtype=np.bool_)),
    case("Attention", *FOUR, (1, 4, 5, 3)),
    case("Attention", *FOUR, (1, 5, 3)),
    case("Attention", *FOUR, (2, 4, 5, 3), None, None, ints((2,), 3, low=1), opset=24),
    # rows that are counted
    case("Attention", *SQUARE, is_causal=1),
    case("Attention", *SQUARE, is_causal=1, opset=24),
    case("Attention", *SQUARE, (5, 5), is_causal=1, opset=24, y="1001", qk_matmul_output_mode=3),
    case("Attention", (2, 3, 12), (2, 5, 12), (2, 5, 12), is_causal=1, opset=24, **THREE),
    case("Attention", *SQUARE, None, None, None, [5, 5], is_causal=1, opset=24),
    case("Attention", (2, 4, 3, 6), *SQUARE[1:], None, None, None, [4, 3], is_causal=1, opset=25),
    case("Attention", (2, 4, 3, 6), *SQUARE[1:], None, None, None, np.array([4, 5]), is_causal=1, opset=24),
    case("Attention", *SQUARE, left_window_size=2, right_window_size=0, opset=25),
    case("Attention", *SQUARE, left_window_size=1, is_causal=1, opset=25),
    case("Attention", *SQUARE, left_window_size=1, right_window_size=1, opset=25),
    # a past
    case("Attention", (2, 4, 3, 6), (2, 2, 2, 6), (2, 2, 2, 6), None, *PAST, y="111"),
    case("Attention", (2, 4, 3, 6), (2, 2, 2, 6), (2, 2, 2, 6), (2, 4, 3, 6), *PAST, y="1111"),
    case("Attention", (2, 4, 3, 6), (2, 2, 2, 6), (2, 2, 2, 6), None, *PAST, is_causal=1, y="111", opset=24),
    case("RotaryEmbedding", (2, 4, 5, 6), (9, 3), (9, 3), ints((2, 5), 9)),
    case("RotaryEmbedding", (2, 4, 5, 6), (2, 5, 2), (2, 5, 2), rotary_embedding_dim=4, interleaved=1),
    case("RotaryEmbedding", (2, 4, 5, 6), (2, 5, 3), (2, 5, 3), num_heads=4),
    case("RotaryEmbedding", (2, 5, 12), (2, 5, 3), (2, 5, 3), num_heads=2),
    case("RotaryEmbedding", (2, 5, 12), (9, 1), (9, 1), ints((2, 5), 9), num_heads=3, rotary_embedding_dim=2),
    case("LinearAttention", *[(2, 5, 6)] * 2, (2, 5, 12), opset=27, y="11", update_rule="linear", **THREE),
    case(
        "LinearAttention", (2, 5, 12), (2, 5, 6), (2, 5, 12), STATE, (2, 5, 6), (2, 5, 3), opset=27, y="11",
        **SIX_OF_THREE,
    ),
    case(
        "LinearAttention", (2, 5, 12), (2, 5, 6), (2, 5, 12), STATE, (2, 5, 3), (2, 5, 1), opset=27, y="10",
        **SIX_OF_THREE,
    ),
    case(
        "LinearAttention", (2, 5, 6), (2, 5, 2), (2, 5, 3), None, (2, 5, 2), update_rule="gated", opset=27,
        y="10", q_num_heads=3, kv_num_heads=1,
    ),
]  # fmt: skip
