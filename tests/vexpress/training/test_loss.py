"""The published loss, computed here step by step without the project."""

import math

import pytest
import torch

from vexpress.inference.pipeline import published_scheduler
from vexpress.training.diffusion import snr_weights, velocity_losses


def alphas_cumprod() -> list[float]:
    """Scaled-linear betas, then zero terminal SNR (arXiv:2305.08891, algorithm 1), in Python."""
    roots = [
        math.sqrt(0.00085) + i / 999 * (math.sqrt(0.012) - math.sqrt(0.00085)) for i in range(1000)
    ]
    product, bars = 1.0, []
    for root in roots:
        product *= 1 - root * root
        bars.append(math.sqrt(product))
    first, last = bars[0], bars[-1]
    return [((bar - last) * first / (first - last)) ** 2 for bar in bars]


BARS = alphas_cumprod()
TIMESTEPS = torch.tensor([0, 20, 400, 999])


def test_the_last_timestep_has_no_signal_left() -> None:
    scheduler = published_scheduler()
    assert scheduler.alphas_cumprod[-1] == 0
    assert scheduler.alphas_cumprod.tolist() == pytest.approx(BARS, abs=2e-6)


def test_snr_weights_are_those_of_min_snr_for_velocities() -> None:
    found = snr_weights(published_scheduler(), TIMESTEPS, 5.0)
    snr = [BARS[t] / (1 - BARS[t]) for t in TIMESTEPS.tolist()]
    expected = [min(s + 1, 5) / (s + 1) for s in snr]
    assert found.tolist() == pytest.approx(expected, rel=1e-3)
    assert found[-1] == 1  # zero terminal SNR: no division by zero, full weight


def test_loss_equals_a_reference_computed_number_by_number() -> None:
    torch.manual_seed(0)
    shape = (4, 4, 2, 3, 3)
    latents, noise, predicted = (torch.randn(shape) for _ in range(3))
    mask = (torch.rand(4, 2, 3, 3) > 0.5).float()
    scheduler = published_scheduler()
    target = scheduler.get_velocity(latents, noise, TIMESTEPS)
    losses = velocity_losses(predicted, target, mask, 100.0)
    found = float((losses * snr_weights(scheduler, TIMESTEPS, 5.0)).mean())

    total = 0.0
    for b, t in enumerate(TIMESTEPS.tolist()):
        bar, summed = BARS[t], 0.0
        for index in torch.cartesian_prod(*(torch.arange(n) for n in shape[1:])).tolist():
            at = (b, *index)
            velocity = math.sqrt(bar) * float(noise[at]) - math.sqrt(1 - bar) * float(latents[at])
            weight = (100 - 1) * float(mask[b, index[1], index[2], index[3]]) + 1
            summed += weight * (float(predicted[at]) - velocity) ** 2
        snr = bar / (1 - bar)
        total += summed / math.prod(shape[1:]) * min(snr + 1, 5) / (snr + 1)
    assert found == pytest.approx(total / 4, rel=1e-4)


def test_a_lip_weight_of_one_is_the_plain_mean() -> None:
    predicted, target = torch.randn(2, 4, 1, 2, 2), torch.randn(2, 4, 1, 2, 2)
    losses = velocity_losses(predicted, target, torch.ones(2, 1, 2, 2), 1.0)
    expected = torch.nn.functional.mse_loss(predicted, target)
    torch.testing.assert_close(losses.mean(), expected)
