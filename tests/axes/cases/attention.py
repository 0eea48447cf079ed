"""Calls of the attention family."""

from __future__ import annotations

from tests.axes.build import case, ints

CASES = [
    case("Attention", (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 2)),
    case("Attention", (2, 6, 5, 4), (2, 3, 4, 4), (2, 3, 4, 4), (5, 4)),
    case("Attention", (2, 4, 5, 6), (2, 4, 5, 6), (2, 4, 5, 6), is_causal=1),
    case("Attention", (2, 5, 12), (2, 4, 12), (2, 4, 12), (2, 3, 5, 4), q_num_heads=3, kv_num_heads=3),
    case("Attention", (2, 4, 5, 6), (2, 4, 3, 6), (2, 4, 3, 6), (2, 1, 5, 3), y="1001"),
    case("Attention", (2, 4, 3, 6), (2, 2, 2, 6), (2, 2, 2, 6), None, (2, 2, 4, 6), (2, 2, 4, 6), y="111"),
    case("RotaryEmbedding", (2, 4, 5, 6), (9, 3), (9, 3), ints((2, 5), 9)),
    case("RotaryEmbedding", (2, 5, 12), (2, 5, 3), (2, 5, 3), num_heads=2),
]
