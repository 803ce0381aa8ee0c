"""Read the size of a network off its weights, so that a weight file needs no second file.

Heads cannot be seen in the weights; they come from the U-Net's configuration file.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch

from vexpress.errors import CheckpointError

State = Mapping[str, torch.Tensor]
DIM_HEAD = 64
"""Channels of a head of the audio projection, in the published model."""


def unet_sizes(state: State, source: str, heads: int = 8) -> dict[str, Any]:
    """Configuration of `ReferenceNet` or `DenoisingUNet` with these weights."""
    levels = _count(state, r"down_blocks\.(\d+)\.")
    cross = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    channels = [
        _shape(state, f"down_blocks.{level}.resnets.0.conv1.weight", source)[0]
        for level in range(levels)
    ]
    sizes = {
        "block_out_channels": channels,
        "layers_per_block": _count(state, r"down_blocks\.0\.resnets\.(\d+)\."),
        "attention_heads": heads,
        "cross_attention_dim": _shape(state, cross, source)[1],
        "in_channels": _shape(state, "conv_in.weight", source)[1],
        "out_channels": _shape(state, "conv_out.weight", source)[0],
    }
    positions = next((t.shape[1] for key, t in state.items() if key.endswith("encoder.pe")), None)
    return sizes if positions is None else {**sizes, "motion_positions": positions}


def guider_sizes(state: State, source: str) -> dict[str, Any]:
    """Configuration of a `VKpsGuider` with these weights."""
    blocks = [
        _shape(state, f"blocks.{index}.weight", source)[0]
        for index in range(1, _count(state, r"blocks\.(\d+)\."), 2)
    ]
    return {
        "out_channels": _shape(state, "conv_out.weight", source)[0],
        "block_out_channels": [_shape(state, "conv_in.weight", source)[0], *blocks],
    }


def audio_projection_sizes(state: State, source: str) -> dict[str, Any]:
    """Configuration of an `AudioProjection` with these weights."""
    _, queries, dim = _shape(state, "latents", source)
    inner = _shape(state, "layers.0.0.to_q.weight", source)[0]
    return {
        "audio_dim": _shape(state, "proj_in.weight", source)[1],
        "dim": dim,
        "output_dim": _shape(state, "proj_out.weight", source)[0],
        "depth": _count(state, r"layers\.(\d+)\."),
        "heads": inner // DIM_HEAD,
        "dim_head": DIM_HEAD,
        "num_queries": queries,
        "max_seq_len": _shape(state, "pos_emb.weight", source)[0],
        "ff_mult": _shape(state, "layers.0.1.1.weight", source)[0] // dim,
    }


def _shape(state: State, key: str, source: str) -> tuple[int, ...]:
    if key not in state:
        raise CheckpointError(
            f"{source}: expected a tensor {key}, found {len(state)} others such as "
            f"{list(state)[:3]}. It is the checkpoint of another model."
        )
    return tuple(state[key].shape)


def _count(state: State, pattern: str) -> int:
    found = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    return max(found, default=-1) + 1
