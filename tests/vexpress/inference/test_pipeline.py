"""The pipeline around the numbers: devices, batches, memory, saving, bf16, speed-ups."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from vexpress import Sampling, VExpressPipeline
from vexpress.errors import MissingWeightsError, SettingsError
from vexpress.inference import denoise
from vexpress.inference.loading import load_pipeline
from vexpress.inference.random_model import tiny_pipeline
from vexpress.inference.solvers import Solver, make_scheduler

EXACT = 1e-4
AMX = "amx_bf16" in Path("/proc/cpuinfo").read_text()
ROUNDED_MEAN = {torch.bfloat16: 0.06 if AMX else 0.03, torch.float16: 0.005}
"""Mean distance of a rounded video of a random model from its float32 one, of 1. Measured on
CPUs: 0.007 with bfloat16, and an eighth of that with float16's three more bits at most; 0.0365
with bfloat16 where oneDNN uses AMX (0.0071 there with ONEDNN_MAX_CPU_ISA=AVX512_CORE)."""


@pytest.fixture(scope="module")
def pipeline() -> VExpressPipeline:
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def video(
    pipeline: VExpressPipeline,
    devices: tuple[str, ...] = (),
    preview: bool = False,
    callback: Any = None,
    another: str = "",
    **changes: object,
) -> torch.Tensor:
    """Thirty frames at 64x64 in two steps."""
    image = np.random.default_rng(another == "image").integers(0, 255, (64, 64, 3), dtype=np.uint8)
    points = np.repeat(np.array([[[20.0, 25], [44, 25], [32, 40]]]), 30, axis=0)
    points += 8 * (another == "points")
    waveform = (
        np.random.default_rng(1 + (another == "waveform"))
        .standard_normal(19_200)
        .astype(np.float32)
    )
    sampling = Sampling(**{"steps": 2, **changes})  # type: ignore[arg-type]
    made = pipeline(image, points, waveform, 64, 64, sampling, 42, devices, preview, callback)
    return made.frames


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


def test_points_sound_and_picture_each_reach_the_video(
    pipeline: VExpressPipeline, expected: torch.Tensor
) -> None:
    for changed in ("image", "points", "waveform"):
        assert (video(pipeline, another=changed) - expected).abs().max() > EXACT, changed


def test_a_saved_pipeline_comes_back_the_same(
    pipeline: VExpressPipeline, expected: torch.Tensor, tmp_path: Path
) -> None:
    pipeline.save_pretrained(tmp_path)
    again = VExpressPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert (video(again) - expected).abs().max() <= EXACT


@pytest.mark.parametrize("dtype", ROUNDED_MEAN, ids=str)
def test_rounded_arithmetic_stays_near_float32(expected: torch.Tensor, dtype: torch.dtype) -> None:
    rounded = tiny_pipeline().to(dtype)
    rounded.set_progress_bar_config(disable=True)
    off = (video(rounded) - expected).abs()
    print(f"{dtype}: {off.mean():.4f} mean, {off.max():.3f} at most, of 1")
    assert 0 < off.mean() <= ROUNDED_MEAN[dtype]


def decibels(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of values 0..1."""
    return float(-10 * torch.log10((found - expected).square().mean()))


@pytest.mark.parametrize("changes", [{"guidance_share": 0.5}, {"reuse_every": 2}])
def test_approximate_speed_ups_change_the_video_and_keep_its_shape(
    pipeline: VExpressPipeline, expected: torch.Tensor, changes: dict[str, float]
) -> None:
    found = video(pipeline, **changes)
    assert found.shape == expected.shape and found.isfinite().all()
    error = decibels(found, expected)
    print(f"{changes}: {error:.1f} dB from exact (tiny random model)")
    assert 3 < error < 100, "expected to differ from the exact video, and to resemble it"


def test_windows_whose_inner_layers_are_not_kept_are_computed_in_full(
    pipeline: VExpressPipeline, expected: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoise, "INNER_BYTES", 0)
    assert (video(pipeline, reuse_every=2) - expected).abs().max() <= EXACT


def test_of_inner_layers_no_more_is_kept_than_fits_and_the_next_step_takes(
    pipeline: VExpressPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two windows, each with and without conditions; the last step guides no more."""
    monkeypatch.setattr(denoise, "INNER_BYTES", 3 * 4 * 32 * 24 * 8 * 8)
    workers: list[denoise.DeviceWorker] = []
    kept: list[int] = []
    start = pipeline._workers

    def watched(*given: Any) -> list[denoise.DeviceWorker]:
        workers.extend(start(*given))
        return workers

    monkeypatch.setattr(pipeline, "_workers", watched)

    def count(*_: Any) -> dict:
        kept.append(len(workers[0]._inner))
        return {}

    video(pipeline, callback=count, steps=3, guidance_share=0.5, reuse_every=3)
    assert kept == [3, 2, 0]


def test_other_solvers_make_a_video_near_ddims(pipeline: VExpressPipeline) -> None:
    """Four steps: with two, all are first-order, and so the same."""
    few = {"steps": 4, "guidance": 1.0}
    ddim = video(pipeline, **few)
    for solver in (Solver.UNIPC, Solver.DPMPP):
        other = tiny_pipeline()
        other.set_progress_bar_config(disable=True)
        other.scheduler = make_scheduler(solver)
        found = video(other, **few)
        assert found.shape == ddim.shape and found.isfinite().all()
        error = decibels(found, ddim)
        print(f"{solver}: {error:.1f} dB from ddim (tiny random model)")
        assert 3 < error < 100, "expected to differ from ddim's video, and to resemble it"


@pytest.mark.assets
def test_preview_decodes_the_same_latents_with_the_tiny_autoencoder(
    pipeline: VExpressPipeline, assets: Path
) -> None:
    folder = assets / "models/taesd"
    previewing = load_pipeline("tiny", devices=["cpu"], preview=folder)
    previewing.set_progress_bar_config(disable=True)
    exact = AutoencoderTiny.from_pretrained(folder).eval()
    kept: list[torch.Tensor] = []

    def keep(_: object, __: int, ___: object, given: dict[str, torch.Tensor]) -> dict:
        kept.append(given["latents"])
        return {}

    found = video(previewing, preview=True, callback=keep)
    with torch.no_grad():
        # Its latents are Stable Diffusion's scaled ones: no 0.18215.
        frames = exact.decode(kept[-1][0, :, :30].transpose(0, 1)).sample
    wanted = (frames / 2 + 0.5).clamp(0, 1).transpose(0, 1)[None]
    assert (found - wanted).abs().max() <= EXACT


def test_preview_without_its_weights_is_refused(pipeline: VExpressPipeline, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no preview_vae"):
        video(pipeline, preview=True)
    with pytest.raises(MissingWeightsError, match="AutoencoderTiny"):
        load_pipeline("tiny", devices=["cpu"], preview=tmp_path)


def test_sizes_that_do_not_fit_are_refused(pipeline: VExpressPipeline) -> None:
    image, points = np.zeros((64, 64, 3), np.uint8), np.zeros((3, 3, 2))
    with pytest.raises(SettingsError, match="multiples of 8"):
        pipeline(image, points, np.zeros(800, np.float32), 100, 64)


def test_windows_longer_than_the_motion_modules_know_are_refused(
    pipeline: VExpressPipeline,
) -> None:
    image, points = np.zeros((64, 64, 3), np.uint8), np.zeros((33, 3, 2))
    with pytest.raises(SettingsError, match="windows of 40 frames: expected at most 32"):
        pipeline(image, points, np.zeros(800, np.float32), 64, 64, Sampling(window=40))
