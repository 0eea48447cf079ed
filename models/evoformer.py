"""Evoformer: MSA `(sequences, residues, 256)` and pair `(residues, residues, 128)` -> the same, updated.

In shapes and einsum strings s is a sequence; i, j, k are residues; h is a head; c, d are channels.

Source: Jumper et al., "Highly accurate protein structure prediction with AlphaFold" (2021), supplement,
algorithms 6 to 15.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.export import Example

MSA = 256  # channels
PAIR = 128  # channels
HEAD = 32  # channels of one attention head
MSA_HEADS = 8
PAIR_HEADS = 4
OUTER = 32  # channels of either factor of the outer product
TRIANGLE = 128  # channels of the triangle multiplications
WIDEN = 4  # of the transitions

OUTGOING = "ikc,jkc->ijc"
INCOMING = "kic,kjc->ijc"


class GatedAttention(nn.Module):
    """Gated self-attention of `(s, i, C)` along i, the scores biased by `(h, i, j)` where given."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, heads * HEAD, bias=False)
        self.key = nn.Linear(channels, heads * HEAD, bias=False)
        self.value = nn.Linear(channels, heads * HEAD, bias=False)
        self.gate = nn.Linear(channels, heads * HEAD)
        self.out = nn.Linear(heads * HEAD, channels)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        query, key, value = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        scores = torch.einsum("sihc,sjhc->shij", query * HEAD**-0.5, key)
        if bias is not None:
            scores = scores + bias
        mixed = torch.einsum("shij,sjhc->sihc", torch.softmax(scores, dim=-1), value)
        gated: Tensor = self.out(torch.sigmoid(self.gate(x)) * mixed.flatten(-2))
        return gated

    def split(self, x: Tensor) -> Tensor:
        """`(s, i, h * HEAD)` -> `(s, i, h, HEAD)`."""
        return x.reshape(*x.shape[:-1], self.heads, HEAD)


class RowAttention(nn.Module):
    """Algorithm 7: each sequence attends along its residues, biased by the pair representation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(MSA)
        self.norm_pair = nn.LayerNorm(PAIR)
        self.bias = nn.Linear(PAIR, MSA_HEADS, bias=False)
        self.attention = GatedAttention(MSA, MSA_HEADS)

    def forward(self, msa: Tensor, pair: Tensor) -> Tensor:
        bias = self.bias(self.norm_pair(pair)).permute(2, 0, 1)
        update: Tensor = self.attention(self.norm(msa), bias)
        return update


class ColumnAttention(nn.Module):
    """Algorithm 8: each residue attends along the sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(MSA)
        self.attention = GatedAttention(MSA, MSA_HEADS)

    def forward(self, msa: Tensor) -> Tensor:
        update: Tensor = self.attention(self.norm(msa).transpose(0, 1))
        return update.transpose(0, 1)


class OuterProductMean(nn.Module):
    """Algorithm 10: `(s, i, MSA)` -> `(i, j, PAIR)`, the products of all residue pairs, averaged over s."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(MSA)
        self.left = nn.Linear(MSA, OUTER)
        self.right = nn.Linear(MSA, OUTER)
        self.out = nn.Linear(OUTER * OUTER, PAIR)

    def forward(self, msa: Tensor) -> Tensor:
        sequences = msa.shape[0]
        msa = self.norm(msa)
        products = torch.einsum("sic,sjd->ijcd", self.left(msa), self.right(msa)) / sequences
        update: Tensor = self.out(products.flatten(-2))
        return update


class TriangleMultiplication(nn.Module):
    """Algorithms 11 and 12: edge ij from the edges ik, jk (OUTGOING) or ki, kj (INCOMING) of every k."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation
        self.norm = nn.LayerNorm(PAIR)
        self.left = nn.Linear(PAIR, TRIANGLE)
        self.left_gate = nn.Linear(PAIR, TRIANGLE)
        self.right = nn.Linear(PAIR, TRIANGLE)
        self.right_gate = nn.Linear(PAIR, TRIANGLE)
        self.gate = nn.Linear(PAIR, PAIR)
        self.norm_edges = nn.LayerNorm(TRIANGLE)
        self.out = nn.Linear(TRIANGLE, PAIR)

    def forward(self, pair: Tensor) -> Tensor:
        pair = self.norm(pair)
        left = torch.sigmoid(self.left_gate(pair)) * self.left(pair)
        right = torch.sigmoid(self.right_gate(pair)) * self.right(pair)
        edges = torch.einsum(self.equation, left, right)
        update: Tensor = torch.sigmoid(self.gate(pair)) * self.out(self.norm_edges(edges))
        return update


class StartingAttention(nn.Module):
    """Algorithm 13: edge ij attends to the edges ik, biased by edge jk."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(PAIR)
        self.bias = nn.Linear(PAIR, PAIR_HEADS, bias=False)
        self.attention = GatedAttention(PAIR, PAIR_HEADS)

    def forward(self, pair: Tensor) -> Tensor:
        pair = self.norm(pair)
        update: Tensor = self.attention(pair, self.bias(pair).permute(2, 0, 1))
        return update


class EndingAttention(StartingAttention):
    """Algorithm 14: edge ij attends to the edges kj, biased by edge ki: 13 on reversed edges."""

    def forward(self, pair: Tensor) -> Tensor:
        return super().forward(pair.transpose(0, 1)).transpose(0, 1)


def transition(channels: int) -> nn.Module:
    """Algorithms 9 and 15: a two-layer perceptron on every position."""
    wide = WIDEN * channels
    return nn.Sequential(
        nn.LayerNorm(channels), nn.Linear(channels, wide), nn.ReLU(), nn.Linear(wide, channels)
    )


class Block(nn.Module):
    """One pass of algorithm 6; dropout is the identity in inference and left out."""

    def __init__(self) -> None:
        super().__init__()
        self.row_attention = RowAttention()
        self.column_attention = ColumnAttention()
        self.msa_transition = transition(MSA)
        self.outer_product_mean = OuterProductMean()
        self.outgoing = TriangleMultiplication(OUTGOING)
        self.incoming = TriangleMultiplication(INCOMING)
        self.starting_attention = StartingAttention()
        self.ending_attention = EndingAttention()
        self.pair_transition = transition(PAIR)

    def forward(self, msa: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
        msa = msa + self.row_attention(msa, pair)
        msa = msa + self.column_attention(msa)
        msa = msa + self.msa_transition(msa)
        pair = pair + self.outer_product_mean(msa)
        pair = pair + self.outgoing(pair)
        pair = pair + self.incoming(pair)
        pair = pair + self.starting_attention(pair)
        pair = pair + self.ending_attention(pair)
        pair = pair + self.pair_transition(pair)
        return msa, pair


class Evoformer(nn.Module):
    """Algorithm 6 without the final projection to a single representation."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(blocks))

    def forward(self, msa: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            msa, pair = block(msa, pair)
        return msa, pair


def build(*, blocks: int = 2, residues: int = 256, sequences: int = 64) -> Example:
    """Evoformer of AlphaFold 2 with `blocks` blocks, for `sequences` sequences of `residues` residues."""
    inputs = {"msa": torch.randn(sequences, residues, MSA), "pair": torch.randn(residues, residues, PAIR)}
    return Example(Evoformer(blocks), inputs, ("msa_out", "pair_out"))
