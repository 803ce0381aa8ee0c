"""A complete small training: clips, random start weights, a random autoencoder, settings."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL

from tests.helpers.small_clips import AUDIO_DIM, write_clips
from vexpress.tasks.train.settings import make_settings
from vexpress.training.settings import STAGE_NAMES, TrainSettings
from vexpress.training.start_weights import random_networks, write_networks


def write_material(folder: Path) -> Path:
    """Three clips with their index, `start/` with random weights, `vae/` likewise."""
    write_clips(folder)
    return write_random_networks(folder)


def write_random_networks(folder: Path) -> Path:
    """`start/` with the networks of V-Express, `vae/` with an autoencoder: small and random."""
    sizes = {"block_out_channels": (32, 64), "cross_attention_dim": 32, "attention_heads": 2}
    write_networks(folder / "start", random_networks(1, AUDIO_DIM, **sizes))
    torch.manual_seed(3)
    blocks = {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    AutoencoderKL(**blocks, norm_num_groups=4, sample_size=64).save_pretrained(folder / "vae")
    return folder


def small_settings(material: Path, **overrides: Any) -> TrainSettings:
    """Settings of a run of six steps a stage; `overrides` as of a file."""
    steps = {"steps": 6, "learning_rate": 1e-3}
    frames = {"stage_1": {"batch": 2}, "stage_2": {"frames": 3}}
    stages = {name: {**steps, **frames.get(name, {"frames": 2})} for name in STAGE_NAMES}
    for name, stage in stages.items():
        stage.update(overrides.pop(name, {}))
    data = {"validation_share": 0.3, "validation_samples": 2, "reference_margin": 30}
    common = {
        "start": material / "start",
        "vae": material / "vae",
        "data": {**data, **overrides.pop("data", {})},
        "engine": {"save_every": 2, "validate_every": 3, **overrides.pop("engine", {})},
    }
    return make_settings("tiny", {**common, **stages, **overrides})
