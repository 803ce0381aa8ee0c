"""The noise schedule and the loss, as published.

Shapes: B samples, C latent channels, F frames, h and w latent height and width.
"""

import torch
from diffusers import DDIMScheduler
from diffusers.training_utils import compute_snr


def snr_weights(scheduler: DDIMScheduler, timesteps_B: torch.Tensor, gamma: float) -> torch.Tensor:
    """min(snr + 1, gamma) / (snr + 1) for each sample, (B,): min-SNR for velocities."""
    snr = compute_snr(scheduler, timesteps_B) + 1
    return snr.clamp(max=gamma) / snr


def velocity_losses(
    predicted_BCFhw: torch.Tensor,
    target_BCFhw: torch.Tensor,
    lip_mask_BFhw: torch.Tensor,
    lip_weight: float,
) -> torch.Tensor:
    """Squared error of each sample, float32 (B,), weighted around the lips; no SNR weight."""
    errors = (predicted_BCFhw.float() - target_BCFhw.float()).square()
    weights = (lip_weight - 1) * lip_mask_BFhw[:, None] + 1
    return (errors * weights).flatten(1).mean(1)
