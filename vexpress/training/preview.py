"""Pictures to look at: a held-out window drawn from noise, beside the truth.

Rows from the top: truth, generated, V-Kps; the reference stands first in each row.
"""

from pathlib import Path

import cv2
import numpy as np
import torch

from vexpress.inference.pipeline import published_scheduler
from vexpress.training.autoencoder import Autoencoder, decode, encode
from vexpress.training.model import TrainingModel
from vexpress.training.samples import Sample

STEPS = 10


@torch.no_grad()
def generate_window(
    model: TrainingModel, vae: Autoencoder, batch: Sample, steps: int = STEPS
) -> torch.Tensor:
    """Frames (F, 3, H, W), -1..1, drawn by DDIM from the noise of a batch of one sample.

    Without guidance: the conditional prediction alone.
    """
    scheduler = published_scheduler()
    scheduler.set_timesteps(steps)
    latents = batch["noise"]
    reference = encode(vae, batch["reference"], torch.zeros_like(batch["reference_noise"]))
    for timestep in scheduler.timesteps.to(latents.device):
        velocity = model(latents, timestep[None], reference.float(), batch["v_kps"], batch["audio"])
        latents = scheduler.step(velocity.float(), timestep, latents).prev_sample
    return decode(vae, latents[0].transpose(0, 1)).float()


def write_preview(path: Path, batch: Sample, generated: torch.Tensor) -> None:
    """Write the picture of a batch of one sample and what was generated for it."""
    reference = batch["reference"][0]
    kps = batch["v_kps"][0].transpose(0, 1) * 2 - 1
    rows = [batch["images"][0], generated, kps]
    strips = [torch.cat([reference, *row], dim=2) for row in rows]
    picture = ((torch.cat(strips, dim=1).cpu() + 1) * 127.5).round().clamp(0, 255)
    rgb = picture.permute(1, 2, 0).numpy().astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])
