"""Audio projection: a perceiver resampler ("Q-Former") from audio vectors to tokens.

Ten vectors around a frame become five tokens. Latents are the queries; keys and values
come from the vectors and the latents together (Flamingo, arXiv:2204.14198, section 3.1).

Shapes: N frames, S vectors a frame, T tokens, E audio channels, C channels.
"""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from vexpress.networks.attention import split_heads


class PerceiverAttention(nn.Module):
    """Attention from latents to vectors and latents; no bias anywhere but in the norms."""

    def __init__(self, channels: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(channels, 2 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, channels, bias=False)

    def forward(self, x_NSC: torch.Tensor, latents_NTC: torch.Tensor) -> torch.Tensor:
        """Give (N, T, C)."""
        latents = self.norm2(latents_NTC)
        sources = torch.cat([self.norm1(x_NSC), latents], dim=1)
        keys, values = (split_heads(t, self.heads) for t in self.to_kv(sources).chunk(2, -1))
        queries = split_heads(self.to_q(latents), self.heads)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        return self.to_out(attended.transpose(1, 2).flatten(2))


class PerceiverLayer(nn.ModuleList):
    """Attention, then a feed-forward, each with its residual; a list for the published names."""

    def __init__(self, dim: int, heads: int, dim_head: int, ff_mult: int) -> None:
        feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, dim * ff_mult, bias=False),
            nn.GELU(),
            nn.Linear(dim * ff_mult, dim, bias=False),
        )
        super().__init__([PerceiverAttention(dim, heads, dim_head), feed_forward])

    def forward(self, x_NSC: torch.Tensor, latents_NTC: torch.Tensor) -> torch.Tensor:
        """Give latents (N, T, C)."""
        attention, feed_forward = self
        latents_NTC = latents_NTC + attention(x_NSC, latents_NTC)
        return latents_NTC + feed_forward(latents_NTC)


class AudioProjection(ModelMixin, ConfigMixin):
    """The resampler with learned positions for its input vectors."""

    @register_to_config
    def __init__(
        self,
        audio_dim: int = 768,
        dim: int = 768,
        output_dim: int = 768,
        depth: int = 4,
        heads: int = 12,
        dim_head: int = 64,
        num_queries: int = 5,
        max_seq_len: int = 10,
        ff_mult: int = 4,
    ) -> None:
        super().__init__()
        self.pos_emb = nn.Embedding(max_seq_len, audio_dim)
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) / dim**0.5)
        self.proj_in = nn.Linear(audio_dim, dim)
        self.layers = nn.ModuleList(
            PerceiverLayer(dim, heads, dim_head, ff_mult) for _ in range(depth)
        )
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)

    def forward(self, vectors_NSE: torch.Tensor) -> torch.Tensor:
        """Audio vectors (N, S, E) to tokens (N, T, output_dim)."""
        x = self.proj_in(vectors_NSE + self.pos_emb.weight[: vectors_NSE.shape[1]])
        latents = self.latents.expand(x.shape[0], -1, -1)
        for layer in self.layers:
            latents = layer(x, latents)
        return self.norm_out(self.proj_out(latents))
