"""What one step of training computes, against the published formulas.

The expected loss and gradients are made here from a sample and the networks alone: nothing of
`batches`, `diffusion`, `TrainingModel.forward` or `StageRun` takes part.

Shapes: B samples, F frames, h and w latent size.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import default_collate

from tests.helpers.small_training import small_settings
from vexpress.inference.pipeline import published_scheduler
from vexpress.networks.conditions import Conditions
from vexpress.training.metrics_log import read_metrics
from vexpress.training.samples import Sample
from vexpress.training.stage_job import StageJob
from vexpress.training.stage_run import StageRun

BATCH, PASSES, FRAMES, RATE = 2, 2, 2, 1e-3
SETTINGS = {"steps": 1, "batch": BATCH, "accumulate": PASSES, "frames": FRAMES}
DROPS = {"unconditional": 0.0, "reference_drop": 0.0, "kps_drop": 0.0}
CASES = {"all conditions": {}, "no condition": {"unconditional": 1.0}}
CASES |= {"no reference": {"reference_drop": 0.5}, "no V-Kps": {"kps_drop": 0.5}}


@pytest.mark.parametrize("case", CASES)
def test_a_step_has_the_loss_and_the_gradient_of_the_published_method(
    material: Path, tmp_path: Path, case: str
) -> None:
    stage = started(material, tmp_path / "run", **CASES[case])
    batch = default_collate([stage.samples[number] for number in range(BATCH * PASSES)])
    dropped = [name for name in ("reference_keep", "kps_keep") if not batch[name].all()]
    assert dropped == {"no reference": ["reference_keep"], "no V-Kps": ["kps_keep"]}.get(case, [])
    assert not dropped or batch[dropped[0]].any(), "some are kept"
    loss = expected_loss(stage, batch, unconditional=case == "no condition")
    before = {name: parameter.detach().clone() for name, parameter in stage.trained.items()}
    gradient = gradient_of(loss, stage)
    norm = gradient.norm()
    assert norm > 1, "so that clipping shows"

    stage.run()

    (line,) = [n for n in read_metrics(stage.job.folder / "metrics.jsonl") if n["kind"] == "train"]
    assert line["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert line["gradient_norm"] == pytest.approx(norm.item(), rel=1e-3)
    used = moment(stage, "exp_avg") / (1 - 0.9)
    assert (used - gradient / norm).norm() < 1e-3, "clipped to a norm of 1"
    size = (moment(stage, "exp_avg_sq") / (1 - 0.999)).sqrt()
    torch.testing.assert_close(size, used.abs(), rtol=1e-4, atol=1e-8)
    moved = flat(before) * (1 - RATE * 0.01) - RATE * used / (size + 1e-8)
    torch.testing.assert_close(flat(stage.trained), moved, rtol=0, atol=5e-7)


def started(material: Path, run: Path, **drops: Any) -> StageRun:
    """Stage 3, where everything learns, before its one step; nothing of the model is zero."""
    run.mkdir()
    shutil.copy(material / "clips.safetensors", run)
    stage = {**SETTINGS, "learning_rate": RATE, "lip_weight": 100.0, **DROPS, **drops}
    settings = small_settings(material, stage_3=stage, data={"validation_samples": 1})
    made = StageRun(StageJob(run=run, number=3, settings=settings), torch.device("cpu"))
    torch.manual_seed(4)
    for parameter in made.model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return made


def expected_loss(stage: StageRun, batch: Sample, *, unconditional: bool) -> torch.Tensor:
    """The mean over all samples of a step; `test_loss.py` holds the schedule itself."""
    bars_B = published_scheduler().alphas_cumprod[batch["timestep"]]
    signal, noise = bars_B.sqrt().view(-1, 1, 1, 1, 1), (1 - bars_B).sqrt().view(-1, 1, 1, 1, 1)
    pictures, draws = batch["images"].flatten(0, 1), batch["image_noise"].flatten(0, 1)
    latents = sampled(stage, pictures, draws).unflatten(0, (-1, FRAMES)).transpose(1, 2)
    reference = sampled(stage, batch["reference"], batch["reference_noise"])
    noisy = signal * latents + noise * batch["noise"]
    velocity = signal * batch["noise"] - noise * latents

    given = None if unconditional else conditions_of(stage, batch, reference)
    predicted = stage.model.denoising_unet(noisy, batch["timestep"], given)
    assert 0 < batch["lip_mask"].mean() < 1
    lips = 1 + (100 - 1) * batch["lip_mask"][:, None]
    errors_B = ((predicted - velocity).square() * lips).mean(dim=(1, 2, 3, 4))
    snr_B = bars_B / (1 - bars_B)
    weights_B = (snr_B + 1).clamp(max=5) / (snr_B + 1)
    assert weights_B.min() < 1, "so that min-SNR shows"
    return (errors_B * weights_B).mean()


@torch.no_grad()
def sampled(stage: StageRun, pictures: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Latents: a draw from what the autoencoder says, times 0.18215."""
    spread = stage.vae.encode(pictures).latent_dist
    return (spread.mean + (spread.logvar / 2).exp() * draws) * 0.18215


def conditions_of(stage: StageRun, batch: Sample, reference: torch.Tensor) -> Conditions:
    """Zeros where something is dropped: a frame's reference features, a sample's V-Kps."""
    networks = stage.model.networks
    keep = batch["reference_keep"].flatten()[:, None, None]
    features = networks.reference_net(reference)
    kps = networks.v_kps_guider(batch["v_kps"])
    tokens = networks.audio_projection(batch["audio"].flatten(0, 1))
    return Conditions(
        reference={k: f.repeat_interleave(FRAMES, 0) * keep for k, f in features.items()},
        audio=tokens.unflatten(0, (-1, FRAMES)),
        kps_features=kps * batch["kps_keep"].view(-1, 1, 1, 1, 1),
    )


def gradient_of(loss: torch.Tensor, stage: StageRun) -> torch.Tensor:
    """The gradient of everything that learns, as one vector."""
    learning = list(stage.trained.values())
    found = torch.autograd.grad(loss, learning, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def moment(stage: StageRun, name: str) -> torch.Tensor:
    """What AdamW remembers of the gradients, as one vector."""
    state = stage.optimiser.state
    return torch.cat([state[parameter][name].flatten() for parameter in stage.trained.values()])


def flat(parameters: dict[str, Any]) -> torch.Tensor:
    """All parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in parameters.values()])
