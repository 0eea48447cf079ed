"""Attention of a few queries to very many keys: `(heads, queries, width)` -> the same shape.

What is left to cut is the axis of the keys, which is gone in the result: one query at a time still holds a
score for every key. Source: Lee et al., "Set Transformer", arXiv 1810.00825, pooling by attention.
"""

from __future__ import annotations

import torch

from models.export import Example


class Pooling(torch.nn.Module):
    """Softmax of the scores along the keys, times the values; `seen` says which key each query may see."""

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        seen: torch.Tensor | None = None,
    ) -> torch.Tensor:
        scores = queries @ keys.transpose(-2, -1)
        if seen is not None:
            scores = scores.masked_fill(~seen, -torch.inf)
        return scores.softmax(dim=-1) @ values


def build(
    *, queries: int = 16, keys: int = 1_000_000, heads: int = 4, width: int = 16, masked: bool = False
) -> Example:
    """Attention of `queries` queries to `keys` keys in `heads` heads; `masked` hides some."""
    inputs = {
        "queries": torch.randn(heads, queries, width),
        "keys": torch.randn(heads, keys, width),
        "values": torch.randn(heads, keys, width),
    }
    if masked:
        inputs["seen"] = torch.rand(queries, keys) < 0.5
    return Example(Pooling(), inputs, ("pooled",))
