"""From samples to what the model takes and what it should answer.

Shapes: B samples, F frames, H and W picture size, h and w latent size.
"""

from typing import Any

import torch
from diffusers import DDIMScheduler

from vexpress.training.autoencoder import Autoencoder, encode
from vexpress.training.samples import Sample


def to_device(sample: Sample, device: torch.device) -> Sample:
    """Move every tensor."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in sample.items()}


def encode_batch(vae: Autoencoder, batch: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of the frames (B, 4, F, h, w) and of the references (B, 4, h, w)."""
    frames = batch["images"].shape[1]
    latents = encode(vae, batch["images"].flatten(0, 1), batch["image_noise"].flatten(0, 1))
    reference = encode(vae, batch["reference"], batch["reference_noise"])
    return latents.unflatten(0, (-1, frames)).transpose(1, 2).float(), reference.float()


def model_inputs(
    batch: Sample, vae: Autoencoder, scheduler: DDIMScheduler
) -> tuple[dict[str, Any], torch.Tensor]:
    """Arguments of `TrainingModel.forward` and the velocity (B, 4, F, h, w) it should give."""
    latents, reference = encode_batch(vae, batch)
    timesteps = batch["timestep"]
    inputs = {
        "noisy_BCFhw": scheduler.add_noise(latents, batch["noise"], timesteps),
        "timesteps_B": timesteps,
        "reference_BChw": reference,
        "v_kps_BCFHW": batch["v_kps"],
        "audio_BFSE": batch["audio"],
        "reference_keep_BF": batch["reference_keep"],
        "kps_keep_B": batch["kps_keep"],
    }
    return inputs, scheduler.get_velocity(latents, batch["noise"], timesteps)
