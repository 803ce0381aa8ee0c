"""The transformer blocks of both U-Nets, with the published parameter names.

`ReferenceBlock` hands out what the denoising U-Net attends to; `DenoisingBlock` is the
published block (arXiv:2406.02511):

    h += attn1(norm1(h))
    h += w_ref   · attn1_5(norm1_5(h), reference)
    h += w_audio · attn2(norm2(h), audio of the frame)
    h += ff(norm3(h))

Shapes: N images (B windows of F frames), L positions, C channels.
"""

import torch
from diffusers.models.attention import FeedForward
from torch import nn

from vexpress.networks.attention import Source, attend, attend_to_zeros, make_attention
from vexpress.networks.conditions import Conditions


class Pass:
    """What one forward pass carries to every block.

    `frames`: frames a window; `features`: filled by reference blocks, by block name.
    No dataclass: sharded training rebuilds dataclasses that a block is given, and what the
    block adds to `features` would be lost.
    """

    def __init__(
        self,
        frames: int = 1,
        conditions: Conditions | None = None,
        reference_weight: float = 1.0,
        audio_weight: float = 1.0,
    ) -> None:
        self.frames, self.conditions = frames, conditions
        self.reference_weight, self.audio_weight = reference_weight, audio_weight
        self.features: dict[str, torch.Tensor] = {}


class TransformerBlock(nn.Module):
    """The parameters that both kinds share. `name` is the block's path in its network."""

    name: str

    def __init__(self, channels: int, heads: int, cross_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = make_attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = make_attention(channels, heads, cross_channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def attend_to_self(self, h_NLC: torch.Tensor) -> torch.Tensor:
        """Self-attention with its residual."""
        normed = self.norm1(h_NLC)
        return h_NLC + attend(self.attn1, normed, normed)

    def feed_forward(self, h_NLC: torch.Tensor) -> torch.Tensor:
        """Feed-forward with its residual."""
        return h_NLC + self.ff(self.norm3(h_NLC))


class ReferenceBlock(TransformerBlock):
    """A Stable Diffusion block whose text condition is zero, so that `attn2` is its bias."""

    def forward(self, h_NLC: torch.Tensor, run: Pass) -> torch.Tensor:
        """(N, L, C) to (N, L, C); leaves (N, L, C) in `run.features[name]`."""
        h_NLC = self.attend_to_self(h_NLC)
        run.features[self.name] = self.norm2(h_NLC)
        return self.feed_forward(h_NLC + attend_to_zeros(self.attn2))


class DenoisingBlock(TransformerBlock):
    """The V-Express block: self, reference and audio attention, then feed-forward."""

    def __init__(self, channels: int, heads: int, cross_channels: int) -> None:
        super().__init__(channels, heads, cross_channels)
        self.norm1_5 = nn.LayerNorm(channels)
        self.attn1_5 = make_attention(channels, heads)

    def forward(self, h_NLC: torch.Tensor, run: Pass) -> torch.Tensor:
        """(N, L, C) to (N, L, C)."""
        h_NLC = self.attend_to_self(h_NLC)
        if run.conditions is None:
            constant = run.reference_weight * attend_to_zeros(self.attn1_5)
            constant = constant + run.audio_weight * attend_to_zeros(self.attn2)
            return self.feed_forward(h_NLC + constant)
        seen = self._see(h_NLC, run.conditions, run.frames)
        h_NLC = h_NLC + run.reference_weight * seen
        heard = attend(self.attn2, self.norm2(h_NLC), run.conditions.audio_of(self.name))
        return self.feed_forward(h_NLC + run.audio_weight * heard)

    def _see(self, h_NLC: torch.Tensor, conditions: Conditions, frames: int) -> torch.Tensor:
        """Attend to the reference; the frames that share one are one long sequence."""
        source = conditions.reference[self.name]
        batch = _batch_of(source)
        keep = conditions.reference_keep
        if keep is not None:
            keep = keep.flatten().repeat_interleave(h_NLC.shape[1])
            keep = keep.view(batch, -1, 1)
        shared = self.norm1_5(h_NLC).reshape(batch, -1, h_NLC.shape[-1])
        return attend(self.attn1_5, shared, source, keep).reshape(h_NLC.shape)


class SpatialTransformer(nn.Module):
    """Group norm, 1x1 convolution in, transformer block, 1x1 convolution out, residual."""

    def __init__(
        self, block: type[TransformerBlock], channels: int, heads: int, cross: int, groups: int
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([block(channels, heads, cross)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_NChw: torch.Tensor, run: Pass) -> torch.Tensor:
        """(N, C, h, w) to the same shape."""
        height = x_NChw.shape[2]
        h_NLC = self.proj_in(self.norm(x_NChw)).permute(0, 2, 3, 1).flatten(1, 2)
        for block in self.transformer_blocks:
            h_NLC = block(h_NLC, run)
        out = h_NLC.unflatten(1, (height, -1)).permute(0, 3, 1, 2)
        return x_NChw + self.proj_out(out)


def _batch_of(source: Source) -> int:
    return source[0].shape[0] if isinstance(source, tuple) else source.shape[0]
