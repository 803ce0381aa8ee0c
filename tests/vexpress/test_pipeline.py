"""The pipeline around the numbers: devices, batches, memory, saving, bf16, speed-ups."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vexpress import Sampling, VExpressPipeline
from vexpress.errors import SettingsError
from vexpress.random_model import tiny_pipeline

EXACT = 1e-4
BF16_MEAN = 0.05
"""Mean distance of a bf16 video of a random model from its float32 one, of 1."""


@pytest.fixture(scope="module")
def pipeline() -> VExpressPipeline:
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def video(
    pipeline: VExpressPipeline, devices: tuple[str, ...] = (), **changes: object
) -> torch.Tensor:
    """Thirty frames at 64x64 in two steps."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    points = np.repeat(np.array([[[20.0, 25], [44, 25], [32, 40]]]), 30, axis=0)
    waveform = np.random.default_rng(1).standard_normal(19_200).astype(np.float32)
    sampling = Sampling(**{"steps": 2, **changes})  # type: ignore[arg-type]
    return pipeline(image, points, waveform, 64, 64, sampling, devices=devices).frames


@pytest.fixture(scope="module")
def expected(pipeline: VExpressPipeline) -> torch.Tensor:
    return video(pipeline)


def test_devices_batches_and_low_memory_give_the_same_video(
    pipeline: VExpressPipeline, expected: torch.Tensor
) -> None:
    assert expected.shape == (1, 3, 30, 64, 64)
    for found in (
        video(pipeline, devices=("cpu", "cpu")),
        video(pipeline, windows_per_batch=2),
        video(pipeline, memory="low"),
    ):
        assert (found - expected).abs().max() <= EXACT


def test_a_saved_pipeline_comes_back_the_same(
    pipeline: VExpressPipeline, expected: torch.Tensor, tmp_path: Path
) -> None:
    pipeline.save_pretrained(tmp_path)
    again = VExpressPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert (video(again) - expected).abs().max() <= EXACT


def test_bf16_stays_near_float32(expected: torch.Tensor) -> None:
    rounded = tiny_pipeline().to(torch.bfloat16)
    rounded.set_progress_bar_config(disable=True)
    assert (video(rounded) - expected).abs().mean() <= BF16_MEAN


def test_sizes_that_do_not_fit_are_refused(pipeline: VExpressPipeline) -> None:
    image, points = np.zeros((64, 64, 3), np.uint8), np.zeros((3, 3, 2))
    with pytest.raises(SettingsError, match="multiples of 8"):
        pipeline(image, points, np.zeros(800, np.float32), 100, 64)
