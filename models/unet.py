"""Denoising UNet: latents `(1, 4, side, side)`, time step `(1,)`, text `(1, 77, 256)` -> their noise.

Source: diffusers `UNet2DConditionModel`; Rombach et al., "High-Resolution Image Synthesis with Latent
Diffusion Models", arXiv 2112.10752.
"""

from __future__ import annotations

from math import gcd

import torch
from diffusers import UNet2DConditionModel

from models.export import Example

LATENT_CHANNELS = 4
TEXT_TOKENS = 77
TEXT_CHANNELS = 256
NORM_GROUPS = 32  # fewer where they do not divide `width`


class Unet(torch.nn.Module):
    """`UNet2DConditionModel` that returns its sample alone."""

    def __init__(self, model: UNet2DConditionModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> torch.Tensor:
        noise: torch.Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return noise


def build(*, latent: int = 64, width: int = 128, heads: int = 8) -> Example:
    """UNet of three levels (`width`, 2 and 4 times `width` channels), attention in the upper two."""
    model = UNet2DConditionModel(
        sample_size=latent, in_channels=LATENT_CHANNELS, out_channels=LATENT_CHANNELS, layers_per_block=2,
        block_out_channels=(width, 2 * width, 4 * width), norm_num_groups=gcd(NORM_GROUPS, width),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=heads, cross_attention_dim=TEXT_CHANNELS,
    )  # fmt: skip
    inputs = {
        "sample": torch.randn(1, LATENT_CHANNELS, latent, latent),
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": torch.randn(1, TEXT_TOKENS, TEXT_CHANNELS),
    }
    return Example(Unet(model), inputs, ("noise",))
