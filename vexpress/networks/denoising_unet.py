"""Denoising U-Net: predicts the velocity of a window of noisy frames.

Shapes: B windows, F frames, h and w latent height and width, E channels of a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  (a pipeline looks for it here)
from torch import nn

from vexpress.networks.attention import KeyValue, project
from vexpress.networks.conditions import Conditions
from vexpress.networks.transformer_block import DenoisingBlock, Pass
from vexpress.networks.unet import DownBlock, Skips, UNet, UNetPlan, UpBlock

Part = Literal["spatial", "audio", "motion"]


@dataclass
class Inner:
    """The result of the inner layers of one window, kept from step to step.

    All but the outermost layers change slowly between steps (DeepCache, arXiv:2312.00858),
    so a step may reuse them: approximate.
    """

    kept: torch.Tensor | None = None
    reuse: bool = False


class DenoisingUNet(UNet):
    """Stable Diffusion 1.5's U-Net, per frame, with reference attention and motion modules."""

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
        motion_heads: int = 8,
        motion_positions: int = 32,
    ) -> None:
        super().__init__()
        plan = UNetPlan(
            DenoisingBlock,
            block_out_channels,
            attention_heads,
            cross_attention_dim,
            norm_num_groups,
            motion=(motion_heads, motion_positions),
        )
        self.build(plan, layers_per_block, in_channels)
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, block_out_channels[0], eps=1e-5)
        self.conv_out = nn.Conv2d(block_out_channels[0], out_channels, 3, padding=1)

    def forward(
        self,
        latents_BCFhw: torch.Tensor,
        timesteps: torch.Tensor,
        conditions: Conditions | None = None,
        reference_weight: float = 1.0,
        audio_weight: float = 1.0,
        inner: Inner | None = None,
    ) -> torch.Tensor:
        """Noisy latents (B, 4, F, h, w) at `timesteps` (B,) or () to velocities of that shape.

        `conditions` None: the unconditional half of guidance, exactly as if everything
        were zeros. The weights scale reference and audio attention in both halves.
        `inner`: keeps the result of the inner layers, or reuses it where it says so.
        """
        run = Pass(latents_BCFhw.shape[2], conditions, reference_weight, audio_weight)
        self._check_frames(run.frames)
        time = self.embed_time(timesteps.reshape(-1), run.frames)
        x = self.enter(latents_BCFhw, conditions)
        skips = [x]
        if inner is not None and inner.reuse and inner.kept is not None:
            self._run_outer_down(x, time, run, skips)
            x = inner.kept
        else:
            x = self._run_inner(x, time, run, skips)
        if inner is not None:
            inner.kept = x
        last = self._last_up_block
        x = last.run_layers(range(1, len(last.resnets)), x, time, run, skips)
        return self.leave(x, run.frames)

    def _run_inner(
        self, x: torch.Tensor, time: torch.Tensor, run: Pass, skips: Skips
    ) -> torch.Tensor:
        """Everything from the first layer down to the first layer of the last up block."""
        for block in self.down_blocks:
            x = block(x, time, run, skips)
        x = self.mid_block(x, time, run)
        for block in self.up_blocks[:-1]:
            x = block(x, time, run, skips)
        return self._last_up_block.run_layers(range(1), x, time, run, skips)

    def _run_outer_down(self, x: torch.Tensor, time: torch.Tensor, run: Pass, skips: Skips) -> None:
        """Only the layers of the first down block whose skips the outer up layers take."""
        first = cast(DownBlock, self.down_blocks[0])
        for index in range(self.config.layers_per_block - 1):
            x = first.run_layer(index, x, time, run)
            skips.append(x)

    def enter(self, latents_BCFhw: torch.Tensor, conditions: Conditions | None) -> torch.Tensor:
        """Latents to (B·F, C0, h, w), with the V-Kps features added."""
        x = self.conv_in(_frames_first(latents_BCFhw))
        return x if conditions is None else x + _frames_first(conditions.kps_features)

    def leave(self, x_NChw: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·F, C0, h, w) to velocities (B, 4, F, h, w)."""
        x = self.conv_out(F.silu(self.conv_norm_out(x_NChw)))
        return x.unflatten(0, (-1, frames)).transpose(1, 2)

    def project_reference(self, features: dict[str, torch.Tensor]) -> dict[str, KeyValue]:
        """Keys and values of reference features, by block: once per video."""
        return {name: project(b.attn1_5, features[name]) for name, b in self.denoising_blocks()}

    def project_audio(self, tokens_BFTE: torch.Tensor) -> dict[str, KeyValue]:
        """Keys and values of audio tokens, by block: once per window."""
        tokens = tokens_BFTE.flatten(0, 1)
        return {name: project(block.attn2, tokens) for name, block in self.denoising_blocks()}

    def denoising_blocks(self) -> list[tuple[str, DenoisingBlock]]:
        """Name and block of every transformer block."""
        blocks = self.transformer_blocks()
        return [(name, block) for name, block in blocks if isinstance(block, DenoisingBlock)]

    @staticmethod
    def part_of(name: str) -> Part:
        """Tell which part of training a parameter belongs to, as published.

        motion: the motion modules; audio: `attn2` and `norm2` of the transformer blocks
        (residual blocks have a `norm2` too, which is spatial); spatial: all others.
        """
        if "motion_modules." in name:
            return "motion"
        if ".attn2." in name or ("transformer_blocks." in name and ".norm2." in name):
            return "audio"
        return "spatial"

    @property
    def _last_up_block(self) -> UpBlock:
        return cast(UpBlock, self.up_blocks[-1])

    def _check_frames(self, frames: int) -> None:
        if frames > self.config.motion_positions:
            raise ValueError(
                f"a window of {frames} frames: expected at most {self.config.motion_positions}, "
                "the positions that the motion modules know. Use shorter windows."
            )


def _frames_first(x_BCFhw: torch.Tensor) -> torch.Tensor:
    """(B, C, F, h, w) to (B·F, C, h, w), channels last in memory."""
    x = x_BCFhw.transpose(1, 2).flatten(0, 1)
    return x.contiguous(memory_format=torch.channels_last)
