"""Pictures to latents and back, with the published autoencoder or a tiny one.

Shapes: N pictures of H x W pixels, h = H/8, w = W/8.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from vexpress.errors import CheckpointError, MissingWeightsError

Autoencoder = Any
"""An AutoencoderKL or an AutoencoderTiny; diffusers has no types of its own."""


def load_autoencoder(folder: Path) -> Autoencoder:
    """Load a diffusers folder of an AutoencoderKL or an AutoencoderTiny, frozen.

    Raises MissingWeightsError or CheckpointError.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise MissingWeightsError(
            f"image autoencoder: expected a diffusers folder (config.json inside) at {folder}. "
            "Give its path as `vae`, or put it beside the weights as sd-vae-ft-mse/."
        )
    tiny = json.loads(config.read_text()).get("_class_name") == "AutoencoderTiny"
    kind = AutoencoderTiny if tiny else AutoencoderKL
    try:
        vae, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder} cannot be read as a {kind.__name__}: {error}") from error
    if info["missing_keys"]:
        raise CheckpointError(f"{folder}: missing {sorted(info['missing_keys'])[:8]}")
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: Autoencoder, images_NCHW: torch.Tensor, noise_Nchw: torch.Tensor) -> torch.Tensor:
    """Pictures -1..1 to scaled latents (N, 4, h, w), sampled with the given noise.

    A tiny autoencoder has no distribution to sample from: its noise is not used.
    """
    encoded = vae.encode(images_NCHW.to(vae.dtype))
    if isinstance(vae, AutoencoderTiny):
        return encoded.latents
    spread = encoded.latent_dist
    return (spread.mean + spread.std * noise_Nchw) * vae.config.scaling_factor


@torch.no_grad()
def decode(vae: Autoencoder, latents_Nchw: torch.Tensor) -> torch.Tensor:
    """Scaled latents to pictures (N, 3, H, W), -1..1."""
    scale = 1.0 if isinstance(vae, AutoencoderTiny) else vae.config.scaling_factor
    return vae.decode(latents_Nchw.to(vae.dtype) / scale).sample.clamp(-1, 1)
