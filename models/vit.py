"""Vision transformer: an image `(1, 3, side, side)` -> one hidden state per patch `(1, 1 + patches, width)`.

Source: transformers `ViTModel` with eager or fused attention, no pooler; Dosovitskiy et al., "An Image is
Worth 16x16 Words", arXiv 2010.11929 (ViT-Base/16).
"""

from __future__ import annotations

import torch
from transformers import AttentionInterface, ViTConfig, ViTModel

from models.export import Example

PATCH = 16


class Vit(torch.nn.Module):
    """`ViTModel` that returns the last hidden state alone; `resizes` takes images of any size."""

    def __init__(self, config: ViTConfig, *, resizes: bool = False) -> None:
        super().__init__()
        self.model = ViTModel(config, add_pooling_layer=False)
        self.resizes = resizes

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model(
            pixel_values, interpolate_pos_encoding=self.resizes
        ).last_hidden_state
        return hidden


def contrib_attention(
    _: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    __: torch.Tensor | None,
    **___: object,
) -> tuple[torch.Tensor, None]:
    """ONNX Runtime's MultiHeadAttention in an export; heads `(B, H, T, C)` -> `(B, T, H, C)`.

    Source: docs/ContribOperators.md of ONNX Runtime.
    """
    batch, heads, tokens, width = query.shape
    if not torch.onnx.is_in_onnx_export():
        return torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2), None
    merged = [x.transpose(1, 2).reshape(batch, tokens, heads * width) for x in (query, key, value)]
    made = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention", merged, {"num_heads": heads},
        dtype=query.dtype, shape=merged[0].shape, version=1,
    )  # fmt: skip
    return made.reshape(batch, tokens, heads, width), None


AttentionInterface.register("contrib", contrib_attention)


def build(
    *,
    layers: int = 4,
    image: int = 1024,
    width: int = 768,
    heads: int = 12,
    fused: bool = False,
    contrib: bool = False,
    dynamic: bool = False,
) -> Example:
    """ViT with `layers` blocks of `width` channels on an image of `image` x `image` pixels.

    `fused` makes attention one operator, Attention, from opset 23 on; `contrib` makes it ONNX Runtime's own
    operator, MultiHeadAttention. `dynamic` frees the axes `batch`, `height` and `width`: the embeddings of
    the patches' places are resized to the image.
    """
    kernel = "contrib" if contrib else "sdpa" if fused else "eager"
    config = ViTConfig(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width,
        image_size=image, patch_size=PATCH, attn_implementation=kernel,
    )  # fmt: skip
    # An example batch of 1 would be taken for a constant, and equal sides for one size.
    shape = (2, 3, image, image + PATCH) if dynamic else (1, 3, image, image)
    axes = {"pixel_values": {0: "batch", 2: "height", 3: "width"}} if dynamic else {}
    inputs = {"pixel_values": torch.randn(shape)}
    return Example(Vit(config, resizes=dynamic), inputs, ("last_hidden_state",), axes)
