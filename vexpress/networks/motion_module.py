"""Temporal transformer of AnimateDiff v2 (arXiv:2307.04725), with the published names.

Every position of the picture attends over the frames of its window: two self-attentions
with sinusoidal positions, a feed-forward, and a residual around the whole.

Shapes: B windows, F frames, N = B·F, C channels, L = h·w positions, H heads, D a head.
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import nn


class TemporalAttention(Attention):
    """Self-attention over frames, at every position on its own."""

    def __init__(self, channels: int, heads: int, positions: int) -> None:
        super().__init__(query_dim=channels, heads=heads, dim_head=channels // heads)
        self.pos_encoder = SinusoidalPositionalEmbedding(channels, positions)

    def forward(self, x_NLC: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·F, L, C) to the same shape. Nothing is copied into (B·L, F, C) for one window."""
        x = x_NLC.unflatten(0, (-1, frames))
        x = x + self.pos_encoder.pe[:, :frames, None]
        queries, keys, values = (
            project(x).unflatten(-1, (self.heads, -1)).permute(0, 2, 3, 1, 4).flatten(0, 1)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(queries, keys, values)
        attended = attended.unflatten(0, (-1, x_NLC.shape[1])).permute(0, 3, 1, 2, 4)
        return self.to_out[0](attended.reshape(x_NLC.shape))


class TemporalBlock(nn.Module):
    """Two temporal self-attentions and a feed-forward, each after a norm, with residuals."""

    def __init__(self, channels: int, heads: int, positions: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(
            TemporalAttention(channels, heads, positions) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.ff_norm = nn.LayerNorm(channels)

    def forward(self, h_NLC: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·F, L, C) to the same shape."""
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            h_NLC = h_NLC + attention(norm(h_NLC), frames)
        return h_NLC + self.ff(self.ff_norm(h_NLC))


class TemporalTransformer(nn.Module):
    """Group norm per frame, linear in, one temporal block, linear out, residual."""

    def __init__(self, channels: int, heads: int, positions: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, positions)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x_NChw: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·F, C, h, w) to the same shape."""
        height = x_NChw.shape[2]
        h_NLC = self.proj_in(self.norm(x_NChw).permute(0, 2, 3, 1).flatten(1, 2))
        for block in self.transformer_blocks:
            h_NLC = block(h_NLC, frames)
        out = self.proj_out(h_NLC).unflatten(1, (height, -1)).permute(0, 3, 1, 2)
        return x_NChw + out


class MotionModule(nn.Module):
    """A temporal transformer that starts as the identity: its `proj_out` is zero."""

    def __init__(self, channels: int, heads: int, positions: int, groups: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, positions, groups)
        for parameter in self.temporal_transformer.proj_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x_NChw: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·F, C, h, w) to the same shape."""
        return self.temporal_transformer(x_NChw, frames)
