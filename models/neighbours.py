"""Nearest neighbours: points `(N, width)` twice -> indices of the nearest, from all N x N distances.

Small in, huge inside, small out. Source: `torch.cdist` by matrix products, as its export writes it.
"""

from __future__ import annotations

import torch

from models.export import Example


class Neighbours(torch.nn.Module):
    """The nearest of `references` to each of `points`, or the `nearest` several with their distances."""

    def __init__(self, nearest: int) -> None:
        super().__init__()
        self.nearest = nearest

    def forward(
        self, points: torch.Tensor, references: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        distances = torch.cdist(points, references)
        if self.nearest == 1:
            return distances.argmin(dim=-1)
        found: tuple[torch.Tensor, torch.Tensor] = distances.topk(self.nearest, dim=-1, largest=False)
        return found


def build(*, points: int = 20000, width: int = 64, nearest: int = 1) -> Example:
    """Nearest neighbours of `points` points in as many others: ArgMin, or TopK for `nearest` above 1."""
    inputs = {"points": torch.randn(points, width), "references": torch.randn(points, width)}
    outputs = ("indices",) if nearest == 1 else ("distances", "indices")
    return Example(Neighbours(nearest), inputs, outputs)
