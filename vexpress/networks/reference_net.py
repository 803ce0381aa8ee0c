"""Reference net: looks at the portrait once and hands out what every frame attends to."""

from collections.abc import Iterator, Sequence

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it here)
from torch import nn

from vexpress.networks.transformer_block import Pass, ReferenceBlock
from vexpress.networks.unet import UNet, UNetPlan

_LAST_BLOCK_UNUSED = ("norm3", "ff", "proj_out")


class ReferenceNet(UNet):
    """Stable Diffusion 1.5's U-Net at timestep 0 with a zero text condition.

    Only its features are used, so the published checkpoint has no `conv_norm_out`, and
    `conv_out` and everything after the last feature are kept for their names alone.
    """

    @register_to_config
    def __init__(
        self,
        block_out_channels: Sequence[int] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        attention_heads: int = 8,
        cross_attention_dim: int = 768,
        norm_num_groups: int = 32,
        in_channels: int = 4,
        out_channels: int = 4,
    ) -> None:
        super().__init__()
        plan = UNetPlan(
            ReferenceBlock,
            block_out_channels,
            attention_heads,
            cross_attention_dim,
            norm_num_groups,
            motion=None,
        )
        self.build(plan, layers_per_block, in_channels)
        self.conv_out = nn.Conv2d(block_out_channels[0], out_channels, 3, padding=1)

    def forward(self, latents_BChw: torch.Tensor) -> dict[str, torch.Tensor]:
        """Latents of portraits (B, 4, h, w) to features by block name, each (B, L, C).

        The features of a block are its hidden states after self-attention, through its
        `norm2`. `DenoisingUNet` has a block of the same name that attends to them.
        """
        run = Pass()
        time = self.embed_time(torch.zeros(1, device=latents_BChw.device))
        x = self.conv_in(latents_BChw.contiguous(memory_format=torch.channels_last))
        skips = [x]
        for block in self.down_blocks:
            x = block(x, time, run, skips)
        x = self.mid_block(x, time, run)
        for block in self.up_blocks:
            x = block(x, time, run, skips)
        return run.features

    def feature_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters that the features depend on: the ones worth training.

        Left out: `attn2` but for its output bias (its condition is zero), the end of the
        last block, and `conv_out`.
        """
        last = f"up_blocks.{len(self.up_blocks) - 1}.attentions.{self.config.layers_per_block}."
        for name, parameter in self.named_parameters():
            after = name.startswith(last) and (
                "attn2" in name or any(part in name for part in _LAST_BLOCK_UNUSED)
            )
            idle = ".attn2." in name and not name.endswith(".attn2.to_out.0.bias")
            if not (after or idle or name.startswith("conv_out")):
                yield name, parameter
