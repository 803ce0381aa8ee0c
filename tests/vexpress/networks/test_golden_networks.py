"""Networks against arrays of the published code: every pair in `VEXPRESS_REFERENCE`/goldens."""

from dataclasses import replace

import pytest
import torch

from tests.helpers.golden import GOLDENS, TOLERANCE, Golden, golden_params, goldens
from vexpress.networks.conditions import Conditions

PAIRS = goldens()


def check(found: torch.Tensor, golden: Golden, name: str) -> None:
    expected = golden.tensor(name)
    assert found.shape == expected.shape
    worst = (found - expected).abs().max().item()
    assert worst <= TOLERANCE, f"{golden.name}: {name} is off by {worst:.2e}"


@pytest.fixture(params=golden_params(PAIRS))
def golden(request: pytest.FixtureRequest) -> Golden:
    with torch.no_grad():
        yield request.param


def need(golden: Golden, *names: str) -> None:
    if not golden.has(*names):
        pytest.skip(f"{golden.name} has not all of {names}")


@pytest.mark.assets
@pytest.mark.skipif(not GOLDENS.is_dir(), reason=f"no goldens at {GOLDENS}")
def test_golden_folder_holds_pairs() -> None:
    assert PAIRS, f"no .json + .npz pair in {GOLDENS}"


def test_golden_guider(golden: Golden) -> None:
    need(golden, "guider_in", "guider_out")
    check(golden.v_kps_guider()(golden.tensor("guider_in")), golden, "guider_out")


def test_golden_audio_projection(golden: Golden) -> None:
    need(golden, "audio_in", "audio_out")
    check(golden.audio_projection()(golden.tensor("audio_in")), golden, "audio_out")


FORWARDS = ["train_forward", "train_forward_unconditional", "forward_weights_0.95_3.0"]


def test_golden_forwards_of_both_unets(golden: Golden) -> None:
    need(golden, "noisy_latents", "reference_latents", "timesteps", "guider_out", "audio_out")
    noisy, timesteps = golden.tensor("noisy_latents"), golden.tensor("timesteps")
    audio = golden.tensor("audio_out").unflatten(0, (noisy.shape[0], noisy.shape[2]))
    raw = Conditions(golden.reference_features, audio, golden.tensor("guider_out"))
    unet = golden.denoising_unet()
    reference = unet.project_reference(golden.reference_features)
    projected = replace(raw, reference=reference, audio=unet.project_audio(audio))
    checked = 0
    for name in filter(golden.has, FORWARDS):
        weights = (0.95, 3.0) if "weights" in name else (1.0, 1.0)
        kinds = [raw, projected]
        if "unconditional" in name:
            kinds = [None, raw.dropped()]
        for conditions in kinds:
            check(unet(noisy, timesteps, conditions, *weights), golden, name)
            checked += 1
    assert checked, f"{golden.name} has inputs but none of {FORWARDS}"
