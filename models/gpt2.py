"""GPT-2 prefill: token ids `(batch, tokens)` -> hidden states `(batch, tokens, width)`, mask in the graph.

Source: transformers `GPT2Model` with eager or fused attention; Radford et al., "Language Models are
Unsupervised Multitask Learners" (2019).
"""

from __future__ import annotations

import torch
from transformers import GPT2Config, GPT2Model

from models.export import Example

LONGEST = 1024  # positions of the published model; longer inputs need more


class Gpt2(torch.nn.Module):
    """`GPT2Model` with its causal mask made here.

    Without a mask argument the library looks for packed sequences in the batch, and a dynamic export carries
    that search (CumSum, GatherND) along.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.model = GPT2Model(config)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        mask = causal_mask(input_ids.shape[1], self.model.dtype)
        hidden: torch.Tensor = self.model(input_ids, attention_mask=mask, use_cache=False).last_hidden_state
        return hidden


def causal_mask(tokens: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to scores: 0 up to the query's position, the lowest number after it; `(1, 1, T, T)`."""
    position = torch.arange(tokens)
    later = position[None, :] > position[:, None]
    return torch.zeros(tokens, tokens, dtype=dtype).masked_fill(later, torch.finfo(dtype).min)[None, None]


def build(
    *,
    layers: int = 4,
    tokens: int = 4096,
    width: int = 768,
    heads: int = 12,
    vocab: int = 50257,
    dynamic: bool = False,
    fused: bool = False,
) -> Example:
    """GPT-2 with `layers` blocks of `width` channels; `dynamic` frees the axes `batch` and `tokens`.

    `fused` makes attention one operator, Attention, from opset 23 on.
    """
    config = GPT2Config(
        n_layer=layers, n_embd=width, n_head=heads, vocab_size=vocab, n_positions=max(tokens, LONGEST),
        bos_token_id=vocab - 1, eos_token_id=vocab - 1, use_cache=False,
        attn_implementation="sdpa" if fused else "eager",
    )  # fmt: skip
    # An example batch of 1 would be taken for a constant.
    input_ids = torch.randint(vocab, (2 if dynamic else 1, tokens))
    axes = {"input_ids": {0: "batch", 1: "tokens"}} if dynamic else {}
    return Example(Gpt2(config), {"input_ids": input_ids}, ("last_hidden_state",), axes)
