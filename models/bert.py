"""BERT encoder: token ids and mask `(batch, tokens)` -> hidden states `(batch, tokens, width)`.

Source: transformers `BertModel` with eager attention, no pooler; Devlin et al., "BERT: Pre-training of Deep
Bidirectional Transformers for Language Understanding", arXiv 1810.04805.
"""

from __future__ import annotations

import torch
from transformers import BertConfig, BertModel

from models.export import Example

LONGEST = 512  # positions of the published model; longer inputs need more


class Bert(torch.nn.Module):
    """`BertModel` that returns the last hidden state alone."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.model = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


def build(
    *,
    layers: int = 4,
    tokens: int = 2048,
    width: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    dynamic: bool = False,
) -> Example:
    """BERT with `layers` blocks of `width` channels; `dynamic` frees the axes `batch` and `tokens`."""
    config = BertConfig(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width,
        vocab_size=vocab, max_position_embeddings=max(tokens, LONGEST), attn_implementation="eager",
    )  # fmt: skip
    shape = (2 if dynamic else 1, tokens)  # an example batch of 1 would be taken for a constant
    inputs = {
        "input_ids": torch.randint(vocab, shape),
        "attention_mask": (torch.arange(tokens) < tokens - 1).expand(shape).long(),
    }
    free = {0: "batch", 1: "tokens"}
    axes = {"input_ids": free, "attention_mask": free} if dynamic else {}
    return Example(Bert(config), inputs, ("last_hidden_state",), axes)
