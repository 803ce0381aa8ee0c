"""What a stage has reached: measured on held-out samples at fixed noise and timesteps."""

from typing import Any

import torch
from diffusers import DDIMScheduler
from torch.utils.data import default_collate

from vexpress.training.autoencoder import Autoencoder
from vexpress.training.batches import model_inputs, to_device
from vexpress.training.clips import ClipFiles
from vexpress.training.diffusion import snr_weights, velocity_losses
from vexpress.training.model import TrainingModel
from vexpress.training.samples import Sample, StageSamples
from vexpress.training.settings import rate_at


class Validator:
    """Measures a model on the same samples every time."""

    def __init__(
        self, samples: StageSamples, vae: Autoencoder, scheduler: DDIMScheduler, device: Any
    ) -> None:
        self.samples, self.vae, self.scheduler = samples, vae, scheduler
        self.device = torch.device(device)
        self.numbers = range(samples.data.validation_samples)

    @torch.no_grad()
    def loss(self, model: TrainingModel) -> float:
        """Mean loss with its SNR weight and the lip weight that the stage ends with."""
        losses = [self._loss(model, self.batch(number)) for number in self.numbers]
        return sum(losses) / len(losses)

    @torch.no_grad()
    def sensitivity(self, model: TrainingModel) -> dict[str, float]:
        """How much another clip's sound and V-Kps change the prediction.

        Root mean square of the change relative to that of the prediction, mean over samples.
        """
        found = [self._swap(model, number) for number in self.numbers]
        return {name: sum(f[name] for f in found) / len(found) for name in found[0]}

    def _loss(self, model: TrainingModel, batch: Sample) -> float:
        inputs, target = model_inputs(batch, self.vae, self.scheduler)
        stage = self.samples.stage
        lip_weight = rate_at(stage.lip_weight, stage.steps)
        losses = velocity_losses(model(**inputs), target, batch["lip_mask"], lip_weight)
        weights = snr_weights(self.scheduler, batch["timestep"], stage.snr_gamma)
        return float((losses * weights).mean())

    def _swap(self, model: TrainingModel, number: int) -> dict[str, float]:
        batch, other = self.batch(number), self.batch(number, swapped=True)
        inputs, _ = model_inputs(batch, self.vae, self.scheduler)
        predicted = model(**inputs)
        heard = model(**{**inputs, "audio_BFSE": other["audio"]}) - predicted
        moved = model(**{**inputs, "v_kps_BCFHW": other["v_kps"]}) - predicted
        lips = batch["lip_mask"][:, None].expand_as(predicted) > 0
        return {
            "audio_sensitivity": _relative(heard[lips], predicted[lips]),
            "audio_sensitivity_elsewhere": _relative(heard[~lips], predicted[~lips]),
            "kps_sensitivity": _relative(moved, predicted),
        }

    def batch(self, number: int, *, swapped: bool = False) -> Sample:
        """A batch of one sample; `swapped` of another clip, at the same place."""
        clip = self.samples.clip_of(number)
        if swapped:
            clip = partner_of(clip, self.samples.index.clips)
        sample = self.samples.sample_of(clip, number)
        return to_device(default_collate([sample]), self.device)


def partner_of(clip: int, clips: list[ClipFiles]) -> int:
    """Another clip: the next one of another group, or else simply the next."""
    others = [(clip + distance) % len(clips) for distance in range(1, len(clips))]
    return next((o for o in others if clips[o].group != clips[clip].group), others[0])


def _relative(change: torch.Tensor, reference: torch.Tensor) -> float:
    if change.numel() == 0:
        return 0.0
    size = reference.float().square().mean().sqrt().clamp(min=1e-12)
    return float(change.float().square().mean().sqrt() / size)
