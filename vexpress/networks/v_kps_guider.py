"""V-Kps guider: turns pictures of the three facial points into features at latent size."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


class VKpsGuider(ModelMixin, ConfigMixin):
    """3x3 convolutions with SiLU, halving the size three times; the last one starts at zero."""

    @register_to_config
    def __init__(
        self,
        out_channels: int = 320,
        block_out_channels: Sequence[int] = (16, 32, 96, 256),
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, block_out_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(block_out_channels[-1], out_channels, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images_BCFHW: torch.Tensor) -> torch.Tensor:
        """V-Kps pictures (B, 3, F, H, W), 0..1, to features (B, out_channels, F, H/8, W/8)."""
        batch = images_BCFHW.shape[0]
        x = images_BCFHW.transpose(1, 2).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.silu(self.conv_in(x))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x).unflatten(0, (batch, -1)).transpose(1, 2)
