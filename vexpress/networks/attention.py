"""Scaled dot-product attention on diffusers' `Attention` parameters.

V-Express attends to things that do not change while a video is made (the reference, the
sound), so keys and values are a value of their own here: computed once, used at every
step and frame. diffusers' processors compute them anew in every call.

Shapes: N sequences, L length, C channels, H heads, D channels a head (C = H·D).
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention

KeyValue = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each (N, H, L, D)."""
Source = torch.Tensor | KeyValue
"""Something to attend to: features (N, L, C), or their keys and values."""


def make_attention(channels: int, heads: int, source_channels: int | None = None) -> Attention:
    """Build an attention whose queries, keys and values have no bias, as Stable Diffusion's."""
    if channels % heads:
        raise ValueError(
            f"attention: expected channels divisible by heads, found {channels} and {heads}"
        )
    return Attention(
        query_dim=channels,
        cross_attention_dim=source_channels,
        heads=heads,
        dim_head=channels // heads,
    )


def split_heads(x_NLC: torch.Tensor, heads: int) -> torch.Tensor:
    """(N, L, C) to (N, H, L, D); a view."""
    return x_NLC.unflatten(-1, (heads, -1)).transpose(1, 2)


def project(attention: Attention, source_NLC: torch.Tensor) -> KeyValue:
    """Keys and values of `source_NLC` (N, L, C)."""
    keys = split_heads(attention.to_k(source_NLC), attention.heads)
    values = split_heads(attention.to_v(source_NLC), attention.heads)
    return keys, values


def attend(
    attention: Attention,
    x_NLC: torch.Tensor,
    source: Source,
    keep_NL1: torch.Tensor | None = None,
) -> torch.Tensor:
    """Attend from `x_NLC` to `source` and apply the output projection; gives (N, L, C).

    `keep_NL1` (N, L, 1), 0 or 1: where it is 0 the source counts as all zeros. Keys have
    no bias, so attention to zeros is zero before the output projection: exact.
    """
    keys, values = source if isinstance(source, tuple) else project(attention, source)
    queries = split_heads(attention.to_q(x_NLC), attention.heads)
    attended = F.scaled_dot_product_attention(queries, keys, values)
    attended = attended.transpose(1, 2).flatten(2)
    if keep_NL1 is not None:
        attended = attended * keep_NL1.to(attended.dtype)
    return attention.to_out[0](attended)


def attend_to_zeros(attention: Attention) -> torch.Tensor:
    """What `attend` gives for a source of zeros: the output bias (C,), whatever the queries."""
    return attention.to_out[0].bias
