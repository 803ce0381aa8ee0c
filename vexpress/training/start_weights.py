"""Weights that training starts from: published ones, Stable Diffusion's, or random.

From Stable Diffusion 1.5, both U-Nets take its weights, reference attention starts as a
copy of self-attention (`attn1` to `attn1_5`, `norm1` to `norm1_5`), and motion modules come
from AnimateDiff's `mm_sd_v15_v2`, as published.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vexpress.errors import CheckpointError, MissingWeightsError, SettingsError
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.training.randomness import generator
from vexpress.training.settings import TrainSettings
from vexpress.weights.catalogue import (
    NETWORKS,
    UNET_CONFIG,
    Places,
    find_file,
    find_weight_file,
    network_files,
    networks_in,
)
from vexpress.weights.checkpoint import State, load_state, read_state
from vexpress.weights.published import Networks, load_networks, save_networks

TINY_UNET = {
    "block_out_channels": (32, 64, 96, 96),
    "layers_per_block": 1,
    "attention_heads": 4,
    "cross_attention_dim": 96,
}
MOTION_FILE = "mm_sd_v15_v2"
COPIED = (("attn1.", "attn1_5."), ("norm1.", "norm1_5."))


def start_networks(settings: TrainSettings, audio_dim: int) -> Networks:
    """The networks that stage 1 starts from, float32 on the CPU.

    Raises SettingsError, MissingWeightsError or CheckpointError.
    """
    if settings.start is None:
        if settings.preset == "full":
            raise SettingsError(
                "training the full model: expected `start`, a folder of weights to start from "
                "(published V-Express, or unet/ of Stable Diffusion 1.5 with "
                f"{MOTION_FILE}.safetensors), found none. For a try-out set preset to tiny."
            )
        return random_networks(settings.seed, audio_dim)
    if networks_in(settings.start):
        return saved_networks(settings.start)
    if find_weight_file(settings.start / "unet", "diffusion_pytorch_model"):
        return from_stable_diffusion(settings.start, settings.seed, audio_dim)
    raise MissingWeightsError(
        f"weights to start from: expected {', '.join(NETWORKS)}, or "
        f"unet/diffusion_pytorch_model of Stable Diffusion 1.5, in {settings.start}"
    )


def saved_networks(folder: Path) -> Networks:
    """Networks of a folder in any published layout, or of the folder of the files themselves;
    heads from the configuration in it or beside it."""
    files = network_files(networks_in(folder) or folder)
    config = find_file(folder, UNET_CONFIG) or find_file(folder.parent, UNET_CONFIG)
    return load_networks(Places(files, folder, folder, config))


def write_networks(folder: Path, networks: Networks, suffix: str = ".safetensors") -> None:
    """Write `folder/v-express/` and the configuration that names the number of heads."""
    config = networks.denoising_unet.config
    sizes = {
        "attention_head_dim": config.attention_heads,
        "block_out_channels": list(config.block_out_channels),
        "cross_attention_dim": config.cross_attention_dim,
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.norm_num_groups,
    }
    save_networks(folder / "v-express", networks, suffix)
    (folder / UNET_CONFIG).parent.mkdir(parents=True, exist_ok=True)
    (folder / UNET_CONFIG).write_text(json.dumps(sizes, indent=1) + "\n")


def random_networks(seed: int, audio_dim: int, **sizes: Any) -> Networks:
    """Tiny networks with random weights: they know nothing. `sizes` change the U-Nets."""
    unet = {**TINY_UNET, **sizes}
    channels = unet["cross_attention_dim"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "weights").initial_seed())
        projection = {"audio_dim": audio_dim, "dim": channels, "output_dim": channels}
        return Networks(
            ReferenceNet.from_config(unet),
            DenoisingUNet.from_config(unet),
            VKpsGuider.from_config({"out_channels": unet["block_out_channels"][0]}),
            AudioProjection.from_config({**projection, "depth": 2, "heads": 2}),
        )


def from_stable_diffusion(folder: Path, seed: int, audio_dim: int) -> Networks:
    """Networks at the size of `folder/unet`; guider and audio projection are random."""
    path = find_weight_file(folder / "unet", "diffusion_pytorch_model")
    motion_path = find_weight_file(folder, MOTION_FILE)
    if path is None or motion_path is None:
        raise MissingWeightsError(
            f"{folder}: expected unet/diffusion_pytorch_model and {MOTION_FILE} "
            "(as .safetensors, .bin or .pth)"
        )
    spatial, motion = read_state(path), read_state(motion_path)
    config = _unet_config(folder / "unet/config.json")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "weights").initial_seed())
        networks = Networks(
            ReferenceNet.from_config(config),
            DenoisingUNet.from_config(config),
            VKpsGuider.from_config({"out_channels": config["block_out_channels"][0]}),
            AudioProjection.from_config(
                {"audio_dim": audio_dim, "output_dim": config["cross_attention_dim"]}
            ),
        )
    reference = {k: v for k, v in spatial.items() if not k.startswith("conv_norm_out")}
    load_state(networks.reference_net, _float32_copy(reference), str(path))
    _load_denoising(networks.denoising_unet, spatial, motion, f"{path} with {motion_path.name}")
    return networks


def _load_denoising(unet: DenoisingUNet, spatial: State, motion: State, source: str) -> None:
    """Raises CheckpointError for stray keys, as `load_state` does for missing ones."""
    copies = {
        key.replace(old, new): tensor
        for key, tensor in spatial.items()
        for old, new in COPIED
        if f"transformer_blocks.0.{old}" in key
    }
    stray = [key for key in motion if "motion_modules." not in key]
    if stray:
        raise CheckpointError(f"{source}: expected motion modules alone, found {stray[:4]}")
    load_state(unet, _float32_copy({**spatial, **copies, **motion}), source)


def _float32_copy(state: State) -> State:
    """A copy in float32: each network, and each of its weights, learns by itself."""
    return {key: tensor.to(torch.float32, copy=True) for key, tensor in state.items()}


def _unet_config(file: Path) -> dict[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(file.read_text())
        return {
            "block_out_channels": tuple(found["block_out_channels"]),
            "layers_per_block": found["layers_per_block"],
            "attention_heads": found["attention_head_dim"],
            "cross_attention_dim": found["cross_attention_dim"],
            "norm_num_groups": found["norm_num_groups"],
        }
    except (OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{file}: expected Stable Diffusion's U-Net sizes: {error}"
        ) from error
