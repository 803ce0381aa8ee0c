"""Clips, weights and settings that training tests share: small, random, complete."""

from pathlib import Path
from typing import Any

import pytest
import torch
from clip_files import AUDIO_DIM, write_clips
from diffusers import AutoencoderKL

from vexpress.training.initial import random_networks, write_networks
from vexpress.training.presets import make_settings
from vexpress.training.settings import TrainSettings


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The machine of the tests is small and shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips with their index, `start/` with random weights, `vae/` likewise."""
    folder = tmp_path_factory.mktemp("material")
    write_clips(folder)
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
    stages = {"stage_1": {**steps, "batch": 2}, "stage_2": {**steps, "frames": 3}}
    stages["stage_3"] = {**steps, "frames": 2}
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
